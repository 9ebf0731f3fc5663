//! The items of the JSON API: field for field what the contract in `ARCHITECTURE.md` lists. What is not known is null.

use std::time::Duration;

use api::v1;
use serde::Serialize;

use crate::aggregator::Version;

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    pub(crate) total: u32,
    pub(crate) page: u32,
    pub(crate) per_page: u32,
    pub(crate) version: Option<String>,
    /// Not read yet: ask again in a moment.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) loading: bool,
    /// What is missing, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Project<'a> {
    source: &'a str,
    platform: &'a str,
    id: &'a str,
    name: &'a str,
    description: Option<&'a str>,
    visibility: Option<&'a str>,
    avatar_url: Option<&'a str>,
    url: Option<&'a str>,
    default_branch: Option<&'a str>,
    outcome: Option<&'static str>,
    activity: Option<&'static str>,
    broken_since: Option<String>,
    last_activity_at: Option<String>,
    problem: Option<&'a str>,
    pipelines: Vec<Pipeline<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Pipeline<'a> {
    source: Option<&'a str>,
    project_id: Option<&'a str>,
    id: &'a str,
    number: Option<u64>,
    attempt: Option<u32>,
    workflow: Option<&'a str>,
    branch: Option<&'a str>,
    sha: Option<&'a str>,
    status: &'static str,
    native_status: Option<&'a str>,
    event: Option<&'a str>,
    author: Option<&'a str>,
    message: Option<&'a str>,
    created_at: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    duration_seconds: Option<f64>,
    queued_seconds: Option<f64>,
    expected_duration_seconds: Option<f64>,
    overdue_after_seconds: Option<f64>,
    url: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Job<'a> {
    id: &'a str,
    name: &'a str,
    stage: Option<&'a str>,
    status: &'static str,
    native_status: Option<&'a str>,
    allow_failure: bool,
    failure_reason: Option<&'a str>,
    created_at: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    duration_seconds: Option<f64>,
    queued_seconds: Option<f64>,
    url: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Branch<'a> {
    source: Option<&'a str>,
    project_id: Option<&'a str>,
    name: &'a str,
    default: bool,
    protected: Option<bool>,
    sha: Option<&'a str>,
    author: Option<&'a str>,
    message: Option<&'a str>,
    committed_at: Option<String>,
    outcome: Option<&'static str>,
    activity: Option<&'static str>,
    pipelines: Vec<Pipeline<'a>>,
    url: Option<&'a str>,
    /// Not read yet: ask again in a moment.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) loading: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct MergeRequest<'a> {
    source: Option<&'a str>,
    project_id: Option<&'a str>,
    id: &'a str,
    number: u64,
    title: &'a str,
    state: &'a str,
    draft: bool,
    author: Option<&'a str>,
    reviewers: Vec<&'a str>,
    labels: &'a [String],
    source_branch: Option<&'a str>,
    target_branch: Option<&'a str>,
    sha: Option<&'a str>,
    outcome: Option<&'static str>,
    activity: Option<&'static str>,
    created_at: Option<String>,
    updated_at: Option<String>,
    url: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Issue<'a> {
    source: Option<&'a str>,
    project_id: Option<&'a str>,
    id: &'a str,
    number: u64,
    title: &'a str,
    state: &'a str,
    author: Option<&'a str>,
    assignees: Vec<&'a str>,
    labels: &'a [String],
    created_at: Option<String>,
    updated_at: Option<String>,
    url: Option<&'a str>,
}

/// Whose a source's token is.
#[derive(Debug, Serialize)]
pub(crate) struct Me<'a> {
    source: &'a str,
    platform: &'a str,
    name: Option<&'a str>,
    login: Option<&'a str>,
    avatar_url: Option<&'a str>,
    error: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Log<'a> {
    text: Option<&'a str>,
    truncated: bool,
    note: Option<&'a str>,
    loading: bool,
}

pub(crate) fn version(v: Option<v1::Version>) -> Option<String> {
    v.map(|v| Version::from(v).to_string())
}

pub(super) fn time(at: Option<&prost_types::Timestamp>) -> Option<String> {
    at.and_then(api::timestamp_back).map(|at| at.to_string())
}

