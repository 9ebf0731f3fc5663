//! The contract between the two daemons: generated gRPC code, conversions from [`domain`], and the transports.
//!
//! Whoever shows what the aggregator knows depends on this crate and on nothing behind it.

mod convert;
mod transport;

/// Generated from `proto/ci_dashboard/v1`.
#[expect(unused_qualifications, clippy::all, clippy::allow_attributes, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("ci_dashboard.v1");
}

/// The compiled contract, for server reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// The largest body of a webhook that is taken: GitHub's own bound.
pub const MAX_WEBHOOK_BYTES: usize = 25 * 1024 * 1024;
/// The most bytes of a webhook's headers that are passed on, names and values together.
pub const MAX_WEBHOOK_HEADER_BYTES: usize = 32 * 1024;
/// The largest message that either side takes: a webhook with its headers, and room to spare.
pub const MAX_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

pub use convert::{duration, duration_back, person, pipeline, timestamp, timestamp_back};
pub use transport::{
    Channel, Client, Connection, Endpoint, InProcess, Incoming, ListenError, Listener, StatsClient,
};
