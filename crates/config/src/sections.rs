//! Reads every section but the sources.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use url::Url;

use crate::address::{Address, AddressError, Cidr, parse_host};
use crate::load::Machine;
use domain::Patterns;

use crate::paths::{default_session_key, default_socket, default_sqlite};
use crate::secret::SecretUrl;
use crate::section::{Context, Leaf, Section};
use crate::settings::*;
use crate::sources::globs;
use crate::tree::Origin;
use crate::values::{
    Misfit, base_url, boolean, choice, duration, format_duration, interval, misfit, port, url_of,
};

/// The sections, beside those of the platforms.
pub(crate) const SECTIONS: [&str; 8] =
    ["server", "aggregator", "cache", "database", "auth", "ui", "filters", "logging"];

/// Whether a program with this role reads the section.
pub(crate) fn is_own(role: Role, section: &str) -> bool {
    role != Role::Web || matches!(section, "server" | "ui" | "auth" | "logging" | "aggregator")
}

/// Longest title, in characters.
const MAX_TITLE_CHARS: usize = 200;

pub(crate) fn server(mut s: Section<'_>) -> Server {
    let host = s.parse("host", |text| match parse_host(text) {
        Some(host) => Ok(host),
        None => misfit("is not an IP address or host name"),
    });
    let server = Server {
        host: host.unwrap_or_else(|| "127.0.0.1".to_owned()),
        port: s.parse("port", port).unwrap_or(8080),
        base_path: s.parse("base_path", base_path).unwrap_or_else(|| "/".to_owned()),
        public_url: s.parse_hidden("public_url", base_url),
        allowed_hosts: s.parse_list("allowed_hosts", |text| match parse_host(text) {
            Some(host) => Ok(host.to_ascii_lowercase()),
            None => misfit("is not a host name (no scheme, no port)"),
        }),
        trusted_proxies: s.parse_list("trusted_proxies", |text| text.parse::<Cidr>().or_else(misfit)),
        cors: s.parse_list("cors", origin),
        tls: tls(s.section("tls")),
    };
    s.finish();
    server
}

fn tls(mut s: Section<'_>) -> Option<Tls> {
    let (cert, key) = (s.path("cert"), s.path("key"));
    if cert.is_some() != key.is_some() {
        let absent = if cert.is_some() { "key" } else { "cert" };
        s.ctx.problem(&s.path, s.origin.as_ref(), format!("{absent} is missing"), None);
    }
    s.finish();
    Some(Tls { cert: cert?, key: key? })
}

