//! One configured Bitbucket: the two that it may be, and what is asked of either.

use std::sync::Arc;

use async_trait::async_trait;
use config::SourceSettings;
use connector::http::{Answers, Auth, Budget, Client, ClientSettings, Dialect, Left, Traffic, auth_of};
use connector::{
    Actions, BuildError, Connector, CurrentUser, Descriptor, Error, Heads, HeadsAsk, Issue, Issues,
    MergeRequest, MergeRequests, Page, PageToken, PipelineDetail, PipelineQuery, Pipelines, ProjectPage,
    Result, Webhooks,
};
use domain::{Branch, Clock, JobId, Log, Person, Pipeline, Project, ProjectKey, RunId, SourceName};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use secrecy::SecretString;
use tokio::sync::OnceCell;
use url::Url;

use crate::cloud::Cloud;
use crate::datacenter::DataCenter;
use crate::which::{self, Which};
use crate::{DESCRIPTOR, base, door};

/// A source of Bitbucket.
#[derive(Debug)]
pub(crate) struct Bitbucket {
    pub(crate) source: SourceName,
    pub(crate) cloud: Cloud,
    pub(crate) data_center: DataCenter,
    /// Asks which of the two it is; its requests count as the source's.
    asker: Client,
    which: OnceCell<Which>,
    anonymous: bool,
    pub(crate) webhook_secret: Option<SecretString>,
}

/// Makes a source. No I/O.
pub(crate) fn build(
    settings: &SourceSettings,
    clock: Arc<dyn Clock>,
) -> std::result::Result<Arc<dyn Connector>, BuildError> {
    let source = SourceName::new(&settings.name).map_err(|why| BuildError {
        // What is no name cannot stand as one; the text has it.
        source_name: SourceName::new(DESCRIPTOR.id.as_str())
            .unwrap_or_else(|_| unreachable!("a platform's id is a source's name")),
        why: why.to_string(),
    })?;
    let fail = |why: String| BuildError { source_name: source.clone(), why };
    let url = settings.url.as_ref().ok_or_else(|| fail("no url".into()))?;
    let base = base::base(url).map_err(fail)?;
    let proxy = settings.proxy.as_ref().map(|p| Url::parse(p.expose())).transpose();
    let proxy = proxy.map_err(|e| fail(format!("proxy: {e}")))?;
    let user = settings.user.clone().filter(|user| !user.is_empty());
    // Access tokens belong to nobody, and are sent alone.
    let of_nobody = user.is_none() && settings.token.is_some();
    let wrap = move |token| match &user {
        Some(user) => Auth::Basic { user: user.clone(), password: token },
        None => Auth::Bearer(token),
    };
    let auth = auth_of(settings.token.as_ref(), wrap, &clock);
    let client = |dialect: Dialect| {
        let settings = ClientSettings {
            source: source.clone(),
            base: base.clone(),
            auth: auth.clone(),
            dialect,
            ca_file: settings.ca_file.clone(),
            proxy: proxy.clone(),
            insecure_skip_verify: settings.insecure_skip_verify,
        };
        Client::new(settings, Arc::clone(&clock)).map_err(fail)
    };
    let within: Vec<String> =
        settings.workspaces.iter().map(|w| w.trim().trim_matches('/').to_owned()).collect();
    Ok(Arc::new(Bitbucket {
        cloud: Cloud::new(&source, client(door::CLOUD)?, within.clone(), of_nobody, settings.logs),
        data_center: DataCenter::new(&source, client(door::DATA_CENTER)?, within),
        asker: client(door::EITHER)?,
        which: OnceCell::new(),
        anonymous: settings.token.is_none(),
        webhook_secret: settings.webhook_secret.as_ref().map(|s| s.secret_string().clone()),
        source,
    }))
}

impl Bitbucket {
    /// Which of the two it is: asked once, by whoever comes first.
    async fn which(&self) -> Result<Which> {
        let ask = || async {
            let which = which::ask(&self.asker, &self.source).await?;
            if which == Which::Cloud {
                // Asking has cost as much as anything else.
                self.cloud.client.resume(&self.asker.left());
            }
            Ok(which)
        };
        self.which.get_or_try_init(ask).await.copied()
    }
}

/// Asks whichever of the two it is the same.
macro_rules! either {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        match $self.which().await? {
            Which::Cloud => $self.cloud.$method($($argument),*).await,
            Which::DataCenter => $self.data_center.$method($($argument),*).await,
        }
    };
}

#[async_trait]
impl Connector for Bitbucket {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn source(&self) -> &SourceName {
        &self.source
    }

    fn could_hold(&self, name: &str) -> bool {
        base::two_parts(name).is_some()
    }

    fn budget(&self) -> Option<Budget> {
        match self.which.get()? {
            Which::Cloud => self.cloud.budget(),
            Which::DataCenter => self.data_center.client.budget(),
        }
    }

    fn left(&self) -> Option<Left> {
        let client = match self.which.get() {
            Some(Which::Cloud) => &self.cloud.client,
            Some(Which::DataCenter) => &self.data_center.client,
            None => &self.asker,
        };
        Some(client.left())
    }

