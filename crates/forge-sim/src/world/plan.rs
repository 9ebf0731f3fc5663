//! Workflows and how long their parts take: shared by the generated past and the live present.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::model::{
    Failure, FailureKind, Job, JobPlan, LivePlan, Pipeline, Project, RunStatus, Shape, Stage, Style,
    Workflow, WorkflowTrigger,
};
use super::names::FAILURES;

/// At most so many jobs (retried ones included) of one pipeline have ids; more are not created.
pub(crate) const JOBS_PER_RUN: u64 = 1000;

/// A generator for one purpose, independent of every other purpose's.
pub(crate) fn rng(seed: u64, purpose: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(mix(seed, purpose))
}

/// SplitMix64's finaliser: spreads related seeds.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A positive number around `median`: log-normal, as run times are, cut at a third and at 2.4 times.
pub(crate) fn log_normal(rng: &mut impl Rng, median: f64, sigma: f64) -> f64 {
    let (u, v): (f64, f64) = (rng.random_range(1e-9..1.0), rng.random());
    let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
    (median * (sigma * normal).exp()).clamp(median / 3.0, median * 2.4)
}

pub(crate) fn later(at: Timestamp, ms: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_millis(ms)).unwrap_or(at)
}

fn job(name: &str, weight: f64) -> JobPlan {
    JobPlan { name: Arc::from(name), weight, allow_failure: false, manual: false }
}

fn stage(name: &'static str, share: f64, jobs: Vec<JobPlan>) -> Stage {
    Stage { name, share, jobs }
}

/// The workflows of a project; `native_base` makes their platform ids unique.
pub(crate) fn workflows(
    rng: &mut impl Rng,
    style: Style,
    shape: Shape,
    median: u32,
    native_base: u64,
    seconds: impl Fn(f64) -> u32,
) -> Vec<Workflow> {
    let mut lint = job("lint", 0.6);
    lint.allow_failure = true;
    let mut test_jobs = vec![job("unit-tests", 1.0), job("integration", 0.8)];
    match rng.random_range(0..3) {
        0 => test_jobs.push(job("e2e (firefox)", 0.9)),
        1 => test_jobs.extend([job("e2e (chromium)", 0.85), job("e2e (firefox)", 0.95)]),
        _ => {}
    }
    let waits = shape == Shape::Waiting;
    let mut production = job("production", 1.0);
    production.manual = waits;
    let push = match style {
        Style::Stages => {
            let mut stages = vec![
                stage("build", 0.25, vec![job("build", 1.0)]),
                stage("test", 0.5, [vec![lint], test_jobs].concat()),
                stage("package", 0.15, vec![job("package", 1.0)]),
            ];
            let deploys = waits || rng.random_bool(0.5);
            if deploys {
                stages.push(stage("deploy", 0.1, vec![if waits { production } else { job("deploy", 1.0) }]));
            } else if let Some(last) = stages.last_mut() {
                last.share += 0.1;
            }
            Workflow {
                native_id: native_base,
                name: "Push",
                path: ".gitlab-ci.yml",
                on: WorkflowTrigger::Push,
                median_seconds: median,
                stages,
            }
        }
        Style::Workflows => {
            let mut stages = vec![
                stage("build", 0.3, vec![job("build", 1.0), lint]),
                stage("test", if waits { 0.6 } else { 0.7 }, test_jobs),
            ];
            if waits {
                stages.push(stage("deploy", 0.1, vec![production]));
            }
            Workflow {
                native_id: native_base,
                name: "CI",
                path: ".github/workflows/ci.yml",
                on: WorkflowTrigger::Push,
                median_seconds: median,
                stages,
            }
        }
    };
    let mut all = vec![push];
    if style == Style::Workflows && rng.random_bool(0.35) {
        all.push(Workflow {
            native_id: native_base + 1,
            name: "Deploy",
            path: ".github/workflows/deploy.yml",
            on: WorkflowTrigger::AfterPush,
            median_seconds: seconds(0.3),
            stages: vec![
                stage("package", 0.6, vec![job("package", 1.0)]),
                stage("deploy", 0.4, vec![job("deploy", 1.0)]),
            ],
        });
    }
    if rng.random_bool(0.3) {
        all.push(Workflow {
            native_id: native_base + 2,
            name: "Nightly",
            path: if style == Style::Stages { ".gitlab-ci.yml" } else { ".github/workflows/nightly.yml" },
            on: WorkflowTrigger::Schedule,
            median_seconds: seconds(1.6),
            stages: vec![
                stage("build", 0.3, vec![job("build", 1.0)]),
                stage("test", 0.7, vec![job("full-suite", 1.0), job("audit", 0.2)]),
            ],
        });
    }
    all
}

