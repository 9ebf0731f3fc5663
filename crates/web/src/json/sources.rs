//! A source as the JSON API tells it: how it is, what is left of its limits, what is due, and what it was asked.

use api::v1;
use serde::Serialize;

use super::items::{seconds, text, time};

#[derive(Debug, Serialize)]
pub(crate) struct Source<'a> {
    name: &'a str,
    platform: &'a str,
    url: Option<&'a str>,
    state: Option<&'static str>,
    error: Option<&'a str>,
    failing_since: Option<String>,
    next_try_at: Option<String>,
    last_success_at: Option<String>,
    projects: u32,
    budget: Option<Budget>,
    requests_last_hour: u64,
    not_modified_share: Option<f64>,
    schedule: Option<Schedule>,
    batching: Option<Batching>,
    endpoints: Vec<Endpoint<'a>>,
    sends_webhooks: bool,
    webhooks: Option<Webhooks<'a>>,
    token: Option<Token<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Token<'a> {
    scopes: &'a [String],
    writes: &'a [String],
    expires_at: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Budget {
    limit: u64,
    remaining: u64,
    reset_at: Option<String>,
    window_seconds: Option<f64>,
}

/// What is due, and how old what is shown is.
#[derive(Debug, Serialize)]
pub(crate) struct Schedule {
    projects: u32,
    due: u32,
    unread: u32,
    next_at: Option<String>,
    stretch: f64,
    active_every_seconds: Option<f64>,
    age_median_seconds: Option<f64>,
    age_worst_seconds: Option<f64>,
    webhooks_alive: bool,
    paused_until: Option<String>,
    failures: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct Batching {
    per_request: u32,
    cost: u64,
    budget: Option<Budget>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Endpoint<'a> {
    endpoint: &'a str,
    requests: u64,
    not_modified: u64,
    failed: u64,
    waited_seconds: Option<f64>,
    requests_last_hour: u64,
    not_modified_last_hour: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Webhooks<'a> {
    last_at: Option<String>,
    last_kind: Option<&'a str>,
    accepted: u64,
    duplicate: u64,
    ignored: u64,
    forged: u64,
    malformed: u64,
    too_large: u64,
    last_refused_at: Option<String>,
    last_refusal: Option<&'a str>,
}

/// The contract's word; a source that is read for the first time has none yet.
pub(crate) fn source_state(state: v1::SourceState) -> Option<&'static str> {
    match state {
        v1::SourceState::Unspecified | v1::SourceState::Loading => None,
        v1::SourceState::Ok => Some("ok"),
        v1::SourceState::Limited => Some("limited"),
        v1::SourceState::Failing => Some("failing"),
        v1::SourceState::Down => Some("down"),
    }
}

/// Requests of the last hour that were answered 304, from 0 to 1; nothing where none was made.
#[expect(clippy::cast_precision_loss, reason = "requests of an hour")]
pub(crate) fn not_modified_share(endpoints: &[v1::EndpointTraffic]) -> Option<f64> {
    let asked: u64 = endpoints.iter().map(|e| e.requests_last_hour).sum();
    let same: u64 = endpoints.iter().map(|e| e.not_modified_last_hour).sum();
    (asked > 0).then(|| same as f64 / asked as f64)
}

impl<'a> From<&'a v1::Source> for Source<'a> {
    fn from(s: &'a v1::Source) -> Self {
        Self {
            name: &s.name,
            platform: &s.platform,
            url: text(&s.url),
            state: source_state(s.state()),
            error: s.error.as_deref(),
            failing_since: time(s.failing_since.as_ref()),
            next_try_at: time(s.next_try_at.as_ref()),
            last_success_at: time(s.last_success_at.as_ref()),
            projects: s.projects,
            budget: s.budget.as_ref().map(Into::into),
            requests_last_hour: s.requests_last_hour,
            not_modified_share: not_modified_share(&s.endpoints),
            schedule: s.schedule.as_ref().map(Into::into),
            batching: s.batching.as_ref().map(|b| Batching {
                per_request: b.per_request,
                cost: b.cost,
                budget: b.budget.as_ref().map(Into::into),
            }),
            endpoints: s.endpoints.iter().map(Into::into).collect(),
            sends_webhooks: s.sends_webhooks,
            webhooks: s.webhooks.as_ref().map(Into::into),
            token: s.token.as_ref().map(|t| Token {
                scopes: &t.scopes,
                writes: &t.writes,
                expires_at: time(t.expires_at.as_ref()),
            }),
        }
    }
}

