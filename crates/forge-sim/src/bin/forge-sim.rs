//! Serves simulated platforms on loopback until Ctrl-C, to try things by hand.

use clap::Parser;
use forge_sim::{FACES, Sim};

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
    println!("Token at every face: {}", sim.token());
    for face in FACES {
        println!("{:<22} {}", face.0, sim.url(*face));
    }
    tokio::signal::ctrl_c().await?;
    sim.shutdown().await;
    Ok(())
}
