//! Speed, room and answers of PostgreSQL: `just bench-history`.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use history::{History, Result};
use history_suite::server::Server;
use history_suite::{Place, bench};
use sqlx::{Connection, Executor, PgConnection};

#[derive(Debug)]
struct Database(String);

#[async_trait]
impl Place for Database {
    async fn open(&self) -> Result<Arc<dyn History>> {
        Ok(Arc::new(history_postgres::open(&self.0, history_postgres::Options::default()).await?))
    }
}

async fn run(server: &Server) {
    let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
    for name in ["CREATE DATABASE small", "CREATE DATABASE large"] {
        connection.execute(name).await.unwrap();
    }
    let large = server.url("large");
    // As autovacuum does, sooner or later.
    let settle = async || {
        let mut connection = PgConnection::connect(&large).await.unwrap();
        connection.execute("VACUUM ANALYZE").await.unwrap();
    };
    bench::measure("PostgreSQL", &Database(server.url("small")), &Database(large.clone()), settle).await;
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|a| a == "--bench")
        && let Some(server) = Server::start(false)
    {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run(&server));
    }
}
