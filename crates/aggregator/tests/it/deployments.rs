//! What platforms mark as deployed, from simulated platforms through history to the figures of delivery.

use std::path::Path;

use api::v1;
use config::{Secret, SecretFrom, Settings};
use domain::{Clock as _, SystemClock};
use forge_sim::world::{FaceId, Pipeline, Project, RunStatus, Shape};
use forge_sim::{Effect, Fault, Power, Sim, Token, github, gitlab};
use hmac::{Hmac, Mac as _};
use jiff::SignedDuration;
use serde_json::json;
use sha2::Sha256;

use crate::kit::{self, Running, until};

const SECRET: &str = "s3cret";
const OTHER_TOKEN: &str = "sim-other-token";
const FACES: [(FaceId, &str); 2] = [(gitlab::FACE, "gitlab-main"), (github::FACE, "github-main")];

fn settings(sim: &Sim, folder: &Path) -> Settings {
    let (gitlab, github) = (sim.gitlab_url(), sim.github_url());
    let database = format!("sqlite:{}", folder.join("history.db").display());
    let env = [
        ("GITLAB_URL", gitlab.as_str()),
        ("GITHUB_URL", github.as_str()),
        ("GITLAB_TOKEN", sim.token()),
        ("GITHUB_TOKEN", sim.token()),
        ("DATABASE_URL", database.as_str()),
        ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "200ms"),
    ];
    let mut settings = kit::settings(env);
    for source in &mut settings.sources {
        source.webhook_secret = Some(Secret::new(SECRET, SecretFrom::Settings));
    }
    settings
}

/// The same of GitLab alone.
fn of_gitlab(sim: &Sim, folder: &Path) -> Settings {
    let mut settings = settings(sim, folder);
    settings.sources.retain(|source| source.platform == "gitlab");
    settings
}

impl Running {
    async fn delivery(&self, source: &str) -> Option<v1::GetDeliveryResponse> {
        let scope = v1::StatsScope { sources: vec![source.to_owned()], days: 30, ..Default::default() };
        let request = v1::GetDeliveryRequest { scope: Some(scope) };
        Some(self.stats.clone().get_delivery(request).await.ok()?.into_inner())
    }

    async fn deliver(&self, source: &str, headers: &[(&str, &str)], body: &str) -> v1::WebhookVerdict {
        let request = kit::webhook(source, headers, body);
        self.client.clone().ingest_webhook(request).await.unwrap().into_inner().verdict()
    }
}

/// What was deployed to production within the last 30 days and came to a verdict: all, failed ones, projects.
#[derive(Debug, PartialEq, Eq)]
struct Truth {
    deployments: u64,
    red: u64,
    projects: u64,
}

fn is_read(p: &&Project) -> bool {
    p.member && !p.archived && p.shape != Shape::CiDisabled
}

fn is_red(status: RunStatus, face: FaceId) -> bool {
    // What is canceled is an error to the simulated GitHub, and no verdict to GitLab.
    status == RunStatus::Failed || (status == RunStatus::Canceled && face == github::FACE)
}

fn truth(sim: &Sim, face: FaceId) -> Truth {
    let today = history::Day::of(SystemClock.now());
    let since = history::Day(today.0 - 29).start();
    let marked_since = since.saturating_sub(SignedDuration::from_hours(24 * 31)).unwrap();
    sim.world().with(|w| {
        let mut truth = Truth { deployments: 0, red: 0, projects: 0 };
        for project in w.projects_of(face).filter(is_read) {
            let mut marks = false;
            for d in project.deployments().iter().filter(|d| d.is_production()) {
                let began = d.job.started_at.unwrap_or_else(|| d.created_at());
                marks |= began >= marked_since;
                let red = is_red(d.job.status, face);
                if began >= since && (red || d.job.status == RunStatus::Success) {
                    truth.deployments += 1;
                    truth.red += u64::from(red);
                }
            }
            truth.projects += u64::from(marks);
        }
        truth
    })
}

