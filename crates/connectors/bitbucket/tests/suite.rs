//! What every connector promises, for Bitbucket Cloud.

use connector_suite::Subject;
use forge_sim::bitbucket::{FACE, run_uuid};

connector_suite::contract!(Subject {
    url: |face| format!("{face}/2.0"),
    run_id: |_, run| run_uuid(run.id),
    paths_of: Some(|project| format!("*/repositories/{}/*", project.full_path())),
    // A state, its stage and its result have names.
    status_keys: &["name"],
    // One for each repository, and the listing: one for the workspaces and one for each of them.
    at_rest: |projects| projects + projects.div_ceil(2),
    ..Subject::new(&connector_bitbucket::PLATFORM, FACE)
});
