//! `auth.tokens_file`: what scripts show instead of a password, one a line, hashed.
//!
//! ```text
//! # name:sha256:hash[:the moment until which it holds]
//! prometheus:sha256:6c2f…
//! nightly-report:sha256:09ab…:2027-01-31T00:00:00Z
//! ```
//!
//! A token is 32 random bytes, which nobody guesses: a plain hash is enough, and costs nothing at each request.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::Timestamp;
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};

use super::watched::{FileProblem, Kind, Parsed, Watched, lines};

/// What a token begins with, so that scanners for secrets know one.
const PREFIX: &str = "cid_";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Bytes of a name.
const MAX_NAME_BYTES: usize = 64;

pub(crate) type Hash = [u8; 32];

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) name: String,
    /// The moment at which it is over.
    pub(crate) expires: Option<Timestamp>,
}

/// The tokens by their hash.
#[derive(Default)]
pub(crate) struct Tokens(HashMap<Hash, Token>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.values()).finish()
    }
}

impl Tokens {
    pub(crate) fn open(file: PathBuf) -> Result<Watched<Self>, FileProblem> {
        let parse = |texts: &[String]| Self::parse(texts.first().map_or("", String::as_str));
        let kind = Kind { key: "auth.tokens_file", parse, gone: Some(Self::default) };
        Watched::open(vec![file], kind)
    }

    fn parse(text: &str) -> Parsed<Self> {
        let (mut tokens, mut problems) = (Self::default(), Vec::new());
        for (at, line) in lines(text) {
            match token(line) {
                Ok((_, token)) if tokens.0.values().any(|known| known.name == token.name) => {
                    problems.push(format!("line {at}: the name is there already"));
                }
                Ok((hash, token)) => {
                    tokens.0.insert(hash, token);
                }
                Err(why) => problems.push(format!("line {at}: {why}")),
            }
        }
        Parsed { value: Some(tokens), problems }
    }

    /// The token with this hash, unless it is over at `now`.
    pub(crate) fn get(&self, hash: &Hash, now: Timestamp) -> Option<&Token> {
        self.0.get(hash).filter(|token| token.expires.is_none_or(|at| now < at))
    }
}

pub(crate) fn hash(token: &str) -> Hash {
    Sha256::digest(token).into()
}

fn token(line: &str) -> Result<(Hash, Token), String> {
    let mut parts = line.splitn(4, ':').map(str::trim);
    let (name, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    check_name(name)?;
    let hash = parts.next().filter(|_| kind == "sha256").and_then(from_hex);
    let hash =
        hash.ok_or("what follows the name is no sha256: hash; `ci-dashboard create-token` makes one")?;
    let expires = parts.next().filter(|at| !at.is_empty());
    let expires = expires.map(str::parse::<Timestamp>).transpose();
    let expires = expires.map_err(|_| "the last part is no moment such as 2027-01-31T00:00:00Z")?;
    Ok((hash, Token { name: name.to_owned(), expires }))
}

fn check_name(name: &str) -> Result<(), String> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"._-@".contains(&b);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(fine) {
        return Err(format!("a name has 1 to {MAX_NAME_BYTES} letters, digits, and . _ - @"));
    }
    Ok(())
}

fn from_hex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 2 * hash.len() || !text.is_ascii() {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// A token that was just made.
#[derive(Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The token itself: nobody can tell it again.
    pub token: String,
    /// The line of `auth.tokens_file` that lets it in.
    pub line: String,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("line", &self.line).finish_non_exhaustive()
    }
}

/// Makes a token by this name, which holds until `expires`.
///
/// # Errors
/// In words, when the name cannot be one, or the system gives no random numbers.
pub fn create_token(name: &str, expires: Option<Timestamp>) -> Result<NewToken, String> {
    check_name(name)?;
    let mut random = [0; TOKEN_BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| "the system gives no random numbers")?;
    let token = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let hash: String = hash(&token).iter().map(|b| format!("{b:02x}")).collect();
    let expires = expires.map(|at| format!(":{at}")).unwrap_or_default();
    Ok(NewToken { line: format!("{name}:sha256:{hash}{expires}"), token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_until_it_is_over() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (for_ever, passing) = (
            create_token("prometheus", None).unwrap(),
            create_token("a.b-c", Some(at("2027-01-31T00:00:00Z"))).unwrap(),
        );
        assert!(for_ever.token.starts_with("cid_") && for_ever.token.len() == 47);
        assert!(
            !for_ever.line.contains(&for_ever.token) && !format!("{for_ever:?}").contains(&for_ever.token)
        );
        let parsed = Tokens::parse(&format!("{}\n{}\n", for_ever.line, passing.line));
        assert_eq!(parsed.problems, Vec::<String>::new());
        let tokens = parsed.value.unwrap();
        let holds = |token: &NewToken, now| tokens.get(&hash(&token.token), at(now)).map(|t| t.name.as_str());
        assert_eq!(holds(&for_ever, "2099-01-01T00:00:00Z"), Some("prometheus"));
        assert_eq!(holds(&passing, "2027-01-30T23:59:59Z"), Some("a.b-c"));
        assert_eq!(holds(&passing, "2027-01-31T00:00:00Z"), None);
        assert_eq!(tokens.get(&hash("cid_"), at("2026-01-01T00:00:00Z")), None);
    }

    #[test]
    fn lines_that_do_not_count_are_told() {
        let good = create_token("a", None).unwrap().line;
        let text =
            format!("{good}\n{good}\nb:sha256:12\nc:plain\nd e:sha256:{}\n{}:soon\n", "0".repeat(64), good);
        let parsed = Tokens::parse(&text);
        assert_eq!(parsed.value.unwrap().0.len(), 1);
        assert_eq!(parsed.problems.len(), 5, "{:?}", parsed.problems);
        assert!(create_token("a b", None).is_err() && create_token("", None).is_err());
    }
}
