//! `ci-dashboard-web`: the pages and the API, in a process of their own.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use config::{Inputs, Overrides, Role, Settings};
use domain::SystemClock;
use lifecycle::Lifecycle;
use web::{StartError, WebSettings};

/// Bad usage or configuration.
const EXIT_CONFIGURATION: u8 = 2;

/// The web daemon of CI Dashboard: pages, JSON API and live events.
///
/// It gets everything from the aggregator and holds no platform's token. It may be started before the aggregator and finds it again by
/// itself whenever that was away.
#[derive(Debug, Parser)]
#[command(name = "ci-dashboard-web", version = lifecycle::VERSION, after_help = AFTER_HELP)]
struct Args {
    /// Configuration file
    ///
    /// Without it: ./config.yaml, ./config/config.yaml, $XDG_CONFIG_HOME/ci-dashboard/config.yaml,
    /// /etc/ci-dashboard/config.yaml; without any of these the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where the aggregator is: unix:/path, /path, tcp://host:port or http://host:port
    ///
    /// Without it: aggregator.address, else where aggregator.listen says.
    #[arg(long, value_name = "ADDR")]
    aggregator: Option<String>,

    /// Address or host name to listen on (default 127.0.0.1)
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// Port to listen on (default 8080; 0 takes a free one)
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

const AFTER_HELP: &str = "\
Of the configuration it reads the sections server, ui, auth, logging and aggregator. Flags win over the environment \
(HOST, PORT, AGGREGATOR_URL, LOG_LEVEL, LOG_FORMAT, CI_DASHBOARD__SECTION__KEY), which wins over the file.

Exit codes: 0 stopped as asked, 2 bad usage or configuration, 1 anything else.";

fn main() -> ExitCode {
    let args = Args::parse();
    let settings = match load(args) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(run(&settings))
}

fn load(args: Args) -> Result<Settings, ExitCode> {
    let mut inputs = Inputs::from_process(Role::Web, args.config).map_err(|error| {
        eprintln!("cannot tell the working directory: {error}");
        ExitCode::FAILURE
    })?;
    inputs.overrides = Overrides { host: args.host, port: args.port, address: args.aggregator, listen: None };
    let loaded = config::load(&inputs).map_err(|problems| {
        for problem in &problems {
            eprintln!("{problem}");
        }
        ExitCode::from(EXIT_CONFIGURATION)
    })?;
    let logging = &loaded.settings.logging;
    let format = match logging.format {
        config::LogFormat::Json => lifecycle::LogFormat::Json,
        config::LogFormat::Pretty => lifecycle::LogFormat::Pretty,
    };
    if let Err(error) = lifecycle::init_logging(level(logging.level), format) {
        eprintln!("{error}");
        return Err(ExitCode::from(EXIT_CONFIGURATION));
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded.settings)
}

const fn level(level: config::LogLevel) -> &'static str {
    use config::LogLevel::{Debug, Error, Info, Off, Trace, Warn};
    match level {
        Off => "off",
        Error => "error",
        Warn => "warn",
        Info => "info",
        Debug => "debug",
        Trace => "trace",
    }
}

async fn run(settings: &Settings) -> ExitCode {
    let life = Lifecycle::new();
    let endpoint = match settings.aggregator.address.clone() {
        config::Address::Unix(path) => api::Endpoint::Unix(path),
        config::Address::Tcp { host, port } => api::Endpoint::Tcp(host, port),
    };
    let started = async {
        let listener = web::listen(&settings.server).await?;
        web::serve(WebSettings::from(settings), &endpoint, Arc::new(SystemClock), listener, &life.tasks())
    };
    match started.await {
        Ok(address) => {
            let base = settings.server.base_path.trim_end_matches('/');
            let scheme = settings.server.scheme();
            tracing::info!(%endpoint, commit = web::COMMIT, "listening on {scheme}://{address}{base}/");
            life.until_stopped().await.exit_code()
        }
        Err(error) => {
            eprintln!("{error}");
            let _ = life.stop().await;
            exit_code(&error)
        }
    }
}

fn exit_code(error: &StartError) -> ExitCode {
    if error.is_configuration() { ExitCode::from(EXIT_CONFIGURATION) } else { ExitCode::FAILURE }
}
