//! Parameters of the insights.

use domain::ProjectKey;

use super::{MAX_PER_PAGE, RUN_STATUSES, Raw, clip};
use crate::failure::Failure;
use crate::pages::{BehindQuery, DEFAULT_PER_PAGE, Span, StatsQuery};

/// The longest window, in days.
const MAX_DAYS: u32 = 400;
/// The longest name of a branch, workflow, job or reason, in characters.
const MAX_NAME_CHARS: usize = 1_000;
/// Of `of`.
pub(crate) const RANKED: &[&str] = &["projects", "workflows", "jobs", "sources", "platforms"];
/// Of `by`.
pub(crate) const ORDERS: &[&str] = &["slowest", "busiest", "failing"];
/// Of `format`; the first is what happens without.
pub(crate) const FORMATS: &[&str] = &["json", "csv"];

/// What is ranked, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) of: &'static str,
    pub(crate) by: &'static str,
    /// 0 where it is not said.
    pub(crate) min_runs: u32,
    pub(crate) limit: u32,
}

fn word(name: &str, value: Option<&str>, known: &'static [&'static str]) -> Result<&'static str, Failure> {
    match value {
        None => Ok(known[0]),
        Some(value) => known
            .iter()
            .find(|w| **w == value)
            .copied()
            .ok_or_else(|| Failure::not_allowed(name, value, known)),
    }
}

impl Raw {
    fn name(&self, name: &str) -> Result<Option<String>, Failure> {
        let Some(text) = self.one(name) else { return Ok(None) };
        if text.chars().count() > MAX_NAME_CHARS {
            return Err(Failure::bad_request(format!("{name} has at most {MAX_NAME_CHARS} characters")));
        }
        Ok(Some(text.to_owned()))
    }

    fn day(&self, name: &str) -> Result<Option<String>, Failure> {
        let Some(text) = self.one(name) else { return Ok(None) };
        // The parser takes other forms and a time as well.
        match text.parse::<jiff::civil::Date>() {
            Ok(date) if date.to_string() == text => Ok(Some(text.to_owned())),
            _ => {
                Err(Failure::bad_request(format!("{name} is {:?}, not a day such as 2026-11-24", clip(text))))
            }
        }
    }

    fn span(&self) -> Result<Span, Failure> {
        let (from, to) = (self.day("from")?, self.day("to")?);
        if from.is_some() || to.is_some() {
            return Ok(Span::Between(from, to));
        }
        let Some(text) = self.one("window") else { return Ok(Span::default()) };
        match text.strip_suffix('d').and_then(|n| n.parse::<u32>().ok()) {
            Some(days) if (1..=MAX_DAYS).contains(&days) => Ok(Span::Days(days)),
            _ => Err(Failure::bad_request(format!(
                "window is {:?}, not a number of days from 1d to {MAX_DAYS}d",
                clip(text)
            ))),
        }
    }

    /// What the insights are about.
    pub(crate) fn stats(&self) -> Result<StatsQuery, Failure> {
        let project = self.one("project").map(|text| {
            text.parse::<ProjectKey>()
                .map_err(|_| Failure::bad_request(format!("project is {:?}, not source:id", clip(text))))
        });
        Ok(StatsQuery {
            sources: self.many("source")?,
            platforms: self.many("platform")?,
            project: project.transpose()?,
            branch: self.name("branch")?,
            span: self.span()?,
        })
    }

    /// The runs behind which figure.
    pub(crate) fn behind(&self) -> Result<BehindQuery, Failure> {
        let statuses = self.many("status")?;
        if let Some(wrong) = statuses.iter().find(|s| !RUN_STATUSES.contains(&s.as_str())) {
            return Err(Failure::not_allowed("status", wrong, RUN_STATUSES));
        }
        let hour = match self.one("hour") {
            None => None,
            Some(text) => match text.parse::<u32>() {
                Ok(hour) if hour < 24 * 7 => Some(hour),
                _ => {
                    let detail = format!("hour is {:?}, not an hour of the week from 0 to 167", clip(text));
                    return Err(Failure::bad_request(detail));
                }
            },
        };
        Ok(BehindQuery {
            scope: self.stats()?,
            statuses,
            day: self.day("day")?,
            hour,
            lane: self.name("workflow")?,
            job: self.name("job")?,
            reason: self.name("reason")?,
            ran_job: self.name("ran_job")?,
            no_reason: self.switch("no_reason")? == Some(true),
            page: self.number("page", u32::MAX)?.unwrap_or(1),
            per_page: self.number("per_page", MAX_PER_PAGE)?.unwrap_or(DEFAULT_PER_PAGE),
        })
    }

    /// What is ranked.
    pub(crate) fn rank(&self) -> Result<Rank, Failure> {
        Ok(Rank {
            of: word("of", self.one("of"), RANKED)?,
            by: word("by", self.one("by"), ORDERS)?,
            min_runs: self.number("min_runs", u32::MAX)?.unwrap_or(0),
            limit: self.limit()?,
        })
    }

    /// At most so many; 0 where it is not said.
    pub(crate) fn limit(&self) -> Result<u32, Failure> {
        Ok(self.number("limit", MAX_PER_PAGE)?.unwrap_or(0))
    }

    /// Whether it is to be a table for other programs.
    pub(crate) fn is_csv(&self) -> Result<bool, Failure> {
        Ok(word("format", self.one("format"), FORMATS)? == "csv")
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;

    use super::*;

    fn raw(query: &str) -> Raw {
        let uri: http::Uri = format!("/?{query}").parse().unwrap();
        Raw(Query::try_from_uri(&uri).map(|Query(pairs)| pairs).unwrap())
    }

    #[test]
    fn an_address_is_read_as_it_was_written() {
        for url in [
            "",
            "?window=7d&source=a&source=b&platform=gitlab&project=a:x/y&branch=main",
            "?from=2026-11-01&to=2026-11-24",
        ] {
            assert_eq!(raw(url.trim_start_matches('?')).stats().unwrap().to_url(), url);
        }
        let url = "?window=90d&status=failed&status=warning&day=2026-11-03&workflow=7&job=e2e&reason=x%20y&hour=33&per_page=20&page=3";
        assert_eq!(raw(url.trim_start_matches('?')).behind().unwrap().to_url(), url);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (query, says) in [
            ("window=0d", "1d to 400d"),
            ("window=401d", "1d to 400d"),
            ("window=30", "1d to 400d"),
            ("from=yesterday", "2026-11-24"),
            ("to=2026-13-01", "2026-11-24"),
            ("project=x", "source:id"),
            ("hour=168", "0 to 167"),
            ("day=1", "2026-11-24"),
            ("status=red", "red"),
        ] {
            let failure = raw(query).behind().unwrap_err();
            assert_eq!(failure.status, 400, "{query}");
            assert!(failure.detail.contains(says), "{query}: {}", failure.detail);
        }
        assert!(raw("of=x").rank().unwrap_err().allowed.contains(&"workflows"));
        assert!(raw("by=x").rank().unwrap_err().allowed.contains(&"failing"));
        assert!(raw("format=xml").is_csv().unwrap_err().allowed.contains(&"csv"));
        assert_eq!(raw("limit=101").limit().unwrap_err().status, 400);
    }
}
