//! CircleCI: circleci.com and CircleCI Server, through API v2 (and v1.1 for the output of steps, which v2 lacks).
//!
//! * `circleci`: a source and what its questions share; `base`: where its API is, and what its slugs look like.
//! * `listing`: which projects there are; `heads`: the state of a project; `runs`: lists, one run, its jobs; `log`: output.
//! * `wire`: CircleCI's JSON; `convert`, `status`, `lanes`: what it means.
//!
//! A *pipeline* of CircleCI is what a push starts; it has no result of its own. Its *workflows* have: a workflow is our
//! run, numbered by its pipeline, and its name is its lane. To start a workflow over makes a new one in the same pipeline.
//! A pipeline that came to no workflow, since its configuration is broken, is a failed run by itself.
//!
//! There are no entity tags, and each pipeline's workflows are a request of their own. So what has ended is not asked for
//! again, and one request tells what moved in a whole organization: a refresh in which nothing happened costs that one,
//! and one more for each project that is red, since nothing but its workflows tells that it was started over.
//!
//! Facts: CircleCI's API documentation and recorded answers.

mod actions;
mod base;
mod circleci;
mod convert;
mod heads;
mod lanes;
mod listing;
mod log;
mod runs;
mod status;
mod webhook;
mod wire;

use connector::{Descriptor, Platform, Words};
use domain::PlatformId;

const PLATFORM_ID: PlatformId = PlatformId::new("circleci");

/// What a token has to be allowed.
const SCOPE: &str = "a personal API token (project tokens cannot read API v2)";

static DESCRIPTOR: Descriptor = Descriptor {
    id: PLATFORM_ID,
    title: "CircleCI",
    icon: "circleci",
    words: Words { project: "project", pipeline: "workflow", merge_request: "pull request" },
    scope: SCOPE,
};

/// The platform.
pub static PLATFORM: Platform = Platform { descriptor: &DESCRIPTOR, build: circleci::CircleCi::build };
