//! `/sources`: how each source is, what is left of its limits, what is due, what it is asked, and how its webhooks fare.

use std::time::Duration;

use api::{duration_back, timestamp_back, v1};
use askama::Template;
use domain::encode_segment;

use super::asked::stretched;
use super::headline::{Fact, Favicon};
use super::parts::{Icon, When, sentence, web_link};
use super::shell::{At, Shell};
use super::stores::Store;
use super::{Ctx, ListQuery, Live, format};

#[derive(Template)]
#[template(path = "sources.html")]
struct Page<'a> {
    shell: Shell<'a>,
    news: News,
    facts: Vec<Fact>,
    cards: Vec<Card>,
    stores: Vec<Store>,
}

/// The headline.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// None is configured.
    None,
    /// These are not as they should be.
    Trouble { n: String, rest: String },
    /// Said of all of them.
    Plain { text: String },
}

/// One source.
#[derive(Debug)]
struct Card {
    dom_id: String,
    name: String,
    /// The overview of its projects.
    href: String,
    platform: Icon,
    /// The platform's name.
    title: String,
    outside: Option<String>,
    shape: Icon,
    /// How it is, in a few words.
    word: &'static str,
    /// It is not well: drawn as the broken are.
    down: bool,
    error: Option<String>,
    since: Option<When>,
    next_try: Option<When>,
    last_success: Option<When>,
    /// While it is read for the first time.
    reading: Option<Reading>,
    due: Option<Due>,
    limits: Vec<Limit>,
    requests: String,
    /// Of these, answered 304.
    same: Option<String>,
    endpoints: Vec<Endpoint>,
    /// Endpoints that were not asked within the hour.
    quiet: usize,
    hooks: Hooks,
    token: Option<Token>,
}

/// What its platform tells of its token.
#[derive(Debug)]
struct Token {
    scopes: String,
    /// With which something can be altered.
    writes: String,
    expires: Option<When>,
    /// It has ended, or will before long: in words.
    ends: Option<&'static str>,
}

#[derive(Debug)]
struct Reading {
    read: String,
    of: Option<String>,
    bar: Option<(u32, u32)>,
}

/// What is due, and how old what is shown is.
#[derive(Debug)]
struct Due {
    asked: String,
    due: String,
    unread: Option<String>,
    next: Option<When>,
    median: Option<String>,
    worst: Option<String>,
    /// What the limit makes of the pace.
    stretched: Option<String>,
}

/// A limit as a bar.
#[derive(Debug)]
struct Limit {
    dom_id: String,
    /// `Requests`, `Points`.
    title: &'static str,
    used: u64,
    of: u64,
    /// `1,240 used, 3,760 of 5,000 left`.
    text: String,
    reset: Option<When>,
    /// Little is left.
    low: bool,
    note: Option<String>,
}

/// What was asked of one endpoint in the last hour.
#[derive(Debug)]
struct Endpoint {
    name: String,
    n: String,
    /// Of the busiest, in percent.
    width: u64,
    same: String,
    /// Since the start.
    failed: u64,
    wait: String,
}

