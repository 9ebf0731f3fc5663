//! The routes of the API, each with its handler and its description: the router and the OpenAPI document are made from
//! this one list.

use axum::routing::{MethodRouter, get};

use super::handlers as h;
use super::session::session;
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
    /// Server-sent events.
    Events,
    /// The description itself.
    Description,
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
        route(
            "/events/stream",
            get(crate::events::stream),
            Answer::Events,
            "Versions of the board as they come.",
        ),
        route("/openapi.json", get(h::openapi), Answer::Description, "This description."),
    ]
}
