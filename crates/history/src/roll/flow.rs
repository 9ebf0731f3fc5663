//! What a block of verdicts comes to: a year is summed from these, and need not be gone through verdict by verdict.
//!
//! A [`Flow`] says nothing that its [`Timeline`] does not say, and is made from it whenever that is written. What began in a block
//! and ends in a later one stands at its edges, so that blocks in their order come to what their verdicts come to.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use super::sketch::Tally;
use super::{FORM, Sketch, TIMELINE_DAYS, Timeline, Verdict};
use crate::codec::{Reader, put, put_signed};
use crate::{Day, Error, Result};

/// A remedy within this time says that the deployment before it failed.
pub(crate) const REMEDY_WITHIN_MS: i64 = 24 * 60 * 60 * 1000;
/// The commits of at least so many of a lane's last green runs are told …
const LAST_GREENS: usize = 8;
/// … and of all that began within this time of the last one …
const LAST_MS: i64 = 2 * 24 * 60 * 60 * 1000;
/// … but of no more than so many.
const MAX_GREENS: usize = 64;

/// When the colour turned. Times are milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turns {
    /// The end of the first green run.
    pub first_green: Option<i64>,
    /// Since when it was red before that, or if there is none.
    pub before: Option<i64>,
    /// Since when it is red after the last green run.
    pub after: Option<i64>,
}

/// A [`Turns`] in the making, with how long it took each time that it was red after a green run and became green.
#[derive(Default)]
struct Counting {
    at: Turns,
    closed: Tally,
}

impl Counting {
    fn note(&mut self, green: bool, red_since: i64, ended: i64) {
        match (green, self.at.first_green) {
            (false, None) => _ = self.at.before.get_or_insert(red_since),
            (false, Some(_)) => _ = self.at.after.get_or_insert(red_since),
            (true, None) => self.at.first_green = Some(ended),
            (true, Some(_)) => {
                if let Some(since) = self.at.after.take() {
                    self.closed.note(ended - since);
                }
            }
        }
    }
}

/// Durations as a [`Sketch`] writes them, which [`Tally::add_written`] reads.
type Durations<'a> = Cow<'a, [u8]>;

/// A branch's lane: how long it was red, and how long commits took to green.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Greens<'a> {
    /// From the beginning of a first red run on.
    pub turns: Turns,
    /// From there to the end of the next green run.
    pub closed: Durations<'a>,
    /// From commit to the end of the first green run on it, of commits that were made in this block.
    pub leads: Durations<'a>,
    /// The same of each commit that was made before, which may have been green before: commit, when it was made, how long.
    pub older: Vec<(i32, i64, i64)>,
    /// Commits of the last green runs, four bytes each.
    pub last: Cow<'a, [u8]>,
    /// Of green runs that began at or after this the commits are told; `None`: of all.
    pub told_since: Option<i64>,
}

/// A lane on whatever branch, as far as it deploys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deploys<'a> {
    /// From the end of a first red one on.
    pub turns: Turns,
    /// From there to the end of the next green one.
    pub closed: Durations<'a>,
    /// Green ones by day, counted from the first day of the block.
    pub greens: Vec<(u8, u64)>,
    /// All of them.
    pub total: u64,
    /// Those that were red, or that a remedy in this block followed soon.
    pub failures: u64,
    /// When the first one began, and whether it is a remedy.
    pub first: Option<(i64, bool)>,
    /// When the last one ended, if it was green: a remedy may follow.
    pub last: Option<i64>,
}

/// What the verdicts of a project in a block come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flow<'a> {
    /// Something in it began on a day that is not in the block: it has to be gone through.
    pub odd: bool,
    /// When the last of its runs ended.
    pub ended: i64,
    /// By branch and lane, of branches that have statistics of their own.
    pub greens: Vec<((i32, i32), Greens<'a>)>,
    /// By lane.
    pub deploys: Vec<(i32, Deploys<'a>)>,
}

/// A commit as it stands among the last ones.
pub(crate) const fn commit_bytes(commit: i32) -> [u8; 4] {
    commit.to_le_bytes()
}

fn written(tally: Tally) -> Durations<'static> {
    let mut bytes = Vec::new();
    Sketch::from(tally).write(&mut bytes);
    bytes.into()
}

const fn end(v: &Verdict) -> i64 {
    v.began_ms + v.took_ms
}

