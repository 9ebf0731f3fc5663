//! The real aggregator against simulated platforms over HTTP: the board is what the world is.

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregator::Aggregator;
use api::v1;
use config::Settings;
use domain::{Outcome, SystemClock};
use forge_sim::Sim;
use forge_sim::world::{Project, RunStatus, Shape};
use lifecycle::Lifecycle;

use crate::kit::{self, PATIENCE};

fn settings(sim: &Sim, more: &[(&str, &str)]) -> Settings {
    const FAST: [(&str, &str); 2] =
        [("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "200ms"), ("CI_DASHBOARD__CACHE__TTL", "200ms")];
    kit::of_both(sim, &[&FAST, more].concat())
}

struct Rig {
    sim: Sim,
    life: Lifecycle,
    client: api::Client,
    metrics: aggregator::metrics::Metrics,
}

impl Rig {
    async fn start(sim: forge_sim::SimBuilder, more: &[(&str, &str)]) -> Self {
        Self::with_faults(sim, more, []).await
    }

    async fn with_faults(
        sim: forge_sim::SimBuilder,
        more: &[(&str, &str)],
        faults: impl IntoIterator<Item = forge_sim::Fault>,
    ) -> Self {
        // The limits are not what these tests are about, and they refresh as fast as they can.
        let limits = forge_sim::Limits {
            github_hourly: Some(10_000_000),
            gitlab_per_minute: Some(10_000_000),
            ..forge_sim::Limits::default()
        };
        let sim = sim
            .faces([forge_sim::gitlab::FACE, forge_sim::github::FACE])
            .limits(limits)
            .start()
            .await
            .unwrap();
        for fault in faults {
            sim.faults().add(fault);
        }
        let life = Lifecycle::new();
        let aggregator =
            Aggregator::new(&settings(&sim, more), Arc::new(SystemClock), &life.tasks()).unwrap();
        let metrics = aggregator.metrics();
        let endpoint = api::Endpoint::InProcess(api::InProcess::default());
        aggregator.start(endpoint.listen().await.unwrap(), &life.tasks());
        let client = endpoint.client().unwrap();
        Self { sim, life, client, metrics }
    }

    async fn rows(&self) -> (BTreeMap<String, v1::Row>, v1::ListProjectsResponse) {
        let (mut rows, mut page) = (BTreeMap::new(), 1);
        loop {
            let request = v1::ListProjectsRequest { page, per_page: 100, ..Default::default() };
            let answer = self.client.clone().list_projects(request).await.unwrap().into_inner();
            let full = answer.rows.len() == 100;
            for row in &answer.rows {
                let p = row.project.as_ref().unwrap();
                rows.insert(format!("{}:{}", p.platform, p.name), row.clone());
            }
            if !full {
                return (rows, answer);
            }
            page += 1;
        }
    }

    /// Waits for changes until the rows are so.
    async fn until<T>(
        &self,
        what: &str,
        look: impl Fn(&BTreeMap<String, v1::Row>, &v1::ListProjectsResponse) -> Option<T>,
    ) -> T {
        let mut changes = self.client.clone().watch(v1::WatchRequest {}).await.unwrap().into_inner();
        let wait = async {
            loop {
                changes.message().await.unwrap().expect("the stream goes on");
                let (rows, answer) = self.rows().await;
                if let Some(found) = look(&rows, &answer) {
                    return found;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(found) => found,
            Err(_) => {
                let (rows, answer) = self.rows().await;
                let loading: Vec<_> = rows.iter().filter(|(_, r)| r.loading).map(|(name, _)| name).collect();
                panic!("never: {what}; loading {loading:?}; {:?}", answer.sources)
            }
        }
    }

    async fn read(&self) -> BTreeMap<String, v1::Row> {
        self.until("everything is read", |rows, answer| {
            let ok = |s: &v1::Source| s.state() == v1::SourceState::Ok;
            (answer.sources.iter().all(ok) && !rows.is_empty() && rows.values().all(|r| !r.loading))
                .then(|| rows.clone())
        })
        .await
    }
}

fn outcome(row: &v1::Row) -> Option<Outcome> {
    row.branch.as_ref()?.state.as_ref()?.outcome().known()
}

/// What the rules say of the world's truth.
fn expected(p: &Project) -> Option<Outcome> {
    let branch = p.default_branch.as_deref()?;
    (0..p.workflows.len())
        .filter_map(|w| p.newest_outcome(branch, w))
        .map(|run| match run.status {
            RunStatus::Failed => Outcome::Failed,
            _ if run.warnings => Outcome::Warning,
            _ => Outcome::Success,
        })
        .max()
}

fn name(p: &Project) -> String {
    format!("{}:{}", p.face.0, p.full_path())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_is_what_the_world_is() {
    let rig = Rig::start(Sim::builder().projects(60).seed(3), &[]).await;
    let rows = rig.read().await;
    let (mut wrong, mut compared) = (Vec::new(), 0);
    rig.sim.world().with(|w| {
        for p in w.projects().filter(|p| p.member && !p.deleted) {
            let Some(row) = rows.get(&name(p)) else {
                wrong.push(format!("{} has no row", name(p)));
                continue;
            };
            match p.shape {
                Shape::Archived => assert_eq!(row.folded.as_deref(), Some("archived"), "{}", name(p)),
                Shape::NoCi | Shape::CiDisabled | Shape::Empty => {
                    assert!(
                        row.problem.is_some() || row.folded.is_some(),
                        "{} says why it has no data: {row:?}",
                        name(p)
                    );
                    assert_eq!(outcome(row), None, "{}", name(p));
                }
                _ => {
                    compared += 1;
                    if outcome(row) != expected(p) {
                        wrong.push(format!(
                            "{} ({:?}): {:?}, not {:?}",
                            name(p),
                            p.shape,
                            outcome(row),
                            expected(p)
                        ));
                    }
                }
            }
        }
        assert_eq!(rows.len(), w.projects().filter(|p| p.member && !p.deleted).count());
    });
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 40);
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_in_the_world_moves_on_the_board() {
    let rig = Rig::start(Sim::builder().projects(6).seed(5).broken(0), &[]).await;
    let rows = rig.read().await;
    for face in ["gitlab", "github"] {
        let world = rig.sim.world();
        let (id, name, branch) = world.with(|w| {
            let green = |p: &&Project| p.face.0 == face && p.shape == Shape::Green;
            let p = w.projects().find(green).unwrap();
            (p.id, name(p), p.default_branch.clone().unwrap())
        });
        assert_eq!(outcome(&rows[&name]), Some(Outcome::Success), "{name}");
        let mira = forge_sim::world::World::person("mira");
        let run = world.with(|w| {
            w.push_commit(id, &branch, mira, "Round half even in fees").unwrap();
            w.start_pipeline(id, &branch, 0, false).unwrap()
        });
        rig.until("it is active and still green", |rows, _| {
            let state = rows[&name].branch.as_ref()?.state.as_ref()?;
            (state.activity().known().is_some() && state.outcome() == v1::Outcome::Success).then_some(())
        })
        .await;
        world.with(|w| w.finish_pipeline(id, run, RunStatus::Failed).unwrap());
        let since = rig
            .until("it is red, since that commit", |rows, _| {
                let state = rows[&name].branch.as_ref()?.state.as_ref()?;
                (state.outcome() == v1::Outcome::Failed).then(|| state.broken_since.clone())?
            })
            .await;
        let red = since.run.unwrap();
        assert_eq!(
            red.message.as_deref().map(|m| m.lines().next().unwrap()),
            Some("Round half even in fees")
        );
        assert!(!since.at_least);
        world.with(|w| w.delete_project(id).unwrap());
        rig.until("it is gone", |rows, _| (!rows.contains_key(&name)).then_some(())).await;
    }
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_says_what_it_needs_and_the_other_source_goes_on() {
    let rig = Rig::start(Sim::builder().projects(6).seed(5), &[("GITHUB_TOKEN", "canary-7f3a")]).await;
    let sources = rig
        .until("GitLab is read, GitHub says why not", |rows, answer| {
            let gitlab = rows.iter().filter(|(n, r)| n.starts_with("gitlab") && !r.loading).count();
            let github = answer.sources.iter().find(|s| s.platform == "github")?;
            (gitlab > 0 && github.state() == v1::SourceState::Down).then(|| answer.sources.clone())
        })
        .await;
    let github = sources.iter().find(|s| s.platform == "github").unwrap();
    let error = github.error.as_deref().unwrap();
    assert!(error.contains("token") && error.contains("repo"), "names the scope: {error}");
    assert!(!error.contains("canary"), "but not the token: {error}");
    assert!(github.next_try_at.is_some() && github.failing_since.is_some());
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_source_that_hangs_does_not_delay_the_other() {
    let hang = forge_sim::Fault::on("*", forge_sim::Effect::Hang).face(forge_sim::github::FACE);
    let rig = Rig::with_faults(Sim::builder().projects(6).seed(5), &[], [hang]).await;
    rig.until("GitLab is read while GitHub says nothing", |rows, answer| {
        let state = |platform| answer.sources.iter().find(|s| s.platform == platform).map(|s| s.state());
        let read = rows.iter().any(|(name, row)| name.starts_with("gitlab") && !row.loading);
        let waits = state("github") == Some(v1::SourceState::Loading);
        (read && waits && state("gitlab") == Some(v1::SourceState::Ok)).then_some(())
    })
    .await;
    rig.sim.shutdown().await;
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_project_that_fails_spoils_nothing_else() {
    use forge_sim::{Effect, Fault};
    let faults = [
        Fault::on("/repos/*/*/actions/runs", Effect::InvalidJson).face(forge_sim::github::FACE).times(1),
        Fault::on("*/projects/*/pipelines", Effect::Unavailable451).face(forge_sim::gitlab::FACE).times(1),
    ];
    // Long enough that the one bad answer is still on the board when it is looked at.
    let slow = [("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "1h")];
    let rig = Rig::with_faults(Sim::builder().projects(12).seed(5), &slow, faults).await;
    let rows = rig
        .until("everything is read", |rows, answer| {
            let done = answer.sources.iter().all(|s| s.state() != v1::SourceState::Loading);
            (done && !rows.is_empty() && rows.values().all(|r| !r.loading)).then(|| rows.clone())
        })
        .await;
    for (platform, kind) in [("github", "garbage"), ("gitlab", "legal")] {
        let hit: Vec<_> = rows
            .iter()
            .filter(|(n, r)| n.starts_with(platform) && r.problem.as_ref().is_some_and(|p| p.kind == kind))
            .collect();
        assert_eq!(hit.len(), 1, "{platform}: one row with the reason: {hit:?}");
        let others = rows.iter().filter(|(n, r)| n.starts_with(platform) && outcome(r).is_some()).count();
        assert!(others > 2, "{platform}: the others are there");
    }
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_lists_and_fails_on_all_else_is_left_alone_and_comes_back() {
    use forge_sim::{Effect, Fault, gitlab};
    let faults =
        ["*/projects/*", "*graphql"].map(|path| Fault::on(path, Effect::Status(500)).face(gitlab::FACE));
    let rig = Rig::with_faults(Sim::builder().projects(12).seed(5).broken(0), &[], faults).await;
    let source = |answer: &v1::ListProjectsResponse| {
        answer.sources.iter().find(|s| s.platform == "gitlab").cloned().unwrap()
    };
    let why = rig
        .until("it is said to fail", |_, answer| {
            let source = source(answer);
            (source.state() == v1::SourceState::Down && source.next_try_at.is_some()).then_some(source.error)
        })
        .await;
    assert!(why.as_ref().is_some_and(|why| why.contains("500")), "{why:?}");
    rig.sim.faults().clear();
    rig.until("it is back", |rows, answer| {
        let read = rows
            .iter()
            .filter(|(n, _)| n.starts_with("gitlab"))
            .all(|(_, r)| !r.loading && r.problem.as_ref().is_none_or(|p| p.kind != "unreachable"));
        (read && source(answer).state() == v1::SourceState::Ok).then_some(())
    })
    .await;
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_older_than_the_board_holds_come_from_the_platform() {
    let rig = Rig::start(Sim::builder().projects(6).seed(5).broken(0), &[]).await;
    let rows = rig.read().await;
    for face in ["gitlab", "github"] {
        let (id, name) = rig.sim.world().with(|w| {
            let p = w.projects().find(|p| p.face.0 == face && p.shape == Shape::Green).unwrap();
            let (id, name, branch) = (p.id, name(p), p.default_branch.clone().unwrap());
            for _ in 0..230 {
                let run = w.start_pipeline(id, &branch, 0, true).unwrap();
                w.finish_pipeline(id, run, RunStatus::Success).unwrap();
            }
            (id, name)
        });
        let key = rows[&name].project.as_ref().unwrap().key.clone();
        let ask = |page| {
            let key = key.clone();
            let mut client = rig.client.clone();
            async move {
                let request =
                    v1::ListPipelinesRequest { project: key, page, per_page: 100, ..Default::default() };
                client.list_pipelines(request).await.unwrap().into_inner()
            }
        };
        let there = rig.sim.world().with(|w| w.get(id).unwrap().pipelines().len());
        let wait = async {
            // The board hears of them with its next refresh; then the pages beyond it are read when asked for.
            loop {
                let (mut listed, mut page) = (Vec::new(), 1);
                let complete = loop {
                    let answer = ask(page).await;
                    assert!(answer.problems.is_empty(), "{:?}", answer.problems);
                    listed.extend(answer.pipelines.iter().map(|r| r.id.clone()));
                    // Pages from before and after a refresh do not make one list.
                    if answer.loading || answer.total as usize != there || answer.pipelines.is_empty() {
                        break false;
                    }
                    if listed.len() >= there {
                        break listed.iter().collect::<std::collections::BTreeSet<_>>().len() == there;
                    }
                    page += 1;
                };
                if complete {
                    return listed;
                }
                tokio::task::yield_now().await;
            }
        };
        let listed = tokio::time::timeout(PATIENCE, wait).await.expect("all pages are there");
        let distinct: std::collections::BTreeSet<_> = listed.iter().collect();
        assert_eq!((listed.len(), distinct.len()), (there, there), "{name}: each run once");
        assert!(there > 230, "more than the board holds");
    }
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_count_what_the_platforms_were_asked() {
    let slow = [("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "1h")];
    let rig = Rig::start(Sim::builder().projects(6).seed(5), &slow).await;
    rig.read().await;
    let text = rig.metrics.text().unwrap();
    for series in [
        "ci_dashboard_build_info{version=",
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
        "ci_dashboard_source_up{source=",
        "ci_dashboard_freshness_median_seconds{source=",
        "ci_dashboard_platform_budget_remaining{source=",
        "ci_dashboard_pipeline_outcome{source=",
        "ci_dashboard_details_lookups_total{kind=\"jobs\",result=\"hit\"} ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(series)), "no {series}: {text}");
    }
    let value = |line: &str| {
        let found = text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse::<f64>().ok());
        found.unwrap_or_else(|| panic!("no {line} in\n{text}"))
    };
    for (source, face, endpoint) in [
        ("gitlab-main", forge_sim::gitlab::FACE, "GET /projects/:id/pipelines"),
        ("github-main", forge_sim::github::FACE, "GET /repos/:owner/:repo/actions/runs"),
    ] {
        assert_eq!(value(&format!("ci_dashboard_source_up{{source=\"{source}\"}}")), 1.0);
        let series = format!("ci_dashboard_platform_requests_total{{source=\"{source}\"");
        let counted = value(&format!("{series},endpoint=\"{endpoint}\"}}"));
        assert!(counted >= 1.0, "{source}: {counted}");
        // A request counts from when it is sent: what is on its way has still to arrive.
        kit::until(&format!("{source}: what we count is what arrived"), || async {
            let text = rig.metrics.text().unwrap();
            let counts = text.lines().filter(|l| l.starts_with(&series));
            let counted: f64 = counts.map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
            (counted as u64 == rig.sim.requests().total_of(face)).then_some(())
        })
        .await;
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains(rig.sim.token()), "no token");
    rig.life.stop().await;
}

/// A project's explanation, when there is one.
async fn explain(rig: &Rig, source: &str, id: &str) -> Result<v1::ExplainProjectResponse, tonic::Status> {
    let key = v1::ProjectKey { source: source.into(), id: id.into() };
    let request = v1::ExplainProjectRequest { key: Some(key) };
    rig.client.clone().explain_project(request).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_tells_why_and_when_it_is_asked_and_more_often_while_somebody_looks() {
    // Long intervals: what is asked more often is so for a reason.
    let slow = [("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "10m")];
    let rig = Rig::start(Sim::builder().projects(12).seed(5).broken(2), &slow).await;
    let rows = rig.read().await;
    let find = |wanted: &dyn Fn(&v1::Row) -> bool| {
        let row = rows.values().find(|r| wanted(r)).expect("such a project");
        row.project.clone().unwrap()
    };
    let red = find(&|r| outcome(r) == Some(Outcome::Failed));
    let key = red.key.clone().unwrap();
    let told = explain(&rig, &key.source, &key.id).await.unwrap();
    let schedule = told.schedule.expect("it is asked");
    assert!(schedule.asked_at.is_some() && schedule.due_at.is_some(), "{schedule:?}");
    // "moved": why it is red is still to be read.
    assert!(
        ["changed", "moved"].contains(&schedule.answer.as_str()),
        "the first answer is news: {schedule:?}"
    );
    assert!(["active", "dormant", "running"].contains(&schedule.why.as_str()), "{schedule:?}");
    assert!(!schedule.why_text.is_empty() && schedule.stretch >= 1.0);
    let state = told.row.and_then(|r| r.branch).and_then(|b| b.state).unwrap();
    assert!(state.reasons.iter().any(|r| r.left_out.is_empty() && r.outcome() == v1::Outcome::Failed));

    // By its full name as well; to ask is not to look.
    let by_name = explain(&rig, &key.source, &red.name).await.unwrap();
    assert_eq!(by_name.key.as_ref(), Some(&key));
    assert_ne!(by_name.schedule.unwrap().why, "looked_at");

    // Whoever opens it, or a run of it, looks.
    let get = v1::GetProjectRequest { key: Some(key.clone()) };
    rig.client.clone().get_project(get).await.unwrap();
    let looked = explain(&rig, &key.source, &key.id).await.unwrap().schedule.unwrap();
    assert!(looked.why == "looked_at" || schedule.why == "running", "{looked:?}");
    assert_eq!(looked.every.map(|e| e.seconds <= 15), Some(true), "{looked:?}");
    let other = find(&|r| outcome(r) == Some(Outcome::Success)).key.unwrap();
    let runs = v1::ListPipelinesRequest { project: Some(other.clone()), ..Default::default() };
    rig.client.clone().list_pipelines(runs).await.unwrap();
    let looked = explain(&rig, &other.source, &other.id).await.unwrap().schedule.unwrap();
    assert!(["looked_at", "running"].contains(&looked.why.as_str()), "{looked:?}");

    // What folds away is listed and not asked.
    if let Some(archived) = rows.values().find(|r| r.folded.as_deref() == Some("archived")) {
        let key = archived.project.as_ref().and_then(|p| p.key.clone()).unwrap();
        let schedule = explain(&rig, &key.source, &key.id).await.unwrap().schedule.unwrap();
        assert_eq!((schedule.why.as_str(), schedule.due_at), ("never", None));
    }
    let missing = explain(&rig, &key.source, "there/is/no/such").await.unwrap_err();
    assert_eq!(missing.code(), tonic::Code::NotFound);
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_tell_what_is_due_how_old_it_is_and_what_they_were_asked() {
    let rig = Rig::start(Sim::builder().projects(12).seed(5), &[]).await;
    let rows = rig.read().await;
    let answer = rig.client.clone().list_sources(v1::ListSourcesRequest {}).await.unwrap().into_inner();
    let (mut asked, mut archived) = (0, 0);
    for source in &answer.sources {
        let schedule = source.schedule.as_ref().expect("it is asked");
        asked += schedule.asked;
        assert_eq!(schedule.unread, 0, "everything was read");
        assert!(schedule.age_worst.is_some() && schedule.age_median.is_some());
        assert!(schedule.stretch >= 1.0 && schedule.next_at.is_some());
        let hour: u64 = source.endpoints.iter().map(|e| e.requests_last_hour).sum();
        assert!(hour > 0 && hour.abs_diff(source.requests_last_hour) <= hour, "{hour}");
        for endpoint in &source.endpoints {
            assert!(endpoint.endpoint.contains(' '), "a method and a path: {}", endpoint.endpoint);
            assert!(endpoint.requests_last_hour <= endpoint.requests);
            assert!(endpoint.not_modified_last_hour <= endpoint.requests_last_hour);
        }
        assert!(source.sends_webhooks && source.webhooks.is_none(), "it could, and has no secret");
    }
    archived += rows.values().filter(|r| r.folded.as_deref() == Some("archived")).count();
    assert!(asked as usize >= rows.len() - archived - 4 && asked as usize <= rows.len(), "{asked}");
    // Lists of projects carry their sources without these figures: they cost something.
    let (_, list) = rig.rows().await;
    assert!(list.sources.iter().all(|s| s.schedule.is_none() && s.endpoints.is_empty()));
    rig.life.stop().await;
}
