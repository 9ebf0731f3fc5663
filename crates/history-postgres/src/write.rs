//! Writing.

use async_trait::async_trait;
use history::roll::RollKey;
use history::store::{
    BranchRow, CommitKey, DeploymentRow, FlakeRow, JobKind, PersonRow, ProjectRow, RunKey, RunRow,
    SnapshotRow, SourceRow, Writing,
};
use history::{Logged, Result, Treated, Webhook};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Postgres as Db, Row as _, Transaction};

use crate::errors::told;
use crate::jobs::{Columns, job_columns};
use crate::open::Postgres;
use crate::read::{APART, project_columns, two};
use crate::rows::{column, deployment, deployment_columns, garbage, project, run_columns, run_with_jobs};
use crate::times::{Date, Ms};

/// The advisory lock at which writers wait for each other: `ci-d` in ASCII.
const WRITERS: i64 = 0x6369_2d64;

/// Rows per statement: enough to be fast, few enough to be sent at once.
const CHUNK: usize = 4_000;

/// A transaction of the one process that writes.
#[derive(Debug)]
pub struct Tx {
    of: Postgres,
    tx: Transaction<'static, Db>,
    /// Rows of statistics that were written.
    rewritten: usize,
}

type Query = sqlx::query::Query<'static, Db, PgArguments>;

impl Tx {
    pub(crate) async fn begin(of: &Postgres, durable: bool) -> Result<Self> {
        let tx = of.pool.begin().await.map_err(|e| told(&of.at, e))?;
        let mut tx = Self { of: of.clone(), tx, rewritten: 0 };
        // It waits for whoever writes, at most as long as a statement may take.
        tx.run(sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(WRITERS)).await?;
        if durable {
            tx.run(sqlx::query("SET LOCAL synchronous_commit = on")).await?;
        }
        Ok(tx)
    }

    async fn run(&mut self, query: Query) -> Result<u64> {
        let done = query.execute(&mut *self.tx).await.map_err(|e| told(&self.of.at, e))?;
        Ok(done.rows_affected())
    }

    async fn all<T>(&mut self, query: Query, read: impl Fn(&PgRow) -> Result<T>) -> Result<Vec<T>> {
        let rows = query.fetch_all(&mut *self.tx).await.map_err(|e| told(&self.of.at, e))?;
        rows.iter().map(read).collect()
    }
}

fn number(row: &PgRow) -> Result<i32> {
    row.try_get(0).map_err(garbage)
}

/// What a run's columns are called, in the order of [`bind_runs`].
macro_rules! given {
    () => {
        "unnest($1::int[], $2::bigint[], $3::smallint[], $4::date[], $5::smallint[], $6::smallint[], $7::int[], $8::int[], \
         $9::int[], $10::int[], $11::int[], $12::int[], $13::int[], $14::int[], $15::int[], $16::bigint[], \
         $17::timestamptz[], $18::timestamptz[], $19::timestamptz[], $20::timestamptz[], $21::timestamptz[], $22::int[], \
         $23::int[], $24::int[], $25::bytea[], $26::text[], $27::text[], $28::text[], $29::text[], $30::text[], $31::bytea[], \
         $32::date[]) AS g (project_id, run_key, attempt, day, flags, status, native_id, event_id, branch_id, \
         lane_id, workflow_id, author_id, url_id, failure_id, commit_key, number, created_at, started_at, finished_at, \
         updated_at, committed_at, duration_ms, queued_ms, expected_ms, sha, message, run_text, job_kinds, \
         job_reasons, job_texts, job_cells, stood)"
    };
}

fn bind_runs(statement: &'static str, rows: &[(&RunRow, i32)]) -> Query {
    let ms = |t: Option<i64>| t.map(Ms);
    let maybe = |id: i32| (id != 0).then_some(id);
    let mut jobs = Columns::default();
    for (row, _) in rows {
        jobs.push(row.jobs.as_deref());
    }
    sqlx::query(statement)
        .bind(column(rows, |(r, _)| r.project))
        .bind(column(rows, |(r, _)| r.run))
        .bind(column(rows, |(r, _)| r.attempt))
        .bind(column(rows, |(r, _)| Date(r.day)))
        .bind(column(rows, |(r, _)| r.flags))
        .bind(column(rows, |(r, _)| r.status))
        .bind(column(rows, |(r, _)| r.native))
        .bind(column(rows, |(r, _)| r.event))
        .bind(column(rows, |(r, _)| r.branch))
        .bind(column(rows, |(r, _)| r.lane))
        .bind(column(rows, |(r, _)| r.workflow))
        .bind(column(rows, |(r, _)| r.author))
        .bind(column(rows, |(r, _)| r.url))
        .bind(column(rows, |(r, _)| maybe(r.failure)))
        .bind(column(rows, |(r, _)| maybe(r.commit)))
        .bind(column(rows, |(r, _)| r.number))
        .bind(column(rows, |(r, _)| ms(r.created_at)))
        .bind(column(rows, |(r, _)| ms(r.started_at)))
        .bind(column(rows, |(r, _)| ms(r.finished_at)))
        .bind(column(rows, |(r, _)| ms(r.updated_at)))
        .bind(column(rows, |(r, _)| ms(r.committed_at)))
        .bind(column(rows, |(r, _)| r.duration))
        .bind(column(rows, |(r, _)| r.queued))
        .bind(column(rows, |(r, _)| r.expected))
        .bind(column(rows, |(r, _)| r.sha.clone()))
        .bind(column(rows, |(r, _)| r.message.clone()))
        .bind(column(rows, |(r, _)| r.run_text.clone()))
        .bind(jobs.kinds)
        .bind(jobs.reasons)
        .bind(jobs.texts)
        .bind(jobs.cells)
        .bind(column(rows, |(_, stood)| Date(*stood)))
}

