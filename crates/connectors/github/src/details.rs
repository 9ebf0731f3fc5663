//! What a run's jobs tell beyond the run itself: why it failed, whether it passed with warnings, and how long it really
//! worked.

use std::time::Duration;

use connector::wire::between;
use domain::{Completeness, Pipeline, Status, Timestamp};

use crate::{status, wire};

/// A run that GitHub did not even start: it has no jobs.
pub(crate) const STARTUP_FAILURE: &str = "workflow file is invalid or not permitted";

/// The failed jobs that are named before the rest is only counted.
const NAMED_JOBS: usize = 2;

/// Whether a job began: a queued one has its creation in `started_at`, a skipped one the moment it was skipped.
pub(crate) fn has_run(job: &wire::Job) -> bool {
    match job.status.as_deref() {
        Some("in_progress") => true,
        Some("completed") => {
            // A job that was canceled in the queue has no steps.
            let canceled_unseen = job.conclusion.as_deref() == Some("cancelled")
                && job.steps.as_ref().is_some_and(Vec::is_empty);
            job.conclusion.as_deref() != Some("skipped") && !canceled_unseen
        }
        _ => false,
    }
}

fn failed(job: &wire::Job) -> bool {
    status::status(job.status.as_deref(), job.conclusion.as_deref()) == Status::Failed
}

/// Why a job failed, in plain words: its first step that did, or that it took too long.
pub(crate) fn reason(job: &wire::Job) -> Option<String> {
    if !failed(job) {
        return None;
    }
    let step = |conclusion: &str| {
        let mut steps = job.steps.iter().flatten();
        steps.find(|s| s.conclusion.as_deref() == Some(conclusion)).and_then(|s| s.name.as_deref())
    };
    match (job.conclusion.as_deref(), step("failure"), step("timed_out")) {
        (Some("timed_out"), ..) => Some("timed out".into()),
        (_, Some(name), _) => Some(format!("step \"{name}\" failed")),
        (_, None, Some(name)) => Some(format!("step \"{name}\" timed out")),
        (Some("startup_failure"), ..) => Some("could not be started".into()),
        _ => None,
    }
}

/// What failed in a run, in one line: `e2e (firefox): step "cargo test" failed`, `lint, e2e and 2 more failed`.
pub(crate) fn failure(jobs: &[wire::Job]) -> Option<String> {
    let failed: Vec<&wire::Job> = jobs.iter().filter(|j| failed(j)).collect();
    let name = |j: &&wire::Job| j.name.clone().unwrap_or_else(|| format!("job {}", j.id));
    match failed.as_slice() {
        [] => None,
        [one] => Some(format!("{}: {}", name(one), reason(one).unwrap_or_else(|| "failed".into()))),
        [a, b] => Some(format!("{} and {} failed", name(a), name(b))),
        [named @ .., _] => {
            let more = failed.len() - NAMED_JOBS;
            let names: Vec<_> = named.iter().take(NAMED_JOBS).map(name).collect();
            Some(format!("{} and {more} more failed", names.join(", ")))
        }
    }
}

/// When the jobs worked, each period cut to the newest attempt: a re-run of what failed lists the jobs that had passed
/// with their old times.
fn periods(run: &Pipeline, jobs: &[wire::Job]) -> Vec<(Timestamp, Timestamp)> {
    let since = run.started_at.unwrap_or(Timestamp::MIN);
    let mut periods: Vec<_> = jobs
        .iter()
        .filter(|j| has_run(j))
        .filter_map(|j| j.started_at.zip(j.completed_at))
        .map(|(from, to)| (from.max(since), to))
        .filter(|(from, to)| from <= to)
        .collect();
    periods.sort_unstable();
    periods
}

/// The time that is covered by at least one period; they come sorted by their start.
fn covered(periods: &[(Timestamp, Timestamp)]) -> Duration {
    let mut sum = Duration::ZERO;
    let mut until = Timestamp::MIN;
    for &(from, to) in periods {
        sum = sum.saturating_add(between(from.max(until), to));
        until = until.max(to);
    }
    sum
}

/// Adds to a run what its jobs tell. The run is known in full after that.
pub(crate) fn enrich(run: &mut Pipeline, jobs: &[wire::Job]) {
    run.completeness = Completeness::Full;
    let first_job = jobs.iter().filter(|j| has_run(j)).filter_map(|j| j.started_at);
    let first_job = first_job.filter(|at| run.started_at.is_none_or(|s| *at >= s)).min();
    run.queued = run.started_at.zip(first_job).map(|(from, to)| between(from, to)).or(run.queued);
    if !status::jobs_tell(run.status) {
        return;
    }
    let periods = periods(run, jobs);
    if let Some(end) = periods.iter().map(|(_, to)| *to).max() {
        // The run's own `updated_at` also moves later on, when logs are deleted for one.
        run.finished_at = Some(end);
        run.duration = Some(covered(&periods));
    }
    let failure = failure(jobs);
    if run.status == Status::Success && failure.is_some() {
        run.status = Status::Warning;
    }
    run.failure = failure.or_else(|| {
        let timed_out = run.native_status == "timed_out";
        run.failure.take().or_else(|| timed_out.then(|| "timed out".to_owned()))
    });
}

