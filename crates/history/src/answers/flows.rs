//! Delivery over a long window, summed from what its blocks come to. At the edges of the window verdicts are gone through one by
//! one, and so are those of projects whose blocks do not tell enough.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesOrdered;

use super::lanes::{Commits, end};
use super::rolls::{AT_ONCE, Rolls, on_a_thread};
use super::scope::Scope;
use super::verdicts::{Edges, Newests, Wanted};
use crate::keeper::{FOR_EVER, Keeper};
use crate::roll::{
    Deploys, Flow, Greens, Kind, TIMELINE_DAYS, Tally, Timeline, Turns, Verdict, commit_bytes, is_remedied,
};
use crate::store::Store;
use crate::{Day, Result};

/// Fewer blocks within a window are gone through.
const FEW: i32 = 2;
/// Projects that are gone through at once.
const PROJECTS: usize = 16;

/// What the verdicts of a window come to.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) to_green: Tally,
    pub(super) leads: Tally,
    pub(super) restore: Tally,
    /// Deployments, and those that failed.
    pub(super) deployments: u64,
    pub(super) failures: u64,
    /// Green ones by day.
    pub(super) by_day: BTreeMap<i32, u64>,
    /// Projects of which something deploys.
    pub(super) deploying: HashSet<i32>,
}

impl Sums {
    /// Of how many each figure is: times to green, leads, times to restore, deployments, failed ones.
    pub(super) fn counts(&self) -> [u64; 5] {
        let [to_green, leads, restore] = [&self.to_green, &self.leads, &self.restore].map(Tally::count);
        [to_green, leads, restore, self.deployments, self.failures]
    }

    fn add(&mut self, mut other: Self) {
        other.to_green.empty_into(&mut self.to_green);
        other.leads.empty_into(&mut self.leads);
        other.restore.empty_into(&mut self.restore);
        self.deployments += other.deployments;
        self.failures += other.failures;
        for (day, n) in other.by_day {
            *self.by_day.entry(day).or_default() += n;
        }
        self.deploying.extend(other.deploying);
    }
}

/// Since when it is red, while verdicts and blocks are gone through in their order.
#[derive(Debug, Default)]
struct Colour {
    red: Option<i64>,
    was_green: bool,
    /// It may have been red for longer.
    needs_older: bool,
}

impl Colour {
    fn verdict(&mut self, v: &Verdict, red_since: i64, window: &Range<i64>, times: &mut Tally) {
        if !v.green {
            self.red.get_or_insert(red_since);
            return;
        }
        let ended = window.contains(&end(v));
        if let Some(since) = self.red.take().filter(|_| ended) {
            times.note(end(v) - since);
        }
        self.needs_older |= ended && !self.was_green;
        self.was_green = true;
    }

    /// `times`: where what happened is counted; `None`: it is not.
    fn block(&mut self, turns: Turns, closed: &[u8], times: Option<&mut Tally>) -> Result<()> {
        let Some(ended) = turns.first_green else {
            self.red = self.red.or(turns.before);
            return Ok(());
        };
        let since = self.red.take().or(turns.before);
        if let Some(times) = times {
            if let Some(since) = since {
                times.note(ended - since);
            }
            times.add_written(closed)?;
            self.needs_older |= !self.was_green;
        }
        self.was_green = true;
        self.red = turns.after;
        Ok(())
    }
}

/// The lane of a branch whose colour counts.
#[derive(Debug, Default)]
struct Green<'a> {
    colour: Colour,
    /// Commits that were green, one by one …
    seen: Commits,
    /// … and as blocks tell them.
    told: Vec<Cow<'a, [u8]>>,
    /// All commits of green runs that began since then are among these.
    seen_since: i64,
    /// A commit may have been green before.
    unsure: bool,
}

impl<'a> Green<'a> {
    /// Whether a commit was not green before, as far as is known; it is from now on. `start`: of the block, in which nothing that
    /// was made since was green in another.
    fn is_new(&mut self, commit: i32, made: Option<i64>, start: i64) -> bool {
        let told = || {
            let bytes = commit_bytes(commit);
            self.told.iter().rev().any(|told| told.chunks_exact(bytes.len()).any(|c| c == bytes))
        };
        let was_told = made.is_none_or(|made| made < start) && told();
        self.seen.insert(commit) && !was_told
    }

