//! When a source that does not answer is tried again.

use domain::Timestamp;
use jiff::SignedDuration;

use super::after;

/// The first pause, doubled at each further failure.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(2);
/// The longest pause, before up to a quarter of jitter. What the platform says itself may be longer.
pub const MAX_PAUSE: SignedDuration = SignedDuration::from_mins(5);

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Which projects there are.
    Listing,
    /// The state of some.
    Reading,
}

/// Closed while all is well; open for a while after a failure; then one question probes. A question of the other kind than the one
/// that failed tells that the source answers, and no more: its lists may be well while its runs cannot be read.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    failures: u32,
    until: Option<Timestamp>,
    /// What failed last.
    failed: Option<Kind>,
    /// What else was answered since then.
    answers: bool,
}

impl Circuit {
    /// Until when nothing is to be asked, if that is so.
    pub(super) fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| now < *until)
    }

    /// Whether it has not answered since its failure. Its pause may be over.
    pub(super) const fn is_probing(&self) -> bool {
        self.failures > 0 && !self.answers
    }

    /// Whether it has answered since, but nothing of the kind that failed.
    pub(super) const fn is_half_closed(&self) -> bool {
        self.failures > 0 && self.answers
    }

    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn failed(
        &mut self,
        kind: Kind,
        told: Option<Timestamp>,
        now: Timestamp,
        jitter: f64,
    ) -> Timestamp {
        (self.failed, self.answers) = (Some(kind), false);
        self.failures = self.failures.saturating_add(1);
        let doubled = FIRST_PAUSE * (1 << self.failures.saturating_sub(1).min(10));
        let pause = doubled.min(MAX_PAUSE);
        let late = SignedDuration::try_from_secs_f64(pause.as_secs_f64() * jitter.clamp(0.0, 1.0) / 4.0)
            .unwrap_or_default();
        let own = after(after(now, pause), late);
        // A limit that is over at a known moment needs no growing pauses, only that not everybody comes at once.
        let until = match told {
            Some(told) if told > now => after(told, late.min(FIRST_PAUSE)),
            _ => own,
        };
        // Two pieces of work that fail together are one failure.
        let until = self.until.filter(|known| *known > now).map_or(until, |known| known.max(until));
        self.until = Some(until);
        until
    }

    pub(super) fn answered(&mut self, kind: Kind) {
        self.answers = true;
        if self.failed.is_none_or(|failed| failed == kind) {
            *self = Self::default();
        }
    }

    pub(super) fn try_now(&mut self, now: Timestamp) {
        self.until = self.until.map(|until| until.min(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn pauses_grow_to_a_bound_and_end_with_an_answer() {
        let (mut circuit, mut now, mut pauses) = (Circuit::default(), at(0), Vec::new());
        for _ in 0..12 {
            let until = circuit.failed(Kind::Listing, None, now, 0.0);
            pauses.push(until.duration_since(now).as_secs());
            assert_eq!(circuit.open_until(now), Some(until));
            now = until;
            assert_eq!(circuit.open_until(now), None);
            assert!(circuit.is_probing());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]);
        circuit.answered(Kind::Listing);
        assert!(!circuit.is_probing() && !circuit.is_half_closed());
        assert_eq!(
            circuit.failed(Kind::Listing, None, now, 1.0).duration_since(now).as_millis(),
            2500,
            "jitter"
        );
    }

    #[test]
    fn only_an_answer_of_the_kind_that_failed_ends_the_growing() {
        let mut circuit = Circuit::default();
        circuit.failed(Kind::Reading, None, at(0), 0.0);
        circuit.answered(Kind::Listing);
        assert!(!circuit.is_probing() && circuit.is_half_closed());
        assert_eq!(circuit.failed(Kind::Reading, None, at(10), 0.0), at(14), "it goes on growing");
        assert!(circuit.is_probing());
        circuit.answered(Kind::Reading);
        assert!(!circuit.is_probing() && !circuit.is_half_closed() && circuit.failures() == 0);
    }

    #[test]
    fn what_the_platform_says_counts() {
        let mut circuit = Circuit::default();
        assert_eq!(circuit.failed(Kind::Listing, Some(at(3600)), at(0), 0.0), at(3600));
        assert_eq!(circuit.failed(Kind::Listing, Some(at(60)), at(1), 0.0), at(3600), "the longer of two");
        circuit.try_now(at(2));
        assert_eq!(circuit.open_until(at(2)), None);
        assert!(circuit.is_probing(), "one question tells whether it is back");
    }
}
