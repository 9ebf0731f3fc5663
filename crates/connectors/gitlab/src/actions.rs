//! Starting pipelines over and stopping them.

use async_trait::async_trait;
use connector::http::Post;
use connector::{Actions, Result};
use domain::{Project, RunId};

use crate::source::GitLab;

const RETRY: &str = "POST /projects/:id/pipelines/:pipeline_id/retry";
const CANCEL: &str = "POST /projects/:id/pipelines/:pipeline_id/cancel";

impl GitLab {
    async fn act(&self, endpoint: &'static str, project: &Project, run: &RunId, verb: &str) -> Result<()> {
        let url =
            self.client.url(&["projects", project.key.id.as_str(), "pipelines", run.as_str(), verb], &[]);
        self.client.post(endpoint, url, Post::empty()).await.map(drop)
    }
}

#[async_trait]
impl Actions for GitLab {
    /// Runs the failed and canceled jobs again; the pipeline keeps its id. Needs the scope `api`.
    async fn retry(&self, project: &Project, run: &RunId) -> Result<()> {
        self.act(RETRY, project, run, "retry").await
    }

    /// A pipeline that has ended is left as it is, which GitLab does not call an error.
    async fn cancel(&self, project: &Project, run: &RunId) -> Result<()> {
        self.act(CANCEL, project, run, "cancel").await
    }
}
