//! GitLab: SaaS, Self-Managed and Dedicated, through REST API v4, and GraphQL for what moved (`batch.rs`).
//!
//! * A project's key is its number, which survives renames and moves.
//! * A pipeline's lane is its name (`workflow:name`) and its source, so that a push does not hide a red schedule.
//! * GitLab's list of pipelines lacks author, message, times of work, warnings and reasons. `heads.rs` says how these
//!   are added without asking for every pipeline.

mod actions;
mod base;
mod batch;
mod convert;
mod deployments;
mod details;
mod enrich;
mod heads;
mod jobs;
mod listing;
mod log;
mod paging;
mod source;
mod status;
mod token;
mod webhook;
mod wire;

use std::sync::Arc;

use connector::{Connector, Descriptor, Platform, Words};
use domain::PlatformId;

const PLATFORM_ID: PlatformId = PlatformId::new("gitlab");

/// What a token has to be allowed.
const SCOPE: &str = "read_api";

static DESCRIPTOR: Descriptor = Descriptor {
    id: PLATFORM_ID,
    title: "GitLab",
    icon: "gitlab",
    words: Words { project: "project", pipeline: "pipeline", merge_request: "merge request" },
    scope: SCOPE,
};

/// GitLab.
pub static PLATFORM: Platform = Platform {
    descriptor: &DESCRIPTOR,
    build: |settings, clock| Ok(Arc::new(source::GitLab::new(settings, clock)?) as Arc<dyn Connector>),
};
