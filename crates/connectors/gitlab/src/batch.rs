//! What moved in many projects, by one GraphQL question about each hundred of them.
//!
//! GitLab's REST API has no list over projects, and a question about one counts even where nothing is new. GraphQL has
//! `projects(ids)` with the pipelines of each that were updated since. A hundred projects share one window, which begins when
//! the first of them was last read; they are dealt by that, so that one that is read rarely does not widen the window of
//! those that are read often. The complexity stays near a fifth of what GitLab allows, whatever the number of projects.
//!
//! | seen | then |
//! | --- | --- |
//! | nothing else than is known | nothing is asked |
//! | a known pipeline goes on in another state, or has passed without warnings | told at once |
//! | a new one, one that failed, passed with warnings or was canceled | to be read by REST, for author, message and reason |
//! | more changes than fit on the page, a project that it does not tell of | to be read by REST |
//! | other activity in the project (which GitLab writes down once an hour) | its default branch is read |
//!
//! What is to be read is said by [`Extent::Moved`]; the schedule decides when, and reads the whole.
//!
//! What it cannot see: commits without a pipeline until that activity is written down, and what was deleted. That is found
//! when the whole state is read, now and then ([`connector::HeadsAsk::full`]). Servers whose lists of pipelines know no
//! `updatedAfter` are asked by REST.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use connector::graphql::{Answer, Dialect};
use connector::wire::{lenient_string, lenient_time};
use connector::{Extent, Heads, HeadsAsk};
use domain::{Completeness, Pipeline, Project, RunId, Status, Timestamp, stats::STRIP_RUNS};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{status, wire};

/// GitLab's GraphQL, which is throttled as everything else is.
pub(crate) const DIALECT: Dialect =
    Dialect { endpoint: "POST /api/graphql", resource: None, most: 100, least: 5 };
/// From so many projects on, a question is cheaper than one for each.
pub(crate) const WORTH_A_QUESTION: usize = 2;
/// Changed pipelines of one project that are asked for.
const PIPELINES: usize = 20;
/// How far the window reaches back before the last reading: clocks differ, and transactions end in another order than
/// they write.
const OVERLAP: SignedDuration = SignedDuration::from_mins(10);

/// Whether a question about many may do for this one.
pub(crate) fn fits(ask: &HeadsAsk) -> bool {
    !ask.full && !ask.project.ci_disabled && ask.known_at.is_some() && number(ask).is_some()
}

/// A project's number; whatever else stands for one is asked by REST.
fn number(ask: &HeadsAsk) -> Option<u64> {
    ask.project.key.id.as_str().parse().ok()
}

const QUERY: &str = "query Moved($ids: [ID!], $first: Int, $page: Int, $since: Time) {
 queryComplexity { score limit }
 projects(ids: $ids, first: $first) { nodes { id lastActivityAt
  pipelines(first: $page, updatedAfter: $since) { pageInfo { hasNextPage } nodes {
   id status updatedAt startedAt finishedAt duration queuedDuration warnings } } } }
}";

/// The question about these.
pub(crate) fn question(asks: &[HeadsAsk]) -> (String, Value) {
    let ids: Vec<String> =
        asks.iter().filter_map(number).map(|n| format!("gid://gitlab/Project/{n}")).collect();
    let since = asks.iter().filter_map(|ask| ask.known_at).min();
    let since = since.map(|since| since.saturating_sub(OVERLAP).unwrap_or(since).to_string());
    (QUERY.to_owned(), json!({ "ids": ids, "first": ids.len(), "page": PIPELINES, "since": since }))
}

/// The answer.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Told {
    #[serde(default, rename = "queryComplexity")]
    complexity: Option<Value>,
    #[serde(default)]
    projects: Nodes<Value>,
}

#[derive(Debug, Deserialize)]
struct Nodes<T> {
    #[serde(default = "Vec::new")]
    nodes: Vec<T>,
    #[serde(default, rename = "pageInfo")]
    page: PageInfo,
}

impl<T> Default for Nodes<T> {
    fn default() -> Self {
        Self { nodes: Vec::new(), page: PageInfo::default() }
    }
}

#[derive(Debug, Default, Deserialize)]
struct PageInfo {
    #[serde(default, rename = "hasNextPage")]
    more: bool,
}

/// A project.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    id: String,
    #[serde(default, rename = "lastActivityAt", deserialize_with = "lenient_time")]
    last_activity_at: Option<Timestamp>,
    /// Null where they are not to be seen.
    pipelines: Nodes<Option<Run>>,
}

#[derive(Debug, Deserialize)]
struct Run {
    id: String,
    #[serde(default, deserialize_with = "lenient_string")]
    status: Option<String>,
    #[serde(default, rename = "updatedAt", deserialize_with = "lenient_time")]
    updated_at: Option<Timestamp>,
    #[serde(default, rename = "startedAt", deserialize_with = "lenient_time")]
    started_at: Option<Timestamp>,
    #[serde(default, rename = "finishedAt", deserialize_with = "lenient_time")]
    finished_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "wire::seconds")]
    duration: Option<Duration>,
    #[serde(default, rename = "queuedDuration", deserialize_with = "wire::seconds")]
    queued: Option<Duration>,
    #[serde(default)]
    warnings: Option<bool>,
}

/// `123` of `gid://gitlab/Ci::Pipeline/123`.
fn of_gid(gid: &str) -> Option<u64> {
    gid.strip_prefix("gid://")?.rsplit('/').next()?.parse().ok()
}

