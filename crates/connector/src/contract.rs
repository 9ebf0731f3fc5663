//! What a connector can do.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use domain::{
    Branch, Job, JobId, Log, NativeId, Pipeline, PlatformId, Problem, Project, ProjectKey, RunId, SourceName,
    Timestamp, WhichWorkflows,
};
use futures::stream::BoxStream;

use crate::http::{Answers, Budget, Left, Traffic};
use crate::{Actions, CurrentUser, Deployments, Issues, MergeRequests, Result, TokenCheck, Webhooks};

/// What a platform calls things, singular, lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// `project`, `repository`, `job`.
    pub project: &'static str,
    /// `pipeline`, `workflow run`, `build`.
    pub pipeline: &'static str,
    /// `merge request`, `pull request`.
    pub merge_request: &'static str,
}

/// What a platform is, before any source of it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// Its key in the configuration.
    pub id: PlatformId,
    /// Its name for people.
    pub title: &'static str,
    /// Name of its glyph among the page's icons.
    pub icon: &'static str,
    /// Its words.
    pub words: Words,
    /// What a token has to be allowed, for the message when it is not: `read_api`.
    pub scope: &'static str,
}

/// Where the next page begins. Opaque outside the connector that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(pub String);

/// A page of a list, and where the next one begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// `None` on the last page.
    pub next: Option<PageToken>,
}

/// A page of the listing of projects.
#[derive(Debug, Clone, Default)]
pub struct ProjectPage {
    /// The projects on it.
    pub items: Vec<Project>,
    /// What the listing tells of their state as well, where it does: comes back in [`HeadsAsk::told`], so that a platform
    /// that answers everything at once is asked once.
    pub told: BTreeMap<NativeId, Heads>,
    /// `None` on the last page.
    pub next: Option<PageToken>,
}

/// Asks for the state of one project.
#[derive(Debug, Clone)]
pub struct HeadsAsk {
    /// The project as the listing told it.
    pub project: Arc<Project>,
    /// Further branches to have whatever their age, besides the default branch.
    pub branches: Vec<String>,
    /// The runs of it that are known already, newest first: what has not moved since is not asked for again.
    pub known: Vec<Arc<Pipeline>>,
    /// When that was asked for, by our clock: the last answer of either extent that could be read. `None` where nothing
    /// was, or only a webhook told.
    pub known_at: Option<Timestamp>,
    /// The default branch as last read, with the project's `last_activity_at` at that time: an unmoved project's branch need not be read again.
    pub known_head: Option<(Branch, Option<Timestamp>)>,
    /// Which workflows there were when last asked, and when that was: they change rarely.
    pub known_workflows: Option<(WhichWorkflows, Timestamp)>,
    /// When it was last told how many merge requests are open in it; `None` when it never was. Where that costs nothing it is told
    /// again ([`Heads::open_merge_requests`]), of those first of which it was told longest ago.
    pub counted_at: Option<Timestamp>,
    /// What the listing told a moment ago ([`ProjectPage::told`]); `None` when nobody listed, or it told nothing.
    pub told: Option<Heads>,
    /// Whether the whole state is wanted. Otherwise a connector that can ask about many projects at once
    /// ([`Connector::batching`]) may answer with [`Extent::News`], from a question that does not see everything; what that
    /// misses is found when the whole is read, now and then.
    pub full: bool,
}

impl HeadsAsk {
    /// About a project of which nothing is known: the whole state.
    #[must_use]
    pub const fn about(project: Arc<Project>) -> Self {
        Self {
            project,
            branches: Vec::new(),
            known: Vec::new(),
            known_at: None,
            known_head: None,
            known_workflows: None,
            counted_at: None,
            told: None,
            full: true,
        }
    }
}

/// How much an answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extent {
    /// The whole state: a known run that is newer than the oldest one told, and is not told, is gone from the platform.
    #[default]
    Whole,
    /// What moved since what was known, and nothing else: a run that is not told stands as it is known, and so do the
    /// default branch, the count of runs and the problems. Often empty. Only an answer to an ask that was not
    /// [`HeadsAsk::full`].
    News,
    /// What moved as far as it is told, as [`Extent::News`], and more that only the whole state tells: to be asked for soon,
    /// with [`HeadsAsk::full`].
    Moved,
}

