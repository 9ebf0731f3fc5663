//! Which requests were made.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::Timestamp;

/// Requests to one endpoint template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointTraffic {
    /// `GET /projects/:id/pipelines`.
    pub endpoint: &'static str,
    /// All requests sent to the platform: retries and redirects within the host included, log storage elsewhere not.
    pub requests: u64,
    /// Of these, answered 304.
    pub not_modified: u64,
    /// Of these, failed: no answer, 4xx, 5xx.
    pub failed: u64,
    /// Time from the requests to the heads of their answers, summed up.
    pub waited: Duration,
    /// Requests in the last hour (rolling, by the minute).
    pub last_hour: u64,
    /// Of these, answered 304.
    pub not_modified_last_hour: u64,
}

/// The requests made so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests in the last hour (rolling, by the minute).
    pub last_hour: u64,
    /// Requests since the start that [`super::Budget`] counts: all but those that were answered 304 where that is free, and
    /// those that are paid from another resource.
    pub spent: u64,
    /// All requests since the start.
    pub sent: u64,
    /// Per endpoint since the start.
    pub endpoints: Vec<EndpointTraffic>,
}

impl Traffic {
    /// The two together: of a source with more than one client.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.last_hour += other.last_hour;
        self.spent += other.spent;
        self.sent += other.sent;
        self.endpoints.extend(other.endpoints);
        self
    }
}

/// Minutes that the rolling count looks back.
const WINDOW: i64 = 60;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    NotModified { free: bool },
    Badly,
}

/// An endpoint's requests, and of those answered 304, by the minute that they left in. At most [`WINDOW`] minutes.
type Minutes = BTreeMap<i64, (u64, u64)>;

#[derive(Debug, Default)]
struct Books {
    // Bounded: the templates stand in the connectors' code.
    endpoints: BTreeMap<&'static str, (EndpointTraffic, Minutes)>,
    minutes: BTreeMap<i64, u64>,
    /// What others sent who asked before this one. Bounded like the rest.
    before: BTreeMap<i64, u64>,
    spent: u64,
}

impl Books {
    /// The minutes of the last hour, with what was sent in each.
    fn last_hour(&self, now: Timestamp) -> BTreeMap<i64, u64> {
        let mut all = self.minutes.clone();
        for (minute, n) in &self.before {
            *all.entry(*minute).or_default() += n;
        }
        all.retain(|m, _| *m > minute(now) - WINDOW);
        all
    }
}

/// Counts requests.
#[derive(Debug, Default)]
pub(super) struct Counter(Mutex<Books>);

fn minute(now: Timestamp) -> i64 {
    now.as_second().div_euclid(60)
}

/// The minutes that make the last hour. A clock that was put back leaves none behind that never pass.
fn window(now: Timestamp) -> std::ops::RangeInclusive<i64> {
    minute(now) - WINDOW + 1..=minute(now)
}

impl Counter {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One leaves. Counted now, since it costs even when nobody waits for its end.
    /// Whether [`super::Budget`] counts it is `budgeted`.
    pub(super) fn sent(&self, endpoint: &'static str, budgeted: bool, now: Timestamp) {
        let mut books = self.books();
        let (line, minutes) = books.endpoints.entry(endpoint).or_default();
        line.endpoint = endpoint;
        line.requests += 1;
        minutes.entry(minute(now)).or_default().0 += 1;
        minutes.retain(|m, _| window(now).contains(m));
        books.spent += u64::from(budgeted);
        *books.minutes.entry(minute(now)).or_default() += 1;
        books.minutes.retain(|m, _| window(now).contains(m));
    }

    /// The head of its answer is there, or will not come.
    pub(super) fn ended(&self, endpoint: &'static str, how: Ended, waited: Duration) {
        let mut books = self.books();
        if how == (Ended::NotModified { free: true }) {
            books.spent -= 1;
        }
        let Some((line, minutes)) = books.endpoints.get_mut(endpoint) else { return };
        if matches!(how, Ended::NotModified { .. }) {
            line.not_modified += 1;
            // To the minute of the newest request, or an earlier one where that has more of them: a share is never above 1.
            if let Some((_, of)) = minutes.iter_mut().rev().find(|(_, of)| of.1 < of.0) {
                of.1 += 1;
            }
        }
        line.failed += u64::from(how == Ended::Badly);
        line.waited = line.waited.saturating_add(waited);
    }

    /// Until when `hourly` requests have been made within an hour, if they have: when the oldest of them are an hour old.
    pub(super) fn spent_until(&self, hourly: u64, now: Timestamp) -> Option<Timestamp> {
        let mut later: u64 = 0;
        // From the newest back: the minute whose requests have to leave the window before there is room again.
        let full = self.last_hour(now).into_iter().rev().find(|(_, n)| {
            later += n;
            later >= hourly
        });
        let (minute, _) = full?;
        // A whole minute later than its first request may be: never one too many.
        Timestamp::from_second((minute + WINDOW + 1) * 60).ok()
    }

    /// What was sent in which minute of the last hour, also by who asked before.
    pub(super) fn last_hour(&self, now: Timestamp) -> BTreeMap<i64, u64> {
        self.books().last_hour(now)
    }

    /// Counts what was sent before this began. Told twice, by who knew it at different times, it counts once.
    pub(super) fn resume(&self, minutes: &BTreeMap<i64, u64>, now: Timestamp) {
        let mut books = self.books();
        for (minute, n) in minutes.iter().filter(|(m, _)| window(now).contains(m)) {
            let known = books.before.entry(*minute).or_default();
            *known = (*known).max(*n);
        }
    }

