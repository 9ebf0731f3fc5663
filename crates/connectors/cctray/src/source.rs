//! One feed, and what is asked of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use config::SourceSettings;
use connector::http::{Answers, Auth, Budget, Client, ClientSettings, Dialect, Traffic, auth_of};
use connector::{
    BuildError, Connector, Descriptor, Error, Heads, HeadsAsk, Page, PageToken, PipelineDetail,
    PipelineQuery, Pipelines, ProjectPage, Result,
};
use domain::text::{MAX_NAME, line};
use domain::{
    Branch, Clock, JobId, Log, NativeId, Pipeline, Problem, ProblemKind, Project, ProjectKey, RunId,
    SourceName,
};
use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryFutureExt};
use url::Url;

use crate::feed::{self, MAX_PROJECTS};
use crate::{DESCRIPTOR, convert, text};

/// What a token has to be allowed.
pub(crate) const SCOPE: &str = "reading the feed (user and token, or a token alone, which is sent as Bearer)";

const FEED: &str = "GET feed";

static DIALECT: Dialect = Dialect {
    title: "cctray feed",
    scope: SCOPE,
    headers: &[("accept", "application/xml, text/xml;q=0.9, */*;q=0.1")],
    budget: None,
    hourly: None,
    unmodified_is_free: false,
    classify: |_, _, _| None,
};

/// A feed as read: its projects by id, in its order.
type Told = Arc<Vec<(Project, Heads)>>;
/// A reading that several may wait for.
type Reading = BoxFuture<'static, Result<Told>>;

/// One configured feed.
pub(crate) struct Cctray {
    name: SourceName,
    client: Client,
    url: Url,
    clock: Arc<dyn Clock>,
    /// The reading that is on its way, if one is: many questions at a time are one request.
    under_way: Mutex<Option<WeakShared<Reading>>>,
}

impl std::fmt::Debug for Cctray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the URL: some servers want a token in its query.
        f.debug_struct("Cctray").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Cctray {
    /// Makes a source. No I/O.
    pub(crate) fn build(
        settings: &SourceSettings,
        clock: Arc<dyn Clock>,
    ) -> std::result::Result<Arc<dyn Connector>, BuildError> {
        let name = SourceName::new(&settings.name)
            .map_err(|why| BuildError { source_name: fallback_name(), why: why.to_string() })?;
        let fail = |why: String| BuildError { source_name: name.clone(), why };
        let url = settings.url.clone().ok_or_else(|| fail("it has no url: the feed's own address".into()))?;
        let proxy = settings
            .proxy
            .as_ref()
            .map(|p| Url::parse(p.expose()))
            .transpose()
            .map_err(|e| fail(format!("proxy: {e}")))?;
        let auth = match (&settings.user, &settings.token) {
            (Some(user), Some(token)) => {
                let user = user.clone();
                auth_of(Some(token), move |password| Auth::Basic { user: user.clone(), password }, &clock)
            }
            (None, Some(token)) => auth_of(Some(token), Auth::Bearer, &clock),
            (Some(_), None) => return Err(fail("it has a user but no token".into())),
            (None, None) => Auth::Anonymous,
        };
        let client = Client::new(
            ClientSettings {
                source: name.clone(),
                base: url.clone(),
                auth,
                dialect: DIALECT,
                ca_file: settings.ca_file.clone(),
                proxy,
                insecure_skip_verify: settings.insecure_skip_verify,
            },
            Arc::clone(&clock),
        )
        .map_err(fail)?;
        Ok(Arc::new(Self { name, client, url, clock, under_way: Mutex::default() }))
    }

    /// The feed as it is now. Who asks while it is being read gets that answer.
    async fn told(&self) -> Result<Told> {
        let reading = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            let joined = under_way.as_ref().and_then(WeakShared::upgrade).filter(|r| r.peek().is_none());
            joined.unwrap_or_else(|| {
                let reading: Shared<Reading> =
                    read(self.client.clone(), self.url.clone(), self.name.clone()).boxed().shared();
                *under_way = reading.downgrade();
                reading
            })
        };
        reading.await
    }

    async fn one(&self, id_or_name: &str) -> Result<(Project, Heads)> {
        let told = self.told().await?;
        let is = |wanted: &str, p: &Project| p.key.id.as_str() == wanted;
        let found = told.iter().find(|(p, _)| is(id_or_name, p));
        let found = found.or_else(|| told.iter().find(|(p, _)| same_letters(&p.name, id_or_name)));
        found.cloned().ok_or_else(|| self.unnamed(id_or_name))
    }

    fn unnamed(&self, name: &str) -> Error {
        let (shown, at) = (line(name, MAX_NAME), place(&self.url));
        Error::NotFound(format!("the cctray feed at {at} names no project {shown:?}"))
    }
}

/// Whether two names differ in case at most.
fn same_letters(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}

/// The name under which a source is refused whose own is none. The configuration has checked that before.
fn fallback_name() -> SourceName {
    SourceName::new(DESCRIPTOR.id.as_str())
        .unwrap_or_else(|_| unreachable!("a platform's id is a source's name"))
}

/// Host, and port where it is not the usual one. Not the path and query, which may hold a token.
fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

