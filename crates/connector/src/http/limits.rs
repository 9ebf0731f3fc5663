//! The platform's rate limit, as its own headers tell it, and the gate that keeps to it.

use std::sync::{Mutex, PoisonError};

use domain::Timestamp;
use http::HeaderMap;
use jiff::SignedDuration;
use jiff::fmt::rfc2822;

use super::settings::BudgetHeaders;

/// Wait this long when a platform says "too many" but not until when: GitHub's rule for its secondary limit.
const DEFAULT_PAUSE: SignedDuration = SignedDuration::from_secs(60);
/// The longest pause that is believed; a reset further away is a mistake of some clock.
const MAX_PAUSE: SignedDuration = SignedDuration::from_hours(2);

/// What is left of the rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests in a window.
    pub limit: u64,
    /// Requests left.
    pub remaining: u64,
    /// When the window ends; `None` when the platform names a time in the past.
    pub reset_at: Option<Timestamp>,
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// `Retry-After` in seconds or as an HTTP date.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return now.saturating_add(SignedDuration::from_secs(seconds.into())).ok();
    }
    rfc2822::parse(text).ok().map(|z| z.timestamp()).filter(|at| *at > now)
}

#[derive(Debug, Default)]
struct State {
    budget: Option<Budget>,
    paused_until: Option<Timestamp>,
}

/// One source's limit.
#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<State>);

impl Limits {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what an answer tells.
    pub(super) fn learn(&self, headers: &HeaderMap, names: Option<BudgetHeaders>, now: Timestamp) {
        let Some(names) = names else { return };
        let (Some(limit), Some(remaining)) = (number(headers, names.limit), number(headers, names.remaining))
        else {
            return;
        };
        let reset_at = number(headers, names.reset)
            .and_then(|s| Timestamp::from_second(s).ok())
            .filter(|at| *at > now && at.duration_since(now) <= MAX_PAUSE);
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        self.state().budget = Some(Budget { limit: count(limit), remaining: count(remaining), reset_at });
    }

    /// What is left; a window that has ended is full again.
    pub(super) fn budget(&self, now: Timestamp) -> Option<Budget> {
        let budget = self.state().budget?;
        Some(match budget.reset_at {
            Some(at) if at <= now => Budget { remaining: budget.limit, reset_at: None, ..budget },
            _ => budget,
        })
    }

    /// The platform said "too many": nothing is asked until then. Gives back until when.
    pub(super) fn pause(&self, told: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let longest = now.saturating_add(MAX_PAUSE).unwrap_or(Timestamp::MAX);
        let until = told
            .filter(|at| *at > now)
            .unwrap_or_else(|| now.saturating_add(DEFAULT_PAUSE).unwrap_or(Timestamp::MAX))
            .min(longest);
        let mut state = self.state();
        state.paused_until = state.paused_until.max(Some(until));
        until
    }

    /// Until when nothing may be asked, if that is so.
    pub(super) fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        let state = self.state();
        let spent = state.budget.filter(|b| b.remaining == 0).and_then(|b| b.reset_at);
        state.paused_until.max(spent).filter(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: BudgetHeaders = BudgetHeaders { limit: "l", remaining: "r", reset: "t" };

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    #[test]
    fn a_spent_budget_closes_the_gate_until_its_reset() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let limits = Limits::default();
        limits.learn(&headers(&[("l", "60"), ("r", "0"), ("t", "1000100")]), Some(NAMES), now);
        assert_eq!(limits.closed_until(now), Timestamp::from_second(1_000_100).ok());
        let later = Timestamp::from_second(1_000_100).unwrap();
        assert_eq!(limits.closed_until(later), None);
        assert_eq!(limits.budget(later).unwrap().remaining, 60);
    }

    #[test]
    fn a_reset_in_the_past_is_no_reset() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let limits = Limits::default();
        limits.learn(&headers(&[("l", "60"), ("r", "0"), ("t", "5")]), Some(NAMES), now);
        assert_eq!(limits.closed_until(now), None);
        assert_eq!(limits.budget(now).unwrap().reset_at, None);
    }

    #[test]
    fn retry_after_in_both_forms() {
        let now: Timestamp = "2015-10-21T07:27:00Z".parse().unwrap();
        let want: Timestamp = "2015-10-21T07:28:00Z".parse().unwrap();
        assert_eq!(retry_after(&headers(&[("retry-after", "60")]), now), Some(want));
        assert_eq!(
            retry_after(&headers(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]), now),
            Some(want)
        );
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")]), now), None);
    }

    #[test]
    fn no_pause_is_for_ever() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let limits = Limits::default();
        assert_eq!(limits.pause(Some(Timestamp::MAX), now).duration_since(now), MAX_PAUSE);
        assert_eq!(
            Limits::default().pause(Some(Timestamp::UNIX_EPOCH), now).duration_since(now),
            DEFAULT_PAUSE
        );
    }
}
