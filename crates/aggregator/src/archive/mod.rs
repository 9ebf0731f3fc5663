//! History, as the aggregator keeps it: the board's changes go into it, and the board begins with it.
//!
//! Nothing here is in the way of the board. `writer` hears of changes, notes *which* rows changed, and reads what is new of
//! them from the board when it writes: while the database is away there is a set of keys, no queue that grows. When it is
//! back, what the board still holds is written, and what it does not hold any more is fetched again (`backfill`), from the
//! moment up to which history is known to be complete.
//!
//! | room | what |
//! | --- | --- |
//! | `open` | connecting, for as long as it takes; `migrate` |
//! | `warm` | the board as it was when the last process ended, before the first request to any platform |
//! | `writer` | what changed, in batches |
//! | `backfill` | what history lacks, within the rate limit |
//! | `deployments` | what platforms mark as deployed, within a smaller share of it |
//! | `answers`, `budgets` | answers for conditional requests, and what is left of the limits, for the next start |
//! | `hooks` | webhooks, on the disk before they are acknowledged |

mod answers;
mod backfill;
mod budgets;
mod deployments;
mod hooks;
mod open;
mod warm;
mod writer;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use config::Database;
use connector::{Connector, PipelineDetail, Registry};
use domain::stats::Estimate;
use domain::{Clock, Deployment, Job, Pipeline, ProjectKey, RunId, SourceName, Timestamp};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use history::{Batch, History, RunFilter, RunNews, Treated};
use lifecycle::Tasks;
use tokio::sync::watch;

pub use hooks::{LOG_WITHIN, Logging};
pub use open::{migrate, probe};

use crate::hub::Hub;
use crate::mirror::Mirror;
use crate::refresh::Plan;
use crate::webhooks::Webhooks;
use answers::Answers;
use backfill::Backfill;
use budgets::Budgets;
use hooks::Hooks;
use writer::Writer;

/// How many details wait to be written; the oldest give way.
const MAX_DETAILS: usize = 1_000;
/// How many deployments that webhooks told of wait to be written; the oldest give way, and are read.
const MAX_DEPLOYMENTS: usize = 5_000;
/// How many webhooks' fates wait to be written; the oldest give way.
const MAX_TREATED: usize = 10_000;
/// Partitions are made, and what is too old is dropped, so often.
const TIDY_EVERY: Duration = Duration::from_secs(6 * 60 * 60);
/// Payloads of webhooks are kept for so long.
const WEBHOOKS_KEPT: jiff::SignedDuration = jiff::SignedDuration::from_hours(7 * 24);
/// A write takes no longer than this, or half as long again as a statement may: a database that was stopped says nothing at all.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// The longest pause before the database is tried again.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// How history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// There is none: `database.url` is `none`.
    Off,
    /// It is being opened.
    Opening,
    /// All is written.
    Ok,
    /// It could not be opened, or the last attempt to write failed.
    Failing,
}

impl Condition {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Opening => "opening",
            Self::Ok => "ok",
            Self::Failing => "failing",
        }
    }
}

/// How history is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How.
    pub condition: Condition,
    /// What keeps it, with its version, once that is known.
    pub engine: Option<String>,
    /// Why it is not ok, in one sentence.
    pub error: Option<String>,
    /// Since when it is not.
    pub since: Option<Timestamp>,
    /// Projects, and runs with their jobs, whose news wait to be written.
    pub waiting: usize,
    /// Projects whose earlier runs are still to be fetched.
    pub behind: usize,
    /// Since when something waits to be written.
    pub waiting_since: Option<Timestamp>,
}

