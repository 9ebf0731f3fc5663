//! `/insights`: what history teaches, and `/insights/runs`: the runs behind a figure.

mod cards;
mod headline;
mod project;
mod query;
mod runs;
mod tiles;
mod trend;

use api::v1;
use askama::Template;

use super::banner::Banner;
use super::headline::Favicon;
use super::overview::{Menu, MenuItem};
use super::shell::{At, Shell};
use super::{Ctx, format};
use crate::charts::{Band, Bars, Heat};
use crate::definitions::{self, Definition};
use cards::{BrokenLine, DeliveryLine, FailureLine, FlakyLine, Rank};
use headline::News;
use tiles::Tile;

pub(super) use project::Figures;
use query::DEFAULT_DAYS;
pub use query::{BehindQuery, Span, StatsQuery};
pub(super) use runs::render as render_runs;
use trend::Trend;

/// What the page shows.
#[derive(Debug, Clone, Default)]
pub struct OfInsights {
    /// The sources, for their names.
    pub sources: Vec<v1::Source>,
    /// Why there is nothing, where that is so: history is off or away.
    pub missing: Option<Missing>,
    /// Counts, rates, durations.
    pub stats: v1::GetStatsResponse,
    /// By hour of the week.
    pub heat: v1::GetHeatResponse,
    /// What is red.
    pub broken: v1::ListBrokenResponse,
    /// What is flaky.
    pub flaky: v1::ListFlakyResponse,
    /// Why things fail.
    pub failures: v1::ListFailureGroupsResponse,
    /// Deployments and the like.
    pub delivery: v1::GetDeliveryResponse,
    /// The slowest workflows and jobs, the busiest and most often red projects.
    pub slowest: v1::RankStatsResponse,
    /// Of jobs.
    pub slowest_jobs: v1::RankStatsResponse,
    /// By number of runs.
    pub busiest: v1::RankStatsResponse,
    /// By share of red.
    pub failing: v1::RankStatsResponse,
    /// Across platforms.
    pub platforms: v1::RankStatsResponse,
}

/// Why there are no insights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// No history is kept.
    Off(String),
    /// History does not answer now.
    Away(String),
}

#[derive(Template)]
#[template(path = "insights.html")]
struct Page<'a> {
    shell: Shell<'a>,
    banners: Vec<Banner>,
    news: News,
    facts: Vec<super::headline::Fact>,
    behind: Option<String>,
    menus: Vec<Menu>,
    branch: BranchForm,
    csv: String,
    /// Absent while there is nothing to draw.
    figures: Option<Drawn>,
    definitions: &'static [Definition],
}

