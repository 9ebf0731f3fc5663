//! From history's answers to the wire.

use std::time::Duration;

use api::v1;
use domain::ProjectKey;
use history::answers::{
    Broken, Culprit, DayFigures, Delivery, FailureGroup, Figures, Flaky, FlakyState, Heat, Median,
    Percentiles, Ranked,
};
use history::{Day, Window};

fn date(day: Day) -> String {
    day.start().strftime("%F").to_string()
}

pub(super) fn window(window: Window) -> v1::StatsWindow {
    v1::StatsWindow {
        from: date(window.from),
        to: date(window.to),
        days: u32::try_from(window.days()).unwrap_or_default(),
    }
}

fn percentiles(p: &Percentiles) -> v1::Percentiles {
    v1::Percentiles {
        count: p.count,
        p10: p.p10.map(api::duration),
        p50: p.p50.map(api::duration),
        p90: p.p90.map(api::duration),
        p95: p.p95.map(api::duration),
        total: Some(api::duration(p.total)),
    }
}

pub(super) fn figures(f: &Figures) -> v1::Figures {
    v1::Figures {
        runs: f.runs,
        success: f.success,
        warning: f.warning,
        failed: f.failed,
        canceled: f.canceled,
        skipped: f.skipped,
        further: f.further,
        verdicts: f.verdicts(),
        success_rate: f.success_rate(),
        duration: Some(percentiles(&f.duration)),
        queued: Some(percentiles(&f.queued)),
    }
}

pub(super) fn day(day: &DayFigures) -> v1::DayOfFigures {
    v1::DayOfFigures { day: date(day.day), figures: Some(figures(&day.figures)) }
}

pub(super) fn hours(heat: &Heat) -> Vec<v1::HourOfWeek> {
    let cells = heat.hours.iter().flatten();
    (0..).zip(cells).map(|(hour, &(runs, failed))| v1::HourOfWeek { hour, runs, failed }).collect()
}

pub(super) fn ranked(r: Ranked) -> v1::RankedStats {
    v1::RankedStats {
        project: Some((&r.project).into()),
        project_name: r.project_name,
        lane: r.lane,
        name: r.name,
        figures: Some(figures(&r.figures)),
    }
}

/// A source, or a platform.
pub(super) fn part((name, f): (String, Figures)) -> v1::RankedStats {
    v1::RankedStats { name: Some(name), figures: Some(figures(&f)), ..v1::RankedStats::default() }
}

fn culprit(c: Culprit) -> v1::Culprit {
    v1::Culprit {
        run_id: c.run.to_string(),
        sha: c.sha,
        author: c.author.as_ref().map(api::person),
        message: c.message,
    }
}

pub(super) fn broken(b: Broken) -> v1::BrokenLane {
    v1::BrokenLane {
        project: Some((&b.project).into()),
        project_name: b.project_name,
        branch: b.branch,
        lane: b.lane,
        workflow: b.workflow,
        since: Some(api::timestamp(b.since)),
        at_least: b.at_least,
        first: Some(culprit(b.first)),
        green: b.green.map(culprit),
        red: b.red,
    }
}

/// Of runs as a whole that are flaky now: how many, and what they waste. A job's waste is part of its run's.
pub(super) fn waste(all: &[Flaky]) -> (u64, Duration) {
    let runs = || all.iter().filter(|f| f.job.is_none() && f.state == FlakyState::Flaky);
    (runs().count() as u64, runs().map(|f| f.wasted).sum())
}

pub(super) fn flaky(f: Flaky) -> v1::FlakyItem {
    v1::FlakyItem {
        project: Some((&f.project).into()),
        project_name: f.project_name,
        lane: f.lane,
        workflow: f.workflow,
        job: f.job,
        state: match f.state {
            FlakyState::Flaky => "flaky",
            FlakyState::Broken => "broken",
            FlakyState::Cleared => "cleared",
        }
        .to_owned(),
        commits: f.commits,
        verdicts: f.verdicts,
        wasted: Some(api::duration(f.wasted)),
        last_day: date(f.last),
        run_ids: f.runs.iter().map(|(run, _)| run.to_string()).collect(),
        run_numbers: f.runs.iter().map(|(_, number)| number.unwrap_or_default()).collect(),
    }
}

pub(super) fn failure_group(g: FailureGroup, name: impl Fn(&ProjectKey) -> String) -> v1::FailureGroup {
    let count = |(project, count): &(ProjectKey, u64)| v1::ProjectCount {
        project: Some(project.into()),
        count: *count,
        project_name: name(project),
    };
    v1::FailureGroup {
        most: g.most.iter().map(count).collect(),
        job: g.job,
        reason: g.reason,
        failures: g.failures,
        projects: g.projects,
    }
}

fn median(m: Median) -> v1::MedianOf {
    v1::MedianOf { count: m.count, median: m.median.map(api::duration) }
}

/// Without the rule and the names of runs.
pub(super) fn delivery(d: &Delivery) -> v1::GetDeliveryResponse {
    v1::GetDeliveryResponse {
        deployments: d.deployments,
        marked_projects: d.marked_projects,
        named_projects: d.named_projects,
        successful: d.frequency.map_or(0, |f| f.deployments),
        mean_per_day: d.frequency.map_or(0.0, |f| f.mean_per_day),
        median_day: d.frequency.map_or(0, |f| f.median_day),
        change_failure_rate: d.change_failure_rate,
        failed_total: d.failures,
        time_to_restore: Some(median(d.time_to_restore)),
        time_to_green: Some(median(d.time_to_green)),
        lead_time: Some(median(d.lead_time)),
        ..v1::GetDeliveryResponse::default()
    }
}
