//! The state of a repository, and what it costs.

use std::sync::Arc;

use connector::{Error, Heads};
use domain::{Completeness, ProblemKind, Status, WhichWorkflows};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::forge::{Forge, REPO, branch, forgejo_run, job, run, task};

fn ids(heads: &Heads) -> Vec<&str> {
    heads.pipelines.iter().map(|r| r.id.as_str()).collect()
}

fn greens(from: u64, to: u64) -> Vec<Value> {
    (from..=to).rev().map(|id| run(id, "success", json!({}))).collect()
}

fn workflows(ids: &[&str]) -> Value {
    let one = |id: &&str| json!({ "id": id, "name": format!("The {id}"), "state": "active" });
    json!({ "total_count": ids.len(), "workflows": ids.iter().map(one).collect::<Vec<_>>() })
}

#[tokio::test]
async fn a_gap_is_closed_and_what_is_gone_goes() {
    let forge = Forge::start().await;
    forge.give_runs("limit=50", 20, &greens(1, 20));
    let ask = forge.ask().await;
    let heads = forge.heads(&ask).await.unwrap();
    assert_eq!((heads.pipelines.len(), heads.total_runs), (20, Some(20)));
    let ask = forge.knowing(&ask, &heads);
    forge.asked();

    // Two new ones, which the few newest show; run 19 was deleted.
    let few: Vec<Value> = [22, 21, 20, 18, 17].iter().map(|id| run(*id, "success", json!({}))).collect();
    forge.give_runs("limit=5", 21, &few);
    let heads = forge.heads(&ask).await.unwrap();
    assert_eq!(forge.asked(), ["/actions/runs?limit=5", "/branches/main"], "a new push moves the branch");
    assert_eq!(ids(&heads)[..6], ["22", "21", "20", "18", "17", "16"]);
    assert_eq!(heads.pipelines.len(), 21);
    let ask = forge.knowing(&ask, &heads);

    // None of the few newest is known: a page without a gap.
    forge.give_runs("limit=5", 40, &greens(37, 41));
    forge.give_runs("limit=50", 40, &greens(17, 41));
    let heads = forge.heads(&ask).await.unwrap();
    assert_eq!(forge.asked()[..2], ["/actions/runs?limit=5", "/actions/runs?limit=50"]);
    assert_eq!((ids(&heads)[0], heads.pipelines.len()), ("41", 41), "down to what was known, and that");
}

#[tokio::test]
async fn what_the_list_of_workflows_lacks_is_gone_unless_it_ran_for_the_head() {
    let forge = Forge::start().await;
    let other = |id: u64, file: &str, sha: &str| {
        run(id, "failure", json!({ "path": format!("{file}@refs/heads/main"), "head_sha": sha }))
    };
    forge.give_runs(
        "",
        3,
        &[run(3, "success", json!({})), other(2, "old.yml", "sha2"), other(1, "org.yaml", "aaa")],
    );
    forge.give(&format!("{REPO}/actions/workflows"), workflows(&["ci.yml", "new.yml"]));
    for (id, name) in [(1, "a"), (2, "b")] {
        let jobs = json!({ "total_count": 1, "jobs": [job(id, name, "failure", &[])] });
        forge.give(&format!("{REPO}/actions/runs/{id}/jobs"), jobs);
    }
    let ask = forge.ask().await;
    let heads = forge.heads(&ask).await.unwrap();
    let lanes = ["ci.yml", "new.yml", "org.yaml"].map(str::to_owned).into();
    assert_eq!(heads.workflows, Some(WhichWorkflows::Only(lanes)));
    let names: Vec<_> = heads.pipelines.iter().map(|r| r.workflow.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["The ci.yml", "old.yml", "org.yaml"]);
    let failures: Vec<_> = heads.pipelines.iter().map(|r| r.failure.as_deref()).collect();
    assert_eq!(failures, [None, None, Some("a: failed")], "only what counts is looked into");

    // The list is fresh for an hour.
    forge.asked();
    let ask = forge.knowing(&ask, &heads);
    forge.heads(&ask).await.unwrap();
    assert_eq!(forge.asked(), ["/actions/runs?limit=5"]);
    forge.clock.advance(SignedDuration::from_mins(61));
    forge.heads(&ask).await.unwrap();
    assert_eq!(forge.asked(), ["/actions/runs?limit=50", "/actions/workflows?limit=50"]);

    // A list that is not whole says nothing of what it lacks.
    let forge = Forge::start().await;
    forge.give_runs("", 1, &[run(1, "success", json!({}))]);
    forge.give(
        &format!("{REPO}/actions/workflows"),
        json!({ "total_count": 3, "workflows": [{ "id": "a.yml" }, 7] }),
    );
    let heads = forge.heads(&forge.ask().await).await.unwrap();
    assert_eq!(heads.workflows, Some(WhichWorkflows::Unknown));
}

