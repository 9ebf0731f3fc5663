//! The connector against a simulated Bitbucket, Cloud and Data Center, whose truth is known.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connector::{Connector, Error, Heads, HeadsAsk, PipelineQuery};
use domain::{
    Clock, Completeness, JobId, ManualClock, Pipeline, ProblemKind, Project, ProjectKey, RunId, Status,
    Timestamp,
};
use forge_sim::bitbucket::{self, run_uuid, step_uuid};
use forge_sim::bitbucket_dc::{self, build_key};
use forge_sim::world::{self, FaceId, Project as Truth, Shape};
use forge_sim::{EXPIRED_TOKEN, Effect, Fault, NARROW_TOKEN, RunStatus, Sim};
use futures::StreamExt;
use jiff::SignedDuration;
use support::{again, ask, heads, projects};

struct Forge {
    face: FaceId,
    sim: Sim,
    clock: Arc<ManualClock>,
    sim_clock: Arc<forge_sim::ManualClock>,
    bitbucket: Arc<dyn Connector>,
}

impl Forge {
    async fn start(face: FaceId, count: usize) -> Self {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let sim_clock = Arc::new(forge_sim::ManualClock::new(now));
        let builder = Sim::builder().seed(11).projects(count).faces([face]);
        let sim = builder.clock(Arc::clone(&sim_clock) as Arc<dyn forge_sim::Clock>).start().await.unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let bitbucket = source(&sim, face, sim.token(), &clock);
        Self { face, sim, clock, sim_clock, bitbucket }
    }

    fn pass(&self, time: SignedDuration) {
        self.clock.advance(time);
        let now = self.sim_clock.advance(time);
        self.sim.world().with(|w| w.advance_to(now));
    }

    async fn heads(&self, asks: Vec<HeadsAsk>) -> BTreeMap<ProjectKey, Heads> {
        let answers: Vec<_> = self.bitbucket.branch_heads(asks).collect().await;
        answers.into_iter().map(|(key, heads)| (key, heads.unwrap())).collect()
    }

    fn truth<R>(&self, name: &str, look: impl FnOnce(&Truth) -> R) -> R {
        self.sim.world().with(|w| look(w.find(self.face, name).unwrap()))
    }

    fn shaped(&self, fits: impl Fn(Shape) -> bool) -> String {
        self.sim.world().with(|w| w.projects_of(self.face).find(|p| fits(p.shape)).unwrap().full_path())
    }

    /// What was asked since the last time.
    fn asked(&self) -> Vec<String> {
        let all = self.sim.requests().all();
        self.sim.requests().clear();
        all.into_iter().map(|r| format!("{} {}", r.method, r.path)).collect()
    }
}

fn source(sim: &Sim, face: FaceId, token: &str, clock: &Arc<ManualClock>) -> Arc<dyn Connector> {
    let url =
        if face == bitbucket::FACE { sim.bitbucket_url() } else { format!("{}/context", sim.url(face)) };
    let mut settings = support::settings(&url);
    settings.token = Some(config::Secret::new(token, config::SecretFrom::Settings));
    support::source(&settings, Arc::clone(clock) as Arc<dyn Clock>)
}

fn seconds(at: Timestamp) -> i64 {
    at.as_second()
}

fn expected(run: &world::Pipeline) -> Status {
    match run.status {
        RunStatus::Created | RunStatus::Queued => Status::Queued,
        RunStatus::Running => Status::Running,
        RunStatus::Success => Status::Success,
        RunStatus::Failed => Status::Failed,
        RunStatus::Canceled => Status::Canceled,
        RunStatus::Skipped => Status::Skipped,
        RunStatus::Manual => Status::Manual,
    }
}

