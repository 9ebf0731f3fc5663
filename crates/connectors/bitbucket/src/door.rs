//! What requests to the two look like, and the errors that only they have.

use connector::Error;
use connector::http::{BudgetHeaders, Dialect};
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;
use serde::Deserialize;

/// What a token has to be allowed.
pub(crate) const SCOPE: &str = "repository read (on Cloud also pipeline, pullrequest, workspace and user: \
                                read:repository:bitbucket and so on)";
/// What Cloud is asked in any hour: its 1,000, less what may be under way when the last of them is counted.
const CLOUD_HOURLY: u64 = 980;

const LIMITS: Option<BudgetHeaders> = Some(BudgetHeaders {
    limit: "x-ratelimit-limit",
    remaining: "x-ratelimit-remaining",
    reset: "x-ratelimit-reset",
    window: SignedDuration::from_hours(1),
});

/// Stands for an error in Cloud's own form when it is not known yet which of the two answers.
pub(crate) const IS_CLOUD: &str = "answers as Bitbucket Cloud does";

/// Cloud's requests.
pub(crate) static CLOUD: Dialect = Dialect {
    title: "Bitbucket Cloud",
    scope: SCOPE,
    headers: &[("accept", "application/json")],
    // It tells neither what remains nor when the hour is over, so the client counts. Access tokens hear of their limit.
    budget: LIMITS,
    hourly: Some(CLOUD_HOURLY),
    unmodified_is_free: false,
    classify: cloud,
};

/// Data Center's requests.
pub(crate) static DATA_CENTER: Dialect = Dialect {
    title: "Bitbucket Data Center",
    scope: SCOPE,
    headers: &[("accept", "application/json")],
    // Only where the administrator set a limit; without a reset, since its bucket fills all the time.
    budget: LIMITS,
    hourly: None,
    unmodified_is_free: false,
    classify: data_center,
};

/// The question which of the two it is. Where it is Cloud it counts: nothing is asked while the hour's requests are spent.
pub(crate) static EITHER: Dialect =
    Dialect { title: "Bitbucket", scope: "reading repositories", classify: either, ..CLOUD };

/// `{"type":"error","error":{"message":…}}`.
#[derive(Debug, Deserialize)]
struct CloudError {
    r#type: String,
    error: CloudMessage,
}

#[derive(Debug, Deserialize)]
struct CloudMessage {
    #[serde(default)]
    message: String,
}

fn cloud_error(body: &[u8]) -> Option<String> {
    let said: CloudError = serde_json::from_slice(body).ok()?;
    (said.r#type == "error").then_some(said.error.message)
}

/// What Cloud took out of its API in 2026 (CHANGE-2770) and what it says of it.
fn cloud(status: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<Error> {
    let said = || domain::text::line(&cloud_error(body).unwrap_or_default(), domain::text::MAX_TITLE);
    (status == StatusCode::GONE).then(|| {
        Error::Garbage(format!(
            "Bitbucket Cloud has taken this endpoint out of its API (410: {}): name the workspaces in this source's \
             settings (`workspaces`)",
            said()
        ))
    })
}

/// After some failed logins Data Center wants a person to look at a picture; asking on only prolongs that.
fn data_center(_: StatusCode, headers: &HeaderMap, _: &[u8]) -> Option<Error> {
    let denied = headers.get("x-authentication-denied-reason")?.to_str().ok()?;
    denied.contains("CAPTCHA").then(|| {
        Error::Unauthorized(
            "Bitbucket Data Center wants a CAPTCHA of this user after failed logins: sign in to its pages once, then check \
             the token"
                .into(),
        )
    })
}

fn either(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Error> {
    let is_limit = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    if !is_limit && cloud_error(body).is_some() {
        return Some(Error::NotFound(IS_CLOUD.into()));
    }
    data_center(status, headers, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_endpoint_and_a_captcha_are_told() {
        let body =
            br#"{"type":"error","error":{"message":"CHANGE-2770 - Functionality has been deprecated"}}"#;
        let Some(Error::Garbage(text)) = cloud(StatusCode::GONE, &HeaderMap::new(), body) else { panic!() };
        assert!(text.contains("CHANGE-2770") && text.contains("workspaces"), "{text}");
        assert_eq!(cloud(StatusCode::NOT_FOUND, &HeaderMap::new(), body), None);
        let mut headers = HeaderMap::new();
        headers.insert("x-authentication-denied-reason", "CAPTCHA_CHALLENGE; login-url=x".parse().unwrap());
        for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            let Some(Error::Unauthorized(text)) = data_center(status, &headers, b"") else { panic!() };
            assert!(text.contains("CAPTCHA"), "{text}");
        }
        assert_eq!(data_center(StatusCode::FORBIDDEN, &HeaderMap::new(), b""), None);
    }

    #[test]
    fn only_clouds_own_errors_are_clouds() {
        let none = HeaderMap::new();
        let cloud = br#"{"type":"error","error":{"message":"Resource not found"}}"#;
        for status in [StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            assert_eq!(either(status, &none, cloud), Some(Error::NotFound(IS_CLOUD.into())));
        }
        assert_eq!(either(StatusCode::TOO_MANY_REQUESTS, &none, cloud), None);
        for body in [&br#"{"message":"404 Not Found"}"#[..], br#"{"errors":[]}"#, b"<html>", b"", b"[]"] {
            assert_eq!(either(StatusCode::NOT_FOUND, &none, body), None);
        }
    }
}
