//! The record of what was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use jiff::Timestamp;

use crate::http::Reply;
use crate::world::FaceId;

/// So many requests are kept in full; the counts go on for ever.
pub const MAX_RECORDS: usize = 50_000;

/// One request and how it was answered.
#[derive(Debug, Clone)]
pub struct Record {
    /// World time of its arrival.
    pub at: Timestamp,
    /// Which face.
    pub face: FaceId,
    /// Method.
    pub method: Method,
    /// Path and query as sent.
    pub path: String,
    /// Endpoint, as `GET /projects/:id`.
    pub template: &'static str,
    /// Status of the answer; 0 when there was none (a hang, or the client went away).
    pub status: u16,
    /// What it was charged, where the platform counts points and not requests.
    pub points: u64,
    /// Whether it carried credentials.
    pub authorized: bool,
    /// Its `If-None-Match`.
    pub if_none_match: Option<String>,
    /// Its `X-Request-Id`.
    pub request_id: Option<String>,
}

#[derive(Debug, Default)]
struct Inner {
    records: VecDeque<Record>,
    counts: BTreeMap<(FaceId, &'static str), u64>,
    total: u64,
    open: BTreeMap<FaceId, usize>,
    most_open: BTreeMap<FaceId, usize>,
}

/// All requests so far. Clones share the record.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<Mutex<Inner>>);

impl Requests {
    fn with<R>(&self, work: impl FnOnce(&mut Inner) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest requests, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Record> {
        self.with(|inner| inner.records.iter().cloned().collect())
    }

    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.with(|inner| inner.total)
    }

    /// How many there were at each endpoint of a face.
    #[must_use]
    pub fn counts(&self, face: FaceId) -> BTreeMap<&'static str, u64> {
        self.with(|inner| {
            inner.counts.iter().filter(|((f, _), _)| *f == face).map(|((_, t), n)| (*t, *n)).collect()
        })
    }

    /// How many a face got in all.
    #[must_use]
    pub fn total_of(&self, face: FaceId) -> u64 {
        self.counts(face).values().sum()
    }

    /// How many were under way at once, at most.
    #[must_use]
    pub fn most_at_once(&self, face: FaceId) -> usize {
        self.with(|inner| inner.most_open.get(&face).copied().unwrap_or(0))
    }

    /// Forgets everything but what is under way.
    pub fn clear(&self) {
        self.with(|inner| {
            inner.records.clear();
            inner.counts.clear();
            inner.total = 0;
            inner.most_open = inner.open.clone();
        });
    }

    pub(crate) fn begin(&self, record: Record) -> Open {
        self.with(|inner| {
            let open = inner.open.entry(record.face).or_default();
            *open += 1;
            let now = *open;
            let most = inner.most_open.entry(record.face).or_default();
            *most = now.max(*most);
        });
        Open { requests: self.clone(), record: Some(record) }
    }
}

/// A request under way; it is written down when this is dropped, also when the client goes away.
#[derive(Debug)]
pub(crate) struct Open {
    requests: Requests,
    record: Option<Record>,
}

impl Open {
    pub(crate) fn answered(mut self, reply: &Reply) {
        if let Some(record) = &mut self.record {
            record.status = reply.status.as_u16();
            record.template = reply.template;
            record.points = reply.points;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(record) = self.record.take() else { return };
        self.requests.with(|inner| {
            if let Some(open) = inner.open.get_mut(&record.face) {
                *open = open.saturating_sub(1);
            }
            inner.total += 1;
            *inner.counts.entry((record.face, record.template)).or_default() += 1;
            if inner.records.len() >= MAX_RECORDS {
                inner.records.pop_front();
            }
            inner.records.push_back(record);
        });
    }
}
