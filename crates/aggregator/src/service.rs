//! The gRPC face: checks what comes in, answers from the board and the details, maps errors to codes.

use std::pin::Pin;
use std::sync::Arc;

use api::v1;
use api::v1::dashboard_service_server::DashboardService;
use connector::Registry;
use domain::{JobId, Problem, ProblemKind, ProjectKey, RunId, SourceName};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::archive::Archive;
use crate::asking::patience;
use crate::board::{Change, Observation, Seen};
use crate::details::{Details, MAX_OLDER_RUNS, Read};
use crate::due::Schedules;
use crate::hub::{Hub, Present};
use crate::mirror::Mirror;
use crate::query;
use crate::sources::State;
use crate::watched::Watched;
use crate::webhooks::{Verdict, Webhooks};
use crate::work::{Attention, Kind};

/// How far into what history has of a project's runs a list goes.
const MAX_KEPT_RUNS: usize = 10_000;

/// Answers questions.
#[derive(Debug)]
pub struct Service {
    /// The board.
    pub hub: Arc<Hub>,
    /// The connectors.
    pub connectors: Arc<Registry>,
    /// What is not on the board.
    pub details: Details,
    /// Names that never fold away.
    pub watched: Arc<Watched>,
    /// What the platforms send.
    pub webhooks: Arc<Webhooks>,
    /// Who looks at merge requests and issues.
    pub attention: Arc<Attention>,
    /// When what is asked.
    pub schedules: Arc<Schedules>,
    /// What outlives the process.
    pub archive: Arc<Archive>,
    /// What is kept of it in Redis.
    pub mirror: Arc<Mirror>,
    /// Ends the streams.
    pub stopping: tokio_util::sync::CancellationToken,
}

impl From<query::BadQuery> for Status {
    fn from(error: query::BadQuery) -> Self {
        Self::invalid_argument(error.0)
    }
}

fn key(key: Option<v1::ProjectKey>) -> Result<ProjectKey, Status> {
    let key = key.ok_or_else(|| Status::invalid_argument("project key is missing"))?;
    ProjectKey::try_from(&key).map_err(|e| Status::invalid_argument(e.to_string()))
}

impl Service {
    fn sources(&self, present: &Present) -> Vec<v1::Source> {
        present.sources.values().map(|s| self.source(present, s)).collect()
    }

    fn source(&self, present: &Present, s: &crate::sources::Source) -> v1::Source {
        let connector = self.connectors.get(&s.name);
        query::source(s, connector.as_deref(), present.board.of_source(&s.name).count())
    }

    fn asked<'a>(&'a self, present: &'a Present, now: domain::Timestamp) -> query::Asked<'a> {
        query::Asked { present, watched: &self.watched, sources: self.sources(present), now }
    }

    /// The project's canonical key: asked for by native id, or by full name.
    fn canonical(&self, asked: &ProjectKey) -> Result<ProjectKey, Status> {
        self.hub
            .read(|p| p.board.find(&asked.source, asked.id.as_str()).map(|e| e.project.key.clone()))
            .ok_or_else(|| self.no_project(asked))
    }

    /// The same, once it is known whether there is one: soon after a start not all projects are. Whoever has the time
    /// waits for that.
    async fn awaited(&self, asked: &ProjectKey, until: Option<Instant>) -> Result<ProjectKey, Status> {
        let found = self.canonical(asked);
        let (Err(_), Some(until)) = (&found, until) else { return found };
        let (_, mut events) = self.hub.subscribe();
        loop {
            let found = self.canonical(asked);
            if found.is_ok() || !self.is_first_read(&asked.source) {
                return found;
            }
            tokio::select! {
                event = events.recv() => if let Err(RecvError::Closed) = event { return found },
                () = sleep_until(until) => return found,
                // The next process answers it.
                () = self.stopping.cancelled() => return Err(Status::aborted("the aggregator stops")),
            }
        }
    }

