//! What was read of the lists. Pure: no I/O, no clock, no locks; [`crate::hub::Hub`] holds the lock.

use std::collections::BTreeMap;

use connector::{Issue, MergeRequest};
use domain::{Problem, ProjectKey, RunId, SourceName, Timestamp};
use tokio::time::Instant;

use super::{Item, MAX_IN_ALL};

/// What moves with a project, as it was when its list was asked for. When it moved, the list may have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// The platform's time of the last activity.
    pub activity: Option<Timestamp>,
    /// The newest run, where pushes tell something of the list.
    pub newest_run: Option<RunId>,
}

/// What a platform told when it was asked for a list.
#[derive(Debug, Clone, PartialEq)]
pub enum Told<T> {
    /// The open ones, last touched first; not all when `more` is set or a reason is given.
    Items {
        /// They.
        items: Vec<T>,
        /// There are more than we keep.
        more: bool,
        /// Why it is not all.
        problem: Option<Problem>,
    },
    /// The project has no such list: switched off, or not for this token. No error.
    HasNone(Problem),
    /// It could not be read.
    Failed(Problem),
}

/// The list of one project.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept<T> {
    /// The open ones, last touched first.
    pub items: Vec<T>,
    /// There are more on the platform.
    pub more: bool,
    /// Why it is not all, or not new.
    pub problem: Option<Problem>,
    /// The last try failed: what it shows is from before.
    pub failed: bool,
    /// The project has no such list, and what the platform said to that.
    pub has_none: Option<Problem>,
    /// When what it shows was asked for; `None` when it never could be read.
    pub read_at: Option<Timestamp>,
    /// When it was last asked for, whatever came.
    pub asked: Instant,
    /// How the project was then.
    pub mark: Mark,
}

/// The lists of one kind.
#[derive(Debug)]
pub struct Lists<T> {
    by_project: BTreeMap<ProjectKey, Kept<T>>,
    /// Items in all.
    held: usize,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self { by_project: BTreeMap::new(), held: 0 }
    }
}

impl<T: Item> Lists<T> {
    /// The list of a project; `None` until it was asked for once.
    #[must_use]
    pub fn get(&self, project: &ProjectKey) -> Option<&Kept<T>> {
        self.by_project.get(project)
    }

    /// All lists.
    pub fn iter(&self) -> impl Iterator<Item = (&ProjectKey, &Kept<T>)> {
        self.by_project.iter()
    }

    /// How many items are held in all.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Takes in what was told. Whether that shows: a list that is as it was changes nothing.
    pub fn put(
        &mut self,
        project: &ProjectKey,
        told: Told<T>,
        mark: Mark,
        at: Timestamp,
        asked: Instant,
    ) -> bool {
        let before = self.by_project.remove(project);
        let had = before.as_ref().map_or(0, |b| b.items.len());
        self.held -= had;
        let mut next = match told {
            Told::Items { items, more, problem } => {
                Kept { items, more, problem, failed: false, has_none: None, read_at: Some(at), asked, mark }
            }
            Told::HasNone(why) => Kept {
                items: Vec::new(),
                more: false,
                problem: None,
                failed: false,
                has_none: Some(why),
                read_at: Some(at),
                asked,
                mark,
            },
            // What was known stays, with the reason why it is not newer.
            Told::Failed(why) => match &before {
                Some(known) => Kept { problem: Some(why), failed: true, asked, mark, ..known.clone() },
                None => Kept {
                    items: Vec::new(),
                    more: false,
                    problem: Some(why),
                    failed: true,
                    has_none: None,
                    read_at: None,
                    asked,
                    mark,
                },
            },
        };
        let room = MAX_IN_ALL.saturating_sub(self.held);
        if next.items.len() > room {
            next.items.truncate(room);
            next.more = true;
        }
        self.held += next.items.len();
        let shows = before.is_none_or(|b| {
            (&b.items, b.more, &b.problem, b.has_none.is_some(), b.read_at.is_some())
                != (&next.items, next.more, &next.problem, next.has_none.is_some(), next.read_at.is_some())
        });
        self.by_project.insert(project.clone(), next);
        shows
    }

    /// Lets go of a project. Whether there was anything to see of it.
    pub fn forget(&mut self, project: &ProjectKey) -> bool {
        let Some(kept) = self.by_project.remove(project) else { return false };
        self.held -= kept.items.len();
        !kept.items.is_empty() || kept.problem.is_some()
    }
}

/// The lists of all projects.
#[derive(Debug, Default)]
pub struct Work {
    pub(super) merge_requests: Lists<MergeRequest>,
    pub(super) issues: Lists<Issue>,
    /// How many merge requests are open in a project, and when that was so, where a platform told it along with something else.
    counts: BTreeMap<ProjectKey, (u64, Timestamp)>,
    /// Sources whose lists wait for their rate limit, until when.
    waiting: BTreeMap<SourceName, Timestamp>,
}

