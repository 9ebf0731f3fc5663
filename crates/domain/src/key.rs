//! Names and keys. Two sources may use the same native id, and an id may hold any character: no key is unique without
//! its source, and nothing guesses a platform from the shape of an id.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// A kind of CI system (`gitlab`, `github`, …). An open set: each connector brings its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlatformId(&'static str);

impl PlatformId {
    /// Names a platform. Lower case, as in the configuration.
    #[must_use]
    pub const fn new(id: &'static str) -> Self {
        Self(id)
    }

    /// The id as it stands in configuration and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Debug for PlatformId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for PlatformId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Why a key or a name is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A source name is 1 to 64 of `A-Z a-z 0-9 . _ -`.
    #[error("{0:?} is no source name: 1 to 64 of letters, digits, '.', '_' and '-'")]
    SourceName(String),
    /// The text form is `source:id`.
    #[error("{0:?} is no project key: expected source:id")]
    NoColon(String),
    /// The id is empty.
    #[error("{0:?} is no project key: the id is empty")]
    EmptyId(String),
    /// A percent-encoded segment does not decode to UTF-8.
    #[error("{0:?} does not decode to UTF-8")]
    Encoding(String),
}

/// The unique name of one configured source, e.g. `gitlab-main`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceName(Arc<str>);

impl SourceName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`KeyError::SourceName`] when it is empty, too long or holds anything but letters, digits, `.`, `_`, `-`:
    /// a source name stands unescaped in keys, paths and metrics.
    pub fn new(name: impl AsRef<str>) -> Result<Self, KeyError> {
        let name = name.as_ref();
        let fits = !name.is_empty()
            && name.len() <= Self::MAX_LEN
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
            && !matches!(name, "." | "..");
        if fits { Ok(Self(name.into())) } else { Err(KeyError::SourceName(name.chars().take(80).collect())) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SourceName {
    type Err = KeyError;
    fn from_str(s: &str) -> Result<Self, KeyError> {
        Self::new(s)
    }
}

/// The platform's own id of a project, as opaque text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NativeId(Arc<str>);

impl NativeId {
    /// Takes any non-empty text.
    #[must_use]
    pub fn new(id: impl AsRef<str>) -> Self {
        Self(id.as_ref().into())
    }

    /// The id, unescaped.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NativeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for NativeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A project of one source. Text form `gitlab-main:123`; URL form `gitlab-main/123` with the id percent-encoded.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectKey {
    /// The source that has it.
    pub source: SourceName,
    /// The platform's id of it.
    pub id: NativeId,
}

impl ProjectKey {
    /// Joins the two.
    #[must_use]
    pub fn new(source: SourceName, id: NativeId) -> Self {
        Self { source, id }
    }

    /// `source/id` with the id as one percent-encoded path segment.
    #[must_use]
    pub fn to_path(&self) -> String {
        format!("{}/{}", self.source, encode_segment(self.id.as_str()))
    }

    /// Reads what [`Self::to_path`] writes: the two segments of a URL, the id still encoded.
    ///
    /// # Errors
    /// [`KeyError`] when the source is no name or the id does not decode.
    pub fn from_path(source: &str, id: &str) -> Result<Self, KeyError> {
        let id = decode_segment(id)?;
        if id.is_empty() {
            return Err(KeyError::EmptyId(format!("{source}/")));
        }
        Ok(Self::new(SourceName::new(source)?, NativeId::new(id)))
    }
}

impl fmt::Display for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.id)
    }
}

impl fmt::Debug for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.id)
    }
}

impl FromStr for ProjectKey {
    type Err = KeyError;
    fn from_str(s: &str) -> Result<Self, KeyError> {
        // A source name has no colon, so the first one ends it and the id may hold any number of them.
        let (source, id) =
            s.split_once(':').ok_or_else(|| KeyError::NoColon(s.chars().take(80).collect()))?;
        if id.is_empty() {
            return Err(KeyError::EmptyId(s.chars().take(80).collect()));
        }
        Ok(Self::new(SourceName::new(source)?, NativeId::new(id)))
    }
}

/// RFC 3986 "unreserved" stays; everything else is encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes text as one path segment. `.` and `..` alone, which clients and proxies resolve away, are encoded too.
#[must_use]
pub fn encode_segment(text: &str) -> Cow<'_, str> {
    match text {
        "." => Cow::Borrowed("%2E"),
        ".." => Cow::Borrowed("%2E%2E"),
        _ => utf8_percent_encode(text, SEGMENT).into(),
    }
}

/// Decodes what [`encode_segment`] wrote.
///
/// # Errors
/// [`KeyError::Encoding`] when the bytes are no UTF-8.
pub fn decode_segment(segment: &str) -> Result<String, KeyError> {
    percent_decode_str(segment)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|_| KeyError::Encoding(segment.chars().take(80).collect()))
}
