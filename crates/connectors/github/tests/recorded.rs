//! What GitHub really answered, recorded by other projects. The recordings are no part of this repository: without them
//! there is nothing to test here.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use connector::{Connector, PipelineQuery};
use domain::{JobId, ManualClock, ProblemKind, RunId, Status, WhichWorkflows};
use futures::StreamExt;
use serde_json::Value;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

const FILES: [&str; 3] = ["phishing-detection.json", "pygithub.json", "user.json"];

/// Where the recordings are, if they are.
fn folder() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/recorded");
    let folder = std::env::var_os("CI_DASHBOARD_RECORDED").map_or_else(beside, PathBuf::from).join("github");
    folder.is_dir().then_some(folder)
}

type Query = Vec<(String, String)>;

/// Answers as recorded: the same path and query, else the same path with the list narrowed as the query says.
struct Replay {
    exchanges: Vec<(String, Query, Value)>,
    /// GitHub's links name a repository by its id.
    by_id: HashMap<String, String>,
}

fn sorted(mut query: Query) -> Query {
    query.sort();
    query
}

fn narrows(key: &str, value: &str, row: &Value) -> bool {
    match key {
        "branch" => row["head_branch"] == value,
        "status" => row["status"] == value || row["conclusion"] == value,
        "event" => row["event"] == value,
        "head_sha" => row["head_sha"] == value,
        _ => true,
    }
}

impl Replay {
    fn load(folder: &std::path::Path) -> Self {
        let mut replay = Self { exchanges: Vec::new(), by_id: HashMap::new() };
        for file in FILES {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            for exchange in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
                let url =
                    url::Url::parse(&format!("http://x{}", exchange["path"].as_str().unwrap())).unwrap();
                let body = &exchange["body"];
                if let (Some(id), Some(name)) = (body["id"].as_u64(), body["full_name"].as_str()) {
                    replay.by_id.insert(format!("/repositories/{id}"), format!("/repos/{name}"));
                }
                let query = sorted(url.query_pairs().into_owned().collect());
                replay.exchanges.push((url.path().to_owned(), query, exchange));
            }
        }
        replay
    }

    fn find(&self, path: &str, query: &Query) -> Option<Value> {
        let recorded = |q: &Query| self.exchanges.iter().find(|(p, rq, _)| p == path && rq == q);
        if let Some((_, _, exchange)) = recorded(query) {
            return Some(exchange.clone());
        }
        let (_, _, exchange) = recorded(&Vec::new())?;
        let mut exchange = exchange.clone();
        // What was recorded of the whole list is not true of a part of it.
        if !query.is_empty() {
            exchange["headers"].as_object_mut().unwrap().retain(|k, _| !matches!(&**k, "etag" | "link"));
        }
        let later = query.iter().any(|(k, v)| k == "page" && v != "1");
        let body = &mut exchange["body"];
        let rows = match body {
            Value::Array(rows) => Some(rows),
            Value::Object(fields) => fields.values_mut().find_map(Value::as_array_mut),
            _ => None,
        };
        if let Some(rows) = rows {
            rows.retain(|row| !later && query.iter().all(|(k, v)| narrows(k, v, row)));
        }
        Some(exchange)
    }
}

impl Respond for Replay {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut path = request.url.path().to_owned();
        for (id, name) in &self.by_id {
            if let Some(rest) = path.strip_prefix(id.as_str()) {
                path = format!("{name}{rest}");
            }
        }
        let unimportant =
            ["per_page", "exclude_pull_requests", "sort", "direction", "affiliation", "state", "filter"];
        let query = request.url.query_pairs().into_owned().filter(|(k, _)| !unimportant.contains(&&**k));
        let Some(exchange) = self.find(&path, &sorted(query.collect())) else {
            return ResponseTemplate::new(404).set_body_json(serde_json::json!({ "message": "Not Found" }));
        };
        let etag = exchange["headers"]["etag"].as_str();
        let asked = request.headers.get("if-none-match").and_then(|v| v.to_str().ok());
        let mut answer = match etag.is_some() && etag == asked {
            true => ResponseTemplate::new(304),
            false => ResponseTemplate::new(u16::try_from(exchange["status"].as_u64().unwrap()).unwrap())
                .set_body_json(&exchange["body"]),
        };
        let own = format!("http://{}", request.headers["host"].to_str().unwrap());
        for (name, value) in exchange["headers"].as_object().unwrap() {
            if !matches!(&**name, "date" | "status" | "content-type") {
                let value = value.as_str().unwrap().replace("https://api.github.com", &own);
                answer = answer.insert_header(name.as_str(), value);
            }
        }
        answer
    }
}

