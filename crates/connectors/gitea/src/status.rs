//! Gitea's words for how a run, a job or a commit is, and ours.

use domain::Status;

/// Which words are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// GitHub's pair of `status` and `conclusion`: Gitea's `/actions/runs`.
    Pair,
    /// One word of Gitea's own: `/actions/tasks`, and everything of Forgejo's.
    Native,
}

/// Our status of a run or job. An unknown word is [`Status::Unknown`]. `waiting` is the one word that both have: among
/// Gitea's own it waits for a runner, in the pair for a person's approval.
pub(crate) fn status(words: Words, status: Option<&str>, conclusion: Option<&str>) -> Status {
    let Some(word) = status else { return Status::Unknown };
    match (words, word) {
        (Words::Pair, "waiting") => Status::Manual,
        (Words::Pair, "completed") => match conclusion {
            Some(word) => ended(word).unwrap_or(Status::Unknown),
            None => Status::Unknown,
        },
        (_, word) => going_on(word).or_else(|| ended(word)).unwrap_or(Status::Unknown),
    }
}

/// What has not ended, in either's words.
fn going_on(word: &str) -> Option<Status> {
    match word {
        // `blocked` (in the pair `pending`) waits for other jobs or for its concurrency group.
        "waiting" | "queued" | "blocked" | "pending" | "requested" => Some(Status::Queued),
        // One job failed while others run: the verdict comes when they have ended.
        "running" | "in_progress" | "running_with_failure" | "cancelling" => Some(Status::Running),
        _ => None,
    }
}

/// What has ended, in either's words; and those of GitHub's that Gitea does not speak yet.
fn ended(word: &str) -> Option<Status> {
    match word {
        "success" | "neutral" => Some(Status::Success),
        "failure" | "timed_out" | "startup_failure" => Some(Status::Failed),
        "cancelled" | "stale" => Some(Status::Canceled),
        "skipped" => Some(Status::Skipped),
        "action_required" => Some(Status::Manual),
        _ => None,
    }
}

/// Our status of a commit status.
pub(crate) fn of_commit(state: Option<&str>) -> Status {
    match state {
        Some("success") => Status::Success,
        Some("failure" | "error") => Status::Failed,
        Some("warning") => Status::Warning,
        Some("pending") => Status::Running,
        Some("skipped") => Status::Skipped,
        _ => Status::Unknown,
    }
}

/// The platform's own word: the conclusion once there is one, else the status.
pub(crate) fn native(status: Option<&str>, conclusion: Option<&str>) -> String {
    match (status, conclusion) {
        (Some("completed") | None, Some(conclusion)) => conclusion,
        (Some(status), _) => status,
        (None, None) => "",
    }
    .to_owned()
}

/// Whether it stays so unless somebody starts it over.
pub(crate) const fn is_final(status: Status) -> bool {
    matches!(status, Status::Success | Status::Warning | Status::Failed | Status::Canceled | Status::Skipped)
}

/// The status of a whole from those of its parts: what goes on decides before what has ended, and of that the worst. The
/// index of the part that decides.
pub(crate) fn deciding(parts: impl IntoIterator<Item = Status>) -> Option<(usize, Status)> {
    const WORST_LAST: [Status; 9] = [
        Status::Skipped,
        Status::Unknown,
        Status::Success,
        Status::Warning,
        Status::Canceled,
        Status::Failed,
        Status::Manual,
        Status::Queued,
        Status::Running,
    ];
    let rank = |status: Status| WORST_LAST.iter().position(|w| *w == status);
    // Of equal ones the first.
    parts.into_iter().enumerate().reduce(|best, part| if rank(part.1) > rank(best.1) { part } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_its_own_has_its_status() {
        use Status::{Canceled, Failed, Queued, Running, Skipped, Success, Unknown};
        for (word, want) in [
            ("unknown", Unknown),
            ("success", Success),
            ("failure", Failed),
            ("cancelled", Canceled),
            ("skipped", Skipped),
            ("waiting", Queued),
            ("running", Running),
            ("blocked", Queued),
            ("running_with_failure", Running),
            ("cancelling", Running),
            ("pending", Queued),
            ("brand_new", Unknown),
            ("SUCCESS", Unknown),
            ("", Unknown),
        ] {
            assert_eq!(status(Words::Native, Some(word), None), want, "{word}");
            assert_eq!(native(Some(word), None), word);
        }
        assert_eq!(status(Words::Native, None, None), Unknown);
    }

    #[test]
    fn every_pair_of_words_has_its_status() {
        use Status::{Canceled, Failed, Manual, Queued, Running, Skipped, Success, Unknown};
        for (word, want) in [
            ("queued", Queued),
            ("requested", Queued),
            ("pending", Queued),
            ("waiting", Manual),
            ("in_progress", Running),
            // Words of the other sort, should they ever come without a conclusion.
            ("success", Success),
            ("failure", Failed),
            ("running_with_failure", Running),
            ("brand_new", Unknown),
        ] {
            assert_eq!(status(Words::Pair, Some(word), None), want, "{word}");
            assert_eq!(
                status(Words::Pair, Some(word), Some("success")),
                want,
                "{word}: it has not completed"
            );
        }
        for (conclusion, want) in [
            (Some("success"), Success),
            (Some("neutral"), Success),
            (Some("failure"), Failed),
            (Some("timed_out"), Failed),
            (Some("startup_failure"), Failed),
            (Some("cancelled"), Canceled),
            (Some("stale"), Canceled),
            (Some("skipped"), Skipped),
            (Some("action_required"), Manual),
            (Some("brand_new"), Unknown),
            (None, Unknown),
        ] {
            assert_eq!(status(Words::Pair, Some("completed"), conclusion), want, "{conclusion:?}");
            assert_eq!(native(Some("completed"), conclusion), conclusion.unwrap_or("completed"));
        }
        assert_eq!(status(Words::Pair, None, Some("success")), Unknown);
    }

    #[test]
    fn every_state_of_a_commit_has_its_status() {
        for (state, want) in [
            (Some("pending"), Status::Running),
            (Some("success"), Status::Success),
            (Some("error"), Status::Failed),
            (Some("failure"), Status::Failed),
            (Some("warning"), Status::Warning),
            (Some("skipped"), Status::Skipped),
            (Some("brand_new"), Status::Unknown),
            (Some(""), Status::Unknown),
            (None, Status::Unknown),
        ] {
            assert_eq!(of_commit(state), want, "{state:?}");
        }
    }

    #[test]
    fn what_goes_on_decides_then_the_worst() {
        use Status::{Canceled, Failed, Queued, Running, Skipped, Success, Unknown};
        for (parts, want) in [
            (vec![], None),
            (vec![Success, Failed, Running, Failed], Some((2, Running))),
            (vec![Success, Queued, Failed], Some((1, Queued))),
            (vec![Success, Failed, Canceled, Failed], Some((1, Failed))),
            (vec![Skipped, Success, Unknown], Some((1, Success))),
            (vec![Skipped, Skipped], Some((0, Skipped))),
        ] {
            assert_eq!(deciding(parts.clone()), want, "{parts:?}");
        }
    }
}
