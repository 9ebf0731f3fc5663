//! Webhooks into the real aggregator, through its gRPC face, with simulated platforms behind it.

use std::path::Path;
use std::sync::Arc;

use aggregator::Aggregator;
use api::v1;
use api::v1::WebhookVerdict as V;
use config::{Secret, SecretFrom, Settings};
use domain::{Outcome, SystemClock};
use forge_sim::world::Shape;
use forge_sim::{ProjectId, Replay, RunStatus, Sim};
use lifecycle::Lifecycle;
use serde_json::{Value, json};

use crate::kit::{self, PATIENCE};

const SECRET: &str = "s3cret";

/// Read once, then never by itself: what moves here moves by webhooks. The sources are `gitlab-main`, which takes webhooks,
/// and `github-main`, which does not.
fn settings(gitlab: &str, github: &str, token: &str, watched: &[&str]) -> Settings {
    let env = [
        ("GITLAB_URL", gitlab),
        ("GITHUB_URL", github),
        ("GITLAB_TOKEN", token),
        ("GITHUB_TOKEN", token),
        ("DATABASE_URL", "none"),
        ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "1h"),
    ];
    let mut settings = kit::settings(env);
    settings.filters.watched_repos = watched.iter().map(|&w| w.to_owned()).collect();
    for source in settings.sources.iter_mut().filter(|s| s.platform == "gitlab") {
        source.webhook_secret = Some(Secret::new(SECRET, SecretFrom::Settings));
    }
    settings
}

struct Rig {
    life: Lifecycle,
    client: api::Client,
    metrics: aggregator::metrics::Metrics,
}

impl Rig {
    async fn start(settings: &Settings) -> Self {
        let life = Lifecycle::new();
        let aggregator = Aggregator::new(settings, Arc::new(SystemClock), &life.tasks()).unwrap();
        let metrics = aggregator.metrics();
        let endpoint = api::Endpoint::InProcess(api::InProcess::default());
        aggregator.start(endpoint.listen().await.unwrap(), &life.tasks());
        let rig = Self { life, client: endpoint.client().unwrap(), metrics };
        rig.until("everything is read", |rows, sources| {
            let read = |s: &v1::Source| s.state() != v1::SourceState::Loading;
            (sources.iter().all(read) && rows.iter().all(|r| !r.loading)).then_some(())
        })
        .await;
        rig
    }

    async fn send(&self, request: v1::IngestWebhookRequest) -> v1::IngestWebhookResponse {
        self.client.clone().ingest_webhook(request).await.unwrap().into_inner()
    }

    async fn deliver(&self, source: &str, headers: &[(&str, &str)], body: &str) -> V {
        let request = kit::webhook(source, headers, body);
        self.send(request).await.verdict()
    }

    /// A true delivery of this id to the GitLab source.
    async fn told(&self, id: &str, kind: &str, body: &Value) -> V {
        let headers = [("x-gitlab-event", kind), ("x-gitlab-token", SECRET), ("idempotency-key", id)];
        self.deliver("gitlab-main", &headers, &body.to_string()).await
    }

    async fn list(&self) -> v1::ListProjectsResponse {
        let request = v1::ListProjectsRequest { per_page: 100, ..Default::default() };
        self.client.clone().list_projects(request).await.unwrap().into_inner()
    }

    async fn row(&self, name: &str) -> Option<v1::Row> {
        let named = |r: &v1::Row| r.project.as_ref().is_some_and(|p| p.name == name);
        self.list().await.rows.into_iter().find(named)
    }

    async fn outcome(&self, name: &str) -> Option<Outcome> {
        self.row(name).await?.branch?.state?.outcome().known()
    }

    async fn webhooks(&self, source: &str) -> Option<v1::Webhooks> {
        self.list().await.sources.into_iter().find(|s| s.name == source)?.webhooks
    }

    async fn runs(&self, id: &str) -> Vec<v1::Pipeline> {
        let key = v1::ProjectKey { source: "gitlab-main".into(), id: id.into() };
        let request = v1::ListPipelinesRequest { project: Some(key), per_page: 100, ..Default::default() };
        self.client.clone().list_pipelines(request).await.unwrap().into_inner().pipelines
    }

