//! Deployments and how soon trouble is over.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use domain::{Patterns, ProjectKey, RunId};

use super::Ask;
use super::broken::branches;
use super::deployed::Marked;
use super::lanes::{Lanes, Measured, Newest, end, run_of};
use super::ranking::lane_names;
use super::rolls::{Rolls, each_part, each_roll};
use super::scope::Scope;
use crate::calendar::Blocks;
use crate::keeper::{FOR_EVER, Keeper};
use crate::roll::{Group, Kind, Parts, Sketch, TIMELINE_DAYS, Timeline, Verdict};
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

/// A remedy within this time says that the deployment before it failed.
const REMEDY_WITHIN_MS: i64 = 24 * 60 * 60 * 1000;
/// Periods of red that end in the window: the first red run, and the next green one.
fn stretches(verdicts: &[Verdict], window: &Range<i64>) -> Vec<(Verdict, Verdict)> {
    let (mut found, mut first) = (Vec::new(), None);
    for v in verdicts {
        match (v.green, first) {
            (false, None) => first = Some(*v),
            (true, Some(red)) => {
                if window.contains(&end(v)) {
                    found.push((red, *v));
                }
                first = None;
            }
            _ => {}
        }
    }
    found
}

/// Which deployments failed: those that were red, and those that a remedy followed soon.
fn failed(verdicts: &[Verdict]) -> impl Iterator<Item = (&Verdict, bool)> {
    verdicts.iter().enumerate().map(|(i, v)| {
        let remedied =
            verdicts.get(i + 1).is_some_and(|next| next.remedy && next.began_ms - end(v) <= REMEDY_WITHIN_MS);
        (v, !v.green || remedied)
    })
}

/// Verdicts of what deploys by project and lane, in the order of their beginning.
pub(super) type Deployed = BTreeMap<(i32, i32), Vec<Verdict>>;

/// What is measured.
struct Wanted {
    /// The branch of each project whose colour counts.
    branch_of: HashMap<i32, i32>,
    /// Lanes that deploy, on whatever branch is asked for.
    deploys: HashSet<(i32, i32)>,
    /// 0: any.
    branch: i32,
    /// Milliseconds since 1970.
    window: Range<i64>,
}

/// What was measured.
#[derive(Default)]
struct Found {
    to_green: Measured,
    leads: Measured,
    deployed: Deployed,
}

impl Found {
    fn note(&mut self, mut of: Followed) {
        of.lanes.tell(of.project, &mut self.to_green, &mut self.leads);
        self.deployed.append(&mut of.deployed);
    }
}

/// What was found of a project.
struct Followed {
    project: i32,
    lanes: Lanes,
    deployed: Deployed,
}

impl Wanted {
    /// Goes through the verdicts of some projects, of which all are known that began at `known_from` or later.
    fn follow(&self, rolls: Rolls, known_from: i64) -> Result<Vec<Followed>> {
        let mut all: Vec<Followed> = Vec::new();
        for (project, _, bytes) in rolls {
            if all.last().is_none_or(|last| last.project != project) {
                all.push(Followed { project, lanes: Lanes::default(), deployed: Deployed::new() });
            }
            let Some(Followed { lanes, deployed, .. }) = all.last_mut() else { continue };
            let branch_of = self.branch_of.get(&project).copied();
            let counts = |branch| branch_of == Some(branch);
            let deploys = |lane| !self.deploys.is_empty() && self.deploys.contains(&(project, lane));
            let take = |(branch, lane): (i32, i32), verdicts: &[Verdict]| {
                let asked = self.branch == 0 || self.branch == branch;
                if asked && deploys(lane) {
                    deployed.entry((project, lane)).or_default().extend_from_slice(verdicts);
                }
                if counts(branch) {
                    lanes.follow(lane, verdicts, &self.window, known_from);
                }
            };
            Timeline::each_of(&bytes, |(branch, lane)| counts(branch) || deploys(lane), take)?;
        }
        for Followed { lanes, deployed, .. } in &mut all {
            lanes.ended();
            // Of several branches, each of which is in order: what sorts by merging is quick.
            deployed.values_mut().for_each(|verdicts| verdicts.sort());
        }
        Ok(all)
    }

    /// Whether what began before the verdicts that were gone through decides a figure.
    fn needs_older(&self, followed: &Followed) -> bool {
        let red_before = |verdicts: &Vec<Verdict>| {
            verdicts.iter().find(|v| v.green).is_some_and(|v| self.window.contains(&end(v)))
        };
        followed.lanes.needs_older() || followed.deployed.values().any(red_before)
    }

