//! The settings as the rest of the program sees them: final types, nothing left to parse.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use crate::address::{Address, Cidr, is_loopback_host};
use crate::secret::{Secret, SecretUrl};
use domain::Patterns;

/// Everything that can be set. In the web daemon ([`crate::Role::Web`]) `cache`, `database` and `filters` are
/// the defaults, `database.url` is none, and `sources` is empty: it reads none of them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose settings these are.
    pub role: Role,
    /// The pages' server.
    pub server: Server,
    /// Where the two daemons meet.
    pub aggregator: Aggregator,
    /// Cached answers of the platforms.
    pub cache: Cache,
    /// What outlives a restart.
    pub database: Database,
    /// Who may look.
    pub auth: Auth,
    /// The pages.
    pub ui: Ui,
    /// What is watched.
    pub filters: Filters,
    /// The log.
    pub logging: Logging,
    /// Every configured source, in the order of the platforms' table and then of the file; also those that are off.
    pub sources: Vec<SourceSettings>,
}

/// Which program reads the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `ci-dashboard`: aggregator and web in one process.
    All,
    /// `ci-dashboard-aggregator`.
    Aggregator,
    /// `ci-dashboard-web`: reads `server`, `ui`, `auth`, `logging` and `aggregator`, opens nothing, holds no secret.
    Web,
}

/// Section `server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// IP address or host name to listen on, an IPv6 address without brackets.
    pub host: String,
    /// Port; 0 lets the system choose.
    pub port: u16,
    /// Path under which everything is served: `/`, or `/ci` – with a leading slash and no trailing one.
    pub base_path: String,
    /// The address that people use, for absolute links (feeds); `None`: taken from the request.
    pub public_url: Option<Url>,
    /// Host names that requests may carry; empty: any, of a server on loopback without a trusted proxy this machine's own.
    pub allowed_hosts: Vec<String>,
    /// Reverse proxies whose `Forwarded` headers count.
    pub trusted_proxies: Vec<Cidr>,
    /// Origins (`https://example.com`) that may read the JSON API from a browser, or the one entry `*`; empty: none.
    pub cors: Vec<String>,
    /// Certificate and key; `None`: plain HTTP.
    pub tls: Option<Tls>,
}

impl Server {
    /// `https` where it has a certificate, else `http`.
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// PEM files of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key. Only its path is kept here.
    pub key: PathBuf,
}

/// Section `aggregator`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregator {
    /// Where the aggregator listens.
    pub listen: Address,
    /// Where the web daemon finds it; unless set, where `listen` says.
    pub address: Address,
    /// Where the aggregator serves its own metrics; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Of how many branches the metrics tell one by one: those that moved last. 0: of none.
    pub metrics_pipelines: usize,
}

/// Section `cache`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// The back end.
    pub kind: CacheKind,
    /// Redis, used when `kind` says so.
    pub redis_url: SecretUrl,
    /// What every key in Redis begins with, so that several dashboards can share a database.
    pub prefix: String,
    /// A CA to trust for `rediss:` besides the system's (PEM file).
    pub ca_file: Option<PathBuf>,
    /// How long an answer counts as fresh.
    pub ttl: Duration,
    /// How long it may be shown while a newer one is fetched. At least `ttl`.
    pub stale_ttl: Duration,
    /// How often every source is read.
    pub refresh_interval: Duration,
}

/// `cache.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheKind {
    /// In the aggregator's memory.
    Memory,
    /// In Redis.
    Redis,
}

/// Section `database`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Where history is kept.
    pub url: DatabaseUrl,
    /// How long; `None`: for ever.
    pub retention: Option<Duration>,
    /// How far back the first start reads; zero: not at all.
    pub backfill: Duration,
    /// How many connections there are at most, one of which writes.
    pub pool_size: u32,
    /// How long is waited for a connection; of a SQLite file also for another process that writes.
    pub connect_timeout: Duration,
    /// How long a statement may take, but for those that bring the schema up to date. PostgreSQL alone.
    pub statement_timeout: Duration,
}

/// `database.url`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// No history beyond the process's life.
    None,
    /// A SQLite file. Its folder may not exist yet.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(SecretUrl),
}

/// Section `auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// How people sign in.
    pub mode: AuthMode,
    /// Whether one may look without signing in. With [`AuthMode::None`], where everybody may, it says that this is meant.
    pub allow_anonymous: bool,
    /// Users and password hashes of [`AuthMode::Basic`]. Not opened here.
    pub users_file: Option<PathBuf>,
    /// Hashes of the tokens that scripts show. Not opened here.
    pub tokens_file: Option<PathBuf>,
    /// Keys of the session cookies: as set, else `session.key` where the state is kept. `None` only where there is no such
    /// place and nobody signs in here. Not opened here.
    pub session_key_file: Option<PathBuf>,
    /// How long a session lasts that is not used.
    pub session_ttl: Duration,
    /// What needs no sign-in.
    pub public: Vec<Public>,
    /// What [`AuthMode::Proxy`] reads.
    pub proxy: ProxyHeaders,
}

