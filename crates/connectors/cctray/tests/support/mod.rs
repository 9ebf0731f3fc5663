//! A source of a cctray feed that asks a server of the test's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{LogAccess, Secret, SecretFrom, SourceSettings};
use connector::{Connector, Heads, HeadsAsk, Result};
use domain::{Clock, Patterns, Pipeline, Project};
use futures::StreamExt;

/// A source's settings.
pub(crate) fn settings(url: &str, token: Option<&str>) -> SourceSettings {
    SourceSettings {
        platform: "cctray",
        name: "feed".into(),
        disabled: None,
        url: Some(url.parse().unwrap()),
        user: None,
        token: token.map(|t| Secret::new(t, SecretFrom::Settings)),
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
    (connector_cctray::PLATFORM.build)(settings, clock).unwrap()
}

/// A reading of everything as the refresh loop does it: the listing, then the state of each with what is known.
pub(crate) async fn refresh(
    source: &dyn Connector,
    known: &BTreeMap<String, Vec<Pipeline>>,
) -> Result<BTreeMap<String, (Project, Heads)>> {
    let mut page = source.projects(None).await?;
    assert_eq!(page.next, None, "a feed is one page");
    let projects: BTreeMap<_, _> = page.items.into_iter().map(|p| (p.key.clone(), p)).collect();
    let asks = projects.values().map(|project| HeadsAsk {
        known: known.get(&project.name).into_iter().flatten().cloned().map(Arc::new).collect(),
        told: page.told.remove(&project.key.id),
        ..HeadsAsk::about(Arc::new(project.clone()))
    });
    let answers: Vec<_> = source.branch_heads(asks.collect()).collect().await;
    assert_eq!(answers.len(), projects.len());
    let named = |key| projects.get(&key).cloned().unwrap();
    answers
        .into_iter()
        .map(|(key, heads)| {
            let project = named(key);
            Ok((project.name.clone(), (project, heads?)))
        })
        .collect()
}
