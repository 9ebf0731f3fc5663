//! What is asked for again and what is not.

use std::sync::Arc;

use connector::{Heads, HeadsAsk};
use domain::{Narrowing, Outcome, Project, Status, WhichWorkflows, roll_up};
use jiff::SignedDuration;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::forge::{Forge, job, list, pipeline, workflow};
use crate::refresh::again;

fn told(forge_rows: &Heads, project: &Project, before: &Heads) -> HeadsAsk {
    HeadsAsk { told: Some(forge_rows.clone()), ..again(project, before) }
}

fn outcome(heads: &Heads) -> Option<Outcome> {
    let main = heads.pipelines.iter().filter(|r| r.branch.as_deref() == Some("main"));
    roll_up(main, &Narrowing::default(), &WhichWorkflows::Unknown).outcome
}

/// A listing of the organization, and the project with what it told.
async fn listed(forge: &Forge, rows: &[Value]) -> (Project, Heads) {
    forge.give("/me/collaborations", json!([{ "vcs_type": "github", "slug": "gh/acme", "name": "acme" }]));
    forge.give("/pipeline", list(rows));
    let mut page = forge.circle.projects(None).await.unwrap();
    let project = page.items.remove(0);
    let told = page.told.remove(&project.key.id).unwrap();
    forge.asked();
    (project, told)
}

#[tokio::test]
async fn what_has_ended_is_not_asked_for_again() {
    let forge = Forge::start().await;
    let rows = [pipeline(3, json!({})), pipeline(2, json!({})), pipeline(1, json!({}))];
    forge.pipelines(&rows);
    forge.workflows(3, &[workflow(3, "build", "running", json!({ "stopped_at": null }))]);
    forge.workflows(2, &[workflow(2, "build", "failed", json!({}))]);
    forge.workflows(1, &[workflow(1, "build", "success", json!({}))]);
    forge.give("/workflow/w2-build/job", list(&[job(1, "unit", "timedout", json!({}))]));
    let (project, listing) = listed(&forge, &rows).await;
    let first =
        forge.heads(HeadsAsk { told: Some(listing.clone()), ..crate::support::ask(&project) }).await.unwrap();
    assert_eq!(
        forge.asked(),
        ["/pipeline/p1/workflow", "/pipeline/p2/workflow", "/pipeline/p3/workflow", "/workflow/w2-build/job"]
    );
    assert_eq!(first.pipelines[1].failure.as_deref(), Some("unit: timed out"));
    assert_eq!(first.default_branch.as_ref().unwrap().sha.as_deref(), Some("sha3"));

    let second = forge.heads(told(&listing, &project, &first)).await.unwrap();
    assert_eq!(forge.asked(), ["/pipeline/p3/workflow"], "only what runs");
    assert_eq!(second.pipelines, first.pipelines);

    forge.workflows(3, &[workflow(3, "build", "success", json!({}))]);
    let third = forge.heads(again(&project, &second)).await.unwrap();
    assert_eq!(
        forge.asked(),
        ["/pipeline/p3/workflow", "/project/gh/acme/web/pipeline"],
        "without a listing"
    );
    assert_eq!(outcome(&third), Some(Outcome::Success));
    forge.heads(told(&listing, &project, &third)).await.unwrap();
    assert!(forge.asked().is_empty(), "nothing is left to be asked");
}

#[tokio::test]
async fn what_is_red_is_looked_at_since_it_may_be_started_over() {
    let forge = Forge::start().await;
    let rows = [pipeline(2, json!({})), pipeline(1, json!({}))];
    forge.pipelines(&rows);
    forge.workflows(
        2,
        &[workflow(2, "build", "failed", json!({})), workflow(2, "lint", "success", json!({}))],
    );
    forge.workflows(1, &[workflow(1, "build", "failed", json!({}))]);
    forge.give("/workflow/w2-build/job", list(&[]));
    let (project, listing) = listed(&forge, &rows).await;
    let first = forge.heads(told(&listing, &project, &Heads::default())).await.unwrap();
    forge.asked();
    let second = forge.heads(told(&listing, &project, &first)).await.unwrap();
    assert_eq!(
        forge.asked(),
        ["/pipeline/p2/workflow"],
        "the newest of the default branch alone, its jobs not again"
    );
    assert_eq!((outcome(&second), &second.pipelines), (Some(Outcome::Failed), &first.pipelines));

    let over =
        json!({ "id": "again", "created_at": "2026-11-24T10:00:00Z", "stopped_at": "2026-11-24T10:05:00Z" });
    forge.workflows(
        2,
        &[
            workflow(2, "build", "success", over),
            workflow(2, "build", "failed", json!({})),
            workflow(2, "lint", "success", json!({})),
        ],
    );
    let third = forge.heads(told(&listing, &project, &second)).await.unwrap();
    assert_eq!(outcome(&third), Some(Outcome::Success));
    assert!(third.pipelines.iter().all(|r| r.id.as_str() != "w2-build"));
}

