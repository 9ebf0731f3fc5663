//! World to Gitea's and Forgejo's JSON of Actions, and job logs.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::json::Json;
use crate::face::seconds;
use crate::world::{Job, LineKind, Pipeline, Project, RunStatus, Trigger, Workflow};

/// What Gitea writes for a moment that has not come.
const ZERO: &str = "1970-01-01T00:00:00Z";

/// Gitea's own word, and GitHub's pair for it.
pub(super) fn status_of(status: RunStatus) -> (&'static str, &'static str, Option<&'static str>) {
    match status {
        RunStatus::Created => ("blocked", "pending", None),
        RunStatus::Queued => ("waiting", "queued", None),
        RunStatus::Running => ("running", "in_progress", None),
        // Told from other waiting by its approval.
        RunStatus::Manual => ("blocked", "waiting", None),
        RunStatus::Success => ("success", "completed", Some("success")),
        RunStatus::Failed => ("failure", "completed", Some("failure")),
        RunStatus::Canceled => ("cancelled", "completed", Some("cancelled")),
        RunStatus::Skipped => ("skipped", "completed", Some("skipped")),
    }
}

/// A job whose failure does not matter ends well there.
fn job_status(job: &Job) -> RunStatus {
    if job.allow_failure && job.status == RunStatus::Failed { RunStatus::Success } else { job.status }
}

fn event(run: &Pipeline) -> &'static str {
    match run.trigger {
        Trigger::Push | Trigger::Tag => "push",
        Trigger::Schedule => "schedule",
        Trigger::MergeRequest(_) => "pull_request",
        Trigger::Manual => "workflow_dispatch",
        Trigger::Workflow => "workflow_run",
    }
}

pub(super) fn file(workflow: Option<&Workflow>) -> &'static str {
    workflow.map_or("", |w| w.path.rsplit('/').next().unwrap_or(w.path))
}

/// The full ref of a run.
pub(super) fn full_ref(run: &Pipeline) -> String {
    match run.trigger {
        Trigger::MergeRequest(number) => format!("refs/pull/{number}/head"),
        Trigger::Tag => format!("refs/tags/{}", run.branch),
        _ => format!("refs/heads/{}", run.branch),
    }
}

fn pretty_ref(run: &Pipeline) -> String {
    match run.trigger {
        Trigger::MergeRequest(number) => format!("#{number}"),
        _ => run.branch.to_string(),
    }
}

fn or_zero(at: Option<Timestamp>) -> String {
    at.map_or_else(|| ZERO.to_owned(), seconds)
}

/// When this attempt began: a run that waits again has not.
fn started(run: &Pipeline) -> Option<Timestamp> {
    run.started_at.filter(|at| *at >= run.attempt_at && run.status != RunStatus::Queued)
}

/// A task's id rises with the moment at which a runner took it.
pub(super) fn task_id(job: &Job) -> Option<u64> {
    let taken = job.started_at?.as_millisecond() - 1_577_836_800_000;
    Some(u64::try_from(taken).ok()? * 64 + job.id % 64)
}

