//! Words of a configuration that are more than text: durations, URLs, choices.

use std::time::Duration;

use url::Url;

use crate::problem::did_you_mean;

/// Longest accepted duration: a hundred years of 365 days.
pub const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * DAY);
const DAY: u64 = 24 * 60 * 60;

/// Why a text does not fit, as the end of a sentence that starts with it: `is not a port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) what: String,
    pub(crate) suggestion: Option<String>,
}

pub(crate) fn misfit<T>(what: impl Into<String>) -> Result<T, Misfit> {
    Err(Misfit { what: what.into(), suggestion: None })
}

fn misfit_with<T>(what: impl Into<String>, suggestion: impl Into<String>) -> Result<T, Misfit> {
    Err(Misfit { what: what.into(), suggestion: Some(suggestion.into()) })
}

/// Reads a duration as the file has it, `90d` or `1h30m`: for flags.
///
/// # Errors
/// In words, what is wrong with it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|misfit| match misfit.suggestion {
        Some(suggestion) => format!("{}; {suggestion}", misfit.what),
        None => misfit.what,
    })
}

const UNITS: [(&str, u64); 5] = [("d", DAY * 1000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads `500ms`, `90s`, `5m`, `24h`, `30d`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, Misfit> {
    const WRONG: &str = "is not a duration such as 500ms, 90s, 5m, 24h, 30d or 1h30m";
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return misfit_with(WRONG, format!("did you mean \"{}s\"?", text.get(..12).unwrap_or(text)));
    }
    let mut millis: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = UNITS.iter().find(|(name, _)| *name == unit);
        let (Ok(number), Some((_, factor))) = (number.parse::<u64>(), unit) else {
            return misfit(WRONG);
        };
        millis = match number.checked_mul(*factor).and_then(|part| millis.checked_add(part)) {
            Some(sum) if Duration::from_millis(sum) <= MAX_DURATION => sum,
            _ => return misfit("is longer than a hundred years"),
        };
        rest = tail;
    }
    if text.is_empty() { misfit(WRONG) } else { Ok(Duration::from_millis(millis)) }
}

/// Writes a duration as the file has it (`1h30m`); parts of a millisecond are dropped.
pub fn format_duration(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut out = String::new();
    for (unit, factor) in UNITS {
        let count = millis / factor;
        millis %= factor;
        if count > 0 {
            out.push_str(&format!("{count}{unit}"));
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// At least [`MIN_INTERVAL`]: what repeats must not spin.
pub(crate) fn interval(text: &str) -> Result<Duration, Misfit> {
    match duration(text)? {
        short if short < MIN_INTERVAL => misfit(format!("is shorter than {}", format_duration(MIN_INTERVAL))),
        long => Ok(long),
    }
}

/// Shortest interval of anything that repeats.
pub const MIN_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn boolean(text: &str) -> Result<bool, Misfit> {
    const WRONG: &str = "is not true or false";
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "1" | "y" => misfit_with(WRONG, "did you mean true?"),
            "no" | "off" | "0" | "n" => misfit_with(WRONG, "did you mean false?"),
            other => match did_you_mean(other, ["true", "false"]) {
                Some(suggestion) => misfit_with(WRONG, suggestion),
                None => misfit(WRONG),
            },
        },
    }
}

pub(crate) fn port(text: &str) -> Result<u16, Misfit> {
    text.parse().or_else(|_| misfit("is not a port (0 to 65535)"))
}

/// One of a few words, by their names; upper and lower case are the same.
pub(crate) fn choice<T: Copy>(choices: &'static [(&'static str, T)]) -> impl Fn(&str) -> Result<T, Misfit> {
    move |text| {
        if let Some((_, value)) = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Err(Misfit {
            what: format!("is not one of {}", names.join(", ")),
            suggestion: did_you_mean(text, names.iter().copied()),
        })
    }
}

/// A URL with a host and one of `schemes`. Never repeats the URL: it may hold credentials.
pub(crate) fn url_of(text: &str, schemes: &[&str]) -> Result<Url, Misfit> {
    let listed = schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ");
    let Ok(url) = Url::parse(text) else {
        // "gitlab.com/x" or "gitlab.com:8443" is what people write; suggest no more than the scheme.
        return misfit_with("is not a URL", format!("it has to start with {listed} and name a host"));
    };
    if !schemes.contains(&url.scheme()) {
        return misfit_with("is not a URL of the right kind", format!("it has to start with {listed}"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return misfit("names no host");
    }
    Ok(url)
}

/// The base URL of a source or of the pages: `http` or `https`, no credentials, no fragment.
pub(crate) fn base_url(text: &str) -> Result<Url, Misfit> {
    let url = url_of(text, &["https", "http"])?;
    if !url.username().is_empty() || url.password().is_some() {
        return misfit_with("holds a user name or password", "put them into user and token: URLs are shown");
    }
    if url.fragment().is_some() {
        return misfit("has a fragment (#…)");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("500ms", 500),
            ("90s", 90_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("30d", 2_592_000_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "soon", "5", "5 m", "-5m", "5mm", "m", "1.5h", "99999999999999999999d", "40000d", "5M", "é"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("300").unwrap_err().suggestion.as_deref(), Some("did you mean \"300s\"?"));
    }

    proptest::proptest! {
        #[test]
        fn durations_round_trip(millis in 0..=MAX_DURATION.as_millis() as u64) {
            let value = Duration::from_millis(millis);
            proptest::prop_assert_eq!(duration(&format_duration(value)), Ok(value));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = (duration(&text), boolean(&text), port(&text), base_url(&text));
            let _ = (text.parse::<crate::Address>().is_ok(), text.parse::<crate::Cidr>().is_ok());
        }
    }
}
