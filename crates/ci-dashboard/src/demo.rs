//! The demo: simulated platforms on loopback, and the real thing against them over HTTP.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use aggregator::hub::Hub;
use anyhow::Context as _;
use clap::Args;
use config::{Environment, Inputs, Platforms, Role};
use domain::{Activity, Outcome};
use forge_sim::{FACES, Limits, Sim};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

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
    let limits = Limits {
        github_hourly: Some(1_000_000),
        gitlab_per_minute: Some(100_000),
        bitbucket_hourly: Some(1_000_000),
        github_points_hourly: Some(1_000_000),
        ..Limits::default()
    };
    let sim =
        Sim::builder().projects(args.projects as usize).seed(args.seed).limits(limits).demo().start().await?;
    let folder = tempfile::tempdir().context("a folder for the demo's settings")?;
    let settings = match config::load(&inputs(&args, &sim, folder.path())?) {
        Ok(loaded) => loaded.settings,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(ExitCode::from(2));
        }
    };
    let _sending = aggregator::init("ci-dashboard", &settings).map_err(anyhow::Error::msg)?;
    let running = match single::start(&settings).await {
        Ok(running) => running,
        Err(error) => return Ok(error.report()),
    };
    println!("CI Dashboard demo: {}", running.url);
    println!("{} projects on {} simulated platforms:", args.projects, FACES.len());
    for face in FACES {
        println!("  {:<22} {}", face.0, sim.url(*face));
    }
    println!("Ctrl-C stops.");
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

/// Settings from a file of the demo's own and an empty environment: nothing of the user's gets in.
fn inputs(args: &DemoArgs, sim: &Sim, folder: &Path) -> anyhow::Result<Inputs> {
    let file = folder.join("config.yaml");
    // JSON is YAML.
    std::fs::write(&file, Value::Object(sources(sim)).to_string()).context("the demo's settings")?;
    let mut inputs = Inputs::from_process(Role::All, Some(file))?;
    let level = inputs.env.get("LOG_LEVEL").unwrap_or("error").to_owned();
    let port = args.port.to_string();
    let database = format!("sqlite:{}", folder.join("history.db").display());
    let pairs: Vec<(&str, &str)> = vec![
        ("PORT", &port),
        ("DATABASE_URL", &database),
        ("LOG_LEVEL", &level),
        ("LOG_FORMAT", "pretty"),
        ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", REFRESH),
        ("CI_DASHBOARD__CACHE__TTL", REFRESH),
    ];
    inputs.env = pairs.into_iter().collect::<Environment>();
    inputs.cwd = folder.to_owned();
    Ok(inputs)
}

/// A source for every simulated platform, as a configuration file lists them, and which workflows deploy.
fn sources(sim: &Sim) -> Map<String, Value> {
    let mut sections = Map::new();
    sections.insert("filters".to_owned(), json!({ "deployments": ["deploy*"] }));
    for face in FACES {
        // A platform may have several faces (`bitbucket`, `bitbucket-datacenter`): its id is how their names begin.
        let Some(platform) = Platforms::known().iter().find(|p| face.0.starts_with(p.id)) else { continue };
        let source = json!({ "name": face.0, "url": sim.url(*face), "token": sim.token() });
        let section = sections.entry(platform.id).or_insert_with(|| json!([]));
        if let Some(section) = section.as_array_mut() {
            section.push(source);
        }
    }
    sections
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
