//! Tokens, what they open, and how often: the same for all faces.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::world::{PersonId, Project, Visibility};

/// A token that sees and may do everything; the default one of every simulation.
pub const FULL_TOKEN: &str = "sim-full-token";
/// A token that is valid but lacks every scope.
pub const NARROW_TOKEN: &str = "sim-narrow-token";
/// A token that has expired.
pub const EXPIRED_TOKEN: &str = "sim-expired-token";
/// A meter remembers so many callers; those whose window is over are forgotten first.
const MAX_CALLERS: usize = 10_000;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Read and act.
    Full,
    /// Read only.
    Read,
    /// Nothing: known, but without the scopes that reading needs.
    None,
    /// Once valid.
    Expired,
}

/// Which projects a token shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sees {
    /// All of the face.
    Everything,
    /// Public ones only.
    Public,
    /// Public ones, and these full paths.
    Only(Vec<String>),
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What is sent.
    pub value: String,
    /// Whose it is.
    pub owner: PersonId,
    /// What it may do.
    pub power: Power,
    /// What it shows.
    pub sees: Sees,
}

impl Token {
    /// A token of the first person with the given power that sees everything.
    #[must_use]
    pub fn new(value: &str, power: Power) -> Self {
        Self { value: value.to_owned(), owner: PersonId(0), power, sees: Sees::Everything }
    }
}

/// Requests per window; none: no limit and no headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// GitHub, with a token, per hour (5,000).
    pub github_hourly: Option<u32>,
    /// GitHub, without, per hour (60).
    pub github_anonymous_hourly: Option<u32>,
    /// GitHub's points for GraphQL, per hour (5,000).
    pub github_points_hourly: Option<u32>,
    /// GitHub's secondary limit of requests per minute (900), which counts what is free otherwise. Off unless
    /// [`Limits::published`]: a clock that stands still never lets a minute pass.
    pub github_per_minute: Option<u32>,
    /// The same of questions to GraphQL (2,000).
    pub github_questions_per_minute: Option<u32>,
    /// GitLab, with a token, per minute (2,000).
    pub gitlab_per_minute: Option<u32>,
    /// GitLab, without, per minute (500).
    pub gitlab_anonymous_per_minute: Option<u32>,
    /// GitLab's extra limit on `GET /projects/:id` per minute: 400 on gitlab.com, off on own servers and here.
    pub gitlab_project_per_minute: Option<u32>,
    /// Bitbucket Cloud, with a token, per hour (1,000).
    pub bitbucket_hourly: Option<u32>,
    /// Bitbucket Cloud, without, per hour (60).
    pub bitbucket_anonymous_hourly: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            github_hourly: Some(5_000),
            github_anonymous_hourly: Some(60),
            github_points_hourly: Some(5_000),
            github_per_minute: None,
            github_questions_per_minute: None,
            gitlab_per_minute: Some(2_000),
            gitlab_anonymous_per_minute: Some(500),
            gitlab_project_per_minute: None,
            bitbucket_hourly: Some(1_000),
            bitbucket_anonymous_hourly: Some(60),
        }
    }
}

impl Limits {
    /// All limits that github.com, gitlab.com and bitbucket.org publish.
    #[must_use]
    pub fn published() -> Self {
        Self {
            github_per_minute: Some(900),
            github_questions_per_minute: Some(2_000),
            gitlab_project_per_minute: Some(400),
            ..Self::default()
        }
    }
}

/// Who may come in, and how often.
#[derive(Debug, Clone)]
pub struct Access {
    /// Known tokens.
    pub tokens: Vec<Token>,
    /// Limits.
    pub limits: Limits,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            tokens: vec![
                Token::new(FULL_TOKEN, Power::Full),
                Token::new(NARROW_TOKEN, Power::None),
                Token::new(EXPIRED_TOKEN, Power::Expired),
            ],
            limits: Limits::default(),
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    Anonymous,
    Known(Token),
    /// Sent a token that nobody knows.
    Unknown,
}

impl Access {
    pub(crate) fn caller(&self, token: Option<&str>) -> Caller {
        match token {
            None => Caller::Anonymous,
            Some(value) => self
                .tokens
                .iter()
                .find(|token| token.value == value)
                .map_or(Caller::Unknown, |token| Caller::Known(token.clone())),
        }
    }
}

impl Caller {
    /// The name under which requests are counted.
    pub(crate) fn key(&self) -> &str {
        match self {
            // Everything comes from loopback: one address.
            Self::Anonymous | Self::Unknown => "127.0.0.1",
            Self::Known(token) => &token.value,
        }
    }

    pub(crate) fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    pub(crate) fn sees(&self, project: &Project) -> bool {
        let public = project.visibility == Visibility::Public;
        match self {
            Self::Anonymous | Self::Unknown => public,
            Self::Known(token) => match &token.sees {
                Sees::Everything => true,
                Sees::Public => public,
                Sees::Only(paths) => public || paths.contains(&project.full_path()),
            },
        }
    }

    pub(crate) fn person(&self) -> Option<PersonId> {
        match self {
            Self::Known(token) => Some(token.owner),
            _ => None,
        }
    }

    pub(crate) fn may_act(&self) -> bool {
        matches!(self, Self::Known(Token { power: Power::Full, .. }))
    }
}

/// A fixed-window counter per caller.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    limit: Option<u32>,
    window: SignedDuration,
    callers: Arc<Mutex<HashMap<String, (Timestamp, u32)>>>,
}

/// What a meter says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) limit: u32,
    pub(crate) used: u32,
    pub(crate) reset: Timestamp,
}

impl Reading {
    pub(crate) fn remaining(&self) -> u32 {
        self.limit.saturating_sub(self.used)
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.used >= self.limit
    }
}

impl Meter {
    pub(crate) fn new(limit: Option<u32>, window: SignedDuration) -> Self {
        Self { limit, window, callers: Arc::default() }
    }

    /// The present reading, after counting `requests` more. None without a limit.
    pub(crate) fn count(&self, caller: &str, now: Timestamp, requests: u32) -> Option<Reading> {
        let limit = self.limit?;
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |begin: Timestamp| now.duration_since(begin) >= self.window;
        if callers.len() >= MAX_CALLERS {
            callers.retain(|_, (begin, _)| !over(*begin));
        }
        let (begin, used) = callers.entry(caller.to_owned()).or_insert((now, 0));
        if over(*begin) {
            (*begin, *used) = (now, 0);
        }
        *used = used.saturating_add(requests);
        let reset = begin.saturating_add(self.window).unwrap_or(now);
        Some(Reading { limit, used: (*used).min(limit), reset })
    }
}
