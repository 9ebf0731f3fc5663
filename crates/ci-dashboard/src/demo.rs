//! The demo: simulated platforms on loopback, and the real thing against them over HTTP.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use aggregator::hub::Hub;
use clap::Args;
use config::{Environment, Inputs, Role};
use domain::{Activity, Outcome};
use forge_sim::{Limits, Sim};
use indicatif::{ProgressBar, ProgressStyle};

use crate::single;

/// How often everything is read: a demo is watched for a minute, not for a day.
const REFRESH: &str = "2s";
/// How often the line in the terminal is written anew.
const TICK: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many projects the simulated platforms have in all
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    projects: u32,
    /// The same seed tells the same story
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Port to listen on
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
}

/// Runs until Ctrl-C.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    // A refresh every two seconds would exceed the limits that are meant for one every few minutes.
    let limits =
        Limits { github_hourly: Some(1_000_000), gitlab_per_minute: Some(100_000), ..Limits::default() };
    let sim =
        Sim::builder().projects(args.projects as usize).seed(args.seed).limits(limits).demo().start().await?;
    let settings = match config::load(&inputs(&args, &sim)?) {
        Ok(loaded) => loaded.settings,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(ExitCode::from(2));
        }
    };
    aggregator::init(&settings).map_err(anyhow::Error::msg)?;
    let running = match single::start(&settings).await {
        Ok(running) => running,
        Err(error) => return Ok(error.report()),
    };
    println!("CI Dashboard demo: {}", running.url);
    println!(
        "Simulated GitLab at {}, GitHub at {} and Jenkins at {}, {} projects. Ctrl-C stops.",
        sim.gitlab_url(),
        sim.github_url(),
        sim.jenkins_url(),
        args.projects
    );
    let (hub, life, total) = (running.hub, running.life, u64::from(args.projects));
    let tasks = life.tasks();
    let stop = tasks.stop_token();
    tasks.run("progress", async move {
        stop.run_until_cancelled(show_progress(&hub, total)).await;
    });
    let stopped = life.until_stopped().await;
    sim.shutdown().await;
    println!("Stopped.");
    Ok(stopped.exit_code())
}

/// Settings as from an environment that holds nothing but the simulation: no file and no token of the user's gets in.
fn inputs(args: &DemoArgs, sim: &Sim) -> anyhow::Result<Inputs> {
    let mut inputs = Inputs::from_process(Role::All, None)?;
    let level = inputs.env.get("LOG_LEVEL").unwrap_or("error").to_owned();
    let (gitlab, github, jenkins) = (sim.gitlab_url(), sim.github_url(), sim.jenkins_url());
    let port = args.port.to_string();
    let pairs: Vec<(&str, &str)> = vec![
        ("GITLAB_URL", &gitlab),
        ("GITLAB_TOKEN", sim.token()),
        ("GITHUB_URL", &github),
        ("GITHUB_TOKEN", sim.token()),
        ("JENKINS_URL", &jenkins),
        ("JENKINS_USER", "ci"),
        ("JENKINS_TOKEN", sim.token()),
        ("PORT", &port),
        ("DATABASE_URL", "none"),
        ("LOG_LEVEL", &level),
        ("LOG_FORMAT", "pretty"),
        ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", REFRESH),
        ("CI_DASHBOARD__CACHE__TTL", REFRESH),
    ];
    inputs.env = pairs.into_iter().collect::<Environment>();
    let nowhere = std::env::temp_dir().join(format!("ci-dashboard-demo-{}", std::process::id()));
    inputs.machine.system_config = nowhere.join("config.yaml");
    inputs.cwd = nowhere;
    Ok(inputs)
}

/// First how much is read, then how things are.
async fn show_progress(hub: &Hub, total: u64) {
    if !std::io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    let bar = ProgressBar::new(total);
    let style = |template: &str| {
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    };
    bar.set_style(style("reading {bar:30} {pos}/{len} projects"));
    let mut tick = tokio::time::interval(TICK);
    let mut reading = true;
    loop {
        tick.tick().await;
        let (read, broken, running) = hub.read(|p| {
            let (mut read, mut broken, mut running) = (0, 0, 0);
            for entry in p.board.entries().filter(|e| !e.is_loading()) {
                read += 1;
                let faces = entry.shown().first().map(|s| (s.rollup.outcome, s.rollup.activity));
                broken += u64::from(matches!(faces, Some((Some(Outcome::Failed), _))));
                running += u64::from(matches!(faces, Some((_, Some(Activity::Running)))));
            }
            (read, broken, running)
        });
        if reading {
            bar.set_position(read);
            if read >= total {
                reading = false;
                bar.set_style(style("{spinner} {msg}"));
            }
        } else {
            bar.set_message(format!("{read} projects, {broken} broken, {running} running"));
            bar.tick();
        }
    }
}
