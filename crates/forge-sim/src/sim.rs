//! The running simulation: one listener on loopback for each face, and one for the object store.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::access::{Access, Limits, Token};
use crate::clock::{Clock, SystemClock};
use crate::face::{Face, FaceSettings};
use crate::faults::{Effect, Faults};
use crate::http::{Reply, Request};
use crate::requests::{Record, Requests};
use crate::world::{FaceId, Pace, SharedWorld, World, WorldConfig};
use crate::{bitbucket, bitbucket_dc, cctray, circleci, gitea, github, gitlab, jenkins, mangle, store};

/// The driver moves the world so often, in real time.
const DRIVER_TICK: Duration = Duration::from_millis(250);
/// With fewer projects than this the demo is slower, …
const DEMO_CROWD: usize = 24;
/// … but at most so many times.
const DEMO_SLOWEST: usize = 6;
/// A client may send so much of a body; nothing simulated needs more.
const MAX_REQUEST_BODY: usize = 1 << 20;
/// Pieces in which a huge body is sent.
const HUGE_CHUNK: usize = 64 * 1024;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The ids of all faces that there are; [`make_face`] makes each.
pub const FACES: &[FaceId] = &[
    gitlab::FACE,
    github::FACE,
    gitea::FACE,
    circleci::FACE,
    cctray::FACE,
    jenkins::FACE,
    bitbucket::FACE,
    bitbucket_dc::FACE,
];

/// Makes the face of an id.
#[must_use]
pub fn make_face(id: FaceId, settings: &FaceSettings) -> Option<Box<dyn Face>> {
    match id {
        gitlab::FACE => Some(Box::new(gitlab::Gitlab::new(settings))),
        github::FACE => Some(Box::new(github::Github::new(settings))),
        gitea::FACE => Some(Box::new(gitea::Gitea::new(settings))),
        circleci::FACE => Some(Box::new(circleci::Circleci::new(settings))),
        cctray::FACE => Some(Box::new(cctray::Cctray::new(settings))),
        jenkins::FACE => Some(Box::new(jenkins::Jenkins::new(settings))),
        bitbucket::FACE => Some(Box::new(bitbucket::Bitbucket::new(settings))),
        bitbucket_dc::FACE => Some(Box::new(bitbucket_dc::BitbucketDc::new(settings))),
        _ => None,
    }
}

/// Settings of a simulation; begin with [`Sim::builder`].
#[derive(Debug)]
pub struct SimBuilder {
    seed: u64,
    projects: usize,
    clock: Arc<dyn Clock>,
    faces: Vec<FaceId>,
    access: Access,
    pace: Pace,
    broken: Option<usize>,
    running: Option<usize>,
    asleep: f64,
    driven: bool,
    gitea: gitea::Api,
    installations: Vec<github::Installation>,
    graphql: bool,
}

impl SimBuilder {
    /// The same seed gives the same world. Default 1.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Projects in all, dealt to the faces in turn. Default 60.
    #[must_use]
    pub fn projects(mut self, projects: usize) -> Self {
        self.projects = projects;
        self
    }

    /// Where the time comes from. Default: the machine.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Which platforms. Default: all that there are.
    #[must_use]
    pub fn faces(mut self, faces: impl IntoIterator<Item = FaceId>) -> Self {
        self.faces = faces.into_iter().collect();
        self
    }

