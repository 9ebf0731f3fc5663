//! The pages: what each asks the aggregator for. How they look is [`crate::pages`]' business.

use api::v1;
use axum::extract::State;
use axum::response::Response;
use domain::{ProjectKey, encode_segment};
use http::HeaderMap;
use prost::Message as _;

use crate::aggregator::{AskError, Feeds, Patience, Version};
use crate::app::App;
use crate::asks;
use crate::failure::Failure;
use crate::insights;
use crate::kept::{AskFailure, Key, Kind, Material, Reuse};
use crate::pages::{self, ListQuery, OfProject};
use crate::params::{self, Raw, Segments};
use crate::respond::respond;

/// Branches on a project's page: the rest is in the API.
const BRANCHES_SHOWN: u32 = 100;
/// Merge requests on a project's page: the rest is on their own page.
const MERGE_REQUESTS_SHOWN: u32 = 5;

/// The bare overview, which can always be answered once it was.
pub(crate) fn overview_key() -> Key {
    key("/", &ListQuery::default())
}

fn key(path: &str, query: &ListQuery) -> Key {
    Key { address: format!("{path}{}", query.to_url()), kind: Kind::Html }
}

pub(crate) async fn overview(
    State(app): State<App>,
    headers: HeaderMap,
    raw: Raw,
) -> Result<Response, Failure> {
    let query = ListQuery { branch: None, ..raw.list(&params::PROJECTS)? };
    let served =
        app.kept.answer(key("/", &query), |patience| ask_overview(app.clone(), query, patience)).await?;
    Ok(respond(&headers, Kind::Html, &served))
}

/// Asks for the bare overview so that it is there when the aggregator is not.
pub(crate) async fn warm_overview(app: &App) {
    let ask = |patience| ask_overview(app.clone(), ListQuery::default(), patience);
    if let Err(failure) = app.kept.answer(overview_key(), ask).await {
        tracing::debug!(detail = failure.detail, "no overview yet");
    }
}

async fn ask_overview(app: App, query: ListQuery, patience: Patience) -> Result<Material, AskFailure> {
    // A source may show several branches of a project: each is a row of its own here, and one project in the JSON.
    let request = v1::ListProjectsRequest { fold: !query.folded, per_branch: true, ..asks::projects(&query) };
    let answer = app.aggregator.list_projects(patience, request).await?;
    app.saw_sources(&answer.sources);
    let version = answer.version.map(Version::from);
    Ok(Material {
        version,
        reuse: Reuse::WhileVersionStands,
        feeds: Feeds::Board,
        wire_bytes: answer.encoded_len(),
        draw: Box::new(move |app, moment| {
            let ctx = app.ctx(moment, &answer.sources, version.map(|v| v.to_string()));
            pages::overview(&ctx, &query, &answer)
        }),
    })
}

pub(crate) async fn project(
    State(app): State<App>,
    headers: HeaderMap,
    Segments((source, id)): Segments<(String, String)>,
    raw: Raw,
) -> Result<Response, Failure> {
    let project = params::key(&source, &id)?;
    let query = ListQuery { folded: false, ..raw.list(&params::PIPELINES)? };
    let key = key(&format!("/projects/{}", project.to_path()), &query);
    let served =
        app.kept.answer(key, |patience| Box::pin(ask_project(app.clone(), project, query, patience))).await?;
    Ok(respond(&headers, Kind::Html, &served))
}

