//! Credentials that change, and budgets that are counted apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use config::{Secret, SecretFrom};
use connector::Error;
use connector::graphql::{Dialect, GraphQl};
use connector::http::{Auth, Budget, Client, ClientSettings, Left, Post, auth_of};
use domain::{Clock, ManualClock};
use futures::StreamExt as _;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::kit::{ENDPOINT, Server, clock, limits, now, settings, status};

const POINTS: &str = "points";

fn from_file(server: &Server, path: &std::path::Path, clock: &Arc<ManualClock>) -> Client {
    let token = std::fs::read_to_string(path).unwrap();
    let token = Secret::new(token.trim(), SecretFrom::File(path.to_owned()));
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let auth = auth_of(Some(&token), Auth::Bearer, &clock);
    let settings = ClientSettings { auth, ..settings(server.url("/api")) };
    Client::with_limits(settings, clock, limits()).unwrap()
}

#[tokio::test]
async fn a_tokens_file_that_changed_is_in_use_within_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "first\n").unwrap();
    let server = Server::always(status(204)).await;
    let clock = clock();
    let client = from_file(&server, &path, &clock);
    let get = || client.get(ENDPOINT, server.url("/api/x"));
    let sent = || server.seen().last().unwrap().header("authorization").unwrap().to_owned();
    get().await.unwrap();
    assert_eq!(sent(), "Bearer first");
    std::fs::write(&path, "second\n").unwrap();
    clock.advance(SignedDuration::from_secs(59));
    get().await.unwrap();
    assert_eq!(sent(), "Bearer second");
    // What is half written, gone or empty takes nothing away.
    for broken in [Some(""), Some("two\nlines"), None] {
        match broken {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        clock.advance(SignedDuration::from_secs(59));
        get().await.unwrap();
        assert_eq!(sent(), "Bearer second", "{broken:?}");
    }
    assert!(!format!("{client:?}").contains("second"));
}

#[tokio::test]
async fn a_token_that_is_refused_is_read_again_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "old").unwrap();
    let server = Server::start(|seen, _| match seen.header("authorization") {
        Some("Bearer new") => status(204),
        _ => status(401),
    })
    .await;
    let client = from_file(&server, &path, &clock());
    let get = || client.get(ENDPOINT, server.url("/api/x"));
    assert!(matches!(get().await, Err(Error::Unauthorized(_))));
    assert_eq!(server.seen().len(), 1, "the same one is not sent twice");
    std::fs::write(&path, "new").unwrap();
    get().await.unwrap();
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn with_another_token_limits_and_kept_answers_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "first").unwrap();
    let server = Server::start(|seen, _| {
        let left = if seen.header("authorization") == Some("Bearer first") { "0" } else { "41" };
        let reset = (now().as_second() + 3000).to_string();
        let answer = status(200).header("etag", "one").header("x-limit", "50");
        answer.header("x-remaining", left).header("x-reset", &reset)
    })
    .await;
    let clock = clock();
    let client = from_file(&server, &path, &clock);
    let get = || client.get(ENDPOINT, server.url("/api/x"));
    get().await.unwrap();
    let spent = Err(Error::RateLimited { until: Some(now() + SignedDuration::from_secs(3000)) });
    assert_eq!(get().await.map(drop), spent);
    // The same, written anew.
    std::fs::write(&path, "first\n").unwrap();
    clock.advance(SignedDuration::from_secs(31));
    assert!(!client.has_new_credential().await);
    assert_eq!(get().await.map(drop), spent);

    std::fs::write(&path, "second").unwrap();
    clock.advance(SignedDuration::from_secs(31));
    assert!(client.has_new_credential().await, "without asking the platform");
    assert_eq!(client.budget(), None);
    get().await.unwrap();
    let seen = server.seen();
    assert_eq!((seen.len(), seen[1].header("authorization")), (2, Some("Bearer second")));
    assert_eq!(seen[1].header("if-none-match"), None, "what the first one saw is nothing to the second");
    assert!(!client.has_new_credential().await, "it is known by now");
}

