//! The one Watch stream: says whether the aggregator is there, which version the board has, and what changed.

use std::sync::Arc;
use std::time::Duration;

use api::v1;
use domain::{Clock, Timestamp};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Version;
use super::backoff;

/// How long the aggregator may take to accept the stream, and then to say its first word.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// Changes that wait for a listener; who falls behind further is told to read everything anew.
pub(super) const CHANGES: usize = 256;

/// Whether the aggregator is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has not been reached yet.
    Connecting,
    /// It talks.
    Connected,
    /// It was there and is not now.
    Lost,
}

impl Phase {
    /// The word in `/api/health`.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Lost => "lost",
        }
    }
}

/// How the link is.
#[derive(Debug, Clone)]
pub(crate) struct LinkState {
    /// Whether the aggregator is there.
    pub(crate) phase: Phase,
    /// The newest version heard of.
    pub(crate) version: Option<Version>,
    /// The newest that altered the board or a source.
    pub(crate) board: Option<Version>,
    /// The newest that altered lists of merge requests or issues, or a source.
    pub(crate) work: Option<Version>,
    /// Since when the phase is what it is. Of a lost link: when it was lost, and so the moment that what is known dates
    /// from.
    pub(crate) since: Timestamp,
    /// When the last word came.
    pub(crate) last_heard_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub(crate) error: Option<String>,
}

impl LinkState {
    /// Whether the aggregator is there.
    #[must_use]
    pub(crate) fn connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// The newest version that may have altered what was made from this.
    #[must_use]
    pub(crate) const fn newest(&self, of: Feeds) -> Option<Version> {
        match of {
            Feeds::Board => self.board,
            Feeds::Work => self.work,
            Feeds::Both => self.version,
        }
    }
}

/// What an answer is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feeds {
    /// Projects and their runs.
    Board,
    /// Merge requests or issues alone.
    Work,
    /// Both.
    Both,
}

/// What a new version altered.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The version.
    pub(crate) version: Version,
    /// When it came to be.
    pub(crate) at: Timestamp,
    /// Projects that changed.
    pub(crate) projects: Vec<v1::Change>,
    /// Whether a source's state changed.
    pub(crate) sources: bool,
    /// Lists of merge requests or issues changed; of these projects.
    pub(crate) work: Option<Vec<v1::ProjectKey>>,
    /// Anything may have changed.
    pub(crate) resync: bool,
}

/// The publishing end.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) state: watch::Sender<LinkState>,
    pub(super) changes: broadcast::Sender<Arc<Change>>,
    pub(super) nudge: Notify,
    pub(super) clock: Arc<dyn Clock>,
    /// Where the aggregator is, for the log.
    address: String,
}

impl Link {
    pub(super) fn new(address: String, clock: Arc<dyn Clock>) -> Self {
        let state = LinkState {
            phase: Phase::Connecting,
            version: None,
            board: None,
            work: None,
            since: clock.now(),
            last_heard_at: None,
            error: None,
        };
        Self {
            state: watch::Sender::new(state),
            changes: broadcast::Sender::new(CHANGES),
            nudge: Notify::new(),
            clock,
            address,
        }
    }

    /// Keeps one stream for ever. Ends when it is dropped.
    pub(super) async fn keep(&self, mut client: api::Client) {
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            let error = self.listen(&mut client, &mut failures).await;
            self.lost(error);
            let wait = sleep(backoff::delay(failures, backoff::spread()));
            failures = failures.saturating_add(1);
            // Somebody waits for an answer: ask again now, but not more often than ever.
            let nudged = async {
                self.nudge.notified().await;
                sleep_until(begun + backoff::MIN).await;
            };
            tokio::select! { () = wait => {} () = nudged => {} }
        }
    }

    /// Listens until the stream breaks; says why it did.
    async fn listen(&self, client: &mut api::Client, failures: &mut u32) -> String {
        let mut stream = match timeout(FIRST_WORD, client.watch(v1::WatchRequest {})).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return describe(&status),
            Err(_) => return "the aggregator does not answer".to_owned(),
        };
        let Ok(mut word) = timeout(FIRST_WORD, stream.message()).await else {
            return "the aggregator says nothing".to_owned();
        };
        loop {
            match word {
                Ok(Some(message)) => {
                    *failures = 0;
                    self.heard(message);
                }
                Ok(None) => return "the aggregator closed the connection".to_owned(),
                Err(status) => return describe(&status),
            }
            word = stream.message().await;
        }
    }

    fn heard(&self, message: v1::WatchResponse) {
        let now = self.clock.now();
        let before = self.state.borrow().clone();
        let Some(version) = message.version.map(Version::from).or(before.version) else { return };
        let returned = !before.connected();
        // Whatever happened while nobody listened is unknown: after a break only the same version means "nothing".
        let missed = returned && before.version.is_some_and(|v| v != version);
        if returned {
            tracing::info!(%version, address = self.address, "connected to the aggregator");
        }
        self.state.send_modify(|state| {
            if returned {
                state.since = now;
            }
            state.phase = Phase::Connected;
            state.version = Some(version);
            // Who returns, or is told to read everything anew, knows of no change that it was not.
            let anything = returned || message.resync || message.sources_changed;
            if anything || !message.changes.is_empty() || !message.work_changed {
                state.board = Some(version);
            }
            if anything || message.work_changed {
                state.work = Some(version);
            }
            state.last_heard_at = Some(now);
            state.error = None;
        });
        // Nobody listening is fine.
        let _ = self.changes.send(Arc::new(Change {
            version,
            at: message.at.as_ref().and_then(api::timestamp_back).unwrap_or(now),
            projects: message.changes,
            sources: message.sources_changed,
            work: message.work_changed.then_some(message.work),
            // The first word of a stream always is a resync, for us who are new; our own listeners are not.
            resync: if returned { missed } else { message.resync },
        }));
    }

    fn lost(&self, error: String) {
        let now = self.clock.now();
        self.state.send_modify(|state| {
            if state.connected() {
                tracing::warn!(%error, address = self.address, "the aggregator is away; going on with what is known");
                state.phase = Phase::Lost;
                state.since = now;
            } else if state.error.as_ref() != Some(&error) {
                tracing::info!(%error, address = self.address, "the aggregator cannot be reached yet");
            }
            state.error = Some(error);
        });
    }
}

/// A status in words: tonic says "tcp connect error", its sources say why.
pub(super) fn describe(status: &tonic::Status) -> String {
    let mut cause = std::error::Error::source(status);
    let mut deepest = None;
    while let Some(error) = cause {
        deepest = Some(error.to_string());
        cause = error.source();
    }
    match (deepest, status.message()) {
        (Some(why), _) => why,
        (None, "") => status.code().description().to_owned(),
        (None, message) => message.to_owned(),
    }
}
