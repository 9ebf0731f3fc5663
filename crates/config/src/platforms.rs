//! The table of CI platforms whose sources a configuration may hold.
//!
//! A platform is known here so that its section loads; whether this build has a connector for it
//! is the aggregator's to say ([`crate::Settings::without_connector`]). To add one, add a row.

/// How an extra key of a platform is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraKind {
    /// Text that anybody may see.
    Text,
    /// A one-line secret; `<name>_file` is accepted as well.
    Secret,
    /// A secret of several lines, such as a PEM key; `<name>_file` is accepted as well.
    SecretText,
}

/// A key that only the sources of one platform have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtraKey {
    /// Key in the file.
    pub name: &'static str,
    /// How it is read.
    pub kind: ExtraKind,
}

/// One kind of CI system, as far as its settings go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformSpec {
    /// The platform's id: section of the file, `platform` of the API.
    pub id: &'static str,
    /// Base URL of the vendor's own service; `None` where every source has to say its own.
    pub default_url: Option<&'static str>,
    /// `GITHUB` makes `GITHUB_TOKEN`, `GITHUB_URL` (and `GITHUB_USER` with `takes_user`).
    pub env_prefix: &'static str,
    /// Whether a source is of no use without a token.
    pub token_required: bool,
    /// Whether `<PREFIX>_USER` is read.
    pub takes_user: bool,
    /// Keys beyond those that every source has.
    pub extra: &'static [ExtraKey],
}

/// The platforms that a configuration is read with.
#[derive(Debug, Clone, Copy)]
pub struct Platforms(pub &'static [PlatformSpec]);

impl Platforms {
    /// Every platform the project knows the name of.
    pub const fn known() -> Self {
        Self(KNOWN)
    }

    /// The row of `id`.
    pub fn get(&self, id: &str) -> Option<&'static PlatformSpec> {
        self.0.iter().find(|spec| spec.id == id)
    }

    /// Rows in the order of the table.
    pub fn iter(&self) -> std::slice::Iter<'static, PlatformSpec> {
        self.0.iter()
    }
}

impl Default for Platforms {
    fn default() -> Self {
        Self::known()
    }
}

const fn platform(id: &'static str, env_prefix: &'static str) -> PlatformSpec {
    PlatformSpec { id, default_url: None, env_prefix, token_required: true, takes_user: false, extra: &[] }
}

const KNOWN: &[PlatformSpec] = &[
    PlatformSpec {
        default_url: Some("https://gitlab.com"),
        // The key of Standard Webhooks ("whsec_…"), beside the plain webhook_secret.
        extra: &[ExtraKey { name: "signing_token", kind: ExtraKind::Secret }],
        ..platform("gitlab", "GITLAB")
    },
    PlatformSpec {
        default_url: Some("https://api.github.com"),
        token_required: false, // public repositories that filters.watched_repos names
        extra: &[
            ExtraKey { name: "app_id", kind: ExtraKind::Text },
            ExtraKey { name: "installation_id", kind: ExtraKind::Text },
            ExtraKey { name: "private_key", kind: ExtraKind::SecretText },
        ],
        ..platform("github", "GITHUB")
    },
    PlatformSpec {
        token_required: false, // anonymous read is common behind a company's wall
        takes_user: true,
        ..platform("jenkins", "JENKINS")
    },
    PlatformSpec {
        default_url: Some("https://api.bitbucket.org/2.0"),
        takes_user: true, // API tokens are sent as e-mail:token
        ..platform("bitbucket", "BITBUCKET")
    },
    PlatformSpec { default_url: Some("https://circleci.com/api/v2"), ..platform("circleci", "CIRCLECI") },
    PlatformSpec { token_required: false, ..platform("gitea", "GITEA") },
    PlatformSpec { token_required: false, takes_user: true, ..platform("cctray", "CCTRAY") },
    PlatformSpec { default_url: Some("https://api.buildkite.com/v2"), ..platform("buildkite", "BUILDKITE") },
    PlatformSpec { default_url: Some("https://dev.azure.com"), ..platform("azure-devops", "AZURE_DEVOPS") },
    platform("woodpecker", "WOODPECKER"),
];
