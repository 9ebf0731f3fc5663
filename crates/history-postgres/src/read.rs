//! Reading.

use async_trait::async_trait;
use bytes::Bytes;
use history::store::{
    BranchRow, DeploymentRow, FlakeRow, FlakySum, JobKind, PersonRow, ProjectRow, RunKey, RunName, RunQuery,
    RunRow, SnapshotRow, SourceRow, Store,
};
use history::{Error, ErrorKind, Health, Result, Treated, Webhook, WebhookEntry};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Postgres as Db, Row as _};

use crate::errors::told;
use crate::jobs::job_columns;
use crate::open::Postgres;
use crate::rows::{
    branch_row, column, deployment, deployment_columns, flake, flaky_sum, garbage, project, run, run_columns,
    run_name, run_with_jobs, snapshot,
};
use crate::times::{Date, Ms};
use crate::write::Tx;

/// All columns of a project.
macro_rules! project_columns {
    () => {
        "p.id, p.source_id, p.native_id, p.name, p.description, p.visibility, p.avatar_url, p.url, p.default_branch, \
         p.archived, p.ci_disabled, p.last_activity_at, p.described, p.gone_at, p.known_from, p.known_to"
    };
}
pub(crate) use project_columns;

/// Jobs of the name that is asked for; open at its end.
macro_rules! job {
    () => {
        "EXISTS (SELECT 1 FROM unnest(r.job_kinds) WITH ORDINALITY AS j (kind_id, place) \
         JOIN job_kinds k ON k.id = j.kind_id WHERE k.name_id = $11"
    };
}

/// A failed job tells a reason.
macro_rules! told {
    () => {
        "(r.job_reasons IS NOT NULL AND EXISTS (SELECT 1 FROM unnest(r.job_kinds) WITH ORDINALITY AS j (kind_id, place) \
         JOIN job_kinds k ON k.id = j.kind_id WHERE k.status = 4 AND r.job_reasons[j.place] <> 0))"
    };
}

/// What the run says of its failure counts, and is what is asked for.
macro_rules! own {
    () => {
        concat!("(r.status = 4 AND r.failure_id = ANY($13) AND NOT ", told!(), ")")
    };
}

/// What narrows runs.
macro_rules! narrowed {
    () => {
        concat!(
        "r.project_id = ANY($1) AND r.day BETWEEN $2 AND $3 AND ($4 = 0 OR r.branch_id = $4) AND ($5 = 0 OR r.lane_id = $5) \
         AND ($6 = 0 OR ($6 >> r.status) & 1 = 1) AND (NOT $7 OR r.flags & 4 = 0) AND (NOT $8 OR r.flags & 16 = 0) \
         AND ($9 IS NULL OR (extract(isodow FROM coalesce(r.created_at, r.started_at, r.updated_at, r.finished_at) AT TIME ZONE 'UTC') * 24 - 24 \
              + extract(hour FROM coalesce(r.created_at, r.started_at, r.updated_at, r.finished_at) AT TIME ZONE 'UTC'))::int = $9) \
         AND CASE $10 WHEN 0 THEN true WHEN 1 THEN ", job!(), ") \
              WHEN 2 THEN ", job!(), " AND k.status = 4) \
              WHEN 3 THEN (r.job_reasons && $12 AND ", job!(), " AND k.status = 4 AND r.job_reasons[j.place] = ANY($12))) OR ", own!(), " \
              ELSE (", job!(), " AND k.status = 4 AND coalesce(r.job_reasons[j.place], 0) = 0) \
                   AND (r.status <> 4 OR r.failure_id IS NULL OR ", told!(), ")) OR ", own!(), " END"
        )
    };
}

macro_rules! newest_first {
    () => {
        "r.day DESC, coalesce(r.created_at, r.started_at, r.updated_at, r.finished_at) DESC NULLS LAST, r.run_key DESC, \
         r.attempt DESC"
    };
}

