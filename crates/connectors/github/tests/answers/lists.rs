//! Repositories, branches, pull requests, issues, people.

use std::collections::BTreeMap;
use std::sync::Arc;

use connector::{Deployed, DeploymentsAsk, Error, MergeRequestState};
use domain::{ManualClock, Status, Visibility};
use serde_json::{Value, json};

use crate::forge::{Forge, REPO, at, branch, repository};
use crate::support;

fn names(page: &connector::ProjectPage) -> Vec<&str> {
    page.items.iter().map(|p| p.name.as_str()).collect()
}

async fn deployed(forge: &Forge) -> connector::Result<Deployed> {
    let project = forge.project().await;
    let ask = DeploymentsAsk { project: &project, since: at("09:00:00"), environments: &BTreeMap::new() };
    forge.github.deployments().unwrap().deployments(ask).await
}

#[tokio::test]
async fn deployments_that_may_not_be_seen_are_refused_at_once_and_odd_ones_are_left_out() {
    let forge = Forge::start().await;
    let graphql = |body: Value| {
        for path in ["/graphql", "/api/graphql"] {
            forge.give(path, body.clone());
        }
    };
    let refused =
        json!({ "type": "FORBIDDEN", "path": ["repository"], "message": "Resource not accessible" });
    graphql(json!({ "data": { "repository": null }, "errors": [refused] }));
    assert!(matches!(deployed(&forge).await, Err(Error::Forbidden(_))));
    assert!(!forge.paths().iter().any(|path| path.contains("deployments")), "REST would say the same");
    let node = |id: Value, environment: Value, word: &str| {
        let state = json!({ "state": word, "createdAt": "2026-11-24T11:00:00Z", "logUrl": null });
        json!({
            "id": id, "commitOid": "aaa", "createdAt": "2026-11-24T10:59:00Z", "updatedAt": "2026-11-24T11:00:00Z",
            "environment": environment, "ref": null, "latestStatus": state, "statuses": { "nodes": [null, state] },
        })
    };
    let nodes = json!([
        node(json!("DE_1"), json!("production"), "SUCCESS"),
        null,
        "?",
        node(json!(null), json!("production"), "SUCCESS"),
        node(json!("DE_2"), json!(null), "SUCCESS"),
        node(json!("DE_3"), json!("eu"), "BRAND_NEW"),
    ]);
    // A cursor that leads nowhere is not followed for ever.
    let page = json!({ "nodes": nodes, "pageInfo": { "hasNextPage": true, "endCursor": null } });
    graphql(json!({ "data": { "rateLimit": null, "repository": { "deployments": page } } }));
    let told = deployed(&forge).await.unwrap().items;
    let shown: Vec<_> = told.iter().map(|d| (d.id.as_str(), d.status, d.is_production())).collect();
    assert_eq!(shown, [("DE_1", Status::Success, true), ("DE_3", Status::Unknown, false)]);
    assert_eq!((told[0].finished_at, told[0].branch.as_deref()), (Some(at("11:00:00")), None));
}

#[tokio::test]
async fn repositories_come_page_by_page_archived_ones_too() {
    let forge = Forge::start().await;
    let mut archived = repository("acme/old");
    archived["archived"] = json!(true);
    archived["disabled"] = json!(true);
    archived["visibility"] = json!(null);
    let next = format!("<{}/user/repos?page=2>; rel=\"next\"", forge.uri());
    forge.answer(
        "/user/repos",
        200,
        &[("link", &next)],
        json!([repository("acme/web"), archived, "garbage"]),
    );
    forge.give("/user/repos?page=2", json!([{ "full_name": "acme/bare" }]));
    let first = forge.github.projects(None).await.unwrap();
    assert_eq!(names(&first), ["acme/web", "acme/old"]);
    let web = &first.items[0];
    assert_eq!(web.key.to_string(), "gh:acme/web");
    assert_eq!((web.visibility, web.default_branch.as_deref()), (Some(Visibility::Private), Some("main")));
    assert_eq!(web.last_activity_at, Some(at("10:00:00")));
    assert!((first.items[1].archived, first.items[1].ci_disabled) == (true, true));
    assert_eq!(first.items[1].visibility, Some(Visibility::Private), "from `private`");
    let asked = forge.asked().remove(0).path;
    for part in ["per_page=100", "sort=pushed", "affiliation=owner%2Ccollaborator%2Corganization_member"] {
        assert!(asked.contains(part), "{asked}");
    }
    let second = forge.github.projects(first.next).await.unwrap();
    assert_eq!((names(&second), &second.next), (vec!["acme/bare"], &None));
}

