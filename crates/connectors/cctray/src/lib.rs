//! Any cctray feed: the XML file in which GoCD, TeamCity, Concourse, Buildkite, AppVeyor, Jenkins and many others tell how
//! each of their projects is.
//!
//! * `text`: bytes to text, whatever encoding they declare; `feed`: text to rows; `status`: the words; `convert`: what a
//!   row means; `source`: a feed that is asked.
//!
//! A feed is one file about everything, so one conditional request answers a whole refresh. Of each project it tells the
//! last build that ended and whether one is going on, no more: what it told before is kept by the board, so that a
//! project's history grows from the day on which it is watched. There are no branches, no jobs and no logs.
//!
//! Facts: the format's description at <https://cctray.org/v1/> and the feeds of CruiseControl.NET, GoCD and Jenkins.

mod convert;
mod feed;
mod source;
mod status;
mod text;

use connector::{Descriptor, Platform, Words};
use domain::PlatformId;

const PLATFORM_ID: PlatformId = PlatformId::new("cctray");

static DESCRIPTOR: Descriptor = Descriptor {
    id: PLATFORM_ID,
    title: "cctray feed",
    icon: "feed",
    words: Words { project: "project", pipeline: "build", merge_request: "merge request" },
    scope: source::SCOPE,
};

/// The platform.
pub static PLATFORM: Platform = Platform { descriptor: &DESCRIPTOR, build: source::Cctray::build };
