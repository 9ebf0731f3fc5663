//! `/sources` in every state, and what a project's page says of the schedule.

use std::time::Duration;

use api::{duration, timestamp, v1};
use web::pages::{self, Ctx, Live, Nav};

use super::kit::*;

const WEBHOOKS: &str = "https://ci.example.com/webhooks/";

fn secs(s: u64) -> Option<prost_types::Duration> {
    Some(duration(Duration::from_secs(s)))
}

/// Seconds from now on.
fn ahead(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(timestamp(ago(-seconds)))
}

/// A project that is asked every 45 s, and stretched.
pub(crate) fn schedule() -> v1::Schedule {
    v1::Schedule {
        why: "active".into(),
        why_text: "something happened within the last day".into(),
        every: secs(45),
        asked_at: Some(timestamp(ago(20))),
        whole_at: Some(timestamp(ago(12 * MIN))),
        answer: "unchanged".into(),
        due_at: ahead(25),
        webhook_at: Some(timestamp(ago(3 * MIN))),
        hooked: true,
        stretch: 5.3,
        ..Default::default()
    }
}

/// One of a source that is left alone.
pub(crate) fn paused() -> v1::Schedule {
    v1::Schedule {
        why: "failed".into(),
        why_text: "it could not be read the last time".into(),
        every: secs(60),
        asked_at: Some(timestamp(ago(20 * MIN))),
        answer: "failed".into(),
        failure: Some("connection refused by jenkins.example.com:443".into()),
        due_at: Some(timestamp(ago(19 * MIN))),
        paused_until: ahead(40),
        stretch: 1.0,
        ..Default::default()
    }
}

fn endpoint(name: &str, hour: u64, same: u64, failed: u64, ms: u64) -> v1::EndpointTraffic {
    v1::EndpointTraffic {
        endpoint: name.into(),
        requests: hour * 3,
        not_modified: same * 3,
        failed,
        waited: Some(duration(Duration::from_millis(ms * hour * 3))),
        requests_last_hour: hour,
        not_modified_last_hour: same,
    }
}

fn figures(asked: u32, due: u32, stretch: f64) -> v1::SourceSchedule {
    v1::SourceSchedule {
        asked,
        due,
        next_at: ahead(4),
        stretch,
        age_median: secs(22),
        age_worst: secs(46 * 60),
        active_every: secs(45),
        ..Default::default()
    }
}

fn budget(limit: u64, remaining: u64, reset: i64) -> Option<v1::Budget> {
    Some(v1::Budget { limit, remaining, reset_at: ahead(reset), window: secs(3600) })
}

fn token(scopes: &[&str], writes: &[&str], ends_in: Option<i64>) -> Option<v1::Token> {
    let texts = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
    let expires_at = ends_in.map(|seconds| timestamp(ago(-seconds)));
    Some(v1::Token { scopes: texts(scopes), writes: texts(writes), expires_at })
}

const DAY: i64 = 24 * HOUR;

fn gitlab() -> v1::Source {
    v1::Source {
        token: token(&["read_api"], &[], Some(90 * DAY)),
        projects: 640,
        budget: budget(2000, 1760, 40),
        requests_last_hour: 1240,
        schedule: Some(v1::SourceSchedule { webhooks_alive: true, ..figures(612, 3, 1.0) }),
        endpoints: vec![
            endpoint("GET /projects/:id/pipelines", 820, 610, 2, 84),
            endpoint("GET /projects", 300, 40, 0, 210),
            endpoint("GET /projects/:id/repository/branches/:name", 90, 88, 0, 61),
            endpoint("POST /api/graphql", 30, 0, 1, 420),
            endpoint("GET /user", 0, 0, 0, 40),
        ],
        sends_webhooks: true,
        webhooks: Some(v1::Webhooks {
            last_at: Some(timestamp(ago(2 * MIN))),
            last_kind: Some("Pipeline Hook".into()),
            accepted: 1204,
            duplicate: 3,
            ignored: 41,
            forged: 2,
            last_refused_at: Some(timestamp(ago(3 * HOUR))),
            last_refusal: Some("the token does not match webhook_secret".into()),
            ..Default::default()
        }),
        ..source("gitlab-main", "gitlab", "GitLab")
    }
}