impl Greens<'_> {
    fn of(verdicts: &[Verdict], start: i64) -> Self {
        let (mut red, mut leads, mut older) = (Counting::default(), Tally::default(), Vec::new());
        let mut commits: HashSet<i32> = HashSet::new();
        for v in verdicts {
            red.note(v.green, v.began_ms, end(v));
            if !v.green || (v.commit != 0 && !commits.insert(v.commit)) {
                continue;
            }
            let Some(lead) = v.lead_ms else { continue };
            match end(v) - lead {
                made if v.commit != 0 && made < start => older.push((v.commit, made, lead)),
                _ => leads.note(lead),
            }
        }
        let greens: Vec<&Verdict> = verdicts.iter().rev().filter(|v| v.green).take(MAX_GREENS + 1).collect();
        let near = |v: &&Verdict| greens.first().is_some_and(|last| last.began_ms - v.began_ms <= LAST_MS);
        let told = greens.iter().take(MAX_GREENS).enumerate();
        let told = told.take_while(|(n, v)| *n < LAST_GREENS || near(v)).count();
        let mut last: Vec<i32> = greens[..told].iter().map(|v| v.commit).filter(|c| *c != 0).collect();
        last.sort_unstable();
        last.dedup();
        let last = last.into_iter().flat_map(commit_bytes).collect();
        let told_since = greens.get(told).map(|v| v.began_ms + 1);
        Self { turns: red.at, closed: written(red.closed), leads: written(leads), older, last, told_since }
    }
}

impl Deploys<'_> {
    /// Verdicts of a lane in their order.
    fn of(verdicts: &[Verdict], first_day: i32) -> Self {
        let (mut deploys, mut red) = (Self::default(), Counting::default());
        let mut greens: BTreeMap<u8, u64> = BTreeMap::new();
        for (v, failed) in failed(verdicts) {
            red.note(v.green, end(v), end(v));
            deploys.total += 1;
            deploys.failures += u64::from(failed);
            if v.green {
                let day = u8::try_from(Day::of_ms(v.began_ms).0 - first_day).unwrap_or_default();
                *greens.entry(day).or_default() += 1;
            }
        }
        deploys.first = verdicts.first().map(|v| (v.began_ms, v.remedy));
        deploys.last = verdicts.last().filter(|v| v.green).map(end);
        let greens = greens.into_iter().collect();
        Self { turns: red.at, closed: written(red.closed), greens, ..deploys }
    }
}

/// Which deployments failed: those that were red, and those that a remedy followed soon.
pub(crate) fn failed(verdicts: &[Verdict]) -> impl Iterator<Item = (&Verdict, bool)> {
    verdicts.iter().enumerate().map(|(i, v)| {
        let remedied =
            verdicts.get(i + 1).is_some_and(|next| is_remedied(end(v), (next.began_ms, next.remedy)));
        (v, !v.green || remedied)
    })
}

/// Whether what began next says that what ended before it failed.
pub(crate) const fn is_remedied(ended: i64, (began, remedy): (i64, bool)) -> bool {
    remedy && began - ended <= REMEDY_WITHIN_MS
}

impl<'a> Flow<'a> {
    /// What a block comes to.
    #[must_use]
    pub fn of(timeline: &Timeline, block: i32, is_apart: impl Fn(i32) -> bool) -> Self {
        let first_day = block.saturating_mul(TIMELINE_DAYS);
        let start = Day(first_day).start().as_millisecond();
        let mut flow = Self { ended: i64::MIN, ..Self::default() };
        let mut lanes: BTreeMap<i32, Vec<Verdict>> = BTreeMap::new();
        for ((branch, lane), verdicts) in &timeline.0 {
            let days = first_day..first_day.saturating_add(TIMELINE_DAYS);
            flow.odd |= verdicts.iter().any(|v| !days.contains(&Day::of_ms(v.began_ms).0));
            flow.ended = verdicts.iter().map(end).fold(flow.ended, i64::max);
            if is_apart(*branch) {
                flow.greens.push(((*branch, *lane), Greens::of(verdicts, start)));
            }
            lanes.entry(*lane).or_default().extend_from_slice(verdicts);
        }
        for (lane, mut verdicts) in lanes {
            // Of several branches, each of which is in order: what sorts by merging is quick.
            verdicts.sort();
            flow.deploys.push((lane, Deploys::of(&verdicts, first_day)));
        }
        flow
    }

    /// As it stands in the database.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (mut out, mut part) = (vec![FORM, u8::from(self.odd)], Vec::new());
        put_signed(&mut out, self.ended);
        put(&mut out, self.greens.len() as u64);
        for ((branch, lane), greens) in &self.greens {
            put_signed(&mut out, i64::from(*branch));
            put_signed(&mut out, i64::from(*lane));
            part.clear();
            greens.write(&mut part);
            put(&mut out, part.len() as u64);
            out.extend_from_slice(&part);
        }
        put(&mut out, self.deploys.len() as u64);
        for (lane, deploys) in &self.deploys {
            put_signed(&mut out, i64::from(*lane));
            part.clear();
            deploys.write(&mut part);
            put(&mut out, part.len() as u64);
            out.extend_from_slice(&part);
        }
        out
    }

    /// Reads it, but for branches and lanes that are not wanted.
    ///
    /// # Errors
    /// When these are not the bytes of one.
    pub fn from_bytes(
        bytes: &'a [u8],
        of_branch: impl Fn(i32) -> bool,
        deploys: impl Fn(i32) -> bool,
    ) -> Result<Self> {
        let mut from = Reader(bytes);
        if from.byte()? != FORM {
            return Err(Error::garbage("statistics of a form that this version does not know"));
        }
        let mut flow = Self { odd: from.byte()? != 0, ended: from.get_signed()?, ..Self::default() };
        for _ in 0..from.count()? {
            let (branch, lane) = (from.small()?, from.small()?);
            let part = from.part()?;
            if of_branch(branch) {
                flow.greens.push(((branch, lane), Greens::read(part)?));
            }
        }
        for _ in 0..from.count()? {
            let lane = from.small()?;
            let part = from.part()?;
            if deploys(lane) {
                flow.deploys.push((lane, Deploys::read(part)?));
            }
        }
        Ok(flow)
    }
}

