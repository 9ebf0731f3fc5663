//! Repositories, branches, pull requests, and whose token it is, on Data Center.

use connector::{Error, MergeRequest, MergeRequestState, Page, PageToken, ProjectPage, Result};
use domain::{Branch, Person, Project};
use futures::{StreamExt as _, stream};

use super::{DataCenter, LIMIT, Listed, convert, start, token, wire};
use crate::base;

const REPOS: &str = "GET /rest/api/latest/repos";
const REPOS_OF: &str = "GET /rest/api/latest/projects/:key/repos";
pub(super) const BRANCHES: &str = "GET /rest/api/latest/projects/:key/repos/:slug/branches";
const DEFAULT_BRANCH: &str = "GET /rest/api/latest/projects/:key/repos/:slug/default-branch";
/// The same on older servers.
const BRANCHES_DEFAULT: &str = "GET /rest/api/latest/projects/:key/repos/:slug/branches/default";
const PULLS: &str = "GET /rest/api/latest/projects/:key/repos/:slug/pull-requests";
const WHOAMI: &str = "GET /plugins/servlet/applinks/whoami";
/// Default branches that are asked for at once.
const AT_ONCE: usize = 8;

impl DataCenter {
    /// The repositories of the projects in the settings, else all that the token may read, archived ones too. A page's
    /// token is the index of the project and the row at which the page begins.
    pub(crate) async fn projects(&self, page: Option<PageToken>) -> Result<ProjectPage> {
        let garbage = || Error::Garbage("page token: not one of Bitbucket's".to_owned());
        let (index, from) = match &page {
            None => (0, 0),
            Some(token) => {
                let (index, from) = token.0.split_once(' ').ok_or_else(garbage)?;
                (index.parse().map_err(|_| garbage())?, from.parse::<u64>().map_err(|_| garbage())?)
            }
        };
        let from = from.to_string();
        let query = [("limit", LIMIT), ("start", from.as_str()), ("archived", "ALL")];
        let all = [("permission", "REPO_READ"), query[0], query[1], query[2]];
        let (endpoint, url) = match self.keys.get(index) {
            Some(key) => {
                (REPOS_OF, self.client.url(&["rest", "api", "latest", "projects", key, "repos"], &query))
            }
            None if self.keys.is_empty() => {
                (REPOS, self.client.url(&["rest", "api", "latest", "repos"], &all))
            }
            None => return Err(garbage()),
        };
        let listed: Listed<wire::Repository> = self.list(endpoint, url).await?;
        let next = match listed.next() {
            Some(start) => Some(format!("{index} {start}")),
            None => (index + 1 < self.keys.len()).then(|| format!("{} 0", index + 1)),
        };
        let items = stream::iter(listed.values.items)
            .map(|row| async move {
                let default = self.default_branch(&row).await?;
                Ok(convert::project(&self.source, &row, default))
            })
            .buffered(AT_ONCE);
        let items: Vec<Result<Project>> = items.collect().await;
        let items = items.into_iter().collect::<Result<_>>()?;
        Ok(ProjectPage { items, next: next.map(PageToken), ..ProjectPage::default() })
    }

    /// The default branch, asked for once; heads keep it up to date.
    async fn default_branch(&self, row: &wire::Repository) -> Result<Option<String>> {
        let name = convert::full_name(row);
        if let Some(branch) = &row.default_branch {
            return Ok(Some(branch.strip_prefix("refs/heads/").unwrap_or(branch).to_owned()));
        }
        if let Some(known) = self.remembered(&name) {
            return Ok(known);
        }
        let default = match self.ask_default_branch(&name).await {
            Ok(default) => default,
            Err(e) if e.concerns_source() => return Err(e),
            // Its row says why when its branches are read.
            Err(_) => return Ok(None),
        };
        self.remember(&name, default.as_deref());
        Ok(default)
    }

