//! What outlives the real aggregator, with simulated platforms before it and real databases behind it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aggregator::Aggregator;
use api::v1;
use api::v1::WebhookVerdict as V;
use config::{Inputs, Role, Secret, SecretFrom, Settings};
use domain::{NativeId, ProjectKey, SourceName, SystemClock};
use forge_sim::world::Shape;
use forge_sim::{ProjectId, RunStatus, Sim, gitlab};
use history::{History, RunFilter, Treated};
use lifecycle::Lifecycle;
use serde_json::json;

/// Nothing here takes nearly as long; a test that hangs is a test that fails.
const PATIENCE: Duration = Duration::from_secs(90);
const SECRET: &str = "s3cret";
const SOURCE: &str = "gitlab-main";

fn settings(gitlab: &str, token: &str, database: &str) -> Settings {
    let env = [
        ("GITLAB_URL", gitlab),
        ("GITLAB_TOKEN", token),
        ("DATABASE_URL", database),
        ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "200ms"),
    ];
    let mut inputs = Inputs::from_process(Role::Aggregator, None).unwrap();
    inputs.env = env.into_iter().collect();
    inputs.cwd = "/nonexistent".into();
    inputs.machine.system_config = "/nonexistent/config.yaml".into();
    let mut settings = config::load(&inputs).unwrap_or_else(|p| panic!("{p}")).settings;
    for source in &mut settings.sources {
        source.webhook_secret = Some(Secret::new(SECRET, SecretFrom::Settings));
    }
    settings
}

async fn sim() -> Sim {
    let limits = forge_sim::Limits { gitlab_per_minute: Some(10_000_000), ..forge_sim::Limits::default() };
    Sim::builder().faces([gitlab::FACE]).projects(6).seed(5).broken(1).limits(limits).start().await.unwrap()
}

fn sqlite(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("history.db").display())
}

async fn opened(folder: &Path) -> impl History {
    history_sqlite::open(folder.join("history.db"), history_sqlite::Options::default()).await.unwrap()
}

/// Waits until it is so.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let wait = async {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        loop {
            pause.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"))
}

struct Rig {
    life: Lifecycle,
    client: api::Client,
}

impl Rig {
    async fn start(settings: &Settings) -> Self {
        let life = Lifecycle::new();
        let aggregator = Aggregator::new(settings, Arc::new(SystemClock), &life.tasks()).unwrap();
        let endpoint = api::Endpoint::InProcess(api::InProcess::default());
        aggregator.start(endpoint.listen().await.unwrap(), &life.tasks());
        Self { life, client: endpoint.client().unwrap() }
    }

    async fn rows(&self) -> Vec<v1::Row> {
        let request = v1::ListProjectsRequest { per_page: 100, ..Default::default() };
        self.client.clone().list_projects(request).await.unwrap().into_inner().rows
    }

    async fn sources(&self) -> v1::ListSourcesResponse {
        self.client.clone().list_sources(v1::ListSourcesRequest {}).await.unwrap().into_inner()
    }

    /// Everything was read at least once.
    async fn read(&self) {
        until("everything is read", async || {
            let sources = self.sources().await.sources;
            let read = sources.iter().all(|s| s.state() == v1::SourceState::Ok);
            (read && self.rows().await.iter().all(|r| !r.loading)).then_some(())
        })
        .await;
    }

    /// All that there is to write is written.
    async fn written(&self) {
        until("all is written", async || {
            let history = self.sources().await.history?;
            (history.state == "ok" && history.waiting == 0 && history.behind == 0).then_some(())
        })
        .await;
    }

    async fn told(&self, id: &str, project: &Busy, run: u64) -> v1::IngestWebhookResponse {
        let header = |n: &str, v: &str| v1::Header { name: n.into(), value: v.into() };
        let body = json!({
            "object_kind": "pipeline",
            "object_attributes": {
                "id": run, "iid": run, "ref": project.branch, "sha": "bcbb5ec396a2c0f828686f14fac9b80b780504f2", "source": "push",
                "status": "failed", "created_at": "2036-11-24 15:23:00 UTC", "finished_at": "2036-11-24 15:23:30 UTC",
            },
            "project": { "id": project.native_id, "path_with_namespace": project.name, "default_branch": project.branch },
        });
        let request = v1::IngestWebhookRequest {
            source: SOURCE.into(),
            headers: vec![
                header("x-gitlab-event", "Pipeline Hook"),
                header("x-gitlab-token", SECRET),
                header("idempotency-key", id),
            ],
            body: body.to_string().into(),
            too_large: false,
        };
        self.client.clone().ingest_webhook(request).await.unwrap().into_inner()
    }
}

/// Names and outcomes, of what has any.
fn board(rows: &[v1::Row]) -> BTreeMap<String, i32> {
    rows.iter()
        .filter_map(|r| {
            let state = r.branch.as_ref()?.state.as_ref()?;
            Some((r.project.as_ref()?.name.clone(), state.outcome))
        })
        .collect()
}

/// A project in which runs are started.
struct Busy {
    id: ProjectId,
    native_id: u64,
    name: String,
    branch: String,
}

impl Busy {
    fn of(sim: &Sim) -> Self {
        sim.world().with(|w| {
            let p = w.projects().find(|p| p.shape == Shape::Green).unwrap();
            let branch = p.default_branch.as_deref().unwrap().to_owned();
            Self { id: p.id, native_id: p.native_id, name: p.full_path(), branch }
        })
    }

    fn key(&self) -> ProjectKey {
        ProjectKey::new(SourceName::new(SOURCE).unwrap(), NativeId::new(self.native_id.to_string()))
    }

    /// Runs so many runs to their ends.
    fn run(&self, sim: &Sim, runs: usize) -> BTreeSet<String> {
        sim.world().with(|w| {
            let run = |n: usize| {
                let run = w.start_pipeline(self.id, &self.branch, 0, true).unwrap();
                let status = if n.is_multiple_of(3) { RunStatus::Failed } else { RunStatus::Success };
                w.finish_pipeline(self.id, run, status).unwrap();
                run.to_string()
            };
            (0..runs).map(run).collect()
        })
    }

    async fn kept(&self, history: &dyn History) -> Vec<domain::Pipeline> {
        history.runs(&self.key(), &RunFilter::default(), 0, 10_000).await.unwrap().items
    }
}

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
    let rig = Rig::start(&settings).await;
    rig.read().await;
    rig.written().await;
    rig.life.stop().await;

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
