//! Reads what platforms mark as deployed, and hands it to history.
//!
//! | of a project | is asked |
//! | --- | --- |
//! | never asked | once a run of it has finished on its default branch |
//! | that had some | [`SOON`] after it was asked last, when a run has finished there since, or a webhook told of one; [`LATER`] when one has finished elsewhere, or a deployment went on |
//! | that never had any, or may not be asked | [`RARELY`] after it was asked last, when a run has finished there since |
//! | that could not be asked | after growing pauses |
//!
//! One question at a time for each source, within a small share of the rate limit, and none while less of it is left than pipelines
//! should have for themselves. What was asked when outlives a restart.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector::{Connector, Deployed, Deployments, DeploymentsAsk, Error, Registry};
use domain::{Project, ProjectKey, SourceName, Status, Timestamp};
use history::{Batch, Day, History};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::backfill::{out_of_budget, share_of};
use super::{Archive, locked, per_source};
use crate::board::Entry;
use crate::hub::Hub;
use crate::sources::State;

/// A project is asked about no more often than this.
const SOON: SignedDuration = SignedDuration::from_mins(5);
/// What happens elsewhere than on the default branch is mostly no deployment to production.
const LATER: SignedDuration = SignedDuration::from_hours(1);
/// How often a project is asked about that has no deployments, or of which none may be seen.
const RARELY: SignedDuration = SignedDuration::from_hours(24);
/// After a first failure; each further one doubles it, up to [`RARELY`].
const PAUSE: SignedDuration = SignedDuration::from_mins(10);
/// A deployment that was not touched for so long is not waited for.
const GOES_ON_FOR: SignedDuration = SignedDuration::from_hours(24);
/// The part of the rate limit that this may take.
const SHARE: f64 = 0.03;
/// Nothing is asked while less than this part of the limit is left.
const RESERVE: f64 = 0.5;
/// How long a source that does not answer, or has nothing due, is left alone.
const LEAVE: Duration = Duration::from_secs(60);
/// Deployments in a batch.
const AT_ONCE: usize = 500;
/// So many environments of a project are remembered.
const MAX_ENVIRONMENTS: usize = 200;

/// What the last question about a project came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    /// It has deployments.
    Some,
    /// It never had any.
    #[default]
    None,
    /// They may not be seen, or it cannot have any.
    Refused,
    /// It could not be asked.
    Failed,
}

/// When runs of a project last finished, milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Settled {
    /// On its default branch.
    on_default: Option<i64>,
    /// On any.
    anywhere: Option<i64>,
}

impl Settled {
    fn of(entry: &Entry) -> Self {
        let mut settled = Self::default();
        for run in entry.runs().iter().filter(|run| run.status.is_terminal()) {
            let at = run.finished_at.or(run.updated_at).or(run.created_at).map(Timestamp::as_millisecond);
            settled.anywhere = settled.anywhere.max(at);
            if run.branch.is_some() && run.branch == entry.project.default_branch {
                settled.on_default = settled.on_default.max(at);
            }
        }
        settled
    }
}

/// What is known of a project, from one process to the next.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    /// When it was asked about last, milliseconds since 1970.
    asked: i64,
    found: Found,
    /// It had deployments once.
    marks: bool,
    /// A webhook told of one since.
    told: bool,
    /// One went on.
    goes_on: bool,
    settled: Settled,
    /// When the newest change was that was told.
    until: Option<i64>,
    failures: u32,
    /// What the platform said of its environments.
    environments: BTreeMap<String, Option<bool>>,
}

impl Known {
    /// When the project is to be asked about again, if anything happened that makes it worth it.
    fn due(&self, settled: Settled) -> Option<Timestamp> {
        let after = |pause: SignedDuration| {
            let asked = Timestamp::from_millisecond(self.asked).unwrap_or(Timestamp::MIN);
            Some(asked.saturating_add(pause).unwrap_or(Timestamp::MAX))
        };
        let there = settled.on_default > self.settled.on_default;
        let elsewhere = settled.anywhere > self.settled.anywhere;
        match self.found {
            Found::Failed => {
                let pause = PAUSE.checked_mul(1 << self.failures.saturating_sub(1).min(8));
                after(pause.unwrap_or(RARELY).min(RARELY))
            }
            Found::Some if there || self.told => after(SOON),
            Found::Some if elsewhere || self.goes_on => after(LATER),
            Found::None | Found::Refused if there => after(RARELY),
            _ => None,
        }
    }

