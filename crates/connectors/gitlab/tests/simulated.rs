//! Against a simulated GitLab, whose answers are checked against GitLab's own schemas: what the source tells is what the
//! simulated world holds.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use connector::{Connector, Deployed, DeploymentsAsk, Error, Heads, PipelineQuery};
use domain::{Completeness, Pipeline, ProblemKind, Project, RunId, Status, Timestamp, stats::STRIP_RUNS};
use forge_sim::gitlab::FACE;
use forge_sim::world::{self, RunStatus, Shape, Trigger};
use forge_sim::{Effect, Fault, Limits, ManualClock, Sim};
use futures::StreamExt;
use jiff::SignedDuration;
use support::{again, ask, heads, run, settings, source};

/// More refreshes than any project needs to come to rest.
const MANY: usize = 12;

async fn sim(projects: usize) -> (Sim, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new("2026-11-20T10:00:00Z".parse().unwrap()));
    let limits = Limits { gitlab_per_minute: None, gitlab_anonymous_per_minute: None, ..Limits::default() };
    let sim = Sim::builder().projects(projects).faces([FACE]).limits(limits).clock(clock.clone()).running(3);
    (sim.start().await.unwrap(), clock)
}

fn watching(sim: &Sim) -> Arc<dyn Connector> {
    source(&settings(&format!("{}/below/a/prefix/", sim.gitlab_url()), Some(sim.token())))
}

async fn all_projects(source: &dyn Connector) -> Vec<Project> {
    let (mut all, mut page) = (Vec::new(), None);
    loop {
        let listed = source.projects(page).await.unwrap();
        all.extend(listed.items);
        page = listed.next;
        if page.is_none() {
            return all;
        }
    }
}

/// What GitLab would say of a run, in our words.
fn status(run: &world::Pipeline) -> Status {
    match run.status {
        RunStatus::Created | RunStatus::Queued => Status::Queued,
        RunStatus::Running => Status::Running,
        RunStatus::Success if run.warnings => Status::Warning,
        RunStatus::Success => Status::Success,
        RunStatus::Failed => Status::Failed,
        RunStatus::Canceled => Status::Canceled,
        RunStatus::Skipped => Status::Skipped,
        RunStatus::Manual => Status::Manual,
    }
}

/// Refreshes all projects until nothing more is to be learnt.
async fn to_rest(source: &dyn Connector, projects: &[Project], sim: &Sim) -> BTreeMap<String, Heads> {
    let mut known: BTreeMap<String, Heads> = BTreeMap::new();
    let mut asked = u64::MAX;
    for _ in 0..MANY {
        sim.requests().clear();
        let asks = projects
            .iter()
            .map(|p| known.get(p.key.id.as_str()).map_or_else(|| ask(p), |heads| again(p, heads)))
            .collect();
        let answers: Vec<_> = source.branch_heads(asks).collect().await;
        known = answers.into_iter().map(|(key, heads)| (key.id.to_string(), heads.unwrap())).collect();
        let now = sim.requests().total();
        if now == asked {
            return known;
        }
        asked = now;
    }
    panic!("it never comes to rest");
}

#[tokio::test]
async fn every_project_is_listed_once() {
    let (sim, _) = sim(260).await;
    let source = watching(&sim);
    let projects = all_projects(&*source).await;
    let mut listed: Vec<_> =
        projects.iter().map(|p| (p.key.id.to_string(), p.name.clone(), p.archived)).collect();
    listed.sort();
    let mut truth: Vec<_> = sim.world().with(|world| {
        let member = world.projects_of(FACE).filter(|p| p.member);
        member.map(|p| (p.native_id.to_string(), p.full_path(), p.archived)).collect()
    });
    truth.sort();
    assert!(truth.len() > 200, "several pages");
    assert_eq!(listed, truth);
    assert_eq!(source.project_count().await.unwrap(), Some(truth.len() as u64));
    for project in projects.iter().take(3) {
        assert_eq!(source.project(&project.name).await.unwrap(), *project);
        assert_eq!(source.project(project.key.id.as_str()).await.unwrap(), *project);
    }
}

