//! The board as it was when the last process ended, with its age.

use std::sync::Arc;

use connector::Heads;
use domain::{ProjectKey, SourceName, Timestamp};
use history::{History, Known, Remembered, Result};

use crate::board::{MAX_RUNS, Observation, Seen};
use crate::hub::Hub;
use crate::refresh::Plan;

/// What is known of a project's runs, by the time of the newest of them where history does not say.
pub(super) fn as_of(remembered: &Remembered) -> Timestamp {
    let newest = remembered.runs.iter().filter_map(|r| r.updated_at.or(r.began())).max();
    remembered.known.map(|k| k.to).or(newest).or(remembered.project.last_activity_at).unwrap_or_default()
}

/// Puts a source's projects on the board, as far as they are still wanted. What was put there, and up to when history has it.
pub(super) async fn warm(
    history: &Arc<dyn History>,
    hub: &Hub,
    source: &SourceName,
    plan: &Plan,
) -> Result<Vec<(ProjectKey, Option<Known>)>> {
    let Some(platform) = hub.read(|p| p.sources.get(source).and_then(|s| s.descriptor)).map(|d| d.id) else {
        return Ok(Vec::new());
    };
    let mut put = Vec::new();
    for remembered in history.remembered(source, platform, MAX_RUNS).await? {
        if !plan.lets_in(&remembered.project) {
            continue;
        }
        let asked_at = as_of(&remembered);
        let Remembered { project, runs, head, total, known } = remembered;
        let key = project.key.clone();
        let seen = Seen::Projects(vec![project]);
        hub.observe(Observation { asked_at, seen });
        let heads = Heads {
            default_branch: head,
            total_runs: Some(total.max(runs.len() as u64)),
            pipelines: runs,
            ..Heads::default()
        };
        hub.observe(Observation { asked_at, seen: Seen::Heads(key.clone(), Box::new(heads)) });
        put.push((key, known));
    }
    Ok(put)
}
