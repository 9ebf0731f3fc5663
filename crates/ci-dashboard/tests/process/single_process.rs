//! Everything in one process: the demo, a source that fails, the check of settings.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::Value;

use crate::kit::{Forge, Place, Web, eventually, free_port};

const BINARY: &str = "ci-dashboard";

#[test]
fn the_demo_shows_rows_and_keeps_moving_until_it_is_stopped() {
    let (place, web) = (Place::new(), Web { port: free_port() });
    let port = web.port.to_string();
    let mut demo = place.start(BINARY, &["demo", "--port", &port, "--projects", "60"]);
    let rows = eventually("rows of the demo", || {
        let rows = web.items("/api/v1/projects")?;
        let read = rows.iter().any(|r| !r["outcome"].is_null());
        read.then_some(rows).ok_or_else(|| "no outcome yet".to_owned())
    });
    assert!(demo.stdout().contains(&web.url()), "it says where to look: {}", demo.stdout());
    let platforms: BTreeSet<_> = rows.iter().filter_map(|r| r["platform"].as_str()).collect();
    eventually("all 60 projects of both platforms", || {
        let rows = web.items("/api/v1/projects")?;
        let read = rows.iter().filter(|r| !r["outcome"].is_null() || !r["problem"].is_null()).count();
        (rows.len() == 60 && read > 40)
            .then_some(())
            .ok_or_else(|| format!("{} rows, {read} read", rows.len()))
    });
    assert!(!platforms.is_empty());
    let page = web.ok("/").unwrap();
    let name = rows[0]["name"].as_str().unwrap().rsplit('/').next().unwrap();
    assert!(page.body.contains(name), "the page has rows");

    // Things happen while one watches: versions that rise, with the rows that changed.
    let mut versions = Vec::new();
    let mut changed = BTreeSet::new();
    for event in web.events().unwrap().filter(|e| e.name == "board") {
        for change in event.data["changes"].as_array().into_iter().flatten() {
            changed.insert(change["id"].to_string());
        }
        versions.push(event.id);
        if versions.len() > 3 && changed.len() > 1 {
            break;
        }
    }
    let sequence = |v: &String| {
        let (epoch, sequence) = v.split_once('.').expect("epoch.sequence");
        (epoch.parse::<u64>().unwrap(), sequence.parse::<u64>().unwrap())
    };
    assert!(versions.iter().map(sequence).is_sorted_by(|a, b| a < b), "versions rise: {versions:?}");

    // A browser that watches does not hold up the stop.
    let mut watching = web.events().unwrap();
    assert!(watching.next().is_some());
    assert_eq!(demo.stop(Signal::INT), Some(0), "Ctrl-C is a clean end");
    assert!(demo.stdout().contains("Stopped."), "{}", demo.stdout());
    assert!(watching.any(|e| e.name == "bye") || watching.next().is_none());
}

#[test]
fn one_bad_source_is_a_row_with_a_reason_and_the_other_goes_on() {
    let (place, forge, web) = (Place::new(), Forge::start(10), Web { port: free_port() });
    let config = format!(
        "server: {{ port: {} }}\ndatabase: {{ url: none }}\n\
         gitlab: [ {{ name: gl, url: \"{}\", token: wrong-token }}, {{ name: gone, url: \"http://127.0.0.1:1\", token: x }},\n\
         \x20         {{ name: unset, url: \"{}\", token: \"${{NOT_SET_ANYWHERE}}\" }} ]\n\
         github: [ {{ name: gh, url: \"{}\", token: {} }} ]\n",
        web.port,
        forge.sim.gitlab_url(),
        forge.sim.gitlab_url(),
        forge.sim.github_url(),
        forge.sim.token()
    );
    let config = place.config(&config).display().to_string();
    let mut running = place.start(BINARY, &["--config", &config]);
    let sources = eventually("every source has said how it is", || {
        let sources = web.items("/api/v1/sources")?;
        let state = |name: &str| sources.iter().find(|s| s["name"] == name).map(|s| s["state"].clone());
        let down = ["gl", "gone", "unset"].iter().all(|n| state(n) == Some("down".into()));
        let fine = state("gh") == Some("ok".into());
        if down && fine { Ok(sources) } else { Err(format!("{sources:?}")) }
    });
    let error = |name: &str| {
        let source = sources.iter().find(|s| s["name"] == name).unwrap();
        source["error"].as_str().unwrap_or_default().to_owned()
    };
    assert!(error("gl").contains("read_api"), "a refused token says what it needs: {}", error("gl"));
    assert!(error("unset").contains("NOT_SET_ANYWHERE"), "{}", error("unset"));
    assert!(!error("gone").is_empty());
    let rows = web.items("/api/v1/projects?source=gh").unwrap();
    assert!(rows.len() >= 4 && rows.iter().all(|r| r["source"] == "gh"), "{} rows", rows.len());
    let all = format!("{}{}", running.stdout(), running.stderr());
    assert!(!all.contains("wrong-token") && !all.contains(forge.sim.token()), "no token in the log");
    assert_eq!(running.stop(Signal::TERM), Some(0));
}

