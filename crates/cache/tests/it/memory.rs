//! What readers get, when, and how often it is fetched for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache::{Cache, Entry, Freshness, Loaded, MIN_RETRY, Read, Times};
use domain::{ManualClock, Patterns, Timestamp};
use jiff::SignedDuration;
use proptest::prelude::*;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

const TIMES: Times = Times { ttl: Duration::from_secs(60), stale_ttl: Duration::from_secs(600) };
const WAIT: Duration = Duration::from_secs(2);
const KEY: &str = "a/1";

type Answer = Result<Loaded<String>, &'static str>;

/// A cache, its clock, and a platform that counts what it is asked and answers when it may.
struct Kit {
    cache: Cache<String, String, &'static str>,
    clock: Arc<ManualClock>,
    tasks: TaskTracker,
    asked: Arc<AtomicUsize>,
    may_answer: Arc<Semaphore>,
}

impl Kit {
    fn new() -> Self {
        Self::of_bytes(1 << 20)
    }

    fn of_bytes(max: u64) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_000_000).unwrap()));
        let tasks = TaskTracker::new();
        Self {
            cache: Cache::new(max, TIMES, Arc::<ManualClock>::clone(&clock), tasks.clone()),
            clock,
            tasks,
            asked: Arc::default(),
            may_answer: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    /// One whose platform is silent until it is let.
    fn held() -> Self {
        Self { may_answer: Arc::new(Semaphore::new(0)), ..Self::new() }
    }

    fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn read_as(&self, key: &str, answer: Answer) -> Read<String, &'static str> {
        let (asked, may_answer) = (Arc::clone(&self.asked), Arc::clone(&self.may_answer));
        let load = || async move {
            asked.fetch_add(1, Ordering::SeqCst);
            may_answer.acquire().await.unwrap().forget();
            answer
        };
        self.cache.read(&key.to_owned(), WAIT, load).await
    }

    async fn read(&self, answer: Answer) -> Seen {
        Seen::of(self.read_as(KEY, answer).await)
    }

    /// Until no fetch is under way.
    async fn landed(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    fn holds(&self) -> Option<(String, Freshness)> {
        self.cache.get(&KEY.to_owned()).map(|(entry, freshness)| (entry.value.to_string(), freshness))
    }
}

/// What a reader got, to be compared.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Here(String, Option<&'static str>),
    Loading,
    Failed(&'static str),
}

impl Seen {
    fn of(read: Read<String, &'static str>) -> Self {
        match read {
            Read::Here(entry, error) => Self::Here(entry.value.to_string(), error),
            Read::Loading => Self::Loading,
            Read::Failed(error) => Self::Failed(error),
        }
    }
}

fn loaded(value: &str) -> Loaded<String> {
    Loaded { value: value.to_owned(), bytes: value.len(), fresh_for: None }
}

fn here(value: &str) -> Seen {
    Seen::Here(value.to_owned(), None)
}

