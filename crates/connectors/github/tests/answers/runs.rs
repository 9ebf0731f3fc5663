//! Lists of runs, and runs with their jobs.

use connector::{Error, PipelineQuery};
use domain::{ProblemKind, RunId, Status};
use serde_json::{Value, json};

use crate::forge::{Forge, REPO, at, job, run};

fn query(limit: usize) -> PipelineQuery {
    PipelineQuery { branch: None, since: None, until: None, limit }
}

fn list(runs: &[Value]) -> Value {
    json!({ "total_count": 500, "workflow_runs": runs })
}

/// Three pages of two runs.
fn three_pages(forge: &Forge) {
    for page in 1..=3_u64 {
        let runs = [run(10 - 2 * page, "success", json!({})), run(9 - 2 * page, "success", json!({}))];
        let query = if page == 1 { String::new() } else { format!("?page={page}") };
        let next = format!("<{}{REPO}/actions/runs?page={}>; rel=\"next\"", forge.uri(), page + 1);
        let headers = [("link", next.as_str())];
        let headers = if page < 3 { &headers[..] } else { &[] };
        forge.answer(&format!("{REPO}/actions/runs{query}"), 200, headers, list(&runs));
    }
}

#[tokio::test]
async fn runs_are_read_to_the_end_or_the_limit() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    three_pages(&forge);
    let all = forge.github.pipelines(&project, &query(100)).await.unwrap();
    let ids: Vec<_> = all.items.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(ids, ["8", "7", "6", "5", "4", "3"]);
    assert_eq!(all.problems, []);
    forge.asked();
    let some = forge.github.pipelines(&project, &query(3)).await.unwrap();
    assert_eq!((some.items.len(), forge.asked().len()), (3, 2));
}

#[tokio::test]
async fn a_page_that_fails_keeps_what_came() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    three_pages(&forge);
    forge.answer(&format!("{REPO}/actions/runs?page=3"), 403, &[], json!({ "message": "no" }));
    let some = forge.github.pipelines(&project, &query(100)).await.unwrap();
    assert_eq!(some.items.len(), 4);
    assert_eq!(some.problems.len(), 1);
    assert_eq!(some.problems[0].kind, ProblemKind::Partial);
    assert!(some.problems[0].text.starts_with("older runs: "), "{:?}", some.problems);

    // A next page elsewhere is not followed: the token belongs here.
    let away = [("link", "<https://evil.example.com/runs?page=2>; rel=\"next\"")];
    forge.answer(&format!("{REPO}/actions/runs"), 200, &away, list(&[run(1, "success", json!({}))]));
    assert!(matches!(forge.github.pipelines(&project, &query(100)).await, Err(Error::Redirect(_))));
}

#[tokio::test]
async fn a_list_that_links_to_itself_ends() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let next = format!("<{}{REPO}/actions/runs?page=1>; rel=\"next\"", forge.uri());
    forge.answer(
        &format!("{REPO}/actions/runs"),
        200,
        &[("link", &next)],
        list(&[run(1, "success", json!({}))]),
    );
    let all = forge.github.pipelines(&project, &query(100)).await.unwrap();
    assert_eq!((all.items.len(), forge.asked().len()), (1, 2));
}

#[tokio::test]
async fn narrowing_asks_github_and_leaves_forks_out() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let fork =
        json!({ "event": "pull_request", "head_repository": { "id": 99, "owner": { "login": "eve" } } });
    forge.give_runs("branch=main", &[run(5, "failure", fork), run(4, "success", json!({}))]);
    let narrow =
        PipelineQuery { branch: Some("main".into()), since: Some(at("08:30:00")), until: None, limit: 50 };
    let runs = forge.github.pipelines(&project, &narrow).await.unwrap();
    assert_eq!(runs.items.iter().map(|p| p.id.as_str()).collect::<Vec<_>>(), ["4"]);
    let asked = forge.asked().remove(0).path;
    assert!(asked.contains("created=%3E%3D2026-11-24T08%3A30%3A00Z"), "{asked}");

    let latest = forge.github.latest_pipeline(&project, "main").await.unwrap().unwrap();
    assert_eq!(latest.id, RunId::from(4));
    let fork = forge.github.latest_pipeline(&project, "eve:main").await.unwrap().unwrap();
    assert_eq!(fork.id, RunId::from(5));
    forge.give_runs("branch=none", &[]);
    assert_eq!(forge.github.latest_pipeline(&project, "none").await, Ok(None));
}

