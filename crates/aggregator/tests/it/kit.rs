//! What the tests share.

use std::sync::Arc;
use std::time::Duration;

use aggregator::Aggregator;
use api::v1;
use config::{Inputs, Role, Settings};
use domain::SystemClock;
use forge_sim::Sim;
use lifecycle::Lifecycle;

/// Nothing here takes nearly as long; a test that hangs is a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// The aggregator's settings from this environment alone.
pub(crate) fn settings<N: Into<String>, V: Into<String>>(env: impl IntoIterator<Item = (N, V)>) -> Settings {
    config::load(&Inputs::isolated(Role::Aggregator, None, env)).unwrap_or_else(|p| panic!("{p}")).settings
}

/// The same of a simulated GitLab and a simulated GitHub, without history.
pub(crate) fn of_both(sim: &Sim, more: &[(&str, &str)]) -> Settings {
    let (gitlab, github) = (sim.gitlab_url(), sim.github_url());
    let env = [
        ("GITLAB_URL", gitlab.as_str()),
        ("GITHUB_URL", github.as_str()),
        ("GITLAB_TOKEN", sim.token()),
        ("GITHUB_TOKEN", sim.token()),
        ("DATABASE_URL", "none"),
    ];
    settings(env.into_iter().chain(more.iter().copied()))
}

/// Waits until it is so.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let wait = async {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        loop {
            pause.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// An aggregator at work, and who asks it.
pub(crate) struct Running {
    pub(crate) life: Lifecycle,
    pub(crate) client: api::Client,
    pub(crate) stats: api::StatsClient,
    running: aggregator::Running,
}

impl Running {
    pub(crate) async fn start(settings: &Settings) -> Self {
        let life = Lifecycle::new();
        let aggregator = Aggregator::new(settings, Arc::new(SystemClock), &life.tasks()).unwrap();
        let endpoint = api::Endpoint::InProcess(api::InProcess::default());
        let running = aggregator.start(endpoint.listen().await.unwrap(), &life.tasks());
        let (client, stats) = endpoint.clients().unwrap();
        Self { life, client, stats, running }
    }

    /// Goes on with the sources of other settings.
    pub(crate) async fn apply(&mut self, settings: &Settings) {
        self.running.apply(aggregator::roster(settings).unwrap()).await;
    }
}

/// A webhook as the web daemon passes it on.
pub(crate) fn webhook(source: &str, headers: &[(&str, &str)], body: &str) -> v1::IngestWebhookRequest {
    let header = |(n, v): &(&str, &str)| v1::Header { name: (*n).into(), value: (*v).into() };
    v1::IngestWebhookRequest {
        source: source.into(),
        headers: headers.iter().map(header).collect(),
        body: body.to_owned().into(),
        too_large: false,
    }
}