#[tokio::test]
async fn a_gap_between_listing_and_known_is_closed() {
    let forge = Forge::start().await;
    for number in 1..=6 {
        forge.workflows(number, &[workflow(number, "build", "success", json!({}))]);
    }
    let first_rows = [pipeline(2, json!({})), pipeline(1, json!({}))];
    forge.pipelines(&first_rows);
    let (project, listing) = listed(&forge, &first_rows).await;
    let first = forge.heads(told(&listing, &project, &Heads::default())).await.unwrap();
    forge.asked();
    // The listing tells of 6 and 5: 4 and 3 are missing.
    let rows: Vec<_> = (1..=6).rev().map(|n| pipeline(n, json!({}))).collect();
    forge.pipelines(&rows);
    let (_, listing) = listed(&forge, &rows[..2]).await;
    let newest = Heads { pipelines: listing.pipelines[..2].to_vec(), ..Heads::default() };
    let second = forge.heads(told(&newest, &project, &first)).await.unwrap();
    let asked = forge.asked();
    assert_eq!(asked.iter().filter(|p| p.starts_with("/project/")).count(), 1, "{asked:?}");
    assert_eq!(asked.iter().filter(|p| p.starts_with("/pipeline/")).count(), 4, "{asked:?}");
    assert_eq!(second.pipelines.iter().filter_map(|r| r.number).collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn a_broken_configuration_is_red_until_a_workflow_runs_again() {
    let forge = Forge::start().await;
    let errored = json!({ "state": "errored", "errors": [{ "message": "bad config" }] });
    let rows = [pipeline(2, errored.clone()), pipeline(1, json!({}))];
    forge.pipelines(&rows);
    forge.workflows(2, &[]);
    forge.workflows(1, &[workflow(1, "build", "success", json!({}))]);
    let project = forge.project().await;
    let first = forge.first().await;
    assert_eq!(outcome(&first), Some(Outcome::Failed));
    assert_eq!(first.pipelines[0].failure.as_deref(), Some("bad config"));
    forge.asked();
    let second = forge.heads(again(&project, &first)).await.unwrap();
    assert_eq!(forge.asked(), ["/project/gh/acme/web/pipeline"], "nothing can be started over there");
    forge.pipelines(&[pipeline(3, json!({})), pipeline(2, errored), pipeline(1, json!({}))]);
    forge.workflows(3, &[workflow(3, "build", "success", json!({}))]);
    let third = forge.heads(again(&project, &second)).await.unwrap();
    assert_eq!(outcome(&third), Some(Outcome::Success));
}

#[tokio::test]
async fn runs_of_old_pipelines_are_followed_to_their_end() {
    let forge = Forge::start().await;
    forge.pipelines(&[pipeline(1, json!({}))]);
    forge.workflows(1, &[workflow(1, "build", "on_hold", json!({ "stopped_at": null }))]);
    let project = forge.project().await;
    let first = forge.first().await;
    assert_eq!(first.pipelines[0].status, Status::Manual);
    // It is on no page any more.
    forge.pipelines(&[pipeline(2, json!({}))]);
    forge.workflows(2, &[workflow(2, "build", "success", json!({}))]);
    forge.give("/workflow/w1-build", workflow(1, "build", "canceled", json!({})));
    forge.asked();
    let second = forge.heads(again(&project, &first)).await.unwrap();
    assert_eq!(
        forge.asked(),
        ["/pipeline/p2/workflow", "/project/gh/acme/web/pipeline", "/workflow/w1-build"]
    );
    let of =
        |heads: &Heads, number| heads.pipelines.iter().find(|r| r.number == Some(number)).cloned().unwrap();
    assert_eq!((of(&second, 1).status, of(&second, 1).branch), (Status::Canceled, Some("main".into())));
    // One that is no more goes.
    let third = HeadsAsk {
        known: first.pipelines.iter().cloned().map(Arc::new).collect(),
        ..again(&project, &first)
    };
    forge.answer(
        "/workflow/w1-build",
        ResponseTemplate::new(404).set_body_json(json!({ "message": "Not found" })),
    );
    let third = forge.heads(third).await.unwrap();
    assert_eq!(third.pipelines.iter().filter_map(|r| r.number).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_shown_branch_that_is_quiet_is_asked_for_by_name_once() {
    let forge = Forge::start().await;
    let on = |branch: &str| {
        let mut vcs = pipeline(9, json!({}))["vcs"].clone();
        vcs["branch"] = json!(branch);
        json!({ "vcs": vcs })
    };
    forge.pipelines(&[pipeline(9, on("feature"))]);
    forge.workflows(9, &[workflow(9, "build", "success", json!({}))]);
    forge.give("/project/gh/acme/web/pipeline?branch=main", list(&[pipeline(2, json!({}))]));
    forge.workflows(2, &[workflow(2, "build", "success", json!({}))]);
    forge.give("/project/gh/acme/web/pipeline?branch=release/1.0", list(&[pipeline(1, on("release/1.0"))]));
    forge.workflows(1, &[workflow(1, "build", "success", json!({}))]);
    let project = forge.project().await;
    let ask = HeadsAsk { branches: vec!["release/1.0".into()], ..crate::support::ask(&project) };
    let first = forge.heads(ask).await.unwrap();
    assert_eq!(first.pipelines.iter().filter_map(|r| r.number).collect::<Vec<_>>(), [9, 2, 1]);
    assert_eq!(first.default_branch.as_ref().unwrap().sha.as_deref(), Some("sha2"));
    forge.asked();
    forge.heads(again(&project, &first)).await.unwrap();
    assert_eq!(forge.asked(), ["/project/gh/acme/web/pipeline"]);
}

#[tokio::test]
async fn a_project_that_never_ran_says_so_and_costs_nothing_more() {
    let forge = Forge::start().await;
    let project = forge.project().await;
    let first = forge.first().await;
    assert_eq!(
        first.problems.iter().map(|p| p.text.as_str()).collect::<Vec<_>>(),
        ["no pipeline has run yet"]
    );
    assert_eq!(first.default_branch.as_ref().map(|b| (b.name.as_str(), b.default)), Some(("main", true)));
    forge.asked();
    let second = forge.heads(told(&Heads::default(), &project, &first)).await.unwrap();
    assert_eq!((second.problems, forge.asked().len()), (first.problems, 0));
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_counted() {
    let forge = Forge::start().await;
    forge.pipelines(&[pipeline(2, json!({})), json!({ "number": 1 }), json!("x"), json!(null)]);
    forge.workflows(2, &[workflow(2, "build", "success", json!({})), json!({ "name": "without an id" })]);
    let heads = forge.first().await;
    assert_eq!(heads.pipelines.len(), 1);
    forge.pipelines(&[json!({ "number": 1 })]);
    let ask = crate::support::ask(&forge.project().await);
    assert!(forge.heads(ask).await.is_err(), "none that can be read is no empty project");
}

#[tokio::test]
async fn pipelines_that_are_being_made_are_read_again() {
    let forge = Forge::start().await;
    let young = json!({ "state": "pending", "created_at": "2026-11-24T11:59:30Z" });
    let rows = [pipeline(1, young)];
    forge.pipelines(&rows);
    forge.workflows(1, &[]);
    forge.give("/pipeline/p1", rows[0].clone());
    let (project, listing) = listed(&forge, &rows).await;
    let first = forge.heads(told(&listing, &project, &Heads::default())).await.unwrap();
    assert_eq!(first.pipelines[0].status, Status::Queued);
    // The listing remembers it as it was; since then it has failed.
    forge.give("/pipeline/p1", pipeline(1, json!({ "state": "errored", "errors": [{ "message": "no" }] })));
    forge.clock.advance(SignedDuration::from_mins(1));
    forge.asked();
    let second = forge.heads(told(&listing, &project, &first)).await.unwrap();
    assert_eq!(second.pipelines[0].status, Status::Failed);
    assert_eq!(forge.asked(), ["/pipeline/p1", "/pipeline/p1/workflow"]);
}
