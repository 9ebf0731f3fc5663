//! What a Jenkins says when it will not, and what answers in its place.

use connector::Error;
use serde_json::json;
use wiremock::ResponseTemplate;

use super::listing::listed;
use super::support::{settings, source};
use super::{FREESTYLE, Forge, ROOT, TOKEN, job, root, watching};

async fn failing(answers: impl IntoIterator<Item = ResponseTemplate>) -> Error {
    let forge = Forge::start().await;
    for answer in answers {
        forge.put(ROOT, answer);
    }
    let error = listed(&*watching(&forge)).await.unwrap_err();
    assert!(!error.to_string().contains(TOKEN), "{error}");
    error
}

fn html(status: u16, text: &str) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .set_body_raw(format!("<!DOCTYPE html><html><body>{text}</body></html>"), "text/html;charset=utf-8")
}

#[tokio::test]
async fn every_refusal_says_what_it_is() {
    let wrong = html(401, "Invalid password/token for user: ann");
    assert!(
        matches!(failing([wrong]).await, Error::Unauthorized(text) if text.contains("source ci") && text.contains("Job/Read"))
    );

    let anonymous = html(403, "Authentication required")
        .insert_header("x-you-are-authenticated-as", "anonymous")
        .insert_header("x-required-permission", "hudson.model.Hudson.Read");
    assert!(
        matches!(failing([anonymous]).await, Error::Unauthorized(text) if text.contains("anonymous") && text.contains("hudson.model.Hudson.Read"))
    );

    let narrow = html(403, "ann is missing the Overall/Read permission")
        .insert_header("x-you-are-authenticated-as", "ann");
    assert!(matches!(failing([narrow]).await, Error::Forbidden(text) if text.contains("Overall/Read")));

    let starting = html(503, "Please wait while Jenkins is getting ready to work ...");
    assert!(matches!(failing([starting]).await, Error::Server(text) if text.contains("starting")));
    assert!(matches!(failing([html(502, "Bad Gateway")]).await, Error::Server(_)));

    let slow = ResponseTemplate::new(429).insert_header("retry-after", "120");
    assert!(matches!(failing([slow]).await, Error::RateLimited { until: Some(_) }));
}

#[tokio::test]
async fn what_is_no_jenkins_is_told_in_one_sentence() {
    let named = |error: Error, got: &str| {
        assert!(
            matches!(&error, Error::Garbage(text) if text.contains("source ci") && text.contains(got)),
            "{error}"
        );
    };
    named(failing([html(200, "<form>Sign in</form>")]).await, "HTML page (is this a login page?)");
    named(failing([html(404, "no such page")]).await, "got 404: url has to be its root");
    named(
        failing([ResponseTemplate::new(200).set_body_json(json!({ "message": "Welcome to the wiki" }))])
            .await,
        "JSON of something else",
    );
    named(
        failing([ResponseTemplate::new(200).set_body_json(json!([{ "id": 1 }]))]).await,
        "JSON of something else",
    );
    named(
        failing([ResponseTemplate::new(200).set_body_raw("{\"jobs\": [", "application/json")]).await,
        "expected JSON from Jenkins",
    );
    named(failing([ResponseTemplate::new(200)]).await, "empty body");
    let other = ResponseTemplate::new(302).insert_header("location", "https://sso.example.com/login?from=x");
    assert!(matches!(failing([other]).await, Error::Redirect(text) if text.contains("sso.example.com")));
}

#[tokio::test]
async fn a_login_page_behind_a_redirect_is_called_one() {
    let forge = Forge::start().await;
    forge.put(ROOT, ResponseTemplate::new(302).insert_header("location", "/login?from=%2Fapi%2Fjson"));
    forge.put("GET /login", html(200, "Sign in to Jenkins"));
    let error = listed(&*watching(&forge)).await.unwrap_err();
    assert!(matches!(&error, Error::Garbage(text) if text.contains("login page")), "{error}");
}

#[tokio::test]
async fn credentials_go_out_at_once_and_an_empty_jenkins_is_one() {
    let forge = Forge::start().await;
    forge.json(ROOT, &json!({ "_class": "hudson.model.Hudson", "jobs": [] }));
    assert!(listed(&*watching(&forge)).await.unwrap().0.items.is_empty());
    forge.json(ROOT, &root(&[job(FREESTYLE, "j", json!({}))]));
    let mut bearer = settings(&forge.url(), Some(TOKEN));
    bearer.user = None;
    listed(&*source(&bearer)).await.unwrap();
    listed(&*source(&settings(&forge.url(), None))).await.unwrap();
    let sent: Vec<_> = forge
        .requests()
        .await
        .iter()
        .map(|r| r.headers.get("authorization").map(|v| v.to_str().unwrap().to_owned()))
        .collect();
    assert_eq!(sent, [Some("Basic YW5uOjExY2FuYXJ5".to_owned()), Some(format!("Bearer {TOKEN}")), None]);
    let mut half = settings(&forge.url(), None);
    half.user = Some("ann".into());
    let refused = (connector_jenkins::PLATFORM.build)(&half, std::sync::Arc::new(domain::SystemClock));
    assert!(refused.unwrap_err().to_string().contains("token"));
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let error = failing([ResponseTemplate::new(200).set_body_bytes(vec![b'['; 33 * 1024 * 1024])]).await;
    assert!(matches!(&error, Error::Garbage(text) if text.contains("32 MiB")), "{error}");
    let deep = "[".repeat(100_000);
    let nested =
        failing([ResponseTemplate::new(200).set_body_raw(format!("{{\"jobs\": {deep}"), "application/json")])
            .await;
    assert!(matches!(nested, Error::Garbage(_)));
}
