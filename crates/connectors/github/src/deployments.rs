//! What was deployed. Actions makes a deployment of each job that names an environment; others make theirs through the API.
//!
//! By GraphQL where there is a token: deployments with their states are one point for each fifty. By REST there is one request for
//! each deployment's states, so that only those of the newest deployments to production are asked for.
//!
//! A deployment is known by its global id, which REST, GraphQL and webhooks all tell: the `databaseId` is a number of 32 bits.
//! A deployment that was replaced by the next is `inactive`: it was green, unless something before that says otherwise.

use async_trait::async_trait;
use connector::graphql::Dialect;
use connector::http::Budget;
use connector::wire::{Rows, lenient_string, lenient_time};
use connector::{Deployed, Deployments, DeploymentsAsk, Error, Result};
use domain::{Deployment, Project, RunId, Status, Timestamp, WebUrl};
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::base::owner_and_name;
use crate::batch::Price;
use crate::github::{GitHub, PER_PAGE, no_repository};

/// GraphQL about the deployments of one repository. What it lacks says nothing of the question about many.
pub(crate) const DIALECT: Dialect = Dialect {
    endpoint: "POST /graphql",
    resource: Some("graphql"),
    most: 1,
    least: 1,
    has_plain: false,
    optional: &[],
};
/// Deployments in one question. With their states that is half a point.
const AT_ONCE: usize = 50;
const MAX_PAGES: usize = Deployed::MAX / AT_ONCE;
/// Of so many deployments the states are asked for one by one, where there is no GraphQL.
const MAX_ASKED: usize = 10;

const QUESTION: &str = "query Deployed($owner: String!, $name: String!, $after: String) {
 rateLimit { cost limit remaining resetAt }
 repository(owner: $owner, name: $name) {
  deployments(first: 50, after: $after, orderBy: {field: CREATED_AT, direction: DESC}) {
   pageInfo { hasNextPage endCursor }
   nodes {
    id commitOid createdAt updatedAt environment ref { name }
    latestStatus { state createdAt logUrl }
    statuses(first: 10) { nodes { state createdAt logUrl } }
   }
  }
 }
}";

/// A deployment: GraphQL's names, and REST's.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Row {
    #[serde(default, alias = "node_id", deserialize_with = "lenient_string")]
    node: Option<String>,
    #[serde(default, alias = "commitOid", deserialize_with = "lenient_string")]
    sha: Option<String>,
    #[serde(default, alias = "createdAt", deserialize_with = "lenient_time")]
    created_at: Option<Timestamp>,
    #[serde(default, alias = "updatedAt", deserialize_with = "lenient_time")]
    updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_string")]
    environment: Option<String>,
    #[serde(default)]
    production_environment: Option<bool>,
    /// A name, or an object that has it.
    #[serde(default, rename = "ref")]
    reference: Option<Value>,
    #[serde(default, deserialize_with = "lenient_string")]
    statuses_url: Option<String>,
    #[serde(default, rename = "latestStatus")]
    latest: Option<State>,
    #[serde(default)]
    statuses: Option<States>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct States {
    #[serde(default)]
    nodes: Vec<Option<State>>,
}

/// A state that a deployment came to.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct State {
    #[serde(default, deserialize_with = "lenient_string")]
    state: Option<String>,
    #[serde(default, alias = "createdAt", deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, alias = "logUrl", deserialize_with = "lenient_string")]
    log_url: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    target_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Told {
    #[serde(default, rename = "rateLimit")]
    price: Option<Price>,
    #[serde(default)]
    repository: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    #[serde(default)]
    deployments: Option<Connection>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    #[serde(default)]
    nodes: Vec<Option<Value>>,
    #[serde(default)]
    page_info: Option<PageInfo>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    #[serde(default)]
    has_next_page: bool,
    #[serde(default)]
    end_cursor: Option<String>,
}

/// A state's word in ours.
fn status(word: &str) -> Status {
    match word.to_ascii_lowercase().as_str() {
        "success" | "inactive" => Status::Success,
        "failure" | "error" => Status::Failed,
        "in_progress" => Status::Running,
        "queued" | "pending" => Status::Queued,
        // For somebody's approval.
        "waiting" => Status::Manual,
        _ => Status::Unknown,
    }
}

impl State {
    fn word(&self) -> String {
        self.state.as_deref().unwrap_or_default().to_ascii_lowercase()
    }

    fn is(&self, words: &[&str]) -> bool {
        words.contains(&self.word().as_str())
    }

