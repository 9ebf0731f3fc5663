//! What changed on the board, in batches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{Branch, Pipeline, ProblemKind, Project, ProjectKey, RunId, SourceName, Timestamp};
use history::{Batch, History, Known, ProjectNews, Remembered, RunNews, Snapshot};
use jiff::SignedDuration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::backfill::Backfill;
use super::deployments::Reader;
use super::warm::{self, Warmed};
use super::{Archive, MAX_DEPLOYMENTS, MAX_DETAILS, MAX_PAUSE, Taken, locked};
use crate::board::{Entry, MAX_RUNS};
use crate::hub::{Hub, Published};
use crate::refresh::Plan;

/// Changes are collected for so long, so that one batch has what belongs together.
const COLLECT: Duration = Duration::from_millis(500);
/// A batch has no more rows of the board than this, and a run or two more than [`MAX_RUNS`] of each.
const PROJECTS_AT_ONCE: usize = 100;
/// Up to when a project is known is written when it is this much newer, or with other news.
const KNOWN_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// Before a failed batch is tried again; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What is in history of a row of the board: the board's own values, not copies.
#[derive(Debug, Default, Clone)]
pub(super) struct Written {
    project: Option<Arc<Project>>,
    runs: HashMap<RunId, Arc<Pipeline>>,
    head: Option<Branch>,
    known: Option<Known>,
    /// Whether that was looked at since the start: what a process before this one has not fetched is still missing.
    looked_at: bool,
}

impl Written {
    /// What history remembers.
    pub(super) fn of(remembered: &Remembered) -> Self {
        let runs = remembered.runs.iter().map(|r| (r.id.clone(), Arc::new(r.clone())));
        Self {
            project: Some(Arc::new(remembered.project.clone())),
            runs: runs.collect(),
            head: remembered.head.clone(),
            ..Self::default()
        }
    }

    /// All that the board has.
    pub(super) fn of_row(entry: &Entry) -> Self {
        Self {
            project: Some(Arc::clone(&entry.project)),
            runs: entry.runs().iter().map(|r| (r.id.clone(), Arc::clone(r))).collect(),
            head: entry.head().cloned(),
            ..Self::default()
        }
    }

    /// The same, complete between these moments.
    pub(super) fn known_as(self, known: Option<Known>) -> Self {
        Self { known, ..self }
    }
}

/// What there is to write of a row, and what is in history afterwards.
struct News {
    key: ProjectKey,
    after: Option<Written>,
    /// History lacks runs from here on.
    gap: Option<Gap>,
}

/// Runs that history lacks: those since a moment, up to those that the board holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) since: Timestamp,
    /// Those that the board holds go back to there.
    pub(super) from: Timestamp,
    /// What history has when it is filled.
    pub(super) then: Known,
}

/// Writes changes of the board into history.
#[derive(Debug)]
pub(super) struct Writer {
    archive: Arc<Archive>,
    hub: Arc<Hub>,
    backfill: Arc<Backfill>,
    deployments: Arc<Reader>,
    events: tokio::sync::Mutex<Receiver<Arc<Published>>>,
    /// Rows that changed, or left, since they were written.
    dirty: Mutex<BTreeSet<ProjectKey>>,
    written: Mutex<BTreeMap<ProjectKey, Written>>,
}

impl Writer {
    pub(super) fn new(
        archive: Arc<Archive>,
        hub: Arc<Hub>,
        (backfill, deployments): (&Arc<Backfill>, &Arc<Reader>),
    ) -> Self {
        let (_, events) = hub.subscribe();
        Self {
            archive,
            hub,
            backfill: Arc::clone(backfill),
            deployments: Arc::clone(deployments),
            events: tokio::sync::Mutex::new(events),
            dirty: Mutex::default(),
            written: Mutex::default(),
        }
    }