#[async_trait]
impl Writing for Tx {
    async fn commit(self) -> Result<()> {
        let Self { of, tx, rewritten } = self;
        tx.commit().await.map_err(|e| told(&of.at, e))?;
        of.clear_after(rewritten);
        Ok(())
    }

    async fn sources(&mut self, sources: &[(String, String)]) -> Result<Vec<SourceRow>> {
        const INSERT: &str = "INSERT INTO sources (name, platform) SELECT g.name, g.platform \
             FROM unnest($1::text[], $2::text[]) AS g (name, platform) \
             WHERE NOT EXISTS (SELECT 1 FROM sources s WHERE s.name = g.name AND (s.platform = g.platform OR g.platform = '')) \
             ON CONFLICT (name) DO UPDATE SET platform = excluded.platform";
        let (names, platforms) = (column(sources, |s| s.0.clone()), column(sources, |s| s.1.clone()));
        self.run(sqlx::query(INSERT).bind(names.clone()).bind(platforms)).await?;
        self.all(
            sqlx::query("SELECT id, name, platform FROM sources WHERE name = ANY($1)").bind(names),
            |row| {
                let read = || -> std::result::Result<SourceRow, sqlx::Error> {
                    Ok(SourceRow { id: row.try_get(0)?, name: row.try_get(1)?, platform: row.try_get(2)? })
                };
                read().map_err(garbage)
            },
        )
        .await
    }

    async fn projects(&mut self, keys: &[(i32, String)]) -> Result<Vec<ProjectRow>> {
        const SELECT: &str = concat!(
            "SELECT ",
            project_columns!(),
            " FROM unnest($1::int[], $2::text[]) AS k (source_id, native_id) \
             JOIN projects p ON p.source_id = k.source_id AND md5(p.native_id) = md5(k.native_id) AND p.native_id = k.native_id"
        );
        let query = sqlx::query(SELECT).bind(column(keys, |k| k.0)).bind(column(keys, |k| k.1.clone()));
        self.all(query, project).await
    }

