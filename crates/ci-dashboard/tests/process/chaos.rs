//! A world that moves, while the aggregator and its database die at any moment and webhooks get lost or come twice. What counts is
//! what is in history when it is over.

use std::collections::BTreeMap;

use domain::{Clock as _, SystemClock, Timestamp};
use forge_sim::{ProjectId, RunStatus, gitlab};
use history_suite::server::Server;
use jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::kit::{Forge, Place, Running, Web, eventually, free_port};

const SECRET: &str = "s3cret";
/// Another one may be asked for: `CHAOS_SEED=7 cargo nextest run chaos`.
const SEED: u64 = 20_261;
const ROUNDS: usize = 10;
/// As the settings say: whatever is older need not be there.
const BACKFILL: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A project at which things happen.
struct Busy {
    id: ProjectId,
    native_id: u64,
    name: String,
    branch: String,
}

struct Chaos {
    forge: Forge,
    place: Place,
    web: Web,
    database: Server,
    busy: Vec<Busy>,
    rng: StdRng,
    delivery: u64,
}

impl Chaos {
    fn new(database: Server, seed: u64) -> Self {
        let forge = Forge::start(10);
        let busy = forge.sim.world().with(|w| {
            let lively = w.projects().filter(|p| p.face == gitlab::FACE && p.shape.is_lively());
            let busy = lively.filter_map(|p| {
                let branch = p.default_branch.as_deref()?.to_owned();
                Some(Busy { id: p.id, native_id: p.native_id, name: p.full_path(), branch })
            });
            busy.collect::<Vec<_>>()
        });
        assert!(busy.len() >= 3, "{}", busy.len());
        let rng = StdRng::seed_from_u64(seed);
        Self { forge, place: Place::new(), web: Web { port: free_port() }, database, busy, rng, delivery: 0 }
    }

    fn settings(&self) -> String {
        format!(
            "database: {{ url: \"{}\", backfill: 30d }}\n\
             cache: {{ refresh_interval: 500ms }}\n\
             gitlab: [ {{ name: gl, url: \"{}\", token: {}, webhook_secret: {SECRET} }} ]\n",
            self.database.url("postgres"),
            self.forge.sim.gitlab_url(),
            self.forge.sim.token(),
        )
    }

    /// Runs begin and end, of some a webhook tells, of some twice, and of some that come to nobody.
    ///
    /// Where nobody is there to take them, one webhook is tried: each waits for its answer as long as the web daemon does.
    fn move_the_world(&mut self, taken: bool) {
        let mut told = 0;
        // Sometimes more at once than a board holds.
        let runs = if self.rng.random_bool(0.2) { 130 } else { self.rng.random_range(5..25) };
        let project = self.rng.random_range(0..self.busy.len());
        for _ in 0..runs {
            let at =
                if self.rng.random_bool(0.7) { project } else { self.rng.random_range(0..self.busy.len()) };
            let Busy { id, branch, .. } = &self.busy[at];
            let (id, branch) = (*id, branch.clone());
            let status =
                [RunStatus::Success, RunStatus::Failed, RunStatus::Canceled][self.rng.random_range(0..3)];
            let ends = self.rng.random_bool(0.9);
            let again = status == RunStatus::Failed && self.rng.random_bool(0.2);
            let run = self.forge.sim.world().with(|w| {
                let run = w.start_pipeline(id, &branch, 0, true).unwrap();
                if ends {
                    w.finish_pipeline(id, run, status).unwrap();
                }
                if ends && again {
                    w.retry(id, run).unwrap();
                }
                run
            });
            // Every tenth is told of, whatever it has come to by then.
            if self.rng.random_bool(0.1) {
                let times = self.rng.random_range(0..3);
                if taken || told == 0 {
                    self.tell(at, run, times);
                    told += times;
                }
            }
        }
    }

