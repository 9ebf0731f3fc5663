//! Gitea's JSON and Forgejo's, as much of it as is read. Only ids are required. Where the two name a thing differently both
//! names are fields: an object that holds both must not spoil its row.

use connector::wire::{Rows, lenient_string, lenient_time, lenient_u64};
use domain::Timestamp;
use serde::Deserialize;

/// A user or organization.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Account {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) login: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) full_name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) avatar_url: Option<String>,
}

/// `GET /repos/:o/:r` and the rows of repository lists.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Repository {
    pub(crate) full_name: String,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) private: Option<bool>,
    /// Readable by everybody who is signed in: its owner is limited so.
    #[serde(default)]
    pub(crate) internal: Option<bool>,
    #[serde(default)]
    pub(crate) archived: Option<bool>,
    #[serde(default)]
    pub(crate) empty: Option<bool>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) default_branch: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) html_url: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) avatar_url: Option<String>,
    #[serde(default)]
    pub(crate) owner: Option<Account>,
}

/// A repository as other objects refer to it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RepositoryRef {
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) id: Option<u64>,
    /// Its API address, the only thing in a run's pull request that tells its owner.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) url: Option<String>,
    #[serde(default)]
    pub(crate) owner: Option<Account>,
}

/// `GET …/actions/runs` and `GET …/actions/tasks`, which calls its jobs runs.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: serde::de::DeserializeOwned")]
pub(crate) struct Listed<T> {
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) total_count: Option<u64>,
    pub(crate) workflow_runs: Rows<T>,
}

/// A run.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Run {
    pub(crate) id: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    /// Gitea's alone.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) conclusion: Option<String>,
    /// The event that started it. Gitea's is what the workflow names, Forgejo's `event` what happened.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) event: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) trigger_event: Option<String>,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) run_number: Option<u64>,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) index_in_repo: Option<u64>,
    /// 0 for runs from before attempts were counted.
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) run_attempt: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) display_title: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) title: Option<String>,
    /// The workflow's file and the ref it was read from: `ci.yml@refs/heads/main`.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) path: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) workflow_id: Option<String>,
    /// Missing for what is no branch.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) head_branch: Option<String>,
    /// A branch, a tag, or `#3` for a pull request.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) prettyref: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) head_sha: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) commit_sha: Option<String>,
    /// A fork's pull request that waits for somebody to look at it.
    #[serde(default)]
    pub(crate) need_approval: Option<bool>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) started: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) completed_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) stopped: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) html_url: Option<String>,
    #[serde(default)]
    pub(crate) actor: Option<Account>,
    #[serde(default)]
    pub(crate) trigger_user: Option<Account>,
    #[serde(default)]
    pub(crate) pull_requests: Option<Vec<RunPull>>,
}

/// A pull request as a run refers to it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RunPull {
    #[serde(default)]
    pub(crate) head: Option<End>,
    #[serde(default)]
    pub(crate) base: Option<End>,
}

/// `GET …/actions/runs/:id/jobs` of Gitea. Forgejo's is the bare list.
#[derive(Debug, Deserialize)]
pub(crate) struct Jobs {
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) total_count: Option<u64>,
    pub(crate) jobs: Rows<Job>,
}

/// A job.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) conclusion: Option<String>,
    /// Forgejo's: the task that ran it, which has the times.
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) task_id: Option<u64>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) completed_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) html_url: Option<String>,
    #[serde(default)]
    pub(crate) steps: Option<Vec<Step>>,
}

/// A step of a job.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Step {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) conclusion: Option<String>,
}

/// One try of one job, as a runner took it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Task {
    pub(crate) id: u64,
    pub(crate) run_number: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) head_branch: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) head_sha: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) event: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) display_title: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) workflow_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) url: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) run_started_at: Option<Timestamp>,
}

/// `GET …/actions/workflows`.
#[derive(Debug, Deserialize)]
pub(crate) struct Workflows {
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) total_count: Option<u64>,
    pub(crate) workflows: Rows<Workflow>,
}

/// A workflow of the default branch. Its id is the name of its file.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Workflow {
    pub(crate) id: String,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
}

/// `GET …/commits/:ref/status`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CombinedStatus {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) state: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) sha: Option<String>,
    pub(crate) statuses: Option<Rows<CommitStatus>>,
}

/// What one service says of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct CommitStatus {
    pub(crate) id: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) context: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) description: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) target_url: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
}

/// A branch, in lists and by itself alike.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Branch {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) protected: Option<bool>,
    #[serde(default)]
    pub(crate) commit: Option<Commit>,
}

/// The commit of a branch.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Commit {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) id: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) author: Option<Signature>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) timestamp: Option<Timestamp>,
}

/// Who wrote a commit. `username` where Gitea knows whose address it is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Signature {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) username: Option<String>,
}

/// A label.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Label {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
}

/// One end of a pull request.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct End {
    /// The branch's name, also where the branch is gone.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) label: Option<String>,
    #[serde(default, rename = "ref", deserialize_with = "lenient_string")]
    pub(crate) branch: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) sha: Option<String>,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) repo_id: Option<u64>,
    /// `null` when the fork is gone.
    #[serde(default)]
    pub(crate) repo: Option<RepositoryRef>,
}

/// A pull request.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pull {
    pub(crate) id: u64,
    pub(crate) number: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) title: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) merged: Option<bool>,
    /// Missing on old servers: then the title tells.
    #[serde(default)]
    pub(crate) draft: Option<bool>,
    #[serde(default)]
    pub(crate) mergeable: Option<bool>,
    #[serde(default)]
    pub(crate) user: Option<Account>,
    #[serde(default)]
    pub(crate) requested_reviewers: Option<Vec<Account>>,
    #[serde(default)]
    pub(crate) labels: Option<Vec<Label>>,
    #[serde(default)]
    pub(crate) head: Option<End>,
    #[serde(default)]
    pub(crate) base: Option<End>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) html_url: Option<String>,
}

/// An issue, or on old servers a pull request among the issues.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Issue {
    pub(crate) id: u64,
    pub(crate) number: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) title: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) user: Option<Account>,
    #[serde(default)]
    pub(crate) assignees: Option<Vec<Account>>,
    #[serde(default)]
    pub(crate) labels: Option<Vec<Label>>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) html_url: Option<String>,
    /// There when the issue is a pull request.
    #[serde(default)]
    pub(crate) pull_request: Option<serde::de::IgnoredAny>,
}

/// `GET /version`: `1.25.2`, or Forgejo's `12.0.1+gitea-1.22.0`.
#[derive(Debug, Deserialize)]
pub(crate) struct Version {
    #[serde(rename = "version")]
    pub(crate) _version: String,
}
