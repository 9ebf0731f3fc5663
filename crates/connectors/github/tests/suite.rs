//! What every connector promises, for this one.

use connector_suite::Subject;

/// GitHub's run ids begin here in the simulation.
const FIRST_RUN: u64 = 9_000_000_000;

connector_suite::contract!(Subject {
    run_id: |_, run| (FIRST_RUN + run.id).to_string(),
    paths_of: Some(|project| format!("*/repos/{}/*", project.full_path())),
    status_keys: &["status", "conclusion"],
    ..Subject::new(&connector_github::PLATFORM, forge_sim::github::FACE)
});
