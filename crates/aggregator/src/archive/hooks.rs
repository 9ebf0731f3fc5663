//! Webhooks, on the disk before they are acknowledged. Those that come while others are being written are written together
//! with the next.

use std::sync::Arc;
use std::time::Duration;

use history::{History, Logged, Webhook};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::Archive;

/// Whoever sends a webhook waits no longer than this for it to be written: a little less than the web daemon waits for us. It may
/// be on the disk all the same, as one that nothing became of.
pub const LOG_WITHIN: Duration = Duration::from_secs(4);
/// How many wait to be written; more are refused.
const MAX_WAITING: usize = 256;
/// How many bytes of them: some platforms send 25 MB at once.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;
/// How many are written at once.
const AT_ONCE: usize = 64;

type Answer = Result<Logged, String>;
/// With its share of the bytes that may wait, until it is written.
type Asked = (Webhook, (oneshot::Sender<Answer>, OwnedSemaphorePermit));

/// What became of a webhook on its way to the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logging {
    /// There is no history: nothing is written.
    Off,
    /// It is on the disk.
    New,
    /// It was there already, and something became of it.
    Known,
    /// It could not be written, and why.
    Failed(String),
}

/// Those that wait.
#[derive(Debug)]
pub(super) struct Hooks {
    ask: mpsc::Sender<Asked>,
    asked: Mutex<mpsc::Receiver<Asked>>,
    bytes: Arc<Semaphore>,
}

impl Default for Hooks {
    fn default() -> Self {
        let (ask, asked) = mpsc::channel(MAX_WAITING);
        Self { ask, asked: Mutex::new(asked), bytes: Arc::new(Semaphore::new(MAX_WAITING_BYTES)) }
    }
}

impl Hooks {
    /// Takes its share of the bytes that may wait. One that is larger than all of them waits alone.
    pub(super) fn room_for(&self, webhook: &Webhook) -> Option<OwnedSemaphorePermit> {
        let headers: usize = webhook.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = (webhook.body.len() + headers).min(MAX_WAITING_BYTES);
        Arc::clone(&self.bytes).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// Writes what comes, until it is dropped.
    pub(super) async fn run(&self, history: &Arc<dyn History>) {
        let mut asked = self.asked.lock().await;
        let mut batch = Vec::new();
        while asked.recv_many(&mut batch, AT_ONCE).await > 0 {
            // Those whose sender has gone were not acknowledged, and come again.
            let (webhooks, answers): (Vec<Webhook>, Vec<_>) =
                batch.drain(..).filter(|(_, (answer, _))| !answer.is_closed()).unzip();
            if webhooks.is_empty() {
                continue;
            }
            let written = tokio::time::timeout(LOG_WITHIN, history.log_webhooks(&webhooks)).await;
            let result = match written {
                Ok(Ok(logged)) => Ok(logged),
                Ok(Err(error)) => Err(error.text),
                Err(_) => Err("the database takes too long".to_owned()),
            };
            for (i, (answer, _)) in answers.into_iter().enumerate() {
                let one = match &result {
                    Ok(logged) => Ok(logged.get(i).copied().unwrap_or(Logged::New)),
                    Err(error) => Err(error.clone()),
                };
                // Whoever does not wait any more was not told that it was taken: it is applied when it is sent again, or at the
                // next start.
                let _ = answer.send(one);
            }
        }
    }
}

impl Archive {
    /// Writes down a webhook. Takes [`LOG_WITHIN`] at most.
    pub async fn log(&self, webhook: Webhook) -> Logging {
        if !self.is_kept() {
            return Logging::Off;
        }
        let standing = || self.standing().error.unwrap_or_else(|| "the database takes too long".to_owned());
        if self.history().is_none() {
            return Logging::Failed(standing());
        }
        let (answer, written) = oneshot::channel();
        let too_many = || Logging::Failed("too many webhooks wait for the database".to_owned());
        let Some(room) = self.hooks.room_for(&webhook) else { return too_many() };
        if self.hooks.ask.try_send((webhook, (answer, room))).is_err() {
            return too_many();
        }
        match tokio::time::timeout(LOG_WITHIN, written).await {
            Ok(Ok(Ok(Logged::New))) => Logging::New,
            Ok(Ok(Ok(Logged::Known))) => Logging::Known,
            Ok(Ok(Err(error))) => Logging::Failed(error),
            Ok(Err(_)) | Err(_) => Logging::Failed(standing()),
        }
    }
}
