//! How a report changes what is known of a run. Pure; never backwards, whatever the order of arrival.
//!
//! What is newer is decided by `domain::Pipeline::is_older_than`, as on the board. A report that is older than what is
//! known changes nothing that is known, but what nobody has told yet is taken from it.
//!
//! A re-run is a further attempt of its run. Where the platform counts attempts, its count holds. Where it does not
//! (GitLab keeps the id and leaves a terminal state), a run that was at an end and is at work again has begun another.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{Completeness, Job, Pipeline, Timestamp};

use crate::Day;
use crate::text::{job_and_reason, key_of};

/// Durations are kept up to this: 24 days, more than any platform lets a run work.
pub const MAX_DURATION: Duration = Duration::from_millis(i32::MAX as u64);

/// An attempt of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// As it was last told.
    pub pipeline: Pipeline,
    /// Whether the platform counts attempts.
    pub counted: bool,
    /// The day under which the run stands.
    pub day: Day,
    /// When its commit was made.
    pub committed_at: Option<Timestamp>,
    /// Its jobs by key; `None`: none were ever told.
    pub jobs: Option<BTreeMap<i64, Job>>,
}

impl Attempt {
    /// Its jobs, as far as they are known.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().flat_map(BTreeMap::values)
    }

    /// What the run tells of its failure, as a job and its reason, where it is of that form.
    pub(crate) fn of_job(&self) -> Option<(&str, Option<&str>)> {
        job_and_reason(self.pipeline.failure.as_deref()?, self.jobs().map(|j| j.name.as_str()))
    }
}

/// All attempts of a run, by their number.
pub type Attempts = BTreeMap<i16, Attempt>;

/// Whether it is the first attempt that is known of its run. Platforms list a run by its newest attempt, so that of one that
/// was tried again before anybody saw it the earlier attempts are never told: counted by number it would be in no figure.
pub(crate) fn is_first(number: i16, of: &Attempts) -> bool {
    of.first_key_value().is_none_or(|(first, _)| *first >= number)
}

/// A report.
#[derive(Debug, Clone)]
pub struct Report {
    /// The run as told.
    pub pipeline: Pipeline,
    /// Its jobs, where told.
    pub jobs: Option<Vec<Job>>,
    /// When its commit was made, where told.
    pub committed_at: Option<Timestamp>,
    /// When it was seen.
    pub seen_at: Timestamp,
}

fn ms(at: Option<Timestamp>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::from_millisecond(at.as_millisecond()).ok())
}

fn bounded(d: Option<Duration>) -> Option<Duration> {
    d.map(|d| Duration::from_millis(d.min(MAX_DURATION).as_millis() as u64))
}

/// To a tenth of a second, as jobs' times are kept.
fn tenths(at: Option<Timestamp>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::from_millisecond(at.as_millisecond().div_euclid(100) * 100).ok())
}

/// A run in the precision in which it is kept: milliseconds.
#[must_use]
pub fn kept_run(pipeline: Pipeline) -> Pipeline {
    let mut p = pipeline.bounded();
    p.created_at = ms(p.created_at);
    p.started_at = ms(p.started_at);
    p.finished_at = ms(p.finished_at);
    p.updated_at = ms(p.updated_at);
    p.duration = bounded(p.duration);
    p.queued = bounded(p.queued);
    p.expected = bounded(p.expected);
    p.number = p.number.filter(|n| i64::try_from(*n).is_ok());
    p
}

/// A job in the precision in which it is kept: tenths of a second, durations in milliseconds.
#[must_use]
pub fn kept_job(job: Job) -> Job {
    let mut j = job.bounded();
    j.created_at = tenths(j.created_at);
    j.started_at = tenths(j.started_at);
    j.finished_at = tenths(j.finished_at);
    j.duration = bounded(j.duration);
    j.queued = bounded(j.queued);
    j
}

/// Merges a report. Whether it changed anything.
pub fn merge(known: &mut Attempts, report: Report) -> bool {
    let Report { pipeline, jobs, committed_at, seen_at } = report;
    let mut pipeline = kept_run(pipeline);
    let newest = known.last_key_value().map(|(n, _)| *n);
    let told = pipeline.attempt.and_then(|n| i16::try_from(n).ok()).filter(|n| *n > 0);
    pipeline.attempt = told.and_then(|n| u32::try_from(n).ok());
    let number = match (told, newest) {
        (Some(told), _) => told,
        (None, None) => 1,
        (None, Some(newest)) => {
            let before = &known[&newest].pipeline;
            let again =
                before.status.is_terminal() && pipeline.status.is_active() && !pipeline.is_older_than(before);
            // Bounded by its type, as nobody starts a run over that often.
            if again { newest.saturating_add(1) } else { newest }
        }
    };
    let before = known.clone();
    match known.get_mut(&number) {
        Some(attempt) => {
            attempt.pipeline = if pipeline.is_older_than(&attempt.pipeline) {
                attempt.pipeline.clone().filled_from(&pipeline)
            } else {
                pipeline.filled_from(&attempt.pipeline)
            };
            attempt.counted |= told.is_some();
            attempt.committed_at = attempt.committed_at.or(ms(committed_at));
            merge_jobs(&mut attempt.jobs, jobs);
        }
        None => {
            let mut kept = None;
            merge_jobs(&mut kept, jobs);
            let attempt = Attempt {
                pipeline,
                counted: told.is_some(),
                day: Day::of(seen_at),
                committed_at: ms(committed_at),
                jobs: kept,
            };
            known.insert(number, attempt);
        }
    }
    share(known);
    *known != before
}

