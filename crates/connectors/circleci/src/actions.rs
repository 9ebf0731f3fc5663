//! Starting workflows over and stopping them.

use async_trait::async_trait;
use connector::http::Post;
use connector::{Actions, Result};
use domain::{Project, RunId};
use serde_json::json;

use crate::circleci::CircleCi;

const RERUN: &str = "POST /workflow/:id/rerun";
const CANCEL: &str = "POST /workflow/:id/cancel";

#[async_trait]
impl Actions for CircleCi {
    /// Makes a new workflow in the same pipeline: the run that is to be read again is another one.
    async fn retry(&self, _: &Project, run: &RunId) -> Result<()> {
        let url = self.client.url(&["workflow", run.as_str(), "rerun"], &[]);
        self.client.post(RERUN, url, Post::json(&json!({ "from_failed": true }))?).await.map(drop)
    }

    async fn cancel(&self, _: &Project, run: &RunId) -> Result<()> {
        let url = self.client.url(&["workflow", run.as_str(), "cancel"], &[]);
        self.client.post(CANCEL, url, Post::empty()).await.map(drop)
    }
}
