//! What moved, for other tools: a sorted set of when each project last did something, and a stream of changes.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use domain::Timestamp;

/// How many wait to be written; the oldest give way.
const MAX_WAITING: usize = 1_000;

/// A change of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its key, as text.
    pub project: String,
    /// The state of the board that it made.
    pub version: String,
    /// When.
    pub at: Timestamp,
    /// When the project itself last did something, as far as that is known.
    pub active_at: Option<Timestamp>,
    /// It left.
    pub gone: bool,
}

/// Changes that wait.
#[derive(Debug, Default)]
pub(super) struct Feed(Mutex<VecDeque<Moved>>);

impl Feed {
    pub(super) fn add(&self, moved: Vec<Moved>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(moved);
        let surplus = waiting.len().saturating_sub(MAX_WAITING);
        waiting.drain(..surplus);
    }

    pub(super) fn take(&self) -> Vec<Moved> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    /// They could not be written.
    pub(super) fn again(&self, moved: Vec<Moved>) {
        let newer = self.take();
        self.add(moved);
        self.add(newer);
    }
}