fn told(delivery: &v1::GetDeliveryResponse) -> Truth {
    Truth {
        deployments: delivery.deployments,
        red: delivery.deployments - delivery.successful,
        projects: delivery.marked_projects,
    }
}

async fn sim() -> Sim {
    let limits = forge_sim::Limits {
        gitlab_per_minute: Some(10_000_000),
        github_hourly: Some(100_000_000),
        github_points_hourly: Some(100_000_000),
        ..forge_sim::Limits::default()
    };
    let builder = Sim::builder().faces([gitlab::FACE, github::FACE]).projects(40).seed(5).broken(2);
    builder.limits(limits).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_platforms_mark_becomes_the_figures_of_delivery() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let settings = settings(&sim, folder.path());
    let rig = Running::start(&settings).await;
    for (face, source) in FACES {
        let truth = truth(&sim, face);
        assert!(truth.projects > 1 && truth.deployments > 10, "{source}: {truth:?}");
        let delivery = until("all that was deployed is counted", async || {
            rig.delivery(source).await.filter(|delivery| told(delivery) == truth)
        })
        .await;
        assert!(delivery.rule.is_empty() && delivery.named_projects == 0);
        assert_eq!(delivery.deployed.len() as u64, delivery.deployments.min(100), "each with its run");
        assert!(delivery.failed_total >= truth.red && delivery.change_failure_rate.is_some());
        let first = delivery.deployed[0].clone();
        let request = v1::GetPipelineRequest { project: first.project, id: first.run_id };
        assert!(rig.client.clone().get_pipeline(request).await.is_ok(), "its run is one of the platform's");
    }
    rig.life.stop().await;
}

/// The projects that GitLab was asked about, each time; a further page is no further question.
fn asked(sim: &Sim) -> Vec<u64> {
    let all = sim.requests().all();
    let asked = all.iter().filter(|r| r.path.contains("/deployments?") && !r.path.contains("&page="));
    let id = |path: &str| path.split_once("/deployments?")?.0.rsplit('/').next()?.parse().ok();
    let mut asked: Vec<u64> = asked.filter_map(|r| id(&r.path)).collect();
    asked.sort_unstable();
    asked
}

/// The projects of GitLab in which a run has finished on the default branch.
fn may_have(sim: &Sim) -> Vec<u64> {
    let is_of = |p: &Project, run: &Pipeline| p.default_branch.as_ref() == Some(&run.branch);
    let finished = |p: &&Project| p.pipelines().iter().any(|run| is_of(p, run) && run.status.is_terminal());
    let mut may_have: Vec<u64> = sim.world().with(|w| {
        w.projects_of(gitlab::FACE).filter(is_read).filter(finished).map(|p| p.native_id).collect()
    });
    may_have.sort_unstable();
    may_have
}

/// Lets a run finish in a project of GitLab that had none.
fn first_run(sim: &Sim) -> u64 {
    sim.world().with(|w| {
        let p = w.projects_of(gitlab::FACE).filter(is_read).find(|p| p.shape == Shape::NoRuns).unwrap();
        let (id, native_id, branch) = (p.id, p.native_id, p.default_branch.clone().unwrap());
        let run = w.start_pipeline(id, &branch, 0, true).unwrap();
        w.finish_pipeline(id, run, RunStatus::Success).unwrap();
        native_id
    })
}

