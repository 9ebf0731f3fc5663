//! Globs that let in and keep out: `branches`, `workflows`, `events`, `include` / `exclude`, `watched_repos`.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// The longest glob, in bytes.
pub const MAX_GLOB_BYTES: usize = 1024;

/// A glob that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is no glob: {why}")]
pub struct PatternError {
    /// The glob as written.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

/// A list of globs, those with a leading `!` keeping out. Empty lets everything in; only keep-outs let the rest in.
/// `*` crosses `/`, since group and branch names nest as deep as people like.
#[derive(Debug, Clone)]
pub struct Patterns {
    texts: Vec<String>,
    include: GlobSet,
    exclude: GlobSet,
}

impl Default for Patterns {
    fn default() -> Self {
        Self { texts: Vec::new(), include: GlobSet::empty(), exclude: GlobSet::empty() }
    }
}

impl Eq for Patterns {}

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

impl Patterns {
    /// Compiles the globs. Case does not matter, as repository names do not care for it either.
    ///
    /// # Errors
    /// The first that does not parse.
    pub fn new<S: AsRef<str>>(globs: impl IntoIterator<Item = S>) -> Result<Self, PatternError> {
        let (mut include, mut exclude) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let mut texts = Vec::new();
        for text in globs {
            let text = text.as_ref();
            let glob = Self::compile(text)?;
            if text.starts_with('!') {
                exclude.add(glob)
            } else {
                include.add(glob)
            };
            texts.push(text.to_owned());
        }
        let build = |b: &GlobSetBuilder| {
            b.build().map_err(|e| PatternError { pattern: texts.join(", "), why: e.kind().to_string() })
        };
        let (include, exclude) = (build(&include)?, build(&exclude)?);
        Ok(Self { texts, include, exclude })
    }

    fn compile(text: &str) -> Result<Glob, PatternError> {
        let fail = |why: String| PatternError { pattern: text.chars().take(80).collect(), why };
        let bare = text.strip_prefix('!').unwrap_or(text);
        if bare.is_empty() {
            return Err(fail("it is empty".to_owned()));
        }
        if bare.len() > MAX_GLOB_BYTES {
            return Err(fail(format!("it is longer than {MAX_GLOB_BYTES} bytes")));
        }
        GlobBuilder::new(bare)
            .case_insensitive(true)
            .literal_separator(false)
            .build()
            .map_err(|e| fail(e.kind().to_string()))
    }

    /// Whether this is a glob at all.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(text: &str) -> Result<(), PatternError> {
        Self::compile(text).map(drop)
    }

    /// Whether nothing was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The globs as written.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Whether this text is let in.
    #[must_use]
    pub fn lets_in(&self, text: &str) -> bool {
        !self.exclude.is_match(text) && (self.include.is_empty() || self.include.is_match(text))
    }

    /// Whether a glob stands in this text at all.
    #[must_use]
    pub fn is_glob(text: &str) -> bool {
        text.contains(['*', '?', '[', '{'])
    }
}
