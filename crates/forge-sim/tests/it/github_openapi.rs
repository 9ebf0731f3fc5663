//! What the simulated GitHub answers, held against GitHub's own OpenAPI description.

use std::collections::BTreeMap;

use crate::common::{array, get, get_anonymously, get_as, still};
use forge_sim::world::Shape;
use forge_sim::{EXPIRED_TOKEN, NARROW_TOKEN, RunStatus, github};
use jsonschema::Validator;
use serde_json::{Value, json};

const DESCRIPTION: &str = include_str!("../schemas/github.json");

struct Judge {
    definitions: Value,
    answers: BTreeMap<String, Value>,
    ready: BTreeMap<String, Validator>,
    judged: usize,
}

impl Judge {
    fn new() -> Self {
        let whole: Value = serde_json::from_str(DESCRIPTION).unwrap();
        let answers =
            whole["answers"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Self { definitions: whole["$defs"].clone(), answers, ready: BTreeMap::new(), judged: 0 }
    }

    fn judge(&mut self, endpoint: &str, value: &Value) {
        if !self.ready.contains_key(endpoint) {
            let mut schema = self
                .answers
                .get(endpoint)
                .cloned()
                .unwrap_or_else(|| json!({"$ref": format!("#/$defs/{endpoint}")}));
            schema["$defs"] = self.definitions.clone();
            self.ready.insert(endpoint.to_owned(), jsonschema::validator_for(&schema).unwrap());
        }
        let errors: Vec<String> = self.ready[endpoint]
            .iter_errors(value)
            .take(3)
            .map(|e| {
                format!("{} at {}", e.to_string().chars().take(400).collect::<String>(), e.instance_path())
            })
            .collect();
        assert!(errors.is_empty(), "{endpoint}: {errors:#?}");
        self.judged += 1;
    }

    async fn fetch(&mut self, endpoint: &str, url: &str) -> Value {
        let answer = get(url).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
        let value = answer.json();
        self.judge(endpoint, &value);
        value
    }
}

#[tokio::test]
async fn every_answer_fits_githubs_description() {
    let (builder, clock) = still(60);
    let sim = builder.running(6).start().await.unwrap();
    clock.advance(jiff::SignedDuration::from_secs(20));
    let base = sim.github_url();
    let mut judge = Judge::new();
    judge.fetch("GET /user", &format!("{base}/user")).await;
    judge.fetch("GET /rate_limit", &format!("{base}/rate_limit")).await;
    judge.fetch("GET /orgs/{org}/repos", &format!("{base}/orgs/web-platform/repos")).await;
    judge.fetch("GET /users/{username}/repos", &format!("{base}/users/mira/repos")).await;
    let repos = judge.fetch("GET /user/repos", &format!("{base}/user/repos?per_page=100")).await;
    let (mut conclusions, mut statuses, mut annotated) = (Vec::new(), Vec::new(), 0);
    let mut states_of_deployments = Vec::new();
    for repo in array(&repos) {
        let url = repo["url"].as_str().unwrap();
        let repo_path = "GET /repos/{owner}/{repo}";
        judge.fetch(repo_path, url).await;
        let branches = judge.fetch(&format!("{repo_path}/branches"), &format!("{url}/branches")).await;
        for branch in array(&branches).iter().take(2) {
            let name = forge_sim::http::encode(branch["name"].as_str().unwrap());
            let found = judge
                .fetch(&format!("{repo_path}/branches/{{branch}}"), &format!("{url}/branches/{name}"))
                .await;
            let sha = found["commit"]["sha"].as_str().unwrap();
            judge.fetch(&format!("{repo_path}/commits/{{ref}}"), &format!("{url}/commits/{sha}")).await;
        }
        let deployments = judge
            .fetch(&format!("{repo_path}/deployments"), &format!("{url}/deployments?per_page=100"))
            .await;
        for deployment in array(&deployments).iter().take(3) {
            let states = judge
                .fetch(
                    &format!("{repo_path}/deployments/{{deployment_id}}/statuses"),
                    deployment["statuses_url"].as_str().unwrap(),
                )
                .await;
            states_of_deployments
                .extend(array(&states).iter().map(|s| s["state"].as_str().unwrap().to_owned()));
        }
        judge.fetch(&format!("{repo_path}/pulls"), &format!("{url}/pulls")).await;
        judge.fetch(&format!("{repo_path}/issues"), &format!("{url}/issues?state=all")).await;
        let workflows =
            judge.fetch(&format!("{repo_path}/actions/workflows"), &format!("{url}/actions/workflows")).await;
        for workflow in array(&workflows["workflows"]) {
            let one = workflow["url"].as_str().unwrap();
            judge.fetch(&format!("{repo_path}/actions/workflows/{{workflow_id}}"), one).await;
            judge
                .fetch(
                    &format!("{repo_path}/actions/workflows/{{workflow_id}}/runs"),
                    &format!("{one}/runs?per_page=5"),
                )
                .await;
        }
        let runs = judge
            .fetch(&format!("{repo_path}/actions/runs"), &format!("{url}/actions/runs?per_page=100"))
            .await;
        for (k, run) in array(&runs["workflow_runs"]).iter().enumerate() {
            conclusions.push(run["conclusion"].as_str().unwrap_or("").to_owned());
            statuses.push(run["status"].as_str().unwrap().to_owned());
            let attempts = run["run_attempt"].as_u64().unwrap();
            if k > 4 && attempts < 2 {
                continue;
            }
            let one = run["url"].as_str().unwrap();
            judge.fetch(&format!("{repo_path}/actions/runs/{{run_id}}"), one).await;
            if attempts > 1 {
                let past = judge
                    .fetch(
                        &format!("{repo_path}/actions/runs/{{run_id}}/attempts/{{attempt_number}}"),
                        run["previous_attempt_url"].as_str().unwrap(),
                    )
                    .await;
                assert_eq!(past["run_attempt"], attempts - 1);
            }
            let jobs = judge
                .fetch(
                    &format!("{repo_path}/actions/runs/{{run_id}}/jobs"),
                    &format!("{one}/jobs?filter=all"),
                )
                .await;
            for job in array(&jobs["jobs"]) {
                judge
                    .fetch(&format!("{repo_path}/actions/jobs/{{job_id}}"), job["url"].as_str().unwrap())
                    .await;
                if job["conclusion"] == "failure" {
                    let path = format!("{}/annotations", job["check_run_url"].as_str().unwrap());
                    let notes = judge
                        .fetch(&format!("{repo_path}/check-runs/{{check_run_id}}/annotations"), &path)
                        .await;
                    annotated += array(&notes).len();
                }
            }
        }
    }
    for wanted in ["success", "failure", "cancelled", "skipped"] {
        assert!(conclusions.iter().any(|c| c == wanted), "no run is {wanted}");
    }
    for wanted in ["completed", "in_progress"] {
        assert!(statuses.iter().any(|c| c == wanted), "no run is {wanted}");
    }
    for wanted in ["in_progress", "success", "inactive"] {
        assert!(states_of_deployments.iter().any(|s| s == wanted), "no deployment was {wanted}");
    }
    assert!(annotated > 0, "no failure has annotations");
    assert!(judge.judged > 500, "only {} answers were judged", judge.judged);
}

#[tokio::test]
async fn errors_are_githubs() {
    let (builder, _clock) = still(30);
    let sim = builder.start().await.unwrap();
    let base = sim.github_url();
    let mut judge = Judge::new();
    let cases = [
        (get(&format!("{base}/repos/no/such")).await, 404, "Not Found"),
        (get_as(&format!("{base}/user"), "nonsense", &[]).await, 401, "Bad credentials"),
        (get_as(&format!("{base}/user"), EXPIRED_TOKEN, &[]).await, 401, "Bad credentials"),
        (
            get_as(&format!("{base}/user"), NARROW_TOKEN, &[]).await,
            403,
            "Resource not accessible by personal access token",
        ),
        (get_anonymously(&format!("{base}/user")).await, 401, "Requires authentication"),
        (get(&format!("{base}/repos/web-platform/checkout/branches/nope")).await, 404, "Branch not found"),
        (get(&format!("{base}/repos/web-platform/checkout/actions/jobs/17")).await, 404, "Not Found"),
    ];
    for (answer, status, message) in cases {
        assert_eq!(answer.status, status, "{}", answer.text());
        let body = answer.json();
        judge.judge("basic-error", &body);
        assert_eq!(body["message"], message);
        assert!(body["documentation_url"].as_str().unwrap().starts_with("https://docs.github.com/"));
    }
    let answer = crate::common::send("GET", &format!("{base}/user"), &[]).await;
    assert_eq!((answer.status, answer.text().contains("User-Agent header")), (403, true));
    let answer =
        get_as(&format!("{base}/user"), forge_sim::FULL_TOKEN, &[("x-github-api-version", "1999-01-01")])
            .await;
    assert_eq!(answer.status, 400);
    // Private repositories are not there for strangers; public ones are.
    let (public, private) = sim.world().with(|world| {
        let find = |public: bool| {
            let fits = |p: &&forge_sim::world::Project| {
                (p.visibility == forge_sim::world::Visibility::Public) == public
            };
            world.projects_of(github::FACE).find(fits).unwrap().full_path()
        };
        (find(true), find(false))
    });
    assert_eq!(get_anonymously(&format!("{base}/repos/{public}")).await.status, 200);
    assert_eq!(get_anonymously(&format!("{base}/repos/{private}")).await.status, 404);
}

#[tokio::test]
async fn special_repositories_answer_as_githubs_do() {
    let (builder, _clock) = still(60);
    let sim = builder.start().await.unwrap();
    let base = sim.github_url();
    let shapes: Vec<(Shape, String)> =
        sim.world().with(|world| world.projects_of(github::FACE).map(|p| (p.shape, p.full_path())).collect());
    let of = |shape: Shape| {
        shapes.iter().find(|(s, _)| *s == shape).map(|(_, path)| format!("{base}/repos/{path}")).unwrap()
    };
    let empty = of(Shape::Empty);
    assert_eq!(get(&format!("{empty}/branches")).await.json(), json!([]));
    assert_eq!(get(&format!("{empty}/branches/main")).await.status, 404);
    assert_eq!(get(&format!("{empty}/actions/runs")).await.json()["total_count"], 0);
    assert_eq!(get(&of(Shape::Archived)).await.json()["archived"], true);
    assert_eq!(get(&format!("{}/actions/workflows", of(Shape::NoCi))).await.json()["total_count"], 0);
    let newest =
        get(&format!("{}/actions/runs?branch=main&event=push&per_page=2", of(Shape::CanceledNewest)))
            .await
            .json();
    assert_eq!(newest["workflow_runs"][0]["conclusion"], "cancelled");
    assert_eq!(newest["workflow_runs"][1]["conclusion"], "success");
}

#[tokio::test]
async fn a_renamed_repository_redirects_and_the_target_answers() {
    let (builder, _clock) = still(10);
    let sim = builder.start().await.unwrap();
    let base = sim.github_url();
    sim.world().with(|world| {
        let id = world.project("web-platform/checkout").unwrap();
        world.rename_project(id, "web-platform/basket").unwrap();
    });
    let answer = get(&format!("{base}/repos/web-platform/checkout/actions/runs?per_page=1")).await;
    assert_eq!(answer.status, 301);
    let followed = get(answer.header("location")).await.json();
    assert_eq!(followed["workflow_runs"][0]["repository"]["full_name"], "web-platform/basket");
    // The path prefix of an own server stays in every link.
    let own = get(&format!("{base}/api/v3/repos/web-platform/basket/actions/runs?per_page=1")).await;
    assert!(own.next().unwrap().starts_with(&format!("{base}/api/v3/")));
}

#[tokio::test]
async fn a_log_lies_in_a_store_that_wants_no_token() {
    let (builder, clock) = still(10);
    let sim = builder.start().await.unwrap();
    let repo = format!("{}/repos/web-platform/checkout", sim.github_url());
    let runs = get(&format!("{repo}/actions/runs?status=failure&branch=main&per_page=1")).await.json();
    let jobs = get(&format!("{}/jobs", runs["workflow_runs"][0]["url"].as_str().unwrap())).await.json();
    let failed = array(&jobs["jobs"]).into_iter().find(|job| job["conclusion"] == "failure").unwrap();
    let answer = get(&format!("{}/logs", failed["url"].as_str().unwrap())).await;
    assert_eq!(answer.status, 302);
    let store = answer.header("location").to_owned();
    assert!(store.starts_with(&sim.store_url()) && !store.starts_with(&sim.github_url()));
    let refused = get(&store).await;
    assert_eq!((refused.status, refused.text().contains("InvalidAuthenticationInfo")), (400, true));
    let whole = get_anonymously(&store).await.text();
    assert!(
        whole.starts_with('\u{feff}') && whole.contains("##[group]") && whole.contains("##[error]"),
        "{whole}"
    );
    let tail = crate::common::send("GET", &store, &[("range", "bytes=-40")]).await;
    assert_eq!((tail.status, tail.body.len()), (206, 40));
    assert!(whole.ends_with(&tail.text()));
    clock.advance(jiff::SignedDuration::from_secs(61));
    assert_eq!(get_anonymously(&store).await.status, 403, "a link lives for a minute");
    // A job that runs has no log yet.
    let job = sim.world().with(|world| {
        let id = world.project("web-platform/checkout").unwrap();
        let run = world.start_pipeline(id, "main", 0, true).unwrap();
        let later = world.now() + jiff::SignedDuration::from_secs(10);
        world.set_now(later);
        let project = world.get(id).unwrap();
        let run = project.pipeline(run).unwrap();
        assert_eq!(run.status, RunStatus::Running);
        project.jobs(run)[0].id
    });
    assert_eq!(get(&format!("{repo}/actions/jobs/{}/logs", 30_000_000_000 + job)).await.status, 404);
}
