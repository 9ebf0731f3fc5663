//! The Notification plugin's posts. The crate's documentation says how the secret comes with them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector::signature::{hmac_sha256_hex, same_secret};
use connector::wire::{lenient_string, lenient_time, lenient_u64};
use connector::{Delivery, Event, News, Refused, Webhooks};
use domain::{NativeId, Pipeline, Project, ProjectKey, Status, Timestamp, WebUrl, decode_segment};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::source::Jenkins;
use crate::{PLATFORM_ID, base, status};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Payload {
    /// Below Jenkins' root: `job/a/job/b/`.
    #[serde(deserialize_with = "lenient_string")]
    url: Option<String>,
    build: Option<Phase>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Phase {
    #[serde(deserialize_with = "lenient_string")]
    full_url: Option<String>,
    #[serde(deserialize_with = "lenient_u64")]
    number: Option<u64>,
    /// Counts everything that the server ever queued.
    #[serde(deserialize_with = "lenient_u64")]
    queue_id: Option<u64>,
    /// Of the start in some versions, of the post in others: only good for telling which post is newer.
    #[serde(deserialize_with = "lenient_time")]
    timestamp: Option<Timestamp>,
    /// Milliseconds.
    #[serde(deserialize_with = "lenient_u64")]
    duration: Option<u64>,
    #[serde(deserialize_with = "lenient_string")]
    phase: Option<String>,
    #[serde(deserialize_with = "lenient_string")]
    status: Option<String>,
    scm: Option<Scm>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Scm {
    #[serde(deserialize_with = "lenient_string")]
    commit: Option<String>,
}

fn malformed(why: &str) -> Refused {
    Refused::Malformed(domain::text::line(why, domain::text::MAX_TITLE))
}

/// The secret that an `Authorization` header brings: a bearer token, or the password beside any user.
fn presented(header: &str) -> Option<String> {
    let (scheme, value) = header.trim().split_once(' ')?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// The full name of the job of a path: its segments decoded once, as it was encoded once.
fn full_name(path: &str) -> Option<String> {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    // A context path may stand before it.
    let from = parts.iter().position(|part| *part == "job")?;
    let mut names = Vec::new();
    for pair in parts.get(from..)?.chunks(2) {
        match pair {
            ["job", name] => names.push(decode_segment(name).ok()?),
            _ => break,
        }
    }
    let name = names.join("/");
    base::could_be_job(&name).then_some(name)
}

/// The run that a phase is of, as a row.
fn run_of(phase: &Phase, child: Option<&str>) -> Option<Pipeline> {
    let number = phase.number?;
    let kind = phase.phase.as_deref().unwrap_or_default().to_ascii_uppercase();
    let (status, word) = match (kind.as_str(), phase.status.as_deref()) {
        ("QUEUED", _) => (Status::Queued, status::QUEUED.to_owned()),
        ("STARTED", _) => (Status::Running, status::RUNNING.to_owned()),
        (_, Some(word)) => (status::plain(word), word.to_owned()),
        // A phase of tomorrow without a result says nothing.
        (_, None) => return None,
    };
    let mut run = Pipeline::new(base::run_id(child, number), status, word);
    run.number = Some(number);
    run.branch = child.map(base::display);
    run.sha = phase.scm.as_ref().and_then(|scm| scm.commit.clone());
    run.url = phase.full_url.as_deref().and_then(WebUrl::parse);
    if status == Status::Running {
        run.created_at = phase.timestamp;
        run.started_at = phase.timestamp;
        run.updated_at = phase.timestamp;
    } else {
        // When it ended the post does not say for sure, and what is read next must not look older.
        run.duration = phase.duration.filter(|d| *d > 0).map(Duration::from_millis);
    }
    Some(run.bounded())
}

impl Webhooks for Jenkins {
    fn verify(&self, delivery: &Delivery<'_>) -> Result<(), Refused> {
        let secret = self.webhook_secret.as_ref().ok_or(Refused::NoSecret)?.expose_secret();
        let forged = |why: &str| Err(Refused::Forged(why.to_owned()));
        if let Some(signature) = delivery.header("x-hub-signature-256") {
            let hex = signature.trim().strip_prefix("sha256=").unwrap_or(signature.trim());
            return if hmac_sha256_hex(secret, delivery.body, hex) {
                Ok(())
            } else {
                forged("X-Hub-Signature-256 does not fit: another secret, or changed on the way")
            };
        }
        let token = delivery.header("x-jenkins-token").map(str::to_owned);
        match token.or_else(|| presented(delivery.header("authorization")?)) {
            Some(token) if same_secret(secret, token.trim()) => Ok(()),
            Some(_) => forged("the secret that came is another than webhook_secret"),
            None => forged(
                "no secret came: put it into the URL, https://jenkins:SECRET@…, or into X-Jenkins-Token",
            ),
        }
    }

    fn read(&self, delivery: &Delivery<'_>) -> Result<Event, Refused> {
        let payload: Payload = serde_json::from_slice(delivery.body).map_err(|e| {
            malformed(&format!("no JSON of the Notification plugin's (its format has to be JSON): {e}"))
        })?;
        let path = payload.url.or_else(|| payload.build.as_ref().and_then(|b| b.full_url.clone()));
        let Some(path) = path else { return Err(malformed("a notification without the job's url")) };
        let full =
            full_name(&path).ok_or_else(|| malformed("a notification whose url is none of a job's"))?;
        let (id, child) = match full.rsplit_once('/') {
            Some((parent, child)) if self.is_multibranch(parent) => {
                (parent.to_owned(), Some(child.to_owned()))
            }
            _ => (full.clone(), None),
        };
        let key = ProjectKey::new(self.name.clone(), NativeId::new(&id));
        let name = id.split('/').map(base::display).collect::<Vec<_>>().join("/");
        let project = Box::new(Project::named(key, PLATFORM_ID, name).bounded());
        let phase = payload.build.unwrap_or_default();
        let kind = phase.phase.clone().unwrap_or_else(|| "notification".to_owned());
        let run = run_of(&phase, child.as_deref());
        // The plugin numbers no posts: which phase of which build it is says whether it came before. A job that is made anew
        // counts its builds anew.
        let began = || phase.timestamp.map(|at| at.as_millisecond().to_string());
        let which = phase.queue_id.map(|id| id.to_string()).or_else(began).unwrap_or_default();
        let word = phase.status.as_deref().unwrap_or_default();
        let id = phase.number.map(|number| format!("{full}#{number} {kind} {word} {which}"));
        let news = match run {
            // A build in the queue may become one or not, and its time is no start.
            Some(run) if run.status != Status::Queued => News::Runs { project, pipelines: vec![run] },
            _ => News::Touched(project),
        };
        Ok(Event { id, kind, news })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_of_a_path() {
        for (path, name) in [
            ("job/asgard/", Some("asgard")),
            ("/jenkins/job/a/job/b%20c/", Some("a/b c")),
            ("http://host:8080/job/mb/job/feature%252Fx/18/", Some("mb/feature%2Fx")),
            ("job/job/", Some("job")),
            ("view/all/", None),
            ("job/..%2F/", None),
            ("job/", None),
            ("", None),
        ] {
            assert_eq!(full_name(path).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn secrets_come_in_either_scheme() {
        for (header, secret) in [
            ("Bearer s3cret", Some("s3cret")),
            ("bearer  s3cret ", Some("s3cret")),
            ("Basic amVua2luczpzM2NyZXQ=", Some("s3cret")),
            ("Basic !!!", None),
            ("Digest x", None),
            ("s3cret", None),
        ] {
            assert_eq!(presented(header).as_deref(), secret, "{header}");
        }
    }
}
