//! The roll-up, by example and by property.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{
    Activity, DEAD_WORKFLOW_AFTER, LeftOutReason, Narrowing, Outcome, Patterns, Pipeline, RunId, Status,
    Timestamp, WhichWorkflows, Workflow, roll_up,
};
use proptest::prelude::*;

const DAY: i64 = 24 * 3600;

/// A run of `lane`, `at` seconds after the beginning.
fn run(lane: &str, id: u64, at: i64, status: Status) -> Pipeline {
    let mut run = Pipeline::new(RunId::from(id), status, status.as_str());
    run.workflow = Workflow { lane: lane.to_owned(), name: Some(lane.to_owned()) };
    run.created_at = Timestamp::from_second(1_700_000_000 + at).ok();
    run.sha = Some(format!("{id:040x}"));
    run.event = Some("push".to_owned());
    run.duration = Some(Duration::from_secs(60));
    run
}

fn rolled(runs: &[Pipeline]) -> domain::Rollup {
    roll_up(runs, &Narrowing::default(), &WhichWorkflows::Unknown)
}

fn reasons(rollup: &domain::Rollup) -> Vec<(String, LeftOutReason)> {
    rollup.left_out.iter().map(|l| (l.run.to_string(), l.reason)).collect()
}

#[test]
fn the_worst_workflow_decides() {
    let r = rolled(&[
        run("ci", 1, 10, Status::Success),
        run("lint", 2, 20, Status::Warning),
        run("deploy", 3, 30, Status::Failed),
    ]);
    assert_eq!(r.outcome, Some(Outcome::Failed));
    assert_eq!(r.decided.iter().map(|d| d.run.as_str()).collect::<Vec<_>>(), ["3", "2", "1"]);
}

#[test]
fn what_is_no_verdict_does_not_hide_the_one_before_it() {
    for status in
        [Status::Canceled, Status::Skipped, Status::Manual, Status::Queued, Status::Running, Status::Unknown]
    {
        let r = rolled(&[run("ci", 1, 10, Status::Failed), run("ci", 2, 20, status)]);
        assert_eq!(r.outcome, Some(Outcome::Failed), "{status}");
        assert_eq!(r.left_out.len(), 1, "{status}: it is told why it had no say");
        assert_eq!(r.activity, Activity::of(status), "{status}");
    }
}

#[test]
fn a_waiting_run_is_told_apart() {
    let r = rolled(&[run("ci", 1, 10, Status::Success), run("ci", 2, 20, Status::Manual)]);
    assert_eq!((r.outcome, r.activity), (Some(Outcome::Success), None));
    assert_eq!(r.waiting.unwrap().as_str(), "2");
}

#[test]
fn only_canceled_runs_say_so_but_never_against_a_verdict() {
    assert_eq!(rolled(&[run("ci", 1, 10, Status::Canceled)]).outcome, Some(Outcome::Canceled));
    let both = rolled(&[run("ci", 1, 10, Status::Canceled), run("lint", 2, 20, Status::Success)]);
    assert_eq!(both.outcome, Some(Outcome::Success));
}

#[test]
fn nothing_completed_is_no_outcome() {
    assert_eq!(rolled(&[]).outcome, None);
    assert_eq!(rolled(&[run("ci", 1, 10, Status::Running)]).outcome, None);
}

#[test]
fn an_unknown_end_never_looks_green() {
    let mut odd = run("ci", 2, 20, Status::Unknown);
    odd.finished_at = odd.created_at;
    let r = rolled(&[run("ci", 1, 10, Status::Success), run("lint", 3, 15, Status::Success), odd]);
    assert_eq!(r.outcome, Some(Outcome::Unknown));
}

#[test]
fn a_dead_workflow_does_not_stay_red_for_ever_but_a_quiet_branch_keeps_its_colour() {
    let old = run("nightly", 1, 0, Status::Failed);
    let dead = rolled(&[old.clone(), run("ci", 2, 31 * DAY, Status::Success)]);
    assert_eq!(dead.outcome, Some(Outcome::Success));
    assert_eq!(reasons(&dead), [("1".to_owned(), LeftOutReason::WorkflowDead)]);
    let alive = rolled(&[old.clone(), run("ci", 2, 30 * DAY, Status::Success)]);
    assert_eq!(alive.outcome, Some(Outcome::Failed));
    assert_eq!(rolled(&[old]).outcome, Some(Outcome::Failed));
    assert_eq!(DEAD_WORKFLOW_AFTER.as_hours(), 720);
}

#[test]
fn a_workflow_that_is_gone_does_not_count() {
    let there = WhichWorkflows::Only(BTreeSet::from(["ci".to_owned()]));
    let runs = [run("gone", 1, 20, Status::Failed), run("ci", 2, 10, Status::Success)];
    let r = roll_up(&runs, &Narrowing::default(), &there);
    assert_eq!(r.outcome, Some(Outcome::Success));
    assert_eq!(reasons(&r), [("1".to_owned(), LeftOutReason::WorkflowGone)]);
}

