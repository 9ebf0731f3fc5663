//! A job's trace as a GitLab runner writes it: ANSI colours and section markers.

use crate::world::{LineKind, LogLine};

const RESET: &str = "\u{1b}[0;m";

/// The trace.
pub(super) fn trace(lines: &[LogLine]) -> String {
    let mut text = String::new();
    if !lines.is_empty() {
        text.push_str("\u{1b}[0KRunning with gitlab-runner 17.5.3 (12030cf4)\u{1b}[0;m\n");
    }
    for line in lines {
        let (at, body) = (line.at.as_second(), &line.text);
        match line.kind {
            LineKind::SectionStart => text.push_str(&format!(
                "section_start:{at}:{name}\r\u{1b}[0K\u{1b}[0K\u{1b}[36;1m{body}{RESET}{RESET}\n",
                name = section(body)
            )),
            LineKind::SectionEnd => {
                text.push_str(&format!("section_end:{at}:{name}\r\u{1b}[0K", name = section(body)))
            }
            LineKind::Command => text.push_str(&format!("\u{1b}[32;1m$ {body}{RESET}\n")),
            LineKind::Output => text.push_str(&format!("{body}\n")),
            LineKind::Good => text.push_str(&format!("\u{1b}[32;1m{body}{RESET}\n")),
            LineKind::Warning => text.push_str(&format!("\u{1b}[0;33m{body}{RESET}\n")),
            LineKind::Error => text.push_str(&format!("\u{1b}[31;1mERROR: {body}{RESET}\n")),
        }
    }
    text
}

fn section(title: &str) -> String {
    title.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