    async fn put_projects(&mut self, rows: &[ProjectRow], now: i64) -> Result<Vec<i32>> {
        const NAMES: &str = "INSERT INTO project_names (project_id, name, until) SELECT p.id, p.name, $3 \
             FROM unnest($1::int[], $2::text[]) AS g (id, name) JOIN projects p ON p.id = g.id \
             WHERE p.described AND p.name <> g.name \
             ON CONFLICT (project_id, md5(name)) DO UPDATE SET until = excluded.until";
        const PUT: &str = "INSERT INTO projects (source_id, native_id, name, description, visibility, avatar_url, url, \
             default_branch, archived, ci_disabled, last_activity_at, described, gone_at, known_from, known_to) \
             SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], \
             $8::text[], $9::boolean[], $10::boolean[], $11::timestamptz[], $12::boolean[], $13::timestamptz[], \
             $14::timestamptz[], $15::timestamptz[]) \
             ON CONFLICT (source_id, md5(native_id)) DO UPDATE SET name = excluded.name, description = excluded.description, \
             visibility = excluded.visibility, avatar_url = excluded.avatar_url, url = excluded.url, \
             default_branch = excluded.default_branch, archived = excluded.archived, ci_disabled = excluded.ci_disabled, \
             last_activity_at = excluded.last_activity_at, described = excluded.described, gone_at = excluded.gone_at, \
             known_from = excluded.known_from, known_to = excluded.known_to";
        const SELECT: &str = "SELECT p.id FROM unnest($1::int[], $2::text[]) WITH ORDINALITY AS k (source_id, native_id, place) \
             JOIN projects p ON p.source_id = k.source_id AND md5(p.native_id) = md5(k.native_id) ORDER BY k.place";
        let ms = |t: Option<i64>| t.map(Ms);
        let known: Vec<&ProjectRow> = rows.iter().filter(|r| r.id != 0).collect();
        if !known.is_empty() {
            let names = sqlx::query(NAMES)
                .bind(column(&known, |r| r.id))
                .bind(column(&known, |r| r.name.clone()))
                .bind(Ms(now));
            self.run(names).await?;
        }
        let (sources, natives) = (column(rows, |r| r.source), column(rows, |r| r.native_id.clone()));
        let put = sqlx::query(PUT)
            .bind(sources.clone())
            .bind(natives.clone())
            .bind(column(rows, |r| r.name.clone()))
            .bind(column(rows, |r| r.description.clone()))
            .bind(column(rows, |r| r.visibility.clone()))
            .bind(column(rows, |r| r.avatar_url.clone()))
            .bind(column(rows, |r| r.url.clone()))
            .bind(column(rows, |r| r.default_branch.clone()))
            .bind(column(rows, |r| r.archived))
            .bind(column(rows, |r| r.ci_disabled))
            .bind(column(rows, |r| ms(r.last_activity_at)))
            .bind(column(rows, |r| r.described))
            .bind(column(rows, |r| ms(r.gone_at)))
            .bind(column(rows, |r| r.known.map(|k| Ms(k.from.as_millisecond()))))
            .bind(column(rows, |r| r.known.map(|k| Ms(k.to.as_millisecond()))));
        self.run(put).await?;
        self.all(sqlx::query(SELECT).bind(sources).bind(natives), number).await
    }

    async fn intern_words(&mut self, texts: &[String]) -> Result<Vec<i32>> {
        const INSERT: &str = "INSERT INTO words (text) SELECT g.text FROM unnest($1::text[]) AS g (text) \
             WHERE NOT EXISTS (SELECT 1 FROM words w WHERE w.text = g.text)";
        const SELECT: &str = "SELECT w.id FROM unnest($1::text[]) WITH ORDINALITY AS g (text, place) \
             JOIN words w ON w.text = g.text ORDER BY g.place";
        self.run(sqlx::query(INSERT).bind(texts.to_vec())).await?;
        self.all(sqlx::query(SELECT).bind(texts.to_vec()), number).await
    }

    async fn intern_people(&mut self, people: &[PersonRow]) -> Result<Vec<i32>> {
        const INSERT: &str = "INSERT INTO people (name, login, avatar_url) SELECT g.name, g.login, g.avatar_url \
             FROM unnest($1::text[], $2::text[], $3::text[]) AS g (name, login, avatar_url) \
             WHERE NOT EXISTS (SELECT 1 FROM people p WHERE md5(p.name) = md5(g.name) AND md5(p.login) = md5(g.login) \
             AND md5(p.avatar_url) = md5(g.avatar_url))";
        const SELECT: &str = "SELECT p.id FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY \
             AS g (name, login, avatar_url, place) JOIN people p ON md5(p.name) = md5(g.name) AND md5(p.login) = md5(g.login) \
             AND md5(p.avatar_url) = md5(g.avatar_url) ORDER BY g.place";
        for (statement, last) in [(INSERT, false), (SELECT, true)] {
            let query = sqlx::query(statement)
                .bind(column(people, |p| p.0.clone()))
                .bind(column(people, |p| p.1.clone()))
                .bind(column(people, |p| p.2.clone()));
            if last {
                return self.all(query, number).await;
            }
            self.run(query).await?;
        }
        Ok(Vec::new())
    }

    async fn intern_kinds(&mut self, kinds: &[JobKind]) -> Result<Vec<i32>> {
        const INSERT: &str = "INSERT INTO job_kinds (name_id, stage_id, native_id, url_id, status, allow_failure) SELECT g.* \
             FROM unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::smallint[], $6::boolean[]) \
             AS g (name_id, stage_id, native_id, url_id, status, allow_failure) WHERE NOT EXISTS (SELECT 1 FROM job_kinds k \
             WHERE k.name_id = g.name_id AND k.stage_id = g.stage_id AND k.native_id = g.native_id AND k.url_id = g.url_id \
             AND k.status = g.status AND k.allow_failure = g.allow_failure)";
        const SELECT: &str = "SELECT k.id FROM unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::smallint[], $6::boolean[]) \
             WITH ORDINALITY AS g (name_id, stage_id, native_id, url_id, status, allow_failure, place) JOIN job_kinds k \
             ON k.name_id = g.name_id AND k.stage_id = g.stage_id AND k.native_id = g.native_id AND k.url_id = g.url_id \
             AND k.status = g.status AND k.allow_failure = g.allow_failure ORDER BY g.place";
        let bound = |statement| {
            sqlx::query(statement)
                .bind(column(kinds, |k| k.name))
                .bind(column(kinds, |k| k.stage))
                .bind(column(kinds, |k| k.native))
                .bind(column(kinds, |k| k.url))
                .bind(column(kinds, |k| k.status))
                .bind(column(kinds, |k| k.allow_failure))
        };
        self.run(bound(INSERT)).await?;
        self.all(bound(SELECT), number).await
    }

