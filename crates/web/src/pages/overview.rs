//! `/`: what is red, since when, whose commit, is somebody on it – then everything else.

use std::collections::HashMap;

use api::{timestamp_back, v1};
use askama::Template;

use super::banner::Banner;
use super::headline::{Headline, Said};
use super::parts::Icon;
use super::row::{Row, is_stale};
use super::shell::Shell;
use super::{Ctx, DEFAULT_PER_PAGE, ListQuery, Live, format};

#[derive(Template)]
#[template(path = "overview.html")]
struct Page<'a> {
    shell: Shell<'a>,
    headline: Headline,
    banners: Vec<Banner>,
    hours: Option<Hours>,
    /// Nothing to filter while there is nothing.
    filters: bool,
    chips: Vec<Chip>,
    menus: Vec<Menu>,
    /// What is whose, where only that is shown.
    mine: Option<String>,
    cards: Vec<Card>,
    skeletons: usize,
    folded: Option<Folded>,
    paging: Option<Paging>,
    clear: String,
    suggestion: Option<(String, String)>,
}

/// A filter that is one click away.
#[derive(Debug)]
pub(super) struct Chip {
    pub(super) id: &'static str,
    pub(super) icon: Option<Icon>,
    pub(super) text: &'static str,
    pub(super) n: String,
    pub(super) none: bool,
    pub(super) on: bool,
    pub(super) href: String,
}

/// A choice that unfolds.
#[derive(Debug)]
pub(super) struct Menu {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    pub(super) chosen: String,
    pub(super) items: Vec<MenuItem>,
}

#[derive(Debug)]
pub(super) struct MenuItem {
    pub(super) text: String,
    pub(super) href: String,
    pub(super) on: bool,
}

/// Rows under one heading.
#[derive(Debug)]
struct Card {
    id: &'static str,
    title: &'static str,
    note: String,
    groups: Vec<Group>,
}

