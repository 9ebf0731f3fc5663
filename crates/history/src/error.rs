//! What can go wrong, told so that somebody can do something about it.

use std::fmt;

/// The outcome of an operation on history.
pub type Result<T> = std::result::Result<T, Error>;

/// What the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nobody answers there. Passes by itself, perhaps.
    Unreachable,
    /// It takes too long, or is busy. Passes by itself.
    Slow,
    /// User or password is refused, or there is no such database.
    Refused,
    /// The server is too old.
    TooOld,
    /// A newer version of this program has been here.
    Newer,
    /// The schema is not what our migrations made.
    Altered,
    /// It cannot be written.
    ReadOnly,
    /// No room is left.
    Full,
    /// The file is damaged, or none of ours.
    Corrupt,
    /// What was read makes no sense to us.
    Garbage,
    /// Anything else that the database said.
    Other,
}

/// What went wrong, in one sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// For people.
    pub text: String,
}

impl Error {
    /// Puts the two together.
    #[must_use]
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Whether trying the same again, later, may help without anybody doing anything.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self.kind, ErrorKind::Unreachable | ErrorKind::Slow | ErrorKind::Full | ErrorKind::Other)
    }

    pub(crate) fn garbage(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Garbage, text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
