//! Text from platforms in the form in which it is kept: short, and the same for what is the same.

use domain::RunId;
use sha2::{Digest, Sha256};

/// The number of a run or job within its project: its id where that is a plain number, else a negative number made from
/// its text (63 bits of SHA-256: two of one project share it once in some billions of projects).
pub(crate) fn key_of(id: &str) -> i64 {
    match id.parse::<i64>() {
        Ok(n) if n >= 0 && (id.len() == 1 || !id.starts_with(['0', '+'])) => n,
        _ => -1 - (hash(&[id]) & i64::MAX),
    }
}

/// The id again, where the number says it.
pub(crate) fn id_of(key: i64, text: Option<&str>) -> String {
    text.map_or_else(|| key.to_string(), str::to_owned)
}

/// What has to be kept beside the number.
pub(crate) fn text_of(id: &str, key: i64) -> Option<String> {
    (key < 0).then(|| id.to_owned())
}

/// 64 bits of the SHA-256 of some texts.
fn hash(parts: &[&str]) -> i64 {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part);
    }
    let digest = sha.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_le_bytes(first)
}

/// A commit's id in bytes: a SHA-1 in 20, anything else as text after a zero (or two).
pub(crate) fn sha_to_bytes(sha: &str) -> Vec<u8> {
    let nibble = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let hex = sha.as_bytes();
    if hex.len() == 40
        && let Some(bytes) =
            hex.chunks_exact(2).map(|c| Some(nibble(c[0])? << 4 | nibble(c[1])?)).collect::<Option<Vec<u8>>>()
    {
        return bytes;
    }
    // Never 20 bytes.
    let mark: &[u8] = if hex.len() == 19 { b"\0\0" } else { b"\0" };
    [mark, hex].concat()
}

/// The reverse of [`sha_to_bytes`].
pub(crate) fn sha_of_bytes(bytes: &[u8]) -> String {
    match bytes {
        [0, 0, text @ ..] if bytes.len() == 21 => String::from_utf8_lossy(text).into_owned(),
        [0, text @ ..] if bytes.len() != 20 => String::from_utf8_lossy(text).into_owned(),
        _ => {
            let digit = |n: u8| char::from(if n < 10 { b'0' + n } else { b'a' + n - 10 });
            bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
        }
    }
}

/// A number by which runs of one commit are found: the beginning of its id. Never 0.
pub(crate) fn commit_key(sha: &str) -> i32 {
    match sha_to_bytes(sha)[..] {
        [a, b, c, d, ..] if sha.len() == 40 => not_0(i32::from_le_bytes([a, b, c, d])),
        _ => not_0(hash(&[sha]) as i32),
    }
}

const fn not_0(key: i32) -> i32 {
    if key == 0 { 1 } else { key }
}

const RUN: &str = "{run}";
const NUMBER: &str = "{number}";
const JOB: &str = "{job}";

/// A link with what differs between a project's runs left out, so that all of them share one text.
pub(crate) fn template_of(url: &str, run: &str, number: Option<u64>, job: Option<&str>) -> String {
    let mut out = url.to_owned();
    let mut replace = |what: &str, by: &str| {
        let found = out.rfind(what).filter(|_| !what.is_empty());
        if let Some(at) = found {
            out.replace_range(at..at + what.len(), by);
        }
        found.is_some()
    };
    if let Some(job) = job {
        replace(job, JOB);
    }
    if !replace(run, RUN)
        && let Some(number) = number
    {
        replace(&number.to_string(), NUMBER);
    }
    // Without braces of its own a link comes back as it was.
    if !url.contains('{') && !url.starts_with('=') {
        return out;
    }
    // An id may be part of anything.
    if fill_template(&out, run, number, job) == url { out } else { format!("={url}") }
}

/// The reverse of [`template_of`].
pub(crate) fn fill_template(template: &str, run: &str, number: Option<u64>, job: Option<&str>) -> String {
    if let Some(url) = template.strip_prefix('=') {
        return url.to_owned();
    }
    let out = template.replace(RUN, run).replace(JOB, job.unwrap_or_default());
    match number {
        Some(number) => out.replace(NUMBER, &number.to_string()),
        None => out,
    }
}

