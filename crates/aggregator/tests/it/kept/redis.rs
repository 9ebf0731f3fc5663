//! With a real Redis behind it, and what survives in either.

use std::time::Duration;

use api::v1;
use cache_suite::{Options, Server};
use config::{CacheKind, SecretUrl, Settings};
use forge_sim::Sim;

use super::kit::*;

/// Kept in this Redis, and in no database.
fn in_redis(sim: &Sim, server: &Server) -> Settings {
    let mut settings = settings(&sim.gitlab_url(), sim.token(), "none");
    settings.cache.kind = CacheKind::Redis;
    settings.cache.redis_url = SecretUrl::new(&server.url(2).parse().unwrap());
    settings
}

impl Rig {
    /// All that there is to mirror is in Redis.
    async fn mirrored(&self) {
        until("all is mirrored", async || {
            let cache = self.sources().await.cache?;
            (cache.state == "ok" && cache.waiting == 0).then_some(())
        })
        .await;
    }

    async fn jobs(&self, row: &v1::Row) -> v1::GetPipelineResponse {
        let run = row.branch.as_ref().unwrap().state.as_ref().unwrap().pipelines[0].id.clone();
        let project = row.project.as_ref().unwrap().key.clone();
        let request = v1::GetPipelineRequest { project, id: run };
        self.client.clone().get_pipeline(request).await.unwrap().into_inner()
    }
}

/// One that has a run.
fn with_run(rows: &[v1::Row]) -> &v1::Row {
    let has = |r: &&v1::Row| {
        r.branch.as_ref().and_then(|b| b.state.as_ref()).is_some_and(|s| !s.pipelines.is_empty())
    };
    rows.iter().find(has).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn board_and_details_come_back_from_redis_without_any_platform() {
    let Some(server) = Server::start(Options::default()) else { return };
    let sim = sim().await;
    let settings = in_redis(&sim, &server);
    let rig = Rig::start(&settings).await;
    rig.read().await;
    let before = rig.rows().await;
    let jobs = until("the jobs are read", async || {
        let answer = rig.jobs(with_run(&before)).await;
        (!answer.loading).then_some(answer)
    })
    .await;
    assert!(!jobs.jobs.is_empty());
    rig.mirrored().await;
    rig.life.stop().await;
    sim.shutdown().await;

    let rig = Rig::start(&settings).await;
    until("the board is back", async || (board(&rig.rows().await) == board(&before)).then_some(())).await;
    assert!(rig.rows().await.iter().all(|r| r.branch.is_none() || !r.loading));
    until("the jobs are back", async || {
        let again = rig.jobs(with_run(&before)).await;
        (!again.loading && again.jobs == jobs.jobs).then_some(())
    })
    .await;
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_knows_is_written_to_a_history_that_lags() {
    let Some(server) = Server::start(Options::default()) else { return };
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let with_history = |settings: Settings| Settings {
        database: super::kit::settings(&sim.gitlab_url(), sim.token(), &sqlite(folder.path())).database,
        ..settings
    };
    // First both, then Redis alone: history has none of what came after.
    let rig = Rig::start(&with_history(in_redis(&sim, &server))).await;
    rig.read().await;
    rig.written().await;
    rig.life.stop().await;
    let project = Busy::of(&sim);
    let rig = Rig::start(&in_redis(&sim, &server)).await;
    rig.read().await;
    let missed = project.run(&sim, 5);
    until("the board has them", async || {
        let row = rig.rows().await.into_iter().find(|r| r.project.as_ref().unwrap().name == project.name)?;
        missed.contains(&row.branch?.state?.pipelines.first()?.id).then_some(())
    })
    .await;
    rig.mirrored().await;
    rig.life.stop().await;
    let settings = with_history(in_redis(&sim, &server));
    sim.shutdown().await;

    let rig = Rig::start(&settings).await;
    let history = opened(folder.path()).await;
    until("history has them although no platform answers", async || {
        let kept = project.kept(&history).await;
        missed.iter().all(|id| kept.iter().any(|r| r.id.as_str() == id)).then_some(())
    })
    .await;
    rig.life.stop().await;
}

/// How many answers of the platform were "unchanged", and how many were not, since the last look.
fn answers(sim: &Sim) -> (usize, usize) {
    let all = sim.requests().all();
    sim.requests().clear();
    let unchanged = all.iter().filter(|r| r.status == 304).count();
    (unchanged, all.len() - unchanged)
}

async fn an_unchanged_world_costs_304s(sim: &Sim, settings: &Settings, kept: impl AsyncFn(&Rig)) {
    let rig = Rig::start(settings).await;
    rig.read().await;
    kept(&rig).await;
    rig.life.stop().await;
    let (_, whole) = answers(sim);
    assert!(whole >= 6, "everything is read whole the first time: {whole}");
    let rig = Rig::start(settings).await;
    // The first reading of everything since the start.
    until("every project is asked for again", async || {
        let asked = sim.requests().all().iter().filter(|r| r.template.contains("pipelines")).count();
        (asked >= 6).then_some(())
    })
    .await;
    rig.life.stop().await;
    let (unchanged, whole) = answers(sim);
    assert!(unchanged >= 6 && unchanged > whole, "{unchanged} unchanged, {whole} whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_what_did_not_change_costs_a_304() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let settings = settings(&sim.gitlab_url(), sim.token(), &sqlite(folder.path()));
    let history = opened(folder.path()).await;
    let kept = async |rig: &Rig| {
        rig.written().await;
        until("answers are kept", async || {
            let kept = history::History::kept(&history, &format!("etags:{SOURCE}")).await.unwrap();
            (kept.len() >= 6).then_some(())
        })
        .await;
    };
    an_unchanged_world_costs_304s(&sim, &settings, kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn also_with_redis_alone() {
    let Some(server) = Server::start(Options::default()) else { return };
    let sim = sim().await;
    an_unchanged_world_costs_304s(&sim, &in_redis(&sim, &server), async |rig| rig.mirrored().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_redis_it_runs_and_says_so() {
    let Some(mut server) = Server::start(Options::default()) else { return };
    let sim = sim().await;
    let settings = in_redis(&sim, &server);
    server.kill();
    let rig = Rig::start(&settings).await;
    rig.read().await;
    assert!(!board(&rig.rows().await).is_empty());
    let cache = rig.sources().await.cache.unwrap();
    assert_eq!(cache.state, "failing");
    let error = cache.error.unwrap();
    assert!(error.contains("refuses connections"), "{error}");
    server.resume();
    tokio::time::timeout(Duration::from_secs(60), rig.mirrored()).await.unwrap();
    let keys = server.cli(2, &["HKEYS", &format!("ci-dashboard:v1:board:{SOURCE}")]);
    assert!(keys.lines().count() > 6, "{keys}");
    rig.life.stop().await;
}
