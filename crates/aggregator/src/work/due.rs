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
//!
//! Where a platform tells how many merge requests are open while it is asked for pipelines, another number than is known counts as
//! having moved, and none at all need not be read.

use std::time::Duration;

use domain::{ProblemKind, ProjectKey, Timestamp};
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
    /// When it was told along with something else that the list is empty, if that is newer than the list and new enough.
    pub none_at: Option<Timestamp>,
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

/// Whether a project's lists are read though nobody looks at that project: what is archived, gone, without CI or quiet is not.
#[must_use]
pub fn is_asked(entry: &Entry, watched: &Watched, now: Timestamp) -> bool {
    let project = &entry.project;
    let gone = entry.problem().is_some_and(|p| matches!(p.kind, ProblemKind::NotFound | ProblemKind::Legal));
    if project.archived || entry.is_loading() || gone {
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

/// What a number of open ones that was told along with something else says of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counted {
    /// It is another than the list's.
    differs: bool,
    /// When there was none.
    none_at: Option<Timestamp>,
}

impl Counted {
    fn of<T>(told: Option<(u64, Timestamp)>, kept: Option<&Kept<T>>) -> Self {
        let newer = |(_, at): &(u64, Timestamp)| {
            kept.is_none_or(|k| k.has_none.is_none() && k.read_at.is_none_or(|read| read < *at))
        };
        let Some((open, at)) = told.filter(newer) else { return Self::default() };
        let differs = kept.is_some_and(|k| !k.more && k.items.len() as u64 != open);
        Self { differs, none_at: (open == 0).then_some(at) }
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
            let counted = (T::KIND == Kind::MergeRequests).then(|| self.present.work.counted(key)).flatten();
            let counted = Counted::of(counted, kept);
            let moved = kept.is_some_and(|k| k.mark != mark) || counted.differs;
            let age = |known| may_age(self.every, &known, this || all, moved);
            let none_at =
                counted.none_at.filter(|at| is_within(*at, age(Known::Read { any: false }), self.now));
            let age = age(Known::of(kept));
            let at = kept.map(|k| k.asked + age);
            if at.is_some_and(|at| at > self.instant) {
                then = then.into_iter().chain(at).min();
                continue;
            }
            let urgency = (!this, kept.is_some(), std::cmp::Reverse(mark.activity), at);
            found.push((urgency, Due { project: key.clone(), kind: T::KIND, mark, none_at }));
        }
        then
    }
}

fn is_within(at: Timestamp, age: Duration, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(at)).is_ok_and(|since| since <= age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_told_along_says_whether_a_list_is_worth_reading() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let list = |items: usize, read: i64| Kept {
            items: vec![(); items],
            more: false,
            problem: None,
            failed: false,
            has_none: None,
            read_at: Some(at(read)),
            asked: Instant::now(),
            mark: Mark::default(),
        };
        let of = |told, kept: Option<&Kept<()>>| {
            let counted = Counted::of(told, kept);
            (counted.differs, counted.none_at)
        };
        assert_eq!(of(None, None), (false, None));
        assert_eq!(of(Some((0, at(5))), None), (false, Some(at(5))), "never read, and need not be");
        assert_eq!(of(Some((2, at(5))), None), (false, None));
        assert_eq!(of(Some((2, at(5))), Some(&list(2, 1))), (false, None));
        assert_eq!(of(Some((3, at(5))), Some(&list(2, 1))), (true, None));
        assert_eq!(of(Some((0, at(5))), Some(&list(2, 1))), (true, Some(at(5))));
        assert_eq!(of(Some((0, at(5))), Some(&list(2, 9))), (false, None), "read since");
        assert_eq!(
            of(Some((400, at(5))), Some(&Kept { more: true, ..list(2, 1) })),
            (false, None),
            "not all are kept"
        );
        let none = Kept { has_none: Some(domain::Problem::new(ProblemKind::Partial, "off")), ..list(0, 1) };
        assert_eq!(of(Some((0, at(5))), Some(&none)), (false, None));
    }

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
