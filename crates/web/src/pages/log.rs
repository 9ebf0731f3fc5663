//! A job's log as lines that a page can show: colours become classes, everything else that an escape code could do is
//! taken out, and lines that tell of a failure are found.

use std::collections::VecDeque;

/// The most lines that a page shows: the end of the log, where failures are.
pub(super) const MAX_LINES: usize = 2_000;
/// The longest line, in characters; the rest of it is cut.
const MAX_LINE: usize = 4_000;
/// The longest escape sequence that is looked through for its end, in characters.
const MAX_ESCAPE: usize = 256;

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1, of the text that there is.
    pub(super) number: usize,
    pub(super) spans: Vec<Span>,
    /// When it was written, where the platform puts that before the line.
    pub(super) at: Option<String>,
    /// It tells of a failure.
    pub(super) hot: bool,
}

/// Text of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// CSS classes, empty for plain text.
    pub(super) class: String,
    pub(super) text: String,
}

impl Line {
    /// Without its looks.
    pub(super) fn plain(&self) -> String {
        self.spans.iter().map(|s| s.text.as_str()).collect()
    }
}

/// The look that escape codes have set so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    /// 0 to 15.
    fore: Option<u8>,
    back: Option<u8>,
}

impl Look {
    /// Applies the numbers of a `CSI … m`.
    fn set(&mut self, codes: &str) {
        let mut codes = codes.split([';', ':']).map(|c| c.parse::<u16>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                30..=37 => self.fore = u8::try_from(code - 30).ok(),
                38 => self.fore = extended(&mut codes),
                39 => self.fore = None,
                40..=47 => self.back = u8::try_from(code - 40).ok(),
                48 => self.back = extended(&mut codes),
                49 => self.back = None,
                90..=97 => self.fore = u8::try_from(code - 90 + 8).ok(),
                100..=107 => self.back = u8::try_from(code - 100 + 8).ok(),
                _ => {}
            }
        }
    }

    fn class(self) -> String {
        let mut class: Vec<String> =
            [(self.bold, "a-b"), (self.dim, "a-d"), (self.italic, "a-i"), (self.underline, "a-u")]
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, name)| (*name).to_owned())
                .collect();
        class.extend(self.fore.map(|c| format!("a-f{c}")));
        class.extend(self.back.map(|c| format!("a-k{c}")));
        class.join(" ")
    }
}

/// `38;5;n` and `38;2;r;g;b`: the sixteen first colours are ours, of the others the nearest of those eight.
fn extended(codes: &mut impl Iterator<Item = u16>) -> Option<u8> {
    let nearest = |r: u16, g: u16, b: u16| {
        let bit = |level: u16| u8::from(level > 100);
        let grey = r.abs_diff(g) < 24 && g.abs_diff(b) < 24;
        if grey { (r > 200).then_some(15).or(Some(8)) } else { Some(bit(r) | bit(g) << 1 | bit(b) << 2) }
    };
    match codes.next()? {
        5 => match codes.next()? {
            n @ 0..=15 => u8::try_from(n).ok(),
            n @ 16..=231 => {
                let n = n - 16;
                nearest(n / 36 * 51, n / 6 % 6 * 51, n % 6 * 51)
            }
            _ => Some(8),
        },
        2 => {
            let (r, g, b) = (codes.next()?, codes.next()?, codes.next()?);
            nearest(r, g, b)
        }
        _ => None,
    }
}

/// The end of `text` as lines, at most [`MAX_LINES`], and how many before them are left out.
pub(super) fn parse(text: &str) -> (Vec<Line>, usize) {
    let mut lines = VecDeque::new();
    let mut look = Look::default();
    let mut number = 0;
    for raw in text.split('\n') {
        let spans = read_line(raw, &mut look);
        let plain: String = spans.iter().map(|s| s.text.as_str()).collect();
        if is_section_mark(&plain) {
            continue;
        }
        number += 1;
        lines.push_back(finish(number, spans));
        if lines.len() > MAX_LINES {
            lines.pop_front();
        }
    }
    if lines.back().is_some_and(|last| last.spans.is_empty()) {
        lines.pop_back();
        number -= 1;
    }
    let left_out = number - lines.len();
    (lines.into(), left_out)
}

