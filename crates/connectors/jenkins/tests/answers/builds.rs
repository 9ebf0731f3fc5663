//! How builds are, in every state and form.

use std::time::Duration;

use connector::HeadsAsk;
use domain::{Pipeline, RunId, Status, Timestamp};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::support::{ask, heads};
use super::{FREESTYLE, Forge, THEN, build, job, watching};

const JOB: &str = "GET /job/j/api/json";

/// A job of which nothing is known and that has these builds.
async fn built(builds: Value) -> Vec<Pipeline> {
    let forge = Forge::start().await;
    let last = builds[0].clone();
    forge.json(JOB, &job(FREESTYLE, "j", json!({ "lastBuild": last, "lastCompletedBuild": null })));
    forge.json(JOB, &job(FREESTYLE, "j", json!({ "lastBuild": last, "lastCompletedBuild": null })));
    forge.json(JOB, &json!({ "builds": builds }));
    let source = watching(&forge);
    let project = source.project("j").await.unwrap();
    heads(&*source, ask(&project)).await.unwrap().pipelines
}

#[tokio::test]
async fn every_result_and_every_odd_state() {
    for (patch, status, native) in [
        (json!({ "result": "SUCCESS" }), Status::Success, "SUCCESS"),
        (json!({ "result": "UNSTABLE" }), Status::Warning, "UNSTABLE"),
        (json!({ "result": "FAILURE" }), Status::Failed, "FAILURE"),
        (json!({ "result": "ABORTED" }), Status::Canceled, "ABORTED"),
        (json!({ "result": "NOT_BUILT" }), Status::Skipped, "NOT_BUILT"),
        (json!({ "result": "EXPLODED" }), Status::Unknown, "EXPLODED"),
        (json!({ "result": "" }), Status::Unknown, "NO_RESULT"),
        (json!({ "result": null }), Status::Unknown, "NO_RESULT"),
        (json!({ "result": { "name": "SUCCESS" } }), Status::Unknown, "NO_RESULT"),
        (json!({ "result": null, "building": true, "inProgress": true }), Status::Running, "IN_PROGRESS"),
        (json!({ "result": "UNSTABLE", "building": true }), Status::Running, "IN_PROGRESS"),
        (json!({ "result": "SUCCESS", "inProgress": true }), Status::Running, "IN_PROGRESS"),
        (json!({ "building": "yes", "inProgress": [] }), Status::Success, "SUCCESS"),
    ] {
        let runs = built(json!([build(7, patch.clone())])).await;
        assert_eq!((runs[0].status, runs[0].native_status.as_str()), (status, native), "{patch}");
    }
}

#[tokio::test]
async fn times_in_every_form() {
    let at = |ms: u64| Timestamp::from_millisecond(i64::try_from(ms).unwrap()).ok();
    let then = THEN + 7 * 60_000;
    for (patch, started, finished, duration, expected) in [
        (json!({}), at(then), at(then + 5_000), Some(5_000), None),
        (json!({ "duration": 0 }), at(then), at(then), None, None),
        (json!({ "duration": -4 }), at(then), at(then), None, None),
        (json!({ "duration": null, "timestamp": null }), None, None, None, None),
        (json!({ "timestamp": then.to_string() }), at(then), at(then + 5_000), Some(5_000), None),
        (json!({ "timestamp": "yesterday" }), None, None, Some(5_000), None),
        (json!({ "building": true, "duration": 0 }), at(then), None, None, Some(6_000)),
        (json!({ "building": true, "duration": 4, "estimatedDuration": -1 }), at(then), None, None, None),
        (json!({ "building": true, "estimatedDuration": "soon" }), at(then), None, None, None),
        (json!({ "duration": u64::MAX }), at(then), None, None, None),
    ] {
        let runs = built(json!([build(7, patch.clone())])).await;
        let run = &runs[0];
        let ms = |d: Option<u64>| d.map(Duration::from_millis);
        assert_eq!(run.started_at, started, "{patch}");
        assert_eq!(run.expected, ms(expected), "{patch}");
        if patch["duration"] == json!(u64::MAX) {
            assert!(run.duration.is_some(), "it is what was said");
            continue;
        }
        assert_eq!((run.finished_at, run.duration), (finished, ms(duration)), "{patch}");
    }
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_counted_and_odd_ones_are_kept() {
    let forge = Forge::start().await;
    let last = json!({ "lastBuild": build(9, json!({})), "lastCompletedBuild": 17 });
    forge.json(JOB, &job(FREESTYLE, "j", last.clone())).json(JOB, &job(FREESTYLE, "j", last));
    forge.json(JOB, &json!({ "builds": [
        build(9, json!({ "actions": null, "changeSets": 5, "changeSet": "none" })),
        17,
        { "number": "8" },
        { "number": null },
        build(7, json!({ "actions": [null, 3, {}, { "causes": {} }, { "lastBuiltRevision": [] }], "displayName": "Release 2 🚀" })),
    ] }));
    let source = watching(&forge);
    let project = source.project("j").await.unwrap();
    let read = heads(&*source, ask(&project)).await.unwrap();
    let ids: Vec<_> = read.pipelines.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["9", "7", "8"], "the one without a time is the oldest");
    assert_eq!(read.pipelines[1].message.as_deref(), Some("Release 2 🚀"));
    assert!(read.problems[0].text.contains("1 of 5 builds could not be read"), "{:?}", read.problems);
}

