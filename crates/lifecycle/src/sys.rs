//! What only Unix has: sockets in the file system, signals. Elsewhere the single process runs without them.

#[cfg(not(unix))]
pub use other::Signals;
#[cfg(unix)]
pub use unix::{BindError, Signals, UnixSocket, UnixStream};

#[cfg(unix)]
mod unix {
    use std::fs::{File, Permissions};
    use std::io::{self, Read as _, Seek as _, Write as _};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};
    use std::task::{Context, Poll};

    use tokio::net::UnixListener;
    pub use tokio::net::UnixStream;
    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// The socket's owner and group may talk, nobody else.
    const MODE: u32 = 0o660;

    /// SIGTERM and SIGINT.
    #[derive(Debug)]
    pub struct Signals {
        term: Signal,
        int: Signal,
    }

    impl Signals {
        /// Starts to listen; from now on the signals no longer end the process by themselves.
        ///
        /// # Errors
        /// When the system does not let us.
        pub fn new() -> io::Result<Self> {
            Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
        }

        /// The next request to stop.
        pub async fn stop(&mut self) {
            tokio::select! { _ = self.term.recv() => {} _ = self.int.recv() => {} }
        }
    }

    /// Why a socket could not be had.
    #[derive(Debug)]
    pub enum BindError {
        /// A living process has it.
        InUse {
            /// Which, where the system tells.
            pid: Option<u32>,
        },
        /// The system says no.
        Io(io::Error),
    }

    impl From<io::Error> for BindError {
        fn from(error: io::Error) -> Self {
            Self::Io(error)
        }
    }

    /// A listening socket in the file system, ours alone.
    ///
    /// A lock beside it tells a living owner from a stale file: the kernel drops the lock with the process, however that
    /// ended, and two that start at once cannot both have it.
    #[derive(Debug)]
    pub struct UnixSocket {
        listener: UnixListener,
        path: PathBuf,
        lock: File,
    }

    impl UnixSocket {
        /// Takes the socket at `path`: makes its folder, removes a stale file, sets mode 0660.
        ///
        /// # Errors
        /// [`BindError::InUse`] when a living process has it.
        pub async fn bind(path: &Path) -> Result<Self, BindError> {
            if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder)?;
            }
            let mut lock =
                File::options().create(true).read(true).write(true).truncate(false).open(lock_path(path))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => {
                    let mut pid = String::new();
                    lock.read_to_string(&mut pid)?;
                    return Err(BindError::InUse { pid: pid.trim().parse().ok() });
                }
                Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
            }
            // Somebody who keeps no lock may listen all the same.
            if let Ok(stream) = UnixStream::connect(path).await {
                let pid = stream.peer_cred().ok().and_then(|c| c.pid()).and_then(|p| u32::try_from(p).ok());
                return Err(BindError::InUse { pid });
            }
            if path.symlink_metadata().is_ok_and(|m| !is_socket(&m)) {
                let what = format!("{} is there and is no socket", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what).into());
            }
            remove(path)?;
            let listener = UnixListener::bind(path)?;
            std::fs::set_permissions(path, Permissions::from_mode(MODE))?;
            lock.set_len(0)?;
            lock.rewind()?;
            write!(lock, "{}", std::process::id())?;
            Ok(Self { listener, path: path.to_owned(), lock })
        }

        /// The next connection.
        pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
            self.listener.poll_accept(cx).map(|r| r.map(|(stream, _)| stream))
        }
    }

    impl Drop for UnixSocket {
        fn drop(&mut self) {
            // While the lock is held the file is ours, so this cannot take away a successor's.
            let _ = remove(&self.path);
            let _ = self.lock.unlock();
        }
    }

    fn lock_path(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        name.into()
    }

    fn is_socket(meta: &std::fs::Metadata) -> bool {
        use std::os::unix::fs::FileTypeExt as _;
        meta.file_type().is_socket()
    }

    fn remove(path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[tokio::test]
        async fn a_stale_file_is_taken_over_and_a_living_owner_is_named() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("deeper/a.sock");
            let first = UnixSocket::bind(&path).await.unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
            let Err(BindError::InUse { pid }) = UnixSocket::bind(&path).await else { panic!("two have it") };
            assert_eq!(pid, Some(std::process::id()));
            drop(first);
            assert!(!path.exists());
            // What a killed process leaves: the file, without the lock.
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            assert!(path.exists());
            let _third = UnixSocket::bind(&path).await.unwrap();
        }

        #[tokio::test]
        async fn a_listener_without_our_lock_is_respected() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.sock");
            let _other = UnixListener::bind(&path).unwrap();
            assert!(matches!(UnixSocket::bind(&path).await, Err(BindError::InUse { pid: Some(_) })));
        }

        #[tokio::test]
        async fn what_is_no_socket_is_not_removed() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("precious");
            std::fs::write(&path, "x").unwrap();
            assert!(matches!(UnixSocket::bind(&path).await, Err(BindError::Io(_))));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "x");
        }
    }
}

#[cfg(not(unix))]
mod other {
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

        /// The next request to stop.
        pub async fn stop(&mut self) {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
