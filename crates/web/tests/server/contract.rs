//! The JSON API, field for field: scripts rely on it.

use std::collections::BTreeSet;

use api::v1;

use crate::fixtures;
use crate::kit::{Script, World};
use serde_json::{Value, json};

const P: &str = "/api/v1/projects/gl/42";

/// The names of the fields, sorted.
fn fields(item: &Value) -> Vec<&str> {
    item.as_object().unwrap_or_else(|| panic!("no object: {item}")).keys().map(String::as_str).collect()
}

#[track_caller]
fn assert_fields(item: &Value, contract: &str) {
    let wanted: BTreeSet<&str> = contract.split_whitespace().collect();
    assert_eq!(fields(item).into_iter().collect::<BTreeSet<_>>(), wanted);
}

const PROJECT: &str = "source platform id name description visibility avatar_url url default_branch outcome activity \
                       broken_since last_activity_at problem pipelines";
const PIPELINE: &str = "source project_id id number attempt workflow branch sha status native_status event author \
                        message created_at started_at finished_at duration_seconds queued_seconds \
                        expected_duration_seconds overdue_after_seconds url";
const JOB: &str = "id name stage status native_status allow_failure failure_reason created_at started_at finished_at \
                   duration_seconds queued_seconds url";
const BRANCH: &str = "source project_id name default protected sha author message committed_at outcome activity \
                      pipelines url";
const SOURCE: &str = "name platform url state error failing_since next_try_at last_success_at projects budget \
                      requests_last_hour not_modified_share schedule batching endpoints sends_webhooks webhooks \
                      token";
const SOURCE_SCHEDULE: &str = "projects due unread next_at stretch active_every_seconds age_median_seconds \
                               age_worst_seconds webhooks_alive paused_until failures";
const ENDPOINT: &str =
    "endpoint requests not_modified failed waited_seconds requests_last_hour not_modified_last_hour";
const EXPLANATION: &str = "source platform id name url branch outcome activity problem reasons schedule source_state \
                           source_error";
const SCHEDULE: &str = "why why_text every_seconds asked_at whole_at answer failure due_at reading told_by_listing \
                        webhook_at hooked paused_until stretch";
const WEBHOOKS: &str =
    "last_at last_kind accepted duplicate ignored forged malformed too_large last_refused_at last_refusal";
const MERGE_REQUEST: &str = "source project_id id number title state draft author reviewers labels source_branch \
                             target_branch sha outcome activity created_at updated_at url";
const ISSUE: &str =
    "source project_id id number title state author assignees labels created_at updated_at url";
const ME: &str = "source platform name login avatar_url error";

fn rows() -> Script {
    Script { rows: vec![fixtures::full_row(), fixtures::bare_row()], ..Script::default() }
}

#[tokio::test(start_paused = true)]
async fn lists_have_their_five_fields_and_items_theirs() {
    let world = World::new(rows()).await;
    for (path, item) in [
        ("/api/v1/projects", PROJECT),
        ("/api/v1/pipelines", PIPELINE),
        ("/api/v1/branches", BRANCH),
        ("/api/v1/sources", SOURCE),
        ("/api/v1/merge-requests", MERGE_REQUEST),
        ("/api/v1/issues", ISSUE),
        ("/api/v1/me", ME),
        (&format!("{P}/merge-requests"), MERGE_REQUEST),
        (&format!("{P}/issues"), ISSUE),
        (&format!("{P}/pipelines"), PIPELINE),
        (&format!("{P}/branches"), BRANCH),
        (&format!("{P}/pipelines/9001/jobs"), JOB),
    ] {
        let list = world.get(path).await.json();
        assert_fields(&list, "items total page per_page version");
        assert_eq!(
            (&list["page"], &list["per_page"], &list["version"]),
            (&json!(1), &json!(50), &json!("7.1"))
        );
        let items = list["items"].as_array().unwrap();
        assert_eq!(list["total"], items.len(), "{path}");
        assert!(!items.is_empty(), "{path}");
        items.iter().for_each(|i| assert_fields(i, item));
    }
    for (path, item) in [
        (P.to_owned(), PROJECT),
        (format!("{P}/pipelines/9001"), PIPELINE),
        (format!("{P}/branches/main"), BRANCH),
        (format!("{P}/explain"), EXPLANATION),
        ("/api/v1/stores".to_owned(), "history cache"),
        (format!("{P}/pipelines/9001/jobs/j1/log"), "text truncated note loading"),
    ] {
        assert_fields(&world.get(&path).await.json(), item);
    }
}

