//! What people with SQL tools find.

use std::time::Duration;

use domain::{Deployment, Job, JobId, Pipeline, RunId, Status, WebUrl};
use history::{Batch, History, RunNews};

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

/// Rows of [`deployment_runs`](crate::deployment_runs) after [`told`].
#[must_use]
pub fn deployments() -> Vec<String> {
    let ms = |day, second| at(day, second).as_millisecond();
    let [sha, url] = ["ab".repeat(20), PAGE.to_owned()];
    vec![
        format!(
            "forge|1|group/1|7|eu-1|production|failed|error|main|2|{sha}|{url}|{}|{}|61.5",
            ms(1, 0),
            ms(1, 61) + 500
        ),
        // Nobody said when it began; nor of which run, commit and branch it is.
        format!("forge|1|group/1|8|eu-1|other|success|SUCCESS|-|-|-|-|{0}|{0}|-", ms(3, 5)),
        // Of ids that are no numbers.
        format!("forge|2|2|DE_x|production|production|running|running|main|run/9|-|-|{}|-|-", ms(2, 0)),
    ]
}

const PAGE: &str = "https://forge.example/deployments/7";

/// The job that [`told`] tells of: project, run, attempt, name, status, reason.
pub const JOB: &str = "1|1|1|build|failed|exit code 2";

/// Writes some runs and deployments down.
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
    let whole = Deployment {
        production: Some(true),
        sha: Some("ab".repeat(20)),
        branch: Some("main".into()),
        created_at: Some(at(1, 0)),
        finished_at: Some(at(1, 61) + Duration::from_millis(500)),
        run: Some(RunId::from(2)),
        url: WebUrl::parse(PAGE),
        ..Deployment::new("7", "eu-1", Status::Failed, "error")
    };
    let seen_late = Deployment {
        finished_at: Some(at(3, 5)),
        ..Deployment::new("8", "eu-1", Status::Success, "SUCCESS")
    };
    let goes_on = Deployment {
        branch: Some("main".into()),
        created_at: Some(at(2, 0)),
        run: Some(RunId::new("run/9")),
        ..Deployment::new("DE_x", "production", Status::Running, "running")
    };
    let mut batch = Batch::at(at(3, 10));
    let told = [("1", whole), ("1", seen_late), ("2", goes_on)];
    batch.deployments = told.map(|(project, d)| (key(project), d)).into();
    history.ingest(batch).await.unwrap();
}
