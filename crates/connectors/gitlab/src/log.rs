//! From GitLab's trace to a log that reads like a terminal's: without section markers and time stamps, each line as it
//! stood at its end. Colours stay.

use domain::Log;

/// Clears the line; stands after every section marker.
const CLEAR_LINE: &str = "\u{1b}[0K";
/// `2024-05-22T12:43:46.962646Z 00O `: time, stream, kind of stream, and `+` where the line goes on from the one before.
const MARK_LEN: usize = 4;

/// Makes a log of a trace's end.
pub(crate) fn log(bytes: &[u8], truncated: bool) -> Log {
    let text = String::from_utf8_lossy(bytes);
    let mut text: &str = &text;
    if truncated {
        // Cut at a line; a log that is one endless line stays as it is.
        text = text.split_once('\n').map_or(text, |(_, rest)| rest);
    }
    if text.trim().is_empty() {
        return Log { note: Some("no log yet".into()), ..Log::default() };
    }
    Log { text: clean(text), truncated, note: None }
}

fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() && lines.peek().is_none() {
            break; // behind the last line break
        }
        let (line, goes_on) = without_time(line);
        let (line, had_marker) = without_markers(line);
        let line = last_state(&line);
        if had_marker && line.replace(CLEAR_LINE, "").trim().is_empty() {
            continue;
        }
        if goes_on && out.ends_with('\n') {
            out.pop();
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// The line without the time that newer runners put before it, and whether it goes on from the line before.
fn without_time(line: &str) -> (&str, bool) {
    let split = || {
        let (time, rest) = line.split_once("Z ")?;
        let is_time = (19..=30).contains(&time.len())
            && time.as_bytes().get(10) == Some(&b'T')
            && time.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b':' | b'T' | b'.'));
        let mark = rest.as_bytes().get(..MARK_LEN).or_else(|| rest.as_bytes().get(..MARK_LEN - 1))?;
        let is_mark = mark.iter().take(2).all(u8::is_ascii_hexdigit)
            && matches!(mark.get(2), Some(b'O' | b'E'))
            && matches!(mark.get(3), None | Some(b' ' | b'+'));
        (is_time && is_mark).then(|| (rest.get(mark.len()..).unwrap_or_default(), mark.get(3) == Some(&b'+')))
    };
    split().unwrap_or((line, false))
}

/// The line without `section_start:1560896352:name[collapsed=true]\r\e[0K`, and whether there was one.
fn without_markers(line: &str) -> (String, bool) {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    let mut found = false;
    while let Some(at) = rest.find("section_") {
        let (before, from) = rest.split_at(at);
        match marker_len(from) {
            Some(len) => {
                out.push_str(before.strip_suffix(CLEAR_LINE).unwrap_or(before));
                rest = from.get(len..).unwrap_or_default();
                found = true;
            }
            None => {
                let len = "section_".len();
                out.push_str(before);
                out.push_str(from.get(..len).unwrap_or_default());
                rest = from.get(len..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    (out, found)
}

/// The length of the marker that this text begins with.
fn marker_len(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("section_start:").or_else(|| text.strip_prefix("section_end:"))?;
    let (time, rest) = rest.split_once(':')?;
    if time.is_empty() || !time.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (name, rest) = rest.split_once('\r')?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    let rest = rest.strip_prefix(CLEAR_LINE).unwrap_or(rest);
    Some(text.len() - rest.len())
}

/// What a terminal shows at the end of a line that was written over (progress bars).
fn last_state(line: &str) -> &str {
    let line = line.trim_end_matches('\r');
    line.rsplit_once('\r').map_or(line, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(trace: &str) -> String {
        log(trace.as_bytes(), false).text
    }

    #[test]
    fn an_empty_trace_has_a_reason() {
        for trace in ["", "\n", "  \r\n"] {
            let log = log(trace.as_bytes(), false);
            assert_eq!((log.text.as_str(), log.note.as_deref()), ("", Some("no log yet")), "{trace:?}");
        }
    }

    #[test]
    fn section_markers_go_and_colours_stay() {
        let trace = "\u{1b}[0KRunning with gitlab-runner\n\
             section_start:1560896352:prepare_executor\r\u{1b}[0K\u{1b}[0K\u{1b}[36;1mPreparing\u{1b}[0;m\n\
             section_end:1560896353:prepare_executor\r\u{1b}[0Ksection_start:1560896353:step[collapsed=true]\r\u{1b}[0K$ cargo test\n\
             section_end:1560896354:step\r\u{1b}[0K\n\
             last\n";
        assert_eq!(
            text(trace),
            "\u{1b}[0KRunning with gitlab-runner\n\u{1b}[0K\u{1b}[36;1mPreparing\u{1b}[0;m\n$ cargo test\nlast\n"
        );
    }

    #[test]
    fn what_only_looks_like_a_marker_stays() {
        for line in
            ["section_start:now:x\r\u{1b}[0K", "section_one", "section_start:12", "my section_end: done"]
        {
            assert!(
                text(&format!("{line}\n")).starts_with(line.split('\r').next_back().unwrap()),
                "{line:?}"
            );
        }
        assert_eq!(text("echo section_two section_\n"), "echo section_two section_\n");
    }

    #[test]
    fn a_line_stands_as_it_was_at_its_end() {
        assert_eq!(text("10%\r50%\r100%\nnext\r\n\nend"), "100%\nnext\n\nend\n");
    }

    #[test]
    fn times_before_lines_go_and_continued_lines_are_joined() {
        let trace = "2024-05-22T12:43:46.962646Z 00O $ make\n\
             2024-05-22T12:43:47.000001Z 01E warning: a\n\
             2024-05-22T12:43:47.100001Z 01E+ and more\n\
             2024-05-22T12:43:48.000001Z 00O section_start:1716381828:x\r\u{1b}[0K\n\
             2024-05-22T12:43:48.000001Z 00O \n\
             2024-05-22 is a date, 2024-05-22T12:43:48Z too\n";
        assert_eq!(
            text(trace),
            "$ make\nwarning: a and more\n\n2024-05-22 is a date, 2024-05-22T12:43:48Z too\n"
        );
    }

    #[test]
    fn a_cut_log_begins_with_a_whole_line_and_any_bytes_are_text() {
        let log = log(b"half a li\nwhole \xff line\n", true);
        assert_eq!((log.text.as_str(), log.truncated), ("whole \u{fffd} line\n", true));
        assert_eq!(super::log(b"endless", true).text, "endless\n");
    }
}
