//! The cache from outside: in memory alone, and with a real Redis behind it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod memory;
#[cfg(unix)]
mod redis;
