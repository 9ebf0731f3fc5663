//! `/sign-in` and `/sign-out`: a form that works everywhere, without a script.

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::app::App;
use crate::auth::{Denied, Refusal, Visitor, clear_cookie, may_show_passwords};
use crate::client::Client;
use crate::failure::Failure;
use crate::pages::{self, SignIn};
use crate::params::Raw;

/// What stands in a query as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Bytes of an address that one is led back to.
const MAX_NEXT_BYTES: usize = 4096;
const PATH: &str = "/sign-in";

/// What the form sends.
#[derive(Deserialize)]
pub(crate) struct Filled {
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

/// The address of the form, below the base path, for somebody who wanted to go to `next`.
pub(crate) fn address(next: &str) -> String {
    match local(next) {
        "/" => PATH.to_owned(),
        next => format!("{PATH}?next={}", utf8_percent_encode(next, QUERY)),
    }
}

/// `next` when it is a path on this server, else the overview: nobody is led away from here.
fn local(next: &str) -> &str {
    let inside = next.starts_with('/') && !next.starts_with("//");
    let sound = next.len() <= MAX_NEXT_BYTES && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let round = [PATH, "/sign-out"].iter().any(|path| next.split('?').next() == Some(path));
    if inside && sound && !round { next } else { "/" }
}

pub(crate) async fn form(
    State(app): State<App>,
    visitor: Visitor,
    Extension(client): Extension<Client>,
    raw: Raw,
) -> Result<Response, Failure> {
    if !app.doorman.has_sign_in() {
        return Err(Failure::no_such_page());
    }
    let next = local(raw.one("next").unwrap_or("/"));
    if visitor.identity().is_some() {
        return Ok(to(&app, next));
    }
    if !may_show_passwords(&client) {
        return page(&app, StatusCode::FORBIDDEN, &SignIn::Insecure);
    }
    page(&app, StatusCode::OK, &SignIn::Form { user: "", next, problem: None })
}

pub(crate) async fn sign_in(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    filled: Result<Form<Filled>, FormRejection>,
) -> Result<Response, Failure> {
    if !app.doorman.has_sign_in() {
        return Err(Failure::no_such_page());
    }
    let Form(Filled { user, password, next }) = filled.map_err(|_| Failure::bad_form())?;
    let (user, next) = (user.trim(), local(&next));
    let form = |problem| SignIn::Form { user, next, problem: Some(problem) };
    let again = |status, problem| page(&app, status, &form(problem));
    let identity = match app.doorman.by_password(user, &password, &client).await {
        Ok(identity) => identity,
        Err(Refusal::Insecure) => {
            app.metrics.sign_in("insecure");
            return page(&app, StatusCode::FORBIDDEN, &SignIn::Insecure);
        }
        Err(refusal) => {
            log_refused(&app, user, &client, refusal);
            app.metrics.sign_in(match refusal {
                Refusal::Denied(Denied::Limited(_)) => "limited",
                Refusal::Denied(Denied::Busy) => "busy",
                _ => "wrong",
            });
            return match refusal {
                Refusal::Denied(Denied::Limited(wait)) => {
                    let minute = "Too many attempts were wrong. Try again in a minute.";
                    let mut response = again(StatusCode::TOO_MANY_REQUESTS, minute)?;
                    let seconds = HeaderValue::from(wait.as_secs().max(1));
                    response.headers_mut().insert(header::RETRY_AFTER, seconds);
                    Ok(response)
                }
                Refusal::Denied(Denied::Busy) => {
                    let busy = "Too many people sign in at this moment. Try again.";
                    let mut response = again(StatusCode::SERVICE_UNAVAILABLE, busy)?;
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
                    Ok(response)
                }
                _ => again(StatusCode::UNAUTHORIZED, "User name or password is wrong."),
            };
        }
    };
    app.metrics.sign_in("ok");
    let cookie = app.doorman.begin_session(&identity, &client);
    let cookie = cookie.ok_or_else(|| Failure::internal("No session can be begun."))?;
    tracing::info!(user, client = client.address.map(tracing::field::display), "signed in");
    let mut response = to(&app, next);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Names a user whom there is, and nobody else: people type their password into the wrong field.
fn log_refused(app: &App, user: &str, client: &Client, refusal: Refusal) {
    let user = app.doorman.knows(user).then_some(user);
    let client = client.address.map(tracing::field::display);
    match refusal {
        // The failure before was told.
        Refusal::Denied(Denied::Limited(_)) => tracing::debug!(user, client, ?refusal, "sign-in refused"),
        _ => tracing::warn!(user, client, ?refusal, "sign-in refused"),
    }
}

pub(crate) async fn sign_out(
    State(app): State<App>,
    visitor: Visitor,
    Extension(client): Extension<Client>,
) -> Result<Response, Failure> {
    if !app.doorman.has_sign_in() {
        return Err(Failure::no_such_page());
    }
    app.doorman.end_session(&visitor);
    let mut response = to(&app, PATH);
    if let Some(cookie) = clear_cookie(&client) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// On to another page here, by GET.
fn to(app: &App, path: &str) -> Response {
    match HeaderValue::try_from(format!("{}{path}", app.base())) {
        Ok(location) => {
            let headers =
                [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(_) => Failure::internal("The next address cannot be told.").into_response(),
    }
}

fn page(app: &App, status: StatusCode, shown: &SignIn<'_>) -> Result<Response, Failure> {
    let html = pages::sign_in(app.base(), &app.settings.ui.title, shown)
        .map_err(|_| Failure::internal("The page could not be written."))?;
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    Ok((status, headers, html).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_away() {
        for inside in ["/", "/projects/a/b%2Fc", "/?q=x&status=failed", "/issues#top"] {
            assert_eq!(local(inside), inside);
        }
        for outside in [
            "",
            "x",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "/a\r\nset-cookie: x=y",
            "/a b",
            "/\tx",
            "/sign-in",
            "/sign-in?next=/x",
            "/sign-out",
            &format!("/{}", "x".repeat(5000)),
        ] {
            assert_eq!(local(outside), "/", "{outside:?}");
        }
        assert_eq!(address("/"), "/sign-in");
        assert_eq!(address("/?q=a b&x=1"), "/sign-in");
        assert_eq!(address("/?q=a%20b&x=1"), "/sign-in?next=/%3Fq%3Da%2520b%26x%3D1");
    }
}
