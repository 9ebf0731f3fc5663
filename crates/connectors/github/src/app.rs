//! Signing in as a GitHub App: its private key signs a short-lived token, for which GitHub gives one of an installation,
//! good for an hour. The budget of an installation grows with its organization, and no person has to lend a token.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use config::{Secret, SecretFrom};
use connector::http::{Auth, Client, ClientSettings, Credentials, Post, Traffic, Who};
use connector::wire::{Rows, lenient_string, lenient_time};
use connector::{Error, Result};
use domain::{Clock, SourceName, Timestamp};
use jiff::SignedDuration;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

/// How long before its end a token of an installation is renewed.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_mins(5);
/// How long an installation's token is good where GitHub does not say.
const TOKEN_LASTS: SignedDuration = SignedDuration::from_mins(30);
/// How long the App's own token is good; GitHub takes at most ten minutes, by its own clock.
const JWT_LASTS: SignedDuration = SignedDuration::from_mins(8);
/// How far back it begins, for clocks that differ.
const JWT_SKEW: SignedDuration = SignedDuration::from_secs(60);
/// How long a failure stands before it is tried again.
const FAILURE_STANDS: SignedDuration = SignedDuration::from_secs(10);
/// The largest file of a key, in bytes.
const MAX_KEY_BYTES: u64 = 64 * 1024;
const INSTALLATIONS: &str = "GET /app/installations";
const ACCESS_TOKENS: &str = "POST /app/installations/:id/access_tokens";

/// What the settings say of an App.
pub(crate) struct Settings<'a> {
    /// Its number, or its client id.
    pub(crate) app_id: &'a str,
    /// Where it acts; found out where there is but one.
    pub(crate) installation_id: Option<&'a str>,
    /// Its private key.
    pub(crate) private_key: &'a Secret,
}

/// A key, from a PEM file in either of the forms that there are.
///
/// # Errors
/// In words, without anything of the key.
fn key_pair(pem: &str) -> std::result::Result<KeyPair, String> {
    let no_key = |why: &str| format!("it is no private key of an RSA pair in PEM form ({why})");
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| no_key("expected -----BEGIN RSA PRIVATE KEY----- or -----BEGIN PRIVATE KEY-----"))?;
    let pair = match &der {
        PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
        _ => return Err(no_key("another kind of key")),
    };
    pair.map_err(|why| no_key(&why.to_string()))
}

/// The App's own token, as [RFC 7519](https://www.rfc-editor.org/rfc/rfc7519) has it.
fn jwt(
    pair: &KeyPair,
    app_id: &str,
    now: Timestamp,
) -> std::result::Result<(SecretString, Timestamp), String> {
    let ends = now.saturating_add(JWT_LASTS).unwrap_or(now);
    let begins = now.saturating_sub(JWT_SKEW).unwrap_or(now);
    let claims = json!({ "iat": begins.as_second(), "exp": ends.as_second(), "iss": app_id });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(&claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| "the private key does not sign".to_owned())?;
    Ok((format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into(), ends))
}

struct Signed {
    pem: SecretString,
    token: Option<(SecretString, Timestamp)>,
    generation: u64,
}

/// Who the App is: signs, and reads the key anew when it is refused or its file has changed.
struct AppKey {
    source: SourceName,
    app_id: String,
    file: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    signed: Mutex<Signed>,
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKey")
            .field("app_id", &self.app_id)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl AppKey {
    fn signed(&self) -> MutexGuard<'_, Signed> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the key from its file, if it changed. What cannot be read leaves the key as it is known.
    async fn look(&self) {
        let Some(path) = &self.file else { return };
        let mut text = String::new();
        let read = match tokio::fs::File::open(path).await {
            Ok(file) => file.take(MAX_KEY_BYTES).read_to_string(&mut text).await.map(drop),
            Err(e) => Err(e),
        };
        let pem = SecretString::from(text);
        let why = match read {
            Ok(()) => key_pair(pem.expose_secret()).err(),
            Err(e) => Some(e.to_string()),
        };
        if let Some(why) = why {
            tracing::warn!(source = %self.source, path = %path.display(), why, "private_key_file: the last key stays in use");
            return;
        }
        let mut signed = self.signed();
        if signed.pem.expose_secret().trim_end() != pem.expose_secret().trim_end() {
            tracing::info!(source = %self.source, path = %path.display(), "private_key_file has changed: the new key is in use");
            signed.pem = pem;
            signed.token = None;
            signed.generation += 1;
        }
    }
}

#[async_trait]
impl Credentials for AppKey {
    async fn current(&self) -> Result<Auth> {
        let now = self.clock.now();
        let good = |ends: Timestamp| {
            let left = ends.duration_since(now);
            left > JWT_SKEW && left <= JWT_LASTS
        };
        if let Some((token, _)) = self.signed().token.as_ref().filter(|(_, ends)| good(*ends)) {
            return Ok(Auth::Bearer(token.clone()));
        }
        self.look().await;
        let mut signed = self.signed();
        let failed = |why: String| {
            Error::Unauthorized(format!("source {}: private key of App {}: {why}", self.source, self.app_id))
        };
        let made = key_pair(signed.pem.expose_secret()).and_then(|pair| jwt(&pair, &self.app_id, now));
        let (token, ends) = made.map_err(failed)?;
        signed.token = Some((token.clone(), ends));
        Ok(Auth::Bearer(token))
    }

