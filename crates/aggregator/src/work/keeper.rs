//! Reads one source's lists in the background, and whose token it is.
//!
//! Never more than a few requests at a time, and none while the source does not answer, is read for the first time,
//! or has less of its rate limit left than pipelines should have for themselves.

use std::sync::Arc;
use std::time::Duration;

use connector::http::Budget;
use connector::{Connector, CurrentUser, Error, Issue, MergeRequest};
use domain::{Person, Problem, ProblemKind, Project, ProjectKey, SourceName, Timestamp};
use futures::StreamExt as _;
use jiff::SignedDuration;
use tokio::time::{Instant, sleep, sleep_until};

use super::due::{Ask, Due};
use super::{Attention, Item, Kind, MAX_OF_PROJECT, MAX_PAGES, Mark, Told, Work};
use crate::hub::Hub;
use crate::schedule::most_within;
use crate::sources::{Owner, State};
use crate::watched::Watched;

/// Lists that are read at once while somebody looks; one at a time at rest, and where the limit is small.
const AT_ONCE: usize = 4;
/// … of what may be spent within ten seconds, so much.
const SHARE_AT_ONCE: f64 = 0.2;
/// At rest, at most so many lists are read in a refresh interval: one a second of five minutes.
const LISTS_PER_INTERVAL: u32 = 300;
/// While somebody looks, so many times as many.
const HASTE: u32 = 4;
/// Lists take no more than this share of the rate limit.
const SHARE_AT_REST: f64 = 0.08;
const SHARE_LOOKED_AT: f64 = 0.4;
/// Below this share of its rate limit a source's lists wait, at rest and while somebody looks: pipelines come first.
const RESERVE_AT_REST: f64 = 0.5;
const RESERVE_LOOKED_AT: f64 = 0.3;
/// A wait for the rate limit is said when it takes longer than this.
const WORTH_TELLING: SignedDuration = SignedDuration::from_mins(2);
/// How often the keeper looks whether something moved, as a part of the refresh interval.
const LOOKS_AROUND: u32 = 20;
/// After a failure of the whole source, at least so long.
const MIN_PAUSE: Duration = Duration::from_secs(2);
/// Whose token it is changes when the token does.
const OWNER_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// One source's keeper of lists.
#[derive(Debug)]
pub struct Keeper {
    /// Board and lists.
    pub hub: Arc<Hub>,
    /// Whom to ask.
    pub connector: Arc<dyn Connector>,
    /// Names that never fold away.
    pub watched: Arc<Watched>,
    /// Who looks.
    pub attention: Arc<Attention>,
    /// The refresh interval.
    pub every: Duration,
}

impl Keeper {
    /// Whether there is anything to keep.
    #[must_use]
    pub fn is_of_use(connector: &dyn Connector) -> bool {
        Kind::ALL.iter().any(|k| k.is_of(connector)) || connector.current_user().is_some()
    }

    fn source(&self) -> &SourceName {
        self.connector.source()
    }

