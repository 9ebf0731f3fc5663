//! The whole thing on what GitHub and GitLab really answered. The recordings are no part of this repository: they are used
//! where they lie beside the checkout or where `CI_DASHBOARD_RECORDED` says; without them this test says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use forge_sim::Replay;
use serde_json::Value;

use crate::kit::{Place, Web, eventually, free_port};

/// All recordings of a platform, in the order of their names.
fn recordings(folder: &Path) -> Option<Vec<PathBuf>> {
    let mut files: Vec<_> = folder.read_dir().ok()?.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort();
    Some(files)
}

/// Every run that a recording lists, newest recording of it last: id to the run as the platform told it.
fn runs(files: &[PathBuf], path: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for file in files {
        let exchanges: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for exchange in exchanges.iter().filter(|e| e["path"] == path) {
            let body = &exchange["body"];
            let rows = body.as_array().or_else(|| body["workflow_runs"].as_array());
            for run in rows.into_iter().flatten() {
                found.entry(run["id"].to_string()).or_insert_with(|| run.clone());
            }
        }
    }
    found
}

fn gitlab_status(word: &str) -> &str {
    match word {
        "created" | "waiting_for_resource" | "preparing" | "pending" | "scheduled" => "queued",
        other => other,
    }
}

fn github_status(run: &Value) -> &'static str {
    match (run["status"].as_str(), run["conclusion"].as_str()) {
        (Some("completed"), Some("success" | "neutral")) => "success",
        (Some("completed"), Some("failure" | "timed_out" | "startup_failure")) => "failed",
        (Some("completed"), Some("cancelled")) => "canceled",
        (Some("completed"), Some("skipped")) => "skipped",
        (Some("completed"), Some("action_required")) => "manual",
        (Some("in_progress"), _) => "running",
        (Some("queued" | "pending" | "requested" | "waiting"), _) => "queued",
        _ => "unknown",
    }
}

#[test]
fn real_answers_are_shown_as_they_were() {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/recorded"));
    let folder = std::env::var_os("CI_DASHBOARD_RECORDED").map_or_else(beside, PathBuf::from);
    let (Some(github), Some(gitlab)) =
        (recordings(&folder.join("github")), recordings(&folder.join("gitlab")))
    else {
        println!("skipped: no recorded answers in {}", folder.display());
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let replay = runtime.block_on(Replay::start(github.iter().chain(&gitlab))).unwrap();
    let (place, web, url) = (Place::new(), Web { port: free_port() }, replay.url());
    let config = format!(
        "server: {{ port: {} }}\ndatabase: {{ url: none }}\n\
         github: [ {{ name: gh, url: \"{url}\", token: x }} ]\n\
         gitlab: [ {{ name: gl, url: \"{url}\", token: x }} ]\n\
         filters: {{ watched_repos: [\"PyGithub/PyGithub\", \"ReDASers/Phishing-Detection\", \"12345678\", \"44\"] }}\n",
        web.port
    );
    let config = place.config(&config).display().to_string();
    let _running = place.start("ci-dashboard", &["--config", &config]);

    let gitlab_runs = |id: &str| runs(&gitlab, &format!("/api/v4/projects/{id}/pipelines"));
    let github_runs = |name: &str| runs(&github, &format!("/repos/{name}/actions/runs"));
    let expected = [
        ("gh", "PyGithub%2FPyGithub", github_runs("PyGithub/PyGithub")),
        ("gh", "ReDASers%2FPhishing-Detection", github_runs("ReDASers/Phishing-Detection")),
        ("gl", "12345678", gitlab_runs("12345678")),
        ("gl", "44", gitlab_runs("44")),
    ];
    let mut compared = 0;
    for (source, project, recorded) in &expected {
        let shown = eventually(&format!("all recorded runs of {project}"), || {
            let items = web.items(&format!("/api/v1/projects/{source}/{project}/pipelines"))?;
            let shown: BTreeMap<_, _> =
                items.into_iter().map(|r| (r["id"].as_str().unwrap().to_owned(), r)).collect();
            let missing = recorded.keys().filter(|id| !shown.contains_key(*id)).count();
            if missing == 0 { Ok(shown) } else { Err(format!("{missing} of {} missing", recorded.len())) }
        });
        for (id, truth) in recorded {
            let run = &shown[id];
            let word = truth["status"].as_str().unwrap_or_default();
            let (status, link, branch, sha) = match *source {
                "gl" => (gitlab_status(word), &truth["web_url"], &truth["ref"], &truth["sha"]),
                _ => (github_status(truth), &truth["html_url"], &truth["head_branch"], &truth["head_sha"]),
            };
            let said = run["status"].as_str().unwrap_or_default();
            // The detail of a run may know that a green list was green with warnings.
            assert!(
                said == status || (status, said) == ("success", "warning"),
                "{project} {id}: {said}, was {truth}"
            );
            assert_eq!(&run["url"], link, "{project} {id}");
            assert_eq!(&run["sha"], sha, "{project} {id}");
            let ours = truth["head_repository"]["id"] == truth["repository"]["id"];
            if ours {
                assert_eq!(&run["branch"], branch, "{project} {id}");
            }
            if *source == "gh" {
                let message = truth["head_commit"]["message"].as_str().and_then(|m| m.lines().next());
                let shown = run["message"].as_str().and_then(|m| m.lines().next());
                assert!(message.is_none() || shown.is_some(), "{project} {id}: {message:?} is lost");
                assert_eq!(run["event"], truth["event"], "{project} {id}");
            }
            compared += 1;
        }
    }
    let rows = web.items("/api/v1/projects").unwrap();
    let names: Vec<_> = rows.iter().filter_map(|r| r["name"].as_str()).collect();
    assert_eq!(rows.len(), 4, "four rows for four watched names: {names:?}");
    assert!(rows.iter().all(|r| r["url"].is_string()), "{rows:?}");
    println!("{compared} recorded runs compared; asked for and not recorded: {:?}", replay.missed());
}
