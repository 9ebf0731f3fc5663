//! The figures of a row, from the runs that the board holds. `ARCHITECTURE.md` says what each word means.

use std::time::Duration;

use crate::{Pipeline, Status};

/// How many runs a strip shows.
pub const STRIP_RUNS: usize = 30;
/// Fewer green runs than this make no median worth showing.
pub const MIN_FOR_MEDIAN: usize = 1;
/// How many past green runs an estimate looks at.
const ESTIMATE_RUNS: usize = 20;

/// Median duration of the green runs. `None` when there are too few with a known duration.
#[must_use]
pub fn median_duration<'a>(runs: impl IntoIterator<Item = &'a Pipeline>) -> Option<Duration> {
    median(runs.into_iter().filter(|r| r.status.is_green()).filter_map(|r| r.duration).collect())
}

/// Green ÷ (green + red) of what completed, 0 to 1; canceled and skipped runs are in neither. Warning counts as green.
#[must_use]
pub fn share_green<'a>(runs: impl IntoIterator<Item = &'a Pipeline>) -> Option<f64> {
    let (mut green, mut all) = (0_u32, 0_u32);
    for run in runs.into_iter().filter(|r| r.status.is_verdict()) {
        all += 1;
        green += u32::from(run.status.is_green());
    }
    (all > 0).then(|| f64::from(green) / f64::from(all))
}

/// How long a run of this workflow takes as a rule: the median of its newest green runs, newest first in `runs`.
#[must_use]
pub fn expected_duration<'a>(lane: &str, runs: impl IntoIterator<Item = &'a Pipeline>) -> Option<Duration> {
    median(
        runs.into_iter()
            .filter(|r| r.workflow.lane == lane && matches!(r.status, Status::Success | Status::Warning))
            .filter_map(|r| r.duration)
            .take(ESTIMATE_RUNS)
            .collect(),
    )
}

fn median(mut durations: Vec<Duration>) -> Option<Duration> {
    if durations.len() < MIN_FOR_MEDIAN {
        return None;
    }
    durations.sort_unstable();
    let middle = durations.len() / 2;
    if durations.len() % 2 == 1 {
        Some(durations[middle])
    } else {
        Some((durations[middle - 1] + durations[middle]) / 2)
    }
}
