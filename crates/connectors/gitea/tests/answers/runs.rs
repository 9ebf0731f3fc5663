//! Runs, jobs and logs.

use config::LogAccess;
use connector::{Error, PipelineQuery};
use domain::{JobId, Log, Pipeline, RunId, Status};
use serde_json::{Value, json};

use crate::forge::{Forge, REPO, forgejo_run, job, run, task};

const ALL: PipelineQuery = PipelineQuery { branch: None, since: None, until: None, limit: 100 };

async fn one(row: Value) -> Pipeline {
    let forge = Forge::start().await;
    forge.give_runs("", 1, &[row]);
    let project = forge.project().await;
    forge.gitea.pipelines(&project, &ALL).await.unwrap().items.remove(0)
}

#[tokio::test]
async fn the_branch_of_a_run_never_passes_for_another() {
    let home = json!({ "id": 7, "url": "https://git.example.com/api/v1/repos/acme/web", "name": "web" });
    let fork = json!({ "id": 9, "url": "https://git.example.com/git/api/v1/repos/lee/web", "name": "web" });
    let pull = |head: Value, at: &str| {
        let ends =
            json!({ "head": { "ref": "topic", "repo": head }, "base": { "ref": "main", "repo": home } });
        json!({ "event": "pull_request", "head_branch": null, "path": format!("ci.yml@{at}"), "pull_requests": [ends] })
    };
    let bare = |event: &str, at: &str| json!({ "event": event, "head_branch": null, "path": format!("ci.yml@{at}") });
    for (change, want) in [
        (json!({}), Some("main")),
        (json!({ "head_branch": "main", "path": "ci.yml" }), Some("main")),
        (bare("push", "refs/tags/v1.2"), Some("v1.2")),
        (bare("schedule", "refs/heads/a/b@c"), Some("a/b@c")),
        (bare("push", ""), None),
        (json!({ "head_branch": "", "path": null }), None),
        (pull(home.clone(), "refs/pull/3/head"), Some("topic")),
        (pull(fork, "refs/pull/3/head"), Some("lee:topic")),
        (pull(json!({ "id": 9 }), "refs/pull/3/head"), Some("unknown:topic")),
        (bare("pull_request", "refs/pull/3/head"), Some("#3")),
        (bare("pull_request_target", "refs/heads/main"), Some("unknown:main")),
        (json!({ "event": "pull_request_target", "head_branch": "main" }), Some("unknown:main")),
    ] {
        let run = one(run(1, "success", change.clone())).await;
        assert_eq!(run.branch.as_deref(), want, "{change}");
    }
    for (change, want) in [
        (json!({}), Some("main")),
        (json!({ "prettyref": "#3", "event": "pull_request" }), Some("#3")),
        (json!({ "prettyref": "v1.2" }), Some("v1.2")),
    ] {
        assert_eq!(one(forgejo_run(1, "success", change.clone())).await.branch.as_deref(), want, "{change}");
    }
}

#[tokio::test]
async fn both_ways_of_telling_a_run_are_read() {
    let gitea = one(run(9, "failure", json!({ "run_attempt": 0 }))).await;
    assert_eq!(
        (gitea.status, gitea.native_status.as_str(), gitea.attempt),
        (Status::Failed, "failure", None)
    );
    assert_eq!((gitea.workflow.lane.as_str(), gitea.sha.as_deref()), ("ci.yml", Some("sha9")));
    assert_eq!(gitea.duration, Some(std::time::Duration::from_secs(3600)));
    let forgejo = one(forgejo_run(9, "failure", json!({}))).await;
    assert_eq!((forgejo.status, forgejo.native_status.as_str()), (Status::Failed, "failure"));
    assert_eq!((forgejo.workflow.lane.as_str(), forgejo.sha.as_deref()), ("ci.yml", Some("sha9")));
    assert_eq!(forgejo.author.unwrap().name, "aruiz", "who has no full name");
    for (row, want) in [
        (run(1, "", json!({ "status": "waiting", "conclusion": null })), Status::Manual),
        (forgejo_run(1, "waiting", json!({})), Status::Queued),
        (forgejo_run(1, "blocked", json!({})), Status::Queued),
        (forgejo_run(1, "blocked", json!({ "need_approval": true })), Status::Manual),
        (forgejo_run(1, "success", json!({ "need_approval": true })), Status::Success),
        (forgejo_run(1, "running_with_failure", json!({})), Status::Running),
        // Both at once, as some server may come to give it.
        (
            run(
                1,
                "success",
                json!({ "index_in_repo": 1, "prettyref": "main", "title": "x", "created": 1780660800 }),
            ),
            Status::Success,
        ),
        (json!({ "id": 3 }), Status::Unknown),
        (
            json!({ "id": 3, "status": 7, "started_at": [], "actor": null, "pull_requests": null }),
            Status::Unknown,
        ),
    ] {
        let run = one(row.clone()).await;
        assert_eq!(run.status, want, "{row}");
        assert_eq!(
            run.finished_at.is_some(),
            want == Status::Success,
            "{row}: an end only for what has ended"
        );
    }
}

