//! What the simulated Gitea and Forgejo answer, held against the two servers' own descriptions of their APIs.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{all_pages, array, get, get_anonymously, get_as, send, still};
use forge_sim::gitea::{Api, FACE};
use forge_sim::world::{Shape, Visibility};
use forge_sim::{EXPIRED_TOKEN, NARROW_TOKEN, Sim, http::encode};
use jsonschema::Validator;
use serde_json::{Value, json};

const GITEA: &str = include_str!("../schemas/gitea.json");
const FORGEJO: &str = include_str!("../schemas/forgejo.json");

struct Judge {
    description: Value,
    ready: BTreeMap<String, Validator>,
    judged: usize,
}

impl Judge {
    fn new(description: &str) -> Self {
        let description = serde_json::from_str(description).unwrap();
        Self { description, ready: BTreeMap::new(), judged: 0 }
    }

    fn judge(&mut self, endpoint: &str, value: &Value) {
        let errors = self.errors(endpoint, value);
        assert!(errors.is_empty(), "{endpoint}: {errors:#?}");
        self.judged += 1;
    }

    fn errors(&mut self, endpoint: &str, value: &Value) -> Vec<String> {
        if !self.ready.contains_key(endpoint) {
            let mut schema = self.description["answers"][endpoint].clone();
            assert!(schema.is_object(), "{endpoint} is not described");
            schema["$defs"] = self.description["$defs"].clone();
            self.ready.insert(endpoint.to_owned(), jsonschema::validator_for(&schema).unwrap());
        }
        // An `anyOf` says only that nothing fits; what is inside of it says why.
        self.ready[endpoint]
            .iter_errors(value)
            .take(3)
            .map(|e| format!("{:.1500} at {}", format!("{e:?}"), e.instance_path()))
            .collect()
    }

    async fn fetch(&mut self, endpoint: &str, url: &str) -> Value {
        let answer = get(url).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
        let value = answer.json();
        self.judge(endpoint, &value);
        value
    }
}

/// Reads everything of a server and holds it against its description. The words of all runs.
async fn everything(api: Api, description: &str) -> BTreeSet<String> {
    let (builder, clock) = still(36);
    let sim = builder.faces([FACE]).gitea(api).running(6).start().await.unwrap();
    clock.advance(jiff::SignedDuration::from_secs(20));
    let base = format!("{}/api/v1", sim.gitea_url());
    let mut judge = Judge::new(description);
    judge.fetch("GET /version", &format!("{base}/version")).await;
    judge.fetch("GET /user", &format!("{base}/user")).await;
    judge.fetch("GET /orgs/{org}/repos", &format!("{base}/orgs/web-platform/repos")).await;
    judge.fetch("GET /users/{username}/repos", &format!("{base}/users/mira/repos")).await;
    let repos = judge.fetch("GET /user/repos", &format!("{base}/user/repos?limit=50")).await;
    let mut words = BTreeSet::new();
    for repo in array(&repos) {
        let url = repo["url"].as_str().unwrap();
        let of = |tail: &str| format!("GET /repos/{{owner}}/{{repo}}{tail}");
        judge.fetch(&of(""), url).await;
        let branches = judge.fetch(&of("/branches"), &format!("{url}/branches")).await;
        for branch in array(&branches).iter().take(2) {
            let name = encode(branch["name"].as_str().unwrap());
            judge.fetch(&of("/branches/{branch}"), &format!("{url}/branches/{name}")).await;
            judge.fetch(&of("/commits/{ref}/status"), &format!("{url}/commits/{name}/status")).await;
        }
        judge.fetch(&of("/pulls"), &format!("{url}/pulls?state=all")).await;
        judge.fetch(&of("/issues"), &format!("{url}/issues?state=all&type=issues")).await;
        if repo["has_actions"] == false {
            assert_eq!(get(&format!("{url}/actions/runs")).await.status, 404);
            continue;
        }
        judge.fetch(&of("/actions/tasks"), &format!("{url}/actions/tasks?limit=50")).await;
        if api == Api::Runs {
            judge.fetch(&of("/actions/workflows"), &format!("{url}/actions/workflows")).await;
        }
        let runs = judge.fetch(&of("/actions/runs"), &format!("{url}/actions/runs?limit=50")).await;
        for (k, run) in array(&runs["workflow_runs"]).iter().enumerate() {
            words.insert(run["conclusion"].as_str().or(run["status"].as_str()).unwrap().to_owned());
            if k > 4 {
                continue;
            }
            let one = format!("{url}/actions/runs/{}", run["id"]);
            judge.fetch(&of("/actions/runs/{run}"), &one).await;
            let jobs = judge.fetch(&of("/actions/runs/{run}/jobs"), &format!("{one}/jobs")).await;
            let jobs = if api == Api::Runs { &jobs["jobs"] } else { &jobs };
            for job in array(jobs) {
                let job = format!("{url}/actions/jobs/{}", job["id"]);
                judge.fetch(&of("/actions/jobs/{job_id}"), &job).await;
            }
        }
    }
    assert!(judge.judged > 300, "only {} answers were judged", judge.judged);
    words
}

