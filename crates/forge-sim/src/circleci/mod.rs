//! CircleCI's API v2, as far as a dashboard reads it, and of v1.1 what v2 lacks: the list of followed projects and a job's steps.
//!
//! Every run of the world is a pipeline with one workflow; each further try of it is a further workflow of that pipeline, as
//! CircleCI has it. Facts: CircleCI's API documentation and recorded answers. Its limits are not published, so there are none.

mod json;
mod routes;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::json;

use crate::access::{Access, Caller, Power, Token};
use crate::face::{Face, FaceSettings};
use crate::http::{Reply, Request, avatar};
use crate::world::{FaceId, Style, World};

pub(crate) use json::output;

/// CircleCI.
pub const FACE: FaceId = FaceId("circleci");
const V2: &str = "/api/v2";
const V1: &str = "/api/v1.1";

/// The face.
#[derive(Debug)]
pub struct Circleci {
    access: Access,
    store_url: String,
    store_key: u64,
}

impl Circleci {
    /// A CircleCI with these settings.
    #[must_use]
    pub fn new(settings: &FaceSettings) -> Self {
        Self {
            access: settings.access.clone(),
            store_url: settings.store_url.clone(),
            store_key: settings.store_key,
        }
    }

    /// In a header of its own, or as the user of Basic.
    fn token(request: &Request) -> Option<String> {
        if let Some(token) = request.header("circle-token") {
            return Some(token.to_owned());
        }
        let pair = request.header("authorization")?.strip_prefix("Basic ")?;
        let pair = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
        pair.split_once(':').map(|(user, _)| user.to_owned())
    }
}

impl Face for Circleci {
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
        let v2 = request.path.strip_prefix(V2);
        let Some(rest) = v2.or_else(|| request.path.strip_prefix(V1)) else { return page() };
        let caller = self.access.caller(Self::token(request).as_deref());
        match &caller {
            Caller::Anonymous | Caller::Unknown | Caller::Known(Token { power: Power::Expired, .. }) => {
                return error(StatusCode::UNAUTHORIZED, "You must log in first.");
            }
            Caller::Known(Token { power: Power::None, .. }) => {
                return error(StatusCode::FORBIDDEN, "Permission denied.");
            }
            Caller::Known(_) => {}
        }
        let call =
            routes::Call { request, caller: &caller, store_url: &self.store_url, store_key: self.store_key };
        let parts = Request::segments(rest);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if v2.is_some() { call.answer(world, &parts) } else { call.answer_v1(world, &parts) }
    }
}

/// `{"message": …}` with a status.
fn error(status: StatusCode, message: &str) -> Reply {
    Reply::json("(error)", status, &json!({ "message": message }))
}

/// What a browser gets that follows a link out of the dashboard.
fn page() -> Reply {
    let body = "<!doctype html><meta charset=\"utf-8\"><title>Simulated CircleCI</title>\
                <h1>Simulated CircleCI</h1><p>Only the API exists here: this page stands for the real one.";
    Reply::text("GET /page", StatusCode::OK, "text/html; charset=utf-8", body)
}
