//! How the world moves: a discrete-event simulation. Every event has its own time, so the size of the steps with which
//! somebody advances the world never changes what happens.

use std::cmp::Ordering;
use std::sync::Arc;

use jiff::Timestamp;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::model::{
    Branch, Commit, Failure, Job, MergeRequest, PersonId, Pipeline, ProjectId, RunStatus, Trigger,
    WorkflowTrigger,
};
use super::names::FEATURE_BRANCHES;
use super::plan::{failure, later, live_jobs, log_normal};
use super::{ID_STRIDE, MAX_BRANCHES, MAX_RUNS_PER_PROJECT, World, history};

/// Chance that a push to a red default branch repairs it.
const FIX_CHANCE: f64 = 0.55;
/// Chance that a push to a feature branch fails.
const FEATURE_FAILURE: f64 = 0.15;
/// Chance of a warning in a run that succeeds.
const WARNING_CHANCE: f64 = 0.04;
/// One call of `advance_to` handles at most so many events; what is left comes with the next call.
const MAX_EVENTS_PER_STEP: usize = 1_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A push, a night, a retry: something new begins somewhere.
    Arrival,
    /// A job of this pipeline starts or ends.
    Run { project: ProjectId, run: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    at: Timestamp,
    order: u64,
    what: What,
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest first; we want the earliest.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl World {
    /// Moves the world to `now`; a time that lies behind does nothing.
    pub fn advance_to(&mut self, now: Timestamp) {
        for _ in 0..MAX_EVENTS_PER_STEP {
            match self.queue.peek() {
                Some(event) if event.at <= now => {}
                _ => break,
            }
            let Some(event) = self.queue.pop() else { break };
            self.now = self.now.max(event.at);
            match event.what {
                What::Arrival => {
                    self.arrive();
                    self.schedule_arrival();
                }
                What::Run { project, run } => self.step_run(project, run, event.at),
            }
        }
        self.now = self.now.max(now);
    }

    /// When the next thing will happen, if anything will.
    #[must_use]
    pub fn next_event_at(&self) -> Option<Timestamp> {
        self.queue.peek().map(|event| event.at)
    }

    fn push_event(&mut self, at: Timestamp, what: What) {
        self.next_order += 1;
        self.queue.push(Event { at, order: self.next_order, what });
    }

    pub(super) fn schedule_arrival(&mut self) {
        let Some(mean) = self.config.pace.event_every else { return };
        let wait = -self.rng.random_range(1e-6_f64..1.0).ln() * mean.as_secs_f64() * 1_000.0;
        self.push_event(later(self.now, (wait as i64).max(50)), What::Arrival);
    }

    pub(super) fn random_person(&mut self) -> PersonId {
        history::person(&mut self.rng)
    }

    pub(super) fn random_title(&mut self, fixes: bool) -> Arc<str> {
        history::title(&mut self.rng, fixes)
    }

    fn arrive(&mut self) {
        let Some(id) = self.lively.choose(&mut self.rng).copied() else { return };
        let Some(project) = self.get(id) else { return };
        if project.archived {
            return;
        }
        let Some(main) = project.default_branch.clone() else { return };
        let red = project.red.is_some();
        let nightly = project.workflows.iter().position(|w| w.on == WorkflowTrigger::Schedule);
        let feature: Vec<Arc<str>> =
            project.history().branches.iter().skip(1).map(|branch| branch.name.clone()).collect();
        let retry = project
            .pipelines()
            .last()
            .filter(|run| run.status == RunStatus::Failed && run.attempt < 3)
            .map(|run| run.id);
        let head = project.history().branches.first().map(|branch| branch.head.clone());
        match (self.rng.random_range(0..100), nightly, retry) {
            (0..6, Some(workflow), _) => {
                if let Some(sha) = head {
                    self.create_run(id, workflow, &main, &sha, Trigger::Schedule, PersonId(0), None);
                }
            }
            (6..12, _, Some(run)) => {
                let _ = self.retry(id, run);
            }
            (12..16, _, _) => self.new_branch(id, &main),
            (16..36, _, _) if !feature.is_empty() => {
                let Some(branch) = feature.choose(&mut self.rng).cloned() else { return };
                self.arrive_push(id, &branch, false);
            }
            _ => self.arrive_push(id, &main, red),
        }
    }

    fn arrive_push(&mut self, id: ProjectId, branch: &Arc<str>, fixes: bool) {
        let author = self.random_person();
        let title = self.random_title(fixes);
        let Some(sha) = self.add_commit(id, branch, author, title, self.now) else { return };
        let trigger = self
            .get(id)
            .and_then(|p| {
                p.history().merge_requests.iter().rfind(|mr| mr.open && mr.source_branch == *branch)
            })
            .map_or(Trigger::Push, |mr| Trigger::MergeRequest(mr.number));
        self.create_run(id, 0, branch, &sha, trigger, author, None);
    }

    fn new_branch(&mut self, id: ProjectId, main: &Arc<str>) {
        let Some(project) = self.projects.get_mut(id.index()) else { return };
        let history = project.history_mut();
        let free: Vec<&str> = FEATURE_BRANCHES
            .iter()
            .copied()
            .filter(|name| history.branches.iter().all(|b| &*b.name != *name))
            .collect();
        if history.branches.len() >= MAX_BRANCHES {
            let gone = history.branches.remove(1);
            history
                .merge_requests
                .iter_mut()
                .filter(|mr| mr.source_branch == gone.name)
                .for_each(|mr| mr.open = false);
        }
        let Some(name) = free.choose(&mut self.rng) else { return };
        let name: Arc<str> = Arc::from(*name);
        let head = history.branches[0].head.clone();
        history.branches.push(Branch { name: name.clone(), head, protected: false });
        let author = history::person(&mut self.rng);
        let title = history::title(&mut self.rng, false);
        let Some(sha) = self.add_commit(id, &name, author, title.clone(), self.now) else { return };
        let now = self.now;
        let Some(project) = self.projects.get_mut(id.index()) else { return };
        let history = project.history_mut();
        let number = next_number(history);
        history.merge_requests.push(MergeRequest {
            number,
            title,
            source_branch: name.clone(),
            target_branch: main.clone(),
            sha: sha.clone(),
            author,
            reviewers: Vec::new(),
            draft: false,
            open: true,
            labels: Vec::new(),
            created_at: now,
            updated_at: now,
        });
        self.create_run(id, 0, &name, &sha, Trigger::MergeRequest(number), author, None);
    }

    /// Puts a commit on a branch (made when it does not exist) and returns its sha.
    pub(super) fn add_commit(
        &mut self,
        id: ProjectId,
        branch: &str,
        author: PersonId,
        title: Arc<str>,
        at: Timestamp,
    ) -> Option<Arc<str>> {
        let sha = history::sha(&mut self.rng);
        let project = self.projects.get_mut(id.index()).filter(|p| !p.deleted)?;
        let history = project.history_mut();
        let at_branch = match history.branches.iter().position(|b| &*b.name == branch) {
            Some(at) => at,
            None => {
                let head = history.branches.first().map_or_else(|| sha.clone(), |b| b.head.clone());
                history.branches.push(Branch { name: Arc::from(branch), head, protected: false });
                history.branches.len() - 1
            }
        };
        let parent = Some(history.branches[at_branch].head.clone()).filter(|parent| *parent != sha);
        history.branches[at_branch].head = sha.clone();
        history.commits.insert(sha.clone(), Commit { sha: sha.clone(), parent, title, author, at });
        for mr in history.merge_requests.iter_mut().filter(|mr| mr.open && &*mr.source_branch == branch) {
            mr.sha = sha.clone();
            mr.updated_at = at;
        }
        if project.default_branch.is_none() {
            project.default_branch = Some(Arc::from(branch));
        }
        project.pushed_at = project.pushed_at.max(at);
        project.updated_at = project.updated_at.max(at);
        Some(sha)
    }

    /// Creates a pipeline now. `outcome`: true ends well, false badly, none as the dice fall.
    #[expect(
        clippy::too_many_arguments,
        reason = "the one place where all facts of a new pipeline come together"
    )]
    pub(super) fn create_run(
        &mut self,
        id: ProjectId,
        workflow: usize,
        branch: &Arc<str>,
        sha: &Arc<str>,
        trigger: Trigger,
        actor: PersonId,
        outcome: Option<bool>,
    ) -> Option<u64> {
        let now = self.now;
        let rng = &mut self.rng;
        let project = self.projects.get_mut(id.index()).filter(|p| !p.deleted)?;
        let plan = project.workflows.get(workflow)?.clone();
        let on_main = project.default_branch.as_ref() == Some(branch) && workflow == 0;
        let fails = match (outcome, &project.red) {
            (Some(good), _) => !good,
            (None, Some(_)) if on_main => !rng.random_bool(FIX_CHANCE),
            (None, _) if on_main => rng.random_bool(project.failure_rate),
            (None, _) if project.default_branch.as_ref() == Some(branch) => rng.random_bool(0.03),
            (None, _) => rng.random_bool(FEATURE_FAILURE),
        };
        let failure: Option<Failure> = fails.then(|| match &project.red {
            Some(red) if on_main => red.clone(),
            _ => failure(rng, &plan, None),
        });
        let median = f64::from(plan.median_seconds);
        let seconds = log_normal(rng, median, 0.2);
        let warns = failure.is_none() && outcome.is_none() && rng.random_bool(WARNING_CHANCE);
        let history = project.history_mut();
        if history.runs.len() >= MAX_RUNS_PER_PROJECT {
            history.runs.drain(..1_000);
            history.trimmed += 1_000;
        }
        let number = history.trimmed + history.runs.len() as u32 + 1;
        let workflow_number = history
            .runs
            .iter()
            .rev()
            .find(|run| run.workflow == workflow)
            .map_or(1, |run| run.workflow_number + 1);
        let run = Pipeline {
            id: u64::from(number) * ID_STRIDE + u64::from(id.0),
            number,
            workflow,
            workflow_number,
            attempt: 1,
            branch: branch.clone(),
            sha: sha.clone(),
            trigger,
            actor,
            status: RunStatus::Queued,
            warnings: false,
            failure,
            created_at: now,
            started_at: None,
            finished_at: None,
            updated_at: now,
            attempt_at: now,
            past_attempts: Vec::new(),
            jobs: std::cell::OnceCell::new(),
        };
        let run_id = run.id;
        let jobs = live_jobs(rng, &plan, &run, (seconds * 1_000.0) as i64, warns);
        let _ = run.jobs.set(jobs);
        history.runs.push(run);
        project.updated_at = project.updated_at.max(now);
        self.step_run(id, run_id, now);
        Some(run_id)
    }

    /// Does what is due in a pipeline at `at` and plans what comes next.
    pub(super) fn step_run(&mut self, id: ProjectId, run_id: u64, at: Timestamp) {
        let Some(project) = self.projects.get_mut(id.index()).filter(|p| !p.deleted) else { return };
        let history = project.history_mut();
        let Some(place) = history.position(run_id) else { return };
        let Some(run) = history.runs.get_mut(place).filter(|run| run.id == run_id) else { return };
        if !run.status.is_active() {
            return; // ended by hand since this event was planned
        }
        let (before, mut changed) = (run.status, false);
        let due = {
            let Some(jobs) = run.jobs.get_mut() else { return };
            advance_jobs(jobs, run.failure.as_ref(), at, &mut changed)
        };
        settle_run(run, at);
        if changed || run.status != before {
            run.updated_at = run.updated_at.max(at);
        }
        let ended = run.status.is_terminal();
        if ended {
            self.run_ended(id, run_id);
        } else if let Some(due) = due {
            self.push_event(due.max(at), What::Run { project: id, run: run_id });
        }
    }

    /// What a finished pipeline means for its project, and for the workflows that wait for it.
    pub(super) fn run_ended(&mut self, id: ProjectId, run_id: u64) {
        let Some(project) = self.projects.get_mut(id.index()) else { return };
        let Some(run) = project.pipeline(run_id).cloned() else { return };
        let on_main = project.default_branch.as_ref() == Some(&run.branch);
        if !on_main || run.workflow != 0 || matches!(run.trigger, Trigger::MergeRequest(_)) {
            return;
        }
        match run.status {
            RunStatus::Failed if project.red.is_none() => project.red = run.failure.clone(),
            RunStatus::Success => project.red = None,
            _ => {}
        }
        let after = project.workflows.iter().position(|w| w.on == WorkflowTrigger::AfterPush);
        if let (RunStatus::Success, Some(workflow)) = (run.status, after) {
            self.create_run(id, workflow, &run.branch, &run.sha, Trigger::Workflow, run.actor, None);
        }
    }
}

