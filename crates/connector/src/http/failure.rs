//! What went wrong, in words that name who and where, and never hold a token or a signed URL.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use domain::{SourceName, Timestamp, text};
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;
use rustls::CertificateError;
use url::Url;

use super::auth::Auth;
use super::gate::{LONGEST_OUTAGE, LONGEST_PAUSE, PATIENCE, retry_after};
use super::settings::Dialect;
use super::{budget, settings::ClientSettings};
use crate::Error;

/// How much of a platform's own message is passed on, in characters.
const MAX_QUOTE: usize = 160;

/// A try that brought nothing, and what follows from that.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) then: Then,
}

/// What a try brought.
pub(super) type Try<T> = Result<T, Failure>;

/// Whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It would bring the same.
    Stop,
    /// It may pass.
    Again,
    /// The platform wants to be left alone, by all requests of the source, for this long.
    Pause(SignedDuration),
    /// The same, but it does not say for how long.
    BackOff,
}

impl Failure {
    /// One that is not tried again.
    pub(super) const fn last(error: Error) -> Self {
        Self { error, then: Then::Stop }
    }

    /// A limit of the platform's, for this long.
    pub(super) fn limited(pause: SignedDuration, now: Timestamp) -> Self {
        let until = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        Self { error: Error::RateLimited { until: Some(until) }, then: Then::Pause(pause) }
    }

    /// One that may pass.
    pub(super) const fn passing(error: Error) -> Self {
        Self { error, then: Then::Again }
    }
}

/// Who asked what: what a message has to name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) source: &'a SourceName,
    pub(super) dialect: &'a Dialect,
    pub(super) auth: &'a Auth,
    pub(super) proxy: Option<&'a Url>,
    pub(super) endpoint: &'static str,
    pub(super) now: Timestamp,
}

impl<'a> Asked<'a> {
    pub(super) fn new(settings: &'a ClientSettings, endpoint: &'static str, now: Timestamp) -> Self {
        Self {
            source: &settings.source,
            dialect: &settings.dialect,
            auth: &settings.auth,
            proxy: settings.proxy.as_ref(),
            endpoint,
            now,
        }
    }

    pub(super) fn path(&self) -> &'static str {
        path_of(self.endpoint)
    }
}

/// `/projects/:id` of `GET /projects/:id`.
pub(super) fn path_of(endpoint: &'static str) -> &'static str {
    endpoint.strip_prefix("GET ").unwrap_or(endpoint)
}

/// Host, and port where it is not the usual one: as people write it.
pub(super) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// `host:port`, whatever the port: where a connection goes.
fn peer(url: &Url) -> String {
    let port = url.port_or_known_default().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or("?"))
}

/// An answer of the platform's that is no success.
pub(super) fn of_status(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    url: &Url,
    asked: &Asked<'_>,
) -> Failure {
    if let Some(error) = (asked.dialect.classify)(status, headers, body) {
        return match error {
            Error::RateLimited { until } => limited(until.map(|at| at.duration_since(asked.now)), asked.now),
            Error::Server(_) => Failure::passing(error),
            error => Failure::last(error),
        };
    }
    let (title, at, code, path) = (asked.dialect.title, place(url), status.as_u16(), asked.path());
    let said = quote(body, asked.auth).map(|q| format!(": {q}")).unwrap_or_default();
    let scope = asked.dialect.scope;
    Failure::last(match code {
        401 if asked.auth.is_anonymous() => Error::Unauthorized(format!(
            "{title} at {at} wants a token (401), and source {} has none; one is needed that may: {scope}",
            asked.source
        )),
        401 => Error::Unauthorized(format!(
            "{title} at {at} refuses the token of source {} (401): it is wrong, expired or revoked; one is needed \
             that may: {scope}",
            asked.source
        )),
        403 => Error::Forbidden(format!(
            "{title} at {at} does not let the token of source {} {} {path} (403{said}); it may need: {scope}",
            asked.source,
            if asked.endpoint.starts_with("POST") { "use" } else { "read" },
        )),
        404 | 410 => Error::NotFound(format!(
            "{title} at {at} has no such {path} ({code}), or does not show it to this token"
        )),
        407 => Error::Unreachable(format!("the proxy on the way to {at} wants a user and a password (407)")),
        429 => {
            let told = retry_after(headers, asked.now).or_else(|| {
                let names = asked.dialect.budget?;
                Some(budget::reset(headers, names, asked.now)?.duration_since(asked.now))
            });
            return limited(told, asked.now);
        }
        451 => Error::Legal(format!("{title} at {at} has taken this down for legal reasons (451{said})")),
        408 | 500..=599 => {
            return failed(
                status,
                headers,
                asked,
                format!("{title} at {at} failed on {path} ({code}{said})"),
            );
        }
        400 | 409 | 422 if asked.endpoint.starts_with("POST") => {
            Error::Refused(format!("{title} at {at} refuses {path} ({code}{said})"))
        }
        _ => Error::Garbage(format!("{title} at {at} answered {path} with {code}{said}")),
    })
}

/// "Too many". The pause is the one that was told, if that makes sense.
fn limited(told: Option<SignedDuration>, now: Timestamp) -> Failure {
    match told.filter(|d| !d.is_negative()) {
        Some(told) => Failure::limited(told.min(LONGEST_PAUSE), now),
        None => Failure { error: Error::RateLimited { until: None }, then: Then::BackOff },
    }
}