/// A branch is typed: there may be any number of them.
struct BranchForm {
    here: String,
    chosen: String,
    kept: Vec<(&'static str, String)>,
}

/// All that is drawn.
struct Drawn {
    tiles: Vec<Tile>,
    days: Bars,
    duration: Option<Band>,
    queued: Option<Band>,
    heat: Option<Heat>,
    failures: Vec<FailureLine>,
    broken: Vec<BrokenLine>,
    broken_more: usize,
    flaky: Vec<FlakyLine>,
    ranks: Vec<Rank>,
    delivery: Vec<DeliveryLine>,
    /// Nothing names what deploys; nor does any platform.
    delivery_hint: bool,
    delivery_none: bool,
    csv: Csv,
}

/// Where each table is for other programs.
struct Csv {
    hours: String,
    failures: String,
    flaky: String,
    broken: String,
    delivery: String,
}

const HERE: &str = "/insights";

pub(super) fn href(ctx: &Ctx<'_>, query: &StatsQuery) -> String {
    format!("{}{HERE}{}", ctx.base_path, query.to_url())
}

pub(super) fn runs_href(ctx: &Ctx<'_>, behind: &BehindQuery) -> String {
    format!("{}{HERE}/runs{}", ctx.base_path, behind.to_url())
}

fn csv_href(ctx: &Ctx<'_>, query: &StatsQuery, path: &str, more: &[(&str, &str)]) -> String {
    let more: Vec<(&str, &str)> = more.iter().copied().chain([("format", "csv")]).collect();
    format!("{}/api/v1/stats/{path}{}", ctx.base_path, query.to_url_with(&more))
}

pub(super) fn render(ctx: &Ctx<'_>, query: &StatsQuery, shown: &OfInsights) -> Result<String, askama::Error> {
    let here = format!("{}{HERE}", ctx.base_path);
    let news = News::new(query, shown);
    let mut shell = Shell::new(ctx, news.short(), Favicon::Grey).on(At::Insights);
    shell.feeds = "figures";
    let page = Page {
        banners: Banner::of_lists(ctx, shown.sources.iter()),
        facts: headline::facts(query, shown),
        behind: headline::behind(shown),
        menus: menus(&here, query, &shown.sources, shown),
        branch: BranchForm {
            chosen: query.branch.clone().unwrap_or_default(),
            kept: kept(query),
            here: here.clone(),
        },
        csv: csv_href(ctx, query, "days", &[]),
        figures: news.is_drawn().then(|| Drawn::new(ctx, query, shown)),
        definitions: &definitions::ALL,
        news,
        shell,
    };
    page.render()
}

impl Drawn {
    fn new(ctx: &Ctx<'_>, query: &StatsQuery, shown: &OfInsights) -> Self {
        let trend = Trend::new(ctx, query, &shown.stats);
        Self {
            tiles: tiles::tiles(ctx, query, shown),
            days: trend.days,
            duration: trend.duration,
            queued: trend.queued,
            heat: cards::heat(ctx, query, &shown.heat),
            failures: shown.failures.groups.iter().map(|g| FailureLine::new(ctx, query, g)).collect(),
            broken: shown
                .broken
                .broken
                .iter()
                .take(cards::BROKEN_SHOWN)
                .map(|b| BrokenLine::new(ctx, b))
                .collect(),
            broken_more: shown.broken.broken.len().saturating_sub(cards::BROKEN_SHOWN),
            flaky: shown.flaky.flaky.iter().map(|f| FlakyLine::new(ctx, f)).collect(),
            ranks: cards::ranks(ctx, query, shown),
            delivery: cards::delivery(ctx, &shown.delivery),
            delivery_hint: shown.delivery.rule.is_empty(),
            delivery_none: shown.delivery.marked_projects == 0,
            csv: Csv {
                hours: csv_href(ctx, query, "hours", &[]),
                failures: csv_href(ctx, query, "failures", &[("limit", "100")]),
                flaky: csv_href(ctx, query, "flaky", &[("limit", "100")]),
                broken: csv_href(ctx, query, "broken", &[]),
                delivery: csv_href(ctx, query, "delivery", &[]),
            },
        }
    }
}

/// What a form that asks for a branch keeps.
fn kept(query: &StatsQuery) -> Vec<(&'static str, String)> {
    let mut kept = Vec::new();
    match &query.span {
        Span::Days(DEFAULT_DAYS) => {}
        Span::Days(days) => kept.push(("window", format!("{days}d"))),
        Span::Between(from, to) => {
            kept.extend(from.iter().map(|day| ("from", day.clone())));
            kept.extend(to.iter().map(|day| ("to", day.clone())));
        }
    }
    kept.extend(query.sources.iter().map(|s| ("source", s.clone())));
    kept.extend(query.platforms.iter().map(|p| ("platform", p.clone())));
    kept.extend(query.project.iter().map(|p| ("project", p.to_string())));
    kept
}

const WINDOWS: [u32; 4] = [7, 30, 90, 365];

pub(super) fn in_days(days: u32) -> String {
    format::count(days, "day", "days")
}

fn menus(here: &str, query: &StatsQuery, sources: &[v1::Source], shown: &OfInsights) -> Vec<Menu> {
    let item = |text: String, on: bool, url: String| MenuItem { text, href: format!("{here}{url}"), on };
    let mut menus = Vec::new();
    let windows = WINDOWS.map(|days| {
        item(in_days(days), query.span == Span::Days(days), query.with(|q| q.span = Span::Days(days)))
    });
    let chosen = match &query.span {
        Span::Days(days) => in_days(*days),
        Span::Between(..) => headline::span(shown.stats.window.as_ref()),
    };
    menus.push(Menu { id: "menu-window", label: "Window", chosen, items: windows.into() });
    if sources.len() > 1 {
        let mut items = vec![item("all".into(), query.sources.is_empty(), query.with(|q| q.sources.clear()))];
        items.extend(sources.iter().map(|s| {
            item(
                s.name.clone(),
                query.sources.contains(&s.name),
                query.with(|q| q.sources = vec![s.name.clone()]),
            )
        }));
        let chosen = if query.sources.is_empty() { "all".into() } else { query.sources.join(", ") };
        menus.push(Menu { id: "menu-source", label: "Source", chosen, items });
    }
    let mut platforms: Vec<&str> = sources.iter().map(|s| s.platform.as_str()).collect();
    platforms.sort_unstable();
    platforms.dedup();
    if platforms.len() > 1 {
        let mut items =
            vec![item("all".into(), query.platforms.is_empty(), query.with(|q| q.platforms.clear()))];
        items.extend(platforms.iter().map(|p| {
            item(
                (*p).to_owned(),
                query.platforms.iter().any(|chosen| chosen == p),
                query.with(|q| q.platforms = vec![(*p).to_owned()]),
            )
        }));
        let chosen = if query.platforms.is_empty() { "all".into() } else { query.platforms.join(", ") };
        menus.push(Menu { id: "menu-platform", label: "Platform", chosen, items });
    }
    if let Some(project) = &query.project {
        let name = cards::project_name(shown, project);
        let all = item("all".into(), false, query.with(|q| q.project = None));
        let this = item(name.clone(), true, query.to_url());
        menus.push(Menu { id: "menu-project", label: "Project", chosen: name, items: vec![all, this] });
    }
    menus
}
