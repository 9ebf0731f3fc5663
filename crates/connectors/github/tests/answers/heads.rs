//! The state of a repository from one look.

use connector::Error;
use domain::{Completeness, ProblemKind, Status, WhichWorkflows};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::forge::{Forge, REPO, branch, job, repository, run, workflows};
use crate::support;

fn texts(heads: &connector::Heads) -> Vec<(ProblemKind, &str)> {
    heads.problems.iter().map(|p| (p.kind, p.text.as_str())).collect()
}

#[tokio::test]
async fn a_run_says_all_that_github_says() {
    let forge = Forge::start().await;
    forge.give_runs("", &[run(1, "success", json!({}))]);
    forge.give_jobs(1, &[job(11, "build", "success", json!({}))]);
    let heads = forge.heads(forge.ask().await).await.unwrap();
    let run = &heads.pipelines[0];
    assert_eq!((run.id.as_str(), run.number, run.attempt), ("1", Some(1), Some(1)));
    assert_eq!((run.workflow.lane.as_str(), run.workflow.name.as_deref()), ("1", Some("CI")));
    assert_eq!((run.branch.as_deref(), run.sha.as_deref()), (Some("main"), Some("sha1")));
    assert_eq!(
        (run.status, run.native_status.as_str(), run.event.as_deref()),
        (Status::Success, "success", Some("push"))
    );
    assert_eq!(run.message.as_deref(), Some("Speed up checkout\n\nBy half."));
    let author = run.author.as_ref().unwrap();
    // Git's name; the account because its login holds that name.
    assert_eq!((author.name.as_str(), author.login.as_deref()), ("Ana Ruiz", Some("aruiz")));
    assert!(author.avatar_url.is_some());
    assert_eq!(run.url.as_ref().unwrap().as_str(), "https://github.com/acme/web/actions/runs/1");
    assert_eq!(run.completeness, Completeness::Full);

    let head = heads.default_branch.unwrap();
    assert!(head.default && head.protected == Some(true));
    assert_eq!(head.author.unwrap().login.as_deref(), Some("aruiz"));
    assert_eq!(head.committed_at.unwrap().to_string(), "2026-11-24T10:00:00Z");
    assert_eq!(head.url.unwrap().as_str(), "https://github.com/acme/web/tree/main");
    assert_eq!(heads.problems, []);
}

#[tokio::test]
async fn who_wrote_is_not_who_pushed() {
    let forge = Forge::start().await;
    let by = |name: Value, email: &str, actor: &str| {
        json!({ "head_commit": { "author": { "name": name, "email": email } }, "actor": { "login": actor },
                "triggering_actor": null })
    };
    forge.give_runs(
        "",
        &[
            run(5, "skipped", by(json!("Kim"), "k@example.com", "renovate[bot]")),
            run(4, "skipped", by(json!("Kim"), "5+kimble@users.noreply.github.com", "kimble")),
            run(3, "skipped", by(json!(null), "", "kimble")),
            run(2, "skipped", json!({ "head_commit": null, "actor": null, "triggering_actor": null })),
        ],
    );
    let heads = forge.heads(forge.ask().await).await.unwrap();
    let who: Vec<_> = heads
        .pipelines
        .iter()
        .map(|p| p.author.as_ref().map(|a| (a.name.as_str(), a.login.as_deref())))
        .collect();
    assert_eq!(
        who,
        [Some(("Kim", None)), Some(("Kim", Some("kimble"))), Some(("kimble", Some("kimble"))), None]
    );
    assert_eq!(heads.pipelines[3].message.as_deref(), Some("Speed up checkout"), "the title stands in");
}

#[tokio::test]
async fn a_forks_main_is_not_ours() {
    let forge = Forge::start().await;
    forge.give_runs(
        "",
        &[
            run(9, "failure", json!({ "event": "pull_request", "head_repository": { "id": 99, "owner": { "login": "eve" } } })),
            run(8, "failure", json!({ "event": "pull_request", "head_repository": null })),
            run(7, "failure", json!({ "event": "pull_request_target", "head_repository": null, "head_branch": "x" })),
            run(6, "cancelled", json!({ "event": "schedule", "head_repository": null })),
            run(5, "cancelled", json!({ "head_branch": null })),
        ],
    );
    let heads = forge.heads(forge.ask().await).await.unwrap();
    let branches: Vec<_> = heads.pipelines.iter().map(|p| p.branch.as_deref()).collect();
    assert_eq!(branches, [Some("eve:main"), Some("unknown:main"), Some("unknown:x"), Some("main"), None]);
    // Nobody asks why a fork's run failed.
    assert!(!forge.paths().iter().any(|p| p.contains("jobs")));
}

