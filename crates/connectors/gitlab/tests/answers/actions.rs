//! Starting over and stopping.

use connector::Error;
use domain::RunId;

use crate::support::{settings, source};
use crate::{TOKEN, healthy, project};

const RETRY: &str = "/projects/7/pipelines/100/retry";
const CANCEL: &str = "/projects/7/pipelines/100/cancel";

#[tokio::test]
async fn a_pipeline_is_started_over_and_stopped() {
    let forge = healthy().await;
    let project = project(&forge).await;
    forge.json(RETRY, &serde_json::json!({ "id": 100, "status": "running" }));
    forge.json(CANCEL, &serde_json::json!({ "id": 100, "status": "canceled" }));
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let actions = source.actions().unwrap();
    actions.retry(&project, &RunId::from(100)).await.unwrap();
    actions.cancel(&project, &RunId::from(100)).await.unwrap();
    let posted = forge.requests().await;
    let posted: Vec<_> = posted.iter().filter(|r| r.method == "POST").map(|r| r.url.path()).collect();
    assert_eq!(posted, [format!("/api/v4{RETRY}"), format!("/api/v4{CANCEL}")], "each once");
}

#[tokio::test]
async fn a_refusal_is_told_for_what_it_is_and_never_tried_again() {
    let forge = healthy().await;
    let project = project(&forge).await;
    let source = source(&settings(&forge.url(), Some(TOKEN)));
    let actions = source.actions().unwrap();
    type Is = fn(&Error) -> bool;
    let cases: [(u16, Is); 4] = [
        (403, |e| matches!(e, Error::Forbidden(_))),
        (404, |e| matches!(e, Error::NotFound(_))),
        (409, |e| matches!(e, Error::Refused(_))),
        (500, |e| matches!(e, Error::Server(_))),
    ];
    for (status, is) in cases {
        forge.status(RETRY, status);
        forge.asked();
        let error = actions.retry(&project, &RunId::from(100)).await.unwrap_err();
        assert!(is(&error), "{status}: {error:?}");
        assert_eq!(forge.asked().len(), 1, "{status}: what may have been done is not done twice");
    }
}

#[tokio::test]
async fn without_a_token_nothing_can_be_done() {
    let forge = healthy().await;
    assert!(source(&settings(&forge.url(), None)).actions().is_none());
}
