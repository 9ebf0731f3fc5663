//! A value and its three times.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use jiff::SignedDuration;

/// How long entries are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Fresh for this long after it was fetched.
    pub ttl: Duration,
    /// Of use for this long after it was fetched; at least `ttl`.
    pub stale_ttl: Duration,
}

/// What an entry is good for at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The answer.
    Fresh,
    /// The answer until a newer one is there.
    Stale,
    /// None.
    Expired,
}

/// A value and its three times.
#[derive(Debug)]
pub struct Entry<V> {
    /// The value.
    pub value: Arc<V>,
    /// When it was asked for.
    pub fetched_at: Timestamp,
    /// Until when it is fresh.
    pub fresh_until: Timestamp,
    /// Until when it is of use.
    pub stale_until: Timestamp,
    /// Its weight in bytes.
    pub bytes: u32,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

impl<V> Entry<V> {
    /// A value fetched at `at`. `fresh_for` overrides the cache's `ttl` (never beyond its `stale_ttl`).
    #[must_use]
    pub fn new(value: Arc<V>, bytes: u32, at: Timestamp, times: Times, fresh_for: Option<Duration>) -> Self {
        let stale_ttl = times.stale_ttl.max(times.ttl);
        let after = |d: Duration| {
            let by = SignedDuration::try_from(d).unwrap_or(SignedDuration::MAX);
            at.saturating_add(by).unwrap_or(Timestamp::MAX)
        };
        let fresh_until = after(fresh_for.unwrap_or(times.ttl).min(stale_ttl));
        Self { value, fetched_at: at, fresh_until, stale_until: after(stale_ttl), bytes }
    }

    /// The same, no longer fresh.
    #[must_use]
    pub fn expired(self) -> Self {
        Self { fresh_until: self.fetched_at, ..self }
    }

    /// What it is good for at `now`. When the clock was put back behind the fetch, nobody knows how old it is: stale, so
    /// that it is fetched anew.
    #[must_use]
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        if now < self.fetched_at {
            Freshness::Stale
        } else if now < self.fresh_until {
            Freshness::Fresh
        } else if now < self.stale_until {
            Freshness::Stale
        } else {
            Freshness::Expired
        }
    }
}
