//! Small things that many pages draw: icons, moments, strips, commits, what goes on.

use std::fmt;
use std::time::Duration;

use api::v1;
use askama::Template;
use askama::filters::HtmlSafe;
use jiff::Timestamp;

use super::{Ctx, format};

/// A part writes markup whose text is escaped already.
macro_rules! safe_markup {
    // safe_markup!(Icon, Strip) => impl HtmlSafe for Icon {} impl HtmlSafe for Strip {}
    ($($part:ty),+ $(,)?) => { $(impl HtmlSafe for $part {})+ };
}
safe_markup!(Icon, When, Strip, Commit, Activity, Href);

/// A symbol of the sprite in `templates/sprite.html`.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/icon.html")]
pub(super) struct Icon {
    /// The symbol's name.
    pub(super) name: &'static str,
    /// What it says; empty when the text beside it does.
    pub(super) label: String,
}

impl Icon {
    /// A symbol that only decorates.
    pub(super) const fn plain(name: &'static str) -> Self {
        Self { name, label: String::new() }
    }

    /// A symbol that says something.
    pub(super) fn saying(name: &'static str, label: impl Into<String>) -> Self {
        Self { name, label: label.into() }
    }

    /// A run's or a job's status.
    pub(super) fn status(status: v1::Status) -> Self {
        Self::saying(status_word(status), status_label(status))
    }

    /// What last completed.
    pub(super) fn outcome(outcome: v1::Outcome) -> Self {
        match outcome {
            v1::Outcome::Success => Self::saying("success", "green"),
            v1::Outcome::Warning => Self::saying("warning", "passed with warnings"),
            v1::Outcome::Failed => Self::saying("failed", "broken"),
            v1::Outcome::Canceled => Self::saying("canceled", "canceled"),
            v1::Outcome::Skipped => Self::saying("skipped", "skipped"),
            v1::Outcome::Unknown => Self::saying("unknown", "not known"),
            v1::Outcome::Unspecified => Self::saying("unknown", "nothing has completed yet"),
        }
    }

    /// A platform's glyph, by the name that its connector gives it; a plain one for a platform that we drew none for.
    pub(super) fn platform(source: Option<&v1::Source>) -> Self {
        const GLYPHS: &[&str] = &["github", "gitlab", "jenkins", "bitbucket", "circleci", "gitea", "feed"];
        let Some(source) = source else { return Self::plain("platform") };
        let name = GLYPHS.iter().find(|g| **g == source.icon).copied().unwrap_or("platform");
        let title = if source.title.is_empty() { &source.platform } else { &source.title };
        Self::saying(name, format!("{title} · {}", source.name))
    }
}

/// The word of a status, which is also its symbol and its CSS class.
pub(super) const fn status_word(status: v1::Status) -> &'static str {
    match status {
        v1::Status::Queued => "queued",
        v1::Status::Running => "running",
        v1::Status::Success => "success",
        v1::Status::Warning => "warning",
        v1::Status::Failed => "failed",
        v1::Status::Canceled => "canceled",
        v1::Status::Skipped => "skipped",
        v1::Status::Manual => "manual",
        v1::Status::Unknown | v1::Status::Unspecified => "unknown",
    }
}

/// A status for people.
pub(super) const fn status_label(status: v1::Status) -> &'static str {
    match status {
        v1::Status::Warning => "passed with warnings",
        v1::Status::Manual => "waits for a person",
        v1::Status::Unknown | v1::Status::Unspecified => "not known",
        other => status_word(other),
    }
}

/// How a moment is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    Ago,
    Clock,
    Lasting,
    Words,
    Until,
}

/// A moment, which the browser lets tick.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/when.html")]
pub(super) struct When {
    machine: String,
    exact: String,
    text: String,
    telling: &'static str,
}

