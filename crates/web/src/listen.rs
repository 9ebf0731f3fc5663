//! The listening socket: passed to the process, its own, or taken over from the process before it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;

use axum::Router;
use lifecycle::Tasks;
#[cfg(unix)]
use lifecycle::sys::{self, Heir, Legacy, Passed, UnixSocket};
use tokio::net::TcpListener;

use crate::app::App;
use crate::entry::Entry;
use crate::{StartError, html, server};

/// A socket that listens.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    #[cfg(unix)]
    succession: Succession,
}

/// What comes before and after this process.
#[cfg(unix)]
#[derive(Debug)]
enum Succession {
    /// Nothing: the service manager holds the socket, or there is no place for a control socket.
    None,
    /// This is the first; who comes next asks here.
    First(PathBuf),
    /// Another one serves until this one is ready.
    After(Box<Heir>, PathBuf),
}

impl Door {
    /// What is listened on.
    ///
    /// # Errors
    /// Never in practice.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `app`, as soon as it has something to show where another process does until then.
    #[cfg(unix)]
    pub(crate) async fn serve(self, app: App, router: Router, entry: Entry, tasks: Tasks) {
        match self.succession {
            Succession::None => {}
            Succession::First(path) => offer(bind(&path).await, &self.listener, &tasks),
            Succession::After(heir, path) => {
                let pid = heir.pid;
                html::warm_overview(&app).await;
                let control = match heir.ready().await {
                    Ok(departing) => Some(departing.let_go()),
                    // It has ended meanwhile: the socket is here all the same.
                    Err(_) => bind(&path).await,
                };
                tracing::info!(pid, "took over from the process before this one");
                offer(control, &self.listener, &tasks);
            }
        }
        // Other settings make another one.
        drop(app);
        server::serve(self.listener, entry, router, tasks).await;
    }

    /// Serves `app`.
    #[cfg(not(unix))]
    pub(crate) async fn serve(self, _app: App, router: Router, entry: Entry, tasks: Tasks) {
        server::serve(self.listener, entry, router, tasks).await;
    }
}

impl From<TcpListener> for Door {
    fn from(listener: TcpListener) -> Self {
        Self {
            listener,
            #[cfg(unix)]
            succession: Succession::None,
        }
    }
}

/// The socket that was passed to the process (`LISTEN_FDS`), which wins over all settings; else one on `server.host` and
/// `server.port`, which is taken over from the web daemon that has it now, if there is one.
///
/// The control socket for that is in `runtime_dir`. Without one nothing is taken over, nor can it be.
///
/// # Errors
/// [`StartError::InUse`], [`StartError::Listen`], [`StartError::Passed`].
pub async fn listen(server: &config::Server, runtime_dir: Option<&Path>) -> Result<Door, StartError> {
    #[cfg(unix)]
    if let Some(listener) = passed()? {
        return Ok(listener.into());
    }
    let (host, port) = (server.host.clone(), server.port);
    match TcpListener::bind((host.as_str(), port)).await {
        Ok(listener) => {
            #[cfg(unix)]
            if let (Some(dir), Ok(address)) = (runtime_dir, listener.local_addr()) {
                let succession = Succession::First(control_path(dir, address));
                return Ok(Door { listener, succession });
            }
            Ok(listener.into())
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            #[cfg(unix)]
            if let Some(dir) = runtime_dir
                && let Some(door) = take_over(&host, port, dir).await?
            {
                return Ok(door);
            }
            Err(StartError::InUse { host, port })
        }
        Err(source) => Err(StartError::Listen { host, port, source }),
    }
}

#[cfg(unix)]
fn passed() -> Result<Option<TcpListener>, StartError> {
    let unusable = |error: io::Error| StartError::Passed(error.to_string());
    match sys::passed().map_err(|error| StartError::Passed(error.to_string()))? {
        None => Ok(None),
        Some(Passed::Tcp(listener)) => {
            listener.set_nonblocking(true).map_err(unusable)?;
            TcpListener::from_std(listener).map(Some).map_err(unusable)
        }
        Some(Passed::Unix(_)) => {
            Err(StartError::Passed("a Unix socket was passed, and HTTP wants TCP".into()))
        }
    }
}

/// The socket of the web daemon that listens there now, if it offers it.
#[cfg(unix)]
async fn take_over(host: &str, port: u16, dir: &Path) -> Result<Option<Door>, StartError> {
    let failed = |error: sys::TakeOverError| StartError::TakeOver {
        host: host.to_owned(),
        port,
        why: error.to_string(),
    };
    let Ok(addresses) = tokio::net::lookup_host((host, port)).await else { return Ok(None) };
    for address in addresses {
        let path = control_path(dir, address);
        let Some(mut heir) = sys::take_over(&path).await.map_err(failed)? else { continue };
        let listener = heir.tcp().map_err(failed)?;
        if listener.local_addr().is_ok_and(|theirs| theirs == address) {
            return Ok(Some(Door { listener, succession: Succession::After(Box::new(heir), path) }));
        }
    }
    Ok(None)
}

/// Where the web daemon that listens on `address` is asked for its socket.
#[cfg(unix)]
fn control_path(dir: &Path, address: SocketAddr) -> PathBuf {
    dir.join(format!("web-{}-{}.control", address.ip(), address.port()))
}

#[cfg(unix)]
async fn bind(path: &Path) -> Option<UnixSocket> {
    match UnixSocket::bind(path, UnixSocket::OWNER).await {
        Ok(control) => Some(control),
        Err(error) => {
            tracing::info!(path = %path.display(), ?error, "no control socket: a new process cannot take over from this one");
            None
        }
    }
}

#[cfg(unix)]
fn offer(control: Option<UnixSocket>, listener: &TcpListener, tasks: &Tasks) {
    match control.map(|control| Legacy::tcp(control, listener)) {
        Some(Ok(legacy)) => sys::offer(legacy, tasks),
        Some(Err(error)) => tracing::warn!(%error, "a new process cannot take over from this one"),
        None => {}
    }
}
