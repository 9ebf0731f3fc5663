//! Keys.

use std::fmt::Display;
use std::hash::Hash;

/// What an entry is found by: a type of the owner's own, so that no two kinds of entries meet by accident. Its text form
/// is for patterns; nothing is found by it.
pub trait Key: Hash + Eq + Clone + Display + Send + Sync + 'static {}

impl<T: Hash + Eq + Clone + Display + Send + Sync + 'static> Key for T {}
