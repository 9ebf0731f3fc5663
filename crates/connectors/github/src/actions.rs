//! Starting runs over and stopping them.

use async_trait::async_trait;
use connector::http::Post;
use connector::{Actions, Result};
use domain::{Project, RunId};

use crate::github::GitHub;

const RERUN: &str = "POST /repos/:owner/:repo/actions/runs/:id/rerun-failed-jobs";
const CANCEL: &str = "POST /repos/:owner/:repo/actions/runs/:id/cancel";

#[async_trait]
impl Actions for GitHub {
    async fn retry(&self, project: &Project, run: &RunId) -> Result<()> {
        let url = self.below(project, &["actions", "runs", run.as_str(), "rerun-failed-jobs"], &[])?;
        self.client.post(RERUN, url, Post::empty()).await.map(drop)
    }

    async fn cancel(&self, project: &Project, run: &RunId) -> Result<()> {
        let url = self.below(project, &["actions", "runs", run.as_str(), "cancel"], &[])?;
        self.client.post(CANCEL, url, Post::empty()).await.map(drop)
    }
}
