//! The aggregator as the web daemon sees it: questions with a deadline, and the link that tells when answers are old.

mod backoff;
mod link;
mod people;
mod version;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use api::v1;
use domain::Clock;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Response, Status};

pub(crate) use link::{Change, Feeds, LinkState, Phase};
pub(crate) use version::Version;

use crate::metrics::Metrics;
use crate::request_id::carry;
use link::Link;
use people::People;

/// How long a request waits for the aggregator, to come back and to answer, when there is nothing older to show.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long when there is something older to show.
const PATIENCE_WITH_LAST_GOOD: Duration = Duration::from_secs(2);
/// Before the first retry: the link learns of a break at about the same time as the call. Each further pause is twice as
/// long, up to the longest.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
const MAX_RETRY_PAUSE: Duration = Duration::from_millis(400);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    /// The aggregator is away or too slow: try again.
    #[error("the aggregator is away: {0}")]
    Away(String),
    /// It knows no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It does not understand the question.
    #[error("{0}")]
    Invalid(String),
    /// The platform does not give it now, or it is being read: try again. The aggregator is well.
    #[error("{0}")]
    Unread(String),
    /// It keeps no such thing, as its settings say.
    #[error("{0}")]
    NotKept(String),
    /// It failed on its side.
    #[error("the aggregator failed: {0}")]
    Fault(String),
}

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// There is something older to show: do not wait for the aggregator to come back.
    HaveLastGood,
    /// There is nothing to show.
    HaveNothing,
}

impl Patience {
    const fn limit(self) -> Duration {
        match self {
            Self::HaveLastGood => PATIENCE_WITH_LAST_GOOD,
            Self::HaveNothing => PATIENCE,
        }
    }
}

/// The aggregator. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Aggregator {
    client: api::Client,
    stats: api::StatsClient,
    link: Arc<Link>,
    metrics: Arc<Metrics>,
    show_people: bool,
}

impl Aggregator {
    /// Connects in the background, by [`Self::keep_link`]. Where `show_people` is false no answer holds a person.
    pub(crate) fn new(
        (client, stats): (api::Client, api::StatsClient),
        address: String,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        show_people: bool,
    ) -> Self {
        Self { client, stats, link: Arc::new(Link::new(address, clock)), metrics, show_people }
    }

    /// What is counted of the questions, and of all else.
    pub(crate) const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Keeps the link for ever.
    pub(crate) async fn keep_link(self) {
        self.link.keep(self.client.clone()).await;
    }

    /// How the link is now.
    pub(crate) fn state(&self) -> LinkState {
        self.link.state.borrow().clone()
    }

    /// How the link is, whenever that changes.
    pub(crate) fn link(&self) -> watch::Receiver<LinkState> {
        self.link.state.subscribe()
    }

    /// What changes on the board, from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.link.changes.subscribe()
    }

    async fn connected(&self) {
        let mut state = self.link();
        loop {
            if state.borrow_and_update().connected() {
                return;
            }
            self.link.nudge.notify_one();
            // The sender lives in `self`.
            let _ = state.changed().await;
        }
    }

    /// Asks, and asks again when the connection broke: once where there is something older to show, else as long as anybody
    /// waits, since an aggregator that was restarted may be so again. Every question here is idempotent (a delivery that was
    /// taken is known when it comes again).
    ///
    /// Where there is nothing to show, the aggregator is told how long it may take: it waits for what it is about to know.
    async fn ask<T: People, F, Fut>(
        &self,
        method: &'static str,
        patience: Patience,
        call: F,
    ) -> Result<T, AskError>
    where
        F: Fn(Option<Duration>) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let (limit, begun) = (patience.limit(), Instant::now());
        let attempts = async {
            let mut pause = RETRY_PAUSE;
            loop {
                match patience {
                    Patience::HaveNothing => self.connected().await,
                    Patience::HaveLastGood if self.state().connected() => {}
                    Patience::HaveLastGood => return Err(AskError::Away("no connection".to_owned())),
                }
                let asked = Instant::now();
                let within =
                    (patience == Patience::HaveNothing).then(|| limit.saturating_sub(begun.elapsed()));
                // On the heap: a page asks several questions at once.
                let answer = Box::pin(call(within)).await;
                let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
                self.metrics.question(method, code, asked.elapsed());
                let first = pause == RETRY_PAUSE;
                match answer.map_err(|status| error(&status)) {
                    Err(AskError::Away(_)) if first || patience == Patience::HaveNothing => {}
                    answer => return answer,
                }
                sleep(pause).await;
                pause = (pause * 2).min(MAX_RETRY_PAUSE);
            }
        };
        let answer = timeout(limit, attempts).await.unwrap_or_else(|_| {
            let why = self.state().error.unwrap_or_else(|| "no answer in time".to_owned());
            Err(AskError::Away(why))
        });
        let mut answer = answer?.into_inner();
        if !self.show_people {
            answer.hide_people();
        }
        Ok(answer)
    }
}