/// Chooses how a workflow fails; `kind` narrows the choice.
pub(crate) fn failure(rng: &mut impl Rng, workflow: &Workflow, kind: Option<FailureKind>) -> Failure {
    let names: Vec<&Arc<str>> = workflow
        .stages
        .iter()
        .flat_map(|s| &s.jobs)
        .filter(|j| !j.allow_failure && !j.manual)
        .map(|j| &j.name)
        .collect();
    let fits: Vec<(&Arc<str>, &super::names::FailureText)> = names
        .iter()
        .filter_map(|name| {
            FAILURES.iter().find(|text| name.contains(text.job_contains)).map(|text| (*name, text))
        })
        .collect();
    let wanted: Vec<_> = fits.iter().filter(|(_, text)| kind.is_none_or(|kind| text.kind == kind)).collect();
    let chosen = wanted.choose(rng).copied().or_else(|| fits.choose(rng));
    match chosen {
        Some((name, text)) => of_text(name, text),
        None => of_text(&Arc::from("build"), &FAILURES[FAILURES.len() - 1]),
    }
}

/// How a job of this name fails.
pub(crate) fn failure_of(name: &Arc<str>) -> Failure {
    let text = FAILURES
        .iter()
        .find(|text| name.contains(text.job_contains))
        .unwrap_or(&FAILURES[FAILURES.len() - 1]);
    of_text(name, text)
}

fn of_text(name: &Arc<str>, text: &super::names::FailureText) -> Failure {
    Failure {
        job: name.clone(),
        kind: text.kind,
        summary: text.summary,
        details: text.details,
        file: text.file,
        line: text.line,
    }
}

/// The jobs of a run that is over, or that waits: they fill exactly the time between its start and its end.
pub(crate) fn past_jobs(project: &Project, run: &Pipeline) -> Vec<Job> {
    let Some(workflow) = project.workflows.get(run.workflow) else { return Vec::new() };
    let mut rng = rng(project.seed, 1_000_000 + u64::from(run.number));
    let start = run.started_at.unwrap_or(run.created_at);
    let end = run.finished_at.unwrap_or(run.updated_at);
    let failed_stage = run
        .failure
        .as_ref()
        .filter(|_| run.status == RunStatus::Failed)
        .and_then(|f| workflow.stages.iter().position(|s| s.jobs.iter().any(|j| j.name == f.job)));
    let stopped_at = match run.status {
        RunStatus::Failed => failed_stage.unwrap_or(workflow.stages.len() - 1),
        RunStatus::Canceled => workflow.stages.len() / 2,
        RunStatus::Manual => workflow.stages.len().saturating_sub(2),
        RunStatus::Skipped => return skipped(workflow, run),
        _ => workflow.stages.len() - 1,
    };
    let shares: f64 = workflow.stages[..=stopped_at].iter().map(|s| s.share).sum();
    let total_ms = (end.as_millisecond() - start.as_millisecond()).max(0) as f64;
    let mut at = start;
    let mut jobs = Vec::new();
    for (stage_index, stage) in workflow.stages.iter().enumerate() {
        let stage_ms = total_ms * stage.share / shares;
        for plan in &stage.jobs {
            let mut job = new_job(run, jobs.len(), stage_index, stage.name, plan);
            job.status = RunStatus::Skipped;
            if stage_index <= stopped_at {
                let wait = (stage_ms * rng.random_range(0.0..0.08)) as i64;
                let begin = later(at, if plan.weight < 1.0 { wait } else { 0 });
                let last = later(at, stage_ms as i64);
                let finish = later(begin, (stage_ms * plan.weight) as i64).min(last);
                job.queued_at = Some(if stage_index == 0 { run.created_at } else { at });
                job.started_at = Some(begin);
                job.finished_at = Some(finish);
                job.status = RunStatus::Success;
                let breaks = stage_index == stopped_at;
                if breaks && run.status == RunStatus::Canceled && plan.weight >= 1.0 {
                    job.status = RunStatus::Canceled;
                } else if run.status == RunStatus::Failed
                    && run.failure.as_ref().is_some_and(|f| f.job == plan.name)
                {
                    job.status = RunStatus::Failed;
                    job.failure = run.failure.clone();
                    job.finished_at = Some(last);
                } else if run.warnings && plan.allow_failure {
                    job.status = RunStatus::Failed;
                    job.failure = Some(failure_of(&plan.name));
                }
            } else if run.status == RunStatus::Manual && plan.manual {
                job.status = RunStatus::Manual;
            } else if run.status == RunStatus::Canceled {
                job.status = RunStatus::Canceled;
                job.finished_at = Some(end);
            }
            jobs.push(job);
        }
        at = later(at, if stage_index <= stopped_at { stage_ms as i64 } else { 0 });
    }
    if run.attempt > 1 { with_first_attempt(run, jobs) } else { jobs }
}

