//! Serves simulated platforms on loopback until Ctrl-C, to try things by hand.

use clap::Parser;
use forge_sim::Sim;

/// Simulated platforms on loopback.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// How many projects in all
    #[arg(long, default_value_t = 60)]
    projects: usize,
    /// The same seed tells the same story
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let sim = Sim::builder().projects(arguments.projects).seed(arguments.seed).demo().start().await?;
    println!("GITLAB_URL={}", sim.gitlab_url());
    println!("GITHUB_URL={}", sim.github_url());
    println!("JENKINS_URL={} JENKINS_USER=ci", sim.jenkins_url());
    println!("GITLAB_TOKEN={0} GITHUB_TOKEN={0} JENKINS_TOKEN={0}", sim.token());
    tokio::signal::ctrl_c().await?;
    sim.shutdown().await;
    Ok(())
}
