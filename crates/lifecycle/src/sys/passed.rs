//! Sockets that the process was started with, as systemd does: `LISTEN_FDS`, `LISTEN_PID`.

use std::io;

use listenfd::ListenFd;

/// A listening socket that was passed to the process.
#[derive(Debug)]
pub enum Passed {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
}

/// Why what was passed is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PassedError {
    /// One process, one socket.
    #[error(
        "{0} sockets were passed (LISTEN_FDS), and one can be served: leave one ListenStream= in the socket unit"
    )]
    Several(usize),
    /// Something else than a socket that listens.
    #[error(
        "what was passed (LISTEN_FDS) is no listening stream socket: {0}; use ListenStream= and Accept=no in the socket unit"
    )]
    Unusable(io::Error),
}

/// The socket that was passed to this process, if one was. It is there for the first caller only.
///
/// # Errors
/// [`PassedError`].
pub fn passed() -> Result<Option<Passed>, PassedError> {
    let mut fds = ListenFd::from_env();
    match fds.len() {
        0 => return Ok(None),
        1 => {}
        n => return Err(PassedError::Several(n)),
    }
    match fds.take_unix_listener(0) {
        Ok(Some(listener)) => return Ok(Some(Passed::Unix(listener))),
        Ok(None) => return Ok(None),
        // Another family: it is still there to be taken.
        Err(_) => {}
    }
    let tcp = fds.take_tcp_listener(0).map_err(PassedError::Unusable)?;
    Ok(tcp.map(Passed::Tcp))
}
