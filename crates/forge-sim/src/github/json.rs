//! World to GitHub's JSON.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{FIRST_JOB, FIRST_RUN};
use crate::face::seconds;
use crate::http::{digest, encode, encode_path};
use crate::world::{
    Branch, Commit, Deployment, Issue, Job, MergeRequest, PastAttempt, PersonId, Pipeline, Project,
    RunStatus, Trigger, Workflow,
};

/// Accounts are numbered from here; owners have numbers of their own.
const FIRST_USER: u64 = 500;

pub(super) fn user_id(id: PersonId) -> u64 {
    FIRST_USER + u64::from(id.0)
}

pub(super) fn owner_id(login: &str) -> u64 {
    login.bytes().fold(11_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 90_000) + 10_000
}

/// A global node id: opaque to clients.
pub(super) fn node(kind: &str, id: u64) -> String {
    format!("{kind}_kwDO{id:x}")
}

/// `status` and `conclusion` of a run or job.
pub(super) fn status(status: RunStatus) -> (&'static str, Option<&'static str>) {
    match status {
        RunStatus::Created | RunStatus::Queued => ("queued", None),
        RunStatus::Running => ("in_progress", None),
        RunStatus::Manual => ("waiting", None),
        RunStatus::Success => ("completed", Some("success")),
        RunStatus::Failed => ("completed", Some("failure")),
        RunStatus::Canceled => ("completed", Some("cancelled")),
        RunStatus::Skipped => ("completed", Some("skipped")),
    }
}

pub(super) fn event(run: &Pipeline) -> &'static str {
    match run.trigger {
        Trigger::Push | Trigger::Tag => "push",
        Trigger::Schedule => "schedule",
        Trigger::MergeRequest(_) => "pull_request",
        Trigger::Manual => "workflow_dispatch",
        Trigger::Workflow => "workflow_run",
    }
}

/// Deployments are numbered from here.
const FIRST_DEPLOYMENT: u64 = 2_500_000_000;

pub(super) fn deployment_id(d: &Deployment<'_>) -> u64 {
    FIRST_DEPLOYMENT + d.job.id
}

/// The states that a deployment has come to, oldest first, each with its moment. What is canceled is an error.
pub(super) fn deployment_states(d: &Deployment<'_>) -> Vec<(&'static str, Timestamp)> {
    let job = d.job;
    let mut states = vec![("queued", d.created_at())];
    states.extend(job.started_at.map(|at| ("in_progress", at)));
    let word = match job.status {
        RunStatus::Success => Some("success"),
        RunStatus::Failed => Some("failure"),
        RunStatus::Canceled => Some("error"),
        _ => None,
    };
    states.extend(word.zip(job.finished_at.or(job.started_at)));
    states.extend(d.replaced_at.map(|at| ("inactive", at)));
    states
}

/// Base URLs and the translation.
#[derive(Clone, Copy)]
pub(super) struct Json<'a> {
    /// Of the API.
    pub(super) api: &'a str,
    /// Of the pages for people.
    pub(super) html: &'a str,
}

