//! How the board's work grows: medians of several rounds, and ratios between them, since a bare time says more of the
//! machine than of the code. `cargo bench -p aggregator --bench board`

use std::hint::black_box;
use std::time::{Duration, Instant};

use aggregator::board::{Board, Observation, Rules, Seen};
use aggregator::hub::Present;
use aggregator::query::{ProjectQuery, list_projects};
use aggregator::watched::Watched;
use connector::Heads;
use domain::{NativeId, Pipeline, PlatformId, Project, ProjectKey, RunId, SourceName, Status, Timestamp};

const ROUNDS: usize = 15;
const RUNS: u64 = 40;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn key(n: usize) -> Option<ProjectKey> {
    Some(ProjectKey::new(SourceName::new("bench").ok()?, NativeId::new(n.to_string())))
}

fn heads(broken: bool) -> Heads {
    let run = |id: u64| {
        let status = if broken && id == RUNS { Status::Failed } else { Status::Success };
        let mut run = Pipeline::new(RunId::from(id), status, status.as_str());
        run.branch = Some("main".into());
        run.workflow.lane = "ci".into();
        run.created_at = Some(at(i64::try_from(id).unwrap_or(0) * 600));
        run.updated_at = run.created_at;
        run.duration = Some(Duration::from_secs(60 + id % 7));
        run
    };
    Heads { pipelines: (1..=RUNS).rev().map(run).collect(), ..Heads::default() }
}

fn board(projects: usize) -> Option<Board> {
    let mut board = Board::new(1);
    board.configure(SourceName::new("bench").ok()?, Rules::default());
    for n in 0..projects {
        let key = key(n)?;
        let name = format!("group-{}/project-{n}", n % 40);
        let project = Project {
            default_branch: Some("main".into()),
            ..Project::named(key.clone(), PlatformId::new("forge"), name)
        };
        board.apply(Observation { asked_at: at(1), seen: Seen::Projects(vec![project]) });
        board.apply(Observation { asked_at: at(2), seen: Seen::Heads(key, Box::new(heads(n % 20 == 0))) });
    }
    Some(board)
}

/// Median of the rounds.
fn median(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

fn overview(projects: usize) -> Option<Duration> {
    let present = Present {
        board: board(projects)?,
        sources: std::collections::BTreeMap::new(),
        work: Default::default(),
    };
    let request = api::v1::ListProjectsRequest { per_page: 100, fold: true, ..Default::default() };
    let query = ProjectQuery::try_from(request).ok()?;
    let watched = Watched::default();
    Some(median(|| {
        black_box(list_projects(&query, &present, &watched, Vec::new(), at(100_000)));
    }))
}

fn refresh(changed: bool) -> Option<Duration> {
    let mut board = board(1_000)?;
    let mut round = 10;
    let mut flip = false;
    Some(median(|| {
        round += 1;
        flip = !flip;
        for n in 0..1_000 {
            let Some(key) = key(n) else { return };
            let mut state = heads(n % 20 == 0);
            if changed {
                state.pipelines[0].status = if flip { Status::Failed } else { Status::Success };
                state.pipelines[0].native_status = state.pipelines[0].status.as_str().to_owned();
                state.pipelines[0].updated_at = Some(at(1_000_000 + round));
            }
            black_box(
                board.apply(Observation { asked_at: at(round), seen: Seen::Heads(key, Box::new(state)) }),
            );
        }
    }))
}

fn main() {
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64().max(f64::EPSILON);
    let (Some(small), Some(large), Some(still), Some(moving)) =
        (overview(1_000), overview(10_000), refresh(false), refresh(true))
    else {
        eprintln!("the bench's own names do not parse");
        return;
    };
    println!("overview, 100 rows of  1,000 projects: {small:?}");
    println!(
        "overview, 100 rows of 10,000 projects: {large:?}  ratio {:.1} (linear: 10)",
        ratio(large, small)
    );
    println!("refresh of 1,000 projects, nothing new: {still:?}");
    println!("refresh of 1,000 projects, all changed: {moving:?}  ratio {:.1}", ratio(moving, still));
}
