//! A source of Gitea, and questions to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::SourceSettings;
use connector::{Connector, Heads, HeadsAsk};
use domain::{Clock, Pipeline, Project, ProjectKey, Timestamp};
use futures::StreamExt as _;

/// A source's settings.
pub(crate) fn settings(url: &str, token: Option<&str>) -> SourceSettings {
    connector_suite::settings("gitea", url, token)
}

/// The source that these settings make.
pub(crate) fn source(settings: &SourceSettings, clock: Arc<dyn Clock>) -> Arc<dyn Connector> {
    (connector_gitea::PLATFORM.build)(settings, clock).unwrap()
}

/// Asks about a project of which nothing is known.
pub(crate) fn ask(project: &Project) -> HeadsAsk {
    HeadsAsk::about(Arc::new(project.clone()))
}

/// What is known after an answer, as the board would keep it.
pub(crate) fn knowing(ask: &HeadsAsk, heads: &Heads, now: Timestamp) -> HeadsAsk {
    HeadsAsk {
        known: heads.pipelines.iter().cloned().map(Pipeline::bounded).map(Arc::new).collect(),
        known_head: heads.default_branch.clone().map(|b| (b, ask.project.last_activity_at)),
        known_workflows: heads.workflows.clone().map(|w| (w, now)).or_else(|| ask.known_workflows.clone()),
        ..ask.clone()
    }
}

/// The state of several projects.
pub(crate) async fn heads(
    source: &dyn Connector,
    asks: Vec<HeadsAsk>,
) -> BTreeMap<ProjectKey, connector::Result<Heads>> {
    source.branch_heads(asks).collect().await
}
