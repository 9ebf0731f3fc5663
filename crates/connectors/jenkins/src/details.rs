//! One build with its stages.

use std::time::Duration;

use connector::{Error, PipelineDetail, Result};
use domain::{Completeness, Job, JobId, Pipeline, Project, RunId, Status};

use crate::source::Jenkins;
use crate::wire::{Described, Stage};
use crate::{base, convert, log, status, tree};

const BUILD: &str = "GET /job/:job/:build/api/json";
const DESCRIBE: &str = "GET /job/:job/:build/wfapi/describe";
/// How much of a log is searched for a reason, in bytes.
const REASON_BYTES: usize = 16 * 1024;
/// How the failure of a shell step begins that says nothing else.
const EXIT_CODE: &str = "script returned exit code";
/// The id of the one job of a build that has no stages.
pub(crate) const WHOLE: &str = "build";

impl Jenkins {
    /// One build with its stages; with one job where there are none.
    pub(crate) async fn read_build(&self, project: &Project, run: &RunId) -> Result<PipelineDetail> {
        let (job, child, number) = self.run(project, run)?;
        let text = number.to_string();
        let row: crate::wire::Build = match self.read(BUILD, self.url(&job, &[&text], tree::build())).await {
            Ok(row) => row,
            Err(e @ Error::NotFound(_)) => return self.waiting_build(project, run, e).await,
            Err(e) => return Err(e),
        };
        let of = self.of(project, child);
        let row = crate::wire::Build { number: Some(number), ..row };
        let mut pipeline = convert::build(&row, &of)
            .ok_or_else(|| Error::Garbage(format!("source {}: {job} #{number} has no number", self.name)))?;
        let mut problems = Vec::new();
        let described = if row.is_pipeline() { self.describe(&job, number).await } else { Ok(None) };
        let described = match described {
            Ok(described) => described.unwrap_or_default(),
            Err(e) if e.concerns_source() => return Err(e),
            Err(e) => {
                problems.push(e.to_partial("stages"));
                Described::default()
            }
        };
        wait_for_input(&mut pipeline, &described);
        problems.extend(described.stages.problem("stages"));
        let mut jobs: Vec<Job> =
            described.stages.items.iter().enumerate().map(|(at, s)| stage(at, s)).collect();
        let failed = jobs.iter().find(|j| j.status == Status::Failed);
        if let Some(failed) = failed.filter(|_| pipeline.status == Status::Failed) {
            pipeline.failure = Some(match &failed.failure_reason {
                Some(reason) => format!("{}: {reason}", failed.name),
                None => format!("{} failed", failed.name),
            });
        }
        // What a shell step says of itself is no reason: the console has it.
        let says = |j: &Job| j.failure_reason.as_deref().is_some_and(|r| !r.starts_with(EXIT_CODE));
        let explained = failed.is_some_and(says);
        if pipeline.status == Status::Failed && !explained {
            let reason = self.reason(&job, number).await?;
            let stage = jobs.iter_mut().find(|j| j.status == Status::Failed);
            pipeline.failure = match (&stage, &reason) {
                (Some(stage), Some(reason)) => Some(format!("{}: {reason}", stage.name)),
                (None, Some(reason)) => Some(reason.clone()),
                (_, None) => pipeline.failure,
            };
            if let Some(stage) = stage {
                stage.failure_reason = reason.or(stage.failure_reason.take());
            }
        }
        // With a reason it is not looked at again, even if its stages could not be read.
        if pipeline.status.is_terminal() && (problems.is_empty() || pipeline.failure.is_some()) {
            pipeline.completeness = Completeness::Full;
        }
        if jobs.is_empty() {
            jobs.push(whole(project, &pipeline));
        }
        Ok(PipelineDetail { pipeline, jobs, problems })
    }

    /// A build that is still in the queue has no page of its own yet.
    async fn waiting_build(&self, project: &Project, run: &RunId, missing: Error) -> Result<PipelineDetail> {
        let (job, child, number) = self.run(project, run)?;
        let item = self.item(&job, &tree::item(0, 1, tree::Newest::State)).await?;
        let waiting =
            convert::queued(&item, &self.of(project, child)).filter(|run| run.number == Some(number));
        let pipeline = waiting.ok_or(missing)?;
        Ok(PipelineDetail { jobs: vec![whole(project, &pipeline)], pipeline, problems: Vec::new() })
    }

