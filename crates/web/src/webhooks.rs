//! `POST /webhooks/{source}`: a platform's delivery, passed on as it is.
//!
//! Who may send is decided by a signature over the raw body, with a secret that only the aggregator has; so this route
//! asks for no sign-in, no origin and no host name, and it answers for a source that is not there as for one that takes
//! no webhooks. It answers 2xx only once the aggregator has taken the delivery: platforms send again what got another
//! answer, or show it as failed.

use std::sync::Arc;
use std::time::Duration;

use api::v1;
use api::v1::WebhookVerdict as Verdict;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::aggregator::{AskError, Patience};
use crate::app::App;
use crate::failure::Failure;
use crate::params::Segments;

/// Bytes of bodies that are in here at once, of all deliveries together; further ones are told to come again.
const MAX_BYTES_AT_ONCE: usize = 4 * api::MAX_WEBHOOK_BYTES;
/// How long a delivery may take to arrive. With the aggregator's time this is less than any request has.
const ARRIVAL: Duration = Duration::from_secs(8);

/// Headers that are about the connection, the way here or a browser: no platform says anything by them.
const NOT_PASSED_ON: [HeaderName; 16] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::COOKIE,
    header::EXPECT,
    header::FORWARDED,
    header::HOST,
    header::ORIGIN,
    header::REFERER,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VIA,
];
/// The same, by how they begin.
const NOT_PASSED_ON_PREFIXES: [&str; 3] = ["x-forwarded-", "sec-", "proxy-"];

/// Room for the bodies of deliveries.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_BYTES_AT_ONCE)))
    }
}

/// Why a body was not read.
enum Unread {
    TooLarge,
    Other(Failure),
}

pub(crate) async fn ingest(
    State(app): State<App>,
    Segments(source): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let passed_on = pass_on(&headers)?;
    let mut request = v1::IngestWebhookRequest { source, headers: passed_on, ..Default::default() };
    let arriving = read(&app.webhook_room, &headers, body);
    let (bytes, _room) = match timeout(ARRIVAL, arriving).await.map_err(|_| Failure::too_slow_to_arrive())? {
        Ok(read) => read,
        Err(Unread::Other(failure)) => return Err(failure),
        Err(Unread::TooLarge) => {
            // It counts, and a source that is not there is not there for a large body either.
            request.too_large = true;
            return Err(match ask(&app, request).await {
                Ok(v1::IngestWebhookResponse { verdict, .. }) if verdict == Verdict::NotFound as i32 => {
                    not_found()
                }
                _ => Failure::too_large(api::MAX_WEBHOOK_BYTES),
            });
        }
    };
    request.body = bytes;
    answer(ask(&app, request).await?, &headers)
}

async fn ask(app: &App, request: v1::IngestWebhookRequest) -> Result<v1::IngestWebhookResponse, AskError> {
    app.aggregator.ingest_webhook(Patience::HaveNothing, request).await
}

fn answer(answer: v1::IngestWebhookResponse, headers: &HeaderMap) -> Result<Response, Failure> {
    let result = match answer.verdict() {
        Verdict::Applied => "applied",
        Verdict::Duplicate => "duplicate",
        Verdict::Ignored => "ignored",
        Verdict::NotFound => return Err(not_found()),
        Verdict::Forged => return Err(Failure::forbidden(answer.detail)),
        Verdict::Malformed if is_form(headers) => {
            return Err(Failure::unsupported_media(
                "The body is a form. Set the webhook's content type to application/json on the platform.",
            ));
        }
        Verdict::Malformed => return Err(Failure::bad_request(answer.detail)),
        Verdict::TooLarge => return Err(Failure::too_large(api::MAX_WEBHOOK_BYTES)),
        Verdict::NotKept => return Err(Failure::not_kept(answer.detail)),
        // A word of a later version: it does not say that it was taken.
        Verdict::Unspecified => {
            return Err(Failure::internal("The aggregator did not say what became of it."));
        }
    };
    let status = if result == "ignored" && is_ping(headers) { StatusCode::OK } else { StatusCode::ACCEPTED };
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((status, headers, json!({ "result": result }).to_string()).into_response())
}

fn not_found() -> Failure {
    Failure::no_webhooks()
}

/// Whether somebody tries out the connection who takes nothing but 200 for an answer.
fn is_ping(headers: &HeaderMap) -> bool {
    headers.get("x-event-key").is_some_and(|event| event == "diagnostics:ping")
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        || essence.eq_ignore_ascii_case("multipart/form-data")
}

