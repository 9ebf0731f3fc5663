//! Aggregator and web as two processes over a Unix socket, with simulated platforms behind.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use forge_sim::world::{Pipeline, Project, Shape, Trigger};
use forge_sim::{RunStatus, World};
use rustix::process::Signal;
use serde_json::Value;

use crate::kit::{Forge, Place, Running, Web, eventually, free_port};

pub(crate) const AGGREGATOR: &str = "ci-dashboard-aggregator";
pub(crate) const WEB: &str = "ci-dashboard-web";
/// What the simulated GitHub adds to the world's ids of runs.
const GITHUB_FIRST_RUN: u64 = 9_000_000_000;

/// Two daemons and what they share.
pub(crate) struct House {
    pub(crate) forge: Forge,
    pub(crate) place: Place,
    pub(crate) config: String,
    pub(crate) socket: PathBuf,
    pub(crate) web: Web,
}

impl House {
    pub(crate) fn new(projects: usize) -> Self {
        let (forge, place) = (Forge::start(projects), Place::new());
        let config = place.config(&forge.config()).display().to_string();
        let socket = place.path("a.sock");
        Self { forge, place, config, socket, web: Web { port: free_port() } }
    }

    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    pub(crate) fn start_aggregator(&self) -> Running {
        self.place.start(AGGREGATOR, &["--config", &self.config, "--listen", &self.address()])
    }

    pub(crate) fn start_web(&self) -> Running {
        let port = self.web.port.to_string();
        let args = ["--config", &self.config, "--aggregator", &self.address(), "--port", &port];
        self.place.start(WEB, &args)
    }

    /// Until the rows are the simulated world, neither more nor less.
    #[track_caller]
    pub(crate) fn until_rows_are_the_world(&self) {
        eventually("the rows are the simulated world", || {
            let rows = self.web.items("/api/v1/projects")?;
            let difference = self.forge.sim.world().with(|world| differences(world, &rows));
            if difference.is_empty() { Ok(()) } else { Err(difference.join("\n")) }
        });
    }
}

/// The source and the id under which a project of the world is shown.
fn key(project: &Project) -> (&'static str, String) {
    match project.face.0 {
        "gitlab" => ("gl", project.native_id.to_string()),
        _ => ("gh", project.full_path()),
    }
}

fn differences(world: &World, rows: &[Value]) -> Vec<String> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let mut shown: BTreeMap<_, _> = rows.iter().map(|r| ((text(&r["source"]), text(&r["id"])), r)).collect();
    let mut found = Vec::new();
    if shown.len() != rows.len() {
        found.push("a project is there twice".to_owned());
    }
    for project in world.projects() {
        let (source, id) = key(project);
        let Some(row) = shown.remove(&(source.to_owned(), id.clone())) else {
            found.push(format!("{source}:{id} is missing"));
            continue;
        };
        let mut differs = |what: &str, shown: &Value, truth: &Value| {
            if shown != truth {
                found.push(format!(
                    "{source}:{id} ({:?}): {what} is {shown}, should be {truth}",
                    project.shape
                ));
            }
        };
        differs("name", &row["name"], &project.full_path().into());
        // GitHub names a default branch before there is one.
        if project.shape != Shape::Empty {
            differs("default_branch", &row["default_branch"], &project.default_branch.as_deref().into());
        }
        differs("outcome", &row["outcome"], &outcome(project).into());
        let runs = row["pipelines"].as_array().cloned().unwrap_or_default();
        for run in &runs {
            let id = text(&run["id"]).parse::<u64>().unwrap_or_default();
            let id = if source == "gh" { id - GITHUB_FIRST_RUN } else { id };
            match project.pipeline(id) {
                Some(truth) => {
                    differs("sha", &run["sha"], &(*truth.sha).into());
                    differs("branch", &run["branch"], &(*truth.branch).into());
                    differs("status", &run["status"], &status(truth).into());
                }
                None => differs("a run that is not", &run["id"], &Value::Null),
            }
        }
        let newest = newest_of_each_workflow(project);
        differs("number of newest runs", &runs.len().into(), &newest.len().into());
    }
    found.extend(shown.keys().map(|(source, id)| format!("{source}:{id} is not in the world")));
    found
}

/// Runs of the default branch, newest first. Nothing is asked about a project that is archived or whose CI is off.
fn on_default_branch(project: &Project) -> Vec<&Pipeline> {
    let Some(main) = project.default_branch.as_deref() else { return Vec::new() };
    if project.archived || project.shape == Shape::CiDisabled {
        return Vec::new();
    }
    let of_branch = |r: &&Pipeline| &*r.branch == main && !matches!(r.trigger, Trigger::MergeRequest(_));
    project.pipelines().iter().rev().filter(of_branch).collect()
}

