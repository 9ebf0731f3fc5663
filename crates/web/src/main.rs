//! `ci-dashboard-web`: the pages and the API, in a process of their own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use config::{Inputs, Loaded, Overrides, Role, Settings};
use domain::SystemClock;
use lifecycle::Lifecycle;
use web::{Args, Server, StartError, WebSettings};

/// Bad usage or configuration.
const EXIT_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let (loaded, runtime_dir) = match load(&args) {
        Ok(loaded) => loaded,
        Err(Refused::System(why)) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
        Err(Refused::Settings(why)) => {
            eprintln!("{why}");
            return ExitCode::from(EXIT_CONFIGURATION);
        }
    };
    if args.health {
        return health(&loaded.settings.server);
    }
    let logging = &loaded.settings.logging;
    let format = match logging.format {
        config::LogFormat::Json => lifecycle::LogFormat::Json,
        config::LogFormat::Pretty => lifecycle::LogFormat::Pretty,
    };
    let _sending = match lifecycle::init_logging("ci-dashboard-web", logging.level.as_str(), format) {
        Ok(sending) => sending,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_CONFIGURATION);
        }
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(run(&args, loaded.settings, runtime_dir.as_deref()))
}

fn health(server: &config::Server) -> ExitCode {
    match web::check_health(server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ci-dashboard-web: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("cannot tell the working directory: {0}")]
    System(std::io::Error),
    #[error("{0}")]
    Settings(config::Problems),
}

/// The settings, and the folder for control sockets.
fn load(args: &Args) -> Result<(Loaded, Option<PathBuf>), Refused> {
    let mut inputs = Inputs::from_process(Role::Web, args.config.clone()).map_err(Refused::System)?;
    let Args { host, port, aggregator, .. } = args.clone();
    inputs.overrides = Overrides { host, port, address: aggregator, listen: None };
    let loaded = config::load(&inputs).map_err(Refused::Settings)?;
    Ok((loaded, inputs.runtime_dir()))
}

fn endpoint(settings: &Settings) -> api::Endpoint {
    match settings.aggregator.address.clone() {
        config::Address::Unix(path) => api::Endpoint::Unix(path),
        config::Address::Tcp { host, port } => api::Endpoint::Tcp(host, port),
    }
}

async fn run(args: &Args, settings: Settings, runtime_dir: Option<&Path>) -> ExitCode {
    let mut life = Lifecycle::new();
    let (endpoint, tasks) = (endpoint(&settings), life.tasks());
    let starting = async {
        let door = web::listen(&settings.server, runtime_dir).await?;
        web::serve(WebSettings::from(&settings), &endpoint, Arc::new(SystemClock), door, &tasks)
    };
    let Some(started) = life.start(starting).await else { return life.stop().await.exit_code() };
    match started {
        Ok(mut server) => {
            let base = settings.server.base_path.trim_end_matches('/');
            let scheme = settings.server.scheme();
            let address = server.address();
            tracing::info!(%endpoint, commit = web::COMMIT, "listening on {scheme}://{address}{base}/");
            let mut settings = settings;
            let reload = async || reload(args, &mut settings, &mut server).await;
            life.serve(reload).await.exit_code()
        }
        Err(error) => {
            eprintln!("{error}");
            let _ = life.stop().await;
            exit_code(&error)
        }
    }
}

/// Reads the configuration again and goes on with it.
async fn reload(args: &Args, present: &mut Settings, server: &mut Server) -> Result<(), String> {
    let (loaded, _) = load(args).map_err(|refused| refused.to_string())?;
    let next = loaded.settings;
    server.reload(WebSettings::from(&next), &endpoint(&next)).await.map_err(|error| error.to_string())?;
    lifecycle::set_log_level(next.logging.level.as_str())?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    web::tell_of(&next, present);
    *present = next;
    Ok(())
}

fn exit_code(error: &StartError) -> ExitCode {
    if error.is_configuration() { ExitCode::from(EXIT_CONFIGURATION) } else { ExitCode::FAILURE }
}