#[tokio::test]
async fn the_default_branch_is_found_behind_a_hundred_others() {
    let forge = Forge::start().await;
    let busy: Vec<Value> =
        (200..300).rev().map(|i| run(i, "success", json!({ "head_branch": "busy" }))).collect();
    forge.give_runs("", &busy);
    forge.give_runs(
        "branch=main",
        &[
            run(4, "failure", json!({ "event": "pull_request", "head_repository": { "id": 99, "owner": { "login": "eve" } } })),
            run(3, "success", json!({ "created_at": "2026-10-01T00:00:00Z" })),
        ],
    );
    forge.give_runs("branch=release", &[]);
    forge.give_jobs(3, &[]);
    let mut ask = forge.ask().await;
    ask.branches = vec!["release".into(), "busy".into()];
    let heads = forge.heads(ask).await.unwrap();
    assert_eq!(heads.pipelines.len(), 101);
    let last = heads.pipelines.last().unwrap();
    assert_eq!((last.id.as_str(), last.branch.as_deref()), ("3", Some("main")));
    let lists: Vec<_> =
        forge.asked().into_iter().map(|a| a.path).filter(|p| p.contains("/actions/runs?")).collect();
    assert_eq!(lists.len(), 3, "{lists:?}");
    assert!(lists.iter().all(|p| p.contains("exclude_pull_requests=true")));
}

#[tokio::test]
async fn what_is_red_says_why_and_what_is_green_whether_with_warnings() {
    let forge = Forge::start().await;
    forge.give_runs(
        "",
        &[
            run(9, "cancelled", json!({})),
            run(8, "failure", json!({})),
            run(7, "failure", json!({})),
            run(6, "success", json!({ "workflow_id": 2, "name": "Deploy" })),
            run(5, "startup_failure", json!({ "workflow_id": 3, "name": "Broken" })),
            run(4, "timed_out", json!({ "workflow_id": 4, "name": "Nightly" })),
        ],
    );
    forge.give(
        &format!("{REPO}/actions/workflows"),
        workflows(&[(1, "CI"), (2, "Deploy"), (3, "Broken"), (4, "Nightly")]),
    );
    forge.give_jobs(
        8,
        &[job(81, "lint", "success", json!({})), job(82, "e2e (firefox)", "failure", json!({}))],
    );
    forge.give_jobs(6, &[job(61, "ship", "success", json!({})), job(62, "audit", "failure", json!({}))]);
    forge.give_jobs(4, &[]);
    let heads = forge.heads(forge.ask().await).await.unwrap();
    let of = |id: &str| heads.pipelines.iter().find(|p| p.id.as_str() == id).unwrap();
    assert_eq!(of("8").failure.as_deref(), Some("e2e (firefox): step \"cargo test\" failed"));
    assert_eq!((of("6").status, of("6").native_status.as_str()), (Status::Warning, "success"));
    assert_eq!(of("6").failure.as_deref(), Some("audit: step \"cargo test\" failed"));
    assert_eq!(of("5").failure.as_deref(), Some("workflow file is invalid or not permitted"));
    assert_eq!((of("4").status, of("4").failure.as_deref()), (Status::Failed, Some("timed out")));
    assert_eq!(
        (of("7").failure.as_deref(), of("7").completeness),
        (None, Completeness::Row),
        "not the newest"
    );
    let asked: Vec<_> = forge.paths().into_iter().filter(|p| p.ends_with("/jobs")).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
}

#[tokio::test]
async fn the_jobs_of_one_look_are_bounded_and_red_comes_first() {
    let forge = Forge::start().await;
    let runs: Vec<Value> = (1..=12)
        .rev()
        .map(|i| {
            run(
                i,
                if i <= 3 { "failure" } else { "success" },
                json!({ "workflow_id": i, "name": format!("w{i}") }),
            )
        })
        .collect();
    forge.give_runs("", &runs);
    let all: Vec<(u64, &str)> = (1..=12).map(|i| (i, "w")).collect();
    forge.give(&format!("{REPO}/actions/workflows"), workflows(&all));
    (1..=12).for_each(|i| forge.give_jobs(i, &[]));
    let heads = forge.heads(forge.ask().await).await.unwrap();
    let asked: Vec<_> = forge.paths().into_iter().filter(|p| p.ends_with("/jobs")).collect();
    assert_eq!(asked.len(), 8);
    let red = heads.pipelines.iter().filter(|p| p.status == Status::Failed);
    assert_eq!(red.filter(|p| p.completeness == Completeness::Full).count(), 3);
}

