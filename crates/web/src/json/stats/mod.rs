//! What history teaches: `/api/v1/stats/…`, as JSON or as a table for spreadsheets.

mod csv;
mod figures;
mod handlers;
mod items;

pub(super) use handlers::{broken, days, delivery, failures, flaky, hours, rankings, runs, summary};
