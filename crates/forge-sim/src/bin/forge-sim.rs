//! Serves simulated platforms on loopback until Ctrl-C, to try things by hand.

use clap::Parser;
use forge_sim::{FACES, Pace, Sim};
use jiff::SignedDuration;

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
    /// Milliseconds from one push to the next, anywhere [default: the demo's pace]
    #[arg(long, value_name = "MS")]
    push_every: Option<u32>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut sim = Sim::builder().projects(arguments.projects).seed(arguments.seed).demo();
    if let Some(ms) = arguments.push_every {
        sim =
            sim.pace(Pace { event_every: Some(SignedDuration::from_millis(ms.max(1).into())), ..Pace::DEMO });
    }
    let sim = sim.start().await?;
    println!("Token at every face: {}", sim.token());
    for face in FACES {
        println!("{:<22} {}", face.0, sim.url(*face));
    }
    tokio::signal::ctrl_c().await?;
    sim.shutdown().await;
    Ok(())
}
