//! One Jenkins, and what is asked of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use config::{LogAccess, SourceSettings};
use connector::http::{Answers, Auth, Budget, Client, ClientSettings, Dialect, Limits, Traffic, auth_of};
use connector::{
    Actions, BuildError, Connector, CurrentUser, Descriptor, Error, Heads, HeadsAsk, Page, PageToken,
    PipelineDetail, PipelineQuery, Pipelines, ProjectPage, Result, Webhooks,
};
use domain::{Branch, Clock, JobId, Log, Person, Pipeline, Project, ProjectKey, RunId, SourceName};
use futures::stream::BoxStream;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use url::Url;

use crate::convert::Of;
use crate::{DESCRIPTOR, SCOPE, base, convert, heads, tree, wire};

/// Requests at a time. Jenkins publishes no limit; it answers each of ours with the work of one of its few threads.
const AT_ONCE: usize = 3;
/// The largest answer, in bytes: one of 300 folders full of jobs. A job takes some 700 bytes.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// How many multibranch jobs are remembered by name, for webhooks. Beyond that theirs only touch.
const MAX_REMEMBERED: usize = 50_000;

/// What Jenkins calls a request that came without a crumb. As a message of ours it means: ask for one.
pub(crate) const NO_CRUMB: &str = "Jenkins wants a crumb with this (403)";

pub(crate) const OF_JOB: &str = "GET /job/:job/api/json";

/// One configured Jenkins.
#[derive(Debug)]
pub(crate) struct Jenkins {
    pub(crate) name: SourceName,
    pub(crate) client: Client,
    pub(crate) root: Url,
    pub(crate) anonymous: bool,
    /// Full names of the folders to read; empty: everything.
    pub(crate) folders: Vec<String>,
    pub(crate) logs: LogAccess,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) webhook_secret: Option<SecretString>,
    /// Which jobs are multibranch, as far as any listing told: a webhook does not say so. No more than a hint.
    multibranch: Mutex<BTreeSet<String>>,
    /// How many builds the last listing told.
    pub(crate) builds_told: AtomicUsize,
    /// Seconds since 1970 until which the listing does not tell builds whole, since that took too long.
    pub(crate) slow_until: AtomicI64,
}

impl Jenkins {
    pub(crate) fn new(
        settings: &SourceSettings,
        clock: Arc<dyn Clock>,
    ) -> std::result::Result<Self, BuildError> {
        let name = SourceName::new(&settings.name).map_err(|e| BuildError {
            // What is no name cannot stand as one; the text has it.
            source_name: SourceName::new("jenkins")
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
        let user = settings.user.clone().filter(|user| !user.is_empty());
        let auth = match (user, settings.token.as_ref()) {
            (Some(user), Some(token)) => {
                auth_of(Some(token), move |password| Auth::Basic { user: user.clone(), password }, &clock)
            }
            (None, token) => auth_of(token, Auth::Bearer, &clock),
            (Some(_), None) => {
                return Err(fail(
                    "it has a user but no token: give both, or neither to read anonymously".into(),
                ));
            }
        };
        let root = base::root(url).map_err(&fail)?;
        let client = Client::with_limits(
            ClientSettings {
                source: name.clone(),
                base: root.clone(),
                auth,
                dialect: DIALECT,
                ca_file: settings.ca_file.clone(),
                proxy,
                insecure_skip_verify: settings.insecure_skip_verify,
            },
            Arc::clone(&clock),
            Limits { concurrent: AT_ONCE, body_bytes: MAX_BODY, ..Limits::default() },
        )
        .map_err(&fail)?;
        Ok(Self {
            root,
            anonymous: settings.token.is_none(),
            folders: settings
                .folders
                .iter()
                .map(|f| base::full_name(f).to_owned())
                .filter(|f| !f.is_empty())
                .collect(),
            logs: settings.logs,
            clock,
            webhook_secret: settings.webhook_secret.as_ref().map(|s| s.secret_string().clone()),
            multibranch: Mutex::default(),
            builds_told: AtomicUsize::new(usize::MAX),
            slow_until: AtomicI64::new(0),
            name,
            client,
        })
    }

    /// The URL of something of a job, with the fields that are wanted of it.
    pub(crate) fn url(&self, job: &str, below: &[&str], tree: &str) -> Url {
        let mut segments = base::segments(job);
        segments.extend(below);
        segments.extend(["api", "json"]);
        self.client.url(&segments, &[("tree", tree)])
    }

    /// Reads JSON. What is none is told with the source's name, since its settings may point at something else.
    pub(crate) async fn read<T: serde::de::DeserializeOwned>(
        &self,
        endpoint: &'static str,
        url: Url,
    ) -> Result<T> {
        let answer = self.client.get(endpoint, url).await;
        answer.and_then(|answer| answer.json()).map_err(|error| self.named(error))
    }

    /// Reads some fields of a job or folder.
    pub(crate) async fn item(&self, job: &str, tree: &str) -> Result<wire::Item> {
        self.read(OF_JOB, self.url(job, &[], tree)).await
    }

    fn named(&self, error: Error) -> Error {
        match error {
            Error::Garbage(text) => Error::Garbage(format!("source {}: {text}", self.name)),
            other => other,
        }
    }

    /// Builds of this project, or of one of its children.
    pub(crate) fn of<'a>(&'a self, project: &'a Project, child: Option<&'a str>) -> Of<'a> {
        Of { project: project.key.id.as_str(), child, root: &self.root, now: self.clock.now() }
    }

