//! How a run is, and the two faces of a branch.

use std::fmt;

/// The state of a pipeline or a job. The platform's own word travels beside it for display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Status {
    /// Created or waiting for a runner.
    Queued,
    /// At work.
    Running,
    /// Ended well.
    Success,
    /// Ended well with warnings: an allowed failure, an unstable build.
    Warning,
    /// Ended badly.
    Failed,
    /// Stopped before its end, by a person or a newer run.
    Canceled,
    /// Never ran, by rule.
    Skipped,
    /// Waits for a person.
    Manual,
    /// The platform's word is not known to us.
    Unknown,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Running,
        Self::Success,
        Self::Warning,
        Self::Failed,
        Self::Canceled,
        Self::Skipped,
        Self::Manual,
        Self::Unknown,
    ];

    /// The word in JSON, queries and CSS classes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
            Self::Manual => "manual",
            Self::Unknown => "unknown",
        }
    }

    /// The reverse of [`Self::as_str`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Queued or running: it moves by itself.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }

    /// It ended and said whether the code is good.
    #[must_use]
    pub const fn is_verdict(self) -> bool {
        matches!(self, Self::Success | Self::Warning | Self::Failed)
    }

    /// Success or warning.
    #[must_use]
    pub const fn is_green(self) -> bool {
        matches!(self, Self::Success | Self::Warning)
    }

    /// How far a run has come that is so: waits, works, has ended. `None` where that cannot be told: a person may be
    /// waited for at any point.
    #[must_use]
    pub const fn progress(self) -> Option<u8> {
        match self {
            Self::Queued => Some(0),
            Self::Running => Some(1),
            Self::Success | Self::Warning | Self::Failed | Self::Canceled | Self::Skipped => Some(2),
            Self::Manual | Self::Unknown => None,
        }
    }

    /// It will not move unless somebody runs it again.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Success | Self::Warning | Self::Failed | Self::Canceled | Self::Skipped)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What last completed on a branch, over all its workflows. Ordered by how much it wants attention, least first, so
/// that `max` is "worst wins". A branch of which all that ended was canceled or skipped says so, but one real verdict
/// outranks any number of those; unknown outranks success, because what is not known must not look green.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing but skipped runs.
    Skipped,
    /// Nothing but canceled (and skipped) runs.
    Canceled,
    /// All green.
    Success,
    /// Something ended in a way that is not known to us.
    Unknown,
    /// Green with warnings.
    Warning,
    /// Red.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Skipped, Self::Canceled, Self::Success, Self::Unknown, Self::Warning, Self::Failed];

    /// The word in JSON, queries and CSS classes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
            Self::Success => "success",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    /// The reverse of [`Self::as_str`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// The outcome that a run of this status gives, if it gives any.
    #[must_use]
    pub const fn of(status: Status) -> Option<Self> {
        match status {
            Status::Success => Some(Self::Success),
            Status::Warning => Some(Self::Warning),
            Status::Failed => Some(Self::Failed),
            Status::Canceled => Some(Self::Canceled),
            Status::Skipped => Some(Self::Skipped),
            Status::Unknown => Some(Self::Unknown),
            Status::Queued | Status::Running | Status::Manual => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What goes on now on a branch. Running outranks queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Activity {
    /// Something waits for a runner, nothing runs.
    Queued,
    /// Something runs.
    Running,
}

impl Activity {
    /// The word in JSON, queries and CSS classes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
        }
    }

    /// The reverse of [`Self::as_str`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Queued, Self::Running].into_iter().find(|s| s.as_str() == word)
    }

    /// The activity of a run of this status.
    #[must_use]
    pub const fn of(status: Status) -> Option<Self> {
        match status {
            Status::Queued => Some(Self::Queued),
            Status::Running => Some(Self::Running),
            _ => None,
        }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
