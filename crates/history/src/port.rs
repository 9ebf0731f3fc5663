//! What the aggregator tells history, and asks of it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use domain::stats::Estimate;
use domain::{
    Branch, Deployment, Job, Pipeline, PlatformId, Project, ProjectKey, RunId, SourceName, Status, Timestamp,
};

use crate::answers::{
    Ask, Behind, Broken, Course, Delivery, DeploymentRule, FailureGroup, Figures, Flaky, Heat, Ranked,
    Ranking,
};
use crate::{Day, Result};

/// Something new about a run.
#[derive(Debug, Clone)]
pub struct RunNews {
    /// Whose.
    pub project: ProjectKey,
    /// As it is now.
    pub pipeline: Pipeline,
    /// Its jobs, where they were read. Jobs that are known and not among them stay.
    pub jobs: Option<Vec<Job>>,
    /// When its commit was committed, where that is known.
    pub committed_at: Option<Timestamp>,
}

impl RunNews {
    /// A run without its jobs.
    #[must_use]
    pub const fn of(project: ProjectKey, pipeline: Pipeline) -> Self {
        Self { project, pipeline, jobs: None, committed_at: None }
    }
}

/// Something new about a project.
#[derive(Debug, Clone)]
pub enum ProjectNews {
    /// It is there, and so it describes itself.
    There(Box<Project>),
    /// It has left the source. What is known of it stays.
    Gone(ProjectKey),
}

/// Where a branch's head was when.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Whose.
    pub project: ProjectKey,
    /// The branch with its commit.
    pub branch: Branch,
}

/// News, to be written at once or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Platforms by source: of all sources that the rest names.
    pub sources: BTreeMap<SourceName, String>,
    /// Projects. One whose runs come is there even if nothing describes it.
    pub projects: Vec<ProjectNews>,
    /// Runs, in any order, also several reports of one.
    pub runs: Vec<RunNews>,
    /// Heads that moved.
    pub snapshots: Vec<Snapshot>,
    /// What platforms marked as deployed, in any order, also several reports of one.
    pub deployments: Vec<(ProjectKey, Deployment)>,
    /// Up to when each project's runs are complete from now on.
    pub watermarks: BTreeMap<ProjectKey, Known>,
    /// When all this was seen: stands for a time where a platform tells none.
    pub seen_at: Timestamp,
}

impl Batch {
    /// Nothing, as of a moment.
    #[must_use]
    pub fn at(seen_at: Timestamp) -> Self {
        Self { seen_at, ..Self::default() }
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.projects.is_empty()
            && self.runs.is_empty()
            && self.snapshots.is_empty()
            && self.deployments.is_empty()
            && self.watermarks.is_empty()
    }
}

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ingested {
    /// Attempts that were not known.
    pub added: usize,
    /// Attempts of which something changed.
    pub changed: usize,
    /// Reports that told nothing new.
    pub unchanged: usize,
}

/// Between which moments history has every run of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// From here.
    pub from: Timestamp,
    /// To here.
    pub to: Timestamp,
}

/// A project as history knows it: what a board begins with.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// What it said of itself.
    pub project: Project,
    /// Its newest runs, the newest attempt of each, newest first.
    pub runs: Vec<Pipeline>,
    /// The newest head of its default branch.
    pub head: Option<Branch>,
    /// How many runs history has of it.
    pub total: u64,
    /// Until when its runs are known.
    pub known: Option<Known>,
}

/// Narrows a list of runs.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only of this branch.
    pub branch: Option<String>,
    /// Only of these statuses; empty: of any.
    pub statuses: Vec<Status>,
    /// Only of this lane.
    pub lane: Option<String>,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct PageOf<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// How many there are in all.
    pub total: u64,
}

/// A webhook as it came.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// To which source.
    pub source: SourceName,
    /// The delivery's id, unique within the source.
    pub delivery: String,
    /// The platform's word for what it tells.
    pub kind: String,
    /// The headers that say what it is. No signature and no token.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// When it came.
    pub received_at: Timestamp,
}

/// Whether a webhook is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logged {
    /// On the disk, and to be applied: it was written now; or it was there, and nothing became of it yet.
    New,
    /// A delivery of this id is there already, and something became of it.
    Known,
}

/// What became of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treated {
    /// It is on the board.
    Applied,
    /// It was of no concern, or could not be used: why.
    Ignored(String),
}

/// A webhook in the log.
#[derive(Debug, Clone)]
pub struct WebhookEntry {
    /// As it came.
    pub webhook: Webhook,
    /// What became of it; `None`: nothing yet.
    pub treated: Option<Treated>,
}

/// How the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `SQLite` or `PostgreSQL`, with its version.
    pub engine: String,
    /// Bytes on the disk, where that can be told.
    pub bytes: Option<u64>,
}

/// What outlives a restart. Everything that reads answers from indexes and statistics; nothing here waits for a platform.
#[async_trait]
pub trait History: Debug + Send + Sync {
    /// How the database is; also a sign of life.
    async fn health(&self) -> Result<Health>;

