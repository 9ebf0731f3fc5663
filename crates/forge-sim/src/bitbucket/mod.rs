//! Bitbucket Cloud's REST API 2.0, as far as a dashboard reads it, under `/2.0` or `/`.
//!
//! Facts: the OpenAPI types in npm `@coderabbitai/bitbucket`, Atlassian's documentation and change log, recorded answers.
//! What was taken out of the API in 2026 answers 410 as there; `fields` and `pagelen` are really applied.

mod json;
mod paging;
mod routes;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::json;

use crate::access::{Access, Caller, Meter, Power, Token};
use crate::face::{Face, FaceSettings};
use crate::http::{Reply, Request, avatar};
use crate::world::{FaceId, Style, World};

/// Bitbucket Cloud.
pub const FACE: FaceId = FaceId("bitbucket");
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Below this share of the limit, in hundredths, an access token is told that the limit is near.
const NEAR: u32 = 20;

/// The uuid under which a run is known, from its id in the world.
#[must_use]
pub fn run_uuid(id: u64) -> String {
    format!("{{00000000-0000-4000-8000-{id:012x}}}")
}

/// The uuid of a step, from the job's id in the world.
#[must_use]
pub fn step_uuid(id: u64) -> String {
    format!("{{00000000-0000-4000-9000-{id:012x}}}")
}

/// The face.
#[derive(Debug)]
pub struct Bitbucket {
    access: Access,
    known: Meter,
    anonymous: Meter,
}

impl Bitbucket {
    /// A Bitbucket Cloud with these settings.
    #[must_use]
    pub fn new(settings: &FaceSettings) -> Self {
        let limits = settings.access.limits;
        Self {
            access: settings.access.clone(),
            known: Meter::new(limits.bitbucket_hourly, HOUR),
            anonymous: Meter::new(limits.bitbucket_anonymous_hourly, HOUR),
        }
    }
}

/// The token of `Bearer …` or the password of `Basic …`, and whether it was alone.
pub(crate) fn token(request: &Request) -> Option<(String, bool)> {
    let (scheme, value) = request.header("authorization")?.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some((value.trim().to_owned(), true)),
        "basic" => {
            let pair = STANDARD.decode(value.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some((pair.as_deref()?.split_once(':')?.1.to_owned(), false))
        }
        _ => None,
    }
}

impl Face for Bitbucket {
    fn id(&self) -> FaceId {
        FACE
    }

    fn style(&self) -> Style {
        // Several parts of one file rather than several files, but the same to look at.
        Style::Workflows
    }

    fn answer(&self, world: &mut World, request: &Request) -> Reply {
        if request.path.ends_with("/avatar.png") {
            return Reply::text("GET /avatar", StatusCode::OK, "image/svg+xml", avatar(&request.path));
        }
        let rest = request.path.strip_prefix("/2.0").unwrap_or(&request.path);
        let sent = token(request);
        let caller = self.access.caller(sent.as_ref().map(|(token, _)| token.as_str()));
        let meter = if caller.is_known() { &self.known } else { &self.anonymous };
        if meter.count(caller.key(), request.now, 0).is_some_and(|reading| reading.is_exhausted()) {
            // Without a word about when to come back.
            return error(StatusCode::TOO_MANY_REQUESTS, "Rate limit for this resource has been exceeded");
        }
        let reading = meter.count(caller.key(), request.now, 1);
        let reply = match &caller {
            Caller::Unknown | Caller::Known(Token { power: Power::Expired, .. }) => error(
                StatusCode::UNAUTHORIZED,
                "Token is invalid, expired, or not supported for this endpoint.",
            ),
            Caller::Known(Token { power: Power::None, .. }) => lacks_scope("repository"),
            _ => {
                let call = routes::Call { html: request.origin.clone(), request, caller: &caller };
                call.answer(world, &Request::segments(rest))
            }
        };
        let reply = if request.method == Method::GET { paging::partial(request, reply) } else { reply };
        // Only access tokens hear of the limit.
        match reading.filter(|_| sent.is_some_and(|(_, alone)| alone)) {
            Some(reading) => {
                let reply = reply
                    .with("x-ratelimit-limit", reading.limit.to_string())
                    .with("x-ratelimit-resource", "api");
                let near = u64::from(reading.remaining()) * 100 < u64::from(reading.limit) * u64::from(NEAR);
                if near { reply.with("x-ratelimit-nearlimit", "true") } else { reply }
            }
            None => reply,
        }
    }
}

/// `{"type":"error","error":{"message":…}}`.
fn error(status: StatusCode, message: &str) -> Reply {
    Reply::json("(error)", status, &json!({ "type": "error", "error": { "message": message } }))
}

fn lacks_scope(scope: &str) -> Reply {
    let body = json!({
        "type": "error",
        "error": {
            "message": "Your credentials lack one or more required privilege scopes.",
            "detail": { "granted": [], "required": [scope] },
        },
    });
    Reply::json("(error)", StatusCode::FORBIDDEN, &body).with("x-accepted-oauth-scopes", scope)
}
