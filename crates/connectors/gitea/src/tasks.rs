//! Runs put together from `/actions/tasks`, which all servers with Actions have: one task is one try of one job, made when a
//! runner takes it. So a run that no runner has taken does not show, and one whose further jobs still wait looks as if it
//! had ended with the jobs before. Tasks name their run by its number alone, which is no id: runs from here get ids of their
//! own, that no other question of the API may be asked with.

use std::collections::BTreeMap;

use connector::wire::between;
use connector::{Error, PipelineDetail, Result};
use domain::{Completeness, Job, JobId, Person, Pipeline, Project, RunId, Status, Workflow};

use crate::convert::{explain, lane, link, text};
use crate::paging::PER_PAGE;
use crate::runs::{Part, listed};
use crate::source::Gitea;
use crate::status::{self, Words};
use crate::wire::{self, Task};

const TASKS: &str = "GET /repos/:owner/:repo/actions/tasks";
/// Marks the ids of runs that are put together here: `number-12`.
pub(crate) const NUMBER: &str = "number-";
/// Marks the ids of their jobs: `task-7`.
pub(crate) const TASK: &str = "task-";
/// Pages that are looked through for one run, or for the newest of a branch.
const MAX_PAGES_FOR_ONE: usize = 4;

/// One page of tasks, newest first. `before`: how many rows the pages before had.
pub(crate) async fn page(
    gitea: &Gitea,
    project: &Project,
    limit: usize,
    page: usize,
    before: usize,
) -> Result<Part<Task>> {
    let (limit, page) = (limit.to_string(), page.to_string());
    let mut query = vec![("limit", limit.as_str())];
    if page != "1" {
        query.push(("page", &page));
    }
    listed(gitea, TASKS, gitea.below(project, &["actions", "tasks"], &query)?, before).await
}

/// The runs that these tasks are of, newest first. `more`: older tasks were not read, so that the oldest run may lack some
/// and is left out, unless it is the only one.
pub(crate) fn runs(tasks: &[Task], more: bool) -> Vec<Pipeline> {
    let mut by_number: BTreeMap<u64, Vec<&Task>> = BTreeMap::new();
    for task in tasks {
        by_number.entry(task.run_number).or_default().push(task);
    }
    if more && by_number.len() > 1 {
        let last = tasks.last().map(|t| t.run_number);
        by_number.retain(|number, _| Some(*number) != last);
    }
    by_number.into_iter().rev().map(|(number, tasks)| run(number, &newest_tries(tasks))).collect()
}

/// Of each job its newest try, in the order in which the jobs were first taken.
fn newest_tries(mut tasks: Vec<&Task>) -> Vec<&Task> {
    tasks.sort_by_key(|t| t.id);
    let mut newest: Vec<&Task> = Vec::new();
    for task in tasks {
        match newest.iter_mut().find(|t| t.name.is_some() && t.name == task.name) {
            Some(earlier) => *earlier = task,
            None => newest.push(task),
        }
    }
    newest
}

fn run(number: u64, tasks: &[&Task]) -> Pipeline {
    let jobs: Vec<Job> = tasks.iter().map(|t| job(t)).collect();
    let (index, status) = status::deciding(jobs.iter().map(|j| j.status)).unwrap_or((0, Status::Unknown));
    let some = |f: fn(&Task) -> Option<&str>| tasks.iter().find_map(|t| text(f(t)));
    let file = some(|t| t.workflow_id.as_deref());
    let started_at = jobs.iter().filter_map(|j| j.started_at).min();
    let finished_at = jobs.iter().filter_map(|j| j.finished_at).max().filter(|_| status::is_final(status));
    Pipeline {
        number: Some(number),
        workflow: Workflow { lane: lane(file.as_deref()), name: None },
        branch: some(|t| t.head_branch.as_deref()),
        sha: some(|t| t.head_sha.as_deref()),
        event: some(|t| t.event.as_deref()),
        author: None::<Person>,
        message: some(|t| t.display_title.as_deref()),
        created_at: jobs.iter().filter_map(|j| j.created_at).min(),
        started_at,
        finished_at,
        updated_at: tasks.iter().filter_map(|t| t.updated_at).max(),
        duration: started_at.zip(finished_at).map(|(from, to)| between(from, to)),
        url: tasks.iter().find_map(|t| link(t.url.as_deref())),
        failure: if status == Status::Failed { explain(&jobs) } else { None },
        completeness: Completeness::Full,
        ..Pipeline::new(
            RunId::new(format!("{NUMBER}{number}")),
            status,
            jobs.get(index).map(|j| j.native_status.clone()).unwrap_or_default(),
        )
    }
}

