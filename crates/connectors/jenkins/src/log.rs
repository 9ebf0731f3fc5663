//! The console: its end, or the part of it that a stage wrote; without what Jenkins hides in it.

use config::LogAccess;
use connector::{Error, Result};
use domain::{JobId, Log, Project, RunId};

use crate::base;
use crate::details::WHOLE;
use crate::source::Jenkins;

const CONSOLE: &str = "GET /job/:job/:build/logText/progressiveText";
/// How much of the end is kept while a stage's part is looked for, in bytes.
const SEARCHED_BYTES: usize = 8 * 1024 * 1024;
/// A console note begins so: what a browser is to make of the text behind it, serialised, between codes that hide it.
const NOTE_BEGINS: &str = "\u{1b}[8mha:";
const NOTE_ENDS: &str = "\u{1b}[0m";
/// What pipelines write of themselves.
const PIPELINE: &str = "[Pipeline] ";
/// How many lines from the end a reason is looked for.
const REASON_LINES: usize = 40;

/// A piece of a console, clean.
pub(crate) struct Console {
    pub(crate) text: String,
    pub(crate) truncated: bool,
}

impl Jenkins {
    /// The end of a build's console. Jenkins knows no ranges: what is before the end is read and dropped, unless a proxy
    /// in front knows better.
    pub(crate) async fn console(&self, job: &str, number: u64, max_bytes: usize) -> Result<Console> {
        let mut segments = base::segments(job);
        let number = number.to_string();
        segments.extend([number.as_str(), "logText", "progressiveText"]);
        let url = self.client.url(&segments, &[("start", "0")]);
        let tail = self.client.get_tail(CONSOLE, url, max_bytes).await?;
        let text = String::from_utf8_lossy(&tail.bytes);
        let mut text: &str = &text;
        if tail.truncated {
            // Cut at a line; one endless line stays as it is.
            text = text.split_once('\n').map_or(text, |(_, rest)| rest);
        }
        let start = text.trim_start().get(..64).unwrap_or(text.trim_start()).to_ascii_lowercase();
        if start.starts_with("<!doctype html") || start.starts_with("<html") {
            let at = self.root.host_str().unwrap_or("?");
            return Err(Error::Garbage(format!(
                "source {}: expected a log from Jenkins at {at}, got an HTML page (is this a login page?)",
                self.name
            )));
        }
        Ok(Console { text: clean(text), truncated: tail.truncated })
    }

    /// The log of a build, or of one of its stages.
    pub(crate) async fn read_log(
        &self,
        project: &Project,
        run: &RunId,
        id: &JobId,
        max_bytes: usize,
    ) -> Result<Log> {
        if self.logs == LogAccess::None {
            let note = "logs are switched off for this source (`logs: none`)".to_owned();
            return Ok(Log { note: Some(note), ..Log::default() });
        }
        let (job, _, number) = self.run(project, run)?;
        if id.as_str() == WHOLE {
            let console = self.console(&job, number, max_bytes).await?;
            return Ok(log(console.text, console.truncated));
        }
        let name = self.stage_name(&job, number, id).await?;
        let console = self.console(&job, number, SEARCHED_BYTES.max(max_bytes)).await?;
        let own = section(&console.text, &name);
        let (text, cut) = match own {
            Some(own) => (own, false),
            // Stages that ran side by side write over each other.
            None => (console.text.as_str(), console.truncated),
        };
        let (text, shortened) = end_of(text, max_bytes);
        Ok(log(text.to_owned(), cut || shortened))
    }

    async fn stage_name(&self, job: &str, number: u64, id: &JobId) -> Result<String> {
        let described = self.describe(job, number).await?.unwrap_or_default();
        let stages = described.stages.items.iter().enumerate();
        let found = stages.map(|(at, s)| crate::details::stage(at, s)).find(|stage| stage.id == *id);
        found
            .map(|stage| stage.name)
            .ok_or_else(|| Error::NotFound(format!("build {number} has no stage {:?}", id.as_str())))
    }
}

fn log(text: String, truncated: bool) -> Log {
    if text.trim().is_empty() {
        return Log { note: Some("no log yet".into()), ..Log::default() };
    }
    Log { text, truncated, note: None }
}

/// The last `max` bytes, from the beginning of a line, and whether anything is missing.
fn end_of(text: &str, max: usize) -> (&str, bool) {
    if text.len() <= max {
        return (text, false);
    }
    let mut from = text.len() - max;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let end = text.get(from..).unwrap_or_default();
    (end.split_once('\n').map_or(end, |(_, rest)| rest), true)
}

/// The text without console notes, without line ends of Windows, each line as it stood at its end.
pub(crate) fn clean(text: &str) -> String {
    let text = without_notes(text);
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim_end_matches('\r');
        out.push_str(line.rsplit_once('\r').map_or(line, |(_, last)| last));
        out.push('\n');
    }
    out
}

fn without_notes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, note)) = rest.split_once(NOTE_BEGINS) {
        out.push_str(before);
        // One without an end reaches to the end of its line.
        rest = match (note.find(NOTE_ENDS), note.find('\n')) {
            (Some(end), None) => note.get(end + NOTE_ENDS.len()..).unwrap_or_default(),
            (Some(end), Some(line)) if end < line => note.get(end + NOTE_ENDS.len()..).unwrap_or_default(),
            (_, Some(line)) => note.get(line..).unwrap_or_default(),
            (None, None) => "",
        };
    }
    out.push_str(rest);
    out
}

