//! A feed's text as rows: `<Projects>` with a `<Project …/>` for each.
//!
//! The parser reads from a flat text and knows no entities but XML's own five: what a document type declares is never
//! read, so that no entity grows and none reaches for a file or an address.

use domain::text::{MAX_NAME, MAX_TITLE, MAX_URL, line};
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

/// The most projects of one feed; what comes after them is left out, and said.
pub(crate) const MAX_PROJECTS: usize = 20_000;
/// How deep elements may lie in each other: a feed needs four.
const MAX_DEPTH: usize = 32;
/// The most messages of one project that are looked at.
const MAX_MESSAGES: usize = 32;

/// One project as the feed has it: nothing but its name is required.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) activity: String,
    pub(crate) last_status: String,
    pub(crate) last_label: String,
    pub(crate) last_time: String,
    pub(crate) web_url: String,
    /// Who is said to have broken it.
    pub(crate) breakers: Option<String>,
    /// What is said to have failed.
    pub(crate) failing: Option<String>,
}

/// What a feed tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Feed {
    /// Its projects, in its order.
    pub(crate) rows: Vec<Row>,
    /// Projects without a name.
    pub(crate) nameless: usize,
    /// Whether there were more than are read.
    pub(crate) truncated: bool,
}

/// Reads a feed.
///
/// # Errors
/// What came instead, in words that go after "got".
pub(crate) fn read(text: &str) -> Result<Feed, String> {
    let begin = text.trim_start();
    match begin.chars().next() {
        None => return Err("an empty body".to_owned()),
        Some('{' | '[') => return Err("JSON".to_owned()),
        Some('<') => {}
        Some(_) => return Err("text that is no XML".to_owned()),
    }
    let mut reader = Reader::from_str(begin);
    let mut walk = Walk::default();
    loop {
        let event = reader.read_event().map_err(|e| walk.broken(&e.to_string(), reader.error_position()))?;
        match event {
            Event::Start(element) => {
                walk.open(&element)?;
                walk.depth += 1;
                if walk.depth > MAX_DEPTH {
                    return Err(format!("XML that is more than {MAX_DEPTH} elements deep"));
                }
            }
            Event::Empty(element) => walk.open(&element)?,
            Event::End(element) => {
                walk.depth = walk.depth.saturating_sub(1);
                if is(element.local_name().as_ref(), "Project") {
                    walk.in_project = false;
                }
            }
            Event::Eof => break,
            // Neither text nor comments nor declarations tell anything.
            _ => {}
        }
    }
    if walk.depth > 0 {
        return Err("a feed that ends in its middle".to_owned());
    }
    if !walk.in_feed {
        return Err("XML without <Projects>".to_owned());
    }
    Ok(walk.feed)
}

/// Element and attribute names compare without case: `LastBuildStatus` is about as common as `lastBuildStatus`.
fn is(name: &str, wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted)
}

#[derive(Default)]
struct Walk {
    feed: Feed,
    depth: usize,
    in_feed: bool,
    /// Whether messages belong to the newest row.
    in_project: bool,
    messages: usize,
}

impl Walk {
    fn broken(&self, why: &str, at: u64) -> String {
        let what = if self.in_feed { "a broken feed" } else { "broken XML" };
        format!("{what} (byte {at}: {})", line(why, 120))
    }

    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let name = element.local_name();
        let name = name.as_ref();
        if !self.in_feed {
            // CruiseControl.NET also has a report in which the feed lies one level deeper.
            return match name {
                n if is(n, "Projects") => {
                    self.in_feed = true;
                    Ok(())
                }
                n if is(n, "html") => Err("an HTML page (is this a login page?)".to_owned()),
                n if is(n, "CruiseControl") || self.depth > 0 => Ok(()),
                other => Err(format!("XML of another kind: <{}>", line(other, 60))),
            };
        }
        if is(name, "Project") {
            (self.in_project, self.messages) = (false, 0);
            self.project(element)?;
        } else if self.in_project && is(name, "message") && self.messages < MAX_MESSAGES {
            self.messages += 1;
            self.message(element)?;
        }
        Ok(())
    }

    fn project(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let mut row = Row::default();
        self.attributes(element, |name, value| {
            let (field, max) = match name {
                n if is(n, "name") => (&mut row.name, MAX_NAME),
                n if is(n, "activity") => (&mut row.activity, MAX_NAME),
                n if is(n, "lastBuildStatus") => (&mut row.last_status, MAX_NAME),
                n if is(n, "lastBuildLabel") => (&mut row.last_label, MAX_NAME),
                n if is(n, "lastBuildTime") => (&mut row.last_time, MAX_NAME),
                // One that is cut is none.
                n if is(n, "webUrl") => (&mut row.web_url, MAX_URL + 1),
                _ => return,
            };
            *field = line(value, max);
        })?;
        if row.name.is_empty() {
            self.feed.nameless += 1;
        } else if self.feed.rows.len() == MAX_PROJECTS {
            self.feed.truncated = true;
        } else {
            self.in_project = true;
            self.feed.rows.push(row);
        }
        Ok(())
    }

    fn message(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let (mut kind, mut text) = (String::new(), String::new());
        self.attributes(element, |name, value| {
            if is(name, "kind") {
                kind = line(value, MAX_NAME);
            } else if is(name, "text") {
                text = line(value, MAX_TITLE);
            }
        })?;
        let Some(row) = self.feed.rows.last_mut().filter(|_| !text.is_empty()) else { return Ok(()) };
        match kind.as_str() {
            k if is(k, "Breakers") => row.breakers = Some(text),
            k if is(k, "FailingTasks") => row.failing = Some(text),
            _ => {}
        }
        Ok(())
    }

    fn attributes(&self, element: &BytesStart<'_>, mut each: impl FnMut(&str, &str)) -> Result<(), String> {
        // Unchecked, because to compare each with each takes quadratic time, and the last of two is as good as the first.
        for attribute in element.attributes().with_checks(false) {
            let attribute = attribute.map_err(|e| self.broken(&e.to_string(), 0))?;
            let raw = &*attribute.value;
            // An entity that is not XML's own is left as it is written.
            let value = unescape(raw);
            each(attribute.key.local_name().as_ref(), value.as_deref().unwrap_or(raw));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of feeds, put together at random.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "<Projects>",
            "</Projects>",
            "<Project ",
            "name=\"p\"",
            "name='&amp;&x;&#0;&#xD800;'",
            " activity=",
            "\"Building\"",
            "/>",
            ">",
            "</Project>",
            "<messages>",
            "<message kind='Breakers' text='x'/>",
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "<?xml version='1.0'?>",
            "<!DOCTYPE x [",
            "<!ENTITY a '&a;'>",
            "&a;",
            "\u{0}",
            "é",
            "=",
            "'",
            "\"",
            " ",
        ]);
        prop::collection::vec(prop_oneof![4 => piece.prop_map(str::to_owned), 1 => ".{0,8}"], 0..40)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn nothing_panics_and_every_row_has_a_bounded_name(text in pieces()) {
            if let Ok(feed) = read(&text) {
                prop_assert!(feed.rows.iter().all(|r| !r.name.is_empty() && r.name.chars().count() <= MAX_NAME + 1));
            }
        }
    }
}
