//! How fresh the board is, and what that costs: in virtual time, against simulated platforms with the published limits.
//!
//! `cargo bench -p aggregator --bench fresh [-- FILTER]` runs the real refresher, connectors and HTTP client over loopback; only
//! the time is not real: it moves on when nothing is to be done, and by [`LATENCY`] for each piece of work. So an hour of a
//! thousand projects takes moments, and its figures do not depend on the machine. Each scenario is first read to the end, then
//! measured for an hour in which people push and pipelines run.
//!
//! *Fresh* is the time from a change on the platform (a run begins, or ends) to the board that shows it. *Spent* are
//! requests that the platform counts, and points where it counts those. *Busiest* are the ten seconds in which most was spent,
//! from the start on, in parts of twice the rate at which the limit would last evenly.

#![expect(clippy::unwrap_used, reason = "a program that measures fails by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use aggregator::Aggregator;
use aggregator::hub::Hub;
use aggregator::refresh::Refresher;
use aggregator::schedule::{EVENLY_WITHIN, most_within};
use config::{Inputs, Role, Secret, SecretFrom};
use domain::{ManualClock, NativeId, ProjectKey, SourceName, Timestamp};
use forge_sim::requests::Record;
use forge_sim::world::{FaceId, Pace, Pipeline, Project, ProjectId, RunStatus, Trigger};
use forge_sim::{Limits, Sim, github};
use hmac::Mac as _;
use http::HeaderMap;
use jiff::SignedDuration;
use lifecycle::Lifecycle;
use serde_json::{Value, json};

/// What every piece of work takes.
const LATENCY: SignedDuration = SignedDuration::from_millis(400);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// The longest that a first reading may take.
const FIRST_READING: SignedDuration = SignedDuration::from_hours(8);
/// Of more projects than this it is not waited until everything is known, which takes a day of the limit …
const LARGE: usize = 1_000;
/// … but so long, and what is read in the background counts in the hour that is measured.
const LARGE_KNOWN: SignedDuration = SignedDuration::from_mins(30);
/// Share of projects in which nothing happens.
const ASLEEP: f64 = 0.7;
const SECRET: &str = "s3cret";
/// The published limits: GitHub's requests in an hour, and as many points …
const HOURLY: u32 = 5_000;
const GRAPHQL: &str = "POST /graphql";
/// … GitLab's in a minute, and Bitbucket's in an hour.
const GITLAB_PER_MINUTE: u32 = 2_000;
const BITBUCKET_HOURLY: u32 = 1_000;

/// What is to be reached.
struct Goal {
    spent_per_hour: u64,
    fresh_seconds: Option<f64>,
    /// The endpoint that the first is of; `None`: all. One refresh of Jenkins is one request; beside those stand looks at what
    /// only a build itself tells, why it is red and whether it waits, and they are as many as there is news.
    of: Option<&'static str>,
}

struct Scenario {
    name: &'static str,
    platform: &'static str,
    face: FaceId,
    projects: usize,
    /// Seconds between two pushes anywhere.
    push_every: i64,
    webhooks: bool,
    goal: Option<Goal>,
}

/// One clock for both sides.
#[derive(Debug)]
struct Virtual(ManualClock);

impl domain::Clock for Virtual {
    fn now(&self) -> Timestamp {
        domain::Clock::now(&self.0)
    }
}

impl forge_sim::Clock for Virtual {
    fn now(&self) -> Timestamp {
        domain::Clock::now(&self.0)
    }
}

fn settings(scenario: &Scenario, sim: &Sim) -> config::Settings {
    let upper = scenario.platform.to_uppercase();
    let url = match scenario.platform {
        "bitbucket" => sim.bitbucket_url(),
        _ => sim.url(scenario.face),
    };
    let (url_key, token_key) = (format!("{upper}_URL"), format!("{upper}_TOKEN"));
    let mut env =
        vec![(url_key.as_str(), url.as_str()), (token_key.as_str(), sim.token()), ("DATABASE_URL", "none")];
    if scenario.platform == "jenkins" {
        env.push(("JENKINS_USER", "ci"));
    }
    let inputs = Inputs::isolated(Role::Aggregator, None, env);
    let mut settings = config::load(&inputs).unwrap_or_else(|p| panic!("{p}")).settings;
    for source in &mut settings.sources {
        source.webhook_secret = scenario.webhooks.then(|| Secret::new(SECRET, SecretFrom::Settings));
    }
    settings
}

