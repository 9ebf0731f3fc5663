//! The words of CI Dashboard and the rules between them.
//!
//! Plain types, no I/O, no async, no foreign formats. What a platform reports is turned into these by a connector;
//! everything above (board, cache, wire, pages) speaks only these.
//!
//! * [`ProjectKey`], [`SourceName`], [`PlatformId`]: who is who. A native id means nothing without its source.
//! * [`Status`], [`Outcome`], [`Activity`]: how a run is; how a branch is (two faces).
//! * [`Project`], [`Branch`], [`Pipeline`], [`Job`], [`Deployment`]: what connectors report.
//! * [`roll_up`]: how the runs of a branch become one colour, with its reasons.
//! * [`stats`]: the figures of a row (strip, median, share green).
//! * [`text`], [`WebUrl`]: what comes from outside is bounded and made harmless before anything keeps it.

mod clock;
mod deployment;
mod key;
mod model;
mod patterns;
mod request_id;
mod rollup;
pub mod stats;
mod status;
pub mod text;

pub use clock::{Clock, ManualClock, SystemClock};
pub use deployment::Deployment;
pub use jiff::Timestamp;
pub use key::{KeyError, NativeId, PlatformId, ProjectKey, SourceName, decode_segment, encode_segment};
pub use model::{
    Branch, Completeness, Job, JobId, Log, Person, Pipeline, Problem, ProblemKind, Project, RunId,
    Visibility, Workflow,
};
pub use patterns::{MAX_GLOB_BYTES, PatternError, Patterns};
pub use request_id::RequestId;
pub use rollup::{
    BrokenSince, DEAD_WORKFLOW_AFTER, Decided, LeftOut, LeftOutReason, Narrowing, Rollup, WhichWorkflows,
    roll_up,
};
pub use status::{Activity, Outcome, Status};
pub use text::WebUrl;
