//! The pipelines themselves, as a Prometheus likes to have them: one line for each branch that the overview shows.
//!
//! How many lines there are is bounded: labels are cheap to write and dear to keep. Beyond the bound the branches that moved
//! last are told of, and how many are left out is told as well.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::{Outcome, Pipeline, ProjectKey, Status, Timestamp};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::board::{Board, Entry, Shown};

/// A branch, and what is told of it.
#[derive(Debug, Clone)]
struct Line {
    key: (ProjectKey, String),
    project: String,
    outcome: Option<Outcome>,
    active: bool,
    broken_since: Option<Timestamp>,
    last_change_at: Option<Timestamp>,
    /// Of the run that ended last.
    duration: Option<Duration>,
    finished_at: Option<Timestamp>,
    /// Of the newest run that has left the queue.
    queued: Option<Duration>,
    /// Runs that ended, and when.
    ended: Vec<(Timestamp, Status)>,
}

fn ended_at(run: &Pipeline) -> Option<Timestamp> {
    run.status.is_terminal().then_some(run.finished_at.or(run.updated_at)?)
}

impl Line {
    fn of(entry: &Entry, shown: &Shown) -> Self {
        let last = shown.runs.iter().filter_map(|r| Some((ended_at(r)?, r))).max_by_key(|(at, _)| *at);
        let ended = shown.runs.iter().filter_map(|r| Some((ended_at(r)?, r.status)));
        Self {
            key: (entry.project.key.clone(), shown.name.clone()),
            project: entry.project.name.clone(),
            outcome: shown.rollup.outcome,
            active: shown.rollup.activity.is_some(),
            broken_since: shown.rollup.broken_since.as_ref().and_then(|b| b.at),
            last_change_at: shown.last_change_at,
            duration: last.and_then(|(_, r)| r.duration),
            finished_at: last.map(|(at, _)| at),
            queued: shown.runs.iter().find_map(|r| r.queued),
            ended: ended.collect(),
        }
    }
}

/// Runs that ended since the branch was first told of.
#[derive(Debug, Clone)]
struct Counted {
    /// Of a run that ended later it was not told yet.
    until: Timestamp,
    by_status: BTreeMap<&'static str, u64>,
}

impl Counted {
    /// From now on: what ended before is no news. Both are there from the start, so that the first of them is a change.
    fn from(line: &Line, now: Timestamp) -> Self {
        let newest = line.ended.iter().map(|(at, _)| *at).max();
        let by_status = [Status::Success, Status::Failed].map(|s| (s.as_str(), 0)).into();
        Self { until: newest.unwrap_or(now), by_status }
    }

    fn count(&mut self, line: &Line) {
        let until = self.until;
        for (at, status) in line.ended.iter().filter(|(at, _)| *at > until) {
            *self.by_status.entry(status.as_str()).or_default() += 1;
            self.until = self.until.max(*at);
        }
    }
}

/// What was counted of the branches that are told of.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<(ProjectKey, String), Counted>>);

impl Counts {
    /// Counts what ended since the last look; gives the counts of these lines, and forgets any other's.
    fn look(&self, lines: &[Line], now: Timestamp) -> Vec<Counted> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *all);
        for line in lines {
            let mut counted = before.remove(&line.key).unwrap_or_else(|| Counted::from(line, now));
            counted.count(line);
            all.insert(line.key.clone(), counted);
        }
        lines.iter().filter_map(|line| all.get(&line.key).cloned()).collect()
    }
}

/// The branches of the board, those that moved last first; as far as they were read.
fn lines(board: &Board) -> Vec<Line> {
    let read = board.entries().filter(|e| !e.is_loading());
    let mut lines: Vec<_> = read.flat_map(|e| e.shown().iter().map(|s| Line::of(e, s))).collect();
    lines.sort_by(|a, b| b.last_change_at.cmp(&a.last_change_at).then_with(|| a.key.cmp(&b.key)));
    lines
}

/// What is told of at most so many branches.
#[derive(Debug)]
pub(super) struct Pipelines {
    lines: Vec<(Line, Counted)>,
    left_out: usize,
}

impl Pipelines {
    pub(super) fn of(board: &Board, counts: &Counts, most: usize, now: Timestamp) -> Self {
        let mut lines = lines(board);
        let left_out = lines.len().saturating_sub(most);
        lines.truncate(most);
        // In an order that does not change with every push.
        lines.sort_by(|a, b| a.key.cmp(&b.key));
        let counted = counts.look(&lines, now);
        Self { lines: lines.into_iter().zip(counted).collect(), left_out }
    }

