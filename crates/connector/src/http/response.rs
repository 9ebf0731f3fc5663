//! Answers.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use domain::{Timestamp, text};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::failure::{path_of, place};
use super::redirect::may_carry_token;
use super::{ClientSettings, link};
use crate::{Error, Result};

/// How much of a parser's complaint is passed on, in characters.
const MAX_COMPLAINT: usize = 200;

/// A whole answer.
#[derive(Clone)]
pub struct Response {
    /// 2xx. A 304 never gets here: it is answered from what was kept, with `not_modified` set.
    pub status: StatusCode,
    /// Headers of the answer (of the kept one after a 304, with what the 304 told anew).
    pub headers: HeaderMap,
    /// Body, at most [`super::Client::MAX_BODY`].
    pub body: Bytes,
    /// Nothing changed since the last time.
    pub not_modified: bool,
    /// Where it came from, after redirects within the host.
    pub url: Url,
    pub(super) endpoint: &'static str,
    pub(super) settings: Arc<ClientSettings>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither body nor headers: the one is long, the others may hold cookies.
        f.debug_struct("Response")
            .field("endpoint", &self.endpoint)
            .field("status", &self.status)
            .field("not_modified", &self.not_modified)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Response {
    /// Reads the body as JSON.
    ///
    /// # Errors
    /// [`Error::Garbage`] that names what was asked, what was expected and where in the body it broke; an HTML page is
    /// called one.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        // A byte order mark is no JSON, and some proxies write one.
        let body = self.body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.body);
        serde_json::from_slice(body).map_err(|error| self.no_json::<T>(body, &error))
    }

    fn no_json<T: DeserializeOwned>(&self, body: &[u8], error: &serde_json::Error) -> Error {
        let (title, at, path) = (self.settings.dialect.title, place(&self.url), path_of(self.endpoint));
        let expected = format!("expected JSON from {title} at {at} for {path}");
        let html =
            self.header(CONTENT_TYPE.as_str()).is_some_and(|t| t.to_ascii_lowercase().contains("html"))
                || body.trim_ascii_start().starts_with(b"<");
        Error::Garbage(if html {
            format!("{expected}, got an HTML page (is this a login page?)")
        } else if body.trim_ascii().is_empty() {
            format!("{expected}, got an empty body")
        } else if error.is_data() {
            // Read once more, now keeping the path to where it breaks; that is too slow for every answer.
            let mut json = serde_json::Deserializer::from_slice(body);
            let found = serde_path_to_error::deserialize::<_, T>(&mut json).err();
            let found = found.map(|e| format!("{}: {}", e.path(), e.inner()));
            let found = found.unwrap_or_else(|| error.to_string());
            format!("{expected}, got JSON of another shape: {}", text::line(&found, MAX_COMPLAINT))
        } else {
            format!("{expected}, got what is none: {}", text::line(&error.to_string(), MAX_COMPLAINT))
        })
    }

    /// The `rel="next"` link, `None` on the last page.
    ///
    /// # Errors
    /// [`Error::Redirect`] when it leads to another origin than the configured one: following it would leak the token.
    pub fn next_link(&self) -> Result<Option<Url>> {
        let Some(target) = link::next(&self.headers) else { return Ok(None) };
        let (title, base) = (self.settings.dialect.title, &self.settings.base);
        let url = self.url.join(target).map_err(|_| {
            Error::Garbage(format!("{title} at {} names a next page that is no URL", place(base)))
        })?;
        if !may_carry_token(base, &url) {
            return Err(Error::Redirect(format!(
                "{title} at {at} names a next page on {}://{}: not followed, since the token belongs to {}://{at}",
                url.scheme(),
                place(&url),
                base.scheme(),
                at = place(base)
            )));
        }
        Ok(Some(url))
    }

    /// What the platform's clock said.
    #[must_use]
    pub fn date(&self) -> Option<Timestamp> {
        let date = self.header(http::header::DATE.as_str())?;
        jiff::fmt::rfc2822::parse(date).ok().map(|zoned| zoned.timestamp())
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
}
