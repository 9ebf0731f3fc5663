//! Every odd answer that a GitLab gives, on a table of the test's own.

#[path = "support/forge.rs"]
mod forge;
mod support;

use std::time::Duration;

use config::LogAccess;
use connector::{Error, PageToken, PipelineQuery};
use domain::{Branch, Completeness, JobId, Pipeline, ProblemKind, Project, RunId, Status, Visibility};
use forge::{Forge, object};
use serde_json::{Value, json};
use support::{again, ask, heads, run, settings, source};

const TOKEN: &str = "glpat-canary";

/// A healthy project 7 with one pipeline, its details and its branch.
async fn healthy() -> Forge {
    let forge = Forge::start().await;
    forge
        .json("/projects/7", &object("project", json!({})))
        .json("/projects/7/repository/branches/main", &object("branch", json!({})))
        .json("/projects/7/pipelines", &json!([object("pipeline_row", json!({}))]))
        .json("/projects/7/pipelines/100", &object("pipeline", json!({})));
    forge
}

async fn project(forge: &Forge) -> Project {
    source(&settings(&forge.url(), Some(TOKEN))).project("7").await.unwrap()
}

fn row(patch: Value) -> Value {
    object("pipeline_row", patch)
}

/// A row that differs from others by id, and by the time that goes with it.
fn numbered(id: u64, patch: Value) -> Value {
    let mut value = row(json!({
        "id": id, "iid": id, "sha": format!("{id:040x}"),
        "created_at": format!("2026-11-{:02}T09:{:02}:00Z", 1 + id / 60 % 20, id % 60),
        "updated_at": format!("2026-11-{:02}T09:{:02}:30Z", 1 + id / 60 % 20, id % 60),
    }));
    value.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
    value
}

#[tokio::test]
async fn a_project_in_full() {
    let forge = healthy().await;
    let read = project(&forge).await;
    assert_eq!(read.key.to_string(), "gl:7");
    assert_eq!(read.name, "payments/ledger-api");
    assert_eq!(read.visibility, Some(Visibility::Internal));
    assert_eq!(read.description.as_deref(), Some("Books every payment."));
    assert_eq!(read.default_branch.as_deref(), Some("main"));
    assert!(!read.archived && !read.ci_disabled && read.last_activity_at.is_some());
    let sent = forge.requests().await;
    assert!(
        sent.iter().all(|r| r.headers["private-token"] == TOKEN && !r.headers.contains_key("authorization"))
    );
}

#[tokio::test]
async fn a_project_by_path_at_a_site_below_a_prefix() {
    let forge = Forge::start().await;
    forge.json(
        "/gitlab/api/v4/projects/payments%2Fledger-api",
        &object("project", json!({ "archived": true })),
    );
    for url in ["/gitlab", "/gitlab/", "/gitlab/api/v4", "/gitlab/api/v4/"] {
        let source = source(&settings(&format!("{}{url}", forge.url()), None));
        assert!(source.could_hold("payments/ledger-api") && !source.could_hold("ledger-api"));
        let read = source.project("payments/ledger-api").await.unwrap();
        assert_eq!((read.key.id.as_str(), read.archived), ("7", true), "{url}");
    }
    assert!(forge.requests().await.iter().all(|r| !r.headers.contains_key("private-token")));
}

#[tokio::test]
async fn ci_that_is_off_and_a_repository_that_is_empty_are_seen_on_the_project() {
    let forge = healthy().await;
    for (patch, off, branch) in [
        (json!({ "builds_access_level": "disabled" }), true, true),
        (json!({ "builds_access_level": null, "jobs_enabled": false }), true, true),
        (json!({ "builds_access_level": "private" }), false, true),
        (json!({ "builds_access_level": 3, "jobs_enabled": "?" }), false, true),
        (json!({ "default_branch": null }), false, false),
        (json!({ "empty_repo": true }), false, false),
    ] {
        forge.json("/projects/7", &object("project", patch.clone()));
        let read = project(&forge).await;
        assert_eq!((read.ci_disabled, read.default_branch.is_some()), (off, branch), "{patch}");
    }
}

