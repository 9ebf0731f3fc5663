//! Job logs.

use config::LogAccess;
use domain::{JobId, Log, RunId};
use serde_json::json;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::forge::{Forge, REPO, job};

const RAW: &str = "\u{FEFF}2026-11-20T10:00:00.1234567Z ##[group]Run cargo test\n\
    2026-11-20T10:00:01.1234567Z ##[endgroup]\n\
    2026-11-20T10:00:01.1234567Z ##[error]Process completed with exit code 101.\n";

async fn log(forge: &Forge, max: usize) -> connector::Result<Log> {
    let project = forge.project().await;
    forge.github.log(&project, &RunId::from(1), &JobId::from(11), max).await
}

#[tokio::test]
async fn a_log_is_fetched_where_it_lives_without_the_token() {
    let store = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string(RAW)).mount(&store).await;
    let forge = Forge::start().await;
    let target = format!("{}/signed?sig=hush", store.uri());
    forge.answer(&format!("{REPO}/actions/jobs/11/logs"), 302, &[("location", &target)], json!(null));
    let all = log(&forge, 10_000).await.unwrap();
    assert_eq!(all.text, "▸ Run cargo test\nError: Process completed with exit code 101.");
    assert_eq!((all.truncated, all.note), (false, None));
    let tail = log(&forge, 80).await.unwrap();
    assert_eq!((tail.text.as_str(), tail.truncated), ("Error: Process completed with exit code 101.", true));
    for request in store.received_requests().await.unwrap() {
        assert!(!request.headers.contains_key("authorization"), "{:?}", request.headers);
    }
}

#[tokio::test]
async fn a_log_that_is_not_there_says_why() {
    for (status, conclusion, want) in [
        ("queued", json!(null), "no log yet: the job has not finished"),
        ("in_progress", json!(null), "no log yet: the job has not finished"),
        ("completed", json!("cancelled"), "no log: the job never ran"),
        ("completed", json!("skipped"), "no log: the job never ran"),
        ("completed", json!("failure"), "no log on the platform"),
    ] {
        let forge = Forge::start().await;
        forge.answer_raw(
            &format!("{REPO}/actions/jobs/11/logs"),
            404,
            &[],
            b"<Error>BlobNotFound</Error>".to_vec(),
        );
        forge.give(
            &format!("{REPO}/actions/jobs/11"),
            job(11, "x", "", json!({ "status": status, "conclusion": conclusion })),
        );
        let log = log(&forge, 1000).await.unwrap();
        assert_eq!((log.text.as_str(), log.note.as_deref()), ("", Some(want)), "{status} {conclusion}");
    }
    let forge = Forge::start().await;
    forge.answer(&format!("{REPO}/actions/jobs/11/logs"), 410, &[], json!({ "message": "Gone" }));
    assert_eq!(log(&forge, 1000).await.unwrap().note.as_deref(), Some("expired on the platform"));
}

#[tokio::test]
async fn logs_that_are_switched_off_are_not_asked_for() {
    let forge = Forge::start_with(|s| s.logs = LogAccess::None).await;
    assert!(log(&forge, 1000).await.unwrap().note.unwrap().contains("switched off"));
    assert_eq!(forge.asked(), []);
    let forge = Forge::start_with(|s| s.token = None).await;
    assert!(log(&forge, 1000).await.unwrap().note.unwrap().contains("token"));
    assert_eq!(forge.asked(), []);
}
