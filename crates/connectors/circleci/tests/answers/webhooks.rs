//! Deliveries, believed and not.

use connector::{Delivery, Event, News, Refused};
use domain::Status;
use hmac::{Hmac, Mac as _};
use http::HeaderMap;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::forge::{Forge, SLUG, at, pipeline, workflow};

const SECRET: &str = "s3cret";

fn sign(body: &[u8], secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("v1={hex}")
}

async fn forge() -> Forge {
    let secret = config::Secret::new(SECRET, config::SecretFrom::Settings);
    Forge::start_with(|s| s.webhook_secret = Some(secret)).await
}

fn receive(forge: &Forge, signature: Option<&str>, kind: &str, body: &[u8]) -> Result<Event, Refused> {
    let mut headers = HeaderMap::new();
    if let Some(signature) = signature {
        headers.insert("circleci-signature", signature.parse().unwrap());
    }
    headers.insert("circleci-event-type", kind.parse().unwrap());
    forge.circle.webhooks().unwrap().receive(&Delivery { headers: &headers, body })
}

fn payload(kind: &str, change: Value) -> Vec<u8> {
    let mut of = pipeline(7, json!({}));
    of["vcs"]["commit"]["author"] = json!({ "name": "Ana Ruiz", "email": "ana@example.com" });
    let mut body = json!({
        "id": "3888f21b-eaa7-38e3-8f3d-75a63bba8895", "type": kind, "happened_at": "2026-11-24T09:10:01Z",
        "webhook": { "id": "x", "name": "dashboard" },
        "project": { "id": "x", "name": "web", "slug": "github/acme/web" },
        "organization": { "id": "x", "name": "acme" },
        "workflow": workflow(7, "build", "failed", json!({ "url": "https://app.circleci.com/x" })),
        "pipeline": of,
    });
    for (key, value) in change.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body.to_string().into_bytes()
}

#[tokio::test]
async fn a_workflow_that_ended_is_a_run() {
    let forge = forge().await;
    let body = payload("workflow-completed", json!({}));
    // A further version may stand beside ours.
    let signature = format!("v2=0011, {}", sign(&body, SECRET));
    let event = receive(&forge, Some(&signature), "workflow-completed", &body).unwrap();
    assert_eq!(
        (event.id.as_deref(), event.kind.as_str()),
        (Some("3888f21b-eaa7-38e3-8f3d-75a63bba8895"), "workflow-completed")
    );
    let News::Runs { project, pipelines } = event.news else { panic!("{:?}", event.news) };
    assert_eq!((project.key.id.as_str(), project.name.as_str()), (SLUG, "acme/web"));
    let [run] = pipelines.as_slice() else { panic!("{pipelines:?}") };
    assert_eq!((run.id.as_str(), run.number, run.status), ("w7-build", Some(7), Status::Failed));
    assert_eq!((run.branch.as_deref(), run.workflow.lane.as_str()), (Some("main"), "build"));
    assert_eq!(run.author.as_ref().map(|a| a.name.as_str()), Some("Ana Ruiz"));
    assert_eq!(run.finished_at, Some(at("09:10:01")));
    assert!(forge.asked().is_empty());
}

#[tokio::test]
async fn other_events_touch_or_are_nothing() {
    let forge = forge().await;
    for (kind, change, touched) in [
        ("job-completed", json!({ "job": { "id": "x", "number": 1, "status": "success" } }), true),
        ("ping", json!({}), false),
        ("of-tomorrow", json!({}), false),
        ("job-completed", json!({ "project": null }), false),
    ] {
        let body = payload(kind, change);
        let event = receive(&forge, Some(&sign(&body, SECRET)), kind, &body).unwrap();
        assert_eq!(matches!(event.news, News::Touched(_)), touched, "{kind}");
        assert!(!matches!(event.news, News::Runs { .. }), "{kind}");
    }
}

#[tokio::test]
async fn what_cannot_be_believed_is_refused() {
    let forge = forge().await;
    let body = payload("workflow-completed", json!({}));
    let good = sign(&body, SECRET);
    for signature in [
        None,
        Some(""),
        Some("v1="),
        Some("v1=00"),
        Some(&good[3..]),
        Some(&*good.replace("v1", "v2")),
        Some(&*sign(&body, "other")),
    ] {
        let refused = receive(&forge, signature, "workflow-completed", &body);
        assert!(matches!(refused, Err(Refused::Forged(_))), "{signature:?}: {refused:?}");
    }
    let mut changed = body.clone();
    changed.push(b' ');
    assert!(matches!(receive(&forge, Some(&good), "workflow-completed", &changed), Err(Refused::Forged(_))));
    for odd in [&b"not json"[..], b"[]", b"", b"{\"workflow\":7}"] {
        let refused = receive(&forge, Some(&sign(odd, SECRET)), "workflow-completed", odd);
        assert!(matches!(refused, Err(Refused::Malformed(_))), "{refused:?}");
    }
    let body = payload("workflow-completed", json!({ "workflow": null }));
    assert!(matches!(
        receive(&forge, Some(&sign(&body, SECRET)), "workflow-completed", &body),
        Err(Refused::Malformed(_))
    ));
    let open = Forge::start().await;
    assert_eq!(receive(&open, Some(&good), "workflow-completed", &body), Err(Refused::NoSecret));
}
