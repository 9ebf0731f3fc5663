//! Every state of a project's and of a run's page.

use std::time::Duration;

use api::{duration, timestamp, v1};
use web::pages::{self, Ctx, ListQuery, Live, OfProject};

use super::kit::*;
use super::overview::broken_three;

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn ledger() -> Line {
    broken_three().remove(1)
}

fn gitlab() -> v1::Source {
    source("gitlab-main", "gitlab", "GitLab")
}

fn project_answer(l: &Line) -> v1::GetProjectResponse {
    v1::GetProjectResponse {
        row: Some(l.row()),
        key: Some(key(l.source, &l.name)),
        source: Some(gitlab()),
        version: Some(v1::Version { epoch: 3, sequence: 17 }),
    }
}

fn branches(l: &Line) -> v1::ListBranchesResponse {
    let other = |name: &str, l: Line| v1::Branch {
        name: name.into(),
        default: false,
        state: l.branch().state,
        ..Line { branch: name.into(), ..l }.branch()
    };
    let list = vec![
        v1::Branch { protected: Some(true), ..l.branch() },
        v1::Branch {
            default: false,
            ..other(
                "release/2.8",
                line(l.source, &l.name, "release/2.8")
                    .commit("c1d2e3f0", "ida", "Back-port the rounding fix")
                    .changed(3 * HOUR),
            )
        },
        v1::Branch {
            default: false,
            ..other(
                "fix/half-even",
                line(l.source, &l.name, "fix/half-even")
                    .red("unit-tests failed", 40 * MIN, 1)
                    .running(240)
                    .typical(372)
                    .changed(10),
            )
        },
        v1::Branch {
            default: false,
            ..other(
                "feat/multi-currency",
                Line {
                    outcome: v1::Outcome::Warning,
                    failure: Some("lint-sql".into()),
                    ..line(l.source, &l.name, "feat/multi-currency")
                }
                .changed(DAY),
            )
        },
    ];
    v1::ListBranchesResponse { total: 4, branches: list, page: 1, per_page: 100, ..Default::default() }
}

fn runs(l: &Line, n: u64) -> v1::ListPipelinesResponse {
    use v1::Status::{Canceled, Failed, Manual, Queued, Running, Skipped, Success, Warning};
    let statuses = [
        Running, Failed, Failed, Success, Canceled, Success, Warning, Success, Queued, Skipped, Manual,
        Success,
    ];
    let mut dice = Dice::new(5);
    let pipelines = (0..n)
        .map(|i| {
            let status = statuses[i as usize % statuses.len()];
            let began = ago((i as i64) * 47 * MIN + 250);
            let took = 250 + dice.roll(240);
            v1::Pipeline {
                project: Some(key(l.source, &l.name)),
                id: (48_213 - i).to_string(),
                number: Some(48_213 - i),
                attempt: Some(if i == 2 { 2 } else { 1 }),
                workflow: Some(if i % 4 == 3 { "nightly" } else { "push" }.into()),
                branch: Some(["main", "main", "release/2.8", "fix/half-even"][i as usize % 4].into()),
                sha: Some(format!("{:08x}", dice.roll(1 << 32))),
                status: status.into(),
                native_status: format!("{status:?}"),
                event: Some("push".into()),
                author: Some(person(["mira", "ida", "noor"][i as usize % 3])),
                message: Some(
                    ["Round half even in fees", "Test the rounding", "Back-port the rounding fix\n\nLong."]
                        [i as usize % 3]
                        .into(),
                ),
                created_at: Some(timestamp(began)),
                started_at: (status != Queued).then(|| timestamp(began)),
                duration: (!matches!(status, Running | Queued)).then(|| duration(secs(took))),
                queued: Some(duration(secs(dice.roll(30)))),
                failure: (status == Failed).then(|| "unit-tests: 3 of 1,204 tests failed".into()),
                ..Default::default()
            }
        })
        .collect();
    v1::ListPipelinesResponse {
        pipelines,
        total: 120,
        page: 1,
        per_page: 50,
        version: None,
        ..Default::default()
    }
}

