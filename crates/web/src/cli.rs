//! The command line of `ci-dashboard-web`.

use std::path::PathBuf;

use clap::Parser;

/// The web daemon of CI Dashboard: pages, JSON API and live events.
///
/// It gets everything from the aggregator and holds no platform's token. It may be started before the aggregator and finds it again by
/// itself whenever that was away. Started beside a running one of the same user it takes the port over from it, which then
/// finishes what it has in flight and ends: no request fails.
#[derive(Debug, Clone, Parser)]
#[command(name = "ci-dashboard-web", version = lifecycle::VERSION, after_help = AFTER_HELP)]
pub struct Args {
    /// Configuration file
    ///
    /// Without it: ./config.yaml, ./config/config.yaml, $XDG_CONFIG_HOME/ci-dashboard/config.yaml,
    /// /etc/ci-dashboard/config.yaml; without any of these the defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where the aggregator is: unix:/path, /path, tcp://host:port or http://host:port
    ///
    /// Without it: aggregator.address, else where aggregator.listen says.
    #[arg(long, value_name = "ADDR")]
    pub aggregator: Option<String>,

    /// Address or host name to listen on (default 127.0.0.1)
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,

    /// Port to listen on (default 8080; 0 takes a free one)
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,

    /// Ask the daemon that runs with these settings whether it is well; exit with 0 if it is, else with 1
    ///
    /// For the health checks of containers, which have no other program to ask with.
    #[arg(long)]
    pub health: bool,
}

const AFTER_HELP: &str = "\
Of the configuration it reads the sections server, ui, auth, logging and aggregator. Flags win over the environment \
(HOST, PORT, AGGREGATOR_URL, LOG_LEVEL, LOG_FORMAT, CI_DASHBOARD__SECTION__KEY), which wins over the file.

SIGHUP reads the configuration again; one with mistakes is refused, and the old one goes on. Where standard input is a \
terminal SIGHUP stops it: that is how a terminal says that it closes. SIGTERM and SIGINT stop it once \
what is in flight is finished, at most 10 s later; a second one at once.

Exit codes: 0 stopped as asked, 2 bad usage or configuration, 1 anything else.";
