//! The platforms that this build knows. A new one is one crate and one line here.

use connector::Platform;

/// All of them.
pub static PLATFORMS: [&Platform; 7] = [
    &connector_gitlab::PLATFORM,
    &connector_github::PLATFORM,
    &connector_jenkins::PLATFORM,
    &connector_bitbucket::PLATFORM,
    &connector_circleci::PLATFORM,
    &connector_gitea::PLATFORM,
    &connector_cctray::PLATFORM,
];

/// The platform with this key in the configuration.
#[must_use]
pub fn platform(id: &str) -> Option<&'static Platform> {
    PLATFORMS.into_iter().find(|p| p.descriptor.id.as_str() == id)
}