/// How webhooks fare.
#[derive(Debug)]
enum Hooks {
    /// Its platform sends none that are understood.
    Never,
    /// It has no secret.
    Unset { address: String },
    /// Nothing came yet.
    Waiting { address: String, refused: Option<Refused> },
    /// They come.
    Coming {
        last: Option<When>,
        kind: Option<String>,
        counts: Vec<(String, &'static str)>,
        /// Polling slows for them.
        alive: bool,
        refused: Option<Refused>,
    },
}

#[derive(Debug)]
struct Refused {
    at: Option<When>,
    why: String,
    n: String,
}

/// So much of a limit is little.
const LOW: u64 = 10;
/// A token that ends within this is warned of.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Endpoints that are shown; the rest is in the API.
const ENDPOINTS: usize = 12;

pub(super) fn render(
    ctx: &Ctx<'_>,
    webhooks: &str,
    answer: &v1::ListSourcesResponse,
) -> Result<String, askama::Error> {
    let sources = &answer.sources;
    let news = News::of(sources);
    let away = matches!(ctx.live, Live::AsOf(_));
    let favicon = match news {
        News::Plain { .. } if !away && sources.iter().all(is_well) => Favicon::Green,
        _ => Favicon::Grey,
    };
    let mut shell = Shell::new(ctx, news.short(), favicon).on(At::Sources);
    shell.loading = sources.iter().any(|s| s.state() == v1::SourceState::Loading);
    shell.feeds = "figures";
    let page = Page {
        facts: facts(sources),
        cards: sources.iter().map(|s| Card::new(ctx, webhooks, s)).collect(),
        stores: Store::all(ctx, answer),
        news,
        shell,
    };
    page.render()
}

fn is_well(source: &v1::Source) -> bool {
    source.state() == v1::SourceState::Ok
}

impl News {
    fn of(sources: &[v1::Source]) -> Self {
        use v1::SourceState as S;
        let all = sources.len();
        let count = |state: S| sources.iter().filter(|s| s.state() == state).count();
        let n = |n: usize| format::number(n as u64);
        if all == 0 {
            return Self::None;
        }
        let troubles = [
            (S::Down, "does not answer", "do not answer"),
            (S::Failing, "answers only in part", "answer only in part"),
            (S::Limited, "waits for its rate limit", "wait for their rate limits"),
        ];
        for (state, one, many) in troubles {
            let of = count(state);
            let rest = match of {
                0 => continue,
                _ if all == 1 => format!("source {one}"),
                1 => format!("of {} sources {one}", n(all)),
                _ => format!("of {} sources {many}", n(all)),
            };
            return Self::Trouble { n: n(of), rest };
        }
        let text = match (count(S::Loading), all) {
            (0, 1) => "The source answers".to_owned(),
            (0, _) => format!("All {} sources answer", n(all)),
            (_, 1) => "Reading the source …".to_owned(),
            (loading, _) => format!("Reading {} of {} sources …", n(loading), n(all)),
        };
        Self::Plain { text }
    }

    fn short(&self) -> String {
        match self {
            Self::None => "No source yet".to_owned(),
            Self::Trouble { n, rest } => format!("{n} {rest}"),
            Self::Plain { text } => text.clone(),
        }
    }
}

fn facts(sources: &[v1::Source]) -> Vec<Fact> {
    let mut facts = Vec::new();
    if sources.is_empty() {
        return facts;
    }
    let projects: u32 = sources.iter().map(|s| s.projects).sum();
    let requests: u64 = sources.iter().map(|s| s.requests_last_hour).sum();
    let text = |n: u64, one: &'static str, many: &'static str| if n == 1 { one } else { many };
    facts.push(Fact {
        figure: format::number(projects),
        text: text(projects.into(), "project", "projects").into(),
    });
    facts.push(Fact {
        figure: format::number(requests),
        text: text(requests, "request in the last hour", "requests in the last hour").into(),
    });
    let endpoints: Vec<_> = sources.iter().flat_map(|s| s.endpoints.iter()).collect();
    if let Some(share) = share(&endpoints) {
        facts
            .push(Fact { figure: format::percent(share), text: "of them answered “nothing new”".into() });
    }
    facts
}

/// Requests of the last hour that were answered 304.
#[expect(clippy::cast_precision_loss, reason = "requests of an hour")]
fn share(endpoints: &[&v1::EndpointTraffic]) -> Option<f64> {
    let asked: u64 = endpoints.iter().map(|e| e.requests_last_hour).sum();
    let same: u64 = endpoints.iter().map(|e| e.not_modified_last_hour).sum();
    (asked > 0).then(|| same as f64 / asked as f64)
}

impl Token {
    fn new(ctx: &Ctx<'_>, token: &v1::Token) -> Self {
        let expires_at = token.expires_at.as_ref().and_then(timestamp_back);
        let left = expires_at.map(|at| at.duration_since(ctx.now));
        let ends = left.and_then(|left| match Duration::try_from(left) {
            Err(_) => Some("ended"),
            Ok(left) if left <= SOON => Some("ends soon"),
            Ok(_) => None,
        });
        Self {
            scopes: token.scopes.join(", "),
            writes: token.writes.join(", "),
            expires: expires_at.map(|at| When::clock(at, ctx.now)),
            ends,
        }
    }
}

impl Card {
    fn new(ctx: &Ctx<'_>, webhooks: &str, source: &v1::Source) -> Self {
        let instant = |at: &Option<_>| at.as_ref().and_then(timestamp_back);
        let last = instant(&source.last_success_at);
        let (shape, word) = match source.state() {
            v1::SourceState::Ok => (Icon::plain("success"), "answers"),
            v1::SourceState::Limited => (Icon::plain("queued"), "waits for its rate limit"),
            v1::SourceState::Failing => (Icon::plain("warning"), "answers only in part"),
            v1::SourceState::Down if last.is_some() => (Icon::plain("failed"), "does not answer"),
            v1::SourceState::Down => (Icon::plain("failed"), "never answered"),
            v1::SourceState::Loading | v1::SourceState::Unspecified => {
                (Icon::plain("running"), "is read for the first time")
            }
        };
        let query = ListQuery { sources: vec![source.name.clone()], ..ListQuery::default() };
        let endpoints: Vec<_> = source.endpoints.iter().collect();
        let title = if source.title.is_empty() { &source.platform } else { &source.title };
        let (shown, quiet) = Endpoint::busiest(&source.endpoints);
        Self {
            dom_id: format!("s-{}", encode_segment(&source.name)),
            name: source.name.clone(),
            href: format!("{}/{}", ctx.base_path, query.to_url()),
            platform: Icon { label: String::new(), ..Icon::platform(Some(source)) },
            title: title.clone(),
            outside: web_link(Some(&source.url)),
            shape,
            word,
            down: source.state() == v1::SourceState::Down,
            error: source.error.as_deref().map(sentence).filter(|e| !e.is_empty()),
            since: instant(&source.failing_since).map(|at| When::lasting(at, ctx.now)),
            next_try: instant(&source.next_try_at)
                .filter(|_| !is_well(source))
                .map(|at| When::until(at, ctx.now)),
            last_success: last.map(|at| When::ago(at, ctx.now)),
            reading: (source.state() == v1::SourceState::Loading).then(|| Reading {
                read: format::number(source.read),
                of: source.expected.map(format::number),
                bar: source.expected.filter(|of| *of > 0).map(|of| (source.read.min(of), of)),
            }),
            due: source.schedule.as_ref().map(|schedule| Due::new(ctx, schedule)),
            limits: Limit::of(ctx, source),
            requests: format::number(source.requests_last_hour),
            same: share(&endpoints).map(format::percent),
            endpoints: shown,
            quiet,
            hooks: Hooks::new(ctx, webhooks, source),
            token: source.token.as_ref().map(|token| Token::new(ctx, token)),
        }
    }

