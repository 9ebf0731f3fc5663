//! Rows from columns, and columns from rows.

use history::store::{
    BranchRow, DeploymentRow, FlakeRow, FlakySum, ProjectRow, RunName, RunRow, SnapshotRow, flags,
};
use history::{Error, ErrorKind, Known, Result};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::jobs::jobs;
use crate::times::{Date, Ms};

/// All columns of a run, in the order of [`run`]. The table is `r`.
macro_rules! run_columns {
    () => {
        "r.project_id, r.run_key, r.attempt, r.day, r.flags, r.status, r.native_id, r.event_id, r.branch_id, \
         r.lane_id, r.workflow_id, r.author_id, r.url_id, r.failure_id, r.commit_key, r.number, r.created_at, \
         r.started_at, r.finished_at, r.updated_at, r.committed_at, r.duration_ms, r.queued_ms, r.expected_ms, r.sha, \
         r.message, r.run_text"
    };
}
pub(crate) use run_columns;

/// Something in the database is not of the type that our schema says.
pub(crate) fn garbage(error: sqlx::Error) -> Error {
    Error::new(ErrorKind::Garbage, format!("the database holds what this version cannot read: {error}"))
}

type Read<T> = std::result::Result<T, sqlx::Error>;

fn ms(row: &PgRow, at: usize) -> Read<Option<i64>> {
    Ok(row.try_get::<Option<Ms>, _>(at)?.map(|t| t.0))
}

fn day(row: &PgRow, at: usize) -> Read<i32> {
    Ok(row.try_get::<Date, _>(at)?.0)
}

pub(crate) fn run(row: &PgRow) -> Result<RunRow> {
    let read = || -> Read<RunRow> {
        Ok(RunRow {
            id: 0,
            project: row.try_get(0)?,
            run: row.try_get(1)?,
            attempt: row.try_get(2)?,
            day: day(row, 3)?,
            flags: row.try_get(4)?,
            status: row.try_get(5)?,
            native: row.try_get(6)?,
            event: row.try_get(7)?,
            branch: row.try_get(8)?,
            lane: row.try_get(9)?,
            workflow: row.try_get(10)?,
            author: row.try_get(11)?,
            url: row.try_get(12)?,
            failure: row.try_get::<Option<i32>, _>(13)?.unwrap_or_default(),
            commit: row.try_get::<Option<i32>, _>(14)?.unwrap_or_default(),
            number: row.try_get(15)?,
            created_at: ms(row, 16)?,
            started_at: ms(row, 17)?,
            finished_at: ms(row, 18)?,
            updated_at: ms(row, 19)?,
            committed_at: ms(row, 20)?,
            duration: row.try_get(21)?,
            queued: row.try_get(22)?,
            expected: row.try_get(23)?,
            sha: row.try_get(24)?,
            message: row.try_get(25)?,
            run_text: row.try_get(26)?,
            jobs: None,
        })
    };
    read().map_err(garbage)
}

pub(crate) fn run_name(row: &PgRow) -> Result<RunName> {
    let read = || -> Read<RunName> {
        Ok(RunName {
            project: row.try_get(0)?,
            run: row.try_get(1)?,
            text: row.try_get(2)?,
            number: row.try_get(3)?,
        })
    };
    read().map_err(garbage)
}

/// The same with its jobs, whose columns come after its own.
pub(crate) fn run_with_jobs(row: &PgRow) -> Result<RunRow> {
    let mut run = run(row)?;
    if run.flags & flags::JOBS == 0 {
        return Ok(run);
    }
    run.jobs = Some(jobs(row, 27)?);
    Ok(run)
}

