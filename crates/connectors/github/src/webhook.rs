//! GitHub's webhooks: `X-Hub-Signature-256` over the raw body, the whole run inside of `workflow_run`.

use connector::signature::hmac_sha256_hex;
use connector::{Delivery, Event, News, Refused, Webhooks};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::github::GitHub;
use crate::{convert, wire};

#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(default)]
    repository: Option<wire::Repository>,
    #[serde(default)]
    workflow_run: Option<wire::Run>,
}

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

impl Webhooks for GitHub {
    fn receive(&self, delivery: &Delivery<'_>) -> Result<Event, Refused> {
        let secret = self.webhook_secret.as_ref().ok_or(Refused::NoSecret)?;
        let signature = delivery.header("x-hub-signature-256").and_then(|s| s.strip_prefix("sha256="));
        let signature = signature
            .ok_or_else(|| Refused::Forged("no X-Hub-Signature-256: the webhook has no secret".to_owned()))?;
        if !hmac_sha256_hex(secret.expose_secret(), delivery.body, signature) {
            let why = "X-Hub-Signature-256 does not fit: signed with another secret, or changed on the way";
            return Err(Refused::Forged(why.to_owned()));
        }
        let malformed = |why: String| Refused::Malformed(domain::text::line(&why, domain::text::MAX_TITLE));
        let kind = delivery.header("x-github-event").unwrap_or_default().to_owned();
        let mut payload: Payload = serde_json::from_slice(delivery.body).map_err(|e| {
            malformed(format!("no JSON of GitHub's (is the content type application/json?): {e}"))
        })?;
        let project =
            payload.repository.take().map(|row| Box::new(convert::project(&self.source, row).bounded()));
        let news = match (kind.as_str(), project, payload.workflow_run) {
            ("workflow_run", Some(project), Some(run)) => {
                News::Runs { project, pipelines: vec![convert::run(&run).bounded()] }
            }
            ("workflow_run", ..) => {
                return Err(malformed("workflow_run without its run or its repository".to_owned()));
            }
            (kind, Some(project), _) if TOUCHING.contains(&kind) => News::Touched(project),
            _ => News::Nothing,
        };
        let id = delivery.header("x-github-delivery").map(str::to_owned);
        Ok(Event { id, kind, news })
    }
}
