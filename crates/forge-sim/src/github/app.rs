//! GitHub Apps: who shows a token that the App's own key signed gets one of an installation, for an hour.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

use super::error;
use crate::access::{Power, Sees, Token};
use crate::face::seconds;
use crate::http::{Reply, Request, digest};
use crate::world::PersonId;

/// The number of the App that every simulated GitHub has.
pub const APP_ID: &str = "4711";
/// Its private key as GitHub gives it out (PKCS#1). It opens nothing but simulations.
pub const APP_KEY: &str = include_str!("app-key.pkcs1.pem");
/// The same as other tools convert it (PKCS#8).
pub const APP_KEY_PKCS8: &str = include_str!("app-key.pkcs8.pem");
const PUBLIC_KEY: &[u8] = include_bytes!("app-key.public.der");
/// How long a token of an installation is good.
const TOKEN_LASTS: SignedDuration = SignedDuration::from_hours(1);
/// The longest time that an App's own token may be good, in seconds, …
const JWT_LASTS: i64 = 600;
/// … and how far a clock may be off.
const JWT_SKEW: i64 = 60;

/// Where the App is installed: number and account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Its number.
    pub id: u64,
    /// Login of the user or organization.
    pub account: String,
}

/// The App, and the tokens that it got.
#[derive(Debug)]
pub(super) struct App {
    installations: Vec<Installation>,
    tokens: Arc<Mutex<HashMap<String, (u64, Timestamp)>>>,
}

impl App {
    pub(super) fn new(installations: Vec<Installation>) -> Self {
        Self { installations, tokens: Arc::default() }
    }

    /// Who shows a token of an installation; it acts as nobody, and is counted by its installation.
    pub(super) fn caller(&self, token: &str, now: Timestamp) -> Option<Token> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, until) = tokens.get(token)?;
        let power = if now < *until { Power::Full } else { Power::Expired };
        Some(Token { value: format!("installation {id}"), owner: PersonId(0), power, sees: Sees::Everything })
    }

    /// `/app…`, for who shows the App's own token.
    pub(super) fn answer(&self, request: &Request, parts: &[&str], token: Option<&str>) -> Reply {
        if let Err(why) = verified(token.unwrap_or_default(), request.now) {
            return error(StatusCode::UNAUTHORIZED, why, "/apps/apps");
        }
        match (&request.method, parts) {
            (&Method::GET, ["app", "installations"]) => {
                let rows: Vec<Value> = self.installations.iter().map(installation).collect();
                Reply::json("GET /app/installations", StatusCode::OK, &Value::Array(rows))
            }
            (&Method::POST, ["app", "installations", id, "access_tokens"]) => {
                match self.installations.iter().find(|known| known.id.to_string() == *id) {
                    Some(known) => self.token(known.id, request.now),
                    None => error(StatusCode::NOT_FOUND, "Not Found", "/apps/apps"),
                }
            }
            _ => error(StatusCode::NOT_FOUND, "Not Found", ""),
        }
    }

    fn token(&self, id: u64, now: Timestamp) -> Reply {
        let until = now.saturating_add(TOKEN_LASTS).unwrap_or(now);
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let number = tokens.len().to_be_bytes();
        let hash = digest(&[&id.to_be_bytes(), &number, &now.as_millisecond().to_be_bytes()]);
        let token = format!("ghs_{}", &hash[..36]);
        tokens.insert(token.clone(), (id, until));
        let body = json!({
            "token": token, "expires_at": seconds(until), "repository_selection": "all",
            "permissions": { "actions": "read", "contents": "read", "metadata": "read", "pull_requests": "read" },
        });
        let template = "POST /app/installations/{installation_id}/access_tokens";
        Reply::json(template, StatusCode::CREATED, &body)
    }
}

fn installation(known: &Installation) -> Value {
    json!({
        "id": known.id,
        "account": { "login": known.account, "id": super::json::owner_id(&known.account), "type": "Organization" },
        "app_id": 4711, "app_slug": "ci-dashboard", "target_type": "Organization", "repository_selection": "all",
        "permissions": { "actions": "read", "metadata": "read" }, "events": ["workflow_run"],
        "created_at": "2026-01-10T08:00:00Z", "updated_at": "2026-01-10T08:00:00Z", "suspended_at": null,
    })
}

/// Whether a token is one that the App signed and that is good now.
fn verified(token: &str, now: Timestamp) -> Result<(), &'static str> {
    const UNREADABLE: &str = "A JSON web token could not be decoded";
    let mut parts = token.split('.');
    let (Some(head), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(UNREADABLE);
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| UNREADABLE);
    let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| UNREADABLE);
    if json(head)?["alg"] != "RS256" {
        return Err(UNREADABLE);
    }
    let signed = &token.as_bytes()[..head.len() + 1 + claims.len()];
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PUBLIC_KEY)
        .verify(signed, &decode(signature)?)
        .map_err(|_| UNREADABLE)?;
    let claims = json(claims)?;
    let time = |name: &str| claims[name].as_i64();
    let (Some(issued), Some(expires)) = (time("iat"), time("exp")) else {
        return Err("Missing 'exp' claim in assertion");
    };
    let now = now.as_second();
    let issuer =
        claims["iss"].as_str().map(str::to_owned).or_else(|| Some(claims["iss"].as_u64()?.to_string()));
    match () {
        () if issuer.as_deref() != Some(APP_ID) => Err("Integration not found"),
        () if issued > now + JWT_SKEW => Err(
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        ),
        () if expires <= now => Err(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
        ),
        () if expires > now + JWT_LASTS => Err("'Expiration time' claim ('exp') is too far in the future"),
        () => Ok(()),
    }
}
