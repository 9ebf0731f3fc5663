//! `${NAME}` and `${NAME:-default}` inside strings; `$${` stands for a literal `${`.

use std::borrow::Cow;

/// Deepest nesting of a default inside a default.
const MAX_DEFAULT_DEPTH: usize = 4;

/// What YAML would read as structure inside a plain `${NAME:-default}`, and what stands for it while YAML is parsed:
/// noncharacters, which no text has a use for. Thus `{ token: ${NAME} }` can be written without quotes, as people do,
/// while expansion itself works on the parsed tree only.
const SHIELDS: [(char, char); 7] = [
    ('{', '\u{FDD0}'),
    ('}', '\u{FDD1}'),
    ('[', '\u{FDD2}'),
    (']', '\u{FDD3}'),
    (',', '\u{FDD4}'),
    (':', '\u{FDD5}'),
    ('#', '\u{FDD6}'),
];

/// Why a string could not be expanded. Never holds a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExpandError {
    /// These variables are not set, or set to nothing.
    Missing(Vec<String>),
    /// A `${` that is neither `${NAME}` nor `${NAME:-default}`.
    Malformed,
}

/// Hides the structure characters of every well-formed `${…}` from the YAML parser, character for character.
///
/// # Errors
/// The line (from 1) of a character that is reserved for this.
pub(crate) fn shield(text: &str) -> Result<Cow<'_, str>, usize> {
    if let Some(at) = text.find(|c| ('\u{FDD0}'..='\u{FDEF}').contains(&c)) {
        return Err(text[..at].matches('\n').count() + 1);
    }
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        // Only within one line and outside of quotes: beyond those a missing brace would swallow the file.
        let line = &rest[..rest.find(['\n', '\r', '"', '\'']).unwrap_or(rest.len())];
        let length = reference_len(line).unwrap_or(0);
        if length == 0 {
            out.push_str("${");
            rest = &rest[2..];
            continue;
        }
        out.extend(rest[..length].chars().map(|c| swap(c, |(plain, shield)| (plain, shield))));
        rest = &rest[length..];
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// Undoes [`shield`] in a parsed string.
pub(crate) fn unshield(text: &str) -> String {
    text.chars().map(|c| swap(c, |(plain, shield)| (shield, plain))).collect()
}

fn swap(c: char, direction: fn((char, char)) -> (char, char)) -> char {
    SHIELDS.iter().map(|pair| direction(*pair)).find(|(from, _)| *from == c).map_or(c, |(_, to)| to)
}

/// Length in bytes of the `${…}` that `text` starts with.
fn reference_len(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("${")?;
    let name = name_len(inner)?;
    let after = &inner[name..];
    if after.starts_with('}') {
        return Some(2 + name + 1);
    }
    let default = after.strip_prefix(":-")?;
    let mut depth = 0usize;
    let mut previous = '\0';
    for (at, c) in default.char_indices() {
        match c {
            '{' if previous == '$' => depth += 1,
            '}' if depth == 0 => return Some(2 + name + 2 + at + 1),
            '}' => depth -= 1,
            _ => {}
        }
        previous = c;
    }
    None
}

fn name_len(text: &str) -> Option<usize> {
    let length = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    (length > 0 && !text.starts_with(|c: char| c.is_ascii_digit())).then_some(length)
}

/// Expands `text`. What a variable holds is not expanded again; a variable that is set to nothing counts as missing.
pub(crate) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let mut missing = Vec::new();
    let out = expand_at(text, env, &mut missing, 0)?;
    if missing.is_empty() { Ok(out) } else { Err(ExpandError::Missing(missing)) }
}

fn expand_at(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    missing: &mut Vec<String>,
    depth: usize,
) -> Result<String, ExpandError> {
    if depth > MAX_DEFAULT_DEPTH {
        return Err(ExpandError::Malformed);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$${") {
            out.push_str("${");
            rest = after;
        } else if rest.starts_with("${") {
            let length = reference_len(rest).ok_or(ExpandError::Malformed)?;
            let inner = &rest[2..length - 1];
            let (name, default) = match inner.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inner, None),
            };
            match (env(name).filter(|value| !value.is_empty()), default) {
                (Some(value), _) => out.push_str(&value),
                (None, Some(default)) => out.push_str(&expand_at(default, env, missing, depth + 1)?),
                (None, None) if missing.iter().any(|known| known == name) => {}
                (None, None) => missing.push(name.to_owned()),
            }
            rest = &rest[length..];
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// A text that [`expand`] turns into `literal`.
pub(crate) fn escape(literal: &str) -> String {
    literal.replace("${", "$${")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "A" => Some("alpha".to_owned()),
            "RAW" => Some("${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn expands() {
        let cases = [
            ("", ""),
            ("plain $ and $A", "plain $ and $A"),
            ("x${A}y${A}", "xalphayalpha"),
            ("${RAW}", "${A}"),
            ("${NO:-d}", "d"),
            ("${NO:-}", ""),
            ("${EMPTY:-d}", "d"),
            ("${NO:-${A}}", "alpha"),
            ("${NO:-a:-b}", "a:-b"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &env).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn names_what_is_missing_once() {
        let missing = ExpandError::Missing(vec!["NO".to_owned(), "EMPTY".to_owned()]);
        assert_eq!(expand("${NO}${EMPTY}${NO}", &env), Err(missing));
    }

    #[test]
    fn refuses_what_only_looks_like_a_reference() {
        for text in ["${", "${}", "${1A}", "${A", "${A-x}", "${A:-x", "${ A }", "${a.b}"] {
            assert_eq!(expand(text, &env), Err(ExpandError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_deep_default_is_refused() {
        let text = format!("{}x{}", "${NO:-".repeat(50), "}".repeat(50));
        assert_eq!(expand(&text, &env), Err(ExpandError::Malformed));
    }

    #[test]
    fn shield_keeps_every_character_in_its_place() {
        let text = "{ a: ${A}, b: ${B:-x, [y] #z: ${C}} }\n${broken";
        let shielded = shield(text).unwrap();
        assert_eq!(shielded.chars().count(), text.chars().count());
        assert_eq!(shielded.matches(['{', '}']).count(), 3);
        assert_eq!(unshield(&shielded), text);
        assert_eq!(shield("a\nb\u{FDD3}"), Err(2));
    }

    proptest::proptest! {
        #[test]
        fn escape_round_trips(text in "[a${}:\\-]{0,24}") {
            proptest::prop_assert_eq!(expand(&escape(&text), &env), Ok(text));
        }

        #[test]
        fn never_panics(text in "[$A{}:\\-x\n\"é]{0,40}") {
            let _ = expand(&text, &env);
            let shielded = shield(&text).unwrap();
            proptest::prop_assert_eq!(unshield(&shielded), text);
        }
    }
}
