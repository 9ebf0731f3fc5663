//! What requests say: path segments and the parameters of lists.

mod stats;

use std::convert::Infallible;

use axum::RequestPartsExt as _;
use axum::extract::{FromRequestParts, Path, Query};
use domain::{Activity, Outcome, ProjectKey, Status};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::pages::{DEFAULT_PER_PAGE, ListQuery};
pub(crate) use stats::{FORMATS, ORDERS, RANKED};

/// Most rows of a page.
const MAX_PER_PAGE: u32 = 100;
/// Longest search text, in characters.
const MAX_SEARCH_CHARS: usize = 200;
/// Most values of a repeated parameter.
const MAX_VALUES: usize = 100;

/// Path segments, percent-decoded.
#[derive(Debug)]
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let path = parts.extract::<Path<T>>().await;
        path.map(|Path(segments)| Self(segments))
            .map_err(|_| Failure::bad_request("A part of the path is not UTF-8 once percent-decoded."))
    }
}

/// A project key from two decoded segments. What is no source name names no source, so there is no such thing.
pub(crate) fn key(source: &str, id: &str) -> Result<ProjectKey, Failure> {
    let source =
        source.parse().map_err(|_| Failure::not_found(format!("There is no source {:?}.", clip(source))))?;
    Ok(ProjectKey::new(source, domain::NativeId::new(id)))
}

fn clip(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The words that a list understands.
#[derive(Debug)]
pub(crate) struct Words {
    /// Of `status`.
    pub(crate) statuses: &'static [&'static str],
    /// Of `sort`, without the `-` that turns it round; the first is what happens without.
    pub(crate) sorts: &'static [&'static str],
    /// Of `mine` and `draft`, those that it has.
    pub(crate) switches: &'static [&'static str],
}

const ROW_STATUSES: &[&str] = &[
    Outcome::Success.as_str(),
    Outcome::Warning.as_str(),
    Outcome::Failed.as_str(),
    Outcome::Canceled.as_str(),
    Outcome::Skipped.as_str(),
    Outcome::Unknown.as_str(),
    Activity::Queued.as_str(),
    Activity::Running.as_str(),
    "active",
    "broken",
    "waiting",
    "manual",
    "nodata",
    "none",
];

const RUN_STATUSES: &[&str] = &[
    Status::Queued.as_str(),
    Status::Running.as_str(),
    Status::Success.as_str(),
    Status::Warning.as_str(),
    Status::Failed.as_str(),
    Status::Canceled.as_str(),
    Status::Skipped.as_str(),
    Status::Manual.as_str(),
    Status::Unknown.as_str(),
];

/// Of projects.
pub(crate) const PROJECTS: Words = Words {
    statuses: ROW_STATUSES,
    sorts: &["worst", "name", "updated", "duration", "green"],
    switches: &["mine"],
};
/// Of pipelines.
pub(crate) const PIPELINES: Words =
    Words { statuses: RUN_STATUSES, sorts: &["newest", "duration", "status"], switches: &[] };
/// Of branches.
pub(crate) const BRANCHES: Words =
    Words { statuses: ROW_STATUSES, sorts: &["updated", "name"], switches: &[] };
/// Of jobs.
pub(crate) const JOBS: Words =
    Words { statuses: RUN_STATUSES, sorts: &["order", "name", "duration", "status"], switches: &[] };
/// Of sources.
pub(crate) const SOURCES: Words = Words {
    statuses: &["ok", "limited", "failing", "down"],
    sorts: &["order", "name", "platform", "projects"],
    switches: &[],
};
/// Of merge requests.
pub(crate) const MERGE_REQUESTS: Words = Words {
    statuses: ROW_STATUSES,
    sorts: &["updated", "created", "status", "name"],
    switches: &["mine", "draft"],
};
/// Of issues.
pub(crate) const ISSUES: Words = Words {
    statuses: &["open", "assigned", "unassigned"],
    sorts: &["updated", "created", "name"],
    switches: &["mine"],
};
/// Of current users.
pub(crate) const ME: Words =
    Words { statuses: &["known", "unknown"], sorts: &["order", "name"], switches: &[] };

/// The query of a request, decoded, in order.
#[derive(Debug)]
pub(crate) struct Raw(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Raw {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Pairs of strings always parse; bytes that are no UTF-8 become replacement characters.
        Ok(Self(Query::try_from_uri(&parts.uri).map(|Query(pairs)| pairs).unwrap_or_default()))
    }
}

impl Raw {
    /// The last value that is not empty: forms send what was left blank.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// All values, repeated or separated by commas, each once.
    fn many(&self, name: &str) -> Result<Vec<String>, Failure> {
        let mut values: Vec<String> = Vec::new();
        let parts = self.0.iter().filter(|(n, _)| n == name).flat_map(|(_, v)| v.split(','));
        for value in parts.map(str::trim).filter(|v| !v.is_empty()) {
            if values.len() == MAX_VALUES {
                return Err(Failure::bad_request(format!("{name} takes at most {MAX_VALUES} values")));
            }
            if !values.iter().any(|v| v == value) {
                values.push(value.to_owned());
            }
        }
        Ok(values)
    }