#[tokio::test]
async fn the_listing_goes_by_keyset_to_its_end() {
    let forge = Forge::start().await;
    let next =
        format!("<{}/api/v4/projects?id_after=8&membership=true&per_page=100>; rel=\"next\"", forge.url());
    let first = json!([object("project", json!({ "id": 7 })), { "id": "garbage" }, object("project", json!({ "id": 8 }))]);
    forge
        .raw("/projects?membership=true&pagination=keyset", 200, |r| {
            r.set_body_json(&first).insert_header("link", next.as_str())
        })
        .json("/projects?id_after=8", &json!([object("project", json!({ "id": 9 }))]))
        .raw("/projects?membership=true&per_page=1", 200, |r| {
            r.set_body_json(json!([])).insert_header("x-total", "3")
        });
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    assert_eq!(source.project_count().await.unwrap(), Some(3));
    forge.asked();
    let (mut page, mut ids) = (None, Vec::new());
    loop {
        let listed = source.projects(page).await.unwrap();
        ids.extend(listed.items.iter().map(|p| p.key.id.to_string()));
        page = listed.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(ids, ["7", "8", "9"]);
    let asked = forge.asked();
    assert!(asked[0].query.contains("pagination=keyset") && !asked[0].query.contains("simple"), "{asked:?}");
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn a_next_page_elsewhere_is_not_followed() {
    let forge = Forge::start().await;
    forge.raw("/projects", 200, |r| {
        r.set_body_json(json!([object("project", json!({}))]))
            .insert_header("link", "<https://elsewhere.example/api/v4/projects?id_after=7>; rel=\"next\"")
    });
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    assert!(matches!(source.projects(None).await, Err(Error::Redirect(_))));
    // Nor does a token that is no query of ours lead anywhere else.
    let _ = source.projects(Some(PageToken("https://elsewhere.example/".into()))).await;
    assert!(forge.requests().await.len() >= 2, "it stayed here");
}

#[tokio::test]
async fn groups_are_listed_one_after_the_other_and_a_missing_one_is_told_at_the_end() {
    let forge = Forge::start().await;
    let of = |id: u64| json!([object("project", json!({ "id": id }))]);
    forge
        .raw("/groups/first/projects", 200, |r| r.set_body_json(of(1)).insert_header("x-next-page", "2"))
        .raw("/groups/first/projects?page=2", 200, |r| {
            r.set_body_json(of(2)).insert_header("x-next-page", "")
        })
        .json("/groups/third%2Fsub/projects", &of(3));
    let mut settings = settings(&forge.url(), None);
    settings.groups = vec!["first".into(), "gone".into(), "/third/sub/".into()];
    let source = source(&settings);
    assert_eq!(source.project_count().await.unwrap(), None);
    let (mut page, mut ids) = (None, Vec::new());
    let error = loop {
        match source.projects(page).await {
            Ok(listed) => {
                ids.extend(listed.items.iter().map(|p| p.key.id.to_string()));
                page = listed.next;
                assert!(page.is_some(), "the missing group is told");
            }
            Err(e) => break e,
        }
    };
    assert_eq!(ids, ["1", "2", "3"]);
    assert!(
        matches!(&error, Error::NotFound(text) if text.contains("gone") && !text.contains("first")),
        "{error}"
    );
    assert!(forge.asked().iter().all(|a| a.query.contains("include_subgroups=true")));
}

#[tokio::test]
async fn without_token_and_groups_there_is_nothing_to_list() {
    let forge = Forge::start().await;
    let source = source(&settings(&forge.url(), None));
    let error = source.projects(None).await.unwrap_err();
    assert!(!error.concerns_source() && error.to_string().contains("watched_repos"), "{error}");
    assert_eq!(source.project_count().await.unwrap(), None);
    assert_eq!(source.current_user().unwrap().current_user().await.unwrap(), None);
    assert!(forge.asked().is_empty(), "nothing was asked");
}

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
            "/projects/7/pipelines/100/jobs?scope[]=failed",
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
async fn a_moved_project_is_followed_within_the_host() {
    let forge = healthy().await;
    let to = format!("{}/api/v4/projects/7", forge.url());
    forge.raw("/projects/old%2Fpath", 301, |r| {
        r.insert_header("location", to.as_str())
            .set_body_raw("This resource has been moved permanently", "text/plain")
    });
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let read = source.project("old/path").await.unwrap();
    assert_eq!((read.key.id.as_str(), read.name.as_str()), ("7", "payments/ledger-api"));
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

#[tokio::test]
async fn a_bad_token_is_an_error_of_the_source() {
    let forge = Forge::start().await;
    forge.status("/projects", 401).status("/user", 401);
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    for error in [
        source.projects(None).await.unwrap_err(),
        source.current_user().unwrap().current_user().await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unauthorized(_)), "{error:?}");
        assert!(error.to_string().contains("read_api") && !error.to_string().contains(TOKEN), "{error}");
    }
}

#[tokio::test]
async fn whose_token_it_is() {
    let forge = Forge::start().await;
    forge.json("/user", &object("user", json!({})));
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let who = source.current_user().unwrap();
    assert_eq!(who.current_user().await.unwrap().unwrap().login.as_deref(), Some("ada"));
    forge.status("/user", 403);
    assert_eq!(who.current_user().await.unwrap(), None);
}

#[tokio::test]
async fn one_pipeline_with_its_jobs_in_order() {
    let forge = healthy().await;
    let job = |id: u64, name: &str, stage: &str, patch: Value| {
        let mut job = object("job", json!({ "id": id, "name": name, "stage": stage }));
        job.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
        job
    };
    let running = json!({ "status": "running", "finished_at": null, "duration": 61.0 });
    let first = json!([
        job(9, "build", "build", json!({})),
        job(
            8,
            "deploy",
            "deploy",
            json!({ "status": "manual", "allow_failure": true, "started_at": null, "finished_at": null, "duration": null, "queued_duration": null })
        ),
        job(6, "slow", "test", running),
        job(
            5,
            "lint",
            "test",
            json!({ "status": "failed", "allow_failure": true, "failure_reason": "script_failure" })
        ),
    ]);
    let rest = json!([job(
        1,
        "build",
        "build",
        json!({ "status": "failed", "failure_reason": "runner_system_failure" })
    )]);
    forge
        .raw("/projects/7/pipelines/100/jobs", 200, |r| {
            r.set_body_json(&first).insert_header("x-next-page", "2")
        })
        .json("/projects/7/pipelines/100/jobs?page=2", &rest)
        .json(
            "/projects/7/pipelines/100/bridges",
            &json!([job(7, "downstream", "deploy", json!({ "status": "success" }))]),
        );
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    let read = source.pipeline(&project, &RunId::from(100)).await.unwrap();
    assert_eq!(read.problems, []);
    let names: Vec<_> = read.jobs.iter().map(|j| (j.name.as_str(), j.status)).collect();
    assert_eq!(
        names,
        [
            ("build", Status::Success),
            ("lint", Status::Warning),
            ("slow", Status::Running),
            ("downstream", Status::Success),
            ("deploy", Status::Manual),
        ]
    );
    let of = |name: &str| read.jobs.iter().find(|j| j.name == name).unwrap();
    assert_eq!(of("build").id, JobId::from(9), "the newest try");
    assert_eq!(of("build").duration, Some(Duration::from_millis(300_500)));
    assert_eq!(of("build").queued, Some(Duration::from_millis(29_250)));
    assert_eq!(of("slow").duration, None, "it grows");
    assert_eq!(of("lint").failure_reason.as_deref(), Some("script failure"));
    assert!(of("deploy").allow_failure && of("deploy").queued.is_none());
    assert_eq!(read.pipeline.author.as_ref().unwrap().login.as_deref(), Some("ada"));

    // Trigger jobs that are refused are a part that is missing.
    forge.status("/projects/7/pipelines/100/bridges", 403);
    let read = source.pipeline(&project, &RunId::from(100)).await.unwrap();
    assert_eq!((read.jobs.len(), read.problems.len()), (4, 1));
    // A second page that fails keeps the first.
    forge.status("/projects/7/pipelines/100/jobs?page=2", 404);
    let read = source.pipeline(&project, &RunId::from(100)).await.unwrap();
    assert_eq!((read.jobs.len(), read.problems.len()), (4, 2), "{:?}", read.problems);
    // Without details the jobs tell whose they are.
    forge.status("/projects/7/pipelines/100", 404);
    let read = source.pipeline(&project, &RunId::from(100)).await.unwrap();
    assert_eq!((read.pipeline.native_status.as_str(), read.jobs.len()), ("success", 4));
    assert!(read.problems[0].text.starts_with("pipeline details"));
    // Without jobs the list does.
    forge.status("/projects/7/pipelines/100/jobs", 404);
    let read = source.pipeline(&project, &RunId::from(100)).await.unwrap();
    assert_eq!((read.pipeline.number, read.jobs.len(), read.problems.len()), (Some(10), 0, 3));
    // And then nobody does.
    forge.json("/projects/7/pipelines", &json!([]));
    assert!(matches!(source.pipeline(&project, &RunId::from(100)).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn durations_are_never_negative() {
    let forge = healthy().await;
    forge
        .json("/projects/7/pipelines/100", &object("pipeline", json!({ "duration": -3, "queued_duration": "1.5" })))
        .json("/projects/7/pipelines/100/jobs", &json!([object("job", json!({
            "duration": null, "queued_duration": -0.25, "started_at": "2026-11-20T09:00:01.500Z", "finished_at": "2026-11-20T09:00:01.000Z",
        }))]));
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let read = source.pipeline(&project(&forge).await, &RunId::from(100)).await.unwrap();
    assert_eq!(
        (read.pipeline.duration, read.pipeline.queued),
        (Some(Duration::ZERO), Some(Duration::from_millis(1500)))
    );
    assert_eq!((read.jobs[0].duration, read.jobs[0].queued), (Some(Duration::ZERO), Some(Duration::ZERO)));
}

#[tokio::test]
async fn logs() {
    let forge = healthy().await;
    let trace = "section_start:1:x\r\u{1b}[0K\u{1b}[32m$ make\u{1b}[0m\nold\rnew\n";
    forge.raw("/projects/7/jobs/1/trace", 200, |r| r.set_body_raw(trace, "text/plain")).raw(
        "/projects/7/jobs/2/trace",
        200,
        |r| r.set_body_raw("", "text/plain"),
    );
    let mut settings = settings(&forge.url(), Some(TOKEN));
    let with = source(&settings);
    let project = project(&forge).await;
    let log = async |source: &dyn connector::Connector, job: u64, max| {
        source.log(&project, &RunId::from(100), &JobId::from(job), max).await
    };
    let whole = log(&*with, 1, 1000).await.unwrap();
    assert_eq!((whole.text.as_str(), whole.truncated), ("\u{1b}[32m$ make\u{1b}[0m\nnew\n", false));
    let tail = log(&*with, 1, 10).await.unwrap();
    assert_eq!((tail.text.as_str(), tail.truncated), ("new\n", true));
    assert_eq!(log(&*with, 2, 10).await.unwrap().note.as_deref(), Some("no log yet"));
    assert!(matches!(log(&*with, 3, 10).await, Err(Error::NotFound(_))));
    settings.logs = LogAccess::None;
    forge.asked();
    let none = log(&*source(&settings), 1, 10).await.unwrap();
    assert!(none.text.is_empty() && none.note.is_some() && forge.asked().is_empty());
}

#[tokio::test]
async fn pipelines_go_to_the_end_or_the_limit_and_keep_what_came() {
    let forge = healthy().await;
    let rows =
        |ids: std::ops::RangeInclusive<u64>| ids.rev().map(|id| numbered(id, json!({}))).collect::<Vec<_>>();
    forge
        .raw("/projects/7/pipelines", 200, |r| {
            r.set_body_json(rows(201..=300)).insert_header("x-next-page", "2")
        })
        // New ones came meanwhile: two rows come twice.
        .raw("/projects/7/pipelines?page=2", 200, |r| {
            r.set_body_json(rows(103..=202)).insert_header("x-next-page", "3")
        })
        .status("/projects/7/pipelines?page=3", 404);
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    let query = |limit| PipelineQuery { branch: None, since: None, limit };
    let ids =
        |items: &[Pipeline]| items.iter().map(|r| r.id.as_str().parse::<u64>().unwrap()).collect::<Vec<_>>();
    let some = source.pipelines(&project, &query(150)).await.unwrap();
    assert_eq!(ids(&some.items), (151..=300).rev().collect::<Vec<_>>());
    assert_eq!(some.problems, []);
    let all = source.pipelines(&project, &query(1000)).await.unwrap();
    assert_eq!(ids(&all.items), (103..=300).rev().collect::<Vec<_>>());
    assert_eq!(all.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), [ProblemKind::Partial]);
    forge.status("/projects/7/pipelines", 404);
    assert!(source.pipelines(&project, &query(10)).await.is_err(), "nothing came at all");
    assert!(source.pipelines(&project, &query(0)).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn pipelines_since_a_time_on_a_branch() {
    let forge = healthy().await;
    forge.json("/projects/7/pipelines", &json!([numbered(61, json!({})), numbered(1, json!({}))]));
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    forge.asked();
    let since = "2026-11-02T00:00:00+02:00".parse().unwrap();
    let query = PipelineQuery { branch: Some("a/b".into()), since: Some(since), limit: 20 };
    let list = source.pipelines(&project, &query).await.unwrap();
    assert_eq!(list.items.len(), 1, "also from a server that does not know the parameter");
    let asked = &forge.asked()[0].query;
    assert!(
        asked.contains("updated_after=2026-11-01T22%3A00%3A00Z") && asked.contains("ref=a%2Fb"),
        "{asked}"
    );
    assert!(asked.contains("per_page=20"), "{asked}");
}

#[tokio::test]
async fn a_next_page_that_goes_back_ends_the_list() {
    let forge = healthy().await;
    forge.raw("/projects/7/repository/branches", 200, |r| {
        r.set_body_json(json!([object("branch", json!({}))])).insert_header("x-next-page", "1")
    });
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    assert!(matches!(source.branches(&project(&forge).await, None).await, Err(Error::Garbage(_))));
}

#[tokio::test]
async fn a_next_page_that_is_the_same_one_ends_the_listing() {
    let forge = Forge::start().await;
    let same = format!("<{}/api/v4/projects?id_after=8>; rel=\"next\"", forge.url());
    forge.raw("/projects", 200, |r| {
        r.set_body_json(json!([object("project", json!({}))])).insert_header("link", same.as_str())
    });
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let first = source.projects(None).await.unwrap();
    assert!(matches!(source.projects(first.next).await, Err(Error::Garbage(_))));
}

#[tokio::test]
async fn branches_merge_requests_and_issues() {
    let forge = healthy().await;
    let feature = object(
        "branch",
        json!({ "name": "feature/a b", "default": false, "protected": null, "commit": null }),
    );
    forge
        .raw("/projects/7/repository/branches", 200, |r| {
            r.set_body_json(json!([object("branch", json!({}))])).insert_header("x-next-page", "2")
        })
        .json("/projects/7/repository/branches?page=2", &json!([feature]))
        .json("/projects/7/repository/branches/feature%2Fa%20b", &feature)
        .json("/projects/7/merge_requests?state=opened", &json!([object("merge_request", json!({}))]))
        .json("/projects/7/issues?state=opened", &json!([object("issue", json!({}))]));
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    let first = source.branches(&project, None).await.unwrap();
    let second = source.branches(&project, first.next).await.unwrap();
    assert_eq!((first.items[0].default, second.items[0].default, second.next), (true, false, None));
    assert_eq!(source.branch(&project, "feature/a b").await.unwrap(), second.items[0]);
    assert!(matches!(source.branch(&project, "gone").await, Err(Error::NotFound(_))));

    let open = source.merge_requests().unwrap().open_merge_requests(&project, None).await.unwrap();
    let mr = &open.items[0];
    assert_eq!((mr.number, mr.draft, mr.source_branch.as_str()), (5, true, "round/amounts"));
    assert_eq!((mr.labels.len(), mr.reviewers[0].login.as_deref()), (2, Some("ben")));
    let open = source.issues().unwrap().open_issues(&project, None).await.unwrap();
    assert_eq!((open.items[0].number, open.items[0].labels.as_slice()), (3, ["bug".to_owned()].as_slice()));
    assert_eq!(open.items[0].assignees[0].name, "Ada Nowak");
}

#[tokio::test]
async fn the_newest_pipeline_of_a_branch() {
    let forge = healthy().await;
    forge
        .json("/projects/7/pipelines?ref=main", &json!([row(json!({}))]))
        .json("/projects/7/pipelines?ref=none", &json!([]))
        .json(
            "/projects/7/pipelines/100",
            &object("pipeline", json!({ "detailed_status": { "group": "success-with-warnings" } })),
        );
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let project = project(&forge).await;
    assert_eq!(source.latest_pipeline(&project, "main").await.unwrap().unwrap().status, Status::Warning);
    assert_eq!(source.latest_pipeline(&project, "none").await.unwrap(), None);
    forge.status("/projects/7/pipelines/100", 404);
    assert_eq!(source.latest_pipeline(&project, "main").await.unwrap().unwrap().status, Status::Success);
}

#[test]
fn settings_that_make_no_source_say_why() {
    let build = |url: Option<&str>| {
        let mut settings = settings("https://gitlab.com", Some(TOKEN));
        settings.url = url.map(|u| u.parse().unwrap());
        (connector_gitlab::PLATFORM.build)(&settings, std::sync::Arc::new(domain::SystemClock))
    };
    assert!(build(Some("https://gitlab.example.com/gitlab/")).is_ok());
    for url in [None, Some("ftp://gitlab.com"), Some("https://gitlab.com/api/graphql")] {
        let error = build(url).unwrap_err().to_string();
        assert!(error.starts_with("source gl: ") && !error.contains(TOKEN), "{error}");
    }
    let source = build(Some("https://gitlab.com")).unwrap();
    assert!(!format!("{source:?}").contains(TOKEN));
}
