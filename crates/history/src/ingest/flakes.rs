//! Which commits were red and green.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use domain::{Pipeline, Status};

use super::Runs;
use crate::Result;
use crate::keeper::Keeper;
use crate::merge::Attempts;
use crate::reading::{Numbers, status_of};
use crate::store::{CommitKey, FlakeRow, JobKind, RunRow, Store, Writing};
use crate::text::commit_key;

/// Two runs of one commit belong together when they began within so many days of each other.
const SAME_COMMIT_DAYS: i32 = 30;

impl<S: Store> Keeper<S> {
    /// Finds what is flaky anew for the commits whose runs came to a verdict. `unwritten`: attempts that the database does not
    /// have yet, or not as they are now.
    pub(super) async fn put_flakes(
        &self,
        tx: &mut S::Tx,
        runs: &Runs,
        unwritten: &[&RunRow],
        numbers: &Numbers,
        kinds: &HashMap<i32, JobKind>,
    ) -> Result<()> {
        let mut keys: BTreeMap<(i32, i32, i32), CommitKey> = BTreeMap::new();
        let mut had: BTreeSet<(i32, i32, i32)> = BTreeSet::new();
        for ((project, _), run) in runs {
            if verdicts(&run.before) == verdicts(&run.after) {
                continue;
            }
            for (attempts, before) in [(&run.before, true), (&run.after, false)] {
                for attempt in attempts.values().filter(|a| a.pipeline.status.is_verdict()) {
                    let Some(sha) = attempt.pipeline.sha.as_deref() else { continue };
                    let lane = numbers.word(&attempt.pipeline.workflow.lane);
                    let id = (*project, lane, commit_key(sha));
                    if before {
                        had.insert(id);
                    }
                    let (from, to) = (attempt.day.0 - SAME_COMMIT_DAYS, attempt.day.0 + SAME_COMMIT_DAYS);
                    let key = keys.entry(id).or_insert(CommitKey {
                        commit: id.2,
                        project: *project,
                        lane,
                        from,
                        to,
                    });
                    (key.from, key.to) = (key.from.min(from), key.to.max(to));
                }
            }
        }
        if keys.is_empty() {
            return Ok(());
        }
        let asked: Vec<CommitKey> = keys.values().copied().collect();
        let mut rows = tx.of_commits(&asked).await?;
        let ours: HashSet<_> = unwritten.iter().map(|r| (r.project, r.run, r.attempt)).collect();
        rows.retain(|r| !ours.contains(&(r.project, r.run, r.attempt)));
        let kinds = self.kinds_of(&rows, kinds).await?;
        let mut of: BTreeMap<(i32, i32, i32), Vec<&RunRow>> = BTreeMap::new();
        for row in rows.iter().chain(unwritten.iter().copied()) {
            let id = (row.project, row.lane, row.commit);
            let near = |key: &CommitKey| (key.from..=key.to).contains(&row.day);
            if status_of(row.status).is_verdict() && keys.get(&id).is_some_and(near) {
                of.entry(id).or_default().push(row);
            }
        }
        let (mut clear, mut flakes) = (Vec::new(), Vec::new());
        for (id, key) in keys {
            let rows = of.remove(&id).unwrap_or_default();
            if rows.len() < 2 && !had.contains(&id) && rows.iter().all(|r| r.jobs.is_none()) {
                continue;
            }
            clear.push(key);
            // Commits whose ids begin alike are found together, and are not one.
            let mut by_sha: BTreeMap<Option<&[u8]>, Vec<&RunRow>> = BTreeMap::new();
            for row in rows {
                by_sha.entry(row.sha.as_deref()).or_default().push(row);
            }
            let mut found: BTreeMap<i32, FlakeRow> = BTreeMap::new();
            for flake in by_sha.values().flat_map(|rows| flakes_of(rows, &kinds)) {
                found
                    .entry(flake.job)
                    .and_modify(|f| {
                        (f.red, f.green, f.wasted) =
                            (f.red + flake.red, f.green + flake.green, f.wasted + flake.wasted);
                    })
                    .or_insert(flake);
            }
            flakes.extend(found.into_values());
        }
        if clear.is_empty() { Ok(()) } else { tx.put_flakes(&clear, &flakes).await }
    }
}

/// Whether a run's verdicts changed, so that what is flaky may have.
fn verdicts(attempts: &Attempts) -> Vec<(i16, Option<bool>, Option<&str>, usize)> {
    let of = |p: &Pipeline| p.status.is_verdict().then(|| p.status.is_green());
    attempts
        .iter()
        .map(|(n, a)| {
            (*n, of(&a.pipeline), a.pipeline.sha.as_deref(), a.jobs.as_ref().map_or(0, BTreeMap::len))
        })
        .collect()
}

/// What was red and green on one commit of one lane: the run as a whole, and each of its jobs.
fn flakes_of(rows: &[&RunRow], kinds: &HashMap<i32, JobKind>) -> Vec<FlakeRow> {
    #[derive(Default)]
    struct Seen {
        red: i32,
        green: i32,
        wasted: i64,
    }
    let Some(newest) = rows.iter().max_by_key(|r| (r.day, r.created_at, r.run, r.attempt)) else {
        return Vec::new();
    };
    let mut seen: BTreeMap<i32, Seen> = BTreeMap::new();
    let mut note = |job: i32, status: Status, work: i64| {
        let seen = seen.entry(job).or_default();
        match status {
            Status::Failed => {
                seen.red += 1;
                seen.wasted += work;
            }
            s if s.is_green() => seen.green += 1,
            _ => {}
        }
    };
    for row in rows {
        let jobs = row.jobs.as_deref().unwrap_or_default();
        let work: i64 = jobs.iter().filter_map(|j| j.duration).map(i64::from).sum();
        let work = if work > 0 { work } else { row.duration.unwrap_or_default().into() };
        note(0, status_of(row.status), work);
        for job in jobs {
            if let Some(kind) = kinds.get(&job.kind) {
                note(kind.name, status_of(kind.status), job.duration.unwrap_or_default().into());
            }
        }
    }
    seen.into_iter()
        .filter(|(_, s)| s.red > 0 && s.green > 0)
        .map(|(job, s)| FlakeRow {
            project: newest.project,
            lane: newest.lane,
            job,
            commit: newest.commit,
            branch: newest.branch,
            day: newest.day,
            red: s.red,
            green: s.green,
            wasted: s.wasted,
            run: newest.run,
        })
        .collect()
}
