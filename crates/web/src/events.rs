//! `/api/v1/events/stream`: what changes, as server-sent events.
//!
//! | event | id | data |
//! | --- | --- | --- |
//! | `board` | version | `{version, at, changes: [{source, id, gone}], work: [{source, id}], sources, resync}` |
//! | `link` | | `{connected, as_of}`: whether the aggregator is there, and from when the data is if not |
//! | `bye` | | `{}`: the server stops, or the session is over; connect again, when `retry` says |
//!
//! `work` is there only when merge requests or issues changed, and names their projects. A version that altered nothing
//! else has no `changes` and neither `sources` nor `resync`.
//!
//! Every stream begins with `link` and, once a version is known, `board`. Nothing queues up for a slow reader: changes
//! are merged into one pending event, and a connection that takes nothing for a while is closed (see [`crate::server`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::Timestamp;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, header};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::aggregator::{Change, LinkState, Version};
use crate::app::App;
use crate::auth::Visitor;
use crate::failure::Failure;

/// A client has one `board` event within this time, over a longer one …
const COALESCE: Duration = Duration::from_millis(500);
/// … and so many at once after a quiet time: what a webhook tells does not wait because something else just happened.
const AT_ONCE: u32 = 3;
/// A comment goes out this often, so that proxies keep the connection and a gone client is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again, in milliseconds.
const RETRY_MS: u32 = 2000;
/// The same after `bye`: between these, so that not all come back at once.
const RETURN_MS: (u64, u64) = (100, 1000);
/// Changes named in one event; more are a resync.
const MAX_CHANGES: usize = 500;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(crate) async fn stream(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let permit = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| Failure::too_many_streams())?;
    let last_id = headers.get(LAST_EVENT_ID).map(|id| id.to_str().ok().and_then(|id| id.parse().ok()));
    let mut feed = Feed::new(&app, last_id, Some(permit));
    let doorman = app.doorman.clone();
    feed.gone = Box::pin(async move { doorman.until_gone(&visitor).await });
    let frames = futures::stream::unfold(feed, async |mut feed| Some((feed.next().await?, feed)));
    let body = Body::from_stream(frames.map(|frame| Ok::<_, Infallible>(Bytes::from(frame))));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        // nginx would hold events back.
        (X_ACCEL_BUFFERING, "no"),
    ];
    Ok((headers, body).into_response())
}

/// One client's stream.
struct Feed {
    changes: broadcast::Receiver<Arc<Change>>,
    link: watch::Receiver<LinkState>,
    stop: CancellationToken,
    ready: VecDeque<String>,
    pending: Option<Pending>,
    /// What the client was last told.
    told: Option<Version>,
    /// What `Last-Event-ID` said, until it is compared: the inner `None` when that was no version.
    came_with: Option<Option<Version>>,
    told_connected: bool,
    /// Up to when its share of `board` events is used up.
    used_until: Instant,
    heartbeat: Instant,
    over: bool,
    /// Done when the client is no longer who it was.
    gone: BoxFuture<'static, ()>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Changes that the client was not told yet, merged.
struct Pending {
    version: Version,
    at: Timestamp,
    /// (source, id) to whether it is gone.
    projects: BTreeMap<(String, String), bool>,
    /// Whose lists changed, if any did.
    work: Option<BTreeSet<(String, String)>>,
    sources: bool,
    resync: bool,
}

impl Pending {
    fn new(version: Version, at: Timestamp) -> Self {
        Self { version, at, projects: BTreeMap::new(), work: None, sources: false, resync: false }
    }

    fn merge(&mut self, change: &Change) {
        if change.resync || change.version >= self.version {
            self.version = change.version;
            self.at = change.at;
        }
        self.sources |= change.sources;
        self.resync |= change.resync;
        let keys = change.projects.iter().filter_map(|c| c.project.as_ref().map(|key| (key, c.gone)));
        for (key, gone) in keys {
            self.projects.insert((key.source.clone(), key.id.clone()), gone);
        }
        if let Some(keys) = &change.work {
            let work = self.work.get_or_insert_default();
            work.extend(keys.iter().map(|key| (key.source.clone(), key.id.clone())));
        }
        if self.projects.len() > MAX_CHANGES || self.work.as_ref().is_some_and(|w| w.len() > MAX_CHANGES) {
            self.resync = true;
        }
        if self.resync {
            self.projects.clear();
            self.work = None;
        }
    }

