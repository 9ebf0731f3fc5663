//! Starting builds over and stopping them.
//!
//! A POST with an API token needs no crumb (Jenkins' `ApiCrumbExclusion`); one with a password does, together with the
//! session that it was given in. Which of the two the secret is nobody can see, so a crumb is asked for when Jenkins
//! wants one.

use async_trait::async_trait;
use connector::http::{Post, Response};
use connector::{Actions, Error, Result};
use domain::{Project, RunId, Status};
use http::header::{LOCATION, SET_COOKIE};
use serde::Deserialize;
use url::Url;

use crate::source::{Jenkins, NO_CRUMB};
use crate::wire::{Build, Item, Parameter};
use crate::{base, status};

const BUILD: &str = "POST /job/:job/build";
const WITH_PARAMETERS: &str = "POST /job/:job/buildWithParameters";
const STOP: &str = "POST /job/:job/:build/stop";
const CANCEL_ITEM: &str = "POST /queue/cancelItem";
/// What has to be known of a build to start another like it.
const AGAIN: &str = "result,building,inProgress,timestamp,duration,actions[parameters[name,value]]";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Crumb {
    crumb_request_field: String,
    crumb: String,
}

impl Jenkins {
    async fn act(&self, endpoint: &'static str, url: Url, post: Post) -> Result<()> {
        let answer = match self.client.post(endpoint, url.clone(), post.clone()).await {
            Err(Error::Forbidden(text)) if text == NO_CRUMB => {
                let post = self.with_crumb(post).await?;
                self.client.post(endpoint, url, post).await
            }
            answer => answer,
        };
        self.done(&answer?)
    }

    /// The crumb, and the session in which it counts.
    async fn with_crumb(&self, post: Post) -> Result<Post> {
        let url = self.client.url(&["crumbIssuer", "api", "json"], &[]);
        let answer = self.client.get("GET /crumbIssuer/api/json", url).await?;
        let crumb: Crumb = answer.json()?;
        let cookies: Vec<&str> = answer
            .headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next())
            .map(str::trim)
            .collect();
        let post = post.header(&crumb.crumb_request_field, &crumb.crumb)?;
        if cookies.is_empty() { Ok(post) } else { post.header("cookie", &cookies.join("; ")) }
    }

    /// Jenkins sends people on to a page when something is done; to its login page when it is not.
    fn done(&self, answer: &Response) -> Result<()> {
        let to = answer.headers.get(LOCATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let login = to.contains("/login") || to.contains("/securityRealm/");
        if answer.status.is_redirection() && login {
            return Err(Error::Unauthorized(format!(
                "Jenkins sends source {} to its login page: its token is not taken for this",
                self.name
            )));
        }
        Ok(())
    }

    fn post_url(&self, job: &str, below: &[&str], query: &[(&str, &str)]) -> Url {
        let mut segments = base::segments(job);
        segments.extend(below);
        self.client.url(&segments, query)
    }
}

/// The values that can be given again; passwords and files are not told, so that their defaults count.
fn parameters(row: &Build) -> Vec<(&str, &str)> {
    let all = row.actions.items.iter().flat_map(|a| &a.parameters.items);
    all.filter_map(|Parameter { name, value }| Some((name.as_deref()?, value.as_deref()?))).collect()
}

#[async_trait]
impl Actions for Jenkins {
    /// Starts another build of the same job with the same parameters, under a number of its own. Of what it builds Jenkins
    /// takes the newest. Needs Job/Build.
    async fn retry(&self, project: &Project, run: &RunId) -> Result<()> {
        let (job, _, number) = self.run(project, run)?;
        let row: Build =
            self.read("GET /job/:job/:build/api/json", self.url(&job, &[&number.to_string()], AGAIN)).await?;
        if status::build(&row, self.clock.now()).0 == Status::Running {
            return Err(Error::Refused(format!("build {number} of {} has not ended yet", project.name)));
        }
        let given = parameters(&row);
        if row.actions.items.iter().all(|a| a.parameters.items.is_empty()) {
            let url = self.post_url(&job, &["build"], &[("delay", "0sec")]);
            return self.act(BUILD, url, Post::empty()).await;
        }
        let url = self.post_url(&job, &["buildWithParameters"], &[("delay", "0sec")]);
        self.act(WITH_PARAMETERS, url, Post::form(given)).await
    }

    /// Stops a build, or takes it out of the queue. One that has ended already stays as it is. Needs Job/Cancel.
    async fn cancel(&self, project: &Project, run: &RunId) -> Result<()> {
        let (job, _, number) = self.run(project, run)?;
        let url = self.post_url(&job, &[&number.to_string(), "stop"], &[]);
        let missing = match self.act(STOP, url, Post::empty()).await {
            Err(e @ Error::NotFound(_)) => e,
            other => return other,
        };
        // It has no page: perhaps it waits in the queue still.
        let item: Item = self.item(&job, "nextBuildNumber,inQueue,queueItem[id]").await?;
        let waits = item.queue_item.and_then(|q| q.id).filter(|_| item.next_build_number == Some(number));
        let Some(id) = waits else { return Err(missing) };
        let url = self.client.url(&["queue", "cancelItem"], &[("id", &id.to_string())]);
        match self.act(CANCEL_ITEM, url, Post::empty()).await {
            // Which Jenkins answers in some versions although it did it, and when it has just begun.
            Err(Error::NotFound(_)) => Ok(()),
            other => other,
        }
    }
}
