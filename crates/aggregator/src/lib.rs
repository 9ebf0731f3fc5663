//! The aggregator: asks the platforms, keeps the board, answers over gRPC.
//!
//! *observe → apply → publish*: [`refresh`] makes connectors observe, [`board`] merges what they saw, [`hub`] publishes
//! what that changed. [`query`] answers from the board, [`details`] from a cache of what is not on it; [`work`] keeps the open
//! merge requests and issues. [`webhooks`] takes what the platforms send by themselves; it and [`refresh`] meet in [`due`].
//! `fleet` holds the sources that run, and changes one without touching the others.
//! [`archive`] keeps what outlives the process: the board's changes go into history, and the board begins with it;
//! [`insights`] answers from it. [`mirror`] keeps what is in memory in Redis as well, where the settings say so, and then the
//! board begins with that.

pub mod archive;
mod asking;
pub mod board;
mod cli;
pub mod details;
pub mod due;
mod fleet;
mod health;
pub mod hub;
pub mod insights;
mod listen;
pub mod metrics;
pub mod mirror;
mod platforms;
mod preferences;
pub mod query;
pub mod refresh;
pub mod schedule;
mod serve;
pub mod service;
pub mod sources;
mod token;
pub mod watched;
pub mod webhooks;
pub mod work;

pub use cli::{Args, Command};
pub use fleet::Roster;
pub use health::{HealthError, check as check_health};
pub use listen::{ListenError, listen};
pub use platforms::{PLATFORMS, platform};
pub use serve::{Aggregator, Running, SetUpError, endpoint, init, roster, tell_of};
