//! Runs, their jobs, and the jobs' logs.

use std::collections::HashSet;

use config::LogAccess;
use connector::wire::Rows;
use connector::{Error, PipelineDetail, PipelineQuery, Pipelines, Result};
use domain::{Job, JobId, Log, Pipeline, Problem, ProblemKind, Project, RunId, Status};
use serde::de::DeserializeOwned;
use url::Url;

use crate::memory::Api;
use crate::paging::{PER_PAGE, PER_PAGE_TEXT};
use crate::source::Gitea;
use crate::status::{self, Words};
use crate::statuses::COMMIT;
use crate::tasks::{NUMBER, TASK};
use crate::{convert, log, order, statuses, tasks, wire};

const RUNS: &str = "GET /repos/:owner/:repo/actions/runs";
/// The most pages of one list that are read in one question.
const MAX_PAGES: usize = 50;
/// Pages of one run's jobs: more than its largest matrices have.
const MAX_JOB_PAGES: usize = 10;
/// Runs that are read at least: a few more cost next to nothing.
const FEW: usize = 10;

/// Where a run was read from, by the id that we gave it.
pub(crate) fn read_from(run: &RunId) -> Api {
    match run.as_str() {
        id if id.starts_with(NUMBER) => Api::Tasks,
        id if id.starts_with(COMMIT) => Api::Statuses,
        _ => Api::Runs,
    }
}

/// A page of runs or tasks.
pub(crate) struct Part<T> {
    pub(crate) items: Vec<T>,
    /// How many there are in all.
    pub(crate) total: Option<u64>,
    /// Whether older ones are on further pages.
    pub(crate) more: bool,
    pub(crate) broken: usize,
    pub(crate) problem: Option<Problem>,
}

/// Reads a page. Several servers give these lists without `Link`: the count tells the end. `before`: how many rows the
/// pages before had.
pub(crate) async fn listed<T: DeserializeOwned>(
    gitea: &Gitea,
    endpoint: &'static str,
    url: Url,
    before: usize,
) -> Result<Part<T>> {
    let read: wire::Listed<T> = gitea.json(endpoint, url).await?;
    let rows = read.workflow_runs;
    gitea.note_broken(endpoint, &rows);
    let count = rows.items.len() + rows.broken;
    let more = match read.total_count {
        Some(total) => total > (before + count) as u64,
        None => count >= PER_PAGE,
    };
    let problem = rows.problem("runs");
    let (broken, total) = (rows.broken, read.total_count);
    Ok(Part { items: rows.items, total, more: more && count > 0, broken, problem })
}

/// One page of runs, newest first. Of one branch where that is named; servers that do not know the filter give all.
pub(crate) async fn page(
    gitea: &Gitea,
    project: &Project,
    branch: Option<&str>,
    limit: usize,
    page: usize,
    before: usize,
) -> Result<Part<Pipeline>> {
    let (limit, page) = (limit.to_string(), page.to_string());
    // Gitea filters by `branch`, Forgejo by `ref`; neither knows the other.
    let reference = branch.map(|name| match name.strip_prefix('#') {
        Some(number) if number.bytes().all(|b| b.is_ascii_digit()) => format!("refs/pull/{number}/head"),
        _ => format!("refs/heads/{name}"),
    });
    let mut query = vec![("limit", limit.as_str())];
    if let (Some(branch), Some(reference)) = (branch, &reference) {
        query.extend([("branch", branch), ("ref", reference)]);
    }
    if page != "1" {
        query.push(("page", &page));
    }
    let url = gitea.below(project, &["actions", "runs"], &query)?;
    let part = listed::<wire::Run>(gitea, RUNS, url, before).await?;
    let Part { items, total, more, broken, problem } = part;
    Ok(Part { items: items.iter().map(convert::run).collect(), total, more, broken, problem })
}