fn same(ours: &Pipeline, truth: &Truth, run: &world::Pipeline) {
    let name = truth.full_path();
    assert_eq!(ours.id.as_str(), run_uuid(run.id), "{name}");
    assert_eq!(ours.status, expected(run), "{name} {}", ours.id);
    assert_eq!(ours.branch.as_deref(), Some(&*run.branch));
    assert_eq!(ours.sha.as_deref(), Some(&*run.sha));
    assert_eq!(ours.attempt, Some(run.attempt));
    assert_eq!(ours.number, Some(u64::from(run.number)));
    assert_eq!(ours.created_at.map(seconds), Some(seconds(run.created_at)));
    assert_eq!(ours.finished_at.is_some(), run.status.is_terminal(), "{name} {}", ours.id);
    let url = ours.url.as_ref().unwrap().as_str();
    assert!(url.ends_with(&format!("/{name}/pipelines/results/{}", run.number)), "{url}");
}

#[tokio::test]
async fn cloud_and_data_center_are_told_by_one_answer() {
    for face in [bitbucket::FACE, bitbucket_dc::FACE] {
        let forge = Forge::start(face, 40).await;
        let listed: Vec<String> = projects(&*forge.bitbucket).await.into_iter().map(|p| p.name).collect();
        let truth: BTreeSet<String> = forge
            .sim
            .world()
            .with(|w| w.projects_of(face).filter(|p| p.member).map(Truth::full_path).collect());
        let names: BTreeSet<String> = listed.iter().cloned().collect();
        assert_eq!((names.len(), &names), (listed.len(), &truth), "{face}");
        let probes = forge.asked().iter().filter(|path| path.contains("application-properties")).count();
        assert_eq!(probes, 1, "{face}");
        projects(&*forge.bitbucket).await;
        let asked = forge.asked();
        assert!(asked.iter().all(|path| !path.contains("application-properties")), "{asked:?}");
        let lists = forge.bitbucket.traffic().endpoints.iter().map(|e| e.requests).sum::<u64>();
        assert!(lists > 0, "traffic is counted");
        let archived = forge.shaped(|s| s == Shape::Archived);
        if face == bitbucket_dc::FACE {
            assert!(forge.bitbucket.project(&archived).await.unwrap().archived);
            // Its default branches were asked for once.
            assert_eq!(asked.len(), 1, "{asked:?}");
        }
    }
}

#[tokio::test]
async fn which_of_the_two_is_asked_again_when_nobody_answered() {
    let forge = Forge::start(bitbucket::FACE, 8).await;
    forge.sim.faults().add(Fault::on("*application-properties", Effect::Status(500)).times(3));
    assert!(matches!(forge.bitbucket.projects(None).await, Err(Error::Server(_))));
    assert!(!projects(&*forge.bitbucket).await.is_empty());
    let login = Forge::start(bitbucket_dc::FACE, 8).await;
    login.sim.faults().add(Fault::on("*application-properties", Effect::LoginPage));
    let Err(Error::Garbage(text)) = login.bitbucket.projects(None).await else { panic!("let in") };
    assert!(text.contains("source bb") && text.contains("HTML page"), "{text}");
}

#[tokio::test]
async fn the_state_of_every_repository_is_the_worlds() {
    let forge = Forge::start(bitbucket::FACE, 40).await;
    let listed = projects(&*forge.bitbucket).await;
    let heads = forge.heads(listed.iter().map(ask).collect()).await;
    let mut reasons = 0;
    for project in &listed {
        let heads = &heads[&project.key];
        forge.truth(&project.name, |truth| {
            if truth.shape == Shape::CiDisabled {
                assert_eq!(heads.problems[0].kind, ProblemKind::NoCi);
                return assert_eq!(heads.pipelines, []);
            }
            assert_eq!(heads.total_runs, u64::try_from(truth.pipelines().len()).ok());
            for (ours, run) in
                heads.pipelines.iter().zip(truth.pipelines().iter().rev().take(Heads::MAX_RUNS))
            {
                same(ours, truth, run);
            }
            match truth.default_branch.as_deref().and_then(|b| truth.branch(b)) {
                Some(branch) => {
                    let ours = heads.default_branch.as_ref().unwrap();
                    assert_eq!(
                        (ours.name.as_str(), ours.sha.as_deref()),
                        (&*branch.name, Some(&*branch.head))
                    );
                    let commit = truth.commit(&branch.head).unwrap();
                    assert_eq!(ours.author.as_ref().unwrap().name, commit.author.person().name);
                    assert_eq!(heads.problems, [], "{}", project.name);
                }
                None => assert_eq!(heads.problems[0].kind, ProblemKind::Empty, "{}", project.name),
            }
            let Some(main) = truth.default_branch.as_deref() else { return };
            let Some(run) = truth.newest_outcome(main, 0).filter(|r| r.status == RunStatus::Failed) else {
                return;
            };
            let ours = heads.pipelines.iter().find(|p| p.id.as_str() == run_uuid(run.id)).unwrap();
            assert_eq!(ours.completeness, Completeness::Full);
            let failure = ours.failure.as_deref().unwrap();
            assert!(failure.contains(&*run.failure.as_ref().unwrap().job), "{failure}");
            reasons += 1;
        });
    }
    assert!(reasons > 0, "the world holds a broken repository");
}

