//! Structured logs on standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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
    let filter = EnvFilter::try_new(level).map_err(|e| format!("{level:?} is no log level: {e}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let out = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A subscriber that is there already (tests, embedding) stays.
    let _ = match format {
        LogFormat::Json => registry.with(out.json().flatten_event(true)).try_init(),
        LogFormat::Pretty => registry.with(out.with_target(false)).try_init(),
    };
    Ok(())
}