    /// Where its log is; of Actions the page of the run, or of a job of it.
    fn page(&self) -> Option<&str> {
        [&self.log_url, &self.target_url]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .find(|url| !url.is_empty())
    }

    fn run(&self) -> Option<RunId> {
        let (_, id) = self.page()?.split_once("/actions/runs/")?;
        let id = id.split(['/', '?', '#']).next()?;
        id.parse::<u64>().ok().map(RunId::from)
    }
}

impl Row {
    fn branch(&self) -> Option<String> {
        let name = |value: &Value| value.as_str().or_else(|| value.get("name")?.as_str()).map(str::to_owned);
        // A deployment of a commit has the commit's id here.
        self.reference.as_ref().and_then(name).filter(|name| Some(name) != self.sha.as_ref())
    }

    /// The deployment in the states that are told, in any order; `None` where it does not say which it is, or where.
    pub(crate) fn deployment(&self, states: &[State]) -> Option<Deployment> {
        let id = self.node.as_deref().filter(|id| !id.is_empty())?;
        let environment = self.environment.as_deref().filter(|name| !name.trim().is_empty())?;
        let mut states: Vec<&State> = states.iter().collect();
        states.sort_by_key(|state| state.created_at);
        let last = states.iter().rev().find(|s| !s.is(&["inactive"])).or_else(|| states.last()).copied();
        let word = last.map_or_else(|| "queued".to_owned(), State::word);
        let status = status(&word);
        let began = states.iter().find(|s| s.is(&["in_progress"])).and_then(|s| s.created_at);
        let ended = last.filter(|s| s.is(&["success", "failure", "error"])).and_then(|s| s.created_at);
        let touched = states.last().and_then(|s| s.created_at);
        Some(
            Deployment {
                // What is not marked so is most often not asked about: its name tells.
                production: self.production_environment.filter(|is| *is),
                sha: self.sha.clone(),
                branch: self.branch(),
                created_at: began.or(self.created_at),
                finished_at: ended,
                updated_at: touched.max(self.updated_at),
                run: states.iter().rev().find_map(|s| s.run()),
                url: states.iter().rev().find_map(|s| s.page()).and_then(WebUrl::parse),
                ..Deployment::new(id, environment, status, word)
            }
            .bounded(),
        )
    }

    /// The same as a webhook tells it, with the one state that it has come to.
    pub(crate) fn now(&self, state: &State, run: Option<u64>) -> Option<Deployment> {
        let told = self.deployment(std::slice::from_ref(state))?;
        // When it began to wait is not when it began.
        let created_at = state.created_at.filter(|_| told.status == Status::Running);
        Some(Deployment { created_at, run: run.map(RunId::from).or(told.run), ..told })
    }
}

impl GitHub {
    /// By GraphQL; `None` where that does not answer.
    async fn by_graphql(&self, project: &Project, since: Timestamp) -> Result<Option<Vec<Deployment>>> {
        let id = project.key.id.as_str();
        let (owner, name) = owner_and_name(id).ok_or_else(|| no_repository(id))?;
        let Some(graphql) = self.deployments.as_ref().filter(|graphql| graphql.is_there()) else {
            return Ok(None);
        };
        let (mut items, mut after) = (Vec::new(), None::<String>);
        for _ in 0..MAX_PAGES {
            let variables = json!({ "owner": owner, "name": name, "after": after });
            let question = |_: &[()]| (QUESTION.to_owned(), variables.clone());
            let answer = std::pin::pin!(graphql.ask_all::<(), Told, _>(vec![()], &question)).next().await;
            let Some((_, Some(answer))) = answer else { return Ok(None) };
            if let Some((cost, budget)) = answer.data.price.as_ref().map(Price::paid) {
                graphql.paid(cost, budget);
            }
            let Some(repository) = answer.data.repository else {
                return match answer.errors.iter().find_map(|e| e.kind.as_deref()) {
                    Some("NOT_FOUND") => Err(Error::NotFound(format!("{id}: no such repository"))),
                    // REST would say the same.
                    Some("FORBIDDEN") => {
                        Err(Error::Forbidden(format!("{id}: the token may not read its deployments")))
                    }
                    _ => Ok(None),
                };
            };
            // A token that may not see them.
            let Some(page) = repository.deployments else { return Ok(None) };
            let rows: Vec<Row> = page
                .nodes
                .into_iter()
                .flatten()
                .filter_map(|row| serde_json::from_value(with_node(row)).ok())
                .collect();
            let older = rows.iter().filter_map(|row| row.created_at).min().is_none_or(|at| at < since);
            items.extend(rows.iter().filter_map(|row| {
                let states = row.statuses.iter().flat_map(|states| states.nodes.iter().flatten());
                let states: Vec<State> = states.chain(&row.latest).cloned().collect();
                row.deployment(&states)
            }));
            after = page.page_info.filter(|page| page.has_next_page).and_then(|page| page.end_cursor);
            if older || after.is_none() {
                break;
            }
        }
        items.truncate(Deployed::MAX);
        Ok(Some(items))
    }

