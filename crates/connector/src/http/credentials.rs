//! Credentials that change while a source runs: a file that is written anew, a token that expires.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use config::{Secret, SecretFrom};
use domain::{Clock, Timestamp};
use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::AsyncReadExt as _;

use super::auth::{Auth, Who};
use crate::Result;

/// How often a token's file is looked at, at most: a changed token is in use within a minute.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(30);
/// The largest file of a token, in bytes.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

/// Who asks, where that changes ([`Auth::Renewed`]). Asked before each request.
#[async_trait]
pub trait Credentials: fmt::Debug + Send + Sync {
    /// The credential of now, got anew first where it is about to end. Never [`Auth::Renewed`].
    ///
    /// # Errors
    /// When there is none to be had. Nothing is sent then.
    async fn current(&self) -> Result<Auth>;

    /// Counts the credentials that there have been: rises when another takes the place of one.
    fn generation(&self) -> u64;

    /// Who asks with the credential of now. The next credential of the same one (an App's next token) is the same.
    fn who(&self) -> Who;

    /// The platform refused the credential of this generation (401). Whether there is another by now, so that it makes
    /// sense to ask again.
    async fn refused(&self, generation: u64) -> bool;

    /// Whether text from outside repeats a credential. Such text is not passed on.
    fn occurs_in(&self, text: &str) -> bool;
}

/// Who asks, with a token from the settings, sent as `wrap` says (as [`Auth::Bearer`]). One that was read from a file is read again when the file changes.
#[must_use]
pub fn auth_of(
    token: Option<&Secret>,
    wrap: impl Fn(SecretString) -> Auth + Send + Sync + 'static,
    clock: &Arc<dyn Clock>,
) -> Auth {
    match token.map(|token| (token, token.from())) {
        None => Auth::Anonymous,
        Some((token, SecretFrom::File(path))) => {
            let wrap = Box::new(wrap);
            Auth::Renewed(Arc::new(TokenFile::new(path.clone(), token.secret_string(), wrap, clock)))
        }
        Some((token, _)) => wrap(token.secret_string().clone()),
    }
}

struct Known {
    token: SecretString,
    generation: u64,
    looked_at: Timestamp,
    /// Said once, until the file can be read again.
    complained: bool,
}

/// How a token is sent.
type Wrap = Box<dyn Fn(SecretString) -> Auth + Send + Sync>;

/// A token in a file.
struct TokenFile {
    path: PathBuf,
    wrap: Wrap,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl TokenFile {
    fn new(path: PathBuf, token: &SecretString, wrap: Wrap, clock: &Arc<dyn Clock>) -> Self {
        let known = Known { token: token.clone(), generation: 0, looked_at: clock.now(), complained: false };
        Self { path, wrap, clock: Arc::clone(clock), known: Mutex::new(known) }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file. What cannot be read leaves the token as it is known: files are written anew in two steps.
    async fn look(&self) {
        self.known().looked_at = self.clock.now();
        let read = read_token(&self.path).await;
        let mut known = self.known();
        match read {
            Ok(token) if token.expose_secret() == known.token.expose_secret() => known.complained = false,
            Ok(token) => {
                tracing::info!(path = %self.path.display(), "the token's file has changed: the new one is in use");
                (known.token, known.complained) = (token, false);
                known.generation += 1;
            }
            Err(why) if !known.complained => {
                known.complained = true;
                tracing::warn!(path = %self.path.display(), why, "the token's file cannot be read: the last one stays in use");
            }
            Err(_) => {}
        }
    }
}

/// The first line and only line of a file.
///
/// # Errors
/// In words, without anything of what is inside.
async fn read_token(path: &std::path::Path) -> std::result::Result<SecretString, String> {
    let file = tokio::fs::File::open(path).await.map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    file.take(MAX_TOKEN_BYTES + 1).read_to_end(&mut bytes).await.map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MAX_TOKEN_BYTES {
        return Err(format!("larger than {MAX_TOKEN_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("it is empty, or more than one line".to_owned());
    }
    Ok(SecretString::from(text))
}

#[async_trait]
impl Credentials for TokenFile {
    async fn current(&self) -> Result<Auth> {
        let age = self.clock.now().duration_since(self.known().looked_at);
        if age.is_negative() || age >= LOOK_EVERY {
            self.look().await;
        }
        Ok((self.wrap)(self.known().token.clone()))
    }

    fn generation(&self) -> u64 {
        self.known().generation
    }

    fn who(&self) -> Who {
        (self.wrap)(self.known().token.clone()).who()
    }

    async fn refused(&self, generation: u64) -> bool {
        if self.generation() == generation {
            self.look().await;
        }
        self.generation() != generation
    }

    fn occurs_in(&self, text: &str) -> bool {
        (self.wrap)(self.known().token.clone()).occurs_in(text)
    }
}
