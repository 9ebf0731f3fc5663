//! Which address leads where.

use axum::Router;
use axum::extract::{Path, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use http::{HeaderValue, header};
use tower_http::compression::CompressionLayer;
use tower_http::csrf::CsrfLayer;
use tower_http::limit::RequestBodyLimitLayer;

use crate::app::App;
use crate::failure::Failure;
use crate::{assets, gate, health, html, insights, json, metrics, sign_in, webhooks};

/// Nothing here takes a body but the form to sign in, and webhooks, which have a bound of their own.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// The whole application.
pub(crate) fn router(app: &App) -> Router {
    let mut inner = Router::new()
        .route("/", get(html::overview))
        .route("/projects/{source}/{id}", get(html::project))
        .route("/projects/{source}/{id}/pipelines/{pipeline}", get(html::pipeline))
        .route("/merge-requests", get(html::merge_requests))
        .route("/issues", get(html::issues))
        .route("/insights", get(insights::page))
        .route("/insights/runs", get(insights::runs))
        .route("/sources", get(html::sources))
        .route("/static/{hash}/{*name}", get(asset))
        .route("/favicon.ico", get(favicon))
        .route("/metrics", get(metrics::answer))
        .route("/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out).fallback(async || Failure::only_post()))
        .route("/api/health", get(health::health))
        .route("/api/ready", get(health::ready));
    for route in json::routes() {
        inner = inner.route(&format!("/api/v1{}", route.path), route.handler);
    }
    let inner = inner
        .fallback(async || Failure::no_such_page())
        .method_not_allowed_fallback(async || Failure::method_not_allowed())
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
        .layer(own_forms(app).with_rejection_response(|_| Failure::cross_site().into_response()))
        .route("/webhooks/{source}", post(webhooks::ingest).fallback(async || Failure::only_post()))
        .route_layer(from_fn(metrics::note_route))
        .layer(CompressionLayer::new())
        .with_state(app.clone());
    // The gate rewrites addresses below a base path, so it has to stand before the routes are matched.
    Router::new().fallback_service(inner).layer(from_fn_with_state(app.clone(), gate::gate))
}

/// Lets in what comes from pages of ours, or from no page: where a proxy changes the Host, ours are those of
/// `server.public_url`.
fn own_forms(app: &App) -> CsrfLayer {
    let layer = CsrfLayer::new();
    match &app.settings.server.public_url {
        Some(url) => {
            let origin = url.origin().ascii_serialization();
            layer.clone().add_trusted_origin(origin).unwrap_or(layer)
        }
        None => layer,
    }
}

async fn asset(Path((hash, name)): Path<(String, String)>) -> Response {
    let Some((file, keep)) = assets::get(&hash, &name) else {
        return Failure::no_such_page().into_response();
    };
    let cache = if keep { "public, max-age=31536000, immutable" } else { "no-cache" };
    let kind = HeaderValue::from_static(content_type(&name));
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, HeaderValue::from_static(cache))], file.data)
        .into_response()
}

/// What we embed; anything else is bytes.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Browsers ask for it wherever a page has not told them another.
async fn favicon(State(app): State<App>) -> Redirect {
    Redirect::temporary(&format!("{}{}", app.base(), assets::url("favicon-grey.svg")))
}
