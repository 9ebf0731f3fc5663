//! What a source's client is made from.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use domain::SourceName;
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;
use url::Url;

use super::auth::Auth;
use crate::Error;

/// Which headers tell the rate limit. The reset is in seconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub struct BudgetHeaders {
    /// Requests in a window.
    pub limit: &'static str,
    /// Requests left.
    pub remaining: &'static str,
    /// When the window ends.
    pub reset: &'static str,
    /// How long a window is.
    pub window: SignedDuration,
}

/// Tells an error that only this platform has (GitHub's 403 that is a rate limit) from the general rule. `None` leaves
/// it to the rule. Called for every answer that is neither 2xx nor a redirect, with at most 64 KiB of its body.
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
    /// Requests that the platform allows in any hour, where it does not count them out loud: then we do. Where the header
    /// of the limit comes all the same ([`BudgetHeaders::limit`]), what it says takes the place of this.
    pub hourly: Option<u64>,
    /// Whether an answer 304 leaves the limit as it is, for who asks with a token.
    pub unmodified_is_free: bool,
    /// Errors of its own.
    pub classify: Classify,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// DNS, TCP and TLS.
    pub connect: Duration,
    /// From the request to the head of the answer, connecting included; and from one piece of a body to the next.
    pub answer: Duration,
    /// A whole try: redirects and body included.
    pub total: Duration,
    /// The same for logs, which may be large.
    pub log: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            total: Duration::from_secs(60),
            log: Duration::from_secs(120),
        }
    }
}

/// The bounds of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How often a request that failed in passing is tried again.
    pub retries: u32,
    /// Before the first retry; doubled for each further one, with jitter.
    pub retry_pause: Duration,
    /// Requests of the source at a time. GitHub asks for at most 100 over everything that a user runs.
    pub concurrent: usize,
    /// The largest body that is read, in bytes after decompression.
    pub body_bytes: usize,
    /// What all kept answers may weigh, compressed, in bytes: at 48 MiB some 1,000 pages of 100 GitHub runs.
    pub kept_bytes: u64,
    /// The most that is read of a log to find its end, in bytes, where the end alone cannot be had.
    pub log_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            retries: 2,
            retry_pause: Duration::from_millis(250),
            concurrent: 8,
            body_bytes: super::Client::MAX_BODY,
            kept_bytes: 48 * 1024 * 1024,
            log_bytes: 256 * 1024 * 1024,
        }
    }
}

/// What a source's settings say about its connection.
#[derive(Clone)]
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
    pub ca_file: Option<PathBuf>,
    /// Proxy; `None` takes the environment's.
    pub proxy: Option<Url>,
    /// Accept any certificate. Loud.
    pub insecure_skip_verify: bool,
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the URLs the host alone: a proxy's has its password inside.
        f.debug_struct("ClientSettings")
            .field("source", &self.source)
            .field("base", &self.base.host_str())
            .field("auth", &self.auth)
            .field("title", &self.dialect.title)
            .field("ca_file", &self.ca_file)
            .field("proxy", &self.proxy.as_ref().and_then(Url::host_str))
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .finish()
    }
}
