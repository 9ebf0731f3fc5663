//! What every connector promises, for Bitbucket Data Center.

use connector_suite::{Has, Subject};
use forge_sim::bitbucket_dc::{FACE, build_key};
use forge_sim::world::{Pipeline, Project};

/// On a commit the newest build of a key replaces the others.
fn run_id(project: &Project, run: &Pipeline) -> String {
    let key = build_key(project, run);
    let same = |other: &&Pipeline| other.sha == run.sha && build_key(project, other) == key;
    let newest = project.pipelines().iter().rev().find(same).map_or(run.id, |newest| newest.id);
    if newest == run.id { format!("{}:{key}", run.sha) } else { format!("replaced {}", run.id) }
}

connector_suite::contract!(Subject {
    url: |face| format!("{face}/bitbucket"),
    run_id,
    paths_of: Some(|project| format!("*/repos/{}/*", project.path)),
    status_keys: &["state"],
    // One for each repository, one for up to a hundred of their commits, and those with a build going on.
    at_rest: |projects| projects + projects.div_ceil(4) + 4,
    has: Has {
        history: false,
        jobs: false,
        logs: false,
        manual: false,
        warnings: false,
        issues: false,
        ..Has::EVERYTHING
    },
    ..Subject::new(&connector_bitbucket::PLATFORM, FACE)
});
