//! One source of GitHub: what all its questions share.

use std::sync::Arc;

use async_trait::async_trait;
use config::{LogAccess, SourceSettings};
use connector::graphql::GraphQl;
use connector::http::{Answers, Auth, Budget, Client, ClientSettings, Credentials, Left, Traffic, auth_of};
use connector::wire::Rows;
use connector::{
    Actions, Batching, BuildError, Connector, CurrentUser, Deployments, Descriptor, Error, HeadsAsk, Issues,
    MergeRequests, Moved, Page, PageToken, PipelineDetail, PipelineQuery, Pipelines, ProjectPage, Result,
    TokenCheck, Webhooks,
};
use domain::{
    Branch, Clock, JobId, Log, Pipeline, Problem, ProblemKind, Project, ProjectKey, RunId, SourceName,
    Timestamp,
};
use futures::stream::BoxStream;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use url::Url;

use crate::app::{self, AppTokens};
use crate::base::{self, api_base, owner_and_name};
use crate::dialect::DIALECT;
use crate::{DESCRIPTOR, batch, deployments, heads, lists, runs};

/// The largest page that GitHub gives.
pub(crate) const PER_PAGE: &str = "100";
/// The secondary limit: points a minute, of which a request that only reads costs one, also where it is answered 304.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits>
const PER_MINUTE: u64 = 900;
/// The most pages of one list that are read in one question.
pub(crate) const MAX_PAGES: usize = 50;

/// A source of GitHub.
#[derive(Debug)]
pub(crate) struct GitHub {
    pub(crate) source: SourceName,
    pub(crate) client: Client,
    /// GraphQL, which needs a token.
    pub(crate) batch: Option<GraphQl>,
    /// The same for deployments.
    pub(crate) deployments: Option<GraphQl>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Signs in, where an App does instead of a token.
    pub(crate) app: Option<Arc<AppTokens>>,
    /// Without a token GitHub answers 60 requests an hour, and a 304 counts.
    pub(crate) anonymous: bool,
    pub(crate) organizations: Vec<String>,
    pub(crate) logs: LogAccess,
    pub(crate) webhook_secret: Option<SecretString>,
}

impl GitHub {
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
        let graphql = base::graphql(&base);
        let connection = ClientSettings {
            source: source.clone(),
            base,
            auth: Auth::Anonymous,
            dialect: DIALECT,
            ca_file: settings.ca_file.clone(),
            proxy,
            insecure_skip_verify: settings.insecure_skip_verify,
        };
        let app = app_of(settings, &connection, &clock).map_err(fail)?;
        let auth = match &app {
            Some(app) => Auth::Renewed(Arc::clone(app) as Arc<dyn Credentials>),
            None => auth_of(settings.token.as_ref(), Auth::Bearer, &clock),
        };
        let client = Client::new(ClientSettings { auth, ..connection }, Arc::clone(&clock)).map_err(fail)?;
        let anonymous = settings.token.is_none() && app.is_none();
        let graphql = |dialect| {
            (!anonymous).then(|| GraphQl::new(client.clone(), graphql.clone(), dialect, Arc::clone(&clock)))
        };
        let (batch, of_deployments) = (graphql(batch::DIALECT), graphql(deployments::DIALECT));
        Ok(Arc::new(Self {
            source: source.clone(),
            client,
            batch,
            deployments: of_deployments,
            clock,
            app,
            anonymous,
            organizations: settings.organizations.clone(),
            logs: settings.logs,
            webhook_secret: settings.webhook_secret.as_ref().map(|s| s.secret_string().clone()),
        }))
    }

    /// A URL below a repository.
    pub(crate) fn below(&self, project: &Project, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        let id = project.key.id.as_str();
        let (owner, name) = owner_and_name(id).ok_or_else(|| no_repository(id))?;
        Ok(self.client.url(&[&["repos", owner, name], path].concat(), query))
    }

    /// One page of a list that is a bare array, and the link to the next.
    pub(crate) async fn rows<T: DeserializeOwned>(
        &self,
        endpoint: &'static str,
        url: Url,
    ) -> Result<(Vec<T>, Option<Url>)> {
        let response = self.client.get(endpoint, url).await?;
        let rows: Rows<T> = response.json()?;
        self.note_broken(endpoint, &rows);
        // An empty page is the end, whatever it links to.
        let next = if rows.items.is_empty() && rows.broken == 0 { None } else { response.next_link()? };
        Ok((rows.items, next))
    }

    /// Says in the log that rows of a list could not be read. Lists that stand on the board say it there.
    pub(crate) fn note_broken<T>(&self, endpoint: &'static str, rows: &Rows<T>) {
        if rows.broken > 0 {
            let (broken, why) = (rows.broken, rows.first_error.as_deref().unwrap_or_default());
            tracing::warn!(source = %self.source, endpoint, broken, why, "rows of a list could not be read");
        }
    }
}

