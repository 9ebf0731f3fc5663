//! Which projects there are: the listing, page by page, and the watched names. A page is on the board, and its projects may be
//! read, before the next is fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use connector::{Error, Heads, PageToken};
use domain::{NativeId, Problem, ProblemKind, Project, ProjectKey, Timestamp};
use futures::StreamExt as _;
use jiff::SignedDuration;

use super::{Refresher, known};
use crate::board::{Observation, Seen};
use crate::schedule::NAMES_AT_ONCE;
use crate::sources::State;

/// What moved is asked for from a little before the newest that is known: the platform's lists lag.
const MARGIN: SignedDuration = SignedDuration::from_mins(2);

/// How far a listing is.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    running: Option<Running>,
    /// The newest activity that a listing told of, by the platform's clock.
    newest: Option<Timestamp>,
}

/// A listing that has begun.
#[derive(Debug)]
struct Running {
    began: Timestamp,
    /// `Some` while pages are to come.
    page: Option<Option<PageToken>>,
    /// Names to ask for one by one; complete when the pages have ended.
    missing: Vec<String>,
    named: BTreeSet<NativeId>,
}

impl Refresher {
    /// The next piece. Gives back whether there is more.
    pub(super) async fn list(&self) -> Result<bool, Error> {
        let running = self.cursor(|cursor| cursor.running.take());
        let mut running = match running {
            Some(running) => running,
            None => self.begin().await,
        };
        if let Some(page) = running.page.take() {
            self.list_page(page, &mut running).await?;
        } else {
            let names = running.missing.split_off(running.missing.len().saturating_sub(NAMES_AT_ONCE));
            self.list_names(names, &mut running.named).await?;
        }
        if running.page.is_some() || !running.missing.is_empty() {
            self.cursor(|cursor| cursor.running = Some(running));
            return Ok(true);
        }
        running.named.extend(self.settle_watched());
        let ended = Seen::ListingEnded { source: self.source().clone(), named: running.named };
        let left = self.hub.observe(Observation { asked_at: running.began, seen: ended });
        self.schedule.with(|s| {
            for change in left.iter().filter(|c| c.gone) {
                s.forget(&change.project.id);
            }
        });
        Ok(false)
    }

    /// The watched names that could be here.
    fn names(&self) -> impl Iterator<Item = String> {
        self.plan.watched.names().into_iter().filter(|n| self.connector.could_hold(n))
    }

    fn cursor<R>(&self, f: impl FnOnce(&mut Cursor) -> R) -> R {
        f(&mut self.cursor.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn begin(&self) -> Running {
        let began = self.now();
        if !self.plan.watched.wants_listing() {
            let missing: Vec<String> = self.names().collect();
            self.hub.source(self.source(), |s| s.expected = Some(missing.len()));
            return Running { began, page: None, missing, named: BTreeSet::new() };
        }
        // How many there will be is for the first reading's progress.
        let first =
            self.hub.read(|p| p.sources.get(self.source()).is_some_and(|s| s.state == State::Loading));
        if first && let Ok(Some(count)) = self.connector.project_count().await {
            self.hub.source(self.source(), |s| s.expected = usize::try_from(count).ok());
        }
        Running { began, page: Some(None), missing: Vec::new(), named: BTreeSet::new() }
    }

    async fn list_page(&self, page: Option<PageToken>, running: &mut Running) -> Result<(), Error> {
        let asked_at = self.now();
        let answer = self.connector.projects(page).await?;
        let projects: Vec<_> = answer.items.into_iter().filter(|p| self.plan.lets_in(p)).collect();
        running.named.extend(projects.iter().map(|p| p.key.id.clone()));
        self.put(projects, answer.told, asked_at).await?;
        running.page = answer.next.map(Some);
        if running.page.is_some() {
            return Ok(());
        }
        let on_board =
            |name: &str| self.hub.read(|p| p.board.find(self.source(), name).map(|e| e.project.key.clone()));
        for name in self.names() {
            match on_board(&name) {
                Some(key) if running.named.contains(&key.id) => {
                    self.plan.watched.found(self.source(), &name, &key);
                }
                _ => running.missing.push(name),
            }
        }
        Ok(())
    }

    async fn list_names(&self, names: Vec<String>, named: &mut BTreeSet<NativeId>) -> Result<(), Error> {
        let asked = futures::stream::iter(names).map(|name| async move {
            let asked_at = self.now();
            let answer = self.connector.project(&name).await;
            (name, asked_at, answer)
        });
        let answers: Vec<_> = asked.buffer_unordered(NAMES_AT_ONCE).collect().await;
        for (name, asked_at, answer) in answers {
            match answer {
                Ok(project) => {
                    self.plan.watched.found(self.source(), &name, &project.key);
                    named.insert(project.key.id.clone());
                    self.put(vec![project], BTreeMap::new(), asked_at).await?;
                }
                Err(error) if error.concerns_source() => return Err(error),
                Err(error) => self.plan.watched.missed(self.source(), &name, &error.to_problem()),
            }
        }
        Ok(())
    }

    /// What moved since the last listing, where the platform tells that in one question. Gives back whether that was not
    /// all, so that everything is to be listed.
    pub(super) async fn list_moved(&self) -> Result<bool, Error> {
        let Some(newest) = self.cursor(|cursor| cursor.newest) else { return Ok(true) };
        let asked_at = self.now();
        let since = newest.saturating_sub(MARGIN).unwrap_or(newest);
        let Some(moved) = self.connector.moved_since(since).await? else {
            self.schedule.with(crate::schedule::Scheduler::cannot_tell_moved);
            return Ok(false);
        };
        let projects = moved.items.into_iter().filter(|p| self.plan.lets_in(p)).collect();
        self.put(projects, BTreeMap::new(), asked_at).await?;
        Ok(!moved.complete)
    }

    /// Projects onto the board and into the schedule. What the listing told of their state is taken at once.
    async fn put(
        &self,
        projects: Vec<Project>,
        told: BTreeMap<NativeId, Heads>,
        asked_at: Timestamp,
    ) -> Result<(), Error> {
        let keys: Vec<ProjectKey> = projects.iter().map(|p| p.key.clone()).collect();
        let newest = projects.iter().filter_map(|p| p.last_activity_at).max();
        self.cursor(|cursor| cursor.newest = cursor.newest.max(newest));
        self.hub.observe(Observation { asked_at, seen: Seen::Projects(projects) });
        self.skip_unread(&keys);
        let facts: Vec<_> = self.hub.read(|p| {
            let fact = |key: &ProjectKey| {
                let entry = p.board.get(key)?;
                Some((key.id.clone(), known(entry), entry.project.last_activity_at))
            };
            keys.iter().filter_map(fact).collect()
        });
        self.schedule.with(|s| {
            for (id, known, active_at) in facts {
                s.listed(&id, known, active_at, asked_at);
            }
        });
        if told.is_empty() { Ok(()) } else { self.read_told(told, asked_at).await }
    }

    /// Rows for watched names that nobody has; gives back those of this source.
    pub(super) fn settle_watched(&self) -> Vec<NativeId> {
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

    /// Archived projects and those without CI are not asked about; their rows say why.
    fn skip_unread(&self, keys: &[ProjectKey]) {
        let skipped: Vec<_> = self.hub.read(|p| {
            let skipped =
                |e: &&crate::board::Entry| e.is_loading() && (e.project.archived || e.project.ci_disabled);
            let entries = keys.iter().filter_map(|key| p.board.get(key));
            entries.filter(skipped).map(|e| std::sync::Arc::clone(&e.project)).collect()
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
}
