//! What GitLab really answered, recorded by other projects. The recordings are not part of this repository: they are
//! used where they lie beside the checkout, or where `CI_DASHBOARD_RECORDED` says, and this test says so when not.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod support;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use connector::PipelineQuery;
use domain::{Completeness, ProblemKind, RunId, Status};
use serde_json::{Value, json};
use support::{again, ask, heads, run, settings, source};
use url::Url;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

type Query = Vec<(String, String)>;

/// Parameters that a recording without a query answers all the same.
const NO_MATTER: [&str; 10] = [
    "per_page",
    "page",
    "sort",
    "order_by",
    "pagination",
    "membership",
    "include_retried",
    "updated_after",
    "state",
    "scope",
];

struct Exchange {
    path: String,
    query: Query,
    status: u16,
    body: Value,
}

/// Answers as was recorded: the same path and query; failing that, the same path without one, narrowed by `ref` and
/// `sha`; a later page is empty, anything else 404.
struct Replay(Vec<Exchange>);

impl Respond for Replay {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let sorted = |mut query: Query| {
            query.sort();
            query
        };
        let query = sorted(request.url.query_pairs().map(|(n, v)| (n.into(), v.into())).collect());
        let path = request.url.path();
        let find = |wanted: &Query| self.0.iter().find(|e| e.path == path && e.query == *wanted);
        if let Some(e) = find(&query) {
            return ResponseTemplate::new(e.status).set_body_json(&e.body);
        }
        let missing = ResponseTemplate::new(404).set_body_json(json!({ "message": "Not Found" }));
        let Some(e) = find(&Vec::new()) else { return missing };
        let narrows = |name: &str| matches!(name, "ref" | "sha");
        if query.iter().any(|(n, _)| !narrows(n) && !NO_MATTER.contains(&n.as_str())) {
            return missing;
        }
        let later = query.iter().any(|(n, v)| n == "page" && v != "1");
        let body = match &e.body {
            Value::Array(_) if later => json!([]),
            Value::Array(rows) => {
                let fits =
                    |row: &&Value| query.iter().filter(|(n, _)| narrows(n)).all(|(n, v)| row[n] == **v);
                Value::Array(rows.iter().filter(fits).cloned().collect())
            }
            other => other.clone(),
        };
        ResponseTemplate::new(e.status).set_body_json(body)
    }
}

fn recordings() -> Option<Vec<Exchange>> {
    let folder = std::env::var_os("CI_DASHBOARD_RECORDED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/recorded"),
        PathBuf::from,
    );
    let mut exchanges = Vec::new();
    for file in ["devlake.json", "projects-made.json"] {
        let text = std::fs::read_to_string(folder.join("gitlab").join(file)).ok()?;
        let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
        for row in rows {
            let url = Url::parse("http://recorded/").unwrap().join(row["path"].as_str().unwrap()).unwrap();
            exchanges.push(Exchange {
                path: url.path().to_owned(),
                query: url.query_pairs().map(|(n, v)| (n.into(), v.into())).collect(),
                status: u16::try_from(row["status"].as_u64().unwrap()).unwrap(),
                body: row["body"].clone(),
            });
        }
    }
    Some(exchanges)
}

/// The server, and the recorded body of each path. `None`: there are no recordings.
async fn replay() -> Option<(MockServer, HashMap<String, Value>)> {
    let Some(exchanges) = recordings() else {
        println!("skipped: no recorded answers");
        return None;
    };
    let bodies = exchanges.iter().map(|e| (e.path.clone(), e.body.clone())).collect();
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(Replay(exchanges)).mount(&server).await;
    Some((server, bodies))
}

fn status_of(word: &str) -> Status {
    match word {
        "success" => Status::Success,
        "failed" => Status::Failed,
        "canceled" => Status::Canceled,
        "skipped" => Status::Skipped,
        "manual" => Status::Manual,
        "running" => Status::Running,
        _ => Status::Queued,
    }
}