pub(super) fn seconds(d: Option<&prost_types::Duration>) -> Option<f64> {
    d.and_then(api::duration_back).as_ref().map(Duration::as_secs_f64)
}

/// Nothing is as good as not known.
pub(super) fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Scripts follow links too: only what a browser may open.
pub(super) fn link(url: Option<&String>) -> Option<&str> {
    url.map(String::as_str).filter(|url| {
        ["http://", "https://"].iter().any(|s| url.get(..s.len()).is_some_and(|p| p.eq_ignore_ascii_case(s)))
    })
}

pub(super) fn outcome(state: Option<&v1::BranchState>) -> Option<&'static str> {
    state.and_then(|s| s.outcome().known()).map(domain::Outcome::as_str)
}

pub(super) fn activity(state: Option<&v1::BranchState>) -> Option<&'static str> {
    state.and_then(|s| s.activity().known()).map(domain::Activity::as_str)
}

pub(super) fn status(status: v1::Status) -> &'static str {
    status.known().unwrap_or(domain::Status::Unknown).as_str()
}

fn runs(state: Option<&v1::BranchState>) -> Vec<Pipeline<'_>> {
    state.into_iter().flat_map(|state| &state.pipelines).map(Into::into).collect()
}

impl<'a> Project<'a> {
    /// A row; `None` when it holds no project.
    pub(crate) fn of(row: &'a v1::Row) -> Option<Self> {
        let project = row.project.as_ref()?;
        let key = project.key.as_ref()?;
        let state = row.branch.as_ref().and_then(|branch| branch.state.as_ref());
        let broken_since = state.and_then(|s| s.broken_since.as_ref());
        Some(Self {
            source: &key.source,
            platform: &project.platform,
            id: &key.id,
            name: &project.name,
            description: project.description.as_deref(),
            visibility: project.visibility.as_deref(),
            avatar_url: link(project.avatar_url.as_ref()),
            url: link(project.url.as_ref()),
            default_branch: project.default_branch.as_deref(),
            outcome: outcome(state),
            activity: activity(state),
            broken_since: broken_since.and_then(|b| time(b.at.as_ref())),
            last_activity_at: time(project.last_activity_at.as_ref()),
            problem: row.problem.as_ref().map(|p| p.text.as_str()),
            pipelines: runs(state),
        })
    }
}

impl<'a> From<&'a v1::Pipeline> for Pipeline<'a> {
    fn from(p: &'a v1::Pipeline) -> Self {
        Self {
            source: p.project.as_ref().map(|key| key.source.as_str()),
            project_id: p.project.as_ref().map(|key| key.id.as_str()),
            id: &p.id,
            number: p.number,
            attempt: p.attempt,
            workflow: p.workflow.as_deref(),
            branch: p.branch.as_deref(),
            sha: p.sha.as_deref(),
            status: status(p.status()),
            native_status: text(&p.native_status),
            event: p.event.as_deref(),
            author: p.author.as_ref().and_then(|a| text(&a.name)),
            message: p.message.as_deref(),
            created_at: time(p.created_at.as_ref()),
            started_at: time(p.started_at.as_ref()),
            finished_at: time(p.finished_at.as_ref()),
            duration_seconds: seconds(p.duration.as_ref()),
            queued_seconds: seconds(p.queued.as_ref()),
            expected_duration_seconds: seconds(p.expected_duration.as_ref()),
            overdue_after_seconds: seconds(p.overdue_after.as_ref()),
            url: link(p.url.as_ref()),
        }
    }
}

impl<'a> From<&'a v1::Job> for Job<'a> {
    fn from(j: &'a v1::Job) -> Self {
        Self {
            id: &j.id,
            name: &j.name,
            stage: j.stage.as_deref(),
            status: status(j.status()),
            native_status: text(&j.native_status),
            allow_failure: j.allow_failure,
            failure_reason: j.failure_reason.as_deref(),
            created_at: time(j.created_at.as_ref()),
            started_at: time(j.started_at.as_ref()),
            finished_at: time(j.finished_at.as_ref()),
            duration_seconds: seconds(j.duration.as_ref()),
            queued_seconds: seconds(j.queued.as_ref()),
            url: link(j.url.as_ref()),
        }
    }
}

