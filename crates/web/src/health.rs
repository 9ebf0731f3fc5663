//! `/api/health` and `/api/ready`, and who asks from within the container.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

use crate::app::App;
use crate::auth::Visitor;
use crate::html::overview_key;
use crate::tls::with_own_server;

/// 200 while the process lives, with the aggregator's state in the body; who is not let in hears no more than that.
pub(crate) async fn health(State(app): State<App>, visitor: Visitor) -> Response {
    let link = app.aggregator.state();
    if !visitor.is_let_in() {
        let body = json!({ "status": "ok", "aggregator": { "state": link.phase.as_str() } });
        return plain(StatusCode::OK, &body);
    }
    let body = json!({
        "status": "ok",
        "version": crate::VERSION,
        "commit": crate::COMMIT,
        "aggregator": {
            "state": link.phase.as_str(),
            "address": app.endpoint,
            "version": link.version.map(|v| v.to_string()),
            "since": link.since.to_string(),
            "last_heard_at": link.last_heard_at.map(|at| at.to_string()),
            "error": link.error,
        },
    });
    plain(StatusCode::OK, &body)
}

/// 200 while the overview can be answered, old or new, and the process does not stop.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    let ready = app.kept.has(&overview_key()) && !app.stop.is_cancelled();
    let body = json!({ "ready": ready, "aggregator": app.aggregator.state().phase.as_str() });
    plain(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
}

fn plain(status: StatusCode, body: &serde_json::Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}

/// What one asks through.
trait Talk: Read + Write {}
impl<T: Read + Write> Talk for T {}

/// How long a daemon that is well takes to say so at most.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of its answer that are read.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Asks the daemon that runs with these settings whether it is well.
///
/// # Errors
/// Why it is not, in one sentence.
pub fn check(server: &config::Server) -> Result<(), String> {
    // Who listens everywhere is asked on loopback.
    let host = match &*server.host {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let at = format!("{host}, port {}", server.port);
    let ask = || -> std::io::Result<String> {
        let address = (host, server.port).to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream: Box<dyn Talk> = match &server.tls {
            None => Box::new(stream),
            Some(files) => Box::new(with_own_server(stream, files).map_err(std::io::Error::other)?),
        };
        // Under a name that it goes by.
        let named = server.allowed_hosts.first().cloned().unwrap_or_else(|| address.to_string());
        let path = format!("{}/api/health", server.base_path.trim_end_matches('/'));
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {named}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        // TLS says so when an end is not announced; the answer tells itself whether it is whole.
        match stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer) {
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => return Err(error),
            _ => {}
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask().map_err(|error| format!("nothing answers on {at}: {error}"))?;
    match answer.lines().next() {
        Some(line) if line.split(' ').nth(1) == Some("200") => Ok(()),
        other => Err(format!("what answers on {at} is not well: {}", other.unwrap_or("it says nothing"))),
    }
}
