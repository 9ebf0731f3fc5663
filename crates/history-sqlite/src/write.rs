//! Writing.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use history::roll::RollKey;
use history::store::{
    BranchRow, CommitKey, DeploymentRow, FlakeRow, JobKind, JobRow, PersonRow, ProjectRow, RunKey, RunRow,
    SnapshotRow, SourceRow, Writing,
};
use history::{Logged, Result, Treated, Webhook};
use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite as Db, Transaction};

use crate::errors::told;
use crate::read::{APART, JOBS, having_jobs, two, with_jobs};
use crate::rows::{
    Json, bind_run, deployment, deployment_columns, garbage, project, roll_id, run, run_cells, run_columns,
};

/// A transaction on the one connection that writes.
#[derive(Debug)]
pub struct Tx {
    pub(crate) path: Arc<Path>,
    pub(crate) tx: Transaction<'static, Db>,
}

type Query = sqlx::query::Query<'static, Db, sqlx::sqlite::SqliteArguments>;

type Cells<'a> = Separated<'a, Db, &'static str>;

/// How many rows one statement writes: few sizes, so that each is prepared once, and none needs more parameters than
/// SQLite takes (32,766).
const AT_ONCE: [usize; 3] = [128, 16, 1];

impl Tx {
    async fn run(&mut self, query: Query) -> Result<u64> {
        let done = query.execute(&mut *self.tx).await.map_err(|e| told(&self.path, e))?;
        Ok(done.rows_affected())
    }

    async fn all<T>(&mut self, query: Query, read: impl Fn(&SqliteRow) -> Result<T>) -> Result<Vec<T>> {
        let rows = query.fetch_all(&mut *self.tx).await.map_err(|e| told(&self.path, e))?;
        rows.iter().map(read).collect()
    }

    async fn jobs_of(&mut self, rows: &mut [RunRow]) -> Result<()> {
        let ids = having_jobs(rows);
        if ids != "[]" {
            let jobs = sqlx::query(JOBS)
                .bind(ids)
                .fetch_all(&mut *self.tx)
                .await
                .map_err(|e| told(&self.path, e))?;
            with_jobs(rows, &jobs)?;
        }
        Ok(())
    }

    /// Numbers by place: what was asked for stands in `asked` as rows, and comes back with its place.
    async fn numbers(
        &mut self,
        insert: &'static str,
        select: &'static str,
        asked: String,
    ) -> Result<Vec<i32>> {
        self.run(sqlx::query(insert).bind(asked.clone())).await?;
        self.all(sqlx::query(select).bind(asked), |row| row.try_get(0).map_err(garbage)).await
    }

    /// Writes many rows: `head` up to their values, and what follows those. Bound, since JSON takes SQLite as long as the
    /// writing.
    async fn insert<T>(
        &mut self,
        head: &'static str,
        mut rows: &[T],
        row: impl Fn(&mut Cells<'_>, &T),
        tail: &'static str,
    ) -> Result<()> {
        for size in AT_ONCE {
            while let Some((now, later)) = rows.split_at_checked(size) {
                let mut query = QueryBuilder::<Db>::new(head);
                query.push_values(now, |mut cells, item| row(&mut cells, item)).push(tail);
                query.build().execute(&mut *self.tx).await.map_err(|e| told(&self.path, e))?;
                rows = later;
            }
        }
        Ok(())
    }

    async fn put_jobs(&mut self, rows: impl Iterator<Item = (i64, &RunRow)>) -> Result<()> {
        const PUT: &str = "INSERT OR REPLACE INTO jobs (pipeline_id, job_key, kind_id, reason_id, created, started, finished, \
             duration_ms, queued_ms, job_text) ";
        let jobs: Vec<(i64, &JobRow)> =
            rows.flat_map(|(id, r)| r.jobs.iter().flatten().map(move |j| (id, j))).collect();
        let row = |cells: &mut Cells<'_>, (run, j): &(i64, &JobRow)| {
            cells.push_bind(*run).push_bind(j.job).push_bind(j.kind).push_bind(j.reason);
            cells.push_bind(j.created).push_bind(j.started).push_bind(j.finished);
            cells.push_bind(j.duration).push_bind(j.queued).push_bind(j.job_text.clone());
        };
        self.insert(PUT, &jobs, row, "").await
    }
}

