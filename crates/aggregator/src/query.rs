//! Questions to the board: filter, sort, page, sum up. Pure, from one state of the board.

mod cause;
mod issues;
mod merge_requests;
mod rows;
mod runs;
mod schedule;
mod wire;
mod work;

pub use issues::{IssueQuery, list_issues};
pub use merge_requests::{MergeRequestQuery, list_merge_requests};
pub use rows::{ProjectQuery, list_projects, row_of};
pub use runs::{BranchQuery, PipelineQuery, list_branches, list_pipelines};
pub use schedule::{schedule, with_figures};
pub use wire::{cache, expect, history, me, pipeline_with_estimate, source};
pub use work::Asked;

use domain::{Activity, Outcome, Status};

/// The largest page.
pub const MAX_PER_PAGE: u32 = 100;
/// The page when none is asked for.
pub const DEFAULT_PER_PAGE: u32 = 50;

/// A question that makes no sense, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadQuery(pub String);

/// Which page, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    /// From 1.
    pub page: u32,
    /// 1 to [`MAX_PER_PAGE`].
    pub per_page: u32,
}

impl Paging {
    /// 0 takes the defaults.
    ///
    /// # Errors
    /// When the page is larger than [`MAX_PER_PAGE`].
    pub fn new(page: u32, per_page: u32) -> Result<Self, BadQuery> {
        if per_page > MAX_PER_PAGE {
            return Err(BadQuery(format!("per_page is 1 to {MAX_PER_PAGE}, not {per_page}")));
        }
        Ok(Self { page: page.max(1), per_page: if per_page == 0 { DEFAULT_PER_PAGE } else { per_page } })
    }

    fn cut<T>(self, items: Vec<T>) -> (u32, Vec<T>) {
        let total = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let skip = (self.page as usize - 1).saturating_mul(self.per_page as usize);
        (total, items.into_iter().skip(skip).take(self.per_page as usize).collect())
    }
}

/// One word of a `status` filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Outcome(Outcome),
    Activity(Activity),
    Active,
    Waiting,
    NoData,
}

impl Wanted {
    const WORDS: &str = "success, warning, failed (or broken), canceled, skipped, unknown, queued, running, active, \
                         manual (or waiting), nodata (or none)";

    fn parse(word: &str) -> Result<Self, BadQuery> {
        match word {
            "broken" => Ok(Self::Outcome(Outcome::Failed)),
            "waiting" | "manual" => Ok(Self::Waiting),
            "nodata" | "none" => Ok(Self::NoData),
            "active" => Ok(Self::Active),
            _ => Activity::from_word(word)
                .map(Self::Activity)
                .or_else(|| Outcome::from_word(word).map(Self::Outcome))
                .ok_or_else(|| BadQuery(format!("{word:?} is no status: one of {}", Self::WORDS))),
        }
    }

    fn parse_all(words: &[String]) -> Result<Vec<Self>, BadQuery> {
        words.iter().map(|w| Self::parse(w)).collect()
    }
}

pub(crate) fn run_statuses(words: &[String]) -> Result<Vec<Status>, BadQuery> {
    words
        .iter()
        .map(|w| {
            let all = Status::ALL.map(Status::as_str).join(", ");
            Status::from_word(w).ok_or_else(|| BadQuery(format!("{w:?} is no status: one of {all}")))
        })
        .collect()
}

/// Free text: every word has to be somewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Terms(Vec<String>);

/// How many words of a search are looked at.
const MAX_TERMS: usize = 16;

impl Terms {
    fn new(q: &str) -> Self {
        Self(q.split_whitespace().take(MAX_TERMS).map(str::to_lowercase).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn match_any<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let texts: Vec<_> = texts.into_iter().map(str::to_lowercase).collect();
        self.0.iter().all(|term| texts.iter().any(|t| t.contains(term)))
    }
}

/// `name` sorts up, `-name` down.
fn direction(sort: &str) -> (&str, bool) {
    sort.strip_prefix('-').map_or((sort, false), |s| (s, true))
}
