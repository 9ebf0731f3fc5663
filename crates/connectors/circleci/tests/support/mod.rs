//! A source of CircleCI that asks a server of the test's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{LogAccess, Secret, SecretFrom, SourceSettings};
use connector::{Connector, Heads, HeadsAsk, Result};
use domain::{Clock, Patterns, Pipeline, Project};
use futures::StreamExt;

/// A source's settings, with a token.
pub(crate) fn settings(url: &str, token: &str) -> SourceSettings {
    SourceSettings {
        platform: "circleci",
        name: "circle".into(),
        disabled: None,
        url: Some(url.parse().unwrap()),
        user: None,
        token: Some(Secret::new(token, SecretFrom::Settings)),
        webhook_secret: None,
        logs: LogAccess::Full,
        branches: Patterns::default(),
        workflows: Patterns::default(),
        events: Patterns::default(),
        include: Patterns::default(),
        exclude: Patterns::default(),
        groups: Vec::new(),
        organizations: Vec::new(),
        workspaces: Vec::new(),
        folders: Vec::new(),
        ca_file: None,
        proxy: None,
        insecure_skip_verify: false,
        extra: BTreeMap::new(),
    }
}

/// The source that these settings make.
pub(crate) fn source(settings: &SourceSettings, clock: Arc<dyn Clock>) -> Arc<dyn Connector> {
    (connector_circleci::PLATFORM.build)(settings, clock).unwrap()
}

/// Asks about a project of which nothing is known.
pub(crate) fn ask(project: &Project) -> HeadsAsk {
    HeadsAsk::about(Arc::new(project.clone()))
}

/// Asks again, knowing what was answered, bounded as the board keeps it.
pub(crate) fn again(project: &Project, heads: &Heads) -> HeadsAsk {
    HeadsAsk {
        known: heads.pipelines.iter().cloned().map(Pipeline::bounded).map(Arc::new).collect(),
        known_head: heads.default_branch.clone().map(|head| (head.bounded(), project.last_activity_at)),
        ..ask(project)
    }
}

/// The answer to one question.
pub(crate) async fn heads(source: &dyn Connector, ask: HeadsAsk) -> Result<Heads> {
    let key = ask.project.key.clone();
    let mut answers: Vec<_> = source.branch_heads(vec![ask]).collect().await;
    assert_eq!(answers.len(), 1, "one answer to one question");
    let (of, heads) = answers.remove(0);
    assert_eq!(of, key);
    heads
}

/// All projects, over all pages, and what the listing told of them.
pub(crate) async fn listed(source: &dyn Connector) -> Result<Vec<(Project, Option<Heads>)>> {
    let (mut all, mut page) = (Vec::new(), None);
    loop {
        let mut answer = source.projects(page).await?;
        for project in answer.items {
            let told = answer.told.remove(&project.key.id);
            all.push((project, told));
        }
        match answer.next {
            Some(next) => page = Some(next),
            None => return Ok(all),
        }
    }
}
