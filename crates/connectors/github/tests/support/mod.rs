//! A source of GitHub that asks a server of the test's own.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{LogAccess, Secret, SecretFrom, SourceSettings};
use connector::{Connector, HeadsAsk};
use domain::{Clock, Patterns, Project};

/// The token that every test's source has.
pub(crate) const TOKEN: &str = "ghp_canary";

/// A source's settings, with a token.
pub(crate) fn settings(url: &str) -> SourceSettings {
    SourceSettings {
        platform: "github",
        name: "gh".into(),
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
pub(crate) fn source(settings: &SourceSettings, clock: Arc<dyn Clock>) -> Arc<dyn Connector> {
    (connector_github::PLATFORM.build)(settings, clock).unwrap()
}

/// Asks about a project of which nothing is known.
pub(crate) fn ask(project: &Project) -> HeadsAsk {
    HeadsAsk::about(Arc::new(project.clone()))
}
