//! What Jenkins really answered, recorded by other projects. The recordings are not part of this repository: they are used
//! where they lie beside the checkout, or where `CI_DASHBOARD_RECORDED` says, and this test says so when not.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;

use connector::PipelineQuery;
use domain::{RunId, Status};
use serde_json::{Value, json};
use support::{ask, heads, settings, source};
use url::Url;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Records by the path of the URL that they came from.
fn records(file: &str) -> Option<BTreeMap<String, Vec<Value>>> {
    let folder = std::env::var_os("CI_DASHBOARD_RECORDED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/recorded"),
        PathBuf::from,
    );
    let Ok(text) = std::fs::read_to_string(folder.join("jenkins").join(file)) else {
        println!("skipped: no recorded answers");
        return None;
    };
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut by_path: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in rows {
        let path = Url::parse(row["url"].as_str().unwrap()).unwrap().path().to_owned();
        by_path.entry(path).or_default().push(row["data"].clone());
    }
    Some(by_path)
}

/// Answers each path with one thing.
struct Answers(BTreeMap<String, Value>);

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        match self.0.get(request.url.path()) {
            Some(body) => ResponseTemplate::new(200).set_body_json(body),
            None => ResponseTemplate::new(404),
        }
    }
}

async fn serve(answers: BTreeMap<String, Value>) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(Answers(answers)).mount(&server).await;
    server
}

fn status_of(row: &Value) -> Status {
    match row["result"].as_str() {
        // Whatever the result says meanwhile.
        _ if row["building"] == true => Status::Running,
        Some("SUCCESS") => Status::Success,
        Some("UNSTABLE") => Status::Warning,
        Some("FAILURE") => Status::Failed,
        Some("ABORTED") => Status::Canceled,
        Some("NOT_BUILT" | "NOT_BUILD") => Status::Skipped,
        other => panic!("{other:?}"),
    }
}

/// `a/b` of `/job/a/job/b/api/json`, decoded once.
fn name_of(path: &str) -> String {
    let names = path.split('/').skip(2).step_by(2).take_while(|_| true);
    let names: Vec<_> = names.filter(|n| *n != "json").map(|n| domain::decode_segment(n).unwrap()).collect();
    names.join("/")
}

#[tokio::test]
async fn every_recorded_build_is_the_right_run() {
    let Some(records) = records("builds.records.json") else { return };
    let mut seen = 0;
    for (path, rows) in &records {
        let class = match rows[0]["_class"].as_str() {
            Some("org.jenkinsci.plugins.workflow.job.WorkflowRun") => {
                "org.jenkinsci.plugins.workflow.job.WorkflowJob"
            }
            _ => "hudson.model.FreeStyleProject",
        };
        let newest = rows.iter().max_by_key(|r| r["number"].as_u64()).unwrap();
        let item = json!({ "_class": class, "name": "x", "lastBuild": newest, "builds": rows, "allBuilds": rows, "color": "blue" });
        let server = serve(BTreeMap::from([(path.clone(), item)])).await;
        let source = source(&settings(&server.uri(), None));
        let name = name_of(path);
        let project = source.project(&name).await.unwrap();
        assert_eq!(project.key.id.as_str(), name);
        let read = heads(&*source, ask(&project)).await.unwrap();
        let query = PipelineQuery { branch: None, since: None, until: None, limit: 1_000 };
        let listed = source.pipelines(&project, &query).await.unwrap();
        assert_eq!((listed.items.len(), listed.problems.len()), (rows.len(), 0), "{name}");
        for row in rows {
            let id = RunId::from(row["number"].as_u64().unwrap());
            for runs in [&read.pipelines, &listed.items] {
                runs.iter().for_each(connector_suite::sane);
                let run = runs.iter().find(|r| r.id == id).expect("the run");
                assert_eq!(run.status, status_of(row), "{row}");
                let began = row["timestamp"].as_i64().unwrap();
                assert_eq!(run.started_at.unwrap().as_millisecond(), began);
                let worked = row["duration"].as_u64().filter(|_| run.status != Status::Running);
                assert_eq!(run.duration.map(|d| d.as_millis()), worked.map(u128::from), "{row}");
                assert_eq!(run.expected.is_some(), run.status == Status::Running);
                assert_eq!(run.event.as_deref(), Some("manual"));
                assert_eq!(run.author.as_ref().unwrap().name, "abc");
                let sha = row["actions"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find_map(|a| a["lastBuiltRevision"]["SHA1"].as_str());
                assert_eq!(run.sha.as_deref(), sha);
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 14, "all of them");
}

#[tokio::test]
async fn every_recorded_stage_is_the_right_job() {
    let Some(records) = records("stages.records.json") else { return };
    let mut seen = 0;
    for (path, rows) in &records {
        let job = path.strip_suffix("/wfapi/describe").unwrap();
        let build = json!({
            "_class": "org.jenkinsci.plugins.workflow.job.WorkflowRun", "result": "SUCCESS", "building": false,
            "timestamp": rows[0]["startTimeMillis"], "duration": rows[0]["durationMillis"],
        });
        let (parent, number) = job.rsplit_once('/').unwrap();
        let server = serve(BTreeMap::from([
            (path.clone(), json!({ "status": "SUCCESS", "stages": rows })),
            (format!("{job}/api/json"), build),
            (
                format!("{parent}/api/json"),
                json!({ "_class": "org.jenkinsci.plugins.workflow.job.WorkflowJob", "name": "x" }),
            ),
        ]))
        .await;
        let source = source(&settings(&server.uri(), None));
        let project = source.project(&name_of(&format!("{parent}/api/json"))).await.unwrap();
        let read = source.pipeline(&project, &RunId::new(number)).await.unwrap();
        assert_eq!((read.problems.len(), read.jobs.len()), (0, rows.len()), "{path}");
        for (row, job) in rows.iter().zip(&read.jobs) {
            assert_eq!(job.name, row["name"].as_str().unwrap());
            let status = match row["status"].as_str() {
                Some("SUCCESS") => Status::Success,
                Some("FAILED" | "FAILURE") => Status::Failed,
                Some("ABORTED") => Status::Canceled,
                Some("UNSTABLE") => Status::Warning,
                Some("NOT_BUILD") => Status::Skipped,
                None => Status::Unknown,
                other => panic!("{other:?}"),
            };
            assert_eq!(job.status, status, "{row}");
            let message = row["error"]["message"].as_str();
            if status == Status::Failed && message.is_some() {
                assert_eq!(job.failure_reason.as_deref(), message, "{row}");
            }
            if status != Status::Skipped {
                assert_eq!(
                    job.duration.map(|d| d.as_millis()),
                    row["durationMillis"].as_u64().map(u128::from)
                );
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 24, "all of them");
}