    /// `42 projects`.
    fn asked(&self) -> &str {
        self.due.as_ref().map_or("0", |due| due.asked.as_str())
    }
}

impl Due {
    fn new(ctx: &Ctx<'_>, s: &v1::SourceSchedule) -> Self {
        let span = |d: &Option<_>| d.as_ref().and_then(duration_back);
        let age = |d: &Option<_>| span(d).map(whole).map(format::duration);
        let stretched = span(&s.active_every).and_then(|every| {
            let (longer, every) = (stretched(every, s.stretch)?, format::duration(every));
            Some(format!(
                "The limit allows a reading of an active project every {longer} instead of every {every}."
            ))
        });
        Self {
            asked: format::number(s.asked),
            due: format::number(s.due),
            unread: (s.unread > 0).then(|| format::number(s.unread)),
            next: s.next_at.as_ref().and_then(timestamp_back).map(|at| When::until(at, ctx.now)),
            median: age(&s.age_median),
            worst: age(&s.age_worst),
            stretched,
        }
    }
}

/// Fractions of a second say nothing here.
const fn whole(d: Duration) -> Duration {
    Duration::from_secs(d.as_secs())
}

impl Limit {
    fn of(ctx: &Ctx<'_>, source: &v1::Source) -> Vec<Self> {
        let id = encode_segment(&source.name);
        let own = source.budget.as_ref().map(|b| Self::new(ctx, format!("l-{id}"), "Requests", b));
        let points = source.batching.as_ref().and_then(|batching| {
            let limit = Self::new(ctx, format!("p-{id}"), "Points", batching.budget.as_ref()?);
            let (per, cost) = (batching.per_request, batching.cost.max(1));
            let points =
                if cost == 1 { "1 point".to_owned() } else { format!("{} points", format::number(cost)) };
            let note = format!("{} projects are asked about at once, for {points}.", format::number(per));
            Some(Self { note: Some(note), ..limit })
        });
        own.into_iter().chain(points).collect()
    }

