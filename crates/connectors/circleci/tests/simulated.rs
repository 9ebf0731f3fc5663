//! The connector against a simulated CircleCI, whose truth is known.
#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "support/refresh.rs"]
mod refresh;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connector::{Connector, Error, Heads, HeadsAsk, PipelineQuery};
use domain::{Clock, Completeness, ManualClock, Pipeline, ProblemKind, Project, Status, Timestamp};
use forge_sim::circleci::FACE;
use forge_sim::world::{Pipeline as Run, Project as Truth, Shape};
use forge_sim::{EXPIRED_TOKEN, Effect, Fault, NARROW_TOKEN, RunStatus, Sim, World};
use futures::StreamExt;
use jiff::SignedDuration;

use refresh::{again, listed};
use support::{ask, heads};

struct House {
    sim: Sim,
    clock: Arc<ManualClock>,
    sim_clock: Arc<forge_sim::ManualClock>,
    source: Arc<dyn Connector>,
}

impl House {
    async fn start(projects: usize) -> Self {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let sim_clock = Arc::new(forge_sim::ManualClock::new(now));
        let builder = Sim::builder().seed(11).projects(projects).faces([FACE]);
        let sim = builder.clock(Arc::clone(&sim_clock) as Arc<dyn forge_sim::Clock>).start().await.unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let source = source(&sim, sim.token(), &clock);
        Self { sim, clock, sim_clock, source }
    }

    fn pass(&self, time: SignedDuration) {
        self.clock.advance(time);
        let now = self.sim_clock.advance(time);
        self.sim.world().with(|w| w.advance_to(now));
    }

    /// A reading of everything as the refresh loop does it.
    async fn refresh(&self, before: &Board) -> Board {
        let projects = listed(&*self.source).await.unwrap();
        let asks = projects.iter().map(|(project, told)| {
            let known = before.get(&project.name).map(|(_, heads)| again(project, heads));
            HeadsAsk { told: told.clone(), ..known.unwrap_or_else(|| ask(project)) }
        });
        let answers: Vec<_> = self.source.branch_heads(asks.collect()).collect().await;
        let by_key: BTreeMap<_, _> = projects.into_iter().map(|(p, _)| (p.key.clone(), p)).collect();
        let named = |key| by_key.get(&key).cloned().unwrap();
        answers
            .into_iter()
            .map(|(key, heads)| (named(key), heads.unwrap()))
            .map(|(p, h)| (p.name.clone(), (p, h)))
            .collect()
    }

    /// What was asked since the last time, by endpoint.
    fn asked(&self) -> BTreeMap<&'static str, usize> {
        let mut asked = BTreeMap::new();
        for request in self.sim.requests().all() {
            *asked.entry(request.template).or_default() += 1;
        }
        self.sim.requests().clear();
        asked
    }
}

type Board = BTreeMap<String, (Project, Heads)>;

fn source(sim: &Sim, token: &str, clock: &Arc<ManualClock>) -> Arc<dyn Connector> {
    let settings = support::settings(&sim.circleci_url(), token);
    support::source(&settings, Arc::clone(clock) as Arc<dyn Clock>)
}

fn seconds(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_second)
}

fn expected(run: &Run) -> Status {
    match run.status {
        RunStatus::Created | RunStatus::Queued | RunStatus::Running => Status::Running,
        // No job may fail there, so there are no warnings.
        RunStatus::Success => Status::Success,
        RunStatus::Failed => Status::Failed,
        RunStatus::Canceled => Status::Canceled,
        RunStatus::Skipped => Status::Skipped,
        RunStatus::Manual => Status::Manual,
    }
}

fn same(ours: &Pipeline, truth: &Truth, run: &Run) {
    let name = truth.full_path();
    assert_eq!(ours.number, Some(u64::from(run.number)), "{name}");
    assert_eq!(ours.status, expected(run), "{name} {}", run.number);
    assert_eq!(ours.branch.as_deref(), Some(&*run.branch));
    assert_eq!(ours.sha.as_deref(), Some(&*run.sha));
    assert_eq!(ours.attempt, Some(run.attempt));
    assert_eq!(ours.workflow.name.as_deref(), Some(truth.workflows[run.workflow].name));
    assert_eq!(ours.message.as_deref(), truth.commit(&run.sha).map(|c| &*c.title));
    assert_eq!(seconds(ours.created_at), seconds(Some(run.attempt_at)));
    assert_eq!(seconds(ours.finished_at), seconds(run.finished_at.filter(|_| run.status.is_terminal())));
}

