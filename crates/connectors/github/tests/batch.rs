//! What moved in many repositories, by GraphQL, against a simulated GitHub that prices it as published.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use connector::{Connector, Extent, Heads, HeadsAsk};
use domain::{Clock, ManualClock, Project, ProjectKey, RunId, Status, Timestamp};
use forge_sim::world::Shape;
use forge_sim::{Effect, Fault, RunStatus, Sim, SimBuilder, World, github::FACE};
use futures::StreamExt;
use jiff::SignedDuration;

const FIRST_RUN: u64 = 9_000_000_000;
const ENDPOINT: &str = "POST /graphql";

/// A source, and what is known of each repository, as the board keeps it.
struct Forge {
    sim: Sim,
    clock: Arc<ManualClock>,
    sim_clock: Arc<forge_sim::ManualClock>,
    github: Arc<dyn Connector>,
    known: BTreeMap<ProjectKey, (Project, Heads, Timestamp)>,
}

impl Forge {
    async fn start(projects: usize) -> Self {
        Self::with(projects, |builder| builder).await
    }

    /// Everything was read in full, twice, so that nothing is left to be learnt; and pushes are long ago.
    async fn with(projects: usize, set: impl FnOnce(SimBuilder) -> SimBuilder) -> Self {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let sim_clock = Arc::new(forge_sim::ManualClock::new(now));
        let builder = Sim::builder().seed(11).projects(projects).faces([FACE]).running(0);
        let builder = builder.clock(Arc::clone(&sim_clock) as Arc<dyn forge_sim::Clock>);
        let sim = set(builder).start().await.unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let mut settings = support::settings(&format!("{}/api/v3/", sim.github_url()));
        settings.token = Some(config::Secret::new(sim.token(), config::SecretFrom::Settings));
        let github = support::source(&settings, Arc::clone(&clock) as Arc<dyn Clock>);
        let mut forge = Self { sim, clock, sim_clock, github, known: BTreeMap::new() };
        forge.pass(SignedDuration::from_mins(10));
        let mut page = None;
        loop {
            let answer = forge.github.projects(page).await.unwrap();
            let read = answer.items.into_iter().filter(|p| !p.archived && p.default_branch.is_some());
            for project in read {
                forge.known.insert(project.key.clone(), (project, Heads::default(), now));
            }
            page = answer.next;
            if page.is_none() {
                break;
            }
        }
        forge.ask(true).await;
        // What one reading leaves over.
        for _ in 0..3 {
            forge.sim.requests().clear();
            forge.ask(false).await;
        }
        forge.sim.requests().clear();
        forge
    }

    fn pass(&self, time: SignedDuration) {
        self.clock.advance(time);
        let now = self.sim_clock.advance(time);
        self.sim.world().with(|w| w.advance_to(now));
    }

    fn asks(&self, full: bool) -> Vec<HeadsAsk> {
        let ask = |(project, heads, at): &(Project, Heads, Timestamp)| HeadsAsk {
            known: heads.pipelines.iter().cloned().map(Arc::new).collect(),
            known_at: Some(*at),
            known_head: heads.default_branch.clone().map(|b| (b, project.last_activity_at)),
            known_workflows: heads.workflows.clone().map(|w| (w, *at)),
            full,
            ..support::ask(project)
        };
        self.known.values().map(ask).collect()
    }

    /// Asks about all, and then for the whole of what moved, as the schedule does.
    async fn ask(&mut self, full: bool) -> BTreeMap<ProjectKey, Heads> {
        let mut out = self.take(self.asks(full)).await;
        assert_eq!(out.len(), self.known.len(), "one answer to each question");
        let moved = |key: &ProjectKey| out.get(key).is_some_and(|h| h.extent == Extent::Moved);
        let again = self.asks(true).into_iter().filter(|ask| moved(&ask.project.key)).collect();
        out.extend(self.take(again).await);
        out
    }

