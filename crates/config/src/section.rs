//! Reads typed values out of the tree and remembers everything that is wrong with them.

use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::env::Environment;
use crate::expand::{ExpandError, expand};
use crate::problem::{Problem, did_you_mean, quote};
use crate::secret::{Secret, SecretFrom};
use crate::tree::{Entry, Node, Origin, Value, join};
use crate::values::Misfit;

/// Largest file that holds a secret, in bytes.
pub const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// What reading needs to know, and what it found wrong.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) env: &'a Environment,
    pub(crate) file: Option<PathBuf>,
    pub(crate) cwd: &'a Path,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(env: &'a Environment, cwd: &'a Path) -> Self {
        Self { env, file: None, cwd, problems: RefCell::default(), warnings: RefCell::default() }
    }

    fn note(
        &self,
        path: &str,
        origin: Option<&Origin>,
        message: String,
        suggestion: Option<String>,
    ) -> Problem {
        let (line, given_by) = match origin {
            Some(Origin::Line(line)) => (Some(*line), None),
            Some(Origin::Env(name)) => (None, Some(format!("environment {name}"))),
            Some(Origin::Flag(name)) => (None, Some((*name).to_owned())),
            None => (None, None),
        };
        let file = line.and(self.file.clone());
        Problem { key_path: path.to_owned(), file, line, given_by, message, suggestion }
    }

    pub(crate) fn problem(
        &self,
        path: &str,
        origin: Option<&Origin>,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        let problem = self.note(path, origin, message.into(), suggestion);
        self.problems.borrow_mut().push(problem);
    }

    pub(crate) fn warn(&self, path: &str, origin: Option<&Origin>, message: impl Into<String>) {
        let warning = self.note(path, origin, message.into(), None);
        self.warnings.borrow_mut().push(warning);
    }

    /// A mistake of the file as a whole.
    pub(crate) fn file_problem(&self, file: &Path, message: impl Into<String>) {
        let mut problem = self.note("", None, message.into(), None);
        problem.file = Some(file.to_owned());
        self.problems.borrow_mut().push(problem);
    }

    pub(crate) fn into_notes(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems.into_inner(), self.warnings.into_inner())
    }

    /// A path as it was meant: relative to the file that names it, else to the working directory.
    fn resolve(&self, text: &str, origin: &Origin) -> PathBuf {
        let folder = match (origin, &self.file) {
            (Origin::Line(_), Some(file)) => self.cwd.join(file.parent().unwrap_or(Path::new(""))),
            _ => self.cwd.to_owned(),
        };
        folder.join(text)
    }
}

/// One value, expanded.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) text: String,
    /// As written: what messages may repeat.
    pub(crate) raw: String,
    pub(crate) path: String,
    pub(crate) origin: Origin,
}

/// A mapping that is being read. Every key that is asked for is a known one; what is left at the end is not.
pub(crate) struct Section<'a> {
    pub(crate) ctx: &'a Context<'a>,
    pub(crate) path: String,
    pub(crate) origin: Option<Origin>,
    entries: Vec<Entry>,
    known: Vec<String>,
    /// In a source: what variables are missing, each in words. `None` elsewhere, where that is a mistake.
    missing: Option<Vec<String>>,
}

impl<'a> Section<'a> {
    pub(crate) fn open(ctx: &'a Context<'a>, path: &str, node: Option<Node>) -> Self {
        let origin = node.as_ref().map(|node| node.origin.clone());
        let entries = match node {
            Some(Node { value: Value::Map(entries), .. }) => entries,
            None | Some(Node { value: Value::Null, .. }) => Vec::new(),
            Some(other) => {
                let message = format!("expected keys and values, found {}", other.kind());
                ctx.problem(path, origin.as_ref(), message, None);
                Vec::new()
            }
        };
        Self { ctx, path: path.to_owned(), origin, entries, known: Vec::new(), missing: None }
    }

    /// The same, for a source: a missing variable turns it off.
    pub(crate) fn open_source(ctx: &'a Context<'a>, path: &str, node: Node) -> Self {
        Self { missing: Some(Vec::new()), ..Self::open(ctx, path, Some(node)) }
    }

    /// The node of `key`, if it is there and not null.
    pub(crate) fn take(&mut self, key: &str) -> Option<Node> {
        self.known.push(key.to_owned());
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        let node = self.entries.swap_remove(at).node;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// Whether `key` is there with a value, be it a wrong one.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key && !matches!(entry.node.value, Value::Null))
    }

