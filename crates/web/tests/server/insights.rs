//! What history teaches: as JSON, as tables, and on the pages.

use api::v1;
use serde_json::{Value, json};
use tonic::Status;

use crate::kit::{Script, World};
use crate::stats;

const OFF: &str = "No history is kept: database.url is none.";

async fn world() -> World {
    World::new(Script::default()).await
}

#[tokio::test(start_paused = true)]
async fn every_answer_names_its_window_its_meaning_and_its_runs() {
    let world = world().await;
    for path in ["days", "hours", "rankings", "broken", "flaky", "failures", "runs"] {
        let reply = world.get(&format!("/api/v1/stats/{path}")).await.json();
        assert_eq!(
            reply["window"],
            json!({ "from": "2026-10-26", "to": "2026-11-24", "days": 30 }),
            "{path}"
        );
        assert!(reply["definition"].as_str().is_some_and(|d| d.len() > 20), "{path}");
        assert!(!reply["items"].as_array().unwrap().is_empty(), "{path}");
    }
    let summary = world.get("/api/v1/stats/summary?window=30d").await.json();
    assert_eq!(summary["figures"]["success_rate"], 0.9);
    assert_eq!((&summary["figures"]["runs"], &summary["figures"]["verdicts"]), (&json!(42), &json!(40)));
    assert_eq!(summary["figures"]["duration_p50_seconds"], 60.0);
    assert_eq!(summary["before"]["success_rate"], 0.75);
    assert_eq!(summary["duration_trend"], -0.1);
    assert_eq!(summary["incomplete_projects"], 3);
    let delivery = world.get("/api/v1/stats/delivery").await.json();
    assert_eq!((&delivery["deployments"], &delivery["change_failure_rate"]), (&json!(20), &json!(0.1)));
    assert_eq!(delivery["deployments_named_by"], json!(["deploy*"]));
    let told_by = ["projects_with_marked_deployments", "projects_with_named_deployments"];
    assert_eq!(told_by.map(|field| delivery[field].as_u64()), [Some(3), Some(1)]);
    let failed = &delivery["failed_changes"][0];
    assert_eq!((&failed["pipeline_id"], &failed["number"]), (&json!("9001"), &json!(17)));
    assert_eq!(delivery["lead_time_median_seconds"], Value::Null);
    for (count, runs) in [
        ("deployments", "deployment_runs"),
        ("time_to_restore_count", "time_to_restore_runs"),
        ("time_to_green_count", "time_to_green_runs"),
        ("lead_time_count", "lead_time_runs"),
    ] {
        assert_eq!(
            delivery[runs].as_array().unwrap().len() as u64,
            delivery[count].as_u64().unwrap(),
            "{runs}"
        );
    }
    assert_eq!(delivery["time_to_green_runs"][3]["pipeline_id"], "r3");
}

