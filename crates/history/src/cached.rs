//! Statistics that were read lately, in memory.
//!
//! What is asked about a year needs thousands of blocks, nearly all of which are over: between two questions few change. A note
//! in the database, written with every change of statistics, says which state they have. It is looked at before each answer, so
//! that what another process writes is seen; what this one writes takes out of memory what it changes.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::Result;
use crate::roll::{Kind, RollKey};
use crate::store::Store;

/// The note that says which state the statistics have.
pub(crate) const STATE: &str = "history.statistics";
/// What is kept takes no more than this, in bytes.
const MAX_BYTES: usize = 32 << 20;
/// What a block takes beside its bytes.
const BLOCK_BYTES: usize = 64;
/// Of more blocks in a row nothing is kept: most of them are not there.
const MAX_BLOCKS: i64 = 128;

/// Rows of statistics: scope, block and bytes.
pub(crate) type Rolls = Vec<(i32, i32, Bytes)>;

/// Blocks of one kind, level and scope; `None`: it is known that there is none.
#[derive(Debug, Default)]
struct Lane {
    blocks: BTreeMap<i32, Option<Bytes>>,
    /// Asked for since room was made the last time.
    used: bool,
}

impl Lane {
    /// All of some blocks, if all of them are known.
    fn get(&mut self, from: i32, to: i32) -> Option<impl Iterator<Item = (i32, &Bytes)>> {
        let known = self.blocks.range(from..=to);
        if known.clone().count() as i64 != span(from, to) {
            return None;
        }
        self.used = true;
        Some(self.blocks.range(from..=to).filter_map(|(block, bytes)| Some((*block, bytes.as_ref()?))))
    }

    fn bytes(&self) -> usize {
        self.blocks.values().map(|b| BLOCK_BYTES + b.as_ref().map_or(0, Bytes::len)).sum()
    }
}

fn span(from: i32, to: i32) -> i64 {
    i64::from(to) - i64::from(from) + 1
}

#[derive(Debug, Default)]
struct Known {
    /// The state that all of it is of.
    state: Option<String>,
    lanes: HashMap<(Kind, u8, i32), Lane>,
    bytes: usize,
}

impl Known {
    fn clear(&mut self, state: Option<String>) {
        *self = Self { state, ..Self::default() };
    }

    fn remove(&mut self, key: &RollKey) {
        if let Some(lane) = self.lanes.get_mut(&(key.kind, key.level, key.scope))
            && let Some(bytes) = lane.blocks.remove(&key.block)
        {
            self.bytes -= BLOCK_BYTES + bytes.map_or(0, |b| b.len());
        }
    }

    fn put(&mut self, lane: (Kind, u8, i32), block: i32, bytes: Option<Bytes>) {
        self.bytes += BLOCK_BYTES + bytes.as_ref().map_or(0, Bytes::len);
        let before = self.lanes.entry(lane).or_default().blocks.insert(block, bytes);
        if let Some(before) = before {
            self.bytes -= BLOCK_BYTES + before.map_or(0, |b| b.len());
        }
    }

    /// Forgets what was not asked for lately, once there is too much.
    fn make_room(&mut self) {
        if self.bytes <= MAX_BYTES {
            return;
        }
        self.lanes.retain(|_, lane| std::mem::take(&mut lane.used));
        self.bytes = self.lanes.values().map(Lane::bytes).sum();
        if self.bytes > MAX_BYTES / 2 {
            self.clear(self.state.clone());
        }
    }
}

/// Statistics in memory.
#[derive(Debug, Default)]
pub(crate) struct Cached {
    known: Mutex<Known>,
    /// States that this process has written.
    written: AtomicU64,
    /// Tells them from those of others.
    process: RandomState,
}

impl Cached {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything, if the database has another state.
    pub(crate) async fn look<S: Store>(&self, store: &S) -> Result<()> {
        let state = store.note(STATE).await?;
        let mut known = self.known();
        if known.state != state {
            known.clear(state);
        }
        Ok(())
    }

    /// A state that there was never before.
    pub(crate) fn next_state(&self) -> String {
        let n = self.written.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-{n}", self.process.hash_one(std::process::id()))
    }

    /// Notes a write that has been committed: from which state to which, and what it changed; `None`: anything.
    pub(crate) fn wrote(&self, before: Option<&str>, after: String, changed: Option<&[RollKey]>) {
        let mut known = self.known();
        match changed {
            Some(changed) if known.state.as_deref() == before => {
                changed.iter().for_each(|key| known.remove(key));
                known.state = Some(after);
            }
            _ => known.clear(Some(after)),
        }
    }