/// By the number of their pipeline, newest first: one that was started over is younger than its number.
fn by_number(heads: &Heads) -> Vec<&Pipeline> {
    let mut runs: Vec<_> = heads.pipelines.iter().collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.number));
    runs
}

#[tokio::test]
async fn every_project_that_ran_is_found_and_its_state_is_the_worlds() {
    let house = House::start(60).await;
    let board = house.refresh(&Board::new()).await;
    assert!(house.sim.requests().most_at_once(FACE) <= 8);
    let (mut failed, mut open) = (0, 0);
    house.sim.world().with(|world| {
        let builds = |p: &&Truth| p.member && p.shape != Shape::CiDisabled;
        let names: BTreeSet<_> = world.projects_of(FACE).filter(builds).map(Truth::full_path).collect();
        assert_eq!(board.keys().cloned().collect::<BTreeSet<_>>(), names);
        for (project, heads) in board.values() {
            let truth = world.find(FACE, &project.name).unwrap();
            assert_eq!(project.default_branch.as_deref(), truth.default_branch.as_deref());
            let idle = heads.pipelines.is_empty();
            assert!(heads.problems.iter().all(|p| p.kind == ProblemKind::NoCi), "{}", project.name);
            assert_eq!((idle, heads.problems.len()), (truth.pipelines().is_empty(), usize::from(idle)));
            let newest: Vec<_> = truth.pipelines().iter().rev().take(20).collect();
            for (ours, run) in by_number(heads).into_iter().zip(newest) {
                same(ours, truth, run);
                open += usize::from(!run.status.is_terminal());
            }
            // What decides for the default branch was read, whatever its age.
            let Some(main) = truth.default_branch.as_deref() else { continue };
            let newest = truth.pipelines().iter().rev().find(|run| &*run.branch == main);
            if let Some(run) = newest {
                assert!(
                    heads.pipelines.iter().any(|p| p.number == Some(run.number.into())),
                    "{}",
                    project.name
                );
                assert_eq!(heads.default_branch.as_ref().unwrap().sha.as_deref(), Some(&*run.sha));
            }
            for run in heads.pipelines.iter().filter(|r| r.branch.as_deref() == Some(main)) {
                if run.status == Status::Failed && run.completeness == Completeness::Full {
                    assert!(run.failure.is_some(), "{}", project.name);
                    failed += 1;
                }
            }
        }
    });
    assert!(failed > 2 && open > 2, "{failed} failed, {open} open");
}

#[tokio::test]
async fn nothing_new_is_one_request_for_each_organization_and_red_project() {
    let house = House::start(40).await;
    // What goes on comes to its end first.
    house.pass(SignedDuration::from_hours(3));
    let first = house.refresh(&Board::new()).await;
    house.asked();
    let second = house.refresh(&first).await;
    let asked = house.asked();
    for (name, (_, heads)) in &second {
        assert_eq!(heads.pipelines, first[name].1.pipelines, "{name}");
        assert_eq!(heads.default_branch, first[name].1.default_branch, "{name}");
    }
    let waits = |heads: &Heads| heads.pipelines.iter().any(|r| r.status == Status::Manual);
    let red = |(project, heads): &&(Project, Heads)| {
        let main = project.default_branch.as_deref();
        let newest = heads.pipelines.iter().filter(|r| r.branch.as_deref() == main).max_by_key(|r| r.number);
        newest.is_some_and(|r| matches!(r.status, Status::Failed | Status::Canceled)) || waits(heads)
    };
    let looked_at = second.values().filter(red).count();
    let organizations =
        second.values().map(|(p, _)| p.name.split('/').next().unwrap()).collect::<BTreeSet<_>>().len();
    println!(
        "{} projects, {looked_at} red or waiting, {organizations} organizations: {asked:?}",
        second.len()
    );
    assert!(asked["GET /pipeline"] <= organizations + 1, "{asked:?}");
    assert_eq!(asked.get("GET /me/collaborations"), None, "{asked:?}");
    assert!(asked.get("GET /pipeline/:id/workflow").copied().unwrap_or(0) <= looked_at, "{asked:?}");
    assert_eq!(asked.get("GET /project/:slug"), None, "{asked:?}");
    assert_eq!(asked.get("GET /workflow/:id/job"), None, "{asked:?}");

    // A project asked about without a listing: its pipelines, and the workflows of what goes on.
    let green = second.values().find(|entry| !red(entry) && entry.1.pipelines.len() > 3).unwrap();
    heads(&*house.source, again(&green.0, &green.1)).await.unwrap();
    assert_eq!(house.asked(), BTreeMap::from([("GET /project/:slug/pipeline", 1)]));
}