    /// Asks, and takes the answers over as the board does.
    async fn take(&mut self, asks: Vec<HeadsAsk>) -> BTreeMap<ProjectKey, Heads> {
        let now = self.clock.now();
        let answers: Vec<_> = self.github.branch_heads(asks).collect().await;
        let mut out = BTreeMap::new();
        for (key, heads) in answers {
            let heads = heads.unwrap();
            let (project, known, at) = self.known.get_mut(&key).unwrap();
            if heads.last_activity_at.is_some() {
                project.last_activity_at = heads.last_activity_at;
            }
            if heads.default_branch.is_some() {
                known.default_branch.clone_from(&heads.default_branch);
            }
            if heads.workflows.is_some() {
                known.workflows.clone_from(&heads.workflows);
                *at = now;
            }
            if heads.extent == Extent::Whole {
                known.pipelines.clear();
            }
            known.pipelines.retain(|k| heads.pipelines.iter().all(|run| run.id != k.id));
            known.pipelines.extend(heads.pipelines.iter().cloned());
            known.pipelines.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
            out.insert(key, heads);
        }
        out
    }

    /// A green repository: its world id, key and default branch.
    fn green(&self, nth: usize) -> (forge_sim::ProjectId, ProjectKey, Arc<str>) {
        self.sim.world().with(|w| {
            let mut green = w.projects_of(FACE).filter(|p| p.member && p.shape == Shape::Green);
            let project = green.nth(nth).unwrap();
            let key = self.known.keys().find(|k| k.id.as_str() == project.full_path()).unwrap();
            (project.id, key.clone(), project.default_branch.clone().unwrap())
        })
    }

    /// Requests by method since the last look: questions, those that were paid, and those that were free.
    fn spent(&self) -> (usize, usize, usize) {
        let all = self.sim.requests().all();
        self.sim.requests().clear();
        let questions = all.iter().filter(|r| r.template == ENDPOINT).count();
        let free = all.iter().filter(|r| r.status == 304).count();
        (questions, all.len() - questions - free, free)
    }

    fn points_left(&self) -> u64 {
        self.github.batching().unwrap().budget.unwrap().remaining
    }
}

#[tokio::test]
async fn nothing_moved_costs_a_point_for_a_hundred_repositories() {
    let mut forge = Forge::start(106).await;
    let repositories = forge.known.len();
    assert!((101..=106).contains(&repositories), "{repositories}");
    let before = forge.points_left();
    let answers = forge.ask(false).await;
    assert!(answers.values().all(|h| h.extent == Extent::News && h.pipelines.is_empty()), "nothing moved");
    assert_eq!(forge.spent(), (2, 0, 0), "two questions and not one request");
    assert_eq!(before - forge.points_left(), 2);
    let batching = forge.github.batching().unwrap();
    assert_eq!((batching.per_request, batching.cost), (100, 1));
    // The budget of requests is another one.
    assert_ne!(forge.github.budget().unwrap().remaining, forge.points_left());
}

#[tokio::test]
async fn open_pull_requests_are_counted_at_no_cost_a_part_at_a_time() {
    let mut forge = Forge::start(106).await;
    let open = forge.sim.world().with(|w| {
        let of = |p: &forge_sim::world::Project| {
            (p.full_path(), p.history().merge_requests.iter().filter(|mr| mr.open).count() as u64)
        };
        w.projects_of(FACE).map(of).collect::<BTreeMap<_, _>>()
    });
    let mut counted = BTreeMap::new();
    for round in 1..=4 {
        let now = forge.clock.now();
        let at = |key: &ProjectKey| counted.get(key).map(|(at, _)| *at);
        let asks = forge.asks(false).into_iter();
        let asks = asks.map(|ask| HeadsAsk { counted_at: at(&ask.project.key), ..ask }).collect();
        let before = forge.points_left();
        let answers = forge.take(asks).await;
        assert_eq!((forge.spent(), before - forge.points_left()), ((2, 0, 0), 2), "as much as without");
        let told = answers.into_iter().filter_map(|(key, heads)| Some((key, heads.open_merge_requests?)));
        let told: Vec<_> = told.collect();
        assert!((40..=50).contains(&told.len()), "{} in round {round}", told.len());
        counted.extend(told.into_iter().map(|(key, open)| (key, (now, open))));
        forge.pass(SignedDuration::from_secs(1));
    }
    assert_eq!(counted.len(), forge.known.len(), "those first that were counted longest ago");
    assert!(counted.iter().all(|(key, (_, n))| open[key.id.as_str()] == *n), "{counted:?} {open:?}");
    assert!(counted.values().any(|(_, n)| *n > 0) && counted.values().any(|(_, n)| *n == 0));
}