/// Puts the failed job of the first attempt before the jobs of the second one.
fn with_first_attempt(run: &Pipeline, mut jobs: Vec<Job>) -> Vec<Job> {
    let Some(past) = run.past_attempts.last() else { return jobs };
    let Some(at) = jobs.iter().rposition(|j| j.stage_index > 0 && !j.allow_failure && j.started_at.is_some())
    else {
        return jobs;
    };
    let mut old = jobs[at].clone();
    old.status = RunStatus::Failed;
    old.failure = Some(failure_of(&old.name));
    old.retried = true;
    old.attempt = past.number;
    old.queued_at = Some(past.started_at);
    old.started_at = Some(past.started_at);
    old.finished_at = Some(past.finished_at);
    jobs.insert(0, old);
    for (k, job) in jobs.iter_mut().enumerate() {
        job.id = run.id * JOBS_PER_RUN + k as u64;
    }
    jobs
}

fn skipped(workflow: &Workflow, run: &Pipeline) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (stage_index, stage) in workflow.stages.iter().enumerate() {
        for plan in &stage.jobs {
            let mut job = new_job(run, jobs.len(), stage_index, stage.name, plan);
            job.status = RunStatus::Skipped;
            jobs.push(job);
        }
    }
    jobs
}

fn new_job(run: &Pipeline, at: usize, stage_index: usize, stage: &'static str, plan: &JobPlan) -> Job {
    Job {
        id: run.id * JOBS_PER_RUN + at as u64,
        name: plan.name.clone(),
        stage,
        stage_index,
        status: RunStatus::Created,
        allow_failure: plan.allow_failure,
        failure: None,
        attempt: run.attempt,
        retried: false,
        created_at: run.created_at,
        queued_at: None,
        started_at: None,
        finished_at: None,
        plan: LivePlan { manual: plan.manual, ..LivePlan::default() },
    }
}

/// The jobs of a run that is about to begin, with all that will happen to them; `total_ms` is the time of all stages.
pub(crate) fn live_jobs(
    rng: &mut impl Rng,
    workflow: &Workflow,
    run: &Pipeline,
    total_ms: i64,
    warns: bool,
) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (stage_index, stage) in workflow.stages.iter().enumerate() {
        for plan in &stage.jobs {
            let mut job = new_job(run, jobs.len(), stage_index, stage.name, plan);
            let stage_ms = total_ms as f64 * stage.share;
            job.plan.queue_ms = rng.random_range(500..4_000);
            job.plan.run_ms = ((stage_ms * plan.weight) as i64).max(1_000);
            job.plan.fails =
                run.failure.as_ref().is_some_and(|f| f.job == plan.name) || (warns && plan.allow_failure);
            jobs.push(job);
        }
    }
    jobs
}
