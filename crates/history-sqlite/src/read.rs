//! Reading.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use history::store::{
    BranchRow, DeploymentRow, FlakeRow, FlakySum, JobKind, PersonRow, ProjectRow, RunKey, RunName, RunQuery,
    RunRow, SnapshotRow, SourceRow, Store, flags,
};
use history::{Health, Result, Treated, Webhook, WebhookEntry};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Row as _, Sqlite as Db};

use crate::errors::told;
use crate::open::Sqlite;
use crate::rows::{
    Json, branch_row, deployment, deployment_columns, flake, flaky_sum, garbage, job, project, roll_id, run,
    run_columns, run_name, scope_and_block, snapshot,
};
use crate::write::Tx;

pub(crate) const PROJECT: &str = "SELECT p.id, p.source_id, p.native_id, p.name, p.description, p.visibility, p.avatar_url, p.url, \
     p.default_branch, p.archived, p.ci_disabled, p.last_activity_at, p.described, p.gone_at, p.known_from, p.known_to \
     FROM projects p";

/// Jobs of the name that is asked for; open at its end.
macro_rules! job {
    () => {
        "EXISTS (SELECT 1 FROM jobs j JOIN job_kinds k ON k.id = j.kind_id WHERE j.pipeline_id = r.id AND k.name_id = ?11"
    };
}

/// A failed job tells a reason.
macro_rules! told {
    () => {
        "EXISTS (SELECT 1 FROM jobs j JOIN job_kinds k ON k.id = j.kind_id WHERE j.pipeline_id = r.id AND k.status = 4 \
         AND j.reason_id <> 0)"
    };
}

/// What the run says of its failure counts, and is what is asked for.
macro_rules! own {
    () => {
        concat!(
            "(r.status = 4 AND r.failure_id IN (SELECT value FROM jsonb_each(?13)) AND NOT ",
            told!(),
            ")"
        )
    };
}

/// What narrows runs, of `?2` on.
macro_rules! narrowed {
    () => {
        concat!(
        "(?4 = 0 OR r.branch_id = ?4) AND (?5 = 0 OR r.lane_id = ?5) AND (?6 = 0 OR (?6 >> r.status) & 1) \
         AND (NOT ?7 OR r.flags & 4 = 0) AND (NOT ?8 OR r.flags & 16 = 0) \
         AND (?9 IS NULL OR (coalesce(r.created_at, r.started_at, r.updated_at, r.finished_at) / 3600000 + 72) % 168 = ?9) \
         AND CASE ?10 WHEN 0 THEN 1 WHEN 1 THEN ", job!(), ") \
              WHEN 2 THEN ", job!(), " AND k.status = 4) \
              WHEN 3 THEN ", job!(), " AND k.status = 4 AND j.reason_id IN (SELECT value FROM jsonb_each(?12))) OR ", own!(), " \
              ELSE (", job!(), " AND k.status = 4 AND j.reason_id = 0) AND (r.status <> 4 OR r.failure_id = 0 OR ", told!(), ")) \
                   OR ", own!(), " END"
        )
    };
}

macro_rules! newest_first {
    () => {
        "r.day DESC, coalesce(r.created_at, r.started_at, r.updated_at, r.finished_at) DESC, r.run_key DESC, r.attempt DESC"
    };
}

