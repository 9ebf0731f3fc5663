//! What every request passes on its way in, and every response on its way out.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use domain::RequestId;
use futures::FutureExt as _;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use lifecycle::traces;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use crate::app::App;
use crate::auth::{Area, Identity, Visitor};
use crate::client::{Client, Peer};
use crate::failure::Failure;
use crate::metrics::Route;
use crate::request_id::{self, X_REQUEST_ID};
use crate::router::MAX_BODY_BYTES;
use crate::sign_in;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

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

/// A browser keeps to HTTPS for so long once it was here over HTTPS.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What is known of a request before anybody answers it.
struct Arrival {
    method: Method,
    /// Below the base path.
    path: String,
    client: Client,
    id: RequestId,
    origin: Option<HeaderValue>,
    /// It comes from a browser's page.
    by_browser: bool,
}

/// Checks the request and who sent it, bounds its time, catches its panic, dresses its failure.
pub(crate) async fn gate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let peer = request.extensions_mut().remove::<Peer>();
    let headers = request.headers();
    let client = Client::of(peer, headers, &app.settings.server.trusted_proxies);
    let inner = below(app.base(), request.uri());
    let arrival = Arrival {
        method: request.method().clone(),
        // Never the query: people search for what is nobody's business.
        path: inner.as_ref().unwrap_or(request.uri()).path().to_owned(),
        id: request_id::of(headers, &client),
        origin: headers.get(header::ORIGIN).cloned(),
        by_browser: headers.contains_key(SEC_FETCH_SITE),
        client,
    };
    let span = tracing::info_span!("request", request_id = %arrival.id);
    if arrival.client.by_trusted_proxy {
        traces::follow(&span, headers.get(traces::HEADER).and_then(|value| value.to_str().ok()));
    }
    let refused = refuse(&app, request.uri(), headers, &arrival.path);
    if let Some(inner) = inner {
        *request.uri_mut() = inner;
    }
    traces::note(&span, "http.request.method", arrival.method.as_str());
    traces::note(&span, "url.path", arrival.path.as_str());
    let answer = async {
        let work = request_id::scope(arrival.id.clone(), answer(&app, &arrival, refused, request, next));
        match AssertUnwindSafe(timeout(REQUEST_TIMEOUT, work)).catch_unwind().await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => (app.doorman.stranger(), Failure::too_slow().into_response()),
            Err(_) => {
                tracing::error!(method = %arrival.method, path = arrival.path, "a handler panicked");
                (app.doorman.stranger(), Failure::internal("This request broke something.").into_response())
            }
        }
    };
    let (visitor, response) = answer.instrument(span.clone()).await;
    traces::note(&span, "http.response.status_code", response.status().as_str());
    drop(span);
    let route = response.extensions().get::<Route>().cloned();
    let response = finish(&app, &arrival, &visitor, response);
    let took = begun.elapsed();
    app.metrics.request(route.as_ref(), &arrival.method, response.status(), took);
    log(&arrival, &visitor, response.status(), took);
    response
}