    pub(super) fn encode(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help =
            "1 with the outcome of what last completed on a branch, which all of its workflows come to";
        let mut of = out.encode_descriptor("ci_dashboard_pipeline_outcome", help, None, MetricType::Gauge)?;
        for (line, _) in &self.lines {
            let Some(outcome) = line.outcome else { continue };
            let [source, project, branch] = labels(line);
            let labels = [source, project, branch, ("outcome", outcome.as_str())];
            ConstGauge::new(1_i64).encode(of.encode_family(&labels)?)?;
        }
        for (name, help, value) in GAUGES {
            let mut of = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (line, _) in &self.lines {
                if let Some(value) = value(line) {
                    ConstGauge::new(value).encode(of.encode_family(&labels(line))?)?;
                }
            }
        }
        let help = "Runs of a branch that ended since it was first told of";
        let mut of = out.encode_descriptor("ci_dashboard_pipeline_runs", help, None, MetricType::Counter)?;
        for (line, counted) in &self.lines {
            for (status, n) in &counted.by_status {
                let [source, project, branch] = labels(line);
                let labels = [source, project, branch, ("status", *status)];
                ConstCounter::new(*n).encode(of.encode_family(&labels)?)?;
            }
        }
        let help = "Branches that are not told of, being more than aggregator.metrics_pipelines";
        let name = "ci_dashboard_pipelines_left_out";
        let of = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(self.left_out).unwrap_or(i64::MAX)).encode(of)
    }
}

fn labels(line: &Line) -> [(&'static str, &str); 3] {
    let (key, branch) = &line.key;
    [("source", key.source.as_str()), ("project", line.project.as_str()), ("branch", branch.as_str())]
}

/// A figure of a branch.
type OfLine = fn(&Line) -> Option<f64>;

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

/// `name, help, value`.
const GAUGES: [(&str, &str, OfLine); 5] = [
    ("ci_dashboard_pipeline_active", "1 while a run of the branch is queued or running", |l| {
        Some(f64::from(l.active))
    }),
    (
        "ci_dashboard_pipeline_broken_since_timestamp_seconds",
        "Since when the branch is red; absent while it is not",
        |l| l.broken_since.filter(|_| l.outcome == Some(Outcome::Failed)).map(seconds),
    ),
    ("ci_dashboard_pipeline_last_duration_seconds", "How long the run took that ended last", |l| {
        l.duration.map(|d| d.as_secs_f64())
    }),
    ("ci_dashboard_pipeline_last_queued_seconds", "How long the newest run that began waited before", |l| {
        l.queued.map(|d| d.as_secs_f64())
    }),
    ("ci_dashboard_pipeline_last_finished_timestamp_seconds", "When the run ended that ended last", |l| {
        l.finished_at.map(seconds)
    }),
];

#[cfg(test)]
mod tests {
    use domain::{NativeId, SourceName};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn line(ended: &[(i64, Status)]) -> Line {
        Line {
            key: (ProjectKey::new(SourceName::new("s").unwrap(), NativeId::new("1")), "main".to_owned()),
            project: "team/app".to_owned(),
            outcome: None,
            active: false,
            broken_since: None,
            last_change_at: None,
            duration: None,
            finished_at: None,
            queued: None,
            ended: ended.iter().map(|(second, status)| (at(*second), *status)).collect(),
        }
    }

    #[test]
    fn runs_count_once_from_the_first_look_on() {
        let counts = Counts::default();
        let look = |ended: &[(i64, Status)]| counts.look(&[line(ended)], at(1_000)).remove(0).by_status;
        assert_eq!(
            look(&[(10, Status::Failed), (20, Status::Success)]),
            [("failed", 0), ("success", 0)].into()
        );
        let more =
            [(10, Status::Failed), (20, Status::Success), (30, Status::Failed), (40, Status::Canceled)];
        let counted = [("canceled", 1), ("failed", 1), ("success", 0)].into();
        assert_eq!(look(&more), counted);
        assert_eq!(look(&more), counted, "nothing is counted twice");
        assert!(counts.look(&[], at(1_000)).is_empty());
        assert_eq!(look(&more), [("failed", 0), ("success", 0)].into(), "it begins anew");
    }

    #[test]
    fn the_first_run_of_a_branch_counts() {
        let counts = Counts::default();
        counts.look(&[line(&[])], at(1_000));
        let counted = counts.look(&[line(&[(1_001, Status::Success)])], at(1_002)).remove(0).by_status;
        assert_eq!(counted["success"], 1);
    }
}
