//! Stale-while-revalidate, single flight, the bound, under a clock that the test holds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache::{Cache, Entry, Freshness, Loaded, MIN_RETRY, Read, Times};
use domain::{ManualClock, Patterns, Timestamp};
use jiff::SignedDuration;
use proptest::prelude::*;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

const TIMES: Times = Times { ttl: Duration::from_secs(10), stale_ttl: Duration::from_secs(100) };
const WAIT: Duration = Duration::from_secs(1);

type Strings = Cache<String, String, &'static str>;

struct Rig {
    cache: Strings,
    clock: Arc<ManualClock>,
    tasks: TaskTracker,
    loads: Arc<AtomicUsize>,
}

impl Rig {
    fn new(max_bytes: u64) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_700_000_000).unwrap()));
        let tasks = TaskTracker::new();
        let cache = Cache::new(max_bytes, TIMES, Arc::clone(&clock) as _, tasks.clone());
        Self { cache, clock, tasks, loads: Arc::default() }
    }

    fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    async fn read(&self, answer: Result<&'static str, &'static str>) -> Read<String, &'static str> {
        let loads = Arc::clone(&self.loads);
        let load = || async move {
            loads.fetch_add(1, Ordering::SeqCst);
            answer.map(|value| Loaded { value: value.to_owned(), bytes: value.len(), fresh_for: None })
        };
        self.cache.read(&"k".to_owned(), WAIT, load).await
    }

    /// Until no fetch is under way.
    async fn settle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

fn value<'a>(read: &'a Read<String, &'static str>) -> Option<(&'a str, Option<&'static str>)> {
    match read {
        Read::Here(entry, error) => Some((entry.value.as_str(), *error)),
        Read::Loading | Read::Failed(_) => None,
    }
}

#[tokio::test]
async fn fresh_is_the_answer_stale_is_the_answer_while_one_refresh_runs() {
    let rig = Rig::new(1 << 20);
    assert_eq!(value(&rig.read(Ok("one")).await), Some(("one", None)));
    rig.pass(9);
    assert_eq!(value(&rig.read(Ok("two")).await), Some(("one", None)));
    assert_eq!(rig.loads(), 1, "fresh: nothing is fetched");
    rig.pass(2);
    assert_eq!(value(&rig.read(Ok("two")).await), Some(("one", None)), "stale: at once");
    rig.settle().await;
    assert_eq!(value(&rig.read(Ok("three")).await), Some(("two", None)), "and the refresh came behind");
    assert_eq!(rig.loads(), 2);
}

#[tokio::test]
async fn beyond_stale_it_is_none() {
    let rig = Rig::new(1 << 20);
    rig.read(Ok("one")).await;
    rig.pass(100);
    assert!(rig.cache.get(&"k".to_owned()).is_none());
    assert_eq!(value(&rig.read(Ok("two")).await), Some(("two", None)));
}

#[tokio::test]
async fn a_failed_refresh_keeps_what_was_there_tells_why_and_does_not_hammer() {
    let rig = Rig::new(1 << 20);
    rig.read(Ok("one")).await;
    rig.pass(11);
    rig.read(Err("down")).await;
    rig.settle().await;
    for _ in 0..5 {
        assert_eq!(value(&rig.read(Err("down")).await), Some(("one", Some("down"))));
    }
    assert_eq!(rig.loads(), 2);
    rig.pass(i64::try_from(MIN_RETRY.as_secs()).unwrap());
    rig.read(Ok("two")).await;
    rig.settle().await;
    assert_eq!(
        value(&rig.read(Ok("x")).await),
        Some(("two", None)),
        "and the reason goes with the next success"
    );
}