    /// What the plugin tells of a build; `None` where there is no such plugin.
    pub(crate) async fn describe(&self, job: &str, number: u64) -> Result<Option<Described>> {
        let mut segments = base::segments(job);
        let number = number.to_string();
        segments.extend([number.as_str(), "wfapi", "describe"]);
        match self.read(DESCRIBE, self.client.url(&segments, &[])).await {
            Ok(described) => Ok(Some(described)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether a build that runs waits for somebody, or one that waited goes on. `None` when that is not told.
    pub(crate) async fn waiting(&self, project: &Project, run: &Pipeline) -> Result<Option<Pipeline>> {
        let (job, _, number) = self.run(project, &run.id)?;
        let Some(described) = self.describe(&job, number).await? else { return Ok(None) };
        let mut run = run.clone();
        if described.status.as_deref() == Some(status::RUNNING) {
            (run.status, run.native_status) = (Status::Running, status::RUNNING.to_owned());
        }
        wait_for_input(&mut run, &described);
        Ok(Some(run))
    }

    /// The reason that the end of a log gives. Without one there is none; the log is there to be read.
    async fn reason(&self, job: &str, number: u64) -> Result<Option<String>> {
        if self.logs == config::LogAccess::None {
            return Ok(None);
        }
        match self.console(job, number, REASON_BYTES).await {
            Ok(console) => Ok(log::reason(&console.text)),
            Err(e) if e.concerns_source() => Err(e),
            Err(_) => Ok(None),
        }
    }
}

/// A build that runs may wait for somebody, which only its stages tell.
fn wait_for_input(run: &mut Pipeline, described: &Described) {
    let stages = described.stages.items.iter().filter_map(|s| s.status.as_deref());
    let paused = described.status.as_deref() == Some(status::PAUSED)
        || stages.into_iter().any(|s| s == status::PAUSED);
    if paused && run.status == Status::Running {
        (run.status, run.native_status) = (Status::Manual, status::PAUSED.to_owned());
    }
}

/// A stage as a job.
pub(crate) fn stage(at: usize, row: &Stage) -> Job {
    let word = row.status.clone().unwrap_or_default();
    let status = status::plain(&word);
    let id = row.id.clone().unwrap_or_else(|| format!("stage-{at}"));
    let name = row.name.clone().unwrap_or_else(|| format!("stage {}", at + 1));
    let mut job = Job::new(JobId::new(id), name, status, word);
    let ran = !matches!(status, Status::Skipped | Status::Queued);
    let took = row.duration_millis.map(Duration::from_millis).filter(|_| ran);
    let paused = Duration::from_millis(row.pause_duration_millis.unwrap_or(0));
    job.created_at = row.start_time_millis;
    job.started_at = row.start_time_millis.filter(|_| ran);
    let ended = !status.is_active() && status != Status::Manual;
    if ended {
        // Waiting for somebody is no work.
        job.duration = took.map(|t| t.saturating_sub(paused));
        job.finished_at = job.started_at.zip(took).and_then(|(at, took)| at.checked_add(took).ok());
    }
    if let Some(error) = &row.error
        && matches!(status, Status::Failed | Status::Warning | Status::Canceled)
    {
        let kind = error.kind.as_deref().map(|k| k.rsplit(['.', '$']).next().unwrap_or(k));
        job.failure_reason = error.message.clone().or_else(|| match kind {
            Some("FlowInterruptedException") => Some("interrupted".to_owned()),
            Some("AbortException") | None => None,
            Some(other) => Some(other.to_owned()),
        });
    }
    job
}

/// The one job of a build without stages.
fn whole(project: &Project, run: &Pipeline) -> Job {
    let name = project.name.rsplit('/').next().unwrap_or(&project.name);
    let mut job = Job::new(JobId::new(WHOLE), name, run.status, run.native_status.clone());
    job.failure_reason.clone_from(&run.failure);
    (job.created_at, job.started_at, job.finished_at) = (run.created_at, run.started_at, run.finished_at);
    (job.duration, job.queued) = (run.duration, run.queued);
    job.url.clone_from(&run.url);
    job
}
