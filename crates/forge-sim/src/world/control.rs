//! Scripted control for tests: what people and machines do to a forge.
//!
//! Everything happens at the world's present; move it with [`World::set_now`].

use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use super::model::{
    FaceId, Job, MergeRequest, PastAttempt, PersonId, Project, ProjectId, RunStatus, Trigger,
};
use super::names::PEOPLE;
use super::plan::failure_of;
use super::{JOBS_PER_RUN, World, motion};

/// Why a command could not be followed.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ControlError {
    /// No such project (any more).
    #[error("no such project")]
    NoProject,
    /// The project has no such branch.
    #[error("no such branch: {0}")]
    NoBranch(String),
    /// The project has no such pipeline.
    #[error("no such pipeline: {0}")]
    NoPipeline(u64),
    /// The pipeline has no such job.
    #[error("no such job: {0}")]
    NoJob(u64),
    /// The project has no workflow of that index.
    #[error("no such workflow: {0}")]
    NoWorkflow(usize),
    /// Not in this state: a running pipeline cannot be retried, a finished one not canceled.
    #[error("not possible while it is {0:?}")]
    WrongState(RunStatus),
}

impl World {
    /// A project of any face by its full path; the first one when several faces have it.
    #[must_use]
    pub fn project(&self, full_path: &str) -> Option<ProjectId> {
        self.projects().find(|project| project.full_path() == full_path).map(|project| project.id)
    }

    /// A person by login; the first person when nobody has it.
    #[must_use]
    pub fn person(login: &str) -> PersonId {
        PersonId(PEOPLE.iter().position(|person| person.login == login).unwrap_or(0) as u16)
    }

    /// Moves the world to `now`; the same as [`World::advance_to`].
    pub fn set_now(&mut self, now: Timestamp) {
        self.advance_to(now);
    }

    fn project_mut(&mut self, id: ProjectId) -> Result<&mut Project, ControlError> {
        self.projects.get_mut(id.index()).filter(|project| !project.deleted).ok_or(ControlError::NoProject)
    }

    /// Pushes a commit to a branch, which is made when it does not exist; starts no pipeline. Returns the sha.
    ///
    /// # Errors
    /// When the project is gone.
    pub fn push_commit(
        &mut self,
        id: ProjectId,
        branch: &str,
        author: PersonId,
        title: &str,
    ) -> Result<Arc<str>, ControlError> {
        self.add_commit(id, branch, author, Arc::from(title), self.now).ok_or(ControlError::NoProject)
    }

    /// Starts a pipeline of a workflow (0: what a push starts) on a branch's head and returns its id.
    /// `succeeds` says how it will end when nobody interferes.
    ///
    /// # Errors
    /// When project, branch or workflow do not exist.
    pub fn start_pipeline(
        &mut self,
        id: ProjectId,
        branch: &str,
        workflow: usize,
        succeeds: bool,
    ) -> Result<u64, ControlError> {
        self.start(id, branch, workflow, Trigger::Push, succeeds)
    }

    /// As [`World::start_pipeline`], for another reason than a push.
    ///
    /// # Errors
    /// When project, branch or workflow do not exist.
    pub fn start(
        &mut self,
        id: ProjectId,
        branch: &str,
        workflow: usize,
        trigger: Trigger,
        succeeds: bool,
    ) -> Result<u64, ControlError> {
        let project = self.get(id).ok_or(ControlError::NoProject)?;
        let found = project.branch(branch).ok_or_else(|| ControlError::NoBranch(branch.to_owned()))?;
        let (name, sha) = (found.name.clone(), found.head.clone());
        let actor = project.commit(&sha).map_or(PersonId(0), |commit| commit.author);
        self.create_run(id, workflow, &name, &sha, trigger, actor, Some(succeeds))
            .ok_or(ControlError::NoWorkflow(workflow))
    }

    /// Ends a job of an unfinished pipeline now.
    ///
    /// # Errors
    /// When there is no such job, or it has ended already.
    pub fn finish_job(&mut self, id: ProjectId, job_id: u64, status: RunStatus) -> Result<(), ControlError> {
        let now = self.now;
        let run_id = job_id / JOBS_PER_RUN;
        let project = self.project_mut(id)?;
        let place = project.history_mut().position(run_id).ok_or(ControlError::NoPipeline(run_id))?;
        // A run of the past gets its jobs when somebody looks: now.
        let _ = project.pipeline(run_id).map(|run| project.jobs(run).len());
        let run = project.history_mut().runs.get_mut(place).ok_or(ControlError::NoPipeline(run_id))?;
        let jobs = run.jobs.get_mut().ok_or(ControlError::NoJob(job_id))?;
        let job = jobs.iter_mut().find(|job| job.id == job_id).ok_or(ControlError::NoJob(job_id))?;
        if job.status.is_terminal() {
            return Err(ControlError::WrongState(job.status));
        }
        end_job(job, status, now);
        if status == RunStatus::Failed && !job.allow_failure {
            run.failure = job.failure.clone();
        }
        // A manual pipeline goes on once a person has acted.
        if run.status == RunStatus::Manual {
            run.status = RunStatus::Running;
        }
        self.step_run(id, run_id, now);
        Ok(())
    }