    /// The same of somebody who opens it: it is asked more often for a while.
    async fn opened(&self, asked: &ProjectKey, until: Option<Instant>) -> Result<ProjectKey, Status> {
        let found = self.awaited(asked, until).await?;
        self.schedules.looked_at(&found);
        Ok(found)
    }

    /// Whether its projects become known for the first time just now.
    fn is_first_read(&self, source: &SourceName) -> bool {
        let loading = self.hub.read(|p| p.sources.get(source).is_some_and(|s| s.state == State::Loading));
        loading && !self.schedules.is_listed(source)
    }

    /// What there is beyond the board, when the question goes on there: from history, else of the whole list from the platform.
    async fn older_runs(&self, query: &query::PipelineQuery) -> Option<Read<connector::Pipelines>> {
        let asked = query.reaches()?;
        let (held, there_are) =
            self.hub.read(|p| p.board.get(asked.project).map(|e| (e.runs().len(), e.total_runs())))?;
        // Of all of them the board has the newest; how many there are is told with the first page as well.
        let beyond = asked.runs > held || !asked.is_of_all();
        let kept = if beyond || self.archive.is_well() {
            let rows = if beyond { asked.runs.min(MAX_KEPT_RUNS) } else { 0 };
            self.archive.newest(asked.project, &asked.filter, rows).await
        } else {
            None
        };
        let is_enough = |found: &connector::Pipelines| {
            !beyond || found.items.len() >= asked.runs || found.total.is_some_and(|total| total >= there_are)
        };
        if let Some(found) = kept.filter(|found| !asked.is_of_all() || is_enough(found)) {
            return Some(Read::Here {
                value: Arc::new(found),
                fetched_at: self.hub.clock().now(),
                error: None,
            });
        }
        if !asked.is_of_all() || !beyond || there_are <= held as u64 {
            return None;
        }
        Some(self.details.runs(asked.project, asked.runs).await)
    }

    fn no_project(&self, asked: &ProjectKey) -> Status {
        let source = self.hub.read(|p| p.sources.get(&asked.source).map(|s| (s.state, s.error.clone())));
        let Some((state, error)) = source else {
            return Status::not_found(format!("there is no source {}", asked.source));
        };
        // Before it was listed once, nobody can say that it is not there.
        let is_off = self.connectors.get(&asked.source).is_none();
        if is_off || self.schedules.is_listed(&asked.source) {
            return Status::not_found(format!("{} has no project {}", asked.source, asked.id));
        }
        Status::unavailable(match (state, error) {
            (State::Loading, _) | (_, None) => format!("{} is being read for the first time", asked.source),
            (_, Some(why)) => format!("{} could not be read yet: {why}", asked.source),
        })
    }
}

