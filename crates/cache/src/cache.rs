//! The cache.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::{Clock, Patterns, Timestamp};
use jiff::SignedDuration;
use moka::notification::RemovalCause;
use moka::sync::Cache as Store;
use tokio_util::task::TaskTracker;

use crate::flight::{Arrival, Flights, Landed, Number};
use crate::{Entry, Freshness, Key, Times};

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

/// Hears of keys whose entries changed or are gone. Called while the entry is put there: it has to be quick, and must not come back
/// to the cache.
pub type Heard<K> = Box<dyn Fn(&K) + Send + Sync>;

struct Inner<K, V, E> {
    heard: Arc<OnceLock<Heard<K>>>,
    store: Store<K, Entry<V>>,
    failures: Store<K, (E, Timestamp)>,
    flights: Flights<K, V, E>,
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
    K: Key,
    V: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// An empty cache of at most `max_bytes`. Fetches run as tasks of `tasks`.
    #[must_use]
    pub fn new(max_bytes: u64, times: Times, clock: Arc<dyn Clock>, tasks: TaskTracker) -> Self {
        let store = Store::builder()
            .max_capacity(max_bytes)
            .weigher(|_, entry: &Entry<V>| entry.bytes.saturating_add(OVERHEAD));
        let heard: Arc<OnceLock<Heard<K>>> = Arc::default();
        let evicted = Arc::clone(&heard);
        let store = store
            .eviction_listener(move |key: Arc<K>, _, cause| {
                if let (RemovalCause::Size, Some(heard)) = (cause, evicted.get()) {
                    heard(&key);
                }
            })
            .build();
        let failures = Store::new(MAX_FAILURES);
        Self(Arc::new(Inner { heard, store, failures, flights: Flights::default(), times, clock, tasks }))
    }

    /// Tells this one of changes from now on. There is one listener; a second is not heard.
    pub fn listen(&self, heard: Heard<K>) {
        let _ = self.0.heard.set(heard);
    }

    /// Takes back an entry from before a restart: stale, since nobody knows what happened meanwhile. One that is there already is
    /// newer, and stays. Whether it is of use.
    #[must_use]
    pub fn restore(&self, key: K, entry: Entry<V>) -> bool {
        let of_use = entry.fetched_at <= self.0.clock.now()
            && entry.freshness(self.0.clock.now()) != Freshness::Expired;
        if of_use {
            self.0.store.entry(key).or_insert(entry.expired());
        }
        of_use
    }

    /// An entry that is of use as somebody else keeps times: fetched at `at`, with the cache's own times.
    #[must_use]
    pub fn entry_of(&self, loaded: Loaded<V>, at: Timestamp) -> Entry<V> {
        self.0.entry(loaded, at)
    }

    /// What is there and of use, fresh or stale. Starts nothing.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<(Entry<V>, Freshness)> {
        let entry = self.0.store.get(key)?;
        let freshness = entry.freshness(self.0.clock.now());
        (freshness != Freshness::Expired).then_some((entry, freshness))
    }

    /// Puts a value there, as fetched now. A fetch that is under way is older than this and does not replace it.
    pub fn set(&self, key: K, loaded: Loaded<V>) {
        let entry = self.0.entry(loaded, self.0.clock.now());
        self.0.flights.abandon(&key, || self.0.put(key.clone(), entry));
    }

    /// Makes an entry stale, so that the next reader has it fetched anew but need not wait. What a fetch under way
    /// brings may be from before the reason for this, so it lands stale. A failure stays remembered: news of a key is
    /// no reason to hammer.
    pub fn expire(&self, key: &K) {
        self.0.flights.outdate(key, || {
            if let Some(entry) = self.0.store.get(key) {
                self.0.store.insert(key.clone(), entry.expired());
            }
        });
    }

    /// Removes an entry, and forgets a failure. What a fetch under way brings is not kept.
    pub fn invalidate(&self, key: &K) {
        self.0.flights.abandon(key, || {
            self.0.failures.invalidate(key);
            self.0.store.invalidate(key);
            self.0.tell(key);
        });
    }

    /// Removes every entry whose key's text form matches.
    pub fn invalidate_matching(&self, pattern: &Patterns) {
        for key in self.keys(pattern) {
            self.invalidate(&key);
        }
    }

    /// The keys of entries that are of use, where the key's text form matches. In no order.
    #[must_use]
    pub fn keys(&self, pattern: &Patterns) -> Vec<K> {
        let now = self.0.clock.now();
        let of_use = |entry: &Entry<V>| entry.freshness(now) != Freshness::Expired;
        self.0
            .store
            .iter()
            .filter(|(key, entry)| of_use(entry) && pattern.lets_in(&key.to_string()))
            .map(|(key, _)| (*key).clone())
            .collect()
    }

    /// Bytes held, as weighed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.store.run_pending_tasks();
        self.0.store.weighted_size()
    }

    /// The value: at once if there is a fresh or a stale one, else after at most `wait`. Fetches by `load` where the
    /// value is not fresh, once at a time per key. `load` is called at once or never, and
    /// must not come back to this cache before its future runs.
    pub async fn read<F>(&self, key: &K, wait: Duration, load: impl FnOnce() -> F + Send) -> Read<V, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let there = self.get(key);
        if let Some((entry, Freshness::Fresh)) = there {
            return Read::Here(entry, None);
        }
        // A failure that is due to be tried again is still the newest word on it.
        let failure = self.0.failures.get(key);
        let too_soon = failure.as_ref().is_some_and(|(_, retry_at)| self.0.too_soon(*retry_at));
        let failure = failure.map(|(error, _)| error);
        let flight = (!too_soon).then(|| self.0.fly(key, load));
        if let Some((entry, _)) = there {
            return Read::Here(entry, failure);
        }
        let Some(mut flight) = flight else {
            return failure.map_or(Read::Loading, Read::Failed);
        };
        let landed = tokio::time::timeout(wait, flight.wait_for(Option::is_some)).await;
        match landed.as_ref().map(|outcome| outcome.as_deref()) {
            Ok(Ok(Some(Ok(entry)))) => Read::Here(entry.clone(), None),
            Ok(Ok(Some(Err(error)))) => Read::Failed(error.clone()),
            // Too slow, or the fetch was dropped at the end of the process, or it panicked.
            Ok(Ok(None) | Err(_)) | Err(_) => Read::Loading,
        }
    }
}

