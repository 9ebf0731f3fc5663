//! What every connector promises, for this one.

use connector_suite::Subject;
use forge_sim::world::Trigger;

connector_suite::contract!(Subject {
    project_id: |project| project.native_id.to_string(),
    branch: |_, run| match run.trigger {
        Trigger::MergeRequest(number) => Some(format!("refs/merge-requests/{number}/head")),
        _ => Some(run.branch.to_string()),
    },
    paths_of: Some(|project| format!("*/projects/{}/*", project.native_id)),
    status_keys: &["status", "group"],
    ..Subject::new(&connector_gitlab::PLATFORM, forge_sim::gitlab::FACE)
});
