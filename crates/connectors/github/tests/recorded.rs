//! What GitHub really answered, recorded by other projects. The recordings are no part of this repository: without them
//! there is nothing to test here.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use connector::{Connector, PipelineQuery};
use domain::{JobId, ManualClock, ProblemKind, RunId, Status, WhichWorkflows};
use forge_sim::replay::Replay;
use futures::StreamExt;

const FILES: [&str; 3] = ["phishing-detection.json", "pygithub.json", "user.json"];

/// Where the recordings are, if they are.
fn folder() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/recorded");
    let folder = std::env::var_os("CI_DASHBOARD_RECORDED").map_or_else(beside, PathBuf::from).join("github");
    folder.is_dir().then_some(folder)
}

/// A source that asks the recordings; `None` where there are none.
async fn recorded() -> Option<(Replay, Arc<dyn Connector>)> {
    let Some(folder) = folder() else {
        println!("skipped: no recorded answers");
        return None;
    };
    let replay = Replay::start(FILES.map(|f| folder.join(f))).await.unwrap();
    let clock = Arc::new(ManualClock::at("2026-11-24T10:00:00Z".parse().unwrap()));
    let source = support::source(&support::settings(&replay.url()), clock);
    Some((replay, source))
}

#[tokio::test]
async fn repositories_of_the_token_are_listed() {
    let Some((_replay, source)) = recorded().await else { return };
    let page = source.projects(None).await.unwrap();
    assert_eq!((page.items.len(), page.next), (16, None));
    assert_eq!(page.items[0].key.to_string(), "gh:jacquev6/TestPyGithub");
    let who = source.current_user().unwrap().current_user().await.unwrap().unwrap();
    assert_eq!((who.name.as_str(), who.login.as_deref()), ("Vincent Jacques", Some("jacquev6")));
}

#[tokio::test]
async fn the_board_gets_what_was_recorded_of_a_large_repository() {
    let Some((_replay, source)) = recorded().await else { return };
    let project = source.project("PyGithub/PyGithub").await.unwrap();
    assert_eq!(project.default_branch.as_deref(), Some("master"));
    let (key, heads) = source.branch_heads(vec![support::ask(&project)]).next().await.unwrap();
    let heads = heads.unwrap();
    assert_eq!(key, project.key);

    // An answer of 2018: neither author nor date.
    let head = heads.default_branch.unwrap();
    assert!(head.default && head.protected == Some(true) && head.author.is_none());
    assert_eq!(head.sha.as_deref(), Some("d60943db8c9ae6ca1f9400d378a757e6f281dbde"));

    assert_eq!(heads.pipelines.len(), 5);
    heads.pipelines.iter().for_each(connector_suite::sane);
    let branches: Vec<_> = heads.pipelines.iter().map(|p| p.branch.as_deref().unwrap()).collect();
    assert_eq!(
        branches,
        [
            "master",
            "master",
            "master",
            "s-t-e-v-e-n-k:remove-ratelimit-rate",
            "s-t-e-v-e-n-k:pullrequestreview-no-url"
        ]
    );
    let newest = &heads.pipelines[0];
    assert_eq!((newest.status, newest.native_status.as_str()), (Status::Success, "success"));
    // The rows have no name: it is the list of workflows that knows it.
    assert_eq!(newest.workflow.name.as_deref(), Some("check"));
    assert_eq!(newest.duration.map(|d| d.as_secs()), Some(157));
    assert_eq!(newest.author.as_ref().map(|a| a.name.as_str()), Some("Steve Kowalik"));
    let lanes = ["1026390", "1122712"].map(String::from).into_iter().collect();
    assert_eq!(heads.workflows, Some(WhichWorkflows::Only(lanes)));
    assert_eq!(heads.problems, []);
}

