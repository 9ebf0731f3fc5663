//! How often one may get a password wrong: [`FREE`] times a minute for each user and for each address. The failure after
//! that, and whatever is tried within the same minute, is told to come later.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures that are answered as what they are.
const FREE: u32 = 5;
/// The time in which they are counted, from the first one on.
const WINDOW: Duration = Duration::from_secs(60);
/// Users, and addresses, that are counted at once; beyond that the oldest count is dropped.
const MAX_COUNTS: usize = 10_000;
/// An IPv6 address stands for its network of so many bits: whoever has one has all of it.
const IPV6_PREFIX: u32 = 64;

/// Too many failures: when to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limited(pub(crate) Duration);

#[derive(Debug, Default)]
pub(crate) struct Limits(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    users: Counter<String>,
    addresses: Counter<IpAddr>,
}

impl Limits {
    /// Whether another attempt may be made.
    pub(crate) fn check(&self, user: &str, address: Option<IpAddr>) -> Result<(), Limited> {
        let now = Instant::now();
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = address.and_then(|address| counts.addresses.limited(&network(address), now));
        match counts.users.limited(user, now).max(of_address) {
            Some(wait) => Err(Limited(wait)),
            None => Ok(()),
        }
    }

    /// Counts a failure; an error when it was one too many.
    pub(crate) fn failed(&self, user: &str, address: Option<IpAddr>) -> Result<(), Limited> {
        {
            let now = Instant::now();
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            counts.users.count(user.to_owned(), now);
            if let Some(address) = address {
                counts.addresses.count(network(address), now);
            }
        }
        self.check(user, address)
    }
}

/// Failures of each, and when the first one was.
#[derive(Debug)]
struct Counter<K>(HashMap<K, (Instant, u32)>);

impl<K> Default for Counter<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Counter<K> {
    fn limited<Q: Hash + Eq + ?Sized>(&self, key: &Q, now: Instant) -> Option<Duration>
    where
        K: std::borrow::Borrow<Q>,
    {
        let (since, failures) = self.0.get(key)?;
        let left = WINDOW.checked_sub(now.duration_since(*since)).filter(|left| !left.is_zero())?;
        (*failures > FREE).then_some(left)
    }

    fn count(&mut self, key: K, now: Instant) {
        if let Some((since, failures)) = self.0.get_mut(&key)
            && now.duration_since(*since) < WINDOW
        {
            *failures = failures.saturating_add(1);
            return;
        }
        if self.0.len() >= MAX_COUNTS {
            self.0.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        }
        if self.0.len() >= MAX_COUNTS
            && let Some(oldest) =
                self.0.iter().min_by_key(|(_, (since, _))| *since).map(|(key, _)| key.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert(key, (now, 1));
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mask = u128::MAX << (Ipv6Addr::BITS - IPV6_PREFIX);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_sixth_failure_is_one_too_many_and_a_minute_forgives() {
        let limits = Limits::default();
        for _ in 0..FREE {
            assert_eq!(limits.failed("ada", ip("192.0.2.1")), Ok(()));
        }
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(limits.check("ada", ip("192.0.2.1")), Ok(()), "who gets it right now is let in");
        assert_eq!(limits.failed("ada", ip("192.0.2.1")), Err(Limited(Duration::from_secs(40))));
        // By user from anywhere, and by address for anybody.
        assert!(limits.check("ada", ip("198.51.100.1")).is_err());
        assert!(limits.check("bob", ip("192.0.2.1")).is_err());
        assert_eq!(limits.check("bob", ip("198.51.100.1")), Ok(()));
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(limits.check("ada", ip("192.0.2.1")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_version_6_is_one_address_and_a_mapped_one_is_its_own() {
        let limits = Limits::default();
        for n in 0..=FREE {
            let _ = limits.failed(&n.to_string(), ip(&format!("2001:db8::{n}")));
        }
        assert!(limits.check("x", ip("2001:db8::ffff")).is_err());
        assert_eq!(limits.check("x", ip("2001:db8:0:1::1")), Ok(()));
        for n in 0..=FREE {
            let _ = limits.failed(&n.to_string(), ip("::ffff:192.0.2.1"));
        }
        assert!(limits.check("x", ip("192.0.2.1")).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let limits = Limits::default();
        for n in 0..MAX_COUNTS + 100 {
            let _ = limits.failed(&n.to_string(), None);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(limits.0.lock().unwrap().users.0.len(), MAX_COUNTS);
        tokio::time::advance(WINDOW).await;
        let _ = limits.failed("x", None);
        assert_eq!(limits.0.lock().unwrap().users.0.len(), 1);
    }
}
