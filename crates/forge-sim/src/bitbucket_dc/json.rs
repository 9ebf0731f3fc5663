//! World to Bitbucket Data Center's JSON.

use serde_json::{Value, json};

use super::build_key;
use crate::world::{Branch, Commit, MergeRequest, PersonId, Pipeline, Project, RunStatus, Visibility};

/// The word of a build.
pub(super) fn word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Created | RunStatus::Queued | RunStatus::Running | RunStatus::Manual => "INPROGRESS",
        RunStatus::Success => "SUCCESSFUL",
        RunStatus::Failed => "FAILED",
        RunStatus::Canceled => "CANCELLED",
        RunStatus::Skipped => "UNKNOWN",
    }
}

/// Base URL and the translation.
pub(super) struct Json<'a> {
    /// The site with its context.
    pub(super) html: &'a str,
}

impl Json<'_> {
    fn repo_html(&self, project: &Project) -> String {
        format!("{}/projects/{}/repos/{}", self.html, project.namespace, project.path)
    }

    pub(super) fn user(&self, id: PersonId) -> Value {
        let person = id.person();
        json!({
            "id": 100 + u64::from(id.0), "name": person.login, "slug": person.login, "displayName": person.name,
            "emailAddress": person.email(), "active": true, "type": "NORMAL",
            "links": { "self": [{ "href": format!("{}/users/{}", self.html, person.login) }] },
        })
    }

    pub(super) fn repository(&self, project: &Project) -> Value {
        json!({
            "id": project.native_id,
            "slug": project.path,
            "name": project.name,
            "description": project.description,
            "scmId": "git",
            "state": "AVAILABLE",
            "statusMessage": "Available",
            "forkable": true,
            "public": project.visibility == Visibility::Public,
            "archived": project.archived,
            "project": {
                "key": project.namespace, "id": 1, "name": project.namespace, "public": false,
                "type": if project.personal { "PERSONAL" } else { "NORMAL" },
            },
            "links": {
                "self": [{ "href": format!("{}/browse", self.repo_html(project)) }],
                "clone": [{ "name": "http", "href": format!("{}/scm/{}.git", self.html, project.full_path()) }],
            },
        })
    }

    pub(super) fn minimal(&self, name: &str) -> Value {
        json!({ "id": format!("refs/heads/{name}"), "displayId": name, "type": "BRANCH" })
    }

    pub(super) fn commit(&self, commit: &Commit) -> Value {
        let person = commit.author.person();
        let author = json!({ "name": person.name, "emailAddress": person.email() });
        json!({
            "id": commit.sha,
            "displayId": &commit.sha[..11],
            "author": author,
            "authorTimestamp": commit.at.as_millisecond(),
            "committer": author,
            "committerTimestamp": commit.at.as_millisecond(),
            "message": commit.title,
            "parents": commit.parent.iter().map(|sha| json!({ "id": sha, "displayId": &sha[..11] })).collect::<Vec<_>>(),
        })
    }

    pub(super) fn branch(&self, project: &Project, branch: &Branch, details: bool, stats: Value) -> Value {
        let mut row = self.minimal(&branch.name);
        row["latestCommit"] = json!(branch.head);
        row["latestChangeset"] = json!(branch.head);
        row["isDefault"] = (project.default_branch.as_ref() == Some(&branch.name)).into();
        if details {
            row["metadata"] = json!({
                "com.atlassian.bitbucket.server.bitbucket-branch:latest-commit-metadata":
                    project.commit(&branch.head).map(|commit| self.commit(commit)),
                "com.atlassian.bitbucket.server.bitbucket-build:build-status-metadata": stats,
            });
        }
        row
    }

    /// A build as the commit's page has it: with one time, that of its last word.
    pub(super) fn status(&self, project: &Project, run: &Pipeline) -> Value {
        json!({
            "key": build_key(project, run),
            "state": word(run.status),
            "name": project.workflows.get(run.workflow).map_or("CI", |w| w.name),
            "url": format!("https://ci.example.invalid/job/{}/{}/", project.path, run.number),
            "description": run.failure.as_ref().filter(|_| run.status == RunStatus::Failed).map(|f| f.summary),
            "dateAdded": run.updated_at.as_millisecond(),
        })
    }

    /// The same as the repository has it.
    pub(super) fn build(&self, project: &Project, run: &Pipeline) -> Value {
        let mut row = self.status(project, run);
        if let Some(row) = row.as_object_mut() {
            row.remove("dateAdded");
        }
        row["buildNumber"] = run.number.to_string().into();
        row["ref"] = format!("refs/heads/{}", run.branch).into();
        row["createdDate"] = run.created_at.as_millisecond().into();
        row["updatedDate"] = run.updated_at.as_millisecond().into();
        if let Some(seconds) = run.duration_seconds() {
            row["duration"] = ((seconds * 1000.0) as u64).into();
        }
        row
    }

    pub(super) fn pull(&self, project: &Project, mr: &MergeRequest) -> Value {
        let end = |name: &str, sha: Option<&str>| {
            let mut end = self.minimal(name);
            end["latestCommit"] = json!(sha);
            end["repository"] = self.repository(project);
            end
        };
        let person = |id: PersonId, role: &str| json!({ "user": self.user(id), "role": role, "approved": false, "status": "UNAPPROVED" });
        json!({
            "id": mr.number,
            "version": 1,
            "title": mr.title,
            "state": if mr.open { "OPEN" } else { "MERGED" },
            "open": mr.open,
            "closed": !mr.open,
            "draft": mr.draft,
            "createdDate": mr.created_at.as_millisecond(),
            "updatedDate": mr.updated_at.as_millisecond(),
            "fromRef": end(&mr.source_branch, Some(&mr.sha)),
            "toRef": end(&mr.target_branch, project.branch(&mr.target_branch).map(|b| &*b.head)),
            "locked": false,
            "author": person(mr.author, "AUTHOR"),
            "reviewers": mr.reviewers.iter().map(|id| person(*id, "REVIEWER")).collect::<Vec<_>>(),
            "participants": [],
            "properties": { "mergeResult": { "outcome": "CLEAN", "current": true } },
            "links": { "self": [{ "href": format!("{}/pull-requests/{}", self.repo_html(project), mr.number) }] },
        })
    }
}
