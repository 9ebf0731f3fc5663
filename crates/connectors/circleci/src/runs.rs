//! Pipelines, their workflows, and the workflows' jobs.

use std::collections::BTreeSet;

use connector::{Error, Page, PageToken, PipelineDetail, PipelineQuery, Pipelines, Result};
use domain::{Branch, Completeness, Pipeline, Problem, ProblemKind, Project, RunId, Status};
use futures::StreamExt;
use futures::stream;

use crate::circleci::CircleCi;
use crate::{convert, lanes, log, wire};

const PIPELINES: &str = "GET /project/:slug/pipeline";
const PIPELINE: &str = "GET /pipeline/:id";
const WORKFLOWS: &str = "GET /pipeline/:id/workflow";
const WORKFLOW: &str = "GET /workflow/:id";
const JOBS: &str = "GET /workflow/:id/job";
/// Pages of one run's jobs, or of one pipeline's workflows.
const MAX_PAGES_OF_A_RUN: usize = 10;
/// Pages of pipelines that one question reads: 1,000 pipelines, each of which is a request.
const MAX_PIPELINE_PAGES: usize = 50;
/// Workflows that are asked for at the same time.
const AT_ONCE: usize = 8;
/// Failed jobs of one run whose steps are read.
const MAX_EXPLAINED_JOBS: usize = 3;

/// A page of a project's pipelines, newest first, and the token of the next.
async fn page(
    circle: &CircleCi,
    project: &Project,
    branch: Option<&str>,
    token: Option<&str>,
) -> Result<(Vec<Pipeline>, Option<Problem>, Option<String>)> {
    let mut query = Vec::new();
    query.extend(branch.map(|branch| ("branch", branch)));
    query.extend(token.map(|token| ("page-token", token)));
    let list: wire::List<wire::Pipeline> =
        circle.list(PIPELINES, circle.below(project, &["pipeline"], &query)?).await?;
    let rows = list.items.items.iter().map(|row| circle.shell(project.key.id.as_str(), row));
    let mut rows: Vec<_> = rows.collect();
    // The filter is for the name in the repository that was pushed to: a fork's branch may have it.
    rows.retain(|row| branch.is_none_or(|branch| row.branch.as_deref() == Some(branch)));
    Ok((rows, list.items.problem("pipelines"), list.next_page_token))
}

/// The newest pipelines of a project, of one branch if asked.
pub(crate) async fn newest(
    circle: &CircleCi,
    project: &Project,
    branch: Option<&str>,
) -> Result<Vec<Pipeline>> {
    let (rows, problem, _) = page(circle, project, branch, None).await?;
    match problem {
        Some(problem) if rows.is_empty() => Err(Error::Garbage(format!("CircleCI: {}", problem.text))),
        _ => Ok(rows),
    }
}

/// The runs of a pipeline. `stale`: its row may be older than this moment, so it is read again where it decides.
pub(crate) async fn workflows(
    circle: &CircleCi,
    project: &Project,
    pipeline: &Pipeline,
    stale: bool,
) -> Result<Vec<Pipeline>> {
    let slug = project.key.id.as_str();
    let path = ["pipeline", pipeline.id.as_str(), "workflow"];
    let rows: Vec<wire::Workflow> = to_the_end(circle, WORKFLOWS, &path).await?.0;
    if rows.is_empty() && stale && pipeline.status != Status::Failed {
        return Ok(vec![read_pipeline(circle, slug, pipeline.id.as_str()).await?]);
    }
    Ok(convert::runs(&circle.base, slug, pipeline, &rows))
}

async fn read_pipeline(circle: &CircleCi, slug: &str, id: &str) -> Result<Pipeline> {
    let url = circle.client.url(&["pipeline", id], &[]);
    let row: wire::Pipeline = circle.client.get(PIPELINE, url).await?.json()?;
    Ok(circle.shell(slug, &row))
}

async fn read_workflow(circle: &CircleCi, id: &RunId) -> Result<wire::Workflow> {
    circle.client.get(WORKFLOW, circle.client.url(&["workflow", id.as_str()], &[])).await?.json()
}

