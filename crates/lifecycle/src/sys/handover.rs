//! How a process hands its listening sockets to the one that comes after it, where no service manager holds them.
//!
//! Two processes that both listen on a port (`SO_REUSEPORT`) lose connections when one of them closes: each has a queue of
//! its own. So the socket itself goes from one to the other, with its queue, over a control socket:
//!
//! 1. The new process connects. Each end checks that the other runs as the same user (or as root).
//! 2. The old one sends all handles in one message, and serves on. Should the new one fail to start, nothing has happened.
//! 3. The new one says so when it is ready. From then on sockets, files and locks are its own; the old one stops accepting,
//!    finishes what is in flight and ends. The connection between them closes with the old process.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, UnixStream};
use tokio::time::timeout;

use super::socket::{Share, UnixSocket};
use crate::tasks::{Lifecycle, Tasks};

/// What the old process says, with the handles. The number rises when their order changes.
const GREETING: &[u8] = b"ci-dashboard hand-over 1\n";
/// What the new one says when it is ready.
const READY: u8 = b'!';
/// Handles in one message: the control socket, one served socket, their locks.
const MAX_HANDLES: usize = 4;
/// How long the old process may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the new one may take to become ready.
const START: Duration = Duration::from_secs(120);
/// How long the old one may take to end after it was told that it can.
const END: Duration = Duration::from_secs(5).saturating_add(Lifecycle::DRAIN);

/// Handles come in that programs started from here shall not have.
#[cfg(not(target_vendor = "apple"))]
const RECEIVE: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(target_vendor = "apple")]
const RECEIVE: RecvFlags = RecvFlags::empty();

/// Why nothing was taken over although there is a control socket.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// It belongs to somebody else.
    #[error("the process that listens runs as another user (uid {0})")]
    Stranger(u32),
    /// It speaks otherwise: another program, or another version of this one.
    #[error("the process that listens does not hand over: stop it first")]
    Foreign,
    /// It does not end.
    #[error("the process that listened does not end (pid {})", .0.map_or_else(|| "unknown".to_owned(), |p| p.to_string()))]
    Stays(Option<i32>),
    /// The system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a process hands to the one after it.
#[derive(Debug)]
pub struct Legacy {
    control: UnixSocket,
    served: Vec<OwnedFd>,
    shares: Vec<Share>,
}

impl Legacy {
    /// A listening TCP socket.
    ///
    /// # Errors
    /// When the system is out of handles.
    pub fn tcp(control: UnixSocket, listener: &TcpListener) -> io::Result<Self> {
        let shares = control.share()?.into_iter().collect();
        Ok(Self { control, served: vec![listener.as_fd().try_clone_to_owned()?], shares })
    }

    /// A Unix socket with its lock.
    ///
    /// # Errors
    /// When the system is out of handles.
    pub fn unix(control: UnixSocket, socket: &UnixSocket) -> io::Result<Self> {
        let shares = control.share()?.into_iter().chain(socket.share()?).collect();
        Ok(Self { control, served: Vec::new(), shares })
    }
}

/// Offers `legacy` to whoever comes, as a task of the process; the process stops once it was taken.
pub fn offer(legacy: Legacy, tasks: &Tasks) {
    let (stop, inner) = (tasks.stop_token(), tasks.clone());
    tasks.run("hand-over", async move {
        stop.run_until_cancelled(until_taken(legacy, &inner)).await;
    });
}

async fn until_taken(legacy: Legacy, tasks: &Tasks) {
    loop {
        let mut stream = match legacy.control.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a successor could not be heard");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        match hand_over(&legacy, &mut stream).await {
            Ok(successor) => {
                tracing::info!(pid = successor, "handed over to a new process; stopping");
                legacy.shares.iter().for_each(Share::give);
                // Closes with the process: the successor learns from it that this one has ended.
                if let Ok(stream) = stream.into_std() {
                    std::mem::forget(stream);
                }
                tasks.request_stop();
                return;
            }
            Err(error) => tracing::warn!(%error, "a successor did not get ready; going on"),
        }
    }
}

