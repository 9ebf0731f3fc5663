//! Pages. Gitea writes the links to further pages with the address that it believes to have (`ROOT_URL`), which is often
//! another than the one it is asked at. So a link only tells *that* there is a next page; where it is follows from the
//! question, and the token never goes elsewhere.

use connector::http::Response;
use connector::{Error, PageToken, Result};
use url::Url;

/// The largest page that Gitea gives, unless it is set otherwise.
pub(crate) const PER_PAGE: usize = 50;
/// The same as text.
pub(crate) const PER_PAGE_TEXT: &str = "50";

/// The number of a page.
fn number(url: &Url) -> u64 {
    let page = url.query_pairs().find(|(name, _)| name == "page");
    page.and_then(|(_, value)| value.parse().ok()).unwrap_or(1)
}

/// The page after this one.
pub(crate) fn following(url: &Url) -> Url {
    let rest: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(name, _)| name != "page").collect();
    let page = number(url).saturating_add(1).to_string();
    let mut next = url.clone();
    next.query_pairs_mut().clear().extend_pairs(rest).append_pair("page", &page);
    next
}

/// The page after the one that `asked` brought with so many rows; `None` on the last.
pub(crate) fn next(response: &Response, asked: &Url, rows: usize) -> Option<Url> {
    // An empty page is the end, whatever it links to.
    if rows == 0 {
        return None;
    }
    let more = if response.header("link").is_some() {
        // A link to another host is a next page as well; it is not followed.
        matches!(response.next_link(), Ok(Some(_)) | Err(Error::Redirect(_)))
    } else {
        match total(response) {
            Some(total) if number(asked) == 1 => total > rows as u64,
            _ => rows >= PER_PAGE,
        }
    };
    more.then(|| following(asked))
}

/// How many rows the list has in all, where the answer's head tells.
pub(crate) fn total(response: &Response) -> Option<u64> {
    response.header("x-total-count")?.trim().parse().ok()
}

/// The token of a page that begins at this URL.
pub(crate) fn token(next: Option<Url>) -> Option<PageToken> {
    next.map(|url| PageToken(url.into()))
}

/// The URL of a page, or the first.
pub(crate) fn page_url(page: Option<PageToken>, first: impl FnOnce() -> Result<Url>) -> Result<Url> {
    match page {
        None => first(),
        Some(token) => Url::parse(&token.0).map_err(|e| Error::Garbage(format!("page token: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_following_page_keeps_the_question() {
        let url = |text: &str| Url::parse(text).unwrap();
        let first = url("https://host/git/api/v1/user/repos?limit=50&sort=x%20y");
        let second = following(&first);
        assert_eq!(second.as_str(), "https://host/git/api/v1/user/repos?limit=50&sort=x+y&page=2");
        assert_eq!(following(&second).query_pairs().last().unwrap().1, "3");
        assert_eq!(following(&url("https://host/x?page=junk&limit=2")).query(), Some("limit=2&page=2"));
        let last = url("https://host/x?page=18446744073709551615");
        assert_eq!(number(&following(&last)), u64::MAX, "no overflow");
    }
}
