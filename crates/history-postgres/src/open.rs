//! Connecting: who it is, whether it is new enough, migrated.

use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use history::{Error, ErrorKind, Keeper, Result};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection, SqlSafeStr};
use tokio::task::JoinSet;

use crate::errors::{OLDEST, migrating, told, too_old};

/// How it is connected.
#[derive(Debug, Clone)]
pub struct Options {
    /// At most so many connections; at least 2, one of which writes.
    pub pool_size: u32,
    /// How long is waited for a connection.
    pub connect_timeout: Duration,
    /// How long a statement may take, but for those that migrate.
    pub statement_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pool_size: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

/// A database that is ready.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// Host, port and database, for messages.
    pub(crate) at: Arc<str>,
    pub(crate) pool: PgPool,
    clearing: Arc<Mutex<Clearing>>,
}

/// So many rows of statistics that were written leave behind rows that are no more, whose room is worth having back. The
/// server does that by itself once a minute, which is late where a whole history is filled within one.
const ROWS_TO_CLEAR: usize = 30_000;

#[derive(Debug, Default)]
struct Clearing {
    /// Rows of statistics that were written since what they replaced was cleared.
    rewritten: usize,
    /// Ends with whoever opened the database.
    task: JoinSet<()>,
}

impl Postgres {
    /// So many rows of statistics were written. Now and then clears what they replaced, beside whoever writes on.
    pub(crate) fn clear_after(&self, rewritten: usize) {
        let mut clearing = self.clearing.lock().unwrap_or_else(PoisonError::into_inner);
        clearing.rewritten += rewritten;
        while clearing.task.try_join_next().is_some() {}
        if clearing.rewritten < ROWS_TO_CLEAR || !clearing.task.is_empty() {
            return;
        }
        clearing.rewritten = 0;
        let pool = self.pool.clone();
        clearing.task.spawn(async move {
            // Where it fails the room comes back later.
            let _ = sqlx::query("VACUUM daily_statistics").execute(&pool).await;
        });
    }
}

/// The migrations of this version, oldest first. Only ever added to.
pub(crate) fn migrations() -> Migrator {
    let migration = |version, name: &'static str, statements: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, statements.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "history", include_str!("../../../migrations/postgres/0001_history.sql")),
        migration(2, "kept", include_str!("../../../migrations/postgres/0002_kept.sql")),
        migration(3, "unfinished", include_str!("../../../migrations/postgres/0003_unfinished.sql")),
        migration(4, "first_known", include_str!("../../../migrations/postgres/0004_first_known.sql")),
        migration(5, "flaky", include_str!("../../../migrations/postgres/0005_flaky.sql")),
        migration(6, "room", include_str!("../../../migrations/postgres/0006_room.sql")),
        migration(7, "deployments", include_str!("../../../migrations/postgres/0007_deployments.sql")),
        migration(8, "branches", include_str!("../../../migrations/postgres/0008_branches.sql")),
        migration(
            9,
            "deployments_view",
            include_str!("../../../migrations/postgres/0009_deployments_view.sql"),
        ),
    ])
}

/// Connects (and migrates, while nobody else does).
///
/// # Errors
/// In one sentence with what to do, without the password.
pub async fn open(url: &str, options: Options) -> Result<Keeper<Postgres>> {
    let Reached { at, connect, mut connection, .. } = reach(url, &options).await?;
    // A migration takes as long as it takes. Whoever migrates already is waited for no longer than for anything else.
    let unbounded =
        "SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', $1, false)";
    sqlx::query(unbounded)
        .bind(options.statement_timeout.as_millis().to_string())
        .execute(&mut connection)
        .await
        .map_err(|e| told(&at, e))?;
    migrations().run_direct(None, &mut connection, false).await.map_err(|e| migrating(&at, e))?;
    // It may be gone already; what it did is done.
    let _ = connection.close().await;
    let pool = PgPoolOptions::new()
        .max_connections(options.pool_size.max(2))
        .acquire_timeout(options.connect_timeout)
        .connect_lazy_with(connect);
    Keeper::opened(Postgres { at, pool, clearing: Arc::default() }).await
}

/// Whether it can be reached and is new enough; what it is and where, for people. Alters nothing.
///
/// # Errors
/// As of [`open`].
pub async fn probe(url: &str, options: Options) -> Result<String> {
    let Reached { at, connection, version, .. } = reach(url, &options).await?;
    let _ = connection.close().await;
    Ok(format!("PostgreSQL {version} at {at}"))
}

/// A server that answers and is new enough.
struct Reached {
    at: Arc<str>,
    connect: PgConnectOptions,
    connection: PgConnection,
    version: String,
}

async fn reach(url: &str, options: &Options) -> Result<Reached> {
    // What the address holds is not told: it may be a password.
    let connect = PgConnectOptions::from_str(url).map_err(|_| {
        Error::new(
            ErrorKind::Refused,
            "database.url is no address of PostgreSQL: postgres://user:password@host:5432/database",
        )
    })?;
    let connect = connect
        .application_name("ci-dashboard")
        .options([
            ("statement_timeout", options.statement_timeout.as_millis().to_string()),
            // Statements as short as ours are done before they would be compiled.
            ("jit", "off".to_owned()),
            // There is an index for every question. A plan that was made while a month was nearly empty, and is kept, would read
            // the whole month for each run when it is full.
            ("enable_seqscan", "off".to_owned()),
        ])
        .statement_cache_capacity(256);
    let database = connect.get_database().unwrap_or_else(|| connect.get_username());
    let at: Arc<str> = format!("{}:{}/{database}", connect.get_host(), connect.get_port()).into();
    // Not through the pool, which tries an address where nobody listens until its time is over.
    let connecting =
        tokio::time::timeout(options.connect_timeout, PgConnection::connect_with(&connect)).await;
    let mut connection = match connecting {
        Ok(connected) => connected.map_err(|e| told(&at, e))?,
        Err(_) => return Err(told(&at, sqlx::Error::PoolTimedOut)),
    };
    let (number, version): (String, String) =
        sqlx::query_as("SELECT current_setting('server_version_num'), current_setting('server_version')")
            .fetch_one(&mut connection)
            .await
            .map_err(|e| told(&at, e))?;
    is_new_enough(&at, &number, &version)?;
    Ok(Reached { at, connect, connection, version })
}

/// By its number, as the server counts: 140_011 is 14.11.
fn is_new_enough(at: &str, number: &str, version: &str) -> Result<()> {
    match number.parse::<i32>() {
        Ok(number) if number >= OLDEST => Ok(()),
        _ => Err(too_old(at, version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_told_by_its_version() {
        for (number, version) in [("140000", "14.0"), ("140011", "14.11"), ("180001", "18.1")] {
            assert!(is_new_enough("db:5432/ci", number, version).is_ok(), "{version}");
        }
        for (number, version) in [("130018", "13.18"), ("90624", "9.6.24"), ("", "of another kind")] {
            let error = is_new_enough("db:5432/ci", number, version).err().unwrap();
            assert_eq!(error.kind, ErrorKind::TooOld);
            assert!(!error.may_pass() && error.text.contains(version), "{error}");
            assert!(error.text.contains("14 or newer"), "{error}");
        }
    }
}
