//! Repositories, branches, pull requests, issues, and whose token it is.

use async_trait::async_trait;
use connector::http::Response;
use connector::wire::Rows;
use connector::{
    CurrentUser, Error, Issue, Issues, MergeRequest, MergeRequests, Moved, Page, PageToken, ProjectPage,
    Result,
};
use domain::{Branch, Person, Project, Timestamp};
use url::Url;

use crate::base::owner_and_name;
use crate::github::{GitHub, PER_PAGE, no_repository, page_url, token};
use crate::{convert, wire};

const USER_REPOS: &str = "GET /user/repos";
const ORG_REPOS: &str = "GET /orgs/:org/repos";
const INSTALLATION_REPOS: &str = "GET /installation/repositories";
const ALL_THAT_IS_MINE: (&str, &str) = ("affiliation", "owner,collaborator,organization_member");
/// What moved last comes first, so that the pages that are read first matter most.
const NEWEST_FIRST: [(&str, &str); 2] = [("sort", "pushed"), ("direction", "desc")];

/// The repositories of the token, or of the organizations one after the other. Archived and disabled ones are among
/// them. A page's token is the organization's index and the page's URL.
pub(crate) async fn projects(github: &GitHub, page: Option<PageToken>) -> Result<ProjectPage> {
    let orgs = &github.organizations;
    let (index, url) = match page {
        Some(PageToken(text)) => {
            let parts = text.split_once(' ').and_then(|(i, url)| {
                Some((
                    i.parse::<usize>().ok()?,
                    if url.is_empty() { None } else { Some(Url::parse(url).ok()?) },
                ))
            });
            parts.ok_or_else(|| Error::Garbage("page token: not one of GitHub's".into()))?
        }
        None => (0, None),
    };
    let (rows, next) = match (url, orgs.get(index)) {
        (Some(url), _) => {
            repositories(github, if orgs.is_empty() { USER_REPOS } else { ORG_REPOS }, url).await?
        }
        (None, Some(org)) => of_organization(github, org).await?,
        (None, None) if orgs.is_empty() => of_token(github).await?,
        (None, None) => return Err(Error::Garbage("page token: no such organization".into())),
    };
    let next = match next {
        Some(url) => Some(PageToken(format!("{index} {url}"))),
        None => orgs.get(index + 1).map(|_| PageToken(format!("{} ", index + 1))),
    };
    let items = rows.into_iter().map(|r| convert::project(&github.source, r)).collect();
    Ok(ProjectPage { items, next, ..ProjectPage::default() })
}

type Repositories = (Vec<wire::Repository>, Option<Url>);

async fn of_token(github: &GitHub) -> Result<Repositories> {
    if github.anonymous {
        return Err(Error::Forbidden(
            "without a token GitHub lists no repositories: name them in filters.watched_repos, or give this source a \
             token or organizations"
                .into(),
        ));
    }
    if github.app.is_some() {
        let url = github.client.url(&["installation", "repositories"], &[("per_page", PER_PAGE)]);
        return repositories(github, INSTALLATION_REPOS, url).await;
    }
    let mut query = vec![ALL_THAT_IS_MINE, ("per_page", PER_PAGE)];
    query.extend(NEWEST_FIRST);
    match repositories(github, USER_REPOS, github.client.url(&["user", "repos"], &query)).await {
        // The token of an App's installation belongs to no user.
        Err(Error::Forbidden(why)) => {
            let url = github.client.url(&["installation", "repositories"], &[("per_page", PER_PAGE)]);
            match repositories(github, INSTALLATION_REPOS, url).await {
                Err(Error::Forbidden(_) | Error::NotFound(_)) => Err(Error::Forbidden(why)),
                answer => answer,
            }
        }
        answer => answer.map_err(|e| e.of_a_stranger("GitHub's API")),
    }
}