/// What a stage wrote: from `[Pipeline] { (name)` to the brace that ends it. `None` when it is not there, or stages ran side
/// by side, so that nobody can tell whose a line is.
fn section<'a>(text: &'a str, stage: &str) -> Option<&'a str> {
    let opening = format!("{PIPELINE}{{ ({stage})");
    let mut at = 0;
    let mut begins = None;
    let mut depth = 0_usize;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        match begins {
            None if bare == opening => begins = Some(at + line.len()),
            None => {}
            Some(from) => {
                if bare == "[Pipeline] parallel" {
                    return None;
                } else if bare == "[Pipeline] {" || bare.starts_with("[Pipeline] { (") {
                    depth += 1;
                } else if bare == "[Pipeline] }" {
                    if depth == 0 {
                        return text.get(from..at);
                    }
                    depth -= 1;
                }
            }
        }
        at += line.len();
    }
    // It is still being written.
    begins.and_then(|from| text.get(from..))
}

/// The line that says why a build failed: the last that speaks of an error, else the last that is not Jenkins' own.
pub(crate) fn reason(text: &str) -> Option<String> {
    let is_noise = |line: &&str| {
        line.is_empty()
            || line.starts_with(PIPELINE)
            || line.starts_with("Finished: ")
            || line.starts_with("Build step ")
            || line.starts_with("Archiving artifacts")
            || line.starts_with("Recording test results")
            || line.starts_with("Sending e-mails")
            || *line == "ERROR: script returned exit code 1"
    };
    let lines: Vec<String> = text.lines().map(plain).collect();
    let lines: Vec<&str> =
        lines.iter().map(|l| l.trim()).filter(|l| !is_noise(l)).rev().take(REASON_LINES).collect();
    let speaks = |line: &&&str| {
        let lower = line.to_ascii_lowercase();
        ["error", "fail", "exception", "fatal", "no space left", "timed out"]
            .iter()
            .any(|word| lower.contains(word))
    };
    let line = lines.iter().find(speaks).or(lines.first())?;
    Some(domain::text::line(line, domain::text::MAX_TITLE))
}

/// A line without colours.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            out.push(c);
            continue;
        }
        // `ESC [ … letter`
        if chars.next() == Some('[') {
            chars.by_ref().find(char::is_ascii_alphabetic);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_notes_go_and_colours_stay() {
        let note = "\u{1b}[8mha:////4CABBB+abc==\u{1b}[0m";
        assert_eq!(
            clean(&format!("{note}Started by user {note}Ann\n\u{1b}[31mred\u{1b}[0m\r\n")),
            "Started by user Ann\n\u{1b}[31mred\u{1b}[0m\n"
        );
        assert_eq!(clean("a\u{1b}[8mha:cut off\nnext\n"), "a\nnext\n");
        assert_eq!(clean("a\u{1b}[8mha:cut off"), "a\n");
        assert_eq!(clean("10%\r50%\r100%\n"), "100%\n");
        assert_eq!(clean(""), "");
    }

    #[test]
    fn a_stage_has_its_part() {
        let text = "Started\n[Pipeline] stage\n[Pipeline] { (Build)\n+ make\n[Pipeline] dir\n[Pipeline] {\nin dir\n[Pipeline] }\n\
                    [Pipeline] }\n[Pipeline] // stage\n[Pipeline] { (Test)\n+ make test\n";
        assert_eq!(
            section(text, "Build"),
            Some("+ make\n[Pipeline] dir\n[Pipeline] {\nin dir\n[Pipeline] }\n")
        );
        assert_eq!(section(text, "Test"), Some("+ make test\n"));
        assert_eq!(section(text, "Deploy"), None);
        assert_eq!(
            section("[Pipeline] { (All)\n[Pipeline] parallel\n[Pipeline] { (Branch: a)\n", "All"),
            None
        );
    }

    #[test]
    fn the_end_is_cut_at_a_line() {
        assert_eq!(end_of("one\ntwo\n", 100), ("one\ntwo\n", false));
        assert_eq!(end_of("one\ntwo\n", 6), ("two\n", true));
        assert_eq!(end_of("éééé", 3), ("é", true));
    }

    #[test]
    fn the_reason_is_the_last_line_that_says_something() {
        for (text, want) in [
            (
                "+ make\nmake: *** [all] Error 2\nBuild step 'Execute shell' marked build as failure\nFinished: FAILURE\n",
                Some("make: *** [all] Error 2"),
            ),
            (
                "\u{1b}[31;1mERROR: no space left\u{1b}[0m\n[Pipeline] End of Pipeline\nFinished: FAILURE",
                Some("ERROR: no space left"),
            ),
            ("all is said\nFinished: FAILURE\n", Some("all is said")),
            ("error: first\nok\nerror: last\nok\n", Some("error: last")),
            ("Finished: FAILURE\n", None),
            ("", None),
        ] {
            assert_eq!(reason(text).as_deref(), want, "{text:?}");
        }
    }
}
