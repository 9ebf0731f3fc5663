//! The client.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::{Clock, RequestId, Timestamp, encode_segment};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;
use url::Url;

use super::answers::{Answers, Listener};
use super::auth::{Auth, Who, header_name};
use super::budget;
use super::etag::Store;
use super::failure::{
    Asked, Failure, Then, Try, broken_off, of_status, of_transport, place, stalled, too_large, too_slow,
};
use super::gate::PATIENCE;
use super::lanes::{Lane, Lanes};
use super::on_behalf::asked_by;
use super::post::Post;
use super::redirect::{MAX_REDIRECTS, may_carry_token, target};
use super::response::Response;
use super::settings::{ClientSettings, Limits};
use super::traffic::{Counter, Ended, Traffic};
use super::transport;
use crate::{Error, Result};

/// No credential has this generation.
const NONE_REFUSED: u64 = u64::MAX;
/// How much of an answer that is no success is read, in bytes.
const MAX_REFUSAL: usize = 64 * 1024;

pub(super) struct Inner {
    pub(super) settings: Arc<ClientSettings>,
    pub(super) limits: Limits,
    clock: Arc<dyn Clock>,
    http: reqwest::Client,
    /// What every request to the platform has and no other: the dialect's headers, and the token unless it is renewed.
    own: HeaderMap,
    permits: Semaphore,
    pub(super) lanes: Lanes,
    pub(super) kept: Arc<Store>,
    listener: Listener,
    pub(super) traffic: Counter,
    /// The hourly limit that the platform named; 0: none yet.
    pub(super) told_hourly: AtomicU64,
    /// Who asks, by the credential of this generation.
    pub(super) who: Mutex<(u64, Who)>,
    /// Which credential, by its generation, was refused last; [`NONE_REFUSED`] before any was.
    refused: AtomicU64,
}

/// One source's client. Cheap to clone.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Inner>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("source", &self.0.settings.source).finish_non_exhaustive()
    }
}

impl Client {
    /// The largest body that is read, in bytes after decompression: a page of 100 GitHub runs is about 1.5 MB.
    pub const MAX_BODY: usize = 16 * 1024 * 1024;

    /// Builds it. No I/O but reading certificates.
    ///
    /// # Errors
    /// In words, when the CA file, the proxy or a header cannot be used. Never with a secret.
    pub fn new(settings: ClientSettings, clock: Arc<dyn Clock>) -> std::result::Result<Self, String> {
        Self::with_limits(settings, clock, Limits::default())
    }

    /// The same with bounds of its own.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_limits(
        mut settings: ClientSettings,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> std::result::Result<Self, String> {
        // A user in the URL would be sent beside the token, and shown wherever the URL is.
        if !settings.base.username().is_empty() || settings.base.password().is_some() {
            return Err("url must not hold a user or password: give user and token".to_owned());
        }
        settings.base.set_fragment(None);
        settings.base.set_query(None);
        let http = transport::build(&settings, limits.timeouts)?;
        let mut own = HeaderMap::new();
        for (name, value) in settings.dialect.headers {
            let value = HeaderValue::from_str(value).map_err(|_| format!("{name}: no value of a header"))?;
            own.insert(header_name(name)?, value);
        }
        settings.auth.put_into(&mut own)?;
        let listener = Listener::default();
        let generation =
            if let Auth::Renewed(credentials) = &settings.auth { credentials.generation() } else { 0 };
        let who = settings.auth.who();
        let kept = Store::new(limits.kept_bytes, settings.dialect.headers, who, listener.clone());
        Ok(Self(Arc::new(Inner {
            settings: Arc::new(settings),
            limits,
            clock,
            http,
            own,
            permits: Semaphore::new(limits.concurrent.max(1)),
            lanes: Lanes::default(),
            kept: Arc::new(kept),
            listener,
            traffic: Counter::default(),
            told_hourly: AtomicU64::new(0),
            who: Mutex::new((generation, who)),
            refused: AtomicU64::new(NONE_REFUSED),
        })))
    }

