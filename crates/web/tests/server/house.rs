//! The real server on a port of its own, with its files, asked over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use domain::ManualClock;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use lifecycle::Lifecycle;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::fixtures::at;
use crate::kit::{Aggregator, NOW, Reply, Script, settings_in};

/// Something is waited for at most so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server and its folder.
pub(crate) struct House {
    pub(crate) aggregator: Arc<Aggregator>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) address: SocketAddr,
    server: web::Server,
    endpoint: api::Endpoint,
    dir: TempDir,
    life: Lifecycle,
}

/// A request, put together.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

pub(crate) fn get(path: &str) -> Ask {
    Ask { method: "GET", path: path.to_owned(), headers: Vec::new(), body: String::new() }
}

/// A form that is sent.
pub(crate) fn post(path: &str, form: &str) -> Ask {
    let ask = Ask { method: "POST", path: path.to_owned(), headers: Vec::new(), body: form.to_owned() };
    ask.with("content-type", "application/x-www-form-urlencoded")
}

impl Ask {
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn password(self, user: &str, password: &str) -> Self {
        use base64::Engine as _;
        let shown = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
        self.with("authorization", format!("Basic {shown}"))
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn cookie(self, cookie: &str) -> Self {
        self.with("cookie", cookie)
    }

    pub(crate) fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", "localhost");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::from(self.body.clone())).unwrap()
    }
}

/// A line of a users file; the hash is a cheap one, so that tests are quick.
pub(crate) fn user(name: &str, password: &str, groups: &str) -> String {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    format!("{name}:{}:{groups}\n", argon2.hash_password(password.as_bytes()).unwrap())
}

/// An answer whose body goes on.
pub(crate) struct Open {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    _connection: JoinSet<()>,
}

impl Open {
    /// What comes until `end` is in it, or everything.
    pub(crate) async fn text_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        let read = async {
            while !text.contains(end) {
                let Some(frame) = self.body.frame().await else { break };
                if let Ok(data) = frame.unwrap().into_data() {
                    text.push_str(std::str::from_utf8(&data).unwrap());
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, read).await.is_ok();
        assert!(in_time, "never {end:?}: {text}");
        text
    }
}

impl House {
    /// A house with these settings and files, its aggregator there.
    pub(crate) async fn open(yaml: &str, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Self::in_dir(dir, yaml).await
    }

    /// The same in a folder that is there.
    pub(crate) async fn in_dir(dir: TempDir, yaml: &str) -> Self {
        let life = Lifecycle::new();
        let tasks = life.tasks();
        let (aggregator, endpoint) = Aggregator::start(Script::default(), &tasks);
        aggregator.back();
        let clock = Arc::new(ManualClock::at(at(NOW)));
        let mut settings = settings_in(&dir, yaml);
        // Wherever it is said to listen: a test is asked from here alone.
        let mut listening = settings.server.clone();
        (listening.host, listening.port) = ("127.0.0.1".to_owned(), 0);
        settings.server.port = 0;
        let door = web::listen(&listening, None).await.unwrap();
        let server = web::serve(settings, &endpoint, Arc::clone(&clock) as _, door, &tasks).unwrap();
        Self { aggregator, clock, address: server.address(), server, endpoint, dir, life }
    }

    /// What these settings come to here.
    pub(crate) fn settings(&self, yaml: &str) -> web::WebSettings {
        settings_in(&self.dir, yaml)
    }

    /// Goes on with other settings.
    pub(crate) async fn reload(&mut self, yaml: &str) -> Result<(), web::StartError> {
        self.server.reload(self.settings(yaml), &self.endpoint).await
    }

    /// Writes a file of the house anew, as an editor does.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let beside = self.dir.path().join("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, self.dir.path().join(name)).unwrap();
    }

    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Stops it, every task ending by itself; its folder stays.
    pub(crate) async fn close(self) -> TempDir {
        assert_eq!(self.life.stop().await, lifecycle::Stopped::Clean);
        self.dir
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Reply {
        let open = self.begin(ask).await;
        let body = open.body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: http::StatusCode::from_u16(open.status).unwrap(), headers: open.headers, body }
    }

    /// Asks over a connection of its own and leaves the body to be read.
    pub(crate) async fn begin(&self, ask: &Ask) -> Open {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut send, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _ = connection.await;
        });
        let (parts, body) = send.send_request(ask.request()).await.unwrap().into_parts();
        // The connection ends with its sender, once the body is through.
        Open { status: parts.status.as_u16(), headers: parts.headers, body, _connection: tasks }
    }

    /// Asks again until the status is this one.
    pub(crate) async fn until(&self, ask: &Ask, status: u16) -> Reply {
        let wait = async {
            loop {
                let reply = self.ask(ask).await;
                if reply.status == status {
                    return reply;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} never {status}", ask.path))
    }

    /// Asks again until this is in the answer.
    pub(crate) async fn until_text(&self, ask: &Ask, says: &str) {
        let wait = async {
            while !self.ask(ask).await.text().contains(says) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} never {says}", ask.path));
    }

    /// Signs in from this machine; gives what a browser would send back.
    pub(crate) async fn sign_in(&self, user: &str, password: &str) -> String {
        let reply = self.ask(&post("/sign-in", &format!("user={user}&password={password}"))).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        cookie_of(&reply)
    }
}

/// The cookie that an answer sets, as a browser sends it back.
pub(crate) fn cookie_of(reply: &Reply) -> String {
    reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}
