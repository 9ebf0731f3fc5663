//! What is left of a limit, known over a restart: whoever begins anew in a loop spends no more than whoever runs.

use connector::http::Budget;
use domain::Timestamp;
use jiff::SignedDuration;
use serde_json::{Value, json};

/// What was left, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// What was left.
    pub budget: Budget,
    /// When that was so.
    pub at: Timestamp,
}

impl Kept {
    /// Whether it still tells something: the window goes on.
    fn holds(&self, now: Timestamp) -> bool {
        let window = self.budget.window.unwrap_or_default();
        let ends = self.budget.reset_at.or_else(|| self.at.checked_add(window).ok());
        self.at <= now && ends.is_some_and(|ends| now < ends)
    }

    /// As a text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Budget { limit, remaining, reset_at, window } = self.budget;
        let second = |at: Timestamp| at.as_second();
        json!({
            "limit": limit,
            "remaining": remaining,
            "reset_at": reset_at.map(second),
            "window": window.map(|w| w.as_secs()),
            "at": second(self.at),
        })
        .to_string()
    }

    /// The reverse; `None` for what it cannot read.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let instant = |name: &str| Timestamp::from_second(value.get(name)?.as_i64()?).ok();
        Some(Self {
            budget: Budget {
                limit: value.get("limit")?.as_u64()?,
                remaining: value.get("remaining")?.as_u64()?,
                reset_at: instant("reset_at"),
                window: value.get("window").and_then(Value::as_i64).map(SignedDuration::from_secs),
            },
            at: instant("at")?,
        })
    }
}

/// What is left now: as the platform says since the start, as far as that counts what was before, else as it was kept. `spent` are
/// the requests since the start.
pub(super) fn known(told: Option<Budget>, kept: Option<Kept>, spent: u64, now: Timestamp) -> Option<Budget> {
    let kept = kept
        .filter(|kept| kept.holds(now))
        .map(|kept| Budget { remaining: kept.budget.remaining.saturating_sub(spent), ..kept.budget });
    match (told, kept) {
        // Counted by the platform.
        (Some(told), _) if told.reset_at.is_some() => Some(told),
        // Counted by us, from nothing at each start.
        (Some(told), Some(kept)) => Some(Budget { remaining: told.remaining.min(kept.remaining), ..told }),
        (told, kept) => told.or(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn it_is_written_and_read() {
        let hour = Some(SignedDuration::from_hours(1));
        for (reset_at, window) in [(Some(at(3600)), hour), (None, hour), (None, None)] {
            let kept = Kept { budget: Budget { limit: 60, remaining: 7, reset_at, window }, at: at(12) };
            assert_eq!(Kept::parse(&kept.to_text()), Some(kept));
        }
        for text in ["", "{}", "[]", r#"{"limit":-1,"remaining":2,"at":3}"#, r#"{"limit":1,"remaining":2}"#] {
            assert_eq!(Kept::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_kept_counts_while_its_window_goes_on() {
        let window = Some(SignedDuration::from_hours(1));
        let budget = |remaining, reset_at| Budget { limit: 60, remaining, reset_at, window };
        let kept = |reset_at| Some(Kept { budget: budget(5, reset_at), at: at(100) });
        let left = |told, kept, spent, now| known(told, kept, spent, at(now)).map(|b| b.remaining);
        assert_eq!(left(None, kept(Some(at(200))), 2, 150), Some(3));
        assert_eq!(left(None, kept(Some(at(200))), 2, 200), None, "over");
        assert_eq!(left(None, kept(Some(at(200))), 0, 99), None, "the clock was put back");
        let told = Some(budget(40, Some(at(300))));
        assert_eq!(left(told, kept(Some(at(200))), 2, 150), Some(40), "the platform counts");
        let ours = Some(budget(58, None));
        assert_eq!(left(ours, kept(None), 2, 150), Some(3), "we do");
        assert_eq!(left(ours, kept(None), 2, 3700), Some(58));
    }
}
