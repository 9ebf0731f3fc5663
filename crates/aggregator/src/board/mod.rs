//! The current state of everything, held in memory, each state numbered.
//!
//! Pure: observations go in, changes come out; no I/O, no clock, no locks. Four rules hold whatever the order in which
//! observations arrive:
//!
//! * older news never overwrites newer (by the platform's own time of a run, else by when we asked);
//! * a late answer never resurrects a project that has left;
//! * a re-run may leave a terminal state;
//! * an observation that says nothing new changes nothing, so nobody is woken.

mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connector::{Heads, HeadsAsk};
use domain::{
    Narrowing, NativeId, Patterns, Pipeline, Problem, Project, ProjectKey, RunId, SourceName, Timestamp,
};

pub use entry::{Entry, MAX_RUNS, QUIET_AFTER, Shown};

/// What entered, and when it was asked for: the beginning of the request, since the platform may have answered at any
/// moment after that.
#[derive(Debug, Clone)]
pub struct Observation {
    /// When the request was sent.
    pub asked_at: Timestamp,
    /// What came.
    pub seen: Seen,
}

/// What a connector saw.
#[derive(Debug, Clone)]
pub enum Seen {
    /// A page of a listing, or a project asked for by name.
    Projects(Vec<Project>),
    /// A listing came to its end: what it did not name has left.
    ListingEnded {
        /// Whose.
        source: SourceName,
        /// What it named.
        named: BTreeSet<NativeId>,
    },
    /// The state of one project.
    Heads(ProjectKey, Box<Heads>),
    /// One run, read by itself.
    Run(ProjectKey, Box<Pipeline>),
    /// A webhook's news: all at once, so that whoever watches hears of it once.
    Told(Box<Told>),
    /// A project that cannot be read, and why.
    Unreadable(ProjectKey, Problem),
    /// A watched name that no source has: a row with the reason.
    NotFound(Project, Problem),
    /// A project that is gone for certain.
    Gone(ProjectKey),
}

impl Seen {
    /// Whose; `None` when it is nobody's, being about no project.
    #[must_use]
    pub fn source(&self) -> Option<&SourceName> {
        match self {
            Self::Projects(projects) => projects.first().map(|p| &p.key.source),
            Self::ListingEnded { source, .. } => Some(source),
            Self::Heads(key, _) | Self::Run(key, _) | Self::Unreadable(key, _) | Self::Gone(key) => {
                Some(&key.source)
            }
            Self::Told(told) => Some(&told.project.key.source),
            Self::NotFound(project, _) => Some(&project.key.source),
        }
    }
}

/// What a webhook told of one project.
#[derive(Debug, Clone)]
pub struct Told {
    /// The project, as far as the webhook tells: a row that is there already is not described by it, unless all that
    /// is known of it is that nobody found it.
    pub project: Project,
    /// Its runs as they were when the webhook was sent; whatever was not listed with them is not gone.
    pub runs: Vec<Pipeline>,
    /// Whether it becomes a row when it is none.
    pub add: bool,
}

/// What an observation altered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose row.
    pub project: ProjectKey,
    /// It left the board.
    pub gone: bool,
}

/// What a source's settings say about its rows.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Which branches the overview shows; empty: the default branch.
    pub branches: Patterns,
    /// Which runs count.
    pub narrowing: Narrowing,
}

/// A state of the board: the epoch rises with each start, so that a version never comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Start of the aggregator, milliseconds since 1970.
    pub epoch: u64,
    /// Changes since then.
    pub sequence: u64,
}

/// How many projects that left are remembered, so that late answers about them are known for what they are.
const MAX_GONE: usize = 10_000;

/// Everything that is known now.
#[derive(Debug)]
pub struct Board {
    version: Version,
    rules: BTreeMap<SourceName, Rules>,
    entries: BTreeMap<ProjectKey, Entry>,
    gone: BTreeMap<ProjectKey, Timestamp>,
}

impl Board {
    /// An empty board.
    #[must_use]
    pub const fn new(epoch: u64) -> Self {
        let version = Version { epoch, sequence: 0 };
        Self { version, rules: BTreeMap::new(), entries: BTreeMap::new(), gone: BTreeMap::new() }
    }

    /// Says how a source's rows are made. Before its first observation.
    pub fn configure(&mut self, source: SourceName, rules: Rules) {
        self.rules.insert(source, rules);
    }