impl Auth {
    /// Whether a server on `host` shows everything to other machines, and nobody has said that this is meant.
    pub fn is_open_on(&self, host: &str) -> bool {
        self.mode == AuthMode::None && !self.allow_anonymous && !is_loopback_host(host)
    }
}

/// What may be opened to everybody, an entry of `auth.public`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Public {
    /// `/metrics`
    Metrics,
    /// `/badges/…`
    Badges,
    /// `/cctray.xml`, `/feed.atom`
    Feeds,
}

impl Public {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Badges => "badges",
            Self::Feeds => "feeds",
        }
    }
}

/// `auth.proxy`: the headers by which a trusted reverse proxy says who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyHeaders {
    /// Holds the user's name.
    pub user: String,
    /// Holds the names of the user's groups, between commas.
    pub groups: String,
}

/// `auth.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Nobody signs in.
    None,
    /// User name and password.
    Basic,
    /// A reverse proxy names the user.
    Proxy,
    /// OpenID Connect.
    Oidc,
}

/// Section `ui`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ui {
    /// Title of the pages.
    pub title: String,
    /// How often a browser asks again where live events cannot get through.
    pub refresh_interval: Duration,
    /// `false` hides people's names everywhere.
    pub show_people: bool,
}

/// Section `filters`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters {
    /// Native ids, full names or globs; empty: everything that a source's token can see.
    pub watched_repos: Vec<String>,
    /// Workflows and jobs that deploy, in projects of which the platform marks no deployments; empty: none is known to.
    pub deployments: Patterns,
}

/// Section `logging`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// What is worth a line.
    pub level: LogLevel,
    /// What a line looks like.
    pub format: LogFormat,
}

/// `logging.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `logging.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// One configured instance of a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// The platform's id, from [`crate::Platforms`].
    pub platform: &'static str,
    /// Unique name, `[A-Za-z0-9._-]+`.
    pub name: String,
    /// Why the source is off, in words for its row; `None`: it runs.
    pub disabled: Option<String>,
    /// Base URL, without credentials. `None` only when the source is off.
    pub url: Option<Url>,
    /// User name that goes with the token.
    pub user: Option<String>,
    /// Token; `None`: anonymous.
    pub token: Option<Secret>,
    /// What webhooks are signed with; `None`: none are accepted.
    pub webhook_secret: Option<Secret>,
    /// How much of job logs is shown.
    pub logs: LogAccess,
    /// Branches that the overview shows; empty: the default branch.
    pub branches: Patterns,
    /// Workflows that count; empty: all.
    pub workflows: Patterns,
    /// Events (`push`, `schedule`, …) whose pipelines count; empty: all.
    pub events: Patterns,
    /// Projects that are shown; empty: all.
    pub include: Patterns,
    /// Projects that are not.
    pub exclude: Patterns,
    /// GitLab groups to read; empty: all of the token's.
    pub groups: Vec<String>,
    /// Organizations to read.
    pub organizations: Vec<String>,
    /// Bitbucket workspaces to read.
    pub workspaces: Vec<String>,
    /// Jenkins folders to read.
    pub folders: Vec<String>,
    /// PEM file of further certificate authorities. Not opened here.
    pub ca_file: Option<PathBuf>,
    /// Proxy for every request to this source.
    pub proxy: Option<SecretUrl>,
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
    /// The platform's own keys, by name.
    pub extra: BTreeMap<&'static str, Extra>,
}

/// The value of a platform's own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extra {
    /// Text that anybody may see.
    Text(String),
    /// A secret.
    Secret(Secret),
}

impl SourceSettings {
    /// The text of a platform's own key.
    pub fn extra_text(&self, key: &str) -> Option<&str> {
        match self.extra.get(key) {
            Some(Extra::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The secret of a platform's own key.
    pub fn extra_secret(&self, key: &str) -> Option<&Secret> {
        match self.extra.get(key) {
            Some(Extra::Secret(secret)) => Some(secret),
            _ => None,
        }
    }
}

/// `logs` of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogAccess {
    /// Not at all.
    None,
    /// The end of it.
    Tail,
    /// All of it.
    Full,
}

impl Settings {
    /// The sources that run.
    pub fn enabled_sources(&self) -> impl Iterator<Item = &SourceSettings> {
        self.sources.iter().filter(|source| source.disabled.is_none())
    }

    /// The sources whose platform `has_connector` refuses, each with the warning that says so.
    pub fn without_connector(&self, has_connector: impl Fn(&str) -> bool) -> Vec<(&SourceSettings, String)> {
        self.sources
            .iter()
            .filter(|source| !has_connector(source.platform))
            .map(|source| {
                let text =
                    format!("source {}: this build has no connector for {}", source.name, source.platform);
                (source, text)
            })
            .collect()
    }

    /// Whether other machines can reach it, nobody has to sign in, and nobody has said that this is meant.
    pub fn is_open_to_the_world(&self) -> bool {
        self.auth.is_open_on(&self.server.host)
    }

    /// The SQLite file, if history is kept in one.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match &self.database.url {
            DatabaseUrl::Sqlite(path) => Some(path),
            _ => None,
        }
    }
}
