//! The contract suite: what every database has to do, with the same answers.
//!
//! ```ignore
//! // tests/suite.rs
//! history_suite::contract!(Files::new());
//! ```
//!
//! expands to one test for each promise, on a database of its own:
//!
//! ```ignore
//! #[tokio::test]
//! async fn keeps_every_field() { history_suite::keeping::every_field(&Files::new()).await }
//! // …
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "tests: one that panics has failed, which is what it is for"
)]

pub mod answers;
pub mod bench;
pub mod branches;
pub mod delivery;
pub mod deployed;
pub mod keeping;
pub mod log;
pub mod order;
#[cfg(unix)]
pub mod server;
mod story;
pub mod views;
pub mod world;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use history::{History, Result};

pub use story::{Story, at, key, run};

/// The view `pipeline_stats`, all columns of it; `$last` is its last run in milliseconds since 1970.
#[macro_export]
macro_rules! pipeline_stats {
    ($last:literal) => {
        concat!(
            "SELECT concat_ws('|', source, project, project_name, coalesce(branch, '-'), total, successful, failed, canceled, \
             round(average_duration, 1), round(least_duration, 1), round(greatest_duration, 1), ",
            $last,
            ") FROM pipeline_stats ORDER BY 1"
        )
    };
}

/// The view `deployment_runs`, all columns of it; `$created` and `$finished` are its instants in milliseconds since 1970.
#[macro_export]
macro_rules! deployment_runs {
    ($created:literal, $finished:literal) => {
        concat!(
            "SELECT concat_ws('|', source, project, project_name, deployment, environment, \
             CASE WHEN is_production THEN 'production' ELSE 'other' END, status, native_status, coalesce(branch, '-'), \
             coalesce(run, '-'), coalesce(sha, '-'), coalesce(url, '-'), ",
            $created,
            ", coalesce(CAST(",
            $finished,
            " AS text), '-'), coalesce(CAST(round(duration_seconds, 1) AS text), '-')) FROM deployment_runs ORDER BY 1"
        )
    };
}

/// A place for one database.
#[async_trait]
pub trait Place: Debug + Send + Sync {
    /// Opens the database that is there, made at the first time.
    async fn open(&self) -> Result<Arc<dyn History>>;
}

/// One test for each promise, each with a place of its own.
#[macro_export]
macro_rules! contract {
    ($place:expr) => {
        $crate::contract!(@tests $place,
            keeps_every_field: keeping::every_field,
            keeps_ids_of_any_shape_apart: keeping::ids,
            never_goes_backwards: keeping::never_backwards,
            keeps_every_attempt: keeping::attempts,
            keeps_projects_that_left: keeping::projects,
            comes_back_after_a_restart: keeping::restart,
            knows_what_had_not_ended: keeping::unfinished,
            may_be_opened_by_two_at_once: keeping::two_at_once,
            keeps_heads_that_moved: keeping::snapshots,
            pages_and_narrows: keeping::pages,
            drops_what_is_too_old: keeping::prune,
            keeps_the_heads_of_quiet_branches: keeping::quiet_heads,
            logs_webhooks_once: log::webhooks,
            keeps_notes_and_preferences: log::notes,
            any_order_comes_to_the_same: order::any_order,
            statistics_are_what_is_computed_anew: order::statistics,
            two_writers_at_once_lose_nothing: order::two_writers,
            sees_what_another_process_wrote: order::two_readers,
            delivery_over_many_blocks_is_what_it_comes_to: order::delivery,
            counts_by_day: answers::by_day,
            counts_branches_of_many_runs_as_those_of_few: branches::apart,
            counts_what_was_seen_late: answers::seen_late,
            knows_how_long_it_takes: answers::durations,
            ranks: answers::ranking,
            knows_since_when_it_is_broken: answers::broken,
            knows_what_is_flaky: answers::flaky,
            tells_flaky_commits_apart: answers::flaky_commits,
            groups_failures_across_projects: answers::failure_groups,
            a_failure_is_counted_once: answers::failures_once,
            ranked_jobs_lead_to_their_runs: answers::jobs_ran,
            draws_the_week: answers::heat,
            measures_delivery: answers::delivery,
            measures_deployments_by_jobs: answers::deployments_by_jobs,
            a_commit_leads_to_green_once: delivery::lead_time,
            red_for_long_is_measured_in_full: delivery::long_red,
            names_the_runs_of_delivery: delivery::named,
            counts_what_platforms_mark_as_deployed: deployed::marked,
            counts_what_was_deployed_of_a_tag: deployed::of_a_tag,
            knows_the_newest_of_a_deployment: deployed::newer_wins,
            drops_deployments_that_are_too_old: deployed::pruned,
            names_the_runs_behind_a_figure: answers::behind,
            estimates_from_green_runs: answers::estimate,
            an_empty_history_has_answers: answers::nothing,
        );
    };
    (@tests $place:expr, $($name:ident: $module:ident::$check:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            $crate::$module::$check(&$place).await;
        })+
    };
}
