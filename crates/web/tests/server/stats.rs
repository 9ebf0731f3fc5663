//! History, as the scripted aggregator has it: a few figures that are easy to follow.

use std::time::Duration;

use api::v1;
use api::v1::stats_service_server::StatsService;
use tonic::{Request as Ask, Response as Answer, Status};

use crate::fixtures::{bare_pipeline, full_pipeline, key, person, time};
use crate::kit::Service;

fn window() -> Option<v1::StatsWindow> {
    Some(v1::StatsWindow { from: "2026-10-26".into(), to: "2026-11-24".into(), days: 30 })
}

fn percentiles(count: u64, seconds: u64) -> Option<v1::Percentiles> {
    let took = |n: u64| Some(api::duration(Duration::from_secs(n)));
    Some(v1::Percentiles {
        count,
        p10: took(seconds / 2),
        p50: took(seconds),
        p90: took(seconds * 2),
        p95: took(seconds * 3),
        total: took(seconds * count),
    })
}

pub(crate) fn figures(success: u64, failed: u64) -> v1::Figures {
    let verdicts = success + failed;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let rate = success as f64 / verdicts.max(1) as f64;
    v1::Figures {
        runs: verdicts + 2,
        success,
        failed,
        canceled: 2,
        further: 1,
        verdicts,
        success_rate: (verdicts > 0).then_some(rate),
        duration: percentiles(verdicts, 60),
        queued: percentiles(verdicts, 4),
        ..Default::default()
    }
}

/// Of a window: 36 of 40 green, more than before.
pub(crate) fn stats() -> v1::GetStatsResponse {
    let day = |day: &str, f: v1::Figures| v1::DayOfFigures { day: day.into(), figures: Some(f) };
    v1::GetStatsResponse {
        window: window(),
        figures: Some(figures(36, 4)),
        before_window: Some(v1::StatsWindow { from: "2026-09-26".into(), to: "2026-10-25".into(), days: 30 }),
        before: Some(figures(30, 10)),
        days: vec![day("2026-11-23", v1::Figures::default()), day("2026-11-24", figures(36, 4))],
        duration_trend: Some(-0.1),
        queued_trend: Some(0.2),
        history: Some(v1::History { state: "ok".into(), behind: 3, ..Default::default() }),
    }
}

fn ranked(name: Option<&str>, of_project: bool) -> v1::RankedStats {
    v1::RankedStats {
        project: of_project.then(key),
        project_name: if of_project { "group/name".into() } else { String::new() },
        lane: Some("7".into()),
        name: name.map(str::to_owned),
        figures: Some(figures(36, 4)),
    }
}

#[tonic::async_trait]
impl StatsService for Service {
    async fn get_stats(
        &self,
        request: Ask<v1::GetStatsRequest>,
    ) -> Result<Answer<v1::GetStatsResponse>, Status> {
        self.of_history("get_stats", request.get_ref()).await?;
        Ok(Answer::new(self.stats()))
    }

    async fn get_heat(
        &self,
        request: Ask<v1::GetHeatRequest>,
    ) -> Result<Answer<v1::GetHeatResponse>, Status> {
        self.of_history("get_heat", request.get_ref()).await?;
        let hour = |hour| {
            let (runs, failed) = if hour == 33 { (20, 5) } else { (0, 0) };
            v1::HourOfWeek { hour, runs, failed }
        };
        Ok(Answer::new(v1::GetHeatResponse { window: window(), hours: (0..168).map(hour).collect() }))
    }

    async fn rank_stats(
        &self,
        request: Ask<v1::RankStatsRequest>,
    ) -> Result<Answer<v1::RankStatsResponse>, Status> {
        self.of_history("rank_stats", request.get_ref()).await?;
        let ranked = match request.get_ref().of.as_str() {
            "projects" => vec![ranked(None, true)],
            "workflows" => vec![ranked(Some("=Nightly"), true), ranked(None, true)],
            "jobs" => vec![ranked(Some("e2e (firefox)"), true)],
            _ => vec![ranked(Some("gitlab"), false), ranked(Some("github"), false)],
        };
        Ok(Answer::new(v1::RankStatsResponse { window: window(), ranked, min_runs: 5 }))
    }

