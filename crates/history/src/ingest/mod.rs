//! A batch of news, from reports to rows, statistics and flakes, in one transaction.

mod branches;
mod deployments;
mod flakes;
mod projects;
mod recount;
mod statistics;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;

use self::branches::apart;
use self::deployments::put_deployments;
use self::projects::{put_projects, snapshot_row};
use self::statistics::put_statistics;
use crate::keeper::Keeper;
use crate::merge::{Attempt, Attempts, Report, merge};
use crate::reading::{Numbers, Texts};
use crate::roll::RollKey;
use crate::store::{JobKind, RunKey, RunRow, Store, Writing};
use crate::text::run_key;
use crate::{Batch, Day, Ingested, Result, Snapshot};

/// A run may have been written down under a day that is so far from the one that its creation says.
pub(crate) const NEAR_DAYS: i32 = 31;
/// Days for which nothing can stand.
const ANY_DAY: (i32, i32) = (-1_000_000, 1_000_000);

/// A run in a batch: what was known, and what will be.
#[derive(Default)]
struct Run {
    before: Attempts,
    after: Attempts,
    /// Rows as they stand, by attempt.
    rows: BTreeMap<i16, RunRow>,
}

type Runs = BTreeMap<(i32, i64), Run>;

impl<S: Store> Keeper<S> {
    pub(crate) async fn write(&self, batch: Batch) -> Result<Ingested> {
        if batch.is_empty() {
            return Ok(Ingested::default());
        }
        let _one_at_a_time = self.writer.lock().await;
        let mut tx = self.store.begin(false).await?;
        let mut fresh = Numbers::default();
        let (done, kinds, changed) = self.write_in(&mut tx, batch, &mut fresh).await?;
        self.commit(tx, Some(&changed)).await?;
        self.remember(fresh, &kinds);
        Ok(done)
    }

    async fn write_in(
        &self,
        tx: &mut S::Tx,
        mut batch: Batch,
        fresh: &mut Numbers,
    ) -> Result<(Ingested, HashMap<i32, JobKind>, Vec<RollKey>)> {
        let mut done = Ingested::default();
        for (_, deployment) in &mut batch.deployments {
            *deployment = deployment.clone().bounded();
        }
        let projects = put_projects(tx, &batch).await?;
        let mut scopes: HashMap<i32, i32> = projects.values().map(|p| (p.id, p.source)).collect();

        let oldest = self.oldest.load(Ordering::Relaxed);
        let mut reports = Vec::with_capacity(batch.runs.len());
        for news in batch.runs {
            let Some(project) = projects.get(&news.project) else { continue };
            let began = Day::of(news.pipeline.began().unwrap_or(batch.seen_at));
            if began.0 < oldest {
                // Dropped for its age, or would be.
                done.unchanged += 1;
                continue;
            }
            let key = (project.id, run_key(&news.pipeline.id));
            let report = Report {
                pipeline: news.pipeline,
                jobs: news.jobs,
                committed_at: news.committed_at,
                seen_at: batch.seen_at,
            };
            reports.push((key, report));
        }
        let mut runs = self.known_runs(tx, &reports).await?;
        for (key, report) in reports {
            if let Some(run) = runs.get_mut(&key)
                && !merge(&mut run.after, report)
            {
                done.unchanged += 1;
            }
        }
        runs.retain(|_, run| run.before != run.after);

        let mut texts = Texts::default();
        for attempt in runs_of(&runs) {
            texts.of(attempt);
        }
        for Snapshot { branch, .. } in &batch.snapshots {
            texts.of_head(branch);
        }
        for (_, deployment) in &batch.deployments {
            texts.of_deployment(deployment);
        }
        let (numbers, kinds) = self.numbers(tx, texts, &runs_of(&runs), fresh).await?;

        // With the rows as they stand.
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for ((project, _), run) in &runs {
            for (number, attempt) in &run.after {
                let row = numbers.row(*project, *number, attempt, &run.after);
                match run.rows.get(number) {
                    None => new.push(row),
                    Some(old) => {
                        let row = RunRow { id: old.id, ..row };
                        if row != *old {
                            changed.push((row, old));
                        }
                    }
                }
            }
        }
        done.added += new.len();
        done.changed += changed.len();
        let written: Vec<&RunRow> = new.iter().chain(changed.iter().map(|(r, _)| r)).collect();
        let days: BTreeSet<i32> = written.iter().map(|r| r.day).collect();
        tx.make_room(&days.into_iter().collect::<Vec<_>>()).await?;
        tx.put_reasons(&reasons(&runs, &numbers)).await?;
        let lanes: BTreeMap<(i32, i32), i32> =
            written.iter().filter(|r| r.workflow != 0).map(|r| ((r.project, r.lane), r.workflow)).collect();
        let lanes: Vec<_> = lanes.into_iter().map(|((project, lane), name)| (project, lane, name)).collect();
        tx.put_lanes(&lanes).await?;
        self.put_flakes(tx, &runs, &written, &numbers, &kinds).await?;
        let mut apart = apart(tx, &runs, &numbers).await?;
        let taken = self.put_branches(tx, (&new, &changed), &mut scopes, &mut apart).await?;
        let statistics = put_statistics(tx, &runs, &scopes, &numbers, (&apart, taken)).await?;
        let changed: Vec<(RunRow, i32)> = changed.into_iter().map(|(row, old)| changes(row, old)).collect();
        tx.put_runs(&new, &changed).await?;

        let seen_at = batch.seen_at.as_millisecond();
        let heads: Vec<_> = batch
            .snapshots
            .iter()
            .filter_map(|s| Some(snapshot_row(projects.get(&s.project)?.id, s, seen_at, &numbers)))
            .collect();
        tx.put_snapshots(&heads).await?;
        let told = batch.deployments.iter();
        let told = told.filter_map(|(key, deployment)| Some((projects.get(key)?.id, deployment)));
        put_deployments(tx, told, (oldest, batch.seen_at), &numbers).await?;
        Ok((done, kinds, statistics))
    }

