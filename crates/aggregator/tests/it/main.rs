//! The aggregator before simulated platforms as its clients see it, over gRPC; and its parts that need no platform.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod board;
mod deployments;
mod first_reading;
mod health;
mod insights;
mod kept;
mod kit;
mod preferences;
mod schedule;
mod webhooks;
mod work;
mod world;
