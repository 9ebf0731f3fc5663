//! What can go wrong between us and a platform, told by what the caller can do about it.

use domain::{Problem, ProblemKind, SourceName, Timestamp};

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

    /// Of a list that everybody has: where it is not found, the address is another server's. `expected` is what should be
    /// there.
    #[must_use]
    pub fn of_a_stranger(self, expected: &str) -> Self {
        match self {
            Self::NotFound(why) => {
                Self::Garbage(format!("expected {expected}: {why}; is its url another server's?"))
            }
            other => other,
        }
    }

    /// The same, with the name of the source where the words do not say it yet: for what concerns all of it.
    #[must_use]
    pub fn naming(mut self, source: &SourceName) -> Self {
        let (Self::Unauthorized(words)
        | Self::Forbidden(words)
        | Self::NotFound(words)
        | Self::Legal(words)
        | Self::Unreachable(words)
        | Self::Server(words)
        | Self::Garbage(words)
        | Self::Refused(words)
        | Self::Redirect(words)) = &mut self
        else {
            return self;
        };
        let named = format!("source {source}");
        if !words.contains(&named) {
            *words = format!("{named}: {words}");
        }
        self
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_named_once() {
        let source = SourceName::new("ci").unwrap();
        let refused = Error::Garbage("expected Jenkins, got a wiki".into()).naming(&source);
        assert_eq!(refused, Error::Garbage("source ci: expected Jenkins, got a wiki".into()));
        assert_eq!(refused.clone().naming(&source), refused);
        let limited = Error::RateLimited { until: None };
        assert_eq!(limited.clone().naming(&source), limited);
    }

    #[test]
    fn a_list_that_everybody_has_is_missing_at_strangers_only() {
        let missing = Error::NotFound("GitLab at x has no such /projects (404)".into());
        let words = missing.of_a_stranger("GitLab's API").to_string();
        assert_eq!(
            words,
            "expected GitLab's API: GitLab at x has no such /projects (404); is its url another server's?"
        );
        let other = Error::Server("failed".into());
        assert_eq!(other.clone().of_a_stranger("GitLab's API"), other);
    }
}