fn pipeline_build(patch: Value) -> Value {
    let mut value = build(7, json!({ "_class": "org.jenkinsci.plugins.workflow.job.WorkflowRun" }));
    value.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
    value
}

fn stage(id: u64, name: &str, status: &str, patch: Value) -> Value {
    let mut value = json!({
        "id": id.to_string(), "name": name, "status": status, "startTimeMillis": THEN, "durationMillis": 10_000,
        "pauseDurationMillis": 4_000,
    });
    value.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
    value
}

async fn detail(build: Value, described: Option<Value>, console: &str) -> connector::PipelineDetail {
    let forge = Forge::start().await;
    forge.json(JOB, &job(FREESTYLE, "j", json!({}))).json("GET /job/j/7/api/json", &build);
    if let Some(described) = described {
        forge.json("GET /job/j/7/wfapi/describe", &described);
    }
    forge.put("GET /job/j/7/logText/progressiveText", ResponseTemplate::new(200).set_body_string(console));
    let source = watching(&forge);
    let project = source.project("j").await.unwrap();
    source.pipeline(&project, &RunId::from(7)).await.unwrap()
}

#[tokio::test]
async fn stages_in_every_state() {
    for (word, status) in [
        ("SUCCESS", Status::Success),
        ("FAILED", Status::Failed),
        ("ABORTED", Status::Canceled),
        ("NOT_EXECUTED", Status::Skipped),
        ("IN_PROGRESS", Status::Running),
        ("PAUSED_PENDING_INPUT", Status::Manual),
        ("UNSTABLE", Status::Warning),
        ("ODD", Status::Unknown),
        ("", Status::Unknown),
    ] {
        let described = json!({ "status": "SUCCESS", "stages": [stage(6, "Test", word, json!({}))] });
        let read = detail(pipeline_build(json!({})), Some(described), "").await;
        assert_eq!(read.jobs[0].status, status, "{word}");
        let ended = !matches!(status, Status::Running | Status::Manual | Status::Skipped);
        assert_eq!(
            read.jobs[0].duration,
            ended.then_some(Duration::from_secs(6)),
            "{word}: waiting is no work"
        );
    }
    let odd = json!({ "stages": [{ "id": 6, "name": null, "status": null }, 17, stage(8, "Ende", "SUCCESS", json!({ "durationMillis": null }))] });
    let read = detail(pipeline_build(json!({})), Some(odd), "").await;
    let names: Vec<_> = read.jobs.iter().map(|j| (j.id.as_str(), j.name.as_str(), j.status)).collect();
    assert_eq!(names, [("6", "stage 1", Status::Unknown), ("8", "Ende", Status::Success)]);
    assert_eq!(read.problems.len(), 1);
}

#[tokio::test]
async fn the_reason_of_a_failure() {
    let red = |class: bool, patch: Value| {
        let build = if class {
            pipeline_build(json!({ "result": "FAILURE" }))
        } else {
            build(7, json!({ "result": "FAILURE" }))
        };
        (build, patch)
    };
    let console = "+ make\nerror: cannot find -lssl\nFinished: FAILURE\n";
    let failed = |error: Value| {
        Some(
            json!({ "stages": [stage(6, "Build", "SUCCESS", json!({})), stage(9, "Test", "FAILED", json!({ "error": error }))] }),
        )
    };
    for (what, build, described, want) in [
        (
            "the stage's own",
            red(true, json!({})).0,
            failed(json!({ "message": "no agent with label gpu" })),
            "Test: no agent with label gpu",
        ),
        (
            "a shell step's",
            red(true, json!({})).0,
            failed(json!({ "message": "script returned exit code 2" })),
            "Test: error: cannot find -lssl",
        ),
        (
            "no message",
            red(true, json!({})).0,
            failed(json!({ "message": null, "type": "hudson.AbortException" })),
            "Test: error: cannot find -lssl",
        ),
        ("no plugin", red(true, json!({})).0, None, "error: cannot find -lssl"),
        ("freestyle", red(false, json!({})).0, None, "error: cannot find -lssl"),
    ] {
        let read = detail(build, described, console).await;
        assert_eq!(read.pipeline.failure.as_deref(), Some(want), "{what}");
        assert!(read.jobs.last().unwrap().failure_reason.is_some(), "{what}");
    }
    let read = detail(build(7, json!({})), None, console).await;
    assert_eq!(read.pipeline.failure, None, "green");
}