#[async_trait]
impl Writing for Tx {
    async fn commit(self) -> Result<()> {
        self.tx.commit().await.map_err(|e| told(&self.path, e))
    }

    async fn sources(&mut self, sources: &[(String, String)]) -> Result<Vec<SourceRow>> {
        const INSERT: &str = "INSERT INTO sources (name, platform) SELECT value ->> 0, value ->> 1 FROM jsonb_each(?1) WHERE true \
             ON CONFLICT (name) DO UPDATE SET platform = excluded.platform \
             WHERE excluded.platform <> '' AND excluded.platform <> platform";
        const SELECT: &str = "SELECT s.id, s.name, s.platform FROM jsonb_each(?1) a CROSS JOIN sources s ON s.name = a.value ->> 0";
        let asked = Json::rows(sources, |cells, (name, platform)| {
            cells.text(name).text(platform);
        });
        self.run(sqlx::query(INSERT).bind(asked.clone())).await?;
        self.all(sqlx::query(SELECT).bind(asked), |row| {
            let read = || -> std::result::Result<SourceRow, sqlx::Error> {
                Ok(SourceRow { id: row.try_get(0)?, name: row.try_get(1)?, platform: row.try_get(2)? })
            };
            read().map_err(garbage)
        })
        .await
    }

    async fn projects(&mut self, keys: &[(i32, String)]) -> Result<Vec<ProjectRow>> {
        const SELECT: &str = "SELECT p.id, p.source_id, p.native_id, p.name, p.description, p.visibility, p.avatar_url, p.url, \
             p.default_branch, p.archived, p.ci_disabled, p.last_activity_at, p.described, p.gone_at, p.known_from, p.known_to \
             FROM jsonb_each(?1) k CROSS JOIN projects p ON p.source_id = k.value ->> 0 AND p.native_id = k.value ->> 1";
        let asked = Json::rows(keys, |cells, (source, native)| {
            cells.n(*source).text(native);
        });
        self.all(sqlx::query(SELECT).bind(asked), project).await
    }

    async fn put_projects(&mut self, rows: &[ProjectRow], now: i64) -> Result<Vec<i32>> {
        const NAMES: &str = "INSERT OR REPLACE INTO project_names (project_id, name, until) \
             SELECT p.id, p.name, ?2 FROM jsonb_each(?1) a CROSS JOIN projects p ON p.id = a.value ->> 0 \
             WHERE p.described AND p.name <> a.value ->> 3";
        const PUT: &str = "INSERT INTO projects (id, source_id, native_id, name, description, visibility, avatar_url, url, \
             default_branch, archived, ci_disabled, last_activity_at, described, gone_at, known_from, known_to) \
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, \
             value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14, value ->> 15 \
             FROM jsonb_each(?1) WHERE true \
             ON CONFLICT DO UPDATE SET name = excluded.name, description = excluded.description, \
             visibility = excluded.visibility, avatar_url = excluded.avatar_url, url = excluded.url, \
             default_branch = excluded.default_branch, archived = excluded.archived, ci_disabled = excluded.ci_disabled, \
             last_activity_at = excluded.last_activity_at, described = excluded.described, gone_at = excluded.gone_at, \
             known_from = excluded.known_from, known_to = excluded.known_to";
        const SELECT: &str = "SELECT p.id FROM jsonb_each(?1) a CROSS JOIN projects p ON p.source_id = a.value ->> 1 \
             AND p.native_id = a.value ->> 2 ORDER BY a.key";
        let asked = Json::rows(rows, |cells, r| {
            cells.opt((r.id != 0).then_some(r.id)).n(r.source).text(&r.native_id).text(&r.name);
            cells.opt_text(r.description.as_deref()).opt_text(r.visibility.as_deref());
            cells.opt_text(r.avatar_url.as_deref()).opt_text(r.url.as_deref());
            cells
                .opt_text(r.default_branch.as_deref())
                .n(r.archived)
                .n(r.ci_disabled)
                .opt(r.last_activity_at);
            cells.n(r.described).opt(r.gone_at);
            cells.opt(r.known.map(|k| k.from.as_millisecond())).opt(r.known.map(|k| k.to.as_millisecond()));
        });
        self.run(sqlx::query(NAMES).bind(asked.clone()).bind(now)).await?;
        self.numbers(PUT, SELECT, asked).await
    }

