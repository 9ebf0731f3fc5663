//! Structured logs on standard error.

use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::traces::Sending;

/// Changes what is logged while the process runs.
static FILTER: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Pretty,
}

/// Starts logging to standard error at `level` (`info`, or per target: `info,connector=debug`), and sending traces as
/// `service` where that is wanted ([`crate::traces`]), for as long as what it gives lives. A second call does nothing.
///
/// # Errors
/// When `level` is no filter, or what the environment says about traces cannot be.
pub fn init_logging(service: &str, level: &str, format: LogFormat) -> Result<Sending, String> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let out = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Json => out.json().flatten_event(true).boxed(),
        LogFormat::Pretty => out.with_target(false).boxed(),
    };
    let registry = tracing_subscriber::registry().with(lines.with_filter(filter));
    #[cfg(feature = "otel")]
    let (registry, sending) = {
        let (traces, sending) = crate::traces::layer(service)?;
        (registry.with(traces), sending)
    };
    #[cfg(not(feature = "otel"))]
    let (_, sending) = (service, Sending::default());
    // A subscriber that is there already (tests, embedding) stays.
    if registry.try_init().is_ok() {
        let _ = FILTER.set(handle);
    }
    Ok(sending)
}

/// Logs at `level` from now on. Does nothing where logging was set up by somebody else.
///
/// # Errors
/// When `level` is no filter.
pub fn set_log_level(level: &str) -> Result<(), String> {
    let filter = filter(level)?;
    if let Some(handle) = FILTER.get() {
        handle.reload(filter).map_err(|e| format!("the log level cannot be changed: {e}"))?;
    }
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|e| format!("{level:?} is no log level: {e}"))
}
