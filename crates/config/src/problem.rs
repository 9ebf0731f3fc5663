//! What is wrong with a configuration, and where it was written.

use std::fmt;
use std::path::PathBuf;

/// Longest part of a value that a message repeats, in characters.
const MAX_QUOTED_CHARS: usize = 60;

/// One mistake (or, among [`crate::Loaded::warnings`], one thing worth a look).
///
/// No field ever holds the value of a secret: messages repeat what stands in the file, unexpanded,
/// and of secrets and URLs nothing at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the key, list items by position from 0: `gitlab[1].url`. Empty for the file as a whole.
    pub key_path: String,
    /// The file it stands in; `None` when it came from elsewhere.
    pub file: Option<PathBuf>,
    /// Line in `file`, from 1.
    pub line: Option<usize>,
    /// The environment variable (`environment PORT`) or flag (`--port`) it came from, when that is not the file.
    pub given_by: Option<String>,
    /// What is wrong, in words.
    pub message: String,
    /// What to do about it, in words: `did you mean "port"?`.
    pub suggestion: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line, &self.given_by) {
            (Some(file), Some(line), _) => write!(f, "{}:{line}: ", file.display())?,
            (Some(file), None, _) => write!(f, "{}: ", file.display())?,
            (None, _, Some(by)) => write!(f, "{by}: ")?,
            (None, _, None) => {}
        }
        if !self.key_path.is_empty() {
            write!(f, "{}: ", self.key_path)?;
        }
        f.write_str(&self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; {suggestion}")?;
        }
        Ok(())
    }
}

/// Every mistake of a configuration, in the order of the sections. Never empty when it is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The mistakes one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A piece of somebody's text, quoted for a message: control characters escaped, cut to a bounded length.
pub(crate) fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_QUOTED_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// `did you mean "port"?` for the candidate that `word` most looks like, if any looks like it at all.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    /// Below this Jaro-Winkler likeness a hint confuses more than it helps.
    const ALIKE: f64 = 0.75;
    let word = word.to_ascii_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| {
            let likeness = strsim::jaro_winkler(&word, &candidate.replace('-', "_"))
                .max(strsim::normalized_damerau_levenshtein(&word, candidate));
            (likeness, candidate)
        })
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| format!("did you mean {candidate:?}?"))
}
