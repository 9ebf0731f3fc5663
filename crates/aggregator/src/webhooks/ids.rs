//! Deliveries that were taken before.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// How many deliveries of one source are remembered. A platform repeats what it had no answer to within minutes; after
/// that the board's own rule holds, by which the same news twice changes nothing.
pub(super) const MAX_REMEMBERED: usize = 4096;

/// What is remembered of a delivery: of one size, whatever the platform (or somebody who plays it) takes for an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark([u8; 32]);

impl Mark {
    /// Of the platform's id; of the body, where there is none: the same bytes are the same news.
    pub(super) fn of(id: Option<&str>, body: &[u8]) -> Self {
        let digest = match id.filter(|id| !id.is_empty()) {
            Some(id) => Sha256::new().chain_update(b"id").chain_update(id),
            None => Sha256::new().chain_update(b"body").chain_update(body),
        };
        Self(digest.finalize().into())
    }

    /// The delivery's name in the log: the platform's id, where that is short; else the mark in hexadecimal digits.
    pub(super) fn delivery(&self, id: Option<&str>) -> String {
        match id.filter(|id| !id.is_empty() && id.len() <= MAX_ID && !id.contains(char::is_control)) {
            Some(id) => id.to_owned(),
            None => self.0.iter().fold("sha256:".to_owned(), |mut text, byte| {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            }),
        }
    }
}

/// The longest id that stands in the log as it is, in bytes.
const MAX_ID: usize = 200;

/// The newest deliveries of one source.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    marks: HashSet<Mark>,
    order: VecDeque<Mark>,
}

impl Remembered {
    /// Whether it was taken.
    pub(super) fn has(&self, mark: &Mark) -> bool {
        self.marks.contains(mark)
    }

    /// Whether it is new; it is not any more after this.
    pub(super) fn first(&mut self, mark: Mark) -> bool {
        if !self.marks.insert(mark) {
            return false;
        }
        self.order.push_back(mark);
        if self.order.len() > MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.marks.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_known_by_its_id_else_by_its_body() {
        let mut known = Remembered::default();
        assert!(known.first(Mark::of(Some("a"), b"1")));
        assert!(!known.first(Mark::of(Some("a"), b"2")), "the id decides");
        assert!(known.first(Mark::of(None, b"a")), "a body is no id");
        assert!(!known.first(Mark::of(Some(""), b"a")), "and no id is none");
    }

    #[test]
    fn a_delivery_has_a_name_in_the_log() {
        assert_eq!(Mark::of(Some("a-1"), b"1").delivery(Some("a-1")), "a-1");
        let long = "x".repeat(MAX_ID + 1);
        let (a, b) = (Mark::of(Some(&long), b"1").delivery(Some(&long)), Mark::of(None, b"1").delivery(None));
        assert!(a.starts_with("sha256:") && a.len() == b.len() && a != b, "{a} {b}");
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut known = Remembered::default();
        let id = |n: usize| Mark::of(Some(&n.to_string()), b"");
        for n in 0..=MAX_REMEMBERED {
            assert!(known.first(id(n)));
        }
        assert_eq!((known.marks.len(), known.order.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
        assert!(!known.first(id(MAX_REMEMBERED)));
        assert!(!known.first(id(1)));
        assert!(known.first(id(0)), "forgotten");
    }
}
