//! From the aggregator's answers to HTML: pure functions, no I/O, no clock.
//!
//! Every page works without JavaScript: filters, sorting and paging are links and one GET form. `static/app.js` only
//! makes them live, by fetching the very same page again and altering what differs.

use std::time::Duration;

use api::v1;
use jiff::Timestamp;

mod asked;
mod banner;
mod door;
mod error;
pub mod format;
mod headline;
mod insights;
mod item;
mod lists;
mod log;
mod overview;
mod parts;
mod pipeline;
mod project;
mod query;
mod row;
mod shell;
mod sources;
mod stores;

pub use insights::{BehindQuery, Missing, OfInsights, Span, StatsQuery};
pub use query::{DEFAULT_PER_PAGE, ListQuery};

/// How fresh the page is: the pill at its top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// Every source answers.
    Live,
    /// Some sources do not answer.
    Partly {
        /// How many do.
        live: usize,
        /// Of how many.
        of: usize,
    },
    /// The aggregator is away: the page is what was known then.
    AsOf(Timestamp),
    /// Nothing is configured.
    NoSource,
    /// The first reading goes on.
    Loading,
}

impl Live {
    /// What the sources say. An aggregator that is away is [`Live::AsOf`], which only the caller can know.
    #[must_use]
    pub fn from_sources(sources: &[v1::Source]) -> Self {
        use v1::SourceState::{Down, Failing, Loading};
        let of = sources.len();
        let with = |f: fn(v1::SourceState) -> bool| sources.iter().filter(|s| f(s.state())).count();
        match (of, with(|s| matches!(s, Down | Failing)), with(|s| matches!(s, Loading))) {
            (0, ..) => Self::NoSource,
            (_, 0, 0) => Self::Live,
            (_, 0, _) => Self::Loading,
            (_, away, _) => Self::Partly { live: of - away, of },
        }
    }
}

/// Which pages there are beside the overview: those that a source has something for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nav {
    /// What merge requests are called, plural, lower case: the sources' own word where they have one in common. `None`
    /// where no source has any.
    pub merge_requests: Option<String>,
    /// Whether a source has issues.
    pub issues: bool,
}

impl Nav {
    /// What the sources have.
    #[must_use]
    pub fn from_sources(sources: &[v1::Source]) -> Self {
        let mut words = sources
            .iter()
            .filter(|s| s.has_merge_requests)
            .map(|s| s.words.as_ref().map_or("", |w| w.merge_request.as_str()));
        let merge_requests = words.next().map(|first| {
            let common = !first.is_empty() && words.all(|w| w == first);
            format!("{}s", if common { first } else { "merge request" })
        });
        Self { merge_requests, issues: sources.iter().any(|s| s.has_issues) }
    }
}

/// What every page needs to know beside its data.
#[derive(Debug, Clone)]
pub struct Ctx<'a> {
    /// The moment that "4 min ago" counts from.
    pub now: Timestamp,
    /// `server.base_path`, without a slash at its end: empty for `/`.
    pub base_path: &'a str,
    /// `ui.title`.
    pub title: &'a str,
    /// `ui.show_people`.
    pub show_people: bool,
    /// How often the browser asks where live events cannot get through (`ui.refresh_interval`).
    pub refresh: Duration,
    /// How fresh the page is.
    pub live: Live,
    /// Which pages there are.
    pub nav: Nav,
    /// The board's version, `epoch.sequence`; what the browser compares with events.
    pub version: Option<String>,
    /// Who may look. The same for everybody who sees the page: it is drawn once for all of them.
    pub door: Door,
}

/// Who may look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Door {
    /// Other machines can reach it, nobody has to sign in, and nobody has said that this is meant.
    pub wide_open: bool,
    /// People sign in on a page of ours, and so can sign out.
    pub sign_out: bool,
}

/// A page that says what went wrong.
#[derive(Debug, Clone)]
pub struct ErrorPage<'a> {
    /// The HTTP status.
    pub status: u16,
    /// What happened, in a few words.
    pub title: &'a str,
    /// The same in a sentence.
    pub text: &'a str,
    /// What to do about it, where there is something.
    pub hint: Option<&'a str>,
    /// By which the logs know the request.
    pub request_id: Option<&'a str>,
}

/// The page to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn<'a> {
    /// The form.
    Form {
        /// What was typed before.
        user: &'a str,
        /// Where to go then, below the base path.
        next: &'a str,
        /// Why it is shown again.
        problem: Option<&'a str>,
    },
    /// No form: what is typed here could be read on its way.
    Insecure,
}

/// The page to sign in, `/sign-in`. `base` is `server.base_path` as in [`Ctx`], `site` is `ui.title`.
///
/// # Errors
/// When the template cannot be written.
pub fn sign_in(base: &str, site: &str, shown: &SignIn<'_>) -> Result<String, askama::Error> {
    door::sign_in(base, site, shown)
}

