//! What platforms count apart: each resource has its own budget and its own pauses, and what concerns all of them is
//! kept once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::Timestamp;
use jiff::SignedDuration;

use super::budget::{Budget, Meter};
use super::gate::{BackOff, Gate};
use crate::Error;

/// One resource of a platform: what is left of it, and whether it is spent.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) meter: Meter,
    spent: Gate,
}

/// All resources of one source.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    main: Arc<Lane>,
    // Bounded: the names stand in the connectors' code.
    others: Mutex<BTreeMap<&'static str, Arc<Lane>>>,
    /// What is known of resources that nobody has asked for yet.
    resumed: Mutex<BTreeMap<String, Budget>>,
    /// The platform wants to be left alone altogether.
    all: Gate,
    pub(super) back_off: BackOff,
}

impl Lanes {
    /// The resource that a request is paid from; `None` is the one of all ordinary requests.
    pub(super) fn of(&self, resource: Option<&'static str>) -> Arc<Lane> {
        match resource {
            None => Arc::clone(&self.main),
            Some(name) => {
                let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
                let lane = others.entry(name).or_insert_with(|| {
                    let lane = Arc::<Lane>::default();
                    let known = self.resumed.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                    if let Some(known) = known {
                        lane.meter.resume(known);
                    }
                    lane
                });
                Arc::clone(lane)
            }
        }
    }

    /// What is left of the resources that are counted apart, of windows that go on.
    pub(super) fn left(&self, now: Timestamp) -> BTreeMap<String, Budget> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = |(name, lane): (&&str, &Arc<Lane>)| {
            Some(((*name).to_owned(), lane.meter.budget(now).filter(|b| b.reset_at.is_some())?))
        };
        let mut left: BTreeMap<_, _> = others.iter().filter_map(budget).collect();
        drop(others);
        for (name, budget) in self.resumed.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            left.entry(name.clone()).or_insert(*budget);
        }
        left
    }

    /// Takes what was known before of a resource that is counted apart.
    pub(super) fn resume(&self, name: &str, told: Budget) {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        match others.get(name) {
            Some(lane) => lane.meter.resume(told),
            None => {
                self.resumed.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), told);
            }
        }
    }

    /// Nothing is known any more, and nothing is left alone: somebody else asks.
    pub(super) fn forget(&self) {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        for lane in others.values().chain([&self.main]) {
            lane.meter.forget();
            lane.spent.open();
        }
        drop(others);
        self.resumed.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.all.open();
        self.back_off.reset();
    }

    /// Whether this is the resource of all ordinary requests.
    pub(super) fn is_main(&self, lane: &Lane) -> bool {
        std::ptr::eq(&raw const *self.main, lane)
    }

    /// Leaves alone what asked for it: a resource of which nothing is left, else the whole platform.
    pub(super) fn pause(&self, lane: &Lane, now: Timestamp, pause: SignedDuration, error: Error) {
        let spent = matches!(error, Error::RateLimited { .. }) && lane.meter.spent_until(now).is_some();
        let gate = if spent { &lane.spent } else { &self.all };
        gate.close(now, pause, error);
    }

    /// For how long nothing may be asked that is paid from this resource, and why.
    pub(super) fn closed(&self, lane: &Lane, now: Timestamp) -> Option<(Duration, Error)> {
        let by_meter = || {
            let until = lane.meter.spent_until(now)?;
            let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            Some((left, Error::RateLimited { until: Some(until) }))
        };
        self.all.closed(now).or_else(|| lane.spent.closed(now)).or_else(by_meter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_resource_that_is_spent_closes_no_other() {
        let lanes = Lanes::default();
        let (main, points) = (lanes.of(None), lanes.of(Some("graphql")));
        points.meter.learn(Budget { limit: 10, remaining: 0, reset_at: Some(at(100)), window: None });
        assert_eq!(
            lanes.closed(&points, at(0)),
            Some((Duration::from_secs(100), Error::RateLimited { until: Some(at(100)) }))
        );
        assert_eq!(lanes.closed(&main, at(0)), None);
        lanes.pause(&points, at(0), SignedDuration::from_secs(200), Error::RateLimited { until: None });
        assert_eq!(lanes.closed(&main, at(0)), None);
        assert_eq!(lanes.closed(&points, at(150)).map(|(left, _)| left.as_secs()), Some(50));
    }

    #[test]
    fn what_was_known_before_is_known_of_a_resource_whenever_it_is_asked_for() {
        let lanes = Lanes::default();
        let budget =
            |remaining, reset| Budget { limit: 10, remaining, reset_at: Some(at(reset)), window: None };
        let early = lanes.of(Some("early"));
        for name in ["early", "late"] {
            lanes.resume(name, budget(0, 100));
        }
        assert_eq!(lanes.left(at(0)), ["early", "late"].map(|name| (name.to_owned(), budget(0, 100))).into());
        assert!(lanes.closed(&early, at(0)).is_some());
        let late = lanes.of(Some("late"));
        assert!(lanes.closed(&late, at(0)).is_some() && lanes.closed(&late, at(100)).is_none());
        late.meter.learn(budget(9, 200));
        lanes.resume("late", budget(0, 100));
        assert_eq!(lanes.left(at(50))["late"], budget(9, 200), "of a window that has begun since");
    }

    #[test]
    fn who_asks_too_fast_asks_nothing_more() {
        let lanes = Lanes::default();
        let (main, points) = (lanes.of(None), lanes.of(Some("graphql")));
        points.meter.learn(Budget { limit: 10, remaining: 9, reset_at: Some(at(100)), window: None });
        lanes.pause(&points, at(0), SignedDuration::from_secs(60), Error::RateLimited { until: None });
        assert!(lanes.closed(&main, at(59)).is_some() && lanes.closed(&points, at(59)).is_some());
        assert!(lanes.closed(&main, at(60)).is_none() && lanes.closed(&points, at(60)).is_none());
    }
}
