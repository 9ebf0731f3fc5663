//! What every request passes on its way in, and every response on its way out.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use tokio::time::{Instant, timeout};

use crate::app::App;
use crate::failure::Failure;
use crate::router::MAX_BODY_BYTES;

/// Longest path and query.
const MAX_URI_BYTES: usize = 8 * 1024;
/// However long a handler may take to begin its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Nothing runs, loads or embeds but our own files; pictures may come from the platforms.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; \
                   connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Checks the request, bounds its time, catches its panic, dresses its failure.
pub(crate) async fn gate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let inner = below(app.base(), request.uri());
    // Never the query: people search for what is nobody's business.
    let path = inner.as_ref().unwrap_or(request.uri()).path().to_owned();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let refused = refuse(&app, request.uri(), request.headers(), &path);
    if let Some(inner) = inner {
        *request.uri_mut() = inner;
    }
    let response = match refused {
        Some(failure) => failure.into_response(),
        None => match AssertUnwindSafe(timeout(REQUEST_TIMEOUT, next.run(request))).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => Failure::too_slow().into_response(),
            Err(_) => {
                tracing::error!(%method, path, "a handler panicked");
                Failure::internal("This request broke something.").into_response()
            }
        },
    };
    let mut response = dress(&app, &path, response);
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if is_api(&path) {
        allow_origin(&app.settings.server.cors, origin.as_ref(), response.headers_mut());
    }
    let status = response.status().as_u16();
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    // 503 is what the aggregator's absence looks like, to probes every few seconds; the link tells of it once.
    if status >= 500 && status != 503 {
        tracing::warn!(%method, path, status, ms, "request");
    } else {
        tracing::debug!(%method, path, status, ms, "request");
    }
    response
}

fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

fn is_webhook(path: &str) -> bool {
    path.starts_with("/webhooks/")
}

/// The address below the base path; `None` when it is not below it, or there is none. A proxy that takes the base path
/// away itself is as good.
fn below(base: &str, uri: &Uri) -> Option<Uri> {
    if base.is_empty() {
        return None;
    }
    let rest = uri.path_and_query()?.as_str().strip_prefix(base)?;
    let rest = match rest.as_bytes().first() {
        None => "/".to_owned(),
        Some(b'/') => rest.to_owned(),
        Some(b'?') => format!("/{rest}"),
        Some(_) => return None,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(rest).ok()?);
    Uri::from_parts(parts).ok()
}

fn refuse(app: &App, uri: &Uri, headers: &HeaderMap, path: &str) -> Option<Failure> {
    if uri.path_and_query().map_or(0, |p| p.as_str().len()) > MAX_URI_BYTES {
        return Some(Failure::uri_too_long(MAX_URI_BYTES));
    }
    let allowed = &app.settings.server.allowed_hosts;
    // Probes ask by address; a webhook is known by its signature, whatever name the platform has for us.
    let by_any_name = matches!(path, "/api/health" | "/api/ready") || is_webhook(path);
    if !allowed.is_empty() && !by_any_name {
        let host = uri.authority().map(|a| a.as_str()).or_else(|| headers.get(header::HOST)?.to_str().ok());
        let host = host.map(bare_host).unwrap_or_default();
        if !allowed.iter().any(|name| name.eq_ignore_ascii_case(host)) {
            return Some(Failure::wrong_host());
        }
    }
    None
}

/// Without the port, an IPv6 address without its brackets.
fn bare_host(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn allow_origin(allowed: &[String], origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    if allowed.is_empty() {
        return;
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = origin else { return };
    if allowed.iter().any(|a| a == "*" || a.as_bytes() == origin.as_bytes()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}

/// A failure becomes a redirect, a problem document or a page. What the libraries below us refuse by themselves is
/// brought into the same form.
fn dress(app: &App, path: &str, mut response: Response) -> Response {
    let failure = match response.extensions_mut().remove::<Failure>() {
        Some(failure) => failure,
        None if response.status() == StatusCode::PAYLOAD_TOO_LARGE => Failure::too_large(MAX_BODY_BYTES),
        None => return response,
    };
    if let Some(location) = &failure.location {
        let location = HeaderValue::try_from(format!("{}{location}", app.base()));
        return match location {
            Ok(location) => (failure.status, [(header::LOCATION, location)]).into_response(),
            Err(_) => Failure::internal("The new address cannot be told.").into_problem(),
        };
    }
    let allow = response.headers_mut().remove(header::ALLOW);
    let mut dressed = if is_api(path) || is_webhook(path) {
        failure.into_problem()
    } else {
        let html = app.error_page(&failure);
        failure.into_page(html)
    };
    if let Some(allow) = allow {
        dressed.headers_mut().insert(header::ALLOW, allow);
    }
    dressed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use domain::{ManualClock, Timestamp};
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt as _;

    use super::*;
    use crate::WebSettings;
    use crate::aggregator::Aggregator;

    fn settings() -> WebSettings {
        let inputs = config::Inputs {
            role: config::Role::Web,
            file: None,
            env: config::Environment::from_iter([("HOME", "/nonexistent")]),
            overrides: config::Overrides::default(),
            cwd: "/nonexistent".into(),
            platforms: config::Platforms::known(),
            machine: config::Machine {
                is_root: false,
                run_dir_writable: false,
                system_config: "/nonexistent/config.yaml".into(),
            },
        };
        WebSettings::from(&config::load(&inputs).unwrap().settings)
    }

    /// What a handler at `path` leads to.
    async fn through<F, Fut>(path: &str, handler: F) -> Response
    where
        F: Fn() -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = &'static str> + Send + 'static,
    {
        let endpoint = api::Endpoint::InProcess(api::InProcess::default());
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let client = endpoint.client().unwrap();
        let aggregator = Aggregator::new(client, endpoint.to_string(), clock.clone(), true);
        let app = App::new(settings(), aggregator, endpoint.to_string(), clock, CancellationToken::new());
        let inner = Router::new().route(path, get(handler));
        let router = Router::new().fallback_service(inner).layer(from_fn_with_state(app, gate));
        router.oneshot(Request::get(path).body(axum::body::Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_panic_takes_one_request_along() {
        let panics = async || -> &'static str { panic!("on purpose") };
        let response = through("/page", panics).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
        let response = through("/api/v1/x", panics).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (500, &HeaderValue::from_static("application/problem+json"))
        );
        assert!(response.headers().contains_key("content-security-policy"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_hangs_is_given_up() {
        let begun = Instant::now();
        let response = through("/api/v1/x", std::future::pending).await;
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(begun.elapsed(), REQUEST_TIMEOUT);
    }

    #[test]
    fn addresses_below_a_base_path() {
        let of = |base: &str, uri: &str| below(base, &uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(of("/ci", "/ci").as_deref(), Some("/"));
        assert_eq!(of("/ci", "/ci/").as_deref(), Some("/"));
        assert_eq!(of("/ci", "/ci?q=1").as_deref(), Some("/?q=1"));
        assert_eq!(of("/ci", "/ci/projects/a/b%2Fc?x").as_deref(), Some("/projects/a/b%2Fc?x"));
        assert_eq!(of("/ci", "/cider"), None);
        assert_eq!(of("/ci", "/api/health"), None);
        assert_eq!(of("", "/x"), None);
    }

    #[test]
    fn hosts_are_compared_without_their_port() {
        for (host, bare) in [
            ("a.b:80", "a.b"),
            ("a.b", "a.b"),
            ("[::1]:80", "::1"),
            ("127.0.0.1:8080", "127.0.0.1"),
            ("", ""),
        ] {
            assert_eq!(bare_host(host), bare);
        }
    }
}
