//! What is in memory, mirrored in Redis where the settings say so: a start finds the board, the details, the answers for
//! conditional requests and what is left of the limits as the last process left them.
//!
//! How it is written, and what happens while Redis is away, is [`cache::redis`]'s; here is what there is to write.
//!
//! | room | what |
//! | --- | --- |
//! | `form` | how values look outside of the process |
//! | `rows` | the board's rows, a shelf for each source |
//! | `answers` | answers kept for conditional requests, a shelf for each source; without Redis they are in history |
//! | `budgets` | what is left of each source's limit |
//!
//! Details are `details::kept`'s. Logs are nowhere but in memory.

mod answers;
mod budgets;
pub(crate) mod form;
mod rows;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache::Shelf;
use cache::redis::{Activity, Moved, Redis, Settings, Standing};
use config::CacheKind;
use connector::Connector;
use domain::{SourceName, Timestamp};
use lifecycle::Tasks;
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

pub(crate) use answers::shelf as answers_of;

use crate::board::{Board, Entry};
use crate::details::Details;
use crate::hub::{Hub, Published};
use crate::refresh::Plan;
use budgets::Left;
use rows::Rows;

/// What changed last is written at the end, if it takes no longer.
const LAST_WORD: Duration = Duration::from_secs(3);

/// What is mirrored, or that nothing is.
#[derive(Debug)]
pub struct Mirror(Option<On>);

#[derive(Debug)]
struct On {
    hub: Arc<Hub>,
    details: Details,
    news: Arc<Notify>,
    redis: Redis,
    started: AtomicBool,
    sources: Arc<Mutex<BTreeMap<SourceName, OfSource>>>,
    left: Arc<Left>,
    budgets: Arc<Shelf>,
}

/// What is kept of a source.
#[derive(Debug)]
struct OfSource {
    connector: Arc<dyn Connector>,
    rows: Arc<Shelf>,
    answers: Option<Arc<Shelf>>,
    details: Arc<Shelf>,
}

impl OfSource {
    /// In the order in which they come back.
    fn shelves(&self) -> impl Iterator<Item = &Arc<Shelf>> {
        [&self.rows].into_iter().chain(&self.answers).chain([&self.details])
    }
}

/// Whether the Redis of these settings can be used; what it is, for people. Alters nothing.
///
/// # Errors
/// In one sentence with what to do.
pub async fn probe(settings: &config::Cache) -> Result<String, String> {
    cache::redis::probe(settings.redis_url.expose().to_owned(), settings.ca_file.clone()).await
}

impl Mirror {
    /// None.
    #[cfg(test)]
    pub(crate) const fn off() -> Self {
        Self(None)
    }

    /// As the settings say; nothing is opened yet.
    pub(crate) fn new(settings: &config::Cache, hub: &Arc<Hub>, details: &Details) -> Self {
        if settings.kind == CacheKind::Memory {
            return Self(None);
        }
        let news = Arc::new(Notify::new());
        let left = Arc::<Left>::default();
        let budgets = Arc::new(Shelf::new("budgets", Arc::<Left>::clone(&left), Arc::clone(&news)));
        let of_board = Arc::clone(hub);
        let activity: Activity = Arc::new(move || of_board.read(|p| activity(&p.board)));
        let settings = Settings {
            url: settings.redis_url.expose().to_owned(),
            ca_file: settings.ca_file.clone(),
            prefix: settings.prefix.clone(),
            form: form::FORM.into(),
            expiry: settings.stale_ttl,
            pace: cache::redis::Pace::default(),
        };
        let redis = Redis::new(settings, activity, Arc::clone(&news), Arc::clone(hub.clock()));
        redis.put(Arc::clone(&budgets), true);
        let sources: Arc<Mutex<BTreeMap<SourceName, OfSource>>> = Arc::default();
        // The shelves hold the caches, which hold this.
        let heard = Arc::downgrade(&sources);
        details.listen(Arc::new(move |source, name| {
            if let Some(of) = heard.upgrade().as_deref().map(locked).as_ref().and_then(|all| all.get(source))
            {
                of.details.changed(&name);
            }
        }));
        let (hub, details) = (Arc::clone(hub), details.clone());
        let started = AtomicBool::new(false);
        Self(Some(On { hub, details, news, redis, started, sources, left, budgets }))
    }

