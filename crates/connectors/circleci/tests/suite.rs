//! What every connector promises, for this one.

use connector_suite::{Has, Subject};
use forge_sim::world::Shape;

connector_suite::contract!(Subject {
    lists: |project| project.member && project.shape != Shape::CiDisabled,
    project_id: |project| format!("gh/{}", project.full_path()),
    // The workflow of the newest try, as the simulation makes its id.
    run_id: |_, run| format!("c1a00002-{:04x}-4000-8000-{:012x}", run.attempt, run.id),
    paths_of: Some(|project| format!("*/project/gh/{}/*", project.full_path())),
    // One for each organization, and one for each project that is red or waits.
    at_rest: |projects| 14 + projects / 4,
    has: Has { first_sight: 20, retry_keeps_run: false, warnings: false, ..Has::EVERYTHING },
    ..Subject::new(&connector_circleci::PLATFORM, forge_sim::circleci::FACE)
});
