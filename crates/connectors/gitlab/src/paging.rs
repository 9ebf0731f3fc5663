//! Lists, page by page.

use connector::http::{Client, Response};
use connector::wire::Rows;
use connector::{Error, PageToken, Result};
use serde::de::DeserializeOwned;
use url::Url;

/// The largest page that GitLab gives.
pub(crate) const PER_PAGE: usize = 100;
/// The same as text.
pub(crate) const PER_PAGE_TEXT: &str = "100";

/// A page of rows.
pub(crate) struct Listed<T> {
    /// The rows that could be read.
    pub(crate) items: Vec<T>,
    /// How many could not.
    pub(crate) broken: usize,
    /// The query of the next page, with the same path. `None` on the last one.
    pub(crate) next: Option<String>,
    /// How many rows all pages have; GitLab leaves it out above 10,000.
    pub(crate) total: Option<u64>,
}

impl<T> Listed<T> {
    /// How many rows the page had.
    pub(crate) fn len(&self) -> usize {
        self.items.len() + self.broken
    }

    /// Where the next page begins, for callers outside.
    pub(crate) fn token(&self) -> Option<PageToken> {
        self.next.clone().map(PageToken)
    }
}

/// Asks for one page.
///
/// # Errors
/// See [`Error`].
pub(crate) async fn list<T: DeserializeOwned>(
    client: &Client,
    endpoint: &'static str,
    url: Url,
) -> Result<Listed<T>> {
    let answer = client.get(endpoint, url.clone()).await?;
    let rows: Rows<T> = answer.json()?;
    if rows.items.is_empty() && rows.broken > 0 {
        // Not one row of it is GitLab's: some other list.
        return Err(Error::Garbage(format!("{endpoint}: none of {} rows could be read", rows.broken)));
    }
    let total = answer.header("x-total").and_then(|total| total.trim().parse().ok());
    Ok(Listed { next: next(&answer, &url)?, items: rows.items, broken: rows.broken, total })
}

/// The query of the next page. Only the query is taken from the answer, so that a page can lead nowhere else.
fn next(answer: &Response, asked: &Url) -> Result<Option<String>> {
    // The number first: behind a reverse proxy GitLab may not know its own address and write links that lead elsewhere.
    if let Some(page) = answer.header("x-next-page").map(str::trim).filter(|p| !p.is_empty()) {
        let current =
            asked.query_pairs().find(|(name, _)| name == "page").and_then(|(_, n)| n.parse::<u64>().ok());
        if page.parse::<u64>().ok().is_none_or(|next| next <= current.unwrap_or(1)) {
            return Err(Error::Garbage(format!(
                "{asked_path}: the page after {} is {page:?}",
                current.unwrap_or(1),
                asked_path = asked.path()
            )));
        }
        let kept: Vec<(String, String)> = asked
            .query_pairs()
            .filter(|(name, _)| name != "page")
            .map(|(n, v)| (n.into(), v.into()))
            .collect();
        let mut url = asked.clone();
        url.query_pairs_mut().clear().extend_pairs(kept).append_pair("page", page);
        return Ok(url.query().map(str::to_owned));
    }
    let link = answer.next_link()?;
    let next = link.as_ref().and_then(Url::query);
    if next.is_some() && next == asked.query() {
        return Err(Error::Garbage(format!("{}: the page after this one is this one", asked.path())));
    }
    Ok(next.map(str::to_owned))
}

/// The URL of a page: the first one has `query`, a later one what its token says.
pub(crate) fn page_url(
    client: &Client,
    segments: &[&str],
    query: &[(&str, &str)],
    page: Option<&str>,
) -> Url {
    match page {
        None => client.url(segments, query),
        Some(token) => {
            let mut url = client.url(segments, &[]);
            url.set_query(Some(token));
            url
        }
    }
}
