//! From settings to connectors.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use domain::{Clock, SourceName};
use tokio::sync::watch;

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

/// The connectors that run, by unique source name. They come and go while others look.
#[derive(Debug, Default)]
pub struct Registry {
    by_name: RwLock<BTreeMap<SourceName, Arc<dyn Connector>>>,
    changes: watch::Sender<()>,
}

impl Registry {
    /// Puts a connector there, in place of one of the same name.
    pub fn put(&self, connector: Arc<dyn Connector>) {
        let name = connector.source().clone();
        self.by_name.write().unwrap_or_else(PoisonError::into_inner).insert(name, connector);
        self.changes.send_replace(());
    }

    /// Takes the connector of this name out. Whoever has it keeps it as long as he needs it.
    pub fn remove(&self, source: &SourceName) {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner).remove(source);
        self.changes.send_replace(());
    }

    /// The connector of this name.
    #[must_use]
    pub fn get(&self, source: &SourceName) -> Option<Arc<dyn Connector>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(source).cloned()
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<dyn Connector>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Whether it is the one that runs, and not one before it.
    #[must_use]
    pub fn has(&self, connector: &Arc<dyn Connector>) -> bool {
        self.get(connector.source()).is_some_and(|present| Arc::ptr_eq(&present, connector))
    }

    /// Tells whenever a connector came or went.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
