//! The runs behind a figure.

use std::collections::BTreeSet;

use domain::{Pipeline, ProjectKey, Status};

use super::Ask;
use super::scope::Scope;
use crate::keeper::Keeper;
use crate::reading::status_number;
use crate::store::{Cause, RunQuery, Store};
use crate::text::{job_and_reason, of_job_and_reason};
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
    /// Only runs with a job of this name, whatever came of it; first attempts.
    pub ran: Option<String>,
    /// Only runs that failed in a job of this name; all attempts, as of the two below.
    pub job: Option<String>,
    /// Only failures of this (normalised) reason: of the job where one is named, else of the run.
    pub reason: Option<String>,
    /// Only failures of the job of which no reason is told.
    pub untold: bool,
}

/// The first stretch of days that is searched; each further one is twice as long.
const FIRST_STRETCH: i32 = 1;

/// The jobs and reasons that are asked about; `None` when no run can fit.
async fn cause<S: Store>(keeper: &Keeper<S>, behind: &Behind) -> Result<Option<Cause>> {
    let named = |text: &'_ Option<String>| text.as_deref().filter(|t| !t.is_empty()).map(str::to_owned);
    if let Some(ran) = named(&behind.ran) {
        return Ok(keeper.number_of(&ran).await?.map(Cause::Ran));
    }
    let job = named(&behind.job);
    let number = match &job {
        Some(job) => match keeper.number_of(job).await? {
            Some(number) => number,
            None => return Ok(None),
        },
        None => 0,
    };
    let Some(reason) = behind.reason.as_deref() else {
        return Ok(Some(match &job {
            Some(job) if behind.untold => {
                let own = keeper.number_of(&of_job_and_reason(job, None)).await?;
                Cause::Untold { job: number, own: own.into_iter().collect() }
            }
            Some(_) => Cause::Failed(number),
            None => Cause::Any,
        }));
    };
    let normal = normalise_reason(reason);
    let reasons = match keeper.number_of(&normal).await? {
        Some(id) => keeper.store.reasons(id).await?,
        None => Vec::new(),
    };
    let own = match &job {
        None => reasons.clone(),
        // Of all that was said of runs, what was said of this job.
        Some(job) => {
            let ids: BTreeSet<i32> = reasons.iter().copied().collect();
            let names = keeper.resolve(ids, BTreeSet::new(), BTreeSet::new()).await?;
            let of_job = |id: &i32| -> Result<bool> {
                let said =
                    names.word(*id)?.and_then(|text| job_and_reason(text, std::iter::once(job.as_str())));
                Ok(said
                    .is_some_and(|(of, why)| of == job && why.is_some_and(|w| normalise_reason(w) == normal)))
            };
            let mut own = Vec::new();
            for id in &reasons {
                if of_job(id)? {
                    own.push(*id);
                }
            }
            own
        }
    };
    Ok((!reasons.is_empty()).then_some(Cause::Reason { job: number, reasons, own }))
}

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
        branch: scope.branch,
        statuses: behind.statuses.iter().fold(0, |bits, s| bits | 1 << status_number(*s)),
        hour: behind.hour_of_week.map(i32::from),
        ..RunQuery::default()
    };
    if let Some(lane) = behind.lane.as_deref().filter(|t| !t.is_empty()) {
        match keeper.number_of(lane).await? {
            Some(id) => query.lane = id,
            None => return Ok(Vec::new()),
        }
    }
    match cause(keeper, behind).await? {
        Some(cause) => query.cause = cause,
        None => return Ok(Vec::new()),
    }
    // A failure counts in every attempt, a rate in the first.
    query.first = matches!(query.cause, Cause::Any | Cause::Ran(_));
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
