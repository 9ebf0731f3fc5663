//! Keeps the board up to date, each source by itself: one that hangs or fails never delays another.
//!
//! Three loops a source. The *full* one lists the projects page by page and reads the state of each; a page is on the
//! board before the next is fetched, and its states are read while the listing goes on. The *active* one reads the
//! projects with a run going on in between. The *woken* one reads what webhooks told of ([`crate::due`]). All keep to the
//! platform's budget.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use connector::http::Budget;
use connector::{Connector, Error, Heads, HeadsAsk};
use domain::{NativeId, Patterns, Problem, ProblemKind, Project, ProjectKey, SourceName, Timestamp};
use futures::StreamExt as _;
use jiff::SignedDuration;
use tokio::sync::{Notify, mpsc};

use crate::board::{Observation, Seen};
use crate::due::Woken;
use crate::hub::{Hub, Present};
use crate::watched::Watched;

/// How many watched names are asked for at once.
const NAMES_AT_ONCE: usize = 8;
/// Between two tries of a source that does not answer: the first wait, doubled at each failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(2);
/// The longest such wait.
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// How often projects with a run going on are read, at most.
const ACTIVE_EVERY: Duration = Duration::from_secs(10);
/// The share of the rate limit that the full loop may use; the rest is for people who look at details.
const SHARE_OF_BUDGET: f64 = 0.7;
/// Below this share of the limit the active loop pauses.
const RESERVE: f64 = 0.2;

/// What a source is refreshed by.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How often everything is read.
    pub every: Duration,
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
    woken: Woken,
    wake: Arc<Notify>,
}

/// Projects whose state is to be read, with what the listing told of it.
type ToRead = Vec<(ProjectKey, Option<Heads>)>;

/// What a full reading came to.
struct Reading {
    /// Requests that counted against the limit.
    requests: u64,
    /// Something failed that is not of one project.
    trouble: Option<String>,
}

impl Refresher {
    /// Sets it up; nothing is asked yet.
    #[must_use]
    pub fn new(hub: Arc<Hub>, connector: Arc<dyn Connector>, plan: Plan, woken: Woken) -> Self {
        Self { hub, connector, plan, woken, wake: Arc::new(Notify::new()) }
    }

    /// Runs until it is dropped.
    pub async fn run(self) {
        tokio::join!(self.full_loop(), self.active_loop(), self.woken_loop());
    }

    fn source(&self) -> &SourceName {
        self.connector.source()
    }

    fn now(&self) -> Timestamp {
        self.hub.clock().now()
    }