    /// Before the first change: fills the board, unless the platforms have begun to, and learns what history has.
    pub(super) async fn begin(&self, history: &Arc<dyn History>, plans: &[(SourceName, Plan)]) {
        let cold = !*self.archive.warmed.borrow();
        let mut same = BTreeSet::new();
        for (source, plan) in plans {
            let learned = if cold {
                warm::warm(history, &self.hub, source, plan).await
            } else {
                let known = history.watermarks(source).await;
                let unlike = |(key, known)| Warmed {
                    key,
                    written: Written::default().known_as(Some(known)),
                    differs: true,
                };
                known.map(|all| all.into_iter().map(unlike).collect())
            };
            let unfinished = history.unfinished(source).await;
            match learned.and_then(|learned| Ok((learned, unfinished?))) {
                Ok((learned, unfinished)) => self.learn(learned, unfinished, &mut same),
                Err(error) => self.archive.unwell(&error),
            }
        }
        // What was put on the board from history is no news to it; what it does not know at all, is.
        self.drain().await;
        self.all_dirty();
        if cold {
            locked(&self.dirty).retain(|key| !same.contains(key));
        }
    }

    fn learn(
        &self,
        learned: Vec<Warmed>,
        unfinished: Vec<(ProjectKey, Pipeline)>,
        same: &mut BTreeSet<ProjectKey>,
    ) {
        let mut written = locked(&self.written);
        for Warmed { key, written: of_history, differs } in learned {
            if !differs {
                same.insert(key.clone());
            }
            written.insert(key, of_history);
        }
        // Where the board has let them go, how they ended is still to be fetched.
        for (key, run) in unfinished {
            same.remove(&key);
            let runs = &mut written.entry(key).or_default().runs;
            runs.entry(run.id.clone()).or_insert_with(|| Arc::new(run));
        }
    }