/// `ci`, `/ci` and `/ci/` are all `/ci`.
fn base_path(text: &str) -> Result<String, Misfit> {
    let inner = text.trim_matches('/');
    let fine = |part: &str| {
        !part.is_empty()
            && part.bytes().any(|b| b != b'.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    match inner {
        "" => Ok("/".to_owned()),
        _ if inner.split('/').all(fine) => Ok(format!("/{inner}")),
        _ => misfit("is not a path such as /ci (letters, digits, - . _ ~ between slashes)"),
    }
}

fn origin(text: &str) -> Result<String, Misfit> {
    if text == "*" {
        return Ok("*".to_owned());
    }
    let url = base_url(text)?;
    if url.path() != "/" || url.query().is_some() {
        return misfit("is not an origin such as https://example.com (nothing after the host)");
    }
    Ok(url.origin().ascii_serialization())
}

/// Seven to eight time series each: what a small Prometheus does not notice.
const DEFAULT_METRICS_PIPELINES: usize = 1_000;
const MAX_METRICS_PIPELINES: usize = 100_000;

pub(crate) fn aggregator(mut s: Section<'_>, role: Role, machine: &Machine) -> Aggregator {
    let listen_leaf = s.leaf("listen");
    let listen = listen_leaf.as_ref().and_then(|leaf| address(&s, leaf, machine));
    if let (Some(leaf), Some(address), true) = (&listen_leaf, &listen, role != Role::Web)
        && !address.is_loopback()
    {
        let what = "can be reached from other machines, where both ends would have to show certificates";
        let suggestion =
            Some("listen on a Unix socket or on loopback: unix:/path, tcp://127.0.0.1:port".to_owned());
        s.misfit(leaf, Misfit { what: what.to_owned(), suggestion });
    }
    let given = s.leaf("address").as_ref().and_then(|leaf| address(&s, leaf, machine));
    let metrics = s.parse("metrics", |text| match text {
        "none" => Ok(None),
        _ => text
            .parse::<SocketAddr>()
            .map(Some)
            .or_else(|_| misfit("is not an address such as 127.0.0.1:9464, or none")),
    });
    let metrics_pipelines = s.parse("metrics_pipelines", |text| {
        text.parse::<usize>()
            .ok()
            .filter(|n| *n <= MAX_METRICS_PIPELINES)
            .map_or_else(|| misfit(format!("is not a number from 0 to {MAX_METRICS_PIPELINES}")), Ok)
    });
    let listen = listen.unwrap_or_else(|| default_socket(s.ctx.env, machine));
    let aggregator = Aggregator {
        address: given.unwrap_or_else(|| reachable(&listen)),
        listen,
        metrics: metrics.flatten(),
        metrics_pipelines: metrics_pipelines.unwrap_or(DEFAULT_METRICS_PIPELINES),
    };
    s.finish();
    aggregator
}

/// `unix:` without a path (or with the ellipsis that examples have for one) is the default socket.
fn address(s: &Section<'_>, leaf: &Leaf, machine: &Machine) -> Option<Address> {
    if matches!(leaf.text.strip_prefix("unix:"), Some("" | "…" | "...")) {
        return Some(default_socket(s.ctx.env, machine));
    }
    match leaf.text.parse() {
        Ok(address) => Some(address),
        Err(error) => {
            let error: AddressError = error;
            // What was meant is built from the expanded text: tell it only when that is what stands there.
            let meant = error.meant.clone().filter(|_| leaf.raw == leaf.text);
            let suggestion = meant.map(|meant| format!("did you mean {meant:?}?"));
            s.misfit_hidden(leaf, Misfit { what: error.to_string(), suggestion });
            None
        }
    }
}

/// Where to connect to what listens there: not to "every address".
fn reachable(listen: &Address) -> Address {
    match listen {
        Address::Tcp { host, port } if host == "0.0.0.0" => {
            Address::Tcp { host: "127.0.0.1".to_owned(), port: *port }
        }
        Address::Tcp { host, port } if host == "::" => Address::Tcp { host: "::1".to_owned(), port: *port },
        other => other.clone(),
    }
}

pub(crate) fn cache(mut s: Section<'_>) -> Cache {
    const KINDS: &[(&str, CacheKind)] = &[("memory", CacheKind::Memory), ("redis", CacheKind::Redis)];
    let kind = s.parse("type", choice(KINDS)).unwrap_or(CacheKind::Memory);
    let redis_url = s.leaf_or_file("redis_url").and_then(|(leaf, _)| redis_url(&s, &leaf));
    let prefix = s.parse("prefix", key_prefix).unwrap_or_else(|| DEFAULT_PREFIX.to_owned());
    let ca_file = s.path("ca_file");
    let ttl_given = s.parse("ttl", duration);
    let stale_given = s.leaf("stale_ttl");
    let ttl = ttl_given.unwrap_or(Duration::from_secs(5 * 60));
    let mut stale_ttl = Duration::from_secs(24 * 60 * 60).max(ttl);
    if let Some(leaf) = stale_given {
        match duration(&leaf.text) {
            Ok(value) if value >= ttl => stale_ttl = value,
            Ok(_) => {
                let what = format!("is shorter than cache.ttl ({})", format_duration(ttl));
                s.misfit(&leaf, Misfit { what, suggestion: None });
            }
            Err(misfit) => s.misfit(&leaf, misfit),
        }
    }
    let refresh_interval = s.parse("refresh_interval", interval).unwrap_or(Duration::from_secs(5 * 60));
    s.finish();
    let redis_url = redis_url.unwrap_or_else(default_redis);
    Cache { kind, redis_url, prefix, ca_file, ttl, stale_ttl, refresh_interval }
}

const DEFAULT_PREFIX: &str = "ci-dashboard:";
const MAX_PREFIX: usize = 64;

fn key_prefix(text: &str) -> Result<String, Misfit> {
    // What ACL patterns and people at a prompt can name without quoting.
    let fits = text.len() <= MAX_PREFIX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'.' | b'_' | b'-' | b'/'));
    if fits {
        return Ok(text.to_owned());
    }
    let what =
        format!("is no key prefix: at most {MAX_PREFIX} of letters, digits, ':', '.', '_', '-' and '/'");
    Err(Misfit { what, suggestion: None })
}