#[tokio::test(start_paused = true)]
async fn fresh_is_the_answer_and_stale_is_until_the_new_one_is_there() {
    let kit = Kit::new();
    assert_eq!(kit.holds(), None);
    assert_eq!(kit.read(Ok(loaded("1"))).await, here("1"));
    kit.pass(59);
    assert_eq!(kit.read(Ok(loaded("2"))).await, here("1"));
    assert_eq!(kit.asked(), 1, "fresh");
    kit.pass(1);
    assert_eq!(kit.read(Ok(loaded("2"))).await, here("1"));
    kit.landed().await;
    assert_eq!(
        (kit.asked(), kit.holds()),
        (2, Some(("2".into(), Freshness::Fresh))),
        "stale, and fetched behind"
    );
    assert_eq!(kit.read(Ok(loaded("3"))).await, here("2"));
    kit.pass(599);
    assert_eq!(kit.holds(), Some(("2".into(), Freshness::Stale)));
    kit.pass(1);
    assert_eq!(kit.holds(), None);
    assert_eq!(kit.read(Ok(loaded("4"))).await, here("4"));
    assert_eq!(kit.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn however_many_ask_it_is_fetched_once() {
    let kit = Arc::new(Kit::held());
    let mut readers = JoinSet::new();
    for _ in 0..50 {
        let kit = Arc::clone(&kit);
        readers.spawn(async move { kit.read(Ok(loaded("1"))).await });
    }
    while kit.asked() == 0 {
        tokio::task::yield_now().await;
    }
    kit.may_answer.add_permits(50);
    while let Some(got) = readers.join_next().await {
        assert_eq!(got.unwrap(), here("1"));
    }
    assert_eq!(kit.asked(), 1);

    // Nor more than once behind a stale one, and another key is another fetch.
    kit.pass(60);
    for _ in 0..50 {
        assert_eq!(kit.read(Ok(loaded("2"))).await, here("1"));
    }
    assert_eq!(Seen::of(kit.read_as("a/2", Ok(loaded("x"))).await), here("x"));
    kit.landed().await;
    assert_eq!(kit.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_does_not_stop_the_fetch() {
    let kit = Arc::new(Kit::held());
    let began = tokio::time::Instant::now();
    assert_eq!(kit.read(Ok(loaded("1"))).await, Seen::Loading);
    assert_eq!(began.elapsed(), WAIT);
    // One that goes away in the middle.
    let mut readers = JoinSet::new();
    let reader = Arc::clone(&kit);
    readers.spawn(async move { reader.read(Ok(loaded("never"))).await });
    tokio::task::yield_now().await;
    readers.shutdown().await;
    kit.may_answer.add_permits(1);
    kit.landed().await;
    assert_eq!((kit.asked(), kit.holds()), (1, Some(("1".into(), Freshness::Fresh))));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_and_not_tried_again_at_once() {
    let kit = Kit::new();
    assert_eq!(kit.read(Err("down")).await, Seen::Failed("down"));
    let rest = i64::try_from(MIN_RETRY.as_secs()).unwrap();
    kit.pass(rest - 1);
    assert_eq!(kit.read(Ok(loaded("1"))).await, Seen::Failed("down"));
    assert_eq!(kit.asked(), 1);
    kit.pass(1);
    assert_eq!(kit.read(Ok(loaded("1"))).await, here("1"));
    assert_eq!(kit.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_keeps_what_was_there_and_says_why() {
    let kit = Kit::new();
    kit.read(Ok(loaded("1"))).await;
    kit.pass(60);
    assert_eq!(kit.read(Err("down")).await, here("1"), "not known yet");
    kit.landed().await;
    let with_error = Seen::Here("1".into(), Some("down"));
    for _ in 0..3 {
        assert_eq!(kit.read(Err("down")).await, with_error);
        // News about it is no reason to hammer.
        kit.cache.expire(&KEY.to_owned());
    }
    kit.landed().await;
    assert_eq!(kit.asked(), 2);
    kit.pass(5);
    assert_eq!(kit.read(Ok(loaded("2"))).await, with_error, "still the newest word");
    kit.landed().await;
    assert_eq!(kit.read(Err("down")).await, here("2"));
    assert_eq!(kit.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_panics_frees_its_key() {
    let kit = Kit::new();
    let load = || async { panic!("as it does in this test") };
    assert_eq!(Seen::of(kit.cache.read(&KEY.to_owned(), WAIT, load).await), Seen::Loading);
    assert_eq!(kit.read(Ok(loaded("1"))).await, here("1"));
}

#[tokio::test(start_paused = true)]
async fn the_bound_in_bytes_holds() {
    const MAX: u64 = 100_000;
    let kit = Kit::of_bytes(MAX);
    for n in 0..200 {
        kit.cache.set(format!("k/{n}"), loaded(&"x".repeat(9_000)));
        assert!(kit.cache.bytes() <= MAX, "{}", kit.cache.bytes());
    }
    assert!(kit.cache.bytes() > MAX / 2, "it keeps what fits");
    // What is larger than all of it is not kept, but those who asked get it.
    let large = "y".repeat(200_000);
    assert_eq!(kit.read(Ok(loaded(&large))).await, here(&large));
    assert!(kit.cache.bytes() <= MAX);
    assert_eq!(kit.holds(), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_before_the_news_is_no_news() {
    for (how, while_there, after) in [
        ("expire", None, Some(("old".to_owned(), Freshness::Stale))),
        ("invalidate", None, None),
        ("set", Some(("new".to_owned(), Freshness::Fresh)), Some(("new".to_owned(), Freshness::Fresh))),
    ] {
        let kit = Arc::new(Kit::held());
        let mut readers = JoinSet::new();
        let reader = Arc::clone(&kit);
        readers.spawn(async move { reader.read(Ok(loaded("old"))).await });
        while kit.asked() == 0 {
            tokio::task::yield_now().await;
        }
        let key = KEY.to_owned();
        match how {
            "expire" => kit.cache.expire(&key),
            "invalidate" => kit.cache.invalidate(&key),
            _ => kit.cache.set(key, loaded("new")),
        }
        assert_eq!(kit.holds(), while_there, "{how}");
        kit.may_answer.add_permits(1);
        assert_eq!(readers.join_next().await.unwrap().unwrap(), here("old"), "{how}: who asked gets it");
        kit.landed().await;
        assert_eq!(kit.holds(), after, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_after_a_removal_does_not_get_what_was_asked_before() {
    let kit = Kit::held();
    assert_eq!(kit.read(Ok(loaded("old"))).await, Seen::Loading);
    kit.cache.invalidate(&KEY.to_owned());
    kit.may_answer.add_permits(2);
    assert_eq!(kit.read(Ok(loaded("new"))).await, here("new"));
    kit.landed().await;
    assert_eq!((kit.asked(), kit.holds()), (2, Some(("new".into(), Freshness::Fresh))));
    // A failure is forgotten with the entry.
    kit.may_answer.add_permits(2);
    kit.cache.invalidate(&KEY.to_owned());
    assert_eq!(kit.read(Err("down")).await, Seen::Failed("down"));
    kit.cache.invalidate(&KEY.to_owned());
    assert_eq!(kit.read(Ok(loaded("1"))).await, here("1"));
}

#[tokio::test(start_paused = true)]
async fn expired_entries_are_served_while_they_are_fetched() {
    let kit = Kit::new();
    kit.read(Ok(loaded("1"))).await;
    kit.cache.expire(&KEY.to_owned());
    assert_eq!(kit.holds(), Some(("1".into(), Freshness::Stale)));
    assert_eq!(kit.read(Ok(loaded("2"))).await, here("1"));
    kit.landed().await;
    assert_eq!(kit.read(Err("down")).await, here("2"));
}

#[tokio::test(start_paused = true)]
async fn keys_are_found_by_pattern() {
    let kit = Kit::new();
    for key in ["a/1", "a/2", "b/1"] {
        kit.cache.set(key.to_owned(), loaded("x"));
    }
    kit.cache.set("a/short".to_owned(), Loaded { fresh_for: Some(Duration::ZERO), ..loaded("x") });
    let keys = |pattern: &str| {
        let mut keys = kit.cache.keys(&Patterns::new([pattern]).unwrap());
        keys.sort();
        keys
    };
    assert_eq!(keys("a/*"), ["a/1", "a/2", "a/short"], "stale ones too");
    assert_eq!(keys("*/1"), ["a/1", "b/1"]);
    assert!(keys("c*").is_empty());
    kit.cache.invalidate_matching(&Patterns::new(["a/*"]).unwrap());
    assert_eq!(keys("*"), ["b/1"]);
    kit.pass(600);
    assert!(keys("*").is_empty(), "what is of no use is not there");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_put_back_blocks_nothing() {
    let kit = Kit::new();
    kit.read(Ok(loaded("1"))).await;
    assert_eq!(Seen::of(kit.read_as("a/2", Err("down")).await), Seen::Failed("down"));
    kit.pass(-100_000);
    assert_eq!(kit.holds(), Some(("1".into(), Freshness::Stale)), "of unknown age");
    kit.read(Ok(loaded("2"))).await;
    kit.landed().await;
    assert_eq!(kit.holds(), Some(("2".into(), Freshness::Fresh)));
    assert_eq!(Seen::of(kit.read_as("a/2", Ok(loaded("x"))).await), here("x"));
}

proptest! {
    #[test]
    fn the_three_times_are_in_order(
        ttl in 0_u64..100_000,
        stale_ttl in prop_oneof![0_u64..100_000, Just(u64::MAX)],
        fresh_for in proptest::option::of(prop_oneof![0_u64..200_000, Just(u64::MAX)]),
        at in -1_000_000_i64..1_000_000,
        later in 0_i64..300_000,
    ) {
        let times = Times { ttl: Duration::from_secs(ttl), stale_ttl: Duration::from_secs(stale_ttl) };
        let start = Timestamp::from_second(at).unwrap();
        let entry = Entry::new(Arc::new(()), 0, start, times, fresh_for.map(Duration::from_secs));
        prop_assert!(entry.fetched_at <= entry.fresh_until && entry.fresh_until <= entry.stale_until);
        // Counted by hand.
        let useful = stale_ttl.max(ttl);
        let fresh = fresh_for.unwrap_or(ttl).min(useful);
        let age = u64::try_from(later).unwrap();
        let want = if age < fresh { Freshness::Fresh } else if age < useful { Freshness::Stale } else { Freshness::Expired };
        let now = Timestamp::from_second(at + later).unwrap();
        prop_assert_eq!(entry.freshness(now), want);
        let expired = entry.clone().expired();
        prop_assert_eq!(expired.stale_until, entry.stale_until);
        prop_assert!(expired.freshness(now) != Freshness::Fresh);
    }
}
