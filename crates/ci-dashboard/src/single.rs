//! Aggregator and web in one process: the same code as the two daemons, joined by a pipe instead of a socket.

use std::process::ExitCode;
use std::sync::Arc;

use aggregator::Aggregator;
use aggregator::hub::Hub;
use config::Settings;
use domain::SystemClock;
use lifecycle::{Lifecycle, Tasks};

/// What runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its tasks.
    pub(crate) life: Lifecycle,
    /// Its board.
    pub(crate) hub: Arc<Hub>,
    /// Where to look.
    pub(crate) url: String,
    /// What goes by the settings.
    pub(crate) house: House,
}

/// Both daemons' insides, and what joins them.
#[derive(Debug)]
pub(crate) struct House {
    aggregator: aggregator::Running,
    server: web::Server,
    endpoint: api::Endpoint,
}

impl House {
    /// Goes on with other settings, or as before where the error says why these cannot be.
    pub(crate) async fn reload(&mut self, settings: &Settings) -> Result<(), StartError> {
        let roster = aggregator::roster(settings)?;
        self.server.reload(settings.into(), &self.endpoint).await?;
        self.aggregator.apply(roster).await;
        Ok(())
    }
}

/// Why nothing runs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    SetUp(#[from] aggregator::SetUpError),
    #[error(transparent)]
    Listen(#[from] api::ListenError),
    #[error(transparent)]
    Metrics(#[from] aggregator::metrics::ListenError),
    #[error(transparent)]
    Web(#[from] web::StartError),
    #[error("stopped before it had started")]
    Stopped(lifecycle::Stopped),
}

impl StartError {
    /// Says it in one sentence; gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if let Self::Stopped(stopped) = self {
            return stopped.exit_code();
        }
        eprintln!("ci-dashboard: {self}");
        match self {
            Self::Web(error) if error.is_configuration() => ExitCode::from(2),
            Self::SetUp(_) => ExitCode::from(2),
            Self::Web(_) | Self::Listen(_) | Self::Metrics(_) | Self::Stopped(_) => ExitCode::FAILURE,
        }
    }
}

/// Starts both. The port is taken first: without it nothing is asked of any platform.
pub(crate) async fn start(settings: &Settings) -> Result<Running, StartError> {
    let mut life = Lifecycle::new();
    let tasks = life.tasks();
    match life.start(start_tasks(settings, &tasks)).await {
        Some(started) => started.map(|(hub, url, house)| Running { life, hub, url, house }),
        None => Err(StartError::Stopped(life.stop().await)),
    }
}

async fn start_tasks(settings: &Settings, tasks: &Tasks) -> Result<(Arc<Hub>, String, House), StartError> {
    let clock = Arc::new(SystemClock);
    let door = web::listen(&settings.server, None).await?;
    let endpoint = api::Endpoint::InProcess(api::InProcess::default());
    let aggregator = Aggregator::new(settings, Arc::clone(&clock) as _, tasks)?;
    let hub = Arc::clone(aggregator.hub());
    if let Some(address) = settings.aggregator.metrics {
        aggregator.metrics().serve(aggregator::metrics::listen(address).await?, tasks);
    }
    let aggregator = aggregator.start(endpoint.listen().await?, tasks);
    let server = web::serve(settings.into(), &endpoint, clock, door, tasks)?;
    let base = settings.server.base_path.trim_end_matches('/');
    let url = format!("{}://{}{base}", settings.server.scheme(), server.address());
    Ok((hub, url, House { aggregator, server, endpoint }))
}
