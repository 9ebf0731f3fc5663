//! World to Bitbucket Cloud's JSON.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{run_uuid, step_uuid};
use crate::http::encode_path;
use crate::world::{
    Branch, Commit, FailureKind, Issue, Job, MergeRequest, PersonId, Pipeline, Project, RunStatus, Trigger,
    Visibility,
};

/// RFC 3339 with microseconds, `Z` where pipelines write it.
fn zulu(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// The same with an offset, where repositories and pull requests write it.
fn offset(at: Timestamp) -> String {
    zulu(at).replace('Z', "+00:00")
}

fn uuid(kind: u16, id: u64) -> String {
    format!("{{00000000-0000-4000-{kind:04x}-{id:012x}}}")
}

/// The name of a state and, within it, a stage or a result.
fn state(status: RunStatus, error: Option<&str>, kind: &str) -> Value {
    let part = |key: &str, group: &str, name: &str| {
        let low = name.to_lowercase();
        let mut part = json!({ "name": name, "type": format!("pipeline_{kind}state_{group}_{low}") });
        if let Some(message) = error {
            part["error"] = json!({ "type": "pipeline_error", "key": "simulated", "message": message });
        }
        json!({ "name": group.to_uppercase(), "type": format!("pipeline_{kind}state_{group}"), key: part })
    };
    let stage = |name| part("stage", "in_progress", name);
    let result = |name| part("result", "completed", name);
    match status {
        RunStatus::Created | RunStatus::Queued => {
            json!({ "name": "PENDING", "type": format!("pipeline_{kind}state_pending") })
        }
        RunStatus::Running if kind.is_empty() => stage("RUNNING"),
        RunStatus::Manual if kind.is_empty() => stage("PAUSED"),
        RunStatus::Running => json!({ "name": "IN_PROGRESS", "type": "pipeline_step_state_in_progress" }),
        RunStatus::Manual => json!({ "name": "PENDING", "type": "pipeline_step_state_pending" }),
        RunStatus::Success => result("SUCCESSFUL"),
        RunStatus::Failed if error.is_some() => result("ERROR"),
        RunStatus::Failed => result("FAILED"),
        RunStatus::Canceled => result("STOPPED"),
        RunStatus::Skipped if kind.is_empty() => result("SKIPPED"),
        RunStatus::Skipped => result("NOT_RUN"),
    }
}

/// The word of a build on a commit.
pub(crate) fn build_word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Created | RunStatus::Queued | RunStatus::Running | RunStatus::Manual => "INPROGRESS",
        RunStatus::Success => "SUCCESSFUL",
        RunStatus::Failed => "FAILED",
        RunStatus::Canceled | RunStatus::Skipped => "STOPPED",
    }
}

/// Base URLs and the translation.
pub(super) struct Json<'a> {
    /// Of the pages for people.
    pub(super) html: &'a str,
}

