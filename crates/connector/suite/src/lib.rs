//! The contract suite: what every connector has to do, whatever its platform, held against the simulated platform.
//!
//! A connector's crate says what is particular to it in a [`Subject`] and runs everything with one line:
//!
//! ```ignore
//! // tests/suite.rs
//! connector_suite::contract!(connector_suite::Subject {
//!     run_id: |_, run| run.id.to_string(),
//!     ..connector_suite::Subject::new(&connector_gitlab::PLATFORM, forge_sim::gitlab::FACE)
//! });
//! ```
//!
//! which expands to one test for each promise, each with a simulation of its own:
//!
//! ```ignore
//! #[tokio::test]
//! async fn lists_every_project() { connector_suite::listing::every_project(&SUBJECT).await }
//! // …
//! ```
//!
//! Where a platform cannot do something (a feed has no branches), the subject says so in [`Subject::has`]; what it says it
//! has is held to. [`sane()`] holds a run from anywhere – recorded answers, say – to what is true of all runs.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "tests: one that panics has failed, which is what it is for"
)]

pub mod extended;
pub mod listing;
pub mod movement;
pub mod nonsense;
pub mod runs;
pub mod sane;
mod stage;
pub mod state;
pub mod strangers;
pub mod trouble;

use config::SourceSettings;
use connector::Platform;
use forge_sim::Sim;
use forge_sim::world::{self, FaceId};

pub use sane::sane;
pub use stage::{Stage, settings};

/// What a platform has, beyond projects and their newest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Has {
    /// Repositories with branches (a feed or a single job has none).
    pub branches: bool,
    /// All runs that it ever had can be listed; else only the newest one.
    pub history: bool,
    /// How many of a project's newest runs its state has from the beginning; later ones are added to these.
    pub first_sight: usize,
    /// Jobs of a run.
    pub jobs: bool,
    /// Logs of jobs.
    pub logs: bool,
    /// Commits: sha, message, author.
    pub commits: bool,
    /// Starting over keeps the run and its id; else a further run comes.
    pub retry_keeps_run: bool,
    /// A run that waits for a person is told from one that runs.
    pub manual: bool,
    /// Runs that warn are told from green ones.
    pub warnings: bool,
    /// A token that is not known is refused (else everything is open to everybody).
    pub tokens: bool,
    /// A token without rights is told apart from one that is not known.
    pub scopes: bool,
    /// Issues.
    pub issues: bool,
}

impl Has {
    /// All of it.
    pub const EVERYTHING: Self = Self {
        branches: true,
        history: true,
        first_sight: connector::Heads::MAX_RUNS,
        jobs: true,
        logs: true,
        commits: true,
        retry_keeps_run: true,
        manual: true,
        warnings: true,
        tokens: true,
        scopes: true,
        issues: true,
    };
}

/// A connector under test, and what is particular to it.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// The connector.
    pub platform: &'static Platform,
    /// The simulated platform.
    pub face: FaceId,
    /// The configured address, from the face's.
    pub url: fn(&str) -> String,
    /// Completes the settings of a source that has name, address and token: user, workspaces, organizations.
    pub settings: fn(&Sim, &mut SourceSettings),
    /// Whether a listing with the full token names this project.
    pub lists: fn(&world::Project) -> bool,
    /// The native id under which the connector knows a project.
    pub project_id: fn(&world::Project) -> String,
    /// The id under which it knows a run.
    pub run_id: fn(&world::Project, &world::Pipeline) -> String,
    /// The branch that it tells of a run.
    pub branch: fn(&world::Project, &world::Pipeline) -> Option<String>,
    /// A pattern for the paths of all requests about one project (`*` is anything); none where one request answers for all.
    pub paths_of: Option<fn(&world::Project) -> String>,
    /// Keys under which the wire format holds status words.
    pub status_keys: &'static [&'static str],
    /// The most requests that reading everything again costs when nothing has moved, given the number of projects, beside
    /// those answered 304.
    pub at_rest: fn(u64) -> u64,
    /// What the platform has.
    pub has: Has,
}

impl Subject {
    /// A platform that has everything and calls runs by the world's id.
    #[must_use]
    pub const fn new(platform: &'static Platform, face: FaceId) -> Self {
        Self {
            platform,
            face,
            url: str::to_owned,
            settings: |_, _| {},
            lists: |project| project.member,
            project_id: world::Project::full_path,
            run_id: |_, run| run.id.to_string(),
            branch: |_, run| Some(run.branch.to_string()),
            paths_of: None,
            status_keys: &["status"],
            at_rest: |projects| projects,
            has: Has::EVERYTHING,
        }
    }
}

/// Makes a test of every promise; see the crate's documentation for what it expands to.
#[macro_export]
macro_rules! contract {
    ($subject:expr) => {
        static SUBJECT: $crate::Subject = $subject;

        $crate::contract!(@tests
            descriptor_is_of_use: listing::descriptor,
            lists_every_project_once: listing::every_project,
            finds_projects_by_id_and_name: listing::one_project,
            tells_the_state_of_every_project: state::is_the_worlds,
            reading_again_costs_little: state::at_rest,
            one_failing_project_spoils_no_other: state::one_fails,
            lists_runs_to_their_end: runs::to_the_end,
            honours_branch_since_and_limit: runs::narrowed,
            keeps_what_came_before_a_page_failed: runs::half_way,
            tells_a_run_with_its_jobs: runs::detail,
            gives_the_end_of_a_log: runs::log,
            lists_branches: runs::branches,
            unicode_goes_through: runs::unicode,
            follows_what_moves: movement::from_green_to_red_and_back,
            follows_what_moves_when_asked_for_that_alone: movement::seen_by_asking_what_moved,
            a_deleted_project_is_not_found: movement::deleted,
            tells_a_refused_token_from_what_is_not_there: trouble::tokens,
            obeys_the_rate_limit: trouble::rate_limit,
            carries_no_token_elsewhere: trouble::redirect,
            answers_that_are_none_are_errors: trouble::garbage,
            survives_being_dropped: trouble::dropped,
            survives_nonsense: nonsense::everywhere,
            words_nobody_has_heard_of_are_unknown: nonsense::words,
            refuses_webhooks_that_it_cannot_believe: nonsense::webhooks,
            another_platform_is_named_as_such: strangers::other_platforms,
            lists_open_merge_requests: extended::merge_requests,
            lists_open_issues: extended::issues,
            knows_whose_token_it_is: extended::current_user,
        );
    };
    (@tests $($name:ident: $module:ident::$check:ident),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            $crate::$module::$check(&SUBJECT).await;
        })+
    };
}
