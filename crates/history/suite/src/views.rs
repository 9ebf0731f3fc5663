//! What people with SQL tools find.

use std::time::Duration;

use domain::{Job, JobId, Pipeline, Status};
use history::{History, RunNews};

use crate::{Story, at, key, run};

/// Rows of [`pipeline_stats`](crate::pipeline_stats) after [`told`].
#[must_use]
pub fn stats() -> Vec<String> {
    let ms = |day, second| at(day, second).as_millisecond();
    vec![
        // Of the run that was tried again the first attempt; of the one that was seen late the earliest that is known.
        format!("forge|1|group/1|main|5|2|2|1|17.5|10.0|30.0|{}", ms(40, 0)),
        format!("forge|1|group/1|other|1|1|0|0|10.0|10.0|10.0|{}", ms(2, 0)),
        format!("forge|2|2|-|1|0|0|0|{}", ms(3, 0)),
    ]
}

/// The job that [`told`] tells of: project, run, attempt, name, status, reason.
pub const JOB: &str = "1|1|1|build|failed|exit code 2";

/// Writes some runs down.
pub async fn told(history: &dyn History) {
    let took = |seconds: u64, pipeline: Pipeline| Pipeline {
        duration: Some(Duration::from_secs(seconds)),
        ..pipeline
    };
    let attempt = |number: u32, pipeline: Pipeline| Pipeline {
        attempt: Some(number),
        updated_at: Some(at(60, number.into())),
        ..pipeline
    };
    let job = Job {
        failure_reason: Some("exit code 2".into()),
        ..Job::new(JobId::from(5), "build", Status::Failed, "failed")
    };
    let red = attempt(1, run(1, Status::Failed, 0, 0));
    Story::new()
        .project("1")
        .news(RunNews { jobs: Some(vec![job]), ..RunNews::of(key("1"), red) })
        .run("1", attempt(2, took(500, run(1, Status::Success, 0, 0))))
        .run("1", attempt(3, took(30, run(2, Status::Warning, 1, 0))))
        .run("1", attempt(4, took(500, run(2, Status::Failed, 1, 0))))
        .run("1", took(20, run(3, Status::Failed, 1, 60)))
        .run("1", took(900, run(4, Status::Canceled, 2, 0)))
        .run("1", run(5, Status::Success, 40, 0))
        .run("1", Pipeline { branch: Some("other".into()), ..run(6, Status::Success, 2, 0) })
        .run("2", Pipeline { branch: None, duration: None, ..run(7, Status::Running, 3, 0) })
        .told(history)
        .await;
}
