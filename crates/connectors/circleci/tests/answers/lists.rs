//! Which projects there are, and lists of runs.

use connector::{Error, PipelineQuery};
use jiff::SignedDuration;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::forge::{Forge, at, list, pipeline, project, workflow};
use crate::refresh::listed;

fn of(slug: &str, number: u64) -> Value {
    pipeline(number, json!({ "id": format!("{slug}-{number}"), "project_slug": slug }))
}

fn names(listed: &[(domain::Project, Option<connector::Heads>)]) -> Vec<&str> {
    listed.iter().map(|(project, _)| project.name.as_str()).collect()
}

#[tokio::test]
async fn projects_are_found_by_what_runs_and_by_what_is_followed() {
    let forge = Forge::start().await;
    forge.give("/me/collaborations", json!([
        { "vcs-type": "github", "name": "acme" }, { "vcs_type": "circleci", "slug": "circleci/abc", "name": "Standalone" },
        { "vcs_type": "github", "slug": "gh/never-built", "name": "never-built" }, null, { "odd": 1 },
    ]));
    forge.give(
        "/api/v1.1/projects",
        json!([
            { "vcs_type": "github", "username": "acme", "reponame": "quiet", "default_branch": "trunk" },
            { "vcs_type": "bitbucket", "username": "other", "reponame": "tools", "default_branch": null },
            { "vcs_type": "circleci", "username": "abc", "reponame": "def" }, { "reponame": 3 },
        ]),
    );
    forge.give(
        "/pipeline?org-slug=gh/acme",
        list(&[of("gh/acme/web", 2), of("gh/acme/api", 1), of("gh/acme/web", 1), of("odd", 1)]),
    );
    forge.give("/pipeline?org-slug=circleci/abc", list(&[of("circleci/abc/def", 1)]));
    forge.give("/pipeline?org-slug=bb/other", list(&[]));
    forge.give("/project/gh/acme/api", project("acme", "api"));
    forge.give("/project/circleci/abc/def", json!({ "slug": "circleci/abc/def", "name": "Shop", "organization_name": "Acme",
        "vcs_info": { "vcs_url": "//circleci.com/abc/def", "provider": "CircleCI", "default_branch": "main" } }));
    let all = listed(&*forge.circle).await.unwrap();
    assert_eq!(names(&all), ["acme/api", "acme/quiet", "acme/web", "Acme/Shop", "other/tools"]);
    let quiet = &all[1].0;
    assert_eq!((quiet.key.id.as_str(), quiet.default_branch.as_deref()), ("gh/acme/quiet", Some("trunk")));
    assert_eq!(all[3].0.key.id.as_str(), "circleci/abc/def");
    assert_eq!(all[2].1.as_ref().unwrap().pipelines.len(), 2);
    assert!(all[1].1.as_ref().unwrap().pipelines.is_empty(), "nothing told is nothing new");
    let asked = forge.asked();
    assert_eq!(asked.iter().filter(|a| a.starts_with("/project/")).count(), 3, "{asked:?}");

    // The next one: a request for each organization, until what is known is met.
    let page = json!({ "items": [of("gh/acme/api", 2), of("gh/acme/web", 2)], "next_page_token": "older" });
    forge.give("/pipeline?org-slug=gh/acme", page);
    let second = listed(&*forge.circle).await.unwrap();
    assert_eq!(names(&second), names(&all));
    let asked = forge.asked();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked.iter().all(|a| a.starts_with("/pipeline?org-slug=")), "{asked:?}");
    assert_eq!(second[0].1.as_ref().unwrap().pipelines.len(), 2);

    // After an hour names and default branches are read again; one that is gone goes.
    forge.clock.advance(SignedDuration::from_hours(2));
    forge.answer(
        "/project/gh/acme/api",
        ResponseTemplate::new(404).set_body_json(json!({ "message": "Project not found" })),
    );
    let third = listed(&*forge.circle).await.unwrap();
    assert_eq!(names(&third), ["acme/quiet", "acme/web", "Acme/Shop", "other/tools"]);
}

