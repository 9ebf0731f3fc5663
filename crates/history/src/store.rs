//! What a database has to be able to do: fetch rows and put them, in transactions. What they mean is not its business.
//!
//! Texts that repeat (branches, workflows, native words, links without their ids, reasons) stand once in `words`, people
//! in `people`, and the parts of a job that repeat in `job_kinds`; everywhere else they are numbers. Number 0 is no text.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use crate::roll::RollKey;
use crate::{Health, Known, Logged, Result, Treated, Webhook, WebhookEntry};

/// A source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// Its number.
    pub id: i32,
    /// Its name.
    pub name: String,
    /// Its platform.
    pub platform: String,
}

/// A project. Times are milliseconds since 1970, here and everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProjectRow {
    /// Its number; 0 before it is written for the first time.
    pub id: i32,
    /// Its source's number.
    pub source: i32,
    /// The platform's id.
    pub native_id: String,
    /// Full name.
    pub name: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// `public`, `internal`, `private`.
    pub visibility: Option<String>,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// Its default branch.
    pub default_branch: Option<String>,
    /// Read-only.
    pub archived: bool,
    /// CI is off.
    pub ci_disabled: bool,
    /// The platform's time of its last activity.
    pub last_activity_at: Option<i64>,
    /// Somebody described it; else it is known by its runs alone.
    pub described: bool,
    /// When it left.
    pub gone_at: Option<i64>,
    /// Up to when its runs are complete.
    pub known: Option<Known>,
}

/// An attempt of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunRow {
    /// The database's own number, where it has one; 0 before it is written.
    pub id: i64,
    /// Number of the project.
    pub project: i32,
    /// Key of the run in its project.
    pub run: i64,
    /// Its id, where the key does not say it.
    pub run_text: Option<String>,
    /// From 1.
    pub attempt: i16,
    /// UTC day on which the run began, from 1970.
    pub day: i32,
    /// See [`flags`].
    pub flags: i16,
    /// Place in `domain::Status::ALL`.
    pub status: i16,
    /// Platform's word.
    pub native: i32,
    /// What started it.
    pub event: i32,
    /// Branch.
    pub branch: i32,
    /// Lane.
    pub lane: i32,
    /// Name of the workflow.
    pub workflow: i32,
    /// Number of a person.
    pub author: i32,
    /// Link without ids.
    pub url: i32,
    /// What failed.
    pub failure: i32,
    /// Beginning of the commit's id, for finding its runs; 0: none.
    pub commit: i32,
    /// The commit's id: 20 bytes, or text after a zero byte.
    pub sha: Option<Vec<u8>>,
    /// The number that people see.
    pub number: Option<i64>,
    /// The commit's message.
    pub message: Option<String>,
    /// When it was asked for.
    pub created_at: Option<i64>,
    /// When it began.
    pub started_at: Option<i64>,
    /// When it ended.
    pub finished_at: Option<i64>,
    /// When the platform last touched it.
    pub updated_at: Option<i64>,
    /// When its commit was made.
    pub committed_at: Option<i64>,
    /// Time at work, milliseconds.
    pub duration: Option<i32>,
    /// Time waited, milliseconds.
    pub queued: Option<i32>,
    /// The platform's own estimate, milliseconds.
    pub expected: Option<i32>,
    /// Its jobs, by key. `None` where they were not asked for, or on writing: leave those that are there.
    pub jobs: Option<Vec<JobRow>>,
}

/// Bits of [`RunRow::flags`].
pub mod flags {
    /// The platform counts attempts.
    pub const COUNTED: i16 = 1;
    /// It was read in full.
    pub const FULL: i16 = 2;
    /// A later attempt is there.
    pub const SUPERSEDED: i16 = 4;
    /// It has jobs.
    pub const JOBS: i16 = 8;
    /// An earlier attempt is there. Without it this is the first that is known, and counts as the first.
    pub const FURTHER: i16 = 16;
}

/// A job. Its times are tenths of a second: the first that is known from the beginning of its run's day, each further one
/// from the one before it, as small numbers take less room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobRow {
    /// Key of the job in its run.
    pub job: i64,
    /// Its id, where the key does not say it.
    pub job_text: Option<String>,
    /// Number of its kind.
    pub kind: i32,
    /// Why it failed.
    pub reason: i32,
    /// When it was asked for.
    pub created: Option<i32>,
    /// When it began.
    pub started: Option<i32>,
    /// When it ended.
    pub finished: Option<i32>,
    /// Time at work, milliseconds.
    pub duration: Option<i32>,
    /// Time waited, milliseconds.
    pub queued: Option<i32>,
}