    fn new(ctx: &Ctx<'_>, dom_id: String, title: &'static str, b: &v1::Budget) -> Self {
        let left = b.remaining.min(b.limit);
        let used = b.limit - left;
        Self {
            dom_id,
            title,
            used,
            of: b.limit,
            text: format!(
                "{} used, {} of {} left",
                format::number(used),
                format::number(left),
                format::number(b.limit)
            ),
            reset: b
                .reset_at
                .as_ref()
                .and_then(timestamp_back)
                .filter(|at| *at > ctx.now && used > 0)
                .map(|at| When::until(at, ctx.now)),
            low: left.saturating_mul(100) < b.limit.saturating_mul(LOW),
            note: None,
        }
    }
}

impl Endpoint {
    /// The busiest of the last hour first, and how many more there are that had nothing to do or are left out.
    fn busiest(all: &[v1::EndpointTraffic]) -> (Vec<Self>, usize) {
        let mut busy: Vec<_> = all.iter().filter(|e| e.requests_last_hour > 0).collect();
        busy.sort_by(|a, b| {
            b.requests_last_hour.cmp(&a.requests_last_hour).then_with(|| a.endpoint.cmp(&b.endpoint))
        });
        let most = busy.first().map_or(1, |e| e.requests_last_hour);
        let shown: Vec<_> = busy.iter().take(ENDPOINTS).map(|e| Self::new(e, most)).collect();
        let more = all.len() - shown.len();
        (shown, more)
    }

    #[expect(clippy::cast_precision_loss, reason = "requests of an hour")]
    fn new(e: &v1::EndpointTraffic, most: u64) -> Self {
        let share = e.not_modified_last_hour as f64 / e.requests_last_hour.max(1) as f64;
        let waited = e.waited.as_ref().and_then(duration_back).filter(|_| e.requests > 0);
        Self {
            name: e.endpoint.clone(),
            n: format::number(e.requests_last_hour),
            width: (e.requests_last_hour.saturating_mul(100) / most.max(1)).max(1),
            same: format::percent(share),
            failed: e.failed,
            wait: waited.map_or_else(
                || "–".to_owned(),
                |d| {
                    format!(
                        "{} ms",
                        format::number((d.as_secs_f64() * 1000.0 / e.requests as f64).round() as u64)
                    )
                },
            ),
        }
    }
}

impl Hooks {
    fn new(ctx: &Ctx<'_>, webhooks: &str, source: &v1::Source) -> Self {
        let address = || format!("{webhooks}{}", encode_segment(&source.name));
        let Some(w) = &source.webhooks else {
            return if source.sends_webhooks { Self::Unset { address: address() } } else { Self::Never };
        };
        let instant = |at: &Option<_>| at.as_ref().and_then(timestamp_back).map(|at| When::ago(at, ctx.now));
        let n = w.forged + w.malformed + w.too_large + w.not_kept;
        let at = |at: &Option<_>| at.as_ref().and_then(timestamp_back);
        let (refused_at, not_kept_at) = (at(&w.last_refused_at), at(&w.last_not_kept_at));
        let newest = if not_kept_at > refused_at { &w.last_not_kept } else { &w.last_refusal };
        let refused = (n > 0).then(|| Refused {
            at: refused_at.max(not_kept_at).map(|at| When::ago(at, ctx.now)),
            why: newest.as_deref().map(sentence).unwrap_or_default(),
            n: format::number(n),
        });
        if w.last_at.is_none() && w.accepted + w.duplicate + w.ignored == 0 {
            return Self::Waiting { address: address(), refused };
        }
        let counts = [
            (w.accepted, "applied"),
            (w.duplicate, "sent twice"),
            (w.ignored, "of no concern"),
            (w.forged, "not signed"),
            (w.malformed, "not readable"),
            (w.too_large, "too large"),
            (w.not_kept, "not written down"),
        ];
        Self::Coming {
            last: instant(&w.last_at),
            kind: w.last_kind.clone().filter(|kind| !kind.is_empty()),
            counts: counts
                .into_iter()
                .filter(|c| c.0 > 0)
                .map(|(n, what)| (format::number(n), what))
                .collect(),
            alive: source.schedule.as_ref().is_some_and(|s| s.webhooks_alive),
            refused,
        }
    }
}
