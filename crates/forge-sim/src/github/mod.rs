//! GitHub's REST API, as far as a dashboard reads it, under `/` or `/api/v3`; GraphQL (`graphql`), and Apps (`app`).
//!
//! Facts: GitHub's own OpenAPI description (`tests/schemas/github.json` is cut from it) and, for headers and errors, recorded
//! answers and the documentation.

mod app;
mod graphql;
mod json;
mod paging;
mod repo_json;
mod routes;

use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::access::{Access, Caller, Meter, Power, Reading, Token};
use crate::face::{Face, FaceSettings};
use crate::graphql::Schema;
use crate::http::{Reply, Request, avatar, digest};
use crate::world::{Deployment, FaceId, JOBS_PER_RUN, LineKind, Pipeline, Project, Style, World};

pub use app::{APP_ID, APP_KEY, APP_KEY_PKCS8, Installation};

/// GitHub.
pub const FACE: FaceId = FaceId("github");
/// GitHub's run ids lie above 2^33.
pub const FIRST_RUN: u64 = 9_000_000_000;
/// … and job ids above that.
pub(crate) const FIRST_JOB: u64 = 30_000_000_000;
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const VERSIONS: &[&str] = &["2022-11-28", "2026-03-10"];
const DOCS: &str = "https://docs.github.com/rest";

/// What GitHub posts as `workflow_run` when a run has come to the state that it is in; `url` is the face's.
pub fn workflow_run(url: &str, project: &Project, run: &Pipeline) -> Value {
    let json = json::Json { api: url, html: url };
    let action = match json::status(run.status).0 {
        "completed" => "completed",
        "in_progress" => "in_progress",
        _ => "requested",
    };
    json!({
        "action": action,
        "workflow_run": json.run(project, run, None, true),
        "workflow": project.workflows.get(run.workflow).map(|workflow| json.workflow(project, workflow)),
        "repository": json.repo(project, false),
        "sender": json.user(run.actor),
    })
}

/// What GitHub posts as `deployment_status` when a deployment has come to the state that it is in; `url` is the face's.
#[must_use]
pub fn deployment_status(url: &str, project: &Project, deployment: &Deployment<'_>) -> Value {
    let json = json::Json { api: url, html: url };
    json!({
        "action": "created",
        "deployment_status": json.deployment_statuses(project, deployment).pop(),
        "deployment": json.deployment(project, deployment),
        "workflow_run": json.run(project, deployment.run, None, true),
        "repository": json.repo(project, false),
        "sender": json.user(deployment.run.actor),
    })
}

/// The face.
#[derive(Debug)]
pub struct Github {
    access: Access,
    known: Meter,
    anonymous: Meter,
    points: Meter,
    requests_a_minute: Meter,
    questions_a_minute: Meter,
    app: app::App,
    /// None: a server without GraphQL.
    schema: Option<Schema>,
    store_url: String,
    store_key: u64,
}

impl Github {
    /// A GitHub with these settings.
    #[must_use]
    pub fn new(settings: &FaceSettings) -> Self {
        let limits = settings.access.limits;
        Self {
            access: settings.access.clone(),
            known: Meter::new(limits.github_hourly, HOUR),
            anonymous: Meter::new(limits.github_anonymous_hourly, HOUR),
            points: Meter::new(limits.github_points_hourly, HOUR),
            requests_a_minute: Meter::new(limits.github_per_minute, MINUTE),
            questions_a_minute: Meter::new(limits.github_questions_per_minute, MINUTE),
            app: app::App::new(settings.installations.clone()),
            schema: settings.graphql.then(graphql::schema),
            store_url: settings.store_url.clone(),
            store_key: settings.store_key,
        }
    }

    fn token(request: &Request) -> Option<String> {
        let value = request.header("authorization")?;
        let (scheme, token) = value.split_once(' ')?;
        matches!(scheme.to_ascii_lowercase().as_str(), "bearer" | "token").then(|| token.trim().to_owned())
    }
}

impl Face for Github {
    fn id(&self) -> FaceId {
        FACE
    }

    fn style(&self) -> Style {
        Style::Workflows
    }

