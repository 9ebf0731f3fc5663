//! The connector against a simulated feed, whose truth is known.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connector::{Connector, Error, Heads, HeadsAsk};
use domain::{Clock, ManualClock, Pipeline, Project, Status, Timestamp};
use forge_sim::cctray::FACE;
use forge_sim::world::{Pipeline as Run, Project as Truth, Shape};
use forge_sim::{EXPIRED_TOKEN, NARROW_TOKEN, RunStatus, Sim, World};
use futures::StreamExt;
use jiff::SignedDuration;

use support::refresh;

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
}

fn source(sim: &Sim, token: &str, clock: &Arc<ManualClock>) -> Arc<dyn Connector> {
    support::source(&support::settings(&sim.cctray_url(), Some(token)), Arc::clone(clock) as Arc<dyn Clock>)
}

/// What is known after a reading, as the board keeps it.
fn knowing(read: &BTreeMap<String, (Project, Heads)>) -> BTreeMap<String, Vec<Pipeline>> {
    let bounded = |heads: &Heads| heads.pipelines.iter().cloned().map(Pipeline::bounded).collect();
    read.iter().map(|(name, (_, heads))| (name.clone(), bounded(heads))).collect()
}

/// The builds of the default branch, newest first: what the feed is about.
fn builds(project: &Truth) -> Vec<&Run> {
    let of_push = |run: &&Run| !matches!(run.trigger, forge_sim::world::Trigger::MergeRequest(_));
    let default = project.default_branch.as_deref();
    let runs = project.pipelines().iter().rev();
    runs.filter(|run| run.workflow == 0 && Some(&*run.branch) == default).filter(of_push).collect()
}

#[tokio::test]
async fn one_request_tells_the_state_of_every_project() {
    let house = House::start(120).await;
    let read = refresh(&*house.source, &BTreeMap::new()).await.unwrap();
    assert_eq!(house.sim.requests().all().len(), 1);
    let (mut red, mut running) = (0, 0);
    house.sim.world().with(|world| {
        let names: BTreeSet<_> = world.projects_of(FACE).filter(|p| p.member).map(Truth::full_path).collect();
        assert_eq!(read.keys().cloned().collect::<BTreeSet<_>>(), names);
        for truth in world.projects_of(FACE).filter(|p| p.member) {
            let (project, heads) = &read[&truth.full_path()];
            assert_eq!(
                (project.default_branch.as_ref(), project.key.id.as_str()),
                (None, &*truth.full_path())
            );
            let builds = builds(truth);
            let ended = builds.iter().find(|run| run.status.is_terminal());
            let ours = heads.pipelines.iter().find(|run| !run.status.is_active());
            assert_eq!(ours.is_some(), ended.is_some(), "{}", project.name);
            if let (Some(ours), Some(truth)) = (ours, ended) {
                let status = match truth.status {
                    RunStatus::Success => Status::Success,
                    RunStatus::Failed => Status::Failed,
                    RunStatus::Canceled => Status::Canceled,
                    _ => Status::Unknown,
                };
                assert_eq!((ours.status, ours.number), (status, Some(u64::from(truth.number))));
                assert_eq!(
                    ours.finished_at.map(Timestamp::as_second),
                    truth.finished_at.map(Timestamp::as_second)
                );
                assert_eq!(ours.author.is_some(), status == Status::Failed);
                red += usize::from(status == Status::Failed);
            }
            let goes_on =
                builds.iter().take_while(|run| !run.status.is_terminal()).any(|r| r.status.is_active());
            assert_eq!(heads.pipelines.iter().any(|r| r.status.is_active()), goes_on, "{}", project.name);
            running += usize::from(goes_on);
            assert_eq!(heads.problems.is_empty(), !heads.pipelines.is_empty());
        }
    });
    assert!(red > 1 && running > 1, "{red} red, {running} running");
}

