//! How things are, in one sentence. The title of the page and its favicon say the same.

use std::borrow::Cow;

use api::{timestamp_back, v1};
use askama::Template;
use askama::filters::HtmlSafe;
use jiff::Timestamp;

use super::parts::When;
use super::{Ctx, ListQuery, Live, format};

/// The colour that a page's icon has in a tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Favicon {
    Red,
    Amber,
    Green,
    Grey,
}

impl Favicon {
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Red => "favicon-red.svg",
            Self::Amber => "favicon-amber.svg",
            Self::Green => "favicon-green.svg",
            Self::Grey => "favicon-grey.svg",
        }
    }
}

/// The news.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// Nothing is configured.
    FirstStart,
    /// The first reading, and nothing is known yet.
    Reading {
        expected: Option<u32>,
    },
    /// Sources are there, projects are not.
    NoProjects,
    /// The filter matches nothing.
    Nothing {
        what: String,
    },
    Broken {
        broken: u32,
        of: u32,
        narrowed: bool,
    },
    AllGreen {
        of: u32,
        narrowed: bool,
    },
    /// Nothing is broken, but not all is known.
    NotAllKnown {
        green: u32,
        stale: u32,
        narrowed: bool,
    },
    /// Nothing is broken, and not all is green.
    NothingBroken {
        green: u32,
        of: u32,
        narrowed: bool,
    },
    /// Nothing has completed, or nothing is readable.
    NoResults {
        of: u32,
    },
}

/// The headline with the line below it.
#[derive(Debug, Template)]
#[template(path = "parts/headline.html")]
pub(super) struct Headline {
    news: News,
    /// Of the broken ones; in the sentence.
    oldest: Option<When>,
    /// Since when a silent source's rows are not known; in the sentence.
    unknown_since: Option<When>,
    green_for: Option<When>,
    facts: Vec<Fact>,
    /// A filter hides broken ones.
    broken_elsewhere: u32,
    /// The aggregator is away: all of this is how it was then.
    dated: bool,
    warned: bool,
}

impl HtmlSafe for Headline {}

#[derive(Debug)]
pub(super) struct Fact {
    pub(super) figure: String,
    pub(super) text: Cow<'static, str>,
}

/// What of the answer is news.
pub(super) struct Said<'a> {
    pub(super) answer: &'a v1::ListProjectsResponse,
    pub(super) summary: &'a v1::Summary,
    pub(super) query: &'a ListQuery,
    /// Since when rows are not known, of those that are shown.
    pub(super) stale_since: Option<Timestamp>,
}

impl Headline {
    pub(super) fn new(ctx: &Ctx<'_>, said: &Said<'_>) -> Self {
        let Said { answer, summary: s, query, stale_since } = said;
        let narrowed = !(query.q.is_empty() && query.sources.is_empty() && query.platforms.is_empty());
        let well = |s: &v1::Source| matches!(s.state(), v1::SourceState::Ok | v1::SourceState::Limited);
        let all_known = answer.sources.iter().all(well);
        let reading = answer.sources.iter().any(|s| s.state() == v1::SourceState::Loading);
        let completed = s.broken + s.warning + s.green + s.waiting;
        let news = if answer.sources.is_empty() && s.everything == 0 {
            News::FirstStart
        } else if s.everything + s.folded == 0 && !query.narrows() {
            if reading { News::Reading { expected: expected(answer) } } else { News::NoProjects }
        } else if answer.rows.is_empty() && query.narrows() && answer.total == 0 {
            News::Nothing { what: what_is_asked(query) }
        } else if s.broken > 0 {
            News::Broken { broken: s.broken, of: s.total, narrowed }
        } else if s.loading > 0 && s.loading + s.nodata >= s.total && completed == 0 {
            News::Reading { expected: expected(answer).or(Some(s.total)) }
        } else if s.total > 0 && s.green == s.total && all_known {
            News::AllGreen { of: s.total, narrowed }
        } else if s.stale > 0 {
            News::NotAllKnown { green: s.green, stale: s.stale, narrowed }
        } else if completed == 0 {
            News::NoResults { of: s.total }
        } else {
            News::NothingBroken { green: s.green, of: s.total, narrowed }
        };
        let instant = |at: Option<_>| at.as_ref().and_then(timestamp_back);
        Self {
            oldest: instant(s.oldest_broken_at).map(|at| When::words(at, ctx.now)),
            unknown_since: stale_since.map(|at| When::clock(at, ctx.now)),
            green_for: instant(s.green_since)
                .filter(|_| matches!(news, News::AllGreen { .. }) && !matches!(ctx.live, Live::AsOf(_)))
                .map(|at| When::lasting(at, ctx.now)),
            facts: facts(&news, answer, s),
            broken_elsewhere: s.everything_broken.saturating_sub(s.broken),
            dated: matches!(ctx.live, Live::AsOf(_)),
            warned: s.warning > 0,
            news,
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        clippy::unused_self,
        reason = "called by the template, which passes references"
    )]
    fn n(&self, n: &u32) -> String {
        format::number(*n)
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        clippy::unused_self,
        reason = "called by the template, which passes references"
    )]
    fn projects(&self, n: &u32) -> String {
        format::count(*n, "project", "projects")
    }

    /// All is green, everywhere, now.
    const fn is_joy(&self) -> bool {
        matches!(self.news, News::AllGreen { .. }) && !self.dated && self.broken_elsewhere == 0
    }

    pub(super) const fn is_first_start(&self) -> bool {
        matches!(self.news, News::FirstStart)
    }

    pub(super) const fn is_nothing(&self) -> bool {
        matches!(self.news, News::Nothing { .. })
    }

    pub(super) const fn is_reading(&self) -> bool {
        matches!(self.news, News::Reading { .. })
    }

    /// The same for the title of the page.
    pub(super) fn short(&self) -> String {
        match &self.news {
            News::FirstStart => "No source yet".into(),
            News::Reading { .. } => "Reading …".into(),
            News::NoProjects => "No projects".into(),
            News::Nothing { .. } => "Nothing matches".into(),
            News::Broken { broken, .. } => format!("{} broken", format::number(*broken)),
            News::AllGreen { .. } if self.dated => "Was green".into(),
            News::AllGreen { .. } => "All green".into(),
            News::NotAllKnown { stale, .. } => format!("{} not known", format::number(*stale)),
            News::NothingBroken { .. } => "Nothing broken".into(),
            News::NoResults { .. } => "No results yet".into(),
        }
    }

    /// Green only when nothing anywhere is known to be otherwise, and that is how it is now.
    pub(super) const fn favicon(&self) -> Favicon {
        match self.news {
            _ if self.dated => Favicon::Grey,
            News::Broken { .. } => Favicon::Red,
            News::AllGreen { .. } | News::NothingBroken { .. } if self.broken_elsewhere > 0 => Favicon::Grey,
            News::NothingBroken { .. } if self.warned => Favicon::Amber,
            News::AllGreen { .. } | News::NothingBroken { .. } => Favicon::Green,
            _ => Favicon::Grey,
        }
    }
}

