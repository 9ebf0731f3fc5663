//! Every odd feed that there is, from a server that gives it.
#![expect(clippy::unwrap_used, reason = "a test")]

mod builds;
mod hostile;
mod server;
mod spelling;
#[path = "../support/mod.rs"]
mod support;