    /// What the window holds, with as much before it as decides its figures.
    async fn all<S: Store>(self: &Arc<Self>, keeper: &Keeper<S>, scope: &Scope) -> Result<Found> {
        // Most of what was red when the window began has not been so for long.
        let first = scope.window.from.0.div_euclid(TIMELINE_DAYS) - 1;
        let last = scope.window.to.0.div_euclid(TIMELINE_DAYS);
        let blocks = |from, to| Blocks { level: 0, from, to };
        let follow = |known_from| {
            let wanted = Arc::clone(self);
            move |rolls| wanted.follow(rolls, known_from)
        };
        let (mut found, mut undecided) = (Found::default(), Vec::new());
        let known_from = follow(Day(first * TIMELINE_DAYS).start().as_millisecond());
        let take = |part: Vec<Followed>| {
            let (unsure, sure): (Vec<_>, Vec<_>) = part.into_iter().partition(|f| self.needs_older(f));
            sure.into_iter().for_each(|f| found.note(f));
            undecided.extend(unsure);
        };
        each_part(keeper, Kind::Timeline, blocks(first, last), &scope.project_ids(), known_from, take)
            .await?;
        // Most of these have nothing older.
        let projects: Vec<i32> = undecided.iter().map(|f| f.project).collect();
        let mut with_older = BTreeSet::new();
        let older = blocks(FOR_EVER.0, first - 1);
        each_roll(keeper, Kind::Timeline, &[older], &projects, |(_, project, _), _| {
            with_older.insert(project);
            Ok(())
        })
        .await?;
        undecided.into_iter().filter(|f| !with_older.contains(&f.project)).for_each(|f| found.note(f));
        let projects: Vec<i32> = with_older.into_iter().collect();
        let take = |part: Vec<Followed>| part.into_iter().for_each(|f| found.note(f));
        each_part(keeper, Kind::Timeline, blocks(FOR_EVER.0, last), &projects, follow(i64::MIN), take)
            .await?;
        Ok(found)
    }
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
    let mut wanted =
        Wanted { branch_of, deploys: HashSet::new(), branch: scope.branch, window: window.clone() };
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
    let Found { to_green, leads, mut deployed } = wanted.all(keeper, &scope).await?;
    if !rule.names.is_empty() {
        jobs_that_deploy(keeper, &scope, rule, (&wanted.deploys, &marked), &mut deployed).await?;
    }
    let named_projects: BTreeSet<i32> = deployed.keys().map(|(project, _)| *project).collect();
    let deploys = !rule.names.is_empty() || !marked.is_empty();
    let marked_projects = marked.projects();
    deployed.extend(marked.lanes);

    let mut delivery = Delivery::default();
    let mut by_day: BTreeMap<i32, u64> = BTreeMap::new();
    let (mut runs, mut bad, mut restore) = (Newest::default(), Newest::default(), Measured::default());
    for ((project, _), verdicts) in &deployed {
        for (red, green) in stretches(verdicts, &window) {
            restore.note(*project, run_of(&red), end(&green) - end(&red));
        }
        for (v, is_failed) in failed(verdicts).filter(|(v, _)| window.contains(&v.began_ms)) {
            delivery.deployments += 1;
            runs.note(*project, run_of(v));
            if v.green {
                *by_day.entry(Day::of_ms(v.began_ms).0).or_default() += 1;
            }
            if is_failed {
                delivery.failures += 1;
                bad.note(*project, run_of(v));
            }
        }
    }
    if deploys {
        (delivery.marked_projects, delivery.named_projects) = (marked_projects, named_projects.len() as u64);
        delivery.frequency = Some(frequency(&by_day, scope.window.days()));
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let rate = delivery.failures as f64 / delivery.deployments as f64;
        delivery.change_failure_rate = (delivery.deployments > 0).then_some(rate);
    }
    let (time_to_restore, restored) = restore.told();
    let (time_to_green, turned_green) = to_green.told();
    let (lead_time, led) = leads.told();
    let [failed, deployed, restored, turned_green, led] =
        named(keeper, &scope, [bad.keys(), runs.keys(), restored, turned_green, led]).await?;
    let lists = Delivery { failed, deployed, restored, turned_green, led, ..delivery };
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

    fn v(began: i64, took: i64, green: bool, remedy: bool) -> Verdict {
        Verdict { began_ms: began, run: began, took_ms: took, green, remedy, commit: 0, lead_ms: None }
    }

    const ALL: Range<i64> = i64::MIN..i64::MAX;
    const HOUR: i64 = 60 * 60 * 1000;

    #[test]
    fn red_lasts_from_its_first_run_to_the_next_green_one() {
        let lane =
            [v(0, 5, true, false), v(10, 5, false, false), v(20, 5, false, false), v(30, 10, true, false)];
        assert_eq!(stretches(&lane, &ALL), [(lane[1], lane[3])]);
        assert_eq!(stretches(&lane, &(50..60)), [], "it was over before the window");
        assert_eq!(stretches(&lane, &(40..60)), [(lane[1], lane[3])], "its end counts");
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