    /// Takes an answer.
    fn takes(&mut self, answer: &Deployed, now: Timestamp) {
        self.failures = 0;
        self.marks |= !answer.items.is_empty();
        self.found = if self.marks { Found::Some } else { Found::None };
        let fresh = |at: Option<Timestamp>| at.is_some_and(|at| now.duration_since(at) < GOES_ON_FOR);
        self.goes_on =
            answer.items.iter().any(|d| d.status == Status::Running && fresh(d.updated_at.or(d.created_at)));
        let newest = answer.items.iter().filter_map(|d| d.updated_at.or(d.created_at)).max();
        self.until = self.until.max(newest.map(Timestamp::as_millisecond));
        self.environments.extend(answer.environments.clone());
        while self.environments.len() > MAX_ENVIRONMENTS {
            self.environments.pop_first();
        }
    }
}

/// A project that will be asked about.
#[derive(Debug, Clone, Copy)]
struct Wait {
    at: Timestamp,
    /// Those that have deployments come first, then those where something happened last.
    first: Reverse<(bool, Option<i64>)>,
}

/// Who reads deployments.
#[derive(Debug)]
pub(super) struct Reader {
    archive: Arc<Archive>,
    hub: Arc<Hub>,
    connectors: Arc<Registry>,
    known: Mutex<BTreeMap<ProjectKey, Known>>,
    waiting: Mutex<BTreeMap<ProjectKey, Wait>>,
    /// Sources that were asked by this process.
    begun: Mutex<BTreeSet<SourceName>>,
    more: Notify,
}

fn shelf(source: &SourceName) -> String {
    format!("deployments:{source}")
}

impl Reader {
    pub(super) fn new(archive: Arc<Archive>, hub: Arc<Hub>, connectors: Arc<Registry>) -> Self {
        let (known, waiting, begun) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { archive, hub, connectors, known, waiting, begun, more: Notify::new() }
    }

    /// Something happened in these projects.
    pub(super) fn moved(&self, keys: &[ProjectKey]) {
        if self.look(keys) {
            self.more.notify_waiters();
        }
    }

    /// A webhook told of a deployment of this project: it has some, and the rest of what is to be known of this one – the run
    /// above all – is asked for.
    pub(super) fn marks(&self, key: &ProjectKey) {
        {
            let mut known = locked(&self.known);
            let known = known.entry(key.clone()).or_default();
            (known.marks, known.told, known.found) = (true, true, Found::Some);
        }
        self.moved(std::slice::from_ref(key));
    }

    /// Finds out when these are due. Whether any is.
    fn look(&self, keys: &[ProjectKey]) -> bool {
        let (known, mut waiting) = (locked(&self.known), locked(&self.waiting));
        let mut any = false;
        self.hub.read(|p| {
            for key in keys {
                let entry = p.board.get(key).filter(|e| !e.project.archived && !e.project.ci_disabled);
                let settled = entry.map(Settled::of);
                let due = settled.and_then(|settled| match known.get(key) {
                    Some(known) => known.due(settled),
                    None => settled.on_default.map(|_| Timestamp::MIN),
                });
                match (due, settled) {
                    (Some(at), Some(settled)) => {
                        let marks = known.get(key).is_some_and(|k| k.marks);
                        let first = Reverse((marks, settled.on_default));
                        waiting.insert(key.clone(), Wait { at, first });
                        any = true;
                    }
                    _ => drop(waiting.remove(key)),
                }
            }
        });
        any
    }

    /// Reads until it is dropped.
    pub(super) async fn run(&self, history: &Arc<dyn History>) {
        per_source(&self.connectors, |connector| self.of_source(connector, history)).await;
    }

