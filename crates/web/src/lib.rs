//! The pages, the JSON API and the live events: everything that a browser or a script sees.
//!
//! Stateless: it knows the aggregator only through [`api`], and keeps nothing but the answers it last rendered, so that it
//! can be killed at any moment and goes on showing what it has while the aggregator is away.
//!
//! [`serve`] starts it all, in `ci-dashboard-web` as in the single process. From the outside in: `server` takes
//! connections, `gate` checks and dresses every request, `router` leads to `html` and `json`, which ask the `aggregator`
//! through `kept`, the answers that were last rendered; [`pages`] draws; `events` tells browsers what changed; `webhooks`
//! passes on what platforms send; `auth` knows who may look, `metrics` what happened.

mod aggregator;
mod app;
mod asks;
pub mod assets;
mod auth;
mod charts;
mod cli;
mod client;
mod definitions;
mod entry;
mod events;
mod failure;
mod gate;
mod health;
mod hosts;
mod html;
mod insights;
mod json;
mod kept;
mod listen;
mod metrics;
pub mod pages;
mod params;
mod request_id;
mod respond;
mod router;
mod server;
mod sign_in;
mod switch;
mod tls;
mod webhooks;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::v1;
use domain::Clock;
use lifecycle::Tasks;

pub use crate::cli::Args;
pub use crate::health::check as check_health;
pub use crate::listen::{Door, listen};

use crate::aggregator::{Aggregator, LinkState};
use crate::app::App;
use crate::auth::{Doorman, FileProblem};
use crate::entry::Entry;
use crate::metrics::Metrics;
use crate::switch::{Present, Switch};
use crate::tls::Tls;

pub use crate::auth::{NewToken, create_token, hash_password};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit of this build, `unknown` where it cannot be told.
pub const COMMIT: &str = lifecycle::COMMIT;

/// The overview is asked for at most this often when nobody looks, so that it is at hand when the aggregator goes.
const KEEP_WARM: Duration = Duration::from_secs(1);

/// What the web daemon goes by.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// Section `server`.
    pub server: config::Server,
    /// Section `ui`.
    pub ui: config::Ui,
    /// Section `auth`.
    pub auth: config::Auth,
}

impl From<&config::Settings> for WebSettings {
    fn from(settings: &config::Settings) -> Self {
        Self { server: settings.server.clone(), ui: settings.ui.clone(), auth: settings.auth.clone() }
    }
}

/// Why the web daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else has the port.
    #[error(
        "port {port} on {host} is already in use: stop what listens there, or choose another with --port"
    )]
    InUse {
        /// The host as configured.
        host: String,
        /// The port.
        port: u16,
    },
    /// The system says no.
    #[error("cannot listen on {host}, port {port}: {source}")]
    Listen {
        /// The host as configured.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// What the service manager passed is of no use.
    #[error("{0}")]
    Passed(String),
    /// Another web daemon has the port and did not hand it over.
    #[error(
        "port {port} on {host} is already in use: {why}; stop what listens there, or choose another with --port"
    )]
    TakeOver {
        /// The host as configured.
        host: String,
        /// The port.
        port: u16,
        /// Why not.
        why: String,
    },
    /// The settings ask for what this build cannot do; going on without would open what was meant to be closed.
    #[error("{0} is set, which this version cannot do yet")]
    Unsupported(&'static str),
    /// A file that the settings name cannot be used: which, and why.
    #[error("{0}")]
    File(String),
    /// The endpoint makes no client.
    #[error("cannot connect to the aggregator: {0}")]
    Endpoint(String),
}

impl StartError {
    /// Whether the settings are to blame: the exit code is 2 then, else 1.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::Unsupported(_) | Self::File(_))
    }
}

impl From<FileProblem> for StartError {
    fn from(problem: FileProblem) -> Self {
        Self::File(problem.to_string())
    }
}

/// Why a project has its colour and when it is asked, as `GET /api/v1/projects/{source}/{id}/explain` answers it; `None`
/// when the answer holds no project.
#[must_use]
pub fn explanation(answer: &v1::ExplainProjectResponse) -> Option<serde_json::Value> {
    serde_json::to_value(json::Explanation::of(answer)?).ok()
}

/// Logs which settings differ from those `before` that are taken at the start alone.
pub fn tell_of(now: &config::Settings, before: &config::Settings) {
    let fixed = |s: &config::Settings| (s.server.host.clone(), s.server.port, s.server.tls.clone());
    if fixed(now) != fixed(before) {
        tracing::warn!("server.host, server.port and server.tls stay as they were until a restart");
    }
    if now.logging.format != before.logging.format {
        tracing::warn!("logging.format stays as it was until a restart");
    }
}

/// Starts everything as `tasks` and returns; it ends with them. Connects to the aggregator by itself, now and whenever it
/// has to.
///
/// # Errors
/// [`StartError`] when the settings ask for what cannot be had.
pub fn serve(
    settings: WebSettings,
    endpoint: &api::Endpoint,
    clock: Arc<dyn Clock>,
    door: Door,
    tasks: &Tasks,
) -> Result<Server, StartError> {
    let (host, port) = (settings.server.host.clone(), settings.server.port);
    let address = door.local_addr().map_err(|source| StartError::Listen { host, port, source })?;
    let tls = settings.server.tls.as_ref().map(Tls::open).transpose()?;
    let (part, lasting) = (tasks.part(), Lasting::new()?);
    let app = start(reached_at(settings, address), endpoint, Arc::clone(&clock), &lasting, &part)?;
    let current = Switch::new(present(&app));
    let entry = Entry { tls: tls.clone(), current: current.clone() };
    if let Some(tls) = tls {
        let stop = tasks.stop_token();
        tasks.run("certificate", async move {
            stop.run_until_cancelled(tls.keep()).await;
        });
    }
    tasks.run("web server", door.serve(app.clone(), current.router(), entry, tasks.clone()));
    Ok(Server { address, app, current, lasting, part, tasks: tasks.clone(), clock })
}