#[tokio::test]
async fn what_is_left_is_known_to_who_asks_after_and_to_nobody_else() {
    let reset = (now().as_second() + 3000).to_string();
    let spent = move |_: &crate::kit::Seen, _| {
        status(200).header("x-limit", "50").header("x-remaining", "0").header("x-reset", &reset)
    };
    let server = Server::start(spent).await;
    let made = |token: &str, hourly| {
        let mut settings = settings(server.url("/api"));
        settings.auth = Auth::Bearer(token.into());
        settings.dialect.hourly = hourly;
        if hourly.is_some() {
            settings.dialect.budget = None;
        }
        Client::with_limits(settings, clock(), limits()).unwrap()
    };
    let get = async |client: &Client| client.get(ENDPOINT, server.url("/api/x")).await.map(drop);
    for hourly in [None, Some(2)] {
        let before = made("one", hourly);
        get(&before).await.unwrap();
        if hourly.is_some() {
            get(&before).await.unwrap();
        }
        let left = Left::parse(&before.left().to_text()).unwrap();
        assert!(!left.differs_from(&before.left()));
        let (after, other) = (made("one", hourly), made("two", hourly));
        after.resume(&left);
        after.resume(&left);
        other.resume(&left);
        assert!(matches!(get(&after).await, Err(Error::RateLimited { .. })), "{hourly:?}");
        assert_eq!(after.budget().map(|b| b.remaining), Some(0));
        assert!(!after.left().differs_from(&left), "and to whoever asks after that");
        get(&other).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_counted_apart_stops_nothing_else() {
    let server = Server::start(|seen, _| {
        let (left, answer) =
            if seen.target.ends_with("/graphql") { ("0", status(200)) } else { ("41", status(200)) };
        let reset = (now().as_second() + 600).to_string();
        answer.header("x-limit", "50").header("x-remaining", left).header("x-reset", &reset)
    })
    .await;
    let client = Client::with_limits(settings(server.url("/api")), clock(), limits()).unwrap();
    let post = || client.post(ENDPOINT, server.url("/api/graphql"), Post::empty().paid_from(POINTS));
    post().await.unwrap();
    let reset_at = Some(now() + SignedDuration::from_mins(10));
    let window = Some(SignedDuration::from_hours(1));
    assert_eq!(client.budget_of(POINTS), Some(Budget { limit: 50, remaining: 0, reset_at, window }));
    assert_eq!(client.budget(), None);
    assert_eq!(post().await.unwrap_err(), Error::RateLimited { until: reset_at });
    client.get(ENDPOINT, server.url("/api/x")).await.unwrap();
    assert_eq!(client.budget().map(|b| b.remaining), Some(41));
    assert_eq!(server.seen().len(), 2, "what is spent is not asked for");
    client.learn(
        POINTS,
        Budget { limit: 50, remaining: 9, reset_at: Some(now() + SignedDuration::from_mins(20)), window },
    );
    post().await.unwrap();
}

const FEW: Dialect =
    Dialect { endpoint: "POST /graphql", resource: None, most: 8, least: 2, has_plain: false, optional: &[] };

fn asking(server: &Server, clock: &Arc<ManualClock>) -> GraphQl {
    asking_as(server, clock, FEW)
}

fn asking_as(server: &Server, clock: &Arc<ManualClock>, dialect: Dialect) -> GraphQl {
    let client =
        Client::with_limits(settings(server.url("/api")), Arc::clone(clock) as Arc<dyn Clock>, limits());
    GraphQl::new(client.unwrap(), server.url("/api/graphql"), dialect, Arc::clone(clock) as Arc<dyn Clock>)
}

/// Asks about so many numbers; how many were answered, and how many were not.
async fn ask(graphql: &GraphQl, many: u32) -> (usize, usize) {
    let question = |asks: &[u32]| (format!("{{ about{} }}", asks.len()), json!({}));
    let batches: Vec<_> = graphql.ask_all::<u32, Value, _>((0..many).collect(), question).collect().await;
    let (told, not): (Vec<_>, Vec<_>) = batches.into_iter().partition(|(_, answer)| answer.is_some());
    (told.iter().map(|(asks, _)| asks.len()).sum(), not.iter().map(|(asks, _)| asks.len()).sum())
}

fn data(body: &str) -> crate::kit::Reply {
    status(200).header("content-type", "application/json").body(body)
}

#[tokio::test]
async fn questions_are_halved_until_they_fit_and_grow_again() {
    let failing = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&failing);
    let server =
        Server::start(
            move |_, _| {
                if fails.load(Ordering::SeqCst) { status(502) } else { data(r#"{"data":{"x":1}}"#) }
            },
        )
        .await;
    let clock = clock();
    let graphql = asking(&server, &clock);
    assert_eq!(ask(&graphql, 20).await, (20, 0));
    assert_eq!((graphql.size(), server.seen().len()), (8, 3));
    failing.store(true, Ordering::SeqCst);
    assert_eq!(ask(&graphql, 8).await, (0, 8), "not even the least");
    assert_eq!(graphql.size(), 2);
    assert!(graphql.is_there(), "a bad hour is no absence");
    failing.store(false, Ordering::SeqCst);
    assert_eq!(ask(&graphql, 200).await, (200, 0));
    assert!(graphql.size() > 2, "after a while more is tried");
}

#[tokio::test]
async fn what_has_no_graphql_is_asked_once_an_hour() {
    for (answer, requests) in [
        (status(404), 1),
        (status(405), 1),
        (status(403), 1),
        (status(200).body("<html>"), 1),
        (data(r#"{"errors":[{"message":"Field 'x' doesn't exist on type 'Query'"}]}"#), 1),
        // A gateway's trouble may pass; twice, before anything was ever answered, it is none.
        (status(501), 2),
    ] {
        let server = Server::always(answer.clone()).await;
        let clock = clock();
        let graphql = asking(&server, &clock);
        assert_eq!(ask(&graphql, 8).await, (0, 8), "{answer:?}");
        assert_eq!(server.seen().len(), requests, "{answer:?}");
        assert!(!graphql.is_there());
        ask(&graphql, 8).await;
        assert_eq!(server.seen().len(), requests);
        clock.advance(SignedDuration::from_mins(61));
        assert!(graphql.is_there());
    }
}

#[tokio::test]
async fn a_field_that_may_not_be_seen_is_left_out_for_an_hour() {
    let refusal =
        r#"{"data":{"r0":null},"errors":[{"type":"FORBIDDEN","message":"no","path":["r0","pulls"]}]}"#;
    let server =
        Server::start(move |_, n| data(if n % 2 == 0 { refusal } else { r#"{"data":{"r0":{}}}"# })).await;
    let clock = clock();
    let graphql = asking_as(&server, &clock, Dialect { has_plain: true, optional: &["pulls"], ..FEW });
    assert_eq!(ask(&graphql, 8).await, (8, 0), "asked once more without it");
    assert_eq!((server.seen().len(), graphql.is_plain(), graphql.size()), (2, true, 8));
    // Whatever is complained of now: it is as good as it gets.
    assert_eq!(ask(&graphql, 8).await, (8, 0));
    assert_eq!(server.seen().len(), 3);
    clock.advance(SignedDuration::from_mins(61));
    assert!(!graphql.is_plain());
}

#[tokio::test]
async fn an_answer_in_part_is_an_answer() {
    let body = r#"{"data":{"x":1},"errors":[{"type":"RESOURCE_LIMITS_EXCEEDED","message":"too much","path":["x"]}]}"#;
    let server = Server::always(data(body)).await;
    let graphql = asking(&server, &clock());
    assert_eq!(ask(&graphql, 8).await, (8, 0));
    assert_eq!(graphql.size(), 4, "the next one is smaller");
}
