//! Bitbucket Data Center's odd answers.

use std::sync::Arc;

use connector::{Connector, Error, PipelineQuery};
use domain::{ProblemKind, Project, RunId, Status};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::forge::{Forge, clock};
use crate::support::{self, again, ask, heads, projects};

const REPO: &str = "/rest/api/latest/projects/PAY/repos/ledger";
const STATS: &str = "/rest/build-status/latest/commits/stats";

fn row() -> Value {
    json!({
        "slug": "ledger", "project": { "key": "PAY" }, "public": false, "archived": null,
        "links": { "self": [{ "href": "https://git.example.invalid/projects/PAY/repos/ledger/browse" }] },
    })
}

/// A repository with one branch and one commit, and its builds.
async fn repository(builds: &Value, stats: &Value) -> (Forge, Arc<dyn Connector>, Project) {
    let forge = Forge::data_center().await;
    forge.json(REPO, &row());
    forge.json(&format!("{REPO}/default-branch"), &json!({ "id": "refs/heads/main", "displayId": "main" }));
    let commit = json!({ "author": { "name": "Mira" }, "committerTimestamp": 1_790_776_819_000_u64, "message": "second" });
    forge.list(&format!("{REPO}/branches"), &json!([{
        "id": "refs/heads/main", "displayId": "main", "latestCommit": "abc", "isDefault": true,
        "metadata": { "com.atlassian.bitbucket.server.bitbucket-branch:latest-commit-metadata": commit, "other": null },
    }]));
    forge.json(STATS, stats);
    forge.list("/rest/build-status/latest/commits/abc", builds);
    let source = forge.source();
    let project = source.project("PAY/ledger").await.unwrap();
    forge.asked();
    (forge, source, project)
}