    /// Keeps what there is of these sources, and of no other. Those of a start come back as they were; one that is set up anew
    /// later begins anew.
    pub(crate) fn keep(&self, sources: &[(Arc<dyn Connector>, Plan)]) {
        let Some(on) = &self.0 else { return };
        let mut kept = locked(&on.sources);
        let start = !on.started.swap(true, Ordering::Relaxed);
        kept.retain(|_, of| {
            let stays = sources.iter().any(|(connector, _)| Arc::ptr_eq(connector, &of.connector));
            if !stays {
                of.shelves().for_each(|shelf| on.redis.remove(shelf));
            }
            stays
        });
        for (connector, plan) in sources {
            if !kept.contains_key(connector.source()) {
                let of = on.of(connector, plan);
                of.shelves().for_each(|shelf| on.redis.put(Arc::clone(shelf), start));
                kept.insert(connector.source().clone(), of);
            }
        }
        on.left.of(kept.values().map(|of| Arc::clone(&of.connector)));
    }

    /// Whether anything is mirrored.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// How it is, and how many entries wait; `None` where nothing is mirrored.
    #[must_use]
    pub fn standing(&self) -> Option<(Standing, usize)> {
        self.0.as_ref().map(|on| (on.redis.standing(), on.redis.waiting()))
    }

    /// Waits until what was kept is in memory, or for as long as a start may take.
    pub async fn begun(&self) {
        if let Some(on) = &self.0 {
            on.redis.begun().await;
        }
    }

    /// Starts what keeps it, as a task of the process.
    pub fn start(self: &Arc<Self>, hub: &Arc<Hub>, tasks: &Tasks) {
        if !self.is_on() {
            return;
        }
        // Before anything is published: no change is missed.
        let (_, events) = hub.subscribe();
        let (mirror, hub, stopping) = (Arc::clone(self), Arc::clone(hub), tasks.clone());
        tasks.run("redis", async move {
            let Some(on) = &mirror.0 else { return };
            let keep = async {
                tokio::join!(
                    on.redis.run(),
                    on.follow(&hub, events),
                    on.left.watch(&on.budgets),
                    on.show(&hub)
                );
            };
            tokio::select! { () = keep => {} () = stopping.stopping() => {} }
            on.left.look(&on.budgets);
            on.redis.last_word(LAST_WORD).await;
        });
    }
}

impl On {
    fn of(&self, connector: &Arc<dyn Connector>, plan: &Plan) -> OfSource {
        let source = connector.source();
        let platform = connector.descriptor().id;
        let hub = Arc::clone(&self.hub);
        let rows = Rows { hub, source: source.clone(), platform, plan: plan.clone() };
        let shelf =
            |name, values| Arc::new(Shelf::new(format!("{name}:{source}"), values, Arc::clone(&self.news)));
        OfSource {
            connector: Arc::clone(connector),
            rows: shelf("board", Arc::new(rows)),
            answers: answers_of(connector.as_ref(), &self.news),
            details: shelf("details", self.details.values_of(source.clone())),
        }
    }

    /// Tells the shelves what changes on the board.
    async fn follow(&self, hub: &Hub, mut events: Receiver<Arc<Published>>) {
        loop {
            match events.recv().await {
                Ok(event) => self.heard(hub, &event),
                // What was missed may be anything.
                Err(RecvError::Lagged(_)) => {
                    locked(&self.sources).values().for_each(|of| of.rows.all_changed());
                    self.redis.activity_changed();
                }
                // The hub lives as long as the process.
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn heard(&self, hub: &Hub, event: &Published) {
        let mut moved = Vec::with_capacity(event.changes.len());
        for change in &event.changes {
            if let Some(of) = locked(&self.sources).get(&change.project.source) {
                of.rows.changed(change.project.id.as_str());
            }
            moved.push(Moved {
                project: change.project.to_string(),
                version: format!("{}.{}", event.version.epoch, event.version.sequence),
                at: event.at,
                active_at: hub.read(|p| p.board.get(&change.project).and_then(active_at)),
                gone: change.gone,
            });
        }
        if !moved.is_empty() {
            self.redis.moved(moved);
        }
    }

    /// Wakes the pages when it is otherwise than before.
    async fn show(&self, hub: &Hub) {
        let mut standing = self.redis.watch();
        while standing.changed().await.is_ok() {
            hub.touch_sources();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When a project last did something.
fn active_at(entry: &Entry) -> Option<Timestamp> {
    let of_runs = entry.runs().iter().filter_map(|r| r.updated_at.or(r.began())).max();
    of_runs.max(entry.project.last_activity_at)
}

fn activity(board: &Board) -> Vec<(String, Timestamp)> {
    board.entries().filter_map(|e| Some((e.project.key.to_string(), active_at(e)?))).collect()
}
