//! Delivery, verdict by verdict.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::flows::Sums;
use super::lanes::{Lanes, NAMED, Newest, end, run_of};
use super::rolls::{Rolls, each_part, each_roll};
use super::scope::Scope;
use crate::calendar::Blocks;
use crate::keeper::{FOR_EVER, Keeper};
use crate::roll::{Kind, TIMELINE_DAYS, Timeline, Verdict, failed};
use crate::store::Store;
use crate::{Day, Result, Window};

/// Verdicts of what deploys by project and lane, in the order of their beginning.
pub(super) type Deployed = BTreeMap<(i32, i32), Vec<Verdict>>;

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

/// The newest deployments: all, those that failed, and those after which it had to be restored.
#[derive(Debug, Default)]
pub(super) struct Deployments {
    pub(super) runs: Newest,
    pub(super) failed: Newest,
    pub(super) restored: Newest,
}

impl Deployments {
    /// Adds those of a lane.
    pub(super) fn note(&mut self, project: i32, verdicts: &[Verdict], window: &Range<i64>, sums: &mut Sums) {
        for (red, green) in stretches(verdicts, window) {
            self.restored.note(project, run_of(&red));
            sums.restore.note(end(&green) - end(&red));
        }
        for (v, is_failed) in failed(verdicts).filter(|(v, _)| window.contains(&v.began_ms)) {
            sums.deployments += 1;
            self.runs.note(project, run_of(v));
            if v.green {
                *sums.by_day.entry(Day::of_ms(v.began_ms).0).or_default() += 1;
            }
            if is_failed {
                sums.failures += 1;
                self.failed.note(project, run_of(v));
            }
        }
    }
}

/// What is measured.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The branch of each project whose colour counts.
    pub(super) branch_of: HashMap<i32, i32>,
    /// Lanes that deploy, on whatever branch is asked for.
    pub(super) deploys: HashSet<(i32, i32)>,
    /// 0: any.
    branch: i32,
    days: Window,
    /// The same, milliseconds since 1970.
    window: Range<i64>,
}

/// The newest runs that figures are of.
#[derive(Debug, Default)]
pub(super) struct Newests {
    pub(super) to_green: Newest,
    pub(super) leads: Newest,
    pub(super) deployments: Deployments,
}

/// What was found of a project.
pub(super) struct Followed {
    project: i32,
    lanes: Lanes,
    deployed: Deployed,
}

impl Followed {
    pub(super) fn tell(&self, window: &Range<i64>, newest: &mut Newests, sums: &mut Sums) {
        for (red, ms) in self.lanes.to_green() {
            sums.to_green.note(*ms);
            newest.to_green.note(self.project, *red);
        }
        for (run, ms) in self.lanes.leads() {
            sums.leads.note(*ms);
            newest.leads.note(self.project, *run);
        }
        for verdicts in self.deployed.values() {
            sums.deploying.insert(self.project);
            newest.deployments.note(self.project, verdicts, window, sums);
        }
    }
}

impl Wanted {
    pub(super) fn new(branch_of: HashMap<i32, i32>, branch: i32, days: Window) -> Self {
        let window = days.from.start().as_millisecond()..Day(days.to.0 + 1).start().as_millisecond();
        Self { branch_of, deploys: HashSet::new(), branch, days, window }
    }

    /// The same from a later day on.
    fn since(&self, from: Day) -> Self {
        let wanted = self.clone();
        let days = Window { from: from.max(self.days.from), ..self.days };
        Self { deploys: wanted.deploys, ..Self::new(wanted.branch_of, self.branch, days) }
    }

    /// Whether it is the branch of its project whose colour counts.
    pub(super) fn counts(&self, project: i32, branch: i32) -> bool {
        self.branch_of.get(&project) == Some(&branch)
    }

    /// Whether a lane deploys, on any branch (0) or one that is asked about.
    pub(super) fn lane_deploys(&self, project: i32, branch: i32, lane: i32) -> bool {
        (branch == 0 || self.branch == 0 || self.branch == branch)
            && !self.deploys.is_empty()
            && self.deploys.contains(&(project, lane))
    }

