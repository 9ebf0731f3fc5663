//! What may be spent now.
//!
//! Two token buckets. The first is for what is done anyway: it fills at the rate at which the platform's limit, less a
//! [`RESERVE`], lasts evenly until its reset. The second is small and for people who look and for webhooks; it may use the
//! reserve as well. The sizes are such that no ten seconds see more than twice the even rate, whatever came before them: a
//! start, a reset, a suspended machine, a platform that is back. Under a small limit that is less than a project's reading
//! takes: then it is one piece of work in ten seconds ([`Recent`]), and what the buckets hold is only saved up.

use std::collections::VecDeque;

use connector::http::Budget;
use domain::Timestamp;
use jiff::SignedDuration;

use super::cost::Price;

/// The part of the limit that is left to people who look at details.
pub const RESERVE: f64 = 0.2;
/// In a period of this length, no more than twice the even rate is spent.
pub const EVENLY_WITHIN: SignedDuration = SignedDuration::from_secs(10);
/// Both buckets' sizes in seconds of the even rate, and what fills the second one, as a part of it. Of the 20 s that the
/// period has at twice the rate: 6 + 10 × (1 − RESERVE) + 2 + 10 × 0.4.
const BURST: f64 = 6.0;
const URGENT_BURST: f64 = 2.0;
const URGENT_RATE: f64 = 0.4;
/// The buckets' least sizes: somebody who watches one repository with 60 requests an hour sees it read within its first
/// minute.
const LEAST_BURST: f64 = 8.0;
const LEAST_URGENT: f64 = 2.0;
/// Requests a second where no limit is known.
const POLITE: f64 = 20.0;

/// Who spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Listing = 0,
    Urgent = 1,
    News = 2,
    Whole = 3,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Rates {
    even: f64,
    background: f64,
    urgent: f64,
    /// Of the window's requests, without the reserve and with it.
    left: f64,
    left_to_who_looks: f64,
}

impl Rates {
    #[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
    fn of(budget: Option<Budget>, now: Timestamp) -> Self {
        let unlimited = Self {
            even: POLITE,
            background: POLITE,
            urgent: POLITE * URGENT_RATE,
            left: f64::MAX,
            left_to_who_looks: f64::MAX,
        };
        let Some((budget, window)) = budget.and_then(|b| Some((b, b.window?))) else { return unlimited };
        let even = budget.limit as f64 / window.as_secs_f64().max(1.0);
        let (remaining, reserve) = (budget.remaining as f64, budget.limit as f64 * RESERVE);
        let most = even * (1.0 - RESERVE);
        let (background, urgent) = match budget.reset_at.filter(|at| *at > now) {
            // What is left lasts until the reset.
            Some(reset) => {
                let left = reset.duration_since(now).as_secs_f64().max(1.0);
                ((remaining - reserve) / left, remaining / left)
            }
            // A window that rolls, or that begins with the next request.
            None => (if remaining > reserve { most } else { 0.0 }, if remaining > 0.0 { even } else { 0.0 }),
        };
        Self {
            even,
            background: background.clamp(0.0, most),
            urgent: urgent.min(even * URGENT_RATE),
            left: (remaining - reserve).max(0.0),
            left_to_who_looks: remaining,
        }
    }

    fn burst(&self) -> f64 {
        (self.even * BURST).max(LEAST_BURST)
    }

    fn urgent_burst(&self) -> f64 {
        (self.even * URGENT_BURST).max(LEAST_URGENT)
    }
}

/// The most that may be spent within [`EVENLY_WITHIN`] at this even rate, in requests, unless one piece of work takes more.
#[must_use]
pub fn most_within(even: f64) -> f64 {
    2.0 * even * EVENLY_WITHIN.as_secs_f64()
}

/// What was spent within so short a time is one entry of [`Recent`].
const TOGETHER: SignedDuration = SignedDuration::from_millis(100);

/// What was spent within the last [`EVENLY_WITHIN`].
#[derive(Debug, Default)]
struct Recent(VecDeque<Spent>);

/// Some of it, which was spent from `since` to `until`.
#[derive(Debug)]
struct Spent {
    since: Timestamp,
    until: Timestamp,
    requests: f64,
}

