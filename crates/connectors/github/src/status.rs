//! GitHub's words for how a run or a job is (`status` × `conclusion`), and ours.

use domain::Status;

/// Our status. An unknown word of either field, and `completed` without a conclusion, is [`Status::Unknown`].
/// `success` may still turn out a warning when the jobs are read: a job that is allowed to fail does not show in its
/// run's conclusion.
pub(crate) fn status(status: Option<&str>, conclusion: Option<&str>) -> Status {
    match status {
        // `pending` is held by a concurrency group, `requested` was just created.
        Some("queued" | "requested" | "pending") => Status::Queued,
        Some("in_progress") => Status::Running,
        // An environment's protection rule: somebody has to approve.
        Some("waiting") => Status::Manual,
        Some("completed") => match conclusion {
            Some("success" | "neutral") => Status::Success,
            Some("failure" | "timed_out" | "startup_failure") => Status::Failed,
            // GitHub gives up a run that has not ended for 14 days as `stale`.
            Some("cancelled" | "stale") => Status::Canceled,
            Some("skipped") => Status::Skipped,
            // A pull request from a fork that waits for approval.
            Some("action_required") => Status::Manual,
            _ => Status::Unknown,
        },
        _ => Status::Unknown,
    }
}

/// GitHub's own word: the conclusion once there is one, else the status.
pub(crate) fn native(status: Option<&str>, conclusion: Option<&str>) -> String {
    match (status, conclusion) {
        (Some("completed") | None, Some(conclusion)) => conclusion,
        (Some(status), _) => status,
        (None, None) => "",
    }
    .to_owned()
}

/// Whether the jobs of a run of this conclusion say more than the run itself.
pub(crate) const fn jobs_tell(status: Status) -> bool {
    matches!(status, Status::Success | Status::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All words of the API's description, and what is none of them.
    const STATUSES: [&str; 7] =
        ["queued", "requested", "pending", "waiting", "in_progress", "completed", "brand_new"];
    const CONCLUSIONS: [Option<&str>; 11] = [
        None,
        Some("success"),
        Some("neutral"),
        Some("failure"),
        Some("timed_out"),
        Some("startup_failure"),
        Some("cancelled"),
        Some("stale"),
        Some("skipped"),
        Some("action_required"),
        Some("brand_new"),
    ];

    #[test]
    fn every_pair_of_words_has_its_status() {
        use Status::{Canceled, Failed, Manual, Queued, Running, Skipped, Success, Unknown};
        let ended =
            [Unknown, Success, Success, Failed, Failed, Failed, Canceled, Canceled, Skipped, Manual, Unknown];
        for s in STATUSES {
            for (c, ended) in CONCLUSIONS.into_iter().zip(ended) {
                let want = match s {
                    "queued" | "requested" | "pending" => Queued,
                    "waiting" => Manual,
                    "in_progress" => Running,
                    "completed" => ended,
                    _ => Unknown,
                };
                assert_eq!(status(Some(s), c), want, "{s} {c:?}");
            }
        }
        assert_eq!(status(None, None), Unknown);
    }

    #[test]
    fn the_native_word_is_the_conclusion_once_there_is_one() {
        assert_eq!(native(Some("completed"), Some("timed_out")), "timed_out");
        assert_eq!(native(Some("completed"), None), "completed");
        assert_eq!(native(Some("in_progress"), None), "in_progress");
        assert_eq!(native(Some("queued"), Some("failure")), "queued");
        assert_eq!(native(None, Some("failure")), "failure");
        assert_eq!(native(None, None), "");
    }
}