/// One line: what a carriage return overwrites is gone.
fn read_line(raw: &str, look: &mut Look) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let (mut count, mut returned) = (0, false);
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' | '\u{9b}' => {
                if let Some(codes) = escape(c, &mut chars) {
                    look.set(&codes);
                }
            }
            '\r' => returned = true,
            '\t' | ' '.. if !c.is_control() || c == '\t' => {
                if returned {
                    spans.clear();
                    (count, returned) = (0, false);
                }
                count += 1;
                if count > MAX_LINE || acts(c) {
                    continue;
                }
                let class = look.class();
                match spans.last_mut() {
                    Some(last) if last.class == class => last.text.push(c),
                    _ => spans.push(Span { class, text: c.into() }),
                }
            }
            _ => {}
        }
    }
    spans
}

/// Characters that change how the text around them reads.
const fn acts(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// Takes an escape sequence out; gives the numbers of one that sets a look.
fn escape(first: char, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let kind = if first == '\u{9b}' { '[' } else { chars.next()? };
    match kind {
        '[' => {
            let mut codes = String::new();
            for _ in 0..MAX_ESCAPE {
                let c = *chars.peek()?;
                if !c.is_ascii() || c.is_ascii_control() {
                    return None;
                }
                chars.next();
                if ('@'..='~').contains(&c) {
                    return (c == 'm' && codes.chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':'))
                        .then_some(codes);
                }
                codes.push(c);
            }
            None
        }
        // Texts for the terminal itself (titles, links), up to BEL or ESC \.
        ']' | 'P' | '_' | '^' => {
            for _ in 0..MAX_ESCAPE * 16 {
                match chars.next()? {
                    '\u{7}' => break,
                    '\u{1b}' => {
                        chars.next();
                        break;
                    }
                    _ => {}
                }
            }
            None
        }
        '(' | ')' | '*' | '+' | '#' | ' ' => {
            chars.next();
            None
        }
        _ => None,
    }
}

