//! Workflows and jobs in every state and shape.

use domain::{Completeness, RunId, Status};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::forge::{Forge, at, job, list, pipeline, workflow};

#[tokio::test]
async fn every_word_of_a_workflow_has_its_status() {
    for (word, status, ended) in [
        ("success", Status::Success, true),
        ("running", Status::Running, false),
        ("not_run", Status::Skipped, true),
        ("failed", Status::Failed, true),
        ("error", Status::Failed, true),
        ("failing", Status::Running, false),
        ("on_hold", Status::Manual, false),
        ("canceled", Status::Canceled, true),
        ("unauthorized", Status::Failed, true),
        ("dreaming", Status::Unknown, true),
    ] {
        let forge = Forge::start().await;
        forge.pipelines(&[pipeline(1, json!({}))]);
        forge.workflows(1, &[workflow(1, "build", word, json!({}))]);
        forge.give("/workflow/w1-build/job", list(&[]));
        let heads = forge.first().await;
        let [run] = heads.pipelines.as_slice() else { panic!("{word}: {heads:?}") };
        assert_eq!((run.status, run.native_status.as_str()), (status, word));
        // What goes on has not ended, whatever it says.
        assert_eq!(run.finished_at, ended.then(|| at("09:04:01")), "{word}");
        assert_eq!(run.duration.map(|d| d.as_secs()), ended.then_some(180), "{word}");
        assert_eq!(heads.problems, [], "{word}");
    }
}

#[tokio::test]
async fn every_word_of_a_job_has_its_status() {
    let words = [
        ("success", Status::Success, None),
        ("running", Status::Running, None),
        ("not_run", Status::Skipped, None),
        ("failed", Status::Failed, None),
        ("retried", Status::Canceled, None),
        ("queued", Status::Queued, None),
        ("not_running", Status::Queued, None),
        ("infrastructure_fail", Status::Failed, Some("infrastructure failure")),
        ("timedout", Status::Failed, Some("timed out")),
        ("on_hold", Status::Manual, None),
        ("terminated-unknown", Status::Unknown, None),
        ("blocked", Status::Queued, None),
        ("canceled", Status::Canceled, None),
        ("unauthorized", Status::Failed, Some("not authorized")),
        ("dreaming", Status::Unknown, None),
    ];
    let forge = Forge::start().await;
    let rows: Vec<_> = (1..).zip(words).map(|(n, (word, ..))| job(n, word, word, json!({}))).collect();
    forge.give("/workflow/w1-build", workflow(1, "build", "failed", json!({})));
    forge.give("/workflow/w1-build/job", list(&rows));
    forge.give("/pipeline/p1", pipeline(1, json!({})));
    let detail = forge.circle.pipeline(&forge.project().await, &RunId::new("w1-build")).await.unwrap();
    assert_eq!(detail.problems, []);
    for (job, (word, status, reason)) in detail.jobs.iter().zip(words) {
        assert_eq!((job.name.as_str(), job.status, job.failure_reason.as_deref()), (word, status, reason));
    }
    assert_eq!(detail.pipeline.failure.as_deref(), Some("failed, infrastructure_fail and 2 more failed"));
}

#[tokio::test]
async fn a_run_is_its_workflow_and_its_pipeline() {
    let forge = Forge::start().await;
    forge.pipelines(&[pipeline(7, json!({}))]);
    forge.workflows(7, &[workflow(7, "build and test", "success", json!({}))]);
    let run = forge.first().await.pipelines.remove(0);
    assert_eq!((run.id.as_str(), run.number, run.attempt), ("w7-build and test", Some(7), Some(1)));
    assert_eq!(
        (run.workflow.lane.as_str(), run.workflow.name.as_deref()),
        ("build and test", Some("build and test"))
    );
    assert_eq!((run.branch.as_deref(), run.sha.as_deref()), (Some("main"), Some("sha7")));
    assert_eq!(run.message.as_deref(), Some("Speed up checkout\n\nBy half."));
    assert_eq!(run.author.as_ref().map(|a| a.name.as_str()), Some("aruiz"));
    assert_eq!((run.event.as_deref(), run.completeness), (Some("webhook"), Completeness::Full));
    let page = "/pipelines/github/acme/web/7/workflows/w7-build%20and%20test";
    assert!(run.url.unwrap().as_str().ends_with(page));
}

