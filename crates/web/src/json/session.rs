//! `/session`: who the one is that asks.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header;
use serde_json::json;

use crate::app::App;
use crate::auth::{Identity, Visitor};

pub(crate) async fn session(State(app): State<App>, visitor: Visitor) -> Response {
    let identity = visitor.identity();
    let expires = identity.and_then(|identity| app.doorman.expires(identity));
    let body = json!({
        "name": identity.map(Identity::name),
        "groups": identity.map_or(&[][..], Identity::groups),
        "by": identity.map(Identity::how),
        "expires_at": expires.map(|at| at.to_string()),
    });
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, body.to_string()).into_response()
}