/// Whose run it is does not change between attempts; how it went does.
fn share(known: &mut Attempts) {
    let all: Vec<(i16, Pipeline, Option<Timestamp>)> = match known.len() {
        // Nearly all runs: there is nobody to share with.
        0 | 1 => Vec::new(),
        _ => known.iter().rev().map(|(n, a)| (*n, a.pipeline.clone(), a.committed_at)).collect(),
    };
    for (number, attempt) in known.iter_mut() {
        for (_, other, committed_at) in all.iter().filter(|(n, ..)| n != number) {
            let own = attempt.pipeline.attempt;
            // Of another state, so that nothing of how it went is taken over.
            let other =
                Pipeline { native_status: String::new(), completeness: Completeness::Row, ..other.clone() };
            attempt.pipeline = attempt.pipeline.clone().filled_from(&other);
            attempt.pipeline.attempt = own;
            attempt.committed_at = attempt.committed_at.or(*committed_at);
        }
        if let Some(began) = attempt.pipeline.began() {
            attempt.day = Day::of(began);
        }
    }
}

/// Jobs have no time of their own news: one that is further on is newer, and of two that are equally far the later told.
fn merge_jobs(known: &mut Option<BTreeMap<i64, Job>>, told: Option<Vec<Job>>) {
    let Some(told) = told else { return };
    let known = known.get_or_insert_default();
    for job in told.into_iter().map(kept_job) {
        let key = key_of(job.id.as_str());
        let older = |known: &Job| matches!((job.status.progress(), known.status.progress()), (Some(new), Some(old)) if new < old);
        if !known.get(&key).is_some_and(older) {
            known.insert(key, job);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{JobId, RunId, Status};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn run(status: Status, updated: i64) -> Pipeline {
        Pipeline {
            created_at: Some(at(0)),
            updated_at: Some(at(updated)),
            ..Pipeline::new(RunId::from(7), status, status.as_str())
        }
    }

    fn told(known: &mut Attempts, pipeline: Pipeline) -> bool {
        merge(known, Report { pipeline, jobs: None, committed_at: None, seen_at: at(0) })
    }

    #[test]
    fn older_news_fill_gaps_only() {
        let mut known = Attempts::new();
        assert!(told(&mut known, run(Status::Success, 9)));
        assert!(told(&mut known, Pipeline { branch: Some("main".into()), ..run(Status::Running, 3) }));
        let kept = &known[&1].pipeline;
        assert_eq!(
            (kept.status, kept.branch.as_deref(), kept.updated_at),
            (Status::Success, Some("main"), Some(at(9)))
        );
        assert!(!told(&mut known, run(Status::Running, 3)), "nothing new");
    }

    #[test]
    fn a_run_at_work_again_is_another_attempt() {
        let mut known = Attempts::new();
        told(&mut known, run(Status::Failed, 5));
        told(&mut known, run(Status::Running, 9));
        told(&mut known, run(Status::Success, 12));
        let states: Vec<_> = known.values().map(|a| a.pipeline.status).collect();
        assert_eq!(states, [Status::Failed, Status::Success]);
        assert!(!told(&mut known, run(Status::Running, 3)), "late news begin no attempt");
        assert_eq!(known.len(), 2);
    }

    #[test]
    fn counted_attempts_come_in_any_order() {
        let mut known = Attempts::new();
        told(&mut known, Pipeline { attempt: Some(2), sha: Some("a".into()), ..run(Status::Success, 20) });
        told(&mut known, Pipeline { attempt: Some(1), ..run(Status::Failed, 5) });
        assert_eq!(known[&1].pipeline.status, Status::Failed);
        assert_eq!(known[&1].pipeline.sha.as_deref(), Some("a"), "of one commit");
        assert_eq!(known[&1].pipeline.updated_at, Some(at(5)));
        assert_eq!(known[&2].pipeline.status, Status::Success);
    }

    #[test]
    fn jobs_stay_and_do_not_go_back() {
        let job = |id: u64, status: Status| Job::new(JobId::from(id), "build", status, status.as_str());
        let mut known = Attempts::new();
        for jobs in [vec![job(1, Status::Failed)], vec![job(2, Status::Success), job(1, Status::Running)]] {
            merge(
                &mut known,
                Report {
                    pipeline: run(Status::Running, 1),
                    jobs: Some(jobs),
                    committed_at: None,
                    seen_at: at(0),
                },
            );
        }
        let states: Vec<_> = known[&1].jobs.as_ref().unwrap().values().map(|j| j.status).collect();
        assert_eq!(states, [Status::Failed, Status::Success]);
    }
}
