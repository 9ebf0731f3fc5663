//! Kept answers, for whoever writes them down: so that after a restart an unchanged project costs a 304.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::etag::{Digest, Kept, Store};

/// Hears of names whose answers changed or were forgotten.
pub trait Heard: Send + Sync {
    /// The answer of this name is another one now, or none. Called while a request is under way: it has to be quick.
    fn changed(&self, name: &str);
}

/// Who hears of changes, once somebody does.
#[derive(Clone, Default)]
pub(super) struct Listener(Arc<OnceLock<Arc<dyn Heard>>>);

impl Listener {
    pub(super) fn tell(&self, digest: &Digest) {
        if let Some(heard) = self.0.get() {
            heard.changed(&digest.to_text());
        }
    }
}

/// One client's kept answers. Their names are digests of what was asked, so that no URL, in which some platforms want a token,
/// is written anywhere.
#[derive(Clone)]
pub struct Answers {
    store: Arc<Store>,
    listener: Listener,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

impl Answers {
    pub(super) fn new(store: &Arc<Store>, listener: &Listener) -> Self {
        Self { store: Arc::clone(store), listener: listener.clone() }
    }

    /// The names of all, in no order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.store.digests().map(|digest| digest.to_text()).collect()
    }

    /// An answer as bytes: validator, headers that matter, compressed body.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.store.find(&Digest::parse(name)?)?.to_bytes()
    }

    /// Takes back one that was written down. One that is there is newer, and stays. Whether it could be read.
    #[must_use]
    pub fn put(&self, name: &str, bytes: &[u8]) -> bool {
        let (Some(digest), Some(kept)) = (Digest::parse(name), Kept::from_bytes(bytes)) else { return false };
        self.store.restore(digest, kept);
        true
    }

    /// Tells this one of changes from now on. There is one listener; a second is not heard.
    pub fn listen(&self, heard: Arc<dyn Heard>) {
        let _ = self.listener.0.set(heard);
    }
}