#[test]
fn settings_narrow_what_counts() {
    let narrowing = Narrowing {
        workflows: Patterns::new(["!deploy*"]).unwrap(),
        events: Patterns::new(["push"]).unwrap(),
    };
    let mut scheduled = run("ci", 3, 30, Status::Failed);
    scheduled.event = Some("schedule".to_owned());
    let runs = [run("deploy-eu", 1, 10, Status::Failed), run("ci", 2, 20, Status::Success), scheduled];
    let r = roll_up(&runs, &narrowing, &WhichWorkflows::Unknown);
    assert_eq!(r.outcome, Some(Outcome::Success));
    let mut why = reasons(&r);
    why.sort();
    assert_eq!(
        why,
        [("1".to_owned(), LeftOutReason::WorkflowFiltered), ("3".to_owned(), LeftOutReason::EventFiltered)]
    );
}

#[test]
fn broken_since_the_first_red_after_the_last_green() {
    let r = rolled(&[
        run("ci", 1, 10, Status::Failed),
        run("ci", 2, 20, Status::Success),
        run("ci", 3, 30, Status::Failed),
        run("ci", 4, 40, Status::Canceled),
        run("ci", 5, 50, Status::Failed),
    ]);
    let since = r.broken_since.unwrap();
    assert_eq!((since.run.as_str(), since.at_least), ("3", false));
    assert_eq!(since.at, Timestamp::from_second(1_700_000_030).ok());
    let unknown =
        rolled(&[run("ci", 1, 10, Status::Failed), run("ci", 2, 20, Status::Failed)]).broken_since.unwrap();
    assert_eq!((unknown.run.as_str(), unknown.at_least), ("1", true));
}

#[test]
fn being_fixed_means_that_every_red_workflow_runs_on_a_newer_commit() {
    let red = [run("ci", 1, 10, Status::Failed), run("e2e", 2, 10, Status::Failed)];
    let with = |more: &[Pipeline]| {
        let runs: Vec<_> = red.iter().chain(more).cloned().collect();
        rolled(&runs).broken_since.unwrap().fix.is_some()
    };
    assert!(!with(&[]));
    assert!(!with(&[run("ci", 3, 20, Status::Running)]));
    assert!(with(&[run("ci", 3, 20, Status::Running), run("e2e", 4, 20, Status::Queued)]));
    let mut same_commit = run("ci", 3, 20, Status::Running);
    same_commit.sha = red[0].sha.clone();
    assert!(
        !with(&[same_commit, run("e2e", 4, 20, Status::Running)]),
        "a re-run of the red commit is no fix"
    );
}

fn any_status() -> impl Strategy<Value = Status> {
    proptest::sample::select(Status::ALL.to_vec())
}

fn any_runs() -> impl Strategy<Value = Vec<Pipeline>> {
    proptest::collection::vec((0..4_usize, 0..80 * DAY, any_status(), any::<bool>()), 0..40).prop_map(
        |rows| {
            let lanes = ["ci", "e2e", "deploy", "nightly"];
            rows.into_iter()
                .enumerate()
                .map(|(id, (lane, at, status, ended))| {
                    let mut r = run(lanes[lane], id as u64, at, status);
                    r.finished_at = if ended { r.created_at } else { None };
                    r
                })
                .collect()
        },
    )
}

proptest! {
    #[test]
    fn order_of_arrival_does_not_matter(runs in any_runs(), seed in any::<u64>()) {
        let mut shuffled = runs.clone();
        // A fixed permutation from the seed: no randomness that a failure could not repeat.
        shuffled.sort_by_key(|r| r.id.as_str().parse::<u64>().unwrap_or(0).wrapping_mul(seed | 1));
        prop_assert_eq!(rolled(&runs), rolled(&shuffled));
    }

    #[test]
    fn the_outcome_is_the_worst_that_decided(runs in any_runs()) {
        let r = rolled(&runs);
        prop_assert_eq!(r.outcome, r.decided.iter().map(|d| d.outcome).max());
        let lanes: BTreeSet<_> = r.decided.iter().map(|d| &d.lane).collect();
        prop_assert_eq!(lanes.len(), r.decided.len(), "one run a workflow decides");
    }

    #[test]
    fn no_run_both_decides_and_is_left_out(runs in any_runs()) {
        let r = rolled(&runs);
        for left in &r.left_out {
            prop_assert!(r.decided.iter().all(|d| d.run != left.run));
        }
    }

    #[test]
    fn every_workflow_is_accounted_for(runs in any_runs()) {
        let r = rolled(&runs);
        let told: BTreeSet<_> = r.decided.iter().map(|d| &d.lane).chain(r.left_out.iter().map(|l| &l.lane)).collect();
        let there: BTreeSet<_> = runs.iter().map(|r| &r.workflow.lane).collect();
        prop_assert_eq!(told, there);
    }

    #[test]
    fn a_newer_run_that_is_active_or_no_verdict_never_changes_a_known_outcome(runs in any_runs(), status in any_status()) {
        prop_assume!(!status.is_verdict());
        let before = rolled(&runs);
        let verdict = |o| matches!(o, Outcome::Success | Outcome::Warning | Outcome::Failed);
        let Some(decided) = before.decided.iter().find(|d| verdict(d.outcome)) else {
            return Ok(());
        };
        let newest = runs.iter().filter_map(|r| r.created_at).max().unwrap();
        let mut more = runs;
        let mut last = run(&decided.lane, 1_000, 0, status);
        last.created_at = Some(newest);
        more.push(last);
        prop_assert_eq!(rolled(&more).outcome, before.outcome);
    }

    #[test]
    fn red_tells_since_when_and_only_red_does(runs in any_runs()) {
        let r = rolled(&runs);
        prop_assert_eq!(r.broken_since.is_some(), r.outcome == Some(Outcome::Failed));
    }
}
