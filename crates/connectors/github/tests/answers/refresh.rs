//! Looking again: what has not moved is not asked for.

use domain::{Completeness, Status, WhichWorkflows};
use jiff::SignedDuration;
use serde_json::json;

use crate::forge::{Forge, REPO, branch, job, knowing, repository, run, workflows};

/// A repository with a red and a green workflow, looked at once.
async fn known() -> (Forge, connector::HeadsAsk) {
    let forge = Forge::start().await;
    forge.give_runs(
        "",
        &[run(2, "failure", json!({})), run(1, "success", json!({ "workflow_id": 2, "name": "Deploy" }))],
    );
    forge.give(&format!("{REPO}/actions/workflows"), workflows(&[(1, "CI"), (2, "Deploy")]));
    forge.give_jobs(2, &[job(21, "test", "failure", json!({}))]);
    forge.give_jobs(1, &[job(11, "ship", "success", json!({})), job(12, "audit", "failure", json!({}))]);
    let ask = forge.ask().await;
    let heads = forge.heads(ask.clone()).await.unwrap();
    let ask = knowing(&ask, &heads, domain::Clock::now(&*forge.clock));
    forge.asked();
    (forge, ask)
}

#[tokio::test]
async fn nothing_new_is_one_request_that_costs_nothing() {
    let (forge, ask) = known().await;
    let heads = forge.heads(ask.clone()).await.unwrap();
    let asked = forge.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].not_modified && asked[0].path.starts_with("/repos/acme/web/actions/runs?"));
    // And the answer is what is known.
    let again: Vec<_> = heads.pipelines.iter().collect();
    assert_eq!(again, ask.known.iter().map(|k| &**k).collect::<Vec<_>>());
    assert_eq!(heads.default_branch, ask.known_head.as_ref().map(|(b, _)| b.clone()));
    assert_eq!((heads.workflows, heads.problems), (None, vec![]));
}

#[tokio::test]
async fn a_touched_run_keeps_what_was_seen_when_it_ended() {
    let (forge, ask) = known().await;
    let later = json!({ "updated_at": "2026-11-24T11:45:00Z" });
    let mut deploy = later.clone();
    deploy["workflow_id"] = json!(2);
    forge.give_runs("", &[run(2, "failure", later), run(1, "success", deploy)]);
    let heads = forge.heads(ask.clone()).await.unwrap();
    assert_eq!(forge.paths(), ["/actions/runs"], "its jobs say nothing new");
    for (run, known) in heads.pipelines.iter().zip(&ask.known) {
        assert_eq!((run.duration, run.finished_at), (known.duration, known.finished_at));
        assert_eq!((run.status, &run.failure), (known.status, &known.failure));
        assert_ne!(run.updated_at, known.updated_at);
    }
    assert_eq!(heads.pipelines[1].status, Status::Warning);
}

#[tokio::test]
async fn a_run_that_runs_again_leaves_its_end_behind() {
    let (forge, ask) = known().await;
    let again = json!({
        "run_attempt": 2, "status": "in_progress", "conclusion": null,
        "run_started_at": "2026-11-24T11:00:00Z", "updated_at": "2026-11-24T11:00:10Z",
    });
    forge.give_runs("", &[run(2, "failure", again)]);
    let heads = forge.heads(ask.clone()).await.unwrap();
    let running = &heads.pipelines[0];
    assert_eq!((running.status, running.attempt), (Status::Running, Some(2)));
    assert_eq!((running.finished_at, running.duration, running.failure.as_deref()), (None, None, None));
    assert_eq!(running.started_at.unwrap().to_string(), "2026-11-24T11:00:00Z");
    assert_eq!(running.created_at, ask.known[0].created_at, "a re-run keeps its creation");
    let merged = running.clone().filled_from(&ask.known[0]);
    assert_eq!((merged.finished_at, merged.failure), (None, None));

    // It ends as it did before: its jobs are read anew.
    let ended = json!({ "run_attempt": 2, "run_started_at": "2026-11-24T11:00:00Z", "updated_at": "2026-11-24T11:09:00Z" });
    forge.give_runs("", &[run(2, "failure", ended)]);
    forge.give_jobs(
        2,
        &[job(
            22,
            "lint",
            "failure",
            json!({ "started_at": "2026-11-24T11:01:00Z", "completed_at": "2026-11-24T11:02:00Z" }),
        )],
    );
    let heads = forge.heads(knowing(&ask, &heads, domain::Clock::now(&*forge.clock))).await.unwrap();
    assert_eq!(heads.pipelines[0].failure.as_deref(), Some("lint: step \"cargo test\" failed"));
    assert_eq!(heads.pipelines[0].duration.unwrap().as_secs(), 60);
    assert_eq!(heads.pipelines[0].queued.unwrap().as_secs(), 60);
}

#[tokio::test]
async fn old_servers_count_no_attempts_so_a_touched_run_is_read_again() {
    let (forge, mut ask) = known().await;
    let mut old = (*ask.known[0]).clone();
    old.attempt = None;
    ask.known = vec![old.into()];
    let touched = json!({ "run_attempt": null, "updated_at": "2026-11-24T11:45:00Z" });
    forge.give_runs("", &[run(2, "failure", touched)]);
    forge.heads(ask).await.unwrap();
    assert_eq!(forge.paths(), ["/actions/runs", "/actions/runs/2/jobs"]);
}

