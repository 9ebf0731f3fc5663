//! Runs, their jobs, and the jobs' logs.

use std::collections::HashSet;

use config::LogAccess;
use connector::wire::Rows;
use connector::{Error, PipelineDetail, PipelineQuery, Pipelines, Result};
use domain::{
    Completeness, Job, JobId, Log, Pipeline, Problem, ProblemKind, Project, RunId, Status, Timestamp,
};
use url::Url;

use crate::dialect::EXPIRED;
use crate::github::{GitHub, MAX_PAGES, PER_PAGE, partial};
use crate::{convert, details, log, status, wire};

pub(crate) const RUNS: &str = "GET /repos/:owner/:repo/actions/runs";
/// What GitHub gives at most of a list that is narrowed, on all its pages together.
const MAX_NARROWED: usize = 1000;
/// Runs of one branch that are asked for: forks' branches of the same name come with them and are left out.
pub(crate) const RUNS_OF_A_BRANCH: &str = "30";
/// Pages that are read for a branch's newest run, when forks' branches of the same name fill the first ones.
const MAX_PAGES_FOR_LATEST: usize = 3;
/// Pages of one run's jobs: more than its largest matrices have.
const MAX_JOB_PAGES: usize = 10;
/// Failed jobs of one run whose annotations are read.
const MAX_ANNOTATED_JOBS: usize = 3;

/// Keeps a run's pull requests out of the answer: they change without it.
pub(crate) const NO_PULLS: (&str, &str) = ("exclude_pull_requests", "true");

/// A branch as GitHub's filter knows it: without the fork's owner. A git branch has no colon.
fn bare(branch: &str) -> &str {
    branch.split_once(':').map_or(branch, |(_, bare)| bare)
}

/// One page of runs, as GitHub has them.
pub(crate) async fn page(github: &GitHub, url: Url) -> Result<(wire::Runs, Option<Url>)> {
    let response = github.client.get(RUNS, url).await?;
    let runs: wire::Runs = response.json()?;
    github.note_broken(RUNS, &runs.workflow_runs);
    Ok((runs, response.next_link()?))
}

/// `since` is by creation: a re-run of an older run keeps its creation and is missed.
pub(crate) async fn pipelines(
    github: &GitHub,
    project: &Project,
    query: &PipelineQuery,
) -> Result<Pipelines> {
    let mut out = Pipelines::default();
    let mut seen = HashSet::new();
    let mut until = query.until;
    let narrowed = query.branch.is_some() || query.since.is_some() || query.until.is_some();
    let mut next = Some(window(github, project, query, until)?);
    let mut in_window = 0;
    let mut pages = 0;
    while let Some(url) = next.take() {
        if pages == MAX_PAGES {
            out.problems.push(Problem::new(
                ProblemKind::Partial,
                format!("runs: truncated after {MAX_PAGES} pages of {PER_PAGE}"),
            ));
            break;
        }
        pages += 1;
        let (runs, following) = match page(github, url).await {
            Ok(page) => page,
            Err(e) if pages == 1 => return Err(e),
            Err(e) => {
                out.problems.push(e.to_partial("older runs"));
                break;
            }
        };
        if pages == 1 && !narrowed {
            // Of a branch GitHub counts the forks' runs in.
            out.total = runs.total_count;
        }
        out.problems.extend(runs.workflow_runs.problem("runs"));
        let rows = runs.workflow_runs.items;
        in_window += rows.len();
        let oldest = rows.iter().filter_map(|r| r.created_at).min();
        let before = seen.len();
        for row in rows.iter().filter(|r| seen.insert(r.id)) {
            let run = convert::run(row);
            if (query.branch.is_none() || run.branch == query.branch) && !query.is_beyond(&run) {
                out.items.push(run);
            }
        }
        if out.items.len() >= query.limit {
            break;
        }
        // A page that brings nothing new is the end, whatever it links to.
        next = following.filter(|_| seen.len() > before);
        // Past the cap of a narrowed list the rest is asked for by an earlier end.
        if next.is_none() && narrowed && in_window >= MAX_NARROWED && seen.len() > before {
            until = oldest;
            in_window = 0;
            next = Some(window(github, project, query, until)?);
        }
    }
    out.items.truncate(query.limit);
    Ok(out)
}

fn window(
    github: &GitHub,
    project: &Project,
    query: &PipelineQuery,
    until: Option<Timestamp>,
) -> Result<Url> {
    let at = |t: Timestamp| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let created = match (query.since, until) {
        (Some(since), Some(until)) => Some(format!("{}..{}", at(since), at(until))),
        (Some(since), None) => Some(format!(">={}", at(since))),
        (None, Some(until)) => Some(format!("<={}", at(until))),
        (None, None) => None,
    };
    let per_page = query.limit.clamp(1, 100).to_string();
    let mut params = vec![NO_PULLS];
    match &query.branch {
        Some(branch) => params.extend([("branch", bare(branch)), ("per_page", PER_PAGE)]),
        None => params.push(("per_page", &per_page)),
    }
    if let Some(created) = &created {
        params.push(("created", created));
    }
    github.below(project, &["actions", "runs"], &params)
}

