//! The cache.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Clock, Patterns, Timestamp};
use jiff::SignedDuration;
use moka::sync::Cache as Store;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::{Entry, Freshness, Times};

/// After a failed fetch, the next one is not tried before this has passed.
pub const MIN_RETRY: Duration = Duration::from_secs(5);
/// How many failures are remembered.
const MAX_FAILURES: u64 = 10_000;
/// What an entry weighs beside its value: keys, times, the store's own books.
const OVERHEAD: u32 = 256;

/// What a fetch brought.
#[derive(Debug)]
pub struct Loaded<V> {
    /// The value.
    pub value: V,
    /// Its weight in bytes, as far as it can be told.
    pub bytes: usize,
    /// For how long it is fresh; `None` takes the cache's `ttl`.
    pub fresh_for: Option<Duration>,
}

/// What a reader gets.
#[derive(Debug)]
pub enum Read<V, E> {
    /// A value, fresh or stale, and why a newer one could not be had, if that is so.
    Here(Entry<V>, Option<E>),
    /// It is being fetched; ask again in a moment.
    Loading,
    /// It could not be had, and there is nothing older.
    Failed(E),
}

/// One fetch under way.
type Flight<E> = watch::Receiver<Option<Result<(), E>>>;

struct Inner<K, V, E> {
    store: Store<K, Entry<V>>,
    failures: Store<K, (E, Timestamp)>,
    flights: Mutex<HashMap<K, Flight<E>>>,
    times: Times,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
}

/// A cache in memory. Cheap to clone; clones share their entries.
pub struct Cache<K, V, E>(Arc<Inner<K, V, E>>);

impl<K, V, E> Clone for Cache<K, V, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V, E> fmt::Debug for Cache<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("times", &self.0.times).finish_non_exhaustive()
    }
}

impl<K, V, E> Cache<K, V, E>
where
    K: Hash + Eq + Clone + fmt::Display + Send + Sync + 'static,
    V: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// An empty cache of at most `max_bytes`. Fetches run as tasks of `tasks`.
    #[must_use]
    pub fn new(max_bytes: u64, times: Times, clock: Arc<dyn Clock>, tasks: TaskTracker) -> Self {
        let store = Store::builder()
            .max_capacity(max_bytes)
            .weigher(|_, entry: &Entry<V>| entry.bytes.saturating_add(OVERHEAD))
            .build();
        let failures = Store::new(MAX_FAILURES);
        Self(Arc::new(Inner { store, failures, flights: Mutex::default(), times, clock, tasks }))
    }

    /// What is there and of use, fresh or stale. Starts nothing.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<(Entry<V>, Freshness)> {
        let entry = self.0.store.get(key)?;
        match entry.freshness(self.0.clock.now()) {
            Freshness::Expired => {
                self.0.store.invalidate(key);
                None
            }
            freshness => Some((entry, freshness)),
        }
    }

    /// Puts a value there, as fetched now.
    pub fn set(&self, key: K, loaded: Loaded<V>) {
        self.0.put(key, loaded, self.0.clock.now());
    }

    /// Makes an entry stale, so that the next reader has it fetched anew but need not wait. Forgets a failure.
    pub fn expire(&self, key: &K) {
        self.0.failures.invalidate(key);
        if let Some(entry) = self.0.store.get(key) {
            self.0.store.insert(key.clone(), Entry { fresh_until: entry.fetched_at, ..entry });
        }
    }

    /// Removes an entry.
    pub fn invalidate(&self, key: &K) {
        self.0.failures.invalidate(key);
        self.0.store.invalidate(key);
    }

    /// Removes every entry whose key's text form matches.
    pub fn invalidate_matching(&self, pattern: &Patterns) {
        for key in self.keys(pattern) {
            self.invalidate(&key);
        }
    }

    /// The keys whose text form matches.
    #[must_use]
    pub fn keys(&self, pattern: &Patterns) -> Vec<K> {
        self.0.store.iter().map(|(k, _)| (*k).clone()).filter(|k| pattern.lets_in(&k.to_string())).collect()
    }

    /// Bytes held, as weighed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.store.run_pending_tasks();
        self.0.store.weighted_size()
    }

    /// The value: at once if there is a fresh or a stale one, else after at most `wait`. Fetches by `load` where the
    /// value is not fresh, once at a time per key.
    pub async fn read<F>(&self, key: &K, wait: Duration, load: impl FnOnce() -> F + Send) -> Read<V, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let there = self.get(key);
        if let Some((entry, Freshness::Fresh)) = there {
            return Read::Here(entry, None);
        }
        let failed = self.0.failures.get(key).filter(|(_, retry_at)| self.0.clock.now() < *retry_at);
        let flight = match &failed {
            Some(_) => None,
            None => Some(self.0.fly(key, load)),
        };
        if let Some((entry, _)) = there {
            // A failure that is due to be tried again is still the newest word on it.
            return Read::Here(entry, failed.or_else(|| self.0.failures.get(key)).map(|(e, _)| e));
        }
        let Some(mut flight) = flight else {
            return failed.map_or(Read::Loading, |(error, _)| Read::Failed(error));
        };
        let landed = tokio::time::timeout(wait, flight.wait_for(Option::is_some)).await;
        let outcome = match landed {
            Ok(Ok(outcome)) => outcome.clone(),
            // Too slow, or the fetch was dropped at the end of the process.
            Ok(Err(_)) | Err(_) => None,
        };
        match outcome {
            Some(Err(error)) => Read::Failed(error),
            // An entry larger than the cache is not kept: then the answer never comes this way.
            Some(Ok(())) => self.get(key).map_or(Read::Loading, |(entry, _)| Read::Here(entry, None)),
            None => Read::Loading,
        }
    }
}

