//! Lists, single things, and who asks.

use std::time::Duration;

use config::LogAccess;
use std::collections::BTreeMap;

use connector::{Deployed, DeploymentsAsk, Error, PageToken, PipelineQuery};
use domain::{JobId, Pipeline, ProblemKind, RunId, Status, Timestamp, Visibility};
use serde_json::{Value, json};

use crate::forge::{Forge, object};
use crate::support::{settings, source};
use crate::{TOKEN, healthy, numbered, project, row};

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

async fn deployed(forge: &Forge) -> connector::Result<Deployed> {
    let project = project(forge).await;
    let since: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let ask = DeploymentsAsk { project: &project, since, environments: &BTreeMap::new() };
    source(&settings(&forge.url(), Some(TOKEN))).deployments().unwrap().deployments(ask).await
}

/// Rows as GitLab's documentation has them, and odd ones.
#[tokio::test]
async fn deployments_of_any_sort() {
    let forge = healthy().await;
    let deployment = |id: u64, patch: Value| {
        let mut row = json!({
            "id": id, "iid": 1, "ref": "main", "sha": "a91957a858320c0e17f3a0eca7cfacbff50ea29a", "status": "success",
            "created_at": "2026-11-11T11:32:35.444Z", "updated_at": "2026-11-11T11:34:01.123Z",
            "environment": { "id": 9, "name": "eu-1", "external_url": "https://eu-1.example.com" },
            "user": { "name": "Administrator", "username": "root" },
            "deployable": {
                "id": 664, "name": "deploy", "stage": "deploy", "ref": "main", "status": "success",
                "created_at": "2026-11-11T11:32:24.456Z", "started_at": "2026-11-11T11:33:00.000Z",
                "finished_at": "2026-11-11T11:34:01.100Z", "web_url": "https://gitlab.example.com/root/x/-/jobs/664",
                "pipeline": { "id": 37, "ref": "main", "sha": "a91957a8", "status": "success" },
            },
        });
        row.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
        row
    };
    let rows = json!([
        deployment(1, json!({})),
        // Made through the API: without a job.
        deployment(2, json!({ "deployable": null, "status": "failed" })),
        deployment(3, json!({ "status": "blocked", "environment": { "name": "production", "tier": "testing" } })),
        deployment(4, json!({ "status": "brand_new", "deployable": "?", "environment": { "name": "prod" } })),
        deployment(5, json!({ "environment": null })),
        { "id": "none" },
    ]);
    forge.json("/projects/7/deployments", &rows);
    forge.json("/projects/7/environments", &json!([{ "id": 9, "name": "eu-1", "tier": "production" }, 17]));
    let told = deployed(&forge).await.unwrap();
    let of = |n: usize| &told.items[n];
    assert_eq!(told.items.len(), 4, "what has no environment is nowhere");
    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    assert_eq!((of(0).run.clone(), of(0).production), (Some(RunId::from(37)), Some(true)));
    assert_eq!(
        (of(0).created_at, of(0).finished_at),
        (at("2026-11-11T11:33:00Z"), at("2026-11-11T11:34:01.1Z"))
    );
    assert_eq!((of(1).status, of(1).run.clone()), (Status::Failed, None));
    assert_eq!(
        (of(1).created_at, of(1).finished_at),
        (at("2026-11-11T11:32:35.444Z"), at("2026-11-11T11:34:01.123Z"))
    );
    assert_eq!((of(2).status, of(2).is_production(), of(2).finished_at), (Status::Manual, false, None));
    assert_eq!((of(3).status, of(3).is_production()), (Status::Unknown, true), "by its name");
    assert_eq!(told.environments, BTreeMap::from([("eu-1".into(), Some(true)), ("prod".into(), None)]));
    // Who may not see environments goes by names.
    forge.status("/projects/7/environments", 403);
    let told = deployed(&forge).await.unwrap();
    assert_eq!((told.items[0].is_production(), told.items[3].is_production()), (false, true));
    forge.status("/projects/7/deployments", 404);
    assert!(matches!(deployed(&forge).await, Err(Error::NotFound(_))));
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
    let query = |limit| PipelineQuery { branch: None, since: None, until: None, limit };
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
    let query = PipelineQuery { branch: Some("a/b".into()), since: Some(since), until: None, limit: 20 };
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
