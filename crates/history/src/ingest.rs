//! A batch of news, from reports to rows, statistics and flakes, in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;

use domain::{Pipeline, ProjectKey, SourceName, Status};

use crate::calendar::LEVELS;
use crate::keeper::Keeper;
use crate::merge::{Attempt, Attempts, Report, merge};
use crate::reading::{Numbers, describe, millis, person_row, status_of, texts_of};
use crate::roll::{Group, GroupKey, Kind, Roll, RollKey, Sketch, TIMELINE_DAYS, Timeline, Verdict};
use crate::store::{CommitKey, FlakeRow, JobKind, ProjectRow, RunKey, RunRow, SnapshotRow, Store, Writing};
use crate::text::{commit_key, is_remedy, run_key, sha_to_bytes};
use crate::{Batch, Day, Ingested, ProjectNews, Result, Snapshot};

/// Two runs of one commit belong together when they began within so many days of each other.
const SAME_COMMIT_DAYS: i32 = 30;
/// A run may have been written down under a day that is so far from the one that its creation says.
const NEAR_DAYS: i32 = 31;
/// Days for which nothing can stand.
const ANY_DAY: (i32, i32) = (-1_000_000, 1_000_000);

/// Branches of these names have statistics of their own over a whole source, as people ask for them; figures of any other
/// branch are the sum of its projects'.
pub(crate) const COMMON_BRANCHES: [&str; 9] =
    ["main", "master", "develop", "dev", "trunk", "production", "staging", "release", "default"];