#[tokio::test]
async fn a_build_waits_for_input() {
    let described = json!({ "status": "PAUSED_PENDING_INPUT", "stages": [stage(6, "Deploy", "PAUSED_PENDING_INPUT", json!({}))] });
    let read = detail(pipeline_build(json!({ "building": true, "result": null })), Some(described), "").await;
    assert_eq!(
        (read.pipeline.status, read.pipeline.native_status.as_str()),
        (Status::Manual, "PAUSED_PENDING_INPUT")
    );
    let odd = json!({ "status": "PAUSED_PENDING_INPUT", "stages": [] });
    let read = detail(pipeline_build(json!({})), Some(odd), "").await;
    assert_eq!(read.pipeline.status, Status::Success, "it has ended meanwhile");
}

#[tokio::test]
async fn a_failing_part_leaves_the_rest() {
    let forge = Forge::start().await;
    forge
        .json(JOB, &job(FREESTYLE, "j", json!({})))
        .json("GET /job/j/7/api/json", &pipeline_build(json!({})));
    forge.put(
        "GET /job/j/7/wfapi/describe",
        ResponseTemplate::new(200).set_body_raw("{ cut", "application/json"),
    );
    let source = watching(&forge);
    let project = source.project("j").await.unwrap();
    let read = source.pipeline(&project, &RunId::from(7)).await.unwrap();
    assert_eq!((read.pipeline.status, read.jobs.len()), (Status::Success, 1));
    assert!(read.problems[0].text.starts_with("stages: "), "{:?}", read.problems);
    for odd in ["x", "main/", "a/b/7", ""] {
        assert!(source.pipeline(&project, &RunId::new(odd)).await.is_err(), "{odd}");
    }
    // New builds cannot be read: what is known and told stands.
    let known = vec![std::sync::Arc::new(Pipeline::new(RunId::from(6), Status::Success, "SUCCESS"))];
    let told = connector::Heads {
        pipelines: vec![Pipeline::new(RunId::from(7), Status::Running, "IN_PROGRESS")],
        ..Default::default()
    };
    let broken = Forge::start().await;
    broken.put(JOB, ResponseTemplate::new(200).set_body_raw("{ cut", "application/json"));
    let source = watching(&broken);
    let read = heads(&*source, HeadsAsk { known, told: Some(told), ..ask(&project) }).await.unwrap();
    assert_eq!(read.pipelines.len(), 2);
    assert!(read.problems[0].text.starts_with("new builds: "), "{:?}", read.problems);
}

#[tokio::test]
async fn the_end_of_a_long_log() {
    let forge = Forge::start().await;
    forge.json(JOB, &job(FREESTYLE, "j", json!({})));
    let note = "\u{1b}[8mha:////4AAA\u{1b}[0m";
    let long: String = (0..5_000).map(|n| format!("{note}line {n}\r\n")).collect();
    forge.put("GET /job/j/7/logText/progressiveText", ResponseTemplate::new(200).set_body_string(long));
    forge.put("GET /job/j/8/logText/progressiveText", ResponseTemplate::new(200).set_body_string(""));
    let source = watching(&forge);
    let project = source.project("j").await.unwrap();
    let whole = domain::JobId::new("build");
    let log = source.log(&project, &RunId::from(7), &whole, 4_000).await.unwrap();
    assert!(log.truncated && log.text.ends_with("line 4999\n") && log.text.len() <= 4_000);
    assert!(log.text.lines().all(|l| l.starts_with("line ")), "{}", log.text);
    let empty = source.log(&project, &RunId::from(8), &whole, 4_000).await.unwrap();
    assert_eq!(empty.note.as_deref(), Some("no log yet"));
    let missing = source.log(&project, &RunId::from(9), &whole, 4_000).await;
    assert!(matches!(missing, Err(connector::Error::NotFound(_))));
}
