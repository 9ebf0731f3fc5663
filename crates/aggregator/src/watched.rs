//! The names that people watch, over all sources.
//!
//! A name without a wildcard is asked for at every source that could hold it. A row that says "not found" appears only
//! when every one of them has answered and none has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use domain::{NativeId, PatternError, Patterns, Problem, ProblemKind, Project, ProjectKey, SourceName};

/// What one source says of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Pending,
    Found(ProjectKey),
    Not(Problem),
}

/// `filters.watched_repos`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Names {
    names: Vec<String>,
    globs: Patterns,
}

impl Names {
    /// Reads the entries.
    ///
    /// # Errors
    /// The first glob that does not parse.
    pub fn new(entries: &[String]) -> Result<Self, PatternError> {
        let (globs, names): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(|e| Patterns::is_glob(e));
        Ok(Self { names, globs: Patterns::new(globs)? })
    }

    fn are(&self, project: &Project) -> bool {
        let (id, name) = (project.key.id.as_str(), project.name.as_str());
        self.names.iter().any(|n| n == id || n.eq_ignore_ascii_case(name))
    }
}

/// The names that are watched now, and what became of each.
#[derive(Debug, Default)]
pub struct Watched {
    wanted: RwLock<Names>,
    answers: Mutex<BTreeMap<String, BTreeMap<SourceName, Answer>>>,
    orphaned: Mutex<BTreeSet<(ProjectKey, String)>>,
}

impl Watched {
    /// For these names.
    #[must_use]
    pub fn new(names: Names) -> Self {
        Self { wanted: RwLock::new(names), ..Self::default() }
    }

    fn wanted(&self) -> RwLockReadGuard<'_, Names> {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether these are the names.
    #[must_use]
    pub fn is(&self, names: &Names) -> bool {
        *self.wanted() == *names
    }

    /// Goes on with other names. Every source is to say anew which it could hold.
    pub fn replace(&self, names: Names) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.wanted.write().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// A source is no more: what it said does not count.
    pub fn forget(&self, source: &SourceName) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.values_mut().for_each(|by_source| _ = by_source.remove(source));
        let mut orphaned = self.orphaned.lock().unwrap_or_else(PoisonError::into_inner);
        orphaned.retain(|(key, _)| &key.source != source);
    }

    /// Says which sources could hold which name. Before anything is asked.
    pub fn expect(&self, source: &SourceName, could_hold: impl Fn(&str) -> bool) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for name in self.wanted().names.iter().filter(|n| could_hold(n)) {
            answers.entry(name.clone()).or_default().insert(source.clone(), Answer::Pending);
        }
    }

    /// The names without a wildcard.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.wanted().names.clone()
    }

    /// Whether the sources' listings are needed at all.
    #[must_use]
    pub fn wants_listing(&self) -> bool {
        let wanted = self.wanted();
        wanted.names.is_empty() || !wanted.globs.is_empty()
    }

    /// Whether a project of a listing is wanted.
    #[must_use]
    pub fn lets_in(&self, project: &Project) -> bool {
        let wanted = self.wanted();
        let Names { names, globs } = &*wanted;
        if names.is_empty() && globs.is_empty() {
            return true;
        }
        let (id, name) = (project.key.id.as_str(), project.name.as_str());
        wanted.are(project) || (!globs.is_empty() && (globs.lets_in(name) || globs.lets_in(id)))
    }

    /// Whether a name without a wildcard is this project's: such a one never folds away.
    #[must_use]
    pub fn is_named(&self, project: &Project) -> bool {
        self.wanted().are(project)
    }

    fn answer(&self, source: &SourceName, name: &str, answer: Answer) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.entry(name.to_owned()).or_default().insert(source.clone(), answer);
    }

    /// A source has it.
    pub fn found(&self, source: &SourceName, name: &str, key: &ProjectKey) {
        self.answer(source, name, Answer::Found(key.clone()));
    }

    /// A source's webhook told of it: so it has it, under whichever of its names it is watched.
    pub fn told(&self, source: &SourceName, project: &Project) {
        let (id, name) = (project.key.id.as_str(), project.name.as_str());
        for named in self.wanted().names.iter().filter(|n| *n == id || n.eq_ignore_ascii_case(name)) {
            self.found(source, named, &project.key);
        }
    }

    /// A source does not have it, or does not give it.
    pub fn missed(&self, source: &SourceName, name: &str, problem: &Problem) {
        self.answer(source, name, Answer::Not(problem.clone()));
    }

    /// A source does not answer: what is not known from before is missing for that reason.
    pub fn failed(&self, source: &SourceName, problem: &Problem) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for answer in answers.values_mut().filter_map(|by_source| by_source.get_mut(source)) {
            if *answer == Answer::Pending {
                *answer = Answer::Not(problem.clone());
            }
        }
    }

    /// The names that nobody has, each once: at the source whose reason tells most. Gives the ids that belong to
    /// `source`, and the rows to make for it (others make their own).
    pub fn orphans(&self, source: &SourceName) -> (Vec<NativeId>, Vec<(ProjectKey, String, Problem)>) {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut orphaned = self.orphaned.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut mine, mut rows) = (Vec::new(), Vec::new());
        for (name, by_source) in answers.iter() {
            let nobody = by_source.values().all(|a| matches!(a, Answer::Not(_)));
            if !nobody {
                continue;
            }
            let tells_most = |p: &Problem| (p.kind == ProblemKind::NotFound, p.kind);
            let best = by_source
                .iter()
                .filter_map(|(s, a)| if let Answer::Not(p) = a { Some((s, p)) } else { None })
                .min_by_key(|(_, p)| tells_most(p));
            let Some((at, problem)) = best else { continue };
            let key = ProjectKey::new(at.clone(), NativeId::new(name));
            orphaned.insert((key.clone(), name.clone()));
            if at == source {
                mine.push(key.id.clone());
            }
            let text = match problem.kind {
                ProblemKind::NotFound if by_source.len() > 1 => {
                    format!(
                        "not found at any of {} sources that could hold it, or not visible to their tokens",
                        by_source.len()
                    )
                }
                _ => problem.text.clone(),
            };
            rows.push((key, name.clone(), Problem::new(problem.kind, text)));
        }
        (mine, rows)
    }

    /// Rows made for a name that somebody has after all.
    pub fn found_elsewhere(&self) -> Vec<ProjectKey> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut orphaned = self.orphaned.lock().unwrap_or_else(PoisonError::into_inner);
        let found: Vec<_> = orphaned
            .iter()
            .filter(|(key, name)| {
                answers.get(name).is_some_and(|by_source| {
                    by_source.values().any(|a| matches!(a, Answer::Found(found) if found != key))
                })
            })
            .cloned()
            .collect();
        for entry in &found {
            orphaned.remove(entry);
        }
        found.into_iter().map(|(key, _)| key).collect()
    }
}
