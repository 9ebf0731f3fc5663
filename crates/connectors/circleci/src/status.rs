//! CircleCI's words for how a workflow, a job or a pipeline is, in ours. Every list is open.

use domain::Status;

/// A workflow's.
pub(crate) fn workflow(word: &str) -> Status {
    match word {
        "success" => Status::Success,
        // `failing`: a job has failed, others still run.
        "running" | "failing" => Status::Running,
        "not_run" => Status::Skipped,
        // `error`: the configuration is wrong. `unauthorized`: who pushed may not use a context of it.
        "failed" | "error" | "unauthorized" => Status::Failed,
        "on_hold" => Status::Manual,
        "canceled" => Status::Canceled,
        _ => Status::Unknown,
    }
}

/// A job's.
pub(crate) fn job(word: &str) -> Status {
    match word {
        // `blocked` waits for other jobs, `not_running` for a machine.
        "queued" | "blocked" | "not_running" => Status::Queued,
        "timedout" | "infrastructure_fail" => Status::Failed,
        // Another try took its place.
        "retried" => Status::Canceled,
        // `terminated-unknown` says itself that nobody knows.
        other => workflow(other),
    }
}

/// A pipeline's that has no workflow (yet). `settled`: so long ago that none will come.
pub(crate) fn pipeline(state: &str, settled: bool) -> Status {
    match state {
        "errored" => Status::Failed,
        // All its workflows are for other branches.
        "created" | "pending" | "setup" | "setup-pending" if settled => Status::Skipped,
        "created" | "pending" | "setup" | "setup-pending" => Status::Queued,
        _ => Status::Unknown,
    }
}

/// Whether something of this status has ended, as far as is known, so that its times of ending count.
pub(crate) const fn has_ended(status: Status) -> bool {
    !matches!(status, Status::Queued | Status::Running | Status::Manual)
}

/// Why a job of this status failed, where the word alone says so.
pub(crate) fn reason(word: &str) -> Option<&'static str> {
    Some(match word {
        "timedout" => "timed out",
        "infrastructure_fail" => "infrastructure failure",
        "unauthorized" => "not authorized",
        "terminated-unknown" => "terminated, nobody knows why",
        "error" => "configuration error",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word of the API's description, as `(word, workflow, job)`.
    const WORDS: [(&str, Status, Status); 19] = [
        ("success", Status::Success, Status::Success),
        ("running", Status::Running, Status::Running),
        ("not_run", Status::Skipped, Status::Skipped),
        ("failed", Status::Failed, Status::Failed),
        ("error", Status::Failed, Status::Failed),
        ("failing", Status::Running, Status::Running),
        ("on_hold", Status::Manual, Status::Manual),
        ("canceled", Status::Canceled, Status::Canceled),
        ("unauthorized", Status::Failed, Status::Failed),
        ("queued", Status::Unknown, Status::Queued),
        ("blocked", Status::Unknown, Status::Queued),
        ("not_running", Status::Unknown, Status::Queued),
        ("retried", Status::Unknown, Status::Canceled),
        ("timedout", Status::Unknown, Status::Failed),
        ("infrastructure_fail", Status::Unknown, Status::Failed),
        ("terminated-unknown", Status::Unknown, Status::Unknown),
        ("something_new", Status::Unknown, Status::Unknown),
        ("SUCCESS", Status::Unknown, Status::Unknown),
        ("", Status::Unknown, Status::Unknown),
    ];

    #[test]
    fn every_word_has_its_status() {
        for (word, of_workflow, of_job) in WORDS {
            assert_eq!((workflow(word), job(word)), (of_workflow, of_job), "{word}");
        }
        for (state, young, old) in [
            ("created", Status::Queued, Status::Skipped),
            ("errored", Status::Failed, Status::Failed),
            ("setup-pending", Status::Queued, Status::Skipped),
            ("setup", Status::Queued, Status::Skipped),
            ("pending", Status::Queued, Status::Skipped),
            ("something_new", Status::Unknown, Status::Unknown),
        ] {
            assert_eq!((pipeline(state, false), pipeline(state, true)), (young, old), "{state}");
        }
    }

    #[test]
    fn what_moves_or_waits_has_not_ended() {
        let open = [Status::Queued, Status::Running, Status::Manual];
        for status in Status::ALL {
            assert_eq!(has_ended(status), !open.contains(&status), "{status}");
        }
    }
}
