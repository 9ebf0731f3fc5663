//! History in one SQLite file: nothing to set up.
//!
//! The file is made by itself, readable by its owner alone, and written ahead (WAL), so that readers never wait for the
//! writer. One connection writes; a few read. What a webhook says is on the disk before it is acknowledged
//! (`synchronous=FULL`); everything else may lose the last moments when the machine loses power, and is then fetched from
//! the platform again.
//!
//! Rows go in and out as JSON (`jsonb_each`), so that a batch is one statement and every statement is a fixed text.

mod errors;
mod open;
mod read;
mod rows;
mod write;

pub use open::{Options, Sqlite, open};
