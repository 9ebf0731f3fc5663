//! Charts as SVG, drawn on the server: no script, no library, no colour that is not also a shape or a word.
//!
//! Each chart is an image with a title and a description, over it the areas that lead to what is behind each point, and
//! under it the same numbers as a table, whose links anybody can reach. What is wide is in percent, what is high in
//! pixels, so that text keeps its size however wide the chart is. Colours and strokes are the style sheet's.

pub(crate) mod axis;
mod band;
mod bars;
mod heat;

use askama::Template;
use askama::filters::HtmlSafe;

pub(crate) use band::{Band, Spread};
pub(crate) use bars::{Bars, Stack};
pub(crate) use heat::{Heat, Hour};

/// Height of a chart over time, in pixels.
const HEIGHT: f64 = 136.0;
/// Where its plot begins and how high it is.
const PLOT_TOP: f64 = 8.0;
const PLOT: f64 = 120.0;
/// Lines over zero.
const LINES: u64 = 4;

/// What a chart is called, and what it says, in words.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    /// Unique on the page.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) desc: String,
}

/// A line across, with its label.
#[derive(Debug)]
struct Line {
    y: f64,
    label: String,
}

/// An area that leads to what is behind a point. Percent across, pixels down.
#[derive(Debug)]
struct Hit {
    href: String,
    title: String,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The numbers of a chart.
#[derive(Debug, Template)]
#[template(path = "charts/table.html")]
pub(crate) struct Table {
    id: String,
    caption: String,
    head: Vec<&'static str>,
    /// The first cell names the row.
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Cell {
    text: String,
    href: Option<String>,
}

impl Cell {
    fn of(text: impl Into<String>) -> Self {
        Self { text: text.into(), href: None }
    }

    fn link(text: impl Into<String>, href: &str) -> Self {
        Self { text: text.into(), href: Some(href.to_owned()) }
    }
}

// These write themselves as HTML and escape what is in them.
impl HtmlSafe for Table {}
impl HtmlSafe for Bars {}
impl HtmlSafe for Band {}
impl HtmlSafe for Heat {}

/// Two digits are finer than anybody sees.
fn round(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}

/// Where the slot of a point begins and how wide it is, in percent.
#[expect(clippy::cast_precision_loss, reason = "places of a chart")]
fn slot(at: usize, of: usize) -> (f64, f64) {
    let width = 100.0 / of.max(1) as f64;
    (at as f64 * width, width)
}

/// Pixels from above of `value` on an axis up to `top`.
fn y_of(value: f64, top: f64) -> f64 {
    round(PLOT_TOP + PLOT - (value / top.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0) * PLOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_fill_the_width() {
        assert_eq!(slot(0, 4), (0.0, 25.0));
        let (x, width) = slot(29, 30);
        assert!((x + width - 100.0).abs() < 1e-9);
    }

    #[test]
    fn the_axis_begins_at_the_bottom() {
        assert!((y_of(0.0, 10.0) - 128.0).abs() < 1e-9);
        assert!((y_of(10.0, 10.0) - 8.0).abs() < 1e-9);
        assert!((y_of(20.0, 10.0) - 8.0).abs() < 1e-9, "nothing is drawn beyond the plot");
        assert!(y_of(0.0, 0.0).is_finite());
    }
}
