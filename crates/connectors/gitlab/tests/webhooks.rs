//! Deliveries as GitLab sends them, and as nobody but a forger would.
//!
//! The fixtures have the shape of GitLab's documentation (`webhook_events`), with data of our own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "no server is asked here")]
mod support;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::{Extra, Secret, SecretFrom};
use connector::{Connector, Delivery, Event, News, Refused};
use domain::{ManualClock, Pipeline, Status, Timestamp};
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::Sha256;
use support::settings;

const SECRET: &str = "s3cret";
const SIGNING_TOKEN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// When the vector of the Standard Webhooks libraries was signed.
const SIGNED_AT: i64 = 1_614_265_330;

fn source(secret: Option<&str>, signing_token: Option<&str>, now: i64) -> Arc<dyn Connector> {
    let mut settings = settings("https://gitlab.example.com", None);
    settings.webhook_secret = secret.map(|s| Secret::new(s, SecretFrom::Settings));
    if let Some(token) = signing_token {
        let token = Extra::Secret(Secret::new(token, SecretFrom::Settings));
        settings.extra.insert("signing_token", token);
    }
    let clock = Arc::new(ManualClock::at(Timestamp::from_second(now).unwrap()));
    (connector_gitlab::PLATFORM.build)(&settings, clock).unwrap()
}

fn deliver(source: &dyn Connector, headers: &[(&str, &str)], body: &[u8]) -> Result<Event, Refused> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(n, v)| (n.parse::<HeaderName>().unwrap(), HeaderValue::from_str(v).unwrap()))
        .collect();
    source.webhooks().unwrap().receive(&Delivery { headers: &headers, body })
}

/// A true delivery of a source with the plain token.
fn told(kind: &str, body: &Value) -> Result<Event, Refused> {
    let headers = [("x-gitlab-event", kind), ("x-gitlab-token", SECRET)];
    deliver(source(Some(SECRET), None, 0).as_ref(), &headers, body.to_string().as_bytes())
}