#[tokio::test]
async fn builds_become_runs_the_newest_of_each_key() {
    let builds = json!([
        { "key": "CI", "state": "FAILED", "name": "Build", "url": "https://ci.example.invalid/7", "description": "2 tests failed", "dateAdded": 1_790_776_900_000_u64 },
        { "key": "CI", "state": "SUCCESSFUL", "dateAdded": 1_790_776_800_000_u64 },
        { "key": "deploy:prod/é", "state": "BRAND_NEW", "url": "javascript:alert(1)", "dateAdded": "2026-10-01T13:54:44+0000" },
        { "state": "FAILED" },
    ]);
    let (forge, source, project) =
        repository(&builds, &json!({ "abc": { "failed": 1, "unknown": 1 } })).await;
    assert_eq!(
        project.url.as_ref().unwrap().as_str(),
        "https://git.example.invalid/projects/PAY/repos/ledger"
    );
    let read = heads(&*source, ask(&project)).await.unwrap();
    let head = read.default_branch.clone().unwrap();
    assert_eq!((head.author.unwrap().name.as_str(), head.message.as_deref()), ("Mira", Some("second")));
    assert_eq!(read.pipelines.len(), 2);
    let failed = read.pipelines.iter().find(|r| r.status == Status::Failed).unwrap();
    assert_eq!((failed.id.as_str(), failed.workflow.name.as_deref()), ("abc:CI", Some("Build")));
    assert_eq!((failed.failure.as_deref(), failed.branch.as_deref()), (Some("2 tests failed"), Some("main")));
    let odd = read.pipelines.iter().find(|r| r.status == Status::Unknown).unwrap();
    assert_eq!(
        (odd.id.as_str(), odd.url.is_none(), odd.created_at.is_some()),
        ("abc:deploy:prod/é", true, true)
    );
    assert_eq!(forge.asked().len(), 3);
    // At rest: the branches and the count.
    let second = heads(&*source, again(&project, &read)).await.unwrap();
    assert_eq!((second.pipelines == read.pipelines, forge.asked().len()), (true, 2));
    // Its id leads back to the build, whatever stands in the key.
    let detail = source.pipeline(&project, &odd.id).await.unwrap();
    assert_eq!((detail.pipeline.id, detail.jobs.len()), (odd.id.clone(), 1));
    assert!(matches!(source.pipeline(&project, &RunId::new("abc:none")).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn a_build_of_the_newer_api_has_all_its_times() {
    let (forge, source, project) = repository(&json!([]), &json!({})).await;
    forge.json(&format!("{REPO}/commits/abc/builds"), &json!({
        "key": "CI", "state": "SUCCESSFUL", "buildNumber": "42", "ref": "refs/heads/release/1", "duration": 90_500,
        "createdDate": 1_790_776_800_000_u64, "updatedDate": 1_790_776_900_000_u64, "url": "https://ci.example.invalid/42",
    }));
    let run = source.pipeline(&project, &RunId::new("abc:CI")).await.unwrap().pipeline;
    assert_eq!((run.number, run.branch.as_deref()), (Some(42), Some("release/1")));
    assert_eq!(run.duration, Some(std::time::Duration::from_millis(90_500)));
    let (_, target) = forge.asked().pop().unwrap();
    assert!(target.ends_with("/commits/abc/builds?key=CI"), "{target}");
}

#[tokio::test]
async fn the_default_branch_is_found_by_its_name_when_it_has_not_moved_lately() {
    let (forge, source, project) = repository(&json!([]), &json!({})).await;
    forge.json(&format!("{REPO}/branches"), &json!({
        "values": [{ "displayId": "feature", "latestCommit": "def" }], "isLastPage": false, "nextPageStart": 27,
    }));
    forge.list(&format!("{REPO}/commits"), &json!([{ "id": "abc", "message": "old" }]));
    let read = heads(&*source, ask(&project)).await.unwrap();
    let head = read.default_branch.unwrap();
    assert_eq!((head.name.as_str(), head.sha.as_deref(), head.default), ("main", Some("abc"), true));
    let asked = forge.asked();
    assert!(
        asked.iter().any(|(_, target)| target.contains("until=refs%2Fheads%2Fmain&limit=1")),
        "{asked:?}"
    );
    // Its next page begins where the server says, not where rows were counted to.
    let page = source.branches(&project, None).await.unwrap();
    assert_eq!(page.next, Some(connector::PageToken("27".into())));
    assert!(matches!(
        source.branches(&project, Some(connector::PageToken("x".into()))).await,
        Err(Error::Garbage(_))
    ));
}

#[tokio::test]
async fn empty_repositories_and_old_servers() {
    let forge = Forge::data_center().await;
    forge.list(
        "/rest/api/latest/repos",
        &json!([row(), { "slug": "empty", "project": { "key": "PAY" } }, { "slug": 3 }]),
    );
    forge.json(&format!("{REPO}/branches/default"), &json!({ "displayId": "develop" }));
    forge.reply("/rest/api/latest/projects/PAY/repos/empty/default-branch", ResponseTemplate::new(204));
    forge.list("/rest/api/latest/projects/PAY/repos/empty/branches", &json!([]));
    let source = forge.source();
    let listed = projects(&*source).await;
    assert_eq!(listed[0].default_branch.as_deref(), Some("develop"));
    assert_eq!((listed.len(), listed[1].default_branch.as_deref()), (2, None));
    let read = heads(&*source, ask(&listed[1])).await.unwrap();
    assert_eq!(read.problems[0].kind, ProblemKind::Empty);
    forge.asked();
    projects(&*source).await;
    assert_eq!(forge.asked().len(), 1, "default branches are asked for once");
    assert_eq!(source.project_count().await.unwrap(), None);
}

#[tokio::test]
async fn projects_in_the_settings_are_read_one_after_the_other() {
    let forge = Forge::data_center().await;
    let mut settings = support::settings(&format!("{}/rest/api/1.0/", forge.url()));
    settings.workspaces = vec!["PAY".into(), "~mira".into()];
    forge.json(
        "/rest/api/latest/projects/PAY/repos",
        &json!({ "values": [], "isLastPage": false, "nextPageStart": 5 }),
    );
    forge.list("/rest/api/latest/projects/PAY/repos?start=5", &json!([row()]));
    forge.json(&format!("{REPO}/default-branch"), &json!({ "displayId": "main" }));
    forge.list("/rest/api/latest/projects/~mira/repos", &json!([]));
    let source = support::source(&settings, clock());
    assert_eq!(projects(&*source).await.len(), 1);
    assert_eq!(forge.asked().iter().filter(|(_, t)| t.contains("/repos?limit")).count(), 3);
    assert!(matches!(
        source.projects(Some(connector::PageToken("9 0".into()))).await,
        Err(Error::Garbage(_))
    ));
}

#[tokio::test]
async fn errors_are_told_apart() {
    let (forge, source, project) = repository(&json!([]), &json!({})).await;
    let error = |status, message: &str| {
        ResponseTemplate::new(status)
            .set_body_json(json!({ "errors": [{ "context": null, "message": message }] }))
    };
    let captcha = error(403, "CAPTCHA")
        .insert_header("x-authentication-denied-reason", "CAPTCHA_CHALLENGE; login-url=x");
    forge.reply(&format!("{REPO}/branches"), captcha);
    let Err(Error::Unauthorized(text)) = heads(&*source, ask(&project)).await else { panic!() };
    assert!(text.contains("CAPTCHA"), "{text}");
    forge.reply(&format!("{REPO}/branches"), error(401, "Authentication failed."));
    assert!(matches!(heads(&*source, ask(&project)).await, Err(Error::Unauthorized(_))));
    forge.reply(&format!("{REPO}/branches"), error(404, "no such repository"));
    assert!(matches!(heads(&*source, ask(&project)).await, Err(Error::NotFound(_))));
    // A branch that is not there has no runs; a repository that is not there is an error.
    let query = PipelineQuery { branch: Some("none".into()), since: None, until: None, limit: 5 };
    assert_eq!(source.pipelines(&project, &query).await.unwrap().items, []);
    forge.reply(REPO, error(404, "no such repository"));
    assert!(matches!(source.pipelines(&project, &query).await, Err(Error::NotFound(_))));
    forge.reply(&format!("{REPO}/branches"), error(429, "slow down"));
    assert!(matches!(heads(&*source, ask(&project)).await, Err(Error::RateLimited { .. })));
}

#[tokio::test]
async fn tokens_of_projects_belong_to_nobody() {
    let forge = Forge::data_center().await;
    let source = forge.source();
    let who = source.current_user().unwrap();
    assert_eq!(who.current_user().await.unwrap(), None);
    forge.reply("/plugins/servlet/applinks/whoami", ResponseTemplate::new(200).set_body_string(""));
    assert_eq!(who.current_user().await.unwrap(), None);
    forge.reply("/plugins/servlet/applinks/whoami", ResponseTemplate::new(200).set_body_string("mira\n"));
    let person = who.current_user().await.unwrap().unwrap();
    assert_eq!((person.name.as_str(), person.login.as_deref()), ("mira", Some("mira")));
    forge.json("/rest/api/latest/users/mira", &json!({ "name": "mira", "displayName": "Mira Lindqvist" }));
    assert_eq!(who.current_user().await.unwrap().unwrap().name, "Mira Lindqvist");
}
