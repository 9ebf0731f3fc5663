//! What both daemons share of being a daemon: one object that owns every task and ends them in order, signals, what the
//! service manager is told, sockets of the operating system, logging.
//!
//! No task is spawned anywhere else: a task that nobody waits for outlives the shutdown, and one that ends without
//! being asked to is a crash that nobody sees.

mod logging;
mod notify;
pub mod process;
pub mod sys;
mod tasks;
pub mod traces;

pub use logging::{LogFormat, init_logging, set_log_level};
pub use tasks::{Lifecycle, Stopped, Tasks};

/// Version and commit, for `--version`: `0.1.0 (0123456789ab)`.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CI_DASHBOARD_COMMIT"), ")");

/// The commit alone; `unknown` where it could not be told.
pub const COMMIT: &str = env!("CI_DASHBOARD_COMMIT");
