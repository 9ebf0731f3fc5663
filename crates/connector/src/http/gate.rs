//! Once a platform has said "not now", nothing is asked until its time has come: asking on prolongs a limit, and some
//! platforms ban who does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::Timestamp;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::SignedDuration;
use jiff::fmt::rfc2822;

use crate::Error;

/// How long to leave a platform alone that says "too many" but not until when, the first time: GitHub's rule for its secondary
/// limit. Twice as long each further time, …
const FIRST_BACK_OFF: SignedDuration = SignedDuration::from_secs(60);
/// … up to this, before up to a quarter of jitter.
const LONGEST_BACK_OFF: SignedDuration = SignedDuration::from_mins(15);
/// The longest pause that is believed: windows are an hour long, what is further away is a mistake of some clock.
pub(super) const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(2);
/// The longest pause for a platform that is down: it may be back sooner than it thinks.
pub(super) const LONGEST_OUTAGE: SignedDuration = SignedDuration::from_mins(5);
/// The longest pause that is waited for within a call. A longer one is the caller's to wait.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// `Retry-After`, in seconds or as an HTTP date; a date in the past is none.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<SignedDuration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(SignedDuration::from_secs(text.parse().unwrap_or(i64::MAX)));
    }
    let at = rfc2822::parse(text).ok()?.timestamp();
    (at > now).then(|| at.duration_since(now))
}

#[derive(Debug, Clone)]
struct Closed {
    since: Timestamp,
    until: Timestamp,
    error: Error,
}

/// One source's gate.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<Option<Closed>>);

impl Gate {
    /// Closes it for `pause`, unless it is closed for longer already. `error` is what callers get meanwhile.
    pub(super) fn close(&self, now: Timestamp, pause: SignedDuration, error: Error) {
        let until = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        let mut closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.as_ref().is_none_or(|c| c.until <= until || now < c.since) {
            *closed = Some(Closed { since: now, until, error });
        }
    }

    /// Opens it.
    pub(super) fn open(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// For how long it is still closed, and why. A clock that was put back behind the closing opens it.
    pub(super) fn closed(&self, now: Timestamp) -> Option<(Duration, Error)> {
        let closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = closed.as_ref().filter(|c| c.since <= now && now < c.until)?;
        let left = Duration::try_from(closed.until.duration_since(now)).unwrap_or_default();
        Some((left, closed.error.clone()))
    }
}

/// What a platform that does not say until when was left alone for last.
#[derive(Debug, Clone, Copy)]
struct Pause {
    times: u32,
    since: Timestamp,
    until: Timestamp,
}

/// Growing pauses for a platform that says "too many" but not until when. Asking it again too soon prolongs its limit.
#[derive(Debug, Default)]
pub(super) struct BackOff(Mutex<Option<Pause>>);

impl BackOff {
    /// How long to leave it alone when it says so at `now`. Those who are told so together wait together; who is told so again,
    /// before as much time has passed as was waited, waits longer. `jitter`, 0 to 1, keeps sources apart that wait for the same.
    pub(super) fn pause(&self, now: Timestamp, jitter: f64) -> SignedDuration {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = match *last {
            Some(last) if last.since <= now && now < last.until => return last.until.duration_since(now),
            Some(last)
                if last.since <= now
                    && now.duration_since(last.until) < last.until.duration_since(last.since) =>
            {
                last.times.saturating_add(1)
            }
            _ => 0,
        };
        let due = (FIRST_BACK_OFF * (1 << times.min(8))).min(LONGEST_BACK_OFF);
        let late = if times == 0 { 0.0 } else { due.as_secs_f64() * jitter.clamp(0.0, 1.0) / 4.0 };
        let pause = due.saturating_add(SignedDuration::try_from_secs_f64(late).unwrap_or_default());
        *last = Some(Pause { times, since: now, until: now.saturating_add(pause).unwrap_or(Timestamp::MAX) });
        pause
    }

    /// Begins anew.
    pub(super) fn reset(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn why(text: &str) -> Error {
        Error::Server(text.to_owned())
    }

    #[test]
    fn it_opens_when_its_time_has_come() {
        let gate = Gate::default();
        assert!(gate.closed(at(0)).is_none());
        gate.close(at(100), SignedDuration::from_secs(60), why("a"));
        assert_eq!(gate.closed(at(100)), Some((Duration::from_secs(60), why("a"))));
        assert_eq!(gate.closed(at(159)), Some((Duration::from_secs(1), why("a"))));
        assert_eq!(gate.closed(at(160)), None);
        assert_eq!(gate.closed(at(99)), None, "the clock was put back");
    }

    #[test]
    fn the_longer_pause_counts() {
        let gate = Gate::default();
        gate.close(at(100), SignedDuration::from_secs(60), why("a"));
        gate.close(at(110), SignedDuration::from_secs(5), why("b"));
        assert_eq!(gate.closed(at(110)), Some((Duration::from_secs(50), why("a"))));
        gate.close(at(110), SignedDuration::from_secs(90), why("c"));
        assert_eq!(gate.closed(at(110)), Some((Duration::from_secs(90), why("c"))));
        gate.close(at(0), SignedDuration::from_secs(1), why("d"));
        assert_eq!(gate.closed(at(0)), Some((Duration::from_secs(1), why("d"))), "the clock was put back");
        gate.close(at(0), SignedDuration::MAX, why("e"));
        assert!(gate.closed(at(1_000_000)).is_some());
    }

    #[test]
    fn who_is_not_told_until_when_waits_longer_each_time() {
        let back_off = BackOff::default();
        let (mut now, mut pauses) = (at(0), Vec::new());
        for _ in 0..7 {
            let pause = back_off.pause(now, 0.0);
            pauses.push(pause.as_secs());
            assert_eq!(back_off.pause(now + pause / 2, 1.0), pause - pause / 2, "together");
            now += pause;
        }
        assert_eq!(pauses, [60, 120, 240, 480, 900, 900, 900]);
        now += SignedDuration::from_secs(899);
        assert_eq!(back_off.pause(now, 1.0).as_secs(), 1125, "jitter");
        assert_eq!(
            back_off.pause(now + SignedDuration::from_secs(2 * 1125), 1.0).as_secs(),
            60,
            "it is over"
        );
        assert_eq!(back_off.pause(at(0), 0.0).as_secs(), 60, "the clock was put back");
        back_off.reset();
        assert_eq!(back_off.pause(at(61), 0.0).as_secs(), 60);
    }

    #[test]
    fn retry_after_in_both_forms() {
        let now: Timestamp = "2015-10-21T07:27:00Z".parse().unwrap();
        for (text, want) in [
            ("60", Some(60)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 07:26:00 GMT", None),
            ("soon", None),
            ("-5", None),
            ("", None),
            ("99999999999999999999", Some(i64::MAX)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers, now).map(|d| d.as_secs()), want, "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
