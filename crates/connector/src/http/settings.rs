//! What a source's client is made from.

use std::path::PathBuf;
use std::time::Duration;

use domain::SourceName;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use url::Url;

use crate::Error;

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

/// Tells an error that only this platform has (GitHub's 403 that is a rate limit) from the general rule. `None` leaves
/// it to the rule. Called for every answer that is neither 2xx nor a redirect.
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

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// DNS, TCP and TLS.
    pub connect: Duration,
    /// From the request to the end of the answer.
    pub request: Duration,
    /// The same for logs, which may be large.
    pub log: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            log: Duration::from_secs(60),
        }
    }
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
    pub ca_file: Option<PathBuf>,
    /// Proxy; `None` takes the environment's.
    pub proxy: Option<Url>,
    /// Accept any certificate. Loud.
    pub insecure_skip_verify: bool,
}
