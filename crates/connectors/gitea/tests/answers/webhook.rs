//! Webhooks of Gitea and Forgejo.

use config::{Secret, SecretFrom};
use connector::{Delivery, Event, News, Refused};
use domain::Status;
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::forge::{Forge, REPO, forgejo_run, repository, run, task};

const SECRET: &str = "s3cret";

async fn forge() -> Forge {
    Forge::start_with(|s| s.webhook_secret = Some(Secret::new(SECRET, SecretFrom::Settings))).await
}

fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect()
}

fn receive(forge: &Forge, headers: &[(&'static str, &str)], body: &[u8]) -> Result<Event, Refused> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    forge.gitea.webhooks().unwrap().receive(&Delivery { headers: &map, body })
}

fn signed(forge: &Forge, kind: &str, body: &Value) -> Result<Event, Refused> {
    let body = body.to_string().into_bytes();
    let signature = sign(SECRET, &body);
    let headers = [("x-gitea-event", kind), ("x-gitea-delivery", "d1"), ("x-gitea-signature", &signature)];
    receive(forge, &headers, &body)
}

#[tokio::test]
async fn any_of_the_signatures_will_do_and_none_but_the_right_one() {
    let forge = forge().await;
    let body = br#"{"zen":1}"#;
    let (good, bad) = (sign(SECRET, body), sign("another", body));
    let with_prefix = format!("sha256={good}");
    for (name, value) in [
        ("x-gitea-signature", good.as_str()),
        ("x-forgejo-signature", &good),
        ("x-hub-signature-256", &with_prefix),
    ] {
        assert!(receive(&forge, &[(name, value)], body).is_ok(), "{name}");
    }
    for headers in [
        vec![],
        vec![("x-gitea-signature", "")],
        vec![("x-gitea-signature", bad.as_str())],
        vec![("x-gitea-signature", with_prefix.as_str())],
        vec![("x-hub-signature-256", good.as_str())],
        vec![("x-hub-signature", with_prefix.as_str())],
        // One that fits does not make up for one that does not.
        vec![("x-gitea-signature", bad.as_str()), ("x-forgejo-signature", good.as_str())],
    ] {
        let told = receive(&forge, &headers, body);
        assert!(matches!(told, Err(Refused::Forged(_))), "{headers:?}: {told:?}");
    }
    let open = Forge::start().await;
    assert_eq!(receive(&open, &[("x-gitea-signature", &good)], body), Err(Refused::NoSecret));
    assert_eq!(forge.asked(), [""; 0], "no I/O");
}

#[tokio::test]
async fn a_run_comes_inside() {
    let forge = forge().await;
    let body = json!({ "action": "completed", "workflow_run": run(9, "failure", json!({})), "repository": repository("acme/web") });
    let event = signed(&forge, "workflow_run", &body).unwrap();
    assert_eq!((event.id.as_deref(), event.kind.as_str()), (Some("d1"), "workflow_run"));
    let News::Runs { project, pipelines } = event.news else { panic!("no runs") };
    assert_eq!((project.name.as_str(), pipelines.len()), ("acme/web", 1));
    assert_eq!((pipelines[0].id.as_str(), pipelines[0].status), ("9", Status::Failed));

    // Forgejo: the event says how it ended, and the run holds the repository.
    let mut inside = forgejo_run(9, "failure", json!({}));
    inside["repository"] = repository("acme/web");
    let body = json!({ "action": "failure", "prior_status": "running", "run": inside });
    for kind in ["action_run_failure", "action_run_recover", "action_run_success"] {
        let event = signed(&forge, kind, &body).unwrap();
        let News::Runs { project, pipelines } = event.news else { panic!("no runs") };
        assert_eq!((project.name.as_str(), pipelines[0].id.as_str()), ("acme/web", "9"));
        assert_eq!(pipelines[0].native_status, "failure");
    }
}

#[tokio::test]
async fn other_events_touch_or_tell_nothing() {
    let forge = forge().await;
    let body = json!({ "ref": "refs/heads/main", "repository": repository("acme/web") });
    for kind in ["push", "pull_request", "status", "workflow_job", "create", "delete", "repository"] {
        let Ok(Event { news: News::Touched(project), .. }) = signed(&forge, kind, &body) else {
            panic!("{kind}")
        };
        assert_eq!(project.key.id.as_str(), "acme/web");
    }
    for (kind, body) in
        [("issues", body), ("push", json!({})), ("brand_new", json!({})), ("", json!({ "x": [] }))]
    {
        assert_eq!(signed(&forge, kind, &body).unwrap().news, News::Nothing, "{kind}");
    }
    for (kind, body) in [
        ("workflow_run", json!({ "repository": repository("acme/web") })),
        ("workflow_run", json!({ "workflow_run": run(1, "success", json!({})) })),
        ("action_run_success", json!({ "run": forgejo_run(1, "success", json!({})) })),
        ("push", json!("text")),
    ] {
        assert!(matches!(signed(&forge, kind, &body), Err(Refused::Malformed(_))), "{kind} {body}");
    }
}

#[tokio::test]
async fn where_runs_are_known_by_number_a_webhooks_run_is_only_a_hint() {
    let forge = forge().await;
    forge.give(
        &format!("{REPO}/actions/tasks"),
        json!({ "total_count": 1, "workflow_runs": [task(1, 1, "a", "success")] }),
    );
    let ask = forge.ask().await;
    forge.heads(&ask).await.unwrap();
    let body = json!({ "workflow_run": run(9, "failure", json!({})), "repository": repository("acme/web") });
    assert!(matches!(signed(&forge, "workflow_run", &body).unwrap().news, News::Touched(_)));
}
