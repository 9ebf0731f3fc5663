//! What every connector promises, for this one: once where every project is a multibranch job, once where each is a single
//! pipeline, which has no branches.

use connector_suite::{Has, Subject};
use domain::encode_segment;
use forge_sim::jenkins::{FACE, child_of};
use forge_sim::world::{Pipeline, Project, Trigger};

fn paths_of(project: &Project) -> String {
    let parts: Vec<String> =
        project.full_path().split('/').map(|part| format!("/job/{}", encode_segment(part))).collect();
    format!("*{}/*", parts.concat())
}

fn branch_of(run: &Pipeline) -> String {
    match run.trigger {
        Trigger::MergeRequest(number) => format!("PR-{number}"),
        _ => run.branch.to_string(),
    }
}

const JENKINS: Subject = Subject {
    // A user only beside a token.
    settings: |_, settings| settings.user = settings.token.as_ref().map(|_| "ann".to_owned()),
    paths_of: Some(paths_of),
    status_keys: &["result", "status"],
    // The listing, and whether the one build that waits for somebody still does.
    at_rest: |_| 2,
    has: Has { retry_keeps_run: false, ..Has::EVERYTHING },
    ..Subject::new(&connector_jenkins::PLATFORM, FACE)
};

mod multibranch {
    use super::*;

    connector_suite::contract!(Subject {
        url: |url| format!("{url}/all-multibranch"),
        run_id: |_, run| format!("{}/{}", child_of(run).name(), run.number),
        branch: |_, run| Some(branch_of(run)),
        ..JENKINS
    });
}

mod single {
    use super::*;

    connector_suite::contract!(Subject {
        url: |url| format!("{url}/all-single/behind/a/prefix/"),
        run_id: |_, run| run.number.to_string(),
        branch: |_, _| None,
        has: Has { branches: false, ..JENKINS.has },
        ..JENKINS
    });
}