#[tokio::test]
async fn nothing_new_is_one_request_for_each_repository() {
    let forge = Forge::start(bitbucket::FACE, 24).await;
    let listed = projects(&*forge.bitbucket).await;
    let first = forge.heads(listed.iter().map(ask).collect()).await;
    let asks: Vec<_> = listed.iter().map(|p| again(p, &first[&p.key])).collect();
    forge.asked();
    let second = forge.heads(asks).await;
    let asked = forge.asked();
    assert_eq!(asked.len(), listed.len(), "{asked:#?}");
    for (key, heads) in &second {
        assert!(heads.pipelines == first[key].pipelines, "{key}");
        assert_eq!(heads.default_branch, first[key].default_branch, "{key}");
    }
    assert!(asked.iter().all(|path| path.contains("fields=") && path.contains("pagelen=100")), "{asked:?}");
}

#[tokio::test]
async fn what_moves_in_the_world_moves_in_the_answers() {
    let forge = Forge::start(bitbucket::FACE, 20).await;
    let name = forge.shaped(|s| s == Shape::Green);
    let project = forge.bitbucket.project(&name).await.unwrap();
    let main = project.default_branch.clone().unwrap();
    let first = heads(&*forge.bitbucket, ask(&project)).await.unwrap();
    let id = forge.truth(&name, |t| t.id);
    forge.pass(SignedDuration::from_mins(5));
    let (sha, run) = forge.sim.world().with(|w| {
        let sha = w.push_commit(id, &main, forge_sim::World::person("lee"), "Break everything").unwrap();
        (sha, w.start_pipeline(id, &main, 0, true).unwrap())
    });
    let find =
        |heads: &Heads| heads.pipelines.iter().find(|p| p.id.as_str() == run_uuid(run)).cloned().unwrap();
    // The listing is older than the push: the new run tells of it.
    let second = heads(&*forge.bitbucket, again(&project, &first)).await.unwrap();
    assert_eq!(second.default_branch.as_ref().unwrap().sha.as_deref(), Some(&*sha));
    let running = find(&second);
    assert!(running.status.is_active());
    assert_eq!(running.message.as_deref().map(str::trim), Some("Break everything"));

    forge.pass(SignedDuration::from_mins(2));
    forge.sim.world().with(|w| w.finish_pipeline(id, run, RunStatus::Failed).unwrap());
    let third = heads(&*forge.bitbucket, again(&project, &second)).await.unwrap();
    let failed = find(&third);
    assert_eq!((failed.status, failed.completeness), (Status::Failed, Completeness::Full));
    assert!(failed.failure.is_some());

    forge.pass(SignedDuration::from_mins(1));
    let actions = forge.bitbucket.actions().unwrap();
    actions.retry(&project, &failed.id).await.unwrap();
    let fourth = heads(&*forge.bitbucket, again(&project, &third)).await.unwrap();
    let newest = &fourth.pipelines[0];
    assert_ne!(newest.id, failed.id, "a further pipeline");
    assert_eq!((newest.sha.as_deref(), newest.event.as_deref()), (Some(&*sha), Some("manual")));
    assert_eq!(newest.workflow, failed.workflow);
    assert!(matches!(actions.retry(&project, &newest.id).await, Err(Error::Refused(_))), "it has not ended");
    actions.cancel(&project, &newest.id).await.unwrap();
    assert!(matches!(actions.cancel(&project, &newest.id).await, Err(Error::Refused(_))));
    let fifth = heads(&*forge.bitbucket, again(&project, &fourth)).await.unwrap();
    assert_eq!(fifth.pipelines[0].status, Status::Canceled);

    forge.sim.world().with(|w| w.rename_project(id, "acme-two/renamed").unwrap());
    assert_eq!(forge.bitbucket.project(&name).await.unwrap().key.id.as_str(), "acme-two/renamed");
    forge.sim.world().with(|w| w.delete_project(id).unwrap());
    assert!(matches!(forge.bitbucket.project("acme-two/renamed").await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn a_failed_pipeline_comes_with_steps_and_log() {
    let forge = Forge::start(bitbucket::FACE, 40).await;
    let name = forge.shaped(|s| matches!(s, Shape::Broken { .. }));
    let project = forge.bitbucket.project(&name).await.unwrap();
    let (run, jobs, failure) = forge.truth(&name, |truth| {
        let main = truth.default_branch.as_deref().unwrap();
        let run = truth.newest_outcome(main, 0).unwrap();
        let jobs: Vec<_> = truth.jobs(run).iter().filter(|j| !j.retried).cloned().collect();
        (run.id, jobs, run.failure.clone().unwrap())
    });
    let id = RunId::new(run_uuid(run));
    // Without braces, as people copy it.
    let bare = RunId::new(run_uuid(run).trim_matches(['{', '}']));
    let detail = forge.bitbucket.pipeline(&project, &bare).await.unwrap();
    assert_eq!((detail.pipeline.id.clone(), detail.problems), (id.clone(), Vec::new()));
    assert_eq!((detail.pipeline.status, detail.pipeline.completeness), (Status::Failed, Completeness::Full));
    assert_eq!(detail.jobs.len(), jobs.len());
    for (ours, truth) in detail.jobs.iter().zip(&jobs) {
        assert_eq!((ours.id.clone(), &*ours.name), (JobId::new(step_uuid(truth.id)), &*truth.name));
        assert_eq!(ours.started_at.map(seconds), truth.started_at.map(seconds), "{}", ours.name);
    }
    let failed = detail.jobs.iter().find(|j| j.status == Status::Failed).unwrap();
    let log = forge.bitbucket.log(&project, &id, &failed.id, 64 * 1024).await.unwrap();
    assert!(log.text.contains(failure.summary), "{}", log.text);
    let short = forge.bitbucket.log(&project, &id, &failed.id, 200).await.unwrap();
    assert!(short.truncated && short.text.len() <= 200 && log.text.ends_with(&short.text));
    let skipped = detail.jobs.iter().find(|j| j.status == Status::Skipped);
    if let Some(skipped) = skipped {
        let log = forge.bitbucket.log(&project, &id, &skipped.id, 200).await.unwrap();
        assert_eq!(log.note.as_deref(), Some("no log: the step never ran"));
    }
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let forge = Forge::start(bitbucket::FACE, 20).await;
    let name = forge.shaped(|s| s == Shape::Green);
    let project = forge.bitbucket.project(&name).await.unwrap();
    let main = project.default_branch.clone().unwrap();
    let query = PipelineQuery { branch: None, since: None, until: None, limit: 10_000 };
    let all = forge.bitbucket.pipelines(&project, &query).await.unwrap();
    let branch = PipelineQuery { branch: Some(main.clone()), ..query.clone() };
    let of_main = forge.bitbucket.pipelines(&project, &branch).await.unwrap();
    let since = all.items[all.items.len() / 2].created_at;
    let newer = forge.bitbucket.pipelines(&project, &PipelineQuery { since, ..query.clone() }).await.unwrap();
    assert_eq!(newer.items.len(), all.items.iter().filter(|r| r.created_at >= since).count());
    let some = forge.bitbucket.pipelines(&project, &PipelineQuery { limit: 30, ..query }).await.unwrap();
    assert_eq!((some.items.len(), some.total), (30, u64::try_from(all.items.len()).ok()));
    let latest = forge.bitbucket.latest_pipeline(&project, &main).await.unwrap().unwrap();
    forge.truth(&name, |truth| {
        assert_eq!(all.items.len(), truth.pipelines().len());
        let on_main = truth.pipelines().iter().filter(|r| *r.branch == *main);
        assert_eq!(of_main.items.len(), on_main.clone().count());
        assert_eq!(latest.id.as_str(), run_uuid(on_main.last().unwrap().id));
    });
    let branches = forge.bitbucket.branches(&project, None).await.unwrap();
    let names: BTreeSet<String> = branches.items.into_iter().map(|b| b.name).collect();
    assert_eq!(
        names,
        forge.truth(&name, |t| t.history().branches.iter().map(|b| b.name.to_string()).collect())
    );
}

#[tokio::test]
async fn pull_requests_come_with_their_builds() {
    for face in [bitbucket::FACE, bitbucket_dc::FACE] {
        let forge = Forge::start(face, 30).await;
        let mut built = 0;
        for project in projects(&*forge.bitbucket).await {
            forge.asked();
            let page =
                forge.bitbucket.merge_requests().unwrap().open_merge_requests(&project, None).await.unwrap();
            assert!(forge.asked().len() <= 7, "bounded");
            forge.truth(&project.name, |truth| {
                let open: Vec<_> = truth.history().merge_requests.iter().filter(|m| m.open).collect();
                assert_eq!(page.items.len(), open.len(), "{}", project.name);
                for pull in &page.items {
                    let mr = open.iter().find(|m| u64::from(m.number) == pull.number).unwrap();
                    assert_eq!((pull.title.as_str(), pull.draft), (&*mr.title, mr.draft));
                    assert_eq!(pull.author.as_ref().unwrap().name, mr.author.person().name);
                    assert_eq!(pull.reviewers.len(), mr.reviewers.len());
                    assert_eq!(pull.source_branch, *mr.source_branch);
                    assert!(mr.sha.starts_with(pull.sha.as_deref().unwrap()));
                    if pull.head_status.is_some() {
                        assert_eq!(pull.sha.as_deref(), Some(&*mr.sha), "the whole hash");
                        built += 1;
                    }
                }
            });
        }
        assert!(built > 0, "{face}");
        let who = forge.bitbucket.current_user().unwrap().current_user().await.unwrap().unwrap();
        assert_eq!((who.name.as_str(), who.login.as_deref()), ("Mira Lindqvist", Some("mira")));
    }
    let forge = Forge::start(bitbucket::FACE, 20).await;
    let name = forge.shaped(|s| s == Shape::Green);
    let project = forge.bitbucket.project(&name).await.unwrap();
    let open = forge.truth(&name, |t| t.history().issues.iter().filter(|i| i.open).count());
    let issues = forge.bitbucket.issues().unwrap().open_issues(&project, None).await.unwrap();
    assert_eq!(issues.items.len(), open);
}

#[tokio::test]
async fn tokens_that_will_not_do_are_told_apart() {
    for face in [bitbucket::FACE, bitbucket_dc::FACE] {
        let forge = Forge::start(face, 10).await;
        let narrow = source(&forge.sim, face, NARROW_TOKEN, &forge.clock);
        assert!(matches!(narrow.projects(None).await, Err(Error::Forbidden(_))), "{face}");
        let expired = source(&forge.sim, face, EXPIRED_TOKEN, &forge.clock);
        let Err(Error::Unauthorized(text)) = expired.projects(None).await else { panic!("let in") };
        assert!(!text.contains(EXPIRED_TOKEN) && text.contains("source bb"), "{text}");
    }
}

#[tokio::test]
async fn clouds_limit_is_never_exceeded() {
    let forge = Forge::start(bitbucket::FACE, 8).await;
    let listed = projects(&*forge.bitbucket).await;
    let name = forge.shaped(|s| s == Shape::Green);
    let ask_once = |_| forge.bitbucket.project(&name);
    let answers: Vec<_> = futures::stream::iter(0..1_100).map(ask_once).buffered(20).collect().await;
    let limited = answers.into_iter().find_map(Result::err);
    let Some(Error::RateLimited { until: Some(until) }) = limited else { panic!("{limited:?}") };
    assert!(until > forge.clock.now());
    let requests = forge.sim.requests().all();
    assert!(requests.iter().all(|r| r.status != 429) && requests.len() > 900, "{}", requests.len());
    let budget = forge.bitbucket.budget().unwrap();
    assert!(budget.remaining == 0 && budget.limit <= 1_000, "{budget:?}");
    forge.pass(SignedDuration::from_mins(62));
    assert!(heads(&*forge.bitbucket, ask(&listed[0])).await.is_ok());
}

#[tokio::test]
async fn a_failing_repository_spoils_no_other() {
    let forge = Forge::start(bitbucket::FACE, 12).await;
    let listed = projects(&*forge.bitbucket).await;
    let bad = forge.shaped(|s| s == Shape::Green);
    forge.sim.faults().add(Fault::on(&format!("*{bad}/pipelines*"), Effect::InvalidJson));
    let answers: Vec<_> = forge.bitbucket.branch_heads(listed.iter().map(ask).collect()).collect().await;
    assert_eq!(answers.len(), listed.len());
    for (key, answer) in answers {
        assert_eq!(answer.is_err(), key.id.as_str() == bad, "{key}");
    }
}

/// The builds of the branches' newest commits are what the world ran last there.
fn same_builds(heads: &Heads, truth: &Truth) {
    for ours in &heads.pipelines {
        let (sha, key) = ours.id.as_str().split_once(':').unwrap();
        let run =
            truth.pipelines().iter().rev().find(|r| *r.sha == *sha && build_key(truth, r) == key).unwrap();
        let want = match run.status {
            RunStatus::Created | RunStatus::Queued | RunStatus::Manual => Status::Running,
            RunStatus::Skipped => Status::Unknown,
            _ => expected(run),
        };
        assert_eq!(ours.status, want, "{}", ours.id);
        assert_eq!((ours.sha.as_deref(), ours.workflow.lane.as_str()), (Some(sha), key));
        assert!(ours.url.as_ref().unwrap().as_str().starts_with("https://ci.example.invalid/"));
    }
}

#[tokio::test]
async fn data_centers_builds_are_its_pipelines() {
    let forge = Forge::start(bitbucket_dc::FACE, 40).await;
    let listed = projects(&*forge.bitbucket).await;
    let first = forge.heads(listed.iter().map(ask).collect()).await;
    let mut with_runs = 0;
    for project in &listed {
        let heads = &first[&project.key];
        forge.truth(&project.name, |truth| {
            assert_eq!(project.default_branch.as_deref(), truth.default_branch.as_deref());
            same_builds(heads, truth);
            match truth.default_branch.as_deref().and_then(|b| truth.branch(b)) {
                None => assert_eq!(heads.problems[0].kind, ProblemKind::Empty),
                Some(branch) => {
                    let head = heads.default_branch.as_ref().unwrap();
                    assert_eq!((head.sha.as_deref(), head.default), (Some(&*branch.head), true));
                    let commit = truth.commit(&branch.head).unwrap();
                    assert_eq!(head.author.as_ref().unwrap().name, commit.author.person().name);
                    let built = truth.pipelines().iter().any(|r| r.sha == branch.head);
                    let ours = heads.pipelines.iter().any(|r| r.sha == head.sha);
                    assert_eq!(ours, built, "{}", project.name);
                    with_runs += usize::from(built);
                }
            }
        });
    }
    assert!(with_runs > 10);

    // At rest: one request for each repository, and one for up to a hundred commits; running builds are read again.
    let asks: Vec<_> = listed.iter().map(|p| again(p, &first[&p.key])).collect();
    forge.asked();
    let second = forge.heads(asks).await;
    let asked = forge.asked();
    let running = first.values().flat_map(|h| &h.pipelines).filter(|r| r.status == Status::Running);
    let running: BTreeSet<_> = running.map(|r| r.sha.clone()).collect();
    let commits: BTreeSet<String> = forge.sim.world().with(|w| {
        w.projects_of(forge.face)
            .flat_map(|p| p.history().branches.iter().map(|b| b.head.to_string()))
            .collect()
    });
    let counted = asked.iter().filter(|path| path.starts_with("POST")).count();
    assert!(counted <= commits.len().div_ceil(100) + 2, "{counted}");
    assert_eq!(asked.len(), listed.len() + counted + running.len(), "{asked:#?}");
    for (key, heads) in &second {
        assert!(heads.pipelines == first[key].pipelines, "{key}");
    }
}

#[tokio::test]
async fn data_centers_builds_move() {
    let forge = Forge::start(bitbucket_dc::FACE, 20).await;
    let name = forge.shaped(|s| s == Shape::Green);
    let project = forge.bitbucket.project(&name).await.unwrap();
    let main = project.default_branch.clone().unwrap();
    let first = heads(&*forge.bitbucket, ask(&project)).await.unwrap();
    let id = forge.truth(&name, |t| t.id);
    forge.pass(SignedDuration::from_mins(5));
    let (sha, run) = forge.sim.world().with(|w| {
        let sha = w.push_commit(id, &main, forge_sim::World::person("lee"), "Break everything").unwrap();
        (sha, w.start_pipeline(id, &main, 0, true).unwrap())
    });
    let second = heads(&*forge.bitbucket, again(&project, &first)).await.unwrap();
    let running = second.pipelines.iter().find(|r| r.sha.as_deref() == Some(&*sha)).unwrap();
    assert_eq!((running.status, running.branch.as_deref()), (Status::Running, Some(&*main)));
    assert_eq!(running.message.as_deref(), Some("Break everything"));
    assert!(second.pipelines.len() > first.pipelines.len(), "older commits' builds stay known");
    forge.pass(SignedDuration::from_mins(1));
    forge.sim.world().with(|w| w.finish_pipeline(id, run, RunStatus::Failed).unwrap());
    let third = heads(&*forge.bitbucket, again(&project, &second)).await.unwrap();
    let failed = third.pipelines.iter().find(|r| r.id == running.id).unwrap();
    assert_eq!(failed.status, Status::Failed);
    assert_eq!(failed.created_at, running.created_at, "when it began is remembered");
    assert!(failed.duration.is_some_and(|d| d.as_secs() >= 30), "{:?}", failed.duration);

    let detail = forge.bitbucket.pipeline(&project, &failed.id).await.unwrap();
    assert_eq!((detail.pipeline.status, detail.jobs.len()), (Status::Failed, 1));
    assert_eq!(
        detail.pipeline.number,
        Some(forge.truth(&name, |t| u64::from(t.pipeline(run).unwrap().number)))
    );
    let log = forge.bitbucket.log(&project, &failed.id, &detail.jobs[0].id, 100).await.unwrap();
    assert!(log.note.is_some_and(|n| n.contains("no logs")));
    let latest = forge.bitbucket.latest_pipeline(&project, &main).await.unwrap().unwrap();
    assert_eq!(latest.id, failed.id);
    let query = PipelineQuery { branch: Some(main), since: None, until: None, limit: 5 };
    let some = forge.bitbucket.pipelines(&project, &query).await.unwrap();
    assert_eq!((some.items.len(), &some.items[0].id), (5, &failed.id));
    assert!(forge.bitbucket.actions().is_none() && forge.bitbucket.issues().is_none());
    assert!(matches!(forge.bitbucket.project("NO/such").await, Err(Error::NotFound(_))));
    assert!(matches!(forge.bitbucket.pipeline(&project, &RunId::new("17")).await, Err(Error::NotFound(_))));
    let _: &Project = &project;
}