async fn ask_project(
    app: App,
    key: ProjectKey,
    query: ListQuery,
    patience: Patience,
) -> Result<Material, AskFailure> {
    let runs = asks::pipelines(Some(&key), &query);
    let heads = v1::ListBranchesRequest {
        project: Some((&key).into()),
        per_page: BRANCHES_SHOWN,
        ..Default::default()
    };
    let open = v1::ListMergeRequestsRequest {
        project: Some((&key).into()),
        per_page: MERGE_REQUESTS_SHOWN,
        ..Default::default()
    };
    let (project, branches, pipelines, merge_requests, explained, stats) = tokio::join!(
        app.aggregator.get_project(patience, v1::GetProjectRequest { key: Some((&key).into()) }),
        app.aggregator.list_branches(patience, heads),
        app.aggregator.list_pipelines(patience, runs),
        app.aggregator.list_merge_requests(patience, open),
        app.aggregator.explain_project(patience, v1::ExplainProjectRequest { key: Some((&key).into()) }),
        insights::of_project(&app, patience, &key),
    );
    let project = project?;
    if let Some(canonical) = asks::moved(&key, project.key.as_ref()) {
        return Err(Failure::redirect(format!("/projects/{}{}", canonical.to_path(), query.to_url())).into());
    }
    // The page stands without them.
    let merge_requests =
        merge_requests.ok().filter(|_| project.source.as_ref().is_some_and(|s| s.has_merge_requests));
    let schedule = explained.ok().and_then(|explained| explained.schedule);
    let shown =
        OfProject { project, branches: branches?, pipelines: pipelines?, merge_requests, schedule, stats };
    // The oldest of them: a change that came in between makes the page old.
    let of_requests = shown.merge_requests.as_ref().and_then(|m| m.version);
    let versions = [shown.project.version, shown.branches.version, shown.pipelines.version, of_requests];
    let version = versions.into_iter().flatten().map(Version::from).min();
    let reading = shown.merge_requests.as_ref().is_some_and(|m| m.loading);
    let loading = shown.branches.loading || shown.pipelines.loading || reading;
    let of_requests = shown.merge_requests.as_ref().map_or(0, prost::Message::encoded_len);
    let wire_bytes = shown.project.encoded_len()
        + shown.branches.encoded_len()
        + shown.pipelines.encoded_len()
        + of_requests;
    Ok(Material {
        version,
        reuse: if loading { Reuse::Never } else { Reuse::Briefly },
        feeds: Feeds::Both,
        wire_bytes,
        draw: Box::new(move |app, moment| {
            let ctx = app.ctx(moment, shown.project.source.as_slice(), version.map(|v| v.to_string()));
            pages::project(&ctx, &query, &shown)
        }),
    })
}

pub(crate) async fn merge_requests(
    State(app): State<App>,
    headers: HeaderMap,
    raw: Raw,
) -> Result<Response, Failure> {
    let query = ListQuery { branch: None, folded: false, ..raw.list(&params::MERGE_REQUESTS)? };
    let key = key("/merge-requests", &query);
    let served = app.kept.answer(key, |patience| ask_merge_requests(app.clone(), query, patience)).await?;
    Ok(respond(&headers, Kind::Html, &served))
}

async fn ask_merge_requests(app: App, query: ListQuery, patience: Patience) -> Result<Material, AskFailure> {
    let answer = app.aggregator.list_merge_requests(patience, asks::merge_requests(None, &query)).await?;
    app.saw_sources(&answer.sources);
    let version = answer.version.map(Version::from);
    Ok(Material {
        version,
        reuse: if answer.loading { Reuse::Never } else { Reuse::WhileVersionStands },
        feeds: Feeds::Both,
        wire_bytes: answer.encoded_len(),
        draw: Box::new(move |app, moment| {
            let ctx = app.ctx(moment, &answer.sources, version.map(|v| v.to_string()));
            pages::merge_requests(&ctx, &query, &answer)
        }),
    })
}

pub(crate) async fn issues(
    State(app): State<App>,
    headers: HeaderMap,
    raw: Raw,
) -> Result<Response, Failure> {
    let query = ListQuery { branch: None, folded: false, ..raw.list(&params::ISSUES)? };
    let key = key("/issues", &query);
    let served = app.kept.answer(key, |patience| ask_issues(app.clone(), query, patience)).await?;
    Ok(respond(&headers, Kind::Html, &served))
}