fn redis_url(s: &Section<'_>, leaf: &Leaf) -> Option<SecretUrl> {
    let read = |text: &str| match Url::parse(text) {
        // A Unix socket has no host.
        Ok(url) if matches!(url.scheme(), "unix" | "redis+unix") && url.path().len() > 1 => Ok(url),
        _ => url_of(text, &["redis", "rediss"]),
    };
    hidden_url(s, leaf, read)
}

fn hidden_url(s: &Section<'_>, leaf: &Leaf, read: impl Fn(&str) -> Result<Url, Misfit>) -> Option<SecretUrl> {
    match read(&leaf.text) {
        Ok(url) => Some(SecretUrl::new(&url)),
        Err(misfit) => {
            s.misfit_hidden(leaf, misfit);
            None
        }
    }
}

#[expect(clippy::expect_used, reason = "a constant, parsed by every test that loads anything")]
fn default_redis() -> SecretUrl {
    SecretUrl::new(&Url::parse("redis://localhost:6379").expect("the default Redis URL"))
}

impl Default for Cache {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            kind: CacheKind::Memory,
            redis_url: default_redis(),
            prefix: DEFAULT_PREFIX.to_owned(),
            ca_file: None,
            ttl: minutes(5),
            stale_ttl: minutes(24 * 60),
            refresh_interval: minutes(5),
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: DatabaseUrl::None,
            retention: None,
            backfill: DEFAULT_BACKFILL,
            pool_size: DEFAULT_POOL,
            connect_timeout: DEFAULT_CONNECT,
            statement_timeout: DEFAULT_STATEMENT,
        }
    }
}

const DEFAULT_BACKFILL: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const DEFAULT_CONNECT: Duration = Duration::from_secs(5);
const DEFAULT_STATEMENT: Duration = Duration::from_secs(30);
/// One that writes and four that read: each holds megabytes of the file.
const DEFAULT_POOL: u32 = 5;
/// As many as a dashboard is ever seen to use, of the hundred that a server has.
const DEFAULT_POSTGRES_POOL: u32 = 8;
/// One connection writes, and somebody has to read meanwhile.
const POOL_SIZES: RangeInclusive<u32> = 2..=100;
const CONNECT_TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
const STATEMENT_TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60 * 60);

fn pool_size(text: &str) -> Result<u32, Misfit> {
    let size = text.parse::<u32>().ok().filter(|n| POOL_SIZES.contains(n));
    let wrong = || format!("is not a number from {} to {}", POOL_SIZES.start(), POOL_SIZES.end());
    size.map_or_else(|| misfit(wrong()), Ok)
}

fn within(bounds: &RangeInclusive<Duration>, text: &str) -> Result<Duration, Misfit> {
    match duration(text)? {
        d if d < *bounds.start() => misfit(format!("is shorter than {}", format_duration(*bounds.start()))),
        d if d > *bounds.end() => misfit(format!("is longer than {}", format_duration(*bounds.end()))),
        d => Ok(d),
    }
}