type Watching = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl DashboardService for Service {
    async fn list_projects(
        &self,
        request: Request<v1::ListProjectsRequest>,
    ) -> Result<Response<v1::ListProjectsResponse>, Status> {
        let query = query::ProjectQuery::try_from(request.into_inner())?;
        let now = self.hub.clock().now();
        let answer = self.hub.read(|p| query::list_projects(&query, p, &self.watched, self.sources(p), now));
        Ok(Response::new(answer))
    }

    async fn get_project(
        &self,
        request: Request<v1::GetProjectRequest>,
    ) -> Result<Response<v1::GetProjectResponse>, Status> {
        let until = patience(request.metadata());
        let asked = key(request.into_inner().key)?;
        let found = self.opened(&asked, until).await?;
        let now = self.hub.clock().now();
        self.hub
            .read(|p| {
                let entry = p.board.get(&found)?;
                Some(v1::GetProjectResponse {
                    row: Some(query::row_of(entry, p, &self.watched, now)),
                    key: Some((&found).into()),
                    source: p.sources.get(&found.source).map(|s| self.source(p, s)),
                    version: Some(p.board.version().into()),
                })
            })
            .map(Response::new)
            .ok_or_else(|| self.no_project(&asked))
    }

    async fn explain_project(
        &self,
        request: Request<v1::ExplainProjectRequest>,
    ) -> Result<Response<v1::ExplainProjectResponse>, Status> {
        let until = patience(request.metadata());
        let asked = key(request.into_inner().key)?;
        let found = self.awaited(&asked, until).await?;
        let schedule = self.schedules.explain(&found).as_ref().map(query::schedule);
        let now = self.hub.clock().now();
        self.hub
            .read(|p| {
                let entry = p.board.get(&found)?;
                Some(v1::ExplainProjectResponse {
                    row: Some(query::row_of(entry, p, &self.watched, now)),
                    key: Some((&found).into()),
                    source: p.sources.get(&found.source).map(|s| self.source(p, s)),
                    version: Some(p.board.version().into()),
                    schedule,
                })
            })
            .map(Response::new)
            .ok_or_else(|| self.no_project(&asked))
    }

    async fn list_pipelines(
        &self,
        request: Request<v1::ListPipelinesRequest>,
    ) -> Result<Response<v1::ListPipelinesResponse>, Status> {
        let until = patience(request.metadata());
        let mut request = request.into_inner();
        if let Some(asked) = request.project.take() {
            request.project = Some((&self.opened(&key(Some(asked))?, until).await?).into());
        }
        let query = query::PipelineQuery::try_from(request)?;
        let read = self.older_runs(&query).await;
        let older = if let Some(Read::Here { value, .. }) = &read { Some(value.as_ref()) } else { None };
        let mut answer = self.hub.read(|p| query::list_pipelines(&query, p, older));
        answer.problems.extend(older.into_iter().flat_map(|o| &o.problems).map(Into::into));
        match &read {
            Some(Read::Loading) => answer.loading = true,
            Some(Read::Failed(error) | Read::Here { error: Some(error), .. }) => {
                answer.problems.push((&error.to_partial("older runs")).into());
            }
            Some(Read::Here { value, error: None, .. })
                if answer.pipelines.is_empty() && value.items.len() >= MAX_OLDER_RUNS =>
            {
                let text = format!("older ones than the newest {MAX_OLDER_RUNS} are on the platform itself");
                answer.problems.push((&Problem::new(ProblemKind::Partial, text)).into());
            }
            Some(Read::Here { error: None, .. }) | None => {}
        }
        Ok(Response::new(answer))
    }

    async fn get_pipeline(
        &self,
        request: Request<v1::GetPipelineRequest>,
    ) -> Result<Response<v1::GetPipelineResponse>, Status> {
        let until = patience(request.metadata());
        let request = request.into_inner();
        let project = self.opened(&key(request.project)?, until).await?;
        let run = RunId::new(&request.id);
        let mut read = self.details.pipeline(&project, &run).await;
        let on_board = || self.hub.read(|p| p.board.run(&project, &run).is_some());
        while matches!(read, Read::Loading) && !on_board() && until.is_some_and(|at| Instant::now() < at) {
            // There is nothing to show without it.
            read = self.details.pipeline(&project, &run).await;
        }
        // A detail is news like any other: what it says of the run goes on the board.
        if let Read::Here { value, .. } = &read {
            self.archive.tell(&project, value);
            let seen = Seen::Run(project.clone(), Box::new(value.pipeline.clone()));
            if on_board() {
                self.hub.observe(Observation { asked_at: self.hub.clock().now(), seen });
            }
        }
        // What the platform does not tell now, history may.
        if let Read::Failed(error) = &read
            && let Some(kept) = self.archive.run(&project, &run).await
        {
            let fetched_at = kept.pipeline.updated_at.unwrap_or_else(|| self.hub.clock().now());
            read = Read::Here { value: Arc::new(kept), fetched_at, error: Some(error.clone()) };
        }
        let (mut answer, lane) = self.hub.read(|p| {
            let entry = p.board.get(&project).ok_or_else(|| self.no_project(&project))?;
            let on_board = p.board.run(&project, &run);
            let mut answer = v1::GetPipelineResponse {
                version: Some(p.board.version().into()),
                project: Some((&*entry.project).into()),
                source: p.sources.get(&project.source).map(|s| self.source(p, s)),
                ..v1::GetPipelineResponse::default()
            };
            let shown = match (&read, on_board) {
                (Read::Here { value, fetched_at, error }, _) => {
                    answer.jobs = value.jobs.iter().map(Into::into).collect();
                    answer.problems = value.problems.iter().map(Into::into).collect();
                    answer.problems.extend(error.iter().map(|e| (&e.to_partial("jobs")).into()));
                    answer.fetched_at = Some(api::timestamp(*fetched_at));
                    on_board.map_or_else(|| Arc::new(value.pipeline.clone().bounded()), Arc::clone)
                }
                (Read::Loading, Some(run)) => {
                    answer.loading = true;
                    Arc::clone(run)
                }
                (Read::Failed(error), Some(run)) => {
                    answer.problems.push((&error.to_partial("jobs")).into());
                    Arc::clone(run)
                }
                (Read::Loading, None) => {
                    return Err(Status::unavailable(format!("pipeline {} is being read", request.id)));
                }
                (Read::Failed(error), None) => return Err(status_of(error)),
            };
            let same_lane = entry
                .runs()
                .iter()
                .filter(|r| r.workflow.lane == shown.workflow.lane && r.branch == shown.branch);
            answer.median_green =
                domain::stats::median_duration(same_lane.map(AsRef::as_ref)).map(api::duration);
            answer.pipeline = Some(query::pipeline_with_estimate(entry, &shown));
            let lane = Some(shown.workflow.lane.clone()).filter(|_| shown.status.is_active());
            Ok::<_, Status>((answer, lane))
        })?;
        // History knows runs that the board does not hold.
        if let (Some(run), Some(lane)) = (&mut answer.pipeline, lane)
            && run.expected_of == 0
        {
            query::expect(run, self.archive.estimate(&project, &lane).await);
        }
        Ok(Response::new(answer))
    }

    async fn get_job_log(
        &self,
        request: Request<v1::GetJobLogRequest>,
    ) -> Result<Response<v1::GetJobLogResponse>, Status> {
        let until = patience(request.metadata());
        let request = request.into_inner();
        let project = self.opened(&key(request.project)?, until).await?;
        let (run, job) = (RunId::new(&request.pipeline), JobId::new(&request.job));
        let mut answer = v1::GetJobLogResponse {
            version: Some(self.hub.read(|p| p.board.version()).into()),
            ..v1::GetJobLogResponse::default()
        };
        match self.details.log(&project, &run, &job).await {
            Read::Here { value, fetched_at, error } => {
                answer.text.clone_from(&value.text);
                answer.truncated = value.truncated;
                answer.note = value.note.clone().or_else(|| error.map(|e| e.to_string()));
                answer.fetched_at = Some(api::timestamp(fetched_at));
            }
            Read::Loading => answer.loading = true,
            Read::Failed(error) => return Err(status_of(&error)),
        }
        Ok(Response::new(answer))
    }

    async fn list_branches(
        &self,
        request: Request<v1::ListBranchesRequest>,
    ) -> Result<Response<v1::ListBranchesResponse>, Status> {
        let until = patience(request.metadata());
        let mut request = request.into_inner();
        if let Some(asked) = request.project.take() {
            request.project = Some((&self.opened(&key(Some(asked))?, until).await?).into());
        }
        let query = query::BranchQuery::try_from(request)?;
        let read = match &query.project {
            Some(project) => Some(self.details.branches(project).await),
            None => None,
        };
        let known = if let Some(Read::Here { value, .. }) = &read { Some(value.as_slice()) } else { None };
        let mut answer = self.hub.read(|p| query::list_branches(&query, p, known));
        match &read {
            Some(Read::Loading) => answer.loading = true,
            Some(Read::Failed(error) | Read::Here { error: Some(error), .. }) => {
                answer.problems.push((&error.to_partial("branches")).into());
            }
            Some(Read::Here { error: None, .. }) | None => {}
        }
        Ok(Response::new(answer))
    }

    async fn list_merge_requests(
        &self,
        request: Request<v1::ListMergeRequestsRequest>,
    ) -> Result<Response<v1::ListMergeRequestsResponse>, Status> {
        let until = patience(request.metadata());
        let mut request = request.into_inner();
        if let Some(asked) = request.project.take() {
            request.project = Some((&self.opened(&key(Some(asked))?, until).await?).into());
        }
        let query = query::MergeRequestQuery::try_from(request)?;
        self.attention.look(Kind::MergeRequests, query.project());
        let now = self.hub.clock().now();
        let answer = self.hub.read(|p| query::list_merge_requests(&query, self.asked(p, now)));
        Ok(Response::new(answer))
    }

    async fn list_issues(
        &self,
        request: Request<v1::ListIssuesRequest>,
    ) -> Result<Response<v1::ListIssuesResponse>, Status> {
        let until = patience(request.metadata());
        let mut request = request.into_inner();
        if let Some(asked) = request.project.take() {
            request.project = Some((&self.opened(&key(Some(asked))?, until).await?).into());
        }
        let query = query::IssueQuery::try_from(request)?;
        self.attention.look(Kind::Issues, query.project());
        let now = self.hub.clock().now();
        let answer = self.hub.read(|p| query::list_issues(&query, self.asked(p, now)));
        Ok(Response::new(answer))
    }

    async fn get_me(
        &self,
        _request: Request<v1::GetMeRequest>,
    ) -> Result<Response<v1::GetMeResponse>, Status> {
        let me = |s: &crate::sources::Source| query::me(s, self.connectors.get(&s.name).as_deref());
        let answer = self.hub.read(|p| v1::GetMeResponse {
            users: p.sources.values().map(me).collect(),
            version: Some(p.board.version().into()),
        });
        Ok(Response::new(answer))
    }

    async fn list_sources(
        &self,
        _request: Request<v1::ListSourcesRequest>,
    ) -> Result<Response<v1::ListSourcesResponse>, Status> {
        let history = query::history(&self.archive.standing());
        let cache = query::cache(self.mirror.standing());
        let mut answer = self.hub.read(|p| v1::ListSourcesResponse {
            sources: self.sources(p),
            version: Some(p.board.version().into()),
            history: Some(history),
            cache: Some(cache),
        });
        // Not under the board's lock: the figures look at every project.
        for source in &mut answer.sources {
            let Ok(name) = source.name.parse() else { continue };
            let connector = self.connectors.get(&name);
            let figures = self.schedules.figures(&name);
            *source = query::with_figures(std::mem::take(source), figures.as_ref(), connector.as_deref());
        }
        Ok(Response::new(answer))
    }

    async fn ingest_webhook(
        &self,
        request: Request<v1::IngestWebhookRequest>,
    ) -> Result<Response<v1::IngestWebhookResponse>, Status> {
        let v1::IngestWebhookRequest { source, headers, body, too_large } = request.into_inner();
        if too_large || body.len() > api::MAX_WEBHOOK_BYTES {
            return Ok(Response::new(verdict(self.webhooks.too_large(&source))));
        }
        let headers = headers_of(&headers)?;
        let (read, headers, body) = if body.len() < LARGE_BODY {
            (self.webhooks.read(&source, &headers, &body), headers, body)
        } else {
            let webhooks = Arc::clone(&self.webhooks);
            let read = move || (webhooks.read(&source, &headers, &body), headers, body);
            tokio::task::spawn_blocking(read)
                .await
                .map_err(|_| Status::internal("reading the webhook failed"))?
        };
        let taken = match read {
            Ok(believed) => self.webhooks.take(believed, &headers, &body).await,
            Err(verdict) => verdict,
        };
        Ok(Response::new(verdict(taken)))
    }

    type WatchStream = Watching;

    async fn watch(&self, _request: Request<v1::WatchRequest>) -> Result<Response<Watching>, Status> {
        let (present, events) = self.hub.subscribe();
        let first = v1::WatchResponse {
            version: Some(present.into()),
            resync: true,
            at: Some(api::timestamp(self.hub.clock().now())),
            ..v1::WatchResponse::default()
        };
        let hub = Arc::clone(&self.hub);
        let stopping = self.stopping.clone();
        let state = (Some(first), events, hub, stopping);
        let stream = futures::stream::unfold(state, |(first, mut events, hub, stopping)| async move {
            if let Some(first) = first {
                return Some((Ok(first), (None, events, hub, stopping)));
            }
            let next = tokio::select! {
                next = events.recv() => next,
                () = stopping.cancelled() => return None,
            };
            let event = match next {
                Ok(published) => v1::WatchResponse {
                    version: Some(published.version.into()),
                    changes: published.changes.iter().map(change).collect(),
                    sources_changed: published.sources_changed,
                    resync: false,
                    at: Some(api::timestamp(published.at)),
                    work_changed: published.work_changed,
                    work: published.work.iter().map(Into::into).collect(),
                },
                // Too slow: what was missed is not known any more.
                Err(RecvError::Lagged(_)) => {
                    let (present, fresh) = hub.subscribe();
                    events = fresh;
                    v1::WatchResponse {
                        version: Some(present.into()),
                        resync: true,
                        at: Some(api::timestamp(hub.clock().now())),
                        ..v1::WatchResponse::default()
                    }
                }
                Err(RecvError::Closed) => return None,
            };
            Some((Ok(event), (None, events, hub, stopping)))
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

/// Bodies from this size on are verified and read beside the tasks that answer: it may take a tenth of a second.
const LARGE_BODY: usize = 256 * 1024;

/// The headers of a delivery, within their bound.
fn headers_of(sent: &[v1::Header]) -> Result<HeaderMap, Status> {
    let bytes: usize = sent.iter().map(|h| h.name.len() + h.value.len()).sum();
    if bytes > api::MAX_WEBHOOK_HEADER_BYTES {
        return Err(Status::invalid_argument("the webhook's headers are too large"));
    }
    let header = |h: &v1::Header| {
        Some((HeaderName::from_bytes(h.name.as_bytes()).ok()?, HeaderValue::from_bytes(&h.value).ok()?))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in sent.iter().filter_map(header) {
        headers.append(name, value);
    }
    Ok(headers)
}

fn verdict(verdict: Verdict) -> v1::IngestWebhookResponse {
    use v1::WebhookVerdict as V;
    let (verdict, detail) = match verdict {
        Verdict::Applied => (V::Applied, String::new()),
        Verdict::Duplicate => (V::Duplicate, String::new()),
        Verdict::Ignored => (V::Ignored, String::new()),
        Verdict::NotFound => (V::NotFound, String::new()),
        Verdict::Forged(why) => (V::Forged, why),
        Verdict::Malformed(why) => (V::Malformed, why),
        Verdict::TooLarge => (V::TooLarge, String::new()),
        Verdict::NotKept(why) => (V::NotKept, why),
    };
    v1::IngestWebhookResponse { verdict: verdict.into(), detail }
}

fn change(c: &Change) -> v1::Change {
    v1::Change { project: Some((&c.project).into()), gone: c.gone }
}

fn status_of(error: &connector::Error) -> Status {
    let text = error.to_string();
    match error {
        connector::Error::NotFound(_) | connector::Error::Legal(_) => Status::not_found(text),
        connector::Error::Unauthorized(_) | connector::Error::Forbidden(_) => Status::permission_denied(text),
        connector::Error::RateLimited { .. } => Status::resource_exhausted(text),
        connector::Error::Unreachable(_)
        | connector::Error::Server(_)
        | connector::Error::Garbage(_)
        | connector::Error::Redirect(_) => Status::unavailable(text),
        connector::Error::Refused(_) => Status::failed_precondition(text),
    }
}
