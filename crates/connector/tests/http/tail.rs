//! The ends of logs.

use connector::Error;
use connector::http::{Client, Limits, Tail};

use crate::kit::{self, ENDPOINT, Reply, Seen, Server, both, client, json, redirect, status};

const LOG: &str = "0123456789abcdefghij";

async fn end(client: &Client, max: usize) -> Result<(String, bool), Error> {
    let Tail { bytes, truncated } = client.get_tail(ENDPOINT, client.url(&["log"], &[]), max).await?;
    Ok((String::from_utf8(bytes.to_vec()).unwrap(), truncated))
}

fn whole() -> Reply {
    status(200).body(LOG)
}

/// As a storage that knows ranges answers.
fn ranged(seen: &Seen) -> Reply {
    let Some(last) = seen.header("range").and_then(|r| r.strip_prefix("bytes=-")) else { return whole() };
    let from = LOG.len().saturating_sub(last.parse().unwrap());
    let range = format!("bytes {from}-{}/{}", LOG.len() - 1, LOG.len());
    status(206).header("content-range", &range).body(&LOG[from..])
}

#[tokio::test]
async fn the_end_is_kept_whether_the_server_knows_ranges_or_not() {
    let server = Server::start(|seen, n| if n % 2 == 0 { whole() } else { ranged(seen) }).await;
    let client = client(server.url("/api"));
    for (max, want) in [
        (5, ("fghij", true)),
        (19, (&LOG[1..], true)),
        (20, (LOG, false)),
        (1000, (LOG, false)),
        (0, ("", true)),
    ] {
        for how in ["whole", "ranged"] {
            let (text, truncated) = end(&client, max).await.unwrap();
            assert_eq!((text.as_str(), truncated), want, "{max} {how}");
        }
    }
    assert_eq!(server.seen()[0].header("range"), Some("bytes=-5"));
    assert_eq!(server.seen()[0].header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn odd_ideas_of_ranges_are_asked_again_without() {
    let odd: [fn() -> Reply; 4] = [
        // The beginning instead of the end, no word which part it is, and two ways to call the range impossible.
        || status(206).header("content-range", "bytes 0-4/20").body("01234"),
        || status(206).body("01234"),
        || status(416),
        || status(416).header("content-range", "bytes */20"),
    ];
    for reply in odd {
        let server =
            Server::start(move |seen, _| if seen.header("range").is_some() { reply() } else { whole() })
                .await;
        assert_eq!(end(&client(server.url("/api")), 5).await, Ok(("fghij".into(), true)));
        let (_server, client) = both(reply()).await;
        assert!(matches!(end(&client, 5).await, Err(Error::Garbage(_))));
    }
    let (server, client) = both(status(416).header("content-range", "bytes */0")).await;
    assert_eq!(end(&client, 5).await, Ok((String::new(), false)), "an empty log");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn storage_elsewhere_gets_nothing_of_ours() {
    let storage = Server::start(|seen, _| ranged(seen)).await;
    let to = storage.foreign("/signed?sig=hush");
    let server = Server::start(move |seen, _| match seen.target.as_str() {
        "/api/log" => redirect("/api/log2"),
        _ => redirect(&to),
    })
    .await;
    let client = client(server.url("/api"));
    assert_eq!(end(&client, 5).await, Ok(("fghij".into(), true)));
    assert!(server.seen().iter().all(|seen| seen.header("private-token") == Some(kit::CANARY)));
    let seen = &storage.seen()[0];
    assert!(!seen.has_canary(), "{seen:?}");
    for ours in ["private-token", "authorization", "x-dialect", "cookie", "referer"] {
        assert_eq!(seen.header(ours), None);
    }
    assert_eq!((seen.target.as_str(), seen.header("range")), ("/signed?sig=hush", Some("bytes=-5")));
    assert_eq!(client.traffic().endpoints[0].requests, 2, "the storage is not the platform");
}

#[tokio::test]
async fn trouble_of_the_storage_is_not_the_tokens_and_never_tells_the_signed_url() {
    // Also where it redirects once more, back to the platform at that.
    for (reply, want) in [
        (status(401).body(r#"{"message":"sig=hush"}"#), "does not give it out (401)"),
        (status(403), "does not give it out (403)"),
        (status(404), "no more (404)"),
        (status(429), "failed (429)"),
        (status(500), "failed (500)"),
        (redirect("/again?sig=hush"), "redirects once more"),
        (status(200).closed(), "without an answer"),
        (status(200).cut(), "broke off"),
    ] {
        let storage = Server::always(reply).await;
        let to = storage.foreign("/signed-hush?sig=hush");
        let (_server, client) = both(redirect(&to)).await;
        let error = end(&client, 5).await.unwrap_err();
        assert!(!matches!(error, Error::Unauthorized(_) | Error::RateLimited { .. }), "{error:?}");
        let words = error.to_string();
        assert!(words.contains(want) && words.contains("localhost") && !words.contains("hush"), "{words}");
        assert!(storage.seen().iter().all(|seen| !seen.has_canary()));
    }
}

#[tokio::test]
async fn a_platform_that_refuses_a_log_is_understood() {
    let (_server, client) = both(status(404)).await;
    assert!(matches!(end(&client, 5).await, Err(Error::NotFound(_))));
    let (_server, client) = both(status(401)).await;
    assert!(matches!(end(&client, 5).await, Err(Error::Unauthorized(_))));
    let server = Server::start(|_, n| if n < 2 { status(502) } else { json("x") }).await;
    assert_eq!(end(&kit::client(server.url("/api")), 5).await, Ok(("x".into(), false)));
}

#[tokio::test]
async fn a_log_without_end_is_given_up() {
    let server = Server::always(status(200).body("x".repeat(100_000))).await;
    let limits = Limits { log_bytes: 50_000, ..kit::limits() };
    let client = Client::with_limits(kit::settings(server.url("/api")), kit::clock(), limits).unwrap();
    assert!(matches!(end(&client, 10).await, Err(Error::Garbage(words)) if words.contains("50000 bytes")));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_link_into_a_storage_is_read_without_anything_of_ours() {
    let storage = Server::start(|seen, n| if n % 2 == 0 { whole() } else { ranged(seen) }).await;
    let link: url::Url = storage.foreign("/signed?sig=hush").parse().unwrap();
    let server = Server::always(status(500)).await;
    let client = client(server.url("/api"));
    for _ in 0..2 {
        let Tail { bytes, truncated } = client.get_stored(ENDPOINT, link.clone(), 5).await.unwrap();
        assert_eq!((&*bytes, truncated), (&b"fghij"[..], true));
    }
    for seen in storage.seen() {
        assert!(!seen.has_canary(), "{seen:?}");
        for ours in ["private-token", "authorization", "x-dialect", "cookie", "referer"] {
            assert_eq!(seen.header(ours), None);
        }
        assert_eq!(seen.target, "/signed?sig=hush");
    }
    assert_eq!(server.seen().len(), 0);
    assert_eq!(client.traffic().last_hour, 0, "the storage is not the platform");

    for reply in [status(403), status(404), status(500), redirect(server.url("/api"))] {
        let storage = Server::always(reply).await;
        let link = storage.foreign("/signed?sig=hush").parse().unwrap();
        let error = client.get_stored(ENDPOINT, link, 5).await.unwrap_err();
        assert!(!matches!(error, Error::Unauthorized(_) | Error::RateLimited { .. }), "{error:?}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn a_link_of_a_platform_elsewhere_never_leads_into_this_machine() {
    let here = Server::always(whole()).await;
    let client = client("https://ci.example.com/api".parse().unwrap());
    let user = here.url("/").as_str().replace("://", "://user@");
    for link in [
        here.url("/x").to_string(),
        here.foreign("/x"),
        user,
        "http://169.254.169.254/latest".into(),
        "https://169.254.169.254/latest".into(),
        "http://storage.example.com/x".into(),
        "https://user@storage.example.com/x".into(),
        "file:///etc/passwd".into(),
    ] {
        let error = client.get_stored(ENDPOINT, link.parse().unwrap(), 5).await.unwrap_err();
        assert!(matches!(error, Error::Redirect(_)), "{link}: {error:?}");
    }
    assert_eq!(here.seen().len(), 0);
}