impl Json<'_> {
    fn repo_html(&self, project: &Project) -> String {
        format!("{}/{}", self.html, project.full_path())
    }

    pub(super) fn user(&self, id: PersonId) -> Value {
        let (person, number) = (id.person(), u64::from(id.0));
        json!({
            "type": "user",
            "uuid": uuid(0xa000, number),
            "account_id": format!("557058:{number:08x}"),
            "display_name": person.name,
            "nickname": person.login,
            "links": {
                "avatar": { "href": format!("{}/u/{}/avatar.png", self.html, person.login) },
                "html": { "href": format!("{}/{}/", self.html, person.login) },
            },
        })
    }

    pub(super) fn workspace(&self, slug: &str) -> Value {
        json!({
            "type": "workspace_access",
            "administrator": false,
            "workspace": { "type": "workspace_base", "slug": slug, "uuid": uuid(0xb000, hash(slug)) },
        })
    }

    fn repo_short(&self, project: &Project) -> Value {
        json!({
            "type": "repository",
            "full_name": project.full_path(),
            "name": project.name,
            "uuid": uuid(0xc000, project.native_id),
            "links": { "html": { "href": self.repo_html(project) } },
        })
    }

    pub(super) fn repository(&self, project: &Project) -> Value {
        let mut repo = self.repo_short(project);
        let more = json!({
            "slug": project.path,
            "description": project.description.as_deref().unwrap_or(""),
            "scm": "git",
            "is_private": project.visibility != Visibility::Public,
            "created_on": offset(project.created_at),
            // A push moves it, a pipeline does not.
            "updated_on": offset(project.pushed_at),
            "mainbranch": project.default_branch.as_ref().map(|name| json!({ "type": "branch", "name": name })),
            "has_issues": true,
            "has_wiki": false,
            "language": "",
            "size": 1_173_257,
            "fork_policy": "allow_forks",
            "project": { "type": "project", "key": "SIM", "name": "Simulated", "uuid": uuid(0xd000, 1) },
            "workspace": { "type": "workspace", "slug": project.namespace, "name": project.namespace },
            "links": {
                "html": { "href": self.repo_html(project) },
                "avatar": { "href": format!("{}/r/{}/avatar.png", self.html, project.native_id) },
            },
        });
        if let (Value::Object(repo), Value::Object(more)) = (&mut repo, more) {
            repo.extend(more);
        }
        repo
    }

    pub(super) fn commit(&self, project: &Project, commit: &Commit) -> Value {
        let person = commit.author.person();
        json!({
            "type": "commit",
            "hash": commit.sha,
            "date": offset(commit.at),
            "message": format!("{}\n", commit.title),
            "author": {
                "type": "author",
                "raw": format!("{} <{}>", person.name, person.email()),
                "user": self.user(commit.author),
            },
            "parents": commit.parent.iter().map(|sha| json!({ "type": "commit", "hash": sha })).collect::<Vec<_>>(),
            "links": { "html": { "href": format!("{}/commits/{}", self.repo_html(project), commit.sha) } },
        })
    }

    pub(super) fn branch(&self, project: &Project, branch: &Branch) -> Value {
        json!({
            "type": "branch",
            "name": branch.name,
            "target": project.commit(&branch.head).map(|commit| self.commit(project, commit)),
            "default_merge_strategy": "merge_commit",
            "links": { "html": { "href": format!("{}/branch/{}", self.repo_html(project), encode_path(&branch.name)) } },
        })
    }

    fn target(&self, project: &Project, run: &Pipeline) -> Value {
        let commit = json!({ "type": "commit", "hash": run.sha });
        if let Trigger::MergeRequest(number) = run.trigger {
            let mr = project.history().merge_requests.iter().find(|mr| mr.number == number);
            return json!({
                "type": "pipeline_pullrequest_target",
                "source": run.branch,
                "destination": mr.map(|mr| &mr.target_branch),
                "pullrequest": { "type": "pullrequest", "id": number, "title": mr.map(|mr| &mr.title) },
                "selector": { "type": "pull-requests", "pattern": "**" },
                "commit": commit,
            });
        }
        let selector = match project.workflows.get(run.workflow).filter(|_| run.workflow > 0) {
            Some(workflow) => json!({ "type": "custom", "pattern": workflow.name }),
            None => json!({ "type": "default" }),
        };
        json!({
            "type": "pipeline_ref_target", "ref_type": "branch", "ref_name": run.branch, "selector": selector, "commit": commit,
        })
    }

    pub(super) fn pipeline(&self, project: &Project, run: &Pipeline) -> Value {
        let (kind, name) = match run.trigger {
            Trigger::Push | Trigger::Tag | Trigger::MergeRequest(_) => ("push", "PUSH"),
            Trigger::Schedule => ("schedule", "SCHEDULE"),
            Trigger::Manual => ("manual", "MANUAL"),
            Trigger::Workflow => ("parent_step", "PARENT_STEP"),
        };
        let ended = run.status.is_terminal();
        let seconds = run.duration_seconds().filter(|_| ended);
        let mut row = json!({
            "type": "pipeline",
            "uuid": run_uuid(run.id),
            "build_number": run.number,
            "run_number": run.attempt,
            "creator": self.user(run.actor),
            "repository": self.repo_short(project),
            "target": self.target(project, run),
            "trigger": { "type": format!("pipeline_trigger_{kind}"), "name": name },
            "state": state(run.status, None, ""),
            "created_on": zulu(run.created_at),
            "build_seconds_used": seconds.unwrap_or(0.0).round() as u64,
            "duration_in_seconds": seconds.unwrap_or(0.0).round() as u64,
            "expired": false,
            "has_variables": false,
            "links": {
                // An address inside of Atlassian, as there.
                "self": { "href": format!("http://bitbucket-pipelines.example.invalid/pipelines/{}", run_uuid(run.id)) },
            },
        });
        if let Some(at) = run.finished_at.filter(|_| ended) {
            row["completed_on"] = zulu(at).into();
        }
        row
    }

    pub(super) fn step(&self, run: &Pipeline, job: &Job) -> Value {
        let manual = job.status == RunStatus::Manual;
        let broken =
            job.failure.as_ref().filter(|f| job.status == RunStatus::Failed && f.kind != FailureKind::Script);
        let seconds = match (job.started_at, job.finished_at) {
            (Some(from), Some(to)) => Some((to.as_millisecond() - from.as_millisecond()) / 1000),
            _ => None,
        };
        let mut row = json!({
            "type": "pipeline_step",
            "uuid": step_uuid(job.id),
            "pipeline": { "type": "pipeline", "uuid": run_uuid(run.id) },
            "name": job.name,
            "trigger": { "type": if manual { "pipeline_step_trigger_manual" } else { "pipeline_step_trigger_automatic" } },
            "state": state(job.status, broken.map(|f| f.summary), "step_"),
            "maxTime": 120,
            "run_number": job.attempt,
            "build_seconds_used": seconds.unwrap_or(0),
        });
        if let Some(at) = job.started_at {
            row["started_on"] = zulu(at).into();
        }
        if let (Some(at), Some(seconds)) = (job.finished_at, seconds) {
            row["completed_on"] = zulu(at).into();
            row["duration_in_seconds"] = seconds.into();
        }
        row
    }

    pub(super) fn status(&self, project: &Project, run: &Pipeline) -> Value {
        json!({
            "type": "build",
            "key": run_uuid(run.id),
            "name": format!("Pipeline #{} for {}", run.number, run.branch),
            "state": build_word(run.status),
            "url": format!("{}/pipelines/results/{}", self.repo_html(project), run.number),
            "refname": run.branch,
            "description": "",
            "commit": { "type": "commit", "hash": run.sha },
            "created_on": offset(run.created_at),
            "updated_on": offset(run.updated_at),
        })
    }

    pub(super) fn pull(&self, project: &Project, mr: &MergeRequest) -> Value {
        let end = |branch: &str, sha: Option<&str>| {
            json!({
                "branch": { "name": branch },
                // Cut short, as there.
                "commit": sha.map(|sha| json!({ "type": "commit", "hash": &sha[..12] })),
                "repository": self.repo_short(project),
            })
        };
        let target = project.branch(&mr.target_branch).map(|branch| &*branch.head);
        json!({
            "type": "pullrequest",
            "id": mr.number,
            "title": mr.title,
            "description": "",
            "state": if mr.open { "OPEN" } else { "MERGED" },
            "draft": mr.draft,
            "author": self.user(mr.author),
            "reviewers": mr.reviewers.iter().map(|id| self.user(*id)).collect::<Vec<_>>(),
            "source": end(&mr.source_branch, Some(&mr.sha)),
            "destination": end(&mr.target_branch, target),
            "comment_count": 0,
            "task_count": 0,
            "created_on": offset(mr.created_at),
            "updated_on": offset(mr.updated_at),
            "links": { "html": { "href": format!("{}/pull-requests/{}", self.repo_html(project), mr.number) } },
        })
    }

    pub(super) fn issue(&self, project: &Project, issue: &Issue) -> Value {
        json!({
            "type": "issue",
            "id": issue.number,
            "title": issue.title,
            "state": if issue.open { "open" } else { "resolved" },
            "kind": issue.labels.first().copied().unwrap_or("bug"),
            "priority": "major",
            "reporter": self.user(issue.author),
            // There is but one.
            "assignee": issue.assignees.first().map(|id| self.user(*id)),
            "created_on": offset(issue.created_at),
            "updated_on": offset(issue.updated_at),
            "links": { "html": { "href": format!("{}/issues/{}", self.repo_html(project), issue.number) } },
        })
    }
}

/// A number from a name.
pub(crate) fn hash(name: &str) -> u64 {
    name.bytes().fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % 1_000_003)
}