/// A known run as it is now.
pub(crate) async fn again(circle: &CircleCi, project: &Project, known: &Pipeline) -> Result<Pipeline> {
    let slug = project.key.id.as_str();
    if lanes::stands_for_itself(known) {
        return read_pipeline(circle, slug, known.id.as_str()).await;
    }
    let row = read_workflow(circle, &known.id).await?;
    Ok(Pipeline { attempt: known.attempt, ..convert::run(&circle.base, slug, known, &row) })
}

/// A list that belongs to one run, all of its pages; and what of it is missing.
async fn to_the_end<T: serde::de::DeserializeOwned>(
    circle: &CircleCi,
    endpoint: &'static str,
    path: &[&str],
) -> Result<(Vec<T>, Vec<Problem>)> {
    let (mut rows, mut problems, mut token): (Vec<T>, Vec<Problem>, Option<String>) = Default::default();
    for at in 0..MAX_PAGES_OF_A_RUN {
        let query: Vec<_> = token.as_deref().map(|token| ("page-token", token)).into_iter().collect();
        let list: wire::List<T> = match circle.list(endpoint, circle.client.url(path, &query)).await {
            Ok(list) => list,
            Err(e) if at == 0 || e.concerns_source() => return Err(e),
            Err(e) => {
                problems.push(e.to_partial("what follows"));
                break;
            }
        };
        problems.extend(list.items.problem("rows"));
        rows.extend(list.items.items);
        token = list.next_page_token.filter(|next| Some(next) != token.as_ref());
        if token.is_none() {
            break;
        }
    }
    if token.is_some() && problems.is_empty() {
        let text = format!("truncated after {MAX_PAGES_OF_A_RUN} pages");
        problems.push(Problem::new(ProblemKind::Partial, text));
    }
    Ok((rows, problems))
}

/// The jobs of a workflow, and what of them is missing.
pub(crate) async fn jobs(circle: &CircleCi, run: &RunId) -> Result<(Vec<wire::Job>, Vec<Problem>)> {
    to_the_end(circle, JOBS, &["workflow", run.as_str(), "job"]).await
}

/// `since` is by the creation of the pipeline: a workflow that was started over later is missed.
pub(crate) async fn list(circle: &CircleCi, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
    let mut out = Pipelines::default();
    let (mut seen, mut token) = (BTreeSet::new(), None);
    if query.limit == 0 {
        return Ok(out);
    }
    let pages = query.max_pages(MAX_PIPELINE_PAGES);
    for at in 0..pages {
        let answer = page(circle, project, query.branch.as_deref(), token.as_deref()).await;
        let (mut rows, problem, next) = match answer {
            Ok(page) => page,
            Err(e) if at == 0 => return Err(e),
            Err(e) => {
                out.problems.push(e.to_partial("older pipelines"));
                break;
            }
        };
        out.problems.extend(problem);
        let old =
            |row: &Pipeline| matches!((query.since, row.began()), (Some(since), Some(at)) if at < since);
        let past = rows.iter().any(old);
        // Pages shift while new pipelines come: a row may come twice.
        rows.retain(|row| !old(row) && !query.is_beyond(row) && seen.insert(row.id.clone()));
        rows.truncate(query.limit.saturating_sub(out.items.len()));
        let one = |row: Pipeline| async move { workflows(circle, project, &row, false).await };
        let asked: Vec<_> = rows.into_iter().map(one).collect();
        let mut answers = stream::iter(asked).buffered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(runs) => out.items.extend(runs),
                Err(e) if e.concerns_source() && out.items.is_empty() => return Err(e),
                Err(e) => {
                    let problem = e.to_partial("workflows");
                    if !out.problems.contains(&problem) {
                        out.problems.push(problem);
                    }
                }
            }
        }
        token = next.filter(|next| Some(next) != token.as_ref());
        if past || token.is_none() || out.items.len() >= query.limit {
            token = None;
            break;
        }
    }
    if token.is_some() && out.problems.is_empty() {
        let text = format!("pipelines: truncated after {pages} pages");
        out.problems.push(Problem::new(ProblemKind::Partial, text));
    }
    out.items.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
    lanes::settle(&mut out.items);
    out.items.truncate(query.limit);
    Ok(out)
}

/// The newest run of a branch: of its newest pipeline the workflow that began last.
pub(crate) async fn latest(circle: &CircleCi, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
    let rows = newest(circle, project, Some(branch)).await?;
    let Some(row) = rows.iter().max_by_key(|row| row.number) else { return Ok(None) };
    let runs = workflows(circle, project, row, false).await?;
    Ok(runs.into_iter().max_by_key(Pipeline::age_key))
}

