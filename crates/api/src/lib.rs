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

/// A status code as the gRPC specification writes it, for labels.
#[must_use]
pub const fn code_word(code: tonic::Code) -> &'static str {
    use tonic::Code;
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