    // Written as `FIND` is, and for its reasons: many keys are looked up one by one.
    async fn attempts(&mut self, keys: &[RunKey]) -> Result<Vec<RunRow>> {
        const SELECT: &str = concat!(
            "SELECT ",
            run_columns!(),
            job_columns!(),
            " FROM unnest($1::int[], $2::bigint[], $3::date[], $4::date[]) AS k (project, run, since, till) \
             CROSS JOIN LATERAL (SELECT * FROM pipelines r WHERE r.run_key = k.run \
             AND r.project_id BETWEEN k.project AND k.project AND r.day BETWEEN k.since AND k.till \
             AND r.day BETWEEN $5 AND $6 OFFSET 0) r"
        );
        let (Some(from), Some(to)) = (keys.iter().map(|k| k.from).min(), keys.iter().map(|k| k.to).max())
        else {
            return Ok(Vec::new());
        };
        let query = sqlx::query(SELECT)
            .bind(column(keys, |k| k.project))
            .bind(column(keys, |k| k.run))
            .bind(column(keys, |k| Date(k.from)))
            .bind(column(keys, |k| Date(k.to)))
            .bind(Date(from))
            .bind(Date(to));
        self.all(query, run_with_jobs).await
    }

    // Likewise. Before a month is analyzed nothing says that it has many commits, and any range of a project seems better.
    async fn of_commits(&mut self, keys: &[CommitKey]) -> Result<Vec<RunRow>> {
        const SELECT: &str = concat!(
            "SELECT ",
            run_columns!(),
            job_columns!(),
            " FROM unnest($1::int[], $2::int[], $3::int[], $4::date[], $5::date[]) AS k (commit_key, project, lane, since, till) \
             CROSS JOIN LATERAL (SELECT * FROM pipelines r WHERE r.commit_key = k.commit_key AND r.project_id + 0 = k.project \
             AND r.lane_id = k.lane AND r.day BETWEEN k.since AND k.till AND r.status IN (2, 3, 4) \
             AND r.day BETWEEN $6 AND $7 OFFSET 0) r"
        );
        let (Some(from), Some(to)) = (keys.iter().map(|k| k.from).min(), keys.iter().map(|k| k.to).max())
        else {
            return Ok(Vec::new());
        };
        let query = sqlx::query(SELECT)
            .bind(column(keys, |k| k.commit))
            .bind(column(keys, |k| k.project))
            .bind(column(keys, |k| k.lane))
            .bind(column(keys, |k| Date(k.from)))
            .bind(column(keys, |k| Date(k.to)))
            .bind(Date(from))
            .bind(Date(to));
        self.all(query, run_with_jobs).await
    }

    async fn make_room(&mut self, days: &[i32]) -> Result<()> {
        const MAKE: &str = "SELECT make_pipelines_partition(m.month::date) FROM (SELECT DISTINCT date_trunc('month', d.day::timestamp) \
             AS month FROM unnest($1::date[]) AS d (day) WHERE d.day >= date '2000-01-01' AND d.day < date '2100-01-01' \
             ORDER BY 1) m";
        self.run(sqlx::query(MAKE).bind(column(days, |d| Date(*d)))).await.map(drop)
    }

    async fn put_reasons(&mut self, reasons: &[(i32, i32)]) -> Result<()> {
        const PUT: &str = "INSERT INTO reasons (reason_id, normal_id) SELECT * FROM unnest($1::int[], $2::int[]) ON CONFLICT DO NOTHING";
        if reasons.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(PUT).bind(column(reasons, |r| r.0)).bind(column(reasons, |r| r.1));
        self.run(query).await.map(drop)
    }

    async fn apart(&mut self, branches: &[i32]) -> Result<Vec<(i32, i32)>> {
        self.all(sqlx::query(APART).bind(branches.to_vec()), two).await
    }

