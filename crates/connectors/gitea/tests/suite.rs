//! What every connector promises, for this one.

use connector_suite::{Has, Subject};

connector_suite::contract!(Subject {
    // Under a path prefix, as many are.
    url: |url| format!("{url}/git/"),
    paths_of: Some(|project| format!("*/repos/{}/*", project.full_path())),
    status_keys: &["status", "conclusion"],
    // There are no entity tags: the listing, and one small page of each repository.
    at_rest: |projects| projects + 1,
    // A job that may fail ends well as far as the API tells.
    has: Has { warnings: false, ..Has::EVERYTHING },
    ..Subject::new(&connector_gitea::PLATFORM, forge_sim::gitea::FACE)
});
