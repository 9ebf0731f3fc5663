//! Deployments and how soon trouble is over.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::{Patterns, ProjectKey, RunId};

use super::Ask;
use super::broken::branches;
use super::deployed::Marked;
use super::lanes::Newest;
use super::ranking::lane_names;
use super::scope::Scope;
use super::verdicts::{Deployed, Newests, Wanted};
use crate::keeper::Keeper;
use crate::roll::{Group, Kind, Parts, Sketch, TIMELINE_DAYS, Verdict};
use crate::store::{Cause, RunKey, RunQuery, Store};
use crate::text::{id_of, is_remedy};
use crate::{Day, Result, Window};

/// Which runs deploy.
#[derive(Debug, Clone, Default)]
pub struct DeploymentRule {
    /// Runs of workflows of these names, and jobs of these names in runs of any other, in projects of which the platform marks no
    /// deployments; empty: of those nothing is known to deploy.
    pub names: Patterns,
}

/// A median, and of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Median {
    /// Over so many.
    pub count: u64,
    /// Half took no longer.
    pub median: Option<Duration>,
}

impl Median {
    pub(super) fn of(sketch: &Sketch) -> Self {
        Self { count: sketch.count(), median: sketch.percentile(0.5) }
    }
}

/// How often is deployed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frequency {
    /// Successful deployments in the window.
    pub deployments: u64,
    /// Of those, a day.
    pub mean_per_day: f64,
    /// On the median day.
    pub median_day: u64,
}

/// A run that a figure is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOf {
    /// Its project.
    pub project: ProjectKey,
    /// Its id.
    pub run: RunId,
    /// The number that people know it by.
    pub number: Option<u64>,
}

/// Delivery in a window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delivery {
    /// How often is deployed. `None`: the rule names nothing, and no platform marks anything.
    pub frequency: Option<Frequency>,
    /// Failed changes ÷ deployments, 0 to 1. `None` without a deployment.
    pub change_failure_rate: Option<f64>,
    /// All deployments, also failed ones: what the rate is of.
    pub deployments: u64,
    /// Of so many projects they are what the platform marks …
    pub marked_projects: u64,
    /// … and of so many what the rule names.
    pub named_projects: u64,
    /// How many of them failed.
    pub failures: u64,
    /// The newest of those, newest first: a hundred, as of the lists below.
    pub failed: Vec<RunOf>,
    /// The deployments, of those that a platform marks the runs that they came from, where it says so.
    pub deployed: Vec<RunOf>,
    /// From a failed deployment to the next green one.
    pub time_to_restore: Median,
    /// The failed deployments that it is of.
    pub restored: Vec<RunOf>,
    /// From the start of the first red run to the end of the next green one, on default branches (or the branch asked for).
    pub time_to_green: Median,
    /// The first red run of each period that it is of.
    pub turned_green: Vec<RunOf>,
    /// From commit to the first green run of each workflow on it, on default branches (or the branch asked for).
    pub lead_time: Median,
    /// Those green runs.
    pub led: Vec<RunOf>,
}

pub(crate) async fn delivery<S: Store>(
    keeper: &Keeper<S>,
    ask: &Ask,
    rule: &DeploymentRule,
) -> Result<Delivery> {
    let Some(scope) = Scope::of(keeper, ask).await? else { return Ok(Delivery::default()) };
    let window =
        scope.window.from.start().as_millisecond()..Day(scope.window.to.0 + 1).start().as_millisecond();
    let branch_of = branches(keeper, &scope).await?;
    let mut wanted = Wanted::new(branch_of, scope.branch, scope.window);
    let marked = Marked::of(keeper, &scope, &window).await?;
    if !rule.names.is_empty() {
        let lanes = lane_names(keeper, &scope.project_ids()).await?;
        let names =
            keeper.resolve(lanes.values().copied().collect(), BTreeSet::new(), BTreeSet::new()).await?;
        for (key, name) in &lanes {
            if !marked.has(key.0) && names.word(*name)?.is_some_and(|n| rule.names.lets_in(n)) {
                wanted.deploys.insert(*key);
            }
        }
    }
    let wanted = Arc::new(wanted);
    let (mut sums, mut newest) = wanted.measured(keeper, &scope).await?;
    let mut others = Deployed::new();
    if !rule.names.is_empty() {
        jobs_that_deploy(keeper, &scope, rule, (&wanted.deploys, &marked), &mut others).await?;
    }
    sums.deploying.extend(others.keys().map(|(project, _)| *project));
    let named_projects = sums.deploying.len() as u64;
    let deploys = !rule.names.is_empty() || !marked.is_empty();
    let marked_projects = marked.projects();
    others.extend(marked.lanes);
    for ((project, _), verdicts) in &others {
        newest.deployments.note(*project, verdicts, &window, &mut sums);
    }

    let mut delivery =
        Delivery { deployments: sums.deployments, failures: sums.failures, ..Delivery::default() };
    if deploys {
        (delivery.marked_projects, delivery.named_projects) = (marked_projects, named_projects);
        delivery.frequency = Some(frequency(&sums.by_day, scope.window.days()));
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let rate = delivery.failures as f64 / delivery.deployments as f64;
        delivery.change_failure_rate = (delivery.deployments > 0).then_some(rate);
    }
    let Newests { to_green, leads, deployments } = newest;
    let lists = [deployments.failed, deployments.runs, deployments.restored, to_green, leads];
    let lists = lists.map(Newest::keys);
    let [failed, deployed, restored, turned_green, led] = named(keeper, &scope, lists).await?;
    let lists = Delivery { failed, deployed, restored, turned_green, led, ..delivery };
    let [time_to_restore, time_to_green, lead_time] =
        [sums.restore, sums.to_green, sums.leads].map(|tally| Median::of(&tally.into()));
    Ok(Delivery { time_to_restore, time_to_green, lead_time, ..lists })
}

