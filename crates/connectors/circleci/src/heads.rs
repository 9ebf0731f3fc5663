//! The state of a project: the workflows of its newest pipelines, each asked for until it has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connector::{Error, Heads, HeadsAsk, Result};
use domain::{Branch, Completeness, Pipeline, Problem, ProblemKind, RunId, Status};
use futures::StreamExt;
use futures::stream;

use crate::circleci::CircleCi;
use crate::listing::TOLD;
use crate::{convert, lanes, runs, status};

/// Pipelines of a project whose workflows are read at first sight.
const FIRST_SIGHT: usize = TOLD;
/// The same for each later reading.
const PIPELINES_PER_READING: usize = 30;
/// Pipelines of a shown branch that is not among the newest, at first sight.
const OF_A_BRANCH: usize = 3;
/// The most shown branches of which that is asked.
const MAX_BRANCHES_ASKED: usize = 20;
/// Runs that go on in pipelines older than the listed ones, asked for one by one.
const MAX_STRAYS: usize = 10;
/// Failed runs whose jobs are read in one reading.
const DETAILS_PER_READING: usize = 8;
/// Requests about one project at the same time.
const AT_ONCE: usize = 4;

/// Reads one project.
///
/// # Errors
/// When its pipelines cannot be listed, or the source fails. Whatever else fails is a problem beside the rest.
pub(crate) async fn read(circle: &CircleCi, ask: &HeadsAsk) -> Result<Heads> {
    let known = Known::new(&ask.known);
    // Who has read it knows at least the name of its default branch, where it has one.
    let first_sight = known.is_empty() && ask.known_head.is_none() && ask.project.default_branch.is_some();
    let told = ask.told.as_ref().map(|told| told.pipelines.as_slice());
    let told = told.filter(|told| known.reaches(told, first_sight));
    let pipelines = match told {
        Some(told) => told.to_vec(),
        None => runs::newest(circle, &ask.project, None).await?,
    };
    let mut out = Heads::default();
    let shown = shown_branches(ask);

    let red = known.red(&pipelines, &shown);
    let limit = if first_sight { FIRST_SIGHT } else { PIPELINES_PER_READING };
    let wanted: Vec<&Pipeline> = pipelines
        .iter()
        .filter(|p| known.lacks(p) || known.is_open(p) || red.contains(&p.number))
        .take(limit)
        .collect();
    let mut read = Read::default();
    read.workflows(circle, ask, wanted, told.is_some()).await?;
    if first_sight {
        let there = |branch: &str| read.runs.iter().any(|r| r.branch.as_deref() == Some(branch));
        let lacking: Vec<&str> = shown.iter().copied().filter(|branch| !there(branch)).collect();
        for branch in lacking {
            match runs::newest(circle, &ask.project, Some(branch)).await {
                Ok(older) => {
                    read.workflows(circle, ask, older.iter().take(OF_A_BRANCH).collect(), false).await?
                }
                Err(e) if e.concerns_source() => return Err(e),
                Err(e) => read.problems.push(e.to_partial(&format!("pipelines of {branch}"))),
            }
        }
    }
    read.strays(circle, ask, &known, &pipelines).await?;

    let mut runs = read.runs;
    let kept = ask.known.iter().filter(|k| !read.again.contains(&k.number) && !read.gone.contains(&k.id));
    let there: BTreeSet<RunId> = runs.iter().map(|r| r.id.clone()).collect();
    runs.extend(kept.filter(|k| !there.contains(&k.id)).map(|k| (**k).clone()));
    for run in &mut runs {
        if let Some(known) = ask.known.iter().find(|k| k.id == run.id) {
            *run = take_over(run.clone(), known);
        }
    }
    runs.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
    runs.truncate(Heads::MAX_RUNS);
    lanes::settle(&mut runs);
    out.problems = read.problems;
    failures(circle, &shown, &mut runs, &mut out).await?;
    out.default_branch = default_branch(ask, &runs);
    if runs.is_empty() && out.problems.is_empty() {
        out.problems.push(Problem::new(ProblemKind::NoCi, "no pipeline has run yet"));
    }
    out.pipelines = runs;
    Ok(out)
}

