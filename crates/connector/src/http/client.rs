//! Signatures first; see the module's docs.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Clock, SourceName, Timestamp};
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use url::Url;

use crate::{Error, Result};

/// How a request says who asks.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// It does not.
    #[default]
    Anonymous,
    /// `Authorization: Bearer …`.
    Bearer(SecretString),
    /// `Authorization: Basic …`.
    Basic {
        /// User.
        user: String,
        /// Password or token.
        password: SecretString,
    },
    /// A header of the platform's own (`PRIVATE-TOKEN`).
    Header {
        /// Its name.
        name: &'static str,
        /// The token.
        value: SecretString,
    },
}

/// Which headers tell the rate limit. The reset is in seconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub struct BudgetHeaders {
    /// Requests in a window.
    pub limit: &'static str,
    /// Requests left.
    pub remaining: &'static str,
    /// When the window ends.
    pub reset: &'static str,
}

/// Tells an error that only this platform has (GitHub's 403 that is a rate limit) from the general rule. `None` leaves it to the rule.
pub type Classify = fn(StatusCode, &HeaderMap, &[u8]) -> Option<Error>;

/// What a platform's requests look like.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// For messages: `GitLab`.
    pub title: &'static str,
    /// What a token has to be allowed; part of the message when it is refused.
    pub scope: &'static str,
    /// `Accept` and other fixed headers.
    pub headers: &'static [(&'static str, &'static str)],
    /// Rate limit headers.
    pub budget: Option<BudgetHeaders>,
    /// Errors of its own.
    pub classify: Classify,
}

/// What a source's settings say about its connection.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// For spans, metrics and messages.
    pub source: SourceName,
    /// Every request goes below this.
    pub base: Url,
    /// Who asks.
    pub auth: Auth,
    /// What requests look like.
    pub dialect: Dialect,
    /// A CA to trust besides the system's (PEM file).
    pub ca_file: Option<std::path::PathBuf>,
    /// Proxy; `None` takes the environment's.
    pub proxy: Option<Url>,
    /// Accept any certificate. Loud.
    pub insecure_skip_verify: bool,
}

/// What is left of the rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests in a window.
    pub limit: u64,
    /// Requests left.
    pub remaining: u64,
    /// When the window ends; `None` when the platform names a time in the past.
    pub reset_at: Option<Timestamp>,
}

/// Requests to one endpoint template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointTraffic {
    /// `GET /projects/:id/pipelines`.
    pub endpoint: &'static str,
    /// All requests sent, retries included.
    pub requests: u64,
    /// Of these, answered 304.
    pub not_modified: u64,
    /// Of these, failed.
    pub failed: u64,
}

/// The requests made so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests in the last hour (rolling, by the minute).
    pub last_hour: u64,
    /// Per endpoint since the start.
    pub endpoints: Vec<EndpointTraffic>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// 2xx. A 304 never gets here: it is answered from the ETag store with `not_modified` set.
    pub status: StatusCode,
    /// Headers of the answer (of the stored one after a 304, with the fresh rate-limit headers).
    pub headers: HeaderMap,
    /// Body, at most [`Client::MAX_BODY`].
    pub body: Bytes,
    /// Nothing changed since the last time.
    pub not_modified: bool,
    /// Where it came from, after redirects within the host.
    pub url: Url,
    pub(crate) endpoint: &'static str,
    pub(crate) title: &'static str,
}

impl Response {
    /// Reads the body as JSON.
    ///
    /// # Errors
    /// [`Error::Garbage`] that names the endpoint, what was expected and where in the body (path) it broke; an HTML page is called one.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        unimplemented!()
    }

    /// The `rel="next"` link, `None` on the last page.
    ///
    /// # Errors
    /// [`Error::Redirect`] when it leads to another origin than the configured one: following it would leak the token.
    pub fn next_link(&self) -> Result<Option<Url>> {
        unimplemented!()
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
}

/// The end of a long body.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The last bytes, cut to what was asked.
    pub bytes: Bytes,
    /// Whether the beginning is missing.
    pub truncated: bool,
}

/// One source's client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    _settings: Arc<ClientSettings>,
}

impl Client {
    /// The largest body that is read: a page of 100 GitHub runs is about 1.5 MB.
    pub const MAX_BODY: usize = 16 * 1024 * 1024;

    /// Builds it. No I/O but reading the CA file.
    ///
    /// # Errors
    /// In words, when the CA file, proxy or a header cannot be used.
    pub fn new(settings: ClientSettings, clock: Arc<dyn Clock>) -> std::result::Result<Self, String> {
        let _ = clock;
        Ok(Self { _settings: Arc::new(settings) })
    }

    /// A URL below the base: each segment percent-encoded as one, query appended.
    #[must_use]
    pub fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let _ = (segments, query);
        unimplemented!()
    }

    /// GETs a URL (conditionally where an ETag is stored). `endpoint` is the template for metrics and messages: `GET /projects/:id`.
    ///
    /// # Errors
    /// See [`Error`]; only 2xx is Ok.
    pub async fn get(&self, endpoint: &'static str, url: Url) -> Result<Response> {
        let _ = (endpoint, url);
        unimplemented!()
    }

    /// GETs the end of a long body, streaming, keeping at most `max_bytes`. A redirect to another host is followed once, without any credential or header of ours (log downloads live in object storage).
    /// The redirect's target never gets into a message: it is signed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get_tail(&self, endpoint: &'static str, url: Url, max_bytes: usize) -> Result<Tail> {
        let _ = (endpoint, url, max_bytes);
        unimplemented!()
    }

    /// What is left of the rate limit, as last told.
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        None
    }

    /// Requests so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}
