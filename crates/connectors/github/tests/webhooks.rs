//! Deliveries as GitHub sends them (examples that octokit publishes), and as nobody but a forger would.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use config::{Secret, SecretFrom};
use connector::{Connector, Delivery, Event, News, Refused};
use domain::{Status, SystemClock};
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &str = "It's a Secret to Everybody";

fn source(secret: Option<&str>) -> Arc<dyn Connector> {
    let mut settings = support::settings("https://api.github.com");
    settings.webhook_secret = secret.map(|s| Secret::new(s, SecretFrom::Settings));
    support::source(&settings, Arc::new(SystemClock))
}

fn deliver(source: &dyn Connector, headers: &[(&str, &str)], body: &[u8]) -> Result<Event, Refused> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(n, v)| (n.parse::<HeaderName>().unwrap(), HeaderValue::from_str(v).unwrap()))
        .collect();
    source.webhooks().unwrap().receive(&Delivery { headers: &headers, body })
}

fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256={hex}")
}

/// A true delivery.
fn told(kind: &str, body: &[u8]) -> Result<Event, Refused> {
    let signature = sign(SECRET, body);
    let headers =
        [("x-github-event", kind), ("x-github-delivery", "d-1"), ("x-hub-signature-256", &*signature)];
    deliver(source(Some(SECRET)).as_ref(), &headers, body)
}

fn example(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("fixtures/octokit_webhooks.json")).unwrap();
    all[name].clone()
}

fn told_example(name: &str) -> Event {
    let kind = name.split('.').next().unwrap();
    told(kind, example(name).to_string().as_bytes()).unwrap()
}

#[test]
fn a_workflow_run_is_the_run() {
    let event = told_example("workflow_run.completed");
    assert_eq!((event.kind.as_str(), event.id.as_deref()), ("workflow_run", Some("d-1")));
    let News::Runs { project, pipelines } = event.news else { panic!() };
    assert_eq!(
        (project.key.to_string().as_str(), &*project.name),
        ("gh:octo-org/octo-repo", "octo-org/octo-repo")
    );
    assert_eq!(project.default_branch.as_deref(), Some("master"));
    let [run] = &pipelines[..] else { panic!() };
    assert_eq!((run.id.as_str(), run.number, run.attempt), ("289782451", Some(163), Some(1)));
    assert_eq!((run.status, run.native_status.as_str()), (Status::Success, "success"));
    assert_eq!((run.workflow.lane.as_str(), run.branch.as_deref()), ("2823525", Some("master")));
    assert_eq!(run.event.as_deref(), Some("repository_dispatch"));
    assert_eq!(run.message.as_deref(), Some("build(test): check workflow run event payload"));
    assert_eq!(run.updated_at, Some("2020-10-05T16:33:49Z".parse().unwrap()));
    assert!(run.url.is_some() && run.author.is_some());
}

#[test]
fn a_deployment_status_is_the_deployment() {
    let deployed = |event: Event| match event.news {
        News::Deployed { project, deployment } => (project.name, *deployment),
        other => panic!("{other:?}"),
    };
    let (project, plain) = deployed(told_example("deployment_status.plain"));
    assert_eq!(project, "Codertocat/Hello-World");
    assert_eq!(
        (plain.id.as_str(), plain.environment.as_str()),
        ("MDEwOkRlcGxveW1lbnQxNDU5ODg3NDY=", "production")
    );
    assert_eq!((plain.status, plain.is_production(), plain.run), (Status::Success, true, None));
    assert_eq!((plain.branch.as_deref(), plain.sha.map(|sha| sha.len())), (Some("master"), Some(40)));
    let ended = Some("2019-05-15T15:20:55Z".parse().unwrap());
    assert_eq!((plain.created_at, plain.finished_at, plain.updated_at), (None, ended, ended));
    let (_, of_actions) = deployed(told_example("deployment_status.actions"));
    assert_eq!((of_actions.status, of_actions.is_production()), (Status::Running, false));
    assert_eq!(of_actions.run.as_ref().map(|run| run.as_str()), Some("289782451"));
    assert_eq!(of_actions.created_at, Some("2022-01-03T01:28:40Z".parse().unwrap()));
    // Of other words, or of no use.
    let mut other = example("deployment_status.plain");
    other["deployment_status"]["state"] = json!("brand_new");
    let (_, unknown) = deployed(told("deployment_status", other.to_string().as_bytes()).unwrap());
    assert_eq!((unknown.status, unknown.native_status.as_str()), (Status::Unknown, "brand_new"));
    other["deployment"]["node_id"] = json!(null);
    assert!(matches!(told("deployment_status", other.to_string().as_bytes()), Err(Refused::Malformed(_))));
}

#[test]
fn of_two_deliveries_of_one_run_the_older_one_is_known() {
    let run = |event: Event| match event.news {
        News::Runs { mut pipelines, .. } => pipelines.remove(0),
        other => panic!("{other:?}"),
    };
    let (requested, completed) =
        (run(told_example("workflow_run.requested")), run(told_example("workflow_run.completed")));
    assert_eq!((requested.status, &requested.id), (Status::Queued, &completed.id));
    assert!(requested.is_older_than(&completed) && !completed.is_older_than(&requested));
    // Within one second, which is all that GitHub's times tell.
    let mut running = example("workflow_run.completed");
    running["workflow_run"]["status"] = json!("in_progress");
    running["workflow_run"]["conclusion"] = Value::Null;
    let running = run(told("workflow_run", running.to_string().as_bytes()).unwrap());
    assert_eq!((running.status, running.updated_at), (Status::Running, completed.updated_at));
    assert!(running.is_older_than(&completed) && !completed.is_older_than(&running));
    // The next attempt is newer whatever its time.
    let mut again = example("workflow_run.requested");
    again["workflow_run"]["run_attempt"] = json!(2);
    let again = run(told("workflow_run", again.to_string().as_bytes()).unwrap());
    assert!(!again.is_older_than(&completed) && completed.is_older_than(&again));
}