impl<K, V, E> Inner<K, V, E>
where
    K: Hash + Eq + Clone + fmt::Display + Send + Sync + 'static,
    V: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    fn put(&self, key: K, loaded: Loaded<V>, at: Timestamp) {
        let bytes = u32::try_from(loaded.bytes).unwrap_or(u32::MAX);
        self.failures.invalidate(&key);
        self.store.insert(key, Entry::new(Arc::new(loaded.value), bytes, at, self.times, loaded.fresh_for));
    }

    /// The fetch of this key that is under way, or a new one.
    fn fly<F>(self: &Arc<Self>, key: &K, load: impl FnOnce() -> F) -> Flight<E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(key) {
            return flight.clone();
        }
        let (land, flight) = watch::channel(None);
        flights.insert(key.clone(), flight.clone());
        let fetch = load();
        let seat = Seat { inner: Arc::clone(self), key: key.clone() };
        self.tasks.spawn(async move {
            let asked_at = seat.inner.clock.now();
            let outcome = match fetch.await {
                Ok(loaded) => {
                    seat.inner.put(seat.key.clone(), loaded, asked_at);
                    Ok(())
                }
                Err(error) => {
                    let wait = SignedDuration::try_from(MIN_RETRY).unwrap_or(SignedDuration::ZERO);
                    let retry_at = seat.inner.clock.now().saturating_add(wait).unwrap_or(Timestamp::MAX);
                    seat.inner.failures.insert(seat.key.clone(), (error.clone(), retry_at));
                    Err(error)
                }
            };
            // First the seat is free, then the waiters wake: one that asks again finds what has landed.
            drop(seat);
            let _ = land.send(Some(outcome));
        });
        flight
    }
}

/// Frees the key when the fetch is over, however it ends: one that panics must not block the key for ever.
struct Seat<K: Hash + Eq, V, E> {
    inner: Arc<Inner<K, V, E>>,
    key: K,
}

impl<K: Hash + Eq, V, E> Drop for Seat<K, V, E> {
    fn drop(&mut self) {
        self.inner.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