#[tokio::test(start_paused = true)]
async fn values_are_what_the_contract_says() {
    let world = World::new(rows()).await;
    let run = world.get(&format!("{P}/pipelines/9001")).await.json();
    assert_eq!(
        run,
        json!({
            "source": "gl", "project_id": "42", "id": "9001", "number": 17, "attempt": 2, "workflow": "build",
            "branch": "main", "sha": "a41f9c2e", "status": "failed", "native_status": "failed", "event": "push",
            "author": "Mira Musterfrau", "message": "Round half even", "created_at": "2026-11-24T10:00:00Z",
            "started_at": "2026-11-24T10:00:05Z", "finished_at": "2026-11-24T10:03:05.5Z",
            "duration_seconds": 180.5, "queued_seconds": 5.0, "expected_duration_seconds": null,
            "overdue_after_seconds": null,
            "url": "https://gitlab.example.com/p/-/pipelines/9001",
        })
    );
    let bare = world.get(&format!("{P}/pipelines/9000")).await.json();
    for (field, value) in bare.as_object().unwrap() {
        let known = ["source", "project_id", "id", "status"].contains(&field.as_str());
        assert_eq!(!value.is_null(), known, "{field} is {value}");
    }
    let projects = world.get("/api/v1/projects").await.json();
    let (full, bare) = (&projects["items"][0], &projects["items"][1]);
    assert_eq!(full["outcome"], "failed");
    assert_eq!(full["activity"], "running");
    assert_eq!(full["broken_since"], "2026-11-24T10:00:05Z");
    assert_eq!(full["pipelines"][0]["id"], "9001");
    assert_eq!(bare["outcome"], Value::Null);
    assert_eq!(bare["problem"], "not found at gl");
    assert_eq!(bare["pipelines"], json!([]));
    let merge_requests = world.get("/api/v1/merge-requests").await.json();
    assert_eq!(
        merge_requests["items"][0],
        json!({
            "source": "gl", "project_id": "42", "id": "7001", "number": 12, "title": "Round half even",
            "state": "open", "draft": true, "author": "Mira Musterfrau", "reviewers": ["Mira Musterfrau"],
            "labels": ["money"], "source_branch": "fix", "target_branch": "main", "sha": "a41f9c2e",
            "outcome": "failed", "activity": "running", "created_at": "2026-11-20T10:00:00Z",
            "updated_at": "2026-11-24T10:00:00Z",
            "url": "https://gitlab.example.com/group/name/-/merge_requests/12",
        })
    );
    let bare = &merge_requests["items"][1];
    assert_eq!(
        (&bare["outcome"], &bare["sha"], &bare["reviewers"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    let issue = &world.get("/api/v1/issues").await.json()["items"][0];
    assert_eq!((&issue["assignees"], &issue["labels"]), (&json!(["Mira Musterfrau"]), &json!(["bug"])));
    let me = world.get("/api/v1/me").await.json();
    assert_eq!((&me["items"][0]["login"], &me["items"][1]["error"]), (&json!("mira"), &json!("401")));
    assert_eq!(world.get("/api/v1/me?status=known").await.json()["total"], 1);
    let source = &world.get("/api/v1/sources").await.json()["items"][0];
    assert_eq!(source["state"], "limited");
    assert_eq!(
        source["budget"],
        json!({ "limit": 2000, "remaining": 0, "reset_at": "2026-11-24T12:01:00Z", "window_seconds": 60.0 })
    );
    assert_fields(&source["schedule"], SOURCE_SCHEDULE);
    assert_eq!(source["schedule"]["stretch"], 5.5);
    assert_fields(&source["endpoints"][0], ENDPOINT);
    assert_eq!(source["not_modified_share"], 80.0 / 120.0, "of the last hour");
    assert_eq!(source["batching"]["budget"]["remaining"], 4000);
    assert_eq!(
        source["webhooks"],
        json!({
            "last_at": "2026-11-24T11:58:00Z", "last_kind": "Pipeline Hook", "accepted": 7, "duplicate": 1, "ignored": 2,
            "forged": 3, "malformed": 0, "too_large": 0, "last_refused_at": null, "last_refusal": null,
        })
    );
    assert_eq!(
        source["token"],
        json!({ "scopes": ["api"], "writes": ["api"], "expires_at": "2026-12-01T00:00:00Z" })
    );
    let log = world.get(&format!("{P}/pipelines/9001/jobs/j1/log")).await.json();
    assert_eq!(log, json!({ "text": "line 1\nline 2\n", "truncated": true, "note": null, "loading": false }));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_read_says_loading() {
    let world = World::new(Script { loading: true, ..Script::default() }).await;
    for path in [
        format!("{P}/branches"),
        format!("{P}/pipelines/9001/jobs"),
        format!("{P}/merge-requests"),
        format!("{P}/issues"),
        "/api/v1/merge-requests".into(),
        "/api/v1/issues".into(),
    ] {
        let reply = world.get(&path).await;
        assert_eq!(reply.status, 200);
        assert_eq!((&reply.json()["loading"], &reply.json()["items"]), (&json!(true), &json!([])));
    }
    assert_eq!(world.get(&format!("{P}/branches/main")).await.json()["loading"], true);
    // It is not kept: the next one asks again.
    world.aggregator.script().loading = false;
    let list = world.get(&format!("{P}/branches")).await.json();
    assert_fields(&list, "items total page per_page version");
    assert_eq!(list["total"], 2);
    assert_fields(&world.get(&format!("{P}/branches/main")).await.json(), BRANCH);
}

#[tokio::test(start_paused = true)]
async fn list_parameters_reach_the_aggregator() {
    let world = World::new(rows()).await;
    let query = "q=x%20y&source=a,b&source=c&platform=gitlab&status=failed&status=running&sort=-name&page=2&per_page=7";
    assert_eq!(world.get(&format!("/api/v1/projects?{query}")).await.status, 200);
    let asked = world.aggregator.asked().pop().unwrap();
    for part in [
        r#"q: "x y""#,
        r#"sources: ["a", "b", "c"]"#,
        r#"platforms: ["gitlab"]"#,
        r#"statuses: ["failed", "running"]"#,
        r#"sort: "-name""#,
        "page: 2, per_page: 7",
        "fold: false",
    ] {
        assert!(asked.contains(part), "{part} not in {asked}");
    }
    world.get("/api/v1/pipelines?branch=main&sort=duration").await;
    let asked = world.aggregator.asked().pop().unwrap();
    assert!(asked.contains(r#"branch: Some("main")"#) && asked.contains("project: None"), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn what_is_mine_and_what_is_a_draft_reach_the_aggregator() {
    let world = World::new(rows()).await;
    for (path, parts) in [
        ("/api/v1/projects?mine=1", vec!["list_projects", "mine: true"]),
        ("/?mine=true", vec!["list_projects", "mine: true", "per_branch: true"]),
        (
            "/api/v1/merge-requests?mine=1&draft=0&sort=-created",
            vec!["mine: true", "draft: Some(false)", "-created"],
        ),
        ("/merge-requests?draft=1", vec!["mine: false", "draft: Some(true)"]),
        (
            "/issues?mine=1&status=unassigned",
            vec!["list_issues", "mine: true", r#"statuses: ["unassigned"]"#],
        ),
        ("/api/v1/projects/gl/42/issues?mine=0", vec!["mine: false", r#"id: "42""#]),
        // Nothing that these lists know.
        ("/api/v1/pipelines?mine=1&draft=1", vec!["list_pipelines"]),
    ] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let asked = world.aggregator.asked();
        let asked = asked.iter().rfind(|a| !a.contains("fold: true") || path.starts_with("/?")).unwrap();
        for part in parts {
            assert!(asked.contains(part), "{path}: {part} not in {asked}");
        }
    }
    for wrong in
        ["/api/v1/issues?mine=yes", "/api/v1/merge-requests?draft=2", "/merge-requests?status=purple"]
    {
        assert_eq!(world.get(wrong).await.status, 400, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_list_lacks_is_said() {
    let problem = v1::Problem { kind: "partial".into(), text: "gl: issues not read: a/b: 502".into() };
    let world = World::new(Script { problems: vec![problem], ..rows() }).await;
    for path in ["/api/v1/merge-requests", "/api/v1/issues"] {
        let list = world.get(path).await.json();
        assert_eq!(list["problems"], json!(["gl: issues not read: a/b: 502"]), "{path}");
    }
    assert!(world.get("/issues").await.text().contains("gl: issues not read: a/b: 502"));
}

#[tokio::test(start_paused = true)]
async fn a_page_beyond_the_end_is_empty() {
    let world = World::new(rows()).await;
    for path in ["/api/v1/projects", "/api/v1/sources", &format!("{P}/pipelines/9001/jobs")] {
        let list = world.get(&format!("{path}?page=4000000000&per_page=1")).await;
        assert_eq!(list.status, 200, "{path}: {}", list.text());
        assert_eq!(list.json()["items"], json!([]), "{path}");
        assert_ne!(list.json()["total"], 0, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_a_problem_that_names_what_is_right() {
    let world = World::new(rows()).await;
    for list in [
        "/api/v1/projects",
        "/api/v1/pipelines",
        "/api/v1/branches",
        "/api/v1/sources",
        "/api/v1/merge-requests",
        "/api/v1/issues",
        "/api/v1/me",
    ] {
        assert!(world.get(&format!("{list}?per_page=101")).await.problem(400).contains("100"));
        for wrong in ["per_page=0", "page=0", "page=-1", "page=1e3", "per_page=x"] {
            world.get(&format!("{list}?{wrong}")).await.problem(400);
        }
        for parameter in ["status", "sort"] {
            let reply = world.get(&format!("{list}?{parameter}=purple")).await;
            assert!(reply.problem(400).contains("purple"));
            let allowed = reply.json()["allowed"].as_array().unwrap().clone();
            assert!(allowed.len() > 1, "{allowed:?}");
            // Every word that is named is taken.
            for word in allowed {
                let word = word.as_str().unwrap();
                assert_eq!(world.get(&format!("{list}?{parameter}={word}")).await.status, 200, "{word}");
            }
        }
    }
    for unknown in [
        "/api/v1",
        "/api/v1/nonsense",
        "/api",
        "/api/v2/projects",
        "/api/v1/projects/gl/none",
        "/api/v1/projects/no%20source/42",
        &format!("{P}/pipelines/none"),
        &format!("{P}/branches/none"),
        "/api/v1/projects/gl/none/branches",
        "/api/v1/projects/gl/none/pipelines",
        "/api/v1/projects/gl/none/merge-requests",
        "/api/v1/projects/gl/none/issues",
        "/api/v1/projects/gl/none/pipelines/1/jobs",
        "/api/v1/projects/gl/none/pipelines/1/jobs/2/log",
    ] {
        world.get(unknown).await.problem(404);
    }
    world.get("/api/v1/projects/gl/%FF").await.problem(400);
}

#[tokio::test(start_paused = true)]
async fn jobs_and_sources_are_filtered_sorted_and_paged_here() {
    let jobs = format!("{P}/pipelines/9001/jobs");
    let world = World::new(rows()).await;
    let ids = async |query: &str| {
        let list = world.get(&format!("{jobs}?{query}")).await.json();
        let ids: Vec<_> =
            list["items"].as_array().unwrap().iter().map(|j| j["id"].as_str().unwrap().to_owned()).collect();
        (ids.join(" "), list["total"].as_u64().unwrap())
    };
    assert_eq!(ids("").await, ("j1 j2".into(), 2));
    assert_eq!(ids("sort=-order").await, ("j2 j1".into(), 2));
    assert_eq!(ids("sort=name").await, ("j2 j1".into(), 2));
    assert_eq!(ids("status=failed").await, ("j1".into(), 1));
    assert_eq!(ids("q=LINT").await, ("j2".into(), 1));
    assert_eq!(ids("per_page=1&page=2").await, ("j2".into(), 2));
    assert_eq!(ids("source=other").await, (String::new(), 0));
    assert_eq!(world.get("/api/v1/sources?status=ok").await.json()["total"], 0);
    assert_eq!(world.get("/api/v1/sources?platform=gitlab&q=GITLAB").await.json()["total"], 1);
}

#[tokio::test(start_paused = true)]
async fn another_name_of_a_project_leads_to_its_key() {
    let mut script = rows();
    script.renamed.insert(("gl".into(), "old/name".into()), "42".into());
    let world = World::with("server: { base_path: /ci }", script).await;
    for rest in [
        "",
        "/pipelines?status=failed&page=2",
        "/pipelines/9001",
        "/pipelines/9001/jobs",
        "/pipelines/9001/jobs/j%2F1/log",
        "/branches",
        "/branches/feature%2Fa",
        "/merge-requests?mine=1&draft=1",
        "/issues?sort=-created",
    ] {
        let reply = world.get(&format!("/ci/api/v1/projects/gl/old%2Fname{rest}")).await;
        assert_eq!(reply.status, 302, "{rest}: {}", reply.text());
        assert_eq!(reply.header("location"), Some(format!("/ci{P}{rest}").as_str()));
    }
    for rest in ["", "?status=failed", "/pipelines/9001?job=j1"] {
        let reply = world.get(&format!("/projects/gl/old%2Fname{rest}")).await;
        assert_eq!(reply.status, 302, "{rest}");
        assert_eq!(reply.header("location"), Some(format!("/ci/projects/gl/42{rest}").as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn people_can_be_hidden_everywhere() {
    let paths = [
        "/".to_owned(),
        "/projects/gl/42".into(),
        "/projects/gl/42/pipelines/9001".into(),
        "/api/v1/projects".into(),
        "/api/v1/pipelines".into(),
        "/api/v1/branches".into(),
        "/merge-requests".into(),
        "/issues".into(),
        "/api/v1/merge-requests".into(),
        "/api/v1/issues".into(),
        "/api/v1/me".into(),
        format!("{P}/merge-requests"),
        format!("{P}/issues"),
        P.into(),
        format!("{P}/pipelines"),
        format!("{P}/pipelines/9001"),
        format!("{P}/branches"),
        format!("{P}/branches/main"),
    ];
    let shown = World::new(rows()).await;
    let hidden = World::with("ui: { show_people: false }", rows()).await;
    for path in &paths {
        let reply = hidden.get(path).await;
        assert_eq!(reply.status, 200);
        assert!(!reply.text().contains("ira Musterfrau") && !reply.text().contains("mira.png"), "{path}");
        if path.starts_with("/api") {
            assert!(shown.get(path).await.text().contains("Mira Musterfrau"), "{path}");
        }
    }
    assert_eq!(hidden.get(&format!("{P}/branches/main")).await.json()["author"], Value::Null);
}

/// Whether `value` is what `schema` says, as far as this document goes.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema =
            document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"));
        return check(document, schema, value, at);
    }
    if let Some(any) = schema["oneOf"].as_array() {
        if !value.is_null() {
            check(document, &any[0], value, at);
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(n) if n.is_u64() || n.is_i64() => "integer",
        Value::Number(_) => "number",
    };
    let allowed: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().map(|k| k.as_str().unwrap()).collect(),
        _ => panic!("{at}: the schema has no type"),
    };
    assert!(
        allowed.contains(&kind) || kind == "integer" && allowed.contains(&"number"),
        "{at}: {value} is no {allowed:?}"
    );
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value} is not in {words:?}");
    }
    if let Some(items) = value.as_array() {
        items.iter().for_each(|item| check(document, &schema["items"], item, at));
    }
    if let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object()) {
        for (name, value) in object {
            let schema = properties.get(name).unwrap_or_else(|| panic!("{at}: {name} is not described"));
            check(document, schema, value, &format!("{at}.{name}"));
        }
        for name in schema["required"].as_array().unwrap() {
            assert!(object.contains_key(name.as_str().unwrap()), "{at}: {name} is missing");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_description_fits_the_answers() {
    let world = World::new(rows()).await;
    let document = world.get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        let concrete = path
            .replace("{source}", "gl")
            .replace("{id}", "42")
            .replace("{pipeline}", "9001")
            .replace("{job}", "j1")
            .replace("{branch}", "main");
        let content = &item["get"]["responses"]["200"]["content"];
        if content.get("text/event-stream").is_some() {
            continue;
        }
        let reply = world.get(&format!("/api/v1{concrete}")).await;
        assert_eq!(reply.status, 200, "{path}");
        check(&document, &content["application/json"]["schema"], &reply.json(), path);
        // What history teaches is narrowed in its own way.
        let of_history = path.starts_with("/stats/");
        let lists = reply.json().get("per_page").is_some() && !of_history;
        let parameters = item["get"]["parameters"].as_array().unwrap();
        let named = |name: &str| parameters.iter().any(|p| p["name"] == name && p["in"] == "query");
        for name in ["q", "source", "platform", "status", "sort", "page", "per_page"] {
            assert!(of_history || named(name) == lists, "{path} {name}");
        }
        // The words that it names are taken.
        for (name, at) in [
            ("status", "/schema/items/enum"),
            ("sort", "/schema/enum"),
            ("of", "/schema/enum"),
            ("by", "/schema/enum"),
            ("format", "/schema/enum"),
        ] {
            let parameter = parameters.iter().find(|p| p["name"] == name);
            for word in parameter.map_or(&Vec::new(), |p| p.pointer(at).unwrap().as_array().unwrap()) {
                let reply = world.get(&format!("/api/v1{concrete}?{name}={}", word.as_str().unwrap())).await;
                assert_eq!(reply.status, 200, "{path} {name}={word}");
            }
        }
    }
    let contract = [
        "/projects",
        "/projects/{source}/{id}",
        "/projects/{source}/{id}/explain",
        "/projects/{source}/{id}/pipelines",
        "/projects/{source}/{id}/pipelines/{pipeline}",
        "/projects/{source}/{id}/pipelines/{pipeline}/jobs",
        "/projects/{source}/{id}/pipelines/{pipeline}/jobs/{job}/log",
        "/projects/{source}/{id}/branches",
        "/projects/{source}/{id}/branches/{branch}",
        "/projects/{source}/{id}/merge-requests",
        "/projects/{source}/{id}/issues",
        "/merge-requests",
        "/issues",
        "/me",
        "/session",
        "/pipelines",
        "/branches",
        "/sources",
        "/stores",
        "/stats/summary",
        "/stats/days",
        "/stats/hours",
        "/stats/rankings",
        "/stats/broken",
        "/stats/flaky",
        "/stats/failures",
        "/stats/delivery",
        "/stats/runs",
        "/events/stream",
        "/openapi.json",
    ];
    assert_eq!(paths.keys().map(String::as_str).collect::<BTreeSet<_>>(), contract.into_iter().collect());
    for (name, fields) in [
        ("Project", PROJECT),
        ("Pipeline", PIPELINE),
        ("Job", JOB),
        ("Branch", BRANCH),
        ("Webhooks", WEBHOOKS),
        ("MergeRequest", MERGE_REQUEST),
        ("Issue", ISSUE),
        ("Me", ME),
        ("Source", SOURCE),
        ("SourceSchedule", SOURCE_SCHEDULE),
        ("Endpoint", ENDPOINT),
        ("Explanation", EXPLANATION),
        ("Schedule", SCHEDULE),
    ] {
        assert_fields(&document["components"]["schemas"][name]["properties"], fields);
    }
    let problem = world.get("/api/v1/none").await;
    problem.problem(404);
    check(&document, &document["components"]["schemas"]["Problem"], &problem.json(), "problem");
}

#[tokio::test(start_paused = true)]
async fn an_explanation_tells_who_decided_and_when_it_is_asked() {
    let mut row = fixtures::full_row();
    let state = row.branch.as_mut().and_then(|b| b.state.as_mut()).unwrap();
    state.reasons = vec![
        v1::Reason {
            run_id: "9001".into(),
            number: Some(17),
            workflow: Some("build".into()),
            outcome: v1::Outcome::Failed.into(),
            url: Some("https://gitlab.example.com/p/-/pipelines/9001".into()),
            ..Default::default()
        },
        v1::Reason {
            run_id: "8000".into(),
            left_out: "canceled".into(),
            left_out_text: "it was canceled".into(),
            url: Some("javascript:alert(1)".into()),
            ..Default::default()
        },
    ];
    let world = World::new(Script { rows: vec![row], ..Script::default() }).await;
    let told = world.get(&format!("{P}/explain")).await.json();
    assert_eq!(
        told["reasons"],
        json!([
            { "pipeline_id": "9001", "number": 17, "workflow": "build", "decided": true, "outcome": "failed",
              "left_out": null, "left_out_text": null, "url": "https://gitlab.example.com/p/-/pipelines/9001" },
            { "pipeline_id": "8000", "number": null, "workflow": null, "decided": false, "outcome": null,
              "left_out": "canceled", "left_out_text": "it was canceled", "url": null },
        ])
    );
    assert_eq!(
        told["schedule"],
        json!({
            "why": "active", "why_text": "something happened within the last day", "every_seconds": 45.0,
            "asked_at": "2026-11-24T11:59:40Z", "whole_at": "2026-11-24T11:50:00Z", "answer": "failed",
            "failure": "403 at gl", "due_at": "2026-11-24T12:00:25Z", "reading": false, "told_by_listing": false,
            "webhook_at": "2026-11-24T11:58:00Z", "hooked": true, "paused_until": "2026-11-24T12:01:00Z",
            "stretch": 5.5,
        })
    );
    assert_eq!((&told["outcome"], &told["source_state"]), (&json!("failed"), &json!("limited")));

    // A source that nobody asks; a project that goes by another name; one that is not.
    world.aggregator.script().schedule = None;
    world.aggregator.script().renamed.insert(("gl".into(), "old/name".into()), "42".into());
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    assert_eq!(world.get(&format!("{P}/explain")).await.json()["schedule"], Value::Null);
    let moved = world.get("/api/v1/projects/gl/old%2Fname/explain").await;
    assert!(moved.status.is_redirection(), "{}", moved.status);
    assert_eq!(moved.headers["location"], format!("{P}/explain"));
    world.get("/api/v1/projects/gl/none/explain").await.problem(404);
}
