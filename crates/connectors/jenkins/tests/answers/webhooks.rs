//! The Notification plugin's posts.

use std::sync::Arc;

use connector::{Connector, Delivery, Event, News, Refused};
use domain::Status;
use serde_json::{Value, json};
use wiremock::http::{HeaderMap, HeaderName, HeaderValue};

use super::listing::listed;
use super::{Forge, MULTIBRANCH, PIPELINE, ROOT, folder, job, root, watching};

/// As the plugin's documentation shows it.
fn payload(url: &str, build: Value) -> Vec<u8> {
    json!({ "name": "asgard", "display_name": "asgard", "url": url, "build": build }).to_string().into_bytes()
}

fn completed() -> Value {
    json!({
        "full_url": "http://localhost:8080/job/asgard/18/", "number": 18, "queue_id": 1, "phase": "COMPLETED", "status": "FAILURE",
        "timestamp": super::THEN, "duration": 5_000, "url": "job/asgard/18/",
        "scm": { "url": "https://github.com/x/asgard.git", "branch": "origin/main", "commit": "c6d86dc" },
    })
}

fn receive(source: &Arc<dyn Connector>, headers: &[(&str, &str)], body: &[u8]) -> Result<Event, Refused> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    source.webhooks().unwrap().receive(&Delivery { headers: &map, body })
}

#[tokio::test]
async fn the_secret_comes_in_one_of_four_ways() {
    let forge = Forge::start().await;
    let source = watching(&forge);
    let body = payload("job/asgard/", completed());
    // HMAC-SHA256 of this body by "s3cret", as Python computes it.
    let signed = "sha256=dcb03ec558bfa031b60cbbe612c16edb7026bdf04e198dac7bf984efa6594a47";
    let own = br#"{"url": "job/a/"}"#;
    assert!(receive(&source, &[("x-hub-signature-256", signed)], own).is_ok());
    for good in [
        ("x-jenkins-token", "s3cret"),
        ("authorization", "Bearer s3cret"),
        ("authorization", "Basic amVua2luczpzM2NyZXQ="),
    ] {
        assert!(receive(&source, &[good], &body).is_ok(), "{good:?}");
    }
    for bad in [
        vec![],
        vec![("x-jenkins-token", "S3cret")],
        vec![("authorization", "Bearer x")],
        vec![("authorization", "Basic amVua2luczp4")],
        vec![("x-hub-signature-256", signed)],
        vec![("x-hub-signature-256", "sha256="), ("x-jenkins-token", "s3cret")],
    ] {
        let refused = receive(&source, &bad, &body);
        assert!(
            matches!(&refused, Err(Refused::Forged(text)) if !text.contains("s3cret")),
            "{bad:?} {refused:?}"
        );
    }
    let mut without = super::settings(&forge.url(), Some("t"));
    without.webhook_secret = None;
    assert_eq!(
        receive(&super::source(&without), &[("x-jenkins-token", "s3cret")], &body),
        Err(Refused::NoSecret)
    );
    assert!(forge.asked().is_empty(), "no I/O");
}

