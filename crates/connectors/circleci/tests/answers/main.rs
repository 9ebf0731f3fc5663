//! Every odd answer that CircleCI is known to give, from a server that gives it.
#![expect(clippy::unwrap_used, reason = "a test")]

mod forge;
mod heads;
mod lists;
mod logs;
#[path = "../support/refresh.rs"]
mod refresh;
mod refusals;
mod runs;
#[path = "../support/mod.rs"]
mod support;
mod webhooks;