impl When {
    fn new(at: Timestamp, now: Timestamp, telling: Telling) -> Self {
        let lasted = format::since(at, now);
        let (telling, text) = match telling {
            Telling::Ago => ("ago", format::ago(at, now)),
            Telling::Clock => ("clock", format::clock(at, now)),
            Telling::Lasting => ("lasting", format::lasting(lasted)),
            Telling::Words => ("words", format::in_words(lasted)),
            Telling::Until => ("until", format::until(at, now)),
        };
        Self { machine: format::machine(at), exact: format::exact(at), text, telling }
    }

    /// `4 min ago`.
    pub(super) fn ago(at: Timestamp, now: Timestamp) -> Self {
        Self::new(at, now, Telling::Ago)
    }

    /// `14:02`.
    pub(super) fn clock(at: Timestamp, now: Timestamp) -> Self {
        Self::new(at, now, Telling::Clock)
    }

    /// `2 h 14 min`, of what has lasted since.
    pub(super) fn lasting(at: Timestamp, now: Timestamp) -> Self {
        Self::new(at, now, Telling::Lasting)
    }

    /// `9 hours`, of what has lasted since.
    pub(super) fn words(at: Timestamp, now: Timestamp) -> Self {
        Self::new(at, now, Telling::Words)
    }

    /// `in 20 s`.
    pub(super) fn until(at: Timestamp, now: Timestamp) -> Self {
        Self::new(at, now, Telling::Until)
    }
}

/// What a link may be: `http` or `https`; anything else is no link.
pub(super) fn web_link(url: Option<&str>) -> Option<String> {
    url.and_then(domain::WebUrl::parse).map(|url| url.as_str().to_owned())
}

/// Paths of our own pages.
pub(super) fn project_href(ctx: &Ctx<'_>, key: &v1::ProjectKey) -> String {
    format!(
        "{}/projects/{}/{}",
        ctx.base_path,
        domain::encode_segment(&key.source),
        domain::encode_segment(&key.id)
    )
}

/// The page of a run.
pub(super) fn run_href(ctx: &Ctx<'_>, key: &v1::ProjectKey, run: &str) -> String {
    format!("{}/pipelines/{}", project_href(ctx, key), domain::encode_segment(run))
}

/// A full name in its two parts: the group, which may give way, and the name proper.
pub(super) fn split_name(full: &str) -> (Option<&str>, &str) {
    match full.trim_end_matches('/').rsplit_once('/') {
        Some((group, leaf)) if !group.is_empty() && !leaf.is_empty() => (Some(group), leaf),
        _ => (None, full),
    }
}

/// A commit as far as it is known: short hash, whose, first line of its message.
#[derive(Debug, Clone, Default, Template)]
#[template(path = "parts/commit.html")]
pub(super) struct Commit {
    pub(super) sha: Option<String>,
    pub(super) who: Option<String>,
    pub(super) title: Option<String>,
}

/// How much of a hash tells commits apart for people.
const SHORT_SHA: usize = 7;

impl Commit {
    pub(super) fn new(
        ctx: &Ctx<'_>,
        sha: Option<&str>,
        author: Option<&v1::Person>,
        message: Option<&str>,
    ) -> Self {
        let words = |text: String| Some(text).filter(|t| !t.is_empty());
        Self {
            sha: sha.and_then(|s| words(s.chars().take(SHORT_SHA).collect())),
            who: author.filter(|_| ctx.show_people).and_then(|a| words(a.name.clone())),
            title: message.and_then(|m| words(domain::text::title(m))),
        }
    }

    pub(super) fn of_run(ctx: &Ctx<'_>, run: &v1::Pipeline) -> Self {
        Self::new(ctx, run.sha.as_deref(), run.author.as_ref(), run.message.as_deref())
    }

    pub(super) fn of_branch(ctx: &Ctx<'_>, branch: &v1::Branch) -> Self {
        Self::new(ctx, branch.sha.as_deref(), branch.author.as_ref(), branch.message.as_deref())
    }

    /// The same without its title, where that stands elsewhere.
    pub(super) fn untitled(mut self) -> Self {
        self.title = None;
        self
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.sha.is_none() && self.who.is_none() && self.title.is_none()
    }
}

