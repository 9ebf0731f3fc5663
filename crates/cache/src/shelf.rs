//! What is in memory and kept outside of the process as well, by name.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How many names wait to be written; beyond that everything is gone through instead.
const MAX_CHANGED: usize = 50_000;

/// The values in memory: their owner's, written as bytes of a form that the owner knows.
pub trait Values: Send + Sync {
    /// The names of all, in no order. None is empty.
    fn names(&self) -> Vec<String>;

    /// A value as it is now; `None` where there is none.
    fn get(&self, name: &str) -> Option<Vec<u8>>;

    /// Takes back one that was written down, unless there is a newer one. Whether it is of use: of another form, broken or not
    /// wanted any more it is not, and is removed outside.
    fn put(&self, name: &str, bytes: &[u8]) -> bool;
}

/// Values, and which of them changed since they were written. While what is outside is away there is a set of names, no queue
/// that grows: a value is read when it is written.
pub struct Shelf {
    name: String,
    values: Arc<dyn Values>,
    changed: Mutex<Changed>,
    news: Arc<Notify>,
}

#[derive(Default)]
struct Changed {
    names: BTreeSet<String>,
    /// So many are on their way.
    taken: usize,
    /// Names were given up: what is outside has to be gone through.
    overflowed: bool,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Shelf {
    /// Nothing changed yet. Whoever writes is told through `news`.
    #[must_use]
    pub fn new(name: impl Into<String>, values: Arc<dyn Values>, news: Arc<Notify>) -> Self {
        Self { name: name.into(), values, changed: Mutex::default(), news }
    }

    /// Its name, unique among its neighbours.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is on it.
    #[must_use]
    pub fn values(&self) -> &dyn Values {
        &*self.values
    }

    fn lock(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A value is another one now, or gone.
    pub fn changed(&self, name: &str) {
        let mut changed = self.lock();
        if changed.names.len() >= MAX_CHANGED {
            changed.overflowed = true;
            changed.names.clear();
        }
        if !changed.overflowed && !changed.names.contains(name) {
            changed.names.insert(name.to_owned());
        }
        drop(changed);
        self.news.notify_one();
    }

    /// Everything is to be written again.
    pub fn all_changed(&self) {
        let names = self.values.names();
        let mut changed = self.lock();
        changed.names.extend(names);
        drop(changed);
        self.news.notify_one();
    }

    /// How many names wait, or are on their way.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let changed = self.lock();
        changed.names.len() + changed.taken
    }

    /// Whether names were given up since this was asked.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        std::mem::take(&mut self.lock().overflowed)
    }

    /// Takes names that wait, with their values as they are now: at most `most`, and no more once they weigh `bytes`.
    #[must_use]
    pub fn take(&self, most: usize, bytes: usize) -> Taken<'_> {
        let mut taken = Taken { shelf: self, values: Vec::new() };
        let mut weight = 0;
        while taken.values.len() < most && weight < bytes {
            let mut changed = self.lock();
            let Some(name) = changed.names.pop_first() else { break };
            changed.taken += 1;
            // Not under the lock: reading a value may take another one.
            drop(changed);
            let value = self.values.get(&name);
            weight += name.len() + value.as_ref().map_or(0, Vec::len);
            taken.values.push((name, value));
        }
        taken
    }
}

/// Values on their way. They wait again when this is dropped before they were written.
#[derive(Debug)]
pub struct Taken<'a> {
    shelf: &'a Shelf,
    values: Vec<(String, Option<Vec<u8>>)>,
}

impl Taken<'_> {
    /// The values by name; `None` for one that is gone.
    #[must_use]
    pub fn values(&self) -> &[(String, Option<Vec<u8>>)] {
        &self.values
    }

    /// The same, to leave some out.
    pub fn values_mut(&mut self) -> &mut [(String, Option<Vec<u8>>)] {
        &mut self.values
    }

    /// They have arrived.
    pub fn written(mut self) {
        self.shelf.lock().taken -= std::mem::take(&mut self.values).len();
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut changed = self.shelf.lock();
        changed.taken -= self.values.len();
        changed.names.extend(self.values.drain(..).map(|(name, _)| name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers;

    impl Values for Numbers {
        fn names(&self) -> Vec<String> {
            vec!["1".into(), "2".into()]
        }

        fn get(&self, name: &str) -> Option<Vec<u8>> {
            (name != "gone").then(|| vec![0; 10])
        }

        fn put(&self, _: &str, _: &[u8]) -> bool {
            true
        }
    }

    #[test]
    fn a_value_is_read_when_it_is_written() {
        let shelf = Shelf::new("numbers", Arc::new(Numbers), Arc::default());
        for name in ["a", "b", "a", "gone"] {
            shelf.changed(name);
        }
        assert_eq!(shelf.waiting(), 3, "once each");
        let names = |taken: &Taken<'_>| taken.values().iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
        let taken = shelf.take(10, 15);
        assert_eq!(names(&taken), ["a", "b"], "no more bytes");
        assert_eq!(shelf.waiting(), 3, "they have not arrived");
        drop(taken);
        let taken = shelf.take(10, 1_000);
        assert_eq!(taken.values().last(), Some(&("gone".to_owned(), None)));
        taken.written();
        assert_eq!(shelf.waiting(), 0);
        shelf.all_changed();
        assert_eq!(names(&shelf.take(1, 1_000)), ["1"], "no more names");
        assert_eq!(shelf.waiting(), 2);
    }

    #[test]
    fn too_many_names_are_given_up_and_that_is_told_once() {
        let shelf = Shelf::new("numbers", Arc::new(Numbers), Arc::default());
        for n in 0..=MAX_CHANGED {
            shelf.changed(&n.to_string());
        }
        assert!(shelf.waiting() <= 1);
        assert!(shelf.overflowed());
        assert!(!shelf.overflowed());
    }
}