    fn frame(&self) -> String {
        let changes: Vec<_> = self
            .projects
            .iter()
            .map(|((source, id), gone)| json!({ "source": source, "id": id, "gone": gone }))
            .collect();
        let work: Option<Vec<_>> = self
            .work
            .as_ref()
            .map(|w| w.iter().map(|(source, id)| json!({ "source": source, "id": id })).collect());
        let version = self.version.to_string();
        let mut data = json!({
            "version": version,
            "at": self.at.to_string(),
            "changes": changes,
            "sources": self.sources,
            "resync": self.resync,
        });
        if let Some(work) = work {
            data["work"] = json!(work);
        }
        format!("event: board\nid: {version}\ndata: {data}\n\n")
    }
}

impl Feed {
    /// `last_id`: see `came_with`.
    fn new(app: &App, last_id: Option<Option<Version>>, permit: Option<OwnedSemaphorePermit>) -> Self {
        // Listen first, then look: nothing can slip between.
        let changes = app.aggregator.changes();
        let mut link = app.aggregator.link();
        let state = link.borrow_and_update().clone();
        let now = Instant::now();
        let mut feed = Self {
            changes,
            link,
            stop: app.stop.clone(),
            ready: VecDeque::from([format!("retry: {RETRY_MS}\n\n"), link_frame(&state)]),
            pending: None,
            told: None,
            came_with: last_id,
            told_connected: state.connected(),
            used_until: now,
            heartbeat: now + HEARTBEAT,
            over: false,
            gone: Box::pin(std::future::pending()),
            _permit: permit,
        };
        if let Some(version) = state.version {
            let at = state.last_heard_at.unwrap_or(state.since);
            feed.pending_for(version, at);
        }
        feed
    }

    /// The next frame, when it is time for it; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            if self.over {
                return None;
            }
            let next_board = self.next_board();
            tokio::select! {
                biased;
                // A successor listens already, or what holds the socket lets connections wait.
                () = self.stop.cancelled() => return Some(self.bye()),
                // Whoever is still let in, by a proxy or a younger cookie, is back before the page has to tell.
                () = &mut self.gone => return Some(self.bye()),
                changed = self.link.changed() => match changed {
                    Ok(()) => self.link_changed(),
                    Err(_) => self.over = true,
                },
                change = self.changes.recv() => match change {
                    Ok(change) => self.board_changed(&change),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.lagged(),
                    Err(broadcast::error::RecvError::Closed) => self.over = true,
                },
                () = sleep_until(next_board), if self.pending.is_some() => {
                    if let Some(pending) = self.pending.take() {
                        self.used_until = self.used_until.max(Instant::now()) + COALESCE;
                        self.told = Some(pending.version);
                        return Some(pending.frame());
                    }
                }
                () = sleep_until(self.heartbeat) => {
                    self.heartbeat = Instant::now() + HEARTBEAT;
                    return Some(": \n\n".to_owned());
                }
            }
        }
    }

    /// The last frame.
    fn bye(&mut self) -> String {
        self.over = true;
        format!("retry: {}\nevent: bye\ndata: {{}}\n\n", return_after())
    }

    /// When the next `board` event may go out.
    fn next_board(&self) -> Instant {
        // Where time has just begun there is no earlier moment.
        self.used_until.checked_sub(COALESCE * (AT_ONCE - 1)).unwrap_or(self.used_until)
    }

    fn link_changed(&mut self) {
        let state = self.link.borrow_and_update().clone();
        if state.connected() != self.told_connected {
            self.told_connected = state.connected();
            self.ready.push_back(link_frame(&state));
        }
    }

    fn board_changed(&mut self, change: &Change) {
        let told = self.told;
        // Heard before this client looked, and so told already; a resync always counts.
        if !change.resync && told.is_some_and(|told| change.version <= told) {
            return;
        }
        self.pending_for(change.version, change.at).merge(change);
    }

    fn pending_for(&mut self, version: Version, at: Timestamp) -> &mut Pending {
        // Who comes back and knows any other version than the first one here missed something.
        let missed = self.came_with.take().is_some_and(|id| id != Some(version));
        let pending = self.pending.get_or_insert_with(|| Pending::new(version, at));
        pending.resync |= missed;
        pending
    }

    fn lagged(&mut self) {
        let state = self.link.borrow().clone();
        let Some(version) = state.version else { return };
        let at = state.last_heard_at.unwrap_or(state.since);
        let pending = self.pending_for(version, at);
        pending.resync = true;
        pending.version = pending.version.max(version);
        pending.projects.clear();
        pending.work = None;
    }
}

/// When to come back after `bye`, in milliseconds. Needs to be uneven, not unpredictable.
fn return_after() -> u64 {
    RETURN_MS.0 + RandomState::new().hash_one(0_u8) % (RETURN_MS.1 - RETURN_MS.0)
}

fn link_frame(state: &LinkState) -> String {
    let as_of =
        (!state.connected()).then_some(state.last_heard_at.map(|_| state.since.to_string())).flatten();
    format!("event: link\ndata: {}\n\n", json!({ "connected": state.connected(), "as_of": as_of }))
}
