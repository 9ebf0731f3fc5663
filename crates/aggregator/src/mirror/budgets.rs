//! What is left of each source's limits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache::{Shelf, Values};
use connector::{Connector, http};
use domain::SourceName;

/// What changed is written after this long at most.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A source that is kept, and what was told of it.
type Told = (Arc<dyn Connector>, Option<http::Left>);

/// What is left, by source.
#[derive(Debug, Default)]
pub(super) struct Left(Mutex<BTreeMap<SourceName, Told>>);

impl Left {
    fn told(&self) -> MutexGuard<'_, BTreeMap<SourceName, Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of these sources and no other.
    pub(super) fn of(&self, connectors: impl Iterator<Item = Arc<dyn Connector>>) {
        let mut told = self.told();
        let mut before = std::mem::take(&mut *told);
        for connector in connectors {
            let known = before.remove(connector.source()).and_then(|(_, left)| left);
            told.insert(connector.source().clone(), (connector, known));
        }
    }

    /// Tells the shelf what is otherwise than before, until it is dropped.
    pub(super) async fn watch(&self, shelf: &Shelf) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look(shelf);
        }
    }

    /// Tells the shelf what is otherwise than before.
    pub(super) fn look(&self, shelf: &Shelf) {
        for (source, (connector, told)) in self.told().iter_mut() {
            let Some(left) = connector.left() else { continue };
            if told.as_ref().is_none_or(|told| told.differs_from(&left)) {
                *told = Some(left);
                shelf.changed(source.as_str());
            }
        }
    }

    fn connector(&self, name: &str) -> Option<Arc<dyn Connector>> {
        self.told().iter().find(|(source, _)| source.as_str() == name).map(|(_, (c, _))| Arc::clone(c))
    }
}

impl Values for Left {
    fn names(&self) -> Vec<String> {
        self.told().keys().map(ToString::to_string).collect()
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        Some(self.connector(name)?.left()?.to_text().into_bytes())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> bool {
        let left = std::str::from_utf8(bytes).ok().and_then(http::Left::parse);
        let (Some(connector), Some(left)) = (self.connector(name), left) else { return false };
        connector.resume(&left);
        true
    }
}
