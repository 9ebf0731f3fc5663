//! From requests to questions to history, from answers to JSON or a table.

use api::v1;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use prost::Message as _;
use serde::Serialize;

use super::items::{About, Broken, Day, Delivery, FailureGroup, Flaky, Hour, Ranked, Run, Runs, Summary};
use super::{csv, figures};
use crate::aggregator::{Feeds, Patience};
use crate::app::App;
use crate::asks;
use crate::definitions as say;
use crate::failure::Failure;
use crate::json::openapi;
use crate::kept::{AskFailure, Key, Kind, Material, Reuse, Served};
use crate::pages::{BehindQuery, StatsQuery};
use crate::params::Raw;
use crate::respond::respond;

type Answer = Result<Response, Failure>;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn written(text: Result<String, serde_json::Error>, wire_bytes: usize) -> Result<Material, AskFailure> {
    let text = text.map_err(|error| {
        tracing::error!(%error, "an answer could not be written");
        Failure::internal("The answer could not be written.")
    })?;
    // History changes without a version of the board.
    let draw = Box::new(move |_: &_, _: &_| Ok(text.clone()));
    Ok(Material { version: None, reuse: Reuse::Briefly, feeds: Feeds::Board, wire_bytes, draw })
}

/// Items as JSON with what goes with them, or alone as a table of this schema's fields.
fn items<T: Serialize>(
    csv: bool,
    schema: &str,
    about: &impl Serialize,
    items: &[T],
    wire_bytes: usize,
) -> Result<Material, AskFailure> {
    let text = if csv { csv::table(&openapi::columns(schema), items) } else { serde_json::to_string(about) };
    written(text, wire_bytes)
}

/// Where it is kept.
fn key(path: &str, query: &str, csv: bool) -> Key {
    Key { address: format!("/api/v1/stats/{path}{query}"), kind: if csv { Kind::Csv } else { Kind::Json } }
}

fn answered(headers: &HeaderMap, name: &str, csv: bool, served: &Served) -> Response {
    let kind = if csv { Kind::Csv } else { Kind::Json };
    let mut response = respond(headers, kind, served);
    if csv && let Ok(file) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.csv\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, file);
    }
    response
}

/// The address of the runs behind a figure.
fn runs_url(app: &App, behind: &BehindQuery) -> String {
    format!("{}/api/v1/stats/runs{}", app.base(), behind.to_url())
}

pub(crate) async fn summary(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let (query, csv) = (raw.stats()?, raw.is_csv()?);
    let ask = async |patience: Patience| {
        let a = app.aggregator.get_stats(patience, v1::GetStatsRequest { scope: Some(asks::scope(&query)) });
        let a = a.await?;
        let summary = Summary {
            window: a.window.as_ref().into(),
            definition: say::GREEN.text,
            figures: a.figures.as_ref().into(),
            before_window: a.before_window.as_ref().into(),
            before: a.before.as_ref().into(),
            duration_trend: a.duration_trend,
            queued_trend: a.queued_trend,
            incomplete_projects: a.history.as_ref().map_or(0, |h| h.behind),
            runs_url: runs_url(&app, &BehindQuery::of(&query)),
        };
        let text = if csv { figures::of_summary(&summary) } else { serde_json::to_string(&summary) };
        written(text, a.encoded_len())
    };
    let served = app.kept.answer(key("summary", &query.to_url(), csv), ask).await?;
    Ok(answered(&headers, "summary", csv, &served))
}

pub(crate) async fn days(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let (query, csv) = (raw.stats()?, raw.is_csv()?);
    let ask = async |patience: Patience| {
        let a = app.aggregator.get_stats(patience, v1::GetStatsRequest { scope: Some(asks::scope(&query)) });
        let a = a.await?;
        let day = |d: &v1::DayOfFigures| Day {
            day: d.day.clone(),
            figures: d.figures.as_ref().into(),
            runs_url: runs_url(&app, &BehindQuery { day: Some(d.day.clone()), ..BehindQuery::of(&query) }),
        };
        let about = About {
            window: a.window.as_ref().into(),
            definition: say::RUNS.text,
            items: a.days.iter().map(day).collect(),
        };
        items(csv, "StatsDay", &about, &about.items, a.encoded_len())
    };
    let served = app.kept.answer(key("days", &query.to_url(), csv), ask).await?;
    Ok(answered(&headers, "days", csv, &served))
}

