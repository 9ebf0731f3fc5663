//! Data Center's JSON, as far as it is read. Times are milliseconds since the epoch, since 10.3 also texts.

use std::collections::BTreeMap;

use connector::wire::{lenient_string, lenient_time, lenient_u64};
use domain::Timestamp;
use serde::Deserialize;

/// `{"self":[{"href":…}]}`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Links {
    #[serde(default, rename = "self")]
    pub(crate) own: Vec<Link>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) href: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ProjectOf {
    pub(crate) key: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Repository {
    pub(crate) slug: String,
    pub(crate) project: ProjectOf,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) public: Option<bool>,
    #[serde(default)]
    pub(crate) archived: Option<bool>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) default_branch: Option<String>,
    #[serde(default)]
    pub(crate) links: Option<Links>,
}

/// `{"id":"refs/heads/main","displayId":"main"}`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ref {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) display_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) latest_commit: Option<String>,
    #[serde(default)]
    pub(crate) repository: Option<Repository>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Branch {
    pub(crate) display_id: String,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) latest_commit: Option<String>,
    #[serde(default)]
    pub(crate) is_default: Option<bool>,
    /// By the name of the plugin that tells it.
    #[serde(default)]
    pub(crate) metadata: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Commit {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) id: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) author: Option<User>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) author_timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) committer_timestamp: Option<Timestamp>,
}

/// A user, or the name in a commit.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) display_name: Option<String>,
}

/// What somebody's CI says of a commit, in either of the two forms that Data Center has.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Build {
    pub(crate) key: String,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) state: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) url: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) description: Option<String>,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) build_number: Option<u64>,
    /// `refs/heads/main`.
    #[serde(default, rename = "ref", deserialize_with = "lenient_string")]
    pub(crate) git_ref: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) date_added: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_date: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_date: Option<Timestamp>,
    /// In milliseconds.
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) duration: Option<u64>,
}

/// How many builds of a commit are how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Stats {
    #[serde(deserialize_with = "number")]
    pub(crate) successful: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) in_progress: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) failed: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) cancelled: u64,
    #[serde(deserialize_with = "number")]
    pub(crate) unknown: u64,
}

fn number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    Ok(lenient_u64(from)?.unwrap_or_default())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pull {
    pub(crate) id: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) title: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) draft: Option<bool>,
    #[serde(default)]
    pub(crate) author: Option<Participant>,
    #[serde(default)]
    pub(crate) reviewers: Option<Vec<Participant>>,
    #[serde(default)]
    pub(crate) from_ref: Option<Ref>,
    #[serde(default)]
    pub(crate) to_ref: Option<Ref>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_date: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_date: Option<Timestamp>,
    #[serde(default)]
    pub(crate) links: Option<Links>,
    #[serde(default)]
    pub(crate) properties: Option<Properties>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Participant {
    #[serde(default)]
    pub(crate) user: Option<User>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Properties {
    #[serde(default)]
    pub(crate) merge_result: Option<MergeResult>,
}

/// `CLEAN`, `CONFLICTED`, `UNKNOWN`.
#[derive(Debug, Deserialize)]
pub(crate) struct MergeResult {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) outcome: Option<String>,
}
