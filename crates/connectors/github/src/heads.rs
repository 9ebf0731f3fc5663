//! The state of a repository: its newest runs, its default branch, which workflows it has, and why what is red is red.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use connector::graphql::{Answer, Extras, GraphQl};
use connector::{Error, Extent, Heads, HeadsAsk, Result};
use domain::{
    Branch, Completeness, Job, Pipeline, Problem, ProblemKind, Project, ProjectKey, RunId, Status,
    WhichWorkflows,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::SignedDuration;

use crate::batch::{self, Told};
use crate::dialect::EMPTY_REPOSITORY;
use crate::github::{GitHub, MAX_PAGES, PER_PAGE, partial};
use crate::news::{self, News};
use crate::runs::{self, NO_PULLS, RUNS_OF_A_BRANCH};
use crate::{convert, details, lists, status, wire};

/// Repositories that are asked about at the same time.
const PROJECTS_AT_ONCE: usize = 8;
/// Runs of one repository whose jobs are read in one refresh.
const DETAILS_PER_REFRESH: usize = 8;
/// Of these, at the same time.
const DETAILS_AT_ONCE: usize = 4;
/// How often the list of workflows is read.
const WORKFLOWS_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// The same without a token, when every request counts.
const WORKFLOWS_EVERY_ANONYMOUS: SignedDuration = SignedDuration::from_hours(24);

/// The stream that [`connector::Connector::branch_heads`] wants.
pub(crate) fn branch_heads<'a>(
    github: &'a GitHub,
    asks: Vec<HeadsAsk>,
) -> BoxStream<'a, (ProjectKey, Result<Heads>)> {
    let batch = github.batch.as_ref().filter(|batch| batch.is_there());
    let (mut many, mut each): (Vec<_>, Vec<_>) =
        asks.into_iter().partition(|ask| batch.is_some() && batch::fits(ask));
    if many.len() < batch::WORTH_A_QUESTION {
        each.append(&mut many);
    }
    let read = stream::iter(each)
        .map(move |ask| {
            Box::pin(async move {
                let heads = heads(github, &ask).await;
                (ask.project.key.clone(), heads)
            })
        })
        .buffer_unordered(PROJECTS_AT_ONCE);
    let Some(batch) = batch.filter(|_| !many.is_empty()) else { return read.boxed() };
    let extras = Arc::new(Extras::default());
    let told = batch
        .ask_all(many, |asks| batch::question(asks, !batch.is_plain()))
        .flat_map(move |(asks, answer)| stream::iter(dealt(batch, asks, answer)))
        .map(move |(ask, row)| {
            let extras = Arc::clone(&extras);
            Box::pin(async move {
                let news = news::of_row(&ask, row, github.clock.now());
                (ask.project.key.clone(), Ok(explained(github, &ask, news, &extras).await))
            })
        })
        .buffer_unordered(PROJECTS_AT_ONCE);
    read.chain(told).boxed()
}

/// News with why what failed did. What there is no room for, or cannot be read now, is left to a reading of the whole.
async fn explained(github: &GitHub, ask: &HeadsAsk, news: News, extras: &Extras) -> Heads {
    let News { mut heads, unexplained } = news;
    for index in unexplained {
        let run = &mut heads.pipelines[index];
        if extras.take(1) {
            let answer = runs::jobs(github, &ask.project, &run.id).await;
            match take_jobs(run, answer) {
                Ok(jobs) => heads.jobs.tell(&run.id, jobs),
                Err(e) => tracing::debug!(project = %ask.project.key, error = %e, "its jobs are not known"),
            }
        }
        if run.completeness != Completeness::Full {
            heads.extent = Extent::Moved;
        }
    }
    heads
}

/// Each question with its row; what the answer cost is noted, and when it told nothing.
fn dealt(
    batch: &GraphQl,
    asks: Vec<HeadsAsk>,
    answer: Option<Answer<Told>>,
) -> Vec<(HeadsAsk, Option<batch::Row>)> {
    if let Some((cost, budget)) = answer.as_ref().and_then(|answer| answer.data.price()) {
        batch.paid(cost, budget);
    }
    let why = answer.as_ref().and_then(|answer| answer.errors.first()).map(|error| error.message.clone());
    let dealt = Told::dealt(asks, answer);
    // Without "Checks: read" no repository's check suites are told.
    if let (Some(why), true) = (why, dealt.iter().all(|(_, row)| row.is_none())) {
        batch.told_nothing(&why);
    }
    dealt
}

/// The branches that are shown whatever their age.
pub(crate) fn shown(ask: &HeadsAsk) -> BTreeSet<&str> {
    ask.project.default_branch.iter().chain(&ask.branches).map(String::as_str).collect()
}

