//! Runs by day: a bar for each, red at its foot.

use askama::Template;

use super::{Cell, HEIGHT, Hit, LINES, Line, PLOT, PLOT_TOP, Table, Words, axis, round, slot, y_of};
use crate::pages::format;

/// What a bar is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stack {
    /// Which day.
    pub(crate) label: String,
    /// The runs behind it; without its red ones where there are none.
    pub(crate) href: String,
    pub(crate) red_href: String,
    pub(crate) failed: u64,
    pub(crate) warning: u64,
    pub(crate) success: u64,
    /// Canceled, skipped, still going on.
    pub(crate) other: u64,
}

impl Stack {
    const fn total(&self) -> u64 {
        self.failed + self.warning + self.success + self.other
    }

    /// `96 % of 25 green`, or that nothing can be said.
    fn share(&self) -> String {
        let verdicts = self.failed + self.warning + self.success;
        #[expect(clippy::cast_precision_loss, reason = "numbers of runs")]
        let share = (self.success + self.warning) as f64 / verdicts.max(1) as f64;
        if verdicts == 0 { "–".to_owned() } else { format::percent(share) }
    }

    fn title(&self) -> String {
        match self.total() {
            0 => format!("{}: no run", self.label),
            1 if self.failed == 1 => format!("{}: 1 run, red", self.label),
            n => format!(
                "{}: {} runs, {} red, {} green",
                self.label,
                format::number(n),
                self.failed,
                self.share()
            ),
        }
    }
}

#[derive(Debug)]
struct Part {
    class: &'static str,
    x: f64,
    width: f64,
    y: f64,
    height: f64,
}

/// Bars over days.
#[derive(Debug, Template)]
#[template(path = "charts/bars.html")]
pub(crate) struct Bars {
    words: Words,
    lines: Vec<Line>,
    parts: Vec<Part>,
    hits: Vec<Hit>,
    from: String,
    to: String,
    /// Whether there is anything of this kind: what is not there needs no key.
    warnings: bool,
    others: bool,
    table: Table,
}

/// The least height that can still be seen.
const LEAST: f64 = 1.5;

impl Bars {
    #[expect(clippy::cast_precision_loss, reason = "numbers of runs")]
    pub(crate) fn new(words: Words, days: &[Stack]) -> Self {
        let most = days.iter().map(Stack::total).max().unwrap_or(0);
        let steps = axis::counts(most, LINES);
        let top = steps.last().copied().unwrap_or(1) as f64;
        let mut parts = Vec::new();
        let mut hits = Vec::with_capacity(days.len());
        for (i, day) in days.iter().enumerate() {
            let (x, width) = slot(i, days.len());
            let mut below = 0.0;
            let kinds = [
                ("b-failed", day.failed),
                ("b-warning", day.warning),
                ("b-success", day.success),
                ("b-other", day.other),
            ];
            for (class, n) in kinds.into_iter().filter(|(_, n)| *n > 0) {
                let height = (n as f64 / top * PLOT).max(LEAST);
                let y = round(PLOT_TOP + PLOT - below - height);
                parts.push(Part {
                    class,
                    x: round(x + width * 0.1),
                    width: round(width * 0.8),
                    y,
                    height: round(height),
                });
                below += height;
            }
            hits.push(Hit {
                href: day.href.clone(),
                title: day.title(),
                x: round(x),
                y: PLOT_TOP,
                width: round(width),
                height: PLOT,
            });
        }
        let row = |day: &Stack| {
            vec![
                Cell::of(day.label.clone()),
                if day.total() == 0 {
                    Cell::of("0")
                } else {
                    Cell::link(format::number(day.total()), &day.href)
                },
                if day.failed == 0 {
                    Cell::of("0")
                } else {
                    Cell::link(format::number(day.failed), &day.red_href)
                },
                Cell::of(format::number(day.warning)),
                Cell::of(format::number(day.success)),
                Cell::of(format::number(day.other)),
                Cell::of(day.share()),
            ]
        };
        let end = |day: Option<&Stack>| day.map(|d| d.label.clone()).unwrap_or_default();
        Self {
            table: Table {
                id: format!("{}-table", words.id),
                caption: words.title.clone(),
                head: vec!["Day", "Runs", "Red", "Warnings", "Green", "Neither", "Share green"],
                rows: days.iter().rev().map(row).collect(),
            },
            lines: steps
                .iter()
                .map(|n| Line { y: y_of(*n as f64, top), label: format::number(*n) })
                .collect(),
            parts,
            hits,
            from: end(days.first()),
            to: end(days.last()),
            warnings: days.iter().any(|d| d.warning > 0),
            others: days.iter().any(|d| d.other > 0),
            words,
        }
    }

    const fn height() -> f64 {
        HEIGHT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        Words { id: "days", title: "Runs <by> day".into(), desc: "Two days.".into() }
    }

    fn day(label: &str, failed: u64, success: u64) -> Stack {
        Stack {
            label: label.into(),
            href: format!("/runs?day={label}"),
            red_href: format!("/runs?day={label}&status=failed"),
            failed,
            success,
            ..Stack::default()
        }
    }

    #[test]
    fn red_is_at_the_foot_and_the_bars_add_up() {
        let bars = Bars::new(words(), &[day("Mon", 2, 6), day("Tue", 0, 0)]);
        let told: Vec<_> = bars.parts.iter().map(|p| (p.class, p.y, p.height)).collect();
        assert_eq!(told, [("b-failed", 98.0, 30.0), ("b-success", 8.0, 90.0)]);
        assert_eq!(bars.hits.len(), 2, "a day without runs says so");
        assert_eq!(bars.hits[1].title, "Tue: no run");
        assert_eq!(bars.hits[0].title, "Mon: 8 runs, 2 red, 75 % green");
    }

    #[test]
    fn it_is_an_image_with_words_and_a_table() {
        let html = Bars::new(words(), &[day("Mon", 2, 6)]).render().unwrap();
        for part in [
            r#"role="img" aria-labelledby="days-t days-d""#,
            r#"<title id="days-t">Runs &#60;by&#62; day</title>"#,
            r#"<desc id="days-d">Two days.</desc>"#,
            r#"<a href="/runs?day=Mon&#38;status=failed">2</a>"#,
            "<th scope=\"row\">Mon</th>",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        assert!(!html.contains("style="), "styles are the sheet's");
    }

    #[test]
    fn nothing_is_still_a_chart() {
        assert!(Bars::new(words(), &[]).render().is_ok());
    }
}