fn newest_of_each_workflow(project: &Project) -> BTreeSet<usize> {
    on_default_branch(project).iter().map(|r| r.workflow).collect()
}

/// The worst of what last completed in each workflow.
fn outcome(project: &Project) -> Option<&'static str> {
    let runs = on_default_branch(project);
    let of_workflow = |w: usize| {
        let completed =
            |r: &&&Pipeline| r.workflow == w && matches!(status(r), "success" | "warning" | "failed");
        runs.iter().find(completed).map(|r| status(r))
    };
    let outcomes: Vec<_> = newest_of_each_workflow(project).into_iter().filter_map(of_workflow).collect();
    ["failed", "warning", "success"].into_iter().find(|o| outcomes.contains(o))
}

fn status(run: &Pipeline) -> &'static str {
    match run.status {
        RunStatus::Created | RunStatus::Queued => "queued",
        RunStatus::Running => "running",
        RunStatus::Success if run.warnings => "warning",
        RunStatus::Success => "success",
        RunStatus::Failed => "failed",
        RunStatus::Canceled => "canceled",
        RunStatus::Skipped => "skipped",
        RunStatus::Manual => "manual",
    }
}

#[test]
fn rows_are_the_simulated_world_and_follow_it() {
    let house = House::new(40);
    let (mut aggregator, mut web) = (house.start_aggregator(), house.start_web());
    house.web.until_connected();
    house.until_rows_are_the_world();
    let mode = std::fs::metadata(&house.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660, "the socket is for owner and group");

    // Somebody breaks a green project, and the page says so.
    let broken = house.forge.sim.world().with(|world| {
        let green =
            |p: &&Project| outcome(p) == Some("success") && p.shape.is_lively() && !p.workflows.is_empty();
        let project = world.projects().find(green).unwrap();
        let (id, main) = (project.id, project.default_branch.clone().unwrap());
        world.push_commit(id, &main, World::person("mira"), "Round half even").unwrap();
        let run = world.start_pipeline(id, &main, 0, false).unwrap();
        world.finish_pipeline(id, run, RunStatus::Failed).unwrap();
        key(world.get(id).unwrap())
    });
    eventually("the broken project is red", || {
        let rows = house.web.items("/api/v1/projects?status=failed")?;
        let red = rows
            .iter()
            .any(|r| (r["source"].as_str(), r["id"].as_str()) == (Some(broken.0), Some(&broken.1)));
        red.then_some(()).ok_or_else(|| format!("{broken:?} is not among {} red ones", rows.len()))
    });
    house.until_rows_are_the_world();

    assert_eq!(web.stop(Signal::TERM), Some(0), "web stops cleanly");
    assert_eq!(aggregator.stop(Signal::TERM), Some(0), "aggregator stops cleanly");
    assert!(!house.socket.exists(), "a clean stop leaves no socket behind");
}