#[tokio::test]
async fn a_run_from_its_start_to_its_second_try() {
    let house = House::start(30).await;
    house.pass(SignedDuration::from_hours(3));
    let mut board = house.refresh(&Board::new()).await;
    let (id, name, main) = house.sim.world().with(|w| {
        let green = |p: &&Truth| p.shape == Shape::Green && p.member && board.contains_key(&p.full_path());
        let project = w.projects_of(FACE).find(green).unwrap();
        (project.id, project.full_path(), project.default_branch.clone().unwrap())
    });
    let newest = |board: &Board| board[&name].1.pipelines[0].clone();

    house.pass(SignedDuration::from_mins(5));
    let (sha, run) = house.sim.world().with(|w| {
        let sha = w.push_commit(id, &main, World::person("lee"), "Break it").unwrap();
        (sha, w.start_pipeline(id, &main, 0, false).unwrap())
    });
    house.asked();
    board = house.refresh(&board).await;
    println!("started: {:?}", house.asked());
    let started = newest(&board);
    assert_eq!((started.status, started.sha.as_deref()), (Status::Running, Some(&*sha)));
    assert_eq!(board[&name].1.default_branch.as_ref().unwrap().sha.as_deref(), Some(&*sha));

    house.pass(SignedDuration::from_mins(2));
    house.sim.world().with(|w| w.finish_pipeline(id, run, RunStatus::Failed).unwrap());
    // Between two listings, as the loop for what runs asks.
    let (project, known) = &board[&name];
    house.asked();
    let between = heads(&*house.source, again(project, known)).await.unwrap();
    println!("active loop: {:?}", house.asked());
    board.insert(name.clone(), (project.clone(), between));
    let failed = newest(&board);
    assert_eq!(
        (&failed.id, failed.status, failed.completeness),
        (&started.id, Status::Failed, Completeness::Full)
    );
    assert!(failed.failure.is_some() && failed.duration.is_some());

    // The dashboard starts it over.
    house.pass(SignedDuration::from_mins(1));
    house.source.actions().unwrap().retry(&board[&name].0, &failed.id).await.unwrap();
    board = house.refresh(&board).await;
    let again = newest(&board);
    assert_ne!(again.id, failed.id, "another workflow of the same pipeline");
    assert_eq!((again.number, again.attempt, again.status), (failed.number, Some(2), Status::Running));
    assert_eq!(again.workflow, failed.workflow, "the newer one counts");
    assert!(board[&name].1.pipelines.iter().all(|r| r.id != failed.id), "the earlier try gave way");
    let earlier = house.source.pipeline(&board[&name].0, &failed.id).await.unwrap();
    assert_eq!(earlier.pipeline.status, Status::Failed, "who has its link still finds it");

    house.pass(SignedDuration::from_secs(30));
    house.source.actions().unwrap().cancel(&board[&name].0, &again.id).await.unwrap();
    board = house.refresh(&board).await;
    assert_eq!((newest(&board).id, newest(&board).status), (again.id.clone(), Status::Canceled));
    house.source.actions().unwrap().retry(&board[&name].0, &again.id).await.unwrap();
    house.pass(SignedDuration::from_hours(1));
    board = house.refresh(&board).await;
    assert_eq!((newest(&board).status, newest(&board).attempt), (Status::Success, Some(3)));
    let refused = house.source.actions().unwrap().retry(&board[&name].0, &newest(&board).id).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");

    house.sim.world().with(|w| w.delete_project(id).unwrap());
    assert!(matches!(house.source.project(&name).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn a_failed_run_comes_with_jobs_reasons_and_log() {
    let house = House::start(60).await;
    let (name, run, truth) = house.sim.world().with(|w| {
        let broken =
            w.projects_of(FACE).find(|p| matches!(p.shape, Shape::Broken { .. }) && p.member).unwrap();
        let main = broken.default_branch.as_deref().unwrap();
        let run = (0..broken.workflows.len())
            .filter_map(|at| broken.newest_outcome(main, at))
            .find(|r| r.status == RunStatus::Failed)
            .unwrap();
        let jobs: Vec<_> = broken.jobs(run).iter().filter(|j| !j.retried).cloned().collect();
        (broken.full_path(), run.number, jobs)
    });
    let project = house.source.project(&name).await.unwrap();
    assert_eq!((project.key.id.as_str(), &*project.name), (&*format!("gh/{name}"), &*name));
    assert_eq!(project.key, house.source.project(&format!("github/{name}")).await.unwrap().key);
    let query =
        PipelineQuery { branch: project.default_branch.clone(), since: None, until: None, limit: 200 };
    let runs = house.source.pipelines(&project, &query).await.unwrap();
    assert_eq!(runs.problems, []);
    let found = runs.items.iter().filter(|r| r.number == Some(run.into())).max_by_key(|r| r.attempt).unwrap();
    house.asked();
    let detail = house.source.pipeline(&project, &found.id).await.unwrap();
    println!("one run: {:?}", house.asked());
    assert_eq!(detail.problems, []);
    assert_eq!((detail.pipeline.status, detail.pipeline.completeness), (Status::Failed, Completeness::Full));
    assert_eq!(detail.pipeline.sha, found.sha);
    let names: BTreeSet<_> = detail.jobs.iter().map(|j| j.name.as_str()).collect();
    assert_eq!(names, truth.iter().map(|j| &*j.name).collect());
    let order: Vec<_> = detail
        .jobs
        .iter()
        .map(|job| truth.iter().find(|t| *t.name == *job.name).unwrap().stage_index)
        .collect();
    assert!(order.is_sorted(), "{order:?}");
    let red = detail.jobs.iter().find(|j| j.status == Status::Failed).unwrap();
    assert!(detail.pipeline.failure.as_deref().unwrap().contains(&red.name), "{:?}", detail.pipeline.failure);
    assert!(red.failure_reason.is_some() && red.duration.is_some());
    let log = house.source.log(&project, &found.id, &red.id, 64 * 1024).await.unwrap();
    let summary = truth.iter().find(|j| *j.name == *red.name).unwrap().failure.clone().unwrap().summary;
    assert!(log.text.contains(summary) && log.text.starts_with("▸ "), "{}", log.text);
    assert!(!log.truncated && !log.text.contains('\r'));
    let tail = house.source.log(&project, &found.id, &red.id, 200).await.unwrap();
    assert!(tail.truncated && tail.text.len() <= 200 && log.text.ends_with(&tail.text), "{}", tail.text);
    if let Some(skipped) = detail.jobs.iter().find(|j| j.status == Status::Skipped) {
        let log = house.source.log(&project, &found.id, &skipped.id, 200).await.unwrap();
        assert!(log.text.is_empty() && log.note.is_some());
    }
}

#[tokio::test]
async fn lists_go_to_their_end() {
    let house = House::start(20).await;
    let (name, truth) = house.sim.world().with(|w| {
        let most = w.projects_of(FACE).filter(|p| p.member).max_by_key(|p| p.pipelines().len()).unwrap();
        (most.full_path(), most.pipelines().iter().rev().map(|r| u64::from(r.number)).collect::<Vec<_>>())
    });
    assert!(truth.len() > 60, "several pages");
    let project = house.source.project(&name).await.unwrap();
    let query = PipelineQuery { branch: None, since: None, until: None, limit: 5_000 };
    let all = house.source.pipelines(&project, &query).await.unwrap();
    let mut numbers: Vec<_> = all.items.iter().filter_map(|r| r.number).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.dedup();
    assert_eq!((numbers, all.problems), (truth, vec![]));
    let some = house.source.pipelines(&project, &PipelineQuery { limit: 7, ..query.clone() }).await.unwrap();
    assert_eq!(some.items, all.items[..7]);
    let since = all.items[20].created_at;
    let recent = house.source.pipelines(&project, &PipelineQuery { since, ..query.clone() }).await.unwrap();
    assert!(recent.items.iter().all(|r| r.created_at >= since) && recent.items.len() >= 20);
    let main = project.default_branch.clone().unwrap();
    let branch = PipelineQuery { branch: Some(main.clone()), ..query };
    let of_main = house.source.pipelines(&project, &branch).await.unwrap();
    assert!(of_main.items.iter().all(|r| r.branch.as_deref() == Some(&*main)) && !of_main.items.is_empty());
    let latest = house.source.latest_pipeline(&project, &main).await.unwrap().unwrap();
    assert_eq!(latest.number, of_main.items.iter().filter_map(|r| r.number).max());
    assert_eq!(house.source.latest_pipeline(&project, "no/such").await.unwrap(), None);
    assert_eq!(house.source.branch(&project, &main).await.unwrap().sha, latest.sha);
    assert!(house.source.branches(&project, None).await.unwrap().items.iter().any(|b| b.default));
    assert!(matches!(house.source.branch(&project, "no/such").await, Err(Error::NotFound(_))));
    let user = house.source.current_user().unwrap().current_user().await.unwrap();
    assert!(user.is_some_and(|u| u.login.is_some()));
}

#[tokio::test]
async fn one_project_that_fails_holds_up_no_other() {
    let house = House::start(20).await;
    let projects: Vec<_> = listed(&*house.source).await.unwrap().into_iter().map(|(p, _)| p).collect();
    assert!(projects.len() > 5);
    let path = |p: &Project| format!("/api/v2/project/{}/pipeline", p.key.id);
    house.sim.faults().add(Fault::on(&path(&projects[0]), Effect::Hang));
    house.sim.faults().add(Fault::on(&path(&projects[1]), Effect::LoginPage));
    let mut answers = house.source.branch_heads(projects.iter().map(ask).collect());
    for _ in 1..projects.len() {
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), answers.next()).await;
        let (key, read) = next.expect("the others come").unwrap();
        assert_ne!(key, projects[0].key);
        match read {
            Err(Error::Garbage(text)) => assert!(key == projects[1].key && text.contains("HTML"), "{text}"),
            read => assert!(read.is_ok() && key != projects[1].key, "{key}"),
        }
    }
}

#[tokio::test]
async fn a_part_that_fails_is_a_reason_and_is_read_the_next_time() {
    let house = House::start(12).await;
    let projects = listed(&*house.source).await.unwrap();
    let (project, told) =
        projects.iter().find(|(_, t)| t.as_ref().is_some_and(|t| t.pipelines.len() > 5)).unwrap();
    let told = told.clone().unwrap();
    let spoilt = told.pipelines[2].id.clone();
    house.sim.faults().add(Fault::on(&format!("/api/v2/pipeline/{spoilt}/workflow"), Effect::InvalidJson));
    let question = HeadsAsk { told: Some(told.clone()), ..ask(project) };
    let first = heads(&*house.source, question.clone()).await.unwrap();
    assert_eq!(first.problems.len(), 1);
    assert_eq!(first.problems[0].kind, ProblemKind::Partial);
    assert!(first.problems[0].text.starts_with("workflows of 1 pipeline: "), "{}", first.problems[0].text);
    let number = told.pipelines[2].number;
    assert!(first.pipelines.iter().all(|r| r.number != number) && first.pipelines.len() > 3);
    house.sim.faults().clear();
    let second =
        heads(&*house.source, HeadsAsk { told: Some(told), ..again(project, &first) }).await.unwrap();
    assert!(second.problems.is_empty() && second.pipelines.iter().any(|r| r.number == number));
}

#[tokio::test]
async fn who_may_not_read_is_told_why() {
    let house = House::start(8).await;
    for token in [EXPIRED_TOKEN, "guessed"] {
        let error = source(&house.sim, token, &house.clock).projects(None).await.unwrap_err();
        assert!(
            matches!(&error, Error::Unauthorized(text) if text.contains("personal API token")),
            "{error:?}"
        );
        assert!(!error.to_string().contains(token));
    }
    let narrow = source(&house.sim, NARROW_TOKEN, &house.clock);
    assert!(matches!(narrow.projects(None).await, Err(Error::Forbidden(_))));
    let mut settings = support::settings(&house.sim.circleci_url(), house.sim.token());
    settings.organizations = vec!["no-such-organization".into()];
    let nowhere = support::source(&settings, Arc::clone(&house.clock) as Arc<dyn Clock>);
    let error = listed(&*nowhere).await.unwrap_err();
    assert!(matches!(&error, Error::NotFound(text) if text.contains("gh/no-such-organization")), "{error:?}");
}
