//! The items of `/api/v1/stats/…`. Flat, so that each is a row of a table as well. What is not known is null.

use api::v1;
use serde::Serialize;

use super::super::items::{link, seconds, status, text, time};

/// Answers that are about a window.
#[derive(Debug, Serialize)]
pub(super) struct About<T> {
    pub(super) window: Window,
    /// What the figures mean.
    pub(super) definition: &'static str,
    pub(super) items: Vec<T>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Window {
    from: String,
    to: String,
    days: u32,
}

impl From<Option<&v1::StatsWindow>> for Window {
    fn from(w: Option<&v1::StatsWindow>) -> Self {
        let w = w.cloned().unwrap_or_default();
        Self { from: w.from, to: w.to, days: w.days }
    }
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Figures {
    runs: u64,
    verdicts: u64,
    success: u64,
    warning: u64,
    failed: u64,
    canceled: u64,
    skipped: u64,
    further_attempts: u64,
    success_rate: Option<f64>,
    duration_count: u64,
    duration_p10_seconds: Option<f64>,
    duration_p50_seconds: Option<f64>,
    duration_p90_seconds: Option<f64>,
    duration_p95_seconds: Option<f64>,
    duration_total_seconds: Option<f64>,
    queued_count: u64,
    queued_p50_seconds: Option<f64>,
    queued_p90_seconds: Option<f64>,
    queued_p95_seconds: Option<f64>,
}

impl From<Option<&v1::Figures>> for Figures {
    fn from(f: Option<&v1::Figures>) -> Self {
        let Some(f) = f else { return Self::default() };
        let (duration, queued) = (f.duration.unwrap_or_default(), f.queued.unwrap_or_default());
        Self {
            runs: f.runs,
            verdicts: f.verdicts,
            success: f.success,
            warning: f.warning,
            failed: f.failed,
            canceled: f.canceled,
            skipped: f.skipped,
            further_attempts: f.further,
            success_rate: f.success_rate,
            duration_count: duration.count,
            duration_p10_seconds: seconds(duration.p10.as_ref()),
            duration_p50_seconds: seconds(duration.p50.as_ref()),
            duration_p90_seconds: seconds(duration.p90.as_ref()),
            duration_p95_seconds: seconds(duration.p95.as_ref()),
            duration_total_seconds: seconds(duration.total.as_ref()),
            queued_count: queued.count,
            queued_p50_seconds: seconds(queued.p50.as_ref()),
            queued_p90_seconds: seconds(queued.p90.as_ref()),
            queued_p95_seconds: seconds(queued.p95.as_ref()),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) window: Window,
    pub(super) definition: &'static str,
    pub(super) figures: Figures,
    pub(super) before_window: Window,
    pub(super) before: Figures,
    /// 0.1 is 10 % slower.
    pub(super) duration_trend: Option<f64>,
    pub(super) queued_trend: Option<f64>,
    /// Projects whose earlier runs are still to be fetched.
    pub(super) incomplete_projects: u32,
    pub(super) runs_url: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Day {
    pub(super) day: String,
    #[serde(flatten)]
    pub(super) figures: Figures,
    pub(super) runs_url: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Hour {
    pub(super) weekday: &'static str,
    pub(super) hour: u32,
    pub(super) runs: u64,
    pub(super) failed: u64,
    pub(super) runs_url: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Ranked<'a> {
    pub(super) source: Option<&'a str>,
    pub(super) project_id: Option<&'a str>,
    pub(super) project: Option<&'a str>,
    /// Of the workflow, where it has one, the job, the source or the platform.
    pub(super) name: Option<&'a str>,
    #[serde(flatten)]
    pub(super) figures: Figures,
    pub(super) runs_url: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Broken<'a> {
    source: Option<&'a str>,
    project_id: Option<&'a str>,
    project: Option<&'a str>,
    branch: &'a str,
    workflow: Option<&'a str>,
    since: Option<String>,
    at_least: bool,
    red_runs: u64,
    first_red_pipeline_id: Option<&'a str>,
    first_red_sha: Option<&'a str>,
    first_red_author: Option<&'a str>,
    first_red_message: Option<&'a str>,
    last_green_pipeline_id: Option<&'a str>,
    last_green_sha: Option<&'a str>,
}

impl<'a> From<&'a v1::BrokenLane> for Broken<'a> {
    fn from(b: &'a v1::BrokenLane) -> Self {
        let (first, green) = (b.first.as_ref(), b.green.as_ref());
        Self {
            source: b.project.as_ref().map(|k| k.source.as_str()),
            project_id: b.project.as_ref().map(|k| k.id.as_str()),
            project: text(&b.project_name),
            branch: &b.branch,
            workflow: b.workflow.as_deref(),
            since: time(b.since.as_ref()),
            at_least: b.at_least,
            red_runs: b.red,
            first_red_pipeline_id: first.map(|c| c.run_id.as_str()),
            first_red_sha: first.and_then(|c| c.sha.as_deref()),
            first_red_author: first.and_then(|c| c.author.as_ref()).map(|a| a.name.as_str()),
            first_red_message: first.and_then(|c| c.message.as_deref()),
            last_green_pipeline_id: green.map(|c| c.run_id.as_str()),
            last_green_sha: green.and_then(|c| c.sha.as_deref()),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Flaky<'a> {
    source: Option<&'a str>,
    project_id: Option<&'a str>,
    project: Option<&'a str>,
    workflow: Option<&'a str>,
    job: Option<&'a str>,
    state: &'a str,
    commits: u64,
    verdicts: u64,
    wasted_seconds: Option<f64>,
    last_day: &'a str,
    pipeline_ids: &'a [String],
}

impl<'a> From<&'a v1::FlakyItem> for Flaky<'a> {
    fn from(f: &'a v1::FlakyItem) -> Self {
        Self {
            source: f.project.as_ref().map(|k| k.source.as_str()),
            project_id: f.project.as_ref().map(|k| k.id.as_str()),
            project: text(&f.project_name),
            workflow: f.workflow.as_deref(),
            job: f.job.as_deref(),
            state: &f.state,
            commits: f.commits,
            verdicts: f.verdicts,
            wasted_seconds: seconds(f.wasted.as_ref()),
            last_day: &f.last_day,
            pipeline_ids: &f.run_ids,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct FailureGroup<'a> {
    pub(super) job: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
    pub(super) failures: u64,
    pub(super) projects: u64,
    /// Those where it is most frequent.
    pub(super) most_in: Vec<&'a str>,
    pub(super) runs_url: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Delivery<'a> {
    pub(super) window: Window,
    pub(super) definition: &'static str,
    deployments_named_by: &'a [String],
    projects_with_marked_deployments: u64,
    projects_with_named_deployments: u64,
    deployments: Option<u64>,
    successful_deployments: Option<u64>,
    deployments_per_day: Option<f64>,
    deployments_on_median_day: Option<u64>,
    change_failure_rate: Option<f64>,
    deployment_runs: Vec<RunOf<'a>>,
    failed_changes: Vec<RunOf<'a>>,
    failed_changes_total: u64,
    time_to_restore_count: u64,
    time_to_restore_median_seconds: Option<f64>,
    time_to_restore_runs: Vec<RunOf<'a>>,
    time_to_green_count: u64,
    time_to_green_median_seconds: Option<f64>,
    time_to_green_runs: Vec<RunOf<'a>>,
    lead_time_count: u64,
    lead_time_median_seconds: Option<f64>,
    lead_time_runs: Vec<RunOf<'a>>,
}

/// A run that a figure is of.
#[derive(Debug, Serialize)]
pub(super) struct RunOf<'a> {
    source: Option<&'a str>,
    project_id: Option<&'a str>,
    project: Option<&'a str>,
    pipeline_id: &'a str,
    number: Option<u64>,
}

impl<'a> From<&'a v1::RunRef> for RunOf<'a> {
    fn from(run: &'a v1::RunRef) -> Self {
        Self {
            source: run.project.as_ref().map(|k| k.source.as_str()),
            project_id: run.project.as_ref().map(|k| k.id.as_str()),
            project: text(&run.project_name),
            pipeline_id: &run.run_id,
            number: run.number,
        }
    }
}

impl<'a> Delivery<'a> {
    pub(super) fn of(d: &'a v1::GetDeliveryResponse, definition: &'static str) -> Self {
        fn runs(refs: &[v1::RunRef]) -> Vec<RunOf<'_>> {
            refs.iter().map(RunOf::from).collect()
        }
        let named = !d.rule.is_empty() || d.marked_projects > 0;
        let count = |m: Option<&v1::MedianOf>| m.map_or(0, |m| m.count);
        let median = |m: Option<&v1::MedianOf>| m.and_then(|m| seconds(m.median.as_ref()));
        Self {
            window: d.window.as_ref().into(),
            definition,
            deployments_named_by: &d.rule,
            projects_with_marked_deployments: d.marked_projects,
            projects_with_named_deployments: d.named_projects,
            deployments: named.then_some(d.deployments),
            successful_deployments: named.then_some(d.successful),
            deployments_per_day: named.then_some(d.mean_per_day),
            deployments_on_median_day: named.then_some(d.median_day),
            change_failure_rate: d.change_failure_rate,
            deployment_runs: runs(&d.deployed),
            failed_changes: runs(&d.failed),
            failed_changes_total: d.failed_total,
            time_to_restore_count: count(d.time_to_restore.as_ref()),
            time_to_restore_median_seconds: median(d.time_to_restore.as_ref()),
            time_to_restore_runs: runs(&d.restored),
            time_to_green_count: count(d.time_to_green.as_ref()),
            time_to_green_median_seconds: median(d.time_to_green.as_ref()),
            time_to_green_runs: runs(&d.turned_green),
            lead_time_count: count(d.lead_time.as_ref()),
            lead_time_median_seconds: median(d.lead_time.as_ref()),
            lead_time_runs: runs(&d.led),
        }
    }
}

/// A run behind a figure.
#[derive(Debug, Serialize)]
pub(super) struct Run<'a> {
    source: Option<&'a str>,
    project_id: Option<&'a str>,
    project: Option<&'a str>,
    id: &'a str,
    number: Option<u64>,
    attempt: Option<u32>,
    workflow: Option<&'a str>,
    branch: Option<&'a str>,
    sha: Option<&'a str>,
    status: &'static str,
    author: Option<&'a str>,
    message: Option<&'a str>,
    failure: Option<&'a str>,
    created_at: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    duration_seconds: Option<f64>,
    queued_seconds: Option<f64>,
    url: Option<&'a str>,
}

impl<'a> Run<'a> {
    /// `None` when it holds no run.
    pub(super) fn of(behind: &'a v1::RunBehind) -> Option<Self> {
        let p = behind.run.as_ref()?;
        Some(Self {
            source: p.project.as_ref().map(|k| k.source.as_str()),
            project_id: p.project.as_ref().map(|k| k.id.as_str()),
            project: text(&behind.project_name),
            id: &p.id,
            number: p.number,
            attempt: p.attempt,
            workflow: p.workflow.as_deref(),
            branch: p.branch.as_deref(),
            sha: p.sha.as_deref(),
            status: status(p.status()),
            author: p.author.as_ref().map(|a| a.name.as_str()),
            message: p.message.as_deref(),
            failure: p.failure.as_deref(),
            created_at: time(p.created_at.as_ref()),
            started_at: time(p.started_at.as_ref()),
            finished_at: time(p.finished_at.as_ref()),
            duration_seconds: seconds(p.duration.as_ref()),
            queued_seconds: seconds(p.queued.as_ref()),
            url: link(p.url.as_ref()),
        })
    }
}

/// A page of runs behind a figure.
#[derive(Debug, Serialize)]
pub(super) struct Runs<'a> {
    pub(super) window: Window,
    pub(super) definition: &'static str,
    pub(super) items: Vec<Run<'a>>,
    pub(super) page: u32,
    pub(super) per_page: u32,
    pub(super) more: bool,
}
