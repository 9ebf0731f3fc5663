//! The state of projects: what is told is what there is, and asking again costs little.

use std::collections::BTreeSet;

use domain::{Completeness, Pipeline, ProblemKind, Status};
use forge_sim::world::{self, RunStatus, Shape};
use forge_sim::{Effect, Fault};
use futures::StreamExt as _;

use crate::stage::{Known, Stage};
use crate::{Has, Subject, sane};

/// More refreshes than any project needs to come to rest.
const MANY: usize = 12;
/// How long after its last job a platform may call a run ended, in seconds.
const MOMENT: f64 = 5.0;

/// What a run of the world is in our words; several where the platform or a row cannot tell them apart.
pub(crate) fn statuses(run: &world::Pipeline, has: Has, completeness: Completeness) -> Vec<Status> {
    match run.status {
        RunStatus::Created | RunStatus::Queued => vec![Status::Queued, Status::Running],
        RunStatus::Running => vec![Status::Running],
        RunStatus::Success if run.warnings && has.warnings && completeness == Completeness::Full => {
            vec![Status::Warning]
        }
        RunStatus::Success if run.warnings => vec![Status::Success, Status::Warning],
        RunStatus::Success => vec![Status::Success],
        RunStatus::Failed => vec![Status::Failed],
        RunStatus::Canceled => vec![Status::Canceled],
        RunStatus::Skipped => vec![Status::Skipped],
        RunStatus::Manual if has.manual => vec![Status::Manual],
        RunStatus::Manual => vec![Status::Manual, Status::Running, Status::Queued],
    }
}

/// Compares a run with the world's.
pub(crate) fn same(subject: &Subject, truth: &world::Project, theirs: &world::Pipeline, ours: &Pipeline) {
    let named = format!("{} {}", truth.full_path(), ours.id);
    sane(ours);
    let expected = statuses(theirs, subject.has, ours.completeness);
    assert!(expected.contains(&ours.status), "{named}: {:?}, not {expected:?} ({theirs:?})", ours.status);
    assert_eq!(ours.branch, (subject.branch)(truth, theirs), "{named}");
    if let Some(sha) = &ours.sha {
        // Some platforms shorten.
        assert!(
            sha.len() >= 7 && theirs.sha.starts_with(sha.as_str()),
            "{named}: {sha} is not {}",
            theirs.sha
        );
    }
    let commit = truth.commit(&theirs.sha).expect("a commit of the world");
    if let Some(message) = &ours.message
        && subject.has.commits
    {
        assert!(message.starts_with(&*commit.title), "{named}: {message:?} is not {:?}", commit.title);
    }
    if let Some(created) = ours.created_at {
        let off = (created.as_second() - theirs.created_at.as_second()).abs();
        let again = theirs.attempt > 1 || created >= theirs.created_at;
        assert!(off <= 1 || again, "{named}: created {created}, not {}", theirs.created_at);
    }
    if let (Some(ours), Some(ended)) = (ours.duration, theirs.finished_at) {
        // No more than from the beginning of the attempt to its end, and a moment in which platforms settle.
        let most = ended.duration_since(theirs.attempt_at.min(theirs.created_at)).as_secs_f64() + MOMENT;
        assert!(ours.as_secs_f64() <= most || theirs.attempt > 1, "{named}: {ours:?} of {most} s");
    }
    assert!(ours.url.is_some(), "{named}: no link");
}

