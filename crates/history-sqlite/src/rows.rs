//! Rows as JSON on the way in, and from columns on the way out.

use std::fmt::Write as _;

use history::store::{
    BranchRow, DeploymentRow, FlakeRow, FlakySum, JobRow, ProjectRow, RunName, RunRow, SnapshotRow,
};
use history::{Error, ErrorKind, Known, Result};
use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite};

/// A JSON array of arrays, or of plain values.
#[derive(Debug)]
pub(crate) struct Json(String);

impl Json {
    /// A row for each.
    pub(crate) fn rows<T>(items: impl IntoIterator<Item = T>, row: impl Fn(&mut Cells, T)) -> String {
        let mut out = Self(String::from("["));
        for item in items {
            let mut cells = Cells { out: &mut out.0, first: true };
            cells.out.push('[');
            row(&mut cells, item);
            out.0.push_str("],");
        }
        out.end()
    }

    /// Plain numbers.
    pub(crate) fn numbers<N: Into<i64>>(numbers: impl IntoIterator<Item = N>) -> String {
        let mut out = Self(String::from("["));
        for n in numbers {
            // Writing to a String cannot fail.
            let _ = write!(out.0, "{},", n.into());
        }
        out.end()
    }

    /// Plain texts.
    pub(crate) fn texts(texts: &[String]) -> String {
        let mut out = Self(String::from("["));
        for text in texts {
            quote(text, &mut out.0);
            out.0.push(',');
        }
        out.end()
    }

    fn end(mut self) -> String {
        if self.0.ends_with(',') {
            self.0.pop();
        }
        self.0.push(']');
        self.0
    }
}

fn quote(text: &str, out: &mut String) {
    // What `serde_json` cannot write is not in a `str`.
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// The cells of a row.
#[derive(Debug)]
pub(crate) struct Cells<'a> {
    out: &'a mut String,
    first: bool,
}

impl Cells<'_> {
    fn next(&mut self) -> &mut String {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        self.out
    }

    pub(crate) fn n(&mut self, n: impl Into<i64>) -> &mut Self {
        let _ = write!(self.next(), "{}", n.into());
        self
    }

    pub(crate) fn opt(&mut self, n: Option<impl Into<i64>>) -> &mut Self {
        match n {
            Some(n) => self.n(n),
            None => self.null(),
        }
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        quote(text, self.next());
        self
    }

    pub(crate) fn opt_text(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    /// As hexadecimal digits.
    pub(crate) fn bytes(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let Some(bytes) = bytes else { return self.null() };
        let out = self.next();
        out.push('"');
        for b in bytes {
            out.push(char::from(DIGITS[usize::from(b >> 4)]));
            out.push(char::from(DIGITS[usize::from(b & 15)]));
        }
        out.push('"');
        self
    }

    fn null(&mut self) -> &mut Self {
        self.next().push_str("null");
        self
    }
}

/// All columns of a run, in the order of [`run`]. The table is `r`.
macro_rules! run_columns {
    () => {
        "r.id, r.project_id, r.run_key, r.attempt, r.day, r.flags, r.status, r.native_id, r.event_id, r.branch_id, \
         r.lane_id, r.workflow_id, r.author_id, r.url_id, r.failure_id, r.commit_key, r.number, r.created_at, \
         r.started_at, r.finished_at, r.updated_at, r.committed_at, r.duration_ms, r.queued_ms, r.expected_ms, r.sha, \
         r.message, r.run_text"
    };
}
pub(crate) use run_columns;

/// Something in the file is not of the type that our schema says.
pub(crate) fn garbage(error: sqlx::Error) -> Error {
    Error::new(ErrorKind::Garbage, format!("the database holds what this version cannot read: {error}"))
}