/// A run with its jobs; with itself alone, when they cannot be read.
pub(crate) async fn detail(circle: &CircleCi, project: &Project, id: &RunId) -> Result<PipelineDetail> {
    let (workflow, rows) = futures::join!(read_workflow(circle, id), jobs(circle, id));
    let workflow = match workflow {
        // A pipeline that stands for itself has the id of no workflow.
        Err(missing @ Error::NotFound(_)) => {
            return match read_pipeline(circle, project.key.id.as_str(), id.as_str()).await {
                Ok(pipeline) => Ok(PipelineDetail { pipeline, jobs: Vec::new(), problems: Vec::new() }),
                Err(Error::NotFound(_)) => Err(missing),
                Err(e) => Err(e),
            };
        }
        other => other?,
    };
    let slug = project.key.id.as_str();
    let mut problems = Vec::new();
    let of = match workflow.pipeline_id.as_deref() {
        Some(pipeline) => match read_pipeline(circle, slug, pipeline).await {
            Ok(of) => of,
            Err(e) if e.concerns_source() => return Err(e),
            Err(e) => {
                problems.push(e.to_partial("pipeline"));
                Pipeline::new(id.clone(), Status::Unknown, "")
            }
        },
        None => Pipeline::new(id.clone(), Status::Unknown, ""),
    };
    let mut pipeline = convert::run(&circle.base, slug, &of, &workflow);
    let mut converted = Vec::new();
    match rows {
        Ok((rows, missing)) => {
            problems.extend(missing);
            pipeline.failure = match pipeline.status {
                Status::Failed => convert::failure(&rows).or(pipeline.failure.take()),
                _ => None,
            };
            pipeline.completeness = Completeness::Full;
            let page = circle.slug(project).ok().and_then(|slug| circle.page(&slug, &pipeline));
            converted = convert::jobs(page.as_ref(), &rows);
        }
        Err(e) => problems.push(e.to_partial("jobs")),
    }
    explain(circle, project, &mut converted).await;
    Ok(PipelineDetail { pipeline, jobs: converted, problems })
}

/// Adds which step failed to the first jobs that did. What cannot be read is left out: it only adds words.
async fn explain(circle: &CircleCi, project: &Project, jobs: &mut [domain::Job]) {
    let unexplained = jobs.iter_mut().filter(|job| {
        job.status == Status::Failed && job.failure_reason.is_none() && job.id.as_str().parse::<u64>().is_ok()
    });
    futures::future::join_all(unexplained.take(MAX_EXPLAINED_JOBS).map(|job| async {
        let build = log::build(circle, project, &job.id).await;
        job.failure_reason = build.ok().and_then(|build| log::reason(&build));
    }))
    .await;
}

/// The branches on which something ran, in the order of their newest pipelines.
pub(crate) async fn branches(
    circle: &CircleCi,
    project: &Project,
    token: Option<PageToken>,
) -> Result<Page<Branch>> {
    let (rows, _, next) = page(circle, project, None, token.as_ref().map(|t| t.0.as_str())).await?;
    let mut seen = BTreeSet::new();
    let mut items = Vec::new();
    for row in &rows {
        let Some(name) = row.branch.as_deref().filter(|name| seen.insert((*name).to_owned())) else {
            continue;
        };
        items.push(convert::head(name, project.default_branch.as_deref() == Some(name), row));
    }
    // Older pages name the same branches again, and there is no end of them.
    drop(next);
    Ok(Page { items, next: None })
}

/// A branch by name, as its newest pipeline tells.
pub(crate) async fn branch(circle: &CircleCi, project: &Project, name: &str) -> Result<Branch> {
    let rows = newest(circle, project, Some(name)).await?;
    let newest = rows.iter().max_by_key(|row| row.number).ok_or_else(|| {
        let shown = domain::text::line(name, domain::text::MAX_NAME);
        Error::NotFound(format!("CircleCI knows of no pipeline on {shown:?}"))
    })?;
    let is_default = project.default_branch.as_deref() == Some(name);
    Ok(convert::head(name, is_default, newest))
}