    async fn count_branches(&mut self, more: &[BranchRow], least: i64) -> Result<Vec<(i32, i32)>> {
        const PUT: &str = "INSERT INTO branches AS b (branch_id, project_id, runs, first_day, last_day) \
             SELECT * FROM unnest($1::int[], $2::int[], $3::int[], $4::date[], $5::date[]) \
             ON CONFLICT (branch_id, project_id) DO UPDATE SET runs = b.runs + excluded.runs, \
             first_day = least(b.first_day, excluded.first_day), last_day = greatest(b.last_day, excluded.last_day)";
        const TAKE_APART: &str = "INSERT INTO branches_apart (branch_id, source_id) SELECT b.branch_id, p.source_id \
             FROM branches b JOIN projects p ON p.id = b.project_id WHERE b.branch_id = ANY($1) \
             GROUP BY b.branch_id, p.source_id HAVING sum(b.runs) >= $2 ON CONFLICT DO NOTHING \
             RETURNING source_id, branch_id";
        let query = sqlx::query(PUT)
            .bind(column(more, |b| b.branch))
            .bind(column(more, |b| b.project))
            .bind(column(more, |b| b.runs))
            .bind(column(more, |b| Date(b.first)))
            .bind(column(more, |b| Date(b.last)));
        self.run(query).await?;
        let branches: Vec<i32> = more.iter().map(|b| b.branch).collect();
        self.all(sqlx::query(TAKE_APART).bind(branches).bind(least), two).await
    }

    async fn put_lanes(&mut self, lanes: &[(i32, i32, i32)]) -> Result<()> {
        const PUT: &str = "INSERT INTO lanes AS l (project_id, lane_id, workflow_id) SELECT * FROM unnest($1::int[], $2::int[], $3::int[]) \
             ON CONFLICT (project_id, lane_id) DO UPDATE SET workflow_id = excluded.workflow_id \
             WHERE excluded.workflow_id <> l.workflow_id";
        if lanes.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(PUT)
            .bind(column(lanes, |l| l.0))
            .bind(column(lanes, |l| l.1))
            .bind(column(lanes, |l| l.2));
        self.run(query).await.map(drop)
    }

    async fn put_runs(&mut self, new: &[RunRow], known: &[(RunRow, i32)]) -> Result<()> {
        const INSERT: &str = concat!(
            "INSERT INTO pipelines (project_id, run_key, attempt, day, flags, status, native_id, event_id, branch_id, lane_id, \
             workflow_id, author_id, url_id, failure_id, commit_key, number, created_at, started_at, finished_at, updated_at, \
             committed_at, duration_ms, queued_ms, expected_ms, sha, message, run_text, job_kinds, job_reasons, \
             job_texts, job_cells) SELECT g.project_id, g.run_key, g.attempt, g.day, g.flags, g.status, g.native_id, \
             g.event_id, g.branch_id, g.lane_id, g.workflow_id, g.author_id, g.url_id, g.failure_id, g.commit_key, g.number, \
             g.created_at, g.started_at, g.finished_at, g.updated_at, g.committed_at, g.duration_ms, g.queued_ms, \
             g.expected_ms, g.sha, g.message, g.run_text, g.job_kinds::int[], g.job_reasons::int[], \
             g.job_texts::text[], g.job_cells FROM ",
            given!()
        );
        const UPDATE: &str = concat!(
            "UPDATE pipelines r SET day = g.day, flags = g.flags, status = g.status, native_id = g.native_id, \
             event_id = g.event_id, branch_id = g.branch_id, lane_id = g.lane_id, workflow_id = g.workflow_id, \
             author_id = g.author_id, url_id = g.url_id, failure_id = g.failure_id, commit_key = g.commit_key, \
             number = g.number, created_at = g.created_at, started_at = g.started_at, finished_at = g.finished_at, \
             updated_at = g.updated_at, committed_at = g.committed_at, duration_ms = g.duration_ms, queued_ms = g.queued_ms, \
             expected_ms = g.expected_ms, sha = g.sha, message = g.message, \
             job_keys = CASE WHEN g.job_cells IS NULL THEN r.job_keys END, \
             job_times = CASE WHEN g.job_cells IS NULL THEN r.job_times END, \
             job_kinds = CASE WHEN g.job_cells IS NULL THEN r.job_kinds ELSE g.job_kinds::int[] END, \
             job_reasons = CASE WHEN g.job_cells IS NULL THEN r.job_reasons ELSE g.job_reasons::int[] END, \
             job_texts = CASE WHEN g.job_cells IS NULL THEN r.job_texts ELSE g.job_texts::text[] END, \
             job_cells = coalesce(g.job_cells, r.job_cells) \
             FROM ",
            given!(),
            " WHERE r.run_key = g.run_key AND r.project_id BETWEEN g.project_id AND g.project_id AND r.attempt = g.attempt \
             AND r.day = g.stood"
        );
        // An index that grows at its end is full; one that grows anywhere is two thirds so.
        let mut new: Vec<&RunRow> = new.iter().collect();
        new.sort_by_key(|r| r.run);
        for chunk in new.chunks(CHUNK) {
            let rows: Vec<(&RunRow, i32)> = chunk.iter().map(|r| (*r, r.day)).collect();
            self.run(bind_runs(INSERT, &rows)).await?;
        }
        for chunk in known.chunks(CHUNK) {
            let rows: Vec<(&RunRow, i32)> = chunk.iter().map(|(r, stood)| (r, *stood)).collect();
            self.run(bind_runs(UPDATE, &rows)).await?;
        }
        Ok(())
    }

