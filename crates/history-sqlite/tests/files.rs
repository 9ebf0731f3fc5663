//! What may be wrong with a file, and what is said about it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use history::{Error, ErrorKind, History};
use history_sqlite::{Options, open};
use history_suite::{Story, order, run, views};

async fn refused(path: &Path) -> Error {
    let before = std::fs::read(path).unwrap_or_default();
    let error = open(path, Options { timeout: std::time::Duration::from_millis(200), ..Options::default() })
        .await
        .err()
        .unwrap();
    assert!(error.text.contains(path.to_str().unwrap()), "{error}");
    assert_eq!(error.text.lines().count(), 1, "one sentence: {error}");
    assert_eq!(std::fs::read(path).unwrap_or_default(), before, "the file is left as it is");
    error
}

/// A file of ours, closed, with something changed in it.
async fn altered(path: &Path, statement: &'static str) {
    drop(open(path, Options::default()).await.unwrap());
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query(statement).execute(&pool).await.unwrap();
    pool.close().await;
    // What was dropped is closed by its threads; the last of them takes the log ahead into the file, and away.
    let log = path.with_extension("db-wal");
    let closed = async {
        while log.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), closed).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_none_of_ours_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    std::fs::write(&path, "This is no database, and somebody may want it still. ".repeat(100)).unwrap();
    assert_eq!(refused(&path).await.kind, ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_newer_schema_is_told_from_an_altered_one() {
    let folder = tempfile::tempdir().unwrap();
    let newer = folder.path().join("newer.db");
    let statement = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'x', true, x'00', 0)";
    altered(&newer, statement).await;
    let error = refused(&newer).await;
    assert_eq!(error.kind, ErrorKind::Newer);
    assert!(error.text.contains("newer version (its schema is 99)"), "{error}");
    let tampered = folder.path().join("tampered.db");
    altered(&tampered, "UPDATE _sqlx_migrations SET checksum = x'00'").await;
    assert_eq!(refused(&tampered).await.kind, ErrorKind::Altered);
}

/// A database from before the fourth migration comes to the same as one that was filled after it.
#[tokio::test]
async fn what_was_kept_by_earlier_rules_is_counted_anew() {
    const BEFORE: &str = "UPDATE pipelines SET flags = flags & ~16, commit_key = max(commit_key, 1)";
    const MIGRATION: &str = include_str!("../../../migrations/sqlite/0004_first_known.sql");
    const ROWS: &str =
        "SELECT concat_ws(' ', project_id, run_key, attempt, flags, commit_key) FROM pipelines ORDER BY id";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let counted = async || {
        let history = open(&path, Options::default()).await.unwrap();
        order::everything(&history, order::SMALL, "forge").await
    };
    order::filled(&open(&path, Options::default()).await.unwrap()).await;
    let before = counted().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let rows = async || sqlx::query_scalar::<_, String>(ROWS).fetch_all(&pool).await.unwrap();
    let rows_before = rows().await;
    sqlx::query(BEFORE).execute(&pool).await.unwrap();
    assert_ne!(rows().await, rows_before);
    sqlx::raw_sql(MIGRATION).execute(&pool).await.unwrap();
    assert_eq!(rows().await, rows_before);
    pool.close().await;
    // It is done by the first who opens it; what is there then is left alone.
    assert_eq!(counted().await, before);
    assert_eq!(counted().await, before);
}

/// A database from before the eighth migration, in which branches were told apart by their names, comes to the same.
#[tokio::test]
async fn branches_of_many_runs_are_counted_anew() {
    const BEFORE: &str = "ALTER TABLE daily_statistics RENAME COLUMN bytes TO data; DROP TABLE branches_apart; DROP TABLE branches; \
        CREATE TABLE branches (branch_id INTEGER NOT NULL, project_id INTEGER NOT NULL, PRIMARY KEY (branch_id, project_id)) WITHOUT ROWID";
    const MIGRATION: &str = include_str!("../../../migrations/sqlite/0008_branches.sql");
    const APART: &str = "SELECT w.text FROM branches_apart a JOIN words w ON w.id = a.branch_id ORDER BY 1";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let counted = async || {
        let history = open(&path, Options::default()).await.unwrap();
        order::everything(&history, order::SMALL, "forge").await
    };
    order::filled(&open(&path, Options::default()).await.unwrap()).await;
    let before = counted().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let apart = async || sqlx::query_scalar::<_, String>(APART).fetch_all(&pool).await.unwrap();
    assert_eq!(apart().await, ["main"]);
    sqlx::raw_sql(BEFORE).execute(&pool).await.unwrap();
    sqlx::raw_sql(MIGRATION).execute(&pool).await.unwrap();
    assert_eq!(apart().await, ["main"]);
    pool.close().await;
    assert_eq!(counted().await, before);
}

#[tokio::test]
async fn people_with_sql_tools_find_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    views::told(&open(&path, Options::default()).await.unwrap()).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).read_only(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let text = async |statement: &'static str| {
        sqlx::query_scalar::<_, String>(statement).fetch_all(&pool).await.unwrap()
    };
    assert_eq!(text(history_suite::pipeline_stats!("last_run")).await, views::stats());
    let jobs = "SELECT concat_ws('|', project, run, attempt, name, status, failure_reason) FROM job_runs";
    assert_eq!(text(jobs).await, [views::JOB]);
    let deployments = history_suite::deployment_runs!("created_at", "finished_at");
    assert_eq!(text(deployments).await, views::deployments());
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep").join("er").join("x.db");
    drop(open(&path, Options::default()).await.unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_place_that_cannot_be_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = refused(&folder.path().join("file").join("x.db")).await;
    assert_eq!(error.kind, ErrorKind::ReadOnly);
    assert_eq!(refused(folder.path()).await.kind, ErrorKind::ReadOnly, "a folder is no file");
}

#[tokio::test]
async fn whoever_holds_the_file_is_waited_for_and_then_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let history =
        open(&path, Options { timeout: std::time::Duration::from_millis(200), ..Options::default() })
            .await
            .unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let other = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = history
        .ingest(Story::new().run("1", run(1, domain::Status::Success, 0, 0)).batch())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Slow);
    assert!(error.may_pass());
    drop(lock);
    other.close().await;
    let did =
        history.ingest(Story::new().run("1", run(1, domain::Status::Success, 0, 0)).batch()).await.unwrap();
    assert_eq!(did.added, 1, "and afterwards all is well");
}