/// The id of a run on the board, if the platform has the run: `Some(None)` where its number tells it.
fn shown_as(platform: &str, project: &Project, run: &Pipeline) -> Option<Option<String>> {
    use forge_sim::jenkins;
    match platform {
        "github" => Some(Some((run.id + github::FIRST_RUN).to_string())),
        "gitlab" => Some(Some(run.id.to_string())),
        "jenkins" if jenkins::kind(project) == jenkins::Kind::Multibranch => {
            Some(Some(format!("{}/{}", jenkins::child_of(run).name(), run.number)))
        }
        "jenkins" => {
            let is_own = Some(&run.branch) == project.default_branch.as_ref()
                && !matches!(run.trigger, Trigger::MergeRequest(_));
            is_own.then(|| Some(run.number.to_string()))
        }
        _ => Some(None),
    }
}

/// What GitLab posts when a pipeline moves, without its jobs.
fn gitlab_hook(project: &Project, run: &Pipeline) -> Value {
    let status = match run.status {
        RunStatus::Success => "success",
        RunStatus::Failed => "failed",
        RunStatus::Canceled => "canceled",
        _ => "running",
    };
    let times = run.started_at.zip(run.finished_at);
    let duration = times.map(|(from, to)| to.duration_since(from).as_secs());
    let commit = project.commit(&run.sha).map(|commit| {
        let author = commit.author.person();
        json!({ "id": &*commit.sha, "message": &*commit.title, "title": &*commit.title, "author": { "name": author.name } })
    });
    json!({
        "object_kind": "pipeline",
        "object_attributes": {
            "id": run.id, "iid": run.number, "ref": &*run.branch, "tag": false, "sha": &*run.sha, "source": "push", "status": status,
            "created_at": run.created_at.to_string(), "finished_at": run.finished_at.map(|at| at.to_string()), "duration": duration,
        },
        "project": { "id": project.native_id, "path_with_namespace": project.full_path(), "default_branch": project.default_branch.as_deref() },
        "commit": commit,
    })
}

/// A change that the board does not show yet.
struct Change {
    key: ProjectKey,
    number: u64,
    /// Its id on the board; `None`: known there by its number.
    shown_as: Option<String>,
    ended: bool,
    at: Timestamp,
    active: bool,
}

struct Rig<'a> {
    scenario: &'a Scenario,
    sim: Sim,
    clock: Arc<Virtual>,
    hub: Arc<Hub>,
    refresher: Refresher,
    aggregator: Aggregator,
    source: SourceName,
    /// State of the newest runs, by project: what was told of already.
    seen: HashMap<(ProjectId, u64), (u32, bool)>,
    pending: Vec<Change>,
    fresh: Vec<f64>,
    fresh_dormant: Vec<f64>,
    deliveries: u64,
}

impl<'a> Rig<'a> {
    async fn start(scenario: &'a Scenario) -> Self {
        let clock = Arc::new(Virtual(ManualClock::at("2026-11-24T08:00:00Z".parse().unwrap())));
        let pace =
            Pace { event_every: Some(SignedDuration::from_secs(scenario.push_every)), ..Pace::NATURAL };
        let sim = Sim::builder()
            .seed(7)
            .faces([scenario.face])
            .projects(scenario.projects)
            .asleep(ASLEEP)
            .pace(pace)
            .limits(Limits::published())
            .clock(Arc::clone(&clock) as _)
            .start()
            .await
            .unwrap();
        let life = Lifecycle::new();
        let settings = settings(scenario, &sim);
        let aggregator = Aggregator::new(&settings, Arc::clone(&clock) as _, &life.tasks()).unwrap();
        let hub = Arc::clone(aggregator.hub());
        let refresher = aggregator.refreshers().into_iter().next().unwrap();
        let source = hub.read(|p| p.sources.keys().next().cloned()).unwrap();
        let mut rig = Self {
            scenario,
            sim,
            clock,
            hub,
            refresher,
            aggregator,
            source,
            seen: HashMap::new(),
            pending: Vec::new(),
            fresh: Vec::new(),
            fresh_dormant: Vec::new(),
            deliveries: 0,
        };
        rig.look_at_the_world(false).await;
        rig
    }

    fn now(&self) -> Timestamp {
        domain::Clock::now(&*self.clock)
    }

    /// Moves time to `until`, stopping wherever something happens in the world.
    async fn pass(&mut self, until: Timestamp) {
        while self.now() < until {
            let next = self.sim.world().with(|w| w.next_event_at()).unwrap_or(until).min(until);
            self.clock.0.set(next.max(self.now()));
            let now = self.now();
            self.sim.world().with(|w| w.advance_to(now));
            self.look_at_the_world(true).await;
        }
    }