    fn verdict(
        &mut self,
        v: &Verdict,
        start: i64,
        window: &Range<i64>,
        (red, leads): (&mut Tally, &mut Tally),
    ) {
        self.colour.verdict(v, v.began_ms, window, red);
        if !v.green || (v.commit != 0 && !self.is_new(v.commit, v.lead_ms.map(|lead| end(v) - lead), start)) {
            return;
        }
        if let Some(lead) = v.lead_ms.filter(|_| window.contains(&v.began_ms)) {
            self.unsure |= end(v) - lead < self.seen_since;
            leads.note(lead);
        }
    }

    fn block(&mut self, block: Greens<'a>, times: Option<(&mut Tally, &mut Tally)>) -> Result<()> {
        let (red, mut leads) = times.unzip();
        self.colour.block(block.turns, &block.closed, red)?;
        for (commit, made, lead) in block.older {
            if self.is_new(commit, None, 0)
                && let Some(leads) = &mut leads
            {
                self.unsure |= made < self.seen_since;
                leads.note(lead);
            }
        }
        self.told.push(block.last);
        self.seen_since = self.seen_since.max(block.told_since.unwrap_or(i64::MIN));
        leads.map_or(Ok(()), |leads| leads.add_written(&block.leads))
    }
}

/// A lane that deploys.
#[derive(Debug, Default)]
struct Deploying {
    colour: Colour,
    /// When the last one ended, if it was green, and whether it counts.
    last: Option<(i64, bool)>,
}

impl Deploying {
    fn next(&mut self, first: (i64, bool), sums: &mut Sums) {
        let remedied = |(ended, counts)| counts && is_remedied(ended, first);
        sums.failures += u64::from(self.last.take().is_some_and(remedied));
    }

    fn verdict(&mut self, v: &Verdict, window: &Range<i64>, sums: &mut Sums) {
        self.next((v.began_ms, v.remedy), sums);
        self.colour.verdict(v, end(v), window, &mut sums.restore);
        let counts = window.contains(&v.began_ms);
        if counts {
            sums.deployments += 1;
            sums.failures += u64::from(!v.green);
        }
        if v.green {
            self.last = Some((end(v), counts));
            if counts {
                *sums.by_day.entry(Day::of_ms(v.began_ms).0).or_default() += 1;
            }
        }
    }

    fn block(&mut self, block: &Deploys<'_>, first_day: i32, counts: bool, sums: &mut Sums) -> Result<()> {
        if let Some(first) = block.first {
            self.next(first, sums);
        }
        self.colour.block(block.turns, &block.closed, counts.then_some(&mut sums.restore))?;
        self.last = block.last.map(|ended| (ended, counts));
        if counts {
            sums.deployments += block.total;
            sums.failures += block.failures;
            for (day, n) in &block.greens {
                *sums.by_day.entry(first_day + i32::from(*day)).or_default() += n;
            }
        }
        Ok(())
    }
}

/// A project, while its blocks are gone through in their order.
#[derive(Debug)]
struct Going<'a> {
    project: i32,
    /// Everything that began since then is gone through.
    known_from: i64,
    greens: HashMap<i32, Green<'a>>,
    deploys: HashMap<i32, Deploying>,
    /// A block has to be gone through verdict by verdict.
    odd: bool,
    sums: Sums,
}

impl<'a> Going<'a> {
    fn new(project: i32, known_from: i64) -> Self {
        let (greens, deploys) = (HashMap::new(), HashMap::new());
        Self { project, known_from, greens, deploys, odd: false, sums: Sums::default() }
    }

    fn green(&mut self, lane: i32) -> (&mut Green<'a>, (&mut Tally, &mut Tally)) {
        let known_from = self.known_from;
        let new = || Green { seen_since: known_from, ..Green::default() };
        let green = self.greens.entry(lane).or_insert_with(new);
        (green, (&mut self.sums.to_green, &mut self.sums.leads))
    }

    fn deploying(&mut self, lane: i32) -> (&mut Deploying, &mut Sums) {
        self.sums.deploying.insert(self.project);
        (self.deploys.entry(lane).or_default(), &mut self.sums)
    }

    /// Goes through the verdicts of a block: all of them, or those alone which tell of what deploys.
    fn verdicts(&mut self, block: i32, bytes: &[u8], wanted: &Wanted, all: bool) -> Result<()> {
        let (project, start) =
            (self.project, Day(block.saturating_mul(TIMELINE_DAYS)).start().as_millisecond());
        let mut deploys: BTreeMap<i32, Vec<Verdict>> = BTreeMap::new();
        let counts = |branch| all && wanted.counts(project, branch);
        let wants = |(branch, lane)| counts(branch) || wanted.lane_deploys(project, branch, lane);
        let take = |(branch, lane): (i32, i32), verdicts: &[Verdict]| {
            if counts(branch) {
                let (green, (red, leads)) = self.green(lane);
                verdicts.iter().for_each(|v| green.verdict(v, start, wanted.window(), (red, leads)));
            }
            if wanted.lane_deploys(project, branch, lane) {
                deploys.entry(lane).or_default().extend_from_slice(verdicts);
            }
        };
        Timeline::each_of(bytes, wants, take)?;
        for (lane, mut verdicts) in deploys {
            // Of several branches, each of which is in order: what sorts by merging is quick.
            verdicts.sort();
            let (deploying, sums) = self.deploying(lane);
            verdicts.iter().for_each(|v| deploying.verdict(v, wanted.window(), sums));
        }
        Ok(())
    }

