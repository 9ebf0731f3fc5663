//! What history costs and how soon it answers, measured: a million runs with jobs over 400 days.

use std::io::Write as _;
use std::time::{Duration, Instant};

use domain::{Patterns, Status};
use history::answers::{Ask, Behind, By, DeploymentRule, Of, Ranking};
use history::{Batch, Day, History, RunFilter, Window};

use crate::world::{self, Runs, Size};
use crate::{Place, at, key};

/// Runs per batch.
const BATCH: usize = 5_000;
/// How often each question is asked.
const TIMES: usize = 100;

fn say(text: &str) {
    // Nobody listens: nothing to measure for.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// How much, from the environment variable `RUNS`, else a million.
fn runs() -> u64 {
    std::env::var("RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000)
}

async fn fill(history: &dyn History, size: Size) -> (f64, f64) {
    let mut described = Batch::at(at(0, 0));
    described.sources.insert(key("0").source, "gitlab".into());
    described.projects = world::projects(size);
    history.ingest(described).await.unwrap();
    let empty = history.health().await.unwrap().bytes.unwrap_or_default();
    let mut world = Runs::new(size, 1);
    let (mut written, mut took) = (0_usize, Duration::ZERO);
    loop {
        let mut batch = Batch::at(at(size.days, 0));
        batch.runs = world.by_ref().take(BATCH).collect();
        if batch.runs.is_empty() {
            break;
        }
        written += batch.runs.len();
        let begun = Instant::now();
        history.ingest(batch).await.unwrap();
        took += begun.elapsed();
    }
    let bytes = history.health().await.unwrap().bytes.unwrap_or_default().saturating_sub(empty);
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let figures = (written as f64 / took.as_secs_f64(), bytes as f64 / 1e6 / (written as f64 / 1e5));
    figures
}

/// Fills two databases, one without jobs, and asks the second. `settle` is done between.
pub async fn measure(name: &str, small: &dyn Place, large: &dyn Place, settle: impl AsyncFn()) {
    let full = Size { projects: 250, days: 400, runs: runs(), jobs: 5 };
    let bare = Size { jobs: 0, ..full };
    let (speed, room) = fill(&*small.open().await.unwrap(), bare).await;
    say(&format!("{name}: without jobs: {speed:.0} runs/s, {room:.1} MB per 100,000 runs"));
    let history = large.open().await.unwrap();
    let (speed, room) = fill(&*history, full).await;
    say(&format!("{name}: five jobs each: {speed:.0} runs/s, {room:.1} MB per 100,000 runs"));
    settle().await;

    let last = Day::of(at(full.days, 0)).0;
    let window = |days: i32| Window { from: Day(last - days + 1), to: Day(last) };
    for (label, ask) in [
        ("everything, 400 days", Ask::all(window(400))),
        ("everything, 90 days", Ask::all(window(90))),
        ("main, 400 days", Ask { branch: Some("main".into()), ..Ask::all(window(400)) }),
        ("another branch, 400 days", Ask { branch: Some(world::OTHER.into()), ..Ask::all(window(400)) }),
        // Counted from its runs.
        ("a branch of few runs, 400 days", Ask { branch: Some(world::FEW.into()), ..Ask::all(window(400)) }),
        ("a project, 400 days", Ask { project: Some(key("7")), ..Ask::all(window(400)) }),
    ] {
        say(&format!("{name}: {label}"));
        ask_all(&*history, &ask).await;
    }
}

async fn ask_all(history: &dyn History, ask: &Ask) {
    let rule = DeploymentRule { names: Patterns::new(["Deploy*"]).unwrap() };
    let red = Behind { statuses: vec![Status::Failed], ..Behind::default() };
    let reason =
        Behind { job: Some("unit-tests".into()), reason: Some("exit code <n>".into()), ..Behind::default() };
    let ranking = |of, by| Ranking { of, by, min_runs: 10, limit: 20 };
    timed("figures", async || history.figures(ask).await.unwrap()).await;
    timed("by day", async || history.course(ask).await.unwrap()).await;
    timed("slowest workflows", async || {
        history.ranking(ask, &ranking(Of::Workflows, By::Slowest)).await.unwrap()
    })
    .await;
    timed("slowest jobs", async || history.ranking(ask, &ranking(Of::Jobs, By::Slowest)).await.unwrap())
        .await;
    timed("busiest projects", async || {
        history.ranking(ask, &ranking(Of::Projects, By::Busiest)).await.unwrap()
    })
    .await;
    timed("failing projects", async || {
        history.ranking(ask, &ranking(Of::Projects, By::Failing)).await.unwrap()
    })
    .await;
    timed("broken since", async || history.broken(ask).await.unwrap()).await;
    timed("flaky", async || history.flaky(ask).await.unwrap()).await;
    timed("failure groups", async || history.failure_groups(ask, 20).await.unwrap()).await;
    timed("heat map", async || history.heat(ask).await.unwrap()).await;
    timed("delivery", async || history.delivery(ask, &rule).await.unwrap()).await;
    timed("runs behind red", async || history.behind(ask, &red, 0, 50).await.unwrap()).await;
    timed("runs behind a reason", async || history.behind(ask, &reason, 0, 50).await.unwrap()).await;
    if let Some(project) = &ask.project {
        let all = RunFilter::default();
        timed("page of runs", async || history.runs(project, &all, 500, 50).await.unwrap()).await;
        timed("estimate", async || history.estimate(project, "1").await.unwrap()).await;
    }
}

async fn timed<T>(label: &str, question: impl AsyncFn() -> T) {
    for _ in 0..3 {
        question().await;
    }
    let mut took = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begun = Instant::now();
        question().await;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let ms = |at: usize| took[at.min(took.len() - 1)].as_secs_f64() * 1e3;
    let over = if ms(TIMES * 99 / 100) > 50.0 { "  OVER 50" } else { "" };
    say(&format!("  {label:<22} p50 {:>7.2} ms   p99 {:>7.2} ms{over}", ms(TIMES / 2), ms(TIMES * 99 / 100)));
}
