//! History in PostgreSQL 14 or newer.
//!
//! Runs are partitioned by the month in which they were created; partitions are made ahead and dropped by retention. Writers
//! of all processes wait for each other at one advisory lock, so that reading what is known, merging and writing is one step.
//! Rows go in as arrays (`unnest`), so that a batch is one statement and every statement is a fixed text.

mod errors;
mod jobs;
mod open;
mod read;
mod rows;
mod times;
mod write;

pub use open::{Options, Postgres, open, probe};