impl Recent {
    fn pass(&mut self, now: Timestamp) {
        // A clock that was put back leaves none behind that never pass.
        self.0.retain(|spent| spent.until <= now && now.duration_since(spent.until) < EVENLY_WITHIN);
    }

    fn add(&mut self, now: Timestamp, requests: f64) {
        match self.0.back_mut() {
            _ if requests <= 0.0 => {}
            Some(last) if now.duration_since(last.since) < TOGETHER => {
                (last.until, last.requests) = (now, last.requests + requests);
            }
            _ => self.0.push_back(Spent { since: now, until: now, requests }),
        }
    }

    fn sum(&self) -> f64 {
        self.0.iter().map(|spent| spent.requests).sum()
    }

    /// When so much has passed that `cost` is within `most` with the rest, or nothing else is left.
    fn room(&self, now: Timestamp, cost: f64, most: f64) -> Timestamp {
        let mut sum = self.sum();
        let mut at = now;
        for spent in &self.0 {
            if sum + cost <= most + 1e-9 {
                break;
            }
            sum -= spent.requests;
            at = super::after(spent.until, EVENLY_WITHIN).max(now);
        }
        at
    }
}

/// Whether what was spent lately may have been in the window before.
fn has_just_begun(budget: Budget, now: Timestamp) -> bool {
    let Some((reset, window)) = budget.reset_at.zip(budget.window) else { return false };
    reset.duration_since(now) + EVENLY_WITHIN > window
}

/// One source's.
#[derive(Debug)]
pub(super) struct Bucket {
    at: Timestamp,
    tokens: f64,
    urgent: f64,
    recent: Recent,
    rates: Rates,
    /// Granted and not spent yet, by [`Slot`].
    reserved: [Price; 4],
    spent: u64,
    begun: bool,
}

impl Bucket {
    /// Before anything is known of the limit, as little as any has.
    pub(super) fn new(now: Timestamp) -> Self {
        let rates = Rates::of(None, now);
        Self {
            at: now,
            tokens: LEAST_BURST,
            urgent: LEAST_URGENT,
            recent: Recent::default(),
            rates,
            reserved: [Price::default(); 4],
            spent: 0,
            begun: false,
        }
    }

    /// Brings it to `now`. Gives back what was spent since the last time.
    #[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
    pub(super) fn settle(&mut self, now: Timestamp, budget: Option<Budget>, spent: u64) -> f64 {
        // Before the first answer the limit is unknown, and nothing fills.
        self.fill(now, budget, self.spent > 0);
        let more = spent.saturating_sub(self.spent) as f64;
        self.spent = spent;
        self.charge(more);
        more
    }

    /// The same of one that is charged with [`Bucket::take`].
    pub(super) fn settle_charged(&mut self, now: Timestamp, budget: Budget) {
        self.fill(now, Some(budget), true);
    }

