//! What history teaches, over gRPC: a simulated platform before the real aggregator, a real database behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::v1;
use config::Settings;
use domain::Status;
use forge_sim::world::Shape;
use forge_sim::{ProjectId, RunStatus, Sim, gitlab};
use history::{History, RunFilter};
use tonic::Code;

use crate::kit::{self, Running, until};

const SOURCE: &str = "gitlab-main";

fn settings(gitlab: &str, token: &str, database: &str) -> Settings {
    let env = [
        ("GITLAB_URL", gitlab),
        ("GITLAB_TOKEN", token),
        ("DATABASE_URL", database),
        ("CI_DASHBOARD__CACHE__REFRESH_INTERVAL", "200ms"),
    ];
    kit::settings(env)
}

async fn sim() -> Sim {
    let limits = forge_sim::Limits { gitlab_per_minute: Some(10_000_000), ..forge_sim::Limits::default() };
    Sim::builder().faces([gitlab::FACE]).projects(6).seed(5).broken(1).limits(limits).start().await.unwrap()
}

impl Running {
    /// Everything was read, history knows every project that has runs, and nothing is left to write or to fetch: twice, as
    /// what a batch leaves to fetch is told a moment after it.
    async fn written(&self, history: &dyn History) {
        let settled = std::sync::atomic::AtomicU32::new(0);
        until("all is written", async || {
            let request = v1::ListProjectsRequest { per_page: 100, ..Default::default() };
            let rows = self.client.clone().list_projects(request).await.unwrap().into_inner().rows;
            let known = history.watermarks(&SOURCE.parse().unwrap()).await.unwrap();
            let has_runs = |r: &&v1::Row| {
                r.branch.as_ref().and_then(|b| b.state.as_ref()).is_some_and(|s| !s.pipelines.is_empty())
            };
            let is_known = |r: &v1::Row| {
                let key = r.project.as_ref().and_then(|p| p.key.as_ref()).unwrap();
                known.contains_key(&domain::ProjectKey::try_from(key).unwrap())
            };
            let sources =
                self.client.clone().list_sources(v1::ListSourcesRequest {}).await.unwrap().into_inner();
            let read = sources.sources.iter().all(|s| s.state() == v1::SourceState::Ok)
                && rows.iter().all(|r| !r.loading)
                && rows.iter().filter(has_runs).all(is_known);
            let history = sources.history?;
            let still = read && history.state == "ok" && history.waiting == 0 && history.behind == 0;
            let times = if still { settled.fetch_add(1, std::sync::atomic::Ordering::Relaxed) } else { 0 };
            if !still {
                settled.store(0, std::sync::atomic::Ordering::Relaxed);
            }
            (times > 0).then_some(())
        })
        .await;
    }

    async fn days(&self, scope: &v1::StatsScope) -> v1::GetStatsResponse {
        let request = v1::GetStatsRequest { scope: Some(scope.clone()) };
        self.stats.clone().get_stats(request).await.unwrap().into_inner()
    }

    /// All runs behind a figure, page by page.
    async fn behind(&self, request: v1::ListRunsBehindRequest) -> Vec<v1::RunBehind> {
        let mut all = Vec::new();
        for page in 1.. {
            let request = v1::ListRunsBehindRequest { page, per_page: 100, ..request.clone() };
            let answer = self.stats.clone().list_runs_behind(request).await.unwrap().into_inner();
            all.extend(answer.runs);
            if !answer.more {
                break;
            }
        }
        all
    }
}

/// A green project, by its native id, its full name, and its branch.
fn green(sim: &Sim) -> (ProjectId, String, String, String) {
    sim.world().with(|w| {
        let p = w.projects().find(|p| p.shape == Shape::Green).unwrap();
        let branch = p.default_branch.as_deref().unwrap().to_owned();
        (p.id, p.native_id.to_string(), p.full_path(), branch)
    })
}