    /// Child and number of a run, and the full name of the job that it is of.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is no id of a build.
    pub(crate) fn run<'a>(
        &self,
        project: &Project,
        run: &'a RunId,
    ) -> Result<(String, Option<&'a str>, u64)> {
        let (child, number) = base::parse_run(run)
            .ok_or_else(|| Error::NotFound(format!("{:?} is no id of a build", run.as_str())))?;
        let id = project.key.id.as_str();
        Ok((child.map_or_else(|| id.to_owned(), |child| base::join(id, child)), child, number))
    }

    pub(crate) fn remember_multibranch(&self, full_name: &str) {
        let mut known = self.multibranch.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_REMEMBERED && !known.contains(full_name) {
            known.insert(full_name.to_owned());
        }
    }

    pub(crate) fn is_multibranch(&self, full_name: &str) -> bool {
        self.multibranch.lock().unwrap_or_else(PoisonError::into_inner).contains(full_name)
    }
}

/// What Jenkins' requests look like. Its API gives no ETags and publishes no limits.
const DIALECT: Dialect = Dialect {
    title: "Jenkins",
    scope: SCOPE,
    headers: &[("accept", "application/json")],
    budget: None,
    hourly: None,
    unmodified_is_free: false,
    classify,
};

/// Errors that only Jenkins has: whom it took for anonymous, POSTs without a crumb, and its own start.
fn classify(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Error> {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let says = |text: &str| body.windows(text.len()).any(|w| w.eq_ignore_ascii_case(text.as_bytes()));
    match status.as_u16() {
        403 if says("No valid crumb") => Some(Error::Forbidden(NO_CRUMB.to_owned())),
        403 if header("x-you-are-authenticated-as") == Some("anonymous") => {
            let needs =
                header("x-required-permission").map(|p| format!(", it takes {}", domain::text::line(p, 80)));
            Some(Error::Unauthorized(format!(
                "Jenkins took this for anonymous and refuses it (403{}): user and token are needed that may: {SCOPE}",
                needs.unwrap_or_default()
            )))
        }
        503 if says("getting ready to work") || says("is restarting") => {
            Some(Error::Server("Jenkins is starting and not ready yet (503)".to_owned()))
        }
        _ => None,
    }
}

#[async_trait]
impl Connector for Jenkins {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn source(&self) -> &SourceName {
        &self.name
    }

    fn could_hold(&self, name: &str) -> bool {
        base::could_be_job(name)
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
        self.find_project(id_or_name).await
    }

    /// Not told: counting would cost as much as the listing itself.
    async fn project_count(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn branch_heads<'a>(&'a self, asks: Vec<HeadsAsk>) -> BoxStream<'a, (ProjectKey, Result<Heads>)> {
        heads::stream(self, asks)
    }

    async fn pipelines(&self, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
        self.list_builds(project, query).await
    }

    async fn latest_pipeline(&self, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
        self.latest_build(project, branch).await
    }

    async fn pipeline(&self, project: &Project, run: &RunId) -> Result<PipelineDetail> {
        self.read_build(project, run).await
    }

    async fn log(&self, project: &Project, run: &RunId, job: &JobId, max_bytes: usize) -> Result<Log> {
        self.read_log(project, run, job, max_bytes).await
    }

    async fn branches(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Branch>> {
        self.list_branches(project, page).await
    }

    async fn branch(&self, project: &Project, name: &str) -> Result<Branch> {
        let child = self.child_of(project, name).await?;
        let job = base::join(project.key.id.as_str(), &child);
        let item = self.item(&job, &tree::branch()).await?;
        let item = wire::Item { name: Some(child), ..item };
        convert::branch(project, &self.root, &item, self.clock.now())
            .ok_or_else(|| Error::NotFound(format!("{} has no branch {name:?}", project.name)))
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
impl CurrentUser for Jenkins {
    async fn current_user(&self) -> Result<Option<Person>> {
        if self.anonymous {
            return Ok(None);
        }
        let url = self.client.url(&["me", "api", "json"], &[("tree", "id,fullName")]);
        let user: wire::User = match self.read("GET /me/api/json", url).await {
            Ok(user) => user,
            Err(Error::Forbidden(_) | Error::NotFound(_)) => return Ok(None),
            Err(e) => return Err(e),
        };
        let name = user.full_name.or_else(|| user.id.clone());
        Ok(name.map(|name| Person { name, login: user.id, avatar_url: None }))
    }
}
