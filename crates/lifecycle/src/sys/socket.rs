//! A listening Unix socket that knows whether its file is its own.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::net::{UnixListener, UnixStream};

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
    /// `None`: the file is somebody else's, who passed us the socket.
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    path: PathBuf,
    lock: File,
    /// A successor has file and lock now.
    given: Arc<AtomicBool>,
}

/// A second handle on a [`UnixSocket`], for the process that comes after this one.
#[derive(Debug)]
pub struct Share {
    listener: OwnedFd,
    lock: OwnedFd,
    given: Arc<AtomicBool>,
}

impl Share {
    /// What the successor needs, in the order of [`UnixSocket::inherit`].
    pub(crate) const fn handles(&self) -> [&OwnedFd; 2] {
        [&self.listener, &self.lock]
    }

    /// The successor has it: file and lock stay when this process lets go of them.
    pub(crate) fn give(&self) {
        self.given.store(true, Ordering::Release);
    }
}

impl UnixSocket {
    /// Its owner and group may talk, nobody else.
    pub const OWNER_AND_GROUP: u32 = 0o660;
    /// Its owner alone.
    pub const OWNER: u32 = 0o600;

    /// Takes the socket at `path`: makes its folder, removes a stale file, sets `mode`.
    ///
    /// # Errors
    /// [`BindError::InUse`] when a living process has it.
    pub async fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
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
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
        Ok(Self::owning(listener, path, lock)?)
    }

    /// Goes on with the socket and the lock of the process before this one (see [`Share`]).
    ///
    /// # Errors
    /// When the handles are not what they should be.
    pub(crate) fn inherit(path: &Path, listener: OwnedFd, lock: OwnedFd) -> io::Result<Self> {
        let listener = std::os::unix::net::UnixListener::from(listener);
        if listener.local_addr()?.as_pathname() != Some(path) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "another socket was handed over"));
        }
        listener.set_nonblocking(true)?;
        Self::owning(UnixListener::from_std(listener)?, path, lock.into())
    }

    fn owning(listener: UnixListener, path: &Path, mut lock: File) -> io::Result<Self> {
        lock.set_len(0)?;
        lock.rewind()?;
        write!(lock, "{}", std::process::id())?;
        let own = Own { path: path.to_owned(), lock, given: Arc::default() };
        Ok(Self { listener, own: Some(own) })
    }

    /// A socket whose file is somebody else's (systemd's).
    ///
    /// # Errors
    /// When the system does not let us use it.
    pub fn passed(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, own: None })
    }

    /// Where it is, if it has a name.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.listener.local_addr().ok()?.as_pathname().map(Path::to_owned)
    }

    /// Leaves file and lock alone when this is dropped, or no longer does.
    pub(crate) fn leave(&self, leave: bool) {
        if let Some(own) = &self.own {
            own.given.store(leave, Ordering::Release);
        }
    }

    /// A second handle for a successor; `None` when the file is not ours to give.
    ///
    /// # Errors
    /// When the system is out of handles.
    pub fn share(&self) -> io::Result<Option<Share>> {
        let Some(own) = &self.own else { return Ok(None) };
        let listener = self.listener.as_fd().try_clone_to_owned()?;
        let lock = own.lock.as_fd().try_clone_to_owned()?;
        Ok(Some(Share { listener, lock, given: Arc::clone(&own.given) }))
    }

    /// The next connection.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.listener.poll_accept(cx).map(|r| r.map(|(stream, _)| stream))
    }

    /// The next connection.
    ///
    /// # Errors
    /// When the system has none to give.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if !self.given.load(Ordering::Acquire) {
            // While the lock is held the file is ours, so this cannot take away a successor's.
            let _ = remove(&self.path);
            let _ = self.lock.unlock();
        }
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

    const MODE: u32 = UnixSocket::OWNER_AND_GROUP;

    #[tokio::test]
    async fn a_stale_file_is_taken_over_and_a_living_owner_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deeper/a.sock");
        let first = UnixSocket::bind(&path, MODE).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let Err(BindError::InUse { pid }) = UnixSocket::bind(&path, MODE).await else {
            panic!("two have it")
        };
        assert_eq!(pid, Some(std::process::id()));
        drop(first);
        assert!(!path.exists());
        // What a killed process leaves: the file, without the lock.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _third = UnixSocket::bind(&path, MODE).await.unwrap();
    }

    #[tokio::test]
    async fn a_listener_without_our_lock_is_respected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let _other = UnixListener::bind(&path).unwrap();
        assert!(matches!(UnixSocket::bind(&path, MODE).await, Err(BindError::InUse { pid: Some(_) })));
    }

    #[tokio::test]
    async fn what_is_no_socket_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        std::fs::write(&path, "x").unwrap();
        assert!(matches!(UnixSocket::bind(&path, MODE).await, Err(BindError::Io(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "x");
    }

    #[tokio::test]
    async fn what_was_given_away_stays_locked_and_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let first = UnixSocket::bind(&path, MODE).await.unwrap();
        let share = first.share().unwrap().unwrap();
        let [listener, lock] = share.handles().map(|h| h.try_clone().unwrap());
        let second = UnixSocket::inherit(&path, listener, lock).unwrap();
        share.give();
        drop((first, share));
        assert!(path.exists(), "the file is the second's now");
        assert!(matches!(UnixSocket::bind(&path, MODE).await, Err(BindError::InUse { .. })));
        drop(second);
        assert!(!path.exists());
        UnixSocket::bind(&path, MODE).await.unwrap();
    }

    #[tokio::test]
    async fn a_passed_socket_leaves_its_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let socket = UnixSocket::passed(theirs.try_clone().unwrap()).unwrap();
        assert_eq!(socket.path(), Some(path.clone()));
        assert!(socket.share().unwrap().is_none());
        drop(socket);
        assert!(path.exists());
    }
}
