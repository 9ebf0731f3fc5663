//! The aggregator daemon.

use std::process::ExitCode;
use std::sync::Arc;

use aggregator::{Args, Command};
use clap::Parser as _;
use config::{Inputs, Role};
use domain::SystemClock;
use lifecycle::Lifecycle;

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
    let inputs = || -> std::io::Result<Inputs> {
        let mut inputs = Inputs::from_process(Role::Aggregator, args.config.clone())?;
        inputs.overrides.listen = args.listen.clone();
        Ok(inputs)
    };
    let loaded = match config::load(&inputs()?) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(ExitCode::from(2));
        }
    };
    let settings = &loaded.settings;
    if args.health {
        aggregator::check_health(&aggregator::endpoint(&settings.aggregator.listen)).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let _sending = aggregator::init("ci-dashboard-aggregator", settings).map_err(anyhow::Error::msg)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(Command::Migrate) = args.command {
        let engine = aggregator::archive::migrate(&settings.database).await?;
        println!("The database is up to date ({engine}).");
        return Ok(ExitCode::SUCCESS);
    }
    let mut life = Lifecycle::new();
    let (endpoint, tasks) = (aggregator::endpoint(&settings.aggregator.listen), life.tasks());
    let starting = async {
        // Before anything else: while another aggregator has the socket, this one asks nothing and writes nothing.
        let listener = aggregator::listen(&endpoint, args.take_over, &tasks).await?;
        let aggregator = aggregator::Aggregator::new(settings, Arc::new(SystemClock), &tasks)?;
        if let Some(address) = settings.aggregator.metrics {
            aggregator.metrics().serve(aggregator::metrics::listen(address).await?, &tasks);
        }
        tracing::info!(address = %listener, sources = settings.sources.len(), "aggregator listens");
        anyhow::Ok(aggregator.start(listener, &tasks))
    };
    // While it waits for the one before it, above all.
    let Some(started) = life.start(starting).await else { return Ok(life.stop().await.exit_code()) };
    let mut running = started?;
    let mut present = loaded.settings;
    let reload = async || {
        let loaded = config::load(&inputs().map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
        let roster = aggregator::roster(&loaded.settings).map_err(|e| e.to_string())?;
        lifecycle::set_log_level(loaded.settings.logging.level.as_str())?;
        running.apply(roster).await;
        aggregator::tell_of(&loaded, &present);
        if loaded.settings.logging.format != present.logging.format {
            tracing::warn!("logging.format stays as it was until a restart");
        }
        present = loaded.settings;
        Ok::<_, String>(())
    };
    Ok(life.serve(reload).await.exit_code())
}
