//! Which builds a project has, from one reading to the next.

use domain::{Pipeline, RunId, Status};
use jiff::SignedDuration;

use crate::server::{Server, noon};

fn project(activity: &str, status: &str, label: &str, time: &str) -> String {
    let label = if label.is_empty() { String::new() } else { format!(" lastBuildLabel=\"{label}\"") };
    let time = if time.is_empty() { String::new() } else { format!(" lastBuildTime=\"2026-11-24T{time}Z\"") };
    format!(r#"<Project name="p" activity="{activity}" lastBuildStatus="{status}"{label}{time}/>"#)
}

fn states(runs: &[Pipeline]) -> Vec<Status> {
    runs.iter().map(|r| r.status).collect()
}

/// Tells these states one after the other, five minutes apart; gives back the runs after each.
async fn story(states: &[(&str, &str, &str, &str)]) -> Vec<Vec<Pipeline>> {
    let server = Server::start().await;
    let mut known = Vec::new();
    let mut all = Vec::new();
    for (activity, status, label, time) in states {
        server.feed(&project(activity, status, label, time));
        known = server.runs(&known).await;
        // What is the same is the same.
        assert_eq!(server.runs(&known).await, known);
        let mut ids: Vec<_> = known.iter().map(|r| r.id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), known.len());
        all.push(known.clone());
        server.clock.advance(SignedDuration::from_mins(5));
    }
    all
}

use Status::{Failed, Queued, Running, Success, Unknown};

#[tokio::test]
async fn a_build_that_goes_on_becomes_the_last() {
    let told = story(&[
        ("Sleeping", "Success", "1", "10:00:00"),
        ("Pending", "Success", "1", "10:00:00"),
        ("Building", "Success", "1", "10:00:00"),
        ("Sleeping", "Failure", "2", "11:00:00"),
        ("Building", "Failure", "2", "11:00:00"),
        ("Building", "Success", "3", "11:30:00"),
        ("Sleeping", "Success", "4", "11:40:00"),
    ])
    .await;
    let want: [&[Status]; 7] = [
        &[Success],
        &[Queued, Success],
        &[Running, Success],
        &[Failed, Success],
        &[Running, Failed, Success],
        &[Running, Success, Failed, Success],
        &[Success, Success, Failed, Success],
    ];
    for (runs, want) in told.iter().zip(want) {
        assert_eq!(states(runs), want);
    }
    assert_eq!(told[1][0].id, told[2][0].id, "what waited now builds");
    assert_ne!(told[4][0].id, told[5][0].id, "the next build is another one");
    assert_eq!(told[2][0].created_at, told[1][0].created_at);
}

#[tokio::test]
async fn the_first_build_has_nothing_before_it() {
    let told = story(&[
        ("Sleeping", "Unknown", "", ""),
        ("Building", "Unknown", "", ""),
        ("Sleeping", "Success", "1", "11:00:00"),
    ])
    .await;
    assert_eq!(told[0], []);
    assert_eq!((states(&told[1]), states(&told[2])), (vec![Running], vec![Success]));
}

#[tokio::test]
async fn a_server_that_labels_what_still_builds_tells_of_no_end() {
    let told = story(&[
        ("Sleeping", "Failure", "7", "10:00:00"),
        ("Building", "Unknown", "8", "11:00:00"),
        ("Sleeping", "Success", "8", "11:10:00"),
        ("Sleeping", "Pending", "9", "11:20:00"),
        ("Sleeping", "Unknown", "9", "11:30:00"),
    ])
    .await;
    assert_eq!(states(&told[1]), [Running, Failed], "the verdict before it stands");
    assert_eq!(states(&told[2]), [Success, Failed]);
    assert_eq!(states(&told[3]), [Queued, Success, Failed]);
    assert_eq!(states(&told[4]), [Unknown, Success, Failed]);
}

#[tokio::test]
async fn labels_may_be_missing_or_repeat() {
    let told = story(&[
        ("Sleeping", "Success", "1.0", "10:00:00"),
        ("Sleeping", "Failure", "1.0", "11:00:00"),
        ("Sleeping", "Success", "", "11:30:00"),
        ("Sleeping", "Failure", "", "11:40:00"),
    ])
    .await;
    assert_eq!(states(&told[3]), [Failed, Success, Failed, Success]);

    // Without times they are in the order in which they were seen.
    let told = story(&[
        ("Sleeping", "Success", "1.9", ""),
        ("Sleeping", "Failure", "1.10", ""),
        ("Building", "Failure", "1.10", ""),
        ("Sleeping", "Success", "1.2", ""),
    ])
    .await;
    assert_eq!(states(&told[1]), [Failed, Success]);
    assert_eq!(states(&told[3]), [Success, Failed, Success]);
    assert_eq!(told[3][2].created_at, Some(noon()));

    // With neither there is but one.
    let told = story(&[("Sleeping", "Success", "", ""), ("Sleeping", "Failure", "", "")]).await;
    assert_eq!((states(&told[0]), states(&told[1])), (vec![Success], vec![Failed]));
}

#[tokio::test]
async fn no_more_is_kept_than_a_board_holds() {
    let server = Server::start().await;
    let mut known: Vec<Pipeline> = Vec::new();
    for label in 0..130 {
        let time = format!("{:02}:{:02}:00", label / 60, label % 60);
        server.feed(&project("Sleeping", "Success", &label.to_string(), &time));
        known = server.runs(&known).await;
    }
    assert_eq!(known.len(), connector::Heads::MAX_RUNS);
    assert_eq!((known[0].number, known[99].number), (Some(129), Some(30)));
}

#[tokio::test]
async fn one_build_is_found_while_the_feed_tells_of_it() {
    let server = Server::start().await;
    server.feed(&project("Building", "Failure", "7", "10:00:00"));
    let runs = server.runs(&[]).await;
    let told = server.source.project("p").await.unwrap();
    for run in &runs {
        let detail = server.source.pipeline(&told, &run.id).await.unwrap();
        assert_eq!(
            (&detail.pipeline.id, detail.pipeline.status, detail.jobs.len()),
            (&run.id, run.status, 0)
        );
    }
    assert!(server.source.pipeline(&told, &RunId::new("6")).await.is_err());
    let query = |branch: Option<&str>, limit| connector::PipelineQuery {
        branch: branch.map(str::to_owned),
        since: Some("2026-11-24T11:00:00Z".parse().unwrap()),
        until: None,
        limit,
    };
    let list = |query| {
        let (source, told) = (&server.source, &told);
        async move { source.pipelines(told, &query).await.unwrap().items.len() }
    };
    assert_eq!(list(query(None, 10)).await, 1, "the other one is older");
    assert_eq!(list(query(Some("main"), 10)).await, 0);
    assert_eq!(list(connector::PipelineQuery { branch: None, since: None, until: None, limit: 10 }).await, 2);
    assert_eq!(list(connector::PipelineQuery { branch: None, since: None, until: None, limit: 1 }).await, 1);
    let latest = server.source.latest_pipeline(&told, "").await.unwrap();
    assert_eq!(latest.map(|r| r.status), Some(Running));
    assert!(server.source.latest_pipeline(&told, "main").await.unwrap().is_none());
    assert!(server.source.branch(&told, "main").await.is_err());
    assert!(server.source.branches(&told, None).await.unwrap().items.is_empty());
    let log = server.source.log(&told, &runs[0].id, &domain::JobId::new("x"), 100).await.unwrap();
    assert!(log.text.is_empty() && log.note.is_some());
}
