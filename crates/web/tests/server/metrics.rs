//! `/metrics`, as a Prometheus reads it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::house::{House, get, post, user};

/// The value of the sample that begins so.
#[track_caller]
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(sample).is_some_and(|rest| rest.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("no {sample} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_happened_is_counted_by_route_and_not_by_address() {
    let house = House::open("", &[]).await;
    house.until(&get("/api/ready"), 200).await;
    for path in ["/projects/gl/42", "/projects/gl/none", "/api/v1/projects?q=private", "/nowhere/private"] {
        house.ask(&get(path)).await;
    }
    house.ask(&get("/").method("BREW")).await;
    let mut events = house.begin(&get("/api/v1/events/stream")).await;
    events.text_until("event: link").await;
    let reply = house.ask(&get("/metrics")).await;
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = reply.text();
    for (sample, count) in [
        (
            "ci_dashboard_http_requests_total{route=\"/projects/{source}/{id}\",method=\"GET\",status=\"200\"}",
            1.0,
        ),
        (
            "ci_dashboard_http_requests_total{route=\"/projects/{source}/{id}\",method=\"GET\",status=\"404\"}",
            1.0,
        ),
        ("ci_dashboard_http_requests_total{route=\"/api/v1/projects\",method=\"GET\",status=\"200\"}", 1.0),
        ("ci_dashboard_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"}", 1.0),
        ("ci_dashboard_http_requests_total{route=\"/\",method=\"other\",status=\"405\"}", 1.0),
        (
            "ci_dashboard_http_request_duration_seconds_count{route=\"/projects/{source}/{id}\",method=\"GET\"}",
            2.0,
        ),
        ("ci_dashboard_sse_clients", 1.0),
        ("ci_dashboard_aggregator_connected", 1.0),
    ] {
        assert_eq!(value(&text, sample), count, "{sample}");
    }
    assert!(
        value(&text, "ci_dashboard_grpc_client_requests_total{method=\"list_projects\",code=\"OK\"}") >= 1.0
    );
    assert!(
        value(&text, "ci_dashboard_grpc_client_requests_total{method=\"get_project\",code=\"NOT_FOUND\"}")
            >= 1.0
    );
    assert!(value(&text, "process_resident_memory_bytes") > 0.0);
    assert!(!text.contains("private") && !text.contains("/42"), "no address and no search text: {text}");
    drop(events);
    house.until_text(&get("/metrics"), "ci_dashboard_sse_clients 0\n").await;
}

#[tokio::test]
async fn a_scraper_shows_a_token_or_the_settings_open_it() {
    let token = web::create_token("prometheus", None).unwrap();
    let files = [("users", user("ada", "right", "")), ("tokens", token.line.clone())];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let auth = "auth: { mode: basic, users_file: users, tokens_file: tokens";
    let house = House::open(&format!("{auth} }}"), &files).await;
    house.ask(&get("/metrics")).await.problem(401);
    house.ask(&post("/sign-in", "user=ada&password=wrong")).await;
    house.sign_in("ada", "right").await;
    let text = house.ask(&get("/metrics").token(&token.token)).await.text();
    for result in ["ok", "wrong"] {
        assert_eq!(value(&text, &format!("ci_dashboard_sign_ins_total{{result=\"{result}\"}}")), 1.0);
    }
    assert!(!text.contains("ada") && !text.contains(&token.token), "{text}");
    let house = House::open(&format!("{auth}, public: [metrics] }}"), &files).await;
    assert_eq!(house.ask(&get("/metrics")).await.status, 200);
}

#[tokio::test]
async fn promtool_finds_nothing_wrong() {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = promtool.spawn() else {
        eprintln!("skipped: there is no promtool on this machine");
        return;
    };
    let house = House::open("", &[]).await;
    house.until(&get("/api/ready"), 200).await;
    house.ask(&get("/api/v1/projects")).await;
    let text = house.ask(&get("/metrics")).await.text();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let says = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{says}\n{text}");
}
