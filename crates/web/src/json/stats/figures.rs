//! Answers that are no lists as a table: a line for each figure, with how many it is of.

use serde::Serialize;
use serde_json::{Map, Value};

use super::csv;
use super::items::{Delivery, Summary};
use crate::json::openapi;

/// A figure, and what it is of where that is counted.
#[derive(Debug, Serialize)]
struct Line {
    figure: String,
    value: Value,
    count: Value,
}

fn fields(of: &impl Serialize) -> Result<Map<String, Value>, serde_json::Error> {
    match serde_json::to_value(of)? {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}

fn table(lines: &[Line]) -> Result<String, serde_json::Error> {
    csv::table(&openapi::columns("StatsFigure"), lines)
}

/// Which field says what one of `StatsFigures` is of.
fn counted_by(figure: &str) -> Option<&'static str> {
    match figure {
        "success_rate" => Some("verdicts"),
        _ if figure.starts_with("duration_") => Some("duration_count"),
        _ if figure.starts_with("queued_") => Some("queued_count"),
        _ => None,
    }
}

/// The figures of the window, those of the window before it (`before_…`), and the trends.
pub(super) fn of_summary(summary: &Summary) -> Result<String, serde_json::Error> {
    let mut lines = Vec::new();
    for (before, figures) in [("", &summary.figures), ("before_", &summary.before)] {
        let fields = fields(figures)?;
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        for name in openapi::columns("StatsFigures").into_iter().filter(|n| !n.ends_with("_count")) {
            let count = counted_by(name).map(field).unwrap_or_default();
            lines.push(Line { figure: format!("{before}{name}"), value: field(name), count });
        }
    }
    let counts = fields(&summary.figures)?;
    for (name, trend) in [("duration_trend", summary.duration_trend), ("queued_trend", summary.queued_trend)]
    {
        let count = counted_by(name).and_then(|of| counts.get(of)).cloned().unwrap_or_default();
        lines.push(Line { figure: name.to_owned(), value: trend.into(), count });
    }
    let incomplete = summary.incomplete_projects.into();
    lines.push(Line { figure: "incomplete_projects".to_owned(), value: incomplete, count: Value::Null });
    table(&lines)
}

/// The figures of delivery, without the runs that they are of.
const DELIVERED: [(&str, &str); 10] = [
    ("deployments", ""),
    ("successful_deployments", "deployments"),
    ("deployments_per_day", "successful_deployments"),
    ("deployments_on_median_day", "successful_deployments"),
    ("change_failure_rate", "deployments"),
    ("time_to_restore_median_seconds", "time_to_restore_count"),
    ("time_to_green_median_seconds", "time_to_green_count"),
    ("lead_time_median_seconds", "lead_time_count"),
    ("projects_with_marked_deployments", ""),
    ("projects_with_named_deployments", ""),
];

pub(super) fn of_delivery(delivery: &Delivery<'_>) -> Result<String, serde_json::Error> {
    let fields = fields(delivery)?;
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let line = |(name, count): (&str, &str)| Line {
        figure: name.to_owned(),
        value: field(name),
        count: field(count),
    };
    table(&DELIVERED.map(line))
}