#[tokio::test]
async fn branches_tags_forks_and_apps_are_told_apart() {
    let fork = "https://github.com/eve/web.git";
    let vcs = |change: Value| {
        let mut vcs = pipeline(1, json!({}))["vcs"].clone();
        for (key, value) in change.as_object().into_iter().flatten() {
            vcs[key] = value.clone();
        }
        json!({ "vcs": vcs })
    };
    let git = json!({ "vcs": null, "trigger": null, "trigger_parameters": { "git": {
        "branch": "feature/x", "checkout_sha": "abc", "commit_message": "By an app", "commit_author_name": "Ana Ruiz" } } });
    for (change, branch, author) in [
        (json!({}), Some("main"), Some("aruiz")),
        (vcs(json!({ "branch": null, "tag": "v1.0" })), Some("v1.0"), Some("aruiz")),
        (vcs(json!({ "origin_repository_url": fork })), Some("eve:main"), Some("aruiz")),
        (vcs(json!({ "origin_repository_url": fork, "branch": "pull/12" })), Some("pull/12"), Some("aruiz")),
        (git, Some("feature/x"), Some("Ana Ruiz")),
        (
            json!({ "vcs": null, "trigger_parameters": { "gitlab": { "branch": "g", "commit_sha": "abc" } } }),
            Some("g"),
            Some("aruiz"),
        ),
        (json!({ "vcs": "odd", "trigger": [1], "trigger_parameters": 7 }), None, None),
        (json!({ "vcs": null, "trigger": { "actor": { "login": "" } } }), None, None),
    ] {
        let forge = Forge::start().await;
        forge.pipelines(&[pipeline(1, change.clone())]);
        forge.workflows(1, &[workflow(1, "build", "success", json!({}))]);
        let heads = forge.first().await;
        let run = &heads.pipelines[0];
        assert_eq!(
            (run.branch.as_deref(), run.author.as_ref().map(|a| a.name.as_str())),
            (branch, author),
            "{change}"
        );
    }
}

#[tokio::test]
async fn the_newest_workflow_of_each_name_counts() {
    let forge = Forge::start().await;
    forge.pipelines(&[pipeline(1, json!({}))]);
    let again = |id: &str, minute: u64, status: &str| {
        workflow(
            1,
            "build",
            status,
            json!({ "id": id, "created_at": format!("2026-11-24T10:{minute:02}:00Z") }),
        )
    };
    forge.workflows(
        1,
        &[
            again("third", 30, "success"),
            again("first", 10, "failed"),
            again("second", 20, "failed"),
            workflow(1, "lint", "success", json!({})),
        ],
    );
    let heads = forge.first().await;
    let told: Vec<_> = heads.pipelines.iter().map(|r| (r.id.as_str(), r.attempt, r.status)).collect();
    assert_eq!(told, [("third", Some(3), Status::Success), ("w1-lint", Some(1), Status::Success)]);
}

#[tokio::test]
async fn a_pipeline_without_workflows_stands_for_itself() {
    let error = json!({ "state": "errored", "errors": [{ "type": "config", "message": "Unexpected value 'x'" }, { "type": "plan", "message": "No plan" }] });
    let old = json!({ "created_at": "2026-11-24T11:40:00Z" });
    let young = json!({ "created_at": "2026-11-24T11:59:00Z" });
    let pending = json!({ "state": "setup-pending", "created_at": "2026-11-24T11:59:00Z" });
    let silent = json!({ "state": "errored", "errors": null });
    for (change, status, failure) in [
        (error, Status::Failed, Some("Unexpected value 'x'; No plan")),
        (silent, Status::Failed, Some("the pipeline could not be made")),
        (old, Status::Skipped, Some("no workflow is for this branch")),
        (young, Status::Queued, None),
        (pending, Status::Queued, None),
        (json!({ "state": "dreaming" }), Status::Unknown, None),
    ] {
        let forge = Forge::start().await;
        forge.pipelines(&[pipeline(1, change.clone())]);
        forge.workflows(1, &[]);
        let heads = forge.first().await;
        let run = &heads.pipelines[0];
        assert_eq!(
            (run.id.as_str(), run.status, run.failure.as_deref()),
            ("p1", status, failure),
            "{change}"
        );
        assert!(
            run.url.as_ref().unwrap().as_str().ends_with("/pipelines/github/acme/web/1"),
            "{:?}",
            run.url
        );
    }
    // Opened by who looks at it.
    let forge = Forge::start().await;
    forge.give("/pipeline/p1", pipeline(1, json!({ "state": "errored" })));
    let detail = forge.circle.pipeline(&forge.project().await, &RunId::new("p1")).await.unwrap();
    assert_eq!((detail.pipeline.status, detail.jobs.len()), (Status::Failed, 0));
}

