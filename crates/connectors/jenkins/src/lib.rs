//! Jenkins: the core's remote API (`…/api/json?tree=…`), and the Pipeline REST API plugin's stages where it is there.
//!
//! * A project is a job; a multibranch job is *one* project and its child jobs are its branches. Its id is its full name,
//!   in which the names of branches stay as Jenkins keeps them: percent-encoded. URLs encode each name once more and
//!   nothing ever decodes one, except for people to read.
//! * A run's id is the build's number; under a multibranch job `child/number`, because each child counts from 1.
//! * A job has one lane: whatever started it, its newest build says how it is, as its ball on Jenkins' own pages does.
//! * One request tells the whole instance (`listing.rs`): which jobs there are, and the last builds of each. Only what
//!   that cannot tell is asked for job by job (`heads.rs`): builds that are new, why one is red, whether one waits.
//! * No URL that Jenkins tells is ever requested: these follow the "Jenkins URL" of its settings, which may be another
//!   host. Requests are made from names, below the configured base; told URLs are links for people.
//!
//! # Webhooks
//!
//! The Notification plugin posts each phase of a build as JSON. It signs nothing, so the source's `webhook_secret` has to
//! come with it, in one of these ways:
//!
//! * in the endpoint's URL, `https://jenkins:SECRET@dashboard/webhooks/SOURCE`, which the plugin sends as Basic
//!   authorization;
//! * from a pipeline's `httpRequest` or `curl`: `X-Jenkins-Token: SECRET`, `Authorization: Bearer SECRET`, or a signature
//!   of the body, `X-Hub-Signature-256: sha256=…`, as other forges send it. Where there is a signature, it has to fit.

mod actions;
mod base;
mod branches;
mod builds;
mod cause;
mod convert;
mod details;
mod heads;
mod listing;
mod log;
mod plan;
mod source;
mod status;
mod tree;
mod webhook;
mod wire;

use std::sync::Arc;

use connector::{Connector, Descriptor, Platform, Words};
use domain::PlatformId;

const PLATFORM_ID: PlatformId = PlatformId::new("jenkins");

/// What a token has to be allowed: Jenkins has no scopes, its user has permissions.
const SCOPE: &str = "Overall/Read and Job/Read";

static DESCRIPTOR: Descriptor = Descriptor {
    id: PLATFORM_ID,
    title: "Jenkins",
    icon: "jenkins",
    words: Words { project: "job", pipeline: "build", merge_request: "pull request" },
    scope: SCOPE,
};

/// Jenkins.
pub static PLATFORM: Platform = Platform {
    descriptor: &DESCRIPTOR,
    build: |settings, clock| Ok(Arc::new(source::Jenkins::new(settings, clock)?) as Arc<dyn Connector>),
};