#[tokio::test]
async fn a_failure_with_nothing_older_is_the_answer() {
    let rig = Rig::new(1 << 20);
    assert!(matches!(rig.read(Err("down")).await, Read::Failed("down")));
    assert!(matches!(rig.read(Ok("one")).await, Read::Failed("down")), "not tried again at once");
    assert_eq!(rig.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn however_many_ask_it_is_fetched_once_and_who_leaves_does_not_stop_it() {
    let rig = Rig::new(1 << 20);
    let go = Arc::new(Notify::new());
    let ask = || {
        let (go, loads) = (Arc::clone(&go), Arc::clone(&rig.loads));
        let load = move || async move {
            loads.fetch_add(1, Ordering::SeqCst);
            go.notified().await;
            Ok(Loaded { value: "one".to_owned(), bytes: 3, fresh_for: None })
        };
        let cache = rig.cache.clone();
        async move { cache.read(&"k".to_owned(), WAIT, load).await }
    };
    // Nobody lets it finish: all give up waiting after the bounded time.
    for read in futures_all((0..50).map(|_| ask())).await {
        assert!(matches!(read, Read::Loading));
    }
    assert_eq!(rig.loads(), 1);
    go.notify_one();
    rig.settle().await;
    assert_eq!(value(&ask().await), Some(("one", None)), "the fetch went on without them");
    assert_eq!(rig.loads(), 1);
}

async fn futures_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pinned: Vec<_> = futures.map(Box::pin).collect();
    let mut outputs = Vec::new();
    // All are polled before any is waited for.
    std::future::poll_fn(|cx| {
        pinned.retain_mut(|f| match f.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => {
                outputs.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pinned.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    outputs
}

#[tokio::test]
async fn a_fetch_that_panics_does_not_block_its_key() {
    let rig = Rig::new(1 << 20);
    let load = || async { panic!("bug") };
    assert!(matches!(rig.cache.read(&"k".to_owned(), WAIT, load).await, Read::Loading));
    assert_eq!(value(&rig.read(Ok("one")).await), Some(("one", None)));
}

#[tokio::test]
async fn what_it_holds_stays_within_its_bound() {
    let rig = Rig::new(10_000);
    for n in 0..100 {
        rig.cache.set(format!("key {n}"), Loaded { value: "x".repeat(1_000), bytes: 1_000, fresh_for: None });
    }
    assert!(rig.cache.bytes() <= 10_000, "{} bytes", rig.cache.bytes());
    assert!(!rig.cache.keys(&Patterns::default()).is_empty());
}

#[tokio::test]
async fn keys_by_pattern() {
    let rig = Rig::new(1 << 20);
    for key in ["gl:1/pipelines/7", "gl:1/pipelines/8", "gh:1/pipelines/7"] {
        rig.cache.set(key.to_owned(), Loaded { value: String::new(), bytes: 0, fresh_for: None });
    }
    rig.cache.invalidate_matching(&Patterns::new(["gl:*"]).unwrap());
    assert_eq!(rig.cache.keys(&Patterns::default()), ["gh:1/pipelines/7"]);
    rig.cache.invalidate(&"gh:1/pipelines/7".to_owned());
    assert!(rig.cache.keys(&Patterns::default()).is_empty());
}

#[tokio::test]
async fn expired_by_hand_it_is_stale_not_gone() {
    let rig = Rig::new(1 << 20);
    rig.read(Ok("one")).await;
    rig.cache.expire(&"k".to_owned());
    assert!(matches!(rig.cache.get(&"k".to_owned()), Some((_, Freshness::Stale))));
    assert_eq!(value(&rig.read(Ok("two")).await), Some(("one", None)));
    rig.settle().await;
    assert_eq!(value(&rig.read(Ok("x")).await), Some(("two", None)));
}

proptest! {
    #[test]
    fn an_entry_is_fresh_then_stale_then_gone(
        ttl in 0..1_000_u64, stale in 0..1_000_u64, own in proptest::option::of(0..2_000_u64), at in 0..3_000_i64,
    ) {
        let times = Times { ttl: Duration::from_secs(ttl), stale_ttl: Duration::from_secs(stale) };
        let begin = Timestamp::from_second(1_700_000_000).unwrap();
        let entry = Entry::new(Arc::new(()), 0, begin, times, own.map(Duration::from_secs));
        prop_assert!(entry.fetched_at <= entry.fresh_until && entry.fresh_until <= entry.stale_until);
        let now = begin + SignedDuration::from_secs(at);
        let want = if now < entry.fresh_until {
            Freshness::Fresh
        } else if now < entry.stale_until {
            Freshness::Stale
        } else {
            Freshness::Expired
        };
        prop_assert_eq!(entry.freshness(now), want);
    }
}