/// The newest run of a branch, forks' branches of the same name left out.
pub(crate) async fn latest(github: &GitHub, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
    let params = [NO_PULLS, ("branch", bare(branch)), ("per_page", RUNS_OF_A_BRANCH)];
    let mut next = Some(github.below(project, &["actions", "runs"], &params)?);
    for _ in 0..MAX_PAGES_FOR_LATEST {
        let Some(url) = next else { break };
        let (runs, following) = page(github, url).await?;
        let mut rows = runs.workflow_runs.items.iter().map(convert::run);
        if let Some(run) = rows.find(|r| r.branch.as_deref() == Some(branch)) {
            return Ok(Some(run));
        }
        next = following;
    }
    Ok(None)
}

/// All jobs of a run's newest attempt, and what of them is missing.
pub(crate) async fn jobs(
    github: &GitHub,
    project: &Project,
    run: &RunId,
) -> Result<(Vec<wire::Job>, Vec<Problem>)> {
    const ENDPOINT: &str = "GET /repos/:owner/:repo/actions/runs/:run/jobs";
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    let params = [("filter", "latest"), ("per_page", PER_PAGE)];
    let mut next = Some(github.below(project, &["actions", "runs", run.as_str(), "jobs"], &params)?);
    for number in 0..=MAX_JOB_PAGES {
        let Some(url) = next else { break };
        if number == MAX_JOB_PAGES {
            problems.push(Problem::new(
                ProblemKind::Partial,
                format!("jobs: truncated after {MAX_JOB_PAGES} pages of {PER_PAGE}"),
            ));
            break;
        }
        let answer = async {
            let response = github.client.get(ENDPOINT, url).await?;
            let jobs: wire::Jobs = response.json()?;
            Ok((jobs.jobs, response.next_link()?))
        };
        match answer.await {
            Ok((rows, following)) => {
                problems.extend(rows.problem("jobs"));
                all.extend(rows.items);
                next = following;
            }
            Err(e) if number == 0 => return Err(e),
            Err(e) => {
                problems.push(Error::to_partial(&e, "further jobs"));
                break;
            }
        }
    }
    Ok((all, problems))
}

/// A run with its jobs; with one of the two, when the other cannot be read.
pub(crate) async fn detail(github: &GitHub, project: &Project, id: &RunId) -> Result<PipelineDetail> {
    const ENDPOINT: &str = "GET /repos/:owner/:repo/actions/runs/:run";
    let url = github.below(project, &["actions", "runs", id.as_str()], &[NO_PULLS])?;
    let run = async { github.client.get(ENDPOINT, url).await?.json::<wire::Run>() };
    let (run, jobs) = futures::join!(run, jobs(github, project, id));
    let mut problems = Vec::new();
    let (mut pipeline, jobs) = match (run, jobs) {
        (Ok(run), Ok((jobs, missing))) => {
            problems = missing;
            let mut pipeline = convert::run(&run);
            details::enrich(&mut pipeline, &jobs);
            (pipeline, jobs)
        }
        (Ok(run), Err(e)) => {
            problems.push(partial("jobs", &e));
            (convert::run(&run), Vec::new())
        }
        (Err(e), Ok((jobs, missing))) if !jobs.is_empty() && !e.concerns_source() => {
            problems.push(partial("run", &e));
            problems.extend(missing);
            (from_jobs(id, &jobs), jobs)
        }
        (Err(e), _) => return Err(e),
    };
    if pipeline.workflow.name.is_none() {
        pipeline.workflow.name = jobs.iter().find_map(|j| j.workflow_name.clone());
    }
    let passed = matches!(pipeline.status, Status::Success | Status::Warning);
    let mut converted: Vec<Job> = jobs.iter().map(|j| convert::job(j, passed)).collect();
    if !github.anonymous {
        annotate(github, project, &mut converted).await;
    }
    Ok(PipelineDetail { pipeline, jobs: converted, problems })
}

