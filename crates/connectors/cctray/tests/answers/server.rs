//! A server with one feed, which the test writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use connector::{Connector, Heads, Result};
use domain::{Clock, ManualClock, Pipeline, Project, Timestamp};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support;

#[derive(Clone)]
struct Page(Arc<Mutex<ResponseTemplate>>);

impl Respond for Page {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        self.0.lock().unwrap().clone()
    }
}

/// The server, a source that asks it, and the source's clock.
pub(crate) struct Server {
    server: MockServer,
    page: Page,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) source: Arc<dyn Connector>,
}

/// Noon on the day of these tests.
pub(crate) fn noon() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

impl Server {
    pub(crate) async fn start() -> Self {
        let server = MockServer::start().await;
        let page = Page(Arc::new(Mutex::new(ResponseTemplate::new(404))));
        Mock::given(any()).respond_with(page.clone()).mount(&server).await;
        let clock = Arc::new(ManualClock::at(noon()));
        let settings = support::settings(&format!("{}/go/cctray.xml?branch=main", server.uri()), None);
        let source = support::source(&settings, Arc::clone(&clock) as Arc<dyn Clock>);
        Self { server, page, clock, source }
    }

    /// Answers with anything.
    pub(crate) fn answer(&self, template: ResponseTemplate) {
        *self.page.0.lock().unwrap() = template;
    }

    /// Answers with these bytes as XML.
    pub(crate) fn body(&self, body: impl Into<Vec<u8>>) {
        self.answer(ResponseTemplate::new(200).set_body_raw(body, "application/xml"));
    }

    /// Answers with these `<Project …>` elements.
    pub(crate) fn feed(&self, projects: &str) {
        self.body(format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Projects>{projects}</Projects>"));
    }

    pub(crate) async fn read(&self) -> Result<BTreeMap<String, (Project, Heads)>> {
        support::refresh(&*self.source, &BTreeMap::new()).await
    }

    /// The runs of the project `p`, knowing these.
    pub(crate) async fn runs(&self, known: &[Pipeline]) -> Vec<Pipeline> {
        let known = BTreeMap::from([("p".to_owned(), known.to_vec())]);
        let read = support::refresh(&*self.source, &known).await.unwrap();
        read["p"].1.pipelines.clone()
    }

    /// Why the feed cannot be read.
    pub(crate) async fn refusal(&self) -> connector::Error {
        self.source.projects(None).await.unwrap_err()
    }

    /// Host and port, as messages name them.
    pub(crate) fn place(&self) -> String {
        self.server.address().to_string()
    }

    pub(crate) async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }
}
