//! `/merge-requests` and `/issues`: what is open over all platforms, last touched first.

use std::collections::HashMap;

use api::v1;
use askama::Template;

use super::banner::Banner;
use super::headline::{Fact, Favicon, what_is_asked};
use super::item::Item;
use super::overview::{Chip, Menu, Paging, whose};
use super::parts::Icon;
use super::shell::{At, Shell};
use super::{Ctx, ListQuery, Live, format};

#[derive(Template)]
#[template(path = "list.html")]
struct Page<'a> {
    shell: Shell<'a>,
    banners: Vec<Banner>,
    news: News,
    facts: Vec<Fact>,
    problems: Vec<String>,
    /// Nothing to filter while there is nothing.
    filters: bool,
    chips: Vec<Chip>,
    menus: Vec<Menu>,
    mine: Option<String>,
    title: String,
    total: String,
    of_merge_requests: bool,
    items: Vec<Item>,
    skeletons: usize,
    paging: Option<Paging>,
    here: String,
    not_asked: Option<String>,
}

/// The headline.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Reading { what: String },
    None { what: String },
    Nothing { what: String },
    Failing { failed: String, rest: String },
    Open { text: String },
}

impl News {
    const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing { .. })
    }

    const fn is_none(&self) -> bool {
        matches!(self, Self::None { .. })
    }

    fn short(&self) -> String {
        match self {
            Self::Reading { .. } => "Reading …".into(),
            Self::None { what } => format!("No open {what}"),
            Self::Nothing { .. } => "Nothing matches".into(),
            Self::Failing { failed, .. } => format!("{failed} failing"),
            Self::Open { text } => text.clone(),
        }
    }
}

/// What both lists have.
struct List<'a> {
    ctx: &'a Ctx<'a>,
    query: &'a ListQuery,
    at: At,
    summary: v1::WorkSummary,
    sources: &'a [v1::Source],
    problems: &'a [v1::Problem],
    loading: bool,
    total: u32,
    page: u32,
    per_page: u32,
    items: Vec<Item>,
    /// Plural.
    what: String,
}

const MERGE_REQUEST_SORTS: &[(&str, &str)] = &[
    ("", "last touched"),
    ("created", "newest"),
    ("-created", "oldest"),
    ("status", "worst first"),
    ("name", "project"),
];

const ISSUE_SORTS: &[(&str, &str)] =
    &[("", "last touched"), ("created", "newest"), ("-created", "oldest"), ("name", "project")];

/// Rows that stand for those that are not there yet.
const SKELETONS: usize = 8;

fn sources_by_name(sources: &[v1::Source]) -> HashMap<&str, &v1::Source> {
    sources.iter().map(|s| (s.name.as_str(), s)).collect()
}

pub(super) fn merge_requests(
    ctx: &Ctx<'_>,
    query: &ListQuery,
    answer: &v1::ListMergeRequestsResponse,
) -> Result<String, askama::Error> {
    let by_name = sources_by_name(&answer.sources);
    let item = |m: &v1::MergeRequest| {
        let source = m.project.as_ref().and_then(|k| by_name.get(k.source.as_str()).copied());
        Item::of_merge_request(ctx, m, source)
    };
    List {
        ctx,
        query,
        at: At::MergeRequests,
        summary: answer.summary.unwrap_or_default(),
        sources: &answer.sources,
        problems: &answer.problems,
        loading: answer.loading,
        total: answer.total,
        page: answer.page,
        per_page: answer.per_page,
        items: answer.merge_requests.iter().map(item).collect(),
        what: ctx.nav.merge_requests.clone().unwrap_or_else(|| "merge requests".to_owned()),
    }
    .render()
}

pub(super) fn issues(
    ctx: &Ctx<'_>,
    query: &ListQuery,
    answer: &v1::ListIssuesResponse,
) -> Result<String, askama::Error> {
    let by_name = sources_by_name(&answer.sources);
    let item = |i: &v1::Issue| {
        let source = i.project.as_ref().and_then(|k| by_name.get(k.source.as_str()).copied());
        Item::of_issue(ctx, i, source)
    };
    List {
        ctx,
        query,
        at: At::Issues,
        summary: answer.summary.unwrap_or_default(),
        sources: &answer.sources,
        problems: &answer.problems,
        loading: answer.loading,
        total: answer.total,
        page: answer.page,
        per_page: answer.per_page,
        items: answer.issues.iter().map(item).collect(),
        what: "issues".to_owned(),
    }
    .render()
}

