//! When it fails: the share of red by weekday and hour.

use askama::Template;

use super::{Cell, Hit, Table, Words, round, slot};
use crate::pages::format;

/// An hour of the week.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hour {
    pub(crate) runs: u64,
    pub(crate) failed: u64,
    /// The runs behind it.
    pub(crate) href: String,
}

#[derive(Debug)]
struct Square {
    class: &'static str,
    x: f64,
    width: f64,
    y: f64,
    height: f64,
}

/// Seven days of 24 hours.
#[derive(Debug, Template)]
#[template(path = "charts/heat.html")]
pub(crate) struct Heat {
    words: Words,
    squares: Vec<Square>,
    days: Vec<(f64, &'static str)>,
    /// Labels of hours, in percent.
    hours: Vec<(f64, String)>,
    hits: Vec<Hit>,
    table: Table,
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Of fewer runs no share is told.
const MIN_RUNS: u64 = 5;
/// A row's height, and its gap, in pixels.
const ROW: f64 = 22.0;
const GAP: f64 = 3.0;
/// From which share on each shade is; the last is "and more".
const SHADES: [(&str, f64); 6] =
    [("h5", 0.4), ("h4", 0.3), ("h3", 0.2), ("h2", 0.1), ("h1", f64::MIN_POSITIVE), ("h0", 0.0)];

fn share(hour: &Hour) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "numbers of runs")]
    let share = hour.failed as f64 / hour.runs.max(1) as f64;
    (hour.runs >= MIN_RUNS).then_some(share)
}

fn class(hour: &Hour) -> &'static str {
    let Some(share) = share(hour) else { return if hour.runs == 0 { "none" } else { "few" } };
    SHADES.iter().find(|(_, from)| share >= *from).map_or("h0", |(class, _)| class)
}

fn title(day: usize, at: usize, hour: &Hour) -> String {
    let when = format!("{} {at:02}:00 to {:02}:00 UTC", DAYS[day], (at + 1) % 24);
    match (hour.runs, share(hour)) {
        (0, _) => format!("{when}: no run"),
        (runs, None) => format!("{when}: {} of {runs} red, too few for a share", hour.failed),
        (runs, Some(share)) => format!("{when}: {} of {} red", format::percent(share), format::number(runs)),
    }
}

impl Heat {
    /// `week` begins on Monday at midnight.
    #[expect(clippy::cast_precision_loss, reason = "places of a chart")]
    pub(crate) fn new(words: Words, week: &[Hour; 168]) -> Self {
        let (mut squares, mut hits) = (Vec::with_capacity(168), Vec::with_capacity(168));
        for (i, hour) in week.iter().enumerate() {
            let (day, at) = (i / 24, i % 24);
            let (x, width) = slot(at, 24);
            let y = day as f64 * ROW;
            squares.push(Square {
                class: class(hour),
                x: round(x + width * 0.06),
                width: round(width * 0.88),
                y: y + GAP / 2.0,
                height: ROW - GAP,
            });
            if hour.runs > 0 {
                hits.push(Hit {
                    href: hour.href.clone(),
                    title: title(day, at, hour),
                    x: round(x),
                    y,
                    width: round(width),
                    height: ROW,
                });
            }
        }
        let row = |day: usize| {
            let cell = |hour: &Hour| match share(hour) {
                _ if hour.runs == 0 => Cell::of("–"),
                None => Cell::link(format!("{} of {}", hour.failed, hour.runs), &hour.href),
                Some(share) => Cell::link(format::percent(share), &hour.href),
            };
            std::iter::once(Cell::of(DAYS[day])).chain(week[day * 24..][..24].iter().map(cell)).collect()
        };
        Self {
            squares,
            days: DAYS.iter().enumerate().map(|(i, day)| (i as f64 * ROW + 15.0, *day)).collect(),
            hours: (0..24).step_by(3).map(|h| (round(slot(h, 24).0), format!("{h:02}"))).collect(),
            hits,
            table: Table {
                id: format!("{}-table", words.id),
                caption: format!(
                    "{}: share of red of each hour; of fewer than {MIN_RUNS} runs the numbers",
                    words.title
                ),
                head: std::iter::once("Day").chain(HOURS).collect(),
                rows: (0..7).map(row).collect(),
            },
            words,
        }
    }

    const fn height() -> f64 {
        ROW * 7.0
    }

    const fn min_runs() -> u64 {
        MIN_RUNS
    }
}

const HOURS: [&str; 24] = [
    "00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16",
    "17", "18", "19", "20", "21", "22", "23",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(runs: u64, failed: u64) -> Hour {
        Hour { runs, failed, href: "/h".into() }
    }

    #[test]
    fn shades_are_steps_of_ten_percent() {
        let told = [(0, 0), (4, 4), (5, 0), (100, 1), (100, 10), (100, 29), (100, 39), (100, 40), (5, 5)];
        assert_eq!(
            told.map(|(runs, failed)| class(&hour(runs, failed))),
            ["none", "few", "h0", "h1", "h2", "h3", "h4", "h5", "h5"]
        );
    }

    #[test]
    fn an_hour_has_its_place_and_says_its_figures() {
        let mut week: [Hour; 168] = std::array::from_fn(|_| Hour::default());
        week[24 + 9] = hour(20, 5);
        week[167] = hour(2, 1);
        let words = Words { id: "heat", title: "When it fails".into(), desc: String::new() };
        let heat = Heat::new(words, &week);
        assert_eq!(heat.hits[0].title, "Tue 09:00 to 10:00 UTC: 25 % of 20 red");
        assert!((heat.hits[0].x - 37.5).abs() < 1e-9 && (heat.hits[0].y - 22.0).abs() < 1e-9);
        assert_eq!(heat.hits[1].title, "Sun 23:00 to 00:00 UTC: 1 of 2 red, too few for a share");
        assert_eq!(heat.squares.len(), 168);
        let html = heat.render().unwrap();
        assert!(html.contains("<a href=\"/h\">25 %</a>") && html.contains("<a href=\"/h\">1 of 2</a>"));
    }
}