#[tokio::test]
async fn a_listing_with_a_gap_tells_nothing_of_the_projects() {
    let forge = Forge::start_with(|s| s.organizations = vec!["acme".into()]).await;
    forge.give("/pipeline", list(&[of("gh/acme/web", 1)]));
    assert!(listed(&*forge.circle).await.unwrap()[0].1.is_some());
    // More has run meanwhile than is looked through.
    for page in 0..20 {
        let rows: Vec<_> = (0..3).map(|n| of("gh/acme/web", 100 - page * 3 - n)).collect();
        let body = json!({ "items": rows, "next_page_token": format!("t{}", page + 1) });
        let at = if page == 0 { "/pipeline".to_owned() } else { format!("/pipeline?page-token=t{page}") };
        forge.give(&at, body);
    }
    forge.asked();
    let second = listed(&*forge.circle).await.unwrap();
    assert!(second[0].1.is_none());
    assert_eq!(forge.asked().len(), 5);
    // Now it is known how far it reaches.
    assert!(listed(&*forge.circle).await.unwrap()[0].1.is_some());
    assert_eq!(forge.asked().len(), 1);
}

#[tokio::test]
async fn one_organization_that_fails_keeps_no_other_from_being_read() {
    let forge = Forge::start_with(|s| s.organizations = vec!["gone".into(), "github/acme".into()]).await;
    forge.give("/pipeline?org-slug=gh/acme", list(&[of("gh/acme/web", 1)]));
    let first = forge.circle.projects(None).await.unwrap();
    assert!(first.items.is_empty());
    let second = forge.circle.projects(first.next).await.unwrap();
    assert_eq!(second.items.len(), 1);
    let error = forge.circle.projects(second.next).await.unwrap_err();
    assert!(matches!(&error, Error::NotFound(text) if text.contains("gh/gone")), "{error:?}");
    assert!(forge.circle.projects(Some(connector::PageToken("odd".into()))).await.is_err());
}

#[tokio::test]
async fn names_find_projects_on_either_host() {
    let forge = Forge::start().await;
    forge.give(
        "/project/bb/acme/tools",
        json!({ "slug": "bb/acme/tools", "name": "tools", "organization_name": "acme" }),
    );
    let found = forge.circle.project("acme/tools").await.unwrap();
    assert_eq!((found.key.id.as_str(), found.default_branch), ("bb/acme/tools", None));
    assert_eq!(forge.asked(), ["/project/bb/acme/tools", "/project/gh/acme/tools"]);
    // The key is what CircleCI calls it now.
    forge.give("/project/gh/acme/old", project("acme", "new"));
    assert_eq!(forge.circle.project("github/acme/old").await.unwrap().key.id.as_str(), "gh/acme/new");
    forge.asked();
    for none in ["x", "123", "a/b/c/d", "gh/a b/c"] {
        assert!(matches!(forge.circle.project(none).await, Err(Error::NotFound(_))), "{none}");
        assert!(!forge.circle.could_hold(none), "{none}");
    }
    assert!(forge.asked().is_empty());
}

#[tokio::test]
async fn a_list_of_runs_keeps_what_came() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let page = json!({ "items": [pipeline(3, json!({})), pipeline(2, json!({}))], "next_page_token": "t" });
    forge.give("/project/gh/acme/web/pipeline", page);
    forge.give(
        "/project/gh/acme/web/pipeline?page-token=t",
        list(&[pipeline(2, json!({})), pipeline(1, json!({}))]),
    );
    for number in 1..=3 {
        forge.workflows(number, &[workflow(number, "build", "success", json!({}))]);
    }
    let query = PipelineQuery { branch: None, since: None, until: None, limit: 100 };
    let numbers =
        |runs: &connector::Pipelines| runs.items.iter().filter_map(|r| r.number).collect::<Vec<_>>();
    let all = forge.circle.pipelines(&project, &query).await.unwrap();
    assert_eq!((numbers(&all), all.problems), (vec![3, 2, 1], vec![]));
    let since = PipelineQuery { since: Some(at("09:02:00")), ..query.clone() };
    forge.asked();
    assert_eq!(numbers(&forge.circle.pipelines(&project, &since).await.unwrap()), [3, 2]);
    let asked = forge.asked();
    assert!(!asked.iter().any(|a| a == "/pipeline/p1/workflow"), "{asked:?}");
    let none = PipelineQuery { limit: 0, ..query.clone() };
    assert_eq!(numbers(&forge.circle.pipelines(&project, &none).await.unwrap()), [0; 0]);

    forge.answer("/pipeline/p2/workflow", ResponseTemplate::new(404));
    forge.answer(
        "/project/gh/acme/web/pipeline?page-token=t",
        ResponseTemplate::new(200).set_body_string("<html>"),
    );
    let some = forge.circle.pipelines(&project, &query).await.unwrap();
    assert_eq!(numbers(&some), [3]);
    assert_eq!(some.problems.len(), 2, "{:?}", some.problems);
}
