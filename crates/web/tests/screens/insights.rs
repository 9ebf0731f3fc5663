//! `/insights` in every state, and the trends of a project's page.

use std::time::Duration;

use api::{duration, timestamp, v1};
use web::pages::{self, BehindQuery, Ctx, Live, Missing, OfInsights, OfProjectStats, Span, StatsQuery};

use super::kit::*;

fn secs(seconds: u64) -> Option<prost_types::Duration> {
    Some(duration(Duration::from_secs(seconds)))
}

fn window(days: u32) -> Option<v1::StatsWindow> {
    let from = ago(i64::from(days - 1) * DAY).strftime("%F").to_string();
    Some(v1::StatsWindow { from, to: now().strftime("%F").to_string(), days })
}

fn percentiles(count: u64, median: u64) -> Option<v1::Percentiles> {
    (count > 0).then(|| v1::Percentiles {
        count,
        p10: secs(median * 7 / 10),
        p50: secs(median),
        p90: secs(median * 3 / 2),
        p95: secs(median * 19 / 10),
        total: secs(median * count),
    })
}

fn figures(success: u64, warning: u64, failed: u64, other: u64, median: u64) -> v1::Figures {
    let verdicts = success + warning + failed;
    v1::Figures {
        runs: verdicts + other,
        success,
        warning,
        failed,
        canceled: other,
        further: failed / 3,
        verdicts,
        success_rate: (verdicts > 0).then(|| (success + warning) as f64 / verdicts as f64),
        duration: percentiles(verdicts, median),
        queued: percentiles(verdicts, 14),
        ..Default::default()
    }
}

/// So many days, weekends quiet, slower in the last third.
fn stats(days: u32, busy: u64) -> v1::GetStatsResponse {
    let mut dice = Dice::new(u64::from(days) + busy);
    let day = |n: u32| {
        let at = ago(i64::from(days - 1 - n) * DAY);
        let weekend = matches!(at.strftime("%a").to_string().as_str(), "Sat" | "Sun");
        let most = if weekend { busy / 8 } else { busy };
        let runs = if most == 0 { 0 } else { most * 2 / 3 + dice.roll(most.max(2) / 2) };
        let failed = (runs / 25 + dice.roll(runs / 12 + 1)).min(runs);
        let warning = if runs > 20 { dice.roll(4) } else { 0 };
        let median = if n * 3 > days * 2 { 448 } else { 390 } + dice.roll(40);
        v1::DayOfFigures {
            day: at.strftime("%F").to_string(),
            figures: Some(figures(
                runs - failed - warning.min(runs - failed),
                warning,
                failed,
                dice.roll(3) * (runs / 30),
                median,
            )),
        }
    };
    let days_of: Vec<v1::DayOfFigures> = (0..days).map(day).collect();
    let sum = |of: fn(&v1::Figures) -> u64| days_of.iter().map(|d| of(&d.figures.unwrap())).sum::<u64>();
    let all = figures(sum(|f| f.success), sum(|f| f.warning), sum(|f| f.failed), sum(|f| f.canceled), 400);
    let before = figures(all.success * 9 / 10, all.warning, all.failed * 13 / 10, 4, 352);
    v1::GetStatsResponse {
        window: window(days),
        figures: Some(all),
        before_window: window(days),
        before: Some(before),
        days: days_of,
        duration_trend: Some(0.12),
        queued_trend: Some(-0.3),
        history: Some(v1::History { state: "ok".into(), ..Default::default() }),
    }
}

fn heat() -> v1::GetHeatResponse {
    let mut dice = Dice::new(3);
    let hour = |hour: u32| {
        let (day, at) = (hour / 24, hour % 24);
        let work = day < 5 && (8..19).contains(&at);
        let runs = if work { 30 + dice.roll(30) } else { dice.roll(9) };
        let failed = if work { dice.roll(14) } else { dice.roll(3).min(runs) };
        v1::HourOfWeek { hour, runs, failed: failed.min(runs) }
    };
    v1::GetHeatResponse { window: window(30), hours: (0..168).map(hour).collect() }
}