/// Runs of a project, newest first. An older run that was started over after `since` is found only by the servers' own
/// time of change, which Gitea does not tell yet.
pub(crate) async fn pipelines(gitea: &Gitea, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
    let mut api = gitea.memory.api(&project.key.id, gitea.clock.now());
    if api == Api::Runs {
        match from_runs(gitea, project, query).await {
            Err(Error::NotFound(_)) => api = gitea.memory.without_runs(),
            answer => return answer,
        }
    }
    if api == Api::Tasks {
        match from_tasks(gitea, project, query).await {
            Err(Error::NotFound(_)) => {}
            answer => return answer,
        }
    }
    from_statuses(gitea, project, query).await
}

/// The newest run of a branch.
pub(crate) async fn latest(gitea: &Gitea, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
    let query = PipelineQuery { branch: Some(branch.to_owned()), since: None, until: None, limit: 1 };
    let mut api = gitea.memory.api(&project.key.id, gitea.clock.now());
    if api == Api::Runs {
        match from_runs(gitea, project, &query).await {
            Err(Error::NotFound(_)) => api = gitea.memory.without_runs(),
            answer => return Ok(answer?.items.into_iter().next()),
        }
    }
    if api == Api::Tasks {
        match tasks::latest(gitea, project, branch).await {
            Err(Error::NotFound(_)) => {}
            answer => return answer,
        }
    }
    match from_statuses(gitea, project, &query).await {
        // The branch is not there, or the repository: in either case it has no run.
        Err(Error::NotFound(_)) => Ok(None),
        answer => Ok(answer?.items.into_iter().next()),
    }
}

/// Whether a run is wanted.
fn fits(run: &Pipeline, query: &PipelineQuery) -> bool {
    let since = query.since.is_none_or(|since| {
        run.updated_at.is_some_and(|at| at >= since) || run.began().is_none_or(|at| at >= since)
    });
    since && !query.is_beyond(run) && (query.branch.is_none() || run.branch == query.branch)
}

/// Whether all of these are from before the time that is asked for, so that older pages need not be read.
fn all_older(runs: &[Pipeline], query: &PipelineQuery) -> bool {
    query.since.is_some_and(|since| {
        runs.iter()
            .all(|r| r.began().is_some_and(|at| at < since) && r.updated_at.is_none_or(|at| at < since))
    })
}

fn truncated(what: &str, pages: usize) -> Problem {
    Problem::new(ProblemKind::Partial, format!("{what}: truncated after {pages} pages of {PER_PAGE}"))
}

async fn from_runs(gitea: &Gitea, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
    let mut out = Pipelines::default();
    let (mut all, mut seen, mut before) = (Vec::new(), HashSet::new(), 0);
    let limit = query.limit.clamp(FEW, PER_PAGE);
    let pages = query.max_pages(MAX_PAGES);
    for number in 1..=pages {
        let part = match page(gitea, project, query.branch.as_deref(), limit, number, before).await {
            Ok(part) => part,
            Err(e) if number == 1 => return Err(e),
            Err(e) => {
                out.problems.push(e.to_partial("older runs"));
                break;
            }
        };
        if number == 1 && query.since.is_none() && query.until.is_none() {
            out.total = part.total;
        }
        before += part.items.len() + part.broken;
        out.problems.extend(part.problem);
        let wanted_before = all.len();
        // A new run moves all others down a row between two pages.
        let fresh: Vec<Pipeline> = part.items.into_iter().filter(|r| seen.insert(r.id.clone())).collect();
        let end = !part.more || fresh.is_empty() && part.broken == 0 || all_older(&fresh, query);
        all.extend(fresh.into_iter().filter(|r| fits(r, query)));
        if number == 1 && query.branch.is_some() && all.len() - wanted_before < before {
            // The server does not filter by branch, so what it counts is something else.
            out.total = None;
        }
        if end || all.len() >= query.limit {
            break;
        }
        if number == pages {
            out.problems.push(truncated("runs", pages));
        }
    }
    all.truncate(query.limit);
    order::settle(&mut all, &[], gitea.clock.now());
    out.items = all;
    Ok(out)
}

