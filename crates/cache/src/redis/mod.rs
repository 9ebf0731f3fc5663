//! Redis behind the memory: what is there is written through in the background, and comes back after a restart.
//!
//! Memory is the truth, and nobody ever waits for Redis but a start, for a bounded time. Redis away, slow, full or emptied:
//! memory carries on, the standing says so, and everything is written again once it is back – also when only a part was
//! evicted. There are a few keys, all under a prefix and the number of the form that their values have, so that neither somebody
//! else's keys nor those of another version are ever read:
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `PREFIXvN:SHELF` | hash | a [`Shelf`]'s values by name, and when all of them were written under the empty name |
//! | `PREFIXvN:activity` | sorted set | project keys by when they last did something, milliseconds since 1970 |
//! | `PREFIXvN:changes` | stream | the newest changes: `project`, `version`, `gone` |
//!
//! All of them expire when nobody has written or confirmed them for a while. Nothing here scans the database or removes what
//! it does not know.
//!
//! The connection is made anew by us, not by the library's connection manager: after each loss Redis may hold less than it did,
//! and that has to be looked after.

mod door;
mod feed;
mod talk;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Clock, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::Shelf;
use door::{Door, Trouble};
use feed::Feed;
pub use feed::Moved;
use talk::Talk;

/// A start waits no longer than this for what was kept.
const BEGIN_WITHIN: Duration = Duration::from_secs(5);

/// Where it is, and what its keys are like.
#[derive(Clone)]
pub struct Settings {
    /// `redis:`, `rediss:` or `unix:`, with user, password and database.
    pub url: String,
    /// A CA to trust besides the system's (PEM file).
    pub ca_file: Option<PathBuf>,
    /// What every key begins with.
    pub prefix: String,
    /// The number of the form that values have: entries of another one are not looked at.
    pub form: u32,
    /// For how long keys are kept that nobody writes or confirms.
    pub expiry: Duration,
    /// How fast it goes about it.
    pub pace: Pace,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("prefix", &self.prefix)
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

/// How fast it goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Changes are collected for so long.
    pub collect: Duration,
    /// Keys are confirmed so often: that they have not expired, and that none was evicted.
    pub confirm: Duration,
    /// A command that takes longer has failed.
    pub answer: Duration,
    /// Before the second attempt to connect; each further pause is twice as long.
    pub first_pause: Duration,
    /// The longest of these pauses.
    pub max_pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            collect: Duration::from_millis(200),
            confirm: Duration::from_secs(60),
            answer: Duration::from_secs(3),
            first_pause: Duration::from_millis(500),
            max_pause: Duration::from_secs(15),
        }
    }
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// It is being opened.
    Opening,
    /// All is written, or about to be.
    Ok,
    /// It could not be opened, or the last attempt to write failed.
    Failing,
}

/// How it is, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How.
    pub condition: Condition,
    /// What it is, with its version, once that is known.
    pub engine: Option<String>,
    /// Why it is not ok, in one sentence.
    pub error: Option<String>,
    /// Since when it is not.
    pub since: Option<Timestamp>,
}

/// When each project last did something, by its key: asked for when the sorted set has to be made anew.
pub type Activity = Arc<dyn Fn() -> Vec<(String, Timestamp)> + Send + Sync>;

/// A shelf, and how far it has come.
#[derive(Clone)]
struct Placed {
    shelf: Arc<Shelf>,
    /// What was kept of it has been read.
    loaded: bool,
    /// On this connection Redis was made to hold what is on it.
    reconciled: bool,
}

/// What is in memory, written through to Redis.
pub struct Redis {
    door: Door,
    settings: Settings,
    shelves: Mutex<Vec<Placed>>,
    activity: Activity,
    /// The sorted set is to be made anew.
    activity_changed: AtomicBool,
    feed: Feed,
    news: Arc<Notify>,
    clock: Arc<dyn Clock>,
    /// Tells what this process has written.
    mark: String,
    standing: watch::Sender<Standing>,
    /// Whether what was kept has been read, or is not to be had now.
    begun: watch::Sender<bool>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standing = self.standing.borrow();
        f.debug_struct("Redis").field("standing", &*standing).finish_non_exhaustive()
    }
}

/// Whether the Redis at `url` can be used; what it is, with its version. Alters nothing.
///
/// # Errors
/// In one sentence with what to do; never with a password.
pub async fn probe(url: String, ca_file: Option<PathBuf>) -> Result<String, String> {
    let door = Door::new(url, ca_file, Pace::default().answer);
    door.open().await.map(|open| open.engine).map_err(|trouble| trouble.text)
}