    async fn intern_words(&mut self, texts: &[String]) -> Result<Vec<i32>> {
        const INSERT: &str = "INSERT OR IGNORE INTO words (text) SELECT value FROM jsonb_each(?1)";
        const SELECT: &str =
            "SELECT w.id FROM jsonb_each(?1) t CROSS JOIN words w ON w.text = t.value ORDER BY t.key";
        self.numbers(INSERT, SELECT, Json::texts(texts)).await
    }

    async fn intern_people(&mut self, people: &[PersonRow]) -> Result<Vec<i32>> {
        const INSERT: &str = "INSERT OR IGNORE INTO people (name, login, avatar_url) \
             SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each(?1)";
        const SELECT: &str = "SELECT p.id FROM jsonb_each(?1) a CROSS JOIN people p ON p.name = a.value ->> 0 \
             AND p.login = a.value ->> 1 AND p.avatar_url = a.value ->> 2 ORDER BY a.key";
        let asked = Json::rows(people, |cells, (name, login, url)| {
            cells.text(name).text(login).text(url);
        });
        self.numbers(INSERT, SELECT, asked).await
    }

    async fn intern_kinds(&mut self, kinds: &[JobKind]) -> Result<Vec<i32>> {
        const INSERT: &str = "INSERT OR IGNORE INTO job_kinds (name_id, stage_id, native_id, url_id, status, allow_failure) \
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM jsonb_each(?1)";
        const SELECT: &str = "SELECT k.id FROM jsonb_each(?1) a CROSS JOIN job_kinds k ON k.name_id = a.value ->> 0 \
             AND k.stage_id = a.value ->> 1 AND k.native_id = a.value ->> 2 AND k.url_id = a.value ->> 3 \
             AND k.status = a.value ->> 4 AND k.allow_failure = a.value ->> 5 ORDER BY a.key";
        let asked = Json::rows(kinds, |cells, k| {
            cells.n(k.name).n(k.stage).n(k.native).n(k.url).n(k.status).n(k.allow_failure);
        });
        self.numbers(INSERT, SELECT, asked).await
    }

    async fn attempts(&mut self, keys: &[RunKey]) -> Result<Vec<RunRow>> {
        const SELECT: &str = concat!(
            "SELECT ",
            run_columns!(),
            " FROM jsonb_each(?1) k CROSS JOIN pipelines r ON r.project_id = k.value ->> 0 \
             AND r.run_key = k.value ->> 1"
        );
        let asked = Json::rows(keys, |cells, key| {
            cells.n(key.project).n(key.run);
        });
        let mut rows = self.all(sqlx::query(SELECT).bind(asked), run).await?;
        self.jobs_of(&mut rows).await?;
        Ok(rows)
    }

    async fn of_commits(&mut self, keys: &[CommitKey]) -> Result<Vec<RunRow>> {
        // Without statistics of its own SQLite takes the index of days, and goes through a project's runs for each commit.
        const SELECT: &str = concat!(
            "SELECT ",
            run_columns!(),
            " FROM jsonb_each(?1) k CROSS JOIN pipelines r INDEXED BY pipelines_by_commit ON r.commit_key = k.value ->> 0 \
             AND r.commit_key <> 0 WHERE r.project_id = k.value ->> 1 AND r.lane_id = k.value ->> 2 \
             AND r.day BETWEEN k.value ->> 3 AND k.value ->> 4 AND r.status IN (2, 3, 4)"
        );
        let asked = Json::rows(keys, |cells, key| {
            cells.n(key.commit).n(key.project).n(key.lane).n(key.from).n(key.to);
        });
        let mut rows = self.all(sqlx::query(SELECT).bind(asked), run).await?;
        self.jobs_of(&mut rows).await?;
        Ok(rows)
    }

