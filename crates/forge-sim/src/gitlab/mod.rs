//! GitLab's REST API v4, as far as a dashboard reads it, under any path prefix, and GraphQL (`graphql`).
//!
//! Facts: the shapes follow the JSON schemas of GitLab's own test suite (`tests/schemas/gitlab.json` describes them) and its
//! API documentation; the order of the doors (token, limit, route, permission) is that of the real server.

mod graphql;
mod json;
mod log;
mod paging;
mod routes;

use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::json;

use self::json::Json;
use crate::access::{Access, Caller, Meter, Power, Reading, Token};
use crate::face::{Face, FaceSettings};
use crate::graphql::Schema;
use crate::http::{Reply, Request, avatar, digest};
use crate::world::{FaceId, Style, World};

/// GitLab.
pub const FACE: FaceId = FaceId("gitlab");
const API: &str = "/api/v4";
const GRAPHQL: &str = "/api/graphql";
const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// The face.
#[derive(Debug)]
pub struct Gitlab {
    access: Access,
    known: Meter,
    anonymous: Meter,
    single_project: Meter,
    /// None: a server without GraphQL.
    schema: Option<Schema>,
}

impl Gitlab {
    /// A GitLab with these settings.
    #[must_use]
    pub fn new(settings: &FaceSettings) -> Self {
        let limits = settings.access.limits;
        Self {
            access: settings.access.clone(),
            known: Meter::new(limits.gitlab_per_minute, MINUTE),
            anonymous: Meter::new(limits.gitlab_anonymous_per_minute, MINUTE),
            single_project: Meter::new(limits.gitlab_project_per_minute, MINUTE),
            schema: settings.graphql.then(graphql::schema),
        }
    }

    /// The token, wherever GitLab looks for one.
    fn token(request: &Request) -> Option<String> {
        if let Some(token) = request.header("private-token") {
            return Some(token.to_owned());
        }
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        bearer
            .map(str::to_owned)
            .or_else(|| request.param("private_token"))
            .or_else(|| request.param("access_token"))
    }
}

impl Face for Gitlab {
    fn id(&self) -> FaceId {
        FACE
    }

    fn style(&self) -> Style {
        Style::Stages
    }

    fn answer(&self, world: &mut World, request: &Request) -> Reply {
        let asks = self.schema.as_ref().filter(|_| request.path.ends_with(GRAPHQL));
        let (prefix, rest) = match (request.path.split_once(API), asks) {
            (Some(parts), _) => parts,
            (None, Some(_)) => ("", ""),
            (None, None) if request.method == Method::POST => {
                return Reply::json("(no route)", StatusCode::NOT_FOUND, &json!({"error": "404 Not Found"}));
            }
            (None, None) => return page(request),
        };
        let token = Self::token(request);
        let caller = self.access.caller(token.as_deref());
        let meter = if caller.is_known() { &self.known } else { &self.anonymous };
        // Throttling happens before the application: every request counts, whatever becomes of it.
        let reading = meter.count(caller.key(), request.now, 0);
        if let Some(reading) = reading.filter(Reading::is_exhausted) {
            let wait = reading.reset.duration_since(request.now).as_secs().max(1);
            let reply =
                Reply::text("(throttled)", StatusCode::TOO_MANY_REQUESTS, "text/plain", "Retry later\n")
                    .with("retry-after", wait.to_string());
            return limited(reply, Some(reading), caller.is_known());
        }
        let reading = meter.count(caller.key(), request.now, 1);
        let reply = match &caller {
            Caller::Unknown | Caller::Known(Token { power: Power::Expired, .. }) if asks.is_some() => {
                let body = json!({"errors": [{"message": "Invalid token"}]});
                Reply::json("(error)", StatusCode::UNAUTHORIZED, &body)
            }
            Caller::Unknown => error(StatusCode::UNAUTHORIZED, "401 Unauthorized"),
            Caller::Known(Token { power: Power::Expired, .. }) => oauth_error(
                StatusCode::UNAUTHORIZED,
                json!({"error": "invalid_token", "error_description": "Token is expired. You can either do re-authorization or token refresh."}),
            ),
            Caller::Known(Token { power: Power::None, .. })
                if !rest.starts_with("/personal_access_tokens/self") =>
            {
                oauth_error(
                    StatusCode::FORBIDDEN,
                    json!({
                        "error": "insufficient_scope",
                        "error_description": "The request requires higher privileges than provided by the access token.",
                        "scope": "api read_api",
                    }),
                )
            }
            _ if request.method == Method::POST && asks.is_some() => match asks {
                Some(schema) => {
                    let base = format!("{}{prefix}", request.origin);
                    graphql::reply(schema, Json { base: &base }, world, request, &caller)
                }
                None => error(StatusCode::NOT_FOUND, "404 Not Found"),
            },
            _ => {
                let call = routes::Call {
                    base: format!("{}{prefix}", request.origin),
                    request,
                    caller: &caller,
                    single_project: &self.single_project,
                };
                call.answer(world, &Request::segments(rest))
            }
        };
        let reply = tagged(request, &caller, reply);
        limited(reply, reading, caller.is_known())
    }
}

/// The rate-limit headers of gitlab.com.
fn limited(reply: Reply, reading: Option<Reading>, known: bool) -> Reply {
    let Some(reading) = reading else { return reply };
    let name = if known { "throttle_authenticated_api" } else { "throttle_unauthenticated_api" };
    reply
        .with("ratelimit-limit", reading.limit.to_string())
        .with("ratelimit-name", name)
        .with("ratelimit-observed", reading.used.to_string())
        .with("ratelimit-remaining", reading.remaining().to_string())
        .with("ratelimit-reset", reading.reset.as_second().to_string())
        .with("ratelimit-resettime", reading.reset.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

/// Request id, weak ETag over the body, and 304 when the client has that body.
fn tagged(request: &Request, caller: &Caller, reply: Reply) -> Reply {
    let id = digest(&[
        request.path.as_bytes(),
        request.raw_query.as_bytes(),
        &request.now.as_millisecond().to_be_bytes(),
    ]);
    let reply = reply.with("x-request-id", id[..26].to_uppercase()).with("vary", "Origin");
    if reply.status != StatusCode::OK || request.method != Method::GET {
        return reply;
    }
    let etag = format!("W/\"{}\"", &digest(&[&reply.body, caller.key().as_bytes()])[..32]);
    let mut reply =
        reply.with("etag", etag.clone()).with("cache-control", "max-age=0, private, must-revalidate");
    if request.has_tag(&etag) {
        reply.status = StatusCode::NOT_MODIFIED;
        reply.body.clear();
        reply.headers.retain(|(name, _)| *name != "content-type");
    }
    reply
}

/// `{"message": …}` with a status.
fn error(status: StatusCode, message: &str) -> Reply {
    Reply::json("(error)", status, &json!({ "message": message }))
}

fn oauth_error(status: StatusCode, body: serde_json::Value) -> Reply {
    Reply::json("(error)", status, &body)
}

/// What a browser gets that follows a link out of the dashboard.
fn page(request: &Request) -> Reply {
    if request.path.ends_with("/avatar.png") {
        return Reply::text("GET /avatar", StatusCode::OK, "image/svg+xml", avatar(&request.path));
    }
    let body = "<!doctype html><meta charset=\"utf-8\"><title>Simulated GitLab</title>\
                <h1>Simulated GitLab</h1><p>Only the API exists here: this page stands for the real one.";
    Reply::text("GET /page", StatusCode::OK, "text/html; charset=utf-8", body)
}