/// The App that signs in, where the settings name one.
///
/// # Errors
/// In words, when they name it by half, or a token as well.
fn app_of(
    settings: &SourceSettings,
    connection: &ClientSettings,
    clock: &Arc<dyn Clock>,
) -> std::result::Result<Option<Arc<AppTokens>>, String> {
    let text = |key| settings.extra_text(key).map(str::trim).filter(|text| !text.is_empty());
    let (app_id, private_key) = match (text("app_id"), settings.extra_secret("private_key")) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) if settings.token.is_some() => {
            return Err("it has a token and a GitHub App: leave out token, or app_id and private_key".into());
        }
        (Some(app_id), Some(key)) => (app_id, key),
        (Some(_), None) => return Err("app_id needs private_key_file: the App's key in PEM form".into()),
        (None, Some(_)) => return Err("private_key_file needs app_id: the number of the App".into()),
    };
    let named = app::Settings { app_id, installation_id: text("installation_id"), private_key };
    AppTokens::new(&named, connection.clone(), clock).map(Arc::new).map(Some)
}

/// The name under which a source is refused whose own is none. The configuration has checked that before.
fn fallback_name() -> SourceName {
    SourceName::new(DESCRIPTOR.id.as_str())
        .unwrap_or_else(|_| unreachable!("a platform's id is a source's name"))
}

/// What no repository's name can be needs no question.
pub(crate) fn no_repository(id: &str) -> Error {
    let shown = domain::text::line(id, domain::text::MAX_TITLE);
    Error::NotFound(format!("{shown:?} is no repository of GitHub's: expected owner/repository"))
}

/// The token of a page that begins at this URL.
pub(crate) fn token(next: Option<Url>) -> Option<PageToken> {
    next.map(|url| PageToken(url.into()))
}

/// The URL of a page, or the first.
pub(crate) fn page_url(page: Option<PageToken>, first: impl FnOnce() -> Result<Url>) -> Result<Url> {
    match page {
        None => first(),
        Some(token) => Url::parse(&token.0).map_err(|e| Error::Garbage(format!("page token: {e}"))),
    }
}

/// A part that is missing, as a reason on the row.
pub(crate) fn partial(part: &str, error: &Error) -> Problem {
    match error {
        Error::NotFound(_) => Problem::new(ProblemKind::Partial, format!("{part}: not found")),
        error => error.to_partial(part),
    }
}

#[async_trait]
impl Connector for GitHub {
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

    fn left(&self) -> Option<Left> {
        Some(self.client.left())
    }

    fn resume(&self, left: &Left) {
        self.client.resume(left);
    }

    fn most_per_minute(&self) -> Option<u64> {
        Some(PER_MINUTE)
    }

    async fn has_new_credential(&self) -> bool {
        self.client.has_new_credential().await
    }

    fn answers(&self) -> Vec<Answers> {
        vec![self.client.answers()]
    }

    fn traffic(&self) -> Traffic {
        let signing_in = self.app.as_ref().map(|app| app.traffic()).unwrap_or_default();
        self.client.traffic().and(signing_in)
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

    async fn moved_since(&self, since: Timestamp) -> Result<Option<Moved>> {
        lists::moved_since(self, since).await
    }

    fn batching(&self) -> Option<Batching> {
        let batch = self.batch.as_ref().filter(|batch| batch.is_there())?;
        Some(Batching {
            per_request: batch.size(),
            budget: batch.budget(),
            cost: batch.cost(),
            glances: true,
        })
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

    async fn log(&self, project: &Project, _: &RunId, job: &JobId, max_bytes: usize) -> Result<Log> {
        runs::log(self, project, job, max_bytes).await
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

    fn deployments(&self) -> Option<&dyn Deployments> {
        Some(self)
    }

    fn current_user(&self) -> Option<&dyn CurrentUser> {
        Some(self)
    }

    fn token_check(&self) -> Option<&dyn TokenCheck> {
        // What an App may is not told this way.
        if self.anonymous || self.app.is_some() { None } else { Some(self) }
    }

    fn actions(&self) -> Option<&dyn Actions> {
        // Without a token nothing can be done.
        if self.anonymous { None } else { Some(self) }
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        Some(self)
    }
}
