//! Who is there.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::request::Parts;
use jiff::SignedDuration;

use super::keys;
use super::session::Session;
use super::tokens;
use super::users::Stamp;

/// Timers have ends: after this one looks again.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Who sent a request. Every request that reaches a handler has one.
#[derive(Debug, Clone)]
pub(crate) enum Visitor {
    /// Nobody has to sign in here.
    Everybody,
    /// Somebody who has not signed in.
    Nobody,
    /// Somebody in particular.
    Known(Identity),
}

impl Visitor {
    pub(crate) const fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Known(identity) => Some(identity),
            Self::Everybody | Self::Nobody => None,
        }
    }

    /// Whether this one may be told what is configured here.
    pub(crate) const fn is_let_in(&self) -> bool {
        !matches!(self, Self::Nobody)
    }
}

/// A user, or a script with a token.
#[derive(Debug, Clone)]
pub(crate) struct Identity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    groups: Arc<[String]>,
    by: By,
}

/// How somebody showed who it is.
#[derive(Debug, Clone)]
pub(super) enum By {
    /// By a cookie that this key sealed.
    Session {
        session: Session,
        key: keys::Name,
    },
    Password {
        stamp: Stamp,
    },
    Token {
        hash: tokens::Hash,
    },
    Proxy,
}

impl Identity {
    pub(super) fn new(name: String, groups: Arc<[String]>, by: By) -> Self {
        Self(Arc::new(Inner { name, groups, by }))
    }

    /// The user's name; of a script `token:` and the token's.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// The groups that the users file, or the proxy, has the user in.
    pub(crate) fn groups(&self) -> &[String] {
        &self.0.groups
    }

    /// What was shown, in a word.
    pub(crate) fn how(&self) -> &'static str {
        match self.0.by {
            By::Session { .. } => "session",
            By::Password { .. } => "password",
            By::Token { .. } => "token",
            By::Proxy => "proxy",
        }
    }

    pub(super) fn by(&self) -> &By {
        &self.0.by
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or(Self::Nobody))
    }
}

/// Name and password of `Authorization: Basic`.
pub(super) fn basic(value: &str) -> Option<(String, String)> {
    let text = String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Waits so long, for ever without an end.
pub(super) async fn wait(time: Option<SignedDuration>) {
    match time {
        Some(time) => {
            tokio::time::sleep(Duration::try_from(time).unwrap_or(Duration::ZERO).min(MAX_WAIT)).await
        }
        None => std::future::pending().await,
    }
}