#[tokio::test]
async fn every_recorded_pipeline_is_told_as_it_was() {
    let Some((server, bodies)) = replay().await else { return };
    let source = source(&settings(&server.uri(), Some("any")));
    for (watched, id) in [("12345678", "12345678"), ("44", "44"), ("merico/pip_test", "44")] {
        let project = source.project(watched).await.unwrap();
        assert_eq!(project.key.to_string(), format!("gl:{id}"));
        let recorded = &bodies[&format!("/api/v4/projects/{id}/pipelines")];
        let read = heads(&*source, ask(&project)).await.unwrap();
        assert_eq!(read.pipelines.len(), recorded.as_array().unwrap().len());
        assert!(read.pipelines.is_sorted_by(|a, b| a.age_key() >= b.age_key()), "newest first");
        assert_eq!(read.default_branch.as_ref().map(|b| &b.name), project.default_branch.as_ref());
        for row in recorded.as_array().unwrap() {
            let run = run(&read, row["id"].as_u64().unwrap());
            let word = row["status"].as_str().unwrap();
            assert_eq!((run.status, run.native_status.as_str()), (status_of(word), word), "{row}");
            assert_eq!(run.branch.as_deref(), row["ref"].as_str());
            assert_eq!(run.sha.as_deref(), row["sha"].as_str());
            assert_eq!(run.event.as_deref(), row["source"].as_str());
            assert_eq!(run.url.as_ref().map(|u| u.as_str()), row["web_url"].as_str());
            assert_eq!(run.created_at.map(|t| t.to_string()), row["created_at"].as_str().map(short));
        }
    }
}

/// The time as jiff writes it: without trailing zeros of the fraction.
fn short(time: &str) -> String {
    time.parse::<domain::Timestamp>().unwrap().to_string()
}

#[tokio::test]
async fn one_page_of_jobs_tells_the_rest_of_every_pipeline() {
    let Some((server, bodies)) = replay().await else { return };
    let source = source(&settings(&server.uri(), Some("any")));
    let project = source.project("44").await.unwrap();
    let before = source.traffic().last_hour;
    let read = heads(&*source, ask(&project)).await.unwrap();
    assert_eq!(read.problems, [], "nothing of it is missing");
    assert!(source.traffic().last_hour - before <= 5);

    let jobs = bodies["/api/v4/projects/44/jobs"].as_array().unwrap();
    for run in &read.pipelines {
        connector_suite::sane(run);
        let of_run: Vec<_> =
            jobs.iter().filter(|j| j["pipeline"]["id"].as_u64() == run.id.as_str().parse().ok()).collect();
        assert_eq!(run.completeness, Completeness::Full, "{}", run.id);
        let commits: BTreeSet<_> = of_run.iter().map(|j| j["commit"]["message"].as_str()).collect();
        assert!(commits.contains(&run.message.as_deref()), "{}: {:?}", run.id, run.message);
        let authors: BTreeSet<_> = of_run.iter().map(|j| j["commit"]["author_name"].as_str()).collect();
        assert!(authors.contains(&run.author.as_ref().map(|a| a.name.as_str())), "{}", run.id);
        // As GitLab counts: of a job that ran again only the newest try.
        let newest =
            |j: &Value| of_run.iter().all(|o| o["name"] != j["name"] || o["id"].as_u64() <= j["id"].as_u64());
        let worked =
            of_run.iter().any(|j| newest(j) && j["started_at"].is_string() && j["finished_at"].is_string());
        assert_eq!(run.duration.is_some(), worked && run.status.is_terminal(), "{}", run.id);
        assert_eq!(run.failure.is_some(), run.status == Status::Failed, "{}", run.id);
    }
    let newest = run(&read, 73);
    assert_eq!(newest.failure.as_deref(), Some("format: failed"));
    assert_eq!((newest.duration, newest.started_at), (None, None), "it never found a runner");

    let asked = source.traffic().last_hour;
    let second = heads(&*source, again(&project, &read)).await.unwrap();
    assert_eq!(source.traffic().last_hour - asked, 1, "the list alone");
    assert_eq!(second.problems, []);
}