const RUNS: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM pipelines r WHERE ",
    narrowed!(),
    " ORDER BY ",
    newest_first!(),
    " LIMIT $14 OFFSET $15"
);
const RUNS_WITH_JOBS: &str = concat!(
    "SELECT ",
    run_columns!(),
    job_columns!(),
    " FROM pipelines r WHERE ",
    narrowed!(),
    " ORDER BY ",
    newest_first!(),
    " LIMIT $14 OFFSET $15"
);
/// Of one project: the index gives the days in order, and reading ends with the page.
const RUNS_OF_ONE: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM pipelines r WHERE r.project_id = ($1::int[])[1] AND ",
    narrowed!(),
    " ORDER BY ",
    newest_first!(),
    " LIMIT $14 OFFSET $15"
);
const COUNT: &str = concat!("SELECT count(*) FROM pipelines r WHERE ", narrowed!());
const NEWEST: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM unnest($1::int[]) AS p (id) CROSS JOIN LATERAL (SELECT * FROM pipelines r \
     WHERE r.project_id = p.id AND r.flags & 4 = 0 ORDER BY ",
    newest_first!(),
    " LIMIT $2) r"
);
const UNFINISHED: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM pipelines r JOIN projects p ON p.id = r.project_id \
     WHERE r.status < 2 AND p.source_id = $1 AND r.flags & 4 = 0"
);
// Each key is looked up by itself, by the index that is meant: a question of its own that nothing is moved out of (OFFSET 0),
// and the range of one project, for which the index by project and day is no good. Who plans would else take each of many keys
// for a look into every month and read all months instead, or go by whatever a month was like before it was analyzed.
macro_rules! found {
    ($columns:expr) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM unnest($1::int[], $2::bigint[], $3::date[], $4::date[]) AS k (project, run, since, till) \
             CROSS JOIN LATERAL (SELECT * FROM pipelines r WHERE r.run_key = k.run \
             AND r.project_id BETWEEN k.project AND k.project AND r.day BETWEEN k.since AND k.till AND r.flags & 4 = 0 OFFSET 0) r"
        )
    };
}
const FIND: &str = found!(run_columns!());
const FIND_NAMES: &str = found!("r.project_id, r.run_key, r.run_text, r.number");
const ATTEMPTS_OF_ONE: &str = concat!(
    "SELECT ",
    run_columns!(),
    job_columns!(),
    " FROM pipelines r WHERE r.project_id = $1 AND r.run_key = $2 ORDER BY r.attempt"
);

pub(crate) const APART: &str = "SELECT source_id, branch_id FROM branches_apart WHERE branch_id = ANY($1)";

type Query = sqlx::query::Query<'static, Db, PgArguments>;

fn narrow(statement: &'static str, query: &RunQuery) -> Query {
    let (which, job, reasons, own) = query.cause.parameters();
    sqlx::query(statement)
        .bind(query.projects.clone())
        .bind(Date(query.from))
        .bind(Date(query.to))
        .bind(query.branch)
        .bind(query.lane)
        .bind(query.statuses)
        .bind(query.newest)
        .bind(query.first)
        .bind(query.hour)
        .bind(which)
        .bind(job)
        .bind(reasons.to_vec())
        .bind(own.to_vec())
}

fn keyed(statement: &'static str, keys: &[RunKey]) -> Query {
    sqlx::query(statement)
        .bind(column(keys, |k| k.project))
        .bind(column(keys, |k| k.run))
        .bind(column(keys, |k| Date(k.from)))
        .bind(column(keys, |k| Date(k.to)))
}

impl Postgres {
    async fn all<T>(&self, query: Query, read: impl Fn(&PgRow) -> Result<T>) -> Result<Vec<T>> {
        let rows = query.fetch_all(&self.pool).await.map_err(|e| told(&self.at, e))?;
        rows.iter().map(read).collect()
    }
}

pub(crate) fn two<A, B>(row: &PgRow) -> Result<(A, B)>
where
    A: for<'r> sqlx::Decode<'r, Db> + sqlx::Type<Db>,
    B: for<'r> sqlx::Decode<'r, Db> + sqlx::Type<Db>,
{
    Ok((row.try_get(0).map_err(garbage)?, row.try_get(1).map_err(garbage)?))
}

#[async_trait]
impl Store for Postgres {
    type Tx = Tx;

    async fn health(&self) -> Result<Health> {
        let statement = "SELECT current_setting('server_version'), pg_database_size(current_database())";
        let (version, bytes): (String, i64) =
            sqlx::query_as(statement).fetch_one(&self.pool).await.map_err(|e| told(&self.at, e))?;
        Ok(Health { engine: format!("PostgreSQL {version}"), bytes: u64::try_from(bytes).ok() })
    }