#[tokio::test]
async fn a_server_that_learns_to_list_runs_is_asked_for_them() {
    let forge = Forge::start().await;
    let tasks = json!({ "total_count": 2, "workflow_runs": [task(12, 7, "build", "success"), task(11, 6, "build", "failure")] });
    forge.give(&format!("{REPO}/actions/tasks"), tasks);
    let ask = forge.ask().await;
    let heads = forge.heads(&ask).await.unwrap();
    assert_eq!(ids(&heads), ["number-7", "number-6"]);
    assert_eq!(heads.pipelines[1].failure.as_deref(), Some("build: failed"));
    assert_eq!(forge.asked(), ["/actions/runs?limit=50", "/actions/tasks?limit=50", "/branches/main"]);
    let ask = forge.knowing(&ask, &heads);
    assert_eq!(ids(&forge.heads(&ask).await.unwrap()), ["number-7", "number-6"]);
    assert_eq!(forge.asked(), ["/actions/tasks?limit=15"]);

    // The server is upgraded. Its runs have ids now; none of the numbers stays beside them.
    forge.give_runs(
        "",
        2,
        &[run(907, "success", json!({ "run_number": 7 })), run(906, "failure", json!({ "run_number": 6 }))],
    );
    forge.clock.advance(SignedDuration::from_mins(59));
    forge.heads(&ask).await.unwrap();
    assert_eq!(forge.asked(), ["/actions/tasks?limit=50"], "not yet, though in full");
    forge.clock.advance(SignedDuration::from_mins(2));
    let heads = forge.heads(&ask).await.unwrap();
    assert_eq!(ids(&heads), ["907", "906"]);
    assert!(heads.pipelines.iter().all(|r| r.created_at.is_some()));
}

#[tokio::test]
async fn tasks_make_runs() {
    let forge = Forge::start().await;
    let tasks = [
        task(29, 9, "deploy", "running"),
        task(28, 9, "build", "success"),
        // Started over: the newest try of each job counts.
        task(27, 8, "test", "success"),
        task(26, 8, "lint", "success"),
        task(25, 8, "test", "failure"),
        task(24, 7, "a", "skipped"),
        task(23, 7, "b", "skipped"),
        task(22, 6, "a", "failure"),
        task(21, 6, "b", "cancelled"),
        task(20, 5, "a", "brand_new"),
        json!({ "id": 19, "run_number": 4, "name": null, "head_branch": "#3", "status": "waiting" }),
        json!({ "id": "x" }),
    ];
    forge.give(&format!("{REPO}/actions/tasks"), json!({ "total_count": 12, "workflow_runs": tasks }));
    let heads = forge.heads(&forge.ask().await).await.unwrap();
    let told: Vec<_> =
        heads.pipelines.iter().map(|r| (r.number.unwrap(), r.status, r.native_status.as_str())).collect();
    assert_eq!(
        told,
        [
            (9, Status::Running, "running"),
            (8, Status::Success, "success"),
            (7, Status::Skipped, "skipped"),
            (6, Status::Failed, "failure"),
            (5, Status::Unknown, "brand_new"),
            (4, Status::Queued, "waiting"),
        ]
    );
    assert_eq!(heads.pipelines[5].branch.as_deref(), Some("#3"), "a pull request is no branch");
    assert_eq!(heads.pipelines[1].duration, Some(std::time::Duration::from_secs(100)));
    assert!(heads.problems[0].text.starts_with("1 of 12 runs could not be read"), "{:?}", heads.problems);
    assert_eq!(heads.pipelines[0].finished_at, None);

    let project = forge.project().await;
    let detail = forge.gitea.pipeline(&project, &heads.pipelines[1].id).await.unwrap();
    let jobs: Vec<_> = detail.jobs.iter().map(|j| (j.id.as_str(), j.name.as_str(), j.status)).collect();
    assert_eq!(jobs, [("task-27", "test", Status::Success), ("task-26", "lint", Status::Success)]);
    let gone = forge.gitea.pipeline(&project, &domain::RunId::new("number-3")).await;
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
}

#[tokio::test]
async fn a_run_that_the_page_cuts_is_left_as_it_was() {
    let forge = Forge::start().await;
    let all = [
        task(14, 3, "b", "success"),
        task(13, 3, "a", "success"),
        task(12, 2, "b", "success"),
        task(11, 2, "a", "failure"),
    ];
    forge.give(&format!("{REPO}/actions/tasks"), json!({ "total_count": 4, "workflow_runs": all }));
    let ask = forge.ask().await;
    let heads = forge.heads(&ask).await.unwrap();
    assert_eq!(heads.pipelines[1].status, Status::Failed);
    let ask = forge.knowing(&ask, &heads);
    // The second run lacks the task that failed.
    let few = json!({ "total_count": 4, "workflow_runs": all[..3] });
    forge.give(&format!("{REPO}/actions/tasks?limit=15"), few);
    let again = forge.heads(&ask).await.unwrap();
    assert_eq!(again.pipelines, heads.pipelines);
}

