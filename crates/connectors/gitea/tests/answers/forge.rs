//! A Gitea of the test's own: answers by path and query, and a record of what was asked.

use std::sync::{Arc, Mutex};

use connector::{Connector, Heads, HeadsAsk};
use domain::{ManualClock, Project, Timestamp};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

use crate::support;

/// The token that every test's source has.
pub(crate) const TOKEN: &str = "gitea-canary";
/// The repository of these tests.
pub(crate) const REPO: &str = "/api/v1/repos/acme/web";

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
    asked: Vec<String>,
    authorizations: Vec<String>,
}

#[derive(Clone, Default)]
struct Routes(Arc<Mutex<State>>);

impl Answer {
    fn fits(&self, path: &str, query: &[(String, String)]) -> bool {
        self.path == path && self.query.iter().all(|q| query.contains(q))
    }
}

impl Respond for Routes {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().unwrap();
        let query: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
        // The newest of the answers that name the most of the query.
        let fitting = state.answers.iter().enumerate().filter(|(_, a)| a.fits(request.url.path(), &query));
        let best = fitting.max_by_key(|(index, a)| (a.query.len(), *index)).map(|(_, a)| a);
        let mut answer = match best {
            None => ResponseTemplate::new(404).set_body_string("404 page not found\n"),
            Some(a) => ResponseTemplate::new(a.status).set_body_raw(a.body.clone(), "application/json"),
        };
        for (name, value) in best.iter().flat_map(|a| &a.headers) {
            answer = answer.insert_header(*name, value.as_str());
        }
        state.asked.push(request.url[url::Position::BeforePath..].to_owned());
        let token = request.headers.get("authorization").and_then(|v| v.to_str().ok());
        state.authorizations.push(token.unwrap_or_default().to_owned());
        answer
    }
}

/// The server, a source that asks it, and the source's clock.
pub(crate) struct Forge {
    server: MockServer,
    routes: Routes,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) gitea: Arc<dyn Connector>,
}

impl Forge {
    /// A Gitea with one repository, a source with a token, and nothing else.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut config::SourceSettings)) -> Self {
        let server = MockServer::start().await;
        let routes = Routes::default();
        Mock::given(any()).respond_with(routes.clone()).mount(&server).await;
        let clock = Arc::new(ManualClock::at(at("12:00:00")));
        let mut settings = support::settings(&server.uri(), Some(TOKEN));
        change(&mut settings);
        let gitea = support::source(&settings, Arc::clone(&clock) as Arc<dyn domain::Clock>);
        let forge = Self { server, routes, clock, gitea };
        forge.give(REPO, repository("acme/web"));
        forge.give(&format!("{REPO}/branches/main"), branch("main", "aaa"));
        forge
    }

    pub(crate) fn uri(&self) -> String {
        self.server.uri()
    }

    /// Answers 200 to this path, and to this query when it names one.
    pub(crate) fn give(&self, path: &str, body: Value) {
        self.answer(path, 200, &[], &body.to_string());
    }

    /// Answers with these of so many runs.
    pub(crate) fn give_runs(&self, query: &str, total: usize, runs: &[Value]) {
        let path = format!("{REPO}/actions/runs?{query}");
        self.give(&path, json!({ "total_count": total, "workflow_runs": runs }));
    }

    /// Answers anything.
    pub(crate) fn answer(&self, path: &str, status: u16, headers: &[(&'static str, &str)], body: &str) {
        let url = url::Url::parse(&format!("http://x{path}")).unwrap();
        self.routes.0.lock().unwrap().answers.push(Answer {
            path: url.path().to_owned(),
            query: url.query_pairs().into_owned().collect(),
            status,
            headers: headers.iter().map(|(n, v)| (*n, (*v).to_owned())).collect(),
            body: body.as_bytes().to_vec(),
        });
    }

    /// What was asked since the last time: path and query, below the repository.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut self.routes.0.lock().unwrap().asked);
        asked.into_iter().map(|p| p.strip_prefix(REPO).map_or(p.clone(), str::to_owned)).collect()
    }

    /// The credentials of all requests.
    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.routes.0.lock().unwrap().authorizations.clone()
    }

    pub(crate) async fn project(&self) -> Project {
        let project = self.gitea.project("acme/web").await.unwrap();
        self.asked();
        project
    }

    /// A first question about the repository.
    pub(crate) async fn ask(&self) -> HeadsAsk {
        support::ask(&self.project().await)
    }

    /// The repository's state.
    pub(crate) async fn heads(&self, ask: &HeadsAsk) -> connector::Result<Heads> {
        support::heads(&*self.gitea, vec![ask.clone()]).await.remove(&ask.project.key).unwrap()
    }

    /// What is known then.
    pub(crate) fn knowing(&self, ask: &HeadsAsk, heads: &Heads) -> HeadsAsk {
        support::knowing(ask, heads, domain::Clock::now(&*self.clock))
    }
}

