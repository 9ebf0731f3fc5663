//! From settings to a running aggregator.

use std::sync::Arc;
use std::time::Duration;

use api::v1::dashboard_service_server::DashboardServiceServer;
use api::v1::preferences_service_server::PreferencesServiceServer;
use api::v1::stats_service_server::StatsServiceServer;
use config::{Cache, Loaded, Settings};
use connector::Registry;
use domain::{Clock, PatternError, Patterns};
use lifecycle::Tasks;
use lifecycle::traces::Sending;
use tonic::server::NamedService as _;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tower::layer::layer_fn;

use crate::archive::Archive;
use crate::asking::OnBehalf;
use crate::details::Details;
use crate::due::Schedules;
use crate::fleet::{Fleet, Roster, Shared};
use crate::hub::Hub;
use crate::insights::Insights;
use crate::metrics::{Calls, Metrics};
use crate::mirror::Mirror;
use crate::preferences::Preferences;
use crate::refresh::Refresher;
use crate::service::Service;
use crate::watched::Watched;
use crate::webhooks::Webhooks;

/// Questions wait so long for what is known from before the start. A database that is away delays nobody for longer.
const WARM_WITHIN: Duration = Duration::from_secs(2);
/// How often an idle connection of a client is asked whether it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Why settings make no aggregator.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] domain::KeyError),
    /// A glob that is none.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// A set-up aggregator; nothing runs yet.
#[derive(Debug)]
pub struct Aggregator {
    fleet: Fleet,
    /// So many branches are told of in the metrics.
    most_pipelines: usize,
    /// Workflows and jobs that deploy.
    deployments: Patterns,
    /// Questions over gRPC.
    calls: Calls,
}

impl Aggregator {
    /// Makes the connectors and an empty board. No I/O but what certificates need.
    ///
    /// # Errors
    /// [`SetUpError`] when settings that parse make no sense to a connector.
    pub fn new(settings: &Settings, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<Self, SetUpError> {
        let roster = Roster::of(settings)?;
        let hub = Arc::new(Hub::new(Arc::clone(&clock)));
        let (watched, connectors) = (Arc::<Watched>::default(), Arc::<Registry>::default());
        let schedules = Arc::new(Schedules::new(Arc::clone(&clock)));
        let (at, by) = (Arc::clone(&hub), Arc::clone(&connectors));
        let details = Details::new(settings, at, by, Arc::clone(&clock), tasks);
        let mirror = Arc::new(Mirror::new(&settings.cache, &hub, &details));
        let (behind, by) = (Arc::clone(&mirror), Arc::clone(&clock));
        let archive = Arc::new(Archive::new(settings.database.clone(), behind, by));
        let webhooks = Arc::new(Webhooks::new(
            Arc::clone(&archive),
            Arc::clone(&hub),
            Arc::clone(&connectors),
            Arc::clone(&watched),
            Arc::clone(&schedules),
        ));
        let attention = Arc::default();
        let shared =
            Shared { hub, connectors, watched, details, attention, schedules, webhooks, archive, mirror };
        let most_pipelines = settings.aggregator.metrics_pipelines;
        let deployments = settings.filters.deployments.clone();
        Ok(Self {
            fleet: Fleet::new(roster, shared, clock),
            most_pipelines,
            deployments,
            calls: Calls::default(),
        })
    }

    /// Its board.
    #[must_use]
    pub const fn hub(&self) -> &Arc<Hub> {
        &self.fleet.shared.hub
    }

    /// Its figures.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::new(self.fleet.shared.clone(), self.calls.clone(), self.most_pipelines)
    }

    /// What keeps each source up to date, for those who keep time themselves ([`Refresher::turn`]); [`Aggregator::start`] runs
    /// them as tasks.
    #[must_use]
    pub fn refreshers(&self) -> Vec<Refresher> {
        self.fleet.refreshers()
    }

    /// Its door for webhooks.
    #[must_use]
    pub const fn webhooks(&self) -> &Arc<Webhooks> {
        &self.fleet.shared.webhooks
    }

    /// When what is asked.
    #[must_use]
    pub const fn schedules(&self) -> &Arc<Schedules> {
        &self.fleet.shared.schedules
    }

    /// Starts to refresh and to answer, each as a task of the process.
    pub fn start(mut self, listener: api::Listener, tasks: &Tasks) -> Running {
        let shared = &self.fleet.shared;
        self.answer(listener, tasks);
        let Shared { archive, mirror, hub, connectors, webhooks, .. } = shared.clone();
        self.fleet.run(tasks);
        mirror.start(&hub, tasks);
        archive.start(&hub, &connectors, &webhooks, self.fleet.plans(), tasks);
        Running { fleet: self.fleet, tasks: tasks.clone() }
    }