#[tokio::test]
async fn clocks_that_run_backwards_make_no_time() {
    let back = json!({ "started_at": "2026-11-24T10:00:00Z", "completed_at": "2026-11-24T09:00:00Z" });
    assert_eq!(one(run(1, "success", back)).await.duration, Some(std::time::Duration::ZERO));
    for at in ["2026-11-24T09:00:00.123456789+02:00", "2026-11-24 07:00:00 UTC", "1795503600"] {
        let run = one(run(1, "success", json!({ "started_at": at }))).await;
        assert_eq!(run.started_at.unwrap().to_string()[..19], *"2026-11-24T07:00:00", "{at}");
    }
}

#[tokio::test]
async fn jobs_say_what_failed() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    forge.give(&format!("{REPO}/actions/runs/5"), run(5, "failure", json!({})));
    let give = |jobs: &[Value]| {
        let body = json!({ "total_count": jobs.len(), "jobs": jobs });
        forge.give(&format!("{REPO}/actions/runs/5/jobs"), body);
    };
    let good = [("Set up", "success"), ("cargo test", "failure"), ("Clean", "success")];
    // Gitea 1.25 tells of each step how its job is.
    let all = [("Set up", "failure"), ("cargo test", "failure")];
    for (jobs, want) in [
        (
            vec![job(1, "build", "success", &[]), job(2, "e2e", "failure", &good)],
            "e2e: step \"cargo test\" failed",
        ),
        (vec![job(2, "e2e", "failure", &all)], "e2e: failed"),
        (vec![job(2, "e2e", "failure", &[]), job(3, "lint", "failure", &[])], "e2e and lint failed"),
        ((1..=4).map(|n| job(n, &format!("j{n}"), "failure", &[])).collect(), "j1, j2 and 2 more failed"),
    ] {
        give(&jobs);
        let detail = forge.gitea.pipeline(&project, &RunId::from(5)).await.unwrap();
        assert_eq!(detail.pipeline.failure.as_deref(), Some(want));
        assert_eq!((detail.jobs.len(), detail.problems.len()), (jobs.len(), 0));
        assert_eq!(detail.pipeline.workflow.name.as_deref(), Some("ci.yml"));
    }
    // A job that waits for others is queued; one of a run that waits for approval is not.
    let waiting = json!({ "id": 1, "name": "deploy", "status": "waiting", "steps": null });
    give(std::slice::from_ref(&waiting));
    let detail = forge.gitea.pipeline(&project, &RunId::from(5)).await.unwrap();
    assert_eq!(detail.jobs[0].status, Status::Queued);
    forge.give(
        &format!("{REPO}/actions/runs/5"),
        run(5, "", json!({ "status": "waiting", "conclusion": null })),
    );
    let detail = forge.gitea.pipeline(&project, &RunId::from(5)).await.unwrap();
    assert_eq!((detail.pipeline.status, detail.jobs[0].status), (Status::Manual, Status::Manual));
}

#[tokio::test]
async fn jobs_come_page_by_page_and_a_page_that_fails_is_said() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    forge.give(&format!("{REPO}/actions/runs/5"), run(5, "success", json!({})));
    let jobs =
        |from: u64, to: u64| (from..to).map(|n| job(n, &format!("j{n}"), "success", &[])).collect::<Vec<_>>();
    let path = format!("{REPO}/actions/runs/5/jobs");
    forge.give(&path, json!({ "total_count": 70, "jobs": jobs(0, 50) }));
    forge.give(&format!("{path}?page=2"), json!({ "total_count": 70, "jobs": jobs(50, 70) }));
    let detail = forge.gitea.pipeline(&project, &RunId::from(5)).await.unwrap();
    assert_eq!((detail.jobs.len(), detail.problems.len()), (70, 0));
    forge.answer(&format!("{path}?page=2"), 404, &[], "");
    let detail = forge.gitea.pipeline(&project, &RunId::from(5)).await.unwrap();
    assert_eq!(detail.jobs.len(), 50);
    assert!(detail.problems[0].text.contains("further jobs"), "{:?}", detail.problems);
}

#[tokio::test]
async fn forgejos_jobs_get_their_times_from_tasks_and_before_that_are_tasks() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    forge.give(
        &format!("{REPO}/actions/runs/905"),
        forgejo_run(905, "failure", json!({ "index_in_repo": 5 })),
    );
    let tasks = json!({ "total_count": 3, "workflow_runs": [task(33, 6, "x", "success"), task(32, 5, "e2e", "failure"), task(31, 5, "build", "success")] });
    forge.give(&format!("{REPO}/actions/tasks"), tasks);
    // Forgejo 12 to 15.
    let detail = forge.gitea.pipeline(&project, &RunId::from(905)).await.unwrap();
    let told: Vec<_> = detail.jobs.iter().map(|j| (j.id.as_str(), j.status)).collect();
    assert_eq!(told, [("task-31", Status::Success), ("task-32", Status::Failed)]);
    assert_eq!(detail.pipeline.failure.as_deref(), Some("e2e: failed"));
    // Forgejo 16.
    let jobs = json!([
        { "id": 71, "name": "build", "status": "success", "task_id": 31, "attempt": 1 },
        { "id": 72, "name": "e2e", "status": "failure", "task_id": 32, "attempt": 1 },
        { "id": 73, "name": "deploy", "status": "skipped", "task_id": 0 },
        7,
    ]);
    forge.give(&format!("{REPO}/actions/runs/905/jobs"), jobs);
    let detail = forge.gitea.pipeline(&project, &RunId::from(905)).await.unwrap();
    assert_eq!(detail.jobs.iter().map(|j| j.id.as_str()).collect::<Vec<_>>(), ["71", "72", "73"]);
    assert_eq!(detail.jobs[1].duration, Some(std::time::Duration::from_secs(40)));
    assert_eq!((detail.jobs[2].started_at, detail.jobs[2].status), (None, Status::Skipped));
    assert!(detail.problems[0].text.starts_with("1 of 4 jobs"), "{:?}", detail.problems);
}

