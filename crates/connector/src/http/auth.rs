//! Who asks. The token becomes a header here and is read nowhere else.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::credentials::Credentials;

/// Who asks, as a digest that tells nothing of the secret. What a platform counts and answers for one is nothing to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who([u8; 32]);

impl Who {
    /// Whoever is named or known by these together.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let mut digest = Sha256::new().chain_update(b"ci-dashboard: who asks");
        for part in parts {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }

    pub(super) const fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Enough of it to know it again.
    pub(super) fn to_text(self) -> String {
        self.0.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How a request says who asks.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// It does not.
    #[default]
    Anonymous,
    /// `Authorization: Bearer …`.
    Bearer(SecretString),
    /// `Authorization: Basic …`.
    Basic {
        /// User.
        user: String,
        /// Password or token.
        password: SecretString,
    },
    /// A header of the platform's own (`PRIVATE-TOKEN`).
    Header {
        /// Its name.
        name: &'static str,
        /// The token.
        value: SecretString,
    },
    /// With a credential that changes while the source runs.
    Renewed(Arc<dyn Credentials>),
}

impl Auth {
    const fn secret(&self) -> Option<&SecretString> {
        match self {
            Self::Anonymous | Self::Renewed(_) => None,
            Self::Bearer(secret)
            | Self::Basic { password: secret, .. }
            | Self::Header { value: secret, .. } => Some(secret),
        }
    }

    /// Who asks.
    pub(super) fn who(&self) -> Who {
        match self {
            Self::Anonymous => Who::of(&[]),
            Self::Bearer(token) => Who::of(&["bearer", token.expose_secret()]),
            Self::Basic { user, password } => Who::of(&["basic", user, password.expose_secret()]),
            Self::Header { name, value } => Who::of(&[name, value.expose_secret()]),
            Self::Renewed(credentials) => credentials.who(),
        }
    }

    /// Whether there is no token at all.
    pub(super) const fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }

    /// Whether text from outside repeats the token. Such text is not passed on.
    pub(super) fn occurs_in(&self, text: &str) -> bool {
        if let Self::Renewed(credentials) = self {
            return credentials.occurs_in(text);
        }
        self.secret().is_some_and(|secret| {
            // A header of the platform's own may begin with a scheme (`token s3cret`), which is none.
            let secret = secret.expose_secret().rsplit(' ').next().unwrap_or_default();
            !secret.is_empty() && text.contains(secret)
        })
    }

    /// Adds the header, marked so that nothing prints it. What is renewed is asked for first, by the client.
    ///
    /// # Errors
    /// In words, when the token cannot stand in a header.
    pub(super) fn put_into(&self, headers: &mut HeaderMap) -> Result<(), String> {
        let (name, text) = match self {
            Self::Anonymous | Self::Renewed(_) => return Ok(()),
            Self::Bearer(token) => (AUTHORIZATION, format!("Bearer {}", token.expose_secret())),
            Self::Basic { user, password } => {
                let pair = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
                (AUTHORIZATION, format!("Basic {pair}"))
            }
            Self::Header { name, value } => (header_name(name)?, value.expose_secret().to_owned()),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| "the token holds characters that no header may hold".to_owned())?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    }
}

/// A header's name from a dialect.
///
/// # Errors
/// In words, when it is none.
pub(super) fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no name of a header"))
}
