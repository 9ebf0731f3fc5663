//! What requests to GitHub look like, and the errors that only GitHub has.

use connector::Error;
use connector::http::{BudgetHeaders, Dialect};
use domain::Timestamp;
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;

/// What a token has to be allowed.
pub(crate) const SCOPE: &str = "repo (classic) or Actions: read and Contents: read (fine-grained)";

/// How much of an error's body is looked through for GitHub's words.
const MAX_LOOKED_THROUGH: usize = 4096;

/// GitHub's requests. The version is the one that every server since 3.9 knows; older servers ignore the header.
pub(crate) static DIALECT: Dialect = Dialect {
    title: "GitHub",
    scope: SCOPE,
    headers: &[("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")],
    budget: Some(BudgetHeaders {
        limit: "x-ratelimit-limit",
        remaining: "x-ratelimit-remaining",
        reset: "x-ratelimit-reset",
        window: SignedDuration::from_hours(1),
    }),
    hourly: None,
    unmodified_is_free: true,
    classify,
};

/// The message of an empty repository's 409, which is no failure.
pub(crate) const EMPTY_REPOSITORY: &str = "the repository is empty";
/// The message of a log whose time has passed.
pub(crate) const EXPIRED: &str = "expired on the platform";

/// Tells GitHub's rate limits from refusals: both are a 403.
pub(crate) fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Error> {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let body = String::from_utf8_lossy(&body[..body.len().min(MAX_LOOKED_THROUGH)]).to_ascii_lowercase();
    match status {
        StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
            let exhausted = header("x-ratelimit-remaining") == Some("0");
            let said = ["rate limit", "abuse detection"].iter().any(|words| body.contains(words));
            if exhausted || said || header("retry-after").is_some() || status == StatusCode::TOO_MANY_REQUESTS
            {
                return Some(Error::RateLimited { until: until(headers, exhausted) });
            }
            // The header's URL signs the reader in: it stays out of the message.
            header("x-github-sso").filter(|sso| sso.starts_with("required")).map(|_| {
                Error::Forbidden(
                    "GitHub: the organization requires single sign-on: authorize this token for it in GitHub's \
                     settings (Developer settings, Personal access tokens, Configure SSO)"
                        .into(),
                )
            })
        }
        StatusCode::CONFLICT if body.contains("is empty") => Some(Error::NotFound(EMPTY_REPOSITORY.into())),
        StatusCode::GONE => Some(Error::NotFound(EXPIRED.into())),
        _ => None,
    }
}

/// When to ask again, by GitHub's own clock (the answer's `Date`): `Retry-After`, else the window's end. An end that
/// has passed already is none.
fn until(headers: &HeaderMap, exhausted: bool) -> Option<Timestamp> {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let now = header("date").and_then(http_date);
    if let Some(after) = header("retry-after") {
        return match after.parse::<u32>() {
            Ok(seconds) => now?.checked_add(SignedDuration::from_secs(i64::from(seconds))).ok(),
            Err(_) => http_date(after),
        };
    }
    let reset = header("x-ratelimit-reset").filter(|_| exhausted)?;
    let reset = Timestamp::from_second(reset.parse().ok()?).ok()?;
    (now.is_none_or(|now| reset > now)).then_some(reset)
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|z| z.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, headers: &[(&'static str, &str)], body: &str) -> Option<Error> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        classify(StatusCode::from_u16(status).unwrap(), &map, body.as_bytes())
    }

    const DATE: (&str, &str) = ("date", "Tue, 24 Nov 2026 10:00:00 GMT");

    #[test]
    fn rate_limits_are_told_from_refusals() {
        let limited = |until: Option<&str>| {
            Some(Error::RateLimited { until: until.map(|t| format!("2026-11-24T{t}Z").parse().unwrap()) })
        };
        // 2026-11-24T10:30:00Z
        let reset = ("x-ratelimit-reset", "1795516200");
        for status in [403, 429] {
            assert_eq!(
                said(status, &[DATE, ("x-ratelimit-remaining", "0"), reset], "{}"),
                limited(Some("10:30:00")),
                "primary {status}"
            );
            assert_eq!(
                said(status, &[DATE, ("retry-after", "60"), ("x-ratelimit-remaining", "4000"), reset], "{}"),
                limited(Some("10:01:00")),
                "retry-after {status}"
            );
            assert_eq!(
                said(status, &[DATE, reset], r#"{"message":"You have exceeded a secondary rate limit."}"#),
                limited(None),
                "secondary {status}"
            );
        }
        assert_eq!(said(429, &[], ""), limited(None));
        assert_eq!(
            said(403, &[DATE, ("retry-after", "Tue, 24 Nov 2026 10:02:00 GMT")], ""),
            limited(Some("10:02:00"))
        );
        assert_eq!(
            said(403, &[DATE, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1603831065")], ""),
            limited(None),
            "a reset in the past is none"
        );
        assert_eq!(said(403, &[("x-ratelimit-remaining", "12")], "Resource not accessible"), None);
        assert_eq!(said(401, &[], "Bad credentials"), None);
    }

    #[test]
    fn single_sign_on_is_explained_without_its_link() {
        let sso =
            ("x-github-sso", "required; url=https://github.com/orgs/acme/sso?authorization_request=hush");
        let Some(Error::Forbidden(text)) = said(403, &[sso], "Resource protected by organization SAML")
        else {
            panic!("not forbidden")
        };
        assert!(text.contains("single sign-on") && !text.contains("hush"), "{text}");
        let partial = ("x-github-sso", "partial-results; organizations=21955855");
        assert_eq!(said(403, &[partial], ""), None);
    }

    #[test]
    fn an_empty_repository_and_an_expired_log_are_named() {
        assert_eq!(
            said(409, &[], r#"{"message":"Git Repository is empty."}"#),
            Some(Error::NotFound(EMPTY_REPOSITORY.into()))
        );
        assert_eq!(said(409, &[], r#"{"message":"conflict"}"#), None);
        assert_eq!(said(410, &[], ""), Some(Error::NotFound(EXPIRED.into())));
    }
}