#[tokio::test]
async fn every_answer_fits_giteas_description() {
    let words = everything(Api::Runs, GITEA).await;
    for wanted in ["success", "failure", "cancelled", "waiting", "in_progress"] {
        assert!(words.contains(wanted), "no run is {wanted}: {words:?}");
    }
}

#[tokio::test]
async fn every_answer_fits_forgejos_description() {
    let words = everything(Api::Forgejo, FORGEJO).await;
    for wanted in ["success", "failure", "cancelled", "blocked", "running"] {
        assert!(words.contains(wanted), "no run is {wanted}: {words:?}");
    }
}

#[test]
fn the_judges_find_mistakes() {
    let run = json!({ "id": 1, "run_number": 2, "status": "completed", "steps": null });
    for (description, endpoint, good, bad) in [
        (GITEA, "GET /repos/{owner}/{repo}/actions/runs/{run}", json!({ "id": 1 }), json!({ "id": "1" })),
        (GITEA, "GET /repos/{owner}/{repo}/actions/runs/{run}", json!({ "run_number": 1 }), run.clone()),
        (
            GITEA,
            "GET /repos/{owner}/{repo}/actions/runs",
            json!({ "workflow_runs": null }),
            json!({ "runs": [] }),
        ),
        (FORGEJO, "GET /repos/{owner}/{repo}/actions/runs/{run}", json!({ "index_in_repo": 2 }), run),
        (
            FORGEJO,
            "GET /repos/{owner}/{repo}/actions/runs/{run}/jobs",
            json!([{ "id": 1 }]),
            json!({ "jobs": [] }),
        ),
    ] {
        let mut judge = Judge::new(description);
        assert_eq!(judge.errors(endpoint, &good), [""; 0], "{endpoint}");
        assert!(!judge.errors(endpoint, &bad).is_empty(), "{endpoint}: {bad}");
    }
}

async fn start(api: Api) -> Sim {
    let (builder, _clock) = still(60);
    builder.faces([FACE]).gitea(api).start().await.unwrap()
}

#[tokio::test]
async fn errors_are_giteas() {
    let sim = start(Api::Runs).await;
    let base = format!("{}/api/v1", sim.gitea_url());
    let cases = [
        (get(&format!("{base}/repos/no/such")).await, 404, "The target couldn't be found."),
        (get_as(&format!("{base}/user"), "nonsense", &[]).await, 401, "invalid username, password or token"),
        (
            get_as(&format!("{base}/user"), EXPIRED_TOKEN, &[]).await,
            401,
            "invalid username, password or token",
        ),
        (get_anonymously(&format!("{base}/user")).await, 401, "token is required"),
        (get_anonymously(&format!("{base}/user/repos")).await, 401, "token is required"),
        (
            get(&format!("{base}/repos/web-platform/checkout/actions/runs/17")).await,
            404,
            "The target couldn't be found.",
        ),
    ];
    for (answer, status, message) in cases {
        assert_eq!((answer.status, &answer.json()["message"]), (status, &json!(message)));
        assert!(answer.json()["url"].as_str().unwrap().ends_with("/api/swagger"));
    }
    let narrow = get_as(&format!("{base}/user"), NARROW_TOKEN, &[]).await;
    assert_eq!((narrow.status, narrow.text().contains("required scope(s)")), (403, true));
    // `token` is the scheme that all versions take.
    let headers = [("authorization", format!("token {}", forge_sim::FULL_TOKEN))];
    let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    assert_eq!(send("GET", &format!("{base}/user"), &headers).await.json()["login"], "mira");
    let find = |public: bool| {
        sim.world().with(|world| {
            let fits = |p: &&forge_sim::world::Project| (p.visibility == Visibility::Public) == public;
            world.projects_of(FACE).find(fits).unwrap().full_path()
        })
    };
    assert_eq!(get_anonymously(&format!("{base}/repos/{}", find(true))).await.status, 200);
    assert_eq!(get_anonymously(&format!("{base}/repos/{}", find(false))).await.status, 404);
    assert_eq!(get(&sim.gitea_url()).await.status, 404, "a page, not the API");
}