async fn of_organization(github: &GitHub, org: &str) -> Result<Repositories> {
    let mut query = vec![("per_page", PER_PAGE)];
    query.extend(NEWEST_FIRST);
    match repositories(github, ORG_REPOS, github.client.url(&["orgs", org, "repos"], &query)).await {
        // People have repositories as well, and nothing in a name tells the two apart.
        Err(Error::NotFound(_)) => {
            let url = github.client.url(&["users", org, "repos"], &query);
            repositories(github, "GET /users/:user/repos", url).await.map_err(|e| match e {
                Error::NotFound(_) => Error::NotFound(format!("GitHub: organization {org:?} not found")),
                e => e,
            })
        }
        answer => answer,
    }
}

/// Pages of a listing that are read for what moved; beyond, all of it is to be listed.
const MAX_MOVED_PAGES: usize = 3;

/// What was pushed to since then, from the listing's first pages. The list of an installation has no order.
pub(crate) async fn moved_since(github: &GitHub, since: Timestamp) -> Result<Option<Moved>> {
    let orgs = &github.organizations;
    if orgs.is_empty() && (github.anonymous || github.app.is_some()) {
        return Ok(None);
    }
    let mut moved = Moved { complete: true, ..Moved::default() };
    let mut query = if orgs.is_empty() { vec![ALL_THAT_IS_MINE] } else { Vec::new() };
    query.push(("per_page", PER_PAGE));
    query.extend(NEWEST_FIRST);
    let first = |org: &String| github.client.url(&["orgs", org, "repos"], &query);
    let lists: Vec<(&'static str, Url)> = match orgs.as_slice() {
        [] => vec![(USER_REPOS, github.client.url(&["user", "repos"], &query))],
        orgs => orgs.iter().map(|org| (ORG_REPOS, first(org))).collect(),
    };
    for (endpoint, url) in lists {
        let mut next = Some(url);
        for page in 0..=MAX_MOVED_PAGES {
            let Some(url) = next.take() else { break };
            if page == MAX_MOVED_PAGES {
                moved.complete = false;
                break;
            }
            let (rows, following) = match repositories(github, endpoint, url).await {
                Ok(answer) => answer,
                // A user's repositories, or an installation's token: those are listed in other ways.
                Err(Error::NotFound(_) | Error::Forbidden(_)) => return Ok(None),
                Err(e) => return Err(e),
            };
            let projects: Vec<Project> =
                rows.into_iter().map(|row| convert::project(&github.source, row)).collect();
            let recent = |project: &Project| project.last_activity_at.is_none_or(|at| at >= since);
            if projects.iter().all(recent) {
                next = following;
            }
            moved.items.extend(projects.into_iter().filter(recent));
        }
    }
    moved.items.sort_by_key(|project| std::cmp::Reverse(project.last_activity_at));
    Ok(Some(moved))
}

/// One page of repositories: a bare list, or the object that installations get.
async fn repositories(github: &GitHub, endpoint: &'static str, url: Url) -> Result<Repositories> {
    let response = github.client.get(endpoint, url).await?;
    if let Some(sso) = response.header("x-github-sso")
        && sso.starts_with("partial-results")
    {
        tracing::warn!(
            source = %github.source,
            "GitHub leaves out the repositories of organizations that require single sign-on: authorize the token for \
             them to see these"
        );
    }
    let rows: Rows<wire::Repository> = match response.json::<wire::InstallationRepositories>() {
        Ok(object) => object.repositories,
        Err(_) => response.json()?,
    };
    github.note_broken(endpoint, &rows);
    Ok((rows.items, response.next_link()?))
}