/// The next free number of merge requests and issues, which share one row of numbers here.
pub(super) fn next_number(history: &super::History) -> u32 {
    let merge_requests = history.merge_requests.iter().map(|mr| mr.number).max().unwrap_or(0);
    merge_requests.max(history.issues.iter().map(|issue| issue.number).max().unwrap_or(0)) + 1
}

/// Starts and ends jobs that are due at `at`; returns when the next one is.
fn advance_jobs(
    jobs: &mut [Job],
    failure: Option<&Failure>,
    at: Timestamp,
    changed: &mut bool,
) -> Option<Timestamp> {
    loop {
        let mut due: Option<Timestamp> = None;
        let mut again = false;
        // The first stage that still has something to do.
        let stage = jobs.iter().filter(|j| !j.retried && !is_settled(j)).map(|j| j.stage_index).min()?;
        if jobs
            .iter()
            .any(|j| !j.retried && j.stage_index < stage && (blocks(j) || j.status == RunStatus::Manual))
        {
            jobs.iter_mut()
                .filter(|j| j.status == RunStatus::Created)
                .for_each(|j| j.status = RunStatus::Skipped);
            *changed = true;
            return None;
        }
        for job in jobs.iter_mut().filter(|j| j.stage_index == stage && !j.retried && !is_settled(j)) {
            if job.status == RunStatus::Created {
                job.status = if job.plan.manual { RunStatus::Manual } else { RunStatus::Queued };
                job.queued_at = (!job.plan.manual).then_some(at);
                *changed = true;
                again |= job.plan.manual;
            }
            if job.status == RunStatus::Queued {
                let ready = later(job.queued_at.unwrap_or(at), job.plan.queue_ms);
                if ready <= at {
                    job.status = RunStatus::Running;
                    job.started_at = Some(ready);
                    *changed = true;
                } else {
                    due = Some(due.map_or(ready, |d| d.min(ready)));
                }
            }
            if job.status == RunStatus::Running {
                let end = later(job.started_at.unwrap_or(at), job.plan.run_ms);
                if end <= at {
                    job.status = if job.plan.fails { RunStatus::Failed } else { RunStatus::Success };
                    job.finished_at = Some(end);
                    if job.plan.fails {
                        job.failure = failure
                            .filter(|f| f.job == job.name)
                            .cloned()
                            .or_else(|| Some(super::plan::failure_of(&job.name)));
                    }
                    *changed = true;
                    again = true;
                } else {
                    due = Some(due.map_or(end, |d| d.min(end)));
                }
            }
        }
        // Something ended: perhaps the stage is over.
        if again && jobs.iter().filter(|j| j.stage_index == stage && !j.retried).all(is_settled) {
            continue;
        }
        return due;
    }
}