pub(crate) async fn hours(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let (query, csv) = (raw.stats()?, raw.is_csv()?);
    let ask = async |patience: Patience| {
        let a = app.aggregator.get_heat(patience, v1::GetHeatRequest { scope: Some(asks::scope(&query)) });
        let a = a.await?;
        let hour = |h: &v1::HourOfWeek| Hour {
            weekday: WEEKDAYS[(h.hour / 24 % 7) as usize],
            hour: h.hour % 24,
            runs: h.runs,
            failed: h.failed,
            runs_url: runs_url(&app, &BehindQuery { hour: Some(h.hour), ..BehindQuery::of(&query) }),
        };
        let about = About {
            window: a.window.as_ref().into(),
            definition: say::HOURS.text,
            items: a.hours.iter().map(hour).collect(),
        };
        items(csv, "StatsHour", &about, &about.items, a.encoded_len())
    };
    let served = app.kept.answer(key("hours", &query.to_url(), csv), ask).await?;
    Ok(answered(&headers, "hours", csv, &served))
}

/// The runs behind a place of a ranking.
fn behind_ranked(query: &StatsQuery, of: &str, r: &v1::RankedStats) -> BehindQuery {
    let mut behind = BehindQuery::of(query);
    if let Some(project) = r.project.as_ref().and_then(|k| domain::ProjectKey::try_from(k).ok()) {
        behind.scope.project = Some(project);
    }
    match of {
        "workflows" => behind.lane.clone_from(&r.lane),
        "jobs" => behind.ran_job.clone_from(&r.name),
        "sources" => behind.scope.sources = r.name.iter().cloned().collect(),
        "platforms" => behind.scope.platforms = r.name.iter().cloned().collect(),
        _ => {}
    }
    behind
}

pub(crate) async fn rankings(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let (query, rank, csv) = (raw.stats()?, raw.rank()?, raw.is_csv()?);
    let (min_runs, limit) = (rank.min_runs.to_string(), rank.limit.to_string());
    let address =
        query.to_url_with(&[("of", rank.of), ("by", rank.by), ("min_runs", &min_runs), ("limit", &limit)]);
    let ask = async |patience: Patience| {
        let request = v1::RankStatsRequest {
            scope: Some(asks::scope(&query)),
            of: rank.of.to_owned(),
            by: rank.by.to_owned(),
            min_runs: rank.min_runs.into(),
            limit: rank.limit,
        };
        let a = app.aggregator.rank_stats(patience, request).await?;
        let ranked = |r| -> Ranked<'_> {
            let r: &v1::RankedStats = r;
            Ranked {
                source: r.project.as_ref().map(|k| k.source.as_str()),
                project_id: r.project.as_ref().map(|k| k.id.as_str()),
                project: super::super::items::text(&r.project_name),
                name: r.name.as_deref(),
                figures: r.figures.as_ref().into(),
                runs_url: runs_url(&app, &behind_ranked(&query, rank.of, r)),
            }
        };
        let about = About {
            window: a.window.as_ref().into(),
            definition: say::RANKS.text,
            items: a.ranked.iter().map(ranked).collect(),
        };
        items(csv, "StatsRank", &about, &about.items, a.encoded_len())
    };
    let served = app.kept.answer(key("rankings", &address, csv), ask).await?;
    Ok(answered(&headers, &format!("{}-{}", rank.by, rank.of), csv, &served))
}