/// The platform's own trouble. It passes, or the platform says when it will have.
fn failed(status: StatusCode, headers: &HeaderMap, asked: &Asked<'_>, mut words: String) -> Failure {
    let told = retry_after(headers, asked.now).map(|d| d.min(LONGEST_OUTAGE));
    match (status.as_u16(), told) {
        (501 | 505 | 508 | 510 | 511, _) => Failure::last(Error::Server(words)),
        (503, Some(pause)) => {
            if pause > SignedDuration::try_from(PATIENCE).unwrap_or_default() {
                let until = asked.now.saturating_add(pause).unwrap_or(Timestamp::MAX);
                let _ = write!(
                    words,
                    "; it is asked again at {}",
                    until.round(jiff::Unit::Second).unwrap_or(until)
                );
            }
            Failure { error: Error::Server(words), then: Then::Pause(pause) }
        }
        _ => Failure::passing(Error::Server(words)),
    }
}

/// An answer of the storage that a log lies in, which is no part of the platform: it knows no token, so it can refuse
/// none, and its limits are not ours.
pub(super) fn of_storage(status: StatusCode, url: &Url, asked: &Asked<'_>) -> Failure {
    let (title, at, code) = (asked.dialect.title, place(url), status.as_u16());
    match code {
        404 | 410 => Failure::last(Error::NotFound(format!(
            "{title} keeps this at {at}, where it is no more ({code})"
        ))),
        429 | 500..=599 => {
            Failure::passing(Error::Server(format!("{title} keeps this at {at}, which failed ({code})")))
        }
        _ => Failure::last(Error::Forbidden(format!(
            "{title} keeps this at {at}, which does not give it out ({code})"
        ))),
    }
}

/// The platform's own message, where the body holds one.
fn quote(body: &[u8], auth: &Auth) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(body).ok()?;
    let said = |value: &serde_json::Value| {
        ["message", "error_description", "error"]
            .iter()
            .find_map(|k| value.get(k)?.as_str().map(str::to_owned))
    };
    // `{"error":{"message":"…"}}` is Bitbucket's way.
    let said = said(&json).or_else(|| said(json.get("error")?))?;
    Some(text::line(&said, MAX_QUOTE)).filter(|t| !t.is_empty() && !auth.occurs_in(&said))
}

/// No answer at all.
pub(super) fn of_transport(
    error: reqwest::Error,
    url: &Url,
    connect: Duration,
    asked: &Asked<'_>,
) -> Failure {
    let error = error.without_url();
    // What the first connection goes to.
    let (hop, through) = match asked.proxy {
        Some(proxy) => (proxy, format!(" (the proxy on the way to {})", peer(url))),
        None => (url, String::new()),
    };
    let to = peer(hop);
    let io = find::<io::Error>(&error).map(io::Error::kind);
    let words = if let Some(tls) = find::<rustls::Error>(&error) {
        return Failure::last(Error::Unreachable(tls_words(tls, url)));
    } else if error.is_timeout() {
        let words = format!("no connection to {to} within {}{through}", seconds(connect));
        return Failure::last(Error::Unreachable(words));
    } else if error.is_dns() {
        format!("DNS lookup of {} failed{through}", hop.host_str().unwrap_or("?"))
    } else if error.is_connect() {
        match io {
            Some(io::ErrorKind::ConnectionRefused) => format!("Connection refused by {to}{through}"),
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                format!("no route to {to}{through}")
            }
            Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                format!("{to} closed the connection at once{through}")
            }
            _ => format!("no connection to {to}{through}: {}", innermost(&error)),
        }
    } else {
        format!("{} closed the connection without an answer ({})", peer(url), innermost(&error))
    };
    Failure::passing(Error::Unreachable(words))
}

fn tls_words(error: &rustls::Error, url: &Url) -> String {
    let (to, host) = (peer(url), url.host_str().unwrap_or("?"));
    let why = match error {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer => {
                "its issuer is unknown; if it is a CA of your own, name it in ca_file".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "it has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "it is not valid yet; does the clock stand right?".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("it is not one for {host}")
            }
            CertificateError::Revoked => "it was revoked".to_owned(),
            other => text::line(&other.to_string(), MAX_QUOTE),
        },
        rustls::Error::InvalidMessage(_) => return format!("TLS: {to} does not speak it; is it plain http?"),
        other => return format!("TLS with {to} failed: {}", text::line(&other.to_string(), MAX_QUOTE)),
    };
    format!("TLS: certificate of {to} not trusted: {why}")
}

/// An answer that began and did not end.
pub(super) fn broken_off(error: reqwest::Error, url: &Url, asked: &Asked<'_>) -> Failure {
    let why = innermost(&error.without_url());
    Failure::passing(Error::Garbage(format!(
        "the answer of {} at {} to {} broke off ({why})",
        asked.dialect.title,
        place(url),
        asked.path()
    )))
}

/// No answer within its time. Not tried again: it took too long already.
pub(super) fn too_slow(after: Duration, url: &Url) -> Failure {
    Failure::last(Error::Unreachable(format!("no answer from {} within {}", peer(url), seconds(after))))
}

/// An answer whose end does not come.
pub(super) fn stalled(after: Duration, url: &Url) -> Failure {
    Failure::last(Error::Unreachable(format!(
        "{} stopped in the middle of an answer for {}",
        peer(url),
        seconds(after)
    )))
}

/// An answer that is larger than what is read.
pub(super) fn too_large(max: u64, url: &Url, asked: &Asked<'_>) -> Failure {
    const MIB: u64 = 1024 * 1024;
    let max = if max >= MIB { format!("{} MiB", max / MIB) } else { format!("{max} bytes") };
    let (title, at, path) = (asked.dialect.title, place(url), asked.path());
    Failure::last(Error::Garbage(format!("{title} at {at} answered {path} with more than {max}")))
}

fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        format!("{} s", time.as_secs())
    } else {
        format!("{} ms", time.as_millis())
    }
}

/// The first error of a kind in the chain, also inside of I/O errors, which hide what they wrap.
fn find<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        at = match wrapped {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    text::line(&at.to_string(), MAX_QUOTE)
}
