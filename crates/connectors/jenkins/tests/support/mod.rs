//! A source of Jenkins that asks a server of the test's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{LogAccess, Secret, SecretFrom, SourceSettings};
use connector::{Connector, Heads, HeadsAsk, Result};
use domain::{Patterns, Project, SystemClock};
use futures::StreamExt;

/// A source's settings: user and token, or neither.
pub(crate) fn settings(url: &str, token: Option<&str>) -> SourceSettings {
    SourceSettings {
        platform: "jenkins",
        name: "ci".into(),
        disabled: None,
        url: Some(url.parse().unwrap()),
        user: token.map(|_| "ann".to_owned()),
        token: token.map(|t| Secret::new(t, SecretFrom::Settings)),
        webhook_secret: Some(Secret::new("s3cret", SecretFrom::Settings)),
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
pub(crate) fn source(settings: &SourceSettings) -> Arc<dyn Connector> {
    (connector_jenkins::PLATFORM.build)(settings, Arc::new(SystemClock)).unwrap()
}

/// Asks about a project of which nothing is known.
pub(crate) fn ask(project: &Project) -> HeadsAsk {
    HeadsAsk::about(Arc::new(project.clone()))
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
