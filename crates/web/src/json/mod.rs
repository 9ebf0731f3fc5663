//! The JSON API under `/api/v1`.

mod explain;
mod handlers;
mod items;
mod openapi;
mod routes;
mod session;
mod sources;
mod stats;

pub(crate) use explain::Explanation;
pub(crate) use openapi::document;
pub(crate) use routes::routes;