/// History, or that there is none.
#[derive(Debug)]
pub struct Archive {
    settings: Database,
    clock: Arc<dyn Clock>,
    /// What is kept in Redis comes first.
    mirror: Arc<Mirror>,
    history: RwLock<Option<Arc<dyn History>>>,
    standing: watch::Sender<Standing>,
    /// Whether the board may be filled from the platforms.
    warmed: watch::Sender<bool>,
    details: Mutex<VecDeque<RunNews>>,
    deployments: Mutex<VecDeque<(ProjectKey, Deployment)>>,
    /// Details that are being written.
    on_their_way: AtomicUsize,
    treated: Mutex<VecDeque<(SourceName, String, Treated)>>,
    hooks: Hooks,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins the `work` of each connector once it is in the registry, all of them at once, until it is dropped. Work whose
/// connector was taken out ends by itself.
async fn per_source<F: Future<Output = ()>>(connectors: &Registry, work: impl Fn(Arc<dyn Connector>) -> F) {
    let mut changes = connectors.changes();
    let (mut sources, mut known) = (FuturesUnordered::new(), Vec::<Arc<dyn Connector>>::new());
    loop {
        changes.mark_unchanged();
        known.retain(|connector| connectors.has(connector));
        for connector in connectors.all() {
            if !known.iter().any(|k| Arc::ptr_eq(k, &connector)) {
                known.push(Arc::clone(&connector));
                sources.push(work(connector));
            }
        }
        tokio::select! {
            // The registry lives as long as this does.
            _ = changes.changed() => {}
            Some(()) = sources.next(), if !sources.is_empty() => {}
        }
    }
}

/// What was taken to be written, and waits again unless it was.
struct Taken<'a, T> {
    queue: &'a Mutex<VecDeque<T>>,
    most: usize,
    items: Vec<T>,
}

impl<'a, T> Taken<'a, T> {
    fn of(queue: &'a Mutex<VecDeque<T>>, most: usize) -> Self {
        let items = locked(queue).drain(..).collect();
        Self { queue, most, items }
    }

    fn written(mut self) {
        self.items.clear();
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        let mut queue = locked(self.queue);
        for item in self.items.drain(..).rev() {
            queue.push_front(item);
        }
        let surplus = queue.len().saturating_sub(self.most);
        queue.drain(..surplus);
    }
}

impl Archive {
    /// As the settings say; nothing is opened yet.
    #[must_use]
    pub fn new(settings: Database, mirror: Arc<Mirror>, clock: Arc<dyn Clock>) -> Self {
        let off = matches!(settings.url, config::DatabaseUrl::None);
        let condition = if off { Condition::Off } else { Condition::Opening };
        let standing = Standing {
            condition,
            engine: None,
            error: None,
            since: None,
            waiting: 0,
            behind: 0,
            waiting_since: None,
        };
        Self {
            settings,
            clock,
            mirror,
            history: RwLock::default(),
            standing: watch::Sender::new(standing),
            warmed: watch::Sender::new(off),
            details: Mutex::default(),
            deployments: Mutex::default(),
            on_their_way: AtomicUsize::new(0),
            treated: Mutex::default(),
            hooks: Hooks::default(),
        }
    }

