//! What is left of each source's limit, written down as notes, so that a restart knows it before it asks anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector::http::Left;
use connector::{Connector, Registry};
use domain::SourceName;
use history::History;

use super::{Archive, locked};

/// What changed is written after this long at most.
const WRITE_EVERY: Duration = Duration::from_secs(2);

/// Keeps the budgets of the sources that run.
#[derive(Debug)]
pub(super) struct Budgets {
    archive: Arc<Archive>,
    connectors: Arc<Registry>,
    /// What is written.
    written: Mutex<BTreeMap<SourceName, Left>>,
}

fn name(source: &SourceName) -> String {
    format!("budget:{source}")
}

impl Budgets {
    pub(super) fn new(archive: Arc<Archive>, connectors: Arc<Registry>) -> Self {
        Self { archive, connectors, written: Mutex::default() }
    }

    /// Tells the connectors what was left. Without it they learn it from the first answer, as on the first start.
    pub(super) async fn begin(&self, history: &Arc<dyn History>) {
        for connector in self.connectors.all() {
            let source = connector.source();
            match history.note(&name(source)).await {
                Ok(note) => {
                    if let Some(left) = note.as_deref().and_then(Left::parse) {
                        connector.resume(&left);
                    }
                }
                Err(error) => tracing::debug!(%source, %error, "what was left of the limit is not known"),
            }
        }
    }

    /// Writes what changed, until it is dropped.
    pub(super) async fn run(&self, history: &Arc<dyn History>) {
        loop {
            self.write(history).await;
            tokio::time::sleep(WRITE_EVERY).await;
        }
    }

    /// Writes what changed.
    pub(super) async fn write(&self, history: &Arc<dyn History>) {
        let left = |c: &Arc<dyn Connector>| Some((c.source().clone(), c.left()?));
        let mut news: Vec<_> = self.connectors.all().iter().filter_map(left).collect();
        news.retain(|(source, left)| locked(&self.written).get(source).is_none_or(|w| w.differs_from(left)));
        if news.is_empty() {
            return;
        }
        let notes: Vec<_> = news.iter().map(|(source, left)| (name(source), Some(left.to_text()))).collect();
        match self.archive.within(history.set_notes(&notes)).await {
            Ok(()) => locked(&self.written).extend(news),
            Err(error) => tracing::debug!(%error, "what is left of the limits could not be written"),
        }
    }
}