async fn from_tasks(gitea: &Gitea, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
    let mut out = Pipelines::default();
    let (mut all, mut before) = (Vec::new(), 0);
    let pages = query.max_pages(MAX_PAGES);
    for number in 1..=pages {
        let part = match tasks::page(gitea, project, PER_PAGE, number, before).await {
            Ok(part) => part,
            Err(e) if number == 1 => return Err(e),
            Err(e) => {
                out.problems.push(e.to_partial("older runs"));
                break;
            }
        };
        before += part.items.len() + part.broken;
        out.problems.extend(part.problem);
        all.extend(part.items);
        let runs = tasks::runs(&all, part.more);
        let end =
            !part.more || runs.last().is_some_and(|oldest| all_older(std::slice::from_ref(oldest), query));
        out.items = runs.into_iter().filter(|r| fits(r, query)).take(query.limit).collect();
        if end || out.items.len() >= query.limit {
            break;
        }
        if number == pages {
            out.problems.push(truncated("jobs", pages));
        }
    }
    Ok(out)
}

async fn from_statuses(gitea: &Gitea, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
    let Some(branch) = query.branch.as_ref().or(project.default_branch.as_ref()) else {
        return Ok(Pipelines::default());
    };
    let detail = statuses::of(gitea, project, branch).await?;
    let run = detail.map(|d| statuses::at_branch(d.pipeline, branch, None));
    let items = run.into_iter().filter(|r| fits(r, query)).take(query.limit).collect();
    Ok(Pipelines { items, ..Pipelines::default() })
}

/// All jobs of a run's newest attempt, which words they speak, and what of them is missing.
async fn job_rows(
    gitea: &Gitea,
    project: &Project,
    run: &RunId,
) -> Result<(Vec<wire::Job>, Words, Vec<Problem>)> {
    const ENDPOINT: &str = "GET /repos/:owner/:repo/actions/runs/:run/jobs";
    let (mut all, mut problems): (Vec<wire::Job>, Vec<Problem>) = (Vec::new(), Vec::new());
    let path = ["actions", "runs", run.as_str(), "jobs"];
    let mut next = gitea.below(project, &path, &[("limit", PER_PAGE_TEXT)])?;
    let mut before = 0;
    for number in 1..=MAX_JOB_PAGES {
        let response = match gitea.client.get(ENDPOINT, next.clone()).await {
            Ok(response) => response,
            Err(e) if number == 1 => return Err(e),
            Err(e) => {
                problems.push(e.to_partial("further jobs"));
                return Ok((all, Words::Pair, problems));
            }
        };
        let (rows, total) = match response.json::<wire::Jobs>() {
            Ok(page) => (page.jobs, page.total_count),
            Err(_) => {
                let rows: Rows<wire::Job> = response.json()?;
                problems.extend(rows.problem("jobs"));
                return Ok((rows.items, Words::Native, problems));
            }
        };
        let count = rows.items.len() + rows.broken;
        before += count;
        problems.extend(rows.problem("jobs"));
        all.extend(rows.items);
        if count == 0 || total.is_none_or(|t| before as u64 >= t) {
            return Ok((all, Words::Pair, problems));
        }
        next = crate::paging::following(&next);
    }
    let text = format!("jobs: truncated after {MAX_JOB_PAGES} pages of {PER_PAGE}");
    problems.push(Problem::new(ProblemKind::Partial, text));
    Ok((all, Words::Pair, problems))
}

/// The jobs of a run, as far as its failure goes.
pub(crate) async fn jobs(gitea: &Gitea, project: &Project, run: &Pipeline) -> Result<Vec<Job>> {
    let (rows, words, _) = job_rows(gitea, project, &run.id).await?;
    Ok(rows.iter().map(|row| convert::job(row, words, run.status)).collect())
}

/// One run as it is now, without its jobs.
pub(crate) async fn one(gitea: &Gitea, project: &Project, id: &RunId) -> Result<Pipeline> {
    const ENDPOINT: &str = "GET /repos/:owner/:repo/actions/runs/:run";
    let url = gitea.below(project, &["actions", "runs", id.as_str()], &[])?;
    Ok(convert::run(&gitea.json(ENDPOINT, url).await?))
}

