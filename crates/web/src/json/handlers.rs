//! From requests to questions, from answers to JSON.

use std::cmp::Ordering;

use api::v1;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{ProjectKey, encode_segment};
use http::{HeaderMap, header};
use prost::Message as _;
use serde::Serialize;

use super::explain::Explanation;
use super::items::{self, Branch, Issue, Job, List, Log, Me, MergeRequest, Pipeline, Project};
use super::sources::{Source, Stores, source_state};
use crate::aggregator::{AskError, Feeds, Patience, Version};
use crate::app::App;
use crate::asks;
use crate::failure::Failure;
use crate::kept::{AskFailure, Key, Kind, Material, Reuse};
use crate::pages::ListQuery;
use crate::params::{self, Raw, Segments};
use crate::respond::respond;

type Answer = Result<Response, Failure>;
type ProjectPath = Segments<(String, String)>;
type PipelinePath = Segments<(String, String, String)>;

/// An answer that is rendered once: JSON tells times, not how long ago they were.
fn material(
    version: Option<v1::Version>,
    reuse: Reuse,
    wire_bytes: usize,
    body: &impl Serialize,
) -> Result<Material, AskFailure> {
    let text = serde_json::to_string(body).map_err(|error| {
        tracing::error!(%error, "an answer could not be written");
        Failure::internal("The answer could not be written.")
    })?;
    let draw = Box::new(move |_: &_, _: &_| Ok(text.clone()));
    // The text is kept beside its rendering.
    Ok(Material { version: version.map(Version::from), reuse, feeds: Feeds::Board, wire_bytes, draw })
}

/// Answers from what is kept, else by `ask`.
macro_rules! answer {
    // answer!(app, headers, address, |patience| ask(...)) => the handler's last expression.
    ($app:expr, $headers:expr, $address:expr, $ask:expr) => {{
        let key = Key { address: $address, kind: Kind::Json };
        let served = $app.kept.answer(key, $ask).await?;
        Ok(respond(&$headers, Kind::Json, &served))
    }};
}

fn project_address(key: &ProjectKey, rest: &str) -> String {
    format!("/api/v1/projects/{}{rest}", key.to_path())
}

/// The same with `{}` for the key, for a redirect to the canonical one.
fn elsewhere(rest: &str) -> String {
    format!("/api/v1/projects/{{}}{rest}")
}

pub(super) async fn projects(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let query = ListQuery { branch: None, folded: false, ..raw.list(&params::PROJECTS)? };
    answer!(app, headers, format!("/api/v1/projects{}", query.to_url()), async |patience| {
        let a = app.aggregator.list_projects(patience, asks::projects(&query)).await?;
        app.saw_sources(&a.sources);
        let list = List {
            items: a.rows.iter().filter_map(Project::of).collect(),
            total: a.total,
            page: a.page,
            per_page: a.per_page,
            version: items::version(a.version),
            loading: a.sources.iter().any(|s| s.state() == v1::SourceState::Loading),
            problems: Vec::new(),
        };
        material(a.version, Reuse::WhileVersionStands, a.encoded_len(), &list)
    })
}

pub(super) async fn project(
    State(app): State<App>,
    headers: HeaderMap,
    Segments((source, id)): ProjectPath,
) -> Answer {
    let key = params::key(&source, &id)?;
    answer!(app, headers, project_address(&key, ""), async |patience| {
        let request = v1::GetProjectRequest { key: Some((&key).into()) };
        let a = app.aggregator.get_project(patience, request).await?;
        if let Some(canonical) = asks::moved(&key, a.key.as_ref()) {
            return Err(Failure::redirect(project_address(&canonical, "")).into());
        }
        let project = a.row.as_ref().and_then(Project::of);
        let project = project.ok_or_else(|| AskError::Fault("a project without its data".to_owned()))?;
        material(a.version, Reuse::WhileVersionStands, a.encoded_len(), &project)
    })
}

