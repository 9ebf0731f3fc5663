//! What is red and green on the same commit.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use domain::{ProjectKey, RunId, Status};
use futures::TryStreamExt;
use futures::stream::FuturesOrdered;

use super::delivery::Named;
use super::ranking::lane_names;
use super::scope::Scope;
use super::{Ask, NEARLY_ONLY_RED, QUIET_DAYS, QUIET_RUNS};
use crate::keeper::Keeper;
use crate::roll::{Group, Kind, Parts};
use crate::store::{FlakeRow, FlakySum, RunKey, Store};
use crate::{Day, Result, Window};

/// How flaky something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlakyState {
    /// It is.
    Flaky,
    /// It is nearly only red, which outranks flaky.
    Broken,
    /// It was, and has been quiet since.
    Cleared,
}

/// Something that was red and green on the same commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Flaky {
    /// Whose.
    pub project: ProjectKey,
    /// The project's name.
    pub project_name: String,
    /// The lane.
    pub lane: String,
    /// The workflow's name.
    pub workflow: Option<String>,
    /// The job; `None`: the run as a whole.
    pub job: Option<String>,
    /// How it is.
    pub state: FlakyState,
    /// On so many commits.
    pub commits: u64,
    /// Of so many runs (or jobs) that came to a verdict in the window; a job's are those of all lanes.
    pub verdicts: u64,
    /// Work in red attempts on those commits.
    pub wasted: Duration,
    /// The last time.
    pub last: Day,
    /// The newest runs that it was seen on, newest first: ten, and of the hundred that waste most.
    pub runs: Vec<(RunId, Option<u64>)>,
}

/// How many runs are named with what is flaky.
const EXAMPLES: i64 = 10;
/// Parts that are summed at once.
const PARTS: usize = 3;
/// With how many, the worst ones.
const NAMED: usize = 100;

type Id = (i32, i32, i32);

pub(crate) async fn flaky<S: Store>(keeper: &Keeper<S>, ask: &Ask) -> Result<Vec<Flaky>> {
    let Some(scope) = Scope::of(keeper, ask).await? else { return Ok(Vec::new()) };
    let sums = sums(keeper, &scope).await?;
    let projects: BTreeSet<i32> = sums.iter().map(|f| f.project).collect();
    let projects: Vec<i32> = projects.into_iter().collect();
    let recent = Window { from: Day(scope.window.to.0 - QUIET_DAYS + 1), to: scope.window.to };
    let (counts, quiet, mut runs) = tokio::try_join!(
        Counts::of(keeper, &scope, scope.window, &projects),
        Counts::of(keeper, &scope, recent, &projects),
        examples(keeper, &scope, &sums),
    )?;

    let lanes = lane_names(keeper, &projects).await?;
    let words = sums.iter().flat_map(|f| [f.lane, f.job]).chain(lanes.values().copied()).collect();
    let names = keeper.resolve(words, BTreeSet::new(), BTreeSet::new()).await?;
    let mut found = Vec::new();
    for FlakySum { project, lane, job, commits, wasted, last } in sums {
        let Some(key) = scope.key(project) else { continue };
        let (verdicts, red) = counts.get((project, lane, job));
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let nearly_only_red = verdicts > 0 && red as f64 / verdicts as f64 >= NEARLY_ONLY_RED;
        let state = if nearly_only_red {
            FlakyState::Broken
        } else if last <= scope.window.to.0 - QUIET_DAYS && quiet.get((project, lane, job)).0 >= QUIET_RUNS {
            FlakyState::Cleared
        } else {
            FlakyState::Flaky
        };
        let flaky = Flaky {
            project: key,
            project_name: scope.projects.get(&project).map(|p| p.name.clone()).unwrap_or_default(),
            lane: names.word(lane)?.unwrap_or_default().to_owned(),
            workflow: names
                .word(lanes.get(&(project, lane)).copied().unwrap_or_default())?
                .map(str::to_owned),
            job: names.word(job)?.map(str::to_owned),
            state,
            commits: commits.max(0).cast_unsigned(),
            verdicts,
            wasted: Duration::from_millis(wasted.max(0).cast_unsigned()),
            last: Day(last),
            runs: Vec::new(),
        };
        found.push(((project, lane, job), flaky));
    }
    found.sort_by(|(_, a), (_, b)| {
        (b.wasted, b.commits)
            .cmp(&(a.wasted, a.commits))
            .then_with(|| (&a.project, &a.lane, &a.job).cmp(&(&b.project, &b.lane, &b.job)))
    });
    let named = |(id, flaky)| Flaky { runs: runs.remove(&id).unwrap_or_default(), ..flaky };
    Ok(found.into_iter().map(named).collect())
}

