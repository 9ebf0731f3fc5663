//! Which of the two it is, and what is neither.

use connector::Error;
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::forge::{Forge, clock, cloud_error};
use crate::support;

const PROBE: &str = "/rest/api/latest/application-properties";

#[tokio::test]
async fn what_is_neither_is_told_in_one_sentence() {
    let html = |status| ResponseTemplate::new(status).set_body_raw("<html><h1>Wiki</h1></html>", "text/html");
    for (reply, came) in [
        (html(200), "HTML page"),
        (html(404), "404"),
        (ResponseTemplate::new(404).set_body_json(json!({ "message": "404 Not Found" })), "404"),
        (
            ResponseTemplate::new(200).set_body_json(json!({ "version": "9.12", "displayName": "Jira" })),
            "Jira",
        ),
        (ResponseTemplate::new(200).set_body_json(json!([])), "another shape"),
        (ResponseTemplate::new(418), "418"),
    ] {
        let forge = Forge::start().await;
        forge.reply(PROBE, reply);
        let Err(Error::Garbage(text)) = forge.source().projects(None).await else { panic!("{came}: let in") };
        assert!(
            text.starts_with("source bb: expected Bitbucket Cloud's API or a Bitbucket Data Center at "),
            "{text}"
        );
        assert!(text.contains(came) && !text.contains('\n'), "{came}: {text}");
        assert_eq!(forge.asked().len(), 1, "{came}");
    }
}

#[tokio::test]
async fn an_answer_in_clouds_form_is_clouds_even_when_it_refuses() {
    for status in [401, 403, 404] {
        let forge = Forge::start().await;
        forge.reply(PROBE, cloud_error(status, "no"));
        forge.reply(
            "/user/workspaces",
            cloud_error(401, "Token is invalid, expired, or not supported for this endpoint."),
        );
        let Err(Error::Unauthorized(text)) = forge.source().projects(None).await else { panic!("let in") };
        assert!(
            text.contains("Bitbucket Cloud") && text.contains("source bb") && text.contains("workspaces"),
            "{text}"
        );
        assert!(!text.contains(support::TOKEN));
    }
    let forge = Forge::start().await;
    let denied = ResponseTemplate::new(401)
        .set_body_json(json!({ "errors": [{ "message": "Authentication failed." }] }));
    forge.reply(PROBE, denied);
    assert!(matches!(forge.source().projects(None).await, Err(Error::Unauthorized(_))));
}

#[tokio::test]
async fn tokens_are_sent_as_each_kind_wants_them() {
    let forge = Forge::start().await;
    let _ = forge.source().projects(None).await;
    let mut settings = support::settings(&forge.url());
    settings.user = Some("mira@example.invalid".into());
    let _ = support::source(&settings, clock()).projects(None).await;
    settings.user = Some(String::new());
    let _ = support::source(&settings, clock()).projects(None).await;
    let sent: Vec<String> = forge
        .requests()
        .await
        .iter()
        .map(|r| {
            r.headers.get("authorization").unwrap().to_str().unwrap().split(' ').next().unwrap().to_owned()
        })
        .collect();
    assert_eq!(sent, ["Bearer", "Bearer", "Basic", "Basic", "Bearer", "Bearer"]);
}
