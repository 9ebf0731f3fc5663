//! How long things took, by day: the median as a line in the band from the 10th to the 90th percentile.

use std::fmt::Write as _;
use std::time::Duration;

use askama::Template;

use super::{Cell, HEIGHT, Hit, LINES, Line, PLOT, PLOT_TOP, Table, Words, axis, round, slot, y_of};
use crate::pages::format;

/// A day.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spread {
    pub(crate) label: String,
    /// The runs behind it.
    pub(crate) href: String,
    /// Of how many.
    pub(crate) count: u64,
    /// 10th percentile, median, 90th percentile; `None` without a run.
    pub(crate) took: Option<[Duration; 3]>,
}

/// The band and its line.
#[derive(Debug, Template)]
#[template(path = "charts/band.html")]
pub(crate) struct Band {
    words: Words,
    lines: Vec<Line>,
    /// SVG paths, in a thousand units across.
    band: String,
    median: String,
    hits: Vec<Hit>,
    from: String,
    to: String,
    table: Table,
}

/// Units across.
const ACROSS: f64 = 1_000.0;
/// Days without a run that the line goes over. A weekend is no break, a week is.
const BRIDGED: usize = 3;

impl Band {
    #[expect(clippy::cast_precision_loss, reason = "seconds of runs")]
    pub(crate) fn new(words: Words, days: &[Spread]) -> Self {
        let longest = days.iter().filter_map(|d| d.took).map(|[.., p90]| p90).max().unwrap_or_default();
        let steps = axis::steps(longest, LINES);
        let top = steps.last().copied().unwrap_or(1) as f64;
        let y = |d: Duration| y_of(d.as_secs_f64(), top);
        let (mut band, mut median) = (String::new(), String::new());
        for stretch in stretches(days) {
            // One day alone is as wide as a day is; else a point is in the middle of its day.
            let points: Vec<(f64, [f64; 3])> = match stretch[..] {
                [(i, took)] => {
                    let (x, width) = slot(i, days.len());
                    [0.2, 0.8].map(|at| (x + width * at, took.map(y))).to_vec()
                }
                _ => stretch
                    .iter()
                    .map(|(i, took)| {
                        let (x, width) = slot(*i, days.len());
                        (x + width / 2.0, took.map(y))
                    })
                    .collect(),
            };
            let draw = |path: &mut String, begins: bool, x: f64, y: f64| {
                let _ =
                    write!(path, "{}{} {} ", if begins { 'M' } else { 'L' }, round(x / 100.0 * ACROSS), y);
            };
            for (n, (x, [_, p50, p90])) in points.iter().enumerate() {
                draw(&mut median, n == 0, *x, *p50);
                draw(&mut band, n == 0, *x, *p90);
            }
            for (x, [p10, ..]) in points.iter().rev() {
                draw(&mut band, false, *x, *p10);
            }
            band.push_str("Z ");
        }
        let hits = days.iter().enumerate().map(|(i, day)| {
            let (x, width) = slot(i, days.len());
            Hit {
                href: day.href.clone(),
                title: title(day),
                x: round(x),
                y: PLOT_TOP,
                width: round(width),
                height: PLOT,
            }
        });
        let row = |day: &Spread| {
            let took = |n: usize| {
                Cell::of(day.took.map_or_else(|| "–".to_owned(), |took| format::duration(took[n])))
            };
            let count = format::number(day.count);
            vec![
                Cell::of(day.label.clone()),
                if day.count == 0 { Cell::of(count) } else { Cell::link(count, &day.href) },
                took(0),
                took(1),
                took(2),
            ]
        };
        let end = |day: Option<&Spread>| day.map(|d| d.label.clone()).unwrap_or_default();
        Self {
            hits: hits.collect(),
            lines: steps.iter().map(|s| Line { y: y_of(*s as f64, top), label: axis::label(*s) }).collect(),
            band: band.trim_end().to_owned(),
            median: median.trim_end().to_owned(),
            from: end(days.first()),
            to: end(days.last()),
            table: Table {
                id: format!("{}-table", words.id),
                caption: words.title.clone(),
                head: vec!["Day", "Runs", "10th percentile", "Median", "90th percentile"],
                rows: days.iter().rev().map(row).collect(),
            },
            words,
        }
    }

    const fn height() -> f64 {
        HEIGHT
    }
}

fn title(day: &Spread) -> String {
    match day.took {
        None => format!("{}: no run", day.label),
        Some([p10, p50, p90]) => format!(
            "{}: median {}, {} to {}, of {}",
            day.label,
            format::duration(p50),
            format::duration(p10),
            format::duration(p90),
            format::count(u32::try_from(day.count).unwrap_or(u32::MAX), "run", "runs"),
        ),
    }
}

/// Days with runs, cut where none was for long.
fn stretches(days: &[Spread]) -> Vec<Vec<(usize, [Duration; 3])>> {
    let mut all: Vec<Vec<(usize, [Duration; 3])>> = Vec::new();
    for (i, took) in days.iter().enumerate().filter_map(|(i, d)| Some((i, d.took?))) {
        match all.last_mut() {
            Some(last) if last.last().is_some_and(|(before, _)| i - before <= BRIDGED) => {
                last.push((i, took))
            }
            _ => all.push(vec![(i, took)]),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(label: &str, median: Option<u64>) -> Spread {
        Spread {
            label: label.into(),
            href: format!("/{label}"),
            count: 3,
            took: median.map(|m| [m / 2, m, m * 2].map(Duration::from_secs)),
        }
    }

    fn words() -> Words {
        Words { id: "took", title: "Duration".into(), desc: String::new() }
    }

    #[test]
    fn a_weekend_is_bridged_and_a_week_is_not() {
        let none = || day("x", None);
        let some = || day("x", Some(60));
        let lengths = |days: &[Spread]| stretches(days).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(&[some(), none(), none(), some()]), [2]);
        assert_eq!(lengths(&[some(), none(), none(), none(), some()]), [1, 1]);
        assert_eq!(lengths(&[none()]), [0; 0]);
    }

    #[test]
    fn the_band_goes_there_above_and_back_below() {
        let band = Band::new(words(), &[day("a", Some(60)), day("b", Some(60))]);
        assert_eq!(band.median, "M250 68 L750 68");
        assert_eq!(band.band, "M250 8 L750 8 L750 98 L250 98 Z");
        let alone = Band::new(words(), &[day("a", Some(60)), day("b", None)]);
        assert_eq!(alone.median, "M100 68 L400 68", "one day alone is still seen");
    }

    #[test]
    fn every_day_says_its_figures() {
        let band = Band::new(words(), &[day("Mon", Some(60)), day("Tue", None)]);
        assert_eq!(band.hits[0].title, "Mon: median 1 m 00 s, 30 s to 2 m 00 s, of 3 runs");
        assert_eq!(band.hits[1].title, "Tue: no run");
        let html = band.render().unwrap();
        assert!(html.contains("<a href=\"/Mon\">3</a>") && html.contains("preserveAspectRatio=\"none\""));
    }
}
