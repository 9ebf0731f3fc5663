//! The state of projects, refresh by refresh.

use std::time::Duration;

use connector::Error;
use domain::{Branch, Completeness, Pipeline, ProblemKind, Project, Status};
use serde_json::{Value, json};

use crate::forge::{Forge, object};
use crate::support::{again, ask, heads, run, settings, source};
use crate::{TOKEN, healthy, numbered, project, row};

#[tokio::test]
async fn one_refresh_reads_head_list_and_what_decides() {
    let forge = healthy().await;
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    forge.asked();
    let read = heads(&*source, ask(&project)).await.unwrap();
    assert_eq!(read.problems, []);
    assert_eq!(
        forge.asked_paths(),
        ["/projects/7/pipelines", "/projects/7/pipelines/100", "/projects/7/repository/branches/main"]
    );
    let head = read.default_branch.clone().unwrap();
    assert_eq!((head.name.as_str(), head.default, head.protected), ("main", true, Some(true)));
    assert_eq!(head.committed_at, Some("2026-11-20T08:55:00Z".parse().unwrap()));
    let newest = run(&read, 100);
    assert_eq!(newest.status, Status::Success);
    assert_eq!(
        (newest.duration, newest.queued),
        (Some(Duration::from_secs(500)), Some(Duration::from_secs(12)))
    );
    assert_eq!(
        newest.author.as_ref().unwrap().name,
        "Ada Nowak",
        "who wrote the commit, not who started the run"
    );
    assert!(newest.message.as_deref().unwrap().starts_with("Round half to even"));
    assert_eq!((newest.workflow.lane.as_str(), newest.workflow.name.as_deref()), ("\u{1f}push", None));
    assert_eq!((newest.number, newest.event.as_deref()), (Some(10), Some("push")));

    let second = heads(&*source, again(&project, &read)).await.unwrap();
    let asked = forge.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!((asked[0].path.as_str(), asked[0].status), ("/projects/7/pipelines", 304));
    let kept: Vec<_> = read.pipelines.iter().cloned().map(Pipeline::bounded).collect();
    assert_eq!(second.pipelines.iter().cloned().map(Pipeline::bounded).collect::<Vec<_>>(), kept);
    assert_eq!(second.default_branch, read.default_branch.map(Branch::bounded));
}

#[tokio::test]
async fn passed_with_warnings_comes_from_the_details_and_stays() {
    let forge = healthy().await;
    forge.json("/projects/7/pipelines/100", &object("pipeline", json!({
        "detailed_status": { "text": "Warning", "label": "passed with warnings", "group": "success-with-warnings" },
    })));
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    let read = heads(&*source, ask(&project)).await.unwrap();
    assert_eq!(
        (run(&read, 100).status, run(&read, 100).native_status.as_str()),
        (Status::Warning, "success")
    );
    let second = heads(&*source, again(&project, &read)).await.unwrap();
    assert_eq!(run(&second, 100).status, Status::Warning, "the row cannot tell, and does not overwrite");
}

#[tokio::test]
async fn a_retried_pipeline_keeps_its_id_and_leaves_its_end_behind() {
    let forge = healthy().await;
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    let read = heads(&*source, ask(&project)).await.unwrap();
    let again_at = "2026-11-20T11:00:00.000Z";
    // GitLab leaves the times of the last run in the details.
    forge
        .json("/projects/7/pipelines", &json!([row(json!({ "status": "running", "updated_at": again_at }))]))
        .json(
            "/projects/7/pipelines/100",
            &object(
                "pipeline",
                json!({
                    "status": "running", "updated_at": again_at, "detailed_status": { "group": "running" },
                }),
            ),
        );
    let second = heads(&*source, again(&project, &read)).await.unwrap();
    let now = run(&second, 100);
    assert_eq!((now.status, now.finished_at, now.duration), (Status::Running, None, None));
    assert!(now.started_at.is_some() && now.message.is_some());
    assert!(!now.is_older_than(run(&read, 100)));
}

