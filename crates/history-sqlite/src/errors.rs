//! What SQLite says, in words that help.

use std::path::Path;

use history::{Error, ErrorKind};
use sqlx::migrate::MigrateError;

pub(crate) fn told(path: &Path, error: sqlx::Error) -> Error {
    let file = path.display();
    let code = match &error {
        sqlx::Error::Database(e) => e.code().and_then(|c| c.parse::<i64>().ok()).unwrap_or_default(),
        _ => 0,
    };
    let (kind, text) = match (&error, code & 0xff) {
        (sqlx::Error::PoolTimedOut, _) => {
            (ErrorKind::Slow, format!("the database {file} is busy; it is tried again"))
        }
        // SQLITE_BUSY, SQLITE_LOCKED
        (_, 5 | 6) => (
            ErrorKind::Slow,
            format!("the database {file} is in use by another process; end that, or it is tried again"),
        ),
        // SQLITE_READONLY, SQLITE_PERM
        (_, 8 | 3) => (
            ErrorKind::ReadOnly,
            format!(
                "the database {file} cannot be written; allow the user that this runs as to write it and its folder"
            ),
        ),
        // SQLITE_FULL
        (_, 13) => {
            (ErrorKind::Full, format!("no room is left for the database {file}; make room on its disk"))
        }
        // SQLITE_IOERR
        (_, 10) => (
            ErrorKind::Other,
            format!("the database {file} cannot be read or written: {error}; look after its disk"),
        ),
        // SQLITE_CORRUPT, SQLITE_NOTADB
        (_, 11 | 26) => (
            ErrorKind::Corrupt,
            format!(
                "{file} is damaged or no SQLite database; put a backup in its place, or move it away to begin anew (it is left as it is)"
            ),
        ),
        // SQLITE_CANTOPEN
        (_, 14) => (
            ErrorKind::ReadOnly,
            format!("the database {file} cannot be opened; see that its folder exists and can be written"),
        ),
        (sqlx::Error::Io(io), _) => (ErrorKind::Other, format!("the database {file}: {io}")),
        _ => (ErrorKind::Other, format!("the database {file}: {error}")),
    };
    Error::new(kind, text)
}

pub(crate) fn migrating(path: &Path, error: MigrateError) -> Error {
    let file = path.display();
    match error {
        MigrateError::VersionMissing(version) => Error::new(
            ErrorKind::Newer,
            format!(
                "the database {file} was written by a newer version (its schema is {version}); run that version, or give this one a database of its own"
            ),
        ),
        MigrateError::VersionMismatch(version) => Error::new(
            ErrorKind::Altered,
            format!(
                "migration {version} of the database {file} is not the one that this version has; restore it from a backup, or begin with a new file"
            ),
        ),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => told(path, error),
        other => Error::new(ErrorKind::Other, format!("migrating the database {file}: {other}")),
    }
}
