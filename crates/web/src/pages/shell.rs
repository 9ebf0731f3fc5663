//! What stands around every page: the head, the bar on top, the banner when the page is old.

use super::headline::Favicon;
use super::parts::{Icon, When};
use super::{Ctx, Door, ListQuery, Live, format};

/// The frame of a page; `templates/base.html` writes it.
#[derive(Debug)]
pub(super) struct Shell<'a> {
    pub(super) base: &'a str,
    /// `ui.title`.
    pub(super) site: &'a str,
    /// What this page says, before the site's title.
    pub(super) title: String,
    pub(super) favicon: Favicon,
    /// The board's version, empty when there is none.
    pub(super) version: &'a str,
    /// Milliseconds between two questions where events cannot get through.
    pub(super) refresh_ms: u128,
    pub(super) live: Pill,
    /// Set when the aggregator is away.
    pub(super) dated: Option<When>,
    /// Something on this page is on its way: it asks again soon.
    pub(super) loading: bool,
    /// The search text, and what a search keeps.
    pub(super) q: String,
    pub(super) kept: Vec<(&'static str, String)>,
    /// Where a search leads, and what it finds.
    pub(super) search: String,
    pub(super) finds: &'static str,
    /// How many runs go on, where the page knows.
    pub(super) running: Option<String>,
    pub(super) pages: Vec<PageLink>,
    /// What alters the page beside the board: `both`, `work`, `figures` (which change all the time); empty for the board
    /// alone.
    pub(super) feeds: &'static str,
    pub(super) door: Door,
}

/// A page of the bar on top.
#[derive(Debug)]
pub(super) struct PageLink {
    pub(super) href: String,
    pub(super) text: String,
    /// After `g` it leads there.
    pub(super) key: char,
    pub(super) on: bool,
}

/// The pages of the bar on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Overview,
    MergeRequests,
    Issues,
    Insights,
    Sources,
}

impl At {
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::MergeRequests => "/merge-requests",
            Self::Issues => "/issues",
            Self::Insights => "/insights",
            Self::Sources => "/sources",
        }
    }
}

fn page_links(ctx: &Ctx<'_>) -> Vec<PageLink> {
    let link = |at: At, text: &str, key| {
        let mut text = text.to_owned();
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        PageLink { href: format!("{}{}", ctx.base_path, at.path()), text, key, on: false }
    };
    let mut links = vec![link(At::Overview, "overview", 'o')];
    links.extend(ctx.nav.merge_requests.as_deref().map(|word| link(At::MergeRequests, word, 'm')));
    links.extend(ctx.nav.issues.then(|| link(At::Issues, "issues", 'i')));
    links.push(link(At::Insights, "insights", 'n'));
    links.push(link(At::Sources, "sources", 's'));
    links
}

/// The live state.
#[derive(Debug)]
pub(super) struct Pill {
    pub(super) class: &'static str,
    pub(super) text: String,
    pub(super) at: Option<When>,
}

/// How soon a page without JavaScript asks again for what is on its way, in seconds.
const RELOAD_SECONDS: u32 = 3;

impl<'a> Shell<'a> {
    pub(super) fn new(ctx: &'a Ctx<'_>, title: impl Into<String>, favicon: Favicon) -> Self {
        let clock = |at| When::clock(at, ctx.now);
        let (class, text, at) = match ctx.live {
            Live::Live => ("live", "live".to_owned(), None),
            Live::Partly { live, of } => ("partly", format!("{live} of {of} sources live"), None),
            Live::AsOf(at) => ("away", "as of".to_owned(), Some(clock(at))),
            Live::NoSource => ("none", "no source yet".to_owned(), None),
            Live::Loading => ("reading", "reading".to_owned(), None),
        };
        Self {
            base: ctx.base_path,
            site: ctx.title,
            title: title.into(),
            favicon,
            version: ctx.version.as_deref().unwrap_or_default(),
            refresh_ms: ctx.refresh.as_millis(),
            live: Pill { class, text, at },
            dated: if let Live::AsOf(at) = ctx.live { Some(clock(at)) } else { None },
            loading: false,
            q: String::new(),
            kept: Vec::new(),
            search: format!("{}/", ctx.base_path),
            finds: "Find a project, branch, commit, person",
            running: None,
            pages: page_links(ctx),
            feeds: "",
            door: ctx.door,
        }
    }

    /// The bar of a page that one does not search in.
    pub(super) fn on(mut self, at: At) -> Self {
        let here = format!("{}{}", self.base, at.path());
        for page in &mut self.pages {
            page.on = page.href == here;
        }
        self
    }

    /// The overview's own bar: its search keeps the other filters.
    pub(super) fn of_overview(mut self, query: &ListQuery, running: u32) -> Self {
        self = self.at(At::Overview, query);
        self.running = Some(format::number(running));
        self
    }

    /// The bar of a list that one searches in: its search keeps the other filters.
    pub(super) fn at(mut self, at: At, query: &ListQuery) -> Self {
        self.search = format!("{}{}", self.base, at.path());
        for page in &mut self.pages {
            page.on = page.href == self.search;
        }
        self.finds = match at {
            At::Overview | At::Insights | At::Sources => self.finds,
            At::MergeRequests | At::Issues => "Find a title, project, person",
        };
        self.q.clone_from(&query.q);
        let kept = |key, values: &[String]| values.iter().map(|v| (key, v.clone())).collect::<Vec<_>>();
        self.kept = kept("source", &query.sources);
        self.kept.extend(kept("platform", &query.platforms));
        self.kept.extend(kept("status", &query.statuses));
        if query.mine {
            self.kept.push(("mine", "1".into()));
        }
        if let Some(draft) = query.draft {
            self.kept.push(("draft", if draft { "1" } else { "0" }.into()));
        }
        if !query.sort.is_empty() {
            self.kept.push(("sort", query.sort.clone()));
        }
        if query.folded {
            self.kept.push(("folded", "1".into()));
        }
        self
    }

    pub(super) fn asset(&self, name: &str) -> String {
        format!("{}{}", self.base, crate::assets::url(name))
    }

    pub(super) fn icon(&self, name: &'static str) -> Icon {
        Icon::plain(name)
    }

    pub(super) fn reload_seconds(&self) -> u32 {
        RELOAD_SECONDS
    }
}