impl List<'_> {
    fn render(self) -> Result<String, askama::Error> {
        let (ctx, query) = (self.ctx, self.query);
        let news = self.news();
        let (favicon, feeds) = match self.at {
            At::MergeRequests if matches!(ctx.live, Live::AsOf(_)) => (Favicon::Grey, "both"),
            At::MergeRequests if self.summary.failed > 0 => (Favicon::Red, "both"),
            At::MergeRequests => (Favicon::Grey, "both"),
            At::Overview | At::Issues | At::Insights | At::Sources => (Favicon::Grey, "work"),
        };
        let mut shell = Shell::new(ctx, news.short(), favicon).at(self.at, query);
        shell.loading = self.loading;
        shell.feeds = feeds;
        let here = format!("{}{}", ctx.base_path, self.at.path());
        let whose_they_are = match self.at {
            At::MergeRequests => "written by, or to be reviewed by,",
            At::Overview | At::Issues | At::Insights | At::Sources => "written by, or assigned to,",
        };
        let sorts = if self.at == At::MergeRequests { MERGE_REQUEST_SORTS } else { ISSUE_SORTS };
        let mut menus: Vec<Menu> = Vec::new();
        menus.extend(Menu::of_sources(&here, query, self.sources.iter().filter(|s| self.has_part(s))));
        menus.push(Menu::of_sorts(&here, query, sorts));
        let page = Page {
            banners: Banner::of_lists(ctx, self.sources.iter().filter(|s| self.has_part(s))),
            facts: self.facts(&news),
            problems: self.problems.iter().map(|p| p.text.clone()).collect(),
            filters: self.summary.everything > 0 || query.narrows(),
            chips: self.chips(&here),
            menus,
            mine: query.mine.then(|| whose(ctx, self.sources, whose_they_are)),
            title: format!("Open {}", self.what),
            total: format::number(self.total),
            of_merge_requests: self.at == At::MergeRequests,
            skeletons: if self.loading && self.items.is_empty() && !query.narrows() { SKELETONS } else { 0 },
            paging: Paging::new(query, self.total, self.page, self.per_page),
            not_asked: (self.summary.not_asked > 0).then(|| {
                let n = format::count(self.summary.not_asked, "project is", "projects are");
                format!(
                    "{n} not asked: archived, without CI, or quiet for 90 days. Open one to have it asked."
                )
            }),
            news,
            items: self.items,
            here,
            shell,
        };
        page.render()
    }

    const fn has_part(&self, source: &v1::Source) -> bool {
        match self.at {
            At::MergeRequests => source.has_merge_requests,
            At::Overview | At::Issues | At::Insights | At::Sources => source.has_issues,
        }
    }

    fn news(&self) -> News {
        let (s, n) = (&self.summary, format::number);
        let what = &self.what;
        if self.items.is_empty() && self.total == 0 && self.query.narrows() {
            News::Nothing { what: what_is_asked(self.query) }
        } else if s.total == 0 && self.loading {
            News::Reading { what: what.clone() }
        } else if s.total == 0 {
            News::None { what: what.clone() }
        } else if s.failed > 0 {
            let verb = if s.failed == 1 { "fails" } else { "fail" };
            let rest = if s.total == 1 {
                format!("open {} {verb}", singular(what))
            } else {
                format!("of {} open {what} {verb}", n(s.total))
            };
            News::Failing { failed: n(s.failed), rest }
        } else {
            let what = if s.total == 1 { singular(what) } else { what.clone() };
            News::Open { text: format!("{} open {what}", n(s.total)) }
        }
    }

    fn facts(&self, news: &News) -> Vec<Fact> {
        let s = &self.summary;
        let mut facts = Vec::new();
        let mut add = |n: u32, one: &'static str, many: &'static str| {
            if n > 0 {
                facts.push(Fact { figure: format::number(n), text: if n == 1 { one } else { many }.into() });
            }
        };
        match self.at {
            _ if news.is_nothing() => add(s.everything, "is open in all", "are open in all"),
            At::MergeRequests => {
                add(s.wanted, "waits for your review", "wait for your review");
                add(s.active, "being built", "being built");
                add(s.drafts, "draft", "drafts");
                add(s.blocked, "cannot be merged yet", "cannot be merged yet");
            }
            At::Overview | At::Issues | At::Insights | At::Sources => {
                add(s.wanted, "is yours", "are yours");
                add(s.unassigned, "that nobody has", "that nobody has");
            }
        }
        if self.loading {
            add(s.unread, "project still to be read", "projects still to be read");
        }
        facts
    }

    fn chips(&self, here: &str) -> Vec<Chip> {
        let (s, query) = (&self.summary, self.query);
        let all = query.statuses.is_empty() && query.draft.is_none();
        let mut chips = vec![Chip {
            id: "chip-all",
            icon: None,
            text: "All",
            n: format::number(s.total),
            none: s.total == 0,
            on: all && !query.mine,
            href: format!(
                "{here}{}",
                query.with(|q| {
                    q.statuses.clear();
                    (q.draft, q.mine) = (None, false);
                })
            ),
        }];
        let mut status = |id, icon: Option<&'static str>, text, words: &[&str], n: u32| {
            let on = query.statuses.iter().map(String::as_str).eq(words.iter().copied());
            // What is chosen is one click away from not being so.
            let wanted = if on { Vec::new() } else { words.iter().map(|w| (*w).to_owned()).collect() };
            chips.push(Chip {
                id,
                icon: icon.map(Icon::plain),
                text,
                n: format::number(n),
                none: n == 0,
                on,
                href: format!("{here}{}", query.with(|q| q.statuses = wanted)),
            });
        };
        match self.at {
            At::MergeRequests => {
                status("chip-failed", Some("failed"), "Failed", &["failed"], s.failed);
                status("chip-running", Some("running"), "Running", &["running", "queued"], s.active);
                status("chip-green", Some("success"), "Green", &["success"], s.green);
            }
            At::Overview | At::Issues | At::Insights | At::Sources => {
                status("chip-unassigned", None, "Nobody has it", &["unassigned"], s.unassigned);
            }
        }
        if self.at == At::MergeRequests {
            let on = query.draft == Some(true);
            chips.push(Chip {
                id: "chip-drafts",
                icon: None,
                text: "Drafts",
                n: format::number(s.drafts),
                none: s.drafts == 0,
                on,
                href: format!("{here}{}", query.with(|q| q.draft = (!on).then_some(true))),
            });
        }
        if query.mine || self.sources.iter().any(|s| s.owner_known) {
            chips.push(Chip {
                id: "chip-mine",
                icon: Some(Icon::plain("person")),
                text: "Mine",
                n: format::number(s.mine),
                none: s.mine == 0,
                on: query.mine,
                href: format!("{here}{}", query.with(|q| q.mine = !q.mine)),
            });
        }
        chips
    }
}

/// The words are regular.
fn singular(plural: &str) -> String {
    plural.strip_suffix('s').unwrap_or(plural).to_owned()
}