#[tokio::test]
async fn past_the_thousand_that_a_narrowed_list_gives_the_rest_is_asked_for() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let old =
        |i: u64| run(i, "success", json!({ "created_at": format!("2026-11-{:02}T00:00:00Z", 1 + i / 100) }));
    for page in 1..=10_u64 {
        let runs: Vec<Value> = (0..100).map(|i| old(2000 - (page - 1) * 100 - i)).collect();
        let path = format!("{REPO}/actions/runs?branch=main&page={page}");
        let path = if page == 1 { format!("{REPO}/actions/runs?branch=main") } else { path };
        let next =
            format!("<{}{REPO}/actions/runs?branch=main&page={}>; rel=\"next\"", forge.uri(), page + 1);
        let headers = [("link", next.as_str())];
        forge.answer(&path, 200, if page < 10 { &headers } else { &[] }, list(&runs));
    }
    let rest: Vec<Value> = (901..=1001).rev().map(old).collect();
    forge.give(&format!("{REPO}/actions/runs?branch=main&created=<=2026-11-11T00:00:00Z"), list(&rest));
    let narrow = PipelineQuery { branch: Some("main".into()), since: None, until: None, limit: 5000 };
    let runs = forge.github.pipelines(&project, &narrow).await.unwrap();
    assert_eq!((runs.items.len(), runs.problems), (1100, vec![]));
}

#[tokio::test]
async fn a_run_comes_with_the_jobs_of_all_pages_and_their_reasons() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let times = json!({ "created_at": "2026-11-24T10:00:00Z", "run_started_at": "2026-11-24T10:00:00Z", "updated_at": "2026-11-24T10:09:00Z" });
    forge.give(&format!("{REPO}/actions/runs/1"), run(1, "failure", times));
    let next = format!("<{}{REPO}/actions/runs/1/jobs?page=2>; rel=\"next\"", forge.uri());
    forge.answer(
        &format!("{REPO}/actions/runs/1/jobs"),
        200,
        &[("link", &next)],
        json!({ "jobs": [job(11, "build / linux", "success", json!({})), job(12, "test", "failure", json!({}))] }),
    );
    forge.give(
        &format!("{REPO}/actions/runs/1/jobs?page=2"),
        json!({ "jobs": [
            job(13, "slow", "timed_out", json!({})),
            job(14, "after", "skipped", json!({ "started_at": "2026-11-24T10:08:00Z", "completed_at": "2026-11-24T10:08:00Z", "steps": [] })),
            job(15, "never", "cancelled", json!({ "steps": [] })),
        ] }),
    );
    forge.give(
        &format!("{REPO}/check-runs/12/annotations"),
        json!([
            { "annotation_level": "warning", "message": "Node 16 is old" },
            { "annotation_level": "failure", "message": "Process completed with exit code 101." },
            { "annotation_level": "failure", "message": "assertion failed: total == 3\n  left: 2" },
        ]),
    );
    let detail = forge.github.pipeline(&project, &RunId::from(1)).await.unwrap();
    assert_eq!(detail.problems, []);
    let jobs: Vec<_> =
        detail.jobs.iter().map(|j| (j.name.as_str(), j.status, j.failure_reason.as_deref())).collect();
    assert_eq!(
        jobs,
        [
            ("build / linux", Status::Success, None),
            ("test", Status::Failed, Some("step \"cargo test\" failed: assertion failed: total == 3")),
            ("slow", Status::Failed, Some("timed out")),
            ("after", Status::Skipped, None),
            ("never", Status::Canceled, None),
        ]
    );
    let first = &detail.jobs[0];
    assert_eq!((first.duration.unwrap().as_secs(), first.queued.unwrap().as_secs()), (90, 30));
    assert_eq!((first.stage.as_deref(), first.allow_failure), (None, false));
    assert_eq!((detail.jobs[3].started_at, detail.jobs[4].duration), (None, None), "they never ran");
    assert_eq!(detail.pipeline.failure.as_deref(), Some("test and slow failed"));
    assert_eq!(detail.pipeline.duration.unwrap().as_secs(), 90);
}