    /// Writes what changes, until it is dropped.
    pub(super) async fn run(&self, history: &Arc<dyn History>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let none_told = || locked(&self.archive.deployments).is_empty();
            if locked(&self.dirty).is_empty() && locked(&self.archive.details).is_empty() && none_told() {
                self.wait().await;
            }
            tokio::time::sleep(COLLECT).await;
            match self.flush(history).await {
                Ok(()) => {
                    self.archive.well();
                    pause = FIRST_PAUSE;
                }
                Err(error) => {
                    self.archive.unwell(&error);
                    self.stand();
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
            self.stand();
        }
    }

    fn stand(&self) {
        let (waiting, behind) = (locked(&self.dirty).len(), self.backfill.len());
        self.archive.stand(|s| (s.waiting, s.behind) = (waiting, behind));
    }

    /// Waits for something to write: changes tell; details and webhooks' fates come along, and are looked for now and then.
    async fn wait(&self) {
        const LOOK: Duration = Duration::from_secs(5);
        let mut events = self.events.lock().await;
        let event = tokio::time::timeout(LOOK, events.recv()).await;
        drop(events);
        if let Ok(event) = event {
            self.heard(event.map_err(|e| matches!(e, RecvError::Lagged(_))));
        }
    }

    /// Takes what has been published meanwhile.
    async fn drain(&self) {
        use tokio::sync::broadcast::error::TryRecvError;
        let mut events = self.events.lock().await;
        loop {
            match events.try_recv() {
                Ok(event) => self.heard(Ok(event)),
                Err(TryRecvError::Lagged(_)) => self.heard(Err(true)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn heard(&self, event: Result<Arc<Published>, bool>) {
        match event {
            Ok(event) => {
                locked(&self.dirty).extend(event.changes.iter().map(|c| c.project.clone()));
                if !event.changes.is_empty() {
                    self.archive.waits(true);
                }
            }
            // What was missed may be anything.
            Err(true) => self.all_dirty(),
            Err(false) => {}
        }
    }

    fn all_dirty(&self) {
        let mut all: Vec<ProjectKey> =
            self.hub.read(|p| p.board.entries().map(|e| e.project.key.clone()).collect());
        all.extend(locked(&self.written).keys().cloned());
        if !all.is_empty() {
            self.archive.waits(true);
        }
        locked(&self.dirty).extend(all);
    }

    /// Writes what has been published last, when nothing more will be.
    pub(super) async fn last_word(&self, history: &Arc<dyn History>) {
        if let Err(error) = self.flush(history).await {
            self.archive.unwell(&error);
        }
    }

    /// Writes all that is dirty now, then what became of webhooks: one is said to be applied when what it told is written.
    ///
    /// # Errors
    /// The database's; what was not written is dirty still.
    async fn flush(&self, history: &Arc<dyn History>) -> history::Result<()> {
        // What these told has been published by now.
        let treated = self.archive.what_was_treated();
        self.drain().await;
        self.flush_rows(history).await?;
        self.archive.settle(treated, |treated| async move { history.treat_webhooks(&treated).await }).await?;
        self.archive.waits(false);
        Ok(())
    }

    async fn flush_rows(&self, history: &Arc<dyn History>) -> history::Result<()> {
        loop {
            // They are dirty until they are written, whatever ends this before.
            let keys: Vec<ProjectKey> = locked(&self.dirty).iter().take(PROJECTS_AT_ONCE).cloned().collect();
            let details = Taken::of(&self.archive.details, MAX_DETAILS);
            let told = Taken::of(&self.archive.deployments, MAX_DEPLOYMENTS);
            if keys.is_empty() && details.items.is_empty() && told.items.is_empty() {
                return Ok(());
            }
            self.archive.on_their_way.store(details.items.len() + told.items.len(), Ordering::Relaxed);
            let (mut batch, news) = self.batch(&keys);
            batch.runs.extend(details.items.iter().cloned());
            batch.deployments.extend(told.items.iter().cloned());
            let written = self.archive.write(history, batch).await;
            self.archive.on_their_way.store(0, Ordering::Relaxed);
            written?;
            details.written();
            told.items.iter().for_each(|(key, _)| self.deployments.marks(key));
            told.written();
            locked(&self.dirty).retain(|key| !keys.contains(key));
            self.deployments.moved(&keys);
            let mut written = locked(&self.written);
            for News { key, after, gap } in news {
                if let Some(gap) = gap {
                    self.backfill.add(key.clone(), gap);
                }
                match after {
                    Some(after) => drop(written.insert(key, after)),
                    None => drop(written.remove(&key)),
                }
            }
        }
    }

    fn batch(&self, keys: &[ProjectKey]) -> (Batch, Vec<News>) {
        let now = self.hub.clock().now();
        let mut batch = Batch::at(now);
        let mut news = Vec::with_capacity(keys.len());
        let horizon = self.archive.horizon(now);
        for key in keys {
            let known = locked(&self.written).get(key).cloned();
            let filled = self.backfill.take_known(key);
            self.hub.read(|p| {
                if let Some(source) = p.sources.get(&key.source) {
                    batch.sources.insert(key.source.clone(), source.platform.to_owned());
                }
                let Some(entry) = p.board.get(key) else {
                    if known.is_some_and(|k| k.project.is_some()) {
                        batch.projects.push(ProjectNews::Gone(key.clone()));
                    }
                    news.push(News { key: key.clone(), after: None, gap: None });
                    return;
                };
                let mut known = known.unwrap_or_default();
                known.known = filled.or(known.known);
                news.push(differences(entry, &known, horizon, &mut batch));
            });
        }
        (batch, news)
    }
}

/// What a row has that history has not.
fn differences(entry: &Entry, known: &Written, horizon: Timestamp, batch: &mut Batch) -> News {
    let key = entry.project.key.clone();
    let unfound = entry.runs().is_empty() && entry.problem().is_some_and(|p| p.kind == ProblemKind::NotFound);
    let told = |p: &Arc<Project>| Arc::ptr_eq(p, &entry.project) || **p == *entry.project;
    if !unfound && !known.project.as_ref().is_some_and(told) {
        batch.projects.push(ProjectNews::There(Box::new((*entry.project).clone())));
    }
    let head = entry.head();
    for run in entry.runs() {
        let same = |k: &Arc<Pipeline>| Arc::ptr_eq(k, run) || **k == **run;
        if known.runs.get(&run.id).is_some_and(same) {
            continue;
        }
        let of_head = head.filter(|h| h.sha.is_some() && h.sha == run.sha);
        batch.runs.push(RunNews {
            committed_at: of_head.and_then(|h| h.committed_at),
            ..RunNews::of(key.clone(), (**run).clone())
        });
    }
    if let Some(head) = head
        && known.head.as_ref().is_none_or(|k| k.sha != head.sha)
    {
        batch.snapshots.push(Snapshot { project: key.clone(), branch: head.clone() });
    }
    let (now_known, gap) = completeness(entry, known.known, known.looked_at, horizon);
    let gap = unfinished(entry, known, gap, now_known.or(known.known));
    let newer = |k: &Known| {
        known.known.is_none_or(|before| before.from != k.from || k.to.duration_since(before.to) > KNOWN_EVERY)
    };
    let news = batch.runs.last().is_some_and(|r| r.project == key);
    if let Some(now_known) = now_known.filter(|k| news || newer(k)) {
        batch.watermarks.insert(key.clone(), now_known);
    }
    let after = Written { looked_at: true, ..Written::of_row(entry).known_as(now_known.or(known.known)) };
    News { key, after: (!unfound).then_some(after), gap }
}

/// A run that went on when it was written last, and that the board has let go since: how it ended is fetched.
fn unfinished(entry: &Entry, known: &Written, gap: Option<Gap>, then: Option<Known>) -> Option<Gap> {
    let there: BTreeSet<&RunId> = entry.runs().iter().map(|run| &run.id).collect();
    let gone = known.runs.values().filter(|run| run.status.is_active() && !there.contains(&run.id));
    let Some(since) = gone.filter_map(|run| run.began()).min() else { return gap };
    match (gap, then) {
        (Some(gap), _) => Some(Gap { since: gap.since.min(since), ..gap }),
        // Of what the board holds nothing is missing.
        (None, then) => then.map(|then| Gap { since, from: Timestamp::MIN, then }),
    }
}

/// Between which moments every run of a project is in history once the board's are, and what is missing before that.
fn completeness(
    entry: &Entry,
    known: Option<Known>,
    looked_at: bool,
    horizon: Timestamp,
) -> (Option<Known>, Option<Gap>) {
    let partial = entry.problem().is_some_and(|p| !matches!(p.kind, ProblemKind::NoCi | ProblemKind::Empty));
    // What news tell has holes.
    let Some(whole_at) = entry.whole_at().filter(|_| !entry.is_loading() && !partial) else {
        return (known, None);
    };
    let to = known.map_or(whole_at, |k| k.to.max(whole_at));
    // The newest page has no holes; runs beyond it are of some branches alone.
    let newest: Vec<_> = entry.runs().iter().take(MAX_RUNS).collect();
    let all = entry.total_runs() <= entry.runs().len() as u64 && newest.len() < MAX_RUNS;
    let oldest = newest.iter().filter_map(|r| r.began()).min();
    let from = match oldest {
        _ if all => Timestamp::UNIX_EPOCH,
        Some(oldest) => oldest,
        None => return (known, None),
    };
    match known {
        Some(known) if known.to >= from => {
            let now_known = Known { from: known.from.min(from), to };
            let gap = Gap { since: horizon, from, then: Known { from: horizon, to } };
            (Some(now_known), (!looked_at && now_known.from > horizon).then_some(gap))
        }
        // More happened than the board holds while nobody wrote.
        Some(known) => {
            let then = Known { from: known.from, to };
            (Some(known), Some(Gap { since: known.to, from, then }))
        }
        None => {
            let gap = Gap { since: horizon, from, then: Known { from: horizon, to } };
            (Some(Known { from, to }), (from > horizon).then_some(gap))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Board, Observation, Seen};
    use connector::Heads;
    use domain::{NativeId, PlatformId, Status};

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_750_000_000 + hour * 3600).unwrap()
    }

    fn row(hours: std::ops::Range<i64>, total: u64, asked: i64) -> Board {
        let key = ProjectKey::new(SourceName::new("s").unwrap(), NativeId::new("1"));
        let run = |h: i64| Pipeline {
            created_at: Some(at(h)),
            ..Pipeline::new(RunId::from(h.unsigned_abs()), Status::Success, "success")
        };
        let mut board = Board::new(1);
        let project = Project::named(key.clone(), PlatformId::new("gitlab"), "p");
        board.apply(Observation { asked_at: at(asked), seen: Seen::Projects(vec![project]) });
        let heads =
            Heads { pipelines: hours.map(run).collect(), total_runs: Some(total), ..Heads::default() };
        board.apply(Observation { asked_at: at(asked), seen: Seen::Heads(key, Box::new(heads)) });
        board
    }

    fn of(board: &Board, known: Option<Known>, horizon: i64) -> (Option<Known>, Option<Gap>) {
        completeness(board.entries().next().unwrap(), known, true, at(horizon))
    }

    #[test]
    fn a_first_sight_goes_back_to_the_horizon() {
        let few = row(10..30, 20, 50);
        let all = Known { from: Timestamp::UNIX_EPOCH, to: at(50) };
        assert_eq!(of(&few, None, 0), (Some(all), None), "that is all there is");
        let many = row(100..200, 900, 250);
        let (known, gap) = of(&many, None, 40);
        assert_eq!(known, Some(Known { from: at(100), to: at(250) }));
        let then = Known { from: at(40), to: at(250) };
        assert_eq!(gap, Some(Gap { since: at(40), from: at(100), then }));
        assert_eq!(of(&many, None, 150).1, None, "the board's runs reach further back");
    }

    #[test]
    fn how_a_run_ended_that_the_board_let_go_is_fetched() {
        let board = row(100..200, 900, 250);
        let entry = board.entries().next().unwrap();
        let run = |hour: i64, status| Pipeline {
            created_at: Some(at(hour)),
            ..Pipeline::new(RunId::from(hour.unsigned_abs()), status, "word")
        };
        let then = Known { from: at(0), to: at(250) };
        let written = |runs: Vec<Pipeline>| Written {
            runs: runs.into_iter().map(|r| (r.id.clone(), Arc::new(r))).collect(),
            ..Written::default()
        };
        let of = |runs| unfinished(entry, &written(runs), None, Some(then));
        let ended = run(70, Status::Failed);
        assert_eq!(
            of(vec![run(150, Status::Running), ended.clone()]),
            None,
            "the board has it, or it has ended"
        );
        let gap = of(vec![run(80, Status::Running), run(90, Status::Queued), ended]);
        assert_eq!(gap, Some(Gap { since: at(80), from: Timestamp::MIN, then }));
    }

    #[test]
    fn news_alone_are_not_complete() {
        let key = ProjectKey::new(SourceName::new("s").unwrap(), NativeId::new("1"));
        let mut board = Board::new(1);
        let project = Project::named(key.clone(), PlatformId::new("gitlab"), "p");
        board.apply(Observation { asked_at: at(50), seen: Seen::Projects(vec![project]) });
        let run = Pipeline {
            created_at: Some(at(40)),
            ..Pipeline::new(RunId::from(40), Status::Success, "success")
        };
        let heads = Heads { extent: connector::Extent::News, pipelines: vec![run], ..Heads::default() };
        board.apply(Observation { asked_at: at(50), seen: Seen::Heads(key, Box::new(heads)) });
        let entry = board.entries().next().unwrap();
        assert!(!entry.is_loading() && entry.total_runs() > 1, "there may be more");
        assert_eq!(completeness(entry, None, false, at(0)), (None, None));
    }

    #[test]
    fn a_gap_is_what_neither_board_nor_history_has() {
        let board = row(100..200, 900, 250);
        let known = |to: i64| Some(Known { from: at(0), to: at(to) });
        assert_eq!(of(&board, known(150), 40), (Some(Known { from: at(0), to: at(250) }), None));
        let young = Some(Known { from: at(90), to: at(150) });
        let entry = board.entries().next().unwrap();
        let unfinished = completeness(entry, young, false, at(40)).1.map(|g| g.since);
        assert_eq!(unfinished, Some(at(40)), "the process before this one ended while it fetched");
        assert_eq!(completeness(entry, young, true, at(40)).1, None);
        let (stays, gap) = of(&board, known(60), 40);
        assert_eq!(stays, known(60), "until it is filled");
        let then = Known { from: at(0), to: at(250) };
        assert_eq!(gap, Some(Gap { since: at(60), from: at(100), then }));
    }
}
