//! From settings to connectors.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Clock, PlatformId, SourceName};

use crate::{Connector, Descriptor};

/// Why a source's settings make no connector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("source {source_name}: {why}")]
pub struct BuildError {
    /// Which source.
    pub source_name: SourceName,
    /// What is wrong.
    pub why: String,
}

/// Makes a source from its settings.
pub type Build = fn(&config::SourceSettings, Arc<dyn Clock>) -> Result<Arc<dyn Connector>, BuildError>;

/// What a connector's crate exports: the platform, and how a source of it is made.
#[derive(Debug, Clone, Copy)]
pub struct Platform {
    /// What it is.
    pub descriptor: &'static Descriptor,
    /// Makes a source of it. Does no I/O.
    pub build: Build,
}

/// The connectors that run, by unique source name.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    by_name: BTreeMap<SourceName, Arc<dyn Connector>>,
}

impl Registry {
    /// Adds a connector.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn add(&mut self, connector: Arc<dyn Connector>) -> Result<(), BuildError> {
        let name = connector.source().clone();
        if self.by_name.contains_key(&name) {
            return Err(BuildError { source_name: name, why: "two sources have this name".into() });
        }
        self.by_name.insert(name, connector);
        Ok(())
    }

    /// The connector of this name.
    #[must_use]
    pub fn get(&self, source: &SourceName) -> Option<&Arc<dyn Connector>> {
        self.by_name.get(source)
    }

    /// The connectors of this platform.
    pub fn of_platform(&self, platform: PlatformId) -> impl Iterator<Item = &Arc<dyn Connector>> {
        self.by_name.values().filter(move |c| c.descriptor().id == platform)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&SourceName, &Arc<dyn Connector>)> {
        self.by_name.iter()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}