fn pass_on(headers: &HeaderMap) -> Result<Vec<v1::Header>, Failure> {
    let matters = |name: &HeaderName| {
        !NOT_PASSED_ON.contains(name)
            && !NOT_PASSED_ON_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
    };
    let passed_on: Vec<_> = headers
        .iter()
        .filter(|(name, _)| matters(name))
        .map(|(name, value)| v1::Header { name: name.as_str().to_owned(), value: value.as_bytes().to_vec() })
        .collect();
    let bytes: usize = passed_on.iter().map(|h| h.name.len() + h.value.len()).sum();
    if bytes > api::MAX_WEBHOOK_HEADER_BYTES {
        return Err(Failure::headers_too_large(api::MAX_WEBHOOK_HEADER_BYTES));
    }
    Ok(passed_on)
}

/// The body, and the room that it takes until it is dropped. What is too large is not read to its end.
async fn read(
    room: &Room,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, Vec<OwnedSemaphorePermit>), Unread> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let fits = |bytes: u64| bytes <= api::MAX_WEBHOOK_BYTES as u64;
    if !declared.is_none_or(fits) {
        return Err(Unread::TooLarge);
    }
    let mut frames = body.into_data_stream();
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    let mut taken = Vec::new();
    while let Some(frame) = frames.next().await {
        let cut = |_| Unread::Other(Failure::bad_request("The body ended before its end."));
        let frame = frame.map_err(cut)?;
        if !fits((first.len() + rest.len() + frame.len()) as u64) {
            return Err(Unread::TooLarge);
        }
        let bytes = u32::try_from(frame.len()).map_err(|_| Unread::TooLarge)?;
        let permit = Arc::clone(&room.0).try_acquire_many_owned(bytes);
        taken.push(permit.map_err(|_| Unread::Other(Failure::no_room()))?);
        // A small body comes at once, and is passed on without a copy.
        if first.is_empty() && rest.is_empty() {
            first = frame;
        } else {
            rest.extend_from_slice(&std::mem::take(&mut first));
            rest.extend_from_slice(&frame);
        }
    }
    Ok((if rest.is_empty() { first } else { rest.freeze() }, taken))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_headers_that_matter_go_on() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-github-event",
            "x-hub-signature-256",
            "content-type",
            "idempotency-key",
            "webhook-signature",
            "cookie",
            "x-forwarded-for",
            "proxy-authorization",
            "sec-fetch-site",
            "host",
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("v"));
        }
        headers.append("x-twice", HeaderValue::from_static("1"));
        headers.append("x-twice", HeaderValue::from_bytes(b"\xff").unwrap());
        let mut names: Vec<_> = pass_on(&headers).unwrap().into_iter().map(|h| h.name).collect();
        names.sort();
        assert_eq!(
            names,
            [
                "content-type",
                "idempotency-key",
                "webhook-signature",
                "x-github-event",
                "x-hub-signature-256",
                "x-twice",
                "x-twice"
            ]
        );
        let large = HeaderValue::from_bytes(&[b'x'; api::MAX_WEBHOOK_HEADER_BYTES]).unwrap();
        headers.append("x-large", large);
        assert_eq!(pass_on(&headers).unwrap_err().status, 431);
    }

    #[tokio::test]
    async fn room_is_bounded_and_given_back() {
        let room = Room(Arc::new(Semaphore::new(10)));
        let none = HeaderMap::new();
        let Ok((bytes, held)) = read(&room, &none, Body::from("12345678")).await else { panic!() };
        assert_eq!(bytes, "12345678");
        assert!(
            matches!(read(&room, &none, Body::from("123")).await, Err(Unread::Other(f)) if f.status == 503)
        );
        drop(held);
        assert!(read(&room, &none, Body::from("123")).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_is_bounded_while_it_comes_and_whole_when_it_comes_in_parts() {
        let none = HeaderMap::new();
        let parts = |parts: Vec<Vec<u8>>| {
            Body::from_stream(futures::stream::iter(parts.into_iter().map(Ok::<_, std::convert::Infallible>)))
        };
        let room = Room::default();
        let body = parts(vec![b"ab".to_vec(), b"cd".to_vec(), Vec::new(), b"e".to_vec()]);
        let Ok((bytes, held)) = read(&room, &none, body).await else { panic!() };
        assert_eq!(bytes, "abcde");
        drop(held);
        let mega = || vec![0; 1024 * 1024];
        let body = parts((0..26).map(|_| mega()).collect());
        assert!(matches!(read(&room, &none, body).await, Err(Unread::TooLarge)));
        let body = parts((0..25).map(|_| mega()).collect());
        let Ok((bytes, held)) = read(&room, &none, body).await else { panic!() };
        assert_eq!(bytes.len(), api::MAX_WEBHOOK_BYTES);
        drop(held);
        assert_eq!(room.0.available_permits(), MAX_BYTES_AT_ONCE);
    }
}
