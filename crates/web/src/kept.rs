//! The answers that were last rendered.
//!
//! One slot per address and representation. While the board version that an answer was rendered from stands, it is
//! reused, so that a hundred viewers of one page cost one question and one rendering per version; whoever comes while a
//! question is under way waits for its answer. When the aggregator is away the last answer is served, marked with the
//! time it dates from. Bounded ([`slots`]).

mod slots;

use std::fmt;
use std::future::Future;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::{Clock, Timestamp};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::aggregator::{Aggregator, AskError, Feeds, LinkState, Patience, Phase, Version};
use crate::app::{App, Whole};
use crate::failure::Failure;
use slots::Slots;

/// Decoded messages are about this many times as large as on the wire.
const DECODED: usize = 3;
/// However long a version stands: what moves without one (budgets, the 24 hours) is this old at most.
const REUSE_AT_MOST: Duration = Duration::from_secs(30);
/// How long a detail is reused that may change without a new version of the board.
const REUSE_BRIEFLY: Duration = Duration::from_secs(1);
/// A page tells how long ago things were; it is written anew when that is older than this.
const REDRAW_AFTER: Duration = Duration::from_secs(10);
/// Smaller bodies are not worth packing.
const MIN_PACKED_BYTES: usize = 860;

/// Who is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Path and query in their one canonical form.
    pub(crate) address: String,
    pub(crate) kind: Kind,
}

/// A representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Html,
    Json,
    Csv,
}

/// How long an answer may be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// While its board version stands.
    WhileVersionStands,
    /// It holds details that change without a version.
    Briefly,
    /// It says "loading": the next one asks again.
    Never,
}

/// What a rendering depends on beside the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) now: Timestamp,
    /// The aggregator is away: from when the answer is.
    pub(crate) as_of: Option<Timestamp>,
}

/// Draws an answer by the settings of the application that shows it.
type Draw = Box<dyn Fn(&App, &Moment) -> Result<String, askama::Error> + Send + Sync>;

/// An answer of the aggregator and how to show it.
pub(crate) struct Material {
    pub(crate) version: Option<Version>,
    pub(crate) reuse: Reuse,
    /// Which versions alter it.
    pub(crate) feeds: Feeds,
    /// Bytes of the answer on the wire.
    pub(crate) wire_bytes: usize,
    pub(crate) draw: Draw,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material")
            .field("version", &self.version)
            .field("reuse", &self.reuse)
            .finish_non_exhaustive()
    }
}

/// A text that was rendered.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) body: Bytes,
    pub(crate) etag: String,
    packed: OnceLock<Option<Bytes>>,
    at: Instant,
    as_of: Option<Timestamp>,
}

impl Rendered {
    /// The same in gzip, where it pays; made once.
    pub(crate) fn packed(&self) -> Option<Bytes> {
        let pack = || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&self.body).ok()?;
            encoder.finish().ok().map(Bytes::from)
        };
        self.packed.get_or_init(|| (self.body.len() >= MIN_PACKED_BYTES).then(pack).flatten()).clone()
    }
}

#[derive(Debug)]
struct Entry {
    material: Arc<Material>,
    kind: Kind,
    /// When the question was asked, in both clocks.
    asked_at: Timestamp,
    asked: Instant,
    /// Nothing until the application that took it over draws it by its own settings.
    rendered: Mutex<Option<Arc<Rendered>>>,
}

impl Entry {
    /// Whether no newer version of the board is known.
    fn stands(&self, link: &LinkState) -> bool {
        link.connected() && self.is_newest(link)
    }

    fn is_newest(&self, link: &LinkState) -> bool {
        match (self.material.version, link.newest(self.material.feeds)) {
            (Some(mine), Some(newest)) => mine.stands_beside(newest),
            _ => true,
        }
    }

    fn reusable(&self, link: &LinkState) -> bool {
        let limit = match self.material.reuse {
            Reuse::WhileVersionStands => REUSE_AT_MOST,
            Reuse::Briefly => REUSE_BRIEFLY,
            Reuse::Never => return false,
        };
        self.stands(link) && self.asked.elapsed() < limit
    }

    /// From when this is, when it is served without the aggregator: it stood until the link was lost, unless a newer
    /// version had come before.
    fn as_of(&self, link: &LinkState) -> Timestamp {
        let stood = self.material.reuse == Reuse::WhileVersionStands
            && link.phase == Phase::Lost
            && self.is_newest(link);
        if stood { link.since.max(self.asked_at) } else { self.asked_at }
    }