/// How far a run has come, which the browser lets tick.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    /// Start, for machines.
    from: String,
    /// As a rule, in seconds.
    expected: u64,
    /// Of `expected`, in seconds.
    elapsed: u64,
    /// Beyond this it is overdue, in seconds, where that is known.
    overdue: Option<u64>,
    is_overdue: bool,
    text: String,
}

/// What goes on beside the outcome.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/activity.html")]
pub(super) struct Activity {
    running: bool,
    /// A newer commit than the red one is being built.
    fix: bool,
    /// Whose fix.
    by: Option<String>,
    /// The workflow, or the platform's word for a run.
    what: String,
    /// How many more go on.
    more: usize,
    progress: Option<Progress>,
    /// How long it runs or waits, where nobody knows how long it takes.
    since: Option<When>,
    /// The run's page, unless this is it.
    href: Option<String>,
}

impl Activity {
    /// Of a branch: the fix when there is one, else the newest run that is active.
    pub(super) fn of(ctx: &Ctx<'_>, state: &v1::BranchState, word: &str) -> Option<Self> {
        let active = |run: &&v1::Pipeline| matches!(run.status(), v1::Status::Running | v1::Status::Queued);
        let fix = state.broken_since.as_ref().and_then(|b| b.fix.as_ref()).filter(active);
        let mut runs: Vec<&v1::Pipeline> = state.pipelines.iter().filter(active).collect();
        runs.sort_by_key(|run| run.status() != v1::Status::Running);
        let run = fix.or_else(|| runs.first().copied())?;
        let key = run.project.clone().unwrap_or_default();
        Some(Self {
            href: Some(run_href(ctx, &key, &run.id)),
            fix: fix.is_some(),
            by: run.author.as_ref().filter(|_| fix.is_some() && ctx.show_people).map(|a| a.name.clone()),
            more: runs.iter().filter(|r| r.id != run.id).count(),
            ..Self::of_run(ctx, run, word)
        })
    }

    /// Of one run that is active, on its own page.
    pub(super) fn of_run(ctx: &Ctx<'_>, run: &v1::Pipeline, word: &str) -> Self {
        let instant = |at: Option<_>| at.as_ref().and_then(api::timestamp_back);
        let running = run.status() == v1::Status::Running;
        let (created, started) = (instant(run.created_at), instant(run.started_at));
        let began = if running { started.or(created) } else { created.or(started) };
        let expected =
            run.expected_duration.as_ref().and_then(api::duration_back).filter(|d| d.as_secs() > 0);
        let overdue = run.overdue_after.as_ref().and_then(api::duration_back);
        let progress = began.zip(expected).filter(|_| running).map(|(from, expected)| {
            let elapsed = format::since(from, ctx.now);
            Progress {
                from: format::machine(from),
                expected: expected.as_secs(),
                elapsed: elapsed.min(expected).as_secs(),
                overdue: overdue.map(|d| d.as_secs()),
                is_overdue: overdue.is_some_and(|overdue| elapsed > overdue),
                text: format::left(elapsed, expected, overdue),
            }
        });
        Self {
            running,
            fix: false,
            by: None,
            what: run.workflow.clone().filter(|w| !w.is_empty()).unwrap_or_else(|| word.to_owned()),
            more: 0,
            since: began.filter(|_| progress.is_none()).map(|at| When::lasting(at, ctx.now)),
            progress,
            href: None,
        }
    }
}

/// The last runs as bars, oldest first whatever the direction of the text.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/strip.html")]
pub(super) struct Strip {
    bars: Vec<Bar>,
    /// In its own units.
    width: usize,
    /// The same in words, for those who do not see bars.
    summary: String,
}

#[derive(Debug, Clone)]
struct Bar {
    href: String,
    title: String,
    class: &'static str,
    /// An SVG path.
    path: String,
}

