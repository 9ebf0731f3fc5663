//! Bitbucket Cloud's odd answers.

use std::time::Duration;

use connector::{Error, PipelineQuery};
use domain::{JobId, ProblemKind, RunId, Status};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::forge::{Forge, clock, cloud_error, repository};
use crate::support::{self, ask, heads};

const RUNS: &str = "/repositories/acme/web/pipelines";

fn run(patch: Value) -> Value {
    let mut row = json!({
        "uuid": "{a}", "build_number": 7, "state": { "name": "COMPLETED", "result": { "name": "SUCCESSFUL" } },
        "target": { "type": "pipeline_ref_target", "ref_name": "main", "selector": { "type": "default" }, "commit": { "hash": "abc" } },
        "trigger": { "name": "PUSH", "type": "pipeline_trigger_push" },
        "created_on": "2026-11-24T10:00:00.12345Z", "completed_on": "2026-11-24T10:02:00Z", "duration_in_seconds": 100,
    });
    row.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
    row
}

/// What becomes of one row.
async fn read(patch: Value) -> domain::Pipeline {
    let forge = Forge::start().await;
    let (source, project) = repository(&forge).await;
    forge.list(RUNS, &json!([run(patch)]));
    let query = PipelineQuery { branch: None, since: None, until: None, limit: 10 };
    source.pipelines(&project, &query).await.unwrap().items.remove(0)
}

#[tokio::test]
async fn a_run_is_told_with_its_lane_event_and_page() {
    let whole = read(json!({})).await;
    assert_eq!(whole.url.unwrap().as_str(), "https://bitbucket.org/acme/web/pipelines/results/7");
    assert_eq!((whole.event.as_deref(), whole.duration), (Some("push"), Some(Duration::from_secs(100))));
    for (target, lane, name, branch, event) in [
        (json!({ "ref_name": "main" }), "default", "default", Some("main"), "push"),
        (
            json!({ "ref_name": "x", "selector": { "type": "custom", "pattern": "nightly" } }),
            "custom:nightly",
            "nightly",
            Some("x"),
            "push",
        ),
        (
            json!({ "ref_name": "release/1", "selector": { "type": "branches", "pattern": "release/*" } }),
            "branches:release/*",
            "branches: release/*",
            Some("release/1"),
            "push",
        ),
        (
            json!({ "ref_name": "v1", "ref_type": "tag", "selector": { "type": "tags", "pattern": "v*" } }),
            "tags:v*",
            "tags: v*",
            Some("v1"),
            "push",
        ),
        (
            json!({ "type": "pipeline_pullrequest_target", "source": "fix", "destination": "main", "selector": { "type": "pull-requests", "pattern": "**" } }),
            "pull-requests:**",
            "pull-requests: **",
            Some("fix"),
            "pull_request",
        ),
        (json!(null), "default", "default", None, "push"),
    ] {
        let run = read(json!({ "target": target })).await;
        assert_eq!(
            (run.workflow.lane.as_str(), run.workflow.name.as_deref()),
            (lane, Some(name)),
            "{target}"
        );
        assert_eq!((run.branch.as_deref(), run.event.as_deref()), (branch, Some(event)), "{target}");
    }
    for (trigger, event) in [
        (json!({ "type": "pipeline_trigger_schedule" }), Some("schedule")),
        (json!({ "name": "MANUAL" }), Some("manual")),
        (json!({ "type": "x", "name": "PARENT_STEP" }), Some("parent_step")),
        (json!(null), None),
    ] {
        assert_eq!(read(json!({ "trigger": trigger })).await.event.as_deref(), event, "{trigger}");
    }
}

