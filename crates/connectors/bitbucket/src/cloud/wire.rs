//! Cloud's JSON, as far as it is read. What is not needed is not required.

use connector::wire::{lenient_string, lenient_time, lenient_u64};
use domain::Timestamp;
use serde::Deserialize;

/// What is asked for of a repository; every field below.
pub(crate) const REPOSITORY: [&str; 9] = [
    "full_name",
    "name",
    "description",
    "is_private",
    "updated_on",
    "mainbranch.name",
    "has_issues",
    "links.html.href",
    "links.avatar.href",
];
/// The same of a pipeline.
pub(crate) const PIPELINE: [&str; 10] = [
    "uuid",
    "build_number",
    "run_number",
    "state",
    "target",
    "trigger",
    "creator",
    "created_on",
    "completed_on",
    "duration_in_seconds",
];
/// Of a step.
pub(crate) const STEP: [&str; 8] =
    ["uuid", "name", "state", "trigger", "started_on", "completed_on", "duration_in_seconds", "run_number"];
/// Of a branch.
pub(crate) const BRANCH: [&str; 6] =
    ["name", "target.hash", "target.date", "target.message", "target.author", "links.html.href"];
/// Of a pull request.
pub(crate) const PULL: [&str; 14] = [
    "id",
    "title",
    "state",
    "draft",
    "author",
    "reviewers",
    "created_on",
    "updated_on",
    "links.html.href",
    "source.branch.name",
    "source.commit.hash",
    "source.repository.full_name",
    "destination.branch.name",
    "destination.repository.full_name",
];
/// Of an issue.
pub(crate) const ISSUE: [&str; 9] =
    ["id", "title", "state", "kind", "reporter", "assignee", "created_on", "updated_on", "links.html.href"];

/// The parameter `fields` for a list of these.
pub(crate) fn of_list(fields: &[&str]) -> String {
    let mut text: String = fields.iter().map(|f| format!("values.{f},")).collect();
    text.push_str("next,size");
    text
}

/// The same for one.
pub(crate) fn of_one(fields: &[&str]) -> String {
    fields.join(",")
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Links {
    #[serde(default)]
    pub(crate) html: Option<Link>,
    #[serde(default)]
    pub(crate) avatar: Option<Link>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) href: Option<String>,
}

/// Anything of which only the name matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct WorkspaceRow {
    pub(crate) workspace: Workspace,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) slug: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Repository {
    pub(crate) full_name: String,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) is_private: Option<bool>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_on: Option<Timestamp>,
    /// Null in an empty repository.
    #[serde(default)]
    pub(crate) mainbranch: Option<Named>,
    #[serde(default)]
    pub(crate) has_issues: Option<bool>,
    #[serde(default)]
    pub(crate) links: Option<Links>,
}

/// A user, or an account that is none.
#[derive(Debug, Deserialize)]
pub(crate) struct Account {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) display_name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) nickname: Option<String>,
    #[serde(default)]
    pub(crate) links: Option<Links>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Author {
    /// `Name <address>`.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) raw: Option<String>,
    #[serde(default)]
    pub(crate) user: Option<Account>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Commit {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) hash: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) date: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) author: Option<Author>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Branch {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) target: Option<Commit>,
    #[serde(default)]
    pub(crate) links: Option<Links>,
}

/// How something is: `COMPLETED` with a result, `IN_PROGRESS` with a stage.
#[derive(Debug, Deserialize)]
pub(crate) struct State {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) result: Option<Word>,
    #[serde(default)]
    pub(crate) stage: Option<Word>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Word {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) error: Option<Failure>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Failure {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) key: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) message: Option<String>,
}

/// What a pipeline ran for: a ref, a commit, or a pull request.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) r#type: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) ref_name: Option<String>,
    /// The branch of a pull request.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) source: Option<String>,
    #[serde(default)]
    pub(crate) selector: Option<Selector>,
    #[serde(default)]
    pub(crate) commit: Option<Commit>,
}

/// Which part of the configuration ran: `default`, `branches` with a pattern, `custom` with a name, …
#[derive(Debug, Deserialize)]
pub(crate) struct Selector {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) r#type: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) pattern: Option<String>,
}

/// `pipeline_trigger_push`, `PUSH`.
#[derive(Debug, Deserialize)]
pub(crate) struct Trigger {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) r#type: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Pipeline {
    pub(crate) uuid: String,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) build_number: Option<u64>,
    /// Counts the tries.
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) run_number: Option<u64>,
    #[serde(default)]
    pub(crate) state: Option<State>,
    #[serde(default)]
    pub(crate) target: Option<Target>,
    #[serde(default)]
    pub(crate) trigger: Option<Trigger>,
    #[serde(default)]
    pub(crate) creator: Option<Account>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_on: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) completed_on: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) duration_in_seconds: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    pub(crate) uuid: String,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) state: Option<State>,
    #[serde(default)]
    pub(crate) trigger: Option<Trigger>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) started_on: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) completed_on: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) duration_in_seconds: Option<u64>,
}

/// What somebody's CI says of a commit.
#[derive(Debug, Deserialize)]
pub(crate) struct CommitStatus {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) key: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) state: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) url: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) refname: Option<String>,
    #[serde(default)]
    pub(crate) commit: Option<Commit>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_on: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_on: Option<Timestamp>,
}

/// One end of a pull request.
#[derive(Debug, Deserialize)]
pub(crate) struct End {
    #[serde(default)]
    pub(crate) branch: Option<Named>,
    #[serde(default)]
    pub(crate) commit: Option<Commit>,
    /// Null when the fork is gone.
    #[serde(default)]
    pub(crate) repository: Option<FullName>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FullName {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) full_name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Pull {
    pub(crate) id: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) title: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) draft: Option<bool>,
    #[serde(default)]
    pub(crate) author: Option<Account>,
    #[serde(default)]
    pub(crate) reviewers: Option<Vec<Account>>,
    #[serde(default)]
    pub(crate) source: Option<End>,
    #[serde(default)]
    pub(crate) destination: Option<End>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_on: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_on: Option<Timestamp>,
    #[serde(default)]
    pub(crate) links: Option<Links>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Issue {
    pub(crate) id: u64,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) title: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) state: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) reporter: Option<Account>,
    #[serde(default)]
    pub(crate) assignee: Option<Account>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_on: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_on: Option<Timestamp>,
    #[serde(default)]
    pub(crate) links: Option<Links>,
}
