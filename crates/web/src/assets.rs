//! The files beside the pages – style sheet, script, icons –, embedded into the program.
//!
//! One hash over all of them stands in their URLs, so that a browser may keep them for ever and a file can name its
//! neighbour relatively (`url("icons.svg")` in the style sheet).

use std::sync::LazyLock;

use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest as _, Sha256};

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// Bytes of the hash that stand in URLs; enough that two builds never share one.
const HASH_BYTES: usize = 8;

static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = Sha256::new();
    let mut names: Vec<_> = Files::iter().collect();
    names.sort();
    for name in names {
        if let Some(file) = Files::get(&name) {
            hasher.update(name.as_bytes());
            hasher.update([0]);
            hasher.update(file.metadata.sha256_hash());
        }
    }
    hasher.finalize().iter().take(HASH_BYTES).map(|b| format!("{b:02x}")).collect()
});

/// The path of a file below the base path, to be written after it: `/static/{hash}/app.css`.
#[must_use]
pub fn url(name: &str) -> String {
    format!("/static/{}/{name}", *HASH)
}

/// A file and whether `hash` is the one of this build, so that it may be kept for ever.
pub(crate) fn get(hash: &str, name: &str) -> Option<(EmbeddedFile, bool)> {
    // In a debug build files are read from the disk and may change under their URL.
    Files::get(name).map(|file| (file, hash == *HASH && !cfg!(debug_assertions)))
}
