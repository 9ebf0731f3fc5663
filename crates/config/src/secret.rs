//! Values that are never shown.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// What stands in place of a secret wherever one would be shown.
pub const MASK: &str = "********";

/// Where a secret was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFrom {
    /// The configuration file itself (perhaps through `${NAME}`).
    Settings,
    /// A file that the configuration names (`token_file`).
    File(PathBuf),
    /// An environment variable.
    Environment(String),
}

impl fmt::Display for SecretFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings => f.write_str("the settings"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
        }
    }
}

/// A token, webhook secret or private key. `Debug` and `Display` show [`MASK`]; memory is wiped on drop.
#[derive(Clone)]
pub struct Secret {
    value: SecretString,
    from: SecretFrom,
}

impl Secret {
    /// Wraps `value`, which must not be empty.
    pub fn new(value: impl Into<String>, from: SecretFrom) -> Self {
        Self { value: SecretString::from(value.into()), from }
    }

    /// The value itself: to be put into a request, never into a log, a page or an error.
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// The value in secrecy's wrapper, for code that carries it on.
    pub fn secret_string(&self) -> &SecretString {
        &self.value
    }

    /// Where it was read.
    pub fn from(&self) -> &SecretFrom {
        &self.from
    }
}

impl Eq for Secret {}

/// Whether a new configuration says the same: not for comparing with what somebody sent, since it takes longer the more is
/// right.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.from == other.from && self.expose() == other.expose()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({MASK} from {})", self.from)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A URL that may carry a password (Redis, PostgreSQL, proxy). `Debug` and `Display` show it without.
#[derive(Clone)]
pub struct SecretUrl {
    value: SecretString,
    masked: String,
}

impl SecretUrl {
    /// Wraps a URL that was parsed already.
    pub fn new(url: &Url) -> Self {
        Self { value: SecretString::from(url.as_str().to_owned()), masked: mask_url(url) }
    }

    /// The URL with its credentials.
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// The URL with [`MASK`] for its credentials.
    pub fn masked(&self) -> &str {
        &self.masked
    }
}

impl Eq for SecretUrl {}

/// As of [`Secret`].
impl PartialEq for SecretUrl {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({})", self.masked)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

/// `url` with [`MASK`] for its password (or for its user name when that stands alone, as a token does),
/// for the values of parameters that sound like secrets, and without its fragment.
pub fn mask_url(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_fragment(None);
    // The setters fail only for URLs that cannot have credentials.
    if shown.password().is_some() {
        if shown.set_password(Some(MASK)).is_err() {
            return MASK.to_owned();
        }
    } else if !shown.username().is_empty() && shown.set_username(MASK).is_err() {
        return MASK.to_owned();
    }
    if shown.query().is_some() {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| {
                let lower = name.to_ascii_lowercase();
                let secret = ["pass", "secret", "token", "key", "auth"].iter().any(|w| lower.contains(w));
                (name.into_owned(), if secret { MASK.to_owned() } else { value.into_owned() })
            })
            .collect();
        shown.query_pairs_mut().clear().extend_pairs(pairs);
    }
    shown.into()
}