/// A moment of the day of these tests.
pub(crate) fn at(time: &str) -> Timestamp {
    format!("2026-11-24T{time}Z").parse().unwrap()
}

/// A repository.
pub(crate) fn repository(full_name: &str) -> Value {
    json!({
        "id": 7, "full_name": full_name, "private": true, "internal": false, "empty": false, "default_branch": "main",
        "html_url": format!("https://git.example.com/{full_name}"), "updated_at": "2026-11-24T10:00:00Z",
        "archived": false, "has_actions": true, "description": "The shop", "avatar_url": "",
        "owner": { "login": "acme", "avatar_url": "https://git.example.com/avatars/acme" },
    })
}

/// A branch.
pub(crate) fn branch(name: &str, sha: &str) -> Value {
    json!({
        "name": name, "protected": true,
        "commit": {
            "id": sha, "message": "Speed up checkout\n\nBy half.", "timestamp": "2026-11-24T10:00:00+01:00",
            "author": { "name": "Ana Ruiz", "email": "ana@example.com", "username": "aruiz" },
        },
    })
}

fn changed(mut row: Value, change: Value) -> Value {
    for (key, value) in change.as_object().into_iter().flatten() {
        row[key] = value.clone();
    }
    row
}

/// A completed run of `ci.yml` on `main` as Gitea 1.27 lists it; `change` replaces fields.
pub(crate) fn run(id: u64, conclusion: &str, change: Value) -> Value {
    let minute = id % 60;
    let run = json!({
        "id": id, "run_number": id, "run_attempt": 1, "path": "ci.yml@refs/heads/main", "event": "push",
        "status": "completed", "conclusion": conclusion, "head_branch": "main", "head_sha": format!("sha{id}"),
        "started_at": format!("2026-11-24T09:{minute:02}:00Z"), "completed_at": format!("2026-11-24T10:{minute:02}:00Z"),
        "html_url": format!("https://git.example.com/acme/web/actions/runs/{id}"), "display_title": "Speed up checkout",
        "actor": { "login": "aruiz", "full_name": "Ana Ruiz" }, "trigger_actor": { "login": "aruiz" },
    });
    changed(run, change)
}

/// The same as Forgejo lists it, in a word of its own.
pub(crate) fn forgejo_run(id: u64, status: &str, change: Value) -> Value {
    let minute = id % 60;
    let run = json!({
        "id": id, "index_in_repo": id, "title": "Speed up checkout", "workflow_id": "ci.yml", "prettyref": "main",
        "commit_sha": format!("sha{id}"), "event": "push", "trigger_event": "push", "status": status,
        "need_approval": false, "created": format!("2026-11-24T09:{minute:02}:00Z"),
        "updated": format!("2026-11-24T10:{minute:02}:00Z"), "started": format!("2026-11-24T09:{minute:02}:10Z"),
        "stopped": format!("2026-11-24T10:{minute:02}:00Z"), "trigger_user": { "login": "aruiz", "full_name": "" },
        "html_url": format!("https://git.example.com/acme/web/actions/runs/{id}"),
    });
    changed(run, change)
}

/// A task of a run.
pub(crate) fn task(id: u64, number: u64, name: &str, status: &str) -> Value {
    let minute = id % 60;
    json!({
        "id": id, "run_number": number, "name": name, "status": status, "workflow_id": "ci.yml", "head_branch": "main",
        "head_sha": format!("sha{number}"), "event": "push", "display_title": "Speed up checkout",
        "url": format!("https://git.example.com/acme/web/actions/runs/{number}"),
        "created_at": format!("2026-11-24T09:{minute:02}:00Z"), "updated_at": format!("2026-11-24T09:{minute:02}:40Z"),
        "run_started_at": format!("2026-11-24T09:{minute:02}:00Z"),
    })
}

/// A job of Gitea's.
pub(crate) fn job(id: u64, name: &str, conclusion: &str, steps: &[(&str, &str)]) -> Value {
    let step = |(name, conclusion): &(&str, &str)| json!({ "name": name, "number": 0, "status": "completed", "conclusion": conclusion });
    json!({
        "id": id, "name": name, "status": "completed", "conclusion": conclusion, "created_at": "2026-11-24T09:00:00Z",
        "started_at": "2026-11-24T09:00:10Z", "completed_at": "2026-11-24T09:01:00Z",
        "html_url": "https://git.example.com/acme/web/actions/runs/1/jobs/0",
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
    })
}
