//! GitHub's job logs, made readable: every line begins with a time stamp, and what the runner means is written as
//! commands (`##[group]…`).

/// `2026-11-20T10:00:00.1234567Z`.
const STAMP: usize = 28;

/// The text of a log's end. A truncated one begins in the middle of a line: that line is dropped.
pub(crate) fn text(bytes: &[u8], truncated: bool) -> String {
    let whole = match bytes.iter().position(|b| *b == b'\n') {
        Some(end) if truncated => &bytes[end + 1..],
        _ => bytes,
    };
    let raw = String::from_utf8_lossy(whole);
    let raw = raw.trim_start_matches('\u{FEFF}');
    let mut out = String::with_capacity(raw.len());
    for line in raw.lines() {
        if let Some(line) = readable(without_stamp(line)) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Each part of a log that was put together of several files may begin with a mark of its own.
fn without_stamp(line: &str) -> &str {
    let line = line.trim_start_matches('\u{FEFF}');
    let is_stamp = line.len() >= STAMP
        && line.is_char_boundary(STAMP)
        && line.as_bytes()[..STAMP]
            .iter()
            .zip(b"0000-00-00T00:00:00.0000000Z")
            .all(|(have, form)| if *form == b'0' { have.is_ascii_digit() } else { have == form });
    match is_stamp {
        true => line[STAMP..].strip_prefix(' ').unwrap_or(&line[STAMP..]),
        false => line,
    }
}

/// A line with the runner's command turned into what it means; `None` for one that says nothing.
fn readable(line: &str) -> Option<std::borrow::Cow<'_, str>> {
    let Some((command, rest)) = line.strip_prefix("##[").and_then(|l| l.split_once(']')) else {
        return Some(line.into());
    };
    Some(match command {
        "group" | "section" => format!("▸ {rest}").into(),
        "endgroup" => return None,
        "error" => format!("Error: {rest}").into(),
        "warning" => format!("Warning: {rest}").into(),
        "notice" => format!("Notice: {rest}").into(),
        "debug" => format!("Debug: {rest}").into(),
        "command" => format!("$ {rest}").into(),
        _ => line.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &str = "\u{FEFF}2026-11-20T10:00:00.1234567Z ##[group]Run cargo test\r\n\
        2026-11-20T10:00:00.2234567Z \u{1b}[36;1mcargo test\u{1b}[0m\r\n\
        2026-11-20T10:00:00.2234567Z ##[endgroup]\r\n\
        2026-11-20T10:00:01.0000000Z   indented: 2026-11-20T10:00:01.0000000Z\n\
        2026-11-20T10:00:01.0000000Z\n\
        no stamp – ünïcode\n\
        2026-11-20T10:00:02.0000000Z ##[warning]Node 16 is old\n\
        2026-11-20T10:00:02.0000000Z ##[error]Process completed with exit code 101.\n\
        2026-11-20T10:00:02.0000000Z ##[unheard]of\n";

    #[test]
    fn stamps_mark_and_commands_are_turned_into_text() {
        assert_eq!(
            text(RAW.as_bytes(), false),
            "▸ Run cargo test\n\u{1b}[36;1mcargo test\u{1b}[0m\n  indented: 2026-11-20T10:00:01.0000000Z\n\nno stamp – \
             ünïcode\nWarning: Node 16 is old\nError: Process completed with exit code 101.\n##[unheard]of"
        );
    }

    #[test]
    fn a_tail_begins_at_a_line() {
        let cut = &RAW.as_bytes()[RAW.find("ünï").unwrap() + 1..];
        assert!(text(cut, true).starts_with("Warning: Node 16"), "{:?}", text(cut, true));
        assert_eq!(text(b"only one long line", true), "only one long line");
        assert_eq!(text(b"", false), "");
        assert_eq!(text(&[0xFF, 0xFE, b'x'], false), "\u{FFFD}\u{FFFD}x");
    }
}
