//! Checking passwords: off the threads that serve, a few at a time, and no more often than [`Limits`] allows.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::limits::{Limited, Limits};
use super::users::{MAX_NAME_BYTES, MAX_PASSWORD_BYTES, Stamp, Users};

/// Checks at once: each takes a processor and 19 MiB for some 20 ms.
const AT_ONCE: usize = 2;
/// Checks that wait for their turn; further ones are told to come again.
const MAX_WAITING: usize = 64;
/// Scripts show their password with each request: one that was right is not worked out again for so long.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// Passwords that are remembered.
const MAX_REMEMBERED: usize = 256;

/// Why a password lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No such user, or another password.
    Wrong,
    /// Too many were wrong before it.
    Limited(Duration),
    /// Too many are being checked.
    Busy,
}

impl From<Limited> for Denied {
    fn from(Limited(wait): Limited) -> Self {
        Self::Limited(wait)
    }
}

type Mark = [u8; 32];

pub(crate) struct Passwords {
    turns: Semaphore,
    queue: Semaphore,
    limits: Limits,
    /// Of this process only: what is remembered is of no use to anybody else.
    key: hmac::Key,
    right: Mutex<HashMap<Mark, (Stamp, Instant)>>,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Passwords {
    /// `None` when the system gives no random numbers.
    pub(crate) fn new() -> Option<Self> {
        Some(Self {
            turns: Semaphore::new(AT_ONCE),
            queue: Semaphore::new(MAX_WAITING),
            limits: Limits::default(),
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?,
            right: Mutex::default(),
        })
    }

    /// Whether `password` is the one of `name`, asked for from `address`. A wrong one counts.
    pub(crate) async fn check(
        &self,
        users: Arc<Users>,
        name: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Result<(), Denied> {
        self.limits.check(name, address)?;
        let mark = self.mark(name, password);
        let stamp = users.get(name).map(|user| user.stamp);
        if stamp.is_some_and(|stamp| self.is_remembered(&mark, stamp)) {
            return Ok(());
        }
        let _waiting = self.queue.try_acquire().map_err(|_| Denied::Busy)?;
        let _turn = self.turns.acquire().await.map_err(|_| Denied::Busy)?;
        // Those before may have been wrong.
        self.limits.check(name, address)?;
        let fits = name.len() <= MAX_NAME_BYTES && password.len() <= MAX_PASSWORD_BYTES;
        let (owned_name, owned_password) = (name.to_owned(), password.to_owned());
        let verify = move || fits && users.verify(&owned_name, &owned_password);
        // Fails when the runtime ends, or by a panic in there.
        let right = tokio::task::spawn_blocking(verify).await.unwrap_or(false);
        match stamp.filter(|_| right) {
            Some(stamp) => {
                self.remember(mark, stamp);
                Ok(())
            }
            None => {
                self.limits.failed(name, address)?;
                Err(Denied::Wrong)
            }
        }
    }

    fn mark(&self, name: &str, password: &str) -> Mark {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(name.len() as u64).to_le_bytes());
        context.update(name.as_bytes());
        context.update(password.as_bytes());
        let mut mark = Mark::default();
        mark.copy_from_slice(context.sign().as_ref());
        mark
    }

    fn is_remembered(&self, mark: &Mark, stamp: Stamp) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.get(mark).is_some_and(|(of, at)| *of == stamp && at.elapsed() < REMEMBERED)
    }

    fn remember(&self, mark: Mark, stamp: Stamp) {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.len() >= MAX_REMEMBERED {
            right.retain(|_, (_, at)| at.elapsed() < REMEMBERED);
        }
        if right.len() < MAX_REMEMBERED {
            right.insert(mark, (stamp, Instant::now()));
        }
    }
}
