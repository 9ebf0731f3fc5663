//! What a row of the feed means.
//!
//! A row tells of two builds: the last one that ended and the one that goes on, if any. Both need an id of their own.
//!
//! * The ended one is its label and its time: a label may repeat (a version that several builds have) or be missing, and
//!   so may the time.
//! * The one that goes on has no label yet. It is "what comes after" the last one, so that its id stands still while it
//!   builds and is another for the next. When it ends the feed tells its label; it is listed under that, and the id that
//!   it had while it went on is listed no more. Nothing is there twice.

use std::sync::Arc;

use connector::Heads;
use connector::wire::time;
use domain::{
    Completeness, NativeId, Person, Pipeline, Problem, ProblemKind, Project, ProjectKey, RunId, SourceName,
    Status, Timestamp, WebUrl,
};

use crate::feed::Row;
use crate::{PLATFORM_ID, status};

/// The id of a last build of which the feed tells neither label nor time: there can only be one.
const LAST: &str = "last";
/// Before the id of the last build: the one after it.
const AFTER: &str = "after ";

/// A project. Its id is its name in the feed; `again` counts namesakes before it.
pub(crate) fn project(source: &SourceName, row: &Row, again: usize) -> Project {
    let name = if again == 0 { row.name.clone() } else { format!("{} #{}", row.name, again + 1) };
    let key = ProjectKey::new(source.clone(), NativeId::new(&name));
    Project {
        url: WebUrl::parse(&row.web_url),
        last_activity_at: time(&row.last_time),
        ..Project::named(key, PLATFORM_ID, name)
    }
}

/// What the row tells, newest first. What the feed does not date has no time yet: see [`with_known`].
pub(crate) fn heads(row: &Row) -> Heads {
    let pipelines: Vec<_> = going_on(row).into_iter().chain(ended(row)).collect();
    let mut problems = Vec::new();
    if pipelines.is_empty() {
        problems.push(Problem::new(ProblemKind::NoCi, "no build has run yet"));
    }
    Heads { pipelines, problems, ..Heads::default() }
}

/// The last build that ended.
fn ended(row: &Row) -> Option<Pipeline> {
    let at = time(&row.last_time);
    let status = status::of_last_build(&row.last_status);
    let untold = status::knows_nothing(&row.last_status);
    let busy = status::of_activity(&row.activity).is_some();
    // Never built; or the label and time are those of the build that goes on, as some servers have it.
    if status == Status::Queued || (untold && (busy || (row.last_label.is_empty() && at.is_none()))) {
        return None;
    }
    let failed = status == Status::Failed;
    Some(Pipeline {
        number: row.last_label.parse().ok(),
        message: (!row.last_label.is_empty()).then(|| format!("Build {}", row.last_label)),
        author: row.breakers.as_ref().filter(|_| failed).map(Person::named),
        failure: row.failing.clone().filter(|_| failed),
        created_at: at,
        finished_at: at,
        url: WebUrl::parse(&row.web_url),
        completeness: Completeness::Full,
        ..Pipeline::new(RunId::new(last_id(row, at)), status, &row.last_status)
    })
}

fn last_id(row: &Row, at: Option<Timestamp>) -> String {
    match (row.last_label.as_str(), at) {
        ("", None) => LAST.to_owned(),
        ("", Some(at)) => at.to_string(),
        (label, None) => label.to_owned(),
        (label, Some(at)) => format!("{label} @ {at}"),
    }
}

/// The build that goes on or waits.
fn going_on(row: &Row) -> Option<Pipeline> {
    let last = status::of_last_build(&row.last_status);
    let (status, word) = match status::of_activity(&row.activity) {
        Some(status) => (status, &row.activity),
        None if last == Status::Queued => (last, &row.last_status),
        None => return None,
    };
    // Without the time of what has a label: this id need not differ from those of earlier builds, since it does not stay.
    let at = time(&row.last_time).filter(|_| row.last_label.is_empty());
    let id = format!("{AFTER}{}", last_id(row, at));
    Some(Pipeline {
        url: WebUrl::parse(&row.web_url),
        completeness: Completeness::Full,
        ..Pipeline::new(RunId::new(id), status, word)
    })
}

/// What the feed told, with what it told before. There may have been builds between two readings: of those the feed does
/// not tell. Where it tells no time, `now` is when something was first seen, so that runs keep their order.
pub(crate) fn with_known(mut told: Heads, known: &[Arc<Pipeline>], now: Timestamp) -> Heads {
    let last = told.pipelines.iter().filter_map(|run| run.finished_at).max();
    for run in told.pipelines.iter_mut().filter(|run| run.created_at.is_none()) {
        let same = |k: &&Arc<Pipeline>| {
            k.id == run.id && (run.status.is_active() || k.native_status == run.native_status)
        };
        let seen = known.iter().find(same).and_then(|k| k.created_at);
        // A server's clock may be ahead of ours: what goes on is the newest all the same.
        run.created_at = seen.or(last.max(Some(now)));
    }
    // What went on and is not told any more has ended: it stands there under its label.
    let before = known.iter().filter(|k| !k.status.is_active());
    let earlier: Vec<_> =
        before.filter(|k| told.pipelines.iter().all(|t| t.id != k.id)).map(|k| (**k).clone()).collect();
    told.pipelines.extend(earlier);
    told.pipelines.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
    told.pipelines.truncate(Heads::MAX_RUNS);
    if !told.pipelines.is_empty() {
        told.problems.clear();
    }
    told
}