/// How what is kept outside of memory is.
#[derive(Debug, Serialize)]
struct Store<'a> {
    state: &'a str,
    engine: Option<&'a str>,
    error: Option<&'a str>,
    failing_since: Option<String>,
    waiting: u32,
    /// Of history alone.
    behind: Option<u32>,
}

/// How history and the cache are.
#[derive(Debug, Serialize)]
pub(crate) struct Stores<'a> {
    history: Option<Store<'a>>,
    cache: Option<Store<'a>>,
}

impl<'a> From<&'a v1::ListSourcesResponse> for Stores<'a> {
    fn from(a: &'a v1::ListSourcesResponse) -> Self {
        Self { history: a.history.as_ref().map(Into::into), cache: a.cache.as_ref().map(Into::into) }
    }
}

impl<'a> From<&'a v1::History> for Store<'a> {
    fn from(h: &'a v1::History) -> Self {
        Self {
            state: &h.state,
            engine: h.engine.as_deref(),
            error: h.error.as_deref(),
            failing_since: time(h.failing_since.as_ref()),
            waiting: h.waiting,
            behind: Some(h.behind),
        }
    }
}

impl<'a> From<&'a v1::Cache> for Store<'a> {
    fn from(c: &'a v1::Cache) -> Self {
        Self {
            state: &c.state,
            engine: c.engine.as_deref(),
            error: c.error.as_deref(),
            failing_since: time(c.failing_since.as_ref()),
            waiting: c.waiting,
            behind: None,
        }
    }
}

impl From<&v1::Budget> for Budget {
    fn from(b: &v1::Budget) -> Self {
        Self {
            limit: b.limit,
            remaining: b.remaining,
            reset_at: time(b.reset_at.as_ref()),
            window_seconds: seconds(b.window.as_ref()),
        }
    }
}

impl From<&v1::SourceSchedule> for Schedule {
    fn from(s: &v1::SourceSchedule) -> Self {
        Self {
            projects: s.asked,
            due: s.due,
            unread: s.unread,
            next_at: time(s.next_at.as_ref()),
            stretch: s.stretch,
            active_every_seconds: seconds(s.active_every.as_ref()),
            age_median_seconds: seconds(s.age_median.as_ref()),
            age_worst_seconds: seconds(s.age_worst.as_ref()),
            webhooks_alive: s.webhooks_alive,
            paused_until: time(s.open_until.as_ref()),
            failures: s.failures,
        }
    }
}

impl<'a> From<&'a v1::EndpointTraffic> for Endpoint<'a> {
    fn from(e: &'a v1::EndpointTraffic) -> Self {
        Self {
            endpoint: &e.endpoint,
            requests: e.requests,
            not_modified: e.not_modified,
            failed: e.failed,
            waited_seconds: seconds(e.waited.as_ref()),
            requests_last_hour: e.requests_last_hour,
            not_modified_last_hour: e.not_modified_last_hour,
        }
    }
}

impl<'a> From<&'a v1::Webhooks> for Webhooks<'a> {
    fn from(w: &'a v1::Webhooks) -> Self {
        Self {
            last_at: time(w.last_at.as_ref()),
            last_kind: w.last_kind.as_deref(),
            accepted: w.accepted,
            duplicate: w.duplicate,
            ignored: w.ignored,
            forged: w.forged,
            malformed: w.malformed,
            too_large: w.too_large,
            last_refused_at: time(w.last_refused_at.as_ref()),
            last_refusal: w.last_refusal.as_deref(),
        }
    }
}
