//! GitLab's words for how a pipeline or job is, and why a job failed, in ours. Every list is open: GitLab has added to
//! each of them before.

use domain::Status;

/// `detailed_status.group` of a pipeline that passed although a job failed that may.
pub(crate) const WITH_WARNINGS: &str = "success-with-warnings";

/// What one word says, whether of a pipeline or of a job.
fn plain(word: &str) -> Status {
    match word {
        // `scheduled` is a delayed job: it starts by itself.
        "created"
        | "waiting_for_resource"
        | "preparing"
        | "waiting_for_callback"
        | "pending"
        | "scheduled" => Status::Queued,
        "running" | "canceling" => Status::Running,
        "success" => Status::Success,
        "failed" => Status::Failed,
        "canceled" => Status::Canceled,
        "skipped" => Status::Skipped,
        "manual" => Status::Manual,
        _ => Status::Unknown,
    }
}

/// A pipeline's. `group` is its `detailed_status.group`, which lists lack.
pub(crate) fn pipeline(word: &str, group: Option<&str>) -> Status {
    match plain(word) {
        Status::Success if group == Some(WITH_WARNINGS) => Status::Warning,
        status => status,
    }
}

/// A job's.
pub(crate) fn job(word: &str, allow_failure: bool) -> Status {
    match plain(word) {
        Status::Failed if allow_failure => Status::Warning,
        status => status,
    }
}

/// A deployment's. One that is `blocked` waits for somebody's approval.
pub(crate) fn deployment(word: &str) -> Status {
    match word {
        "blocked" => Status::Manual,
        word => plain(word),
    }
}

/// Whether something of this status has ended, as far as is known, so that its times of ending count. A pipeline that
/// runs again keeps those of its last run.
pub(crate) const fn has_ended(status: Status) -> bool {
    !matches!(status, Status::Queued | Status::Running | Status::Manual)
}

/// Why a job failed, for people. `None` when GitLab does not know either.
pub(crate) fn failure_reason(word: &str) -> Option<String> {
    let words = match word {
        "" | "unknown_failure" => return None,
        "api_failure" => "API failure",
        "stuck_or_timeout_failure" => "stuck or timed out",
        "job_execution_timeout" => "took longer than allowed",
        "runner_unsupported" => "runner does not support it",
        "stale_schedule" => "delayed job was never run",
        "archived_failure" => "pipeline is archived",
        "unmet_prerequisites" => "prerequisites not met",
        "missing_dependency_failure" => "artifacts of an earlier job are missing",
        "forward_deployment_failure" | "failed_outdated_deployment_job" => "a newer deployment came first",
        "user_blocked" => "user is blocked",
        "project_deleted" => "project was deleted",
        "ci_quota_exceeded" => "no CI minutes left",
        "no_matching_runner" => "no runner matches its tags",
        "trace_size_exceeded" => "log too long",
        "builds_disabled" => "CI is switched off",
        "data_integrity_failure" => "data integrity failure",
        "insufficient_bridge_permissions" => "not permitted to start the downstream pipeline",
        "downstream_bridge_project_not_found" => "downstream project not found",
        "invalid_bridge_trigger" => "invalid trigger",
        "bridge_pipeline_is_child_pipeline" => "a child pipeline cannot start another one here",
        "downstream_pipeline_creation_failed" => "downstream pipeline could not be created",
        "secrets_provider_not_found" => "secrets provider not found",
        "reached_max_descendant_pipelines_depth" => "child pipelines nest too deep",
        "reached_max_pipeline_hierarchy_size" => "too many downstream pipelines",
        "protected_environment_failure" => "not permitted to deploy to this environment",
        "ip_restriction_failure" => "IP address not permitted",
        other => return Some(other.replace('_', " ")),
    };
    Some(words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word that GitLab's OpenAPI lists, as `(word, pipeline, job, job that may fail)`.
    const WORDS: [(&str, Status, Status, Status); 14] = [
        ("created", Status::Queued, Status::Queued, Status::Queued),
        ("waiting_for_resource", Status::Queued, Status::Queued, Status::Queued),
        ("preparing", Status::Queued, Status::Queued, Status::Queued),
        ("waiting_for_callback", Status::Queued, Status::Queued, Status::Queued),
        ("pending", Status::Queued, Status::Queued, Status::Queued),
        ("scheduled", Status::Queued, Status::Queued, Status::Queued),
        ("running", Status::Running, Status::Running, Status::Running),
        ("canceling", Status::Running, Status::Running, Status::Running),
        ("success", Status::Success, Status::Success, Status::Success),
        ("failed", Status::Failed, Status::Failed, Status::Warning),
        ("canceled", Status::Canceled, Status::Canceled, Status::Canceled),
        ("skipped", Status::Skipped, Status::Skipped, Status::Skipped),
        ("manual", Status::Manual, Status::Manual, Status::Manual),
        ("something_new", Status::Unknown, Status::Unknown, Status::Unknown),
    ];

    #[test]
    fn every_word_has_its_status() {
        for (word, of_pipeline, of_job, of_allowed) in WORDS {
            assert_eq!(pipeline(word, None), of_pipeline, "{word}");
            assert_eq!(job(word, false), of_job, "{word}");
            assert_eq!(job(word, true), of_allowed, "{word}");
        }
    }

    #[test]
    fn only_success_can_carry_warnings() {
        for (word, of_pipeline, ..) in WORDS {
            let expected = if word == "success" { Status::Warning } else { of_pipeline };
            assert_eq!(pipeline(word, Some("success-with-warnings")), expected, "{word}");
            assert_eq!(pipeline(word, Some("success")), of_pipeline, "{word}");
        }
    }

    #[test]
    fn what_moves_or_waits_has_not_ended() {
        let open = [Status::Queued, Status::Running, Status::Manual];
        for status in Status::ALL {
            assert_eq!(has_ended(status), !open.contains(&status), "{status}");
        }
    }

    #[test]
    fn reasons_are_words() {
        for (word, words) in [
            ("script_failure", Some("script failure")),
            ("runner_system_failure", Some("runner system failure")),
            ("stuck_or_timeout_failure", Some("stuck or timed out")),
            ("job_execution_timeout", Some("took longer than allowed")),
            ("a_reason_of_tomorrow", Some("a reason of tomorrow")),
            ("unknown_failure", None),
            ("", None),
        ] {
            assert_eq!(failure_reason(word).as_deref(), words, "{word}");
        }
    }
}
