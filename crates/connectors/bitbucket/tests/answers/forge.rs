//! A Bitbucket that answers what a test puts on its table.

use std::sync::{Arc, Mutex};

use connector::Connector;
use domain::{ManualClock, Project};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support;

#[derive(Debug, Default)]
struct Table {
    answers: Vec<(String, ResponseTemplate)>,
    asked: Vec<(String, String)>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Table>>);

impl Respond for Shared {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut table = self.0.lock().unwrap();
        let target = match request.url.query() {
            Some(query) => format!("{}?{query}", request.url.path()),
            None => request.url.path().to_owned(),
        };
        table.asked.push((request.method.to_string(), target.clone()));
        // The newest answer whose path, and whose part of the query, fits.
        let fits = |wanted: &str| match wanted.split_once('?') {
            Some((path, part)) => path == request.url.path() && target.contains(part),
            None => wanted == request.url.path(),
        };
        let found =
            table.answers.iter().rev().find(|(wanted, _)| fits(wanted)).map(|(_, reply)| reply.clone());
        found.unwrap_or_else(|| cloud_error(404, "Resource not found"))
    }
}

/// Cloud's form of an error.
pub(crate) fn cloud_error(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({ "type": "error", "error": { "message": message } }))
}

/// The server and its table. What is not on it is answered 404 in Cloud's way.
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

    /// One that is a Data Center.
    pub(crate) async fn data_center() -> Self {
        let forge = Self::start().await;
        let properties = json!({ "version": "9.4.1", "buildNumber": "9004001", "displayName": "Bitbucket" });
        forge.json("/rest/api/latest/application-properties", &properties);
        forge
    }

    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    pub(crate) fn json(&self, target: &str, body: &Value) -> &Self {
        self.reply(target, ResponseTemplate::new(200).set_body_json(body))
    }

    /// A list of one page.
    pub(crate) fn list(&self, target: &str, rows: &Value) -> &Self {
        self.json(
            target,
            &json!({ "values": rows, "isLastPage": true, "size": rows.as_array().map(Vec::len) }),
        )
    }

    pub(crate) fn reply(&self, target: &str, reply: ResponseTemplate) -> &Self {
        self.shared.0.lock().unwrap().answers.push((target.to_owned(), reply));
        self
    }

    /// What was asked since the last time: method, path and query.
    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.shared.0.lock().unwrap().asked)
    }

    pub(crate) async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }

    pub(crate) fn source(&self) -> Arc<dyn Connector> {
        support::source(&support::settings(&self.url()), clock())
    }
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at("2026-11-24T12:00:00Z".parse().unwrap()))
}

/// A repository of Cloud's, with its row on the table.
pub(crate) async fn repository(forge: &Forge) -> (Arc<dyn Connector>, Project) {
    forge.json(
        "/repositories/acme/web",
        &json!({
            "full_name": "acme/web", "updated_on": "2026-11-24T10:00:00.123456+00:00", "mainbranch": { "name": "main" },
            "has_issues": false, "links": { "html": { "href": "https://bitbucket.org/acme/web" } },
        }),
    );
    let source = forge.source();
    let project = source.project("acme/web").await.unwrap();
    forge.asked();
    (source, project)
}
