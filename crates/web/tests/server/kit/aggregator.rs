//! An aggregator that says what its script tells it to, counts what it is asked, and can be cut off and brought back.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use api::v1::dashboard_service_server::DashboardServiceServer;
use api::v1::stats_service_server::StatsServiceServer;
use api::{Connection, Endpoint, InProcess, v1};
use lifecycle::Tasks;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{broadcast, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::transport::server::Connected;

use super::{NOW, Script, Service};
use crate::fixtures::{full_row, time};

#[derive(Debug)]
pub(crate) struct Aggregator {
    pub(super) script: Mutex<Script>,
    pub(super) calls: Mutex<BTreeMap<&'static str, usize>>,
    pub(super) asked: Mutex<Vec<String>>,
    pub(super) ingested: Mutex<Vec<v1::IngestWebhookRequest>>,
    /// The ids of the requests that projects were listed for.
    pub(super) request_ids: Mutex<Vec<String>>,
    pub(super) words: broadcast::Sender<v1::WatchResponse>,
    up: Mutex<Option<CancellationToken>>,
}

impl Aggregator {
    /// One that is away until it is [`Self::back`], and where it is.
    pub(crate) fn start(script: Script, tasks: &Tasks) -> (Arc<Self>, Endpoint) {
        let aggregator = Arc::new(Self {
            script: Mutex::new(script),
            calls: Mutex::default(),
            asked: Mutex::default(),
            ingested: Mutex::default(),
            request_ids: Mutex::default(),
            words: broadcast::Sender::new(1024),
            up: Mutex::new(None),
        });
        let endpoint = Endpoint::InProcess(InProcess::default());
        run(tasks, &aggregator, endpoint.clone());
        (aggregator, endpoint)
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// How often a question was asked.
    pub(crate) fn calls(&self, name: &str) -> usize {
        self.calls.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    /// The questions, as text.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The webhooks that came, and none of them any more.
    pub(crate) fn ingested(&self) -> Vec<v1::IngestWebhookRequest> {
        std::mem::take(&mut self.ingested.lock().unwrap())
    }

    /// The ids of the requests that projects were listed for.
    pub(crate) fn request_ids(&self) -> Vec<String> {
        self.request_ids.lock().unwrap().clone()
    }

    /// A new version that changed these projects.
    pub(crate) fn change(&self, projects: &[(&str, &str)]) {
        let sequence = {
            let mut script = self.script();
            script.version.1 += 1;
            script.version.1
        };
        let changes = projects
            .iter()
            .map(|(source, id)| v1::Change {
                project: Some(v1::ProjectKey { source: (*source).into(), id: (*id).into() }),
                gone: false,
            })
            .collect();
        let version = Some(v1::Version { epoch: self.script().version.0, sequence });
        let _ = self.words.send(v1::WatchResponse { version, changes, at: time(NOW), ..Default::default() });
    }

    /// A new version that changed these projects' lists only.
    pub(crate) fn change_lists(&self, projects: &[(&str, &str)]) {
        let version = {
            let mut script = self.script();
            script.version.1 += 1;
            v1::Version { epoch: script.version.0, sequence: script.version.1 }
        };
        let key = |(source, id): &(&str, &str)| v1::ProjectKey { source: (*source).into(), id: (*id).into() };
        let _ = self.words.send(v1::WatchResponse {
            version: Some(version),
            work_changed: true,
            work: projects.iter().map(key).collect(),
            at: time(NOW),
            ..Default::default()
        });
    }

    /// Cuts every connection, and refuses new ones until [`Self::back`].
    pub(crate) fn away(&self) {
        self.up.lock().unwrap().take().unwrap().cancel();
    }

    /// Takes connections again.
    pub(crate) fn back(&self) {
        *self.up.lock().unwrap() = Some(CancellationToken::new());
    }

    /// Back as another process, with another epoch.
    pub(crate) fn restarted(&self) {
        let mut script = self.script();
        script.version = (script.version.0 + 1, 1);
        drop(script);
        self.back();
    }

    pub(super) fn version(&self) -> Option<v1::Version> {
        let (epoch, sequence) = self.script().version;
        Some(v1::Version { epoch, sequence })
    }

    pub(super) async fn count(
        &self,
        name: &'static str,
        request: &impl std::fmt::Debug,
    ) -> Result<(), Status> {
        *self.calls.lock().unwrap().entry(name).or_default() += 1;
        self.asked.lock().unwrap().push(format!("{name} {request:?}"));
        let (hang, fail) = {
            let script = self.script();
            (script.hang, script.fail.clone())
        };
        if hang {
            std::future::pending::<()>().await;
        }
        fail.map_or(Ok(()), Err)
    }

    /// The row of a project, with its canonical key.
    pub(super) fn find(&self, key: Option<&v1::ProjectKey>) -> Result<v1::Row, Status> {
        let key = key.ok_or_else(|| Status::invalid_argument("no key"))?;
        let script = self.script();
        if script.echo {
            let mut row = full_row();
            row.project.as_mut().unwrap().key = Some(key.clone());
            return Ok(row);
        }
        let id = script.renamed.get(&(key.source.clone(), key.id.clone())).unwrap_or(&key.id);
        let wanted = v1::ProjectKey { source: key.source.clone(), id: id.clone() };
        let key_of =
            |row: &&v1::Row| row.project.as_ref().and_then(|p| p.key.clone()) == Some(wanted.clone());
        script.rows.iter().find(key_of).cloned().ok_or_else(|| Status::not_found("there is no such project"))
    }

    /// Only the canonical key will do.
    pub(super) fn know(&self, key: Option<&v1::ProjectKey>) -> Result<(), Status> {
        let Some(key) = key else { return Ok(()) };
        let row = self.find(Some(key))?;
        if row.project.and_then(|p| p.key).as_ref() == Some(key) {
            Ok(())
        } else {
            Err(Status::not_found("there is no such project"))
        }
    }
}

fn run(tasks: &Tasks, aggregator: &Arc<Aggregator>, endpoint: Endpoint) {
    let (to, from) = mpsc::channel(16);
    let pump = {
        let aggregator = Arc::clone(aggregator);
        async move {
            let mut incoming = endpoint.listen().await.unwrap().incoming();
            while let Some(Ok(stream)) = incoming.next().await {
                let up = aggregator.up.lock().unwrap().clone();
                // Away: the connection is dropped.
                if let Some(cut) = up {
                    let cut = Box::pin(cut.cancelled_owned());
                    let _ = to.send(Ok::<_, std::io::Error>(Cut { stream, cut })).await;
                }
            }
        }
    };
    let stop = tasks.stop_token();
    tasks.run("pump", async move {
        stop.run_until_cancelled(pump).await;
    });
    let service = DashboardServiceServer::new(Service(Arc::clone(aggregator)))
        .max_decoding_message_size(api::MAX_MESSAGE_BYTES);
    let stats = StatsServiceServer::new(Service(Arc::clone(aggregator)));
    let stop = tasks.stop_token();
    tasks.run("aggregator", async move {
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .add_service(stats)
            .serve_with_incoming(ReceiverStream::new(from));
        stop.run_until_cancelled(server).await;
    });
}

/// A connection that ends when it is cut.
struct Cut {
    stream: Connection,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connected for Cut {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
