//! The end of a long body.
//!
//! Platforms keep logs in object storage and redirect there with a signed URL. The storage gets nothing of ours: S3 and
//! Azure refuse a request that has a second credential, and the platform's token is none of their business.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use url::Url;

use super::client::{Client, next_chunk};
use super::failure::{Failure, Try, of_storage, place, too_large};
use super::redirect::{MAX_REDIRECTS, may_be_read, may_carry_token, target};
use crate::{Error, Result};

/// The end of a long body.
#[derive(Clone)]
pub struct Tail {
    /// The last bytes, cut to what was asked.
    pub bytes: Bytes,
    /// Whether the beginning is missing.
    pub truncated: bool,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("bytes", &self.bytes.len()).field("truncated", &self.truncated).finish()
    }
}

/// Whose answer it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Platform,
    Storage,
}

impl Client {
    /// GETs the end of a long body, keeping at most `max_bytes`. A redirect to another host is followed once, without
    /// any credential or header of ours. Where that redirect leads never gets into a message beyond its host, since it
    /// is signed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get_tail(&self, endpoint: &'static str, url: Url, max_bytes: usize) -> Result<Tail> {
        let (url, total) = (&url, self.limits().timeouts.log);
        self.tries(endpoint, url, total, || async move {
            match self.tail(endpoint, url, max_bytes, true).await? {
                Some(tail) => Ok(tail),
                // It has an odd idea of ranges: then all of it.
                None => self.tail(endpoint, url, max_bytes, false).await?.ok_or_else(|| self.odd_part(url)),
            }
        })
        .await
    }

    /// GETs the end of a long body from an address outside of the platform that an answer of it named (a signed link to
    /// its object storage), without any credential or header of ours. No redirect is followed, nothing of the address but
    /// its host gets into a message, and it must be one that [`Client::get_tail`] would follow a redirect to.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get_stored(&self, endpoint: &'static str, url: Url, max_bytes: usize) -> Result<Tail> {
        let base = &self.settings().base;
        if !may_be_read(base, &url) || !url.username().is_empty() || url.password().is_some() {
            return Err(self.refused(base, &url).error);
        }
        let (url, total) = (&url, self.limits().timeouts.log);
        self.tries_elsewhere(endpoint, url, total, || async move {
            for ranged in [true, false] {
                let answer = self.send_bare(endpoint, url, bare(max_bytes, ranged)).await?;
                if target(answer.status(), answer.headers(), url)?.is_some() {
                    let (title, at) = (self.settings().dialect.title, place(url));
                    let words =
                        format!("{title} keeps this at {at}, which redirects once more: not followed");
                    return Err(Failure::last(Error::Redirect(words)));
                }
                if let Some(tail) = self.end_of(endpoint, answer, url, max_bytes, Whose::Storage).await? {
                    return Ok(tail);
                }
            }
            Err(self.odd_part(url))
        })
        .await
    }

    fn odd_part(&self, url: &Url) -> Failure {
        let (title, at) = (self.settings().dialect.title, place(url));
        Failure::last(Error::Garbage(format!("{title} at {at} answers with a part that was not asked for")))
    }

    /// `None` when what came is not the end.
    async fn tail(
        &self,
        endpoint: &'static str,
        url: &Url,
        max_bytes: usize,
        ranged: bool,
    ) -> Try<Option<Tail>> {
        let bare = bare(max_bytes, ranged);
        let base = &self.settings().base;
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.send(endpoint, &url, self.with_own(&bare).await?).await?;
            let Some(to) = target(answer.status(), answer.headers(), &url)? else {
                return self.end_of(endpoint, answer, &url, max_bytes, Whose::Platform).await;
            };
            if may_carry_token(base, &to) {
                url = to;
                continue;
            }
            if !may_be_read(base, &to) {
                return Err(self.refused(&url, &to));
            }
            let answer = self.send_bare(endpoint, &to, bare).await?;
            if target(answer.status(), answer.headers(), &to)?.is_some() {
                let (title, at) = (self.settings().dialect.title, place(&to));
                let words = format!("{title} redirects to {at}, which redirects once more: not followed");
                return Err(Failure::last(Error::Redirect(words)));
            }
            return self.end_of(endpoint, answer, &to, max_bytes, Whose::Storage).await;
        }
        Err(self.in_circles(&url))
    }

    async fn end_of(
        &self,
        endpoint: &'static str,
        mut answer: reqwest::Response,
        url: &Url,
        max_bytes: usize,
        whose: Whose,
    ) -> Try<Option<Tail>> {
        let asked = self.asked(endpoint);
        let status = answer.status();
        let range = answer.headers().get(CONTENT_RANGE).and_then(|v| ContentRange::parse(v.to_str().ok()?));
        let begins_at = match (status, range) {
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(ContentRange::Nothing { total: 0 })) => {
                return Ok(Some(Tail { bytes: Bytes::new(), truncated: false }));
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, _) => return Ok(None),
            (StatusCode::PARTIAL_CONTENT, Some(ContentRange::Part { first, last, total }))
                if last.checked_add(1) == Some(total) =>
            {
                first
            }
            (StatusCode::PARTIAL_CONTENT, _) => return Ok(None),
            _ if status.is_success() => 0,
            _ if whose == Whose::Storage => return Err(of_storage(status, url, &asked)),
            _ => return Err(self.refusal(endpoint, answer, url).await),
        };
        let (mut kept, mut dropped) = (BytesMut::new(), 0_u64);
        while let Some(chunk) = next_chunk(&mut answer, self.limits().timeouts.answer, url, &asked).await? {
            kept.extend_from_slice(&chunk);
            // Not at every piece: each cut may move what is kept.
            if kept.len() > max_bytes.saturating_mul(2) {
                dropped += cut_to(&mut kept, max_bytes);
            }
            if dropped > self.limits().log_bytes {
                return Err(too_large(self.limits().log_bytes, url, &asked));
            }
        }
        dropped += cut_to(&mut kept, max_bytes);
        Ok(Some(Tail { bytes: kept.freeze(), truncated: begins_at > 0 || dropped > 0 }))
    }
}

/// The headers of a request for the end of a body, and no others.
fn bare(max_bytes: usize, ranged: bool) -> HeaderMap {
    let mut bare = HeaderMap::new();
    // As it is: the end of something compressed cannot be unpacked.
    bare.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if ranged && let Ok(range) = HeaderValue::from_str(&format!("bytes=-{max_bytes}")) {
        bare.insert(RANGE, range);
    }
    bare
}

/// Keeps the last `max` bytes; gives back how many went.
fn cut_to(kept: &mut BytesMut, max: usize) -> u64 {
    let over = kept.len().saturating_sub(max);
    drop(kept.split_to(over));
    over as u64
}

/// `Content-Range`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContentRange {
    /// `bytes 10-19/20`.
    Part { first: u64, last: u64, total: u64 },
    /// `bytes */20`.
    Nothing { total: u64 },
}

impl ContentRange {
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
        let total = total.trim().parse().ok()?;
        if range.trim() == "*" {
            return Some(Self::Nothing { total });
        }
        let (first, last) = range.split_once('-')?;
        Some(Self::Part { first: first.trim().parse().ok()?, last: last.trim().parse().ok()?, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_range_is_read() {
        for (text, want) in [
            ("bytes 10-19/20", Some(ContentRange::Part { first: 10, last: 19, total: 20 })),
            ("bytes */20", Some(ContentRange::Nothing { total: 20 })),
            ("bytes 10-19/*", None),
            ("items 1-2/3", None),
            ("bytes", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::parse(text), want, "{text}");
        }
    }
}
