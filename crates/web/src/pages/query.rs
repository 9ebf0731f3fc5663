//! What a list shows: the parameters of its URL, read and written back.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays readable in a query value.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b':')
    .remove(b'/')
    .remove(b'@');

/// How many rows a page has unless it is told.
pub const DEFAULT_PER_PAGE: u32 = 50;

/// The parameters of a list. `Default` is the bare page: everything, worst first, page 1.
///
/// On the overview `statuses` are those of rows; on a project page those of runs, and `branch` narrows as well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListQuery {
    /// Search text, empty for none.
    pub q: String,
    /// Source names, empty for all.
    pub sources: Vec<String>,
    /// Platform ids, empty for all.
    pub platforms: Vec<String>,
    /// Words of the contract's `status`, empty for all.
    pub statuses: Vec<String>,
    /// A branch name (project page only).
    pub branch: Option<String>,
    /// The sort word, empty for the list's own order.
    pub sort: String,
    /// From 1; 0 is 1.
    pub page: u32,
    /// 1 to 100; 0 is [`DEFAULT_PER_PAGE`].
    pub per_page: u32,
    /// Show what folds away as well (`folded=1`).
    pub folded: bool,
    /// Only what is of the sources' current users (`mine=1`).
    pub mine: bool,
    /// Only drafts, or none (`draft=1`, `draft=0`; merge requests only).
    pub draft: Option<bool>,
}

/// The part of a URL from `?` on, in the making.
#[derive(Debug, Default)]
pub(super) struct Pairs(pub(super) String);

impl Pairs {
    pub(super) fn add(&mut self, key: &str, value: &str) {
        let sep = if self.0.is_empty() { '?' } else { '&' };
        let _ = write!(self.0, "{sep}{key}={}", utf8_percent_encode(value, QUERY_VALUE));
    }
}

impl ListQuery {
    /// This query as the part of a URL from `?` on; empty when everything is as it is by itself.
    #[must_use]
    pub fn to_url(&self) -> String {
        let mut out = Pairs::default();
        let mut add = |key: &str, value: &str| out.add(key, value);
        if !self.q.is_empty() {
            add("q", &self.q);
        }
        for (key, values) in
            [("source", &self.sources), ("platform", &self.platforms), ("status", &self.statuses)]
        {
            for value in values {
                add(key, value);
            }
        }
        if let Some(branch) = &self.branch {
            add("branch", branch);
        }
        if self.mine {
            add("mine", "1");
        }
        if let Some(draft) = self.draft {
            add("draft", if draft { "1" } else { "0" });
        }
        if !self.sort.is_empty() {
            add("sort", &self.sort);
        }
        if self.folded {
            add("folded", "1");
        }
        if self.per_page != 0 && self.per_page != DEFAULT_PER_PAGE {
            add("per_page", &self.per_page.to_string());
        }
        if self.page > 1 {
            add("page", &self.page.to_string());
        }
        out.0
    }

    /// [`Self::to_url`] after a change. Whatever changes, the list begins at its first page again, unless the change says otherwise.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut other = self.clone();
        other.page = 1;
        change(&mut other);
        other.to_url()
    }

    /// Whether anything is left out by search, source, platform, status, branch, whose it is or whether it is a draft.
    #[must_use]
    pub fn narrows(&self) -> bool {
        !(self.q.is_empty()
            && self.sources.is_empty()
            && self.platforms.is_empty()
            && self.statuses.is_empty()
            && self.branch.is_none()
            && !self.mine
            && self.draft.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bare_list_has_no_query() {
        assert_eq!(ListQuery::default().to_url(), "");
        assert_eq!(ListQuery { page: 1, per_page: 50, ..ListQuery::default() }.to_url(), "");
    }

    #[test]
    fn a_change_keeps_the_rest_and_begins_at_page_one() {
        let query = ListQuery {
            q: "ü & <b>".into(),
            statuses: vec!["broken".into()],
            sort: "-name".into(),
            page: 3,
            ..ListQuery::default()
        };
        assert_eq!(query.to_url(), "?q=%C3%BC%20%26%20%3Cb%3E&status=broken&sort=-name&page=3");
        assert_eq!(query.with(|q| q.statuses.clear()), "?q=%C3%BC%20%26%20%3Cb%3E&sort=-name");
        assert_eq!(query.with(|q| q.page = 4), "?q=%C3%BC%20%26%20%3Cb%3E&status=broken&sort=-name&page=4");
    }
}
