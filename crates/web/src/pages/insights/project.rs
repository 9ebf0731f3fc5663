//! What a project's page tells of its last 30 days.

use api::{duration_back, v1};
use domain::ProjectKey;

use super::headline::share;
use super::{BehindQuery, StatsQuery, Trend, cards, href, in_days, runs_href};
use crate::charts::Heat;
use crate::pages::parts::run_href;
use crate::pages::{Ctx, OfProjectStats, format};

/// Its figures and its charts.
#[derive(Debug)]
pub(in crate::pages) struct Figures {
    /// `30 days`.
    pub(in crate::pages) days: String,
    pub(in crate::pages) href: String,
    /// What, how much, of how many, and the runs behind it.
    pub(in crate::pages) lines: Vec<Line>,
    /// Job or workflow, how often, what is lost, a run that it was seen on.
    pub(in crate::pages) flaky: Vec<Flaky>,
    pub(in crate::pages) trend: Trend,
    /// By weekday and hour.
    pub(in crate::pages) heat: Option<Heat>,
}

#[derive(Debug)]
pub(in crate::pages) struct Line {
    pub(in crate::pages) what: &'static str,
    pub(in crate::pages) figure: Option<String>,
    pub(in crate::pages) of: String,
    pub(in crate::pages) href: String,
}

#[derive(Debug)]
pub(in crate::pages) struct Flaky {
    pub(in crate::pages) name: String,
    pub(in crate::pages) said: String,
    pub(in crate::pages) href: Option<String>,
}

impl Figures {
    /// Nothing where there is no run.
    pub(in crate::pages) fn new(ctx: &Ctx<'_>, key: &v1::ProjectKey, of: &OfProjectStats) -> Option<Self> {
        let query = StatsQuery::of_project(ProjectKey::try_from(key).ok()?);
        let figures = of.stats.figures.filter(|f| f.runs > 0)?;
        let (duration, queued) = (figures.duration.unwrap_or_default(), figures.queued.unwrap_or_default());
        let to_green = of.delivery.time_to_green.unwrap_or_default();
        let took = |d: &Option<_>| d.as_ref().and_then(duration_back).map(format::duration);
        let count = |n: u64, one, many| format::count(u32::try_from(n).unwrap_or(u32::MAX), one, many);
        let all = runs_href(ctx, &BehindQuery::of(&query));
        let red = runs_href(ctx, &BehindQuery { statuses: vec!["failed".into()], ..BehindQuery::of(&query) });
        let line = |what, figure, of: String, href: &str| Line { what, figure, of, href: href.to_owned() };
        let runs = |n| count(n, "run", "runs");
        Some(Self {
            days: in_days(of.stats.window.as_ref().map_or(0, |w| w.days)),
            href: href(ctx, &query),
            lines: vec![
                line("Green", figures.success_rate.map(share), runs(figures.verdicts), &red),
                line("Median duration", took(&duration.p50), runs(duration.count), &all),
                line("p95 duration", took(&duration.p95), runs(duration.count), &all),
                line("Queue p90", took(&queued.p90), runs(queued.count), &all),
                line(
                    "Time to green, median",
                    took(&to_green.median),
                    count(to_green.count, "red stretch", "red stretches"),
                    // Its runs are named there.
                    &format!("{}#delivery", href(ctx, &query)),
                ),
            ],
            flaky: of
                .flaky
                .flaky
                .iter()
                .filter(|f| f.state == "flaky")
                .map(|f| Flaky {
                    name: f
                        .job
                        .clone()
                        .or_else(|| f.workflow.clone())
                        .unwrap_or_else(|| "the whole run".to_owned()),
                    said: format!(
                        "on {}, {} lost",
                        count(f.commits, "commit", "commits"),
                        took(&f.wasted).unwrap_or_else(|| "nothing".to_owned())
                    ),
                    href: f.run_ids.first().map(|run| run_href(ctx, key, run)),
                })
                .collect(),
            trend: Trend::new(ctx, &query, &of.stats),
            heat: cards::heat(ctx, &query, &of.heat),
        })
    }
}
