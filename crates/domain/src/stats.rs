//! The figures of a row, from the runs that the board holds. `ARCHITECTURE.md` says what each word means.

use std::time::Duration;

use crate::Pipeline;

/// How many runs a strip shows.
pub const STRIP_RUNS: usize = 30;
/// Fewer green runs than this make no median worth showing.
pub const MIN_FOR_MEDIAN: usize = 1;
/// How many of the newest green runs an estimate looks at.
pub const ESTIMATE_RUNS: usize = 20;
/// Fewer green runs make no estimate.
pub const MIN_FOR_ESTIMATE: usize = 5;

/// How long the runs of a lane take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Of so many green runs.
    pub of: usize,
    /// Half of them took no longer.
    pub median: Duration,
    /// 95 of 100 took no longer: a run beyond that is overdue.
    pub p95: Duration,
}

impl Estimate {
    /// From what green runs took; `None` under [`MIN_FOR_ESTIMATE`] of them.
    #[must_use]
    pub fn of(mut took: Vec<Duration>) -> Option<Self> {
        if took.len() < MIN_FOR_ESTIMATE {
            return None;
        }
        took.sort_unstable();
        let p95 = took[(took.len() * 95).div_ceil(100) - 1];
        Some(Self { of: took.len(), median: median(took)?, p95 })
    }
}

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

/// How long a run of this lane takes as a rule, by its newest green runs; newest first in `runs`.
#[must_use]
pub fn estimate<'a>(lane: &str, runs: impl IntoIterator<Item = &'a Pipeline>) -> Option<Estimate> {
    let took = runs
        .into_iter()
        .filter(|r| r.workflow.lane == lane && r.status.is_green())
        .filter_map(|r| r.duration)
        .take(ESTIMATE_RUNS);
    Estimate::of(took.collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(of: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        of.into_iter().map(Duration::from_secs).collect()
    }

    #[test]
    fn no_estimate_of_fewer_than_five() {
        assert_eq!(Estimate::of(seconds([1, 2, 3, 4])), None);
        let told = Estimate::of(seconds([5, 1, 4, 2, 3])).map(|e| (e.of, e.median, e.p95));
        assert_eq!(told, Some((5, Duration::from_secs(3), Duration::from_secs(5))));
    }

    #[test]
    fn one_in_twenty_is_beyond_p95() {
        let told = Estimate::of(seconds(1..=20)).map(|e| (e.median, e.p95));
        assert_eq!(told, Some((Duration::from_millis(10_500), Duration::from_secs(19))));
    }
}
