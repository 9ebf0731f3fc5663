//! A source of Bitbucket that asks a server of the test's own.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(clippy::allow_attributes, reason = "what is unused differs by test binary")]

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{LogAccess, Secret, SecretFrom, SourceSettings};
use connector::{Connector, Heads, HeadsAsk, Result};
use domain::{Clock, Patterns, Pipeline, Project};
use futures::StreamExt;

/// The token that every test's source has.
pub const TOKEN: &str = "bb-canary";

/// A source's settings, with a token.
pub fn settings(url: &str) -> SourceSettings {
    SourceSettings {
        platform: "bitbucket",
        name: "bb".into(),
        disabled: None,
        url: Some(url.parse().unwrap()),
        user: None,
        token: Some(Secret::new(TOKEN, SecretFrom::Settings)),
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
pub fn source(settings: &SourceSettings, clock: Arc<dyn Clock>) -> Arc<dyn Connector> {
    (connector_bitbucket::PLATFORM.build)(settings, clock).unwrap()
}

/// Asks about a project of which nothing is known.
pub fn ask(project: &Project) -> HeadsAsk {
    HeadsAsk::about(Arc::new(project.clone()))
}

/// Asks again, knowing what was answered, bounded as the board keeps it.
pub fn again(project: &Project, heads: &Heads) -> HeadsAsk {
    HeadsAsk {
        known: heads.pipelines.iter().cloned().map(Pipeline::bounded).map(Arc::new).collect(),
        known_head: heads.default_branch.clone().map(|head| (head.bounded(), project.last_activity_at)),
        ..ask(project)
    }
}

/// The answer to one question.
pub async fn heads(source: &dyn Connector, ask: HeadsAsk) -> Result<Heads> {
    let mut answers: Vec<_> = source.branch_heads(vec![ask]).collect().await;
    assert_eq!(answers.len(), 1, "one answer to one question");
    answers.remove(0).1
}

/// All projects, over all pages.
pub async fn projects(source: &dyn Connector) -> Vec<Project> {
    let (mut all, mut page) = (Vec::new(), None);
    loop {
        let answer = source.projects(page).await.unwrap();
        all.extend(answer.items);
        match answer.next {
            Some(next) => page = Some(next),
            None => return all,
        }
    }
}