#[tokio::test]
async fn a_push_and_its_run_are_told_and_only_why_it_failed_costs_requests() {
    let mut forge = Forge::start(36).await;
    let moved: Vec<_> = (0..6).map(|nth| forge.green(nth)).collect();
    let runs: Vec<(Arc<str>, u64)> = forge.sim.world().with(|w| {
        let start = |(id, _, main): &(_, _, Arc<str>)| {
            let sha = w.push_commit(*id, main, World::person("lee"), "Move").unwrap();
            (sha, w.start_pipeline(*id, main, 0, false).unwrap())
        };
        moved.iter().map(start).collect()
    });
    let answers = forge.ask(false).await;
    for ((_, key, main), (sha, run)) in moved.iter().zip(&runs) {
        let heads = &answers[key];
        assert_eq!(heads.extent, Extent::News, "{key}");
        let head = heads.default_branch.as_ref().unwrap();
        assert_eq!((head.name.as_str(), head.sha.as_deref()), (&**main, Some(&**sha)));
        assert_eq!(head.message.as_deref(), Some("Move"));
        let run = heads.pipelines.iter().find(|r| r.id == RunId::from(FIRST_RUN + run)).unwrap();
        assert!(run.status.is_active() && run.author.is_some() && run.workflow.name.is_some(), "{run:?}");
        assert_eq!((run.sha.as_deref(), run.branch.as_deref()), (Some(&**sha), Some(&**main)));
    }
    let others = answers.iter().filter(|(key, _)| moved.iter().all(|(_, of, _)| of != *key));
    assert!(others.into_iter().all(|(_, h)| h.extent == Extent::News && h.pipelines.is_empty()));
    assert_eq!(forge.spent(), (1, 0, 0), "one question and not one request");

    // REST tells the same of the runs as GraphQL did.
    let told = forge.known.clone();
    forge.ask(true).await;
    for ((_, key, _), (_, run)) in moved.iter().zip(&runs) {
        let of = |known: &BTreeMap<ProjectKey, (Project, Heads, Timestamp)>| {
            let id = RunId::from(FIRST_RUN + run);
            let run = known[key].1.pipelines.iter().find(|r| r.id == id).unwrap().clone();
            let lane = run.workflow.lane.clone();
            (
                run.number,
                lane,
                run.event,
                run.message,
                run.created_at,
                run.updated_at,
                run.native_status,
                run.url,
            )
        };
        assert_eq!(of(&told), of(&forge.known), "{key}");
    }

    // Half of them pass, and half of them fail.
    forge.pass(SignedDuration::from_secs(30));
    forge.sim.requests().clear();
    forge.sim.world().with(|w| {
        for (nth, ((id, ..), (_, run))) in moved.iter().zip(&runs).enumerate() {
            let end = if nth % 2 == 0 { RunStatus::Success } else { RunStatus::Failed };
            w.finish_pipeline(*id, *run, end).unwrap();
        }
    });
    let answers = forge.ask(false).await;
    for (nth, ((_, key, _), (_, run))) in moved.iter().zip(&runs).enumerate() {
        let of_run = forge.known[key].1.pipelines.iter().find(|r| r.id == RunId::from(FIRST_RUN + run));
        let shown = of_run.unwrap();
        assert!(shown.finished_at.is_some() && shown.duration.is_some(), "{key}");
        let end = if nth % 2 == 0 { Status::Success } else { Status::Failed };
        assert_eq!((answers[key].extent, shown.status), (Extent::News, end), "{key}");
        assert_eq!(shown.failure.is_some(), nth % 2 == 1, "{key}: why it failed is read");
    }
    let (questions, paid, _) = forge.spent();
    assert_eq!(questions, 1);
    assert_eq!(paid, 3, "the jobs of each that failed");
}

