//! What may be wrong with a server, and what is said about it.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use domain::Status;
use history::{Error, ErrorKind, History, RunFilter};
use history_postgres::{Options, open};
use history_suite::server::Server;
use history_suite::{Story, key, order, run, views};
use sqlx::migrate::Migrate as _;
use sqlx::{Connection, Executor, PgConnection};

fn quick() -> Options {
    Options {
        connect_timeout: Duration::from_secs(3),
        statement_timeout: Duration::from_secs(2),
        ..Options::default()
    }
}

async fn refused(url: &str) -> Error {
    let error = open(url, quick()).await.err().unwrap();
    assert_eq!(error.text.lines().count(), 1, "one sentence: {error}");
    assert!(!error.text.contains("wrong"), "the password is told: {error}");
    error
}

#[tokio::test]
async fn each_mistake_has_its_own_sentence() {
    let Some(server) = Server::start(true) else { return };
    assert_eq!(refused(&server.url_with("wrong", "postgres")).await.kind, ErrorKind::Refused);
    let error = refused(&server.url("nowhere")).await;
    assert!(error.kind == ErrorKind::Refused && error.text.contains("no such database"), "{error}");
    assert_eq!(refused("postgres://ci:wrong@127.0.0.1:1/x").await.kind, ErrorKind::Unreachable);
    assert_eq!(refused("postgres://ci:wrong@host:no-port/x").await.kind, ErrorKind::Refused);
    let tls = refused(&format!("{}?sslmode=require", server.url("postgres"))).await;
    assert!(tls.text.contains("sslmode"), "{tls}");

    let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
    connection.execute("CREATE DATABASE standby").await.unwrap();
    connection.execute("ALTER DATABASE standby SET default_transaction_read_only = on").await.unwrap();
    assert_eq!(refused(&server.url("standby")).await.kind, ErrorKind::ReadOnly);
}

#[tokio::test]
async fn a_newer_schema_is_told_from_an_altered_one() {
    let Some(server) = Server::start(false) else { return };
    let url = server.url("postgres");
    drop(open(&url, quick()).await.unwrap());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let statement = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'x', true, 'x', 0)";
    connection.execute(statement).await.unwrap();
    let error = refused(&url).await;
    assert!(
        error.kind == ErrorKind::Newer && error.text.contains("newer version (its schema is 99)"),
        "{error}"
    );
    connection.execute("DELETE FROM _sqlx_migrations WHERE version = 99").await.unwrap();
    connection.execute("UPDATE _sqlx_migrations SET checksum = 'x'").await.unwrap();
    assert_eq!(refused(&url).await.kind, ErrorKind::Altered);
}

#[tokio::test]
async fn a_migration_takes_as_long_as_it_takes() {
    let Some(server) = Server::start(false) else { return };
    let url = server.url("postgres");
    let options = || Options { statement_timeout: Duration::from_secs(1), ..quick() };
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // Views are made slowly there: longer than a statement may take.
    let slow = "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1.5); END $$";
    connection.execute(slow).await.unwrap();
    let trigger =
        "CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION slow()";
    connection.execute(trigger).await.unwrap();
    let history = open(&url, options()).await.unwrap();

    let mut lock = connection.begin().await.unwrap();
    lock.execute("SELECT pg_advisory_xact_lock(1667837284)").await.unwrap();
    let error =
        history.ingest(Story::new().run("1", run(1, Status::Success, 0, 0)).batch()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Slow, "and anything else does not: {error}");
    assert!(error.text.contains("database.statement_timeout"), "{error}");
}