/// Times that may not be there, each from the one before it.
fn put_times<const N: usize>(out: &mut Vec<u8>, times: [Option<i64>; N]) {
    out.push((0..).zip(times).fold(0, |bits, (i, time)| bits | u8::from(time.is_some()) << i));
    let mut before = 0;
    for time in times.into_iter().flatten() {
        put_signed(out, time.wrapping_sub(before));
        before = time;
    }
}

fn get_times<const N: usize>(from: &mut Reader<'_>) -> Result<[Option<i64>; N]> {
    let bits = from.byte()?;
    let (mut times, mut before) = ([None; N], 0_i64);
    for (i, time) in times.iter_mut().enumerate() {
        if bits & 1 << i != 0 {
            before = before.wrapping_add(from.get_signed()?);
            *time = Some(before);
        }
    }
    Ok(times)
}

fn put_part(out: &mut Vec<u8>, part: &[u8]) {
    put(out, part.len() as u64);
    out.extend_from_slice(part);
}

impl<'a> Greens<'a> {
    fn write(&self, out: &mut Vec<u8>) {
        let Turns { first_green, before, after } = self.turns;
        put_times(out, [first_green, before, after, self.told_since]);
        put(out, self.older.len() as u64);
        for (commit, made, lead) in &self.older {
            put_signed(out, i64::from(*commit));
            put_signed(out, *made);
            put_signed(out, *lead);
        }
        put_part(out, &self.last);
        put_part(out, &self.closed);
        out.extend_from_slice(&self.leads);
    }

    fn read(mut from: Reader<'a>) -> Result<Self> {
        let [first_green, before, after, told_since] = get_times(&mut from)?;
        let mut older = Vec::new();
        for _ in 0..from.count()? {
            older.push((from.small()?, from.get_signed()?, from.get_signed()?));
        }
        Ok(Self {
            turns: Turns { first_green, before, after },
            told_since,
            older,
            last: from.part()?.0.into(),
            closed: from.part()?.0.into(),
            leads: from.0.into(),
        })
    }
}

impl<'a> Deploys<'a> {
    fn write(&self, out: &mut Vec<u8>) {
        let Turns { first_green, before, after } = self.turns;
        put_times(out, [first_green, before, after, self.first.map(|(began, _)| began), self.last]);
        out.push(u8::from(self.first.is_some_and(|(_, remedy)| remedy)));
        put(out, self.total);
        put(out, self.failures);
        put(out, self.greens.len() as u64);
        for (day, n) in &self.greens {
            out.push(*day);
            put(out, *n);
        }
        out.extend_from_slice(&self.closed);
    }

    fn read(mut from: Reader<'a>) -> Result<Self> {
        let [first_green, before, after, first, last] = get_times(&mut from)?;
        let remedy = from.byte()? != 0;
        let (total, failures) = (from.get()?, from.get()?);
        let mut greens = Vec::new();
        for _ in 0..from.count()? {
            greens.push((from.byte()?, from.get()?));
        }
        Ok(Self {
            turns: Turns { first_green, before, after },
            closed: from.0.into(),
            greens,
            total,
            failures,
            first: first.map(|began| (began, remedy)),
            last,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_and_back(verdicts in prop::collection::vec((0_i32..3, 0_i32..3, any::<i32>(), any::<i64>(), 0_i64..1_000_000, any::<bool>(), any::<bool>(), any::<i32>(), prop::option::of(0_i64..1 << 40)), 0..60)) {
            let mut timeline = Timeline::default();
            for (branch, lane, at, run, took_ms, green, remedy, commit, lead_ms) in verdicts {
                timeline.put((branch, lane), Verdict { began_ms: at.into(), run, took_ms, green, remedy, commit, lead_ms });
            }
            let flow = Flow::of(&timeline, 0, |branch| branch != 1);
            let bytes = flow.to_bytes();
            prop_assert_eq!(&Flow::from_bytes(&bytes, |_| true, |_| true).unwrap(), &flow);
            let some = Flow::from_bytes(&bytes, |b| b == 2, |lane| lane == 1).unwrap();
            prop_assert!(some.greens.iter().all(|((branch, _), _)| *branch == 2));
            prop_assert!(some.deploys.iter().all(|(lane, _)| *lane == 1));
        }

        #[test]
        fn any_bytes_are_an_error_or_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Flow::from_bytes(&bytes, |_| true, |_| true);
        }
    }
}