pub(crate) fn database(mut s: Section<'_>) -> Database {
    let url = s.leaf_or_file("url").map(|(leaf, _)| leaf);
    let postgres = s.leaf_or_file("postgres_url").map(|(leaf, _)| leaf);
    let chosen = match (url, postgres) {
        (Some(url), Some(postgres)) => {
            let (a, b) = (url.origin.rank(), postgres.origin.rank());
            if a == b && url.text != postgres.text {
                let hint = Some("keep one".to_owned());
                let message = "database.url names another database already";
                s.ctx.problem(&postgres.path, Some(&postgres.origin), message, hint);
            }
            Some(if b > a { postgres } else { url })
        }
        (url, postgres) => url.or(postgres),
    };
    let url = database_url(&s, chosen);
    let usual = if matches!(url, DatabaseUrl::Postgres(_)) { DEFAULT_POSTGRES_POOL } else { DEFAULT_POOL };
    let database = Database {
        url,
        retention: s
            .parse("retention", |text| match text {
                "forever" => Ok(None),
                _ => duration(text).map(Some).map_err(|misfit| Misfit {
                    what: format!("{}, or forever", misfit.what),
                    suggestion: crate::problem::did_you_mean(text, ["forever"]).or(misfit.suggestion),
                }),
            })
            .flatten(),
        backfill: s
            .parse("backfill", |text| match text {
                "none" => Ok(Duration::ZERO),
                _ => duration(text),
            })
            .unwrap_or(DEFAULT_BACKFILL),
        pool_size: s.parse("pool_size", pool_size).unwrap_or(usual),
        connect_timeout: s
            .parse("connect_timeout", |text| within(&CONNECT_TIMEOUTS, text))
            .unwrap_or(DEFAULT_CONNECT),
        statement_timeout: s
            .parse("statement_timeout", |text| within(&STATEMENT_TIMEOUTS, text))
            .unwrap_or(DEFAULT_STATEMENT),
    };
    s.finish();
    database
}