#[tokio::test]
async fn whoever_migrates_is_waited_for_no_longer_than_for_anything_else() {
    let Some(server) = Server::start(false) else { return };
    let url = server.url("postgres");
    drop(open(&url, quick()).await.unwrap());
    let mut other = PgConnection::connect(&url).await.unwrap();
    // As a process that migrates does.
    other.lock().await.unwrap();
    assert_eq!(refused(&url).await.kind, ErrorKind::Slow);
    other.unlock().await.unwrap();
    drop(open(&url, quick()).await.unwrap());
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_written() {
    let Some(mut server) = Server::start(false) else { return };
    let history = open(&server.url("postgres"), quick()).await.unwrap();
    Story::new().run("1", run(1, Status::Success, 0, 0)).told(&history).await;
    server.kill();
    let more = || Story::new().run("1", run(2, Status::Failed, 0, 1)).batch();
    let error = history.ingest(more()).await.unwrap_err();
    assert!(error.may_pass(), "{error}");
    server.resume();
    history.ingest(more()).await.unwrap();
    assert_eq!(history.runs(&key("1"), &RunFilter::default(), 0, 9).await.unwrap().total, 2);
}

#[tokio::test]
async fn whoever_writes_is_waited_for_and_then_named() {
    let Some(server) = Server::start(false) else { return };
    let url = server.url("postgres");
    let history = open(&url, quick()).await.unwrap();
    let mut other = PgConnection::connect(&url).await.unwrap();
    let mut lock = other.begin().await.unwrap();
    lock.execute("SELECT pg_advisory_xact_lock(1667837284)").await.unwrap();
    let error =
        history.ingest(Story::new().run("1", run(1, Status::Success, 0, 0)).batch()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Slow, "{error}");
    lock.rollback().await.unwrap();
    Story::new().run("1", run(1, Status::Success, 0, 0)).told(&history).await;
}

/// A database from before the fourth migration comes to the same as one that was filled after it.
#[tokio::test]
async fn what_was_kept_by_earlier_rules_is_counted_anew() {
    const BEFORE: &str = "UPDATE pipelines SET flags = flags & ~16, commit_key = greatest(commit_key, 1)";
    const MIGRATION: &str = include_str!("../../../migrations/postgres/0004_first_known.sql");
    const ROWS: &str =
        "SELECT concat_ws(' ', project_id, run_key, attempt, flags, commit_key) FROM pipelines ORDER BY 1";
    let Some(server) = Server::start(false) else { return };
    let url = server.url("postgres");
    let counted = async || {
        let history = open(&url, quick()).await.unwrap();
        order::everything(&history, order::SMALL, "forge").await
    };
    order::filled(&open(&url, quick()).await.unwrap()).await;
    let before = counted().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let rows = async |connection: &mut PgConnection| {
        sqlx::query_scalar::<_, String>(ROWS).fetch_all(connection).await.unwrap()
    };
    let rows_before = rows(&mut connection).await;
    connection.execute(BEFORE).await.unwrap();
    assert_ne!(rows(&mut connection).await, rows_before);
    connection.execute(sqlx::raw_sql(MIGRATION)).await.unwrap();
    assert_eq!(rows(&mut connection).await, rows_before);
    assert_eq!(counted().await, before);
}

/// A database from before the eighth migration, in which branches were told apart by their names, comes to the same.
#[tokio::test]
async fn branches_of_many_runs_are_counted_anew() {
    const BEFORE: &str = "ALTER TABLE daily_statistics RENAME COLUMN bytes TO data; DROP TABLE branches_apart; DROP TABLE branches; \
        CREATE TABLE branches (branch_id int NOT NULL, project_id int NOT NULL, PRIMARY KEY (branch_id, project_id))";
    const MIGRATION: &str = include_str!("../../../migrations/postgres/0008_branches.sql");
    const APART: &str = "SELECT w.text FROM branches_apart a JOIN words w ON w.id = a.branch_id ORDER BY 1";
    let Some(server) = Server::start(false) else { return };
    let url = server.url("postgres");
    let counted = async || {
        let history = open(&url, quick()).await.unwrap();
        order::everything(&history, order::SMALL, "forge").await
    };
    order::filled(&open(&url, quick()).await.unwrap()).await;
    let before = counted().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let apart = async |connection: &mut PgConnection| {
        sqlx::query_scalar::<_, String>(APART).fetch_all(connection).await.unwrap()
    };
    assert_eq!(apart(&mut connection).await, ["main"]);
    connection.execute(sqlx::raw_sql(BEFORE)).await.unwrap();
    connection.execute(sqlx::raw_sql(MIGRATION)).await.unwrap();
    assert_eq!(apart(&mut connection).await, ["main"]);
    assert_eq!(counted().await, before);
}

/// Runs from before the sixth migration have their jobs in arrays: the same is read of them, and written over them.
#[tokio::test]
async fn jobs_that_were_kept_in_arrays_are_the_same() {
    const BEFORE: &str = "UPDATE pipelines SET job_keys = (SELECT array_agg(j.job_key ORDER BY j.place) \
         FROM job_times(NULL, NULL, job_cells) j), job_times = (SELECT array_agg(t.time ORDER BY j.place, t.place) \
         FROM job_times(NULL, NULL, job_cells) j CROSS JOIN LATERAL unnest(ARRAY[j.created, j.started, j.finished, j.duration, \
         j.queued]) WITH ORDINALITY AS t (time, place)), job_cells = NULL WHERE job_cells IS NOT NULL";
    const ROWS: &str = "SELECT j::text FROM job_runs j ORDER BY 1";
    let Some(server) = Server::start(false) else { return };
    let url = server.url("postgres");
    let history = open(&url, quick()).await.unwrap();
    order::filled(&history).await;
    let before = order::everything(&history, order::SMALL, "forge").await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let rows = async |connection: &mut PgConnection| {
        sqlx::query_scalar::<_, String>(ROWS).fetch_all(connection).await.unwrap()
    };
    let rows_before = rows(&mut connection).await;
    assert!(rows_before.len() > 300, "{}", rows_before.len());
    let altered = connection.execute(BEFORE).await.unwrap().rows_affected();
    assert!(altered > 100, "{altered}");
    assert_eq!(rows(&mut connection).await, rows_before);
    assert_eq!(order::everything(&history, order::SMALL, "forge").await, before);
    // What comes again is packed.
    order::filled(&history).await;
    assert_eq!(rows(&mut connection).await, rows_before);
    assert_eq!(order::everything(&history, order::SMALL, "forge").await, before);
}

#[tokio::test]
async fn people_with_sql_tools_find_names_and_partitions() {
    let Some(server) = Server::start(false) else { return };
    let url = server.url("postgres");
    let history = open(&url, quick()).await.unwrap();
    views::told(&history).await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let text = async |statement: &'static str, connection: &mut PgConnection| {
        sqlx::query_scalar::<_, String>(statement).fetch_all(connection).await.unwrap()
    };
    let stats = history_suite::pipeline_stats!("(extract(epoch FROM last_run) * 1000)::bigint");
    assert_eq!(text(stats, &mut connection).await, views::stats());
    let jobs = "SELECT concat_ws('|', project, run, attempt, name, status, failure_reason) FROM job_runs";
    assert_eq!(text(jobs, &mut connection).await, [views::JOB]);
    let deployments = history_suite::deployment_runs!(
        "(extract(epoch FROM created_at) * 1000)::bigint",
        "(extract(epoch FROM finished_at) * 1000)::bigint"
    );
    assert_eq!(text(deployments, &mut connection).await, views::deployments());
    let partitions =
        "SELECT relname::text FROM pg_class WHERE relname ~ '^pipelines_\\d{4}_\\d{2}$' ORDER BY 1";
    assert_eq!(text(partitions, &mut connection).await, ["pipelines_2025_06", "pipelines_2025_07"]);
    history.prune(Some(history::Day::of(history_suite::at(30, 0))), history_suite::at(0, 0)).await.unwrap();
    assert_eq!(text(partitions, &mut connection).await, ["pipelines_2025_07"]);
}