    async fn make_room(&mut self, _days: &[i32]) -> Result<()> {
        Ok(())
    }

    async fn put_reasons(&mut self, reasons: &[(i32, i32)]) -> Result<()> {
        const PUT: &str = "INSERT OR IGNORE INTO reasons (reason_id, normal_id) SELECT value ->> 0, value ->> 1 FROM jsonb_each(?1)";
        if reasons.is_empty() {
            return Ok(());
        }
        let rows = Json::rows(reasons, |cells, (reason, normal)| {
            cells.n(*reason).n(*normal);
        });
        self.run(sqlx::query(PUT).bind(rows)).await.map(drop)
    }

    async fn apart(&mut self, branches: &[i32]) -> Result<Vec<(i32, i32)>> {
        self.all(sqlx::query(APART).bind(Json::numbers(branches.iter().copied())), two).await
    }

    async fn count_branches(&mut self, more: &[BranchRow], least: i64) -> Result<Vec<(i32, i32)>> {
        const PUT: &str = "INSERT INTO branches (branch_id, project_id, runs, first_day, last_day) \
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM jsonb_each(?1) WHERE true \
             ON CONFLICT (branch_id, project_id) DO UPDATE SET runs = runs + excluded.runs, \
             first_day = min(first_day, excluded.first_day), last_day = max(last_day, excluded.last_day)";
        const TAKE_APART: &str = "INSERT OR IGNORE INTO branches_apart (branch_id, source_id) SELECT b.branch_id, p.source_id \
             FROM (SELECT DISTINCT value AS id FROM jsonb_each(?1)) m CROSS JOIN branches b ON b.branch_id = m.id \
             JOIN projects p ON p.id = b.project_id GROUP BY b.branch_id, p.source_id HAVING sum(b.runs) >= ?2 \
             RETURNING source_id, branch_id";
        let rows = Json::rows(more, |cells, row| {
            cells.n(row.branch).n(row.project).n(row.runs).n(row.first).n(row.last);
        });
        self.run(sqlx::query(PUT).bind(rows)).await?;
        let branches = Json::numbers(more.iter().map(|row| row.branch));
        self.all(sqlx::query(TAKE_APART).bind(branches).bind(least), two).await
    }

    async fn put_lanes(&mut self, lanes: &[(i32, i32, i32)]) -> Result<()> {
        const PUT: &str = "INSERT INTO lanes (project_id, lane_id, workflow_id) SELECT value ->> 0, value ->> 1, value ->> 2 \
             FROM jsonb_each(?1) WHERE true ON CONFLICT (project_id, lane_id) DO UPDATE SET workflow_id = excluded.workflow_id \
             WHERE excluded.workflow_id <> workflow_id";
        if lanes.is_empty() {
            return Ok(());
        }
        let rows = Json::rows(lanes, |cells, (project, lane, workflow)| {
            cells.n(*project).n(*lane).n(*workflow);
        });
        self.run(sqlx::query(PUT).bind(rows)).await.map(drop)
    }

