//! Runs, jobs, logs, branches of one project.

use std::collections::BTreeSet;

use connector::{Error, PipelineQuery};
use domain::{JobId, RunId, Status};
use forge_sim::world::RunStatus;
use forge_sim::{Effect, Fault, World};
use jiff::SignedDuration;

use crate::sane::{sane, sane_job};
use crate::stage::Stage;
use crate::{Subject, state};

/// More runs than a project has.
const ALL: usize = 5_000;
/// What a reader of a log gets.
const TAIL: usize = 4 * 1024;

const fn query(limit: usize) -> PipelineQuery {
    PipelineQuery { branch: None, since: None, until: None, limit }
}

/// All runs, newest first, each once.
pub async fn to_the_end(subject: &'static Subject) {
    if !subject.has.history {
        return;
    }
    let stage = Stage::new(subject, 10).await;
    let (id, project) = stage.green().await;
    stage.grow(id);
    let all = stage.source.pipelines(&project, &query(ALL)).await.unwrap();
    assert_eq!(all.problems, []);
    let told: Vec<_> = all.items.iter().map(|r| r.id.to_string()).collect();
    let mut truth: Vec<_> =
        stage.truth(id, |p| p.pipelines().iter().map(|r| (subject.run_id)(p, r)).collect());
    truth.reverse();
    assert!(truth.len() > 200, "more than two pages: {}", truth.len());
    let (told_set, truth_set): (BTreeSet<_>, BTreeSet<_>) = (told.iter().collect(), truth.iter().collect());
    assert_eq!(told_set, truth_set);
    assert_eq!(told.len(), truth.len(), "each once");
    assert!(all.items.windows(2).all(|two| two[0].began() >= two[1].began()), "newest first");
    stage.truth(id, |truth| {
        for ours in &all.items {
            let theirs = truth.pipelines().iter().find(|r| (subject.run_id)(truth, r) == ours.id.as_str());
            state::same(subject, truth, theirs.unwrap(), ours);
        }
    });
}

/// Only of a branch, only since a time, only so many.
pub async fn narrowed(subject: &'static Subject) {
    let stage = Stage::new(subject, 10).await;
    let (id, project) = stage.green().await;
    for limit in [1, 7] {
        let some = stage.source.pipelines(&project, &query(limit)).await.unwrap();
        assert!(some.items.len() <= limit && !some.items.is_empty(), "{} of {limit}", some.items.len());
        some.items.iter().for_each(sane);
    }
    if !(subject.has.history && subject.has.branches) {
        return;
    }
    let main = project.default_branch.clone().unwrap();
    let of_main = PipelineQuery { branch: Some(main.clone()), ..query(20) };
    let some = stage.source.pipelines(&project, &of_main).await.unwrap();
    assert!(!some.items.is_empty());
    assert!(some.items.iter().all(|r| r.branch.as_deref() == Some(&main)), "only {main}");
    let newest = stage.source.latest_pipeline(&project, &main).await.unwrap().expect("it has runs");
    let truth = stage.truth(id, |p| {
        let of_main = |r: &&forge_sim::world::Pipeline| (subject.branch)(p, r).as_deref() == Some(&main);
        p.pipelines().iter().rev().find(of_main).map(|r| (subject.run_id)(p, r)).unwrap()
    });
    assert_eq!(newest.id.as_str(), truth);
    assert_eq!(stage.source.latest_pipeline(&project, "no-such-branch").await.unwrap(), None);
    let none = PipelineQuery { branch: Some("no-such-branch".into()), ..query(20) };
    assert_eq!(stage.source.pipelines(&project, &none).await.unwrap().items, []);

    let middle = stage.truth(id, |p| p.pipelines()[p.pipelines().len() / 2].created_at);
    let since = PipelineQuery { since: Some(middle), ..query(ALL) };
    let some = stage.source.pipelines(&project, &since).await.unwrap();
    let truth = stage.truth(id, |p| {
        let new = p.pipelines().iter().filter(|r| r.created_at >= middle);
        new.map(|r| (subject.run_id)(p, r)).collect::<BTreeSet<_>>()
    });
    let told: BTreeSet<_> = some.items.iter().map(|r| r.id.to_string()).collect();
    let missing: Vec<_> = truth.difference(&told).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for run in &some.items {
        let touched = run.updated_at.max(run.finished_at).max(run.created_at);
        assert!(
            touched.is_none_or(|at| at.as_second() >= middle.as_second()),
            "{} is older: {run:?}",
            run.id
        );
    }

    // What began before is where that list ends, so that both together are all.
    let earlier = PipelineQuery { until: Some(middle), ..query(ALL) };
    let some = stage.source.pipelines(&project, &earlier).await.unwrap();
    let truth = stage.truth(id, |p| {
        let old = p.pipelines().iter().filter(|r| r.created_at.as_second() < middle.as_second());
        old.map(|r| (subject.run_id)(p, r)).collect::<BTreeSet<_>>()
    });
    let told: BTreeSet<_> = some.items.iter().map(|r| r.id.to_string()).collect();
    let missing: Vec<_> = truth.difference(&told).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for run in &some.items {
        assert!(
            run.began().is_none_or(|at| at.as_second() <= middle.as_second()),
            "{} is newer: {run:?}",
            run.id
        );
    }
    let limited = PipelineQuery { limit: 2, ..earlier };
    let two = stage.source.pipelines(&project, &limited).await.unwrap();
    let ids = |runs: &[domain::Pipeline]| runs.iter().map(|r| r.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&two.items), ids(&some.items[..two.items.len()]), "the newest of them");
}