#[tokio::test]
async fn what_is_told_is_what_there_is() {
    let (sim, _) = sim(26).await;
    let source = watching(&sim);
    let projects = all_projects(&*source).await;
    let known = to_rest(&*source, &projects, &sim).await;
    let requests = sim.requests().all();
    assert!(requests.len() <= 2 * projects.len(), "{} for {}", requests.len(), projects.len());
    let anew: Vec<_> = requests.iter().filter(|r| r.status != 304).collect();
    assert!(anew.is_empty(), "{anew:?}");

    let (mut warned, mut failed) = (0, 0);
    sim.world().with(|world| {
        for project in &projects {
            let native = project.key.id.as_str().parse().unwrap();
            let truth = world.find_native(FACE, native).unwrap();
            let heads = &known[project.key.id.as_str()];
            assert_eq!(project.ci_disabled, truth.shape == Shape::CiDisabled);
            let kinds: Vec<_> = heads.problems.iter().map(|p| p.kind).collect();
            match truth.shape {
                Shape::CiDisabled | Shape::NoCi | Shape::NoRuns => assert_eq!(kinds, [ProblemKind::NoCi]),
                Shape::Empty => assert_eq!(kinds, [ProblemKind::Empty]),
                _ => assert_eq!(heads.problems, [], "{}", project.name),
            }
            let head = truth.default_branch.as_ref().and_then(|name| truth.branch(name));
            let told = heads.default_branch.as_ref();
            assert_eq!(told.and_then(|b| b.sha.as_deref()), head.map(|b| &*b.head));
            if truth.shape == Shape::CiDisabled {
                continue;
            }
            let newest: Vec<_> = truth.pipelines().iter().rev().take(Heads::MAX_RUNS).collect();
            assert!(heads.pipelines.len() >= newest.len());
            let mut of_default = 0;
            for theirs in newest {
                let ours = run(heads, theirs.id);
                assert_eq!(ours.sha.as_deref(), Some(&*theirs.sha));
                assert_eq!(
                    ours.created_at.map(|t| t.as_millisecond()),
                    Some(theirs.created_at.as_millisecond())
                );
                let is_default = truth.default_branch == Some(theirs.branch.clone())
                    && !matches!(theirs.trigger, Trigger::MergeRequest(_));
                of_default += usize::from(is_default);
                if !is_default || of_default > STRIP_RUNS {
                    continue;
                }
                check(project, truth, theirs, ours);
                warned += usize::from(ours.status == Status::Warning);
                failed += usize::from(ours.failure.is_some());
            }
        }
    });
    assert!(warned > 0 && failed > 0, "the world has both");
}

/// A run of a strip, compared in full.
fn check(project: &Project, truth: &world::Project, theirs: &world::Pipeline, ours: &Pipeline) {
    let named = format!("{} {}", project.name, theirs.id);
    assert_eq!(ours.completeness, Completeness::Full, "{named}");
    assert_eq!(ours.status, status(theirs), "{named}");
    assert_eq!(ours.branch.as_deref(), Some(&*theirs.branch), "{named}");
    let ended = theirs.status.is_terminal();
    // The jobs of a skipped pipeline never end.
    if ours.status != Status::Skipped {
        assert_eq!(ours.finished_at.is_some(), ended && theirs.finished_at.is_some(), "{named}");
    }
    if let (true, Some(wall)) = (ended, theirs.duration_seconds()) {
        // From first to last job; gaps between stages do not count where the jobs told.
        let ours = ours.duration.map(|d| d.as_secs_f64()).unwrap_or(f64::NAN);
        assert!(ours > 0.0 && ours <= wall + 0.001, "{named}: {ours} of {wall}");
    }
    let commit = truth.commit(&theirs.sha).unwrap();
    if let Some(message) = &ours.message {
        assert!(message.starts_with(&*commit.title), "{named}");
        assert_eq!(ours.author.as_ref().unwrap().name, commit.author.person().name, "{named}");
    }
}

#[tokio::test]
async fn the_breaking_run_names_its_job() {
    let (sim, _) = sim(60).await;
    let source = watching(&sim);
    let broken: Vec<_> = sim.world().with(|world| {
        let broken = world.projects_of(FACE).filter(|p| matches!(p.shape, Shape::Broken { .. }) && p.member);
        let newest = |p: &world::Project| {
            let branch = p.default_branch.clone().unwrap();
            p.newest_outcome(&branch, 0).map(|r| (r.id, r.failure.as_ref().map(|f| f.job.to_string())))
        };
        broken.map(|p| (p.native_id, newest(p).unwrap())).collect()
    });
    assert!(!broken.is_empty());
    for (project, (id, job)) in broken {
        let project = source.project(&project.to_string()).await.unwrap();
        let read = heads(&*source, ask(&project)).await.unwrap();
        let failure = run(&read, id).failure.clone().unwrap_or_default();
        assert!(failure.contains(&job.unwrap()), "{}: {failure}", project.name);
    }
}