#[tokio::test]
async fn details_that_were_never_recorded_are_one_reason_and_spoil_nothing() {
    let Some((server, _)) = replay().await else { return };
    let source = source(&settings(&server.uri(), Some("any")));
    let project = source.project("12345678").await.unwrap();
    let mut read = heads(&*source, ask(&project)).await.unwrap();
    let mut rounds = 0;
    loop {
        let [problem] = read.problems.as_slice() else { panic!("{:?}", read.problems) };
        assert_eq!(problem.kind, ProblemKind::Partial);
        let count: usize = problem.text.split(' ').nth(2).unwrap().parse().unwrap();
        assert_eq!(problem.text, format!("details of {count} pipelines: not found"));
        let before = source.traffic().last_hour;
        let next = heads(&*source, again(&project, &read)).await.unwrap();
        let asked = source.traffic().last_hour - before;
        if asked <= 1 {
            assert_eq!(next.problems, read.problems, "it keeps saying so");
            break;
        }
        read = next;
        rounds += 1;
        assert!(rounds < 5, "it asks for the same again and again");
    }
    assert_eq!(read.pipelines.len(), 29);
}

#[tokio::test]
async fn single_pipelines_are_told_from_what_there_is() {
    let Some((server, bodies)) = replay().await else { return };
    let source = source(&settings(&server.uri(), Some("any")));
    // Details are recorded, jobs are not.
    let charts = source.project("12345678").await.unwrap();
    let mut details = 0;
    for (path, body) in &bodies {
        let Some(id) = path.strip_prefix("/api/v4/projects/12345678/pipelines/") else { continue };
        let read = source.pipeline(&charts, &RunId::new(id)).await.unwrap();
        let warned = body["detailed_status"]["group"] == "success-with-warnings";
        let expected = if warned { Status::Warning } else { status_of(body["status"].as_str().unwrap()) };
        assert_eq!(read.pipeline.status, expected, "{id}");
        assert_eq!(read.pipeline.duration.map(|d| d.as_secs()), body["duration"].as_u64());
        assert_eq!(read.pipeline.author.unwrap().login.as_deref(), body["user"]["username"].as_str());
        assert!(read.jobs.is_empty() && !read.problems.is_empty());
        details += 1;
    }
    assert_eq!(details, 16);
    // Only the list knows this one.
    let listed = source.pipeline(&charts, &RunId::new("485814501")).await.unwrap();
    assert_eq!(listed.pipeline.status, Status::Failed);
    assert!(listed.problems.len() >= 2 && listed.problems.iter().all(|p| p.kind == ProblemKind::Partial));
    // Nobody knows this one.
    assert!(matches!(source.pipeline(&charts, &RunId::new("1")).await, Err(connector::Error::NotFound(_))));

    // Jobs are recorded, details are not.
    let test = source.project("44").await.unwrap();
    let read = source.pipeline(&test, &RunId::new("16")).await.unwrap();
    let recorded = bodies["/api/v4/projects/44/pipelines/16/jobs"].as_array().unwrap();
    let names: BTreeSet<_> = recorded.iter().map(|j| j["name"].as_str().unwrap()).collect();
    assert_eq!(read.jobs.len(), names.len(), "the newest try of each");
    assert_eq!(read.pipeline.id.as_str(), "16");
    assert!(read.problems.iter().any(|p| p.text.starts_with("pipeline details")));
}

#[tokio::test]
async fn branches_and_lists() {
    let Some((server, bodies)) = replay().await else { return };
    let source = source(&settings(&server.uri(), Some("any")));
    let project = source.project("12345678").await.unwrap();
    let page = source.branches(&project, None).await.unwrap();
    let recorded = bodies["/api/v4/projects/12345678/repository/branches"].as_array().unwrap();
    assert_eq!(page.items.len(), recorded.len());
    for branch in &page.items {
        assert_eq!(source.branch(&project, &branch.name).await.unwrap().sha, branch.sha, "{}", branch.name);
    }
    let newest = source.latest_pipeline(&project, "EE-7121").await.unwrap().unwrap();
    assert_eq!(newest.id.as_str(), "485814501");
    let query = PipelineQuery { branch: Some("EE-7121".into()), since: None, until: None, limit: 2 };
    let list = source.pipelines(&project, &query).await.unwrap();
    let ids: Vec<_> = list.items.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["485814501", "485813816"]);
    let merge_requests = source.merge_requests().unwrap().open_merge_requests(&project, None).await.unwrap();
    let open = bodies["/api/v4/projects/12345678/merge_requests"].as_array().unwrap();
    let open = open.iter().filter(|m| m["state"] == "opened").count();
    assert_eq!(merge_requests.items.len(), open);
}
