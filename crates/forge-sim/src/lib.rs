//! Simulated CI platforms that speak the real wire formats: for the demo, for tests and for benchmarks.
//!
//! - [`world`] is the truth: projects, branches, pipelines, jobs, in no platform's language, moving with an injected clock.
//! - A [`face::Face`] shows that truth as one platform does; [`FACES`] names them all.
//! - [`Sim`] serves the faces on loopback, with limits, faults on demand and a record of every request.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! let sim = forge_sim::Sim::builder().seed(7).projects(60).demo().start().await?;
//! println!("GITLAB_URL={} GITLAB_TOKEN={}", sim.gitlab_url(), sim.token());
//! # Ok(()) }
//! ```
#![recursion_limit = "256"]

pub mod access;
pub mod bitbucket;
pub mod bitbucket_dc;
pub mod cctray;
pub mod circleci;
pub mod clock;
pub mod face;
pub mod faults;
pub mod gitea;
pub mod github;
pub mod gitlab;
mod graphql;
pub mod http;
pub mod jenkins;
mod mangle;
pub mod replay;
pub mod requests;
pub mod sim;
pub mod store;
pub mod world;

pub use access::{EXPIRED_TOKEN, FULL_TOKEN, Limits, NARROW_TOKEN, Power, Sees, Token};
pub use clock::{Clock, ManualClock, SystemClock};
pub use faults::{Effect, Fault, Faults};
pub use replay::Replay;
pub use sim::{FACES, Sim, SimBuilder};
pub use world::{Pace, ProjectId, RunStatus, SharedWorld, World};
