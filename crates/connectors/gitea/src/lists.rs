//! Repositories, branches, pull requests, issues, and whose token it is.

use async_trait::async_trait;
use connector::{
    CurrentUser, Error, Issue, Issues, MergeRequest, MergeRequests, Page, PageToken, ProjectPage, Result,
};
use domain::{Branch, Person, Project};
use url::Url;

use crate::base::owner_and_name;
use crate::paging::{PER_PAGE_TEXT, page_url, token};
use crate::source::{Gitea, no_repository};
use crate::{convert, wire};

const USER_REPOS: &str = "GET /user/repos";
const ORG_REPOS: &str = "GET /orgs/:org/repos";
const LIMIT: (&str, &str) = ("limit", PER_PAGE_TEXT);

/// The repositories of the token, or of the organizations one after the other. Archived ones are among them. A page's
/// token is the organization's index and the page's URL.
pub(crate) async fn projects(gitea: &Gitea, page: Option<PageToken>) -> Result<ProjectPage> {
    let orgs = &gitea.organizations;
    let (index, url) = match page {
        Some(PageToken(text)) => {
            let parts = text.split_once(' ').and_then(|(index, url)| {
                let url = if url.is_empty() { None } else { Some(Url::parse(url).ok()?) };
                Some((index.parse::<usize>().ok()?, url))
            });
            parts.ok_or_else(|| Error::Garbage("page token: not one of Gitea's".into()))?
        }
        None => (0, None),
    };
    let (rows, next) = match (url, orgs.get(index)) {
        (Some(url), _) => gitea.rows(if orgs.is_empty() { USER_REPOS } else { ORG_REPOS }, url).await?,
        (None, Some(org)) => of_organization(gitea, org).await?,
        (None, None) if orgs.is_empty() => of_token(gitea).await?,
        (None, None) => return Err(Error::Garbage("page token: no such organization".into())),
    };
    let next = match next {
        Some(url) => Some(PageToken(format!("{index} {url}"))),
        None => orgs.get(index + 1).map(|_| PageToken(format!("{} ", index + 1))),
    };
    let items = rows.iter().map(|r| convert::project(&gitea.source, r)).collect();
    Ok(ProjectPage { items, next, ..ProjectPage::default() })
}

type Repositories = (Vec<wire::Repository>, Option<Url>);

async fn of_token(gitea: &Gitea) -> Result<Repositories> {
    if gitea.anonymous {
        return Err(Error::Forbidden(
            "without a token the repositories of a whole Gitea are not listed: name them in filters.watched_repos, or give \
             this source a token or organizations"
                .into(),
        ));
    }
    match gitea.rows(USER_REPOS, gitea.client.url(&["user", "repos"], &[LIMIT])).await {
        // Every Gitea has this list.
        Err(Error::NotFound(_)) => Err(gitea.no_gitea("404 for /user/repos")),
        answer => answer,
    }
}

async fn of_organization(gitea: &Gitea, org: &str) -> Result<Repositories> {
    match gitea.rows(ORG_REPOS, gitea.client.url(&["orgs", org, "repos"], &[LIMIT])).await {
        // People have repositories as well, and nothing in a name tells the two apart.
        Err(Error::NotFound(_)) => {
            let url = gitea.client.url(&["users", org, "repos"], &[LIMIT]);
            match gitea.rows("GET /users/:user/repos", url).await {
                Err(Error::NotFound(_)) => {
                    let why = format!("Gitea: organization {org:?} not found");
                    Err(gitea.or_no_gitea(Error::NotFound(why)).await)
                }
                answer => answer,
            }
        }
        answer => answer,
    }
}

/// The count that a page of one row comes with.
pub(crate) async fn project_count(gitea: &Gitea) -> Result<Option<u64>> {
    let one = ("limit", "1");
    let (endpoint, url) = match gitea.organizations.as_slice() {
        [] if gitea.anonymous => return Ok(None),
        [] => (USER_REPOS, gitea.client.url(&["user", "repos"], &[one])),
        [org] => (ORG_REPOS, gitea.client.url(&["orgs", org, "repos"], &[one])),
        // More than one request.
        _ => return Ok(None),
    };
    match gitea.count(endpoint, url).await {
        Err(Error::Forbidden(_) | Error::NotFound(_)) => Ok(None),
        answer => answer,
    }
}

/// A repository by its full name; a renamed one answers with its current name.
pub(crate) async fn project(gitea: &Gitea, name: &str) -> Result<Project> {
    let (owner, repo) = owner_and_name(name).ok_or_else(|| no_repository(name))?;
    let url = gitea.client.url(&["repos", owner, repo], &[]);
    match gitea.json("GET /repos/:owner/:repo", url).await {
        Ok(row) => Ok(convert::project(&gitea.source, &row)),
        Err(error) => Err(gitea.or_no_gitea(error).await),
    }
}

pub(crate) async fn branches(
    gitea: &Gitea,
    project: &Project,
    page: Option<PageToken>,
) -> Result<Page<Branch>> {
    let url = page_url(page, || gitea.below(project, &["branches"], &[LIMIT]))?;
    let (rows, next) = gitea.rows("GET /repos/:owner/:repo/branches", url).await?;
    Ok(Page { items: rows.iter().map(|b| convert::branch(project, b)).collect(), next: token(next) })
}

/// One branch, by name.
pub(crate) async fn branch(gitea: &Gitea, project: &Project, name: &str) -> Result<Branch> {
    let url = gitea.below(project, &["branches", name], &[])?;
    let row = gitea.json("GET /repos/:owner/:repo/branches/:branch", url).await?;
    Ok(convert::branch(project, &row))
}

/// Gitea sorts pull requests; issues only newer servers do, others give the newest first.
const OPEN: [(&str, &str); 3] = [("state", "open"), ("sort", "recentupdate"), LIMIT];

#[async_trait]
impl MergeRequests for Gitea {
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
impl Issues for Gitea {
    async fn open_issues(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Issue>> {
        let [state, sort, limit] = OPEN;
        let query = [("type", "issues"), state, sort, limit];
        let url = page_url(page, || self.below(project, &["issues"], &query))?;
        let (rows, next) = self.rows("GET /repos/:owner/:repo/issues", url).await?;
        Ok(Page { items: rows.into_iter().filter_map(convert::issue).collect(), next: token(next) })
    }
}

#[async_trait]
impl CurrentUser for Gitea {
    async fn current_user(&self) -> Result<Option<Person>> {
        if self.anonymous {
            return Ok(None);
        }
        match self.json("GET /user", self.client.url(&["user"], &[])).await {
            Ok(row) => Ok(convert::account(&row)),
            // A token for repositories alone does not tell whose it is.
            Err(Error::Forbidden(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }
}
