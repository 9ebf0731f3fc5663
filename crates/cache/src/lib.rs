//! Answers that may be a little old, kept within a bound in bytes.
//!
//! An entry has three times: when it was *fetched*, until when it is *fresh*, until when it is *stale*. Fresh, it is the
//! answer. Stale, it is the answer at once while one refresh of it runs behind. Neither, it is none, and whoever asks
//! waits for that one refresh, for a bounded time. However many ask, a key is fetched once at a time; who stops waiting
//! does not stop the fetch. A refresh that fails leaves what was there, tells why beside it, and is not tried again at
//! once.
//!
//! With [`redis`] behind it, what is in memory survives the process: a [`Shelf`] tells what changed, and takes back what was kept.
//!
//! Keys are typed; their text form is for patterns only. Time is injected: instants come from a [`domain::Clock`],
//! waiting is tokio's.

mod cache;
mod entry;
mod flight;
mod key;
pub mod redis;
mod shelf;

pub use cache::{Cache, Heard, Loaded, MIN_RETRY, Read};
pub use entry::{Entry, Freshness, Times};
pub use key::Key;
pub use shelf::{Shelf, Taken, Values};