fn database_url(s: &Section<'_>, leaf: Option<Leaf>) -> DatabaseUrl {
    const NO_HOME: &str =
        "no place for the database: none of STATE_DIRECTORY, XDG_STATE_HOME and HOME is set";
    let Some(leaf) = leaf else {
        return match default_sqlite(s.ctx.env) {
            Some(path) => DatabaseUrl::Sqlite(path),
            // Nobody asked for it: run without.
            None => {
                s.ctx.warn("database.url", None, format!("{NO_HOME}; history is not kept"));
                DatabaseUrl::None
            }
        };
    };
    if leaf.text == "none" {
        return DatabaseUrl::None;
    }
    let Some(path) = leaf.text.strip_prefix("sqlite:") else {
        let read = |text: &str| {
            url_of(text, &["postgres", "postgresql"]).map_err(|_| Misfit {
                what: "names no database: sqlite:, sqlite:/path/file.db, postgres://…, or none".to_owned(),
                suggestion: None,
            })
        };
        return hidden_url(s, &leaf, read).map_or(DatabaseUrl::None, DatabaseUrl::Postgres);
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    if !path.is_empty() {
        return DatabaseUrl::Sqlite(s.resolve(path, &leaf.origin));
    }
    match default_sqlite(s.ctx.env) {
        Some(path) => DatabaseUrl::Sqlite(path),
        None => {
            let hint = Some("write sqlite:/path/file.db, or none".to_owned());
            s.ctx.problem(&leaf.path, Some(&leaf.origin), NO_HOME, hint);
            DatabaseUrl::None
        }
    }
}

pub(crate) fn auth(mut s: Section<'_>) -> Auth {
    const MODES: &[(&str, AuthMode)] = &[
        ("none", AuthMode::None),
        ("basic", AuthMode::Basic),
        ("proxy", AuthMode::Proxy),
        ("oidc", AuthMode::Oidc),
    ];
    const PUBLIC: &[(&str, Public)] =
        &[("metrics", Public::Metrics), ("badges", Public::Badges), ("feeds", Public::Feeds)];
    let auth = Auth {
        mode: s.parse("mode", choice(MODES)).unwrap_or(AuthMode::None),
        allow_anonymous: s.parse("allow_anonymous", boolean).unwrap_or(false),
        users_file: s.path("users_file"),
        tokens_file: s.path("tokens_file"),
        session_key_file: s.path("session_key_file").or_else(|| default_session_key(s.ctx.env)),
        session_ttl: s.parse("session_ttl", session_ttl).unwrap_or(DEFAULT_SESSION_TTL),
        public: s.parse_list("public", choice(PUBLIC)),
        proxy: proxy_headers(s.section("proxy")),
    };
    if auth.mode == AuthMode::Basic && auth.users_file.is_none() {
        s.ctx.problem("auth.users_file", s.origin.as_ref(), "is missing: auth.mode is basic", None);
    }
    if auth.mode == AuthMode::Basic && auth.session_key_file.is_none() {
        const NO_HOME: &str = "is missing, and there is no place for a key of its own: none of STATE_DIRECTORY, \
                               XDG_STATE_HOME and HOME is set";
        s.ctx.problem("auth.session_key_file", s.origin.as_ref(), NO_HOME, None);
    }
    s.finish();
    auth
}

/// A working week: who looks every day stays signed in.
const DEFAULT_SESSION_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MIN_SESSION_TTL: Duration = Duration::from_secs(60);

fn session_ttl(text: &str) -> Result<Duration, Misfit> {
    match duration(text)? {
        ttl if ttl < MIN_SESSION_TTL => misfit("is shorter than a minute"),
        ttl => Ok(ttl),
    }
}

fn proxy_headers(mut s: Section<'_>) -> ProxyHeaders {
    let header = |text: &str| {
        let fine = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if fine { Ok(text.to_owned()) } else { misfit("is no name of a header") }
    };
    let headers = ProxyHeaders {
        user: s.parse("user_header", header).unwrap_or_else(|| "X-Forwarded-User".to_owned()),
        groups: s.parse("groups_header", header).unwrap_or_else(|| "X-Forwarded-Groups".to_owned()),
    };
    s.finish();
    headers
}

pub(crate) fn ui(mut s: Section<'_>) -> Ui {
    let title = s.parse("title", |text| {
        if text.chars().count() > MAX_TITLE_CHARS {
            return misfit(format!("is longer than {MAX_TITLE_CHARS} characters"));
        }
        Ok(text.to_owned())
    });
    let ui = Ui {
        title: title.unwrap_or_else(|| "CI/CD Dashboard".to_owned()),
        refresh_interval: s.parse("refresh_interval", interval).unwrap_or(Duration::from_secs(5)),
        show_people: s.parse("show_people", boolean).unwrap_or(true),
    };
    s.finish();
    ui
}

pub(crate) fn filters(mut s: Section<'_>) -> Filters {
    let watched_repos = s.parse_list("watched_repos", |text| match Patterns::check(text) {
        Ok(()) if !text.starts_with('!') => Ok(text.to_owned()),
        Ok(()) => misfit("takes out, and here is only in: use exclude of the source"),
        Err(e) => misfit(format!("is not a glob: {}", e.why)),
    });
    let deployments = globs(&mut s, "deployments");
    s.finish();
    Filters { watched_repos, deployments }
}

pub(crate) fn logging(mut s: Section<'_>) -> Logging {
    const LEVELS: &[(&str, LogLevel)] = &[
        ("off", LogLevel::Off),
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    const FORMATS: &[(&str, LogFormat)] = &[("json", LogFormat::Json), ("pretty", LogFormat::Pretty)];
    let logging = Logging {
        level: s.parse("level", choice(LEVELS)).unwrap_or(LogLevel::Info),
        format: s.parse("format", choice(FORMATS)).unwrap_or(LogFormat::Json),
    };
    s.finish();
    logging
}

/// What only several sections together tell: mistakes, and what is allowed and still deserves a look.
pub(crate) fn check_together(settings: &Settings, host_origin: Option<&Origin>, ctx: &Context<'_>) {
    if settings.role == Role::Aggregator {
        return;
    }
    if settings.auth.mode == AuthMode::Proxy && settings.server.trusted_proxies.is_empty() {
        let message = "is missing: auth.mode is proxy, and a proxy is believed by its address";
        let hint = Some("name the address of the proxy: trusted_proxies: [127.0.0.1]".to_owned());
        ctx.problem("server.trusted_proxies", None, message, hint);
    }
    if settings.is_open_to_the_world() {
        let message = format!(
            "{} can be reached from other machines and auth.mode is none: whoever reaches it sees everything without \
             signing in. Set auth.mode to basic or proxy, or say that it is meant: auth.allow_anonymous: true",
            settings.server.host
        );
        ctx.warn("server.host", host_origin, message);
    }
}