pub(crate) fn project(row: &PgRow) -> Result<ProjectRow> {
    let read = || -> Read<ProjectRow> {
        let moment = |ms: Option<i64>| ms.and_then(|ms| domain::Timestamp::from_millisecond(ms).ok());
        let known = (moment(ms(row, 14)?), moment(ms(row, 15)?));
        Ok(ProjectRow {
            id: row.try_get(0)?,
            source: row.try_get(1)?,
            native_id: row.try_get(2)?,
            name: row.try_get(3)?,
            description: row.try_get(4)?,
            visibility: row.try_get(5)?,
            avatar_url: row.try_get(6)?,
            url: row.try_get(7)?,
            default_branch: row.try_get(8)?,
            archived: row.try_get(9)?,
            ci_disabled: row.try_get(10)?,
            last_activity_at: ms(row, 11)?,
            described: row.try_get(12)?,
            gone_at: ms(row, 13)?,
            known: known.0.zip(known.1).map(|(from, to)| Known { from, to }),
        })
    };
    read().map_err(garbage)
}

pub(crate) fn flake(row: &PgRow) -> Result<FlakeRow> {
    let read = || -> Read<FlakeRow> {
        Ok(FlakeRow {
            project: row.try_get(0)?,
            lane: row.try_get(1)?,
            commit: row.try_get(2)?,
            job: row.try_get(3)?,
            branch: row.try_get(4)?,
            day: day(row, 5)?,
            red: row.try_get(6)?,
            green: row.try_get(7)?,
            wasted: row.try_get(8)?,
            run: row.try_get(9)?,
        })
    };
    read().map_err(garbage)
}

pub(crate) fn branch_row(row: &PgRow) -> Result<BranchRow> {
    let read = || -> Read<BranchRow> {
        Ok(BranchRow {
            branch: row.try_get(0)?,
            project: row.try_get(1)?,
            source: row.try_get(2)?,
            runs: row.try_get(3)?,
            first: day(row, 4)?,
            last: day(row, 5)?,
        })
    };
    read().map_err(garbage)
}

pub(crate) fn flaky_sum(row: &PgRow) -> Result<FlakySum> {
    let read = || -> Read<FlakySum> {
        Ok(FlakySum {
            project: row.try_get(0)?,
            lane: row.try_get(1)?,
            job: row.try_get(2)?,
            commits: row.try_get(3)?,
            wasted: row.try_get(4)?,
            last: day(row, 5)?,
        })
    };
    read().map_err(garbage)
}

pub(crate) fn snapshot(row: &PgRow) -> Result<SnapshotRow> {
    let read = || -> Read<SnapshotRow> {
        Ok(SnapshotRow {
            project: row.try_get(0)?,
            branch: row.try_get(1)?,
            seen_at: ms(row, 2)?.unwrap_or_default(),
            sha: row.try_get(3)?,
            author: row.try_get(4)?,
            message: row.try_get(5)?,
            committed_at: ms(row, 6)?,
            default: row.try_get(7)?,
            protected: row.try_get(8)?,
            url: row.try_get(9)?,
        })
    };
    read().map_err(garbage)
}

/// All columns of a deployment, in the order of [`deployment`]. The table is `d`.
macro_rules! deployment_columns {
    () => {
        "d.project_id, d.deployment_key, d.deployment_text, d.flags, d.status, d.environment_id, d.branch_id, d.native_id, \
         d.run_key, d.run_text, d.created_at, d.finished_at, d.updated_at, d.sha, d.url"
    };
}
pub(crate) use deployment_columns;

pub(crate) fn deployment(row: &PgRow) -> Result<DeploymentRow> {
    let read = || -> Read<DeploymentRow> {
        Ok(DeploymentRow {
            project: row.try_get(0)?,
            deployment: row.try_get(1)?,
            deployment_text: row.try_get(2)?,
            flags: row.try_get(3)?,
            status: row.try_get(4)?,
            environment: row.try_get(5)?,
            branch: row.try_get(6)?,
            native: row.try_get(7)?,
            run: row.try_get(8)?,
            run_text: row.try_get(9)?,
            created_at: ms(row, 10)?.unwrap_or_default(),
            finished_at: ms(row, 11)?,
            updated_at: ms(row, 12)?.unwrap_or_default(),
            sha: row.try_get(13)?,
            url: row.try_get(14)?,
        })
    };
    read().map_err(garbage)
}

/// A column of some rows.
pub(crate) fn column<R, T>(rows: &[R], of: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}