    /// Adds a token to the default ones.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.access.tokens.push(token);
        self
    }

    /// Limits of requests. Default: those of gitlab.com and github.com.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.access.limits = limits;
        self
    }

    /// Which generation of its API the simulated Gitea speaks. Default: the newest.
    #[must_use]
    pub fn gitea(mut self, api: gitea::Api) -> Self {
        self.gitea = api;
        self
    }

    /// Where the App of the simulated GitHub is installed. Default: at one organization.
    #[must_use]
    pub fn installations(mut self, installations: Vec<github::Installation>) -> Self {
        self.installations = installations;
        self
    }

    /// GitHub and GitLab are servers without GraphQL.
    #[must_use]
    pub fn without_graphql(mut self) -> Self {
        self.graphql = false;
        self
    }

    /// How fast the world moves by itself. Default: [`Pace::STILL`].
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// So many projects are red at the start.
    #[must_use]
    pub fn broken(mut self, broken: usize) -> Self {
        self.broken = Some(broken);
        self
    }

    /// So many pipelines run at the start.
    #[must_use]
    pub fn running(mut self, running: usize) -> Self {
        self.running = Some(running);
        self
    }

    /// This share of the lively projects, 0 to 1, sleeps: nothing has happened in them for days. Default 0.
    #[must_use]
    pub fn asleep(mut self, share: f64) -> Self {
        self.asleep = share.clamp(0.0, 1.0);
        self
    }

    /// The demo's pace, moved by a task of the simulation. (Requests move the world as well.)
    #[must_use]
    pub fn demo(mut self) -> Self {
        self.pace = Pace::DEMO;
        self.driven = true;
        self
    }

    /// Makes the world and begins to listen on 127.0.0.1, on ports that the system chooses.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(self) -> io::Result<Sim> {
        let mut pace = self.pace;
        if let (true, Some(every)) = (self.driven, pace.event_every) {
            // A handful of projects would never rest at the pace of many.
            let few = DEMO_CROWD.checked_div(self.projects).unwrap_or(1).clamp(1, DEMO_SLOWEST);
            pace.event_every = Some(every * i32::try_from(few).unwrap_or(1));
        }
        let store_listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let store_addr = store_listener.local_addr()?;
        let settings = FaceSettings {
            access: self.access,
            store_url: format!("http://{store_addr}"),
            store_key: self.seed ^ 0x5eed,
            installations: self.installations,
            graphql: self.graphql,
            gitea: self.gitea,
        };
        let faces: Vec<Box<dyn Face>> =
            self.faces.iter().filter_map(|id| make_face(*id, &settings)).collect();
        let world = SharedWorld::new(World::new(WorldConfig {
            seed: self.seed,
            projects: self.projects,
            start: self.clock.now(),
            faces: faces.iter().map(|face| (face.id(), face.style())).collect(),
            pace,
            broken: self.broken,
            running: self.running,
            asleep: self.asleep,
        }));
        let shared = Shared {
            world: world.clone(),
            clock: self.clock,
            faults: Faults::default(),
            requests: Requests::default(),
        };
        let mut tasks = JoinSet::new();
        let mut addresses = Vec::new();
        for face in faces {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            addresses.push((face.id(), listener.local_addr()?));
            tasks.spawn(listen(listener, shared.clone(), Arc::from(face)));
        }
        tasks.spawn(listen(store_listener, shared.clone(), Arc::new(store::Store::new(settings.store_key))));
        if self.driven {
            tasks.spawn(drive(shared.clone()));
        }
        Ok(Sim { world, faults: shared.faults, requests: shared.requests, addresses, store_addr, tasks })
    }
}

/// A running simulation. Dropping it ends all its listeners and connections.
#[derive(Debug)]
pub struct Sim {
    world: SharedWorld,
    faults: Faults,
    requests: Requests,
    addresses: Vec<(FaceId, SocketAddr)>,
    store_addr: SocketAddr,
    tasks: JoinSet<()>,
}

impl Sim {
    /// Begins a simulation's settings.
    #[must_use]
    pub fn builder() -> SimBuilder {
        SimBuilder {
            seed: 1,
            projects: 60,
            clock: Arc::new(SystemClock),
            faces: FACES.to_vec(),
            access: Access::default(),
            pace: Pace::STILL,
            broken: None,
            running: None,
            asleep: 0.0,
            driven: false,
            gitea: gitea::Api::default(),
            installations: vec![github::Installation { id: 1, account: "acme".to_owned() }],
            graphql: true,
        }
    }

    /// Base URL of a face, `http://127.0.0.1:port`; empty when it does not take part.
    #[must_use]
    pub fn url(&self, face: FaceId) -> String {
        self.addresses
            .iter()
            .find(|(id, _)| *id == face)
            .map_or_else(String::new, |(_, addr)| format!("http://{addr}"))
    }

