//! The real aggregator, with simulated platforms before it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use aggregator::Aggregator;
use api::v1;
use config::{Secret, SecretFrom, Settings};
use domain::{Clock as _, NativeId, ProjectKey, SourceName, SystemClock};
use forge_sim::world::Shape;
use forge_sim::{ProjectId, RunStatus, Sim, gitlab};
use history::{History, RunFilter, Webhook};
use lifecycle::Lifecycle;
use serde_json::json;

pub(crate) use crate::kit::until;

pub(crate) const SECRET: &str = "s3cret";
pub(crate) const SOURCE: &str = "gitlab-main";

pub(crate) fn settings(gitlab: &str, token: &str, database: &str) -> Settings {
    let env = [
        ("GITLAB_URL", gitlab),
        ("GITLAB_TOKEN", token),
        ("DATABASE_URL", database),
        ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "200ms"),
    ];
    let mut settings = crate::kit::settings(env);
    for source in &mut settings.sources {
        source.webhook_secret = Some(Secret::new(SECRET, SecretFrom::Settings));
    }
    settings
}

pub(crate) async fn sim() -> Sim {
    let limits = forge_sim::Limits { gitlab_per_minute: Some(10_000_000), ..forge_sim::Limits::default() };
    Sim::builder().faces([gitlab::FACE]).projects(6).seed(5).broken(1).limits(limits).start().await.unwrap()
}

pub(crate) fn sqlite(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("history.db").display())
}

pub(crate) async fn opened(folder: &Path) -> impl History {
    history_sqlite::open(folder.join("history.db"), history_sqlite::Options::default()).await.unwrap()
}

pub(crate) struct Rig {
    pub(crate) life: Lifecycle,
    pub(crate) client: api::Client,
}

impl Rig {
    pub(crate) async fn start(settings: &Settings) -> Self {
        let life = Lifecycle::new();
        let aggregator = Aggregator::new(settings, Arc::new(SystemClock), &life.tasks()).unwrap();
        let endpoint = api::Endpoint::InProcess(api::InProcess::default());
        aggregator.start(endpoint.listen().await.unwrap(), &life.tasks());
        Self { life, client: endpoint.client().unwrap() }
    }

    /// It has read everything and written it down, and ended.
    pub(crate) async fn was_at_work(settings: &Settings) {
        let rig = Self::start(settings).await;
        rig.read().await;
        rig.written().await;
        rig.life.stop().await;
    }

    pub(crate) async fn rows(&self) -> Vec<v1::Row> {
        let request = v1::ListProjectsRequest { per_page: 100, ..Default::default() };
        self.client.clone().list_projects(request).await.unwrap().into_inner().rows
    }

    pub(crate) async fn sources(&self) -> v1::ListSourcesResponse {
        self.client.clone().list_sources(v1::ListSourcesRequest {}).await.unwrap().into_inner()
    }

    /// Everything was read at least once.
    pub(crate) async fn read(&self) {
        until("everything is read", async || {
            let sources = self.sources().await.sources;
            let read = sources.iter().all(|s| s.state() == v1::SourceState::Ok);
            (read && self.rows().await.iter().all(|r| !r.loading)).then_some(())
        })
        .await;
    }

    /// All that there is to write is written.
    pub(crate) async fn written(&self) {
        until("all is written", async || {
            let history = self.sources().await.history?;
            (history.state == "ok" && history.waiting == 0 && history.behind == 0).then_some(())
        })
        .await;
    }

    /// Whether the project's row knows the run.
    pub(crate) async fn has(&self, project: &Busy, run: u64) -> bool {
        let request = v1::ListPipelinesRequest {
            project: Some((&project.key()).into()),
            per_page: 100,
            ..Default::default()
        };
        let listed = self.client.clone().list_pipelines(request).await;
        listed.is_ok_and(|page| page.into_inner().pipelines.iter().any(|r| r.id == run.to_string()))
    }

    pub(crate) async fn told(&self, id: &str, project: &Busy, run: u64) -> v1::IngestWebhookResponse {
        let header = |n: &str, v: &str| v1::Header { name: n.into(), value: v.into() };
        let request = v1::IngestWebhookRequest {
            source: SOURCE.into(),
            headers: vec![
                header("x-gitlab-event", "Pipeline Hook"),
                header("x-gitlab-token", SECRET),
                header("idempotency-key", id),
            ],
            body: project.told(run).into(),
            too_large: false,
        };
        self.client.clone().ingest_webhook(request).await.unwrap().into_inner()
    }
}

/// Names and outcomes, of what has any.
pub(crate) fn board(rows: &[v1::Row]) -> BTreeMap<String, i32> {
    rows.iter()
        .filter_map(|r| {
            let state = r.branch.as_ref()?.state.as_ref()?;
            Some((r.project.as_ref()?.name.clone(), state.outcome))
        })
        .collect()
}

/// A project in which runs are started.
pub(crate) struct Busy {
    pub(crate) id: ProjectId,
    pub(crate) native_id: u64,
    pub(crate) name: String,
    pub(crate) branch: String,
}

impl Busy {
    pub(crate) fn of(sim: &Sim) -> Self {
        sim.world().with(|w| {
            let p = w.projects().find(|p| p.shape == Shape::Green).unwrap();
            let branch = p.default_branch.as_deref().unwrap().to_owned();
            Self { id: p.id, native_id: p.native_id, name: p.full_path(), branch }
        })
    }

    pub(crate) fn key(&self) -> ProjectKey {
        ProjectKey::new(SourceName::new(SOURCE).unwrap(), NativeId::new(self.native_id.to_string()))
    }

    /// The body of a webhook about a run of it that the platform does not have.
    pub(crate) fn told(&self, run: u64) -> String {
        json!({
            "object_kind": "pipeline",
            "object_attributes": {
                "id": run, "iid": run, "ref": self.branch, "sha": "bcbb5ec396a2c0f828686f14fac9b80b780504f2", "source": "push",
                "status": "failed", "created_at": "2036-11-24 15:23:00 UTC", "finished_at": "2036-11-24 15:23:30 UTC",
            },
            "project": { "id": self.native_id, "path_with_namespace": self.name, "default_branch": self.branch },
        })
        .to_string()
    }

    /// The same as it is written down.
    pub(crate) fn logged(&self, id: &str, run: u64) -> Webhook {
        Webhook {
            source: SourceName::new(SOURCE).unwrap(),
            delivery: id.into(),
            kind: "Pipeline Hook".into(),
            headers: vec![("x-gitlab-event".into(), "Pipeline Hook".into())],
            body: self.told(run).into_bytes(),
            received_at: SystemClock.now(),
        }
    }

    /// Runs so many runs to their ends.
    pub(crate) fn run(&self, sim: &Sim, runs: usize) -> BTreeSet<String> {
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

    pub(crate) async fn kept(&self, history: &dyn History) -> Vec<domain::Pipeline> {
        history.runs(&self.key(), &RunFilter::default(), 0, 10_000).await.unwrap().items
    }
}
