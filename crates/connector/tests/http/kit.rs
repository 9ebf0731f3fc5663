//! A server that answers as it is told, also in ways that no HTTP library would, and a client for it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector::http::{Auth, BudgetHeaders, Client, ClientSettings, Dialect, Limits, Timeouts};
use domain::{ManualClock, SourceName, Timestamp};
use jiff::SignedDuration;
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use url::Url;

/// The token of every test. It must turn up in one header of requests to the platform, and nowhere else.
pub(crate) const CANARY: &str = "canary-4f1d7a";
/// When every test takes place.
pub(crate) const NOW: &str = "2026-06-05T12:00:00Z";
pub(crate) const ENDPOINT: &str = "GET /things/:id";

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Path and query.
    pub(crate) target: String,
    head: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Whether there is anything of the token in it.
    pub(crate) fn has_canary(&self) -> bool {
        self.head.contains(CANARY) || self.header("authorization").is_some()
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: String,
    body: Vec<u8>,
    /// Says a length that is this much too long, then closes.
    cut: usize,
    end: End,
    /// Answers only when it gets a permit.
    held: Option<Arc<Semaphore>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    /// No byte ever comes.
    Silent,
    /// The body's end never comes.
    Stalled,
    /// Closed without a byte.
    Closed,
}

pub(crate) fn status(status: u16) -> Reply {
    Reply { status, headers: String::new(), body: Vec::new(), cut: 0, end: End::Whole, held: None }
}

pub(crate) fn json(body: &str) -> Reply {
    status(200).header("content-type", "application/json").body(body)
}

pub(crate) fn redirect(to: impl AsRef<str>) -> Reply {
    status(302).header("location", to.as_ref())
}

impl Reply {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn cut(mut self) -> Self {
        self.cut = 10;
        self
    }

    pub(crate) fn silent(mut self) -> Self {
        self.end = End::Silent;
        self
    }

    pub(crate) fn stalled(mut self) -> Self {
        (self.cut, self.end) = (10, End::Stalled);
        self
    }

    pub(crate) fn closed(mut self) -> Self {
        self.end = End::Closed;
        self
    }

    pub(crate) fn held(mut self, by: &Arc<Semaphore>) -> Self {
        self.held = Some(Arc::clone(by));
        self
    }
}

#[derive(Debug, Default)]
struct Books {
    seen: Mutex<Vec<Seen>>,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// A server on loopback, gone with its value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    scheme: &'static str,
    books: Arc<Books>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers the n-th request (from 0) by `answer`.
    pub(crate) async fn start(answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(None, answer).await
    }

    /// The same with TLS.
    pub(crate) async fn start_tls(
        tls: TlsAcceptor,
        answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(tls), answer).await
    }

    /// Answers everything the same.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_, _| reply.clone()).await
    }

    async fn listen(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let books = Arc::new(Books::default());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut tasks = JoinSet::new();
        let (answer, ours) = (Arc::new(answer), Arc::clone(&books));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, books, tls) = (Arc::clone(&answer), Arc::clone(&ours), tls.clone());
                connections.spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &books, &*answer).await;
                            }
                        }
                        None => serve(stream, &books, &*answer).await,
                    }
                });
            }
        });
        Self { addr, scheme, books, _tasks: tasks }
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.books.seen.lock().unwrap().clone()
    }

    /// How many there were at the same time, at most.
    pub(crate) fn most_open(&self) -> usize {
        self.books.most_open.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}://{}{path}", self.scheme, self.addr)).unwrap()
    }

    /// By its other name: another host, as far as tokens go.
    pub(crate) fn foreign(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.addr.port())
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    books: &Books,
    answer: &(dyn Fn(&Seen, usize) -> Reply + Send + Sync),
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(0x16) if head.is_empty() => {
                // A TLS handshake, where it does not belong.
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                return;
            }
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let open = books.open.fetch_add(1, Ordering::SeqCst) + 1;
    books.most_open.fetch_max(open, Ordering::SeqCst);
    let head = String::from_utf8(head).unwrap();
    let seen = Seen { target: head.split(' ').nth(1).unwrap_or_default().to_owned(), head };
    let count = {
        let mut all = books.seen.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    let reply = answer(&seen, count);
    if let Some(held) = &reply.held {
        held.acquire().await.unwrap().forget();
    }
    books.open.fetch_sub(1, Ordering::SeqCst);
    match reply.end {
        End::Silent => std::future::pending().await,
        End::Closed => return,
        End::Whole | End::Stalled => {}
    }
    let length = reply.body.len() + reply.cut;
    let no_body = matches!(reply.status, 204 | 304);
    let length = if no_body { String::new() } else { format!("content-length: {length}\r\n") };
    let head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n{length}{}\r\n", reply.status, reply.headers);
    // A client that has enough of it closes; that is its right.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&reply.body).await;
    let _ = stream.flush().await;
    if reply.end == End::Stalled {
        std::future::pending().await
    }
    let _ = stream.shutdown().await;
}

pub(crate) const DIALECT: Dialect = Dialect {
    title: "Forge",
    scope: "read_things",
    headers: &[("accept", "application/json"), ("x-dialect", "1")],
    budget: Some(BudgetHeaders {
        limit: "x-limit",
        remaining: "x-remaining",
        reset: "x-reset",
        window: SignedDuration::from_hours(1),
    }),
    hourly: None,
    unmodified_is_free: false,
    classify: |_, _, _| None,
};

pub(crate) fn settings(base: Url) -> ClientSettings {
    ClientSettings {
        source: SourceName::new("forge-main").unwrap(),
        base,
        auth: Auth::Header { name: "PRIVATE-TOKEN", value: SecretString::from(CANARY) },
        dialect: DIALECT,
        ca_file: None,
        proxy: None,
        insecure_skip_verify: false,
    }
}

/// Retries at once; everything else as it is.
pub(crate) fn limits() -> Limits {
    Limits { retry_pause: Duration::ZERO, ..Limits::default() }
}

/// No try takes longer than this, except connecting.
pub(crate) fn hasty() -> Limits {
    let soon = Duration::from_millis(60);
    Limits { timeouts: Timeouts { answer: soon, ..Timeouts::default() }, ..limits() }
}

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(now()))
}

pub(crate) fn client(base: Url) -> Client {
    Client::with_limits(settings(base), clock(), limits()).unwrap()
}

/// A server that answers everything the same, and its client.
pub(crate) async fn both(reply: Reply) -> (Server, Client) {
    let server = Server::always(reply).await;
    let client = client(server.url("/api"));
    (server, client)
}
