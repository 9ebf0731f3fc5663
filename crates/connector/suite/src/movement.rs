//! What happens on the platform shows in the answers.

use connector::Error;
use domain::{Pipeline, Status};
use forge_sim::{RunStatus, World};
use jiff::SignedDuration;

use crate::stage::{Known, Stage};
use crate::{Subject, sane};

/// Begins, fails, is started over, is green; with the known carried from question to question as the board does.
pub async fn from_green_to_red_and_back(subject: &'static Subject) {
    from_green_to_red(Stage::new(subject, 8).await).await;
}

/// The same, asked for what moved alone once everything is known.
pub async fn seen_by_asking_what_moved(subject: &'static Subject) {
    let mut stage = Stage::new(subject, 8).await;
    stage.full = false;
    from_green_to_red(stage).await;
}

async fn from_green_to_red(stage: Stage) {
    let subject = stage.subject;
    let (id, project) = stage.green().await;
    let main = stage.truth(id, |p| p.default_branch.clone()).unwrap();
    let world = stage.sim.world();
    let mut known = stage.refresh(&Known::new()).await;
    let newest = |known: &Known| -> Pipeline {
        let mut runs = known[&project.key].1.pipelines.clone();
        runs.iter().for_each(sane);
        runs.sort_by_key(|r| std::cmp::Reverse(r.age_key()));
        runs.into_iter().next().expect("a run")
    };
    let told_id = |run| stage.truth(id, |p| (subject.run_id)(p, p.pipeline(run).unwrap()));
    let before = known[&project.key].1.pipelines.len();

    stage.pass(SignedDuration::from_secs(40));
    let run = world.with(|w| {
        w.push_commit(id, &main, World::person("nobody"), "Break it").unwrap();
        w.start_pipeline(id, &main, 0, false).unwrap()
    });
    known = stage.refresh(&known).await;
    assert!(newest(&known).status.is_active(), "it has begun: {:?}", newest(&known));

    stage.pass(SignedDuration::from_secs(60));
    world.with(|w| w.finish_pipeline(id, run, RunStatus::Failed)).unwrap();
    known = stage.refresh(&known).await;
    let red = newest(&known);
    assert_eq!((red.status, red.id.as_str()), (Status::Failed, told_id(run).as_str()), "{red:?}");
    if subject.has.history {
        assert!(known[&project.key].1.pipelines.len() >= before, "the older ones stay");
        assert!(red.finished_at.is_some(), "{red:?}");
    }
    if subject.has.jobs {
        assert!(red.failure.is_some(), "it says why: {red:?}");
    }

    stage.pass(SignedDuration::from_secs(60));
    let second = world.with(|w| {
        if subject.has.retry_keeps_run {
            w.retry(id, run).map(|()| run)
        } else {
            w.start_pipeline(id, &main, 0, true)
        }
    });
    let second = second.unwrap();
    known = stage.refresh(&known).await;
    let again = newest(&known);
    assert!(again.status.is_active() || !subject.has.history, "it runs again: {again:?}");
    if again.id == red.id {
        assert!(!again.is_older_than(&red), "the board takes it: {again:?} after {red:?}");
    }

    stage.pass(SignedDuration::from_hours(3));
    known = stage.refresh(&known).await;
    let green = newest(&known);
    assert!(green.status.is_green(), "{green:?}");
    assert_eq!(green.id.as_str(), told_id(second));
    assert!(green.failure.is_none() || green.status == Status::Warning, "{green:?}");
}

/// A project that is gone is not found, and not listed.
pub async fn deleted(subject: &'static Subject) {
    let stage = Stage::new(subject, 8).await;
    let (id, project) = stage.green().await;
    stage.sim.world().with(|w| w.delete_project(id)).unwrap();
    match stage.source.project(project.key.id.as_str()).await {
        Err(Error::NotFound(_)) => {}
        other => panic!("{other:?}"),
    }
    let (listed, _) = stage.listed().await;
    assert!(listed.iter().all(|p| p.key != project.key));
}
