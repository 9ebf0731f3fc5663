//! What PostgreSQL says, in words that help. The address is told without its password.

use history::{Error, ErrorKind};
use sqlx::migrate::MigrateError;

/// The oldest version that is spoken to, as the server counts.
pub(crate) const OLDEST: i32 = 140_000;

pub(crate) fn told(at: &str, error: sqlx::Error) -> Error {
    let code = match &error {
        sqlx::Error::Database(e) => e.code().map(std::borrow::Cow::into_owned).unwrap_or_default(),
        _ => String::new(),
    };
    let (kind, text) = match (&error, code.as_str()) {
        (sqlx::Error::PoolTimedOut, _) => (
            ErrorKind::Slow,
            format!(
                "PostgreSQL at {at} does not answer in time, or all connections are in use; it is tried again \
                 (see database.connect_timeout and database.pool_size)"
            ),
        ),
        (sqlx::Error::Io(io), _) => (
            ErrorKind::Unreachable,
            format!(
                "PostgreSQL at {at} is not to be reached ({io}); see that it runs and is reachable from here"
            ),
        ),
        (sqlx::Error::Tls(tls), _) => (
            ErrorKind::Refused,
            format!(
                "PostgreSQL at {at}: no trusted connection ({tls}); see sslmode and sslrootcert of database.url"
            ),
        ),
        // invalid_authorization_specification, invalid_password
        (_, "28000" | "28P01") => {
            (ErrorKind::Refused, format!("PostgreSQL at {at} refuses user or password; correct database.url"))
        }
        // invalid_catalog_name
        (_, "3D000") => (
            ErrorKind::Refused,
            format!("PostgreSQL at {at} has no such database; create it (createdb), or correct database.url"),
        ),
        // insufficient_privilege
        (_, "42501") => (
            ErrorKind::Refused,
            format!(
                "PostgreSQL at {at} does not let this user do it ({error}); grant it CREATE on the database's schema"
            ),
        ),
        // read_only_sql_transaction
        (_, "25006") => (
            ErrorKind::ReadOnly,
            format!("PostgreSQL at {at} is read-only (a standby?); name the primary server in database.url"),
        ),
        // disk_full, out_of_memory, too_many_connections
        (_, "53100") => {
            (ErrorKind::Full, format!("no room is left for PostgreSQL at {at}; make room on its disk"))
        }
        (_, "53300") => (
            ErrorKind::Slow,
            format!(
                "PostgreSQL at {at} has no connection left; raise its max_connections, or lower database.pool_size"
            ),
        ),
        // query_canceled, lock_not_available, admin_shutdown, crash_shutdown, cannot_connect_now
        (_, "57014" | "55P03") => (
            ErrorKind::Slow,
            format!("PostgreSQL at {at} takes too long; it is tried again (see database.statement_timeout)"),
        ),
        (_, "57P01" | "57P02" | "57P03") => (
            ErrorKind::Unreachable,
            format!("PostgreSQL at {at} is starting or going down; it is tried again"),
        ),
        _ => (ErrorKind::Other, format!("PostgreSQL at {at}: {error}")),
    };
    Error::new(kind, text)
}

pub(crate) fn too_old(at: &str, version: &str) -> Error {
    Error::new(ErrorKind::TooOld, format!("PostgreSQL at {at} is version {version}; 14 or newer is needed"))
}

pub(crate) fn migrating(at: &str, error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(version) => Error::new(
            ErrorKind::Newer,
            format!(
                "the database at {at} was written by a newer version (its schema is {version}); run that version, or give this one a database of its own"
            ),
        ),
        MigrateError::VersionMismatch(version) => Error::new(
            ErrorKind::Altered,
            format!(
                "migration {version} of the database at {at} is not the one that this version has; restore it from a backup, or begin with an empty database"
            ),
        ),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => told(at, error),
        other => Error::new(ErrorKind::Other, format!("migrating the database at {at}: {other}")),
    }
}
