//! One source of CircleCI: what all its questions share.

use std::sync::Arc;

use async_trait::async_trait;
use config::{LogAccess, SourceSettings};
use connector::http::{Answers, Auth, Budget, Client, ClientSettings, Dialect, Traffic, auth_of};
use connector::{
    Actions, BuildError, Connector, CurrentUser, Descriptor, Error, Heads, HeadsAsk, Page, PageToken,
    PipelineDetail, PipelineQuery, Pipelines, ProjectPage, Result, Webhooks,
};
use domain::{
    Branch, Clock, JobId, Log, Person, Pipeline, Project, ProjectKey, RunId, SourceName, Timestamp, WebUrl,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use url::Url;

use crate::base::{self, Slug};
use crate::listing::Seen;
use crate::{DESCRIPTOR, SCOPE, convert, heads, log, runs, wire};

/// Projects that are asked about at the same time. The client bounds the requests themselves.
const PROJECTS_AT_ONCE: usize = 8;

/// A source of CircleCI.
#[derive(Debug)]
pub(crate) struct CircleCi {
    pub(crate) source: SourceName,
    pub(crate) client: Client,
    pub(crate) base: Url,
    pub(crate) clock: Arc<dyn Clock>,
    /// Slugs; empty: all of the token's owner.
    pub(crate) organizations: Vec<String>,
    pub(crate) logs: LogAccess,
    pub(crate) webhook_secret: Option<SecretString>,
    /// What the listings have seen.
    pub(crate) seen: Seen,
    anonymous: bool,
}

static DIALECT: Dialect = Dialect {
    title: "CircleCI",
    scope: SCOPE,
    headers: &[("accept", "application/json")],
    // Its limits are not published, and no header tells what is left of them: it says 429 and for how long.
    budget: None,
    hourly: None,
    unmodified_is_free: false,
    classify: |_, _, _| None,
};

impl CircleCi {
    /// Makes a source. No I/O.
    pub(crate) fn build(
        settings: &SourceSettings,
        clock: Arc<dyn Clock>,
    ) -> std::result::Result<Arc<dyn Connector>, BuildError> {
        let source = SourceName::new(&settings.name)
            .map_err(|why| BuildError { source_name: fallback_name(), why: why.to_string() })?;
        let fail = |why: String| BuildError { source_name: source.clone(), why };
        let url = settings.url.as_ref().ok_or_else(|| fail("it has no url".into()))?;
        let base = base::api_base(url).map_err(fail)?;
        let proxy = settings
            .proxy
            .as_ref()
            .map(|p| Url::parse(p.expose()))
            .transpose()
            .map_err(|e| fail(format!("proxy: {e}")))?;
        let header = |value| Auth::Header { name: "circle-token", value };
        let auth = auth_of(settings.token.as_ref(), header, &clock);
        let client = Client::new(
            ClientSettings {
                source: source.clone(),
                base: base.clone(),
                auth,
                dialect: DIALECT,
                ca_file: settings.ca_file.clone(),
                proxy,
                insecure_skip_verify: settings.insecure_skip_verify,
            },
            Arc::clone(&clock),
        )
        .map_err(fail)?;
        Ok(Arc::new(Self {
            source: source.clone(),
            client,
            base,
            clock,
            organizations: settings.organizations.iter().map(|o| base::organization(o)).collect(),
            logs: settings.logs,
            webhook_secret: settings.webhook_secret.as_ref().map(|s| s.secret_string().clone()),
            seen: Seen::default(),
            anonymous: settings.token.is_none(),
        }))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A project's slug, taken apart.
    pub(crate) fn slug<'a>(&self, project: &'a Project) -> Result<Slug<'a>> {
        let id = project.key.id.as_str();
        Slug::parse(id).ok_or_else(|| no_project(id))
    }

    /// A URL below a project.
    pub(crate) fn below(&self, project: &Project, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        let slug = self.slug(project)?.segments();
        Ok(self.client.url(&[&["project"], &slug[..], path].concat(), query))
    }

    /// A page of a list, and the token of the next.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        endpoint: &'static str,
        url: Url,
    ) -> Result<wire::List<T>> {
        let list: wire::List<T> = self.client.get(endpoint, url).await?.json()?;
        if list.items.broken > 0 {
            let (broken, why) = (list.items.broken, list.items.first_error.as_deref().unwrap_or_default());
            tracing::warn!(source = %self.source, endpoint, broken, why, "rows of a list could not be read");
        }
        Ok(list)
    }

    /// A pipeline's row as a run in whose place its workflows will stand.
    pub(crate) fn shell(&self, slug: &str, row: &wire::Pipeline) -> Pipeline {
        convert::pipeline(&self.base, slug, row, self.now())
    }

    /// The page of a run, below which those of its jobs are.
    pub(crate) fn page(&self, slug: &Slug<'_>, run: &Pipeline) -> Option<WebUrl> {
        let number = run.number?.to_string();
        base::page(&self.base, slug, &[&number, "workflows", run.id.as_str()])
    }

    async fn read_project(&self, slug: &str) -> Result<Project> {
        let parsed = Slug::parse(slug).ok_or_else(|| no_project(slug))?;
        let url = self.client.url(&[&["project"], &parsed.segments()[..]].concat(), &[]);
        let row: wire::Project = self.client.get("GET /project/:slug", url).await?.json()?;
        Ok(convert::project(&self.source, &self.base, &row))
    }
}