fn culprit(run: &str, sha: &str, who: &str, title: &str) -> Option<v1::Culprit> {
    Some(v1::Culprit {
        run_id: run.into(),
        sha: Some(sha.into()),
        author: Some(person(who)),
        message: Some(title.into()),
    })
}

fn broken() -> v1::ListBrokenResponse {
    let lane = |id: &str, name: &str, seconds: i64, first, green| v1::BrokenLane {
        project: Some(key("gitlab-main", id)),
        project_name: name.into(),
        branch: "main".into(),
        lane: "1".into(),
        workflow: Some("CI".into()),
        since: Some(timestamp(ago(seconds))),
        at_least: false,
        first,
        green,
        red: 3,
    };
    let first = culprit("48211", "a41f9c2e", "mira", "Round half even in fees");
    let green = culprit("48200", "c1d2e3f4", "ida", "Bump");
    let mut odd =
        lane("9", "a-group/with/many/levels/and-a-name-that-goes-on-and-on-and-on", 3 * DAY, None, None);
    odd.at_least = true;
    odd.branch = "release/a-branch-whose-name-is-long-as-well".into();
    let all = vec![
        lane(
            "1",
            "embedded/firmware-nightly",
            9 * HOUR,
            culprit("7", "77d01be", "jonas", "Lazy-load"),
            green.clone(),
        ),
        lane("2", "payments/ledger-api", 2 * HOUR, first, green),
        odd,
    ];
    v1::ListBrokenResponse { window: window(30), broken: all }
}

fn flaky() -> v1::ListFlakyResponse {
    let item = |job: Option<&str>, state: &str, lost: u64| v1::FlakyItem {
        project: Some(key("github-main", "web/checkout")),
        project_name: "web-platform/checkout".into(),
        lane: "3".into(),
        workflow: Some("CI".into()),
        job: job.map(str::to_owned),
        state: state.into(),
        commits: 6,
        verdicts: 61,
        wasted: secs(lost),
        last_day: now().strftime("%F").to_string(),
        run_ids: vec!["881234".into(), "{b7b2c1aa-3a5e-4f3a-9d6b-000000000001}".into()],
        run_numbers: vec![412, 0],
    };
    v1::ListFlakyResponse {
        window: window(30),
        flaky: vec![
            item(Some("e2e (firefox)"), "flaky", 32_760),
            item(None, "flaky", 21_000),
            item(Some("docs"), "cleared", 600),
            item(Some("nightly-bench"), "broken", 60),
        ],
        total: 4,
        flaky_runs: 1,
        wasted: secs(66_240),
    }
}

fn failures() -> v1::ListFailureGroupsResponse {
    let group = |n: u64, job: Option<&str>, reason: Option<&str>, projects: u64| v1::FailureGroup {
        job: job.map(str::to_owned),
        reason: reason.map(str::to_owned),
        failures: n,
        projects,
        most: (0..projects.min(10))
            .map(|p| v1::ProjectCount {
                project: Some(key("gitlab-main", &p.to_string())),
                count: n / (p + 1),
                project_name: format!("group/project-{p}"),
            })
            .collect(),
    };
    v1::ListFailureGroupsResponse {
        window: window(30),
        groups: vec![
            group(34, Some("install"), Some("npm ERR! code E<n> … registry"), 14),
            group(12, Some("e2e (firefox)"), Some("Timed out after <n> min waiting for element"), 2),
            group(4, Some("package"), Some("No space left on device"), 4),
            group(3, None, None, 1),
            group(
                2,
                Some("unit-tests"),
                Some(
                    "assertion `left == right` failed <script>alert(1)</script> in a line of output that nobody had the patience to keep short, and so it goes on",
                ),
                1,
            ),
        ],
    }
}

fn ranking(of: &str, n: u64) -> v1::RankStatsResponse {
    let ranked = |i: u64| {
        let name = match of {
            "projects" => None,
            "platforms" => Some(["gitlab", "github", "jenkins", "bitbucket"][i as usize % 4].to_owned()),
            "workflows" => Some(["Nightly", "CI", "Deploy production"][i as usize % 3].to_owned()),
            _ => Some(
                ["integration-tests (postgres 16, a matrix with long names)", "e2e", "build"][i as usize % 3]
                    .to_owned(),
            ),
        };
        v1::RankedStats {
            project: (of != "platforms").then(|| key("gitlab-main", &i.to_string())),
            project_name: if of == "platforms" { String::new() } else { format!("payments/ledger-{i}") },
            lane: Some("1".into()),
            name,
            figures: Some(figures(900 / (i + 1), 2, 40 / (i + 1), 3, 1_900 / (i + 1))),
        }
    };
    v1::RankStatsResponse { window: window(30), ranked: (0..n).map(ranked).collect(), min_runs: 5 }
}

