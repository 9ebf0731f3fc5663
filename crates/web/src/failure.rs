//! What goes wrong on the way to an answer, and the one place where it becomes a page or a problem document.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::aggregator::{AskError, PATIENCE};
use crate::auth::{Denied, Refusal};

/// Seconds after which a client may try again while the aggregator is away.
const RETRY_AFTER: u64 = 2;

/// A failed request: status, a few words, a sentence. Handlers return it bare; [`crate::gate`] dresses it for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure(Box<What>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct What {
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// The words that would have been right.
    pub(crate) allowed: Vec<&'static str>,
    retry_after: Option<u64>,
    /// Where it is now, below the base path, for a redirect.
    pub(crate) location: Option<String>,
    /// By which the logs know the request; set when the failure is dressed.
    pub(crate) request_id: Option<String>,
}

impl std::ops::Deref for Failure {
    type Target = What;
    fn deref(&self) -> &What {
        &self.0
    }
}

impl std::ops::DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut What {
        &mut self.0
    }
}

impl Failure {
    fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(What {
            status,
            title,
            detail: detail.into(),
            hint: None,
            allowed: Vec::new(),
            retry_after: None,
            location: None,
            request_id: None,
        }))
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "This request cannot be understood", detail)
    }

    /// A parameter whose value is none of `allowed`.
    pub(crate) fn not_allowed(parameter: &str, value: &str, allowed: &[&'static str]) -> Self {
        let value: String = value.chars().take(60).collect();
        let mut failure = Self::bad_request(format!("{parameter} {value:?} is not known"))
            .hint(format!("Known are: {}.", allowed.join(", ")));
        failure.allowed = allowed.to_vec();
        failure
    }

    pub(crate) fn no_such_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is no such page", "Nothing is served at this address.")
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", what).hint(
            "It may have been deleted or renamed on its platform, or the token of its source may not see it.",
        )
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "This cannot be done here",
            "Only GET and HEAD are understood.",
        )
    }

    pub(crate) fn only_post() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "This cannot be done here", "Only POST is understood.")
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let detail = format!("A body here has at most {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "This body is too large", detail)
    }

    pub(crate) fn headers_too_large(limit: usize) -> Self {
        let detail = format!("The headers of a webhook have at most {limit} bytes.");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "These headers are too large", detail)
    }

    pub(crate) fn unsupported_media(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This form of body is not read", detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "This is not believed", detail)
    }

    /// The same whether there is no such source or it takes no webhooks: nobody learns by asking what is configured.
    pub(crate) fn no_webhooks() -> Self {
        let detail = "There is no source of this name with a webhook_secret.";
        Self::new(StatusCode::NOT_FOUND, "Not found", detail)
    }

    pub(crate) fn too_slow_to_arrive() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "This took too long", "The body did not arrive in time.")
    }

    /// Too much is on its way in at this moment.
    pub(crate) fn no_room() -> Self {
        let detail = "Too many bodies are being received at this moment.";
        let mut failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, "No room now", detail);
        failure.retry_after = Some(RETRY_AFTER);
        failure
    }

    /// A webhook that was believed could not be written down.
    pub(crate) fn not_kept(why: String) -> Self {
        let detail = format!("It could not be written down, and is to be sent again: {why}.");
        let mut failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not taken", detail);
        failure.retry_after = Some(RETRY_AFTER);
        failure
    }

    /// Who is there has to be shown.
    pub(crate) fn not_signed_in() -> Self {
        let detail = "This is for those who have signed in.";
        Self::new(StatusCode::UNAUTHORIZED, "Sign in first", detail)
    }

    /// The same where a proxy says who is there, and said nothing.
    pub(crate) fn not_named() -> Self {
        let detail = "The reverse proxy did not say who you are.";
        Self::new(StatusCode::UNAUTHORIZED, "Sign in first", detail)
            .hint("Open the address that the proxy has; whoever runs it has it send the header that auth.proxy names.")
    }

    /// To the page where one signs in, and then back to `next`.
    pub(crate) fn sign_in(address: String) -> Self {
        let detail = "This is for those who have signed in.";
        let mut failure = Self::new(StatusCode::SEE_OTHER, "Sign in first", detail);
        failure.location = Some(address);
        failure
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(Denied::Wrong) => {
                let detail = "The password or token that was shown lets nobody in.";
                Self::new(StatusCode::UNAUTHORIZED, "Not let in", detail)
            }
            Refusal::Denied(Denied::Limited(wait)) => {
                let detail = "Too many attempts were wrong.";
                let mut failure = Self::new(StatusCode::TOO_MANY_REQUESTS, "Not now", detail);
                failure.retry_after = Some(wait.as_secs().max(1));
                failure
            }
            Refusal::Denied(Denied::Busy) => {
                let detail = "Too many passwords are being checked at this moment.";
                let mut failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not now", detail);
                failure.retry_after = Some(RETRY_AFTER);
                failure
            }
            Refusal::Insecure => Self::new(
                StatusCode::FORBIDDEN,
                "Not over plain HTTP",
                "A password came over plain HTTP from another machine, where it can be read on its way. Use https://; \
                 server.tls or a trusted proxy that says X-Forwarded-Proto: https makes it so.",
            ),
            Refusal::NoProxyOfOurs => Self::new(
                StatusCode::FORBIDDEN,
                "This is not believed",
                "Who is there is told by a proxy of server.trusted_proxies alone, and this connection comes from elsewhere.",
            ),
            Refusal::AmbiguousProxy => Self::new(
                StatusCode::FORBIDDEN,
                "This is not believed",
                "The user is named more than once. Have the proxy replace the header, not add to it.",
            ),
        }
    }

    pub(crate) fn cross_site() -> Self {
        let detail = "This came from a page of another site.";
        Self::new(StatusCode::FORBIDDEN, "This is not believed", detail)
    }

    pub(crate) fn bad_form() -> Self {
        Self::bad_request("The form is not what the page here sends.")
    }

    pub(crate) fn uri_too_long(limit: usize) -> Self {
        let detail = format!("An address here has at most {limit} bytes.");
        Self::new(StatusCode::URI_TOO_LONG, "This address is too long", detail)
    }

    pub(crate) fn wrong_host() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "Not served under this name",
            "The request's Host is none of the names that this server goes by: server.allowed_hosts lists them.",
        )
    }

    pub(crate) fn too_slow() -> Self {
        let mut failure = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "This took too long",
            "The answer was not ready in time.",
        );
        failure.retry_after = Some(RETRY_AFTER);
        failure
    }

    pub(crate) fn too_many_streams() -> Self {
        let mut failure = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many live pages",
            "No further live connection can be kept now.",
        );
        failure.retry_after = Some(60);
        failure
    }

    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something broke on our side", detail)
            .hint("The log of the web daemon says more.")
    }

    pub(crate) fn redirect(to: String) -> Self {
        let mut failure =
            Self::new(StatusCode::FOUND, "It is elsewhere", "This is known under another address.");
        failure.location = Some(to);
        failure
    }

    fn away(why: &str) -> Self {
        let detail = format!("The aggregator did not come back within {} s ({why}).", PATIENCE.as_secs());
        let mut failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, "The aggregator is away", detail).hint(
            "The connection is made again by itself; nothing has to be restarted here. Pages that were \
                 shown before can still be seen.",
        );
        failure.retry_after = Some(RETRY_AFTER);
        failure
    }

    /// As an RFC 9457 problem document.
    pub(crate) fn into_problem(self) -> Response {
        let mut body = Map::new();
        body.insert("type".into(), json!("about:blank"));
        body.insert("title".into(), json!(self.title));
        body.insert("status".into(), json!(self.status.as_u16()));
        body.insert("detail".into(), json!(self.detail));
        if !self.allowed.is_empty() {
            body.insert("allowed".into(), json!(self.allowed));
        }
        if let Some(id) = &self.request_id {
            body.insert("request_id".into(), json!(id));
        }
        let body = Value::Object(body).to_string();
        self.with_headers(([(header::CONTENT_TYPE, "application/problem+json")], body).into_response())
    }

    /// As a page whose HTML is `html`.
    pub(crate) fn into_page(self, html: String) -> Response {
        self.with_headers(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
    }

    fn with_headers(&self, mut response: Response) -> Response {
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Bare: only the status, and itself for [`crate::gate`].
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Away(why) => Self::away(&why),
            AskError::NotFound(what) => Self::not_found(what),
            AskError::Invalid(what) => Self::bad_request(what),
            AskError::Unread(why) => {
                let mut failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, "This cannot be read now", why)
                    .hint("It may be there in a moment; the state of its source on the overview says more.");
                failure.retry_after = Some(RETRY_AFTER);
                failure
            }
            AskError::NotKept(what) => Self::new(StatusCode::NOT_FOUND, "This is not kept here", what),
            AskError::Fault(why) => {
                Self::new(StatusCode::BAD_GATEWAY, "The aggregator failed", why).hint("Its log says more.")
            }
        }
    }
}
