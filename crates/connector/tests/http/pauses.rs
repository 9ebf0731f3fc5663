//! What fails in passing is tried again; what the platform forbids is not.

use std::sync::Arc;

use connector::Error;
use connector::http::{Client, Dialect};
use domain::Timestamp;
use jiff::SignedDuration;

use crate::kit::{self, DIALECT, ENDPOINT, Reply, Server, both, client, json, status};

fn after(seconds: i64) -> Timestamp {
    kit::now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

async fn get(client: &Client) -> Result<(), Error> {
    client.get(ENDPOINT, client.url(&["a"], &[])).await.map(drop)
}

#[tokio::test]
async fn trouble_that_passes_is_tried_again_twice() {
    for trouble in [
        status(500),
        status(502),
        status(503),
        status(504),
        status(408),
        status(200).closed(),
        json("{}").cut(),
    ] {
        let (of_server, of_second) = (trouble.clone(), trouble.clone());
        let server = Server::start(move |_, n| if n < 2 { of_server.clone() } else { json("{}") }).await;
        assert_eq!(get(&client(server.url("/api"))).await, Ok(()), "{trouble:?}");
        assert_eq!(server.seen().len(), 3);

        let (server, client) = both(of_second).await;
        assert!(get(&client).await.is_err());
        assert_eq!(server.seen().len(), 3, "{trouble:?}");
        assert_eq!(client.traffic().endpoints[0].requests, 3);
    }
}

#[tokio::test]
async fn an_answer_that_will_not_change_is_not_asked_for_again() {
    for code in [400, 401, 403, 404, 406, 409, 410, 418, 422, 451, 501] {
        let (server, client) = both(status(code)).await;
        assert!(get(&client).await.is_err());
        assert_eq!(server.seen().len(), 1, "{code}");
        assert_eq!(client.traffic().endpoints[0].failed, 1);
    }
}

#[tokio::test]
async fn once_limited_nothing_is_asked_until_then() {
    let told = [
        (status(429).header("retry-after", "90"), 90),
        (status(429).header("retry-after", "Fri, 05 Jun 2026 12:01:30 GMT"), 90),
        (status(429).header("x-reset", &after(90).as_second().to_string()), 90),
        // A reset in the past is none, and one in years is a mistake.
        (status(429).header("x-reset", "5"), 60),
        (status(429), 60),
        (status(429).header("retry-after", "99999999999999999999"), 7200),
    ];
    for (reply, seconds) in told {
        let until = Some(after(seconds));
        let of_server = reply.clone();
        let server = Server::start(move |_, n| if n == 0 { of_server.clone() } else { json("{}") }).await;
        let clock = kit::clock();
        let client = Client::with_limits(
            kit::settings(server.url("/api")),
            Arc::<domain::ManualClock>::clone(&clock),
            kit::limits(),
        )
        .unwrap();
        assert_eq!(get(&client).await, Err(Error::RateLimited { until }), "{reply:?}");
        clock.set(after(seconds - 4));
        assert_eq!(get(&client).await, Err(Error::RateLimited { until }), "without asking");
        assert!(matches!(
            client.get_tail(ENDPOINT, client.url(&["a"], &[]), 10).await,
            Err(Error::RateLimited { .. })
        ));
        assert_eq!(server.seen().len(), 1);
        clock.set(after(seconds));
        assert_eq!(get(&client).await, Ok(()));
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn who_is_limited_again_and_again_without_a_word_asks_ever_more_seldom() {
    let server = Server::always(status(429)).await;
    let clock = kit::clock();
    let client = Client::with_limits(
        kit::settings(server.url("/api")),
        Arc::<domain::ManualClock>::clone(&clock),
        kit::limits(),
    )
    .unwrap();
    for seconds in [60, 120, 240, 480, 900, 900] {
        let now = domain::Clock::now(&*clock);
        let Err(Error::RateLimited { until: Some(until) }) = get(&client).await else {
            panic!("not limited")
        };
        let pause = until.duration_since(now).as_secs();
        assert!(pause >= seconds && pause <= seconds + seconds / 4, "{pause} after {seconds}");
        clock.set(until);
    }
    assert_eq!(server.seen().len(), 6, "one request each time");
}

#[tokio::test]
async fn a_short_pause_is_waited_for_within_the_call() {
    for wait in ["0", "1"] {
        let server = Server::start(
            move |_, n| if n == 0 { status(429).header("retry-after", wait) } else { json("{}") },
        )
        .await;
        let began = tokio::time::Instant::now();
        assert_eq!(get(&client(server.url("/api"))).await, Ok(()));
        assert!(began.elapsed().as_secs() >= wait.parse().unwrap());
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_spent_budget_is_not_overdrawn() {
    let reset = after(600).as_second().to_string();
    let spent = json("{}").header("x-limit", "60").header("x-remaining", "0").header("x-reset", &reset);
    let (server, client) = both(spent).await;
    assert_eq!(get(&client).await, Ok(()));
    assert_eq!(get(&client).await, Err(Error::RateLimited { until: Some(after(600)) }));
    assert_eq!(server.seen().len(), 1);
    // Without a reset to come there is nothing to wait for.
    let (server, client) =
        both(json("{}").header("x-limit", "60").header("x-remaining", "0").header("x-reset", "5")).await;
    assert_eq!((get(&client).await, get(&client).await), (Ok(()), Ok(())));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_platform_that_is_down_for_long_is_left_alone_for_a_while() {
    let reply = status(503).header("retry-after", "86400");
    let server = Server::start(move |_, n| if n == 0 { reply.clone() } else { json("{}") }).await;
    let clock = kit::clock();
    let client = Client::with_limits(
        kit::settings(server.url("/api")),
        Arc::<domain::ManualClock>::clone(&clock),
        kit::limits(),
    )
    .unwrap();
    for _ in 0..2 {
        let error = get(&client).await.unwrap_err();
        assert!(
            matches!(&error, Error::Server(words) if words.contains("asked again at 2026-06-05T12:05:00Z")),
            "{error}"
        );
    }
    assert_eq!(server.seen().len(), 1);
    clock.set(after(300));
    assert_eq!(get(&client).await, Ok(()));
}

#[tokio::test]
async fn a_platform_tells_its_own_errors_first() {
    fn classify(status: http::StatusCode, _: &http::HeaderMap, body: &[u8]) -> Option<Error> {
        match (status.as_u16(), body) {
            (403, b"slow down") => Some(Error::RateLimited { until: None }),
            (403, b"later") => Some(Error::RateLimited { until: "2026-06-05T12:10:00Z".parse().ok() }),
            (403, b"past") => Some(Error::RateLimited { until: "2026-06-05T11:00:00Z".parse().ok() }),
            (409, _) => Some(Error::NotFound("the repository is empty".into())),
            _ => None,
        }
    }
    async fn asked(reply: Reply) -> Error {
        let server = Server::always(reply).await;
        let mut settings = kit::settings(server.url("/api"));
        settings.dialect = Dialect { classify, ..DIALECT };
        get(&Client::with_limits(settings, kit::clock(), kit::limits()).unwrap()).await.unwrap_err()
    }
    for (body, until) in [("slow down", 60), ("later", 600), ("past", 60)] {
        let limited = Error::RateLimited { until: Some(after(until)) };
        assert_eq!(asked(status(403).body(body)).await, limited, "{body}");
    }
    assert_eq!(asked(status(409)).await, Error::NotFound("the repository is empty".into()));
    assert!(matches!(asked(status(403).body("no")).await, Error::Forbidden(_)));
}