    async fn by_rest(&self, project: &Project) -> Result<Vec<Deployment>> {
        let url = self.below(project, &["deployments"], &[("per_page", PER_PAGE)])?;
        let (rows, _) = self.rows::<Row>("GET /repos/:owner/:repo/deployments", url).await?;
        let is_production = |row: &&Row| row.deployment(&[]).is_some_and(|d| d.is_production());
        let mut items = Vec::new();
        for row in rows.iter().filter(is_production).take(MAX_ASKED) {
            let Some(id) = row
                .statuses_url
                .as_deref()
                .and_then(|url| url.trim_end_matches("/statuses").rsplit('/').next())
            else {
                continue;
            };
            let url = self.below(project, &["deployments", id, "statuses"], &[("per_page", PER_PAGE)])?;
            let answer = self.client.get("GET /repos/:owner/:repo/deployments/:id/statuses", url).await?;
            let states: Rows<State> = answer.json()?;
            items.extend(row.deployment(&states.items));
        }
        Ok(items)
    }
}

/// GraphQL's `id` is REST's `node_id`, and REST's `id` another.
fn with_node(mut row: Value) -> Value {
    if let Some(fields) = row.as_object_mut()
        && let Some(id) = fields.remove("id")
    {
        fields.insert("node_id".to_owned(), id);
    }
    row
}

#[async_trait]
impl Deployments for GitHub {
    async fn deployments(&self, ask: DeploymentsAsk<'_>) -> Result<Deployed> {
        let items = match self.by_graphql(ask.project, ask.since).await? {
            Some(items) => items,
            None => self.by_rest(ask.project).await?,
        };
        Ok(Deployed { items, ..Deployed::default() })
    }

    fn budget(&self) -> Option<Budget> {
        self.deployments.as_ref().filter(|graphql| graphql.is_there())?.budget()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(word: &str, minute: i64) -> State {
        State {
            state: Some(word.to_owned()),
            created_at: Timestamp::from_second(1_750_000_000 + minute * 60).ok(),
            log_url: Some("https://github.com/o/r/actions/runs/12345678901/job/7".to_owned()),
            target_url: None,
        }
    }

    fn row() -> Row {
        Row {
            node: Some("DE_kw1".to_owned()),
            environment: Some("production".to_owned()),
            created_at: state("", 0).created_at,
            ..Row::default()
        }
    }

    #[test]
    fn states_come_in_any_order() {
        let green = [state("INACTIVE", 90), state("success", 5), state("IN_PROGRESS", 2), state("queued", 1)];
        let told = row().deployment(&green).unwrap();
        assert_eq!((told.status, told.native_status.as_str()), (Status::Success, "success"));
        assert_eq!(told.created_at, green[2].created_at);
        assert_eq!((told.finished_at, told.updated_at), (green[1].created_at, green[0].created_at));
        assert_eq!(told.run, Some(RunId::from(12_345_678_901)));
        let red = row().deployment(&[state("inactive", 9), state("failure", 5)]).unwrap();
        assert_eq!(red.status, Status::Failed, "whoever put it aside");
        let old = row().deployment(&[state("inactive", 9)]).unwrap();
        assert_eq!((old.status, old.finished_at), (Status::Success, None));
        let none = row().deployment(&[]).unwrap();
        assert_eq!((none.status, none.run), (Status::Queued, None));
        assert!(Row::default().deployment(&green).is_none());
    }

    #[test]
    fn every_word_has_a_status() {
        for (word, ours) in [
            ("ERROR", Status::Failed),
            ("FAILURE", Status::Failed),
            ("INACTIVE", Status::Success),
            ("IN_PROGRESS", Status::Running),
            ("PENDING", Status::Queued),
            ("QUEUED", Status::Queued),
            ("SUCCESS", Status::Success),
            ("WAITING", Status::Manual),
            ("BRAND_NEW", Status::Unknown),
        ] {
            assert_eq!(status(word), ours, "{word}");
            assert_eq!(status(&word.to_ascii_lowercase()), ours, "{word}");
        }
    }
}
