//! What is left of each source's limit, written down as notes, so that a restart knows it before it asks anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::SourceName;
use history::History;

use crate::due::Schedules;
use crate::schedule::Kept;

/// What changed is written after this long at most.
const WRITE_EVERY: Duration = Duration::from_secs(2);

/// Keeps the budgets of the sources that run.
#[derive(Debug)]
pub(super) struct Budgets {
    schedules: Arc<Schedules>,
}

fn name(source: &SourceName) -> String {
    format!("budget:{source}")
}

impl Budgets {
    pub(super) const fn new(schedules: Arc<Schedules>) -> Self {
        Self { schedules }
    }

    /// Tells the schedules what was left. Without it they learn it from the first answer, as on the first start.
    pub(super) async fn begin(&self, history: &Arc<dyn History>) {
        for source in &self.schedules.names() {
            match history.note(&name(source)).await {
                Ok(note) => {
                    if let Some(kept) = note.as_deref().and_then(Kept::parse) {
                        self.schedules.resume(source, kept);
                    }
                }
                Err(error) => tracing::debug!(%source, %error, "what was left of the limit is not known"),
            }
        }
    }

    /// Writes what changed, until it is dropped.
    pub(super) async fn run(&self, history: &Arc<dyn History>) {
        let mut written: BTreeMap<SourceName, Kept> = BTreeMap::new();
        loop {
            let sources = self.schedules.names().into_iter();
            let left = sources.filter_map(|source| self.schedules.left(&source).map(|left| (source, left)));
            let news: Vec<_> = left
                .filter(|(source, left)| written.get(source).is_none_or(|w| w.budget != left.budget))
                .collect();
            if !news.is_empty() {
                let notes: Vec<_> =
                    news.iter().map(|(source, left)| (name(source), Some(left.to_text()))).collect();
                match history.set_notes(&notes).await {
                    Ok(()) => written.extend(news),
                    Err(error) => tracing::debug!(%error, "what is left of the limits could not be written"),
                }
            }
            tokio::time::sleep(WRITE_EVERY).await;
        }
    }
}
