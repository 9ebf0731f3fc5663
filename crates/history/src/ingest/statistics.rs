//! What a batch adds to the daily statistics, and takes out of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{Job, Status};

use super::Runs;
use super::branches::Apart;
use crate::calendar::LEVELS;
use crate::merge::{Attempt, Attempts, is_first};
use crate::reading::Numbers;
use crate::roll::{Flow, Group, GroupKey, Kind, Roll, RollKey, Sketch, TIMELINE_DAYS, Timeline, Verdict};
use crate::store::Writing;
use crate::text::{commit_key, is_remedy};
use crate::{Day, Result};

/// What is counted, by kind, project and day.
pub(super) type Days = BTreeMap<(Kind, i32, i32), Roll>;

/// What changes beside the runs of a batch, as branches come to statistics of their own.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What they take along.
    pub(super) days: Days,
    /// Timelines that they stand on: project, block.
    pub(super) timelines: BTreeSet<(i32, i32)>,
}

/// A run's place on a timeline (branch and lane), its key, and what stands there from now on.
type Move = ((i32, i32), i64, Option<Verdict>);

/// What an attempt adds to the statistics of its run's day, under its branch: runs, then jobs. `first`: no earlier one of
/// its run is known.
pub(super) fn shares(first: bool, attempt: &Attempt, numbers: &Numbers) -> [Vec<(GroupKey, Group)>; 2] {
    let p = &attempt.pipeline;
    let branch = p.branch.as_deref().map_or(0, |b| numbers.word(b));
    let mut group = Group::default();
    if first {
        count(&mut group, p.status);
        if p.status.is_verdict() {
            group.durations = sketch(p.duration);
        }
        group.queued = match (p.queued, p.created_at, p.started_at) {
            (Some(queued), ..) => sketch(Some(queued)),
            (None, Some(created), Some(started)) => {
                Sketch::of(started.as_millisecond() - created.as_millisecond())
            }
            _ => Sketch::default(),
        };
        if let Some(began) = p.began() {
            let hour = began.as_millisecond().div_euclid(60 * 60 * 1000).rem_euclid(24) as u8;
            let hour_of_week = Day::of(began).weekday() * 24 + hour;
            group.hours.insert(hour_of_week, (1, i64::from(p.status == Status::Failed)));
        }
    } else {
        group.further = 1;
    }
    let mut runs = vec![((branch, numbers.word(&p.workflow.lane)), group)];

    let mut jobs: Vec<(GroupKey, Group)> = Vec::new();
    let mut in_order: Vec<&Job> = attempt.jobs().collect();
    in_order.sort_by_key(|job| (job.created_at, job.started_at));
    let mut names = BTreeSet::new();
    for job in in_order {
        let name = numbers.word(&job.name);
        let mut group = Group::default();
        // Of jobs of one name the others are tries of the first: a run has the job once.
        if first && names.insert(name) {
            count(&mut group, job.status);
            if job.status.is_verdict() {
                group.durations = sketch(job.duration);
            }
        } else {
            group.further = 1;
        }
        jobs.push(((branch, name), group));
    }
    for (job, reason) in causes(attempt, numbers) {
        let failed = Group { reasons: BTreeMap::from([(reason, 1)]), ..Group::default() };
        match job {
            0 => runs.push(((branch, numbers.word(&p.workflow.lane)), failed)),
            job => jobs.push(((branch, job), failed)),
        }
    }
    [runs, jobs]
}

/// Why an attempt failed: numbers of jobs' names (0: the run as a whole) and of their reasons (0: none was told), each once.
/// What a run says of its failure is its jobs' in other words, and counts where none of them says it.
/// `store::Cause` finds the attempts again.
fn causes(attempt: &Attempt, numbers: &Numbers) -> BTreeSet<(i32, i32)> {
    let p = &attempt.pipeline;
    let failed = || attempt.jobs().filter(|job| job.status == Status::Failed);
    let tells = |job: &Job| job.failure_reason.as_ref().is_some_and(|r| !r.is_empty());
    let own = p.failure.as_deref().filter(|f| !f.is_empty() && p.status == Status::Failed);
    match own.filter(|_| !failed().any(tells)) {
        Some(failure) => BTreeSet::from([match attempt.of_job() {
            Some((job, reason)) => (numbers.word(job), numbers.reason(reason)),
            None => (0, numbers.reason(Some(failure))),
        }]),
        None => failed()
            .map(|job| (numbers.word(&job.name), numbers.reason(job.failure_reason.as_deref())))
            .collect(),
    }
}

fn count(group: &mut Group, status: Status) {
    if let Some(at) = Status::ALL.iter().position(|s| *s == status) {
        group.counts[at] += 1;
    }
}

