//! The command line of `ci-dashboard-aggregator`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Asks the CI platforms, keeps their state, and answers the web daemon over gRPC.
///
/// Settings come from defaults, then the file, then the environment, then flags. The exit code is 0 after a clean stop,
/// 2 for bad usage or configuration, 1 for anything else.
#[derive(Debug, Clone, Parser)]
#[command(name = "ci-dashboard-aggregator", version = lifecycle::VERSION, after_help = AFTER_HELP)]
pub struct Args {
    /// Configuration file. Without it: ./config.yaml, ./config/config.yaml,
    /// $XDG_CONFIG_HOME/ci-dashboard/config.yaml, /etc/ci-dashboard/config.yaml, whichever is there first
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Where to listen: unix:/path or tcp://host:port (loopback only)
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Take the Unix socket over from the aggregator that listens there now: it finishes what is in flight and ends, and
    /// whoever connects meanwhile waits instead of being refused
    #[arg(long)]
    pub take_over: bool,
    /// Ask the aggregator that runs with these settings whether it is well; exit with 0 if it is, else with 1
    #[arg(long)]
    pub health: bool,
    /// Something else than to run.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const AFTER_HELP: &str = "\
SIGHUP reads the configuration again: sources are added, changed and taken out, and those that are set as they were are not \
touched. One with mistakes is refused with its reasons in the log, and the old one goes on. aggregator, database, \
filters.deployments, and cache but for cache.refresh_interval stay as they were until a restart. Where standard input is a terminal SIGHUP stops it: that is \
how a terminal says that it closes. SIGTERM and SIGINT stop it once what is in flight is \
finished, at most 10 s later; a second one at once.";

/// What else it can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Brings the schema of `database.url` up to this version, and ends. Starting does the same
    Migrate,
}
