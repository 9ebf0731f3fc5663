//! The output of a job. Each step on each machine has an output of its own, in object storage; API v1.1 names them by
//! links that are signed, so they get nothing of ours and are never shown.

use config::LogAccess;
use connector::wire::Rows;
use connector::{Error, Result};
use domain::{JobId, Log, Project};
use url::Url;

use crate::circleci::CircleCi;
use crate::{base, wire};

const BUILD: &str = "GET /api/v1.1/project/:slug/:job";
const OUTPUT: &str = "GET output";
/// The largest output of one step that is read, in bytes of JSON.
const MAX_OUTPUT: usize = 8 * 1024 * 1024;
/// The most outputs that are read for the end of one log.
const MAX_OUTPUTS: usize = 24;

/// A job as v1.1 has it.
pub(crate) async fn build(circle: &CircleCi, project: &Project, job: &JobId) -> Result<wire::Build> {
    let slug = circle.slug(project)?.segments();
    let url = base::v1(&circle.base, &[&["project"], &slug[..], &[job.as_str()]].concat());
    circle.client.get(BUILD, url).await?.json()
}

fn failed(action: &wire::Action) -> bool {
    action.failed == Some(true) || matches!(action.status.as_deref(), Some("failed" | "timedout"))
}

/// Why a job failed: its first step that did.
pub(crate) fn reason(build: &wire::Build) -> Option<String> {
    build.steps.items.iter().find_map(|step| {
        let action = step.actions.items.iter().find(|a| failed(a))?;
        let name = step.name.as_deref().unwrap_or("a step");
        Some(match (action.status.as_deref(), action.exit_code) {
            (Some("timedout"), _) => format!("step \"{name}\" timed out"),
            (_, Some(code)) if code != 0 => format!("step \"{name}\" failed (exit code {code})"),
            _ => format!("step \"{name}\" failed"),
        })
    })
}

/// The end of a job's log: the outputs of its last steps.
pub(crate) async fn read(circle: &CircleCi, project: &Project, job: &JobId, max_bytes: usize) -> Result<Log> {
    let note = |text: &str| Ok(Log { note: Some(text.to_owned()), ..Log::default() });
    if circle.logs == LogAccess::None {
        return note("logs are switched off for this source (`logs: none`)");
    }
    // What has not begun has no number, nor has an approval.
    if job.as_str().parse::<u64>().is_err() {
        return note("no log: the job is an approval, or has not begun");
    }
    let build = build(circle, project, job).await?;
    let mut pieces: Vec<String> = Vec::new();
    let (mut bytes, mut truncated, mut asked) = (0, false, 0);
    'steps: for step in build.steps.items.iter().rev() {
        let parallel = step.actions.items.len() > 1;
        for action in step.actions.items.iter().rev() {
            if bytes > max_bytes || asked == MAX_OUTPUTS {
                truncated = true;
                break 'steps;
            }
            let (text, cut) = match action.output_url.as_deref().map(Url::parse) {
                Some(Ok(url)) => {
                    asked += 1;
                    output(circle, url).await?
                }
                // A step without output is a line.
                Some(Err(_)) | None => (String::new(), false),
            };
            let piece = format!("{}{text}", heading(step, action, parallel));
            bytes += piece.len();
            pieces.push(piece);
            if cut {
                truncated = true;
                break 'steps;
            }
        }
    }
    pieces.reverse();
    let mut text = pieces.concat();
    if text.len() > max_bytes {
        truncated = true;
        text = end(&text, max_bytes).to_owned();
    }
    text.truncate(text.trim_end().len());
    let note = text.is_empty().then(|| match build.lifecycle.as_deref() {
        Some("finished") => "no log on the platform".to_owned(),
        Some("not_run") => "no log: the job never ran".to_owned(),
        _ => "no log yet".to_owned(),
    });
    Ok(Log { text, truncated, note })
}

fn heading(step: &wire::Step, action: &wire::Action, parallel: bool) -> String {
    let name = step.name.as_deref().unwrap_or("step");
    let machine = action.index.filter(|_| parallel).map(|i| format!(" (machine {i})")).unwrap_or_default();
    let ended = match action.exit_code {
        Some(code) if failed(action) && code != 0 => format!(" – failed with exit code {code}"),
        _ if failed(action) => " – failed".to_owned(),
        _ => String::new(),
    };
    format!("▸ {name}{machine}{ended}\n")
}

/// The last bytes of a text, beginning at a line.
fn end(text: &str, max_bytes: usize) -> &str {
    let mut from = text.len().saturating_sub(max_bytes);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let tail = &text[from..];
    // Where the cut is at a line already, nothing more goes.
    if from == 0 || text[..from].ends_with('\n') {
        return tail;
    }
    tail.split_once('\n').map_or(tail, |(_, rest)| rest)
}

/// The output of one step, and whether its beginning is missing.
async fn output(circle: &CircleCi, url: Url) -> Result<(String, bool)> {
    match circle.client.get_stored(OUTPUT, url, MAX_OUTPUT).await {
        Ok(tail) => {
            let mut text = readable(&tail.bytes, tail.truncated);
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            Ok((text, tail.truncated))
        }
        // Outputs are kept for 30 days.
        Err(Error::NotFound(_) | Error::Forbidden(_)) => {
            Ok(("(expired on the platform)\n".to_owned(), false))
        }
        Err(e) => Err(e),
    }
}

/// The messages of an output, put together. Of one whose beginning is missing the JSON is broken: what lies between its
/// first line break and its end is read as the inside of a string.
fn readable(bytes: &[u8], truncated: bool) -> String {
    if !truncated && let Ok(rows) = serde_json::from_slice::<Rows<wire::Output>>(bytes) {
        return rows
            .items
            .into_iter()
            .filter_map(|row| row.message)
            .collect::<String>()
            .replace("\r\n", "\n");
    }
    let raw = String::from_utf8_lossy(bytes);
    if !truncated {
        // No JSON: some servers keep plain text.
        return raw.replace("\r\n", "\n");
    }
    let inside = raw.split_once("\\n").map_or(&*raw, |(_, rest)| rest);
    let inside = inside.rsplit_once("\"}").map_or(inside, |(inside, _)| inside);
    // The message's own end, where its time stands behind it.
    let inside = inside.split("\",\"").next().unwrap_or(inside);
    serde_json::from_str::<String>(&format!("\"{inside}\""))
        .unwrap_or_else(|_| raw.into_owned())
        .replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_put_together() {
        let json = br#"[{"message":"one\r\n","time":"x","type":"out"},{"type":"out"},{"message":"\u001b[1mtwo\u001b[0m\nthree"}]"#;
        assert_eq!(readable(json, false), "one\n\u{1b}[1mtwo\u{1b}[0m\nthree");
        assert_eq!(readable(b"plain\r\ntext", false), "plain\ntext");
        assert_eq!(readable(b"", false), "");
        let cut = br#"of a line\r\nwhole \"line\"\r\nlast","time":"2026","type":"out"}]"#;
        assert_eq!(readable(cut, true), "whole \"line\"\nlast");
        assert_eq!(readable(&[0xFF, b'\\', b'x'], true), "\u{FFFD}\\x");
    }

    #[test]
    fn the_end_begins_at_a_line() {
        for (max, want) in
            [(100, "one\ntwo\nthree"), (9, "two\nthree"), (8, "three"), (5, "three"), (3, "ree"), (0, "")]
        {
            assert_eq!(end("one\ntwo\nthree", max), want, "{max}");
        }
        assert_eq!(end("é", 1), "");
    }
}