    /// Until it is taken out, or another one stands in its place.
    async fn of_source(&self, connector: Arc<dyn Connector>, history: &Arc<dyn History>) {
        let Some(part) = connector.deployments() else { return };
        while let Err(error) = self.recall(connector.source(), history).await {
            self.archive.unwell(&error);
            tokio::time::sleep(LEAVE).await;
        }
        while self.connectors.has(&connector) {
            let more = self.more.notified();
            let pause = match self.next(connector.source()) {
                Ok((key, project)) => Some(self.step(&connector, part, history, &key, &project).await),
                Err(pause) => {
                    let _ = tokio::time::timeout(pause, more).await;
                    None
                }
            };
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// What earlier processes asked, and what is due of what is on the board.
    async fn recall(&self, source: &SourceName, history: &Arc<dyn History>) -> history::Result<()> {
        let kept = self.archive.within(history.kept(&shelf(source))).await?;
        // What was refused to the one before it may not be to one that is set otherwise.
        let is_other = !locked(&self.begun).insert(source.clone());
        let mut known = locked(&self.known);
        for (id, bytes) in kept {
            let key = ProjectKey::new(source.clone(), domain::NativeId::new(id));
            if let Ok(kept) = serde_json::from_slice::<Known>(&bytes) {
                known.entry(key).or_insert(kept);
            }
        }
        known.retain(|key, known| !is_other || &key.source != source || known.found != Found::Refused);
        drop(known);
        let keys: Vec<ProjectKey> =
            self.hub.read(|p| p.board.of_source(source).map(|e| e.project.key.clone()).collect());
        self.look(&keys);
        Ok(())
    }

    /// What is due first of a source, or how long nothing will be.
    fn next(&self, source: &SourceName) -> Result<(ProjectKey, Arc<Project>), Duration> {
        let answers = |state| matches!(state, State::Ok | State::Failing);
        if !self.hub.read(|p| p.sources.get(source).is_some_and(|s| answers(s.state))) {
            return Err(LEAVE.min(Duration::from_secs(5)));
        }
        let now = self.hub.clock().now();
        let mut waiting = locked(&self.waiting);
        let of_source = || waiting.iter().filter(|(key, _)| &key.source == source);
        let due = of_source().filter(|(_, wait)| wait.at <= now).min_by_key(|(_, wait)| wait.first);
        let Some(key) = due.map(|(key, _)| key.clone()) else {
            let first = of_source().map(|(_, wait)| wait.at).min();
            let until = first.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
            return Err(until.unwrap_or(LEAVE).min(LEAVE));
        };
        waiting.remove(&key);
        drop(waiting);
        let project = self.hub.read(|p| p.board.get(&key).map(|e| Arc::clone(&e.project)));
        project.map(|project| (key, project)).ok_or(Duration::ZERO)
    }

    /// Asks about one project. How long the source is left alone then.
    async fn step(
        &self,
        connector: &Arc<dyn Connector>,
        part: &dyn Deployments,
        history: &Arc<dyn History>,
        key: &ProjectKey,
        project: &Project,
    ) -> Duration {
        let budget = || part.budget().or_else(|| connector.budget());
        if let Some(wait) = budget().and_then(|b| out_of_budget(b, RESERVE, self.hub.clock().now())) {
            self.look(std::slice::from_ref(key));
            return wait.min(LEAVE);
        }
        let sent = connector.traffic().sent;
        let asked = self.ask(connector, part, history, key, project).await;
        self.look(std::slice::from_ref(key));
        let pause = match asked {
            Ok(()) => Duration::ZERO,
            Err(Failure::Database(error)) => {
                self.archive.unwell(&error);
                LEAVE
            }
            // It is no project's trouble, and passes.
            Err(Failure::Source) => LEAVE,
        };
        // Others ask meanwhile: what is theirs is taken for its own, and waited for.
        let sent = connector.traffic().sent.saturating_sub(sent).clamp(1, MOST_REQUESTS);
        pause.max(share_of(budget(), sent, SHARE))
    }

    async fn ask(
        &self,
        connector: &Arc<dyn Connector>,
        part: &dyn Deployments,
        history: &Arc<dyn History>,
        key: &ProjectKey,
        project: &Project,
    ) -> Result<(), Failure> {
        let now = self.hub.clock().now();
        let settled = self.hub.read(|p| p.board.get(key).map(Settled::of)).unwrap_or_default();
        let mut known = {
            let mut all = locked(&self.known);
            let known = all.entry(key.clone()).or_default();
            // What a webhook tells from now on may not be in the answer.
            let before = known.clone();
            known.told = false;
            before
        };
        // The same question all day, so that it can be answered that nothing is new.
        let horizon = Day::of(self.archive.horizon(now)).start();
        let since = known.until.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(horizon);
        let ask = DeploymentsAsk { project, since, environments: &known.environments };
        match part.deployments(ask).await {
            Ok(answer) => {
                for deployments in answer.items.chunks(AT_ONCE) {
                    let mut batch = Batch::at(now);
                    batch.deployments = deployments.iter().map(|d| (key.clone(), d.clone())).collect();
                    if let Err(error) = self.archive.write(history, batch).await {
                        self.still_told(key, known.told);
                        return Err(Failure::Database(error));
                    }
                }
                known.takes(&answer, now);
            }
            // What is refused to a source that is set otherwise by now may not be to the one in its place.
            Err(error) if error.concerns_source() || !self.connectors.has(connector) => {
                tracing::debug!(project = %key, %error, "deployments could not be read");
                self.still_told(key, known.told);
                return Err(Failure::Source);
            }
            // Switched off, or not for this token.
            Err(Error::Forbidden(_) | Error::NotFound(_) | Error::Refused(_) | Error::Legal(_)) => {
                known.found = Found::Refused;
            }
            Err(error) => {
                tracing::debug!(project = %key, %error, "deployments could not be read");
                known.found = Found::Failed;
                known.failures = known.failures.saturating_add(1);
            }
        }
        (known.asked, known.settled) = (now.as_millisecond(), settled);
        let bytes = {
            let mut all = locked(&self.known);
            known.told = all.get(key).is_some_and(|known| known.told);
            let bytes = serde_json::to_vec(&known).unwrap_or_default();
            all.insert(key.clone(), known);
            bytes
        };
        let kept = [(key.id.as_str().to_owned(), Some(bytes))];
        self.archive.within(history.keep(&shelf(&key.source), &kept)).await.map_err(Failure::Database)
    }
}

impl Reader {
    /// What a webhook told is still to be asked for.
    fn still_told(&self, key: &ProjectKey, told: bool) {
        if let Some(known) = locked(&self.known).get_mut(key) {
            known.told |= told;
        }
    }
}

/// A question takes no more requests than this: pages of deployments, and one of environments.
const MOST_REQUESTS: u64 = (Deployed::MAX / 100) as u64 + 1;

enum Failure {
    Database(history::Error),
    Source,
}

#[cfg(test)]
mod tests {
    use config::{Inputs, Role};
    use connector::Heads;
    use domain::{Deployment, NativeId, Pipeline, RunId, SystemClock};

    use super::*;
    use crate::board::{Observation, Seen};
    use crate::mirror::Mirror;
    use crate::sources::Source;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_750_000_000 + minute * 60).unwrap()
    }