fn is_settled(job: &Job) -> bool {
    job.status.is_terminal() || job.status == RunStatus::Manual
}

fn blocks(job: &Job) -> bool {
    !job.retried
        && (job.status == RunStatus::Canceled || (job.status == RunStatus::Failed && !job.allow_failure))
}

/// Rolls the jobs up into the pipeline.
pub(super) fn settle_run(run: &mut Pipeline, at: Timestamp) {
    let Some(jobs) = run.jobs.get() else { return };
    let current = || jobs.iter().filter(|j| !j.retried);
    let started = current().filter(|j| j.attempt == run.attempt).filter_map(|j| j.started_at).min();
    run.started_at =
        if run.attempt == 1 { started.or(run.started_at) } else { started.or(Some(run.attempt_at)) };
    let status = if current().any(|j| j.status == RunStatus::Running) {
        RunStatus::Running
    } else if current().any(|j| j.status.is_active()) {
        // Between two stages, and while retried jobs wait beside finished ones, a pipeline counts as running.
        if current().any(|j| j.started_at.is_some()) { RunStatus::Running } else { RunStatus::Queued }
    } else if current().any(|j| j.status == RunStatus::Canceled) {
        RunStatus::Canceled
    } else if current().any(blocks) {
        RunStatus::Failed
    } else if current().any(|j| j.status == RunStatus::Manual) {
        RunStatus::Manual
    } else if current().all(|j| j.status == RunStatus::Skipped) {
        RunStatus::Skipped
    } else {
        RunStatus::Success
    };
    let warnings = status == RunStatus::Success && current().any(|j| j.status == RunStatus::Failed);
    let end = current().filter_map(|j| j.finished_at).max();
    if status.is_terminal() {
        run.finished_at = Some(end.unwrap_or(at));
    }
    run.status = status;
    run.warnings = warnings;
    if status == RunStatus::Success {
        run.failure = None;
    }
}