impl Json<'_> {
    fn run_html(&self, project: &Project, run: &Pipeline) -> String {
        format!("{}/actions/runs/{}", self.repo_html(project), run.number)
    }

    fn title(project: &Project, run: &Pipeline) -> String {
        project.commit(&run.sha).map_or_else(String::new, |c| c.title.to_string())
    }

    /// A run as Gitea 1.27 shows it.
    pub(super) fn run(&self, project: &Project, run: &Pipeline) -> Value {
        let (_, status, conclusion) = status_of(run.status);
        let url = format!("{}/actions/runs/{}", self.repo_url(project), run.id);
        let pull = match run.trigger {
            Trigger::MergeRequest(number) => {
                project.history().merge_requests.iter().find(|mr| mr.number == number)
            }
            _ => None,
        };
        let end = |branch: &str, sha: &str| {
            let repo =
                json!({ "id": project.native_id, "url": self.repo_url(project), "name": project.path });
            json!({ "ref": branch, "sha": sha, "repo": repo })
        };
        let pulls: Vec<Value> = pull
            .into_iter()
            .map(|mr| {
                json!({
                    "id": project.native_id * 10_000 + u64::from(mr.number), "number": mr.number,
                    "url": format!("{}/pulls/{}", self.repo_url(project), mr.number),
                    "head": end(&mr.source_branch, &run.sha), "base": end(&mr.target_branch, &mr.sha),
                })
            })
            .collect();
        let workflow = file(project.workflows.get(run.workflow));
        let mut value = json!({
            "id": run.id, "url": url, "html_url": self.run_html(project, run), "display_title": Self::title(project, run),
            "path": format!("{workflow}@{}", full_ref(run)), "event": event(run), "run_attempt": run.attempt,
            "run_number": run.number, "head_sha": run.sha, "status": status, "actor": self.user(run.actor),
            "trigger_actor": self.user(run.actor), "repository": self.repo(project, false),
            "started_at": or_zero(started(run)), "completed_at": or_zero(run.finished_at), "pull_requests": pulls,
            "previous_attempt_url": (run.attempt > 1).then(|| format!("{url}/attempts/{}", run.attempt - 1)),
        });
        if let Some(conclusion) = conclusion {
            value["conclusion"] = json!(conclusion);
        }
        if matches!(run.trigger, Trigger::Push | Trigger::Schedule | Trigger::Manual | Trigger::Workflow) {
            value["head_branch"] = json!(run.branch);
        }
        value
    }

    /// The same as Forgejo shows it.
    pub(super) fn forgejo_run(&self, project: &Project, run: &Pipeline) -> Value {
        let span = run.duration_seconds().unwrap_or(0.0);
        #[expect(clippy::cast_possible_truncation, reason = "some minutes in nanoseconds")]
        let nanoseconds = (span * 1e9) as i64;
        json!({
            "id": run.id, "title": Self::title(project, run), "repository": self.repo(project, false),
            "workflow_id": file(project.workflows.get(run.workflow)), "index_in_repo": run.number,
            "trigger_user": self.user(run.actor), "ScheduleID": 0, "prettyref": pretty_ref(run),
            "is_ref_deleted": false, "commit_sha": run.sha, "is_fork_pull_request": false,
            "need_approval": run.status == RunStatus::Manual, "approved_by": 0, "event": event(run),
            "event_payload": "{}", "trigger_event": event(run), "status": status_of(run.status).0,
            "started": or_zero(started(run)), "stopped": or_zero(run.finished_at), "created": seconds(run.created_at),
            "updated": seconds(run.updated_at), "duration": nanoseconds, "html_url": self.run_html(project, run),
        })
    }

    /// A job as Gitea 1.27 shows it.
    pub(super) fn job(&self, project: &Project, run: &Pipeline, job: &Job) -> Value {
        let (_, status, conclusion) = status_of(job_status(job));
        let mut value = json!({
            "id": job.id, "url": format!("{}/actions/jobs/{}", self.repo_url(project), job.id),
            "html_url": format!("{}/jobs/{}", self.run_html(project, run), job.id), "run_id": run.id,
            "run_url": format!("{}/actions/runs/{}", self.repo_url(project), run.id), "name": job.name,
            "labels": ["ubuntu-latest"], "run_attempt": job.attempt, "head_sha": run.sha, "head_branch": run.branch,
            "status": status, "steps": steps(job), "created_at": seconds(job.created_at),
            "started_at": or_zero(job.started_at), "completed_at": or_zero(job.finished_at),
        });
        if let Some(conclusion) = conclusion {
            value["conclusion"] = json!(conclusion);
        }
        if job.started_at.is_some() {
            value["runner_id"] = json!(7);
            value["runner_name"] = json!("runner-1");
        }
        value
    }

    /// The same as Forgejo shows it.
    pub(super) fn forgejo_job(&self, project: &Project, run: &Pipeline, job: &Job) -> Value {
        json!({
            "id": job.id, "attempt": job.attempt, "handle": format!("h{}", job.id), "repo_id": project.native_id,
            "owner_id": 1, "run_id": run.id, "name": job.name, "needs": [], "runs_on": ["docker"],
            "task_id": task_id(job).unwrap_or(0), "status": status_of(job_status(job)).0,
            "html_url": format!("{}/jobs/{}", self.run_html(project, run), job.id % 1000),
        })
    }

    /// One try of one job, which a runner took.
    pub(super) fn task(&self, project: &Project, run: &Pipeline, job: &Job) -> Value {
        json!({
            "id": task_id(job), "name": job.name, "head_branch": pretty_ref(run), "head_sha": run.sha,
            "run_number": run.number, "event": event(run), "display_title": Self::title(project, run),
            "status": status_of(job_status(job)).0, "workflow_id": file(project.workflows.get(run.workflow)),
            "url": self.run_html(project, run), "created_at": or_zero(job.started_at),
            "updated_at": or_zero(job.finished_at.or(job.started_at)), "run_started_at": or_zero(job.started_at),
        })
    }

    pub(super) fn workflow(&self, project: &Project, workflow: &Workflow) -> Value {
        let (file, html) = (file(Some(workflow)), self.repo_html(project));
        let branch = project.default_branch.as_deref().unwrap_or("main");
        json!({
            "id": file, "name": workflow.name, "path": format!(".gitea/workflows/{file}"), "state": "active",
            "created_at": seconds(project.created_at), "updated_at": seconds(project.created_at),
            "url": format!("{}/actions/workflows/{file}", self.repo_url(project)),
            "html_url": format!("{html}/src/branch/{branch}/.gitea/workflows/{file}"),
            "badge_url": format!("{html}/actions/workflows/{file}/badge.svg?branch={branch}"),
        })
    }
}

