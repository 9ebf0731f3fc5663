//! What a schedule comes to at a moment: for people, for metrics, and for how much of the limit is left to what can wait.

use domain::{NativeId, Timestamp};
use jiff::SignedDuration;

use super::track::Track;
use super::{Explanation, Scheduler, Why, pace};

/// What a source's schedule comes to at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Projects that are asked at all.
    pub projects: usize,
    /// Of these, due now.
    pub due: usize,
    /// Of these, never read yet.
    pub unread: usize,
    /// Of these, seen at a glance at most: what led to their state is still to be read.
    pub partly_known: usize,
    /// When the most pressing is due.
    pub next_at: Option<Timestamp>,
    /// How much longer than meant a project waits, 1 where the limit is no hindrance.
    pub stretch: f64,
    /// Age of what is shown, median and greatest, since it was last confirmed by the platform.
    pub age_median: Option<SignedDuration>,
    /// The greatest.
    pub age_worst: Option<SignedDuration>,
    /// Whether webhooks prove alive, so that polling slows.
    pub webhooks_alive: bool,
    /// Until when the source is left alone, after how many failures.
    pub open_until: Option<(Timestamp, u32)>,
    /// How often an active project is meant to be asked.
    pub active_every: SignedDuration,
}

/// How a source's projects stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Projects that are asked at all.
    pub asked: usize,
    /// Of these, never read yet.
    pub unread: usize,
    /// Of these, not readable.
    pub failing: usize,
    /// Whether a listing ever ended.
    pub listed: bool,
    /// Whether what failed last was not answered since, whatever else was.
    pub troubled: bool,
}

impl Standing {
    /// Projects that were read.
    #[must_use]
    pub const fn read(&self) -> usize {
        self.asked.saturating_sub(self.unread)
    }
}

impl Scheduler {
    /// How far the first reading is, and whether anything can be read.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let asked = || self.tracks.values().filter(|t| t.is_asked());
        Standing {
            asked: asked().count(),
            unread: asked().filter(|t| t.is_unread()).count(),
            failing: asked().filter(|t| t.is_failing()).count(),
            listed: self.listing.once,
            troubled: self.circuit.failures() > 0,
        }
    }

    /// Whether webhooks prove alive.
    #[must_use]
    pub fn webhooks_alive(&self, now: Timestamp) -> bool {
        self.webhook_at.is_some_and(|at| now.duration_since(at) <= pace::WEBHOOKS_ALIVE)
    }

    /// Why a project is asked when it is; `None` for one that is not known.
    #[must_use]
    pub fn explain(&self, id: &NativeId, now: Timestamp) -> Option<Explanation> {
        let track = self.tracks.get(id)?;
        let mut explained = track.explain(self.clock(now), self.reading.contains(id));
        explained.paused_until = self.circuit.open_until(now);
        if track.is_told() && explained.why != Why::Woken {
            explained.due_at = explained.due_at.map(|_| self.listing_due(now));
        }
        explained.stretch = self.stretch(now);
        Some(explained)
    }

    /// What is wanted, over what may be spent: more than 1 when everything takes longer than meant.
    fn stretch(&self, now: Timestamp) -> f64 {
        let rate = match self.batching {
            Some(_) => self.batches.as_ref().unwrap_or(&self.bucket).background_rate(),
            None => self.bucket.background_rate(),
        };
        (self.wanted(now) / rate.max(1e-6)).max(1.0)
    }

    /// Requests a second, or points, that asking everything as often as is meant takes.
    #[expect(clippy::cast_precision_loss, reason = "numbers of projects")]
    pub(super) fn wanted(&self, now: Timestamp) -> f64 {
        let clock = self.clock(now);
        // Never read counts once, not for ever.
        let per_second = |t: &Track| t.pace(clock).map(|(every, _)| 1.0 / every.as_secs_f64().max(10.0));
        let projects: f64 = self.tracks.values().filter(|t| !t.is_told()).filter_map(per_second).sum();
        let cost = match self.batching {
            Some(batching) => batching.cost.max(1) as f64 / batching.per_request as f64,
            None => self.costs.per_project(),
        };
        projects * cost
    }

    /// What it comes to.
    #[must_use]
    pub fn figures(&self, now: Timestamp) -> Figures {
        let (clock, asked) = (self.clock(now), || self.tracks.values().filter(|t| t.is_asked()));
        let mut ages: Vec<_> = asked().filter_map(|t| t.read_at).map(|at| now.duration_since(at)).collect();
        ages.sort_unstable();
        let own = asked().filter(|t| !t.is_told()).filter_map(|t| t.due_at(clock));
        Figures {
            projects: asked().count(),
            due: asked().filter(|t| t.due_at(clock).is_some_and(|at| at <= now)).count(),
            unread: asked().filter(|t| t.is_unread()).count(),
            partly_known: asked().filter(|t| t.is_partly_known()).count(),
            next_at: own.chain([self.listing_due(now)]).min(),
            stretch: self.stretch(now),
            age_median: ages.get(ages.len() / 2).copied(),
            age_worst: ages.last().copied(),
            webhooks_alive: self.webhooks_alive(now),
            open_until: self.circuit.open_until(now).map(|at| (at, self.circuit.failures())),
            active_every: pace::active(&self.plan),
        }
    }
}
