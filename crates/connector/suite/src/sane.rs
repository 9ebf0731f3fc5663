//! What is true of every run, whoever tells it.

use domain::{Job, Pipeline, Status};

/// Panics when a run says what cannot be: an end before its beginning, a running one that ended, a link that is none.
pub fn sane(run: &Pipeline) {
    let bounded = run.clone().bounded();
    assert!(!run.id.as_str().is_empty(), "a run without an id: {run:?}");
    assert!(!run.native_status.is_empty(), "{}: the platform's own word is kept", run.id);
    if let (Some(from), Some(to)) = (run.started_at, run.finished_at) {
        assert!(from <= to || run.duration.is_none_or(|d| d.is_zero()), "{}: ended before it began", run.id);
    }
    if run.status.is_active() {
        assert_eq!(run.finished_at, None, "{}: {:?}, but it has ended", run.id, run.status);
    }
    if matches!(run.status, Status::Success | Status::Queued) {
        assert_eq!(run.failure, None, "{}: {:?}, but it failed", run.id, run.status);
    }
    assert_eq!(bounded.id, run.id);
}

/// The same of a job.
pub fn sane_job(job: &Job) {
    assert!(!job.id.as_str().is_empty() && !job.name.is_empty(), "a job without id or name: {job:?}");
    if let (Some(from), Some(to)) = (job.started_at, job.finished_at) {
        assert!(from <= to || job.duration.is_none_or(|d| d.is_zero()), "{}: ended before it began", job.id);
    }
    if job.status.is_active() {
        assert_eq!(job.finished_at, None, "{}: {:?}, but it has ended", job.id, job.status);
    }
}