#[tokio::test]
async fn odd_fields_are_absent_and_spoil_nothing() {
    let odd = read(json!({
        "build_number": "8", "state": null, "created_on": 5, "completed_on": "soon", "duration_in_seconds": -3, "creator": null,
        "run_number": null,
    }))
    .await;
    assert_eq!(
        (odd.status, odd.number, odd.created_at, odd.duration),
        (Status::Unknown, Some(8), None, None)
    );
    // A pipeline that ended before it was created; one that runs has no duration, whatever it says.
    let early = read(json!({ "completed_on": "2026-11-24T09:59:59.9Z", "duration_in_seconds": 0 })).await;
    assert_eq!(early.duration, Some(Duration::ZERO));
    let running = read(json!({ "state": { "name": "IN_PROGRESS", "stage": { "name": "RUNNING" } } })).await;
    assert_eq!((running.status, running.duration, running.finished_at), (Status::Running, None, None));
    let error = json!({ "name": "COMPLETED", "result": { "name": "ERROR", "error": { "message": "no bitbucket-pipelines.yml" } } });
    assert_eq!(read(json!({ "state": error })).await.failure.as_deref(), Some("no bitbucket-pipelines.yml"));

    let forge = Forge::start().await;
    let (source, project) = repository(&forge).await;
    forge.list(RUNS, &json!([run(json!({})), { "uuid": 3 }, null, run(json!({ "uuid": "{ü✓}" }))]));
    let read = heads(&*source, ask(&project)).await.unwrap();
    assert_eq!(read.pipelines.len(), 2);
    assert!(
        read.problems.iter().any(|p| p.text.starts_with("2 of 4 pipelines could not be read")),
        "{:?}",
        read.problems
    );
    forge.list(RUNS, &json!([{}]));
    assert!(matches!(heads(&*source, ask(&project)).await, Err(Error::Garbage(_))));
}

