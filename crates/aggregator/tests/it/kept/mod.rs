//! What outlives the real aggregator, with simulated platforms before it and real databases, or a real Redis, behind it.

mod history;
mod kit;
mod limits;
#[cfg(unix)]
mod redis;
