//! One pipeline with its jobs.

use connector::{Error, PipelineDetail, Result};
use domain::{Completeness, Pipeline, Problem, ProblemKind, Project, RunId};

use crate::paging::{PER_PAGE_TEXT, list, page_url};
use crate::source::GitLab;
use crate::{convert, jobs, wire};

/// The most pages of jobs that one pipeline may have: GitLab's own default limit is 500 jobs, some raise it.
const MAX_JOB_PAGES: usize = 20;

/// Jobs, and why they are not all.
#[derive(Default)]
struct AllJobs {
    jobs: Vec<wire::Job>,
    problems: Vec<Problem>,
}

impl GitLab {
    /// One pipeline as GitLab tells it in full.
    pub(crate) async fn detail(&self, project: &Project, run: &RunId) -> Result<wire::Pipeline> {
        let url = self.client.url(&["projects", project.key.id.as_str(), "pipelines", run.as_str()], &[]);
        self.client.get("GET /projects/:id/pipelines/:pipeline_id", url).await?.json()
    }

    /// The newest tries of a pipeline's jobs, on one page, and whether these are all. Of one that has more than fit on it, those
    /// that failed.
    pub(crate) async fn telling_jobs(
        &self,
        project: &Project,
        run: &RunId,
    ) -> Result<(Vec<wire::Job>, bool)> {
        const JOBS: &str = "GET /projects/:id/pipelines/:pipeline_id/jobs";
        let segments = ["projects", project.key.id.as_str(), "pipelines", run.as_str(), "jobs"];
        let url = self.client.url(&segments, &[("per_page", PER_PAGE_TEXT)]);
        let all = list::<wire::Job>(&self.client, JOBS, url).await?;
        if all.next.is_none() {
            return Ok((all.items, all.broken == 0));
        }
        let url = self.client.url(&segments, &[("scope[]", "failed"), ("per_page", PER_PAGE_TEXT)]);
        Ok((list(&self.client, JOBS, url).await?.items, false))
    }

    /// All pages of jobs or trigger jobs. A page that fails half-way keeps what came; the first one is an error.
    async fn all_jobs(
        &self,
        endpoint: &'static str,
        kind: &str,
        what: &str,
        project: &Project,
        run: &RunId,
    ) -> Result<AllJobs> {
        let segments = ["projects", project.key.id.as_str(), "pipelines", run.as_str(), kind];
        // With the tries that were replaced: they tell the order of stages (`jobs::in_stage_order`).
        let query = [("include_retried", "true"), ("per_page", PER_PAGE_TEXT)];
        let mut all = AllJobs::default();
        let mut page: Option<String> = None;
        for _ in 0..MAX_JOB_PAGES {
            let url = page_url(&self.client, &segments, &query, page.as_deref());
            match list::<wire::Job>(&self.client, endpoint, url).await {
                Ok(listed) => {
                    all.problems.extend(crate::source::broken_rows(what, &listed));
                    all.jobs.extend(listed.items);
                    page = listed.next;
                }
                Err(e) if page.is_none() => return Err(e),
                Err(e) => {
                    all.problems.push(e.to_partial(&format!("more {what}")));
                    return Ok(all);
                }
            }
            if page.is_none() {
                return Ok(all);
            }
        }
        let text = format!("only the newest {} {what} were read", all.jobs.len());
        all.problems.push(Problem::new(ProblemKind::Partial, text));
        Ok(all)
    }

    /// One pipeline with its jobs and trigger jobs. What of it cannot be read is a problem as long as anything can.
    ///
    /// # Errors
    /// What asking for the pipeline itself gave, when nothing else knows it either.
    pub(crate) async fn read_pipeline(&self, project: &Project, run: &RunId) -> Result<PipelineDetail> {
        let (detail, own, triggers) = futures::join!(
            self.detail(project, run),
            self.all_jobs("GET /projects/:id/pipelines/:pipeline_id/jobs", "jobs", "jobs", project, run),
            self.all_jobs(
                "GET /projects/:id/pipelines/:pipeline_id/bridges",
                "bridges",
                "trigger jobs",
                project,
                run
            ),
        );
        let mut problems = Vec::new();
        let mut complete = true;
        let mut rows = Vec::new();
        for (what, answer) in [("jobs", own), ("trigger jobs", triggers)] {
            match answer {
                Ok(all) => {
                    complete &= all.problems.is_empty();
                    problems.extend(all.problems);
                    rows.extend(all.jobs);
                }
                Err(e) if e.concerns_source() => return Err(e),
                Err(e) => {
                    complete = false;
                    problems.push(e.to_partial(what));
                }
            }
        }
        let mut pipeline = match detail {
            Ok(row) => convert::full(&row),
            Err(e) if e.concerns_source() => return Err(e),
            Err(e) => {
                problems.insert(0, e.to_partial("pipeline details"));
                let of_jobs = rows.iter().find_map(|j| j.pipeline.as_ref()).map(convert::pipeline);
                match of_jobs {
                    Some(pipeline) => pipeline,
                    None => self.listed(project, run).await.ok_or(e)?,
                }
            }
        };
        let tries: Vec<&wire::Job> = rows.iter().collect();
        if jobs::enrich(&mut pipeline, &tries) && complete && !tries.is_empty() {
            pipeline.completeness = Completeness::Full;
        }
        let jobs = jobs::in_stage_order(&rows).into_iter().map(convert::job).collect();
        Ok(PipelineDetail { pipeline, jobs, problems })
    }

    /// The pipeline as the newest page of the list has it, if it does: a last resort.
    async fn listed(&self, project: &Project, run: &RunId) -> Option<Pipeline> {
        let listed = self.newest(project, None, PER_PAGE_TEXT).await.ok()?;
        listed.items.iter().map(convert::pipeline).find(|row| row.id == *run)
    }
}

/// Whether this answer means that asking again gives the same: the details of this pipeline are not for us.
pub(crate) const fn is_final(error: &Error) -> bool {
    matches!(error, Error::NotFound(_) | Error::Forbidden(_) | Error::Legal(_))
}