/// The number of pages of one row each.
pub(crate) async fn project_count(github: &GitHub) -> Result<Option<u64>> {
    let one = ("per_page", "1");
    let (endpoint, url) = match github.organizations.as_slice() {
        [] if github.anonymous => return Ok(None),
        [] if github.app.is_some() => {
            let url = github.client.url(&["installation", "repositories"], &[one]);
            let response = github.client.get(INSTALLATION_REPOS, url).await?;
            return Ok(response.json::<wire::InstallationRepositories>()?.total_count);
        }
        [] => (USER_REPOS, github.client.url(&["user", "repos"], &[ALL_THAT_IS_MINE, one])),
        [org] => (ORG_REPOS, github.client.url(&["orgs", org, "repos"], &[one])),
        // More than one request.
        _ => return Ok(None),
    };
    let response = match github.client.get(endpoint, url).await {
        Ok(response) => response,
        Err(Error::Forbidden(_) | Error::NotFound(_)) => return Ok(None),
        Err(e) => return Err(e),
    };
    if let Some(last) = last_page(&response) {
        return Ok(Some(last));
    }
    let rows: Rows<serde::de::IgnoredAny> = response.json()?;
    Ok(u64::try_from(rows.items.len()).ok())
}

/// The page number of `rel="last"`.
fn last_page(response: &Response) -> Option<u64> {
    let link = response.header("link")?.split(',').find(|l| l.contains("rel=\"last\""))?;
    let url = link.split_once('<')?.1.split_once('>')?.0;
    Url::parse(url).ok()?.query_pairs().find(|(k, _)| k == "page")?.1.parse().ok()
}

/// A repository by its full name; a renamed one answers with its current name.
pub(crate) async fn project(github: &GitHub, name: &str) -> Result<Project> {
    let (owner, repo) = owner_and_name(name).ok_or_else(|| no_repository(name))?;
    let url = github.client.url(&["repos", owner, repo], &[]);
    let response = github.client.get("GET /repos/:owner/:repo", url).await?;
    Ok(convert::project(&github.source, response.json()?))
}

pub(crate) async fn branches(
    github: &GitHub,
    project: &Project,
    page: Option<PageToken>,
) -> Result<Page<Branch>> {
    let url = page_url(page, || github.below(project, &["branches"], &[("per_page", PER_PAGE)]))?;
    let (rows, next) = github.rows("GET /repos/:owner/:repo/branches", url).await?;
    let items = rows.into_iter().map(|b| convert::branch(project, b)).collect();
    Ok(Page { items, next: token(next) })
}

/// One branch, by name. A renamed one answers under its current name.
pub(crate) async fn branch(github: &GitHub, project: &Project, name: &str) -> Result<Branch> {
    let url = github.below(project, &["branches", name], &[])?;
    let response = github.client.get("GET /repos/:owner/:repo/branches/:branch", url).await?;
    Ok(convert::branch(project, response.json()?))
}

const OPEN: [(&str, &str); 4] =
    [("state", "open"), ("sort", "updated"), ("direction", "desc"), ("per_page", PER_PAGE)];

#[async_trait]
impl MergeRequests for GitHub {
    async fn open_merge_requests(
        &self,
        project: &Project,
        page: Option<PageToken>,
    ) -> Result<Page<MergeRequest>> {
        let url = page_url(page, || self.below(project, &["pulls"], &OPEN))?;
        let (rows, next) = self.rows("GET /repos/:owner/:repo/pulls", url).await?;
        Ok(Page { items: rows.into_iter().map(convert::pull).collect(), next: token(next) })
    }
}

#[async_trait]
impl Issues for GitHub {
    async fn open_issues(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Issue>> {
        let url = page_url(page, || self.below(project, &["issues"], &OPEN))?;
        let (rows, next) = self.rows("GET /repos/:owner/:repo/issues", url).await?;
        Ok(Page { items: rows.into_iter().filter_map(convert::issue).collect(), next: token(next) })
    }
}

#[async_trait]
impl CurrentUser for GitHub {
    async fn current_user(&self) -> Result<Option<Person>> {
        if self.anonymous || self.app.is_some() {
            return Ok(None);
        }
        match self.client.get("GET /user", self.client.url(&["user"], &[])).await {
            Ok(response) => Ok(convert::account(&response.json()?)),
            // The token of an App's installation belongs to no user.
            Err(Error::Forbidden(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }
}