#[tokio::test]
async fn what_was_never_seen_is_told_at_a_glance() {
    let mut forge = Forge::start(106).await;
    for (project, heads, _) in forge.known.values_mut() {
        *heads = Heads::default();
        project.last_activity_at = None;
    }
    let asks = forge.asks(false).into_iter().map(|ask| HeadsAsk { known_at: None, ..ask });
    let answers = forge.take(asks.collect()).await;
    assert_eq!(forge.spent(), (2, 0, 0), "two questions about {} repositories", answers.len());
    let world = forge.sim.world().with(|w| {
        let of = |p: &forge_sim::world::Project| {
            let main = p.default_branch.as_deref()?;
            let head = &p.branch(main)?.head;
            let runs = p.pipelines().iter().filter(|run| run.sha == *head && p.branch(&run.branch).is_some());
            Some((p.full_path(), (head.to_string(), runs.map(|run| FIRST_RUN + run.id).collect::<Vec<_>>())))
        };
        w.projects_of(FACE).filter_map(of).collect::<BTreeMap<_, _>>()
    });
    let mut seen = 0;
    for (key, heads) in &answers {
        // An empty one has no newest commit.
        let Some((sha, runs)) = world.get(key.id.as_str()) else { continue };
        assert_eq!(heads.default_branch.as_ref().unwrap().sha.as_ref(), Some(sha), "{key}");
        let told: Vec<_> =
            heads.pipelines.iter().map(|run| run.id.as_str().parse::<u64>().unwrap()).collect();
        assert!(told.iter().all(|id| runs.contains(id)), "{key}: {told:?} {runs:?}");
        let off = told.is_empty();
        assert!(off || told.len() == runs.len(), "{key}: {told:?} {runs:?}");
        seen += usize::from(!off);
    }
    assert!(seen * 10 > answers.len() * 7, "{seen} of {}", answers.len());
}

#[tokio::test]
async fn a_run_that_only_goes_on_is_told_without_a_request() {
    let mut forge = Forge::start(16).await;
    let (id, key, main) = forge.green(0);
    let run = forge.sim.world().with(|w| w.start_pipeline(id, &main, 0, false).unwrap());
    let run_id = RunId::from(FIRST_RUN + run);
    let status = |forge: &Forge| {
        let runs = &forge.known[&key].1.pipelines;
        runs.iter().find(|r| r.id == run_id).map(|r| r.status)
    };
    forge.ask(false).await;
    assert_eq!(status(&forge), Some(Status::Queued), "a run without a push, on the newest commit");
    forge.spent();
    forge.pass(SignedDuration::from_secs(45));
    let now = forge.sim.world().with(|w| w.get(id).unwrap().pipeline(run).unwrap().status);
    assert_eq!(now, RunStatus::Running, "the world has moved it on");
    let answers = forge.ask(false).await;
    assert_eq!(status(&forge), Some(Status::Running));
    assert_eq!(answers[&key].extent, Extent::News);
    assert_eq!(forge.spent(), (1, 0, 0));
}

#[tokio::test]
async fn runs_elsewhere_are_told_by_their_commits() {
    let mut forge = Forge::start(16).await;
    let (id, key, main) = forge.green(1);
    let run = forge.sim.world().with(|w| {
        w.push_commit(id, "side", World::person("lee"), "Aside").unwrap();
        w.start_pipeline(id, "side", 0, true).unwrap()
    });
    let run_id = RunId::from(FIRST_RUN + run);
    let status = |forge: &Forge| {
        let runs = &forge.known[&key].1.pipelines;
        runs.iter().find(|r| r.id == run_id).map(|r| r.status)
    };
    let answers = forge.ask(false).await;
    assert!(status(&forge).unwrap().is_active(), "a push to any branch is seen");
    assert_eq!(answers[&key].extent, Extent::Whole, "which one is read by REST");
    // It goes on: on another branch, and then on a commit that is no branch's newest.
    for pushed in ["side", &main] {
        forge.spent();
        forge.pass(SignedDuration::from_secs(5));
        let answers = forge.ask(false).await;
        assert_eq!(answers[&key].extent, Extent::News, "{pushed}");
        assert_eq!(forge.spent(), (1, 0, 0));
        forge.sim.world().with(|w| {
            w.push_commit(id, pushed, World::person("lee"), "Later").unwrap();
            w.start_pipeline(id, pushed, 0, true).unwrap()
        });
        forge.ask(false).await;
    }
    forge.sim.world().with(|w| w.finish_pipeline(id, run, RunStatus::Success).unwrap());
    forge.spent();
    forge.ask(false).await;
    assert!(status(&forge).unwrap().is_green());
    assert_eq!(forge.spent(), (1, 0, 0));
}