/// Six pipelines on the default branch and the jobs of five of them on one page.
async fn with_jobs(more: &[Value]) -> (Forge, Vec<Value>) {
    let forge = healthy().await;
    let words =
        [("failed", 6), ("success", 5), ("failed", 4), ("success", 3), ("success", 2), ("success", 1)];
    let rows: Vec<_> = words.iter().map(|(word, id)| numbered(*id, json!({ "status": word }))).collect();
    let mut jobs = more.to_vec();
    for row in rows.iter().take(5) {
        let id = row["id"].as_u64().unwrap();
        let job = |n: u64, name: &str, patch: Value| {
            let at = |s: u64| format!("2026-11-01T09:{id:02}:{s:02}Z");
            let mut job = object(
                "job",
                json!({
                    "id": id * 10 + n, "name": name, "pipeline": row, "created_at": at(0), "started_at": at(n),
                    "finished_at": at(n + 20), "duration": 20.0,
                    "commit": { "id": row["sha"], "title": format!("commit {id}"), "author_name": "Ben Okafor" },
                }),
            );
            job.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
            job
        };
        let failed = json!({ "status": "failed", "failure_reason": "script_failure" });
        jobs.push(job(0, "build", json!({})));
        jobs.push(job(
            1,
            "unit-tests",
            if row["status"] == "failed" { failed } else { json!({ "failure_reason": "unknown_failure" }) },
        ));
        let lint = json!({ "status": if id == 3 { "failed" } else { "success" }, "allow_failure": true, "failure_reason": "script_failure" });
        jobs.push(job(2, "lint", lint));
    }
    jobs.sort_by_key(|j| std::cmp::Reverse(j["id"].as_u64()));
    forge.json("/projects/7/pipelines", &json!(rows)).json("/projects/7/jobs", &json!(jobs));
    for row in &rows {
        let mut detail = object("pipeline", json!({ "detailed_status": { "group": row["status"] } }));
        detail.as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
        forge.json(&format!("/projects/7/pipelines/{}", row["id"]), &detail);
    }
    (forge, rows)
}

#[tokio::test]
async fn one_page_of_jobs_tells_of_many_pipelines() {
    let (forge, _) = with_jobs(&[]).await;
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    forge.asked();
    let read = heads(&*source, ask(&project)).await.unwrap();
    assert_eq!(read.problems, []);
    let details: Vec<_> =
        forge.asked_paths().into_iter().filter(|p| p.starts_with("/projects/7/pipelines/")).collect();
    assert_eq!(details, ["/projects/7/pipelines/1"], "only the one that the page does not tell of");

    let red = run(&read, 6);
    assert_eq!(red.failure.as_deref(), Some("unit-tests: script failure"));
    assert_eq!(red.message.as_deref(), Some("commit 6"));
    assert_eq!(red.author.as_ref().unwrap().name, "Ben Okafor");
    assert_eq!((red.duration, red.queued), (Some(Duration::from_secs(22)), Some(Duration::ZERO)));
    assert_eq!(run(&read, 3).status, Status::Warning, "a job failed that may");
    assert_eq!(run(&read, 3).failure.as_deref(), Some("lint: script failure"));
    assert_eq!(run(&read, 5).status, Status::Success);
    assert_eq!(run(&read, 5).failure, None, "a reason on a job that passed is none");
    assert!(read.pipelines.iter().all(|r| r.completeness == Completeness::Full));

    let _ = heads(&*source, again(&project, &read)).await.unwrap();
    assert_eq!(forge.asked_paths(), ["/projects/7/pipelines"]);
}