    /// Waits for changes until it is so.
    async fn until<T>(&self, what: &str, look: impl Fn(&[v1::Row], &[v1::Source]) -> Option<T>) -> T {
        let mut changes = self.client.clone().watch(v1::WatchRequest {}).await.unwrap().into_inner();
        let wait = async {
            loop {
                changes.message().await.unwrap().expect("the stream goes on");
                let answer = self.list().await;
                if let Some(found) = look(&answer.rows, &answer.sources) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"))
    }
}

async fn sim() -> Sim {
    let limits = forge_sim::Limits {
        github_hourly: Some(10_000_000),
        gitlab_per_minute: Some(10_000_000),
        ..forge_sim::Limits::default()
    };
    Sim::builder().projects(6).seed(5).broken(0).limits(limits).start().await.unwrap()
}

/// A simulated GitLab, and the aggregator that watches these names there (all, if none).
async fn with_sim(watched: &[&str]) -> (Sim, Rig) {
    let sim = sim().await;
    let settings = settings(&sim.gitlab_url(), &sim.github_url(), sim.token(), watched);
    let rig = Rig::start(&settings).await;
    (sim, rig)
}

/// A green project of the simulated GitLab.
struct Green {
    id: ProjectId,
    native_id: u64,
    name: String,
    branch: String,
}

fn green(sim: &Sim) -> Green {
    sim.world().with(|w| {
        let p = w.projects().find(|p| p.face.0 == "gitlab" && p.shape == Shape::Green).unwrap();
        let branch = p.default_branch.as_deref().unwrap().to_owned();
        Green { id: p.id, native_id: p.native_id, name: p.full_path(), branch }
    })
}

/// A pipeline hook of a run that the platform does not have.
fn hook(id: u64, name: &str, branch: &str, run: u64, status: &str, second: u32) -> Value {
    json!({
        "object_kind": "pipeline",
        "object_attributes": {
            "id": run, "iid": run, "ref": branch, "sha": "bcbb5ec396a2c0f828686f14fac9b80b780504f2", "source": "push",
            "status": status, "created_at": "2036-11-24 15:23:00 UTC", "finished_at": format!("2036-11-24 15:23:{second:02} UTC"),
        },
        "project": { "id": id, "path_with_namespace": name, "default_branch": branch },
    })
}

fn hook_of(project: &Green, run: u64, status: &str, second: u32) -> Value {
    hook(project.native_id, &project.name, &project.branch, run, status, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_delivery_tells_is_on_the_board_before_it_is_acknowledged() {
    let (sim, rig) = with_sim(&[]).await;
    let project = green(&sim);
    let (name, id) = (project.name.clone(), project.native_id.to_string());
    assert_eq!(rig.outcome(&name).await, Some(Outcome::Success));
    assert_eq!(rig.told("d1", "Pipeline Hook", &hook_of(&project, 999_999, "failed", 30)).await, V::Applied);
    assert_eq!(rig.outcome(&name).await, Some(Outcome::Failed));

    // What is known of the run; not the board's version, which also moves by what else the aggregator reads meanwhile.
    let known = async || {
        let runs = rig.runs(&id).await;
        let of_it = runs.into_iter().filter(|r| r.id == "999999");
        of_it.map(|r| (r.status, r.native_status, r.finished_at)).collect::<Vec<_>>()
    };
    let before = known().await;
    assert_eq!(before.len(), 1);
    assert_eq!(
        rig.told("d1", "Pipeline Hook", &hook_of(&project, 999_999, "success", 40)).await,
        V::Duplicate
    );
    assert_eq!(rig.told("d2", "Pipeline Hook", &hook_of(&project, 999_999, "running", 20)).await, V::Applied);
    assert_eq!(known().await, before, "the second time and out of order: nothing");
    assert_eq!(rig.outcome(&name).await, Some(Outcome::Failed));
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_delivery_does_not_use_up_an_id() {
    let (sim, rig) = with_sim(&[]).await;
    let project = green(&sim);
    let name = project.name.clone();
    let body = hook_of(&project, 999_999, "failed", 30).to_string();
    let headers =
        |token| [("x-gitlab-event", "Pipeline Hook"), ("x-gitlab-token", token), ("idempotency-key", "d1")];
    let id = project.native_id.to_string();
    assert_eq!(rig.deliver("gitlab-main", &headers("forged"), &body).await, V::Forged);
    assert_eq!(rig.deliver("gitlab-main", &headers(SECRET), "{broken").await, V::Malformed);
    assert!(rig.runs(&id).await.iter().all(|r| r.id != "999999"), "nothing of it is believed");
    assert_eq!(rig.deliver("gitlab-main", &headers(SECRET), &body).await, V::Applied);
    assert_eq!(rig.outcome(&name).await, Some(Outcome::Failed));
    // Without an id the body is the id.
    let anonymous = &headers(SECRET)[..2];
    assert_eq!(rig.deliver("gitlab-main", anonymous, &body).await, V::Applied);
    assert_eq!(rig.deliver("gitlab-main", anonymous, &body).await, V::Duplicate);
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_takes_none_is_like_one_that_is_not_there() {
    let (_sim, rig) = with_sim(&[]).await;
    let request = |source: &str, too_large| v1::IngestWebhookRequest {
        source: source.into(),
        headers: vec![v1::Header { name: "x-hub-signature-256".into(), value: b"sha256=00".into() }],
        body: b"{}".as_slice().into(),
        too_large,
    };
    for too_large in [false, true] {
        let nobody = rig.send(request("nobody", too_large)).await;
        assert_eq!(nobody.verdict(), V::NotFound);
        for source in ["github-main", "", "no source", "../gitlab-main", &"x".repeat(10_000)] {
            assert_eq!(rig.send(request(source, too_large)).await, nobody, "{source}");
        }
    }
    assert_eq!(rig.webhooks("github-main").await, None);
    assert_eq!(rig.send(request("gitlab-main", true)).await.verdict(), V::TooLarge);
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_touches_a_project_makes_it_read_anew_once() {
    let (sim, rig) = with_sim(&[]).await;
    let project = green(&sim);
    let (name, id, branch) = (project.name.clone(), project.id, project.branch.clone());
    sim.world().with(|w| {
        let run = w.start_pipeline(id, &branch, 0, false).unwrap();
        w.finish_pipeline(id, run, RunStatus::Failed).unwrap();
    });
    sim.requests().clear();
    for n in 0..20 {
        let job = json!({ "object_kind": "build", "build_id": n, "project_id": project.native_id });
        assert_eq!(rig.told(&format!("job-{n}"), "Job Hook", &job).await, V::Applied);
    }
    rig.until("the failed run is there", |rows, _| {
        let row = rows.iter().find(|r| r.project.as_ref().is_some_and(|p| p.name == name))?;
        (row.branch.as_ref()?.state.as_ref()?.outcome() == v1::Outcome::Failed).then_some(())
    })
    .await;
    let lists = sim.requests().counts(forge_sim::gitlab::FACE)["GET /projects/:id/pipelines"];
    assert!(lists <= 2, "20 deliveries are one reading, two if they took their time: {lists}");
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_becomes_a_row_where_the_filters_let_it_in() {
    let (sim, rig) = with_sim(&[]).await;
    let new = hook(4_242, "payments/brand-new", "main", 1, "failed", 30);
    assert_eq!(rig.told("d1", "Pipeline Hook", &new).await, V::Applied);
    assert_eq!(rig.outcome("payments/brand-new").await, Some(Outcome::Failed));
    // The platform does not have it: that is said, and takes nothing away.
    let problem = rig
        .until("it was asked for", |rows, _| {
            let row =
                rows.iter().find(|r| r.project.as_ref().is_some_and(|p| p.name == "payments/brand-new"))?;
            row.problem.clone()
        })
        .await;
    assert_eq!(problem.kind, "not_found");
    assert_eq!(rig.outcome("payments/brand-new").await, Some(Outcome::Failed));
    rig.life.stop().await;

    let settings = settings(&sim.gitlab_url(), &sim.github_url(), sim.token(), &["payments/watched"]);
    let rig = Rig::start(&settings).await;
    assert_eq!(rig.told("d1", "Pipeline Hook", &new).await, V::Ignored, "not watched");
    let touched = json!({ "project": { "id": 4_242, "path_with_namespace": "payments/brand-new" } });
    assert_eq!(rig.told("d2", "Push Hook", &touched).await, V::Ignored);
    assert!(rig.row("payments/brand-new").await.is_none());
    let health = rig.webhooks("gitlab-main").await.unwrap();
    assert_eq!((health.ignored, health.accepted), (2, 0));
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_name_that_nobody_found_becomes_a_row() {
    // A platform that knows nothing at all.
    let nothing = Replay::start::<&Path>([]).await.unwrap();
    let settings = settings(&nothing.url(), &nothing.url(), "x", &["payments/watched"]);
    let rig = Rig::start(&settings).await;
    assert_eq!(rig.row("payments/watched").await.unwrap().problem.unwrap().kind, "not_found");
    let told = hook(77, "payments/watched", "main", 1, "failed", 30);
    assert_eq!(rig.told("d1", "Pipeline Hook", &told).await, V::Applied);
    let answer = rig.list().await;
    let [row] = &answer.rows[..] else { panic!("one row, by its true key: {:?}", answer.rows) };
    assert_eq!(row.project.as_ref().unwrap().key.as_ref().unwrap().id, "77");
    assert_eq!(rig.outcome("payments/watched").await, Some(Outcome::Failed));
    assert_eq!(rig.runs("77").await.len(), 1);
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_counted_and_bounded() {
    let (sim, rig) = with_sim(&[]).await;
    assert_eq!(rig.webhooks("gitlab-main").await, Some(v1::Webhooks::default()));
    let project = green(&sim);
    rig.told("d1", "Pipeline Hook", &hook_of(&project, 999_999, "failed", 30)).await;
    rig.told("d1", "Pipeline Hook", &hook_of(&project, 999_999, "failed", 30)).await;
    let long = "x".repeat(5_000);
    rig.told("d2", &long, &json!({})).await;
    rig.deliver("gitlab-main", &[("x-gitlab-token", "forged")], "{}").await;
    rig.deliver("gitlab-main", &[("x-gitlab-token", SECRET), ("x-gitlab-event", "Job Hook")], "{").await;
    let large =
        v1::IngestWebhookRequest { source: "gitlab-main".into(), too_large: true, ..Default::default() };
    rig.send(large).await;
    let health = rig.webhooks("gitlab-main").await.unwrap();
    let counts = [
        health.accepted,
        health.duplicate,
        health.ignored,
        health.forged,
        health.malformed,
        health.too_large,
    ];
    assert_eq!(counts, [1, 1, 1, 1, 1, 1]);
    assert!(health.last_at.is_some() && health.last_refused_at.is_some());
    assert_eq!(health.last_kind.unwrap().chars().count(), 65, "cut");
    assert!(health.last_refusal.unwrap().contains("larger"));
    let metrics = rig.metrics.text().unwrap();
    for result in ["accepted", "duplicate", "ignored", "forged", "malformed", "too_large"] {
        let line = format!("ci_dashboard_webhooks_total{{source=\"gitlab-main\",result=\"{result}\"}} 1\n");
        assert!(metrics.contains(&line), "{result} in\n{metrics}");
    }
    assert!(metrics.contains("ci_dashboard_webhook_last_timestamp_seconds{source=\"gitlab-main\"}"));
    assert!(!metrics.contains("xxxx") && !metrics.contains("github-main\",result"));
    // Headers beyond any reason are refused before they are looked at.
    let header = v1::Header { name: "x-large".into(), value: vec![b'x'; api::MAX_WEBHOOK_HEADER_BYTES] };
    let request = v1::IngestWebhookRequest {
        source: "gitlab-main".into(),
        headers: vec![header],
        ..Default::default()
    };
    let status = rig.client.clone().ingest_webhook(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_delivery_is_read_and_one_beyond_the_bound_is_not() {
    let (sim, rig) = with_sim(&[]).await;
    let project = green(&sim);
    let mut body = hook_of(&project, 999_999, "failed", 30);
    body["padding"] = "x".repeat(2 * 1024 * 1024).into();
    assert_eq!(rig.told("d1", "Pipeline Hook", &body).await, V::Applied);
    assert_eq!(rig.outcome(&project.name).await, Some(Outcome::Failed));
    let beyond = v1::IngestWebhookRequest {
        source: "gitlab-main".into(),
        body: vec![b' '; api::MAX_WEBHOOK_BYTES + 1].into(),
        ..Default::default()
    };
    assert_eq!(rig.send(beyond).await.verdict(), V::TooLarge);
    rig.life.stop().await;
}