#[tokio::test]
async fn pages_are_giteas() {
    let (builder, _clock) = still(130);
    let sim = builder.faces([FACE]).start().await.unwrap();
    // Any path prefix stays in the links.
    let url = format!("{}/git/api/v1/user/repos", sim.gitea_url());
    let first = get(&format!("{url}?limit=1000")).await;
    assert_eq!((array(&first.json()).len(), first.header("x-total-count")), (50, "130"));
    assert!(first.header("link").contains("/git/api/v1/user/repos?limit=1000&page=2>; rel=\"next\","));
    assert_eq!(array(&get(&url).await.json()).len(), 30);
    assert_eq!(array(&get(&format!("{url}?page=9")).await.json()).len(), 0);
    let mut ids: Vec<u64> = Vec::new();
    let mut next = Some(format!("{url}?limit=50"));
    while let Some(url) = next {
        let page = get(&url).await;
        ids.extend(array(&page.json()).iter().map(|r| r["id"].as_u64().unwrap()));
        let links = page.header("link").split(',').find(|l| l.ends_with("rel=\"next\"")).map(str::to_owned);
        next = links.map(|l| l[1..l.find('>').unwrap()].to_owned());
    }
    assert_eq!((ids.len(), ids.is_sorted()), (130, true));
    // Forgejo's lists of runs have their count in the body alone.
    let forgejo = start(Api::Forgejo).await;
    let runs =
        get(&format!("{}/api/v1/repos/web-platform/checkout/actions/runs?limit=2", forgejo.gitea_url()))
            .await;
    assert_eq!((runs.header("link"), runs.header("x-total-count")), ("", ""));
    assert!(runs.json()["total_count"].as_u64().unwrap() > 2);
    assert_eq!(
        all_pages(&format!("{}/api/v1/user/repos?limit=50", forgejo.gitea_url()), array).await.len(),
        50
    );
}

#[tokio::test]
async fn older_servers_know_less() {
    for (api, tasks, runs) in
        [(Api::Runs, 200, 200), (Api::Forgejo, 200, 200), (Api::Tasks, 200, 404), (Api::Statuses, 404, 404)]
    {
        let sim = start(api).await;
        let repo = format!("{}/api/v1/repos/web-platform/checkout", sim.gitea_url());
        assert_eq!(get(&format!("{repo}/actions/tasks")).await.status, tasks, "{api:?}");
        assert_eq!(get(&format!("{repo}/actions/runs")).await.status, runs, "{api:?}");
        let status = get(&format!("{repo}/commits/main/status")).await.json();
        assert!(status["total_count"].as_u64().unwrap() > 0, "{api:?}: {status}");
    }
}

#[tokio::test]
async fn special_repositories_answer_as_giteas_do() {
    let sim = start(Api::Runs).await;
    let base = format!("{}/api/v1", sim.gitea_url());
    let shapes: Vec<(Shape, String)> =
        sim.world().with(|world| world.projects_of(FACE).map(|p| (p.shape, p.full_path())).collect());
    let of = |shape: Shape| {
        shapes.iter().find(|(s, _)| *s == shape).map(|(_, path)| format!("{base}/repos/{path}")).unwrap()
    };
    let empty = get(&of(Shape::Empty)).await.json();
    assert_eq!((&empty["empty"], &empty["default_branch"]), (&json!(true), &json!("main")));
    assert_eq!(get(&format!("{}/branches", of(Shape::Empty))).await.json(), json!([]));
    assert_eq!(get(&of(Shape::Archived)).await.json()["archived"], true);
    assert_eq!(get(&of(Shape::CiDisabled)).await.json()["has_actions"], false);
    assert_eq!(get(&format!("{}/actions/workflows", of(Shape::NoCi))).await.json()["total_count"], 0);
    // A new name: the old one redirects, below the same prefix and without a host.
    sim.world().with(|w| {
        let id = w.project("web-platform/checkout").unwrap();
        w.rename_project(id, "web-platform/basket").unwrap();
    });
    let moved =
        get(&format!("{}/git/api/v1/repos/web-platform/checkout/branches?limit=1", sim.gitea_url())).await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (307, "/git/api/v1/repos/web-platform/basket/branches?limit=1")
    );
}
