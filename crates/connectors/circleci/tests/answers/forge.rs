//! A CircleCI of the test's own: answers by path and query, and a record of what was asked.

use std::sync::{Arc, Mutex};

use connector::{Connector, Heads, HeadsAsk, Result};
use domain::{ManualClock, Project, Timestamp};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support;

/// The project of these tests.
pub(crate) const SLUG: &str = "gh/acme/web";
const TOKEN: &str = "CCIPAT_canary";

/// A path, what its query has to hold, and the answer.
type Answer = (String, Vec<(String, String)>, ResponseTemplate);

#[derive(Default)]
struct State {
    answers: Vec<Answer>,
    asked: Vec<String>,
}

#[derive(Clone, Default)]
struct Table(Arc<Mutex<State>>);

impl Respond for Table {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().unwrap();
        let path = request.url.path().trim_start_matches("/api/v2").to_owned();
        let query: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
        let query_text = request.url.query().map(|q| format!("?{q}")).unwrap_or_default();
        state.asked.push(format!("{path}{query_text}"));
        let signed_in = request.headers.get("circle-token").is_some_and(|t| t == TOKEN);
        if !signed_in && !path.starts_with("/storage/") {
            return ResponseTemplate::new(401).set_body_json(json!({ "message": "You must log in first." }));
        }
        // The newest of the answers that name the most of the query.
        let fitting = state.answers.iter().enumerate();
        let fitting =
            fitting.filter(|(_, (p, q, _))| *p == path && q.iter().all(|pair| query.contains(pair)));
        let best = fitting.max_by_key(|(at, (_, q, _))| (q.len(), *at));
        best.map_or_else(
            || ResponseTemplate::new(404).set_body_json(json!({ "message": "Not found" })),
            |(_, (_, _, template))| template.clone(),
        )
    }
}

/// The server, a source that asks it, and the source's clock.
pub(crate) struct Forge {
    server: MockServer,
    table: Table,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) circle: Arc<dyn Connector>,
}

impl Forge {
    /// A CircleCI with one project that has no pipelines.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut config::SourceSettings)) -> Self {
        let server = MockServer::start().await;
        let table = Table::default();
        Mock::given(any()).respond_with(table.clone()).mount(&server).await;
        let clock = Arc::new(ManualClock::at(at("12:00:00")));
        let mut settings = support::settings(&server.uri(), TOKEN);
        change(&mut settings);
        let circle = support::source(&settings, Arc::clone(&clock) as Arc<dyn domain::Clock>);
        let forge = Self { server, table, clock, circle };
        forge.give("/project/gh/acme/web", project("acme", "web"));
        forge.pipelines(&[]);
        forge
    }

    /// Answers 200 to this path below `/api/v2`, and to this query when it names one.
    pub(crate) fn give(&self, target: &str, body: Value) {
        self.answer(target, ResponseTemplate::new(200).set_body_json(body));
    }

    /// Answers anything.
    pub(crate) fn answer(&self, target: &str, template: ResponseTemplate) {
        let url = url::Url::parse(&format!("http://x{target}")).unwrap();
        let query = url.query_pairs().into_owned().collect();
        self.table.0.lock().unwrap().answers.push((url.path().to_owned(), query, template));
    }

    /// Answers with these pipelines of the project.
    pub(crate) fn pipelines(&self, rows: &[Value]) {
        self.give("/project/gh/acme/web/pipeline", list(rows));
    }

    /// Answers with the workflows of a pipeline.
    pub(crate) fn workflows(&self, number: u64, rows: &[Value]) {
        self.give(&format!("/pipeline/p{number}/workflow"), list(rows));
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut self.table.0.lock().unwrap().asked);
        asked.sort_unstable();
        asked
    }

    pub(crate) async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }

    pub(crate) async fn project(&self) -> Project {
        let project = self.circle.project(SLUG).await.unwrap();
        self.asked();
        project
    }

    pub(crate) async fn heads(&self, ask: HeadsAsk) -> Result<Heads> {
        support::heads(&*self.circle, ask).await
    }

    /// The state of the project of which nothing is known.
    pub(crate) async fn first(&self) -> Heads {
        let ask = support::ask(&self.project().await);
        self.heads(ask).await.unwrap()
    }
}

/// A moment of the day of these tests.
pub(crate) fn at(time: &str) -> Timestamp {
    format!("2026-11-24T{time}Z").parse().unwrap()
}

pub(crate) fn list(rows: &[Value]) -> Value {
    json!({ "items": rows, "next_page_token": null })
}

pub(crate) fn project(org: &str, name: &str) -> Value {
    json!({
        "slug": format!("gh/{org}/{name}"), "name": name, "id": "x", "organization_name": org,
        "vcs_info": { "vcs_url": format!("https://github.com/{org}/{name}"), "provider": "GitHub", "default_branch": "main" },
    })
}

fn changed(mut value: Value, change: Value) -> Value {
    for (key, new) in change.as_object().into_iter().flatten() {
        value[key] = new.clone();
    }
    value
}

/// A pipeline `p<number>` on `main`, made in the minute of its number before ten o'clock; `change` replaces fields.
pub(crate) fn pipeline(number: u64, change: Value) -> Value {
    let repository = "https://github.com/acme/web";
    let pipeline = json!({
        "id": format!("p{number}"), "errors": [], "project_slug": SLUG, "number": number, "state": "created",
        "created_at": format!("2026-11-24T09:{number:02}:00.123Z"), "updated_at": format!("2026-11-24T09:{number:02}:00.123Z"),
        "trigger": { "type": "webhook", "received_at": "2026-11-24T09:00:00Z", "actor": { "login": "aruiz", "avatar_url": null } },
        "vcs": {
            "provider_name": "GitHub", "origin_repository_url": repository, "target_repository_url": repository,
            "branch": "main", "revision": format!("sha{number}"), "commit": { "subject": "Speed up checkout", "body": "By half." },
        },
    });
    changed(pipeline, change)
}

/// A workflow of a pipeline, of three minutes; its id is `w<number>-<name>`.
pub(crate) fn workflow(number: u64, name: &str, status: &str, change: Value) -> Value {
    let workflow = json!({
        "id": format!("w{number}-{name}"), "pipeline_id": format!("p{number}"), "pipeline_number": number, "name": name,
        "project_slug": SLUG, "status": status, "started_by": "x",
        "created_at": format!("2026-11-24T09:{number:02}:01Z"), "stopped_at": format!("2026-11-24T09:{:02}:01Z", number + 3),
    });
    changed(workflow, change)
}

/// A job of two minutes.
pub(crate) fn job(number: u64, name: &str, status: &str, change: Value) -> Value {
    let job = json!({
        "id": format!("j{number}"), "job_number": number, "name": name, "type": "build", "status": status, "dependencies": [],
        "project_slug": SLUG, "started_at": "2026-11-24T09:10:00Z", "stopped_at": "2026-11-24T09:12:00Z",
    });
    changed(job, change)
}
