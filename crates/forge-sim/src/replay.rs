//! Answers from recordings: a platform that says again what a real one once said.
//!
//! A recording is a JSON file with a list of `{method, host, path, status, headers, body}`. A request is answered by the
//! exchange with the same path and query; failing that, by the one with the same path and no query, narrowed as the
//! request's filters say. A later page that was not recorded is empty, anything else is 404. Recorded ETag and
//! Last-Modified are honoured, and links to the recorded host lead back here.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The host of an exchange that names none.
const DEFAULT_HOST: &str = "api.github.com";
/// Parameters that say which part of a list and in what order: a recording may differ in them.
const PAGING: [&str; 8] =
    ["per_page", "page", "pagelen", "sort", "direction", "order_by", "affiliation", "visibility"];
/// Parameters that a recording without a query answers all the same.
const NO_MATTER: [&str; 14] = [
    "created",
    "pagination",
    "membership",
    "archived",
    "id_after",
    "exclude_pull_requests",
    "filter",
    "include_retried",
    "updated_after",
    "simple",
    "with_stats",
    "state",
    "scope",
    "fields",
];

type Query = Vec<(String, String)>;

#[derive(Debug, Clone)]
struct Exchange {
    status: u16,
    headers: Map<String, Value>,
    body: Value,
}

/// Everything that was recorded, by method, path and query.
#[derive(Debug, Default)]
struct Recordings {
    exchanges: HashMap<(String, String, Query), Exchange>,
    hosts: BTreeSet<String>,
    /// GitHub's own links name a repository by its id.
    aliases: HashMap<String, String>,
}

/// A running replay on 127.0.0.1. Dropping it ends it.
#[derive(Debug)]
pub struct Replay {
    address: SocketAddr,
    missed: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Replay {
    /// Reads the recordings and begins to listen, on a port that the system chooses.
    ///
    /// # Errors
    /// When a file cannot be read or is no recording, or no port can be had.
    pub async fn start<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> io::Result<Self> {
        let mut recordings = Recordings::default();
        for file in files {
            recordings.add(&std::fs::read(file)?).map_err(io::Error::other)?;
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let missed = Arc::<Mutex<Vec<String>>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listener, Arc::new(recordings), Arc::clone(&missed)));
        Ok(Self { address, missed, _tasks: tasks })
    }

    /// Base URL, `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked for and never recorded, in order.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn listen(listener: TcpListener, recordings: Arc<Recordings>, missed: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (recordings, missed) = (Arc::clone(&recordings), Arc::clone(&missed));
                connections.spawn(async move {
                    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                        let (parts, _) = request.into_parts();
                        let answer = recordings.answer(&parts.method, &parts.uri, &parts.headers);
                        if answer.is_none() {
                            let mut missed = missed.lock().unwrap_or_else(PoisonError::into_inner);
                            missed.push(format!("{} {}", parts.method, parts.uri));
                        }
                        let head = parts.method == Method::HEAD;
                        let response = respond(answer.unwrap_or_else(not_recorded), head);
                        async move { Ok::<_, Infallible>(response) }
                    });
                    // A client that goes away is no error of ours.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

fn not_recorded() -> Exchange {
    let headers = Map::from_iter([("content-type".to_owned(), json!("application/json"))]);
    Exchange { status: 404, headers, body: json!({ "message": "Not Found" }) }
}

fn respond(answer: Exchange, head: bool) -> http::Response<Full<Bytes>> {
    let body = match answer.body {
        _ if head || answer.status == 304 => Vec::new(),
        Value::Null => Vec::new(),
        Value::String(text) => text.into_bytes(),
        other => other.to_string().into_bytes(),
    };
    let mut response = http::Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    for (name, value) in &answer.headers {
        let (Ok(name), Some(Ok(value))) =
            (HeaderName::try_from(name.as_str()), value.as_str().map(HeaderValue::from_str))
        else {
            continue;
        };
        response.headers_mut().append(name, value);
    }
    response
}

/// A path as it stands and its query, decoded and sorted.
fn split(target: &str) -> (String, Query) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let plain = |s: &str| percent_decode_str(&s.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut query: Query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (plain(name), plain(value))
        })
        .collect();
    query.sort();
    (path.to_owned(), query)
}