fn delivery(named: bool) -> v1::GetDeliveryResponse {
    let median = |count, seconds| Some(v1::MedianOf { count, median: secs(seconds) });
    let run = |id: &str| v1::RunRef {
        project: Some(key("gitlab-main", "3")),
        run_id: id.into(),
        project_name: "payments/ledger-deploy".into(),
        number: id.rsplit('-').next().and_then(|n| n.parse().ok()),
    };
    let base = v1::GetDeliveryResponse {
        window: window(30),
        time_to_green: median(31, 2_520),
        lead_time: median(812, 1_080),
        turned_green: vec![run("871"), run("866"), run("854")],
        led: vec![run("912")],
        ..Default::default()
    };
    if !named {
        return base;
    }
    v1::GetDeliveryResponse {
        rule: vec!["deploy*".into()],
        deployments: 64,
        successful: 60,
        mean_per_day: 2.0,
        median_day: 2,
        change_failure_rate: Some(0.078),
        failed: vec![run("911"), run("902")],
        failed_total: 5,
        time_to_restore: median(4, 1_500),
        deployed: vec![run("912"), run("911")],
        restored: vec![run("911"), run("902")],
        ..base
    }
}

fn full() -> OfInsights {
    OfInsights {
        sources: sources(),
        missing: None,
        stats: stats(30, 90),
        heat: heat(),
        broken: broken(),
        flaky: flaky(),
        failures: failures(),
        delivery: delivery(true),
        slowest: ranking("workflows", 8),
        slowest_jobs: ranking("jobs", 8),
        busiest: ranking("projects", 8),
        failing: ranking("projects", 5),
        platforms: ranking("platforms", 4),
    }
}

/// What a project's page tells of its last days.
pub(crate) fn of_project() -> OfProjectStats {
    OfProjectStats { stats: stats(30, 6), heat: heat(), flaky: flaky(), delivery: delivery(false) }
}

fn runs(n: u64) -> v1::ListRunsBehindResponse {
    let run = |i: u64| v1::RunBehind {
        run: Some(v1::Pipeline {
            project: Some(key("gitlab-main", "2")),
            id: (48_213 - i).to_string(),
            number: Some(48_213 - i),
            workflow: Some("CI".into()),
            branch: Some("main".into()),
            sha: Some("a41f9c2e".into()),
            status: v1::Status::Failed.into(),
            author: Some(person("mira")),
            message: Some("Round half even in fees".into()),
            failure: Some("unit-tests: 3 of 1,204 tests failed".into()),
            created_at: Some(timestamp(ago(i as i64 * HOUR))),
            started_at: Some(timestamp(ago(i as i64 * HOUR - 8))),
            duration: secs(372),
            queued: secs(8),
            ..Default::default()
        }),
        project_name: "payments/ledger-api".into(),
    };
    v1::ListRunsBehindResponse {
        window: window(30),
        runs: (0..n).map(run).collect(),
        page: 1,
        per_page: 50,
        more: n >= 50,
    }
}

