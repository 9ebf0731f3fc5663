//! What was deployed where: each job of a stage named `deploy` deploys, from the default branch to production, from any other
//! to a place of its own where people look at it.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::model::{Job, Pipeline, Project, RunStatus, Trigger};

/// Where the default branch goes.
pub(crate) const PRODUCTION: &str = "production";
/// The stage whose jobs deploy.
const STAGE: &str = "deploy";

/// A deployment.
#[derive(Debug, Clone)]
pub struct Deployment<'a> {
    /// The run that it is of.
    pub run: &'a Pipeline,
    /// The job that made it; its id is the deployment's.
    pub job: &'a Job,
    /// Name of the environment.
    pub environment: Arc<str>,
    /// When a later one took its place there.
    pub replaced_at: Option<Timestamp>,
}

impl Deployment<'_> {
    /// When it began to wait, or to run.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.job.queued_at.or(self.job.started_at).unwrap_or(self.job.created_at)
    }

    /// Last change of its own.
    #[must_use]
    pub fn updated_at(&self) -> Timestamp {
        self.job.finished_at.or(self.job.started_at).unwrap_or_else(|| self.created_at())
    }

    /// Whether it is what people use.
    #[must_use]
    pub fn is_production(&self) -> bool {
        &*self.environment == PRODUCTION
    }
}

impl Project {
    /// What was deployed, oldest first. What waits for a person, or for the jobs before it, is none yet.
    #[must_use]
    pub fn deployments(&self) -> Vec<Deployment<'_>> {
        let deploys = self.workflows.iter().map(|w| w.stages.iter().any(|s| s.name == STAGE));
        let deploys: Vec<bool> = deploys.collect();
        let mut all: Vec<Deployment<'_>> = Vec::new();
        for run in self.pipelines().iter().filter(|run| deploys.get(run.workflow) == Some(&true)) {
            let on_main = self.default_branch.as_ref() == Some(&run.branch);
            let environment: Arc<str> = match on_main && !matches!(run.trigger, Trigger::MergeRequest(_)) {
                true => PRODUCTION.into(),
                false => format!("review/{}", run.branch).into(),
            };
            let began = |job: &&Job| {
                job.stage == STAGE
                    && !matches!(job.status, RunStatus::Created | RunStatus::Manual | RunStatus::Skipped)
            };
            let jobs = self.jobs(run).iter().filter(began);
            all.extend(jobs.map(|job| Deployment {
                run,
                job,
                environment: environment.clone(),
                replaced_at: None,
            }));
        }
        all.sort_by_key(|d| (d.created_at(), d.job.id));
        with_replaced(all)
    }
}

/// The next one that succeeded takes the place of the last one that did.
fn with_replaced(mut all: Vec<Deployment<'_>>) -> Vec<Deployment<'_>> {
    let mut stands: HashMap<Arc<str>, usize> = HashMap::new();
    for at in 0..all.len() {
        if all[at].job.status == RunStatus::Success
            && let Some(before) = stands.insert(all[at].environment.clone(), at)
        {
            all[before].replaced_at = all[at].job.finished_at;
        }
    }
    all
}
