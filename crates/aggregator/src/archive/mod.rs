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
//! | `answers`, `budgets` | answers for conditional requests, and what is left of the limits, for the next start |
//! | `hooks` | webhooks, on the disk before they are acknowledged |

mod answers;
mod backfill;
mod budgets;
mod hooks;
mod open;
mod warm;
mod writer;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use config::Database;
use connector::{PipelineDetail, Registry};
use domain::stats::Estimate;
use domain::{Clock, ProjectKey, RunId, SourceName, Timestamp};
use history::{History, RunFilter, RunNews, Treated};
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
/// How many webhooks' fates wait to be written; the oldest give way.
const MAX_TREATED: usize = 10_000;
/// Partitions are made, and what is too old is dropped, so often.
const TIDY_EVERY: Duration = Duration::from_secs(6 * 60 * 60);
/// Payloads of webhooks are kept for so long.
const WEBHOOKS_KEPT: jiff::SignedDuration = jiff::SignedDuration::from_hours(7 * 24);
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
    /// Details that are being written.
    on_their_way: AtomicUsize,
    treated: Mutex<VecDeque<(SourceName, String, Treated)>>,
    hooks: Hooks,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Archive {
    /// As the settings say; nothing is opened yet.
    #[must_use]
    pub fn new(settings: Database, mirror: Arc<Mirror>, clock: Arc<dyn Clock>) -> Self {
        let off = matches!(settings.url, config::DatabaseUrl::None);
        let condition = if off { Condition::Off } else { Condition::Opening };
        let standing = Standing { condition, engine: None, error: None, since: None, waiting: 0, behind: 0 };
        Self {
            settings,
            clock,
            mirror,
            history: RwLock::default(),
            standing: watch::Sender::new(standing),
            warmed: watch::Sender::new(off),
            details: Mutex::default(),
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
        standing.waiting += locked(&self.details).len() + self.on_their_way.load(Ordering::Relaxed);
        standing
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

    /// Waits until the board is as it was when the last process ended, or it is known that it will not be.
    pub async fn warmed(&self) {
        self.mirror.begun().await;
        let mut warmed = self.warmed.subscribe();
        // The sender lives as long as this does.
        let _ = warmed.wait_for(|warmed| *warmed).await;
    }

    /// Somebody looked at a run: its jobs are worth keeping.
    pub fn tell(&self, project: &ProjectKey, detail: &PipelineDetail) {
        if !self.is_kept() || detail.jobs.is_empty() {
            return;
        }
        let news = RunNews {
            jobs: Some(detail.jobs.clone()),
            ..RunNews::of(project.clone(), detail.pipeline.clone())
        };
        let mut details = locked(&self.details);
        details.push_back(news);
        if details.len() > MAX_DETAILS {
            details.pop_front();
        }
    }

    /// A webhook that was logged came to this.
    pub fn treated(&self, source: &SourceName, delivery: String, treated: Treated) {
        let mut all = locked(&self.treated);
        all.push_back((source.clone(), delivery, treated));
        if all.len() > MAX_TREATED {
            all.pop_front();
        }
    }

    /// The newest `reach` runs of a project, as far as history has them; `None` when it cannot tell.
    pub async fn newest(&self, project: &ProjectKey, reach: usize) -> Option<connector::Pipelines> {
        let history = self.history()?;
        let all = RunFilter::default();
        let page = history.runs(project, &all, 0, reach);
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
        // Before anything is published: no change is missed.
        let writer = Writer::new(Arc::clone(self), Arc::clone(hub), Arc::clone(&backfill));
        let budgets = Budgets::new(Arc::clone(connectors));
        // In one place is enough.
        let answers = (!self.mirror.is_on()).then(|| Answers::new(connectors));
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
                history.prepare(now).await?;
                history.prune(oldest, webhooks).await
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
