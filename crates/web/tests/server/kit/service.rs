//! The answers of the scripted aggregator.

use std::pin::Pin;
use std::sync::Arc;

use api::v1;
use api::v1::dashboard_service_server::DashboardService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request as Ask, Response as Answer, Status};

use super::{Aggregator, NOW};
use crate::fixtures::{full_branch, full_pipeline, time};

/// Its face.
pub(crate) struct Service(pub(super) Arc<Aggregator>);

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