/// What is common to many jobs. All but the flags are numbers of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct JobKind {
    /// Name.
    pub name: i32,
    /// Stage.
    pub stage: i32,
    /// Platform's word.
    pub native: i32,
    /// Link without ids.
    pub url: i32,
    /// Place in `domain::Status::ALL`.
    pub status: i16,
    /// Its failure does not fail the run.
    pub allow_failure: bool,
}

/// A person: name, login, picture; empty where there is none.
pub type PersonRow = (String, String, String);

/// Finds all attempts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunKey {
    /// Number of the project.
    pub project: i32,
    /// Key of the run.
    pub run: i64,
    /// The days on which it can have begun.
    pub from: i32,
    /// The last of these.
    pub to: i32,
}

/// What a run is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName {
    /// Its project.
    pub project: i32,
    /// Its key.
    pub run: i64,
    /// Its id where that is no number.
    pub text: Option<String>,
    /// The number that people know it by.
    pub number: Option<i64>,
}

/// Finds the runs of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitKey {
    /// Beginning of its id.
    pub commit: i32,
    /// Number of the project.
    pub project: i32,
    /// Number of the lane.
    pub lane: i32,
    /// First day.
    pub from: i32,
    /// Last day.
    pub to: i32,
}

/// A commit on which a lane, or a job of it, was red and green.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlakeRow {
    /// Number of the project.
    pub project: i32,
    /// Number of the lane.
    pub lane: i32,
    /// Number of the job's name; 0: the run as a whole.
    pub job: i32,
    /// Beginning of the commit's id.
    pub commit: i32,
    /// Number of the branch of its newest run.
    pub branch: i32,
    /// The day of its newest run.
    pub day: i32,
    /// Attempts that were red.
    pub red: i32,
    /// Attempts that were green.
    pub green: i32,
    /// Milliseconds of work in the red ones.
    pub wasted: i64,
    /// Key of its newest run.
    pub run: i64,
}

/// The flakes of a lane, or of a job of it, put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlakySum {
    /// Number of the project.
    pub project: i32,
    /// Number of the lane.
    pub lane: i32,
    /// Number of the job's name; 0: the run as a whole.
    pub job: i32,
    /// On so many commits.
    pub commits: i64,
    /// Milliseconds of work in the red ones.
    pub wasted: i64,
    /// The last day.
    pub last: i32,
}

/// Runs on a branch of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BranchRow {
    /// Number of the branch.
    pub branch: i32,
    /// Number of the project …
    pub project: i32,
    /// … and of its source.
    pub source: i32,
    /// How many attempts.
    pub runs: i32,
    /// The first day of any.
    pub first: i32,
    /// The last day of any.
    pub last: i32,
}

/// Where a branch's head was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    /// Number of the project.
    pub project: i32,
    /// Number of the branch.
    pub branch: i32,
    /// When it was seen there for the first time.
    pub seen_at: i64,
    /// The commit.
    pub sha: Option<Vec<u8>>,
    /// Number of its author.
    pub author: i32,
    /// Its message.
    pub message: Option<String>,
    /// When it was committed.
    pub committed_at: Option<i64>,
    /// The branch is the default branch.
    pub default: bool,
    /// The branch is protected, where that is known.
    pub protected: Option<bool>,
    /// Number of the branch's link.
    pub url: i32,
}

/// What a platform marked as deployed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeploymentRow {
    /// Number of the project.
    pub project: i32,
    /// Key of the deployment in its project.
    pub deployment: i64,
    /// Its id, where the key does not say it.
    pub deployment_text: Option<String>,
    /// See [`marks`].
    pub flags: i16,
    /// Place in `domain::Status::ALL`.
    pub status: i16,
    /// Number of the environment's name.
    pub environment: i32,
    /// Branch or tag.
    pub branch: i32,
    /// Platform's word.
    pub native: i32,
    /// Key of the run that it came from.
    pub run: Option<i64>,
    /// That run's id, where the key does not say it.
    pub run_text: Option<String>,
    /// When it began, or was seen first.
    pub created_at: i64,
    /// When it ended.
    pub finished_at: Option<i64>,
    /// When the platform last touched it, as far as that is known.
    pub updated_at: i64,
    /// The commit's id: 20 bytes, or text after a zero byte.
    pub sha: Option<Vec<u8>>,
    /// Its page.
    pub url: Option<String>,
}

