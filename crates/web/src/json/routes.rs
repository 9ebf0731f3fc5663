//! The routes of the API, each with its handler and its description: the router and the OpenAPI document are made from
//! this one list.

use axum::routing::{MethodRouter, get};

use super::handlers as h;
use super::session::session;
use super::stats;
use crate::app::App;
use crate::params::{self, Words};

/// One route.
pub(crate) struct Route {
    /// Below `/api/v1`.
    pub(crate) path: &'static str,
    pub(crate) handler: MethodRouter<App>,
    pub(crate) summary: &'static str,
    pub(crate) answer: Answer,
}

/// What a route answers with.
pub(crate) enum Answer {
    /// A page of a list of this schema, with the parameters of lists.
    List(&'static str, &'static Words),
    /// One of this schema.
    One(&'static str),
    /// What history teaches: of this schema, with the parameters of insights and these.
    Stats(&'static str, &'static [Extra]),
    /// Server-sent events.
    Events,
    /// The description itself.
    Description,
}

/// Parameters that some insights take beside the common ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    /// As a table too.
    Csv,
    /// At most so many.
    Limit,
    /// What is ranked, and how.
    Rank,
    /// Which figure the runs are behind.
    Behind,
}

/// All of them.
pub(crate) fn routes() -> Vec<Route> {
    let route = |path, handler, answer, summary| Route { path, handler, summary, answer };
    let list = Answer::List;
    vec![
        route(
            "/projects",
            get(h::projects),
            list("Project", &params::PROJECTS),
            "Projects with their state.",
        ),
        route("/projects/{source}/{id}", get(h::project), Answer::One("Project"), "One project."),
        route(
            "/projects/{source}/{id}/explain",
            get(h::explain),
            Answer::One("Explanation"),
            "Why a project has its colour, when it was last asked, and when it is due next and why then.",
        ),
        route(
            "/projects/{source}/{id}/pipelines",
            get(h::project_pipelines),
            list("Pipeline", &params::PIPELINES),
            "Runs of a project, newest first.",
        ),
        route(
            "/projects/{source}/{id}/pipelines/{pipeline}",
            get(h::pipeline),
            Answer::One("Pipeline"),
            "One run.",
        ),
        route(
            "/projects/{source}/{id}/pipelines/{pipeline}/jobs",
            get(h::jobs),
            list("Job", &params::JOBS),
            "Jobs of a run.",
        ),
        route(
            "/projects/{source}/{id}/pipelines/{pipeline}/jobs/{job}/log",
            get(h::log),
            Answer::One("Log"),
            "The end of a job's log.",
        ),
        route(
            "/projects/{source}/{id}/branches",
            get(h::project_branches),
            list("Branch", &params::BRANCHES),
            "Branches of a project with their state, the default branch first.",
        ),
        route(
            "/projects/{source}/{id}/branches/{branch}",
            get(h::branch),
            Answer::One("Branch"),
            "One branch by name.",
        ),
        route(
            "/projects/{source}/{id}/merge-requests",
            get(h::project_merge_requests),
            list("MergeRequest", &params::MERGE_REQUESTS),
            "Open merge requests of a project.",
        ),
        route(
            "/projects/{source}/{id}/issues",
            get(h::project_issues),
            list("Issue", &params::ISSUES),
            "Open issues of a project.",
        ),
        route(
            "/merge-requests",
            get(h::merge_requests),
            list("MergeRequest", &params::MERGE_REQUESTS),
            "Open merge requests of all projects that are alive.",
        ),
        route(
            "/issues",
            get(h::issues),
            list("Issue", &params::ISSUES),
            "Open issues of all projects that are alive.",
        ),
        route("/me", get(h::me), list("Me", &params::ME), "Whose the tokens of the sources are."),
        route("/session", get(session), Answer::One("Session"), "Who you are here."),
        route("/pipelines", get(h::pipelines), list("Pipeline", &params::PIPELINES), "Runs of all projects."),
        route("/branches", get(h::branches), list("Branch", &params::BRANCHES), "Branches of all projects."),
        route(
            "/sources",
            get(h::sources),
            list("Source", &params::SOURCES),
            "Configured sources and how they are.",
        ),
        route("/stores", get(h::stores), Answer::One("Stores"), "How history and the cache are."),
        route(
            "/stats/summary",
            get(stats::summary),
            Answer::Stats("StatsSummary", &[Extra::Csv]),
            "Runs, success rate, durations: of a window, and of the one before it.",
        ),
        route(
            "/stats/days",
            get(stats::days),
            Answer::Stats("StatsDays", &[Extra::Csv]),
            "The same for each day of a window.",
        ),
        route(
            "/stats/hours",
            get(stats::hours),
            Answer::Stats("StatsHours", &[Extra::Csv]),
            "Runs and failures by hour of the week.",
        ),
        route(
            "/stats/rankings",
            get(stats::rankings),
            Answer::Stats("StatsRanks", &[Extra::Rank, Extra::Limit, Extra::Csv]),
            "What stands out: slowest, busiest, most often failing; projects, workflows, jobs, or across sources and platforms.",
        ),
        route(
            "/stats/broken",
            get(stats::broken),
            Answer::Stats("StatsBrokens", &[Extra::Csv]),
            "What is red at the end of a window, since when and by whom, longest first.",
        ),
        route(
            "/stats/flaky",
            get(stats::flaky),
            Answer::Stats("StatsFlakies", &[Extra::Limit, Extra::Csv]),
            "What was red and green on one commit, by the time it wastes.",
        ),
        route(
            "/stats/failures",
            get(stats::failures),
            Answer::Stats("StatsFailures", &[Extra::Limit, Extra::Csv]),
            "Why things fail, over all projects.",
        ),
        route(
            "/stats/delivery",
            get(stats::delivery),
            Answer::Stats("StatsDelivery", &[Extra::Csv]),
            "Deployment frequency, change failure rate, time to restore, time to green, lead time.",
        ),
        route(
            "/stats/runs",
            get(stats::runs),
            Answer::Stats("StatsRuns", &[Extra::Behind, Extra::Csv]),
            "The runs behind a figure, newest first.",
        ),
        route(
            "/events/stream",
            get(crate::events::stream),
            Answer::Events,
            "Versions of the board as they come.",
        ),
        route("/openapi.json", get(h::openapi), Answer::Description, "This description."),
    ]
}
