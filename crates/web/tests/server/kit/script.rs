//! What the scripted aggregator says.

use std::collections::BTreeMap;

use api::v1;
use tonic::Status;

use crate::fixtures::{
    bare_branch, bare_issue, bare_job, bare_merge_request, bare_pipeline, bare_user, full_branch, full_issue,
    full_job, full_merge_request, full_pipeline, full_row, full_schedule, full_source, full_user,
};

/// What the aggregator says.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) version: (u64, u64),
    pub(crate) rows: Vec<v1::Row>,
    pub(crate) sources: Vec<v1::Source>,
    pub(crate) schedule: Option<v1::Schedule>,
    pub(crate) pipelines: Vec<v1::Pipeline>,
    pub(crate) jobs: Vec<v1::Job>,
    pub(crate) branches: Vec<v1::Branch>,
    pub(crate) merge_requests: Vec<v1::MergeRequest>,
    pub(crate) issues: Vec<v1::Issue>,
    pub(crate) users: Vec<v1::CurrentUser>,
    /// What lists lack.
    pub(crate) problems: Vec<v1::Problem>,
    pub(crate) log: v1::GetJobLogResponse,
    pub(crate) loading: bool,
    /// Old name of a project (source, id) to its id now.
    pub(crate) renamed: BTreeMap<(String, String), String>,
    /// Any project is there, under the key that it is asked by.
    pub(crate) echo: bool,
    /// What becomes of webhooks, and why.
    pub(crate) verdict: (v1::WebhookVerdict, &'static str),
    /// Counts, rates, durations.
    pub(crate) stats: v1::GetStatsResponse,
    /// Every question to history fails so.
    pub(crate) history: Option<Status>,
    /// Calls hang.
    pub(crate) hang: bool,
    /// Every call fails so.
    pub(crate) fail: Option<Status>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            version: (7, 1),
            rows: vec![full_row()],
            sources: vec![full_source()],
            schedule: Some(full_schedule()),
            pipelines: vec![full_pipeline(), bare_pipeline()],
            jobs: vec![full_job(), bare_job()],
            branches: vec![full_branch(), bare_branch()],
            merge_requests: vec![full_merge_request(), bare_merge_request()],
            issues: vec![full_issue(), bare_issue()],
            users: vec![full_user(), bare_user()],
            problems: Vec::new(),
            log: v1::GetJobLogResponse {
                text: "line 1\nline 2\n".into(),
                truncated: true,
                ..Default::default()
            },
            loading: false,
            renamed: BTreeMap::new(),
            echo: false,
            verdict: (v1::WebhookVerdict::Applied, ""),
            stats: crate::stats::stats(),
            history: None,
            hang: false,
            fail: None,
        }
    }
}