#[tokio::test]
async fn a_page_of_jobs_that_is_cut_speaks_only_for_pipelines_that_are_on_it_whole() {
    let (forge, rows) = with_jobs(&[]).await;
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    // 9 newest jobs (of 6, 5, 4), and a new try of a job of pipeline 1: its pipeline is old, the rest is cut all the same.
    let mut jobs: Vec<Value> = Vec::new();
    for id in [6_u64, 5, 4] {
        for n in [2_u64, 1, 0] {
            if (id, n) == (4, 0) {
                continue; // cut here: this one is on the next page
            }
            let row = rows.iter().find(|r| r["id"] == id).unwrap();
            jobs.push(object(
                "job",
                json!({
                    "id": id * 10 + n, "name": format!("job {n}"), "pipeline": row,
                    "status": if row["status"] == "failed" && n == 1 { "failed" } else { "success" },
                    "created_at": format!("2026-11-01T09:{id:02}:00Z"),
                }),
            ));
        }
    }
    let old = rows.iter().find(|r| r["id"] == 1).unwrap();
    jobs.insert(
        0,
        object(
            "job",
            json!({ "id": 99, "name": "again", "pipeline": old, "created_at": "2026-11-01T09:30:00Z" }),
        ),
    );
    forge.raw("/projects/7/jobs", 200, |r| r.set_body_json(&jobs).insert_header("x-next-page", "2"));
    // Nothing else is to be had, so what is known by then came from the jobs.
    for row in &rows {
        forge.status(&format!("/projects/7/pipelines/{}", row["id"]), 503);
    }
    let read = heads(&*source, ask(&project)).await.unwrap();
    let full: Vec<_> = read
        .pipelines
        .iter()
        .filter(|r| r.completeness == Completeness::Full)
        .map(|r| r.id.as_str())
        .collect();
    assert_eq!(full, ["6", "5"], "of 4 a job is missing, of 1 all but one");
    assert!(read.problems.iter().any(|p| p.text.starts_with("pipeline details")), "{:?}", read.problems);
}

#[tokio::test]
async fn details_come_in_portions_over_several_refreshes() {
    let forge = healthy().await;
    let rows: Vec<_> = (1..=40).rev().map(|id| numbered(id, json!({}))).collect();
    forge.json("/projects/7/pipelines", &json!(rows)).json("/projects/7/jobs", &json!([]));
    for row in &rows {
        let mut detail = object("pipeline", json!({}));
        detail.as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
        forge.json(&format!("/projects/7/pipelines/{}", row["id"]), &detail);
    }
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    let mut read = heads(&*source, ask(&project)).await.unwrap();
    let full = |read: &connector::Heads| {
        read.pipelines.iter().filter(|r| r.completeness == Completeness::Full).count()
    };
    assert_eq!(full(&read), 8);
    assert_eq!(run(&read, 40).completeness, Completeness::Full, "what decides comes first");
    for expected in [16, 24, 30, 30] {
        forge.asked();
        read = heads(&*source, again(&project, &read)).await.unwrap();
        assert_eq!(full(&read), expected, "a strip's worth, no more");
    }
    assert_eq!(forge.asked_paths(), ["/projects/7/pipelines"], "then it is at rest");
}

#[tokio::test]
async fn commits_tell_what_jobs_do_not() {
    let forge = healthy().await;
    let rows: Vec<_> = (1..=3).rev().map(|id| numbered(id, json!({}))).collect();
    let commit = |id: u64| json!({ "id": format!("{id:040x}"), "title": format!("commit {id}"), "author_name": "Cleo" });
    forge
        .json("/projects/7/pipelines", &json!(rows))
        .json("/projects/7/repository/commits?ref_name=main", &json!([commit(3), commit(2), commit(1)]));
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let read = heads(&*source, ask(&project(&forge).await)).await.unwrap();
    assert!(read.pipelines.iter().all(|r| r.message == Some(format!("commit {}", r.id))));
    assert!(read.pipelines.iter().all(|r| r.author.as_ref().unwrap().name == "Cleo"));
}