    pub(super) async fn ask_default_branch(&self, repository: &str) -> Result<Option<String>> {
        let (key, slug) = base::repository(repository)?;
        let path = ["rest", "api", "latest", "projects", key, "repos", slug];
        let url = |more: &[&str]| self.client.url(&[&path, more].concat(), &[]);
        let answer = match self.client.get(DEFAULT_BRANCH, url(&["default-branch"])).await {
            Err(Error::NotFound(_)) => self.client.get(BRANCHES_DEFAULT, url(&["branches", "default"])).await,
            answer => answer,
        };
        match answer {
            // 204 and 404: an empty repository.
            Ok(response) if response.body.is_empty() => Ok(None),
            Ok(response) => Ok(response.json::<wire::Ref>()?.display_id),
            Err(Error::NotFound(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// One repository by its key and slug; a moved one answers under its present name.
    pub(crate) async fn project(&self, name: &str) -> Result<Project> {
        let (key, slug) = base::repository(name)?;
        let url = self.client.url(&["rest", "api", "latest", "projects", key, "repos", slug], &[]);
        let row: wire::Repository =
            self.client.get("GET /rest/api/latest/projects/:key/repos/:slug", url).await?.json()?;
        let default = self.default_branch(&row).await?;
        Ok(convert::project(&self.source, &row, default))
    }

    pub(crate) async fn branches(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Branch>> {
        let from = start(page.as_ref())?;
        let query =
            [("details", "true"), ("orderBy", "MODIFICATION"), ("limit", LIMIT), ("start", from.as_str())];
        let listed: Listed<wire::Branch> =
            self.list(BRANCHES, self.below(project, &["branches"], &query)?).await?;
        let items = listed.values.items.iter().map(|row| convert::branch(project, row)).collect();
        Ok(Page { next: token(listed.next()), items })
    }

    /// Open pull requests into this repository, with how their newest commits were built.
    pub(crate) async fn pull_requests(
        &self,
        project: &Project,
        page: Option<PageToken>,
    ) -> Result<Page<MergeRequest>> {
        let from = start(page.as_ref())?;
        let query = [
            ("state", "OPEN"),
            ("direction", "INCOMING"),
            ("order", "NEWEST"),
            ("limit", LIMIT),
            ("start", from.as_str()),
        ];
        let listed: Listed<wire::Pull> =
            self.list(PULLS, self.below(project, &["pull-requests"], &query)?).await?;
        let next = token(listed.next());
        let mut items: Vec<_> = listed.values.items.into_iter().map(convert::pull).collect();
        items.retain(|pull| pull.state == MergeRequestState::Open);
        let shas: Vec<String> = items.iter().filter_map(|pull| pull.sha.clone()).collect();
        // What cannot be counted is left out: it only adds a colour.
        let stats = if shas.is_empty() { None } else { self.stats(&shas).await.ok() };
        for pull in &mut items {
            let stats = stats.as_ref().and_then(|all| all.get(pull.sha.as_deref()?));
            pull.head_status = stats.copied().and_then(convert::worst);
        }
        items.sort_by_key(|pull| std::cmp::Reverse(pull.updated_at));
        Ok(Page { items, next })
    }

    /// Tokens of projects and repositories belong to nobody.
    pub(crate) async fn current_user(&self) -> Result<Option<Person>> {
        let url = self.client.url(&["plugins", "servlet", "applinks", "whoami"], &[]);
        let answer = match self.client.get(WHOAMI, url).await {
            Ok(answer) => answer,
            Err(Error::Forbidden(_) | Error::NotFound(_)) => return Ok(None),
            Err(e) => return Err(e),
        };
        let login = domain::text::line(&String::from_utf8_lossy(&answer.body), domain::text::MAX_NAME);
        // A page for people instead of a name.
        if login.is_empty() || login.starts_with('<') {
            return Ok(None);
        }
        let url = self.client.url(&["rest", "api", "latest", "users", &login], &[]);
        let user: Option<wire::User> = match self.client.get("GET /rest/api/latest/users/:slug", url).await {
            Ok(answer) => answer.json().ok(),
            Err(e) if e.concerns_source() => return Err(e),
            Err(_) => None,
        };
        Ok(Some(convert::user(&login, user.as_ref())))
    }
}
