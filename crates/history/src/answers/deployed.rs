//! Deployments that platforms mark, as verdicts: each environment of a project is a lane of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::scope::Scope;
use super::verdicts::Deployed;
use crate::Result;
use crate::calendar::{DAY_MS, Day};
use crate::ingest::NEAR_DAYS;
use crate::keeper::Keeper;
use crate::reading::status_of;
use crate::roll::Verdict;
use crate::store::{DeploymentRow, RunKey, Store};
use crate::text::is_remedy;

/// A verdict of no run that is known. No run has this key.
pub(super) const NO_RUN: i64 = i64::MIN;
/// A platform that marked a deployment of a project within so many days before a window is believed to mark them all.
const MARKS_FOR_DAYS: i64 = 31;
/// A red deployment may have been replaced by a green one after so many days.
const LOOK_BACK_DAYS: i64 = 100;
/// Runs that are looked up at once.
const RUNS_AT_ONCE: usize = 2_000;

/// What platforms mark.
#[derive(Debug, Default)]
pub(super) struct Marked {
    /// Verdicts by project and environment, in their order.
    pub(super) lanes: Deployed,
    /// Projects whose platform marks their deployments.
    projects: BTreeSet<i32>,
}

impl Marked {
    pub(super) async fn of<S: Store>(keeper: &Keeper<S>, scope: &Scope, window: &Range<i64>) -> Result<Self> {
        let from = window.start.saturating_sub(LOOK_BACK_DAYS * DAY_MS);
        let branch = scope.branch;
        let projects: Vec<i32> = scope.projects.keys().copied().collect();
        let mut rows = keeper.store.deployments(&projects, branch, from, window.end).await?;
        let marks_from = window.start.saturating_sub(MARKS_FOR_DAYS * DAY_MS);
        let projects: BTreeSet<i32> =
            rows.iter().filter(|row| row.created_at >= marks_from).map(|row| row.project).collect();
        rows.retain(|row| projects.contains(&row.project) && status_of(row.status).is_verdict());
        let remedies = remedies(keeper, &rows).await?;
        Ok(Self { lanes: lanes(&rows, &remedies), projects })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.projects.is_empty()
    }

    pub(super) fn has(&self, project: i32) -> bool {
        self.projects.contains(&project)
    }

    /// How many.
    pub(super) fn projects(&self) -> u64 {
        self.projects.len() as u64
    }
}

/// Which of the runs that deployments came from say that they take something back.
async fn remedies<S: Store>(keeper: &Keeper<S>, rows: &[DeploymentRow]) -> Result<HashSet<(i32, i64)>> {
    let mut keys: BTreeMap<(i32, i64), (i32, i32)> = BTreeMap::new();
    for row in rows {
        let Some(run) = row.run else { continue };
        let day = Day::of_ms(row.created_at).0;
        // Somebody may deploy by hand what was built long before.
        let days = keys.entry((row.project, run)).or_insert((day - NEAR_DAYS, day + 1));
        *days = (days.0.min(day - NEAR_DAYS), days.1.max(day + 1));
    }
    let keys: Vec<RunKey> =
        keys.into_iter().map(|((project, run), (from, to))| RunKey { project, run, from, to }).collect();
    let mut found = HashSet::new();
    for keys in keys.chunks(RUNS_AT_ONCE) {
        let runs = keeper.store.find_runs(keys).await?;
        let remedies = runs.iter().filter(|run| run.message.as_deref().is_some_and(is_remedy));
        found.extend(remedies.map(|run| (run.project, run.run)));
    }
    Ok(found)
}

/// The commit that an environment has, and all that it had.
type Had<'a> = (Option<&'a [u8]>, HashSet<&'a [u8]>);

/// Rows come by project, oldest first.
fn lanes(rows: &[DeploymentRow], remedies: &HashSet<(i32, i64)>) -> Deployed {
    let mut lanes = Deployed::new();
    let mut had: HashMap<(i32, i32), Had<'_>> = HashMap::new();
    for row in rows {
        let lane = (row.project, row.environment);
        let (now, before) = had.entry(lane).or_default();
        let sha = row.sha.as_deref();
        let goes_back = sha.is_some_and(|sha| before.contains(sha)) && sha != *now;
        let green = status_of(row.status).is_green();
        if green && let Some(sha) = sha {
            before.insert(sha);
            *now = Some(sha);
        }
        let ended = row.finished_at.unwrap_or(row.created_at).max(row.created_at);
        let verdict = Verdict {
            began_ms: row.created_at,
            run: row.run.unwrap_or(NO_RUN),
            took_ms: ended - row.created_at,
            green,
            remedy: goes_back || row.run.is_some_and(|run| remedies.contains(&(row.project, run))),
            commit: 0,
            lead_ms: None,
        };
        lanes.entry(lane).or_default().push(verdict);
    }
    lanes
}

#[cfg(test)]
mod tests {
    use domain::Status;

    use super::*;
    use crate::reading::status_number;

    fn row(n: i64, sha: u8, status: Status) -> DeploymentRow {
        DeploymentRow {
            project: 1,
            deployment: n,
            status: status_number(status),
            environment: 2,
            created_at: n * 1_000,
            sha: Some(vec![sha; 20]),
            ..DeploymentRow::default()
        }
    }

    #[test]
    fn to_go_back_to_a_commit_that_was_there_before_is_a_remedy() {
        let rows = [
            row(1, 1, Status::Success),
            row(2, 1, Status::Success),
            row(3, 2, Status::Failed),
            row(4, 1, Status::Success),
            row(5, 2, Status::Success),
            row(6, 1, Status::Success),
        ];
        let lanes = lanes(&rows, &HashSet::new());
        let back: Vec<bool> = lanes[&(1, 2)].iter().map(|v| v.remedy).collect();
        assert_eq!(back, [false, false, false, false, false, true], "a failed one was never there");
    }
}
