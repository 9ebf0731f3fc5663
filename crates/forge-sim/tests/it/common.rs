//! A client small enough to trust, and a simulation that stands still.

use std::collections::HashMap;
use std::sync::Arc;

use forge_sim::world::FaceId;
use forge_sim::{ManualClock, Sim, SimBuilder, github, gitlab};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) fn start() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// The platforms that most tests are about: how many there are decides which one has which project.
pub(crate) const FACES: [FaceId; 2] = [gitlab::FACE, github::FACE];

/// A small world and its clock.
pub(crate) fn still(projects: usize) -> (SimBuilder, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(start()));
    (Sim::builder().seed(7).projects(projects).faces(FACES).clock(clock.clone()), clock)
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Whether the body came as long as it was announced.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The URL of the next page.
    pub(crate) fn next(&self) -> Option<String> {
        let link = self.headers.get("link")?;
        let part = link.split(", ").find(|part| part.ends_with("rel=\"next\""))?;
        Some(part[1..part.find('>').unwrap()].to_owned())
    }
}

/// Sends a request to `url` as it stands, with these headers besides `Host`.
pub(crate) async fn send(method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let mut stream = TcpStream::connect(host).await.unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut raw = Vec::new();
    let _ = stream.read_to_end(&mut raw).await;
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let body = raw[end + 4..].to_vec();
    let announced = headers.get("content-length").and_then(|n| n.parse::<usize>().ok());
    let whole = announced.is_none_or(|n| n == body.len());
    Answer { status, headers, body, whole }
}

/// GET with a token, in the manner of GitHub, which GitLab takes as well.
pub(crate) async fn get(url: &str) -> Answer {
    get_as(url, forge_sim::FULL_TOKEN, &[]).await
}

pub(crate) async fn get_as(url: &str, token: &str, more: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("user-agent", "test"), ("authorization", bearer.as_str())];
    headers.extend(more);
    send("GET", url, &headers).await
}

pub(crate) async fn get_anonymously(url: &str) -> Answer {
    send("GET", url, &[("user-agent", "test")]).await
}

/// All rows of a list, page by page; `rows` finds them in a page.
pub(crate) async fn all_pages(url: &str, rows: impl Fn(&Value) -> Vec<Value>) -> Vec<Value> {
    let (mut next, mut all) = (Some(url.to_owned()), Vec::new());
    while let Some(url) = next {
        let answer = get(&url).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
        all.extend(rows(&answer.json()));
        next = answer.next();
        assert!(all.len() < 100_000, "pages never end");
    }
    all
}

pub(crate) fn array(value: &Value) -> Vec<Value> {
    value.as_array().expect("a list").clone()
}