/// The name under which a source is refused whose own is none. The configuration has checked that before.
fn fallback_name() -> SourceName {
    SourceName::new(DESCRIPTOR.id.as_str())
        .unwrap_or_else(|_| unreachable!("a platform's id is a source's name"))
}

/// What no project's name can be needs no question.
fn no_project(id: &str) -> Error {
    let shown = domain::text::line(id, domain::text::MAX_TITLE);
    Error::NotFound(format!("{shown:?} is no project of CircleCI's: expected gh/organization/repository"))
}

#[async_trait]
impl Connector for CircleCi {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn source(&self) -> &SourceName {
        &self.source
    }

    fn could_hold(&self, name: &str) -> bool {
        !Slug::meant(name).is_empty()
    }

    fn budget(&self) -> Option<Budget> {
        self.client.budget()
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
        let mut answer = Err(no_project(id_or_name));
        for slug in Slug::meant(id_or_name) {
            answer = match self.read_project(&slug).await {
                // A repository of that name may be on the other host.
                Err(e @ Error::NotFound(_)) => Err(e),
                other => return other,
            };
        }
        answer
    }

    async fn project_count(&self) -> Result<Option<u64>> {
        // There is no list of them.
        Ok(None)
    }

    fn branch_heads<'a>(&'a self, asks: Vec<HeadsAsk>) -> BoxStream<'a, (ProjectKey, Result<Heads>)> {
        stream::iter(asks)
            .map(move |ask| {
                Box::pin(async move {
                    let heads = heads::read(self, &ask).await;
                    (ask.project.key.clone(), heads)
                })
            })
            .buffer_unordered(PROJECTS_AT_ONCE)
            .boxed()
    }

    async fn pipelines(&self, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
        runs::list(self, project, query).await
    }

    async fn latest_pipeline(&self, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
        runs::latest(self, project, branch).await
    }

    async fn pipeline(&self, project: &Project, run: &RunId) -> Result<PipelineDetail> {
        runs::detail(self, project, run).await
    }

    async fn log(&self, project: &Project, _: &RunId, job: &JobId, max_bytes: usize) -> Result<Log> {
        log::read(self, project, job, max_bytes).await
    }

    async fn branches(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Branch>> {
        runs::branches(self, project, page).await
    }

    async fn branch(&self, project: &Project, name: &str) -> Result<Branch> {
        runs::branch(self, project, name).await
    }

    fn current_user(&self) -> Option<&dyn CurrentUser> {
        Some(self)
    }

    fn actions(&self) -> Option<&dyn Actions> {
        // Without a token nothing can be done.
        if self.anonymous { None } else { Some(self) }
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        Some(self)
    }
}

#[async_trait]
impl CurrentUser for CircleCi {
    async fn current_user(&self) -> Result<Option<Person>> {
        if self.anonymous {
            return Ok(None);
        }
        let me: wire::Me = self.client.get("GET /me", self.client.url(&["me"], &[])).await?.json()?;
        let avatar_url = me.avatar_url.as_deref().and_then(WebUrl::parse);
        let name = me.name.filter(|n| !n.trim().is_empty()).or_else(|| me.login.clone());
        Ok(name.map(|name| Person { name, login: me.login, avatar_url }))
    }
}
