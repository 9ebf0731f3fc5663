//! Where to ask: the aggregator's socket where there is one, else the web server's JSON. Both answer the same.

use std::fmt;
use std::time::Duration;

use api::v1;
use config::Settings;
use domain::encode_segment;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{HOST, LOCATION};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;

use super::ExplainError;

/// However long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Projects of a page of the search: the largest that is given.
const PER_PAGE: u32 = 100;
/// Pages of a search: more projects than anybody has.
const MAX_PAGES: u32 = 1000;
/// Longest search text that the web server takes, in characters.
const MAX_SEARCH: usize = 200;

/// A project's address.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) source: String,
    pub(super) id: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.id)
    }
}

/// A project that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) key: Key,
    pub(super) name: String,
}

/// A source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    /// It is read for the first time.
    pub(super) loading: bool,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("it knows no such project")]
    NotFound,
    /// Nobody is there.
    #[error("{0}")]
    Away(String),
    #[error("{0}")]
    Other(String),
}

/// Where to ask.
#[derive(Debug)]
pub(super) enum Door {
    Aggregator { client: Box<api::Client>, at: String },
    Web(Web),
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aggregator { at, .. } => write!(f, "the aggregator at {at}"),
            Self::Web(web) => write!(f, "the web server at {web}"),
        }
    }
}

impl Door {
    /// The first that is there, and the sources that it has.
    pub(super) async fn open(settings: &Settings) -> Result<(Self, Vec<Source>), ExplainError> {
        let endpoint = match settings.aggregator.address.clone() {
            config::Address::Unix(path) => api::Endpoint::Unix(path),
            config::Address::Tcp { host, port } => api::Endpoint::Tcp(host, port),
        };
        let at = endpoint.to_string();
        let of_socket = match endpoint.client() {
            Err(error) => error.to_string(),
            Ok(client) => {
                let door = Self::Aggregator { client: Box::new(client), at: at.clone() };
                match door.sources().await {
                    Ok(sources) => return Ok((door, sources)),
                    Err(Trouble::Away(why)) => why,
                    Err(why) => {
                        return Err(ExplainError::Broken { at: door.to_string(), why: why.to_string() });
                    }
                }
            }
        };
        let web = Web::new(&settings.server);
        let door = Self::Web(web.clone());
        match door.sources().await {
            Ok(sources) => Ok((door, sources)),
            Err(Trouble::Away(of_web)) => {
                Err(ExplainError::NotRunning { socket: at, of_socket, web: web.to_string(), of_web })
            }
            Err(why) => Err(ExplainError::Broken { at: door.to_string(), why: why.to_string() }),
        }
    }

    async fn sources(&self) -> Result<Vec<Source>, Trouble> {
        match self {
            Self::Aggregator { client, .. } => {
                let mut client = (**client).clone();
                let answer = call(client.list_sources(v1::ListSourcesRequest {})).await?;
                let source =
                    |s: v1::Source| Source { loading: s.state() == v1::SourceState::Loading, name: s.name };
                Ok(answer.sources.into_iter().map(source).collect())
            }
            Self::Web(web) => {
                let items = web.items("/api/v1/sources?").await?;
                let source = |s: &Value| {
                    Some(Source { name: s["name"].as_str()?.to_owned(), loading: s["state"].is_null() })
                };
                Ok(items.iter().filter_map(source).collect())
            }
        }
    }

    /// Projects in which every word of `q` is found.
    pub(super) async fn search(&self, q: &str) -> Result<Vec<Found>, Trouble> {
        match self {
            Self::Aggregator { client, .. } => {
                let mut found = Vec::new();
                for page in 1..=MAX_PAGES {
                    let request = v1::ListProjectsRequest {
                        q: q.to_owned(),
                        sort: "name".to_owned(),
                        page,
                        per_page: PER_PAGE,
                        ..v1::ListProjectsRequest::default()
                    };
                    let mut client = (**client).clone();
                    let answer = call(client.list_projects(request)).await?;
                    let project = |row: v1::Row| {
                        let project = row.project?;
                        let key = project.key?;
                        Some(Found { key: Key { source: key.source, id: key.id }, name: project.name })
                    };
                    let last = answer.total <= page.saturating_mul(PER_PAGE);
                    found.extend(answer.rows.into_iter().filter_map(project));
                    if last {
                        break;
                    }
                }
                Ok(found)
            }
            Self::Web(web) => {
                let q: String = q.chars().take(MAX_SEARCH).collect();
                let items =
                    web.items(&format!("/api/v1/projects?q={}&sort=name&", encode_segment(&q))).await?;
                let project = |p: &Value| {
                    let text = |field: &str| p[field].as_str().map(str::to_owned);
                    Some(Found { key: Key { source: text("source")?, id: text("id")? }, name: text("name")? })
                };
                Ok(items.iter().filter_map(project).collect())
            }
        }
    }

    /// The explanation, as the JSON API has it.
    pub(super) async fn explain(&self, key: &Key) -> Result<Value, Trouble> {
        match self {
            Self::Aggregator { client, .. } => {
                let mut client = (**client).clone();
                let key = v1::ProjectKey { source: key.source.clone(), id: key.id.clone() };
                let request = v1::ExplainProjectRequest { key: Some(key) };
                let answer = call(client.explain_project(request)).await?;
                web::explanation(&answer).ok_or_else(|| Trouble::Other("it told of no project".to_owned()))
            }
            Self::Web(web) => {
                let (source, id) = (encode_segment(&key.source), encode_segment(&key.id));
                web.json(&format!("/api/v1/projects/{source}/{id}/explain")).await
            }
        }
    }
}

