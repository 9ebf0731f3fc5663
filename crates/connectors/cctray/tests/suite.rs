//! What every connector promises, for this one.

use connector_suite::{Has, Subject};
use forge_sim::world::{Pipeline, Project, Trigger};
use jiff::Timestamp;

/// The label and the time of a build that ended; of one that goes on, what it comes after.
fn run_id(project: &Project, run: &Pipeline) -> String {
    if run.status.is_terminal() {
        let at = run.finished_at.unwrap_or(run.updated_at);
        return format!("{} @ {}", run.number, Timestamp::from_second(at.as_second()).unwrap_or(at));
    }
    let default = project.default_branch.as_deref();
    let told = |r: &&Pipeline| {
        r.workflow == 0 && Some(&*r.branch) == default && !matches!(r.trigger, Trigger::MergeRequest(_))
    };
    let ended = project.pipelines().iter().rev().filter(told).find(|r| r.status.is_terminal());
    format!("after {}", ended.map_or_else(|| "last".to_owned(), |r| r.number.to_string()))
}

connector_suite::contract!(Subject {
    url: |face| format!("{face}/cctray.xml"),
    run_id,
    branch: |_, _| None,
    status_keys: &["lastBuildStatus", "activity"],
    // One request for everything, and that is answered 304.
    at_rest: |_| 0,
    has: Has {
        branches: false,
        history: false,
        first_sight: 1,
        jobs: false,
        logs: false,
        commits: false,
        retry_keeps_run: false,
        manual: false,
        warnings: false,
        ..Has::EVERYTHING
    },
    ..Subject::new(&connector_cctray::PLATFORM, forge_sim::cctray::FACE)
});