/// GitLab's marks around sections, which its own pages do not show either.
fn is_section_mark(plain: &str) -> bool {
    ["section_start:", "section_end:"].iter().any(|mark| {
        plain.strip_prefix(mark).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

fn finish(number: usize, mut spans: Vec<Span>) -> Line {
    let at = spans.first_mut().and_then(take_time);
    if spans.first().is_some_and(|s| s.text.is_empty()) {
        spans.remove(0);
    }
    let mark = spans.first_mut().and_then(|s| take_mark(&mut s.text));
    let plain: String = spans.iter().map(|s| s.text.as_str()).collect();
    let hot = mark == Some("error") || tells_of_failure(&plain);
    if let Some(mark) = mark
        && let Some(first) = spans.first_mut()
    {
        first.class = format!("{} a-{mark}", first.class).trim().to_owned();
    }
    Line { number, spans, at, hot }
}

/// `2026-11-24T14:02:11.1234567Z ` before the text, with GitLab's stream letters behind it.
fn take_time(span: &mut Span) -> Option<String> {
    let text = &span.text;
    let end = text.find('Z').filter(|end| (19..=30).contains(end))?;
    let stamp = text.get(..=end)?;
    stamp.parse::<jiff::Timestamp>().ok()?;
    let stamp = stamp.to_owned();
    let mut rest = text.get(end + 1..)?;
    rest = rest.strip_prefix(' ').unwrap_or(rest);
    if let Some((stream, after)) = rest.split_at_checked(4)
        && stream.starts_with(|c: char| c.is_ascii_digit())
        && matches!(stream.as_bytes(), [_, b'0'..=b'9', b'O' | b'E', b' ' | b'+'])
    {
        rest = after;
    }
    span.text = rest.to_owned();
    Some(stamp)
}

/// GitHub's `##[error]`.
fn take_mark(text: &mut String) -> Option<&'static str> {
    const MARKS: &[(&str, &str)] = &[
        ("##[error]", "error"),
        ("##[warning]", "warning"),
        ("##[group]", "group"),
        ("##[endgroup]", "group"),
        ("##[section]", "group"),
        ("##[command]", "command"),
        ("[command]", "command"),
    ];
    let (mark, name) = MARKS.iter().find(|(mark, _)| text.starts_with(mark))?;
    text.drain(..mark.len());
    Some(name)
}

/// Words that lines of a failing log have, and what makes them harmless.
fn tells_of_failure(line: &str) -> bool {
    const BAD: &[&str] = &[
        "error",
        "failed",
        "failure",
        "fatal",
        "panicked",
        "assert",
        "exception",
        "traceback",
        "timed out",
        "no space left",
        "segmentation fault",
        "cannot find",
        "exit code",
        "exit status",
    ];
    const FINE: &[&str] = &[
        "0 failed",
        "0 errors",
        "0 error",
        "no errors",
        "without error",
        "0 failures",
        "exit code 0",
        "error-free",
        "-- error",
        "allow_failure",
        "continue-on-error",
        "... ok",
    ];
    let line = line.to_lowercase();
    BAD.iter().any(|word| line.contains(word)) && !FINE.iter().any(|word| line.contains(word))
}

/// The lines that say best why it failed: those that name a cause before those that only say that it failed.
pub(super) fn causes(lines: &[Line], most: usize) -> Vec<&Line> {
    const CAUSES: &[&str] = &[
        "panicked",
        "assert",
        "error:",
        "error[",
        "exception",
        "no space left",
        "timed out",
        "fatal",
        "cannot find",
    ];
    let names_cause = |line: &&Line| {
        let plain = line.plain().to_lowercase();
        CAUSES.iter().any(|word| plain.contains(word))
            || line.spans.first().is_some_and(|s| s.class.contains("a-error"))
    };
    let hot = || lines.iter().filter(|l| l.hot);
    let mut causes: Vec<&Line> = hot().filter(names_cause).take(most).collect();
    if causes.is_empty() {
        causes = hot().take(most).collect();
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        parse(text).0
    }

    fn spans(text: &str) -> Vec<(String, String)> {
        lines(text).into_iter().flat_map(|l| l.spans).map(|s| (s.class, s.text)).collect()
    }

    #[test]
    fn colours_become_classes_and_last_until_reset() {
        let got = spans("\u{1b}[31;1mred\nstill\u{1b}[0m plain \u{1b}[38;5;10mgreen\u{1b}[39m.");
        let want =
            [("a-b a-f1", "red"), ("a-b a-f1", "still"), ("", " plain "), ("a-f10", "green"), ("", ".")];
        assert_eq!(got, want.map(|(c, t)| (c.to_owned(), t.to_owned())));
    }

    #[test]
    fn everything_else_that_acts_is_taken_out() {
        let text = "a\u{1b}[2Jb\u{1b}]0;title\u{7}c\u{1b}]8;;javascript:x\u{1b}\\d\u{1b}(Be\u{9b}5Cf\u{8}g\u{202e}h\u{1b}";
        assert_eq!(lines(text)[0].plain(), "abcdefgh");
    }

    #[test]
    fn a_sequence_that_never_ends_takes_no_more_than_its_line() {
        assert_eq!(lines("a\u{1b}[1;2\nb").iter().map(Line::plain).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn carriage_returns_overwrite() {
        assert_eq!(lines("10 %\r50 %\r100 %\r\ndone")[0].plain(), "100 %");
        assert_eq!(
            lines(
                "section_start:1560896352:build\r\u{1b}[0KBuild\nsection_end:1560896353:build\r\u{1b}[0K\nx"
            )
            .iter()
            .map(Line::plain)
            .collect::<Vec<_>>(),
            ["Build", "x"]
        );
    }

    #[test]
    fn times_and_marks_of_platforms_are_understood() {
        let line = &lines("2026-11-24T14:02:11.1234567Z ##[error]Process completed with exit code 1.")[0];
        assert_eq!(line.plain(), "Process completed with exit code 1.");
        assert_eq!(line.at.as_deref(), Some("2026-11-24T14:02:11.1234567Z"));
        assert!(line.hot);
        assert_eq!(lines("2026-11-24T14:02:11.123456Z 00O hello")[0].plain(), "hello");
    }

    #[test]
    fn failures_are_found_and_their_absence_is_none() {
        let hot = |text: &str| lines(text)[0].hot;
        assert!(hot("test fees::half_even ... FAILED"));
        assert!(hot("thread 'main' panicked at src/main.rs:2"));
        assert!(!hot("test result: ok. 12 passed; 0 failed"));
        assert!(!hot("compiling error-handling-free code ... ok"));
    }

    #[test]
    fn the_end_is_kept() {
        let text = (1..=MAX_LINES + 5).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        let (lines, left_out) = parse(&text);
        assert_eq!((lines.len(), left_out), (MAX_LINES, 5));
        assert_eq!((lines[0].number, lines[0].plain().as_str()), (6, "6"));
        assert_eq!(parse("").0.len(), 0);
    }
}
