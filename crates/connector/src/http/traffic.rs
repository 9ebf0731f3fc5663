//! Which requests were made.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use domain::Timestamp;

/// Requests to one endpoint template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointTraffic {
    /// `GET /projects/:id/pipelines`.
    pub endpoint: &'static str,
    /// All requests sent, retries included.
    pub requests: u64,
    /// Of these, answered 304.
    pub not_modified: u64,
    /// Of these, failed.
    pub failed: u64,
}

/// The requests made so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests in the last hour (rolling, by the minute).
    pub last_hour: u64,
    /// Per endpoint since the start.
    pub endpoints: Vec<EndpointTraffic>,
}

/// Minutes that the rolling count looks back.
const WINDOW: i64 = 60;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    NotModified,
    Badly,
}

#[derive(Debug, Default)]
struct Books {
    endpoints: BTreeMap<&'static str, EndpointTraffic>,
    minutes: BTreeMap<i64, u64>,
}

/// Counts requests.
#[derive(Debug, Default)]
pub(super) struct Counter(Mutex<Books>);

impl Counter {
    pub(super) fn count(&self, endpoint: &'static str, ended: Ended, now: Timestamp) {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line =
            books.endpoints.entry(endpoint).or_insert(EndpointTraffic { endpoint, ..Default::default() });
        line.requests += 1;
        line.not_modified += u64::from(ended == Ended::NotModified);
        line.failed += u64::from(ended == Ended::Badly);
        let minute = now.as_second().div_euclid(60);
        *books.minutes.entry(minute).or_default() += 1;
        books.minutes.retain(|m, _| *m > minute - WINDOW);
    }

    pub(super) fn traffic(&self, now: Timestamp) -> Traffic {
        let books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.as_second().div_euclid(60) - WINDOW;
        Traffic {
            last_hour: books.minutes.iter().filter(|(m, _)| **m > since).map(|(_, n)| n).sum(),
            endpoints: books.endpoints.values().cloned().collect(),
        }
    }
}