    async fn begin(&self, durable: bool) -> Result<Tx> {
        Tx::begin(self, durable).await
    }

    async fn sources(&self) -> Result<Vec<SourceRow>> {
        self.all(sqlx::query("SELECT id, name, platform FROM sources ORDER BY name"), |row| {
            let (id, name) = two(row)?;
            Ok(SourceRow { id, name, platform: row.try_get(2).map_err(garbage)? })
        })
        .await
    }

    async fn projects(&self) -> Result<Vec<ProjectRow>> {
        self.all(sqlx::query(concat!("SELECT ", project_columns!(), " FROM projects p")), project).await
    }

    async fn project(&self, source: &str, native_id: &str) -> Result<Option<ProjectRow>> {
        const ONE: &str = concat!(
            "SELECT ",
            project_columns!(),
            " FROM projects p JOIN sources s ON s.id = p.source_id \
             WHERE s.name = $1 AND md5(p.native_id) = md5($2) AND p.native_id = $2"
        );
        let query = sqlx::query(ONE).bind(source.to_owned()).bind(native_id.to_owned());
        Ok(self.all(query, project).await?.pop())
    }

    async fn job_names(&self) -> Result<Vec<i32>> {
        let names = sqlx::query("SELECT DISTINCT name_id FROM job_kinds");
        self.all(names, |row| row.try_get(0).map_err(garbage)).await
    }

    async fn lanes(&self, projects: &[i32]) -> Result<Vec<(i32, i32, i32)>> {
        let statement = "SELECT project_id, lane_id, workflow_id FROM lanes WHERE project_id = ANY($1)";
        self.all(sqlx::query(statement).bind(projects.to_vec()), |row| {
            let (project, lane) = two(row)?;
            Ok((project, lane, row.try_get(2).map_err(garbage)?))
        })
        .await
    }

    async fn apart(&self, branches: &[i32]) -> Result<Vec<(i32, i32)>> {
        self.all(sqlx::query(APART).bind(branches.to_vec()), two).await
    }

    async fn projects_with(&self, branch: i32) -> Result<Vec<BranchRow>> {
        const WITH: &str = "SELECT b.branch_id, b.project_id, p.source_id, b.runs, b.first_day, b.last_day \
             FROM branches b JOIN projects p ON p.id = b.project_id WHERE b.branch_id = $1";
        self.all(sqlx::query(WITH).bind(branch), branch_row).await
    }

    async fn reasons(&self, normalised: i32) -> Result<Vec<i32>> {
        let query = sqlx::query("SELECT reason_id FROM reasons WHERE normal_id = $1").bind(normalised);
        self.all(query, |row| row.try_get(0).map_err(garbage)).await
    }

    async fn words(&self, ids: &[i32]) -> Result<Vec<(i32, String)>> {
        self.all(sqlx::query("SELECT id, text FROM words WHERE id = ANY($1)").bind(ids.to_vec()), two).await
    }

    async fn find_words(&self, texts: &[String]) -> Result<Vec<(i32, String)>> {
        self.all(sqlx::query("SELECT id, text FROM words WHERE text = ANY($1)").bind(texts.to_vec()), two)
            .await
    }

    async fn people(&self, ids: &[i32]) -> Result<Vec<(i32, PersonRow)>> {
        let statement = "SELECT id, name, login, avatar_url FROM people WHERE id = ANY($1)";
        self.all(sqlx::query(statement).bind(ids.to_vec()), |row| {
            let (id, name) = two(row)?;
            Ok((id, (name, row.try_get(2).map_err(garbage)?, row.try_get(3).map_err(garbage)?)))
        })
        .await
    }