    async fn put_runs(&mut self, new: &[RunRow], known: &[(RunRow, i32)]) -> Result<()> {
        const LAST: &str = "SELECT coalesce(max(id), 0) FROM pipelines";
        // Only the columns that change, so that indexes of others are left alone.
        const UPDATE: &str = "UPDATE pipelines SET day = c.value ->> 4, flags = c.value ->> 5, status = c.value ->> 6, \
             native_id = c.value ->> 7, event_id = c.value ->> 8, branch_id = c.value ->> 9, lane_id = c.value ->> 10, \
             workflow_id = c.value ->> 11, author_id = c.value ->> 12, url_id = c.value ->> 13, failure_id = c.value ->> 14, \
             commit_key = c.value ->> 15, number = c.value ->> 16, created_at = c.value ->> 17, started_at = c.value ->> 18, \
             finished_at = c.value ->> 19, updated_at = c.value ->> 20, committed_at = c.value ->> 21, \
             duration_ms = c.value ->> 22, queued_ms = c.value ->> 23, expected_ms = c.value ->> 24, \
             sha = unhex(c.value ->> 25), message = c.value ->> 26 \
             FROM jsonb_each(?1) c WHERE pipelines.id = c.value ->> 0";
        if !new.is_empty() {
            // Nobody else writes meanwhile, so that numbers can be given here.
            let last = self.all(sqlx::query(LAST), |row| row.try_get::<i64, _>(0).map_err(garbage)).await?;
            let first = last.first().copied().unwrap_or_default() + 1;
            let new: Vec<(i64, &RunRow)> = (first..).zip(new).collect();
            let row = |cells: &mut Cells<'_>, (id, row): &(i64, &RunRow)| bind_run(cells, *id, row);
            self.insert("INSERT INTO pipelines ", &new, row, "").await?;
            self.put_jobs(new.iter().copied()).await?;
        }
        if !known.is_empty() {
            let rows = || known.iter().map(|(row, _)| row);
            self.run(sqlx::query(UPDATE).bind(Json::rows(rows(), run_cells))).await?;
            self.put_jobs(rows().map(|r| (r.id, r))).await?;
        }
        Ok(())
    }

    async fn rolls(&mut self, keys: &[RollKey]) -> Result<Vec<(RollKey, Vec<u8>)>> {
        const SELECT: &str =
            "SELECT k.key, d.bytes FROM jsonb_each(?1) k CROSS JOIN daily_statistics d ON d.id = k.value";
        let found = self
            .all(sqlx::query(SELECT).bind(Json::numbers(keys.iter().map(id_of))), |row| {
                Ok((row.try_get::<i64, _>(0).map_err(garbage)?, row.try_get(1).map_err(garbage)?))
            })
            .await?;
        let at = |i: i64| usize::try_from(i).ok().and_then(|i| keys.get(i)).copied();
        Ok(found.into_iter().filter_map(|(i, data)| Some((at(i)?, data))).collect())
    }

