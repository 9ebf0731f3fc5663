//! The keys that seal session cookies: one a line, the first one seals, all of them open.
//!
//! A new key is put on top; the old one may go when no session can be that old any more.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hkdf};

use super::watched::{FileProblem, Kind, Parsed, Watched, lines};

/// Characters that a key has at least: 32 random bytes in hexadecimal or base64 have more.
const MIN_KEY_CHARS: usize = 32;
/// Keys in a ring; each costs a try at every cookie that no earlier one opens.
const MAX_KEYS: usize = 8;
/// Random bytes of a key that is made here.
const KEY_BYTES: usize = 32;
/// What the keys are for, so that no other use of the same file opens what was sealed here.
const PURPOSE: &[u8] = b"ci-dashboard session cookie 1";
const SETTING: &str = "auth.session_key_file";

/// What the names of keys are for.
const NAMING: &[u8] = b"ci-dashboard name of a key 1";

/// What tells one key from another, and tells nothing of it.
pub(crate) type Name = [u8; 8];

struct Key {
    name: Name,
    key: LessSafeKey,
}

/// The keys.
pub(crate) struct KeyRing(Vec<Key>);

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.0.len())
    }
}

/// What a cookie held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) plain: Vec<u8>,
    /// Sealed by this key …
    pub(crate) by: Name,
    /// … which is on its way out.
    pub(crate) by_an_old_key: bool,
}

impl KeyRing {
    /// The keys of `file`, which is made, with a new key, where it is not there.
    pub(crate) fn open(file: PathBuf) -> Result<Watched<Self>, FileProblem> {
        if !file.exists() {
            make(&file).map_err(|error| FileProblem {
                key: SETTING,
                what: format!(
                    "cannot make {}: {error}; make one with `openssl rand -base64 32`, readable by this process",
                    file.display()
                ),
            })?;
            tracing::info!(file = %file.display(), "made a key for session cookies");
        }
        let parse = |texts: &[String]| Self::parse(texts.first().map_or("", String::as_str));
        Watched::open(vec![file], Kind { key: SETTING, parse, gone: None })
    }

    fn parse(text: &str) -> Parsed<Self> {
        let (mut keys, mut problems) = (Vec::new(), Vec::new());
        for (at, line) in lines(text) {
            if line.len() < MIN_KEY_CHARS {
                let how = "`openssl rand -base64 32` makes one";
                problems.push(format!("line {at}: a key has {MIN_KEY_CHARS} characters at least; {how}"));
            } else if let Some(key) = derive(line) {
                keys.push(key);
            }
        }
        match keys.len() {
            0 => problems.push("there is no key in it; `openssl rand -base64 32` makes one".to_owned()),
            1..=MAX_KEYS => {}
            _ => problems.push(format!("there are more than {MAX_KEYS} keys in it")),
        }
        // A ring that lacks a key signs people out: better the one of before.
        Parsed { value: problems.is_empty().then_some(Self(keys)), problems }
    }

    /// `plain` in a form that nobody reads or alters, fit for a cookie.
    pub(crate) fn seal(&self, plain: &[u8]) -> Option<String> {
        let Key { key, .. } = self.0.first()?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(unique, Aad::from(PURPOSE), &mut sealed).ok()?;
        Some(BASE64_URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Whether what this key sealed is still opened.
    pub(crate) fn has(&self, name: &Name) -> bool {
        self.0.iter().any(|key| key.name == *name)
    }

    /// What was sealed with one of the keys.
    pub(crate) fn unseal(&self, text: &str) -> Option<Opened> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        for (at, Key { name, key }) in self.0.iter().enumerate() {
            let mut sealed = sealed.to_vec();
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            if let Ok(plain) = key.open_in_place(nonce, Aad::from(PURPOSE), &mut sealed) {
                return Some(Opened { plain: plain.to_vec(), by: *name, by_an_old_key: at > 0 });
            }
        }
        None
    }
}

/// A key of the right form out of one of any form.
fn derive(line: &str) -> Option<Key> {
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"ci-dashboard").extract(line.as_bytes());
    let okm = secret.expand(&[PURPOSE], &CHACHA20_POLY1305).ok()?;
    let mut named = [0; digest::SHA256_OUTPUT_LEN];
    secret.expand(&[NAMING], hkdf::HKDF_SHA256).ok()?.fill(&mut named).ok()?;
    let name = named.first_chunk().copied()?;
    Some(Key { name, key: LessSafeKey::new(UnboundKey::from(okm)) })
}

/// A file with one new key, readable by its owner alone, which appears whole or not at all. One that somebody else makes
/// meanwhile stays.
fn make(file: &Path) -> io::Result<()> {
    let mut random = [0; KEY_BYTES + 8];
    SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no random numbers"))?;
    let (key, name) = random.split_at(KEY_BYTES);
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let beside = file.with_extension(BASE64_URL_SAFE_NO_PAD.encode(name));
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut out| {
        writeln!(out, "{}", BASE64_STANDARD.encode(key))?;
        out.sync_all()
    });
    let linked = written.and_then(|()| std::fs::hard_link(&beside, file));
    // It has been there under its own name since the link.
    let _ = std::fs::remove_file(&beside);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn ring(text: &str) -> KeyRing {
        KeyRing::parse(text).value.unwrap()
    }

    #[test]
    fn keys_rotate() {
        let sealed = ring(A).seal(b"ada").unwrap();
        let opened = |keys: &str| ring(keys).unseal(&sealed).map(|o| (o.plain, o.by_an_old_key));
        assert_eq!(opened(A), Some((b"ada".to_vec(), false)));
        assert_eq!(opened(&format!("# new\n{B}\n{A}\n")), Some((b"ada".to_vec(), true)));
        assert_eq!(opened(B), None);
        let by = ring(A).unseal(&sealed).unwrap().by;
        assert!(ring(&format!("{B}\n{A}\n")).has(&by) && !ring(B).has(&by));
    }

    #[test]
    fn nothing_that_was_altered_is_opened() {
        let ring = ring(A);
        let sealed = ring.seal(b"ada").unwrap();
        assert_ne!(sealed, ring.seal(b"ada").unwrap());
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            assert_eq!(ring.unseal(&altered).filter(|_| altered != sealed), None, "at {at}");
        }
        for odd in ["", "x", "AAAA", "ä", &sealed[1..], &sealed[..sealed.len() - 4]] {
            assert_eq!(ring.unseal(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_ring_is_good_or_none() {
        for (text, what) in [
            ("", "there is no key"),
            ("short\n", "line 1: a key has 32"),
            (&format!("{A}\nx\n"), "line 2"),
            (&format!("{A}\n").repeat(9), "more than 8"),
        ] {
            let parsed = KeyRing::parse(text);
            assert!(
                parsed.value.is_none() && parsed.problems.concat().contains(what),
                "{:?}",
                parsed.problems
            );
        }
    }

    #[test]
    fn a_key_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deeper/session.key");
        let sealed = KeyRing::open(file.clone()).unwrap().get().seal(b"ada").unwrap();
        assert!(KeyRing::open(file.clone()).unwrap().get().unseal(&sealed).is_some());
        make(&file).unwrap();
        assert!(KeyRing::open(file.clone()).unwrap().get().unseal(&sealed).is_some());
        assert_eq!(std::fs::read_dir(dir.path().join("deeper")).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let problem = KeyRing::open("/proc/none/session.key".into()).unwrap_err().to_string();
        assert!(problem.contains("auth.session_key_file") && problem.contains("openssl rand"), "{problem}");
    }
}
