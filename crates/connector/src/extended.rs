//! The optional parts of the contract: what only some platforms have. A connector declares one by returning it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::text::{MAX_NAME, MAX_TITLE, line};
use domain::{Deployment, Person, Pipeline, Project, RunId, Status, Timestamp, WebUrl};
use http::HeaderMap;

use crate::http::Budget;
use crate::{Page, PageToken, Result};

/// How many labels, and how many people, of one item are kept.
const MAX_OF_ITEM: usize = 20;
/// The longest label, in characters.
const MAX_LABEL: usize = 100;

fn bounded_labels(labels: Vec<String>) -> Vec<String> {
    let labels = labels.into_iter().map(|l| line(&l, MAX_LABEL)).filter(|l| !l.is_empty());
    labels.take(MAX_OF_ITEM).collect()
}

fn bounded_people(people: Vec<Person>) -> Vec<Person> {
    people.into_iter().filter_map(Person::bounded).take(MAX_OF_ITEM).collect()
}

/// A merge or pull request.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeRequest {
    /// The platform's id.
    pub id: String,
    /// The number that people see.
    pub number: u64,
    /// Title.
    pub title: String,
    /// Open or how it ended.
    pub state: MergeRequestState,
    /// Not ready for review.
    pub draft: bool,
    /// Who opened it.
    pub author: Option<Person>,
    /// Who is asked to review it.
    pub reviewers: Vec<Person>,
    /// Labels.
    pub labels: Vec<String>,
    /// From.
    pub source_branch: String,
    /// Into.
    pub target_branch: String,
    /// Its newest commit.
    pub sha: Option<String>,
    /// How its newest run is, where the platform says so beside it. Without it the board is asked for runs of `sha`.
    pub head_status: Option<Status>,
    /// Whether it could be merged now; `None` where the platform does not tell, or has not found out yet.
    pub mergeable: Option<bool>,
    /// Opened.
    pub created_at: Option<Timestamp>,
    /// Last touched.
    pub updated_at: Option<Timestamp>,
    /// Its page.
    pub url: Option<WebUrl>,
}

impl MergeRequest {
    /// The same, bounded and harmless: see [`domain::text`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.id = line(&self.id, MAX_NAME);
        self.title = line(&self.title, MAX_TITLE);
        self.author = self.author.and_then(Person::bounded);
        self.reviewers = bounded_people(self.reviewers);
        self.labels = bounded_labels(self.labels);
        self.source_branch = line(&self.source_branch, MAX_NAME);
        self.target_branch = line(&self.target_branch, MAX_NAME);
        self.sha = self.sha.map(|s| line(&s, MAX_NAME)).filter(|s| !s.is_empty());
        self
    }
}

/// Where a merge request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeRequestState {
    /// Open.
    Open,
    /// Merged.
    Merged,
    /// Closed without a merge.
    Closed,
}

/// An issue.
#[derive(Debug, Clone, PartialEq)]
pub struct Issue {
    /// The platform's id.
    pub id: String,
    /// The number that people see.
    pub number: u64,
    /// Title.
    pub title: String,
    /// Whether it is open.
    pub open: bool,
    /// Who opened it.
    pub author: Option<Person>,
    /// Whose it is.
    pub assignees: Vec<Person>,
    /// Labels.
    pub labels: Vec<String>,
    /// Opened.
    pub created_at: Option<Timestamp>,
    /// Last touched.
    pub updated_at: Option<Timestamp>,
    /// Its page.
    pub url: Option<WebUrl>,
}

impl Issue {
    /// The same, bounded and harmless: see [`domain::text`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.id = line(&self.id, MAX_NAME);
        self.title = line(&self.title, MAX_TITLE);
        self.author = self.author.and_then(Person::bounded);
        self.assignees = bounded_people(self.assignees);
        self.labels = bounded_labels(self.labels);
        self
    }
}

/// A platform with merge requests.
#[async_trait]
pub trait MergeRequests: Send + Sync {
    /// The open ones of a project, last touched first, page by page.
    async fn open_merge_requests(
        &self,
        project: &Project,
        page: Option<PageToken>,
    ) -> Result<Page<MergeRequest>>;
}

/// A platform with issues.
#[async_trait]
pub trait Issues: Send + Sync {
    /// The open ones of a project, last touched first, page by page.
    async fn open_issues(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Issue>>;
}

/// Asks what was deployed in a project.
#[derive(Debug, Clone, Copy)]
pub struct DeploymentsAsk<'a> {
    /// The project.
    pub project: &'a Project,
    /// Only what was touched since then; what has not been may be told all the same.
    pub since: Timestamp,
    /// Environments that are known, each with what the platform said of whether it is production. Where it says so elsewhere
    /// than beside a deployment, that is asked for others alone.
    pub environments: &'a BTreeMap<String, Option<bool>>,
}

/// What was deployed.
#[derive(Debug, Clone, Default)]
pub struct Deployed {
    /// At most [`Deployed::MAX`], those that were touched last.
    pub items: Vec<Deployment>,
    /// What the platform said of environments that were not known. One of which it says nothing is in here, too.
    pub environments: BTreeMap<String, Option<bool>>,
}

