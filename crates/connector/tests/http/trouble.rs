//! Every trouble in words that help.

use std::time::Duration;

use connector::Error;
use connector::http::{Auth, Client, ClientSettings, Limits, Timeouts};
use connector::wire::Rows;
use serde::Deserialize;
use tokio::net::TcpListener;
use url::Url;

use crate::kit::{self, ENDPOINT, Server, both, json, status};

async fn error(client: &Client) -> Error {
    client.get(ENDPOINT, client.url(&["a"], &[])).await.unwrap_err()
}

#[tokio::test]
async fn every_status_has_its_kind_and_its_words() {
    type IsKind = fn(&Error) -> bool;
    let kinds: [(u16, IsKind, &str); 12] = [
        (401, |e| matches!(e, Error::Unauthorized(_)), "source forge-main (401)"),
        (403, |e| matches!(e, Error::Forbidden(_)), "read_things"),
        (404, |e| matches!(e, Error::NotFound(_)), "/things/:id"),
        (407, |e| matches!(e, Error::Unreachable(_)), "proxy"),
        (410, |e| matches!(e, Error::NotFound(_)), "410"),
        (451, |e| matches!(e, Error::Legal(_)), "legal reasons"),
        (500, |e| matches!(e, Error::Server(_)), "(500: it broke)"),
        (501, |e| matches!(e, Error::Server(_)), "501"),
        (503, |e| matches!(e, Error::Server(_)), "503"),
        (400, |e| matches!(e, Error::Garbage(_)), "400: it broke"),
        (422, |e| matches!(e, Error::Garbage(_)), "422"),
        (300, |e| matches!(e, Error::Garbage(_)), "300"),
    ];
    for (code, is_kind, words) in kinds {
        let (server, client) = both(status(code).body(r#"{"message":"it broke"}"#)).await;
        let error = error(&client).await;
        let text = error.to_string();
        assert!(is_kind(&error), "{code}: {error:?}");
        assert!(text.contains(words), "{code}: {text}");
        assert!(code == 407 || text.contains("Forge at 127.0.0.1"), "{code}: {text}");
        drop(server);
    }
}

#[tokio::test]
async fn a_missing_token_is_told_from_a_wrong_one() {
    let (server, with) = both(status(401)).await;
    let settings = ClientSettings { auth: Auth::Anonymous, ..kit::settings(server.url("/api")) };
    let without = Client::with_limits(settings, kit::clock(), kit::limits()).unwrap();
    let (with, without) = (error(&with).await.to_string(), error(&without).await.to_string());
    assert!(
        with.contains("refuses the token of source forge-main") && with.contains("read_things"),
        "{with}"
    );
    assert!(without.contains("wants a token") && without.contains("forge-main has none"), "{without}");
}

#[tokio::test]
async fn a_cut_body_with_a_bad_status_is_still_that_status() {
    let (_server, client) = both(status(404).body("{").cut()).await;
    assert!(matches!(error(&client).await, Error::NotFound(_)));
    let server = Server::always(status(404).body("{").stalled()).await;
    let client = Client::with_limits(kit::settings(server.url("/api")), kit::clock(), kit::hasty()).unwrap();
    assert!(matches!(error(&client).await, Error::NotFound(_)));
}

#[tokio::test]
async fn silence_ends_in_time_and_is_not_asked_twice() {
    let server = Server::always(status(200).silent()).await;
    let client = Client::with_limits(kit::settings(server.url("/api")), kit::clock(), kit::hasty()).unwrap();
    let words = error(&client).await;
    assert_eq!(words, Error::Unreachable(format!("no answer from {} within 60 ms", server.addr)));
    assert!(server.seen().len() <= 1);

    let server = Server::always(json("[").stalled()).await;
    let client = Client::with_limits(kit::settings(server.url("/api")), kit::clock(), kit::hasty()).unwrap();
    // Slow machines may be late with the head as well; both are silence.
    assert!(matches!(error(&client).await, Error::Unreachable(_)));
    assert!(matches!(
        client.get_tail(ENDPOINT, client.url(&["a"], &[]), 9).await,
        Err(Error::Unreachable(_))
    ));
}

#[tokio::test]
async fn a_try_that_drips_on_ends_in_time() {
    let server = Server::always(json("[").stalled()).await;
    let timeouts =
        Timeouts { total: Duration::from_millis(80), log: Duration::from_millis(80), ..Timeouts::default() };
    let limits = Limits { timeouts, ..kit::limits() };
    let client = Client::with_limits(kit::settings(server.url("/api")), kit::clock(), limits).unwrap();
    let words = format!("no answer from {} within 80 ms", server.addr);
    assert_eq!(error(&client).await, Error::Unreachable(words.clone()));
    let tail = client.get_tail(ENDPOINT, client.url(&["a"], &[]), 9).await;
    assert_eq!(tail.unwrap_err(), Error::Unreachable(words));
}

#[tokio::test]
async fn no_connection_says_why() {
    // Nobody listens on a port that was just given back.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = kit::client(Url::parse(&format!("http://{free}/api")).unwrap());
    assert_eq!(error(&client).await, Error::Unreachable(format!("Connection refused by {free}")));
    assert_eq!(client.traffic().endpoints[0].failed, 3);

    let client = kit::client(Url::parse("http://forge.invalid/api").unwrap());
    assert_eq!(error(&client).await, Error::Unreachable("DNS lookup of forge.invalid failed".into()));

    let mut settings = kit::settings(Url::parse("http://forge.example.com/api").unwrap());
    settings.proxy = Url::parse(&format!("http://user:hush@{free}")).ok();
    let client = Client::with_limits(settings, kit::clock(), kit::limits()).unwrap();
    let words = format!("Connection refused by {free} (the proxy on the way to forge.example.com:80)");
    assert_eq!(error(&client).await, Error::Unreachable(words));
}

#[tokio::test]
async fn a_proxy_gets_the_requests_and_its_password() {
    let proxy = Server::always(json("{}")).await;
    let mut settings = kit::settings(Url::parse("http://forge.invalid/api").unwrap());
    settings.proxy = Url::parse(&format!("http://user:pass@{}", proxy.addr)).ok();
    let client = Client::with_limits(settings, kit::clock(), kit::limits()).unwrap();
    client.get(ENDPOINT, client.url(&["a"], &[])).await.unwrap();
    let seen = &proxy.seen()[0];
    assert_eq!(seen.target, "http://forge.invalid/api/a");
    assert_eq!(seen.header("proxy-authorization"), Some("Basic dXNlcjpwYXNz"));
}

#[derive(Debug, Deserialize)]
struct Page {
    #[expect(dead_code, reason = "read only to fail")]
    jobs: Vec<Job>,
}

#[derive(Debug, Deserialize)]
struct Job {
    #[expect(dead_code, reason = "read only to fail")]
    id: u64,
}

#[tokio::test]
async fn what_is_no_json_of_the_platforms_is_named() {
    for (reply, want) in [
        (
            status(200).header("content-type", "text/html; charset=utf-8").body("Sign in"),
            "got an HTML page (is this a login page?)",
        ),
        (status(200).body("\n <!doctype html>"), "got an HTML page"),
        (status(200), "got an empty body"),
        (json(r#"{"jobs":[{"id":1},{"id":"x"}]}"#), "jobs[1].id: invalid type"),
        (json(r#"{"jobs":{}}"#), "jobs: invalid type"),
        (json(r#"{"jobs":[{"id":1"#), "got what is none"),
        (json("nonsense"), "got what is none"),
    ] {
        let (server, client) = both(reply).await;
        let answer = client.get(ENDPOINT, client.url(&["a"], &[])).await.unwrap();
        let Err(Error::Garbage(text)) = answer.json::<Page>() else { panic!("{want}") };
        let expected = format!("expected JSON from Forge at {} for /things/:id", server.addr);
        assert!(text.starts_with(&expected) && text.contains(want), "{text}");
    }
    let (_server, client) = both(json("\u{FEFF}[{\"id\":1},{}]")).await;
    let answer = client.get(ENDPOINT, client.url(&["a"], &[])).await.unwrap();
    let rows = answer.json::<Rows<Job>>().unwrap();
    assert_eq!((rows.items.len(), rows.broken), (1, 1), "a byte order mark spoils nothing");
}