fn sketch(d: Option<std::time::Duration>) -> Sketch {
    d.map_or_else(Sketch::default, |d| Sketch::of(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
}

/// A run's place on the timeline: its newest attempt that came to a verdict.
fn verdict(run: i64, attempts: &Attempts, numbers: &Numbers) -> Option<((i32, i32), i32, Verdict)> {
    let attempt = attempts.values().rev().find(|a| a.pipeline.status.is_verdict())?;
    let p = &attempt.pipeline;
    let began = p.began().unwrap_or_else(|| attempt.day.start()).as_millisecond();
    let took = match (p.finished_at, p.duration) {
        (Some(finished), _) => finished.as_millisecond() - began,
        (None, Some(duration)) => i64::try_from(duration.as_millis()).unwrap_or_default(),
        (None, None) => 0,
    };
    let key = (p.branch.as_deref().map_or(0, |b| numbers.word(b)), numbers.word(&p.workflow.lane));
    let green = p.status.is_green();
    let verdict = Verdict {
        began_ms: began,
        run,
        took_ms: took.max(0),
        green,
        remedy: p.message.as_deref().is_some_and(is_remedy),
        commit: p.sha.as_deref().filter(|_| green).map_or(0, commit_key),
        lead_ms: p
            .finished_at
            .zip(attempt.committed_at)
            .filter(|_| green)
            .map(|(finished, committed)| (finished.as_millisecond() - committed.as_millisecond()).max(0)),
    };
    Some((key, attempt.day.0.div_euclid(TIMELINE_DAYS), verdict))
}

/// From days of projects to blocks of every length, of projects and of sources.
fn differences(by_day: Days, sources: &HashMap<i32, i32>) -> BTreeMap<RollKey, Roll> {
    let mut all: BTreeMap<RollKey, Roll> = BTreeMap::new();
    for ((kind, project, day), roll) in by_day {
        for (level, days) in (0..).zip(LEVELS) {
            let at = |kind, scope| RollKey { kind, level, scope, block: day.div_euclid(days) };
            all.entry(at(kind, project)).or_default().merge(&roll);
            if kind == Kind::Runs {
                let source = sources.get(&project).copied().unwrap_or_default();
                let whole = all.entry(at(Kind::Source, source)).or_default();
                for ((branch, _), group) in &roll.0 {
                    whole.add((*branch, 0), group, 1);
                }
            }
        }
    }
    all
}

/// Writes what a batch changes in the statistics, and says where. A run counts once: under its branch, if that is `apart`, else under 0.
pub(super) async fn put_statistics<T: Writing>(
    tx: &mut T,
    runs: &Runs,
    sources: &HashMap<i32, i32>,
    numbers: &Numbers,
    (apart, taken): (&Apart, Taken),
) -> Result<Vec<RollKey>> {
    let mut by_day = taken.days;
    let timeline = |(scope, block)| RollKey { kind: Kind::Timeline, level: 0, scope, block };
    let mut moves: BTreeMap<RollKey, Vec<Move>> =
        taken.timelines.into_iter().map(|place| (timeline(place), Vec::new())).collect();
    for ((project, run_number), run) in runs {
        let source = sources.get(project).copied().unwrap_or_default();
        for (attempts, others, sign) in [(&run.before, &run.after, -1), (&run.after, &run.before, 1)] {
            for (number, attempt) in attempts {
                let first = is_first(*number, attempts);
                if others.get(number) == Some(attempt) && first == is_first(*number, others) {
                    continue;
                }
                for (kind, groups) in
                    [Kind::Runs, Kind::Jobs].into_iter().zip(shares(first, attempt, numbers))
                {
                    if groups.is_empty() {
                        continue;
                    }
                    let roll = by_day.entry((kind, *project, attempt.day.0)).or_default();
                    for ((branch, key), group) in groups {
                        let branch = if apart.contains(&(source, branch)) { branch } else { 0 };
                        roll.add((branch, key), &group, sign);
                    }
                }
            }
        }
        let (old, new) =
            (verdict(*run_number, &run.before, numbers), verdict(*run_number, &run.after, numbers));
        if old != new {
            let at = |block| timeline((*project, block));
            if let Some((key, block, _)) = old {
                moves.entry(at(block)).or_default().push((key, *run_number, None));
            }
            if let Some((key, block, verdict)) = new {
                moves.entry(at(block)).or_default().push((key, *run_number, Some(verdict)));
            }
        }
    }
    let mut differences = differences(by_day, sources);
    differences.retain(|_, roll| !roll.tidy());

    let keys: Vec<RollKey> = differences.keys().chain(moves.keys()).copied().collect();
    let known: HashMap<RollKey, Vec<u8>> = tx.rolls(&keys).await?.into_iter().collect();
    let mut put = Vec::with_capacity(keys.len());
    for (key, difference) in differences {
        let bytes = match known.get(&key) {
            Some(bytes) => {
                let mut roll = Roll::from_bytes(bytes)?;
                roll.merge(&difference);
                if roll.tidy() { None } else { Some(roll.to_bytes()) }
            }
            None => Some(difference.to_bytes()),
        };
        put.push((key, bytes));
    }
    let mut timelines = Vec::with_capacity(moves.len());
    for (key, moves) in moves {
        let mut timeline = match known.get(&key) {
            Some(bytes) => Timeline::from_bytes(bytes)?,
            None => Timeline::default(),
        };
        for (place, run, verdict) in moves {
            match verdict {
                Some(verdict) => timeline.put(place, verdict),
                None => timeline.take(place, run),
            }
        }
        timelines.push((key, timeline));
    }
    // Of all that stand there, also before this batch.
    let branches: BTreeSet<i32> = timelines.iter().flat_map(|(_, t)| t.0.keys().map(|(b, _)| *b)).collect();
    let apart: Apart = tx.apart(&branches.into_iter().collect::<Vec<_>>()).await?.into_iter().collect();
    for (key, timeline) in timelines {
        let source = sources.get(&key.scope).copied().unwrap_or_default();
        let flow = || Flow::of(&timeline, key.block, |branch| apart.contains(&(source, branch))).to_bytes();
        let is_there = !timeline.0.is_empty();
        put.push((RollKey { kind: Kind::Flow, ..key }, is_there.then(flow)));
        put.push((key, is_there.then(|| timeline.to_bytes())));
    }
    tx.put_rolls(&put).await?;
    Ok(put.into_iter().map(|(key, _)| key).collect())
}