impl Deployed {
    /// How many deployments are read at once.
    pub const MAX: usize = 1_000;
}

/// A platform that marks deployments.
#[async_trait]
pub trait Deployments: Send + Sync {
    /// What was deployed in a project: all or an error.
    async fn deployments(&self, ask: DeploymentsAsk<'_>) -> Result<Deployed>;

    /// What the question is paid from, where the platform counts that apart from all others; `None` where it is paid from
    /// [`crate::Connector::budget`].
    fn budget(&self) -> Option<Budget> {
        None
    }
}

/// A platform that tells whose the token is.
#[async_trait]
pub trait CurrentUser: Send + Sync {
    /// The token's owner; `None` for anonymous access and tokens that belong to nobody.
    async fn current_user(&self) -> Result<Option<Person>>;
}

/// What a platform tells about a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenFacts {
    /// What it is allowed, in the platform's words; empty where that is not told.
    pub scopes: Vec<String>,
    /// Those of `scopes` with which something can be altered: more than a dashboard needs.
    pub writes: Vec<String>,
    /// When it stops to work; `None`: never, or not told. Where the platform tells a day, its beginning.
    pub expires_at: Option<Timestamp>,
    /// What the platform's clock says.
    pub platform_time: Option<Timestamp>,
}

/// A platform that tells what a token is allowed and how long it lasts.
#[async_trait]
pub trait TokenCheck: Send + Sync {
    /// About the source's token, at the price of one request at most.
    ///
    /// # Errors
    /// [`crate::Error::Unauthorized`] when it is not (or no longer) valid.
    async fn token_facts(&self) -> Result<TokenFacts>;
}

/// A platform on which runs can be started over and stopped. Both take effect later: the run is to be read again.
#[async_trait]
pub trait Actions: Send + Sync {
    /// Runs again what failed of a run (or all of it, where the platform cannot tell the two apart).
    ///
    /// # Errors
    /// [`crate::Error::Forbidden`] when the token may not, [`crate::Error::Refused`] when the run is not in a state for it.
    async fn retry(&self, project: &Project, run: &RunId) -> Result<()>;

    /// Stops a run. One that has ended already is no error where the platform does not make it one.
    ///
    /// # Errors
    /// As [`Actions::retry`].
    async fn cancel(&self, project: &Project, run: &RunId) -> Result<()>;
}

/// A webhook as it came in, not yet believed.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Body, byte for byte as sent: signatures are over these bytes.
    pub body: &'a [u8],
}

impl Delivery<'_> {
    /// A header's value, where it is there and readable.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Why a delivery is not taken. The words are for the log and for `/sources`; they hold no secret and nothing of the
/// signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The source has no `webhook_secret`: nothing that comes in can be believed.
    #[error("the source has no webhook_secret")]
    NoSecret,
    /// Not signed with the secret, or not at all.
    #[error("{0}")]
    Forged(String),
    /// Signed, but not what the platform sends.
    #[error("{0}")]
    Malformed(String),
}

/// A delivery that was verified and read.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The platform's id of the delivery, by which a second one of the same is known.
    pub id: Option<String>,
    /// The platform's word for what happened: `workflow_run`, `Pipeline Hook`.
    pub kind: String,
    /// What follows from it.
    pub news: News,
}

/// What a webhook tells. A hint in any case: what it says is read again from the platform.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A project's runs as they are now. Rows: they lack what the payload lacks.
    Runs {
        /// The project as the payload tells it.
        project: Box<Project>,
        /// The runs.
        pipelines: Vec<Pipeline>,
    },
    /// A deployment of a project as it is now.
    Deployed {
        /// The project as the payload tells it.
        project: Box<Project>,
        /// The deployment. It lacks what the payload lacks.
        deployment: Box<Deployment>,
    },
    /// Something of a project changed that the payload does not tell enough of: it is to be read anew.
    Touched(Box<Project>),
    /// Nothing that concerns a dashboard, or of a kind that is not known.
    Nothing,
}

/// A platform that sends webhooks. No I/O.
pub trait Webhooks: Send + Sync {
    /// Verifies a delivery with the source's secret, in constant time.
    ///
    /// # Errors
    /// [`Refused`], but for what is malformed.
    fn verify(&self, delivery: &Delivery<'_>) -> std::result::Result<(), Refused>;

    /// Reads a delivery that is believed: it was verified now, or before it was written down, since when the headers that prove
    /// it are gone.
    ///
    /// # Errors
    /// [`Refused::Malformed`].
    fn read(&self, delivery: &Delivery<'_>) -> std::result::Result<Event, Refused>;

    /// Verifies a delivery and reads it.
    ///
    /// # Errors
    /// [`Refused`]; nothing of a refused delivery may be used, its id included.
    fn receive(&self, delivery: &Delivery<'_>) -> std::result::Result<Event, Refused> {
        self.verify(delivery)?;
        self.read(delivery)
    }
}
