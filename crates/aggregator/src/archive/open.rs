//! Opening the database, for as long as it takes.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use config::{Database, DatabaseUrl};
use history::{Error, ErrorKind, History, Result};

use super::{Archive, MAX_PAUSE};

/// Before the second attempt; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The first request to a platform waits no longer than this for the board as it was: bringing a large schema up to date may take
/// minutes.
const START_WITHIN: Duration = Duration::from_secs(60);

/// Opens (and makes, and migrates) what the settings name.
async fn open(settings: &Database) -> Result<Arc<dyn History>> {
    Ok(match &settings.url {
        DatabaseUrl::None => {
            return Err(Error::new(ErrorKind::Refused, "there is no database: database.url is none"));
        }
        DatabaseUrl::Sqlite(path) => Arc::new(history_sqlite::open(path, sqlite(settings)).await?),
        DatabaseUrl::Postgres(url) => {
            Arc::new(history_postgres::open(url.expose(), postgres(settings)).await?)
        }
    })
}

/// One connection of the pool writes.
const fn sqlite(settings: &Database) -> history_sqlite::Options {
    history_sqlite::Options {
        readers: settings.pool_size.saturating_sub(1),
        timeout: settings.connect_timeout,
    }
}

const fn postgres(settings: &Database) -> history_postgres::Options {
    history_postgres::Options {
        pool_size: settings.pool_size,
        connect_timeout: settings.connect_timeout,
        statement_timeout: settings.statement_timeout,
    }
}

/// Brings the database's schema up to this version, and nothing else. What it is, for people.
///
/// # Errors
/// In one sentence with what to do.
pub async fn migrate(settings: &Database) -> Result<String> {
    Ok(open(settings).await?.health().await?.engine)
}

/// Whether a PostgreSQL at `url` can be used; what it is, for people. Alters nothing.
///
/// # Errors
/// In one sentence with what to do.
pub async fn probe(url: &config::SecretUrl) -> Result<String> {
    history_postgres::probe(url.expose(), history_postgres::Options::default()).await
}

impl Archive {
    /// Tries until it is open. After the first failure, or [`START_WITHIN`], nobody waits for it any more.
    pub(super) async fn open(&self) -> Arc<dyn History> {
        let mut pause = FIRST_PAUSE;
        loop {
            let mut opening = std::pin::pin!(self.try_open());
            let opened = match tokio::time::timeout(START_WITHIN, &mut opening).await {
                Ok(opened) => opened,
                Err(_) => {
                    self.warmed.send_replace(true);
                    opening.await
                }
            };
            let error = match opened {
                Ok(history) => return history,
                Err(error) => error,
            };
            self.unwell(&error);
            self.warmed.send_replace(true);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn try_open(&self) -> Result<Arc<dyn History>> {
        let history = open(&self.settings).await?;
        let health = history.health().await?;
        tracing::info!(engine = %health.engine, "history is open");
        self.stand(|s| s.engine = Some(health.engine));
        *self.history.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&history));
        self.well();
        Ok(history)
    }
}
