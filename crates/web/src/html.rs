//! The pages: what each asks the aggregator for. How they look is [`crate::pages`]' business.

use api::v1;
use axum::extract::State;
use axum::response::Response;
use domain::{ProjectKey, encode_segment};
use http::HeaderMap;
use prost::Message as _;

use crate::aggregator::{AskError, Patience, Version};
use crate::app::App;
use crate::asks;
use crate::failure::Failure;
use crate::kept::{AskFailure, Key, Kind, Material, Reuse};
use crate::pages::{self, ListQuery};
use crate::params::{self, Raw, Segments};
use crate::respond::respond;

/// Branches on a project's page: the rest is in the API.
const BRANCHES_SHOWN: u32 = 100;

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
        wire_bytes: answer.encoded_len(),
        draw: Box::new(move |moment| {
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
    let served = app.kept.answer(key, |patience| ask_project(app.clone(), project, query, patience)).await?;
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
    let (project, branches, pipelines) = tokio::join!(
        app.aggregator.get_project(patience, v1::GetProjectRequest { key: Some((&key).into()) }),
        app.aggregator.list_branches(patience, heads),
        app.aggregator.list_pipelines(patience, runs),
    );
    let project = project?;
    if let Some(canonical) = asks::moved(&key, project.key.as_ref()) {
        return Err(Failure::redirect(format!("/projects/{}{}", canonical.to_path(), query.to_url())).into());
    }
    let (branches, pipelines) = (branches?, pipelines?);
    // The oldest of the three: a change that came in between makes the page old.
    let versions = [project.version, branches.version, pipelines.version];
    let version = versions.into_iter().flatten().map(Version::from).min();
    Ok(Material {
        version,
        reuse: if branches.loading || pipelines.loading { Reuse::Never } else { Reuse::Briefly },
        wire_bytes: project.encoded_len() + branches.encoded_len() + pipelines.encoded_len(),
        draw: Box::new(move |moment| {
            let ctx = app.ctx(moment, project.source.as_slice(), version.map(|v| v.to_string()));
            pages::project(&ctx, &query, &project, &branches, &pipelines)
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
        wire_bytes: answer.encoded_len() + log.as_ref().map_or(0, prost::Message::encoded_len),
        draw: Box::new(move |moment| {
            let ctx = app.ctx(moment, answer.source.as_slice(), version.map(|v| v.to_string()));
            pages::pipeline(&ctx, &answer, job.as_deref(), log.as_ref())
        }),
    })
}
