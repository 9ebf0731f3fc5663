//! A web daemon on a scripted aggregator, over the real in-process transport.
//!
//! The aggregator says what [`Script`] tells it to, counts what it is asked, and can be cut off and brought back.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use api::v1::dashboard_service_server::{DashboardService, DashboardServiceServer};
use api::v1::stats_service_server::StatsServiceServer;
use api::{Connection, Endpoint, InProcess, v1};
use axum::Router;
use axum::body::Body;
use domain::ManualClock;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use lifecycle::{Lifecycle, Tasks};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;
use tonic::{Request as Ask, Response as Answer, Status};
use tower::ServiceExt as _;
use web::WebSettings;

use crate::fixtures::{
    at, bare_branch, bare_issue, bare_job, bare_merge_request, bare_pipeline, bare_user, full_branch,
    full_issue, full_job, full_merge_request, full_pipeline, full_row, full_schedule, full_source, full_user,
    time,
};

pub(crate) const NOW: &str = "2026-11-24T12:00:00Z";

/// What the aggregator says.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) version: (u64, u64),
    pub(crate) rows: Vec<v1::Row>,
    pub(crate) sources: Vec<v1::Source>,
    pub(crate) schedule: Option<v1::Schedule>,
    pub(crate) pipelines: Vec<v1::Pipeline>,
    pub(crate) jobs: Vec<v1::Job>,
    pub(crate) branches: Vec<v1::Branch>,
    pub(crate) merge_requests: Vec<v1::MergeRequest>,
    pub(crate) issues: Vec<v1::Issue>,
    pub(crate) users: Vec<v1::CurrentUser>,
    /// What lists lack.
    pub(crate) problems: Vec<v1::Problem>,
    pub(crate) log: v1::GetJobLogResponse,
    pub(crate) loading: bool,
    /// Old name of a project (source, id) to its id now.
    pub(crate) renamed: BTreeMap<(String, String), String>,
    /// Any project is there, under the key that it is asked by.
    pub(crate) echo: bool,
    /// What becomes of webhooks, and why.
    pub(crate) verdict: (v1::WebhookVerdict, &'static str),
    /// Counts, rates, durations.
    pub(crate) stats: v1::GetStatsResponse,
    /// Every question to history fails so.
    pub(crate) history: Option<Status>,
    /// Calls hang.
    pub(crate) hang: bool,
    /// Every call fails so.
    pub(crate) fail: Option<Status>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            version: (7, 1),
            rows: vec![full_row()],
            sources: vec![full_source()],
            schedule: Some(full_schedule()),
            pipelines: vec![full_pipeline(), bare_pipeline()],
            jobs: vec![full_job(), bare_job()],
            branches: vec![full_branch(), bare_branch()],
            merge_requests: vec![full_merge_request(), bare_merge_request()],
            issues: vec![full_issue(), bare_issue()],
            users: vec![full_user(), bare_user()],
            problems: Vec::new(),
            log: v1::GetJobLogResponse {
                text: "line 1\nline 2\n".into(),
                truncated: true,
                ..Default::default()
            },
            loading: false,
            renamed: BTreeMap::new(),
            echo: false,
            verdict: (v1::WebhookVerdict::Applied, ""),
            stats: crate::stats::stats(),
            history: None,
            hang: false,
            fail: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Aggregator {
    script: Mutex<Script>,
    calls: Mutex<BTreeMap<&'static str, usize>>,
    asked: Mutex<Vec<String>>,
    ingested: Mutex<Vec<v1::IngestWebhookRequest>>,
    /// The ids of the requests that projects were listed for.
    request_ids: Mutex<Vec<String>>,
    words: broadcast::Sender<v1::WatchResponse>,
    up: Mutex<Option<CancellationToken>>,
}

impl Aggregator {
    /// One that is away until it is [`Self::back`], and where it is.
    pub(crate) fn start(script: Script, tasks: &Tasks) -> (Arc<Self>, Endpoint) {
        let aggregator = Arc::new(Self {
            script: Mutex::new(script),
            calls: Mutex::default(),
            asked: Mutex::default(),
            ingested: Mutex::default(),
            request_ids: Mutex::default(),
            words: broadcast::Sender::new(1024),
            up: Mutex::new(None),
        });
        let endpoint = Endpoint::InProcess(InProcess::default());
        run(tasks, &aggregator, endpoint.clone());
        (aggregator, endpoint)
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// How often a question was asked.
    pub(crate) fn calls(&self, name: &str) -> usize {
        self.calls.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    /// The questions, as text.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The webhooks that came, and none of them any more.
    pub(crate) fn ingested(&self) -> Vec<v1::IngestWebhookRequest> {
        std::mem::take(&mut self.ingested.lock().unwrap())
    }

    /// The ids of the requests that projects were listed for.
    pub(crate) fn request_ids(&self) -> Vec<String> {
        self.request_ids.lock().unwrap().clone()
    }

    /// A new version that changed these projects.
    pub(crate) fn change(&self, projects: &[(&str, &str)]) {
        let sequence = {
            let mut script = self.script();
            script.version.1 += 1;
            script.version.1
        };
        let changes = projects
            .iter()
            .map(|(source, id)| v1::Change {
                project: Some(v1::ProjectKey { source: (*source).into(), id: (*id).into() }),
                gone: false,
            })
            .collect();
        let version = Some(v1::Version { epoch: self.script().version.0, sequence });
        let _ = self.words.send(v1::WatchResponse { version, changes, at: time(NOW), ..Default::default() });
    }

    /// A new version that changed these projects' lists only.
    pub(crate) fn change_lists(&self, projects: &[(&str, &str)]) {
        let version = {
            let mut script = self.script();
            script.version.1 += 1;
            v1::Version { epoch: script.version.0, sequence: script.version.1 }
        };
        let key = |(source, id): &(&str, &str)| v1::ProjectKey { source: (*source).into(), id: (*id).into() };
        let _ = self.words.send(v1::WatchResponse {
            version: Some(version),
            work_changed: true,
            work: projects.iter().map(key).collect(),
            at: time(NOW),
            ..Default::default()
        });
    }

    /// Cuts every connection, and refuses new ones until [`Self::back`].
    pub(crate) fn away(&self) {
        self.up.lock().unwrap().take().unwrap().cancel();
    }

    /// Takes connections again.
    pub(crate) fn back(&self) {
        *self.up.lock().unwrap() = Some(CancellationToken::new());
    }

    /// Back as another process, with another epoch.
    pub(crate) fn restarted(&self) {
        let mut script = self.script();
        script.version = (script.version.0 + 1, 1);
        drop(script);
        self.back();
    }

    fn version(&self) -> Option<v1::Version> {
        let (epoch, sequence) = self.script().version;
        Some(v1::Version { epoch, sequence })
    }

    async fn count(&self, name: &'static str, request: &impl std::fmt::Debug) -> Result<(), Status> {
        *self.calls.lock().unwrap().entry(name).or_default() += 1;
        self.asked.lock().unwrap().push(format!("{name} {request:?}"));
        let (hang, fail) = {
            let script = self.script();
            (script.hang, script.fail.clone())
        };
        if hang {
            std::future::pending::<()>().await;
        }
        fail.map_or(Ok(()), Err)
    }

    /// The row of a project, with its canonical key.
    fn find(&self, key: Option<&v1::ProjectKey>) -> Result<v1::Row, Status> {
        let key = key.ok_or_else(|| Status::invalid_argument("no key"))?;
        let script = self.script();
        if script.echo {
            let mut row = full_row();
            row.project.as_mut().unwrap().key = Some(key.clone());
            return Ok(row);
        }
        let id = script.renamed.get(&(key.source.clone(), key.id.clone())).unwrap_or(&key.id);
        let wanted = v1::ProjectKey { source: key.source.clone(), id: id.clone() };
        let key_of =
            |row: &&v1::Row| row.project.as_ref().and_then(|p| p.key.clone()) == Some(wanted.clone());
        script.rows.iter().find(key_of).cloned().ok_or_else(|| Status::not_found("there is no such project"))
    }

    /// Only the canonical key will do.
    fn know(&self, key: Option<&v1::ProjectKey>) -> Result<(), Status> {
        let Some(key) = key else { return Ok(()) };
        let row = self.find(Some(key))?;
        if row.project.and_then(|p| p.key).as_ref() == Some(key) {
            Ok(())
        } else {
            Err(Status::not_found("there is no such project"))
        }
    }
}

/// Its face.
pub(crate) struct Service(Arc<Aggregator>);

impl Service {
    /// Counts a question to history, which may be off or away.
    pub(crate) async fn of_history(
        &self,
        name: &'static str,
        request: &impl std::fmt::Debug,
    ) -> Result<(), Status> {
        self.0.count(name, request).await?;
        self.0.script().history.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn stats(&self) -> v1::GetStatsResponse {
        self.0.script().stats.clone()
    }
}

type Words = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl DashboardService for Service {
    async fn list_projects(
        &self,
        request: Ask<v1::ListProjectsRequest>,
    ) -> Result<Answer<v1::ListProjectsResponse>, Status> {
        if let Some(id) = request.metadata().get("x-request-id") {
            self.0.request_ids.lock().unwrap().push(id.to_str().unwrap().to_owned());
        }
        let request = request.into_inner();
        self.0.count("list_projects", &request).await?;
        let version = self.0.version();
        let script = self.0.script();
        let total = u32::try_from(script.rows.len()).unwrap();
        let skip = ((request.page.max(1) - 1) * request.per_page) as usize;
        Ok(Answer::new(v1::ListProjectsResponse {
            rows: script.rows.iter().skip(skip).take(request.per_page as usize).cloned().collect(),
            total,
            page: request.page,
            per_page: request.per_page,
            version,
            summary: Some(v1::Summary { total, everything: total, ..Default::default() }),
            sources: script.sources.clone(),
            suggestion: None,
        }))
    }

    async fn get_project(
        &self,
        request: Ask<v1::GetProjectRequest>,
    ) -> Result<Answer<v1::GetProjectResponse>, Status> {
        let waits = request.metadata().contains_key("grpc-timeout");
        let request = request.into_inner();
        if waits {
            *self.0.calls.lock().unwrap().entry("get_project, and waits").or_default() += 1;
        }
        self.0.count("get_project", &request).await?;
        let row = self.0.find(request.key.as_ref())?;
        let key = row.project.as_ref().and_then(|p| p.key.clone());
        let source = self.0.script().sources.first().cloned();
        Ok(Answer::new(v1::GetProjectResponse { row: Some(row), key, source, version: self.0.version() }))
    }

    async fn explain_project(
        &self,
        request: Ask<v1::ExplainProjectRequest>,
    ) -> Result<Answer<v1::ExplainProjectResponse>, Status> {
        let request = request.into_inner();
        self.0.count("explain_project", &request).await?;
        let row = self.0.find(request.key.as_ref())?;
        let key = row.project.as_ref().and_then(|p| p.key.clone());
        let script = self.0.script();
        let (source, schedule) = (script.sources.first().cloned(), script.schedule.clone());
        let version = Some(v1::Version { epoch: script.version.0, sequence: script.version.1 });
        Ok(Answer::new(v1::ExplainProjectResponse { row: Some(row), key, source, version, schedule }))
    }

    async fn list_pipelines(
        &self,
        request: Ask<v1::ListPipelinesRequest>,
    ) -> Result<Answer<v1::ListPipelinesResponse>, Status> {
        let request = request.into_inner();
        self.0.count("list_pipelines", &request).await?;
        self.0.know(request.project.as_ref())?;
        let version = self.0.version();
        let pipelines = self.0.script().pipelines.clone();
        Ok(Answer::new(v1::ListPipelinesResponse {
            total: u32::try_from(pipelines.len()).unwrap(),
            pipelines,
            page: request.page,
            per_page: request.per_page,
            version,
            ..v1::ListPipelinesResponse::default()
        }))
    }

    async fn get_pipeline(
        &self,
        request: Ask<v1::GetPipelineRequest>,
    ) -> Result<Answer<v1::GetPipelineResponse>, Status> {
        let request = request.into_inner();
        self.0.count("get_pipeline", &request).await?;
        let row = self.0.find(request.project.as_ref())?;
        let version = self.0.version();
        let script = self.0.script();
        let mut found = script.pipelines.iter().find(|p| p.id == request.id).cloned();
        if script.echo {
            found = Some(v1::Pipeline { id: request.id, ..full_pipeline() });
        }
        Ok(Answer::new(v1::GetPipelineResponse {
            pipeline: Some(found.ok_or_else(|| Status::not_found("there is no such pipeline"))?),
            jobs: if script.loading { Vec::new() } else { script.jobs.clone() },
            loading: script.loading,
            version,
            project: row.project,
            source: script.sources.first().cloned(),
            ..Default::default()
        }))
    }

    async fn get_job_log(
        &self,
        request: Ask<v1::GetJobLogRequest>,
    ) -> Result<Answer<v1::GetJobLogResponse>, Status> {
        let request = request.into_inner();
        self.0.count("get_job_log", &request).await?;
        self.0.know(request.project.as_ref())?;
        let version = self.0.version();
        Ok(Answer::new(v1::GetJobLogResponse { version, ..self.0.script().log.clone() }))
    }

    async fn list_branches(
        &self,
        request: Ask<v1::ListBranchesRequest>,
    ) -> Result<Answer<v1::ListBranchesResponse>, Status> {
        let request = request.into_inner();
        self.0.count("list_branches", &request).await?;
        self.0.know(request.project.as_ref())?;
        let version = self.0.version();
        let script = self.0.script();
        let mut branches = if script.loading { Vec::new() } else { script.branches.clone() };
        if let Some(name) = &request.name {
            branches.retain(|b| b.name == *name);
            if script.echo {
                branches = vec![v1::Branch { name: name.clone(), ..full_branch() }];
            }
        }
        Ok(Answer::new(v1::ListBranchesResponse {
            total: u32::try_from(branches.len()).unwrap(),
            branches,
            page: request.page,
            per_page: request.per_page,
            version,
            loading: script.loading,
            problems: Vec::new(),
        }))
    }

    async fn list_merge_requests(
        &self,
        request: Ask<v1::ListMergeRequestsRequest>,
    ) -> Result<Answer<v1::ListMergeRequestsResponse>, Status> {
        let request = request.into_inner();
        self.0.count("list_merge_requests", &request).await?;
        self.0.know(request.project.as_ref())?;
        let version = self.0.version();
        let script = self.0.script();
        let merge_requests = if script.loading { Vec::new() } else { script.merge_requests.clone() };
        let total = u32::try_from(merge_requests.len()).unwrap();
        Ok(Answer::new(v1::ListMergeRequestsResponse {
            merge_requests,
            total,
            page: request.page,
            per_page: request.per_page,
            version,
            loading: script.loading,
            problems: script.problems.clone(),
            summary: Some(v1::WorkSummary { total, everything: total, ..Default::default() }),
            sources: script.sources.clone(),
        }))
    }

    async fn list_issues(
        &self,
        request: Ask<v1::ListIssuesRequest>,
    ) -> Result<Answer<v1::ListIssuesResponse>, Status> {
        let request = request.into_inner();
        self.0.count("list_issues", &request).await?;
        self.0.know(request.project.as_ref())?;
        let version = self.0.version();
        let script = self.0.script();
        let issues = if script.loading { Vec::new() } else { script.issues.clone() };
        let total = u32::try_from(issues.len()).unwrap();
        Ok(Answer::new(v1::ListIssuesResponse {
            issues,
            total,
            page: request.page,
            per_page: request.per_page,
            version,
            loading: script.loading,
            problems: script.problems.clone(),
            summary: Some(v1::WorkSummary { total, everything: total, ..Default::default() }),
            sources: script.sources.clone(),
        }))
    }

    async fn get_me(&self, request: Ask<v1::GetMeRequest>) -> Result<Answer<v1::GetMeResponse>, Status> {
        self.0.count("get_me", &request.into_inner()).await?;
        let version = self.0.version();
        Ok(Answer::new(v1::GetMeResponse { users: self.0.script().users.clone(), version }))
    }

    async fn list_sources(
        &self,
        request: Ask<v1::ListSourcesRequest>,
    ) -> Result<Answer<v1::ListSourcesResponse>, Status> {
        self.0.count("list_sources", &request.into_inner()).await?;
        let version = self.0.version();
        let sources = self.0.script().sources.clone();
        Ok(Answer::new(v1::ListSourcesResponse { sources, version, ..Default::default() }))
    }

    async fn ingest_webhook(
        &self,
        request: Ask<v1::IngestWebhookRequest>,
    ) -> Result<Answer<v1::IngestWebhookResponse>, Status> {
        self.0.count("ingest_webhook", &"a delivery").await?;
        self.0.ingested.lock().unwrap().push(request.into_inner());
        let (verdict, detail) = self.0.script().verdict;
        Ok(Answer::new(v1::IngestWebhookResponse { verdict: verdict.into(), detail: detail.into() }))
    }

    type WatchStream = Words;

    async fn watch(&self, _: Ask<v1::WatchRequest>) -> Result<Answer<Words>, Status> {
        let mut words = self.0.words.subscribe();
        let first = v1::WatchResponse {
            version: self.0.version(),
            resync: true,
            at: time(NOW),
            ..Default::default()
        };
        let (to, from) = mpsc::channel(16);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let _ = to.send(Ok(first)).await;
            while let Ok(word) = words.recv().await {
                if to.send(Ok(word)).await.is_err() {
                    return;
                }
            }
        });
        // The task lives as long as the stream.
        let stream = ReceiverStream::new(from).map(move |word| {
            let _ = &tasks;
            word
        });
        Ok(Answer::new(Box::pin(stream)))
    }
}

/// A connection that ends when it is cut.
struct Cut {
    stream: Connection,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connected for Cut {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

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
    let inputs = config::Inputs {
        role: config::Role::Web,
        file: Some(file),
        env: config::Environment::from_iter([("HOME", dir.path().to_str().unwrap())]),
        overrides: config::Overrides::default(),
        cwd: dir.path().to_owned(),
        platforms: config::Platforms::known(),
        machine: config::Machine {
            is_root: false,
            run_dir_writable: false,
            system_config: "/nonexistent/config.yaml".into(),
        },
    };
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

fn run(tasks: &Tasks, aggregator: &Arc<Aggregator>, endpoint: Endpoint) {
    let (to, from) = mpsc::channel(16);
    let pump = {
        let aggregator = Arc::clone(aggregator);
        async move {
            let mut incoming = endpoint.listen().await.unwrap().incoming();
            while let Some(Ok(stream)) = incoming.next().await {
                let up = aggregator.up.lock().unwrap().clone();
                // Away: the connection is dropped.
                if let Some(cut) = up {
                    let cut = Box::pin(cut.cancelled_owned());
                    let _ = to.send(Ok::<_, std::io::Error>(Cut { stream, cut })).await;
                }
            }
        }
    };
    let stop = tasks.stop_token();
    tasks.run("pump", async move {
        stop.run_until_cancelled(pump).await;
    });
    let service = DashboardServiceServer::new(Service(Arc::clone(aggregator)))
        .max_decoding_message_size(api::MAX_MESSAGE_BYTES);
    let stats = StatsServiceServer::new(Service(Arc::clone(aggregator)));
    let stop = tasks.stop_token();
    tasks.run("aggregator", async move {
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .add_service(stats)
            .serve_with_incoming(ReceiverStream::new(from));
        stop.run_until_cancelled(server).await;
    });
}

/// An event stream.
#[derive(Debug)]
pub(crate) struct Events(Body);

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: serde_json::Value,
}

impl Events {
    /// The next frame as it is on the wire; `None` at the end.
    pub(crate) async fn frame(&mut self) -> Option<String> {
        let frame = self.0.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    /// The next event, comments left out; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            let frame = self.frame().await?;
            let field = |name: &str| {
                let prefix = format!("{name}: ");
                frame.lines().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
            };
            if let Some(name) = field("event") {
                let data = serde_json::from_str(&field("data").unwrap()).unwrap();
                return Some(Event { name, id: field("id"), data });
            }
        }
    }

    /// The next event of this name.
    pub(crate) async fn next_of(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended before {name}"));
            if event.name == name {
                return event;
            }
        }
    }
}