fn github() -> v1::Source {
    v1::Source {
        token: token(&["repo", "read:org"], &["repo"], Some(9 * DAY)),
        projects: 564,
        budget: budget(5000, 310, 23 * MIN),
        requests_last_hour: 4690,
        schedule: Some(v1::SourceSchedule { unread: 12, ..figures(560, 41, 5.3) }),
        batching: Some(v1::Batching { per_request: 50, budget: budget(5000, 3900, 12 * MIN), cost: 2 }),
        endpoints: vec![
            endpoint("GET /repos/:owner/:repo/actions/runs", 3100, 2900, 0, 130),
            endpoint("POST /graphql", 1100, 0, 0, 640),
            endpoint("GET /orgs/:org/repos", 490, 480, 0, 180),
        ],
        sends_webhooks: true,
        ..source("github-main", "github", "GitHub")
    }
}

fn jenkins() -> v1::Source {
    v1::Source {
        schedule: Some(figures(14, 0, 1.0)),
        requests_last_hour: 80,
        endpoints: vec![endpoint("GET /api/json", 80, 0, 0, 95)],
        sends_webhooks: true,
        webhooks: Some(v1::Webhooks::default()),
        ..source("jenkins-prod", "jenkins", "Jenkins")
    }
}

fn feed() -> v1::Source {
    v1::Source {
        projects: 3,
        schedule: Some(figures(3, 0, 1.0)),
        has_issues: false,
        ..source("legacy", "feed", "CCTray feed")
    }
}

/// One that does not answer.
fn down() -> v1::Source {
    v1::Source {
        state: v1::SourceState::Down.into(),
        error: Some("connection refused by jenkins.example.com:443".into()),
        failing_since: Some(timestamp(ago(20 * MIN))),
        next_try_at: ahead(20),
        last_success_at: Some(timestamp(ago(20 * MIN))),
        schedule: Some(v1::SourceSchedule { open_until: ahead(20), failures: 9, ..figures(14, 14, 1.0) }),
        ..jenkins()
    }
}

/// One that no build has a connector for: it is not asked at all.
fn off() -> v1::Source {
    v1::Source {
        state: v1::SourceState::Down.into(),
        error: Some("this version has no connector for TeamCity".into()),
        last_success_at: None,
        projects: 0,
        ..source("teamcity", "teamcity", "TeamCity")
    }
}

fn limited() -> v1::Source {
    v1::Source {
        state: v1::SourceState::Limited.into(),
        error: Some("waits for the rate limit of api.github.com".into()),
        failing_since: Some(timestamp(ago(4 * MIN))),
        next_try_at: ahead(23 * MIN),
        budget: budget(5000, 0, 23 * MIN),
        ..github()
    }
}

fn failing() -> v1::Source {
    v1::Source {
        state: v1::SourceState::Failing.into(),
        error: Some("the list of projects ended early: 502 at gitlab.example.com".into()),
        failing_since: Some(timestamp(ago(6 * MIN))),
        ..gitlab()
    }
}

fn reading() -> v1::Source {
    v1::Source {
        state: v1::SourceState::Loading.into(),
        last_success_at: None,
        read: 312,
        expected: Some(640),
        schedule: Some(v1::SourceSchedule {
            unread: 328,
            age_median: None,
            age_worst: None,
            ..figures(640, 328, 1.0)
        }),
        webhooks: None,
        ..gitlab()
    }
}

