//! A Jenkins that answers what a test puts on its table: by path alone, whatever the tree.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

#[derive(Clone, Default)]
struct Table(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// By method and encoded path; the last of several stays.
    answers: BTreeMap<String, Vec<ResponseTemplate>>,
    asked: Vec<String>,
}

impl Respond for Table {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut inner = self.0.lock().unwrap();
        let key = format!("{} {}", request.method, request.url.path());
        inner.asked.push(key.clone());
        match inner.answers.get_mut(&key) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => {
                ResponseTemplate::new(404).set_body_raw("<html><body>Not Found</body></html>", "text/html")
            }
        }
    }
}

/// The server and its table.
pub(crate) struct Forge {
    server: MockServer,
    table: Table,
}

impl Forge {
    pub(crate) async fn start() -> Self {
        let (server, table) = (MockServer::start().await, Table::default());
        Mock::given(any()).respond_with(table.clone()).mount(&server).await;
        Self { server, table }
    }

    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    /// Answers `GET /api/json`, or anything else by method and path, with JSON.
    pub(crate) fn json(&self, what: &str, body: &Value) -> &Self {
        self.put(what, ResponseTemplate::new(200).set_body_json(body))
    }

    /// Answers with anything; several answers to one question come one after the other.
    pub(crate) fn put(&self, what: &str, answer: ResponseTemplate) -> &Self {
        self.table.0.lock().unwrap().answers.entry(what.to_owned()).or_default().push(answer);
        self
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.table.0.lock().unwrap().asked)
    }

    pub(crate) async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }
}