pub(crate) async fn broken(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let (query, csv) = (raw.stats()?, raw.is_csv()?);
    let ask = async |patience: Patience| {
        let request = v1::ListBrokenRequest { scope: Some(asks::scope(&query)) };
        let a = app.aggregator.list_broken(patience, request).await?;
        let about = About {
            window: a.window.as_ref().into(),
            definition: say::BROKEN.text,
            items: a.broken.iter().map(Broken::from).collect(),
        };
        items(csv, "StatsBroken", &about, &about.items, a.encoded_len())
    };
    let served = app.kept.answer(key("broken", &query.to_url(), csv), ask).await?;
    Ok(answered(&headers, "broken", csv, &served))
}

pub(crate) async fn flaky(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let (query, limit, csv) = (raw.stats()?, raw.limit()?, raw.is_csv()?);
    let address = query.to_url_with(&[("limit", &limit.to_string())]);
    let ask = async |patience: Patience| {
        let request = v1::ListFlakyRequest { scope: Some(asks::scope(&query)), limit };
        let a = app.aggregator.list_flaky(patience, request).await?;
        let about = About {
            window: a.window.as_ref().into(),
            definition: say::FLAKY.text,
            items: a.flaky.iter().map(Flaky::from).collect(),
        };
        items(csv, "StatsFlaky", &about, &about.items, a.encoded_len())
    };
    let served = app.kept.answer(key("flaky", &address, csv), ask).await?;
    Ok(answered(&headers, "flaky", csv, &served))
}

pub(crate) async fn failures(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let (query, limit, csv) = (raw.stats()?, raw.limit()?, raw.is_csv()?);
    let address = query.to_url_with(&[("limit", &limit.to_string())]);
    let ask = async |patience: Patience| {
        let request = v1::ListFailureGroupsRequest { scope: Some(asks::scope(&query)), limit };
        let a = app.aggregator.list_failure_groups(patience, request).await?;
        let group = |g| -> FailureGroup<'_> {
            let g: &v1::FailureGroup = g;
            let behind = BehindQuery::of_failures(&query, g);
            FailureGroup {
                job: g.job.as_deref(),
                reason: g.reason.as_deref(),
                failures: g.failures,
                projects: g.projects,
                most_in: g.most.iter().map(|m| m.project_name.as_str()).collect(),
                runs_url: runs_url(&app, &behind),
            }
        };
        let about = About {
            window: a.window.as_ref().into(),
            definition: say::FAILURES.text,
            items: a.groups.iter().map(group).collect(),
        };
        items(csv, "StatsFailure", &about, &about.items, a.encoded_len())
    };
    let served = app.kept.answer(key("failures", &address, csv), ask).await?;
    Ok(answered(&headers, "failures", csv, &served))
}

pub(crate) async fn delivery(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let (query, csv) = (raw.stats()?, raw.is_csv()?);
    let ask = async |patience: Patience| {
        let request = v1::GetDeliveryRequest { scope: Some(asks::scope(&query)) };
        let a = app.aggregator.get_delivery(patience, request).await?;
        let delivery = Delivery::of(&a, say::DELIVERY);
        let text = if csv { figures::of_delivery(&delivery) } else { serde_json::to_string(&delivery) };
        written(text, a.encoded_len())
    };
    let served = app.kept.answer(key("delivery", &query.to_url(), csv), ask).await?;
    Ok(answered(&headers, "delivery", csv, &served))
}

pub(crate) async fn runs(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let (query, csv) = (raw.behind()?, raw.is_csv()?);
    let ask = async |patience: Patience| {
        let a = app.aggregator.list_runs_behind(patience, asks::behind(&query)).await?;
        let runs = Runs {
            window: a.window.as_ref().into(),
            definition: say::RUNS.text,
            items: a.runs.iter().filter_map(Run::of).collect(),
            page: a.page,
            per_page: a.per_page,
            more: a.more,
        };
        items(csv, "StatsRun", &runs, &runs.items, a.encoded_len())
    };
    let served = app.kept.answer(key("runs", &query.to_url(), csv), ask).await?;
    Ok(answered(&headers, "runs", csv, &served))
}
