//! Webhooks of both: `X-Hub-Signature` over the raw body. What is in a delivery tells whose it is.

use connector::signature::hmac_sha256_hex;
use connector::{Delivery, Event, News, Refused, Webhooks};
use domain::{Pipeline, Project, RunId, WebUrl, text};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::cloud;
use crate::datacenter;
use crate::source::Bitbucket;

/// Beginnings of the names of events after which a repository is to be read anew.
const TOUCHING: [&str; 3] = ["repo:", "pullrequest:", "pr:"];
/// Those of them that change nothing on a dashboard.
const NOT_TOUCHING: [&str; 5] =
    ["repo:comment:", "repo:commit_comment_", "pullrequest:comment_", "pr:comment:", "repo:fork"];
/// A uuid in braces.
const UUID: usize = 38;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    #[serde(default)]
    repository: Option<serde_json::Value>,
    /// Data Center's pull requests name their repositories at both ends.
    #[serde(default)]
    pull_request: Option<PullRequest>,
    #[serde(default, rename = "commit_status")]
    commit_status: Option<cloud::wire::CommitStatus>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PullRequest {
    #[serde(default)]
    to_ref: Option<ToRef>,
}

#[derive(Debug, Deserialize)]
struct ToRef {
    #[serde(default)]
    repository: Option<serde_json::Value>,
}

fn malformed(why: &str) -> Refused {
    Refused::Malformed(text::line(why, text::MAX_TITLE))
}

impl Webhooks for Bitbucket {
    fn verify(&self, delivery: &Delivery<'_>) -> Result<(), Refused> {
        let secret = self.webhook_secret.as_ref().ok_or(Refused::NoSecret)?;
        let signature = delivery.header("x-hub-signature").and_then(|s| s.strip_prefix("sha256="));
        let signature = signature
            .ok_or_else(|| Refused::Forged("no X-Hub-Signature: the webhook has no secret".to_owned()))?;
        if !hmac_sha256_hex(secret.expose_secret(), delivery.body, signature) {
            let why = "X-Hub-Signature does not fit: signed with another secret, or changed on the way";
            return Err(Refused::Forged(why.to_owned()));
        }
        Ok(())
    }

    fn read(&self, delivery: &Delivery<'_>) -> Result<Event, Refused> {
        let kind = text::line(delivery.header("x-event-key").unwrap_or_default(), text::MAX_NAME);
        let payload: Payload = serde_json::from_slice(delivery.body)
            .map_err(|e| malformed(&format!("no JSON of Bitbucket's: {e}")))?;
        // Cloud's name first; Data Center has the other.
        let ids = ["x-request-uuid", "x-request-id"];
        let id = ids.into_iter().find_map(|name| delivery.header(name)).map(str::to_owned);
        let touches =
            TOUCHING.iter().any(|t| kind.starts_with(t)) && !NOT_TOUCHING.iter().any(|t| kind.starts_with(t));
        let news = match self.project_of(&payload).filter(|_| touches) {
            None => News::Nothing,
            Some(project) => match payload.commit_status.as_ref().and_then(run) {
                Some(run) => News::Runs { project, pipelines: vec![run] },
                None => News::Touched(project),
            },
        };
        Ok(Event { id, kind, news })
    }
}

impl Bitbucket {
    fn project_of(&self, payload: &Payload) -> Option<Box<Project>> {
        let of_pull = || payload.pull_request.as_ref()?.to_ref.as_ref()?.repository.as_ref();
        let row = payload.repository.as_ref().or_else(of_pull)?;
        let of_cloud = serde_json::from_value::<cloud::wire::Repository>(row.clone());
        let project = match of_cloud {
            Ok(row) => self.cloud.of_webhook(&row),
            Err(_) => {
                let row: datacenter::wire::Repository = serde_json::from_value(row.clone()).ok()?;
                self.data_center.of_webhook(&row)
            }
        };
        Some(Box::new(project.bounded()))
    }
}

/// The run that a commit's status is of, where Pipelines wrote it: its key is the pipeline's uuid, its link ends in the
/// build's number. Which part of the configuration ran is not told: a known run keeps its lane, a new one gets it when
/// the repository is read.
fn run(row: &cloud::wire::CommitStatus) -> Option<Pipeline> {
    let key =
        row.key.as_deref().filter(|key| key.len() == UUID && key.starts_with('{') && key.ends_with('}'))?;
    let url = row.url.as_deref().filter(|url| url.contains("/pipelines/"))?;
    let number: u64 = url.trim_end_matches('/').rsplit('/').next()?.parse().ok()?;
    let native = row.state.clone()?;
    let status = cloud::status_of(&native);
    let run = Pipeline {
        number: Some(number),
        branch: row.refname.clone(),
        sha: row.commit.as_ref().and_then(|c| c.hash.clone()),
        created_at: row.created_on,
        finished_at: row.updated_on.filter(|_| status.is_terminal()),
        // By this a late delivery is known for what it is. The status of a pipeline that has ended is written after its end, and
        // the pipeline itself must not look older.
        updated_at: row.updated_on.filter(|_| !status.is_terminal()),
        url: WebUrl::parse(url),
        ..Pipeline::new(RunId::new(key), status, native)
    };
    Some(run.bounded())
}
