//! Jenkins' remote API over the world, under any path prefix: `api/json?tree=…`, the Pipeline plugin's stages, consoles,
//! crumbs, starting and stopping builds.
//!
//! Facts: answers that other projects recorded, the core's and Stapler's sources (`tree.rs` says which). Jenkins publishes
//! no limits and sends no ETags.
//!
//! How projects become jobs the prefix may choose, see [`View`].
//!
//! A caller comes with Basic authorization (any user and a token) or with a bearer token. The user [`PASSWORD_USER`] stands
//! for one who signs in with a password: a POST of theirs needs a crumb and the session that it was given in. That the plugin
//! is absent is a fault: `Fault::on("*/wfapi/*", Effect::Status(404))`.

mod jobs;
mod json;
mod routes;
mod stages;
mod tree;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use crate::access::{Access, Caller, Power, Token};
use crate::face::{Face, FaceSettings};
use crate::http::{Reply, Request};
use crate::world::{FaceId, Style, World};

pub use jobs::{Child, ChildOf, Kind, View, child_of, children, kind};

/// Jenkins.
pub const FACE: FaceId = FaceId("jenkins");
/// Who signs in with this name does so by password, not by token.
pub const PASSWORD_USER: &str = "password";
/// The session that the crumb issuer begins, and the crumb that goes with it.
const SESSION: &str = "JSESSIONID.5f3c=node01simulated";
const CRUMB: &str = "0fa8c2c1e9simulated";
/// With these a path below Jenkins' root begins.
const BEGINNINGS: [&str; 6] = ["api", "job", "me", "whoAmI", "crumbIssuer", "queue"];

/// The face.
#[derive(Debug)]
pub struct Jenkins {
    access: Access,
}

impl Jenkins {
    /// A Jenkins with these settings.
    #[must_use]
    pub fn new(settings: &FaceSettings) -> Self {
        Self { access: settings.access.clone() }
    }
}

/// User and token, or the token alone.
fn credentials(request: &Request) -> (Option<String>, Option<String>) {
    let Some((scheme, value)) = request.header("authorization").and_then(|v| v.split_once(' ')) else {
        return (None, None);
    };
    if scheme.eq_ignore_ascii_case("bearer") {
        return (None, Some(value.to_owned()));
    }
    let pair = STANDARD
        .decode(value.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default();
    match pair.split_once(':') {
        Some((user, token)) => (Some(user.to_owned()), Some(token.to_owned())),
        None => (None, Some(pair)),
    }
}

/// A name for people.
fn decode(name: &str) -> String {
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

impl Face for Jenkins {
    fn id(&self) -> FaceId {
        FACE
    }

    fn style(&self) -> Style {
        Style::Stages
    }

    fn answer(&self, world: &mut World, request: &Request) -> Reply {
        let parts = Request::segments(&request.path);
        let begin = parts.iter().position(|part| BEGINNINGS.contains(&part.as_str()));
        let Some(begin) = begin else {
            return with_version(page(StatusCode::OK, "Dashboard [Jenkins]", "Simulated Jenkins"));
        };
        let prefix: String =
            parts[..begin].iter().map(|part| format!("/{}", crate::http::encode(part))).collect();
        let (user, token) = credentials(request);
        let caller = self.access.caller(token.as_deref());
        let by_password = user.as_deref() == Some(PASSWORD_USER);
        let reply = match &caller {
            Caller::Unknown | Caller::Known(Token { power: Power::Expired, .. }) => {
                let user = user.unwrap_or_default();
                page(
                    StatusCode::UNAUTHORIZED,
                    "Error 401",
                    &format!("Invalid password/token for user: {user}"),
                )
                .with("www-authenticate", "Basic realm=\"Jenkins\"")
            }
            Caller::Known(Token { power: Power::None, .. }) => forbidden(&caller, "hudson.model.Hudson.Read"),
            _ if request.method == Method::POST && by_password && !has_crumb(request) => {
                page(StatusCode::FORBIDDEN, "Error 403", "No valid crumb was included in the request")
            }
            _ => {
                let call = routes::Call {
                    root: format!("{}{prefix}", request.origin),
                    request,
                    caller: &caller,
                    view: View::of_prefix(&prefix),
                };
                call.answer(world, &parts[begin..])
            }
        };
        with_version(reply)
    }
}

fn has_crumb(request: &Request) -> bool {
    let session =
        request.header("cookie").is_some_and(|cookies| cookies.split(';').any(|c| c.trim() == SESSION));
    session && request.header("jenkins-crumb") == Some(CRUMB)
}

fn with_version(reply: Reply) -> Reply {
    reply
        .with("x-jenkins", "2.479.1")
        .with("x-jenkins-session", "a1b2c3d4")
        .with("x-content-type-options", "nosniff")
}

/// A page of HTML, as Jenkins answers everything that is not `api`.
fn page(status: StatusCode, title: &str, text: &str) -> Reply {
    let body = format!(
        "<!DOCTYPE html><html><head><title>{title}</title></head><body><h2>{text}</h2></body></html>"
    );
    Reply::text("(page)", status, "text/html;charset=utf-8", body)
}

/// Who lacks a permission is sent to the login page by the browser.
fn forbidden(caller: &Caller, permission: &str) -> Reply {
    let name = caller.person().map_or("anonymous", |person| person.person().login);
    let text = format!("{name} is missing the {permission} permission");
    page(StatusCode::FORBIDDEN, "Authentication required", &text)
        .with("x-you-are-authenticated-as", name)
        .with("x-required-permission", permission)
}

fn not_found() -> Reply {
    page(StatusCode::NOT_FOUND, "Error 404 Not Found", "Not Found")
}
