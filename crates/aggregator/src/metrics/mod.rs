//! What the aggregator tells a Prometheus: how each source is and what was asked of it, per endpoint template.
//!
//! A scrape reads what the connectors' clients and the board know at that moment, so that the figures are those of the pages.
//! Only runs that end are counted here ([`pipelines`](self)).

mod bounded;
mod calls;
mod pipelines;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use connector::http::{Budget, EndpointTraffic, Traffic};
use connector::{Connector, Registry};
use lifecycle::Tasks;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use tokio::net::TcpListener;

use self::bounded::Bounded;
pub(crate) use self::calls::Calls;
use self::pipelines::{Counts, Pipelines};
use crate::archive::{Archive, Condition};
use crate::details::Details;
use crate::due::Schedules;
use crate::fleet::Shared;
use crate::hub::Hub;
use crate::mirror::Mirror;
use crate::schedule::Figures;
use crate::sources::State as SourceState;

/// The media type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why metrics cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for metrics (aggregator.metrics): {error}")]
pub struct ListenError {
    address: SocketAddr,
    error: std::io::Error,
}

/// Takes the port.
///
/// # Errors
/// When it is in use, or not to be had.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|error| ListenError { address, error })
}

/// Writes the figures of this moment.
#[derive(Clone)]
pub struct Metrics {
    hub: Arc<Hub>,
    connectors: Arc<Registry>,
    details: Details,
    schedules: Arc<Schedules>,
    archive: Arc<Archive>,
    mirror: Arc<Mirror>,
    counts: Arc<Counts>,
    calls: Calls,
    /// So many branches are told of.
    most_pipelines: usize,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new(shared: Shared, calls: Calls, most_pipelines: usize) -> Self {
        let Shared { hub, connectors, details, schedules, archive, mirror, .. } = shared;
        let counts = Arc::default();
        Self { hub, connectors, details, schedules, archive, mirror, counts, calls, most_pipelines }
    }

    /// In the OpenMetrics text format.
    ///
    /// # Errors
    /// Never in practice: the text is written to memory.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register_collector(Box::new(self.clone()));
        self.calls.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }

    /// Answers `/metrics` until the process stops.
    pub fn serve(self, listener: TcpListener, tasks: &Tasks) {
        let stopping = tasks.clone();
        let router = Router::new().route("/metrics", get(answer)).with_state(self);
        tasks.run("metrics", async move {
            let stop = async move { stopping.stopping().await };
            let listener = Bounded::new(listener);
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
                tracing::error!(%error, "the metrics server failed");
            }
        });
    }

    /// What is kept outside of memory: history, and the cache in Redis; of each that there is meant to be, whether it is well, and
    /// how much waits for it.
    fn kept(&self) -> Vec<(&'static str, bool, usize)> {
        let history = self.archive.standing();
        let there = history.condition != Condition::Off;
        let history = there.then_some(("history", history.condition == Condition::Ok, history.waiting));
        let well = cache::redis::Condition::Ok;
        let redis = self.mirror.standing().map(|(s, waiting)| ("redis", s.condition == well, waiting));
        history.into_iter().chain(redis).collect()
    }

    fn traffic(&self) -> Vec<(String, Traffic)> {
        self.connectors.all().iter().map(|c| (c.source().to_string(), c.traffic())).collect()
    }
}