#[tokio::test]
async fn details_that_are_not_there_are_one_reason_and_are_not_asked_for_again() {
    for status in [403, 404] {
        let forge = healthy().await;
        let rows: Vec<_> = (1..=3).rev().map(|id| numbered(id, json!({}))).collect();
        forge.json("/projects/7/pipelines", &json!(rows));
        for id in 1..=3 {
            forge.status(&format!("/projects/7/pipelines/{id}"), status);
        }
        let source = source(&settings(&forge.url(), Some(TOKEN)));
        let project = project(&forge).await;
        let read = heads(&*source, ask(&project)).await.unwrap();
        let [problem] = read.problems.as_slice() else { panic!("{:?}", read.problems) };
        assert_eq!(
            (problem.kind, problem.text.as_str()),
            (ProblemKind::Partial, "details of 3 pipelines: not found")
        );
        assert_eq!(read.pipelines.len(), 3);
        assert!(read.pipelines.iter().all(|r| r.status == Status::Success), "the rows stand");
        forge.asked();
        let second = heads(&*source, again(&project, &read)).await.unwrap();
        assert_eq!(forge.asked_paths(), ["/projects/7/pipelines"]);
        assert_eq!(second.problems, read.problems, "it keeps saying so");
        // One moves, and is asked for again.
        let mut moved = rows.clone();
        moved[0]["updated_at"] = json!("2026-11-21T00:00:00Z");
        forge.json("/projects/7/pipelines", &json!(moved));
        let _ = heads(&*source, again(&project, &second)).await.unwrap();
        assert_eq!(forge.asked_paths(), ["/projects/7/pipelines", "/projects/7/pipelines/3"]);
    }
}

#[tokio::test]
async fn what_failed_is_asked_for_where_it_decides() {
    let forge = healthy().await;
    forge
        .json("/projects/7/pipelines", &json!([row(json!({ "status": "failed" }))]))
        .json(
            "/projects/7/pipelines/100",
            &object("pipeline", json!({ "status": "failed", "detailed_status": { "group": "failed" } })),
        )
        .json(
            "/projects/7/pipelines/100/jobs",
            &json!([object("job", json!({ "status": "failed", "failure_reason": "job_execution_timeout" }))]),
        );
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let read = heads(&*source, ask(&project(&forge).await)).await.unwrap();
    assert_eq!(run(&read, 100).failure.as_deref(), Some("unit-tests: took longer than allowed"));

    // A configuration that does not parse has no jobs.
    forge.json("/projects/7/pipelines/100", &object("pipeline", json!({
        "status": "failed", "yaml_errors": "jobs:unit config contains unknown keys: scrpt", "duration": null, "started_at": null,
    })));
    let read = heads(&*source, ask(&project(&forge).await)).await.unwrap();
    assert_eq!(
        run(&read, 100).failure.as_deref(),
        Some("configuration error: jobs:unit config contains unknown keys: scrpt")
    );
}

#[tokio::test]
async fn a_push_does_not_hide_a_red_schedule_and_old_rows_have_one_lane() {
    let forge = healthy().await;
    let rows = json!([
        numbered(5, json!({ "name": "Nightly", "source": "schedule" })),
        numbered(4, json!({ "source": "schedule" })),
        numbered(3, json!({ "source": "external", "ref": "refs/merge-requests/74/head", "iid": null })),
        { "id": 2, "status": "success", "ref": "main" },
        { "id": 1, "status": "of_tomorrow", "ref": "main", "updated_at": null, "created_at": 7, "web_url": "javascript:alert(1)" },
    ]);
    forge.json("/projects/7/pipelines", &rows);
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let read = heads(&*source, ask(&project(&forge).await)).await.unwrap();
    let lane = |id| run(&read, id).workflow.lane.clone();
    assert_eq!((lane(5).as_str(), lane(4).as_str()), ("Nightly\u{1f}schedule", "\u{1f}schedule"));
    assert_eq!((lane(2).as_str(), lane(1).as_str()), ("", ""));
    assert_eq!(run(&read, 5).workflow.name.as_deref(), Some("Nightly"));
    assert_eq!(run(&read, 3).branch.as_deref(), Some("refs/merge-requests/74/head"));
    assert_eq!(run(&read, 3).event.as_deref(), Some("external"));
    assert_eq!(
        (run(&read, 1).status, run(&read, 1).native_status.as_str()),
        (Status::Unknown, "of_tomorrow")
    );
    assert_eq!(run(&read, 1).url, None);
}

