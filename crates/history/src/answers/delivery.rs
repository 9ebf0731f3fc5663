//! Deployments and how soon trouble is over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::time::Duration;

use domain::{Patterns, ProjectKey, RunId};

use super::Ask;
use super::broken::branches;
use super::deployed::{self, Marked};
use super::ranking::lane_names;
use super::scope::{Branch, Scope};
use crate::ingest::NEAR_DAYS;
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
    fn of(times_ms: Vec<i64>) -> Self {
        let sketch = Sketch::of_all(times_ms);
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
/// How many runs are named with a figure.
const NAMED: usize = 100;

const fn end(v: &Verdict) -> i64 {
    v.began_ms + v.took_ms
}

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

/// The first green run on each commit that began in the window, with the time since the commit. What runs on a commit
/// again, every night for one, says nothing of how long the commit took.
fn leads(verdicts: &[Verdict], window: &Range<i64>) -> Vec<(Verdict, i64)> {
    let mut commits = Commits::with_capacity_and_hasher(verdicts.len(), BuildHasherDefault::default());
    let firsts = verdicts.iter().filter(|v| v.green && (v.commit == 0 || commits.insert(v.commit)));
    firsts.filter(|v| window.contains(&v.began_ms)).filter_map(|v| Some((*v, v.lead_ms?))).collect()
}

/// Beginnings of commits' ids, which are as good as chance themselves.
type Commits = HashSet<i32, BuildHasherDefault<AsItIs>>;

/// Takes a number for its hash.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_i32(&mut self, n: i32) {
        // A table takes its place from the low bits, and what tells neighbours apart from the high ones.
        let n = u64::from(n.cast_unsigned());
        self.0 = n << 32 | n;
    }
}

/// Whether what began before the verdicts that are at hand (from `known_from` on) decides a figure: where the first green
/// one of all ends in the window, it may have been red before; a commit that is older may have been green before.
fn needs_older(verdicts: &[Verdict], window: &Range<i64>, known_from: i64) -> bool {
    let red_before = verdicts.iter().find(|v| v.green).is_some_and(|v| window.contains(&end(v)));
    let is_older = |v: &Verdict, lead: i64| end(v) - lead < known_from;
    let may_be_older = || verdicts.iter().any(|v| v.green && v.lead_ms.is_some_and(|lead| is_older(v, lead)));
    red_before || (may_be_older() && leads(verdicts, window).iter().any(|(v, lead)| is_older(v, *lead)))
}

/// Which deployments failed: those that were red, and those that a remedy followed soon.
fn failed(verdicts: &[Verdict]) -> impl Iterator<Item = (&Verdict, bool)> {
    verdicts.iter().enumerate().map(|(i, v)| {
        let remedied =
            verdicts.get(i + 1).is_some_and(|next| next.remedy && next.began_ms - end(v) <= REMEDY_WITHIN_MS);
        (v, !v.green || remedied)
    })
}

/// Times, and the runs that they are of.
#[derive(Debug, Default)]
struct Measured {
    times: Vec<i64>,
    runs: Vec<Place>,
}

impl Measured {
    fn note(&mut self, project: i32, run: Verdict, ms: i64) {
        self.times.push(ms);
        self.runs.push(place(project, &run));
    }
}

/// When a run began, its project and its key: newest first.
type Place = Reverse<(i64, i32, i64)>;

const fn place(project: i32, v: &Verdict) -> Place {
    Reverse((v.began_ms, project, v.run))
}

/// The newest of some runs, newest first.
fn newest(mut runs: Vec<Place>) -> Vec<RunKey> {
    runs.retain(|Reverse((_, _, run))| *run != deployed::NO_RUN);
    if runs.len() > NAMED {
        runs.select_nth_unstable(NAMED);
        runs.truncate(NAMED);
    }
    runs.sort_unstable();
    let key = |Reverse((began_ms, project, run)): &Place| {
        let day = Day::of_ms(*began_ms).0;
        // A job may wait long for whoever starts it.
        RunKey { project: *project, run: *run, from: day - NEAR_DAYS, to: day + 1 }
    };
    runs.iter().map(key).collect()
}

