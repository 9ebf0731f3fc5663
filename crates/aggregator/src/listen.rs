//! The listening socket: passed to the process, its own, or taken over from the process before it.

#[cfg(unix)]
use std::path::{Path, PathBuf};

use lifecycle::Tasks;
#[cfg(unix)]
use lifecycle::sys::{self, Heir, Legacy, TakeOverError, UnixSocket};

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The socket is not to be had.
    #[error(transparent)]
    Listen(#[from] api::ListenError),
    /// The aggregator that has it did not hand it over.
    #[cfg(unix)]
    #[error("cannot take over {at}: {why}")]
    TakeOver {
        /// The control socket.
        at: String,
        /// Why.
        why: TakeOverError,
    },
}

/// The socket that was passed to the process (`LISTEN_FDS`), which wins over all settings; else `endpoint`'s.
///
/// With `take_over` an aggregator that has the Unix socket hands it over and ends; this waits until it has, so that never
/// two of them ask the platforms or write the same history. Who connects meanwhile waits in the socket's queue.
///
/// # Errors
/// [`ListenError`].
pub async fn listen(
    endpoint: &api::Endpoint,
    take_over: bool,
    tasks: &Tasks,
) -> Result<api::Listener, ListenError> {
    if let Some(passed) = api::Listener::passed()? {
        return Ok(passed);
    }
    #[cfg(unix)]
    if let api::Endpoint::Unix(socket) = endpoint {
        let path = control_path(socket);
        if take_over && let Some(heir) = sys::take_over(&path).await.map_err(|why| failed(&path, why))? {
            return succeed(heir, socket, tasks).await.map_err(|why| failed(&path, why));
        }
        let listener = endpoint.listen().await?;
        if let api::Listener::Unix(socket) = &listener {
            match UnixSocket::bind(&path, UnixSocket::OWNER).await {
                Ok(control) => offer(control, socket, tasks),
                Err(error) => {
                    tracing::info!(path = %path.display(), ?error, "no control socket: --take-over will not work");
                }
            }
        }
        return Ok(listener);
    }
    #[cfg(not(unix))]
    let _ = (take_over, tasks);
    Ok(endpoint.listen().await?)
}

/// Waits for the end of the process before this one, and goes on with its socket.
#[cfg(unix)]
async fn succeed(mut heir: Heir, served: &Path, tasks: &Tasks) -> Result<api::Listener, TakeOverError> {
    let pid = heir.pid;
    let socket = heir.unix(served)?;
    let control = heir.ready().await?.gone().await?;
    tracing::info!(pid, path = %served.display(), "took over from the aggregator before this one");
    offer(control, &socket, tasks);
    Ok(api::Listener::Unix(socket))
}

/// Lets the next process ask for the socket.
#[cfg(unix)]
fn offer(control: UnixSocket, socket: &UnixSocket, tasks: &Tasks) {
    match Legacy::unix(control, socket) {
        Ok(legacy) => sys::offer(legacy, tasks),
        Err(error) => tracing::warn!(%error, "--take-over will not work"),
    }
}

/// Where the aggregator that listens at `socket` is asked for it.
#[cfg(unix)]
fn control_path(socket: &Path) -> PathBuf {
    socket.with_added_extension("control")
}

#[cfg(unix)]
fn failed(control: &Path, why: TakeOverError) -> ListenError {
    ListenError::TakeOver { at: control.display().to_string(), why }
}
