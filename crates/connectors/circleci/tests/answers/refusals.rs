//! Who is refused, and what is none of CircleCI's.

use connector::Error;
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::forge::Forge;
use crate::refresh::listed;

#[tokio::test]
async fn refusals_are_told_apart() {
    let forge = Forge::start_with(|s| s.token = None).await;
    let error = listed(&*forge.circle).await.unwrap_err();
    assert!(
        matches!(&error, Error::Unauthorized(text) if text.contains("has none") && text.contains("personal API token")),
        "{error:?}"
    );
    assert_eq!(forge.circle.current_user().unwrap().current_user().await.unwrap(), None);

    for (status, is) in [
        (403, (|e| matches!(e, Error::Forbidden(_))) as fn(&Error) -> bool),
        (404, |e| matches!(e, Error::NotFound(_))),
        (429, |e| matches!(e, Error::RateLimited { until: Some(_) })),
        (451, |e| matches!(e, Error::Legal(_))),
        (500, |e| matches!(e, Error::Server(_))),
    ] {
        let forge = Forge::start().await;
        let answer = ResponseTemplate::new(status)
            .insert_header("retry-after", "120")
            .set_body_json(json!({ "message": "says the test" }));
        forge.answer("/project/gh/acme/web", answer);
        let error = forge.circle.project("gh/acme/web").await.unwrap_err();
        assert!(is(&error), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_platform_that_is_none_is_named() {
    for (template, expected) in [
        (ResponseTemplate::new(200).set_body_raw("<html>Sign in</html>", "text/html"), "got an HTML page"),
        (
            ResponseTemplate::new(200).set_body_json(json!({ "id": 1, "path": "x" })),
            "got JSON of another shape",
        ),
        (
            ResponseTemplate::new(404).set_body_json(json!({ "error": "404 Not Found" })),
            "is its url another server's?",
        ),
    ] {
        let forge = Forge::start().await;
        forge.answer("/me/collaborations", template);
        let error = listed(&*forge.circle).await.unwrap_err();
        assert!(
            matches!(&error, Error::Garbage(text) if text.contains("CircleCI") && text.contains(expected)),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn the_token_goes_in_its_header() {
    let forge = Forge::start().await;
    forge.give(
        "/me",
        json!({ "id": "x", "login": "aruiz", "name": "Ana Ruiz", "avatar_url": "javascript:x" }),
    );
    let me = forge.circle.current_user().unwrap().current_user().await.unwrap().unwrap();
    assert_eq!((me.name.as_str(), me.login.as_deref(), me.avatar_url), ("Ana Ruiz", Some("aruiz"), None));
    for request in forge.requests().await {
        assert!(
            request.headers.contains_key("circle-token") && !request.headers.contains_key("authorization")
        );
    }
}

#[test]
fn an_address_of_the_older_api_makes_no_source() {
    let settings = crate::support::settings("https://circleci.com/api/v1.1", "x");
    let built = (connector_circleci::PLATFORM.build)(&settings, std::sync::Arc::new(domain::SystemClock));
    assert!(built.is_err_and(|e| e.to_string().contains("API v2")));
}