pub(crate) fn run(row: &SqliteRow) -> Result<RunRow> {
    let read = || -> std::result::Result<RunRow, sqlx::Error> {
        Ok(RunRow {
            id: row.try_get(0)?,
            project: row.try_get(1)?,
            run: row.try_get(2)?,
            attempt: row.try_get(3)?,
            day: row.try_get(4)?,
            flags: row.try_get(5)?,
            status: row.try_get(6)?,
            native: row.try_get(7)?,
            event: row.try_get(8)?,
            branch: row.try_get(9)?,
            lane: row.try_get(10)?,
            workflow: row.try_get(11)?,
            author: row.try_get(12)?,
            url: row.try_get(13)?,
            failure: row.try_get(14)?,
            commit: row.try_get(15)?,
            number: row.try_get(16)?,
            created_at: row.try_get(17)?,
            started_at: row.try_get(18)?,
            finished_at: row.try_get(19)?,
            updated_at: row.try_get(20)?,
            committed_at: row.try_get(21)?,
            duration: row.try_get(22)?,
            queued: row.try_get(23)?,
            expected: row.try_get(24)?,
            sha: row.try_get(25)?,
            message: row.try_get(26)?,
            run_text: row.try_get(27)?,
            jobs: None,
        })
    };
    read().map_err(garbage)
}

pub(crate) fn run_name(row: &SqliteRow) -> Result<RunName> {
    let read = || -> std::result::Result<RunName, sqlx::Error> {
        Ok(RunName {
            project: row.try_get(0)?,
            run: row.try_get(1)?,
            text: row.try_get(2)?,
            number: row.try_get(3)?,
        })
    };
    read().map_err(garbage)
}

/// A run's cells in the same order, for what is written over those that are there.
pub(crate) fn run_cells(cells: &mut Cells<'_>, r: &RunRow) {
    cells.opt((r.id != 0).then_some(r.id)).n(r.project).n(r.run).n(r.attempt).n(r.day).n(r.flags).n(r.status);
    cells
        .n(r.native)
        .n(r.event)
        .n(r.branch)
        .n(r.lane)
        .n(r.workflow)
        .n(r.author)
        .n(r.url)
        .n(r.failure)
        .n(r.commit);
    cells.opt(r.number).opt(r.created_at).opt(r.started_at).opt(r.finished_at).opt(r.updated_at);
    cells.opt(r.committed_at).opt(r.duration).opt(r.queued).opt(r.expected).bytes(r.sha.as_deref());
    cells.opt_text(r.message.as_deref()).opt_text(r.run_text.as_deref());
}

/// A run's values in the order of `pipelines`' columns.
pub(crate) fn bind_run(cells: &mut Separated<'_, Sqlite, &'static str>, id: i64, r: &RunRow) {
    cells.push_bind(id).push_bind(r.project).push_bind(r.run).push_bind(r.attempt).push_bind(r.day);
    cells.push_bind(r.flags).push_bind(r.status).push_bind(r.native).push_bind(r.event).push_bind(r.branch);
    cells.push_bind(r.lane).push_bind(r.workflow).push_bind(r.author).push_bind(r.url).push_bind(r.failure);
    cells.push_bind(r.commit).push_bind(r.number).push_bind(r.created_at).push_bind(r.started_at);
    cells.push_bind(r.finished_at).push_bind(r.updated_at).push_bind(r.committed_at).push_bind(r.duration);
    cells.push_bind(r.queued).push_bind(r.expected).push_bind(r.sha.clone()).push_bind(r.message.clone());
    cells.push_bind(r.run_text.clone());
}

/// A job: number of its run, then itself.
pub(crate) fn job(row: &SqliteRow) -> Result<(i64, JobRow)> {
    let read = || -> std::result::Result<(i64, JobRow), sqlx::Error> {
        Ok((
            row.try_get(0)?,
            JobRow {
                job: row.try_get(1)?,
                kind: row.try_get(2)?,
                reason: row.try_get(3)?,
                created: row.try_get(4)?,
                started: row.try_get(5)?,
                finished: row.try_get(6)?,
                duration: row.try_get(7)?,
                queued: row.try_get(8)?,
                job_text: row.try_get(9)?,
            },
        ))
    };
    read().map_err(garbage)
}

pub(crate) fn project(row: &SqliteRow) -> Result<ProjectRow> {
    let read = || -> std::result::Result<ProjectRow, sqlx::Error> {
        let moment = |ms: Option<i64>| ms.and_then(|ms| domain::Timestamp::from_millisecond(ms).ok());
        let known = (moment(row.try_get(14)?), moment(row.try_get(15)?));
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
            last_activity_at: row.try_get(11)?,
            described: row.try_get(12)?,
            gone_at: row.try_get(13)?,
            known: known.0.zip(known.1).map(|(from, to)| Known { from, to }),
        })
    };
    read().map_err(garbage)
}

