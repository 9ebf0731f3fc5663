//! Reading what platforms really send: times in five spellings, numbers where text is expected, one spoilt row in a
//! list of a hundred. What is optional and unreadable is absent; it never spoils what stands beside it.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use domain::{Problem, ProblemKind, Timestamp, text};
use jiff::SignedDuration;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Numbers from here on are milliseconds since the epoch, below it seconds: as seconds it is the year 5138, as
/// milliseconds 1973.
const MILLISECONDS_FROM: u64 = 100_000_000_000;
/// No platform has runs from before this second (2001-09-09). What is older is a zero value: the epoch, year 1.
const EARLIEST_SECOND: i64 = 1_000_000_000;
/// The longest description of a broken row, in characters.
const MAX_ROW_ERROR: usize = 200;

/// A time in any of the platforms' spellings: RFC 3339 with any number of digits, an offset without a colon
/// (`+0000`), `2016-08-12 15:23:28 UTC`, the same without a zone (taken for UTC), or seconds or milliseconds since the
/// epoch. Zero values (`0`, `0001-01-01T00:00:00Z`) are none.
#[must_use]
pub fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(number) = text.parse::<u64>() {
        return epoch(number);
    }
    let utc = |local: &str| {
        let local: jiff::civil::DateTime = local.trim_end().parse().ok()?;
        local.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp())
    };
    let named = text.strip_suffix("UTC").or_else(|| text.strip_suffix("GMT"));
    let time = match (named, text.rsplit_once(' ')) {
        (Some(local), _) => utc(local),
        // `2016-08-12 15:23:28 +0200`: the blank before the offset is no part of any standard.
        (None, Some((local, offset))) if offset.starts_with(['+', '-']) => {
            format!("{local}{offset}").parse().ok()
        }
        // A date alone would do for a civil time, but it is no moment.
        (None, _) => text.parse().ok().or_else(|| utc(text).filter(|_| text.contains(':'))),
    };
    plausible(time?)
}

/// Seconds or milliseconds since the epoch, told apart by their size.
#[must_use]
pub fn epoch(number: u64) -> Option<Timestamp> {
    let in_milliseconds = number >= MILLISECONDS_FROM;
    let number = i64::try_from(number).ok()?;
    let time =
        if in_milliseconds { Timestamp::from_millisecond(number) } else { Timestamp::from_second(number) };
    plausible(time.ok()?)
}

fn plausible(time: Timestamp) -> Option<Timestamp> {
    (time.as_second() >= EARLIEST_SECOND).then_some(time)
}

/// How long it was from one moment to the other; nothing when the platform's clocks say that it ended before it began.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// `#[serde(default, deserialize_with = "lenient_time")]`: see [`time`]; anything else is `None`.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn lenient_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(match Scalar::read(from)? {
        Scalar::Text(text) => time(&text),
        Scalar::Unsigned(number) => epoch(number),
        Scalar::Float(number) => SignedDuration::try_from_secs_f64(number)
            .ok()
            .and_then(|since| Timestamp::from_duration(since).ok())
            .and_then(plausible),
        Scalar::None | Scalar::Bool(_) | Scalar::Negative(_) => None,
    })
}

/// Text; numbers and truth values as text (ids that became numbers, or the other way round); the empty text and anything
/// else is `None`.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn lenient_string<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Scalar::read(from)? {
        Scalar::Text(text) => Some(text).filter(|t| !t.is_empty()),
        Scalar::Unsigned(number) => Some(number.to_string()),
        Scalar::Negative(number) => Some(number.to_string()),
        Scalar::Float(number) => Some(number.to_string()),
        Scalar::Bool(flag) => Some(flag.to_string()),
        Scalar::None => None,
    })
}

/// A number that is not negative, as a number or as text; anything else is `None`.
///
/// # Errors
/// Only where the JSON itself is broken.
pub fn lenient_u64<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(match Scalar::read(from)? {
        Scalar::Unsigned(number) => Some(number),
        Scalar::Text(text) => text.trim().parse().ok(),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range")]
        Scalar::Float(number) if number.fract() == 0.0 && (0.0..1e18).contains(&number) => {
            Some(number as u64)
        }
        _ => None,
    })
}

/// What a field holds, whatever was expected there. Lists and objects are none.
enum Scalar {
    None,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    Text(String),
}

impl Scalar {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::None)
            }
            fn visit_none<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::None)
            }
            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Scalar, D::Error> {
                from.deserialize_any(self)
            }
            fn visit_bool<E>(self, flag: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(flag))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar::Unsigned(number))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(u64::try_from(number).map_or(Scalar::Negative(number), Scalar::Unsigned))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar::Float(number))
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Scalar, E> {
                Ok(Scalar::Text(text))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::None)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::None)
            }
        }
        from.deserialize_any(Any)
    }
}

/// A list of which every row that can be read is read. `null` is an empty list; what is no list at all is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<T> {
    /// The rows that could be read, in the platform's order.
    pub items: Vec<T>,
    /// How many could not.
    pub broken: usize,
    /// What was wrong with the first of these: `row 3: missing field id`.
    pub first_error: Option<String>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { items: Vec::new(), broken: 0, first_error: None }
    }
}

