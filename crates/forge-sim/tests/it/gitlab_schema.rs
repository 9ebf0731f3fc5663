//! What the simulated GitLab answers, held against the fields that GitLab's own test suite demands.

use crate::common::{array, get, get_anonymously, get_as, still};
use crate::tables::Judge;
use forge_sim::world::Shape;
use forge_sim::{EXPIRED_TOKEN, FULL_TOKEN, NARROW_TOKEN, gitlab};
use serde_json::json;

const DESCRIPTION: &str = include_str!("../schemas/gitlab.json");

#[tokio::test]
async fn every_answer_fits_gitlabs_description() {
    let (builder, clock) = still(60);
    let sim = builder.running(6).start().await.unwrap();
    clock.advance(jiff::SignedDuration::from_secs(30));
    let api = format!("{}/api/v4", sim.gitlab_url());
    let mut judge = Judge::new(DESCRIPTION);
    judge.one("user", &format!("{api}/user")).await;
    let (mut statuses, mut groups, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    let (mut sources, mut deployments) = (Vec::new(), 0);
    for project in
        judge.list("project", &format!("{api}/projects?simple=true&membership=true&per_page=100")).await
    {
        let url = format!("{api}/projects/{}", project["id"]);
        let full = judge.one("project", &url).await;
        assert_eq!(full["path_with_namespace"], project["path_with_namespace"]);
        for branch in judge.list("branch", &format!("{url}/repository/branches")).await.iter().take(2) {
            let name = forge_sim::http::encode(branch["name"].as_str().unwrap());
            judge.one("branch", &format!("{url}/repository/branches/{name}")).await;
            judge
                .one(
                    "commit",
                    &format!("{url}/repository/commits/{}", branch["commit"]["id"].as_str().unwrap()),
                )
                .await;
        }
        judge.list("merge_request", &format!("{url}/merge_requests?scope=all")).await;
        judge.list("issue", &format!("{url}/issues")).await;
        if full["builds_access_level"] == "disabled" {
            let refused = get(&format!("{url}/pipelines")).await;
            assert_eq!((refused.status, refused.json()), (403, json!({"message": "403 Forbidden"})));
            continue;
        }
        deployments += judge.list("deployment", &format!("{url}/deployments?per_page=100")).await.len();
        judge.list("environment", &format!("{url}/environments?per_page=100")).await;
        for (k, run) in
            judge.list("pipeline", &format!("{url}/pipelines?per_page=100")).await.iter().enumerate()
        {
            statuses.push(run["status"].as_str().unwrap().to_owned());
            sources.push(run["source"].as_str().unwrap().to_owned());
            if k > 5 {
                continue;
            }
            let detail = judge.one("pipeline_detail", &format!("{url}/pipelines/{}", run["id"])).await;
            groups.push(detail["detailed_status"]["group"].as_str().unwrap().to_owned());
            for job in
                judge.list("job", &format!("{url}/pipelines/{}/jobs?include_retried=true", run["id"])).await
            {
                if let Some(reason) = job["failure_reason"].as_str() {
                    assert_eq!(job["status"], "failed");
                    reasons.push(reason.to_owned());
                }
            }
        }
    }
    for wanted in ["success", "failed", "canceled", "skipped", "manual", "running"] {
        assert!(statuses.iter().any(|s| s == wanted), "no pipeline is {wanted}");
    }
    for wanted in ["push", "schedule", "merge_request_event"] {
        assert!(sources.iter().any(|s| s == wanted), "no pipeline comes from {wanted}");
    }
    assert!(groups.iter().any(|g| g == "success-with-warnings"));
    assert!(deployments > 100, "{deployments} deployments");
    for wanted in ["script_failure", "runner_system_failure"] {
        assert!(reasons.iter().any(|r| r == wanted), "no job has {wanted}");
    }
    assert!(judge.1 > 1_000, "only {} answers were judged", judge.1);
}

#[tokio::test]
async fn errors_are_gitlabs() {
    let (builder, _clock) = still(20);
    let sim = builder.start().await.unwrap();
    let api = format!("{}/api/v4", sim.gitlab_url());
    let cases = [
        (get(&format!("{api}/projects/999999")).await, 404, json!({"message": "404 Project Not Found"})),
        (get(&format!("{api}/nothing")).await, 404, json!({"error": "404 Not Found"})),
        (get(&format!("{api}/projects/1001/pipelines/17")).await, 404, json!({"message": "404 Not found"})),
        (
            get(&format!("{api}/projects/1001/repository/branches/nope")).await,
            404,
            json!({"message": "404 Branch Not Found"}),
        ),
        (
            get(&format!("{api}/projects/1001/pipelines?scope=odd")).await,
            400,
            json!({"error": "scope does not have a valid value"}),
        ),
        (get(&format!("{api}/projects?page=x")).await, 400, json!({"error": "page is invalid"})),
        (get_as(&format!("{api}/user"), "nonsense", &[]).await, 401, json!({"message": "401 Unauthorized"})),
        (get_anonymously(&format!("{api}/user")).await, 401, json!({"message": "401 Unauthorized"})),
    ];
    for (answer, status, body) in cases {
        assert_eq!((answer.status, answer.json()), (status, body));
    }
    let narrow = get_as(&format!("{api}/projects"), NARROW_TOKEN, &[]).await;
    assert_eq!((narrow.status, &narrow.json()["error"]), (403, &json!("insufficient_scope")));
    let expired = get_as(&format!("{api}/projects"), EXPIRED_TOKEN, &[]).await;
    assert_eq!((expired.status, &expired.json()["error"]), (401, &json!("invalid_token")));
    // The other ways to show a token.
    for headers in [[("private-token", FULL_TOKEN)], [("authorization", "Bearer sim-full-token")]] {
        assert_eq!(crate::common::send("GET", &format!("{api}/user"), &headers).await.status, 200);
    }
}

#[tokio::test]
async fn special_projects_answer_as_gitlabs_do() {
    let (builder, _clock) = still(60);
    let sim = builder.start().await.unwrap();
    let api = format!("{}/gitlab/api/v4", sim.gitlab_url());
    let shapes: Vec<(Shape, u64)> =
        sim.world().with(|world| world.projects_of(gitlab::FACE).map(|p| (p.shape, p.native_id)).collect());
    let of = |shape: Shape| {
        shapes.iter().find(|(s, _)| *s == shape).map(|(_, id)| format!("{api}/projects/{id}")).unwrap()
    };
    let empty = get(&of(Shape::Empty)).await.json();
    assert_eq!((&empty["default_branch"], &empty["empty_repo"]), (&json!(null), &json!(true)));
    assert!(
        empty["_links"]["self"].as_str().unwrap().contains("/gitlab/api/v4/"),
        "the prefix stays in links"
    );
    assert_eq!(get(&format!("{}/pipelines", of(Shape::NoRuns))).await.json(), json!([]));
    assert_eq!(get(&format!("{}/pipelines/latest", of(Shape::NoRuns))).await.status, 403);
    assert_eq!(get(&of(Shape::Archived)).await.json()["archived"], true);
    let waiting = get(&format!("{}/pipelines/latest", of(Shape::Waiting))).await.json();
    assert_eq!(waiting["status"], "manual");
    assert_eq!(waiting["finished_at"], json!(null));
    // By encoded path as well as by number, with groups in groups.
    let nested = get(&format!("{api}/projects/mobile%2Fshared%2Fpush-gateway")).await.json();
    assert_eq!(nested["namespace"]["full_path"], "mobile/shared");
    // A moved project redirects, the rest of the URL kept.
    sim.world().with(|world| {
        let id = world.project("mobile/shared/push-gateway").unwrap();
        world.rename_project(id, "mobile/push").unwrap();
    });
    let moved = get(&format!("{api}/projects/mobile%2Fshared%2Fpush-gateway/pipelines?per_page=1")).await;
    assert_eq!(moved.status, 301);
    assert_eq!(array(&get(moved.header("location")).await.json()).len(), 1);
}

#[tokio::test]
async fn a_trace_grows_and_shows_the_failure() {
    let (builder, clock) = still(10);
    let sim = builder.start().await.unwrap();
    let project = format!("{}/api/v4/projects/1001", sim.gitlab_url());
    let runs = get(&format!("{project}/pipelines?ref=main&status=failed&per_page=1")).await.json();
    let jobs = get(&format!("{project}/pipelines/{}/jobs?scope[]=failed", runs[0]["id"])).await.json();
    assert_eq!(jobs[0]["failure_reason"], "script_failure");
    let trace = get(&format!("{project}/jobs/{}/trace", jobs[0]["id"])).await;
    assert_eq!(trace.header("content-type"), "text/plain");
    let text = trace.text();
    assert!(text.contains("section_start:") && text.contains("\u{1b}[31;1mERROR: "), "{text}");
    // A job that waits has an empty trace and no error; one that runs has a part of it.
    let job = sim.world().with(|world| {
        let id = world.project("payments/ledger-api").unwrap();
        let run = world.start_pipeline(id, "main", 0, true).unwrap();
        world.get(id).unwrap().pipeline(run).map(|run| world.get(id).unwrap().jobs(run)[0].id).unwrap()
    });
    let waiting = get(&format!("{project}/jobs/{job}/trace")).await;
    assert_eq!((waiting.status, waiting.body.len()), (200, 0));
    clock.advance(jiff::SignedDuration::from_secs(15));
    let some = get(&format!("{project}/jobs/{job}/trace")).await.body.len();
    clock.advance(jiff::SignedDuration::from_hours(2));
    let all = get(&format!("{project}/jobs/{job}/trace")).await.body.len();
    assert!(0 < some && some < all, "{some} of {all}");
}
