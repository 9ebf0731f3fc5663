//! Which jobs there are.

use domain::Status;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::listing::listed;
use super::support::{settings, source};
use super::{FOLDER, FREESTYLE, Forge, MULTIBRANCH, PIPELINE, ROOT, build, folder, job, root, watching};

async fn told(jobs: &[Value]) -> connector::ProjectPage {
    let forge = Forge::start().await;
    forge.json(ROOT, &root(jobs));
    listed(&*watching(&forge)).await.unwrap().0
}

#[tokio::test]
async fn folders_in_folders_and_every_kind_of_job() {
    let organization = "jenkins.branch.OrganizationFolder";
    let page = told(&[
        job(FREESTYLE, "plain", json!({})),
        folder(
            FOLDER,
            "a",
            &[
                job(PIPELINE, "with space", json!({})),
                folder(
                    FOLDER,
                    "b",
                    &[folder(FOLDER, "c", &[job("hudson.matrix.MatrixProject", "deep", json!({}))])],
                ),
            ],
        ),
        folder(organization, "org", &[folder(MULTIBRANCH, "repo", &[job(PIPELINE, "main", json!({}))])]),
        folder(FOLDER, "empty", &[]),
        json!({ "_class": "com.example.Dashboard", "name": "no job" }),
        json!({ "_class": "com.example.NewKindOfJob", "name": "new kind", "color": "red" }),
        json!(17),
        json!({ "_class": FREESTYLE }),
        json!({ "_class": FREESTYLE, "name": "这是一个改了名字的测试任务" }),
    ])
    .await;
    let ids: Vec<_> = page.items.iter().map(|p| p.key.id.to_string()).collect();
    assert_eq!(
        ids,
        ["plain", "a/with space", "a/b/c/deep", "org/repo", "new kind", "这是一个改了名字的测试任务"]
    );
    assert!(page.next.is_none());
    let branches: Vec<_> = page.items.iter().map(|p| p.default_branch.as_deref()).collect();
    assert_eq!(branches, [None, None, None, Some("main"), None, None]);
}

#[tokio::test]
async fn links_are_told_and_names_are_asked() {
    let forge = Forge::start().await;
    forge.json(
        ROOT,
        &root(&[
            job(FREESTYLE, "a", json!({})),
            job(FREESTYLE, "b", json!({ "url": "javascript:alert(1)" })),
        ]),
    );
    let source = watching(&forge);
    let (page, _) = listed(&*source).await.unwrap();
    let links: Vec<_> = page.items.iter().map(|p| p.url.as_ref().unwrap().to_string()).collect();
    assert_eq!(
        links,
        ["http://wrong.host:8080/jenkins/job/a/".to_owned(), format!("{}/job/b/", forge.url())]
    );
    // Under a prefix, whatever host the links name; every name encoded once more.
    forge.json(
        "GET /jenkins/job/org%20x/job/feature%252Fx%23/api/json",
        &job(PIPELINE, "feature%2Fx#", json!({})),
    );
    let source = source_at(&forge, "/jenkins/");
    let found = source.project("org x/feature%2Fx#").await.unwrap();
    assert_eq!((found.key.id.as_str(), found.name.as_str()), ("org x/feature%2Fx#", "org x/feature/x#"));
}

fn source_at(forge: &Forge, prefix: &str) -> std::sync::Arc<dyn connector::Connector> {
    source(&settings(&format!("{}{prefix}", forge.url()), Some(super::TOKEN)))
}

#[tokio::test]
async fn disabled_and_never_built() {
    let page = told(&[
        job(FREESTYLE, "on", json!({})),
        job(FREESTYLE, "off", json!({ "disabled": true })),
        job(FREESTYLE, "off by colour", json!({ "disabled": null, "color": "disabled_anime" })),
        job(FREESTYLE, "new", json!({ "color": "notbuilt", "lastBuild": null, "lastCompletedBuild": null, "nextBuildNumber": 1 })),
    ])
    .await;
    let disabled: Vec<_> = page.items.iter().map(|p| p.ci_disabled).collect();
    assert_eq!(disabled, [false, true, true, false]);
    let runs: Vec<_> = page.items.iter().map(|p| page.told[&p.key.id].pipelines.len()).collect();
    assert_eq!(runs, [1, 1, 1, 0]);
    assert_eq!(page.items[3].last_activity_at, None);
    assert!(page.items[0].last_activity_at.is_some());
}

