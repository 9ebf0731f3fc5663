//! The state of a repository: its newest runs, its default branch, which workflows it has, and why what is red is red.
//!
//! In an unmoved repository that is one request for the few newest runs. Only when none of these is known, or one that was
//! going on is not among them, a larger page is read; and now and then in any case ([`Memory::wants_full`]), so that
//! runs which were deleted or, being older, started over are noticed.
//!
//! [`Memory::wants_full`]: crate::memory::Memory::wants_full

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use connector::wire::Rows;
use connector::{Error, Heads, HeadsAsk, Result};
use domain::{
    Completeness, Pipeline, Problem, ProblemKind, Project, ProjectKey, RunId, Status, WhichWorkflows,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::SignedDuration;

use crate::memory::Api;
use crate::paging::{PER_PAGE, PER_PAGE_TEXT};
use crate::runs::{self, read_from};
use crate::source::Gitea;
use crate::{lists, order, statuses, tasks, wire};

/// Repositories that are asked about at the same time.
const PROJECTS_AT_ONCE: usize = 8;
/// Runs that are read where nothing is expected to be new.
const FEW_RUNS: usize = 5;
/// The same of jobs.
const FEW_TASKS: usize = 15;
/// Shown branches that are asked for by themselves, because their runs are older than the newest page.
const MAX_BRANCHES_ASKED: usize = 20;
/// Runs of each of these: as many as a strip shows, and some that were canceled.
const RUNS_OF_A_BRANCH: usize = 20;
/// Runs that go on although they are older than what was read, and are asked for one by one.
const MAX_STRAGGLERS: usize = 4;
/// Failed runs of one repository whose jobs are read in one refresh, all at once.
const EXPLAINED_PER_REFRESH: usize = 4;
/// How often the list of workflows is read.
const WORKFLOWS_EVERY: SignedDuration = SignedDuration::from_hours(1);

const EMPTY_REPOSITORY: &str = "the repository is empty";

/// The stream that [`connector::Connector::branch_heads`] wants.
pub(crate) fn branch_heads<'a>(
    gitea: &'a Gitea,
    asks: Vec<HeadsAsk>,
) -> BoxStream<'a, (ProjectKey, Result<Heads>)> {
    stream::iter(asks)
        .map(move |ask| {
            Box::pin(async move {
                let heads = heads(gitea, &ask).await;
                (ask.project.key.clone(), heads)
            })
        })
        .buffer_unordered(PROJECTS_AT_ONCE)
        .boxed()
}

async fn heads(gitea: &Gitea, ask: &HeadsAsk) -> Result<Heads> {
    let (project, now) = (&*ask.project, gitea.clock.now());
    let id = &project.key.id;
    let mut out = Heads::default();
    if project.default_branch.is_none() {
        // Nothing can have run in it, and the listing tells when that changes.
        out.problems.push(Problem::new(ProblemKind::Empty, EMPTY_REPOSITORY));
        return Ok(out);
    }
    let mut api = gitea.memory.api(id, now);
    let mut read = Err(Error::NotFound(String::new()));
    if api == Api::Runs {
        read = from_runs(gitea, ask, &mut out).await;
        if matches!(read, Err(Error::NotFound(_))) {
            // Either the server lists no runs, or the repository has no Actions, or it is not there.
            api = if gitea.memory.has_runs() { Api::Statuses } else { Api::Tasks };
        }
    }
    if api == Api::Tasks {
        read = from_tasks(gitea, ask, &mut out).await;
        if matches!(read, Err(Error::NotFound(_))) {
            api = Api::Statuses;
        }
    }
    let mut all = match api {
        Api::Statuses => return from_statuses(gitea, ask, out).await,
        Api::Runs | Api::Tasks => read?,
    };
    gitea.memory.found(api, id, now);
    head(gitea, ask, &all, &mut out).await?;
    if api == Api::Runs {
        workflows(gitea, ask, &mut all, &mut out).await?;
        explain(gitea, ask, &mut all, &mut out).await?;
    }
    for run in all.iter_mut().filter(|r| r.workflow.name.is_none() && !r.workflow.lane.is_empty()) {
        run.workflow.name = Some(run.workflow.lane.clone());
    }
    out.pipelines = all;
    Ok(out)
}

