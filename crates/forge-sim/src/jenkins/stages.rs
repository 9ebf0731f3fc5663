//! The Pipeline REST API plugin's `wfapi/describe`, and the console, whose `[Pipeline]` lines mark the same stages.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::jobs::Job;
use super::json::result;
use crate::world::{Job as WorldJob, LineKind, Pipeline, RunStatus};

/// A console note: what a browser makes of the text behind it, hidden from a terminal.
const NOTE: &str = "\u{1b}[8mha:////4NoteOfTheSimulator+AAAAoh+LCAAAAAAAAP9b85aBtbiIQTGjNKU4P0+vIKc0PTOvWK8kMze1uCQxtyC1SC8ExvbLL0ll\u{1b}[0m";

/// The jobs of a stage that count.
fn by_stage<'a>(job: &Job<'_>, run: &'a Pipeline) -> Vec<(&'static str, Vec<&'a WorldJob>)> {
    let mut stages: Vec<(usize, &'static str, Vec<&WorldJob>)> = Vec::new();
    for part in job.project.jobs(run).iter().filter(|part| !part.retried) {
        match stages.iter_mut().find(|(index, ..)| *index == part.stage_index) {
            Some((.., parts)) => parts.push(part),
            None => stages.push((part.stage_index, part.stage, vec![part])),
        }
    }
    stages.sort_by_key(|(index, ..)| *index);
    stages.into_iter().map(|(_, name, parts)| (name, parts)).collect()
}

fn status(parts: &[&WorldJob]) -> Option<&'static str> {
    let any = |wanted: RunStatus| parts.iter().any(|p| p.status == wanted);
    let failed =
        |allowed: bool| parts.iter().any(|p| p.status == RunStatus::Failed && p.allow_failure == allowed);
    if any(RunStatus::Running) {
        Some("IN_PROGRESS")
    } else if any(RunStatus::Manual) {
        Some("PAUSED_PENDING_INPUT")
    } else if failed(false) {
        Some("FAILED")
    } else if any(RunStatus::Canceled) {
        Some("ABORTED")
    } else if any(RunStatus::Queued) {
        Some("IN_PROGRESS")
    } else if failed(true) {
        Some("UNSTABLE")
    } else if parts.iter().all(|p| p.status == RunStatus::Skipped) {
        Some("NOT_EXECUTED")
    } else if any(RunStatus::Created) {
        // A stage is told once it has begun.
        None
    } else {
        Some("SUCCESS")
    }
}

/// `wfapi/describe`.
pub(super) fn describe(job: &Job<'_>, run: &Pipeline, now: Timestamp) -> Value {
    let number = run.number;
    let path = format!("/{}{number}", job.path());
    let mut stages = Vec::new();
    let mut clock = run.started_at.unwrap_or(run.created_at);
    for (index, (name, parts)) in by_stage(job, run).into_iter().enumerate() {
        let Some(word) = status(&parts) else { continue };
        let began = parts.iter().filter_map(|p| p.started_at).min().unwrap_or(clock);
        let ended = parts.iter().filter_map(|p| p.finished_at).max();
        let open = matches!(word, "IN_PROGRESS" | "PAUSED_PENDING_INPUT");
        let end = if open { now } else { ended.unwrap_or(began) };
        let took = (end.as_millisecond() - began.as_millisecond()).max(0);
        clock = end;
        let id = 6 + 10 * index;
        let mut stage = json!({
            "_links": { "self": { "href": format!("{path}/execution/node/{id}/wfapi/describe") } },
            "id": id.to_string(), "name": name, "execNode": "", "status": word,
            "startTimeMillis": began.as_millisecond(), "durationMillis": took,
            "pauseDurationMillis": if word == "PAUSED_PENDING_INPUT" { took } else { 0 },
        });
        let error = match word {
            "FAILED" => {
                Some(json!({ "message": "script returned exit code 1", "type": "hudson.AbortException" }))
            }
            "ABORTED" => Some(
                json!({ "message": null, "type": "org.jenkinsci.plugins.workflow.steps.FlowInterruptedException" }),
            ),
            _ => None,
        };
        if let (Some(error), Some(fields)) = (error, stage.as_object_mut()) {
            fields.insert("error".into(), error);
        }
        stages.push(stage);
    }
    let began = run.started_at.unwrap_or(run.created_at);
    let end = run.finished_at.unwrap_or(now);
    json!({
        "_links": { "self": { "href": format!("{path}/wfapi/describe") } },
        "id": number.to_string(), "name": format!("#{number}"), "status": overall(run),
        "startTimeMillis": began.as_millisecond(), "endTimeMillis": end.as_millisecond(),
        "durationMillis": (end.as_millisecond() - began.as_millisecond()).max(0),
        "queueDurationMillis": (began.as_millisecond() - run.created_at.as_millisecond()).max(0),
        "pauseDurationMillis": 0, "stages": stages,
    })
}

fn overall(run: &Pipeline) -> &'static str {
    match run.status {
        RunStatus::Manual => "PAUSED_PENDING_INPUT",
        _ => match result(run) {
            None => "IN_PROGRESS",
            Some("FAILURE") => "FAILED",
            Some("NOT_BUILT") => "NOT_EXECUTED",
            Some(word) => word,
        },
    }
}

/// The console as far as it has come.
pub(super) fn console(job: &Job<'_>, run: &Pipeline, now: Timestamp) -> String {
    let mut text = format!("Started by {NOTE}{}\n", run.actor.person().name);
    let pipeline = job.is_pipeline();
    if pipeline {
        text.push_str("[Pipeline] Start of Pipeline\n[Pipeline] node\nRunning on agent-3 in /home/jenkins/workspace\n[Pipeline] {\n");
    } else {
        text.push_str("Running as SYSTEM\nBuilding in workspace /var/lib/jenkins/workspace\n");
    }
    for (name, parts) in by_stage(job, run) {
        if parts.iter().all(|p| p.started_at.is_none()) {
            continue;
        }
        if pipeline {
            text.push_str(&format!("[Pipeline] stage\n[Pipeline] {{ ({name})\n"));
        }
        for part in &parts {
            for line in job.project.log(part, now) {
                match line.kind {
                    LineKind::SectionStart | LineKind::SectionEnd => {}
                    // A GitLab runner's last words; Jenkins has its own.
                    LineKind::Error if line.text.starts_with("Job failed: e") => {}
                    LineKind::Command => text.push_str(&format!("+ {}\n", line.text)),
                    LineKind::Error => text.push_str(&format!("\u{1b}[31mERROR: {}\u{1b}[0m\n", line.text)),
                    _ => text.push_str(&format!("{}\n", line.text)),
                }
            }
        }
        if pipeline && parts.iter().all(|p| p.status.is_terminal()) {
            text.push_str("[Pipeline] }\n[Pipeline] // stage\n");
        }
    }
    if let Some(word) = result(run) {
        let end =
            if pipeline { "[Pipeline] }\n[Pipeline] // node\n[Pipeline] End of Pipeline\n" } else { "" };
        let error = if word == "FAILURE" && pipeline { "ERROR: script returned exit code 1\n" } else { "" };
        text.push_str(&format!("{end}{error}Finished: {word}\n"));
    }
    text
}
