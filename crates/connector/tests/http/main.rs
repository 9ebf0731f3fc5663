//! The HTTP client against servers that do what servers do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod kit;
mod pauses;
mod renewed;
mod tail;
mod tls;
mod token;
mod trouble;