#[tokio::test(start_paused = true)]
async fn the_runs_behind_a_figure_are_one_request_away() {
    let world = World::with("server: { base_path: /ci }", Script::default()).await;
    let scope = "window=7d&source=gl&branch=main";
    for (list, at, asked) in [
        ("days", 1, r#"day: "2026-11-24""#),
        ("hours", 33, "hour: Some(33)"),
        ("rankings&of=workflows", 0, r#"lane: Some("7")"#),
        ("rankings&of=jobs", 0, r#"job: None, reason: None"#),
        ("rankings&of=jobs", 0, r#"ran_job: Some("e2e (firefox)")"#),
        ("rankings&of=platforms", 0, r#"platforms: ["gitlab"]"#),
        ("rankings&of=projects", 0, r#"project: Some(ProjectKey { source: "gl", id: "42" })"#),
        ("failures", 0, r#"job: Some("install"), reason: Some("npm ERR! code E<n> <b>")"#),
        ("failures", 1, r#"statuses: ["failed"]"#),
    ] {
        let (path, more) = list.split_once('&').unwrap_or((list, ""));
        let reply = world.get(&format!("/ci/api/v1/stats/{path}?{scope}&{more}")).await.json();
        let url = reply["items"][at]["runs_url"].as_str().unwrap();
        assert!(url.starts_with("/ci/api/v1/stats/runs?window=7d&source=gl"), "{url}");
        assert_eq!(world.get(url).await.status, 200, "{url}");
        let last = world.aggregator.asked().pop().unwrap();
        assert!(last.starts_with("list_runs_behind") && last.contains(asked), "{list}: {last}");
        assert!(last.contains("days: 7") && last.contains(r#"branch: Some("main")"#), "{last}");
    }
}

#[tokio::test(start_paused = true)]
async fn parameters_reach_history_and_wrong_ones_are_named() {
    let world = world().await;
    let query = "from=2026-11-01&to=2026-11-24&source=a,b&platform=gitlab&project=gl:x/y&branch=main&of=jobs&by=failing&\
                 min_runs=20&limit=7";
    assert_eq!(world.get(&format!("/api/v1/stats/rankings?{query}")).await.status, 200);
    let asked = world.aggregator.asked().pop().unwrap();
    for part in [
        r#"sources: ["a", "b"]"#,
        r#"platforms: ["gitlab"]"#,
        r#"id: "x/y""#,
        r#"from: "2026-11-01", to: "2026-11-24""#,
        r#"of: "jobs", by: "failing", min_runs: 20, limit: 7"#,
    ] {
        assert!(asked.contains(part), "{part} not in {asked}");
    }
    for (path, wrong, says) in [
        ("days", "window=2y", "400d"),
        ("days", "from=yesterday", "2026-11-24"),
        ("summary", "project=x", "source:id"),
        ("rankings", "of=people", "people"),
        ("rankings", "by=colour", "colour"),
        ("flaky", "limit=1000", "100"),
        ("hours", "format=xls", "xls"),
        ("runs", "hour=200", "167"),
        ("runs", "status=purple", "purple"),
        ("runs", "per_page=101", "100"),
    ] {
        let problem = world.get(&format!("/api/v1/stats/{path}?{wrong}")).await.problem(400);
        assert!(problem.contains(says), "{path}?{wrong}: {problem}");
    }
    assert_eq!(world.get("/insights?window=x").await.status, 400);
    assert_eq!(world.get("/insights/runs?day=x").await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_is_a_table_as_well() {
    let world = world().await;
    let days = world.get("/api/v1/stats/days?format=csv").await;
    assert_eq!(days.status, 200);
    assert_eq!(days.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(days.header("content-disposition"), Some("attachment; filename=\"days.csv\""));
    let text = days.text();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("day,runs,verdicts,success,warning,failed"), "{}", lines[0]);
    assert!(
        lines[2].starts_with("2026-11-24,42,40,36,0,4,2,0,1,0.9,40,30.0,60.0,120.0,180.0"),
        "{}",
        lines[2]
    );
    let ranks = world.get("/api/v1/stats/rankings?of=workflows&format=csv").await;
    assert_eq!(ranks.header("content-disposition"), Some("attachment; filename=\"slowest-workflows.csv\""));
    assert!(
        ranks.text().contains("\"'=Nightly\""),
        "no spreadsheet runs a workflow's name: {}",
        ranks.text()
    );
    for list in ["hours", "broken", "flaky", "failures", "runs"] {
        let table = world.get(&format!("/api/v1/stats/{list}?format=csv")).await;
        assert!(table.text().lines().count() > 1, "{list}");
    }
    for (path, lines) in [
        (
            "summary",
            &[
                "figure,value,count",
                "runs,42,",
                "success_rate,0.9,40",
                "duration_p50_seconds,60.0,40",
                "before_success_rate,0.75,40",
                "duration_trend,-0.1,40",
                "incomplete_projects,3,",
            ][..],
        ),
        (
            "delivery",
            &[
                "figure,value,count",
                "deployments,20,",
                "successful_deployments,18,20",
                "deployments_per_day,0.6,18",
                "change_failure_rate,0.1,20",
                "time_to_restore_median_seconds,600.0,2",
                "lead_time_median_seconds,,0",
                "projects_with_marked_deployments,3,",
                "projects_with_named_deployments,1,",
            ],
        ),
    ] {
        let table = world.get(&format!("/api/v1/stats/{path}?format=csv")).await;
        assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
        let text = table.text();
        for line in lines {
            assert!(text.lines().any(|l| l == *line), "{path}: {line} not in {text}");
        }
        assert_eq!(
            world.get(&format!("/api/v1/stats/{path}")).await.header("content-type"),
            Some("application/json")
        );
        world.get(&format!("/api/v1/stats/{path}?format=xls")).await.problem(400);
    }
    // Both forms of one address are kept apart.
    assert_eq!(world.get("/api/v1/stats/days").await.header("content-type"), Some("application/json"));
}

#[tokio::test(start_paused = true)]
async fn without_history_it_is_said_and_not_drawn() {
    let world = world().await;
    world.aggregator.script().history = Some(Status::unimplemented(OFF));
    let problem = world.get("/api/v1/stats/days").await.problem(404);
    assert!(problem.contains("database.url is none"), "{problem}");
    let page = world.get("/insights").await;
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(text.contains("No history is kept here") && text.contains("database.url is none"));
    assert!(!text.contains("role=\"img\"") && !text.contains("id=\"tiles\""), "no empty chart");
    assert_eq!(world.get("/insights/runs").await.status, 404);
    // The project's page stands without.
    let project = world.get("/projects/gl/42").await;
    assert_eq!(project.status, 200);
    assert!(!project.text().contains("id=\"trend\""));
}

#[tokio::test(start_paused = true)]
async fn history_that_is_away_is_not_an_empty_one() {
    let world = world().await;
    world.aggregator.script().history = Some(Status::unavailable("PostgreSQL at db:5432 does not answer"));
    let reply = world.get("/api/v1/stats/days").await;
    assert!(reply.problem(503).contains("db:5432"));
    assert!(reply.header("retry-after").is_some());
    let text = world.get("/insights").await.text();
    assert!(text.contains("History does not answer now") && text.contains("db:5432"));
    assert!(!text.contains("role=\"img\""));
}

#[tokio::test(start_paused = true)]
async fn the_page_says_what_the_figures_come_to() {
    let world = world().await;
    let text = world.get("/insights").await.text();
    for part in [
        "More green than in the 30 days before",
        "up 15.0 points",
        "Earlier runs of 3 projects are still being fetched",
        r#"role="img" aria-labelledby="c-days-t c-days-d""#,
        r#"role="img" aria-labelledby="c-duration-t c-duration-d""#,
        r#"role="img" aria-labelledby="c-heat-t c-heat-d""#,
        "npm ERR! code E&#60;n&#62; &#60;b&#62;",
        r#"href="/insights/runs?day=2026-11-24""#,
        r#"href="/insights/runs?hour=33""#,
        r#"href="/projects/gl/42/pipelines/9001""#,
        r#"href="/api/v1/stats/days?format=csv""#,
        r#"href="/api/v1/stats/delivery?format=csv""#,
        r#"<bdi>group/name #17</bdi></a>"#,
        "as the platform marks them in 3 projects, and filters.deployments names them in 1 project",
        r#"<a href="/projects/gl/42/pipelines/d7"><bdi>d7</bdi></a> and 12 more"#,
        r#"href="/insights/runs?project=gl:42&#38;ran_job=e2e"#,
        "What the words mean",
        r#"href="/insights" data-key="n" aria-current="page""#,
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains(" style=") && !text.contains("<script>"), "nothing inline");
}

#[tokio::test(start_paused = true)]
async fn the_filter_is_in_every_link() {
    let world = world().await;
    let text = world.get("/insights?window=90d&project=gl:42&branch=main").await.text();
    let scope = "window=90d&#38;project=gl:42&#38;branch=main";
    for part in [
        format!("/insights/runs?{scope}&#38;day=2026-11-24"),
        format!("/api/v1/stats/hours?{scope}&#38;format=csv"),
        "/insights?window=7d&#38;project=gl:42&#38;branch=main".to_owned(),
        r#"<input type="hidden" name="project" value="gl:42">"#.to_owned(),
        r#"name="branch" value="main""#.to_owned(),
    ] {
        assert!(text.contains(&part), "{part}");
    }
    assert!(!text.contains("Most active projects"), "of one project there is no ranking of projects");
}

#[tokio::test(start_paused = true)]
async fn too_few_and_none_are_told_apart() {
    let world = world().await;
    let with = |figures: v1::Figures| v1::GetStatsResponse {
        figures: Some(figures),
        days: Vec::new(),
        history: None,
        ..stats::stats()
    };
    world.aggregator.script().stats = with(stats::figures(3, 1));
    assert!(world.get("/insights").await.text().contains("Too few runs for a verdict"));
    world.aggregator.script().stats = with(v1::Figures::default());
    let none = world.get("/insights?window=7d").await.text();
    assert!(none.contains("No run in this window") && !none.contains("role=\"img\""));
    let none = world.get("/insights?branch=x").await.text();
    assert!(none.contains("No run fits") && none.contains("Clear the filter"));
}

#[tokio::test(start_paused = true)]
async fn runs_behind_a_figure_have_a_page() {
    let world = world().await;
    let text = world.get("/insights/runs?status=failed&day=2026-11-24&page=1").await.text();
    for part in [
        "Red runs of 24 Nov",
        "group/name",
        r#"href="/projects/gl/42/pipelines/9001""#,
        "test: 3 of 200 failed",
        r#"rel="next" href="/insights/runs?status=failed&#38;day=2026-11-24&#38;page=2""#,
        "/api/v1/stats/runs?status=failed&#38;day=2026-11-24&#38;format=csv",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

#[tokio::test(start_paused = true)]
async fn people_are_hidden_here_too() {
    let hidden = World::with("ui: { show_people: false }", Script::default()).await;
    for path in ["/insights", "/insights/runs", "/api/v1/stats/broken", "/api/v1/stats/runs"] {
        assert!(!hidden.get(path).await.text().contains("ira Musterfrau"), "{path}");
    }
    let shown = world().await;
    for path in ["/insights", "/api/v1/stats/broken", "/api/v1/stats/runs"] {
        assert!(shown.get(path).await.text().contains("Mira Musterfrau"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_projects_page_tells_its_last_days() {
    let world = world().await;
    let text = world.get("/projects/gl/42").await.text();
    for part in [
        "This project, 30 days",
        "90.0 %",
        "of 40 runs",
        "e2e (firefox)",
        "on 3 commits, 1 h 30 min lost",
        r#"role="img" aria-labelledby="c-days-t c-days-d""#,
        r#"href="/insights?project=gl:42""#,
        r#"role="img" aria-labelledby="c-heat-t c-heat-d""#,
        r#"href="/insights/runs?project=gl:42&#38;hour=33""#,
    ] {
        assert!(text.contains(part), "{part}");
    }
}