#[tokio::test]
async fn jobs_come_in_the_order_in_which_they_wait_for_each_other() {
    let forge = Forge::start().await;
    let after = |ids: &[&str]| json!({ "dependencies": ids });
    forge.give("/workflow/w1-build", workflow(1, "build", "on_hold", json!({ "stopped_at": null })));
    forge.give("/pipeline/p1", pipeline(1, json!({})));
    forge.give(
        "/workflow/w1-build/job",
        list(&[
            job(4, "deploy", "blocked", json!({ "dependencies": ["j3", "approve"], "job_number": null, "started_at": null, "stopped_at": null })),
            json!({ "id": "approve", "name": "approve", "type": "approval", "status": "on_hold", "dependencies": ["j2"],
                    "started_at": "2026-11-24T09:12:00Z", "stopped_at": "2026-11-24T10:12:00Z" }),
            job(3, "test", "success", after(&["j1", "no such"])),
            job(1, "build", "success", json!({})),
            job(2, "lint", "success", json!({ "dependencies": "odd" })),
            json!({ "name": "without an id" }),
        ]),
    );
    let detail = forge.circle.pipeline(&forge.project().await, &RunId::new("w1-build")).await.unwrap();
    let names: Vec<_> = detail.jobs.iter().map(|j| j.name.as_str()).collect();
    assert_eq!(names, ["build", "lint", "approve", "test", "deploy"]);
    assert_eq!(detail.pipeline.status, Status::Manual);
    let build = &detail.jobs[0];
    assert_eq!((build.id.as_str(), build.duration.map(|d| d.as_secs())), ("1", Some(120)));
    assert!(
        build.url.as_ref().unwrap().as_str().ends_with("/1/workflows/w1-build/jobs/1"),
        "{:?}",
        build.url
    );
    assert_eq!(
        (detail.jobs[2].id.as_str(), detail.jobs[2].duration),
        ("approve", None),
        "to wait is no work"
    );
    assert!(detail.problems[0].text.starts_with("1 of 6 rows could not be read"), "{:?}", detail.problems);

    // A circle is no reason to wait for ever.
    forge.give(
        "/workflow/w1-build/job",
        list(&[job(1, "a", "success", after(&["j2"])), job(2, "b", "success", after(&["j1"]))]),
    );
    assert_eq!(
        forge.circle.pipeline(&forge.project().await, &RunId::new("w1-build")).await.unwrap().jobs.len(),
        2
    );
}

#[tokio::test]
async fn a_failed_job_says_which_step_failed() {
    for (steps, reason) in [
        (
            json!([{ "name": "Checkout", "actions": [{ "status": "success", "exit_code": 0 }] },
                { "name": "npm test", "actions": [{ "index": 1, "status": "failed", "failed": true, "exit_code": 101 }] }]),
            Some("step \"npm test\" failed (exit code 101)"),
        ),
        (
            json!([{ "name": "npm test", "actions": [{ "status": "timedout" }] }]),
            Some("step \"npm test\" timed out"),
        ),
        (json!([{ "name": "npm test", "actions": [{ "failed": true }] }]), Some("step \"npm test\" failed")),
        (json!([]), None),
        (json!(null), None),
    ] {
        let forge = Forge::start().await;
        forge.give("/workflow/w1-build", workflow(1, "build", "failed", json!({})));
        forge.give("/pipeline/p1", pipeline(1, json!({})));
        forge.give("/workflow/w1-build/job", list(&[job(5, "unit", "failed", json!({}))]));
        forge.give("/api/v1.1/project/gh/acme/web/5", json!({ "steps": steps, "lifecycle": "finished" }));
        let detail = forge.circle.pipeline(&forge.project().await, &RunId::new("w1-build")).await.unwrap();
        assert_eq!(detail.jobs[0].failure_reason.as_deref(), reason);
        assert_eq!(detail.pipeline.failure.as_deref(), Some("unit failed"));
        assert_eq!(detail.problems, []);
    }
}

