//! Reading other people's JSON: what is not needed is not required, and what has an unexpected type is as good as absent.

use std::time::Duration;

use domain::Timestamp;
use jiff::SignedDuration;
use jiff::fmt::strtime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A list of which the rows that do not parse are left out and counted: one garbage row never spoils a page.
#[derive(Debug, Clone)]
pub struct Rows<T> {
    /// What parsed.
    pub items: Vec<T>,
    /// How many rows did not.
    pub broken: usize,
    /// What was wrong with the first of them.
    pub first_error: Option<String>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { items: Vec::new(), broken: 0, first_error: None }
    }
}

impl<T> Rows<T> {
    /// The broken rows as a reason, if there are any.
    #[must_use]
    pub fn problem(&self, what: &str) -> Option<domain::Problem> {
        let error = self.first_error.as_deref()?;
        let text = format!(
            "{} of {} {what} could not be read: {error}",
            self.broken,
            self.broken + self.items.len()
        );
        Some(domain::Problem::new(domain::ProblemKind::Partial, text))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut rows = Self::default();
        for value in Vec::<Value>::deserialize(from)? {
            match serde_json::from_value(value) {
                Ok(item) => rows.items.push(item),
                Err(error) => {
                    rows.broken += 1;
                    rows.first_error.get_or_insert_with(|| error.to_string());
                }
            }
        }
        Ok(rows)
    }
}

/// Milliseconds since 1970 above this, seconds below: 1e11 s is the year 5138.
const MILLIS_FROM: i64 = 100_000_000_000;

/// A time as platforms write it: RFC 3339 (any digits of fraction, an offset with or without a colon),
/// `YYYY-MM-DD HH:MM:SS UTC`, without a zone (taken for UTC), or an integer of seconds or milliseconds since 1970.
#[must_use]
pub fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(number) = text.parse::<i64>() {
        return epoch(number);
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f %z"] {
        if let Ok(at) = strtime::parse(format, text).and_then(|t| t.to_timestamp()) {
            return Some(at);
        }
    }
    let bare = text.strip_suffix("UTC").map_or(text, str::trim_end);
    let civil = bare.parse::<jiff::civil::DateTime>().ok()?;
    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp())
}

fn epoch(number: i64) -> Option<Timestamp> {
    let at = if number.abs() >= MILLIS_FROM {
        Timestamp::from_millisecond(number)
    } else {
        Timestamp::from_second(number)
    };
    // 0 is how some platforms write "not yet".
    at.ok().filter(|_| number != 0)
}

/// For `deserialize_with`: a time in any of the forms of [`time`], else nothing.
///
/// # Errors
/// Only when the JSON itself is broken.
pub fn lenient_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => time(&text),
        Value::Number(n) => n.as_i64().and_then(epoch),
        _ => None,
    })
}

/// For `deserialize_with`: a text; a number or a truth value as text; the empty text and anything else is nothing.
///
/// # Errors
/// Only when the JSON itself is broken.
pub fn lenient_string<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    })
}

/// For `deserialize_with`: a whole number of at least 0, also as text, else nothing.
///
/// # Errors
/// Only when the JSON itself is broken.
pub fn lenient_u64<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Number(n) => n.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

/// The time between two instants, never negative: clocks are skewed, and a recorded run ended before it began.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from).max(SignedDuration::ZERO)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_every_form_that_platforms_write() {
        let want: Timestamp = "2016-08-12T15:23:28Z".parse().unwrap();
        for text in [
            "2016-08-12T15:23:28Z",
            "2016-08-12T15:23:28.000Z",
            "2016-08-12T17:23:28+02:00",
            "2016-08-12T17:23:28+0200",
            "2016-08-12T17:23:28.000000+0200",
            "2016-08-12 15:23:28 UTC",
            "2016-08-12 15:23:28 +0000",
            "2016-08-12T15:23:28",
            "1471015408",
            "1471015408000",
        ] {
            assert_eq!(time(text), Some(want), "{text}");
        }
        for text in ["", "soon", "0", "2016-13-45T00:00:00Z"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[derive(Debug, Deserialize)]
    struct Row {
        id: u64,
        #[serde(default, deserialize_with = "lenient_string")]
        name: Option<String>,
        #[serde(default, deserialize_with = "lenient_u64")]
        count: Option<u64>,
        #[serde(default, deserialize_with = "lenient_time")]
        at: Option<Timestamp>,
    }

    #[test]
    fn a_garbage_row_is_left_out_and_counted() {
        let json = r#"[{"id":1,"name":7,"count":"3","at":{}},{"id":"x"},null,{"id":2,"name":null,"at":[1]}]"#;
        let rows: Rows<Row> = serde_json::from_str(json).unwrap();
        assert_eq!(rows.items.iter().map(|r| r.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            (rows.items[0].name.as_deref(), rows.items[0].count, rows.items[0].at),
            (Some("7"), Some(3), None)
        );
        assert_eq!(rows.broken, 2);
        assert!(rows.problem("runs").unwrap().text.starts_with("2 of 4 runs"));
    }
}