/// A run with its jobs.
pub(crate) async fn detail(gitea: &Gitea, project: &Project, id: &RunId) -> Result<PipelineDetail> {
    match read_from(id) {
        Api::Tasks => return tasks::detail(gitea, project, id).await,
        Api::Statuses => return statuses::detail(gitea, project, id).await,
        Api::Runs => {}
    }
    let (run, rows) = futures::join!(one(gitea, project, id), job_rows(gitea, project, id));
    let mut pipeline = run?;
    let number = pipeline.number.unwrap_or_default();
    let mut problems = Vec::new();
    let jobs: Vec<Job> = match rows {
        Ok((mut rows, words, missing)) => {
            problems = missing;
            // Forgejo's jobs come without times, which their tasks have.
            if words == Words::Native && rows.iter().any(|r| r.task_id.is_some_and(|id| id > 0)) {
                tasks::add_times(gitea, project, number, &mut rows).await;
            }
            rows.iter().map(|row| convert::job(row, words, pipeline.status)).collect()
        }
        // Forgejo listed runs long before it listed their jobs.
        Err(Error::NotFound(_)) => match tasks::jobs(gitea, project, number).await {
            Ok(jobs) => jobs,
            Err(e) => {
                problems.push(e.to_partial("jobs"));
                Vec::new()
            }
        },
        Err(e) => {
            problems.push(e.to_partial("jobs"));
            Vec::new()
        }
    };
    convert::enrich(&mut pipeline, &jobs);
    if pipeline.workflow.name.is_none() && !pipeline.workflow.lane.is_empty() {
        pipeline.workflow.name = Some(pipeline.workflow.lane.clone());
    }
    Ok(PipelineDetail { pipeline, jobs, problems })
}

/// The end of a job's log. A 404 is one that is not written yet as well as one that never will be: the job tells which.
pub(crate) async fn log(
    gitea: &Gitea,
    project: &Project,
    run: &RunId,
    job: &JobId,
    max_bytes: usize,
) -> Result<Log> {
    const LOG: &str = "GET /repos/:owner/:repo/actions/jobs/:job/logs";
    const JOB: &str = "GET /repos/:owner/:repo/actions/jobs/:job";
    let note = |text: &str| Ok(Log { note: Some(text.to_owned()), ..Log::default() });
    if gitea.logs == LogAccess::None {
        return note("logs are switched off for this source (`logs: none`)");
    }
    if read_from(run) == Api::Statuses {
        return note("a commit status has no log here: its link leads to who reported it");
    }
    if job.as_str().starts_with(TASK) {
        return note(
            "this server gives out no logs through its API (Gitea does from 1.25 on, Forgejo from 16)",
        );
    }
    let url = gitea.below(project, &["actions", "jobs", job.as_str(), "logs"], &[])?;
    let missing = match gitea.client.get_tail(LOG, url, max_bytes).await {
        Ok(tail) => {
            let text = log::text(&tail.bytes, tail.truncated);
            let note = text.is_empty().then(|| "the log is empty".to_owned());
            return Ok(Log { text, truncated: tail.truncated, note });
        }
        Err(e @ Error::NotFound(_)) => e,
        Err(e) => return Err(e),
    };
    let url = gitea.below(project, &["actions", "jobs", job.as_str()], &[])?;
    let row: wire::Job = match gitea.json(JOB, url).await {
        Ok(row) => row,
        Err(Error::NotFound(_)) => return Err(missing),
        Err(e) => return Err(e),
    };
    let words = if row.conclusion.is_some() { Words::Pair } else { Words::Native };
    match status::status(words, row.status.as_deref(), row.conclusion.as_deref()) {
        Status::Canceled | Status::Skipped => note("no log: the job never ran"),
        status if status::is_final(status) => note("no log on the platform (it may have expired)"),
        _ => note("no log yet: the job has not begun"),
    }
}