#[tokio::test]
async fn organizations_come_one_after_the_other() {
    let forge =
        Forge::start_with(|s| s.organizations = vec!["acme".into(), "ana".into(), "nobody".into()]).await;
    let next = format!("<{}/orgs/acme/repos?page=2>; rel=\"next\"", forge.uri());
    forge.answer("/orgs/acme/repos", 200, &[("link", &next)], json!([repository("acme/web")]));
    forge.give("/orgs/acme/repos?page=2", json!([repository("acme/api")]));
    // Not an organization but a person.
    forge.give("/users/ana/repos", json!([repository("ana/dots")]));
    let mut all = Vec::new();
    let mut page = None;
    let error = loop {
        match forge.github.projects(page).await {
            Ok(answer) => {
                all.extend(names(&answer).into_iter().map(str::to_owned));
                page = Some(answer.next.unwrap());
            }
            Err(e) => break e,
        }
    };
    assert_eq!(all, ["acme/web", "acme/api", "ana/dots"]);
    assert!(matches!(&error, Error::NotFound(m) if m.contains("nobody")), "{error}");
    assert_eq!(forge.github.project_count().await, Ok(None), "more than one request");
}

#[tokio::test]
async fn an_installations_token_lists_its_repositories() {
    let forge = Forge::start().await;
    forge.answer("/user/repos", 403, &[], json!({ "message": "Resource not accessible by integration" }));
    assert!(matches!(forge.github.projects(None).await, Err(Error::Forbidden(_))));
    forge.give(
        "/installation/repositories",
        json!({ "total_count": 1, "repositories": [repository("acme/web")] }),
    );
    assert_eq!(names(&forge.github.projects(None).await.unwrap()), ["acme/web"]);
    forge.answer("/user", 403, &[], json!({ "message": "Resource not accessible by integration" }));
    assert_eq!(forge.github.current_user().unwrap().current_user().await, Ok(None));
}

#[tokio::test]
async fn the_count_is_the_last_page_of_one() {
    let forge = Forge::start().await;
    forge.give("/user/repos?per_page=1", json!([repository("acme/web")]));
    assert_eq!(forge.github.project_count().await, Ok(Some(1)));
    let link = "<https://api.github.com/user/repos?per_page=1&page=2>; rel=\"next\", \
                <https://api.github.com/user/repos?per_page=1&page=341>; rel=\"last\"";
    forge.answer("/user/repos?per_page=1", 200, &[("link", link)], json!([]));
    assert_eq!(forge.github.project_count().await, Ok(Some(341)));
}

#[tokio::test]
async fn a_renamed_repository_answers_with_its_current_name() {
    let forge = Forge::start().await;
    let to = format!("{}/repositories/7", forge.uri());
    forge.answer("/repos/acme/former", 301, &[("location", &to)], json!({ "message": "Moved Permanently" }));
    forge.give("/repositories/7", repository("acme/web"));
    let project = forge.github.project("acme/former").await.unwrap();
    assert_eq!(project.key.id.as_str(), "acme/web");

    let away = [("location", "https://evil.example.com/repos/acme/web")];
    forge.answer("/repos/acme/stolen", 302, &away, json!({}));
    assert!(matches!(forge.github.project("acme/stolen").await, Err(Error::Redirect(_))));
    forge.asked();
    assert!(matches!(forge.github.project("12345678").await, Err(Error::NotFound(_))));
    assert_eq!(forge.asked(), [], "no repository's name");
    assert!(forge.github.could_hold("acme/web") && !forge.github.could_hold("a/b/c"));
}

#[tokio::test]
async fn branches_come_by_page_and_by_name() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let next = format!("<{}{REPO}/branches?page=2>; rel=\"next\"", forge.uri());
    let rows = json!([{ "name": "feature/ä b", "commit": { "sha": "f" }, "protected": false }]);
    forge.answer(&format!("{REPO}/branches"), 200, &[("link", &next)], rows);
    forge.give(&format!("{REPO}/branches?page=2"), json!([{ "name": "main", "commit": { "sha": "m" } }]));
    let first = forge.github.branches(&project, None).await.unwrap();
    let odd = &first.items[0];
    assert_eq!((odd.name.as_str(), odd.default, odd.protected), ("feature/ä b", false, Some(false)));
    assert_eq!(odd.url.as_ref().unwrap().as_str(), "https://github.com/acme/web/tree/feature/%C3%A4%20b");
    let second = forge.github.branches(&project, first.next).await.unwrap();
    assert!(second.items[0].default && second.next.is_none());

    forge.give(&format!("{REPO}/branches/feature%2F%C3%A4%20b"), branch("feature/ä b", "f"));
    let one = forge.github.branch(&project, "feature/ä b").await.unwrap();
    assert_eq!(one.message.as_deref(), Some("Speed up checkout\n\nBy half."));
    // Renamed: GitHub leads to the new name.
    let to = format!("{}{REPO}/branches/main", forge.uri());
    forge.answer(&format!("{REPO}/branches/master"), 301, &[("location", &to)], json!({}));
    let renamed = forge.github.branch(&project, "master").await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.default), ("main", true));
}