/// Of one project: the index gives the days in order, and reading ends with the page.
const RUNS_OF_ONE: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM pipelines r WHERE r.project_id = ?1 AND r.day BETWEEN ?2 AND ?3 AND ",
    narrowed!(),
    " ORDER BY ",
    newest_first!(),
    " LIMIT ?14 OFFSET ?15"
);
const RUNS_OF_MANY: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM jsonb_each(?1) p CROSS JOIN pipelines r ON r.project_id = p.value \
     AND r.day BETWEEN ?2 AND ?3 WHERE ",
    narrowed!(),
    " ORDER BY ",
    newest_first!(),
    " LIMIT ?14 OFFSET ?15"
);
const COUNT: &str = concat!(
    "SELECT count(*) FROM jsonb_each(?1) p CROSS JOIN pipelines r ON r.project_id = p.value \
     AND r.day BETWEEN ?2 AND ?3 WHERE ",
    narrowed!()
);
const NEWEST: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM jsonb_each(?1) p CROSS JOIN pipelines r ON r.id IN (SELECT r.id FROM pipelines r \
     WHERE r.project_id = p.value AND r.flags & 4 = 0 ORDER BY ",
    newest_first!(),
    " LIMIT ?2) \
     ORDER BY r.project_id, ",
    newest_first!()
);
const UNFINISHED: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM projects p CROSS JOIN pipelines r ON r.project_id = p.id AND r.status < 2 \
     WHERE p.source_id = ?1 AND r.flags & 4 = 0"
);
/// Newest attempts by their keys.
macro_rules! found {
    ($columns:expr) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM jsonb_each(?1) k CROSS JOIN pipelines r ON r.project_id = k.value ->> 0 \
             AND r.run_key = k.value ->> 1 AND r.flags & 4 = 0"
        )
    };
}
const FIND: &str = found!(run_columns!());
const FIND_NAMES: &str = found!("r.project_id, r.run_key, r.run_text, r.number");
const ATTEMPTS_OF_ONE: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM pipelines r WHERE r.project_id = ?1 AND r.run_key = ?2 ORDER BY r.attempt"
);

fn asked_for(keys: &[RunKey]) -> String {
    Json::rows(keys, |cells, key| {
        cells.n(key.project).n(key.run);
    })
}

pub(crate) const APART: &str = "SELECT a.source_id, a.branch_id FROM jsonb_each(?1) b CROSS JOIN branches_apart a ON a.branch_id = b.value";

type Query = sqlx::query::Query<'static, Db, sqlx::sqlite::SqliteArguments>;

fn narrow(q: Query, query: &RunQuery) -> Query {
    let (which, job, reasons, own) = query.cause.parameters();
    q.bind(query.from)
        .bind(query.to)
        .bind(query.branch)
        .bind(query.lane)
        .bind(query.statuses)
        .bind(query.newest)
        .bind(query.first)
        .bind(query.hour)
        .bind(which)
        .bind(job)
        .bind(Json::numbers(reasons.iter().copied()))
        .bind(Json::numbers(own.iter().copied()))
}

/// Puts jobs to the runs that have some.
pub(crate) fn with_jobs(rows: &mut [RunRow], jobs: &[SqliteRow]) -> Result<()> {
    let mut of: HashMap<i64, Vec<_>> = HashMap::new();
    for row in jobs {
        let (run, job) = job(row)?;
        of.entry(run).or_default().push(job);
    }
    for row in rows.iter_mut().filter(|r| r.flags & flags::JOBS != 0) {
        row.jobs = Some(of.remove(&row.id).unwrap_or_default());
    }
    Ok(())
}

/// Which of some runs have jobs.
pub(crate) fn having_jobs(rows: &[RunRow]) -> String {
    Json::numbers(rows.iter().filter(|r| r.flags & flags::JOBS != 0).map(|r| r.id))
}

pub(crate) const JOBS: &str = "SELECT j.pipeline_id, j.job_key, j.kind_id, j.reason_id, j.created, j.started, j.finished, \
     j.duration_ms, j.queued_ms, j.job_text FROM jsonb_each(?1) p CROSS JOIN jobs j ON j.pipeline_id = p.value";

impl Sqlite {
    async fn all<T: Send + Unpin>(
        &self,
        query: Query,
        read: impl Fn(&SqliteRow) -> Result<T> + Send,
    ) -> Result<Vec<T>> {
        // One by one, as they come: thousands of rows of statistics need not stand in memory twice.
        let rows = query.map(move |row| read(&row)).fetch_all(&self.readers).await;
        rows.map_err(|e| told(&self.path, e))?.into_iter().collect()
    }
}

pub(crate) fn two<A, B>(row: &SqliteRow) -> Result<(A, B)>
where
    A: for<'r> sqlx::Decode<'r, Db> + sqlx::Type<Db>,
    B: for<'r> sqlx::Decode<'r, Db> + sqlx::Type<Db>,
{
    Ok((row.try_get(0).map_err(garbage)?, row.try_get(1).map_err(garbage)?))
}

#[async_trait]
impl Store for Sqlite {
    type Tx = Tx;

