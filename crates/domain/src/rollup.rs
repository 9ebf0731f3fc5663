//! How the runs of one branch become one colour, and why.
//!
//! The newest *completed* run of each workflow decides for that workflow, the worst workflow decides for the branch. A
//! skipped, canceled or manual run does not hide the verdict before it. What goes on now stands beside the outcome and
//! never in its place.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{Activity, Outcome, Patterns, Pipeline, RunId, Status};

/// A workflow whose newest run is this much older than the branch's newest run no longer counts: a dead workflow's last
/// red must not stay for ever, while a branch that is quiet as a whole keeps its colour.
pub const DEAD_WORKFLOW_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Which workflows the platform still has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum WhichWorkflows {
    /// Not known: all count.
    #[default]
    Unknown,
    /// These lanes; runs of any other no longer count.
    Only(BTreeSet<String>),
}

/// What a source's `workflows` and `events` let in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Narrowing {
    /// By the workflow's name; a run without a name is matched as the empty text.
    pub workflows: Patterns,
    /// By what started the run.
    pub events: Patterns,
}

/// A run that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The run.
    pub run: RunId,
    /// Its workflow's lane.
    pub lane: String,
    /// What it says.
    pub outcome: Outcome,
}

/// Why a run had no say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeftOutReason {
    /// It has not ended.
    Active,
    /// It waits for a person.
    Waiting,
    /// Canceled: the verdict before it stands.
    Canceled,
    /// Skipped: the verdict before it stands.
    Skipped,
    /// The platform's word is not known to us and does not say that the run ended: the verdict before it stands.
    Unknown,
    /// Its workflow is gone from the platform.
    WorkflowGone,
    /// Its workflow has not run for [`DEAD_WORKFLOW_AFTER`] while others have.
    WorkflowDead,
    /// The source's `workflows` leave it out.
    WorkflowFiltered,
    /// The source's `events` leave it out.
    EventFiltered,
}

impl LeftOutReason {
    /// The reason, for people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Active => "has not ended",
            Self::Waiting => "waits for a person",
            Self::Canceled => "canceled, so the verdict before it stands",
            Self::Skipped => "skipped, so the verdict before it stands",
            Self::Unknown => "its state is not known, so the verdict before it stands",
            Self::WorkflowGone => "its workflow is gone from the platform",
            Self::WorkflowDead => "its workflow has not run for 30 days while others have",
            Self::WorkflowFiltered => "left out by this source's `workflows`",
            Self::EventFiltered => "left out by this source's `events`",
        }
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
            Self::Unknown => "unknown",
            Self::WorkflowGone => "workflow_gone",
            Self::WorkflowDead => "workflow_dead",
            Self::WorkflowFiltered => "workflow_filtered",
            Self::EventFiltered => "event_filtered",
        }
    }
}

/// A run that had no say, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The run.
    pub run: RunId,
    /// Its workflow's lane.
    pub lane: String,
    /// Why.
    pub reason: LeftOutReason,
}

/// Since when a branch is red.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenSince {
    /// Start of the first red run after the newest green one before it. `None` where the platform gives no times.
    pub at: Option<Timestamp>,
    /// That run: its commit and author are whose it is.
    pub run: RunId,
    /// No green run before it is known: it may have been red for longer.
    pub at_least: bool,
    /// The run that is going on for a newer commit than the newest red one, if any: a fix may be under way.
    pub fix: Option<RunId>,
}

/// The two faces of a branch and how they came to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rollup {
    /// What last completed; `None` when nothing has.
    pub outcome: Option<Outcome>,
    /// What goes on.
    pub activity: Option<Activity>,
    /// The newest run of some workflow waits for a person.
    pub waiting: Option<RunId>,
    /// One run per workflow that counts, worst first.
    pub decided: Vec<Decided>,
    /// Runs newer than the ones that decided, and whole workflows, that had no say.
    pub left_out: Vec<LeftOut>,
    /// Set when the outcome is failed.
    pub broken_since: Option<BrokenSince>,
}

/// One workflow's runs, newest first.
struct Lane<'a> {
    name: &'a str,
    runs: Vec<&'a Pipeline>,
}

impl<'a> Lane<'a> {
    fn newest(&self) -> Option<Timestamp> {
        self.runs.iter().filter_map(|r| r.began()).max()
    }

    /// The run that decides: the newest verdict; failing any, the newest that ended at all.
    fn deciding(&self) -> Option<(usize, &'a Pipeline, Outcome)> {
        let find = |wanted: &dyn Fn(&Pipeline) -> bool| {
            self.runs
                .iter()
                .position(|r| wanted(r))
                .and_then(|i| Some((i, self.runs[i], Outcome::of(self.runs[i].status)?)))
        };
        find(&|r| r.status.is_verdict() || (r.status == Status::Unknown && r.finished_at.is_some()))
            .or_else(|| find(&|r| Outcome::of(r.status).is_some()))
    }

