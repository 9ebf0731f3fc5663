//! World to CircleCI's JSON.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::face::{millis, seconds};
use crate::world::{
    FailureKind, Job, LineKind, LogLine, PersonId, Pipeline, Project, RunStatus, Trigger, Visibility,
};

/// Stands in the first part of an id, so that ids of one sort are never those of another.
const PIPELINE: u64 = 0xc1a0_0001;
const WORKFLOW: u64 = 0xc1a0_0002;
const JOB: u64 = 0xc1a0_0003;
const OTHER: u64 = 0xc1a0_0004;

fn uuid(sort: u64, more: u64, id: u64) -> String {
    format!("{sort:08x}-{:04x}-4000-8000-{id:012x}", more & 0xffff)
}

/// Reads what [`uuid`] wrote: the number in the middle and the id.
fn read_uuid(sort: u64, text: &str) -> Option<(u64, u64)> {
    let mut parts = text.split('-');
    let (first, more) = (parts.next()?, parts.next()?);
    let id = parts.nth(2)?;
    let number = |part| u64::from_str_radix(part, 16).ok();
    (number(first)? == sort && parts.next().is_none()).then(|| Some((number(more)?, number(id)?))).flatten()
}

pub(super) fn pipeline_id(run: &Pipeline) -> String {
    uuid(PIPELINE, 0, run.id)
}

/// The id of a try's workflow.
pub(super) fn workflow_id(run: &Pipeline, attempt: u32) -> String {
    uuid(WORKFLOW, u64::from(attempt), run.id)
}

pub(super) fn read_pipeline_id(text: &str) -> Option<u64> {
    read_uuid(PIPELINE, text).map(|(_, id)| id)
}

/// Try and run.
pub(super) fn read_workflow_id(text: &str) -> Option<(u32, u64)> {
    read_uuid(WORKFLOW, text).and_then(|(attempt, id)| Some((u32::try_from(attempt).ok()?, id)))
}

pub(super) fn slug(project: &Project) -> String {
    format!("gh/{}/{}", project.namespace, project.path)
}

fn person_id(person: PersonId) -> String {
    uuid(OTHER, 1, u64::from(person.0))
}

fn organization_id(namespace: &str) -> String {
    uuid(OTHER, 2, namespace.bytes().fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 0xffff_ffff))
}

fn avatar(origin: &str, person: PersonId) -> String {
    format!("{origin}/{}/avatar.png", person.person().login)
}

pub(super) fn me(origin: &str, person: PersonId) -> Value {
    json!({
        "id": person_id(person),
        "login": person.person().login,
        "name": person.person().name,
        "avatar_url": avatar(origin, person),
    })
}

pub(super) fn collaboration(origin: &str, namespace: &str) -> Value {
    json!({
        "vcs_type": "github",
        "slug": format!("gh/{namespace}"),
        "name": namespace,
        "id": organization_id(namespace),
        "avatar_url": format!("{origin}/{namespace}/avatar.png"),
    })
}

fn repository(project: &Project) -> String {
    format!("https://github.com/{}", project.full_path())
}

pub(super) fn project(project: &Project) -> Value {
    json!({
        "slug": slug(project),
        "name": project.path,
        "id": uuid(OTHER, 3, project.native_id),
        "organization_name": project.namespace,
        "organization_slug": format!("gh/{}", project.namespace),
        "organization_id": organization_id(&project.namespace),
        "vcs_info": {
            "vcs_url": repository(project),
            "provider": "GitHub",
            "default_branch": project.default_branch,
        },
    })
}

/// A row of v1.1's list of followed projects.
pub(super) fn followed(project: &Project) -> Value {
    json!({
        "vcs_url": repository(project),
        "vcs_type": "github",
        "username": project.namespace,
        "reponame": project.path,
        "default_branch": project.default_branch,
        "followed": true,
        "oss": project.visibility == Visibility::Public,
        "language": null,
    })
}