    /// What stands in place of `https://gitlab.com`.
    #[must_use]
    pub fn gitlab_url(&self) -> String {
        self.url(gitlab::FACE)
    }

    /// What stands in place of `https://api.github.com`; `/api/v3` after it works as well.
    #[must_use]
    pub fn github_url(&self) -> String {
        self.url(github::FACE)
    }

    /// What stands in place of `https://gitea.example.com`; any path prefix before `/api/v1` works as well.
    #[must_use]
    pub fn gitea_url(&self) -> String {
        self.url(gitea::FACE)
    }

    /// What stands in place of `https://circleci.com`.
    #[must_use]
    pub fn circleci_url(&self) -> String {
        self.url(circleci::FACE)
    }

    /// Address of the cctray feed; empty when it does not take part.
    #[must_use]
    pub fn cctray_url(&self) -> String {
        let base = self.url(cctray::FACE);
        if base.is_empty() { base } else { format!("{base}{}", cctray::PATH) }
    }

    /// The root of what stands in place of a company's Jenkins.
    #[must_use]
    pub fn jenkins_url(&self) -> String {
        self.url(jenkins::FACE)
    }

    /// What stands in place of `https://api.bitbucket.org/2.0`.
    #[must_use]
    pub fn bitbucket_url(&self) -> String {
        format!("{}/2.0", self.url(bitbucket::FACE))
    }

    /// Where log downloads are redirected to.
    #[must_use]
    pub fn store_url(&self) -> String {
        format!("http://{}", self.store_addr)
    }

    /// A token that opens everything, at every face.
    #[must_use]
    pub fn token(&self) -> &'static str {
        crate::access::FULL_TOKEN
    }

    /// The truth.
    #[must_use]
    pub fn world(&self) -> SharedWorld {
        self.world.clone()
    }

    /// Faults.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// What was asked.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// Stops listening and closes all connections.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

#[derive(Debug, Clone)]
struct Shared {
    world: SharedWorld,
    clock: Arc<dyn Clock>,
    faults: Faults,
    requests: Requests,
}

async fn drive(shared: Shared) {
    let mut tick = tokio::time::interval(DRIVER_TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let now = shared.clock.now();
        shared.world.with(|world| world.advance_to(now));
    }
}

/// Accepts until it is dropped; its connections go with it.
async fn listen(listener: TcpListener, shared: Shared, face: Arc<dyn Face>) {
    let Ok(local) = listener.local_addr() else { return };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let (shared, face) = (shared.clone(), face.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request| handle(shared.clone(), face.clone(), local, request));
                    // A client that goes away is no error of ours.
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn handle(
    shared: Shared,
    face: Arc<dyn Face>,
    local: SocketAddr,
    request: http::Request<Incoming>,
) -> Result<http::Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    // Read in any case, so that the connection can be used again; a larger one is as good as none.
    let body = http_body_util::Limited::new(body, MAX_REQUEST_BODY).collect().await;
    let now = shared.clock.now();
    let host = parts
        .headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok())
        .map_or_else(|| local.to_string(), str::to_owned);
    let head = parts.method == Method::HEAD;
    let request = Request {
        method: if head { Method::GET } else { parts.method.clone() },
        path: parts.uri.path().to_owned(),
        raw_query: parts.uri.query().unwrap_or("").to_owned(),
        headers: parts.headers,
        body: body.map(http_body_util::Collected::to_bytes).unwrap_or_default(),
        origin: format!("http://{host}"),
        now,
    };
    let open = shared.requests.begin(Record {
        at: now,
        face: face.id(),
        method: parts.method,
        path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        template: "(unanswered)",
        status: 0,
        points: 0,
        authorized: ["authorization", "private-token", "job-token", "circle-token"]
            .iter()
            .any(|name| request.headers.contains_key(*name)),
        if_none_match: request.header("if-none-match").map(str::to_owned),
        request_id: request.header("x-request-id").map(str::to_owned),
    });
    let (delay, effect) = shared.faults.strike(face.id(), &request.method, &request.path, &request.raw_query);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if effect == Some(Effect::Hang) {
        futures::future::pending::<()>().await;
    }
    let reply = match effect.as_ref().and_then(canned) {
        Some(reply) => reply,
        None => shared.world.with(|world| {
            world.advance_to(now);
            let mut request = request.clone();
            request.now = world.now();
            face.answer(world, &request)
        }),
    };
    open.answered(&reply);
    Ok(respond(reply, effect.as_ref(), head))
}