pub(super) async fn explain(
    State(app): State<App>,
    headers: HeaderMap,
    Segments((source, id)): ProjectPath,
) -> Answer {
    let key = params::key(&source, &id)?;
    answer!(app, headers, project_address(&key, "/explain"), async |patience| {
        let request = v1::ExplainProjectRequest { key: Some((&key).into()) };
        let a = app.aggregator.explain_project(patience, request).await?;
        if let Some(canonical) = asks::moved(&key, a.key.as_ref()) {
            return Err(Failure::redirect(project_address(&canonical, "/explain")).into());
        }
        let explanation = Explanation::of(&a);
        let explanation =
            explanation.ok_or_else(|| AskError::Fault("a project without its data".to_owned()))?;
        // When it is asked changes without a version.
        material(a.version, Reuse::Briefly, a.encoded_len(), &explanation)
    })
}

fn pipeline_list(a: &v1::ListPipelinesResponse) -> Result<Material, AskFailure> {
    let list = List {
        items: a.pipelines.iter().map(Pipeline::from).collect(),
        total: a.total,
        page: a.page,
        per_page: a.per_page,
        version: items::version(a.version),
        loading: a.loading,
        problems: Vec::new(),
    };
    material(a.version, if a.loading { Reuse::Never } else { Reuse::Briefly }, a.encoded_len(), &list)
}

pub(super) async fn project_pipelines(
    State(app): State<App>,
    headers: HeaderMap,
    Segments((source, id)): ProjectPath,
    raw: Raw,
) -> Answer {
    let key = params::key(&source, &id)?;
    let query = ListQuery { folded: false, ..raw.list(&params::PIPELINES)? };
    let rest = format!("/pipelines{}", query.to_url());
    answer!(app, headers, project_address(&key, &rest), async |patience| {
        match app.aggregator.list_pipelines(patience, asks::pipelines(Some(&key), &query)).await {
            Ok(a) => pipeline_list(&a),
            Err(error) => Err(asks::perhaps_moved(&app, patience, &key, &elsewhere(&rest), error).await),
        }
    })
}

pub(super) async fn pipelines(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let query = ListQuery { folded: false, ..raw.list(&params::PIPELINES)? };
    answer!(app, headers, format!("/api/v1/pipelines{}", query.to_url()), async |patience| {
        pipeline_list(&app.aggregator.list_pipelines(patience, asks::pipelines(None, &query)).await?)
    })
}

pub(super) async fn pipeline(
    State(app): State<App>,
    headers: HeaderMap,
    Segments((source, id, pipeline)): PipelinePath,
) -> Answer {
    let key = params::key(&source, &id)?;
    let rest = format!("/pipelines/{}", encode_segment(&pipeline));
    answer!(app, headers, project_address(&key, &rest), async |patience| {
        let a = asks::pipeline(&app, patience, &key, &pipeline, &elsewhere(&rest)).await?;
        let run = a.pipeline.as_ref().map(Pipeline::from);
        let run = run.ok_or_else(|| AskError::Fault("a pipeline without its data".to_owned()))?;
        material(a.version, Reuse::Briefly, a.encoded_len(), &run)
    })
}

pub(super) async fn jobs(
    State(app): State<App>,
    headers: HeaderMap,
    Segments((source, id, pipeline)): PipelinePath,
    raw: Raw,
) -> Answer {
    let key = params::key(&source, &id)?;
    let query = ListQuery { folded: false, branch: None, ..raw.list(&params::JOBS)? };
    let rest = format!("/pipelines/{}/jobs{}", encode_segment(&pipeline), query.to_url());
    answer!(app, headers, project_address(&key, &rest), async |patience| {
        let a = asks::pipeline(&app, patience, &key, &pipeline, &elsewhere(&rest)).await?;
        let matches = |job: &&v1::Job| {
            let status = job.status().known().unwrap_or(domain::Status::Unknown).as_str();
            has(&[Some(job.name.as_str()), job.stage.as_deref()], &query.q)
                && one_of(&query.statuses, status)
                && one_of(&query.sources, &source)
                && a.source.as_ref().is_none_or(|s| one_of(&query.platforms, &s.platform))
        };
        let mut jobs: Vec<_> = a.jobs.iter().filter(matches).collect();
        let seconds = |job: &v1::Job| job.duration.map(|d| (d.seconds, d.nanos));
        sort(&mut jobs, &query.sort, |word, a, b| match word {
            "name" => a.name.cmp(&b.name),
            "duration" => seconds(a).cmp(&seconds(b)),
            "status" => a.status.cmp(&b.status),
            _ => Ordering::Equal,
        });
        let list = page_of(&jobs, &query, a.version, a.loading, |job| Job::from(*job));
        let reuse = if a.loading { Reuse::Never } else { Reuse::Briefly };
        material(a.version, reuse, a.encoded_len(), &list)
    })
}

