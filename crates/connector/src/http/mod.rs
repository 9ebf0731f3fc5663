//! The HTTP client that all connectors share.
//!
//! One per source. It owns what must not be got wrong twice: the token goes to the configured host and nowhere else,
//! every answer is bounded in size and time, the platform's own rate-limit headers are obeyed, an unchanged answer
//! costs a 304, and safe requests are tried again with jitter.

mod client;
mod etag;
mod failure;
mod limits;
mod response;
mod settings;
mod traffic;

pub use client::{Client, MAX_CONCURRENT};
pub use limits::Budget;
pub use response::{Response, Tail};
pub use settings::{Auth, BudgetHeaders, Classify, ClientSettings, Dialect, Timeouts};
pub use traffic::{EndpointTraffic, Traffic};
