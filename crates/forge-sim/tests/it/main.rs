//! The simulated platforms from outside: their answers against the platforms' own descriptions, and their world.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test says what is wrong by panicking")]

mod bitbucket_schema;
mod common;
mod gitea_schema;
mod github_openapi;
mod gitlab_schema;
mod jenkins;
mod service;
mod tables;
mod world;