#[tokio::test]
async fn nothing_new_is_one_conditional_request() {
    let house = House::start(60).await;
    let first = refresh(&*house.source, &BTreeMap::new()).await.unwrap();
    house.sim.requests().clear();
    let second = refresh(&*house.source, &knowing(&first)).await.unwrap();
    let requests = house.sim.requests().all();
    assert_eq!((requests.len(), requests[0].status), (1, 304));
    for (name, (_, heads)) in &second {
        assert_eq!(heads.pipelines, first[name].1.pipelines, "{name}");
    }

    // Who does not list asks once for all.
    house.sim.requests().clear();
    let asks: Vec<_> =
        first.values().map(|(project, _)| HeadsAsk::about(Arc::new(project.clone()))).collect();
    let answers: Vec<_> = house.source.branch_heads(asks).collect().await;
    assert!(answers.iter().all(|(_, heads)| heads.is_ok()));
    assert_eq!((answers.len(), house.sim.requests().all().len()), (first.len(), 1));

    // And so do those who ask at the same time.
    house.sim.requests().clear();
    let names: Vec<_> = first.keys().take(20).collect();
    let found = futures::future::join_all(names.iter().map(|name| house.source.project(name))).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(house.sim.requests().all().len(), 1);
}

#[tokio::test]
async fn history_grows_and_nothing_is_there_twice() {
    let house = House::start(40).await;
    let (id, name, branch) = house.sim.world().with(|w| {
        let green = w.projects_of(FACE).find(|p| p.shape == Shape::Green && p.member).unwrap();
        (green.id, green.full_path(), green.default_branch.clone().unwrap())
    });
    // What goes on at the beginning ends first.
    house.pass(SignedDuration::from_hours(3));
    let mut read = refresh(&*house.source, &BTreeMap::new()).await.unwrap();
    let first = read[&name].1.pipelines.clone();
    assert_eq!(first.len(), 1);
    let mut expected = vec![first[0].id.clone()];
    for round in 0..5 {
        house.pass(SignedDuration::from_mins(5));
        let run = house.sim.world().with(|w| {
            w.push_commit(id, &branch, World::person("lee"), "Next").unwrap();
            w.start_pipeline(id, &branch, 0, round % 2 == 0).unwrap()
        });
        read = refresh(&*house.source, &knowing(&read)).await.unwrap();
        let runs = &read[&name].1.pipelines;
        assert_eq!(runs.len(), expected.len() + 1);
        assert!(runs[0].status.is_active() && !runs[1].status.is_active());
        let (seen, at) = (runs[0].id.clone(), runs[0].created_at);
        assert_eq!(at, Some(house.clock.now()));

        house.pass(SignedDuration::from_secs(20));
        read = refresh(&*house.source, &knowing(&read)).await.unwrap();
        assert_eq!((&read[&name].1.pipelines[0].id, read[&name].1.pipelines[0].created_at), (&seen, at));

        let end = if round % 2 == 0 { RunStatus::Success } else { RunStatus::Failed };
        house.sim.world().with(|w| w.finish_pipeline(id, run, end).unwrap());
        read = refresh(&*house.source, &knowing(&read)).await.unwrap();
        let runs = &read[&name].1.pipelines;
        assert!(runs.iter().all(|r| r.id != seen && !r.status.is_active()));
        assert_eq!(runs[0].status == Status::Success, round % 2 == 0);
        expected.insert(0, runs[0].id.clone());
        assert_eq!(runs.iter().map(|r| r.id.clone()).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn who_may_not_read_is_told_why() {
    let house = House::start(8).await;
    let read = |token: &str| {
        let source = source(&house.sim, token, &house.clock);
        async move { source.projects(None).await.unwrap_err() }
    };
    for wrong in [EXPIRED_TOKEN, "guessed"] {
        let error = read(wrong).await;
        assert!(matches!(&error, Error::Unauthorized(text) if text.contains("feed")), "{error:?}");
        assert!(!error.to_string().contains(wrong));
    }
    assert!(matches!(read(NARROW_TOKEN).await, Error::Forbidden(_)));

    let mut settings = support::settings(&house.sim.cctray_url(), Some(house.sim.token()));
    settings.user = Some("ci".into());
    let clock = Arc::clone(&house.clock) as Arc<dyn Clock>;
    assert!(support::source(&settings, Arc::clone(&clock)).projects(None).await.is_ok(), "as a password");
    let anonymous = support::source(&support::settings(&house.sim.cctray_url(), None), clock);
    let public = anonymous.projects(None).await.unwrap().items.len();
    assert!(public < house.source.projects(None).await.unwrap().items.len());
    let gone = house.source.project("no/such").await.unwrap_err();
    assert!(matches!(&gone, Error::NotFound(text) if text.contains("\"no/such\"")), "{gone:?}");
}
