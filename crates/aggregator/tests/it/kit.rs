//! What the tests share.

use std::time::Duration;

use config::{Inputs, Role, Settings};

/// Nothing here takes nearly as long; a test that hangs is a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// The aggregator's settings from this environment alone.
pub(crate) fn settings<N: Into<String>, V: Into<String>>(env: impl IntoIterator<Item = (N, V)>) -> Settings {
    config::load(&Inputs::isolated(Role::Aggregator, None, env)).unwrap_or_else(|p| panic!("{p}")).settings
}
