//! History over any [`Store`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::stats::Estimate;
use domain::{Branch, Job, Pipeline, PlatformId, ProjectKey, RunId, SourceName, Timestamp};

use crate::answers::{
    self, Ask, Behind, Broken, Course, Delivery, DeploymentRule, FailureGroup, Figures, Flaky, Heat, Ranked,
    Ranking,
};
use crate::cached::{Cached, Rolls, STATE};
use crate::calendar::LEVELS;
use crate::merge::Attempt;
use crate::reading::{Names, Numbers, Texts, moment, project, project_key, status_number};
use crate::roll::{Kind, Parts, Roll, RollKey};
use crate::store::{JobKind, PersonRow, ProjectRow, RunQuery, RunRow, SourceRow, Store, Writing};
use crate::text::run_key;
use crate::{
    Batch, Day, Health, History, Ingested, Known, Logged, PageOf, Remembered, Result, RunFilter, Treated,
    Webhook, WebhookEntry,
};

/// Texts are remembered up to so many bytes, so that writing a batch does not ask for the number of `main` each time.
const MAX_REMEMBERED_BYTES: usize = 16 << 20;
/// Days for which nothing can stand.
pub(crate) const FOR_EVER: (i32, i32) = (-1_000_000, 1_000_000);

/// History over a database.
#[derive(Debug)]
pub struct Keeper<S> {
    pub(crate) store: S,
    /// Writers wait here for each other; those of other processes wait in the database.
    pub(crate) writer: tokio::sync::Mutex<()>,
    /// Runs before this day are not taken in.
    pub(crate) oldest: AtomicI32,
    remembered: Mutex<Cache>,
    /// Statistics that were read lately.
    pub(crate) statistics: Cached,
}

#[derive(Debug, Default)]
struct Cache {
    names: Names,
    numbers: Numbers,
    bytes: usize,
}

impl Cache {
    fn make_room(&mut self) {
        if self.bytes > MAX_REMEMBERED_BYTES {
            *self = Self::default();
        }
    }

    fn word(&mut self, id: i32, text: &Arc<str>) {
        self.bytes += 2 * size_of::<(i32, Arc<str>)>() + text.len();
        self.names.words.insert(id, Arc::clone(text));
        self.numbers.words.insert(Arc::clone(text), id);
    }

    fn person(&mut self, id: i32, row: &PersonRow) {
        self.bytes += 2 * (size_of::<(i32, PersonRow)>() + row.0.len() + row.1.len() + row.2.len());
        self.names.people.insert(id, Arc::new(row.clone()));
        self.numbers.people.insert(row.clone(), id);
    }

    fn kind(&mut self, id: i32, kind: JobKind) {
        self.bytes += 2 * size_of::<(i32, JobKind)>();
        self.names.kinds.insert(id, kind);
        self.numbers.kinds.insert(kind, id);
    }
}

impl<S: Store> Keeper<S> {
    /// Keeps history in a database that is ready (connected, migrated), and counts its runs anew where a migration has
    /// changed what is counted, which takes about as long as to write them all.
    ///
    /// # Errors
    /// As every question to the database.
    pub async fn opened(store: S) -> Result<Self> {
        let keeper = Self::new(store);
        keeper.recount().await?;
        Ok(keeper)
    }

