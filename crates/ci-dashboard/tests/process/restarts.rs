//! Restarts that nobody notices: under steady load no request fails and none is refused, and who follows the live events
//! misses nothing. In both manners: the socket is held from outside, as systemd does; or the new process takes it over from
//! the old one.
//!
//! `CI_DASHBOARD_RESTARTS` says how many of each; ten without it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use forge_sim::world::Project;
use forge_sim::{RunStatus, World};
use rustix::process::Signal;

use crate::kit::{LONG, Running, Web, eventually};
use crate::two_daemons::{AGGREGATOR, House, WEB};

/// Requests that have to be answered between two restarts, by each way of asking.
const BETWEEN: usize = 10;

fn restarts() -> usize {
    std::env::var("CI_DASHBOARD_RESTARTS").ok().and_then(|n| n.parse().ok()).unwrap_or(10)
}

/// People and scripts that ask all the time.
struct Load {
    stop: Arc<AtomicBool>,
    counts: Vec<Arc<AtomicUsize>>,
    failed: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(web: Web, targets: &[String]) -> Self {
        let mut load =
            Self { stop: Arc::default(), counts: Vec::new(), failed: Arc::default(), threads: Vec::new() };
        for target in targets {
            let target = target.clone();
            load.spawn(move || web.ok(&target).and_then(|a| non_empty(&a.body)));
        }
        let mut kept = Kept { web, stream: None };
        load.spawn(move || kept.get("/api/v1/projects"));
        load
    }

