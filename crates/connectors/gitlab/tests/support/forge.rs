//! A GitLab that answers what a test puts on its table.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// An object in GitLab's shape from `tests/fixtures`, with fields replaced or added.
pub(crate) fn object(name: &str, patch: Value) -> Value {
    let text = match name {
        "project" => include_str!("../fixtures/project.json"),
        "branch" => include_str!("../fixtures/branch.json"),
        "pipeline_row" => include_str!("../fixtures/pipeline_row.json"),
        "pipeline" => include_str!("../fixtures/pipeline.json"),
        "job" => include_str!("../fixtures/job.json"),
        "merge_request" => include_str!("../fixtures/merge_request.json"),
        "issue" => include_str!("../fixtures/issue.json"),
        "user" => include_str!("../fixtures/user.json"),
        other => panic!("no fixture {other}"),
    };
    let mut value: Value = serde_json::from_str(text).unwrap();
    let (Value::Object(fields), Value::Object(patch)) = (&mut value, patch) else { panic!("no objects") };
    fields.extend(patch);
    value
}

#[derive(Debug, Clone)]
struct Answer {
    path: String,
    query: Vec<(String, String)>,
    status: u16,
    reply: ResponseTemplate,
    etag: Option<String>,
}

/// One question that came: path below `/api/v4`, query, status of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) status: u16,
}

#[derive(Debug, Default)]
struct Table {
    answers: Vec<Answer>,
    asked: Vec<Asked>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Table>>);

impl Respond for Shared {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut table = self.0.lock().unwrap();
        let path = request.url.path().trim_start_matches("/api/v4").to_owned();
        let query: Vec<(String, String)> =
            request.url.query_pairs().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        // The newest, most narrow answer wins.
        let found = table
            .answers
            .iter()
            .rev()
            .filter(|a| a.path == path && a.query.iter().all(|q| query.contains(q)))
            .max_by_key(|a| a.query.len());
        let (status, reply) = match found {
            None => (404, ResponseTemplate::new(404).set_body_json(json!({ "message": "404 Not Found" }))),
            Some(answer) => {
                let tag = request.headers.get("if-none-match").and_then(|v| v.to_str().ok());
                if answer.etag.is_some() && answer.etag.as_deref() == tag {
                    (304, ResponseTemplate::new(304))
                } else {
                    let mut reply = answer.reply.clone();
                    if let Some(etag) = &answer.etag {
                        reply = reply.insert_header("etag", etag.as_str());
                    }
                    (answer.status, reply)
                }
            }
        };
        table.asked.push(Asked { path, query: request.url.query().unwrap_or_default().to_owned(), status });
        reply
    }
}

/// The server and its table.
pub(crate) struct Forge {
    server: MockServer,
    shared: Shared,
}

impl Forge {
    pub(crate) async fn start() -> Self {
        let server = MockServer::start().await;
        let shared = Shared::default();
        Mock::given(any()).respond_with(shared.clone()).mount(&server).await;
        Self { server, shared }
    }

    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    /// Answers `path` (below `/api/v4`, as it is encoded; with the query that must be there) with JSON and an ETag.
    pub(crate) fn json(&self, target: &str, body: &Value) -> &Self {
        let mut hasher = DefaultHasher::new();
        body.to_string().hash(&mut hasher);
        let etag = Some(format!("W/\"{:x}\"", hasher.finish()));
        self.put(target, 200, ResponseTemplate::new(200).set_body_json(body), etag)
    }

    /// Answers with anything.
    pub(crate) fn raw(
        &self,
        target: &str,
        status: u16,
        more: impl FnOnce(ResponseTemplate) -> ResponseTemplate,
    ) -> &Self {
        self.put(target, status, more(ResponseTemplate::new(status)), None)
    }

    /// Answers with a status and GitLab's body for it.
    pub(crate) fn status(&self, target: &str, status: u16) -> &Self {
        let body = json!({ "message": format!("{status} says the test") });
        self.put(target, status, ResponseTemplate::new(status).set_body_json(body), None)
    }

    fn put(&self, target: &str, status: u16, reply: ResponseTemplate, etag: Option<String>) -> &Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect();
        let mut table = self.shared.0.lock().unwrap();
        table.answers.retain(|a| a.path != path || a.query != query);
        table.answers.push(Answer { path: path.to_owned(), query, status, reply, etag });
        self
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.0.lock().unwrap().asked)
    }

    /// The same without queries, sorted.
    pub(crate) fn asked_paths(&self) -> Vec<String> {
        let mut paths: Vec<_> = self.asked().into_iter().map(|a| a.path).collect();
        paths.sort_unstable();
        paths
    }

    pub(crate) async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }
}
