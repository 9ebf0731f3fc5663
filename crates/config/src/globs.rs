//! Lists of glob patterns, in and out.

use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Longest accepted pattern, in bytes.
pub const MAX_GLOB_BYTES: usize = 1024;

/// Patterns, of which those with a leading `!` take out. `*` also matches `/`; upper and lower case differ.
///
/// A text is in when some plain pattern matches it (or there is none) and no `!` pattern does; order does not matter.
/// In YAML a pattern that starts with `!` or `*` needs quotes.
#[derive(Clone, Default)]
pub struct Globs {
    patterns: Vec<String>,
    has_in: bool,
    within: GlobSet,
    without: GlobSet,
}

impl Globs {
    /// Compiles `patterns`.
    ///
    /// # Errors
    /// Position and reason of the first pattern that is no glob.
    pub fn new(patterns: Vec<String>) -> Result<Self, (usize, String)> {
        let (mut within, mut without) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let mut has_in = false;
        for (index, pattern) in patterns.iter().enumerate() {
            let glob = compile(pattern).map_err(|why| (index, why))?;
            if pattern.starts_with('!') {
                without.add(glob);
            } else {
                has_in = true;
                within.add(glob);
            }
        }
        let build = |set: GlobSetBuilder| set.build().map_err(|error| (0, error.kind().to_string()));
        Ok(Self { has_in, within: build(within)?, without: build(without)?, patterns })
    }

    /// Whether `text` is in (see the type).
    pub fn is_match(&self, text: &str) -> bool {
        (!self.has_in || self.within.is_match(text)) && !self.without.is_match(text)
    }

    /// Whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The patterns as written.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }
}

impl fmt::Debug for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Globs").field(&self.patterns).finish()
    }
}

impl PartialEq for Globs {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for Globs {}

/// One pattern, its leading `!` left aside.
pub(crate) fn compile(pattern: &str) -> Result<globset::Glob, String> {
    let bare = pattern.strip_prefix('!').unwrap_or(pattern);
    if bare.is_empty() {
        return Err("the pattern is empty".to_owned());
    }
    if bare.len() > MAX_GLOB_BYTES {
        return Err(format!("the pattern is longer than {MAX_GLOB_BYTES} bytes"));
    }
    GlobBuilder::new(bare).literal_separator(false).build().map_err(|error| error.kind().to_string())
}
