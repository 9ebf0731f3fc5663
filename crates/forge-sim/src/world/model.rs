//! The nouns of the world. No platform's wire format appears here: faces translate.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::names::{PEOPLE, Person};
use super::{history, plan};

/// Which simulated platform shows a project. An open set: each face brings its own constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaceId(pub &'static str);

impl fmt::Display for FaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How the platform behind a face organises its CI: it decides which workflows the generator makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One file with stages (GitLab): all that a push starts is one pipeline.
    Stages,
    /// Several workflow files (GitHub): a push may start several runs.
    Workflows,
}

/// A project's place in its world; stable, never used again after a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectId(pub(crate) u32);

impl ProjectId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Index into [`PEOPLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PersonId(pub(crate) u16);

impl PersonId {
    /// Who that is.
    #[must_use]
    pub fn person(self) -> &'static Person {
        &PEOPLE[self.0 as usize % PEOPLE.len()]
    }
}

/// State of a pipeline or a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// A job whose stage has not come yet.
    Created,
    /// Waits for a runner.
    Queued,
    /// Runs.
    Running,
    /// Ended well (a pipeline perhaps with warnings, see [`Pipeline::warnings`]).
    Success,
    /// Ended badly.
    Failed,
    /// Stopped by a person or superseded.
    Canceled,
    /// Never ran and never will.
    Skipped,
    /// Waits for a person.
    Manual,
}

impl RunStatus {
    /// Whether it stays so unless somebody retries.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Canceled | Self::Skipped)
    }

    /// Whether work goes on or is about to.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Created | Self::Queued | Self::Running)
    }
}

/// Why a pipeline was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A commit was pushed to a branch.
    Push,
    /// A tag was pushed.
    Tag,
    /// The clock.
    Schedule,
    /// A merge request was opened or updated; holds its number.
    MergeRequest(u32),
    /// A person pressed a button.
    Manual,
    /// Another workflow ended.
    Workflow,
}

/// Why a job failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The script returned an error: the usual case.
    Script,
    /// The machine was at fault.
    RunnerSystem,
    /// It took too long.
    Timeout,
}

/// A job's failure, told so that a log, an annotation and a reason can be made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Name of the job that fails.
    pub job: Arc<str>,
    /// The sort of failure.
    pub kind: FailureKind,
    /// The one line that says it, as tools print it.
    pub summary: &'static str,
    /// What stands before it in the log: the failing assertion, the compiler's complaint.
    pub details: &'static [&'static str],
    /// File at fault, for annotations.
    pub file: &'static str,
    /// Line in that file.
    pub line: u32,
}

/// A job as its workflow file declares it.
#[derive(Debug, Clone)]
pub struct JobPlan {
    /// Name, unique in the workflow.
    pub name: Arc<str>,
    /// Its time as a share of the stage's, 0..=1; the longest job of a stage has 1.
    pub weight: f64,
    /// Whether its failure is only a warning.
    pub allow_failure: bool,
    /// Whether a person has to start it, and the pipeline waits for that.
    pub manual: bool,
}

/// A stage: its jobs run side by side, after those of the stage before.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Name.
    pub name: &'static str,
    /// Its time as a share of the pipeline's; all shares add up to 1.
    pub share: f64,
    /// The jobs.
    pub jobs: Vec<JobPlan>,
}

/// A workflow file (GitHub) or one sort of pipeline (GitLab: what a push or a schedule starts).
#[derive(Debug, Clone)]
pub struct Workflow {
    /// Id on the platform.
    pub native_id: u64,
    /// Name.
    pub name: &'static str,
    /// File.
    pub path: &'static str,
    /// What starts it.
    pub on: WorkflowTrigger,
    /// Median run time in seconds.
    pub median_seconds: u32,
    /// Stages in order.
    pub stages: Vec<Stage>,
}

/// What starts a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkflowTrigger {
    /// Pushes and merge requests.
    Push,
    /// A push workflow that succeeded on the default branch.
    AfterPush,
    /// Once a night.
    Schedule,
}

/// A commit.
#[derive(Debug, Clone)]
pub struct Commit {
    /// 40 hexadecimal digits.
    pub sha: Arc<str>,
    /// The commit before.
    pub parent: Option<Arc<str>>,
    /// First line.
    pub title: Arc<str>,
    /// Who wrote it.
    pub author: PersonId,
    /// When.
    pub at: Timestamp,
}

/// A branch and its newest commit.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Name.
    pub name: Arc<str>,
    /// Newest commit.
    pub head: Arc<str>,
    /// Whether it is protected.
    pub protected: bool,
}

/// An attempt of a pipeline that a retry replaced.
#[derive(Debug, Clone)]
pub struct PastAttempt {
    /// 1, 2, …
    pub number: u32,
    /// How it ended.
    pub status: RunStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Id, unique among all projects of the world; faces may add a constant.
    pub id: u64,
    /// Counts within the project, from 1.
    pub number: u32,
    /// Index into [`Project::workflows`].
    pub workflow: usize,
    /// Counts within the workflow, from 1.
    pub workflow_number: u32,
    /// 1, or more after a retry.
    pub attempt: u32,
    /// Branch or tag.
    pub branch: Arc<str>,
    /// Commit.
    pub sha: Arc<str>,
    /// Why it was started.
    pub trigger: Trigger,
    /// Who did that.
    pub actor: PersonId,
    /// State.
    pub status: RunStatus,
    /// Success, but a job that may fail did.
    pub warnings: bool,
    /// What went wrong, when it failed (or what goes wrong when it ends).
    pub failure: Option<Failure>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When the first job of this attempt started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Last change.
    pub updated_at: Timestamp,
    /// When this attempt began; `created_at` on the first.
    pub attempt_at: Timestamp,
    /// Earlier attempts.
    pub past_attempts: Vec<PastAttempt>,
    pub(crate) jobs: OnceCell<Vec<Job>>,
}

impl Pipeline {
    /// Seconds from start to end, when it has ended.
    #[must_use]
    pub fn duration_seconds(&self) -> Option<f64> {
        let (from, to) = (self.started_at?, self.finished_at?);
        Some((to.as_millisecond() - from.as_millisecond()) as f64 / 1000.0)
    }
}

/// A part of a pipeline.
#[derive(Debug, Clone)]
pub struct Job {
    /// Id, unique among all projects of the world; faces may add a constant.
    pub id: u64,
    /// Name.
    pub name: Arc<str>,
    /// Name of its stage.
    pub stage: &'static str,
    /// Index of its stage.
    pub stage_index: usize,
    /// State.
    pub status: RunStatus,
    /// Whether its failure is only a warning.
    pub allow_failure: bool,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The pipeline's attempt that it belongs to.
    pub attempt: u32,
    /// Whether a later job took its place.
    pub retried: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it began to wait for a runner.
    pub queued_at: Option<Timestamp>,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    pub(crate) plan: LivePlan,
}

/// What will become of a live job.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LivePlan {
    pub(crate) queue_ms: i64,
    pub(crate) run_ms: i64,
    pub(crate) fails: bool,
    pub(crate) manual: bool,
}

/// A merge request or pull request.
#[derive(Debug, Clone)]
pub struct MergeRequest {
    /// Number within the project.
    pub number: u32,
    /// Title.
    pub title: Arc<str>,
    /// From this branch …
    pub source_branch: Arc<str>,
    /// … to that one.
    pub target_branch: Arc<str>,
    /// Newest commit.
    pub sha: Arc<str>,
    /// Who opened it.
    pub author: PersonId,
    /// Who is asked to look at it.
    pub reviewers: Vec<PersonId>,
    /// Not ready yet.
    pub draft: bool,
    /// Open, or merged.
    pub open: bool,
    /// Labels.
    pub labels: Vec<&'static str>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// An issue.
#[derive(Debug, Clone)]
pub struct Issue {
    /// Number within the project.
    pub number: u32,
    /// Title.
    pub title: Arc<str>,
    /// Who opened it.
    pub author: PersonId,
    /// Who works on it.
    pub assignees: Vec<PersonId>,
    /// Open, or closed.
    pub open: bool,
    /// Labels.
    pub labels: Vec<&'static str>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// Who may see a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Everybody with an account (GitLab).
    Internal,
    /// Members.
    Private,
}

/// The story that a project starts with. After that it lives on like any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Green, with a failure now and then.
    Green,
    /// Red since so many minutes.
    Broken {
        /// Minutes since the breaking run ended.
        minutes: u32,
    },
    /// Newest run passed with warnings.
    Warning,
    /// Newest run waits for approval.
    Waiting,
    /// Newest run was canceled, the one before was green.
    CanceledNewest,
    /// Has CI, but nothing ever ran.
    NoRuns,
    /// No CI at all.
    NoCi,
    /// CI switched off (GitLab: 403).
    CiDisabled,
    /// No commit at all.
    Empty,
    /// Read-only.
    Archived,
    /// Nothing has happened for 200 days.
    Quiet,
}

impl Shape {
    /// Whether new commits and pipelines come by themselves.
    #[must_use]
    pub fn is_lively(self) -> bool {
        matches!(self, Self::Green | Self::Broken { .. } | Self::Warning | Self::CanceledNewest)
    }
}

/// A project.
#[derive(Debug)]
pub struct Project {
    /// Place in the world.
    pub id: ProjectId,
    /// Platform that shows it.
    pub face: FaceId,
    /// Id on that platform; the platforms' ids overlap on purpose.
    pub native_id: u64,
    /// Group or owner; GitLab's may have several parts.
    pub namespace: String,
    /// Last part of the path.
    pub path: String,
    /// Display name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Whether the simulated user is a member.
    pub member: bool,
    /// Whether the namespace is a person rather than a group.
    pub personal: bool,
    /// Default branch; none in an empty repository.
    pub default_branch: Option<Arc<str>>,
    /// Read-only.
    pub archived: bool,
    /// What it starts with.
    pub shape: Shape,
    /// Workflows; none without CI.
    pub workflows: Vec<Workflow>,
    /// Chance that a push to a green default branch breaks it.
    pub failure_rate: f64,
    /// When it was created.
    pub created_at: Timestamp,
    /// Last change of any sort.
    pub updated_at: Timestamp,
    /// Last push.
    pub pushed_at: Timestamp,
    /// Full paths that it once had.
    pub former_paths: Vec<String>,
    /// Gone.
    pub deleted: bool,
    pub(crate) seed: u64,
    /// When the default branch is red: how it fails.
    pub(crate) red: Option<Failure>,
    pub(crate) gap_seconds: i64,
    pub(crate) start: Timestamp,
    pub(crate) history: OnceCell<History>,
}

impl Project {
    /// `namespace/path`.
    #[must_use]
    pub fn full_path(&self) -> String {
        format!("{}/{}", self.namespace, self.path)
    }

    /// Branches, commits, pipelines, merge requests, issues: made on first use, from the seed.
    #[must_use]
    pub fn history(&self) -> &History {
        self.history.get_or_init(|| history::generate(self))
    }

    pub(crate) fn history_mut(&mut self) -> &mut History {
        let _ = self.history();
        #[expect(clippy::expect_used, reason = "initialised one line above")]
        self.history.get_mut().expect("initialised")
    }

    /// All pipelines that the platform still has, oldest first.
    #[must_use]
    pub fn pipelines(&self) -> &[Pipeline] {
        &self.history().runs
    }

    /// A pipeline by its world id.
    #[must_use]
    pub fn pipeline(&self, id: u64) -> Option<&Pipeline> {
        let at = self.history().position(id)?;
        self.history().runs.get(at).filter(|run| run.id == id)
    }

    /// Jobs of a pipeline in order of their ids, retried ones included.
    #[must_use]
    pub fn jobs<'a>(&self, run: &'a Pipeline) -> &'a [Job] {
        run.jobs.get_or_init(|| plan::past_jobs(self, run))
    }

    /// A branch by name.
    #[must_use]
    pub fn branch(&self, name: &str) -> Option<&Branch> {
        self.history().branches.iter().find(|branch| &*branch.name == name)
    }

    /// A commit by its full sha.
    #[must_use]
    pub fn commit(&self, sha: &str) -> Option<&Commit> {
        self.history().commits.get(sha)
    }

    /// The newest pipeline of a workflow on a branch that has completed with an outcome (success or failure).
    #[must_use]
    pub fn newest_outcome(&self, branch: &str, workflow: usize) -> Option<&Pipeline> {
        self.pipelines().iter().rev().find(|run| {
            run.workflow == workflow
                && &*run.branch == branch
                && !matches!(run.trigger, Trigger::MergeRequest(_))
                && matches!(run.status, RunStatus::Success | RunStatus::Failed)
        })
    }
}

/// What happened in a project.
#[derive(Debug, Default)]
pub struct History {
    /// Branches, default branch first.
    pub branches: Vec<Branch>,
    /// Commits by sha.
    pub commits: HashMap<Arc<str>, Commit>,
    /// Pipelines, oldest first.
    pub runs: Vec<Pipeline>,
    /// Merge requests, oldest first.
    pub merge_requests: Vec<MergeRequest>,
    /// Issues, oldest first.
    pub issues: Vec<Issue>,
    /// How many old pipelines were dropped to keep the bound.
    pub(crate) trimmed: u32,
}

impl History {
    /// Index of a pipeline in `runs`, from its id.
    pub(crate) fn position(&self, id: u64) -> Option<usize> {
        let number = u32::try_from(id / super::ID_STRIDE).ok()?;
        number.checked_sub(1)?.checked_sub(self.trimmed).map(|at| at as usize)
    }
}