    /// Spends so much.
    pub(super) fn take(&mut self, cost: f64) {
        self.charge(cost);
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
    fn fill(&mut self, now: Timestamp, budget: Option<Budget>, fills: bool) {
        let elapsed = if fills { now.duration_since(self.at).as_secs_f64().max(0.0) } else { 0.0 };
        self.at = now;
        self.recent.pass(now);
        self.tokens += elapsed * self.rates.background;
        self.urgent += elapsed * self.rates.urgent;
        self.rates = Rates::of(budget, now);
        if !std::mem::replace(&mut self.begun, true)
            && let Some(budget) = budget
        {
            // Who begins and knows the limit has asked before. All that was may have been just now, but for one request.
            let used = budget.limit.saturating_sub(budget.remaining) as f64;
            let used = if has_just_begun(budget, now) { f64::MAX } else { used };
            self.recent.add(now, used.min(most_within(self.rates.even) - 1.0));
        }
        self.tokens = self.tokens.min(self.rates.burst()).min(self.rates.left);
        self.urgent = self.urgent.min(self.rates.urgent_burst()).min(self.rates.left_to_who_looks);
    }

    fn charge(&mut self, mut requests: f64) {
        self.recent.add(self.at, requests);
        let looked_at = self.reserved[Slot::Urgent as usize].at_worst > 0.0;
        let first = if looked_at { requests.min(self.tokens.max(0.0)) } else { requests };
        self.tokens -= first;
        self.urgent -= requests - first;
        // A debt is paid back, but what others spent is not paid for hours.
        self.tokens = self.tokens.max(-self.rates.burst());
        self.urgent = self.urgent.max(-self.rates.urgent_burst());
        for reserved in &mut self.reserved {
            // Up to the most that it may take it is this one's.
            let used = reserved.at_worst.min(requests);
            reserved.at_worst -= used;
            reserved.expected = (reserved.expected - used).max(0.0);
            requests -= used;
        }
    }

    /// Sets aside what a piece of work is expected to take.
    pub(super) const fn reserve(&mut self, slot: Slot, price: Price) {
        self.reserved[slot as usize] = price;
    }

    /// It has ended, whatever it took.
    pub(super) const fn release(&mut self, slot: Slot) {
        self.reserved[slot as usize] = Price::exactly(0.0);
    }

    fn there(&self, urgent: bool) -> f64 {
        let there = if urgent { self.tokens.max(0.0) + self.urgent } else { self.tokens };
        there - self.reserved.iter().map(|price| price.expected).sum::<f64>()
    }

    /// What is under way takes so much at worst.
    fn under_way(&self) -> f64 {
        self.reserved.iter().map(|price| price.at_worst).sum()
    }

    /// Whether so much is there now, and within what the last seconds left of twice the even rate.
    pub(super) fn has(&self, price: Price, urgent: bool) -> bool {
        let room = most_within(self.rates.even) - self.recent.sum() - self.under_way();
        self.there(urgent) + 1e-9 >= price.expected && room + 1e-9 >= price.at_worst
    }

    /// When so much is within twice the even rate, or nothing else is under way or was spent; `None` when not before what
    /// is under way has ended.
    fn room(&self, now: Timestamp, cost: f64) -> Option<Timestamp> {
        let (most, reserved) = (most_within(self.rates.even), self.under_way());
        if reserved > 0.0 && reserved + cost > most + 1e-9 {
            return None;
        }
        Some(self.recent.room(now, reserved + cost, most))
    }

    /// When so much can be spent; `None` when not before something else changes. What is more than the bucket holds is
    /// let through when it is full.
    pub(super) fn when(&self, now: Timestamp, price: Price, urgent: bool) -> Option<Timestamp> {
        let room = self.room(now, price.at_worst)?;
        let (mut size, mut rate) = (self.rates.burst(), self.rates.background);
        if urgent {
            size = self.rates.urgent_burst();
            rate += self.rates.urgent;
        }
        let lacks = price.expected.min(size) - self.there(urgent);
        if lacks <= 1e-9 {
            return Some(room);
        }
        let wait = SignedDuration::try_from_secs_f64(lacks / rate).ok()?;
        // Not a moment too early, whatever was rounded.
        Some(now.saturating_add(wait.saturating_add(SignedDuration::from_millis(1))).ok()?.max(room))
    }

    /// Requests a second at which the limit would last evenly.
    pub(super) const fn even_rate(&self) -> f64 {
        self.rates.even
    }

    /// Requests a second that may be spent without anybody looking.
    pub(super) const fn background_rate(&self) -> f64 {
        self.rates.background
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn budget(limit: u64, remaining: u64, reset: Option<i64>) -> Option<Budget> {
        let window = Some(SignedDuration::from_hours(1));
        Some(Budget { limit, remaining, reset_at: reset.map(at), window })
    }

    #[test]
    fn what_is_left_lasts_until_the_reset() {
        let rate = |b| Rates::of(b, at(0)).background * 3600.0;
        assert!((rate(budget(5000, 5000, Some(3600))) - 4000.0).abs() < 1e-6);
        assert!((rate(budget(5000, 3000, Some(3600))) - 2000.0).abs() < 1e-6, "others spend too");
        assert!((rate(budget(5000, 5000, Some(60))) - 4000.0).abs() < 1e-6, "never faster than evenly");
        assert!(rate(budget(5000, 1000, Some(3600))).abs() < 1e-6, "the reserve");
        assert!((rate(budget(1000, 500, None)) - 800.0).abs() < 1e-6, "a window that rolls");
        assert!(rate(budget(1000, 100, None)).abs() < 1e-6);
    }

    #[test]
    fn who_looks_may_use_the_reserve() {
        let mut bucket = Bucket::new(at(0));
        bucket.settle(at(0), budget(5000, 900, Some(3600)), 9);
        assert_eq!(
            bucket.when(at(0), Price::exactly(1.0), false),
            None,
            "the background waits for the reset"
        );
        bucket.settle(at(60), budget(5000, 900, Some(3600)), 9);
        assert_eq!(bucket.when(at(60), Price::exactly(1.0), true), Some(at(60)));
    }

    #[test]
    fn the_sizes_keep_to_twice_the_even_rate() {
        let even = 5000.0 / 3600.0;
        let rates = Rates::of(budget(5000, 5000, None), at(0));
        let most = rates.burst() + rates.urgent_burst() + 10.0 * (rates.background + rates.urgent);
        // The least sizes are more than that here, and what was spent recently is what holds.
        assert!((LEAST_BURST..=LEAST_BURST + 1.0).contains(&rates.burst()), "{}", rates.burst());
        assert!(most <= most_within(even) + 1e-9, "{most}");
    }

    #[test]
    fn who_begins_anew_may_have_spent_all_that_was_spent_just_before() {
        let begun = |remaining, reset| {
            let mut bucket = Bucket::new(at(0));
            bucket.settle(at(0), budget(5000, remaining, Some(reset)), 0);
            [1.0, 2.0].map(|cost| bucket.when(at(0), Price::exactly(cost), false))
        };
        assert_eq!(begun(5000, 900), [Some(at(0)); 2], "nobody has asked");
        assert_eq!(begun(4990, 900), [Some(at(0)); 2], "ten in this window");
        assert_eq!(begun(4000, 900), [Some(at(0)), Some(at(10))]);
        assert_eq!(
            begun(4990, 3595),
            [Some(at(0)), Some(at(10))],
            "and who knows how many in the one before"
        );
    }

    #[test]
    fn a_small_limit_is_one_piece_in_ten_seconds() {
        let mut bucket = Bucket::new(at(0));
        bucket.settle(at(0), budget(60, 60, None), 1);
        assert_eq!(
            bucket.when(at(0), Price::exactly(3.0), false),
            Some(at(10)),
            "what was saved up is not spent at once"
        );
        bucket.settle(at(10), budget(60, 59, None), 1);
        assert_eq!(bucket.when(at(10), Price::exactly(3.0), false), Some(at(10)));
        assert!(!bucket.has(Price::exactly(3.0), false), "one project is let through, several are not");
        bucket.reserve(Slot::Whole, Price::exactly(3.0));
        assert_eq!(bucket.when(at(10), Price::exactly(1.0), true), None, "not beside another");
        bucket.settle(at(11), budget(60, 56, None), 4);
        bucket.release(Slot::Whole);
        assert_eq!(bucket.when(at(11), Price::exactly(1.0), true), Some(at(21)));
        bucket.settle(at(5), budget(60, 56, None), 4);
        assert_eq!(bucket.when(at(5), Price::exactly(1.0), true), Some(at(5)), "the clock was put back");
    }

    #[test]
    fn a_larger_one_is_as_much_as_twice_the_even_rate_in_ten_seconds() {
        let mut bucket = Bucket::new(at(0));
        bucket.settle(at(0), budget(5000, 5000, None), 0);
        for second in 0..3 {
            bucket.settle(at(second), budget(5000, 4000, None), u64::try_from(second + 1).unwrap() * 9);
        }
        assert!(
            bucket.room(at(2), 0.7) == Some(at(2)) && bucket.room(at(2), 0.8) > Some(at(2)),
            "27 of 27.8 were spent"
        );
        assert_eq!(bucket.room(at(2), 9.0), Some(at(10)));
        assert_eq!(bucket.room(at(2), 10.0), Some(at(11)));
    }
}
