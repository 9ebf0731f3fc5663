//! Which runs decide, and why: the workflows that there still are, and what failed in the runs that make a branch red.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use connector::wire::Rows;
use connector::{Error, Heads, HeadsAsk, Result};
use domain::{Completeness, Pipeline, Problem, ProblemKind, RunId, Status, WhichWorkflows};
use futures::StreamExt;
use futures::stream;
use jiff::SignedDuration;

use crate::heads::shown;
use crate::paging::PER_PAGE_TEXT;
use crate::source::Gitea;
use crate::{convert, runs, wire};

/// Failed runs of one repository whose jobs are read in one refresh, all at once.
const EXPLAINED_PER_REFRESH: usize = 4;
/// How often the list of workflows is read.
const WORKFLOWS_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Which workflows there are, read at most once in [`WORKFLOWS_EVERY`] unless a new run is of one that was not there.
/// Names the runs, which name only the workflow's file.
pub(crate) async fn workflows(
    gitea: &Gitea,
    ask: &HeadsAsk,
    all: &mut [Pipeline],
    out: &mut Heads,
) -> Result<()> {
    const ENDPOINT: &str = "GET /repos/:owner/:repo/actions/workflows";
    if all.is_empty() {
        return Ok(());
    }
    let now = gitea.clock.now();
    let fresh = ask.known_workflows.as_ref().filter(|(_, at)| {
        let age = now.duration_since(*at);
        // A clock that was put back makes nothing fresh for long.
        !age.is_negative() && age < WORKFLOWS_EVERY
    });
    let known: HashSet<&RunId> = ask.known.iter().map(|k| &k.id).collect();
    let is_new = |set: &BTreeSet<String>| {
        all.iter().any(|r| !set.contains(&r.workflow.lane) && !known.contains(&r.id))
    };
    match fresh {
        Some((WhichWorkflows::Only(set), _)) if !is_new(set) => return Ok(()),
        // It was not to be had and would not be now.
        Some((WhichWorkflows::Unknown, _)) => return Ok(()),
        _ => {}
    }
    let url = gitea.below(&ask.project, &["actions", "workflows"], &[("limit", PER_PAGE_TEXT)])?;
    let read: wire::Workflows = match gitea.json(ENDPOINT, url).await {
        Ok(read) => read,
        // Forgejo has no such list. A workflow that is gone is then told by its silence.
        Err(Error::NotFound(_) | Error::Forbidden(_)) => {
            out.workflows = Some(WhichWorkflows::Unknown);
            return Ok(());
        }
        Err(e) if e.concerns_source() => return Err(e),
        Err(e) => {
            out.problems.push(e.to_partial("workflows"));
            return Ok(());
        }
    };
    gitea.note_broken(ENDPOINT, &read.workflows);
    let is_all = is_all(&read.workflows, read.total_count);
    let names: BTreeMap<&str, &str> =
        read.workflows.items.iter().filter_map(|w| Some((w.id.as_str(), w.name.as_deref()?))).collect();
    for run in all.iter_mut() {
        if let Some(name) = names.get(run.workflow.lane.as_str()) {
            run.workflow.name = Some((*name).to_owned());
        }
    }
    let mut lanes: BTreeSet<String> = read.workflows.items.iter().map(|w| w.id.clone()).collect();
    // What ran for the commit that the list is of is there, though its file is elsewhere: an organization's workflow.
    let head = out.default_branch.as_ref().and_then(|h| h.sha.as_deref());
    let at_head = all.iter().filter(|r| head.is_some() && r.sha.as_deref() == head);
    lanes.extend(at_head.map(|r| r.workflow.lane.clone()));
    // A lane that is missing from an incomplete list is not gone.
    out.workflows = Some(if is_all { WhichWorkflows::Only(lanes) } else { WhichWorkflows::Unknown });
    Ok(())
}

/// The list of workflows has no pages: it is all of them, unless rows could not be read.
fn is_all<T>(rows: &Rows<T>, total: Option<u64>) -> bool {
    rows.broken == 0 && total.is_none_or(|total| total <= rows.items.len() as u64)
}

/// Reads the jobs of the failed runs that decide for a shown branch, once each: what failed.
pub(crate) async fn explain(
    gitea: &Gitea,
    ask: &HeadsAsk,
    all: &mut [Pipeline],
    out: &mut Heads,
) -> Result<()> {
    let gone = match out.workflows.as_ref().or(ask.known_workflows.as_ref().map(|(w, _)| w)) {
        Some(WhichWorkflows::Only(set)) => Some(set),
        Some(WhichWorkflows::Unknown) | None => None,
    };
    let shown = shown(ask);
    let mut decided = HashSet::new();
    let mut wanted = Vec::new();
    for (index, run) in all.iter().enumerate().filter(|(_, r)| r.status.is_verdict()) {
        let Some(branch) = run.branch.as_deref().filter(|b| shown.contains(b)) else { continue };
        let counts = gone.is_none_or(|set| set.contains(&run.workflow.lane));
        let decides = counts && decided.insert((branch, run.workflow.lane.as_str()));
        if decides && run.status == Status::Failed && run.completeness == Completeness::Row {
            wanted.push((index, run.clone()));
        }
    }
    drop(decided);
    wanted.truncate(EXPLAINED_PER_REFRESH);
    let project = &*ask.project;
    let answers: Vec<_> = stream::iter(wanted)
        .map(|(index, run)| async move { (index, runs::jobs(gitea, project, &run).await) })
        .buffer_unordered(EXPLAINED_PER_REFRESH)
        .collect()
        .await;
    let mut failures: BTreeMap<String, usize> = BTreeMap::new();
    for (index, answer) in answers {
        let Some(run) = all.get_mut(index) else { continue };
        match answer {
            Ok(jobs) => convert::enrich(run, &jobs),
            // They are gone, or the server lists no jobs: that will not change.
            Err(Error::NotFound(_) | Error::Forbidden(_)) => run.completeness = Completeness::Full,
            // The runs have been read; the next question meets the same error.
            Err(e) => *failures.entry(e.to_string()).or_default() += 1,
        }
    }
    for (why, count) in failures {
        let runs = if count == 1 { "1 run".to_owned() } else { format!("{count} runs") };
        out.problems.push(Problem::new(ProblemKind::Partial, format!("jobs of {runs}: {why}")));
    }
    Ok(())
}
