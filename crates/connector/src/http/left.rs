//! What is left of a source's limits, known to whoever asks after it: a process that begins anew, or a client that is made anew.
//! Who begins again and again spends no more than who goes on.

use std::collections::BTreeMap;

use domain::Timestamp;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::budget::Budget;

/// What was left, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// When that was so.
    pub(super) at: Timestamp,
    /// Whose.
    pub(super) who: String,
    /// Of ordinary requests, as the platform told.
    pub(super) main: Option<Budget>,
    /// Of the resources that it counts apart, by name.
    pub(super) others: BTreeMap<String, Budget>,
    /// Where it does not count out loud: the hourly limit, if it was told, …
    pub(super) hourly: Option<u64>,
    /// … and how many requests were sent in which minute (since 1970) of the last hour.
    pub(super) minutes: BTreeMap<i64, u64>,
}

impl Left {
    /// Whether it tells something else than the other, whenever that was.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> bool {
        Self { at: other.at, ..self.clone() } != *other
    }

    /// What of a budget still holds at `now`: its window goes on.
    pub(super) fn holds(&self, budget: Budget, now: Timestamp) -> Option<Budget> {
        (self.at <= now && budget.reset_at.is_some_and(|ends| now < ends)).then_some(budget)
    }

    /// As a text.
    #[must_use]
    pub fn to_text(&self) -> String {
        json!({
            "at": self.at.as_second(),
            "who": self.who,
            "main": self.main.map(budget_to_json),
            "others": self.others.iter().map(|(name, b)| (name.clone(), budget_to_json(*b))).collect::<BTreeMap<_, _>>(),
            "hourly": self.hourly,
            "minutes": self.minutes.iter().collect::<Vec<_>>(),
        })
        .to_string()
    }

    /// The reverse; `None` for what it cannot read.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let others = value.get("others").and_then(Value::as_object);
        let budget = |(name, b): (&String, &Value)| Some((name.clone(), budget_of_json(b)?));
        let minutes = value.get("minutes").and_then(Value::as_array);
        let minute = |pair: &Value| Some((pair.get(0)?.as_i64()?, pair.get(1)?.as_u64()?));
        Some(Self {
            at: Timestamp::from_second(value.get("at")?.as_i64()?).ok()?,
            who: value.get("who").and_then(Value::as_str).unwrap_or_default().to_owned(),
            main: value.get("main").and_then(budget_of_json),
            others: others.into_iter().flatten().filter_map(budget).collect(),
            hourly: value.get("hourly").and_then(Value::as_u64),
            minutes: minutes.into_iter().flatten().filter_map(minute).collect(),
        })
    }
}

fn budget_to_json(budget: Budget) -> Value {
    let Budget { limit, remaining, reset_at, window } = budget;
    json!({
        "limit": limit,
        "remaining": remaining,
        "reset_at": reset_at.map(Timestamp::as_second),
        "window": window.map(|w| w.as_secs()),
    })
}

fn budget_of_json(value: &Value) -> Option<Budget> {
    Some(Budget {
        limit: value.get("limit")?.as_u64()?,
        remaining: value.get("remaining")?.as_u64()?,
        reset_at: value.get("reset_at").and_then(|at| Timestamp::from_second(at.as_i64()?).ok()),
        window: value.get("window").and_then(Value::as_i64).map(SignedDuration::from_secs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn budget(remaining: u64, reset_at: Option<i64>) -> Budget {
        let window = Some(SignedDuration::from_hours(1));
        Budget { limit: 60, remaining, reset_at: reset_at.map(at), window }
    }

    fn left() -> Left {
        Left {
            at: at(12),
            who: "somebody".into(),
            main: Some(budget(7, Some(3600))),
            others: [("graphql".to_owned(), budget(3, None))].into(),
            hourly: Some(1000),
            minutes: [(0, 5), (1, 2)].into(),
        }
    }

    #[test]
    fn it_is_written_and_read() {
        let nothing =
            Left { main: None, others: BTreeMap::new(), hourly: None, minutes: BTreeMap::new(), ..left() };
        for left in [left(), nothing] {
            assert_eq!(Left::parse(&left.to_text()), Some(left));
        }
        for text in ["", "{}", "[]", r#"{"at":"x"}"#, r#"{"main":null}"#] {
            assert_eq!(Left::parse(text), None, "{text}");
        }
        let broken = r#"{"at":3,"main":{"limit":-1,"remaining":2},"others":7,"minutes":[[1],[2,3],"x"]}"#;
        let read = Left::parse(broken).unwrap();
        assert_eq!((read.main, read.others.len(), read.minutes), (None, 0, [(2, 3)].into()));
    }

    #[test]
    fn the_moment_makes_no_difference() {
        assert!(!Left { at: at(99), ..left() }.differs_from(&left()));
        assert!(Left { main: None, ..left() }.differs_from(&left()));
    }

    #[test]
    fn it_counts_while_the_window_goes_on() {
        let left = left();
        let holds = |reset: Option<i64>, now| left.holds(budget(5, reset), at(now)).is_some();
        assert!(holds(Some(200), 150));
        assert!(!holds(Some(200), 200), "over");
        assert!(!holds(Some(200), 11), "the clock was put back");
        assert!(!holds(None, 13), "nobody knows until when");
    }
}
