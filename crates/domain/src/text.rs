//! What comes from a platform is text of any length and content. Here it is cut to a size that fits a page and freed of
//! what would act instead of being read: control characters, and the bidirectional overrides that make text lie about
//! its order. Letters of right-to-left scripts stay.

use std::fmt;
use std::sync::Arc;

/// The longest name (project, branch, job, workflow), in characters.
pub const MAX_NAME: usize = 512;
/// The longest title (first line of a commit message, failure reason), in characters.
pub const MAX_TITLE: usize = 300;
/// The longest message or description, in characters.
pub const MAX_MESSAGE: usize = 4_000;
/// The longest link, in bytes. Longer than any platform makes; browsers take at least this much.
pub const MAX_URL: usize = 2_048;

/// Whether this character acts on the text around it instead of being read.
const fn acts(c: char) -> bool {
    matches!(c,
        '\u{200E}' | '\u{200F}' | '\u{061C}'            // marks
        | '\u{202A}'..='\u{202E}'                       // embeddings and overrides
        | '\u{2066}'..='\u{2069}'                       // isolates
        | '\u{FEFF}' | '\u{2028}' | '\u{2029}'          // byte order mark, line and paragraph separator
        | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// One line: control characters become spaces, runs of white space one space, `…` marks a cut at `max` characters.
#[must_use]
pub fn line(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max * 4));
    let (mut count, mut space) = (0, false);
    for c in text.chars() {
        if acts(c) {
            continue;
        }
        if c.is_whitespace() || c.is_control() {
            space = count > 0;
            continue;
        }
        let wanted = 1 + usize::from(space);
        if count + wanted > max {
            out.push('…');
            return out;
        }
        if space {
            out.push(' ');
            space = false;
        }
        out.push(c);
        count += wanted;
    }
    out
}

/// Several lines: line breaks and tabs stay, other control characters go, `…` marks a cut at `max` characters.
#[must_use]
pub fn block(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max * 4));
    for (count, c) in
        text.chars().filter(|c| !acts(*c) && (!c.is_control() || matches!(c, '\n' | '\t'))).enumerate()
    {
        if count == max {
            out.push('…');
            break;
        }
        out.push(c);
    }
    out.truncate(out.trim_end().len());
    out
}

/// The first line of a commit message.
#[must_use]
pub fn title(message: &str) -> String {
    line(message.trim_start().lines().next().unwrap_or_default(), MAX_TITLE)
}

/// A link that may stand in a page: `http` or `https`, of bounded length, without white space or control characters.
/// Anything else (`javascript:`, `data:`, a relative path) is no link.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "String"))]
pub struct WebUrl(Arc<str>);

impl WebUrl {
    /// Takes a link, or nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let scheme = text.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
        let fits = text.len() <= MAX_URL
            && !text.chars().any(|c| c.is_whitespace() || c.is_control() || acts(c))
            && matches!(&scheme, Some((s, rest)) if (s == "http" || s == "https") && rest.starts_with(|c: char| c.is_alphanumeric() || c == '['));
        fits.then(|| Self(text.into()))
    }

    /// The link.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As [`WebUrl::parse`]: what was written down is no more to be trusted than what comes from a platform.
#[cfg(feature = "serde")]
impl TryFrom<String> for WebUrl {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("no link")
    }
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
