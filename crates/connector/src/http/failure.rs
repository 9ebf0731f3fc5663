//! What went wrong, in words that name who and where, and never hold a token or a signed URL.

use std::error::Error as StdError;
use std::time::Duration;

use domain::Timestamp;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::limits::retry_after;
use super::settings::Dialect;
use crate::Error;

/// How much of a platform's own message is passed on, in characters.
const MAX_QUOTE: usize = 160;

/// `host:port`, as people write it.
pub(super) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// An answer that is no success.
pub(super) fn of_status(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    dialect: &Dialect,
    endpoint: &str,
    url: &Url,
    now: Timestamp,
) -> Error {
    if let Some(error) = (dialect.classify)(status, headers, body) {
        return error;
    }
    let (title, at, code) = (dialect.title, place(url), status.as_u16());
    let said = quote(body).map(|q| format!(": {q}")).unwrap_or_default();
    let path = endpoint.strip_prefix("GET ").unwrap_or(endpoint);
    match code {
        401 => Error::Unauthorized(format!(
            "{title} at {at} refuses the token (401); a valid one needs {}",
            dialect.scope
        )),
        403 => Error::Forbidden(format!(
            "{title} does not let this token read {path} (403{said}); it needs {}",
            dialect.scope
        )),
        404 | 410 => {
            Error::NotFound(format!("{title} has no such {path} ({code}), or does not show it to this token"))
        }
        429 => Error::RateLimited { until: retry_after(headers, now) },
        451 => Error::Legal(format!("{title} has taken it down for legal reasons (451)")),
        500..=599 => Error::Server(format!("{title} at {at} failed on {path} ({code}{said})")),
        _ => Error::Garbage(format!("{title} at {at} answered {path} with {code}{said}")),
    }
}

/// The platform's own message, where the body holds one.
fn quote(body: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = ["message", "error_description", "error"]
        .iter()
        .find_map(|k| json.get(k)?.as_str().map(str::to_owned))?;
    Some(domain::text::line(&text, MAX_QUOTE)).filter(|t| !t.is_empty())
}

/// No answer at all, or not to its end.
pub(super) fn of_transport(error: reqwest::Error, dialect: &Dialect, url: &Url) -> Error {
    let at = place(url);
    let error = error.without_url();
    let mut chain = vec![error.to_string()];
    let mut source = StdError::source(&error);
    while let Some(e) = source {
        chain.push(e.to_string());
        source = e.source();
    }
    let all = chain.join(": ").to_lowercase();
    let last = domain::text::line(chain.last().map_or("", String::as_str), MAX_QUOTE);
    if error.is_timeout() {
        return Error::Unreachable(format!("no answer from {at} in time"));
    }
    if error.is_connect() || error.is_request() {
        return Error::Unreachable(if all.contains("dns") || all.contains("lookup address") {
            format!("the name {} does not resolve (DNS: {last})", url.host_str().unwrap_or("?"))
        } else if all.contains("certificate") || all.contains("tls") || all.contains("ssl") {
            format!("no trusted connection to {at} (TLS: {last})")
        } else if all.contains("refused") {
            format!("connection refused by {at}")
        } else {
            format!("no connection to {at}: {last}")
        });
    }
    Error::Garbage(format!("the answer of {} at {at} broke off: {last}", dialect.title))
}

/// No answer within the time that a request has.
pub(super) fn too_slow(after: Duration, url: &Url) -> Error {
    Error::Unreachable(format!("no answer from {} within {} s", place(url), after.as_secs_f32()))
}
