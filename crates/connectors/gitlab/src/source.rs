//! One GitLab, and what is asked of it.

use std::sync::Arc;

use async_trait::async_trait;
use config::{LogAccess, SourceSettings};
use connector::graphql::GraphQl;
use connector::http::{
    Answers, Auth, Budget, BudgetHeaders, Client, ClientSettings, Dialect, Left, Traffic, auth_of,
};
use connector::{
    Actions, Batching, BuildError, Connector, CurrentUser, Deployments, Descriptor, Error, Heads, HeadsAsk,
    Issue, Issues, MergeRequest, MergeRequestState, MergeRequests, Moved, Page, PageToken, PipelineDetail,
    PipelineQuery, Pipelines, ProjectPage, Result, TokenCheck, Webhooks,
};
use domain::{
    Branch, Clock, JobId, Log, Person, Pipeline, Problem, ProblemKind, Project, ProjectKey, RunId,
    SourceName, Timestamp,
};
use futures::stream::BoxStream;
use jiff::SignedDuration;
use secrecy::SecretString;
use url::Url;

use crate::paging::{Listed, PER_PAGE, PER_PAGE_TEXT, list, page_url};
use crate::{DESCRIPTOR, SCOPE, base, batch, convert, heads, log, wire};

/// One configured GitLab.
#[derive(Debug)]
pub(crate) struct GitLab {
    pub(crate) name: SourceName,
    pub(crate) client: Client,
    pub(crate) batch: GraphQl,
    pub(crate) anonymous: bool,
    pub(crate) groups: Vec<String>,
    logs: LogAccess,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) webhook_secret: Option<SecretString>,
    pub(crate) signing_token: Option<SecretString>,
}

impl GitLab {
    pub(crate) fn new(
        settings: &SourceSettings,
        clock: Arc<dyn Clock>,
    ) -> std::result::Result<Self, BuildError> {
        let name = SourceName::new(&settings.name).map_err(|e| BuildError {
            // What is no name cannot stand as one; the text has it.
            source_name: SourceName::new("gitlab")
                .unwrap_or_else(|_| unreachable!("a constant that is a name")),
            why: e.to_string(),
        })?;
        let fail = |why: String| BuildError { source_name: name.clone(), why };
        let url = settings.url.as_ref().ok_or_else(|| fail("it has no url".into()))?;
        let proxy = match &settings.proxy {
            Some(proxy) => {
                Some(Url::parse(proxy.expose()).map_err(|e| fail(format!("proxy {}: {e}", proxy.masked())))?)
            }
            None => None,
        };
        let header = |value| Auth::Header { name: "PRIVATE-TOKEN", value };
        let auth = auth_of(settings.token.as_ref(), header, &clock);
        let api = base::api_base(url).map_err(&fail)?;
        let graphql = base::graphql(&api);
        let client = Client::new(
            ClientSettings {
                source: name.clone(),
                base: api,
                auth,
                dialect: DIALECT,
                ca_file: settings.ca_file.clone(),
                proxy,
                insecure_skip_verify: settings.insecure_skip_verify,
            },
            Arc::clone(&clock),
        )
        .map_err(&fail)?;
        Ok(Self {
            anonymous: settings.token.is_none(),
            groups: settings.groups.iter().map(|g| g.trim().trim_matches('/').to_owned()).collect(),
            logs: settings.logs,
            webhook_secret: settings.webhook_secret.as_ref().map(|s| s.secret_string().clone()),
            signing_token: settings.extra_secret("signing_token").map(|s| s.secret_string().clone()),
            batch: GraphQl::new(client.clone(), graphql, batch::DIALECT, Arc::clone(&clock)),
            clock,
            name,
            client,
        })
    }

    /// The newest pipelines of a project, of one ref if asked, newest first.
    pub(crate) async fn newest(
        &self,
        project: &Project,
        branch: Option<&str>,
        limit: &str,
    ) -> Result<Listed<wire::Pipeline>> {
        let mut query = vec![("per_page", limit), ("order_by", "id"), ("sort", "desc")];
        query.extend(branch.map(|b| ("ref", b)));
        let url = self.client.url(&["projects", project.key.id.as_str(), "pipelines"], &query);
        list(&self.client, "GET /projects/:id/pipelines", url).await
    }
}