async fn answer(State(metrics): State<Metrics>) -> Response {
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A gauge of a source.
type OfSource = fn(&crate::sources::Source) -> Option<f64>;

/// `name, help, value`.
const SOURCES: [(&str, &str, OfSource); 4] = [
    (
        "ci_dashboard_source_up",
        "1 when the source's last reading worked in full, 0 when it did not, absent before the first one",
        |s| match s.state {
            SourceState::Loading => None,
            SourceState::Ok => Some(1.0),
            SourceState::Limited | SourceState::Failing | SourceState::Down => Some(0.0),
        },
    ),
    ("ci_dashboard_source_last_success_timestamp_seconds", "When the source last answered", |s| {
        s.last_success_at.map(|at| at.as_duration().as_secs_f64())
    }),
    (
        "ci_dashboard_source_token_expires_timestamp_seconds",
        "When the source's token stops to work; absent where it never does, or the platform does not tell",
        |s| s.token.as_ref()?.expires_at.map(|at| at.as_duration().as_secs_f64()),
    ),
    (
        "ci_dashboard_source_token_writes",
        "1 when the source's token can alter things, 0 when it cannot, absent where the platform does not tell",
        |s| s.token.as_ref().map(|t| f64::from(!t.writes.is_empty())),
    ),
];

/// A gauge of a source's schedule.
type OfSchedule = fn(&Figures) -> Option<f64>;

/// `name, help, value`.
#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 projects")]
const SCHEDULE: [(&str, &str, OfSchedule); 7] = [
    ("ci_dashboard_projects_due", "Projects that should be asked by now", |f| Some(f.due as f64)),
    ("ci_dashboard_projects_unread", "Projects that were never read yet", |f| Some(f.unread as f64)),
    (
        "ci_dashboard_refresh_stretch",
        "How much longer than meant projects wait because of the platform's limit; 1 when it is no hindrance",
        |f| Some(f.stretch),
    ),
    (
        "ci_dashboard_freshness_median_seconds",
        "Time since a project's state was last confirmed by its platform, median",
        |f| f.age_median.map(|age| age.as_secs_f64()),
    ),
    ("ci_dashboard_freshness_worst_seconds", "The same, of the project where it is longest", |f| {
        f.age_worst.map(|age| age.as_secs_f64())
    }),
    ("ci_dashboard_source_circuit_open", "1 while the source is left alone after failures", |f| {
        Some(f64::from(f.open_until.is_some()))
    }),
    ("ci_dashboard_webhooks_alive", "1 when a webhook came within a day, so that polling may slow", |f| {
        Some(f64::from(f.webhooks_alive))
    }),
];

/// A count of an endpoint.
type OfEndpoint = fn(&EndpointTraffic) -> u64;

/// `name, help, value`.
const ENDPOINTS: [(&str, &str, OfEndpoint); 3] = [
    ("ci_dashboard_platform_requests", "Requests sent to the platform, retries included", |e| e.requests),
    (
        "ci_dashboard_platform_not_modified",
        "Requests that the platform answered with 304: nothing new",
        |e| e.not_modified,
    ),
    ("ci_dashboard_platform_failed", "Requests without an answer, or with a 4xx or 5xx one", |e| e.failed),
];

/// A gauge of a source's limits.
type OfLimit = fn(&dyn Connector) -> Option<f64>;

/// What questions about many projects at once are paid from, where the platform counts them apart.
fn points(connector: &dyn Connector) -> Option<Budget> {
    connector.batching()?.budget
}

/// `name, help, value`.
#[expect(clippy::cast_precision_loss, reason = "limits are thousands")]
const BUDGETS: [(&str, &str, OfLimit); 4] = [
    ("ci_dashboard_platform_budget_limit", "Requests that the platform allows in a window", |c| {
        c.budget().map(|b| b.limit as f64)
    }),
    ("ci_dashboard_platform_budget_remaining", "Requests left of them", |c| {
        c.budget().map(|b| b.remaining as f64)
    }),
    (
        "ci_dashboard_platform_points_limit",
        "Points that the platform allows in a window for questions about many projects, where it counts these apart",
        |c| points(c).map(|b| b.limit as f64),
    ),
    ("ci_dashboard_platform_points_remaining", "Points left of them", |c| {
        points(c).map(|b| b.remaining as f64)
    }),
];

fn gauge(of: &mut MetricEncoder<'_>, source: &str, value: f64) -> fmt::Result {
    ConstGauge::new(value).encode(of.encode_family(&[("source", source)])?)
}

/// What runs here, and what the operating system knows of it.
fn process(out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "1, with what runs here";
    let mut of = out.encode_descriptor("ci_dashboard_build_info", help, None, MetricType::Gauge)?;
    let labels = [("version", lifecycle::VERSION), ("commit", lifecycle::COMMIT)];
    ConstGauge::new(1.0).encode(of.encode_family(&labels)?)?;
    for figure in lifecycle::process::figures() {
        if figure.is_counter() {
            // The ending is added.
            let name = figure.name.trim_end_matches("_total");
            let of = out.encode_descriptor(name, figure.help, None, MetricType::Counter)?;
            ConstCounter::new(figure.value).encode(of)?;
        } else {
            let of = out.encode_descriptor(figure.name, figure.help, None, MetricType::Gauge)?;
            ConstGauge::new(figure.value).encode(of)?;
        }
    }
    Ok(())
}

impl Collector for Metrics {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        process(&mut out)?;
        let (sources, version) = self.hub.read(|p| {
            let with_projects = p.sources.values().map(|s| (s.clone(), p.board.of_source(&s.name).count()));
            (with_projects.collect::<Vec<_>>(), p.board.version().sequence)
        });
        for (name, help, value) in SOURCES {
            let mut of = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (source, _) in &sources {
                if let Some(value) = value(source) {
                    gauge(&mut of, source.name.as_str(), value)?;
                }
            }
        }
        let projects = "Projects on the board";
        let mut of = out.encode_descriptor("ci_dashboard_projects", projects, None, MetricType::Gauge)?;
        for (source, projects) in &sources {
            #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 projects")]
            gauge(&mut of, source.name.as_str(), *projects as f64)?;
        }
        let hooked = || sources.iter().filter_map(|(s, _)| Some((s.name.as_str(), s.webhooks.as_ref()?)));
        let deliveries = "Webhooks that came in, by what became of them";
        let mut of = out.encode_descriptor("ci_dashboard_webhooks", deliveries, None, MetricType::Counter)?;
        for (source, health) in hooked() {
            for (result, count) in health.counts() {
                let labels = [("source", source), ("result", result)];
                ConstCounter::new(count).encode(of.encode_family(&labels)?)?;
            }
        }
        let (name, help) =
            ("ci_dashboard_webhook_last_timestamp_seconds", "When the newest webhook that was believed came");
        let mut of = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (source, health) in hooked() {
            if let Some(at) = health.last_at {
                gauge(&mut of, source, at.as_duration().as_secs_f64())?;
            }
        }
        let figures: Vec<_> = sources
            .iter()
            .filter_map(|(s, _)| Some((s.name.as_str(), self.schedules.figures(&s.name)?)))
            .collect();
        for (name, help, value) in SCHEDULE {
            let mut of = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (source, figures) in &figures {
                if let Some(value) = value(figures) {
                    gauge(&mut of, source, value)?;
                }
            }
        }
        let kept = self.kept();
        let up = "1 while what is kept outside of memory can be written, 0 while it cannot";
        let mut of = out.encode_descriptor("ci_dashboard_store_up", up, None, MetricType::Gauge)?;
        for (store, well, _) in &kept {
            ConstGauge::new(f64::from(u8::from(*well))).encode(of.encode_family(&[("store", *store)])?)?;
        }
        let waiting = "Projects (history) or entries (redis) whose news wait to be written";
        let mut of = out.encode_descriptor("ci_dashboard_store_waiting", waiting, None, MetricType::Gauge)?;
        for (store, _, waiting) in &kept {
            #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 entries")]
            ConstGauge::new(*waiting as f64).encode(of.encode_family(&[("store", *store)])?)?;
        }
        if let Some(lag) = self.archive.lag() {
            let help = "Age of the oldest news that are not written yet; 0 while nothing waits";
            let mut of =
                out.encode_descriptor("ci_dashboard_store_lag_seconds", help, None, MetricType::Gauge)?;
            ConstGauge::new(lag.as_secs_f64()).encode(of.encode_family(&[("store", "history")])?)?;
        }
        let lookups = "Questions for what is not on the board, by whether it was at hand";
        let mut of =
            out.encode_descriptor("ci_dashboard_details_lookups", lookups, None, MetricType::Counter)?;
        for (kind, hits, misses) in self.details.lookups().counts() {
            for (result, count) in [("hit", hits), ("miss", misses)] {
                let labels = [("kind", kind), ("result", result)];
                ConstCounter::new(count).encode(of.encode_family(&labels)?)?;
            }
        }
        let changes = "Changes of the board since the start";
        let of = out.encode_descriptor("ci_dashboard_board_changes", changes, None, MetricType::Counter)?;
        ConstCounter::new(version).encode(of)?;

        for (name, help, value) in BUDGETS {
            let mut of = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for connector in self.connectors.all() {
                if let Some(value) = value(connector.as_ref()) {
                    gauge(&mut of, connector.source().as_str(), value)?;
                }
            }
        }
        let traffic = self.traffic();
        let lines = || traffic.iter().flat_map(|(s, t)| t.endpoints.iter().map(move |e| (s.as_str(), e)));
        for (name, help, value) in ENDPOINTS {
            let mut of = out.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (source, line) in lines() {
                let labels = [("source", source), ("endpoint", line.endpoint)];
                ConstCounter::new(value(line)).encode(of.encode_family(&labels)?)?;
            }
        }
        let help = "Time from requests to the heads of their answers, summed up";
        let mut of = out.encode_descriptor(
            "ci_dashboard_platform_waited",
            help,
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?;
        for (source, line) in lines() {
            let labels = [("source", source), ("endpoint", line.endpoint)];
            ConstCounter::new(line.waited.as_secs_f64()).encode(of.encode_family(&labels)?)?;
        }
        let now = self.hub.clock().now();
        let pipelines = self.hub.read(|p| Pipelines::of(&p.board, &self.counts, self.most_pipelines, now));
        pipelines.encode(&mut out)
    }
}
