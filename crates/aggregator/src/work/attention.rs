//! Who looks at which list: what is looked at is read more often.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::ProjectKey;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Kind;

/// A list that somebody asked for counts as looked at for this long. An open page asks again every minute.
pub(super) const LOOKED_FOR: Duration = Duration::from_secs(150);
/// How many single projects' lists are remembered as looked at.
const MAX_PROJECTS: usize = 256;

/// A list of one project, or of all.
type Seen = (Kind, Option<ProjectKey>);

/// What is looked at.
#[derive(Debug, Default)]
pub struct Attention {
    until: Mutex<HashMap<Seen, Instant>>,
    nudge: Notify,
}

impl Attention {
    /// Somebody asks for the list of one project, or of all.
    pub fn look(&self, kind: Kind, project: Option<&ProjectKey>) {
        let now = Instant::now();
        {
            let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
            until.retain(|_, until| *until > now);
            if until.len() >= MAX_PROJECTS + Kind::ALL.len()
                && project.is_some()
                && let Some(soonest) =
                    until.iter().filter(|(seen, _)| seen.1.is_some()).min_by_key(|(_, until)| **until)
            {
                let soonest = soonest.0.clone();
                until.remove(&soonest);
            }
            until.insert((kind, project.cloned()), now + LOOKED_FOR);
        }
        self.nudge.notify_waiters();
    }

    fn at(&self, seen: &Seen) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(seen).is_some_and(|until| *until > Instant::now())
    }

    /// Whether the list over all projects is looked at.
    #[must_use]
    pub fn at_all(&self, kind: Kind) -> bool {
        self.at(&(kind, None))
    }

    /// Whether the list of this project is.
    #[must_use]
    pub fn at_project(&self, kind: Kind, project: &ProjectKey) -> bool {
        self.at(&(kind, Some(project.clone())))
    }

    /// Whether anything is.
    #[must_use]
    pub fn at_anything(&self) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.values().any(|until| *until > Instant::now())
    }

    /// Somebody begins to look, or still does.
    pub async fn nudged(&self) {
        self.nudge.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use domain::{NativeId, SourceName};

    use super::*;

    fn key(n: usize) -> ProjectKey {
        ProjectKey::new(SourceName::new("s").unwrap(), NativeId::new(n.to_string()))
    }

    #[tokio::test(start_paused = true)]
    async fn attention_passes() {
        let attention = Attention::default();
        attention.look(Kind::Issues, None);
        attention.look(Kind::MergeRequests, Some(&key(1)));
        assert!(attention.at_all(Kind::Issues) && !attention.at_all(Kind::MergeRequests));
        assert!(attention.at_project(Kind::MergeRequests, &key(1)));
        assert!(!attention.at_project(Kind::Issues, &key(1)));
        tokio::time::advance(LOOKED_FOR).await;
        assert!(!attention.at_anything());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded_and_the_newest_count() {
        let attention = Attention::default();
        attention.look(Kind::Issues, None);
        for n in 0..2 * MAX_PROJECTS {
            tokio::time::advance(Duration::from_millis(1)).await;
            attention.look(Kind::Issues, Some(&key(n)));
        }
        assert!(attention.until.lock().unwrap().len() <= MAX_PROJECTS + 2);
        assert!(attention.at_all(Kind::Issues), "the list over all is never pushed out");
        assert!(attention.at_project(Kind::Issues, &key(2 * MAX_PROJECTS - 1)));
        assert!(!attention.at_project(Kind::Issues, &key(0)));
    }
}
