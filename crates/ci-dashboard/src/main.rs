//! Everything in one process, for a laptop; the demo; and a check of the configuration.

mod demo;
mod doctor;
mod explain;
mod manual;
mod secrets;
mod single;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use config::{Inputs, Loaded, Role};

/// Shows the state of every pipeline that a team runs, on one page.
///
/// Without a command it runs the aggregator and the web server in one process. A token in the environment and no file is
/// enough: GITHUB_TOKEN=… ci-dashboard. Settings come from defaults, then the file, then the environment, then flags. The
/// exit code is 0 after a clean stop, 2 for bad usage or configuration, 1 for anything else.
#[derive(Debug, Parser)]
#[command(name = "ci-dashboard", version = lifecycle::VERSION, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "H")]
    host: Option<String>,
    /// Port to listen on [default: 8080]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Ask the process that runs with these settings whether it is well; exit with 0 if it is, else with 1
    #[arg(long)]
    health: bool,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Configuration file. Without it: ./config.yaml, ./config/config.yaml,
    /// $XDG_CONFIG_HOME/ci-dashboard/config.yaml, /etc/ci-dashboard/config.yaml, whichever is there first
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look around: simulated platforms on this machine, and the real thing against them
    Demo(demo::DemoArgs),
    /// Print the effective settings, secrets masked; or every mistake, and exit with 2
    CheckConfig(ConfigArgs),
    /// Tell why a project has its colour, when it was last asked, and when it is due next and why then; asks what runs
    Explain(explain::ExplainArgs),
    /// Make a hash of a password, for a line name:hash of auth.users_file
    ///
    /// Asks twice on a terminal; else reads the password from standard input, one line or the same line twice.
    HashPassword,
    /// Make a token for a script, and the line of auth.tokens_file that lets it in
    CreateToken(secrets::TokenArgs),
    /// Look at configuration, database, Redis, sources, tokens, sockets and clocks, and say what to do; exit with 1 if something is broken
    Doctor(ConfigArgs),
    /// Print what makes a shell complete commands and flags
    Completions {
        /// Of this shell
        shell: clap_complete::Shell,
    },
    /// Write man pages and completions of all three programs, as packages install them
    #[command(hide = true)]
    Manual {
        /// Folder to write to
        folder: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Demo(args)) => demo::run(args).await,
        Some(Command::CheckConfig(args)) => check(args),
        Some(Command::Explain(args)) => explain::run(args).await,
        Some(Command::HashPassword) => secrets::hash_password(),
        Some(Command::CreateToken(args)) => secrets::create_token(&args),
        Some(Command::Doctor(args)) => doctor::run(args).await,
        Some(Command::Completions { shell }) => {
            manual::completions(shell);
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Manual { folder }) => manual::write(&folder).map(|()| ExitCode::SUCCESS),
        None => run(cli.run).await,
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ci-dashboard: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The settings, or the exit code after every mistake was told.
fn load(inputs: &Inputs) -> Result<Loaded, ExitCode> {
    config::load(inputs).map_err(|problems| {
        eprintln!("{problems}");
        ExitCode::from(2)
    })
}

async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let inputs = || -> std::io::Result<Inputs> {
        let mut inputs = Inputs::from_process(Role::All, args.config.config.clone())?;
        inputs.overrides.host = args.host.clone();
        inputs.overrides.port = args.port;
        Ok(inputs)
    };
    let loaded = match load(&inputs()?) {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    if args.health {
        web::check_health(&loaded.settings.server).map_err(anyhow::Error::msg)?;
        return Ok(ExitCode::SUCCESS);
    }
    let _sending = aggregator::init("ci-dashboard", &loaded.settings).map_err(anyhow::Error::msg)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let running = match single::start(&loaded.settings).await {
        Ok(running) => running,
        Err(error) => return Ok(error.report()),
    };
    tracing::info!(url = %running.url, sources = loaded.settings.sources.len(), "ready");
    let (mut house, mut present) = (running.house, loaded.settings);
    let reload = async || {
        let loaded = config::load(&inputs().map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
        house.reload(&loaded.settings).await.map_err(|e| e.to_string())?;
        lifecycle::set_log_level(loaded.settings.logging.level.as_str())?;
        aggregator::tell_of(&loaded, &present);
        web::tell_of(&loaded.settings, &present);
        present = loaded.settings;
        Ok::<_, String>(())
    };
    Ok(running.life.serve(reload).await.exit_code())
}

fn check(args: ConfigArgs) -> anyhow::Result<ExitCode> {
    let inputs = Inputs::from_process(Role::All, args.config)?;
    Ok(match load(&inputs) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                eprintln!("{warning}");
            }
            match &loaded.file {
                Some(file) => println!("# {}", file.display()),
                None => println!("# no file: defaults and environment"),
            }
            print!("{}", loaded.settings.effective_yaml());
            ExitCode::SUCCESS
        }
        Err(code) => code,
    })
}