#[tokio::test]
async fn the_branch_is_read_again_when_somebody_pushed() {
    let (forge, mut ask) = known().await;
    forge.give(&format!("{REPO}/branches/main"), branch("main", "bbb"));
    let mut moved = repository("acme/web");
    moved["pushed_at"] = json!("2026-11-24T11:30:00Z");
    forge.give(REPO, moved);
    ask.project = forge.project().await.into();
    let heads = forge.heads(ask.clone()).await.unwrap();
    assert_eq!(heads.default_branch.as_ref().unwrap().sha.as_deref(), Some("bbb"));
    assert_eq!(forge.paths(), ["/actions/runs", "/branches/main"]);

    // A watched repository's own row may be older than its newest run.
    let ask = knowing(&ask, &heads, domain::Clock::now(&*forge.clock));
    forge.give(&format!("{REPO}/branches/main"), branch("main", "ccc"));
    forge.give_runs("", &[run(3, "cancelled", json!({ "head_sha": "ccc" })), run(2, "failure", json!({}))]);
    let heads = forge.heads(ask).await.unwrap();
    assert_eq!(heads.default_branch.unwrap().sha.as_deref(), Some("ccc"));
}

#[tokio::test]
async fn workflows_are_listed_once_an_hour_or_when_a_new_one_runs() {
    let (forge, ask) = known().await;
    forge.clock.advance(SignedDuration::from_mins(59));
    assert_eq!(forge.heads(ask.clone()).await.unwrap().workflows, None);
    forge.asked();
    forge.clock.advance(SignedDuration::from_mins(1));
    let heads = forge.heads(ask.clone()).await.unwrap();
    assert!(matches!(&heads.workflows, Some(WhichWorkflows::Only(set)) if set.len() == 2));
    assert_eq!(forge.paths(), ["/actions/runs", "/actions/workflows"]);

    let ask = knowing(&ask, &heads, domain::Clock::now(&*forge.clock));
    forge.give(&format!("{REPO}/actions/workflows"), workflows(&[(1, "CI"), (2, "Deploy"), (8, "New")]));
    forge.give_runs("", &[run(9, "cancelled", json!({ "workflow_id": 8, "name": "New" }))]);
    let heads = forge.heads(ask).await.unwrap();
    assert!(matches!(&heads.workflows, Some(WhichWorkflows::Only(set)) if set.contains("8")));
}

#[tokio::test]
async fn a_list_that_is_not_to_be_had_stays_told_without_being_asked_for() {
    let forge = Forge::start().await;
    forge.give_runs("", &[run(2, "cancelled", json!({}))]);
    forge.answer(&format!("{REPO}/actions/workflows"), 404, &[], json!({}));
    let ask = forge.ask().await;
    let first = forge.heads(ask.clone()).await.unwrap();
    let ask = knowing(&ask, &first, domain::Clock::now(&*forge.clock));
    forge.asked();
    let second = forge.heads(ask).await.unwrap();
    assert_eq!(forge.paths(), ["/actions/runs"]);
    assert_eq!(second.problems, first.problems, "the row does not flicker");
}

#[tokio::test]
async fn a_run_without_a_name_takes_that_of_its_workflows_other_runs() {
    let (forge, ask) = known().await;
    forge.give_runs(
        "",
        &[run(3, "cancelled", json!({ "name": null, "path": null })), run(2, "failure", json!({}))],
    );
    let heads = forge.heads(ask).await.unwrap();
    assert_eq!(heads.pipelines[0].workflow.name.as_deref(), Some("CI"));
    assert!(!forge.paths().contains(&"/actions/workflows".to_owned()));
}

#[tokio::test]
async fn jobs_that_are_gone_are_not_asked_for_again_and_those_that_failed_are() {
    let forge = Forge::start().await;
    forge.give_runs("", &[run(2, "failure", json!({})), run(1, "failure", json!({ "workflow_id": 2 }))]);
    forge.give(&format!("{REPO}/actions/workflows"), workflows(&[(1, "CI"), (2, "Deploy")]));
    forge.answer_raw(&format!("{REPO}/actions/runs/1/jobs"), 200, &[], b"{\"jobs\":".to_vec());
    let ask = forge.ask().await;
    let heads = forge.heads(ask.clone()).await.unwrap();
    assert_eq!(heads.pipelines[0].completeness, Completeness::Full);
    assert_eq!(heads.pipelines[1].completeness, Completeness::Row);
    assert_eq!(heads.problems.len(), 1);
    assert!(heads.problems[0].text.starts_with("jobs of 1 run: "), "{:?}", heads.problems);
    let ask = knowing(&ask, &heads, domain::Clock::now(&*forge.clock));
    forge.asked();
    forge.heads(ask).await.unwrap();
    assert_eq!(forge.paths(), ["/actions/runs", "/actions/runs/1/jobs"]);
}