/// A run of which only the jobs could be read.
fn from_jobs(id: &RunId, jobs: &[wire::Job]) -> Pipeline {
    // What goes on decides before what has ended, and of that the worst.
    const WORST_LAST: [Status; 9] = [
        Status::Skipped,
        Status::Success,
        Status::Warning,
        Status::Unknown,
        Status::Canceled,
        Status::Failed,
        Status::Manual,
        Status::Queued,
        Status::Running,
    ];
    let of = |j: &wire::Job| status::status(j.status.as_deref(), j.conclusion.as_deref());
    let rank = |s: Status| WORST_LAST.iter().position(|w| *w == s);
    let deciding = jobs.iter().max_by_key(|j| rank(of(j)));
    let (status, native) = deciding.map_or((Status::Unknown, String::new()), |j| {
        (of(j), status::native(j.status.as_deref(), j.conclusion.as_deref()))
    });
    let some = |f: fn(&wire::Job) -> Option<String>| jobs.iter().find_map(f);
    let ended = !matches!(status, Status::Running | Status::Queued | Status::Manual);
    let mut run = Pipeline {
        attempt: jobs.iter().filter_map(|j| j.run_attempt).max().and_then(|a| u32::try_from(a).ok()),
        branch: some(|j| j.head_branch.clone()),
        sha: some(|j| j.head_sha.clone()),
        created_at: jobs.iter().filter_map(|j| j.created_at).min(),
        finished_at: jobs.iter().filter_map(|j| j.completed_at).max().filter(|_| ended),
        ..Pipeline::new(id.clone(), status, native)
    };
    run.workflow.name = some(|j| j.workflow_name.clone());
    run.started_at = jobs.iter().filter(|j| details::has_run(j)).filter_map(|j| j.started_at).min();
    details::enrich(&mut run, jobs);
    run.completeness = Completeness::Row;
    run
}

/// Adds the first failure that each failed job left as an annotation. What cannot be read is left out: it only adds words.
async fn annotate(github: &GitHub, project: &Project, jobs: &mut [Job]) {
    let failed = jobs.iter_mut().filter(|j| j.native_status == "failure").take(MAX_ANNOTATED_JOBS);
    futures::future::join_all(failed.map(|job| async {
        if let Some(said) = annotation(github, project, &job.id).await {
            job.failure_reason = Some(match job.failure_reason.take() {
                Some(reason) => format!("{reason}: {said}"),
                None => said,
            });
        }
    }))
    .await;
}

async fn annotation(github: &GitHub, project: &Project, job: &JobId) -> Option<String> {
    const ENDPOINT: &str = "GET /repos/:owner/:repo/check-runs/:job/annotations";
    // A job's id is that of its check run.
    let url = github.below(project, &["check-runs", job.as_str(), "annotations"], &[]).ok()?;
    let rows: Rows<wire::Annotation> = github.client.get(ENDPOINT, url).await.ok()?.json().ok()?;
    rows.items
        .into_iter()
        .filter(|a| a.annotation_level.as_deref() == Some("failure"))
        .filter_map(|a| a.message)
        .map(|m| domain::text::title(&m))
        // The runner's own, which every failed step leaves.
        .find(|m| !m.is_empty() && !m.starts_with("Process completed with exit code"))
}

/// The end of a job's log. GitHub answers 404 for one that is not written yet and for one that never will be: the job
/// tells which.
pub(crate) async fn log(github: &GitHub, project: &Project, job: &JobId, max_bytes: usize) -> Result<Log> {
    const LOG: &str = "GET /repos/:owner/:repo/actions/jobs/:job/logs";
    const JOB: &str = "GET /repos/:owner/:repo/actions/jobs/:job";
    let note = |text: &str| Ok(Log { note: Some(text.to_owned()), ..Log::default() });
    if github.logs == LogAccess::None {
        return note("logs are switched off for this source (`logs: none`)");
    }
    if github.anonymous {
        return note("GitHub shows logs only to those who sign in: give this source a token");
    }
    let url = github.below(project, &["actions", "jobs", job.as_str(), "logs"], &[])?;
    let missing = match github.client.get_tail(LOG, url, max_bytes).await {
        Ok(tail) => {
            let text = log::text(&tail.bytes, tail.truncated);
            let note = text.is_empty().then(|| "the log is empty".to_owned());
            return Ok(Log { text, truncated: tail.truncated, note });
        }
        Err(Error::NotFound(text)) if text == EXPIRED => return note(EXPIRED),
        Err(e @ Error::NotFound(_)) => e,
        Err(e) => return Err(e),
    };
    let url = github.below(project, &["actions", "jobs", job.as_str()], &[])?;
    let row: wire::Job = match github.client.get(JOB, url).await {
        Ok(response) => response.json()?,
        Err(Error::NotFound(_)) => return Err(missing),
        Err(e) => return Err(e),
    };
    match (row.status.as_deref(), row.conclusion.as_deref()) {
        (Some("completed"), Some("cancelled" | "skipped")) => note("no log: the job never ran"),
        (Some("completed"), _) => note("no log on the platform"),
        _ => note("no log yet: the job has not finished"),
    }
}