impl Json<'_> {
    pub(super) fn repo_url(&self, project: &Project) -> String {
        format!("{}/repos/{}", self.api, project.full_path())
    }

    /// The page of the job that deploys, as its states link it.
    pub(super) fn deployment_log(&self, project: &Project, d: &Deployment<'_>) -> String {
        let (run, job) = (FIRST_RUN + d.run.id, FIRST_JOB + d.job.id);
        format!("{}/actions/runs/{run}/job/{job}", self.repo_html(project))
    }

    pub(super) fn deployment(&self, project: &Project, d: &Deployment<'_>) -> Value {
        let (id, repo) = (deployment_id(d), self.repo_url(project));
        let url = format!("{repo}/deployments/{id}");
        let touched = deployment_states(d).last().map_or_else(|| d.created_at(), |(_, at)| *at);
        json!({
            "url": url,
            "id": id,
            "node_id": node("DE", id),
            "task": "deploy",
            "original_environment": d.environment,
            "environment": d.environment,
            "description": null,
            "created_at": seconds(d.created_at()),
            "updated_at": seconds(touched),
            "statuses_url": format!("{url}/statuses"),
            "repository_url": repo,
            "creator": self.user(d.run.actor),
            "sha": d.run.sha,
            "ref": d.run.branch,
            "payload": {},
            "transient_environment": false,
            "production_environment": d.is_production(),
            "performed_via_github_app": null,
        })
    }

    /// Oldest first.
    pub(super) fn deployment_statuses(&self, project: &Project, d: &Deployment<'_>) -> Vec<Value> {
        let (id, repo) = (deployment_id(d), self.repo_url(project));
        let url = format!("{repo}/deployments/{id}");
        let log = self.deployment_log(project, d);
        let status = |(n, (state, at)): (usize, (&str, Timestamp))| {
            let own = id * 10 + n as u64;
            json!({
                "url": format!("{url}/statuses/{own}"),
                "id": own,
                "node_id": node("DES", own),
                "state": state,
                "creator": self.user(d.run.actor),
                "description": "",
                "environment": d.environment,
                "target_url": log,
                "created_at": seconds(at),
                "updated_at": seconds(at),
                "deployment_url": url,
                "repository_url": repo,
                "environment_url": "",
                "log_url": log,
                "performed_via_github_app": null,
            })
        };
        deployment_states(d).into_iter().enumerate().map(status).collect()
    }

    pub(super) fn repo_html(&self, project: &Project) -> String {
        format!("{}/{}", self.html, project.full_path())
    }

    pub(super) fn account(&self, login: &str, id: u64, kind: &str) -> Value {
        let url = format!("{}/users/{login}", self.api);
        json!({
            "login": login,
            "id": id,
            "node_id": node("U", id),
            "avatar_url": format!("{}/u/{id}/avatar.png", self.html),
            "gravatar_id": "",
            "url": url,
            "html_url": format!("{}/{login}", self.html),
            "followers_url": format!("{url}/followers"),
            "following_url": format!("{url}/following{{/other_user}}"),
            "gists_url": format!("{url}/gists{{/gist_id}}"),
            "starred_url": format!("{url}/starred{{/owner}}{{/repo}}"),
            "subscriptions_url": format!("{url}/subscriptions"),
            "organizations_url": format!("{url}/orgs"),
            "repos_url": format!("{url}/repos"),
            "events_url": format!("{url}/events{{/privacy}}"),
            "received_events_url": format!("{url}/received_events"),
            "type": kind,
            "user_view_type": "public",
            "site_admin": false,
        })
    }

    pub(super) fn user(&self, id: PersonId) -> Value {
        self.account(id.person().login, user_id(id), "User")
    }

    pub(super) fn current_user(&self, id: PersonId) -> Value {
        let person = id.person();
        let mut user = self.user(id);
        let more = json!({
            "user_view_type": "private", "name": person.name, "company": null, "blog": "", "location": null,
            "email": person.email(), "hireable": null, "bio": null, "twitter_username": null, "notification_email": person.email(),
            "public_repos": 3, "public_gists": 0, "followers": 12, "following": 7, "created_at": "2016-02-01T10:00:00Z",
            "updated_at": "2026-11-01T10:00:00Z", "private_gists": 0, "total_private_repos": 40, "owned_private_repos": 2,
            "disk_usage": 1200, "collaborators": 0, "two_factor_authentication": true,
            "plan": {"name": "free", "space": 976_562_499, "collaborators": 0, "private_repos": 10_000},
        });
        if let (Value::Object(user), Value::Object(more)) = (&mut user, more) {
            user.extend(more);
        }
        user
    }

    pub(super) fn short_branch(&self, project: &Project, branch: &Branch) -> Value {
        json!({
            "name": branch.name,
            "commit": { "sha": branch.head, "url": format!("{}/commits/{}", self.repo_url(project), branch.head) },
            "protected": branch.protected,
        })
    }

    pub(super) fn branch(&self, project: &Project, branch: &Branch) -> Value {
        let (url, html) = (self.repo_url(project), self.repo_html(project));
        let name = encode_path(&branch.name);
        let this = format!("{url}/branches/{name}");
        json!({
            "name": branch.name,
            "commit": project.commit(&branch.head).map(|commit| self.commit(project, commit)),
            "_links": { "self": this, "html": format!("{html}/tree/{name}") },
            "protected": branch.protected,
            "protection": {
                "enabled": branch.protected,
                "required_status_checks": { "enforcement_level": "off", "contexts": [], "checks": [] },
            },
            "protection_url": format!("{this}/protection"),
        })
    }

    pub(super) fn commit(&self, project: &Project, commit: &Commit) -> Value {
        let (url, html) = (self.repo_url(project), self.repo_html(project));
        let (sha, person) = (&commit.sha, commit.author.person());
        let signature = json!({ "name": person.name, "email": person.email(), "date": seconds(commit.at) });
        let tree = tree_of(sha);
        json!({
            "sha": sha,
            "node_id": format!("C_kwDO{}", &sha[..16]),
            "commit": {
                "author": signature,
                "committer": signature,
                "message": commit.title,
                "tree": { "sha": tree, "url": format!("{url}/git/trees/{tree}") },
                "url": format!("{url}/git/commits/{sha}"),
                "comment_count": 0,
                "verification": { "verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null },
            },
            "url": format!("{url}/commits/{sha}"),
            "html_url": format!("{html}/commit/{sha}"),
            "comments_url": format!("{url}/commits/{sha}/comments"),
            "author": self.user(commit.author),
            "committer": self.user(commit.author),
            "parents": commit.parent.iter().map(|parent| json!({
                "sha": parent, "url": format!("{url}/commits/{parent}"), "html_url": format!("{html}/commit/{parent}"),
            })).collect::<Vec<_>>(),
        })
    }

    pub(super) fn workflow(&self, project: &Project, workflow: &Workflow) -> Value {
        let (url, html) = (self.repo_url(project), self.repo_html(project));
        let branch = project.default_branch.as_deref().unwrap_or("main");
        json!({
            "id": workflow.native_id,
            "node_id": node("W", workflow.native_id),
            "name": workflow.name,
            "path": workflow.path,
            "state": "active",
            "created_at": seconds(project.created_at),
            "updated_at": seconds(project.created_at),
            "url": format!("{url}/actions/workflows/{}", workflow.native_id),
            "html_url": format!("{html}/blob/{branch}/{}", workflow.path),
            "badge_url": format!("{html}/workflows/{}/badge.svg", encode(workflow.name)),
        })
    }

    /// A run; `past` shows one of its earlier attempts.
    pub(super) fn run(
        &self,
        project: &Project,
        run: &Pipeline,
        past: Option<&PastAttempt>,
        with_pulls: bool,
    ) -> Value {
        let (url, html) = (self.repo_url(project), self.repo_html(project));
        let id = FIRST_RUN + run.id;
        let me = format!("{url}/actions/runs/{id}");
        let workflow = project.workflows.get(run.workflow);
        let commit = project.commit(&run.sha);
        let attempt = past.map_or(run.attempt, |past| past.number);
        let (status, conclusion) = status(past.map_or(run.status, |past| past.status));
        let suite = 20_000_000_000 + run.id;
        let title = commit.map_or("", |commit| &commit.title);
        let pulls: Vec<Value> = match run.trigger {
            Trigger::MergeRequest(number) if with_pulls => project
                .history()
                .merge_requests
                .iter()
                .filter(|mr| mr.number == number)
                .map(|mr| self.pull_short(project, mr))
                .collect(),
            _ => Vec::new(),
        };
        json!({
            "id": id,
            "name": workflow.map(|w| w.name),
            "node_id": node("WFR", id),
            "head_branch": run.branch,
            "head_sha": run.sha,
            "path": workflow.map_or("", |w| w.path),
            "display_title": title,
            "run_number": run.workflow_number,
            "event": event(run),
            "status": status,
            "conclusion": conclusion,
            "workflow_id": workflow.map_or(0, |w| w.native_id),
            "check_suite_id": suite,
            "check_suite_node_id": node("CS", suite),
            "url": me,
            "html_url": format!("{html}/actions/runs/{id}"),
            "pull_requests": pulls,
            "created_at": seconds(run.created_at),
            "updated_at": seconds(past.map_or(run.updated_at, |past| past.finished_at)),
            "actor": self.user(run.actor),
            "run_attempt": attempt,
            "referenced_workflows": [],
            "run_started_at": seconds(past.map_or(run.attempt_at, |past| past.started_at.min(run.attempt_at))),
            "triggering_actor": self.user(run.actor),
            "jobs_url": format!("{me}/jobs"),
            "logs_url": format!("{me}/logs"),
            "check_suite_url": format!("{url}/check-suites/{suite}"),
            "artifacts_url": format!("{me}/artifacts"),
            "cancel_url": format!("{me}/cancel"),
            "rerun_url": format!("{me}/rerun"),
            "previous_attempt_url": (attempt > 1).then(|| format!("{me}/attempts/{}", attempt - 1)),
            "workflow_url": format!("{url}/actions/workflows/{}", workflow.map_or(0, |w| w.native_id)),
            "head_commit": commit.map(|commit| self.simple_commit(commit)),
            "repository": self.repo_minimal(project),
            "head_repository": self.repo_minimal(project),
        })
    }

    fn simple_commit(&self, commit: &Commit) -> Value {
        let person = commit.author.person();
        let signature = json!({ "name": person.name, "email": person.email() });
        json!({
            "id": commit.sha,
            "tree_id": tree_of(&commit.sha),
            "message": commit.title,
            "timestamp": seconds(commit.at),
            "author": signature,
            "committer": signature,
        })
    }

    pub(super) fn job(&self, project: &Project, run: &Pipeline, job: &Job) -> Value {
        let (url, html) = (self.repo_url(project), self.repo_html(project));
        let (id, run_id) = (FIRST_JOB + job.id, FIRST_RUN + run.id);
        let (status, conclusion) = status(job.status);
        let runner = job.started_at.map(|_| 1_000 + job.id % 977);
        json!({
            "id": id,
            "run_id": run_id,
            "workflow_name": project.workflows.get(run.workflow).map(|w| w.name),
            "head_branch": run.branch,
            "run_url": format!("{url}/actions/runs/{run_id}"),
            "run_attempt": job.attempt,
            "node_id": node("CR", id),
            "head_sha": run.sha,
            "url": format!("{url}/actions/jobs/{id}"),
            "html_url": format!("{html}/actions/runs/{run_id}/job/{id}"),
            "status": status,
            "conclusion": conclusion,
            "created_at": seconds(job.created_at),
            // A job that waits shows when it was created.
            "started_at": seconds(job.started_at.unwrap_or(job.created_at)),
            "completed_at": job.finished_at.or(conclusion.map(|_| run.updated_at)).map(seconds),
            "name": job.name,
            "steps": self.steps(job),
            "check_run_url": format!("{url}/check-runs/{id}"),
            "labels": ["ubuntu-latest"],
            "runner_id": runner,
            "runner_name": runner.map(|id| format!("GitHub Actions {id}")),
            "runner_group_id": runner.map(|_| 0),
            "runner_group_name": runner.map(|_| "GitHub Actions"),
        })
    }

    fn steps(&self, job: &Job) -> Vec<Value> {
        let Some(start) = job.started_at else { return Vec::new() };
        let main = format!("Run {}", job.name);
        let names = [
            "Set up job",
            "Run actions/checkout@v5",
            &main,
            "Upload results",
            "Post Run actions/checkout@v5",
            "Complete job",
        ];
        let (failed, over) = (job.status == RunStatus::Failed, job.status.is_terminal());
        let end = job.finished_at.unwrap_or(start);
        let span = end.as_millisecond() - start.as_millisecond();
        let share = [0, 3, 6, 94, 96, 98, 100];
        let at = |k: usize| {
            let ms = start.as_millisecond() + span * share[k] / 100;
            Timestamp::from_millisecond(ms).map(seconds).unwrap_or_default()
        };
        let step = |(k, name): (usize, &&str)| {
            let (status, conclusion) = match k {
                _ if !over && k < 2 => ("completed", Some("success")),
                2 if !over => ("in_progress", None),
                _ if !over => ("pending", None),
                2 if failed => ("completed", Some("failure")),
                2 if job.status == RunStatus::Canceled => ("completed", Some("cancelled")),
                3 if failed || job.status == RunStatus::Canceled => ("completed", Some("skipped")),
                _ => ("completed", Some("success")),
            };
            let begun = status != "pending";
            json!({
                "name": name, "status": if begun { status } else { "queued" }, "conclusion": conclusion, "number": k + 1,
                "started_at": begun.then(|| at(k)), "completed_at": conclusion.map(|_| at(k + 1)),
            })
        };
        names.iter().enumerate().map(step).collect()
    }

    pub(super) fn annotations(&self, project: &Project, run: &Pipeline, job: &Job) -> Vec<Value> {
        let Some(failure) = job.failure.as_ref().filter(|_| job.status == RunStatus::Failed) else {
            return Vec::new();
        };
        let blob = |file: &str| format!("{}/blob/{}/{file}", self.repo_html(project), run.sha);
        vec![
            json!({
                "path": failure.file, "blob_href": blob(failure.file), "start_line": failure.line, "end_line": failure.line,
                "start_column": null, "end_column": null, "annotation_level": "failure", "title": job.name,
                "message": failure.summary, "raw_details": null,
            }),
            json!({
                "path": ".github", "blob_href": blob(".github"), "start_line": 23, "end_line": 23, "start_column": null,
                "end_column": null, "annotation_level": "failure", "title": "", "message": "Process completed with exit code 1.",
                "raw_details": null,
            }),
        ]
    }

    fn pull_short(&self, project: &Project, mr: &MergeRequest) -> Value {
        let url = self.repo_url(project);
        let repo = json!({ "id": project.native_id, "url": url, "name": project.path });
        let base = project.branch(&mr.target_branch).map_or_else(|| mr.sha.clone(), |b| b.head.clone());
        json!({
            "id": pull_id(project, mr.number),
            "number": mr.number,
            "url": format!("{url}/pulls/{}", mr.number),
            "head": { "ref": mr.source_branch, "sha": mr.sha, "repo": repo },
            "base": { "ref": mr.target_branch, "sha": base, "repo": repo },
        })
    }

    pub(super) fn pull(&self, project: &Project, mr: &MergeRequest, can_act: bool) -> Value {
        let (url, html) = (self.repo_url(project), self.repo_html(project));
        let (number, id) = (mr.number, pull_id(project, mr.number));
        let this = format!("{url}/pulls/{number}");
        let issue = format!("{url}/issues/{number}");
        let end = |branch: &str, sha: &str| {
            json!({
                "label": format!("{}:{branch}", project.namespace), "ref": branch, "sha": sha, "user": self.owner(project),
                "repo": self.repo(project, can_act),
            })
        };
        let base =
            project.branch(&mr.target_branch).map_or_else(|| mr.sha.to_string(), |b| b.head.to_string());
        let reviewers: Vec<Value> = mr.reviewers.iter().map(|id| self.user(*id)).collect();
        json!({
            "url": this,
            "id": id,
            "node_id": node("PR", id),
            "html_url": format!("{html}/pull/{number}"),
            "diff_url": format!("{html}/pull/{number}.diff"),
            "patch_url": format!("{html}/pull/{number}.patch"),
            "issue_url": issue,
            "number": number,
            "state": if mr.open { "open" } else { "closed" },
            "locked": false,
            "title": mr.title,
            "user": self.user(mr.author),
            "body": null,
            "created_at": seconds(mr.created_at),
            "updated_at": seconds(mr.updated_at),
            "closed_at": (!mr.open).then(|| seconds(mr.updated_at)),
            "merged_at": (!mr.open).then(|| seconds(mr.updated_at)),
            "merge_commit_sha": null,
            "assignee": null,
            "assignees": [],
            "requested_reviewers": reviewers,
            "requested_teams": [],
            "labels": self.labels(project, &mr.labels),
            "milestone": null,
            "draft": mr.draft,
            "commits_url": format!("{this}/commits"),
            "review_comments_url": format!("{this}/comments"),
            "review_comment_url": format!("{url}/pulls/comments{{/number}}"),
            "comments_url": format!("{issue}/comments"),
            "statuses_url": format!("{url}/statuses/{}", mr.sha),
            "head": end(&mr.source_branch, &mr.sha),
            "base": end(&mr.target_branch, &base),
            "_links": {
                "self": { "href": this }, "html": { "href": format!("{html}/pull/{number}") }, "issue": { "href": issue },
                "comments": { "href": format!("{issue}/comments") }, "review_comments": { "href": format!("{this}/comments") },
                "review_comment": { "href": format!("{url}/pulls/comments{{/number}}") },
                "commits": { "href": format!("{this}/commits") },
                "statuses": { "href": format!("{url}/statuses/{}", mr.sha) },
            },
            "author_association": "MEMBER",
            "auto_merge": null,
            "active_lock_reason": null,
        })
    }

    fn labels(&self, project: &Project, labels: &[&str]) -> Vec<Value> {
        let url = self.repo_url(project);
        let label = |name: &&str| {
            let id = owner_id(name);
            json!({
                "id": id, "node_id": node("LA", id), "url": format!("{url}/labels/{}", encode(name)), "name": name, "color": "d73a4a",
                "default": *name == "bug", "description": "",
            })
        };
        labels.iter().map(label).collect()
    }

    pub(super) fn issue(&self, project: &Project, issue: &Issue) -> Value {
        let mut row = self.issue_like(project, issue.number, &issue.title, issue.author, issue.open);
        row["labels"] = json!(self.labels(project, &issue.labels));
        row["assignee"] = json!(issue.assignees.first().map(|id| self.user(*id)));
        row["assignees"] = json!(issue.assignees.iter().map(|id| self.user(*id)).collect::<Vec<_>>());
        row["created_at"] = json!(seconds(issue.created_at));
        row["updated_at"] = json!(seconds(issue.updated_at));
        row["closed_at"] = json!((!issue.open).then(|| seconds(issue.updated_at)));
        row
    }

    /// A pull request as it shows among the issues.
    pub(super) fn pull_as_issue(&self, project: &Project, mr: &MergeRequest) -> Value {
        let html = format!("{}/pull/{}", self.repo_html(project), mr.number);
        let mut row = self.issue_like(project, mr.number, &mr.title, mr.author, mr.open);
        row["html_url"] = json!(html);
        row["labels"] = json!(self.labels(project, &mr.labels));
        row["created_at"] = json!(seconds(mr.created_at));
        row["updated_at"] = json!(seconds(mr.updated_at));
        row["draft"] = json!(mr.draft);
        row["pull_request"] = json!({
            "url": format!("{}/pulls/{}", self.repo_url(project), mr.number), "html_url": html, "diff_url": format!("{html}.diff"),
            "patch_url": format!("{html}.patch"), "merged_at": null,
        });
        row
    }

    fn issue_like(&self, project: &Project, number: u32, title: &str, author: PersonId, open: bool) -> Value {
        let this = format!("{}/issues/{number}", self.repo_url(project));
        let id = pull_id(project, number) + 500_000_000;
        json!({
            "url": this,
            "repository_url": self.repo_url(project),
            "labels_url": format!("{this}/labels{{/name}}"),
            "comments_url": format!("{this}/comments"),
            "events_url": format!("{this}/events"),
            "html_url": format!("{}/issues/{number}", self.repo_html(project)),
            "id": id,
            "node_id": node("I", id),
            "number": number,
            "title": title,
            "user": self.user(author),
            "labels": [],
            "state": if open { "open" } else { "closed" },
            "locked": false,
            "assignee": null,
            "assignees": [],
            "milestone": null,
            "comments": number % 4,
            "created_at": null,
            "updated_at": null,
            "closed_at": null,
            "author_association": "MEMBER",
            "active_lock_reason": null,
            "body": null,
            "reactions": {
                "url": format!("{this}/reactions"), "total_count": 0, "+1": 0, "-1": 0, "laugh": 0, "hooray": 0, "confused": 0,
                "heart": 0, "rocket": 0, "eyes": 0,
            },
            "timeline_url": format!("{this}/timeline"),
            "performed_via_github_app": null,
            "state_reason": if open { Value::Null } else { json!("completed") },
        })
    }
}

fn pull_id(project: &Project, number: u32) -> u64 {
    project.native_id * 10_000 + u64::from(number)
}

fn tree_of(sha: &str) -> String {
    digest(&[sha.as_bytes()])[..40].to_owned()
}