    async fn job_kinds(&self, ids: &[i32]) -> Result<Vec<(i32, JobKind)>> {
        let statement = "SELECT id, name_id, stage_id, native_id, url_id, status, allow_failure FROM job_kinds WHERE id = ANY($1)";
        self.all(sqlx::query(statement).bind(ids.to_vec()), |row| {
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
        let statement = "SELECT day, count(*) FROM pipelines WHERE project_id = $1 GROUP BY day ORDER BY day";
        self.all(sqlx::query(statement).bind(project), |row| {
            let (day, attempts): (Date, i64) = two(row)?;
            Ok((day.0, attempts))
        })
        .await
    }

    async fn rolls(
        &self,
        kind: i16,
        level: u8,
        scopes: &[i32],
        from: i32,
        to: i32,
    ) -> Result<Vec<(i32, i32, Bytes)>> {
        const ROLLS: &str = "SELECT scope, block, bytes FROM daily_statistics \
             WHERE kind = $1 AND level = $2 AND scope = ANY($3) AND block BETWEEN $4 AND $5";
        let query =
            sqlx::query(ROLLS).bind(kind).bind(i16::from(level)).bind(scopes.to_vec()).bind(from).bind(to);
        let mut rows = self
            .all(query, |row| {
                let (scope, block) = two(row)?;
                let data: Vec<u8> = row.try_get(2).map_err(garbage)?;
                Ok((scope, block, data.into()))
            })
            .await?;
        rows.sort_by_key(|(scope, block, _)| (*scope, *block));
        Ok(rows)
    }

    async fn runs(&self, query: &RunQuery) -> Result<Vec<RunRow>> {
        let statement = if query.projects.len() == 1 { RUNS_OF_ONE } else { RUNS };
        self.all(narrow(statement, query).bind(query.limit).bind(query.skip), run).await
    }

    async fn runs_with_jobs(&self, query: &RunQuery) -> Result<Vec<RunRow>> {
        self.all(narrow(RUNS_WITH_JOBS, query).bind(query.limit).bind(query.skip), run_with_jobs).await
    }

    async fn find_runs(&self, keys: &[RunKey]) -> Result<Vec<RunRow>> {
        self.all(keyed(FIND, keys), run).await
    }

    async fn run_names(&self, keys: &[RunKey]) -> Result<Vec<RunName>> {
        self.all(keyed(FIND_NAMES, keys), run_name).await
    }

    async fn newest_runs(&self, projects: &[i32], limit: i64) -> Result<Vec<RunRow>> {
        self.all(sqlx::query(NEWEST).bind(projects.to_vec()).bind(limit), run).await
    }

    async fn unfinished(&self, source: i32) -> Result<Vec<RunRow>> {
        self.all(sqlx::query(UNFINISHED).bind(source), run).await
    }

    async fn count_runs(&self, query: &RunQuery) -> Result<u64> {
        let counts = self.all(narrow(COUNT, query), |row| row.try_get::<i64, _>(0).map_err(garbage)).await?;
        Ok(counts.first().and_then(|n| u64::try_from(*n).ok()).unwrap_or_default())
    }

    async fn attempts(&self, project: i32, run_key: i64) -> Result<Vec<RunRow>> {
        self.all(sqlx::query(ATTEMPTS_OF_ONE).bind(project).bind(run_key), run_with_jobs).await
    }

    async fn flaky(&self, projects: &[i32], branch: i32, from: i32, to: i32) -> Result<Vec<FlakySum>> {
        const FLAKY: &str = "SELECT project_id, lane_id, job_id, count(*), sum(wasted_ms)::bigint, max(day) FROM flakes \
             WHERE project_id = ANY($1) AND day BETWEEN $2 AND $3 AND ($4 = 0 OR branch_id = $4) \
             GROUP BY project_id, lane_id, job_id";
        let query = sqlx::query(FLAKY).bind(projects.to_vec()).bind(Date(from)).bind(Date(to)).bind(branch);
        self.all(query, flaky_sum).await
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
             ORDER BY f.day DESC, f.run_key DESC) AS place FROM unnest($1::int[], $2::int[], $3::int[]) \
             AS k (project, lane, job) JOIN flakes f ON f.project_id = k.project AND f.lane_id = k.lane AND f.job_id = k.job \
             WHERE f.day BETWEEN $4 AND $5 AND ($6 = 0 OR f.branch_id = $6)) n WHERE place <= $7 ORDER BY place";
        let query = sqlx::query(NEWEST)
            .bind(column(of, |k| k.0))
            .bind(column(of, |k| k.1))
            .bind(column(of, |k| k.2))
            .bind(Date(from))
            .bind(Date(to))
            .bind(branch)
            .bind(each);
        self.all(query, flake).await
    }

