//! The object store behind log downloads: another origin, links that are signed and die after a minute, and no patience
//! with a forwarded `Authorization`, as on Azure.

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use crate::circleci;
use crate::face::{Face, seconds};
use crate::github::log_text;
use crate::http::{Reply, Request, digest};
use crate::world::{FaceId, Style, World};

/// The store in the record of requests.
pub const FACE: FaceId = FaceId("store");
/// A link is good for so long.
const LINK_LIFE: SignedDuration = SignedDuration::from_secs(60);

/// Path and query of a link to the log of a job.
pub(crate) fn link(key: u64, face: FaceId, native_project: u64, job: u64, now: Timestamp) -> String {
    signed(key, &format!("/actions-results/{face}/{native_project}/{job}.txt"), now)
}

/// A path with its signature.
pub(crate) fn signed(key: u64, path: &str, now: Timestamp) -> String {
    let until = seconds(now.saturating_add(LINK_LIFE).unwrap_or(now));
    let signature = sign(key, path, &until);
    format!("{path}?rsct=text%2Fplain&se={}&sig={signature}", until.replace(':', "%3A"))
}

fn sign(key: u64, path: &str, until: &str) -> String {
    digest(&[&key.to_be_bytes(), path.as_bytes(), until.as_bytes()])
}

#[derive(Debug)]
pub(crate) struct Store {
    key: u64,
}

impl Store {
    pub(crate) fn new(key: u64) -> Self {
        Self { key }
    }
}

fn error(status: StatusCode, code: &str, message: &str) -> Reply {
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    Reply::text("GET /log-blob", status, "application/xml", body).with("x-ms-error-code", code)
}

impl Face for Store {
    fn id(&self) -> FaceId {
        FACE
    }

    fn style(&self) -> Style {
        Style::Stages
    }

    fn answer(&self, world: &mut World, request: &Request) -> Reply {
        if request.headers.contains_key("authorization") || request.headers.contains_key("circle-token") {
            return error(
                StatusCode::BAD_REQUEST,
                "InvalidAuthenticationInfo",
                "Authentication information is not given in the correct format. Check the value of Authorization header.",
            );
        }
        let (until, signature) =
            (request.param("se").unwrap_or_default(), request.param("sig").unwrap_or_default());
        let fresh = until.parse::<Timestamp>().is_ok_and(|until| request.now <= until);
        if !fresh || signature != sign(self.key, &request.path, &until) {
            return error(
                StatusCode::FORBIDDEN,
                "AuthenticationFailed",
                "Signature not valid in the specified time frame",
            );
        }
        let parts = Request::segments(&request.path);
        if let [_, project, job, step] = parts.as_slice()
            && parts.first().is_some_and(|first| first == "circleci-output")
        {
            let number = |part: &str| part.trim_end_matches(".json").parse::<u64>().unwrap_or(0);
            let project = world.projects_of(circleci::FACE).find(|p| p.native_id == number(project));
            let step = usize::try_from(number(step)).unwrap_or(0);
            let output = project.and_then(|p| circleci::output(p, number(job), step, request.now));
            return match output {
                Some(output) => ranged("GET circleci output", request, output.to_string().into_bytes()),
                None => error(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist."),
            };
        }
        let number = |at: usize| {
            parts.get(at).and_then(|p| p.trim_end_matches(".txt").parse::<u64>().ok()).unwrap_or(0)
        };
        let log = world
            .projects()
            .find(|p| p.face.0 == parts.get(1).map_or("", String::as_str) && p.native_id == number(2));
        match log.and_then(|project| log_text(project, number(3), request.now)) {
            Some(text) => ranged("GET /log-blob", request, text.into_bytes()),
            None => error(StatusCode::NOT_FOUND, "BlobNotFound", "The specified blob does not exist."),
        }
    }
}

/// Answers `Range: bytes=a-b`, `a-` and `-n`.
pub(crate) fn ranged(template: &'static str, request: &Request, body: Vec<u8>) -> Reply {
    let whole =
        |body| Reply::text(template, StatusCode::OK, "text/plain", body).with("accept-ranges", "bytes");
    let Some(range) = request.header("range").and_then(|range| range.strip_prefix("bytes=")) else {
        return whole(body);
    };
    let Some((from, to)) = range.split_once('-') else { return whole(body) };
    let size = body.len();
    let (begin, end) = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) => (from, to.saturating_add(1).min(size)),
        (Ok(from), Err(_)) => (from, size),
        (Err(_), Ok(last)) => (size.saturating_sub(last), size),
        _ => return whole(body),
    };
    if begin >= end {
        return error(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", "The range specified is invalid.")
            .with("content-range", format!("bytes */{size}"));
    }
    Reply::text(template, StatusCode::PARTIAL_CONTENT, "text/plain", body[begin..end].to_vec())
        .with("accept-ranges", "bytes")
        .with("content-range", format!("bytes {begin}-{}/{size}", end - 1))
}
