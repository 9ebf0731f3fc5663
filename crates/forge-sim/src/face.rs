//! What a simulated platform has to be able to do. To add one: a module with a type that implements [`Face`], and a line
//! in [`crate::sim::FACES`] and [`crate::sim::make_face`].

use std::fmt;

use jiff::Timestamp;

use crate::access::Access;
use crate::gitea;
use crate::github::Installation;
use crate::http::{Reply, Request};
use crate::world::{FaceId, Style, World};

/// A platform's routes and JSON over the world.
pub trait Face: Send + Sync + fmt::Debug {
    /// Its id; projects carry it.
    fn id(&self) -> FaceId;

    /// How CI is organised there.
    fn style(&self) -> Style;

    /// Answers one request. The world has been moved to `request.now` before.
    fn answer(&self, world: &mut World, request: &Request) -> Reply;
}

/// What all faces share.
#[derive(Debug, Clone)]
pub struct FaceSettings {
    /// Who may come in, and how often.
    pub access: Access,
    /// Base URL of the object store to which log downloads are redirected, without a slash at the end.
    pub store_url: String,
    /// Key of the signatures of those links.
    pub store_key: u64,
    /// Where GitHub's App is installed.
    pub installations: Vec<Installation>,
    /// Whether GitHub and GitLab have GraphQL.
    pub graphql: bool,
    /// Which generation of its API Gitea speaks.
    pub gitea: gitea::Api,
}

/// RFC 3339 in whole seconds, as GitHub writes it.
pub(crate) fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// RFC 3339 with milliseconds, as GitLab writes it.
pub(crate) fn millis(at: Timestamp) -> String {
    format!("{at:.3}")
}
