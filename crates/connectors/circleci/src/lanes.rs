//! In which lane a pipeline without workflows runs.
//!
//! A pipeline whose configuration is broken came to no workflow, so it has no name of one. In a lane of its own its
//! failure would stay for ever: no workflow that runs later would take its place. It kept the branch's next workflow from
//! running, so it is in the lane of the workflow that ran next on its branch, or last as long as none has: there it is red
//! until that one is green.

use std::collections::BTreeMap;

use domain::Pipeline;

/// Whether this run is a pipeline that stands for itself: a workflow's run has the name of its workflow.
pub(crate) const fn stands_for_itself(run: &Pipeline) -> bool {
    run.workflow.name.is_none()
}

/// Puts the pipelines that stand for themselves into lanes.
pub(crate) fn settle(runs: &mut [Pipeline]) {
    let mut by_branch: BTreeMap<String, BTreeMap<u64, String>> = BTreeMap::new();
    for run in runs.iter().filter(|run| !stands_for_itself(run)) {
        let Some((branch, number)) = run.branch.clone().zip(run.number) else { continue };
        let lane =
            by_branch.entry(branch).or_default().entry(number).or_insert_with(|| run.workflow.lane.clone());
        // Of several the first by name, so that it is the same one at each reading.
        if run.workflow.lane < *lane {
            lane.clone_from(&run.workflow.lane);
        }
    }
    for run in runs.iter_mut().filter(|run| stands_for_itself(run)) {
        let lanes = run.branch.as_ref().and_then(|branch| by_branch.get(branch));
        let Some((lanes, number)) = lanes.zip(run.number) else { continue };
        let next = lanes.range(number..).next().or_else(|| lanes.range(..number).next_back());
        run.workflow.lane = next.map(|(_, lane)| lane.clone()).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use domain::{Narrowing, Outcome, RunId, Status, WhichWorkflows, Workflow, roll_up};

    use super::*;

    fn run(number: u64, lane: &str, status: Status) -> Pipeline {
        Pipeline {
            number: Some(number),
            workflow: Workflow { lane: lane.to_owned(), name: (!lane.is_empty()).then(|| lane.to_owned()) },
            branch: Some("main".into()),
            created_at: Some(
                domain::Timestamp::from_second(1_700_000_000 + i64::try_from(number).unwrap()).unwrap(),
            ),
            ..Pipeline::new(RunId::new(format!("{number}-{lane}")), status, "")
        }
    }

    fn outcome(mut runs: Vec<Pipeline>) -> Option<Outcome> {
        settle(&mut runs);
        roll_up(&runs, &Narrowing::default(), &WhichWorkflows::Unknown).outcome
    }

    #[test]
    fn a_broken_configuration_is_red_until_it_is_mended() {
        use Status::{Failed, Skipped, Success};
        assert_eq!(outcome(vec![run(1, "", Failed)]), Some(Outcome::Failed));
        assert_eq!(outcome(vec![run(1, "build", Success), run(2, "", Failed)]), Some(Outcome::Failed));
        let mended = vec![run(1, "build", Success), run(2, "", Failed), run(3, "build", Success)];
        assert_eq!(outcome(mended), Some(Outcome::Success));
        let renamed = vec![run(1, "old", Success), run(2, "", Failed), run(3, "new", Success)];
        assert_eq!(outcome(renamed), Some(Outcome::Success));
        let first = vec![run(1, "", Failed), run(2, "", Failed), run(3, "a", Success), run(3, "b", Success)];
        assert_eq!(outcome(first), Some(Outcome::Success));
        let filtered = vec![run(1, "build", Failed), run(2, "", Skipped)];
        assert_eq!(outcome(filtered), Some(Outcome::Failed), "what did not run mends nothing");
    }

    #[test]
    fn branches_do_not_mix() {
        let mut runs =
            vec![run(1, "build", Status::Success), run(2, "", Status::Failed), run(3, "", Status::Failed)];
        runs[1].branch = Some("other".into());
        runs[2].branch = None;
        settle(&mut runs);
        assert_eq!((runs[1].workflow.lane.as_str(), runs[2].workflow.lane.as_str()), ("", ""));
    }
}