/// As [`error`], for somebody who has not signed in: it names nothing that is configured.
///
/// # Errors
/// When the template cannot be written.
pub fn refusal(base: &str, site: &str, page: &ErrorPage<'_>) -> Result<String, askama::Error> {
    door::refusal(base, site, page)
}

/// The overview, `/`.
///
/// # Errors
/// When the template cannot be written.
pub fn overview(
    ctx: &Ctx<'_>,
    query: &ListQuery,
    answer: &v1::ListProjectsResponse,
) -> Result<String, askama::Error> {
    overview::render(ctx, query, answer)
}

/// Open merge requests over all projects, `/merge-requests`.
///
/// # Errors
/// When the template cannot be written.
pub fn merge_requests(
    ctx: &Ctx<'_>,
    query: &ListQuery,
    answer: &v1::ListMergeRequestsResponse,
) -> Result<String, askama::Error> {
    lists::merge_requests(ctx, query, answer)
}

/// Open issues over all projects, `/issues`.
///
/// # Errors
/// When the template cannot be written.
pub fn issues(
    ctx: &Ctx<'_>,
    query: &ListQuery,
    answer: &v1::ListIssuesResponse,
) -> Result<String, askama::Error> {
    lists::issues(ctx, query, answer)
}

/// The configured sources: how they are, what is left of their limits, what is due. `/sources`. `webhooks` is where they are
/// sent, without the source's name at its end.
///
/// # Errors
/// When the template cannot be written.
pub fn sources(
    ctx: &Ctx<'_>,
    webhooks: &str,
    answer: &v1::ListSourcesResponse,
) -> Result<String, askama::Error> {
    sources::render(ctx, webhooks, answer)
}

/// What history teaches, `/insights`.
///
/// # Errors
/// When the template cannot be written.
pub fn insights(ctx: &Ctx<'_>, query: &StatsQuery, shown: &OfInsights) -> Result<String, askama::Error> {
    insights::render(ctx, query, shown)
}

/// The runs behind a figure, `/insights/runs`.
///
/// # Errors
/// When the template cannot be written.
pub fn runs_behind(
    ctx: &Ctx<'_>,
    query: &BehindQuery,
    answer: &v1::ListRunsBehindResponse,
) -> Result<String, askama::Error> {
    insights::render_runs(ctx, query, answer)
}

/// What the page of a project shows.
#[derive(Debug, Clone, Default)]
pub struct OfProject {
    /// The project with its state.
    pub project: v1::GetProjectResponse,
    /// Its branches.
    pub branches: v1::ListBranchesResponse,
    /// Its runs.
    pub pipelines: v1::ListPipelinesResponse,
    /// Its last touched merge requests, where its platform has any.
    pub merge_requests: Option<v1::ListMergeRequestsResponse>,
    /// When it is asked, and why then.
    pub schedule: Option<v1::Schedule>,
    /// What its history teaches, where there is one.
    pub stats: Option<OfProjectStats>,
}

/// What the history of a project teaches.
#[derive(Debug, Clone, Default)]
pub struct OfProjectStats {
    /// Counts, rates, durations.
    pub stats: v1::GetStatsResponse,
    /// By hour of the week.
    pub heat: v1::GetHeatResponse,
    /// What is flaky.
    pub flaky: v1::ListFlakyResponse,
    /// How soon it is green again.
    pub delivery: v1::GetDeliveryResponse,
}

/// One project, `/projects/{source}/{id}`. `query` filters and pages the runs.
///
/// # Errors
/// When the template cannot be written.
pub fn project(ctx: &Ctx<'_>, query: &ListQuery, shown: &OfProject) -> Result<String, askama::Error> {
    project::render(ctx, query, shown)
}

/// One run, `/projects/{source}/{id}/pipelines/{pipeline}`, with the log of one job where asked for (`?job=`).
///
/// Without `?job=` the caller may pick [`job_to_show`] and pass its log, so that a red run shows why at once.
///
/// # Errors
/// When the template cannot be written.
pub fn pipeline(
    ctx: &Ctx<'_>,
    answer: &v1::GetPipelineResponse,
    selected_job: Option<&str>,
    log: Option<&v1::GetJobLogResponse>,
) -> Result<String, askama::Error> {
    pipeline::render(ctx, answer, selected_job, log)
}

/// The job whose log a reader wants to see first: the first that failed and was not allowed to.
#[must_use]
pub fn job_to_show(answer: &v1::GetPipelineResponse) -> Option<&str> {
    answer
        .jobs
        .iter()
        .find(|job| job.status() == v1::Status::Failed && !job.allow_failure)
        .map(|job| job.id.as_str())
}

/// A page that says what went wrong.
///
/// # Errors
/// When the template cannot be written.
pub fn error(ctx: &Ctx<'_>, page: &ErrorPage<'_>) -> Result<String, askama::Error> {
    error::render(ctx, page)
}
