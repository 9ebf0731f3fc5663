//! Which branches have statistics of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::statistics::{Taken, shares};
use super::{Runs, runs_of};
use crate::keeper::{FOR_EVER, Keeper};
use crate::reading::Numbers;
use crate::roll::{Group, GroupKey, Kind, TIMELINE_DAYS};
use crate::store::{BranchRow, RunQuery, RunRow, Store, Writing, flags};
use crate::{Day, Result, Window};

/// A branch has statistics of its own from so many runs in its source on. One of fewer is counted from them when somebody
/// asks for it: a group for each would be as many groups as runs.
const APART_FROM: i64 = 100;

/// Branches that have statistics of their own: source, branch.
pub(super) type Apart = HashSet<(i32, i32)>;

/// Which branches of some runs have statistics of their own.
pub(super) async fn apart<T: Writing>(tx: &mut T, runs: &Runs, numbers: &Numbers) -> Result<Apart> {
    let branches: BTreeSet<i32> =
        runs_of(runs).iter().filter_map(|a| a.pipeline.branch.as_deref()).map(|b| numbers.word(b)).collect();
    let branches: Vec<i32> = branches.into_iter().collect();
    Ok(tx.apart(&branches).await?.into_iter().collect())
}

impl<S: Store> Keeper<S> {
    /// Notes what is to be written on branches that are not apart. Of those that come to it now, which are apart from now on: what
    /// they take with them of the statistics of all others, of projects that need not be in the batch.
    pub(super) async fn put_branches(
        &self,
        tx: &mut S::Tx,
        (new, changed): (&[RunRow], &[(RunRow, &RunRow)]),
        sources: &mut HashMap<i32, i32>,
        apart: &mut Apart,
    ) -> Result<Taken> {
        let come = new.iter().map(|row| (row, 1));
        let moved = changed.iter().filter(|(row, old)| (row.branch, row.day) != (old.branch, old.day));
        let moved = moved.map(|(row, old)| (row, i32::from(row.branch != old.branch)));
        let mut more: BTreeMap<(i32, i32), BranchRow> = BTreeMap::new();
        for (row, runs) in come.chain(moved).filter(|(row, _)| row.branch != 0) {
            let Some(source) = sources.get(&row.project).copied() else { continue };
            if apart.contains(&(source, row.branch)) {
                continue;
            }
            let (branch, project, day) = (row.branch, row.project, row.day);
            let of = more.entry((branch, project));
            let of = of.or_insert(BranchRow { branch, project, source, runs: 0, first: day, last: day });
            (of.runs, of.first, of.last) = (of.runs + runs, of.first.min(day), of.last.max(day));
        }
        let mut taken = Taken::default();
        if more.is_empty() {
            return Ok(taken);
        }
        let more: Vec<BranchRow> = more.into_values().collect();
        for (source, branch) in tx.count_branches(&more, APART_FROM).await? {
            apart.insert((source, branch));
            let mut projects = self.store.projects_with(branch).await?;
            projects.retain(|p| p.source == source);
            sources.extend(projects.iter().map(|p| (p.project, p.source)));
            for p in &projects {
                let blocks = p.first.div_euclid(TIMELINE_DAYS)..=p.last.div_euclid(TIMELINE_DAYS);
                taken.timelines.extend(blocks.map(|block| (p.project, block)));
            }
            let all = Window { from: Day(FOR_EVER.0), to: Day(FOR_EVER.1) };
            self.each_on(&projects, all, true, |row, [runs, jobs]| {
                for (kind, groups) in [(Kind::Runs, runs), (Kind::Jobs, jobs)] {
                    let roll = taken.days.entry((kind, row.project, row.day)).or_default();
                    for (key, group) in groups {
                        roll.add((0, key.1), &group, -1);
                        roll.add(key, &group, 1);
                    }
                }
            })
            .await?;
        }
        Ok(taken)
    }

    /// Hands over the runs on one branch of some projects in a window, with what each adds to the statistics: runs, and (where
    /// they are wanted) jobs.
    pub(crate) async fn each_on(
        &self,
        projects: &[BranchRow],
        window: Window,
        jobs: bool,
        mut take: impl FnMut(&RunRow, [Vec<(GroupKey, Group)>; 2]),
    ) -> Result<()> {
        let Some(branch) = projects.first().map(|p| p.branch) else { return Ok(()) };
        // A branch lives for some days, a project for years.
        let first = projects.iter().map(|p| p.first).min().unwrap_or_default();
        let last = projects.iter().map(|p| p.last).max().unwrap_or_default();
        let query = RunQuery {
            projects: projects.iter().map(|p| p.project).collect(),
            from: window.from.0.max(first),
            to: window.to.0.min(last),
            branch,
            limit: i64::MAX,
            ..RunQuery::default()
        };
        let rows = match jobs {
            true => self.store.runs_with_jobs(&query).await?,
            false => self.store.runs(&query).await?,
        };
        let names = self.names(&rows, &[]).await?;
        let attempts = rows.iter().map(|row| names.attempt(row)).collect::<Result<Vec<_>>>()?;
        let numbers = self.numbers_of(&names, &attempts).await?;
        for (row, attempt) in rows.iter().zip(&attempts) {
            take(row, shares(row.flags & flags::FURTHER == 0, attempt, &numbers));
        }
        Ok(())
    }
}
