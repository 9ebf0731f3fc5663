//! Durations, counted in buckets whose width is at most 1/32 of what is in them: a percentile is right within 1.6 %.
//!
//! Buckets are made with integers alone, so that what one machine counted another can take out again.

use std::time::Duration;

use crate::Result;
use crate::codec::{Reader, put, put_signed};

/// Up to here every millisecond has its own bucket.
const EXACT: u64 = 32;

/// How many of which durations. Counts may be negative while it is a difference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sketch {
    /// Sum of all, milliseconds.
    sum: i64,
    /// Bucket and count, by bucket; no count is zero.
    buckets: Vec<(u16, i64)>,
}

fn bucket(ms: u64) -> u16 {
    if ms < EXACT {
        return ms as u16;
    }
    let shift = 63 - ms.leading_zeros() - EXACT.trailing_zeros();
    ((u64::from(shift) + 1) * EXACT + (ms >> shift) - EXACT) as u16
}

/// The middle of a bucket, milliseconds.
fn middle(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < EXACT {
        return bucket;
    }
    // More than any duration needs, and no more than can be shifted.
    let shift = (bucket / EXACT - 1).min(57);
    let low = (bucket % EXACT + EXACT) << shift;
    low + (1 << shift) / 2
}

/// Many durations, before they are a sketch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    sum: i64,
    /// By bucket.
    counts: Vec<i64>,
}

impl Tally {
    /// Adds one, milliseconds.
    pub fn note(&mut self, duration_ms: i64) {
        let ms = duration_ms.max(0);
        self.sum += ms;
        self.add_to(bucket(ms.cast_unsigned()), 1);
    }
}

impl Tally {
    fn add_to(&mut self, bucket: u16, n: i64) {
        let at = usize::from(bucket);
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += n;
    }

    /// Adds many.
    pub fn add(&mut self, sketch: &Sketch) {
        self.sum += sketch.sum;
        sketch.buckets.iter().for_each(|(bucket, n)| self.add_to(*bucket, *n));
    }

    /// Adds many that stand as a [`Sketch`] writes them.
    pub(crate) fn add_written(&mut self, bytes: &[u8]) -> Result<()> {
        let mut from = Reader(bytes);
        let len = from.count()?;
        if len == 0 {
            return Ok(());
        }
        self.sum += from.get_signed()?;
        let mut at = 0_u16;
        for _ in 0..len {
            at = at.wrapping_add(from.get()? as u16);
            self.add_to(at, from.get_signed()?);
        }
        Ok(())
    }

    /// Moves all of them to another one.
    pub(crate) fn empty_into(&mut self, other: &mut Self) {
        if self.counts.len() > other.counts.len() {
            other.counts.resize(self.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&mut other.counts) {
            *theirs += std::mem::take(mine);
        }
        other.sum += std::mem::take(&mut self.sum);
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<i64>().max(0).cast_unsigned()
    }
}

impl From<Tally> for Sketch {
    fn from(Tally { sum, counts }: Tally) -> Self {
        Self { sum, buckets: (0..).zip(counts).filter(|(_, n)| *n != 0).collect() }
    }
}

impl Sketch {
    /// One duration.
    #[must_use]
    pub fn of(duration_ms: i64) -> Self {
        let ms = duration_ms.max(0);
        Self { sum: ms, buckets: vec![(bucket(ms.cast_unsigned()), 1)] }
    }

    /// Adds (`sign` 1) or takes out (`sign` -1) another.
    pub fn add(&mut self, other: &Self, sign: i64) {
        self.sum += sign * other.sum;
        // Mostly it is one duration.
        if let [] | [_] = other.buckets[..] {
            for (bucket, n) in &other.buckets {
                match self.buckets.binary_search_by_key(bucket, |(b, _)| *b) {
                    Ok(at) => {
                        self.buckets[at].1 += sign * n;
                        if self.buckets[at].1 == 0 {
                            self.buckets.remove(at);
                        }
                    }
                    Err(at) => self.buckets.insert(at, (*bucket, sign * n)),
                }
            }
            return;
        }
        let mut merged = Vec::with_capacity(self.buckets.len() + other.buckets.len());
        let (mut mine, mut theirs) =
            (self.buckets.iter().copied().peekable(), other.buckets.iter().copied().peekable());
        loop {
            let next = match (mine.peek().copied(), theirs.peek().copied()) {
                (Some(a), Some(b)) if a.0 == b.0 => {
                    mine.next();
                    theirs.next();
                    (a.0, a.1 + sign * b.1)
                }
                (Some(a), b) if b.is_none_or(|b| a.0 < b.0) => {
                    mine.next();
                    a
                }
                (_, Some(b)) => {
                    theirs.next();
                    (b.0, sign * b.1)
                }
                (_, None) => break,
            };
            if next.1 != 0 {
                merged.push(next);
            }
        }
        self.buckets = merged;
    }