/// The answer of a fault that needs no world.
fn canned(effect: &Effect) -> Option<Reply> {
    let page = |status, title: &str| {
        let body = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
        );
        Reply::text("(fault)", status, "text/html", body)
    };
    Some(match effect {
        Effect::Status(code) => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            page(status, &status.to_string())
        }
        Effect::TooMany { retry_after } => {
            Reply::text("(fault)", StatusCode::TOO_MANY_REQUESTS, "text/plain", "Retry later\n")
                .with("retry-after", retry_after.to_string())
        }
        Effect::InvalidJson => {
            Reply::text("(fault)", StatusCode::OK, "application/json", "[{\"id\": 17, \"name\": \"half a doc")
        }
        Effect::Redirect(to) => {
            Reply::text("(fault)", StatusCode::FOUND, "text/html", "").with("location", to.clone())
        }
        Effect::LoginPage => Reply::text(
            "(fault)",
            StatusCode::OK,
            "text/html; charset=utf-8",
            "<!doctype html><html><head><title>Sign in</title></head><body><form action=\"/login\" method=\"post\">\
             <input name=\"user\"><input name=\"password\" type=\"password\"></form></body></html>",
        ),
        Effect::Unavailable451 => Reply::text(
            "(fault)",
            StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
            "application/json; charset=utf-8",
            "{\"message\":\"Repository access blocked\",\"block\":{\"reason\":\"dmca\",\"created_at\":\"2024-01-05T00:00:00Z\",\
             \"html_url\":\"https://github.com/github/dmca\"}}",
        ),
        Effect::HugeBody(_) => Reply::text("(fault)", StatusCode::OK, "application/json", ""),
        Effect::CutBody | Effect::Hang | Effect::Latency(_) | Effect::Mangle(_) | Effect::Reword(_) => {
            return None;
        }
    })
}

fn respond(reply: Reply, effect: Option<&Effect>, head: bool) -> http::Response<Body> {
    let reply = mangle::apply(reply, effect);
    let length = reply.body.len();
    let bodiless = head || reply.status == StatusCode::NOT_MODIFIED;
    let body: Body = match effect {
        _ if bodiless => Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync(),
        Some(Effect::CutBody) => {
            let half = Bytes::copy_from_slice(&reply.body[..length / 2]);
            // Give the half away first: an error at once would take the head with it.
            let cut = stream::once(async {
                tokio::task::yield_now().await;
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut on demand"))
            });
            StreamBody::new(stream::iter([Ok(Frame::data(half))]).chain(cut)).boxed_unsync()
        }
        Some(Effect::HugeBody(size)) => {
            let size = *size;
            let chunk = Bytes::from(vec![b'x'; HUGE_CHUNK]);
            let pieces = stream::iter((0..size.div_ceil(HUGE_CHUNK)).map(move |k| {
                let len = HUGE_CHUNK.min(size - k * HUGE_CHUNK);
                Ok::<_, io::Error>(Frame::data(chunk.slice(..len)))
            }));
            let quote = || stream::iter([Ok(Frame::data(Bytes::from_static(b"\"")))]);
            StreamBody::new(quote().chain(pieces).chain(quote())).boxed_unsync()
        }
        _ => Full::new(Bytes::from(reply.body)).map_err(|never| match never {}).boxed_unsync(),
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = reply.status;
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    if head || effect == Some(&Effect::CutBody) {
        response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}
