//! What the tests share.

use std::time::Duration;

use config::{Inputs, Role, Settings};
use forge_sim::Sim;

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
