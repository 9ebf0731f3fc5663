//! The board as it was when the last process ended, with its age.

use std::sync::Arc;

use connector::Heads;
use domain::{ProjectKey, SourceName, Timestamp};
use history::{History, Remembered, Result};

use super::writer::Written;
use crate::board::{MAX_RUNS, Observation, Seen};
use crate::hub::Hub;
use crate::refresh::Plan;

/// What is known of a project's runs, by the time of the newest of them where history does not say.
pub(super) fn as_of(remembered: &Remembered) -> Timestamp {
    let newest = remembered.runs.iter().filter_map(|r| r.updated_at.or(r.began())).max();
    remembered.known.map(|k| k.to).or(newest).or(remembered.project.last_activity_at).unwrap_or_default()
}

/// A project that history knows.
pub(super) struct Warmed {
    pub(super) key: ProjectKey,
    /// What history has of it.
    pub(super) written: Written,
    /// The board may have more.
    pub(super) differs: bool,
}

/// Puts a source's projects on the board, as far as they are still wanted. What history has of each.
pub(super) async fn warm(
    history: &Arc<dyn History>,
    hub: &Hub,
    source: &SourceName,
    plan: &Plan,
) -> Result<Vec<Warmed>> {
    let Some(platform) = hub.read(|p| p.sources.get(source).and_then(|s| s.descriptor)).map(|d| d.id) else {
        return Ok(Vec::new());
    };
    let mut put = Vec::new();
    for remembered in history.remembered(source, platform, MAX_RUNS).await? {
        if !plan.lets_in(&remembered.project) {
            continue;
        }
        let asked_at = as_of(&remembered);
        let key = remembered.project.key.clone();
        // Redis may have had it, as it was later than what history has.
        let there = hub.read(|p| p.board.get(&key).is_some());
        let of_history = there.then(|| Written::of(&remembered));
        let Remembered { project, runs, head, total, known } = remembered;
        let seen = Seen::Projects(vec![project]);
        hub.observe(Observation { asked_at, seen });
        let heads = Heads {
            default_branch: head,
            total_runs: Some(total.max(runs.len() as u64)),
            pipelines: runs,
            ..Heads::default()
        };
        hub.observe(Observation { asked_at, seen: Seen::Heads(key.clone(), Box::new(heads)) });
        let row =
            of_history.or_else(|| hub.read(|p| p.board.get(&key).map(Written::of_row))).unwrap_or_default();
        put.push(Warmed { key, written: row.known_as(known), differs: there });
    }
    Ok(put)
}
