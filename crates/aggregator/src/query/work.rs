//! What lists of merge requests and of issues have in common: what they let in, and what they cannot tell.

use std::collections::BTreeMap;

use api::v1;
use domain::{Person, Problem, ProblemKind, ProjectKey, SourceName, Timestamp};
use jiff::SignedDuration;

use super::{Paging, Terms};
use crate::board::Entry;
use crate::hub::Present;
use crate::sources::State;
use crate::watched::Watched;
use crate::work::{Item, Kept, due};

/// A source that waits for its rate limit shows old lists from when they are older than this.
const OVERDUE: SignedDuration = SignedDuration::from_mins(60);
/// A source of which none of so many projects gives a list has a token that may not read them.
const NONE_OF: usize = 3;

/// What a list lets in, whatever it narrows by beyond that.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) project: Option<ProjectKey>,
    pub(super) terms: Terms,
    pub(super) sources: Vec<String>,
    pub(super) platforms: Vec<String>,
    pub(super) mine: bool,
    pub(super) reverse: bool,
    pub(super) paging: Paging,
}

impl Scope {
    fn lets_in(&self, entry: &Entry) -> bool {
        super::runs::is_of(entry, self.project.as_ref(), &self.sources, &self.platforms)
    }

    fn has_source(&self, source: &SourceName, platform: &str) -> bool {
        self.project.as_ref().is_none_or(|p| p.source == *source)
            && (self.sources.is_empty() || self.sources.iter().any(|s| s == source.as_str()))
            && (self.platforms.is_empty() || self.platforms.iter().any(|p| p == platform))
    }
}

/// What a question is answered from.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Board, lists, sources.
    pub present: &'a Present,
    /// Names that never fold away.
    pub watched: &'a Watched,
    /// The sources for the wire.
    pub sources: Vec<v1::Source>,
    /// The time of day.
    pub now: Timestamp,
}

/// An item and where it is from.
#[derive(Debug)]
pub(super) struct Row<'a, T> {
    pub(super) entry: &'a Entry,
    pub(super) item: &'a T,
    /// The current user of its source.
    pub(super) owner: Option<&'a Person>,
    /// Not newer than this, since it could not be read anew.
    pub(super) as_of: Option<Timestamp>,
}

impl<T> Row<'_, T> {
    /// Whether this is the current user.
    pub(super) fn is_me(&self, person: Option<&Person>) -> bool {
        self.owner.zip(person).is_some_and(|(me, person)| me.is_same(person))
    }

    /// Whether the current user is among them.
    pub(super) fn am_among(&self, people: &[Person]) -> bool {
        people.iter().any(|p| self.is_me(Some(p)))
    }
}

/// All items of the scope, in the order of projects; `texts` are what a search looks at beside the project.
pub(super) fn rows<'a, T: Item>(
    scope: &Scope,
    asked: &Asked<'a>,
    texts: impl Fn(&'a T) -> Vec<&'a str>,
) -> Vec<Row<'a, T>> {
    let present = asked.present;
    let mut rows = Vec::new();
    for (key, kept) in present.work.of::<T>().iter() {
        let Some(entry) = present.board.get(key).filter(|e| scope.lets_in(e)) else { continue };
        let source = present.sources.get(&key.source);
        let overdue = kept.read_at.is_none_or(|at| asked.now.duration_since(at) > OVERDUE);
        let stale = kept.failed || source.is_some_and(|s| s.is_stale(overdue));
        let owner = source.and_then(|s| s.owner.person());
        for item in &kept.items {
            let found = scope.terms.is_empty() || {
                let project = [entry.project.name.as_str(), key.source.as_str()];
                scope.terms.match_any(texts(item).into_iter().chain(project))
            };
            if found {
                rows.push(Row { entry, item, owner, as_of: kept.read_at.filter(|_| stale) });
            }
        }
    }
    rows
}

/// What a list cannot tell.
#[derive(Debug, Default)]
pub(super) struct Missing {
    pub(super) loading: bool,
    pub(super) problems: Vec<v1::Problem>,
    pub(super) not_asked: u32,
    pub(super) unread: u32,
}

/// What of one source is not there.
#[derive(Debug, Default)]
struct OfSource {
    unread: usize,
    read: usize,
    failed: Vec<String>,
    cut: Vec<String>,
    refused: Vec<Problem>,
    none: usize,
}