    fn now(&self) -> Timestamp {
        self.hub.clock().now()
    }

    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut owner_at = Instant::now();
        loop {
            if let Err(error) = self.round(&mut owner_at).await {
                // The source's row says it as soon as its pipelines are asked for.
                tracing::info!(source = %self.source(), %error, "lists could not be read");
                let until = if let Error::RateLimited { until } = error { until } else { None };
                let wait = until.and_then(|u| Duration::try_from(u.duration_since(self.now())).ok());
                sleep(wait.unwrap_or(self.every).max(MIN_PAUSE)).await;
            }
        }
    }

    /// Reads what is due, and waits for the next turn.
    async fn round(&self, owner_at: &mut Instant) -> Result<(), Error> {
        if !self.is_usable() {
            let _ = tokio::time::timeout(self.every / LOOKS_AROUND, self.attention.nudged()).await;
            return Ok(());
        }
        let looked_at = self.attention.at_anything();
        if let Some(until) = self.out_of_budget(looked_at) {
            // A window of a minute is over before anybody has read of it.
            if until.duration_since(self.now()) > WORTH_TELLING {
                self.hub.keep(None, |work| work.wait(self.source(), Some(until)));
            }
            let _ = tokio::time::timeout(self.every / LOOKS_AROUND, self.attention.nudged()).await;
            return Ok(());
        }
        if self.hub.read(|p| p.work.waits(self.source()).is_some()) {
            self.hub.keep(None, |work| work.wait(self.source(), None));
        }
        if let Some(part) = self.connector.current_user()
            && *owner_at <= Instant::now()
        {
            *owner_at = Instant::now() + self.learn_owner(part).await?;
        }
        let (due, then) = self.due(if looked_at { at_once(self.connector.budget()) } else { 1 });
        if due.is_empty() {
            self.let_go();
            let look = Instant::now() + self.every / LOOKS_AROUND;
            let until = then.map_or(look, |then| then.min(look));
            tokio::select! { () = sleep_until(until) => {} () = self.attention.nudged() => {} }
            return Ok(());
        }
        let n = u32::try_from(due.len()).unwrap_or(1);
        let mut reads = futures::stream::iter(due).map(|due| self.read(due)).buffer_unordered(AT_ONCE);
        while let Some(read) = reads.next().await {
            read?;
        }
        let interval = self.every / LISTS_PER_INTERVAL * n / if looked_at { HASTE } else { 1 };
        sleep(interval.max(self.connector.budget().map_or(Duration::ZERO, |b| share_of(b, n, looked_at))))
            .await;
        Ok(())
    }

    /// Whether it answers: what does not is left to the refresher to try again.
    fn is_usable(&self) -> bool {
        self.hub.read(|p| {
            p.sources.get(self.source()).is_some_and(|s| matches!(s.state, State::Ok | State::Failing))
        })
    }

    /// Until when the rate limit has to be left to the pipelines, if it has to be.
    fn out_of_budget(&self, looked_at: bool) -> Option<Timestamp> {
        out_of_budget(self.connector.budget()?, looked_at, self.now())
    }

    /// What is due now, the most urgent `most` of it; else when something will be.
    fn due(&self, most: usize) -> (Vec<Due>, Option<Instant>) {
        let (mut found, mut then) = (Vec::new(), None);
        self.hub.read(|present| {
            let ask = Ask {
                present,
                watched: &self.watched,
                attention: &self.attention,
                every: self.every,
                now: self.now(),
                instant: Instant::now(),
            };
            let entries = || present.board.of_source(self.source());
            let connector = self.connector.as_ref();
            if Kind::MergeRequests.is_of(connector) {
                then = ask.collect::<MergeRequest>(entries(), &mut found);
            }
            if Kind::Issues.is_of(connector) {
                then = then.into_iter().chain(ask.collect::<Issue>(entries(), &mut found)).min();
            }
        });
        found.sort_by_key(|(urgency, _)| *urgency);
        found.retain(|(_, due)| !self.is_counted(due));
        (found.into_iter().map(|(_, due)| due).take(most).collect(), then)
    }

    /// Whether it need not be read: that it is empty was told along with something else.
    fn is_counted(&self, due: &Due) -> bool {
        let Some(at) = due.none_at else { return false };
        let since = Duration::try_from(self.now().duration_since(at)).unwrap_or_default();
        let asked = Instant::now().checked_sub(since).unwrap_or_else(Instant::now);
        let none = Told::Items { items: Vec::new(), more: false, problem: None };
        self.hub.keep(Some(&due.project), |work| {
            work.of_mut::<MergeRequest>().put(&due.project, none, due.mark.clone(), at, asked)
        });
        true
    }

    /// Lets go of projects whose lists are not read any more.
    fn let_go(&self) {
        let now = self.now();
        let gone: Vec<ProjectKey> = self.hub.read(|p| {
            let stays = |key: &ProjectKey| {
                p.board.get(key).is_some_and(|e| super::due::is_asked(e, &self.watched, now))
                    || Kind::ALL.iter().any(|k| self.attention.at_project(*k, key))
            };
            let mrs = p.work.of::<MergeRequest>().iter().map(|(key, _)| key);
            let issues = p.work.of::<Issue>().iter().map(|(key, _)| key);
            mrs.chain(issues).filter(|key| key.source == *self.source() && !stays(key)).cloned().collect()
        });
        for key in gone {
            self.hub.keep(Some(&key), |work| work.forget(&key));
        }
    }

    /// Reads one list. Only what concerns the whole source is an error.
    async fn read(&self, due: Due) -> Result<(), Error> {
        let Some(project) = self.hub.read(|p| p.board.get(&due.project).map(|e| Arc::clone(&e.project)))
        else {
            return Ok(());
        };
        match due.kind {
            Kind::MergeRequests => self.read_items::<MergeRequest>(&project, due.mark).await,
            Kind::Issues => self.read_items::<Issue>(&project, due.mark).await,
        }
    }

    async fn read_items<T: Item>(&self, project: &Project, mark: Mark) -> Result<(), Error> {
        let (at, asked) = (self.now(), Instant::now());
        let told = told::<T>(self.connector.as_ref(), project).await?;
        self.hub.keep(Some(&project.key), |work: &mut Work| {
            work.of_mut::<T>().put(&project.key, told, mark, at, asked)
        });
        Ok(())
    }

    /// Asks whose token it is. When to ask again.
    async fn learn_owner(&self, part: &dyn CurrentUser) -> Result<Duration, Error> {
        let (owner, again) = match part.current_user().await {
            Ok(person) => (person.and_then(Person::bounded).map_or(Owner::Nobody, Owner::Known), OWNER_EVERY),
            Err(error) if error.concerns_source() => return Err(error),
            Err(error) => (Owner::Unread(Some(error.to_string())), self.every),
        };
        self.hub.source(self.source(), |s| s.owner = owner);
        Ok(again)
    }
}

