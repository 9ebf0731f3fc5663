//! `/insights`, `/insights/runs` and the trends of a project's page: what they ask history for.

use api::v1;
use axum::extract::State;
use axum::response::Response;
use domain::ProjectKey;
use http::HeaderMap;
use prost::Message as _;

use crate::aggregator::{AskError, Feeds, Patience};
use crate::app::App;
use crate::asks;
use crate::failure::Failure;
use crate::kept::{AskFailure, Key, Kind, Material, Reuse};
use crate::pages::{self, BehindQuery, Missing, OfInsights, OfProjectStats, StatsQuery};
use crate::params::Raw;
use crate::respond::respond;

/// Lines of each list on the page; the rest is in its CSV.
const SHOWN: u32 = 8;
/// Fewer runs are no rank.
const MIN_RUNS: u64 = 5;
/// Of what is flaky, on a project's page.
const FLAKY_OF_PROJECT: u32 = 3;

pub(crate) async fn page(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Result<Response, Failure> {
    let query = raw.stats()?;
    let key = Key { address: format!("/insights{}", query.to_url()), kind: Kind::Html };
    let served = app.kept.answer(key, |patience| Box::pin(ask(app.clone(), query, patience))).await?;
    Ok(respond(&headers, Kind::Html, &served))
}

/// Asks for everything at once; the page stands or falls with the first.
async fn ask(app: App, query: StatsQuery, patience: Patience) -> Result<Material, AskFailure> {
    let scope = || Some(asks::scope(&query));
    let rank = |of: &str, by: &str| v1::RankStatsRequest {
        scope: scope(),
        of: of.to_owned(),
        by: by.to_owned(),
        min_runs: MIN_RUNS,
        limit: SHOWN,
    };
    let of = &app.aggregator;
    let (sources, stats) = tokio::join!(
        of.list_sources(patience, v1::ListSourcesRequest {}),
        of.get_stats(patience, v1::GetStatsRequest { scope: scope() }),
    );
    let sources = sources?.sources;
    app.saw_sources(&sources);
    let mut shown = OfInsights { sources, ..OfInsights::default() };
    match stats {
        Ok(stats) => {
            shown.stats = stats;
            let asked = tokio::try_join!(
                of.get_heat(patience, v1::GetHeatRequest { scope: scope() }),
                of.list_broken(patience, v1::ListBrokenRequest { scope: scope() }),
                of.list_flaky(patience, v1::ListFlakyRequest { scope: scope(), limit: SHOWN }),
                of.list_failure_groups(
                    patience,
                    v1::ListFailureGroupsRequest { scope: scope(), limit: SHOWN }
                ),
                of.get_delivery(patience, v1::GetDeliveryRequest { scope: scope() }),
                of.rank_stats(patience, rank("workflows", "slowest")),
                of.rank_stats(patience, rank("jobs", "slowest")),
                of.rank_stats(patience, rank("projects", "busiest")),
                of.rank_stats(patience, rank("projects", "failing")),
                of.rank_stats(patience, rank("platforms", "busiest")),
            );
            match asked {
                Ok((
                    heat,
                    broken,
                    flaky,
                    failures,
                    delivery,
                    slowest,
                    slowest_jobs,
                    busiest,
                    failing,
                    platforms,
                )) => {
                    shown = OfInsights {
                        heat,
                        broken,
                        flaky,
                        failures,
                        delivery,
                        slowest,
                        slowest_jobs,
                        busiest,
                        failing,
                        platforms,
                        ..shown
                    };
                }
                Err(error) => shown.missing = Some(missing(error)?),
            }
        }
        Err(error) => shown.missing = Some(missing(error)?),
    }
    let wire_bytes = shown.stats.encoded_len() + shown.heat.encoded_len() + shown.sources.len() * 512;
    Ok(Material {
        // History changes without a version of the board.
        version: None,
        reuse: Reuse::Briefly,
        feeds: Feeds::Board,
        wire_bytes,
        draw: Box::new(move |app, moment| {
            let ctx = app.ctx(moment, &shown.sources, None);
            pages::insights(&ctx, &query, &shown)
        }),
    })
}

/// Why there are no insights, where the page itself can say so.
fn missing(error: AskError) -> Result<Missing, AskFailure> {
    match error {
        AskError::NotKept(why) => Ok(Missing::Off(why)),
        AskError::Unread(why) => Ok(Missing::Away(why)),
        error => Err(error.into()),
    }
}

pub(crate) async fn runs(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Result<Response, Failure> {
    let query = raw.behind()?;
    let key = Key { address: format!("/insights/runs{}", query.to_url()), kind: Kind::Html };
    let served = app.kept.answer(key, |patience| ask_runs(app.clone(), query, patience)).await?;
    Ok(respond(&headers, Kind::Html, &served))
}

async fn ask_runs(app: App, query: BehindQuery, patience: Patience) -> Result<Material, AskFailure> {
    let answer = app.aggregator.list_runs_behind(patience, asks::behind(&query)).await?;
    Ok(Material {
        version: None,
        reuse: Reuse::Briefly,
        feeds: Feeds::Board,
        wire_bytes: answer.encoded_len(),
        draw: Box::new(move |app, moment| {
            let ctx = app.ctx_as_known(moment);
            pages::runs_behind(&ctx, &query, &answer)
        }),
    })
}

/// What the history of a project teaches; `None` where there is none, or it is away: the page stands without.
pub(crate) async fn of_project(app: &App, patience: Patience, key: &ProjectKey) -> Option<OfProjectStats> {
    let query = StatsQuery::of_project(key.clone());
    let scope = || Some(asks::scope(&query));
    let of = &app.aggregator;
    let (stats, heat, flaky, delivery) = tokio::try_join!(
        of.get_stats(patience, v1::GetStatsRequest { scope: scope() }),
        of.get_heat(patience, v1::GetHeatRequest { scope: scope() }),
        of.list_flaky(patience, v1::ListFlakyRequest { scope: scope(), limit: FLAKY_OF_PROJECT }),
        of.get_delivery(patience, v1::GetDeliveryRequest { scope: scope() }),
    )
    .ok()?;
    Some(OfProjectStats { stats, heat, flaky, delivery })
}
