//! How the webhooks of a source fare, since the start.

use domain::{Timestamp, text};

/// The longest word of a platform for what happened, in characters.
const MAX_KIND: usize = 64;

/// Figures of one source's webhooks. They come and go with every delivery and wake no page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// When the newest delivery that was believed came.
    pub last_at: Option<Timestamp>,
    /// The platform's word for what it told.
    pub last_kind: Option<String>,
    /// Applied.
    pub accepted: u64,
    /// Taken before.
    pub duplicate: u64,
    /// Believed, and of no concern.
    pub ignored: u64,
    /// Refused: not signed with the secret.
    pub forged: u64,
    /// Refused: signed, but not readable.
    pub malformed: u64,
    /// Refused: too large.
    pub too_large: u64,
    /// When the newest one was refused.
    pub last_refused_at: Option<Timestamp>,
    /// And why.
    pub last_refusal: Option<String>,
    /// Believed, and turned away: they could not be written down. They are to be sent again.
    pub not_kept: u64,
    /// When the newest one was turned away.
    pub last_not_kept_at: Option<Timestamp>,
    /// And why.
    pub last_not_kept: Option<String>,
    /// Refused in a row, so that the log tells of the first one only.
    refused_in_a_row: u64,
    /// Turned away in a row, likewise.
    not_kept_in_a_row: u64,
}

/// What became of a delivery that was believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Applied,
    Duplicate,
    Ignored,
}

/// Why one was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Forged,
    Malformed,
    TooLarge,
}

impl Health {
    /// Every count with its name, as metrics have it.
    #[must_use]
    pub const fn counts(&self) -> [(&'static str, u64); 7] {
        [
            ("accepted", self.accepted),
            ("duplicate", self.duplicate),
            ("ignored", self.ignored),
            ("forged", self.forged),
            ("malformed", self.malformed),
            ("too_large", self.too_large),
            ("not_kept", self.not_kept),
        ]
    }

    pub(super) fn believed(&mut self, taken: Taken, kind: &str, at: Timestamp) {
        match taken {
            Taken::Applied => self.accepted += 1,
            Taken::Duplicate => self.duplicate += 1,
            Taken::Ignored => self.ignored += 1,
        }
        self.last_at = Some(at);
        self.last_kind = Some(text::line(kind, MAX_KIND)).filter(|k| !k.is_empty());
        (self.refused_in_a_row, self.not_kept_in_a_row) = (0, 0);
    }

    /// Gives whether it is the first after one that was taken.
    pub(super) fn turned_away(&mut self, why: &str, at: Timestamp) -> bool {
        self.not_kept += 1;
        self.last_not_kept_at = Some(at);
        self.last_not_kept = Some(text::line(why, text::MAX_TITLE));
        self.not_kept_in_a_row += 1;
        self.not_kept_in_a_row == 1
    }

    /// Gives whether it is the first after one that was believed.
    pub(super) fn refused(&mut self, refusal: Refusal, why: &str, at: Timestamp) -> bool {
        match refusal {
            Refusal::Forged => self.forged += 1,
            Refusal::Malformed => self.malformed += 1,
            Refusal::TooLarge => self.too_large += 1,
        }
        self.last_refused_at = Some(at);
        self.last_refusal = Some(text::line(why, text::MAX_TITLE));
        self.refused_in_a_row += 1;
        self.refused_in_a_row == 1
    }
}