    /// Notes what changed, and sends the webhooks.
    async fn look_at_the_world(&mut self, counts: bool) {
        let now = self.now();
        let mut changes = Vec::new();
        self.sim.world().with(|w| {
            for p in w.projects_of(self.scenario.face) {
                if !p.shape.is_lively() || p.deleted {
                    continue;
                }
                let runs = p.pipelines();
                let before = runs.iter().rev().nth(3).map(|r| r.updated_at);
                for run in runs.iter().rev().take(4) {
                    let state = (run.attempt, run.finished_at.is_some());
                    if self.seen.insert((p.id, run.id), state) != Some(state) && counts {
                        let active = before.is_some_and(|at| now.duration_since(at).as_hours() < 24);
                        let id = if self.scenario.platform == "gitlab" {
                            p.native_id.to_string()
                        } else {
                            p.full_path()
                        };
                        let Some(shown_as) = shown_as(self.scenario.platform, p, run) else { continue };
                        let change = Change {
                            key: ProjectKey::new(self.source.clone(), NativeId::new(&id)),
                            number: u64::from(run.number),
                            shown_as,
                            ended: state.1,
                            at: now,
                            active,
                        };
                        let hook = self.scenario.webhooks.then(|| match self.scenario.platform {
                            "gitlab" => gitlab_hook(p, run),
                            _ => github::workflow_run(&self.sim.github_url(), p, run),
                        });
                        changes.push((change, hook));
                    }
                }
            }
        });
        for (change, hook) in changes {
            if let Some(hook) = hook {
                self.deliver(&hook.to_string()).await;
            }
            self.pending.push(change);
        }
        self.look_at_the_board();
    }

    /// Posts a webhook as its platform would.
    async fn deliver(&mut self, body: &str) {
        self.deliveries += 1;
        let mut headers = HeaderMap::new();
        if self.scenario.platform == "gitlab" {
            headers.insert("x-gitlab-event", "Pipeline Hook".parse().unwrap());
            headers.insert("x-gitlab-token", SECRET.parse().unwrap());
            headers.insert("idempotency-key", self.deliveries.to_string().parse().unwrap());
        } else {
            headers.insert("x-github-event", "workflow_run".parse().unwrap());
            let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
            mac.update(body.as_bytes());
            let signature: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
            headers.insert("x-hub-signature-256", format!("sha256={signature}").parse().unwrap());
            headers.insert("x-github-delivery", self.deliveries.to_string().parse().unwrap());
        }
        let webhooks = self.aggregator.webhooks();
        let verdict = match webhooks.read(self.source.as_str(), &headers, body.as_bytes()) {
            Ok(believed) => webhooks.take(believed, &headers, body.as_bytes()).await,
            Err(verdict) => verdict,
        };
        assert!(
            matches!(
                verdict,
                aggregator::webhooks::Verdict::Applied | aggregator::webhooks::Verdict::Ignored
            ),
            "{verdict:?}"
        );
    }

    fn look_at_the_board(&mut self) {
        let now = self.now();
        let (mut fresh, mut dormant) = (Vec::new(), Vec::new());
        self.hub.read(|p| {
            self.pending.retain(|change| {
                let Some(entry) = p.board.get(&change.key) else { return true };
                let shown = entry.runs().iter().find(|r| match &change.shown_as {
                    None => r.number == Some(change.number),
                    Some(id) => r.id.as_str() == id,
                });
                let shows = shown.is_some_and(|r| !change.ended || !r.status.is_active());
                if shows {
                    let to = if change.active { &mut fresh } else { &mut dormant };
                    to.push(now.duration_since(change.at).as_secs_f64());
                }
                !shows
            });
        });
        self.fresh.extend(fresh);
        self.fresh_dormant.extend(dormant);
    }

    async fn run_until(&mut self, end: Timestamp, stop: impl Fn(&Self) -> bool) {
        let mut told = self.now();
        while self.now() < end && !stop(self) {
            if std::env::var_os("VERBOSE").is_some() && self.now().duration_since(told).as_mins() >= 5 {
                told = self.now();
                eprintln!(
                    "    {told}: {:?}, {:?}",
                    self.spent(),
                    self.aggregator.schedules().figures(&self.source)
                );
            }
            match self.refresher.turn().await {
                None => {
                    self.look_at_the_board();
                    self.pass(self.now() + LATENCY).await;
                }
                Some(until) => self.pass(until.min(end)).await,
            }
        }
    }