fn steps(job: &Job) -> Vec<Value> {
    let Some(start) = job.started_at else { return Vec::new() };
    let (_, status, conclusion) = status_of(job_status(job));
    let step = |number: usize, name: &str, status: &str, conclusion: Option<&str>| {
        let mut value = json!({
            "name": name, "number": number, "status": status, "started_at": seconds(start),
            "completed_at": or_zero(job.finished_at),
        });
        if let Some(conclusion) = conclusion {
            value["conclusion"] = json!(conclusion);
        }
        value
    };
    vec![
        step(0, "Set up job", "completed", Some("success")),
        step(1, &format!("Run {}", job.name), status, conclusion),
        step(
            2,
            "Complete job",
            if conclusion.is_some() { "completed" } else { "pending" },
            conclusion.map(|_| "success"),
        ),
    ]
}

/// A job's log as the runner sends it; none while no runner has taken the job.
pub(super) fn log(project: &Project, job: &Job, now: Timestamp) -> Option<String> {
    job.started_at?;
    let mut text = String::new();
    for line in project.log(job, now) {
        let (before, body, after) = match line.kind {
            LineKind::SectionStart => ("::group::", line.text.as_str(), ""),
            LineKind::SectionEnd => ("::endgroup::", "", ""),
            LineKind::Command => ("[command]", line.text.as_str(), ""),
            LineKind::Warning => ("::warning::", line.text.as_str(), ""),
            LineKind::Error => ("::error::", line.text.as_str(), ""),
            LineKind::Output => ("", line.text.as_str(), ""),
            LineKind::Good => ("\u{1b}[32m", line.text.as_str(), "\u{1b}[0m"),
        };
        let stamp = line.at.strftime("%Y-%m-%dT%H:%M:%S");
        let fraction = line.at.subsec_nanosecond() / 100;
        text.push_str(&format!("{stamp}.{fraction:07}Z {before}{body}{after}\n"));
    }
    Some(text)
}
