//! Counts, rates, durations, by window and by day.

use std::time::Duration;

use domain::stats::{ESTIMATE_RUNS, Estimate};
use domain::{ProjectKey, Status};

use super::Ask;
use super::scope::Scope;
use crate::keeper::{FOR_EVER, Keeper};
use crate::reading::status_number;
use crate::roll::{Group, Sketch};
use crate::store::{RunQuery, Store};
use crate::{Day, Result};

/// How long, over how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    /// Over so many.
    pub count: u64,
    /// 10 of 100 took no longer.
    pub p10: Option<Duration>,
    /// Half took no longer.
    pub p50: Option<Duration>,
    /// 90 of 100 took no longer.
    pub p90: Option<Duration>,
    /// 95 of 100 took no longer.
    pub p95: Option<Duration>,
    /// All of them together.
    pub total: Duration,
}

impl Percentiles {
    pub(super) fn of(sketch: &Sketch) -> Self {
        Self {
            count: sketch.count(),
            p10: sketch.percentile(0.1),
            p50: sketch.percentile(0.5),
            p90: sketch.percentile(0.9),
            p95: sketch.percentile(0.95),
            total: sketch.total(),
        }
    }
}

/// Figures of some runs (or jobs). All but `further` are about first attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// All of them.
    pub runs: u64,
    /// Green.
    pub success: u64,
    /// Green with warnings.
    pub warning: u64,
    /// Red.
    pub failed: u64,
    /// Canceled.
    pub canceled: u64,
    /// Skipped.
    pub skipped: u64,
    /// Further attempts of whatever run.
    pub further: u64,
    /// Time at work.
    pub duration: Percentiles,
    /// Time waited.
    pub queued: Percentiles,
}

impl Figures {
    pub(super) fn of(group: &Group) -> Self {
        Self {
            runs: group.runs(),
            success: group.of(Status::Success),
            warning: group.of(Status::Warning),
            failed: group.of(Status::Failed),
            canceled: group.of(Status::Canceled),
            skipped: group.of(Status::Skipped),
            further: group.further.max(0).cast_unsigned(),
            duration: Percentiles::of(&group.durations),
            queued: Percentiles::of(&group.queued),
        }
    }

    /// How many came to a verdict: what the success rate is of.
    #[must_use]
    pub const fn verdicts(&self) -> u64 {
        self.success + self.warning + self.failed
    }

    /// Green ÷ verdicts, 0 to 1. `None` without a verdict.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        let verdicts = self.verdicts();
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let rate = (self.success + self.warning) as f64 / verdicts as f64;
        (verdicts > 0).then_some(rate)
    }
}

/// The figures of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayFigures {
    /// Which.
    pub day: Day,
    /// Its figures.
    pub figures: Figures,
}

/// A window day by day.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Over all of them.
    pub figures: Figures,
    /// Every day of it, oldest first.
    pub days: Vec<DayFigures>,
    /// Median duration of the second half of the window ÷ that of the first, less 1: 0.1 is 10 % slower. `None` when
    /// either half has under five.
    pub duration_trend: Option<f64>,
    /// The same of the time waited.
    pub queued_trend: Option<f64>,
}

/// Fewer in either half of a window make no trend.
const MIN_FOR_TREND: u64 = 5;

/// Runs and failures of each hour of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heat {
    /// By weekday (Monday first) and hour (UTC): runs, and of those failed.
    pub hours: [[(u64, u64); 24]; 7],
}

/// By day: only the days with anything.
async fn days<S: Store>(keeper: &Keeper<S>, scope: &Scope) -> Result<Vec<(Day, Group)>> {
    let mut days: std::collections::BTreeMap<i32, Group> = std::collections::BTreeMap::new();
    scope.runs(keeper, true, |day, group| days.entry(day).or_default().add(&group, 1)).await?;
    Ok(days.into_iter().map(|(day, group)| (Day(day), group)).collect())
}

async fn all<S: Store>(keeper: &Keeper<S>, ask: &Ask) -> Result<Group> {
    let mut sum = Group::default();
    if let Some(scope) = Scope::of(keeper, ask).await? {
        scope.runs(keeper, false, |_, group| sum.add(&group, 1)).await?;
    }
    Ok(sum)
}

pub(crate) async fn figures<S: Store>(keeper: &Keeper<S>, ask: &Ask) -> Result<Figures> {
    Ok(Figures::of(&all(keeper, ask).await?))
}

pub(crate) async fn course<S: Store>(keeper: &Keeper<S>, ask: &Ask) -> Result<Course> {
    let mut known = std::collections::HashMap::new();
    if let Some(scope) = Scope::of(keeper, ask).await? {
        known.extend(days(keeper, &scope).await?);
    }
    let middle = Day(ask.window.from.0 + ask.window.days() / 2);
    let mut halves = [Group::default(), Group::default()];
    for (day, group) in &known {
        halves[usize::from(*day >= middle)].add(group, 1);
    }
    let trend = |of: fn(&Group) -> &Sketch| {
        trend(
            halves
                .each_ref()
                .map(|half| of(half).percentile(0.5).filter(|_| of(half).count() >= MIN_FOR_TREND)),
        )
    };
    let (duration_trend, queued_trend) = (trend(|g| &g.durations), trend(|g| &g.queued));
    let [mut all, second] = halves;
    all.add(&second, 1);
    let window = ask.window.from.0..=ask.window.to.0;
    let of_day = |day| known.get(&Day(day)).map(Figures::of).unwrap_or_default();
    Ok(Course {
        figures: Figures::of(&all),
        days: window.map(|day| DayFigures { day: Day(day), figures: of_day(day) }).collect(),
        duration_trend,
        queued_trend,
    })
}

/// How the medians of two halves compare, where both are known.
fn trend(medians: [Option<Duration>; 2]) -> Option<f64> {
    match medians {
        [Some(first), Some(second)] if !first.is_zero() => {
            Some(second.as_secs_f64() / first.as_secs_f64() - 1.0)
        }
        _ => None,
    }
}

pub(crate) async fn heat<S: Store>(keeper: &Keeper<S>, ask: &Ask) -> Result<Heat> {
    let mut hours = [[(0, 0); 24]; 7];
    for (hour, (runs, failed)) in all(keeper, ask).await?.hours {
        if let Some(cell) =
            hours.get_mut(usize::from(hour / 24)).and_then(|day| day.get_mut(usize::from(hour % 24)))
        {
            *cell = (runs.max(0).cast_unsigned(), failed.max(0).cast_unsigned());
        }
    }
    Ok(Heat { hours })
}

pub(crate) async fn estimate<S: Store>(
    keeper: &Keeper<S>,
    project: &ProjectKey,
    lane: &str,
) -> Result<Option<Estimate>> {
    let Some(project) = keeper.project(project).await? else { return Ok(None) };
    let lane = match lane {
        "" => 0,
        lane => match keeper.number_of(lane).await? {
            Some(id) => id,
            None => return Ok(None),
        },
    };
    let green = [Status::Success, Status::Warning].iter().fold(0, |bits, s| bits | 1 << status_number(*s));
    let query = RunQuery {
        projects: vec![project.id],
        from: FOR_EVER.0,
        to: FOR_EVER.1,
        lane,
        statuses: green,
        newest: true,
        limit: ESTIMATE_RUNS as i64,
        ..RunQuery::default()
    };
    let rows = keeper.store.runs(&query).await?;
    let took = rows.iter().filter_map(|r| u64::try_from(r.duration?).ok());
    Ok(Estimate::of(took.map(Duration::from_millis).collect()))
}
