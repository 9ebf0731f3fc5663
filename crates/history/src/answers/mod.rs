//! What history teaches: the insights, by their definitions. Pure where it decides; the database only fetches.
//!
//! | word | here |
//! | --- | --- |
//! | success rate | (success + warning) ÷ (success + warning + failed) of first attempts that completed; canceled and skipped are in neither |
//! | duration | of first attempts that came to a verdict; percentiles within 1.6 % |
//! | queue time | first attempt created → begun |
//! | broken since | start of the first red run after the newest green one of its branch and lane |
//! | flaky | red and green on one commit of one lane, or of one job of it; nearly only red is broken instead; cleared after [`QUIET_DAYS`] days and [`QUIET_RUNS`] runs |
//! | waste | work of the red attempts on those commits |
//! | failure group | the same job and the same reason, numbers, hashes, paths, times and quoted values left out; what a run says of its failure counts where none of its jobs tells a reason |
//! | deployment | what the platform marks as one, to an environment that is production; of a project of which it marks none, a run of a workflow, or a job, that the given patterns name |
//! | change failure rate | deployments that were red, or that a revert, rollback or hotfix followed within 24 h, ÷ deployments; to go back to a commit that was there before is a rollback, where the platform marks deployments |
//! | time to restore | end of a failed deployment → end of the next green one; median |
//! | time to green | start of the first red run → end of the next green one on the default branch; median |
//! | lead time | commit → end of the first green run on it of each workflow, on the default branch, where the commit's time is known; median |
//!
//! A run's first attempt is the earliest that is known. Days are UTC days, and a run belongs to the day on which it was created.

mod behind;
mod broken;
mod delivery;
mod deployed;
mod figures;
mod flaky;
mod flows;
mod groups;
mod lanes;
mod ranking;
mod rolls;
mod scope;
mod verdicts;

pub use behind::Behind;
pub(crate) use behind::behind;
pub(crate) use broken::broken;
pub use broken::{Broken, Culprit};
pub(crate) use delivery::delivery;
pub use delivery::{Delivery, DeploymentRule, Frequency, Median, RunOf};
pub use figures::{Course, DayFigures, Figures, Heat, Percentiles};
pub(crate) use figures::{course, estimate, figures, heat};
pub(crate) use flaky::flaky;
pub use flaky::{Flaky, FlakyState};
pub use groups::FailureGroup;
pub(crate) use groups::failure_groups;
pub(crate) use ranking::ranking;
pub use ranking::{By, Of, Ranked, Ranking};
pub use scope::Ask;

/// A flake that has been quiet for so many days is cleared …
pub const QUIET_DAYS: i32 = 14;
/// … if there were at least so many runs since.
pub const QUIET_RUNS: u64 = 10;
/// Of what is red in at least this share of its runs, red and green on one commit is no news: it is broken.
pub const NEARLY_ONLY_RED: f64 = 0.9;
/// Room is made for runs so many days ahead.
pub(crate) const DAYS_AHEAD: i32 = 62;
