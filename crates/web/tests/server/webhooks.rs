//! `/webhooks/{source}`: what is passed on, and what whoever sent it is told.

use std::convert::Infallible;

use ::http::Request;
use api::v1::WebhookVerdict as V;
use axum::body::Body;
use tokio::time::{Duration, Instant};

use crate::kit::{Reply, Script, World};

const NOT_FOUND: &str = "There is no source of this name with a webhook_secret.";

async fn post(world: &World, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(body.into()).unwrap()).await
}

async fn verdict(verdict: V, why: &'static str, headers: &[(&str, &str)]) -> Reply {
    let world = World::new(Script { verdict: (verdict, why), ..Script::default() }).await;
    post(&world, "/webhooks/gl", headers, "{}").await
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_passed_on_byte_for_byte_with_the_headers_that_matter() {
    let world = World::new(Script::default()).await;
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let headers = [
        ("X-GitHub-Event", "workflow_run"),
        ("x-hub-signature-256", "sha256=00"),
        ("content-type", "application/json"),
        ("cookie", "session=1"),
        ("x-forwarded-for", "10.0.0.1"),
    ];
    let reply = post(&world, "/webhooks/gl%2Fx", &headers, body.clone()).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (202, r#"{"result":"applied"}"#));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let [delivery] = &world.aggregator.ingested()[..] else { panic!() };
    assert_eq!((delivery.source.as_str(), delivery.too_large), ("gl/x", false));
    assert_eq!(delivery.body, body);
    let mut passed_on: Vec<_> =
        delivery.headers.iter().map(|h| (h.name.as_str(), std::str::from_utf8(&h.value).unwrap())).collect();
    passed_on.sort_unstable();
    assert_eq!(
        passed_on,
        [
            ("content-type", "application/json"),
            ("x-github-event", "workflow_run"),
            ("x-hub-signature-256", "sha256=00")
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn each_verdict_has_its_answer() {
    for (of, word) in [(V::Applied, "applied"), (V::Duplicate, "duplicate"), (V::Ignored, "ignored")] {
        let reply = verdict(of, "", &[]).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["result"]), (202, &word.into()));
    }
    // Bitbucket Data Center takes its test for failed on any other answer.
    let ping = [("x-event-key", "diagnostics:ping")];
    assert_eq!(verdict(V::Ignored, "", &ping).await.status, 200);
    assert_eq!(verdict(V::Ignored, "", &[("x-event-key", "repo:forked")]).await.status, 202);
    assert_eq!(verdict(V::NotFound, "", &[]).await.problem(404), NOT_FOUND);
    assert_eq!(verdict(V::Forged, "no signature", &[]).await.problem(403), "no signature");
    let json = [("content-type", "application/json")];
    assert_eq!(verdict(V::Malformed, "no JSON", &json).await.problem(400), "no JSON");
    for form in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8"] {
        let says = verdict(V::Malformed, "no JSON", &[("content-type", form)]).await.problem(415);
        assert!(says.contains("application/json"), "says what to do: {says}");
    }
    verdict(V::TooLarge, "", &[]).await.problem(413);
    // A word of a later aggregator is not taken for "accepted".
    verdict(V::Unspecified, "", &[]).await.problem(500);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_refused_while_it_comes() {
    let world = World::new(Script { verdict: (V::TooLarge, ""), ..Script::default() }).await;
    let mega = || axum::body::Bytes::from(vec![b' '; 1024 * 1024]);
    let endless = || Body::from_stream(futures::stream::repeat_with(move || Ok::<_, Infallible>(mega())));
    post(&world, "/webhooks/gl", &[], endless()).await.problem(413);
    let declared = [("content-length", "26214401")];
    let never_comes = Body::from_stream(futures::stream::pending::<Result<axum::body::Bytes, Infallible>>());
    post(&world, "/webhooks/gl", &declared, never_comes).await.problem(413);
    let counted = world.aggregator.ingested();
    assert!(counted.iter().all(|d| d.too_large && d.body.is_empty() && d.source == "gl"));
    assert_eq!(counted.len(), 2);
    // Nobody learns by size what is there.
    world.aggregator.script().verdict = (V::NotFound, "");
    assert_eq!(post(&world, "/webhooks/nobody", &[], endless()).await.problem(404), NOT_FOUND);
    // 25 MB are not too large.
    world.aggregator.script().verdict = (V::Applied, "");
    let most = vec![b' '; 25 * 1024 * 1024];
    assert_eq!(post(&world, "/webhooks/gl", &[], most).await.status, 202);
    // Other routes keep their own bound.
    let body = Body::from(vec![b'x'; 100_000]);
    let request = Request::post("/api/v1/projects").header("content-length", "100000").body(body).unwrap();
    world.send(request).await.problem(413);
}

#[tokio::test(start_paused = true)]
async fn without_the_aggregator_it_is_503_and_never_accepted() {
    let world = World::new(Script::default()).await;
    let bounded = async |what: &str| {
        let begun = Instant::now();
        let reply = post(&world, "/webhooks/gl", &[], "{}").await;
        reply.problem(503);
        assert!(reply.header("retry-after").is_some(), "{what}");
        assert!(begun.elapsed() <= Duration::from_secs(5), "{what}: {:?}", begun.elapsed());
    };
    world.aggregator.script().hang = true;
    bounded("it does not answer").await;
    world.aggregator.script().hang = false;
    world.aggregator.away();
    world.until_link("lost").await;
    bounded("it is away").await;
    world.aggregator.restarted();
    world.until_link("connected").await;
    assert_eq!(post(&world, "/webhooks/gl", &[], "{}").await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_given_up() {
    let world = World::new(Script::default()).await;
    let never = Body::from_stream(futures::stream::pending::<Result<axum::body::Bytes, Infallible>>());
    post(&world, "/webhooks/gl", &[], never).await.problem(408);
    let cut = Body::from_stream(futures::stream::iter([
        Ok(axum::body::Bytes::from_static(b"{")),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ]));
    post(&world, "/webhooks/gl", &[], cut).await.problem(400);
    assert!(world.aggregator.ingested().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_host_no_origin_and_no_base_path_stands_in_its_way() {
    let yaml = "server: { allowed_hosts: [ci.example.com], base_path: /ci }";
    let world = World::unconnected(yaml, Script::default());
    world.aggregator.back();
    world.until("/api/ready", 200).await;
    let headers = [
        ("host", "10.0.0.7:8080"),
        ("origin", "https://elsewhere.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    for path in ["/ci/webhooks/gl", "/webhooks/gl"] {
        assert_eq!(post(&world, path, &headers, "{}").await.status, 202, "{path}");
    }
    for path in ["/webhooks", "/webhooks/", "/webhooks/gl/more"] {
        assert_eq!(post(&world, path, &[("host", "ci.example.com")], "{}").await.status, 404, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_post_is_understood() {
    let world = World::new(Script::default()).await;
    let reply = world.get("/webhooks/gl").await;
    assert!(reply.problem(405).contains("POST"));
    assert_eq!(reply.header("allow"), Some("POST"));
    assert!(world.aggregator.ingested().is_empty());
}

#[tokio::test(start_paused = true)]
async fn headers_have_a_bound() {
    let world = World::new(Script::default()).await;
    let large = "x".repeat(40_000);
    post(&world, "/webhooks/gl", &[("x-large", &large)], "{}").await.problem(431);
}
