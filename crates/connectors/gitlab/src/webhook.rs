//! GitLab's webhooks: a plain token or a Standard Webhooks signature; the whole pipeline inside of a `Pipeline Hook`.

use connector::signature::{same_secret, standard_webhook};
use connector::wire::{Rows, lenient_string, lenient_time, lenient_u64};
use connector::{Delivery, Event, News, Refused, Webhooks};
use domain::{Deployment, Person, Project, Status, Timestamp};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::source::GitLab;
use crate::wire::or_none;
use crate::{convert, status, wire};

/// A signed delivery may be this old, in seconds, or as far in the future: clocks differ, and what is older was recorded.
const MAX_AGE: u64 = 300;
/// What GitLab calls a pipeline that passed although a job failed that may. The hook has the text, the API the group.
const PASSED_WITH_WARNINGS: &str = "passed with warnings";

/// Where the delivery's id stands (from 17.4 on). `X-Gitlab-Event-UUID` is none: all events of one request share it.
const DELIVERY_IDS: [&str; 2] = ["idempotency-key", SIGNED_ID];
const SIGNED_ID: &str = "webhook-id";
/// The event that carries a pipeline.
const PIPELINE: &str = "Pipeline Hook";
/// The event that carries a deployment.
const DEPLOYMENT: &str = "Deployment Hook";
/// Events after which a project is to be read anew, though they do not carry its pipelines.
const TOUCHING: [&str; 4] = ["Job Hook", "Merge Request Hook", "Push Hook", "Tag Push Hook"];

#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(default)]
    object_attributes: Option<serde_json::Value>,
    #[serde(default, deserialize_with = "or_none")]
    project: Option<wire::Project>,
    /// Job and push hooks name the project so.
    #[serde(default, deserialize_with = "lenient_u64")]
    project_id: Option<u64>,
    #[serde(default, deserialize_with = "or_none")]
    commit: Option<Commit>,
    #[serde(default, deserialize_with = "or_none")]
    builds: Option<Rows<Times>>,
}

/// A deployment as its hook tells it: without the pipeline that it came from, and with a part of the commit's id.
#[derive(Debug, Deserialize)]
struct Deployed {
    #[serde(default, deserialize_with = "or_none")]
    project: Option<wire::Project>,
    #[serde(default, deserialize_with = "lenient_u64")]
    deployment_id: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    status_changed_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    environment: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    environment_tier: Option<String>,
    #[serde(default, rename = "ref", deserialize_with = "lenient_string")]
    git_ref: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    deployable_url: Option<String>,
}

impl Deployed {
    /// `None` where it does not say which deployment, or where.
    fn deployment(&self) -> Option<Deployment> {
        let word = self.status.as_deref()?;
        let status = status::deployment(word);
        let begins = status == Status::Running;
        let deployment = Deployment {
            production: self.environment_tier.as_deref().map(convert::is_production),
            branch: self.git_ref.clone(),
            created_at: self.status_changed_at.filter(|_| begins),
            finished_at: self.status_changed_at.filter(|_| status::has_ended(status)),
            updated_at: self.status_changed_at,
            url: self.deployable_url.as_deref().and_then(domain::WebUrl::parse),
            ..Deployment::new(self.deployment_id?.to_string(), self.environment.clone()?, status, word)
        };
        Some(deployment.bounded()).filter(|d| !d.environment.is_empty())
    }
}

/// When something was. The hook has a pipeline's times, but for when it was last touched.
#[derive(Debug, Default, Deserialize)]
struct Times {
    #[serde(default, deserialize_with = "lenient_time")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    finished_at: Option<Timestamp>,
}

impl Times {
    fn newest(&self) -> Option<Timestamp> {
        self.created_at.max(self.started_at).max(self.finished_at)
    }
}