/// One question to the aggregator.
async fn call<T>(
    question: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, Trouble> {
    let Ok(answer) = timeout(PATIENCE, question).await else {
        return Err(Trouble::Other(format!("no answer within {} s", PATIENCE.as_secs())));
    };
    answer.map(tonic::Response::into_inner).map_err(|status| match status.code() {
        Code::NotFound => Trouble::NotFound,
        Code::Unimplemented => {
            Trouble::Other("it is of an older version, which does not know this question".to_owned())
        }
        // Only what the transport says has a cause.
        Code::Unavailable => match root_cause(&status) {
            Some(why) => Trouble::Away(why),
            None => Trouble::Other(status.message().to_owned()),
        },
        _ => Trouble::Other(status.message().to_owned()),
    })
}

/// The innermost cause: `connection refused` rather than `transport error`.
fn root_cause(error: &dyn std::error::Error) -> Option<String> {
    let first = error.source()?;
    let innermost = std::iter::successors(Some(first), |error| error.source()).last()?;
    Some(innermost.to_string())
}

/// The web server, over plain HTTP.
#[derive(Debug, Clone)]
pub(super) struct Web {
    host: String,
    port: u16,
    /// The name that it answers to.
    name: String,
    base: String,
    /// It speaks HTTPS.
    tls: bool,
}

impl fmt::Display for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", authority(&self.host, self.port), self.base)
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl Web {
    fn new(server: &config::Server) -> Self {
        let host = match server.host.as_str() {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            other => other,
        };
        let allowed = &server.allowed_hosts;
        let answers = allowed.is_empty() || allowed.iter().any(|name| name.eq_ignore_ascii_case(host));
        let name = if answers { host } else { allowed.first().map_or(host, String::as_str) };
        Self {
            name: authority(name, server.port),
            host: host.to_owned(),
            port: server.port,
            base: server.base_path.trim_end_matches('/').to_owned(),
            tls: server.tls.is_some(),
        }
    }

    /// All items of a list, whose address ends where parameters may be added.
    async fn items(&self, address: &str) -> Result<Vec<Value>, Trouble> {
        let mut items = Vec::new();
        for page in 1..=MAX_PAGES {
            let list = self.json(&format!("{address}per_page={PER_PAGE}&page={page}")).await?;
            let (Some(rows), Some(total)) = (list["items"].as_array(), list["total"].as_u64()) else {
                return Err(Trouble::Other("what answers there is no CI Dashboard".to_owned()));
            };
            items.extend(rows.iter().cloned());
            if total <= u64::from(page) * u64::from(PER_PAGE) {
                break;
            }
        }
        Ok(items)
    }

    /// One question below the base path; follows one redirect, to a project's present name.
    async fn json(&self, address: &str) -> Result<Value, Trouble> {
        if self.tls {
            let why =
                "it speaks HTTPS, and this command does not: start the two daemons, whose socket it asks";
            return Err(Trouble::Other(why.to_owned()));
        }
        let (mut status, mut location, mut body) = self.get(&format!("{}{address}", self.base)).await?;
        let here = |there: &&String| there.starts_with('/');
        if let Some(there) = location.as_ref().filter(here).cloned().filter(|_| status.is_redirection()) {
            (status, location, body) = self.get(&there).await?;
        }
        let read = || serde_json::from_slice::<Value>(&body);
        match status {
            StatusCode::OK => read().map_err(|error| Trouble::Other(format!("no JSON: {error}"))),
            StatusCode::NOT_FOUND if read().is_ok_and(|problem| problem["status"] == 404) => {
                Err(Trouble::NotFound)
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Trouble::Other(format!(
                "it wants somebody to sign in ({status}): start the two daemons, whose socket this command asks"
            ))),
            _ if location.is_some() => Err(Trouble::Other(
                "it sends this command elsewhere: to sign in, or to another server".to_owned(),
            )),
            _ => {
                let said = read().ok().and_then(|problem| problem["detail"].as_str().map(str::to_owned));
                Err(Trouble::Other(
                    said.map_or_else(|| status.to_string(), |said| format!("{status}: {said}")),
                ))
            }
        }
    }

    async fn get(&self, target: &str) -> Result<(StatusCode, Option<String>, Bytes), Trouble> {
        let late = || Trouble::Other(format!("no answer within {} s", PATIENCE.as_secs()));
        let stream = timeout(PATIENCE, TcpStream::connect((self.host.as_str(), self.port)));
        let stream = stream.await.map_err(|_| Trouble::Away("it does not answer".to_owned()))?;
        let stream = stream.map_err(|error| Trouble::Away(error.to_string()))?;
        let failed = |error: &dyn std::error::Error| {
            Trouble::Other(root_cause(error).unwrap_or_else(|| error.to_string()))
        };
        let request = Request::get(target).header(HOST, &self.name).body(Empty::<Bytes>::new());
        let request = request.map_err(|error| failed(&error))?;
        let exchange = async {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| failed(&error))?;
            let answer = async move {
                let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
                let (head, body) = answer.into_parts();
                let body = Limited::new(body, api::MAX_MESSAGE_BYTES).collect().await;
                let body = body.map_err(|error| failed(error.as_ref()))?.to_bytes();
                let location = head.headers.get(LOCATION).and_then(|l| l.to_str().ok()).map(str::to_owned);
                Ok((head.status, location, body))
            };
            // The connection moves the bytes, and ends when its sender is gone; what it ends with, the answer tells.
            let (_, answer) = tokio::join!(connection, answer);
            answer
        };
        timeout(PATIENCE, exchange).await.map_err(|_| late())?
    }
}
