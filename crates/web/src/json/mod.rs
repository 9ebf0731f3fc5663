//! The JSON API under `/api/v1`.

mod handlers;
mod items;
mod openapi;
mod routes;
mod session;

pub(crate) use openapi::document;
pub(crate) use routes::routes;