#[tokio::test]
async fn what_is_started_over_is_found() {
    let mut forge = Forge::start(16).await;
    let (id, key, main) = forge.green(2);
    let run = forge.sim.world().with(|w| {
        let run = w.start_pipeline(id, &main, 0, false).unwrap();
        w.finish_pipeline(id, run, RunStatus::Failed).unwrap();
        run
    });
    forge.ask(false).await;
    forge.pass(SignedDuration::from_secs(30));
    forge.sim.world().with(|w| w.retry(id, run).unwrap());
    forge.ask(false).await;
    let shown = &forge.known[&key].1.pipelines;
    let again = shown.iter().find(|r| r.id == RunId::from(FIRST_RUN + run)).unwrap();
    assert_eq!((again.attempt, again.finished_at), (Some(2), None));
}

#[tokio::test]
async fn without_graphql_rest_is_asked_and_that_is_remembered() {
    let mut forge = Forge::with(16, SimBuilder::without_graphql).await;
    let posts = |forge: &Forge| forge.sim.requests().all().iter().filter(|r| r.method == "POST").count();
    assert!(forge.github.batching().is_none(), "it was asked once, and that is remembered");
    let answers = forge.ask(false).await;
    assert!(answers.values().all(|h| h.extent == Extent::Whole));
    assert_eq!(posts(&forge), 0);
    forge.pass(SignedDuration::from_mins(61));
    assert!(forge.github.batching().is_some(), "a server may have been brought up to date");
    forge.ask(false).await;
    assert_eq!(posts(&forge), 1, "one question is enough");
    forge.ask(false).await;
    assert_eq!(posts(&forge), 1);
}

#[tokio::test]
async fn a_question_that_is_too_large_is_halved() {
    let mut forge = Forge::start(36).await;
    forge.ask(false).await;
    forge.spent();
    let repositories = forge.known.len();
    forge.sim.faults().add(Fault::on("*graphql", Effect::Status(502)).face(FACE).times(1));
    let answers = forge.ask(false).await;
    assert!(answers.values().all(|h| h.extent == Extent::News), "all are told");
    let questions = forge.spent().0;
    assert_eq!(questions, 2, "the one that failed has another template");
    assert_eq!(forge.github.batching().unwrap().per_request, repositories.min(100) / 2);
}

#[tokio::test]
async fn one_that_is_gone_spoils_no_other() {
    let forge = Forge::start(16).await;
    let (id, key, _) = forge.green(3);
    forge.sim.world().with(|w| w.delete_project(id).unwrap());
    let answers: Vec<_> = forge.github.branch_heads(forge.asks(false)).collect().await;
    for (of, heads) in answers {
        let extent = if of == key { Extent::Moved } else { Extent::News };
        assert_eq!(heads.unwrap().extent, extent, "{of}");
    }
    let of_it = forge.asks(true).into_iter().filter(|ask| ask.project.key == key).collect();
    let (_, heads) = forge.github.branch_heads(of_it).next().await.unwrap();
    assert!(matches!(heads, Err(connector::Error::NotFound(_))), "{heads:?}");
}

#[tokio::test]
async fn a_token_that_may_not_see_checks_is_not_asked_with_for_an_hour() {
    let server = wiremock::MockServer::start().await;
    let refusal = |at: u32| {
        serde_json::json!({
            "type": "FORBIDDEN", "path": [format!("r{at}"), "defaultBranchRef", "target", "checkSuites"],
            "message": "Resource not accessible by personal access token",
        })
    };
    let body = serde_json::json!({
        "data": { "r0": null, "r1": null, "r2": null, "r3": null },
        "errors": (0..4).map(refusal).collect::<Vec<_>>(),
    });
    wiremock::Mock::given(wiremock::matchers::method("POST"))
        .respond_with(wiremock::ResponseTemplate::new(200).set_body_json(body))
        .expect(1)
        .mount(&server)
        .await;
    let clock = Arc::new(ManualClock::at("2026-11-24T12:00:00Z".parse().unwrap()));
    let github = support::source(&support::settings(&server.uri()), clock as Arc<dyn Clock>);
    let asks = || {
        let project = |at: u32| {
            let key = format!("gh:acme/r{at}").parse().unwrap();
            Project::named(key, github.descriptor().id, format!("acme/r{at}"))
        };
        (0..4).map(|at| HeadsAsk { full: false, ..support::ask(&project(at)) }).collect()
    };
    for _ in 0..2 {
        let answers: Vec<_> = github.branch_heads(asks()).collect().await;
        assert_eq!(answers.len(), 4, "REST is asked: it answers 404 here");
        assert!(github.batching().is_none());
    }
}