    /// Ends a pipeline now: its unfinished jobs get `status`, or are skipped once one has failed.
    ///
    /// # Errors
    /// When there is no such pipeline, or it has ended already.
    pub fn finish_pipeline(
        &mut self,
        id: ProjectId,
        run_id: u64,
        status: RunStatus,
    ) -> Result<(), ControlError> {
        let now = self.now;
        let project = self.project_mut(id)?;
        let place = project.history_mut().position(run_id).ok_or(ControlError::NoPipeline(run_id))?;
        let run = project.history_mut().runs.get_mut(place).ok_or(ControlError::NoPipeline(run_id))?;
        if run.status.is_terminal() {
            return Err(ControlError::WrongState(run.status));
        }
        if let Some(jobs) = run.jobs.get_mut() {
            let mut failed = false;
            for job in jobs.iter_mut().filter(|job| !job.retried && !job.status.is_terminal()) {
                let next = match status {
                    RunStatus::Failed if failed || job.allow_failure => RunStatus::Skipped,
                    other => other,
                };
                failed |= next == RunStatus::Failed;
                end_job(job, next, now);
            }
            run.failure = jobs
                .iter()
                .find_map(|job| job.failure.clone().filter(|_| !job.allow_failure && !job.retried));
        }
        motion::settle_run(run, now);
        run.status = status;
        run.started_at = run.started_at.or(Some(now));
        run.finished_at = (status != RunStatus::Manual).then_some(now);
        run.updated_at = run.updated_at.max(now);
        if status.is_terminal() {
            self.run_ended(id, run_id);
        }
        Ok(())
    }

    /// Cancels a pipeline.
    ///
    /// # Errors
    /// When there is no such pipeline, or it has ended already.
    pub fn cancel(&mut self, id: ProjectId, run_id: u64) -> Result<(), ControlError> {
        self.finish_pipeline(id, run_id, RunStatus::Canceled)
    }

    /// Runs the failed and canceled jobs of a finished pipeline again, under the same pipeline id. This time they succeed.
    ///
    /// # Errors
    /// When there is no such pipeline, or it has not ended.
    pub fn retry(&mut self, id: ProjectId, run_id: u64) -> Result<(), ControlError> {
        let now = self.now;
        let project = self.project_mut(id)?;
        let place = project.history_mut().position(run_id).ok_or(ControlError::NoPipeline(run_id))?;
        let run = project
            .pipelines()
            .get(place)
            .filter(|r| r.id == run_id)
            .ok_or(ControlError::NoPipeline(run_id))?;
        if !run.status.is_terminal() {
            return Err(ControlError::WrongState(run.status));
        }
        let mut jobs = project.jobs(run).to_vec();
        let run_ms = jobs
            .iter()
            .filter_map(|j| Some(j.finished_at?.as_millisecond() - j.started_at?.as_millisecond()))
            .max()
            .unwrap_or(30_000)
            .clamp(5_000, 120_000);
        let run = project.history_mut().runs.get_mut(place).ok_or(ControlError::NoPipeline(run_id))?;
        run.past_attempts.push(PastAttempt {
            number: run.attempt,
            status: run.status,
            started_at: run.attempt_at,
            finished_at: run.finished_at.unwrap_or(run.updated_at),
        });
        run.attempt += 1;
        run.attempt_at = now;
        run.status = RunStatus::Queued;
        run.warnings = false;
        run.finished_at = None;
        run.updated_at = run.updated_at.max(now);
        let again: Vec<usize> =
            (0..jobs.len()).filter(|k| !jobs[*k].retried && jobs[*k].status != RunStatus::Success).collect();
        for k in again {
            let mut new = jobs[k].clone();
            jobs[k].retried = true;
            new.id = run_id * JOBS_PER_RUN + jobs.len() as u64;
            new.status = RunStatus::Created;
            new.attempt = run.attempt;
            new.failure = None;
            new.created_at = now;
            (new.queued_at, new.started_at, new.finished_at) = (None, None, None);
            new.plan.fails = false;
            new.plan.manual = false;
            new.plan.queue_ms = 1_500;
            new.plan.run_ms = run_ms;
            if (jobs.len() as u64) < JOBS_PER_RUN {
                jobs.push(new);
            }
        }
        run.jobs = std::cell::OnceCell::from(jobs);
        self.step_run(id, run_id, now);
        Ok(())
    }