/// How many projects the sources will turn out to have, when all of those that are being read know it.
fn expected(answer: &v1::ListProjectsResponse) -> Option<u32> {
    let reading = answer.sources.iter().filter(|s| s.state() == v1::SourceState::Loading);
    let mut all = 0_u32;
    for source in reading {
        all = all.saturating_add(source.expected?);
    }
    let rest = answer.sources.iter().filter(|s| s.state() != v1::SourceState::Loading).map(|s| s.projects);
    Some(rest.fold(all, u32::saturating_add)).filter(|n| *n > 0)
}

/// What a filter asks for: `“legder” in broken`.
pub(super) fn what_is_asked(query: &ListQuery) -> String {
    let q = query.q.trim();
    let statuses: Vec<&str> = query
        .statuses
        .iter()
        .map(|s| match s.as_str() {
            "nodata" | "none" => "no data",
            "success" => "green",
            "queued" => "queued",
            other => other,
        })
        .collect();
    let mut text = if q.is_empty() { String::new() } else { format!("“{q}”") };
    for (word, list) in [
        ("in", statuses.join(" or ")),
        ("of", query.sources.join(" or ")),
        ("on", query.platforms.join(" or ")),
    ] {
        if !list.is_empty() {
            text = if text.is_empty() { list } else { format!("{text} {word} {list}") };
        }
    }
    match query.draft {
        Some(true) => text = if text.is_empty() { "drafts".into() } else { format!("{text} among drafts") },
        Some(false) => {
            text =
                if text.is_empty() { "what is ready".into() } else { format!("{text} among what is ready") }
        }
        None => {}
    }
    if query.mine {
        text = if text.is_empty() { "what is yours".into() } else { format!("{text} of yours") };
    }
    text
}

fn facts(news: &News, answer: &v1::ListProjectsResponse, s: &v1::Summary) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |n: u32, one: &'static str, many: &'static str| {
        if n > 0 {
            facts.push(Fact { figure: format::number(n), text: if n == 1 { one } else { many }.into() });
        }
    };
    match news {
        News::FirstStart | News::NoProjects => return facts,
        News::Nothing { .. } => {
            add(s.everything_broken, "is broken", "are broken");
            add(s.everything, "is watched", "are watched");
            return facts;
        }
        News::Reading { .. } => {}
        News::Broken { .. } => {
            add(s.being_fixed, "is being fixed", "are being fixed");
            add(s.warning, "with warnings", "with warnings");
            add(s.waiting, "waits for a person", "wait for a person");
            add(s.stale, "not known now", "not known now");
        }
        News::NotAllKnown { .. } => {
            add(s.warning, "with warnings", "with warnings");
            add(s.waiting, "waits for a person", "wait for a person");
        }
        _ => {
            add(s.warning, "with warnings", "with warnings");
            add(s.waiting, "waits for a person", "wait for a person");
            add(s.nodata, "without data", "without data");
            add(s.stale, "not known now", "not known now");
        }
    }
    let running = if s.stale > 0 { "running on the other sources" } else { "running" };
    add(s.running_runs, running, running);
    add(s.loading, "still being read", "still being read");
    if matches!(news, News::AllGreen { .. }) && s.waiting == 0 {
        facts.push(Fact { figure: String::new(), text: "nothing waits for a person".into() });
    }
    for source in answer.sources.iter().filter(|s| s.state() == v1::SourceState::Loading) {
        let figure = match source.expected {
            Some(of) => format!("{} of {}", format::number(source.read), format::number(of)),
            None => format::number(source.read),
        };
        facts.push(Fact { figure, text: format!("of {} read", source.name).into() });
    }
    let (green, red) =
        s.hours.iter().fold((0_u64, 0_u64), |(g, r), h| (g + u64::from(h.green), r + u64::from(h.red)));
    if green + red >= MIN_RUNS_FOR_A_SHARE && !matches!(news, News::Reading { .. }) {
        #[expect(clippy::cast_precision_loss, reason = "counts of runs of a day")]
        let share = green as f64 / (green + red) as f64;
        facts.push(Fact { figure: format::percent(share), text: "of the runs of 24 h green".into() });
    }
    facts
}

/// A share of fewer runs than this is noise.
const MIN_RUNS_FOR_A_SHARE: u64 = 10;