/// What is known of a repository's runs, as far as it was read from the same place.
struct Known<'a> {
    runs: Vec<&'a Arc<Pipeline>>,
    by_id: HashMap<&'a RunId, &'a Arc<Pipeline>>,
}

impl<'a> Known<'a> {
    fn of(ask: &'a HeadsAsk, api: Api) -> Self {
        let runs: Vec<_> = ask.known.iter().filter(|k| read_from(&k.id) == api).collect();
        let by_id = runs.iter().map(|k| (&k.id, *k)).collect();
        Self { runs, by_id }
    }

    fn has_any(&self, runs: &[Pipeline]) -> bool {
        runs.iter().any(|r| self.by_id.contains_key(&r.id))
    }

    /// Those that go on and are not among `runs`.
    fn stragglers(&self, runs: &[Pipeline]) -> Vec<&'a Arc<Pipeline>> {
        let there: HashSet<&RunId> = runs.iter().map(|r| &r.id).collect();
        self.runs.iter().copied().filter(|k| k.status.is_active() && !there.contains(&k.id)).collect()
    }

    /// Adds those that are older than `oldest`, the oldest that was read, and are not there for another reason. What is
    /// not older and was not read is gone from the platform.
    fn add_older(&self, runs: &mut Vec<Pipeline>, oldest: Option<u64>) {
        let there: HashSet<RunId> = runs.iter().map(|r| r.id.clone()).collect();
        let older = self.runs.iter().filter(|k| rank(k) < oldest && !there.contains(&k.id));
        let room = Heads::MAX_RUNS.saturating_sub(runs.len());
        runs.extend(older.take(room).map(|k| (***k).clone()));
    }

    /// Takes over what is known of each run where its row is silent.
    fn fill(&self, runs: &mut [Pipeline]) {
        for run in runs {
            if let Some(known) = self.by_id.get(&run.id) {
                *run = run.clone().filled_from(known);
            }
        }
    }
}

/// Rises with a run's time: its id, or its number where that is made here.
fn rank(run: &Pipeline) -> Option<u64> {
    run.id.as_str().parse().ok().or(run.number)
}

fn none_readable(project: &Project, broken: usize) -> Error {
    Error::Garbage(format!("Gitea: none of {broken} runs of {} could be read", project.name))
}

async fn from_runs(gitea: &Gitea, ask: &HeadsAsk, out: &mut Heads) -> Result<Vec<Pipeline>> {
    let (project, now) = (&*ask.project, gitea.clock.now());
    let id = &project.key.id;
    let known = Known::of(ask, Api::Runs);
    let mut full = known.runs.is_empty()
        || gitea.memory.wants_full(id, now)
        || known.runs.iter().skip(FEW_RUNS).any(|k| k.status.is_active());
    let limit = if full { PER_PAGE } else { FEW_RUNS };
    let mut part = runs::page(gitea, project, None, limit, 1, 0).await?;
    let gap = part.more && (!known.has_any(&part.items) || !known.stragglers(&part.items).is_empty());
    if !full && gap {
        full = true;
        part = runs::page(gitea, project, None, PER_PAGE, 1, 0).await?;
    }
    if part.items.is_empty() && part.broken > 0 {
        return Err(none_readable(project, part.broken));
    }
    out.total_runs = part.total;
    out.problems.extend(part.problem);
    let (mut all, mut more) = (part.items, part.more);
    if full && more && !known.has_any(&all) {
        match runs::page(gitea, project, None, PER_PAGE, 2, PER_PAGE).await {
            Ok(second) => {
                more = second.more;
                out.problems.extend(second.problem);
                let there: HashSet<RunId> = all.iter().map(|r| r.id.clone()).collect();
                all.extend(second.items.into_iter().filter(|r| !there.contains(&r.id)));
            }
            Err(e) if e.concerns_source() => return Err(e),
            Err(e) => out.problems.push(e.to_partial("older runs")),
        }
    }
    known.fill(&mut all);
    if more {
        let oldest = all.iter().filter_map(rank).min();
        for run in known.stragglers(&all).into_iter().take(MAX_STRAGGLERS) {
            match runs::one(gitea, project, &run.id).await {
                Ok(now) => all.push(now.filled_from(run)),
                Err(Error::NotFound(_)) => {}
                Err(e) if e.concerns_source() => return Err(e),
                Err(e) => out.problems.push(e.to_partial(&format!("run {}", run.id))),
            }
        }
        known.add_older(&mut all, oldest);
        if full {
            of_branches(gitea, ask, &mut all, out).await?;
        }
    }
    all.sort_by_key(|run| std::cmp::Reverse(rank(run)));
    order::settle(&mut all, &ask.known, now);
    if full {
        gitea.memory.read_in_full(id, now);
    }
    Ok(all)
}