fn fixture(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn pipeline_hook() -> Value {
    fixture(include_str!("fixtures/pipeline_hook.json"))
}

fn run(event: Event) -> Pipeline {
    let News::Runs { mut pipelines, .. } = event.news else { panic!("{event:?}") };
    assert_eq!(pipelines.len(), 1);
    pipelines.remove(0)
}

fn sign(id: &str, at: i64, body: &[u8]) -> String {
    let key = STANDARD.decode(SIGNING_TOKEN.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn is_forged(outcome: &Result<Event, Refused>) -> bool {
    matches!(outcome, Err(Refused::Forged(why)) if !why.contains(SECRET) && !why.contains("whsec"))
}

#[test]
fn a_deployment_hook_is_the_deployment() {
    let hook = json!({
        "object_kind": "deployment", "status": "success", "status_changed_at": "2026-11-28 21:50:00 +0200",
        "deployment_id": 15, "deployable_id": 796, "deployable_url": "http://10.126.0.2:3000/root/test-deployment-webhooks/-/jobs/796",
        "environment": "eu-1", "environment_tier": "production", "environment_slug": "eu-1",
        "environment_external_url": "https://eu-1.example.com",
        "project": { "id": 30, "name": "test-deployment-webhooks", "path_with_namespace": "root/test-deployment-webhooks", "default_branch": "master" },
        "short_sha": "279484c0", "user": { "id": 1, "name": "Administrator", "username": "root" },
        "user_url": "http://10.126.0.2:3000/root", "commit_url": "http://10.126.0.2:3000/root/x/-/commit/279484c09fbe", "commit_title": "Add", "ref": "1.0.0",
    });
    let deployed = |hook: &Value| match told("Deployment Hook", hook).unwrap().news {
        News::Deployed { project, deployment } => (project.key.to_string(), *deployment),
        other => panic!("{other:?}"),
    };
    let (project, ended) = deployed(&hook);
    assert_eq!((project.as_str(), ended.id.as_str(), ended.environment.as_str()), ("gl:30", "15", "eu-1"));
    let at = Some("2026-11-28T19:50:00Z".parse().unwrap());
    assert_eq!(
        (ended.status, ended.production, ended.branch.as_deref()),
        (Status::Success, Some(true), Some("1.0.0"))
    );
    assert_eq!((ended.created_at, ended.finished_at, ended.updated_at), (None, at, at));
    assert_eq!((&ended.sha, &ended.run), (&None, &None), "a part of a commit's id is none");
    let mut running = hook.clone();
    running["status"] = json!("running");
    running["environment_tier"] = json!(null);
    let (_, begun) = deployed(&running);
    assert_eq!((begun.status, begun.is_production()), (Status::Running, false));
    assert_eq!((begun.created_at, begun.finished_at), (at, None));
    for missing in ["deployment_id", "environment", "status", "project"] {
        let mut hook = hook.clone();
        hook[missing] = json!(null);
        assert!(matches!(told("Deployment Hook", &hook), Err(Refused::Malformed(_))), "{missing}");
    }
}

#[test]
fn a_pipeline_hook_is_the_pipeline() {
    let event = told("Pipeline Hook", &pipeline_hook()).unwrap();
    assert_eq!((event.kind.as_str(), &event.id), ("Pipeline Hook", &None));
    let News::Runs { project, .. } = &event.news else { panic!("{event:?}") };
    assert_eq!((project.key.to_string().as_str(), project.name.as_str()), ("gl:7", "payments/ledger"));
    assert_eq!(project.default_branch.as_deref(), Some("main"));
    let run = run(event);
    assert_eq!((run.id.as_str(), run.number, run.status), ("31", Some(3), Status::Warning));
    assert_eq!((run.native_status.as_str(), run.event.as_deref()), ("success", Some("schedule")));
    assert_eq!((run.branch.as_deref(), run.workflow.name.as_deref()), (Some("main"), Some("Nightly")));
    assert_eq!(run.message.as_deref(), Some("Round half even in fees"));
    assert_eq!(run.author.unwrap().name, "Tom Vale");
    assert_eq!(run.duration.unwrap().as_secs(), 63);
    let at = |text: &str| Some(text.parse().unwrap());
    assert_eq!(run.created_at, at("2026-11-24T15:23:28Z"));
    assert_eq!(run.finished_at, at("2026-11-24T15:26:29Z"));
    assert_eq!(run.updated_at, at("2026-11-24T15:26:30Z"), "what happened last, to a job of it");
    assert_eq!(run.url.unwrap().as_str(), "https://gitlab.example.com/payments/ledger/-/pipelines/31");
}

#[test]
fn a_lane_is_that_of_the_api() {
    // Else a run told by a webhook would not replace one that was read. As the board keeps both.
    let event = told("Pipeline Hook", &pipeline_hook()).unwrap();
    assert_eq!(run(event).bounded().workflow.lane, "Nightly schedule");
}

#[test]
fn of_two_hooks_of_one_pipeline_the_older_one_is_known() {
    let mut running = pipeline_hook();
    running["object_attributes"]["status"] = json!("running");
    running["object_attributes"]["detailed_status"] = json!("running");
    running["object_attributes"]["finished_at"] = Value::Null;
    running["builds"] = json!([{ "id": 380, "created_at": "2026-11-24 15:23:28 UTC", "started_at": "2026-11-24 15:26:12 UTC" }]);
    let (ended, running) = (
        run(told("Pipeline Hook", &pipeline_hook()).unwrap()),
        run(told("Pipeline Hook", &running).unwrap()),
    );
    assert!(running.is_older_than(&ended) && !ended.is_older_than(&running));
    // Started and ended within a second.
    let mut quick = pipeline_hook();
    quick["object_attributes"]["status"] = json!("running");
    let quick = run(told("Pipeline Hook", &quick).unwrap());
    assert_eq!((quick.updated_at, quick.finished_at), (ended.updated_at, None));
    assert!(quick.is_older_than(&ended) && !ended.is_older_than(&quick));
    // Retried: the same id, later.
    let mut retried = pipeline_hook();
    retried["object_attributes"]["status"] = json!("running");
    retried["builds"] = json!([{ "id": 390, "created_at": "2026-11-24 15:40:00 UTC" }]);
    let retried = run(told("Pipeline Hook", &retried).unwrap());
    assert!(!retried.is_older_than(&ended) && ended.is_older_than(&retried));
}

#[test]
fn job_and_push_hooks_touch_their_project() {
    for (kind, body) in [
        ("Job Hook", include_str!("fixtures/job_hook.json")),
        ("Push Hook", include_str!("fixtures/push_hook.json")),
        ("Tag Push Hook", include_str!("fixtures/push_hook.json")),
        ("Merge Request Hook", include_str!("fixtures/push_hook.json")),
    ] {
        let News::Touched(project) = told(kind, &fixture(body)).unwrap().news else { panic!("{kind}") };
        assert_eq!(project.key.to_string(), "gl:7", "{kind}");
    }
}

#[test]
fn what_is_not_known_is_believed_and_of_no_concern() {
    for kind in ["Issue Hook", "Wiki Page Hook", "Hook of the Year 2040", ""] {
        let event = told(kind, &json!({ "project": "of another shape" })).unwrap();
        assert_eq!(event.news, News::Nothing, "{kind}");
    }
    assert_eq!(told("Push Hook", &json!({})).unwrap().news, News::Nothing, "of no project");
}

#[test]
fn parts_of_another_shape_spoil_nothing() {
    let mut odd = pipeline_hook();
    odd["builds"] = json!({ "not": "a list" });
    odd["commit"] = json!("bcbb5ec3");
    let odd = run(told("Pipeline Hook", &odd).unwrap());
    assert_eq!((odd.id.as_str(), odd.message), ("31", None));
    let mut rows = pipeline_hook();
    rows["builds"] =
        json!([17, null, { "finished_at": "never" }, { "finished_at": "2026-11-24 16:00:00 UTC" }]);
    let rows = run(told("Pipeline Hook", &rows).unwrap());
    assert_eq!(rows.updated_at, Some("2026-11-24T16:00:00Z".parse().unwrap()));
    let mut unknown = pipeline_hook();
    unknown["object_attributes"]["status"] = json!("levitating");
    assert_eq!(run(told("Pipeline Hook", &unknown).unwrap()).status, Status::Unknown);
}

#[test]
fn what_is_signed_and_still_not_readable_is_malformed() {
    let gitlab = source(Some(SECRET), None, 0);
    let whole = pipeline_hook().to_string();
    let form = b"payload=%7B%22object_kind%22%3A%22pipeline%22%7D".as_slice();
    for body in [form, b"", b"{broken", b"\xff\xfe", &whole.as_bytes()[..whole.len() - 1], b"[]", b"{}"] {
        let headers = [("x-gitlab-event", "Pipeline Hook"), ("x-gitlab-token", SECRET)];
        let outcome = deliver(gitlab.as_ref(), &headers, body);
        let Err(Refused::Malformed(why)) = &outcome else { panic!("{outcome:?}") };
        assert!(why.chars().count() <= domain::text::MAX_TITLE + 1, "{why}");
    }
    let deep = "[".repeat(100_000);
    let headers = [("x-gitlab-event", "Issue Hook"), ("x-gitlab-token", SECRET)];
    assert!(matches!(deliver(gitlab.as_ref(), &headers, deep.as_bytes()), Err(Refused::Malformed(_))));
    for lacks in ["project", "object_attributes"] {
        let mut body = pipeline_hook();
        body.as_object_mut().unwrap().remove(lacks);
        assert!(matches!(told("Pipeline Hook", &body), Err(Refused::Malformed(_))), "{lacks}");
    }
}

#[test]
fn another_token_or_none_is_forged() {
    let gitlab = source(Some(SECRET), None, 0);
    let body = pipeline_hook().to_string();
    for token in [None, Some(""), Some("s3cre"), Some("s3cret "), Some("S3CRET"), Some("another")] {
        let mut headers = vec![("x-gitlab-event", "Pipeline Hook")];
        headers.extend(token.map(|t| ("x-gitlab-token", t)));
        // It is refused before anything of it is read.
        for body in [body.as_bytes(), b"{broken"] {
            assert!(is_forged(&deliver(gitlab.as_ref(), &headers, body)), "{token:?}");
        }
    }
}

#[test]
fn without_a_secret_nothing_is_believed() {
    let headers = [("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "")];
    assert_eq!(deliver(source(None, None, 0).as_ref(), &headers, b"{}"), Err(Refused::NoSecret));
}

#[test]
fn the_published_signature_vector() {
    let gitlab = source(None, Some(SIGNING_TOKEN), SIGNED_AT);
    let headers = |id, at, signature| {
        [
            ("x-gitlab-event", "Emoji Hook"),
            ("webhook-id", id),
            ("webhook-timestamp", at),
            ("webhook-signature", signature),
        ]
    };
    let (id, at, body) =
        ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#.as_slice());
    let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let event = deliver(gitlab.as_ref(), &headers(id, at, good), body).unwrap();
    assert_eq!((event.id.as_deref(), event.news), (Some(id), News::Nothing));
    let listed = format!("v1a,AAAA v1,AAAA {good}");
    assert!(deliver(gitlab.as_ref(), &headers(id, at, &listed), body).is_ok(), "any of them may be ours");
    for (id, at, signature, body) in [
        ("msg_other", at, good, body),
        (id, "1614265331", good, body),
        (id, "soon", good, body),
        (id, at, &good[..good.len() - 1], body),
        (id, at, "v1,", body),
        (id, at, "", body),
        (id, at, good, br#"{"test": 2432232315}"#),
    ] {
        assert!(
            is_forged(&deliver(gitlab.as_ref(), &headers(id, at, signature), body)),
            "{id} {at} {signature}"
        );
    }
}

#[test]
fn a_recorded_delivery_is_refused_when_it_is_played_later() {
    let body = pipeline_hook().to_string();
    let (id, signature) = ("d1", sign("d1", SIGNED_AT, body.as_bytes()));
    let headers = [
        ("x-gitlab-event", "Pipeline Hook"),
        ("webhook-id", id),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", signature.as_str()),
    ];
    for (later, believed) in
        [(0, true), (300, true), (-300, true), (301, false), (-301, false), (86_400, false)]
    {
        let gitlab = source(None, Some(SIGNING_TOKEN), SIGNED_AT + later);
        let outcome = deliver(gitlab.as_ref(), &headers, body.as_bytes());
        assert_eq!(outcome.is_ok(), believed, "{later} s later");
        assert!(believed || is_forged(&outcome));
    }
}

#[test]
fn a_signature_that_is_there_has_to_fit_and_a_token_does_not_make_up_for_it() {
    let gitlab = source(Some(SECRET), Some(SIGNING_TOKEN), SIGNED_AT);
    let body = b"{}".as_slice();
    let signature = sign("d1", SIGNED_AT, body);
    let token = ("x-gitlab-token", SECRET);
    let (id, at) = (("webhook-id", "d1"), ("webhook-timestamp", "1614265330"));
    let good = ("webhook-signature", signature.as_str());
    let wrong = ("webhook-signature", "v1,AAAA");
    assert!(deliver(gitlab.as_ref(), &[id, at, good], body).is_ok());
    assert!(deliver(gitlab.as_ref(), &[token], body).is_ok(), "older servers only send the token");
    assert!(is_forged(&deliver(gitlab.as_ref(), &[token, id, at, wrong], body)));
    assert!(is_forged(&deliver(gitlab.as_ref(), &[token, at, good], body)), "no id");
    assert!(is_forged(&deliver(gitlab.as_ref(), &[token, id, good], body)), "no time");
    let only_signed = source(None, Some(SIGNING_TOKEN), SIGNED_AT);
    assert!(is_forged(&deliver(only_signed.as_ref(), &[token], body)), "no signature");
}

#[test]
fn the_delivery_id_is_that_which_stays_over_retries() {
    let id_of = |headers: &[(&str, &str)]| {
        let headers = [headers, &[("x-gitlab-token", SECRET)]].concat();
        deliver(source(Some(SECRET), None, 0).as_ref(), &headers, b"{}").expect("believed").id
    };
    assert_eq!(id_of(&[("idempotency-key", "k"), ("webhook-id", "w")]).as_deref(), Some("k"));
    assert_eq!(id_of(&[("webhook-id", "w")]).as_deref(), Some("w"));
    // What is not signed does not name what is.
    let signature = sign("w", SIGNED_AT, b"{}");
    let headers = [
        ("idempotency-key", "k"),
        ("webhook-id", "w"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", signature.as_str()),
        ("x-gitlab-token", SECRET),
    ];
    for (secret, key, id) in [(None, Some(SIGNING_TOKEN), "w"), (Some(SECRET), None, "k")] {
        let told = deliver(source(secret, key, SIGNED_AT).as_ref(), &headers, b"{}").expect("believed");
        assert_eq!(told.id.as_deref(), Some(id));
    }
    // All events of one request share these.
    assert_eq!(id_of(&[("x-gitlab-event-uuid", "u"), ("x-gitlab-webhook-uuid", "h")]), None);
}