#[tokio::test]
async fn lists_are_read_to_the_end_whatever_filters_the_server_knows() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let rows = |from: u64, to: u64| {
        let of = |id: u64| if id.is_multiple_of(2) { "main" } else { "dev" };
        (from..=to).rev().map(|id| run(id, "success", json!({ "head_branch": of(id) }))).collect::<Vec<_>>()
    };
    forge.give_runs("", 90, &rows(41, 90));
    // A new run came in between: the rows have moved down by one.
    forge.give_runs("page=2", 91, &rows(1, 41));
    let all = forge.gitea.pipelines(&project, &ALL).await.unwrap();
    assert_eq!((all.items.len(), all.total, all.problems.len()), (90, Some(90), 0));
    let main = PipelineQuery { branch: Some("main".into()), ..ALL };
    let some = forge.gitea.pipelines(&project, &main).await.unwrap();
    assert_eq!((some.items.len(), some.total), (45, None), "the count is of all branches");
    let since = Some(crate::forge::at("09:58:00"));
    let recent = forge.gitea.pipelines(&project, &PipelineQuery { since, ..ALL }).await.unwrap();
    assert!(recent.items.iter().all(|r| r.updated_at >= since), "{recent:?}");
    // The last page fails: what came is kept.
    forge.answer(&format!("{REPO}/actions/runs?page=2"), 502, &[], "");
    let some = forge.gitea.pipelines(&project, &ALL).await.unwrap();
    assert_eq!(some.items.len(), 50);
    assert!(some.problems[0].text.contains("older runs"), "{:?}", some.problems);
    // A pull request of Forgejo's is found by its ref.
    forge.asked();
    forge.give_runs(
        "ref=refs/pull/3/head",
        1,
        &[forgejo_run(3, "success", json!({ "prettyref": "#3", "event": "pull_request" }))],
    );
    let pull = PipelineQuery { branch: Some("#3".into()), ..ALL };
    assert_eq!(forge.gitea.pipelines(&project, &pull).await.unwrap().items.len(), 1);
}

async fn log(forge: &Forge, job: &str) -> connector::Result<Log> {
    let project = forge.project().await;
    forge.gitea.log(&project, &RunId::from(5), &JobId::new(job), 60).await
}

#[tokio::test]
async fn logs_or_why_there_are_none() {
    let forge = Forge::start().await;
    let path = format!("{REPO}/actions/jobs/11/logs");
    let raw = "2026-11-20T10:00:00.1234567Z ::group::Run cargo test\n2026-11-20T10:00:01.1234567Z ::error::exit 101\n";
    forge.answer(&path, 200, &[("content-type", "text/plain")], raw);
    let told = log(&forge, "11").await.unwrap();
    assert_eq!((told.text.as_str(), told.truncated), ("Error: exit 101", true), "the end, cut at a line");
    forge.answer(&path, 200, &[], "");
    assert_eq!(log(&forge, "11").await.unwrap().note.as_deref(), Some("the log is empty"));
    forge.answer(&path, 404, &[], r#"{"message":"logs have been cleaned up"}"#);
    let row = |status: &str, conclusion: Value| json!({ "id": 11, "name": "x", "status": status, "conclusion": conclusion });
    for (row, want) in [
        (row("queued", Value::Null), "no log yet"),
        (row("in_progress", Value::Null), "no log yet"),
        (row("blocked", Value::Null), "no log yet"),
        (row("completed", json!("skipped")), "never ran"),
        (row("cancelled", Value::Null), "never ran"),
        (row("completed", json!("failure")), "expired"),
        (row("success", Value::Null), "expired"),
    ] {
        forge.give(&format!("{REPO}/actions/jobs/11"), row.clone());
        let told = log(&forge, "11").await.unwrap();
        assert!(told.text.is_empty() && told.note.as_deref().unwrap().contains(want), "{row}: {told:?}");
    }
    assert!(matches!(log(&forge, "12").await, Err(Error::NotFound(_))));
    let forge = Forge::start_with(|s| s.logs = LogAccess::None).await;
    assert!(log(&forge, "11").await.unwrap().note.unwrap().contains("switched off"));
    assert_eq!(forge.asked(), [""; 0]);
}