/// Verdicts by project and lane, in the order of their beginning.
pub(super) type Lanes = BTreeMap<(i32, i32), Vec<Verdict>>;

/// What is measured.
struct Wanted {
    /// The branch of each project whose colour counts.
    branch_of: HashMap<i32, i32>,
    /// Lanes that deploy, on whatever branch is asked for.
    deploys: HashSet<(i32, i32)>,
    branch: Branch,
}

impl Wanted {
    /// The verdicts of some projects in some blocks: of the branches that count, and of what deploys.
    async fn verdicts<S: Store>(
        &self,
        keeper: &Keeper<S>,
        projects: &[i32],
        (first, last): (i32, i32),
    ) -> Result<[Lanes; 2]> {
        let (mut lanes, mut deployed) = (Lanes::new(), Lanes::new());
        let rolls = keeper.store.rolls(Kind::Timeline.number(), 0, projects, first, last).await?;
        for (project, _, bytes) in rolls {
            let branch_of = self.branch_of.get(&project).copied();
            let counts = |branch| branch_of == Some(branch);
            let deploys = |lane| !self.deploys.is_empty() && self.deploys.contains(&(project, lane));
            let take = |(branch, lane): (i32, i32), verdicts: &[Verdict]| {
                let asked = self.branch == Branch::Any || self.branch.number() == branch;
                if deploys(lane) && asked {
                    deployed.entry((project, lane)).or_default().extend_from_slice(verdicts);
                }
                if counts(branch) {
                    lanes.entry((project, lane)).or_default().extend_from_slice(verdicts);
                }
            };
            Timeline::each_of(&bytes, |(branch, lane)| deploys(lane) || counts(branch), take)?;
        }
        // Of several branches, each of which is in order: what sorts by merging is quick.
        deployed.values_mut().for_each(|verdicts| verdicts.sort());
        Ok([lanes, deployed])
    }