/// A page that fails half-way keeps what came and says so.
pub async fn half_way(subject: &'static Subject) {
    if !subject.has.history || subject.paths_of.is_none() {
        return;
    }
    let stage = Stage::new(subject, 10).await;
    let (id, project) = stage.green().await;
    stage.grow(id);
    // What one reading costs, so that the fault strikes before its end.
    stage.sim.requests().clear();
    stage.source.pipelines(&project, &query(ALL)).await.unwrap();
    let asked = stage.sim.requests().all().iter().filter(|r| r.status != 304).count();
    if asked < 2 {
        return;
    }
    // All of them are about this project, whatever their paths.
    stage.sim.faults().add(Fault::on("*", Effect::Status(404)).face(subject.face).after(asked as u32 - 1));
    let fresh = stage.source_with(Some(stage.sim.token()));
    let some = fresh.pipelines(&project, &query(ALL)).await.unwrap();
    assert!(!some.items.is_empty(), "what came is kept");
    assert!(!some.problems.is_empty(), "and that it is not all is said");
}

/// One run with its jobs; one that is not there is not found.
pub async fn detail(subject: &'static Subject) {
    let stage = Stage::new(subject, 30).await;
    let (id, project) = stage
        .project(|p| {
            let newest = p.pipelines().iter().rev().take(20);
            newest.filter(|r| r.status == RunStatus::Failed && r.attempt == 1).count() > 0 && !p.archived
        })
        .await;
    let (run, jobs) = stage.truth(id, |p| {
        let failed = |r: &&forge_sim::world::Pipeline| r.status == RunStatus::Failed && r.attempt == 1;
        let run = p.pipelines().iter().rev().find(failed).unwrap();
        let jobs: Vec<_> = p.jobs(run).iter().filter(|j| !j.retried).map(|j| j.name.to_string()).collect();
        ((subject.run_id)(p, run), jobs)
    });
    if subject.has.history {
        let told = stage.source.pipeline(&project, &RunId::new(&run)).await.unwrap();
        assert_eq!(told.pipeline.id.as_str(), run);
        assert_eq!(told.problems, []);
        stage.truth(id, |truth| {
            let theirs = truth.pipelines().iter().find(|r| (subject.run_id)(truth, r) == run).unwrap();
            state::same(subject, truth, theirs, &told.pipeline);
        });
        told.jobs.iter().for_each(sane_job);
        if subject.has.jobs {
            assert!(told.pipeline.failure.is_some(), "it says why it failed: {:?}", told.pipeline);
            let red: Vec<_> = told.jobs.iter().filter(|j| j.status == Status::Failed).collect();
            assert!(!red.is_empty(), "{:?}", told.jobs);
            assert!(red.iter().all(|j| j.failure_reason.is_some()), "each says why: {red:?}");
            assert!(told.jobs.len() <= jobs.len(), "{:?} of {jobs:?}", told.jobs);
        }
    }
    for strange in ["987654321", "no such run"] {
        match stage.source.pipeline(&project, &RunId::new(strange)).await {
            Err(Error::NotFound(_) | Error::Refused(_)) => {}
            other => panic!("{strange:?}: {other:?}"),
        }
    }
}

