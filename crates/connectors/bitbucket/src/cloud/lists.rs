//! Repositories and branches of Cloud.

use connector::{Error, Page, PageToken, ProjectPage, Result};
use domain::{Branch, Project};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Cloud, PAGELEN, convert, page_url, token, wire};
use crate::base;

const REPOSITORIES: &str = "GET /repositories/:workspace";
const WORKSPACES: &str = "GET /user/workspaces";
/// Pages of workspaces that are read.
const MAX_WORKSPACE_PAGES: usize = 10;

/// Where in the listing of several workspaces one is.
#[derive(Debug, Default, Serialize, Deserialize)]
struct At {
    workspaces: Vec<String>,
    /// Only what the user is a member of: a workspace that nobody named may have any number of public repositories.
    as_member: bool,
    /// Which workspace.
    at: usize,
    /// Its page; `None` for the first.
    page: Option<String>,
    /// Workspaces that could not be read. They are told at the end, so that they keep no other from being read.
    failed: Vec<String>,
}

impl At {
    fn token(&self) -> Result<PageToken> {
        let text = serde_json::to_string(self).map_err(|e| Error::Garbage(format!("page token: {e}")))?;
        Ok(PageToken(text))
    }

    fn failure(&self) -> Error {
        Error::NotFound(format!("workspaces that could not be read: {}", self.failed.join("; ")))
    }
}

impl Cloud {
    /// The repositories of the workspaces in the settings, else of the user's; what moved last comes first.
    pub(crate) async fn projects(&self, page: Option<PageToken>) -> Result<ProjectPage> {
        let mut at: At = match page {
            Some(token) => serde_json::from_str(&token.0)
                .map_err(|e| Error::Garbage(format!("page token: not one of Bitbucket's: {e}")))?,
            None if self.workspaces.is_empty() => {
                At { workspaces: self.own_workspaces().await?, as_member: true, ..At::default() }
            }
            None => At { workspaces: self.workspaces.clone(), ..At::default() },
        };
        while let Some(workspace) = at.workspaces.get(at.at) {
            let url = match &at.page {
                Some(page) => Url::parse(page).map_err(|e| Error::Garbage(format!("page token: {e}")))?,
                None => self.first_page(workspace, at.as_member),
            };
            match self.list::<wire::Repository>(REPOSITORIES, url).await {
                Ok(listed) => {
                    at.page = listed.next()?.map(String::from);
                    at.at += usize::from(at.page.is_none());
                    let more = at.at < at.workspaces.len() || !at.failed.is_empty();
                    let next = if more { Some(at.token()?) } else { None };
                    listed.values.items.iter().for_each(|row| self.remember(row));
                    let items =
                        listed.values.items.iter().map(|row| convert::project(&self.source, row)).collect();
                    return Ok(ProjectPage { items, next, ..ProjectPage::default() });
                }
                Err(e) if e.concerns_source() || at.workspaces.len() == 1 => return Err(e),
                Err(e) => {
                    at.failed.push(format!("{workspace}: {e}"));
                    at.at += 1;
                    at.page = None;
                }
            }
        }
        if at.failed.is_empty() { Ok(ProjectPage::default()) } else { Err(at.failure()) }
    }

    fn first_page(&self, workspace: &str, as_member: bool) -> Url {
        let fields = wire::of_list(&wire::REPOSITORY);
        let mut query = vec![("sort", "-updated_on"), ("pagelen", PAGELEN), ("fields", fields.as_str())];
        query.extend(as_member.then_some(("role", "member")));
        self.client.url(&["repositories", workspace], &query)
    }

    /// Not `/workspaces`, which Bitbucket took away in 2026.
    async fn own_workspaces(&self) -> Result<Vec<String>> {
        let query = [("pagelen", PAGELEN), ("fields", "values.workspace.slug,next")];
        let mut next = Some(self.client.url(&["user", "workspaces"], &query));
        let mut all = Vec::new();
        for _ in 0..MAX_WORKSPACE_PAGES {
            let Some(url) = next else { break };
            let listed = match self.list::<wire::WorkspaceRow>(WORKSPACES, url).await {
                Ok(listed) => listed,
                Err(e) => return Err(self.explained(e)),
            };
            next = listed.next()?;
            all.extend(listed.values.items.into_iter().map(|row| row.workspace.slug));
        }
        Ok(all)
    }

    /// An access token has no user whose workspaces could be listed, and Cloud answers as if it were wrong.
    fn explained(&self, error: Error) -> Error {
        const HINT: &str = "; if it is the access token of a workspace or repository, name that in this source's settings \
                            (`workspaces`)";
        match error {
            Error::Unauthorized(why) if self.of_nobody => Error::Unauthorized(why + HINT),
            Error::Forbidden(why) if self.of_nobody => Error::Forbidden(why + HINT),
            error => error,
        }
    }

    /// Of one workspace, where that is known without asking for workspaces first.
    pub(crate) async fn project_count(&self) -> Result<Option<u64>> {
        let [workspace] = self.workspaces.as_slice() else { return Ok(None) };
        let url = self.client.url(&["repositories", workspace], &[("pagelen", "1"), ("fields", "size")]);
        #[derive(Deserialize)]
        struct Size {
            #[serde(default, deserialize_with = "connector::wire::lenient_u64")]
            size: Option<u64>,
        }
        Ok(self.get(REPOSITORIES, url).await?.json::<Size>()?.size)
    }

    /// One repository; a renamed one answers with its current name.
    pub(crate) async fn project(&self, name: &str) -> Result<Project> {
        let (workspace, slug) = base::repository(name)?;
        let fields = wire::of_one(&wire::REPOSITORY);
        let url = self.client.url(&["repositories", workspace, slug], &[("fields", &fields)]);
        let answer = self.get("GET /repositories/:workspace/:repo_slug", url).await;
        if matches!(answer, Err(Error::NotFound(_))) {
            self.forget(name);
        }
        let row: wire::Repository = answer?.json()?;
        self.remember(&row);
        Ok(convert::project(&self.source, &row))
    }

    pub(crate) async fn branches(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Branch>> {
        let fields = wire::of_list(&wire::BRANCH);
        let query = [("sort", "-target.date"), ("pagelen", PAGELEN), ("fields", fields.as_str())];
        let url = page_url(page, || self.below(project, &["refs", "branches"], &query))?;
        let listed: super::Listed<wire::Branch> =
            self.list("GET /repositories/:workspace/:repo_slug/refs/branches", url).await?;
        let next = token(listed.next()?);
        let items = listed.values.items.into_iter().map(|row| convert::branch(project, row)).collect();
        Ok(Page { items, next })
    }

    pub(crate) async fn branch(&self, project: &Project, name: &str) -> Result<Branch> {
        let fields = wire::of_one(&wire::BRANCH);
        let url = self.below(project, &["refs", "branches", name], &[("fields", &fields)])?;
        let answer = self.get("GET /repositories/:workspace/:repo_slug/refs/branches/:name", url).await?;
        Ok(convert::branch(project, answer.json()?))
    }
}
