//! Webhooks in: a delivery is verified and read by its source's connector, known again when it comes twice, and applied
//! before it is acknowledged. Where history is kept, it is on the disk before it is applied.
//!
//! What a delivery tells goes on the board at once, as news like any other: older never overwrites newer. It is a hint
//! all the same: the project is woken ([`crate::due`]), and the platform's answer corrects what the delivery said.
//!
//! Nothing of a refused delivery is used, its id included: who forges one cannot make the true one pass for a second.
//!
//! What was written down and not applied – whoever sent it did not wait, or the process ended – is applied when it is sent
//! again, and else at the next start (`unsettled`).

mod health;
mod ids;
mod unsettled;
mod wanted;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use config::SourceSettings;
use connector::{Connector, Delivery, Event, News, Refused, Registry};
use domain::{Deployment, ProblemKind, Project, ProjectKey, SourceName, Status, Timestamp};
use history::{Treated, Webhook};
use http::HeaderMap;

pub use health::Health;
use health::{Refusal, Taken};
use ids::{Mark, Remembered};
use wanted::Wanted;

use crate::archive::{Archive, Logging};
use crate::board::{Board, Observation, Seen, Told};
use crate::due::Schedules;
use crate::hub::Hub;
use crate::refresh::Plan;
use crate::schedule::Hook;
use crate::watched::Watched;

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is on the board, or its project is read anew.
    Applied,
    /// It was taken before.
    Duplicate,
    /// Believed, and of no concern here.
    Ignored,
    /// No such source, or it takes no webhooks.
    NotFound,
    /// Not signed with the source's secret, or not at all.
    Forged(String),
    /// Signed, but not readable.
    Malformed(String),
    /// Larger than is taken.
    TooLarge,
    /// Believed, but not written down, and why: it is to be sent again.
    NotKept(String),
}

/// A delivery that is what it says.
#[derive(Debug)]
pub struct Believed {
    source: SourceName,
    event: Event,
}

/// Takes deliveries for all sources.
#[derive(Debug)]
pub struct Webhooks {
    archive: Arc<Archive>,
    hub: Arc<Hub>,
    connectors: Arc<Registry>,
    watched: Arc<Watched>,
    schedules: Arc<Schedules>,
    wanted: RwLock<BTreeMap<SourceName, Wanted>>,
    remembered: Mutex<BTreeMap<SourceName, Remembered>>,
}

/// Whether a source takes webhooks: its platform sends them, and it has a secret to know them by.
#[must_use]
pub fn takes_webhooks(connector: &dyn Connector) -> bool {
    // An empty delivery is refused by everybody; the reason tells.
    let nothing = Delivery { headers: &HeaderMap::new(), body: b"" };
    connector.webhooks().is_some_and(|hooks| hooks.verify(&nothing) != Err(Refused::NoSecret))
}

/// What follows from a delivery.
struct Consequence {
    wake: ProjectKey,
    told: Option<Told>,
    deployed: Option<Box<Deployment>>,
}

impl Webhooks {
    /// For no source yet.
    #[must_use]
    pub(crate) fn new(
        archive: Arc<Archive>,
        hub: Arc<Hub>,
        connectors: Arc<Registry>,
        watched: Arc<Watched>,
        schedules: Arc<Schedules>,
    ) -> Self {
        let (wanted, remembered) = (RwLock::default(), Mutex::default());
        Self { archive, hub, connectors, watched, schedules, wanted, remembered }
    }

    /// Says which projects of a source become rows by themselves.
    pub(crate) fn expect(&self, source: &SourceName, plan: Plan, settings: &SourceSettings) {
        let wanted = Wanted::new(plan, settings);
        self.wanted.write().unwrap_or_else(PoisonError::into_inner).insert(source.clone(), wanted);
    }

