//! The order of arrival does not matter, and statistics equal what is computed anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use domain::{Patterns, Pipeline, Status};
use history::answers::{Ask, Behind, By, DeploymentRule, Of, Ranking};
use history::{Batch, Day, History, RunFilter, Window};

use crate::world::{self, Size};
use crate::{Place, Story, at, key, run};

/// A world that is asked about in no time. Its main branch comes to statistics of its own on the way, no other one does; delivery
/// over all of it is summed from blocks.
pub const SMALL: Size = Size { projects: 3, days: 100, runs: 240, jobs: 3 };

/// A window over all of a world.
#[must_use]
pub fn window(size: Size) -> Window {
    let first = Day::of(at(0, 0)).0;
    Window { from: Day(first), to: Day(first + i32::try_from(size.days).unwrap() + 1) }
}

/// Every question that there is, and its answer, as text.
#[must_use = "to be compared"]
pub async fn everything(history: &dyn History, size: Size, source: &str) -> String {
    let source = domain::SourceName::new(source).unwrap();
    let key = |id: &str| domain::ProjectKey::new(source.clone(), domain::NativeId::new(id));
    let mut out = String::new();
    for n in 0..size.projects {
        let key = key(&n.to_string());
        let page = history.runs(&key, &RunFilter::default(), 0, 10_000).await.unwrap();
        writeln!(out, "{key}: {}", page.total).unwrap();
        for run in page.items {
            let mut attempts = history.attempts(&key, &run.id).await.unwrap();
            for (_, jobs) in &mut attempts {
                jobs.sort_by(|a, b| a.id.cmp(&b.id));
            }
            writeln!(out, "{attempts:?}").unwrap();
        }
        writeln!(out, "{:?}", history.estimate(&key, "1").await.unwrap()).unwrap();
    }
    let all = Ask { sources: vec![source.clone()], ..Ask::all(window(size)) };
    let asks = [
        all.clone(),
        Ask { project: Some(key("1")), ..all.clone() },
        Ask { branch: Some("main".into()), ..all.clone() },
        Ask { branch: Some(world::OTHER.into()), ..all.clone() },
        Ask {
            window: Window { to: Day(all.window.from.0 + 11), ..all.window },
            platforms: Vec::new(),
            ..all.clone()
        },
    ];
    let rule = DeploymentRule { names: Patterns::new(["Deploy"]).unwrap() };
    for ask in &asks {
        writeln!(out, "{:?}", history.figures(ask).await.unwrap()).unwrap();
        writeln!(out, "{:?}", history.course(ask).await.unwrap()).unwrap();
        for of in [Of::Projects, Of::Workflows, Of::Jobs] {
            for by in [By::Slowest, By::Busiest, By::Failing] {
                let ranking = Ranking { of, by, min_runs: 3, limit: 7 };
                writeln!(out, "{:?}", history.ranking(ask, &ranking).await.unwrap()).unwrap();
            }
        }
        writeln!(out, "{:?}", history.broken(ask).await.unwrap()).unwrap();
        writeln!(out, "{:?}", history.flaky(ask).await.unwrap()).unwrap();
        writeln!(out, "{:?}", history.failure_groups(ask, 20).await.unwrap()).unwrap();
        writeln!(out, "{:?}", history.heat(ask).await.unwrap()).unwrap();
        writeln!(out, "{:?}", history.delivery(ask, &rule).await.unwrap()).unwrap();
        let behind = Behind { statuses: vec![Status::Failed], ..Behind::default() };
        writeln!(out, "{:?}", history.behind(ask, &behind, 1, 5).await.unwrap()).unwrap();
    }
    out
}

async fn described(history: &dyn History, size: Size) {
    let mut batch = Batch::at(at(0, 0));
    batch.projects = world::projects(size);
    history.ingest(batch).await.unwrap();
}

/// Writes a small world down, in any order.
pub async fn filled(history: &dyn History) {
    described(history, SMALL).await;
    for batch in world::shuffled(SMALL, 7) {
        history.ingest(batch).await.unwrap();
    }
}