/// Sends everything and waits until the successor is ready; gives its process id.
async fn hand_over(legacy: &Legacy, stream: &mut UnixStream) -> Result<Option<i32>, TakeOverError> {
    let pid = check_peer(stream)?;
    let handles = legacy.shares.iter().flat_map(Share::handles).chain(&legacy.served);
    let handles: Vec<BorrowedFd<'_>> = handles.map(|h| h.as_fd()).collect();
    let sent = stream.async_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HANDLES))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&handles)) {
            return Err(io::Error::other("too many handles"));
        }
        Ok(sendmsg(&*stream, &[IoSlice::new(GREETING)], &mut ancillary, SendFlags::NOSIGNAL)?)
    });
    if timeout(ANSWER, sent).await.map_err(|_| timed_out())?? != GREETING.len() {
        return Err(io::Error::from(io::ErrorKind::WriteZero).into());
    }
    match timeout(START, stream.read_u8()).await.map_err(|_| timed_out())?? {
        READY => Ok(pid),
        _ => Err(TakeOverError::Foreign),
    }
}

/// What the process before this one hands over.
#[derive(Debug)]
pub struct Heir {
    /// Its process id, where the system tells.
    pub pid: Option<i32>,
    control: UnixSocket,
    handles: Vec<OwnedFd>,
    stream: UnixStream,
}

/// Asks whoever offers at `control` for its sockets. `None`: nobody does. Until [`Heir::ready`] both processes have them, and
/// the other one serves.
///
/// # Errors
/// [`TakeOverError`].
pub async fn take_over(control: &Path) -> Result<Option<Heir>, TakeOverError> {
    let stream = match UnixStream::connect(control).await {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let pid = check_peer(&stream)?;
    let received = stream.async_io(Interest::READABLE, || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HANDLES))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut text = [0; GREETING.len()];
        let read = recvmsg(&stream, &mut [IoSliceMut::new(&mut text)], &mut ancillary, RECEIVE)?.bytes;
        let handles = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(handles) => Some(handles),
            _ => None,
        });
        Ok((text.get(..read) == Some(GREETING), handles.flatten().collect::<Vec<OwnedFd>>()))
    });
    let (greeted, handles) = timeout(ANSWER, received).await.map_err(|_| timed_out())??;
    let mut handles = handles.into_iter();
    let (true, Some(listener), Some(lock)) = (greeted, handles.next(), handles.next()) else {
        return Err(TakeOverError::Foreign);
    };
    let own = UnixSocket::inherit(control, listener, lock)?;
    // Until `ready` these are the other's.
    own.leave(true);
    Ok(Some(Heir { pid, control: own, handles: handles.collect(), stream }))
}

impl Heir {
    /// The TCP socket, when that is what was handed over.
    ///
    /// # Errors
    /// When it is something else.
    pub fn tcp(&mut self) -> Result<TcpListener, TakeOverError> {
        let handle = self.handles.pop().ok_or(TakeOverError::Foreign)?;
        let listener = std::net::TcpListener::from(handle);
        listener.set_nonblocking(true)?;
        Ok(TcpListener::from_std(listener)?)
    }

    /// The Unix socket at `path`, when that is what was handed over. It is this process's own from now on.
    ///
    /// # Errors
    /// When it is something else.
    pub fn unix(&mut self, path: &Path) -> Result<UnixSocket, TakeOverError> {
        let (Some(lock), Some(listener)) = (self.handles.pop(), self.handles.pop()) else {
            return Err(TakeOverError::Foreign);
        };
        Ok(UnixSocket::inherit(path, listener, lock)?)
    }

    /// Tells the other process that it may go.
    ///
    /// # Errors
    /// When it has ended meanwhile.
    pub async fn ready(mut self) -> Result<Departing, TakeOverError> {
        self.stream.write_u8(READY).await?;
        self.control.leave(false);
        Ok(Departing { pid: self.pid, control: self.control, stream: self.stream })
    }
}