#[tokio::test]
async fn pipelines_that_are_switched_off_are_told_from_a_missing_repository() {
    let forge = Forge::start().await;
    let (source, project) = repository(&forge).await;
    forge.json(
        "/repositories/acme/web/refs/branches/main",
        &json!({ "name": "main", "target": { "hash": "abc" } }),
    );
    let off = heads(&*source, ask(&project)).await.unwrap();
    assert_eq!(off.problems[0].kind, ProblemKind::NoCi);
    assert_eq!(off.default_branch.unwrap().sha.as_deref(), Some("abc"));
    // It was named a moment ago, so that nobody asks whether it is there.
    assert_eq!(forge.asked().len(), 2);
    let mut gone = project.clone();
    gone.key = domain::ProjectKey::new(gone.key.source.clone(), domain::NativeId::new("acme/gone"));
    assert!(matches!(heads(&*source, ask(&gone)).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn a_next_page_elsewhere_is_not_followed() {
    let forge = Forge::start().await;
    let (source, project) = repository(&forge).await;
    let elsewhere =
        json!({ "values": [run(json!({}))], "next": "https://evil.example.invalid/2.0/x?token=1" });
    forge.json(RUNS, &elsewhere);
    let query = PipelineQuery { branch: None, since: None, until: None, limit: 100 };
    let some = source.pipelines(&project, &query).await.unwrap();
    assert_eq!((some.items.len(), some.problems.len()), (1, 1));
    assert!(some.problems[0].text.contains("not followed"), "{:?}", some.problems);
    // The same page for ever ends as well.
    let again = format!("{}{RUNS}?page=2", forge.url());
    forge.json(RUNS, &json!({ "values": [run(json!({}))], "next": again }));
    assert_eq!(source.pipelines(&project, &query).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn one_workspace_that_fails_spoils_no_other() {
    let forge = Forge::start().await;
    let mut settings = support::settings(&forge.url());
    settings.workspaces = vec!["gone".into(), " acme/".into()];
    let source = support::source(&settings, clock());
    forge.list("/repositories/acme", &json!([{ "full_name": "acme/web" }]));
    let first = source.projects(None).await.unwrap();
    assert_eq!((first.items.len(), first.items[0].default_branch.as_deref()), (1, None));
    let Err(Error::NotFound(text)) = source.projects(first.next).await else { panic!("not told") };
    assert!(text.contains("gone: "), "{text}");
    let asked = forge.asked();
    assert!(
        asked.iter().all(|(_, target)| !target.starts_with("/user") && !target.contains("role=")),
        "{asked:?}"
    );
    assert!(matches!(source.projects(Some(connector::PageToken("x".into()))).await, Err(Error::Garbage(_))));
}

#[tokio::test]
async fn what_was_taken_out_of_the_api_is_told_as_that() {
    let forge = Forge::start().await;
    forge.reply("/user/workspaces", cloud_error(410, "CHANGE-2770 - Functionality has been deprecated"));
    let Err(error) = forge.source().projects(None).await else { panic!("let in") };
    assert!(
        error.to_string().contains("CHANGE-2770") && error.to_string().contains("`workspaces`"),
        "{error}"
    );
}

#[tokio::test]
async fn access_tokens_belong_to_nobody() {
    let forge = Forge::start().await;
    forge.reply("/user", cloud_error(401, "Token is invalid, expired, or not supported for this endpoint."));
    let mut settings = support::settings(&forge.url());
    settings.workspaces = vec!["acme".into()];
    let source = support::source(&settings, clock());
    let who = source.current_user().unwrap();
    assert!(matches!(who.current_user().await, Err(Error::Unauthorized(_))), "it reads nothing either");
    forge.json("/repositories/acme", &json!({ "size": 3 }));
    assert_eq!(who.current_user().await.unwrap(), None);
    assert_eq!(source.project_count().await.unwrap(), Some(3));
    forge.json("/user", &json!({ "display_name": "Mira", "nickname": "mira", "links": { "avatar": { "href": "javascript:x" } } }));
    let person = who.current_user().await.unwrap().unwrap();
    assert_eq!(
        (person.name.as_str(), person.login.as_deref(), person.avatar_url),
        ("Mira", Some("mira"), None)
    );
}

#[tokio::test]
async fn issues_are_asked_for_only_where_there_are_any() {
    let forge = Forge::start().await;
    let (source, mut project) = repository(&forge).await;
    let issues = source.issues().unwrap();
    assert_eq!(issues.open_issues(&project, None).await.unwrap().items, []);
    assert_eq!(forge.asked().len(), 0, "it is known to have none");
    // One that no listing named: its 404 is looked into.
    let fresh = forge.source();
    assert_eq!(fresh.issues().unwrap().open_issues(&project, None).await.unwrap().items, []);
    project.key = domain::ProjectKey::new(project.key.source.clone(), domain::NativeId::new("acme/gone"));
    assert!(matches!(issues.open_issues(&project, None).await, Err(Error::NotFound(_))));
    forge.json("/repositories/acme/gone", &json!({ "full_name": "acme/gone", "has_issues": true }));
    forge.list(
        "/repositories/acme/gone/issues",
        &json!([
            { "id": 1, "title": "One", "state": "new", "kind": "bug", "assignee": null },
            { "id": 2, "title": "Two", "state": "resolved" },
        ]),
    );
    let open = issues.open_issues(&project, None).await.unwrap().items;
    assert_eq!((open.len(), open[0].labels.as_slice()), (1, &["bug".to_owned()][..]));
}

#[tokio::test]
async fn pull_requests_from_forks_name_their_workspace() {
    let forge = Forge::start().await;
    let (source, project) = repository(&forge).await;
    let end = |name: &str, repository: Value| json!({ "branch": { "name": name }, "commit": { "hash": "abcdef123456" }, "repository": repository });
    let pull = |id: u64, from: Value| json!({ "id": id, "title": "T", "state": "OPEN", "source": end("fix", from), "destination": end("main", json!({ "full_name": "acme/web" })) });
    forge.list("/repositories/acme/web/pullrequests", &json!([
        pull(1, json!({ "full_name": "acme/web" })), pull(2, json!({ "full_name": "fork/web" })), pull(3, json!(null)),
        { "id": 4, "state": "MERGED" }, { "id": "x" },
    ]));
    forge.list(
        RUNS,
        &json!([run(json!({ "target": { "ref_name": "fix", "commit": { "hash": "abcdef1234567890" } } }))]),
    );
    let pulls = source.merge_requests().unwrap().open_merge_requests(&project, None).await.unwrap().items;
    let from: Vec<&str> = pulls.iter().map(|p| p.source_branch.as_str()).collect();
    assert_eq!(from, ["fix", "fork:fix", "unknown:fix"]);
    assert_eq!(
        (pulls[0].sha.as_deref(), pulls[0].head_status),
        (Some("abcdef1234567890"), Some(Status::Success))
    );
    // Nothing recent ran for it: what others reported of the commit, the worst of it.
    forge.list(RUNS, &json!([]));
    forge.list(
        "/repositories/acme/web/commit/abcdef123456/statuses",
        &json!([{ "state": "SUCCESSFUL" }, { "state": "FAILED" }]),
    );
    let pulls = source.merge_requests().unwrap().open_merge_requests(&project, None).await.unwrap().items;
    assert_eq!(pulls[0].head_status, Some(Status::Failed));
}

#[tokio::test]
async fn a_log_that_is_not_there_says_why() {
    let forge = Forge::start().await;
    let (source, project) = repository(&forge).await;
    let (id, job) = (RunId::new("a"), JobId::new("{s}"));
    let step = "/repositories/acme/web/pipelines/%7Ba%7D/steps/%7Bs%7D";
    for (state, note) in [
        (json!({ "name": "PENDING" }), "no log yet"),
        (json!({ "name": "COMPLETED", "result": { "name": "NOT_RUN" } }), "no log: the step never ran"),
        (json!({ "name": "COMPLETED", "result": { "name": "FAILED" } }), "no log on the platform"),
    ] {
        forge.json(step, &json!({ "uuid": "{s}", "state": state }));
        let log = source.log(&project, &id, &job, 100).await.unwrap();
        assert_eq!(log.note.as_deref(), Some(note));
    }
    forge.reply(
        &format!("{step}/log"),
        ResponseTemplate::new(416).insert_header("content-range", "bytes */0"),
    );
    assert_eq!(source.log(&project, &id, &job, 100).await.unwrap().note.as_deref(), Some("the log is empty"));
    let other = JobId::new("other");
    assert!(matches!(source.log(&project, &id, &other, 100).await, Err(Error::NotFound(_))));
    let mut settings = support::settings(&forge.url());
    settings.logs = config::LogAccess::None;
    let silent = support::source(&settings, clock());
    assert!(silent.log(&project, &id, &job, 100).await.unwrap().note.unwrap().contains("switched off"));
}

#[tokio::test]
async fn limits_are_heard() {
    let forge = Forge::start().await;
    let (source, project) = repository(&forge).await;
    assert_eq!(source.budget().unwrap().limit, 980);
    let near = ResponseTemplate::new(200)
        .set_body_json(json!({ "values": [] }))
        .insert_header("x-ratelimit-limit", "4000")
        .insert_header("x-ratelimit-nearlimit", "true");
    forge.reply(RUNS, near);
    let query = PipelineQuery { branch: None, since: None, until: None, limit: 1 };
    source.pipelines(&project, &query).await.unwrap();
    let budget = source.budget().unwrap();
    assert_eq!(
        (budget.limit, budget.remaining),
        (3_920, 784),
        "a paid plan's limit, a fifth of it left at most"
    );
    forge.reply(RUNS, cloud_error(429, "Rate limit for this resource has been exceeded"));
    let Err(Error::RateLimited { until: Some(until) }) = source.pipelines(&project, &query).await else {
        panic!()
    };
    assert!(until > "2026-11-24T12:00:00Z".parse().unwrap());
    forge.asked();
    assert!(matches!(source.pipelines(&project, &query).await, Err(Error::RateLimited { .. })));
    assert_eq!(forge.asked().len(), 0, "nothing is asked until then");
}

#[tokio::test]
async fn starting_over_sends_the_same_target() {
    let forge = Forge::start().await;
    let (source, project) = repository(&forge).await;
    let actions = source.actions().unwrap();
    let target = json!({ "type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "main", "commit": { "hash": "abc", "links": {} } });
    forge.json(&format!("{RUNS}/%7Ba%7D"), &run(json!({ "target": target })));
    forge.reply(RUNS, ResponseTemplate::new(201).set_body_json(json!({})));
    actions.retry(&project, &RunId::new("{a}")).await.unwrap();
    let posted: Value = forge.requests().await.last().unwrap().body_json().unwrap();
    let want = json!({ "target": { "type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "main", "commit": { "hash": "abc" } } });
    assert_eq!(posted, want);
    forge.reply(&format!("{RUNS}/%7Ba%7D/stopPipeline"), cloud_error(400, "already completed"));
    let Err(Error::Refused(text)) = actions.cancel(&project, &RunId::new("a")).await else { panic!() };
    assert!(text.contains("already completed"), "{text}");
    forge.json(&format!("{RUNS}/%7Ba%7D"), &json!({ "state": { "name": "COMPLETED" } }));
    assert!(matches!(actions.retry(&project, &RunId::new("{a}")).await, Err(Error::Refused(_))));
}
