//! From schedules and traffic to the wire: what `/sources` and `explain` tell. Kept apart from [`super::source`], which goes
//! with every list: these figures look at every project of a source.

use std::time::Duration;

use api::v1;
use connector::Connector;
use connector::http::Budget;
use jiff::SignedDuration;

use crate::schedule::{Answer, Explanation, Figures};

/// What is left of a limit.
#[must_use]
pub(super) fn budget(b: Budget) -> v1::Budget {
    v1::Budget {
        limit: b.limit,
        remaining: b.remaining,
        reset_at: b.reset_at.map(api::timestamp),
        window: b.window.map(span).map(api::duration),
    }
}

/// The same source with its schedule's figures, its traffic by endpoint and how it is asked about many projects at once.
#[must_use]
pub fn with_figures(
    source: v1::Source,
    figures: Option<&Figures>,
    connector: Option<&dyn Connector>,
) -> v1::Source {
    v1::Source {
        schedule: figures.map(of_source),
        endpoints: connector.map(endpoints).unwrap_or_default(),
        batching: connector.and_then(Connector::batching).filter(|b| b.per_request > 1).map(|b| {
            v1::Batching { per_request: count(b.per_request), budget: b.budget.map(budget), cost: b.cost }
        }),
        ..source
    }
}

fn of_source(f: &Figures) -> v1::SourceSchedule {
    v1::SourceSchedule {
        asked: count(f.projects),
        due: count(f.due),
        unread: count(f.unread),
        next_at: f.next_at.map(api::timestamp),
        stretch: f.stretch,
        age_median: f.age_median.map(span).map(api::duration),
        age_worst: f.age_worst.map(span).map(api::duration),
        webhooks_alive: f.webhooks_alive,
        open_until: f.open_until.map(|(at, _)| api::timestamp(at)),
        failures: f.open_until.map_or(0, |(_, failures)| failures),
        active_every: Some(api::duration(span(f.active_every))),
    }
}

fn endpoints(connector: &dyn Connector) -> Vec<v1::EndpointTraffic> {
    let line = |e: connector::http::EndpointTraffic| v1::EndpointTraffic {
        endpoint: e.endpoint.to_owned(),
        requests: e.requests,
        not_modified: e.not_modified,
        failed: e.failed,
        waited: Some(api::duration(e.waited)),
        requests_last_hour: e.last_hour,
        not_modified_last_hour: e.not_modified_last_hour,
    };
    connector.traffic().endpoints.into_iter().map(line).collect()
}

/// Why a project is asked when it is.
#[must_use]
pub fn schedule(e: &Explanation) -> v1::Schedule {
    let (answer, failure) = match &e.answer {
        None => ("", None),
        Some(Answer::Changed) => ("changed", None),
        Some(Answer::Unchanged) => ("unchanged", None),
        Some(Answer::Moved) => ("moved", None),
        Some(Answer::Failed(why)) => ("failed", Some(domain::text::line(why, domain::text::MAX_TITLE))),
    };
    v1::Schedule {
        why: e.why.as_str().to_owned(),
        why_text: e.why.in_words().to_owned(),
        every: e.every.map(span).map(api::duration),
        asked_at: e.asked_at.map(api::timestamp),
        whole_at: e.whole_at.map(api::timestamp),
        answer: answer.to_owned(),
        failure,
        due_at: e.due_at.map(api::timestamp),
        reading: e.reading,
        told: e.told,
        webhook_at: e.webhook_at.map(api::timestamp),
        hooked: e.hooked,
        paused_until: e.paused_until.map(api::timestamp),
        stretch: e.stretch,
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A clock that was put back makes no negative ages.
fn span(d: SignedDuration) -> Duration {
    Duration::try_from(d).unwrap_or_default()
}
