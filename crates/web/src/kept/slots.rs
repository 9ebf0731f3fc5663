//! Where answers are kept: bounded in bytes and in number; the least recently used goes first.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Key, Slot};

/// Bytes of all kept answers, as estimated.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Number of kept answers.
const MAX_SLOTS: usize = 512;
/// What a slot costs beside its texts.
const SLOT_BYTES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) map: HashMap<Key, Place>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Place {
    pub(super) slot: Arc<Slot>,
    pub(super) used: u64,
    bytes: usize,
    pub(super) pinned: bool,
}

impl Slots {
    pub(super) fn place(&mut self, key: Key) -> &mut Place {
        self.uses += 1;
        let used = self.uses;
        if !self.map.contains_key(&key) {
            self.make_room();
            self.bytes += SLOT_BYTES + key.address.len();
        }
        let bytes = SLOT_BYTES + key.address.len();
        let place =
            self.map.entry(key).or_insert_with(|| Place { slot: Arc::default(), used, bytes, pinned: false });
        place.used = used;
        place
    }

    pub(super) fn weigh(&mut self, key: &Key, weight: usize) {
        // It may have been let go of meanwhile.
        let Some(place) = self.map.get_mut(key) else { return };
        let bytes = SLOT_BYTES + key.address.len() + weight;
        self.bytes = self.bytes - place.bytes + bytes;
        place.bytes = bytes;
        while self.bytes > MAX_BYTES && self.let_one_go() {}
    }

    fn make_room(&mut self) {
        while (self.map.len() >= MAX_SLOTS || self.bytes > MAX_BYTES) && self.let_one_go() {}
    }

    fn let_one_go(&mut self) -> bool {
        let loose = self.map.iter().filter(|(_, place)| !place.pinned);
        let Some(key) = loose.min_by_key(|(_, place)| place.used).map(|(key, _)| key.clone()) else {
            return false;
        };
        if let Some(place) = self.map.remove(&key) {
            self.bytes -= place.bytes;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn key(n: usize) -> Key {
        Key { address: format!("/{n}"), kind: Kind::Json }
    }

    #[test]
    fn the_least_used_goes_first_and_a_pinned_one_never() {
        let mut slots = Slots::default();
        slots.place(key(0)).pinned = true;
        for n in 1..MAX_SLOTS {
            slots.place(key(n));
        }
        slots.place(key(1));
        slots.place(key(MAX_SLOTS));
        assert_eq!(slots.map.len(), MAX_SLOTS);
        assert!(slots.map.contains_key(&key(0)) && slots.map.contains_key(&key(1)));
        assert!(!slots.map.contains_key(&key(2)));
    }

    #[test]
    fn bytes_are_bounded_and_counted_right() {
        let mut slots = Slots::default();
        for n in 0..10 {
            slots.place(key(n));
            slots.weigh(&key(n), MAX_BYTES / 4);
        }
        assert!(slots.bytes <= MAX_BYTES);
        assert_eq!(slots.map.len(), 3);
        assert_eq!(slots.bytes, slots.map.values().map(|p| p.bytes).sum::<usize>());
        while slots.let_one_go() {}
        assert_eq!(slots.bytes, 0);
    }
}
