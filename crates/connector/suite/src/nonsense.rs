//! Answers that are wrong in every way that an answer can be.

use std::collections::BTreeMap;

use connector::{Delivery, Deployed, DeploymentsAsk, PipelineQuery, Refused};
use domain::{JobId, ProblemKind, Status, Timestamp};
use forge_sim::{Effect, Fault};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::Subject;
use crate::sane::{sane, sane_job};
use crate::stage::{Known, Stage};

/// In how many ways every answer is spoiled.
const WAYS: u64 = 48;

/// Every operation on spoiled answers: an error or something sane, never a panic, never without an end.
pub async fn everywhere(subject: &'static Subject) {
    let stage = Stage::new(subject, 5).await;
    let (id, project) = stage.green().await;
    let run = stage.truth(id, |p| (subject.run_id)(p, p.pipelines().last().unwrap()));
    let run = domain::RunId::new(run);
    for seed in 0..WAYS {
        stage.sim.faults().clear();
        stage.sim.faults().add(Fault::on("*", Effect::Mangle(seed)).face(subject.face));
        let source = stage.source_with(Some(stage.sim.token()));
        if let Ok(page) = source.projects(None).await {
            assert!(page.items.len() <= 1_000);
            let asks = page.items.iter().map(|p| stage.ask(p, &Known::new())).collect();
            let _all: Vec<_> = source.branch_heads(asks).collect().await;
        }
        let _one = source.project(project.key.id.as_str()).await;
        let asks = vec![stage.ask(&project, &Known::new())];
        for (key, heads) in source.branch_heads(asks).collect::<Vec<_>>().await {
            assert_eq!(key, project.key);
            if let Ok(heads) = heads {
                assert!(heads.pipelines.len() <= 1_000);
                heads.pipelines.into_iter().for_each(|r| drop(r.bounded()));
            }
        }
        let query =
            PipelineQuery { branch: project.default_branch.clone(), since: None, until: None, limit: 50 };
        if let Ok(runs) = source.pipelines(&project, &query).await {
            assert!(runs.items.len() <= 50, "the limit holds");
        }
        let _latest = source.latest_pipeline(&project, "main").await;
        if let Ok(detail) = source.pipeline(&project, &run).await {
            detail.jobs.into_iter().for_each(|j| drop(j.bounded()));
        }
        let _log = source.log(&project, &run, &JobId::new("1"), 4_096).await;
        let _branches = source.branches(&project, None).await;
        let _branch = source.branch(&project, "main").await;
        let _count = source.project_count().await;
        if let Some(part) = source.merge_requests() {
            let _open = part.open_merge_requests(&project, None).await;
        }
        if let Some(part) = source.issues() {
            let _open = part.open_issues(&project, None).await;
        }
        if let Some(part) = source.deployments() {
            let (since, known) = (Timestamp::UNIX_EPOCH, BTreeMap::new());
            let ask = DeploymentsAsk { project: &project, since, environments: &known };
            if let Ok(told) = part.deployments(ask).await {
                assert!(told.items.len() <= Deployed::MAX, "the bound holds");
                assert!(told.items.iter().all(|d| d.clone().bounded() == *d), "as it goes into history");
            }
        }
        if let Some(part) = source.current_user() {
            let _me = part.current_user().await;
        }
    }
}

/// A status that nobody has heard of is unknown, with its word kept; never an error, never green.
pub async fn words(subject: &'static Subject) {
    let stage = Stage::new(subject, 8).await;
    stage.sim.faults().add(Fault::on("*", Effect::Reword(subject.status_keys)).face(subject.face));
    let known = stage.refresh(&Known::new()).await;
    let mut seen = 0;
    for (key, (_, heads, _)) in known {
        let broken = heads.problems.iter().any(|p| p.kind >= ProblemKind::Garbage);
        assert!(!broken, "{key}: {:?}", heads.problems);
        for run in &heads.pipelines {
            sane(run);
            let fine = matches!(run.status, Status::Unknown) || run.status.is_active();
            assert!(fine, "{key} {}: {:?} ({:?})", run.id, run.status, run.native_status);
            seen += usize::from(run.status == Status::Unknown);
        }
    }
    assert!(seen > 0, "the words were not replaced: are the status keys right?");
    if subject.has.history && subject.has.jobs {
        let (id, project) = stage.green().await;
        let run = stage.truth(id, |p| (subject.run_id)(p, p.pipelines().last().unwrap()));
        let detail = stage.source.pipeline(&project, &domain::RunId::new(run)).await.unwrap();
        detail.jobs.iter().for_each(sane_job);
    }
}

/// Without a secret nothing is believed; with one, nothing that is not signed with it; and nothing makes it panic.
pub async fn webhooks(subject: &'static Subject) {
    let stage = Stage::new(subject, 1).await;
    let Some(open) = stage.source.webhooks() else { return };
    let none = HeaderMap::new();
    let body = br#"{"object_kind":"pipeline","action":"completed"}"#;
    assert_eq!(open.receive(&Delivery { headers: &none, body }), Err(Refused::NoSecret));

    let mut settings = crate::settings(
        subject.platform.descriptor.id.as_str(),
        &(subject.url)(&stage.sim.url(subject.face)),
        Some(stage.sim.token()),
    );
    settings.webhook_secret = Some(config::Secret::new("s3cret", config::SecretFrom::Settings));
    (subject.settings)(&stage.sim, &mut settings);
    let clock = std::sync::Arc::new(domain::ManualClock::at(stage.now()));
    let source = (subject.platform.build)(&settings, clock).unwrap();
    let shut = source.webhooks().expect("the same connector");
    assert!(matches!(shut.receive(&Delivery { headers: &none, body }), Err(Refused::Forged(_))));

    let mut random = ChaCha8Rng::seed_from_u64(5);
    let names = [
        "x-hub-signature-256",
        "x-hub-signature",
        "x-gitlab-token",
        "x-gitlab-event",
        "x-github-event",
        "x-gitea-signature",
        "x-event-key",
        "webhook-signature",
        "webhook-id",
        "webhook-timestamp",
        "circleci-signature",
        "authorization",
    ];
    for _ in 0..400 {
        let mut headers = HeaderMap::new();
        for name in names {
            if random.random_ratio(1, 2) {
                let bytes: Vec<u8> =
                    (0..random.random_range(0..90)).map(|_| random.random_range(32..=255)).collect();
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
        }
        let body: Vec<u8> = (0..random.random_range(0..200)).map(|_| random.random()).collect();
        let told = shut.receive(&Delivery { headers: &headers, body: &body });
        assert!(matches!(told, Err(Refused::Forged(_))), "{told:?}");
    }
}