/// Runs of shown branches that have none among those that were read.
async fn of_branches(gitea: &Gitea, ask: &HeadsAsk, all: &mut Vec<Pipeline>, out: &mut Heads) -> Result<()> {
    let shown = shown(ask);
    let lacking = shown.into_iter().filter(|b| !all.iter().any(|r| r.branch.as_deref() == Some(b)));
    let lacking: Vec<&str> = lacking.take(MAX_BRANCHES_ASKED).collect();
    for branch in lacking {
        match runs::page(gitea, &ask.project, Some(branch), RUNS_OF_A_BRANCH, 1, 0).await {
            Ok(part) => {
                out.problems.extend(part.problem);
                all.extend(part.items.into_iter().filter(|r| r.branch.as_deref() == Some(branch)));
            }
            Err(e) if e.concerns_source() => return Err(e),
            Err(e) => out.problems.push(e.to_partial(&format!("runs of {branch}"))),
        }
    }
    Ok(())
}

/// The branches whose colour is shown.
fn shown(ask: &HeadsAsk) -> BTreeSet<&str> {
    ask.project.default_branch.iter().chain(&ask.branches).map(String::as_str).collect()
}

async fn from_tasks(gitea: &Gitea, ask: &HeadsAsk, out: &mut Heads) -> Result<Vec<Pipeline>> {
    let (project, now) = (&*ask.project, gitea.clock.now());
    let id = &project.key.id;
    let known = Known::of(ask, Api::Tasks);
    let mut full = known.runs.is_empty() || gitea.memory.wants_full(id, now);
    let limit = if full { PER_PAGE } else { FEW_TASKS };
    let mut part = tasks::page(gitea, project, limit, 1, 0).await?;
    let mut all = tasks::runs(&part.items, part.more);
    let gap = part.more && (!known.has_any(&all) || !known.stragglers(&all).is_empty());
    if !full && gap {
        full = true;
        part = tasks::page(gitea, project, PER_PAGE, 1, 0).await?;
        all = tasks::runs(&part.items, part.more);
        // Its runs have too many jobs for a small page.
        let nothing_new = all.iter().all(|r| known.by_id.contains_key(&r.id));
        gitea.memory.small_suffices(id, !nothing_new);
    }
    if part.items.is_empty() && part.broken > 0 {
        return Err(none_readable(project, part.broken));
    }
    out.problems.extend(part.problem.take());
    let mut more = part.more;
    if full && more && !known.has_any(&all) {
        match tasks::page(gitea, project, PER_PAGE, 2, PER_PAGE).await {
            Ok(second) => {
                more = second.more;
                out.problems.extend(second.problem);
                let there: HashSet<u64> = part.items.iter().map(|t| t.id).collect();
                part.items.extend(second.items.into_iter().filter(|t| !there.contains(&t.id)));
                all = tasks::runs(&part.items, more);
            }
            Err(e) if e.concerns_source() => return Err(e),
            Err(e) => out.problems.push(e.to_partial("older runs")),
        }
    }
    known.fill(&mut all);
    if more {
        let oldest = all.iter().filter_map(rank).min();
        known.add_older(&mut all, oldest);
    }
    // Of a run that was started over only the new tries may have been read.
    for run in &mut all {
        if let Some(made) = known.by_id.get(&run.id).and_then(|k| k.created_at) {
            run.created_at = Some(run.created_at.map_or(made, |at| at.min(made)));
        }
    }
    all.sort_by_key(|run| std::cmp::Reverse(rank(run)));
    order::settle(&mut all, &ask.known, now);
    if full {
        gitea.memory.read_in_full(id, now);
    }
    Ok(all)
}