#[tokio::test]
async fn what_is_not_there_at_all_is_not_found() {
    let forge = Forge::start().await;
    let ask = forge.ask().await;
    // Neither runs, nor tasks, nor statuses, but a repository: the branch has to be there for a verdict.
    let heads = forge.heads(&ask).await.unwrap();
    assert_eq!(heads.problems[0].kind, ProblemKind::NoCi);
    forge.asked();
    assert_eq!(forge.heads(&ask).await.unwrap().problems, heads.problems);
    assert_eq!(forge.asked()[..2], ["/branches/main", "/commits/main/status?limit=50"], "found out once");
    forge.answer(REPO, 404, &[], r#"{"message":"The target couldn't be found."}"#);
    assert!(matches!(forge.heads(&ask).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn commit_statuses_are_a_run_with_a_job_for_each_context() {
    let forge = Forge::start().await;
    let status = |id: u64, context: Value, state: &str| {
        json!({
            "id": id, "context": context, "status": state, "description": "Build broken", "target_url": "https://ci.example.com/1",
            "created_at": "2026-11-24T10:01:00Z", "updated_at": "2026-11-24T10:02:00Z",
        })
    };
    let rows = [
        status(1, json!("ci/woodpecker/push/test"), "failure"),
        status(2, json!("lint"), "warning"),
        status(3, Value::Null, "brand_new"),
        json!("x"),
    ];
    let give = |state: &str, rows: &[Value]| {
        let body = json!({ "sha": "aaa", "state": state, "total_count": rows.len(), "statuses": rows });
        forge.give(&format!("{REPO}/commits/main/status"), body);
    };
    give("failure", &rows);
    let ask = forge.ask().await;
    let heads = forge.heads(&ask).await.unwrap();
    let run = &heads.pipelines[0];
    assert_eq!(
        (run.id.as_str(), run.status, run.native_status.as_str()),
        ("commit-aaa", Status::Failed, "failure")
    );
    assert_eq!(run.failure.as_deref(), Some("ci/woodpecker/push/test: Build broken"));
    assert_eq!((run.branch.as_deref(), run.completeness), (Some("main"), Completeness::Full));
    assert_eq!(run.url.as_ref().unwrap().as_str(), "https://ci.example.com/1");
    assert!(heads.problems.iter().any(|p| p.text.starts_with("1 of 4 statuses")), "{:?}", heads.problems);

    // One that is pending keeps the whole from its verdict.
    let ask = forge.knowing(&ask, &heads);
    give("pending", &[rows[0].clone(), status(4, json!("e2e"), "pending")]);
    let heads = forge.heads(&ask).await.unwrap();
    assert_eq!((heads.pipelines[0].status, heads.pipelines[0].finished_at), (Status::Running, None));
    // None at all: `null`, and an empty state.
    give("", &[]);
    let forge_ask = forge.ask().await;
    assert_eq!(forge.heads(&forge_ask).await.unwrap().problems[0].kind, ProblemKind::NoCi);
    forge
        .give(&format!("{REPO}/commits/main/status"), json!({ "sha": "aaa", "state": "", "statuses": null }));
    assert_eq!(forge.heads(&forge_ask).await.unwrap().pipelines, []);
}

#[tokio::test]
async fn times_that_gitea_does_not_tell_are_found_from_the_order() {
    let forge = Forge::start().await;
    let zero = "1970-01-01T00:00:00Z";
    let queued = json!({ "status": "queued", "conclusion": null, "started_at": zero, "completed_at": zero });
    // Run 2 was started over after run 3 had begun.
    let again = json!({ "started_at": "2026-11-24T11:00:00Z", "completed_at": "2026-11-24T11:30:00Z", "run_attempt": 2 });
    forge.give_runs(
        "",
        4,
        &[
            run(4, "", queued),
            run(3, "success", json!({})),
            run(2, "failure", again),
            run(1, "success", json!({})),
        ],
    );
    let jobs = json!({ "total_count": 1, "jobs": [job(1, "build", "failure", &[])] });
    forge.give(&format!("{REPO}/actions/runs/2/jobs"), jobs);
    let ask = forge.ask().await;
    let heads = forge.heads(&ask).await.unwrap();
    assert_eq!(ids(&heads), ["4", "3", "2", "1"]);
    let created: Vec<String> =
        heads.pipelines.iter().map(|r| r.created_at.unwrap().to_string()[11..16].to_owned()).collect();
    assert_eq!(created, ["12:00", "09:03", "09:03", "09:01"]);
    assert_eq!((heads.pipelines[0].status, heads.pipelines[0].started_at), (Status::Queued, None));
    // Forgejo tells them.
    let forge = Forge::start().await;
    forge.give_runs("", 1, &[forgejo_run(5, "failure", json!({}))]);
    let heads = forge.heads(&forge.ask().await).await.unwrap();
    let run = &heads.pipelines[0];
    assert_eq!(run.created_at.unwrap().to_string(), "2026-11-24T09:05:00Z");
    assert_eq!(run.queued, Some(std::time::Duration::from_secs(10)));
    assert_eq!(
        (run.completeness, run.failure.as_deref()),
        (Completeness::Full, None),
        "it lists no jobs: not asked again"
    );
    assert_eq!(heads.workflows, Some(WhichWorkflows::Unknown));
    assert_eq!(heads.problems, [], "what a server does not have is no problem of the row");
}

#[tokio::test]
async fn troubles_of_a_part_are_reasons_beside_the_rest() {
    let forge = Forge::start().await;
    forge.give_runs("", 60, &greens(11, 60));
    forge.answer(
        &format!("{REPO}/actions/runs?limit=50&page=2"),
        500,
        &[],
        r#"{"message":"database is locked"}"#,
    );
    forge.answer(&format!("{REPO}/branches/main"), 403, &[], r#"{"message":"nope"}"#);
    let mut rows = greens(12, 60);
    rows.push(json!({ "id": null }));
    forge.give_runs("limit=50", 60, &rows);
    let heads = forge.heads(&forge.ask().await).await.unwrap();
    assert_eq!(heads.pipelines.len(), 49);
    let texts: Vec<_> = heads.problems.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].starts_with("1 of 50 runs could not be read"), "{texts:?}");
    assert!(texts[1].contains("older runs") && texts[1].contains("database is locked"), "{texts:?}");
    assert!(texts[2].contains("branch main") && texts[2].contains("nope"), "{texts:?}");
    // Nothing of it could be read: then it is no empty repository.
    let forge = Forge::start().await;
    forge.give_runs("", 2, &[json!({}), json!([])]);
    let none = forge.heads(&forge.ask().await).await;
    assert!(matches!(none, Err(Error::Garbage(why)) if why.contains("none of 2 runs")));
    // A source that is refused is not asked on.
    let forge = Forge::start().await;
    forge.give_runs("", 1, &greens(1, 1));
    forge.answer(&format!("{REPO}/branches/main"), 401, &[], r#"{"message":"token expired"}"#);
    assert!(matches!(forge.heads(&forge.ask().await).await, Err(Error::Unauthorized(_))));
}

#[tokio::test]
async fn shown_branches_with_old_runs_are_asked_for_by_name() {
    let forge = Forge::start().await;
    let of_dev = json!({ "head_branch": "dev", "path": "ci.yml@refs/heads/dev" });
    forge.give_runs(
        "",
        90,
        &(51..=100).rev().map(|id| run(id, "success", of_dev.clone())).collect::<Vec<_>>(),
    );
    let second = (11..=50).rev().map(|id| run(id, "success", of_dev.clone())).collect::<Vec<_>>();
    forge.give_runs("page=2", 101, &second);
    forge.give_runs("branch=main&ref=refs/heads/main", 1, &[run(3, "success", json!({}))]);
    forge.give(&format!("{REPO}/branches/dev"), branch("dev", "bbb"));
    let mut ask = forge.ask().await;
    ask.branches = vec!["dev".into()];
    let heads = forge.heads(&ask).await.unwrap();
    assert_eq!((heads.pipelines.len(), heads.pipelines[90].id.as_str()), (91, "3"));
    let asked = forge.asked();
    assert!(
        asked.contains(&"/actions/runs?limit=20&branch=main&ref=refs%2Fheads%2Fmain".to_owned()),
        "{asked:?}"
    );
    // That stays, and is not asked for again.
    forge.give_runs(
        "limit=5",
        90,
        &(96..=100).rev().map(|id| run(id, "success", of_dev.clone())).collect::<Vec<_>>(),
    );
    let ask = forge.knowing(&ask, &heads);
    let heads = forge.heads(&ask).await.unwrap();
    assert_eq!((heads.pipelines.len(), heads.pipelines[90].id.as_str()), (91, "3"));
    assert_eq!(forge.asked(), ["/actions/runs?limit=5"]);
}

#[tokio::test]
async fn an_empty_repository_costs_nothing() {
    let forge = Forge::start().await;
    let mut project = forge.project().await;
    project.default_branch = None;
    let ask = connector::HeadsAsk::about(Arc::new(project));
    let heads = forge.heads(&ask).await.unwrap();
    assert_eq!((heads.problems[0].kind, forge.asked().len()), (ProblemKind::Empty, 0));
}