#[tokio::test]
async fn a_run_stands_without_what_cannot_be_read() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    forge.give("/workflow/w1-build", workflow(1, "build", "success", json!({})));
    let detail = forge.circle.pipeline(&project, &RunId::new("w1-build")).await.unwrap();
    assert_eq!((detail.pipeline.status, detail.pipeline.number), (Status::Success, Some(1)));
    assert_eq!(detail.problems.len(), 2, "neither pipeline nor jobs: {:?}", detail.problems);
    forge.answer("/workflow/w1-build", ResponseTemplate::new(403).set_body_json(json!({ "message": "No" })));
    assert!(forge.circle.pipeline(&project, &RunId::new("w1-build")).await.is_err());

    // Times that are none, names that are missing, numbers as text.
    let odd =
        json!({ "created_at": "", "stopped_at": 0, "name": null, "pipeline_number": "1", "status": null });
    forge.give("/workflow/w1-build", workflow(1, "", "", odd));
    let detail = forge.circle.pipeline(&project, &RunId::new("w1-build")).await.unwrap();
    let run = detail.pipeline;
    assert_eq!(
        (run.status, run.number, run.created_at, run.duration),
        (Status::Unknown, Some(1), None, None)
    );
    assert_eq!(run.workflow.name.as_deref(), Some("workflow"));

    // More pages of jobs.
    let first = json!({ "items": [job(1, "a", "success", json!({}))], "next_page_token": "t" });
    forge.give("/workflow/w1-build/job", first);
    forge.give("/workflow/w1-build/job?page-token=t", list(&[job(2, "b", "success", json!({}))]));
    assert_eq!(forge.circle.pipeline(&project, &RunId::new("w1-build")).await.unwrap().jobs.len(), 2);
    // A token that leads in circles ends.
    let circle = json!({ "items": [job(3, "c", "success", json!({}))], "next_page_token": "t" });
    forge.give("/workflow/w1-build/job?page-token=t", circle);
    assert_eq!(forge.circle.pipeline(&project, &RunId::new("w1-build")).await.unwrap().jobs.len(), 2);
}

#[tokio::test]
async fn what_is_started_over_and_stopped_is_asked_for_by_post() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let actions = forge.circle.actions().unwrap();
    forge.answer(
        "/workflow/w1/rerun",
        ResponseTemplate::new(202).set_body_json(json!({ "workflow_id": "w2" })),
    );
    forge.answer(
        "/workflow/w1/cancel",
        ResponseTemplate::new(202).set_body_json(json!({ "message": "Accepted." })),
    );
    actions.retry(&project, &RunId::new("w1")).await.unwrap();
    actions.cancel(&project, &RunId::new("w1")).await.unwrap();
    let posts: Vec<_> = forge.requests().await.into_iter().filter(|r| r.method == "POST").collect();
    assert_eq!(posts.len(), 2);
    let body: Value = posts[0].body_json().unwrap();
    assert_eq!((posts[0].url.path(), body), ("/api/v2/workflow/w1/rerun", json!({ "from_failed": true })));
    forge.answer(
        "/workflow/w1/rerun",
        ResponseTemplate::new(400).set_body_json(json!({ "message": "Nothing failed" })),
    );
    let refused = actions.retry(&project, &RunId::new("w1")).await.unwrap_err();
    assert!(
        matches!(&refused, connector::Error::Refused(text) if text.contains("Nothing failed")),
        "{refused:?}"
    );
    let anonymous = Forge::start_with(|s| s.token = None).await;
    assert!(anonymous.circle.actions().is_none());
}