/// Commit statuses of the shown branches' newest commits, beside those that were read of earlier ones.
async fn from_statuses(gitea: &Gitea, ask: &HeadsAsk, mut out: Heads) -> Result<Heads> {
    let project = &*ask.project;
    let known = Known::of(ask, Api::Statuses);
    head(gitea, ask, &[], &mut out).await?;
    let mut all: Vec<Pipeline> = Vec::new();
    for branch in shown(ask).into_iter().take(MAX_BRANCHES_ASKED) {
        match statuses::of(gitea, project, branch).await {
            Ok(Some(detail)) => {
                out.problems.extend(detail.problems);
                let head = out.default_branch.as_ref().filter(|h| h.name == branch);
                let run = statuses::at_branch(detail.pipeline, branch, head);
                if head.is_some_and(|h| h.sha != run.sha) && run.branch == project.default_branch {
                    // The branch has moved since it was read.
                    if let Ok(head) = lists::branch(gitea, project, branch).await {
                        out.default_branch = Some(domain::Branch { default: true, ..head });
                    }
                }
                let head = out.default_branch.as_ref().filter(|h| h.name == branch);
                all.push(statuses::at_branch(run, branch, head));
            }
            Ok(None) => {}
            Err(e) if e.concerns_source() => return Err(e),
            Err(Error::NotFound(_)) => {
                // The branch is gone, or all of the repository is.
                lists::project(gitea, project.key.id.as_str()).await?;
            }
            Err(e) => out.problems.push(e.to_partial(&format!("statuses of {branch}"))),
        }
    }
    known.fill(&mut all);
    let there: HashSet<RunId> = all.iter().map(|r| r.id.clone()).collect();
    let room = Heads::MAX_RUNS.saturating_sub(all.len());
    let earlier = known.runs.iter().filter(|k| !there.contains(&k.id));
    all.extend(earlier.take(room).map(|k| (***k).clone()));
    all.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
    if all.is_empty() && out.problems.is_empty() {
        let text = "no Actions in this repository, and no statuses of its newest commit";
        out.problems.push(Problem::new(ProblemKind::NoCi, text));
    }
    gitea.memory.found(Api::Statuses, &project.key.id, gitea.clock.now());
    out.workflows = ask.known_workflows.as_ref().map(|_| WhichWorkflows::Unknown);
    out.pipelines = all;
    Ok(out)
}

/// The default branch by its name, when it may have moved since it was last read.
async fn head(gitea: &Gitea, ask: &HeadsAsk, runs: &[Pipeline], out: &mut Heads) -> Result<()> {
    let project = &*ask.project;
    let Some(name) = &project.default_branch else { return Ok(()) };
    if let Some((known, at)) = &ask.known_head
        && known.name == *name
        && at.is_some()
        && *at == project.last_activity_at
        && !names_another_commit(ask, known, runs)
    {
        out.default_branch = Some(known.clone());
        return Ok(());
    }
    match lists::branch(gitea, project, name).await {
        Ok(branch) => out.default_branch = Some(domain::Branch { default: true, ..branch }),
        Err(e) if e.concerns_source() => return Err(e),
        Err(e) => out.problems.push(e.to_partial(&format!("branch {name}"))),
    }
    Ok(())
}

/// Whether the newest push to the default branch is one that was not known, to another commit: a watched repository's
/// last activity is not read at each refresh.
fn names_another_commit(ask: &HeadsAsk, head: &domain::Branch, runs: &[Pipeline]) -> bool {
    let of_push = |r: &&Pipeline| {
        r.branch.as_deref() == Some(&*head.name) && r.event.as_deref() == Some("push") && r.sha.is_some()
    };
    let newest = runs.iter().find(of_push);
    newest.is_some_and(|r| r.sha != head.sha && !ask.known.iter().any(|k| k.id == r.id))
}

/// Which workflows there are, read at most once in [`WORKFLOWS_EVERY`] unless a new run is of one that was not there.
/// Names the runs, which name only the workflow's file.
async fn workflows(gitea: &Gitea, ask: &HeadsAsk, all: &mut [Pipeline], out: &mut Heads) -> Result<()> {
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
async fn explain(gitea: &Gitea, ask: &HeadsAsk, all: &mut [Pipeline], out: &mut Heads) -> Result<()> {
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
            Ok(jobs) => crate::convert::enrich(run, &jobs),
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
