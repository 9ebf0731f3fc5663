//! Structured logs on standard error.

use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

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

/// Starts logging to standard error at `level` (`info`, or per target: `info,connector=debug`). A second call does
/// nothing.
///
/// # Errors
/// When `level` is no filter.
pub fn init_logging(level: &str, format: LogFormat) -> Result<(), String> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let registry = tracing_subscriber::registry().with(filter);
    let out = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A subscriber that is there already (tests, embedding) stays.
    let first = match format {
        LogFormat::Json => registry.with(out.json().flatten_event(true)).try_init(),
        LogFormat::Pretty => registry.with(out.with_target(false)).try_init(),
    };
    if first.is_ok() {
        let _ = FILTER.set(handle);
    }
    Ok(())
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
