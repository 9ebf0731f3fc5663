//! Answers.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::failure::place;
use crate::{Error, Result};

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// 2xx. A 304 never gets here: it is answered from what was kept, with `not_modified` set.
    pub status: StatusCode,
    /// Headers of the answer (of the kept one after a 304).
    pub headers: HeaderMap,
    /// Body, at most [`super::Client::MAX_BODY`].
    pub body: Bytes,
    /// Nothing changed since the last time.
    pub not_modified: bool,
    /// Where it came from, after redirects within the host.
    pub url: Url,
    pub(super) endpoint: &'static str,
    pub(super) title: &'static str,
    pub(super) base: Url,
}

impl Response {
    /// Reads the body as JSON.
    ///
    /// # Errors
    /// [`Error::Garbage`] that names what was asked, what was expected and what came.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (title, at) = (self.title, place(&self.url));
            let path = self.endpoint.strip_prefix("GET ").unwrap_or(self.endpoint);
            let html = self.header("content-type").is_some_and(|t| t.contains("html"))
                || self.body.trim_ascii_start().starts_with(b"<");
            Error::Garbage(if html {
                format!("expected JSON of {title} at {at}, got an HTML page for {path}: is this a login page, or not {title}?")
            } else if error.is_data() {
                format!("{at} answered {path} with JSON that is not {title}'s: {error}")
            } else {
                format!("{title} at {at} answered {path} with broken JSON: {error}")
            })
        })
    }

    /// The `rel="next"` link, `None` on the last page.
    ///
    /// # Errors
    /// [`Error::Redirect`] when it leads to another origin than the configured one: following it would leak the token.
    pub fn next_link(&self) -> Result<Option<Url>> {
        for value in self.headers.get_all(http::header::LINK) {
            let Some(target) = value.to_str().ok().and_then(next_of) else { continue };
            let url = self
                .url
                .join(target)
                .map_err(|_| Error::Garbage(format!("{} gave a next page that is no URL", self.title)))?;
            if url.origin() != self.base.origin() {
                let (at, to) = (place(&self.base), place(&url));
                return Err(Error::Redirect(format!(
                    "{} at {at} names a next page on {to}; not followed",
                    self.title
                )));
            }
            return Ok(Some(url));
        }
        Ok(None)
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
}

/// The target whose relation is `next` (RFC 8288): `<url>; rel="next", <url>; rel=last`. A URL may hold commas.
fn next_of(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some(open) = rest.find('<') {
        let (target, params) = rest[open + 1..].split_once('>')?;
        let end = params.find(",<").or_else(|| params.find(", <")).unwrap_or(params.len());
        let is_next = params[..end].split(';').filter_map(|p| p.split_once('=')).any(|(name, value)| {
            let relations = value.trim().trim_end_matches(',').trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && relations.split_ascii_whitespace().any(|r| r.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target);
        }
        rest = &params[end..];
    }
    None
}

/// The end of a long body.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The last bytes, cut to what was asked.
    pub bytes: Bytes,
    /// Whether the beginning is missing.
    pub truncated: bool,
}

#[cfg(test)]
mod tests {
    use super::next_of;

    #[test]
    fn the_next_link_is_found_wherever_it_stands() {
        for (header, want) in [
            (
                r#"<https://a/x?page=2>; rel="next", <https://a/x?page=9>; rel="last""#,
                Some("https://a/x?page=2"),
            ),
            (r#"<https://a/x?a=1,2>; rel="prev", <https://a/y>; rel=next"#, Some("https://a/y")),
            (r#"<https://a/z>;title="t";rel="prev next""#, Some("https://a/z")),
            (r#"<https://a/x>; rel="last""#, None),
            ("", None),
            ("<broken", None),
        ] {
            assert_eq!(next_of(header), want, "{header}");
        }
    }
}