    async fn full_loop(&self) {
        let mut failures = 0;
        loop {
            let wait = match self.read_all().await {
                Ok(reading) => {
                    failures = 0;
                    let now = self.now();
                    let projects = self.hub.read(|p| p.board.of_source(self.source()).count());
                    self.hub.source(self.source(), |s| {
                        (s.read, s.expected) = (projects, Some(projects));
                        match &reading.trouble {
                            None => s.succeeded(now),
                            Some(why) => s.half_failed(why.clone(), now),
                        }
                    });
                    self.wake.notify_one();
                    pace(self.plan.every, reading.requests, self.connector.budget(), now)
                }
                Err(error) => {
                    failures += 1;
                    let error = error.naming(self.source());
                    let wait = self.backoff(&error, failures);
                    let now = self.now();
                    let next = now
                        .saturating_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO))
                        .unwrap_or(now);
                    tracing::warn!(source = %self.source(), %error, next_try_in = ?wait, "source does not answer");
                    self.hub.source(self.source(), |s| s.failed(&error, now, next));
                    self.plan.watched.failed(self.source(), &error.to_problem());
                    self.settle_watched();
                    wait
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Lists and reads everything once.
    async fn read_all(&self) -> Result<Reading, Error> {
        let before = counted(self.connector.as_ref());
        let (pages, to_read) = mpsc::unbounded_channel();
        let (listed, read) = tokio::join!(self.list(pages), self.read_pages(to_read));
        let trouble = read?;
        listed?;
        Ok(Reading { requests: counted(self.connector.as_ref()).saturating_sub(before), trouble })
    }

    /// Puts the projects on the board, page by page, and passes their keys on.
    async fn list(&self, pages: mpsc::UnboundedSender<ToRead>) -> Result<(), Error> {
        let mut missing: BTreeSet<String> = BTreeSet::new();
        let names: Vec<String> =
            self.plan.watched.names().filter(|n| self.connector.could_hold(n)).map(str::to_owned).collect();
        let began = self.now();
        let mut named = BTreeSet::new();
        if self.plan.watched.wants_listing() {
            if let Ok(Some(count)) = self.connector.project_count().await {
                self.hub.source(self.source(), |s| s.expected = usize::try_from(count).ok());
            }
            let mut page = None;
            loop {
                let asked_at = self.now();
                let answer = self.connector.projects(page.take()).await?;
                let projects: Vec<_> = answer.items.into_iter().filter(|p| self.plan.lets_in(p)).collect();
                named.extend(projects.iter().map(|p| p.key.id.clone()));
                self.put(projects, answer.told, asked_at, &pages);
                match answer.next {
                    Some(next) => page = Some(next),
                    None => break,
                }
            }
            let on_board = |name: &str| {
                self.hub.read(|p| p.board.find(self.source(), name).map(|e| e.project.key.clone()))
            };
            for name in &names {
                match on_board(name) {
                    Some(key) if named.contains(&key.id) => {
                        self.plan.watched.found(self.source(), name, &key)
                    }
                    _ => drop(missing.insert(name.clone())),
                }
            }
        } else {
            missing.extend(names.iter().cloned());
            self.hub.source(self.source(), |s| s.expected = Some(missing.len()));
        }

        let asked: Vec<_> = futures::stream::iter(missing)
            .map(|name| async move {
                let asked_at = self.now();
                let answer = self.connector.project(&name).await;
                (name, asked_at, answer)
            })
            .buffer_unordered(NAMES_AT_ONCE)
            .map(|(name, asked_at, answer)| match answer {
                Ok(project) => {
                    self.plan.watched.found(self.source(), &name, &project.key);
                    let id = project.key.id.clone();
                    self.put(vec![project], BTreeMap::new(), asked_at, &pages);
                    Ok(Some(id))
                }
                Err(error) if error.concerns_source() => Err(error),
                Err(error) => {
                    self.plan.watched.missed(self.source(), &name, &error.to_problem());
                    Ok(None)
                }
            })
            .collect()
            .await;
        for outcome in asked {
            named.extend(outcome?);
        }
        named.extend(self.settle_watched());
        self.hub.observe(Observation {
            asked_at: began,
            seen: Seen::ListingEnded { source: self.source().clone(), named },
        });
        Ok(())
    }

    fn put(
        &self,
        projects: Vec<Project>,
        mut told: BTreeMap<NativeId, Heads>,
        asked_at: Timestamp,
        pages: &mpsc::UnboundedSender<ToRead>,
    ) {
        let to_read = projects.iter().map(|p| (p.key.clone(), told.remove(&p.key.id))).collect();
        self.hub.observe(Observation { asked_at, seen: Seen::Projects(projects) });
        // The reader is gone only when it failed, and then the listing's result does not matter.
        let _ = pages.send(to_read);
    }

    /// Rows for watched names that nobody has; gives back those of this source.
    fn settle_watched(&self) -> Vec<NativeId> {
        let (mine, orphans) = self.plan.watched.orphans(self.source());
        for (key, name, problem) in orphans {
            // Whoever answers last makes the row, at the source whose reason tells most: perhaps not this one.
            let platform = self.hub.read(|p| p.sources.get(&key.source)?.descriptor.map(|d| d.id));
            let project = Project::named(key, platform.unwrap_or(self.connector.descriptor().id), name);
            self.hub.observe(Observation { asked_at: self.now(), seen: Seen::NotFound(project, problem) });
        }
        for key in self.plan.watched.found_elsewhere() {
            self.hub.observe(Observation { asked_at: self.now(), seen: Seen::Gone(key) });
        }
        mine
    }

    /// Reads the state of the projects that come in; gives back what failed beyond single projects.
    async fn read_pages(&self, mut pages: mpsc::UnboundedReceiver<ToRead>) -> Result<Option<String>, Error> {
        let (mut all, mut failed) = (0_usize, 0_usize);
        while let Some(to_read) = pages.recv().await {
            all += to_read.len();
            failed += self.read_states(to_read).await?;
        }
        // Every project failing alike is the source's trouble, not theirs.
        Ok((all > 2 && failed == all).then(|| format!("none of its {all} projects could be read")))
    }

    /// Reads the state of these projects, each onto the board as it comes. Gives back how many failed.
    async fn read_states(&self, to_read: ToRead) -> Result<usize, Error> {
        let asks: Vec<_> = self.hub.read(|p| {
            let wanted =
                |key: &ProjectKey| p.board.get(key).filter(|e| !e.project.archived && !e.project.ci_disabled);
            let ask = |(key, told): &(ProjectKey, Option<Heads>)| {
                wanted(key)?;
                Some(HeadsAsk { told: told.clone(), ..p.board.ask(key)? })
            };
            to_read.iter().filter_map(ask).collect()
        });
        self.skip_unread(to_read.iter().map(|(key, _)| key));
        self.read(asks).await
    }

    /// Asks, and puts each answer onto the board as it comes. Gives back how many failed.
    async fn read(&self, asks: Vec<HeadsAsk>) -> Result<usize, Error> {
        let asked_at = self.now();
        let mut failed = 0;
        let mut states = self.connector.branch_heads(asks);
        while let Some((key, state)) = states.next().await {
            let seen = match state {
                Ok(heads) => Seen::Heads(key, Box::new(heads)),
                Err(error) if error.concerns_source() => return Err(error),
                Err(error) => {
                    failed += 1;
                    Seen::Unreadable(key, error.to_problem())
                }
            };
            self.hub.observe(Observation { asked_at, seen });
            self.hub.source(self.source(), |s| {
                if s.last_success_at.is_none() {
                    s.read += 1;
                }
            });
        }
        Ok(failed)
    }

    /// Archived projects and those without CI are not asked about; their rows say why.
    fn skip_unread<'a>(&self, keys: impl Iterator<Item = &'a ProjectKey>) {
        let skipped: Vec<_> = self.hub.read(|p| {
            let skipped =
                |e: &&crate::board::Entry| e.is_loading() && (e.project.archived || e.project.ci_disabled);
            keys.filter_map(|key| p.board.get(key)).filter(skipped).map(|e| Arc::clone(&e.project)).collect()
        });
        for project in skipped {
            let text = if project.archived { "archived" } else { "CI is switched off" };
            let problem = Problem::new(ProblemKind::NoCi, text);
            self.hub.observe(Observation {
                asked_at: self.now(),
                seen: Seen::Unreadable(project.key.clone(), problem),
            });
        }
    }

    async fn active_loop(&self) {
        self.wake.notified().await;
        loop {
            tokio::time::sleep(self.plan.every.min(ACTIVE_EVERY)).await;
            if !has_reserve(self.connector.budget(), self.now()) {
                continue;
            }
            let active: Vec<_> = self.hub.read(|p| {
                let running = p.board.of_source(self.source()).filter(|e| e.is_active());
                if self.usable(p) {
                    running.map(|e| (e.project.key.clone(), None)).collect()
                } else {
                    Vec::new()
                }
            });
            if active.is_empty() {
                continue;
            }
            // What concerns the source shows at its next full reading, which is asked for by the same means.
            if let Err(error) = self.read_states(active).await {
                tracing::info!(source = %self.source(), %error, "running pipelines could not be read");
            }
        }
    }

    /// Reads what is woken. While the source does not answer or its limit is nearly used up that is left out: the full
    /// loop reads everything when it can again.
    async fn woken_loop(&self) {
        loop {
            let woken = self.woken.next().await;
            if !has_reserve(self.connector.budget(), self.now()) {
                continue;
            }
            let asks: Vec<_> = self.hub.read(|p| {
                let ask = |key: &ProjectKey| {
                    p.board.get(key).filter(|e| !e.project.archived && !e.project.ci_disabled)?;
                    // Something moved, whatever the last listing said: the branch is read again too.
                    Some(HeadsAsk { known_head: None, ..p.board.ask(key)? })
                };
                if self.usable(p) { woken.iter().filter_map(ask).collect() } else { Vec::new() }
            });
            if let Err(error) = self.read(asks).await {
                tracing::info!(source = %self.source(), %error, "what webhooks told of could not be read");
            }
        }
    }

    fn usable(&self, p: &Present) -> bool {
        p.sources.get(self.source()).is_some_and(|s| s.error.is_none())
    }

    fn backoff(&self, error: &Error, failures: u32) -> Duration {
        if let Error::RateLimited { until: Some(until) } = error {
            let wait = until.duration_since(self.now());
            return Duration::try_from(wait).unwrap_or(FIRST_BACKOFF).max(FIRST_BACKOFF);
        }
        let doubled = FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(10));
        // Up to a quarter more, so that sources that fell together do not come back together.
        doubled.min(MAX_BACKOFF).mul_f64(1.0 + rand::random::<f64>() / 4.0)
    }
}

