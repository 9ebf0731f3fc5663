//! `auth.users_file`: who may sign in, one a line.
//!
//! ```text
//! # name:hash[:group,group]
//! ada:$argon2id$v=19$m=19456,t=2,p=1$…$…:platform,on-call
//! ```

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params};
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};

use super::watched::{FileProblem, Kind, Parsed, Watched, lines};

/// Bytes of a name.
pub(crate) const MAX_NAME_BYTES: usize = 128;
/// Bytes of a password.
pub(crate) const MAX_PASSWORD_BYTES: usize = 1024;
/// What a hash may cost at most to be verified: memory in KiB, passes.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_PASSES: u32 = 64;
/// Bytes of a hash of the usual length.
const HASH_BYTES: usize = 32;

/// What tells one password of a user from the next one, without telling either.
pub(crate) type Stamp = [u8; 8];

/// One user.
#[derive(Clone)]
pub(crate) struct User {
    hash: Arc<PasswordHash>,
    pub(crate) groups: Arc<[String]>,
    /// Changes with the password, so that a changed one ends what was begun with the old one.
    pub(crate) stamp: Stamp,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("groups", &self.groups).finish_non_exhaustive()
    }
}

/// The users by name.
#[derive(Default)]
pub(crate) struct Users {
    by_name: HashMap<String, User>,
    /// A hash of nothing, as costly as the costliest of the users'.
    decoy: Option<Arc<PasswordHash>>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl Users {
    pub(crate) fn open(file: PathBuf) -> Result<Watched<Self>, FileProblem> {
        let parse = |texts: &[String]| Self::parse(texts.first().map_or("", String::as_str));
        let kind = Kind { key: "auth.users_file", parse, gone: Some(Self::default) };
        Watched::open(vec![file], kind)
    }

    fn parse(text: &str) -> Parsed<Self> {
        let (mut users, mut problems) = (Self::default(), Vec::new());
        let mut costliest: Option<(u64, &User)> = None;
        for (at, line) in lines(text) {
            match user(line) {
                Ok((name, _)) if users.by_name.contains_key(&name) => {
                    problems.push(format!("line {at}: the name is there already"));
                }
                Ok((name, user)) => {
                    users.by_name.insert(name, user);
                }
                Err(why) => problems.push(format!("line {at}: {why}")),
            }
        }
        for user in users.by_name.values() {
            let cost = cost(&user.hash);
            if costliest.is_none_or(|(most, _)| cost > most) {
                costliest = Some((cost, user));
            }
        }
        users.decoy = costliest.and_then(|(_, user)| decoy(&user.hash)).map(Arc::new);
        Parsed { value: Some(users), problems }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&User> {
        self.by_name.get(name)
    }

    /// Whether `password` is the one of the user. Takes long, and as long for a name that is not there: call it where
    /// blocking is allowed.
    pub(crate) fn verify(&self, name: &str, password: &str) -> bool {
        let user = self.by_name.get(name).map(|user| &user.hash);
        let Some(hash) = user.or(self.decoy.as_ref()) else { return false };
        let right = Argon2::default().verify_password(password.as_bytes(), &**hash).is_ok();
        right && user.is_some()
    }
}

fn user(line: &str) -> Result<(String, User), String> {
    let mut parts = line.splitn(3, ':').map(str::trim);
    let (name, hash) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(format!("a name has 1 to {MAX_NAME_BYTES} bytes and no control characters"));
    }
    const HOW: &str = "`ci-dashboard hash-password` makes one";
    if !hash.starts_with("$argon2id$") {
        return Err(format!("what follows the name is no $argon2id$ hash; {HOW}"));
    }
    let hash: PasswordHash = hash.parse().map_err(|_| format!("the hash is damaged; {HOW}"))?;
    let params = Params::try_from(&hash).map_err(|_| format!("the hash is damaged; {HOW}"))?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(format!("the hash is cut; {HOW}"));
    }
    if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES {
        return Err(format!("the hash costs more than m={MAX_MEMORY_KIB},t={MAX_PASSES}; {HOW}"));
    }
    let groups = parts.next().unwrap_or_default().split(',').map(str::trim).filter(|group| !group.is_empty());
    let mut stamp = Stamp::default();
    stamp.copy_from_slice(&Sha256::digest(hash.to_string())[..8]);
    Ok((name.to_owned(), User { groups: groups.map(str::to_owned).collect(), hash: Arc::new(hash), stamp }))
}

