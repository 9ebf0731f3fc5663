//! A request's id: from a trusted proxy or made here, in the log, in the answer, on error pages, and on to the aggregator.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use ring::rand::{SecureRandom as _, SystemRandom};
use tonic::metadata::MetadataValue;

use crate::client::Client;

/// Where it stands in requests and answers, and in the metadata of gRPC.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static(NAME);
const NAME: &str = "x-request-id";
/// Characters of one that is accepted.
const MAX_CHARS: usize = 64;
/// Random bytes of one that is made.
const BYTES: usize = 12;

tokio::task_local! {
    /// Of the request that this task answers.
    static CURRENT: RequestId;
}

/// Letters, digits and `- _ .`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// The one that a trusted proxy gave, else a new one.
    pub(crate) fn of(headers: &HeaderMap, client: &Client) -> Self {
        let given = headers.get(X_REQUEST_ID).filter(|_| client.by_trusted_proxy);
        given.and_then(|value| value.to_str().ok()).and_then(Self::accept).unwrap_or_else(Self::make)
    }

    fn accept(text: &str) -> Option<Self> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        (!text.is_empty() && text.len() <= MAX_CHARS && text.bytes().all(fine)).then(|| Self(text.to_owned()))
    }

    fn make() -> Self {
        let mut bytes = [0; BYTES];
        // An id that is not unique only makes a log harder to read.
        let _ = SystemRandom::new().fill(&mut bytes);
        Self(bytes.iter().map(|b| format!("{b:02x}")).collect())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(&self.0).ok()
    }

    /// Runs `work` as the answer to the request with this id.
    pub(crate) async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A question to the aggregator, with the id of the request that it is asked for.
pub(crate) fn carry<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let id = CURRENT.try_with(|id| MetadataValue::try_from(id.as_str()));
    if let Ok(Ok(id)) = id {
        request.metadata_mut().insert(NAME, id);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_from_a_trusted_proxy_alone_and_only_a_sound_one() {
        let of = |by_trusted_proxy, given: &str| {
            let client = Client { address: None, secure: false, local: false, by_trusted_proxy };
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, given.parse().unwrap());
            RequestId::of(&headers, &client).0
        };
        assert_eq!(of(true, "a-B_9.x"), "a-B_9.x");
        for odd in ["", "a b", "a\tb", "<x>", &"x".repeat(65)] {
            assert_eq!(of(true, odd).len(), 2 * BYTES, "{odd}");
        }
        let made = of(false, "a");
        assert!(made.len() == 2 * BYTES && made != of(false, "a"));
    }
}
