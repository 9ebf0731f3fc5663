//! Starting runs over and stopping them, as far as a server's API has learnt it.

use async_trait::async_trait;
use connector::http::Post;
use connector::{Actions, Error, Result};
use domain::{Project, RunId};

use crate::memory::Api;
use crate::runs::read_from;
use crate::source::Gitea;

const RERUN_FAILED: &str = "POST /repos/:owner/:repo/actions/runs/:run/rerun-failed-jobs";
const RERUN: &str = "POST /repos/:owner/:repo/actions/runs/:run/rerun";
const CANCEL: &str = "POST /repos/:owner/:repo/actions/runs/:run/cancel";

const NO_RERUN: &str = "this server does not start runs over through its API (Gitea does from 1.26 on, Forgejo from 17), \
                        or the run is gone: use its own page";
const NO_CANCEL: &str = "this server does not stop runs through its API (Gitea 1.27 does not, Forgejo does from 17 on), or \
                         the run is gone: use its own page";

impl Gitea {
    /// `None` when the server knows no such thing: 404 or 405, which is the same to us.
    async fn act(
        &self,
        endpoint: &'static str,
        project: &Project,
        run: &RunId,
        verb: &str,
    ) -> Result<Option<()>> {
        let url = self.below(project, &["actions", "runs", run.as_str(), verb], &[])?;
        match self.client.post(endpoint, url, Post::empty()).await {
            Ok(_) => Ok(Some(())),
            Err(Error::NotFound(_)) => Ok(None),
            Err(Error::Refused(why)) if why.ends_with("(405)") => Ok(None),
            Err(e) => Err(e),
        }
    }
}

#[async_trait]
impl Actions for Gitea {
    /// Runs the failed jobs again; all jobs on a server that cannot tell the two apart. The run keeps its id.
    async fn retry(&self, project: &Project, run: &RunId) -> Result<()> {
        let refused = || Error::Refused(NO_RERUN.to_owned());
        // Other runs have numbers that are no ids: another run might answer to them.
        if read_from(run) != Api::Runs {
            return Err(refused());
        }
        if self.act(RERUN_FAILED, project, run, "rerun-failed-jobs").await?.is_some() {
            return Ok(());
        }
        self.act(RERUN, project, run, "rerun").await?.ok_or_else(refused)
    }

    async fn cancel(&self, project: &Project, run: &RunId) -> Result<()> {
        let refused = || Error::Refused(NO_CANCEL.to_owned());
        if read_from(run) != Api::Runs {
            return Err(refused());
        }
        self.act(CANCEL, project, run, "cancel").await?.ok_or_else(refused)
    }
}
