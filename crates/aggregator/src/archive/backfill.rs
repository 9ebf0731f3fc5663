//! Fetches what history lacks: runs before a project was first seen, and those of a time when nobody wrote. Newest project
//! first, one question at a time for each source, and never more than a share of the rate limit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector::http::Budget;
use connector::{Connector, Error, PipelineQuery, Registry};
use domain::{Pipeline, Project, ProjectKey, SourceName, Timestamp};
use history::{Batch, History, Known, RunNews};
use jiff::SignedDuration;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::writer::Gap;
use super::{Archive, locked, per_source};
use crate::hub::Hub;

/// How many runs of a project one question is for, newest first; further questions go on where it ended. Less than any
/// connector reads at once, so that an answer that is cut is cut by this.
const MAX_RUNS: usize = 4_000;
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
/// The longest pause before a project that could not be read is asked about again; the first is [`LEAVE`], each further one is
/// twice as long.
const MAX_LEAVE: Duration = Duration::from_secs(6 * 60 * 60);
/// What comes in part so many times is taken as it is, and the rest is asked for.
const MAX_IN_PART: u32 = 3;
/// A project whose runs are refused is asked about again after so long, or when its source was set otherwise: a token may be
/// allowed more by then.
const REFUSED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A project of which history lacks something.
#[derive(Debug, Clone)]
struct Want {
    gap: Gap,
    /// What began after this has been fetched; `None` before the first answer.
    until: Option<Timestamp>,
    /// Rises when it is to be fetched from the newest on again.
    round: u32,
    failures: u32,
    /// Not before then.
    after: Option<Instant>,
    /// The platform refuses it; nobody waits for it.
    refused: bool,
}

impl Want {
    const fn of(gap: Gap) -> Self {
        Self { gap, until: None, round: 0, failures: 0, after: None, refused: false }
    }

    /// More is missing, or the same is said anew.
    fn grow(&mut self, gap: Gap) {
        if gap.from > self.gap.then.to {
            // What came in between has left the board before it was written.
            self.until = None;
            self.round += 1;
        }
        self.gap = Gap {
            since: self.gap.since.min(gap.since),
            from: gap.from,
            then: Known {
                from: self.gap.then.from.min(gap.then.from),
                to: self.gap.then.to.max(gap.then.to),
            },
        };
    }

    /// All down to this moment is there.
    const fn reached(&mut self, at: Timestamp) {
        self.until = Some(at);
        self.failures = 0;
        self.after = None;
    }

    /// It could not be had, or in part, down to `reached`.
    fn failed(&mut self, error: &Error, reached: Option<Timestamp>, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if matches!(error, Error::Refused(_) | Error::NotFound(_) | Error::Forbidden(_) | Error::Legal(_)) {
            self.refused = true;
            self.after = Some(now + REFUSED_FOR);
            return;
        }
        self.refused = false;
        let further = reached.filter(|at| self.until.is_none_or(|until| *at < until));
        match further {
            Some(at) if self.failures >= MAX_IN_PART => self.reached(at),
            _ => {
                let pause = LEAVE.saturating_mul(1 << (self.failures - 1).min(16));
                self.after = Some(now + pause.min(MAX_LEAVE));
            }
        }
    }
}

/// What a question brought.
enum Came {
    /// All that was missing.
    All,
    /// As many as were asked for, down to this moment.
    DownTo(Timestamp),
    /// Some, down to this moment if to any, and why not more.
    InPart(Option<Timestamp>, String),
}