/// Bits of [`DeploymentRow::flags`].
pub mod marks {
    /// Of an environment that people use.
    pub const PRODUCTION: i16 = 1;
    /// The platform said whether it is one; else it was found by its name.
    pub const TOLD: i16 = 2;
    /// The platform said when it began; else that is as early as it was seen.
    pub const BEGAN: i16 = 4;
}

/// Narrows runs by their jobs, and by why they failed. Jobs are numbers of names, reasons numbers of texts as they were told.
///
/// What a run says of its failure (`own`) counts where it failed and none of its failed jobs tells a reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cause {
    /// It does not.
    #[default]
    Any,
    /// With a job of this name.
    Ran(i32),
    /// With a failed job of this name.
    Failed(i32),
    /// With a failed job of this name that tells one of these reasons; or of which `own` was said. Job 0: the latter alone.
    Reason {
        /// The job.
        job: i32,
        /// Of the job.
        reasons: Vec<i32>,
        /// Of the run.
        own: Vec<i32>,
    },
    /// With a failed job of this name that tells no reason, of a run that tells none either; or of which `own` was said.
    Untold {
        /// The job.
        job: i32,
        /// Of the run.
        own: Vec<i32>,
    },
}

impl Cause {
    /// As four parameters of a statement: which it is (0 to 4, as they stand above), job, reasons, own reasons.
    #[must_use]
    pub fn parameters(&self) -> (i32, i32, &[i32], &[i32]) {
        match self {
            Self::Any => (0, 0, &[], &[]),
            Self::Ran(job) => (1, *job, &[], &[]),
            Self::Failed(job) => (2, *job, &[], &[]),
            Self::Reason { job, reasons, own } => (3, *job, reasons, own),
            Self::Untold { job, own } => (4, *job, &[], own),
        }
    }
}

/// Narrows a list of runs. Zeros and empty lists do not.
#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    /// Numbers of projects.
    pub projects: Vec<i32>,
    /// First day.
    pub from: i32,
    /// Last day.
    pub to: i32,
    /// Number of a branch.
    pub branch: i32,
    /// Number of a lane.
    pub lane: i32,
    /// Statuses, as bits by their place in `domain::Status::ALL`.
    pub statuses: i32,
    /// Only these runs, by key.
    pub runs: Vec<i64>,
    /// Only newest attempts.
    pub newest: bool,
    /// Only the first attempt that is known of each run.
    pub first: bool,
    /// Hour of the week, Monday 0:00 UTC being 0.
    pub hour: Option<i32>,
    /// By its jobs, and why it failed.
    pub cause: Cause,
    /// Leaves out the first so many.
    pub skip: i64,
    /// At most so many.
    pub limit: i64,
}

