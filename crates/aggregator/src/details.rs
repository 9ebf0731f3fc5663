//! What is not on the board: jobs, logs, lists of branches. Read from the platform when somebody looks, and kept.

mod kept;
mod lookups;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cache::{Cache, Loaded, Times};
use config::{LogAccess, Settings};
use connector::{Connector, Error, PipelineDetail, PipelineQuery, Pipelines, Registry};
use domain::{
    Branch, Clock, Job, JobId, Log, Patterns, Pipeline, ProjectKey, RunId, SourceName, Status, Timestamp,
};
use lifecycle::Tasks;

use self::lookups::{Lookups, Of};
use crate::asking::carried;
use crate::hub::Hub;

/// How long somebody who looks at something that was never read waits for it before "loading" is the answer.
const COLD_WAIT: Duration = Duration::from_millis(1500);
/// Jobs and logs of a run that is going on are fresh for this long.
const ACTIVE_TTL: Duration = Duration::from_secs(5);
/// How much of a job's log is read: its end.
pub const MAX_LOG_BYTES: usize = 512 * 1024;
/// How many pages of branches are read: 2,000 branches.
const MAX_BRANCH_PAGES: usize = 20;
/// Older runs are read by so many: a page of the largest size that platforms give, whatever page a reader looks at.
const RUNS_AT_ONCE: usize = 100;
/// How far back runs are paged from the platform. What is further back is looked at there.
pub const MAX_OLDER_RUNS: usize = 5_000;
/// What all details together may weigh.
const MAX_CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// A detail as it is now.
#[derive(Debug)]
pub enum Read<T> {
    /// The value, when it was read, and why it is not newer, if that is so.
    Here {
        /// The value.
        value: Arc<T>,
        /// When it was asked for.
        fetched_at: Timestamp,
        /// Why a newer one could not be had.
        error: Option<Error>,
    },
    /// It is being read.
    Loading,
    /// It cannot be had.
    Failed(Error),
}

impl<T> From<cache::Read<T, Error>> for Read<T> {
    fn from(read: cache::Read<T, Error>) -> Self {
        match read {
            cache::Read::Here(entry, error) => {
                Self::Here { value: entry.value, fetched_at: entry.fetched_at, error }
            }
            cache::Read::Loading => Self::Loading,
            cache::Read::Failed(error) => Self::Failed(error),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RunKey(ProjectKey, RunId);

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/pipelines/{}", self.0, self.1)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct JobKey(ProjectKey, RunId, JobId);

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/pipelines/{}/jobs/{}", self.0, self.1, self.2)
    }
}

/// The newest so many runs of a project.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RunsKey(ProjectKey, usize);

impl fmt::Display for RunsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/pipelines?newest={}", self.0, self.1)
    }
}

/// About how many bytes details take.
mod weight {
    use connector::{PipelineDetail, Pipelines};
    use domain::Branch;

    pub(super) const fn of_run(detail: &PipelineDetail) -> usize {
        1024 + detail.jobs.len() * 512
    }

    pub(super) const fn of_runs(runs: &Pipelines) -> usize {
        512 + runs.items.len() * 1024
    }

    pub(super) const fn of_branches(branches: &[Branch]) -> usize {
        branches.len() * 512
    }
}

/// The caches of details.
#[derive(Debug, Clone)]
pub struct Details {
    hub: Arc<Hub>,
    connectors: Arc<Registry>,
    pipelines: Cache<RunKey, PipelineDetail, Error>,
    logs: Cache<JobKey, Log, Error>,
    branches: Cache<ProjectKey, Vec<Branch>, Error>,
    runs: Cache<RunsKey, Pipelines, Error>,
    logs_off: Arc<RwLock<BTreeSet<SourceName>>>,
    lookups: Arc<Lookups>,
}

