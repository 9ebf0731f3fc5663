//! Which projects are to be read anew soon, because something is said to have happened to them.
//!
//! Whoever hears of it calls [`Wakes::wake`]; the source's refresher takes what is due from its [`Woken`]. Many wakes of one
//! project within moments are one reading, and no project is read more often than the platform's budget can bear,
//! however much it is woken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{NativeId, ProjectKey, SourceName};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// From the first wake to the reading: what belongs together (a push and the runs it starts) comes within this time,
/// and the platform's lists have it by then.
const SETTLE: Duration = Duration::from_secs(1);
/// Between two readings of one project. As often as a running one is read anyway.
const GAP: Duration = Duration::from_secs(10);
/// How many projects of one source may be due; what is woken beyond that is read in its turn.
const MAX_DUE: usize = 10_000;

/// Says that projects are to be read anew. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    sources: Arc<Mutex<BTreeMap<SourceName, Arc<Lane>>>>,
}

#[derive(Debug, Default)]
struct Lane {
    projects: Mutex<Projects>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct Projects {
    due: BTreeMap<NativeId, Instant>,
    read: BTreeMap<NativeId, Instant>,
}

impl Lane {
    fn projects(&self) -> MutexGuard<'_, Projects> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wakes {
    /// What is due at this source, for the one that reads it.
    #[must_use]
    pub fn of(&self, source: &SourceName) -> Woken {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = Arc::clone(sources.entry(source.clone()).or_default());
        Woken { source: source.clone(), lane }
    }

    /// This project is to be read anew. Of no effect where nobody reads its source.
    pub fn wake(&self, project: &ProjectKey) {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lane) = sources.get(&project.source) else { return };
        let mut projects = lane.projects();
        // The first wake decides when: one that is woken all the time is read all the same.
        if projects.due.len() >= MAX_DUE || projects.due.contains_key(&project.id) {
            return;
        }
        let settled = Instant::now() + SETTLE;
        let at = projects.read.get(&project.id).map_or(settled, |read| settled.max(*read + GAP));
        projects.due.insert(project.id.clone(), at);
        drop(projects);
        lane.woken.notify_one();
    }
}

/// The woken projects of one source.
#[derive(Debug)]
pub struct Woken {
    source: SourceName,
    lane: Arc<Lane>,
}

impl Woken {
    /// Waits until some are due, and takes them.
    pub async fn next(&self) -> Vec<ProjectKey> {
        loop {
            let earliest = {
                let mut projects = self.lane.projects();
                let now = Instant::now();
                let ids: Vec<_> = projects.due.extract_if(.., |_, at| *at <= now).map(|(id, _)| id).collect();
                projects.read.retain(|_, read| now < *read + GAP);
                if !ids.is_empty() {
                    projects.read.extend(ids.iter().map(|id| (id.clone(), now)));
                    return ids.into_iter().map(|id| ProjectKey::new(self.source.clone(), id)).collect();
                }
                projects.due.values().min().copied()
            };
            match earliest {
                None => self.lane.woken.notified().await,
                Some(at) => {
                    tokio::select! { () = sleep_until(at) => {} () = self.lane.woken.notified() => {} }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(source: &str, id: &str) -> ProjectKey {
        ProjectKey::new(SourceName::new(source).unwrap(), NativeId::new(id))
    }

    #[tokio::test(start_paused = true)]
    async fn many_wakes_of_one_project_are_one_reading() {
        let wakes = Wakes::default();
        let woken = wakes.of(&SourceName::new("a").unwrap());
        let begun = Instant::now();
        for _ in 0..100 {
            wakes.wake(&key("a", "1"));
        }
        wakes.wake(&key("a", "2"));
        wakes.wake(&key("nobody-reads-it", "1"));
        assert_eq!(woken.next().await, [key("a", "1"), key("a", "2")]);
        assert_eq!(begun.elapsed(), SETTLE);
        assert!(tokio::time::timeout(GAP * 10, woken.next()).await.is_err(), "nothing is left");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_woken_all_the_time_is_read_at_most_so_often_and_does_not_starve() {
        let wakes = Wakes::default();
        let woken = wakes.of(&SourceName::new("a").unwrap());
        let begun = Instant::now();
        let mut read = Vec::new();
        let waking = async {
            loop {
                wakes.wake(&key("a", "1"));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let reading = async {
            while begun.elapsed() < Duration::from_secs(60) {
                woken.next().await;
                read.push(begun.elapsed());
            }
        };
        tokio::select! { () = waking => {} () = reading => {} }
        assert_eq!(read[0], SETTLE);
        assert!(read.windows(2).all(|w| w[1] - w[0] >= GAP), "{read:?}");
        assert!(read.len() >= 6, "{read:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_during_a_reading_is_read_again() {
        let wakes = Wakes::default();
        let woken = wakes.of(&SourceName::new("a").unwrap());
        wakes.wake(&key("a", "1"));
        woken.next().await;
        wakes.wake(&key("a", "1"));
        wakes.wake(&key("a", "2"));
        assert_eq!(woken.next().await, [key("a", "2")], "another one does not wait for it");
        assert_eq!(woken.next().await, [key("a", "1")]);
    }
}
