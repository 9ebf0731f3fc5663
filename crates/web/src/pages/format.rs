//! Numbers, spans of time and moments as people read them: `1,204`, `88 %`, `6 m 12 s`, `4 min ago`. The same on every page.
//!
//! `static/app.js` lets them tick by the same rules; `tests/browser/format.json` holds both to them.

use std::time::Duration;

use jiff::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// `1,204`.
#[must_use]
pub fn number(n: impl Into<u64>) -> String {
    let digits = n.into().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `88 %` of a share from 0 to 1. `100 %` and `0 %` are kept for what is all or nothing.
#[must_use]
pub fn percent(share: f64) -> String {
    let rounded = (share * 100.0).round();
    let shown = if share < 1.0 { rounded.min(99.0) } else { 100.0 };
    let shown = if share > 0.0 { shown.max(1.0) } else { 0.0 };
    format!("{shown:.0} %")
}

/// `34 s`, `6 m 12 s`, `2 h 14 min`, `3 d 4 h`. Fractions of a second are dropped; less than one is `< 1 s`.
#[must_use]
pub fn duration(d: Duration) -> String {
    let s = d.as_secs();
    if s == 0 {
        return if d.is_zero() { "0 s".into() } else { "< 1 s".into() };
    }
    if s < MINUTE {
        format!("{s} s")
    } else if s < HOUR {
        format!("{} m {:02} s", s / MINUTE, s % MINUTE)
    } else if s < DAY {
        format!("{} h {:02} min", s / HOUR, s % HOUR / MINUTE)
    } else {
        let hours = s % DAY / HOUR;
        if hours == 0 || s >= 10 * DAY {
            format!("{} d", s / DAY)
        } else {
            format!("{} d {hours} h", s / DAY)
        }
    }
}

/// How long a state has lasted, without seconds: `under 1 min`, `47 min`, `2 h 14 min`, `3 d 4 h`.
#[must_use]
pub fn lasting(d: Duration) -> String {
    match d.as_secs() {
        s if s < MINUTE => "under 1 min".into(),
        s if s < HOUR => format!("{} min", s / MINUTE),
        _ => duration(d),
    }
}

/// The same for a headline, in one word and its unit: `9 hours`, `1 day`.
#[must_use]
pub fn in_words(d: Duration) -> String {
    let s = d.as_secs();
    let (n, unit) = match s {
        _ if s < MINUTE => return "less than a minute".into(),
        _ if s < HOUR => (s / MINUTE, "minute"),
        _ if s < 2 * DAY => (s / HOUR, "hour"),
        _ => (s / DAY, "day"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// `now`, `4 min ago`, `3 h ago`, `12 d ago`, `2 y ago`. What lies ahead (clocks differ) is `now`.
#[must_use]
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    match since(then, now).as_secs() {
        s if s < MINUTE => "now".into(),
        s if s < HOUR => format!("{} min ago", s / MINUTE),
        s if s < DAY => format!("{} h ago", s / HOUR),
        s if s < YEAR => format!("{} d ago", s / DAY),
        s => format!("{} y ago", s / YEAR),
    }
}

/// What is left of a run that takes `expected` as a rule: `about 2 min left`, `4 min longer than usual`; beyond `overdue`,
/// where that is known, `overdue, 4 min longer than usual`.
#[must_use]
pub fn left(elapsed: Duration, expected: Duration, overdue: Option<Duration>) -> String {
    if elapsed <= expected {
        match expected.saturating_sub(elapsed).as_secs() {
            s if s < MINUTE => "less than 1 min left".into(),
            s if s < 90 * MINUTE => format!("about {} min left", (s + MINUTE / 2) / MINUTE),
            s => format!("about {} h left", (s + HOUR / 2) / HOUR),
        }
    } else {
        let longer = elapsed.saturating_sub(expected);
        let is_overdue = overdue.is_some_and(|overdue| elapsed > overdue);
        match longer.as_secs() {
            s if is_overdue && s < MINUTE => "overdue".into(),
            _ if is_overdue => format!("overdue, {} longer than usual", lasting(longer)),
            s if s < MINUTE => "about to end".into(),
            _ => format!("{} longer than usual", lasting(longer)),
        }
    }
}

/// When something is due: `in 20 s`, `in 3 min`, `now`.
#[must_use]
pub fn until(then: Timestamp, now: Timestamp) -> String {
    match since(now, then).as_secs() {
        0 => "now".into(),
        s if s < MINUTE => format!("in {s} s"),
        s if s < HOUR => format!("in {} min", s.div_ceil(MINUTE)),
        s => format!("in {} h", s.div_ceil(HOUR)),
    }
}

/// A moment: `14:02 UTC` today, `23 Nov 14:02 UTC` else, with the year when it is another one. The browser turns it
/// into its own time zone.
#[must_use]
pub fn clock(then: Timestamp, now: Timestamp) -> String {
    let format = if day(then) == day(now) {
        "%H:%M UTC"
    } else if then.strftime("%Y").to_string() == now.strftime("%Y").to_string() {
        "%-d %b %H:%M UTC"
    } else {
        "%-d %b %Y %H:%M UTC"
    };
    then.strftime(format).to_string()
}

fn day(at: Timestamp) -> String {
    at.strftime("%F").to_string()
}

/// To the second, for titles: `2026-11-24 14:02:11 UTC`.
#[must_use]
pub fn exact(at: Timestamp) -> String {
    at.strftime("%F %T UTC").to_string()
}

/// For machines: RFC 3339, whole seconds.
#[must_use]
pub fn machine(at: Timestamp) -> String {
    at.strftime("%FT%TZ").to_string()
}

/// From `then` to `now`; nothing when `then` lies ahead.
#[must_use]
pub fn since(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or_default()
}

/// `1 project`, `3 projects`.
#[must_use]
pub fn count(n: u32, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: &str = include_str!("../../tests/browser/format.json");

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// Every case of the table that the browser's own functions are held to as well.
    #[test]
    fn the_shared_table_holds() {
        let table: serde_json::Value = serde_json::from_str(CASES).unwrap();
        let now = 1_000_000_000;
        for (rule, cases) in table.as_object().unwrap() {
            for case in cases.as_array().unwrap() {
                let (input, want) = (&case[0], case[1].as_str().unwrap());
                let secs = |v: &serde_json::Value| Duration::from_secs_f64(v.as_f64().unwrap());
                let got = match rule.as_str() {
                    "number" => number(input.as_u64().unwrap()),
                    "duration" => duration(secs(input)),
                    "lasting" => lasting(secs(input)),
                    "words" => in_words(secs(input)),
                    "ago" => ago(at(now - input.as_i64().unwrap()), at(now)),
                    "until" => until(at(now + input.as_i64().unwrap()), at(now)),
                    "left" => left(secs(&input[0]), secs(&input[1]), input.get(2).map(secs)),
                    other => panic!("no rule {other}"),
                };
                assert_eq!(got, want, "{rule} of {input}");
            }
        }
    }

    #[test]
    fn all_and_nothing_are_not_rounded_to() {
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.999), "99 %");
        assert_eq!(percent(0.884), "88 %");
        assert_eq!(percent(0.001), "1 %");
        assert_eq!(percent(0.0), "0 %");
    }

    #[test]
    fn moments_say_the_day_only_when_it_is_another() {
        let now: Timestamp = "2026-11-24T14:10:00Z".parse().unwrap();
        assert_eq!(clock("2026-11-24T14:02:11Z".parse().unwrap(), now), "14:02 UTC");
        assert_eq!(clock("2026-11-03T09:02:11Z".parse().unwrap(), now), "3 Nov 09:02 UTC");
        assert_eq!(clock("2025-11-24T14:02:11Z".parse().unwrap(), now), "24 Nov 2025 14:02 UTC");
        assert_eq!(exact("2026-11-24T14:02:11.9Z".parse().unwrap()), "2026-11-24 14:02:11 UTC");
        assert_eq!(machine("2026-11-24T14:02:11.9Z".parse().unwrap()), "2026-11-24T14:02:11Z");
    }
}
