//! What can go wrong between us and a platform, told by what the caller can do about it.

use domain::{Problem, ProblemKind, Timestamp};

/// The result of asking a platform.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a platform gave no answer that is of use. Messages name what was asked and what came; they never hold a secret
/// or a signed URL, since they end on pages and in logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The token is missing, wrong or expired. Concerns the whole source.
    #[error("{0}")]
    Unauthorized(String),
    /// The token is good but not for this.
    #[error("{0}")]
    Forbidden(String),
    /// Not there, or not to be seen with this token: platforms do not tell the two apart.
    #[error("{0}")]
    NotFound(String),
    /// Taken down for legal reasons (451).
    #[error("{0}")]
    Legal(String),
    /// Too many requests. Concerns the whole source.
    #[error("rate limit reached{}", until.map(|t| format!(", again at {t}")).unwrap_or_default())]
    RateLimited {
        /// When to ask again, where the platform says so. Never in the past.
        until: Option<Timestamp>,
    },
    /// No connection: DNS, TCP, TLS, timeout. Concerns the whole source.
    #[error("{0}")]
    Unreachable(String),
    /// The platform failed (5xx), after retries.
    #[error("{0}")]
    Server(String),
    /// The answer is none of the platform's: not JSON, cut, of another shape, too large, an HTML page.
    #[error("{0}")]
    Garbage(String),
    /// The platform understood and said no: not in this state, not with these values (400, 409, 422).
    #[error("{0}")]
    Refused(String),
    /// A redirect that would carry the token elsewhere; refused.
    #[error("{0}")]
    Redirect(String),
}

impl Error {
    /// Whether asking this source for anything else now is of no use.
    #[must_use]
    pub const fn concerns_source(&self) -> bool {
        matches!(self, Self::Unauthorized(_) | Self::RateLimited { .. } | Self::Unreachable(_))
    }

    /// The same as a reason on a row.
    #[must_use]
    pub fn to_problem(&self) -> Problem {
        let kind = match self {
            Self::Unauthorized(_) | Self::Forbidden(_) => ProblemKind::Forbidden,
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::Legal(_) => ProblemKind::Legal,
            Self::Garbage(_) | Self::Redirect(_) | Self::Refused(_) => ProblemKind::Garbage,
            Self::RateLimited { .. } | Self::Unreachable(_) | Self::Server(_) => ProblemKind::Unreachable,
        };
        Problem::new(kind, self.to_string())
    }

    /// The same as a reason why a part of a row is missing, naming the part.
    #[must_use]
    pub fn to_partial(&self, part: &str) -> Problem {
        Problem::new(ProblemKind::Partial, format!("{part}: {self}"))
    }
}
