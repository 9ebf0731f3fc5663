//! Keeps the board up to date, each source by itself: one that hangs or fails never delays another.
//!
//! A [`Refresher`] does what its source's schedule says ([`crate::schedule`] decides, without any I/O): a page of the listing
//! ([`listing`](self), in `listing.rs`), or the state of some projects (`reading.rs`). Up to one piece of each kind is under way at
//! a time, so that who looks does not wait behind the rest.

mod listing;
mod reading;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use connector::http::Budget;
use connector::{Connector, Error};
use domain::{NativeId, Patterns, Project, SourceName, Timestamp};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::archive::Archive;
use crate::board::Entry;
use crate::due::Schedule;
use crate::hub::Hub;
use crate::schedule::{Known, Means, Next, RESERVE, Work};
use crate::sources::State;
use crate::watched::Watched;
use listing::Cursor;

/// Which projects of a source are wanted.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Names without a wildcard, and globs, that narrow every source; empty: all that the token can see.
    pub watched: Arc<Watched>,
    /// The source's own `include` and `exclude`.
    pub include: Patterns,
    /// Names to leave out.
    pub exclude: Patterns,
}

impl Plan {
    pub(crate) fn lets_in(&self, project: &Project) -> bool {
        let named = |p: &Patterns| p.lets_in(&project.name) || p.lets_in(project.key.id.as_str());
        let left_out = !self.exclude.is_empty() && named(&self.exclude);
        self.watched.lets_in(project) && (self.include.is_empty() || named(&self.include)) && !left_out
    }
}

/// One source's refresher.
#[derive(Debug)]
pub struct Refresher {
    hub: Arc<Hub>,
    connector: Arc<dyn Connector>,
    plan: Plan,
    schedule: Arc<Schedule>,
    cursor: Mutex<Cursor>,
    /// Its credential was refused.
    refused: AtomicBool,
    /// Projects that could not be read because the platform failed, since one could.
    failed: Mutex<BTreeSet<NativeId>>,
    /// Hears of the jobs that come along.
    archive: Option<Arc<Archive>>,
}

impl Refresher {
    /// Sets it up; nothing is asked yet.
    #[must_use]
    pub fn new(hub: Arc<Hub>, connector: Arc<dyn Connector>, plan: Plan, schedule: Arc<Schedule>) -> Self {
        let (cursor, refused, failed) = (Mutex::default(), AtomicBool::new(false), Mutex::default());
        Self { hub, connector, plan, schedule, cursor, refused, failed, archive: None }
    }

    /// The same, that tells history the jobs that were read with the state of a project.
    #[must_use]
    pub fn telling(self, archive: Arc<Archive>) -> Self {
        Self { archive: Some(archive), ..self }
    }

    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut under_way = FuturesUnordered::new();
        loop {
            match self.next() {
                Next::Do(work) => under_way.push(self.perform(work)),
                Next::Wait(until) => {
                    let wait = until.duration_since(self.now());
                    let wait = std::time::Duration::try_from(wait).unwrap_or_default();
                    tokio::select! {
                        Some(()) = under_way.next(), if !under_way.is_empty() => {}
                        () = tokio::time::sleep(wait) => self.look_for_another_credential().await,
                        () = self.schedule.nudged() => {}
                    }
                }
            }
        }
    }

    /// Does one piece of work to its end, if one is due; else says when one may be. For those who keep time themselves.
    pub async fn turn(&self) -> Option<Timestamp> {
        match self.next() {
            Next::Do(work) => {
                self.perform(work).await;
                None
            }
            Next::Wait(until) => Some(until),
        }
    }

    /// A source that refused its token, or whose limit is spent, is tried with another token as soon as there is one.
    async fn look_for_another_credential(&self) {
        if self.is_held_up() && self.connector.has_new_credential().await {
            self.refused.store(false, Ordering::Relaxed);
            self.schedule.with(|s| s.wake(self.now()));
        }
    }

    fn is_held_up(&self) -> bool {
        let waits = self.refused.load(Ordering::Relaxed) || self.schedule.with(|s| s.standing().troubled);
        #[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
        let short = |b: Budget| b.remaining as f64 <= b.limit as f64 * RESERVE;
        waits || self.connector.budget().is_some_and(short)
    }

    fn source(&self) -> &SourceName {
        self.connector.source()
    }

    fn now(&self) -> Timestamp {
        self.hub.clock().now()
    }

    fn next(&self) -> Next {
        self.schedule.with(|s| s.next(self.now(), self.means()))
    }

    fn means(&self) -> Means {
        let traffic = self.connector.traffic();
        Means {
            budget: self.connector.budget(),
            spent: traffic.spent,
            sent: traffic.sent,
            most_per_minute: self.connector.most_per_minute(),
            batching: self.connector.batching(),
        }
    }

    async fn perform(&self, work: Work) {
        let outcome = match &work {
            Work::List => self.list().await,
            Work::Moved => self.list_moved().await,
            Work::Read { projects, reading } => self.read(projects, *reading).await.map(|()| false),
        };
        let now = self.now();
        match outcome {
            Ok(more) => {
                let means = self.means();
                let standing = self.schedule.with(|s| {
                    s.observe(now, means);
                    s.done(&work, more, now);
                    s.standing()
                });
                self.hub.source(self.source(), |s| {
                    if s.state == State::Loading {
                        (s.read, s.expected) = (standing.read(), s.expected.max(Some(standing.asked)));
                    }
                    // What failed last has not been answered yet, whatever else is.
                    if standing.troubled {
                        return;
                    }
                    if !standing.listed || standing.unread > 0 {
                        s.answered(now);
                    } else if standing.asked > 2 && standing.failing == standing.asked {
                        // Every project failing alike is the source's trouble, not theirs.
                        s.half_failed(format!("none of its {} projects could be read", standing.asked), now);
                    } else {
                        s.succeeded(now);
                    }
                });
            }
            Err(error) => {
                let error = error.naming(self.source());
                self.refused.store(matches!(error, Error::Unauthorized(_)), Ordering::Relaxed);
                let until = if let Error::RateLimited { until } = &error { *until } else { None };
                let next = self.schedule.with(|s| s.failed(&work, until, now, rand::random()));
                tracing::warn!(source = %self.source(), %error, next_try_at = %next, "source does not answer");
                self.hub.source(self.source(), |s| s.failed(&error, now, next));
                self.plan.watched.failed(self.source(), &error.to_problem());
                self.settle_watched();
            }
        }
    }
}

/// What is known of a row, as far as it decides how often it is asked; `None` for one that is not.
fn known(entry: &Entry) -> Option<Known> {
    if entry.project.archived || entry.project.ci_disabled {
        return None;
    }
    let newest = entry.runs().iter().filter_map(|r| r.updated_at.or(r.began())).max();
    Some(Known { running: entry.is_active(), moved_at: newest.max(entry.project.last_activity_at) })
}