/// The runs of a project that the board would hold are the world's.
pub async fn is_the_worlds(subject: &'static Subject) {
    let stage = Stage::new(subject, 26).await;
    let known = settle(&stage, Known::new()).await;
    let (mut compared, mut failed, mut full) = (0, 0, 0);
    stage.sim.world().with(|w| {
        for truth in w.projects_of(subject.face).filter(|p| (subject.lists)(p)) {
            let id = (subject.project_id)(truth);
            let Some((project, heads, _)) = known.iter().find(|(k, _)| k.id.as_str() == id).map(|(_, v)| v)
            else {
                continue;
            };
            let kinds: BTreeSet<_> = heads.problems.iter().map(|p| p.kind).collect();
            match truth.shape {
                Shape::CiDisabled | Shape::NoCi | Shape::NoRuns | Shape::Empty => {
                    let fine = [ProblemKind::NoCi, ProblemKind::Empty];
                    assert!(kinds.iter().all(|k| fine.contains(k)), "{id}: {:?}", heads.problems);
                }
                _ => assert!(kinds.is_empty(), "{id}: {:?}", heads.problems),
            }
            if truth.shape == Shape::CiDisabled {
                continue;
            }
            if subject.has.branches {
                let head = truth.default_branch.as_deref().and_then(|name| truth.branch(name));
                // Some platforms name the default branch of an empty repository.
                if let Some(head) = head {
                    assert_eq!(project.default_branch.as_deref(), Some(&*head.name), "{id}");
                }
                let told = heads.default_branch.as_ref();
                assert_eq!(told.map(|b| b.name.as_str()), head.map(|b| &*b.name), "{id}");
                if let (true, Some(sha)) = (subject.has.commits, told.and_then(|b| b.sha.as_deref())) {
                    assert!(head.is_some_and(|b| b.head.starts_with(sha)), "{id}: {sha}");
                }
            }
            let by_id = |run: &&world::Pipeline| (subject.run_id)(truth, run);
            let ids: BTreeSet<String> = heads.pipelines.iter().map(|r| r.id.to_string()).collect();
            assert_eq!(ids.len(), heads.pipelines.len(), "{id}: each run once");
            let newest: Vec<_> = truth.pipelines().iter().rev().take(subject.has.first_sight).collect();
            if subject.has.history {
                let missing: Vec<_> = newest.iter().map(by_id).filter(|run| !ids.contains(run)).collect();
                assert!(missing.is_empty(), "{id}: {} runs are missing: {missing:?}", missing.len());
            }
            for ours in &heads.pipelines {
                let theirs =
                    truth.pipelines().iter().find(|r| (subject.run_id)(truth, r) == ours.id.as_str());
                let Some(theirs) = theirs else { panic!("{id}: the world has no run {}", ours.id) };
                same(subject, truth, theirs, ours);
                compared += 1;
                failed += usize::from(ours.failure.is_some());
                full += usize::from(ours.completeness == Completeness::Full);
            }
        }
    });
    assert!(compared >= 20, "only {compared} runs were compared");
    if subject.has.jobs {
        assert!(failed > 0 && full > 0, "no run says why it failed");
    }
}

/// Refreshes until nothing more is to be learnt.
pub(crate) async fn settle(stage: &Stage, mut known: Known) -> Known {
    let mut asked = u64::MAX;
    for _ in 0..MANY {
        stage.sim.requests().clear();
        known = stage.refresh(&known).await;
        let now = stage.sim.requests().total();
        if now == asked {
            return known;
        }
        asked = now;
    }
    panic!("it never comes to rest");
}

/// Nothing moved: the same answer, at next to no cost.
pub async fn at_rest(subject: &'static Subject) {
    let stage = Stage::new(subject, 24).await;
    let before = settle(&stage, Known::new()).await;
    stage.sim.requests().clear();
    let after = stage.refresh(&before).await;
    for (key, (_, heads, _)) in &after {
        let runs = |known: &Known| {
            let all: Vec<_> = known[key].1.pipelines.iter().map(|r| (r.id.clone(), r.status)).collect();
            all
        };
        assert_eq!(runs(&after), runs(&before), "{key}");
        assert_eq!(heads.problems, before[key].1.problems, "{key}");
    }
    let requests = stage.sim.requests().all();
    let paid: Vec<_> = requests.iter().filter(|r| r.status != 304).map(|r| r.path.as_str()).collect();
    let allowed = (subject.at_rest)(after.len() as u64);
    assert!(paid.len() as u64 <= allowed, "{} of {allowed}: {paid:#?}", paid.len());
}

/// A project whose every answer is an error is told as such; the others are there.
pub async fn one_fails(subject: &'static Subject) {
    let Some(paths_of) = subject.paths_of else { return };
    let stage = Stage::new(subject, 12).await;
    let (ill, _) = stage.green().await;
    let (path, id) = stage.truth(ill, |p| (paths_of(p), (subject.project_id)(p)));
    let (projects, _) = stage.listed().await;
    stage.sim.faults().add(Fault::on(&path, Effect::LoginPage));
    let asks = projects.iter().filter(|p| !p.archived && !p.ci_disabled);
    let asks: Vec<_> = asks.map(|p| stage.ask(p, &Known::new())).collect();
    let asked = asks.len();
    let answers: Vec<_> = stage.source.branch_heads(asks).collect().await;
    assert_eq!(answers.len(), asked);
    for (key, heads) in answers {
        if key.id.as_str() == id {
            let why = match heads {
                Ok(heads) => heads.problems.first().map(|p| p.text.clone()).unwrap_or_default(),
                Err(error) => {
                    assert!(!error.concerns_source(), "{key}: {error} would end the source's refresh");
                    error.to_string()
                }
            };
            assert!(!why.is_empty(), "{key}: no reason on the row");
        } else {
            let heads = heads.unwrap_or_else(|e| panic!("{key}: {e}"));
            let spoilt = heads.problems.iter().any(|p| p.kind >= ProblemKind::NotFound);
            assert!(!spoilt, "{key}: {:?}", heads.problems);
        }
    }
}
