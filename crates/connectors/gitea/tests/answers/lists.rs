//! Lists, pages, and whose address it is.

use connector::{Error, MergeRequestState};
use domain::Visibility;
use serde_json::{Value, json};

use crate::forge::{Forge, REPO, TOKEN, branch, repository};

#[tokio::test]
async fn links_to_another_host_lead_to_the_next_page_of_ours() {
    let forge = Forge::start().await;
    // ROOT_URL is another than the address that we use.
    let link = r#"<https://git.example.com/api/v1/user/repos?limit=50&page=2>; rel="next",<https://git.example.com/api/v1/user/repos?limit=50&page=2>; rel="last""#;
    let first = json!([repository("acme/web"), { "id": 8 }, repository("acme/api")]);
    forge.answer("/api/v1/user/repos", 200, &[("link", link)], &first.to_string());
    forge.answer("/api/v1/user/repos?page=2", 200, &[], &json!([repository("acme/cli")]).to_string());
    let page = forge.gitea.projects(None).await.unwrap();
    assert_eq!(page.items.len(), 2, "a broken row spoils no other");
    let last = forge.gitea.projects(page.next).await.unwrap();
    assert_eq!((last.items[0].name.as_str(), last.next), ("acme/cli", None));
    assert_eq!(forge.asked(), ["/api/v1/user/repos?limit=50", "/api/v1/user/repos?limit=50&page=2"]);
    assert!(forge.authorizations().iter().all(|a| *a == format!("token {TOKEN}")));
}