    async fn rolls(&mut self, keys: &[RollKey]) -> Result<Vec<(RollKey, Vec<u8>)>> {
        const SELECT: &str = "SELECT k.place, d.bytes FROM unnest($1::smallint[], $2::smallint[], $3::int[], $4::int[]) \
             WITH ORDINALITY AS k (kind, level, scope, block, place) JOIN daily_statistics d ON d.kind = k.kind \
             AND d.level = k.level AND d.scope = k.scope AND d.block = k.block";
        let query = sqlx::query(SELECT)
            .bind(column(keys, |k| k.kind.number()))
            .bind(column(keys, |k| i16::from(k.level)))
            .bind(column(keys, |k| k.scope))
            .bind(column(keys, |k| k.block));
        let found = self
            .all(query, |row| {
                Ok((row.try_get::<i64, _>(0).map_err(garbage)?, row.try_get(1).map_err(garbage)?))
            })
            .await?;
        let at = |place: i64| usize::try_from(place - 1).ok().and_then(|i| keys.get(i)).copied();
        Ok(found.into_iter().filter_map(|(place, data)| Some((at(place)?, data))).collect())
    }

    async fn put_rolls(&mut self, rolls: &[(RollKey, Option<Vec<u8>>)]) -> Result<()> {
        const PUT: &str = "INSERT INTO daily_statistics (kind, level, scope, block, bytes) \
             SELECT * FROM unnest($1::smallint[], $2::smallint[], $3::int[], $4::int[], $5::bytea[]) \
             ON CONFLICT (kind, level, scope, block) DO UPDATE SET bytes = excluded.bytes";
        const REMOVE: &str = "DELETE FROM daily_statistics d USING unnest($1::smallint[], $2::smallint[], $3::int[], $4::int[]) \
             AS k (kind, level, scope, block) \
             WHERE d.kind = k.kind AND d.level = k.level AND d.scope = k.scope AND d.block = k.block";
        let keyed = |statement, keys: &[RollKey]| {
            sqlx::query(statement)
                .bind(column(keys, |k| k.kind.number()))
                .bind(column(keys, |k| i16::from(k.level)))
                .bind(column(keys, |k| k.scope))
                .bind(column(keys, |k| k.block))
        };
        let put: Vec<&(RollKey, Option<Vec<u8>>)> = rolls.iter().filter(|(_, b)| b.is_some()).collect();
        for chunk in put.chunks(CHUNK) {
            let keys: Vec<RollKey> = chunk.iter().map(|(k, _)| *k).collect();
            self.run(keyed(PUT, &keys).bind(column(chunk, |(_, b)| b.clone()))).await?;
        }
        self.rewritten += put.len();
        let remove: Vec<RollKey> = rolls.iter().filter(|(_, b)| b.is_none()).map(|(k, _)| *k).collect();
        if !remove.is_empty() {
            self.run(keyed(REMOVE, &remove)).await?;
        }
        Ok(())
    }

    async fn put_flakes(&mut self, of: &[CommitKey], flakes: &[FlakeRow]) -> Result<()> {
        const REMOVE: &str = "DELETE FROM flakes f USING unnest($1::int[], $2::int[], $3::int[]) AS k (project, lane, commit_key) \
             WHERE f.project_id = k.project AND f.lane_id = k.lane AND f.commit_key = k.commit_key";
        const PUT: &str = "INSERT INTO flakes (project_id, lane_id, commit_key, job_id, branch_id, day, red, green, wasted_ms, run_key) \
             SELECT * FROM unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::int[], $6::date[], $7::int[], $8::int[], \
             $9::bigint[], $10::bigint[])";
        let remove = sqlx::query(REMOVE)
            .bind(column(of, |k| k.project))
            .bind(column(of, |k| k.lane))
            .bind(column(of, |k| k.commit));
        self.run(remove).await?;
        if !flakes.is_empty() {
            let put = sqlx::query(PUT)
                .bind(column(flakes, |f| f.project))
                .bind(column(flakes, |f| f.lane))
                .bind(column(flakes, |f| f.commit))
                .bind(column(flakes, |f| f.job))
                .bind(column(flakes, |f| f.branch))
                .bind(column(flakes, |f| Date(f.day)))
                .bind(column(flakes, |f| f.red))
                .bind(column(flakes, |f| f.green))
                .bind(column(flakes, |f| f.wasted))
                .bind(column(flakes, |f| f.run));
            self.run(put).await?;
        }
        Ok(())
    }

