//! Signals that ask something of the process.

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT, Ctrl-C: stop.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

#[cfg(unix)]
mod unix {
    use std::io::{self, IsTerminal as _};

    use tokio::signal::unix::{SignalKind, signal};

    use super::Signal;

    /// SIGTERM, SIGINT and SIGHUP.
    #[derive(Debug)]
    pub struct Signals {
        term: tokio::signal::unix::Signal,
        int: tokio::signal::unix::Signal,
        hup: tokio::signal::unix::Signal,
        /// A terminal that closes says so by SIGHUP: whoever runs in one is to stop then.
        in_terminal: bool,
    }

    impl Signals {
        /// Starts to listen; from now on the signals no longer end the process by themselves.
        ///
        /// # Errors
        /// When the system does not let us.
        pub fn new() -> io::Result<Self> {
            Ok(Self {
                term: signal(SignalKind::terminate())?,
                int: signal(SignalKind::interrupt())?,
                hup: signal(SignalKind::hangup())?,
                in_terminal: io::stdin().is_terminal(),
            })
        }

        /// The next signal.
        pub async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.term.recv() => Signal::Stop,
                _ = self.int.recv() => Signal::Stop,
                _ = self.hup.recv() => if self.in_terminal { Signal::Stop } else { Signal::Reload },
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    use super::Signal;

    /// Ctrl-C.
    #[derive(Debug)]
    pub struct Signals;

    impl Signals {
        /// Nothing to set up.
        ///
        /// # Errors
        /// Never.
        pub fn new() -> std::io::Result<Self> {
            Ok(Self)
        }

        /// The next signal.
        pub async fn next(&mut self) -> Signal {
            let _ = tokio::signal::ctrl_c().await;
            Signal::Stop
        }
    }
}

#[cfg(not(unix))]
pub use other::Signals;
#[cfg(unix)]
pub use unix::Signals;