pub(super) async fn log(
    State(app): State<App>,
    headers: HeaderMap,
    Segments((source, id, pipeline, job)): Segments<(String, String, String, String)>,
) -> Answer {
    let key = params::key(&source, &id)?;
    let rest = format!("/pipelines/{}/jobs/{}/log", encode_segment(&pipeline), encode_segment(&job));
    answer!(app, headers, project_address(&key, &rest), async |patience| {
        let request = v1::GetJobLogRequest { project: Some((&key).into()), pipeline, job };
        match app.aggregator.get_job_log(patience, request).await {
            Ok(a) => {
                let reuse = if a.loading { Reuse::Never } else { Reuse::Briefly };
                material(a.version, reuse, a.encoded_len(), &Log::from(&a))
            }
            Err(error) => Err(asks::perhaps_moved(&app, patience, &key, &elsewhere(&rest), error).await),
        }
    })
}

fn branch_list(a: &v1::ListBranchesResponse) -> Result<Material, AskFailure> {
    let list = List {
        items: a.branches.iter().map(Branch::from).collect(),
        total: a.total,
        page: a.page,
        per_page: a.per_page,
        version: items::version(a.version),
        loading: a.loading,
        problems: Vec::new(),
    };
    material(a.version, if a.loading { Reuse::Never } else { Reuse::Briefly }, a.encoded_len(), &list)
}

pub(super) async fn project_branches(
    State(app): State<App>,
    headers: HeaderMap,
    Segments((source, id)): ProjectPath,
    raw: Raw,
) -> Answer {
    let key = params::key(&source, &id)?;
    let query = ListQuery { folded: false, branch: None, ..raw.list(&params::BRANCHES)? };
    let rest = format!("/branches{}", query.to_url());
    answer!(app, headers, project_address(&key, &rest), async |patience| {
        match app.aggregator.list_branches(patience, asks::branches(Some(&key), &query)).await {
            Ok(a) => branch_list(&a),
            Err(error) => Err(asks::perhaps_moved(&app, patience, &key, &elsewhere(&rest), error).await),
        }
    })
}

pub(super) async fn branches(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let query = ListQuery { folded: false, branch: None, ..raw.list(&params::BRANCHES)? };
    answer!(app, headers, format!("/api/v1/branches{}", query.to_url()), async |patience| {
        branch_list(&app.aggregator.list_branches(patience, asks::branches(None, &query)).await?)
    })
}

pub(super) async fn branch(
    State(app): State<App>,
    headers: HeaderMap,
    Segments((source, id, name)): PipelinePath,
) -> Answer {
    let key = params::key(&source, &id)?;
    let rest = format!("/branches/{}", encode_segment(&name));
    answer!(app, headers, project_address(&key, &rest), async |patience| {
        let request = v1::ListBranchesRequest {
            project: Some((&key).into()),
            name: Some(name.clone()),
            ..v1::ListBranchesRequest::default()
        };
        let a = match app.aggregator.list_branches(patience, request).await {
            Ok(a) => a,
            Err(error) => {
                return Err(asks::perhaps_moved(&app, patience, &key, &elsewhere(&rest), error).await);
            }
        };
        if let Some(branch) = a.branches.iter().find(|branch| branch.name == name) {
            return material(a.version, Reuse::Briefly, a.encoded_len(), &Branch::from(branch));
        }
        if !a.loading {
            let name: String = name.chars().take(60).collect();
            return Err(AskError::NotFound(format!("There is no branch {name:?}.")).into());
        }
        let unread = v1::Branch { project: Some((&key).into()), name, ..v1::Branch::default() };
        let mut unread = Branch::from(&unread);
        unread.loading = true;
        material(a.version, Reuse::Never, a.encoded_len(), &unread)
    })
}

fn texts(problems: &[v1::Problem]) -> Vec<String> {
    problems.iter().map(|p| p.text.clone()).collect()
}

