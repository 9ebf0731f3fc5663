//! The pages, the JSON API and the live events: everything that a browser or a script sees.
//!
//! Stateless: it knows the aggregator only through [`api`], and keeps nothing but the answers it last rendered, so that it
//! can be killed at any moment and goes on showing what it has while the aggregator is away.

pub mod assets;
pub mod pages;
