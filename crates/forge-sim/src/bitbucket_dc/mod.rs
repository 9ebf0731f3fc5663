//! Bitbucket Data Center's REST API, as far as a dashboard reads it, under any context path.
//!
//! It runs nothing itself: the world's runs show as build statuses that another system posted on their commits.
//! Facts: the OpenAPI types in npm `@coderabbitai/bitbucket`, Atlassian's documentation.

mod json;
mod routes;

use http::StatusCode;
use serde_json::{Value, json};

use crate::access::{Access, Caller, Power, Token};
use crate::bitbucket::token;
use crate::face::{Face, FaceSettings};
use crate::http::{Reply, Request};
use crate::world::{FaceId, Style, World};

/// Bitbucket Data Center.
pub const FACE: FaceId = FaceId("bitbucket-datacenter");

/// The key of a run's build: that of the plan that built it, the same for all commits.
#[must_use]
pub fn build_key(project: &crate::world::Project, run: &crate::world::Pipeline) -> String {
    let workflow = project.workflows.get(run.workflow).map_or("CI", |w| w.name);
    format!("{}-{}", project.path, workflow).to_uppercase()
}

/// The face.
#[derive(Debug)]
pub struct BitbucketDc {
    access: Access,
}

impl BitbucketDc {
    /// A Bitbucket Data Center with these settings.
    #[must_use]
    pub fn new(settings: &FaceSettings) -> Self {
        Self { access: settings.access.clone() }
    }
}

impl Face for BitbucketDc {
    fn id(&self) -> FaceId {
        FACE
    }

    fn style(&self) -> Style {
        Style::Workflows
    }

    fn answer(&self, world: &mut World, request: &Request) -> Reply {
        let sent = token(request);
        let caller = self.access.caller(sent.as_ref().map(|(token, _)| token.as_str()));
        let (context, rest) = match ["/rest/", "/plugins/"].iter().find_map(|below| request.path.find(below))
        {
            Some(at) => request.path.split_at(at),
            None => ("", request.path.as_str()),
        };
        match &caller {
            Caller::Unknown | Caller::Known(Token { power: Power::Expired, .. }) => error(
                StatusCode::UNAUTHORIZED,
                "Authentication failed. Please check your credentials and try again.",
                "com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException",
            ),
            Caller::Known(Token { power: Power::None, .. }) if !rest.ends_with("/application-properties") => {
                forbidden()
            }
            _ => {
                let html = format!("{}{context}", request.origin);
                routes::Call { html, request, caller: &caller }.answer(world, &Request::segments(rest))
            }
        }
    }
}

fn error(status: StatusCode, message: &str, exception: &str) -> Reply {
    let body =
        json!({ "errors": [{ "context": Value::Null, "message": message, "exceptionName": exception }] });
    Reply::json("(error)", status, &body)
}

fn forbidden() -> Reply {
    error(
        StatusCode::FORBIDDEN,
        "You are not permitted to access this resource",
        "com.atlassian.bitbucket.AuthorisationException",
    )
}

/// One page, cut as `start` and `limit` want; more than `max` is cut without a word.
fn page<T>(
    template: &'static str,
    request: &Request,
    max: usize,
    rows: &[T],
    row: impl Fn(&T) -> Value,
) -> Reply {
    const DEFAULT_LIMIT: usize = 25;
    let number = |name: &str| request.param(name).and_then(|text| text.parse::<usize>().ok());
    let start = number("start").unwrap_or(0);
    let limit = number("limit").filter(|n| *n > 0).unwrap_or(DEFAULT_LIMIT).min(max);
    let values: Vec<Value> = rows.iter().skip(start).take(limit).map(row).collect();
    let end = start.saturating_add(limit);
    let is_last = end >= rows.len();
    let mut body = json!({
        "size": values.len(), "limit": limit, "start": start, "isLastPage": is_last, "nextPageStart": Value::Null,
        "values": values,
    });
    if !is_last {
        body["nextPageStart"] = end.into();
    }
    Reply::json(template, StatusCode::OK, &body)
}