impl Work {
    /// The lists of a kind.
    #[must_use]
    pub fn of<T: Item>(&self) -> &Lists<T> {
        T::lists(self)
    }

    /// The same, to be changed.
    pub fn of_mut<T: Item>(&mut self) -> &mut Lists<T> {
        T::lists_mut(self)
    }

    /// Lets go of a project. Whether there was anything to see of it.
    pub fn forget(&mut self, project: &ProjectKey) -> bool {
        self.counts.remove(project);
        let (a, b) = (self.merge_requests.forget(project), self.issues.forget(project));
        a || b
    }

    /// Whether nothing is held of a project.
    #[must_use]
    pub fn is_unknown(&self, project: &ProjectKey) -> bool {
        self.merge_requests.get(project).is_none() && self.issues.get(project).is_none()
    }

    /// So many merge requests were open in a project at `at`.
    pub fn count(&mut self, project: &ProjectKey, open: u64, at: Timestamp) {
        self.counts.insert(project.clone(), (open, at));
    }

    /// How many were told to be open, and when.
    #[must_use]
    pub fn counted(&self, project: &ProjectKey) -> Option<(u64, Timestamp)> {
        self.counts.get(project).copied()
    }

    /// A source's lists wait for its rate limit, or go on being read. Whether that is news.
    pub fn wait(&mut self, source: &SourceName, until: Option<Timestamp>) -> bool {
        match until {
            Some(until) => self.waiting.insert(source.clone(), until) != Some(until),
            None => self.waiting.remove(source).is_some(),
        }
    }

    /// Until when a source's lists wait for its rate limit, if they do.
    #[must_use]
    pub fn waits(&self, source: &SourceName) -> Option<Timestamp> {
        self.waiting.get(source).copied()
    }
}

#[cfg(test)]
mod tests {
    use domain::{NativeId, ProblemKind};

    use super::*;

    fn key(n: usize) -> ProjectKey {
        ProjectKey::new(SourceName::new("s").unwrap(), NativeId::new(n.to_string()))
    }

    fn issue(n: u64) -> Issue {
        Issue {
            id: n.to_string(),
            number: n,
            title: format!("issue {n}"),
            open: true,
            author: None,
            assignees: Vec::new(),
            labels: Vec::new(),
            created_at: None,
            updated_at: None,
            url: None,
        }
    }

    fn items(numbers: std::ops::Range<u64>) -> Told<Issue> {
        Told::Items { items: numbers.map(issue).collect(), more: false, problem: None }
    }

    fn problem() -> Problem {
        Problem::new(ProblemKind::Unreachable, "502")
    }

    fn put(lists: &mut Lists<Issue>, project: usize, told: Told<Issue>) -> bool {
        lists.put(&key(project), told, Mark::default(), Timestamp::UNIX_EPOCH, Instant::now())
    }

    #[test]
    fn what_is_as_it_was_is_no_news() {
        let mut lists = Lists::default();
        assert!(put(&mut lists, 1, items(0..3)), "read for the first time");
        assert!(!put(&mut lists, 1, items(0..3)));
        assert!(put(&mut lists, 1, items(0..2)));
        assert!(put(&mut lists, 2, items(0..0)), "that there are none is news the first time");
        assert!(!put(&mut lists, 2, items(0..0)));
        assert_eq!(lists.held(), 2);
        assert!(!lists.forget(&key(2)) && lists.forget(&key(1)) && !lists.forget(&key(1)));
        assert_eq!(lists.held(), 0);
    }

    #[test]
    fn a_failure_keeps_what_was_known_with_the_reason() {
        let mut lists = Lists::default();
        put(&mut lists, 1, items(0..3));
        assert!(put(&mut lists, 1, Told::Failed(problem())));
        assert!(!put(&mut lists, 1, Told::Failed(problem())), "the same reason again");
        let kept = lists.get(&key(1)).unwrap();
        assert_eq!((kept.items.len(), kept.problem.as_ref()), (3, Some(&problem())));
        put(&mut lists, 2, Told::Failed(problem()));
        assert_eq!(lists.get(&key(2)).unwrap().read_at, None);
        assert!(put(&mut lists, 1, items(0..3)), "well again");
        assert_eq!(lists.get(&key(1)).unwrap().problem, None);
        assert!(put(&mut lists, 1, Told::HasNone(problem())));
        assert!(lists.get(&key(1)).unwrap().items.is_empty());
    }

    #[test]
    fn the_bound_over_all_holds_and_is_told() {
        let mut lists = Lists::default();
        let most = u64::try_from(MAX_IN_ALL).unwrap();
        put(&mut lists, 1, items(0..most - 1));
        put(&mut lists, 2, items(0..10));
        let second = lists.get(&key(2)).unwrap();
        assert_eq!((second.items.len(), second.more, lists.held()), (1, true, MAX_IN_ALL));
        put(&mut lists, 1, items(0..1));
        put(&mut lists, 2, items(0..10));
        assert_eq!((lists.get(&key(2)).unwrap().more, lists.held()), (false, 11));
    }
}
