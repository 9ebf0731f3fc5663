//! Jenkins' words for how a build or a stage is, in ours. Every list is open.

use connector::wire::between;
use domain::{Status, Timestamp};
use std::time::Duration;

use crate::wire::Build;

/// Our word for a build that runs, for which the core's API has none; the stages' API calls it so.
pub(crate) const RUNNING: &str = "IN_PROGRESS";
/// Our word for what is in the queue.
pub(crate) const QUEUED: &str = "QUEUED";
/// The stages' API says so of a build that waits for somebody's input.
pub(crate) const PAUSED: &str = "PAUSED_PENDING_INPUT";

/// Our word for a build that has none of Jenkins' for how it ended.
const NO_RESULT: &str = "NO_RESULT";

/// How long a build may have neither a result nor be building: old Jenkins' state between the two. After that it is one
/// whose end was lost in a crash.
const POST_PRODUCTION: Duration = Duration::from_secs(300);

/// What one word says, whether a build's result or a stage's status.
pub(crate) fn plain(word: &str) -> Status {
    match word {
        "SUCCESS" => Status::Success,
        "UNSTABLE" => Status::Warning,
        "FAILURE" | "FAILED" => Status::Failed,
        "ABORTED" => Status::Canceled,
        // `NOT_BUILD` was recorded from a real instance.
        "NOT_BUILT" | "NOT_BUILD" | "NOT_EXECUTED" => Status::Skipped,
        RUNNING => Status::Running,
        QUEUED => Status::Queued,
        PAUSED => Status::Manual,
        _ => Status::Unknown,
    }
}

/// A build's, and the word for it. While it is building its result says nothing: pipelines set `UNSTABLE` early.
pub(crate) fn build(row: &Build, now: Timestamp) -> (Status, String) {
    let running = || (Status::Running, RUNNING.to_owned());
    if row.building == Some(true) || row.in_progress == Some(true) {
        return running();
    }
    match &row.result {
        Some(word) => (plain(word), word.clone()),
        None if row.in_progress == Some(false) => (Status::Unknown, NO_RESULT.to_owned()),
        None if row.timestamp.is_some_and(|at| {
            let worked = Duration::from_millis(row.duration.unwrap_or(0));
            between(at, now) < worked.saturating_add(POST_PRODUCTION)
        }) =>
        {
            running()
        }
        None => (Status::Unknown, NO_RESULT.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn every_word_has_its_status() {
        for (word, status) in [
            // hudson.model.Result
            ("SUCCESS", Status::Success),
            ("UNSTABLE", Status::Warning),
            ("FAILURE", Status::Failed),
            ("NOT_BUILT", Status::Skipped),
            ("ABORTED", Status::Canceled),
            // StatusExt of the Pipeline REST API plugin
            ("NOT_EXECUTED", Status::Skipped),
            ("IN_PROGRESS", Status::Running),
            ("PAUSED_PENDING_INPUT", Status::Manual),
            ("FAILED", Status::Failed),
            // recorded
            ("NOT_BUILD", Status::Skipped),
            ("QUEUED", Status::Queued),
            ("", Status::Unknown),
            ("success", Status::Unknown),
            ("SOMETHING_NEW", Status::Unknown),
        ] {
            assert_eq!(plain(word), status, "{word}");
        }
    }

    #[test]
    fn a_build_in_every_state() {
        let result = |word: &str| Some(word.to_owned());
        for (building, in_progress, word, age, status, native) in [
            (Some(true), None, None, 5, Status::Running, RUNNING),
            (Some(true), None, result("UNSTABLE"), 5, Status::Running, RUNNING),
            (Some(true), Some(true), result("SUCCESS"), 5, Status::Running, RUNNING),
            (Some(false), Some(true), result("SUCCESS"), 5, Status::Running, RUNNING),
            (Some(false), Some(false), result("FAILURE"), 5, Status::Failed, "FAILURE"),
            (None, None, result("ABORTED"), 5, Status::Canceled, "ABORTED"),
            (Some(false), None, None, 5, Status::Running, RUNNING),
            (Some(false), None, None, 100_000, Status::Unknown, NO_RESULT),
            (Some(false), Some(false), None, 5, Status::Unknown, NO_RESULT),
            (Some(false), None, result("ODD"), 5, Status::Unknown, "ODD"),
        ] {
            let row = Build {
                building,
                in_progress,
                result: word.clone(),
                timestamp: Some(at(-age)),
                ..Build::default()
            };
            let said = build(&row, at(0));
            assert_eq!(said, (status, native.to_owned()), "{building:?} {in_progress:?} {word:?} {age}");
        }
        assert_eq!(build(&Build::default(), at(0)).0, Status::Unknown);
    }
}