/// A source that asks the recordings; `None` where there are none.
async fn recorded() -> Option<(MockServer, Arc<dyn Connector>)> {
    let Some(folder) = folder() else {
        println!("skipped: no recorded answers");
        return None;
    };
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(Replay::load(&folder)).mount(&server).await;
    let clock = Arc::new(ManualClock::at("2026-11-24T10:00:00Z".parse().unwrap()));
    let source = support::source(&support::settings(&server.uri()), clock);
    Some((server, source))
}

#[tokio::test]
async fn repositories_of_the_token_are_listed() {
    let Some((_server, source)) = recorded().await else { return };
    let page = source.projects(None).await.unwrap();
    assert_eq!((page.items.len(), page.next), (16, None));
    assert_eq!(page.items[0].key.to_string(), "gh:jacquev6/TestPyGithub");
    let who = source.current_user().unwrap().current_user().await.unwrap().unwrap();
    assert_eq!((who.name.as_str(), who.login.as_deref()), ("Vincent Jacques", Some("jacquev6")));
}

#[tokio::test]
async fn the_board_gets_what_was_recorded_of_a_large_repository() {
    let Some((_server, source)) = recorded().await else { return };
    let project = source.project("PyGithub/PyGithub").await.unwrap();
    assert_eq!(project.default_branch.as_deref(), Some("master"));
    let (key, heads) = source.branch_heads(vec![support::ask(&project)]).next().await.unwrap();
    let heads = heads.unwrap();
    assert_eq!(key, project.key);

    // An answer of 2018: neither author nor date.
    let head = heads.default_branch.unwrap();
    assert!(head.default && head.protected == Some(true) && head.author.is_none());
    assert_eq!(head.sha.as_deref(), Some("d60943db8c9ae6ca1f9400d378a757e6f281dbde"));

    assert_eq!(heads.pipelines.len(), 5);
    let branches: Vec<_> = heads.pipelines.iter().map(|p| p.branch.as_deref().unwrap()).collect();
    assert_eq!(
        branches,
        [
            "master",
            "master",
            "master",
            "s-t-e-v-e-n-k:remove-ratelimit-rate",
            "s-t-e-v-e-n-k:pullrequestreview-no-url"
        ]
    );
    let newest = &heads.pipelines[0];
    assert_eq!((newest.status, newest.native_status.as_str()), (Status::Success, "success"));
    // The rows have no name: it is the list of workflows that knows it.
    assert_eq!(newest.workflow.name.as_deref(), Some("check"));
    assert_eq!(newest.duration.map(|d| d.as_secs()), Some(157));
    assert_eq!(newest.author.as_ref().map(|a| a.name.as_str()), Some("Steve Kowalik"));
    let lanes = ["1026390", "1122712"].map(String::from).into_iter().collect();
    assert_eq!(heads.workflows, Some(WhichWorkflows::Only(lanes)));
    assert_eq!(heads.problems, []);
}