/// The state of one project: its default branch and its newest runs on all branches.
#[derive(Debug, Clone, Default)]
pub struct Heads {
    /// Whether it is the whole state or what moved.
    pub extent: Extent,
    /// When the project last moved, where that came along: takes the place of [`Project::last_activity_at`], before the
    /// default branch is kept with it for [`HeadsAsk::known_head`].
    pub last_activity_at: Option<Timestamp>,
    /// The default branch; `None` in an empty repository or when it could not be read (a problem says why).
    pub default_branch: Option<Branch>,
    /// The newest runs, newest first, at most [`Heads::MAX_RUNS`] and whatever more the default branch needed.
    pub pipelines: Vec<Pipeline>,
    /// Which workflows the platform still has, when that was asked anew; `None` leaves what is known.
    pub workflows: Option<WhichWorkflows>,
    /// How many runs the platform has of it in all, where that came along.
    pub total_runs: Option<u64>,
    /// How many merge requests are open in it, where that came along at no cost.
    pub open_merge_requests: Option<u64>,
    /// The jobs of some of `pipelines`, where they were read anyway.
    pub jobs: JobsOfRuns,
    /// What could not be read. The rest stands.
    pub problems: Vec<Problem>,
}

/// Jobs by run: of each all that it has, of a job that ran again the newest try.
#[derive(Debug, Clone, Default)]
pub struct JobsOfRuns {
    by_run: BTreeMap<RunId, Vec<Job>>,
    jobs: usize,
}

impl JobsOfRuns {
    /// How many jobs there are at most, of all runs together; those of further runs are left out.
    pub const MAX_JOBS: usize = 5_000;

    /// Adds all jobs of a run.
    pub fn tell(&mut self, run: &RunId, jobs: Vec<Job>) {
        if !jobs.is_empty() && self.jobs + jobs.len() <= Self::MAX_JOBS {
            self.jobs += jobs.len();
            self.by_run.insert(run.clone(), jobs);
        }
    }

    /// Those of a run; `None` where they were not read.
    #[must_use]
    pub fn of(&self, run: &RunId) -> Option<&[Job]> {
        self.by_run.get(run).map(Vec::as_slice)
    }

    /// Takes those of a run out.
    pub fn take(&mut self, run: &RunId) -> Option<Vec<Job>> {
        self.by_run.remove(run)
    }
}

impl Heads {
    /// How many runs of a project are asked for: one page of the largest size that the platforms give.
    pub const MAX_RUNS: usize = 100;
}

/// How a source answers many [`HeadsAsk`]s that are not [`HeadsAsk::full`] with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// How many projects one request tells of at present. Fewer after the platform found one too large.
    pub per_request: usize,
    /// What such requests are paid from, where the platform counts them apart from all others (GitHub's points); `None`
    /// where they are paid from [`Connector::budget`], or nothing was told yet.
    pub budget: Option<Budget>,
    /// What the last such request cost of that budget; 1 where nothing was told.
    pub cost: u64,
    /// Whether it tells of projects as well of which nothing is known: the default branch and the runs of its newest commit.
    pub glances: bool,
}

/// What moved, as a listing tells it.
#[derive(Debug, Clone, Default)]
pub struct Moved {
    /// Projects that moved since then, the last one first. A project may be among them that has not moved.
    pub items: Vec<Project>,
    /// Whether these are all. Otherwise more have moved than one question is worth: list everything.
    pub complete: bool,
}

/// Narrows a list of runs.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineQuery {
    /// Only of this branch.
    pub branch: Option<String>,
    /// Only created or updated since then.
    pub since: Option<Timestamp>,
    /// Only those that began at or before then: how a list goes on where the one before it ended.
    pub until: Option<Timestamp>,
    /// At most this many, newest first.
    pub limit: usize,
}

impl PipelineQuery {
    /// Whether a run began after [`PipelineQuery::until`]. One that tells no time is none of these.
    #[must_use]
    pub fn is_beyond(&self, run: &Pipeline) -> bool {
        matches!((self.until, run.began()), (Some(until), Some(at)) if at > until)
    }

    /// How many pages are read at most, of which `usual` are when a list begins with the newest run: where the platform
    /// cannot filter, those that are newer than [`PipelineQuery::until`] are read as well.
    #[must_use]
    pub const fn max_pages(&self, usual: usize) -> usize {
        if self.until.is_some() { usual.saturating_mul(10) } else { usual }
    }
}

/// A list of runs, and what of it could not be read: a page that fails half-way keeps what came.
#[derive(Debug, Clone, Default)]
pub struct Pipelines {
    /// Newest first.
    pub items: Vec<Pipeline>,
    /// How many the platform has that the query fits, where that came along.
    pub total: Option<u64>,
    /// Why it is not all.
    pub problems: Vec<Problem>,
}

/// One run with its jobs, in the order of their stages.
#[derive(Debug, Clone)]
pub struct PipelineDetail {
    /// The run.
    pub pipeline: Pipeline,
    /// Its jobs, those of earlier stages first; of a job that ran again only the newest try.
    pub jobs: Vec<Job>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// One source of one platform.
///
/// Every operation is one question to the platform, answered as of now; the caller decides when to ask. Errors are
/// about the whole question; what fails in a part of it comes as a [`Problem`] beside the rest.
#[async_trait]
pub trait Connector: Debug + Send + Sync {
    /// Its platform.
    fn descriptor(&self) -> &'static Descriptor;