/// A run in a batch: what was known, and what will be.
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
        let (done, kinds) = self.write_in(&mut tx, batch, &mut fresh).await?;
        tx.commit().await?;
        self.remember(fresh, &kinds);
        Ok(done)
    }

    async fn write_in(
        &self,
        tx: &mut S::Tx,
        batch: Batch,
        fresh: &mut Numbers,
    ) -> Result<(Ingested, HashMap<i32, JobKind>)> {
        let mut done = Ingested::default();
        let projects = put_projects(tx, &batch).await?;
        let scopes: HashMap<i32, i32> = projects.values().map(|p| (p.id, p.source)).collect();

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

        let mut words: Vec<String> = COMMON_BRANCHES.map(str::to_owned).into();
        let mut people = Vec::new();
        for attempt in runs.values().flat_map(|r| r.before.values().chain(r.after.values())) {
            texts_of(attempt, &mut words, &mut people);
        }
        for Snapshot { branch, .. } in &batch.snapshots {
            words.push(branch.name.clone());
            words.extend(branch.url.as_ref().map(|u| u.as_str().to_owned()));
            people.extend(branch.author.as_ref().map(person_row));
        }
        let (numbers, kinds) = self.numbers(tx, words, people, &runs_of(&runs), fresh).await?;

        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for ((project, _), run) in &runs {
            let last = run.after.last_key_value().map(|(n, _)| *n);
            for (number, attempt) in &run.after {
                let row = numbers.row(*project, *number, attempt, Some(*number) != last);
                match run.rows.get(number) {
                    None => new.push(row),
                    Some(old) => {
                        let row = RunRow { id: old.id, ..row };
                        let same_jobs = row.jobs == old.jobs && row.day == old.day;
                        let (mine, theirs) =
                            (RunRow { jobs: None, ..row.clone() }, RunRow { jobs: None, ..old.clone() });
                        if mine != theirs || !same_jobs {
                            let jobs = row.jobs.clone().filter(|_| !same_jobs);
                            changed.push((RunRow { jobs, ..row }, old.day));
                        }
                    }
                }
            }
        }
        done.added += new.len();
        done.changed += changed.len();
        let days: BTreeSet<i32> = new.iter().chain(changed.iter().map(|(r, _)| r)).map(|r| r.day).collect();
        tx.make_room(&days.into_iter().collect::<Vec<_>>()).await?;
        tx.put_reasons(&reasons(&runs, &numbers)).await?;
        let lanes: BTreeMap<(i32, i32), i32> = new
            .iter()
            .chain(changed.iter().map(|(r, _)| r))
            .filter(|r| r.workflow != 0)
            .map(|r| ((r.project, r.lane), r.workflow))
            .collect();
        let lanes: Vec<_> = lanes.into_iter().map(|((project, lane), name)| (project, lane, name)).collect();
        tx.put_lanes(&lanes).await?;
        tx.put_runs(&new, &changed).await?;
        put_statistics(tx, &runs, &scopes, &numbers).await?;
        self.put_flakes(tx, &runs, &numbers, &kinds).await?;

        let seen_at = batch.seen_at.as_millisecond();
        let heads: Vec<_> = batch
            .snapshots
            .iter()
            .filter_map(|s| Some(snapshot_row(projects.get(&s.project)?.id, s, seen_at, &numbers)))
            .collect();
        tx.put_snapshots(&heads).await?;
        Ok((done, kinds))
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
        let mut runs: Runs = keys
            .iter()
            .map(|k| {
                let run = Run { before: Attempts::new(), after: Attempts::new(), rows: BTreeMap::new() };
                ((k.project, k.run), run)
            })
            .collect();
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

    async fn put_flakes(
        &self,
        tx: &mut S::Tx,
        runs: &Runs,
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
        let rows = tx.of_commits(&asked).await?;
        let kinds = self.kinds_of(&rows, kinds).await?;
        let mut of: BTreeMap<(i32, i32, i32), Vec<RunRow>> = BTreeMap::new();
        for row in rows {
            of.entry((row.project, row.lane, row.commit)).or_default().push(row);
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
            for row in &rows {
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

/// Every attempt with its run, for whoever needs the texts of all.
fn runs_of(runs: &Runs) -> Vec<&Attempt> {
    runs.values().flat_map(|r| r.before.values().chain(r.after.values())).collect()
}

/// Reasons with what they come to when normalised.
fn reasons(runs: &Runs, numbers: &Numbers) -> Vec<(i32, i32)> {
    let mut pairs = BTreeSet::new();
    for attempt in runs.values().flat_map(|r| r.after.values()) {
        let jobs = attempt.jobs.iter().flat_map(BTreeMap::values).filter_map(|j| j.failure_reason.as_deref());
        for reason in attempt.pipeline.failure.as_deref().into_iter().chain(jobs) {
            pairs.insert((numbers.word(reason), numbers.reason(Some(reason))));
        }
    }
    pairs.into_iter().collect()
}

async fn put_projects<T: Writing>(tx: &mut T, batch: &Batch) -> Result<BTreeMap<ProjectKey, ProjectRow>> {
    let mut keys: BTreeSet<ProjectKey> = batch.runs.iter().map(|r| r.project.clone()).collect();
    keys.extend(batch.watermarks.keys().cloned());
    keys.extend(batch.snapshots.iter().map(|s| s.project.clone()));
    keys.extend(batch.projects.iter().map(|p| match p {
        ProjectNews::There(project) => project.key.clone(),
        ProjectNews::Gone(key) => key.clone(),
    }));
    let mut names: BTreeMap<SourceName, String> = batch.sources.clone();
    for key in &keys {
        names.entry(key.source.clone()).or_default();
    }
    let asked: Vec<(String, String)> =
        names.iter().map(|(name, platform)| (name.as_str().to_owned(), platform.clone())).collect();
    let sources: HashMap<String, i32> =
        tx.sources(&asked).await?.into_iter().map(|row| (row.name, row.id)).collect();
    let source_of = |key: &ProjectKey| sources.get(key.source.as_str()).copied().unwrap_or_default();

    let wanted: Vec<(i32, String)> = keys.iter().map(|k| (source_of(k), k.id.as_str().to_owned())).collect();
    let known: HashMap<(i32, String), ProjectRow> = tx
        .projects(&wanted)
        .await?
        .into_iter()
        .map(|row| ((row.source, row.native_id.clone()), row))
        .collect();
    let mut rows: BTreeMap<ProjectKey, ProjectRow> = keys
        .into_iter()
        .map(|key| {
            let native = key.id.as_str().to_owned();
            let fresh = ProjectRow {
                source: source_of(&key),
                native_id: native.clone(),
                name: native.clone(),
                ..ProjectRow::default()
            };
            let row = known.get(&(source_of(&key), native)).cloned().unwrap_or(fresh);
            (key, row)
        })
        .collect();
    let before = rows.clone();
    let now = batch.seen_at.as_millisecond();
    for news in &batch.projects {
        match news {
            ProjectNews::There(project) => {
                if let Some(row) = rows.get_mut(&project.key) {
                    describe(row, (**project).clone());
                }
            }
            ProjectNews::Gone(key) => {
                if let Some(row) = rows.get_mut(key) {
                    row.gone_at.get_or_insert(now);
                }
            }
        }
    }
    for (key, known) in &batch.watermarks {
        if let Some(row) = rows.get_mut(key) {
            row.known = Some(*known);
        }
    }
    let changed: Vec<ProjectKey> = rows
        .iter()
        .filter(|(key, row)| row.id == 0 || before.get(*key) != Some(*row))
        .map(|(k, _)| k.clone())
        .collect();
    let put: Vec<ProjectRow> = changed.iter().filter_map(|k| rows.get(k).cloned()).collect();
    if !put.is_empty() {
        for (key, id) in changed.iter().zip(tx.put_projects(&put, now).await?) {
            if let Some(row) = rows.get_mut(key) {
                row.id = id;
            }
        }
    }
    Ok(rows)
}

fn snapshot_row(project: i32, snapshot: &Snapshot, seen_at: i64, numbers: &Numbers) -> SnapshotRow {
    let branch = &snapshot.branch;
    SnapshotRow {
        project,
        branch: numbers.word(&branch.name),
        seen_at,
        sha: branch.sha.as_deref().map(sha_to_bytes),
        author: branch
            .author
            .as_ref()
            .and_then(|a| numbers.people.get(&person_row(a)))
            .copied()
            .unwrap_or_default(),
        message: branch.message.clone(),
        committed_at: millis(branch.committed_at),
        default: branch.default,
        protected: branch.protected,
        url: branch.url.as_ref().map_or(0, |u| numbers.word(u.as_str())),
    }
}

/// What an attempt adds to the statistics of its run's day: runs, then jobs.
fn shares(number: i16, attempt: &Attempt, numbers: &Numbers) -> [Vec<(GroupKey, Group)>; 2] {
    let p = &attempt.pipeline;
    let branch = p.branch.as_deref().map_or(0, |b| numbers.word(b));
    let mut group = Group::default();
    if number == 1 {
        count(&mut group, p.status);
        if p.status.is_verdict() {
            group.durations = sketch(p.duration);
        }
        group.queued = match (p.queued, p.created_at, p.started_at) {
            (Some(queued), ..) => sketch(Some(queued)),
            (None, Some(created), Some(started)) => {
                Sketch::of(started.as_millisecond() - created.as_millisecond())
            }
            _ => Sketch::default(),
        };
        if let (true, Some(finished), Some(committed)) =
            (p.status.is_green(), p.finished_at, attempt.committed_at)
        {
            group.lead = Sketch::of(finished.as_millisecond() - committed.as_millisecond());
        }
        if let Some(began) = p.began() {
            let hour = began.as_millisecond().div_euclid(60 * 60 * 1000).rem_euclid(24) as u8;
            let hour_of_week = Day::of(began).weekday() * 24 + hour;
            group.hours.insert(hour_of_week, (1, i64::from(p.status == Status::Failed)));
        }
    } else {
        group.further = 1;
    }
    if p.status == Status::Failed && p.failure.is_some() {
        group.reasons.insert(numbers.reason(p.failure.as_deref()), 1);
    }
    let runs = vec![((branch, numbers.word(&p.workflow.lane)), group)];

    let mut jobs: Vec<(GroupKey, Group)> = Vec::new();
    for job in attempt.jobs.iter().flat_map(BTreeMap::values) {
        let mut group = Group::default();
        if number == 1 {
            count(&mut group, job.status);
            if job.status.is_verdict() {
                group.durations = sketch(job.duration);
            }
            group.queued = sketch(job.queued);
        } else {
            group.further = 1;
        }
        if job.status == Status::Failed {
            group.reasons.insert(numbers.reason(job.failure_reason.as_deref()), 1);
        }
        jobs.push(((branch, numbers.word(&job.name)), group));
    }
    [runs, jobs]
}

fn count(group: &mut Group, status: Status) {
    if let Some(at) = Status::ALL.iter().position(|s| *s == status) {
        group.counts[at] += 1;
    }
}

fn sketch(d: Option<std::time::Duration>) -> Sketch {
    d.map_or_else(Sketch::default, |d| Sketch::of(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
}

/// A run's place on the timeline: its newest attempt that came to a verdict.
fn verdict(run: i64, attempts: &Attempts, numbers: &Numbers) -> Option<((i32, i32), i32, Verdict)> {
    let attempt = attempts.values().rev().find(|a| a.pipeline.status.is_verdict())?;
    let p = &attempt.pipeline;
    let began = p.began().map_or_else(|| attempt.day.start(), |at| at).as_millisecond();
    let took = match (p.finished_at, p.duration) {
        (Some(finished), _) => finished.as_millisecond() - began,
        (None, Some(duration)) => i64::try_from(duration.as_millis()).unwrap_or_default(),
        (None, None) => 0,
    };
    let key = (p.branch.as_deref().map_or(0, |b| numbers.word(b)), numbers.word(&p.workflow.lane));
    let verdict = Verdict {
        began_ms: began,
        run,
        took_ms: took.max(0),
        green: p.status.is_green(),
        remedy: p.message.as_deref().is_some_and(is_remedy),
        commit: p.sha.as_deref().map_or(0, commit_key),
    };
    Some((key, attempt.day.0.div_euclid(TIMELINE_DAYS), verdict))
}

async fn put_statistics<T: Writing>(
    tx: &mut T,
    runs: &Runs,
    sources: &HashMap<i32, i32>,
    numbers: &Numbers,
) -> Result<()> {
    let common: BTreeSet<i32> = COMMON_BRANCHES.iter().map(|b| numbers.word(b)).collect();
    let mut differences: BTreeMap<RollKey, Roll> = BTreeMap::new();
    let mut moves: BTreeMap<RollKey, Vec<((i32, i32), i64, Option<Verdict>)>> = BTreeMap::new();
    for ((project, run_number), run) in runs {
        let source = sources.get(project).copied().unwrap_or_default();
        for (attempts, sign) in [(&run.before, -1), (&run.after, 1)] {
            for (number, attempt) in attempts {
                let other = if sign < 0 { run.after.get(number) } else { run.before.get(number) };
                if other == Some(attempt) {
                    continue;
                }
                for (kind, groups) in
                    [Kind::Runs, Kind::Jobs].into_iter().zip(shares(*number, attempt, numbers))
                {
                    for (key, group) in groups {
                        for (level, days) in LEVELS.into_iter().enumerate() {
                            let at = |kind, scope| RollKey {
                                kind,
                                level: level as u8,
                                scope,
                                block: attempt.day.0.div_euclid(days),
                            };
                            differences.entry(at(kind, *project)).or_default().add(key, &group, sign);
                            if kind == Kind::Runs {
                                let all = differences.entry(at(Kind::Source, source)).or_default();
                                all.add((0, 0), &group, sign);
                                if common.contains(&key.0) {
                                    all.add((key.0, 0), &group, sign);
                                }
                            }
                        }
                    }
                }
            }
        }
        let (old, new) =
            (verdict(*run_number, &run.before, numbers), verdict(*run_number, &run.after, numbers));
        if old != new {
            let at = |block| RollKey { kind: Kind::Timeline, level: 0, scope: *project, block };
            if let Some((key, block, _)) = old {
                moves.entry(at(block)).or_default().push((key, *run_number, None));
            }
            if let Some((key, block, verdict)) = new {
                moves.entry(at(block)).or_default().push((key, *run_number, Some(verdict)));
            }
        }
    }
    differences.retain(|_, roll| !roll.tidy());

    let keys: Vec<RollKey> = differences.keys().chain(moves.keys()).copied().collect();
    let known: HashMap<RollKey, Vec<u8>> = tx.rolls(&keys).await?.into_iter().collect();
    let mut put = Vec::with_capacity(keys.len());
    for (key, difference) in differences {
        let bytes = match known.get(&key) {
            Some(bytes) => {
                let mut roll = Roll::from_bytes(bytes)?;
                roll.merge(&difference);
                if roll.tidy() { None } else { Some(roll.to_bytes()) }
            }
            None => Some(difference.to_bytes()),
        };
        put.push((key, bytes));
    }
    for (key, moves) in moves {
        let mut timeline = match known.get(&key) {
            Some(bytes) => Timeline::from_bytes(bytes)?,
            None => Timeline::default(),
        };
        for (place, run, verdict) in moves {
            match verdict {
                Some(verdict) => timeline.put(place, verdict),
                None => timeline.take(place, run),
            }
        }
        put.push((key, (!timeline.0.is_empty()).then(|| timeline.to_bytes())));
    }
    tx.put_rolls(&put).await
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