/// Late, doubled, in any order, in batches of any size: the same runs, the same answers.
pub async fn any_order(place: &dyn Place) {
    // Each a world of its own in one database: projects of different names never meet.
    let history = place.open().await.unwrap();
    for seed in 0..4 {
        let rename = |mut batch: Batch, to: &str| {
            for run in &mut batch.runs {
                run.project.source = domain::SourceName::new(format!("{to}-{seed}")).unwrap();
            }
            for project in &mut batch.projects {
                if let history::ProjectNews::There(project) = project {
                    project.key.source = domain::SourceName::new(format!("{to}-{seed}")).unwrap();
                }
            }
            batch
        };
        let mut straight = Batch::at(at(SMALL.days, 0));
        straight.projects = world::projects(SMALL);
        straight.runs = world::Runs::new(SMALL, seed).collect();
        history.ingest(rename(straight, "straight")).await.unwrap();
        let mut projects = Batch::at(at(0, 0));
        projects.projects = world::projects(SMALL);
        history.ingest(rename(projects, "shuffled")).await.unwrap();
        for batch in world::shuffled(SMALL, seed) {
            history.ingest(rename(batch, "shuffled")).await.unwrap();
        }
        let straight = everything(&*history, SMALL, &format!("straight-{seed}")).await;
        let shuffled = everything(&*history, SMALL, &format!("shuffled-{seed}")).await;
        same(&straight, &shuffled.replace(&format!("shuffled-{seed}"), &format!("straight-{seed}")), seed);
    }
}

/// Fails with the first line that differs.
fn same(a: &str, b: &str, seed: u64) {
    for (a, b) in a.lines().zip(b.lines()) {
        assert_eq!(a, b, "seed {seed}");
    }
    assert_eq!(a.lines().count(), b.lines().count(), "seed {seed}");
}

/// Statistics that were kept up through every state equal those computed from the runs as they are in the end.
pub async fn statistics(place: &dyn Place) {
    let history = place.open().await.unwrap();
    described(&*history, SMALL).await;
    for batch in world::shuffled(SMALL, 99) {
        history.ingest(batch).await.unwrap();
    }
    let mut days: BTreeMap<i32, (u64, u64, u64, u64, Vec<Duration>)> = BTreeMap::new();
    let mut hours = [[(0_u64, 0_u64); 24]; 7];
    let first = |attempts: &[(Pipeline, Vec<domain::Job>)]| attempts[0].0.clone();
    for n in 0..SMALL.projects {
        let key = key(&n.to_string());
        for run in history.runs(&key, &RunFilter::default(), 0, 10_000).await.unwrap().items {
            let attempts = history.attempts(&key, &run.id).await.unwrap();
            let run = first(&attempts);
            let began = run.created_at.unwrap();
            let day = days.entry(Day::of(began).0).or_default();
            day.0 += 1;
            day.1 += u64::from(run.status.is_green());
            day.2 += u64::from(run.status == Status::Failed);
            day.3 += attempts.len() as u64 - 1;
            day.4.extend(run.duration.filter(|_| run.status.is_verdict()));
            let hour = usize::try_from(began.as_second().rem_euclid(86_400) / 3_600).unwrap();
            let cell = &mut hours[usize::from(Day::of(began).weekday())][hour];
            *cell = (cell.0 + 1, cell.1 + u64::from(run.status == Status::Failed));
        }
    }
    let ask = Ask::all(window(SMALL));
    for told in history.course(&ask).await.unwrap().days {
        let f = told.figures;
        let mut truth = days.remove(&told.day.0).unwrap_or_default();
        assert_eq!(
            (f.runs, f.success + f.warning, f.failed, f.further),
            (truth.0, truth.1, truth.2, truth.3),
            "{told:?}"
        );
        truth.4.sort_unstable();
        assert_eq!(f.duration.count, truth.4.len() as u64);
        assert_eq!(f.duration.total, truth.4.iter().sum());
        if let Some(p50) = f.duration.p50 {
            let median = truth.4[truth.4.len().div_ceil(2) - 1];
            assert!(p50.abs_diff(median) <= median / 60, "{p50:?} is not {median:?}");
        }
    }
    assert!(days.is_empty(), "days that nobody told of: {days:?}");
    assert_eq!(history.heat(&ask).await.unwrap().hours, hours);
    // The same from its parts: each project by itself, and each part of the window.
    let whole = history.figures(&ask).await.unwrap();
    let mut parts = 0;
    for n in 0..SMALL.projects {
        for (from, to) in [(0, 16), (17, 17), (18, 101)] {
            let start = ask.window.from.0;
            let part = Ask {
                project: Some(key(&n.to_string())),
                window: Window { from: Day(start + from), to: Day(start + to) },
                ..ask.clone()
            };
            parts += history.figures(&part).await.unwrap().runs;
        }
    }
    assert_eq!(parts, whole.runs);
}