pub(super) fn pipeline(origin: &str, project: &Project, run: &Pipeline) -> Value {
    let repository = repository(project);
    let mut vcs = json!({
        "provider_name": "GitHub",
        "target_repository_url": repository,
        "origin_repository_url": repository,
        "revision": run.sha,
    });
    let place = if run.trigger == Trigger::Tag { "tag" } else { "branch" };
    vcs[place] = json!(run.branch);
    if let Some(commit) = project.commit(&run.sha) {
        vcs["commit"] = json!({ "subject": commit.title, "body": "" });
    }
    json!({
        "id": pipeline_id(run),
        "errors": [],
        "project_slug": slug(project),
        "updated_at": millis(run.created_at),
        "number": run.number,
        "state": "created",
        "created_at": millis(run.created_at),
        "trigger": {
            "type": match run.trigger {
                Trigger::Schedule => "scheduled_pipeline",
                Trigger::Manual => "api",
                Trigger::Push | Trigger::Tag | Trigger::MergeRequest(_) | Trigger::Workflow => "webhook",
            },
            "received_at": millis(run.created_at),
            "actor": { "login": run.actor.person().login, "avatar_url": avatar(origin, run.actor) },
        },
        "vcs": vcs,
    })
}

/// How many tries a run had.
pub(super) fn attempts(run: &Pipeline) -> u32 {
    run.attempt
}

/// The workflow that one try of a run is; none for a try that never was.
pub(super) fn workflow(project: &Project, run: &Pipeline, attempt: u32) -> Option<Value> {
    let (status, began, ended) = if attempt == run.attempt {
        let failing = run.status == RunStatus::Running
            && project
                .jobs(run)
                .iter()
                .any(|j| !j.retried && j.status == RunStatus::Failed && !j.allow_failure);
        let ended = run.finished_at.filter(|_| run.status.is_terminal());
        (if failing { "failing" } else { workflow_status(run.status) }, run.attempt_at, ended)
    } else {
        let past = run.past_attempts.iter().find(|past| past.number == attempt)?;
        (workflow_status(past.status), past.started_at, Some(past.finished_at))
    };
    Some(json!({
        "pipeline_id": pipeline_id(run),
        "id": workflow_id(run, attempt),
        "name": project.workflows.get(run.workflow).map(|w| w.name),
        "project_slug": slug(project),
        "status": status,
        "started_by": person_id(run.actor),
        "pipeline_number": run.number,
        "created_at": seconds(began),
        "stopped_at": ended.map(seconds),
    }))
}

fn workflow_status(status: RunStatus) -> &'static str {
    match status {
        // A workflow does not wait; its jobs do.
        RunStatus::Created | RunStatus::Queued | RunStatus::Running => "running",
        RunStatus::Success => "success",
        RunStatus::Failed => "failed",
        RunStatus::Canceled => "canceled",
        RunStatus::Skipped => "not_run",
        RunStatus::Manual => "on_hold",
    }
}

/// CircleCI knows no job that may fail: such a one ends well.
pub(super) fn job_status(job: &Job) -> &'static str {
    match (job.status, job.failure.as_ref().map(|f| f.kind)) {
        (RunStatus::Failed, _) if job.allow_failure => "success",
        (RunStatus::Failed, Some(FailureKind::Timeout)) => "timedout",
        (RunStatus::Failed, Some(FailureKind::RunnerSystem)) => "infrastructure_fail",
        (RunStatus::Failed, _) => "failed",
        (RunStatus::Created, _) => "blocked",
        (RunStatus::Queued, _) => "queued",
        (RunStatus::Running, _) => "running",
        (RunStatus::Success, _) => "success",
        (RunStatus::Canceled, _) => "canceled",
        (RunStatus::Skipped, _) => "not_run",
        (RunStatus::Manual, _) => "on_hold",
    }
}

/// The jobs of a try: those of it, and those of earlier ones that did not run again.
pub(super) fn jobs_of(jobs: &[Job], attempt: u32) -> Vec<&Job> {
    let newer = |job: &Job| {
        jobs.iter().any(|j| j.name == job.name && j.attempt <= attempt && j.attempt > job.attempt)
    };
    jobs.iter().filter(|job| job.attempt <= attempt && !newer(job)).collect()
}

pub(super) fn job(project: &Project, job: &Job, all: &[&Job]) -> Value {
    let before = job.stage_index.checked_sub(1);
    let dependencies: Vec<_> =
        all.iter().filter(|j| Some(j.stage_index) == before).map(|j| uuid(JOB, 0, j.id)).collect();
    let mut value = json!({
        "id": uuid(JOB, 0, job.id),
        "name": job.name,
        "project_slug": slug(project),
        "status": job_status(job),
        "dependencies": dependencies,
        "started_at": job.started_at.map(seconds),
        "stopped_at": job.finished_at.map(seconds),
    });
    if job.status == RunStatus::Manual {
        value["type"] = json!("approval");
        value["approval_request_id"] = json!(uuid(JOB, 1, job.id));
    } else {
        value["type"] = json!("build");
        // What has not begun has none.
        if job.started_at.is_some() {
            value["job_number"] = json!(job.id);
        }
    }
    value
}

