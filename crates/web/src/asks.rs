//! Questions to the aggregator that pages and JSON share.

use api::v1;
use domain::ProjectKey;

use crate::aggregator::{AskError, Patience};
use crate::app::App;
use crate::failure::Failure;
use crate::kept::AskFailure;
use crate::pages::{BehindQuery, ListQuery, Span, StatsQuery};

/// Projects that `query` lets in, folded ones with them.
pub(crate) fn projects(query: &ListQuery) -> v1::ListProjectsRequest {
    v1::ListProjectsRequest {
        q: query.q.clone(),
        sources: query.sources.clone(),
        platforms: query.platforms.clone(),
        statuses: query.statuses.clone(),
        sort: query.sort.clone(),
        page: query.page,
        per_page: query.per_page,
        per_branch: false,
        fold: false,
        mine: query.mine,
    }
}

/// Runs of a project, or of all.
pub(crate) fn pipelines(project: Option<&ProjectKey>, query: &ListQuery) -> v1::ListPipelinesRequest {
    v1::ListPipelinesRequest {
        project: project.map(Into::into),
        q: query.q.clone(),
        sources: query.sources.clone(),
        platforms: query.platforms.clone(),
        statuses: query.statuses.clone(),
        branch: query.branch.clone(),
        sort: query.sort.clone(),
        page: query.page,
        per_page: query.per_page,
    }
}

/// Branches of a project, or of all.
pub(crate) fn branches(project: Option<&ProjectKey>, query: &ListQuery) -> v1::ListBranchesRequest {
    v1::ListBranchesRequest {
        project: project.map(Into::into),
        q: query.q.clone(),
        sources: query.sources.clone(),
        platforms: query.platforms.clone(),
        statuses: query.statuses.clone(),
        sort: query.sort.clone(),
        page: query.page,
        per_page: query.per_page,
        name: None,
    }
}

/// Merge requests of a project, or of all.
pub(crate) fn merge_requests(
    project: Option<&ProjectKey>,
    query: &ListQuery,
) -> v1::ListMergeRequestsRequest {
    v1::ListMergeRequestsRequest {
        project: project.map(Into::into),
        q: query.q.clone(),
        sources: query.sources.clone(),
        platforms: query.platforms.clone(),
        statuses: query.statuses.clone(),
        sort: query.sort.clone(),
        page: query.page,
        per_page: query.per_page,
        mine: query.mine,
        draft: query.draft,
    }
}

/// Issues of a project, or of all.
pub(crate) fn issues(project: Option<&ProjectKey>, query: &ListQuery) -> v1::ListIssuesRequest {
    v1::ListIssuesRequest {
        project: project.map(Into::into),
        q: query.q.clone(),
        sources: query.sources.clone(),
        platforms: query.platforms.clone(),
        statuses: query.statuses.clone(),
        sort: query.sort.clone(),
        page: query.page,
        per_page: query.per_page,
        mine: query.mine,
    }
}

/// The canonical key, when `asked` is another name of the project.
pub(crate) fn moved(asked: &ProjectKey, canonical: Option<&v1::ProjectKey>) -> Option<ProjectKey> {
    let canonical = ProjectKey::try_from(canonical?).ok()?;
    (canonical != *asked).then_some(canonical)
}

/// Why something of a project was not found: perhaps because the project goes by another name, and then the answer is
/// a redirect to `address` with `{}` replaced by the canonical key.
pub(crate) async fn perhaps_moved(
    app: &App,
    patience: Patience,
    asked: &ProjectKey,
    address: &str,
    error: AskError,
) -> AskFailure {
    if !matches!(error, AskError::NotFound(_)) {
        return error.into();
    }
    let request = v1::GetProjectRequest { key: Some(asked.into()) };
    match app.aggregator.get_project(patience, request).await {
        Ok(project) => match moved(asked, project.key.as_ref()) {
            Some(canonical) => elsewhere(address, &canonical).into(),
            None => error.into(),
        },
        Err(_) => error.into(),
    }
}

fn elsewhere(address: &str, canonical: &ProjectKey) -> Failure {
    Failure::redirect(address.replacen("{}", &canonical.to_path(), 1))
}

/// A run with its jobs; a redirect when its project goes by another name.
pub(crate) async fn pipeline(
    app: &App,
    patience: Patience,
    key: &ProjectKey,
    pipeline: &str,
    address: &str,
) -> Result<v1::GetPipelineResponse, AskFailure> {
    let request = v1::GetPipelineRequest { project: Some(key.into()), id: pipeline.to_owned() };
    let answer = match app.aggregator.get_pipeline(patience, request).await {
        Ok(answer) => answer,
        Err(error) => return Err(perhaps_moved(app, patience, key, address, error).await),
    };
    let canonical = answer.project.as_ref().and_then(|project| project.key.as_ref());
    match moved(key, canonical) {
        Some(canonical) => Err(elsewhere(address, &canonical).into()),
        None => Ok(answer),
    }
}

/// What the insights are about.
pub(crate) fn scope(query: &StatsQuery) -> v1::StatsScope {
    let (days, from, to) = match &query.span {
        Span::Days(days) => (*days, None, None),
        Span::Between(from, to) => (0, from.clone(), to.clone()),
    };
    v1::StatsScope {
        sources: query.sources.clone(),
        platforms: query.platforms.clone(),
        project: query.project.as_ref().map(Into::into),
        branch: query.branch.clone(),
        days,
        from: from.unwrap_or_default(),
        to: to.unwrap_or_default(),
    }
}

/// The runs behind a figure.
pub(crate) fn behind(query: &BehindQuery) -> v1::ListRunsBehindRequest {
    v1::ListRunsBehindRequest {
        scope: Some(scope(&query.scope)),
        statuses: query.statuses.clone(),
        day: query.day.clone().unwrap_or_default(),
        hour: query.hour,
        lane: query.lane.clone(),
        job: query.job.clone(),
        reason: query.reason.clone(),
        page: query.page,
        per_page: query.per_page,
        ran_job: query.ran_job.clone(),
        no_reason: query.no_reason,
    }
}
