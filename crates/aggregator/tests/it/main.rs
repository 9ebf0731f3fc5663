//! The aggregator as its clients see it: over gRPC, before simulated platforms.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod board;
mod first_reading;
mod health;
mod insights;
mod kit;
mod preferences;
mod webhooks;
mod work;
mod world;