impl<T> Rows<T> {
    /// The broken rows as a reason, if there are any. `what` names the rows: `runs`.
    #[must_use]
    pub fn problem(&self, what: &str) -> Option<Problem> {
        let error = self.first_error.as_deref()?;
        let all = self.broken + self.items.len();
        let text = format!("{} of {all} {what} could not be read: {error}", self.broken);
        Some(Problem::new(ProblemKind::Partial, text))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for List<T> {
            type Value = Rows<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_unit<E>(self) -> Result<Rows<T>, E> {
                Ok(Rows::default())
            }
            fn visit_none<E>(self) -> Result<Rows<T>, E> {
                Ok(Rows::default())
            }
            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Rows<T>, D::Error> {
                from.deserialize_any(self)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Rows<T>, A::Error> {
                let mut rows = Rows::default();
                // First the row's text, which is fine as long as the JSON is; then what it says.
                while let Some(row) = seq.next_element::<Box<RawValue>>()? {
                    match serde_json::from_str(row.get()) {
                        Ok(item) => rows.items.push(item),
                        Err(error) => {
                            let at = rows.items.len() + rows.broken;
                            rows.broken += 1;
                            rows.first_error.get_or_insert_with(|| {
                                text::line(&format!("row {at}: {error}"), MAX_ROW_ERROR)
                            });
                        }
                    }
                }
                Ok(rows)
            }
        }
        from.deserialize_any(List(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_every_spelling() {
        let noon = "2026-06-05T12:00:00Z".parse::<Timestamp>().unwrap();
        for text in [
            "2026-06-05T12:00:00Z",
            "2026-06-05T12:00:00.000Z",
            "2026-06-05T12:00:00.000000000Z",
            "2026-06-05T14:00:00.000+02:00",
            "2026-06-05T12:00:00+0000",
            "2026-06-05T10:30:00-0130",
            "2026-06-05 12:00:00 UTC",
            "2026-06-05 12:00:00 +0000",
            "2026-06-05 14:00:00 +0200",
            " 2026-06-05T12:00:00Z ",
            "2026-06-05T12:00:00",
            "2026-06-05 12:00:00",
            "2026-06-05T14:00:00.000000+0200",
            "1780660800",
            "1780660800000",
        ] {
            assert_eq!(time(text), Some(noon), "{text}");
        }
        for text in [
            "",
            "-",
            "yesterday",
            "2026-06-05",
            "2026-13-05T12:00:00Z",
            "0",
            "-1",
            "0001-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "99999999999999999999",
            "18446744073709551615",
        ] {
            assert_eq!(time(text), None, "{text:?}");
        }
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Row {
        id: u64,
        #[serde(default, deserialize_with = "lenient_time")]
        at: Option<Timestamp>,
        #[serde(default, deserialize_with = "lenient_string")]
        name: Option<String>,
        #[serde(default, deserialize_with = "lenient_u64")]
        count: Option<u64>,
    }

    fn row(json: &str) -> Row {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_optional_and_wrong_is_absent() {
        let odd =
            ["null", "true", "[1,{\"a\":[2]}]", "{\"a\":{\"b\":[]}}", "-3", "1.5", "\"\"", "\"x\"", "[]"];
        for value in odd {
            let row = row(&format!(r#"{{"id":1,"at":{value},"count":{value},"name":{value}}}"#));
            assert_eq!((row.id, row.at, row.count), (1, None, None), "{value}");
        }
        assert_eq!(row(r#"{"id":1}"#), Row { id: 1, ..Row::default() });
    }

    #[test]
    fn numbers_and_texts_stand_for_each_other() {
        let noon = "2026-06-05T12:00:00Z".parse::<Timestamp>().ok();
        let read = row(r#"{"id":1,"at":1780660800000,"name":12345678901234567890,"count":"7"}"#);
        assert_eq!(read, Row { id: 1, at: noon, name: Some("12345678901234567890".into()), count: Some(7) });
        let read = row(r#"{"id":1,"at":1780660800.0,"name":-1.5,"count":7.0}"#);
        assert_eq!(read, Row { id: 1, at: noon, name: Some("-1.5".into()), count: Some(7) });
        assert_eq!(row(r#"{"id":1,"at":"2026-06-05T12:00:00Z","name":false}"#).at, noon);
    }

    #[test]
    fn one_spoilt_row_spoils_nothing_else() {
        let rows: Rows<Row> = serde_json::from_str(r#"[{"id":1},{"id":"x"},null,{"id":4}]"#).unwrap();
        assert_eq!(rows.items.iter().map(|r| r.id).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(rows.broken, 2);
        assert!(
            rows.first_error.as_deref().is_some_and(|e| e.starts_with("row 1: invalid type")),
            "{rows:?}"
        );
        let problem = rows.problem("runs").unwrap();
        assert!(problem.text.starts_with("2 of 4 runs could not be read: row 1"), "{}", problem.text);
        assert_eq!(serde_json::from_str::<Rows<Row>>("[]").unwrap().problem("runs"), None);
        assert_eq!(serde_json::from_str::<Rows<Row>>("null").unwrap(), Rows::default());
        for no_list in ["{}", "3", "\"x\"", "[{\"id\":1}", "[1,]"] {
            assert!(serde_json::from_str::<Rows<Row>>(no_list).is_err(), "{no_list}");
        }
    }

    #[test]
    fn rows_are_read_inside_of_what_was_parsed_before() {
        #[derive(Deserialize)]
        struct Page {
            rows: Rows<Row>,
        }
        let page: Page = serde_json::from_str(r#"{"rows":[{"id":1},{}]}"#).unwrap();
        assert_eq!((page.rows.items.len(), page.rows.broken), (1, 1));
        let value: serde_json::Value = serde_json::from_str(r#"{"rows":[{"id":1},{}]}"#).unwrap();
        let page: Page = serde_json::from_value(value).unwrap();
        assert_eq!((page.rows.items.len(), page.rows.broken), (1, 1));
    }

    #[test]
    fn nothing_takes_less_than_no_time() {
        let (early, late) = (Timestamp::from_second(100).unwrap(), Timestamp::from_second(160).unwrap());
        assert_eq!(between(early, late), Duration::from_secs(60));
        assert_eq!(between(late, early), Duration::ZERO);
    }
}
