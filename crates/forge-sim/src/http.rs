//! Requests and replies as faces see them: plain data, so that a face can be tried without a socket.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method; HEAD arrives as GET.
    pub method: Method,
    /// Path as sent, still encoded.
    pub path: String,
    /// Query as sent, without the question mark.
    pub raw_query: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// `http://host:port` as the client sees it.
    pub origin: String,
    /// The world's present.
    pub now: Timestamp,
}

impl Request {
    /// A header's value, when it is there and readable.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The decoded parts of a path between slashes; `%2F` stays inside its part.
    #[must_use]
    pub fn segments(path: &str) -> Vec<String> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect()
    }

    /// All query parameters, decoded, in order.
    #[must_use]
    pub fn params(&self) -> Vec<(String, String)> {
        let decode =
            |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        self.raw_query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name), decode(value))
            })
            .collect()
    }

    /// The last value of a query parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<String> {
        self.params().into_iter().rfind(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// All values of a list parameter, written `name[]=` or `name=`.
    #[must_use]
    pub fn params_of(&self, name: &str) -> Vec<String> {
        self.params()
            .into_iter()
            .filter(|(known, _)| known.strip_suffix("[]").unwrap_or(known) == name)
            .map(|(_, value)| value)
            .collect()
    }

    /// Whether a boolean parameter is set and true.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.param(name).map(|value| matches!(value.as_str(), "true" | "1" | "yes" | ""))
    }

    /// This request's URL with some parameters replaced or added.
    #[must_use]
    pub fn url_with(&self, replaced: &[(&str, String)]) -> String {
        let mut pairs: Vec<String> = self
            .raw_query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .filter(|pair| replaced.iter().all(|(name, _)| pair.split('=').next() != Some(name)))
            .map(str::to_owned)
            .collect();
        pairs.extend(replaced.iter().map(|(name, value)| format!("{name}={}", encode(value))));
        format!("{}{}?{}", self.origin, self.path, pairs.join("&"))
    }

    /// Whether `If-None-Match` names this tag; strength does not matter there.
    #[must_use]
    pub fn has_tag(&self, etag: &str) -> bool {
        let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        self.header("if-none-match")
            .is_some_and(|sent| sent.trim() == "*" || sent.split(',').any(|tag| bare(tag) == bare(etag)))
    }
}

/// Percent-encodes a value for one segment of a path or one parameter.
#[must_use]
pub fn encode(text: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEEP).to_string()
}

/// Percent-encodes a path, slashes kept.
pub(crate) fn encode_path(text: &str) -> String {
    encode(text).replace("%2F", "/")
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// The endpoint, for counting: `GET /projects/:id/pipelines`.
    pub template: &'static str,
    /// What it was charged, where the platform counts points and not requests.
    pub points: u64,
}

impl Reply {
    /// A JSON answer.
    #[must_use]
    pub fn json(template: &'static str, status: StatusCode, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json; charset=utf-8".to_owned())],
            body: body.to_string().into_bytes(),
            template,
            points: 0,
        }
    }

    /// A text answer of any type.
    #[must_use]
    pub fn text(
        template: &'static str,
        status: StatusCode,
        content_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, body: body.into(), template, points: 0 }
    }

    /// Adds or replaces a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }
}

/// Hexadecimal SHA-256 over parts.
pub(crate) fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A round picture in a colour of its own, for avatars.
pub(crate) fn avatar(seed: &str) -> Vec<u8> {
    let hue = seed.bytes().fold(0_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 360);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"80\" height=\"80\"><circle cx=\"40\" cy=\"40\" r=\"40\" \
         fill=\"hsl({hue} 55% 55%)\"/></svg>"
    )
    .into_bytes()
}