#[tokio::test]
async fn the_default_branch_is_found_among_many_others() {
    let forge = healthy().await;
    let busy: Vec<_> = (1001..=1100).rev().map(|id| numbered(id, json!({ "ref": "feature/x" }))).collect();
    let old = numbered(50, json!({ "status": "failed" }));
    forge
        .raw("/projects/7/pipelines", 200, |r| r.set_body_json(&busy).insert_header("x-next-page", "2"))
        .json("/projects/7/pipelines?ref=main", &json!([old]))
        .json("/projects/7/pipelines?ref=release/1", &json!([numbered(40, json!({ "ref": "release/1" }))]));
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    let mut question = ask(&project);
    question.branches = vec!["release/1".into(), "main".into()];
    forge.asked();
    let read = heads(&*source, question).await.unwrap();
    assert_eq!(read.pipelines.len(), 102);
    assert_eq!(run(&read, 50).status, Status::Failed);
    assert_eq!(run(&read, 40).branch.as_deref(), Some("release/1"));
    assert!(
        forge.asked_paths().iter().all(|p| p != "/projects/7/repository/branches"),
        "by name, not in a list"
    );
    let _ = heads(&*source, again(&project, &read)).await.unwrap();
    let asked = forge.asked();
    assert!(asked.iter().all(|a| a.path == "/projects/7/pipelines") && asked.len() == 2, "{asked:?}");
}

#[tokio::test]
async fn the_head_is_read_again_when_it_may_have_moved() {
    let forge = healthy().await;
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    let read = heads(&*source, ask(&project)).await.unwrap();
    let branch_asked =
        |forge: &Forge| forge.asked_paths().iter().filter(|p| p.contains("/branches/")).count();
    forge.asked();
    // The project says that it moved.
    let mut moved = project.clone();
    moved.last_activity_at = Some("2026-11-20T12:00:00Z".parse().unwrap());
    let mut question = again(&project, &read);
    question.project = std::sync::Arc::new(moved);
    heads(&*source, question).await.unwrap();
    assert_eq!(branch_asked(&forge), 1);
    // It does not, as it does only once an hour, but a pipeline runs for a commit that is not known.
    forge
        .json(
            "/projects/7/pipelines",
            &json!([numbered(101, json!({ "created_at": "2026-11-20T09:30:00Z" })), row(json!({}))]),
        )
        .json(
            "/projects/7/repository/branches/main",
            &object("branch", json!({ "commit": { "id": format!("{:040x}", 101), "title": "newer" } })),
        );
    let second = heads(&*source, again(&project, &read)).await.unwrap();
    assert_eq!(branch_asked(&forge), 1);
    assert_eq!(second.default_branch.as_ref().unwrap().message.as_deref(), Some("newer"));
    // Nothing moves.
    heads(&*source, again(&project, &second)).await.unwrap();
    assert_eq!(branch_asked(&forge), 0);
}

#[tokio::test]
async fn a_project_without_ci_is_a_reason_and_no_error() {
    let forge = healthy().await;
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let unknown = project(&forge).await;
    forge.json("/projects/7", &object("project", json!({ "builds_access_level": "disabled" })));
    forge.status("/projects/7/pipelines", 403);
    let known = project(&forge).await;
    // The listing tells it, or it is found out when the pipelines are refused.
    for of in [&known, &unknown] {
        forge.asked();
        let read = heads(&*source, ask(of)).await.unwrap();
        let kinds: Vec<_> = read.problems.iter().map(|p| p.kind).collect();
        assert_eq!(kinds, [ProblemKind::NoCi]);
        assert!(read.default_branch.is_some() && read.pipelines.is_empty());
    }
    // CI is on, so it is the token.
    forge.json("/projects/7", &object("project", json!({})));
    assert!(matches!(heads(&*source, ask(&unknown)).await, Err(Error::Forbidden(_))));
}

