//! A run's jobs, as they stand in its row: kinds, reasons and texts in arrays, by which runs are found; keys and times packed,
//! as arrays of them would take more room than the rest of the row. The form is described in `0006_room.sql`, which has
//! the same for people with SQL tools.

use history::codec::{Reader, put_signed};
use history::store::JobRow;
use history::{Error, ErrorKind, Result};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::rows::garbage;

/// The columns, in the order of [`jobs`]. The table is `r`.
macro_rules! job_columns {
    () => {
        ", r.job_keys, r.job_kinds, r.job_times, r.job_reasons, r.job_texts, r.job_cells"
    };
}
pub(crate) use job_columns;

/// Created, started and finished, duration, queued.
type Times = [Option<i32>; 5];

const fn times(job: &JobRow) -> Times {
    [job.created, job.started, job.finished, job.duration, job.queued]
}

/// What a time is told as more than: the one of the job before it, or what others of its own job say.
fn expected(before: i64, times: Times) -> [i64; 5] {
    let of = |time: Option<i32>| i64::from(time.unwrap_or_default());
    [before, 0, 0, of(times[2]) * 100, of(times[1]) * 100]
}

/// The column `job_cells`.
fn pack(jobs: &[JobRow]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 * jobs.len());
    let (mut key, mut created) = (0, 0);
    for job in jobs {
        let times = times(job);
        out.push((0..).zip(times).fold(0, |bits, (i, time)| bits | u8::from(time.is_some()) << i));
        put_signed(&mut out, job.job ^ key);
        for (time, expected) in times.into_iter().zip(expected(created, times)) {
            if let Some(time) = time {
                put_signed(&mut out, i64::from(time) - expected);
            }
        }
        key = job.job;
        created = job.created.map_or(created, i64::from);
    }
    out
}

fn unpack(cells: &[u8]) -> Result<Vec<(i64, Times)>> {
    let mut from = Reader(cells);
    let mut jobs = Vec::new();
    let (mut key, mut created) = (0, 0);
    while !from.0.is_empty() {
        let bits = from.byte()?;
        key ^= from.get_signed()?;
        let mut times = Times::default();
        for i in 0..times.len() {
            if bits & 1 << i != 0 {
                let time = from.get_signed()?.saturating_add(expected(created, times)[i]);
                let beyond = "a job's time in the database is beyond what there can be";
                times[i] = Some(i32::try_from(time).map_err(|_| Error::new(ErrorKind::Garbage, beyond))?);
            }
        }
        created = times[0].map_or(created, i64::from);
        jobs.push((key, times));
    }
    Ok(jobs)
}

/// A run's jobs, from column `at` on.
pub(crate) fn jobs(row: &PgRow, at: usize) -> Result<Vec<JobRow>> {
    type Columns = (Vec<i32>, Option<Vec<i32>>, Option<Vec<Option<String>>>, Option<Vec<u8>>);
    let read = || -> std::result::Result<Columns, sqlx::Error> {
        let kinds: Option<Vec<i32>> = row.try_get(at + 1)?;
        Ok((kinds.unwrap_or_default(), row.try_get(at + 3)?, row.try_get(at + 4)?, row.try_get(at + 5)?))
    };
    let (kinds, reasons, texts, cells) = read().map_err(garbage)?;
    let cells = match cells {
        Some(cells) => unpack(&cells)?,
        None => in_arrays(row, at).map_err(garbage)?,
    };
    let job = |(i, (job, [created, started, finished, duration, queued])): (usize, (i64, Times))| JobRow {
        job,
        job_text: texts.as_ref().and_then(|t| t.get(i)).cloned().flatten(),
        kind: kinds.get(i).copied().unwrap_or_default(),
        reason: reasons.as_ref().and_then(|r| r.get(i)).copied().unwrap_or_default(),
        created,
        started,
        finished,
        duration,
        queued,
    };
    Ok(cells.into_iter().enumerate().map(job).collect())
}

/// Keys and times of runs that were written before they were packed.
fn in_arrays(row: &PgRow, at: usize) -> std::result::Result<Vec<(i64, Times)>, sqlx::Error> {
    let keys: Option<Vec<i64>> = row.try_get(at)?;
    let times: Option<Vec<Option<i32>>> = row.try_get(at + 2)?;
    let times = times.unwrap_or_default();
    let of = |i: usize| std::array::from_fn(|n| times.get(5 * i + n).copied().flatten());
    Ok(keys.unwrap_or_default().into_iter().enumerate().map(|(i, key)| (key, of(i))).collect())
}

/// The jobs of some runs as columns to write. Several arrays of different lengths cannot be sent as one array: they are texts.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    pub(crate) kinds: Vec<Option<String>>,
    pub(crate) reasons: Vec<Option<String>>,
    pub(crate) texts: Vec<Option<String>>,
    pub(crate) cells: Vec<Option<Vec<u8>>>,
}

impl Columns {
    /// Adds those of a run; `None`: they are not known.
    pub(crate) fn push(&mut self, jobs: Option<&[JobRow]>) {
        let tells = |of: fn(&JobRow) -> bool| jobs.filter(|jobs| jobs.iter().any(of));
        self.kinds.push(jobs.map(|jobs| array(jobs.iter().map(|j| Some(j.kind)))));
        self.reasons.push(tells(|j| j.reason != 0).map(|jobs| array(jobs.iter().map(|j| Some(j.reason)))));
        let text = |j: &JobRow| j.job_text.as_deref().map(quoted);
        self.texts.push(tells(|j| j.job_text.is_some()).map(|jobs| array(jobs.iter().map(text))));
        self.cells.push(jobs.map(pack));
    }
}

/// An array as PostgreSQL writes one.
fn array<T: ToString>(cells: impl Iterator<Item = Option<T>>) -> String {
    let cells: Vec<String> = cells.map(|c| c.map_or_else(|| "NULL".to_owned(), |c| c.to_string())).collect();
    format!("{{{}}}", cells.join(","))
}

/// A text within an array.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_job() -> impl Strategy<Value = JobRow> {
        (any::<i64>(), prop::array::uniform5(prop::option::of(any::<i32>()))).prop_map(
            |(job, [created, started, finished, duration, queued])| JobRow {
                job,
                job_text: None,
                kind: 1,
                reason: 0,
                created,
                started,
                finished,
                duration,
                queued,
            },
        )
    }

    proptest! {
        #[test]
        fn packed_and_back(jobs in prop::collection::vec(any_job(), 0..20)) {
            let told: Vec<(i64, Times)> = jobs.iter().map(|j| (j.job, times(j))).collect();
            prop_assert_eq!(unpack(&pack(&jobs)).unwrap(), told);
        }

        #[test]
        fn any_bytes_are_an_error_or_jobs(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = unpack(&bytes);
        }
    }

    #[test]
    fn what_follows_from_the_rest_takes_a_byte() {
        let job = |job| JobRow {
            job,
            job_text: None,
            kind: 1,
            reason: 0,
            created: Some(36_000),
            started: Some(50),
            finished: Some(1_200),
            duration: Some(120_000),
            queued: Some(5_000),
        };
        assert_eq!(pack(&[job(1_000_001), job(1_000_002)]).len(), 12 + 8);
    }
}
