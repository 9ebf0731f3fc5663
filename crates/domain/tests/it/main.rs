//! The words and the roll-up, by example and by property.

mod keys;
mod rollup;
