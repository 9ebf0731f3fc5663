//! The web daemon on a scripted aggregator.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod contract;
mod doors;
mod events;
mod fixtures;
mod house;
mod http;
mod insights;
mod kit;
mod last_good;
mod metrics;
mod stats;
mod tls;
mod webhooks;
