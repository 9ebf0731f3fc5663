//! The state of projects: asked for, put onto the board as each answer comes, and told to the schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use connector::{Error, Extent, Heads, HeadsAsk};
use domain::{NativeId, ProjectKey, Timestamp};
use futures::StreamExt as _;

use super::{Refresher, known};
use crate::board::{Observation, Seen};
use crate::schedule::{Answer, Known, Reading, Scheduler};

/// So many projects that could not be read, one after the other and because the platform failed, are not these projects' trouble.
const NOT_THEIRS: usize = 3;

/// What came of a question about some projects.
#[derive(Debug, Default)]
struct Answered {
    who: BTreeSet<NativeId>,
    /// Of these, about whom nothing could be told because the platform failed.
    failed: BTreeSet<NativeId>,
    /// How it did.
    why: Option<Error>,
}

impl Refresher {
    /// Reads these projects.
    pub(super) async fn read(&self, projects: &[NativeId], reading: Reading) -> Result<(), Error> {
        let asks = self.asks(projects, |mut ask| {
            ask.full = reading != Reading::News;
            if reading == Reading::Urgent {
                // Something moved, whatever the last listing said: the branch is read again too.
                ask.known_head = None;
            }
            ask
        });
        let asked_at = self.now();
        let answered = self.ask(asks, asked_at, |s, id, known, whole, answer| {
            // News may be answered with everything.
            let reading = if whole && reading == Reading::News { Reading::Whole } else { reading };
            s.read(id, known, reading, answer, asked_at);
        });
        let answered = answered.await?;
        self.schedule.with(|s| {
            for id in projects.iter().filter(|id| !answered.who.contains(*id)) {
                // It left meanwhile; or a connector forgot it, and is not asked for it again at once.
                let gone = self.hub.read(|p| p.board.get(&self.key(id)).is_none());
                if gone {
                    s.forget(id);
                } else {
                    let why = "the platform's answer did not tell of it".to_owned();
                    s.read(id, Default::default(), reading, Answer::Failed(why), asked_at);
                }
            }
        });
        self.judge(answered)
    }

    /// Whether the platform fails on every project, in this piece of work or over several: then that is its trouble.
    ///
    /// # Errors
    /// What the platform said last, where that is so.
    fn judge(&self, answered: Answered) -> Result<(), Error> {
        let asked = self.schedule.with(|s| s.standing().asked);
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(why) = answered.why.filter(|_| answered.failed.len() == answered.who.len()) else {
            failed.clear();
            return Ok(());
        };
        failed.extend(answered.failed);
        if failed.len() < NOT_THEIRS.min(asked) {
            return Ok(());
        }
        failed.clear();
        Err(why)
    }

    /// Takes what a listing told.
    pub(super) async fn read_told(
        &self,
        mut told: BTreeMap<NativeId, Heads>,
        asked_at: Timestamp,
    ) -> Result<(), Error> {
        let projects: Vec<NativeId> = told.keys().cloned().collect();
        let asks = self.asks(&projects, |mut ask| {
            ask.told = told.remove(&ask.project.key.id);
            ask
        });
        self.ask(asks, asked_at, |s, id, known, _, answer| s.told(id, known, answer, asked_at))
            .await
            .map(drop)
    }

    /// The board has no jobs; history has, and where they came along nobody has to ask for them.
    fn tell_jobs(&self, key: &ProjectKey, heads: &mut Heads) {
        let mut jobs = std::mem::take(&mut heads.jobs);
        let Some(archive) = &self.archive else { return };
        for run in &heads.pipelines {
            if let Some(jobs) = jobs.take(&run.id) {
                archive.tell_jobs(key, run, jobs);
            }
        }
    }

    fn key(&self, id: &NativeId) -> ProjectKey {
        ProjectKey::new(self.source().clone(), id.clone())
    }

    fn asks(&self, projects: &[NativeId], made: impl FnMut(HeadsAsk) -> HeadsAsk) -> Vec<HeadsAsk> {
        self.hub.read(|p| {
            let ask = |id: &NativeId| {
                let entry = p.board.get(&self.key(id))?;
                known(entry)?;
                let key = &entry.project.key;
                let counted_at = p.work.counted(key).map(|(_, at)| at);
                Some(HeadsAsk { counted_at, ..p.board.ask(key)? })
            };
            projects.iter().filter_map(ask).map(made).collect()
        })
    }

    /// Asks, and puts each answer onto the board as it comes. Gives back who answered; `say` hears of
    /// each whether that was the whole state.
    async fn ask(
        &self,
        asks: Vec<HeadsAsk>,
        asked_at: Timestamp,
        say: impl Fn(&mut Scheduler, &NativeId, Known, bool, Answer),
    ) -> Result<Answered, Error> {
        let mut answered = Answered::default();
        let mut states = self.connector.branch_heads(asks);
        while let Some((key, state)) = states.next().await {
            let (mut moved, mut whole) = (false, false);
            let (seen, failed) = match state {
                Ok(mut heads) => {
                    self.tell_jobs(&key, &mut heads);
                    if let Some(open) = heads.open_merge_requests {
                        self.hub.keep(Some(&key), |work| {
                            work.count(&key, open, asked_at);
                            false
                        });
                    }
                    (moved, whole) = (heads.extent == Extent::Moved, heads.extent == Extent::Whole);
                    (Seen::Heads(key.clone(), Box::new(heads)), None)
                }
                Err(error) if error.concerns_source() => return Err(error),
                Err(error) => {
                    let problem = error.to_problem();
                    let why = problem.text.clone();
                    if matches!(error, Error::Server(_)) {
                        answered.failed.insert(key.id.clone());
                        answered.why = Some(error);
                    }
                    (Seen::Unreadable(key.clone(), problem), Some(why))
                }
            };
            let changed = !self.hub.observe(Observation { asked_at, seen }).is_empty();
            let answer = match failed {
                Some(why) => Answer::Failed(why),
                None if moved => Answer::Moved,
                None if changed => Answer::Changed,
                None => Answer::Unchanged,
            };
            if let Some(Some(known)) = self.hub.read(|p| p.board.get(&key).map(known)) {
                self.schedule.with(|s| say(s, &key.id, known, whole, answer));
            }
            answered.who.insert(key.id);
            self.hub.source(self.source(), |s| {
                if s.last_success_at.is_none() {
                    s.read += 1;
                }
            });
        }
        Ok(answered)
    }
}