    /// What the database has of the runs that are reported.
    async fn known_runs(&self, tx: &mut S::Tx, reports: &[((i32, i64), Report)]) -> Result<Runs> {
        let mut keys: BTreeMap<(i32, i64), (i32, i32)> = BTreeMap::new();
        for (key, report) in reports {
            let days = match report.pipeline.created_at {
                Some(at) => (Day::of(at).0 - NEAR_DAYS, Day::of(at).0 + NEAR_DAYS),
                None => ANY_DAY,
            };
            let known = keys.entry(*key).or_insert(days);
            *known = (known.0.min(days.0), known.1.max(days.1));
        }
        let keys: Vec<RunKey> =
            keys.into_iter().map(|((project, run), (from, to))| RunKey { project, run, from, to }).collect();
        let rows = tx.attempts(&keys).await?;
        let names = self.names(&rows, &[]).await?;
        let mut runs: Runs = keys.iter().map(|k| ((k.project, k.run), Run::default())).collect();
        for row in rows {
            if let Some(run) = runs.get_mut(&(row.project, row.run)) {
                let attempt = names.attempt(&row)?;
                run.before.insert(row.attempt, attempt.clone());
                run.after.insert(row.attempt, attempt);
                run.rows.insert(row.attempt, row);
            }
        }
        Ok(runs)
    }
}

/// What to write of an attempt that is there: its jobs only where they are others, or others' days (their times count from
/// it). With the day that it stood under.
fn changes(row: RunRow, old: &RunRow) -> (RunRow, i32) {
    let same_jobs = row.jobs == old.jobs && row.day == old.day;
    let jobs = if same_jobs { None } else { row.jobs };
    (RunRow { jobs, ..row }, old.day)
}

/// Every attempt with its run, for whoever needs the texts of all.
fn runs_of(runs: &Runs) -> Vec<&Attempt> {
    runs.values().flat_map(|r| r.before.values().chain(r.after.values())).collect()
}

/// Reasons with what they come to when normalised.
fn reasons(runs: &Runs, numbers: &Numbers) -> Vec<(i32, i32)> {
    let mut pairs = BTreeSet::new();
    for attempt in runs.values().flat_map(|r| r.after.values()) {
        let jobs = attempt.jobs().filter_map(|j| j.failure_reason.as_deref());
        for reason in attempt.pipeline.failure.as_deref().into_iter().chain(jobs) {
            pairs.insert((numbers.word(reason), numbers.reason(Some(reason))));
        }
        // What a run tells of a job is found by the job's reason as well.
        if let (Some(failure), Some((_, Some(reason)))) = (&attempt.pipeline.failure, attempt.of_job()) {
            pairs.insert((numbers.word(failure), numbers.reason(Some(reason))));
        }
    }
    pairs.into_iter().collect()
}
