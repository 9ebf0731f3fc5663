//! GitLab's JSON, as much of it as is read. Only ids and names are required: old servers leave much out, members with
//! few rights are told little, and what has an unexpected type is as good as absent.

use std::time::Duration;

use connector::wire::{lenient_string, lenient_time, lenient_u64};
use domain::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// An optional part that is absent when it has another shape than ours.
pub(crate) fn or_none<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    from: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).ok())
}

/// Seconds, with or without a fraction, as a number or as text; negative ones are zero.
pub(crate) fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    Ok(number.filter(|n: &f64| n.is_finite()).and_then(|n| Duration::try_from_secs_f64(n.max(0.0)).ok()))
}

/// A user, as it stands in everything else.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct User {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) username: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) avatar_url: Option<String>,
}

/// A commit, as it stands in branches and jobs.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Commit {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) id: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) title: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) message: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) author_name: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) committed_date: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
}

/// `GET /projects/:id` and the rows of project lists.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Project {
    pub(crate) id: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) path_with_namespace: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) description: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) visibility: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) avatar_url: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) web_url: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) default_branch: Option<String>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) empty_repo: Option<bool>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) archived: Option<bool>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) builds_access_level: Option<String>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) jobs_enabled: Option<bool>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) last_activity_at: Option<Timestamp>,
}

/// A branch with its newest commit.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Branch {
    pub(crate) name: String,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) default: Option<bool>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) protected: Option<bool>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) commit: Option<Commit>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) web_url: Option<String>,
}

/// Only `group` tells "passed with warnings" from "passed".
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct DetailedStatus {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) group: Option<String>,
}

/// A row of the pipelines list, the `pipeline` inside a job, or one pipeline in full: each has what the one before has.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pipeline {
    pub(crate) id: u64,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) iid: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) sha: Option<String>,
    #[serde(default, rename = "ref", deserialize_with = "lenient_string")]
    pub(crate) git_ref: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) source: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) web_url: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) finished_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) duration: Option<Duration>,
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) queued_duration: Option<Duration>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) yaml_errors: Option<String>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) user: Option<User>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) detailed_status: Option<DetailedStatus>,
}

/// A job or a trigger job ("bridge").
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) stage: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) allow_failure: Option<bool>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) failure_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) finished_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) duration: Option<Duration>,
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) queued_duration: Option<Duration>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) web_url: Option<String>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) user: Option<User>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) commit: Option<Commit>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) pipeline: Option<Pipeline>,
}

/// An environment; beside a deployment without its tier.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Environment {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) tier: Option<String>,
}

/// A deployment.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) id: u64,
    #[serde(default, rename = "ref", deserialize_with = "lenient_string")]
    pub(crate) git_ref: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) sha: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) environment: Option<Environment>,
    /// The job; one that was made through the API has none.
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) deployable: Option<Job>,
}

/// A label: its name alone, or an object where `with_labels_details` is on.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Label {
    Name(String),
    Full { name: String },
}

/// A merge request.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct MergeRequest {
    pub(crate) id: u64,
    pub(crate) iid: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) title: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) state: Option<String>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) draft: Option<bool>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) work_in_progress: Option<bool>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) author: Option<User>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) reviewers: Option<Vec<User>>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) labels: Option<Vec<Label>>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) source_branch: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) target_branch: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) sha: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) detailed_merge_status: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) web_url: Option<String>,
}

/// An issue.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Issue {
    pub(crate) id: u64,
    pub(crate) iid: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) title: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) state: Option<String>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) author: Option<User>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) assignees: Option<Vec<User>>,
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) labels: Option<Vec<Label>>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) web_url: Option<String>,
}