    fn spawn(&mut self, mut ask: impl FnMut() -> Result<(), String> + Send + 'static) {
        let (stop, failed, count) = (Arc::clone(&self.stop), Arc::clone(&self.failed), Arc::default());
        self.counts.push(Arc::clone(&count));
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match ask() {
                    Ok(()) => _ = count.fetch_add(1, Ordering::Relaxed),
                    Err(why) => failed.lock().unwrap().push(why),
                }
            }
        }));
    }

    fn failures(&self) -> Vec<String> {
        self.failed.lock().unwrap().clone()
    }

    /// Waits until everybody has been answered some more.
    #[track_caller]
    fn goes_on(&self) {
        let counts = || self.counts.iter().map(|c| c.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let before = counts();
        eventually("everybody is answered", || {
            let failures = self.failures();
            assert!(failures.is_empty(), "{} requests failed: {failures:#?}", failures.len());
            let slow = counts().iter().zip(&before).position(|(now, then)| *now < then + BETWEEN);
            slow.map_or(Ok(()), |n| Err(format!("{n} waits")))
        });
    }

    /// Ends it; gives the number of requests, of which none failed.
    #[track_caller]
    fn end(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|t| t.join().unwrap());
        let failures = self.failures();
        assert!(failures.is_empty(), "{} requests failed: {failures:#?}", failures.len());
        self.counts.iter().map(|c| c.load(Ordering::Relaxed)).sum()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn non_empty(body: &str) -> Result<(), String> {
    if body.is_empty() { Err("an empty answer".to_owned()) } else { Ok(()) }
}

/// A client that keeps its connection, as browsers do. Where a kept connection turns out to be closed before anything of
/// an answer came, it asks again on a new one, as all of them do (RFC 9112, 9.3.1).
struct Kept {
    web: Web,
    stream: Option<BufReader<TcpStream>>,
}

impl Kept {
    fn get(&mut self, target: &str) -> Result<(), String> {
        if let Some(mut stream) = self.stream.take()
            && let Some(keep) = self.ask(&mut stream, target).map_err(|e| format!("kept {target}: {e}"))?
        {
            self.stream = keep.then_some(stream);
            return Ok(());
        }
        let stream = TcpStream::connect(("127.0.0.1", self.web.port)).map_err(|e| format!("connect: {e}"))?;
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut stream = BufReader::new(stream);
        let keep = self.ask(&mut stream, target).map_err(|e| format!("{target}: {e}"))?;
        let keep = keep.ok_or_else(|| format!("{target}: a new connection was closed without an answer"))?;
        self.stream = keep.then_some(stream);
        Ok(())
    }

    /// Whether the connection stays; `None`: it was closed before an answer began.
    fn ask(&self, stream: &mut BufReader<TcpStream>, target: &str) -> Result<Option<bool>, String> {
        let sent =
            write!(stream.get_mut(), "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.web.port);
        if sent.is_err() {
            return Ok(None);
        }
        let mut line = String::new();
        if !matches!(stream.read_line(&mut line), Ok(1..)) {
            return Ok(None);
        }
        if !line.starts_with("HTTP/1.1 200 ") {
            return Err(line);
        }
        let (mut length, mut keep) = (None, true);
        while line.trim_end() != "" {
            line.clear();
            stream.read_line(&mut line).map_err(|e| format!("the head is cut: {e}"))?;
            match line.to_ascii_lowercase().trim_end().split_once(": ") {
                Some(("content-length", n)) => length = n.parse().ok(),
                Some(("connection", "close")) => keep = false,
                _ => {}
            }
        }
        let mut body = vec![0; length.ok_or("no length")?];
        stream.read_exact(&mut body).map_err(|e| format!("the body is cut: {e}"))?;
        non_empty(&String::from_utf8_lossy(&body))?;
        Ok(Some(keep))
    }
}

/// A browser that follows the live events, comes back when they end, and says what it knows.
struct Follower {
    stop: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Projects that it would have read again, since it was last asked.
    projects: BTreeSet<String>,
    /// It would have read everything again.
    resync: bool,
    /// Whether a version was told yet.
    has_begun: bool,
    /// Streams that ended with a word, and without one.
    byes: usize,
    breaks: usize,
    refused: Vec<String>,
}

impl Follower {
    fn start(web: Web) -> Self {
        let (stop, heard) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Heard>>::default());
        let (stopped, told) = (Arc::clone(&stop), Arc::clone(&heard));
        let thread = std::thread::spawn(move || {
            let mut last = String::new();
            while !stopped.load(Ordering::Relaxed) {
                let events = match web.events_after(&last) {
                    Ok(events) => events,
                    Err(why) => {
                        told.lock().unwrap().refused.push(why);
                        continue;
                    }
                };
                let mut bye = false;
                for event in events {
                    let mut heard = told.lock().unwrap();
                    match &*event.name {
                        "bye" => bye = true,
                        "board" => {
                            last.clone_from(&event.id);
                            heard.has_begun = true;
                            heard.resync |= event.data["resync"] == true;
                            let changes = event.data["changes"].as_array().into_iter().flatten();
                            heard.projects.extend(changes.map(|c| c["id"].as_str().unwrap().to_owned()));
                        }
                        _ => {}
                    }
                    if stopped.load(Ordering::Relaxed) {
                        return;
                    }
                }
                let mut heard = told.lock().unwrap();
                if bye { heard.byes += 1 } else { heard.breaks += 1 }
            }
        });
        let follower = Self { stop, heard, thread: Some(thread) };
        // Who begins to follow after a change is not told of it: what it reads then has it.
        eventually("the stream begins", || {
            let heard = follower.heard.lock().unwrap();
            if heard.has_begun { Ok(()) } else { Err(format!("{heard:?}")) }
        });
        follower
    }

    /// Forgets what it has heard of so far: what is done now is news.
    fn forget(&self) {
        let mut heard = self.heard.lock().unwrap();
        heard.projects.clear();
        heard.resync = false;
    }

    /// Waits until it has been told of the project, by name or by being told to read everything again.
    #[track_caller]
    fn is_told(&self, id: &str) {
        eventually("who follows the events hears of it", || {
            let heard = self.heard.lock().unwrap();
            (heard.resync || heard.projects.contains(id))
                .then_some(())
                .ok_or_else(|| format!("{id}: {heard:?}"))
        });
    }

    fn end(&mut self) -> Heard {
        self.stop.store(true, Ordering::Relaxed);
        std::mem::take(&mut *self.heard.lock().unwrap())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It ends with the next event or with the stream.
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take());
    }
}

/// Somebody pushes and a run fails or succeeds; gives the project's id as GitLab has it.
fn change_something(house: &House) -> String {
    house.forge.sim.world().with(|world| {
        let lively = |p: &&Project| p.face.0 == "gitlab" && p.shape.is_lively() && !p.workflows.is_empty();
        let project = world.projects().find(lively).unwrap();
        let (id, native, main) =
            (project.id, project.native_id.to_string(), project.default_branch.clone().unwrap());
        world.push_commit(id, &main, World::person("mira"), "Round half even").unwrap();
        let run = world.start_pipeline(id, &main, 0, false).unwrap();
        world.finish_pipeline(id, run, RunStatus::Failed).unwrap();
        native
    })
}

/// Two daemons under load, with somebody who follows the events.
struct Scene<'a> {
    house: &'a House,
    load: Load,
    follower: Follower,
}

