//! A real Prometheus scrapes both daemons, told how by the file that we give to people.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::kit::{Web, eventually, free_port};
use crate::two_daemons::House;

/// Set where a missing Prometheus is a failure, not a reason to skip.
const REQUIRED: &str = "CI_DASHBOARD_REQUIRE_PROMETHEUS";
const SCRAPE: &str = include_str!("../../../../deploy/prometheus/scrape.yml");
const RULES: &str = include_str!("../../../../deploy/prometheus/ci-dashboard.rules.yml");

fn is_installed() -> bool {
    let mut version = Command::new("prometheus");
    version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// The file with other values; each has to stand in it.
fn with(file: &str, changes: &[(&str, String)]) -> String {
    changes.iter().fold(file.to_owned(), |file, (old, new)| {
        assert!(file.contains(old), "no {old:?} in {file}");
        file.replace(old, new)
    })
}

/// What a query gives: the labels and the value of each series.
fn query(prometheus: Web, query: &str) -> Result<Vec<(Value, String)>, String> {
    let answer = prometheus.ok(&format!("/api/v1/query?query={query}"))?.json();
    let series = answer["data"]["result"].as_array().ok_or_else(|| answer.to_string())?;
    let value = |one: &Value| one["value"][1].as_str().unwrap_or_default().to_owned();
    Ok(series.iter().map(|one| (one["metric"].clone(), value(one))).collect())
}

#[test]
fn a_prometheus_that_is_set_up_as_we_say_scrapes_both_daemons() {
    if !is_installed() {
        assert!(std::env::var_os(REQUIRED).is_none(), "Prometheus is not installed, and {REQUIRED} is set");
        eprintln!("skipped: Prometheus is not installed");
        return;
    }
    let (house, metrics, prometheus) = (House::new(4), free_port(), Web { port: free_port() });
    let place = &house.place;
    let path = |name: &str| place.path(name).display().to_string();

    // As where people have to sign in: scripts show a token.
    let made = place.run("ci-dashboard", &["create-token", "prometheus"]);
    let line = |with: &str| {
        let mut lines = made.out.lines().map(str::trim);
        lines.find(|line| line.starts_with(with)).unwrap_or_else(|| panic!("no {with}: {made:?}")).to_owned()
    };
    std::fs::write(place.path("token"), line("cid_")).unwrap();
    std::fs::write(place.path("tokens"), line("prometheus:")).unwrap();
    std::fs::write(place.path("users"), "").unwrap();
    let auth =
        format!("auth: {{ mode: basic, users_file: {}, tokens_file: {} }}", path("users"), path("tokens"));
    place.config(&format!(
        "{}aggregator: {{ metrics: \"127.0.0.1:{metrics}\", metrics_pipelines: 3 }}\n{auth}\n",
        house.forge.config()
    ));
    let (mut aggregator, mut web) = (house.start_aggregator(), house.start_web());
    house.web.until_connected();
    assert_eq!(house.web.get("/metrics").unwrap().status, 401, "without a token");

    let scrape = with(
        SCRAPE,
        &[
            ("127.0.0.1:9464", format!("127.0.0.1:{metrics}")),
            ("127.0.0.1:8080", format!("127.0.0.1:{}", house.web.port)),
            ("/etc/prometheus/ci-dashboard.token", path("token")),
            ("scrape_interval: 15s", "scrape_interval: 1s".to_owned()),
        ],
    );
    std::fs::write(place.path("prometheus.yml"), format!("global: {{ evaluation_interval: 1s }}\n{scrape}"))
        .unwrap();
    std::fs::write(place.path("ci-dashboard.rules.yml"), RULES).unwrap();
    let args = [
        format!("--config.file={}", path("prometheus.yml")),
        format!("--storage.tsdb.path={}", path("tsdb")),
        format!("--web.listen-address=127.0.0.1:{}", prometheus.port),
    ];
    let mut process = place.start_other("prometheus", &args.each_ref().map(String::as_str));

    eventually("both are up", || {
        let up = query(prometheus, "up")?;
        let is_up = |job: &str| up.iter().any(|(labels, value)| labels["job"] == job && value == "1");
        match up.len() {
            2 if is_up("ci-dashboard-aggregator") && is_up("ci-dashboard-web") => Ok(()),
            _ => Err(prometheus.ok("/api/v1/targets").map_or_else(|e| e, |answer| answer.body)),
        }
    });
    eventually("their figures are there", || {
        let sources = query(prometheus, "ci_dashboard_source_up")?.len();
        let requests = query(prometheus, "ci_dashboard_http_requests_total")?.len();
        if sources == 2 && requests > 0 {
            Ok(())
        } else {
            Err(format!("{sources} sources, {requests} requests"))
        }
    });
    eventually("of branches no more are told than are allowed, and how many are left out", || {
        let told = query(prometheus, "ci_dashboard_pipeline_active")?.len();
        let left_out = query(prometheus, "ci_dashboard_pipelines_left_out")?;
        let is_some = left_out.first().and_then(|(_, n)| n.parse::<u32>().ok()).is_some_and(|n| n > 0);
        if told == 3 && is_some { Ok(()) } else { Err(format!("{told} told, left out: {left_out:?}")) }
    });
    eventually("of the token it is told when it ends, and that it can write", || {
        let of = "{source=\"gl\"}";
        let ends = query(prometheus, &format!("ci_dashboard_source_token_expires_timestamp_seconds{of}"))?;
        let writes = query(prometheus, &format!("ci_dashboard_source_token_writes{of}"))?;
        match (&ends[..], &writes[..]) {
            ([(_, at)], [(_, writes)]) if at.starts_with("181") && writes == "1" => Ok(()),
            _ => Err(format!("{ends:?} {writes:?}")),
        }
    });
    eventually("every rule was evaluated", || {
        let answer = prometheus.ok("/api/v1/rules")?.json();
        let groups = answer["data"]["groups"].as_array().ok_or("no groups")?;
        let rules: Vec<_> = groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
        let well = !rules.is_empty() && rules.iter().all(|rule| rule["health"] == "ok");
        if well { Ok(()) } else { Err(answer.to_string()) }
    });

    assert_eq!(process.stop(Signal::TERM), Some(0));
    assert_eq!(web.stop(Signal::TERM), Some(0));
    assert_eq!(aggregator.stop(Signal::TERM), Some(0));
}