/// The newest verdict of each workflow on each shown branch, with its place among the runs, which come newest first.
pub(crate) fn deciding<'a>(
    runs: impl Iterator<Item = &'a Pipeline>,
    shown: &BTreeSet<&str>,
    workflows: Option<&WhichWorkflows>,
) -> impl Iterator<Item = (usize, &'a Pipeline)> {
    let mut decided = HashSet::new();
    runs.enumerate().filter(move |(_, run)| {
        let Some(branch) = run.branch.as_deref().filter(|b| shown.contains(b)) else { return false };
        let counts = match workflows {
            Some(WhichWorkflows::Only(set)) => set.contains(&run.workflow.lane),
            Some(WhichWorkflows::Unknown) | None => true,
        };
        let verdict = status::jobs_tell(run.status) || run.status == Status::Warning;
        counts && verdict && decided.insert((branch.to_owned(), run.workflow.lane.clone()))
    })
}

async fn heads(github: &GitHub, ask: &HeadsAsk) -> Result<Heads> {
    let project = &*ask.project;
    let mut out = Heads::default();
    let mut read = Read::default();
    let params = [NO_PULLS, ("per_page", PER_PAGE)];
    let first = match runs::page(github, github.below(project, &["actions", "runs"], &params)?).await {
        Ok((page, _)) => page,
        // The repository is there but has no Actions, or it is not there.
        Err(Error::NotFound(why)) => return without_actions(github, project, why).await,
        Err(e) => return Err(e),
    };
    let total = first.total_count;
    let none_at_all = first.total_count == Some(0) && first.workflow_runs.items.is_empty();
    let broken = first.workflow_runs.broken;
    out.problems.extend(first.workflow_runs.problem("runs"));
    read.add(first, None);
    if read.runs.is_empty() && broken > 0 {
        return Err(Error::Garbage(format!(
            "GitHub: none of {broken} runs of {} could be read",
            project.name
        )));
    }

    // Branches that are shown whatever their age may have their newest run on a later page.
    let shown = shown(ask);
    for branch in shown.iter().filter(|_| !none_at_all) {
        if read.runs.iter().any(|r| r.branch.as_deref() == Some(branch)) {
            continue;
        }
        let params = [("branch", *branch), NO_PULLS, ("per_page", RUNS_OF_A_BRANCH)];
        match runs::page(github, github.below(project, &["actions", "runs"], &params)?).await {
            Ok((page, _)) => read.add(page, Some(branch)),
            Err(e) if e.concerns_source() => return Err(e),
            Err(e) => out.problems.push(partial(&format!("runs of {branch}"), &e)),
        }
    }
    read.settle(&ask.known);

    head(github, ask, &read, none_at_all, &mut out).await?;
    if !none_at_all {
        workflows(github, ask, &mut read, &mut out).await?;
    }
    if !github.anonymous {
        jobs(github, ask, &shown, &mut read.runs, &mut out).await?;
    }
    out.total_runs = total;
    out.pipelines = read.runs;
    Ok(out)
}

/// The runs that were read, newest first, and what their rows say of their workflows.
#[derive(Default)]
struct Read {
    runs: Vec<Pipeline>,
    seen: HashSet<RunId>,
    /// Lanes that the list of workflows need not name.
    foreign: BTreeSet<String>,
    /// The files of lanes, for names.
    files: BTreeMap<String, String>,
}

impl Read {
    /// Takes a page over, of one branch only when one is named: forks' branches of the same name come with it.
    fn add(&mut self, page: wire::Runs, only: Option<&str>) {
        for row in &page.workflow_runs.items {
            let run = convert::run(row);
            if only.is_some_and(|b| run.branch.as_deref() != Some(b)) || !self.seen.insert(run.id.clone()) {
                continue;
            }
            if convert::is_foreign(row) {
                self.foreign.insert(run.workflow.lane.clone());
            }
            if let Some(file) = convert::file_name(row.path.as_deref()) {
                self.files.entry(run.workflow.lane.clone()).or_insert(file);
            }
            self.runs.push(run);
        }
    }

    /// Puts the runs in order and takes over what is known of them.
    fn settle(&mut self, known: &[Arc<Pipeline>]) {
        let known: HashMap<&RunId, &Pipeline> = known.iter().map(|k| (&k.id, &**k)).collect();
        for run in &mut self.runs {
            if let Some(known) = known.get(&run.id) {
                take_over(run, known);
            }
        }
        self.runs.sort_by_cached_key(|r| std::cmp::Reverse(r.age_key()));
    }
}