async fn read(client: Client, url: Url, source: SourceName) -> Result<Told> {
    let at = place(&url);
    let answer = client.get(FEED, url).await?;
    let text = text::decode(&answer.body);
    let feed = feed::read(&text).map_err(|got| {
        Error::Garbage(format!("expected a cctray feed (XML with <Projects>) at {at}, got {got}"))
    })?;
    if feed.nameless > 0 {
        tracing::warn!(%source, projects = feed.nameless, "projects without a name are left out");
    }
    if feed.truncated {
        tracing::warn!(%source, "the feed has more than {MAX_PROJECTS} projects: the rest is left out");
    }
    let mut namesakes: HashMap<&str, usize> = HashMap::new();
    let told = feed.rows.iter().map(|row| {
        let before = namesakes.entry(row.name.as_str()).or_default();
        let project = convert::project(&source, row, *before);
        *before += 1;
        (project, convert::heads(row))
    });
    Ok(Arc::new(told.collect()))
}

#[async_trait]
impl Connector for Cctray {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn source(&self) -> &SourceName {
        &self.name
    }

    fn could_hold(&self, name: &str) -> bool {
        // Names are free text, bounded as the feed's are.
        !name.trim().is_empty() && name.chars().count() <= MAX_NAME
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

    async fn projects(&self, _: Option<PageToken>) -> Result<ProjectPage> {
        let told = self.told().await?;
        let items = told.iter().map(|(project, _)| project.clone()).collect();
        let told: BTreeMap<NativeId, Heads> =
            told.iter().map(|(project, heads)| (project.key.id.clone(), heads.clone())).collect();
        Ok(ProjectPage { items, told, next: None })
    }

    async fn project(&self, id_or_name: &str) -> Result<Project> {
        self.one(id_or_name).await.map(|(project, _)| project)
    }

    async fn project_count(&self) -> Result<Option<u64>> {
        // To count them is to read them.
        Ok(None)
    }

    fn branch_heads<'a>(&'a self, asks: Vec<HeadsAsk>) -> BoxStream<'a, (ProjectKey, Result<Heads>)> {
        let (told, untold): (Vec<_>, Vec<_>) = asks.into_iter().partition(|ask| ask.told.is_some());
        let answer = |ask: HeadsAsk, told: Heads| {
            (ask.project.key.clone(), Ok(convert::with_known(told, &ask.known, self.clock.now())))
        };
        let at_hand = stream::iter(told).map(move |mut ask| {
            let told = ask.told.take().unwrap_or_default();
            answer(ask, told)
        });
        if untold.is_empty() {
            return at_hand.boxed();
        }
        let asked = async move {
            let feed: Result<HashMap<NativeId, Heads>> = self
                .told()
                .map_ok(|feed| feed.iter().map(|(p, heads)| (p.key.id.clone(), heads.clone())).collect())
                .await;
            let answers: Vec<_> = untold
                .into_iter()
                .map(|ask| match &feed {
                    Ok(feed) => match feed.get(&ask.project.key.id) {
                        Some(told) => answer(ask, told.clone()),
                        None => (ask.project.key.clone(), Err(self.unnamed(&ask.project.name))),
                    },
                    Err(error) => (ask.project.key.clone(), Err(error.clone())),
                })
                .collect();
            stream::iter(answers)
        };
        at_hand.chain(stream::once(asked).flatten()).boxed()
    }

    /// The build that goes on and the last one: no feed tells of more.
    async fn pipelines(&self, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
        let (_, heads) = self.one(project.key.id.as_str()).await?;
        let mut items = convert::with_known(heads, &[], self.clock.now()).pipelines;
        items.retain(|run| {
            let recent = match (query.since, run.began()) {
                (Some(since), Some(at)) => at >= since,
                _ => true,
            };
            recent && !query.is_beyond(run) && query.branch.as_deref().is_none_or(str::is_empty)
        });
        items.truncate(query.limit);
        Ok(Pipelines { items, ..Pipelines::default() })
    }

    async fn latest_pipeline(&self, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
        let query = PipelineQuery { branch: Some(branch.to_owned()), since: None, until: None, limit: 1 };
        Ok(self.pipelines(project, &query).await?.items.into_iter().next())
    }

    async fn pipeline(&self, project: &Project, run: &RunId) -> Result<PipelineDetail> {
        let (_, heads) = self.one(project.key.id.as_str()).await?;
        let runs = convert::with_known(heads, &[], self.clock.now()).pipelines;
        let pipeline = runs.into_iter().find(|r| &r.id == run).ok_or_else(|| {
            Error::NotFound(
                "a cctray feed tells of a project's last build only: this one is not in it".into(),
            )
        })?;
        let why = Problem::new(ProblemKind::Partial, "a cctray feed tells nothing of a build's jobs");
        Ok(PipelineDetail { pipeline, jobs: Vec::new(), problems: vec![why] })
    }

    async fn log(&self, _: &Project, _: &RunId, _: &JobId, _: usize) -> Result<Log> {
        Ok(Log { note: Some("a cctray feed has no logs".to_owned()), ..Log::default() })
    }

    async fn branches(&self, _: &Project, _: Option<PageToken>) -> Result<Page<Branch>> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn branch(&self, _: &Project, name: &str) -> Result<Branch> {
        let shown = line(name, MAX_NAME);
        Err(Error::NotFound(format!("a cctray feed has no branches, so no {shown:?}")))
    }
}