    /// Writes news, all or nothing. Idempotent: the same news again change nothing, older ones never undo newer ones.
    async fn ingest(&self, batch: Batch) -> Result<Ingested>;

    /// Writes down webhooks, all or none; they are on the disk when this returns. Whether each is new, in their order.
    async fn log_webhooks(&self, webhooks: &[Webhook]) -> Result<Vec<Logged>>;

    /// Writes what became of webhooks: source, delivery, and that.
    async fn treat_webhooks(&self, treated: &[(SourceName, String, Treated)]) -> Result<()>;

    /// The newest webhooks of a source in the log that nothing became of yet (or all), oldest first.
    async fn webhooks(&self, source: &SourceName, untreated: bool, limit: usize)
    -> Result<Vec<WebhookEntry>>;

    /// Projects of a source that have not left, with their newest `runs` runs each.
    async fn remembered(
        &self,
        source: &SourceName,
        platform: PlatformId,
        runs: usize,
    ) -> Result<Vec<Remembered>>;

    /// Runs of a project, the newest attempt of each, newest first, after the first `skip`.
    async fn runs(
        &self,
        project: &ProjectKey,
        filter: &RunFilter,
        skip: usize,
        limit: usize,
    ) -> Result<PageOf<Pipeline>>;

    /// All attempts of a run, oldest first, with their jobs.
    async fn attempts(&self, project: &ProjectKey, run: &RunId) -> Result<Vec<(Pipeline, Vec<Job>)>>;

    /// The heads that a branch had, newest first.
    async fn snapshots(
        &self,
        project: &ProjectKey,
        branch: &str,
        limit: usize,
    ) -> Result<Vec<(Branch, Timestamp)>>;

    /// The runs of a source that had not ended when they were written last, however old.
    async fn unfinished(&self, source: &SourceName) -> Result<Vec<(ProjectKey, Pipeline)>>;

    /// Up to when the runs of a source's projects are complete.
    async fn watermarks(&self, source: &SourceName) -> Result<BTreeMap<ProjectKey, Known>>;

    /// A note that was left under this name.
    async fn note(&self, name: &str) -> Result<Option<String>>;

    /// Leaves notes: what a process wants to know after a restart. `None` removes one.
    async fn set_notes(&self, notes: &[(String, Option<String>)]) -> Result<()>;

    /// Values that were kept on a shelf, by name: opaque bytes.
    async fn kept(&self, shelf: &str) -> Result<Vec<(String, Vec<u8>)>>;

    /// Keeps values on a shelf, all or none; `None` removes one.
    async fn keep(&self, shelf: &str, values: &[(String, Option<Vec<u8>>)]) -> Result<()>;

    /// A user's preferences, as opaque text by name.
    async fn preferences(&self, user: &str) -> Result<BTreeMap<String, String>>;

    /// Sets (or with `None` removes) one of a user's preferences; makes the user known.
    async fn set_preference(&self, user: &str, name: &str, value: Option<&str>, now: Timestamp)
    -> Result<()>;

    /// Drops runs and deployments before a day with their statistics, and webhooks that came before `webhooks_before`.
    async fn prune(&self, runs_before: Option<Day>, webhooks_before: Timestamp) -> Result<()>;

    /// Prepares for what will come soon (partitions of the coming months).
    async fn prepare(&self, now: Timestamp) -> Result<()>;

    /// How long green runs of a lane took lately; `None` under [`domain::stats::MIN_FOR_ESTIMATE`] of them.
    async fn estimate(&self, project: &ProjectKey, lane: &str) -> Result<Option<Estimate>>;

    /// The figures of a window.
    async fn figures(&self, ask: &Ask) -> Result<Figures>;

    /// The figures of a window and of each of its days, and where durations and queue times are heading.
    async fn course(&self, ask: &Ask) -> Result<Course>;

    /// What stands out: slowest, busiest, most often failing.
    async fn ranking(&self, ask: &Ask, ranking: &Ranking) -> Result<Vec<Ranked>>;

    /// Default branches (or the branch asked for) that are red at the end of the window, longest first.
    async fn broken(&self, ask: &Ask) -> Result<Vec<Broken>>;

    /// What is flaky, by the hours it wastes.
    async fn flaky(&self, ask: &Ask) -> Result<Vec<Flaky>>;

    /// Why jobs fail, over all projects, by how many projects it concerns.
    async fn failure_groups(&self, ask: &Ask, limit: usize) -> Result<Vec<FailureGroup>>;

    /// When runs run and fail, by hour of the week.
    async fn heat(&self, ask: &Ask) -> Result<Heat>;

    /// Deployment frequency, change failure rate, time to restore, lead time.
    async fn delivery(&self, ask: &Ask, rule: &DeploymentRule) -> Result<Delivery>;

    /// The runs behind a figure, newest first, after the first `skip`.
    async fn behind(
        &self,
        ask: &Ask,
        behind: &Behind,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<(ProjectKey, Pipeline)>>;
}