/// What GitLab's requests look like.
const DIALECT: Dialect = Dialect {
    title: "GitLab",
    scope: SCOPE,
    headers: &[("accept", "application/json")],
    budget: Some(BudgetHeaders {
        limit: "ratelimit-limit",
        remaining: "ratelimit-remaining",
        reset: "ratelimit-reset",
        window: SignedDuration::from_mins(1),
    }),
    // 429 is always a limit, and 403 never one: the general rule.
    hourly: None,
    unmodified_is_free: false,
    classify: |_, _, _| None,
};

/// Says that not every row of a list could be read.
pub(crate) fn broken_rows<T>(what: &str, listed: &Listed<T>) -> Option<Problem> {
    let text = || format!("{} of {} {what} could not be read", listed.broken, listed.len());
    (listed.broken > 0).then(|| Problem::new(ProblemKind::Partial, text()))
}

#[async_trait]
impl Connector for GitLab {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn source(&self) -> &SourceName {
        &self.name
    }

    fn could_hold(&self, name: &str) -> bool {
        base::could_be_project(name)
    }

    fn budget(&self) -> Option<Budget> {
        self.client.budget()
    }

    fn left(&self) -> Option<Left> {
        Some(self.client.left())
    }

    fn resume(&self, left: &Left) {
        self.client.resume(left);
    }

    async fn has_new_credential(&self) -> bool {
        self.client.has_new_credential().await
    }

    fn answers(&self) -> Vec<Answers> {
        vec![self.client.answers()]
    }

    fn traffic(&self) -> Traffic {
        self.client.traffic()
    }

    async fn projects(&self, page: Option<PageToken>) -> Result<ProjectPage> {
        self.list_projects(page).await
    }

    async fn project(&self, id_or_name: &str) -> Result<Project> {
        let id = id_or_name.trim().trim_matches('/');
        if !base::could_be_project(id) {
            return Err(Error::NotFound(format!(
                "{id_or_name:?} is neither a project's number nor its full path"
            )));
        }
        let url = self.client.url(&["projects", id], &[]);
        let row: wire::Project = self.client.get("GET /projects/:id", url).await?.json()?;
        Ok(convert::project(&self.name, &row))
    }

    async fn project_count(&self) -> Result<Option<u64>> {
        self.count_projects().await
    }

    async fn moved_since(&self, since: Timestamp) -> Result<Option<Moved>> {
        self.list_moved(since).await
    }

    fn batching(&self) -> Option<Batching> {
        let glances = !self.batch.is_plain();
        self.batch.is_there().then(|| Batching {
            per_request: self.batch.size(),
            budget: None,
            cost: 1,
            glances,
        })
    }