pub(crate) fn all() -> Vec<(&'static str, String)> {
    let base = ctx();
    let everything = StatsQuery::default();
    let draw = |query: &StatsQuery, shown: &OfInsights| pages::insights(&base, query, shown).unwrap();
    let one = StatsQuery {
        project: Some("gitlab-main:2".parse().unwrap()),
        branch: Some("main".into()),
        span: Span::Days(7),
        ..StatsQuery::default()
    };
    let of_one = OfInsights {
        stats: stats(7, 9),
        delivery: delivery(false),
        broken: v1::ListBrokenResponse::default(),
        flaky: v1::ListFlakyResponse::default(),
        failures: v1::ListFailureGroupsResponse::default(),
        slowest_jobs: v1::RankStatsResponse { min_runs: 5, ..Default::default() },
        ..full()
    };
    let year = StatsQuery { span: Span::Days(365), ..StatsQuery::default() };
    let mut few = stats(30, 0);
    few.days[29].figures = Some(figures(3, 0, 1, 0, 60));
    few.figures = Some(figures(3, 0, 1, 0, 60));
    few.before = Some(v1::Figures::default());
    let nothing = |stats| OfInsights { sources: sources(), stats, ..OfInsights::default() };
    let missing =
        |missing| OfInsights { sources: sources(), missing: Some(missing), ..OfInsights::default() };
    let growing = OfInsights {
        stats: v1::GetStatsResponse {
            history: Some(v1::History { state: "ok".into(), behind: 12, ..Default::default() }),
            ..stats(30, 90)
        },
        ..full()
    };
    let off = "No history is kept: database.url is none. With sqlite: or postgres://… it begins to be, and runs of the past are fetched.";
    let red = BehindQuery { statuses: vec!["failed".into()], hour: Some(33), ..BehindQuery::default() };
    let why = BehindQuery {
        job: Some("install".into()),
        reason: Some("npm ERR! code E<n> … registry".into()),
        ..BehindQuery::of(&one)
    };
    vec![
        ("insights", draw(&everything, &full())),
        ("insights-project", draw(&one, &of_one)),
        ("insights-year", draw(&year, &OfInsights { stats: stats(365, 90), ..full() })),
        ("insights-growing", draw(&everything, &growing)),
        ("insights-few", draw(&everything, &nothing(few))),
        (
            "insights-none",
            draw(&everything, &nothing(v1::GetStatsResponse { window: window(30), ..Default::default() })),
        ),
        (
            "insights-no-match",
            draw(&one, &nothing(v1::GetStatsResponse { window: window(7), ..Default::default() })),
        ),
        ("insights-off", draw(&everything, &missing(Missing::Off(off.into())))),
        (
            "insights-away",
            draw(
                &everything,
                &missing(Missing::Away(
                    "PostgreSQL at db.example.com:5432 does not answer: connection refused".into(),
                )),
            ),
        ),
        (
            "insights-aggregator-away",
            pages::insights(&Ctx { live: Live::AsOf(ago(8 * MIN)), ..base.clone() }, &everything, &full())
                .unwrap(),
        ),
        ("insights-runs", pages::runs_behind(&base, &red, &runs(50)).unwrap()),
        ("insights-runs-why", pages::runs_behind(&base, &why, &runs(3)).unwrap()),
        ("insights-runs-none", pages::runs_behind(&base, &red, &runs(0)).unwrap()),
    ]
}

#[test]
fn headlines_say_what_it_comes_to() {
    for (name, says) in [
        ("insights", "More green, but slower than in the 30 days before"),
        ("insights-few", "Too few runs for a verdict"),
        ("insights-none", "No run in this window"),
        ("insights-no-match", "No run fits"),
        ("insights-off", "No history is kept here"),
        ("insights-away", "History does not answer now"),
        ("insights-runs", "Red runs of Tuesdays, 09:00 to 10:00 UTC"),
        ("insights-runs-why", "Runs that failed so"),
    ] {
        assert_eq!(crate::headline(name), says, "{name}");
    }
}

#[test]
fn every_chart_has_its_numbers_beside_it() {
    for name in ["insights", "insights-project", "insights-year", "project"] {
        let html = crate::page(name);
        let charts = html.matches("role=\"img\" aria-labelledby=\"c-").count();
        assert!(charts >= 2, "{name}: {charts}");
        assert_eq!(html.matches("class=\"as-table\"").count(), charts, "{name}");
    }
}

#[test]
fn every_word_that_is_asked_about_is_explained() {
    let html = crate::page("insights");
    for anchor in html.split("href=\"#d-").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(html.contains(&format!("id=\"d-{anchor}\"")), "{anchor}");
    }
}

#[test]
fn without_runs_there_is_no_chart() {
    for name in ["insights-none", "insights-no-match", "insights-off", "insights-away"] {
        assert!(!crate::page(name).contains("role=\"img\""), "{name}");
    }
}
