//! Every odd answer that Gitea and Forgejo are known to give, from a server that gives it.
#![expect(clippy::unwrap_used, reason = "a test")]

mod forge;
mod heads;
mod lists;
mod runs;
#[path = "../support/mod.rs"]
mod support;
mod webhook;