fn job(id: &str, stage: &str, status: v1::Status, from: i64, took: u64) -> v1::Job {
    let start = 30 * MIN;
    v1::Job {
        id: id.into(),
        name: id.into(),
        stage: Some(stage.into()),
        status: status.into(),
        native_status: format!("{status:?}"),
        created_at: Some(timestamp(ago(start - from + 8))),
        started_at: (took > 0).then(|| timestamp(ago(start - from))),
        finished_at: (took > 0).then(|| timestamp(ago(start - from - took as i64))),
        duration: (took > 0).then(|| duration(secs(took))),
        queued: (took > 0).then(|| duration(secs(8))),
        ..Default::default()
    }
}

fn failed_run() -> v1::GetPipelineResponse {
    use v1::Status::{Failed, Skipped, Success};
    let l = ledger();
    let jobs = vec![
        job("compile", "build", Success, 0, 78),
        job("image", "build", Success, 0, 96),
        job("lint", "test", Success, 104, 34),
        v1::Job {
            failure_reason: Some("script_failure".into()),
            url: Some("https://gitlab.example.com/job/3".into()),
            ..job("unit-tests", "test", Failed, 104, 175)
        },
        job("contract", "test", Success, 112, 141),
        v1::Job { allow_failure: true, ..job("lint-sql", "test", Failed, 112, 20) },
        job("e2e", "test", Success, 112, 257),
        job("staging", "deploy", Skipped, 0, 0),
    ];
    v1::GetPipelineResponse {
        pipeline: Some(v1::Pipeline {
            project: Some(key(l.source, &l.name)),
            id: "48213".into(),
            number: Some(48_213),
            workflow: Some("push".into()),
            branch: Some("main".into()),
            sha: Some("a41f9c2d0e".into()),
            status: Failed.into(),
            native_status: "failed".into(),
            event: Some("push".into()),
            author: Some(person("mira")),
            message: Some("Round half even in fees".into()),
            created_at: Some(timestamp(ago(30 * MIN + 8))),
            started_at: Some(timestamp(ago(30 * MIN))),
            finished_at: Some(timestamp(ago(30 * MIN - 372))),
            duration: Some(duration(secs(372))),
            queued: Some(duration(secs(8))),
            failure: Some("unit-tests failed: 3 of 1,204 tests".into()),
            url: Some("https://gitlab.example.com/payments/ledger-api/-/pipelines/48213".into()),
            ..Default::default()
        }),
        jobs,
        project: Some(l.project()),
        source: Some(gitlab()),
        median_green: Some(duration(secs(350))),
        fetched_at: Some(timestamp(ago(20))),
        ..Default::default()
    }
}

/// A log with everything that logs have.
fn log_text() -> String {
    let mut text = String::from(
        "\u{1b}[0KRunning with gitlab-runner 17.4\u{1b}[0;m\n\u{1b}[32;1m$ cargo test\u{1b}[0;m\n",
    );
    for i in 0..40 {
        text.push_str(&format!("test fees::case_{i} ... \u{1b}[32mok\u{1b}[0m\n"));
    }
    text.push_str("download 10 %\rdownload 100 %\n<script>alert(1)</script> & a very long line: ");
    text.push_str(&"x".repeat(400));
    text.push_str(
        "\ntest fees::negative ... ok\ntest fees::zero ... ok\ntest fees::half_even ... \u{1b}[31mFAILED\u{1b}[0m\n\
         assertion failed: fee(10.005) == 10.00, got 10.01\n      at tests/fees.rs:88\n\
         test result: FAILED. 1201 passed; 3 failed; 41.2 s\n\u{1b}[31;1mERROR: Job failed: exit code 101\u{1b}[0;m\n",
    );
    text
}

