//! What `/sources` says of what is kept outside of memory: history, and the cache in Redis.

use api::{timestamp_back, v1};

use super::Ctx;
use super::format;
use super::parts::{Icon, When, sentence};

/// One of the two.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) dom_id: &'static str,
    pub(super) title: &'static str,
    pub(super) shape: Icon,
    /// How it is, in a few words.
    pub(super) word: &'static str,
    /// It is not well: drawn as the broken are.
    pub(super) failing: bool,
    /// What keeps it.
    pub(super) engine: Option<String>,
    pub(super) error: Option<String>,
    pub(super) since: Option<When>,
    /// What is still to be done.
    pub(super) behind: Vec<String>,
}

impl Store {
    /// Those that there are meant to be.
    pub(super) fn all(ctx: &Ctx<'_>, answer: &v1::ListSourcesResponse) -> Vec<Self> {
        let history = answer.history.as_ref().map(|h| {
            let waiting =
                counted(h.waiting, "project’s news waits to be written", "projects’ news wait to be written");
            let behind = counted(
                h.behind,
                "project’s earlier runs are still to be fetched",
                "projects’ earlier runs are still to be fetched",
            );
            let behind = [waiting, behind].into_iter().flatten().collect();
            let at = h.failing_since.as_ref();
            Self::new(ctx, ("history", "History"), &h.state, h.engine.as_ref(), h.error.as_ref(), at, behind)
        });
        let cache = answer.cache.as_ref().map(|c| {
            let behind = counted(c.waiting, "entry waits to be written", "entries wait to be written");
            let behind = behind.into_iter().collect();
            let at = c.failing_since.as_ref();
            Self::new(ctx, ("cache", "Cache"), &c.state, c.engine.as_ref(), c.error.as_ref(), at, behind)
        });
        history.into_iter().chain(cache).flatten().collect()
    }

    fn new(
        ctx: &Ctx<'_>,
        (dom_id, title): (&'static str, &'static str),
        state: &str,
        engine: Option<&String>,
        error: Option<&String>,
        since: Option<&prost_types::Timestamp>,
        behind: Vec<String>,
    ) -> Option<Self> {
        let (shape, word) = match state {
            "ok" => (Icon::plain("success"), "is written"),
            "failing" => (Icon::plain("failed"), "is not written"),
            "opening" => (Icon::plain("running"), "is being opened"),
            // There is meant to be none, or this version does not know the word.
            _ => return None,
        };
        Some(Self {
            dom_id,
            title,
            shape,
            word,
            failing: state == "failing",
            engine: engine.cloned(),
            error: error.map(|e| sentence(e)).filter(|e| !e.is_empty()),
            since: since.and_then(timestamp_back).map(|at| When::lasting(at, ctx.now)),
            behind,
        })
    }
}

fn counted(n: u32, one: &str, many: &str) -> Option<String> {
    (n > 0).then(|| format!("{} {}", format::number(n), if n == 1 { one } else { many }))
}