/// A database, for reading.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// A transaction that writes. At most one at a time, over all processes.
    type Tx: Writing;

    /// A sign of life.
    async fn health(&self) -> Result<Health>;

    /// Begins to write; waits for whoever writes already. `durable`: on the disk when it is committed, whatever happens
    /// to the machine.
    async fn begin(&self, durable: bool) -> Result<Self::Tx>;

    /// All sources.
    async fn sources(&self) -> Result<Vec<SourceRow>>;

    /// All projects, also those that left.
    async fn projects(&self) -> Result<Vec<ProjectRow>>;

    /// One project.
    async fn project(&self, source: &str, native_id: &str) -> Result<Option<ProjectRow>>;

    /// Which of some branches have statistics of their own, and in which sources: source, branch.
    async fn apart(&self, branches: &[i32]) -> Result<Vec<(i32, i32)>>;

    /// Which projects had runs on a branch, of the sources in which it has no statistics of its own.
    async fn projects_with(&self, branch: i32) -> Result<Vec<BranchRow>>;

    /// Names of workflows: project, lane, number of the name.
    async fn lanes(&self, projects: &[i32]) -> Result<Vec<(i32, i32, i32)>>;

    /// Numbers of all names that jobs have.
    async fn job_names(&self) -> Result<Vec<i32>>;

    /// Numbers of the reasons that come to this one when they are normalised.
    async fn reasons(&self, normalised: i32) -> Result<Vec<i32>>;

    /// Texts by number.
    async fn words(&self, ids: &[i32]) -> Result<Vec<(i32, String)>>;

    /// Numbers of texts, of those that have one.
    async fn find_words(&self, texts: &[String]) -> Result<Vec<(i32, String)>>;

    /// People by number.
    async fn people(&self, ids: &[i32]) -> Result<Vec<(i32, PersonRow)>>;

    /// Kinds of jobs by number.
    async fn job_kinds(&self, ids: &[i32]) -> Result<Vec<(i32, JobKind)>>;

    /// Whether there are runs and no statistics at all: a migration that changed what is counted leaves none.
    async fn is_uncounted(&self) -> Result<bool>;

    /// The days under which a project's runs stand, oldest first, and how many attempts on each.
    async fn days(&self, project: i32) -> Result<Vec<(i32, i64)>>;

    /// Statistics of some scopes, blocks `from` to `to`: scope, block, bytes; by scope and block.
    async fn rolls(
        &self,
        kind: i16,
        level: u8,
        scopes: &[i32],
        from: i32,
        to: i32,
    ) -> Result<Vec<(i32, i32, Bytes)>>;

    /// Runs, newest first, without their jobs.
    async fn runs(&self, query: &RunQuery) -> Result<Vec<RunRow>>;

    /// The same with their jobs.
    async fn runs_with_jobs(&self, query: &RunQuery) -> Result<Vec<RunRow>>;

    /// The newest attempts of some runs, without their jobs.
    async fn find_runs(&self, keys: &[RunKey]) -> Result<Vec<RunRow>>;

    /// What some runs are called.
    async fn run_names(&self, keys: &[RunKey]) -> Result<Vec<RunName>>;

    /// The newest runs of each project, newest attempts only, without their jobs; newest first within a project.
    async fn newest_runs(&self, projects: &[i32], limit: i64) -> Result<Vec<RunRow>>;

    /// The newest attempts of a source's runs that are queued or running.
    async fn unfinished(&self, source: i32) -> Result<Vec<RunRow>>;

    /// How many runs a project has (by branch, lane, statuses); attempts of one count once.
    async fn count_runs(&self, query: &RunQuery) -> Result<u64>;

    /// All attempts of a run with their jobs, oldest first.
    async fn attempts(&self, project: i32, run: i64) -> Result<Vec<RunRow>>;

    /// What is flaky in some projects in a window, on a branch (0: any).
    async fn flaky(&self, projects: &[i32], branch: i32, from: i32, to: i32) -> Result<Vec<FlakySum>>;

    /// The newest flakes of some projects' lanes' jobs, so many of each, likewise; newest first.
    async fn newest_flakes(
        &self,
        of: &[(i32, i32, i32)],
        branch: i32,
        from: i32,
        to: i32,
        each: i64,
    ) -> Result<Vec<FlakeRow>>;

    /// Heads of a branch, newest first.
    async fn snapshots(&self, project: i32, branch: i32, limit: i64) -> Result<Vec<SnapshotRow>>;

    /// The newest head of each project's default branch.
    async fn default_heads(&self, projects: &[i32]) -> Result<Vec<SnapshotRow>>;

    /// Deployments to production of some projects that began between two moments, on a branch (0: any): by project, oldest first.
    async fn deployments(
        &self,
        projects: &[i32],
        branch: i32,
        from: i64,
        until: i64,
    ) -> Result<Vec<DeploymentRow>>;

    /// Webhooks of a source, oldest first.
    async fn webhooks(&self, source: &str, untreated: bool, limit: i64) -> Result<Vec<WebhookEntry>>;

    /// A note.
    async fn note(&self, name: &str) -> Result<Option<String>>;

    /// Values that were kept on a shelf.
    async fn kept(&self, shelf: &str) -> Result<Vec<(String, Vec<u8>)>>;

    /// A user's preferences.
    async fn preferences(&self, user: &str) -> Result<Vec<(String, String)>>;
}

/// A transaction that writes. Dropped without a commit, it wrote nothing.
#[async_trait]
pub trait Writing: Send {
    /// Makes it true.
    async fn commit(self) -> Result<()>;