/// Lists change without the board, and their items' outcomes with it.
fn list_of(material: Material, feeds: Feeds) -> Material {
    Material { feeds, ..material }
}

const fn while_it_stands(loading: bool) -> Reuse {
    if loading { Reuse::Never } else { Reuse::WhileVersionStands }
}

fn merge_request_list(a: &v1::ListMergeRequestsResponse) -> Result<Material, AskFailure> {
    let list = List {
        items: a.merge_requests.iter().map(MergeRequest::from).collect(),
        total: a.total,
        page: a.page,
        per_page: a.per_page,
        version: items::version(a.version),
        loading: a.loading,
        problems: texts(&a.problems),
    };
    Ok(list_of(material(a.version, while_it_stands(a.loading), a.encoded_len(), &list)?, Feeds::Both))
}

pub(super) async fn project_merge_requests(
    State(app): State<App>,
    headers: HeaderMap,
    Segments((source, id)): ProjectPath,
    raw: Raw,
) -> Answer {
    let key = params::key(&source, &id)?;
    let query = ListQuery { folded: false, branch: None, ..raw.list(&params::MERGE_REQUESTS)? };
    let rest = format!("/merge-requests{}", query.to_url());
    answer!(app, headers, project_address(&key, &rest), async |patience| {
        match app.aggregator.list_merge_requests(patience, asks::merge_requests(Some(&key), &query)).await {
            Ok(a) => merge_request_list(&a),
            Err(error) => Err(asks::perhaps_moved(&app, patience, &key, &elsewhere(&rest), error).await),
        }
    })
}

pub(super) async fn merge_requests(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let query = ListQuery { folded: false, branch: None, ..raw.list(&params::MERGE_REQUESTS)? };
    answer!(app, headers, format!("/api/v1/merge-requests{}", query.to_url()), async |patience| {
        let request = asks::merge_requests(None, &query);
        merge_request_list(&app.aggregator.list_merge_requests(patience, request).await?)
    })
}

fn issue_list(a: &v1::ListIssuesResponse) -> Result<Material, AskFailure> {
    let list = List {
        items: a.issues.iter().map(Issue::from).collect(),
        total: a.total,
        page: a.page,
        per_page: a.per_page,
        version: items::version(a.version),
        loading: a.loading,
        problems: texts(&a.problems),
    };
    Ok(list_of(material(a.version, while_it_stands(a.loading), a.encoded_len(), &list)?, Feeds::Work))
}

pub(super) async fn project_issues(
    State(app): State<App>,
    headers: HeaderMap,
    Segments((source, id)): ProjectPath,
    raw: Raw,
) -> Answer {
    let key = params::key(&source, &id)?;
    let query = ListQuery { folded: false, branch: None, ..raw.list(&params::ISSUES)? };
    let rest = format!("/issues{}", query.to_url());
    answer!(app, headers, project_address(&key, &rest), async |patience| {
        match app.aggregator.list_issues(patience, asks::issues(Some(&key), &query)).await {
            Ok(a) => issue_list(&a),
            Err(error) => Err(asks::perhaps_moved(&app, patience, &key, &elsewhere(&rest), error).await),
        }
    })
}

pub(super) async fn issues(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let query = ListQuery { folded: false, branch: None, ..raw.list(&params::ISSUES)? };
    answer!(app, headers, format!("/api/v1/issues{}", query.to_url()), async |patience| {
        issue_list(&app.aggregator.list_issues(patience, asks::issues(None, &query)).await?)
    })
}

pub(super) async fn me(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let query = ListQuery { folded: false, branch: None, ..raw.list(&params::ME)? };
    answer!(app, headers, format!("/api/v1/me{}", query.to_url()), async |patience: Patience| {
        let a = app.aggregator.get_me(patience, v1::GetMeRequest {}).await?;
        let matches = |user: &&v1::CurrentUser| {
            let person = user.person.as_ref();
            let login = person.and_then(|p| p.login.as_deref());
            has(&[Some(user.source.as_str()), person.map(|p| p.name.as_str()), login], &query.q)
                && one_of(&query.sources, &user.source)
                && one_of(&query.platforms, &user.platform)
                && one_of(&query.statuses, if person.is_some() { "known" } else { "unknown" })
        };
        let mut users: Vec<_> = a.users.iter().filter(matches).collect();
        let name = |user: &v1::CurrentUser| user.person.as_ref().map(|p| p.name.clone());
        sort(&mut users, &query.sort, |word, a, b| match word {
            "name" => name(a).cmp(&name(b)),
            _ => Ordering::Equal,
        });
        let loading = a.users.iter().any(|u| u.loading);
        let list = page_of(&users, &query, a.version, loading, |user| Me::from(*user));
        material(a.version, while_it_stands(loading), a.encoded_len(), &list)
    })
}

