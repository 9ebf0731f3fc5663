//! Gitea's REST API, or Forgejo's, as far as a dashboard reads it, under `/api/v1`, below any path prefix.
//!
//! Facts: the servers' own swagger descriptions (`tests/schemas/gitea.json` and `forgejo.json` are cut from them) and, for
//! headers, errors and order, their sources. Four generations of the Actions API: [`Api`].

mod actions;
mod json;
mod paging;
mod routes;

use http::StatusCode;
use serde_json::json;

use crate::access::{Access, Caller, Power, Token};
use crate::face::{Face, FaceSettings};
use crate::http::{Reply, Request, avatar};
use crate::world::{FaceId, Style, World};

/// Gitea.
pub const FACE: FaceId = FaceId("gitea");
/// Where the API is below a site.
const API: &str = "/api/v1";

/// Which generation of the API a simulated server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Api {
    /// Gitea 1.27: `/actions/runs`, jobs and logs in GitHub's words; runs can be started over, not stopped.
    #[default]
    Runs,
    /// Forgejo 17: the same in words of its own; runs can be started over and stopped.
    Forgejo,
    /// Gitea 1.22 to 1.24 and Forgejo before 12: `/actions/tasks` alone.
    Tasks,
    /// Before that, or with Actions switched off: commit statuses alone.
    Statuses,
}

impl Api {
    const fn version(self) -> &'static str {
        match self {
            Self::Runs => "1.27.3",
            Self::Forgejo => "17.0.0+gitea-1.22.0",
            Self::Tasks => "1.23.8",
            Self::Statuses => "1.18.5",
        }
    }
}

/// The face.
#[derive(Debug)]
pub struct Gitea {
    access: Access,
    api: Api,
}

impl Gitea {
    /// A Gitea with these settings.
    #[must_use]
    pub fn new(settings: &FaceSettings) -> Self {
        Self { access: settings.access.clone(), api: settings.gitea }
    }

    fn token(request: &Request) -> Option<String> {
        let (scheme, token) = request.header("authorization")?.split_once(' ')?;
        matches!(scheme.to_ascii_lowercase().as_str(), "bearer" | "token").then(|| token.trim().to_owned())
    }
}

impl Face for Gitea {
    fn id(&self) -> FaceId {
        FACE
    }

    fn style(&self) -> Style {
        Style::Workflows
    }

    fn answer(&self, world: &mut World, request: &Request) -> Reply {
        if request.path.contains("/avatars/") {
            return Reply::text("GET /avatars", StatusCode::OK, "image/svg+xml", avatar(&request.path));
        }
        let Some((prefix, rest)) = request.path.split_once(API) else {
            return Reply::text(
                "(page)",
                StatusCode::NOT_FOUND,
                "text/html; charset=utf-8",
                "<!DOCTYPE html>\n<html lang=\"en-US\"><head><title>Page Not Found - Gitea</title></head></html>\n",
            );
        };
        let caller = self.access.caller(Self::token(request).as_deref());
        let html = format!("{}{prefix}", request.origin);
        let refuse = |status, message: &str| error(&html, status, message);
        match &caller {
            Caller::Unknown | Caller::Known(Token { power: Power::Expired, .. }) => {
                return refuse(StatusCode::UNAUTHORIZED, "invalid username, password or token");
            }
            Caller::Known(Token { power: Power::None, .. }) if rest != "/version" => {
                return refuse(
                    StatusCode::FORBIDDEN,
                    "token does not have at least one of required scope(s), required=[read:repository], token scope=",
                );
            }
            Caller::Anonymous | Caller::Known(_) => {}
        }
        let call = routes::Call { api: self.api, html: &html, request, caller: &caller };
        call.answer(world, &Request::segments(rest))
    }
}

/// `{"message", "url"}`.
fn error(html: &str, status: StatusCode, message: &str) -> Reply {
    let body = json!({ "message": message, "url": format!("{html}/api/swagger") });
    Reply::json("(error)", status, &body)
}

/// The one error that is longer.
fn not_found(html: &str) -> Reply {
    let url = format!("{html}/api/swagger");
    let body = json!({ "errors": [], "message": "The target couldn't be found.", "url": url });
    Reply::json("(error)", StatusCode::NOT_FOUND, &body)
}