    fn generation(&self) -> u64 {
        self.signed().generation
    }

    fn who(&self) -> Who {
        Who::of(&["app", &self.app_id])
    }

    async fn refused(&self, generation: u64) -> bool {
        if self.generation() == generation {
            self.look().await;
        }
        self.generation() != generation
    }

    fn occurs_in(&self, text: &str) -> bool {
        self.signed().token.as_ref().is_some_and(|(token, _)| text.contains(token.expose_secret()))
    }
}

#[derive(Default)]
struct Issued {
    token: Option<(SecretString, Timestamp)>,
    generation: u64,
    /// Found out, where the settings do not say.
    installation: Option<String>,
    failed: Option<(Error, Timestamp)>,
}

/// The tokens of an App's installation.
pub(crate) struct AppTokens {
    source: SourceName,
    app_id: String,
    installation: Option<String>,
    client: Client,
    clock: Arc<dyn Clock>,
    issued: Mutex<Issued>,
    /// Held while one is got, so that one is.
    renewing: tokio::sync::Mutex<()>,
}

impl fmt::Debug for AppTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppTokens")
            .field("app_id", &self.app_id)
            .field("installation", &self.installation)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct AccessToken {
    token: String,
    #[serde(default, deserialize_with = "lenient_time")]
    expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
    #[serde(default)]
    account: Option<Account>,
}

#[derive(Deserialize)]
struct Account {
    #[serde(default, deserialize_with = "lenient_string")]
    login: Option<String>,
}

impl Installation {
    fn named(&self) -> String {
        let login = self.account.as_ref().and_then(|account| account.login.as_deref());
        format!("{} ({})", login.unwrap_or("an account without a name"), self.id)
    }
}

impl AppTokens {
    /// Sets it up; nothing is asked yet. `connection` says how GitHub is reached.
    ///
    /// # Errors
    /// In words, when the key is none or the connection cannot be made.
    pub(crate) fn new(
        settings: &Settings<'_>,
        connection: ClientSettings,
        clock: &Arc<dyn Clock>,
    ) -> std::result::Result<Self, String> {
        key_pair(settings.private_key.expose())
            .map_err(|why| format!("private_key ({}): {why}", settings.private_key.from()))?;
        let source = connection.source.clone();
        let key = AppKey {
            source: source.clone(),
            app_id: settings.app_id.to_owned(),
            file: match settings.private_key.from() {
                SecretFrom::File(path) => Some(path.clone()),
                _ => None,
            },
            clock: Arc::clone(clock),
            signed: Mutex::new(Signed {
                pem: settings.private_key.secret_string().clone(),
                token: None,
                generation: 0,
            }),
        };
        let connection = ClientSettings { auth: Auth::Renewed(Arc::new(key)), ..connection };
        Ok(Self {
            source,
            app_id: settings.app_id.to_owned(),
            installation: settings.installation_id.map(str::to_owned),
            client: Client::new(connection, Arc::clone(clock))?,
            clock: Arc::clone(clock),
            issued: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
        })
    }

    /// The requests that signing in has cost.
    pub(crate) fn traffic(&self) -> Traffic {
        self.client.traffic()
    }

    fn issued(&self) -> MutexGuard<'_, Issued> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token of now, unless it is about to end.
    fn fresh(&self) -> Option<Auth> {
        let now = self.clock.now();
        let issued = self.issued();
        let (token, ends) = issued.token.as_ref()?;
        (ends.duration_since(now) > RENEW_BEFORE).then(|| Auth::Bearer(token.clone()))
    }

