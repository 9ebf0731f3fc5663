//! Days, and the blocks of days that statistics are kept for.

use jiff::Timestamp;

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A day in UTC, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(pub i32);

impl Day {
    /// The day of a moment.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self::of_ms(at.as_millisecond())
    }

    /// The day of a moment in milliseconds since 1970.
    #[must_use]
    pub fn of_ms(ms: i64) -> Self {
        // Times that a Timestamp can hold are some ±3.7 million days.
        Self(i32::try_from(ms.div_euclid(DAY_MS)).unwrap_or_default())
    }

    /// Its beginning.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_millisecond(i64::from(self.0) * DAY_MS).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// 0 for Monday, 6 for Sunday.
    #[must_use]
    pub const fn weekday(self) -> u8 {
        // 1970-01-01 was a Thursday.
        (self.0 + 3).rem_euclid(7) as u8
    }
}

/// Whole days in UTC, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// The first.
    pub from: Day,
    /// The last.
    pub to: Day,
}

/// A year of windows of any length fits in some 20 blocks of these lengths, in days.
pub(crate) const LEVELS: [i32; 3] = [1, 8, 64];

/// Blocks of one length, by their number, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocks {
    pub(crate) level: u8,
    pub(crate) from: i32,
    pub(crate) to: i32,
}

impl Window {
    /// The `days` days that end with the day of `now`.
    #[must_use]
    pub fn last(days: i32, now: Timestamp) -> Self {
        let to = Day::of(now);
        Self { from: Day(to.0.saturating_sub(days.max(1) - 1)), to }
    }

    /// How many days.
    #[must_use]
    pub const fn days(self) -> i32 {
        if self.to.0 < self.from.0 { 0 } else { self.to.0 - self.from.0 + 1 }
    }

    /// Whether a day is in it.
    #[must_use]
    pub const fn has(self, day: Day) -> bool {
        self.from.0 <= day.0 && day.0 <= self.to.0
    }

    /// The same to the end of the longest block with its last day in it.
    pub(crate) const fn rounded_up(self) -> Self {
        let longest = LEVELS[LEVELS.len() - 1];
        Self { from: self.from, to: Day((self.to.0.div_euclid(longest) + 1).saturating_mul(longest) - 1) }
    }

    /// The fewest blocks that are exactly these days.
    pub(crate) fn blocks(self) -> Vec<Blocks> {
        let mut out: Vec<Blocks> = Vec::new();
        let mut at = self.from.0;
        while at <= self.to.0 {
            let level = (0..LEVELS.len())
                .rev()
                .find(|l| at.rem_euclid(LEVELS[*l]) == 0 && at + LEVELS[*l] - 1 <= self.to.0)
                .unwrap_or(0);
            let block = at.div_euclid(LEVELS[level]);
            match out.last_mut() {
                Some(last) if usize::from(last.level) == level => last.to = block,
                _ => out.push(Blocks { level: level as u8, from: block, to: block }),
            }
            at += LEVELS[level];
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_the_window_once() {
        for from in -70..70 {
            for to in from - 1..from + 420 {
                let window = Window { from: Day(from), to: Day(to) };
                let mut days = Vec::new();
                for Blocks { level, from, to } in window.blocks() {
                    let span = LEVELS[usize::from(level)];
                    days.extend(from * span..(to + 1) * span);
                }
                assert_eq!(days, (from..=to).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_year_is_few_blocks() {
        let most = (0..64)
            .map(|at| {
                Window { from: Day(at), to: Day(at + 399) }
                    .blocks()
                    .iter()
                    .map(|b| b.to - b.from + 1)
                    .sum::<i32>()
            })
            .max();
        assert!(most <= Some(33), "{most:?}");
    }

    #[test]
    fn weekdays() {
        let monday: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        assert_eq!(Day::of(monday).weekday(), 0);
        assert_eq!(Day::of("1969-12-31T23:59:59Z".parse().unwrap()), Day(-1));
    }
}
