//! A web daemon on a scripted aggregator, over the real in-process transport.

mod aggregator;
mod events;
mod script;
mod service;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use domain::ManualClock;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use lifecycle::Lifecycle;
use tower::ServiceExt as _;
use web::WebSettings;

use crate::fixtures::at;

pub(crate) use aggregator::Aggregator;
pub(crate) use events::{Event, Events};
pub(crate) use script::Script;
pub(crate) use service::Service;

pub(crate) const NOW: &str = "2026-11-24T12:00:00Z";

/// A web daemon and its aggregator.
pub(crate) struct World {
    pub(crate) aggregator: Arc<Aggregator>,
    pub(crate) clock: Arc<ManualClock>,
    router: Router,
    life: Lifecycle,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }

    /// Asserts that it is a problem document of this status and gives its detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let body = self.json();
        assert_eq!(body["status"], status);
        assert!(body["title"].is_string() && body["type"].is_string());
        body["detail"].as_str().unwrap().to_owned()
    }
}

/// Settings as `yaml` says, as the web daemon reads them.
pub(crate) fn settings(yaml: &str) -> WebSettings {
    settings_in(&tempfile::tempdir().unwrap(), yaml)
}

/// The same with the files of `dir`, which is home as well.
pub(crate) fn settings_in(dir: &tempfile::TempDir, yaml: &str) -> WebSettings {
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, yaml).unwrap();
    let inputs =
        config::Inputs::isolated(config::Role::Web, Some(file), [("HOME", dir.path().to_str().unwrap())]);
    WebSettings::from(&config::load(&inputs).unwrap().settings)
}

impl World {
    /// Connected and ready, with the script's beginning.
    pub(crate) async fn new(script: Script) -> Self {
        Self::with("", script).await
    }

    /// The same with settings.
    pub(crate) async fn with(yaml: &str, script: Script) -> Self {
        let world = Self::unconnected(yaml, script);
        world.aggregator.back();
        world.until("/api/ready", 200).await;
        world
    }

    /// With an aggregator that is not there yet.
    pub(crate) fn unconnected(yaml: &str, script: Script) -> Self {
        let life = Lifecycle::new();
        let tasks = life.tasks();
        let (aggregator, endpoint) = Aggregator::start(script, &tasks);
        let clock = Arc::new(ManualClock::at(at(NOW)));
        let router = web::application(settings(yaml), &endpoint, Arc::clone(&clock) as _, &tasks).unwrap();
        Self { aggregator, clock, router, life }
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Asks it to stop, and waits for nothing.
    pub(crate) fn request_stop(&self) {
        self.life.tasks().request_stop();
    }

    /// Stops it; every task has to end by itself.
    pub(crate) async fn stop(self) {
        assert_eq!(self.life.stop().await, lifecycle::Stopped::Clean);
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Asks again until the status is this one.
    pub(crate) async fn until(&self, path: &str, status: u16) -> Reply {
        let ask = async {
            loop {
                let reply = self.get(path).await;
                if reply.status == status {
                    return reply;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ask)
            .await
            .unwrap_or_else(|_| panic!("{path} never {status}"))
    }

    /// Waits until `/api/health` says so of the aggregator.
    pub(crate) async fn until_link(&self, state: &str) {
        let wait = async {
            while self.get("/api/health").await.json()["aggregator"]["state"] != state {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("never {state}"));
    }

    /// Waits until the web daemon has heard of the script's version.
    pub(crate) async fn until_heard(&self) {
        let (epoch, sequence) = self.aggregator.script().version;
        let version = format!("{epoch}.{sequence}");
        let wait = async {
            while self.get("/api/health").await.json()["aggregator"]["version"] != version {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait)
            .await
            .unwrap_or_else(|_| panic!("never {version}"));
    }

    /// Opens the event stream.
    pub(crate) async fn events(&self, headers: &[(&str, &str)]) -> Events {
        let mut request = Request::get("/api/v1/events/stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events(response.into_body())
    }
}