    fn answer(&self, world: &mut World, request: &Request) -> Reply {
        if request.path.ends_with("/avatar.png") {
            return Reply::text("GET /avatar", StatusCode::OK, "image/svg+xml", avatar(&request.path));
        }
        if request.header("user-agent").is_none_or(str::is_empty) {
            let text = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header \
                        (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). \
                        Check https://developer.github.com for other possible causes.\n";
            return Reply::text("(no user agent)", StatusCode::FORBIDDEN, "text/html; charset=utf-8", text);
        }
        let version = request.header("x-github-api-version").unwrap_or(VERSIONS[0]).to_owned();
        if !VERSIONS.contains(&version.as_str()) {
            let body = json!({
                "message": format!("Bad request - the API version '{version}' is not supported"),
                "documentation_url": format!("{DOCS}/about-the-rest-api/api-versions"),
                "status": "400",
            });
            return Reply::json("(bad version)", StatusCode::BAD_REQUEST, &body);
        }
        let (prefix, rest) = match request.path.strip_prefix("/api/v3") {
            Some(rest) => ("/api/v3", rest),
            None => ("", request.path.as_str()),
        };
        let token = Self::token(request);
        let installed = token.as_deref().and_then(|token| self.app.caller(token, request.now));
        let integration = installed.is_some();
        let caller = installed.map_or_else(|| self.access.caller(token.as_deref()), Caller::Known);
        let parts = Request::segments(rest);
        if parts.first().is_some_and(|first| first == "app") {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let reply = self.app.answer(request, &parts, token.as_deref());
            return headed(reply, request, &Caller::Anonymous, None, &version);
        }
        let asks = matches!(request.path.as_str(), "/graphql" | "/api/graphql") && self.schema.is_some();
        let minute = if asks { &self.questions_a_minute } else { &self.requests_a_minute };
        // What is free otherwise is not here; a refused one does not make it longer.
        if minute.count(caller.key(), request.now, 0).is_some_and(|reading| reading.is_exhausted()) {
            return headed(too_fast(), request, &caller, None, &version);
        }
        minute.count(caller.key(), request.now, 1);
        if asks {
            return self.question(world, request, &caller, &version);
        }
        let (meter, is_known) = match &caller {
            Caller::Known(_) => (&self.known, true),
            _ => (&self.anonymous, false),
        };
        let free = rest == "/rate_limit";
        let reading = meter.count(caller.key(), request.now, 0);
        if let Some(reading) = reading.filter(|reading| reading.is_exhausted() && !free) {
            return headed(exhausted(request, &caller), request, &caller, Some(reading), &version);
        }
        let reply = match &caller {
            Caller::Unknown => error(StatusCode::UNAUTHORIZED, "Bad credentials", ""),
            Caller::Known(Token { power: Power::Expired, .. }) => {
                error(StatusCode::UNAUTHORIZED, "Bad credentials", "")
            }
            Caller::Known(Token { power: Power::None, .. }) if !free => error(
                StatusCode::FORBIDDEN,
                "Resource not accessible by personal access token",
                "/actions/workflow-runs",
            ),
            _ => {
                let call = routes::Call {
                    api: format!("{}{prefix}", request.origin),
                    html: request.origin.clone(),
                    request,
                    caller: &caller,
                    integration,
                    reading,
                    points: self.points.count(caller.key(), request.now, 0),
                    store_url: &self.store_url,
                    store_key: self.store_key,
                };
                call.answer(world, &parts)
            }
        };
        let reply = tagged(request, &caller, reply);
        // An answer that the client had already costs nothing, if it said who it is.
        let is_free = free || (is_known && reply.status == StatusCode::NOT_MODIFIED);
        let reading = meter.count(caller.key(), request.now, u32::from(!is_free));
        headed(reply, request, &caller, reading, &version)
    }
}

impl Github {
    /// A question to GraphQL, which is paid in points of its own.
    fn question(&self, world: &World, request: &Request, caller: &Caller, version: &str) -> Reply {
        const TEMPLATE: &str = "POST /graphql";
        let ok = |body: &Value| Reply::json(TEMPLATE, StatusCode::OK, body);
        let reply = match (&self.schema, caller) {
            (_, Caller::Known(Token { power: Power::Full | Power::Read, .. }))
                if request.method != Method::POST =>
            {
                error(StatusCode::NOT_FOUND, "Not Found", "")
            }
            (Some(schema), Caller::Known(Token { power: Power::Full | Power::Read, .. })) => {
                let spent = self.points.count(caller.key(), request.now, 0).filter(|r| r.is_exhausted());
                if let Some(reading) = spent {
                    let message = "API rate limit exceeded.";
                    let body = json!({ "errors": [{ "type": "RATE_LIMITED", "message": message }] });
                    return headed_as("graphql", ok(&body), request, caller, Some(reading), version);
                }
                match graphql::read(schema, &request.body) {
                    Ok(priced) => {
                        let points = u32::try_from(priced.points).unwrap_or(u32::MAX);
                        let reading = self.points.count(caller.key(), request.now, points);
                        let body = graphql::reply(schema, world, &priced, caller, reading, &request.origin);
                        let reply = Reply { points: priced.points, ..ok(&body) };
                        return headed_as("graphql", reply, request, caller, reading, version);
                    }
                    Err(body) => ok(&body),
                }
            }
            (_, Caller::Known(Token { power: Power::None, .. })) => {
                error(StatusCode::FORBIDDEN, "Resource not accessible by personal access token", "/graphql")
            }
            (_, Caller::Anonymous) => {
                error(StatusCode::FORBIDDEN, "API rate limit exceeded for 127.0.0.1.", "/graphql")
            }
            _ => error(StatusCode::UNAUTHORIZED, "Bad credentials", "/graphql"),
        };
        headed(reply, request, caller, None, version)
    }
}

/// The secondary limit.
fn too_fast() -> Reply {
    let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
    error(StatusCode::FORBIDDEN, message, "/using-the-rest-api/rate-limits-for-the-rest-api")
        .with("retry-after", "60")
}

