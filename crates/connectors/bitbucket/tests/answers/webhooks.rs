//! Deliveries of both.

use connector::{Connector, Delivery, Event, News, Refused};
use domain::Status;
use hmac::{Hmac, Mac as _};
use http::HeaderMap;
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::Arc;

use crate::forge::clock;
use crate::support;

/// The vector of the Jenkins plugin's tests: a delivery of bitbucket.org's, as it came.
const SECRET: &str = "Gkvl$k$wyNpQAF42";
const SIGNED: &[u8] = include_bytes!("../fixtures/signed_payload.json");
const SIGNATURE: &str = "sha256=f205c729821c6954aff2afe72b965c34015b4baf96ea8ddc2cc44999c014a035";

fn source() -> Arc<dyn Connector> {
    let mut settings = support::settings("https://bitbucket.example.invalid");
    settings.webhook_secret = Some(config::Secret::new(SECRET, config::SecretFrom::Settings));
    support::source(&settings, clock())
}

fn receive(headers: &[(&'static str, &str)], body: &[u8]) -> Result<Event, Refused> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    source().webhooks().unwrap().receive(&Delivery { headers: &map, body })
}

/// A delivery signed as it should be.
fn signed(event: &str, body: &Value) -> Result<Event, Refused> {
    let body = body.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    let signature = format!("sha256={hex}");
    receive(
        &[("x-hub-signature", &signature), ("x-event-key", event), ("x-request-id", "r-1")],
        body.as_bytes(),
    )
}

#[test]
fn the_published_vector_is_believed_and_nothing_else() {
    let headers = [("x-hub-signature", SIGNATURE), ("x-event-key", "repo:push"), ("x-request-uuid", "u-1")];
    let event = receive(&headers, SIGNED).unwrap();
    assert_eq!((event.id.as_deref(), event.kind.as_str()), (Some("u-1"), "repo:push"));
    let News::Touched(project) = event.news else { panic!("{:?}", event.news) };
    assert_eq!(project.key.to_string(), "bb:nfalco79/test-repos");
    let mut changed = SIGNED.to_vec();
    changed[20] ^= 1;
    for (headers, body) in [
        (&headers[..], &changed[..]),
        (&headers[1..], SIGNED),
        (&[("x-hub-signature", "sha1=f205c729821c6954aff2afe72b965c34015b4baf")][..], SIGNED),
        (&[("x-hub-signature", "sha256=")][..], SIGNED),
    ] {
        assert!(matches!(receive(headers, body), Err(Refused::Forged(_))));
    }
    let open = support::source(&support::settings("https://bitbucket.example.invalid"), clock());
    let none = HeaderMap::new();
    assert_eq!(
        open.webhooks().unwrap().receive(&Delivery { headers: &none, body: SIGNED }),
        Err(Refused::NoSecret)
    );
}

#[test]
fn a_pipelines_own_status_moves_its_run() {
    let repository = json!({ "full_name": "acme/web" });
    let status = |state: &str, key: &str, url: &str| {
        json!({ "repository": repository, "commit_status": {
            "key": key, "state": state, "url": url, "refname": "main", "commit": { "hash": "abc" },
            "created_on": "2026-11-24T10:00:00+00:00", "updated_on": "2026-11-24T10:05:00+00:00", "type": "build",
        }})
    };
    let (uuid, url) =
        ("{01fad871-cd21-4a80-bd59-74148dd5be8e}", "https://bitbucket.org/acme/web/pipelines/results/17");
    for (word, want) in [
        ("INPROGRESS", Status::Running),
        ("FAILED", Status::Failed),
        ("STOPPED", Status::Canceled),
        ("SUCCESSFUL", Status::Success),
        ("NEW", Status::Unknown),
    ] {
        let News::Runs { project, pipelines } =
            signed("repo:commit_status_updated", &status(word, uuid, url)).unwrap().news
        else {
            panic!()
        };
        assert_eq!(project.name, "acme/web");
        let run = &pipelines[0];
        assert_eq!((run.id.as_str(), run.number, run.status), (uuid, Some(17), want));
        assert_eq!((run.branch.as_deref(), run.finished_at.is_some()), (Some("main"), want.is_terminal()));
    }
    // Another CI's status is read again.
    for (key, url) in [("jenkins-7", url), (uuid, "https://ci.example.invalid/17")] {
        let news = signed("repo:commit_status_created", &status("FAILED", key, url)).unwrap().news;
        assert!(matches!(news, News::Touched(_)), "{news:?}");
    }
}

#[test]
fn a_status_that_was_overtaken_is_known_for_what_it_is() {
    let status = |state: &str, updated_on: &str| {
        let body = json!({ "repository": { "full_name": "acme/web" }, "commit_status": {
            "key": "{01fad871-cd21-4a80-bd59-74148dd5be8e}", "state": state, "type": "build",
            "url": "https://bitbucket.org/acme/web/pipelines/results/17",
            "created_on": "2026-11-24T10:00:00+00:00", "updated_on": updated_on,
        }});
        match signed("repo:commit_status_updated", &body).unwrap().news {
            News::Runs { pipelines, .. } => pipelines[0].clone(),
            news => panic!("{news:?}"),
        }
    };
    let begun = status("INPROGRESS", "2026-11-24T10:00:01+00:00");
    let ended = status("SUCCESSFUL", "2026-11-24T10:05:00+00:00");
    let again = status("INPROGRESS", "2026-11-24T10:10:00+00:00");
    assert!(begun.is_overtaken_by(&ended) && !ended.is_overtaken_by(&begun));
    assert!(!again.is_overtaken_by(&ended) && ended.is_overtaken_by(&again));
    // As the API tells it, a moment before the status was written.
    let mut read = ended.clone();
    read.finished_at = Some("2026-11-24T10:04:58Z".parse().unwrap());
    assert!(begun.is_overtaken_by(&read) && !read.is_older_than(&ended) && !read.is_older_than(&begun));
}

#[test]
fn what_touches_a_repository_makes_it_due() {
    let cloud = json!({ "repository": { "full_name": "acme/web" } });
    let data_center = json!({ "repository": { "slug": "ledger", "project": { "key": "PAY" } } });
    let pull = json!({ "pullRequest": { "toRef": { "repository": { "slug": "ledger", "project": { "key": "PAY" } } } } });
    for (event, body, want) in [
        ("repo:push", &cloud, Some("bb:acme/web")),
        ("pullrequest:created", &cloud, Some("bb:acme/web")),
        ("pullrequest:comment_created", &cloud, None),
        ("repo:refs_changed", &data_center, Some("bb:PAY/ledger")),
        ("pr:opened", &pull, Some("bb:PAY/ledger")),
        ("pr:comment:added", &pull, None),
        ("diagnostics:ping", &json!({ "test": true }), None),
        ("brand:new", &cloud, None),
        ("repo:push", &json!({ "repository": 3 }), None),
    ] {
        let told = signed(event, body).unwrap();
        assert_eq!(told.id.as_deref(), Some("r-1"));
        match (told.news, want) {
            (News::Touched(project), Some(key)) => assert_eq!(project.key.to_string(), key, "{event}"),
            (News::Nothing, None) => {}
            (news, want) => panic!("{event}: {news:?}, not {want:?}"),
        }
    }
    assert!(matches!(signed("repo:push", &json!("a text")), Err(Refused::Malformed(_))));
}

#[tokio::test]
async fn what_a_webhook_leaves_out_is_known_from_before() {
    let forge = crate::forge::Forge::start().await;
    let mut settings = support::settings(&forge.url());
    settings.webhook_secret = Some(config::Secret::new(SECRET, config::SecretFrom::Settings));
    let source = support::source(&settings, clock());
    let told = json!({ "full_name": "nfalco79/test-repos", "mainbranch": { "name": "main" }, "description": "Tests" });
    forge.json("/repositories/nfalco79/test-repos", &told);
    let project = source.project("nfalco79/test-repos").await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x-hub-signature", SIGNATURE.parse().unwrap());
    headers.insert("x-event-key", "repo:push".parse().unwrap());
    let event = source.webhooks().unwrap().receive(&Delivery { headers: &headers, body: SIGNED }).unwrap();
    assert_eq!(event.news, News::Touched(Box::new(project)));
}