#[tokio::test]
async fn what_was_not_recorded_is_told_beside_the_runs() {
    let Some((_replay, source)) = recorded().await else { return };
    let project = source.project("ReDASers/Phishing-Detection").await.unwrap();
    let (_, heads) = source.branch_heads(vec![support::ask(&project)]).next().await.unwrap();
    let heads = heads.unwrap();
    assert_eq!(heads.pipelines.len(), 30);
    heads.pipelines.iter().for_each(connector_suite::sane);
    assert!(heads.pipelines.iter().all(|p| p.number.is_some() && p.workflow.lane.parse::<u64>().is_ok()));
    assert_eq!(heads.pipelines.iter().filter(|p| p.status == Status::Canceled).count(), 1);
    assert_eq!(heads.pipelines.iter().filter(|p| p.status == Status::Failed).count(), 1);
    let problems: Vec<_> = heads.problems.iter().map(|p| (p.kind, p.text.as_str())).collect();
    assert_eq!(
        problems,
        [(ProblemKind::Partial, "branch master: not found"), (ProblemKind::Partial, "workflows: not found")]
    );
    let budget = source.budget().unwrap();
    assert_eq!((budget.limit, budget.reset_at), (5000, None), "a reset in the past is no reset");
}

#[tokio::test]
async fn runs_are_read_to_the_end() {
    let Some((_replay, source)) = recorded().await else { return };
    let project = source.project("ReDASers/Phishing-Detection").await.unwrap();
    let query = PipelineQuery { branch: None, since: None, until: None, limit: 2000 };
    let all = source.pipelines(&project, &query).await.unwrap();
    assert_eq!((all.items.len(), all.problems), (30, vec![]));
    let query = PipelineQuery { branch: Some("x_spam_flag".into()), ..query };
    let of_branch = source.pipelines(&project, &query).await.unwrap();
    assert_eq!(of_branch.items.len(), 5);
    assert_eq!(of_branch.items[4].status, Status::Failed);
    let latest = source.latest_pipeline(&project, "master").await.unwrap().unwrap();
    assert_eq!(latest.id, RunId::from(298_894_825));
    let branch = source.branch(&project, "adversary").await.unwrap();
    let author = branch.author.unwrap();
    assert_eq!(
        (author.name.as_str(), author.login.as_deref()),
        ("Radoslaw Konopka", Some("radoslawkonopka"))
    );
    assert_eq!(branch.committed_at.map(|t| t.to_string()).as_deref(), Some("2020-08-11T23:16:38Z"));
}

#[tokio::test]
async fn a_run_comes_with_its_jobs() {
    let Some((_replay, source)) = recorded().await else { return };
    let project = source.project("PyGithub/PyGithub").await.unwrap();
    let detail = source.pipeline(&project, &RunId::from(4_205_440_316)).await.unwrap();
    assert_eq!((detail.jobs.len(), detail.problems), (5, vec![]));
    assert_eq!(detail.jobs[1].name, "test (Python 3.8)");
    assert_eq!(detail.jobs[1].duration.map(|d| d.as_secs()), Some(142));
    assert_eq!(detail.pipeline.attempt, Some(1));
    assert_eq!(detail.pipeline.message.as_deref(), Some("Fix lint"));
    // From the first job's start to the last one's end.
    assert_eq!(detail.pipeline.duration.map(|d| d.as_secs()), Some(144));

    // Its jobs were never recorded.
    let detail = source.pipeline(&project, &RunId::from(3_911_660_493)).await.unwrap();
    assert_eq!(detail.pipeline.status, Status::Running);
    assert_eq!(detail.problems[0].text, "jobs: not found");
    assert!(source.pipeline(&project, &RunId::from(1)).await.is_err());
    assert!(source.log(&project, &RunId::from(1), &JobId::from(1), 1000).await.is_err());
}

#[tokio::test]
async fn issues_come_without_pull_requests() {
    let Some((_replay, source)) = recorded().await else { return };
    let project = source.project("PyGithub/PyGithub").await.unwrap();
    let issues = source.issues().unwrap().open_issues(&project, None).await.unwrap();
    assert!(!issues.items.is_empty() && issues.items.len() < 30);
    let pulls = source.merge_requests().unwrap().open_merge_requests(&project, None).await.unwrap();
    assert_eq!(pulls.items.len(), 1);
    assert_eq!(pulls.items[0].source_branch, "BeaverSoftware:master");
}
