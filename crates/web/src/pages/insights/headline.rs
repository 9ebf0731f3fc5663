//! What the figures come to, in a sentence.

use api::{duration_back, v1};

use super::{Missing, OfInsights, Span, StatsQuery, cards, in_days};
use crate::pages::format;
use crate::pages::headline::Fact;

/// The headline.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// No history is kept.
    Off { why: String },
    /// It does not answer.
    Away { why: String },
    /// No run in the window, or none that the filter lets in.
    Empty { narrowed: bool },
    /// Runs, but too few of them came to a verdict for a sentence.
    TooFew,
    /// What there is to say.
    Said { text: String },
}

/// Fewer verdicts in either window make no comparison.
const MIN_TO_COMPARE: u64 = 10;
/// A change of the rate by less is none: a point.
const POINT: f64 = 0.01;
/// A change of the median by less is none.
const TENTH: f64 = 0.1;

impl News {
    pub(super) fn new(query: &StatsQuery, shown: &OfInsights) -> Self {
        match &shown.missing {
            Some(Missing::Off(why)) => return Self::Off { why: why.clone() },
            Some(Missing::Away(why)) => return Self::Away { why: why.clone() },
            None => {}
        }
        let now = shown.stats.figures.unwrap_or_default();
        let before = shown.stats.before.unwrap_or_default();
        if now.runs == 0 {
            return Self::Empty { narrowed: query.narrows() };
        }
        let Some(rate) = now.success_rate.filter(|_| now.verdicts >= MIN_TO_COMPARE) else {
            return Self::TooFew;
        };
        let days = in_days(shown.stats.window.as_ref().map_or(0, |w| w.days));
        let text = match before.success_rate.filter(|_| before.verdicts >= MIN_TO_COMPARE) {
            None => format!("{} green over {days}", share(rate)),
            Some(was) => format!("{} than in the {days} before", compared(rate - was, pace(&now, &before)))
                .replace("as before than in", "as in"),
        };
        Self::Said { text }
    }

    pub(super) const fn is_drawn(&self) -> bool {
        matches!(self, Self::TooFew | Self::Said { .. })
    }

    pub(super) fn short(&self) -> String {
        match self {
            Self::Off { .. } => "No history".to_owned(),
            Self::Away { .. } => "History is away".to_owned(),
            Self::Empty { .. } => "No runs".to_owned(),
            Self::TooFew | Self::Said { .. } => "Insights".to_owned(),
        }
    }
}

/// `96.4 %`: a tenth matters here.
pub(super) fn share(rate: f64) -> String {
    let tenths = (rate * 1_000.0).round() / 10.0;
    if rate < 1.0 && tenths >= 100.0 {
        "99.9 %".to_owned()
    } else if tenths >= 100.0 {
        "100 %".to_owned()
    } else {
        format!("{tenths:.1} %")
    }
}

/// How much slower: 0.1 is 10 %. `None` where that cannot be told.
fn pace(now: &v1::Figures, before: &v1::Figures) -> Option<f64> {
    let median = |f: &v1::Figures| {
        let d = f.duration.as_ref().filter(|d| d.count >= MIN_TO_COMPARE)?;
        d.p50.as_ref().and_then(duration_back).filter(|d| !d.is_zero())
    };
    Some(median(now)?.as_secs_f64() / median(before)?.as_secs_f64() - 1.0)
}

/// `More green, but slower`.
fn compared(greener: f64, slower: Option<f64>) -> String {
    let green = if greener >= POINT {
        Some(true)
    } else if greener <= -POINT {
        Some(false)
    } else {
        None
    };
    let fast = match slower {
        Some(slower) if slower >= TENTH => Some(false),
        Some(slower) if slower <= -TENTH => Some(true),
        _ => None,
    };
    match (green, fast) {
        (Some(true), Some(true)) => "More green, and faster",
        (Some(true), Some(false)) => "More green, but slower",
        (Some(true), None) => "More green",
        (Some(false), Some(true)) => "Less green, but faster",
        (Some(false), Some(false)) => "Less green, and slower",
        (Some(false), None) => "Less green",
        (None, Some(true)) => "As green, and faster",
        (None, Some(false)) => "As green, but slower",
        (None, None) => "As green and as fast as before",
    }
    .to_owned()
}

/// `26 Oct to 24 Nov`.
pub(super) fn span(window: Option<&v1::StatsWindow>) -> String {
    let Some(window) = window else { return String::new() };
    let same_year = window.from.get(..4) == window.to.get(..4);
    let name = |text: &str| if same_year { day(text) } else { day_of_year(text) };
    format!("{} to {}", name(&window.from), name(&window.to))
}