impl Told {
    /// Each question with its row; without one where it was not told of, or not in a way that can be read.
    pub(crate) fn dealt(asks: Vec<HeadsAsk>, answer: Option<Answer<Self>>) -> Vec<(HeadsAsk, Option<Row>)> {
        let Some(Answer { data, errors }) = answer.filter(|answer| answer.errors.is_empty()) else {
            return asks.into_iter().map(|ask| (ask, None)).collect();
        };
        debug_assert!(errors.is_empty(), "filtered above");
        if let Some(complexity) = &data.complexity {
            tracing::trace!(%complexity, "GitLab's word on the question");
        }
        let rows = data.projects.nodes.into_iter().filter_map(|row| serde_json::from_value::<Row>(row).ok());
        let mut rows: HashMap<u64, Row> = rows.filter_map(|row| Some((of_gid(&row.id)?, row))).collect();
        asks.into_iter()
            .map(|ask| {
                let row = number(&ask).and_then(|number| rows.remove(&number));
                (ask, row)
            })
            .collect()
    }
}

/// What follows from a row.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// These pipelines moved, if any. With the activity that is new, if any: the default branch may have moved.
    News { pipelines: Vec<Pipeline>, activity: Option<Timestamp> },
    /// REST has to tell.
    Read { activity: Option<Timestamp> },
}

/// Compares a row with what is known.
pub(crate) fn judge(ask: &HeadsAsk, row: &Row) -> Verdict {
    let news = if row.pipelines.page.more || lacks_details(ask) { None } else { moved(ask, row) };
    match news {
        Some(pipelines) => {
            let activity = newer(ask, row);
            // A branch that could not be read is asked for again.
            let headless = ask.project.default_branch.is_some() && ask.known_head.is_none();
            let activity = activity.or(ask.project.last_activity_at.filter(|_| headless));
            Verdict::News { pipelines, activity }
        }
        None => Verdict::Read { activity: newer(ask, row) },
    }
}

/// The project's last activity, where that is news.
fn newer(ask: &HeadsAsk, row: &Row) -> Option<Timestamp> {
    row.last_activity_at.filter(|at| Some(*at) > ask.project.last_activity_at)
}

/// The known pipelines that are in another state now; `None` when there is more than that.
fn moved(ask: &HeadsAsk, row: &Row) -> Option<Vec<Pipeline>> {
    let known: HashMap<&RunId, &Pipeline> = ask.known.iter().map(|run| (&run.id, &**run)).collect();
    let oldest = ask.known.iter().filter_map(|run| run.id.as_str().parse::<u64>().ok()).min();
    // Older than all that a full page holds: of no concern, and REST would not tell it either.
    let beyond =
        |number: u64| ask.known.len() >= Heads::MAX_RUNS && oldest.is_some_and(|oldest| number < oldest);
    let mut out = Vec::new();
    for run in row.pipelines.nodes.iter().flatten() {
        let number = of_gid(&run.id)?;
        match known.get(&RunId::from(number)) {
            Some(known) => out.extend(step(known, run)?),
            None if beyond(number) => {}
            None => return None,
        }
    }
    Some(out)
}

/// What became of a known pipeline: nothing, another state of going on, or that it passed. `None` when it is to be read.
fn step(known: &Pipeline, run: &Run) -> Option<Option<Pipeline>> {
    let word = run.status.as_deref()?.to_ascii_lowercase();
    // GraphQL tells whole seconds.
    let second = |at: Option<Timestamp>| at.map(Timestamp::as_second);
    if word == known.native_status && second(run.updated_at) <= second(known.updated_at) {
        return Some(None);
    }
    let status = status::pipeline(&word, None);
    let passed = status == Status::Success && run.warnings == Some(false);
    if !known.status.is_active() || !(status.is_active() || passed) {
        return None;
    }
    let ended = |at| if passed { at } else { None };
    Some(Some(Pipeline {
        status,
        native_status: word,
        updated_at: run.updated_at.max(known.updated_at),
        started_at: run.started_at.or(known.started_at),
        queued: run.queued.or(known.queued),
        finished_at: ended(run.finished_at),
        duration: if passed { run.duration } else { None },
        failure: None,
        ..known.clone()
    }))
}

/// Whether pipelines of the strips are still to be read.
fn lacks_details(ask: &HeadsAsk) -> bool {
    let default = ask.project.default_branch.iter();
    default.chain(&ask.branches).any(|branch| {
        let of_branch = ask.known.iter().filter(|run| run.branch.as_ref() == Some(branch));
        let mut strip = of_branch.take(STRIP_RUNS);
        strip.any(|run| run.completeness != Completeness::Full && !run.status.is_active())
    })
}

/// News as the contract has them.
pub(crate) fn heads(pipelines: Vec<Pipeline>, activity: Option<Timestamp>) -> Heads {
    Heads { extent: Extent::News, pipelines, last_activity_at: activity, ..Heads::default() }
}

/// That the whole is to be read.
pub(crate) fn moved_on(activity: Option<Timestamp>) -> Heads {
    Heads { extent: Extent::Moved, last_activity_at: activity, ..Heads::default() }
}

/// The same question, of a project that was active then.
pub(crate) fn informed(ask: &HeadsAsk, row: &Row) -> HeadsAsk {
    let last_activity_at = row.last_activity_at.max(ask.project.last_activity_at);
    let project = Arc::new(Project { last_activity_at, ..Project::clone(&ask.project) });
    HeadsAsk { project, ..ask.clone() }
}