    fn number(&self, name: &str, max: u32) -> Result<Option<u32>, Failure> {
        let Some(text) = self.one(name) else { return Ok(None) };
        match text.parse::<u32>() {
            Ok(n) if (1..=max).contains(&n) => Ok(Some(n)),
            _ => {
                let range = if max == u32::MAX { "from 1".to_owned() } else { format!("from 1 to {max}") };
                Err(Failure::bad_request(format!("{name} is {:?}, not a number {range}", clip(text))))
            }
        }
    }

    fn switch(&self, name: &str) -> Result<Option<bool>, Failure> {
        match self.one(name) {
            None => Ok(None),
            Some("1" | "true") => Ok(Some(true)),
            Some("0" | "false") => Ok(Some(false)),
            Some(other) => Err(Failure::not_allowed(name, other, &["1", "0"])),
        }
    }

    /// The parameters of a list.
    pub(crate) fn list(&self, words: &Words) -> Result<ListQuery, Failure> {
        let q = self.one("q").unwrap_or_default().trim();
        if q.chars().count() > MAX_SEARCH_CHARS {
            return Err(Failure::bad_request(format!("q has at most {MAX_SEARCH_CHARS} characters")));
        }
        let statuses = self.many("status")?;
        if let Some(wrong) = statuses.iter().find(|s| !words.statuses.contains(&s.as_str())) {
            return Err(Failure::not_allowed("status", wrong, words.statuses));
        }
        let sort = self.one("sort").unwrap_or_default();
        if !sort.is_empty() && !words.sorts.contains(&sort.strip_prefix('-').unwrap_or(sort)) {
            return Err(Failure::not_allowed("sort", sort, words.sorts));
        }
        // What happens by itself is not said, so that one list has one address.
        let sort = if words.sorts.first() == Some(&sort) { "" } else { sort };
        Ok(ListQuery {
            q: q.to_owned(),
            sources: self.many("source")?,
            platforms: self.many("platform")?,
            statuses,
            branch: self.one("branch").map(str::to_owned),
            sort: sort.to_owned(),
            page: self.number("page", u32::MAX)?.unwrap_or(1),
            per_page: self.number("per_page", MAX_PER_PAGE)?.unwrap_or(DEFAULT_PER_PAGE),
            folded: matches!(self.one("folded"), Some("1" | "true")),
            mine: words.switches.contains(&"mine") && self.switch("mine")? == Some(true),
            draft: if words.switches.contains(&"draft") { self.switch("draft")? } else { None },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(query: &str) -> Raw {
        let uri: http::Uri = format!("/?{query}").parse().unwrap();
        Raw(Query::try_from_uri(&uri).map(|Query(pairs)| pairs).unwrap())
    }

    #[test]
    fn lists_take_repeated_values_and_commas() {
        let q = raw(
            "source=a,b&source=b&source=c&status=failed,running&q=%20x+y%20&page=2&per_page=100&sort=-name",
        );
        let list = q.list(&PROJECTS).unwrap();
        assert_eq!(list.sources, ["a", "b", "c"]);
        assert_eq!(list.statuses, ["failed", "running"]);
        assert_eq!((list.q.as_str(), list.page, list.per_page, list.sort.as_str()), ("x y", 2, 100, "-name"));
    }

    #[test]
    fn what_a_form_leaves_blank_is_not_said() {
        let bare = raw("").list(&PROJECTS).unwrap();
        assert_eq!(raw("q=&status=&sort=&page=&per_page=&source=,").list(&PROJECTS).unwrap(), bare);
        assert_eq!(raw("sort=worst&page=1&per_page=50").list(&PROJECTS).unwrap(), bare);
        assert_eq!(bare.to_url(), "");
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (query, says) in [
            ("per_page=101", "from 1 to 100"),
            ("per_page=0", "from 1 to 100"),
            ("page=0", "from 1"),
            ("page=x", "from 1"),
            ("status=red", "red"),
            ("sort=colour", "colour"),
            ("sort=--name", "--name"),
        ] {
            let failure = raw(query).list(&PROJECTS).unwrap_err();
            assert_eq!(failure.status, 400, "{query}");
            assert!(failure.detail.contains(says), "{query}: {}", failure.detail);
        }
        assert!(raw("status=red").list(&PROJECTS).unwrap_err().allowed.contains(&"failed"));
        assert!(raw("sort=x").list(&PIPELINES).unwrap_err().allowed.contains(&"newest"));
        let long = format!("q={}", "x".repeat(MAX_SEARCH_CHARS + 1));
        assert_eq!(raw(&long).list(&PROJECTS).unwrap_err().status, 400);
    }
}
