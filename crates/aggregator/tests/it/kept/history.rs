//! With real databases behind it.

use std::collections::BTreeSet;

use api::v1;
use api::v1::WebhookVerdict as V;
use domain::{ProjectKey, RunId};
use forge_sim::RunStatus;
use history::{History, Logged, Treated};

use super::kit::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_board_comes_back_without_any_platform() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let settings = settings(&sim.gitlab_url(), sim.token(), &sqlite(folder.path()));
    let rig = Rig::start(&settings).await;
    rig.read().await;
    let before = board(&rig.rows().await);
    assert!(before.len() >= 4, "{before:?}");
    rig.life.stop().await;
    sim.shutdown().await;

    let rig = Rig::start(&settings).await;
    until("the board is back", async || (board(&rig.rows().await) == before).then_some(())).await;
    assert!(rig.rows().await.iter().all(|r| r.branch.is_none() || !r.loading));
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_it_was_away_is_fetched() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let settings = settings(&sim.gitlab_url(), sim.token(), &sqlite(folder.path()));
    let project = Busy::of(&sim);
    Rig::was_at_work(&settings).await;

    // More than the board will ever hold.
    let missed = project.run(&sim, 260);
    let rig = Rig::start(&settings).await;
    rig.read().await;
    rig.written().await;
    let history = opened(folder.path()).await;
    until("every run is in history", async || {
        let kept: BTreeSet<String> =
            project.kept(&history).await.into_iter().map(|r| r.id.to_string()).collect();
        missed.is_subset(&kept).then_some(())
    })
    .await;
    let kept = project.kept(&history).await;
    let distinct: BTreeSet<_> = kept.iter().map(|r| r.id.clone()).collect();
    assert_eq!(distinct.len(), kept.len(), "each once");
    assert!(kept.iter().filter(|r| missed.contains(r.id.as_str())).all(|r| r.status.is_terminal()));
    rig.written().await;
    let known = history.watermarks(&project.key().source).await.unwrap()[&project.key()];
    assert!(known.to > kept[0].began().unwrap(), "and it is known that nothing is missing: {known:?}");
    // The list goes on beyond the board, whose rows are not asked of the platform again.
    let request = v1::ListPipelinesRequest {
        project: Some((&project.key()).into()),
        page: 3,
        per_page: 100,
        ..Default::default()
    };
    let page = rig.client.clone().list_pipelines(request).await.unwrap().into_inner();
    assert!(!page.pipelines.is_empty() && !page.loading, "{} of {}", page.pipelines.len(), page.total);
    // So does a narrowed one.
    let failed = kept.iter().filter(|r| r.status == domain::Status::Failed).count();
    let of = |branch: Option<&str>, page| v1::ListPipelinesRequest {
        project: Some((&project.key()).into()),
        statuses: vec!["failed".into()],
        branch: branch.map(Into::into),
        page,
        per_page: 50,
        ..Default::default()
    };
    let list = async |request| rig.client.clone().list_pipelines(request).await.unwrap().into_inner();
    let (first, second) = (list(of(None, 1)).await, list(of(Some(&project.branch), 2)).await);
    assert_eq!((first.pipelines.len(), first.total as usize), (50, failed));
    assert!(
        second.pipelines.len() > 30,
        "the board has fewer: {} of {}",
        second.pipelines.len(),
        second.total
    );
    assert!(second.pipelines.iter().all(|r| r.branch.as_deref() == Some(&*project.branch)));
    rig.life.stop().await;
    sim.shutdown().await;

    // A platform that has forgotten them.
    let sim = super::kit::sim().await;
    let settings = super::kit::settings(&sim.gitlab_url(), sim.token(), &sqlite(folder.path()));
    let rig = Rig::start(&settings).await;
    rig.read().await;
    let all = v1::ListPipelinesRequest { project: Some((&project.key()).into()), ..Default::default() };
    let total = rig.client.clone().list_pipelines(all).await.unwrap().into_inner().total;
    assert!(total as usize >= kept.len(), "{total} of {}", kept.len());
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_a_run_takes_is_known_from_history_where_the_board_has_too_few_green_ones() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let settings = settings(&sim.gitlab_url(), sim.token(), &sqlite(folder.path()));
    let project = Busy::of(&sim);
    Rig::was_at_work(&settings).await;

    // As many as the board holds, and none of them green.
    let run = sim.world().with(|w| {
        for _ in 0..connector::Heads::MAX_RUNS {
            let run = w.start_pipeline(project.id, &project.branch, 0, false).unwrap();
            w.finish_pipeline(project.id, run, RunStatus::Failed).unwrap();
        }
        w.start_pipeline(project.id, &project.branch, 0, true).unwrap().to_string()
    });
    let rig = Rig::start(&settings).await;
    rig.read().await;
    let key = Some((&project.key()).into());
    let on_board = v1::ListPipelinesRequest { project: key.clone(), per_page: 100, ..Default::default() };
    let listed = until("the run is on the board", async || {
        let page = rig.client.clone().list_pipelines(on_board.clone()).await.ok()?.into_inner();
        page.pipelines.into_iter().find(|r| r.id == run)
    })
    .await;
    assert_eq!(listed.expected_of, 0, "the board alone does not know");
    let request = v1::GetPipelineRequest { project: key, id: run };
    let told = until("history is asked", async || {
        let answer = rig.client.clone().get_pipeline(request.clone()).await.ok()?.into_inner();
        answer.pipeline.filter(|run| run.expected_of > 0)
    })
    .await;
    assert!(told.expected_of >= 5 && told.expected_duration.is_some(), "{told:?}");
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_red_has_its_jobs_though_nobody_looks() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let settings = settings(&sim.gitlab_url(), sim.token(), &sqlite(folder.path()));
    let rig = Rig::start(&settings).await;
    rig.read().await;
    let history = opened(folder.path()).await;
    let red: Vec<(ProjectKey, RunId)> = rig
        .rows()
        .await
        .iter()
        .flat_map(|row| {
            let key = ProjectKey::try_from(row.project.as_ref().unwrap().key.as_ref().unwrap()).unwrap();
            let runs = row.branch.iter().flat_map(|b| b.state.iter()).flat_map(|s| s.pipelines.clone());
            let red = runs.filter(|r| r.status() == v1::Status::Failed && r.failure.is_some());
            red.map(move |r| (key.clone(), RunId::new(r.id))).collect::<Vec<_>>()
        })
        .collect();
    assert!(!red.is_empty());
    for (project, run) in &red {
        until("its jobs are in history", async || {
            let attempts = history.attempts(project, run).await.unwrap();
            let (_, jobs) = attempts.last()?;
            jobs.iter().any(|job| job.status == domain::Status::Failed).then_some(())
        })
        .await;
    }
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_on_the_disk_before_it_is_acknowledged() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let settings = settings(&sim.gitlab_url(), sim.token(), &sqlite(folder.path()));
    let project = Busy::of(&sim);
    let rig = Rig::start(&settings).await;
    rig.read().await;
    assert_eq!(rig.told("d1", &project, 999_999).await.verdict(), V::Applied);
    let history = opened(folder.path()).await;
    let source = project.key().source;
    let logged = history.webhooks(&source, false, 10).await.unwrap();
    assert_eq!(logged.iter().map(|w| w.webhook.delivery.as_str()).collect::<Vec<_>>(), ["d1"]);
    let text = format!("{:?}{}", logged[0].webhook.headers, String::from_utf8_lossy(&logged[0].webhook.body));
    assert!(text.contains("Pipeline Hook") && text.contains("999999") && !text.contains(SECRET), "{text}");
    assert_eq!(rig.told("d1", &project, 999_999).await.verdict(), V::Duplicate);
    until("what became of it is written", async || {
        let logged = history.webhooks(&source, false, 10).await.unwrap();
        (logged[0].treated == Some(Treated::Applied)).then_some(())
    })
    .await;
    rig.life.stop().await;

    let rig = Rig::start(&settings).await;
    rig.read().await;
    assert_eq!(rig.told("d1", &project, 999_999).await.verdict(), V::Duplicate, "also after a restart");
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_logged_and_not_applied_is_applied_when_it_comes_again() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let settings = settings(&sim.gitlab_url(), sim.token(), &sqlite(folder.path()));
    let project = Busy::of(&sim);
    let rig = Rig::start(&settings).await;
    rig.read().await;
    // As one whose writing took longer than anybody waits for: answered 503, and on the disk all the same.
    let history = opened(folder.path()).await;
    let logged = history.log_webhooks(&[project.logged("d1", 999_999)]).await.unwrap();
    assert_eq!(logged, [Logged::New]);
    assert_eq!(rig.told("d1", &project, 999_999).await.verdict(), V::Applied);
    assert!(rig.has(&project, 999_999).await);
    assert_eq!(rig.told("d1", &project, 999_999).await.verdict(), V::Duplicate);
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_logged_and_not_applied_is_applied_at_the_next_start() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let settings = settings(&sim.gitlab_url(), sim.token(), &sqlite(folder.path()));
    let project = Busy::of(&sim);
    Rig::was_at_work(&settings).await;
    sim.shutdown().await;

    let history = opened(folder.path()).await;
    history.log_webhooks(&[project.logged("d1", 999_999)]).await.unwrap();
    let rig = Rig::start(&settings).await;
    until("what it tells is on the board", async || rig.has(&project, 999_999).await.then_some(())).await;
    let source = project.key().source;
    until("what became of it is written", async || {
        let logged = history.webhooks(&source, false, 10).await.unwrap();
        (logged[0].treated == Some(Treated::Applied)).then_some(())
    })
    .await;
    let kept = project.kept(&history).await;
    assert!(kept.iter().any(|run| run.id.as_str() == "999999"), "what it told is written before that");
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_it_runs_and_says_so() {
    let sim = sim().await;
    let settings = settings(&sim.gitlab_url(), sim.token(), "postgres://ci:wrong@127.0.0.1:1/x");
    let project = Busy::of(&sim);
    let rig = Rig::start(&settings).await;
    rig.read().await;
    assert!(!board(&rig.rows().await).is_empty());
    let history = rig.sources().await.history.unwrap();
    assert_eq!(history.state, "failing");
    let error = history.error.unwrap();
    assert!(error.contains("127.0.0.1:1/x") && !error.contains("wrong"), "{error}");
    let refused = rig.told("d1", &project, 999_999).await;
    assert_eq!(refused.verdict(), V::NotKept, "it is to be sent again");
    assert_eq!(rig.told("d1", &project, 999_999).await.verdict(), V::NotKept, "and is not known by then");
    let health = rig.sources().await.sources[0].webhooks.clone().unwrap();
    assert_eq!((health.not_kept, health.accepted, health.last_at), (2, 0, None));
    assert!(health.last_not_kept_at.is_some() && health.last_not_kept.unwrap().contains("127.0.0.1:1/x"));
    rig.life.stop().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_away_is_complete_afterwards() {
    let Some(mut server) = history_suite::server::Server::start(false) else { return };
    let sim = sim().await;
    let url = server.url("postgres");
    let settings = settings(&sim.gitlab_url(), sim.token(), &url);
    let project = Busy::of(&sim);
    let rig = Rig::start(&settings).await;
    rig.read().await;
    rig.written().await;

    server.kill();
    let missed = project.run(&sim, 240);
    until("the board goes on", async || {
        let row = rig
            .rows()
            .await
            .into_iter()
            .find(|r| r.project.as_ref().is_some_and(|p| p.name == project.name))?;
        let newest = row.branch?.state?.pipelines.first()?.id.clone();
        missed.contains(&newest).then_some(())
    })
    .await;
    until("it says so", async || (rig.sources().await.history?.state == "failing").then_some(())).await;
    server.resume();

    let history = history_postgres::open(&url, history_postgres::Options::default()).await.unwrap();
    until("every run is in history", async || {
        let kept: BTreeSet<String> =
            project.kept(&history).await.into_iter().map(|r| r.id.to_string()).collect();
        missed.is_subset(&kept).then_some(())
    })
    .await;
    rig.written().await;
    rig.life.stop().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_became_read_only_is_said_so_and_caught_up_with() {
    let Some(server) = history_suite::server::Server::start(false) else { return };
    let (sim, url) = (sim().await, server.url("postgres"));
    let settings = settings(&sim.gitlab_url(), sim.token(), &url);
    let project = Busy::of(&sim);
    let rig = Rig::start(&settings).await;
    rig.read().await;
    rig.written().await;
    let pooled = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ci-dashboard'";
    let connections: u32 = server.query("postgres", pooled).trim().parse().unwrap();
    assert!(connections <= settings.database.pool_size, "{connections}");

    let set = |statement: &str| {
        assert!(server.query("postgres", statement).starts_with("ALTER SYSTEM"), "{statement}");
        assert_eq!(server.query("postgres", "SELECT pg_reload_conf()").trim(), "t");
    };
    set("ALTER SYSTEM SET default_transaction_read_only = on");
    let missed = project.run(&sim, 5);
    let error = until("it says so", async || {
        let history = rig.sources().await.history?;
        (history.state == "failing").then_some(history.error?)
    })
    .await;
    assert!(error.contains("read-only") && error.contains("database.url"), "{error}");
    assert!(!error.contains("right") && error.lines().count() == 1, "{error}");
    assert!(!board(&rig.rows().await).is_empty(), "the board goes on");

    set("ALTER SYSTEM RESET default_transaction_read_only");
    let history = history_postgres::open(&url, history_postgres::Options::default()).await.unwrap();
    until("every run is in history", async || {
        let kept: BTreeSet<String> =
            project.kept(&history).await.into_iter().map(|r| r.id.to_string()).collect();
        missed.is_subset(&kept).then_some(())
    })
    .await;
    rig.written().await;
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_is_dropped() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let mut settings = settings(&sim.gitlab_url(), sim.token(), &sqlite(folder.path()));
    let history = opened(folder.path()).await;
    let project = Busy::of(&sim);
    let old = history_suite::run(1, domain::Status::Success, 0, 0);
    let mut batch = history::Batch::at(old.began().unwrap());
    batch.runs.push(history::RunNews::of(project.key(), old.clone()));
    history.ingest(batch).await.unwrap();
    assert!(project.kept(&history).await.iter().any(|r| r.id == old.id));
    settings.database.retention = Some(std::time::Duration::from_secs(90 * 86_400));
    let rig = Rig::start(&settings).await;
    until("the old run is dropped", async || {
        project.kept(&history).await.iter().all(|r| r.id != old.id).then_some(())
    })
    .await;
    rig.life.stop().await;
}