pub(super) async fn sources(State(app): State<App>, headers: HeaderMap, raw: Raw) -> Answer {
    let query = ListQuery { folded: false, branch: None, ..raw.list(&params::SOURCES)? };
    answer!(app, headers, format!("/api/v1/sources{}", query.to_url()), async |patience: Patience| {
        let a = app.aggregator.list_sources(patience, v1::ListSourcesRequest {}).await?;
        app.saw_sources(&a.sources);
        let matches = |source: &&v1::Source| {
            has(&[Some(source.name.as_str()), Some(source.url.as_str())], &query.q)
                && one_of(&query.sources, &source.name)
                && one_of(&query.platforms, &source.platform)
                && one_of(&query.statuses, source_state(source.state()).unwrap_or_default())
        };
        let mut sources: Vec<_> = a.sources.iter().filter(matches).collect();
        sort(&mut sources, &query.sort, |word, a, b| match word {
            "name" => a.name.cmp(&b.name),
            "platform" => a.platform.cmp(&b.platform),
            "projects" => b.projects.cmp(&a.projects),
            _ => Ordering::Equal,
        });
        let loading = a.sources.iter().any(|s| s.state() == v1::SourceState::Loading);
        let mut list = page_of(&sources, &query, a.version, loading, |source| Source::from(*source));
        let history = a.history.as_ref().and_then(|h| h.error.as_deref());
        list.problems.extend(history.map(|error| format!("History is not written: {error}")));
        let redis = a.cache.as_ref().and_then(|c| c.error.as_deref());
        list.problems.extend(redis.map(|error| format!("The cache is in memory alone: {error}")));
        // Budgets move without a version.
        material(a.version, Reuse::Briefly, a.encoded_len(), &list)
    })
}

pub(super) async fn stores(State(app): State<App>, headers: HeaderMap) -> Answer {
    answer!(app, headers, "/api/v1/stores".to_owned(), async |patience| {
        let a = app.aggregator.list_sources(patience, v1::ListSourcesRequest {}).await?;
        material(a.version, Reuse::Briefly, a.encoded_len(), &Stores::from(&a))
    })
}

pub(super) async fn openapi(State(app): State<App>) -> Response {
    let body = super::document(app.base()).to_string();
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, body).into_response()
}

fn one_of(wanted: &[String], word: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|w| w == word)
}

fn has(texts: &[Option<&str>], q: &str) -> bool {
    let q = q.to_lowercase();
    q.is_empty() || texts.iter().flatten().any(|text| text.to_lowercase().contains(&q))
}

/// Sorts by the word; a leading `-` turns it round, equal ones keep their order.
fn sort<T>(items: &mut [T], word: &str, by: impl Fn(&str, &T, &T) -> Ordering) {
    let (word, reverse) = word.strip_prefix('-').map_or((word, false), |word| (word, true));
    if reverse && (word.is_empty() || word == "order") {
        items.reverse();
        return;
    }
    items.sort_by(|a, b| if reverse { by(word, b, a) } else { by(word, a, b) });
}

/// A page of what is here in full.
fn page_of<T, U>(
    all: &[T],
    query: &ListQuery,
    version: Option<v1::Version>,
    loading: bool,
    item: impl Fn(&T) -> U,
) -> List<U> {
    let (page, per_page) = (query.page as usize, query.per_page as usize);
    let skip = page.saturating_sub(1).saturating_mul(per_page);
    List {
        items: all.iter().skip(skip).take(per_page).map(item).collect(),
        total: u32::try_from(all.len()).unwrap_or(u32::MAX),
        page: query.page,
        per_page: query.per_page,
        version: items::version(version),
        loading,
        problems: Vec::new(),
    }
}