#[test]
fn either_may_die_at_any_time_in_any_order() {
    let house = House::new(12);
    let (mut aggregator, mut web) = (house.start_aggregator(), house.start_web());
    house.web.until_connected();
    house.until_rows_are_the_world();
    let some_row = house.web.items("/api/v1/projects").unwrap().first().cloned().unwrap();
    let name = some_row["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();

    for _ in 0..2 {
        // The aggregator: the page stays, with what was last known and its date.
        eventually("somebody looks at the page", || {
            let page = house.web.ok("/")?;
            page.body.contains(&name).then_some(()).ok_or_else(|| format!("no {name} yet"))
        });
        aggregator.kill();
        assert!(house.socket.exists(), "a killed process leaves its socket");
        eventually("the loss is noticed", || match house.web.link()?.as_str() {
            "connected" => Err("connected".to_owned()),
            _ => Ok(()),
        });
        let page = house.web.ok("/").unwrap();
        assert!(page.body.contains(&name), "{name} is still on the page");
        assert!(page.header("age").is_some(), "the answer says how old it is: {page:?}");
        assert_eq!(house.web.get("/api/ready").unwrap().status, 200, "old data is data");
        // A page that was never asked for waits, then says when to come back.
        let other = house.web.get("/api/v1/projects?q=never-asked-before").unwrap();
        assert_eq!(other.status, 503, "{}", other.body);
        assert!(other.header("retry-after").is_some());
        // It takes over the stale socket, and the web daemon finds it by itself.
        aggregator = house.start_aggregator();
        house.web.until_connected();
        house.until_rows_are_the_world();

        // The web daemon: nothing is lost with it.
        web.kill();
        web = house.start_web();
        house.web.until_connected();
        house.until_rows_are_the_world();

        // Both; the web daemon first again.
        aggregator.kill();
        web.kill();
        web = house.start_web();
        eventually("the web daemon lives without an aggregator", || {
            let ready = house.web.get("/api/ready")?;
            (ready.status == 503).then_some(()).ok_or_else(|| format!("ready: {}", ready.status))
        });
        assert_eq!(house.web.get("/api/health").unwrap().status, 200);
        aggregator = house.start_aggregator();
        house.web.until_connected();
        house.until_rows_are_the_world();

        // Both; the aggregator first again.
        web.kill();
        aggregator.kill();
        aggregator = house.start_aggregator();
        web = house.start_web();
        house.web.until_connected();
        house.until_rows_are_the_world();
    }
    // And in the other order of a clean stop.
    assert_eq!(aggregator.stop(Signal::TERM), Some(0));
    assert_eq!(web.stop(Signal::TERM), Some(0));
}

#[test]
fn a_second_aggregator_is_refused_in_one_line() {
    let house = House::new(2);
    let first = house.start_aggregator();
    eventually("the socket is there", || house.socket.exists().then_some(()).ok_or("no socket".into()));
    let second = house.place.run(AGGREGATOR, &["--config", &house.config, "--listen", &house.address()]);
    assert_eq!(second.code, Some(1), "{second:?}");
    let said: Vec<_> = second.err.lines().filter(|l| !l.starts_with('{')).collect();
    let [line] = said[..] else { panic!("not one line: {second:?}") };
    assert!(line.contains(&house.socket.display().to_string()), "the path: {line}");
    assert!(line.contains(&first.pid().to_string()), "the pid {}: {line}", first.pid());
    // The first is none the worse for it.
    let _web = house.start_web();
    house.web.until_connected();
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let house = House::new(2);
    let _taken = std::net::TcpListener::bind(("127.0.0.1", house.web.port)).unwrap();
    let port = house.web.port.to_string();
    let web =
        house.place.run(WEB, &["--config", &house.config, "--aggregator", &house.address(), "--port", &port]);
    let single = house.place.run("ci-dashboard", &["--config", &house.config, "--port", &port]);
    for ended in [web, single] {
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said: Vec<_> = ended.err.lines().filter(|l| !l.starts_with('{')).collect();
        assert!(
            matches!(said[..], [line] if line.contains(&port)),
            "one sentence that names the port: {ended:?}"
        );
    }
}

#[test]
fn bad_settings_end_both_with_2_and_every_mistake() {
    let place = Place::new();
    let config = "server: { prot: 80 }\ncache: { type: reddis, ttl: soon }\nlogging: { format: plain }\n";
    let config = place.config(config).display().to_string();
    for (name, mistakes) in [(AGGREGATOR, &["reddis", "ttl", "plain"][..]), (WEB, &["prot", "plain"][..])] {
        let ended = place.run(name, &["--config", &config]);
        assert_eq!(ended.code, Some(2), "{name}: {ended:?}");
        for mistake in mistakes {
            assert!(ended.err.contains(mistake), "{name} does not name {mistake}: {}", ended.err);
        }
        assert!(ended.err.contains("config.yaml:"), "{name} says where: {}", ended.err);
    }
    for (name, args) in [(AGGREGATOR, ["--listen", "nonsense"]), (WEB, ["--port", "many"])] {
        assert_eq!(place.run(name, &args).code, Some(2), "{name} {args:?}");
    }
}

#[test]
fn help_and_version_are_complete() {
    let place = Place::new();
    let flags = [
        ("ci-dashboard", &["--config", "--host", "--port", "demo", "check-config"][..]),
        (AGGREGATOR, &["--config", "--listen"][..]),
        (WEB, &["--config", "--aggregator", "--host", "--port"][..]),
    ];
    for (name, flags) in flags {
        let help = place.run(name, &["--help"]);
        assert_eq!(help.code, Some(0));
        for flag in flags {
            assert!(help.out.contains(flag), "{name} --help lacks {flag}");
        }
        let version = place.run(name, &["--version"]);
        let out = version.out.trim();
        assert_eq!(version.code, Some(0));
        assert!(
            out.starts_with(name) && out.contains(env!("CARGO_PKG_VERSION")) && out.ends_with(')'),
            "{out}"
        );
    }
}
