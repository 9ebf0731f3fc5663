//! World to GitLab's JSON.

use serde_json::{Value, json};

use crate::face::millis;
use crate::http::{digest, encode_path};
use crate::world::{
    Branch, Commit, Deployment, FailureKind, Issue, Job, MergeRequest, PersonId, Pipeline, Project,
    RunStatus, Trigger, Visibility,
};

/// GitLab numbers users, groups and runners from here, so that these ids are never a project's.
const FIRST_USER: u64 = 40;

/// Base URL (`http://host/prefix`) and the translation.
#[derive(Clone, Copy)]
pub(super) struct Json<'a> {
    pub(super) base: &'a str,
}

pub(super) fn status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Created => "created",
        RunStatus::Queued => "pending",
        RunStatus::Running => "running",
        RunStatus::Success => "success",
        RunStatus::Failed => "failed",
        RunStatus::Canceled => "canceled",
        RunStatus::Skipped => "skipped",
        RunStatus::Manual => "manual",
    }
}

/// A deployment's word: there is none for what waits for a runner.
pub(super) fn deployment_status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Created | RunStatus::Queued => "created",
        RunStatus::Manual => "blocked",
        other => self::status(other),
    }
}

pub(super) fn source(run: &Pipeline) -> &'static str {
    match run.trigger {
        Trigger::Push | Trigger::Tag => "push",
        Trigger::Schedule => "schedule",
        Trigger::MergeRequest(_) => "merge_request_event",
        Trigger::Manual => "web",
        Trigger::Workflow => "pipeline",
    }
}

/// The ref that a pipeline shows: merge request pipelines have one of their own.
pub(super) fn reference(run: &Pipeline) -> String {
    match run.trigger {
        Trigger::MergeRequest(number) => format!("refs/merge-requests/{number}/head"),
        _ => run.branch.to_string(),
    }
}

fn group_id(name: &str) -> u64 {
    name.bytes().fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 9_000) + 100
}

fn seconds_between(from: Option<jiff::Timestamp>, to: Option<jiff::Timestamp>) -> Option<f64> {
    Some((to?.as_millisecond() - from?.as_millisecond()).max(0) as f64 / 1000.0)
}

