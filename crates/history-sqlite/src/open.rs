//! Opening the file: made, guarded, migrated.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use history::store::Store;
use history::{Error, ErrorKind, Keeper, Result};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, SqlSafeStr};

use crate::errors::{migrating, told};

/// How it is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections that read.
    pub readers: u32,
    /// How long is waited for another process that writes, and for a free connection.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 4, timeout: Duration::from_secs(5) }
    }
}

/// A file that is ready.
#[derive(Debug, Clone)]
pub struct Sqlite {
    pub(crate) path: Arc<Path>,
    pub(crate) readers: SqlitePool,
    pub(crate) writer: SqlitePool,
}

/// The migrations of this version, oldest first. Only ever added to.
pub(crate) fn migrations() -> Migrator {
    let migration = |version, name: &'static str, statements: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, statements.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "history", include_str!("../../../migrations/sqlite/0001_history.sql")),
        migration(2, "kept", include_str!("../../../migrations/sqlite/0002_kept.sql")),
        migration(3, "unfinished", include_str!("../../../migrations/sqlite/0003_unfinished.sql")),
        migration(4, "first_known", include_str!("../../../migrations/sqlite/0004_first_known.sql")),
        migration(5, "flaky", include_str!("../../../migrations/sqlite/0005_flaky.sql")),
        migration(7, "deployments", include_str!("../../../migrations/sqlite/0007_deployments.sql")),
        migration(8, "branches", include_str!("../../../migrations/sqlite/0008_branches.sql")),
        migration(
            9,
            "deployments_view",
            include_str!("../../../migrations/sqlite/0009_deployments_view.sql"),
        ),
    ])
}

/// Kibibytes of pages that each connection holds.
const CACHE_KIB: i32 = 16 * 1024;
/// Rows that are fetched ahead of whoever reads them.
const ROWS_AHEAD: usize = 512;
/// Bytes of the file that are read as memory.
const MAPPED_BYTES: i64 = 1 << 30;
/// The log ahead is cut back to this many bytes when it has grown beyond.
const MAX_LOG_BYTES: i64 = 64 << 20;

/// Opens (and makes, and migrates) a file.
///
/// # Errors
/// In one sentence with what to do. The file is left as it is.
pub async fn open(path: impl Into<PathBuf>, options: Options) -> Result<Keeper<Sqlite>> {
    Keeper::opened(ready(path.into().into(), options).await?).await
}

async fn ready(path: Arc<Path>, options: Options) -> Result<Sqlite> {
    make(&path)?;
    let connect = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(options.timeout)
        // Rows are put in an order that keeps what belongs together true; a check of each would cost a third of the speed.
        .foreign_keys(false)
        // Statistics come in thousands of rows: who reads them does not wake whoever fetches them for every few.
        .row_buffer_size(ROWS_AHEAD)
        .pragma("cache_size", (-CACHE_KIB).to_string())
        .pragma("mmap_size", MAPPED_BYTES.to_string())
        .pragma("journal_size_limit", MAX_LOG_BYTES.to_string())
        .pragma("temp_store", "memory");
    let pool = |max: u32, read_only: bool| {
        SqlitePoolOptions::new()
            .max_connections(max)
            .acquire_timeout(options.timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(connect.clone().pragma("query_only", if read_only { "on" } else { "off" }))
    };
    let writer = pool(1, false);
    migrated(&path, &writer, options.timeout).await?;
    let sqlite = Sqlite { path: Arc::clone(&path), readers: pool(options.readers.max(1), true), writer };
    // A file may be damaged where nobody has looked yet.
    sqlite.sources().await?;
    Ok(sqlite)
}

/// Makes folder and file, for their owner alone.
fn make(path: &Path) -> Result<()> {
    let failed = |what: &Path, error: &std::io::Error| {
        let text = format!(
            "the database {}: {}: {error}; see that its folder can be written",
            path.display(),
            what.display()
        );
        Error::new(ErrorKind::ReadOnly, text)
    };
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| failed(folder, &e))?;
    }
    let mut open = std::fs::OpenOptions::new();
    open.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    match open.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(failed(path, &e)),
    }
}

/// How soon is tried again what another process was in the way of.
const AGAIN: Duration = Duration::from_millis(20);

/// Applies what is missing, when nobody else does. SQLite waits for whoever has a lock, but for who makes the file: its first log
/// ahead is there or is refused.
async fn migrated(path: &Path, writer: &SqlitePool, patience: Duration) -> Result<()> {
    let end = tokio::time::Instant::now() + patience;
    loop {
        match migrate(path, writer).await {
            Err(error) if error.kind == ErrorKind::Slow && tokio::time::Instant::now() < end => {
                tokio::time::sleep(AGAIN).await;
            }
            done => return done,
        }
    }
}

/// Applies what is missing, all in one transaction that keeps every other process out.
async fn migrate(path: &Path, writer: &SqlitePool) -> Result<()> {
    let mut connection = writer.acquire().await.map_err(|e| told(path, e))?;
    let mut tx = connection.begin_with("BEGIN EXCLUSIVE").await.map_err(|e| told(path, e))?;
    migrations().run_direct(None, &mut *tx, false).await.map_err(|e| migrating(path, e))?;
    tx.commit().await.map_err(|e| told(path, e))
}

#[cfg(test)]
mod tests {
    use domain::Status;
    use history::History as _;
    use history_suite::{Story, run};

    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_said_so_and_passes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let sqlite = ready(path.clone().into(), Options::default()).await.unwrap();
        let writer = sqlite.writer.clone();
        let history = Keeper::new(sqlite);
        let story =
            || (0..2_000).fold(Story::new(), |story, n| story.run("1", run(n, Status::Success, 0, 0)));
        // No page more than there are.
        sqlx::query("PRAGMA max_page_count = 1").execute(&writer).await.unwrap();
        let error = history.ingest(story().batch()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Full, "{error}");
        assert!(error.text.contains("no room is left") && error.text.contains("make room"), "{error}");
        assert!(error.text.contains(path.to_str().unwrap()) && error.text.lines().count() == 1, "{error}");
        sqlx::query("PRAGMA max_page_count = 1000000").execute(&writer).await.unwrap();
        assert_eq!(history.ingest(story().batch()).await.unwrap().added, 2_000, "once there is room");
    }
}