    async fn snapshots(&self, project: i32, branch: i32, limit: i64) -> Result<Vec<SnapshotRow>> {
        const SNAPSHOTS: &str = "SELECT project_id, branch_id, seen_at, sha, author_id, message, committed_at, is_default, \
             is_protected, url_id FROM branch_snapshots WHERE project_id = $1 AND branch_id = $2 ORDER BY seen_at DESC LIMIT $3";
        self.all(sqlx::query(SNAPSHOTS).bind(project).bind(branch).bind(limit), snapshot).await
    }

    async fn default_heads(&self, projects: &[i32]) -> Result<Vec<SnapshotRow>> {
        const HEADS: &str = "SELECT b.project_id, b.branch_id, b.seen_at, b.sha, b.author_id, b.message, b.committed_at, \
             b.is_default, b.is_protected, b.url_id FROM projects p JOIN words w ON w.text = p.default_branch \
             CROSS JOIN LATERAL (SELECT * FROM branch_snapshots b WHERE b.project_id = p.id AND b.branch_id = w.id \
             ORDER BY b.seen_at DESC LIMIT 1) b WHERE p.id = ANY($1)";
        self.all(sqlx::query(HEADS).bind(projects.to_vec()), snapshot).await
    }

    async fn deployments(
        &self,
        projects: &[i32],
        branch: i32,
        from: i64,
        until: i64,
    ) -> Result<Vec<DeploymentRow>> {
        const DEPLOYMENTS: &str = concat!(
            "SELECT ",
            deployment_columns!(),
            " FROM deployments d WHERE d.project_id = ANY($1) AND d.created_at >= $2 AND d.created_at < $3 \
             AND d.flags & 1 = 1 AND ($4 = 0 OR d.branch_id = $4) ORDER BY d.project_id, d.created_at, d.deployment_key"
        );
        let query =
            sqlx::query(DEPLOYMENTS).bind(projects.to_vec()).bind(Ms(from)).bind(Ms(until)).bind(branch);
        self.all(query, deployment).await
    }

    async fn webhooks(&self, source: &str, untreated: bool, limit: i64) -> Result<Vec<WebhookEntry>> {
        const WEBHOOKS: &str = "SELECT * FROM (SELECT delivery, kind, headers, body, received_at, outcome, reason, id \
             FROM webhook_events WHERE source = $1 AND (NOT $2 OR outcome IS NULL) ORDER BY id DESC LIMIT $3) w ORDER BY id";
        let name =
            domain::SourceName::new(source).map_err(|e| Error::new(ErrorKind::Other, e.to_string()))?;
        let query = sqlx::query(WEBHOOKS).bind(source.to_owned()).bind(untreated).bind(limit);
        self.all(query, |row| {
            let read = || -> std::result::Result<WebhookEntry, sqlx::Error> {
                let headers: String = row.try_get(2)?;
                let received: Ms = row.try_get(4)?;
                let outcome: Option<String> = row.try_get(5)?;
                let reason: Option<String> = row.try_get(6)?;
                Ok(WebhookEntry {
                    webhook: Webhook {
                        source: name.clone(),
                        delivery: row.try_get(0)?,
                        kind: row.try_get(1)?,
                        headers: serde_json::from_str(&headers).unwrap_or_default(),
                        body: row.try_get(3)?,
                        received_at: domain::Timestamp::from_millisecond(received.0).unwrap_or_default(),
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
        let query = sqlx::query("SELECT value FROM notes WHERE name = $1").bind(name.to_owned());
        Ok(self.all(query, |row| row.try_get(0).map_err(garbage)).await?.pop())
    }

    async fn kept(&self, shelf: &str) -> Result<Vec<(String, Vec<u8>)>> {
        self.all(sqlx::query("SELECT name, value FROM kept WHERE shelf = $1").bind(shelf.to_owned()), two)
            .await
    }

    async fn preferences(&self, user: &str) -> Result<Vec<(String, String)>> {
        let statement = "SELECT p.name, p.value FROM users u JOIN user_preferences p ON p.user_id = u.id WHERE u.name = $1";
        self.all(sqlx::query(statement).bind(user.to_owned()), two).await
    }
}
