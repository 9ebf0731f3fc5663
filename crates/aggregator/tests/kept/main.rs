//! What outlives the real aggregator, with simulated platforms before it and real databases, or a real Redis, behind it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod history;
mod kit;
mod limits;
#[cfg(unix)]
mod redis;