    /// Its name.
    fn source(&self) -> &SourceName;

    /// Whether a watched name without a wildcard could be one of this platform's at all; saves asking when not.
    fn could_hold(&self, name: &str) -> bool;

    /// What is left of the platform's rate limit, as its own headers say.
    fn budget(&self) -> Option<Budget>;

    /// What is left of all its limits, to be known by whoever asks after it: a process that begins anew, or this source with
    /// other settings. `None` where there are none to keep.
    fn left(&self) -> Option<Left> {
        None
    }

    /// Goes on with what was left when somebody asked for this source before. It may come twice, from who knew it at different
    /// times, and late.
    fn resume(&self, left: &Left) {
        let _ = left;
    }

    /// Requests of any kind that the platform allows in a minute, beside the limit of [`Connector::budget`], where it
    /// publishes that.
    fn most_per_minute(&self) -> Option<u64> {
        None
    }

    /// The requests made so far.
    fn traffic(&self) -> Traffic;

    /// The answers that its clients keep for conditional requests, always in the same order: for whoever writes them down, so
    /// that they survive a restart.
    fn answers(&self) -> Vec<Answers> {
        Vec::new()
    }

    /// Whether there is another credential now than the one that the platform last refused: a token's file was written anew.
    async fn has_new_credential(&self) -> bool {
        false
    }

    /// The projects that the token can see (narrowed by the source's groups / organizations), page by page.
    async fn projects(&self, page: Option<PageToken>) -> Result<ProjectPage>;

    /// One project by native id or full name. The key of the answer is canonical: a renamed project answers with its
    /// current name.
    async fn project(&self, id_or_name: &str) -> Result<Project>;

    /// How many projects [`Connector::projects`] will give, where the platform tells in at most one request.
    async fn project_count(&self) -> Result<Option<u64>>;

    /// Which projects that [`Connector::projects`] would give moved since then: new ones, and those that were pushed to
    /// or otherwise touched. From a listing by last activity that is left off early, so mostly one request. It does not
    /// tell of projects that are gone, nor of runs that nobody pushed for. `None` where the platform has no such list.
    async fn moved_since(&self, since: Timestamp) -> Result<Option<Moved>> {
        let _ = since;
        Ok(None)
    }

    /// How many projects can be asked about at once, where that is cheaper than asking for each; `None` where it is not,
    /// or not now (without a token, on a server that lacks it). Then each [`HeadsAsk`] is answered as a full one.
    fn batching(&self) -> Option<Batching> {
        None
    }

    /// The state of many projects in as few requests as the platform allows, each as soon as it is there.
    fn branch_heads<'a>(&'a self, asks: Vec<HeadsAsk>) -> BoxStream<'a, (ProjectKey, Result<Heads>)>;

    /// Runs of a project, newest first.
    async fn pipelines(&self, project: &Project, query: &PipelineQuery) -> Result<Pipelines>;

    /// The newest run of a branch.
    async fn latest_pipeline(&self, project: &Project, branch: &str) -> Result<Option<Pipeline>>;

    /// One run with its jobs.
    async fn pipeline(&self, project: &Project, run: &RunId) -> Result<PipelineDetail>;

    /// The last `max_bytes` of a job's log, cut at a line.
    async fn log(&self, project: &Project, run: &RunId, job: &JobId, max_bytes: usize) -> Result<Log>;

    /// The branches of a project, page by page, in the platform's order.
    async fn branches(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Branch>>;

    /// One branch by name.
    async fn branch(&self, project: &Project, name: &str) -> Result<Branch>;

    /// Merge requests, where the platform has them.
    fn merge_requests(&self) -> Option<&dyn MergeRequests> {
        None
    }

    /// Issues, where the platform has them.
    fn issues(&self) -> Option<&dyn Issues> {
        None
    }

    /// What was deployed, where the platform marks it.
    fn deployments(&self) -> Option<&dyn Deployments> {
        None
    }

    /// Whose token it is, where the platform tells.
    fn current_user(&self) -> Option<&dyn CurrentUser> {
        None
    }

    /// What the token is allowed and how long it lasts, where the platform tells.
    fn token_check(&self) -> Option<&dyn TokenCheck> {
        None
    }

    /// Retrying and canceling, where the platform's API has it.
    fn actions(&self) -> Option<&dyn Actions> {
        None
    }

    /// Reading the platform's webhooks, where it sends any.
    fn webhooks(&self) -> Option<&dyn Webhooks> {
        None
    }
}
