//! The runs behind a figure.

use domain::{Pipeline, ProjectKey, Status};

use super::Ask;
use super::scope::Scope;
use crate::keeper::Keeper;
use crate::reading::status_number;
use crate::store::{RunQuery, Store};
use crate::{Day, Result, normalise_reason};

/// Which figure. Nothing set: all first attempts of the window.
#[derive(Debug, Clone, Default)]
pub struct Behind {
    /// Only of these statuses; empty: of any.
    pub statuses: Vec<Status>,
    /// Only of this day.
    pub day: Option<Day>,
    /// Only of this hour of the week, Monday 0:00 UTC being 0.
    pub hour_of_week: Option<u8>,
    /// Only of this lane.
    pub lane: Option<String>,
    /// Only runs with a failed job of this name.
    pub job: Option<String>,
    /// Only failures of this (normalised) reason: of the job where one is named, else of the run.
    pub reason: Option<String>,
}

/// The first stretch of days that is searched; each further one is twice as long.
const FIRST_STRETCH: i32 = 4;

pub(crate) async fn behind<S: Store>(
    keeper: &Keeper<S>,
    ask: &Ask,
    behind: &Behind,
    skip: usize,
    limit: usize,
) -> Result<Vec<(ProjectKey, Pipeline)>> {
    let Some(scope) = Scope::of(keeper, ask).await? else { return Ok(Vec::new()) };
    let mut query = RunQuery {
        projects: scope.project_ids(),
        branch: scope.branch.number(),
        statuses: behind.statuses.iter().fold(0, |bits, s| bits | 1 << status_number(*s)),
        hour: behind.hour_of_week.map(i32::from),
        // A failure counts in every attempt, a rate in the first.
        first: behind.job.is_none() && behind.reason.is_none(),
        ..RunQuery::default()
    };
    for (text, number) in [(&behind.lane, &mut query.lane), (&behind.job, &mut query.job)] {
        if let Some(text) = text.as_deref().filter(|t| !t.is_empty()) {
            match keeper.number_of(text).await? {
                Some(id) => *number = id,
                None => return Ok(Vec::new()),
            }
        }
    }
    if let Some(reason) = &behind.reason {
        query.reasons = match keeper.number_of(&normalise_reason(reason)).await? {
            Some(id) => keeper.store.reasons(id).await?,
            None => Vec::new(),
        };
        if query.reasons.is_empty() {
            return Ok(Vec::new());
        }
    }
    let (first, last) = match behind.day {
        Some(day) if !scope.window.has(day) => return Ok(Vec::new()),
        Some(day) => (day.0, day.0),
        None => (scope.window.from.0, scope.window.to.0),
    };
    // The newest are wanted first, and seldom more than a page: stretch by stretch backwards.
    let (mut rows, mut to, mut stretch, mut skip) = (Vec::new(), last, FIRST_STRETCH, skip);
    while to >= first && rows.len() < limit {
        let from = (to - stretch + 1).max(first);
        let wanted = skip + limit - rows.len();
        let found = keeper
            .store
            .runs(&RunQuery {
                from,
                to,
                skip: 0,
                limit: i64::try_from(wanted).unwrap_or(i64::MAX),
                ..query.clone()
            })
            .await?;
        let passed = found.len().min(skip);
        skip -= passed;
        rows.extend(found.into_iter().skip(passed));
        (to, stretch) = (from - 1, stretch.saturating_mul(2));
    }
    let names = keeper.names(&rows, &[]).await?;
    let mut told = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(key) = scope.key(row.project) {
            told.push((key, names.pipeline(row)?));
        }
    }
    Ok(told)
}
