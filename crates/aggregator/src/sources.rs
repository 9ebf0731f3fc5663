//! How each source is: what its row says.

use std::sync::Arc;

use connector::{Connector, Descriptor, Error, TokenFacts};
use domain::{Person, SourceName, Timestamp};

use crate::webhooks::Health;

/// So many scopes of a token are told; no platform has as many.
const MAX_SCOPES: usize = 100;

/// How a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// First reading.
    Loading,
    /// All well.
    Ok,
    /// Waits for its rate limit.
    Limited,
    /// Answers, but not all of it.
    Failing,
    /// Does not answer, refuses the token, or is switched off.
    Down,
}

/// Whose token a source has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Not known, and why where it was asked for in vain.
    Unread(Option<String>),
    /// Nobody's: anonymous access, or a token that belongs to no user. Also where the platform does not tell.
    Nobody,
    /// Theirs.
    Known(Person),
}

impl Owner {
    /// Who it is, where that is known.
    #[must_use]
    pub const fn person(&self) -> Option<&Person> {
        if let Self::Known(person) = self { Some(person) } else { None }
    }
}

/// A source as its row shows it. What changes here wakes the pages; figures that change with every request are read
/// from the connector when asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: SourceName,
    /// Its platform's key in the configuration.
    pub platform: &'static str,
    /// Its platform, where this build has a connector for it.
    pub descriptor: Option<&'static Descriptor>,
    /// Where it is.
    pub url: String,
    /// How it is.
    pub state: State,
    /// Why it is not ok, in words.
    pub error: Option<String>,
    /// Since when it is not.
    pub failing_since: Option<Timestamp>,
    /// When it is asked again.
    pub next_try_at: Option<Timestamp>,
    /// While the first reading runs: projects read so far.
    pub read: usize,
    /// Of how many, where known.
    pub expected: Option<usize>,
    /// Everything of it was read once.
    pub was_read: bool,
    /// When it last answered. Not part of what wakes pages.
    pub last_success_at: Option<Timestamp>,
    /// How its webhooks fare; `None` when it takes none. Not part of what wakes pages either.
    pub webhooks: Option<Health>,
    /// Whose token it has.
    pub owner: Owner,
    /// What the platform tells of its token; `None` until it was asked, or where it tells nothing.
    pub token: Option<Token>,
}

/// What a platform tells about a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// What it is allowed, in the platform's words.
    pub scopes: Vec<String>,
    /// Those of `scopes` with which something can be altered.
    pub writes: Vec<String>,
    /// When it stops to work; `None`: never, or not told.
    pub expires_at: Option<Timestamp>,
}

impl From<TokenFacts> for Token {
    fn from(facts: TokenFacts) -> Self {
        let bounded = |words: Vec<String>| {
            words.iter().take(MAX_SCOPES).map(|w| domain::text::line(w, domain::text::MAX_NAME)).collect()
        };
        let TokenFacts { scopes, writes, expires_at, platform_time: _ } = facts;
        Self { scopes: bounded(scopes), writes: bounded(writes), expires_at }
    }
}

impl Source {
    /// A source that has not been asked yet.
    #[must_use]
    pub fn new(name: SourceName, platform: &'static str, url: String) -> Self {
        Self {
            name,
            platform,
            descriptor: None,
            url,
            state: State::Loading,
            error: None,
            failing_since: None,
            next_try_at: None,
            read: 0,
            expected: None,
            was_read: false,
            last_success_at: None,
            webhooks: None,
            owner: Owner::Unread(None),
            token: None,
        }
    }

    /// The same in place of a row of that name, from before the settings changed: what it has counted goes on.
    #[must_use]
    pub fn following(mut self, before: Option<Self>) -> Self {
        if let Some(before) = before {
            self.last_success_at = before.last_success_at;
            self.webhooks = self.webhooks.map(|fresh| before.webhooks.unwrap_or(fresh));
        }
        self
    }

    /// A source that will never be asked, and why.
    #[must_use]
    pub fn off(mut self, why: String) -> Self {
        self.state = State::Down;
        self.error = Some(why);
        self
    }

    /// Whether what is known of it dates from before its failure. A source that waits for its rate limit is not news
    /// before it has missed a whole interval; the caller says so through `overdue`.
    #[must_use]
    pub fn is_stale(&self, overdue: bool) -> bool {
        match self.state {
            State::Down => true,
            State::Limited => overdue,
            State::Loading | State::Ok | State::Failing => false,
        }
    }

    /// It answered.
    pub fn succeeded(&mut self, at: Timestamp) {
        self.was_read = true;
        self.last_success_at = Some(at);
        self.error = None;
        self.failing_since = None;
        self.next_try_at = None;
        self.state = State::Ok;
    }

    /// It answers, and is being read.
    pub fn answered(&mut self, at: Timestamp) {
        self.last_success_at = Some(at);
        if self.state != State::Loading {
            self.error = None;
            self.failing_since = None;
            self.next_try_at = None;
            self.state = if self.was_read { State::Ok } else { State::Loading };
        }
    }

    /// It answered, but something beyond single projects failed.
    pub fn half_failed(&mut self, why: String, at: Timestamp) {
        self.last_success_at = Some(at);
        self.state = State::Failing;
        self.error = Some(why);
        self.failing_since.get_or_insert(at);
        self.next_try_at = None;
    }

    /// It did not answer.
    pub fn failed(&mut self, error: &Error, at: Timestamp, next_try_at: Timestamp) {
        self.state = match error {
            Error::RateLimited { .. } => State::Limited,
            _ => State::Down,
        };
        self.error = Some(domain::text::line(&error.to_string(), domain::text::MAX_TITLE));
        self.failing_since.get_or_insert(at);
        self.next_try_at = Some(next_try_at);
    }

    /// The same without what changes at every reading.
    pub(crate) fn visible(&self) -> Self {
        Self { last_success_at: None, webhooks: None, ..self.clone() }
    }
}

/// A source and its connector, where it has one.
#[derive(Debug, Clone)]
pub struct Connected {
    /// Its row.
    pub source: Source,
    /// Its connector; `None` when it is switched off.
    pub connector: Option<Arc<dyn Connector>>,
}
