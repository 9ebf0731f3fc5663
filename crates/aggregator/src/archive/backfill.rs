//! Fetches what history lacks: runs before a project was first seen, and those of a time when nobody wrote. Newest project
//! first, one question at a time for each source, and never more than a share of the rate limit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector::http::Budget;
use connector::{Connector, Error, PipelineQuery, Registry};
use domain::{Pipeline, Project, ProjectKey, SourceName, Timestamp};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use history::{Batch, History, Known, RunNews};
use jiff::SignedDuration;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::writer::{Gap, write};
use super::{Archive, MAX_PAUSE, locked};
use crate::hub::Hub;

/// How many runs of a project are fetched at most, newest first.
const MAX_RUNS: usize = 5_000;
/// Runs in a batch.
const AT_ONCE: usize = 500;
/// The part of the rate limit that this may take.
const SHARE: f64 = 0.1;
/// Nothing is fetched while less than this part of the limit is left.
const RESERVE: f64 = 0.4;
/// Between two questions where no limit is known.
const POLITE: Duration = Duration::from_millis(500);
/// How long a source that has no budget left, or does not answer, is left alone where it does not say.
const LEAVE: Duration = Duration::from_secs(60);
/// A project that cannot be read is given up after so many attempts, until the next start.
const MAX_FAILURES: u32 = 8;

/// A project of which history lacks something.
#[derive(Debug, Clone)]
struct Want {
    gap: Gap,
    failures: u32,
    /// Not before then.
    after: Option<Instant>,
}

/// What history lacks, and who fetches it.
#[derive(Debug)]
pub(super) struct Backfill {
    archive: Arc<Archive>,
    hub: Arc<Hub>,
    connectors: Arc<Registry>,
    wanted: Mutex<BTreeMap<ProjectKey, Want>>,
    /// Filled, and not taken note of by the writer yet.
    filled: Mutex<BTreeMap<ProjectKey, Known>>,
    more: Notify,
}

impl Archive {
    /// How far back a project's runs are fetched when it is seen for the first time.
    pub(super) fn horizon(&self, now: Timestamp) -> Timestamp {
        let back = SignedDuration::try_from(self.settings.backfill).unwrap_or(SignedDuration::MAX);
        let kept =
            self.settings.retention.map(|r| SignedDuration::try_from(r).unwrap_or(SignedDuration::MAX));
        now.saturating_sub(kept.map_or(back, |kept| back.min(kept))).unwrap_or(Timestamp::MIN)
    }
}

impl Backfill {
    pub(super) fn new(archive: Arc<Archive>, hub: Arc<Hub>, connectors: Arc<Registry>) -> Self {
        Self {
            archive,
            hub,
            connectors,
            wanted: Mutex::default(),
            filled: Mutex::default(),
            more: Notify::new(),
        }
    }

    /// How many projects wait.
    pub(super) fn len(&self) -> usize {
        locked(&self.wanted).len()
    }

    /// A project lacks something. What is wanted of it already may only grow.
    pub(super) fn add(&self, project: ProjectKey, gap: Gap) {
        let mut wanted = locked(&self.wanted);
        let want = wanted.entry(project).or_insert(Want { gap, failures: 0, after: None });
        want.gap.since = want.gap.since.min(gap.since);
        want.gap.then =
            Known { from: want.gap.then.from.min(gap.then.from), to: want.gap.then.to.max(gap.then.to) };
        drop(wanted);
        self.more.notify_one();
    }

    /// What history has of a project since its gap was filled.
    pub(super) fn take_known(&self, project: &ProjectKey) -> Option<Known> {
        locked(&self.filled).remove(project)
    }

    /// Fetches until it is dropped.
    pub(super) async fn run(&self, history: &Arc<dyn History>) {
        let mut changes = self.connectors.changes();
        let (mut sources, mut known) = (FuturesUnordered::new(), Vec::<Arc<dyn Connector>>::new());
        loop {
            changes.mark_unchanged();
            known.retain(|connector| self.connectors.has(connector));
            for connector in self.connectors.all() {
                if !known.iter().any(|k| Arc::ptr_eq(k, &connector)) {
                    known.push(Arc::clone(&connector));
                    sources.push(self.of_source(connector, history));
                }
            }
            tokio::select! {
                // The registry lives as long as this does.
                _ = changes.changed() => {}
                Some(()) = sources.next(), if !sources.is_empty() => {}
            }
        }
    }

    /// Until it is taken out, or another one stands in its place.
    async fn of_source(&self, connector: Arc<dyn Connector>, history: &Arc<dyn History>) {
        let connector = &connector;
        while self.connectors.has(connector) {
            let Some((key, want, project)) = self.next(connector.source()) else {
                // Somebody else's may have been meant; it is looked at again before long.
                let _ = tokio::time::timeout(LEAVE, self.more.notified()).await;
                continue;
            };
            if let Some(wait) = connector.budget().and_then(|b| out_of_budget(b, self.hub.clock().now())) {
                tokio::time::sleep(wait).await;
                continue;
            }
            let spent = connector.traffic().spent;
            let pause = match self.fetch(connector, history, &key, &want, &project).await {
                Ok(()) => {
                    let mut wanted = locked(&self.wanted);
                    // More may be missing by now.
                    if wanted.get(&key).is_some_and(|now| now.gap.since >= want.gap.since) {
                        wanted.remove(&key);
                    }
                    Duration::ZERO
                }
                Err(Failure::Database(error)) => {
                    self.archive.unwell(&error);
                    LEAVE
                }
                Err(Failure::Platform(error)) => self.failed(&key, &error),
            };
            let asked = connector.traffic().spent.saturating_sub(spent);
            tokio::time::sleep(pause.max(share_of(connector.budget(), asked))).await;
        }
    }