fn run(sim: &Sim, project: ProjectId, branch: &str, status: RunStatus) {
    sim.world().with(|w| {
        let run = w.start_pipeline(project, branch, 0, true).unwrap();
        w.finish_pipeline(project, run, status).unwrap();
    });
}

/// What every figure says is what the runs behind it are.
async fn figures_are_their_runs(
    database: &str,
    keep: &dyn Fn() -> Box<dyn Future<Output = Arc<dyn History>> + Unpin>,
) {
    let sim = sim().await;
    let (project, id, name, branch) = green(&sim);
    for n in 0..30 {
        run(&sim, project, &branch, if n % 3 == 0 { RunStatus::Failed } else { RunStatus::Success });
    }
    let rig = Running::start(&settings(&sim.gitlab_url(), sim.token(), database)).await;
    let history = keep().await;
    rig.written(&*history).await;

    // What is in history, counted run by run.
    let key = |id: &str| format!("{SOURCE}:{id}").parse::<domain::ProjectKey>().unwrap();
    let runs = history.runs(&key(&id), &RunFilter::default(), 0, 10_000).await.unwrap().items;
    let mut by_day: BTreeMap<String, u64> = BTreeMap::new();
    for run in &runs {
        *by_day.entry(run.created_at.unwrap().strftime("%F").to_string()).or_default() += 1;
    }

    // A project may be named by its full name.
    let of = |id: &str| Some(v1::ProjectKey { source: SOURCE.into(), id: id.into() });
    let scope = v1::StatsScope { project: of(&name), days: 60, ..Default::default() };
    let told = rig.days(&scope).await;
    let window = told.window.clone().unwrap();
    assert_eq!((window.days, told.days.len()), (60, 60), "every day of the window");
    for day in &told.days {
        let figures = day.figures.unwrap();
        assert_eq!(figures.runs, by_day.get(&day.day).copied().unwrap_or(0), "{}", day.day);
        let request = |statuses: &[&str]| v1::ListRunsBehindRequest {
            scope: Some(scope.clone()),
            day: day.day.clone(),
            statuses: statuses.iter().map(|s| (*s).to_owned()).collect(),
            ..Default::default()
        };
        assert_eq!(rig.behind(request(&[])).await.len() as u64, figures.runs, "{}", day.day);
        let red = rig.behind(request(&["failed"])).await;
        assert_eq!(red.len() as u64, figures.failed, "{}", day.day);
        assert!(red.iter().all(|r| r.run.as_ref().unwrap().status() == v1::Status::Failed));
        assert!(red.iter().all(|r| r.project_name == name));
    }
    let sum = told.figures.unwrap();
    let summed = told
        .days
        .iter()
        .map(|d| d.figures.unwrap())
        .fold((0, 0), |(runs, red), f| (runs + f.runs, red + f.failed));
    assert_eq!((sum.runs, sum.failed), summed, "the whole is its parts");
    assert!(sum.failed >= 10 && sum.success_rate.is_some_and(|r| r > 0.3 && r < 1.0), "{sum:?}");
    assert!(sum.duration.unwrap().p50.is_some() && sum.duration.unwrap().count <= sum.verdicts);

    // The same by every other way of asking.
    let by = async |scope: v1::StatsScope| rig.days(&scope).await.figures.unwrap().runs;
    assert_eq!(by(v1::StatsScope { project: of(&id), ..scope.clone() }).await, sum.runs);
    assert_eq!(by(v1::StatsScope { platforms: vec!["gitlab".into()], ..scope.clone() }).await, sum.runs);
    assert_eq!(by(v1::StatsScope { platforms: vec!["github".into()], ..scope.clone() }).await, 0);
    assert_eq!(by(v1::StatsScope { branch: Some("no such".into()), ..scope.clone() }).await, 0);
    let on = |status: Status| {
        runs.iter().filter(|r| r.status == status && r.branch.as_deref() == Some(&*branch)).count() as u64
    };
    let of_branch = by(v1::StatsScope { branch: Some(branch.clone()), ..scope.clone() }).await;
    assert!(of_branch >= on(Status::Failed) + on(Status::Success) && of_branch <= sum.runs);
    let all = by(v1::StatsScope { project: None, ..scope.clone() }).await;
    assert!(all > sum.runs, "the others have runs too: {all}");

    // Hours of the week, and what stands out.
    let request = v1::GetHeatRequest { scope: Some(scope.clone()) };
    let heat = rig.stats.clone().get_heat(request).await.unwrap().into_inner();
    assert_eq!((heat.hours.len(), heat.hours.iter().map(|h| h.runs).sum::<u64>()), (168, sum.runs));
    let busiest = heat.hours.iter().max_by_key(|h| h.runs).unwrap();
    let request = v1::ListRunsBehindRequest {
        scope: Some(scope.clone()),
        hour: Some(busiest.hour),
        ..Default::default()
    };
    assert_eq!(rig.behind(request).await.len() as u64, busiest.runs);
    let rank = async |of: &str, by: &str| {
        let request = v1::RankStatsRequest {
            scope: Some(v1::StatsScope { project: None, ..scope.clone() }),
            of: of.into(),
            by: by.into(),
            ..Default::default()
        };
        rig.stats.clone().rank_stats(request).await.unwrap().into_inner().ranked
    };
    let projects = rank("projects", "busiest").await;
    assert!(projects.windows(2).all(|w| w[0].figures.unwrap().runs >= w[1].figures.unwrap().runs));
    assert_eq!(projects.iter().map(|p| p.figures.unwrap().runs).sum::<u64>(), all);
    let parts = (rank("platforms", "busiest").await, rank("sources", "busiest").await);
    assert_eq!((parts.0[0].name.as_deref(), parts.1[0].name.as_deref()), (Some("gitlab"), Some(SOURCE)));
    assert_eq!(parts.0[0].figures.unwrap().runs, all);
    for r in rank("workflows", "failing").await {
        let figures = r.figures.unwrap();
        let request = v1::ListRunsBehindRequest {
            scope: Some(v1::StatsScope { project: r.project.clone(), ..scope.clone() }),
            lane: r.lane.clone(),
            statuses: vec!["failed".into()],
            ..Default::default()
        };
        assert_eq!(rig.behind(request).await.len() as u64, figures.failed, "{r:?}");
    }

    // Why it fails: each group leads to runs that failed so.
    // This platform tells a run's reason with its jobs, which are kept once somebody looked.
    let request = v1::ListRunsBehindRequest {
        scope: Some(scope.clone()),
        statuses: vec!["failed".into()],
        ..Default::default()
    };
    let red = rig.behind(request).await[0].run.clone().unwrap();
    let groups = until("it is known why it failed", async || {
        let request = v1::GetPipelineRequest { project: red.project.clone(), id: red.id.clone() };
        rig.client.clone().get_pipeline(request).await.unwrap();
        let request = v1::ListFailureGroupsRequest { scope: Some(scope.clone()), limit: 100 };
        let groups = rig.stats.clone().list_failure_groups(request).await.unwrap().into_inner().groups;
        (!groups.is_empty()).then_some(groups)
    })
    .await;
    for group in &groups {
        let request = v1::ListRunsBehindRequest {
            scope: Some(scope.clone()),
            job: group.job.clone(),
            reason: group.reason.clone(),
            ..Default::default()
        };
        let request =
            v1::ListRunsBehindRequest { no_reason: group.job.is_some() && group.reason.is_none(), ..request };
        assert_eq!(rig.behind(request).await.len() as u64, group.failures, "{group:?}");
        assert_eq!(group.most[0].project_name, name);
    }
    // Jobs are kept now of the run that was looked at.
    let jobs = until("its jobs are counted", async || {
        let ranked = v1::RankStatsRequest {
            scope: Some(scope.clone()),
            of: "jobs".into(),
            by: "busiest".into(),
            min_runs: 1,
            limit: 100,
        };
        let ranked = rig.stats.clone().rank_stats(ranked).await.unwrap().into_inner().ranked;
        (!ranked.is_empty()).then_some(ranked)
    })
    .await;
    for job in jobs {
        let request = v1::ListRunsBehindRequest {
            scope: Some(scope.clone()),
            ran_job: job.name.clone(),
            ..Default::default()
        };
        assert_eq!(rig.behind(request).await.len() as u64, job.figures.unwrap().runs, "{job:?}");
    }
    let request = v1::GetDeliveryRequest { scope: Some(scope) };
    let delivery = rig.stats.clone().get_delivery(request).await.unwrap().into_inner();
    assert!(delivery.rule.is_empty(), "nothing is named to deploy");
    for (count, runs) in
        [(delivery.deployments, &delivery.deployed), (delivery.failed_total, &delivery.failed)]
    {
        assert_eq!(count.min(100), runs.len() as u64, "what the platform marks has its runs: {delivery:?}");
    }
    assert!(delivery.time_to_green.unwrap().count > 0, "{delivery:?}");
    for (figure, runs) in [
        (delivery.time_to_restore, &delivery.restored),
        (delivery.time_to_green, &delivery.turned_green),
        (delivery.lead_time, &delivery.led),
    ] {
        assert_eq!(figure.unwrap().count.min(100), runs.len() as u64, "{delivery:?}");
    }
    rig.life.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_their_runs_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let open = || -> Box<dyn Future<Output = Arc<dyn History>> + Unpin> {
        let path = path.clone();
        Box::new(Box::pin(async move {
            let opened = history_sqlite::open(path, history_sqlite::Options::default()).await.unwrap();
            Arc::new(opened) as Arc<dyn History>
        }))
    };
    figures_are_their_runs(&format!("sqlite:{}", path.display()), &open).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn figures_are_their_runs_on_postgresql() {
    let Some(server) = history_suite::server::Server::start(false) else { return };
    let url = server.url("postgres");
    let open = || -> Box<dyn Future<Output = Arc<dyn History>> + Unpin> {
        let url = url.clone();
        Box::new(Box::pin(async move {
            let opened = history_postgres::open(&url, history_postgres::Options::default()).await.unwrap();
            Arc::new(opened) as Arc<dyn History>
        }))
    };
    figures_are_their_runs(&url, &open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_history_and_one_that_is_away_are_told_apart() {
    let sim = sim().await;
    let ask = async |database: &str| {
        let rig = Running::start(&settings(&sim.gitlab_url(), sim.token(), database)).await;
        let refused = until("it is known why", async || {
            let refused = rig.stats.clone().get_stats(v1::GetStatsRequest::default()).await.unwrap_err();
            (!refused.message().contains("being opened")).then_some(refused)
        })
        .await;
        rig.life.stop().await;
        (refused.code(), refused.message().to_owned())
    };
    let (code, said) = ask("none").await;
    assert_eq!(code, Code::Unimplemented, "{said}");
    assert!(said.contains("database.url"), "{said}");
    let (code, said) = ask("postgres://ci:wrong@127.0.0.1:1/x").await;
    assert_eq!(code, Code::Unavailable, "{said}");
    assert!(said.contains("127.0.0.1:1/x") && !said.contains("wrong"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_in_words() {
    let (sim, folder) = (sim().await, tempfile::tempdir().unwrap());
    let database = format!("sqlite:{}", folder.path().join("history.db").display());
    let rig = Running::start(&settings(&sim.gitlab_url(), sim.token(), &database)).await;
    let scope = |scope: v1::StatsScope| v1::GetStatsRequest { scope: Some(scope) };
    for (request, says) in [
        (scope(v1::StatsScope { days: 4_000, ..Default::default() }), "400 days"),
        (scope(v1::StatsScope { from: "soon".into(), ..Default::default() }), "2026-11-24"),
        (scope(v1::StatsScope { sources: vec!["no name".into()], ..Default::default() }), "name"),
    ] {
        let refused = rig.stats.clone().get_stats(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(says), "{}", refused.message());
    }
    rig.life.stop().await;
}