/// `GET /project/:slug/job/:number`.
pub(super) fn job_details(project: &Project, run: &Pipeline, job: &Job, now: Timestamp) -> Value {
    let until = job.finished_at.unwrap_or(now);
    json!({
        "number": job.id,
        "name": job.name,
        "status": job_status(job),
        "web_url": format!("https://circleci.com/{}/{}", slug(project), job.id),
        "project": { "id": uuid(OTHER, 3, project.native_id), "slug": slug(project), "name": project.path, "external_url": repository(project) },
        "organization": { "name": project.namespace },
        "pipeline": { "id": pipeline_id(run) },
        "latest_workflow": { "id": workflow_id(run, job.attempt), "name": project.workflows.get(run.workflow).map(|w| w.name) },
        "messages": [],
        "contexts": [],
        "parallelism": 1,
        "parallel_runs": [{ "index": 0, "status": job_status(job) }],
        "executor": { "resource_class": "medium", "type": "docker" },
        "created_at": millis(job.created_at),
        "queued_at": job.queued_at.map(millis),
        "started_at": job.started_at.map(millis),
        "stopped_at": job.finished_at.map(millis),
        "duration": job.started_at.map(|from| (until.as_millisecond() - from.as_millisecond()).max(0)),
    })
}

/// A job's log by steps: title and lines.
fn steps(lines: &[LogLine]) -> Vec<(&str, Vec<&LogLine>)> {
    let mut steps: Vec<(&str, Vec<&LogLine>)> = Vec::new();
    for line in lines {
        match line.kind {
            LineKind::SectionStart => steps.push((&line.text, Vec::new())),
            LineKind::SectionEnd => {}
            _ => {
                if let Some((_, lines)) = steps.last_mut() {
                    lines.push(line);
                }
            }
        }
    }
    steps
}

/// `GET /api/v1.1/project/:slug/:number`. `link` makes the signed link to the output of a step.
pub(super) fn build(project: &Project, job: &Job, now: Timestamp, link: impl Fn(usize) -> String) -> Value {
    let lines = project.log(job, now);
    let all = steps(&lines);
    let last = all.len().saturating_sub(1);
    let steps = all.iter().enumerate().map(|(at, (title, lines))| {
        let status = match job_status(job) {
            _ if at < last => "success",
            "infrastructure_fail" => "failed",
            status => status,
        };
        let failed = matches!(status, "failed" | "timedout");
        json!({
            "name": title,
            "actions": [{
                "index": 0,
                "step": at,
                "name": title,
                "type": "test",
                "status": status,
                "failed": failed.then_some(true),
                "exit_code": if failed { json!(1) } else if job.status.is_terminal() { json!(0) } else { Value::Null },
                "has_output": !lines.is_empty(),
                "output_url": (!lines.is_empty()).then(|| link(at)),
            }],
        })
    });
    json!({
        "build_num": job.id,
        "reponame": project.path,
        "username": project.namespace,
        "vcs_type": "github",
        "oss": project.visibility == Visibility::Public,
        "status": job_status(job),
        "outcome": job.status.is_terminal().then(|| job_status(job)),
        "lifecycle": if job.status.is_terminal() { "finished" } else { "running" },
        "timedout": job_status(job) == "timedout",
        "infrastructure_fail": job_status(job) == "infrastructure_fail",
        "steps": steps.collect::<Vec<_>>(),
    })
}

/// The output of a step as the object store has it.
pub(crate) fn output(project: &Project, job_id: u64, step: usize, now: Timestamp) -> Option<Value> {
    let run = project.pipeline(job_id / crate::world::JOBS_PER_RUN)?;
    let job = project.jobs(run).iter().find(|job| job.id == job_id)?;
    let lines = project.log(job, now);
    let all = steps(&lines);
    let (_, lines) = all.get(step)?;
    let text: String = lines
        .iter()
        .map(|line| match line.kind {
            LineKind::Command => format!("$ {}\r\n", line.text),
            LineKind::Good => format!("\u{1b}[32m{}\u{1b}[0m\r\n", line.text),
            LineKind::Warning => format!("\u{1b}[33m{}\u{1b}[0m\r\n", line.text),
            LineKind::Error => format!("\u{1b}[31m{}\u{1b}[0m\r\n", line.text),
            _ => format!("{}\r\n", line.text),
        })
        .collect();
    let at = lines.first().map(|line| millis(line.at));
    Some(json!([{ "message": text, "time": at, "type": "out" }]))
}