    /// The mapping under `key`; empty when it is not there.
    pub(crate) fn section(&mut self, key: &str) -> Section<'a> {
        let node = self.take(key);
        Section::open(self.ctx, &join(&self.path, key), node)
    }

    /// How many variables were found missing so far.
    pub(crate) fn missing_count(&self) -> usize {
        self.missing.as_ref().map_or(0, Vec::len)
    }

    /// The value of `key`. A value that is empty, or empty once expanded, counts as not given.
    pub(crate) fn leaf(&mut self, key: &str) -> Option<Leaf> {
        let node = self.take(key)?;
        let path = join(&self.path, key);
        self.expand(node, path)
    }

    fn expand(&mut self, node: Node, path: String) -> Option<Leaf> {
        let origin = node.origin.clone();
        let raw = match node.value {
            Value::Scalar(text) => text,
            Value::Null => return None,
            Value::List(_) | Value::Map(_) => {
                let message = format!("expected a single value, found {}", node.kind());
                self.ctx.problem(&path, Some(&origin), message, None);
                return None;
            }
        };
        let text = match origin {
            Origin::Line(_) => match expand(&raw, &|name| self.ctx.env.get(name).map(str::to_owned)) {
                Ok(text) => text,
                Err(ExpandError::Malformed) => {
                    let hint = "write ${NAME} or ${NAME:-default}; $${ stands for a literal ${";
                    self.ctx.problem(
                        &path,
                        Some(&origin),
                        "holds a ${ that names no variable",
                        Some(hint.to_owned()),
                    );
                    return None;
                }
                Err(ExpandError::Missing(names)) => {
                    for name in names {
                        let words = format!("environment variable {name} is not set");
                        match &mut self.missing {
                            Some(missing) => missing.push(format!("{words} ({path})")),
                            None => {
                                let hint = format!("set it, or give a default: ${{{name}:-…}}");
                                self.ctx.problem(&path, Some(&origin), words, Some(hint));
                            }
                        }
                    }
                    return None;
                }
            },
            Origin::Env(_) | Origin::Flag(_) => raw.clone(),
        };
        (!text.is_empty()).then_some(Leaf { text, raw, path, origin })
    }

    /// Says that `leaf` does not fit, repeating it as written.
    pub(crate) fn misfit(&self, leaf: &Leaf, misfit: Misfit) {
        let message = format!("{} {}", quote(&leaf.raw), misfit.what);
        self.ctx.problem(&leaf.path, Some(&leaf.origin), message, misfit.suggestion);
    }

    /// The same for what may be a secret: repeats nothing.
    pub(crate) fn misfit_hidden(&self, leaf: &Leaf, misfit: Misfit) {
        let message = format!("the value {}", misfit.what);
        self.ctx.problem(&leaf.path, Some(&leaf.origin), message, misfit.suggestion);
    }

    pub(crate) fn parse<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, Misfit>) -> Option<T> {
        let leaf = self.leaf(key)?;
        match read(&leaf.text) {
            Ok(value) => Some(value),
            Err(misfit) => {
                self.misfit(&leaf, misfit);
                None
            }
        }
    }

    pub(crate) fn parse_hidden<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, Misfit>,
    ) -> Option<T> {
        let leaf = self.leaf(key)?;
        match read(&leaf.text) {
            Ok(value) => Some(value),
            Err(misfit) => {
                self.misfit_hidden(&leaf, misfit);
                None
            }
        }
    }

    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        self.leaf(key).map(|leaf| leaf.text)
    }

    /// A path, resolved; the file is not opened.
    pub(crate) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.leaf(key).map(|leaf| self.ctx.resolve(&leaf.text, &leaf.origin))
    }

    /// As [`Section::path`], of a text that was read already.
    pub(crate) fn resolve(&self, text: &str, origin: &Origin) -> PathBuf {
        self.ctx.resolve(text, origin)
    }

    /// A list of values. From the environment: comma-separated, or in brackets as in YAML when an item holds a comma.
    pub(crate) fn list(&mut self, key: &str) -> Vec<Leaf> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let path = join(&self.path, key);
        let items = match (node.value, node.origin) {
            (Value::List(items), _) => items,
            (Value::Scalar(text), origin @ (Origin::Env(_) | Origin::Flag(_))) => {
                match split_list(&text, &origin) {
                    Some(items) => items,
                    None => {
                        self.ctx.problem(
                            &path,
                            Some(&origin),
                            "the value is not a list",
                            Some("write a,b or [a, b]".to_owned()),
                        );
                        return Vec::new();
                    }
                }
            }
            (Value::Scalar(text), origin) => {
                let hint = format!("write [{}]", quote(&text));
                self.ctx.problem(&path, Some(&origin), "expected a list, found a single value", Some(hint));
                return Vec::new();
            }
            (_, origin) => {
                self.ctx.problem(&path, Some(&origin), "expected a list, found a mapping", None);
                return Vec::new();
            }
        };
        let items = items.into_iter().enumerate();
        items.filter_map(|(at, item)| self.expand(item, format!("{path}[{at}]"))).collect()
    }

    pub(crate) fn texts(&mut self, key: &str) -> Vec<String> {
        self.list(key).into_iter().map(|leaf| leaf.text).collect()
    }

    pub(crate) fn parse_list<T>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, Misfit>) -> Vec<T> {
        let mut values = Vec::new();
        for leaf in self.list(key) {
            match read(&leaf.text) {
                Ok(value) => values.push(value),
                Err(misfit) => self.misfit(&leaf, misfit),
            }
        }
        values
    }

    /// The value of `key` or of the file that `<key>_file` names, whichever was given with higher precedence.
    pub(crate) fn leaf_or_file(&mut self, key: &str) -> Option<(Leaf, SecretFrom)> {
        let inline = self.leaf(key);
        let named = self.leaf(&format!("{key}_file"));
        let (inline, named) = match (inline, named) {
            (Some(inline), Some(named)) => match inline.origin.rank().cmp(&named.origin.rank()) {
                std::cmp::Ordering::Greater => (Some(inline), None),
                std::cmp::Ordering::Less => (None, Some(named)),
                std::cmp::Ordering::Equal => {
                    let message = format!("both {key} and {key}_file are given");
                    self.ctx.problem(&named.path, Some(&named.origin), message, Some("keep one".to_owned()));
                    return None;
                }
            },
            other => other,
        };
        if let Some(leaf) = inline {
            let from = match &leaf.origin {
                Origin::Env(name) => SecretFrom::Environment(name.clone()),
                _ => SecretFrom::Settings,
            };
            return Some((leaf, from));
        }
        let mut leaf = named?;
        let path = self.ctx.resolve(&leaf.text, &leaf.origin);
        match read_secret(&path) {
            Ok(text) => {
                leaf.text = text;
                Some((leaf, SecretFrom::File(path)))
            }
            Err(why) => {
                let message = format!("cannot read {}: {why}", path.display());
                self.ctx.problem(&leaf.path, Some(&leaf.origin), message, None);
                None
            }
        }
    }

    /// A secret, inline or from a file.
    pub(crate) fn secret(&mut self, key: &str, lines: Lines) -> Option<Secret> {
        let (leaf, from) = self.leaf_or_file(key)?;
        match secret_text(&leaf.text, lines) {
            Ok(text) => Some(Secret::new(text, from)),
            Err(misfit) => {
                self.misfit_hidden(&leaf, misfit);
                None
            }
        }
    }

    /// Reports what was not asked for; of a source, hands back which variables are missing.
    pub(crate) fn finish(self) -> Vec<String> {
        for entry in &self.entries {
            let path = join(&self.path, &entry.key);
            let suggestion = did_you_mean(&entry.key, self.known.iter().map(String::as_str));
            self.ctx.problem(&path, Some(&entry.origin), "unknown key", suggestion);
        }
        self.missing.unwrap_or_default()
    }
}

/// How many lines a secret may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    /// It goes into a header: one, without control characters.
    One,
    /// A PEM key.
    Many,
}

/// A secret without the line break that editors and `echo` leave at its end.
pub(crate) fn secret_text(text: &str, lines: Lines) -> Result<String, Misfit> {
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return crate::values::misfit("is empty");
    }
    if lines == Lines::One && text.chars().any(char::is_control) {
        return crate::values::misfit("holds a line break or another control character");
    }
    Ok(text.to_owned())
}

fn read_secret(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(format!("larger than {MAX_SECRET_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn split_list(text: &str, origin: &Origin) -> Option<Vec<Node>> {
    if text.trim_start().starts_with('[') {
        let (node, problems) = crate::tree::parse(text);
        let Some(Node { value: Value::List(items), .. }) = node.filter(|_| problems.is_empty()) else {
            return None;
        };
        return Some(items.into_iter().map(|item| Node { origin: origin.clone(), ..item }).collect());
    }
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Some(items.map(|item| Node::scalar(item, origin.clone())).collect())
}
