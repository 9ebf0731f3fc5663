//! Gitea and Forgejo: their Actions, over `/api/v1`.
//!
//! * `source`: a source and what its questions share; `base`: where its API is; `dialect`: its errors; `memory`: what the
//!   server turned out to have; `paging`: pages whose links may name another host.
//! * `heads`: the state of a repository in as few requests as there are; `runs`: runs and jobs of servers that list them;
//!   `tasks`: runs put together from jobs, for those that do not; `statuses`: commit statuses, where there are no Actions;
//!   `lists`: the rest.
//! * `wire`: the JSON; `convert`, `status`, `order`, `log`: what it means.
//!
//! The API has grown in steps, and no server tells which it took, so that it is tried out:
//!
//! | server | runs | jobs | logs | start over | stop |
//! | --- | --- | --- | --- | --- | --- |
//! | Gitea 1.25 to 1.27 | `/actions/runs`, GitHub's words | yes | yes | from 1.26 | no |
//! | Forgejo 12 and later | `/actions/runs`, words of its own | from 16 | from 16 | from 17 | from 17 |
//! | Gitea 1.22 to 1.24, older Forgejo | from `/actions/tasks` | the same | no | no | no |
//! | older, or without Actions | from commit statuses | contexts | no | no | no |
//!
//! Facts are from the servers' own swagger descriptions and sources (go-gitea/gitea `routers/api/v1/repo/action.go`,
//! `services/convert`, `models/actions/status.go`, and Forgejo's). Neither sends entity tags, so that an unmoved repository
//! costs one small request, not a free one. No rate limit is published.

mod actions;
mod base;
mod convert;
mod dialect;
mod heads;
mod lists;
mod log;
mod memory;
mod order;
mod paging;
mod runs;
mod source;
mod status;
mod statuses;
mod tasks;
mod webhook;
mod wire;

use connector::{Descriptor, Platform, Words};
use domain::PlatformId;

const PLATFORM_ID: PlatformId = PlatformId::new("gitea");

static DESCRIPTOR: Descriptor = Descriptor {
    id: PLATFORM_ID,
    title: "Gitea",
    icon: "gitea",
    words: Words { project: "repository", pipeline: "workflow run", merge_request: "pull request" },
    scope: dialect::SCOPE,
};

/// The platform.
pub static PLATFORM: Platform = Platform { descriptor: &DESCRIPTOR, build: source::Gitea::build };