/// What the hook's pipeline has beyond the API's, or otherwise.
#[derive(Debug, Default, Deserialize)]
struct OfHook {
    #[serde(default, deserialize_with = "lenient_string")]
    detailed_status: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Commit {
    #[serde(default, deserialize_with = "lenient_string")]
    message: Option<String>,
    #[serde(default)]
    author: Option<Author>,
}

#[derive(Debug, Deserialize)]
struct Author {
    #[serde(default, deserialize_with = "lenient_string")]
    name: Option<String>,
}

fn malformed(why: &str) -> Refused {
    Refused::Malformed(domain::text::line(why, domain::text::MAX_TITLE))
}

impl GitLab {
    fn project_of(&self, payload: &Payload) -> Option<Box<Project>> {
        let mut project = payload.project.as_ref().map(|row| convert::project(&self.name, row));
        if project.is_none() {
            let row = serde_json::json!({ "id": payload.project_id? });
            project = serde_json::from_value(row).ok().map(|row| convert::project(&self.name, &row));
        }
        project.map(|project| Box::new(project.bounded()))
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|e| {
        malformed(&format!("no JSON of GitLab's (a custom webhook template has to be off): {e}"))
    })
}

fn pipeline(
    attributes: serde_json::Value,
    builds: &[Times],
    commit: Option<&Commit>,
) -> Result<domain::Pipeline, Refused> {
    let of_hook: OfHook = serde_json::from_value(attributes.clone()).unwrap_or_default();
    let own: Times = serde_json::from_value(attributes.clone()).unwrap_or_default();
    let mut row = attributes;
    if let Some(fields) = row.as_object_mut() {
        // Text here, an object in the API.
        fields.remove("detailed_status");
        let warned = of_hook.detailed_status.as_deref() == Some(PASSED_WITH_WARNINGS);
        if warned {
            fields.insert("detailed_status".into(), serde_json::json!({ "group": "success-with-warnings" }));
        }
    }
    let row: wire::Pipeline = serde_json::from_value(row)
        .map_err(|e| malformed(&format!("Pipeline Hook: object_attributes: {e}")))?;
    let mut run = convert::pipeline(&row);
    // What happened last to it or to a job of it: by this a late delivery is known for what it is. Never later than
    // GitLab's own time, so that the answer to the next question is not taken for old.
    let touched = builds.iter().map(Times::newest).fold(own.newest(), Option::max);
    run.updated_at = run.updated_at.or(touched);
    run.url = run.url.or_else(|| of_hook.url.as_deref().and_then(domain::WebUrl::parse));
    run.message = commit.and_then(|c| c.message.clone());
    let author = commit.and_then(|c| c.author.as_ref()).and_then(|a| a.name.clone());
    run.author = author.map(Person::named).or(run.author);
    Ok(run.bounded())
}

impl Webhooks for GitLab {
    /// A signature has to fit where there is one; the plain token counts only where there is none.
    fn verify(&self, delivery: &Delivery<'_>) -> Result<(), Refused> {
        let forged = |why: &str| Err(Refused::Forged(why.to_owned()));
        if let (Some(key), Some(signature)) = (&self.signing_token, delivery.header("webhook-signature")) {
            let (id, at) = (delivery.header(SIGNED_ID), delivery.header("webhook-timestamp"));
            let (Some(id), Some(at)) = (id, at) else {
                return forged("webhook-signature without webhook-id or webhook-timestamp");
            };
            let age = at.parse::<i64>().map(|at| self.clock.now().as_second().abs_diff(at));
            if age.is_ok_and(|age| age <= MAX_AGE)
                && standard_webhook(key.expose_secret(), id, at, delivery.body, signature)
            {
                return Ok(());
            }
            return forged(
                "webhook-signature does not fit: another signing token, changed on the way, or sent again later",
            );
        }
        match (&self.webhook_secret, delivery.header("x-gitlab-token")) {
            (None, _) if self.signing_token.is_some() => {
                forged("no webhook-signature: the webhook has no signing token")
            }
            (None, _) => Err(Refused::NoSecret),
            (Some(_), None) => forged("no X-Gitlab-Token: the webhook has no secret token"),
            (Some(secret), Some(token)) if same_secret(secret.expose_secret(), token) => Ok(()),
            (Some(_), Some(_)) => forged("X-Gitlab-Token is another than webhook_secret"),
        }
    }

    fn read(&self, delivery: &Delivery<'_>) -> Result<Event, Refused> {
        let kind = delivery.header("x-gitlab-event").unwrap_or_default().to_owned();
        let news = if kind == PIPELINE || TOUCHING.contains(&&*kind) {
            let mut payload: Payload = read(delivery.body)?;
            match (self.project_of(&payload), payload.object_attributes.take()) {
                (Some(project), Some(attributes)) if kind == PIPELINE => {
                    let builds = payload.builds.unwrap_or_default().items;
                    let run = pipeline(attributes, &builds, payload.commit.as_ref())?;
                    News::Runs { project, pipelines: vec![run] }
                }
                _ if kind == PIPELINE => {
                    return Err(malformed("Pipeline Hook without its pipeline or its project"));
                }
                (Some(project), _) => News::Touched(project),
                (None, _) => News::Nothing,
            }
        } else if kind == DEPLOYMENT {
            let payload: Deployed = read(delivery.body)?;
            let project = payload.project.as_ref().map(|row| convert::project(&self.name, row).bounded());
            match (project, payload.deployment()) {
                (Some(project), Some(deployment)) => {
                    News::Deployed { project: Box::new(project), deployment: Box::new(deployment) }
                }
                _ => return Err(malformed("Deployment Hook without its deployment or its project")),
            }
        } else {
            // Of any other shape, but JSON.
            read::<IgnoredAny>(delivery.body)?;
            News::Nothing
        };
        // Of the two only the second is signed: where that counts, nobody makes one delivery pass for another by the first.
        let signed = self.signing_token.is_some() && delivery.header("webhook-signature").is_some();
        let names = if signed { &[SIGNED_ID] } else { &DELIVERY_IDS[..] };
        let id = names.iter().find_map(|name| delivery.header(name)).map(str::to_owned);
        Ok(Event { id, kind, news })
    }
}