/// Reads a list to its end or its bound.
async fn told<T: Item>(connector: &dyn Connector, project: &Project) -> Result<Told<T>, Error> {
    let (mut items, mut page) = (Vec::new(), None);
    for n in 0..MAX_PAGES {
        match T::page(connector, project, page.take()).await {
            Ok(answer) => {
                items.extend(answer.items.into_iter().map(T::bounded));
                page = answer.next;
            }
            Err(error) if error.concerns_source() => return Err(error),
            // What came stands.
            Err(error) if n > 0 => {
                let problem = Some(error.to_partial(T::KIND.as_str()));
                return Ok(Told::Items { items, more: true, problem });
            }
            // Switched off, or not for this token: platforms answer 403, 404 or 410.
            Err(error @ (Error::Forbidden(_) | Error::NotFound(_))) => {
                return Ok(Told::HasNone(error.to_problem()));
            }
            Err(error) => {
                let text = error.to_string();
                return Ok(Told::Failed(Problem::new(ProblemKind::Partial, text)));
            }
        }
        if page.is_none() || items.len() > MAX_OF_PROJECT {
            break;
        }
    }
    let more = page.is_some() || items.len() > MAX_OF_PROJECT;
    items.truncate(MAX_OF_PROJECT);
    Ok(Told::Items { items, more, problem: None })
}

/// How long so many lists are a list's share of the rate limit.
#[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
fn share_of(budget: Budget, lists: u32, looked_at: bool) -> Duration {
    let Some(window) = budget.window else { return Duration::ZERO };
    let share = budget.limit as f64 * if looked_at { SHARE_LOOKED_AT } else { SHARE_AT_REST };
    Duration::try_from_secs_f64(window.as_secs_f64() * f64::from(lists) / share.max(1.0)).unwrap_or_default()
}

/// How many lists may be read at the same time.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "a few requests"
)]
fn at_once(budget: Option<Budget>) -> usize {
    let Some((budget, window)) = budget.and_then(|b| Some((b, b.window?))) else { return AT_ONCE };
    let within = most_within(budget.limit as f64 / window.as_secs_f64().max(1.0));
    ((within * SHARE_AT_ONCE) as usize).clamp(1, AT_ONCE)
}

/// When the rate limit is full again, if pipelines need for themselves what is left of it.
fn out_of_budget(budget: Budget, looked_at: bool, now: Timestamp) -> Option<Timestamp> {
    // Without a reset ahead the window is full again, or the platform tells nothing of use.
    let reset = budget.reset_at.filter(|at| *at > now)?;
    let reserve = if looked_at { RESERVE_LOOKED_AT } else { RESERVE_AT_REST };
    #[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
    let short = (budget.remaining as f64) < budget.limit as f64 * reserve;
    short.then_some(reset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_is_not_spent_at_once() {
        let window = Some(SignedDuration::from_hours(1));
        let budget = |limit| Some(Budget { limit, remaining: limit, reset_at: None, window });
        assert_eq!([60, 1_000, 5_000, 100_000].map(|limit| at_once(budget(limit))), [1, 1, AT_ONCE, AT_ONCE]);
        assert_eq!(at_once(None), AT_ONCE);
    }

    #[test]
    fn pipelines_come_first() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let reset: Timestamp = "2026-11-24T12:40:00Z".parse().unwrap();
        let budget = |remaining| Budget { limit: 100, remaining, reset_at: Some(reset), window: None };
        assert_eq!(out_of_budget(budget(50), false, now), None);
        assert_eq!(out_of_budget(budget(49), false, now), Some(reset));
        assert_eq!(out_of_budget(budget(30), true, now), None);
        assert_eq!(out_of_budget(budget(29), true, now), Some(reset));
        assert_eq!(out_of_budget(Budget { reset_at: None, ..budget(0) }, false, now), None);
        assert_eq!(out_of_budget(budget(0), false, reset), None, "the window has ended");
    }
}