impl<K, V, E> Inner<K, V, E>
where
    K: Key,
    V: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    fn entry(&self, loaded: Loaded<V>, at: Timestamp) -> Entry<V> {
        let bytes = u32::try_from(loaded.bytes).unwrap_or(u32::MAX);
        Entry::new(Arc::new(loaded.value), bytes, at, self.times, loaded.fresh_for)
    }

    fn put(&self, key: K, entry: Entry<V>) {
        self.failures.invalidate(&key);
        self.store.insert(key.clone(), entry);
        self.tell(&key);
    }

    fn tell(&self, key: &K) {
        if let Some(heard) = self.heard.get() {
            heard(key);
        }
    }

    /// Whether a failed key has to rest. Never for longer than it was meant to, whatever the clock does.
    fn too_soon(&self, retry_at: Timestamp) -> bool {
        let left = retry_at.duration_since(self.clock.now());
        left.is_positive() && left <= min_retry()
    }

    /// The fetch of this key that is under way, or a new one.
    fn fly<F>(
        self: &Arc<Self>,
        key: &K,
        load: impl FnOnce() -> F,
    ) -> tokio::sync::watch::Receiver<Landed<V, E>>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        self.flights.join(key, |number, land| {
            let fetch = load();
            let seat = Seat { inner: Arc::clone(self), key: key.clone(), number, taken: true };
            self.tasks.spawn(async move {
                let asked_at = seat.inner.clock.now();
                let outcome = fetch.await;
                let outcome = seat.land(asked_at, outcome);
                // First the seat is free, then the waiters wake: one that asks again finds what has landed.
                let _ = land.send(Some(outcome));
            });
        })
    }
}

fn min_retry() -> SignedDuration {
    SignedDuration::try_from(MIN_RETRY).unwrap_or(SignedDuration::ZERO)
}

/// Frees the key when the fetch is over, however it ends: one that panics must not block the key for ever.
struct Seat<K: Key, V, E> {
    inner: Arc<Inner<K, V, E>>,
    key: K,
    number: Number,
    taken: bool,
}

impl<K, V, E> Seat<K, V, E>
where
    K: Key,
    V: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Keeps what came, and tells what the waiters get: they asked before whatever made it stale.
    fn land(mut self, asked_at: Timestamp, outcome: Result<Loaded<V>, E>) -> Result<Entry<V>, E> {
        let inner = &self.inner;
        let outcome = outcome.map(|loaded| inner.entry(loaded, asked_at));
        inner.flights.land(&self.key, self.number, |arrival| match (&outcome, arrival) {
            (_, Arrival::Abandoned) => {}
            (Ok(entry), Arrival::Expected) => inner.put(self.key.clone(), entry.clone()),
            (Ok(entry), Arrival::Outdated) => inner.put(self.key.clone(), entry.clone().expired()),
            (Err(error), _) => {
                let retry_at = inner.clock.now().saturating_add(min_retry()).unwrap_or(Timestamp::MAX);
                inner.failures.insert(self.key.clone(), (error.clone(), retry_at));
            }
        });
        self.taken = false;
        outcome
    }
}

impl<K: Key, V, E> Drop for Seat<K, V, E> {
    fn drop(&mut self) {
        if self.taken {
            self.inner.flights.land(&self.key, self.number, |_| {});
        }
    }
}