/// A process that was told to go.
#[derive(Debug)]
pub struct Departing {
    pid: Option<i32>,
    control: UnixSocket,
    stream: UnixStream,
}

impl Departing {
    /// Goes on without waiting for its end. Gives the control socket.
    #[must_use]
    pub fn let_go(self) -> UnixSocket {
        self.control
    }

    /// Waits until it has ended. Gives the control socket.
    ///
    /// # Errors
    /// [`TakeOverError::Stays`].
    pub async fn gone(mut self) -> Result<UnixSocket, TakeOverError> {
        // A reset says the same as an end.
        match timeout(END, self.stream.read_u8()).await {
            Ok(_) => Ok(self.control),
            Err(_) => Err(TakeOverError::Stays(self.pid)),
        }
    }
}

fn check_peer(stream: &UnixStream) -> Result<Option<i32>, TakeOverError> {
    let peer = stream.peer_cred()?;
    let own = rustix::process::geteuid().as_raw();
    if peer.uid() != own && peer.uid() != 0 {
        return Err(TakeOverError::Stranger(peer.uid()));
    }
    Ok(peer.pid())
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn timed_out() -> TakeOverError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::net::TcpStream;

    use super::*;
    use crate::tasks::Stopped;

    /// A process that offers a TCP socket.
    async fn offering(dir: &TempDir) -> (Lifecycle, TcpListener) {
        let control = UnixSocket::bind(&dir.path().join("c"), UnixSocket::OWNER).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let life = Lifecycle::new();
        offer(Legacy::tcp(control, &listener).unwrap(), &life.tasks());
        (life, listener)
    }

    #[tokio::test]
    async fn a_queued_connection_goes_to_the_successor_with_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let (life, old) = offering(&dir).await;
        let _queued = TcpStream::connect(old.local_addr().unwrap()).await.unwrap();
        let path = dir.path().join("c");
        let mut heir = take_over(&path).await.unwrap().unwrap();
        let new = heir.tcp().unwrap();
        assert_eq!(new.local_addr().unwrap(), old.local_addr().unwrap());
        let departing = heir.ready().await.unwrap();
        drop(old);
        assert_eq!(life.until_stopped().await, Stopped::Clean, "taken means stop");
        assert!(path.exists(), "the control socket is the successor's");
        new.accept().await.unwrap();
        // And the successor has a successor.
        let next = Lifecycle::new();
        offer(Legacy::tcp(departing.let_go(), &new).unwrap(), &next.tasks());
        let mut heir = take_over(&path).await.unwrap().unwrap();
        heir.tcp().unwrap();
        heir.ready().await.unwrap();
        assert_eq!(next.until_stopped().await, Stopped::Clean);
    }

    #[tokio::test]
    async fn a_successor_that_fails_leaves_everything_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (life, old) = offering(&dir).await;
        let path = dir.path().join("c");
        for _ in 0..3 {
            let mut heir = take_over(&path).await.unwrap().unwrap();
            drop(heir.tcp().unwrap());
            drop(heir);
        }
        assert!(path.exists());
        let client = TcpStream::connect(old.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, old.accept());
        client.unwrap();
        accepted.unwrap();
        assert_eq!(life.stop().await, Stopped::Clean);
        assert!(!path.exists(), "an orderly end without a successor takes the file away");
    }

    #[tokio::test]
    async fn nobody_and_strangers_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c");
        assert!(take_over(&path).await.unwrap().is_none());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(take_over(&path).await.unwrap().is_none(), "a stale file is nobody");
        std::fs::remove_file(&path).unwrap();
        let other = tokio::net::UnixListener::bind(&path).unwrap();
        let greet = async {
            let (mut stream, _) = other.accept().await.unwrap();
            stream.write_all(b"220 mail.example.com\r\n").await.unwrap();
        };
        let (taken, ()) = tokio::join!(take_over(&path), greet);
        assert!(matches!(taken, Err(TakeOverError::Foreign)), "{taken:?}");
    }
}
