//! Gitea's and Forgejo's webhooks: an HMAC over the raw body, the whole run inside of `workflow_run` and of Forgejo's
//! `action_run_…`.

use connector::signature::hmac_sha256_hex;
use connector::{Delivery, Event, News, Refused, Webhooks};
use domain::Project;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::source::Gitea;
use crate::{convert, wire};

#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(default)]
    repository: Option<wire::Repository>,
    #[serde(default)]
    workflow_run: Option<wire::Run>,
    #[serde(default)]
    run: Option<ForgejoRun>,
}

/// Forgejo puts the repository into the run.
#[derive(Debug, Deserialize)]
struct ForgejoRun {
    #[serde(flatten)]
    run: wire::Run,
    #[serde(default)]
    repository: Option<wire::Repository>,
}

/// Headers that hold the signature, newest name last, and what stands before it.
const SIGNATURES: [(&str, &str); 3] =
    [("x-gitea-signature", ""), ("x-forgejo-signature", ""), ("x-hub-signature-256", "sha256=")];
/// Events after which a repository is to be read anew, though they do not carry its runs.
const TOUCHING: [&str; 7] =
    ["create", "delete", "pull_request", "push", "repository", "status", "workflow_job"];
/// Events that carry a run, of Forgejo's with their end: `action_run_failure`.
const WORKFLOW_RUN: &str = "workflow_run";
const ACTION_RUN: &str = "action_run";

impl Gitea {
    fn project_of(&self, row: Option<&wire::Repository>) -> Option<Box<Project>> {
        row.map(|row| Box::new(convert::project(&self.source, row).bounded()))
    }
}

impl Webhooks for Gitea {
    fn verify(&self, delivery: &Delivery<'_>) -> Result<(), Refused> {
        let secret = self.webhook_secret.as_ref().ok_or(Refused::NoSecret)?;
        let forged = |why: &str| Err(Refused::Forged(why.to_owned()));
        // A webhook without a secret sends an empty header.
        let mut given = SIGNATURES.iter().filter_map(|(name, prefix)| {
            delivery.header(name)?.strip_prefix(prefix).filter(|s| !s.is_empty())
        });
        let Some(signature) = given.next() else {
            return forged("no X-Gitea-Signature: the webhook has no secret");
        };
        if hmac_sha256_hex(secret.expose_secret(), delivery.body, signature) {
            return Ok(());
        }
        forged(
            "X-Gitea-Signature does not fit: signed with another secret, changed on the way, or sent as a form (the content \
             type has to be application/json)",
        )
    }

    fn read(&self, delivery: &Delivery<'_>) -> Result<Event, Refused> {
        let header = |name: &str| {
            ["x-gitea-", "x-forgejo-"].iter().find_map(|vendor| delivery.header(&format!("{vendor}{name}")))
        };
        let malformed = |why: String| Refused::Malformed(domain::text::line(&why, domain::text::MAX_TITLE));
        let kind = header("event").unwrap_or_default().to_owned();
        let payload: Payload = serde_json::from_slice(delivery.body)
            .map_err(|e| malformed(format!("no JSON of Gitea's: {e}")))?;
        let (run, inside) = match payload.run {
            Some(forgejo) => (Some(forgejo.run), forgejo.repository),
            None => (None, None),
        };
        let project = self.project_of(payload.repository.as_ref().or(inside.as_ref()));
        let run = payload.workflow_run.or(run);
        let carries = kind == WORKFLOW_RUN || kind.starts_with(ACTION_RUN);
        let news = match (carries, project, run) {
            // Runs of this server are known by their numbers, since its API does not tell their ids.
            (true, Some(project), Some(_)) if self.memory.has_tasks_only() => News::Touched(project),
            (true, Some(project), Some(run)) => {
                let mut run = convert::run(&run);
                // A run that waits has no time at all. Of one that began the board knows when it was made, or its next
                // reading tells: its beginning moves when it is started over.
                if run.began().is_none() && run.attempt.is_none_or(|a| a == 1) {
                    run.created_at = Some(self.clock.now());
                }
                News::Runs { project, pipelines: vec![run.bounded()] }
            }
            (true, ..) => return Err(malformed(format!("{kind} without its run or its repository"))),
            (false, Some(project), _) if TOUCHING.contains(&kind.as_str()) => News::Touched(project),
            _ => News::Nothing,
        };
        Ok(Event { id: header("delivery").map(str::to_owned), kind, news })
    }
}