fn pull(number: u64, change: Value) -> Value {
    let mut pull = json!({
        "id": 1000 + number, "number": number, "title": "Add x", "state": "open", "draft": true, "merged_at": null,
        "user": { "login": "ana" }, "requested_reviewers": [{ "login": "bo" }], "labels": [{ "name": "bug" }, "old"],
        "head": { "label": "acme:x", "ref": "x", "sha": "s", "repo": { "id": 7 } },
        "base": { "label": "acme:main", "ref": "main", "repo": { "id": 7 } },
        "created_at": "2026-11-24T08:00:00Z", "updated_at": "2026-11-24T09:00:00Z", "html_url": "https://github.com/acme/web/pull/1",
    });
    for (key, value) in change.as_object().unwrap() {
        pull[key] = value.clone();
    }
    pull
}

#[tokio::test]
async fn pull_requests_say_where_they_come_from() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let head =
        |repo: Value| json!({ "head": { "label": "eve:main", "ref": "main", "sha": "s", "repo": repo } });
    let rows = json!([pull(1, json!({})), pull(2, head(json!({ "id": 99 }))), pull(3, head(json!(null)))]);
    forge.give(&format!("{REPO}/pulls?state=open"), rows);
    let page = forge.github.merge_requests().unwrap().open_merge_requests(&project, None).await.unwrap();
    let from: Vec<_> = page.items.iter().map(|m| m.source_branch.as_str()).collect();
    assert_eq!(from, ["x", "eve:main", "unknown:main"]);
    let first = &page.items[0];
    assert_eq!((first.id.as_str(), first.number, first.draft), ("1001", 1, true));
    assert_eq!((first.state, first.target_branch.as_str()), (MergeRequestState::Open, "main"));
    assert_eq!(
        (first.reviewers[0].name.as_str(), &first.labels[..]),
        ("bo", &["bug".to_owned(), "old".to_owned()][..])
    );
}

#[tokio::test]
async fn issues_come_without_pull_requests() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let issue = json!({ "id": 1, "number": 5, "title": "It breaks", "state": "open", "user": null, "assignees": [{ "login": "ana" }], "labels": [] });
    let mut pull = issue.clone();
    pull["pull_request"] = json!({ "url": "https://api.github.com/x" });
    forge.give(&format!("{REPO}/issues?state=open"), json!([issue, pull]));
    let page = forge.github.issues().unwrap().open_issues(&project, None).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!((page.items[0].number, page.items[0].open), (5, true));
    assert_eq!(page.items[0].assignees[0].login.as_deref(), Some("ana"));
}

#[tokio::test]
async fn the_tokens_owner_is_known_and_a_bad_token_is_told() {
    let forge = Forge::start().await;
    forge.give(
        "/user",
        json!({ "login": "ana", "name": "Ana Ruiz", "avatar_url": "https://a.example.com/1" }),
    );
    let who = forge.github.current_user().unwrap();
    let ana = who.current_user().await.unwrap().unwrap();
    assert_eq!((ana.name.as_str(), ana.login.as_deref()), ("Ana Ruiz", Some("ana")));
    forge.answer("/user", 401, &[], json!({ "message": "Bad credentials" }));
    let Err(Error::Unauthorized(text)) = who.current_user().await else { panic!("not refused") };
    assert!(text.contains("Actions: read") && !text.contains(support::TOKEN), "{text}");
}

#[test]
fn settings_that_make_no_source_say_why() {
    let clock = || Arc::new(ManualClock::at(at("12:00:00")));
    let build = |settings: &config::SourceSettings| (connector_github::PLATFORM.build)(settings, clock());
    let page = build(&support::settings("https://github.com/acme/web")).unwrap_err();
    assert!(page.to_string().starts_with("source gh: https://github.com/acme/web is a page"), "{page}");
    let mut app = support::settings("https://api.github.com");
    app.token = None;
    app.extra.insert("app_id", config::Extra::Text("7".into()));
    assert!(build(&app).unwrap_err().why.contains("private_key_file"));
    let none = config::SourceSettings { url: None, ..support::settings("https://api.github.com") };
    assert!(build(&none).is_err());
    let good = build(&support::settings("https://github.com")).unwrap();
    assert_eq!(good.descriptor().id.as_str(), "github");
    assert!(!format!("{good:?}").contains(support::TOKEN));
}