#[tokio::test]
async fn what_was_not_recorded_is_told_beside_the_runs() {
    let Some((_server, source)) = recorded().await else { return };
    let project = source.project("ReDASers/Phishing-Detection").await.unwrap();
    let (_, heads) = source.branch_heads(vec![support::ask(&project)]).next().await.unwrap();
    let heads = heads.unwrap();
    assert_eq!(heads.pipelines.len(), 30);
    assert!(heads.pipelines.iter().all(|p| p.number.is_some() && p.workflow.lane.parse::<u64>().is_ok()));
    assert_eq!(heads.pipelines.iter().filter(|p| p.status == Status::Canceled).count(), 1);
    assert_eq!(heads.pipelines.iter().filter(|p| p.status == Status::Failed).count(), 1);
    let problems: Vec<_> = heads.problems.iter().map(|p| (p.kind, p.text.as_str())).collect();
    assert_eq!(
        problems,
        [(ProblemKind::Partial, "branch master: not found"), (ProblemKind::Partial, "workflows: not found")]
    );
    let budget = source.budget().unwrap();
    assert_eq!((budget.limit, budget.reset_at), (5000, None), "a reset in the past is no reset");
}

#[tokio::test]
async fn runs_are_read_to_the_end() {
    let Some((_server, source)) = recorded().await else { return };
    let project = source.project("ReDASers/Phishing-Detection").await.unwrap();
    let query = PipelineQuery { branch: None, since: None, limit: 2000 };
    let all = source.pipelines(&project, &query).await.unwrap();
    assert_eq!((all.items.len(), all.problems), (30, vec![]));
    let query = PipelineQuery { branch: Some("adversary".into()), ..query };
    let of_branch = source.pipelines(&project, &query).await.unwrap();
    assert_eq!(of_branch.items.len(), 1);
    assert_eq!(of_branch.items[0].status, Status::Failed);
    let latest = source.latest_pipeline(&project, "master").await.unwrap().unwrap();
    assert_eq!(latest.id, RunId::from(298_894_825));
    let branch = source.branch(&project, "adversary").await.unwrap();
    let author = branch.author.unwrap();
    assert_eq!(
        (author.name.as_str(), author.login.as_deref()),
        ("Radoslaw Konopka", Some("radoslawkonopka"))
    );
    assert_eq!(branch.committed_at.map(|t| t.to_string()).as_deref(), Some("2020-08-11T23:16:38Z"));
}

#[tokio::test]
async fn a_run_comes_with_its_jobs() {
    let Some((_server, source)) = recorded().await else { return };
    let project = source.project("PyGithub/PyGithub").await.unwrap();
    let detail = source.pipeline(&project, &RunId::from(4_205_440_316)).await.unwrap();
    assert_eq!((detail.jobs.len(), detail.problems), (5, vec![]));
    assert_eq!(detail.jobs[1].name, "test (Python 3.8)");
    assert_eq!(detail.jobs[1].duration.map(|d| d.as_secs()), Some(142));
    assert_eq!(detail.pipeline.attempt, Some(1));
    assert_eq!(detail.pipeline.message.as_deref(), Some("Fix lint"));
    // From the first job's start to the last one's end.
    assert_eq!(detail.pipeline.duration.map(|d| d.as_secs()), Some(144));

    // Its jobs were never recorded.
    let detail = source.pipeline(&project, &RunId::from(3_911_660_493)).await.unwrap();
    assert_eq!(detail.pipeline.status, Status::Running);
    assert_eq!(detail.problems[0].text, "jobs: not found");
    assert!(source.pipeline(&project, &RunId::from(1)).await.is_err());
    assert!(source.log(&project, &RunId::from(1), &JobId::from(1), 1000).await.is_err());
}

#[tokio::test]
async fn issues_come_without_pull_requests() {
    let Some((_server, source)) = recorded().await else { return };
    let project = source.project("PyGithub/PyGithub").await.unwrap();
    let issues = source.issues().unwrap().open_issues(&project, None).await.unwrap();
    assert!(!issues.items.is_empty() && issues.items.len() < 30 && issues.next.is_some());
    let next = source.issues().unwrap().open_issues(&project, issues.next).await.unwrap();
    assert_eq!((next.items.len(), next.next), (0, None));
    let pulls = source.merge_requests().unwrap().open_merge_requests(&project, None).await.unwrap();
    assert_eq!(pulls.items.len(), 1);
    assert_eq!(pulls.items[0].source_branch, "BeaverSoftware:master");
}