#[cfg(test)]
mod tests {
    use domain::RunId;
    use serde_json::json;

    use super::*;

    fn job(id: u64, name: &str, conclusion: &str, from: &str, to: &str) -> wire::Job {
        serde_json::from_value(json!({
            "id": id, "name": name, "status": "completed", "conclusion": conclusion,
            "started_at": format!("2026-11-20T{from}Z"), "completed_at": format!("2026-11-20T{to}Z"),
            "steps": [{ "name": "Set up job", "conclusion": "success" },
                      { "name": "cargo test", "conclusion": if conclusion == "failure" { "failure" } else { "success" } }],
        }))
        .unwrap()
    }

    fn run(status: Status, native: &str) -> Pipeline {
        let at = |t: &str| Some(format!("2026-11-20T{t}Z").parse().unwrap());
        Pipeline {
            created_at: at("10:00:00"),
            started_at: at("10:00:00"),
            updated_at: at("10:30:00"),
            finished_at: at("10:30:00"),
            ..Pipeline::new(RunId::from(1), status, native)
        }
    }

    #[test]
    fn a_failure_is_told_in_one_line() {
        let j = |id, name, conclusion| job(id, name, conclusion, "10:00:10", "10:01:00");
        assert_eq!(
            failure(&[j(1, "lint", "success"), j(2, "e2e (firefox)", "failure")]).as_deref(),
            Some("e2e (firefox): step \"cargo test\" failed")
        );
        assert_eq!(failure(&[j(2, "e2e", "timed_out")]).as_deref(), Some("e2e: timed out"));
        assert_eq!(
            failure(&[j(1, "lint", "failure"), j(2, "e2e", "timed_out")]).as_deref(),
            Some("lint and e2e failed")
        );
        let four = [
            j(1, "a", "failure"),
            j(2, "b", "failure"),
            j(3, "c", "failure"),
            j(4, "d", "failure"),
            j(5, "e", "skipped"),
        ];
        assert_eq!(failure(&four).as_deref(), Some("a, b and 2 more failed"));
        let lost = wire::Job { steps: None, ..j(1, "build", "failure") };
        assert_eq!(failure(&[lost]).as_deref(), Some("build: failed"));
        assert_eq!(failure(&[j(1, "a", "success"), j(2, "b", "cancelled")]), None);
    }

    #[test]
    fn a_failed_job_in_a_run_that_passed_is_a_warning() {
        let mut run = run(Status::Success, "success");
        enrich(&mut run, &[job(1, "audit", "failure", "10:00:10", "10:01:00")]);
        assert_eq!(run.status, Status::Warning);
        assert_eq!(run.native_status, "success");
        assert_eq!(run.failure.as_deref(), Some("audit: step \"cargo test\" failed"));
        assert_eq!(run.completeness, Completeness::Full);
    }

    #[test]
    fn time_at_work_is_what_the_jobs_cover() {
        let mut run = run(Status::Success, "success");
        enrich(
            &mut run,
            &[
                job(1, "a", "success", "10:00:30", "10:02:00"),
                job(2, "b", "success", "10:01:00", "10:03:00"),
                // Half an hour of waiting for a runner is no work.
                job(3, "c", "success", "10:20:00", "10:21:00"),
                job(4, "d", "skipped", "10:25:00", "10:25:00"),
            ],
        );
        assert_eq!(run.duration, Some(Duration::from_secs(150 + 60)));
        assert_eq!(run.queued, Some(Duration::from_secs(30)));
        assert_eq!(run.finished_at.map(|t| t.to_string()).as_deref(), Some("2026-11-20T10:21:00Z"));
        assert_eq!(run.status, Status::Success);
    }

    #[test]
    fn jobs_of_an_earlier_attempt_and_backward_clocks_make_no_time() {
        let mut run = run(Status::Failed, "failure");
        enrich(
            &mut run,
            &[
                job(1, "kept", "success", "09:00:00", "09:10:00"),
                job(2, "again", "failure", "10:00:05", "10:00:45"),
                job(3, "skewed", "success", "10:00:09", "10:00:08"),
            ],
        );
        assert_eq!(run.duration, Some(Duration::from_secs(40)));
        assert_eq!(run.queued, Some(Duration::from_secs(5)));
    }
}