async fn ask_issues(app: App, query: ListQuery, patience: Patience) -> Result<Material, AskFailure> {
    let answer = app.aggregator.list_issues(patience, asks::issues(None, &query)).await?;
    app.saw_sources(&answer.sources);
    let version = answer.version.map(Version::from);
    Ok(Material {
        version,
        reuse: if answer.loading { Reuse::Never } else { Reuse::WhileVersionStands },
        feeds: Feeds::Work,
        wire_bytes: answer.encoded_len(),
        draw: Box::new(move |app, moment| {
            let ctx = app.ctx(moment, &answer.sources, version.map(|v| v.to_string()));
            pages::issues(&ctx, &query, &answer)
        }),
    })
}

pub(crate) async fn sources(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    let key = key("/sources", &ListQuery::default());
    let served = app.kept.answer(key, |patience| ask_sources(app.clone(), patience)).await?;
    Ok(respond(&headers, Kind::Html, &served))
}

async fn ask_sources(app: App, patience: Patience) -> Result<Material, AskFailure> {
    let answer = app.aggregator.list_sources(patience, v1::ListSourcesRequest {}).await?;
    app.saw_sources(&answer.sources);
    let version = answer.version.map(Version::from);
    Ok(Material {
        version,
        // Figures move without a version.
        reuse: Reuse::Briefly,
        feeds: Feeds::Both,
        wire_bytes: answer.encoded_len(),
        draw: Box::new(move |app, moment| {
            let ctx = app.ctx(moment, &answer.sources, version.map(|v| v.to_string()));
            let public =
                app.settings.server.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/'));
            let webhooks = format!("{}/webhooks/", public.unwrap_or_else(|| app.base()));
            pages::sources(&ctx, &webhooks, &answer)
        }),
    })
}

pub(crate) async fn pipeline(
    State(app): State<App>,
    headers: HeaderMap,
    Segments((source, id, pipeline)): Segments<(String, String, String)>,
    raw: Raw,
) -> Result<Response, Failure> {
    let project = params::key(&source, &id)?;
    let job = raw.one("job").map(str::to_owned);
    let rest = format!(
        "/pipelines/{}{}",
        encode_segment(&pipeline),
        job.as_deref().map(|job| format!("?job={}", encode_segment(job))).unwrap_or_default()
    );
    let key = Key { address: format!("/projects/{}{rest}", project.to_path()), kind: Kind::Html };
    let ask = |patience| ask_pipeline(app.clone(), project, pipeline, job, rest, patience);
    let served = app.kept.answer(key, ask).await?;
    Ok(respond(&headers, Kind::Html, &served))
}

async fn ask_pipeline(
    app: App,
    key: ProjectKey,
    pipeline: String,
    job: Option<String>,
    rest: String,
    patience: Patience,
) -> Result<Material, AskFailure> {
    let answer = asks::pipeline(&app, patience, &key, &pipeline, &format!("/projects/{{}}{rest}")).await?;
    let job = match job {
        Some(job) => Some(job).filter(|job| answer.loading || answer.jobs.iter().any(|j| j.id == *job)),
        None => pages::job_to_show(&answer).map(str::to_owned),
    };
    let log = match &job {
        None => None,
        Some(job) => {
            let request = v1::GetJobLogRequest { project: Some((&key).into()), pipeline, job: job.clone() };
            match app.aggregator.get_job_log(patience, request).await {
                Ok(log) => Some(log),
                // The page stands without its log.
                Err(AskError::Away(why)) => return Err(AskError::Away(why).into()),
                Err(_) => None,
            }
        }
    };
    let version = answer.version.map(Version::from);
    let loading = answer.loading || log.as_ref().is_some_and(|log| log.loading);
    Ok(Material {
        version,
        reuse: if loading { Reuse::Never } else { Reuse::Briefly },
        feeds: Feeds::Board,
        wire_bytes: answer.encoded_len() + log.as_ref().map_or(0, prost::Message::encoded_len),
        draw: Box::new(move |app, moment| {
            let ctx = app.ctx(moment, answer.source.as_slice(), version.map(|v| v.to_string()));
            pages::pipeline(&ctx, &answer, job.as_deref(), log.as_ref())
        }),
    })
}
