//! CircleCI's JSON, as far as it is needed; nothing is required that is not.

use connector::wire::{Rows, lenient_string, lenient_time, lenient_u64};
use domain::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// An object that is there and readable, or none.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).ok())
}

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
pub(crate) struct List<T> {
    pub(crate) items: Rows<T>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) next_page_token: Option<String>,
}

/// `GET /me`.
#[derive(Debug, Deserialize)]
pub(crate) struct Me {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) login: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) avatar_url: Option<String>,
}

/// A row of `GET /me/collaborations`: an organization.
#[derive(Debug, Deserialize)]
pub(crate) struct Collaboration {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) slug: Option<String>,
    #[serde(default, alias = "vcs-type", deserialize_with = "lenient_string")]
    pub(crate) vcs_type: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
}

/// A row of `GET /api/v1.1/projects`: a project that the token's owner follows.
#[derive(Debug, Deserialize)]
pub(crate) struct Followed {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) vcs_type: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) username: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) reponame: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) default_branch: Option<String>,
}

/// `GET /project/:slug`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Project {
    pub(crate) slug: String,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) organization_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) vcs_info: Option<VcsInfo>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct VcsInfo {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) default_branch: Option<String>,
}

/// A pipeline: what a push starts.
#[derive(Debug, Deserialize)]
pub(crate) struct Pipeline {
    pub(crate) id: String,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) project_slug: Option<String>,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) number: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) state: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) errors: Option<Rows<PipelineError>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) trigger: Option<Trigger>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) vcs: Option<Vcs>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) trigger_parameters: Option<TriggerParameters>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PipelineError {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Trigger {
    #[serde(default, rename = "type", deserialize_with = "lenient_string")]
    pub(crate) kind: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) actor: Option<Actor>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Actor {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) login: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) avatar_url: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Vcs {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) branch: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) tag: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) revision: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) origin_repository_url: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) target_repository_url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) commit: Option<Commit>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Commit {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) subject: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) body: Option<String>,
    /// In webhooks alone.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) author: Option<Author>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Author {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
}

/// What stands in for `vcs` where CircleCI is connected by an app rather than by OAuth.
#[derive(Debug, Deserialize)]
pub(crate) struct TriggerParameters {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) git: Option<Git>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) gitlab: Option<Git>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Git {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) branch: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) tag: Option<String>,
    #[serde(default, alias = "commit_sha", deserialize_with = "lenient_string")]
    pub(crate) checkout_sha: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) commit_message: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) commit_author_name: Option<String>,
}

/// A workflow of a pipeline.
#[derive(Debug, Deserialize)]
pub(crate) struct Workflow {
    pub(crate) id: String,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) pipeline_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) pipeline_number: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) stopped_at: Option<Timestamp>,
}

/// A job of a workflow.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    /// An approval has none, nor has what has not begun.
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) job_number: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "lenient_string")]
    pub(crate) kind: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) stopped_at: Option<Timestamp>,
    /// Ids of jobs of the same workflow.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) dependencies: Option<Vec<String>>,
}

/// A job as API v1.1 has it, with its steps.
#[derive(Debug, Deserialize)]
pub(crate) struct Build {
    #[serde(default)]
    pub(crate) steps: Rows<Step>,
    /// `not_run`, `queued`, `running`, `finished`.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) lifecycle: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) actions: Rows<Action>,
}

/// A step on one of the machines that a parallel job has.
#[derive(Debug, Deserialize)]
pub(crate) struct Action {
    /// Which machine, from 0.
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) index: Option<u64>,
    /// `success`, `failed`, `timedout`, `canceled`, `running`.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) failed: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) exit_code: Option<i64>,
    /// A signed link into object storage. Never to be shown.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) output_url: Option<String>,
}

/// A piece of a step's output.
#[derive(Debug, Deserialize)]
pub(crate) struct Output {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) message: Option<String>,
}
