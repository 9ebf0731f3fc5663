//! Commit statuses, where a server or a repository has no Actions: what other CI systems say of a commit is its run, and
//! each of their contexts a job. Only the newest commit of a branch is asked about; older ones stay as they were read.

use connector::wire::Rows;
use connector::{Error, PipelineDetail, Result};
use domain::{Branch, Completeness, Job, JobId, Pipeline, Project, RunId, Status, Workflow};

use crate::convert::{explain, link, text};
use crate::paging::PER_PAGE_TEXT;
use crate::source::Gitea;
use crate::{status, wire};

const STATUS: &str = "GET /repos/:owner/:repo/commits/:ref/status";
/// Marks the ids of runs that are a commit's statuses.
pub(crate) const COMMIT: &str = "commit-";
/// Their lane and its name.
const LANE: &str = "commit status";

/// What is said of a branch's newest commit, or of a commit; `None` when nothing is. At most one page of contexts.
///
/// # Errors
/// [`Error::NotFound`] when there is no such branch or commit.
pub(crate) async fn of(gitea: &Gitea, project: &Project, reference: &str) -> Result<Option<PipelineDetail>> {
    let url = gitea.below(project, &["commits", reference, "status"], &[("limit", PER_PAGE_TEXT)])?;
    let combined: wire::CombinedStatus = gitea.json(STATUS, url).await?;
    Ok(run(&combined))
}

/// As [`of`] for a run's id.
pub(crate) async fn detail(gitea: &Gitea, project: &Project, run: &RunId) -> Result<PipelineDetail> {
    let sha = run.as_str().strip_prefix(COMMIT).unwrap_or_default();
    let none = || Error::NotFound(format!("Gitea has no statuses of commit {sha}"));
    of(gitea, project, sha).await?.ok_or_else(none)
}

fn run(combined: &wire::CombinedStatus) -> Option<PipelineDetail> {
    let none = Rows::default();
    let rows = combined.statuses.as_ref().unwrap_or(&none);
    let sha = text(combined.sha.as_deref()).filter(|_| !rows.items.is_empty())?;
    let jobs: Vec<Job> = rows.items.iter().map(job).collect();
    // What servers make of the whole differs between versions; unknown words do not count there.
    let (index, status) = status::deciding(jobs.iter().map(|j| j.status))?;
    let native = text(combined.state.as_deref()).unwrap_or_else(|| jobs[index].native_status.clone());
    let begun = jobs.iter().filter_map(|j| j.created_at).min();
    let touched = rows.items.iter().filter_map(|r| r.updated_at.or(r.created_at)).max();
    let pipeline = Pipeline {
        workflow: Workflow { lane: LANE.to_owned(), name: Some(LANE.to_owned()) },
        sha: Some(sha.clone()),
        created_at: begun,
        started_at: begun,
        finished_at: touched.filter(|_| status::is_final(status)),
        updated_at: touched,
        url: rows.items.get(index).and_then(|r| link(r.target_url.as_deref())),
        failure: explain(&jobs),
        completeness: Completeness::Full,
        ..Pipeline::new(RunId::new(format!("{COMMIT}{sha}")), status, native)
    };
    Some(PipelineDetail { pipeline, jobs, problems: rows.problem("statuses").into_iter().collect() })
}

fn job(row: &wire::CommitStatus) -> Job {
    let status = status::of_commit(row.status.as_deref());
    Job {
        failure_reason: text(row.description.as_deref()).filter(|_| status == Status::Failed),
        created_at: row.created_at,
        started_at: row.created_at,
        finished_at: row.updated_at.filter(|_| status::is_final(status)),
        url: link(row.target_url.as_deref()),
        ..Job::new(
            JobId::from(row.id),
            text(row.context.as_deref()).unwrap_or_else(|| format!("status {}", row.id)),
            status,
            row.status.clone().unwrap_or_default(),
        )
    }
}

/// Adds to a commit's run what its branch tells.
pub(crate) fn at_branch(mut run: Pipeline, name: &str, head: Option<&Branch>) -> Pipeline {
    run.branch = Some(name.to_owned());
    if let Some(head) = head.filter(|h| h.sha == run.sha) {
        run.author.clone_from(&head.author);
        run.message.clone_from(&head.message);
    }
    run
}
