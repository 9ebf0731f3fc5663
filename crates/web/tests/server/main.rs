//! The web daemon on a scripted aggregator.

mod contract;
mod events;
mod http;
mod kit;
mod last_good;
