//! Bitbucket Cloud.

mod actions;
pub(crate) mod convert;
mod heads;
mod lists;
mod runs;
mod status;
mod talk;
pub(crate) mod wire;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use config::LogAccess;
use connector::http::{Budget, Client, Response};
use connector::wire::Rows;
use connector::{Error, PageToken, Result};
use domain::{Project, SourceName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

pub(crate) use self::status::status as status_of;
use crate::base;

/// The largest page that Cloud gives of most lists.
const PAGELEN: &str = "100";
/// Repositories of which is remembered whether they have issues.
const MAX_REMEMBERED: usize = 20_000;
/// Of the hourly limit, in hundredths, what is left at most once Cloud says that the limit is near.
const NEAR: u64 = 20;

/// One Bitbucket Cloud, seen by one token.
#[derive(Debug)]
pub(crate) struct Cloud {
    source: SourceName,
    pub(crate) client: Client,
    workspaces: Vec<String>,
    /// An access token of a repository or workspace, perhaps: it belongs to no user.
    of_nobody: bool,
    logs: LogAccess,
    /// The repositories that were named lately, and whether they have issues: saves asking those that have none.
    issues_of: Mutex<HashMap<String, bool>>,
    /// Cloud said in its last answer that less than a fifth of the limit is left.
    near: AtomicBool,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
pub(crate) struct Listed<T> {
    pub(crate) values: Rows<T>,
    #[serde(default)]
    pub(crate) next: Option<String>,
    #[serde(default, deserialize_with = "connector::wire::lenient_u64")]
    pub(crate) size: Option<u64>,
}

impl<T> Listed<T> {
    /// Where the next page begins. Followed as it is, and only within the configured origin: the client sees to that.
    ///
    /// # Errors
    /// [`Error::Garbage`] when it is no URL.
    pub(crate) fn next(&self) -> Result<Option<Url>> {
        // An empty page is the end, whatever it links to.
        let next = self.next.as_deref().filter(|_| !self.values.items.is_empty() || self.values.broken > 0);
        let no_url = |e| Error::Garbage(format!("Bitbucket Cloud names a next page that is no URL: {e}"));
        next.map(|url| Url::parse(url).map_err(no_url)).transpose()
    }
}

impl Cloud {
    pub(crate) fn new(
        source: &SourceName,
        client: Client,
        workspaces: Vec<String>,
        of_nobody: bool,
        logs: LogAccess,
    ) -> Self {
        Self {
            source: source.clone(),
            client,
            workspaces,
            of_nobody,
            logs,
            issues_of: Mutex::default(),
            near: AtomicBool::new(false),
        }
    }

    /// What the client counted in this hour; others use the same limit, of which Cloud tells only that it is near.
    pub(crate) fn budget(&self) -> Option<Budget> {
        let mut budget = self.client.budget()?;
        if self.near.load(Ordering::Relaxed) {
            budget.remaining = budget.remaining.min(budget.limit * NEAR / 100);
        }
        Some(budget)
    }

    async fn get(&self, endpoint: &'static str, url: Url) -> Result<Response> {
        let response = self.client.get(endpoint, url).await?;
        let near = response.header("x-ratelimit-nearlimit").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        self.near.store(near, Ordering::Relaxed);
        Ok(response)
    }

    /// One page of a list. Rows that cannot be read are told in the log; where they stand on the board, there as well.
    async fn list<T: DeserializeOwned>(&self, endpoint: &'static str, url: Url) -> Result<Listed<T>> {
        let listed: Listed<T> = self.get(endpoint, url).await?.json()?;
        if listed.values.broken > 0 {
            let (broken, why) =
                (listed.values.broken, listed.values.first_error.as_deref().unwrap_or_default());
            tracing::warn!(source = %self.source, endpoint, broken, why, "rows of a list could not be read");
        }
        Ok(listed)
    }

    /// A URL below a repository.
    fn below(&self, project: &Project, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        let (workspace, slug) = base::repository(project.key.id.as_str())?;
        Ok(self.client.url(&[&["repositories", workspace, slug], path].concat(), query))
    }

    fn remember(&self, row: &wire::Repository) {
        let mut known = self.issues_of.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(row.full_name.clone(), row.has_issues.unwrap_or(false));
    }

    fn forget(&self, full_name: &str) {
        self.issues_of.lock().unwrap_or_else(PoisonError::into_inner).remove(full_name);
    }

    /// Whether a repository has issues; `None`: it was not named lately.
    fn has_issues(&self, project: &Project) -> Option<bool> {
        let known = self.issues_of.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(project.key.id.as_str()).copied()
    }
}

/// The token of a page that begins at this URL.
fn token(next: Option<Url>) -> Option<PageToken> {
    next.map(|url| PageToken(url.into()))
}

/// The URL of a page, or the first.
fn page_url(page: Option<PageToken>, first: impl FnOnce() -> Result<Url>) -> Result<Url> {
    match page {
        None => first(),
        Some(token) => Url::parse(&token.0).map_err(|e| Error::Garbage(format!("page token: {e}"))),
    }
}
