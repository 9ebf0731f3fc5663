//! What platforms count apart: each resource has its own budget and its own pauses, and what concerns all of them is
//! kept once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::Timestamp;
use jiff::SignedDuration;

use super::budget::Meter;
use super::gate::Gate;
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
    /// The platform wants to be left alone altogether.
    all: Gate,
}

impl Lanes {
    /// The resource that a request is paid from; `None` is the one of all ordinary requests.
    pub(super) fn of(&self, resource: Option<&'static str>) -> Arc<Lane> {
        match resource {
            None => Arc::clone(&self.main),
            Some(name) => {
                let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(others.entry(name).or_default())
            }
        }
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
    use super::super::budget::Budget;
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
    fn who_asks_too_fast_asks_nothing_more() {
        let lanes = Lanes::default();
        let (main, points) = (lanes.of(None), lanes.of(Some("graphql")));
        points.meter.learn(Budget { limit: 10, remaining: 9, reset_at: Some(at(100)), window: None });
        lanes.pause(&points, at(0), SignedDuration::from_secs(60), Error::RateLimited { until: None });
        assert!(lanes.closed(&main, at(59)).is_some() && lanes.closed(&points, at(59)).is_some());
        assert!(lanes.closed(&main, at(60)).is_none() && lanes.closed(&points, at(60)).is_none());
    }
}