/// `{"message", "documentation_url", "status"}`.
fn error(status: StatusCode, message: &str, docs: &str) -> Reply {
    let body =
        json!({"message": message, "documentation_url": format!("{DOCS}{docs}"), "status": status.as_str()});
    Reply::json("(error)", status, &body)
}

fn exhausted(request: &Request, caller: &Caller) -> Reply {
    let message = match caller.person() {
        Some(person) => format!(
            "API rate limit exceeded for user ID {}. If you reach out to GitHub Support for help, please include the request ID {} and timestamp {} UTC.",
            json::user_id(person),
            request_id(request),
            request.now.strftime("%Y-%m-%d %H:%M:%S"),
        ),
        None => "API rate limit exceeded for 127.0.0.1. (But here's the good news: Authenticated requests get a higher rate \
                 limit. Check out the documentation for more details.)"
            .to_owned(),
    };
    error(StatusCode::FORBIDDEN, &message, "/using-the-rest-api/rate-limits-for-the-rest-api")
}

fn request_id(request: &Request) -> String {
    let id = digest(&[
        request.path.as_bytes(),
        request.raw_query.as_bytes(),
        &request.now.as_millisecond().to_be_bytes(),
    ]);
    format!("{}:{}:{}:{}", &id[..4], &id[4..10], &id[10..17], &id[17..25]).to_uppercase()
}

/// ETag over body and caller; weak when the answer could have been compressed, as it is there. 304 when the client has it.
fn tagged(request: &Request, caller: &Caller, reply: Reply) -> Reply {
    if reply.status != StatusCode::OK || request.method != Method::GET {
        return reply;
    }
    let hash =
        digest(&[&reply.body, caller.key().as_bytes(), request.header("accept").unwrap_or("").as_bytes()]);
    let weak = request.header("accept-encoding").is_some_and(|accepted| accepted.contains("gzip"));
    let etag = format!("{}\"{hash}\"", if weak { "W/" } else { "" });
    let visibility = if caller.is_known() { "private" } else { "public" };
    let mut reply = reply
        .with("etag", etag.clone())
        .with("cache-control", format!("{visibility}, max-age=60, s-maxage=60"));
    if request.has_tag(&etag) {
        reply.status = StatusCode::NOT_MODIFIED;
        reply.body.clear();
        reply.headers.retain(|(name, _)| *name != "content-type");
    }
    reply
}

fn headed(
    reply: Reply,
    request: &Request,
    caller: &Caller,
    reading: Option<Reading>,
    version: &str,
) -> Reply {
    headed_as("core", reply, request, caller, reading, version)
}

fn headed_as(
    resource: &str,
    reply: Reply,
    request: &Request,
    caller: &Caller,
    reading: Option<Reading>,
    version: &str,
) -> Reply {
    let mut reply = reply
        .with("x-github-request-id", request_id(request))
        .with("x-github-media-type", "github.v3; format=json")
        .with("x-github-api-version-selected", version)
        .with("vary", "Accept, Authorization, Cookie, Accept-Encoding, Accept, X-Requested-With");
    if let Caller::Known(token) = caller {
        let scopes =
            if matches!(token.power, Power::Full | Power::Read) { "read:org, repo, workflow" } else { "" };
        reply = reply.with("x-oauth-scopes", scopes).with("x-accepted-oauth-scopes", "repo");
    }
    if let Some(reading) = reading {
        reply = reply
            .with("x-ratelimit-limit", reading.limit.to_string())
            .with("x-ratelimit-remaining", reading.remaining().to_string())
            .with("x-ratelimit-used", reading.used.to_string())
            .with("x-ratelimit-reset", reading.reset.as_second().to_string())
            .with("x-ratelimit-resource", resource);
    }
    reply
}

/// A job's log as Actions keeps it: byte order mark, a stamp with seven digits, `##[…]` markers. None while it has none.
pub(crate) fn log_text(project: &Project, job_id: u64, now: jiff::Timestamp) -> Option<String> {
    let id = job_id.checked_sub(FIRST_JOB)?;
    let run = project.pipeline(id / JOBS_PER_RUN)?;
    let job = project.jobs(run).iter().find(|job| job.id == id)?;
    if !job.status.is_terminal() || job.started_at.is_none() {
        return None;
    }
    let mut text = String::from("\u{feff}");
    for line in project.log(job, now) {
        let marker = match line.kind {
            LineKind::SectionStart => "##[group]",
            LineKind::SectionEnd => "##[endgroup]",
            LineKind::Command => "##[command]",
            LineKind::Warning => "##[warning]",
            LineKind::Error => "##[error]",
            LineKind::Output | LineKind::Good => "",
        };
        let body = if line.kind == LineKind::SectionEnd { "" } else { &line.text };
        let colour = if line.kind == LineKind::Good { ("\u{1b}[32m", "\u{1b}[0m") } else { ("", "") };
        let stamp = line.at.strftime("%Y-%m-%dT%H:%M:%S");
        let fraction = line.at.subsec_nanosecond() / 100;
        text.push_str(&format!("{stamp}.{fraction:07}Z {marker}{}{body}{}\n", colour.0, colour.1));
    }
    Some(text)
}
