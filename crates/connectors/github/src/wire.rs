//! GitHub's JSON, as much of it as is read. Only ids are required: old answers and old servers leave much out, and the
//! API's newer versions drop fields.

use connector::wire::{Rows, lenient_string, lenient_time, lenient_u64};
use domain::Timestamp;
use serde::Deserialize;

/// A user, organization or bot.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Account {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) login: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
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
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) visibility: Option<String>,
    #[serde(default)]
    pub(crate) archived: Option<bool>,
    #[serde(default)]
    pub(crate) disabled: Option<bool>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) default_branch: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) pushed_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) html_url: Option<String>,
    #[serde(default)]
    pub(crate) owner: Option<Account>,
}

/// `GET /installation/repositories`.
#[derive(Debug, Deserialize)]
pub(crate) struct InstallationRepositories {
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) total_count: Option<u64>,
    pub(crate) repositories: Rows<Repository>,
}

/// A repository as other objects refer to it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RepositoryRef {
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) id: Option<u64>,
    #[serde(default)]
    pub(crate) owner: Option<Account>,
}

/// Author or committer as git knows them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Signature {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) email: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) date: Option<Timestamp>,
}

/// A run's `head_commit`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct HeadCommit {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) author: Option<Signature>,
}

/// `GET …/actions/runs`.
#[derive(Debug, Deserialize)]
pub(crate) struct Runs {
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) total_count: Option<u64>,
    pub(crate) workflow_runs: Rows<Run>,
}

/// A workflow run.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Run {
    pub(crate) id: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) path: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) display_title: Option<String>,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) workflow_id: Option<u64>,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) run_number: Option<u64>,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) run_attempt: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) event: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) conclusion: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) head_branch: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) head_sha: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) run_started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) html_url: Option<String>,
    #[serde(default)]
    pub(crate) actor: Option<Account>,
    #[serde(default)]
    pub(crate) triggering_actor: Option<Account>,
    #[serde(default)]
    pub(crate) head_commit: Option<HeadCommit>,
    #[serde(default)]
    pub(crate) repository: Option<RepositoryRef>,
    #[serde(default)]
    pub(crate) head_repository: Option<RepositoryRef>,
}

/// `GET …/actions/workflows`.
#[derive(Debug, Deserialize)]
pub(crate) struct Workflows {
    pub(crate) workflows: Rows<Workflow>,
}

/// A workflow.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Workflow {
    pub(crate) id: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) path: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) state: Option<String>,
}

/// `GET …/actions/runs/:id/jobs`.
#[derive(Debug, Deserialize)]
pub(crate) struct Jobs {
    pub(crate) jobs: Rows<Job>,
}

/// A job.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: u64,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) run_attempt: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) workflow_name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) head_branch: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) head_sha: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) conclusion: Option<String>,
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
    pub(crate) conclusion: Option<String>,
}

/// A message that a job left at a place in the code.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Annotation {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) annotation_level: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) message: Option<String>,
}

/// A row of `GET …/branches` and the answer of `GET …/branches/:b`, which alone has the commit's author and date.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Branch {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) protected: Option<bool>,
    #[serde(default)]
    pub(crate) commit: Option<BranchCommit>,
}

/// The commit of a branch.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct BranchCommit {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) sha: Option<String>,
    #[serde(default)]
    pub(crate) commit: Option<GitCommit>,
    /// The account behind the author, where GitHub knows one.
    #[serde(default)]
    pub(crate) author: Option<Account>,
}

/// A commit as git knows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GitCommit {
    #[serde(default)]
    pub(crate) author: Option<Signature>,
    #[serde(default)]
    pub(crate) committer: Option<Signature>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) message: Option<String>,
}

/// A label; GitHub's issues have had plain strings as well.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Label {
    Full { name: Option<String> },
    Name(String),
}

/// One end of a pull request.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct End {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) label: Option<String>,
    #[serde(default, rename = "ref", deserialize_with = "lenient_string")]
    pub(crate) branch: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) sha: Option<String>,
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
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) merged_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) draft: Option<bool>,
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

/// An issue, or a pull request among the issues.
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
