//! The words of a feed in ours. Only a handful are in the format's description, but every server has its own idea of them;
//! letters compare without case.

use domain::Status;

/// What `lastBuildStatus` says of the build that it is about.
pub(crate) fn of_last_build(word: &str) -> Status {
    match word.trim().to_ascii_lowercase().as_str() {
        "success" => Status::Success,
        // An exception is a build that could not even be tried: red in every client.
        "failure" | "failed" | "exception" | "error" => Status::Failed,
        // CruiseControl.NET's build that was stopped, and how others spell it.
        "cancelled" | "canceled" | "aborted" => Status::Canceled,
        "pending" => Status::Queued,
        _ => Status::Unknown,
    }
}

/// What `activity` says of now; `None`: nothing goes on.
pub(crate) fn of_activity(word: &str) -> Option<Status> {
    match word.trim().to_ascii_lowercase().as_str() {
        "building" => Some(Status::Running),
        // CruiseControl.NET: waits in its queue.
        "pending" => Some(Status::Queued),
        // "Sleeping" rests; "CheckingModifications" looks for commits, which is no build yet; of what nobody knows it cannot
        // be said that it builds.
        _ => None,
    }
}

/// Whether the server says that it does not know: a project that was never built, or one whose first build runs.
pub(crate) fn knows_nothing(word: &str) -> bool {
    let word = word.trim();
    word.is_empty() || word.eq_ignore_ascii_case("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_its_status() {
        for (word, status) in [
            ("Success", Status::Success),
            ("SUCCESS", Status::Success),
            (" success ", Status::Success),
            ("Failure", Status::Failed),
            ("failed", Status::Failed),
            ("Exception", Status::Failed),
            ("Error", Status::Failed),
            ("Cancelled", Status::Canceled),
            ("canceled", Status::Canceled),
            ("Aborted", Status::Canceled),
            ("Pending", Status::Queued),
            ("Unknown", Status::Unknown),
            ("", Status::Unknown),
            ("Marvellous", Status::Unknown),
            ("успех", Status::Unknown),
        ] {
            assert_eq!(of_last_build(word), status, "{word}");
        }
    }

    #[test]
    fn only_what_builds_or_waits_for_it_is_an_activity() {
        for (word, activity) in [
            ("Sleeping", None),
            ("Building", Some(Status::Running)),
            ("building", Some(Status::Running)),
            ("CheckingModifications", None),
            ("Pending", Some(Status::Queued)),
            ("Dreaming", None),
            ("", None),
        ] {
            assert_eq!(of_activity(word), activity, "{word}");
        }
    }

    #[test]
    fn not_to_know_is_a_word() {
        assert!(knows_nothing("Unknown") && knows_nothing("") && knows_nothing(" unknown "));
        assert!(!knows_nothing("Success") && !knows_nothing("Marvellous"));
    }
}