pub(crate) fn flake(row: &SqliteRow) -> Result<FlakeRow> {
    let read = || -> std::result::Result<FlakeRow, sqlx::Error> {
        Ok(FlakeRow {
            project: row.try_get(0)?,
            lane: row.try_get(1)?,
            commit: row.try_get(2)?,
            job: row.try_get(3)?,
            branch: row.try_get(4)?,
            day: row.try_get(5)?,
            red: row.try_get(6)?,
            green: row.try_get(7)?,
            wasted: row.try_get(8)?,
            run: row.try_get(9)?,
        })
    };
    read().map_err(garbage)
}

pub(crate) fn branch_row(row: &SqliteRow) -> Result<BranchRow> {
    let read = || -> std::result::Result<BranchRow, sqlx::Error> {
        Ok(BranchRow {
            branch: row.try_get(0)?,
            project: row.try_get(1)?,
            source: row.try_get(2)?,
            runs: row.try_get(3)?,
            first: row.try_get(4)?,
            last: row.try_get(5)?,
        })
    };
    read().map_err(garbage)
}

pub(crate) fn flaky_sum(row: &SqliteRow) -> Result<FlakySum> {
    let read = || -> std::result::Result<FlakySum, sqlx::Error> {
        Ok(FlakySum {
            project: row.try_get(0)?,
            lane: row.try_get(1)?,
            job: row.try_get(2)?,
            commits: row.try_get(3)?,
            wasted: row.try_get(4)?,
            last: row.try_get(5)?,
        })
    };
    read().map_err(garbage)
}

pub(crate) fn snapshot(row: &SqliteRow) -> Result<SnapshotRow> {
    let read = || -> std::result::Result<SnapshotRow, sqlx::Error> {
        Ok(SnapshotRow {
            project: row.try_get(0)?,
            branch: row.try_get(1)?,
            seen_at: row.try_get(2)?,
            sha: row.try_get(3)?,
            author: row.try_get(4)?,
            message: row.try_get(5)?,
            committed_at: row.try_get(6)?,
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

pub(crate) fn deployment(row: &SqliteRow) -> Result<DeploymentRow> {
    let read = || -> std::result::Result<DeploymentRow, sqlx::Error> {
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
            created_at: row.try_get(10)?,
            finished_at: row.try_get(11)?,
            updated_at: row.try_get(12)?,
            sha: row.try_get(13)?,
            url: row.try_get(14)?,
        })
    };
    read().map_err(garbage)
}

/// The number under which statistics stand: kind, level, scope and block, in the order in which they are read.
pub(crate) const fn roll_id(kind: i16, level: u8, scope: i32, block: i32) -> i64 {
    const ZERO: i64 = 1 << 23;
    let block = block as i64 + ZERO;
    let block = if block < 0 {
        0
    } else if block >= 2 * ZERO {
        2 * ZERO - 1
    } else {
        block
    };
    (kind as i64) << 60 | (level as i64) << 56 | (scope as i64) << 24 | block
}

/// The scope and the block of such a number.
pub(crate) const fn scope_and_block(id: i64) -> (i32, i32) {
    ((id >> 24) as i32, (id & 0xff_ffff) as i32 - (1 << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_statistics_sort_as_they_are_read_and_come_apart() {
        let places =
            [(0, 0, 1, -5), (0, 0, 1, 20_000), (0, 0, 2, 0), (0, 2, 1, 0), (1, 0, i32::MAX, 7), (3, 0, 1, 0)];
        let ids = places.map(|(kind, level, scope, block)| roll_id(kind, level, scope, block));
        assert!(ids.is_sorted(), "{ids:?}");
        for (place, id) in places.into_iter().zip(ids) {
            assert_eq!(scope_and_block(id), (place.2, place.3));
        }
        assert_eq!(roll_id(0, 0, 1, i32::MIN), roll_id(0, 0, 1, -(1 << 23)), "beyond what there can be");
    }
}
