//! Why a project has its colour, and when it is asked: `…/explain`, which `ci-dashboard explain` prints as well.

use api::v1;
use serde::Serialize;

use super::items::{activity, link, outcome, seconds, text, time};
use super::sources::source_state;

#[derive(Debug, Serialize)]
pub(crate) struct Explanation<'a> {
    source: &'a str,
    platform: &'a str,
    id: &'a str,
    name: &'a str,
    url: Option<&'a str>,
    branch: Option<&'a str>,
    outcome: Option<&'static str>,
    activity: Option<&'static str>,
    /// Why there is no colour, in words.
    problem: Option<&'a str>,
    reasons: Vec<Reason<'a>>,
    schedule: Option<Schedule<'a>>,
    source_state: Option<&'static str>,
    source_error: Option<&'a str>,
}

/// A run that decided, or had no say.
#[derive(Debug, Serialize)]
struct Reason<'a> {
    pipeline_id: &'a str,
    number: Option<u64>,
    workflow: Option<&'a str>,
    decided: bool,
    outcome: Option<&'static str>,
    left_out: Option<&'a str>,
    left_out_text: Option<&'a str>,
    url: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Schedule<'a> {
    why: &'a str,
    why_text: &'a str,
    every_seconds: Option<f64>,
    asked_at: Option<String>,
    whole_at: Option<String>,
    answer: Option<&'a str>,
    failure: Option<&'a str>,
    due_at: Option<String>,
    reading: bool,
    told_by_listing: bool,
    webhook_at: Option<String>,
    hooked: bool,
    paused_until: Option<String>,
    stretch: f64,
}

impl<'a> Explanation<'a> {
    /// `None` when the answer holds no project.
    pub(crate) fn of(answer: &'a v1::ExplainProjectResponse) -> Option<Self> {
        let row = answer.row.as_ref()?;
        let project = row.project.as_ref()?;
        let key = project.key.as_ref()?;
        let state = row.branch.as_ref().and_then(|b| b.state.as_ref());
        let source = answer.source.as_ref();
        Some(Self {
            source: &key.source,
            platform: &project.platform,
            id: &key.id,
            name: &project.name,
            url: link(project.url.as_ref()),
            branch: row.branch.as_ref().and_then(|b| text(&b.name)),
            outcome: outcome(state),
            activity: activity(state),
            problem: row.problem.as_ref().map(|p| p.text.as_str()),
            reasons: state.into_iter().flat_map(|s| &s.reasons).map(Reason::of).collect(),
            schedule: answer.schedule.as_ref().map(Schedule::of),
            source_state: source.and_then(|s| source_state(s.state())),
            source_error: source.and_then(|s| s.error.as_deref()),
        })
    }
}

impl<'a> Reason<'a> {
    fn of(r: &'a v1::Reason) -> Self {
        Self {
            pipeline_id: &r.run_id,
            number: r.number,
            workflow: r.workflow.as_deref().and_then(text),
            decided: r.left_out.is_empty(),
            outcome: r.outcome().known().map(domain::Outcome::as_str),
            left_out: text(&r.left_out),
            left_out_text: text(&r.left_out_text),
            url: link(r.url.as_ref()),
        }
    }
}

impl<'a> Schedule<'a> {
    fn of(s: &'a v1::Schedule) -> Self {
        Self {
            why: &s.why,
            why_text: &s.why_text,
            every_seconds: seconds(s.every.as_ref()),
            asked_at: time(s.asked_at.as_ref()),
            whole_at: time(s.whole_at.as_ref()),
            answer: text(&s.answer),
            failure: s.failure.as_deref(),
            due_at: time(s.due_at.as_ref()),
            reading: s.reading,
            told_by_listing: s.told,
            webhook_at: time(s.webhook_at.as_ref()),
            hooked: s.hooked,
            paused_until: time(s.paused_until.as_ref()),
            stretch: s.stretch,
        }
    }
}