impl Json<'_> {
    pub(super) fn user(&self, id: PersonId) -> Value {
        let person = id.person();
        let number = FIRST_USER + u64::from(id.0);
        json!({
            "id": number,
            "username": person.login,
            "public_email": null,
            "name": person.name,
            "state": "active",
            "locked": false,
            "avatar_url": format!("{}/uploads/-/system/user/avatar/{number}/avatar.png", self.base),
            "web_url": format!("{}/{}", self.base, person.login),
        })
    }

    pub(super) fn current_user(&self, id: PersonId) -> Value {
        let mut user = self.user(id);
        let email = id.person().email();
        let more = json!({
            "created_at": "2021-03-01T08:00:00.000Z", "bio": "", "location": "", "linkedin": "", "twitter": "", "discord": "",
            "website_url": "", "github": "", "job_title": "", "pronouns": null, "organization": "", "bot": false,
            "work_information": null, "local_time": null, "last_sign_in_at": "2026-11-20T08:00:00.000Z",
            "confirmed_at": "2021-03-01T08:01:00.000Z", "last_activity_on": "2026-11-20", "email": email, "theme_id": 3,
            "color_scheme_id": 1, "projects_limit": 100_000, "current_sign_in_at": "2026-11-20T08:00:00.000Z", "identities": [],
            "can_create_group": true, "can_create_project": true, "two_factor_enabled": true, "external": false,
            "private_profile": false, "commit_email": email, "namespace_id": 90, "created_by": null,
        });
        if let (Value::Object(user), Value::Object(more)) = (&mut user, more) {
            user.extend(more);
        }
        user
    }

    pub(super) fn web_url(&self, project: &Project) -> String {
        format!("{}/{}", self.base, encode_path(&project.full_path()))
    }

    /// What `simple=true` leaves.
    pub(super) fn project_simple(&self, project: &Project) -> Value {
        let (full, web) = (project.full_path(), self.web_url(project));
        let host = self.base.split("://").nth(1).unwrap_or("localhost");
        let group = project.namespace.rsplit('/').next().unwrap_or("");
        let parent = project.namespace.rsplit_once('/').map(|(parent, _)| group_id(parent));
        json!({
            "id": project.native_id,
            "description": project.description,
            "name": project.name,
            "name_with_namespace": format!("{} / {}", project.namespace.replace('/', " / "), project.name),
            "path": project.path,
            "path_with_namespace": full,
            "created_at": millis(project.created_at),
            "default_branch": project.default_branch,
            "tag_list": [],
            "topics": [],
            "ssh_url_to_repo": format!("git@{host}:{full}.git"),
            "http_url_to_repo": format!("{web}.git"),
            "web_url": web,
            "readme_url": project.default_branch.as_ref().map(|b| format!("{web}/-/blob/{b}/README.md")),
            "forks_count": 0,
            "avatar_url": null,
            "star_count": project.native_id % 17,
            "last_activity_at": millis(project.updated_at),
            "visibility": match project.visibility {
                Visibility::Public => "public",
                Visibility::Internal => "internal",
                Visibility::Private => "private",
            },
            "namespace": {
                "id": group_id(&project.namespace),
                "name": group,
                "path": group,
                "kind": if project.personal { "user" } else { "group" },
                "full_path": project.namespace,
                "parent_id": parent,
                "avatar_url": null,
                "web_url": format!("{}/{}{}", self.base, if project.personal { "" } else { "groups/" }, project.namespace),
            },
        })
    }

    pub(super) fn project(&self, project: &Project, api: &str) -> Value {
        let mut simple = self.project_simple(project);
        let me = format!("{api}/projects/{}", project.native_id);
        let disabled = project.shape == crate::world::Shape::CiDisabled;
        let more = json!({
            "container_registry_image_prefix": project.full_path(),
            "_links": {
                "self": me, "issues": format!("{me}/issues"), "merge_requests": format!("{me}/merge_requests"),
                "repo_branches": format!("{me}/repository/branches"), "labels": format!("{me}/labels"),
                "events": format!("{me}/events"), "members": format!("{me}/members"), "cluster_agents": format!("{me}/cluster_agents"),
            },
            "marked_for_deletion_at": null, "packages_enabled": true, "empty_repo": project.default_branch.is_none(),
            "archived": project.archived, "resolve_outdated_diff_discussions": false,
            "repository_object_format": "sha1", "issues_enabled": true, "merge_requests_enabled": true, "wiki_enabled": false,
            "jobs_enabled": !disabled, "snippets_enabled": false, "container_registry_enabled": true,
            "service_desk_enabled": false, "can_create_merge_request_in": true, "issues_access_level": "enabled",
            "repository_access_level": "enabled", "merge_requests_access_level": "enabled", "forking_access_level": "enabled",
            "wiki_access_level": "disabled", "builds_access_level": if disabled { "disabled" } else { "enabled" },
            "snippets_access_level": "disabled", "pages_access_level": "private", "analytics_access_level": "enabled",
            "container_registry_access_level": "enabled", "releases_access_level": "enabled",
            "environments_access_level": "enabled", "emails_disabled": false, "emails_enabled": true,
            "shared_runners_enabled": true, "lfs_enabled": true, "creator_id": FIRST_USER, "import_status": "none",
            "open_issues_count": 0, "updated_at": millis(project.updated_at), "ci_default_git_depth": 20,
            "ci_forward_deployment_enabled": true, "ci_job_token_scope_enabled": false, "ci_separated_caches": true,
            "public_jobs": true, "build_timeout": 3600, "auto_cancel_pending_pipelines": "enabled", "ci_config_path": "",
            "shared_with_groups": [], "only_allow_merge_if_pipeline_succeeds": false, "request_access_enabled": true,
            "printing_merge_request_link_enabled": true, "merge_method": "merge", "squash_option": "default_off",
            "remove_source_branch_after_merge": true, "autoclose_referenced_issues": true,
            "permissions": { "project_access": project.member.then(|| json!({"access_level": 30, "notification_level": 3})), "group_access": null },
        });
        if let (Value::Object(simple), Value::Object(more)) = (&mut simple, more) {
            simple.extend(more);
        }
        simple
    }

    pub(super) fn commit(&self, project: &Project, commit: &Commit) -> Value {
        let author = commit.author.person();
        let at = millis(commit.at).replace('Z', "+00:00");
        json!({
            "id": commit.sha,
            "short_id": &commit.sha[..8],
            "created_at": at,
            "parent_ids": commit.parent.iter().collect::<Vec<_>>(),
            "title": commit.title,
            "message": format!("{}\n", commit.title),
            "author_name": author.name,
            "author_email": author.email(),
            "authored_date": at,
            "committer_name": author.name,
            "committer_email": author.email(),
            "committed_date": at,
            "trailers": {},
            "extended_trailers": {},
            "web_url": format!("{}/-/commit/{}", self.web_url(project), commit.sha),
        })
    }

    pub(super) fn branch(&self, project: &Project, branch: &Branch) -> Value {
        let web = format!("{}/-/tree/{}", self.web_url(project), encode_path(&branch.name));
        json!({
            "name": branch.name,
            "commit": project.commit(&branch.head).map(|commit| self.commit(project, commit)),
            "merged": false,
            "protected": branch.protected,
            "developers_can_push": false,
            "developers_can_merge": false,
            "can_push": true,
            "default": project.default_branch.as_ref() == Some(&branch.name),
            "web_url": web,
        })
    }

    /// The part of an environment that stands in its deployments.
    fn environment_basic(&self, project: &Project, name: &str) -> Value {
        let slug = name.replace('/', "-");
        json!({
            "id": group_id(&format!("{}/{name}", project.full_path())),
            "name": name,
            "slug": slug,
            "external_url": format!("https://{slug}.{}.example", project.path),
            "created_at": millis(project.created_at),
            "updated_at": millis(project.created_at),
        })
    }

    pub(super) fn environment(&self, project: &Project, name: &str) -> Value {
        let mut environment = self.environment_basic(project, name);
        environment["tier"] =
            json!(if name == crate::world::PRODUCTION { "production" } else { "development" });
        environment["state"] = json!("available");
        environment
    }

    pub(super) fn deployment(&self, project: &Project, d: &Deployment<'_>, now: jiff::Timestamp) -> Value {
        json!({
            "id": d.job.id,
            "iid": d.run.number,
            "ref": reference(d.run),
            "sha": d.run.sha,
            // It is there as soon as its job is.
            "created_at": millis(d.run.created_at),
            "updated_at": millis(d.updated_at()),
            "user": self.user(d.run.actor),
            "environment": self.environment_basic(project, &d.environment),
            "deployable": self.job(project, d.run, d.job, now),
            "status": deployment_status(d.job.status),
        })
    }

    pub(super) fn pipeline_row(&self, project: &Project, run: &Pipeline) -> Value {
        json!({
            "id": run.id,
            "iid": run.number,
            "project_id": project.native_id,
            "sha": run.sha,
            "ref": reference(run),
            "status": status(run.status),
            "source": source(run),
            "created_at": millis(run.created_at),
            "updated_at": millis(run.updated_at),
            "web_url": format!("{}/-/pipelines/{}", self.web_url(project), run.id),
            "name": (run.workflow > 0).then(|| project.workflows.get(run.workflow).map(|w| w.name)),
        })
    }

    pub(super) fn pipeline(&self, project: &Project, run: &Pipeline) -> Value {
        let mut row = self.pipeline_row(project, run);
        let commit = project.commit(&run.sha);
        let zero = "0".repeat(40);
        let queued = seconds_between(Some(run.created_at), run.started_at);
        let more = json!({
            "before_sha": commit.and_then(|c| c.parent.as_deref()).unwrap_or(&zero),
            "tag": run.trigger == Trigger::Tag,
            "yaml_errors": null,
            "user": self.user(run.actor),
            "started_at": run.started_at.map(millis),
            "finished_at": run.finished_at.map(millis),
            "committed_at": null,
            "duration": run.duration_seconds().map(|s| s as u64),
            "queued_duration": queued.filter(|_| run.finished_at.is_some()).map(|s| s as u64),
            "coverage": null,
            "archived": false,
            "detailed_status": self.detailed_status(project, run),
        });
        if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
            row.extend(more);
        }
        row
    }

    fn detailed_status(&self, project: &Project, run: &Pipeline) -> Value {
        let (icon, text, label, group) = match run.status {
            RunStatus::Success if run.warnings => {
                ("warning", "Warning", "passed with warnings", "success-with-warnings")
            }
            RunStatus::Success => ("success", "Passed", "passed", "success"),
            RunStatus::Failed => ("failed", "Failed", "failed", "failed"),
            RunStatus::Canceled => ("canceled", "Canceled", "canceled", "canceled"),
            RunStatus::Skipped => ("skipped", "Skipped", "skipped", "skipped"),
            RunStatus::Manual => ("manual", "Blocked", "waiting for manual action", "manual"),
            RunStatus::Running => ("running", "Running", "running", "running"),
            RunStatus::Queued => ("pending", "Pending", "pending", "pending"),
            RunStatus::Created => ("created", "Created", "created", "created"),
        };
        json!({
            "icon": format!("status_{icon}"),
            "text": text,
            "label": label,
            "group": group,
            "tooltip": label,
            "has_details": true,
            "details_path": format!("/{}/-/pipelines/{}", project.full_path(), run.id),
            "illustration": null,
            "favicon": format!("/assets/ci_favicons/favicon_status_{icon}-{}.png", &digest(&[icon.as_bytes()])),
        })
    }

    pub(super) fn job(&self, project: &Project, run: &Pipeline, job: &Job, now: jiff::Timestamp) -> Value {
        let web = self.web_url(project);
        let until = job.finished_at.or((job.status == RunStatus::Running).then_some(now));
        let runner_at = project.native_id % 5 + 1;
        let ran = job.started_at.is_some();
        let mut row = json!({
            "id": job.id,
            "status": status(job.status),
            "stage": job.stage,
            "name": job.name,
            "ref": reference(run),
            "tag": run.trigger == Trigger::Tag,
            "coverage": null,
            "allow_failure": job.allow_failure,
            "created_at": millis(job.created_at),
            "started_at": job.started_at.map(millis),
            "finished_at": job.finished_at.map(millis),
            "erased_at": null,
            "duration": seconds_between(job.started_at, until),
            "queued_duration": seconds_between(job.queued_at, job.started_at.or(job.queued_at.map(|_| now))),
            "user": self.user(run.actor),
            "commit": project.commit(&run.sha).map(|commit| self.commit(project, commit)),
            "pipeline": self.pipeline_row(project, run),
            "web_url": format!("{web}/-/jobs/{}", job.id),
            "project": { "ci_job_token_scope_enabled": false },
            "artifacts": if ran { json!([{"file_type": "trace", "size": 2048 + job.id % 9000, "filename": "job.log", "file_format": "raw"}]) } else { json!([]) },
            "runner": ran.then(|| json!({
                "id": runner_at, "description": format!("build-host-{runner_at}"), "ip_address": "", "active": true, "paused": false,
                "is_shared": true, "runner_type": "instance_type", "name": "gitlab-runner", "online": true, "status": "online",
            })),
            "runner_manager": ran.then(|| json!({
                "id": runner_at * 10, "system_id": format!("s_{runner_at:012x}"), "version": "17.5.3", "revision": "12030cf4",
                "platform": "linux", "architecture": "amd64", "created_at": millis(project.created_at),
                "contacted_at": millis(job.started_at.unwrap_or(job.created_at)), "ip_address": "10.0.0.7", "status": "online",
            })),
            "artifacts_expire_at": null,
            "archived": false,
            "tag_list": ["linux"],
        });
        // Only a job that failed has the key at all.
        if let (Some(failure), RunStatus::Failed) = (&job.failure, job.status) {
            row["failure_reason"] = json!(match failure.kind {
                FailureKind::Script => "script_failure",
                FailureKind::RunnerSystem => "runner_system_failure",
                FailureKind::Timeout => "stuck_or_timeout_failure",
            });
        }
        row
    }

    pub(super) fn merge_request(&self, project: &Project, mr: &MergeRequest, detail: bool) -> Value {
        let assignee = self.user(mr.author);
        let merger = if mr.open { Value::Null } else { assignee.clone() };
        let me = mr.number;
        let mut row = json!({
            "id": project.native_id * 1_000 + u64::from(me),
            "iid": me,
            "project_id": project.native_id,
            "title": if mr.draft { format!("Draft: {}", mr.title) } else { mr.title.to_string() },
            "description": null,
            "state": if mr.open { "opened" } else { "merged" },
            "created_at": millis(mr.created_at),
            "updated_at": millis(mr.updated_at),
            "merged_by": merger,
            "merge_user": merger,
            "merged_at": (!mr.open).then(|| millis(mr.updated_at)),
            "closed_by": null,
            "closed_at": null,
            "target_branch": mr.target_branch,
            "source_branch": mr.source_branch,
            "user_notes_count": me % 4,
            "upvotes": 0,
            "downvotes": 0,
            "author": assignee,
            "assignees": [assignee],
            "assignee": assignee,
            "reviewers": mr.reviewers.iter().map(|id| self.user(*id)).collect::<Vec<_>>(),
            "source_project_id": project.native_id,
            "target_project_id": project.native_id,
            "labels": mr.labels,
            "draft": mr.draft,
            "work_in_progress": mr.draft,
            "milestone": null,
            "merge_when_pipeline_succeeds": false,
            "merge_status": "can_be_merged",
            "detailed_merge_status": if mr.draft { "draft_status" } else { "mergeable" },
            "sha": mr.sha,
            "merge_commit_sha": null,
            "squash_commit_sha": null,
            "discussion_locked": null,
            "should_remove_source_branch": null,
            "force_remove_source_branch": true,
            "prepared_at": millis(mr.created_at),
            "reference": format!("!{me}"),
            "references": { "short": format!("!{me}"), "relative": format!("!{me}"), "full": format!("{}!{me}", project.full_path()) },
            "web_url": format!("{}/-/merge_requests/{me}", self.web_url(project)),
            "time_stats": { "time_estimate": 0, "total_time_spent": 0, "human_time_estimate": null, "human_total_time_spent": null },
            "squash": false,
            "squash_on_merge": false,
            "task_completion_status": { "count": 0, "completed_count": 0 },
            "has_conflicts": false,
            "blocking_discussions_resolved": true,
            "approvals_before_merge": null,
        });
        if detail {
            // The list does not carry it: only one merge request by itself does.
            let head = project.pipelines().iter().rev().find(|run| run.sha == mr.sha);
            row["head_pipeline"] = json!(head.map(|run| self.pipeline(project, run)));
            row["pipeline"] = json!(head.map(|run| self.pipeline_row(project, run)));
            row["changes_count"] = json!("3");
        }
        row
    }

    pub(super) fn issue(&self, project: &Project, issue: &Issue) -> Value {
        let me = issue.number;
        json!({
            "id": project.native_id * 1_000 + 500 + u64::from(me),
            "iid": me,
            "project_id": project.native_id,
            "title": issue.title,
            "description": null,
            "state": if issue.open { "opened" } else { "closed" },
            "created_at": millis(issue.created_at),
            "updated_at": millis(issue.updated_at),
            "closed_at": (!issue.open).then(|| millis(issue.updated_at)),
            "closed_by": null,
            "labels": issue.labels,
            "milestone": null,
            "assignees": issue.assignees.iter().map(|id| self.user(*id)).collect::<Vec<_>>(),
            "author": self.user(issue.author),
            "type": "ISSUE",
            "assignee": issue.assignees.first().map(|id| self.user(*id)),
            "user_notes_count": me % 5,
            "merge_requests_count": 0,
            "upvotes": me % 3,
            "downvotes": 0,
            "due_date": null,
            "confidential": false,
            "discussion_locked": null,
            "issue_type": "issue",
            "web_url": format!("{}/-/issues/{me}", self.web_url(project)),
            "time_stats": { "time_estimate": 0, "total_time_spent": 0, "human_time_estimate": null, "human_total_time_spent": null },
            "task_completion_status": { "count": 0, "completed_count": 0 },
            "has_tasks": false,
            "references": { "short": format!("#{me}"), "relative": format!("#{me}"), "full": format!("{}#{me}", project.full_path()) },
            "severity": "UNKNOWN",
            "moved_to_id": null,
            "service_desk_reply_to": null,
        })
    }
}
