//! A cctray feed at `/cctray.xml` (and at `/`), as a server of any make writes it: one line for each project, with the last build of its
//! default branch that ended, and whether one goes on.
//!
//! Facts: the format's description at cctray.org and the feeds of GoCD and Jenkins. Without a token the feed holds what is
//! public; a token comes as `Bearer`, or as the password of any user.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};

use crate::access::{Access, Caller, Power, Token};
use crate::face::{Face, FaceSettings, seconds};
use crate::http::{Reply, Request, digest, encode};
use crate::world::{FaceId, Pipeline, Project, RunStatus, Style, World};

/// cctray.
pub const FACE: FaceId = FaceId("cctray");
/// Where the feed is.
pub const PATH: &str = "/cctray.xml";
const FEED: &str = "GET /cctray.xml";

/// The face.
#[derive(Debug)]
pub struct Cctray {
    access: Access,
}

impl Cctray {
    /// A feed with these settings.
    #[must_use]
    pub fn new(settings: &FaceSettings) -> Self {
        Self { access: settings.access.clone() }
    }

    fn token(request: &Request) -> Option<String> {
        let (scheme, value) = request.header("authorization")?.split_once(' ')?;
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Some(value.trim().to_owned()),
            "basic" => {
                let pair = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
                pair.split_once(':').map(|(_, password)| password.to_owned())
            }
            _ => Some(String::new()),
        }
    }
}

impl Face for Cctray {
    fn id(&self) -> FaceId {
        FACE
    }

    fn style(&self) -> Style {
        Style::Stages
    }

    fn answer(&self, world: &mut World, request: &Request) -> Reply {
        if request.method != Method::GET || !matches!(request.path.as_str(), PATH | "/") {
            return page(request);
        }
        let caller = self.access.caller(Self::token(request).as_deref());
        match &caller {
            Caller::Unknown | Caller::Known(Token { power: Power::Expired, .. }) => {
                let body = "<html><head><title>401 Unauthorized</title></head><body>401 Unauthorized</body></html>\n";
                return Reply::text("(error)", StatusCode::UNAUTHORIZED, "text/html", body)
                    .with("www-authenticate", "Basic realm=\"builds\"");
            }
            Caller::Known(Token { power: Power::None, .. }) => {
                let body =
                    "<html><head><title>403 Forbidden</title></head><body>403 Forbidden</body></html>\n";
                return Reply::text("(error)", StatusCode::FORBIDDEN, "text/html", body);
            }
            Caller::Anonymous | Caller::Known(_) => {}
        }
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Projects>\n");
        for project in world.projects_of(FACE).filter(|p| p.member && caller.sees(p)) {
            write_project(&mut xml, &request.origin, project);
        }
        xml.push_str("</Projects>\n");
        let etag = format!("\"{}\"", &digest(&[xml.as_bytes()])[..32]);
        if request.has_tag(&etag) {
            return Reply::text(FEED, StatusCode::NOT_MODIFIED, "application/xml; charset=utf-8", "")
                .with("etag", etag);
        }
        Reply::text(FEED, StatusCode::OK, "application/xml; charset=utf-8", xml).with("etag", etag)
    }
}

/// The builds that a feed is about: what pushes started on the default branch, newest first.
pub(crate) fn builds(project: &Project) -> impl Iterator<Item = &Pipeline> {
    let default = project.default_branch.as_deref();
    project.pipelines().iter().rev().filter(move |run| {
        run.workflow == 0
            && Some(&*run.branch) == default
            && !matches!(run.trigger, crate::world::Trigger::MergeRequest(_))
    })
}

fn write_project(xml: &mut String, origin: &str, project: &Project) {
    let ended = builds(project).find(|run| run.status.is_terminal());
    let goes_on = builds(project).take_while(|run| !run.status.is_terminal());
    // What waits for a person builds no more.
    let activity =
        if goes_on.into_iter().any(|run| run.status.is_active()) { "Building" } else { "Sleeping" };
    let status = ended.map_or("Unknown", |run| match run.status {
        RunStatus::Success => "Success",
        RunStatus::Failed => "Failure",
        RunStatus::Canceled => "Cancelled",
        _ => "Unknown",
    });
    let _ = write!(
        xml,
        "  <Project name=\"{}\" activity=\"{activity}\" lastBuildStatus=\"{status}\"",
        escaped(&project.full_path())
    );
    if let Some(run) = ended {
        let at = run.finished_at.unwrap_or(run.updated_at);
        let _ = write!(xml, " lastBuildLabel=\"{}\" lastBuildTime=\"{}\"", run.number, seconds(at));
    }
    let _ = write!(xml, " webUrl=\"{origin}/builds/{}\"", encode(&project.full_path()));
    match ended.filter(|run| run.status == RunStatus::Failed) {
        Some(run) => {
            let breaker = project.commit(&run.sha).map_or(run.actor, |commit| commit.author).person().name;
            let _ = write!(xml, "><messages><message text=\"{}\" kind=\"Breakers\"/>", escaped(breaker));
            if let Some(failure) = &run.failure {
                let _ = write!(xml, "<message text=\"{}\" kind=\"FailingTasks\"/>", escaped(&failure.job));
            }
            xml.push_str("</messages></Project>\n");
        }
        None => xml.push_str("/>\n"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What a browser gets that follows a link out of the dashboard.
fn page(request: &Request) -> Reply {
    if request.path.starts_with("/builds/") {
        let body = "<!doctype html><meta charset=\"utf-8\"><title>Simulated build server</title>\
                    <h1>Simulated build server</h1><p>Only the feed exists here: this page stands for the real one.";
        return Reply::text("GET /page", StatusCode::OK, "text/html; charset=utf-8", body);
    }
    Reply::text("(no route)", StatusCode::NOT_FOUND, "text/html", "<html><body>404 Not Found</body></html>\n")
}
