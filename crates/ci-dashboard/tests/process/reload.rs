//! SIGHUP: the configuration is read again. Sources come, change and go, and the others do not notice.

use rustix::process::Signal;
use serde_json::Value;

use crate::kit::{Forge, Place, Running, Web, eventually, free_port};
use crate::two_daemons::House;

/// Settings with these sources of the simulated platforms, each with its token.
fn config(forge: &Forge, sources: &[(&str, &str)], more: &str) -> String {
    let line = |kind: &str, url: String| {
        let of_kind = sources.iter().filter(|(name, _)| name.starts_with(kind));
        let lines: Vec<_> = of_kind
            .map(|(name, token)| {
                format!("{{ name: {name}, url: \"{url}\", token: \"{token}\", webhook_secret: s3cret }}")
            })
            .collect();
        format!("{kind}: [ {} ]\n", lines.join(", "))
    };
    let (gitlab, github) = (line("gitlab", forge.sim.gitlab_url()), line("github", forge.sim.github_url()));
    format!("database: {{ url: none }}\ncache: {{ refresh_interval: 1s, ttl: 1s }}\n{gitlab}{github}{more}")
}

fn sources(web: Web) -> Result<Vec<Value>, String> {
    web.items("/api/v1/sources")
}

fn source(web: Web, name: &str) -> Result<Value, String> {
    sources(web)?.into_iter().find(|s| s["name"] == name).ok_or_else(|| format!("there is no {name}"))
}

/// Requests to a source since its connector was made.
fn asked(source: &Value) -> u64 {
    source["endpoints"].as_array().unwrap().iter().map(|e| e["requests"].as_u64().unwrap()).sum()
}

fn rows(web: Web, source: &str) -> Result<usize, String> {
    Ok(web.items(&format!("/api/v1/projects?source={source}"))?.len())
}

/// Waits until all of a source is read; gives it.
#[track_caller]
fn until_read(web: Web, name: &str) -> Value {
    eventually(&format!("{name} is read"), || {
        let source = source(web, name)?;
        if source["state"] == "ok" && rows(web, name)? > 0 { Ok(source) } else { Err(source.to_string()) }
    })
}

/// What has to hold of the aggregator, whichever process it is in.
fn sources_come_change_and_go(forge: &Forge, place: &Place, web: Web, process: &Running) {
    let token = forge.sim.token();
    let reload = |sources: &[(&str, &str)]| {
        place.config(&config(forge, sources, ""));
        process.signal(Signal::HUP);
    };
    let before = until_read(web, "gitlab-a");
    let there = rows(web, "gitlab-a").unwrap();
    let untouched = |what: &str| {
        let now = source(web, "gitlab-a").unwrap();
        assert!(asked(&now) >= asked(&before), "{what}: its connector is the same: {now}");
        assert_eq!((&now["state"], rows(web, "gitlab-a")), (&Value::from("ok"), Ok(there)), "{what}");
    };

    reload(&[("gitlab-a", token), ("github-b", token), ("gitlab-c", token)]);
    until_read(web, "github-b");
    until_read(web, "gitlab-c");
    untouched("others came");
    assert_eq!(rows(web, "gitlab-c"), Ok(there), "the same platform under another name");

    // Another token: this one begins anew, keeps what it shows, and says what is wrong with the token.
    let shown = rows(web, "github-b").unwrap();
    reload(&[("gitlab-a", token), ("github-b", "canary-9f2c"), ("gitlab-c", token)]);
    eventually("github-b is refused", || {
        let source = source(web, "github-b")?;
        (source["state"] == "down").then_some(()).ok_or_else(|| source.to_string())
    });
    assert_eq!(rows(web, "github-b"), Ok(shown), "what was known stays");
    untouched("another was refused");
    reload(&[("gitlab-a", token), ("github-b", token), ("gitlab-c", token)]);
    until_read(web, "github-b");

    // One that goes takes its rows along, and nobody is there for its webhooks.
    let hook =
        |name: &str| web.post(&format!("/webhooks/{name}"), "X-Gitlab-Token: wrong\r\n", "{}").unwrap();
    assert_eq!(hook("gitlab-c").status, 403);
    reload(&[("gitlab-a", token), ("github-b", token)]);
    eventually("gitlab-c is gone", || match (rows(web, "gitlab-c")?, source(web, "gitlab-c")) {
        (0, Err(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(hook("gitlab-c").status, 404);
    assert_eq!(hook("gitlab-a").status, 403);
    untouched("another went");

    // One with mistakes is refused with all of them, and everything goes on.
    place.config(&config(forge, &[], "gitlabb: []\ncache: { ttl: soon }\n"));
    process.signal(Signal::HUP);
    eventually("the mistakes are in the log", || {
        let log = process.stderr();
        let told = ["gitlabb", "refused"].iter().all(|word| log.contains(word));
        told.then_some(()).ok_or(log)
    });
    untouched("a bad configuration");
    assert!(!process.stderr().contains("canary"), "no token is in the log");

    // And the next good one is taken: what concerns all of them has all of them begin anew, with their rows.
    let slower =
        config(forge, &[("gitlab-a", token)], "").replace("refresh_interval: 1s", "refresh_interval: 2s");
    place.config(&slower);
    process.signal(Signal::HUP);
    eventually("github-b is gone", || match source(web, "github-b") {
        Err(_) => Ok(()),
        Ok(source) => Err(source.to_string()),
    });
    until_read(web, "gitlab-a");
    assert_eq!(rows(web, "gitlab-a"), Ok(there));
}

#[test]
fn the_aggregator_takes_other_sources_at_sighup() {
    let house = House::new(8);
    house.place.config(&config(&house.forge, &[("gitlab-a", house.forge.sim.token())], ""));
    let mut aggregator = house.start_aggregator();
    let _web = house.start_web();
    house.web.until_connected();
    sources_come_change_and_go(&house.forge, &house.place, house.web, &aggregator);
    assert_eq!(aggregator.stop(Signal::TERM), Some(0), "what came at SIGHUP ends with the rest");
}

#[test]
fn so_does_the_single_process_and_its_pages_change_as_well() {
    let (forge, place, web) = (Forge::start(8), Place::new(), Web { port: free_port() });
    let path = place.config(&config(&forge, &[("gitlab-a", forge.sim.token())], "")).display().to_string();
    let port = web.port.to_string();
    let mut process = place.start("ci-dashboard", &["--config", &path, "--port", &port]);
    web.until_connected();
    sources_come_change_and_go(&forge, &place, web, &process);
    place.config(&config(&forge, &[("gitlab-a", forge.sim.token())], "ui: { title: Lighthouse }\n"));
    process.signal(Signal::HUP);
    eventually("the title is another", || {
        let page = web.ok("/")?;
        page.body.contains("Lighthouse").then_some(()).ok_or_else(|| "the old one".to_owned())
    });
    assert_eq!(process.stop(Signal::TERM), Some(0));
}