/// `24 Nov` of `2026-11-24`.
pub(super) fn day(text: &str) -> String {
    told(text, "%-d %b")
}

/// `24 Nov 2026` of `2026-11-24`.
fn day_of_year(text: &str) -> String {
    told(text, "%-d %b %Y")
}

fn told(text: &str, format: &str) -> String {
    text.parse::<jiff::civil::Date>().map_or_else(|_| text.to_owned(), |d| d.strftime(format).to_string())
}

/// Under the headline.
pub(super) fn facts(query: &StatsQuery, shown: &OfInsights) -> Vec<Fact> {
    if shown.missing.is_some() {
        return Vec::new();
    }
    let fact = |figure: String, text: String| Fact { figure, text: text.into() };
    let figures = shown.stats.figures.unwrap_or_default();
    let runs = if figures.runs == 1 { "run" } else { "runs" };
    let mut facts = vec![fact(format::number(figures.runs), runs.to_owned())];
    if let Some(project) = &query.project {
        facts.push(fact(String::new(), cards::project_name(shown, project)));
    }
    let branch = query.branch.as_ref().map_or_else(|| "all branches".to_owned(), |b| format!("branch {b}"));
    facts.push(fact(String::new(), branch));
    facts.push(fact(String::new(), format!("{}, UTC", span(shown.stats.window.as_ref()))));
    if figures.further > 0 {
        let word = if figures.further == 1 { "re-run beside them" } else { "re-runs beside them" };
        facts.push(fact(format::number(figures.further), word.to_owned()));
    }
    if matches!(query.span, Span::Days(_)) && figures.runs > 0 {
        facts.push(fact(String::new(), "every figure links to its runs".to_owned()));
    }
    facts
}

/// What is not there yet.
pub(super) fn behind(shown: &OfInsights) -> Option<String> {
    let history = shown.stats.history.as_ref()?;
    if let Some(error) = &history.error {
        return Some(format!("History is not written now, so that the newest runs are missing: {error}"));
    }
    (history.behind > 0).then(|| {
        format!(
            "Earlier runs of {} are still being fetched: these figures will grow.",
            format::count(history.behind, "project", "projects")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn figures(green: u64, red: u64, median: u64) -> v1::Figures {
        let verdicts = green + red;
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let rate = green as f64 / verdicts.max(1) as f64;
        v1::Figures {
            runs: verdicts,
            success: green,
            failed: red,
            verdicts,
            success_rate: (verdicts > 0).then_some(rate),
            duration: Some(v1::Percentiles {
                count: verdicts,
                p50: Some(api::duration(Duration::from_secs(median))),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn said(now: v1::Figures, before: v1::Figures) -> News {
        let stats = v1::GetStatsResponse {
            window: Some(v1::StatsWindow { days: 30, ..Default::default() }),
            figures: Some(now),
            before: Some(before),
            ..Default::default()
        };
        News::new(&StatsQuery::default(), &OfInsights { stats, ..OfInsights::default() })
    }

    #[test]
    fn both_windows_are_compared() {
        for (now, before, text) in [
            (figures(96, 4, 60), figures(90, 10, 50), "More green, but slower than in the 30 days before"),
            (figures(80, 20, 40), figures(90, 10, 50), "Less green, but faster than in the 30 days before"),
            (figures(90, 10, 50), figures(90, 10, 50), "As green and as fast as in the 30 days before"),
            (figures(964, 36, 50), figures(0, 0, 0), "96.4 % green over 30 days"),
        ] {
            assert_eq!(said(now, before), News::Said { text: text.to_owned() });
        }
    }

    #[test]
    fn of_too_few_nothing_is_said() {
        assert_eq!(said(figures(9, 0, 50), figures(90, 10, 50)), News::TooFew);
        assert_eq!(said(figures(0, 0, 0), figures(90, 10, 50)), News::Empty { narrowed: false });
    }

    #[test]
    fn shares_have_a_tenth_and_all_is_all() {
        assert_eq!([1.0, 0.9999, 0.9641, 0.0].map(share), ["100 %", "99.9 %", "96.4 %", "0.0 %"]);
        assert_eq!(day("2026-11-04"), "4 Nov");
        let window = |from: &str, to: &str| v1::StatsWindow { from: from.into(), to: to.into(), days: 0 };
        assert_eq!(span(Some(&window("2026-10-26", "2026-11-24"))), "26 Oct to 24 Nov");
        assert_eq!(span(Some(&window("2025-12-31", "2026-01-01"))), "31 Dec 2025 to 1 Jan 2026");
    }
}
