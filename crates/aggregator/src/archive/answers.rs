//! The answers that connectors keep for conditional requests, so that after a restart an unchanged project costs a 304. Where there
//! is Redis they are there instead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache::Shelf;
use connector::{Connector, Registry};
use history::History;
use tokio::sync::Notify;

use super::{Archive, locked};
use crate::mirror::answers_of;

/// Changes are collected for so long: a page that is asked for every ten seconds need not be written each time.
const COLLECT: Duration = Duration::from_secs(5);
/// Before the database is tried again.
const PAUSE: Duration = Duration::from_secs(30);
/// What is written of a source at most, in bytes: two thousand pages as a rule. What comes beyond that costs a whole answer after a
/// restart.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// What is written at once: answers, and bytes.
const AT_ONCE: usize = 100;
const BYTES_AT_ONCE: usize = 1024 * 1024;

/// Keeps the answers of the sources that run.
#[derive(Debug)]
pub(super) struct Answers {
    archive: Arc<Archive>,
    connectors: Arc<Registry>,
    sources: Mutex<Vec<Arc<Of>>>,
    news: Arc<Notify>,
}

#[derive(Debug)]
struct Of {
    connector: Arc<dyn Connector>,
    shelf: Arc<Shelf>,
    /// How many bytes are written under each name.
    written: Mutex<HashMap<String, usize>>,
}

impl Answers {
    pub(super) fn new(archive: Arc<Archive>, connectors: &Arc<Registry>) -> Self {
        let connectors = Arc::clone(connectors);
        let answers = Self { archive, connectors, sources: Mutex::default(), news: Arc::default() };
        answers.look();
        answers
    }

    /// Takes up the sources that are new, and lets go of those that are no more.
    fn look(&self) {
        let mut sources = locked(&self.sources);
        sources.retain(|of| self.connectors.has(&of.connector));
        for connector in self.connectors.all() {
            if sources.iter().any(|of| Arc::ptr_eq(&of.connector, &connector)) {
                continue;
            }
            if let Some(shelf) = answers_of(connector.as_ref(), &self.news) {
                sources.push(Arc::new(Of { connector, shelf, written: Mutex::default() }));
            }
        }
    }

    fn sources(&self) -> Vec<Arc<Of>> {
        locked(&self.sources).clone()
    }

    /// Gives the clients back what they kept. Without it everything is asked for whole, as on the first start.
    pub(super) async fn begin(&self, history: &Arc<dyn History>) {
        for of in self.sources() {
            let Of { shelf, written, .. } = &*of;
            let kept = match history.kept(shelf.name()).await {
                Ok(kept) => kept,
                Err(error) => {
                    tracing::debug!(shelf = shelf.name(), %error, "kept answers are not to be had");
                    continue;
                }
            };
            for (name, bytes) in kept {
                if !shelf.values().put(&name, &bytes) {
                    shelf.changed(&name);
                }
                locked(written).insert(name, bytes.len());
            }
        }
    }

    /// Writes what changes, until it is dropped.
    pub(super) async fn run(&self, history: &Arc<dyn History>) {
        let mut changes = self.connectors.changes();
        loop {
            tokio::select! {
                () = self.news.notified() => {}
                // The registry lives as long as this does.
                _ = changes.changed() => self.look(),
            }
            tokio::time::sleep(COLLECT).await;
            for of in self.sources() {
                if let Err(error) = of.write(&self.archive, history).await {
                    tracing::debug!(shelf = of.shelf.name(), %error, "answers could not be kept");
                    tokio::time::sleep(PAUSE).await;
                    self.news.notify_one();
                }
            }
        }
    }
}

impl Of {
    async fn write(&self, archive: &Archive, history: &Arc<dyn History>) -> history::Result<()> {
        if self.shelf.overflowed() {
            // What is written and not there any more.
            locked(&self.written).keys().for_each(|name| self.shelf.changed(name));
            self.shelf.all_changed();
        }
        loop {
            let mut taken = self.shelf.take(AT_ONCE, BYTES_AT_ONCE);
            if taken.values().is_empty() {
                return Ok(());
            }
            {
                let mut written = locked(&self.written);
                let mut total: usize = written.values().sum();
                for (name, value) in taken.values_mut() {
                    total -= written.remove(name).unwrap_or_default();
                    let weight = value.as_ref().map_or(0, |v| v.len() + name.len());
                    if total + weight > MAX_BYTES {
                        *value = None;
                    } else if value.is_some() {
                        written.insert(name.clone(), weight);
                        total += weight;
                    }
                }
            }
            archive.within(history.keep(self.shelf.name(), taken.values())).await?;
            taken.written();
        }
    }
}