/// Rows of a card, under a reason that they share when there are many.
#[derive(Debug)]
struct Group {
    /// Identity and words of the reason; `None` where rows are not grouped.
    cause: Option<Cause>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Cause {
    dom_id: String,
    text: String,
    n: String,
}

impl Group {
    /// Rows of one cause follow each other.
    fn split(rows: Vec<Row>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        let mut last: Option<v1::CauseGroup> = None;
        for row in rows {
            let cause = row.cause().cloned();
            match groups.last_mut() {
                Some(group) if last == cause => group.rows.push(row),
                _ => groups.push(Self { cause: cause.as_ref().map(Cause::of), rows: vec![row] }),
            }
            last = cause;
        }
        groups
    }
}

impl Cause {
    fn of(group: &v1::CauseGroup) -> Self {
        let alone = group.text.is_empty();
        Self {
            dom_id: format!("cause-{}", domain::encode_segment(&group.text)),
            text: if alone { "each for a reason of its own".to_owned() } else { group.text.clone() },
            n: format::count(group.rows, "project", "projects"),
        }
    }
}

/// The runs of a day.
#[derive(Debug)]
struct Hours {
    bars: Vec<HourBar>,
    summary: String,
}

#[derive(Debug)]
struct HourBar {
    x: usize,
    up: u32,
    down: u32,
    title: String,
}

/// What is folded away.
#[derive(Debug)]
struct Folded {
    n: String,
    parts: String,
    href: String,
    shown: bool,
}

/// Where one is in a long list.
#[derive(Debug)]
pub(super) struct Paging {
    pub(super) text: String,
    pub(super) prev: Option<String>,
    pub(super) next: Option<String>,
    pub(super) sizes: Vec<MenuItem>,
}

impl Paging {
    /// Nothing when all of it fits on one page.
    pub(super) fn new(query: &ListQuery, total: u32, page: u32, per_page: u32) -> Option<Self> {
        let (page, per_page) = (page.max(1), if per_page == 0 { DEFAULT_PER_PAGE } else { per_page });
        if total <= per_page && page == 1 {
            return None;
        }
        let first = (page - 1).saturating_mul(per_page).saturating_add(1);
        let last = page.saturating_mul(per_page).min(total);
        let n = format::number;
        let text = if first > total {
            format!("nothing on page {}, {} in all", n(page), n(total))
        } else {
            format!("{}–{} of {}", n(first), n(last), n(total))
        };
        let to = |page| query.with(|q| q.page = page);
        Some(Self {
            text,
            prev: (page > 1).then(|| to((page - 1).min(total.div_ceil(per_page)).max(1))),
            next: (last < total).then(|| to(page + 1)),
            sizes: [25, 50, 100]
                .into_iter()
                .map(|size| MenuItem {
                    text: size.to_string(),
                    href: query.with(|q| q.per_page = size),
                    on: size == per_page,
                })
                .collect(),
        })
    }
}

/// How high the histogram is above its line, and below it.
const HOURS_UP: u32 = 32;
const HOURS_DOWN: u32 = 8;

impl Hours {
    fn new(summary: &v1::Summary) -> Option<Self> {
        let hours = &summary.hours;
        let most = hours.iter().map(|h| h.green + h.other).max()?;
        let most_red = hours.iter().map(|h| h.red).max()?;
        if most + most_red == 0 {
            return None;
        }
        let scaled =
            |n: u32, most: u32, px: u32| if n == 0 { 0 } else { (n * px).div_ceil(most.max(1)).max(1) };
        // Red has its own scale only in that its smallest bar is still seen.
        let bars = hours.iter().enumerate().map(|(i, h)| {
            let from = h.from.as_ref().and_then(timestamp_back);
            let at = from.map(|at| at.strftime("%H:%M UTC").to_string()).unwrap_or_default();
            HourBar {
                x: i * 6,
                up: scaled(h.green + h.other, most, HOURS_UP),
                down: if h.red == 0 { 0 } else { scaled(h.red, most_red.max(most / 4), HOURS_DOWN).max(2) },
                title: format!("from {at}: {} green, {} red, {} other", h.green, h.red, h.other),
            }
        });
        let (green, red) = hours.iter().fold((0_u32, 0_u32), |(g, r), h| (g + h.green, r + h.red));
        let n = format::number;
        Some(Self {
            bars: bars.collect(),
            summary: format!("in the last 24 hours {} runs were green and {} red", n(green), n(red)),
        })
    }
}

const SORTS: &[(&str, &str)] = &[
    ("", "worst first"),
    ("updated", "last change"),
    ("name", "name"),
    ("duration", "slowest first"),
    ("green", "least green first"),
];

/// Rows that stand for those that are not there yet.
const SKELETONS: usize = 8;

pub(super) fn render(
    ctx: &Ctx<'_>,
    query: &ListQuery,
    answer: &v1::ListProjectsResponse,
) -> Result<String, askama::Error> {
    let nothing = v1::Summary::default();
    let summary = answer.summary.as_ref().unwrap_or(&nothing);
    let sources: HashMap<&str, &v1::Source> = answer.sources.iter().map(|s| (s.name.as_str(), s)).collect();
    let source_of = |row: &v1::Row| {
        let key = row.project.as_ref().and_then(|p| p.key.as_ref());
        key.and_then(|k| sources.get(k.source.as_str()).copied())
    };
    let since = |at: Option<&_>| at.and_then(timestamp_back);
    let silent = answer.sources.iter().filter(|s| s.state() == v1::SourceState::Down);
    let seen = answer.rows.iter().filter(|row| is_stale(row, source_of(row)));
    let stale_since = silent
        .filter_map(|s| since(s.last_success_at.as_ref()))
        .min()
        .or_else(|| seen.filter_map(|row| since(row.as_of.as_ref())).min());
    let headline = Headline::new(ctx, &Said { answer, summary, query, stale_since });
    let rows: Vec<Row> = answer.rows.iter().map(|row| Row::new(ctx, row, source_of(row))).collect();
    let cards = cards(query, summary, answer.total, rows);
    let mut shell =
        Shell::new(ctx, headline.short(), headline.favicon()).of_overview(query, summary.running_runs);
    shell.loading = matches!(ctx.live, Live::Loading);
    if headline.is_first_start() {
        shell.running = None;
    }
    let page = Page {
        banners: Banner::all(ctx, &answer.sources),
        hours: Hours::new(summary),
        filters: summary.everything + summary.folded > 0 || query.narrows(),
        chips: chips(ctx, query, summary, &answer.sources),
        menus: menus(ctx, query, &answer.sources),
        mine: query.mine.then(|| whose(ctx, &answer.sources, WHAT_IS_MINE)),
        skeletons: if headline.is_reading() && cards.is_empty() { SKELETONS } else { 0 },
        folded: Folded::new(ctx, query, summary),
        paging: Paging::new(query, answer.total, answer.page, answer.per_page),
        clear: format!("{}/", ctx.base_path),
        suggestion: answer
            .suggestion
            .as_ref()
            .filter(|s| !s.is_empty())
            .map(|s| (s.clone(), format!("{}/{}", ctx.base_path, query.with(|q| q.q.clone_from(s))))),
        cards,
        headline,
        shell,
    };
    page.render()
}

/// Broken first, then what nobody knows, then everything else; one card when another order was asked for.
fn cards(query: &ListQuery, summary: &v1::Summary, total: u32, rows: Vec<Row>) -> Vec<Card> {
    if rows.is_empty() {
        return Vec::new();
    }
    if !matches!(query.sort.as_str(), "" | "worst") {
        let groups = Group::split(rows);
        return vec![Card { id: "all", title: "Projects", note: format::number(total), groups }];
    }
    let (broken, rest): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(Row::broken);
    let (stale, rest): (Vec<Row>, Vec<Row>) = rest.into_iter().partition(Row::stale);
    let alone = broken.is_empty() && stale.is_empty();
    let others = total.saturating_sub(summary.broken).saturating_sub(summary.stale);
    let note = if query.statuses.is_empty() {
        if alone {
            format::count(total, "project", "projects")
        } else {
            format::count(others, "project", "projects")
        }
    } else if alone {
        format::count(total, "project", "projects")
    } else {
        String::new()
    };
    let title = if alone && query.page <= 1 { "Projects" } else { "Everything else" };
    let mut cards = Vec::new();
    for (id, title, note, rows) in [
        (
            "broken",
            "Broken",
            if summary.broken > 0 { format::number(summary.broken) } else { String::new() },
            broken,
        ),
        (
            "unknown",
            "Not known now",
            if summary.stale > 0 { format::number(summary.stale) } else { String::new() },
            stale,
        ),
        ("rest", title, note, rest),
    ] {
        if !rows.is_empty() {
            cards.push(Card { id, title, note, groups: Group::split(rows) });
        }
    }
    cards
}

/// What `mine` means on the overview.
const WHAT_IS_MINE: &str =
    "the newest run, or the one that decided the colour or broke the branch, is of a commit by";

/// A sentence that says what is shown while only what is of the sources' current users is.
pub(super) fn whose(ctx: &Ctx<'_>, sources: &[v1::Source], what: &str) -> String {
    let known: Vec<&v1::Source> = sources.iter().filter(|s| s.owner_known).collect();
    if known.is_empty() {
        return "Nothing can be told to be yours: no source says whose its token is.".to_owned();
    }
    let who = |s: &&v1::Source| {
        let person = s.owner.as_ref().filter(|_| ctx.show_people);
        let name = person.map(|p| p.login.as_ref().filter(|l| !l.is_empty()).unwrap_or(&p.name));
        name.map_or_else(|| format!("the owner of {}’s token", s.name), |n| format!("{n} ({})", s.name))
    };
    let all: Vec<String> = known.iter().map(who).collect();
    format!("Only what is yours: {what} {}.", all.join(" or "))
}

fn chips(ctx: &Ctx<'_>, query: &ListQuery, s: &v1::Summary, sources: &[v1::Source]) -> Vec<Chip> {
    let chip = |id, icon: Option<&'static str>, text, words: &[&str], n: u32| {
        let chosen = query.statuses.iter().map(String::as_str).eq(words.iter().copied());
        let all = words.is_empty();
        // What is chosen is one click away from not being so.
        let wanted: Vec<String> =
            if chosen { Vec::new() } else { words.iter().map(|w| (*w).to_owned()).collect() };
        let to = query.with(|q| {
            q.statuses = wanted;
            q.mine &= !all;
        });
        Chip {
            id,
            icon: icon.map(Icon::plain),
            text,
            n: format::number(n),
            none: n == 0,
            on: chosen && !(all && query.mine),
            href: format!("{}/{to}", ctx.base_path),
        }
    };
    let mut chips = vec![
        chip("chip-all", None, "All", &[], s.total),
        chip("chip-broken", Some("failed"), "Broken", &["broken"], s.broken),
        chip("chip-running", Some("running"), "Running", &["running", "queued"], s.active),
        chip("chip-warning", Some("warning"), "Warning", &["warning"], s.warning),
        chip("chip-waiting", Some("manual"), "Waiting", &["waiting"], s.waiting),
        chip("chip-nodata", Some("unknown"), "No data", &["nodata"], s.nodata + s.stale),
    ];
    if query.mine || sources.iter().any(|s| s.owner_known) {
        chips.push(Chip {
            id: "chip-mine",
            icon: Some(Icon::plain("person")),
            text: "Mine",
            n: format::number(s.mine),
            none: s.mine == 0,
            on: query.mine,
            href: format!("{}/{}", ctx.base_path, query.with(|q| q.mine = !q.mine)),
        });
    }
    chips
}