fn error(status: &Status) -> AskError {
    let what = link::describe(status);
    // What the aggregator itself says has no cause; a connection that broke has one.
    let said = std::error::Error::source(status).is_none();
    match status.code() {
        Code::NotFound => AskError::NotFound(what),
        Code::InvalidArgument | Code::OutOfRange => AskError::Invalid(what),
        Code::Unavailable | Code::ResourceExhausted | Code::PermissionDenied | Code::Unauthenticated
            if said =>
        {
            AskError::Unread(what)
        }
        Code::Unimplemented if said => AskError::NotKept(what),
        Code::Internal | Code::DataLoss | Code::FailedPrecondition if said => AskError::Fault(what),
        _ => AskError::Away(what),
    }
}

macro_rules! questions {
    // questions!(client: f: Req => Res, ..) => `async fn f(&self, patience, Req) -> Result<Res, AskError>` for each.
    ($client:ident: $($name:ident: $request:ident => $response:ident),+ $(,)?) => {
        impl Aggregator {
            $(pub(crate) async fn $name(
                &self,
                patience: Patience,
                request: v1::$request,
            ) -> Result<v1::$response, AskError> {
                self.ask(stringify!($name), patience, |within| {
                    let (mut client, request) = (self.$client.clone(), carry(request.clone(), within));
                    async move { client.$name(request).await }
                })
                .await
            })+
        }
    };
}

questions! {
    client:
    list_projects: ListProjectsRequest => ListProjectsResponse,
    get_project: GetProjectRequest => GetProjectResponse,
    explain_project: ExplainProjectRequest => ExplainProjectResponse,
    list_pipelines: ListPipelinesRequest => ListPipelinesResponse,
    get_pipeline: GetPipelineRequest => GetPipelineResponse,
    get_job_log: GetJobLogRequest => GetJobLogResponse,
    list_branches: ListBranchesRequest => ListBranchesResponse,
    list_merge_requests: ListMergeRequestsRequest => ListMergeRequestsResponse,
    list_issues: ListIssuesRequest => ListIssuesResponse,
    get_me: GetMeRequest => GetMeResponse,
    list_sources: ListSourcesRequest => ListSourcesResponse,
    ingest_webhook: IngestWebhookRequest => IngestWebhookResponse,
}

questions! {
    stats:
    get_stats: GetStatsRequest => GetStatsResponse,
    get_heat: GetHeatRequest => GetHeatResponse,
    rank_stats: RankStatsRequest => RankStatsResponse,
    list_broken: ListBrokenRequest => ListBrokenResponse,
    list_flaky: ListFlakyRequest => ListFlakyResponse,
    list_failure_groups: ListFailureGroupsRequest => ListFailureGroupsResponse,
    get_delivery: GetDeliveryRequest => GetDeliveryResponse,
    list_runs_behind: ListRunsBehindRequest => ListRunsBehindResponse,
}