#[tokio::test]
async fn a_pipeline_from_its_start_to_its_second_try() {
    let (sim, clock) = sim(60).await;
    let source = watching(&sim);
    let (world, native) = (sim.world(), {
        let green = |w: &mut forge_sim::World| {
            w.projects_of(FACE)
                .find(|p| p.shape == Shape::Green && p.member)
                .map(|p| (p.id, p.native_id))
                .unwrap()
        };
        sim.world().with(green)
    });
    let (id, native) = native;
    let project = source.project(&native.to_string()).await.unwrap();
    let branch = project.default_branch.clone().unwrap();
    let mut known = heads(&*source, ask(&project)).await.unwrap();
    let tick = |seconds| clock.advance(SignedDuration::from_secs(seconds));

    let now = tick(30);
    let started = world.with(|w| {
        w.set_now(now);
        w.push_commit(id, &branch, forge_sim::World::person("nobody"), "Break it").unwrap();
        w.start_pipeline(id, &branch, 0, false).unwrap()
    });
    known = heads(&*source, again(&project, &known)).await.unwrap();
    assert!(run(&known, started).status.is_active());
    assert_eq!(run(&known, started).message.as_deref().map(domain::text::title).as_deref(), Some("Break it"));
    assert_eq!(known.default_branch.as_ref().unwrap().sha, run(&known, started).sha, "the new head is seen");

    let now = tick(60);
    world.with(|w| {
        w.set_now(now);
        w.finish_pipeline(id, started, RunStatus::Failed).unwrap();
    });
    known = heads(&*source, again(&project, &known)).await.unwrap();
    let red = run(&known, started).clone();
    assert_eq!((red.status, red.finished_at.is_some()), (Status::Failed, true));

    let now = tick(60);
    world.with(|w| {
        w.set_now(now);
        w.retry(id, started).unwrap();
    });
    known = heads(&*source, again(&project, &known)).await.unwrap();
    let second = run(&known, started);
    assert!(second.status.is_active(), "{second:?}");
    assert_eq!((second.finished_at, second.duration, second.failure.as_ref()), (None, None, None));
    assert!(!second.is_older_than(&red));

    let now = tick(3600);
    world.with(|w| w.set_now(now));
    let detail = source.pipeline(&project, &RunId::from(started)).await.unwrap();
    assert_eq!(detail.problems, []);
    assert!(detail.pipeline.status.is_green(), "{:?}", detail.pipeline);
    let names: Vec<_> = detail.jobs.iter().map(|j| j.name.clone()).collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "the newest try of each");
    let stages: Vec<_> = world.with(|w| {
        let project = w.get(id).unwrap();
        let run = project.pipeline(started).unwrap();
        let mut jobs: Vec<_> = project.jobs(run).iter().map(|j| (j.stage_index, j.stage)).collect();
        jobs.sort_unstable();
        jobs.dedup();
        jobs.into_iter().map(|(_, stage)| stage.to_owned()).collect()
    });
    let mut told: Vec<_> = detail.jobs.iter().filter_map(|j| j.stage.clone()).collect();
    told.dedup();
    assert_eq!(told, stages, "in the order of their stages");
    let log = source.log(&project, &detail.pipeline.id, &detail.jobs[0].id, 64 * 1024).await.unwrap();
    assert!(!log.text.is_empty() && !log.text.contains("section_"), "{}", log.text);
}

#[tokio::test]
async fn lists_go_to_their_end() {
    let (sim, _) = sim(20).await;
    let source = watching(&sim);
    let (native, mut truth) = sim.world().with(|world| {
        let most = world.projects_of(FACE).filter(|p| p.member).max_by_key(|p| p.pipelines().len()).unwrap();
        (most.native_id, most.pipelines().iter().map(|r| RunId::from(r.id)).collect::<Vec<_>>())
    });
    truth.reverse();
    let project = source.project(&native.to_string()).await.unwrap();
    let query = PipelineQuery { branch: None, since: None, until: None, limit: 5_000 };
    let all = source.pipelines(&project, &query).await.unwrap();
    assert_eq!(all.items.iter().map(|r| r.id.clone()).collect::<Vec<_>>(), truth);
    let newest =
        source.latest_pipeline(&project, project.default_branch.as_deref().unwrap()).await.unwrap().unwrap();
    assert!(truth.contains(&newest.id));
    assert!(source.branches(&project, None).await.unwrap().items.iter().any(|b| b.default));
    let user = source.current_user().unwrap().current_user().await.unwrap();
    assert!(user.is_some_and(|u| u.login.is_some()));
}

async fn deployed(
    source: &dyn Connector,
    project: &Project,
    since: Timestamp,
    environments: &BTreeMap<String, Option<bool>>,
) -> connector::Result<Deployed> {
    source.deployments().unwrap().deployments(DeploymentsAsk { project, since, environments }).await
}