/// The default branch and those asked for.
fn shown_branches(ask: &HeadsAsk) -> Vec<&str> {
    let mut shown: Vec<&str> = Vec::new();
    for name in ask.project.default_branch.iter().chain(&ask.branches).map(String::as_str) {
        if !shown.contains(&name) {
            shown.push(name);
        }
    }
    shown.truncate(MAX_BRANCHES_ASKED);
    shown
}

/// What was read in full of a run that has not moved stays known.
fn take_over(run: Pipeline, known: &Pipeline) -> Pipeline {
    let unmoved = run.native_status == known.native_status && run.finished_at == known.finished_at;
    if unmoved && known.completeness == Completeness::Full && run.completeness == Completeness::Row {
        return Pipeline { failure: known.failure.clone(), completeness: Completeness::Full, ..run };
    }
    run
}

/// The runs that are known, by the number of their pipeline.
struct Known<'a>(BTreeMap<Option<u64>, Vec<&'a Pipeline>>);

impl<'a> Known<'a> {
    fn new(known: &'a [Arc<Pipeline>]) -> Self {
        let mut by_number: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for run in known {
            by_number.entry(run.number).or_default().push(&**run);
        }
        Self(by_number)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn newest(&self) -> Option<u64> {
        self.0.keys().flatten().max().copied()
    }

    /// Whether there is no pipeline between what is told and what is known: they are numbered without holes.
    fn reaches(&self, told: &[Pipeline], first_sight: bool) -> bool {
        let numbers: BTreeSet<u64> = told.iter().filter_map(|p| p.number).collect();
        let Some(last) = numbers.last() else { return !first_sight };
        match self.newest() {
            None => numbers.len() >= FIRST_SIGHT || numbers.contains(&1),
            Some(newest) => (newest + 1..=*last).all(|number| numbers.contains(&number)),
        }
    }

    /// Whether nothing is known of a pipeline although it is no older than what is known.
    fn lacks(&self, pipeline: &Pipeline) -> bool {
        let oldest = self.0.keys().flatten().min();
        !self.0.contains_key(&pipeline.number) && oldest.is_none_or(|oldest| pipeline.number > Some(*oldest))
    }

    /// Whether a run of it goes on or waits.
    fn is_open(&self, pipeline: &Pipeline) -> bool {
        self.0.get(&pipeline.number).into_iter().flatten().any(|run| !status::has_ended(run.status))
    }

    /// The newest pipelines of the shown branches, where they are not green: somebody may have started one of their
    /// workflows over, and the list of pipelines does not tell.
    fn red(&self, listed: &[Pipeline], shown: &[&str]) -> BTreeSet<Option<u64>> {
        let newest = |branch: &str| {
            let of_branch = |p: &&Pipeline| p.branch.as_deref() == Some(branch);
            let known = self.0.values().flatten().copied().filter(of_branch);
            listed.iter().filter(of_branch).chain(known).filter_map(|p| p.number).max()
        };
        let is_red = |number: &u64| {
            let mut runs = self.0.get(&Some(*number)).into_iter().flatten();
            runs.any(|run| {
                matches!(run.status, Status::Failed | Status::Canceled | Status::Unknown)
                    && !lanes::stands_for_itself(run)
            })
        };
        shown.iter().filter_map(|branch| newest(branch)).filter(is_red).map(Some).collect()
    }
}

/// What was read.
#[derive(Default)]
struct Read {
    runs: Vec<Pipeline>,
    /// Pipelines of which all workflows were read: what is known of them is replaced.
    again: BTreeSet<Option<u64>>,
    /// Runs that are no more.
    gone: BTreeSet<RunId>,
    problems: Vec<Problem>,
}

impl Read {
    /// The workflows of these pipelines. `stale`: they are from a listing that may be older than this moment.
    async fn workflows(
        &mut self,
        circle: &CircleCi,
        ask: &HeadsAsk,
        pipelines: Vec<&Pipeline>,
        stale: bool,
    ) -> Result<()> {
        let one = |pipeline| async move {
            let runs = runs::workflows(circle, &ask.project, pipeline, stale).await;
            (pipeline.number, runs)
        };
        let asked: Vec<_> = pipelines.into_iter().map(one).collect();
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        let mut failed: BTreeMap<String, usize> = BTreeMap::new();
        while let Some((number, answer)) = answers.next().await {
            match answer {
                Ok(runs) => {
                    self.again.insert(number);
                    self.runs.extend(runs);
                }
                Err(e) if e.concerns_source() => return Err(e),
                Err(e) => *failed.entry(e.to_string()).or_default() += 1,
            }
        }
        for (why, count) in failed {
            let pipelines = if count == 1 { "1 pipeline".to_owned() } else { format!("{count} pipelines") };
            self.problems
                .push(Problem::new(ProblemKind::Partial, format!("workflows of {pipelines}: {why}")));
        }
        Ok(())
    }