    /// A source is no more.
    pub(crate) fn forget(&self, source: &SourceName) {
        self.wanted.write().unwrap_or_else(PoisonError::into_inner).remove(source);
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).remove(source);
    }

    /// Verifies and reads a delivery to `source`, which may be anything that somebody wrote in an address. A large one takes a
    /// while.
    ///
    /// # Errors
    /// What is to be said of one that is not believed.
    pub fn read(&self, source: &str, headers: &HeaderMap, body: &[u8]) -> Result<Believed, Verdict> {
        let connector = self.connector(source).ok_or(Verdict::NotFound)?;
        let source = connector.source();
        let hooks = connector.webhooks().ok_or(Verdict::NotFound)?;
        match hooks.receive(&Delivery { headers, body }) {
            Ok(event) => Ok(Believed { source: source.clone(), event }),
            Err(Refused::NoSecret) => Err(Verdict::NotFound),
            Err(Refused::Forged(why)) => {
                self.refused(source, Refusal::Forged, &why);
                Err(Verdict::Forged(why))
            }
            Err(Refused::Malformed(why)) => {
                self.refused(source, Refusal::Malformed, &why);
                Err(Verdict::Malformed(why))
            }
        }
    }

    /// One came whose body was not even read.
    pub fn too_large(&self, source: &str) -> Verdict {
        let Some(connector) = self.connector(source) else { return Verdict::NotFound };
        self.refused(connector.source(), Refusal::TooLarge, "larger than any webhook that is taken");
        Verdict::TooLarge
    }

    fn connector(&self, source: &str) -> Option<Arc<dyn Connector>> {
        let connector = self.connectors.get(&SourceName::new(source).ok()?)?;
        let takes = |p: &crate::hub::Present| p.sources.get(connector.source())?.webhooks.as_ref().map(drop);
        self.hub.read(takes)?;
        Some(connector)
    }

    /// Takes a delivery that is believed: writes it down, applies it.
    pub async fn take(&self, believed: Believed, headers: &HeaderMap, body: &[u8]) -> Verdict {
        let Believed { source, event: Event { id, kind, news } } = believed;
        let now = self.hub.clock().now();
        let count = |taken| {
            // Before it is applied: what is published afterwards shows the figure with it.
            self.hub.source(&source, |s| {
                s.webhooks.get_or_insert_default().believed(taken, &kind, now);
            });
        };
        let mark = Mark::of(id.as_deref(), body);
        if self.is_known(&source, &mark) {
            count(Taken::Duplicate);
            return Verdict::Duplicate;
        }
        let webhook = || logged(&source, mark.delivery(id.as_deref()), &kind, headers, body, now);
        // Whoever comes second waits for the disk as well: was the first not written, this one is not said to be known.
        let is_new = match self.archive.is_kept() {
            false => self.first(&source, mark),
            true => match self.archive.log(webhook()).await {
                Logging::Failed(why) => {
                    self.turned_away(&source, &why);
                    return Verdict::NotKept(why);
                }
                Logging::Known => {
                    self.first(&source, mark);
                    false
                }
                Logging::New | Logging::Off => self.first(&source, mark),
            },
        };
        if !is_new {
            count(Taken::Duplicate);
            return Verdict::Duplicate;
        }
        let became = |treated| {
            if self.archive.is_kept() {
                self.archive.treated(&source, mark.delivery(id.as_deref()), treated);
            }
        };
        let Some(consequence) = self.consequence(&source, news) else {
            count(Taken::Ignored);
            became(Treated::Ignored("of no concern here".to_owned()));
            return Verdict::Ignored;
        };
        count(Taken::Applied);
        self.apply(&source, consequence, now);
        became(Treated::Applied);
        Verdict::Applied
    }

    /// Puts what follows onto the board, as of `at`, and wakes the project.
    fn apply(&self, source: &SourceName, consequence: Consequence, at: Timestamp) {
        tracing::debug!(%source, project = %consequence.wake, "webhook");
        let Consequence { wake, told, deployed } = consequence;
        if let Some(deployed) = deployed {
            // Nothing on the board has changed by it; the run that it is of tells of itself.
            self.archive.tell_deployment(&wake, *deployed);
            return;
        }
        let hook = match &told {
            Some(told) if told.runs.iter().any(|run| run.status == Status::Failed) => Hook::Failed,
            Some(told) if !told.runs.is_empty() => Hook::Runs,
            _ => Hook::Touched,
        };
        if let Some(told) = told {
            self.watched.told(source, &told.project);
            self.hub.observe(Observation { asked_at: at, seen: Seen::Told(Box::new(told)) });
            // Rows that said that nobody has it.
            for key in self.watched.found_elsewhere() {
                self.hub.observe(Observation { asked_at: at, seen: Seen::Gone(key) });
            }
        }
        self.schedules.woken(&wake, hook);
    }

    /// What follows from the news; `None` when it is of no concern.
    fn consequence(&self, source: &SourceName, news: News) -> Option<Consequence> {
        match news {
            News::Nothing => None,
            News::Touched(project) => {
                Some(Consequence { wake: self.row(source, &project)?, told: None, deployed: None })
            }
            // They stand in history alone.
            News::Deployed { .. } if !self.archive.is_kept() => None,
            News::Deployed { project, deployment } => {
                let wake = self.row(source, &project)?;
                Some(Consequence { wake, told: None, deployed: Some(deployment) })
            }
            News::Runs { mut project, pipelines } => {
                match self.row(source, &project) {
                    Some(key) => project.key = key,
                    None if self.wants(source, &project) => {}
                    None => return None,
                }
                let wake = project.key.clone();
                let told = Some(Told { project: *project, runs: pipelines, add: true });
                Some(Consequence { wake, told, deployed: None })
            }
        }
    }

    /// The project's row: by its key, else by its name. A row under another key that only says that nobody has found a
    /// project of this name is not it.
    fn row(&self, source: &SourceName, project: &Project) -> Option<ProjectKey> {
        self.hub.read(|p| {
            let entry = p.board.get(&project.key).or_else(|| p.board.find(source, &project.name))?;
            let unfound = entry.runs().is_empty()
                && entry.problem().is_some_and(|problem| problem.kind == ProblemKind::NotFound);
            (entry.project.key == project.key || !unfound).then(|| entry.project.key.clone())
        })
    }

    /// Whether a project that is no row becomes one. What the listing did not name any more comes back with a listing,
    /// lest it come and go.
    fn wants(&self, source: &SourceName, project: &Project) -> bool {
        let left = |board: &Board| board.has_left(&project.key);
        let wanted = self.wanted.read().unwrap_or_else(PoisonError::into_inner);
        wanted.get(source).is_some_and(|wanted| {
            wanted.lets_in(project) && (wanted.named(project) || !self.hub.read(|p| left(&p.board)))
        })
    }

    fn is_known(&self, source: &SourceName, mark: &Mark) -> bool {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(source).is_some_and(|r| r.has(mark))
    }

    fn first(&self, source: &SourceName, mark: Mark) -> bool {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.entry(source.clone()).or_default().first(mark)
    }

    fn turned_away(&self, source: &SourceName, why: &str) {
        let now = self.hub.clock().now();
        let mut first = false;
        self.hub.source(source, |s| first = s.webhooks.get_or_insert_default().turned_away(why, now));
        // They come again and again until they can be written.
        if first {
            tracing::warn!(%source, why, "a webhook is not taken: it could not be written down; further ones are counted only");
        } else {
            tracing::debug!(%source, why, "a webhook is not taken: it could not be written down");
        }
    }

    fn refused(&self, source: &SourceName, refusal: Refusal, why: &str) {
        let now = self.hub.clock().now();
        let mut first = false;
        self.hub.source(source, |s| first = s.webhooks.get_or_insert_default().refused(refusal, why, now));
        // Anybody can send any number of these.
        if first {
            tracing::warn!(%source, why, "a webhook was refused; further ones are counted only");
        } else {
            tracing::debug!(%source, why, "a webhook was refused");
        }
    }
}

