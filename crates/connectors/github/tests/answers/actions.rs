//! Starting over and stopping.

use connector::Error;
use domain::RunId;
use serde_json::{Value, json};

use crate::forge::{Forge, REPO};

#[tokio::test]
async fn a_run_is_started_over_and_stopped() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let (rerun, cancel) = ("/actions/runs/100/rerun-failed-jobs", "/actions/runs/100/cancel");
    forge.answer(&format!("{REPO}{rerun}"), 201, &[], json!({}));
    forge.answer(&format!("{REPO}{cancel}"), 202, &[], Value::Null);
    let actions = forge.github.actions().unwrap();
    actions.retry(&project, &RunId::from(100)).await.unwrap();
    actions.cancel(&project, &RunId::from(100)).await.unwrap();
    assert_eq!(forge.paths(), [rerun, cancel], "each once");
}

#[tokio::test]
async fn a_refusal_is_told_for_what_it_is_and_never_tried_again() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let actions = forge.github.actions().unwrap();
    type Is = fn(&Error) -> bool;
    let cases: [(u16, Is); 4] = [
        (403, |e| matches!(e, Error::Forbidden(_))),
        (404, |e| matches!(e, Error::NotFound(_))),
        (409, |e| matches!(e, Error::Refused(_))),
        (500, |e| matches!(e, Error::Server(_))),
    ];
    for (status, is) in cases {
        let body = json!({ "message": "Cannot cancel a workflow run that is completed." });
        forge.answer(&format!("{REPO}/actions/runs/100/cancel"), status, &[], body);
        let error = actions.cancel(&project, &RunId::from(100)).await.unwrap_err();
        assert!(is(&error), "{status}: {error:?}");
        assert!(status != 409 || error.to_string().contains("Cannot cancel"), "{error}");
        assert_eq!(forge.paths().len(), 1, "{status}: what may have been done is not done twice");
    }
}

#[tokio::test]
async fn without_a_token_nothing_can_be_done() {
    let forge = Forge::start_with(|settings| settings.token = None).await;
    assert!(forge.github.actions().is_none());
}