#[tokio::test]
async fn only_workflows_that_are_there_count() {
    let forge = Forge::start().await;
    let own = |id: u64, name: Value| json!({ "workflow_id": id, "name": name, "path": format!(".github/workflows/{id}.yml") });
    forge.give_runs(
        "",
        &[
            run(9, "cancelled", own(1, json!(null))),
            run(8, "cancelled", own(2, json!("Old"))),
            run(7, "cancelled", own(3, json!("Off"))),
            run(6, "cancelled", own(5, json!(".github/workflows/5.yml"))),
            run(
                5,
                "cancelled",
                json!({ "workflow_id": 4, "name": "pages", "path": "dynamic/pages/pages-build-deployment" }),
            ),
        ],
    );
    let mut list = workflows(&[(1, "CI"), (2, "Old"), (3, "Off")]);
    list["workflows"][1]["state"] = json!("deleted");
    list["workflows"][2]["state"] = json!("disabled_manually");
    forge.give(&format!("{REPO}/actions/workflows"), list);
    let heads = forge.heads(forge.ask().await).await.unwrap();
    let there = ["1", "3", "4"].map(String::from).into_iter().collect();
    assert_eq!(heads.workflows, Some(WhichWorkflows::Only(there)));
    let names: Vec<_> = heads.pipelines.iter().map(|p| p.workflow.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["CI", "Old", "Off", "5.yml", "pages"]);
}

#[tokio::test]
async fn without_the_list_of_workflows_all_count() {
    for (status, body) in [(404, json!({})), (403, json!({ "message": "Resource not accessible" }))] {
        let forge = Forge::start().await;
        forge.give_runs("", &[run(9, "cancelled", json!({ "name": null }))]);
        forge.answer(&format!("{REPO}/actions/workflows"), status, &[], body);
        let heads = forge.heads(forge.ask().await).await.unwrap();
        assert_eq!(heads.workflows, Some(WhichWorkflows::Unknown));
        assert_eq!(texts(&heads), [(ProblemKind::Partial, "workflows: not found")]);
        assert_eq!(heads.pipelines[0].workflow.name.as_deref(), Some("1.yml"));
    }
    // A row that cannot be read might be a workflow that is there.
    let forge = Forge::start().await;
    forge.give_runs("", &[run(9, "cancelled", json!({}))]);
    forge.give(&format!("{REPO}/actions/workflows"), json!({ "workflows": [{ "id": 1 }, "garbage"] }));
    let heads = forge.heads(forge.ask().await).await.unwrap();
    assert_eq!(heads.workflows, Some(WhichWorkflows::Unknown));
}

