//! The number of a board state.

use std::fmt;
use std::str::FromStr;

use api::v1;

/// A state of the board: `epoch.sequence`. Later ones are greater; the epoch rises with each start of the aggregator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Version {
    epoch: u64,
    sequence: u64,
}

impl Version {
    /// Whether what was true at this version still is when `newest` is the newest that was heard of. Answers may be ahead of
    /// the Watch stream; another epoch says nothing.
    pub(crate) fn stands_beside(self, newest: Self) -> bool {
        self.epoch == newest.epoch && self.sequence >= newest.sequence
    }
}

impl From<v1::Version> for Version {
    fn from(v: v1::Version) -> Self {
        Self { epoch: v.epoch, sequence: v.sequence }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

/// The text is no `epoch.sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoVersion;

impl FromStr for Version {
    type Err = NoVersion;
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let (epoch, sequence) = text.split_once('.').ok_or(NoVersion)?;
        Ok(Self {
            epoch: epoch.parse().map_err(|_| NoVersion)?,
            sequence: sequence.parse().map_err(|_| NoVersion)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_survives_its_text_and_a_new_epoch_is_later() {
        let old: Version = "1.900".parse().unwrap();
        let new: Version = "2.1".parse().unwrap();
        assert!(new > old);
        assert_eq!(old.to_string(), "1.900");
        assert!(old.stands_beside("1.900".parse().unwrap()) && old.stands_beside("1.899".parse().unwrap()));
        assert!(!old.stands_beside("1.901".parse().unwrap()) && !new.stands_beside(old));
        for wrong in ["", "1", "1.", ".1", "a.b", "1.2.3"] {
            assert_eq!(wrong.parse::<Version>(), Err(NoVersion), "{wrong}");
        }
    }
}
