//! What comes well.

use std::io::Write as _;
use std::sync::Arc;

use connector::Error;
use connector::http::{Budget, Client, Limits};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::kit::{self, ENDPOINT, Server, both, client, json, redirect, status};

#[tokio::test]
async fn a_request_says_who_asks_and_a_url_is_built_from_segments() {
    let (server, client) = both(json("[1,2]")).await;
    let url = client
        .url(&["projects", "group/sub project", "{a-b}", "..", "100%"], &[("ref", "a&b c"), ("x[]", "1")]);
    let answer = client.get(ENDPOINT, url).await.unwrap();
    assert_eq!(answer.json::<Vec<u8>>().unwrap(), [1, 2]);
    let seen = server.seen();
    assert_eq!(
        seen[0].target,
        "/api/projects/group%2Fsub%20project/%7Ba-b%7D/%252E%252E/100%25?ref=a%26b+c&x%5B%5D=1"
    );
    assert_eq!(seen[0].header("private-token"), Some(kit::CANARY));
    assert_eq!(seen[0].header("accept"), Some("application/json"));
    assert_eq!(seen[0].header("x-dialect"), Some("1"));
    assert_eq!(seen[0].header("user-agent"), Some(concat!("ci-dashboard/", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn an_unchanged_answer_comes_from_what_was_kept() {
    let server = Server::start(|seen, n| {
        let limit =
            json(&format!("[{n}]")).header("x-limit", "60").header("x-remaining", &format!("{}", 50 - n));
        match (seen.target.as_str(), seen.header("if-none-match")) {
            ("/api/a", Some("W/\"a\"")) => status(304).header("x-limit", "60").header("x-remaining", "40"),
            ("/api/a", None) => limit.header("etag", "W/\"a\"").header("link", "</api/a?page=2>; rel=next"),
            (_, None) => limit.header("etag", "\"b\""),
            (_, Some(_)) => status(304),
        }
    })
    .await;
    let client = client(server.url("/api"));
    let get = async |path: &str| client.get(ENDPOINT, server.url(path)).await.unwrap();
    let first = get("/api/a").await;
    assert!(!first.not_modified);
    // By URL: the query is a part of it.
    assert_eq!(get("/api/a?page=2").await.json::<[u8; 1]>().unwrap(), [1]);
    let again = get("/api/a").await;
    assert!(again.not_modified);
    assert_eq!((again.status, again.json::<[u8; 1]>().unwrap()), (first.status, [0]));
    assert_eq!(again.header("x-remaining"), Some("40"), "the fresh rate limit");
    assert_eq!(again.next_link().unwrap(), Some(server.url("/api/a?page=2")));
    assert_eq!(client.budget().unwrap().remaining, 40);
    let line = &client.traffic().endpoints[0];
    assert_eq!((line.endpoint, line.requests, line.not_modified, line.failed), (ENDPOINT, 3, 1, 0));
    assert_eq!(client.traffic().last_hour, 3);
}

#[tokio::test]
async fn unchanged_of_what_was_never_read_is_garbage() {
    let (_server, client) = both(status(304)).await;
    assert!(matches!(client.get(ENDPOINT, client.url(&["a"], &[])).await, Err(Error::Garbage(_))));
}

#[tokio::test]
async fn the_budget_is_read_from_every_answer() {
    let reset = (kit::now().as_second() + 60).to_string();
    let server = Server::start(move |_, n| match n {
        0 => json("{}"),
        1 => json("{}").header("x-limit", "60").header("x-remaining", "59").header("x-reset", &reset),
        2 => status(404).header("x-limit", "60").header("x-remaining", "58").header("x-reset", &reset),
        _ => json("{}").header("x-limit", "60").header("x-remaining", "57").header("x-reset", "5"),
    })
    .await;
    let client = client(server.url("/api"));
    let mut told = Vec::new();
    for _ in 0..4 {
        let _ = client.get(ENDPOINT, client.url(&["a"], &[])).await;
        told.push(client.budget());
    }
    let reset_at = kit::now().checked_add(jiff::SignedDuration::from_secs(60)).ok();
    let hour = jiff::SignedDuration::from_hours(1);
    let budget = |remaining, reset_at: Option<_>| {
        Some(Budget { limit: 60, remaining, reset_at, window: reset_at.map(|_| hour) })
    };
    assert_eq!(told, [None, budget(59, reset_at), budget(58, reset_at), budget(57, None)]);
}

#[tokio::test]
async fn redirects_within_the_host_are_followed_and_the_answer_says_where_it_is_from() {
    for code in [301, 302, 303, 307, 308] {
        let server = Server::start(move |seen, _| match seen.target.as_str() {
            "/api/old" => status(code).header("location", "/api/new?x=1"),
            _ => json("7"),
        })
        .await;
        let client = client(server.url("/api"));
        let answer = client.get(ENDPOINT, server.url("/api/old")).await.unwrap();
        assert_eq!((answer.json::<u8>().unwrap(), &answer.url), (7, &server.url("/api/new?x=1")));
        assert_eq!(server.seen()[1].header("private-token"), Some(kit::CANARY));
        assert_eq!(client.traffic().endpoints[0].requests, 2);
    }
}

#[tokio::test]
async fn redirects_in_circles_end() {
    let (server, client) = both(redirect("/api/a")).await;
    let error = client.get(ENDPOINT, client.url(&["a"], &[])).await.unwrap_err();
    assert!(matches!(&error, Error::Redirect(words) if words.contains("more than 5 times")), "{error}");
    assert_eq!(server.seen().len(), 6);
    let (_server, client) = both(status(302)).await;
    assert!(matches!(client.get(ENDPOINT, client.url(&["a"], &[])).await, Err(Error::Redirect(_))));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn the_bound_counts_what_a_body_unpacks_to() {
    let small = gzip(b"[1]");
    let bomb = gzip(&vec![b' '; 300_000]);
    assert!(bomb.len() < 1000);
    let server = Server::start(move |seen, _| {
        let body = match seen.target.as_str() {
            "/api/small" => small.clone(),
            "/api/bomb" => bomb.clone(),
            "/api/fits" => return json(&" ".repeat(100_000)),
            _ => return json(&" ".repeat(100_001)),
        };
        status(200).header("content-encoding", "gzip").body(body)
    })
    .await;
    let limits = Limits { body_bytes: 100_000, ..kit::limits() };
    let client = Client::with_limits(kit::settings(server.url("/api")), kit::clock(), limits).unwrap();
    let get = async |path: &str| client.get(ENDPOINT, server.url(path)).await;
    assert_eq!(get("/api/small").await.unwrap().json::<[u8; 1]>().unwrap(), [1]);
    assert_eq!(get("/api/fits").await.unwrap().body.len(), 100_000);
    for path in ["/api/bomb", "/api/long"] {
        let error = get(path).await.unwrap_err();
        assert!(
            matches!(&error, Error::Garbage(words) if words.contains("more than 100000 bytes")),
            "{error}"
        );
    }
    assert_eq!(server.seen().len(), 4, "too large is not tried again");
}

#[tokio::test]
async fn only_so_many_requests_run_at_a_time() {
    let held = Arc::new(Semaphore::new(0));
    let (ours, theirs) = (Arc::clone(&held), Arc::clone(&held));
    let server = Server::start(move |_, _| json("{}").held(&theirs)).await;
    let limits = Limits { concurrent: 3, ..kit::limits() };
    let client = Client::with_limits(kit::settings(server.url("/api")), kit::clock(), limits).unwrap();
    let mut calls = JoinSet::new();
    for n in 0..20 {
        let client = client.clone();
        calls.spawn(async move { client.get(ENDPOINT, client.url(&[&n.to_string()], &[])).await });
    }
    while server.seen().len() < 3 {
        tokio::task::yield_now().await;
    }
    ours.add_permits(20);
    while let Some(done) = calls.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!((server.seen().len(), server.most_open()), (20, 3));
}
