//! Every odd answer that a GitLab gives, on a table of the test's own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod actions;
#[path = "../support/forge.rs"]
mod forge;
mod heads;
mod lists;
#[path = "../support/mod.rs"]
mod support;

use domain::Project;
use forge::{Forge, object};
use serde_json::{Value, json};
use support::{settings, source};

const TOKEN: &str = "glpat-canary";

/// A healthy project 7 with one pipeline, its details and its branch.
async fn healthy() -> Forge {
    let forge = Forge::start().await;
    forge
        .json("/projects/7", &object("project", json!({})))
        .json("/projects/7/repository/branches/main", &object("branch", json!({})))
        .json("/projects/7/pipelines", &json!([object("pipeline_row", json!({}))]))
        .json("/projects/7/pipelines/100", &object("pipeline", json!({})));
    forge
}

async fn project(forge: &Forge) -> Project {
    source(&settings(&forge.url(), Some(TOKEN))).project("7").await.unwrap()
}

fn row(patch: Value) -> Value {
    object("pipeline_row", patch)
}

/// A row that differs from others by id, and by the time that goes with it.
fn numbered(id: u64, patch: Value) -> Value {
    let mut value = row(json!({
        "id": id, "iid": id, "sha": format!("{id:040x}"),
        "created_at": format!("2026-11-{:02}T09:{:02}:00Z", 1 + id / 60 % 20, id % 60),
        "updated_at": format!("2026-11-{:02}T09:{:02}:30Z", 1 + id / 60 % 20, id % 60),
    }));
    value.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
    value
}
