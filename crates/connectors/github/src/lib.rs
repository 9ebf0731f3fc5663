//! GitHub: github.com, GHE.com and GitHub Enterprise Server, over REST, and GraphQL for what moved.
//!
//! * `github`: a source and what its questions share; `base`: where its API is; `app`: signing in as an App; `dialect`: its
//!   headers and errors.
//! * `heads`: the state of a repository in as few requests as there are; `batch`: what moved in a hundred of them; `runs`: runs,
//!   jobs and logs; `lists`: the rest.
//! * `wire`: GitHub's JSON; `convert`, `status`, `details`, `log`: what it means.
//!
//! Facts about the API are from its OpenAPI description (`@octokit/openapi`), docs.github.com and recorded answers.
//!
//! A refresh of a repository in which nothing happened is one conditional request, answered 304, which is free with a
//! token. Without one GitHub allows 60 requests an hour: then only what runs list and branch tell is read.

mod actions;
mod app;
mod base;
mod batch;
mod convert;
mod deployments;
mod details;
mod dialect;
mod github;
mod heads;
mod lists;
mod log;
mod news;
mod runs;
mod status;
mod token;
mod webhook;
mod wire;

use connector::{Descriptor, Platform, Words};
use domain::PlatformId;

const PLATFORM_ID: PlatformId = PlatformId::new("github");

static DESCRIPTOR: Descriptor = Descriptor {
    id: PLATFORM_ID,
    title: "GitHub",
    icon: "github",
    words: Words { project: "repository", pipeline: "workflow run", merge_request: "pull request" },
    scope: dialect::SCOPE,
};

/// The platform.
pub static PLATFORM: Platform = Platform { descriptor: &DESCRIPTOR, build: github::GitHub::build };
