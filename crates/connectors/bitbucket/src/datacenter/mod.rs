//! Bitbucket Data Center.

mod builds;
mod convert;
mod heads;
mod lists;
pub(crate) mod wire;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use connector::http::Client;
use connector::wire::Rows;
use connector::{Error, PageToken, Result};
use domain::{Project, SourceName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::base;

/// Rows on a page. The server may give fewer without saying so.
const LIMIT: &str = "100";
/// Repositories of which the default branch is remembered.
const MAX_REMEMBERED: usize = 20_000;

/// One Bitbucket Data Center, seen by one token.
#[derive(Debug)]
pub(crate) struct DataCenter {
    source: SourceName,
    pub(crate) client: Client,
    /// Keys of projects; the settings' word for them is workspaces.
    keys: Vec<String>,
    /// Default branches: the list of repositories does not tell them, and asking for each costs a request.
    default_branches: Mutex<HashMap<String, Option<String>>>,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"), rename_all = "camelCase")]
struct Listed<T> {
    values: Rows<T>,
    #[serde(default)]
    is_last_page: Option<bool>,
    /// Not `start` and `size` added up: filtered pages have gaps.
    #[serde(default, deserialize_with = "connector::wire::lenient_u64")]
    next_page_start: Option<u64>,
}

impl<T> Listed<T> {
    fn next(&self) -> Option<u64> {
        self.next_page_start.filter(|_| self.is_last_page != Some(true))
    }
}

impl DataCenter {
    pub(crate) fn new(source: &SourceName, client: Client, keys: Vec<String>) -> Self {
        Self { source: source.clone(), client, keys, default_branches: Mutex::default() }
    }

    /// A URL below a repository.
    fn below(&self, project: &Project, path: &[&str], query: &[(&str, &str)]) -> Result<Url> {
        let (key, slug) = base::repository(project.key.id.as_str())?;
        let repository = ["rest", "api", "latest", "projects", key, "repos", slug];
        Ok(self.client.url(&[&repository, path].concat(), query))
    }

    /// One page of a list. Rows that cannot be read are told in the log.
    async fn list<T: DeserializeOwned>(&self, endpoint: &'static str, url: Url) -> Result<Listed<T>> {
        let listed: Listed<T> = self.client.get(endpoint, url).await?.json()?;
        if listed.values.broken > 0 {
            let (broken, why) =
                (listed.values.broken, listed.values.first_error.as_deref().unwrap_or_default());
            tracing::warn!(source = %self.source, endpoint, broken, why, "rows of a list could not be read");
        }
        Ok(listed)
    }

    fn remember(&self, repository: &str, default_branch: Option<&str>) {
        let mut known = self.default_branches.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(repository.to_owned(), default_branch.map(str::to_owned));
    }

    /// The remembered default branch; `None`: it was not asked for yet.
    fn remembered(&self, repository: &str) -> Option<Option<String>> {
        self.default_branches.lock().unwrap_or_else(PoisonError::into_inner).get(repository).cloned()
    }
}

/// The row at which a page begins.
fn start(page: Option<&PageToken>) -> Result<String> {
    match page {
        None => Ok("0".into()),
        Some(token) if token.0.parse::<u64>().is_ok() => Ok(token.0.clone()),
        Some(_) => Err(Error::Garbage("page token: not one of Bitbucket's".into())),
    }
}

/// The token of the page that begins there.
fn token(next: Option<u64>) -> Option<PageToken> {
    next.map(|start| PageToken(start.to_string()))
}

/// The repository of a webhook, which names no default branch.
pub(crate) fn of_webhook(source: &SourceName, row: &wire::Repository) -> Project {
    convert::project(source, row, None)
}
