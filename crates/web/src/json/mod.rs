//! The JSON API under `/api/v1`.

mod handlers;
mod items;
mod openapi;
mod routes;

pub(crate) use openapi::document;
pub(crate) use routes::routes;