    async fn renew(&self) -> Result<()> {
        let id = match &self.installation {
            Some(id) => id.clone(),
            None => self.find_installation().await?,
        };
        let url = self.client.url(&["app", "installations", &id, "access_tokens"], &[]);
        let answer = self.client.post(ACCESS_TOKENS, url, Post::json(&json!({}))?.repeatable()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(Error::NotFound(_)) => {
                // One that was found out may have been taken away, and another be there.
                self.issued().installation = None;
                let there = self.installations().await.map(|all| listed(&all)).unwrap_or_default();
                return Err(self.fail(&format!("has no installation {id}{there}: correct installation_id")));
            }
            Err(error) => return Err(self.said(error)),
        };
        let token: AccessToken = answer.json()?;
        let now = self.clock.now();
        let ends = token.expires_at.filter(|ends| *ends > now);
        let ends = ends.unwrap_or_else(|| now.saturating_add(TOKEN_LASTS).unwrap_or(now));
        let mut issued = self.issued();
        issued.token = Some((token.token.into(), ends));
        issued.generation += 1;
        Ok(())
    }

    async fn installations(&self) -> Result<Vec<Installation>> {
        let url = self.client.url(&["app", "installations"], &[("per_page", "100")]);
        let answer = self.client.get(INSTALLATIONS, url).await.map_err(|error| self.said(error))?;
        Ok(answer.json::<Rows<Installation>>()?.items)
    }

    async fn find_installation(&self) -> Result<String> {
        if let Some(id) = self.issued().installation.clone() {
            return Ok(id);
        }
        let all = self.installations().await?;
        match all.as_slice() {
            [one] => {
                let id = one.id.to_string();
                self.issued().installation = Some(id.clone());
                Ok(id)
            }
            [] => Err(self
                .fail("is installed nowhere: install it for the organization, on GitHub's page of the App")),
            _ => Err(self.fail(&format!(
                "is installed at several accounts{}: say which with installation_id",
                listed(&all)
            ))),
        }
    }

    fn fail(&self, why: &str) -> Error {
        Error::Unauthorized(format!("source {}: GitHub App {} {why}", self.source, self.app_id))
    }

    /// What a refusal of the App itself means; whatever else failed is told as it is.
    fn said(&self, error: Error) -> Error {
        match error {
            Error::Unauthorized(_) => self.fail(
                "is refused (401): app_id and private key do not belong together, the key was taken away, or this \
                 machine's clock is wrong",
            ),
            Error::Forbidden(why) => self.fail(&format!("may not sign in; is its installation suspended? {why}")),
            error => error,
        }
    }
}

/// `: acme (1), beta (2)`.
fn listed(all: &[Installation]) -> String {
    let names: Vec<String> = all.iter().map(Installation::named).collect();
    if names.is_empty() { String::new() } else { format!(" (there are: {})", names.join(", ")) }
}

#[async_trait]
impl Credentials for AppTokens {
    async fn current(&self) -> Result<Auth> {
        if let Some(auth) = self.fresh() {
            return Ok(auth);
        }
        let _one_at_a_time = self.renewing.lock().await;
        if let Some(auth) = self.fresh() {
            return Ok(auth);
        }
        let now = self.clock.now();
        let failed = self.issued().failed.clone().filter(|(_, at)| {
            let age = now.duration_since(*at);
            !age.is_negative() && age < FAILURE_STANDS
        });
        let outcome = match failed {
            Some((error, _)) => Err(error),
            None => {
                let outcome = self.renew().await;
                self.issued().failed = outcome.as_ref().err().map(|error| (error.clone(), now));
                outcome
            }
        };
        let issued = self.issued();
        // One that is about to end is still good.
        let good = issued.token.as_ref().filter(|(_, ends)| *ends > now).map(|(token, _)| token.clone());
        match (good, outcome) {
            (Some(token), _) => Ok(Auth::Bearer(token)),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(self.fail("gets tokens that have ended already")),
        }
    }

    fn generation(&self) -> u64 {
        self.issued().generation
    }

    fn who(&self) -> Who {
        Who::of(&["app", &self.app_id, self.installation.as_deref().unwrap_or_default()])
    }

    async fn refused(&self, generation: u64) -> bool {
        let _one_at_a_time = self.renewing.lock().await;
        if self.generation() == generation {
            self.issued().token = None;
            if let Err(error) = self.renew().await {
                tracing::debug!(source = %self.source, %error, "a token that was refused could not be replaced");
            }
        }
        self.generation() != generation
    }

    fn occurs_in(&self, text: &str) -> bool {
        self.issued().token.as_ref().is_some_and(|(token, _)| text.contains(token.expose_secret()))
    }
}