    /// A URL below the base: each segment percent-encoded as one, query appended. A segment `.` or `..`, which URLs
    /// cannot express, becomes one that names nothing rather than another resource.
    #[must_use]
    pub fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.0.settings.base.clone();
        let mut path = url.path().trim_end_matches('/').to_owned();
        for segment in segments {
            path.push('/');
            if matches!(*segment, "." | "..") {
                path.push_str(&encode_segment(&encode_segment(segment)));
            } else {
                path.push_str(&encode_segment(segment));
            }
        }
        url.set_path(&path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Requests so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.0.traffic.traffic(self.now())
    }

    /// Its kept answers.
    #[must_use]
    pub fn answers(&self) -> Answers {
        Answers::new(&self.0.kept, &self.0.listener)
    }

    pub(super) fn settings(&self) -> &ClientSettings {
        &self.0.settings
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(super) fn asked(&self, endpoint: &'static str) -> Asked<'_> {
        Asked::new(&self.0.settings, endpoint, self.now())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// GETs a URL, conditionally where an earlier answer is kept. `endpoint` is the template for metrics and messages:
    /// `GET /projects/:id`.
    ///
    /// # Errors
    /// See [`Error`]; only 2xx is Ok.
    pub async fn get(&self, endpoint: &'static str, url: Url) -> Result<Response> {
        let (url, total) = (&url, self.0.limits.timeouts.total);
        self.tries(endpoint, url, total, || self.once(endpoint, url)).await
    }

    /// POSTs. A redirect is not followed: 302 and 303, with which some platforms end a form, come back as they are, any
    /// other is an error.
    ///
    /// # Errors
    /// See [`Error`]; 400, 409 and 422 are [`Error::Refused`].
    pub async fn post(&self, endpoint: &'static str, url: Url, post: Post) -> Result<Response> {
        let (url, post, total) = (&url, &post, self.0.limits.timeouts.total);
        let lane = &*self.0.lanes.of(post.resource);
        self.tries_in(lane, endpoint, url, total, || async move {
            let outcome = self.post_once(endpoint, url, post, lane).await;
            // What may have been done must not be done twice.
            let once_only = |failure: Failure| match failure.then {
                Then::Again if !post.repeatable => Failure::last(failure.error),
                _ => failure,
            };
            outcome.map_err(once_only)
        })
        .await
    }

    async fn post_once(&self, endpoint: &'static str, url: &Url, post: &Post, lane: &Lane) -> Try<Response> {
        let asked = self.asked(endpoint);
        let answer = self.send_post(endpoint, url, post, lane).await?;
        let status = answer.status();
        if status.is_redirection() && !matches!(status, StatusCode::FOUND | StatusCode::SEE_OTHER) {
            let (title, at, code) = (self.0.settings.dialect.title, place(url), status.as_u16());
            let words = format!("{title} at {at} redirects {} ({code}): not followed", asked.path());
            return Err(Failure::last(Error::Redirect(words)));
        }
        if !status.is_success() && !status.is_redirection() {
            return Err(self.refusal(endpoint, answer, url).await);
        }
        let headers = answer.headers().clone();
        let body = self.body(answer, self.0.limits.body_bytes, url, &asked).await?;
        let (url, settings) = (url.clone(), Arc::clone(&self.0.settings));
        Ok(Response { status, headers, body, not_modified: false, url, endpoint, settings })
    }

    /// Tries until it works or is of no more use. A try has a permit and at most `total`.
    pub(super) async fn tries<T, F: Future<Output = Try<T>>>(
        &self,
        endpoint: &'static str,
        url: &Url,
        total: Duration,
        once: impl Fn() -> F,
    ) -> Result<T> {
        self.tries_in(&self.0.lanes.of(None), endpoint, url, total, once).await
    }

    /// The same, paid from any resource.
    async fn tries_in<T, F: Future<Output = Try<T>>>(
        &self,
        lane: &Lane,
        endpoint: &'static str,
        url: &Url,
        total: Duration,
        once: impl Fn() -> F,
    ) -> Result<T> {
        if !may_carry_token(&self.0.settings.base, url) {
            return Err(self.refused(&self.0.settings.base, url).error);
        }
        let Auth::Renewed(credentials) = &self.0.settings.auth else {
            return self.tries_anywhere(lane, endpoint, url, total, once).await;
        };
        let generation = credentials.generation();
        match self.tries_anywhere(lane, endpoint, url, total, &once).await {
            Err(Error::Unauthorized(_)) if credentials.refused(generation).await => {
                self.tries_anywhere(lane, endpoint, url, total, once).await
            }
            Err(error @ Error::Unauthorized(_)) => {
                self.0.refused.store(generation, Ordering::Relaxed);
                Err(error)
            }
            outcome => outcome,
        }
    }

    /// Whether there is another credential now than the one that was refused last, or than the one for which so much was counted.
    pub async fn has_new_credential(&self) -> bool {
        let Auth::Renewed(credentials) = &self.0.settings.auth else { return false };
        let refused = self.0.refused.load(Ordering::Relaxed);
        // Looks whether there is, where it has not for a while.
        if credentials.current().await.is_err() {
            return false;
        }
        let another = self.notice();
        another || (refused != NONE_REFUSED && credentials.generation() != refused)
    }

    /// The same for what need not go to the platform: the caller answers for where it goes.
    pub(super) async fn tries_elsewhere<T, F: Future<Output = Try<T>>>(
        &self,
        endpoint: &'static str,
        url: &Url,
        total: Duration,
        once: impl Fn() -> F,
    ) -> Result<T> {
        self.tries_anywhere(&self.0.lanes.of(None), endpoint, url, total, once).await
    }

    async fn tries_anywhere<T, F: Future<Output = Try<T>>>(
        &self,
        lane: &Lane,
        endpoint: &'static str,
        url: &Url,
        total: Duration,
        once: impl Fn() -> F,
    ) -> Result<T> {
        let mut tried = 0;
        loop {
            let permit = self.0.permits.acquire().await;
            self.pass(lane).await?;
            let span = tracing::debug_span!("request", source = %self.0.settings.source, endpoint, tried);
            let outcome = timeout(total, once()).instrument(span).await;
            drop(permit);
            let failure = match outcome.unwrap_or_else(|_| Err(too_slow(total, url))) {
                Ok(answer) => return Ok(answer),
                Err(Failure { then: Then::BackOff, .. }) => {
                    let now = self.now();
                    Failure::limited(self.0.lanes.back_off.pause(now, rand::random()), now)
                }
                Err(failure) => failure,
            };
            let mut pause = Duration::ZERO;
            if let Then::Pause(told) = failure.then {
                self.0.lanes.pause(lane, self.now(), told, failure.error.clone());
                pause = Duration::try_from(told).unwrap_or(Duration::MAX);
            }
            if failure.then == Then::Stop || pause > PATIENCE || tried >= self.0.limits.retries {
                tracing::debug!(source = %self.0.settings.source, endpoint, tried, error = %failure.error, "failed");
                return Err(failure.error);
            }
            tracing::debug!(source = %self.0.settings.source, endpoint, tried, error = %failure.error, "trying again");
            // The gate waits for its pause itself.
            sleep(self.jittered(tried).saturating_sub(pause)).await;
            tried += 1;
        }
    }

    /// Half to one and a half times what is due, so that those who failed together do not come back together.
    fn jittered(&self, tried: u32) -> Duration {
        let due = self.0.limits.retry_pause.saturating_mul(1 << tried.min(8));
        due.mul_f64(0.5 + rand::random::<f64>())
    }

    /// Waits for a pause that is nearly over; fails on a longer one, without asking.
    async fn pass(&self, lane: &Lane) -> Result<()> {
        self.notice();
        let shut = || {
            let now = self.now();
            self.0.lanes.closed(lane, now).or_else(|| {
                let until = self.0.traffic.spent_until(self.hourly()?, now)?;
                let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                Some((left, Error::RateLimited { until: Some(until) }))
            })
        };
        let Some((left, error)) = shut() else { return Ok(()) };
        if left > PATIENCE {
            return Err(error);
        }
        sleep(left).await;
        match shut() {
            Some((left, error)) if left > PATIENCE => Err(error),
            _ => Ok(()),
        }
    }

    async fn once(&self, endpoint: &'static str, url: &Url) -> Try<Response> {
        let asked = self.asked(endpoint);
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = self.with_own(&HeaderMap::new()).await?;
            let name = self.0.kept.name(&url);
            let kept = self.0.kept.find(&name);
            if let Some(kept) = &kept {
                kept.put_into(&mut headers);
            }
            let answer = self.send(endpoint, &url, headers).await?;
            let status = answer.status();
            let respond = |status, headers, body, not_modified| Response {
                status,
                headers,
                body,
                not_modified,
                url: url.clone(),
                endpoint,
                settings: Arc::clone(&self.0.settings),
            };
            if let Some(to) = target(status, answer.headers(), &url)? {
                if !may_carry_token(&self.0.settings.base, &to) {
                    return Err(self.refused(&url, &to));
                }
                url = to;
            } else if status == StatusCode::NOT_MODIFIED {
                let Some(kept) = kept else {
                    let words = format!("{} calls unchanged what was never read", place(&url));
                    return Err(Failure::last(Error::Garbage(words)));
                };
                let Some(body) = kept.body() else {
                    self.0.kept.forget(&name);
                    return Err(Failure::passing(Error::Garbage("a kept answer does not unpack".to_owned())));
                };
                return Ok(respond(kept.status, kept.headers(answer.headers()), body, true));
            } else if status.is_success() {
                let headers = answer.headers().clone();
                let body = self.body(answer, self.0.limits.body_bytes, &url, &asked).await?;
                self.0.kept.put(&name, status, &headers, &body);
                return Ok(respond(status, headers, body, false));
            } else {
                return Err(self.refusal(endpoint, answer, &url).await);
            }
        }
        Err(self.in_circles(&url))
    }

    /// What is ours on every request to the platform, whose request it is asked for, and `more`.
    pub(super) async fn with_own(&self, more: &HeaderMap) -> Try<HeaderMap> {
        let mut headers = self.0.own.clone();
        if let Auth::Renewed(credentials) = &self.0.settings.auth {
            let auth = credentials.current().await.map_err(Failure::last)?;
            self.notice();
            auth.put_into(&mut headers).map_err(|why| Failure::last(Error::Unauthorized(why)))?;
        }
        if let Some(id) = asked_by().and_then(|id| HeaderValue::from_str(id.as_str()).ok()) {
            headers.insert(HeaderName::from_static(RequestId::HEADER), id);
        }
        headers.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok(headers)
    }

    /// One GET to the platform, up to the head of its answer. Counted, and its rate limit read.
    pub(super) async fn send(
        &self,
        endpoint: &'static str,
        url: &Url,
        headers: HeaderMap,
    ) -> Try<reqwest::Response> {
        let lane = self.0.lanes.of(None);
        self.counted(endpoint, &lane, self.send_bare(endpoint, url, headers)).await
    }

    /// One POST to the platform, likewise.
    async fn send_post(
        &self,
        endpoint: &'static str,
        url: &Url,
        post: &Post,
        lane: &Lane,
    ) -> Try<reqwest::Response> {
        let request = self.0.http.post(url.clone()).headers(self.with_own(&post.headers).await?);
        self.counted(endpoint, lane, self.head_of(endpoint, url, request.body(post.body.clone()))).await
    }

    async fn counted(
        &self,
        endpoint: &'static str,
        lane: &Lane,
        sent: impl Future<Output = Try<reqwest::Response>>,
    ) -> Try<reqwest::Response> {
        let budgeted = self.0.lanes.is_main(lane);
        self.0.traffic.sent(endpoint, budgeted, self.now());
        let began = Instant::now();
        let outcome = sent.await;
        let ended = match &outcome {
            Ok(answer) if answer.status() == StatusCode::NOT_MODIFIED => {
                let known = !self.0.settings.auth.is_anonymous();
                Ended::NotModified { free: budgeted && known && self.0.settings.dialect.unmodified_is_free }
            }
            Ok(answer) if answer.status().as_u16() < 400 => Ended::Well,
            _ => Ended::Badly,
        };
        self.0.traffic.ended(endpoint, ended, began.elapsed());
        let answer = outcome?;
        let told = self
            .0
            .settings
            .dialect
            .budget
            .and_then(|names| budget::read(answer.headers(), names, self.now()));
        if let Some(told) = told {
            lane.meter.learn(told);
        }
        let dialect = &self.0.settings.dialect;
        if let (Some(_), Some(names)) = (dialect.hourly, dialect.budget)
            && let Some(limit) = budget::number(answer.headers(), names.limit)
        {
            self.0.told_hourly.store(limit, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// One GET to wherever, with these headers alone.
    pub(super) async fn send_bare(
        &self,
        endpoint: &'static str,
        url: &Url,
        headers: HeaderMap,
    ) -> Try<reqwest::Response> {
        self.head_of(endpoint, url, self.0.http.get(url.clone()).headers(headers)).await
    }

    /// Sends it and waits for the head of its answer.
    async fn head_of(
        &self,
        endpoint: &'static str,
        url: &Url,
        request: reqwest::RequestBuilder,
    ) -> Try<reqwest::Response> {
        let timeouts = self.0.limits.timeouts;
        let began = Instant::now();
        let answer = timeout(timeouts.answer, request.send()).await;
        let answer = answer
            .map_err(|_| too_slow(timeouts.answer, url))?
            .map_err(|e| of_transport(e, url, timeouts.connect, &self.asked(endpoint)))?;
        let (status, after) = (answer.status().as_u16(), began.elapsed());
        tracing::debug!(status, after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX), "answered");
        Ok(answer)
    }

    /// Reads a body to its end, as long as that is not too far.
    async fn body(
        &self,
        mut answer: reqwest::Response,
        max: usize,
        url: &Url,
        asked: &Asked<'_>,
    ) -> Try<Bytes> {
        let mut body = BytesMut::new();
        while let Some(chunk) = next_chunk(&mut answer, self.0.limits.timeouts.answer, url, asked).await? {
            if body.len() + chunk.len() > max {
                return Err(too_large(max as u64, url, asked));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// What an answer means that is no success. Its status counts even where its body is cut.
    pub(super) async fn refusal(
        &self,
        endpoint: &'static str,
        mut answer: reqwest::Response,
        url: &Url,
    ) -> Failure {
        let asked = self.asked(endpoint);
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = BytesMut::new();
        while let Ok(Some(chunk)) = next_chunk(&mut answer, self.0.limits.timeouts.answer, url, &asked).await
        {
            let room = MAX_REFUSAL - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == MAX_REFUSAL {
                break;
            }
        }
        of_status(status, &headers, &body, url, &asked)
    }

    pub(super) fn refused(&self, from: &Url, to: &Url) -> Failure {
        let (title, base) = (self.0.settings.dialect.title, &self.0.settings.base);
        let (from, to_scheme, to) = (place(from), to.scheme(), place(to));
        let (base_scheme, base) = (base.scheme(), place(base));
        Failure::last(Error::Redirect(format!(
            "{title} at {from} leads to {to_scheme}://{to}: not followed, since the token belongs to {base_scheme}://{base}"
        )))
    }

    pub(super) fn in_circles(&self, url: &Url) -> Failure {
        let (title, at) = (self.0.settings.dialect.title, place(url));
        let words = format!("{title} at {at} redirects more than {MAX_REDIRECTS} times");
        Failure::last(Error::Redirect(words))
    }
}

/// The next piece of a body, `None` at its end.
pub(super) async fn next_chunk(
    answer: &mut reqwest::Response,
    within: Duration,
    url: &Url,
    asked: &Asked<'_>,
) -> Try<Option<Bytes>> {
    let chunk = timeout(within, answer.chunk()).await.map_err(|_| stalled(within, url))?;
    chunk.map_err(|e| broken_off(e, url, asked))
}
