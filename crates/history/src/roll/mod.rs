//! The daily statistics, as they are kept.
//!
//! A [`Roll`] is what happened in one block of days (1, 8 or 64) in one scope (a project, or a whole source). Blocks of
//! several lengths are kept so that any window is the sum of a few. A batch of news becomes differences, which are added
//! to the rolls in the transaction that writes the runs: what is incremental here equals what would be computed anew from
//! all runs, and a property in the contract suite holds it to that.
//!
//! In the database a roll is a compact blob: a day of a project with ten runs takes some hundred bytes. People with SQL
//! tools have the view `pipeline_stats` and the table `pipelines` itself.

mod flow;
mod sketch;
mod timeline;

use std::collections::BTreeMap;

pub use flow::{Deploys, Flow, Greens, Turns};
pub(crate) use flow::{commit_bytes, failed, is_remedied};
pub use sketch::{Sketch, Tally};
pub use timeline::{Timeline, Verdict};

use crate::codec::{Reader, put, put_signed};
use crate::{Error, Result};

/// What a roll counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Runs of a project by lane, on each branch that has statistics of its own and on all others together (0).
    Runs,
    /// Jobs of a project by name, likewise.
    Jobs,
    /// Runs of a source, likewise.
    Source,
    /// Verdicts of a project in their order: a [`Timeline`].
    Timeline,
    /// What those come to: a [`Flow`].
    Flow,
}

impl Kind {
    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Runs => 0,
            Self::Jobs => 1,
            Self::Source => 2,
            Self::Timeline => 3,
            Self::Flow => 4,
        }
    }
}

/// Days of a block of a [`Kind::Timeline`] or [`Kind::Flow`].
pub const TIMELINE_DAYS: i32 = 16;

/// Where a roll is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RollKey {
    /// What it counts.
    pub kind: Kind,
    /// Length of its blocks: index into 1, 8, 64 days. 0 for a timeline or a flow.
    pub level: u8,
    /// Number of the project or source.
    pub scope: i32,
    /// Number of the block, from 1970.
    pub block: i32,
}

/// Statuses in [`Group::counts`] are by their place in `domain::Status::ALL`.
const STATUSES: usize = domain::Status::ALL.len();

/// Written first, so that blobs of another form are known.
const FORM: u8 = 1;

/// How much is wanted of groups. Most of a group are its durations, which takes most of the time to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// How many of which status, and how many further attempts.
    Counts,
    /// The same and durations.
    Durations,
    /// Counts, and why they failed.
    Reasons,
    /// All of it.
    All,
}

/// What is counted of the runs of one branch and lane (or the jobs of one branch and name) in a block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// First attempts by status.
    pub counts: [i64; STATUSES],
    /// Further attempts.
    pub further: i64,
    /// Durations of first attempts that came to a verdict.
    pub durations: Sketch,
    /// How long first attempts waited. Of runs alone.
    pub queued: Sketch,
    /// By hour of the week (Monday 0:00 UTC is 0): first attempts, and those that failed.
    pub hours: BTreeMap<u8, (i64, i64)>,
    /// Why they failed: number of the reason's normalised text, and how often. All attempts.
    pub reasons: BTreeMap<i32, i64>,
}