#[test]
fn a_fork_s_branch_is_not_ours() {
    let mut fork = example("workflow_run.completed");
    fork["workflow_run"]["head_repository"]["id"] = json!(1);
    fork["workflow_run"]["head_repository"]["owner"] = json!({ "login": "mallory" });
    let News::Runs { pipelines, .. } = told("workflow_run", fork.to_string().as_bytes()).unwrap().news else {
        panic!()
    };
    assert_eq!(pipelines[0].branch.as_deref(), Some("mallory:master"));
}

#[test]
fn events_without_runs_touch_their_repository() {
    for (name, repository) in [
        ("workflow_job.completed", "Codertocat/Hello-World"),
        ("push", "Codertocat/Hello-World"),
        ("check_suite.completed", "Codertocat/Hello-World"),
    ] {
        let News::Touched(project) = told_example(name).news else { panic!("{name}") };
        assert_eq!(project.key.id.as_str(), repository, "{name}");
    }
    assert_eq!(told("push", b"{}").unwrap().news, News::Nothing, "of no repository");
}

#[test]
fn what_is_not_known_is_believed_and_of_no_concern() {
    assert_eq!(told_example("ping").news, News::Nothing);
    assert_eq!(told_example("ping.organization").news, News::Nothing);
    for kind in ["star", "event_of_the_year_2040", ""] {
        let body = br#"{ "repository": "of another shape", "workflow_run": 7 }"#;
        assert_eq!(told(kind, body).unwrap().news, News::Nothing, "{kind}");
    }
}

#[test]
fn what_is_signed_and_still_not_readable_is_malformed() {
    let whole = example("workflow_run.completed").to_string();
    let form = b"payload=%7B%22action%22%3A%22completed%22%7D".as_slice();
    for body in [form, b"", b"{broken", b"\xff\xfe", &whole.as_bytes()[..whole.len() - 1], b"[]", b"{}"] {
        let outcome = told("workflow_run", body);
        let Err(Refused::Malformed(why)) = &outcome else { panic!("{outcome:?}") };
        assert!(why.chars().count() <= domain::text::MAX_TITLE + 1, "{why}");
    }
    // What is first sent where the content type was left as it is.
    let Err(Refused::Malformed(why)) = told("ping", form) else { panic!() };
    assert!(why.contains("application/json"), "says what to do: {why}");
    assert!(matches!(told("star", "[".repeat(100_000).as_bytes()), Err(Refused::Malformed(_))));
    for lacks in ["repository", "workflow_run"] {
        let mut body = example("workflow_run.completed");
        body.as_object_mut().unwrap().remove(lacks);
        assert!(matches!(told("workflow_run", body.to_string().as_bytes()), Err(Refused::Malformed(_))));
    }
}

#[test]
fn the_published_signature_vector() {
    // From GitHub's page "Validating webhook deliveries". It is no JSON: signed, and then not readable.
    let headers = |signature| [("x-github-event", "push"), ("x-hub-signature-256", signature)];
    let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let github = source(Some(SECRET));
    let body = b"Hello, World!".as_slice();
    assert!(matches!(deliver(github.as_ref(), &headers(good), body), Err(Refused::Malformed(_))));
    assert!(matches!(deliver(github.as_ref(), &headers(good), b"Hello, World?"), Err(Refused::Forged(_))));
    let another = source(Some("another"));
    assert!(matches!(deliver(another.as_ref(), &headers(good), body), Err(Refused::Forged(_))));
}

#[test]
fn another_signature_or_none_is_forged() {
    let github = source(Some(SECRET));
    let body = example("push").to_string();
    let good = sign(SECRET, body.as_bytes());
    let cut: Vec<_> = (0..good.len()).map(|at| good[..at].to_owned()).collect();
    let wrong = [
        sign("another", body.as_bytes()),
        sign("", body.as_bytes()),
        good.replace("sha256=", "sha1="),
        good.replace("sha256=", ""),
        format!("{good}00"),
        format!("sha256={}", "z".repeat(64)),
    ];
    for signature in cut.iter().chain(&wrong) {
        let headers = [("x-github-event", "push"), ("x-hub-signature-256", signature.as_str())];
        let outcome = deliver(github.as_ref(), &headers, body.as_bytes());
        let Err(Refused::Forged(why)) = &outcome else { panic!("{signature}: {outcome:?}") };
        assert!(!why.contains(SECRET) && !why.contains(&good[7..]), "{why}");
    }
    // The signature of before 2020 alone is not enough, and nothing is read before it is verified.
    let old = [("x-github-event", "push"), ("x-hub-signature", "sha1=00")];
    assert!(matches!(deliver(github.as_ref(), &old, body.as_bytes()), Err(Refused::Forged(_))));
    assert!(matches!(deliver(github.as_ref(), &[], b"{broken"), Err(Refused::Forged(_))));
}

#[test]
fn without_a_secret_nothing_is_believed() {
    let body = b"{}";
    let signature = sign("", body);
    let headers = [("x-github-event", "push"), ("x-hub-signature-256", &*signature)];
    assert_eq!(deliver(source(None).as_ref(), &headers, body), Err(Refused::NoSecret));
}
