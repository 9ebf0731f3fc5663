//! The contract suite on servers of its own.

#![cfg(unix)]

use std::sync::Arc;

use async_trait::async_trait;
use history::{History, Result};
use history_suite::Place;
use history_suite::server::Server;

#[derive(Debug)]
struct Own(Server);

#[async_trait]
impl Place for Own {
    async fn open(&self) -> Result<Arc<dyn History>> {
        let url = self.0.url("postgres");
        Ok(Arc::new(history_postgres::open(&url, history_postgres::Options::default()).await?))
    }
}

history_suite::contract!(match Server::start(false) {
    Some(server) => Own(server),
    // It said that it was skipped.
    None => return,
});
