//! One source of Gitea: what all its questions share.

use std::sync::Arc;

use async_trait::async_trait;
use config::{LogAccess, SourceSettings};
use connector::http::{Answers, Auth, Budget, Client, ClientSettings, Response, Traffic, auth_of};
use connector::wire::Rows;
use connector::{
    Actions, BuildError, Connector, CurrentUser, Descriptor, Error, HeadsAsk, Issues, MergeRequests, Page,
    PageToken, PipelineDetail, PipelineQuery, Pipelines, ProjectPage, Result, Webhooks,
};
use domain::{Branch, Clock, JobId, Log, Pipeline, Project, ProjectKey, RunId, SourceName};
use futures::stream::BoxStream;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use crate::base::{api_base, owner_and_name};
use crate::dialect::DIALECT;
use crate::memory::Memory;
use crate::paging::{self, next};
use crate::{DESCRIPTOR, heads, lists, runs, wire};

/// A source of Gitea or Forgejo.
#[derive(Debug)]
pub(crate) struct Gitea {
    pub(crate) source: SourceName,
    pub(crate) client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) memory: Memory,
    pub(crate) anonymous: bool,
    pub(crate) organizations: Vec<String>,
    pub(crate) logs: LogAccess,
    pub(crate) webhook_secret: Option<SecretString>,
    base: Url,
}

impl Gitea {
    /// Makes a source. No I/O.
    pub(crate) fn build(
        settings: &SourceSettings,
        clock: Arc<dyn Clock>,
    ) -> std::result::Result<Arc<dyn Connector>, BuildError> {
        let source = SourceName::new(&settings.name)
            .map_err(|why| BuildError { source_name: fallback_name(), why: why.to_string() })?;
        let fail = |why: String| BuildError { source_name: source.clone(), why };
        let url = settings.url.as_ref().ok_or_else(|| fail("no url".into()))?;
        let base = api_base(url).map_err(fail)?;
        let proxy = settings
            .proxy
            .as_ref()
            .map(|p| Url::parse(p.expose()))
            .transpose()
            .map_err(|e| fail(format!("proxy: {e}")))?;
        // `token` is what all versions take; `Bearer` came later.
        let header = |token: SecretString| Auth::Header {
            name: "authorization",
            value: format!("token {}", token.expose_secret()).into(),
        };
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
            clock,
            memory: Memory::default(),
            anonymous: settings.token.is_none(),
            organizations: settings.organizations.clone(),
            logs: settings.logs,
            webhook_secret: settings.webhook_secret.as_ref().map(|s| s.secret_string().clone()),
            base,
        }))
    }

    /// A URL below a repository.
    pub(crate) fn below(&self, project: &Project, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        let id = project.key.id.as_str();
        let (owner, name) = owner_and_name(id).ok_or_else(|| no_repository(id))?;
        Ok(self.client.url(&[&["repos", owner, name], path].concat(), query))
    }

    /// An answer, read.
    pub(crate) async fn json<T: DeserializeOwned>(&self, endpoint: &'static str, url: Url) -> Result<T> {
        self.answer(endpoint, url).await.map(|(_, read)| read)
    }

    async fn answer<T: DeserializeOwned>(&self, endpoint: &'static str, url: Url) -> Result<(Response, T)> {
        let response = self.client.get(endpoint, url).await?;
        let read = response.json()?;
        self.memory.seen_gitea();
        Ok((response, read))
    }

    /// One page of a list that is a bare array, and where the next begins.
    pub(crate) async fn rows<T: DeserializeOwned>(
        &self,
        endpoint: &'static str,
        url: Url,
    ) -> Result<(Vec<T>, Option<Url>)> {
        let (response, rows) = self.answer::<Rows<T>>(endpoint, url.clone()).await?;
        self.note_broken(endpoint, &rows);
        let next = next(&response, &url, rows.items.len() + rows.broken);
        Ok((rows.items, next))
    }

    /// How many rows a list has in all; the answer's own rows are not read.
    pub(crate) async fn count(&self, endpoint: &'static str, url: Url) -> Result<Option<u64>> {
        Ok(paging::total(&self.client.get(endpoint, url).await?))
    }

    /// Says in the log that rows of a list could not be read. Lists that stand on the board say it there.
    pub(crate) fn note_broken<T>(&self, endpoint: &'static str, rows: &Rows<T>) {
        if rows.broken > 0 {
            let (broken, why) = (rows.broken, rows.first_error.as_deref().unwrap_or_default());
            tracing::warn!(source = %self.source, endpoint, broken, why, "rows of a list could not be read");
        }
    }

    /// Tells a server without this thing from one that is no Gitea at all, as long as it has not shown to be one.
    pub(crate) async fn or_no_gitea(&self, error: Error) -> Error {
        if !matches!(error, Error::NotFound(_)) || self.memory.is_gitea() {
            return error;
        }
        let url = self.client.url(&["version"], &[]);
        match self.json::<wire::Version>("GET /version", url).await {
            Err(Error::NotFound(_)) => self.no_gitea("404, also for its /version"),
            Err(Error::Garbage(why)) => self.no_gitea(&why),
            Ok(_) | Err(_) => error,
        }
    }

    /// See [`Gitea::or_no_gitea`].
    pub(crate) fn no_gitea(&self, got: &str) -> Error {
        let (base, host) = (&self.base, self.base.host_str().unwrap_or("?"));
        let port = base.port().map(|p| format!(":{p}")).unwrap_or_default();
        Error::Garbage(format!(
            "source {}: expected the API of a Gitea or Forgejo at {}://{host}{port}{}, got {got}",
            self.source,
            base.scheme(),
            base.path(),
        ))
    }
}