/// What was flaky how often: some projects at a time, several times at once.
async fn sums<S: Store>(keeper: &Keeper<S>, scope: &Scope) -> Result<Vec<FlakySum>> {
    let (branch, Window { from, to }) = (scope.branch, scope.window);
    let projects = scope.project_ids();
    let parts: FuturesOrdered<_> = projects
        .chunks(projects.len().div_ceil(PARTS).max(1))
        .map(|part| keeper.store.flaky(part, branch, from.0, to.0))
        .collect();
    Ok(parts.try_collect::<Vec<_>>().await?.concat())
}

/// The newest runs of each of those that waste most.
async fn examples<S: Store>(
    keeper: &Keeper<S>,
    scope: &Scope,
    sums: &[FlakySum],
) -> Result<HashMap<Id, Vec<(RunId, Option<u64>)>>> {
    let mut worst: Vec<&FlakySum> = sums.iter().collect();
    let id = |f: &FlakySum| (f.project, f.lane, f.job);
    worst.sort_by_key(|f| (Reverse((f.wasted, f.commits)), id(f)));
    let worst: Vec<Id> = worst.into_iter().take(NAMED).map(id).collect();
    let (branch, Window { from, to }) = (scope.branch, scope.window);
    let rows = keeper.store.newest_flakes(&worst, branch, from.0, to.0, EXAMPLES).await?;
    let key = |r: &FlakeRow| RunKey { project: r.project, run: r.run, from: r.day - 1, to: r.day + 1 };
    let names = Named::find(keeper, &rows.iter().map(key).collect::<Vec<_>>()).await?;
    let mut runs: HashMap<Id, Vec<(RunId, Option<u64>)>> = HashMap::new();
    for row in rows {
        runs.entry((row.project, row.lane, row.job)).or_default().push(names.of(row.project, row.run));
    }
    Ok(runs)
}

/// Verdicts and red ones, by project and lane or job's name.
type Verdicts = HashMap<(i32, i32), (u64, u64)>;

/// Verdicts of lanes and of jobs.
struct Counts {
    lanes: Verdicts,
    jobs: Verdicts,
}

impl Counts {
    async fn of<S: Store>(
        keeper: &Keeper<S>,
        scope: &Scope,
        window: Window,
        projects: &[i32],
    ) -> Result<Self> {
        let of = async |kind| {
            let note = |to: &mut Verdicts, key: (i32, i32), group: &Group| {
                let red = group.of(Status::Failed);
                let sum = to.entry(key).or_default();
                *sum = (sum.0 + red + group.of(Status::Success) + group.of(Status::Warning), sum.1 + red);
            };
            let mut all = Verdicts::new();
            let take = |part: Verdicts| {
                for (key, (verdicts, red)) in part {
                    let sum = all.entry(key).or_default();
                    *sum = (sum.0 + verdicts, sum.1 + red);
                }
            };
            let what = (kind, Parts::Counts);
            scope.each_on_threads(keeper, what, window, projects, note, take).await.map(|()| all)
        };
        let (lanes, jobs) = tokio::try_join!(of(Kind::Runs), of(Kind::Jobs))?;
        Ok(Self { lanes, jobs })
    }

    fn get(&self, (project, lane, job): Id) -> (u64, u64) {
        let found = if job == 0 { self.lanes.get(&(project, lane)) } else { self.jobs.get(&(project, job)) };
        found.copied().unwrap_or_default()
    }
}