impl<'a> Scene<'a> {
    /// Once both daemons run and everything was read.
    fn begin(house: &'a House) -> Self {
        house.web.until_connected();
        house.until_rows_are_the_world();
        let project = house.web.items("/api/v1/projects").unwrap().swap_remove(0);
        let id = project["id"].as_str().unwrap().replace('/', "%2F");
        let page = format!("/projects/{}/{id}", project["source"].as_str().unwrap());
        let targets = ["/", "/api/v1/projects", "/api/health", &page].map(str::to_owned);
        let load = Load::start(house.web, &targets);
        load.goes_on();
        let follower = Follower::start(house.web);
        Self { house, load, follower }
    }

    /// Restarts something, while something happens; nobody notices the one, everybody hears of the other.
    #[track_caller]
    fn restart<T>(&self, restart: impl FnOnce() -> T) -> T {
        self.follower.forget();
        let changed = change_something(self.house);
        let restarted = restart();
        self.load.goes_on();
        self.house.web.until_connected();
        self.follower.is_told(&changed);
        restarted
    }

    /// How many requests there were. None failed, and who followed was never refused.
    #[track_caller]
    fn end(mut self) -> (usize, Heard) {
        let heard = self.follower.end();
        assert!(heard.refused.is_empty(), "{heard:?}");
        (self.load.end(), heard)
    }
}

/// Asks it to stop and waits until it has.
#[track_caller]
fn stopped(mut process: Running) {
    assert_eq!(process.stop(Signal::TERM), Some(0), "a clean stop: {}", process.stderr());
}

#[test]
fn web_restarts_behind_a_held_socket() {
    let house = House::new(8);
    let held = TcpListener::bind(("127.0.0.1", house.web.port)).unwrap();
    let _aggregator = house.start_aggregator();
    // Another port in the settings: what is passed wins.
    let args = ["--config", &house.config, "--aggregator", &house.address(), "--port", "1"];
    let start = |house: &House| house.place.start_with_socket(WEB, &args, held.as_fd());
    let mut web = start(&house);
    let scene = Scene::begin(&house);
    for _ in 0..restarts() {
        web = scene.restart(|| {
            stopped(web);
            start(&house)
        });
    }
    let (_, heard) = scene.end();
    assert!(heard.byes >= restarts() && heard.breaks == 0, "every stream ends with a word: {heard:?}");
    drop(web);
}

#[test]
fn a_new_web_process_takes_over_from_the_old_one() {
    let house = House::new(8);
    let _aggregator = house.start_aggregator();
    let mut web = house.start_web();
    let scene = Scene::begin(&house);
    for _ in 0..restarts() {
        web = scene.restart(|| {
            let new = house.start_web();
            assert_eq!(web.wait().code(), Some(0), "the old one ends by itself: {}", web.stderr());
            new
        });
    }
    let (_, heard) = scene.end();
    assert!(heard.byes >= restarts() && heard.breaks == 0, "every stream ends with a word: {heard:?}");
    // And at last the port is free, and no file is left.
    stopped(web);
}

#[test]
fn aggregator_restarts_behind_a_held_socket() {
    let house = House::new(8);
    let held = UnixListener::bind(&house.socket).unwrap();
    // Another address in the settings: what is passed wins.
    let args = ["--config", &house.config, "--listen", "unix:/nowhere/a.sock"];
    let start = |house: &House| house.place.start_with_socket(AGGREGATOR, &args, held.as_fd());
    let mut aggregator = start(&house);
    let _web = house.start_web();
    let scene = Scene::begin(&house);
    for n in 0..restarts() {
        aggregator = scene.restart(|| {
            // Asked to, and by pulling the plug.
            if n % 2 == 0 {
                stopped(aggregator)
            } else {
                aggregator.kill()
            }
            assert!(house.socket.exists(), "a passed socket stays where it is");
            start(&house)
        });
    }
    scene.end();
    drop(aggregator);
}

#[test]
fn a_new_aggregator_takes_over_from_the_old_one() {
    let house = House::new(8);
    let mut aggregator = house.start_aggregator();
    let _web = house.start_web();
    let scene = Scene::begin(&house);
    let args = ["--config", &house.config, "--listen", &house.address(), "--take-over"];
    for _ in 0..restarts() {
        aggregator = scene.restart(|| {
            let new = house.place.start(AGGREGATOR, &args);
            assert_eq!(aggregator.wait().code(), Some(0), "the old one ends: {}", aggregator.stderr());
            new
        });
    }
    scene.end();
    stopped(aggregator);
    assert!(!house.socket.exists(), "a clean stop leaves no socket behind, whoever made it");
}