    fn resume(&self, left: &Left) {
        for client in [&self.asker, &self.cloud.client, &self.data_center.client] {
            client.resume(left);
        }
    }

    async fn has_new_credential(&self) -> bool {
        let mut another = false;
        // Each forgets what it counted.
        for client in [&self.asker, &self.cloud.client, &self.data_center.client] {
            another |= client.has_new_credential().await;
        }
        another
    }

    fn answers(&self) -> Vec<Answers> {
        [&self.asker, &self.cloud.client, &self.data_center.client].map(Client::answers).into()
    }

    fn traffic(&self) -> Traffic {
        let clients = [&self.asker, &self.cloud.client, &self.data_center.client];
        // Their endpoints differ but for a few that only one of them ever asks.
        clients.into_iter().map(Client::traffic).fold(Traffic::default(), Traffic::and)
    }

    async fn projects(&self, page: Option<PageToken>) -> Result<ProjectPage> {
        either!(self, projects(page))
    }

    async fn project(&self, id_or_name: &str) -> Result<Project> {
        either!(self, project(id_or_name))
    }

    async fn project_count(&self) -> Result<Option<u64>> {
        match self.which().await? {
            Which::Cloud => self.cloud.project_count().await,
            // It counts nothing.
            Which::DataCenter => Ok(None),
        }
    }

    fn branch_heads<'a>(&'a self, asks: Vec<HeadsAsk>) -> BoxStream<'a, (ProjectKey, Result<Heads>)> {
        let asked = async move {
            match self.which().await {
                Ok(Which::Cloud) => self.cloud.branch_heads(asks),
                Ok(Which::DataCenter) => self.data_center.branch_heads(asks),
                Err(e) => {
                    let answer = move |ask: HeadsAsk| (ask.project.key.clone(), Err(e.clone()));
                    stream::iter(asks.into_iter().map(answer)).boxed()
                }
            }
        };
        stream::once(asked).flatten().boxed()
    }

    async fn pipelines(&self, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
        either!(self, pipelines(project, query))
    }

    async fn latest_pipeline(&self, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
        either!(self, latest(project, branch))
    }

    async fn pipeline(&self, project: &Project, run: &RunId) -> Result<PipelineDetail> {
        either!(self, detail(project, run))
    }

    async fn log(&self, project: &Project, run: &RunId, job: &JobId, max_bytes: usize) -> Result<Log> {
        match self.which().await? {
            Which::Cloud => self.cloud.log(project, run, job, max_bytes).await,
            Which::DataCenter => Ok(Log {
                note: Some("Bitbucket Data Center keeps no logs: see where the build ran".to_owned()),
                ..Log::default()
            }),
        }
    }

    async fn branches(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Branch>> {
        either!(self, branches(project, page))
    }

    async fn branch(&self, project: &Project, name: &str) -> Result<Branch> {
        either!(self, branch(project, name))
    }

    fn merge_requests(&self) -> Option<&dyn MergeRequests> {
        Some(self)
    }

    fn issues(&self) -> Option<&dyn Issues> {
        (self.which.get() != Some(&Which::DataCenter)).then_some(self)
    }

    fn current_user(&self) -> Option<&dyn CurrentUser> {
        Some(self)
    }

    fn actions(&self) -> Option<&dyn Actions> {
        // Without a token nothing can be done, and Data Center's builds belong to others.
        (!self.anonymous && self.which.get() != Some(&Which::DataCenter)).then_some(self)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        Some(self)
    }
}

#[async_trait]
impl MergeRequests for Bitbucket {
    async fn open_merge_requests(
        &self,
        project: &Project,
        page: Option<PageToken>,
    ) -> Result<Page<MergeRequest>> {
        either!(self, pull_requests(project, page))
    }
}

#[async_trait]
impl Issues for Bitbucket {
    async fn open_issues(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Issue>> {
        match self.which().await? {
            Which::Cloud => self.cloud.issues(project, page).await,
            Which::DataCenter => Ok(Page { items: Vec::new(), next: None }),
        }
    }
}

#[async_trait]
impl CurrentUser for Bitbucket {
    async fn current_user(&self) -> Result<Option<Person>> {
        if self.anonymous {
            return Ok(None);
        }
        either!(self, current_user())
    }
}

#[async_trait]
impl Actions for Bitbucket {
    /// Starts a further pipeline for the same commit: Bitbucket's API cannot run one again. Its variables are not known
    /// and not passed on.
    async fn retry(&self, project: &Project, run: &RunId) -> Result<()> {
        match self.which().await? {
            Which::Cloud => self.cloud.retry(project, run).await,
            Which::DataCenter => Err(runs_elsewhere()),
        }
    }

    async fn cancel(&self, project: &Project, run: &RunId) -> Result<()> {
        match self.which().await? {
            Which::Cloud => self.cloud.cancel(project, run).await,
            Which::DataCenter => Err(runs_elsewhere()),
        }
    }
}

fn runs_elsewhere() -> Error {
    Error::Refused("Bitbucket Data Center runs no builds itself: start and stop them where they run".into())
}