    /// The run's webhook comes so often; what is answered, where anything is.
    fn tell(&mut self, at: usize, run: u64, times: usize) -> Vec<u16> {
        let Busy { native_id, name, branch, .. } = &self.busy[at];
        self.delivery += 1;
        let body = json!({
            "object_kind": "pipeline",
            "object_attributes": { "id": run, "ref": branch, "source": "push", "status": "running" },
            "project": { "id": native_id, "path_with_namespace": name, "default_branch": branch },
        })
        .to_string();
        let head = format!(
            "Content-Type: application/json\r\nX-Gitlab-Event: Pipeline Hook\r\nX-Gitlab-Token: {SECRET}\r\n\
             Idempotency-Key: delivery-{}\r\n",
            self.delivery
        );
        let post = |_| self.web.post("/webhooks/gl", &head, &body).map(|answer| answer.status).ok();
        (0..times).filter_map(post).collect()
    }

    /// Lets the aggregator get on with it for a while that nobody can foresee: until it has asked so many more questions.
    fn let_it_ask(&mut self) {
        let requests = self.forge.sim.requests();
        let until = requests.total() + self.rng.random_range(1..40);
        eventually("it asks", || {
            let asked = requests.total();
            if asked >= until { Ok(()) } else { Err(format!("{asked} of {until} requests")) }
        });
    }

    /// The runs that there are since the first day, by project and id, and in which words each may be in history.
    fn there(&self, since: Timestamp) -> BTreeMap<(String, String), &'static [&'static str]> {
        self.forge.sim.world().with(|w| {
            let runs = self.busy.iter().flat_map(|busy| {
                let project = w.get(busy.id).unwrap();
                let recent = project.pipelines().iter().filter(|r| r.created_at >= since);
                recent.map(|r| ((busy.native_id.to_string(), r.id.to_string()), words(r.status)))
            });
            runs.collect()
        })
    }

    /// What is missing in history, or otherwise there; nothing when all is well.
    fn differences(&self, since: Timestamp) -> Result<usize, String> {
        const KEPT: &str = "SELECT project, run, status FROM runs r WHERE source = 'gl' AND attempt = \
             (SELECT max(attempt) FROM runs l WHERE l.source = r.source AND l.project = r.project AND l.run = r.run)";
        let there = self.there(since);
        let mut kept: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for line in self.database.query("postgres", KEPT).lines() {
            let mut parts = line.split('|').map(str::to_owned);
            if let (Some(project), Some(run), Some(status)) = (parts.next(), parts.next(), parts.next()) {
                kept.entry((project, run)).or_default().push(status);
            }
        }
        let wrong: Vec<String> = there
            .iter()
            .filter_map(|(run, words)| match kept.get(run).map(Vec::as_slice) {
                None => Some(format!("{run:?} is missing")),
                Some([status]) if words.contains(&status.as_str()) => None,
                Some(statuses) => Some(format!("{run:?} is {statuses:?}, not one of {words:?}")),
            })
            .collect();
        match wrong.first() {
            None => Ok(there.len()),
            Some(first) => Err(format!("{} of {} runs: {first}", wrong.len(), there.len())),
        }
    }
}

/// How a run may be written that is so on its platform.
const fn words(status: RunStatus) -> &'static [&'static str] {
    match status {
        RunStatus::Created | RunStatus::Queued => &["queued"],
        RunStatus::Running => &["running"],
        RunStatus::Success => &["success", "warning"],
        RunStatus::Failed => &["failed"],
        RunStatus::Canceled => &["canceled"],
        RunStatus::Skipped => &["skipped"],
        RunStatus::Manual => &["manual"],
    }
}