impl Redis {
    /// Nothing is opened yet. `news` is what the shelves tell of changes.
    #[must_use]
    pub fn new(settings: Settings, activity: Activity, news: Arc<Notify>, clock: Arc<dyn Clock>) -> Self {
        let standing = Standing { condition: Condition::Opening, engine: None, error: None, since: None };
        Self {
            door: Door::new(settings.url.clone(), settings.ca_file.clone(), settings.pace.answer),
            settings,
            shelves: Mutex::default(),
            activity,
            activity_changed: AtomicBool::new(false),
            feed: Feed::default(),
            news,
            mark: clock.now().as_nanosecond().to_string(),
            clock,
            standing: watch::Sender::new(standing),
            begun: watch::Sender::new(false),
        }
    }

    fn placed(&self) -> std::sync::MutexGuard<'_, Vec<Placed>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what is on this shelf from now on. With `back`, what was kept of it before comes back first, in the order in which
    /// shelves are put; without, it is of no use any more.
    pub fn put(&self, shelf: Arc<Shelf>, back: bool) {
        self.placed().push(Placed { shelf, loaded: !back, reconciled: false });
        self.news.notify_one();
    }

    /// Keeps what is on a shelf no more. What Redis has of it expires.
    pub fn remove(&self, shelf: &Arc<Shelf>) {
        self.placed().retain(|placed| !Arc::ptr_eq(&placed.shelf, shelf));
    }

    fn shelves(&self) -> Vec<Arc<Shelf>> {
        self.placed().iter().map(|placed| Arc::clone(&placed.shelf)).collect()
    }

    fn note(&self, shelf: &Arc<Shelf>, change: impl Fn(&mut Placed)) {
        self.placed().iter_mut().filter(|placed| Arc::ptr_eq(&placed.shelf, shelf)).for_each(change);
    }