    /// Requests that were counted, in points where the platform has them, and how many came in all.
    fn spent(&self) -> (u64, u64) {
        let all = self.sim.requests().all();
        (all.iter().map(|r| self.price(r)).sum(), all.len() as u64)
    }

    fn price(&self, r: &Record) -> u64 {
        match (self.scenario.platform, r.status) {
            ("github", 304) => 0,
            _ => r.points.max(1),
        }
    }

    /// The most that was spent within [`EVENLY_WITHIN`], as a part of what may be: of each limit, the greater one.
    fn busiest(&self) -> f64 {
        let hourly = f64::from(HOURLY) / HOUR.as_secs_f64();
        let points = |r: &Record| r.template == GRAPHQL;
        let limits: &[(f64, bool)] = match self.scenario.platform {
            "github" => &[(hourly, false), (hourly, true)],
            "gitlab" => &[(f64::from(GITLAB_PER_MINUTE) / 60.0, false)],
            "bitbucket" => &[(f64::from(BITBUCKET_HOURLY) / HOUR.as_secs_f64(), false)],
            _ => &[],
        };
        let all = self.sim.requests().all();
        let busiest = |&(even, apart): &(f64, bool)| {
            let of_it = all.iter().filter(|r| apart == (points(r) && self.scenario.platform == "github"));
            let spent: Vec<_> = of_it.map(|r| (r.at, self.price(r))).collect();
            let (mut most, mut sum, mut first) = (0, 0, 0);
            for (at, n) in &spent {
                sum += n;
                while spent[first].0 + EVENLY_WITHIN <= *at {
                    sum -= spent[first].1;
                    first += 1;
                }
                most = most.max(sum);
            }
            #[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
            let most = most as f64;
            most / most_within(even)
        };
        limits.iter().map(busiest).fold(0.0, f64::max)
    }

    /// Requests that were refused because of a limit.
    fn refused(&self) -> usize {
        self.sim.requests().all().iter().filter(|r| matches!(r.status, 429 | 403)).count()
    }
}

fn figure(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "an index"
    )]
    let at = |share: f64| {
        values.get(((values.len().saturating_sub(1)) as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    };
    (at(0.5), at(0.99), at(1.0))
}

async fn measure(scenario: &Scenario) -> bool {
    let begun = Instant::now();
    let mut rig = Rig::start(scenario).await;
    let start = rig.now();
    let whole = |rig: &Rig<'_>| {
        rig.aggregator.schedules().figures(&rig.source).is_some_and(|f| f.unread == 0 && f.projects > 0)
            && rig.hub.read(|p| p.sources.values().all(|s| s.was_read))
    };
    rig.run_until(start + FIRST_READING, whole).await;
    let first = rig.now().duration_since(start);
    let first_spent = rig.spent().0;
    // What led to the states is read after that, as the limit allows.
    let known =
        |rig: &Rig<'_>| rig.aggregator.schedules().figures(&rig.source).is_some_and(|f| f.partly_known == 0);
    let patience = if scenario.projects > LARGE { LARGE_KNOWN } else { FIRST_READING };
    rig.run_until(start + patience, known).await;
    let all_known = match known(&rig) {
        true => format!("{} s", rig.now().duration_since(start).as_secs()),
        false => format!("more than {} s", patience.as_secs()),
    };
    let (mut refused, mut busiest) = (rig.refused(), rig.busiest());
    rig.sim.requests().clear();
    (rig.fresh, rig.fresh_dormant) = (Vec::new(), Vec::new());
    rig.pending.clear();
    let since = rig.now();
    rig.run_until(since + HOUR, |_| false).await;
    let (spent, requests) = rig.spent();
    let now = rig.now();
    // What is not shown yet counts as old as it is.
    let late: Vec<_> =
        rig.pending.iter().filter(|c| c.active).map(|c| now.duration_since(c.at).as_secs_f64()).collect();
    let hidden = late.iter().filter(|age| **age > 120.0).count();
    rig.fresh.extend(late);
    refused += rig.refused();
    busiest = busiest.max(rig.busiest());
    let changes = rig.fresh.len();
    let (p50, p99, worst) = figure(std::mem::take(&mut rig.fresh));
    let dormant = figure(std::mem::take(&mut rig.fresh_dormant));
    println!(
        "{:34} first reading {:>5} s, {first_spent:>6} spent, everything known after {all_known:>7}; then an hour: {spent:>5} spent of {requests:>6} requests, {refused} refused, busiest {busiest:.2}; \
         {changes:>5} changes, fresh p50 {p50:>5.1} s  p99 {p99:>6.1} s  worst {worst:>6.1} s (woken: p99 {:>6.1} s), {hidden} not shown  [{:.0?}]",
        scenario.name,
        first.as_secs(),
        dormant.1,
        begun.elapsed(),
    );
    if std::env::var_os("VERBOSE").is_some() {
        let mut by_endpoint: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        for record in rig.sim.requests().all() {
            let of = by_endpoint.entry(record.template).or_default();
            of.0 += 1;
            of.1 += u64::from(record.status == 304);
        }
        for (endpoint, (n, unmodified)) in by_endpoint {
            println!("    {n:>6} {endpoint}, {unmodified} of them 304");
        }
        println!("    {:?}", rig.aggregator.schedules().figures(&rig.source));
    }
    let Some(goal) = &scenario.goal else { return refused == 0 };
    let mut reached = refused == 0;
    let counted = |of: &str| rig.sim.requests().all().iter().filter(|r| r.template == of).count() as u64;
    let spent = goal.of.map_or(spent, counted);
    #[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
    let share = spent as f64 / goal.spent_per_hour as f64;
    reached &= spent <= goal.spent_per_hour;
    let of = goal.of.map(|of| format!(" of {of}")).unwrap_or_default();
    print!("    {share:.2} of the {} an hour{of} that are allowed", goal.spent_per_hour);
    if let Some(seconds) = goal.fresh_seconds {
        reached &= p99 <= seconds;
        print!("; p99 is {:.2} of the goal of {seconds} s", p99 / seconds);
    }
    println!("{}", if reached { "" } else { "   NOT REACHED" });
    reached
}

