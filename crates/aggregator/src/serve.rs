//! From settings to a running aggregator.

use std::sync::Arc;
use std::time::Duration;

use api::v1::dashboard_service_server::DashboardServiceServer;
use config::{Settings, SourceSettings};
use connector::{Connector, Registry};
use domain::{Clock, Narrowing, PatternError, SourceName};
use lifecycle::Tasks;
use tonic::transport::Server;

use crate::archive::Archive;
use crate::board::Rules;
use crate::details::Details;
use crate::due::Schedules;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::mirror::Mirror;
use crate::platforms::platform;
use crate::refresh::{Plan, Refresher};
use crate::schedule;
use crate::service::Service;
use crate::sources::Source;
use crate::watched::Watched;
use crate::webhooks::{Health, Webhooks, takes_webhooks};
use crate::work::{Attention, Keeper};

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
    /// A source whose settings make no connector.
    #[error(transparent)]
    Build(#[from] connector::BuildError),
}

/// A set-up aggregator; nothing runs yet.
#[derive(Debug)]
pub struct Aggregator {
    hub: Arc<Hub>,
    connectors: Arc<Registry>,
    watched: Arc<Watched>,
    details: Details,
    attention: Arc<Attention>,
    plans: Vec<(Arc<dyn Connector>, Plan)>,
    every: Duration,
    schedules: Arc<Schedules>,
    webhooks: Arc<Webhooks>,
    archive: Arc<Archive>,
    mirror: Arc<Mirror>,
}

impl Aggregator {
    /// Makes the connectors and an empty board. No I/O but what certificates need.
    ///
    /// # Errors
    /// [`SetUpError`] when settings that parse make no sense to a connector.
    pub fn new(settings: &Settings, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<Self, SetUpError> {
        let hub = Arc::new(Hub::new(Arc::clone(&clock)));
        let watched = Arc::new(Watched::new(&settings.filters.watched_repos)?);
        let (mut connectors, mut plans, mut hooked) = (Registry::default(), Vec::new(), Vec::new());
        for source in &settings.sources {
            let name = SourceName::new(&source.name)?;
            let (row, connector) = set_up(source, name.clone(), &clock)?;
            let rules = Rules {
                branches: source.branches.clone(),
                narrowing: Narrowing { workflows: source.workflows.clone(), events: source.events.clone() },
            };
            if let Some(why) = &row.error {
                tracing::warn!(source = %name, why, "source is switched off");
            }
            hub.configure(|present| {
                present.board.configure(name.clone(), rules);
                present.sources.insert(name.clone(), row);
            });
            let Some(connector) = connector else { continue };
            connectors.add(Arc::clone(&connector))?;
            watched.expect(&name, |n| connector.could_hold(n));
            let plan = Plan {
                watched: Arc::clone(&watched),
                include: source.include.clone(),
                exclude: source.exclude.clone(),
            };
            hooked.push((name, plan.clone(), source.clone()));
            plans.push((connector, plan));
        }
        let connectors = Arc::new(connectors);
        let schedules = Arc::new(Schedules::new(Arc::clone(&clock)));
        let archive = Arc::new(Archive::new(settings.database.clone(), Arc::clone(&clock)));
        let webhooks = Arc::new(Webhooks::new(
            Arc::clone(&archive),
            Arc::clone(&hub),
            Arc::clone(&connectors),
            Arc::clone(&watched),
            Arc::clone(&schedules),
            hooked,
        ));
        let details = Details::new(settings, Arc::clone(&hub), Arc::clone(&connectors), clock, tasks);
        let mirror = Arc::new(Mirror::new(&settings.cache, &hub, &schedules, &details));
        mirror.keep(&plans);
        let attention = Arc::default();
        let every = settings.cache.refresh_interval;
        Ok(Self {
            hub,
            connectors,
            watched,
            details,
            attention,
            plans,
            every,
            schedules,
            webhooks,
            archive,
            mirror,
        })
    }

    /// Its board.
    #[must_use]
    pub const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Its figures.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::new(
            Arc::clone(&self.hub),
            Arc::clone(&self.connectors),
            Arc::clone(&self.schedules),
            Arc::clone(&self.archive),
            Arc::clone(&self.mirror),
        )
    }

    /// What keeps each source up to date, for those who keep time themselves ([`Refresher::turn`]); [`Aggregator::start`] runs
    /// them as tasks.
    #[must_use]
    pub fn refreshers(&self) -> Vec<Refresher> {
        let pace = schedule::Plan { every: schedule::signed(self.every) };
        let refresher = |(connector, plan): &(Arc<dyn Connector>, Plan)| {
            let schedule = self.schedules.begin(connector.source(), pace);
            Refresher::new(Arc::clone(&self.hub), Arc::clone(connector), plan.clone(), schedule)
        };
        self.plans.iter().map(refresher).collect()
    }

    /// Its door for webhooks.
    #[must_use]
    pub const fn webhooks(&self) -> &Arc<Webhooks> {
        &self.webhooks
    }

    /// When what is asked.
    #[must_use]
    pub const fn schedules(&self) -> &Arc<Schedules> {
        &self.schedules
    }