    /// As [`Store::rolls`].
    pub(crate) async fn rolls<S: Store>(
        &self,
        store: &S,
        (kind, level): (Kind, u8),
        scopes: &[i32],
        (from, to): (i32, i32),
    ) -> Result<Rolls> {
        if span(from, to) > MAX_BLOCKS {
            return store.rolls(kind.number(), level, scopes, from, to).await;
        }
        let (mut found, mut missing) = (Rolls::new(), Vec::new());
        let state = {
            let mut known = self.known();
            for scope in scopes {
                match known.lanes.get_mut(&(kind, level, *scope)).and_then(|lane| lane.get(from, to)) {
                    Some(blocks) => found.extend(blocks.map(|(block, bytes)| (*scope, block, bytes.clone()))),
                    None => missing.push(*scope),
                }
            }
            known.state.clone()
        };
        if missing.is_empty() {
            return Ok(found);
        }
        let rows = store.rolls(kind.number(), level, &missing, from, to).await?;
        let mut known = self.known();
        // What was found may be older than what was written meanwhile.
        if state.is_some() && known.state == state {
            for scope in missing {
                for block in from..=to {
                    known.put((kind, level, scope), block, None);
                }
            }
            for (scope, block, bytes) in &rows {
                known.put((kind, level, *scope), *block, Some(bytes.clone()));
            }
            known.make_room();
        }
        drop(known);
        found.extend(rows);
        found.sort_by_key(|(scope, block, _)| (*scope, *block));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind::Runs;

    fn known(lanes: i32, bytes: usize) -> Known {
        let mut known = Known { state: Some("1".into()), ..Known::default() };
        for scope in 0..lanes {
            known.put((KIND, 0, scope), 1, Some(vec![0; bytes].into()));
            known.put((KIND, 0, scope), 2, None);
        }
        known
    }

    fn counted(known: &Known) -> usize {
        known.lanes.values().map(Lane::bytes).sum()
    }

    #[test]
    fn blocks_are_known_or_not_and_known_not_to_be() {
        let mut known = known(2, 10);
        let blocks = |known: &mut Known, from, to| -> Option<Vec<i32>> {
            let lane = known.lanes.get_mut(&(KIND, 0, 1))?;
            lane.get(from, to).map(|found| found.map(|(block, _)| block).collect())
        };
        assert_eq!(blocks(&mut known, 1, 2), Some(vec![1]));
        assert_eq!(blocks(&mut known, 2, 2), Some(vec![]));
        assert_eq!(blocks(&mut known, 1, 3), None, "nobody asked for the third");
        known.remove(&RollKey { kind: KIND, level: 0, scope: 1, block: 2 });
        assert_eq!(blocks(&mut known, 1, 2), None, "it was written");
        assert_eq!(known.bytes, counted(&known));
        known.put((KIND, 0, 1), 1, Some(vec![0; 99].into()));
        assert_eq!(known.bytes, counted(&known));
    }

    #[test]
    fn room_is_made_by_what_nobody_asked_for() {
        let mut known = known(40, MAX_BYTES / 36);
        for scope in 0..3 {
            assert!(known.lanes.get_mut(&(KIND, 0, scope)).unwrap().get(1, 2).is_some());
        }
        known.make_room();
        assert_eq!((known.lanes.len(), known.bytes), (3, counted(&known)));
        assert_eq!(known.state.as_deref(), Some("1"));
    }

    #[test]
    fn what_is_asked_for_all_at_once_takes_no_more_room() {
        let mut known = known(40, MAX_BYTES / 36);
        for scope in 0..40 {
            assert!(known.lanes.get_mut(&(KIND, 0, scope)).unwrap().get(1, 2).is_some());
        }
        known.make_room();
        assert_eq!((known.lanes.len(), known.bytes), (0, 0));
    }

    #[test]
    fn states_are_unlike() {
        let (a, b) = (Cached::default(), Cached::default());
        let states = [a.next_state(), a.next_state(), b.next_state(), b.next_state()];
        assert_eq!(states.iter().collect::<std::collections::HashSet<_>>().len(), 4);
    }

    #[test]
    fn what_others_wrote_in_between_is_not_known() {
        let cached = Cached::default();
        *cached.known() = known(3, 10);
        let told = || {
            let known = cached.known();
            (known.lanes.len(), known.state.clone().unwrap())
        };
        let key = RollKey { kind: KIND, level: 0, scope: 1, block: 1 };
        cached.wrote(Some("1"), "2".into(), Some(&[key]));
        assert_eq!(told(), (3, "2".into()));
        cached.wrote(Some("other"), "3".into(), Some(&[key]));
        assert_eq!(told(), (0, "3".into()));
    }
}
