//! Fetches under way: one per key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::{Entry, Key};

/// What a fetch brought, once it has landed.
pub(crate) type Landed<V, E> = Option<Result<Entry<V>, E>>;

/// Names a fetch among those of its key: an abandoned one may still be in the air beside its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(u64);

/// One fetch under way.
pub(crate) struct Flight<V, E> {
    number: Number,
    /// Something happened since it left: what it brings is stale already.
    outdated: bool,
    landed: watch::Receiver<Landed<V, E>>,
}

/// The fetches under way.
pub(crate) struct Flights<K, V, E> {
    by_key: Mutex<HashMap<K, Flight<V, E>>>,
    last: AtomicU64,
}

/// What became of a fetch while it was in the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Its answer is the newest.
    Expected,
    /// Its answer is stale.
    Outdated,
    /// Its answer is of no use to anybody who asked since.
    Abandoned,
}

impl<K, V, E> Default for Flights<K, V, E> {
    fn default() -> Self {
        Self { by_key: Mutex::default(), last: AtomicU64::default() }
    }
}

impl<K: Key, V, E> Flights<K, V, E> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<V, E>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fetch of this key that is under way, or a new one that `depart` starts.
    pub(crate) fn join(
        &self,
        key: &K,
        depart: impl FnOnce(Number, watch::Sender<Landed<V, E>>),
    ) -> watch::Receiver<Landed<V, E>> {
        let mut flights = self.lock();
        // One that is closed can only have failed to leave.
        if let Some(flight) = flights.get(key).filter(|f| f.landed.has_changed().is_ok()) {
            return flight.landed.clone();
        }
        let number = Number(self.last.fetch_add(1, Ordering::Relaxed));
        let (land, landed) = watch::channel(None);
        let flight = Flight { number, outdated: false, landed: landed.clone() };
        flights.insert(key.clone(), flight);
        // Within the lock: nothing can land or be abandoned before it has left.
        depart(number, land);
        landed
    }

    /// Takes the fetch of this number off the list, and does `store` before anybody can outdate or abandon it.
    pub(crate) fn land(&self, key: &K, number: Number, store: impl FnOnce(Arrival)) {
        let mut flights = self.lock();
        let arrival = match flights.get(key) {
            Some(flight) if flight.number == number => {
                if flight.outdated {
                    Arrival::Outdated
                } else {
                    Arrival::Expected
                }
            }
            _ => Arrival::Abandoned,
        };
        store(arrival);
        if arrival != Arrival::Abandoned {
            flights.remove(key);
        }
    }

    /// What is under way will be stale when it lands. `change` happens before it can.
    pub(crate) fn outdate(&self, key: &K, change: impl FnOnce()) {
        let mut flights = self.lock();
        if let Some(flight) = flights.get_mut(key) {
            flight.outdated = true;
        }
        change();
    }

    /// What is under way is not kept when it lands; who asks from now on starts anew. `change` happens before it can.
    pub(crate) fn abandon(&self, key: &K, change: impl FnOnce()) {
        let mut flights = self.lock();
        flights.remove(key);
        change();
    }
}
