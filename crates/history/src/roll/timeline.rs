//! Verdicts in their order: what "broken since", time to green, lead time and deployments are read from.

use std::collections::BTreeMap;

use super::FORM;
use crate::codec::{Reader, put, put_signed};
use crate::{Error, Result};

/// What the newest attempt of a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdict {
    /// When the run began, milliseconds since 1970. First, so that verdicts sort by it.
    pub began_ms: i64,
    /// The run's key within its project.
    pub run: i64,
    /// From beginning to end, milliseconds.
    pub took_ms: i64,
    /// Success or warning.
    pub green: bool,
    /// Its message says that it takes something back: a revert, a rollback, a hotfix.
    pub remedy: bool,
    /// Of a green one: the beginning of its commit's id; 0: not known.
    pub commit: i32,
    /// Of a green one: from its commit to its end, milliseconds, where the time of the commit is known.
    pub lead_ms: Option<i64>,
}

/// Bits of a verdict. Blobs from before commits were kept have the first two alone.
const GREEN: u8 = 1;
const REMEDY: u8 = 2;
const COMMIT: u8 = 4;
const LEAD: u8 = 8;

/// Verdicts of a project in a block of days, by branch and lane, each list in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline(pub BTreeMap<(i32, i32), Vec<Verdict>>);

impl Timeline {
    /// Puts a run's verdict in the place of what was known of it.
    pub fn put(&mut self, key: (i32, i32), verdict: Verdict) {
        self.take(key, verdict.run);
        let list = self.0.entry(key).or_default();
        let at = list.partition_point(|v| *v < verdict);
        list.insert(at, verdict);
    }

    /// Takes a run out.
    pub fn take(&mut self, key: (i32, i32), run: i64) {
        if let Some(list) = self.0.get_mut(&key) {
            list.retain(|v| v.run != run);
            if list.is_empty() {
                self.0.remove(&key);
            }
        }
    }

    /// As it stands in the database.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (mut out, mut part) = (vec![FORM], Vec::new());
        put(&mut out, self.0.len() as u64);
        for ((branch, lane), list) in &self.0 {
            put_signed(&mut out, i64::from(*branch));
            put_signed(&mut out, i64::from(*lane));
            part.clear();
            put(&mut part, list.len() as u64);
            let (mut at, mut run) = (0, 0);
            for v in list {
                put_signed(&mut part, v.began_ms - at);
                put_signed(&mut part, v.run.wrapping_sub(run));
                put_signed(&mut part, v.took_ms);
                let bit = |on: bool, bit: u8| if on { bit } else { 0 };
                part.push(
                    bit(v.green, GREEN)
                        | bit(v.remedy, REMEDY)
                        | bit(v.commit != 0, COMMIT)
                        | bit(v.lead_ms.is_some(), LEAD),
                );
                if v.commit != 0 {
                    put_signed(&mut part, v.commit.into());
                }
                if let Some(lead) = v.lead_ms {
                    put_signed(&mut part, lead);
                }
                (at, run) = (v.began_ms, v.run);
            }
            put(&mut out, part.len() as u64);
            out.extend_from_slice(&part);
        }
        out
    }

    /// Reads it.
    ///
    /// # Errors
    /// When these are not the bytes of a timeline.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut all = BTreeMap::new();
        let take = |key, verdicts: &[Verdict]| {
            all.insert(key, verdicts.to_vec());
        };
        Self::each_of(bytes, |_| true, take)?;
        Ok(Self(all))
    }

    /// Hands over the lists of branches and lanes that are `wanted` and passes over the others.
    ///
    /// # Errors
    /// When these are not the bytes of a timeline.
    pub fn each_of(
        bytes: &[u8],
        wanted: impl Fn((i32, i32)) -> bool,
        mut take: impl FnMut((i32, i32), &[Verdict]),
    ) -> Result<()> {
        let mut from = Reader(bytes);
        if from.byte()? != FORM {
            return Err(Error::garbage("statistics of a form that this version does not know"));
        }
        let mut list = Vec::new();
        for _ in 0..from.count()? {
            let key = (from.small()?, from.small()?);
            let mut part = from.part()?;
            if !wanted(key) {
                continue;
            }
            let from = &mut part;
            let len = from.count()?;
            list.clear();
            list.reserve(len);
            let (mut at, mut run) = (0_i64, 0_i64);
            for _ in 0..len {
                at = at.wrapping_add(from.get_signed()?);
                run = run.wrapping_add(from.get_signed()?);
                let took_ms = from.get_signed()?;
                let bits = from.byte()?;
                list.push(Verdict {
                    began_ms: at,
                    run,
                    took_ms,
                    green: bits & GREEN != 0,
                    remedy: bits & REMEDY != 0,
                    commit: if bits & COMMIT == 0 { 0 } else { from.small()? },
                    lead_ms: if bits & LEAD == 0 { None } else { Some(from.get_signed()?) },
                });
            }
            take(key, &list);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_and_back(verdicts in prop::collection::vec((0_i32..3, any::<i32>(), any::<i64>(), 0_i64..1_000_000, any::<bool>(), any::<bool>(), any::<i32>(), prop::option::of(any::<i64>())), 0..30)) {
            let mut timeline = Timeline::default();
            for (branch, at, run, took_ms, green, remedy, commit, lead_ms) in verdicts {
                timeline.put((branch, 1), Verdict { began_ms: at.into(), run, took_ms, green, remedy, commit, lead_ms });
            }
            prop_assert_eq!(Timeline::from_bytes(&timeline.to_bytes()).unwrap(), timeline);
        }

        #[test]
        fn any_bytes_are_an_error_or_a_timeline(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Timeline::from_bytes(&bytes);
            let _ = super::super::Roll::from_bytes(&bytes);
        }
    }
}
