//! The client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::{Clock, Timestamp, encode_segment};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, IF_MODIFIED_SINCE, IF_NONE_MATCH, LOCATION, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;
use tracing::Instrument as _;
use url::Url;

use super::etag::Store;
use super::failure::{of_status, of_transport, place, too_slow};
use super::limits::{Budget, Limits};
use super::response::{Response, Tail};
use super::settings::{Auth, ClientSettings, Timeouts};
use super::traffic::{Counter, Ended, Traffic};
use crate::{Error, Result};

/// Requests of one source at a time. GitHub asks for at most 100 over everything that a user runs.
pub const MAX_CONCURRENT: usize = 8;
/// How often a request that failed in passing is tried again.
const RETRIES: u32 = 2;
/// Before the first retry; doubled for each further one, with jitter.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// The longest `Retry-After` that is waited for within a call; a longer one is the caller's to wait.
const MAX_WAIT_INSIDE: Duration = Duration::from_secs(3);
/// Redirects within the host that are followed.
const MAX_REDIRECTS: usize = 5;
/// The most that is read of a log to find its end, where the platform cannot give the end alone.
const MAX_LOG_STREAM: u64 = 256 * 1024 * 1024;

struct Inner {
    settings: ClientSettings,
    timeouts: Timeouts,
    clock: Arc<dyn Clock>,
    http: reqwest::Client,
    headers: HeaderMap,
    permits: Semaphore,
    limits: Limits,
    kept: Store,
    traffic: Counter,
}

/// One source's client. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("source", &self.0.settings.source).finish_non_exhaustive()
    }
}

/// An answer as it came, before it is judged.
struct Raw {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    url: Url,
}

impl Client {
    /// The largest body that is read: a page of 100 GitHub runs is about 1.5 MB.
    pub const MAX_BODY: usize = 16 * 1024 * 1024;

    /// Builds it. No I/O but reading the CA file.
    ///
    /// # Errors
    /// In words, when the CA file, proxy or a header cannot be used.
    pub fn new(settings: ClientSettings, clock: Arc<dyn Clock>) -> std::result::Result<Self, String> {
        Self::with_timeouts(settings, clock, Timeouts::default())
    }