#[tokio::test]
async fn the_default_branch_of_a_multibranch_job() {
    let primary = json!([{}, { "_class": "jenkins.scm.api.metadata.PrimaryInstanceMetadataAction" }]);
    let branch = |name: &str, patch: Value| job(PIPELINE, name, patch);
    let newer = json!({ "lastBuild": build(900, json!({})) });
    for (what, branches, want) in [
        (
            "the usual name",
            vec![branch("dev", json!({})), branch("master", json!({})), branch("main", json!({}))],
            Some("main"),
        ),
        (
            "master before trunk",
            vec![branch("trunk", json!({})), branch("master", json!({}))],
            Some("master"),
        ),
        (
            "the primary one",
            vec![branch("main", json!({})), branch("release%2F2", json!({ "actions": primary }))],
            Some("release/2"),
        ),
        (
            "the newest",
            vec![branch("a", json!({})), branch("b", newer.clone()), branch("c", json!({}))],
            Some("b"),
        ),
        ("no pull request", vec![branch("PR-7", newer.clone()), branch("a", json!({}))], Some("a")),
        (
            "not one that is gone",
            vec![branch("main", json!({ "disabled": true })), branch("a", json!({}))],
            Some("a"),
        ),
        ("unless all are", vec![branch("main", json!({ "disabled": true }))], Some("main")),
        ("only pull requests", vec![branch("PR-7", newer.clone())], None),
        ("none", vec![], None),
    ] {
        let page = told(&[folder(MULTIBRANCH, "mb", &branches)]).await;
        assert_eq!(page.items[0].default_branch.as_deref(), want, "{what}");
    }
}

#[tokio::test]
async fn branches_are_decoded_and_pull_requests_say_so() {
    let forge = Forge::start().await;
    let children = [
        job(PIPELINE, "feature%2F%C3%BC%23%2Bx", json!({})),
        job(PIPELINE, "PR-12", json!({ "lastBuild": build(3, json!({})), "lastCompletedBuild": null })),
        job(PIPELINE, "main", json!({ "inQueue": true, "queueItem": { "inQueueSince": super::THEN } })),
    ];
    forge.json(ROOT, &root(&[folder(MULTIBRANCH, "mb", &children)]));
    let cause = json!([{ "causes": [{ "_class": "jenkins.branch.BranchEventCause" }] }]);
    forge.json(
        "GET /job/mb/job/PR-12/api/json",
        &json!({ "builds": [build(3, json!({ "actions": cause }))] }),
    );
    forge.json("GET /job/mb/job/main/api/json", &json!({ "builds": [build(7, json!({}))] }));
    forge.json(
        "GET /job/mb/job/feature%252F%25C3%25BC%2523%252Bx/api/json",
        &json!({ "builds": [build(7, json!({}))] }),
    );
    let source = watching(&forge);
    let (mut page, _) = listed(&*source).await.unwrap();
    let project = page.items.remove(0);
    let ask =
        connector::HeadsAsk { told: page.told.remove(&project.key.id), ..super::support::ask(&project) };
    let heads = super::support::heads(&*source, ask).await.unwrap();
    let mut runs: Vec<_> = heads
        .pipelines
        .iter()
        .map(|r| (r.id.as_str(), r.branch.as_deref().unwrap(), r.status, r.event.as_deref()))
        .collect();
    runs.sort_unstable_by_key(|r| r.0);
    assert_eq!(
        runs,
        [
            ("PR-12/3", "PR-12", Status::Success, Some("pull_request")),
            ("feature%2F%C3%BC%23%2Bx/7", "feature/ü#+x", Status::Success, None),
            ("main/7", "main", Status::Success, None),
            ("main/8", "main", Status::Queued, None),
        ]
    );
    assert_eq!(
        heads.default_branch.unwrap().url.unwrap().as_str(),
        format!("{}/job/mb/job/main/", forge.url())
    );
}