/// What history lacks, and who fetches it.
#[derive(Debug)]
pub(super) struct Backfill {
    archive: Arc<Archive>,
    hub: Arc<Hub>,
    connectors: Arc<Registry>,
    /// How many runs are asked for at once.
    most: usize,
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
            most: MAX_RUNS,
            wanted: Mutex::default(),
            filled: Mutex::default(),
            more: Notify::new(),
        }
    }

    /// How many projects wait.
    pub(super) fn len(&self) -> usize {
        locked(&self.wanted).values().filter(|want| !want.refused).count()
    }

    /// A project lacks something. What is wanted of it already may only grow.
    pub(super) fn add(&self, project: ProjectKey, gap: Gap) {
        let mut wanted = locked(&self.wanted);
        wanted.entry(project).and_modify(|want| want.grow(gap)).or_insert_with(|| Want::of(gap));
        drop(wanted);
        self.more.notify_one();
    }

    /// What history has of a project since its gap was filled.
    pub(super) fn take_known(&self, project: &ProjectKey) -> Option<Known> {
        locked(&self.filled).remove(project)
    }

    /// Fetches until it is dropped.
    pub(super) async fn run(&self, history: &Arc<dyn History>) {
        per_source(&self.connectors, |connector| self.of_source(connector, history)).await;
    }

    /// Until it is taken out, or another one stands in its place.
    async fn of_source(&self, connector: Arc<dyn Connector>, history: &Arc<dyn History>) {
        // What was refused to the one before it may not be to this one.
        self.ask_again(connector.source());
        while self.connectors.has(&connector) {
            match self.step(&connector, history).await {
                Some(pause) => tokio::time::sleep(pause).await,
                // Somebody else's may have been meant; it is looked at again before long.
                None => drop(tokio::time::timeout(LEAVE, self.more.notified()).await),
            }
        }
    }

    fn ask_again(&self, source: &SourceName) {
        for (_, want) in
            locked(&self.wanted).iter_mut().filter(|(key, want)| &key.source == source && want.refused)
        {
            *want = Want { refused: false, failures: 0, after: None, ..want.clone() };
        }
    }

    /// Asks for what is missing of one project. How long the source is left alone then; `None` when nothing is to be asked.
    async fn step(&self, connector: &Arc<dyn Connector>, history: &Arc<dyn History>) -> Option<Duration> {
        let (key, want, project) = self.next(connector.source())?;
        if let Some(wait) = connector.budget().and_then(|b| out_of_budget(b, RESERVE, self.hub.clock().now()))
        {
            return Some(wait);
        }
        let spent = connector.traffic().spent;
        let came = self.fetch(connector, history, &key, &want, &project).await;
        let pause = match came {
            Ok(Came::All) => {
                let mut wanted = locked(&self.wanted);
                // More may be missing by now.
                let same = |now: &Want| now.round == want.round && now.gap.since >= want.gap.since;
                if wanted.get(&key).is_some_and(same) {
                    wanted.remove(&key);
                }
                Duration::ZERO
            }
            Ok(Came::DownTo(at)) => {
                self.note(&key, &want, |now| now.reached(at));
                Duration::ZERO
            }
            Ok(Came::InPart(reached, why)) => {
                tracing::debug!(project = %key, problem = why, "earlier runs came in part");
                self.note(&key, &want, |now| now.failed(&Error::Server(why), reached, Instant::now()));
                Duration::ZERO
            }
            Err(Failure::Database(error)) => {
                self.archive.unwell(&error);
                LEAVE
            }
            // It is no project's trouble, and passes.
            Err(Failure::Platform(error)) if error.concerns_source() => LEAVE,
            Err(Failure::Platform(error)) => {
                tracing::debug!(project = %key, %error, "earlier runs are not to be had");
                self.note(&key, &want, |now| now.failed(&error, None, Instant::now()));
                Duration::ZERO
            }
        };
        let asked = connector.traffic().spent.saturating_sub(spent);
        Some(pause.max(share_of(connector.budget(), asked, SHARE)))
    }

    /// Notes what a question about a project came to, unless it is to be fetched anew by now.
    fn note(&self, key: &ProjectKey, asked: &Want, note: impl FnOnce(&mut Want)) {
        if let Some(want) = locked(&self.wanted).get_mut(key).filter(|want| want.round == asked.round) {
            note(want);
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
    ) -> Result<Came, Failure> {
        let (since, until) = (Some(want.gap.since), want.until);
        let query = PipelineQuery { branch: None, since, until, limit: self.most };
        let found = connector.pipelines(project, &query).await.map_err(Failure::Platform)?;
        let oldest = found.items.iter().filter_map(Pipeline::began).min();
        let seen_at = self.hub.clock().now();
        for runs in found.items.chunks(AT_ONCE) {
            let mut batch = Batch::at(seen_at);
            batch.runs = runs.iter().map(|r| RunNews::of(key.clone(), r.clone())).collect();
            self.archive.write(history, batch).await.map_err(Failure::Database)?;
        }
        if found.items.len() >= self.most {
            let further = |at: &Timestamp| *at > want.gap.since && want.until.is_none_or(|until| *at < until);
            if let Some(at) = oldest.filter(further) {
                return Ok(Came::DownTo(at));
            }
        } else if let Some(problem) = found.problems.into_iter().next() {
            return Ok(Came::InPart(oldest, problem.text));
        }
        let known = want.gap.then;
        let mut batch = Batch::at(seen_at);
        batch.watermarks.insert(key.clone(), known);
        self.archive.write(history, batch).await.map_err(Failure::Database)?;
        locked(&self.filled).insert(key.clone(), known);
        Ok(Came::All)
    }
}

enum Failure {
    Platform(Error),
    Database(history::Error),
}

/// How long so many questions are this `share` of the limit.
#[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
pub(super) fn share_of(budget: Option<Budget>, asked: u64, share: f64) -> Duration {
    let Some((budget, window)) = budget.and_then(|b| Some((b, b.window?))) else { return POLITE };
    let seconds = window.as_secs_f64() * asked as f64 / (budget.limit as f64 * share).max(1.0);
    Duration::try_from_secs_f64(seconds).unwrap_or_default().max(Duration::from_millis(10))
}

/// How long to wait for the limit, if what is left of it – less than this part, the `reserve` – is for the board.
pub(super) fn out_of_budget(budget: Budget, reserve: f64, now: Timestamp) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
    let short = (budget.remaining as f64) < budget.limit as f64 * reserve;
    // Without a reset ahead the window is full again, or the platform tells nothing of use.
    let reset = budget.reset_at.filter(|at| *at > now)?;
    short.then(|| Duration::try_from(reset.duration_since(now)).unwrap_or(LEAVE))
}

#[cfg(test)]
mod tests;