impl Details {
    /// Empty caches with the settings' times.
    #[must_use]
    pub fn new(
        settings: &Settings,
        hub: Arc<Hub>,
        connectors: Arc<Registry>,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> Self {
        let times = Times { ttl: settings.cache.ttl, stale_ttl: settings.cache.stale_ttl };
        let tracker = tasks.tracker().clone();
        Self {
            hub,
            connectors,
            pipelines: Cache::new(MAX_CACHE_BYTES / 2, times, Arc::clone(&clock), tracker.clone()),
            logs: Cache::new(MAX_CACHE_BYTES / 4, times, Arc::clone(&clock), tracker.clone()),
            branches: Cache::new(MAX_CACHE_BYTES / 8, times, Arc::clone(&clock), tracker.clone()),
            runs: Cache::new(MAX_CACHE_BYTES / 8, times, clock, tracker),
            logs_off: Arc::default(),
            lookups: Arc::default(),
        }
    }

    /// How often they were at hand.
    pub(crate) fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    /// Says whether logs of a source are shown.
    pub(crate) fn logs_of(&self, source: &SourceName, access: LogAccess) {
        let mut off = self.logs_off.write().unwrap_or_else(PoisonError::into_inner);
        match access {
            LogAccess::None => off.insert(source.clone()),
            LogAccess::Tail | LogAccess::Full => off.remove(source),
        };
    }

    /// Lets go of everything of a source.
    pub(crate) fn forget(&self, source: &SourceName) {
        // Of the letters of a name none means anything in a glob.
        let Ok(all) = Patterns::new([format!("{source}:*")]) else { return };
        self.pipelines.invalidate_matching(&all);
        self.logs.invalidate_matching(&all);
        self.branches.invalidate_matching(&all);
        self.runs.invalidate_matching(&all);
    }

    fn parts(&self, key: &ProjectKey) -> Result<(Arc<dyn Connector>, Arc<domain::Project>), Error> {
        let gone = || Error::NotFound(format!("{} has no project {}", key.source, key.id));
        let connector = self.connectors.get(&key.source).ok_or_else(gone)?;
        let project = self.hub.read(|p| p.board.get(key).map(|e| Arc::clone(&e.project))).ok_or_else(gone)?;
        Ok((connector, project))
    }

    /// One run with its jobs. A run that has moved on the board since it was read is read again.
    pub async fn pipeline(&self, project: &ProjectKey, run: &RunId) -> Read<PipelineDetail> {
        let key = RunKey(project.clone(), run.clone());
        let (connector, about) = match self.parts(project) {
            Ok(parts) => parts,
            Err(error) => return Read::Failed(error),
        };
        if let Some((entry, _)) = self.pipelines.get(&key) {
            let moved = self.hub.read(|p| {
                p.board.run(project, run).is_some_and(|r| {
                    entry.value.pipeline.is_older_than(r) || r.status != entry.value.pipeline.status
                })
            });
            if moved {
                self.pipelines.expire(&key);
            }
        }
        let run = run.clone();
        self.lookups.asked(Of::Jobs);
        let load = || {
            self.lookups.missed(Of::Jobs);
            carried(async move {
                let mut detail = connector.pipeline(&about, &run).await?;
                detail.jobs = detail.jobs.into_iter().map(Job::bounded).collect();
                detail.pipeline = detail.pipeline.bounded();
                let bytes = weight::of_run(&detail);
                let active = detail.pipeline.status.is_active() || detail.pipeline.status == Status::Manual;
                Ok(Loaded { value: detail, bytes, fresh_for: active.then_some(ACTIVE_TTL) })
            })
        };
        self.pipelines.read(&key, COLD_WAIT, load).await.into()
    }

    /// The end of a job's log.
    pub async fn log(&self, project: &ProjectKey, run: &RunId, job: &JobId) -> Read<Log> {
        if self.logs_off.read().unwrap_or_else(PoisonError::into_inner).contains(&project.source) {
            let note = Some(format!("logs are switched off for {} by its configuration", project.source));
            let value = Arc::new(Log { note, ..Log::default() });
            return Read::Here { value, fetched_at: self.hub.clock().now(), error: None };
        }
        let (connector, about) = match self.parts(project) {
            Ok(parts) => parts,
            Err(error) => return Read::Failed(error),
        };
        let key = JobKey(project.clone(), run.clone(), job.clone());
        let done = self.hub.read(|p| p.board.run(project, run).is_some_and(|r| r.status.is_terminal()));
        let (run, job) = (run.clone(), job.clone());
        self.lookups.asked(Of::Logs);
        let load = || {
            self.lookups.missed(Of::Logs);
            carried(async move {
                let log = connector.log(&about, &run, &job, MAX_LOG_BYTES).await?;
                let bytes = log.text.len();
                Ok(Loaded { value: log, bytes, fresh_for: (!done).then_some(ACTIVE_TTL) })
            })
        };
        self.logs.read(&key, COLD_WAIT, load).await.into()
    }

    /// The newest runs of a project, at least `reach` of them as far as there are so many and at most
    /// [`MAX_OLDER_RUNS`].
    pub async fn runs(&self, project: &ProjectKey, reach: usize) -> Read<Pipelines> {
        let (connector, about) = match self.parts(project) {
            Ok(parts) => parts,
            Err(error) => return Read::Failed(error),
        };
        let limit = reach.div_ceil(RUNS_AT_ONCE).saturating_mul(RUNS_AT_ONCE).min(MAX_OLDER_RUNS);
        let key = RunsKey(project.clone(), limit);
        self.lookups.asked(Of::Runs);
        let load = || {
            self.lookups.missed(Of::Runs);
            carried(async move {
                let query = PipelineQuery { branch: None, since: None, until: None, limit };
                let mut runs = connector.pipelines(&about, &query).await?;
                runs.items = runs.items.into_iter().map(Pipeline::bounded).collect();
                let bytes = weight::of_runs(&runs);
                Ok(Loaded { value: runs, bytes, fresh_for: None })
            })
        };
        self.runs.read(&key, COLD_WAIT, load).await.into()
    }

    /// All branches of a project.
    pub async fn branches(&self, project: &ProjectKey) -> Read<Vec<Branch>> {
        let (connector, about) = match self.parts(project) {
            Ok(parts) => parts,
            Err(error) => return Read::Failed(error),
        };
        self.lookups.asked(Of::Branches);
        let load = || {
            self.lookups.missed(Of::Branches);
            carried(async move {
                let (mut branches, mut page) = (Vec::new(), None);
                for _ in 0..MAX_BRANCH_PAGES {
                    let answer = connector.branches(&about, page.take()).await?;
                    branches.extend(answer.items.into_iter().map(Branch::bounded));
                    match answer.next {
                        Some(next) => page = Some(next),
                        None => break,
                    }
                }
                let bytes = weight::of_branches(&branches);
                Ok(Loaded { value: branches, bytes, fresh_for: None })
            })
        };
        self.branches.read(project, COLD_WAIT, load).await.into()
    }
}