    fn block(&mut self, block: i32, bytes: &'a [u8], wanted: &Wanted, counts: bool) -> Result<()> {
        let (project, window) = (self.project, wanted.window());
        let of_branch = |branch| wanted.counts(project, branch);
        // Of what deploys, blocks tell on all branches together.
        let deploys = |lane| !wanted.is_of_a_branch() && wanted.lane_deploys(project, 0, lane);
        let flow = Flow::from_bytes(bytes, of_branch, deploys)?;
        // What ends beyond the window is not in it; what ends within it and began before is.
        self.odd |= flow.odd || flow.ended >= if counts { window.end } else { window.start };
        for ((_, lane), greens) in flow.greens {
            let (green, times) = self.green(lane);
            green.block(greens, counts.then_some(times))?;
        }
        for (lane, deploys) in &flow.deploys {
            let (deploying, sums) = self.deploying(*lane);
            deploying.block(deploys, block.saturating_mul(TIMELINE_DAYS), counts, sums)?;
        }
        Ok(())
    }

    /// Whether what is older decides a figure; nothing is older than the beginning.
    fn needs_older(&self) -> bool {
        let colours = self.greens.values().map(|g| &g.colour).chain(self.deploys.values().map(|d| &d.colour));
        self.known_from > i64::MIN && colours.into_iter().any(|c| c.needs_older)
    }

    /// Whether it has to be gone through verdict by verdict.
    fn is_unsure(&self) -> bool {
        self.odd || self.greens.values().any(|g| g.unsure)
    }
}

/// The blocks of some projects: those older than the window, where they are asked for, those at its beginning, within, and at its end.
/// Of blocks that do not tell enough of what deploys, the verdicts as well.
struct Found {
    older: Option<Rolls>,
    older_verdicts: Rolls,
    first: Rolls,
    inner: Rolls,
    inner_verdicts: Rolls,
    last: Rolls,
}

/// What was gone through.
#[derive(Default)]
struct Gone {
    sums: Sums,
    /// By what is known; if there are older verdicts, they may say otherwise.
    older: Vec<(i32, Sums)>,
    /// Projects that have to be gone through verdict by verdict.
    unsure: Vec<i32>,
}

impl Gone {
    fn add(&mut self, other: Self) {
        self.sums.add(other.sums);
        self.older.extend(other.older);
        self.unsure.extend(other.unsure);
    }
}

impl Wanted {
    /// Goes through the blocks of some projects.
    fn gone_through(&self, found: &Found) -> Result<Gone> {
        let known_from = match found.older {
            Some(_) => i64::MIN,
            None => Day(self.edges().first.saturating_mul(TIMELINE_DAYS)).start().as_millisecond(),
        };
        fn of<'a, 'b>(
            going: &'b mut BTreeMap<i32, Going<'a>>,
            project: i32,
            known_from: i64,
        ) -> &'b mut Going<'a> {
            going.entry(project).or_insert_with(|| Going::new(project, known_from))
        }
        let mut going: BTreeMap<i32, Going<'_>> = BTreeMap::new();
        for (project, block, bytes) in found.older.iter().flatten() {
            of(&mut going, *project, known_from).block(*block, bytes, self, false)?;
        }
        for (project, block, bytes) in &found.older_verdicts {
            of(&mut going, *project, known_from).verdicts(*block, bytes, self, false)?;
        }
        for (project, block, bytes) in &found.first {
            of(&mut going, *project, known_from).verdicts(*block, bytes, self, true)?;
        }
        for (project, block, bytes) in &found.inner {
            of(&mut going, *project, known_from).block(*block, bytes, self, true)?;
        }
        for (project, block, bytes) in &found.inner_verdicts {
            of(&mut going, *project, known_from).verdicts(*block, bytes, self, false)?;
        }
        for (project, block, bytes) in &found.last {
            of(&mut going, *project, known_from).verdicts(*block, bytes, self, true)?;
        }
        let mut gone = Gone::default();
        for (project, going) in going {
            match (going.is_unsure(), going.needs_older()) {
                (true, _) => gone.unsure.push(project),
                (false, true) => gone.older.push((project, going.sums)),
                (false, false) => gone.sums.add(going.sums),
            }
        }
        Ok(gone)
    }