/// The name under which a source is refused whose own is none. The configuration has checked that before.
fn fallback_name() -> SourceName {
    SourceName::new(DESCRIPTOR.id.as_str())
        .unwrap_or_else(|_| unreachable!("a platform's id is a source's name"))
}

/// What no repository's name can be needs no question.
pub(crate) fn no_repository(id: &str) -> Error {
    let shown = domain::text::line(id, domain::text::MAX_TITLE);
    Error::NotFound(format!("{shown:?} is no repository of Gitea's: expected owner/repository"))
}

#[async_trait]
impl Connector for Gitea {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn source(&self) -> &SourceName {
        &self.source
    }

    fn could_hold(&self, name: &str) -> bool {
        owner_and_name(name).is_some()
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
        lists::projects(self, page).await
    }

    async fn project(&self, id_or_name: &str) -> Result<Project> {
        lists::project(self, id_or_name).await
    }

    async fn project_count(&self) -> Result<Option<u64>> {
        lists::project_count(self).await
    }

    fn branch_heads<'a>(
        &'a self,
        asks: Vec<HeadsAsk>,
    ) -> BoxStream<'a, (ProjectKey, Result<connector::Heads>)> {
        heads::branch_heads(self, asks)
    }

    async fn pipelines(&self, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
        runs::pipelines(self, project, query).await
    }

    async fn latest_pipeline(&self, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
        runs::latest(self, project, branch).await
    }

    async fn pipeline(&self, project: &Project, run: &RunId) -> Result<PipelineDetail> {
        runs::detail(self, project, run).await
    }

    async fn log(&self, project: &Project, run: &RunId, job: &JobId, max: usize) -> Result<Log> {
        runs::log(self, project, run, job, max).await
    }

    async fn branches(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Branch>> {
        lists::branches(self, project, page).await
    }

    async fn branch(&self, project: &Project, name: &str) -> Result<Branch> {
        lists::branch(self, project, name).await
    }

    fn merge_requests(&self) -> Option<&dyn MergeRequests> {
        Some(self)
    }

    fn issues(&self) -> Option<&dyn Issues> {
        Some(self)
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