    async fn health(&self) -> Result<Health> {
        let statement = "SELECT sqlite_version(), (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size())";
        let (version, bytes): (String, i64) =
            sqlx::query_as(statement).fetch_one(&self.readers).await.map_err(|e| told(&self.path, e))?;
        Ok(Health { engine: format!("SQLite {version}"), bytes: u64::try_from(bytes).ok() })
    }

    async fn begin(&self, durable: bool) -> Result<Tx> {
        let failed = |e| told(&self.path, e);
        let mut connection = self.writer.acquire().await.map_err(failed)?;
        if connection.is_in_transaction() {
            // SQLite itself undid one for want of room, or since the disk failed. Rolling it back once more fails, and sqlx
            // takes it for open for ever.
            connection.close().await.map_err(failed)?;
            connection = self.writer.acquire().await.map_err(failed)?;
        }
        let synchronous = if durable { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
        sqlx::query(synchronous).execute(&mut *connection).await.map_err(failed)?;
        drop(connection);
        let tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        Ok(Tx { path: self.path.clone(), tx })
    }

    async fn sources(&self) -> Result<Vec<SourceRow>> {
        self.all(sqlx::query("SELECT id, name, platform FROM sources ORDER BY name"), |row| {
            let (id, name) = two(row)?;
            Ok(SourceRow { id, name, platform: row.try_get(2).map_err(garbage)? })
        })
        .await
    }

    async fn projects(&self) -> Result<Vec<ProjectRow>> {
        self.all(sqlx::query(PROJECT), project).await
    }

    async fn project(&self, source: &str, native_id: &str) -> Result<Option<ProjectRow>> {
        const ONE: &str = "SELECT p.id, p.source_id, p.native_id, p.name, p.description, p.visibility, p.avatar_url, p.url, \
             p.default_branch, p.archived, p.ci_disabled, p.last_activity_at, p.described, p.gone_at, p.known_from, p.known_to \
             FROM projects p JOIN sources s ON s.id = p.source_id WHERE s.name = ?1 AND p.native_id = ?2";
        let query = sqlx::query(ONE).bind(source.to_owned()).bind(native_id.to_owned());
        Ok(self.all(query, project).await?.pop())
    }

    async fn job_names(&self) -> Result<Vec<i32>> {
        let names = sqlx::query("SELECT DISTINCT name_id FROM job_kinds");
        self.all(names, |row| row.try_get(0).map_err(garbage)).await
    }

    async fn lanes(&self, projects: &[i32]) -> Result<Vec<(i32, i32, i32)>> {
        const LANES: &str = "SELECT l.project_id, l.lane_id, l.workflow_id FROM jsonb_each(?1) p CROSS JOIN lanes l ON l.project_id = p.value";
        self.all(sqlx::query(LANES).bind(Json::numbers(projects.iter().copied())), |row| {
            let (project, lane) = two(row)?;
            Ok((project, lane, row.try_get(2).map_err(garbage)?))
        })
        .await
    }

    async fn apart(&self, branches: &[i32]) -> Result<Vec<(i32, i32)>> {
        self.all(sqlx::query(APART).bind(Json::numbers(branches.iter().copied())), two).await
    }

    async fn projects_with(&self, branch: i32) -> Result<Vec<BranchRow>> {
        const WITH: &str = "SELECT b.branch_id, b.project_id, p.source_id, b.runs, b.first_day, b.last_day \
             FROM branches b JOIN projects p ON p.id = b.project_id WHERE b.branch_id = ?1";
        self.all(sqlx::query(WITH).bind(branch), branch_row).await
    }

    async fn reasons(&self, normalised: i32) -> Result<Vec<i32>> {
        let query = sqlx::query("SELECT reason_id FROM reasons WHERE normal_id = ?1").bind(normalised);
        self.all(query, |row| row.try_get(0).map_err(garbage)).await
    }

    async fn words(&self, ids: &[i32]) -> Result<Vec<(i32, String)>> {
        let statement = "SELECT w.id, w.text FROM jsonb_each(?1) i CROSS JOIN words w ON w.id = i.value";
        self.all(sqlx::query(statement).bind(Json::numbers(ids.iter().copied())), two).await
    }

    async fn find_words(&self, texts: &[String]) -> Result<Vec<(i32, String)>> {
        let statement = "SELECT w.id, w.text FROM jsonb_each(?1) t CROSS JOIN words w ON w.text = t.value";
        self.all(sqlx::query(statement).bind(Json::texts(texts)), two).await
    }

    async fn people(&self, ids: &[i32]) -> Result<Vec<(i32, PersonRow)>> {
        let statement = "SELECT p.id, p.name, p.login, p.avatar_url FROM jsonb_each(?1) i CROSS JOIN people p ON p.id = i.value";
        self.all(sqlx::query(statement).bind(Json::numbers(ids.iter().copied())), |row| {
            let (id, name) = two(row)?;
            Ok((id, (name, row.try_get(2).map_err(garbage)?, row.try_get(3).map_err(garbage)?)))
        })
        .await
    }

    async fn job_kinds(&self, ids: &[i32]) -> Result<Vec<(i32, JobKind)>> {
        let statement = "SELECT k.id, k.name_id, k.stage_id, k.native_id, k.url_id, k.status, k.allow_failure \
                         FROM jsonb_each(?1) i CROSS JOIN job_kinds k ON k.id = i.value";
        self.all(sqlx::query(statement).bind(Json::numbers(ids.iter().copied())), |row| {
            let read = || -> std::result::Result<(i32, JobKind), sqlx::Error> {
                let kind = JobKind {
                    name: row.try_get(1)?,
                    stage: row.try_get(2)?,
                    native: row.try_get(3)?,
                    url: row.try_get(4)?,
                    status: row.try_get(5)?,
                    allow_failure: row.try_get(6)?,
                };
                Ok((row.try_get(0)?, kind))
            };
            read().map_err(garbage)
        })
        .await
    }

    async fn is_uncounted(&self) -> Result<bool> {
        const UNCOUNTED: &str =
            "SELECT EXISTS (SELECT 1 FROM pipelines) AND NOT EXISTS (SELECT 1 FROM daily_statistics)";
        let told = self.all(sqlx::query(UNCOUNTED), |row| row.try_get::<bool, _>(0).map_err(garbage)).await?;
        Ok(told.first().copied().unwrap_or_default())
    }

    async fn days(&self, project: i32) -> Result<Vec<(i32, i64)>> {
        let statement = "SELECT day, count(*) FROM pipelines WHERE project_id = ?1 GROUP BY day ORDER BY day";
        self.all(sqlx::query(statement).bind(project), two).await
    }

    async fn rolls(
        &self,
        kind: i16,
        level: u8,
        scopes: &[i32],
        from: i32,
        to: i32,
    ) -> Result<Vec<(i32, i32, Bytes)>> {
        const ROLLS: &str = "SELECT d.id, d.bytes FROM jsonb_each(?1) s CROSS JOIN daily_statistics d \
             ON d.id BETWEEN s.value ->> 0 AND s.value ->> 1";
        let ranges = Json::rows(scopes, |cells, scope| {
            cells.n(roll_id(kind, level, *scope, from)).n(roll_id(kind, level, *scope, to));
        });
        let mut rows = self
            .all(sqlx::query(ROLLS).bind(ranges), |row| {
                let (id, data): (i64, Vec<u8>) = two(row)?;
                let (scope, block) = scope_and_block(id);
                Ok((scope, block, data.into()))
            })
            .await?;
        // They come so, but nobody promises it.
        rows.sort_by_key(|(scope, block, _)| (*scope, *block));
        Ok(rows)
    }

    async fn runs(&self, query: &RunQuery) -> Result<Vec<RunRow>> {
        let asked = match query.projects[..] {
            [one] => sqlx::query(RUNS_OF_ONE).bind(one),
            _ => sqlx::query(RUNS_OF_MANY).bind(Json::numbers(query.projects.iter().copied())),
        };
        self.all(narrow(asked, query).bind(query.limit).bind(query.skip), run).await
    }

    async fn runs_with_jobs(&self, query: &RunQuery) -> Result<Vec<RunRow>> {
        let mut rows = self.runs(query).await?;
        let jobs = sqlx::query(JOBS).bind(having_jobs(&rows)).fetch_all(&self.readers).await;
        with_jobs(&mut rows, &jobs.map_err(|e| told(&self.path, e))?)?;
        Ok(rows)
    }

    async fn find_runs(&self, keys: &[RunKey]) -> Result<Vec<RunRow>> {
        self.all(sqlx::query(FIND).bind(asked_for(keys)), run).await
    }

    async fn run_names(&self, keys: &[RunKey]) -> Result<Vec<RunName>> {
        self.all(sqlx::query(FIND_NAMES).bind(asked_for(keys)), run_name).await
    }

    async fn newest_runs(&self, projects: &[i32], limit: i64) -> Result<Vec<RunRow>> {
        self.all(sqlx::query(NEWEST).bind(Json::numbers(projects.iter().copied())).bind(limit), run).await
    }

    async fn unfinished(&self, source: i32) -> Result<Vec<RunRow>> {
        self.all(sqlx::query(UNFINISHED).bind(source), run).await
    }

    async fn count_runs(&self, query: &RunQuery) -> Result<u64> {
        let asked = sqlx::query(COUNT).bind(Json::numbers(query.projects.iter().copied()));
        let counts = self.all(narrow(asked, query), |row| row.try_get::<i64, _>(0).map_err(garbage)).await?;
        Ok(counts.first().and_then(|n| u64::try_from(*n).ok()).unwrap_or_default())
    }

    async fn attempts(&self, project: i32, run_key: i64) -> Result<Vec<RunRow>> {
        let mut rows = self.all(sqlx::query(ATTEMPTS_OF_ONE).bind(project).bind(run_key), run).await?;
        let jobs = sqlx::query(JOBS).bind(having_jobs(&rows)).fetch_all(&self.readers).await;
        with_jobs(&mut rows, &jobs.map_err(|e| told(&self.path, e))?)?;
        Ok(rows)
    }

    async fn flaky(&self, projects: &[i32], branch: i32, from: i32, to: i32) -> Result<Vec<FlakySum>> {
        // All of it is in the index, in the order in which it is grouped.
        const FLAKY: &str = "SELECT f.project_id, f.lane_id, f.job_id, count(*), sum(f.wasted_ms), max(f.day) \
             FROM flakes f INDEXED BY flakes_by_job WHERE f.project_id IN (SELECT value FROM jsonb_each(?1)) \
             AND f.day BETWEEN ?2 AND ?3 AND (?4 = 0 OR f.branch_id = ?4) GROUP BY f.project_id, f.lane_id, f.job_id";
        let asked = Json::numbers(projects.iter().copied());
        self.all(sqlx::query(FLAKY).bind(asked).bind(from).bind(to).bind(branch), flaky_sum).await
    }

    async fn newest_flakes(
        &self,
        of: &[(i32, i32, i32)],
        branch: i32,
        from: i32,
        to: i32,
        each: i64,
    ) -> Result<Vec<FlakeRow>> {
        const NEWEST: &str = "SELECT project_id, lane_id, commit_key, job_id, branch_id, day, red, green, wasted_ms, run_key \
             FROM (SELECT f.*, row_number() OVER (PARTITION BY f.project_id, f.lane_id, f.job_id \
             ORDER BY f.day DESC, f.run_key DESC) AS place FROM jsonb_each(?1) k CROSS JOIN flakes f \
             ON f.project_id = k.value ->> 0 AND f.lane_id = k.value ->> 1 AND f.job_id = k.value ->> 2 \
             AND +f.day BETWEEN ?2 AND ?3 WHERE ?4 = 0 OR f.branch_id = ?4) WHERE place <= ?5 ORDER BY place";
        let asked = Json::rows(of, |cells, (project, lane, job)| {
            cells.n(*project).n(*lane).n(*job);
        });
        let query = sqlx::query(NEWEST).bind(asked).bind(from).bind(to).bind(branch).bind(each);
        self.all(query, flake).await
    }

    async fn snapshots(&self, project: i32, branch: i32, limit: i64) -> Result<Vec<SnapshotRow>> {
        const SNAPSHOTS: &str = "SELECT project_id, branch_id, seen_at, sha, author_id, message, committed_at, is_default, \
             is_protected, url_id FROM branch_snapshots WHERE project_id = ?1 AND branch_id = ?2 ORDER BY seen_at DESC LIMIT ?3";
        self.all(sqlx::query(SNAPSHOTS).bind(project).bind(branch).bind(limit), snapshot).await
    }

    async fn default_heads(&self, projects: &[i32]) -> Result<Vec<SnapshotRow>> {
        const HEADS: &str = "SELECT b.project_id, b.branch_id, max(b.seen_at), b.sha, b.author_id, b.message, b.committed_at, \
             b.is_default, b.is_protected, b.url_id FROM jsonb_each(?1) i JOIN projects p ON p.id = i.value \
             JOIN words w ON w.text = p.default_branch \
             JOIN branch_snapshots b ON b.project_id = p.id AND b.branch_id = w.id GROUP BY b.project_id";
        self.all(sqlx::query(HEADS).bind(Json::numbers(projects.iter().copied())), snapshot).await
    }

    async fn deployments(
        &self,
        projects: &[i32],
        branch: i32,
        from: i64,
        until: i64,
    ) -> Result<Vec<DeploymentRow>> {
        // The index has those to production alone; where there are none at all, no project is looked up in it.
        const DEPLOYMENTS: &str = concat!(
            "SELECT ",
            deployment_columns!(),
            " FROM (SELECT 1 FROM deployments LIMIT 1) CROSS JOIN jsonb_each(?1) p \
             CROSS JOIN deployments d ON d.project_id = p.value AND d.created_at >= ?2 \
             AND d.created_at < ?3 AND d.flags & 1 = 1 WHERE ?4 = 0 OR d.branch_id = ?4 \
             ORDER BY d.project_id, d.created_at, d.deployment_key"
        );
        let asked = Json::numbers(projects.iter().copied());
        let query = sqlx::query(DEPLOYMENTS).bind(asked).bind(from).bind(until).bind(branch);
        self.all(query, deployment).await
    }

    async fn webhooks(&self, source: &str, untreated: bool, limit: i64) -> Result<Vec<WebhookEntry>> {
        const WEBHOOKS: &str = "SELECT * FROM (SELECT delivery, kind, headers, body, received_at, outcome, reason, id \
             FROM webhook_events WHERE source = ?1 AND (NOT ?2 OR outcome IS NULL) ORDER BY id DESC LIMIT ?3) ORDER BY id";
        let name = domain::SourceName::new(source)
            .map_err(|e| history::Error::new(history::ErrorKind::Other, e.to_string()))?;
        let query = sqlx::query(WEBHOOKS).bind(source.to_owned()).bind(untreated).bind(limit);
        self.all(query, |row| {
            let read = || -> std::result::Result<WebhookEntry, sqlx::Error> {
                let headers: String = row.try_get(2)?;
                let outcome: Option<String> = row.try_get(5)?;
                let reason: Option<String> = row.try_get(6)?;
                Ok(WebhookEntry {
                    webhook: Webhook {
                        source: name.clone(),
                        delivery: row.try_get(0)?,
                        kind: row.try_get(1)?,
                        headers: serde_json::from_str(&headers).unwrap_or_default(),
                        body: row.try_get(3)?,
                        received_at: domain::Timestamp::from_millisecond(row.try_get(4)?).unwrap_or_default(),
                    },
                    treated: outcome.map(|word| match word.as_str() {
                        "applied" => Treated::Applied,
                        _ => Treated::Ignored(reason.unwrap_or_default()),
                    }),
                })
            };
            read().map_err(garbage)
        })
        .await
    }

    async fn note(&self, name: &str) -> Result<Option<String>> {
        let query = sqlx::query("SELECT value FROM notes WHERE name = ?1").bind(name.to_owned());
        Ok(self.all(query, |row| row.try_get(0).map_err(garbage)).await?.pop())
    }

    async fn kept(&self, shelf: &str) -> Result<Vec<(String, Vec<u8>)>> {
        self.all(sqlx::query("SELECT name, value FROM kept WHERE shelf = ?1").bind(shelf.to_owned()), two)
            .await
    }

    async fn preferences(&self, user: &str) -> Result<Vec<(String, String)>> {
        let statement = "SELECT p.name, p.value FROM users u JOIN user_preferences p ON p.user_id = u.id WHERE u.name = ?1";
        self.all(sqlx::query(statement).bind(user.to_owned()), two).await
    }
}