/// Requests of this source so far that counted against its limit: a 304 is free.
fn counted(connector: &dyn Connector) -> u64 {
    connector.traffic().endpoints.iter().map(|e| e.requests.saturating_sub(e.not_modified)).sum()
}

/// How long to wait until everything is read again: the configured interval, or longer where the platform's limit
/// would not last until its reset.
fn pace(every: Duration, requests: u64, budget: Option<Budget>, now: Timestamp) -> Duration {
    let Some((remaining, reset)) = budget.and_then(|b| Some((b.remaining, b.reset_at?))) else {
        return every;
    };
    let Ok(left) = Duration::try_from(reset.duration_since(now)) else { return every };
    #[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
    let needed = left.mul_f64((requests as f64 / (remaining as f64 * SHARE_OF_BUDGET).max(1.0)).min(1.0));
    every.max(needed)
}

/// Whether enough of the limit is left for reading more than the full loop does.
fn has_reserve(budget: Option<Budget>, now: Timestamp) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
    budget.is_none_or(|b| {
        b.reset_at.is_none_or(|reset| reset <= now) || b.remaining as f64 >= b.limit as f64 * RESERVE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_pace_follows_the_limit() {
        let now = at("2026-11-24T12:00:00Z");
        let every = Duration::from_secs(300);
        let budget = |remaining| {
            Some(Budget { limit: 60, remaining, reset_at: Some(at("2026-11-24T13:00:00Z")), window: None })
        };
        assert_eq!(pace(every, 4, None, now), every);
        assert_eq!(pace(every, 1, budget(60), now), every);
        // 20 requests a reading, 0.7 × 40 left for an hour: every 43 minutes.
        assert_eq!(pace(every, 20, budget(40), now).as_secs() / 60, 42);
        // Nothing left: not before the reset.
        assert_eq!(pace(every, 20, budget(0), now), Duration::from_secs(3600));
        // A reset in the past says nothing.
        let past = Some(Budget {
            limit: 60,
            remaining: 0,
            reset_at: Some(at("2020-01-01T00:00:00Z")),
            window: None,
        });
        assert_eq!(pace(every, 20, past, now), every);
    }

    #[test]
    fn the_active_loop_leaves_a_reserve() {
        let now = at("2026-11-24T12:00:00Z");
        let budget = |remaining| {
            Some(Budget { limit: 100, remaining, reset_at: Some(at("2026-11-24T13:00:00Z")), window: None })
        };
        assert!(has_reserve(None, now));
        assert!(has_reserve(budget(20), now));
        assert!(!has_reserve(budget(19), now));
    }
}