    /// Starts to refresh and to answer, each as a task of the process.
    pub fn start(self, listener: api::Listener, tasks: &Tasks) {
        let refreshers = self.refreshers();
        let (health, health_service) = tonic_health::server::health_reporter();
        let service = Service {
            hub: Arc::clone(&self.hub),
            connectors: Arc::clone(&self.connectors),
            details: self.details,
            watched: Arc::clone(&self.watched),
            webhooks: self.webhooks,
            attention: Arc::clone(&self.attention),
            schedules: Arc::clone(&self.schedules),
            archive: Arc::clone(&self.archive),
            mirror: Arc::clone(&self.mirror),
            stopping: tasks.stop_token(),
        };
        let dashboard = DashboardServiceServer::new(service)
            .max_decoding_message_size(api::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(api::MAX_MESSAGE_BYTES);
        let stopping = tasks.clone();
        tasks.run("grpc", async move {
            health.set_serving::<DashboardServiceServer<Service>>().await;
            let reflection = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(api::DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .build_v1();
            let mut server = Server::builder().http2_keepalive_interval(Some(KEEP_ALIVE));
            let mut router = server.add_service(health_service).add_service(dashboard);
            match reflection {
                Ok(reflection) => router = router.add_service(reflection),
                Err(error) => tracing::error!(%error, "no reflection: the compiled contract does not load"),
            }
            if let Err(error) =
                router.serve_with_incoming_shutdown(listener.incoming(), stopping.stopping()).await
            {
                tracing::error!(%error, "the gRPC server failed");
            }
        });
        let plans = self.plans.iter().map(|(connector, plan)| (connector.source().clone(), plan.clone()));
        self.mirror.start(&self.hub, tasks);
        let kept = (Arc::clone(&self.mirror), Arc::clone(&self.archive));
        self.archive.start(
            &self.hub,
            &self.connectors,
            &self.schedules,
            &self.mirror,
            plans.collect(),
            tasks,
        );
        for (connector, _) in self.plans {
            if Keeper::is_of_use(connector.as_ref()) {
                let keeper = Keeper {
                    hub: Arc::clone(&self.hub),
                    connector,
                    watched: Arc::clone(&self.watched),
                    attention: Arc::clone(&self.attention),
                    every: self.every,
                };
                let (stopping, kept) = (tasks.clone(), kept.clone());
                let keep = async move {
                    warmed(&kept).await;
                    keeper.run().await;
                };
                tasks.run("merge requests and issues", async move {
                    tokio::select! { () = keep => {} () = stopping.stopping() => {} }
                });
            }
        }
        for refresher in refreshers {
            let (stopping, kept) = (tasks.clone(), kept.clone());
            let refresh = async move {
                warmed(&kept).await;
                refresher.run().await;
            };
            tasks.run("refresh", async move {
                tokio::select! { () = refresh => {} () = stopping.stopping() => {} }
            });
        }
    }
}

/// What is known from before comes first.
async fn warmed((mirror, archive): &(Arc<Mirror>, Arc<Archive>)) {
    mirror.begun().await;
    archive.warmed().await;
}

/// A source's row, and its connector where it has one.
fn set_up(
    source: &SourceSettings,
    name: SourceName,
    clock: &Arc<dyn Clock>,
) -> Result<(Source, Option<Arc<dyn Connector>>), SetUpError> {
    // Without its query, in which some platforms want a token.
    let url = source.url.as_ref().and_then(|u| u.as_str().split('?').next()).unwrap_or_default();
    let url = url.trim_end_matches('/').to_owned();
    let mut row = Source::new(name, source.platform, url);
    let known = platform(source.platform);
    row.descriptor = known.map(|p| p.descriptor);
    if let Some(why) = &source.disabled {
        return Ok((row.off(why.clone()), None));
    }
    let Some(known) = known else {
        return Ok((row.off(format!("this build has no connector for {}", source.platform)), None));
    };
    // One source that cannot be set up (a CA file that is gone) does not keep the others from running.
    match (known.build)(source, Arc::clone(clock)) {
        Ok(connector) => {
            row.webhooks = takes_webhooks(connector.as_ref()).then(Health::default);
            Ok((row, Some(connector)))
        }
        Err(error) => Ok((row.off(error.why), None)),
    }
}

/// Starts logging as the settings say.
///
/// # Errors
/// When the level is no filter.
pub fn init(settings: &Settings) -> Result<(), String> {
    let format = match settings.logging.format {
        config::LogFormat::Json => lifecycle::LogFormat::Json,
        config::LogFormat::Pretty => lifecycle::LogFormat::Pretty,
    };
    lifecycle::init_logging(settings.logging.level.as_str(), format)
}

/// The settings' address as a transport takes it.
#[must_use]
pub fn endpoint(address: &config::Address) -> api::Endpoint {
    match address {
        config::Address::Unix(path) => api::Endpoint::Unix(path.clone()),
        config::Address::Tcp { host, port } => api::Endpoint::Tcp(host.clone(), *port),
    }
}
