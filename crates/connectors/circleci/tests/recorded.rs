//! What CircleCI really answered, recorded by another project. The recordings are no part of this repository: without them
//! there is nothing to test here.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use connector::Connector;
use domain::{ManualClock, Pipeline, Status};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// The records of one sort, by the path of the list that each was an element of.
fn records(file: &str) -> Option<BTreeMap<String, Vec<Value>>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/recorded");
    let folder = std::env::var_os("CI_DASHBOARD_RECORDED").map_or_else(beside, PathBuf::from);
    let text = std::fs::read_to_string(folder.join("circleci").join(file)).ok()?;
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut by_path: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in rows {
        let url: url::Url = row["url"].as_str().unwrap().parse().unwrap();
        // Our slugs are short.
        let path = url.path().replace("/github/", "/gh/");
        by_path.entry(path).or_default().push(row["data"].clone());
    }
    Some(by_path)
}

/// A server with the recorded lists, and a source that asks it; `None` where there are none.
async fn recorded() -> Option<(MockServer, Arc<dyn Connector>)> {
    let server = MockServer::start().await;
    for file in ["pipelines.records.json", "workflows.records.json", "jobs.records.json"] {
        let Some(lists) = records(file) else {
            println!("skipped: no recorded answers");
            return None;
        };
        for (at, items) in lists {
            let body = json!({ "items": items, "next_page_token": null });
            let answer = ResponseTemplate::new(200).set_body_json(body);
            Mock::given(path(at)).respond_with(answer).mount(&server).await;
        }
    }
    for (at, rows) in records("projects.records.json")? {
        let answer = ResponseTemplate::new(200).set_body_json(&rows[0]);
        Mock::given(path(at)).respond_with(answer).mount(&server).await;
    }
    for row in records("workflows.records.json")?.into_values().flatten() {
        let at = format!("/api/v2/workflow/{}", row["id"].as_str().unwrap());
        Mock::given(path(at))
            .respond_with(ResponseTemplate::new(200).set_body_json(row))
            .mount(&server)
            .await;
    }
    for row in records("pipelines.records.json")?.into_values().flatten() {
        let at = format!("/api/v2/pipeline/{}", row["id"].as_str().unwrap());
        Mock::given(path(at))
            .respond_with(ResponseTemplate::new(200).set_body_json(row))
            .mount(&server)
            .await;
    }
    // Not recorded: the broken pipeline has no workflows.
    let none = ResponseTemplate::new(200).set_body_json(json!({ "items": [], "next_page_token": null }));
    let errored = "/api/v2/pipeline/d323f088-02fa-4ed5-9696-fc2f89a27150/workflow";
    Mock::given(path(errored)).respond_with(none).mount(&server).await;
    let clock = Arc::new(ManualClock::at("2023-03-26T10:00:00Z".parse().unwrap()));
    let source = support::source(&support::settings(&server.uri(), "token"), clock);
    Some((server, source))
}

fn numbered(runs: &[Pipeline], number: u64) -> &Pipeline {
    runs.iter().find(|run| run.number == Some(number)).unwrap()
}

#[tokio::test]
async fn every_record_becomes_the_right_run() {
    let Some((_server, source)) = recorded().await else { return };
    let project = source.project("coldgust/coldgust.github.io").await.unwrap();
    assert_eq!(project.key.to_string(), "circle:gh/coldgust/coldgust.github.io");
    assert_eq!(project.default_branch.as_deref(), Some("master"));
    let heads = support::heads(&*source, support::ask(&project)).await.unwrap();
    assert_eq!(heads.problems, []);
    let expected = [
        (10, Status::Failed),
        (9, Status::Success),
        (8, Status::Failed),
        (7, Status::Failed),
        (6, Status::Failed),
        (5, Status::Failed),
        (4, Status::Failed),
        (3, Status::Success),
        (2, Status::Success),
        (1, Status::Success),
    ];
    heads.pipelines.iter().for_each(connector_suite::sane);
    let told: Vec<_> = heads.pipelines.iter().map(|run| (run.number.unwrap(), run.status)).collect();
    assert_eq!(told, expected);

    // Its configuration could not be fetched: no branch, no commit but its hash, nobody.
    let broken = numbered(&heads.pipelines, 10);
    assert_eq!(broken.failure.as_deref(), Some("Failed to fetch config.yml file."));
    assert_eq!((broken.branch.as_ref(), broken.author.as_ref(), broken.message.as_ref()), (None, None, None));
    assert_eq!(broken.sha.as_deref(), Some("6ba0cdaf7e7791c5bc5aa89a13b9cd184f8ad296"));
    assert_eq!(broken.native_status, "errored");

    let green = numbered(&heads.pipelines, 9);
    assert_eq!((green.branch.as_deref(), green.message.as_deref()), (Some("master"), Some("add circle")));
    assert_eq!(green.workflow.lane, "workflow");
    assert_eq!(green.duration.map(|d| d.as_secs()), Some(17));
    assert_eq!(green.author.as_ref().and_then(|a| a.login.as_deref()), Some("coldgust"));
    assert_eq!(green.event.as_deref(), Some("webhook"));
    assert_eq!(
        green.url.as_ref().map(|u| u.as_str().split_once("/pipelines/").unwrap().1),
        Some("github/coldgust/coldgust.github.io/9/workflows/fd0bd4f5-264f-4e3c-a151-06153c018f78")
    );
    // It ended 45 s before it began.
    assert_eq!(numbered(&heads.pipelines, 8).duration.map(|d| d.as_secs()), Some(0));
    let head = heads.default_branch.unwrap();
    assert_eq!((head.name.as_str(), head.sha.as_deref()), ("master", green.sha.as_deref()));

    for run in heads.pipelines.iter().filter(|run| run.number != Some(10)) {
        let detail = source.pipeline(&project, &run.id).await.unwrap();
        assert_eq!(detail.problems, []);
        assert_eq!((detail.jobs.len(), detail.pipeline.status), (1, run.status));
        assert_eq!(detail.jobs[0].status, run.status);
        assert!(detail.jobs[0].duration.is_some());
        assert_eq!(detail.pipeline.sha, run.sha);
        if run.status == Status::Failed {
            assert_eq!(detail.pipeline.failure.as_deref(), Some("build failed"));
        }
    }
    let itself = source.pipeline(&project, &broken.id).await.unwrap();
    assert_eq!((itself.pipeline.status, itself.jobs.len()), (Status::Failed, 0));
}

#[tokio::test]
async fn a_workflow_without_times_is_read_all_the_same() {
    let Some((_server, source)) = recorded().await else { return };
    let project = source.project("gh/coldgust/coldgust.github.io").await.unwrap();
    let run = domain::RunId::new("b3b77371-e27a-4e93-a554-c728f757cd24");
    let detail = source.pipeline(&project, &run).await.unwrap();
    let run = &detail.pipeline;
    assert_eq!(
        (run.number, run.status, run.created_at, run.finished_at),
        (Some(16), Status::Failed, None, None)
    );
    // Neither its pipeline nor its jobs were recorded.
    assert_eq!(detail.problems.len(), 2, "{:?}", detail.problems);
}
