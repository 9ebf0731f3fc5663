//! Every odd answer that GitHub is known to give, from a server that gives it.
#![expect(clippy::unwrap_used, reason = "a test")]

mod actions;
mod forge;
mod heads;
mod lists;
mod logs;
mod refresh;
mod runs;
#[path = "../support/mod.rs"]
mod support;