    /// Opens a merge request from an existing branch to the default branch and returns its number.
    ///
    /// # Errors
    /// When project or branch do not exist.
    pub fn open_merge_request(
        &mut self,
        id: ProjectId,
        branch: &str,
        title: &str,
    ) -> Result<u32, ControlError> {
        let now = self.now;
        let project = self.project_mut(id)?;
        let target = project.default_branch.clone().unwrap_or_else(|| Arc::from("main"));
        let found =
            project.branch(branch).cloned().ok_or_else(|| ControlError::NoBranch(branch.to_owned()))?;
        let author = project.commit(&found.head).map_or(PersonId(0), |commit| commit.author);
        let history = project.history_mut();
        let number = motion::next_number(history);
        history.merge_requests.push(MergeRequest {
            number,
            title: Arc::from(title),
            source_branch: found.name,
            target_branch: target,
            sha: found.head,
            author,
            reviewers: Vec::new(),
            draft: false,
            open: true,
            labels: Vec::new(),
            created_at: now,
            updated_at: now,
        });
        Ok(number)
    }

    /// Deletes a project: from now on it is not found.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn delete_project(&mut self, id: ProjectId) -> Result<(), ControlError> {
        self.project_mut(id)?.deleted = true;
        self.lively.retain(|lively| *lively != id);
        Ok(())
    }

    /// Gives a project another `namespace/path`; the old one redirects.
    ///
    /// # Errors
    /// When the project is gone.
    pub fn rename_project(&mut self, id: ProjectId, full_path: &str) -> Result<(), ControlError> {
        let now = self.now;
        let project = self.project_mut(id)?;
        let (face, old) = (project.face, project.full_path());
        let (namespace, path) = full_path.rsplit_once('/').unwrap_or(("moved", full_path));
        project.former_paths.push(old.clone());
        project.namespace = namespace.to_owned();
        project.path = path.to_owned();
        path.clone_into(&mut project.name);
        project.updated_at = now;
        self.by_path.remove(&(face, old.to_lowercase()));
        self.by_path.insert((face, full_path.to_lowercase()), id);
        Ok(())
    }

    /// Makes a project read-only; nothing moves in it any more.
    ///
    /// # Errors
    /// When the project is gone.
    pub fn archive(&mut self, id: ProjectId) -> Result<(), ControlError> {
        let now = self.now;
        let project = self.project_mut(id)?;
        project.archived = true;
        project.updated_at = now;
        self.lively.retain(|lively| *lively != id);
        Ok(())
    }

    /// Deletes a branch; its pipelines stay, as on the platforms.
    ///
    /// # Errors
    /// When project or branch do not exist.
    pub fn delete_branch(&mut self, id: ProjectId, branch: &str) -> Result<(), ControlError> {
        let now = self.now;
        let project = self.project_mut(id)?;
        let history = project.history_mut();
        let at = history
            .branches
            .iter()
            .position(|b| &*b.name == branch)
            .ok_or_else(|| ControlError::NoBranch(branch.to_owned()))?;
        history.branches.remove(at);
        history
            .merge_requests
            .iter_mut()
            .filter(|mr| &*mr.source_branch == branch)
            .for_each(|mr| mr.open = false);
        project.updated_at = now;
        Ok(())
    }

    /// Adds a green project to a face, with the past that its seed gives it, and returns its id.
    /// None when the world is full or has no such face.
    pub fn add_project(&mut self, face: FaceId, full_path: &str) -> Option<ProjectId> {
        let at = self.config.faces.iter().position(|(known, _)| *known == face)?;
        if self.projects.len() + 1 >= super::ID_STRIDE as usize {
            return None;
        }
        let mut project = self.make_late(at);
        let (namespace, path) = full_path.rsplit_once('/').unwrap_or(("new", full_path));
        namespace.clone_into(&mut project.namespace);
        path.clone_into(&mut project.path);
        path.clone_into(&mut project.name);
        let id = project.id;
        self.index(&project);
        self.projects.push(project);
        Some(id)
    }
}

fn end_job(job: &mut Job, status: RunStatus, now: Timestamp) {
    job.status = status;
    match status {
        RunStatus::Skipped => {}
        RunStatus::Manual => return,
        _ => {
            job.queued_at.get_or_insert(now);
            if status != RunStatus::Canceled {
                job.started_at.get_or_insert(now);
            }
            job.finished_at = Some(now);
        }
    }
    if status == RunStatus::Failed {
        job.failure = Some(failure_of(&job.name));
    }
}