impl OfSource {
    fn count<T>(&mut self, entry: &Entry, kept: Option<&Kept<T>>) {
        let Some(kept) = kept else {
            self.unread += 1;
            return;
        };
        self.read += 1;
        if let Some(problem) = &kept.problem {
            self.failed.push(format!("{}: {}", entry.project.name, problem.text));
        } else if kept.more {
            self.cut.push(entry.project.name.clone());
        }
        if let Some(why) = &kept.has_none {
            self.none += 1;
            if why.kind == ProblemKind::Forbidden {
                self.refused.push(why.clone());
            }
        }
    }
}

/// What of the scope is not there, and why.
pub(super) fn missing<T: Item>(scope: &Scope, asked: &Asked<'_>) -> Missing {
    let present = asked.present;
    let has_part = |s: &&v1::Source| match T::KIND {
        crate::work::Kind::MergeRequests => s.has_merge_requests,
        crate::work::Kind::Issues => s.has_issues,
    };
    let with_part: Vec<&str> = asked.sources.iter().filter(has_part).map(|s| s.name.as_str()).collect();
    let mut all = Missing::default();
    let mut by_source: BTreeMap<&SourceName, OfSource> = BTreeMap::new();
    for entry in present.board.entries().filter(|e| scope.lets_in(e)) {
        let key = &entry.project.key;
        if !with_part.contains(&key.source.as_str()) {
            continue;
        }
        let kept = present.work.of::<T>().get(key);
        // A project that is asked about by name is read because of that.
        let read = scope.project.is_some() || due::is_asked(entry, asked.watched, asked.now);
        if !read && kept.is_none() {
            // One that is being read itself may turn out to be of interest.
            all.not_asked += u32::from(!entry.is_loading());
            continue;
        }
        by_source.entry(&key.source).or_default().count(entry, kept);
        if let (Some(_), Some(why)) = (&scope.project, kept.and_then(|k| k.has_none.as_ref())) {
            let text = format!("it has no {}, or not for this token: {}", T::KIND.as_str(), why.text);
            all.problems.push((&Problem::new(why.kind, text)).into());
        }
    }
    for (name, source) in &present.sources {
        if !with_part.contains(&name.as_str()) || !scope.has_source(name, source.platform) {
            continue;
        }
        let of = by_source.remove(name).unwrap_or_default();
        let waits = present.work.waits(name);
        let reads = matches!(source.state, State::Ok | State::Failing) && waits.is_none();
        all.loading |= source.state == State::Loading || (reads && of.unread > 0);
        all.unread = all.unread.saturating_add(u32::try_from(of.unread).unwrap_or(u32::MAX));
        all.problems.extend(of.in_words::<T>(name, waits, asked.now).iter().map(Into::into));
    }
    all
}

fn projects(n: usize) -> String {
    if n == 1 { "1 project".to_owned() } else { format!("{n} projects") }
}

impl OfSource {
    fn in_words<T: Item>(
        &self,
        source: &SourceName,
        waits: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<Problem> {
        let what = T::KIND.as_str();
        let mut texts = Vec::new();
        if let Some(until) = waits.filter(|until| *until > now) {
            let at = until.strftime("%H:%M UTC");
            let unread = match self.unread {
                0 => String::new(),
                n => format!(", those of {} for the first time", projects(n)),
            };
            texts.push(format!(
                "{source}: {what} are read again from {at}{unread}; until then its rate limit is kept for pipelines"
            ));
        }
        if let Some(first) = self.failed.first() {
            let more = match self.failed.len() {
                1 => String::new(),
                n => format!(" (and {} more)", n - 1),
            };
            texts.push(format!("{source}: {what} not read: {first}{more}"));
        }
        if let Some(first) = self.cut.first() {
            let more = match self.cut.len() {
                1 => String::new(),
                n => format!(" and of {} more", projects(n - 1)),
            };
            texts.push(format!(
                "{source}: only the last touched {what} of {first}{more} are listed, the others are on the platform"
            ));
        }
        if self.none == self.read
            && self.read >= NONE_OF
            && let Some(why) = self.refused.first()
        {
            texts.push(format!("{source} gives {what} of none of its {}: {}", projects(self.read), why.text));
        }
        texts.into_iter().map(|text| Problem::new(ProblemKind::Partial, text)).collect()
    }
}

/// A count for the wire.
pub(super) fn count<T>(rows: &[T], is: impl Fn(&T) -> bool) -> u32 {
    u32::try_from(rows.iter().filter(|r| is(r)).count()).unwrap_or(u32::MAX)
}