#[tokio::test]
async fn no_runs_are_nothing_special_and_no_actions_and_no_commits_are_told() {
    let forge = Forge::start().await;
    let ask = forge.ask().await;
    let heads = forge.heads(ask.clone()).await.unwrap();
    assert!(heads.default_branch.is_some());
    assert_eq!((heads.pipelines.len(), heads.problems), (0, vec![]));
    assert_eq!(forge.paths(), ["/actions/runs", "/branches/main"]);

    forge.answer(&format!("{REPO}/branches/main"), 404, &[], json!({ "message": "Branch not found" }));
    let heads = forge.heads(ask.clone()).await.unwrap();
    assert_eq!(texts(&heads), [(ProblemKind::Empty, "the repository is empty")]);

    forge.answer(
        &format!("{REPO}/branches/main"),
        409,
        &[],
        json!({ "message": "Git Repository is empty." }),
    );
    forge.give_runs("", &[run(1, "cancelled", json!({}))]);
    let heads = forge.heads(ask.clone()).await.unwrap();
    assert_eq!(texts(&heads), [(ProblemKind::Empty, "the repository is empty")]);

    forge.answer(&format!("{REPO}/branches/main"), 404, &[], json!({}));
    let heads = forge.heads(ask.clone()).await.unwrap();
    assert_eq!(texts(&heads), [(ProblemKind::Partial, "branch main: not found")]);

    forge.answer(&format!("{REPO}/actions/runs"), 404, &[], json!({ "message": "Not Found" }));
    let heads = forge.heads(ask.clone()).await.unwrap();
    assert_eq!(heads.problems[0].kind, ProblemKind::NoCi);

    forge.answer(REPO, 404, &[], json!({ "message": "Not Found" }));
    assert!(matches!(forge.heads(ask).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn one_bad_repository_spoils_no_other() {
    let forge = Forge::start().await;
    let mut asks = vec![forge.ask().await];
    for (name, status, body) in [
        ("gone", 404, json!({ "message": "Not Found" })),
        ("secret", 403, json!({ "message": "Resource not accessible by personal access token" })),
        ("legal", 451, json!({ "message": "Repository access blocked", "block": { "reason": "dmca" } })),
        ("odd", 200, json!({ "message": "hello" })),
        ("broken", 200, json!({ "total_count": 2, "workflow_runs": ["x", {}] })),
    ] {
        let full = format!("acme/{name}");
        let path = format!("/repos/{full}");
        forge.give(&path, repository(&full));
        let project = forge.github.project(&full).await.unwrap();
        forge.answer(&format!("{path}/actions/runs"), status, &[], body);
        if status == 404 {
            forge.answer(&path, 404, &[], json!({}));
        }
        asks.push(support::ask(&project));
    }
    let answers: Vec<_> = forge.github.branch_heads(asks).collect().await;
    let of = |name: &str| {
        let key = format!("gh:acme/{name}");
        &answers.iter().find(|(k, _)| k.to_string() == key).unwrap().1
    };
    assert!(of("web").is_ok());
    assert!(matches!(of("gone"), Err(Error::NotFound(_))));
    assert!(matches!(of("secret"), Err(Error::Forbidden(m)) if m.contains("Actions: read")));
    assert!(matches!(of("legal"), Err(Error::Legal(_))));
    assert!(matches!(of("odd"), Err(Error::Garbage(_))));
    assert!(matches!(of("broken"), Err(Error::Garbage(_))));
}

#[tokio::test]
async fn what_waits_for_approval_has_not_ended() {
    let forge = Forge::start().await;
    let waiting = json!({ "status": "waiting", "conclusion": null });
    forge.give_runs("", &[run(2, "action_required", json!({})), run(1, "", waiting)]);
    let heads = forge.heads(forge.ask().await).await.unwrap();
    for run in &heads.pipelines {
        assert_eq!((run.status, run.finished_at, run.duration), (Status::Manual, None, None));
    }
}

#[tokio::test]
async fn a_garbage_row_is_left_out_and_counted() {
    let forge = Forge::start().await;
    let odd = run(
        3,
        "success",
        json!({ "name": 5, "run_attempt": "1", "created_at": "yesterday", "html_url": "javascript:alert(1)", "head_branch": "x" }),
    );
    forge.give_runs("", &[run(4, "cancelled", json!({})), json!({ "id": "no number" }), odd]);
    let heads = forge.heads(forge.ask().await).await.unwrap();
    assert_eq!(heads.pipelines.len(), 2);
    let odd = heads.pipelines.iter().find(|p| p.id.as_str() == "3").unwrap();
    assert_eq!((odd.url.as_ref(), odd.created_at, odd.attempt), (None, None, Some(1)));
    assert_eq!(heads.problems.len(), 1);
    assert!(heads.problems[0].text.starts_with("1 of 3 runs could not be read"), "{:?}", heads.problems);
}

#[tokio::test]
async fn without_a_token_every_request_counts() {
    let forge = Forge::start_with(|s| s.token = None).await;
    forge.give_runs("", &[run(2, "failure", json!({})), run(1, "success", json!({ "workflow_id": 2 }))]);
    let heads = forge.heads(forge.ask().await).await.unwrap();
    assert_eq!(heads.pipelines[0].status, Status::Failed);
    let asked = forge.asked();
    assert!(asked.iter().all(|a| !a.authorized));
    assert_eq!(asked.len(), 3, "runs, branch, workflows: {asked:?}");
    assert!(
        matches!(forge.github.projects(None).await, Err(Error::Forbidden(m)) if m.contains("watched_repos"))
    );
    assert_eq!(forge.github.current_user().unwrap().current_user().await, Ok(None));
    assert_eq!(forge.github.project_count().await, Ok(None));
    assert_eq!(forge.asked(), []);
}

#[tokio::test]
async fn a_rate_limit_is_no_bad_token_and_stops_the_source() {
    let forge = Forge::start().await;
    let ask = forge.ask().await;
    // 13:00
    let spent = [
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-reset", "1795525200"),
        ("date", "Tue, 24 Nov 2026 12:00:00 GMT"),
    ];
    forge.answer(
        &format!("{REPO}/actions/runs"),
        403,
        &spent,
        json!({ "message": "API rate limit exceeded" }),
    );
    let Err(Error::RateLimited { until }) = forge.heads(ask.clone()).await else { panic!("not limited") };
    assert_eq!(until.unwrap().to_string(), "2026-11-24T13:00:00Z");
    forge.asked();
    assert!(matches!(forge.heads(ask.clone()).await, Err(Error::RateLimited { .. })));
    assert_eq!(forge.asked(), [], "nothing is asked until then");
    forge.give_runs("", &[]);
    forge.give(&format!("{REPO}/branches/main"), branch("main", "bbb"));
    forge.clock.set("2026-11-24T13:00:01Z".parse().unwrap());
    assert!(forge.heads(ask).await.is_ok());
}