    /// Whether there is to be one.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !matches!(self.settings.url, config::DatabaseUrl::None)
    }

    /// History, once it is open. It may be out of reach all the same.
    #[must_use]
    pub fn history(&self) -> Option<Arc<dyn History>> {
        self.history.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How it is.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let mut standing = self.standing.borrow().clone();
        let told = locked(&self.details).len() + locked(&self.deployments).len();
        standing.waiting += told + self.on_their_way.load(Ordering::Relaxed);
        standing
    }

    /// How old the oldest news are that wait to be written; `None` without history.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        let standing = self.standing.borrow();
        let since = standing.waiting_since.map(|since| self.clock.now().duration_since(since));
        let there = standing.condition != Condition::Off;
        there.then(|| since.and_then(|lag| Duration::try_from(lag).ok()).unwrap_or_default())
    }

    /// Whether something waits to be written. Nobody is woken for it.
    fn waits(&self, waits: bool) {
        let now = self.clock.now();
        self.standing.send_if_modified(|s| {
            s.waiting_since = s.waiting_since.or(Some(now)).filter(|_| waits);
            false
        });
    }

    fn stand(&self, change: impl FnOnce(&mut Standing)) {
        self.standing.send_modify(change);
    }

    /// It does what it should.
    fn well(&self) {
        self.stand(|s| (s.condition, s.error, s.since) = (Condition::Ok, None, None));
    }

    /// It does not. Told once for each reason.
    fn unwell(&self, error: &history::Error) {
        let now = self.clock.now();
        let mut news = false;
        self.stand(|s| {
            news = s.error.as_deref() != Some(&error.text);
            s.condition = Condition::Failing;
            s.error = Some(error.text.clone());
            s.since.get_or_insert(now);
        });
        if news {
            tracing::warn!(%error, "history is not written; the board stays live, and it is tried again");
        }
    }

    /// What is asked of the database, or that it takes too long: nobody waits for it for ever.
    async fn within<T>(&self, asked: impl Future<Output = history::Result<T>>) -> history::Result<T> {
        let limit = (self.settings.statement_timeout * 3 / 2).max(WRITE_WITHIN);
        tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| {
            let text = "the database does not answer; it is tried again";
            Err(history::Error::new(history::ErrorKind::Slow, text))
        })
    }

    /// What became of webhooks so far.
    fn what_was_treated(&self) -> Taken<'_, (SourceName, String, Treated)> {
        Taken::of(&self.treated, MAX_TREATED)
    }

    /// Writes it. It waits until that is done, whatever ends it before.
    async fn settle<F: Future<Output = history::Result<()>>>(
        &self,
        treated: Taken<'_, (SourceName, String, Treated)>,
        write: impl FnOnce(Vec<(SourceName, String, Treated)>) -> F,
    ) -> history::Result<()> {
        if !treated.items.is_empty() {
            self.within(write(treated.items.clone())).await?;
        }
        treated.written();
        Ok(())
    }

    /// Writes a batch.
    async fn write(&self, history: &Arc<dyn History>, batch: Batch) -> history::Result<()> {
        self.within(history.ingest(batch)).await.map(drop)
    }

    /// Waits until the board is as it was when the last process ended, or it is known that it will not be.
    pub async fn warmed(&self) {
        self.mirror.begun().await;
        let mut warmed = self.warmed.subscribe();
        // The sender lives as long as this does.
        let _ = warmed.wait_for(|warmed| *warmed).await;
    }

    /// Somebody looked at a run: its jobs are worth keeping.
    pub fn tell(&self, project: &ProjectKey, detail: &PipelineDetail) {
        self.tell_jobs(project, &detail.pipeline, detail.jobs.clone());
    }

    /// The jobs of a run were read.
    pub(crate) fn tell_jobs(&self, project: &ProjectKey, run: &Pipeline, jobs: Vec<Job>) {
        if !self.is_kept() || jobs.is_empty() {
            return;
        }
        let news = RunNews { jobs: Some(jobs), ..RunNews::of(project.clone(), run.clone()) };
        let mut details = locked(&self.details);
        details.push_back(news);
        if details.len() > MAX_DETAILS {
            details.pop_front();
        }
    }

    /// A webhook told of a deployment.
    pub(crate) fn tell_deployment(&self, project: &ProjectKey, deployment: Deployment) {
        let mut deployments = locked(&self.deployments);
        deployments.push_back((project.clone(), deployment));
        if deployments.len() > MAX_DEPLOYMENTS {
            deployments.pop_front();
        }
        drop(deployments);
        self.waits(true);
    }

    /// A webhook that was logged came to this.
    pub fn treated(&self, source: &SourceName, delivery: String, treated: Treated) {
        let mut all = locked(&self.treated);
        all.push_back((source.clone(), delivery, treated));
        if all.len() > MAX_TREATED {
            all.pop_front();
        }
    }

    /// Whether the last that was asked of it was answered.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.standing.borrow().condition == Condition::Ok
    }

    /// The newest `reach` runs of a project that fit, as far as history has them, and how many it has; `None` when it cannot
    /// tell.
    pub async fn newest(
        &self,
        project: &ProjectKey,
        filter: &RunFilter,
        reach: usize,
    ) -> Option<connector::Pipelines> {
        let history = self.history()?;
        let page = history.runs(project, filter, 0, reach);
        match tokio::time::timeout(READ_WITHIN, page).await {
            Ok(Ok(page)) => Some(connector::Pipelines {
                items: page.items,
                total: Some(page.total),
                problems: Vec::new(),
            }),
            Ok(Err(error)) => {
                tracing::debug!(%error, "older runs are not to be had from history");
                None
            }
            Err(_) => None,
        }
    }

    /// A run as history has it, with its jobs: the newest attempt.
    pub async fn run(&self, project: &ProjectKey, run: &RunId) -> Option<PipelineDetail> {
        let history = self.history()?;
        let attempts = tokio::time::timeout(READ_WITHIN, history.attempts(project, run)).await.ok()?.ok()?;
        let (pipeline, jobs) = attempts.into_iter().next_back()?;
        Some(PipelineDetail { pipeline, jobs, problems: Vec::new() })
    }

    /// How long the runs of a lane take, by more runs than the board holds.
    pub async fn estimate(&self, project: &ProjectKey, lane: &str) -> Option<Estimate> {
        let history = self.history()?;
        tokio::time::timeout(READ_WITHIN, history.estimate(project, lane)).await.ok()?.ok()?
    }

    /// Starts what keeps it, each as a task of the process.
    pub fn start(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        connectors: &Arc<Registry>,
        webhooks: &Arc<Webhooks>,
        plans: Vec<(SourceName, Plan)>,
        tasks: &Tasks,
    ) {
        if !self.is_kept() {
            return;
        }
        let backfill = Arc::new(Backfill::new(Arc::clone(self), Arc::clone(hub), Arc::clone(connectors)));
        let (archive, by) = (Arc::clone(self), Arc::clone(connectors));
        let deployments = Arc::new(deployments::Reader::new(archive, Arc::clone(hub), by));
        // Before anything is published: no change is missed.
        let writer = Writer::new(Arc::clone(self), Arc::clone(hub), (&backfill, &deployments));
        let budgets = Budgets::new(Arc::clone(self), Arc::clone(connectors));
        // In one place is enough.
        let answers = (!self.mirror.is_on()).then(|| Answers::new(Arc::clone(self), connectors));
        let (archive, hub, stopping) = (Arc::clone(self), Arc::clone(hub), tasks.clone());
        let webhooks = Arc::clone(webhooks);
        tasks.run("history", async move {
            let keep = async {
                // What Redis has is newer: history fills what is missing.
                let (history, ()) = tokio::join!(archive.open(), archive.mirror.begun());
                budgets.begin(&history).await;
                if let Some(answers) = &answers {
                    answers.begin(&history).await;
                }
                writer.begin(&history, &plans).await;
                for (source, _) in &plans {
                    if let Err(error) = webhooks.settle(&history, source).await {
                        archive.unwell(&error);
                    }
                }
                archive.warmed.send_replace(true);
                tokio::join!(
                    writer.run(&history),
                    backfill.run(&history),
                    deployments.run(&history),
                    archive.hooks.run(&history),
                    budgets.run(&history),
                    async {
                        if let Some(answers) = &answers {
                            answers.run(&history).await;
                        }
                    },
                    archive.tidy(&history),
                );
            };
            tokio::select! { () = keep => {} () = archive.show(&hub) => {} () = stopping.stopping() => {} }
            // What changed last goes along, if that is quick.
            if let Some(history) = archive.history() {
                let last = async { tokio::join!(budgets.write(&history), writer.last_word(&history)) };
                let _ = tokio::time::timeout(LAST_WORD, last).await;
            }
        });
    }

    /// Wakes the pages when it is otherwise than before.
    async fn show(&self, hub: &Hub) {
        let mut standing = self.standing.subscribe();
        let mut shown = self.standing();
        while standing.changed().await.is_ok() {
            let now = standing.borrow_and_update().clone();
            if (now.condition, &now.error, &now.engine) != (shown.condition, &shown.error, &shown.engine) {
                hub.touch_sources();
                shown = now;
            }
        }
    }

    /// Makes partitions ahead, drops what is too old; now, and from time to time.
    async fn tidy(&self, history: &Arc<dyn History>) {
        loop {
            let now = self.clock.now();
            let kept = |d: Duration| jiff::SignedDuration::try_from(d).unwrap_or(jiff::SignedDuration::MAX);
            let oldest = self
                .settings
                .retention
                .map(|r| history::Day::of(now.saturating_sub(kept(r)).unwrap_or(Timestamp::MIN)));
            let webhooks = now.saturating_sub(WEBHOOKS_KEPT).unwrap_or(Timestamp::MIN);
            let done = async {
                self.within(history.prepare(now)).await?;
                self.within(history.prune(oldest, webhooks)).await
            };
            if let Err(error) = done.await {
                tracing::warn!(%error, "what is too old could not be dropped from history; it is tried again");
            }
            tokio::time::sleep(TIDY_EVERY).await;
        }
    }
}

/// Whoever looks waits for the database no longer than this.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// What changed last is written at the end, if it takes no longer.
const LAST_WORD: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
