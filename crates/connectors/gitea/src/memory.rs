//! What a server turned out to have, so that it is not tried out again with each question. All of it may be lost at any
//! time: then it is found out anew.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::{NativeId, Timestamp};
use jiff::SignedDuration;

/// How long "the server does not have that" is believed: servers are upgraded, and Actions switched on.
const BELIEVED_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How often a repository's runs are read in full, though the newest few have not moved: that is when a run that was
/// deleted, or an older one that was started over, shows.
const FULL_EVERY: SignedDuration = SignedDuration::from_mins(15);
/// Repositories that are remembered. Beyond that all are forgotten, which costs one larger request each.
const MAX_PROJECTS: usize = 50_000;

/// Where runs are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// `/actions/runs`.
    Runs,
    /// `/actions/tasks`.
    Tasks,
    /// `/commits/:ref/status`.
    Statuses,
}

#[derive(Debug, Default)]
struct Known {
    /// What the server has beyond single repositories, and since when that is believed.
    server: Option<(Api, Timestamp)>,
    /// Something of Gitea's was read.
    is_gitea: bool,
    projects: HashMap<NativeId, OfProject>,
}

#[derive(Debug, Default, Clone, Copy)]
struct OfProject {
    /// It has no Actions, found out then.
    without_actions: Option<Timestamp>,
    /// Its runs were last read in full.
    full: Option<Timestamp>,
    /// A small page did not suffice though nothing was new.
    wants_full: bool,
}

/// One source's memory.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Known>);

/// Whether it was less than `time` ago. A clock that was put back makes nothing fresh for long.
fn within(time: SignedDuration, at: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(at);
    !age.is_negative() && age < time
}

impl Memory {
    fn with<R>(&self, work: impl FnOnce(&mut Known) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn project(&self, id: &NativeId, change: impl FnOnce(&mut OfProject)) {
        self.with(|known| {
            if known.projects.len() >= MAX_PROJECTS && !known.projects.contains_key(id) {
                known.projects.clear();
            }
            change(known.projects.entry(id.clone()).or_default());
        });
    }

    /// Where to look first for this repository's runs.
    pub(crate) fn api(&self, id: &NativeId, now: Timestamp) -> Api {
        self.with(|known| {
            let without = known.projects.get(id).and_then(|p| p.without_actions);
            match known.server {
                _ if without.is_some_and(|at| within(BELIEVED_FOR, at, now)) => Api::Statuses,
                Some((Api::Tasks, at)) if within(BELIEVED_FOR, at, now) => Api::Tasks,
                _ => Api::Runs,
            }
        })
    }

    /// Whether the server is known to list runs, so that a repository that does not has no Actions.
    pub(crate) fn has_runs(&self) -> bool {
        self.with(|known| matches!(known.server, Some((Api::Runs, _))))
    }

    /// Whether the server was last seen without runs of its own ids.
    pub(crate) fn has_tasks_only(&self) -> bool {
        self.with(|known| matches!(known.server, Some((Api::Tasks, _))))
    }

    /// A repository's runs were read from there. What the server lacks is believed from when it was tried, not from when
    /// it was last done without.
    pub(crate) fn found(&self, api: Api, id: &NativeId, now: Timestamp) {
        let still = |at: Timestamp| within(BELIEVED_FOR, at, now);
        match api {
            Api::Statuses => self.project(id, |p| {
                if !p.without_actions.is_some_and(still) {
                    p.without_actions = Some(now);
                }
            }),
            Api::Runs | Api::Tasks => self.with(|known| {
                if !known.server.is_some_and(|(known, at)| known == api && still(at)) {
                    known.server = Some((api, now));
                }
                if let Some(project) = known.projects.get_mut(id) {
                    project.without_actions = None;
                }
            }),
        }
    }

    /// Whether this repository's runs are due to be read in full.
    pub(crate) fn wants_full(&self, id: &NativeId, now: Timestamp) -> bool {
        self.with(|known| {
            let project = known.projects.get(id).copied().unwrap_or_default();
            project.wants_full || !project.full.is_some_and(|at| within(FULL_EVERY, at, now))
        })
    }

    /// They were.
    pub(crate) fn read_in_full(&self, id: &NativeId, now: Timestamp) {
        self.project(id, |p| p.full = Some(now));
    }

    /// Whether a small page suffices for it when nothing is new.
    pub(crate) fn small_suffices(&self, id: &NativeId, suffices: bool) {
        self.project(id, |p| p.wants_full = !suffices);
    }

    /// Something of Gitea's was read from the server.
    pub(crate) fn is_gitea(&self) -> bool {
        self.with(|known| known.is_gitea)
    }

    /// See [`Memory::is_gitea`].
    pub(crate) fn seen_gitea(&self) {
        self.with(|known| known.is_gitea = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_lacks_is_tried_again_after_a_while() {
        let memory = Memory::default();
        let at = |minutes: i64| Timestamp::from_second(1_700_000_000 + minutes * 60).unwrap();
        let (a, b) = (NativeId::new("a/a"), NativeId::new("b/b"));
        assert_eq!(memory.api(&a, at(0)), Api::Runs);
        memory.found(Api::Tasks, &a, at(0));
        assert_eq!((memory.api(&b, at(59)), memory.api(&b, at(60))), (Api::Tasks, Api::Runs));
        assert_eq!(memory.api(&b, at(-1)), Api::Runs, "the clock was put back");
        memory.found(Api::Tasks, &b, at(30));
        assert_eq!(memory.api(&b, at(60)), Api::Runs, "however often it is done without");
        memory.found(Api::Statuses, &b, at(0));
        assert_eq!((memory.api(&b, at(1)), memory.api(&a, at(1))), (Api::Statuses, Api::Tasks));
        memory.found(Api::Runs, &b, at(60));
        assert_eq!((memory.api(&b, at(61)), memory.api(&a, at(61))), (Api::Runs, Api::Runs));
        assert!(memory.has_runs());
    }

    #[test]
    fn runs_are_read_in_full_now_and_then() {
        let memory = Memory::default();
        let at = |minutes: i64| Timestamp::from_second(1_700_000_000 + minutes * 60).unwrap();
        let id = NativeId::new("a/a");
        assert!(memory.wants_full(&id, at(0)));
        memory.read_in_full(&id, at(0));
        assert!(!memory.wants_full(&id, at(14)) && memory.wants_full(&id, at(15)));
        memory.small_suffices(&id, false);
        assert!(memory.wants_full(&id, at(1)));
    }
}
