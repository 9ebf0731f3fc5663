//! Which list is to be read next, and when. Pure.
//!
//! | of a project | looked at | at rest |
//! | --- | --- | --- |
//! | never read | at once | at once |
//! | that moved (activity, a new run) | a fifth of the refresh interval | the interval |
//! | with open ones | a fifth | [`REST`] intervals |
//! | without | the interval | [`REST`] intervals |
//! | that failed | the interval | the interval |
//! | that has no such list | [`HAS_NONE`] intervals | the same |

use std::time::Duration;

use domain::{ProjectKey, Timestamp};
use jiff::SignedDuration;
use tokio::time::Instant;

use super::{Attention, Item, Kept, Kind, Mark};
use crate::board::Entry;
use crate::hub::Present;
use crate::watched::Watched;

/// Without any sign of life for this long, a project's lists are not read unless somebody looks at that project.
pub const ASKED_WITHIN: SignedDuration = SignedDuration::from_hours(90 * 24);
/// So many refresh intervals pass before a list that nobody looks at is read again.
pub const REST: u32 = 6;
/// So many before a project that has no such list is asked whether it has one now.
pub const HAS_NONE: u32 = 72;
/// While somebody looks, a list may be as old as this part of the refresh interval.
const LOOKED_AT: u32 = 5;

/// A list to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub project: ProjectKey,
    /// Which.
    pub kind: Kind,
    /// How the project is now.
    pub mark: Mark,
}

/// How a project is now, as far as it tells whether its list may have changed.
#[must_use]
pub fn mark(entry: &Entry, kind: Kind) -> Mark {
    Mark {
        activity: entry.project.last_activity_at,
        // A push moves a merge request. It does not open an issue.
        newest_run: match kind {
            Kind::MergeRequests => entry.runs().first().map(|r| r.id.clone()),
            Kind::Issues => None,
        },
    }
}

/// Whether a project's lists are read though nobody looks at that project: what is archived, without CI or quiet is not.
#[must_use]
pub fn is_asked(entry: &Entry, watched: &Watched, now: Timestamp) -> bool {
    let project = &entry.project;
    if project.archived || entry.is_loading() {
        return false;
    }
    if watched.is_named(project) {
        return true;
    }
    let run = entry.runs().first().and_then(|r| r.updated_at.or(r.began()));
    let last = run.max(project.last_activity_at);
    let alive = last.is_none_or(|last| now.duration_since(last) <= ASKED_WITHIN);
    alive && entry.folded(now).is_none()
}

/// How old a list may get.
#[must_use]
pub fn may_age(every: Duration, known: &Known, looked_at: bool, moved: bool) -> Duration {
    match known {
        Known::Never => Duration::ZERO,
        Known::HasNone => every.saturating_mul(HAS_NONE),
        Known::Failed => every,
        Known::Read { any } if looked_at && (moved || *any) => every / LOOKED_AT,
        Known::Read { .. } if looked_at || moved => every,
        Known::Read { .. } => every.saturating_mul(REST),
    }
}

/// What is known of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    Never,
    /// It was read, and held something or not.
    Read {
        /// Whether it held anything.
        any: bool,
    },
    /// The project has none.
    HasNone,
    /// It could not be read.
    Failed,
}

impl Known {
    fn of<T>(kept: Option<&Kept<T>>) -> Self {
        match kept {
            None => Self::Never,
            Some(kept) if kept.has_none.is_some() => Self::HasNone,
            Some(kept) if kept.problem.is_some() => Self::Failed,
            Some(kept) => Self::Read { any: !kept.items.is_empty() },
        }
    }
}

/// What decides the order of what is due: looked at first, then never read (the liveliest first), then longest due.
pub type Urgency = (bool, bool, std::cmp::Reverse<Option<Timestamp>>, Option<Instant>);

/// Collects what is due.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Board and lists.
    pub present: &'a Present,
    /// Names that never fold away.
    pub watched: &'a Watched,
    /// Who looks.
    pub attention: &'a Attention,
    /// The refresh interval.
    pub every: Duration,
    /// The time of day.
    pub now: Timestamp,
    /// The same in the other clock.
    pub instant: Instant,
}

impl Ask<'_> {
    /// Adds what of a kind is due to `found`; gives back when the next one is, if later.
    pub fn collect<'b, T: Item>(
        &self,
        entries: impl Iterator<Item = &'b Entry>,
        found: &mut Vec<(Urgency, Due)>,
    ) -> Option<Instant> {
        let all = self.attention.at_all(T::KIND);
        let mut then = None;
        for entry in entries {
            let key = &entry.project.key;
            let this = self.attention.at_project(T::KIND, key);
            if !this && !is_asked(entry, self.watched, self.now) {
                continue;
            }
            let kept = self.present.work.of::<T>().get(key);
            let mark = mark(entry, T::KIND);
            let moved = kept.is_some_and(|k| k.mark != mark);
            let age = may_age(self.every, &Known::of(kept), this || all, moved);
            let at = kept.map(|k| k.asked + age);
            if at.is_some_and(|at| at > self.instant) {
                then = then.into_iter().chain(at).min();
                continue;
            }
            let urgency = (!this, kept.is_some(), std::cmp::Reverse(mark.activity), at);
            found.push((urgency, Due { project: key.clone(), kind: T::KIND, mark }));
        }
        then
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_those_of_the_table() {
        let every = Duration::from_secs(300);
        let (some, none) = (Known::Read { any: true }, Known::Read { any: false });
        for (known, looked_at, moved, minutes) in [
            (Known::Never, false, false, 0),
            (Known::Never, true, true, 0),
            (some, true, true, 1),
            (none, true, true, 1),
            (some, true, false, 1),
            (none, true, false, 5),
            (some, false, true, 5),
            (none, false, true, 5),
            (some, false, false, 30),
            (none, false, false, 30),
            (Known::Failed, true, true, 5),
            (Known::Failed, false, false, 5),
            (Known::HasNone, true, true, 360),
            (Known::HasNone, false, false, 360),
        ] {
            let age = may_age(every, &known, looked_at, moved);
            assert_eq!(age.as_secs() / 60, minutes, "{known:?} {looked_at} {moved}");
        }
    }
}