/// Whether a filter lets a row through; `None`: it is no filter.
fn filter(name: &str, value: &str, row: &Value) -> Option<bool> {
    Some(match name {
        "branch" => row["head_branch"] == value,
        "ref" => row["ref"] == value,
        "status" => row["status"] == value || row["conclusion"] == value,
        "head_sha" => row["head_sha"] == value,
        "sha" => row["sha"] == value,
        "event" => row["event"] == value,
        "actor" => row["actor"]["login"] == value,
        _ => return None,
    })
}

fn is_filter(name: &str) -> bool {
    filter(name, "", &Value::Null).is_some()
}

/// The rows of a body: the body itself, or the one list in it.
fn rows(body: &mut Value) -> Option<&mut Vec<Value>> {
    match body {
        Value::Array(rows) => Some(rows),
        Value::Object(fields) => {
            let mut lists = fields.values_mut().filter_map(Value::as_array_mut);
            lists.next().filter(|_| lists.next().is_none())
        }
        _ => None,
    }
}

/// Only the rows that the query's filters let through.
fn narrow(body: &mut Value, query: &Query) {
    let Some(rows) = rows(body) else { return };
    rows.retain(|row| query.iter().all(|(name, value)| filter(name, value, row).unwrap_or(true)));
    let left = rows.len();
    if let Some(total) = body.get_mut("total_count") {
        *total = json!(left);
    }
}

/// A page after the last: the same shape, no rows.
fn blank(body: &mut Value) {
    match body {
        Value::Array(rows) => rows.clear(),
        Value::Object(fields) => {
            fields.values_mut().filter_map(Value::as_array_mut).for_each(Vec::clear);
        }
        _ => {}
    }
}

impl Recordings {
    fn add(&mut self, file: &[u8]) -> Result<(), serde_json::Error> {
        for exchange in serde_json::from_slice::<Vec<Value>>(file)? {
            let text = |name: &str| exchange[name].as_str().unwrap_or_default().to_owned();
            let (path, query) = split(&text("path"));
            let body = exchange["body"].clone();
            if let (Some(id), Some(name)) = (body["id"].as_u64(), body["full_name"].as_str())
                && path == format!("/repos/{name}")
            {
                self.aliases.insert(format!("/repositories/{id}"), path.clone());
            }
            self.hosts.insert(exchange["host"].as_str().unwrap_or(DEFAULT_HOST).to_owned());
            let status = exchange["status"].as_u64().and_then(|s| u16::try_from(s).ok()).unwrap_or(200);
            let headers = exchange["headers"].as_object().cloned().unwrap_or_default();
            let found = Exchange { status, headers, body };
            self.exchanges.entry((text("method"), path, query)).or_insert(found);
        }
        Ok(())
    }

