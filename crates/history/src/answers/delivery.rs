//! Deployments and how soon trouble is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::{Patterns, ProjectKey, RunId};

use super::Ask;
use super::broken::branches;
use super::ranking::lane_names;
use super::scope::{Branch, Scope};
use crate::keeper::Keeper;
use crate::roll::{Kind, Sketch, TIMELINE_DAYS, Timeline, Verdict};
use crate::store::{RunKey, Store};
use crate::text::id_of;
use crate::{Day, Result};

/// Which runs deploy.
#[derive(Debug, Clone, Default)]
pub struct DeploymentRule {
    /// Runs of workflows of these names; empty: nothing is known to deploy, and there are no figures of deployments.
    pub workflows: Patterns,
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
    fn of(sketch: &Sketch) -> Self {
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

/// Delivery in a window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delivery {
    /// How often is deployed. `None`: the rule names no workflow.
    pub frequency: Option<Frequency>,
    /// Failed changes ÷ deployments, 0 to 1. `None` without a deployment.
    pub change_failure_rate: Option<f64>,
    /// All deployments, also failed ones: what the rate is of.
    pub deployments: u64,
    /// The changes that failed.
    pub failed: Vec<(ProjectKey, RunId)>,
    /// From a failed deployment to the next green one.
    pub time_to_restore: Median,
    /// From the start of the first red run to the end of the next green one, on default branches (or the branch asked for).
    pub time_to_green: Median,
    /// From commit to green on default branches (or the branch asked for).
    pub lead_time: Median,
}

/// A remedy within this time says that the deployment before it failed.
const REMEDY_WITHIN_MS: i64 = 24 * 60 * 60 * 1000;

/// A run of a lane that deploys.
#[derive(Debug)]
struct Deployments<'a> {
    project: i32,
    /// In the order of their beginning.
    verdicts: &'a [Verdict],
}

const fn end(v: &Verdict) -> i64 {
    v.began_ms + v.took_ms
}

/// Periods of red, from the beginning of the first red run to the end of the next green one, that end in the window.
fn to_green(verdicts: &[Verdict], (from, to): (i64, i64), into: &mut Sketch) {
    let mut since = None;
    for v in verdicts {
        match (v.green, since) {
            (false, None) => since = Some(v.began_ms),
            (true, Some(began)) => {
                if (from..to).contains(&end(v)) {
                    into.add(&Sketch::of(end(v) - began), 1);
                }
                since = None;
            }
            _ => {}
        }
    }
}

/// From the end of each first failed deployment to the end of the next green one.
fn to_restore(verdicts: &[Verdict], (from, to): (i64, i64), into: &mut Sketch) {
    let mut since = None;
    for v in verdicts {
        match (v.green, since) {
            (false, None) => since = Some(end(v)),
            (true, Some(failed)) => {
                if (from..to).contains(&end(v)) {
                    into.add(&Sketch::of(end(v) - failed), 1);
                }
                since = None;
            }
            _ => {}
        }
    }
}

/// Which deployments failed: those that were red, and those that a remedy followed soon.
fn failed(verdicts: &[Verdict]) -> impl Iterator<Item = (&Verdict, bool)> {
    verdicts.iter().enumerate().map(|(i, v)| {
        let remedied =
            verdicts.get(i + 1).is_some_and(|next| next.remedy && next.began_ms - end(v) <= REMEDY_WITHIN_MS);
        (v, !v.green || remedied)
    })
}

