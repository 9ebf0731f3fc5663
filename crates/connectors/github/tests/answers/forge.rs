//! A GitHub of the test's own: answers by path and query, entity tags, and a record of what was asked.

use std::sync::{Arc, Mutex};

use connector::{Connector, Heads, HeadsAsk};
use domain::{ManualClock, Pipeline, Project, Timestamp};
use futures::StreamExt;
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

use crate::support;

/// The repository of these tests, and its id.
pub(crate) const REPO: &str = "/repos/acme/web";
const REPO_ID: u64 = 7;

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Path and query.
    pub(crate) path: String,
    /// Answered 304.
    pub(crate) not_modified: bool,
    /// Carried the token.
    pub(crate) authorized: bool,
}

struct Answer {
    path: String,
    query: Vec<(String, String)>,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

#[derive(Default)]
struct State {
    answers: Vec<Answer>,
    asked: Vec<Asked>,
}

#[derive(Clone, Default)]
struct Routes(Arc<Mutex<State>>);

impl Answer {
    fn fits(&self, path: &str, query: &[(String, String)]) -> bool {
        self.path == path && self.query.iter().all(|q| query.contains(q))
    }

    fn tag(&self) -> String {
        let hash =
            self.body.iter().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        format!("W/\"{hash:x}\"")
    }
}

impl Respond for Routes {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().unwrap();
        let query: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
        // The newest of the answers that name the most of the query.
        let fitting = state.answers.iter().enumerate().filter(|(_, a)| a.fits(request.url.path(), &query));
        let best = fitting.max_by_key(|(index, a)| (a.query.len(), *index)).map(|(_, a)| a);
        let asked_tag = request.headers.get("if-none-match").and_then(|v| v.to_str().ok());
        let not_modified = best.is_some_and(|a| a.status == 200 && asked_tag == Some(&a.tag()));
        let mut answer = match best {
            None => ResponseTemplate::new(404).set_body_json(json!({ "message": "Not Found" })),
            Some(_) if not_modified => ResponseTemplate::new(304),
            Some(a) => ResponseTemplate::new(a.status).set_body_raw(a.body.clone(), "application/json"),
        };
        if let Some(a) = best.filter(|a| a.status == 200) {
            answer = answer.insert_header("etag", a.tag().as_str());
        }
        for (name, value) in best.iter().flat_map(|a| &a.headers) {
            answer = answer.insert_header(*name, value.as_str());
        }
        let path = request.url[url::Position::BeforePath..].to_owned();
        let authorized = request.headers.contains_key("authorization");
        state.asked.push(Asked { path, not_modified, authorized });
        answer
    }
}

/// The server, a source that asks it, and the source's clock.
pub(crate) struct Forge {
    server: MockServer,
    routes: Routes,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) github: Arc<dyn Connector>,
}

impl Forge {
    /// A GitHub with one repository that has no runs, and a source with a token.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut config::SourceSettings)) -> Self {
        let server = MockServer::start().await;
        let routes = Routes::default();
        Mock::given(any()).respond_with(routes.clone()).mount(&server).await;
        let clock = Arc::new(ManualClock::at(at("12:00:00")));
        let mut settings = support::settings(&server.uri());
        change(&mut settings);
        let github = support::source(&settings, Arc::clone(&clock) as Arc<dyn domain::Clock>);
        let forge = Self { server, routes, clock, github };
        forge.give(REPO, repository("acme/web"));
        forge.give(&format!("{REPO}/branches/main"), branch("main", "aaa"));
        forge.give_runs("", &[]);
        forge.give(&format!("{REPO}/actions/workflows"), workflows(&[(1, "CI")]));
        forge
    }

    /// This GitHub's address.
    pub(crate) fn uri(&self) -> String {
        self.server.uri()
    }

    /// Answers 200 to this path, and to this query when it names one.
    pub(crate) fn give(&self, path: &str, body: Value) {
        self.answer(path, 200, &[], body);
    }

    /// Answers with a list of runs to this query.
    pub(crate) fn give_runs(&self, query: &str, runs: &[Value]) {
        let path = format!("{REPO}/actions/runs?{query}");
        self.give(&path, json!({ "total_count": runs.len(), "workflow_runs": runs }));
    }

    /// Answers with the jobs of a run.
    pub(crate) fn give_jobs(&self, run: u64, jobs: &[Value]) {
        let path = format!("{REPO}/actions/runs/{run}/jobs");
        self.give(&path, json!({ "total_count": jobs.len(), "jobs": jobs }));
    }

    /// Answers anything.
    pub(crate) fn answer(&self, path: &str, status: u16, headers: &[(&'static str, &str)], body: Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.answer_raw(path, status, headers, body);
    }

    /// Answers any bytes.
    pub(crate) fn answer_raw(
        &self,
        path: &str,
        status: u16,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
    ) {
        let url = url::Url::parse(&format!("http://x{path}")).unwrap();
        self.routes.0.lock().unwrap().answers.push(Answer {
            path: url.path().to_owned(),
            query: url.query_pairs().into_owned().collect(),
            status,
            headers: headers.iter().map(|(n, v)| (*n, (*v).to_owned())).collect(),
            body,
        });
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.routes.0.lock().unwrap().asked)
    }

    /// The paths that were asked since the last time, without queries and the repository's own path.
    pub(crate) fn paths(&self) -> Vec<String> {
        let path = |a: &Asked| {
            let path = a.path.split('?').next().unwrap_or_default();
            path.strip_prefix(REPO).filter(|p| !p.is_empty()).unwrap_or(path).to_owned()
        };
        self.asked().iter().map(path).collect()
    }

    /// The repository.
    pub(crate) async fn project(&self) -> Project {
        let project = self.github.project("acme/web").await.unwrap();
        self.asked();
        project
    }

    /// A first question about the repository.
    pub(crate) async fn ask(&self) -> HeadsAsk {
        support::ask(&self.project().await)
    }

    /// The repository's state.
    pub(crate) async fn heads(&self, ask: HeadsAsk) -> connector::Result<Heads> {
        let (_, heads) = self.github.branch_heads(vec![ask]).next().await.unwrap();
        heads
    }
}