/// Parts of the names of headers that carry secrets, or what is made with them.
const SECRET: [&str; 6] = ["signature", "token", "secret", "auth", "cookie", "password"];
/// How much of the headers is kept with a delivery, in bytes.
const MAX_KEPT_HEADERS: usize = 4096;

/// A delivery as it is kept: its body as it came, its headers without what is secret.
fn logged(
    source: &SourceName,
    delivery: String,
    kind: &str,
    headers: &HeaderMap,
    body: &[u8],
    received_at: Timestamp,
) -> Webhook {
    let mut room = MAX_KEPT_HEADERS;
    let mut kept = Vec::new();
    for (name, value) in headers {
        let secret = SECRET.iter().any(|part| name.as_str().contains(part));
        let Some(value) = value.to_str().ok().filter(|_| !secret) else { continue };
        let Some(left) = room.checked_sub(name.as_str().len() + value.len()) else { break };
        room = left;
        kept.push((name.as_str().to_owned(), value.to_owned()));
    }
    Webhook {
        source: source.clone(),
        delivery,
        kind: kind.to_owned(),
        headers: kept,
        body: body.to_vec(),
        received_at,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn no_secret_is_written_down() {
        let mut headers = HeaderMap::new();
        for name in ["x-gitlab-token", "x-hub-signature-256", "authorization", "cookie", "x-secret-key"] {
            headers.insert(name, HeaderValue::from_static("s3cret"));
        }
        headers.insert("x-gitlab-event", HeaderValue::from_static("Pipeline Hook"));
        headers.insert("x-large", HeaderValue::from_bytes(&[b'a'; MAX_KEPT_HEADERS]).unwrap());
        let source = SourceName::new("s").unwrap();
        let kept = logged(&source, "1".into(), "pipeline", &headers, b"{}", Timestamp::UNIX_EPOCH);
        assert_eq!(kept.headers, [("x-gitlab-event".to_owned(), "Pipeline Hook".to_owned())]);
    }
}