/// A strip's size, in its own units: bars of 4 with gaps of 2, 24 high.
const STRIP_HEIGHT: f64 = 24.0;
/// The highest that a run gets which did not fail, so that those that did stand out.
const HIGHEST: f64 = 19.0;
const LOWEST: f64 = 4.0;
/// A hollow bar is seen to be hollow from here on.
const LOWEST_HOLLOW: f64 = 8.0;
/// One endless run must not make all others flat: what takes longer than so many medians is as high as it gets.
const CLAMP_MEDIANS: f64 = 2.5;

/// How high runs are drawn: by duration, from `lowest` to `highest`.
pub(super) fn heights(durations: &[Option<Duration>], lowest: f64, highest: f64) -> Vec<f64> {
    let mut known: Vec<f64> = durations.iter().flatten().map(Duration::as_secs_f64).collect();
    known.sort_by(f64::total_cmp);
    let median = known.get(known.len() / 2).copied().unwrap_or(0.0);
    let max = known.last().copied().unwrap_or(0.0).min(median * CLAMP_MEDIANS);
    durations
        .iter()
        .map(|d| match d {
            Some(d) if max > 0.0 => (d.as_secs_f64() / max).min(1.0).mul_add(highest - lowest, lowest),
            _ => lowest,
        })
        .collect()
}

impl Strip {
    /// How many runs fit into a row.
    pub(super) const RUNS: usize = 30;
    /// And beside a branch.
    pub(super) const FEW: usize = 15;

    /// The newest `slots` of `runs` (oldest first); fewer stand at the end, so that now is always at the same place.
    pub(super) fn new(
        ctx: &Ctx<'_>,
        key: &v1::ProjectKey,
        runs: &[v1::StripRun],
        slots: usize,
    ) -> Option<Self> {
        let runs = &runs[runs.len().saturating_sub(slots)..];
        if runs.is_empty() {
            return None;
        }
        let durations: Vec<_> =
            runs.iter().map(|r| r.duration.as_ref().and_then(api::duration_back)).collect();
        let first = slots - runs.len();
        let bars =
            runs.iter().zip(heights(&durations, LOWEST, HIGHEST)).enumerate().map(|(i, (run, height))| {
                let x = (first + i) * 6;
                let (x1, x3, x4) = (x + 1, x + 3, x + 4);
                let word = status_word(run.status());
                let active = matches!(run.status(), v1::Status::Running | v1::Status::Queued);
                let height = if active { height.max(LOWEST_HOLLOW) } else { height };
                let top = (STRIP_HEIGHT - height).round();
                let path = match run.status() {
                    // Full height with a notch, so that it shows without colour.
                    v1::Status::Failed => {
                        format!("M{x} 4V1q0-1 1-1h2q1 0 1 1v3zM{x} 24V6h4v18z")
                    }
                    // A slanted top.
                    v1::Status::Warning => format!("M{x} 24V{top}L{x4} {}V24z", top - 4.0),
                    // Hollow: it is not over.
                    v1::Status::Running | v1::Status::Queued => {
                        format!("M{x} 24V{0}H{x4}V24zM{x1} 23H{x3}V{1}H{x1}z", top, top + 1.0)
                    }
                    _ => format!("M{x} 24V{}q0-1 1-1h2q1 0 1 1V24z", top + 1.0),
                };
                Bar { href: run_href(ctx, key, &run.id), title: run_title(run), class: word, path }
            });
        Some(Self { bars: bars.collect(), width: slots * 6, summary: summary(runs) })
    }
}

/// A run of a strip in words: `failed · 6 m 12 s · 2026-11-24 14:02:11 UTC`.
pub(super) fn run_title(run: &v1::StripRun) -> String {
    let mut title = status_label(run.status()).to_owned();
    if let Some(d) = run.duration.as_ref().and_then(api::duration_back) {
        title = format!("{title} · {}", format::duration(d));
    }
    if let Some(at) = run.at.as_ref().and_then(api::timestamp_back) {
        title = format!("{title} · {}", format::exact(at));
    }
    title
}