    /// Goes through the verdicts of some projects, of which all are known that began at `known_from` or later.
    pub(super) fn follow(&self, rolls: Rolls, known_from: i64) -> Result<Vec<Followed>> {
        let mut all: Vec<Followed> = Vec::new();
        for (project, _, bytes) in rolls {
            if all.last().is_none_or(|last| last.project != project) {
                all.push(Followed { project, lanes: Lanes::default(), deployed: Deployed::new() });
            }
            let Some(Followed { lanes, deployed, .. }) = all.last_mut() else { continue };
            let wants =
                |(branch, lane)| self.counts(project, branch) || self.lane_deploys(project, branch, lane);
            let take = |(branch, lane): (i32, i32), verdicts: &[Verdict]| {
                if self.lane_deploys(project, branch, lane) {
                    deployed.entry((project, lane)).or_default().extend_from_slice(verdicts);
                }
                if self.counts(project, branch) {
                    lanes.follow(lane, verdicts, &self.window, known_from);
                }
            };
            Timeline::each_of(&bytes, wants, take)?;
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

    /// Those of some projects which have verdicts that are older than all that is looked at.
    pub(super) async fn with_older<S: Store>(
        &self,
        keeper: &Keeper<S>,
        projects: Vec<i32>,
    ) -> Result<Vec<i32>> {
        let older = Blocks { level: 0, from: FOR_EVER.0, to: self.edges().first - 1 };
        let mut found = BTreeSet::new();
        each_roll(keeper, Kind::Flow, &[older], &projects, |(_, project, _), _| {
            found.insert(project);
            Ok(())
        })
        .await?;
        Ok(found.into_iter().collect())
    }

    /// What the window holds of some projects, with as much before it as decides its figures.
    pub(super) async fn all<S: Store>(
        self: &Arc<Self>,
        keeper: &Keeper<S>,
        projects: &[i32],
        newest: &mut Newests,
        sums: &mut Sums,
    ) -> Result<()> {
        let Edges { first, last, .. } = self.edges();
        let blocks = |from, to| Blocks { level: 0, from, to };
        let follow = |known_from| {
            let wanted = Arc::clone(self);
            move |rolls| wanted.follow(rolls, known_from)
        };
        let mut note = |followed: &Followed| followed.tell(&self.window, newest, sums);
        let mut undecided = Vec::new();
        let known_from = follow(Day(first * TIMELINE_DAYS).start().as_millisecond());
        let take = |part: Vec<Followed>| {
            let (unsure, sure): (Vec<_>, Vec<_>) = part.into_iter().partition(|f| self.needs_older(f));
            sure.iter().for_each(&mut note);
            undecided.extend(unsure);
        };
        each_part(keeper, Kind::Timeline, blocks(first, last), projects, known_from, take).await?;
        // Most of these have nothing older.
        let unsure: Vec<i32> = undecided.iter().map(|f| f.project).collect();
        let with_older = self.with_older(keeper, unsure).await?;
        undecided.iter().filter(|f| !with_older.contains(&f.project)).for_each(&mut note);
        let take = |part: Vec<Followed>| part.iter().for_each(&mut note);
        each_part(keeper, Kind::Timeline, blocks(FOR_EVER.0, last), &with_older, follow(i64::MIN), take).await
    }

    /// The figures, and the newest runs that they are of.
    pub(super) async fn measured<S: Store>(
        self: &Arc<Self>,
        keeper: &Keeper<S>,
        scope: &Scope,
    ) -> Result<(Sums, Newests)> {
        let projects = scope.project_ids();
        let Some(sums) = self.sums(keeper, scope).await? else {
            let (mut newest, mut sums) = (Newests::default(), Sums::default());
            self.all(keeper, &projects, &mut newest, &mut sums).await?;
            return Ok((sums, newest));
        };
        // The newest are mostly in the last blocks.
        let recent = Arc::new(self.since(Day((self.edges().last - 1) * TIMELINE_DAYS)));
        let (mut newest, mut found) = (Newests::default(), Sums::default());
        recent.all(keeper, &projects, &mut newest, &mut found).await?;
        let (all, told) = (sums.counts(), found.counts());
        let lacks = |at: usize| told[at] < all[at].min(NAMED as u64);
        if lacks(0) || lacks(1) {
            newest = Newests::default();
            self.all(keeper, &projects, &mut newest, &mut found).await?;
        } else if (2..told.len()).any(lacks) {
            let mut deploying: Vec<i32> = sums.deploying.iter().copied().collect();
            deploying.sort_unstable();
            let mut of = Newests::default();
            self.all(keeper, &deploying, &mut of, &mut found).await?;
            newest.deployments = of.deployments;
        }
        Ok((sums, newest))
    }

    pub(super) const fn edges(&self) -> Edges {
        let from = self.days.from.0.div_euclid(TIMELINE_DAYS);
        Edges { first: from - 1, from, last: self.days.to.0.div_euclid(TIMELINE_DAYS) }
    }

    pub(super) const fn window(&self) -> &Range<i64> {
        &self.window
    }

    /// Whether it is asked what deploys on one branch alone.
    pub(super) fn is_of_a_branch(&self) -> bool {
        self.branch != 0 && !self.deploys.is_empty()
    }
}

/// Blocks at the edges of a window.
pub(super) struct Edges {
    /// What was red when the window began was mostly not so for longer than since here.
    pub(super) first: i32,
    /// The first day is in this …
    pub(super) from: i32,
    /// … and the last one in this.
    pub(super) last: i32,
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
}
