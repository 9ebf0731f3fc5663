//! Speed, room and answers of SQLite: `just bench-history`.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use history::{History, Result};
use history_suite::{Place, bench};

#[derive(Debug)]
struct Files(tempfile::TempDir);

#[async_trait]
impl Place for Files {
    async fn open(&self) -> Result<Arc<dyn History>> {
        let path = self.0.path().join("history.db");
        Ok(Arc::new(history_sqlite::open(path, history_sqlite::Options::default()).await?))
    }
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|a| a == "--bench") {
        let files = || Files(tempfile::tempdir().unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(bench::measure("SQLite", &files(), &files(), async || ()));
    }
}