/// `last 30 runs, oldest first: 26 green, 4 failed, the last 4 in a row`.
pub(super) fn summary(runs: &[v1::StripRun]) -> String {
    use v1::Status::{Failed, Queued, Running, Success, Warning};
    let of = |wanted: &[v1::Status]| runs.iter().filter(|r| wanted.contains(&r.status())).count();
    let (green, warned, failed, active) =
        (of(&[Success]), of(&[Warning]), of(&[Failed]), of(&[Running, Queued]));
    let rest = runs.len() - green - warned - failed - active;
    let parts: Vec<String> = [
        (green, "green"),
        (warned, "with warnings"),
        (failed, "failed"),
        (active, "going on"),
        (rest, "other"),
    ]
    .iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, word)| format!("{n} {word}"))
    .collect();
    let runs_word = if runs.len() == 1 { "run" } else { "runs" };
    let in_a_row = runs
        .iter()
        .rev()
        .filter(|r| matches!(r.status(), Success | Warning | Failed))
        .take_while(|r| r.status() == Failed)
        .count();
    let tail = if in_a_row > 1 { format!(", the last {in_a_row} in a row") } else { String::new() };
    format!("last {} {runs_word}: {}{tail}", runs.len(), parts.join(", "))
}

/// A name that links to a page of ours or of a platform, isolated from the text around it.
#[derive(Debug, Clone, Template)]
#[template(
    source = r#"{% if let Some(href) = href %}<a href="{{ href }}"{% if outside %} rel="noreferrer"{% endif %}>{% endif %}<bdi>{{ text }}</bdi>{% if href.is_some() %}</a>{% endif %}"#,
    ext = "html"
)]
pub(super) struct Href {
    pub(super) href: Option<String>,
    pub(super) text: String,
    /// On the platform, not here.
    pub(super) outside: bool,
}

/// Sentences end with one full stop, whatever a platform's error ends with.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?', '…']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

/// Text that may be missing, or a dash.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// The text.
    Yes(String),
    /// Why there is none.
    No(&'static str),
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes(text) => text,
            Self::No(_) => "–",
        })
    }
}

impl Known {
    pub(super) fn or(text: Option<String>, why_not: &'static str) -> Self {
        text.map_or(Self::No(why_not), Self::Yes)
    }

    /// Why it is a dash; empty when it is none.
    pub(super) const fn why_not(&self) -> &'static str {
        match self {
            Self::Yes(_) => "",
            Self::No(why) => why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_at_their_last_slash() {
        assert_eq!(split_name("payments/ledger-api"), (Some("payments"), "ledger-api"));
        assert_eq!(split_name("a/b/c"), (Some("a/b"), "c"));
        assert_eq!(split_name("alone"), (None, "alone"));
        assert_eq!(split_name("/odd"), (None, "/odd"));
    }

    #[test]
    fn one_endless_run_leaves_the_others_tall() {
        let secs = |s: u64| Some(Duration::from_secs(s));
        let h = heights(&[secs(100), secs(100), secs(100), secs(100_000), None], 4.0, 20.0);
        assert!((h[0] - 10.4).abs() < 0.01, "{h:?}");
        assert!((h[3] - 20.0).abs() < 0.01, "{h:?}");
        assert!((h[4] - 4.0).abs() < 0.01, "{h:?}");
    }

    #[test]
    fn markup_from_outside_is_text() {
        let commit = Commit { who: Some("<script>alert(1)</script>".into()), ..Commit::default() };
        assert!(!commit.to_string().contains("<script"), "{commit}");
    }

    #[test]
    fn only_web_links_are_links() {
        assert_eq!(web_link(Some("javascript:alert(1)")), None);
        assert_eq!(web_link(Some("data:text/html,x")), None);
        assert_eq!(web_link(Some("https://gitlab.com/x")).as_deref(), Some("https://gitlab.com/x"));
    }
}
