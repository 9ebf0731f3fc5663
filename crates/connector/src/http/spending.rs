//! What a client may spend, and what it knows of that when it begins.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use jiff::SignedDuration;

use super::auth::{Auth, Who};
use super::budget::{self, Budget};
use super::client::Client;
use super::left::Left;

/// What [`Dialect::hourly`](super::Dialect::hourly) counts in.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

impl Client {
    /// What is left of the rate limit, as last told.
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        let now = self.now();
        self.0.lanes.of(None).meter.budget(now).or_else(|| {
            let limit = self.hourly()?;
            let remaining = limit.saturating_sub(self.0.traffic.traffic(now).last_hour);
            Some(Budget {
                limit,
                remaining,
                reset_at: self.0.traffic.spent_until(limit, now),
                window: Some(HOUR),
            })
        })
    }

    /// The same of a resource that the platform counts apart ([`Post::paid_from`](super::Post::paid_from)).
    #[must_use]
    pub fn budget_of(&self, resource: &'static str) -> Option<Budget> {
        self.0.lanes.of(Some(resource)).meter.budget(self.now())
    }

    /// Takes what the body of an answer tells of such a resource. A reset that makes no sense is none.
    pub fn learn(&self, resource: &'static str, told: Budget) {
        let reset_at = told.reset_at.filter(|at| budget::is_reset(*at, self.now()));
        self.0.lanes.of(Some(resource)).meter.learn(Budget { reset_at, ..told });
    }

    fn who(&self) -> Who {
        self.0.who.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Looks who asks now. When it is somebody else than before, what was counted and kept is forgotten. Whether that was so.
    pub(super) fn notice(&self) -> bool {
        let Auth::Renewed(credentials) = &self.0.settings.auth else { return false };
        let generation = credentials.generation();
        let mut known = self.0.who.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 == generation {
            return false;
        }
        let who = credentials.who();
        let before = std::mem::replace(&mut *known, (generation, who)).1;
        if before == who {
            return false;
        }
        self.0.lanes.forget();
        self.0.traffic.forget();
        self.0.told_hourly.store(0, Ordering::Relaxed);
        self.0.kept.whose(who);
        true
    }

    /// What is left of the limits, to be known by who asks after this client ([`Client::resume`]).
    #[must_use]
    pub fn left(&self) -> Left {
        let now = self.now();
        let counts = self.0.settings.dialect.hourly.is_some();
        Left {
            at: now,
            who: self.who().to_text(),
            main: self.0.lanes.of(None).meter.budget(now).filter(|b| b.reset_at.is_some()),
            others: self.0.lanes.left(now),
            hourly: Some(self.0.told_hourly.load(Ordering::Relaxed)).filter(|told| *told > 0),
            minutes: if counts { self.0.traffic.last_hour(now) } else { BTreeMap::new() },
        }
    }

    /// Goes on with what was left when somebody asked for this source before: an earlier process, or a client with other settings.
    pub fn resume(&self, left: &Left) {
        if left.who != self.who().to_text() {
            return;
        }
        let now = self.now();
        if let Some(main) = left.main.and_then(|main| left.holds(main, now)) {
            self.0.lanes.of(None).meter.resume(main);
        }
        for (name, budget) in &left.others {
            if let Some(budget) = left.holds(*budget, now) {
                self.0.lanes.resume(name, budget);
            }
        }
        if self.0.settings.dialect.hourly.is_some() {
            self.0.traffic.resume(&left.minutes, now);
            if let Some(told) = left.hourly {
                // What an answer told since then is newer.
                let _ = self.0.told_hourly.compare_exchange(0, told, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    /// What we may ask in any hour, where the platform does not count out loud: as it said itself, else as the dialect
    /// says. A little less than it said, for what is under way when the last of them is counted.
    pub(super) fn hourly(&self) -> Option<u64> {
        let assumed = self.0.settings.dialect.hourly?;
        Some(match self.0.told_hourly.load(Ordering::Relaxed) {
            0 => assumed,
            told => told.saturating_sub((told / 50).max(self.0.limits.concurrent as u64)).max(1),
        })
    }
}