/// What the server goes by from now on.
fn present(app: &App) -> Present {
    Present { router: router::router(app), trusted: app.settings.server.trusted_proxies.clone() }
}

/// The settings with the host that can really be reached: a socket that was passed to us may listen elsewhere than they
/// say.
fn reached_at(mut settings: WebSettings, address: SocketAddr) -> WebSettings {
    let reached = address.ip().to_string();
    if settings.auth.is_open_on(&reached) && !settings.auth.is_open_on(&settings.server.host) {
        tracing::warn!(
            "{address} can be reached from other machines and auth.mode is none: whoever reaches it sees everything \
             without signing in. Set auth.mode, or say that it is meant: auth.allow_anonymous: true"
        );
    }
    if !address.ip().is_loopback() && config::is_loopback_host(&settings.server.host) {
        settings.server.host = reached;
    }
    settings
}

/// What stays over a change of the settings.
#[derive(Debug)]
struct Lasting {
    metrics: Arc<Metrics>,
    memory: auth::Memory,
}

impl Lasting {
    fn new() -> Result<Self, FileProblem> {
        Ok(Self { metrics: Arc::default(), memory: auth::Memory::new()? })
    }
}

/// A running web server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    app: App,
    current: Switch,
    lasting: Lasting,
    part: Tasks,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
}

impl Server {
    /// What is listened on (the port may have been the system's to choose).
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Goes on with other settings, on the same socket: requests are answered by them from the moment on at which there is
    /// something to show. While the aggregator is away that is what was shown before, unless the settings ask another
    /// aggregator or show people otherwise. What is in flight is finished with the old ones; live streams end with a word
    /// and come back.
    ///
    /// # Errors
    /// [`StartError`] when the settings ask for what cannot be had; the old ones stay in force then.
    pub async fn reload(
        &mut self,
        settings: WebSettings,
        endpoint: &api::Endpoint,
    ) -> Result<(), StartError> {
        let part = self.tasks.part();
        let settings = reached_at(settings, self.address);
        let started = start(settings, endpoint, Arc::clone(&self.clock), &self.lasting, &part);
        let app = match started {
            Ok(app) => app,
            Err(error) => {
                part.request_stop();
                return Err(error);
            }
        };
        // One that is known to be away is not waited for.
        if self.app.endpoint != app.endpoint || self.app.aggregator.state().connected() {
            html::warm_overview(&app).await;
        }
        app.inherit(&self.app);
        self.current.set(present(&app));
        self.app = app;
        std::mem::replace(&mut self.part, part).request_stop();
        Ok(())
    }
}

/// The same without the listener: requests go in at the router. For tests, and for whoever has connections of their own.
///
/// # Errors
/// As [`serve`].
pub fn application(
    settings: WebSettings,
    endpoint: &api::Endpoint,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> Result<axum::Router, StartError> {
    start(settings, endpoint, clock, &Lasting::new()?, tasks).map(|app| router::router(&app))
}

/// Starts all but the server.
fn start(
    settings: WebSettings,
    endpoint: &api::Endpoint,
    clock: Arc<dyn Clock>,
    lasting: &Lasting,
    tasks: &Tasks,
) -> Result<App, StartError> {
    if settings.auth.mode == config::AuthMode::Oidc {
        return Err(StartError::Unsupported("auth.mode: oidc"));
    }
    let doorman = Doorman::new(&settings.auth, lasting.memory.clone(), Arc::clone(&clock))?;
    let clients = endpoint.clients().map_err(|error| StartError::Endpoint(error.to_string()))?;
    doorman.keep(tasks);
    let metrics = Arc::clone(&lasting.metrics);
    let aggregator =
        Aggregator::new(clients, endpoint.to_string(), Arc::clone(&clock), metrics, settings.ui.show_people);
    let app =
        App::new(settings, aggregator.clone(), doorman, endpoint.to_string(), clock, tasks.stop_token());
    app.kept.pin(html::overview_key());
    let stop = tasks.stop_token();
    tasks.run("link to the aggregator", async move {
        stop.run_until_cancelled(aggregator.keep_link()).await;
    });
    let (warm, stop) = (app.clone(), tasks.stop_token());
    tasks.run("overview at hand", async move {
        stop.run_until_cancelled(keep_warm(warm)).await;
    });
    Ok(app)
}

/// Asks for the overview after every connect, and while the board changes.
async fn keep_warm(app: App) {
    let mut link = app.aggregator.link();
    loop {
        if link.borrow_and_update().connected() {
            html::warm_overview(&app).await;
            let mut seen = link.clone();
            let reconnect = async {
                let _ = seen.wait_for(|state| !state.connected()).await;
                let _ = seen.wait_for(LinkState::connected).await;
            };
            tokio::select! { () = tokio::time::sleep(KEEP_WARM) => {} () = reconnect => {} }
        }
        if link.changed().await.is_err() {
            // Cannot be: the application holds the sender.
            std::future::pending::<()>().await;
        }
    }
}