    /// The same with other bounds of time, for tests.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_timeouts(
        settings: ClientSettings,
        clock: Arc<dyn Clock>,
        timeouts: Timeouts,
    ) -> std::result::Result<Self, String> {
        // Whoever was first wins; all of ours bring the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("ci-dashboard/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timeouts.connect)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        if let Some(file) = &settings.ca_file {
            let named = |e: &dyn fmt::Display| format!("ca_file {}: {e}", file.display());
            let pem = std::fs::read(file).map_err(|e| named(&e))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| named(&e))?;
            if certificates.is_empty() {
                return Err(named(&"holds no certificate"));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some(proxy) = &settings.proxy {
            let proxy =
                reqwest::Proxy::all(proxy.as_str()).map_err(|_| "proxy: is no proxy's URL".to_owned())?;
            builder = builder.proxy(proxy);
        }
        if settings.insecure_skip_verify {
            tracing::warn!(source = %settings.source, "insecure_skip_verify: any certificate is accepted, so anybody in between can read the token");
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let http =
            builder.build().map_err(|e| format!("cannot set up the HTTP client: {}", e.without_url()))?;
        let headers = headers_of(&settings)?;
        Ok(Self(Arc::new(Inner {
            settings,
            timeouts,
            clock,
            http,
            headers,
            permits: Semaphore::new(MAX_CONCURRENT),
            limits: Limits::default(),
            kept: Store::default(),
            traffic: Counter::default(),
        })))
    }

    /// A URL below the base: each segment percent-encoded as one, query appended.
    #[must_use]
    pub fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.0.settings.base.clone();
        let mut path = url.path().trim_end_matches('/').to_owned();
        for segment in segments {
            path.push('/');
            path.push_str(&encode_segment(segment));
        }
        url.set_path(&path);
        url.set_query(None);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// What is left of the rate limit, as last told.
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        self.0.limits.budget(self.now())
    }

    /// Requests so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.0.traffic.traffic(self.now())
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// GETs a URL, conditionally where an earlier answer is kept. `endpoint` is the template for metrics and messages:
    /// `GET /projects/:id`.
    ///
    /// # Errors
    /// See [`Error`]; only 2xx is Ok.
    pub async fn get(&self, endpoint: &'static str, url: Url) -> Result<Response> {
        let span = tracing::debug_span!("request", source = %self.0.settings.source, endpoint);
        self.tried(endpoint, url).instrument(span).await
    }

    async fn tried(&self, endpoint: &'static str, url: Url) -> Result<Response> {
        self.admit(&url)?;
        let _permit = self.permit().await?;
        let mut attempt = 0;
        loop {
            // While it waited for a permit or between tries, another request may have learnt of the limit.
            self.check_gate()?;
            let error = match self.once(endpoint, url.clone()).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let error = self.note_limit(error);
            let wait = match &error {
                Error::Server(_) | Error::Unreachable(_) if attempt < RETRIES => {
                    RETRY_PAUSE.saturating_mul(1 << attempt).mul_f64(0.5 + rand::random::<f64>())
                }
                Error::RateLimited { until: Some(until) } if attempt < RETRIES => {
                    let wait = Duration::try_from(until.duration_since(self.now())).unwrap_or_default();
                    if wait > MAX_WAIT_INSIDE {
                        return Err(error);
                    }
                    wait
                }
                _ => return Err(error),
            };
            attempt += 1;
            tracing::debug!(%error, attempt, "trying again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn permit(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        self.0.permits.acquire().await.map_err(|_| Error::Unreachable("shutting down".to_owned()))
    }

    /// Only below the configured host: a URL that came from outside must not carry the token elsewhere.
    fn admit(&self, url: &Url) -> Result<()> {
        let base = &self.0.settings.base;
        if url.origin() == base.origin() {
            return Ok(());
        }
        Err(Error::Redirect(format!(
            "{} is not {}; not asked, since the token belongs to the latter",
            place(url),
            place(base)
        )))
    }

    fn check_gate(&self) -> Result<()> {
        match self.0.limits.closed_until(self.now()) {
            Some(until) => Err(Error::RateLimited { until: Some(until) }),
            None => Ok(()),
        }
    }

    fn note_limit(&self, error: Error) -> Error {
        match error {
            Error::RateLimited { until } => {
                Error::RateLimited { until: Some(self.0.limits.pause(until, self.now())) }
            }
            other => other,
        }
    }

    async fn once(&self, endpoint: &'static str, url: Url) -> Result<Response> {
        let limit = self.0.timeouts.request;
        let outcome = tokio::time::timeout(limit, self.conditional(endpoint, &url)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(too_slow(limit, &url)));
        let ended = match &outcome {
            Ok(r) if r.not_modified => Ended::NotModified,
            Ok(_) => Ended::Well,
            Err(_) => Ended::Badly,
        };
        self.0.traffic.count(endpoint, ended, self.now());
        outcome
    }

    async fn conditional(&self, endpoint: &'static str, url: &Url) -> Result<Response> {
        let kept = self.0.kept.get(url.as_str());
        let mut extra = HeaderMap::new();
        if let Some(kept) = &kept {
            let (name, value) = match (&kept.etag, &kept.last_modified) {
                (Some(etag), _) => (IF_NONE_MATCH, etag),
                (None, Some(at)) => (IF_MODIFIED_SINCE, at),
                (None, None) => (IF_NONE_MATCH, &String::new()),
            };
            if let Ok(value) = HeaderValue::from_str(value) {
                extra.insert(name, value);
            }
        }
        let raw = self.follow(url, &extra).await?;
        self.0.limits.learn(&raw.headers, self.0.settings.dialect.budget, self.now());
        let respond = |status, headers, body, not_modified| Response {
            status,
            headers,
            body,
            not_modified,
            url: raw.url.clone(),
            endpoint,
            title: self.0.settings.dialect.title,
            base: self.0.settings.base.clone(),
        };
        if raw.status == StatusCode::NOT_MODIFIED {
            let unkept =
                || Error::Garbage(format!("{} says unchanged of what it was not asked for", place(&raw.url)));
            let kept = kept.ok_or_else(unkept)?;
            let Some(body) = kept.body() else {
                self.0.kept.forget(url.as_str());
                return Err(Error::Server("a kept answer does not unpack".to_owned()));
            };
            return Ok(respond(StatusCode::OK, kept.headers.clone(), body, true));
        }
        if raw.status.is_success() {
            self.0.kept.put(url.as_str(), &raw.headers, &raw.body);
            return Ok(respond(raw.status, raw.headers.clone(), raw.body.clone(), false));
        }
        let dialect = &self.0.settings.dialect;
        Err(of_status(raw.status, &raw.headers, &raw.body, dialect, endpoint, &raw.url, self.now()))
    }

    /// Sends, and follows redirects as long as they stay at the same scheme, host and port.
    async fn follow(&self, url: &Url, extra: &HeaderMap) -> Result<Raw> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&url, extra).await?;
            if let Some(target) = redirect(response.status(), response.headers(), &url)? {
                self.admit(&target).map_err(|_| self.refused(&url, &target))?;
                url = target;
                continue;
            }
            let (status, headers) = (response.status(), response.headers().clone());
            let body = self.body(response, &url).await?;
            return Ok(Raw { status, headers, body, url });
        }
        Err(Error::Redirect(format!("{} redirects in circles", place(&url))))
    }

    fn refused(&self, from: &Url, to: &Url) -> Error {
        let (title, from, to) = (self.0.settings.dialect.title, place(from), place(to));
        Error::Redirect(format!(
            "{title} at {from} redirects to {to}; not followed, since the token belongs to {from}"
        ))
    }

    async fn send(&self, url: &Url, extra: &HeaderMap) -> Result<reqwest::Response> {
        let request = self.0.http.get(url.clone()).headers(self.0.headers.clone()).headers(extra.clone());
        request.send().await.map_err(|e| of_transport(e, &self.0.settings.dialect, url))
    }

    /// Reads a body to its end, as long as that is not too far.
    async fn body(&self, mut response: reqwest::Response, url: &Url) -> Result<Bytes> {
        let mut body = BytesMut::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|e| of_transport(e, &self.0.settings.dialect, url))?
        {
            if body.len() + chunk.len() > Self::MAX_BODY {
                let (title, at, max) =
                    (self.0.settings.dialect.title, place(url), Self::MAX_BODY / 1024 / 1024);
                return Err(Error::Garbage(format!("{title} at {at} answered with more than {max} MiB")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// GETs the end of a long body, keeping at most `max_bytes`. A redirect to another host is followed once, without
    /// any credential or header of ours: log downloads live in object storage. Where that redirect leads never gets into
    /// a message, since it is signed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get_tail(&self, endpoint: &'static str, url: Url, max_bytes: usize) -> Result<Tail> {
        self.admit(&url)?;
        let _permit = self.permit().await?;
        self.check_gate()?;
        let limit = self.0.timeouts.log;
        let outcome = tokio::time::timeout(limit, self.tail(endpoint, &url, max_bytes)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(too_slow(limit, &url)));
        let ended = if outcome.is_ok() { Ended::Well } else { Ended::Badly };
        self.0.traffic.count(endpoint, ended, self.now());
        outcome.map_err(|e| self.note_limit(e))
    }

    async fn tail(&self, endpoint: &'static str, url: &Url, max_bytes: usize) -> Result<Tail> {
        // The end is asked for as it is stored: a range of compressed bytes would be of no use.
        let plain: HeaderMap =
            [(ACCEPT_ENCODING, HeaderValue::from_static("identity"))].into_iter().collect();
        let mut url = url.clone();
        let mut response = self.send(&url, &plain).await?;
        for _ in 0..MAX_REDIRECTS {
            let Some(target) = redirect(response.status(), response.headers(), &url)? else { break };
            if self.admit(&target).is_err() {
                let mut bare = plain.clone();
                if let Ok(range) = HeaderValue::from_str(&format!("bytes=-{max_bytes}")) {
                    bare.insert(RANGE, range);
                }
                response = self
                    .0
                    .http
                    .get(target.clone())
                    .headers(bare)
                    .send()
                    .await
                    .map_err(|e| of_transport(e, &self.0.settings.dialect, &target))?;
                url = target;
                break;
            }
            url = target;
            response = self.send(&url, &plain).await?;
        }
        let status = response.status();
        if url.origin() == self.0.settings.base.origin() {
            self.0.limits.learn(response.headers(), self.0.settings.dialect.budget, self.now());
        }
        // Nothing there to take the end of.
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(Tail { bytes: Bytes::new(), truncated: false });
        }
        if !status.is_success() {
            let headers = response.headers().clone();
            let body = self.body(response, &url).await?;
            return Err(of_status(
                status,
                &headers,
                &body,
                &self.0.settings.dialect,
                endpoint,
                &url,
                self.now(),
            ));
        }
        let from = response
            .headers()
            .get("content-range")
            .and_then(|v| v.to_str().ok()?.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
        let (mut kept, mut seen) = (BytesMut::new(), 0_u64);
        while let Some(chunk) =
            response.chunk().await.map_err(|e| of_transport(e, &self.0.settings.dialect, &url))?
        {
            seen += chunk.len() as u64;
            kept.extend_from_slice(&chunk);
            if kept.len() > max_bytes.saturating_mul(2) {
                let _ = kept.split_to(kept.len() - max_bytes);
            }
            if seen > MAX_LOG_STREAM {
                return Err(Error::Garbage(format!(
                    "the log is longer than {} MiB",
                    MAX_LOG_STREAM / 1024 / 1024
                )));
            }
        }
        let cut = kept.len().saturating_sub(max_bytes);
        let _ = kept.split_to(cut);
        Ok(Tail { truncated: seen > kept.len() as u64 || from.is_some_and(|f| f > 0), bytes: kept.freeze() })
    }
}

/// Where a redirect leads; `None` when this is none.
fn redirect(status: StatusCode, headers: &HeaderMap, from: &Url) -> Result<Option<Url>> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let target = headers.get(LOCATION).and_then(|v| v.to_str().ok()).and_then(|l| from.join(l).ok());
    let target = target.filter(|t| matches!(t.scheme(), "http" | "https"));
    target.map(Some).ok_or_else(|| Error::Redirect(format!("{} redirects to nowhere", place(from))))
}

fn headers_of(settings: &ClientSettings) -> std::result::Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in settings.dialect.headers {
        let value = HeaderValue::from_str(value).map_err(|_| format!("{name} is no header value"))?;
        headers.insert(
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name} is no header"))?,
            value,
        );
    }
    let secret = |text: &str| {
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| "the token holds characters that no header may hold".to_owned())?;
        value.set_sensitive(true);
        Ok::<_, String>(value)
    };
    match &settings.auth {
        Auth::Anonymous => {}
        Auth::Bearer(token) => {
            headers.insert(AUTHORIZATION, secret(&format!("Bearer {}", token.expose_secret()))?);
        }
        Auth::Basic { user, password } => {
            use base64::Engine as _;
            let pair = base64::engine::general_purpose::STANDARD
                .encode(format!("{user}:{}", password.expose_secret()));
            headers.insert(AUTHORIZATION, secret(&format!("Basic {pair}"))?);
        }
        Auth::Header { name, value } => {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name} is no header"))?;
            headers.insert(name, secret(value.expose_secret())?);
        }
    }
    Ok(headers)
}
