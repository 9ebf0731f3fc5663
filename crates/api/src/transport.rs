//! How the two daemons reach each other: a Unix socket, TCP on loopback, or a pipe within one process.

use std::fmt;
use std::future::Future as _;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
#[cfg(unix)]
use lifecycle::sys::{Passed, UnixSocket};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::transport::server::Connected;
use tower::service_fn;

use crate::v1::dashboard_service_client::DashboardServiceClient;
use crate::v1::stats_service_client::StatsServiceClient;

/// A connection to the aggregator that makes itself anew whenever it breaks.
pub type Channel = tonic::transport::Channel;
/// The aggregator's client.
pub type Client = DashboardServiceClient<Channel>;
/// The client for what history teaches.
pub type StatsClient = StatsServiceClient<Channel>;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a silent connection is asked whether it is alive, and how long it may take to say so.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// Bytes in flight within the in-process pipe.
const PIPE_BYTES: usize = 256 * 1024;
/// Connections waiting to be accepted within the process.
const PIPE_BACKLOG: usize = 16;

/// Where the aggregator is.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// Host and port.
    Tcp(String, u16),
    /// This process.
    InProcess(InProcess),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "tcp://{host}:{port}"),
            Self::InProcess(_) => f.write_str("in-process"),
        }
    }
}

/// Both ends of an in-process transport: connections made at one end come out at the other.
#[derive(Debug, Clone)]
pub struct InProcess {
    to: mpsc::Sender<DuplexStream>,
    from: Arc<std::sync::Mutex<Option<mpsc::Receiver<DuplexStream>>>>,
}

impl Default for InProcess {
    fn default() -> Self {
        let (to, from) = mpsc::channel(PIPE_BACKLOG);
        Self { to, from: Arc::new(std::sync::Mutex::new(Some(from))) }
    }
}

impl InProcess {
    async fn connect(&self) -> io::Result<DuplexStream> {
        let (mine, theirs) = tokio::io::duplex(PIPE_BYTES);
        self.to.send(theirs).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(mine)
    }
}

fn client(channel: Channel) -> Client {
    DashboardServiceClient::new(channel)
        .max_decoding_message_size(crate::MAX_MESSAGE_BYTES)
        .max_encoding_message_size(crate::MAX_MESSAGE_BYTES)
}

impl Endpoint {
    /// A client that connects when it is first used and again whenever it has to. No I/O.
    ///
    /// # Errors
    /// When host and port make no address.
    pub fn client(&self) -> Result<Client, tonic::transport::Error> {
        Ok(client(self.channel()?))
    }

    /// Both clients, on one connection.
    ///
    /// # Errors
    /// When host and port make no address.
    pub fn clients(&self) -> Result<(Client, StatsClient), tonic::transport::Error> {
        let channel = self.channel()?;
        let stats = StatsServiceClient::new(channel.clone())
            .max_decoding_message_size(crate::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(crate::MAX_MESSAGE_BYTES);
        Ok((client(channel), stats))
    }

    fn channel(&self) -> Result<Channel, tonic::transport::Error> {
        let endpoint = self.clone();
        // The authority is never used to find the way, but HTTP/2 wants one.
        Ok(tonic::transport::Endpoint::try_from("http://aggregator")?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE.0)
            .keep_alive_timeout(KEEP_ALIVE.1)
            .keep_alive_while_idle(true)
            .connect_with_connector_lazy(service_fn(move |_| {
                let endpoint = endpoint.clone();
                async move { endpoint.connect().await.map(TokioIo::new) }
            })))
    }

    async fn connect(&self) -> io::Result<Connection> {
        Ok(match self {
            #[cfg(unix)]
            Self::Unix(path) => Connection::Unix(lifecycle::sys::UnixStream::connect(path).await?),
            #[cfg(not(unix))]
            Self::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
            Self::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Connection::Tcp(stream)
            }
            Self::InProcess(pipe) => Connection::Pipe(pipe.connect().await?),
        })
    }

    /// Starts to listen.
    ///
    /// # Errors
    /// [`ListenError`], one sentence each.
    pub async fn listen(&self) -> Result<Listener, ListenError> {
        let failed = |source| ListenError::Io { at: self.to_string(), source };
        match self {
            #[cfg(unix)]
            Self::Unix(path) => match UnixSocket::bind(path, UnixSocket::OWNER_AND_GROUP).await {
                Ok(socket) => Ok(Listener::Unix(socket)),
                Err(lifecycle::sys::BindError::InUse { pid }) => {
                    Err(ListenError::InUse { path: path.clone(), pid })
                }
                Err(lifecycle::sys::BindError::Io(source)) => Err(failed(source)),
            },
            #[cfg(not(unix))]
            Self::Unix(_) => Err(failed(io::ErrorKind::Unsupported.into())),
            Self::Tcp(host, port) => {
                let addresses = tokio::net::lookup_host((host.as_str(), *port)).await.map_err(failed)?;
                let addresses: Vec<_> = addresses.collect();
                if !addresses.iter().all(|a| a.ip().is_loopback()) {
                    return Err(ListenError::NotLoopback { at: self.to_string() });
                }
                Ok(Listener::Tcp(TcpListener::bind(&*addresses).await.map_err(failed)?))
            }
            Self::InProcess(pipe) => {
                let from = pipe.from.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                from.map(Listener::Pipe).ok_or_else(|| failed(io::ErrorKind::AddrInUse.into()))
            }
        }
    }
}

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else does.
    #[error("another aggregator{} already listens on {}", pid.map(|p| format!(" (pid {p})")).unwrap_or_default(), path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
        /// Who, where it can be told.
        pid: Option<u32>,
    },
    /// Without certificates at both ends, plain TCP stays on this machine.
    #[error("{at} is not a loopback address: plain TCP is refused off this machine")]
    NotLoopback {
        /// The address.
        at: String,
    },
    /// What the service manager passed is of no use.
    #[cfg(unix)]
    #[error(transparent)]
    Passed(#[from] lifecycle::sys::PassedError),
    /// The system says no.
    #[error("cannot listen on {at}: {source}")]
    Io {
        /// The address.
        at: String,
        /// Why.
        source: io::Error,
    },
}