    /// Numbers of sources, made where there are none: name, platform.
    async fn sources(&mut self, sources: &[(String, String)]) -> Result<Vec<SourceRow>>;

    /// Projects by source and native id.
    async fn projects(&mut self, keys: &[(i32, String)]) -> Result<Vec<ProjectRow>>;

    /// Writes projects, new ones (id 0) and known ones; the numbers of all, in their order. Former names are kept.
    async fn put_projects(&mut self, rows: &[ProjectRow], now: i64) -> Result<Vec<i32>>;

    /// Numbers of texts in their order, made where there are none.
    async fn intern_words(&mut self, texts: &[String]) -> Result<Vec<i32>>;

    /// Numbers of people in their order, made where there are none.
    async fn intern_people(&mut self, people: &[PersonRow]) -> Result<Vec<i32>>;

    /// Numbers of kinds of jobs in their order, made where there are none.
    async fn intern_kinds(&mut self, kinds: &[JobKind]) -> Result<Vec<i32>>;

    /// All attempts of some runs with their jobs.
    async fn attempts(&mut self, keys: &[RunKey]) -> Result<Vec<RunRow>>;

    /// Attempts of some commits that came to a verdict, with their jobs.
    async fn of_commits(&mut self, keys: &[CommitKey]) -> Result<Vec<RunRow>>;

    /// Sees to it that runs of these days can be written.
    async fn make_room(&mut self, days: &[i32]) -> Result<()>;

    /// Writes what reasons come to when they are normalised: number of the reason, number of that.
    async fn put_reasons(&mut self, reasons: &[(i32, i32)]) -> Result<()>;

    /// Which of some branches have statistics of their own, and in which sources: source, branch.
    async fn apart(&mut self, branches: &[i32]) -> Result<Vec<(i32, i32)>>;

    /// Adds runs on branches that have no statistics of their own. Those that are apart from now on, having come to `least` runs
    /// in their source: source, branch.
    async fn count_branches(&mut self, more: &[BranchRow], least: i64) -> Result<Vec<(i32, i32)>>;

    /// Writes the names of workflows: project, lane, number of the name.
    async fn put_lanes(&mut self, lanes: &[(i32, i32, i32)]) -> Result<()>;

    /// Writes attempts: new ones, and known ones with the day that they stood under.
    async fn put_runs(&mut self, new: &[RunRow], known: &[(RunRow, i32)]) -> Result<()>;

    /// Statistics by key; those that are there.
    async fn rolls(&mut self, keys: &[RollKey]) -> Result<Vec<(RollKey, Vec<u8>)>>;

    /// Writes statistics; no bytes: removes.
    async fn put_rolls(&mut self, rolls: &[(RollKey, Option<Vec<u8>>)]) -> Result<()>;

    /// Removes the flakes of some commits and writes others.
    async fn put_flakes(&mut self, of: &[CommitKey], flakes: &[FlakeRow]) -> Result<()>;

    /// Writes heads; of one that has not moved since the newest nothing.
    async fn put_snapshots(&mut self, rows: &[SnapshotRow]) -> Result<()>;

    /// Deployments by project and key.
    async fn deployments(&mut self, keys: &[(i32, i64)]) -> Result<Vec<DeploymentRow>>;

    /// Writes deployments, new ones and known ones.
    async fn put_deployments(&mut self, rows: &[DeploymentRow]) -> Result<()>;

    /// Writes a webhook.
    async fn log_webhook(&mut self, webhook: &Webhook) -> Result<Logged>;

    /// Writes what became of one.
    async fn treat_webhook(&mut self, source: &str, delivery: &str, treated: &Treated) -> Result<()>;

    /// Writes and removes notes.
    async fn set_notes(&mut self, notes: &[(String, Option<String>)]) -> Result<()>;

    /// Writes and removes values of a shelf.
    async fn keep(&mut self, shelf: &str, values: &[(String, Option<Vec<u8>>)]) -> Result<()>;

    /// Writes or removes a preference.
    async fn set_preference(&mut self, user: &str, name: &str, value: Option<&str>, now: i64) -> Result<()>;

    /// Drops runs, jobs, flakes, deployments and statistics before a day, and where heads were before it; the newest of each
    /// branch stays.
    async fn drop_before(&mut self, day: i32) -> Result<()>;

    /// Drops webhooks that came before.
    async fn drop_webhooks(&mut self, before: i64) -> Result<()>;
}