    /// The same for an application that takes over from the one with `link`. It dates from the moment up to which it is known
    /// to have stood.
    fn passed_on(&self, link: &LinkState, now: Timestamp) -> Self {
        let stands = self.material.reuse == Reuse::WhileVersionStands && self.stands(link);
        Self {
            material: Arc::clone(&self.material),
            kind: self.kind,
            asked_at: if stands { now } else { self.as_of(link) },
            asked: self.asked,
            rendered: Mutex::new(None),
        }
    }

    fn render(&self, app: &Whole, moment: Moment) -> Result<Arc<Rendered>, Failure> {
        let mut rendered = lock(&self.rendered);
        let fits = |drawn: &&Arc<Rendered>| {
            let as_is = drawn.as_of == moment.as_of && drawn.at.elapsed() < REDRAW_AFTER;
            self.kind != Kind::Html || as_is
        };
        if let Some(drawn) = rendered.as_ref().filter(fits) {
            return Ok(Arc::clone(drawn));
        }
        let drawn = Arc::new(draw(app, &self.material, moment)?);
        Ok(Arc::clone(rendered.insert(drawn)))
    }

    fn weight(&self) -> usize {
        let body = lock(&self.rendered).as_ref().map_or(0, |drawn| drawn.body.len());
        // Body and its packed form.
        self.material.wire_bytes * DECODED + body * 3 / 2
    }
}

fn draw(app: &Whole, material: &Material, moment: Moment) -> Result<Rendered, Failure> {
    // Who asks holds it.
    let app = app.get().ok_or_else(|| Failure::internal("The page could not be written."))?;
    let text = (material.draw)(&app, &moment).map_err(|error| {
        tracing::error!(%error, "a page could not be written");
        Failure::internal("The page could not be written.")
    })?;
    let hash: String = Sha256::digest(&text).iter().take(8).map(|b| format!("{b:02x}")).collect();
    let version = material.version.map_or_else(|| "0".to_owned(), |v| v.to_string());
    Ok(Rendered {
        body: Bytes::from(text),
        // Weak: the same tag goes with and without gzip.
        etag: format!("W/\"{version}-{hash}\""),
        packed: OnceLock::new(),
        at: Instant::now(),
        as_of: moment.as_of,
    })
}

#[derive(Debug, Default)]
struct Slot {
    /// Held while a question is under way.
    flight: tokio::sync::Mutex<()>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    /// Questions that ended, for better or worse.
    attempts: u64,
    entry: Option<Arc<Entry>>,
    /// How the last attempt failed, if it did.
    failed: Option<AskFailure>,
}

/// Why a question brought nothing: of the aggregator's making, or a failure that is an answer (a redirect).
#[derive(Debug, Clone)]
pub(crate) enum AskFailure {
    Ask(AskError),
    Answer(Failure),
}

impl From<AskError> for AskFailure {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

impl From<Failure> for AskFailure {
    fn from(failure: Failure) -> Self {
        Self::Answer(failure)
    }
}

impl AskFailure {
    /// Something older may stand in.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Ask(AskError::Away(_) | AskError::Unread(_) | AskError::Fault(_)))
    }

    fn into_failure(self) -> Failure {
        match self {
            Self::Ask(error) => error.into(),
            Self::Answer(failure) => failure,
        }
    }
}

/// An answer to give.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) rendered: Arc<Rendered>,
    /// It is old: from when.
    pub(crate) as_of: Option<Timestamp>,
    pub(crate) now: Timestamp,
}

/// The kept answers.
#[derive(Debug)]
pub(crate) struct Kept {
    app: Whole,
    aggregator: Aggregator,
    clock: Arc<dyn Clock>,
    slots: Mutex<Slots>,
}

impl Kept {
    pub(crate) fn new(app: Whole, aggregator: Aggregator, clock: Arc<dyn Clock>) -> Self {
        Self { app, aggregator, clock, slots: Mutex::default() }
    }