    async fn put_snapshots(&mut self, rows: &[SnapshotRow]) -> Result<()> {
        const PUT: &str = "INSERT INTO branch_snapshots (project_id, branch_id, seen_at, sha, author_id, message, committed_at, \
             is_default, is_protected, url_id) SELECT g.* FROM unnest($1::int[], $2::int[], $3::timestamptz[], $4::bytea[], \
             $5::int[], $6::text[], $7::timestamptz[], $8::boolean[], $9::boolean[], $10::int[]) AS g (project_id, branch_id, \
             seen_at, sha, author_id, message, committed_at, is_default, is_protected, url_id) \
             WHERE NOT EXISTS (SELECT 1 FROM (SELECT b.sha FROM branch_snapshots b WHERE b.project_id = g.project_id \
             AND b.branch_id = g.branch_id AND b.seen_at <= g.seen_at ORDER BY b.seen_at DESC LIMIT 1) b \
             WHERE b.sha IS NOT DISTINCT FROM g.sha) ON CONFLICT DO NOTHING";
        if rows.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(PUT)
            .bind(column(rows, |s| s.project))
            .bind(column(rows, |s| s.branch))
            .bind(column(rows, |s| Ms(s.seen_at)))
            .bind(column(rows, |s| s.sha.clone()))
            .bind(column(rows, |s| s.author))
            .bind(column(rows, |s| s.message.clone()))
            .bind(column(rows, |s| s.committed_at.map(Ms)))
            .bind(column(rows, |s| s.default))
            .bind(column(rows, |s| s.protected))
            .bind(column(rows, |s| s.url));
        self.run(query).await.map(drop)
    }

    async fn deployments(&mut self, keys: &[(i32, i64)]) -> Result<Vec<DeploymentRow>> {
        const SELECT: &str = concat!(
            "SELECT ",
            deployment_columns!(),
            " FROM unnest($1::int[], $2::bigint[]) AS k (project, deployment) \
             JOIN deployments d ON d.project_id = k.project AND d.deployment_key = k.deployment"
        );
        let query = sqlx::query(SELECT).bind(column(keys, |k| k.0)).bind(column(keys, |k| k.1));
        self.all(query, deployment).await
    }

    async fn put_deployments(&mut self, rows: &[DeploymentRow]) -> Result<()> {
        const PUT: &str = "INSERT INTO deployments (project_id, deployment_key, deployment_text, flags, status, environment_id, \
             branch_id, native_id, run_key, run_text, created_at, finished_at, updated_at, sha, url) \
             SELECT * FROM unnest($1::int[], $2::bigint[], $3::text[], $4::smallint[], $5::smallint[], $6::int[], $7::int[], \
             $8::int[], $9::bigint[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::bytea[], \
             $15::text[]) ON CONFLICT (project_id, deployment_key) DO UPDATE SET flags = excluded.flags, \
             status = excluded.status, environment_id = excluded.environment_id, branch_id = excluded.branch_id, \
             native_id = excluded.native_id, run_key = excluded.run_key, run_text = excluded.run_text, \
             created_at = excluded.created_at, finished_at = excluded.finished_at, updated_at = excluded.updated_at, \
             sha = excluded.sha, url = excluded.url";
        for chunk in rows.chunks(CHUNK) {
            let put = sqlx::query(PUT)
                .bind(column(chunk, |d| d.project))
                .bind(column(chunk, |d| d.deployment))
                .bind(column(chunk, |d| d.deployment_text.clone()))
                .bind(column(chunk, |d| d.flags))
                .bind(column(chunk, |d| d.status))
                .bind(column(chunk, |d| d.environment))
                .bind(column(chunk, |d| d.branch))
                .bind(column(chunk, |d| d.native))
                .bind(column(chunk, |d| d.run))
                .bind(column(chunk, |d| d.run_text.clone()))
                .bind(column(chunk, |d| Ms(d.created_at)))
                .bind(column(chunk, |d| d.finished_at.map(Ms)))
                .bind(column(chunk, |d| Ms(d.updated_at)))
                .bind(column(chunk, |d| d.sha.clone()))
                .bind(column(chunk, |d| d.url.clone()));
            self.run(put).await?;
        }
        Ok(())
    }

