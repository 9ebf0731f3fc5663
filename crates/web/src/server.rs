//! From a listening socket to requests, within bounds, and to an orderly end.

mod http2;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware::map_response_with_state;
use axum::response::Response;
use http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::{TowerToHyperService, TowerToHyperServiceFuture};
use lifecycle::Tasks;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::client::Peer;
use crate::entry::{Entry, Shares};
use crate::tls::HTTP_2;

/// Connections at once; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 4096;
/// How long a client may take to send the head of a request, and to stay idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Headers of a request.
const MAX_HEADERS: usize = 100;
/// A client that takes nothing for so long is dropped: a slow reader is not waited for.
pub(crate) const WRITE_STALL: Duration = Duration::from_secs(30);
/// After the last connection was accepted: what was sent at that moment is still answered.
const LINGER: Duration = Duration::from_millis(100);
/// When the system is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts and serves connections until the process stops; then accepts what already waits, serves on for [`LINGER`],
/// and lets every connection finish what is in flight.
pub(crate) async fn serve(listener: TcpListener, entry: Entry, app: Router, tasks: Tasks) {
    let drain = CancellationToken::new();
    let app = parting(app, tasks.stop_token());
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let shares = Shares::default();
    let start = |stream: TcpStream, from: SocketAddr, permit| {
        let (tls, app, drain, own) = (entry.tls.clone(), app.clone(), drain.clone(), tasks.clone());
        let share = if entry.is_bounded(from.ip()) {
            let Some(share) = shares.take(from.ip()) else {
                tracing::debug!(%from, "too many connections from one address");
                return;
            };
            Some(share)
        } else {
            None
        };
        tasks.once(async move {
            let (_permit, _share) = (permit, share);
            // Only makes small writes late when it fails.
            let _ = stream.set_nodelay(true);
            let peer = Peer { address: from.ip(), tls: tls.is_some() };
            let app = FromPeer { app, peer };
            let Some(tls) = tls else { return serve_connection(stream, app, drain).await };
            let Some(stream) = tls.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
                http2::serve(stream, app, drain, own).await;
            } else {
                serve_connection(stream, app, drain).await;
            }
        });
    };
    loop {
        let next = async {
            // Never closed.
            let permit = Arc::clone(&room).acquire_owned().await.ok();
            (listener.accept().await, permit)
        };
        tokio::select! {
            () = tasks.stopping() => break,
            accepted = next => match accepted {
                (Ok((stream, from)), permit) => start(stream, from, permit),
                (Err(error), _) if is_of_one_connection(&error) => {}
                (Err(error), _) => {
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    // Who already waits in the system's queue was told "connected".
    while let Some((stream, from)) = waiting(&listener).await {
        start(stream, from, None);
    }
    drop(listener);
    sleep(LINGER).await;
    drain.cancel();
}

/// Once the process stops, answers say that their connection closes: who keeps connections then opens another one,
/// instead of asking on one that closes at that moment.
fn parting(app: Router, stop: CancellationToken) -> Router {
    let close = async |State(stop): State<CancellationToken>, mut response: Response| {
        if stop.is_cancelled() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    };
    app.layer(map_response_with_state(stop, close))
}

/// A connection that waits to be accepted.
async fn waiting(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    poll_fn(|cx| match listener.poll_accept(cx) {
        Poll::Ready(Ok(accepted)) => Poll::Ready(Some(accepted)),
        Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The application, to one client: its requests say whose they are.
#[derive(Debug, Clone)]
struct FromPeer {
    app: Router,
    peer: Peer,
}

impl hyper::service::Service<http::Request<Incoming>> for FromPeer {
    type Response = Response;
    type Error = Infallible;
    type Future = TowerToHyperServiceFuture<Router, http::Request<Incoming>>;

    fn call(&self, mut request: http::Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        TowerToHyperService::new(self.app.clone()).call(request)
    }
}

/// Serves one connection to its end. After `drain` it finishes the request in flight, if any, and closes.
async fn serve_connection<S>(stream: S, app: FromPeer, drain: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Impatient::new(stream)), app);
    to_its_end(connection, drain, |connection| connection.graceful_shutdown()).await;
}

/// Drives a connection to its end; after `drain` it is told to be the sooner there.
async fn to_its_end<C, E>(connection: C, drain: CancellationToken, finish: impl FnOnce(Pin<&mut C>))
where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = drain.cancelled() => {
            finish(connection.as_mut());
            connection.await
        }
    };
    if let Err(error) = result {
        // Clients that go away in the middle: their business.
        tracing::trace!(%error, "connection ended");
    }
}

/// A stream whose writes fail once they make no progress for [`WRITE_STALL`].
#[derive(Debug)]
struct Impatient<S> {
    stream: S,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn new(stream: S) -> Self {
        Self { stream, stalled: None }
    }

    fn or_stalled<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.stalled = None;
            return progress;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(WRITE_STALL)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.or_stalled(cx, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.or_stalled(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_flush(cx);
        self.or_stalled(cx, progress)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.or_stalled(cx, progress)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use std::net::Ipv4Addr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::{Notify, oneshot};
    use tokio::time::Instant;

    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    fn from_here(app: Router) -> FromPeer {
        FromPeer { app, peer: Peer { address: Ipv4Addr::LOCALHOST.into(), tls: false } }
    }

    /// A connection on which something was asked; resolves when the server is done with it.
    async fn ask(app: Router, drain: CancellationToken) -> (DuplexStream, impl Future<Output = ()>) {
        let (mut client, server) = duplex(4096);
        client.write_all(GET).await.unwrap();
        (client, serve_connection(server, from_here(app), drain))
    }

    fn endless() -> Router {
        let chunks =
            || futures::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1000])));
        Router::new().route("/", get(async move || Body::from_stream(chunks())))
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_dropped() {
        let begun = Instant::now();
        let (_client, served) = ask(endless(), CancellationToken::new()).await;
        served.await;
        assert_eq!(begun.elapsed().as_secs(), WRITE_STALL.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_that_goes_on_is_not() {
        let (mut client, served) = ask(endless(), CancellationToken::new()).await;
        let slow = async {
            for _ in 0..10 {
                sleep(WRITE_STALL - Duration::from_secs(1)).await;
                client.read_exact(&mut [0; 4096]).await.unwrap();
            }
        };
        tokio::select! { () = served => panic!("dropped"), () = slow => {} }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_dropped() {
        let (_client, server) = duplex(4096);
        let begun = Instant::now();
        serve_connection(server, from_here(endless()), CancellationToken::new()).await;
        assert_eq!(begun.elapsed().as_secs(), HEAD_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_it_byte_by_byte_is_dropped() {
        let (mut client, server) = duplex(4096);
        let begun = Instant::now();
        let slow = async {
            for byte in GET.iter().cycle() {
                if client.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_secs(5)).await;
            }
        };
        let served = serve_connection(server, from_here(endless()), CancellationToken::new());
        tokio::select! { () = served => {} () = slow => panic!("it may go on for ever") }
        assert_eq!(begun.elapsed().as_secs(), HEAD_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_a_bound() {
        for head in [
            format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(2 * MAX_HEAD_BYTES)),
            format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(MAX_HEADERS)),
        ] {
            let (mut client, server) = duplex(1024 * 1024);
            client.write_all(head.as_bytes()).await.unwrap();
            serve_connection(server, from_here(endless()), CancellationToken::new()).await;
            let mut answer = [0; 12];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer.as_slice(), b"HTTP/1.1 431", "{} bytes", head.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_flight_is_finished_and_nothing_after() {
        let (go, asked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let app = {
            let (go, asked) = (Arc::clone(&go), Arc::clone(&asked));
            let handler = async move || {
                asked.notify_one();
                go.notified().await;
                "done"
            };
            Router::new().route("/", get(handler))
        };
        let drain = CancellationToken::new();
        let (mut client, served) = ask(app, drain.clone()).await;
        let stop = async {
            asked.notified().await;
            drain.cancel();
            tokio::task::yield_now().await;
            go.notify_one();
        };
        tokio::join!(served, stop);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    }

    #[tokio::test]
    async fn who_keeps_a_connection_is_told_that_it_closes() {
        let stop = CancellationToken::new();
        let app = parting(Router::new().route("/", get("hello")), stop.clone());
        let (mut client, server) = duplex(4096);
        let served = serve_connection(server, from_here(app), CancellationToken::new());
        let ask = async {
            let mut answer = [0; 4096];
            client.write_all(GET).await.unwrap();
            let n = client.read(&mut answer).await.unwrap();
            assert!(!String::from_utf8_lossy(&answer[..n]).contains("close"));
            stop.cancel();
            client.write_all(GET).await.unwrap();
            let mut last = String::new();
            client.read_to_string(&mut last).await.unwrap();
            assert!(last.contains("connection: close\r\n") && last.ends_with("hello"), "{last}");
        };
        tokio::join!(served, ask);
    }

    #[tokio::test]
    async fn whoever_was_connected_before_the_stop_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let life = lifecycle::Lifecycle::new();
        // Connected, and not yet accepted: nothing accepts before the stop.
        let mut waiting = Vec::new();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(GET).await.unwrap();
            waiting.push(stream);
        }
        let tasks = life.tasks();
        let (stopped, is_stopped) = oneshot::channel();
        tasks.clone().run("server", async move {
            tasks.stopping().await;
            serve(listener, Entry::default(), Router::new().route("/", get("hello")), tasks).await;
            let _ = stopped.send(());
        });
        let read = async {
            for mut stream in waiting {
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                assert!(answer.ends_with("hello"), "{answer:?}");
            }
        };
        let (stop, ()) = tokio::join!(life.stop(), read);
        assert_eq!(stop, lifecycle::Stopped::Clean);
        is_stopped.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
