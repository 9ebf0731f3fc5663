//! What must outlive a restart: every run that was seen, and the figures over them.
//!
//! [`History`] is the port that the aggregator knows. Its rules – when a report is newer, what a day's figures are, what
//! "flaky" means – live here, once, in [`Keeper`]; a database is a [`store::Store`] that fetches and puts rows and knows
//! nothing of their meaning. Hence the same answers from every database.
//!
//! | module | what |
//! | --- | --- |
//! | [`port`](History) | what the aggregator asks and tells |
//! | [`store`] | what a database has to be able to do, and the rows that it keeps |
//! | [`merge`] | how a report changes what is known of a run; never backwards |
//! | [`roll`] | the daily statistics, kept up with every batch in the same transaction |
//! | [`codec`] | small numbers in few bytes |
//! | [`answers`] | the definitions of the insights, pure |
//!
//! # Adding a database
//! A crate `history-NAME` that knows `history` and `domain` alone; migrations in `migrations/NAME`; a type that implements
//! [`store::Store`], with all the SQL; `open` that connects, migrates and wraps it in a [`Keeper`]; and a test that runs
//! the contract suite (`crates/history/suite`) on it.

pub mod answers;
mod cached;
mod calendar;
pub mod codec;
mod error;
mod ingest;
mod keeper;
pub mod merge;
mod port;
mod reading;
pub mod roll;
pub mod store;
mod text;

pub use calendar::{Day, Window};
pub use error::{Error, ErrorKind, Result};
pub use keeper::Keeper;
pub use port::{
    Batch, Health, History, Ingested, Known, Logged, PageOf, ProjectNews, Remembered, RunFilter, RunNews,
    Snapshot, Treated, Webhook, WebhookEntry,
};
pub use text::normalise_reason;