    /// What the last hour had counts no more: somebody else asks.
    pub(super) fn forget(&self) {
        let mut books = self.books();
        books.minutes.clear();
        books.before.clear();
    }

    pub(super) fn traffic(&self, now: Timestamp) -> Traffic {
        let books = self.books();
        Traffic {
            last_hour: books.last_hour(now).values().sum(),
            spent: books.spent,
            sent: books.endpoints.values().map(|(line, _)| line.requests).sum(),
            endpoints: books
                .endpoints
                .values()
                .map(|(line, minutes)| {
                    let hour = || minutes.range(window(now)).map(|(_, of)| *of);
                    EndpointTraffic {
                        last_hour: hour().map(|of| of.0).sum(),
                        not_modified_last_hour: hour().map(|of| of.1).sum(),
                        ..line.clone()
                    }
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "GET /a";
    const B: &str = "GET /b";

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_040 + minute * 60).unwrap()
    }

    #[test]
    fn the_last_hour_rolls() {
        let counter = Counter::default();
        for minute in 0..120 {
            counter.sent(A, true, at(minute));
            counter.sent(B, true, at(minute));
            let want = 2 * (u64::try_from(minute).unwrap() + 1).min(60);
            assert_eq!(counter.traffic(at(minute)).last_hour, want);
        }
        assert_eq!(counter.traffic(at(119 + 59)).last_hour, 2);
        assert_eq!(counter.traffic(at(119 + 60)).last_hour, 0);
        counter.sent(A, true, at(0));
        assert_eq!(counter.traffic(at(0)).last_hour, 1, "the clock was put back");
    }

    #[test]
    fn the_last_hour_of_an_endpoint_rolls_with_its_304s() {
        let counter = Counter::default();
        for minute in 0..90 {
            counter.sent(A, true, at(minute));
            counter.ended(A, Ended::NotModified { free: true }, Duration::ZERO);
            counter.sent(A, true, at(minute));
            counter.ended(A, Ended::Well, Duration::ZERO);
        }
        counter.sent(B, true, at(89));
        let hour = |minute: i64| {
            let lines = counter.traffic(at(minute)).endpoints;
            lines.iter().map(|e| (e.last_hour, e.not_modified_last_hour)).collect::<Vec<_>>()
        };
        assert_eq!(hour(89), [(120, 60), (1, 0)]);
        assert_eq!(hour(89 + 50), [(20, 10), (1, 0)]);
        assert_eq!(hour(89 + 60), [(0, 0), (0, 0)]);
        assert_eq!(counter.traffic(at(89 + 60)).endpoints[0].requests, 180, "since the start");
        counter.ended(A, Ended::NotModified { free: true }, Duration::ZERO);
        counter.ended(A, Ended::NotModified { free: true }, Duration::ZERO);
        let (asked, same) = hour(89)[0];
        assert!(same <= asked, "an answer that came late: {same} of {asked}");
    }

    #[test]
    fn never_more_than_the_hourly_limit_in_any_hour() {
        let counter = Counter::default();
        for minute in 0..10 {
            counter.sent(A, true, at(minute));
            assert_eq!(counter.spent_until(11, at(minute)), None);
        }
        assert_eq!(counter.spent_until(10, at(9)), Some(at(61)), "the first leaves the window");
        assert_eq!(counter.spent_until(9, at(9)), Some(at(62)));
        assert_eq!(counter.spent_until(10, at(60)), None);
        assert_eq!(counter.spent_until(1, at(9)), Some(at(70)));
        assert_eq!(counter.spent_until(1, at(70)), None);
    }

    #[test]
    fn what_others_sent_before_counts_until_it_is_an_hour_old() {
        let counter = Counter::default();
        counter.sent(A, true, at(30));
        let minutes = [(minute(at(0)), 5), (minute(at(29)), 2), (minute(at(-60)), 9), (minute(at(90)), 9)];
        counter.resume(&minutes.into(), at(30));
        counter.resume(&[(minute(at(0)), 4), (minute(at(29)), 3)].into(), at(30));
        let hour = |now| counter.traffic(at(now)).last_hour;
        assert_eq!((hour(30), hour(60), hour(90)), (9, 4, 0));
        assert_eq!(counter.spent_until(9, at(30)), Some(at(61)));
        assert_eq!(counter.last_hour(at(60)), [(minute(at(29)), 3), (minute(at(30)), 1)].into());
        assert_eq!((counter.traffic(at(30)).sent, counter.traffic(at(30)).spent), (1, 1), "since the start");
    }

    #[test]
    fn endpoints_are_told_apart() {
        let counter = Counter::default();
        for (endpoint, how) in [(A, Ended::Well), (A, Ended::NotModified { free: true }), (B, Ended::Badly)] {
            counter.sent(endpoint, true, at(0));
            counter.ended(endpoint, how, Duration::from_millis(20));
        }
        counter.sent(B, true, at(0));
        let line = |endpoint, not_modified, failed, ms| EndpointTraffic {
            endpoint,
            requests: 2,
            not_modified,
            failed,
            waited: Duration::from_millis(ms),
            last_hour: 2,
            not_modified_last_hour: not_modified,
        };
        let traffic = counter.traffic(at(0));
        assert_eq!(traffic.endpoints, [line(A, 1, 0, 40), line(B, 0, 1, 20)]);
        assert_eq!(traffic.spent, 3, "one was free");
    }
}