fn odd() -> v1::Source {
    v1::Source {
        error: Some("<script>alert(1)</script> at <img src=x onerror=alert(1)>".into()),
        state: v1::SourceState::Failing.into(),
        url: "javascript:alert(1)".into(),
        title: "<b>mira</b>".into(),
        endpoints: vec![endpoint(
            &format!("GET /{}", "very/long/path/".repeat(20)),
            u64::from(u32::MAX),
            1,
            9,
            90_000,
        )],
        budget: Some(v1::Budget { limit: 0, remaining: 9, reset_at: None, window: None }),
        token: token(&["<b>api</b>"], &["<b>api</b>"], Some(-DAY)),
        webhooks: Some(v1::Webhooks {
            accepted: 1,
            last_kind: Some("<i>".into()),
            too_large: 4,
            last_refusal: Some("<u>what</u>".repeat(30)),
            ..Default::default()
        }),
        ..source(&format!("a-source-of-{}", "many-".repeat(12)), "gitlab", "GitLab")
    }
}

/// What is kept, and well.
fn kept() -> v1::ListSourcesResponse {
    v1::ListSourcesResponse {
        history: Some(v1::History {
            state: "ok".into(),
            engine: Some("SQLite 3.50.4".into()),
            behind: 1,
            ..Default::default()
        }),
        cache: Some(v1::Cache {
            state: "ok".into(),
            engine: Some("Redis 8.2.2".into()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What cannot be written.
fn lost() -> v1::ListSourcesResponse {
    v1::ListSourcesResponse {
        history: Some(v1::History {
            state: "failing".into(),
            error: Some("the database at db.example.com:5432/ci does not answer; it is tried again".into()),
            failing_since: Some(timestamp(ago(12 * MIN))),
            waiting: 1_204,
            ..Default::default()
        }),
        cache: Some(v1::Cache {
            state: "failing".into(),
            engine: Some("Redis 8.2.2".into()),
            error: Some("<b>Redis</b> at cache.example.com:6379 is full and evicts nothing".into()),
            failing_since: Some(timestamp(ago(2 * MIN))),
            waiting: 1,
        }),
        ..Default::default()
    }
}

fn draw(ctx: &Ctx<'_>, sources: Vec<v1::Source>) -> String {
    let off = "off".to_owned();
    let history = Some(v1::History { state: off.clone(), ..Default::default() });
    let cache = Some(v1::Cache { state: off, ..Default::default() });
    draw_with(ctx, sources, v1::ListSourcesResponse { history, cache, ..Default::default() })
}

fn draw_with(ctx: &Ctx<'_>, sources: Vec<v1::Source>, kept: v1::ListSourcesResponse) -> String {
    let ctx = Ctx {
        nav: Nav::from_sources(&sources),
        live: if let Live::AsOf(_) = ctx.live { ctx.live } else { Live::from_sources(&sources) },
        ..ctx.clone()
    };
    let version = Some(v1::Version { epoch: 3, sequence: 17 });
    pages::sources(&ctx, WEBHOOKS, &v1::ListSourcesResponse { sources, version, ..kept }).unwrap()
}

pub(crate) fn all() -> Vec<(&'static str, String)> {
    let here = ctx();
    let away = Ctx { live: Live::AsOf(ago(8 * MIN)), ..ctx() };
    let below = Ctx { base_path: "/ci", ..ctx() };
    vec![
        ("sources", draw_with(&here, vec![gitlab(), github(), jenkins(), feed()], kept())),
        ("sources-one", draw(&here, vec![jenkins()])),
        ("sources-down", draw(&here, vec![gitlab(), down(), off()])),
        ("sources-limited", draw(&here, vec![limited(), jenkins()])),
        ("sources-failing", draw_with(&here, vec![failing(), jenkins()], lost())),
        ("sources-reading", draw(&here, vec![reading(), jenkins()])),
        ("sources-none", draw(&here, Vec::new())),
        ("sources-away", draw(&away, vec![gitlab(), github()])),
        ("sources-odd", draw(&here, vec![odd()])),
        ("sources-below-a-path", draw(&below, vec![gitlab(), github()])),
    ]
}
