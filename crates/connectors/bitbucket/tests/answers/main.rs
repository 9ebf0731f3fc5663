//! Every odd answer that a Bitbucket gives, on a table of the test's own.
#![expect(clippy::unwrap_used, reason = "a test")]

mod cloud;
mod datacenter;
mod forge;
#[path = "../support/mod.rs"]
mod support;
mod webhooks;
mod which;
