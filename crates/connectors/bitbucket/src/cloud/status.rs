//! Cloud's words for how a pipeline, a step or a commit's build is, and ours.

use domain::Status;

use super::wire;

/// The word that decides: of what has ended its result, of what goes on its stage, where either is there.
pub(crate) fn native(state: Option<&wire::State>) -> String {
    let Some(state) = state else { return String::new() };
    let of = |part: &Option<wire::Word>| part.as_ref().and_then(|w| w.name.clone());
    let name = state.name.clone().unwrap_or_default();
    match name.as_str() {
        "COMPLETED" | "" => of(&state.result).unwrap_or(name),
        // Running is what in progress means.
        "IN_PROGRESS" => of(&state.stage).filter(|stage| stage != "RUNNING").unwrap_or(name),
        _ => name,
    }
}

/// Our status of Cloud's deciding word.
pub(crate) fn status(word: &str) -> Status {
    match word {
        "PARSING" | "PENDING" | "READY" => Status::Queued,
        // `INPROGRESS` is the word of builds on commits.
        "IN_PROGRESS" | "INPROGRESS" | "BUILDING" | "RUNNING" => Status::Running,
        // A manual step or a gate; halted: build minutes exhausted, environment locked. Either waits for a person.
        "PAUSED" | "HALTED" => Status::Manual,
        "SUCCESSFUL" | "PASSED" => Status::Success,
        // `ERROR` is the infrastructure's or the configuration's.
        "FAILED" | "ERROR" => Status::Failed,
        // Expired: paused for too long, given up.
        "STOPPED" | "EXPIRED" => Status::Canceled,
        "SKIPPED" | "NOT_RUN" => Status::Skipped,
        _ => Status::Unknown,
    }
}

/// A step waits for a person while it is pending and is to be started by hand.
pub(crate) fn of_step(step: &wire::Step) -> (Status, String) {
    let word = native(step.state.as_ref());
    let by_hand =
        step.trigger.as_ref().and_then(|t| t.r#type.as_deref()).is_some_and(|t| t.ends_with("_manual"));
    match status(&word) {
        Status::Queued if by_hand => (Status::Manual, word),
        status => (status, word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, result: Option<&str>, stage: Option<&str>) -> wire::State {
        let word = |w: Option<&str>| w.map(|w| wire::Word { name: Some(w.into()), error: None });
        wire::State { name: Some(name.into()), result: word(result), stage: word(stage) }
    }

    #[test]
    fn every_word_has_its_status() {
        use Status::{Canceled, Failed, Manual, Queued, Running, Skipped, Success, Unknown};
        for (name, result, stage, want, word) in [
            ("PARSING", None, None, Queued, "PARSING"),
            ("PENDING", None, None, Queued, "PENDING"),
            ("PENDING", None, Some("PENDING"), Queued, "PENDING"),
            ("PENDING", None, Some("PAUSED"), Queued, "PENDING"),
            ("READY", None, None, Queued, "READY"),
            ("BUILDING", None, None, Running, "BUILDING"),
            ("RUNNING", None, None, Running, "RUNNING"),
            ("INPROGRESS", None, None, Running, "INPROGRESS"),
            ("IN_PROGRESS", None, None, Running, "IN_PROGRESS"),
            ("IN_PROGRESS", None, Some("RUNNING"), Running, "IN_PROGRESS"),
            ("IN_PROGRESS", None, Some("PENDING"), Queued, "PENDING"),
            ("IN_PROGRESS", None, Some("PAUSED"), Manual, "PAUSED"),
            ("IN_PROGRESS", None, Some("HALTED"), Manual, "HALTED"),
            ("PAUSED", Some("PAUSED"), None, Manual, "PAUSED"),
            ("HALTED", None, None, Manual, "HALTED"),
            ("COMPLETED", Some("SUCCESSFUL"), None, Success, "SUCCESSFUL"),
            ("COMPLETED", Some("PASSED"), None, Success, "PASSED"),
            ("PASSED", Some("PASSED"), None, Success, "PASSED"),
            ("COMPLETED", Some("FAILED"), None, Failed, "FAILED"),
            ("COMPLETED", Some("ERROR"), None, Failed, "ERROR"),
            ("ERROR", None, None, Failed, "ERROR"),
            ("COMPLETED", Some("STOPPED"), None, Canceled, "STOPPED"),
            ("COMPLETED", Some("EXPIRED"), None, Canceled, "EXPIRED"),
            ("COMPLETED", Some("SKIPPED"), None, Skipped, "SKIPPED"),
            ("COMPLETED", Some("NOT_RUN"), None, Skipped, "NOT_RUN"),
            ("NOT_RUN", None, None, Skipped, "NOT_RUN"),
            ("COMPLETED", Some("COMPLETED"), None, Unknown, "COMPLETED"),
            ("COMPLETED", None, None, Unknown, "COMPLETED"),
            ("COMPLETED", Some("BRAND_NEW"), None, Unknown, "BRAND_NEW"),
            ("IN_PROGRESS", None, Some("BRAND_NEW"), Unknown, "BRAND_NEW"),
            ("UNKNOWN", None, None, Unknown, "UNKNOWN"),
            ("BRAND_NEW", Some("SUCCESSFUL"), None, Unknown, "BRAND_NEW"),
            ("", Some("SUCCESSFUL"), None, Success, "SUCCESSFUL"),
        ] {
            let native = native(Some(&state(name, result, stage)));
            assert_eq!((status(&native), native.as_str()), (want, word), "{name} {result:?} {stage:?}");
        }
        assert_eq!(status(&native(None)), Unknown);
    }

    #[test]
    fn a_step_by_hand_waits_for_a_person() {
        let step = |json: &str| of_step(&serde_json::from_str(json).unwrap()).0;
        let waits =
            r#"{"uuid":"{a}","state":{"name":"PENDING"},"trigger":{"type":"pipeline_step_trigger_manual"}}"#;
        assert_eq!(step(waits), Status::Manual);
        assert_eq!(step(&waits.replace("PENDING", "IN_PROGRESS")), Status::Running);
        assert_eq!(step(&waits.replace("_manual", "_automatic")), Status::Queued);
    }
}
