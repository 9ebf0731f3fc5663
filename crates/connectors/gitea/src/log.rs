//! Gitea's job logs, made readable: every line begins with a time stamp, and what a step means is written as commands
//! (`::group::…`, or as GitHub's runner writes them, `##[group]…`).

use std::borrow::Cow;

/// `2026-11-20T10:00:00.1234567Z`, as both servers write it.
const STAMP: &[u8] = b"0000-00-00T00:00:00.0000000Z";

/// The text of a log's end. A truncated one begins in the middle of a line: that line is dropped.
pub(crate) fn text(bytes: &[u8], truncated: bool) -> String {
    let whole = match bytes.iter().position(|b| *b == b'\n') {
        Some(end) if truncated => &bytes[end + 1..],
        _ => bytes,
    };
    let raw = String::from_utf8_lossy(whole);
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

fn without_stamp(line: &str) -> &str {
    let Some((stamp, rest)) = line.split_at_checked(STAMP.len()) else { return line };
    let fits = |(have, form): (u8, &u8)| if *form == b'0' { have.is_ascii_digit() } else { have == *form };
    if stamp.bytes().zip(STAMP).all(fits) { rest.strip_prefix(' ').unwrap_or(rest) } else { line }
}

/// A command and what stands after it: `::error file=a.rs,line=1::it broke` is (`error`, `it broke`).
fn command(line: &str) -> Option<(&str, &str)> {
    if let Some(rest) = line.strip_prefix("##[") {
        return rest.split_once(']');
    }
    let (head, rest) = line.strip_prefix("::")?.split_once("::")?;
    Some((head.split(' ').next().unwrap_or(head), rest))
}

/// A line with the command turned into what it means; `None` for one that says nothing.
fn readable(line: &str) -> Option<Cow<'_, str>> {
    let Some((command, rest)) = command(line) else { return Some(line.into()) };
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

    const RAW: &str = "2026-11-20T10:00:00.1234567Z runner-1(version:v0.2.12) received task 7 of job build\n\
        2026-11-20T10:00:00.1234567Z ::group::Run cargo test\r\n\
        2026-11-20T10:00:00.2234567Z \u{1b}[36;1mcargo test\u{1b}[0m\n\
        2026-11-20T10:00:00.2234567Z ::endgroup::\n\
        2026-11-20T10:00:01.0000000Z\n\
        no stamp – ünïcode\n\
        2026-11-20T10:00:02.0000000Z ::error file=src/lib.rs,line=3::it broke\n\
        2026-11-20T10:00:02.0000000Z ##[warning]Node 16 is old\n\
        2026-11-20T10:00:02.0000000Z ::unheard::of\n\
        2026-11-20T10:00:02.0000000Z :: not a command\n";

    #[test]
    fn stamps_and_commands_are_turned_into_text() {
        assert_eq!(
            text(RAW.as_bytes(), false),
            "runner-1(version:v0.2.12) received task 7 of job build\n▸ Run cargo test\n\u{1b}[36;1mcargo test\u{1b}[0m\n\n\
             no stamp – ünïcode\nError: it broke\nWarning: Node 16 is old\n::unheard::of\n:: not a command"
        );
    }

    #[test]
    fn a_tail_begins_at_a_line_and_any_bytes_are_text() {
        let cut = &RAW.as_bytes()[RAW.find("ünï").unwrap() + 1..];
        assert!(text(cut, true).starts_with("Error: it broke"), "{:?}", text(cut, true));
        assert_eq!(text(b"only one long line", true), "only one long line");
        assert_eq!(text(b"", false), "");
        assert_eq!(text(&[0xFF, b'x'], false), "\u{FFFD}x");
    }
}
