//! Bitbucket, both of it: Bitbucket Cloud (REST 2.0) and Bitbucket Data Center (`/rest/api`).
//!
//! * `source`: a source, and which of the two it is; `which`: how that is told, by the answer to one question; `base`:
//!   addresses and names; `door`: headers and errors of the two.
//! * `cloud`, `datacenter`: one of the two each, with their lists, runs, JSON and conversion.
//! * `webhook`: the deliveries of both, told apart by what is in them.
//!
//! Facts are from the OpenAPI types of both (npm `@coderabbitai/bitbucket`), Atlassian's documentation and recorded answers.
//!
//! **Cloud** answers 1,000 requests an hour, has no question about several repositories and no "updated since"; whether
//! a 304 is free is not said. So a refresh is one request for each repository: its newest pipelines. A repository's
//! `updated_on` saves no request, since pipelines do not move it (a recorded repository was last updated half a year before
//! its pipelines ran); it only tells whether the default branch may have moved. What the client counts in an hour is the
//! budget, which the refresh follows.
//!
//! **Data Center** runs nothing itself: other systems post *build statuses* on commits. Each key of a commit is a run here,
//! and its lane. A refresh is one request for each repository (its branches, newest first) and one for up to 100 of their
//! commits, which tells whose builds moved; only these are read.

mod base;
mod cloud;
mod datacenter;
mod door;
mod source;
mod webhook;
mod which;

use connector::{Descriptor, Platform, Words};
use domain::PlatformId;

const PLATFORM_ID: PlatformId = PlatformId::new("bitbucket");

static DESCRIPTOR: Descriptor = Descriptor {
    id: PLATFORM_ID,
    title: "Bitbucket",
    icon: "bitbucket",
    words: Words { project: "repository", pipeline: "pipeline", merge_request: "pull request" },
    scope: door::SCOPE,
};

/// The platform.
pub static PLATFORM: Platform = Platform { descriptor: &DESCRIPTOR, build: source::build };
