//! The output of jobs.

use config::LogAccess;
use domain::{JobId, Log, RunId};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::forge::Forge;

/// An object store with these outputs, by name.
async fn store(outputs: &[(&str, &str)]) -> MockServer {
    let store = MockServer::start().await;
    for (name, message) in outputs {
        let body = json!([{ "message": message, "time": "2026-11-24T09:10:00Z", "type": "out" }]);
        let answer = ResponseTemplate::new(200).set_body_json(body);
        Mock::given(path(format!("/{name}"))).respond_with(answer).mount(&store).await;
    }
    store
}

fn action(store: &MockServer, name: &str, change: Value) -> Value {
    let mut action = json!({ "index": 0, "status": "success", "exit_code": 0, "output_url": format!("{}/{name}?X-Amz-Signature=hush", store.uri()) });
    for (key, value) in change.as_object().into_iter().flatten() {
        action[key] = value.clone();
    }
    action
}

async fn log(forge: &Forge, max: usize) -> connector::Result<Log> {
    forge.circle.log(&forge.project().await, &RunId::new("w"), &JobId::new("5"), max).await
}

#[tokio::test]
async fn a_log_is_the_outputs_of_the_steps_without_the_token() {
    let store = store(&[("spin", "Build-agent\r\n"), ("test0", "ok ünï\r\n"), ("test1", "boom\r\n")]).await;
    let forge = Forge::start().await;
    let failed = json!({ "index": 1, "status": "failed", "failed": true, "exit_code": 1 });
    forge.give("/api/v1.1/project/gh/acme/web/5", json!({ "lifecycle": "finished", "steps": [
        { "name": "Spin up environment", "actions": [action(&store, "spin", json!({}))] },
        { "name": "Checkout", "actions": [{ "index": 0, "status": "success", "output_url": null }] },
        { "name": "npm test", "actions": [action(&store, "test0", json!({})), action(&store, "test1", failed)] },
    ] }));
    let whole = log(&forge, 10_000).await.unwrap();
    assert_eq!(
        whole.text,
        "▸ Spin up environment\nBuild-agent\n▸ Checkout\n▸ npm test (machine 0)\nok ünï\n▸ npm test (machine 1) – failed with exit code 1\nboom"
    );
    assert_eq!((whole.truncated, whole.note), (false, None));
    let tail = log(&forge, 30).await.unwrap();
    assert_eq!((tail.text.as_str(), tail.truncated), ("boom", true));
    let asked = store.received_requests().await.unwrap();
    assert_eq!(asked.len(), 4, "the end needs the last step alone");
    for request in asked {
        for ours in ["circle-token", "authorization", "cookie"] {
            assert!(!request.headers.contains_key(ours), "{:?}", request.headers);
        }
    }
}

#[tokio::test]
async fn what_is_not_there_says_why() {
    let gone = store(&[]).await;
    for (body, text, note) in [
        (json!({ "lifecycle": "finished", "steps": [] }), "", Some("no log on the platform")),
        (json!({ "lifecycle": "not_run", "steps": null }), "", Some("no log: the job never ran")),
        (json!({ "lifecycle": "running" }), "", Some("no log yet")),
        (
            json!({ "steps": [{ "name": "test", "actions": [action(&gone, "x", json!({}))] }] }),
            "▸ test\n(expired on the platform)",
            None,
        ),
        (
            json!({ "steps": [{ "actions": [{ "output_url": "javascript:alert(1)" }, { "output_url": "not a url" }] }] }),
            "",
            None,
        ),
    ] {
        let forge = Forge::start().await;
        forge.give("/api/v1.1/project/gh/acme/web/5", body.clone());
        match log(&forge, 1000).await {
            Ok(log) if !body.to_string().contains("javascript") => {
                assert_eq!((log.text.as_str(), log.note.as_deref()), (text, note), "{body}")
            }
            Ok(log) => panic!("{log:?}"),
            Err(error) => assert!(body.to_string().contains("javascript"), "{body}: {error}"),
        }
    }
    let forge = Forge::start().await;
    assert!(matches!(log(&forge, 1000).await, Err(connector::Error::NotFound(_))));
    let approval =
        forge.circle.log(&forge.project().await, &RunId::new("w"), &JobId::new("0a1b"), 10).await.unwrap();
    assert!(approval.note.unwrap().contains("approval"));
    let off = Forge::start_with(|s| s.logs = LogAccess::None).await;
    assert!(log(&off, 1000).await.unwrap().note.unwrap().contains("switched off"));
    assert_eq!(off.asked(), [""; 0]);
}

#[tokio::test]
async fn no_message_holds_a_signed_link() {
    let broken = MockServer::start().await;
    Mock::given(wiremock::matchers::any()).respond_with(ResponseTemplate::new(500)).mount(&broken).await;
    let forge = Forge::start().await;
    let steps = json!([{ "name": "test", "actions": [action(&broken, "x", json!({}))] }]);
    forge.give("/api/v1.1/project/gh/acme/web/5", json!({ "steps": steps }));
    let error = log(&forge, 1000).await.unwrap_err();
    assert!(!error.to_string().contains("hush"), "{error}");
}
