//! World to Gitea's JSON: everything but Actions.

use serde_json::{Value, json};

use super::actions::status_of;
use super::{API, Api};
use crate::face::seconds;
use crate::http::encode_path;
use crate::world::{
    Branch, Commit, Issue, MergeRequest, PersonId, Pipeline, Project, RunStatus, Visibility, World,
};

/// What Gitea writes for a time that is not there.
pub(super) const NEVER: &str = "0001-01-01T00:00:00Z";

pub(super) fn user_id(id: PersonId) -> u64 {
    100 + u64::from(id.0)
}

fn owner_id(login: &str) -> u64 {
    login.bytes().fold(11_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 90_000) + 10_000
}

/// Base URL of the site and the generation.
pub(super) struct Json<'a> {
    pub(super) html: &'a str,
    pub(super) api: Api,
}

impl Json<'_> {
    pub(super) fn repo_html(&self, project: &Project) -> String {
        format!("{}/{}", self.html, project.full_path())
    }

    pub(super) fn repo_url(&self, project: &Project) -> String {
        format!("{}{API}/repos/{}", self.html, project.full_path())
    }

    fn account(&self, login: &str, full_name: &str, id: u64, email: &str) -> Value {
        json!({
            "id": id, "login": login, "login_name": "", "source_id": 0, "full_name": full_name, "email": email,
            "avatar_url": format!("{}/avatars/{id}", self.html), "html_url": format!("{}/{login}", self.html),
            "language": "", "is_admin": false, "last_login": NEVER, "created": "2016-02-01T10:00:00Z", "restricted": false,
            "active": false, "prohibit_login": false, "location": "", "website": "", "description": "",
            "visibility": "public", "followers_count": 0, "following_count": 0, "starred_repos_count": 0,
        })
    }

    pub(super) fn user(&self, id: PersonId) -> Value {
        let person = id.person();
        self.account(person.login, person.name, user_id(id), &person.email())
    }

    fn owner(&self, project: &Project) -> Value {
        self.account(&project.namespace, "", owner_id(&project.namespace), "")
    }

    pub(super) fn repo(&self, project: &Project, may_act: bool) -> Value {
        let (full, url) = (self.repo_html(project), self.repo_url(project));
        let host = self.html.split("://").nth(1).unwrap_or("localhost");
        json!({
            "id": project.native_id, "owner": self.owner(project), "name": project.path, "full_name": project.full_path(),
            "description": project.description.as_deref().unwrap_or(""), "empty": project.default_branch.is_none(),
            "private": project.visibility == Visibility::Private, "fork": false, "template": false, "mirror": false,
            "size": 24, "language": "Rust", "languages_url": format!("{url}/languages"), "html_url": full, "url": url,
            "link": "", "ssh_url": format!("git@{host}:{}.git", project.full_path()), "clone_url": format!("{full}.git"),
            "original_url": "", "website": "", "stars_count": 0, "forks_count": 0, "watchers_count": 1,
            "open_issues_count": 0, "open_pr_counter": 0, "release_counter": 0,
            // Of an empty repository the branch that it would get.
            "default_branch": project.default_branch.as_deref().unwrap_or("main"), "archived": project.archived,
            "created_at": seconds(project.created_at), "updated_at": seconds(project.pushed_at.max(project.created_at)),
            "archived_at": "1970-01-01T00:00:00Z",
            "permissions": { "admin": false, "push": may_act, "pull": true },
            "has_issues": true, "has_wiki": false, "has_pull_requests": true, "has_projects": false, "has_releases": true,
            "has_packages": false, "has_actions": self.api != Api::Statuses && !super::routes::is_without_actions(project),
            "ignore_whitespace_conflicts": false, "allow_merge_commits": true, "allow_rebase": true,
            "allow_rebase_explicit": true, "allow_squash_merge": true, "allow_rebase_update": true,
            "default_delete_branch_after_merge": false, "default_merge_style": "merge",
            "default_allow_maintainer_edit": false, "avatar_url": "",
            "internal": project.visibility == Visibility::Internal, "mirror_interval": "", "mirror_updated": NEVER,
            "repo_transfer": null, "topics": [], "object_format_name": "sha1",
        })
    }

    fn commit(&self, project: &Project, commit: &Commit) -> Value {
        let person = commit.author.person();
        let signature = json!({ "name": person.name, "email": person.email(), "username": person.login });
        json!({
            "id": commit.sha, "message": format!("{}\n", commit.title),
            "url": format!("{}/commit/{}", self.repo_html(project), commit.sha), "author": signature,
            "committer": signature, "verification": null, "timestamp": seconds(commit.at),
            "added": null, "removed": null, "modified": null,
        })
    }

    pub(super) fn branch(&self, project: &Project, branch: &Branch) -> Value {
        json!({
            "name": branch.name, "commit": project.commit(&branch.head).map(|c| self.commit(project, c)),
            "protected": branch.protected, "required_approvals": 0, "enable_status_check": false,
            "status_check_contexts": [], "user_can_push": false, "user_can_merge": false,
            "effective_branch_protection_name": "",
        })
    }

    fn labels(labels: &[&str]) -> Vec<Value> {
        let one = |name: &&str| {
            json!({
                "id": owner_id(name), "name": name, "exclusive": false, "is_archived": false, "color": "d73a4a",
                "description": "", "url": "",
            })
        };
        labels.iter().map(one).collect()
    }

    pub(super) fn pull(&self, project: &Project, mr: &MergeRequest, may_act: bool) -> Value {
        let html = format!("{}/pulls/{}", self.repo_html(project), mr.number);
        let base = project.branch(&mr.target_branch).map_or_else(|| mr.sha.clone(), |b| b.head.clone());
        let end = |name: &str, sha: &str| {
            json!({
                "label": name, "ref": name, "sha": sha, "repo_id": project.native_id, "repo": self.repo(project, may_act),
            })
        };
        let reviewers: Vec<Value> = mr.reviewers.iter().map(|id| self.user(*id)).collect();
        let title = if mr.draft { format!("WIP: {}", mr.title) } else { mr.title.to_string() };
        json!({
            "id": project.native_id * 10_000 + u64::from(mr.number), "url": html, "number": mr.number,
            "user": self.user(mr.author), "title": title, "body": "", "labels": Self::labels(&mr.labels),
            "milestone": null, "assignee": null, "assignees": null, "requested_reviewers": reviewers,
            "requested_reviewers_teams": null, "state": if mr.open { "open" } else { "closed" }, "draft": mr.draft,
            "is_locked": false, "comments": 0, "html_url": html, "diff_url": format!("{html}.diff"),
            "patch_url": format!("{html}.patch"), "mergeable": mr.open, "merged": !mr.open,
            "merged_at": (!mr.open).then(|| seconds(mr.updated_at)), "merge_commit_sha": null, "merged_by": null,
            "allow_maintainer_edit": false, "base": end(&mr.target_branch, &base), "head": end(&mr.source_branch, &mr.sha),
            "merge_base": base, "due_date": null, "created_at": seconds(mr.created_at),
            "updated_at": seconds(mr.updated_at), "closed_at": (!mr.open).then(|| seconds(mr.updated_at)), "pin_order": 0,
        })
    }

    pub(super) fn issue(&self, project: &Project, issue: &Issue) -> Value {
        let assignees: Vec<Value> = issue.assignees.iter().map(|id| self.user(*id)).collect();
        json!({
            "id": project.native_id * 10_000 + u64::from(issue.number),
            "url": format!("{}/issues/{}", self.repo_url(project), issue.number),
            "html_url": format!("{}/issues/{}", self.repo_html(project), issue.number), "number": issue.number,
            "user": self.user(issue.author), "original_author": "", "original_author_id": 0, "title": issue.title,
            "body": "", "ref": "", "assets": [], "labels": Self::labels(&issue.labels), "milestone": null,
            "assignee": assignees.first(), "assignees": if assignees.is_empty() { Value::Null } else { json!(assignees) },
            "state": if issue.open { "open" } else { "closed" }, "is_locked": false, "comments": 0,
            "created_at": seconds(issue.created_at), "updated_at": seconds(issue.updated_at),
            "closed_at": (!issue.open).then(|| seconds(issue.updated_at)), "due_date": null, "pull_request": null,
            "repository": { "id": project.native_id, "name": project.path, "owner": project.namespace, "full_name": project.full_path() },
            "pin_order": 0,
        })
    }

    /// What CI says of a commit: of each workflow its newest run.
    pub(super) fn combined_status(&self, world: &World, project: &Project, commit: &Commit) -> Value {
        let mut runs: Vec<&Pipeline> = Vec::new();
        for run in project.pipelines().iter().rev().filter(|r| r.sha == commit.sha) {
            if !runs.iter().any(|known| known.workflow == run.workflow) {
                runs.push(run);
            }
        }
        let rank = |status: RunStatus| match state(status) {
            "failure" => 0,
            "pending" => 1,
            _ => 2,
        };
        let worst = runs.iter().map(|r| r.status).min_by_key(|s| rank(*s));
        let url = self.repo_url(project);
        let status = |run: &&Pipeline| {
            let workflow = project.workflows.get(run.workflow).map_or("", |w| w.name);
            json!({
                "id": run.id, "status": state(run.status), "target_url": format!("{}/ci/{}", self.html, run.id),
                "description": status_of(run.status).0, "url": format!("{url}/statuses/{}", run.sha),
                "context": format!("ci/{workflow}"), "creator": self.user(run.actor), "created_at": seconds(run.created_at),
                "updated_at": seconds(run.updated_at.min(world.now())),
            })
        };
        let repository = self.repo(project, false);
        json!({
            "state": worst.map_or("", state), "sha": commit.sha, "total_count": runs.len(),
            "statuses": if runs.is_empty() { Value::Null } else { Value::Array(runs.iter().map(status).collect()) },
            "repository": repository, "commit_url": format!("{}/commit/{}", self.repo_html(project), commit.sha),
            "url": format!("{url}/commits/{}/status", encode_path(&commit.sha)),
        })
    }
}

/// The state of a commit status.
pub(super) fn state(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Success => "success",
        RunStatus::Failed => "failure",
        RunStatus::Canceled => "error",
        RunStatus::Skipped => "skipped",
        RunStatus::Created | RunStatus::Queued | RunStatus::Running | RunStatus::Manual => "pending",
    }
}