/// A run that ended keeps what was seen when it did: GitHub also touches it later on, when its logs are deleted for
/// one, which neither prolongs it nor makes its jobs worth reading again. Without a count of attempts a touched run
/// may have run again.
fn take_over(run: &mut Pipeline, known: &Pipeline) {
    let ended = run.finished_at.is_some() && run.native_status == known.native_status;
    let same = run.attempt == known.attempt && (run.attempt.is_some() || run.updated_at == known.updated_at);
    if !(ended && same && known.finished_at.is_some()) {
        return;
    }
    run.finished_at = known.finished_at;
    run.started_at = known.started_at.or(run.started_at);
    run.duration = known.duration.or(run.duration);
    run.queued = known.queued.or(run.queued);
    if known.completeness == Completeness::Full {
        run.status = known.status;
        run.failure = known.failure.clone().or(run.failure.take());
        run.completeness = Completeness::Full;
    }
}

async fn without_actions(github: &GitHub, project: &Project, why: String) -> Result<Heads> {
    lists::project(github, project.key.id.as_str()).await.map_err(|e| match e {
        Error::NotFound(_) => Error::NotFound(why),
        e => e,
    })?;
    let problem = Problem::new(ProblemKind::NoCi, "GitHub Actions is switched off for this repository");
    Ok(Heads { problems: vec![problem], ..Heads::default() })
}

/// The default branch by its name, when it may have moved since it was last read.
async fn head(
    github: &GitHub,
    ask: &HeadsAsk,
    read: &Read,
    none_at_all: bool,
    out: &mut Heads,
) -> Result<()> {
    let project = &*ask.project;
    let Some(name) = &project.default_branch else {
        out.problems.push(Problem::new(ProblemKind::Empty, EMPTY_REPOSITORY));
        return Ok(());
    };
    if let Some((known, at)) = &ask.known_head
        && known.name == *name
        && *at == project.last_activity_at
        && !names_another_commit(ask, known, &read.runs)
    {
        out.default_branch = Some(known.clone());
        return Ok(());
    }
    match lists::branch(github, project, name).await {
        Ok(branch) => out.default_branch = Some(Branch { default: true, ..branch }),
        Err(e) if e.concerns_source() => return Err(e),
        // Of an empty repository GitHub names a default branch that does not exist.
        Err(Error::NotFound(why)) if none_at_all || why == EMPTY_REPOSITORY => {
            out.problems.push(Problem::new(ProblemKind::Empty, EMPTY_REPOSITORY));
        }
        Err(e) => out.problems.push(partial(&format!("branch {name}"), &e)),
    }
    Ok(())
}

/// Whether the newest push to the default branch is one that was not known, to another commit: a watched repository's
/// last activity is not read at each refresh.
fn names_another_commit(ask: &HeadsAsk, head: &Branch, runs: &[Pipeline]) -> bool {
    let of_push = |r: &&Pipeline| {
        r.branch.as_deref() == Some(&*head.name) && r.event.as_deref() == Some("push") && r.sha.is_some()
    };
    let newest = runs.iter().find(of_push);
    newest.is_some_and(|r| r.sha != head.sha && !ask.known.iter().any(|k| k.id == r.id))
}

/// Which workflows there are, read at most once in [`WORKFLOWS_EVERY`] unless a new run is of one that was not there.
/// Names the runs that name no workflow.
async fn workflows(github: &GitHub, ask: &HeadsAsk, read: &mut Read, out: &mut Heads) -> Result<()> {
    let now = github.clock.now();
    let every = if github.anonymous { WORKFLOWS_EVERY_ANONYMOUS } else { WORKFLOWS_EVERY };
    let fresh = ask.known_workflows.as_ref().filter(|(_, at)| {
        let age = now.duration_since(*at);
        // A clock that was put back makes nothing fresh for long.
        !age.is_negative() && age < every
    });
    let known: HashSet<&RunId> = ask.known.iter().map(|k| &k.id).collect();
    let is_new = |set: &BTreeSet<String>| {
        read.runs.iter().any(|r| !set.contains(&r.workflow.lane) && !known.contains(&r.id))
    };
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    match fresh {
        Some((WhichWorkflows::Only(set), _)) if !is_new(set) => {}
        // It was not to be had and would not be now.
        Some((WhichWorkflows::Unknown, _)) => out.problems.push(no_workflows()),
        _ => match all_workflows(github, &ask.project).await {
            Ok(all) => {
                names = all.names;
                out.workflows = Some(match all.complete {
                    true => WhichWorkflows::Only(all.lanes.union(&read.foreign).cloned().collect()),
                    // A lane that is missing from an incomplete list is not gone.
                    false => WhichWorkflows::Unknown,
                });
                out.problems.extend((!all.complete).then(no_workflows));
            }
            Err(Error::NotFound(_) | Error::Forbidden(_)) => {
                out.workflows = Some(WhichWorkflows::Unknown);
                out.problems.push(no_workflows());
            }
            Err(e) if e.concerns_source() => return Err(e),
            Err(e) => out.problems.push(partial("workflows", &e)),
        },
    }
    for known in ask.known.iter().rev() {
        if let Some(name) = &known.workflow.name {
            names.entry(known.workflow.lane.clone()).or_insert_with(|| name.clone());
        }
    }
    for run in read.runs.iter_mut().filter(|r| r.workflow.name.is_none()) {
        let lane = &run.workflow.lane;
        run.workflow.name = names.get(lane).or_else(|| read.files.get(lane)).cloned();
    }
    Ok(())
}