/// Adds the jobs that the rule names, each name as a lane of its own, of runs whose workflow does not deploy as a whole. Back to
/// as much before the window as is looked at of runs.
async fn jobs_that_deploy<S: Store>(
    keeper: &Keeper<S>,
    scope: &Scope,
    rule: &DeploymentRule,
    (deploys, marked): (&HashSet<(i32, i32)>, &Marked),
    deployed: &mut Deployed,
) -> Result<()> {
    let all: BTreeSet<i32> = keeper.store.job_names().await?.into_iter().collect();
    let names = keeper.resolve(all.clone(), BTreeSet::new(), BTreeSet::new()).await?;
    let mut projects: BTreeMap<i32, BTreeSet<i32>> = BTreeMap::new();
    for job in all {
        if names.word(job)?.is_some_and(|name| rule.names.lets_in(name)) {
            projects.insert(job, BTreeSet::new());
        }
    }
    if projects.is_empty() {
        return Ok(());
    }
    let from = (scope.window.from.0.div_euclid(TIMELINE_DAYS) - 1) * TIMELINE_DAYS;
    let window = Window { from: Day(from), to: scope.window.to };
    let note = |project: i32, job: i32, group: Group| {
        let counts = (group.runs() > 0 || group.further > 0) && !marked.has(project);
        if let Some(projects) = projects.get_mut(&job).filter(|_| counts) {
            projects.insert(project);
        }
    };
    scope.each(keeper, (Kind::Jobs, Parts::Counts), window, &scope.project_ids(), note).await?;
    // Project by project, so that no more than the runs of one stand in memory.
    let each = projects.into_iter().flat_map(|(job, projects)| projects.into_iter().map(move |p| (job, p)));
    for (job, project) in each {
        let name = names.word(job)?.unwrap_or_default();
        let query = RunQuery {
            projects: vec![project],
            from,
            to: scope.window.to.0,
            branch: scope.branch,
            newest: true,
            cause: Cause::Ran(job),
            limit: i64::MAX,
            ..RunQuery::default()
        };
        let rows = keeper.store.runs_with_jobs(&query).await?;
        let texts = keeper.names(&rows, &[]).await?;
        for row in rows.iter().filter(|r| !deploys.contains(&(r.project, r.lane))) {
            let attempt = texts.attempt(row)?;
            let remedy = attempt.pipeline.message.as_deref().is_some_and(is_remedy);
            let verdicts = attempt.jobs().filter(|j| j.name == name && j.status.is_verdict());
            let verdicts = verdicts.map(|j| Verdict {
                began_ms: j
                    .started_at
                    .or(j.created_at)
                    .unwrap_or_else(|| attempt.day.start())
                    .as_millisecond(),
                run: row.run,
                took_ms: j.duration.and_then(|d| i64::try_from(d.as_millis()).ok()).unwrap_or_default(),
                green: j.status.is_green(),
                remedy,
                commit: 0,
                lead_ms: None,
            });
            // No lane has such a number.
            deployed.entry((row.project, -job)).or_default().extend(verdicts);
        }
    }
    deployed.values_mut().for_each(|verdicts| verdicts.sort_unstable());
    Ok(())
}

/// What runs are called.
async fn named<S: Store, const N: usize>(
    keeper: &Keeper<S>,
    scope: &Scope,
    lists: [Vec<RunKey>; N],
) -> Result<[Vec<RunOf>; N]> {
    let names = Named::find(keeper, &lists.concat()).await?;
    Ok(lists.map(|keys| {
        let name = |k: &RunKey| {
            let (run, number) = names.of(k.project, k.run);
            Some(RunOf { project: scope.key(k.project)?, run, number })
        };
        keys.iter().filter_map(name).collect()
    }))
}

/// The ids of runs, where they are no numbers, and the numbers that people know runs by.
pub(super) struct Named(HashMap<(i32, i64), (Option<String>, Option<i64>)>);

impl Named {
    pub(super) async fn find<S: Store>(keeper: &Keeper<S>, runs: &[RunKey]) -> Result<Self> {
        if runs.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let found = keeper.store.run_names(runs).await?;
        Ok(Self(found.into_iter().map(|r| ((r.project, r.run), (r.text, r.number))).collect()))
    }

    pub(super) fn of(&self, project: i32, run: i64) -> (RunId, Option<u64>) {
        let (text, number) = self.0.get(&(project, run)).map_or((None, None), |(t, n)| (t.as_deref(), *n));
        (RunId::new(id_of(run, text)), number.and_then(|n| n.try_into().ok()))
    }
}

fn frequency(by_day: &BTreeMap<i32, u64>, days: i32) -> Frequency {
    let deployments: u64 = by_day.values().sum();
    let days = usize::try_from(days).unwrap_or_default().max(1);
    let mut counts: Vec<u64> = by_day.values().copied().collect();
    counts.resize(days.max(counts.len()), 0);
    counts.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let mean_per_day = deployments as f64 / days as f64;
    Frequency { deployments, mean_per_day, median_day: counts[(counts.len() - 1) / 2] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_day_counts_days_without() {
        let by_day = BTreeMap::from([(1, 4), (2, 2)]);
        let f = frequency(&by_day, 3);
        assert_eq!((f.deployments, f.median_day), (6, 2));
        assert!((f.mean_per_day - 2.0).abs() < 1e-9);
        assert_eq!(frequency(&by_day, 10).median_day, 0);
    }
}