/// Who asks, and what the answer is.
async fn answer(
    app: &App,
    arrival: &Arrival,
    refused: Option<Failure>,
    mut request: Request,
    next: Next,
) -> (Visitor, Response) {
    let stranger = app.doorman.stranger();
    if let Some(failure) = refused {
        return (stranger, failure.into_response());
    }
    if let Some(response) = preflight(&app.settings.server.cors, arrival, request.headers()) {
        return (stranger, response);
    }
    // Whoever sends a webhook shows a signature; what else it shows is not for us.
    let nobody_in_particular = is_webhook(&arrival.path) || is_static(&arrival.path);
    let shown = match nobody_in_particular {
        true => Ok((stranger, None)),
        false => app.doorman.visitor(request.headers(), &arrival.client).await,
    };
    let (visitor, cookie) = match shown {
        Ok(found) => found,
        // What is open to all is open to those as well who show something wrong.
        Err(_) if Area::of(&arrival.path) == Area::Open => (app.doorman.stranger(), None),
        Err(refusal) => {
            let client = arrival.client.address.map(tracing::field::display);
            tracing::warn!(path = arrival.path, client, ?refusal, "refused");
            return (app.doorman.stranger(), Failure::refused(refusal).into_response());
        }
    };
    if !app.doorman.admits(&visitor, &arrival.path) {
        let failure = not_admitted(app, arrival, request.uri());
        return (visitor, failure.into_response());
    }
    request.extensions_mut().insert(visitor.clone());
    request.extensions_mut().insert(arrival.client.clone());
    let mut response = next.run(request).await;
    // Who signs in or out has a newer one.
    if let Some(cookie) = cookie.filter(|_| !response.headers().contains_key(header::SET_COOKIE)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    (visitor, response)
}

fn not_admitted(app: &App, arrival: &Arrival, uri: &Uri) -> Failure {
    let shown = matches!(arrival.method, Method::GET | Method::HEAD);
    match Area::of(&arrival.path) {
        Area::Page if app.doorman.has_sign_in() => {
            let next = uri.path_and_query().filter(|_| shown).map_or("/", PathAndQuery::as_str);
            Failure::sign_in(sign_in::address(next))
        }
        _ if app.doorman.has_sign_in() => Failure::not_signed_in(),
        _ => Failure::not_named(),
    }
}

/// The answer in its final form.
fn finish(app: &App, arrival: &Arrival, visitor: &Visitor, response: Response) -> Response {
    let mut response = dress(app, arrival, visitor, response);
    let status = response.status();
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if arrival.client.secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    if let Ok(id) = HeaderValue::try_from(arrival.id.as_str()) {
        headers.insert(X_REQUEST_ID, id);
    }
    if status == StatusCode::UNAUTHORIZED {
        // A browser would ask for a password by itself, in the middle of a page that asks for news.
        let bearer = HeaderValue::from_static("Bearer realm=\"CI Dashboard\"");
        headers.append(header::WWW_AUTHENTICATE, bearer);
        if app.doorman.has_sign_in() && !arrival.by_browser {
            let basic = HeaderValue::from_static("Basic realm=\"CI Dashboard\", charset=\"UTF-8\"");
            headers.append(header::WWW_AUTHENTICATE, basic);
        }
    }
    if !matches!(visitor, Visitor::Everybody) {
        keep_private(headers);
    }
    if is_api(&arrival.path) {
        allow_origin(&app.settings.server.cors, arrival.origin.as_ref(), headers);
    }
    response
}

/// What one visitor sees is not kept for another by whoever stands between.
fn keep_private(headers: &mut HeaderMap) {
    let now = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let private = match now {
        None => "private, no-cache".to_owned(),
        Some(text) if ["public", "private", "no-store"].iter().any(|word| text.contains(word)) => return,
        Some(text) => format!("private, {text}"),
    };
    if let Ok(value) = HeaderValue::try_from(private) {
        headers.insert(header::CACHE_CONTROL, value);
    }
}

/// One line for each request, without its query.
fn log(arrival: &Arrival, visitor: &Visitor, status: StatusCode, took: Duration) {
    let Arrival { method, path, client, id, .. } = arrival;
    let user = visitor.identity().map(Identity::name);
    let client = client.address.map(tracing::field::display);
    let (status, ms) = (status.as_u16(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    macro_rules! line {
        // line!(warn) => tracing::warn!(… the fields …)
        ($level:ident) => {
            tracing::$level!(target: "access", %method, path, status, ms, user, client, request_id = %id, "request")
        };
    }
    // 503 is what the aggregator's absence looks like, to probes every few seconds; the link tells of it once.
    if status >= 500 && status != 503 {
        line!(warn);
    } else if is_routine(path) {
        line!(debug);
    } else {
        line!(info);
    }
}

/// What is asked every few seconds, or with every page.
fn is_routine(path: &str) -> bool {
    matches!(path, "/api/health" | "/api/ready" | "/metrics" | "/favicon.ico") || is_static(path)
}

fn is_static(path: &str) -> bool {
    path.starts_with("/static/")
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
    // Probes ask by address; a webhook is known by its signature, whatever name the platform has for us.
    let by_any_name = matches!(path, "/api/health" | "/api/ready") || is_webhook(path);
    let named = || headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    let host = || uri.authority().map(|a| a.as_str()).or_else(named);
    (!by_any_name && !app.hosts.admit(host())).then(Failure::wrong_host)
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

/// What a browser asks before a script of another site may ask with a token. Only what is listed gets an answer.
fn preflight(allowed: &[String], arrival: &Arrival, headers: &HeaderMap) -> Option<Response> {
    let asks =
        arrival.method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !asks || !is_api(&arrival.path) || allowed.is_empty() {
        return None;
    }
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, if-none-match, last-event-id"),
        (header::ACCESS_CONTROL_MAX_AGE, "3600"),
    ];
    Some((StatusCode::NO_CONTENT, headers).into_response())
}

/// A failure becomes a redirect, a problem document or a page. What the libraries below us refuse by themselves is
/// brought into the same form.
fn dress(app: &App, arrival: &Arrival, visitor: &Visitor, mut response: Response) -> Response {
    let mut failure = match response.extensions_mut().remove::<Failure>() {
        Some(failure) => failure,
        None if response.status() == StatusCode::PAYLOAD_TOO_LARGE => Failure::too_large(MAX_BODY_BYTES),
        None => return response,
    };
    failure.request_id = Some(arrival.id.to_string());
    if let Some(location) = &failure.location {
        let location = HeaderValue::try_from(format!("{}{location}", app.base()));
        let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return match location {
            Ok(location) => (failure.status, [(header::LOCATION, location), no_store]).into_response(),
            Err(_) => Failure::internal("The new address cannot be told.").into_problem(),
        };
    }
    let allow = response.headers_mut().remove(header::ALLOW);
    let cookies = response.headers_mut().remove(header::SET_COOKIE);
    let for_people = matches!(Area::of(&arrival.path), Area::Page | Area::Open) && !is_api(&arrival.path);
    let mut dressed = if !for_people || is_webhook(&arrival.path) {
        failure.into_problem()
    } else {
        let html = app.error_page(&failure, visitor);
        failure.into_page(html)
    };
    if let Some(allow) = allow {
        dressed.headers_mut().insert(header::ALLOW, allow);
    }
    if let Some(cookie) = cookies {
        dressed.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    dressed
}

#[cfg(test)]
pub(crate) mod tests {
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
    use crate::auth::{Doorman, Memory};

    pub(crate) fn settings() -> WebSettings {
        let inputs = config::Inputs::isolated(config::Role::Web, None, [("HOME", "/nonexistent")]);
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
        let client = endpoint.clients().unwrap();
        let aggregator = Aggregator::new(client, endpoint.to_string(), clock.clone(), Arc::default(), true);
        let settings = settings();
        let doorman = Doorman::new(&settings.auth, Memory::new().unwrap(), clock.clone()).unwrap();
        let stop = CancellationToken::new();
        let app = App::new(settings, aggregator, doorman, endpoint.to_string(), clock, stop);
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
}