#[tokio::test]
async fn an_empty_repository_and_one_where_nothing_ran() {
    let forge = healthy().await;
    forge.json("/projects/7/pipelines", &json!([]));
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let quiet = project(&forge).await;
    let read = heads(&*source, ask(&quiet)).await.unwrap();
    assert_eq!(read.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), [ProblemKind::NoCi]);
    let empty = Project { default_branch: None, ..quiet };
    let read = heads(&*source, ask(&empty)).await.unwrap();
    assert_eq!(read.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), [ProblemKind::Empty]);
    assert_eq!(read.default_branch, None);
    // The branch that the project names is gone: the rest stands.
    forge
        .json("/projects/7/pipelines", &json!([row(json!({}))]))
        .status("/projects/7/repository/branches/main", 404);
    let read = heads(&*source, ask(&project(&forge).await)).await.unwrap();
    assert_eq!(read.pipelines.len(), 1);
    assert!(read.problems.iter().any(|p| p.text.starts_with("default branch")), "{:?}", read.problems);
}

#[tokio::test]
async fn what_is_wrong_with_one_project_is_wrong_with_that_one() {
    let forge = healthy().await;
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let well = project(&forge).await;
    let other = |id: u64| {
        let mut other = well.clone();
        other.key.id = domain::NativeId::new(id.to_string());
        other
    };
    for id in 20..=26 {
        forge.json(&format!("/projects/{id}/repository/branches/main"), &object("branch", json!({})));
    }
    forge
        .status("/projects/20/pipelines", 403)
        .status("/projects/21/pipelines", 404)
        .status("/projects/22/pipelines", 451)
        .raw("/projects/23/pipelines", 301, |r| {
            r.insert_header("location", "https://elsewhere.example/projects/1")
        })
        .raw("/projects/24/pipelines", 200, |r| r.set_body_raw("<html>Sign in</html>", "text/html"))
        .raw("/projects/25/pipelines", 200, |r| r.set_body_raw("[{\"id\": 1", "application/json"))
        .json("/projects/26/pipelines", &json!([{ "nothing": "of ours" }]));
    let asks: Vec<_> = (20..=26).map(|id| ask(&other(id))).chain([ask(&well)]).collect();
    let mut answers: Vec<_> = futures::StreamExt::collect::<Vec<_>>(source.branch_heads(asks)).await;
    answers.sort_by(|a, b| a.0.cmp(&b.0));
    let of = |id: &str| &answers.iter().find(|(key, _)| key.id.as_str() == id).unwrap().1;
    assert!(matches!(of("20"), Err(Error::Forbidden(_))), "{:?}", of("20"));
    assert!(matches!(of("21"), Err(Error::NotFound(_))), "{:?}", of("21"));
    assert!(matches!(of("22"), Err(Error::Legal(_))), "{:?}", of("22"));
    assert!(matches!(of("23"), Err(Error::Redirect(_))), "{:?}", of("23"));
    for id in ["24", "25", "26"] {
        assert!(matches!(of(id), Err(Error::Garbage(_))), "{id}: {:?}", of(id));
    }
    assert!(of("7").as_ref().is_ok_and(|read| read.problems.is_empty()), "{:?}", of("7"));
    assert_eq!(answers.len(), 8);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_counted() {
    let forge = healthy().await;
    forge.json("/projects/7/pipelines", &json!([row(json!({})), { "id": null }, "what"]));
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let read = heads(&*source, ask(&project(&forge).await)).await.unwrap();
    assert_eq!(read.pipelines.len(), 1);
    assert_eq!(read.problems[0].text, "2 of 3 pipelines could not be read");
}
