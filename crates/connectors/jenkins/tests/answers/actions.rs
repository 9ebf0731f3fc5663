//! Starting builds over and stopping them.

use connector::Error;
use domain::RunId;
use serde_json::json;
use wiremock::ResponseTemplate;

use super::{FREESTYLE, Forge, build, job, watching};

async fn with_build(patch: serde_json::Value) -> (Forge, domain::Project) {
    let forge = Forge::start().await;
    forge
        .json("GET /job/j/api/json", &job(FREESTYLE, "j", json!({})))
        .json("GET /job/j/7/api/json", &build(7, patch));
    let project = watching(&forge).project("j").await.unwrap();
    forge.asked();
    (forge, project)
}

fn created() -> ResponseTemplate {
    ResponseTemplate::new(201).insert_header("location", "http://wrong/queue/item/5/")
}

async fn retry(forge: &Forge, project: &domain::Project) -> connector::Result<()> {
    watching(forge).actions().unwrap().retry(project, &RunId::from(7)).await
}

#[tokio::test]
async fn a_token_needs_no_crumb() {
    let (forge, project) = with_build(json!({})).await;
    forge.put("POST /job/j/build", created());
    retry(&forge, &project).await.unwrap();
    assert_eq!(forge.asked(), ["GET /job/j/7/api/json", "POST /job/j/build"]);
}

#[tokio::test]
async fn a_password_needs_one_with_its_session() {
    let (forge, project) = with_build(json!({})).await;
    let no_crumb = ResponseTemplate::new(403)
        .set_body_raw("<html>No valid crumb was included in the request</html>", "text/html");
    forge.put("POST /job/j/build", no_crumb).put("POST /job/j/build", created());
    let crumb = ResponseTemplate::new(200)
        .set_body_json(json!({ "crumb": "c4f3", "crumbRequestField": "Jenkins-Crumb" }))
        .insert_header("set-cookie", "JSESSIONID.1=node0; Path=/; HttpOnly");
    forge.put("GET /crumbIssuer/api/json", crumb);
    retry(&forge, &project).await.unwrap();
    let last = forge.requests().await.pop().unwrap();
    assert_eq!(last.headers["jenkins-crumb"], "c4f3");
    assert_eq!(last.headers["cookie"], "JSESSIONID.1=node0");
}

#[tokio::test]
async fn the_same_parameters_again() {
    let parameters = json!([{ "parameters": [
        { "name": "TARGET", "value": "stage & live" }, { "name": "DRY", "value": false }, { "name": "EMPTY", "value": "" },
        { "name": "SECRET" }, { "name": "COUNT", "value": 3 },
    ] }]);
    let (forge, project) = with_build(json!({ "actions": parameters })).await;
    forge.put("POST /job/j/buildWithParameters", created());
    retry(&forge, &project).await.unwrap();
    let last = forge.requests().await.pop().unwrap();
    let sent: Vec<_> = url::form_urlencoded::parse(&last.body).collect();
    let want = [("TARGET", "stage & live"), ("DRY", "false"), ("EMPTY", ""), ("COUNT", "3")];
    assert_eq!(sent, want.map(|(n, v)| (n.into(), v.into())));
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let (forge, project) = with_build(json!({ "building": true })).await;
    assert!(matches!(retry(&forge, &project).await, Err(Error::Refused(_))), "it has not ended");
    for (answer, want) in [
        (ResponseTemplate::new(409), "refused"),
        (ResponseTemplate::new(403), "forbidden"),
        (ResponseTemplate::new(302).insert_header("location", "/login?from=%2F"), "unauthorized"),
    ] {
        let (forge, project) = with_build(json!({})).await;
        forge.put("POST /job/j/build", answer);
        let error = retry(&forge, &project).await.unwrap_err();
        let fits = match want {
            "refused" => matches!(error, Error::Refused(_)),
            "forbidden" => matches!(error, Error::Forbidden(_)),
            _ => matches!(error, Error::Unauthorized(_)),
        };
        assert!(fits, "{want}: {error}");
    }
}

#[tokio::test]
async fn stopping_is_done_once() {
    let (forge, project) = with_build(json!({})).await;
    forge
        .put("POST /job/j/7/stop", ResponseTemplate::new(302).insert_header("location", "http://h/job/j/7/"));
    watching(&forge).actions().unwrap().cancel(&project, &RunId::from(7)).await.unwrap();
    assert_eq!(forge.asked(), ["POST /job/j/7/stop"]);
    // 8 waits: the queue knows it by another number.
    for status in [204, 302, 404] {
        let forge = Forge::start().await;
        forge.json(
            "GET /job/j/api/json",
            &json!({ "nextBuildNumber": 8, "inQueue": true, "queueItem": { "id": 55 } }),
        );
        forge.put(
            "POST /queue/cancelItem",
            ResponseTemplate::new(status).insert_header("location", "http://h/"),
        );
        watching(&forge).actions().unwrap().cancel(&project, &RunId::from(8)).await.unwrap();
        assert_eq!(forge.requests().await.pop().unwrap().url.query(), Some("id=55"));
    }
    let gone = watching(&forge).actions().unwrap().cancel(&project, &RunId::from(6)).await;
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
}