#[test]
fn check_config_shows_the_settings_without_their_secrets() {
    let place = Place::new();
    let config = "gitlab: [ { name: main, url: https://gitlab.example.org, token: canary } ]\n";
    let config = place.config(config).display().to_string();
    let good = place.run(BINARY, &["check-config", "--config", &config]);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.out.contains("gitlab.example.org") && good.out.contains("port: 8080"), "{}", good.out);
    assert!(!good.out.contains("canary") && !good.err.contains("canary"));

    let bad =
        place.config("server: { prot: 80 }\ncache: { type: reddis, ttl: soon }\n").display().to_string();
    let bad = place.run(BINARY, &["check-config", "--config", &bad]);
    assert_eq!(bad.code, Some(2), "{bad:?}");
    for mistake in ["config.yaml:1: server.prot", "config.yaml:2: cache.type", "config.yaml:2: cache.ttl"] {
        assert!(bad.err.contains(mistake), "{mistake}: {}", bad.err);
    }
    assert_eq!(place.run(BINARY, &["--port", "none"]).code, Some(2), "bad usage");
}

#[test]
fn what_is_not_there_is_a_problem_document() {
    let (place, web) = (Place::new(), Web { port: free_port() });
    let config = place.config(&format!("server: {{ port: {} }}\ndatabase: {{ url: none }}\n", web.port));
    let _running = place.start(BINARY, &["--config", &config.display().to_string()]);
    let answer = eventually("an answer", || web.get("/api/v1/nothing-here"));
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["status"], Value::from(404));
    // Nothing is configured: a page that says what to do, not an error.
    eventually("the first page", || web.ok("/"));
}

#[test]
fn a_password_is_hashed_from_standard_input_and_lets_one_in() {
    let (place, web) = (Place::new(), Web { port: free_port() });
    for input in ["correct horse\n", "correct horse\ncorrect horse\n", "correct horse"] {
        let hashed = place.run_with(BINARY, &["hash-password"], input);
        assert_eq!(hashed.code, Some(0), "{hashed:?}");
        assert!(hashed.out.starts_with("$argon2id$") && hashed.out.lines().count() == 1, "{hashed:?}");
        assert!(!hashed.out.contains("horse") && !hashed.err.contains("horse"));
    }
    for (input, says) in [("a\nb\n", "differ"), ("", "empty"), ("\n", "empty")] {
        let refused = place.run_with(BINARY, &["hash-password"], input);
        assert!(
            refused.code == Some(1) && refused.err.contains(says) && refused.out.is_empty(),
            "{refused:?}"
        );
    }
    let hash = place.run_with(BINARY, &["hash-password"], "correct horse\n").out;
    let made = place.run(BINARY, &["create-token", "nightly", "--expires-in", "90d"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let word = |begins: &str| made.out.split_whitespace().find(|w| w.starts_with(begins)).unwrap().to_owned();
    let (token, line) = (word("cid_"), word("nightly:sha256:"));
    assert_eq!(made.out.matches(&token).count(), 1, "shown once: {}", made.out);
    assert_eq!(place.run(BINARY, &["create-token", "a b"]).code, Some(1));
    assert_eq!(place.run(BINARY, &["create-token", "a", "--expires-in", "soon"]).code, Some(2));
    std::fs::write(place.path("users"), format!("ada:{hash}")).unwrap();
    std::fs::write(place.path("tokens"), line).unwrap();
    let config = format!(
        "server: {{ port: {} }}\ndatabase: {{ url: none }}\n\
         auth: {{ mode: basic, users_file: users, tokens_file: tokens }}\n",
        web.port
    );
    let config = place.config(&config).display().to_string();
    let mut running = place.start(BINARY, &["--config", &config]);
    eventually("an answer", || web.get("/api/health"));
    let session = |shown: &str| web.get_with("/api/v1/session", &[("authorization", shown)]).unwrap();
    assert_eq!(session(&format!("Bearer {token}")).json()["name"], "token:nightly");
    assert_eq!(session("Basic YWRhOmNvcnJlY3QgaG9yc2U=").json()["name"], "ada");
    assert_eq!(session("Basic YWRhOndyb25n").status, 401);
    let all = format!("{}{}", running.stdout(), running.stderr());
    assert!(!all.contains("horse") && !all.contains(&token) && !all.contains("argon2"), "{all}");
    assert_eq!(running.stop(Signal::TERM), Some(0));
}