    /// Finds the blocks of some projects, of `older` ones as well, and goes through them.
    async fn go<S: Store>(
        self: &Arc<Self>,
        keeper: &Keeper<S>,
        projects: &[i32],
        older: bool,
    ) -> Result<Gone> {
        let Edges { first, from, last } = self.edges();
        let mut parts = projects.chunks(PROJECTS).map(|projects| async move {
            let blocks = |kind: Kind, from, to| keeper.rolls(kind, 0, projects, from, to);
            let some = async |wanted: bool, kind, from, to| match wanted {
                true => blocks(kind, from, to).await,
                false => Ok(Rolls::new()),
            };
            let verdicts = self.is_of_a_branch();
            let (before, older_verdicts, first, inner, inner_verdicts, last) = futures::try_join!(
                some(older, Kind::Flow, FOR_EVER.0, first - 1),
                some(older && verdicts, Kind::Timeline, FOR_EVER.0, first - 1),
                blocks(Kind::Timeline, first, from),
                blocks(Kind::Flow, from + 1, last - 1),
                some(verdicts, Kind::Timeline, from + 1, last - 1),
                blocks(Kind::Timeline, last, last),
            )?;
            let older = older.then_some(before);
            let (wanted, found) =
                (Arc::clone(self), Found { older, older_verdicts, first, inner, inner_verdicts, last });
            on_a_thread(move || wanted.gone_through(&found)).await
        });
        let mut under_way: FuturesOrdered<_> = parts.by_ref().take(AT_ONCE).collect();
        let mut gone = Gone::default();
        while let Some(part) = under_way.next().await {
            under_way.extend(parts.next());
            gone.add(part?);
        }
        Ok(gone)
    }

