//! A session is a cookie: who signed in and until when, sealed. Nothing is kept here, so that it outlives this process and
//! is as good at any other one with the same key.

use domain::Timestamp;
use http::{HeaderMap, HeaderValue, header};
use jiff::SignedDuration;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use super::keys::{self, KeyRing};
use super::users::Stamp;
use crate::client::Client;

/// Over HTTPS: with this prefix browsers refuse one that came any other way, or is for other hosts as well.
const SECURE_NAME: &str = "__Host-ci-dashboard";
/// Over plain HTTP, which is for this machine alone.
const LOCAL_NAME: &str = "ci-dashboard-session";
/// Bytes of a cookie that is looked at.
const MAX_COOKIE_BYTES: usize = 2048;

/// What tells one session of a user from another.
pub(crate) type Id = [u8; 12];

/// What the cookie holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    #[serde(rename = "u")]
    pub(crate) user: String,
    /// Of the password that it began with.
    #[serde(rename = "p")]
    pub(crate) stamp: Stamp,
    #[serde(rename = "i")]
    pub(crate) id: Id,
    /// Seconds since 1970.
    #[serde(rename = "b")]
    begun: i64,
    #[serde(rename = "e")]
    expires: i64,
}

/// A session that a request came with.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) session: Session,
    /// The key that sealed the cookie.
    pub(crate) key: keys::Name,
    /// It is time to hand out a younger cookie.
    pub(crate) renew: bool,
}

impl Session {
    pub(crate) fn begin(user: &str, stamp: Stamp, now: Timestamp, ttl: SignedDuration) -> Option<Self> {
        let mut id = Id::default();
        SystemRandom::new().fill(&mut id).ok()?;
        let (begun, user) = (now.as_second(), user.to_owned());
        Some(Self { user, stamp, id, begun, expires: begun.saturating_add(ttl.as_secs()) })
    }

    /// The same session with all of its time before it.
    pub(crate) fn renewed(&self, now: Timestamp, ttl: SignedDuration) -> Self {
        let begun = now.as_second();
        Self { begun, expires: begun.saturating_add(ttl.as_secs()), ..self.clone() }
    }

    /// How long it still lasts; nothing once it is over.
    pub(crate) fn left(&self, now: Timestamp) -> Option<SignedDuration> {
        let left = SignedDuration::from_secs(self.expires.saturating_sub(now.as_second()));
        (left > SignedDuration::ZERO).then_some(left)
    }

    /// Whether more than half of its time is gone.
    fn is_old(&self, now: Timestamp) -> bool {
        now.as_second() > self.begun / 2 + self.expires / 2
    }

    /// The header that makes a browser keep it.
    pub(crate) fn set_cookie(&self, keys: &KeyRing, client: &Client) -> Option<HeaderValue> {
        let sealed = keys.seal(&serde_json::to_vec(self).ok()?)?;
        let age = self.expires.saturating_sub(self.begun);
        cookie(client, &sealed, age)
    }
}

/// The header that makes a browser forget it.
pub(crate) fn clear_cookie(client: &Client) -> Option<HeaderValue> {
    cookie(client, "", 0)
}

fn cookie(client: &Client, value: &str, max_age: i64) -> Option<HeaderValue> {
    let (name, secure) = if client.secure { (SECURE_NAME, "; Secure") } else { (LOCAL_NAME, "") };
    let text = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The session that a request comes with, if it stands at `now`. Whether the user is still there is another question.
pub(crate) fn find(headers: &HeaderMap, client: &Client, keys: &KeyRing, now: Timestamp) -> Option<Found> {
    let name = if client.secure { SECURE_NAME } else { LOCAL_NAME };
    if !client.secure && !client.local {
        return None;
    }
    let opened = cookies(headers, name).find_map(|value| keys.unseal(value))?;
    let session: Session = serde_json::from_slice(&opened.plain).ok()?;
    session.left(now)?;
    let renew = opened.by_an_old_key || session.is_old(now);
    Some(Found { session, key: opened.by, renew })
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(n, value)| *n == name && value.len() <= MAX_COOKIE_BYTES).map(|(_, value)| value)
}