impl<'a> From<&'a v1::Branch> for Branch<'a> {
    fn from(b: &'a v1::Branch) -> Self {
        let state = b.state.as_ref();
        Self {
            source: b.project.as_ref().map(|key| key.source.as_str()),
            project_id: b.project.as_ref().map(|key| key.id.as_str()),
            name: &b.name,
            default: b.default,
            protected: b.protected,
            sha: b.sha.as_deref(),
            author: b.author.as_ref().and_then(|a| text(&a.name)),
            message: b.message.as_deref(),
            committed_at: time(b.committed_at.as_ref()),
            outcome: outcome(state),
            activity: activity(state),
            pipelines: runs(state),
            url: link(b.url.as_ref()),
            loading: false,
        }
    }
}

/// Names of people; whoever has none is left out.
fn names(people: &[v1::Person]) -> Vec<&str> {
    people.iter().filter_map(|p| text(&p.name)).collect()
}

impl<'a> From<&'a v1::MergeRequest> for MergeRequest<'a> {
    fn from(m: &'a v1::MergeRequest) -> Self {
        Self {
            source: m.project.as_ref().map(|key| key.source.as_str()),
            project_id: m.project.as_ref().map(|key| key.id.as_str()),
            id: &m.id,
            number: m.number,
            title: &m.title,
            state: &m.state,
            draft: m.draft,
            author: m.author.as_ref().and_then(|a| text(&a.name)),
            reviewers: names(&m.reviewers),
            labels: &m.labels,
            source_branch: text(&m.source_branch),
            target_branch: text(&m.target_branch),
            sha: m.sha.as_deref(),
            outcome: m.outcome().known().map(domain::Outcome::as_str),
            activity: m.activity().known().map(domain::Activity::as_str),
            created_at: time(m.created_at.as_ref()),
            updated_at: time(m.updated_at.as_ref()),
            url: link(m.url.as_ref()),
        }
    }
}

impl<'a> From<&'a v1::Issue> for Issue<'a> {
    fn from(i: &'a v1::Issue) -> Self {
        Self {
            source: i.project.as_ref().map(|key| key.source.as_str()),
            project_id: i.project.as_ref().map(|key| key.id.as_str()),
            id: &i.id,
            number: i.number,
            title: &i.title,
            state: &i.state,
            author: i.author.as_ref().and_then(|a| text(&a.name)),
            assignees: names(&i.assignees),
            labels: &i.labels,
            created_at: time(i.created_at.as_ref()),
            updated_at: time(i.updated_at.as_ref()),
            url: link(i.url.as_ref()),
        }
    }
}

impl<'a> From<&'a v1::CurrentUser> for Me<'a> {
    fn from(u: &'a v1::CurrentUser) -> Self {
        let person = u.person.as_ref();
        Self {
            source: &u.source,
            platform: &u.platform,
            name: person.and_then(|p| text(&p.name)),
            login: person.and_then(|p| p.login.as_deref()),
            avatar_url: link(person.and_then(|p| p.avatar_url.as_ref())),
            error: u.error.as_deref(),
        }
    }
}

impl<'a> From<&'a v1::GetJobLogResponse> for Log<'a> {
    fn from(log: &'a v1::GetJobLogResponse) -> Self {
        Self {
            text: (!(log.loading || log.text.is_empty() && log.note.is_some())).then_some(log.text.as_str()),
            truncated: log.truncated,
            note: log.note.as_deref(),
            loading: log.loading,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_that_a_browser_may_open() {
        for (url, is) in
            [("https://x/y", true), ("HTTP://x", true), ("javascript:alert(1)", false), ("", false)]
        {
            assert_eq!(link(Some(&url.to_owned())).is_some(), is, "{url}");
        }
    }

    #[test]
    fn a_fraction_of_a_second_survives() {
        assert_eq!(seconds(Some(&prost_types::Duration { seconds: 3, nanos: 250_000_000 })), Some(3.25));
        assert_eq!(seconds(Some(&prost_types::Duration { seconds: -3, nanos: 0 })), None);
    }
}