    fn branch_heads<'a>(&'a self, asks: Vec<HeadsAsk>) -> BoxStream<'a, (ProjectKey, Result<Heads>)> {
        heads::branch_heads(self, asks)
    }

    async fn pipelines(&self, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
        self.list_pipelines(project, query).await
    }

    async fn latest_pipeline(&self, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
        // Not `/pipelines/latest`: that looks at the head commit only and answers 403 when it has none.
        let listed = self.newest(project, Some(branch), "1").await?;
        let newest = listed.items.iter().map(convert::pipeline).max_by_key(Pipeline::age_key);
        let Some(row) = newest else { return Ok(None) };
        match self.detail(project, &row.id).await {
            Ok(detail) => Ok(Some(convert::full(&detail))),
            // The list told enough; only warnings and times are missing.
            Err(e) if !e.concerns_source() => Ok(Some(row)),
            Err(e) => Err(e),
        }
    }

    async fn pipeline(&self, project: &Project, run: &RunId) -> Result<PipelineDetail> {
        self.read_pipeline(project, run).await
    }

    async fn log(&self, project: &Project, _run: &RunId, job: &JobId, max_bytes: usize) -> Result<Log> {
        if self.logs == LogAccess::None {
            let note = "logs are switched off for this source (`logs: none`)".to_owned();
            return Ok(Log { note: Some(note), ..Log::default() });
        }
        let url = self.client.url(&["projects", project.key.id.as_str(), "jobs", job.as_str(), "trace"], &[]);
        let tail = self.client.get_tail("GET /projects/:id/jobs/:job_id/trace", url, max_bytes).await?;
        Ok(log::log(&tail.bytes, tail.truncated))
    }

    async fn branches(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Branch>> {
        let segments = ["projects", project.key.id.as_str(), "repository", "branches"];
        let token = page.as_ref().map(|t| t.0.as_str());
        let url = page_url(&self.client, &segments, &[("per_page", PER_PAGE_TEXT)], token);
        let listed: Listed<wire::Branch> =
            list(&self.client, "GET /projects/:id/repository/branches", url).await?;
        Ok(Page {
            next: listed.token(),
            items: listed.items.iter().map(|row| convert::branch(project, row)).collect(),
        })
    }

    async fn branch(&self, project: &Project, name: &str) -> Result<Branch> {
        let url =
            self.client.url(&["projects", project.key.id.as_str(), "repository", "branches", name], &[]);
        let answer = self.client.get("GET /projects/:id/repository/branches/:branch", url).await?;
        Ok(convert::branch(project, &answer.json()?))
    }

    fn merge_requests(&self) -> Option<&dyn MergeRequests> {
        Some(self)
    }

    fn issues(&self) -> Option<&dyn Issues> {
        Some(self)
    }

    fn deployments(&self) -> Option<&dyn Deployments> {
        Some(self)
    }

    fn current_user(&self) -> Option<&dyn CurrentUser> {
        Some(self)
    }

    fn token_check(&self) -> Option<&dyn TokenCheck> {
        if self.anonymous { None } else { Some(self) }
    }

    fn actions(&self) -> Option<&dyn Actions> {
        // Without a token nothing can be done.
        if self.anonymous { None } else { Some(self) }
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        Some(self)
    }
}

/// Open ones, last touched first.
const OPEN_BY_UPDATE: [(&str, &str); 4] =
    [("state", "opened"), ("order_by", "updated_at"), ("sort", "desc"), ("per_page", PER_PAGE_TEXT)];

#[async_trait]
impl MergeRequests for GitLab {
    async fn open_merge_requests(
        &self,
        project: &Project,
        page: Option<PageToken>,
    ) -> Result<Page<MergeRequest>> {
        let segments = ["projects", project.key.id.as_str(), "merge_requests"];
        let mut query = OPEN_BY_UPDATE.to_vec();
        query.push(("scope", "all"));
        let url = page_url(&self.client, &segments, &query, page.as_ref().map(|t| t.0.as_str()));
        let listed: Listed<wire::MergeRequest> =
            list(&self.client, "GET /projects/:id/merge_requests", url).await?;
        let next = listed.token();
        let mut items: Vec<_> = listed.items.iter().map(convert::merge_request).collect();
        items.retain(|m| m.state == MergeRequestState::Open);
        Ok(Page { items, next })
    }
}

#[async_trait]
impl Issues for GitLab {
    async fn open_issues(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Issue>> {
        let segments = ["projects", project.key.id.as_str(), "issues"];
        let url = page_url(&self.client, &segments, &OPEN_BY_UPDATE, page.as_ref().map(|t| t.0.as_str()));
        let listed: Listed<wire::Issue> = list(&self.client, "GET /projects/:id/issues", url).await?;
        let next = listed.token();
        let mut items: Vec<_> = listed.items.iter().map(convert::issue).collect();
        items.retain(|i| i.open);
        Ok(Page { items, next })
    }
}

#[async_trait]
impl CurrentUser for GitLab {
    /// 403 and 404 mean a token that belongs to nobody (a job's, a deploy token); 401 stays an error, since such a
    /// token is good for nothing else either and its owner has to hear of it.
    async fn current_user(&self) -> Result<Option<Person>> {
        if self.anonymous {
            return Ok(None);
        }
        match self.client.get("GET /user", self.client.url(&["user"], &[])).await {
            Ok(answer) => Ok(convert::user(&answer.json()?)),
            Err(Error::Forbidden(_) | Error::NotFound(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

const _: () = assert!(PER_PAGE == Heads::MAX_RUNS, "one page of pipelines is what a refresh reads");