    async fn log_webhook(&mut self, webhook: &Webhook) -> Result<Logged> {
        // One that nothing became of is written anew: what is applied is what came now.
        const PUT: &str = "INSERT INTO webhook_events AS known (source, delivery, kind, headers, body, received_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (source, delivery) DO UPDATE SET kind = excluded.kind, \
             headers = excluded.headers, body = excluded.body, received_at = excluded.received_at WHERE known.outcome IS NULL";
        let headers = serde_json::to_string(&webhook.headers).unwrap_or_default();
        let query = sqlx::query(PUT)
            .bind(webhook.source.as_str().to_owned())
            .bind(webhook.delivery.clone())
            .bind(webhook.kind.clone())
            .bind(headers)
            .bind(webhook.body.clone())
            .bind(Ms(webhook.received_at.as_millisecond()));
        Ok(if self.run(query).await? == 0 { Logged::Known } else { Logged::New })
    }

    async fn treat_webhook(&mut self, source: &str, delivery: &str, treated: &Treated) -> Result<()> {
        const PUT: &str =
            "UPDATE webhook_events SET outcome = $3, reason = $4 WHERE source = $1 AND delivery = $2";
        let (outcome, reason) = match treated {
            Treated::Applied => ("applied", None),
            Treated::Ignored(reason) => ("ignored", Some(reason.clone())),
        };
        let query =
            sqlx::query(PUT).bind(source.to_owned()).bind(delivery.to_owned()).bind(outcome).bind(reason);
        self.run(query).await.map(drop)
    }

    async fn set_notes(&mut self, notes: &[(String, Option<String>)]) -> Result<()> {
        const PUT: &str = "INSERT INTO notes (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        for (name, value) in notes {
            let query = match value {
                Some(value) => sqlx::query(PUT).bind(name.clone()).bind(value.clone()),
                None => sqlx::query("DELETE FROM notes WHERE name = $1").bind(name.clone()),
            };
            self.run(query).await?;
        }
        Ok(())
    }

    async fn keep(&mut self, shelf: &str, values: &[(String, Option<Vec<u8>>)]) -> Result<()> {
        const PUT: &str = "INSERT INTO kept (shelf, name, value) VALUES ($1, $2, $3) \
             ON CONFLICT (shelf, name) DO UPDATE SET value = excluded.value";
        const REMOVE: &str = "DELETE FROM kept WHERE shelf = $1 AND name = $2";
        for (name, value) in values {
            let query = |statement| sqlx::query(statement).bind(shelf.to_owned()).bind(name.clone());
            let query = match value {
                Some(value) => query(PUT).bind(value.clone()),
                None => query(REMOVE),
            };
            self.run(query).await?;
        }
        Ok(())
    }

    async fn set_preference(&mut self, user: &str, name: &str, value: Option<&str>, now: i64) -> Result<()> {
        const USER: &str = "INSERT INTO users (name, seen_at) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at";
        const PUT: &str = "INSERT INTO user_preferences (user_id, name, value) SELECT id, $2, $3 FROM users WHERE name = $1 \
             ON CONFLICT (user_id, name) DO UPDATE SET value = excluded.value";
        const REMOVE: &str = "DELETE FROM user_preferences WHERE user_id = (SELECT id FROM users WHERE name = $1) AND name = $2";
        let (user, name) = (user.to_owned(), name.to_owned());
        self.run(sqlx::query(USER).bind(user.clone()).bind(Ms(now))).await?;
        let query = match value {
            Some(value) => sqlx::query(PUT).bind(user).bind(name).bind(value.to_owned()),
            None => sqlx::query(REMOVE).bind(user).bind(name),
        };
        self.run(query).await.map(drop)
    }

    async fn drop_before(&mut self, day: i32) -> Result<()> {
        for statement in [
            "SELECT drop_pipelines_before($1)",
            "DELETE FROM flakes WHERE day < $1",
            "DELETE FROM deployments WHERE created_at < $1::timestamp AT TIME ZONE 'UTC'",
            // Where a quiet branch is was seen long ago, and is true still.
            "DELETE FROM branch_snapshots b WHERE b.seen_at < $1::timestamp AT TIME ZONE 'UTC' AND EXISTS (SELECT 1 \
             FROM branch_snapshots n WHERE n.project_id = b.project_id AND n.branch_id = b.branch_id AND n.seen_at > b.seen_at)",
            // Whole blocks only: 1, 8, 64 days, and 16 for kinds 3 and 4.
            "DELETE FROM daily_statistics WHERE (block + 1) * CASE WHEN kind IN (3, 4) THEN 16 ELSE 1 << (3 * level) END \
             <= $1::date - date '1970-01-01'",
        ] {
            self.run(sqlx::query(statement).bind(Date(day))).await?;
        }
        Ok(())
    }

    async fn drop_webhooks(&mut self, before: i64) -> Result<()> {
        self.run(sqlx::query("DELETE FROM webhook_events WHERE received_at < $1").bind(Ms(before)))
            .await
            .map(drop)
    }
}
