//! What Bitbucket Cloud really answered, recorded by another project. The recordings are not part of this repository: they
//! are used where they lie beside the checkout, or where `CI_DASHBOARD_RECORDED` says, and this test says so when not.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use domain::{ProblemKind, RunId, Status, SystemClock};
use serde_json::{Value, json};
use support::{ask, heads, settings, source};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const REPOSITORY: &str = "/repositories/likyh/likyhphp";

/// The recorded rows of a file, and the URLs that they came from.
fn records(name: &str) -> Option<Vec<(String, Value)>> {
    let folder = std::env::var_os("CI_DASHBOARD_RECORDED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/recorded"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(folder.join("bitbucket").join(format!("{name}.records.json"))).ok()?;
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    Some(
        rows.into_iter()
            .map(|mut row| (row["url"].as_str().unwrap().to_owned(), row["data"].take()))
            .collect(),
    )
}

/// Serves the rows as the lists that they were part of.
async fn replay() -> Option<MockServer> {
    let (Some(repositories), Some(pipelines), Some(steps)) =
        (records("repositories"), records("pipelines"), records("pipeline_steps"))
    else {
        println!("skipped: no recorded answers");
        return None;
    };
    let server = MockServer::start().await;
    let answer = |at: String, status: u16, body: Value| {
        Mock::given(method("GET"))
            .and(path(at))
            .respond_with(ResponseTemplate::new(status).set_body_json(body))
            .mount(&server)
    };
    let none = json!({ "type": "error", "error": { "message": "Resource not found" } });
    answer("/rest/api/latest/application-properties".into(), 404, none.clone()).await;
    answer(format!("{REPOSITORY}/refs/branches/master"), 404, none).await;
    answer(REPOSITORY.into(), 200, repositories[0].1.clone()).await;
    let rows = |all: &[(String, Value)]| {
        let values: Vec<&Value> = all.iter().map(|(_, data)| data).collect();
        json!({ "page": 1, "pagelen": 100, "size": values.len(), "values": values })
    };
    answer(format!("{REPOSITORY}/pipelines"), 200, rows(&pipelines)).await;
    for (_, pipeline) in &pipelines {
        let uuid = pipeline["uuid"].as_str().unwrap();
        let encoded = uuid.replace('{', "%7B").replace('}', "%7D");
        let of_it: Vec<(String, Value)> =
            steps.iter().filter(|(url, _)| url.contains(&encoded)).cloned().collect();
        answer(format!("{REPOSITORY}/pipelines/{encoded}"), 200, pipeline.clone()).await;
        answer(format!("{REPOSITORY}/pipelines/{encoded}/steps"), 200, rows(&of_it)).await;
    }
    Some(server)
}

/// The word that decides a recorded state, and what it means.
fn status_of(state: &Value) -> Option<Status> {
    let word = match state["name"].as_str().unwrap() {
        "COMPLETED" => state["result"]["name"].as_str().unwrap(),
        "IN_PROGRESS" => state["stage"]["name"].as_str().unwrap_or("IN_PROGRESS"),
        word => word,
    };
    Some(match word {
        "PASSED" | "SUCCESSFUL" => Status::Success,
        "FAILED" | "ERROR" => Status::Failed,
        "STOPPED" | "EXPIRED" => Status::Canceled,
        "PENDING" | "READY" => Status::Queued,
        "IN_PROGRESS" | "RUNNING" => Status::Running,
        "PAUSED" | "HALTED" => Status::Manual,
        "NOT_RUN" => Status::Skipped,
        "COMPLETED" => Status::Unknown,
        _ => return None,
    })
}

#[tokio::test]
async fn every_recorded_pipeline_is_told_as_it_was() {
    let Some(server) = replay().await else { return };
    let source = source(&settings(&server.uri()), Arc::new(SystemClock));
    let project = source.project("likyh/likyhphp").await.unwrap();
    assert_eq!(
        (project.key.to_string(), project.default_branch.as_deref()),
        ("bb:likyh/likyhphp".into(), Some("master"))
    );
    let read = heads(&*source, ask(&project)).await.unwrap();
    // The recorded repository's main branch is none of those that ran.
    assert!(
        read.problems.iter().all(|p| p.kind == ProblemKind::Partial && p.text.starts_with("branch master"))
    );
    let recorded = records("pipelines").unwrap();
    let ids: std::collections::BTreeSet<&str> =
        recorded.iter().map(|(_, row)| row["uuid"].as_str().unwrap()).collect();
    assert_eq!(read.pipelines.len(), ids.len());
    assert!(read.pipelines.is_sorted_by(|a, b| a.age_key() >= b.age_key()), "newest first");
    let mut backwards = 0;
    for run in &read.pipelines {
        connector_suite::sane(run);
        let of_it = |(_, row): &&(String, Value)| row["uuid"] == run.id.as_str();
        let row = &recorded.iter().find(of_it).unwrap().1;
        assert_eq!(Some(run.status), status_of(&row["state"]), "{row}");
        assert_eq!(run.branch.as_deref(), row["target"]["ref_name"].as_str());
        assert_eq!(run.sha.as_deref(), row["target"]["commit"]["hash"].as_str());
        if run.status == Status::Success {
            assert_eq!(run.duration.map(|d| d.as_secs()), row["duration_in_seconds"].as_u64(), "{row}");
            assert!(run.finished_at.is_some());
        }
        backwards += usize::from(run.finished_at < run.created_at && run.finished_at.is_some());
    }
    assert!(backwards > 0, "one ended before it was created");
}

#[tokio::test]
async fn every_recorded_step_is_told_as_it_was() {
    let Some(server) = replay().await else { return };
    let source = source(&settings(&server.uri()), Arc::new(SystemClock));
    let project = source.project("likyh/likyhphp").await.unwrap();
    let steps = records("pipeline_steps").unwrap();
    let mut compared = 0;
    for (_, pipeline) in records("pipelines").unwrap() {
        let uuid = pipeline["uuid"].as_str().unwrap();
        let detail = source.pipeline(&project, &RunId::new(uuid)).await.unwrap();
        assert_eq!(detail.problems, [], "{uuid}");
        for job in &detail.jobs {
            let row = &steps.iter().find(|(_, row)| row["uuid"] == job.id.as_str()).unwrap().1;
            assert_eq!(job.name, row["name"].as_str().unwrap());
            let said = status_of(&row["state"]).unwrap();
            // What failed in a pipeline that passed was allowed to.
            let want = if job.allow_failure { Status::Warning } else { said };
            assert_eq!(job.status, want, "{row}");
            compared += 1;
        }
    }
    assert!(compared > 20, "{compared}");
}
