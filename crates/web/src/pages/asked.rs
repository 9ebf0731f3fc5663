//! When a project is asked, what the last answer was, and why it is due when it is.

use std::time::Duration;

use api::{duration_back, timestamp_back, v1};
use askama::Template;
use askama::filters::HtmlSafe;

use super::parts::{When, sentence};
use super::{Ctx, format};

/// From here on a stretch is worth a word: less is within what jitter does.
pub(super) const STRETCHED: f64 = 1.1;

/// A project's place in the schedule.
#[derive(Debug, Template)]
#[template(path = "parts/asked.html")]
pub(super) struct Asked {
    asked: Option<When>,
    /// What came of it.
    answer: &'static str,
    failure: Option<String>,
    whole: Option<When>,
    reading: bool,
    due: Option<When>,
    every: Option<String>,
    why: String,
    told: bool,
    paused: Option<When>,
    webhook: Option<When>,
    hooked: bool,
    stretched: Option<String>,
}

impl HtmlSafe for Asked {}

impl Asked {
    pub(super) fn new(ctx: &Ctx<'_>, s: &v1::Schedule) -> Self {
        let instant = |at: &Option<_>| at.as_ref().and_then(timestamp_back);
        let ago = |at: &Option<_>| instant(at).map(|at| When::ago(at, ctx.now));
        let every = s.every.as_ref().and_then(duration_back).filter(|every| !every.is_zero());
        Self {
            asked: ago(&s.asked_at),
            answer: match s.answer.as_str() {
                "changed" => "something new came",
                "unchanged" => "nothing new",
                "moved" => "something moved, its whole state is asked for next",
                _ => "it failed",
            },
            failure: s.failure.as_deref().map(sentence).filter(|why| !why.is_empty()),
            whole: ago(&s.whole_at),
            reading: s.reading,
            due: instant(&s.due_at).map(|at| When::until(at, ctx.now)),
            every: every.map(format::duration),
            why: s.why_text.clone(),
            told: s.told,
            paused: instant(&s.paused_until).filter(|at| *at > ctx.now).map(|at| When::until(at, ctx.now)),
            webhook: ago(&s.webhook_at),
            hooked: s.hooked,
            stretched: every.and_then(|every| stretched(every, s.stretch)),
        }
    }
}

/// What the limit makes of so often, where it makes something of it: `4 m 00 s`.
pub(super) fn stretched(every: Duration, stretch: f64) -> Option<String> {
    let longer = Duration::try_from_secs_f64(every.as_secs_f64() * stretch).ok()?;
    // Fractions of a second say nothing here.
    (stretch >= STRETCHED).then(|| format::duration(Duration::from_secs(longer.as_secs())))
}
