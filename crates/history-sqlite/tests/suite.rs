//! The contract suite on files of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use history::{History, Result};
use history_suite::Place;

#[derive(Debug)]
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl Place for Files {
    async fn open(&self) -> Result<Arc<dyn History>> {
        let path = self.0.path().join("state").join("history.db");
        Ok(Arc::new(history_sqlite::open(path, history_sqlite::Options::default()).await?))
    }
}

history_suite::contract!(Files::new());