#[tokio::test]
async fn each_phase_tells_what_it_knows() {
    let forge = Forge::start().await;
    let source = watching(&forge);
    let token = [("x-jenkins-token", "s3cret")];
    for (phase, word, status) in [
        ("STARTED", None, Some(Status::Running)),
        ("COMPLETED", Some("FAILURE"), Some(Status::Failed)),
        ("FINALIZED", Some("SUCCESS"), Some(Status::Success)),
        ("FINALIZED", Some("UNSTABLE"), Some(Status::Warning)),
        ("COMPLETED", Some("ODD"), Some(Status::Unknown)),
        ("QUEUED", None, None),
        ("NONE", None, None),
    ] {
        let mut build = completed();
        build["phase"] = json!(phase);
        build["status"] = json!(word);
        let event = receive(&source, &token, &payload("job/folder/job/as%20gard/", build)).unwrap();
        assert_eq!(event.kind, phase);
        match (event.news, status) {
            (News::Runs { project, pipelines }, Some(status)) => {
                assert_eq!(project.key.to_string(), "ci:folder/as gard");
                assert_eq!((pipelines[0].id.as_str(), pipelines[0].status), ("18", status), "{phase}");
                assert_eq!(pipelines[0].sha.as_deref(), Some("c6d86dc"));
            }
            (News::Touched(project), None) => assert_eq!(project.key.to_string(), "ci:folder/as gard"),
            (news, _) => panic!("{phase}: {news:?}"),
        }
    }
    let ids: Vec<_> =
        (0..2).map(|_| receive(&source, &token, &payload("job/a/", completed())).unwrap().id).collect();
    assert!(ids[0].is_some() && ids[0] == ids[1], "the same post twice");
    // The job was deleted and made anew: its builds are counted anew, the queue is not.
    for (queue, began) in
        [(json!(2), json!(super::THEN)), (Value::Null, json!(super::THEN + 1)), (Value::Null, Value::Null)]
    {
        let mut build = completed();
        (build["queue_id"], build["timestamp"]) = (queue, began);
        let other = receive(&source, &token, &payload("job/a/", build)).unwrap().id;
        assert!(other.is_some() && other != ids[0], "{other:?}");
    }
}

#[tokio::test]
async fn a_start_that_comes_late_does_not_undo_the_end() {
    let source = watching(&Forge::start().await);
    let run = |phase: &str, word: Option<&str>| {
        let mut build = completed();
        (build["phase"], build["status"]) = (json!(phase), json!(word));
        let token = [("x-jenkins-token", "s3cret")];
        match receive(&source, &token, &payload("job/a/", build)).unwrap().news {
            News::Runs { pipelines, .. } => pipelines[0].clone(),
            news => panic!("{news:?}"),
        }
    };
    let (begun, ended) = (run("STARTED", None), run("COMPLETED", Some("SUCCESS")));
    assert!(begun.is_overtaken_by(&ended) && !ended.is_overtaken_by(&begun));
}

#[tokio::test]
async fn a_branch_is_its_jobs_once_a_listing_told() {
    let forge = Forge::start().await;
    forge.json(ROOT, &root(&[folder(MULTIBRANCH, "mb", &[job(PIPELINE, "feature%2Fx", json!({}))])]));
    let source = watching(&forge);
    let token = [("x-jenkins-token", "s3cret")];
    let body = payload("job/mb/job/feature%252Fx/", completed());
    let of = |event: Event| match event.news {
        News::Runs { project, pipelines } => {
            (project.key.id.to_string(), pipelines[0].id.to_string(), pipelines[0].branch.clone())
        }
        news => panic!("{news:?}"),
    };
    assert_eq!(of(receive(&source, &token, &body).unwrap()), ("mb/feature%2Fx".into(), "18".into(), None));
    listed(&*source).await.unwrap();
    assert_eq!(
        of(receive(&source, &token, &body).unwrap()),
        ("mb".into(), "feature%2Fx/18".into(), Some("feature/x".into()))
    );
}

#[tokio::test]
async fn what_is_no_notification_is_malformed() {
    let source = watching(&Forge::start().await);
    for body in
        ["", "<job/>", "[]", "{}", "{\"url\": \"view/all/\"}", "{\"url\": \"job/..%2Fx/\"}", "{\"url\": 5}"]
    {
        let refused = receive(&source, &[("x-jenkins-token", "s3cret")], body.as_bytes());
        assert!(matches!(refused, Err(Refused::Malformed(_))), "{body}: {refused:?}");
    }
    let bare = receive(&source, &[("x-jenkins-token", "s3cret")], b"{\"url\": \"job/a/\"}").unwrap();
    assert!(matches!(bare.news, News::Touched(_)));
}