    /// What a window comes to; `None`: it has few blocks.
    pub(super) async fn sums<S: Store>(
        self: &Arc<Self>,
        keeper: &Keeper<S>,
        scope: &Scope,
    ) -> Result<Option<Sums>> {
        let Edges { from, last, .. } = self.edges();
        if last - 1 - from < FEW {
            return Ok(None);
        }
        let branches: HashSet<i32> = self.branch_of.values().copied().collect();
        let apart = keeper.store.apart(&branches.into_iter().collect::<Vec<_>>()).await?;
        let apart: HashSet<(i32, i32)> = apart.into_iter().collect();
        let is_told = |project: &i32| {
            let source = scope.projects.get(project).map_or(0, |row| row.source);
            self.branch_of.get(project).is_none_or(|branch| apart.contains(&(source, *branch)))
        };
        let (told, mut untold): (Vec<i32>, Vec<i32>) = scope.project_ids().into_iter().partition(is_told);
        let Gone { mut sums, older, unsure } = self.go(keeper, &told, false).await?;
        untold.extend(unsure);
        // Most of these have nothing older.
        let with_older = self.with_older(keeper, older.iter().map(|(project, _)| *project).collect()).await?;
        for (project, known) in older {
            if with_older.binary_search(&project).is_err() {
                sums.add(known);
            }
        }
        let gone = self.go(keeper, &with_older, true).await?;
        sums.add(gone.sums);
        untold.extend(gone.unsure);
        untold.sort_unstable();
        self.all(keeper, &untold, &mut Newests::default(), &mut sums).await?;
        Ok(Some(sums))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Window;
    use crate::roll::Sketch;

    const DAY: i64 = 24 * 60 * 60 * 1000;
    const PROJECT: i32 = 7;
    const MAIN: i32 = 1;

    /// Runs of a project: branch, lane, commit, how long after it was made, how long it took, green, a remedy.
    type Run = (i32, i32, i32, i64, i64, bool, bool);

    /// When a commit was made: somewhere in 160 days.
    fn made(commit: i32) -> i64 {
        i64::from(commit) * 7_919 * 61_000 % (160 * DAY)
    }

    fn timelines(runs: &[Run]) -> BTreeMap<i32, Timeline> {
        let mut blocks: BTreeMap<i32, Timeline> = BTreeMap::new();
        for (run, (branch, lane, commit, after, took_ms, green, remedy)) in (0..).zip(runs) {
            let began_ms = made(*commit) + after;
            let verdict = Verdict {
                began_ms,
                run,
                took_ms: *took_ms,
                green: *green,
                remedy: *remedy,
                commit: if *green { *commit } else { 0 },
                lead_ms: green.then_some(after + took_ms),
            };
            let block = Day::of_ms(began_ms).0.div_euclid(TIMELINE_DAYS);
            blocks.entry(block).or_default().put((*branch, *lane), verdict);
        }
        blocks
    }

    fn wanted(branch: i32, from: i32, to: i32) -> Wanted {
        let days = Window { from: Day(from), to: Day(to) };
        let mut wanted = Wanted::new(HashMap::from([(PROJECT, MAIN)]), branch, days);
        wanted.deploys.extend([(PROJECT, 1), (PROJECT, 2)]);
        wanted
    }

    fn rolls(blocks: &BTreeMap<i32, Timeline>, from: i32, to: i32) -> Rolls {
        blocks
            .range(from..=to)
            .map(|(block, timeline)| (PROJECT, *block, timeline.to_bytes().into()))
            .collect()
    }

    fn gone(wanted: &Wanted, timelines: &BTreeMap<i32, Timeline>, older: bool) -> Gone {
        let Edges { first, from, last } = wanted.edges();
        let flows = |from, to| -> Rolls {
            let bytes = |(block, timeline): (&i32, &Timeline)| {
                (PROJECT, *block, Flow::of(timeline, *block, |branch| branch == MAIN).to_bytes().into())
            };
            timelines.range(from..=to).map(bytes).collect()
        };
        let verdicts =
            |wanted: bool, from, to| if wanted { rolls(timelines, from, to) } else { Rolls::new() };
        let of_a_branch = wanted.is_of_a_branch();
        let found = Found {
            older: older.then(|| flows(i32::MIN, first - 1)),
            older_verdicts: verdicts(older && of_a_branch, i32::MIN, first - 1),
            first: rolls(timelines, first, from),
            inner: flows(from + 1, last - 1),
            inner_verdicts: verdicts(of_a_branch, from + 1, last - 1),
            last: rolls(timelines, last, last),
        };
        wanted.gone_through(&found).unwrap()
    }

    fn exact(wanted: &Wanted, timelines: &BTreeMap<i32, Timeline>) -> Sums {
        let mut sums = Sums::default();
        let all = rolls(timelines, i32::MIN, wanted.edges().last);
        for followed in wanted.follow(all, i64::MIN).unwrap() {
            followed.tell(wanted.window(), &mut Newests::default(), &mut sums);
        }
        sums
    }

    fn any_run() -> impl Strategy<Value = Run> {
        let soon = prop_oneof![4 => 0..DAY, 2 => 0..20 * DAY, 1 => 0..60 * DAY];
        (1..3, 1..4, 1..60, soon, 0..DAY / 2, any::<bool>(), prop::bool::weighted(0.2))
    }

    proptest! {
        #[test]
        fn blocks_come_to_what_their_verdicts_come_to(
            runs in prop::collection::vec(any_run(), 0..150), branch in 0..=MAIN, from in 0..100, days in 50..120,
        ) {
            let (timelines, wanted) = (timelines(&runs), wanted(branch, from, from + days));
            let exact = exact(&wanted, &timelines);
            for older in [false, true] {
                let Gone { sums, older, unsure } = gone(&wanted, &timelines, older);
                if !older.is_empty() || !unsure.is_empty() {
                    continue;
                }
                prop_assert_eq!(sums.counts(), exact.counts());
                prop_assert_eq!(&sums.by_day, &exact.by_day);
                for (told, truth) in [
                    (&sums.to_green, &exact.to_green),
                    (&sums.leads, &exact.leads),
                    (&sums.restore, &exact.restore),
                ] {
                    prop_assert_eq!(Sketch::from(told.clone()), Sketch::from(truth.clone()));
                }
            }
        }
    }

    #[test]
    fn a_year_of_mostly_green_runs_is_summed_and_not_gone_through() {
        // Six runs a day, each an hour after its commit; every ninth is red.
        let runs: Vec<Run> = (0..160 * 6)
            .map(|n| {
                let commit = (1..20_000).find(|c| made(*c) / (DAY / 6) == n).unwrap_or(1);
                (MAIN, 1, commit, DAY / 24, 600_000, n % 9 != 0, false)
            })
            .collect();
        let (timelines, wanted) = (timelines(&runs), wanted(0, 20, 150));
        let gone = gone(&wanted, &timelines, false);
        assert_eq!((gone.older.len(), gone.unsure), (0, Vec::new()));
        assert_eq!(gone.sums.counts(), exact(&wanted, &timelines).counts());
        assert!(exact(&wanted, &timelines).counts()[1] > 600);
    }
}
