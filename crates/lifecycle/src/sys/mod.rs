//! What only Unix has: sockets in the file system, sockets that are passed and handed over, signals. Elsewhere the single
//! process runs without them.

#[cfg(unix)]
mod handover;
#[cfg(unix)]
mod passed;
mod signals;
#[cfg(unix)]
mod socket;

#[cfg(unix)]
pub use handover::{Heir, Legacy, TakeOverError, offer, take_over};
#[cfg(unix)]
pub use passed::{Passed, PassedError, passed};
pub use signals::{Signal, Signals};
#[cfg(unix)]
pub use socket::{BindError, Share, UnixSocket};
#[cfg(unix)]
pub use tokio::net::UnixStream;