    fn find(&self, method: &Method, target: &str) -> Option<(Exchange, bool)> {
        let (mut path, query) = split(target);
        if let Some((id, name)) = self.aliases.iter().find(|(id, _)| {
            path.strip_prefix(id.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }) {
            path.replace_range(..id.len(), name);
        }
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let get = |query: Query| self.exchanges.get(&(method.to_owned(), path.clone(), query)).cloned();
        if let Some(exact) = get(query.clone()) {
            return Some((exact, false));
        }
        let later = query.iter().any(|(name, value)| name == "page" && value != "1");
        let rest: Query = query.into_iter().filter(|(name, _)| !PAGING.contains(&name.as_str())).collect();
        if let Some(found) = get(rest.clone()) {
            return Some((found, later));
        }
        let mut plain = get(Query::new())?;
        if rest.iter().any(|(name, _)| !is_filter(name) && !NO_MATTER.contains(&name.as_str())) {
            return None;
        }
        // What was recorded of the whole list is not true of a part of it.
        plain.headers.retain(|name, _| !matches!(name.as_str(), "etag" | "link" | "last-modified"));
        narrow(&mut plain.body, &rest);
        Some((plain, later))
    }

    fn answer(&self, method: &Method, uri: &http::Uri, asked: &HeaderMap) -> Option<Exchange> {
        let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let (mut found, later) = self.find(method, target)?;
        found.headers.retain(|name, _| {
            !matches!(
                name.as_str(),
                "date" | "status" | "content-length" | "transfer-encoding" | "content-encoding"
            )
        });
        if later {
            found.headers.retain(|name, _| !matches!(name.as_str(), "etag" | "link"));
            blank(&mut found.body);
        }
        let here = asked.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or("127.0.0.1");
        if let Some(Value::String(link)) = found.headers.get_mut("link") {
            for host in &self.hosts {
                *link = link.replace(&format!("https://{host}"), &format!("http://{here}"));
            }
        }
        let tag = |name: &str| found.headers.get(name).and_then(Value::as_str);
        let has = |name: HeaderName| asked.get(name).and_then(|v| v.to_str().ok());
        let same = match (tag("etag"), tag("last-modified")) {
            (Some(etag), _) => has(header::IF_NONE_MATCH) == Some(etag),
            (None, Some(at)) => has(header::IF_MODIFIED_SINCE) == Some(at),
            (None, None) => false,
        };
        if same {
            found.status = 304;
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = r#"[
        {"method": "GET", "host": "api.github.com", "path": "/repos/o/r", "status": 200, "headers": {"etag": "\"1\"", "date": "x"},
         "body": {"id": 7, "full_name": "o/r"}},
        {"method": "GET", "host": "api.github.com", "path": "/repos/o/r/actions/runs", "status": 200,
         "headers": {"link": "<https://api.github.com/repositories/7/actions/runs?page=2>; rel=\"next\"", "etag": "\"2\""},
         "body": {"total_count": 2, "workflow_runs": [{"id": 1, "head_branch": "main"}, {"id": 2, "head_branch": "x"}]}},
        {"method": "GET", "path": "/repos/o/r/actions/runs?branch=old", "status": 200, "headers": {},
         "body": {"total_count": 1, "workflow_runs": [{"id": 3, "head_branch": "old"}]}}
    ]"#;

    fn ask(target: &str, etag: Option<&'static str>) -> Option<Exchange> {
        let mut recordings = Recordings::default();
        recordings.add(RECORDED.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:9"));
        if let Some(etag) = etag {
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(etag));
        }
        recordings.answer(&Method::GET, &target.parse().unwrap(), &headers)
    }

    fn ids(target: &str) -> Vec<u64> {
        let body = ask(target, None).unwrap().body;
        body["workflow_runs"].as_array().unwrap().iter().map(|r| r["id"].as_u64().unwrap()).collect()
    }

    #[test]
    fn a_request_gets_what_was_recorded_or_a_part_of_it() {
        assert_eq!(ids("/repos/o/r/actions/runs?per_page=100"), [1, 2]);
        assert_eq!(ids("/repos/o/r/actions/runs?branch=main&per_page=30"), [1]);
        assert_eq!(
            ids("/repos/o/r/actions/runs?branch=old&per_page=30"),
            [3],
            "a recording of just this is better"
        );
        assert_eq!(ids("/repos/o/r/actions/runs?page=2"), [0; 0]);
        assert_eq!(ids("/repositories/7/actions/runs"), [1, 2], "by the repository's id");
        assert!(ask("/repos/o/r/actions/runs?unheard=of", None).is_none());
        assert!(ask("/repos/o/other", None).is_none());
        let exact = ask("/repos/o/r/actions/runs?per_page=100", None).unwrap();
        assert!(exact.headers["link"].as_str().unwrap().starts_with("<http://127.0.0.1:9/repositories/7/"));
        let part = ask("/repos/o/r/actions/runs?branch=main", None).unwrap();
        assert_eq!((part.headers.get("etag"), &part.body["total_count"]), (None, &json!(1)));
    }

    #[test]
    fn what_has_not_changed_is_not_sent_again() {
        assert_eq!(ask("/repos/o/r", Some("\"1\"")).unwrap().status, 304);
        assert_eq!(ask("/repos/o/r", Some("\"0\"")).unwrap().status, 200);
        assert!(!ask("/repos/o/r", None).unwrap().headers.contains_key("date"));
    }
}