    /// The same with as much before the window as decides its figures.
    async fn all<S: Store>(
        &self,
        keeper: &Keeper<S>,
        scope: &Scope,
        window: &Range<i64>,
    ) -> Result<[Lanes; 2]> {
        // Most of what was red when the window began has not been so for long.
        let first = scope.window.from.0.div_euclid(TIMELINE_DAYS) - 1;
        let last = scope.window.to.0.div_euclid(TIMELINE_DAYS);
        let mut all = self.verdicts(keeper, &scope.project_ids(), (first, last)).await?;
        let known_from = Day(first * TIMELINE_DAYS).start().as_millisecond();
        let older = |verdicts: &Vec<Verdict>| needs_older(verdicts, window, known_from);
        let projects: BTreeSet<i32> = all
            .iter()
            .flat_map(|lanes| lanes.iter().filter(|(_, v)| older(v)).map(|((project, _), _)| *project))
            .collect();
        if projects.is_empty() {
            return Ok(all);
        }
        let projects: Vec<i32> = projects.into_iter().collect();
        let before = self.verdicts(keeper, &projects, (FOR_EVER.0, first - 1)).await?;
        for (lanes, before) in all.iter_mut().zip(before) {
            for (key, mut verdicts) in before {
                if let Some(newer) = lanes.get_mut(&key).filter(|newer| older(newer)) {
                    verdicts.append(newer);
                    *newer = verdicts;
                }
            }
        }
        Ok(all)
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
    let mut wanted =
        Wanted { branch_of: branches(keeper, &scope).await?, deploys: HashSet::new(), branch: scope.branch };
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
    let [lanes, mut deployed] = wanted.all(keeper, &scope, &window).await?;
    if !rule.names.is_empty() {
        jobs_that_deploy(keeper, &scope, rule, (&wanted.deploys, &marked), &mut deployed).await?;
    }
    let named_projects: BTreeSet<i32> = deployed.keys().map(|(project, _)| *project).collect();
    let deploys = !rule.names.is_empty() || !marked.is_empty();
    let marked_projects = marked.projects();
    deployed.extend(marked.lanes);

    let (mut restore, mut to_green, mut lead) =
        (Measured::default(), Measured::default(), Measured::default());
    for ((project, _), verdicts) in &lanes {
        for (red, green) in stretches(verdicts, &window) {
            to_green.note(*project, red, end(&green) - red.began_ms);
        }
        for (run, ms) in leads(verdicts, &window) {
            lead.note(*project, run, ms);
        }
    }
    let mut delivery = Delivery::default();
    let mut by_day: BTreeMap<i32, u64> = BTreeMap::new();
    let (mut runs, mut bad) = (Vec::new(), Vec::new());
    for ((project, _), verdicts) in &deployed {
        for (red, green) in stretches(verdicts, &window) {
            restore.note(*project, red, end(&green) - end(&red));
        }
        for (v, is_failed) in failed(verdicts).filter(|(v, _)| window.contains(&v.began_ms)) {
            delivery.deployments += 1;
            runs.push(place(*project, v));
            if v.green {
                *by_day.entry(Day::of_ms(v.began_ms).0).or_default() += 1;
            }
            if is_failed {
                bad.push(place(*project, v));
            }
        }
    }
    if deploys {
        (delivery.marked_projects, delivery.named_projects) = (marked_projects, named_projects.len() as u64);
        delivery.frequency = Some(frequency(&by_day, scope.window.days()));
        delivery.failures = bad.len() as u64;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let rate = delivery.failures as f64 / delivery.deployments as f64;
        delivery.change_failure_rate = (delivery.deployments > 0).then_some(rate);
    }
    delivery.time_to_restore = Median::of(restore.times);
    delivery.time_to_green = Median::of(to_green.times);
    delivery.lead_time = Median::of(lead.times);
    let [failed, deployed, restored, turned_green, led] = named(
        keeper,
        &scope,
        [newest(bad), newest(runs), newest(restore.runs), newest(to_green.runs), newest(lead.runs)],
    )
    .await?;
    Ok(Delivery { failed, deployed, restored, turned_green, led, ..delivery })
}

/// Adds the jobs that the rule names, each name as a lane of its own, of runs whose workflow does not deploy as a whole. Back to
/// as much before the window as is looked at of runs.
async fn jobs_that_deploy<S: Store>(
    keeper: &Keeper<S>,
    scope: &Scope,
    rule: &DeploymentRule,
    (deploys, marked): (&HashSet<(i32, i32)>, &Marked),
    deployed: &mut Lanes,
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
            branch: scope.branch.number(),
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
        let found = keeper.store.find_runs(runs).await?;
        Ok(Self(found.into_iter().map(|r| ((r.project, r.run), (r.run_text, r.number))).collect()))
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
    fn a_commit_leads_to_its_first_green_run_alone() {
        let of = |began: i64, green: bool, commit: i32| Verdict {
            commit,
            lead_ms: Some(began + 1),
            ..v(began, 1, green, false)
        };
        let lane = [of(0, false, 1), of(10, true, 1), of(20, true, 1), of(30, true, 2), of(40, true, 0)];
        let runs = |window: Range<i64>| leads(&lane, &window).iter().map(|(v, _)| v.run).collect::<Vec<_>>();
        assert_eq!(runs(ALL), [10, 30, 40]);
        assert_eq!(runs(15..35), [30], "it was green before the window");
    }

    #[test]
    fn what_began_before_is_looked_for_where_it_decides() {
        let (red, green) = (v(100, 5, false, false), v(200, 5, true, false));
        assert!(needs_older(&[red, green], &(150..300), 90));
        assert!(needs_older(&[green], &(150..300), 90), "whatever ran before it");
        assert!(!needs_older(&[red, green], &(300..400), 90), "it is over");
        assert!(
            !needs_older(&[v(95, 1, true, false), red, green], &(150..300), 90),
            "its beginning is known"
        );
        let led = |lead: i64| [v(95, 1, true, false), Verdict { commit: 1, lead_ms: Some(lead), ..green }];
        assert!(!needs_older(&led(100), &(150..300), 90));
        assert!(needs_older(&led(120), &(150..300), 90), "an older commit may have been green before");
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