async fn small_sim() -> Sim {
    let limits = forge_sim::Limits { gitlab_per_minute: Some(10_000_000), ..forge_sim::Limits::default() };
    let other = Token::new(OTHER_TOKEN, Power::Full);
    let builder = Sim::builder().faces([gitlab::FACE, github::FACE]).projects(30).seed(5);
    builder.limits(limits).token(other).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_asked_once_and_after_a_restart_not_again() {
    let (sim, folder) = (small_sim().await, tempfile::tempdir().unwrap());
    let settings = of_gitlab(&sim, folder.path());
    let rig = Running::start(&settings).await;
    let truth = truth(&sim, gitlab::FACE);
    until("all that was deployed is counted", async || {
        rig.delivery("gitlab-main").await.filter(|delivery| told(delivery) == truth)
    })
    .await;
    // Runs finish all the time, which is no reason to ask more often than every few minutes.
    let may_have = may_have(&sim);
    let busy = sim.world().with(|w| {
        let p = w.projects_of(gitlab::FACE).find(|p| p.member && !p.deployments().is_empty()).unwrap();
        (p.id, p.native_id, p.default_branch.clone().unwrap())
    });
    until("every project that may have some was asked", async || {
        (asked(&sim).len() >= may_have.len()).then_some(())
    })
    .await;
    assert_eq!(asked(&sim), may_have, "and no project of which no run has finished");
    for _ in 0..3 {
        let run = sim.world().with(|w| {
            let run = w.start_pipeline(busy.0, &busy.2, 0, true).unwrap();
            w.finish_pipeline(busy.0, run, RunStatus::Success).unwrap();
            run
        });
        until("the run is on the board", async || {
            let key = v1::ProjectKey { source: "gitlab-main".into(), id: busy.1.to_string() };
            let request =
                v1::ListPipelinesRequest { project: Some(key), per_page: 100, ..Default::default() };
            let listed = rig.client.clone().list_pipelines(request).await.ok()?.into_inner();
            listed.pipelines.iter().any(|r| r.id == run.to_string()).then_some(())
        })
        .await;
    }
    assert_eq!(asked(&sim), may_have, "each once");
    rig.life.stop().await;
    // What was asked is known to the next process: it asks about the project alone in which a run has finished for the first time.
    let rig = Running::start(&settings).await;
    let first = first_run(&sim);
    until("it was asked about", async || asked(&sim).contains(&first).then_some(())).await;
    let mut asked_now = asked(&sim);
    asked_now.retain(|id| *id != first);
    assert_eq!(asked_now, may_have, "the others wait for their time");
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_is_none_and_no_trouble() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    sim.faults().add(Fault::on("*/deployments", Effect::Status(403)));
    let settings = of_gitlab(&sim, folder.path());
    let rig = Running::start(&settings).await;
    let read = sim.world().with(|w| {
        let runs =
            |p: &&Project| p.pipelines().iter().any(|run| p.default_branch.as_ref() == Some(&run.branch));
        w.projects_of(gitlab::FACE).filter(is_read).filter(runs).count()
    });
    until("every project was asked", async || (asked(&sim).len() >= read).then_some(())).await;
    let request = v1::ListProjectsRequest { per_page: 100, ..Default::default() };
    let rows = rig.client.clone().list_projects(request).await.unwrap().into_inner().rows;
    let problems: Vec<_> = rows.iter().filter_map(|row| row.problem.as_ref()).collect();
    assert!(problems.iter().all(|p| !p.text.contains("deployment")), "{problems:?}");
    let sources =
        rig.client.clone().list_sources(v1::ListSourcesRequest {}).await.unwrap().into_inner().sources;
    assert!(sources.iter().all(|s| s.state() == v1::SourceState::Ok && s.error.is_none()), "{sources:?}");
    let delivery = rig.delivery("gitlab-main").await.unwrap();
    assert_eq!((delivery.deployments, delivery.marked_projects, delivery.change_failure_rate), (0, 0, None));
    assert_eq!(asked(&sim).len(), read, "each once");
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_asked_again_once_its_source_is_set_otherwise() {
    let (sim, folder) = (small_sim().await, tempfile::tempdir().unwrap());
    let mut settings = of_gitlab(&sim, folder.path());
    let (all, may_have) = (truth(&sim, gitlab::FACE), may_have(&sim));
    let refused: Vec<u64> = sim.world().with(|w| {
        let deploys = |p: &&Project| p.deployments().iter().any(|d| d.is_production());
        w.projects_of(gitlab::FACE).filter(is_read).filter(deploys).map(|p| p.native_id).take(2).collect()
    });
    for id in &refused {
        sim.faults().add(Fault::on(&format!("*/projects/{id}/deployments"), Effect::Status(403)));
    }
    let mut rig = Running::start(&settings).await;
    until("every project was asked", async || (asked(&sim).len() >= may_have.len()).then_some(())).await;
    assert_eq!(asked(&sim), may_have, "each once");
    until("those that may be seen are counted", async || {
        let delivery = rig.delivery("gitlab-main").await?;
        (delivery.marked_projects == all.projects - refused.len() as u64).then_some(())
    })
    .await;
    // One question at a time: that the next one is asked says that what became of those before it is known.
    sim.faults().clear();
    rig.apply(&settings).await;
    let first = first_run(&sim);
    let others = || asked(&sim).into_iter().filter(|id| *id != first).collect::<Vec<_>>();
    until("another was asked", async || asked(&sim).contains(&first).then_some(())).await;
    assert_eq!(others(), may_have, "that it would be answered by now is no reason to ask");
    settings.sources[0].token = Some(Secret::new(OTHER_TOKEN, SecretFrom::Settings));
    rig.apply(&settings).await;
    let mut again = [may_have, refused].concat();
    again.sort_unstable();
    until("those that were refused are asked", async || (others().len() >= again.len()).then_some(())).await;
    let all = truth(&sim, gitlab::FACE);
    until("all that was deployed is counted", async || {
        rig.delivery("gitlab-main").await.filter(|delivery| told(delivery) == all)
    })
    .await;
    assert_eq!(others(), again, "and no others");
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_tell_of_deployments() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let rig = Running::start(&settings(&sim, folder.path())).await;
    for (face, source) in FACES {
        let before = truth(&sim, face);
        until("all that was deployed is counted", async || {
            rig.delivery(source).await.filter(|delivery| told(delivery) == before)
        })
        .await;
        let now = SystemClock.now();
        let body = sim.world().with(|w| {
            let p = w.projects_of(face).find(|p| p.member && p.deployments().iter().any(|d| d.is_production()));
            let p = p.unwrap();
            if face == gitlab::FACE {
                return json!({
                    "object_kind": "deployment", "status": "failed", "status_changed_at": now.to_string(),
                    "deployment_id": 77, "environment": "eu-1", "environment_tier": "production", "ref": "main",
                    "project": { "id": p.native_id, "path_with_namespace": p.full_path() },
                });
            }
            let all = p.deployments();
            let last = all.iter().rfind(|d| d.is_production()).unwrap();
            let mut hook = github::deployment_status("https://github.example", p, last);
            for (part, field, value) in [
                ("deployment", "node_id", json!("DE_new")),
                ("deployment_status", "state", json!("failure")),
                ("deployment_status", "created_at", json!(now.to_string())),
            ] {
                hook[part][field] = value;
            }
            hook
        });
        let body = body.to_string();
        let deliver = async |id: &str| {
            if face == gitlab::FACE {
                let headers = [
                    ("x-gitlab-event", "Deployment Hook"),
                    ("x-gitlab-token", SECRET),
                    ("idempotency-key", id),
                ];
                return rig.deliver(source, &headers, &body).await;
            }
            let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
            mac.update(body.as_bytes());
            let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
            let signature = format!("sha256={hex}");
            let headers = [
                ("x-github-event", "deployment_status"),
                ("x-github-delivery", id),
                ("x-hub-signature-256", signature.as_str()),
            ];
            rig.deliver(source, &headers, &body).await
        };
        assert_eq!(deliver("d-1").await, v1::WebhookVerdict::Applied, "{source}");
        assert_eq!(deliver("d-1").await, v1::WebhookVerdict::Duplicate, "{source}");
        // The same again under another id changes nothing.
        assert_eq!(deliver("d-2").await, v1::WebhookVerdict::Applied, "{source}");
        let one_more = Truth { deployments: before.deployments + 1, red: before.red + 1, ..before };
        until("what the webhook told is counted", async || {
            rig.delivery(source).await.filter(|delivery| told(delivery) == one_more)
        })
        .await;
    }
    rig.life.stop().await;
}