/// Whether a message says that it takes something back or repairs it in a hurry.
pub(crate) fn is_remedy(message: &str) -> bool {
    let first = message.lines().next().unwrap_or_default().trim_start().to_ascii_lowercase();
    let merged = first.contains("from ") && first.starts_with("merge ");
    ["revert", "rollback", "roll back", "hotfix"].iter().any(|word| {
        first.starts_with(word)
            || (merged && (first.contains(&format!("/{word}")) || first.contains(&format!("'{word}"))))
    })
}

/// A failure's reason without what differs between two failures of one kind: numbers, hashes, paths, times and quoted
/// values. The name of a step stays, quoted as it is: `step "npm ci" failed` is what people want to see grouped.
#[must_use]
pub fn normalise_reason(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let quoted = matches!(c, '"' | '\'' | '`')
            .then(|| rest[1..].find(c).map(|end| &rest[..end + 2]))
            .flatten()
            // An apostrophe within a word opens nothing.
            .filter(|_| !out.ends_with(char::is_alphanumeric));
        if let Some(quoted) = quoted {
            let step = out.trim_end().to_ascii_lowercase().ends_with("step");
            out.push_str(if step { quoted } else { "\u{2026}" });
            rest = &rest[quoted.len()..];
            continue;
        }
        if c.is_whitespace() {
            if !out.ends_with(' ') {
                out.push(' ');
            }
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '`')).unwrap_or(rest.len());
        let end = if end == 0 { c.len_utf8() } else { end };
        word(&rest[..end], &mut out);
        rest = &rest[end..];
    }
    out.chars().take(MAX_REASON).collect()
}

/// What connectors say of a job that failed and does not tell why.
const NO_REASON: &str = "failed";

/// `unit-tests: script failure` as the job and its reason, which is `None` when it says no more than that the job failed.
/// Names of jobs may hold colons: those of `jobs` are tried first. A quoted name is no job's.
pub(crate) fn job_and_reason<'a>(
    failure: &'a str,
    jobs: impl Iterator<Item = &'a str>,
) -> Option<(&'a str, Option<&'a str>)> {
    let line = failure.lines().map(str::trim).find(|l| !l.is_empty())?;
    let after = |job: &str| line.strip_prefix(job)?.strip_prefix(": ");
    let known = jobs.filter(|job| after(job).is_some()).max_by_key(|job| job.len());
    let job = known.or_else(|| line.split_once(": ").map(|(job, _)| job))?;
    let reason = after(job).map(str::trim).filter(|r| !r.is_empty())?;
    (!job.is_empty() && !job.contains(['"', '\'', '`']))
        .then_some((job, Some(reason).filter(|r| *r != NO_REASON)))
}

/// The reverse of [`job_and_reason`].
pub(crate) fn of_job_and_reason(job: &str, reason: Option<&str>) -> String {
    format!("{job}: {}", reason.unwrap_or(NO_REASON))
}

/// The longest normalised reason, in characters.
const MAX_REASON: usize = 200;

fn word(word: &str, out: &mut String) {
    let core = word.trim_matches(|c: char| matches!(c, '(' | ')' | '[' | ']' | ',' | ';' | ':' | '.' | '\''));
    let at = word.find(core).unwrap_or_default();
    let (before, after) = (&word[..at], &word[at + core.len()..]);
    out.push_str(before);
    let is_path = core.contains('\\') || (core.contains('/') && !core.chars().all(|c| c == '/'));
    let hex = core.strip_prefix("0x").unwrap_or(core);
    let is_hex = hex.len() >= 7
        && hex.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
        && hex.bytes().any(|b| b.is_ascii_digit());
    if is_path {
        out.push_str("<path>");
    } else if is_hex && !core.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        out.push_str("<hex>");
    } else {
        let mut in_number = false;
        for c in core.chars() {
            let number = c.is_ascii_digit() || (in_number && matches!(c, '.' | ':' | ','));
            if number && !in_number {
                out.push_str("<n>");
            }
            if !number {
                out.push(c);
            }
            in_number = number;
        }
    }
    out.push_str(after);
}

