//! What requests to Gitea look like, and the errors that only it has.

use connector::Error;
use connector::http::Dialect;
use http::{HeaderMap, StatusCode};

/// What a token has to be allowed.
pub(crate) const SCOPE: &str = "read:repository, read:issue, read:user and read:organization";

/// Gitea's requests. There are no rate limit headers, and no limit of its own that could be kept.
pub(crate) static DIALECT: Dialect = Dialect {
    title: "Gitea",
    scope: SCOPE,
    headers: &[("accept", "application/json")],
    budget: None,
    hourly: None,
    unmodified_is_free: false,
    classify,
};

/// A method that the server has not learnt yet is a refusal, not a broken answer.
fn classify(status: StatusCode, _: &HeaderMap, _: &[u8]) -> Option<Error> {
    (status == StatusCode::METHOD_NOT_ALLOWED)
        .then(|| Error::Refused("this version of Gitea does not offer that over its API (405)".to_owned()))
}
