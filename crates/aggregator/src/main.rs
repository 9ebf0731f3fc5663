//! The aggregator daemon.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use config::{Inputs, Role};
use domain::SystemClock;
use lifecycle::Lifecycle;

/// Asks the CI platforms, keeps their state, and answers the web daemon over gRPC.
///
/// Settings come from defaults, then the file, then the environment, then flags. The exit code is 0 after a clean stop,
/// 2 for bad usage or configuration, 1 for anything else.
#[derive(Debug, Parser)]
#[command(name = "ci-dashboard-aggregator", version = lifecycle::VERSION)]
struct Args {
    /// Configuration file. Without it: ./config.yaml, ./config/config.yaml,
    /// $XDG_CONFIG_HOME/ci-dashboard/config.yaml, /etc/ci-dashboard/config.yaml, whichever is there first
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where to listen: unix:/path or tcp://host:port (loopback only)
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings the schema of `database.url` up to this version, and ends. Starting does the same
    Migrate,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(args).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ci-dashboard-aggregator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut inputs = Inputs::from_process(Role::Aggregator, args.config)?;
    inputs.overrides.listen = args.listen;
    let loaded = match config::load(&inputs) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(ExitCode::from(2));
        }
    };
    let settings = &loaded.settings;
    aggregator::init(settings).map_err(anyhow::Error::msg)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(Command::Migrate) = args.command {
        let engine = aggregator::archive::migrate(&settings.database).await?;
        println!("The database is up to date ({engine}).");
        return Ok(ExitCode::SUCCESS);
    }
    let life = Lifecycle::new();
    let aggregator = aggregator::Aggregator::new(settings, Arc::new(SystemClock), &life.tasks())?;
    let endpoint = aggregator::endpoint(&settings.aggregator.listen);
    let listener = endpoint.listen().await?;
    if let Some(address) = settings.aggregator.metrics {
        aggregator.metrics().serve(aggregator::metrics::listen(address).await?, &life.tasks());
    }
    tracing::info!(address = %endpoint, sources = settings.sources.len(), "aggregator listens");
    aggregator.start(listener, &life.tasks());
    Ok(life.until_stopped().await.exit_code())
}