impl Group {
    /// Adds (`sign` 1) or takes out (`sign` -1) another.
    pub fn add(&mut self, other: &Self, sign: i64) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += sign * theirs;
        }
        self.further += sign * other.further;
        self.durations.add(&other.durations, sign);
        self.queued.add(&other.queued, sign);
        for (hour, (runs, failed)) in &other.hours {
            let mine = self.hours.entry(*hour).or_default();
            *mine = (mine.0 + sign * runs, mine.1 + sign * failed);
        }
        self.hours.retain(|_, n| *n != (0, 0));
        for (reason, n) in &other.reasons {
            *self.reasons.entry(*reason).or_default() += sign * n;
        }
        self.reasons.retain(|_, n| *n != 0);
    }

    /// How many first attempts are of this status.
    #[must_use]
    pub fn of(&self, status: domain::Status) -> u64 {
        let at = domain::Status::ALL.iter().position(|s| *s == status).unwrap_or_default();
        self.counts[at].max(0).cast_unsigned()
    }

    /// First attempts, whatever their status.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.counts.iter().sum::<i64>().max(0).cast_unsigned()
    }

    fn is_empty(&self) -> bool {
        self.counts == [0; STATUSES]
            && self.further == 0
            && self.durations.is_empty()
            && self.queued.is_empty()
            && self.hours.is_empty()
            && self.reasons.is_empty()
    }

    fn write(&self, out: &mut Vec<u8>) {
        let present =
            self.counts.iter().enumerate().filter(|(_, n)| **n != 0).fold(0, |mask, (i, _)| mask | 1 << i);
        put(out, present);
        for n in self.counts.iter().filter(|n| **n != 0) {
            put_signed(out, *n);
        }
        put_signed(out, self.further);
        self.durations.write(out);
        self.queued.write(out);
        // Here stood from commit to green, which the timeline has for each commit.
        Sketch::default().write(out);
        put(out, self.hours.len() as u64);
        for (hour, (runs, failed)) in &self.hours {
            out.push(*hour);
            put_signed(out, *runs);
            put_signed(out, *failed);
        }
        put(out, self.reasons.len() as u64);
        for (reason, n) in &self.reasons {
            put_signed(out, i64::from(*reason));
            put_signed(out, *n);
        }
    }

    fn read(from: &mut Reader<'_>, parts: Parts) -> Result<Self> {
        let mut group = Self::default();
        let present = from.get()?;
        for (i, n) in group.counts.iter_mut().enumerate() {
            if present & (1 << i) != 0 {
                *n = from.get_signed()?;
            }
        }
        group.further = from.get_signed()?;
        match parts {
            Parts::Counts => return Ok(group),
            Parts::Durations => {
                group.durations = Sketch::read(from)?;
                return Ok(group);
            }
            Parts::Reasons => {
                Sketch::skip(from)?;
                Sketch::skip(from)?;
            }
            Parts::All => {
                group.durations = Sketch::read(from)?;
                group.queued = Sketch::read(from)?;
            }
        }
        Sketch::skip(from)?;
        for _ in 0..from.count()? {
            let hour = from.byte()?;
            if parts == Parts::Reasons {
                from.skip(2)?;
                continue;
            }
            group.hours.insert(hour, (from.get_signed()?, from.get_signed()?));
        }
        for _ in 0..from.count()? {
            group.reasons.insert(from.small()?, from.get_signed()?);
        }
        Ok(group)
    }
}

/// A branch's number (0: all that have no statistics of their own), and the number of a lane or of a job's name (0: any).
pub type GroupKey = (i32, i32);

/// Groups of one block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roll(pub BTreeMap<GroupKey, Group>);

impl Roll {
    /// Adds (`sign` 1) or takes out (`sign` -1) a group.
    pub fn add(&mut self, key: GroupKey, group: &Group, sign: i64) {
        self.0.entry(key).or_default().add(group, sign);
    }

    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        for (key, group) in &other.0 {
            self.add(*key, group, 1);
        }
    }

    /// Drops what came to nothing; true when nothing is left.
    pub fn tidy(&mut self) -> bool {
        self.0.retain(|_, group| !group.is_empty());
        self.0.is_empty()
    }

    /// As it stands in the database.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (mut out, mut bytes) = (vec![FORM], Vec::new());
        put(&mut out, self.0.len() as u64);
        for ((branch, key), group) in &self.0 {
            put_signed(&mut out, i64::from(*branch));
            put_signed(&mut out, i64::from(*key));
            bytes.clear();
            group.write(&mut bytes);
            put(&mut out, bytes.len() as u64);
            out.extend_from_slice(&bytes);
        }
        out
    }

    /// Reads it.
    ///
    /// # Errors
    /// When these are not the bytes of a roll.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut groups = BTreeMap::new();
        let take = |key, group| {
            groups.insert(key, group);
        };
        Self::each_of(bytes, Parts::All, |_| true, take)?;
        Ok(Self(groups))
    }

    /// Hands over some parts of the groups that are `wanted` and passes over the others.
    ///
    /// # Errors
    /// When these are not the bytes of a roll.
    pub fn each_of(
        bytes: &[u8],
        parts: Parts,
        wanted: impl Fn(GroupKey) -> bool,
        mut take: impl FnMut(GroupKey, Group),
    ) -> Result<()> {
        let mut from = Reader(bytes);
        if from.byte()? != FORM {
            return Err(Error::garbage("statistics of a form that this version does not know"));
        }
        for _ in 0..from.count()? {
            let key = (from.small()?, from.small()?);
            let mut group = from.part()?;
            if wanted(key) {
                take(key, Group::read(&mut group, parts)?);
            }
        }
        Ok(())
    }
}
