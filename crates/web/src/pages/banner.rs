//! Strips that say what is not as it should be: a source that does not answer, since when, why, and what happens next.

use api::{timestamp_back, v1};
use askama::Template;
use askama::filters::HtmlSafe;
use domain::encode_segment;

use super::parts::{When, sentence};
use super::{Ctx, format};

/// What one source has to say.
#[derive(Debug, Template)]
#[template(path = "parts/banner.html")]
pub(super) struct Banner {
    dom_id: String,
    name: String,
    trouble: Trouble,
    since: Option<When>,
    error: Option<String>,
    next: Option<When>,
    /// How many of its projects are shown as they were.
    projects: u32,
    /// Its items are below instead of its projects.
    lists: bool,
    /// As they were then.
    known: Option<When>,
}

impl HtmlSafe for Banner {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It has answered before.
    Silent,
    /// It never has.
    Never,
    /// It answers in part.
    Partly,
    /// It waits for its rate limit.
    Limited,
}

impl Banner {
    /// One for every source that is not well.
    pub(super) fn all(ctx: &Ctx<'_>, sources: &[v1::Source]) -> Vec<Self> {
        sources.iter().filter_map(|source| Self::of(ctx, source)).collect()
    }

    /// The same over a list of merge requests or issues.
    pub(super) fn of_lists<'a>(ctx: &Ctx<'_>, sources: impl Iterator<Item = &'a v1::Source>) -> Vec<Self> {
        let of = |source| Self::of(ctx, source).map(|banner| Self { lists: true, ..banner });
        sources.filter_map(of).collect()
    }

    pub(super) fn of(ctx: &Ctx<'_>, source: &v1::Source) -> Option<Self> {
        let instant = |at: &Option<_>| at.as_ref().and_then(timestamp_back);
        let known = instant(&source.last_success_at);
        let trouble = match source.state() {
            v1::SourceState::Down if known.is_some() => Trouble::Silent,
            v1::SourceState::Down => Trouble::Never,
            v1::SourceState::Failing => Trouble::Partly,
            v1::SourceState::Limited => Trouble::Limited,
            _ => return None,
        };
        let reset = source.budget.as_ref().and_then(|b| instant(&b.reset_at)).filter(|at| *at > ctx.now);
        let next = instant(&source.next_try_at).or(reset.filter(|_| trouble == Trouble::Limited));
        Some(Self {
            dom_id: format!("b-{}", encode_segment(&source.name)),
            name: source.name.clone(),
            trouble,
            since: instant(&source.failing_since).map(|at| When::lasting(at, ctx.now)),
            error: source.error.as_deref().map(sentence).filter(|e| !e.is_empty()),
            next: next.map(|at| When::until(at, ctx.now)),
            projects: source.projects,
            lists: false,
            known: known.map(|at| When::clock(at, ctx.now)),
        })
    }

    fn shows_old_projects(&self) -> bool {
        self.trouble == Trouble::Silent && self.projects > 0 && !self.lists
    }

    fn shows_old_items(&self) -> bool {
        self.trouble == Trouble::Silent && self.lists
    }

    fn count(&self) -> String {
        format::count(self.projects, "project", "projects")
    }

    fn calm(&self) -> bool {
        self.trouble == Trouble::Limited
    }
}
