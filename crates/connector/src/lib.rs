//! The contract that every platform's connector fulfils, and what they share: the HTTP client, errors, the registry.
//!
//! A connector turns a platform's API into [`domain`] types. It holds no state of its own beyond its client (budget and
//! ETags): what is already known comes in with the question, so that nothing is asked for twice and nothing is lost
//! when a connector is built anew.
//!
//! To add a platform, write one crate that exports a [`Platform`], and name it in the aggregator's table of platforms;
//! `CONTRIBUTING.md` goes through it step by step.

mod contract;
mod error;
mod extended;
pub mod graphql;
pub mod http;
mod registry;
pub mod signature;
pub mod wire;

pub use contract::{
    Batching, Connector, Descriptor, Extent, Heads, HeadsAsk, JobsOfRuns, Moved, Page, PageToken,
    PipelineDetail, PipelineQuery, Pipelines, ProjectPage, Words,
};
pub use error::{Error, Result};
pub use extended::{
    Actions, CurrentUser, Delivery, Deployed, Deployments, DeploymentsAsk, Event, Issue, Issues,
    MergeRequest, MergeRequestState, MergeRequests, News, Refused, TokenCheck, TokenFacts, Webhooks,
};
pub use registry::{Build, BuildError, Platform, Registry};
