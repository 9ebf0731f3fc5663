//! What moved in many projects, by GraphQL, against a simulated GitLab that counts complexity as published.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed, which is what it is for"
)]

#[expect(dead_code, reason = "many are asked about, not one")]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use connector::{Connector, Extent, Heads, HeadsAsk};
use domain::{Completeness, Pipeline, Project, ProjectKey, RunId, Status, Timestamp};
use forge_sim::gitlab::FACE;
use forge_sim::world::Shape;
use forge_sim::{Effect, Fault, Limits, ManualClock, RunStatus, Sim, SimBuilder, World};
use futures::StreamExt;
use jiff::SignedDuration;
use support::{again, settings, source};

const ENDPOINT: &str = "POST /api/graphql";

/// A source, and what is known of each project, as the board keeps it.
struct Forge {
    sim: Sim,
    clock: Arc<ManualClock>,
    gitlab: Arc<dyn Connector>,
    known: BTreeMap<ProjectKey, (Project, Heads)>,
    /// When that was read.
    read_at: Timestamp,
}

impl Forge {
    async fn start(projects: usize) -> Self {
        Self::with(projects, |builder| builder).await
    }

    /// Everything was read.
    async fn with(projects: usize, set: impl FnOnce(SimBuilder) -> SimBuilder) -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-20T10:00:00Z".parse().unwrap()));
        let limits = Limits { gitlab_per_minute: None, ..Limits::default() };
        let builder = Sim::builder().projects(projects).faces([FACE]).limits(limits).running(0);
        let sim = set(builder.clock(Arc::clone(&clock) as Arc<dyn forge_sim::Clock>)).start().await.unwrap();
        let gitlab = source(&settings(&format!("{}/below/a/prefix/", sim.gitlab_url()), Some(sim.token())));
        let read_at = forge_sim::Clock::now(&*clock);
        let mut forge = Self { sim, clock, gitlab, known: BTreeMap::new(), read_at };
        forge.pass(SignedDuration::from_hours(3));
        let mut page = None;
        loop {
            let listed = forge.gitlab.projects(page).await.unwrap();
            for project in listed.items.into_iter().filter(|p| !p.archived && !p.ci_disabled) {
                forge.known.insert(project.key.clone(), (project, Heads::default()));
            }
            page = listed.next;
            if page.is_none() {
                break;
            }
        }
        forge.ask(true).await;
        // What details older pipelines have is of no concern here, and takes many readings.
        for run in forge.known.values_mut().flat_map(|(_, heads)| &mut heads.pipelines) {
            run.completeness = Completeness::Full;
        }
        forge.sim.requests().clear();
        forge
    }

    fn pass(&self, time: SignedDuration) {
        let now = self.clock.advance(time);
        self.sim.world().with(|w| w.advance_to(now));
    }

    fn asks(&self, full: bool) -> Vec<HeadsAsk> {
        let known = self.known.values();
        let known_at = Some(self.read_at);
        known.map(|(project, heads)| HeadsAsk { full, known_at, ..again(project, heads) }).collect()
    }

    /// Asks about all, and about what moved again, in full, as the schedule does.
    async fn ask(&mut self, full: bool) -> BTreeMap<ProjectKey, Heads> {
        let mut out = self.take(self.asks(full)).await;
        assert_eq!(out.len(), self.known.len(), "one answer to each question");
        self.read_at = forge_sim::Clock::now(&*self.clock);
        let moved = |key: &ProjectKey| out.get(key).is_some_and(|h| h.extent == Extent::Moved);
        let again = self.asks(true).into_iter().filter(|ask| moved(&ask.project.key)).collect();
        out.extend(self.take(again).await);
        out
    }

    /// Takes answers over as the board does.
    async fn take(&mut self, asks: Vec<HeadsAsk>) -> BTreeMap<ProjectKey, Heads> {
        let answers: Vec<_> = self.gitlab.branch_heads(asks).collect().await;
        let mut out = BTreeMap::new();
        for (key, heads) in answers {
            let heads = heads.unwrap();
            let (project, known) = self.known.get_mut(&key).unwrap();
            if heads.last_activity_at.is_some() {
                project.last_activity_at = heads.last_activity_at;
            }
            if heads.default_branch.is_some() {
                known.default_branch.clone_from(&heads.default_branch);
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

    /// A green project: its world id, key and default branch.
    fn green(&self, nth: usize) -> (forge_sim::ProjectId, ProjectKey, Arc<str>) {
        self.sim.world().with(|w| {
            let mut green = w.projects_of(FACE).filter(|p| p.member && p.shape == Shape::Green);
            let project = green.nth(nth).unwrap();
            let key = self.known.keys().find(|k| k.id.as_str() == project.native_id.to_string()).unwrap();
            (project.id, key.clone(), project.default_branch.clone().unwrap())
        })
    }

    fn run(&self, key: &ProjectKey, id: u64) -> Option<&Pipeline> {
        self.known[key].1.pipelines.iter().find(|run| run.id == RunId::from(id))
    }

    /// Questions and other requests since the last look.
    fn spent(&self) -> (usize, Vec<String>) {
        let all = self.sim.requests().all();
        self.sim.requests().clear();
        let (questions, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|r| r.template == ENDPOINT);
        (questions.len(), others.into_iter().map(|r| r.path).collect())
    }
}

#[tokio::test]
async fn nothing_moved_is_a_question_for_a_hundred_projects() {
    let mut forge = Forge::start(108).await;
    let projects = forge.known.len();
    assert!((101..=108).contains(&projects), "{projects}");
    let answers = forge.ask(false).await;
    assert!(answers.values().all(|h| h.extent == Extent::News && h.pipelines.is_empty()), "nothing moved");
    let (questions, others) = forge.spent();
    assert_eq!((questions, others), (2, Vec::new()));
    assert_eq!(forge.gitlab.batching().unwrap().per_request, 100, "and none was too complex");
}

#[tokio::test]
async fn a_pipeline_is_followed_from_start_to_end() {
    let mut forge = Forge::start(16).await;
    let (id, key, main) = forge.green(0);
    let run = forge.sim.world().with(|w| {
        w.push_commit(id, &main, World::person("lee"), "Move").unwrap();
        w.start_pipeline(id, &main, 0, false).unwrap()
    });
    let answers = forge.ask(false).await;
    assert!(answers.values().all(|h| h.extent == Extent::News), "a new one is told as well");
    assert!(forge.run(&key, run).unwrap().status.is_active());
    let head = forge.known[&key].1.default_branch.clone().unwrap();
    assert_eq!(head.message.as_deref().map(str::trim), Some("Move"));
    assert_eq!(forge.spent(), (1, Vec::new()), "one question and nothing else");

    // REST tells the same of it as GraphQL did.
    let told = forge.run(&key, run).unwrap().clone();
    forge.ask(true).await;
    let read = forge.run(&key, run).unwrap();
    assert_eq!(
        (&told.number, &told.workflow, &told.event, &told.sha, &told.branch, &told.author, &told.url),
        (&read.number, &read.workflow, &read.event, &read.sha, &read.branch, &read.author, &read.url),
    );
    assert_eq!(told.message.as_deref().map(str::trim), read.message.as_deref().map(str::trim));
    forge.spent();

    // It goes on: told at once, for nothing but the question.
    forge.pass(SignedDuration::from_secs(45));
    let now = forge.sim.world().with(|w| w.get(id).unwrap().pipeline(run).unwrap().status);
    assert_eq!(now, RunStatus::Running, "the world has moved it on");
    forge.ask(false).await;
    assert_eq!(forge.run(&key, run).unwrap().status, Status::Running);
    assert_eq!(forge.spent(), (1, Vec::new()));

    // It passes: told as well.
    forge.sim.world().with(|w| w.finish_pipeline(id, run, RunStatus::Success).unwrap());
    let warned = forge.sim.world().with(|w| w.get(id).unwrap().pipeline(run).unwrap().warnings);
    let answers = forge.ask(false).await;
    let green = forge.run(&key, run).unwrap();
    assert!(green.status.is_green() && green.finished_at.is_some(), "{green:?}");
    assert_eq!(answers[&key].extent, Extent::News);
    assert_eq!(forge.spent().1.len(), usize::from(warned), "what failed though it may");
    assert!(green.duration.is_some() && green.message.is_some(), "{green:?}");

    // Another one fails: its failed jobs are asked for.
    forge.pass(SignedDuration::from_secs(90));
    let second = forge.sim.world().with(|w| w.start_pipeline(id, &main, 0, false).unwrap());
    forge.ask(false).await;
    forge.pass(SignedDuration::from_secs(30));
    forge.sim.world().with(|w| w.finish_pipeline(id, second, RunStatus::Failed).unwrap());
    forge.spent();
    let answers = forge.ask(false).await;
    assert_eq!(answers[&key].extent, Extent::News);
    let red = forge.run(&key, second).unwrap();
    assert_eq!((red.status, red.completeness), (Status::Failed, Completeness::Full));
    assert!(red.failure.is_some() && red.duration.is_some(), "{red:?}");
    let jobs = format!("/pipelines/{second}/jobs");
    let (questions, others) = forge.spent();
    assert!(questions == 1 && others.len() == 1 && others[0].contains(&jobs), "{questions}, {others:?}");
}

#[tokio::test]
async fn what_a_webhook_told_is_completed_by_the_question_alone() {
    let mut forge = Forge::start(16).await;
    let (id, key, main) = forge.green(0);
    // So long that the push is activity which GitLab writes down.
    forge.pass(SignedDuration::from_hours(2));
    forge.ask(false).await;
    forge.spent();
    forge.pass(SignedDuration::from_secs(30));
    let run = forge.sim.world().with(|w| {
        w.push_commit(id, &main, World::person("lee"), "Move").unwrap();
        w.start_pipeline(id, &main, 0, false).unwrap()
    });
    // The webhook: its state, its commit's hash, and what the list tells.
    let told = forge.gitlab.pipeline(&forge.known[&key].0, &RunId::from(run)).await.unwrap().pipeline;
    let told = Pipeline { completeness: Completeness::Row, started_at: None, queued: None, ..told };
    forge.known.get_mut(&key).unwrap().1.pipelines.insert(0, told);
    forge.spent();
    forge.ask(false).await;
    let head = forge.known[&key].1.default_branch.clone().unwrap();
    assert_eq!(head.message.as_deref().map(str::trim), Some("Move"));
    assert_eq!(forge.spent(), (1, Vec::new()), "neither the branch nor anything else");

    // A commit that starts none, and then the pipeline before it ends: the branch does not go back.
    forge.pass(SignedDuration::from_hours(2));
    forge.sim.world().with(|w| w.push_commit(id, &main, World::person("lee"), "Quietly").map(drop).unwrap());
    forge.ask(false).await;
    let (_, others) = forge.spent();
    assert!(others.iter().any(|path| path.contains("/repository/branches/")), "{others:?}");
    forge.sim.world().with(|w| w.retry(id, run).unwrap());
    forge.ask(false).await;
    let head = forge.known[&key].1.default_branch.clone().unwrap();
    assert_eq!(head.message.as_deref().map(str::trim), Some("Quietly"));

    // It failed, as a webhook told as well: what failed is one request.
    forge.sim.world().with(|w| w.finish_pipeline(id, run, RunStatus::Failed).unwrap());
    let told = forge.gitlab.pipeline(&forge.known[&key].0, &RunId::from(run)).await.unwrap().pipeline;
    let told = Pipeline { completeness: Completeness::Row, failure: None, ..told };
    let known = &mut forge.known.get_mut(&key).unwrap().1.pipelines;
    known.retain(|known| known.id != told.id);
    known.insert(0, told);
    forge.spent();
    let answers = forge.ask(false).await;
    assert_eq!(answers[&key].extent, Extent::News);
    assert!(forge.run(&key, run).unwrap().failure.is_some());
    assert_eq!(forge.spent().1.len(), 1, "its failed jobs");
}

#[tokio::test]
async fn what_was_never_seen_is_told_at_a_glance() {
    let mut forge = Forge::start(108).await;
    for (_, heads) in forge.known.values_mut() {
        *heads = Heads::default();
    }
    let asks = forge.asks(false).into_iter().map(|ask| HeadsAsk { known_at: None, known_head: None, ..ask });
    let answers = forge.take(asks.collect()).await;
    assert_eq!(forge.spent(), (2, Vec::new()), "two questions about {} projects", answers.len());
    for (key, heads) in &answers {
        let (newest, default) = forge.sim.world().with(|w| {
            let project = w.projects_of(FACE).find(|p| p.native_id.to_string() == key.id.as_str()).unwrap();
            let newest: Vec<_> =
                project.pipelines().iter().rev().take(20).map(|run| RunId::from(run.id)).collect();
            (newest, project.default_branch.clone())
        });
        let told: Vec<_> = heads.pipelines.iter().map(|run| run.id.clone()).collect();
        assert_eq!(told, newest, "{key}");
        let has_main = heads.pipelines.iter().any(|run| run.branch.as_deref() == default.as_deref());
        assert_eq!(heads.default_branch.is_some(), has_main, "{key}");
        assert!(heads.extent == Extent::Moved || !told.is_empty(), "{key}");
        assert!(heads.pipelines.iter().all(|run| run.author.is_some() && run.message.is_some()), "{key}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_know_every_field_is_asked_plainly() {
    let server = wiremock::MockServer::start().await;
    let posts = |plain: bool| {
        let there = wiremock::matchers::body_string_contains("queuedDuration");
        let new = wiremock::matchers::body_string_contains("authorName");
        let of = wiremock::Mock::given(wiremock::matchers::method("POST")).and(there);
        if plain { of } else { of.and(new) }
    };
    let complaint =
        serde_json::json!({ "errors": [{ "message": "Field 'source' doesn't exist on type 'Pipeline'" }] });
    posts(false)
        .respond_with(wiremock::ResponseTemplate::new(200).set_body_json(complaint))
        .expect(1)
        .mount(&server)
        .await;
    let node = |id: u64| {
        serde_json::json!({
            "id": format!("gid://gitlab/Project/{id}"), "lastActivityAt": null,
            "pipelines": { "pageInfo": { "hasNextPage": false }, "nodes": [{
                "id": format!("gid://gitlab/Ci::Pipeline/{id}"), "status": "SUCCESS", "updatedAt": "2026-11-20T10:00:00Z",
                "warnings": false,
            }] },
        })
    };
    let rows = serde_json::json!({ "data": { "projects": { "nodes": [node(1), node(2)] } } });
    let answer = wiremock::ResponseTemplate::new(200).set_body_json(rows);
    posts(true).respond_with(answer).expect(2).with_priority(9).mount(&server).await;
    let gitlab = source(&settings(&format!("{}/", server.uri()), Some("token")));
    let asks = || {
        let of = |id: u64| {
            let project = Project::named(
                format!("gl:{id}").parse().unwrap(),
                gitlab.descriptor().id,
                format!("a/{id}"),
            );
            let mut running = Pipeline::new(RunId::from(id), Status::Running, "running");
            running.completeness = Completeness::Full;
            let known_at = "2026-11-20T10:00:00Z".parse().ok();
            let known = if id == 1 { vec![Arc::new(running)] } else { Vec::new() };
            HeadsAsk { full: false, known_at, known, ..HeadsAsk::about(Arc::new(project)) }
        };
        [1, 2].map(of).to_vec()
    };
    for _ in 0..2 {
        let answers: BTreeMap<_, _> = gitlab.branch_heads(asks()).collect().await;
        let extents: Vec<_> = answers.into_values().map(|heads| heads.unwrap()).collect();
        assert_eq!(extents[0].extent, Extent::News, "what is known of is told");
        assert_eq!(extents[0].pipelines[0].status, Status::Success);
        assert_eq!(extents[1].extent, Extent::Moved, "a new one is read");
    }
    assert!(!gitlab.batching().unwrap().glances);
}

#[tokio::test]
async fn an_old_pipeline_that_is_started_over_is_found() {
    let mut forge = Forge::start(16).await;
    let (id, key, _) = forge.green(1);
    let failed = forge.sim.world().with(|w| {
        let project = w.get(id).unwrap();
        project.pipelines().iter().rev().find(|r| r.status == RunStatus::Failed).map(|r| r.id)
    });
    let run = failed.unwrap();
    assert!(!forge.run(&key, run).unwrap().status.is_active());
    forge.sim.world().with(|w| w.retry(id, run).unwrap());
    forge.ask(false).await;
    assert!(forge.run(&key, run).unwrap().status.is_active(), "by when it was updated, whatever its age");
}

#[tokio::test]
async fn a_commit_without_a_pipeline_is_found_by_the_projects_activity() {
    let mut forge = Forge::start(16).await;
    let (id, key, main) = forge.green(2);
    forge.pass(SignedDuration::from_hours(2));
    forge.ask(false).await;
    forge.sim.world().with(|w| w.push_commit(id, &main, World::person("lee"), "Quietly").map(drop).unwrap());
    forge.spent();
    let answers = forge.ask(false).await;
    assert_eq!(answers[&key].extent, Extent::News);
    let head = forge.known[&key].1.default_branch.clone().unwrap();
    assert_eq!(head.message.as_deref().map(str::trim), Some("Quietly"));
    assert_eq!(forge.spent().1.len(), 1, "its branch, and nothing else");
    assert!(forge.ask(false).await.values().all(|h| h.default_branch.is_none()));
}

#[tokio::test]
async fn without_graphql_rest_is_asked_and_that_is_remembered() {
    let mut forge = Forge::with(12, SimBuilder::without_graphql).await;
    assert!(forge.gitlab.batching().is_none(), "it was asked once, and that is remembered");
    let answers = forge.ask(false).await;
    assert!(answers.values().all(|h| h.extent == Extent::Whole));
    assert!(forge.sim.requests().all().iter().all(|r| r.method == "GET"), "and not again");
}

#[tokio::test]
async fn a_question_that_takes_too_long_is_halved_and_one_that_is_gone_spoils_no_other() {
    let mut forge = Forge::start(16).await;
    forge.ask(false).await;
    let (id, gone, _) = forge.green(3);
    forge.sim.faults().add(Fault::on("*graphql", Effect::Status(502)).face(FACE).times(1));
    let answers = forge.ask(false).await;
    assert!(answers.values().all(|h| h.extent == Extent::News), "all are told");
    assert!(forge.gitlab.batching().unwrap().per_request < 16);
    forge.sim.world().with(|w| w.delete_project(id).unwrap());
    let answers: Vec<_> = forge.gitlab.branch_heads(forge.asks(false)).collect().await;
    for (of, heads) in answers {
        match heads {
            Ok(heads) if of == gone => assert_eq!(heads.extent, Extent::Moved),
            heads => assert_eq!(heads.unwrap().extent, Extent::News, "{of}"),
        }
    }
}

#[tokio::test]
async fn the_listing_tells_what_moved() {
    let forge = Forge::start(16).await;
    let (id, key, main) = forge.green(4);
    forge.pass(SignedDuration::from_hours(5));
    let since = forge_sim::Clock::now(&*forge.clock);
    forge.sim.world().with(|w| w.push_commit(id, &main, World::person("lee"), "Move").map(drop).unwrap());
    forge.spent();
    let moved = forge.gitlab.moved_since(since).await.unwrap().unwrap();
    assert!(moved.complete);
    assert_eq!(moved.items.first().map(|p| &p.key), Some(&key));
    assert_eq!(forge.spent().1.len(), 1);
}