    /// Runs that go on or wait in pipelines that are not listed any more.
    async fn strays(
        &mut self,
        circle: &CircleCi,
        ask: &HeadsAsk,
        known: &Known<'_>,
        listed: &[Pipeline],
    ) -> Result<()> {
        let open = known.0.values().flatten().filter(|run| !status::has_ended(run.status));
        let strays = open.filter(|run| listed.iter().all(|p| p.number != run.number)).take(MAX_STRAYS);
        let one = |run: &Pipeline| {
            let run = run.clone();
            async move {
                let now = runs::again(circle, &ask.project, &run).await;
                (run.id, now)
            }
        };
        let asked: Vec<_> = strays.map(|run| one(run)).collect();
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some((id, answer)) = answers.next().await {
            match answer {
                Ok(now) => self.runs.push(now),
                Err(e) if e.concerns_source() => return Err(e),
                Err(Error::NotFound(_)) => {
                    self.gone.insert(id);
                }
                Err(e) => self.problems.push(e.to_partial("a run that went on")),
            }
        }
        Ok(())
    }
}

/// Reads the jobs of the failed runs that decide for a shown branch, once each: what failed in them.
async fn failures(circle: &CircleCi, shown: &[&str], runs: &mut [Pipeline], out: &mut Heads) -> Result<()> {
    let mut decided = BTreeSet::new();
    let mut wanted = Vec::new();
    for (at, run) in runs.iter().enumerate().filter(|(_, run)| run.status.is_verdict()) {
        let Some(branch) = run.branch.as_deref().filter(|b| shown.contains(b)) else { continue };
        if decided.insert((branch.to_owned(), run.workflow.lane.clone()))
            && run.completeness == Completeness::Row
        {
            wanted.push((at, run.id.clone()));
        }
    }
    wanted.truncate(DETAILS_PER_READING);
    let one = |(at, id)| async move { (at, runs::jobs(circle, &id).await) };
    let asked: Vec<_> = wanted.into_iter().map(one).collect();
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    while let Some((at, answer)) = answers.next().await {
        let Some(run) = runs.get_mut(at) else { continue };
        match answer {
            Ok((jobs, _)) => {
                run.failure = convert::failure(&jobs).or(run.failure.take());
                run.completeness = Completeness::Full;
            }
            Err(Error::NotFound(_) | Error::Forbidden(_)) => run.completeness = Completeness::Full,
            Err(e) if e.concerns_source() => return Err(e),
            Err(e) => out.problems.push(e.to_partial("jobs of a failed run")),
        }
    }
    Ok(())
}

/// CircleCI knows no branches: the newest run on it tells of the default branch's head.
fn default_branch(ask: &HeadsAsk, runs: &[Pipeline]) -> Option<Branch> {
    let name = ask.project.default_branch.as_deref()?;
    let newest = runs.iter().filter(|run| run.branch.as_deref() == Some(name)).max_by_key(|run| run.number);
    let known = || ask.known_head.as_ref().map(|(head, _)| head.clone()).filter(|head| head.name == name);
    let named = || Branch { default: true, ..Branch::named(name) };
    Some(newest.map(|run| convert::head(name, true, run)).or_else(known).unwrap_or_else(named))
}
