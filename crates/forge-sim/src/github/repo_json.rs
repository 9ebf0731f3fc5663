//! Repositories: mostly URLs.

use serde_json::{Map, Value, json};

use super::json::{Json, node, owner_id};
use crate::face::seconds;
use crate::world::{Project, Visibility};

/// `(field, what follows the repository's API URL)`.
const URLS: &[(&str, &str)] = &[
    ("forks_url", "/forks"),
    ("keys_url", "/keys{/key_id}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("teams_url", "/teams"),
    ("hooks_url", "/hooks"),
    ("issue_events_url", "/issues/events{/number}"),
    ("events_url", "/events"),
    ("assignees_url", "/assignees{/user}"),
    ("branches_url", "/branches{/branch}"),
    ("tags_url", "/tags"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("trees_url", "/git/trees{/sha}"),
    ("statuses_url", "/statuses/{sha}"),
    ("languages_url", "/languages"),
    ("stargazers_url", "/stargazers"),
    ("contributors_url", "/contributors"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("commits_url", "/commits{/sha}"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("comments_url", "/comments{/number}"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("contents_url", "/contents/{+path}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("merges_url", "/merges"),
    ("archive_url", "/{archive_format}{/ref}"),
    ("downloads_url", "/downloads"),
    ("issues_url", "/issues{/number}"),
    ("pulls_url", "/pulls{/number}"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("labels_url", "/labels{/name}"),
    ("releases_url", "/releases{/id}"),
    ("deployments_url", "/deployments"),
];

impl Json<'_> {
    /// An owner, which is a group here, or a person.
    pub(super) fn owner(&self, project: &Project) -> Value {
        let kind = if project.personal { "User" } else { "Organization" };
        self.account(&project.namespace, owner_id(&project.namespace), kind)
    }

    fn bare(&self, project: &Project) -> Map<String, Value> {
        let (full, url) = (project.full_path(), self.repo_url(project));
        let mut map = Map::new();
        map.insert("id".into(), json!(project.native_id));
        map.insert("node_id".into(), json!(node("R", project.native_id)));
        map.insert("name".into(), json!(project.path));
        map.insert("full_name".into(), json!(full));
        map.insert("private".into(), json!(project.visibility != Visibility::Public));
        map.insert("owner".into(), self.owner(project));
        map.insert("html_url".into(), json!(format!("{}/{full}", self.html)));
        map.insert("description".into(), json!(project.description));
        map.insert("fork".into(), json!(false));
        map.insert("url".into(), json!(url));
        for (name, tail) in URLS {
            map.insert((*name).to_owned(), json!(format!("{url}{tail}")));
        }
        map
    }

    /// The short form inside runs.
    pub(super) fn repo_minimal(&self, project: &Project) -> Value {
        Value::Object(self.bare(project))
    }

    /// As in lists.
    pub(super) fn repo(&self, project: &Project, can_act: bool) -> Value {
        let full = project.full_path();
        let host = self.html.split("://").nth(1).unwrap_or("localhost");
        let stars = project.native_id % 23;
        let open = project.history.get().map_or(0, |h| {
            h.merge_requests.iter().filter(|m| m.open).count() + h.issues.iter().filter(|i| i.open).count()
        });
        let mut map = self.bare(project);
        let more = json!({
            "created_at": seconds(project.created_at),
            "updated_at": seconds(project.updated_at),
            "pushed_at": seconds(project.pushed_at),
            "git_url": format!("git://{host}/{full}.git"),
            "ssh_url": format!("git@{host}:{full}.git"),
            "clone_url": format!("{}/{full}.git", self.html),
            "svn_url": format!("{}/{full}", self.html),
            "homepage": null,
            "size": 100 + project.native_id % 9_000,
            "stargazers_count": stars,
            "watchers_count": stars,
            "language": "Rust",
            "has_issues": true,
            "has_projects": true,
            "has_downloads": true,
            "has_wiki": false,
            "has_pages": false,
            "has_discussions": false,
            "forks_count": 0,
            "mirror_url": null,
            "archived": project.archived,
            "disabled": false,
            "open_issues_count": open,
            "license": null,
            "allow_forking": true,
            "is_template": false,
            "web_commit_signoff_required": false,
            "topics": [],
            "visibility": if project.visibility == Visibility::Public { "public" } else { "private" },
            "forks": 0,
            "open_issues": open,
            "watchers": stars,
            // An empty repository names the branch that it would get.
            "default_branch": project.default_branch.as_deref().unwrap_or("main"),
            "permissions": { "admin": false, "maintain": false, "push": can_act, "triage": can_act, "pull": true },
        });
        if let Value::Object(more) = more {
            map.extend(more);
        }
        Value::Object(map)
    }

    /// One repository by itself.
    pub(super) fn repo_full(&self, project: &Project, can_act: bool) -> Value {
        // Reading the past first makes the count of open issues right.
        let _ = project.history();
        let mut value = self.repo(project, can_act);
        let more = json!({
            "temp_clone_token": null, "allow_squash_merge": true, "allow_merge_commit": true, "allow_rebase_merge": true,
            "allow_auto_merge": false, "delete_branch_on_merge": true, "allow_update_branch": false,
            "use_squash_pr_title_as_default": false, "squash_merge_commit_message": "COMMIT_MESSAGES",
            "squash_merge_commit_title": "COMMIT_OR_PR_TITLE", "merge_commit_message": "PR_TITLE",
            "merge_commit_title": "MERGE_MESSAGE", "network_count": 0, "subscribers_count": 3,
        });
        if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
            value.extend(more);
        }
        if !project.personal {
            value["organization"] = self.owner(project);
        }
        value
    }
}