#[tokio::test]
async fn a_folder_with_more_than_one_answer_holds_is_continued() {
    let forge = Forge::start().await;
    let many = |from: usize, to: usize| -> Vec<Value> {
        (from..to)
            .map(|n| json!({ "_class": FREESTYLE, "name": format!("job-{n}"), "color": "blue" }))
            .collect()
    };
    forge.json(ROOT, &root(&many(0, 300))).json(ROOT, &root(&many(300, 420)));
    let (page, pages) = listed(&*watching(&forge)).await.unwrap();
    assert_eq!((page.items.len(), pages), (420, 2));
    let queries: Vec<_> =
        forge.requests().await.iter().map(|r| r.url.query().unwrap_or_default().to_owned()).collect();
    assert!(queries[0].contains("%7B0%2C300%7D") && queries[1].ends_with("%7B300%2C600%7D"), "{queries:?}");
}

#[tokio::test]
async fn what_lies_deeper_than_one_answer_is_asked_for() {
    let forge = Forge::start().await;
    let mut inner = json!({ "_class": FOLDER, "name": "f5" });
    for level in (1..5).rev() {
        inner = folder(FOLDER, &format!("f{level}"), &[inner]);
    }
    forge.json(ROOT, &root(&[inner]));
    let deep = "GET /job/f1/job/f2/job/f3/job/f4/job/f5/api/json";
    forge.json(deep, &folder(FOLDER, "f5", &[job(FREESTYLE, "deep", json!({}))]));
    let (page, pages) = listed(&*watching(&forge)).await.unwrap();
    assert_eq!((page.items[0].key.id.as_str(), pages), ("f1/f2/f3/f4/f5/deep", 2));
}

#[tokio::test]
async fn one_job_by_name() {
    let forge = Forge::start().await;
    forge
        .json("GET /job/a/job/b/api/json", &job(FREESTYLE, "b", json!({})))
        .json("GET /job/a/api/json", &folder(FOLDER, "a", &[]))
        .json("GET /job/mb/api/json", &folder(MULTIBRANCH, "mb", &[job(PIPELINE, "main", json!({}))]))
        .json(
            "GET /job/mb/job/main/api/json",
            &job(PIPELINE, "main", json!({ "property": [{}, { "_class": "org.jenkinsci.plugins.workflow.multibranch.BranchJobProperty" }] })),
        );
    let source = watching(&forge);
    assert_eq!(source.project("/a/b/").await.unwrap().key.id.as_str(), "a/b");
    assert_eq!(source.project("mb/main").await.unwrap().key.id.as_str(), "mb", "a branch is its job's");
    for (name, says) in
        [("a", "folder"), ("nowhere", "404"), ("a//b", "no full name"), ("what?", "no full name")]
    {
        let error = source.project(name).await.unwrap_err();
        assert!(matches!(&error, connector::Error::NotFound(text) if text.contains(says)), "{name}: {error}");
    }
    assert!(source.could_hold("a/b") && source.could_hold("单") && !source.could_hold("a?b"));
}

#[tokio::test]
async fn a_folder_that_is_forbidden_spoils_no_other() {
    let forge = Forge::start().await;
    let beyond = |name: &str| json!({ "_class": FOLDER, "name": name });
    let mut inner = folder(FOLDER, "f4", &[beyond("mine"), beyond("theirs")]);
    for level in (1..4).rev() {
        inner = folder(FOLDER, &format!("f{level}"), &[inner]);
    }
    forge.json(ROOT, &root(&[inner, job(FREESTYLE, "plain", json!({}))]));
    let below = "GET /job/f1/job/f2/job/f3/job/f4/job";
    forge.put(&format!("{below}/theirs/api/json"), ResponseTemplate::new(403));
    forge.json(
        &format!("{below}/mine/api/json"),
        &folder(FOLDER, "mine", &[job(FREESTYLE, "deep", json!({}))]),
    );
    let (page, _) = listed(&*watching(&forge)).await.unwrap();
    let ids: Vec<_> = page.items.iter().map(|p| p.key.id.as_str()).collect();
    assert_eq!(ids, ["plain", "f1/f2/f3/f4/mine/deep"]);
}