#[tokio::test]
async fn pages_without_links_end_by_their_count() {
    let forge = Forge::start().await;
    let row = |n: usize| repository(&format!("acme/r{n}"));
    let rows = |range: std::ops::Range<usize>| Value::Array(range.map(row).collect()).to_string();
    forge.answer("/api/v1/user/repos", 200, &[("x-total-count", "70")], &rows(0..50));
    forge.answer("/api/v1/user/repos?page=2", 200, &[("x-total-count", "70")], &rows(50..70));
    let page = forge.gitea.projects(None).await.unwrap();
    let last = forge.gitea.projects(page.next).await.unwrap();
    assert_eq!((last.items.len(), last.next), (20, None));
    // A smaller page than was asked for, as servers may be set to give.
    forge.answer("/api/v1/user/repos", 200, &[("x-total-count", "70")], &rows(0..30));
    assert!(forge.gitea.projects(None).await.unwrap().next.is_some());
    forge.answer("/api/v1/user/repos", 200, &[("link", r#"</next>; rel="next""#)], "[]");
    assert_eq!(forge.gitea.projects(None).await.unwrap().next, None, "an empty page is the end");
    forge.answer("/api/v1/user/repos?limit=1", 200, &[("x-total-count", "70")], &rows(0..1));
    assert_eq!(forge.gitea.project_count().await.unwrap(), Some(70));
    forge.answer("/api/v1/user/repos?limit=1", 200, &[], &rows(0..1));
    assert_eq!(forge.gitea.project_count().await.unwrap(), None, "not told");
}

#[tokio::test]
async fn repositories_are_told_whole_or_with_gaps() {
    let forge = Forge::start().await;
    let read = async |row: Value| {
        forge.give(REPO, row);
        forge.gitea.project("acme/web").await.unwrap()
    };
    let whole = read(repository("acme/web")).await;
    assert_eq!(
        (whole.visibility, whole.default_branch.as_deref()),
        (Some(Visibility::Private), Some("main"))
    );
    assert_eq!(whole.avatar_url.unwrap().as_str(), "https://git.example.com/avatars/acme", "the owner's");
    assert_eq!(whole.last_activity_at, Some(crate::forge::at("10:00:00")));
    assert!(!whole.ci_disabled);
    let bare = read(json!({ "full_name": "acme/web" })).await;
    assert_eq!(
        (bare.visibility, bare.default_branch, bare.url, bare.last_activity_at),
        (None, None, None, None)
    );
    let odd = json!({
        "full_name": "acme/web", "private": false, "internal": true, "empty": true, "default_branch": "main",
        "updated_at": "0001-01-01T00:00:00Z", "description": "  ", "html_url": "javascript:alert(1)", "owner": null,
    });
    let odd = read(odd).await;
    assert_eq!((odd.visibility, odd.default_branch), (Some(Visibility::Internal), None));
    assert_eq!((odd.last_activity_at, odd.description, odd.url), (None, None, None));
}

#[tokio::test]
async fn branches_come_with_their_commits() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let name = "feature/größe#1";
    forge.give(&format!("{REPO}/branches"), json!([branch("main", "aaa"), { "name": name, "commit": null }]));
    let page = forge.gitea.branches(&project, None).await.unwrap();
    let main = &page.items[0];
    assert_eq!((main.default, main.protected, main.sha.as_deref()), (true, Some(true), Some("aaa")));
    let author = main.author.as_ref().unwrap();
    assert_eq!((author.name.as_str(), author.login.as_deref()), ("Ana Ruiz", Some("aruiz")));
    assert_eq!(main.committed_at, Some(crate::forge::at("09:00:00")));
    let url = page.items[1].url.as_ref().unwrap().as_str();
    assert_eq!(url, "https://git.example.com/acme/web/src/branch/feature/gr%C3%B6%C3%9Fe%231");
    assert_eq!((page.items[1].sha.as_ref(), page.items[1].default), (None, false));
    let gone = forge.gitea.branch(&project, "gone").await;
    assert!(matches!(gone, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn pull_requests_and_issues() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let end = |label: &str, branch: &str, repo: Value, id: u64| json!({ "label": label, "ref": branch, "sha": "c0ffee", "repo_id": id, "repo": repo });
    let home = || json!({ "id": 7, "owner": { "login": "acme" } });
    let pull = |number: u64, title: &str, head: Value, more: Value| {
        let mut row = json!({
            "id": 100 + number, "number": number, "title": title, "state": "open", "user": { "login": "aruiz", "full_name": "" },
            "head": head, "base": end("main", "main", home(), 7), "labels": [{ "name": "bug" }], "mergeable": true,
            "requested_reviewers": [{ "login": "lee" }], "created_at": "2026-11-24T10:00:00Z",
            "html_url": format!("https://git.example.com/acme/web/pulls/{number}"),
        });
        for (key, value) in more.as_object().unwrap() {
            row[key] = value.clone();
        }
        row
    };
    let fork = json!({ "id": 9, "owner": { "login": "lee" } });
    let rows = [
        pull(1, "A change", end("topic", "topic", home(), 7), json!({ "draft": false })),
        pull(2, "wip: more", end("topic", "topic", fork, 9), json!({ "mergeable": null })),
        pull(
            3,
            "Gone",
            end("topic", "refs/pull/3/head", Value::Null, 9),
            json!({ "draft": true, "requested_reviewers": null }),
        ),
        pull(
            4,
            "[WIP] x",
            end("topic", "refs/pull/4/head", home(), 7),
            json!({ "merged": true, "state": "closed" }),
        ),
        json!({ "id": 1 }),
    ];
    forge.give(&format!("{REPO}/pulls"), Value::Array(rows.to_vec()));
    let open = forge.gitea.merge_requests().unwrap().open_merge_requests(&project, None).await.unwrap().items;
    assert_eq!(forge.asked(), ["/pulls?state=open&sort=recentupdate&limit=50"]);
    let told: Vec<_> =
        open.iter().map(|m| (m.number, m.draft, m.source_branch.as_str(), m.mergeable)).collect();
    let want = [
        (1, false, "topic", Some(true)),
        (2, true, "lee:topic", None),
        (3, true, "unknown:topic", Some(true)),
        (4, true, "topic", Some(true)),
    ];
    assert_eq!(told, want);
    assert_eq!((open[3].state, &open[0].target_branch[..]), (MergeRequestState::Merged, "main"));
    assert_eq!((open[0].reviewers[0].name.as_str(), open[2].reviewers.len()), ("lee", 0));

    let issues = json!([
        { "id": 1, "number": 5, "title": "Broken", "state": "open", "user": { "login": "aruiz" }, "assignees": null, "pull_request": null },
        { "id": 2, "number": 6, "title": "A pull request", "state": "open", "pull_request": { "merged": false } },
    ]);
    forge.give(&format!("{REPO}/issues?type=issues"), issues);
    let open = forge.gitea.issues().unwrap().open_issues(&project, None).await.unwrap().items;
    assert_eq!(open.iter().map(|i| i.number).collect::<Vec<_>>(), [5], "old servers list both");
}

#[tokio::test]
async fn an_address_that_is_no_giteas_is_named_as_such() {
    // A wiki: every page is HTML, with 404 or 200.
    let wiki = Forge::start().await;
    let Err(Error::Garbage(why)) = wiki.gitea.projects(None).await else {
        panic!("a wiki has no repositories")
    };
    assert!(
        why.contains("source-under-test") && why.contains("Gitea or Forgejo at http://127.0.0.1:"),
        "{why}"
    );
    assert!(why.contains("/api/v1") && why.contains("404"), "{why}");
    let html = "<!doctype html><title>Log in</title>";
    wiki.answer("/api/v1/user/repos", 200, &[("content-type", "text/html")], html);
    let Err(Error::Garbage(why)) = wiki.gitea.projects(None).await else { panic!("a login page has none") };
    assert!(why.contains("Gitea") && why.contains("HTML page"), "{why}");
    wiki.answer("/api/v1/user/repos", 200, &[], r#"{"projects":[]}"#);
    let Err(Error::Garbage(why)) = wiki.gitea.projects(None).await else { panic!("another's JSON has none") };
    assert!(why.contains("JSON of another shape"), "{why}");

    // A watched repository that is not there tells nothing of the server; its version does.
    let none = Forge::start().await;
    let Err(Error::Garbage(why)) = none.gitea.project("acme/no").await else { panic!("no Gitea") };
    assert!(why.contains("also for its /version"), "{why}");
    none.give("/api/v1/version", json!({ "version": "12.0.1+gitea-1.22.0" }));
    assert!(matches!(none.gitea.project("acme/no").await, Err(Error::NotFound(_))));
    none.asked();
    assert!(matches!(none.gitea.project("acme/no").await, Err(Error::NotFound(_))));
    assert_eq!(none.asked().len(), 1, "it is known to be one");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    for (status, message) in
        [(401, "token is required"), (403, "token does not have at least one of required scope(s)")]
    {
        forge.answer("/api/v1/user/repos", status, &[], &json!({ "message": message }).to_string());
        let error = forge.gitea.projects(None).await.unwrap_err();
        assert_eq!(matches!(error, Error::Unauthorized(_)), status == 401, "{error}");
        assert!(
            error.to_string().contains("read:repository") && !error.to_string().contains(TOKEN),
            "{error}"
        );
    }
    // A token for repositories alone does not tell whose it is.
    forge.answer("/api/v1/user", 403, &[], r#"{"message":"required=[read:user]"}"#);
    assert_eq!(forge.gitea.current_user().unwrap().current_user().await.unwrap(), None);
    forge.give(
        "/api/v1/user",
        json!({ "login": "aruiz", "full_name": "Ana Ruiz", "avatar_url": "https://x.example/a" }),
    );
    let me = forge.gitea.current_user().unwrap().current_user().await.unwrap().unwrap();
    assert_eq!((me.name.as_str(), me.login.as_deref()), ("Ana Ruiz", Some("aruiz")));
    forge.answer(&format!("{REPO}/branches"), 429, &[("retry-after", "120")], "");
    let told = forge.gitea.branches(&project, None).await;
    assert!(matches!(told, Err(Error::RateLimited { until: Some(_) })), "a proxy's limit: {told:?}");
}

#[tokio::test]
async fn names_that_cannot_be_repositories_are_not_asked_for() {
    let forge = Forge::start().await;
    for name in ["web", "a/b/c", "acme/../x", "größe/x", ""] {
        assert!(!forge.gitea.could_hold(name), "{name}");
        assert!(matches!(forge.gitea.project(name).await, Err(Error::NotFound(_))), "{name}");
    }
    assert_eq!(forge.asked(), [""; 0]);
    assert!(forge.uri().starts_with("http://"));
}
