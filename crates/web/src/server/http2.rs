//! HTTP/2: many requests at once over one connection, which ends when there are none for a while.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use futures::future::BoxFuture;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use lifecycle::Tasks;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{FromPeer, HEAD_TIMEOUT, Impatient, MAX_HEAD_BYTES};

/// Requests at once over one connection.
const MAX_STREAMS: u32 = 100;
/// How long a client may take to go after it was told to.
const PARTING: Duration = Duration::from_secs(5);

/// Serves one connection to its end. It is told to end when nothing was in flight for [`HEAD_TIMEOUT`], and after `drain`;
/// a client that does not go then is dropped.
pub(super) async fn serve<S>(stream: S, app: FromPeer, drain: CancellationToken, tasks: Tasks)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let in_flight = InFlight::default();
    let connection = http2::Builder::new(Within(tasks))
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .keep_alive_interval(HEAD_TIMEOUT)
        .keep_alive_timeout(HEAD_TIMEOUT)
        .serve_connection(
            TokioIo::new(Impatient::new(stream)),
            Counted { app, in_flight: in_flight.clone() },
        );
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        result = connection.as_mut() => Some(result),
        () = drain.cancelled() => None,
        () = in_flight.none_for(HEAD_TIMEOUT) => None,
    };
    let result = match ended {
        Some(result) => result,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                result = connection => result,
                // It has not even begun, or holds on to it.
                () = in_flight.none_for(PARTING) => return,
            }
        }
    };
    if let Err(error) = result {
        // Clients that go away in the middle: their business.
        tracing::trace!(%error, "connection ended");
    }
}

/// Runs what a connection starts within the life of the process.
#[derive(Debug, Clone)]
struct Within(Tasks);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Within {
    fn execute(&self, task: F) {
        self.0.once(task);
    }
}

/// How many requests of a connection are not yet answered to their end. Cheap to clone.
#[derive(Debug, Clone, Default)]
struct InFlight(watch::Sender<usize>);

impl InFlight {
    /// One more, until it is dropped.
    fn one(&self) -> One {
        self.0.send_modify(|count| *count += 1);
        One(self.clone())
    }

    /// Done once there were none for so long.
    async fn none_for(&self, long: Duration) {
        let mut count = self.0.subscribe();
        loop {
            let none = *count.borrow_and_update() == 0;
            // Any change begins it anew: one that came and went was one.
            tokio::select! {
                _ = count.changed() => {}
                () = sleep(long), if none => return,
            }
        }
    }
}

#[derive(Debug)]
struct One(InFlight);

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// The application, its requests counted.
#[derive(Debug, Clone)]
struct Counted {
    app: FromPeer,
    in_flight: InFlight,
}

impl Service<http::Request<Incoming>> for Counted {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let (one, answer) = (self.in_flight.one(), self.app.call(request));
        Box::pin(async move { Ok(answer.await?.map(|body| Body::new(Lasting { body, _one: one }))) })
    }
}

/// A body that counts as long as it is there.
#[derive(Debug)]
struct Lasting {
    body: Body,
    _one: One,
}

impl HttpBody for Lasting {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::Router;
    use axum::routing::get;
    use http_body_util::{BodyExt as _, Empty};
    use hyper::client::conn::http2 as client;
    use hyper_util::rt::TokioExecutor;
    use lifecycle::Lifecycle;
    use tokio::io::duplex;
    use tokio::time::Instant;

    use super::*;
    use crate::client::Peer;

    /// Answers at once, or goes on for three times as long as nothing may be in flight.
    fn app() -> FromPeer {
        let long = || {
            let slowly = futures::stream::unfold(0_u8, async |n| {
                sleep(HEAD_TIMEOUT).await;
                (n < 3).then(|| (Ok::<_, Infallible>(Bytes::from_static(b".")), n + 1))
            });
            Body::from_stream(slowly)
        };
        let app = Router::new().route("/", get("hello")).route("/long", get(async move || long()));
        FromPeer { app, peer: Peer { address: Ipv4Addr::LOCALHOST.into(), tls: true } }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_dropped() {
        let (life, begun) = (Lifecycle::new(), Instant::now());
        let (_client, server) = duplex(4096);
        serve(server, app(), CancellationToken::new(), life.tasks()).await;
        assert_eq!(begun.elapsed().as_secs(), (HEAD_TIMEOUT + PARTING).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_does_not_hold_up_the_end() {
        let (life, begun, drain) = (Lifecycle::new(), Instant::now(), CancellationToken::new());
        let (_client, server) = duplex(4096);
        drain.cancel();
        serve(server, app(), drain, life.tasks()).await;
        assert_eq!(begun.elapsed().as_secs(), PARTING.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn who_only_answers_pings_is_sent_away_and_who_is_answered_is_not() {
        let (life, begun) = (Lifecycle::new(), Instant::now());
        let (near, server) = duplex(64 * 1024);
        let served = serve(server, app(), CancellationToken::new(), life.tasks());
        let (mut send, connection) =
            client::handshake(TokioExecutor::new(), TokioIo::new(near)).await.unwrap();
        let ask = async {
            let mut of = async |path: &str| {
                let request = http::Request::get(format!("https://x{path}"));
                let answer = send.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
                answer.into_body().collect().await.unwrap().to_bytes()
            };
            assert_eq!(of("/").await, "hello");
            assert_eq!(of("/long").await, "...");
            assert_eq!(begun.elapsed().as_secs(), (HEAD_TIMEOUT * 4).as_secs());
            // Keeps the connection and asks nothing more.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = async { let _ = tokio::join!(served, connection); } => {}
            () = ask => {}
        }
        let (took, idle) = (begun.elapsed(), HEAD_TIMEOUT * 5);
        assert!(idle <= took && took.as_secs() <= (idle + PARTING).as_secs(), "{took:?}");
    }
}