fn menus(ctx: &Ctx<'_>, query: &ListQuery, sources: &[v1::Source]) -> Vec<Menu> {
    let here = format!("{}/", ctx.base_path);
    let mut menus = Vec::new();
    menus.extend(Menu::of_sources(&here, query, sources.iter()));
    menus.push(Menu::of_sorts(&here, query, SORTS));
    menus
}

impl Menu {
    /// Which source; nothing where there is no choice.
    pub(super) fn of_sources<'a>(
        here: &str,
        query: &ListQuery,
        sources: impl Iterator<Item = &'a v1::Source>,
    ) -> Option<Self> {
        let to = |query: String| format!("{here}{query}");
        let mut items = vec![MenuItem {
            text: "all".into(),
            href: to(query.with(|q| q.sources.clear())),
            on: query.sources.is_empty(),
        }];
        items.extend(sources.map(|s| MenuItem {
            text: s.name.clone(),
            href: to(query.with(|q| q.sources = vec![s.name.clone()])),
            on: query.sources.contains(&s.name),
        }));
        let chosen = if query.sources.is_empty() { "all".into() } else { query.sources.join(", ") };
        (items.len() > 2).then_some(Self { id: "menu-source", label: "Source", chosen, items })
    }

    /// Which order: words of the contract and the same for people, the first being what happens by itself.
    pub(super) fn of_sorts(here: &str, query: &ListQuery, sorts: &[(&str, &str)]) -> Self {
        let items: Vec<MenuItem> = sorts
            .iter()
            .map(|(word, text)| MenuItem {
                text: (*text).to_owned(),
                href: format!("{here}{}", query.with(|q| (*word).clone_into(&mut q.sort))),
                on: query.sort == *word,
            })
            .collect();
        let chosen = items.iter().find(|i| i.on).map_or_else(|| query.sort.clone(), |i| i.text.clone());
        Self { id: "menu-sort", label: "Sort", chosen, items }
    }
}

impl Folded {
    fn new(ctx: &Ctx<'_>, query: &ListQuery, s: &v1::Summary) -> Option<Self> {
        let parts: Vec<String> = [
            (s.folded_archived, "archived"),
            (s.folded_no_ci, "without CI"),
            (s.folded_quiet, "quiet for 180 days"),
        ]
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{} {what}", format::number(*n)))
        .collect();
        (s.folded > 0).then(|| Self {
            n: format::number(s.folded),
            parts: parts.join(", "),
            href: format!("{}/{}", ctx.base_path, query.with(|q| q.folded = !q.folded)),
            shown: query.folded,
        })
    }
}