/// The end of a log, no more than asked for; and a reason where there is none.
pub async fn log(subject: &'static Subject) {
    let stage = Stage::new(subject, 30).await;
    if !subject.has.logs {
        let (_, project) = stage.green().await;
        let none = stage.source.log(&project, &RunId::new("1"), &JobId::new("1"), TAIL).await;
        let told = none.map_or_else(|e| e.to_string(), |log| log.note.unwrap_or_default());
        assert!(!told.is_empty(), "why there is none is said");
        return;
    }
    let ended = |r: &&forge_sim::world::Pipeline| r.status == RunStatus::Success && r.attempt == 1;
    let (id, project) =
        stage.project(|p| p.pipelines().iter().rev().take(20).any(|r| ended(&r)) && !p.archived).await;
    let run = stage.truth(id, |p| (subject.run_id)(p, p.pipelines().iter().rev().find(ended).unwrap()));
    let run = RunId::new(run);
    let jobs = stage.source.pipeline(&project, &run).await.unwrap().jobs;
    let job = jobs.iter().find(|j| j.status.is_green()).expect("a job that ran");
    let long = stage.source.log(&project, &run, &job.id, 512 * 1024).await.unwrap();
    assert!(!long.text.trim().is_empty(), "{:?}", long.note);
    for bytes in [TAIL, 200] {
        let log = stage.source.log(&project, &run, &job.id, bytes).await.unwrap();
        assert!(log.text.len() <= bytes, "{} of {bytes}", log.text.len());
        assert!(log.truncated || log.text.len() == long.text.len(), "whether it is cut is said");
        assert!(long.text.trim_end().ends_with(log.text.trim_end()), "it is the end");
    }
    match stage.source.log(&project, &run, &JobId::new("987654321"), TAIL).await {
        Ok(log) => assert!(log.text.is_empty() && log.note.is_some(), "{log:?}"),
        Err(error) => assert!(!error.concerns_source() && !error.to_string().is_empty()),
    }
}

/// All branches; each by its name; one that is not there is not found.
pub async fn branches(subject: &'static Subject) {
    let stage = Stage::new(subject, 10).await;
    let (id, project) = stage.green().await;
    let (mut told, mut page) = (Vec::new(), None);
    loop {
        let some = stage.source.branches(&project, page).await.unwrap();
        told.extend(some.items);
        page = some.next;
        if page.is_none() {
            break;
        }
    }
    if !subject.has.branches {
        assert!(told.len() <= 1, "{told:?}");
        return;
    }
    let names: BTreeSet<_> = told.iter().map(|b| b.name.clone()).collect();
    let truth: BTreeSet<_> =
        stage.truth(id, |p| p.history().branches.iter().map(|b| b.name.to_string()).collect());
    assert!(
        names.is_subset(&truth) && names.contains(project.default_branch.as_deref().unwrap()),
        "{names:?}"
    );
    if subject.has.commits {
        assert_eq!(names, truth);
    }
    assert_eq!(told.len(), names.len(), "each once");
    assert_eq!(told.iter().filter(|b| b.default).count(), 1, "one is the default: {told:?}");
    for branch in &told {
        let one = stage.source.branch(&project, &branch.name).await.unwrap();
        assert_eq!((&one.name, &one.sha, one.default), (&branch.name, &branch.sha, branch.default));
    }
    match stage.source.branch(&project, "no/such branch").await {
        Err(Error::NotFound(_)) => {}
        other => panic!("{other:?}"),
    }
}

/// Names and messages in any script, with all that needs escaping.
pub async fn unicode(subject: &'static Subject) {
    const BRANCH: &str = "feature/größe-測試-✓%2F#1+x";
    const TITLE: &str = "Größe <b>& 測試 \u{202e}✓\u{1F680} \"quoted\"";
    if !(subject.has.branches && subject.has.history) {
        return;
    }
    let stage = Stage::new(subject, 6).await;
    let (id, project) = stage.green().await;
    stage.pass(SignedDuration::from_mins(1));
    let run = stage.sim.world().with(|w| {
        w.push_commit(id, BRANCH, World::person("nobody"), TITLE).unwrap();
        w.start_pipeline(id, BRANCH, 0, true).unwrap()
    });
    stage.pass(SignedDuration::from_hours(2));
    let run = stage.truth(id, |p| (subject.run_id)(p, p.pipeline(run).unwrap()));
    let branch = stage.source.branch(&project, BRANCH).await.unwrap();
    assert_eq!(branch.name, BRANCH);
    let of_branch = PipelineQuery { branch: Some(BRANCH.into()), ..query(10) };
    let some = stage.source.pipelines(&project, &of_branch).await.unwrap();
    assert_eq!(some.items.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), [&run], "{some:?}");
    assert_eq!(some.items[0].branch.as_deref(), Some(BRANCH));
    let told = stage.source.pipeline(&project, &RunId::new(&run)).await.unwrap();
    if let (true, Some(message)) = (subject.has.commits, &told.pipeline.message) {
        assert!(message.starts_with("Größe <b>& 測試"), "{message:?}");
    }
}
