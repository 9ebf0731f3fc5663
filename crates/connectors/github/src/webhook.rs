//! GitHub's webhooks: `X-Hub-Signature-256` over the raw body, the whole run inside of `workflow_run`.

use connector::signature::hmac_sha256_hex;
use connector::wire::lenient_u64;
use connector::{Delivery, Event, News, Refused, Webhooks};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::github::GitHub;
use crate::{convert, deployments, wire};

#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(default)]
    repository: Option<wire::Repository>,
    #[serde(default)]
    workflow_run: Option<wire::Run>,
}

/// A deployment that came to another state.
#[derive(Debug, Deserialize)]
struct Deployed {
    #[serde(default)]
    repository: Option<wire::Repository>,
    #[serde(default)]
    deployment: Option<deployments::Row>,
    #[serde(default)]
    deployment_status: Option<deployments::State>,
    /// There where Actions deploys.
    #[serde(default)]
    workflow_run: Option<Numbered>,
}

#[derive(Debug, Deserialize)]
struct Numbered {
    #[serde(default, deserialize_with = "lenient_u64")]
    id: Option<u64>,
}

/// The event that carries a run.
const RUN: &str = "workflow_run";
/// The event that carries a deployment and the state that it has come to.
const DEPLOYMENT: &str = "deployment_status";
/// Events after which a repository is to be read anew, though they do not carry its runs.
const TOUCHING: [&str; 8] = [
    "check_suite",
    "create",
    "delete",
    "pull_request",
    "push",
    "repository",
    "workflow_dispatch",
    "workflow_job",
];

fn malformed(why: &str) -> Refused {
    Refused::Malformed(domain::text::line(why, domain::text::MAX_TITLE))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body)
        .map_err(|e| malformed(&format!("no JSON of GitHub's (is the content type application/json?): {e}")))
}

impl Webhooks for GitHub {
    fn verify(&self, delivery: &Delivery<'_>) -> Result<(), Refused> {
        let secret = self.webhook_secret.as_ref().ok_or(Refused::NoSecret)?;
        let signature = delivery.header("x-hub-signature-256").and_then(|s| s.strip_prefix("sha256="));
        let signature = signature
            .ok_or_else(|| Refused::Forged("no X-Hub-Signature-256: the webhook has no secret".to_owned()))?;
        if !hmac_sha256_hex(secret.expose_secret(), delivery.body, signature) {
            let why = "X-Hub-Signature-256 does not fit: signed with another secret, or changed on the way";
            return Err(Refused::Forged(why.to_owned()));
        }
        Ok(())
    }

    fn read(&self, delivery: &Delivery<'_>) -> Result<Event, Refused> {
        let kind = delivery.header("x-github-event").unwrap_or_default().to_owned();
        let news = if kind == RUN || TOUCHING.contains(&&*kind) {
            let mut payload: Payload = read(delivery.body)?;
            let repository = payload.repository.take();
            let project = repository.map(|row| Box::new(convert::project(&self.source, row).bounded()));
            match (project, payload.workflow_run) {
                (Some(project), Some(run)) if kind == RUN => {
                    News::Runs { project, pipelines: vec![convert::run(&run).bounded()] }
                }
                _ if kind == RUN => {
                    return Err(malformed("workflow_run without its run or its repository"));
                }
                (Some(project), _) => News::Touched(project),
                (None, _) => News::Nothing,
            }
        } else if kind == DEPLOYMENT {
            let payload: Deployed = read(delivery.body)?;
            let project = payload.repository.map(|row| convert::project(&self.source, row).bounded());
            let run = payload.workflow_run.and_then(|run| run.id);
            let told = payload.deployment.zip(payload.deployment_status);
            match (project, told.and_then(|(deployment, state)| deployment.now(&state, run))) {
                (Some(project), Some(deployment)) => {
                    News::Deployed { project: Box::new(project), deployment: Box::new(deployment) }
                }
                _ => return Err(malformed("deployment_status without its deployment or its repository")),
            }
        } else {
            // Of any other shape, but JSON.
            read::<IgnoredAny>(delivery.body)?;
            News::Nothing
        };
        let id = delivery.header("x-github-delivery").map(str::to_owned);
        Ok(Event { id, kind, news })
    }
}
