//! CircleCI's webhooks: `circleci-signature` over the raw body, sent when a workflow or a job has ended.

use connector::signature::hmac_sha256_hex;
use connector::wire::lenient_string;
use connector::{Delivery, Event, News, Refused, Webhooks};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;

use crate::circleci::CircleCi;
use crate::{convert, wire};

#[derive(Debug, Deserialize)]
struct Payload {
    /// Of the delivery: the same when it is sent again.
    #[serde(default, deserialize_with = "lenient_string")]
    id: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "lenient_string")]
    kind: Option<String>,
    #[serde(default)]
    project: Option<Named>,
    #[serde(default)]
    organization: Option<Named>,
    #[serde(default)]
    workflow: Option<wire::Workflow>,
    #[serde(default)]
    pipeline: Option<wire::Pipeline>,
}

#[derive(Debug, Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "lenient_string")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    slug: Option<String>,
}

impl Webhooks for CircleCi {
    fn verify(&self, delivery: &Delivery<'_>) -> Result<(), Refused> {
        let secret = self.webhook_secret.as_ref().ok_or(Refused::NoSecret)?;
        let header = delivery.header("circleci-signature").unwrap_or_default();
        // A list of versions, of which there is one so far.
        let presented = header.split(',').find_map(|part| part.trim().strip_prefix("v1="));
        let presented = presented.ok_or_else(|| {
            Refused::Forged("no circleci-signature with v1: the webhook has no secret".to_owned())
        })?;
        if !hmac_sha256_hex(secret.expose_secret(), delivery.body, presented) {
            let why = "circleci-signature does not fit: signed with another secret, or changed on the way";
            return Err(Refused::Forged(why.to_owned()));
        }
        Ok(())
    }

    fn read(&self, delivery: &Delivery<'_>) -> Result<Event, Refused> {
        let malformed = |why: String| Refused::Malformed(domain::text::line(&why, domain::text::MAX_TITLE));
        let payload: Payload = serde_json::from_slice(delivery.body)
            .map_err(|e| malformed(format!("no JSON of CircleCI's: {e}")))?;
        let kind =
            delivery.header("circleci-event-type").map(str::to_owned).or(payload.kind).unwrap_or_default();
        let project = payload.project.as_ref().and_then(|project| {
            let slug = project.slug.as_deref()?;
            let organization = payload.organization.as_ref().and_then(|o| o.name.as_deref());
            let row = json!({ "slug": slug, "name": project.name, "organization_name": organization });
            let row: wire::Project = serde_json::from_value(row).ok()?;
            Some(Box::new(convert::project(&self.source, &self.base, &row).bounded()))
        });
        let news = match (kind.as_str(), project, payload.workflow, payload.pipeline) {
            ("workflow-completed", Some(project), Some(workflow), Some(pipeline)) => {
                let slug = project.key.id.as_str();
                let of = self.shell(slug, &pipeline);
                let run = convert::run(&self.base, slug, &of, &workflow).bounded();
                News::Runs { project, pipelines: vec![run] }
            }
            ("workflow-completed", ..) => {
                return Err(malformed(
                    "workflow-completed without its workflow, pipeline or project".to_owned(),
                ));
            }
            // The job's workflow goes on.
            ("job-completed", Some(project), ..) => News::Touched(project),
            _ => News::Nothing,
        };
        Ok(Event { id: payload.id, kind, news })
    }
}
