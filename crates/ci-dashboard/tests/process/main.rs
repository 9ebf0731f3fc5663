//! The real binaries, started as a person would, over real sockets.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test")]
#![cfg(unix)]

mod chaos;
mod deployments;
mod doctor;
mod explain;
mod kit;
mod lifecycle;
mod migrate;
mod prometheus;
mod recorded;
mod reload;
mod request_ids;
mod restarts;
mod single_process;
#[cfg(feature = "otel")]
mod traces;
mod two_daemons;
mod webhooks;