    /// Takes over what `before` has of the same aggregator and this has not.
    pub(crate) fn inherit(&self, before: &Self) {
        let (link, now) = (before.aggregator.state(), self.clock.now());
        let mut found: Vec<_> = {
            let theirs = lock(&before.slots);
            let entry = |place: &slots::Place| lock(&place.slot.last).entry.clone();
            theirs
                .map
                .iter()
                .filter_map(|(key, place)| Some((place.used, key.clone(), entry(place)?)))
                .collect()
        };
        // What was used last stays, should there not be room for all.
        found.sort_unstable_by_key(|(used, ..)| *used);
        let mut slots = lock(&self.slots);
        for (_, key, entry) in found {
            let slot = Arc::clone(&slots.place(key.clone()).slot);
            let mut last = lock(&slot.last);
            if last.entry.is_none() {
                last.entry = Some(Arc::new(entry.passed_on(&link, now)));
                slots.weigh(&key, entry.weight());
            }
        }
    }

    /// Never lets go of `key` once it has an answer.
    pub(crate) fn pin(&self, key: Key) {
        let mut slots = lock(&self.slots);
        slots.place(key).pinned = true;
    }

    /// Whether there is something to serve for `key`, old or new.
    pub(crate) fn has(&self, key: &Key) -> bool {
        lock(&self.slots).map.get(key).is_some_and(|place| lock(&place.slot.last).entry.is_some())
    }

    /// The answer for `key`: a kept one that stands, else what `ask` brings, else an older one.
    ///
    /// # Errors
    /// [`Failure`] when there is nothing to show, or the answer is that there is no such thing.
    pub(crate) async fn answer<F, Fut>(&self, key: Key, ask: F) -> Result<Served, Failure>
    where
        F: FnOnce(Patience) -> Fut,
        Fut: Future<Output = Result<Material, AskFailure>>,
    {
        let slot = {
            let mut slots = lock(&self.slots);
            Arc::clone(&slots.place(key.clone()).slot)
        };
        let attempts = {
            let link = self.aggregator.state();
            let last = lock(&slot.last);
            match &last.entry {
                Some(entry) if entry.reusable(&link) => return self.serve(entry, None),
                // Away: what is known, at once.
                Some(entry) if !link.connected() => {
                    return self.serve(entry, Some(entry.as_of(&link)));
                }
                _ => last.attempts,
            }
        };
        let _flight = slot.flight.lock().await;
        let patience = {
            let link = self.aggregator.state();
            let last = lock(&slot.last);
            let asked_meanwhile = last.attempts != attempts;
            match (&last.entry, &last.failed) {
                (_, Some(failed)) if asked_meanwhile => return self.settle(&last, failed, &link),
                (Some(entry), None) if asked_meanwhile && entry.stands(&link) => {
                    return self.serve(entry, None);
                }
                (Some(_), _) => Patience::HaveLastGood,
                (None, _) => Patience::HaveNothing,
            }
        };
        let (asked_at, asked) = (self.clock.now(), Instant::now());
        let result = ask(patience).await.and_then(|material| {
            let rendered = draw(&self.app, &material, Moment { now: self.clock.now(), as_of: None })?;
            let (material, rendered) = (Arc::new(material), Mutex::new(Some(Arc::new(rendered))));
            Ok(Arc::new(Entry { material, kind: key.kind, asked_at, asked, rendered }))
        });
        let (served, weight) = {
            let mut last = lock(&slot.last);
            last.attempts += 1;
            match result {
                Ok(entry) => {
                    let served = self.serve(&entry, None);
                    let weight = entry.weight();
                    last.entry = Some(entry);
                    last.failed = None;
                    (served, weight)
                }
                Err(failed) => {
                    if !failed.is_passing() {
                        last.entry = None;
                    }
                    let served = self.settle(&last, &failed, &self.aggregator.state());
                    last.failed = Some(failed);
                    (served, last.entry.as_ref().map_or(0, |entry| entry.weight()))
                }
            }
        };
        lock(&self.slots).weigh(&key, weight);
        served
    }

    /// After a failure: the older answer where one may stand in.
    fn settle(&self, last: &Last, failed: &AskFailure, link: &LinkState) -> Result<Served, Failure> {
        match &last.entry {
            Some(entry) if failed.is_passing() => self.serve(entry, Some(entry.as_of(link))),
            _ => Err(failed.clone().into_failure()),
        }
    }

    fn serve(&self, entry: &Entry, as_of: Option<Timestamp>) -> Result<Served, Failure> {
        let now = self.clock.now();
        Ok(Served { rendered: entry.render(&self.app, Moment { now, as_of })?, as_of, now })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
