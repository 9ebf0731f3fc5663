//! What is red and green on the same commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use domain::{ProjectKey, RunId, Status};

use super::delivery::Named;
use super::ranking::lane_names;
use super::scope::{Branch, Scope};
use super::{Ask, NEARLY_ONLY_RED, QUIET_DAYS, QUIET_RUNS};
use crate::keeper::Keeper;
use crate::roll::{Group, Kind};
use crate::store::{FlakeRow, RunKey, Store};
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
    /// The newest runs that it was seen on, newest first.
    pub runs: Vec<(RunId, Option<u64>)>,
}

/// How many runs are named with what is flaky.
const EXAMPLES: usize = 10;
/// Of how many, the worst ones, the numbers of those runs are told.
const NUMBERED: usize = 100;

type Id = (i32, i32, i32);

pub(crate) async fn flaky<S: Store>(keeper: &Keeper<S>, ask: &Ask) -> Result<Vec<Flaky>> {
    let Some(scope) = Scope::of(keeper, ask).await? else { return Ok(Vec::new()) };
    let rows = keeper.store.flakes(&scope.project_ids(), scope.window.from.0, scope.window.to.0).await?;
    let mut of: BTreeMap<Id, Vec<FlakeRow>> = BTreeMap::new();
    for row in rows.into_iter().filter(|r| scope.branch == Branch::Any || r.branch == scope.branch.number()) {
        of.entry((row.project, row.lane, row.job)).or_default().push(row);
    }
    let projects: BTreeSet<i32> = of.keys().map(|(project, ..)| *project).collect();
    let projects: Vec<i32> = projects.into_iter().collect();
    let counts = Counts::of(keeper, &scope, scope.window, &projects).await?;
    let recent = Window { from: Day(scope.window.to.0 - QUIET_DAYS + 1), to: scope.window.to };
    let quiet = Counts::of(keeper, &scope, recent, &projects).await?;

    let lanes = lane_names(keeper, &projects).await?;
    let words = of.keys().flat_map(|(_, lane, job)| [*lane, *job]).chain(lanes.values().copied()).collect();
    let names = keeper.resolve(words, BTreeSet::new(), BTreeSet::new()).await?;
    let mut found = Vec::new();
    for ((project, lane, job), mut rows) in of {
        let Some(key) = scope.key(project) else { continue };
        rows.sort_unstable_by_key(|r| (std::cmp::Reverse(r.day), std::cmp::Reverse(r.run)));
        let (verdicts, red) = counts.get((project, lane, job));
        let last = rows.first().map_or(0, |r| r.day);
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let nearly_only_red = verdicts > 0 && red as f64 / verdicts as f64 >= NEARLY_ONLY_RED;
        let state = if nearly_only_red {
            FlakyState::Broken
        } else if last <= scope.window.to.0 - QUIET_DAYS && quiet.get((project, lane, job)).0 >= QUIET_RUNS {
            FlakyState::Cleared
        } else {
            FlakyState::Flaky
        };
        let newest = rows.iter().take(EXAMPLES);
        let examples = newest.map(|r| RunKey { project, run: r.run, from: r.day - 1, to: r.day + 1 });
        let examples: Vec<RunKey> = examples.collect();
        let flaky = Flaky {
            project: key,
            project_name: scope.projects.get(&project).map(|p| p.name.clone()).unwrap_or_default(),
            lane: names.word(lane)?.unwrap_or_default().to_owned(),
            workflow: names
                .word(lanes.get(&(project, lane)).copied().unwrap_or_default())?
                .map(str::to_owned),
            job: names.word(job)?.map(str::to_owned),
            state,
            commits: rows.len() as u64,
            verdicts,
            wasted: Duration::from_millis(rows.iter().map(|r| r.wasted.max(0).cast_unsigned()).sum()),
            last: Day(last),
            runs: Vec::new(),
        };
        found.push((flaky, examples));
    }
    found.sort_by(|(a, _), (b, _)| {
        (b.wasted, b.commits)
            .cmp(&(a.wasted, a.commits))
            .then_with(|| (&a.project, &a.lane, &a.job).cmp(&(&b.project, &b.lane, &b.job)))
    });
    // Ids that are no numbers have to be looked up; what people call the runs is, of those that are shown.
    let wanted = found.iter().enumerate().flat_map(|(at, (_, examples))| {
        examples.iter().filter(move |key| at < NUMBERED || key.run < 0).copied()
    });
    let wanted: Vec<RunKey> = wanted.collect();
    let names = Named::find(keeper, &wanted).await?;
    let named = |(flaky, examples): (Flaky, Vec<RunKey>)| {
        let runs = examples.iter().map(|key| names.of(key.project, key.run)).collect();
        Flaky { runs, ..flaky }
    };
    Ok(found.into_iter().map(named).collect())
}

/// Verdicts and red ones, by lane and by job's name.
#[derive(Default)]
struct Counts {
    lanes: HashMap<(i32, i32), (u64, u64)>,
    jobs: HashMap<(i32, i32), (u64, u64)>,
}

impl Counts {
    async fn of<S: Store>(
        keeper: &Keeper<S>,
        scope: &Scope,
        window: Window,
        projects: &[i32],
    ) -> Result<Self> {
        fn add(to: &mut HashMap<(i32, i32), (u64, u64)>, key: (i32, i32), group: &Group) {
            let red = group.of(Status::Failed);
            let sum = to.entry(key).or_default();
            *sum = (sum.0 + red + group.of(Status::Success) + group.of(Status::Warning), sum.1 + red);
        }
        let mut counts = Self::default();
        let lanes = &mut counts.lanes;
        scope
            .each(keeper, Kind::Runs, window, projects, |p, lane, group| add(lanes, (p, lane), &group))
            .await?;
        let jobs = &mut counts.jobs;
        scope.each(keeper, Kind::Jobs, window, projects, |p, job, group| add(jobs, (p, job), &group)).await?;
        Ok(counts)
    }

    fn get(&self, (project, lane, job): Id) -> (u64, u64) {
        let found = if job == 0 { self.lanes.get(&(project, lane)) } else { self.jobs.get(&(project, job)) };
        found.copied().unwrap_or_default()
    }
}
