//! A YAML document as a tree in which every node knows where it was written.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::expand::{shield, unshield};

/// Largest configuration file, in bytes.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Most nodes of a document, those that aliases repeat included.
pub const MAX_NODES: usize = 50_000;
/// Deepest nesting of lists and mappings.
pub const MAX_DEPTH: usize = 32;

/// Where a node came from, in rising precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// The file, at this line.
    Line(usize),
    /// An environment variable.
    Env(String),
    /// A flag.
    Flag(&'static str),
}

impl Origin {
    /// The higher wins.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Line(_) => 0,
            Self::Env(_) => 1,
            Self::Flag(_) => 2,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    /// Text as written, not expanded.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) origin: Origin,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn scalar(text: impl Into<String>, origin: Origin) -> Self {
        Self { origin, value: Value::Scalar(text.into()) }
    }

    /// In words, with an article.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// A mistake of the file as YAML.
#[derive(Debug)]
pub(crate) struct TreeProblem {
    pub(crate) key_path: String,
    pub(crate) line: usize,
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

/// Parses one document. What is wrong without spoiling the rest (a duplicate key, a tag) is told beside the tree;
/// a syntax error ends it.
pub(crate) fn parse(text: &str) -> (Option<Node>, Vec<TreeProblem>) {
    let shielded = match shield(text) {
        Ok(shielded) => shielded,
        Err(line) => {
            let problem = TreeProblem {
                key_path: String::new(),
                line,
                message: "a character that is not allowed (U+FDD0 to U+FDEF)".to_owned(),
                suggestion: None,
            };
            return (None, vec![problem]);
        }
    };
    let options = granit_parser::options! {
        emit_comments: false,
        disallow_directives: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        // A one-line flow mapping as a value is no key, but the parser cannot know before its end.
        simple_key_max_lookahead: 64 * 1024,
    };
    let mut builder = Builder {
        events: Parser::new_from_str_with_options(&shielded, options),
        anchors: HashMap::new(),
        nodes: 0,
        problems: Vec::new(),
        line: 1,
    };
    let tree = builder.document().ok();
    (tree, builder.problems)
}

/// The document cannot be read on; why is among the problems.
struct Stop;

struct Builder<I> {
    events: I,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    problems: Vec<TreeProblem>,
    line: usize,
}

type Next<'e> = (Event<'e>, Span);

impl<'e, I> Builder<I>
where
    I: Iterator<Item = Result<Next<'e>, granit_parser::ScanError>>,
{
    fn stop<T>(&mut self, path: &str, line: usize, message: impl Into<String>) -> Result<T, Stop> {
        self.tell(path, line, message, None);
        Err(Stop)
    }

    fn tell(&mut self, path: &str, line: usize, message: impl Into<String>, suggestion: Option<&str>) {
        self.problems.push(TreeProblem {
            key_path: path.to_owned(),
            line,
            message: message.into(),
            suggestion: suggestion.map(str::to_owned),
        });
    }

    fn next(&mut self) -> Result<Next<'e>, Stop> {
        match self.events.next() {
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok((event, span))
            }
            Some(Err(error)) => {
                let line = error.marker().line();
                // The parser's own words may repeat a name from the file (of an alias), which may be a secret without quotes.
                let words = match error.kind() {
                    granit_parser::ErrorKind::UnknownAnchor => {
                        "a value that starts with * is an alias, and there is no such anchor".to_owned()
                    }
                    _ => unshield(&error.info()),
                };
                self.tell(
                    "",
                    line,
                    format!("not YAML: {words}"),
                    Some("quote values that hold any of : # { } [ ] , & * ! | > ' \" % @"),
                );
                Err(Stop)
            }
            None => self.stop("", self.line, "not YAML: the file ends too early"),
        }
    }

    fn document(&mut self) -> Result<Node, Stop> {
        let mut tree = Node { origin: Origin::Line(1), value: Value::Null };
        let mut documents = 0;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(tree),
                (Event::StreamStart | Event::DocumentEnd, _) => {}
                (Event::DocumentStart(..), span) => {
                    documents += 1;
                    if documents > 1 {
                        return self.stop("", span.start.line(), "a second document in the file");
                    }
                    let next = self.next()?;
                    tree = self.node(next, "", 0)?;
                }
                (_, span) => return self.stop("", span.start.line(), "not YAML"),
            }
        }
    }

    fn count(&mut self, path: &str, nodes: usize, line: usize) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return self.stop(path, line, format!("more than {MAX_NODES} values, aliases counted"));
        }
        Ok(())
    }

    fn node(&mut self, (event, span): Next<'e>, path: &str, depth: usize) -> Result<Node, Stop> {
        let line = span.start.line();
        let origin = Origin::Line(line);
        self.count(path, 1, line)?;
        if depth > MAX_DEPTH {
            return self.stop(path, line, format!("nested deeper than {MAX_DEPTH} levels"));
        }
        if event.tag().is_some_and(|tag| !tag.is_yaml_core_schema()) {
            let hint = "quote a value that starts with an exclamation mark";
            self.tell(path, line, "YAML tags (!word) mean nothing here", Some(hint));
        }
        let anchor = event.anchor_id();
        let value = match event {
            Event::Scalar(text, style, ..) => {
                if matches!(style, ScalarStyle::Plain)
                    && matches!(&*text, "" | "~" | "null" | "Null" | "NULL")
                {
                    Value::Null
                } else {
                    Value::Scalar(unshield(&text))
                }
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Value::List(items),
                        next => {
                            items.push(self.node(next, &format!("{path}[{}]", items.len()), depth + 1)?)
                        }
                    }
                }
            }
            Event::MappingStart(..) => Value::Map(self.entries(path, depth)?),
            Event::Alias(id) => {
                // An anchor inside itself is not complete yet, hence not among them.
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return self.stop(path, line, "an alias inside of what it stands for");
                };
                self.count(path, size(&node), line)?;
                return Ok(node);
            }
            _ => return self.stop(path, line, "not YAML"),
        };
        let node = Node { origin, value };
        if let Some(id) = anchor.filter(|id| *id > 0) {
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn entries(&mut self, path: &str, depth: usize) -> Result<Vec<Entry>, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::MappingEnd) {
                return Ok(entries);
            }
            let line = next.1.start.line();
            let key = match self.node(next, path, depth + 1)?.value {
                Value::Scalar(key) => Some(key),
                Value::Null => Some("null".to_owned()),
                Value::List(_) | Value::Map(_) => None,
            };
            let Some(key) = key else {
                self.tell(path, line, "a key has to be a word", Some("quote values that start with { or ["));
                let next = self.next()?;
                self.node(next, path, depth + 1)?;
                continue;
            };
            let child = join(path, &key);
            let next = self.next()?;
            let node = self.node(next, &child, depth + 1)?;
            match entries.iter().find(|entry| entry.key == key) {
                Some(first) => {
                    let first = match first.origin {
                        Origin::Line(line) => line,
                        _ => 0,
                    };
                    self.tell(&child, line, format!("the key is there already, at line {first}"), None);
                }
                None => entries.push(Entry { key, origin: Origin::Line(line), node }),
            }
        }
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar(_) => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| 1 + size(&entry.node)).sum::<usize>(),
    }
}

/// `path.key`, the key made fit to be shown.
pub(crate) fn join(path: &str, key: &str) -> String {
    /// Longest part of a key that a path repeats, in characters.
    const MAX_KEY_CHARS: usize = 60;
    let mut key: String =
        key.chars().take(MAX_KEY_CHARS).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
    if !path.is_empty() {
        key.insert(0, '.');
        key.insert_str(0, path);
    }
    key
}