    fn settled(on_default: i64, anywhere: i64) -> Settled {
        let ms = |minute| Some(at(minute).as_millisecond());
        Settled { on_default: ms(on_default), anywhere: ms(anywhere) }
    }

    fn known(found: Found) -> Known {
        Known {
            asked: at(100).as_millisecond(),
            found,
            settled: settled(90, 90),
            failures: 1,
            ..Known::default()
        }
    }

    #[test]
    fn a_project_is_asked_about_when_it_may_have_something_new() {
        let due = |found, settled| known(found).due(settled);
        let [same, there, elsewhere] = [settled(90, 90), settled(101, 101), settled(90, 101)];
        assert_eq!(due(Found::Some, same), None);
        assert_eq!(due(Found::Some, there), Some(at(105)));
        assert_eq!(due(Found::Some, elsewhere), Some(at(160)));
        for found in [Found::None, Found::Refused] {
            assert_eq!([same, elsewhere].map(|s| due(found, s)), [None; 2], "{found:?}");
            assert_eq!(due(found, there), Some(at(100 + 24 * 60)), "{found:?}: once a day at most");
        }
        assert_eq!(due(Found::Failed, same), Some(at(110)));
        let often = Known { failures: 30, ..known(Found::Failed) };
        assert_eq!(often.due(same), Some(at(100 + 24 * 60)));
        assert_eq!(Known { goes_on: true, ..known(Found::Some) }.due(same), Some(at(160)));
        assert_eq!(Known { told: true, ..known(Found::Some) }.due(same), Some(at(105)));
    }