    /// How it is.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// How it is, and that it is otherwise.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// How many values wait to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.placed().iter().map(|placed| placed.shelf.waiting()).sum()
    }

    /// Waits until what was kept is in memory, or Redis is out of reach, or for as long as a start may take.
    pub async fn begun(&self) {
        let mut begun = self.begun.subscribe();
        // The sender lives as long as this does.
        let _ = tokio::time::timeout(BEGIN_WITHIN, begun.wait_for(|begun| *begun)).await;
    }

    /// Something moved.
    pub fn moved(&self, moved: Vec<Moved>) {
        self.feed.add(moved);
        self.news.notify_one();
    }

    /// More moved than can be told one by one.
    pub fn activity_changed(&self) {
        self.activity_changed.store(true, Ordering::Relaxed);
        self.news.notify_one();
    }

    /// Writes what changes, until it is dropped.
    pub async fn run(&self) {
        let Pace { first_pause, max_pause, .. } = self.settings.pace;
        let mut pause = first_pause;
        loop {
            let trouble = match self.door.open().await {
                Ok(open) => {
                    let mut talk = Talk::new(&self.settings, &self.mark, open);
                    self.session(&mut talk, &mut pause).await
                }
                Err(trouble) => trouble,
            };
            self.unwell(&trouble);
            // After the first failure no start waits for it any more; what was kept comes back all the same, where nothing is newer.
            self.begun.send_replace(true);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(max_pause);
        }
    }

    /// Writes what changed last, when nothing more will: if that is quick.
    pub async fn last_word(&self, within: Duration) {
        if self.waiting() == 0 || self.standing().condition != Condition::Ok {
            return;
        }
        let write = async {
            let mut talk = Talk::new(&self.settings, &self.mark, self.door.open().await?);
            self.flush(&mut talk).await
        };
        if let Ok(Err(trouble)) = tokio::time::timeout(within, write).await {
            self.unwell(&trouble);
        }
    }

    /// One connection, from its beginning until it is of no use any more.
    async fn session(&self, talk: &mut Talk, pause: &mut Duration) -> Trouble {
        tracing::info!(engine = talk.engine(), "Redis is open");
        self.standing.send_modify(|s| s.engine = Some(talk.engine().to_owned()));
        self.placed().iter_mut().for_each(|placed| placed.reconciled = false);
        self.activity_changed.store(true, Ordering::Relaxed);
        let mut confirm_at = Instant::now() + self.settings.pace.confirm;
        loop {
            match self.turn(talk).await {
                Ok(()) => {
                    self.well();
                    *pause = self.settings.pace.first_pause;
                }
                Err(trouble) if trouble.broken => return trouble,
                Err(trouble) => {
                    self.unwell(&trouble);
                    // What is refused now may be taken later; nothing is won by asking at once.
                    tokio::time::sleep(*pause).await;
                    *pause = (*pause * 2).min(self.settings.pace.max_pause);
                }
            }
            let due = tokio::time::timeout_at(confirm_at, self.news.notified()).await.is_err();
            if due {
                confirm_at = Instant::now() + self.settings.pace.confirm;
                match self.confirm(talk).await {
                    Err(trouble) if trouble.broken => return trouble,
                    Err(trouble) => self.unwell(&trouble),
                    Ok(()) => {}
                }
            } else {
                tokio::time::sleep(self.settings.pace.collect).await;
            }
        }
    }

    /// All that there is to do now. One key that is refused does not keep the others from being written.
    async fn turn(&self, talk: &mut Talk) -> Result<(), Trouble> {
        let begun = self.begin(talk).await;
        if begun.as_ref().is_err_and(|trouble| trouble.broken) {
            return begun;
        }
        self.begun.send_replace(true);
        self.flush(talk).await.and(begun)
    }

    /// A shelf that is new: what was kept comes back, where there is nothing newer. After that, and after each loss of a
    /// connection, Redis is made to hold what memory holds.
    async fn begin(&self, talk: &mut Talk) -> Result<(), Trouble> {
        let mut last = Ok(());
        let new: Vec<_> = self.placed().iter().filter(|placed| !placed.reconciled).cloned().collect();
        for Placed { shelf, loaded, .. } in new {
            let went = async {
                if !loaded {
                    talk.load(&shelf).await?;
                    self.note(&shelf, |placed| placed.loaded = true);
                }
                talk.reconcile(&shelf).await?;
                self.note(&shelf, |placed| placed.reconciled = true);
                Ok::<(), Trouble>(())
            };
            match went.await {
                Err(trouble) if trouble.broken => return Err(trouble),
                Err(trouble) => last = Err(trouble),
                Ok(()) => {}
            }
        }
        last
    }

    /// Keeps the keys from expiring, and writes again what was evicted.
    async fn confirm(&self, talk: &mut Talk) -> Result<(), Trouble> {
        let mut last = Ok(());
        for shelf in &self.shelves() {
            let went = async {
                if shelf.overflowed() || !talk.confirm(shelf).await? {
                    talk.reconcile(shelf).await?;
                }
                Ok::<(), Trouble>(())
            };
            if let Err(trouble) = went.await {
                if trouble.broken {
                    return Err(trouble);
                }
                last = Err(trouble);
            }
        }
        if !talk.confirm_feeds().await? {
            self.activity_changed.store(true, Ordering::Relaxed);
        }
        last
    }

    /// Writes all that waits now.
    async fn flush(&self, talk: &mut Talk) -> Result<(), Trouble> {
        let mut last = Ok(());
        for shelf in &self.shelves() {
            if let Err(trouble) = talk.write(shelf).await {
                if trouble.broken {
                    return Err(trouble);
                }
                last = Err(trouble);
            }
        }
        if self.activity_changed.swap(false, Ordering::Relaxed)
            && let Err(trouble) = talk.set_activity((self.activity)()).await
        {
            self.activity_changed();
            return Err(trouble);
        }
        let moved = self.feed.take();
        if let Err(trouble) = talk.tell(&moved).await {
            self.feed.again(moved);
            return Err(trouble);
        }
        last
    }

    fn well(&self) {
        self.standing.send_if_modified(|s| {
            let news = s.condition != Condition::Ok;
            (s.condition, s.error, s.since) = (Condition::Ok, None, None);
            news
        });
    }

    /// Told once for each reason.
    fn unwell(&self, trouble: &Trouble) {
        let now = self.clock.now();
        let news = self.standing.send_if_modified(|s| {
            let news = s.error.as_deref() != Some(&trouble.text);
            s.condition = Condition::Failing;
            s.error = Some(trouble.text.clone());
            s.since.get_or_insert(now);
            news
        });
        if news {
            let error = &trouble.text;
            tracing::warn!(error, "Redis is not written; memory carries on, and it is tried again");
        }
    }
}
