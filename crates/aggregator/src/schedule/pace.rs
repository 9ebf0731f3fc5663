//! How often a project is to be asked, by what is known of it.
//!
//! | what is known | every |
//! | --- | --- |
//! | a run goes on | 10 s; less often the longer nothing has happened to it, up to a minute |
//! | somebody looks at it | 15 s |
//! | it failed to be read | a minute, doubled at each failure, and up to a quarter more by its id |
//! | something happened within a day | 45 s |
//! | nothing for longer | the refresh interval at a day, more in proportion, up to [`DORMANT`] intervals |
//!
//! None of these is longer than the refresh interval where that is shorter, but for the last. Of a project whose changes
//! webhooks tell, all but the second is [`WITH_WEBHOOKS`] times as long.

use domain::Timestamp;
use jiff::SignedDuration;

use super::Plan;

const RUNNING: SignedDuration = SignedDuration::from_secs(10);
const RUNNING_LONG: SignedDuration = SignedDuration::from_secs(60);
/// A run that has not moved for this long is asked for every [`RUNNING`]; longer, in proportion.
const RUNNING_QUIETLY: SignedDuration = SignedDuration::from_mins(10);
const LOOKED_AT: SignedDuration = SignedDuration::from_secs(15);
const FAILED: SignedDuration = SignedDuration::from_secs(60);
const ACTIVE: SignedDuration = SignedDuration::from_secs(45);
const ACTIVE_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// The longest, in refresh intervals: an hour at five minutes.
pub(super) const DORMANT: i32 = 12;
/// Polling of what webhooks tell of is so much slower.
const WITH_WEBHOOKS: i32 = 5;
/// Webhooks are alive for so long after the last one that told of runs.
pub(super) const WEBHOOKS_ALIVE: SignedDuration = SignedDuration::from_hours(24);

/// Where projects are asked for news, many at once, their whole state is read so many times as seldom …
const WHOLE: i32 = 24;
/// … and at most once in so many refresh intervals: six hours at five minutes. News tell of almost everything.
const WHOLE_AT_MOST: i32 = 72;

/// How often the whole state of a project is read that is asked for news so often.
pub(super) fn whole(every: SignedDuration, plan: &Plan) -> SignedDuration {
    every.saturating_mul(WHOLE).max(plan.every * WHOLE_AT_MOST)
}

/// What is known of a project, as far as it decides how often it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// A run is queued or running.
    pub running: bool,
    /// When something last happened to it, by the platform's own times.
    pub moved_at: Option<Timestamp>,
}

/// Why a project is asked when it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was never read.
    New,
    /// A webhook told of it.
    Woken,
    /// Somebody looks at it.
    LookedAt,
    /// The listing says that something happened to it.
    Moved,
    /// It could not be read.
    Failed,
    /// A run goes on.
    Running,
    /// Something happened within a day.
    Active,
    /// Nothing happened for longer.
    Dormant,
    /// It is not asked: archived, or without CI.
    Never,
}

impl Why {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Woken => "webhook",
            Self::LookedAt => "looked_at",
            Self::Moved => "moved",
            Self::Failed => "failed",
            Self::Running => "running",
            Self::Active => "active",
            Self::Dormant => "dormant",
            Self::Never => "never",
        }
    }

    /// For people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::New => "it was never read yet",
            Self::Woken => "a webhook told of it",
            Self::LookedAt => "somebody looks at it",
            Self::Moved => "the listing says that something happened to it",
            Self::Failed => "it could not be read the last time",
            Self::Running => "a run is going on",
            Self::Active => "something happened within the last day",
            Self::Dormant => "nothing has happened for more than a day",
            Self::Never => "it is archived or has no CI: it is listed, not read",
        }
    }
}

/// How often a told listing (one that holds every state) is asked for at most.
pub(super) fn told_at_most_every(plan: &Plan) -> SignedDuration {
    LOOKED_AT.min(plan.every)
}

pub(super) fn looked_at(plan: &Plan) -> SignedDuration {
    LOOKED_AT.min(plan.every)
}

/// How often an active project is asked, where nothing stretches that.
pub(super) fn active(plan: &Plan) -> SignedDuration {
    ACTIVE.min(plan.every)
}

/// How long one that failed so often is left alone; `jitter`, 0 to 1, adds up to a quarter.
pub(super) fn failed(plan: &Plan, failures: u32, jitter: f64) -> SignedDuration {
    let doubled = FAILED.min(plan.every) * (1 << failures.saturating_sub(1).min(10));
    let pause = doubled.min(plan.every * DORMANT);
    pause.saturating_add(
        SignedDuration::try_from_secs_f64(pause.as_secs_f64() * jitter / 4.0).unwrap_or_default(),
    )
}

/// How often, and why, as of `now`.
pub(super) fn pace(known: &Known, hooked: bool, plan: &Plan, now: Timestamp) -> (SignedDuration, Why) {
    let age = known.moved_at.map(|at| now.duration_since(at).max(SignedDuration::ZERO));
    let slower = if hooked { WITH_WEBHOOKS } else { 1 };
    if known.running {
        let quiet = age.unwrap_or_default().as_secs_f64() / RUNNING_QUIETLY.as_secs_f64();
        let every = SignedDuration::try_from_secs_f64(RUNNING.as_secs_f64() * quiet).unwrap_or(RUNNING_LONG);
        return (every.clamp(RUNNING, RUNNING_LONG).min(plan.every) * slower, Why::Running);
    }
    match age {
        Some(age) if age <= ACTIVE_WITHIN => (active(plan) * slower, Why::Active),
        _ => {
            let longest = plan.every * DORMANT;
            let days = age.map_or(f64::MAX, |age| age.as_secs_f64() / ACTIVE_WITHIN.as_secs_f64());
            let every = SignedDuration::try_from_secs_f64(plan.every.as_secs_f64() * days).unwrap_or(longest);
            (every.clamp(plan.every, longest), Why::Dormant)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_are_those_of_the_table() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let plan = Plan { every: SignedDuration::from_mins(5) };
        let ago = |hours: i64| Some(now - SignedDuration::from_hours(hours));
        for (running, moved_at, hooked, seconds, why) in [
            (true, ago(0), false, 10, Why::Running),
            (true, ago(0), true, 50, Why::Running),
            (true, ago(5), false, 60, Why::Running),
            (false, ago(0), false, 45, Why::Active),
            (false, ago(24), false, 45, Why::Active),
            (false, ago(24), true, 225, Why::Active),
            (false, ago(48), false, 600, Why::Dormant),
            (false, ago(24 * 30), false, 3600, Why::Dormant),
            (false, ago(-1), false, 45, Why::Active),
            (false, None, false, 3600, Why::Dormant),
        ] {
            let (every, told) = pace(&Known { running, moved_at }, hooked, &plan, now);
            assert_eq!((every.as_secs(), told), (seconds, why), "{running} {moved_at:?} {hooked}");
        }
        let quick = Plan { every: SignedDuration::from_secs(2) };
        let (every, _) = pace(&Known { running: true, moved_at: ago(0) }, false, &quick, now);
        assert_eq!(every.as_secs(), 2, "a demo reads everything so often");
        assert_eq!(failed(&plan, 1, 0.0).as_secs(), 60);
        assert_eq!(failed(&plan, 1, 1.0).as_secs(), 75);
        assert_eq!(failed(&plan, 20, 0.0).as_secs(), 3600);
    }
}