    #[test]
    fn an_answer_without_news_leaves_what_is_known() {
        let of = |status, minute| Deployment {
            updated_at: Some(at(minute)),
            ..Deployment::new("1", "production", status, "word")
        };
        let answer =
            |items| Deployed { items, environments: BTreeMap::from([("eu".to_owned(), Some(true))]) };
        let mut known = known(Found::None);
        known.takes(&answer(vec![of(Status::Running, 50), of(Status::Success, 40)]), at(100));
        assert_eq!(
            (known.found, known.goes_on, known.until),
            (Found::Some, true, Some(at(50).as_millisecond()))
        );
        known.takes(&answer(Vec::new()), at(200));
        assert_eq!(
            (known.found, known.goes_on, known.until),
            (Found::Some, false, Some(at(50).as_millisecond()))
        );
        known.takes(
            &answer(vec![of(Status::Running, 60), of(Status::Queued, 60 + 24 * 60)]),
            at(60 + 24 * 60),
        );
        assert!(!known.goes_on, "what waits for somebody is not waited for");
        let text = serde_json::to_vec(&known).unwrap();
        assert_eq!(serde_json::from_slice::<Known>(&text).unwrap(), known);
    }

    struct Refuses;

    #[tonic::async_trait]
    impl Deployments for Refuses {
        async fn deployments(&self, _: DeploymentsAsk<'_>) -> connector::Result<Deployed> {
            Err(Error::Forbidden("scope".into()))
        }
    }

    /// A source as it is set up once more.
    fn set_up() -> Arc<dyn Connector> {
        let env = [("GITLAB_URL", "http://127.0.0.1:1"), ("GITLAB_TOKEN", "t")];
        let settings = config::load(&Inputs::isolated(Role::Aggregator, None, env)).unwrap().settings;
        (connector_gitlab::PLATFORM.build)(&settings.sources[0], Arc::new(SystemClock)).unwrap()
    }

    #[tokio::test]
    async fn what_was_refused_to_a_source_is_due_once_it_is_set_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let history = history_sqlite::open(path, history_sqlite::Options::default()).await.unwrap();
        let history: Arc<dyn History> = Arc::new(history);
        let (hub, connectors) = (Arc::new(Hub::new(Arc::new(SystemClock))), Arc::<Registry>::default());
        let (before, id) = (set_up(), connector_gitlab::PLATFORM.descriptor.id);
        let source = before.source().clone();
        hub.configure(|p| {
            let row = Source::new(source.clone(), id.as_str(), String::new());
            p.sources.insert(source.clone(), row);
        });
        let key = ProjectKey::new(source.clone(), NativeId::new("1"));
        let main = Some("main".to_owned());
        let project = Project { default_branch: main.clone(), ..Project::named(key.clone(), id, "p") };
        hub.observe(Observation { asked_at: at(0), seen: Seen::Projects(vec![project.clone()]) });
        let run = Pipeline {
            branch: main,
            created_at: Some(at(0)),
            finished_at: Some(at(0)),
            ..Pipeline::new(RunId::from(1), Status::Success, "success")
        };
        let heads = Box::new(Heads { pipelines: vec![run], ..Heads::default() });
        hub.observe(Observation { asked_at: at(1), seen: Seen::Heads(key.clone(), heads) });
        let archive =
            Archive::new(config::Database::default(), Arc::new(Mirror::off()), Arc::new(SystemClock));
        connectors.put(Arc::clone(&before));
        let reader = Reader::new(Arc::new(archive), hub, Arc::clone(&connectors));
        let is_due = || locked(&reader.waiting).contains_key(&key);

        reader.recall(&source, &history).await.unwrap();
        assert!(is_due());
        reader.step(&before, &Refuses, &history, &key, &project).await;
        assert!(!is_due(), "it is refused");
        connectors.put(set_up());
        reader.recall(&source, &history).await.unwrap();
        assert!(is_due(), "it may be answered by now");
        reader.step(&before, &Refuses, &history, &key, &project).await;
        assert!(is_due(), "what was asked before that says nothing of now");
    }
}