    /// How a source's rows are made.
    #[must_use]
    pub fn rules(&self, source: &SourceName) -> Option<&Rules> {
        self.rules.get(source)
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Marks a change that is not of a project (a source's state).
    pub const fn touch(&mut self) -> Version {
        self.version.sequence += 1;
        self.version
    }

    /// All rows, by key.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Rows of one source.
    pub fn of_source<'a>(&'a self, source: &'a SourceName) -> impl Iterator<Item = &'a Entry> {
        self.entries.values().filter(move |e| &e.project.key.source == source)
    }

    /// One row.
    #[must_use]
    pub fn get(&self, key: &ProjectKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// One row by native id, else by full name, whatever the case.
    #[must_use]
    pub fn find(&self, source: &SourceName, id_or_name: &str) -> Option<&Entry> {
        let named =
            |e: &&Entry| &e.project.key.source == source && e.project.name.eq_ignore_ascii_case(id_or_name);
        self.get(&ProjectKey::new(source.clone(), NativeId::new(id_or_name)))
            .or_else(|| self.entries.values().find(named))
    }

    /// Whether it was here and has left, as far as that is remembered.
    #[must_use]
    pub fn has_left(&self, key: &ProjectKey) -> bool {
        self.gone.contains_key(key)
    }

    /// The question that brings a row up to date: what is known goes with it.
    #[must_use]
    pub fn ask(&self, key: &ProjectKey) -> Option<HeadsAsk> {
        let entry = self.entries.get(key)?;
        let named = self.rules.get(&key.source).map(|r| r.branches.texts()).unwrap_or_default();
        let branches =
            named.iter().filter(|b| !b.starts_with('!') && !Patterns::is_glob(b)).cloned().collect();
        Some(entry.ask(branches))
    }

    /// Merges an observation. Empty when it says nothing new.
    pub fn apply(&mut self, observation: Observation) -> Vec<Change> {
        let Observation { asked_at, seen } = observation;
        let changes = match seen {
            Seen::Projects(projects) => {
                projects.into_iter().filter_map(|p| self.project(p.bounded(), None, asked_at)).collect()
            }
            Seen::NotFound(project, problem) => match self.entries.get_mut(&project.key) {
                // A webhook knew it: what it told stays, with the reason why there is no more.
                Some(entry) if !entry.runs().is_empty() => {
                    let key = project.key;
                    let changed = entry.unreadable(problem, asked_at);
                    changed.then_some(Change { project: key, gone: false }).into_iter().collect()
                }
                _ => self.project(project.bounded(), Some(problem), asked_at).into_iter().collect(),
            },
            Seen::ListingEnded { source, named } => self.listing_ended(&source, &named, asked_at),
            Seen::Heads(key, heads) => {
                self.change(&key, |entry, rules| entry.observe(*heads, rules, asked_at))
            }
            Seen::Run(key, run) => self.change(&key, |entry, rules| entry.observe_run(run.bounded(), rules)),
            Seen::Told(told) => self.told(*told, asked_at),
            Seen::Unreadable(key, problem) => {
                self.change(&key, |entry, _| entry.unreadable(problem, asked_at))
            }
            Seen::Gone(key) => self.remove(&key, asked_at).into_iter().collect(),
        };
        if !changes.is_empty() {
            self.version.sequence += 1;
        }
        changes
    }

    fn change(&mut self, key: &ProjectKey, f: impl FnOnce(&mut Entry, &Rules) -> bool) -> Vec<Change> {
        let default = Rules::default();
        let rules = self.rules.get(&key.source).unwrap_or(&default);
        // A project that is not on the board has left, or was never listed: what is said of it comes too late.
        let changed = self.entries.get_mut(key).is_some_and(|entry| f(entry, rules));
        changed.then(|| Change { project: key.clone(), gone: false }).into_iter().collect()
    }

    fn project(&mut self, project: Project, problem: Option<Problem>, asked_at: Timestamp) -> Option<Change> {
        let key = project.key.clone();
        if self.gone.get(&key).is_some_and(|left| asked_at <= *left) {
            return None;
        }
        self.gone.remove(&key);
        let default = Rules::default();
        let rules = self.rules.get(&key.source).unwrap_or(&default);
        let changed = match self.entries.get_mut(&key) {
            Some(entry) => entry.describe(project, problem, rules, asked_at),
            None => {
                self.entries.insert(key.clone(), Entry::new(project, problem, asked_at));
                true
            }
        };
        changed.then_some(Change { project: key, gone: false })
    }

    fn told(&mut self, told: Told, asked_at: Timestamp) -> Vec<Change> {
        let Told { project, runs, add } = told;
        let (key, project) = (project.key.clone(), project.bounded());
        if !self.entries.contains_key(&key) {
            let newest = runs.iter().filter_map(|r| r.updated_at.or(r.began())).max();
            // It may have been sent before the project left, or be about how it left.
            let late = |left: &Timestamp| newest.is_none_or(|newest| newest <= *left);
            if !add || self.gone.get(&key).is_some_and(late) {
                return Vec::new();
            }
            self.gone.remove(&key);
            self.entries.insert(key.clone(), Entry::new(project.clone(), None, asked_at));
        }
        self.change(&key, |entry, rules| entry.told(project, runs, rules, asked_at))
    }

    fn listing_ended(
        &mut self,
        source: &SourceName,
        named: &BTreeSet<NativeId>,
        asked_at: Timestamp,
    ) -> Vec<Change> {
        let left: Vec<_> = self
            .of_source(source)
            // What was seen after the listing began (a webhook, a newer listing) is news that it could not have.
            .filter(|e| !named.contains(&e.project.key.id) && e.described_at() <= asked_at)
            .map(|e| e.project.key.clone())
            .collect();
        left.iter().filter_map(|key| self.remove(key, asked_at)).collect()
    }

    /// Takes all rows of a source away, as if they had never been there.
    pub fn empty(&mut self, source: &SourceName) -> Vec<Change> {
        self.gone.retain(|key, _| &key.source != source);
        let left: Vec<_> = self.of_source(source).map(|e| e.project.key.clone()).collect();
        for key in &left {
            self.entries.remove(key);
        }
        if !left.is_empty() {
            self.version.sequence += 1;
        }
        left.into_iter().map(|project| Change { project, gone: true }).collect()
    }

    fn remove(&mut self, key: &ProjectKey, asked_at: Timestamp) -> Option<Change> {
        self.entries.remove(key)?;
        if self.gone.len() >= MAX_GONE
            && let Some(oldest) = self.gone.iter().min_by_key(|(_, at)| **at).map(|(k, _)| k.clone())
        {
            self.gone.remove(&oldest);
        }
        self.gone.insert(key.clone(), asked_at);
        Some(Change { project: key.clone(), gone: true })
    }

    /// A run on the board.
    #[must_use]
    pub fn run(&self, key: &ProjectKey, run: &RunId) -> Option<&Arc<Pipeline>> {
        self.entries.get(key)?.runs().iter().find(|r| &r.id == run)
    }
}