    /// Keeps history in a database that is ready (connected, migrated, counted).
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            store,
            writer: tokio::sync::Mutex::new(()),
            oldest: AtomicI32::new(i32::MIN),
            remembered: Mutex::new(Cache::default()),
            statistics: Cached::default(),
        }
    }

    fn cache<R>(&self, f: impl FnOnce(&mut Cache) -> R) -> R {
        f(&mut self.remembered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps what was given numbers in a transaction that has been committed.
    pub(crate) fn remember(&self, fresh: Numbers, kinds: &HashMap<i32, JobKind>) {
        self.cache(|cache| {
            cache.make_room();
            for (text, id) in &fresh.words {
                cache.word(*id, text);
            }
            for (row, id) in &fresh.people {
                cache.person(*id, row);
            }
            for (kind, id) in fresh.kinds {
                if kinds.contains_key(&id) {
                    cache.kind(id, kind);
                }
            }
        });
    }

    /// Numbers for texts, people and the jobs of some attempts; those that are new stand in `fresh` as well.
    pub(crate) async fn numbers(
        &self,
        tx: &mut S::Tx,
        texts: Texts,
        attempts: &[&Attempt],
        fresh: &mut Numbers,
    ) -> Result<(Numbers, HashMap<i32, JobKind>)> {
        let mut numbers = Numbers::default();
        let (mut new_words, mut new_people) = (Vec::new(), Vec::new());
        self.cache(|cache| {
            for word in texts.words {
                match cache.numbers.words.get_key_value(word.as_str()) {
                    Some((text, id)) => drop(numbers.words.insert(Arc::clone(text), *id)),
                    None => new_words.push(word),
                }
            }
            for person in texts.people {
                match cache.numbers.people.get(&person) {
                    Some(id) => drop(numbers.people.insert(person, *id)),
                    None => new_people.push(person),
                }
            }
        });
        // In one order, so that two who write do not wait for each other.
        new_words.sort_unstable();
        new_people.sort_unstable();
        if !new_words.is_empty() {
            let ids = tx.intern_words(&new_words).await?;
            for (word, id) in new_words.into_iter().zip(ids) {
                let text: Arc<str> = word.into();
                fresh.words.insert(Arc::clone(&text), id);
                numbers.words.insert(text, id);
            }
        }
        if !new_people.is_empty() {
            let ids = tx.intern_people(&new_people).await?;
            for (person, id) in new_people.into_iter().zip(ids) {
                fresh.people.insert(person.clone(), id);
                numbers.people.insert(person, id);
            }
        }

        let jobs =
            attempts.iter().flat_map(|a| a.jobs.iter().flat_map(BTreeMap::values).map(|j| (j, &a.pipeline)));
        let wanted: BTreeSet<JobKind> = jobs.map(|(job, run)| numbers.kind(job, run)).collect();
        let mut new_kinds = Vec::new();
        self.cache(|cache| {
            for kind in wanted {
                match cache.numbers.kinds.get(&kind) {
                    Some(id) => drop(numbers.kinds.insert(kind, *id)),
                    None => new_kinds.push(kind),
                }
            }
        });
        if !new_kinds.is_empty() {
            let ids = tx.intern_kinds(&new_kinds).await?;
            for (kind, id) in new_kinds.into_iter().zip(ids) {
                fresh.kinds.insert(kind, id);
                numbers.kinds.insert(kind, id);
            }
        }
        let kinds = numbers.kinds.iter().map(|(kind, id)| (*id, *kind)).collect();
        Ok((numbers, kinds))
    }

    /// What the numbers in some rows stand for, and those in `more`.
    pub(crate) async fn names(&self, rows: &[RunRow], more: &[i32]) -> Result<Names> {
        let mut words: BTreeSet<i32> = more.iter().copied().collect();
        let mut people = BTreeSet::new();
        let mut kinds = BTreeSet::new();
        for row in rows {
            words.extend([row.native, row.event, row.branch, row.lane, row.workflow, row.url, row.failure]);
            people.insert(row.author);
            for job in row.jobs.iter().flatten() {
                kinds.insert(job.kind);
                words.insert(job.reason);
            }
        }
        self.resolve(words, people, kinds).await
    }

    pub(crate) async fn resolve(
        &self,
        mut words: BTreeSet<i32>,
        mut people: BTreeSet<i32>,
        kinds: BTreeSet<i32>,
    ) -> Result<Names> {
        let mut names = Names { kinds: self.kinds(kinds).await?, ..Names::default() };
        words.extend(names.kinds.values().flat_map(|k| [k.name, k.stage, k.native, k.url]));
        words.remove(&0);
        people.remove(&0);
        self.cache(|cache| {
            words.retain(|id| match cache.names.words.get(id) {
                Some(text) => names.words.insert(*id, Arc::clone(text)).is_some_and(|_| false),
                None => true,
            });
            people.retain(|id| match cache.names.people.get(id) {
                Some(row) => names.people.insert(*id, Arc::clone(row)).is_some_and(|_| false),
                None => true,
            });
        });
        if !words.is_empty() {
            let ids: Vec<i32> = words.into_iter().collect();
            let found = self.store.words(&ids).await?;
            self.cache(|cache| {
                cache.make_room();
                for (id, text) in found {
                    let text: Arc<str> = text.into();
                    cache.word(id, &text);
                    names.words.insert(id, text);
                }
            });
        }
        if !people.is_empty() {
            let ids: Vec<i32> = people.into_iter().collect();
            let found = self.store.people(&ids).await?;
            self.cache(|cache| {
                for (id, row) in found {
                    cache.person(id, &row);
                    names.people.insert(id, Arc::new(row));
                }
            });
        }
        Ok(names)
    }

    async fn kinds(&self, mut ids: BTreeSet<i32>) -> Result<HashMap<i32, JobKind>> {
        let mut kinds = HashMap::new();
        self.cache(|cache| {
            ids.retain(|id| match cache.names.kinds.get(id) {
                Some(kind) => kinds.insert(*id, *kind).is_some_and(|_| false),
                None => true,
            });
        });
        ids.remove(&0);
        if !ids.is_empty() {
            let ids: Vec<i32> = ids.into_iter().collect();
            let found = self.store.job_kinds(&ids).await?;
            self.cache(|cache| {
                for (id, kind) in found {
                    cache.kind(id, kind);
                    kinds.insert(id, kind);
                }
            });
        }
        Ok(kinds)
    }

    /// Kinds of the jobs of some rows, some of which were made in this transaction.
    pub(crate) async fn kinds_of(
        &self,
        rows: &[RunRow],
        made: &HashMap<i32, JobKind>,
    ) -> Result<HashMap<i32, JobKind>> {
        let ids: BTreeSet<i32> = rows
            .iter()
            .flat_map(|r| r.jobs.iter().flatten())
            .map(|j| j.kind)
            .filter(|id| !made.contains_key(id))
            .collect();
        let mut kinds = self.kinds(ids).await?;
        kinds.extend(made);
        Ok(kinds)
    }

    /// The numbers of all that is counted of some attempts that are in the database, which `names` are those of.
    pub(crate) async fn numbers_of(&self, names: &Names, attempts: &[Attempt]) -> Result<Numbers> {
        let mut numbers = Numbers {
            words: names.words.iter().map(|(id, text)| (Arc::clone(text), *id)).collect(),
            ..Numbers::default()
        };
        let mut texts = Texts::default();
        attempts.iter().for_each(|attempt| texts.of(attempt));
        texts.words.retain(|text| !numbers.words.contains_key(text.as_str()));
        let unknown: Vec<String> = texts.words.into_iter().collect();
        for (id, text) in self.store.find_words(&unknown).await? {
            numbers.words.insert(text.into(), id);
        }
        Ok(numbers)
    }

    /// The number of a text; `None` when no row can have it.
    pub(crate) async fn number_of(&self, text: &str) -> Result<Option<i32>> {
        if let Some(id) = self.cache(|cache| cache.numbers.words.get(text).copied()) {
            return Ok(Some(id));
        }
        let found = self.store.find_words(&[text.to_owned()]).await?;
        Ok(found.into_iter().find(|(_, t)| t == text).map(|(id, _)| id))
    }

    pub(crate) async fn source(&self, name: &SourceName) -> Result<Option<SourceRow>> {
        Ok(self.store.sources().await?.into_iter().find(|s| s.name == name.as_str()))
    }

    pub(crate) async fn project(&self, key: &ProjectKey) -> Result<Option<ProjectRow>> {
        self.store.project(key.source.as_str(), key.id.as_str()).await
    }

    /// Statistics of some scopes, blocks `from` to `to`, by scope and block.
    pub(crate) async fn rolls(
        &self,
        kind: Kind,
        level: u8,
        scopes: &[i32],
        from: i32,
        to: i32,
    ) -> Result<Rolls> {
        self.statistics.rolls(&self.store, (kind, level), scopes, (from, to)).await
    }

    /// Commits what changes statistics, of some blocks or (`None`) of any. Nobody else writes meanwhile.
    pub(crate) async fn commit(&self, mut tx: S::Tx, changed: Option<&[RollKey]>) -> Result<()> {
        if changed.is_some_and(<[RollKey]>::is_empty) {
            return tx.commit().await;
        }
        let (before, after) = (self.store.note(STATE).await?, self.statistics.next_state());
        tx.set_notes(&[(STATE.to_owned(), Some(after.clone()))]).await?;
        tx.commit().await?;
        self.statistics.wrote(before.as_deref(), after, changed);
        Ok(())
    }

    /// How many runs each project has, as far as its statistics say.
    async fn totals(&self, projects: &[i32]) -> Result<HashMap<i32, u64>> {
        let level = LEVELS.len() as u8 - 1;
        let rolls = self.store.rolls(Kind::Runs.number(), level, projects, FOR_EVER.0, FOR_EVER.1).await?;
        let mut totals: HashMap<i32, u64> = HashMap::new();
        for (project, _, bytes) in rolls {
            let total = totals.entry(project).or_default();
            Roll::each_of(&bytes, Parts::Counts, |_| true, |_, group| *total += group.runs())?;
        }
        Ok(totals)
    }

    /// What to ask of a project's runs; `None` when none can fit.
    async fn query(&self, project: &ProjectKey, filter: &RunFilter) -> Result<Option<RunQuery>> {
        let Some(row) = self.project(project).await? else { return Ok(None) };
        let mut query = RunQuery {
            projects: vec![row.id],
            from: FOR_EVER.0,
            to: FOR_EVER.1,
            newest: true,
            ..RunQuery::default()
        };
        if let Some(branch) = &filter.branch {
            let Some(id) = self.number_of(branch).await? else { return Ok(None) };
            query.branch = id;
        }
        if let Some(lane) = filter.lane.as_deref().filter(|l| !l.is_empty()) {
            let Some(id) = self.number_of(lane).await? else { return Ok(None) };
            query.lane = id;
        }
        query.statuses = filter.statuses.iter().fold(0, |bits, s| bits | 1 << status_number(*s));
        Ok(Some(query))
    }
}

#[async_trait]
impl<S: Store> History for Keeper<S> {
    async fn health(&self) -> Result<Health> {
        self.store.health().await
    }

    async fn ingest(&self, batch: Batch) -> Result<Ingested> {
        self.write(batch).await
    }

    async fn log_webhooks(&self, webhooks: &[Webhook]) -> Result<Vec<Logged>> {
        let _one_at_a_time = self.writer.lock().await;
        let mut tx = self.store.begin(true).await?;
        let mut logged = Vec::with_capacity(webhooks.len());
        for webhook in webhooks {
            logged.push(tx.log_webhook(webhook).await?);
        }
        tx.commit().await?;
        Ok(logged)
    }

    async fn treat_webhooks(&self, treated: &[(SourceName, String, Treated)]) -> Result<()> {
        let _one_at_a_time = self.writer.lock().await;
        let mut tx = self.store.begin(false).await?;
        for (source, delivery, treated) in treated {
            tx.treat_webhook(source.as_str(), delivery, treated).await?;
        }
        tx.commit().await
    }

    async fn webhooks(
        &self,
        source: &SourceName,
        untreated: bool,
        limit: usize,
    ) -> Result<Vec<WebhookEntry>> {
        self.store.webhooks(source.as_str(), untreated, i64::try_from(limit).unwrap_or(i64::MAX)).await
    }

    async fn remembered(
        &self,
        source: &SourceName,
        platform: PlatformId,
        runs: usize,
    ) -> Result<Vec<Remembered>> {
        let Some(row) = self.source(source).await? else { return Ok(Vec::new()) };
        let projects: Vec<ProjectRow> = self
            .store
            .projects()
            .await?
            .into_iter()
            .filter(|p| p.source == row.id && p.gone_at.is_none() && p.described)
            .collect();
        let ids: Vec<i32> = projects.iter().map(|p| p.id).collect();
        let rows = self.store.newest_runs(&ids, i64::try_from(runs).unwrap_or(i64::MAX)).await?;
        let heads = self.store.default_heads(&ids).await?;
        let mut names =
            self.names(&rows, &heads.iter().flat_map(|h| [h.branch, h.url]).collect::<Vec<_>>()).await?;
        let authors = heads.iter().map(|h| h.author).collect();
        names.people.extend(self.resolve(BTreeSet::new(), authors, BTreeSet::new()).await?.people);
        let mut of: HashMap<i32, Vec<Pipeline>> = HashMap::new();
        for run in &rows {
            of.entry(run.project).or_default().push(names.pipeline(run)?);
        }
        let totals = self.totals(&ids).await?;
        let mut head_of = HashMap::new();
        for head in &heads {
            head_of.insert(head.project, names.branch(head)?);
        }
        Ok(projects
            .into_iter()
            .map(|p| Remembered {
                project: project(source, platform, &p),
                runs: of.remove(&p.id).unwrap_or_default(),
                head: head_of.remove(&p.id),
                total: totals.get(&p.id).copied().unwrap_or_default(),
                known: p.known,
            })
            .collect())
    }

    async fn runs(
        &self,
        project: &ProjectKey,
        filter: &RunFilter,
        skip: usize,
        limit: usize,
    ) -> Result<PageOf<Pipeline>> {
        let Some(mut query) = self.query(project, filter).await? else {
            return Ok(PageOf { items: Vec::new(), total: 0 });
        };
        query.skip = i64::try_from(skip).unwrap_or(i64::MAX);
        query.limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let total = self.store.count_runs(&query).await?;
        let rows = self.store.runs(&query).await?;
        let names = self.names(&rows, &[]).await?;
        let items = rows.iter().map(|r| names.pipeline(r)).collect::<Result<_>>()?;
        Ok(PageOf { items, total })
    }

    async fn attempts(&self, project: &ProjectKey, run: &RunId) -> Result<Vec<(Pipeline, Vec<Job>)>> {
        let Some(project) = self.project(project).await? else { return Ok(Vec::new()) };
        let rows = self.store.attempts(project.id, run_key(run)).await?;
        let names = self.names(&rows, &[]).await?;
        let read = |row: &RunRow| {
            let jobs = names.jobs(row)?.unwrap_or_default().into_values().collect();
            Ok((names.pipeline(row)?, jobs))
        };
        rows.iter().map(read).collect()
    }

    async fn snapshots(
        &self,
        project: &ProjectKey,
        branch: &str,
        limit: usize,
    ) -> Result<Vec<(Branch, Timestamp)>> {
        let Some(project) = self.project(project).await? else { return Ok(Vec::new()) };
        let Some(branch) = self.number_of(branch).await? else { return Ok(Vec::new()) };
        let rows = self.store.snapshots(project.id, branch, i64::try_from(limit).unwrap_or(i64::MAX)).await?;
        let words = rows.iter().flat_map(|r| [r.branch, r.url]).collect();
        let names = self.resolve(words, rows.iter().map(|r| r.author).collect(), BTreeSet::new()).await?;
        rows.iter().map(|r| Ok((names.branch(r)?, moment(Some(r.seen_at)).unwrap_or_default()))).collect()
    }

    async fn unfinished(&self, source: &SourceName) -> Result<Vec<(ProjectKey, Pipeline)>> {
        let Some(row) = self.source(source).await? else { return Ok(Vec::new()) };
        let rows = self.store.unfinished(row.id).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let names = self.names(&rows, &[]).await?;
        let projects = self.store.projects().await?;
        let key_of: HashMap<i32, ProjectKey> = projects
            .iter()
            .filter(|p| p.source == row.id && p.gone_at.is_none())
            .map(|p| (p.id, project_key(source, p)))
            .collect();
        let of_project = rows.iter().filter_map(|run| Some((key_of.get(&run.project)?, run)));
        of_project.map(|(key, run)| Ok((key.clone(), names.pipeline(run)?))).collect()
    }

    async fn watermarks(&self, source: &SourceName) -> Result<BTreeMap<ProjectKey, Known>> {
        let Some(row) = self.source(source).await? else { return Ok(BTreeMap::new()) };
        let projects = self.store.projects().await?;
        let of_source = projects.into_iter().filter(|p| p.source == row.id);
        Ok(of_source.filter_map(|p| Some((project_key(source, &p), p.known?))).collect())
    }

    async fn note(&self, name: &str) -> Result<Option<String>> {
        self.store.note(name).await
    }

    async fn set_notes(&self, notes: &[(String, Option<String>)]) -> Result<()> {
        let _one_at_a_time = self.writer.lock().await;
        let mut tx = self.store.begin(false).await?;
        tx.set_notes(notes).await?;
        tx.commit().await
    }

    async fn kept(&self, shelf: &str) -> Result<Vec<(String, Vec<u8>)>> {
        self.store.kept(shelf).await
    }

    async fn keep(&self, shelf: &str, values: &[(String, Option<Vec<u8>>)]) -> Result<()> {
        let _one_at_a_time = self.writer.lock().await;
        let mut tx = self.store.begin(false).await?;
        tx.keep(shelf, values).await?;
        tx.commit().await
    }

    async fn preferences(&self, user: &str) -> Result<BTreeMap<String, String>> {
        Ok(self.store.preferences(user).await?.into_iter().collect())
    }

    async fn set_preference(
        &self,
        user: &str,
        name: &str,
        value: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        let _one_at_a_time = self.writer.lock().await;
        let mut tx = self.store.begin(false).await?;
        tx.set_preference(user, name, value, now.as_millisecond()).await?;
        tx.commit().await
    }

    async fn prune(&self, runs_before: Option<Day>, webhooks_before: Timestamp) -> Result<()> {
        if let Some(day) = runs_before {
            self.oldest.fetch_max(day.0, Ordering::Relaxed);
        }
        let _one_at_a_time = self.writer.lock().await;
        let mut tx = self.store.begin(false).await?;
        if let Some(day) = runs_before {
            tx.drop_before(day.0).await?;
        }
        tx.drop_webhooks(webhooks_before.as_millisecond()).await?;
        self.commit(tx, if runs_before.is_some() { None } else { Some(&[]) }).await
    }

    async fn prepare(&self, now: Timestamp) -> Result<()> {
        let today = Day::of(now).0;
        let _one_at_a_time = self.writer.lock().await;
        let mut tx = self.store.begin(false).await?;
        let days: Vec<i32> = (today..=today + answers::DAYS_AHEAD).collect();
        tx.make_room(&days).await?;
        tx.commit().await
    }

    async fn estimate(&self, project: &ProjectKey, lane: &str) -> Result<Option<Estimate>> {
        answers::estimate(self, project, lane).await
    }

    async fn figures(&self, ask: &Ask) -> Result<Figures> {
        answers::figures(self, ask).await
    }

    async fn course(&self, ask: &Ask) -> Result<Course> {
        answers::course(self, ask).await
    }

    async fn ranking(&self, ask: &Ask, ranking: &Ranking) -> Result<Vec<Ranked>> {
        answers::ranking(self, ask, ranking).await
    }

    async fn broken(&self, ask: &Ask) -> Result<Vec<Broken>> {
        answers::broken(self, ask).await
    }

    async fn flaky(&self, ask: &Ask) -> Result<Vec<Flaky>> {
        answers::flaky(self, ask).await
    }

    async fn failure_groups(&self, ask: &Ask, limit: usize) -> Result<Vec<FailureGroup>> {
        answers::failure_groups(self, ask, limit).await
    }

    async fn heat(&self, ask: &Ask) -> Result<Heat> {
        answers::heat(self, ask).await
    }

    async fn delivery(&self, ask: &Ask, rule: &DeploymentRule) -> Result<Delivery> {
        answers::delivery(self, ask, rule).await
    }

    async fn behind(
        &self,
        ask: &Ask,
        behind: &Behind,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<(ProjectKey, Pipeline)>> {
        answers::behind(self, ask, behind, skip, limit).await
    }
}
