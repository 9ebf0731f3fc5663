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

/// The name that this machine has for itself; nothing where it has none.
#[must_use]
pub fn host_name() -> Option<String> {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_str().ok().map(str::to_owned);
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").ok();
    name.filter(|name| !name.is_empty())
}
