//! Webhooks in: a delivery is verified and read by its source's connector, known again when it comes twice, and applied
//! before it is acknowledged.
//!
//! What a delivery tells goes on the board at once, as news like any other: older never overwrites newer. It is a hint
//! all the same: the project is woken ([`crate::due`]), and the platform's answer corrects what the delivery said.
//!
//! Nothing of a refused delivery is used, its id included: who forges one cannot make the true one pass for a second.

mod health;
mod ids;
mod wanted;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use config::SourceSettings;
use connector::{Connector, Delivery, Event, News, Refused, Registry};
use domain::{ProblemKind, Project, ProjectKey, SourceName};
use http::HeaderMap;

pub use health::Health;
use health::{Refusal, Taken};
use ids::{Mark, Remembered};
use wanted::Wanted;

use crate::board::{Board, Observation, Seen, Told};
use crate::due::Schedules;
use crate::hub::Hub;
use crate::refresh::Plan;
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
}

/// Takes deliveries for all sources.
#[derive(Debug)]
pub struct Webhooks {
    hub: Arc<Hub>,
    connectors: Arc<Registry>,
    watched: Arc<Watched>,
    schedules: Arc<Schedules>,
    wanted: BTreeMap<SourceName, Wanted>,
    remembered: Mutex<BTreeMap<SourceName, Remembered>>,
}

/// Whether a source takes webhooks: its platform sends them, and it has a secret to know them by.
#[must_use]
pub fn takes_webhooks(connector: &dyn Connector) -> bool {
    // An empty delivery is refused by everybody; the reason tells.
    let nothing = Delivery { headers: &HeaderMap::new(), body: b"" };
    connector.webhooks().is_some_and(|hooks| hooks.receive(&nothing) != Err(Refused::NoSecret))
}

/// What follows from a delivery.
struct Consequence {
    wake: ProjectKey,
    told: Option<Told>,
}

impl Webhooks {
    /// For these sources.
    #[must_use]
    pub(crate) fn new(
        hub: Arc<Hub>,
        connectors: Arc<Registry>,
        watched: Arc<Watched>,
        schedules: Arc<Schedules>,
        plans: impl IntoIterator<Item = (SourceName, Plan, SourceSettings)>,
    ) -> Self {
        let wanted = plans.into_iter().map(|(name, plan, source)| (name, Wanted::new(plan, &source)));
        let wanted = wanted.collect();
        Self { hub, connectors, watched, schedules, wanted, remembered: Mutex::default() }
    }

    /// Takes a delivery to `source`, which may be anything that somebody wrote in an address.
    pub fn take(&self, source: &str, headers: &HeaderMap, body: &[u8]) -> Verdict {
        let Some(connector) = self.connector(source) else { return Verdict::NotFound };
        let source = connector.source();
        let Some(hooks) = connector.webhooks() else { return Verdict::NotFound };
        let event = match hooks.receive(&Delivery { headers, body }) {
            Ok(event) => event,
            Err(Refused::NoSecret) => return Verdict::NotFound,
            Err(Refused::Forged(why)) => {
                self.refused(source, Refusal::Forged, &why);
                return Verdict::Forged(why);
            }
            Err(Refused::Malformed(why)) => {
                self.refused(source, Refusal::Malformed, &why);
                return Verdict::Malformed(why);
            }
        };
        self.believe(source, event, body)
    }

    /// One came whose body was not even read.
    pub fn too_large(&self, source: &str) -> Verdict {
        let Some(connector) = self.connector(source) else { return Verdict::NotFound };
        self.refused(connector.source(), Refusal::TooLarge, "larger than any webhook that is taken");
        Verdict::TooLarge
    }

    fn connector(&self, source: &str) -> Option<&Arc<dyn Connector>> {
        let connector = self.connectors.get(&SourceName::new(source).ok()?)?;
        let takes = |p: &crate::hub::Present| p.sources.get(connector.source())?.webhooks.as_ref().map(drop);
        self.hub.read(takes)?;
        Some(connector)
    }

    fn believe(&self, source: &SourceName, event: Event, body: &[u8]) -> Verdict {
        let Event { id, kind, news } = event;
        let now = self.hub.clock().now();
        let count = |taken| {
            // Before it is applied: what is published afterwards shows the figure with it.
            self.hub.source(source, |s| {
                s.webhooks.get_or_insert_default().believed(taken, &kind, now);
            });
        };
        if !self.first(source, Mark::of(id.as_deref(), body)) {
            count(Taken::Duplicate);
            return Verdict::Duplicate;
        }
        // Here a log stands once there is one that outlives the process: the delivery is written to it, and only then is
        // it applied and acknowledged. When that fails its mark is forgotten, and the answer is that it was not taken.
        let Some(consequence) = self.consequence(source, news) else {
            count(Taken::Ignored);
            return Verdict::Ignored;
        };
        count(Taken::Applied);
        tracing::debug!(%source, project = %consequence.wake, "webhook");
        let Consequence { wake, told } = consequence;
        if let Some(told) = told {
            self.watched.told(source, &told.project);
            self.hub.observe(Observation { asked_at: now, seen: Seen::Told(Box::new(told)) });
            // Rows that said that nobody has it.
            for key in self.watched.found_elsewhere() {
                self.hub.observe(Observation { asked_at: now, seen: Seen::Gone(key) });
            }
        }
        self.schedules.woken(&wake);
        Verdict::Applied
    }

    /// What follows from the news; `None` when it is of no concern.
    fn consequence(&self, source: &SourceName, news: News) -> Option<Consequence> {
        match news {
            News::Nothing => None,
            News::Touched(project) => Some(Consequence { wake: self.row(source, &project)?, told: None }),
            News::Runs { mut project, pipelines } => {
                match self.row(source, &project) {
                    Some(key) => project.key = key,
                    None if self.wants(source, &project) => {}
                    None => return None,
                }
                let wake = project.key.clone();
                Some(Consequence { wake, told: Some(Told { project: *project, runs: pipelines, add: true }) })
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
        self.wanted.get(source).is_some_and(|wanted| {
            wanted.lets_in(project) && (wanted.named(project) || !self.hub.read(|p| left(&p.board)))
        })
    }

    fn first(&self, source: &SourceName, mark: Mark) -> bool {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.entry(source.clone()).or_default().first(mark)
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
