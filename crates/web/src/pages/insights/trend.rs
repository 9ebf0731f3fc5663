//! The charts over days, of the insights and of one project's page.

use api::{duration_back, v1};

use super::headline::{day, span};
use super::{BehindQuery, StatsQuery, runs_href};
use crate::charts::{Band, Bars, Spread, Stack, Words};
use crate::pages::{Ctx, format};

/// Runs and durations by day.
#[derive(Debug)]
pub(in crate::pages) struct Trend {
    pub(in crate::pages) days: Bars,
    /// Absent where no duration is known.
    pub(in crate::pages) duration: Option<Band>,
    /// Absent where no queue time is known.
    pub(in crate::pages) queued: Option<Band>,
}

impl Trend {
    pub(in crate::pages) fn new(ctx: &Ctx<'_>, query: &StatsQuery, stats: &v1::GetStatsResponse) -> Self {
        let behind = |d: &v1::DayOfFigures, statuses: &[&str]| {
            runs_href(
                ctx,
                &BehindQuery {
                    day: Some(d.day.clone()),
                    statuses: statuses.iter().map(|s| (*s).to_owned()).collect(),
                    ..BehindQuery::of(query)
                },
            )
        };
        let stack = |d: &v1::DayOfFigures| {
            let f = d.figures.unwrap_or_default();
            Stack {
                label: day(&d.day),
                href: behind(d, &[]),
                red_href: behind(d, &["failed"]),
                failed: f.failed,
                warning: f.warning,
                success: f.success,
                other: f.runs.saturating_sub(f.verdicts),
            }
        };
        let figures = stats.figures.unwrap_or_default();
        let when = span(stats.window.as_ref());
        let rate = figures.success_rate.map_or_else(
            || "none came to a verdict".to_owned(),
            |rate| format!("{} of those that came to a verdict are green", super::headline::share(rate)),
        );
        let days = Words {
            id: "c-days",
            title: "Runs by day".to_owned(),
            desc: format!("{}: {} runs; {rate}.", when, format::number(figures.runs)),
        };
        let band = |of: &Of, heading: Option<f64>| {
            let all = (of.figures)(&figures)?;
            let spread = |d: &v1::DayOfFigures| {
                let took = d.figures.as_ref().and_then(of.figures).unwrap_or_default();
                let of = |d: &Option<_>| d.as_ref().and_then(duration_back);
                Spread {
                    label: day(&d.day),
                    href: behind(d, &[]),
                    count: took.count,
                    took: match (of(&took.p10), of(&took.p50), of(&took.p90)) {
                        (Some(p10), Some(p50), Some(p90)) => Some([p10, p50, p90]),
                        _ => None,
                    },
                }
            };
            let tell = |d: &Option<_>| {
                d.as_ref().and_then(duration_back).map_or_else(|| "–".to_owned(), format::duration)
            };
            let words = Words {
                id: of.id,
                title: format!("{} by day: median, 10th to 90th percentile", of.title),
                desc: format!(
                    "{when}: half of {} runs {} no longer than {}, 90 of 100 no longer than {}{}.",
                    format::number(all.count),
                    of.verb,
                    tell(&all.p50),
                    tell(&all.p90),
                    trend(heading, of.longer, of.shorter),
                ),
            };
            (all.count > 0).then(|| Band::new(words, &stats.days.iter().map(spread).collect::<Vec<_>>()))
        };
        Self {
            duration: band(&DURATION, stats.duration_trend),
            queued: band(&QUEUED, stats.queued_trend),
            days: Bars::new(days, &stats.days.iter().map(stack).collect::<Vec<_>>()),
        }
    }
}

/// A time that is drawn by day.
struct Of {
    id: &'static str,
    title: &'static str,
    verb: &'static str,
    longer: &'static str,
    shorter: &'static str,
    figures: fn(&v1::Figures) -> Option<v1::Percentiles>,
}

const DURATION: Of = Of {
    id: "c-duration",
    title: "Duration",
    verb: "took",
    longer: "slower",
    shorter: "faster",
    figures: |f| f.duration,
};
const QUEUED: Of = Of {
    id: "c-queued",
    title: "Queue time",
    verb: "waited",
    longer: "longer",
    shorter: "shorter",
    figures: |f| f.queued,
};

/// How the second half of the window compares with the first.
fn trend(trend: Option<f64>, longer: &str, shorter: &str) -> String {
    match trend {
        Some(t) if t >= 0.05 => format!("; the second half {} {longer} than the first", format::percent(t)),
        Some(t) if t <= -0.05 => {
            format!("; the second half {} {shorter} than the first", format::percent(-t))
        }
        Some(_) => "; the second half much as the first".to_owned(),
        None => String::new(),
    }
}
