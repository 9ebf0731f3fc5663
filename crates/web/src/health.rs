//! `/api/health` and `/api/ready`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

use crate::app::App;
use crate::auth::Visitor;
use crate::html::overview_key;

/// 200 while the process lives, with the aggregator's state in the body.
/// Who is not let in hears no more than that.
pub(crate) async fn health(State(app): State<App>, visitor: Visitor) -> Response {
    let link = app.aggregator.state();
    if !visitor.is_let_in() {
        let body = json!({ "status": "ok", "aggregator": { "state": link.phase.as_str() } });
        return plain(StatusCode::OK, &body);
    }
    let body = json!({
        "status": "ok",
        "version": crate::VERSION,
        "commit": crate::COMMIT,
        "aggregator": {
            "state": link.phase.as_str(),
            "address": app.endpoint,
            "version": link.version.map(|v| v.to_string()),
            "since": link.since.to_string(),
            "last_heard_at": link.last_heard_at.map(|at| at.to_string()),
            "error": link.error,
        },
    });
    plain(StatusCode::OK, &body)
}

/// 200 while the overview can be answered, old or new.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    let ready = app.kept.has(&overview_key());
    let body = json!({ "ready": ready, "aggregator": app.aggregator.state().phase.as_str() });
    plain(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
}

fn plain(status: StatusCode, body: &serde_json::Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}
