//! What is in memory and in Redis as well, with a real one that is away, slow, full, emptied, shared and guarded.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache::redis::{Condition, Moved, Pace, Redis, Settings};
use cache::{Shelf, Values};
use cache_suite::{Options, Server};
use domain::{SystemClock, Timestamp};
use tokio::sync::Notify;

/// Nothing here takes nearly as long; a test that hangs is a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until it is so; `else_` tells what is instead.
async fn until_or(what: &str, so: impl Fn() -> bool, else_: impl Fn() -> String) {
    let wait = async {
        let mut look = tokio::time::interval(Duration::from_millis(10));
        while !so() {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}; {}", else_()));
}

async fn until(what: &str, so: impl Fn() -> bool) {
    until_or(what, so, String::new).await;
}

type Map = BTreeMap<String, Vec<u8>>;

/// Values that are texts; what is no text is of no use.
#[derive(Default)]
struct Texts(Mutex<Map>);

impl Values for Texts {
    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(name).cloned()
    }

    fn put(&self, name: &str, bytes: &[u8]) -> bool {
        let of_use = std::str::from_utf8(bytes).is_ok();
        if of_use {
            self.0.lock().unwrap().entry(name.to_owned()).or_insert_with(|| bytes.to_vec());
        }
        of_use
    }
}

/// A process with two shelves.
struct Process {
    values: [Arc<Texts>; 2],
    shelves: [Arc<Shelf>; 2],
    redis: Arc<Redis>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn settings(server: &Server) -> Settings {
    Settings {
        url: server.url(3),
        ca_file: None,
        prefix: "ci-dashboard:".into(),
        form: 1,
        expiry: Duration::from_secs(3600),
        pace: Pace {
            collect: Duration::from_millis(1),
            confirm: Duration::from_millis(50),
            answer: Duration::from_millis(500),
            first_pause: Duration::from_millis(10),
            max_pause: Duration::from_millis(50),
        },
    }
}

impl Process {
    fn start(settings: Settings) -> Self {
        Self::start_with(settings, Map::new())
    }

    fn start_with(settings: Settings, values: Map) -> Self {
        let news = Arc::new(Notify::new());
        let values = [Arc::new(Texts(Mutex::new(values))), Arc::default()];
        let shelf = |n: usize| {
            let values = Arc::<Texts>::clone(&values[n]);
            Arc::new(Shelf::new(["board:a", "board:b"][n], values, Arc::clone(&news)))
        };
        let shelves = [shelf(0), shelf(1)];
        let activity = || vec![("a:1".to_owned(), Timestamp::from_millisecond(1_234).unwrap())];
        let clock = Arc::new(SystemClock);
        let redis = Arc::new(Redis::new(settings, Arc::new(activity), news, clock));
        shelves.iter().for_each(|shelf| redis.put(Arc::clone(shelf), true));
        let run = Arc::clone(&redis);
        let task = tokio_util::task::TaskTracker::new().spawn(async move { run.run().await });
        Self { values, shelves, redis, task }
    }

    fn set(&self, shelf: usize, name: &str, value: &[u8]) {
        self.values[shelf].0.lock().unwrap().insert(name.into(), value.into());
        self.shelves[shelf].changed(name);
    }

    fn remove(&self, shelf: usize, name: &str) {
        self.values[shelf].0.lock().unwrap().remove(name);
        self.shelves[shelf].changed(name);
    }

    fn all(&self, shelf: usize) -> Map {
        self.values[shelf].0.lock().unwrap().clone()
    }

    /// All is written.
    async fn written(&self) {
        let well = || self.redis.standing().condition == Condition::Ok && self.redis.waiting() == 0;
        until_or("all is written", well, || format!("{:?}", self.redis)).await;
    }