fn job(task: &Task) -> Job {
    let status = status::status(Words::Native, task.status.as_deref(), None);
    let started_at = task.run_started_at;
    // A task is not touched any more once it has ended.
    let finished_at = task.updated_at.filter(|_| status::is_final(status));
    Job {
        created_at: task.created_at,
        started_at,
        finished_at,
        duration: started_at.zip(finished_at).map(|(from, to)| between(from, to)),
        url: link(task.url.as_deref()),
        ..Job::new(
            JobId::new(format!("{TASK}{}", task.id)),
            text(task.name.as_deref()).unwrap_or_else(|| format!("job {}", task.id)),
            status,
            task.status.clone().unwrap_or_default(),
        )
    }
}

/// Pages, newest first, until `done` is content with what was read. Whether older tasks were left.
async fn until(
    gitea: &Gitea,
    project: &Project,
    done: impl Fn(&[Task]) -> bool,
) -> Result<(Vec<Task>, bool)> {
    let (mut all, mut more) = (Vec::new(), true);
    for number in 1..=MAX_PAGES_FOR_ONE {
        let part = page(gitea, project, PER_PAGE, number, all.len()).await?;
        more = part.more;
        all.extend(part.items);
        if !more || done(&all) {
            break;
        }
    }
    Ok((all, more))
}

/// The tasks of one run.
async fn of_run(gitea: &Gitea, project: &Project, number: u64) -> Result<Vec<Task>> {
    // Older ones are of older runs, unless the run was started over long after.
    let past = |tasks: &[Task]| tasks.last().is_some_and(|t| t.run_number < number);
    let (mut tasks, _) = until(gitea, project, past).await?;
    tasks.retain(|t| t.run_number == number);
    Ok(tasks)
}

/// The jobs of one run.
pub(crate) async fn jobs(gitea: &Gitea, project: &Project, number: u64) -> Result<Vec<Job>> {
    let tasks = of_run(gitea, project, number).await?;
    Ok(newest_tries(tasks.iter().collect()).into_iter().map(job).collect())
}

/// Adds to jobs that came without times those of their tasks. What cannot be read is left out.
pub(crate) async fn add_times(gitea: &Gitea, project: &Project, number: u64, rows: &mut [wire::Job]) {
    let Ok(tasks) = of_run(gitea, project, number).await else { return };
    for row in rows {
        if let Some(task) = tasks.iter().find(|t| Some(t.id) == row.task_id) {
            row.created_at = task.created_at;
            row.started_at = task.run_started_at;
            row.completed_at = task.updated_at;
        }
    }
}

/// The newest run of a branch, as far as the newest pages reach.
pub(crate) async fn latest(gitea: &Gitea, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
    let is_of = |t: &Task| t.head_branch.as_deref() == Some(branch);
    // A run is whole once an older one has begun.
    let done = |tasks: &[Task]| {
        let newest = tasks.iter().find(|t| is_of(t)).map(|t| t.run_number);
        newest.is_some_and(|n| tasks.last().is_some_and(|t| t.run_number < n))
    };
    let (tasks, _) = until(gitea, project, done).await?;
    Ok(runs(&tasks, false).into_iter().find(|r| r.branch.as_deref() == Some(branch)))
}

/// A run by the id that it got here.
pub(crate) async fn detail(gitea: &Gitea, project: &Project, id: &RunId) -> Result<PipelineDetail> {
    let gone = || Error::NotFound(format!("Gitea no longer lists the jobs of run {id}"));
    let number = id.as_str().strip_prefix(NUMBER).and_then(|n| n.parse().ok()).ok_or_else(gone)?;
    let tasks = of_run(gitea, project, number).await?;
    let jobs: Vec<Job> = newest_tries(tasks.iter().collect()).into_iter().map(job).collect();
    let pipeline = runs(&tasks, false).pop().ok_or_else(gone)?;
    Ok(PipelineDetail { pipeline, jobs, problems: Vec::new() })
}
