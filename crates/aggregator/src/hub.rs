//! The one place where observations are merged, and from which changes are published.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use api::v1;
use domain::{Clock, ProjectKey, SourceName, Timestamp};
use tokio::sync::broadcast;

use crate::board::{Board, Change, Observation, Version};
use crate::sources::Source;
use crate::work::Work;

/// How many changes a slow listener may be behind before it is told to read everything anew.
const MAX_BEHIND: usize = 1024;

/// A change as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The version that it made.
    pub version: Version,
    /// When.
    pub at: Timestamp,
    /// Which rows.
    pub changes: Vec<Change>,
    /// A source's state changed.
    pub sources_changed: bool,
    /// Lists of merge requests or issues changed, those of `work`. Nothing on the board did unless `changes` say so.
    pub work_changed: bool,
    /// Projects whose lists changed.
    pub work: Vec<ProjectKey>,
}

/// The board, the lists and the sources, as one reader sees them.
#[derive(Debug)]
pub struct Present {
    /// The rows.
    pub board: Board,
    /// Open merge requests and issues.
    pub work: Work,
    /// The sources, in the order of their names.
    pub sources: BTreeMap<SourceName, Source>,
}

/// The board behind its lock, and its listeners. Locks are held for computations only, never across an await.
#[derive(Debug)]
pub struct Hub {
    present: RwLock<Present>,
    events: broadcast::Sender<Arc<Published>>,
    clock: Arc<dyn Clock>,
}

impl Hub {
    /// A hub with an empty board, whose epoch is now.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let epoch = u64::try_from(clock.now().as_millisecond()).unwrap_or_default();
        let present = Present { board: Board::new(epoch), work: Work::default(), sources: BTreeMap::new() };
        Self { present: RwLock::new(present), events: broadcast::channel(MAX_BEHIND).0, clock }
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Looks at the present.
    pub fn read<R>(&self, look: impl FnOnce(&Present) -> R) -> R {
        look(&self.present.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets up sources and rules, before anything of them is observed. Publishes nothing.
    pub fn configure(&self, set_up: impl FnOnce(&mut Present)) {
        set_up(&mut self.present.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Merges an observation and publishes what it changed, if anything: that is given back too.
    pub fn observe(&self, observation: Observation) -> Vec<Change> {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        // What a source that was taken out was asked before, comes to nothing.
        if observation.seen.source().is_some_and(|source| !present.sources.contains_key(source)) {
            return Vec::new();
        }
        let changes = present.board.apply(observation);
        self.publish_rows(&mut present, &changes);
        changes
    }

    /// Takes all rows and lists of a source away.
    pub fn empty(&self, source: &SourceName) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        let changes = present.board.empty(source);
        present.work.wait(source, None);
        self.publish_rows(&mut present, &changes);
    }

    fn publish_rows(&self, present: &mut Present, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let mut work = Vec::new();
        for change in changes.iter().filter(|c| c.gone) {
            if present.work.forget(&change.project) {
                work.push(change.project.clone());
            }
        }
        let work_changed = !work.is_empty();
        let version = present.board.version();
        self.publish(Published { changes: changes.to_vec(), work_changed, work, ..self.nothing_at(version) });
    }

    /// Changes what is kept of the lists, of one project or of no particular one; publishes it when `change` says that it
    /// shows.
    pub fn keep(&self, project: Option<&ProjectKey>, change: impl FnOnce(&mut Work) -> bool) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        if project.is_some_and(|key| present.board.get(key).is_none() && present.work.is_unknown(key)) {
            // It left while its list was on its way.
            return;
        }
        if change(&mut present.work) {
            let version = present.board.touch();
            let work = project.cloned().into_iter().collect();
            self.publish(Published { work_changed: true, work, ..self.nothing_at(version) });
        }
    }

    /// Changes a source's row; publishes it when it shows.
    pub fn source(&self, name: &SourceName, change: impl FnOnce(&mut Source)) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        let Some(source) = present.sources.get_mut(name) else { return };
        let before = source.visible();
        change(source);
        if source.visible() != before {
            let version = present.board.touch();
            self.publish(Published { sources_changed: true, ..self.nothing_at(version) });
        }
    }

    /// Publishes that what is told beside the sources is otherwise than before.
    pub fn touch_sources(&self) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        let version = present.board.touch();
        self.publish(Published { sources_changed: true, ..self.nothing_at(version) });
    }

    fn nothing_at(&self, version: Version) -> Published {
        Published {
            version,
            at: self.clock.now(),
            changes: Vec::new(),
            sources_changed: false,
            work_changed: false,
            work: Vec::new(),
        }
    }

    /// Called with the lock held, so that versions come out in their order.
    fn publish(&self, event: Published) {
        // Nobody listening is no error.
        let _ = self.events.send(Arc::new(event));
    }

    /// The present version and all that come after it.
    pub fn subscribe(&self) -> (Version, broadcast::Receiver<Arc<Published>>) {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        (present.board.version(), self.events.subscribe())
    }
}

impl From<Version> for v1::Version {
    fn from(v: Version) -> Self {
        Self { epoch: v.epoch, sequence: v.sequence }
    }
}