/// Something that accepts connections.
#[derive(Debug)]
pub enum Listener {
    /// A Unix socket; its file goes when this is dropped.
    #[cfg(unix)]
    Unix(UnixSocket),
    /// TCP.
    Tcp(TcpListener),
    /// This process.
    Pipe(mpsc::Receiver<DuplexStream>),
}

impl Listener {
    /// The socket that the process was started with (`LISTEN_FDS`), if there is one: it wins over all settings.
    ///
    /// # Errors
    /// [`ListenError`] when it cannot be used.
    pub fn passed() -> Result<Option<Self>, ListenError> {
        #[cfg(not(unix))]
        return Ok(None);
        #[cfg(unix)]
        match lifecycle::sys::passed()? {
            None => Ok(None),
            Some(Passed::Unix(listener)) => {
                let failed = |source| ListenError::Io { at: "the passed socket".to_owned(), source };
                UnixSocket::passed(listener).map(|socket| Some(Self::Unix(socket))).map_err(failed)
            }
            Some(Passed::Tcp(listener)) => {
                let failed = |source| ListenError::Io { at: "the passed socket".to_owned(), source };
                let address = listener.local_addr().map_err(failed)?;
                if !address.ip().is_loopback() {
                    return Err(ListenError::NotLoopback { at: address.to_string() });
                }
                listener.set_nonblocking(true).map_err(failed)?;
                Ok(Some(Self::Tcp(TcpListener::from_std(listener).map_err(failed)?)))
            }
        }
    }

    /// The connections, as tonic's server takes them.
    #[must_use]
    pub fn incoming(self) -> Incoming {
        Incoming { listener: self, pause: None }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(unix)]
            Self::Unix(socket) => match socket.path() {
                Some(path) => write!(f, "unix:{}", path.display()),
                None => f.write_str("a Unix socket without a name"),
            },
            Self::Tcp(tcp) => match tcp.local_addr() {
                Ok(address) => write!(f, "tcp://{address}"),
                Err(_) => f.write_str("TCP"),
            },
            Self::Pipe(_) => f.write_str("in-process"),
        }
    }
}

/// How long to wait after the system refused to give a connection (too many open files): it passes, and asking in a loop
/// would make it worse.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections as they come. Never ends because of an error.
#[derive(Debug)]
pub struct Incoming {
    listener: Listener,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Incoming {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Connection>>> {
        match &mut self.listener {
            #[cfg(unix)]
            Listener::Unix(socket) => socket.poll_accept(cx).map(|s| Some(s.map(Connection::Unix))),
            Listener::Tcp(tcp) => tcp.poll_accept(cx).map(|s| {
                Some(s.and_then(|(s, _)| {
                    s.set_nodelay(true)?;
                    Ok(Connection::Tcp(s))
                }))
            }),
            Listener::Pipe(pipe) => pipe.poll_recv(cx).map(|s| s.map(|s| Ok(Connection::Pipe(s)))),
        }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match std::task::ready!(self.poll_accept(cx)) {
                Some(Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.pause = Some(Box::pin(tokio::time::sleep(ACCEPT_PAUSE)));
                }
                other => return Poll::Ready(other),
            }
        }
    }
}

/// One connection of any kind.
#[derive(Debug)]
pub enum Connection {
    /// Over a Unix socket.
    #[cfg(unix)]
    Unix(lifecycle::sys::UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
    /// Within the process.
    Pipe(DuplexStream),
}

impl Connected for Connection {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

macro_rules! each {
    // each!(self, s => body) => one match arm per kind of stream with the same body.
    ($self:ident, $s:ident => $body:expr) => {
        match $self.get_mut() {
            #[cfg(unix)]
            Connection::Unix($s) => $body,
            Connection::Tcp($s) => $body,
            Connection::Pipe($s) => $body,
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, s => Pin::new(s).poll_read(cx, buf))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, s => Pin::new(s).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => Pin::new(s).poll_shutdown(cx))
    }
}