    async fn list_broken(
        &self,
        request: Ask<v1::ListBrokenRequest>,
    ) -> Result<Answer<v1::ListBrokenResponse>, Status> {
        self.of_history("list_broken", request.get_ref()).await?;
        let culprit = |run: &str| v1::Culprit {
            run_id: run.into(),
            sha: Some("a41f9c2e".into()),
            author: Some(person()),
            message: Some("Round half even".into()),
        };
        let full = v1::BrokenLane {
            project: Some(key()),
            project_name: "group/name".into(),
            branch: "main".into(),
            lane: "7".into(),
            workflow: Some("build".into()),
            since: time("2026-11-24T10:00:05Z"),
            at_least: false,
            first: Some(culprit("9001")),
            green: Some(culprit("8999")),
            red: 2,
        };
        let bare = v1::BrokenLane {
            project: Some(key()),
            branch: "main".into(),
            at_least: true,
            ..Default::default()
        };
        Ok(Answer::new(v1::ListBrokenResponse { window: window(), broken: vec![full, bare] }))
    }

    async fn list_flaky(
        &self,
        request: Ask<v1::ListFlakyRequest>,
    ) -> Result<Answer<v1::ListFlakyResponse>, Status> {
        self.of_history("list_flaky", request.get_ref()).await?;
        let flaky = v1::FlakyItem {
            project: Some(key()),
            project_name: "group/name".into(),
            lane: "7".into(),
            workflow: Some("build".into()),
            job: Some("e2e (firefox)".into()),
            state: "flaky".into(),
            commits: 3,
            verdicts: 61,
            wasted: Some(api::duration(Duration::from_secs(5_400))),
            last_day: "2026-11-24".into(),
            run_ids: vec!["9001".into(), "8000".into()],
            run_numbers: vec![17, 0],
        };
        Ok(Answer::new(v1::ListFlakyResponse {
            window: window(),
            flaky: vec![flaky],
            total: 1,
            flaky_runs: 1,
            wasted: Some(api::duration(Duration::from_secs(7_200))),
        }))
    }

    async fn list_failure_groups(
        &self,
        request: Ask<v1::ListFailureGroupsRequest>,
    ) -> Result<Answer<v1::ListFailureGroupsResponse>, Status> {
        self.of_history("list_failure_groups", request.get_ref()).await?;
        let most =
            vec![v1::ProjectCount { project: Some(key()), count: 14, project_name: "group/name".into() }];
        let group = |job: Option<&str>, reason: Option<&str>| v1::FailureGroup {
            job: job.map(str::to_owned),
            reason: reason.map(str::to_owned),
            failures: 14,
            projects: 9,
            most: most.clone(),
        };
        let groups = vec![group(Some("install"), Some("npm ERR! code E<n> <b>")), group(None, None)];
        Ok(Answer::new(v1::ListFailureGroupsResponse { window: window(), groups }))
    }

    async fn get_delivery(
        &self,
        request: Ask<v1::GetDeliveryRequest>,
    ) -> Result<Answer<v1::GetDeliveryResponse>, Status> {
        self.of_history("get_delivery", request.get_ref()).await?;
        let run = |id: &str| v1::RunRef {
            project: Some(key()),
            run_id: id.into(),
            project_name: "group/name".into(),
            number: (id == "9001").then_some(17),
        };
        let median = |count, seconds| {
            Some(v1::MedianOf { count, median: Some(api::duration(Duration::from_secs(seconds))) })
        };
        Ok(Answer::new(v1::GetDeliveryResponse {
            window: window(),
            rule: vec!["deploy*".into()],
            deployments: 20,
            successful: 18,
            mean_per_day: 0.6,
            median_day: 1,
            change_failure_rate: Some(0.1),
            failed: vec![run("9001")],
            failed_total: 2,
            time_to_restore: median(2, 600),
            time_to_green: median(4, 2_520),
            lead_time: None,
            deployed: (0..20).map(|n| run(&format!("d{n}"))).collect(),
            restored: vec![run("9001"), run("9000")],
            turned_green: (0..4).map(|n| run(&format!("r{n}"))).collect(),
            led: Vec::new(),
            marked_projects: 3,
            named_projects: 1,
        }))
    }

    async fn list_runs_behind(
        &self,
        request: Ask<v1::ListRunsBehindRequest>,
    ) -> Result<Answer<v1::ListRunsBehindResponse>, Status> {
        self.of_history("list_runs_behind", request.get_ref()).await?;
        let run = |run| v1::RunBehind { run: Some(run), project_name: "group/name".into() };
        let request = request.into_inner();
        Ok(Answer::new(v1::ListRunsBehindResponse {
            window: window(),
            runs: vec![run(full_pipeline()), run(bare_pipeline())],
            page: request.page.max(1),
            per_page: request.per_page,
            more: request.page < 2,
        }))
    }
}