#[test]
fn every_run_is_in_history_once_with_its_final_state_whatever_dies_meanwhile() {
    let Some(database) = Server::start(false) else { return };
    let seed = std::env::var("CHAOS_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(SEED);
    let mut chaos = Chaos::new(database, seed);
    let config = chaos.place.config(&chaos.settings()).display().to_string();
    let socket = format!("unix:{}", chaos.place.path("a.sock").display());
    let start = |chaos: &Chaos| -> Running {
        chaos.place.start("ci-dashboard-aggregator", &["--config", &config, "--listen", &socket])
    };
    // A day of grace: the first day may have begun a moment before the aggregator first looked.
    let since = SystemClock.now() - BACKFILL + SignedDuration::from_hours(24);
    let mut aggregator = Some(start(&chaos));
    let port = chaos.web.port.to_string();
    let _web = chaos
        .place
        .start("ci-dashboard-web", &["--config", &config, "--aggregator", &socket, "--port", &port]);
    chaos.web.until_connected();

    let (mut killed, mut database_lives) = (0, true);
    for round in 0..ROUNDS {
        chaos.move_the_world(aggregator.is_some());
        if aggregator.is_some() {
            chaos.let_it_ask();
        }
        // Each of them dies now and then, also both at once, and comes back when something else has happened.
        if database_lives && chaos.rng.random_bool(0.4) {
            chaos.database.kill();
            (database_lives, killed) = (false, killed + 1);
        } else if !database_lives {
            chaos.database.resume();
            database_lives = true;
        }
        match aggregator.take() {
            Some(running) if round == ROUNDS / 2 || chaos.rng.random_bool(0.5) => {
                running.kill();
                killed += 1;
            }
            Some(running) => aggregator = Some(running),
            None => aggregator = Some(start(&chaos)),
        }
    }
    assert!(killed >= 3, "nothing much happened: choose another seed");
    if !database_lives {
        chaos.database.resume();
    }
    // Once more: whatever it has in mind is gone, and what it knows is what it has written. Nor does a pause, which after a failure
    // is a minute, make this test a long one.
    if let Some(running) = aggregator {
        running.kill();
    }
    let _aggregator = start(&chaos);
    let runs = eventually(&format!("history is complete (seed {seed})"), || chaos.differences(since));
    assert!(runs > 100, "{runs}");
}

/// A server and all that work for it, stopped or let go on. What is stopped takes connections and says nothing.
#[cfg(target_os = "linux")]
fn signal_all(server: &Server, signal: Signal) {
    let first = server.pid().unwrap();
    let parent_of = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    let send = |pid: u32| {
        // It may have gone meanwhile.
        let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal);
    };
    // Stopped first, it starts no further ones.
    send(first);
    let all = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|pid| parent_of(*pid) == Some(first)).for_each(send);
}

#[test]
#[cfg(target_os = "linux")]
fn while_its_database_stands_still_the_board_moves_on_and_afterwards_history_is_complete() {
    let Some(database) = Server::start(false) else { return };
    let mut chaos = Chaos::new(database, SEED);
    let config = chaos.place.config(&chaos.settings()).display().to_string();
    let port = chaos.web.port.to_string();
    let _all = chaos.place.start("ci-dashboard", &["--config", &config, "--port", &port]);
    chaos.web.until_connected();
    let since = SystemClock.now() - BACKFILL + SignedDuration::from_hours(24);
    let stores =
        |chaos: &Chaos| chaos.web.ok("/api/v1/stores").map(|answer| answer.json()["history"].clone());
    eventually("history is written", || chaos.differences(since));

    signal_all(&chaos.database, Signal::STOP);
    let Busy { id, native_id, branch, .. } = &chaos.busy[0];
    let (id, native_id, branch) = (*id, *native_id, branch.clone());
    let run = chaos.forge.sim.world().with(|w| {
        let run = w.start_pipeline(id, &branch, 0, true).unwrap();
        w.finish_pipeline(id, run, RunStatus::Failed).unwrap();
        run
    });
    let shown = format!("/api/v1/projects/gl/{native_id}/pipelines/{run}");
    eventually("the board has the run", || {
        let run = chaos.web.ok(&shown)?.json();
        if run["status"] == "failed" { Ok(()) } else { Err(run.to_string()) }
    });
    assert_eq!(chaos.tell(0, run, 1), [503], "what cannot be written down is not taken");
    eventually("it says so", || {
        let history = stores(&chaos)?;
        if history["state"] == "failing" { Ok(()) } else { Err(history.to_string()) }
    });
    let page = chaos.web.ok("/sources").unwrap().body;
    assert!(page.contains("is not written"), "{page}");

    signal_all(&chaos.database, Signal::CONT);
    eventually("history is complete", || chaos.differences(since));
    eventually("all is well", || {
        let history = stores(&chaos)?;
        if history["state"] == "ok" { Ok(()) } else { Err(history.to_string()) }
    });
    assert_eq!(chaos.tell(0, run, 1), [202]);
}