    /// Walks from the deciding red run to the first red one after the newest green before it.
    fn first_red(&self, deciding: usize) -> (&'a Pipeline, bool) {
        let mut first = self.runs[deciding];
        for run in &self.runs[deciding..] {
            match run.status {
                Status::Failed => first = run,
                s if s.is_green() => return (first, false),
                _ => {}
            }
        }
        (first, true)
    }
}

/// Rolls up the runs of one branch. The order of `runs` does not matter; runs of other branches do not belong here.
#[must_use]
pub fn roll_up<'a>(
    runs: impl IntoIterator<Item = &'a Pipeline>,
    narrowing: &Narrowing,
    workflows: &WhichWorkflows,
) -> Rollup {
    let mut lanes: BTreeMap<&str, Vec<&Pipeline>> = BTreeMap::new();
    for run in runs {
        lanes.entry(run.workflow.lane.as_str()).or_default().push(run);
    }
    let mut rollup = Rollup::default();
    let mut counting = Vec::new();
    for (name, mut runs) in lanes {
        runs.sort_by_cached_key(|r| std::cmp::Reverse(r.age_key()));
        let leave_out = |rollup: &mut Rollup, run: &Pipeline, reason| {
            rollup.left_out.push(LeftOut { run: run.id.clone(), lane: name.to_owned(), reason });
        };
        if let WhichWorkflows::Only(there) = workflows
            && !there.contains(name)
        {
            leave_out(&mut rollup, runs[0], LeftOutReason::WorkflowGone);
            continue;
        }
        if !narrowing.workflows.lets_in(runs[0].workflow.name.as_deref().unwrap_or_default()) {
            leave_out(&mut rollup, runs[0], LeftOutReason::WorkflowFiltered);
            continue;
        }
        let (kept, filtered): (Vec<_>, Vec<_>) =
            runs.into_iter().partition(|r| narrowing.events.lets_in(r.event.as_deref().unwrap_or_default()));
        if let Some(run) = filtered.first() {
            leave_out(&mut rollup, run, LeftOutReason::EventFiltered);
        }
        if !kept.is_empty() {
            counting.push(Lane { name, runs: kept });
        }
    }

    let newest = counting.iter().filter_map(Lane::newest).max();
    let mut broken: Vec<BrokenSince> = Vec::new();
    for lane in counting {
        let dead = matches!((lane.newest(), newest), (Some(mine), Some(newest)) if newest.duration_since(mine) > DEAD_WORKFLOW_AFTER);
        let leave_out = |rollup: &mut Rollup, run: &Pipeline, reason| {
            rollup.left_out.push(LeftOut { run: run.id.clone(), lane: lane.name.to_owned(), reason });
        };
        if dead {
            leave_out(&mut rollup, lane.runs[0], LeftOutReason::WorkflowDead);
            continue;
        }
        if lane.runs[0].status == Status::Manual {
            rollup.waiting.get_or_insert_with(|| lane.runs[0].id.clone());
        }
        rollup.activity = rollup.activity.max(lane.runs.iter().filter_map(|r| Activity::of(r.status)).max());
        let deciding = lane.deciding();
        let before = deciding.as_ref().map_or(lane.runs.len(), |(i, ..)| *i);
        for run in &lane.runs[..before] {
            let reason = match run.status {
                Status::Queued | Status::Running => LeftOutReason::Active,
                Status::Manual => LeftOutReason::Waiting,
                Status::Canceled => LeftOutReason::Canceled,
                Status::Skipped => LeftOutReason::Skipped,
                Status::Unknown | Status::Success | Status::Warning | Status::Failed => {
                    LeftOutReason::Unknown
                }
            };
            leave_out(&mut rollup, run, reason);
        }
        let Some((index, run, outcome)) = deciding else { continue };
        rollup.decided.push(Decided { run: run.id.clone(), lane: lane.name.to_owned(), outcome });
        if outcome == Outcome::Failed {
            let (first, at_least) = lane.first_red(index);
            let fix = lane.runs[..index]
                .iter()
                .find(|r| r.status.is_active() && r.sha != run.sha)
                .map(|r| r.id.clone());
            broken.push(BrokenSince {
                at: first.started_at.or(first.began()),
                run: first.id.clone(),
                at_least,
                fix,
            });
        }
    }

    rollup.decided.sort_by(|a, b| b.outcome.cmp(&a.outcome).then_with(|| a.lane.cmp(&b.lane)));
    rollup.outcome = rollup.decided.first().map(|d| d.outcome);
    // The oldest red is since when. The branch is being fixed only when every red workflow is.
    let fixed = broken.iter().all(|b| b.fix.is_some());
    rollup.broken_since = broken.into_iter().min_by_key(|b| (b.at.is_none(), b.at));
    if let Some(since) = &mut rollup.broken_since
        && !fixed
    {
        since.fix = None;
    }
    rollup
}