    async fn put_rolls(&mut self, rolls: &[(RollKey, Option<Vec<u8>>)]) -> Result<()> {
        const PUT: &str = "INSERT INTO daily_statistics (id, bytes) ";
        const OVER: &str = " ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes";
        const REMOVE: &str = "DELETE FROM daily_statistics WHERE id IN (SELECT value FROM jsonb_each(?1))";
        let put: Vec<(i64, &Vec<u8>)> =
            rolls.iter().filter_map(|(k, bytes)| Some((id_of(k), bytes.as_ref()?))).collect();
        let row = |cells: &mut Cells<'_>, (id, bytes): &(i64, &Vec<u8>)| {
            cells.push_bind(*id).push_bind(bytes.to_vec());
        };
        self.insert(PUT, &put, row, OVER).await?;
        let remove = Json::numbers(rolls.iter().filter(|(_, b)| b.is_none()).map(|(k, _)| id_of(k)));
        if remove != "[]" {
            self.run(sqlx::query(REMOVE).bind(remove)).await?;
        }
        Ok(())
    }

    async fn put_flakes(&mut self, of: &[CommitKey], flakes: &[FlakeRow]) -> Result<()> {
        const REMOVE: &str = "DELETE FROM flakes WHERE (project_id, lane_id, commit_key) IN \
             (SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each(?1))";
        const PUT: &str = "INSERT INTO flakes (project_id, lane_id, commit_key, job_id, branch_id, day, red, green, wasted_ms, \
             run_key) SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, \
             value ->> 7, value ->> 8, value ->> 9 FROM jsonb_each(?1)";
        let removed = Json::rows(of, |cells, key| {
            cells.n(key.project).n(key.lane).n(key.commit);
        });
        self.run(sqlx::query(REMOVE).bind(removed)).await?;
        if !flakes.is_empty() {
            let rows = Json::rows(flakes, |cells, f| {
                cells.n(f.project).n(f.lane).n(f.commit).n(f.job).n(f.branch).n(f.day).n(f.red).n(f.green);
                cells.n(f.wasted).n(f.run);
            });
            self.run(sqlx::query(PUT).bind(rows)).await?;
        }
        Ok(())
    }

    async fn put_snapshots(&mut self, rows: &[SnapshotRow]) -> Result<()> {
        const PUT: &str = "INSERT OR IGNORE INTO branch_snapshots (project_id, branch_id, seen_at, sha, author_id, message, committed_at, \
             is_default, is_protected, url_id) SELECT value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3), value ->> 4, \
             value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9 FROM jsonb_each(?1) \
             WHERE unhex(value ->> 3) IS NOT (SELECT b.sha FROM branch_snapshots b WHERE b.project_id = value ->> 0 \
             AND b.branch_id = value ->> 1 AND b.seen_at <= value ->> 2 ORDER BY b.seen_at DESC LIMIT 1)";
        if rows.is_empty() {
            return Ok(());
        }
        let rows = Json::rows(rows, |cells, s| {
            cells.n(s.project).n(s.branch).n(s.seen_at).bytes(s.sha.as_deref()).n(s.author);
            cells.opt_text(s.message.as_deref()).opt(s.committed_at).n(s.default).opt(s.protected).n(s.url);
        });
        self.run(sqlx::query(PUT).bind(rows)).await.map(drop)
    }

    async fn deployments(&mut self, keys: &[(i32, i64)]) -> Result<Vec<DeploymentRow>> {
        const SELECT: &str = concat!(
            "SELECT ",
            deployment_columns!(),
            " FROM jsonb_each(?1) k CROSS JOIN deployments d ON d.project_id = k.value ->> 0 \
             AND d.deployment_key = k.value ->> 1"
        );
        let asked = Json::rows(keys, |cells, (project, key)| {
            cells.n(*project).n(*key);
        });
        self.all(sqlx::query(SELECT).bind(asked), deployment).await
    }

    async fn put_deployments(&mut self, rows: &[DeploymentRow]) -> Result<()> {
        const PUT: &str = "INSERT OR REPLACE INTO deployments (project_id, deployment_key, deployment_text, flags, status, \
             environment_id, branch_id, native_id, run_key, run_text, created_at, finished_at, updated_at, sha, url) \
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, \
             value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, unhex(value ->> 13), value ->> 14 \
             FROM jsonb_each(?1)";
        let rows = Json::rows(rows, |cells, d| {
            cells.n(d.project).n(d.deployment).opt_text(d.deployment_text.as_deref()).n(d.flags).n(d.status);
            cells.n(d.environment).n(d.branch).n(d.native).opt(d.run).opt_text(d.run_text.as_deref());
            cells.n(d.created_at).opt(d.finished_at).n(d.updated_at).bytes(d.sha.as_deref());
            cells.opt_text(d.url.as_deref());
        });
        self.run(sqlx::query(PUT).bind(rows)).await.map(drop)
    }

    async fn log_webhook(&mut self, webhook: &Webhook) -> Result<Logged> {
        // One that nothing became of is written anew: what is applied is what came now.
        const PUT: &str = "INSERT INTO webhook_events (source, delivery, kind, headers, body, received_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (source, delivery) DO UPDATE SET kind = excluded.kind, \
             headers = excluded.headers, body = excluded.body, received_at = excluded.received_at WHERE outcome IS NULL";
        let headers = serde_json::to_string(&webhook.headers).unwrap_or_default();
        let query = sqlx::query(PUT)
            .bind(webhook.source.as_str().to_owned())
            .bind(webhook.delivery.clone())
            .bind(webhook.kind.clone())
            .bind(headers)
            .bind(webhook.body.clone())
            .bind(webhook.received_at.as_millisecond());
        Ok(if self.run(query).await? == 0 { Logged::Known } else { Logged::New })
    }

    async fn treat_webhook(&mut self, source: &str, delivery: &str, treated: &Treated) -> Result<()> {
        const PUT: &str =
            "UPDATE webhook_events SET outcome = ?3, reason = ?4 WHERE source = ?1 AND delivery = ?2";
        let (outcome, reason) = match treated {
            Treated::Applied => ("applied", None),
            Treated::Ignored(reason) => ("ignored", Some(reason.clone())),
        };
        let query =
            sqlx::query(PUT).bind(source.to_owned()).bind(delivery.to_owned()).bind(outcome).bind(reason);
        self.run(query).await.map(drop)
    }

    async fn set_notes(&mut self, notes: &[(String, Option<String>)]) -> Result<()> {
        for (name, value) in notes {
            let query = match value {
                Some(value) => sqlx::query("INSERT OR REPLACE INTO notes (name, value) VALUES (?1, ?2)")
                    .bind(name.clone())
                    .bind(value.clone()),
                None => sqlx::query("DELETE FROM notes WHERE name = ?1").bind(name.clone()),
            };
            self.run(query).await?;
        }
        Ok(())
    }

    async fn keep(&mut self, shelf: &str, values: &[(String, Option<Vec<u8>>)]) -> Result<()> {
        const PUT: &str = "INSERT OR REPLACE INTO kept (shelf, name, value) VALUES (?1, ?2, ?3)";
        const REMOVE: &str = "DELETE FROM kept WHERE shelf = ?1 AND name = ?2";
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
        const USER: &str = "INSERT INTO users (name, seen_at) VALUES (?1, ?2) \
             ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at";
        const PUT: &str = "INSERT OR REPLACE INTO user_preferences (user_id, name, value) \
             SELECT id, ?2, ?3 FROM users WHERE name = ?1";
        const REMOVE: &str = "DELETE FROM user_preferences WHERE user_id = (SELECT id FROM users WHERE name = ?1) AND name = ?2";
        let (user, name) = (user.to_owned(), name.to_owned());
        self.run(sqlx::query(USER).bind(user.clone()).bind(now)).await?;
        let query = match value {
            Some(value) => sqlx::query(PUT).bind(user).bind(name).bind(value.to_owned()),
            None => sqlx::query(REMOVE).bind(user).bind(name),
        };
        self.run(query).await.map(drop)
    }

    async fn drop_before(&mut self, day: i32) -> Result<()> {
        const MS: i64 = 24 * 60 * 60 * 1000;
        // Where a quiet branch is was seen long ago, and is true still.
        const HEADS: &str = "DELETE FROM branch_snapshots WHERE seen_at < ?1 AND EXISTS (SELECT 1 FROM branch_snapshots n \
             WHERE n.project_id = branch_snapshots.project_id AND n.branch_id = branch_snapshots.branch_id \
             AND n.seen_at > branch_snapshots.seen_at)";
        for statement in [
            "DELETE FROM jobs WHERE pipeline_id IN (SELECT r.id FROM projects p CROSS JOIN pipelines r ON r.project_id = p.id AND r.day < ?1)",
            "DELETE FROM pipelines WHERE id IN (SELECT r.id FROM projects p CROSS JOIN pipelines r ON r.project_id = p.id AND r.day < ?1)",
            "DELETE FROM flakes WHERE day < ?1",
            // Whole blocks only: 1, 8, 64 days, and 16 for kinds 3 and 4.
            "DELETE FROM daily_statistics WHERE (block + 1) * CASE WHEN kind IN (3, 4) THEN 16 ELSE 1 << (3 * level) END <= ?1",
        ] {
            self.run(sqlx::query(statement).bind(day)).await?;
        }
        for statement in [HEADS, "DELETE FROM deployments WHERE created_at < ?1"] {
            self.run(sqlx::query(statement).bind(i64::from(day) * MS)).await?;
        }
        Ok(())
    }

    async fn drop_webhooks(&mut self, before: i64) -> Result<()> {
        self.run(sqlx::query("DELETE FROM webhook_events WHERE received_at < ?1").bind(before))
            .await
            .map(drop)
    }
}

const fn id_of(key: &RollKey) -> i64 {
    roll_id(key.kind.number(), key.level, key.scope, key.block)
}