pub(crate) async fn delivery<S: Store>(
    keeper: &Keeper<S>,
    ask: &Ask,
    rule: &DeploymentRule,
) -> Result<Delivery> {
    let Some(scope) = Scope::of(keeper, ask).await? else { return Ok(Delivery::default()) };
    let projects = scope.project_ids();
    let branch_of = branches(keeper, &scope).await?;
    let window =
        (scope.window.from.start().as_millisecond(), Day(scope.window.to.0 + 1).start().as_millisecond());
    // What was red when the window began began to be so before it.
    let first = scope.window.from.0.div_euclid(TIMELINE_DAYS) - 1;
    let last = scope.window.to.0.div_euclid(TIMELINE_DAYS);
    let lanes = lane_names(keeper, &projects).await?;
    let names = keeper.resolve(lanes.values().copied().collect(), BTreeSet::new(), BTreeSet::new()).await?;
    let mut deploys = BTreeSet::new();
    if !rule.workflows.is_empty() {
        for (key, name) in &lanes {
            if names.word(*name)?.is_some_and(|n| rule.workflows.lets_in(n)) {
                deploys.insert(*key);
            }
        }
    }

    let mut green: BTreeMap<(i32, i32), Vec<Verdict>> = BTreeMap::new();
    let mut deployed: BTreeMap<(i32, i32), Vec<Verdict>> = BTreeMap::new();
    for (project, _, bytes) in keeper.store.rolls(Kind::Timeline.number(), 0, &projects, first, last).await? {
        for ((branch, lane), verdicts) in Timeline::from_bytes_of(&bytes, |(branch, lane)| {
            deploys.contains(&(project, lane)) || branch_of.get(&project) == Some(&branch)
        })?
        .0
        {
            let asked = scope.branch == Branch::Any || scope.branch.number() == branch;
            if deploys.contains(&(project, lane)) && asked {
                deployed.entry((project, lane)).or_default().extend(verdicts.iter().copied());
            }
            if branch_of.get(&project) == Some(&branch) {
                green.entry((project, lane)).or_default().extend(verdicts);
            }
        }
    }
    let mut restore = Sketch::default();
    let mut to_green_again = Sketch::default();
    for verdicts in green.values() {
        to_green(verdicts, window, &mut to_green_again);
    }
    let mut delivery = Delivery::default();
    let mut by_day: BTreeMap<i32, u64> = BTreeMap::new();
    let mut bad: Vec<RunKey> = Vec::new();
    for ((project, _), verdicts) in &mut deployed {
        // Of several branches.
        verdicts.sort_unstable();
        let of = Deployments { project: *project, verdicts };
        to_restore(of.verdicts, window, &mut restore);
        for (v, is_failed) in failed(of.verdicts).filter(|(v, _)| (window.0..window.1).contains(&v.began_ms))
        {
            let day = Day::of_ms(v.began_ms).0;
            delivery.deployments += 1;
            if v.green {
                *by_day.entry(day).or_default() += 1;
            }
            if is_failed {
                bad.push(RunKey { project: of.project, run: v.run, from: day - 1, to: day + 1 });
            }
        }
    }
    if !rule.workflows.is_empty() {
        delivery.frequency = Some(frequency(&by_day, scope.window.days()));
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let rate = bad.len() as f64 / delivery.deployments as f64;
        delivery.change_failure_rate = (delivery.deployments > 0).then_some(rate);
    }
    delivery.time_to_restore = Median::of(&restore);
    delivery.time_to_green = Median::of(&to_green_again);

    let unnamed: Vec<RunKey> = bad.iter().filter(|k| k.run < 0).copied().collect();
    let texts: BTreeMap<(i32, i64), Option<String>> = keeper
        .store
        .find_runs(&unnamed)
        .await?
        .into_iter()
        .map(|row| ((row.project, row.run), row.run_text))
        .collect();
    for key in bad {
        let id = id_of(key.run, texts.get(&(key.project, key.run)).and_then(Option::as_deref));
        delivery.failed.extend(scope.key(key.project).map(|project| (project, RunId::new(id))));
    }

    let mut lead = Sketch::default();
    let mut of_branch: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for project in &projects {
        if let Some(branch) = branch_of.get(project) {
            of_branch.entry(*branch).or_default().push(*project);
        }
    }
    for (branch, projects) in of_branch {
        let scope = scope.on(Branch::of(keeper, branch).await?);
        scope
            .each(keeper, Kind::Runs, scope.window, &projects, |_, _, group| lead.add(&group.lead, 1))
            .await?;
    }
    delivery.lead_time = Median::of(&lead);
    Ok(delivery)
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

    fn v(began: i64, took: i64, green: bool, remedy: bool) -> Verdict {
        Verdict { began_ms: began, run: began, took_ms: took, green, remedy }
    }

    const ALL: (i64, i64) = (i64::MIN, i64::MAX);
    const HOUR: i64 = 60 * 60 * 1000;

    #[test]
    fn red_lasts_from_its_first_run_to_the_end_of_the_next_green_one() {
        let mut sketch = Sketch::default();
        let lane =
            [v(0, 5, true, false), v(10, 5, false, false), v(20, 5, false, false), v(30, 10, true, false)];
        to_green(&lane, ALL, &mut sketch);
        assert_eq!((sketch.count(), sketch.total()), (1, Duration::from_millis(30)));
        let mut sketch = Sketch::default();
        to_restore(&lane, ALL, &mut sketch);
        assert_eq!(sketch.total(), Duration::from_millis(25));
        let mut sketch = Sketch::default();
        to_green(&lane, (50, 60), &mut sketch);
        assert_eq!(sketch.count(), 0, "it was over before the window");
    }

    #[test]
    fn a_remedy_condemns_the_deployment_before_it() {
        let lane = [
            v(0, 1, true, false),
            v(HOUR, 1, true, true),
            v(2 * HOUR, 1, false, false),
            v(40 * HOUR, 1, true, true),
        ];
        assert_eq!(failed(&lane).map(|(_, f)| f).collect::<Vec<_>>(), [true, false, true, false]);
    }

    #[test]
    fn the_median_day_counts_days_without() {
        let by_day = BTreeMap::from([(1, 4), (2, 2)]);
        let f = frequency(&by_day, 3);
        assert_eq!((f.deployments, f.median_day), (6, 2));
        assert!((f.mean_per_day - 2.0).abs() < 1e-9);
        assert_eq!(frequency(&by_day, 10).median_day, 0);
    }
}
