//! Every odd answer that a Jenkins gives, on a table of the test's own.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod actions;
mod builds;
mod forge;
mod jobs;
#[path = "../support/listing.rs"]
mod listing;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
mod webhooks;

use std::sync::Arc;

use connector::Connector;
use forge::Forge;
use serde_json::{Value, json};
use support::{settings, source};

const TOKEN: &str = "11canary";
const FREESTYLE: &str = "hudson.model.FreeStyleProject";
const PIPELINE: &str = "org.jenkinsci.plugins.workflow.job.WorkflowJob";
const MULTIBRANCH: &str = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject";
const FOLDER: &str = "com.cloudbees.hudson.plugins.folder.Folder";
const ROOT: &str = "GET /api/json";
/// 2023-11-14T22:13:20Z
const THEN: u64 = 1_700_000_000_000;

fn watching(forge: &Forge) -> Arc<dyn Connector> {
    source(&settings(&forge.url(), Some(TOKEN)))
}

/// A job, with fields replaced or added.
fn job(class: &str, name: &str, patch: Value) -> Value {
    let mut value = json!({
        "_class": class, "name": name, "url": format!("http://wrong.host:8080/jenkins/job/{name}/"), "color": "blue",
        "disabled": false, "inQueue": false, "nextBuildNumber": 8, "queueItem": null,
        "lastBuild": build(7, json!({})), "lastCompletedBuild": build(7, json!({})),
    });
    value.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
    value
}

/// A build that began at [`THEN`] plus its number in minutes, with fields replaced or added.
fn build(number: u64, patch: Value) -> Value {
    let mut value = json!({
        "_class": "hudson.model.FreeStyleBuild", "number": number, "url": null, "result": "SUCCESS", "building": false,
        "inProgress": false, "timestamp": THEN + number * 60_000, "duration": 5_000, "estimatedDuration": 6_000,
        "displayName": format!("#{number}"), "actions": [{}],
    });
    value.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
    value
}

fn folder(class: &str, name: &str, jobs: &[Value]) -> Value {
    json!({ "_class": class, "name": name, "url": format!("http://h/job/{name}/"), "jobs": jobs })
}

fn root(jobs: &[Value]) -> Value {
    json!({ "_class": "hudson.model.Hudson", "jobs": jobs })
}