    async fn says(&self, words: &str) {
        let said = || self.redis.standing().error.unwrap_or_default();
        until_or(&format!("it says {words:?}"), || said().contains(words), said).await;
        let standing = self.redis.standing();
        assert_eq!(standing.condition, Condition::Failing);
        assert!(standing.since.is_some());
    }
}

/// What a process finds that starts now.
async fn found(settings: Settings) -> [Map; 2] {
    let process = Process::start(settings);
    process.redis.begun().await;
    [process.all(0), process.all(1)]
}

fn holds(server: &Server, shelf: &str, name: &str) -> String {
    server.cli(3, &["HGET", &format!("ci-dashboard:v1:{shelf}"), name])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_comes_back() {
    let Some(server) = Server::start(Options::default()) else { return };
    let process = Process::start(settings(&server));
    process.redis.begun().await;
    for name in ["1", "owner/repo", "\u{1F98A} 100%", " ", "gone"] {
        process.set(0, name, format!("value of {name}").as_bytes());
    }
    process.set(1, "1", "another".as_bytes());
    // More than goes into one message, and into one answer.
    for n in 0..1_000 {
        process.set(1, &format!("many{n}"), &b"x".repeat(5_000));
    }
    process.remove(0, "gone");
    process.written().await;
    let want = [process.all(0), process.all(1)];
    assert_eq!(process.redis.standing().engine.unwrap().split(' ').next(), Some("Redis"));
    drop(process);
    assert_eq!(found(settings(&server)).await, want);

    // Of another form nothing is looked at, and nothing is lost.
    let newer = Process::start(Settings { form: 2, ..settings(&server) });
    newer.redis.begun().await;
    assert!(newer.all(0).is_empty() && newer.all(1).is_empty());
    newer.set(0, "1", b"new form");
    newer.written().await;
    drop(newer);
    assert_eq!(found(settings(&server)).await, want);

    // What a process holds already is newer; what is of no use is removed.
    let _ = server
        .cli(3, &["EVAL", "redis.call('HSET', KEYS[1], 'broken', '\\255')", "1", "ci-dashboard:v1:board:a"]);
    let process = Process::start_with(settings(&server), Map::from([("1".into(), b"newer".to_vec())]));
    process.written().await;
    assert_eq!(process.all(0)["1"], b"newer");
    assert_eq!(process.all(0)["owner/repo"], want[0]["owner/repo"]);
    assert!(holds(&server, "board:a", "1").contains("newer"));
    assert!(holds(&server, "board:a", "broken").contains("(nil)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_carries_on_and_redis_catches_up() {
    let Some(mut server) = Server::start(Options::default()) else { return };
    let process = Process::start(settings(&server));
    process.redis.begun().await;
    process.set(0, "1", b"one");
    process.written().await;

    server.kill();
    process.set(0, "2", b"two");
    process.remove(0, "1");
    process.says("refuses connections").await;
    assert!(process.redis.waiting() > 0);
    // It comes back empty.
    server.resume();
    process.written().await;
    assert!(holds(&server, "board:a", "2").contains("two"));

    server.freeze(true);
    process.set(0, "3", b"three");
    process.says("does not answer").await;
    assert_eq!(process.all(0).len(), 2);
    server.freeze(false);
    process.written().await;
    assert!(holds(&server, "board:a", "3").contains("three"));
    drop(process);
    let want = Map::from([("2".into(), b"two".to_vec()), ("3".into(), b"three".to_vec())]);
    assert_eq!(found(settings(&server)).await[0], want);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_redis_does_not_wait_for_ever_and_finds_it_later() {
    let Some(mut server) = Server::start(Options::default()) else { return };
    let process = Process::start(settings(&server));
    process.redis.begun().await;
    process.set(0, "1", b"kept");
    process.written().await;
    drop(process);

    server.freeze(true);
    let process = Process::start(settings(&server));
    process.redis.begun().await;
    assert!(process.all(0).is_empty());
    server.freeze(false);
    until("what was kept is there", || process.all(0).contains_key("1")).await;
    server.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_evicted_is_written_again() {
    let Some(server) = Server::start(Options::default()) else { return };
    let process = Process::start(settings(&server));
    process.redis.begun().await;
    process.set(0, "1", b"one");
    process.set(0, "2", b"two");
    process.written().await;
    server.cli(3, &["DEL", "ci-dashboard:v1:board:a"]);
    // Written to before anybody has noticed: a part of it is there.
    process.set(0, "2", b"zwei");
    until("all is there again", || holds(&server, "board:a", "1").contains("one")).await;
    assert!(holds(&server, "board:a", "2").contains("zwei"));
    server.cli(3, &["FLUSHALL"]);
    until("all is there again", || holds(&server, "board:a", "1").contains("one")).await;
    let activity = || server.cli(3, &["ZSCORE", "ci-dashboard:v1:activity", "a:1"]);
    until("also the sorted set", || activity().contains("1234")).await;
    let left = server.cli(3, &["PTTL", "ci-dashboard:v1:board:a"]);
    let left: u64 = left.trim_start_matches("(integer) ").trim().parse().unwrap();
    assert!((3_000_000..=3_600_000).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_keys_do_no_harm_and_come_to_none() {
    let Some(server) = Server::start(Options::default()) else { return };
    for (key, value) in
        [("theirs", "1"), ("ci-dashboard:v0:board:a", "old"), ("ci-dashboard:v1:board:a", "taken")]
    {
        server.cli(3, &["SET", key, value]);
    }
    let process = Process::start(settings(&server));
    process.set(0, "1", b"one");
    process.set(1, "1", b"other");
    process.says("has something of somebody else's as ci-dashboard:v1:board:a").await;
    until("the other shelf is written", || holds(&server, "board:b", "1").contains("other")).await;
    for (key, value) in
        [("theirs", "1"), ("ci-dashboard:v0:board:a", "old"), ("ci-dashboard:v1:board:a", "taken")]
    {
        assert!(server.cli(3, &["GET", key]).contains(value), "{key}");
    }
    server.cli(3, &["DEL", "ci-dashboard:v1:board:a"]);
    process.written().await;
    assert!(holds(&server, "board:a", "1").contains("one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_is_told_and_written_when_there_is_room() {
    let Some(server) = Server::start(Options { max_memory: Some("4mb"), ..Options::default() }) else {
        return;
    };
    let process = Process::start(settings(&server));
    process.redis.begun().await;
    for n in 0..100 {
        process.set(0, &n.to_string(), &b"x".repeat(100_000));
    }
    process.says("is full and evicts nothing").await;
    server.cli(0, &["CONFIG", "SET", "maxmemory", "0"]);
    process.written().await;
    drop(process);
    assert_eq!(found(settings(&server)).await[0].len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_a_user_and_a_database() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(server) = Server::start(Options { guarded: true, ..Options::default() }) else { return };
    let guarded = || Settings { ca_file: Some(server.ca_file()), ..settings(&server) };
    let process = Process::start(guarded());
    process.redis.begun().await;
    process.set(0, "1", b"one");
    process.redis.moved(vec![moved("a:2", false)]);
    process.written().await;
    drop(process);
    assert_eq!(found(guarded()).await[0], Map::from([("1".into(), b"one".to_vec())]));
    assert!(server.cli(0, &["EXISTS", "ci-dashboard:v1:board:a"]).contains('0'), "in its database alone");

    let wrong = Process::start(Settings { url: server.url_with("wr0ng", 3), ..guarded() });
    wrong.says("refuses user or password").await;
    let said = format!("{:?} {wrong:?}", wrong.redis.standing(), wrong = wrong.redis);
    assert!(!said.contains("wr0ng") && !said.contains("dashboard@"), "{said}");
    let untrusted = Process::start(settings(&server));
    untrusted.says("cannot be reached").await;
    let elsewhere = Process::start(Settings { prefix: "other:".into(), ..guarded() });
    elsewhere.says("ACL lacks something").await;
    let no_file = Process::start(Settings { ca_file: Some("/nonexistent/ca.pem".into()), ..guarded() });
    no_file.says("/nonexistent/ca.pem").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_turned_away_hears_why_that_may_be() {
    let Some(server) = Server::start(Options::default()) else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    // As a server in protected mode does, whether its reason is read or not.
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            if n % 2 == 0 {
                let _ = (&stream).write_all(b"-DENIED Redis is running in protected mode\r\n");
            }
        }
    });
    let process = Process::start(Settings { url, ..settings(&server) });
    for _ in 0..4 {
        process.says("protected mode").await;
    }
}

fn moved(project: &str, gone: bool) -> Moved {
    Moved {
        project: project.into(),
        version: "7.1".into(),
        at: Timestamp::from_second(10).unwrap(),
        active_at: Timestamp::from_millisecond(5_678).ok(),
        gone,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tools_see_what_moved() {
    let Some(server) = Server::start(Options::default()) else { return };
    let process = Process::start(settings(&server));
    process.redis.begun().await;
    process.redis.moved(vec![moved("a:2", false), moved("a:3", false), moved("a:1", true)]);
    let changes = || server.cli(3, &["XRANGE", "ci-dashboard:v1:changes", "-", "+"]);
    until("the changes are told", || changes().contains("a:1")).await;
    let told = changes();
    assert!(
        told.contains("\"a:2\"") && told.contains("7.1") && told.contains("1970-01-01T00:00:10Z"),
        "{told}"
    );
    let newest = server.cli(3, &["ZRANGE", "ci-dashboard:v1:activity", "0", "-1", "WITHSCORES"]);
    assert!(newest.contains("a:2") && newest.contains("5678") && !newest.contains("a:1"), "{newest}");
    // No more than somebody may want to read.
    for _ in 0..40 {
        process.redis.moved((0..500).map(|n| moved(&format!("a:{n}"), false)).collect());
        tokio::task::yield_now().await;
    }
    until("all are told", || changes().contains("a:499")).await;
    let length = || server.cli(3, &["XLEN", "ci-dashboard:v1:changes"]);
    let length: usize = length().trim_start_matches("(integer) ").trim().parse().unwrap();
    assert!(length < 11_000, "{length}");
}