/// Delivery over many blocks is what it comes to run by run.
pub async fn delivery(place: &dyn Place) {
    let history = place.open().await.unwrap();
    filled(&*history).await;
    let (mut turned_green, mut led, mut deployed) = (0, 0, 0);
    for n in 0..SMALL.projects {
        let all = RunFilter::default();
        let mut runs = history.runs(&key(&n.to_string()), &all, 0, 10_000).await.unwrap().items;
        runs.retain(|run| run.status.is_verdict());
        runs.sort_by_key(|run| run.created_at);
        deployed += runs.iter().filter(|run| run.workflow.lane == "2").count() as u64;
        for lane in ["1", "2", "3"] {
            let on_main =
                |run: &&Pipeline| run.workflow.lane == lane && run.branch.as_deref() == Some("main");
            let on_main: Vec<&Pipeline> = runs.iter().filter(on_main).collect();
            let turns = |two: &&[&Pipeline]| !two[0].status.is_green() && two[1].status.is_green();
            turned_green += on_main.windows(2).filter(turns).count() as u64;
            let green = on_main.iter().filter(|run| run.status.is_green());
            led += green.map(|run| &run.sha).collect::<BTreeSet<_>>().len() as u64;
        }
    }
    let rule = DeploymentRule { names: Patterns::new(["Deploy"]).unwrap() };
    let told = history.delivery(&Ask::all(window(SMALL)), &rule).await.unwrap();
    assert_eq!((told.time_to_green.count, told.lead_time.count), (turned_green, led));
    assert_eq!((told.deployments, told.deployed.len() as u64), (deployed, deployed.min(100)));
    assert!(turned_green > 10 && led > 50 && deployed > 20, "{turned_green} {led} {deployed}");
    assert_eq!(told.turned_green.len() as u64, turned_green);
    // The same from its parts, each of which is gone through.
    let mut parts = (0, 0, 0);
    for from in (0..102).step_by(30) {
        let start = window(SMALL).from.0;
        let part = Window { from: Day(start + from), to: Day(start + (from + 29).min(101)) };
        let told = history.delivery(&Ask::all(part), &rule).await.unwrap();
        parts.0 += told.time_to_green.count;
        parts.1 += told.lead_time.count;
        parts.2 += told.deployments;
    }
    assert_eq!(parts, (turned_green, led, deployed));
}

/// What one process has read of statistics is not told once another one has written.
pub async fn two_readers(place: &dyn Place) {
    let (a, b) = (place.open().await.unwrap(), place.open().await.unwrap());
    let ask = Ask::all(window(SMALL));
    let mut batches = world::shuffled(SMALL, 5);
    batches.truncate(12);
    described(&*a, SMALL).await;
    for (n, batch) in batches.into_iter().enumerate() {
        let (writes, reads) = if n % 3 == 0 { (&b, &a) } else { (&a, &b) };
        writes.ingest(batch).await.unwrap();
        let told = everything(&**reads, SMALL, "forge").await;
        assert_eq!(told, everything(&**writes, SMALL, "forge").await);
        let fresh = place.open().await.unwrap();
        assert_eq!(told, everything(&*fresh, SMALL, "forge").await);
    }
    let before = a.figures(&ask).await.unwrap().runs;
    b.prune(Some(Day(ask.window.from.0 + 20)), at(0, 0)).await.unwrap();
    let after = a.figures(&ask).await.unwrap().runs;
    assert!(0 < after && after < before, "{after} of {before}");
    assert_eq!(after, b.figures(&ask).await.unwrap().runs);
}

/// Two processes that write the same news at once keep each run once.
pub async fn two_writers(place: &dyn Place) {
    let (a, b) = (place.open().await.unwrap(), place.open().await.unwrap());
    let write = async |history: &dyn History| {
        for n in 0..30_u64 {
            let status = if n % 3 == 0 { Status::Failed } else { Status::Success };
            Story::new().run("1", run(n, status, 0, i64::try_from(n).unwrap())).told(history).await;
        }
    };
    tokio::join!(write(&*a), write(&*b));
    let history = place.open().await.unwrap();
    assert_eq!(history.runs(&key("1"), &RunFilter::default(), 0, 100).await.unwrap().total, 30);
    let ask = Ask::all(window(SMALL));
    let figures = history.figures(&ask).await.unwrap();
    assert_eq!((figures.runs, figures.failed), (30, 10));
}
