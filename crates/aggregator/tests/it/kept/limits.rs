//! What is left of a limit that the platform does not count out loud.

use std::sync::Arc;
use std::time::Duration;

use aggregator::Aggregator;
use api::v1;
use config::Settings;
use domain::SystemClock;
use forge_sim::{Sim, bitbucket};
use lifecycle::Lifecycle;

use super::kit::*;

/// Requests an hour.
const LIMIT: u32 = 60;
/// More than enough to spend it, were each start to begin with a whole one.
const STARTS: u64 = 10;

fn settings(sim: &Sim, database: &str) -> Settings {
    let env = [
        ("BITBUCKET_URL", sim.bitbucket_url()),
        ("BITBUCKET_TOKEN", sim.token().to_owned()),
        ("DATABASE_URL", database.to_owned()),
    ];
    crate::kit::settings(env)
}

/// Somebody looks at every branch of every project: nothing of that waits for the schedule.
async fn look(rig: &Rig) {
    for row in rig.rows().await {
        let project = row.project.and_then(|p| p.key);
        for name in ["main", "master", "develop"] {
            let name = Some(name.to_owned());
            let request = v1::ListBranchesRequest {
                project: project.clone(),
                name,
                per_page: 10,
                ..Default::default()
            };
            // Refused, once nothing is left.
            let _ = rig.client.clone().list_branches(request).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_restarts_nor_reloads_overdraw_a_limit_that_is_counted_here() {
    let limits = forge_sim::Limits { bitbucket_hourly: Some(LIMIT), ..forge_sim::Limits::default() };
    let sim =
        Sim::builder().faces([bitbucket::FACE]).projects(3).broken(0).limits(limits).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&sim, &sqlite(folder.path()));
    for n in 0..STARTS {
        let life = Lifecycle::new();
        let aggregator = Aggregator::new(&settings, Arc::new(SystemClock), &life.tasks()).unwrap();
        let endpoint = api::Endpoint::InProcess(api::InProcess::default());
        let mut running = aggregator.start(endpoint.listen().await.unwrap(), &life.tasks());
        let rig = Rig { life, client: endpoint.client().unwrap() };
        until("there are rows", async || (!rig.rows().await.is_empty()).then_some(())).await;
        look(&rig).await;
        settings.cache.refresh_interval = Duration::from_secs(300 + n);
        running.apply(aggregator::roster(&settings).unwrap()).await;
        look(&rig).await;
        rig.life.stop().await;
    }
    let asked = sim.requests().all();
    assert!(asked.iter().all(|r| r.status != 429), "the platform had to refuse");
    assert!(asked.len() <= LIMIT as usize && asked.len() > LIMIT as usize / 2, "{} requests", asked.len());
}