/// Name and page of every state.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let base = ctx();
    let l = ledger();
    let none = ListQuery::default();
    let draw = |ctx: &Ctx<'_>,
                query: &ListQuery,
                l: &Line,
                b: &v1::ListBranchesResponse,
                r: &v1::ListPipelinesResponse| {
        let shown = OfProject {
            project: project_answer(l),
            branches: b.clone(),
            pipelines: r.clone(),
            merge_requests: Some(super::lists::of_project(&l.name)).filter(|_| !b.loading),
            schedule: Some(super::sources::schedule()).filter(|_| !b.loading),
            stats: Some(super::insights::of_project()).filter(|_| !b.loading),
        };
        pages::project(ctx, query, &shown).unwrap()
    };
    let nothing = v1::ListPipelinesResponse::default();
    let cold = v1::ListBranchesResponse { loading: true, ..Default::default() };
    let failed_filter = ListQuery {
        statuses: vec!["canceled".into()],
        branch: Some("fix/half-even".into()),
        ..ListQuery::default()
    };
    let away = Line { as_of: Some(14 * MIN), ..l.clone() };
    let mut away_answer = project_answer(&away);
    away_answer.source = Some(v1::Source {
        state: v1::SourceState::Down.into(),
        error: Some("Connection refused".into()),
        failing_since: Some(timestamp(ago(20 * MIN))),
        next_try_at: Some(timestamp(ago(-20))),
        ..gitlab()
    });
    let problem = Line {
        problem: Some(("forbidden", "GitLab answered 403: the token needs the scope `read_api`".into())),
        no_runs: true,
        ..line("gitlab-main", "acme/private", "")
    };

    let run = failed_run();
    let log = v1::GetJobLogResponse {
        text: log_text(),
        fetched_at: Some(timestamp(ago(20))),
        truncated: true,
        ..Default::default()
    };
    let running = {
        use v1::Status::{Queued, Running, Success};
        let mut r = failed_run();
        let p = r.pipeline.as_mut().unwrap();
        (p.status, p.finished_at, p.duration, p.failure) = (Running.into(), None, None, None);
        p.started_at = Some(timestamp(ago(30 * MIN)));
        p.expected_duration = Some(duration(secs(2400)));
        r.jobs = vec![
            job("compile", "build", Success, 0, 600),
            v1::Job { finished_at: None, duration: None, ..job("unit-tests", "test", Running, 700, 1) },
            v1::Job { started_at: None, ..job("e2e", "test", Queued, 0, 0) },
            job("staging", "deploy", v1::Status::Manual, 0, 0),
        ];
        r
    };
    let cold_run = v1::GetPipelineResponse { jobs: vec![], loading: true, ..failed_run() };
    let no_jobs = v1::GetPipelineResponse {
        jobs: vec![],
        problems: vec![v1::Problem {
            kind: "partial".into(),
            text: "The jobs could not be read: 502".into(),
        }],
        ..failed_run()
    };
    let draw_run =
        |answer: &v1::GetPipelineResponse, job: Option<&str>, log: Option<&v1::GetJobLogResponse>| {
            pages::pipeline(&base, answer, job, log).unwrap()
        };
    let waiting_log = v1::GetJobLogResponse { loading: true, ..Default::default() };
    let no_log = v1::GetJobLogResponse {
        note: Some("The log was deleted after 90 days.".into()),
        ..Default::default()
    };
    vec![
        ("project", draw(&base, &none, &l, &branches(&l), &runs(&l, 20))),
        ("project-loading", draw(&base, &none, &l, &cold, &runs(&l, 3))),
        ("project-empty-filter", draw(&base, &failed_filter, &l, &branches(&l), &nothing)),
        ("project-problem", draw(&base, &none, &problem, &v1::ListBranchesResponse::default(), &nothing)),
        (
            "project-away",
            pages::project(
                &Ctx { live: Live::Partly { live: 0, of: 1 }, ..base.clone() },
                &none,
                &OfProject {
                    project: away_answer,
                    branches: branches(&away),
                    pipelines: runs(&l, 5),
                    merge_requests: None,
                    schedule: Some(super::sources::paused()),
                    stats: None,
                },
            )
            .unwrap(),
        ),
        ("pipeline", draw_run(&run, Some("unit-tests"), Some(&log))),
        ("pipeline-running", draw_run(&running, None, None)),
        ("pipeline-loading", draw_run(&cold_run, None, None)),
        ("pipeline-no-jobs", draw_run(&no_jobs, None, None)),
        ("pipeline-log-loading", draw_run(&run, Some("unit-tests"), Some(&waiting_log))),
        ("pipeline-no-log", draw_run(&run, Some("compile"), Some(&no_log))),
    ]
}
