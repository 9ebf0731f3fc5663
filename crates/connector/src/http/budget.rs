//! What is left of the rate limit, as the platform's own headers tell it.

use std::sync::{Mutex, PoisonError};

use domain::Timestamp;
use http::HeaderMap;
use jiff::SignedDuration;

use super::gate::LONGEST_PAUSE;
use super::settings::BudgetHeaders;

/// What is left of the rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests in a window.
    pub limit: u64,
    /// Requests left.
    pub remaining: u64,
    /// When the window ends; `None` when the platform names none, or a time in the past.
    pub reset_at: Option<Timestamp>,
    /// How long a window is; `None` when the platform does not say when it ends, so that what it counts says little.
    pub window: Option<SignedDuration>,
}

/// Reads it from an answer. A reset that has passed, or is too far away to be one, is none.
pub(super) fn read(headers: &HeaderMap, names: BudgetHeaders, now: Timestamp) -> Option<Budget> {
    let (limit, remaining) = (number(headers, names.limit)?, number(headers, names.remaining)?);
    let reset_at = reset(headers, names, now);
    Some(Budget { limit, remaining, reset_at, window: reset_at.map(|_| names.window) })
}

/// When the window ends, if that is told and makes sense.
pub(super) fn reset(headers: &HeaderMap, names: BudgetHeaders, now: Timestamp) -> Option<Timestamp> {
    let at = i64::try_from(number(headers, names.reset)?).ok()?;
    Timestamp::from_second(at).ok().filter(|at| is_reset(*at, now))
}

/// Whether a window may end then: not in the past, nor too far away.
pub(super) fn is_reset(at: Timestamp, now: Timestamp) -> bool {
    at > now && at.duration_since(now) <= LONGEST_PAUSE
}

/// The number at the beginning: some write `60, 60;w=60`.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).map_or(text, |end| &text[..end]);
    digits.parse().ok()
}

/// The newest word of one source.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Option<Budget>>);

impl Meter {
    /// Takes what an answer tells. Answers overtake each other: within a window the count only falls.
    pub(super) fn learn(&self, told: Budget) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let late = known.is_some_and(|known| {
            told.reset_at.is_some()
                && told.reset_at == known.reset_at
                && told.limit == known.limit
                && told.remaining > known.remaining
        });
        if !late {
            *known = Some(told);
        }
    }

    /// Takes what was known before, of a window that goes on. What is known since then counts, where it is of a later window.
    pub(super) fn resume(&self, told: Budget) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|k| {
            k.reset_at < told.reset_at || (k.reset_at == told.reset_at && told.remaining < k.remaining)
        }) {
            *known = Some(told);
        }
    }

    /// Nothing is known any more.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is left at `now`: a window that has ended is full again.
    pub(super) fn budget(&self, now: Timestamp) -> Option<Budget> {
        let budget = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(match budget.reset_at {
            Some(at) if at <= now => Budget { remaining: budget.limit, reset_at: None, ..budget },
            _ => budget,
        })
    }

    /// Until when nothing is left, if nothing is.
    pub(super) fn spent_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.budget(now).filter(|b| b.remaining == 0)?.reset_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: BudgetHeaders = BudgetHeaders { limit: "l", remaining: "r", reset: "t", window: HOUR };
    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn told(limit: &str, remaining: &str, reset: &str) -> Option<Budget> {
        let mut headers = HeaderMap::new();
        for (name, value) in [("l", limit), ("r", remaining), ("t", reset)] {
            headers.insert(name, value.parse().unwrap());
        }
        read(&headers, NAMES, at(1_000_000))
    }

    #[test]
    fn the_headers_are_read() {
        let whole =
            Budget { limit: 5000, remaining: 4999, reset_at: Some(at(1_000_100)), window: Some(HOUR) };
        assert_eq!(told("5000", "4999", "1000100"), Some(whole));
        assert_eq!(told("5000, 5000;w=3600", " 4999 ", "1000100"), Some(whole));
        let without = Some(Budget { reset_at: None, window: None, ..whole });
        for reset in ["5", "1000000", "999999", "soon", "-1", "1000100000", "99999999999999999999"] {
            assert_eq!(told("5000", "4999", reset), without, "{reset}");
        }
        assert_eq!(told("x", "4999", "1000100"), None);
        assert_eq!(told("5000", "", "1000100"), None);
        assert_eq!(read(&HeaderMap::new(), NAMES, at(0)), None);
    }

    #[test]
    fn an_answer_that_was_overtaken_gives_nothing_back() {
        let meter = Meter::default();
        assert_eq!(meter.budget(at(0)), None);
        let tell = |remaining, reset| {
            meter.learn(Budget { limit: 60, remaining, reset_at: Some(at(reset)), window: Some(HOUR) })
        };
        tell(10, 100);
        tell(12, 100);
        assert_eq!(meter.budget(at(0)).unwrap().remaining, 10);
        tell(59, 160);
        assert_eq!(meter.budget(at(0)).unwrap().remaining, 59, "a new window");
    }

    #[test]
    fn a_window_that_has_ended_is_full_again() {
        let meter = Meter::default();
        meter.learn(Budget { limit: 60, remaining: 0, reset_at: Some(at(100)), window: Some(HOUR) });
        assert_eq!(meter.spent_until(at(99)), Some(at(100)));
        assert_eq!(meter.spent_until(at(100)), None);
        assert_eq!(
            meter.budget(at(100)),
            Some(Budget { limit: 60, remaining: 60, reset_at: None, window: Some(HOUR) })
        );
        meter.learn(Budget { limit: 60, remaining: 0, reset_at: None, window: None });
        assert_eq!(meter.spent_until(at(0)), None, "without a reset there is nothing to wait for");
    }
}