#[tokio::test]
async fn a_job_that_may_fail_is_a_warning() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    forge.give(&format!("{REPO}/actions/runs/1"), run(1, "success", json!({})));
    forge.give_jobs(1, &[job(11, "audit", "failure", json!({})), job(12, "build", "success", json!({}))]);
    let detail = forge.github.pipeline(&project, &RunId::from(1)).await.unwrap();
    assert_eq!(detail.pipeline.status, Status::Warning);
    let audit = &detail.jobs[0];
    assert_eq!(
        (audit.status, audit.native_status.as_str(), audit.allow_failure),
        (Status::Warning, "failure", true)
    );
}

#[tokio::test]
async fn jobs_under_way_have_no_end() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let running =
        json!({ "status": "in_progress", "conclusion": null, "run_started_at": "2026-11-24T10:00:00Z" });
    forge.give(&format!("{REPO}/actions/runs/1"), run(1, "", running));
    let under_way = json!({ "status": "in_progress", "conclusion": null, "completed_at": null });
    let waiting = json!({ "status": "queued", "conclusion": null, "completed_at": null, "started_at": "2026-11-24T10:00:00Z" });
    forge.give_jobs(1, &[job(11, "build", "", under_way), job(12, "deploy", "", waiting.clone())]);
    let detail = forge.github.pipeline(&project, &RunId::from(1)).await.unwrap();
    assert_eq!(detail.pipeline.status, Status::Running);
    assert_eq!((detail.pipeline.finished_at, detail.pipeline.duration), (None, None));
    assert_eq!(detail.pipeline.queued.unwrap().as_secs(), 30);
    assert_eq!((detail.jobs[0].status, detail.jobs[0].duration), (Status::Running, None));
    // GitHub fills a queued job's start with its creation.
    assert_eq!((detail.jobs[1].status, detail.jobs[1].started_at), (Status::Queued, None));
}

#[tokio::test]
async fn half_a_run_is_still_an_answer() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    forge.give_jobs(
        1,
        &[job(11, "build", "success", json!({})), job(12, "test", "failure", json!({ "run_attempt": 2 }))],
    );
    let detail = forge.github.pipeline(&project, &RunId::from(1)).await.unwrap();
    assert_eq!(detail.problems[0].text, "run: not found");
    let run = &detail.pipeline;
    assert_eq!((run.status, run.native_status.as_str(), run.attempt), (Status::Failed, "failure", Some(2)));
    assert_eq!((run.branch.as_deref(), run.workflow.name.as_deref()), (Some("main"), Some("CI")));
    assert_eq!(run.failure.as_deref(), Some("test: step \"cargo test\" failed"));
    assert_eq!(detail.jobs.len(), 2);

    forge.give(&format!("{REPO}/actions/runs/2"), crate::forge::run(2, "startup_failure", json!({})));
    let detail = forge.github.pipeline(&project, &RunId::from(2)).await.unwrap();
    assert_eq!(detail.problems[0].text, "jobs: not found");
    assert_eq!(detail.pipeline.failure.as_deref(), Some("workflow file is invalid or not permitted"));

    assert!(matches!(forge.github.pipeline(&project, &RunId::from(3)).await, Err(Error::NotFound(_))));
}