/// The same words each time, so that a row does not change with each refresh.
fn no_workflows() -> Problem {
    Problem::new(ProblemKind::Partial, "workflows: not found")
}

#[derive(Default)]
struct AllWorkflows {
    lanes: BTreeSet<String>,
    names: BTreeMap<String, String>,
    complete: bool,
}

async fn all_workflows(github: &GitHub, project: &Project) -> Result<AllWorkflows> {
    const ENDPOINT: &str = "GET /repos/:owner/:repo/actions/workflows";
    let mut all = AllWorkflows { complete: true, ..AllWorkflows::default() };
    let mut next = Some(github.below(project, &["actions", "workflows"], &[("per_page", PER_PAGE)])?);
    for _ in 0..MAX_PAGES {
        let Some(url) = next else { return Ok(all) };
        let response = github.client.get(ENDPOINT, url).await?;
        let page: wire::Workflows = response.json()?;
        github.note_broken(ENDPOINT, &page.workflows);
        all.complete &= page.workflows.broken == 0;
        for workflow in page.workflows.items {
            let lane = workflow.id.to_string();
            let name = convert::workflow_name(workflow.name.as_deref(), workflow.path.as_deref());
            if let Some(name) = name.or_else(|| convert::file_name(workflow.path.as_deref())) {
                all.names.insert(lane.clone(), name);
            }
            // A disabled one is still there, and its last verdict stands.
            if workflow.state.as_deref() != Some("deleted") {
                all.lanes.insert(lane);
            }
        }
        next = response.next_link()?;
    }
    all.complete &= next.is_none();
    Ok(all)
}

/// Reads the jobs of the runs that decide for a shown branch, once each: why they failed, or whether they passed with
/// warnings.
async fn jobs(
    github: &GitHub,
    ask: &HeadsAsk,
    shown: &BTreeSet<&str>,
    runs: &mut [Pipeline],
    out: &mut Heads,
) -> Result<()> {
    let workflows = out.workflows.as_ref().or(ask.known_workflows.as_ref().map(|(w, _)| w));
    let mut wanted: Vec<_> = deciding(runs.iter(), shown, workflows)
        .filter(|(_, run)| run.completeness == Completeness::Row)
        .map(|(index, run)| (index, run.id.clone(), run.status))
        .collect();
    // What is red first.
    wanted.sort_by_key(|(_, _, status)| *status != Status::Failed);
    wanted.truncate(DETAILS_PER_REFRESH);
    let project = &*ask.project;
    let mut answers = stream::iter(wanted)
        .map(|(index, id, _)| async move { (index, runs::jobs(github, project, &id).await) })
        .buffer_unordered(DETAILS_AT_ONCE);
    let mut failures: BTreeMap<String, usize> = BTreeMap::new();
    while let Some((index, answer)) = answers.next().await {
        let Some(run) = runs.get_mut(index) else { continue };
        // The runs have been read; the next question meets the same error.
        match take_jobs(run, answer) {
            Ok(jobs) => out.jobs.tell(&run.id, jobs),
            Err(e) => *failures.entry(e.to_string()).or_default() += 1,
        }
    }
    for (why, count) in failures {
        let runs = if count == 1 { "1 run".to_owned() } else { format!("{count} runs") };
        out.problems.push(Problem::new(ProblemKind::Partial, format!("jobs of {runs}: {why}")));
    }
    Ok(())
}

/// Adds to a run what its jobs tell, or that they will never tell anything. All of its jobs, where these are all.
fn take_jobs(run: &mut Pipeline, answer: Result<(Vec<wire::Job>, Vec<Problem>)>) -> Result<Vec<Job>> {
    match answer {
        Ok((jobs, missing)) => {
            details::enrich(run, &jobs);
            let passed = matches!(run.status, Status::Success | Status::Warning);
            let jobs = jobs.iter().filter(|_| missing.is_empty());
            Ok(jobs.map(|job| convert::job(job, passed)).collect())
        }
        // They are gone (GitHub keeps runs for 400 days) or not for this token: that will not change.
        Err(Error::NotFound(_) | Error::Forbidden(_)) => {
            run.completeness = Completeness::Full;
            Ok(Vec::new())
        }
        Err(e) => Err(e),
    }
}