/// A run's id as a key, and the text to keep.
pub(crate) fn run_key(id: &RunId) -> i64 {
    key_of(id.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reasons_of_one_kind_are_one() {
        for (a, b) in [
            ("timeout after 30s at 12:33:08", "timeout after 1200s at 09:01:11"),
            ("cannot open '/tmp/a b.txt'", "cannot open '/var/x'"),
            ("commit deadbeef1 not found in /src/x.rs:14", "commit 0123abcd not found in /home/y.rs:7"),
            ("exit code 137", "exit  code 1"),
        ] {
            assert_eq!(normalise_reason(a), normalise_reason(b));
        }
        assert_eq!(normalise_reason("step \"npm ci\" failed"), "step \"npm ci\" failed");
        assert_ne!(
            normalise_reason("step \"npm ci\" failed"),
            normalise_reason("step \"cargo test\" failed")
        );
        assert_eq!(normalise_reason("can't find user's key 17"), "can't find user's key <n>");
        assert_eq!(normalise_reason("\n  unit-tests: script failure\nmore"), "unit-tests: script failure");
    }

    #[test]
    fn a_run_tells_of_its_job_and_why() {
        let of = |text: &'static str, jobs: &[&'static str]| job_and_reason(text, jobs.iter().copied());
        assert_eq!(of("e2e: exit code 1\nmore", &[]), Some(("e2e", Some("exit code 1"))));
        assert_eq!(of("a: b: exit code 1", &[]), Some(("a", Some("b: exit code 1"))));
        assert_eq!(of("a: b: exit code 1", &["b", "a", "a: b"]), Some(("a: b", Some("exit code 1"))));
        assert_eq!(of("e2e: failed", &[]), Some(("e2e", None)), "which is no reason");
        for none in ["lint and e2e failed", "cannot open \"a: b\"", "", ": x", "x: ", "timed out"] {
            assert_eq!(of(none, &[]), None, "{none}");
        }
        assert_eq!(of_job_and_reason("e2e", None), "e2e: failed");
    }

    #[test]
    fn commits_have_numbers_of_their_own() {
        let keys = ["00000000", "0a0b0c0d", "0a0b0c8d", "0a0b0cff", "ffffffff"]
            .map(|start| commit_key(&format!("{start}{}", "1".repeat(32))));
        assert_eq!(keys, [1, 0x0d0c_0b0a, 0x8d0c_0b0a_u32.cast_signed(), 0xff0c_0b0a_u32.cast_signed(), -1]);
    }

    #[test]
    fn remedies() {
        for yes in [
            "Revert \"x\"",
            "hotfix: y",
            "Rollback to 3",
            "Merge branch 'hotfix-3' from a/b",
            "Merge pull request #3 from a/revert-2-x",
        ] {
            assert!(is_remedy(yes), "{yes}");
        }
        for no in ["Add revert button", "Merge branch 'x'", ""] {
            assert!(!is_remedy(no), "{no}");
        }
    }

    proptest! {
        #[test]
        fn ids_keep(id in "[0-9]{1,20}|\\PC{1,20}") {
            let key = key_of(&id);
            prop_assert_eq!(id_of(key, text_of(&id, key).as_deref()), id);
        }

        #[test]
        fn shas_keep(sha in "[0-9a-f]{40}|[0-9a-f]{7}|[0-9a-f]{64}|\\PC{0,25}") {
            prop_assert_eq!(sha_of_bytes(&sha_to_bytes(&sha)), sha);
        }

        #[test]
        fn links_keep(base in "https://[a-z{}]{1,9}/[a-z0-9/{}]{0,20}", run in "[0-9]{1,8}|[a-z/]{1,5}", number in prop::option::of(1_u64..99), tail in "[0-9a-z/]{0,9}") {
            let url = format!("{base}/{run}{tail}");
            let template = template_of(&url, &run, number, Some("77"));
            prop_assert_eq!(fill_template(&template, &run, number, Some("77")), url);
        }

        #[test]
        fn any_text_has_a_reason(text in "\\PC{0,80}") {
            prop_assert!(normalise_reason(&text).chars().count() <= MAX_REASON);
        }
    }
}
