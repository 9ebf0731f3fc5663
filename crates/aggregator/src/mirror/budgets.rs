//! What is left of each source's limit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache::{Shelf, Values};
use domain::SourceName;

use crate::due::Schedules;
use crate::schedule::Kept;

/// What changed is written after this long at most.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is left, by source.
#[derive(Debug)]
pub(super) struct Left {
    schedules: Arc<Schedules>,
    /// What was told of each that is kept.
    told: Mutex<BTreeMap<SourceName, Option<Kept>>>,
}

impl Left {
    pub(super) fn new(schedules: Arc<Schedules>) -> Self {
        Self { schedules, told: Mutex::default() }
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<SourceName, Option<Kept>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of these sources and no other.
    pub(super) fn of(&self, sources: BTreeSet<SourceName>) {
        let mut told = self.told();
        told.retain(|source, _| sources.contains(source));
        for source in sources {
            told.entry(source).or_default();
        }
    }

    /// Tells the shelf what is otherwise than before, until it is dropped.
    pub(super) async fn watch(&self, shelf: &Shelf) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            for (source, told) in self.told().iter_mut() {
                let Some(left) = self.schedules.left(source) else { continue };
                if told.is_none_or(|t| t.budget != left.budget) {
                    *told = Some(left);
                    shelf.changed(source.as_str());
                }
            }
        }
    }
}

impl Values for Left {
    fn names(&self) -> Vec<String> {
        self.told().keys().map(ToString::to_string).collect()
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        let source = self.told().keys().find(|s| s.as_str() == name)?.clone();
        Some(self.schedules.left(&source)?.to_text().into_bytes())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> bool {
        let source = self.told().keys().find(|s| s.as_str() == name).cloned();
        let kept = std::str::from_utf8(bytes).ok().and_then(Kept::parse);
        let (Some(source), Some(kept)) = (source, kept) else { return false };
        self.schedules.resume(&source, kept);
        true
    }
}
