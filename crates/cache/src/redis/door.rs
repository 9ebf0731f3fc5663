//! Getting to Redis, and what goes wrong there in words. No credential is in any of them.

use std::path::PathBuf;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, RedisError, ServerErrorKind, TlsCertificates,
};

/// DNS, TCP, TLS and signing in.
const CONNECT: Duration = Duration::from_secs(5);
/// The oldest version that is known to do.
const OLDEST: (u32, u32) = (6, 2);

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// One sentence that says what to do, where something can be done.
    pub(super) text: String,
    /// The connection is of no use any more.
    pub(super) broken: bool,
}

/// How to get there.
pub(super) struct Door {
    url: String,
    ca_file: Option<PathBuf>,
    answer: Duration,
}

/// A connection that answers.
pub(super) struct Open {
    pub(super) connection: MultiplexedConnection,
    /// `Redis 7.0.15`.
    pub(super) engine: String,
    /// `host:port`, for messages.
    pub(super) at: String,
}

impl Door {
    /// `answer` is how long a command may take.
    pub(super) const fn new(url: String, ca_file: Option<PathBuf>, answer: Duration) -> Self {
        Self { url, ca_file, answer }
    }

    pub(super) async fn open(&self) -> Result<Open, Trouble> {
        let config = |text: String| Trouble { text, broken: true };
        // What the URL holds is not repeated: its password is inside.
        let unusable =
            |error: RedisError| config(format!("cache.redis_url cannot be used: {}", error.category()));
        let client = match self.ca_file.as_ref().filter(|_| self.url.starts_with("rediss:")) {
            None => Client::open(self.url.as_str()).map_err(unusable)?,
            Some(path) => {
                let root_cert = tokio::fs::read(path).await.map_err(|error| {
                    config(format!("cache.ca_file {} cannot be read: {error}", path.display()))
                })?;
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
                Client::build_with_tls(self.url.as_str(), certificates).map_err(unusable)?
            }
        };
        let at = match client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                format!("{host}:{port}")
            }
            ConnectionAddr::Unix(path) => path.display().to_string(),
            _ => "cache.redis_url".to_owned(),
        };
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(self.answer));
        let connecting = client.get_multiplexed_async_connection_with_config(&settings);
        // The library's timeout does not count signing in.
        let connected = tokio::time::timeout(CONNECT + self.answer, connecting).await;
        let mut connection = match connected {
            Ok(connected) => connected.map_err(|error| turned_away(&at, &error))?,
            Err(_) => return Err(config(format!("Redis at {at} does not answer"))),
        };
        let info: Result<String, _> = redis::cmd("INFO").arg("server").query_async(&mut connection).await;
        let engine = match info {
            Ok(info) => engine(&info).map_err(|found| {
                config(format!(
                    "Redis at {at} is version {found}: {}.{} or newer is needed",
                    OLDEST.0, OLDEST.1
                ))
            })?,
            // A user that may not ask may use it all the same.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => "Redis".to_owned(),
            Err(error) => return Err(turned_away(&at, &error)),
        };
        Ok(Open { connection, engine, at })
    }
}

/// What it is, with its version; an older one as the error.
fn engine(info: &str) -> Result<String, String> {
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|v| v.trim().to_owned())
    };
    // Valkey says for which Redis it stands, and which it is.
    if let Some(version) = field("valkey_version") {
        return Ok(format!("Valkey {version}"));
    }
    let Some(version) = field("redis_version") else { return Ok("Redis".to_owned()) };
    let mut numbers = version.split('.').map_while(|n| n.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) < OLDEST => Err(version),
        _ => Ok(format!("Redis {version}")),
    }
}

/// An error before anything was told. Redis in protected mode hangs up on whoever comes from elsewhere, often before its reason
/// is read, and so does a port that speaks TLS on who does not.
fn turned_away(at: &str, error: &RedisError) -> Trouble {
    let hung_up = error.is_connection_dropped() && !error.is_connection_refusal();
    if error.code() == Some("DENIED") || hung_up {
        let why = "is it in protected mode (then it wants a password, or protected-mode no), or does it want rediss:// ?";
        return Trouble { text: format!("Redis at {at} hangs up: {why}"), broken: true };
    }
    of(at, "", error)
}

/// An error of the library's in words. `key` is what it was about.
pub(super) fn of(at: &str, key: &str, error: &RedisError) -> Trouble {
    // Of several commands that were sent together the first that failed speaks.
    let first = error.clone().into_server_errors().and_then(|errors| errors.first().map(|(_, e)| e.clone()));
    let (code, detail) = match &first {
        Some(error) => (error.code(), error.details()),
        None => (error.code().unwrap_or_default(), error.detail()),
    };
    let detail = detail.unwrap_or_default();
    let (text, broken) = match code {
        "WRONGPASS" | "NOAUTH" => refused_user(),
        _ if error.kind() == ErrorKind::AuthenticationFailed => refused_user(),
        "NOPERM" => (format!("does not allow that to its user, whose ACL lacks something: {detail}"), false),
        "LOADING" => ("is still reading its data".to_owned(), true),
        "READONLY" => ("is a read-only replica: name the primary in cache.redis_url".to_owned(), true),
        "OOM" => {
            let what =
                "is full and evicts nothing: raise its maxmemory, or set maxmemory-policy to allkeys-lru";
            (what.to_owned(), false)
        }
        "MISCONF" => ("cannot write its data to its disk, and takes nothing until it can".to_owned(), false),
        "WRONGTYPE" => {
            (format!("has something of somebody else's as {key}: choose another cache.prefix"), false)
        }
        "" if error.is_timeout() => ("does not answer".to_owned(), true),
        "" if error.is_connection_refusal() => ("refuses connections: is it running?".to_owned(), true),
        "" if error.is_io_error() => (format!("cannot be reached: {error}"), true),
        // An answer that is none: nothing that follows on this connection can be trusted.
        "" => (format!("answers what cannot be understood: {}", error.category()), true),
        _ => (format!("answers {code} {detail}"), false),
    };
    Trouble { text: format!("Redis at {at} {}", text.trim_end()), broken }
}

fn refused_user() -> (String, bool) {
    ("refuses user or password: check cache.redis_url".to_owned(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_the_oldest_that_does() {
        assert_eq!(engine("# Server\r\nredis_version:7.0.15\r\nos:Linux\r\n"), Ok("Redis 7.0.15".into()));
        assert_eq!(engine("redis_version:6.2.0"), Ok("Redis 6.2.0".into()));
        assert_eq!(engine("redis_version:10.0.0"), Ok("Redis 10.0.0".into()));
        assert_eq!(engine("redis_version:6.0.16"), Err("6.0.16".into()));
        assert_eq!(engine("redis_version:7.2.4\nvalkey_version:8.0.1"), Ok("Valkey 8.0.1".into()));
        assert_eq!(engine("redis_version:new"), Ok("Redis new".into()), "what tells nothing is let in");
        assert_eq!(engine(""), Ok("Redis".into()));
    }
}
