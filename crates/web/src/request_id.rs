//! A request's id: from a trusted proxy or made here, in the log, in the answer, on error pages, and on to the aggregator.

use std::time::Duration;

use domain::RequestId;
use http::{HeaderMap, HeaderName};
use lifecycle::traces;
use ring::rand::{SecureRandom as _, SystemRandom};
use tonic::metadata::MetadataValue;

use crate::client::Client;

/// Where it stands in requests and answers.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static(RequestId::HEADER);

tokio::task_local! {
    /// Of the request that this task answers.
    static CURRENT: RequestId;
}

/// The one that a trusted proxy gave, else a new one.
pub(crate) fn of(headers: &HeaderMap, client: &Client) -> RequestId {
    let given = headers.get(X_REQUEST_ID).filter(|_| client.by_trusted_proxy);
    given.and_then(|value| RequestId::parse(value.to_str().ok()?)).unwrap_or_else(make)
}

fn make() -> RequestId {
    let mut bytes = [0; 12];
    // An id that is not unique only makes a log harder to read.
    let _ = SystemRandom::new().fill(&mut bytes);
    RequestId::of_bytes(bytes)
}

/// Runs `work` as the answer to the request with this id.
pub(crate) async fn scope<F: Future>(id: RequestId, work: F) -> F::Output {
    CURRENT.scope(id, work).await
}

/// A question to the aggregator, with the id of the request that it is asked for, and how long it is waited for where the
/// aggregator may take its time.
pub(crate) fn carry<T>(message: T, within: Option<Duration>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let id = CURRENT.try_with(|id| MetadataValue::try_from(id.as_str()));
    if let Ok(Ok(id)) = id {
        request.metadata_mut().insert(RequestId::HEADER, id);
    }
    if let Some(Ok(parent)) = traces::carried().map(MetadataValue::try_from) {
        request.metadata_mut().insert(traces::HEADER, parent);
    }
    if let Some(within) = within {
        request.set_timeout(within);
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
            of(&headers, &client).to_string()
        };
        assert_eq!(of(true, "a-B_9.x"), "a-B_9.x");
        assert_eq!(of(true, "a b").len(), 24);
        let made = of(false, "a");
        assert!(made.len() == 24 && made != of(false, "a"));
    }
}