    /// How many durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, n)| n).sum::<i64>().max(0).cast_unsigned()
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_millis(self.sum.max(0).cast_unsigned())
    }

    /// The duration that the share `q` (0 to 1) of them does not exceed, within 1.6 %. `None` when there are none.
    #[must_use]
    pub fn percentile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as i64).max(1);
        let mut seen = 0;
        for (bucket, n) in &self.buckets {
            seen += n;
            if seen >= rank {
                return Some(Duration::from_millis(middle(*bucket)));
            }
        }
        None
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.sum == 0 && self.buckets.is_empty()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put(out, self.buckets.len() as u64);
        if self.buckets.is_empty() {
            return;
        }
        put_signed(out, self.sum);
        let mut before = 0;
        for (bucket, n) in &self.buckets {
            put(out, u64::from(bucket - before));
            put_signed(out, *n);
            before = *bucket;
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self> {
        let len = from.count()?;
        if len == 0 {
            return Ok(Self::default());
        }
        let sum = from.get_signed()?;
        let mut buckets = Vec::with_capacity(len);
        let mut at = 0_u16;
        for _ in 0..len {
            at = at.wrapping_add(from.get()? as u16);
            buckets.push((at, from.get_signed()?));
        }
        Ok(Self { sum, buckets })
    }

    /// Passes over one.
    pub(super) fn skip(from: &mut Reader<'_>) -> Result<()> {
        match from.count()? {
            0 => Ok(()),
            len => from.skip(1 + 2 * len),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_is_narrow(ms in 0_u64..1 << 40) {
            let middle = middle(bucket(ms)) as f64;
            prop_assert!((middle - ms as f64).abs() <= ms as f64 * 0.0157, "{ms}: {middle}");
        }

        #[test]
        fn many_at_once_are_as_one_by_one(all in prop::collection::vec(-5_i64..1 << 40, 0..40)) {
            let mut sketch = Sketch::default();
            all.iter().for_each(|ms| sketch.add(&Sketch::of(*ms), 1));
            let mut tally = Tally::default();
            all.iter().for_each(|ms| tally.note(*ms));
            prop_assert_eq!(&Sketch::from(tally.clone()), &sketch);
            let mut bytes = Vec::new();
            sketch.write(&mut bytes);
            let mut twice = Tally::default();
            tally.empty_into(&mut twice);
            prop_assert_eq!(tally.count(), 0);
            twice.add_written(&bytes).unwrap();
            sketch.add(&sketch.clone(), 1);
            prop_assert_eq!(Sketch::from(twice), sketch);
        }

        #[test]
        fn what_is_added_can_be_taken_out(a in prop::collection::vec(0_i64..1_000_000, 0..40), b in prop::collection::vec(0_i64..1_000_000, 0..40)) {
            let sketch = |all: &[i64]| all.iter().fold(Sketch::default(), |mut s, ms| { s.add(&Sketch::of(*ms), 1); s });
            let mut both = sketch(&a);
            both.add(&sketch(&b), 1);
            prop_assert_eq!(&both, &sketch(&[a.clone(), b.clone()].concat()));
            let mut bytes = Vec::new();
            both.write(&mut bytes);
            prop_assert_eq!(&Sketch::read(&mut Reader(&bytes)).unwrap(), &both);
            both.add(&sketch(&b), -1);
            prop_assert_eq!(both, sketch(&a));
        }

        #[test]
        fn percentiles_are_near_the_true_ones(mut all in prop::collection::vec(0_i64..10_000_000, 1..200), q in 0.0_f64..1.0) {
            let sketch = all.iter().fold(Sketch::default(), |mut s, ms| { s.add(&Sketch::of(*ms), 1); s });
            all.sort_unstable();
            let rank = ((q * all.len() as f64).ceil() as usize).max(1);
            let (truth, told) = (all[rank - 1] as f64, sketch.percentile(q).unwrap().as_secs_f64() * 1000.0);
            prop_assert!((truth - told).abs() <= truth * 0.016 + 0.001, "{truth} {told}");
        }
    }
}
