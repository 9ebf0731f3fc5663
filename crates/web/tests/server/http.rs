//! What every answer has in common: headers, validators, bounds, paths.

use crate::fixtures;
use crate::kit::{self, Script, World};
use ::http::Request;
use axum::body::Body;
use proptest::prelude::*;

#[tokio::test(start_paused = true)]
async fn every_answer_is_closed_by_default() {
    let world = World::new(Script::default()).await;
    for path in
        ["/", "/none", "/api/v1/projects", "/api/health", "/api/v1/none", "/?page=0", "/static/x/none"]
    {
        let reply = world.get(path).await;
        let csp = reply.header("content-security-policy").unwrap_or_else(|| panic!("{path}"));
        assert!(csp.starts_with("default-src 'none'") && !csp.contains("unsafe"), "{csp}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
        assert!(reply.header("referrer-policy").is_some() && reply.header("permissions-policy").is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_not_changed_is_not_sent_again() {
    let world = World::new(Script::default()).await;
    for path in
        ["/", "/projects/gl/42", "/projects/gl/42/pipelines/9001", "/api/v1/projects", "/api/v1/sources"]
    {
        let first = world.get(path).await;
        assert_eq!(first.status, 200, "{path}");
        assert_eq!(first.header("cache-control"), Some("no-cache"));
        let etag = first.header("etag").unwrap().to_owned();
        assert!(etag.starts_with("W/\"7.1-"), "{etag}");
        let again = world.get_with(path, &[("if-none-match", &etag)]).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), Some(etag.as_str()));
        let other = world.get_with(path, &[("if-none-match", "W/\"7.0-0\"")]).await;
        assert_eq!(other.status, 200);
    }
    let etag = world.get("/api/v1/projects").await.header("etag").unwrap().to_owned();
    world.aggregator.change(&[]);
    world.until_heard().await;
    assert_eq!(world.get_with("/api/v1/projects", &[("if-none-match", &etag)]).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn bodies_are_packed_for_who_takes_it() {
    let rows = (0..50).map(|n| fixtures::row(&n.to_string(), "group/name")).collect();
    let world = World::new(Script { rows, ..Script::default() }).await;
    let plain = world.get("/api/v1/projects").await;
    let packed = world.get_with("/api/v1/projects", &[("accept-encoding", "gzip")]).await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.header("vary").unwrap().contains("accept-encoding"));
    assert!(packed.body.len() * 4 < plain.body.len());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut text).unwrap();
    assert_eq!(text, plain.text());
    let events = world.router();
    let request = Request::get("/api/v1/events/stream").header("accept-encoding", "gzip").body(Body::empty());
    let response = tower::ServiceExt::oneshot(events, request.unwrap()).await.unwrap();
    assert!(response.headers().get("content-encoding").is_none());
}

#[tokio::test(start_paused = true)]
async fn pages_and_problems_each_to_whom_they_belong() {
    let world = World::new(Script::default()).await;
    for (path, status) in [
        ("/none", 404),
        ("/projects/gl/none", 404),
        ("/projects/gl/42/pipelines/none", 404),
        ("/?status=purple", 400),
    ] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
    }
    let post = |path: &str| Request::post(path).body(Body::from("x")).unwrap();
    let reply = world.send(post("/api/v1/projects")).await;
    reply.problem(405);
    assert_eq!(reply.header("allow"), Some("GET,HEAD"));
    assert_eq!(world.send(post("/")).await.status, 405);
    assert_eq!(world.send(post("/api/v1/none")).await.status, 404);
    let long = format!("/api/v1/projects?q={}", "x".repeat(9000));
    world.get(&long).await.problem(414);
    let head = world.send(Request::head("/api/v1/projects").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn bodies_have_a_bound() {
    let world = World::new(Script::default()).await;
    let body = Body::from(vec![0_u8; 100_000]);
    let request = Request::post("/api/v1/projects").header("content-length", "100000").body(body).unwrap();
    let reply = world.send(request).await;
    assert!(reply.status.is_client_error(), "{}", reply.status);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
}

#[tokio::test(start_paused = true)]
async fn everything_works_below_a_base_path() {
    let world = World::with("server: { base_path: /deep/ci }", Script::default()).await;
    for path in
        ["/deep/ci", "/deep/ci/", "/deep/ci?q=x", "/deep/ci/projects/gl/42", "/deep/ci/api/v1/projects"]
    {
        assert_eq!(world.get(path).await.status, 200, "{path}");
    }
    // A proxy that takes the path away is as good.
    assert_eq!(world.get("/api/ready").await.status, 200);
    assert_eq!(world.get("/deep/cider").await.status, 404);
    world.get("/deep/ci/api/none").await.problem(404);
    let icon = world.get("/deep/ci/favicon.ico").await;
    assert!(icon.header("location").unwrap().starts_with("/deep/ci/static/"));
    let page = world.get("/deep/ci/").await.text();
    for link in page.split(['"', ' ']).filter(|part| part.starts_with("/") && !part.starts_with("//")) {
        if link.len() > 1 && !link.starts_with("/>") {
            assert!(link.starts_with("/deep/ci"), "{link}");
        }
    }
    let document = world.get("/deep/ci/api/v1/openapi.json").await.json();
    assert_eq!(document["servers"][0]["url"], "/deep/ci/api/v1");
}

#[tokio::test(start_paused = true)]
async fn only_known_hosts_when_they_are_known() {
    let world = World::unconnected("server: { allowed_hosts: [ci.example.com] }", Script::default());
    world.aggregator.back();
    world.until("/api/ready", 200).await;
    for (host, status) in
        [("ci.example.com", 200), ("CI.example.com:8443", 200), ("evil.example.com", 421), ("", 421)]
    {
        assert_eq!(world.get_with("/api/v1/projects", &[("host", host)]).await.status, status, "{host}");
    }
    world.get("/api/v1/projects").await.problem(421);
    // None are listed, and this machine alone can ask: a page that points its own name here is not answered.
    let world = World::new(Script::default()).await;
    for (host, status) in [
        ("localhost:8080", 200),
        ("ci.localhost", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("rebound.evil.example", 421),
        ("", 421),
    ] {
        assert_eq!(world.get_with("/api/v1/projects", &[("host", host)]).await.status, status, "{host}");
        assert_eq!(world.get_with("/api/ready", &[("host", host)]).await.status, 200, "{host}");
    }
    let refused = world.get_with("/api/v1/projects", &[("host", "rebound.evil.example:8080")]).await;
    assert!(refused.problem(421).contains("server.allowed_hosts"));
}

#[tokio::test(start_paused = true)]
async fn other_origins_read_only_when_they_may() {
    let world = World::with("server: { cors: [\"https://a.example\"] }", Script::default()).await;
    let of = async |path: &str, origin: &str| {
        let reply = world.get_with(path, &[("origin", origin)]).await;
        reply.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(of("/api/v1/projects", "https://a.example").await.as_deref(), Some("https://a.example"));
    assert_eq!(of("/api/v1/projects", "https://b.example").await, None);
    assert_eq!(of("/", "https://a.example").await, None);
    let closed = World::new(Script::default()).await;
    let reply = closed.get_with("/api/v1/projects", &[("origin", "https://a.example")]).await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[tokio::test(start_paused = true)]
async fn static_files_come_with_their_type() {
    let world = World::new(Script::default()).await;
    let url = web::assets::url("app.css");
    let reply = world.get(&url).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, Some("text/css; charset=utf-8")));
    assert!(reply.header("cache-control").is_some());
    // A page of an older build still finds its files, but may not keep them.
    let old = world.get("/static/0000/app.css").await;
    assert_eq!((old.status.as_u16(), old.header("cache-control")), (200, Some("no-cache")));
    for missing in ["/static/x/none.css", "/static/x/..%2f..%2fCargo.toml", "/static/x/../../Cargo.toml"] {
        assert_eq!(world.get(missing).await.status, 404, "{missing}");
    }
}

#[tokio::test]
async fn what_this_build_cannot_do_does_not_start() {
    for (yaml, says) in [
        ("auth: { mode: oidc }", "auth.mode: oidc"),
        ("auth: { mode: basic, users_file: /x }", "auth.users_file: cannot read /x"),
    ] {
        let life = lifecycle::Lifecycle::new();
        let endpoint = api::Endpoint::InProcess(api::InProcess::default());
        let clock = std::sync::Arc::new(domain::SystemClock);
        let error = web::application(kit::settings(yaml), &endpoint, clock, &life.tasks()).unwrap_err();
        assert!(error.is_configuration() && error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_one_sentence() {
    let mut server = kit::settings("server: { port: 0 }").server;
    let first = web::listen(&server, None).await.unwrap();
    server.port = first.local_addr().unwrap().port();
    let error = web::listen(&server, None).await.unwrap_err();
    assert!(!error.is_configuration());
    assert_eq!(
        error.to_string(),
        format!(
            "port {} on 127.0.0.1 is already in use: stop what listens there, or choose another with --port",
            server.port
        )
    );
}

fn ids() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{1,20}",
        "[a-z/%. ?#&+;\\\\]{1,12}",
        Just(".".to_owned()),
        Just("..".to_owned()),
        Just("../../etc/passwd".to_owned()),
        Just("%2F".to_owned()),
        Just("{id}".to_owned()),
        Just("ünï/cödé 🦀".to_owned()),
    ]
}

#[test]
fn every_id_survives_its_path() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let world = runtime.block_on(World::new(Script { echo: true, ..Script::default() }));
    let config = ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(id in ids(), other in ids())| {
        let (path_id, path_other) = (domain::encode_segment(&id), domain::encode_segment(&other));
        runtime.block_on(async {
            let reply = world.get(&format!("/api/v1/projects/gl/{path_id}")).await;
            assert_eq!(reply.json()["id"], id.as_str());
            let reply = world.get(&format!("/api/v1/projects/gl/{path_id}/pipelines/{path_other}")).await;
            assert_eq!(reply.json()["id"], other.as_str());
            let reply = world.get(&format!("/api/v1/projects/gl/{path_id}/branches/{path_other}")).await;
            assert_eq!(reply.json()["name"], other.as_str());
            for page in [format!("/projects/gl/{path_id}"), format!("/projects/gl/{path_id}/pipelines/{path_other}")] {
                assert_eq!(world.get(&page).await.status, 200, "{page}");
            }
        });
    });
}