/// What is known after an answer, as the board would keep it.
pub(crate) fn knowing(ask: &HeadsAsk, heads: &Heads, now: Timestamp) -> HeadsAsk {
    let merged = |p: &Pipeline| match ask.known.iter().find(|k| k.id == p.id) {
        Some(known) => Arc::new(p.clone().filled_from(known)),
        None => Arc::new(p.clone()),
    };
    HeadsAsk {
        known: heads.pipelines.iter().map(merged).collect(),
        known_head: heads.default_branch.clone().map(|b| (b, ask.project.last_activity_at)),
        known_workflows: heads.workflows.clone().map(|w| (w, now)).or_else(|| ask.known_workflows.clone()),
        ..ask.clone()
    }
}

/// A moment of the day of these tests.
pub(crate) fn at(time: &str) -> Timestamp {
    format!("2026-11-24T{time}Z").parse().unwrap()
}

/// A repository.
pub(crate) fn repository(full_name: &str) -> Value {
    json!({
        "id": REPO_ID, "full_name": full_name, "private": true, "visibility": "private", "default_branch": "main",
        "html_url": format!("https://github.com/{full_name}"), "pushed_at": "2026-11-24T10:00:00Z", "archived": false,
        "owner": { "login": "acme", "avatar_url": "https://avatars.example.com/acme" }, "description": "The shop",
    })
}

/// A branch as asked by name.
pub(crate) fn branch(name: &str, sha: &str) -> Value {
    json!({
        "name": name, "protected": true,
        "commit": {
            "sha": sha,
            "commit": {
                "author": { "name": "Ana Ruiz", "email": "ana@example.com", "date": "2026-11-24T09:59:00Z" },
                "committer": { "name": "GitHub", "date": "2026-11-24T10:00:00Z" },
                "message": "Speed up checkout\n\nBy half.",
            },
            "author": { "login": "aruiz", "avatar_url": "https://avatars.example.com/aruiz" },
        },
    })
}

/// The list of workflows.
pub(crate) fn workflows(list: &[(u64, &str)]) -> Value {
    let one = |(id, name): &(u64, &str)| {
        let path = format!(".github/workflows/{id}.yml");
        json!({ "id": id, "name": name, "path": path, "state": "active" })
    };
    json!({ "total_count": list.len(), "workflows": list.iter().map(one).collect::<Vec<_>>() })
}

/// A completed run of the workflow CI (1) on `main`, of ten minutes; `change` replaces fields.
pub(crate) fn run(id: u64, conclusion: &str, change: Value) -> Value {
    let minute = id % 60;
    let mut run = json!({
        "id": id, "name": "CI", "path": ".github/workflows/1.yml", "workflow_id": 1, "run_number": id, "run_attempt": 1,
        "event": "push", "status": "completed", "conclusion": conclusion, "head_branch": "main", "head_sha": format!("sha{id}"),
        "created_at": format!("2026-11-24T09:{minute:02}:00Z"), "run_started_at": format!("2026-11-24T09:{minute:02}:00Z"),
        "updated_at": format!("2026-11-24T10:{minute:02}:00Z"),
        "html_url": format!("https://github.com/acme/web/actions/runs/{id}"), "display_title": "Speed up checkout",
        "actor": { "login": "aruiz", "avatar_url": "https://avatars.example.com/aruiz" },
        "triggering_actor": { "login": "aruiz" },
        "head_commit": { "id": format!("sha{id}"), "message": "Speed up checkout\n\nBy half.",
                         "author": { "name": "Ana Ruiz", "email": "ana@example.com" } },
        "repository": { "id": REPO_ID, "owner": { "login": "acme" } },
        "head_repository": { "id": REPO_ID, "owner": { "login": "acme" } },
    });
    for (key, value) in change.as_object().into_iter().flatten() {
        run[key] = value.clone();
    }
    run
}

/// A job that ran from 10:00:30 to 10:02:00.
pub(crate) fn job(id: u64, name: &str, conclusion: &str, change: Value) -> Value {
    let mut job = json!({
        "id": id, "run_attempt": 1, "name": name, "workflow_name": "CI", "head_branch": "main", "head_sha": "sha1",
        "status": "completed", "conclusion": conclusion, "created_at": "2026-11-24T10:00:00Z",
        "started_at": "2026-11-24T10:00:30Z", "completed_at": "2026-11-24T10:02:00Z",
        "html_url": format!("https://github.com/acme/web/actions/runs/1/job/{id}"),
        "steps": [
            { "name": "Set up job", "status": "completed", "conclusion": "success", "number": 1 },
            { "name": "cargo test", "status": "completed", "conclusion": conclusion, "number": 2 },
        ],
    });
    for (key, value) in change.as_object().into_iter().flatten() {
        job[key] = value.clone();
    }
    job
}