    fn answer(&self, listener: api::Listener, tasks: &Tasks) {
        let (mut health, health_service) = tonic_health::server::health_reporter();
        let Shared { hub, connectors, watched, details, attention, schedules, webhooks, archive, mirror } =
            self.fleet.shared.clone();
        let warmed = Arc::clone(&archive);
        let insights = Insights {
            archive: Arc::clone(&archive),
            hub: Arc::clone(&hub),
            deployments: self.deployments.clone(),
        };
        let clock = Arc::clone(hub.clock());
        let preferences = Preferences { archive: Arc::clone(&archive), clock };
        let service = Service {
            hub,
            connectors,
            details,
            watched,
            webhooks,
            attention,
            schedules,
            archive,
            mirror,
            stopping: tasks.stop_token(),
        };
        let dashboard = DashboardServiceServer::new(service)
            .max_decoding_message_size(api::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(api::MAX_MESSAGE_BYTES);
        let stats = StatsServiceServer::new(insights)
            .max_decoding_message_size(api::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(api::MAX_MESSAGE_BYTES);
        let preferences = PreferencesServiceServer::new(preferences);
        let names = [
            DashboardServiceServer::<Service>::NAME,
            StatsServiceServer::<Insights>::NAME,
            PreferencesServiceServer::<Preferences>::NAME,
            "",
        ];
        let (stopping, calls) = (tasks.clone(), self.calls.clone());
        tasks.run("grpc", async move {
            // Who connects meanwhile waits in the socket's queue, instead of being shown an empty board.
            tokio::select! {
                _ = tokio::time::timeout(WARM_WITHIN, warmed.warmed()) => {}
                () = stopping.stopping() => {}
            }
            for name in names {
                health.set_service_status(name, ServingStatus::Serving).await;
            }
            let reflection = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(api::DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .build_v1();
            let server = Server::builder().http2_keepalive_interval(Some(KEEP_ALIVE));
            let mut server =
                server.layer(layer_fn(move |service| OnBehalf { service, calls: calls.clone() }));
            let mut router = server.add_service(health_service).add_service(dashboard);
            router = router.add_service(stats).add_service(preferences);
            match reflection {
                Ok(reflection) => router = router.add_service(reflection),
                Err(error) => tracing::error!(%error, "no reflection: the compiled contract does not load"),
            }
            let stop = async {
                stopping.stopping().await;
                for name in names {
                    health.set_service_status(name, ServingStatus::NotServing).await;
                }
                // Who watches it is answered to the end with that: the process does not wait for them.
                for name in names {
                    health.clear_service_status(name).await;
                }
            };
            if let Err(error) = router.serve_with_incoming_shutdown(listener.incoming(), stop).await {
                tracing::error!(%error, "the gRPC server failed");
            }
        });
    }
}

/// A running aggregator.
#[derive(Debug)]
pub struct Running {
    fleet: Fleet,
    tasks: Tasks,
}

impl Running {
    /// Goes on with the sources of other settings. Those that are set as they were are not touched: their rows, schedules,
    /// limits, connections and caches stay. One that is set otherwise begins anew, and keeps its rows unless these are another
    /// server's; one that is not there any more is gone with its rows when this returns. All else that settings say stays as it
    /// was ([`tell_of`]).
    pub async fn apply(&mut self, roster: Roster) {
        self.fleet.become_what_is(roster, &self.tasks).await;
    }
}

/// The sources that settings ask for, for [`Running::apply`].
///
/// # Errors
/// [`SetUpError`], as of [`Aggregator::new`].
pub fn roster(settings: &Settings) -> Result<Roster, SetUpError> {
    Roster::of(settings)
}

/// Logs what is to be said of settings that were read again, in place of `before`: their warnings, and what the aggregator
/// takes at its start alone.
pub fn tell_of(loaded: &Loaded, before: &Settings) {
    let now = &loaded.settings;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let cache = |s: &Settings| Cache { refresh_interval: Duration::ZERO, ..s.cache.clone() };
    let differ = [
        ("aggregator.listen", before.aggregator.listen != now.aggregator.listen),
        ("aggregator.metrics", before.aggregator.metrics != now.aggregator.metrics),
        ("filters.deployments", before.filters.deployments != now.filters.deployments),
        (
            "aggregator.metrics_pipelines",
            before.aggregator.metrics_pipelines != now.aggregator.metrics_pipelines,
        ),
        ("cache (but for cache.refresh_interval)", cache(before) != cache(now)),
        ("database", before.database != now.database),
    ];
    for (what, _) in differ.into_iter().filter(|(_, differs)| *differs) {
        tracing::warn!("{what} stays as it was until a restart");
    }
}

/// Starts logging as the settings say, and sending traces as `service`.
///
/// # Errors
/// When the level is no filter, or what the environment says about traces cannot be.
pub fn init(service: &str, settings: &Settings) -> Result<Sending, String> {
    let format = match settings.logging.format {
        config::LogFormat::Json => lifecycle::LogFormat::Json,
        config::LogFormat::Pretty => lifecycle::LogFormat::Pretty,
    };
    lifecycle::init_logging(service, settings.logging.level.as_str(), format)
}

/// The settings' address as a transport takes it.
#[must_use]
pub fn endpoint(address: &config::Address) -> api::Endpoint {
    match address {
        config::Address::Unix(path) => api::Endpoint::Unix(path.clone()),
        config::Address::Tcp { host, port } => api::Endpoint::Tcp(host.clone(), *port),
    }
}