fn cost(hash: &PasswordHash) -> u64 {
    Params::try_from(hash).map_or(0, |p| u64::from(p.m_cost()) * u64::from(p.t_cost()))
}

/// The same parameters and salt with a hash that no password has.
fn decoy(hash: &PasswordHash) -> Option<PasswordHash> {
    let mut bytes = vec![0; hash.hash.as_ref().map_or(HASH_BYTES, Output::len)];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(PasswordHash { hash: Some(Output::new(&bytes).ok()?), ..hash.clone() })
}

/// The `$argon2id$…` hash of a password, to be written after a name into `auth.users_file`.
///
/// # Errors
/// In words, when the password is empty or too long, or the system gives no random numbers.
pub fn hash_password(password: &str) -> Result<String, String> {
    if password.is_empty() {
        return Err("the password is empty".to_owned());
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(format!("the password has more than {MAX_PASSWORD_BYTES} bytes"));
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, Params::default());
    let hash = argon2.hash_password(password.as_bytes()).map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cheap, so that tests are quick: the password is `right`.
    fn cheap() -> String {
        let params = Params::new(8, 1, 1, None).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, params);
        argon2.hash_password(b"right").unwrap().to_string()
    }

    #[test]
    fn a_file_of_users() {
        let hash = cheap();
        let parsed = Users::parse(&format!("# people\nada:{hash}\n\nbob:{hash}: platform, on-call ,\n"));
        assert_eq!(parsed.problems, Vec::<String>::new());
        let users = parsed.value.unwrap();
        assert_eq!(*users.get("bob").unwrap().groups, ["platform", "on-call"]);
        assert!(users.get("ada").unwrap().groups.is_empty() && users.get("eve").is_none());
        assert!(users.verify("ada", "right"));
        for (name, password) in [("ada", "wrong"), ("ada", ""), ("eve", "right"), ("", "")] {
            assert!(!users.verify(name, password), "{name} {password}");
        }
        assert!(!format!("{users:?}").contains("argon2"));
    }

    #[test]
    fn lines_that_do_not_count_are_told_without_being_quoted() {
        let hash = cheap();
        let text = format!(
            "ada:{hash}\nada:{hash}\nbob:secret\neve:$argon2id$v=19$m=8\n:{hash}\ndan:$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAA\n\
             max:{}\n",
            hash.replace("m=8", "m=99999999")
        );
        let parsed = Users::parse(&text);
        assert_eq!(parsed.value.unwrap().by_name.len(), 1);
        let lines: Vec<_> = parsed.problems.iter().map(|p| p.split(':').next().unwrap()).collect();
        assert_eq!(lines, ["line 2", "line 3", "line 4", "line 5", "line 6", "line 7"]);
        assert!(!parsed.problems.concat().contains("secret"));
    }

    #[test]
    fn whoever_is_not_there_costs_as_much() {
        let parsed = Users::parse(&format!("ada:{}\n", cheap()));
        let decoy = parsed.value.unwrap().decoy.unwrap();
        let ada: PasswordHash = cheap().parse().unwrap();
        assert_eq!((decoy.params.as_str(), decoy.version), (ada.params.as_str(), ada.version));
        assert_eq!(decoy.hash.unwrap().len(), HASH_BYTES);
    }

    #[test]
    fn a_hash_is_new_each_time_and_verifies() {
        let (one, two) = (hash_password("x y").unwrap(), hash_password("x y").unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && one != two && !one.contains(':'));
        assert!(Users::parse(&format!("a:{one}")).value.unwrap().verify("a", "x y"));
        assert!(hash_password("").is_err() && hash_password(&"x".repeat(2000)).is_err());
    }
}