    /// The project of a source whose newest run is the newest.
    fn next(&self, source: &SourceName) -> Option<(ProjectKey, Want, Arc<Project>)> {
        let now = Instant::now();
        let wanted: Vec<(ProjectKey, Want)> = locked(&self.wanted)
            .iter()
            .filter(|(key, want)| &key.source == source && want.after.is_none_or(|at| at <= now))
            .map(|(key, want)| (key.clone(), want.clone()))
            .collect();
        self.hub.read(|p| {
            let of_board = wanted.into_iter().filter_map(|(key, want)| {
                let entry = p.board.get(&key)?;
                let newest = entry.runs().first().and_then(|r| r.began());
                Some((newest, (key, want, Arc::clone(&entry.project))))
            });
            of_board.max_by(|a, b| a.0.cmp(&b.0)).map(|(_, next)| next)
        })
    }

    async fn fetch(
        &self,
        connector: &Arc<dyn Connector>,
        history: &Arc<dyn History>,
        key: &ProjectKey,
        want: &Want,
        project: &Project,
    ) -> Result<(), Failure> {
        let query = PipelineQuery { branch: None, since: Some(want.gap.since), limit: MAX_RUNS };
        let found = connector.pipelines(project, &query).await.map_err(Failure::Platform)?;
        if let Some(problem) = found.problems.first() {
            // What came is written; the rest is asked for again.
            tracing::debug!(project = %key, problem = problem.text, "earlier runs came in part");
        }
        let complete = found.items.len() < MAX_RUNS && found.problems.is_empty();
        let oldest = found.items.iter().filter_map(Pipeline::began).min();
        let seen_at = self.hub.clock().now();
        for runs in found.items.chunks(AT_ONCE) {
            let mut batch = Batch::at(seen_at);
            batch.runs = runs.iter().map(|r| RunNews::of(key.clone(), r.clone())).collect();
            write(history, batch).await.map_err(Failure::Database)?;
        }
        let mut known = want.gap.then;
        if !complete && found.items.len() >= MAX_RUNS {
            known.from = oldest.unwrap_or(known.from);
        } else if let Some(problem) = found.problems.into_iter().next() {
            return Err(Failure::Platform(Error::Server(problem.text)));
        }
        let mut batch = Batch::at(seen_at);
        batch.watermarks.insert(key.clone(), known);
        write(history, batch).await.map_err(Failure::Database)?;
        locked(&self.filled).insert(key.clone(), known);
        Ok(())
    }

    /// A project's runs could not be had. How long its source is left alone.
    fn failed(&self, key: &ProjectKey, error: &Error) -> Duration {
        let mut wanted = locked(&self.wanted);
        let Some(want) = wanted.get_mut(key) else { return Duration::ZERO };
        want.failures += 1;
        let lists_none =
            matches!(error, Error::Refused(_) | Error::NotFound(_) | Error::Forbidden(_) | Error::Legal(_));
        if lists_none || want.failures >= MAX_FAILURES {
            tracing::debug!(project = %key, %error, "earlier runs are not to be had");
            wanted.remove(key);
            return Duration::ZERO;
        }
        want.after = Some(Instant::now() + MAX_PAUSE * want.failures);
        if error.concerns_source() { LEAVE } else { Duration::ZERO }
    }
}

enum Failure {
    Platform(Error),
    Database(history::Error),
}

/// How long so many questions are this one's share of the limit.
#[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
fn share_of(budget: Option<Budget>, asked: u64) -> Duration {
    let Some((budget, window)) = budget.and_then(|b| Some((b, b.window?))) else { return POLITE };
    let seconds = window.as_secs_f64() * asked as f64 / (budget.limit as f64 * SHARE).max(1.0);
    Duration::try_from_secs_f64(seconds).unwrap_or_default().max(Duration::from_millis(10))
}

/// How long to wait for the limit, if what is left of it is for the board.
fn out_of_budget(budget: Budget, now: Timestamp) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
    let short = (budget.remaining as f64) < budget.limit as f64 * RESERVE;
    // Without a reset ahead the window is full again, or the platform tells nothing of use.
    let reset = budget.reset_at.filter(|at| *at > now)?;
    short.then(|| Duration::try_from(reset.duration_since(now)).unwrap_or(LEAVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_comes_first() {
        let now = Timestamp::from_second(1_000).unwrap();
        let reset = Timestamp::from_second(1_600).unwrap();
        let window = Some(SignedDuration::from_hours(1));
        let budget = |remaining| Budget { limit: 1_000, remaining, reset_at: Some(reset), window };
        assert_eq!(out_of_budget(budget(399), now), Some(Duration::from_secs(600)));
        assert_eq!(out_of_budget(budget(400), now), None);
        assert_eq!(
            share_of(Some(budget(900)), 10),
            Duration::from_secs(360),
            "a tenth of an hour's thousand"
        );
        assert_eq!(share_of(None, 10), POLITE);
    }
}
