//! How often details were at hand.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is looked up.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    Jobs,
    Logs,
    Branches,
    Runs,
}

/// By kind: the word in the metrics.
const KINDS: [(Of, &str); 4] =
    [(Of::Jobs, "jobs"), (Of::Logs, "logs"), (Of::Branches, "branches"), (Of::Runs, "runs")];

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    asked: [AtomicU64; 4],
    missed: [AtomicU64; 4],
}

impl Lookups {
    pub(super) fn asked(&self, of: Of) {
        self.asked[of as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// It was not there, or not fresh, so that the platform is asked.
    pub(super) fn missed(&self, of: Of) {
        self.missed[of as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Of each kind how often it was at hand, and how often not.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        KINDS.into_iter().map(|(of, kind)| {
            let missed = self.missed[of as usize].load(Ordering::Relaxed);
            (kind, self.asked[of as usize].load(Ordering::Relaxed).saturating_sub(missed), missed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_hand_is_told_from_what_is_not() {
        let lookups = Lookups::default();
        for _ in 0..3 {
            lookups.asked(Of::Logs);
        }
        lookups.missed(Of::Logs);
        let counts: Vec<_> = lookups.counts().collect();
        assert_eq!(counts, [("jobs", 0, 0), ("logs", 2, 1), ("branches", 0, 0), ("runs", 0, 0)]);
    }
}