#[tokio::test]
async fn deployments_are_those_of_the_world() {
    let (sim, _) = sim(20).await;
    let source = watching(&sim);
    let (mut some, mut pages) = (0, 0);
    for project in all_projects(&*source).await {
        sim.requests().clear();
        let told = deployed(&*source, &project, Timestamp::UNIX_EPOCH, &BTreeMap::new()).await;
        if project.ci_disabled {
            assert!(matches!(told, Err(Error::Forbidden(_))), "{told:?}");
            continue;
        }
        let (told, asked) = (told.unwrap(), sim.requests().counts(FACE));
        let newest = sim.world().with(|world| {
            let truth = world.find(FACE, &project.name).unwrap();
            let mut all = truth.deployments();
            all.sort_by_key(|d| std::cmp::Reverse((d.updated_at(), d.job.id)));
            assert_eq!(told.items.len(), all.len(), "{}", project.name);
            let of_pages = all.len().div_ceil(100).max(1);
            assert_eq!(asked["GET /projects/:id/deployments"], of_pages as u64);
            assert_eq!(asked.get("GET /projects/:id/environments").copied(), (!all.is_empty()).then_some(1));
            pages = pages.max(of_pages);
            for (ours, d) in told.items.iter().zip(&all) {
                some += 1;
                let status = match d.job.status {
                    RunStatus::Success => Status::Success,
                    RunStatus::Failed => Status::Failed,
                    RunStatus::Running => Status::Running,
                    RunStatus::Canceled => Status::Canceled,
                    _ => Status::Queued,
                };
                assert_eq!((ours.id.clone(), ours.status), (d.job.id.to_string(), status));
                assert_eq!((&*ours.environment, ours.production), (&*d.environment, Some(d.is_production())));
                assert_eq!(
                    (ours.run.clone(), ours.sha.as_deref()),
                    (Some(RunId::from(d.run.id)), Some(&*d.run.sha))
                );
                let ms = |at: Option<Timestamp>| at.map(Timestamp::as_millisecond);
                assert_eq!(ms(ours.created_at), ms(d.job.started_at.or(Some(d.run.created_at))));
                assert_eq!(ms(ours.finished_at), ms(d.job.finished_at));
                assert!(ours.url.is_some());
            }
            all.get(1).map(|d| d.updated_at())
        });
        // Once more: what was touched since, and environments that are known are not asked about.
        let Some(since) = newest else { continue };
        sim.requests().clear();
        let again = deployed(&*source, &project, since, &told.environments).await.unwrap();
        assert_eq!(again.items, told.items[..2], "{}", project.name);
        assert_eq!((again.environments.len(), sim.requests().total_of(FACE)), (0, 1));
        assert_eq!(deployed(&*source, &project, since, &told.environments).await.unwrap().items, again.items);
        let last = sim.requests().all().pop().unwrap();
        assert_eq!(last.status, 304, "nothing new");
    }
    assert!(some > 100, "{some} deployments, on up to {pages} pages");
}

#[tokio::test]
async fn one_project_that_hangs_or_fails_holds_up_no_other() {
    let (sim, _) = sim(12).await;
    let source = watching(&sim);
    let projects: Vec<_> =
        all_projects(&*source).await.into_iter().filter(|p| !p.ci_disabled && !p.archived).collect();
    let path = |p: &Project| format!("*/projects/{}/pipelines", p.key.id);
    sim.faults().add(Fault::on(&path(&projects[0]), Effect::Hang));
    sim.faults().add(Fault::on(&path(&projects[1]), Effect::LoginPage));
    let mut answers = source.branch_heads(projects.iter().map(ask).collect());
    let mut there = 0;
    // The one that hangs is the one that does not come; how long the client waits for it is not this test's business.
    while there < projects.len() - 1 {
        let next =
            tokio::time::timeout(Duration::from_secs(20), answers.next()).await.expect("the others come");
        let (key, read) = next.unwrap();
        assert_ne!(key, projects[0].key);
        assert_eq!(read.is_err(), key == projects[1].key, "{key}");
        there += 1;
    }
}

#[tokio::test]
async fn the_budget_is_what_the_platform_says() {
    let sim = Sim::builder().projects(4).faces([FACE]).start().await.unwrap();
    let source = watching(&sim);
    assert_eq!(source.budget(), None);
    all_projects(&*source).await;
    let budget = source.budget().unwrap();
    assert_eq!(budget.limit, 2_000);
    assert!(budget.remaining < 2_000 && budget.reset_at.is_some());
    assert!(source.traffic().last_hour >= 1);
}
