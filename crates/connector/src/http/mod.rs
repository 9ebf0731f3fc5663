//! The HTTP client that all connectors share.
//!
//! One per source. It owns what must not be got wrong twice: the token goes to the configured host and nowhere else,
//! every answer is bounded in size and time, the platform's own rate-limit headers are obeyed, an unchanged answer
//! costs a 304, and safe requests are tried again with jitter.
//!
//! | room | keeps |
//! | --- | --- |
//! | `client`, `post` | a request's way: permit, gate, try, try again |
//! | `transport` | TLS, certificates, proxy; no credential |
//! | `auth`, `credentials`, `redirect` | the token, whether it is still the one, and where it may go |
//! | `lanes`, `gate`, `budget` | when to ask, when to leave the platform alone, for each resource that it counts apart |
//! | `spending`, `left` | what may be spent, and what is left of it for whoever asks after this client |
//! | `etag`, `answers` | answers kept for conditional requests, and how they survive the process |
//! | `tail` | the end of a log, from the platform or from its object storage |
//! | `on_behalf` | for whose request it is asked |
//! | `response`, `link` | reading an answer |
//! | `failure` | what went wrong, in words |
//! | `traffic` | what was asked |

mod answers;
mod auth;
mod budget;
mod client;
mod credentials;
mod etag;
mod failure;
mod gate;
mod lanes;
mod left;
mod link;
mod on_behalf;
mod post;
mod redirect;
mod response;
mod settings;
mod spending;
mod tail;
mod traffic;
mod transport;

pub use answers::{Answers, Heard};
pub use auth::{Auth, Who};
pub use budget::Budget;
pub use client::Client;
pub use credentials::{Credentials, auth_of};
pub use left::Left;
pub use on_behalf::{asked_by, on_behalf_of};
pub use post::Post;
pub use response::Response;
pub use settings::{BudgetHeaders, Classify, ClientSettings, Dialect, Limits, Timeouts};
pub use tail::Tail;
pub use traffic::{EndpointTraffic, Traffic};