fn scenarios() -> Vec<Scenario> {
    use forge_sim::{bitbucket, gitlab, jenkins};
    let one = |name, platform, face, projects, push_every, webhooks, goal| Scenario {
        name,
        platform,
        face,
        projects,
        push_every,
        webhooks,
        goal,
    };
    let goal = |spent_per_hour, fresh_seconds| Some(Goal { spent_per_hour, fresh_seconds, of: None });
    let of = |of, goal: Option<Goal>| goal.map(|goal| Goal { of: Some(of), ..goal });
    vec![
        one("github, 100", "github", github::FACE, 100, 60, false, goal(1_000, Some(60.0))),
        one("github, 1,000", "github", github::FACE, 1_000, 12, false, goal(1_000, Some(60.0))),
        one("github, 1,000, with webhooks", "github", github::FACE, 1_000, 12, true, goal(1_000, Some(1.0))),
        one("github, 10,000", "github", github::FACE, 10_000, 5, false, goal(5_000, Some(120.0))),
        one("github, 10,000, with webhooks", "github", github::FACE, 10_000, 5, true, goal(5_000, Some(1.0))),
        one("gitlab, 100", "gitlab", gitlab::FACE, 100, 60, false, goal(1_200, None)),
        one("gitlab, 1,000", "gitlab", gitlab::FACE, 1_000, 12, false, goal(1_200, Some(60.0))),
        one("gitlab, 1,000, with webhooks", "gitlab", gitlab::FACE, 1_000, 12, true, goal(1_200, Some(1.0))),
        one("gitlab, 10,000", "gitlab", gitlab::FACE, 10_000, 5, false, None),
        one("jenkins, 500", "jenkins", jenkins::FACE, 500, 30, false, of("GET /api/json", goal(240, None))),
        one("bitbucket, 100", "bitbucket", bitbucket::FACE, 100, 60, false, goal(1_000, None)),
        one("bitbucket, 1,000", "bitbucket", bitbucket::FACE, 1_000, 12, false, goal(1_000, None)),
        one("bitbucket, 10,000", "bitbucket", bitbucket::FACE, 10_000, 5, false, goal(1_000, None)),
    ]
}

#[tokio::main]
async fn main() {
    let filter: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut missed = Vec::new();
    for scenario in scenarios() {
        if !filter.is_empty() && !filter.iter().any(|f| scenario.name.contains(f.as_str())) {
            continue;
        }
        if !measure(&scenario).await {
            missed.push(scenario.name);
        }
    }
    if !missed.is_empty() {
        println!("not reached: {}", missed.join("; "));
        std::process::exit(1);
    }
}
